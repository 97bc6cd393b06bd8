package xmppserver

import (
	"context"
	"errors"
	"sync"
)

// A queue is a mailbox that never blocks the writer. It keeps at most limit entries; one
// more closes it, as a server drops a peer that does not read.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	closed bool
	ready  chan struct{} // holds a token when there may be something to take
	limit  int
}

var errClosed = errors.New("closed")

func newQueue[T any](limit int) *queue[T] {
	return &queue[T]{ready: make(chan struct{}, 1), limit: limit}
}

func (q *queue[T]) put(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if len(q.items) == q.limit {
		q.items, q.closed = nil, true
	} else {
		q.items = append(q.items, item)
	}
	q.wake()
}

// close lets what is in the queue be taken, and nothing come in.
func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

func (q *queue[T]) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns the oldest entry; the error is errClosed or ctx's.
func (q *queue[T]) take(ctx context.Context) (item T, err error) {
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			item, q.items = q.items[0], q.items[1:]
			if len(q.items) > 0 || q.closed {
				q.wake()
			}
			q.mu.Unlock()
			return item, nil
		}
		if q.closed {
			q.wake()
			q.mu.Unlock()
			return item, errClosed
		}
		q.mu.Unlock()
		select {
		case <-q.ready:
		case <-ctx.Done():
			return item, ctx.Err()
		}
	}
}
