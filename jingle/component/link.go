package component

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	maxQueued = 16 << 20         // bytes waiting to be written
	maxBatch  = 64               // stanzas in one write
	writeTime = 10 * time.Second // for one write
	endTime   = 2 * time.Second  // for the last one
)

// A link is one connection: its socket, what waits to be written, and its writer. A
// stream that connects again makes a new one, so the two cannot meet.
//
// Writing is the business of the goroutine in run; reading, of the one that made the
// link. Anyone may call send and end.
type link struct {
	conn  net.Conn
	limit int           // stanzas in queue
	wake  chan struct{} // something is queued, or the link has ended
	heard chan struct{} // closed by the reader when it has heard the last
	done  chan struct{} // closed when run has returned

	mu    sync.Mutex
	queue [][]byte
	bytes int
	ended bool
	last  string    // to be written before the socket is closed
	until time.Time // for the writes after the end
	knock []chan<- struct{}
}

func newLink(conn net.Conn, limit int) *link {
	return &link{
		conn:  conn,
		limit: limit,
		wake:  make(chan struct{}, 1),
		heard: make(chan struct{}),
		done:  make(chan struct{}),
	}
}

// send queues a stanza. It never waits.
func (l *link) send(raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return ErrDown
	case len(l.queue) >= l.limit || l.bytes+len(raw) > maxQueued:
		return ErrFull
	}
	l.queue = append(l.queue, raw)
	l.bytes += len(raw)
	l.signal()
	return nil
}

// end closes the link, once what is queued and then last are written and the server has ended its
// stream. Without last it is closed at once. Only the first call counts.
func (l *link) end(last string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended, l.last, l.until = true, last, time.Now().Add(endTime)
	l.conn.SetWriteDeadline(l.until) // also for a write that is under way
	if last == "" {
		l.queue = nil
		l.conn.Close()
	}
	l.signal()
}

func (l *link) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take removes up to maxBatch stanzas from the queue, to be written until the deadline.
func (l *link) take() (batch net.Buffers, ended bool, deadline time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.knock {
		close(k)
	}
	l.knock = nil
	n := min(len(l.queue), maxBatch)
	batch = l.queue[:n:n]
	for _, raw := range batch {
		l.bytes -= len(raw)
	}
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	if l.ended {
		return batch, true, l.until
	}
	return batch, false, time.Now().Add(writeTime)
}

// answers reports whether the writer gets on, or has ended, before ctx is done.
func (l *link) answers(ctx context.Context) bool {
	k := make(chan struct{})
	l.mu.Lock()
	l.knock = append(l.knock, k)
	l.signal()
	l.mu.Unlock()
	select {
	case <-k:
		return true
	case <-l.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// waiting returns how many stanzas are queued.
func (l *link) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// run writes until the link has ended or cannot be written to, and closes the socket. It
// calls ping every so often, and wrote after each stanza.
func (l *link) run(every time.Duration, ping func(), wrote func([]byte)) {
	defer close(l.done)
	defer l.conn.Close()
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		batch, ended, deadline := l.take()
		if len(batch) == 0 {
			if ended {
				l.part(deadline)
				return
			}
			select {
			case <-l.wake:
			case <-t.C:
				ping()
			}
			continue
		}
		l.conn.SetWriteDeadline(deadline)
		out := slices.Clone(batch) // WriteTo empties it
		if _, err := out.WriteTo(l.conn); err != nil {
			return
		}
		for _, raw := range batch {
			wrote(raw)
		}
		select {
		case <-t.C: // however much there is to write
			ping()
		default:
		}
	}
}

// part writes the last words, and lets the server end its stream, too, before the socket is closed
// (RFC 6120 section 4.4): a server that still has something to write to a socket that is gone gives
// up the connection with all that it has not read of it. The deadline stands even so.
func (l *link) part(deadline time.Time) {
	if _, err := l.conn.Write([]byte(l.last)); err != nil || l.last == "" {
		return
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-l.heard:
	case <-t.C:
	}
}
