package embedded

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
)

// What a handshake has left, its goroutines and its buffers, is more than all else a call
// needs, and nothing is said over DTLS when it is done, until the peer closes. So an
// association rests: its state alone is kept, and goes on when another record comes.

// heardSince reports whether what an association protects has come from the peer since its
// handshake: then the peer is done with that too.
func (t *transport) heardSince(a *association) bool {
	for _, l := range t.b.ends[t.side].lanes {
		last := l.in.last.Load()
		if a.apart {
			last = l.in.control.Load()
		}
		if l.t == t && last > a.since {
			return true
		}
	}
	return false
}

// rest puts the association to sleep. Its connection says nothing any more, not even that it
// ends: the state that is kept would count what it said as unsaid, and use a nonce twice.
func (a *association) rest() {
	conn, r := a.conn, a.records
	a.conn, a.records = nil, nil
	r.mute.Store(true)
	state, ok := conn.ConnectionState()
	if !ok {
		r.mute.Store(false)
		return
	}
	state.PeerCertificates = nil // it was looked at
	a.state = &state
	conn.Close()
	a.asleep.Store(true)
	if len(a.in) > 0 {
		a.rouse()
	}
}

// rouse wakes an association that sleeps, for good: few peers have more to say than that
// they end.
func (a *association) rouse() {
	if a.asleep.CompareAndSwap(true, false) {
		a.t.b.work.Go(a.resume) // until close
	}
}

func (a *association) resume() {
	r := newRecords(a)
	conn, err := dtls.ResumeWithOptions(a.state, r, a.remote(), a.options()...)
	if err != nil {
		return // the call goes on without it
	}
	a.listen(conn, r)
}

// listen waits for the peer to close, or for rest.
func (a *association) listen(conn *dtls.Conn, r *records) {
	buf := make([]byte, maxPacket)
	var err error
	for err == nil {
		_, err = conn.Read(buf) // nothing is said over DTLS itself
	}
	if !r.mute.Load() {
		a.t.b.tellSelf(alertInput{a.t, a})
	}
	conn.Close()
}

// Records are the connection that pion's state machine reads and writes.
type records struct {
	a    *association
	mute atomic.Bool // nothing is sent any more

	mu       sync.Mutex
	deadline time.Time
	wake     chan struct{} // closed when the deadline changes
	closed   chan struct{}
	ended    sync.Once
}

func newRecords(a *association) *records {
	return &records{a: a, wake: make(chan struct{}), closed: make(chan struct{})}
}

// ReadFrom gives pion the next record of the peer, whichever of its addresses it is from:
// deliver has seen to it that it is one. Pion takes what it is given for its one peer's.
func (r *records) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		r.mu.Lock()
		deadline, wake := r.deadline, r.wake
		r.mu.Unlock()
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return 0, nil, os.ErrDeadlineExceeded
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case d := <-r.a.in:
			return copy(p, d.p), r.a.remote(), nil
		case <-late:
		case <-wake:
		case <-r.closed:
			return 0, nil, net.ErrClosed
		case <-r.a.closed:
			return 0, nil, net.ErrClosed
		}
	}
}

// WriteTo sends a record of ours to where the peer is now.
func (r *records) WriteTo(p []byte, _ net.Addr) (int, error) {
	if r.mute.Load() {
		return len(p), nil
	}
	way := r.a.peer.Load()
	return len(p), way.via.wire.write(p, way.to)
}

// Close is called by pion's connection; the transport's sockets stay open.
func (r *records) Close() error {
	r.ended.Do(func() { close(r.closed) })
	return nil
}

// LocalAddr returns the address of the socket records go out on.
func (r *records) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(r.a.peer.Load().via.local) }

// SetDeadline sets the deadline of reads; writes never wait.
func (r *records) SetDeadline(t time.Time) error { return r.SetReadDeadline(t) }

// SetReadDeadline sets the deadline of reads, those under way too.
func (r *records) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	close(r.wake)
	r.wake = make(chan struct{})
	return nil
}

// SetWriteDeadline does nothing: a datagram is sent or lost at once.
func (r *records) SetWriteDeadline(time.Time) error { return nil }
