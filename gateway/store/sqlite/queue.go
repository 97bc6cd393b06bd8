package sqlite

import (
	"context"
	"sync"

	"sipxmppgw/gateway/store"
)

// The bounds of what waits to be written.
const (
	maxWaiting = 20_000
	maxOctets  = 64 << 20
)

// A change is one row that is to be written or removed.
type change struct {
	row    store.Row
	remove bool
	done   func(error)
}

func (c *change) octets() int { return len(c.row.Key) + len(c.row.Owner) + len(c.row.Value) }

func (c *change) finish(err error) {
	if c.done != nil {
		c.done(err)
	}
}

// A queue is what waits to be written, in order. Whoever puts never waits.
type queue struct {
	mu       sync.Mutex
	waiting  []change
	octets   int
	writing  int // taken, and not settled yet
	accepted uint64
	finished uint64
	wake     chan struct{}
	changed  chan struct{} // closed and made anew when finished grows
	closed   bool
	now      store.State
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), changed: make(chan struct{}), now: store.State{Up: true}}
}

func (q *queue) put(c change) {
	q.mu.Lock()
	switch {
	case q.closed:
		q.mu.Unlock()
		q.refuse(c.done, store.ErrClosed)
		return
	case len(q.waiting)+q.writing >= maxWaiting || q.octets+c.octets() > maxOctets:
		q.mu.Unlock()
		q.refuse(c.done, store.ErrFull)
		return
	}
	value := make([]byte, len(c.row.Value))
	copy(value, c.row.Value) // the caller may use its own again
	c.row.Value = value
	q.waiting = append(q.waiting, c)
	q.octets += c.octets()
	q.accepted++
	q.mu.Unlock()
	q.rouse()
}

// refuse counts a row that is not kept.
func (q *queue) refuse(done func(error), err error) {
	q.mu.Lock()
	q.now.Lost++
	q.mu.Unlock()
	if done != nil {
		done(err)
	}
}

func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns at most n changes for writing; settle follows.
func (q *queue) take(n int) (batch []change, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiting))
	batch = q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.writing = n
	return batch, q.closed
}

// settle says what became of the batch that was taken: with an error, those that nobody
// waits for go back to where they were.
func (q *queue) settle(batch []change, err error) {
	q.mu.Lock()
	q.writing = 0
	q.now.Up, q.now.Problem = err == nil, err
	var back []change
	for i := range batch {
		if err != nil && batch[i].done == nil && !q.closed {
			back = append(back, batch[i])
			continue
		}
		q.octets -= batch[i].octets()
		q.finished++
		if err == nil {
			q.now.Written++
		} else {
			q.now.Lost++
		}
	}
	q.waiting = append(back, q.waiting...)
	close(q.changed)
	q.changed = make(chan struct{})
	q.mu.Unlock()
	for i := range batch {
		batch[i].finish(err)
	}
}

// settled waits until all that was put before has been written or given up.
func (q *queue) settled(ctx context.Context) error {
	q.mu.Lock()
	want := q.accepted
	for {
		if q.finished >= want {
			q.mu.Unlock()
			return nil
		}
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		q.mu.Lock()
	}
}

func (q *queue) state() store.State {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.now
	s.Waiting = len(q.waiting) + q.writing
	return s
}

// close takes nothing more; false says that it was closed before.
func (q *queue) close() bool {
	q.mu.Lock()
	was := q.closed
	q.closed = true
	q.mu.Unlock()
	q.rouse()
	return !was
}
