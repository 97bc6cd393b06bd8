package embedded

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// transcoders are the workers that decode and encode, off the path of packets, and the
// places there are for calls that need it.
type transcoders struct {
	now func() int64 // the relay's clock

	mu      sync.Mutex
	active  int   // bridges with a place
	refused int64 // bridges without
	workers []*transcoder
	next    int
	work    sync.WaitGroup
}

// newTranscoders starts the workers, one a processor; none if no call may be transcoded.
func newTranscoders(limit int, now func() int64) *transcoders {
	p := &transcoders{now: now}
	for range runtime.GOMAXPROCS(0) {
		if limit > 0 {
			w := &transcoder{now: now, wake: make(chan struct{}, 1), ended: make(chan struct{})}
			p.workers = append(p.workers, w)
			p.work.Go(w.run) // until close
		}
	}
	return p
}

// room reports whether a bridge has a place, or could have one.
func (p *transcoders) room(b *Bridge) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.admitted.Load() || b.share.active < b.share.limit
}

// admit gives a bridge a place, unless it has one; ok is false if there is none.
func (p *transcoders) admit(b *Bridge) (ok bool) {
	if b.admitted.Load() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.share.active >= b.share.limit {
		if !b.turnedAway.Swap(true) {
			p.refused++
		}
		return false
	}
	if !b.admitted.Swap(true) {
		p.active++
		b.share.active++
	}
	return true
}

// leave takes a bridge's place back.
func (p *transcoders) leave(b *Bridge) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.admitted.Swap(false) {
		p.active--
		b.share.active--
	}
}

func (p *transcoders) count() (active int, refused int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.active, p.refused
}

// open begins a transcoding; the workers take turns.
func (p *transcoders) open(b *Bridge, t target, s *socket, clock uint32) *transcoding {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.workers[p.next%len(p.workers)]
	p.next++
	n := &transcoding{bridge: b, worker: w, target: t, socket: s, clock: clock, resting: true}
	w.mu.Lock()
	w.added = append(w.added, n)
	w.mu.Unlock()
	return n
}

// close ends the workers; no bridge is left.
func (p *transcoders) close() {
	p.mu.Lock()
	for _, w := range p.workers {
		close(w.ended)
	}
	p.workers = nil
	p.mu.Unlock()
	p.work.Wait()
}

// A transcoder is a worker. The goroutine in run owns its list, and the codecs of what is
// on it.
type transcoder struct {
	now   func() int64
	wake  chan struct{} // one slot
	ended chan struct{}

	list []*transcoding

	mu    sync.Mutex
	added []*transcoding
}

// wakeUp has the worker look at all that it has.
func (w *transcoder) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run works until the transcoder is ended.
func (w *transcoder) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.mu.Lock()
		w.list = append(w.list, w.added...)
		w.added = nil
		w.mu.Unlock()
		if next := w.turn(); next != 0 {
			timer.Reset(time.Duration(next - w.now()))
		}
		select {
		case <-w.ended:
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// turn does all that is due, and returns when the next thing is; 0 for never.
func (w *transcoder) turn() (next int64) {
	w.list = slices.DeleteFunc(w.list, func(t *transcoding) bool {
		due, over := t.work(w.now())
		if due != 0 && (next == 0 || due < next) {
			next = due
		}
		return over
	})
	return next
}
