package jinglephone

import (
	"net"
	"os"
	"sync"
	"time"
)

// A pipe is the packet connection that DTLS gets: what the demultiplexer puts in is read,
// what is written goes to the ICE connection.
type pipe struct {
	conn net.Conn
	in   chan []byte
	done chan struct{}
	once sync.Once

	mu       sync.Mutex
	deadline time.Time
	changed  chan struct{} // closed and replaced when the deadline changes
}

func newPipe(conn net.Conn) *pipe {
	return &pipe{conn: conn, in: make(chan []byte, 64), done: make(chan struct{}), changed: make(chan struct{})}
}

// put hands in a packet; a full pipe loses it, as a network does.
func (p *pipe) put(packet []byte) {
	select {
	case p.in <- packet:
	default:
	}
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p.mu.Lock()
		deadline, changed := p.deadline, p.changed
		p.mu.Unlock()
		var expired <-chan time.Time
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return 0, nil, os.ErrDeadlineExceeded
			}
			timer := time.NewTimer(left)
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case packet := <-p.in:
			return copy(b, packet), p.conn.RemoteAddr(), nil
		case <-p.done:
			return 0, nil, net.ErrClosed
		case <-expired:
			return 0, nil, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) { return p.conn.Write(b) }
func (p *pipe) LocalAddr() net.Addr                       { return p.conn.LocalAddr() }
func (p *pipe) SetWriteDeadline(time.Time) error          { return nil }
func (p *pipe) SetDeadline(t time.Time) error             { return p.SetReadDeadline(t) }

func (p *pipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}
