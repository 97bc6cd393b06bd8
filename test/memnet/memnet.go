// Package memnet is a network in memory for tests: datagrams and connections between
// named addresses, without sockets.
//
// All waiting is on channels and condition variables, and all deadlines are timers, so
// that it works inside a bubble of testing/synctest, in its time.
package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	queued   = 8192    // datagrams that wait at a socket; more are lost
	buffered = 1 << 18 // bytes that wait on a connection; more block the writer
)

// A Net is a network.
type Net struct {
	mu        sync.Mutex
	packets   map[netip.AddrPort]*PacketConn
	listeners map[netip.AddrPort]*Listener
	port      uint16 // given out last
	lose      func(from, to netip.AddrPort, b []byte) bool
}

// New returns an empty network.
func New() *Net {
	return &Net{
		packets:   map[netip.AddrPort]*PacketConn{},
		listeners: map[netip.AddrPort]*Listener{},
		port:      32768,
	}
}

// Lose sets which datagrams are lost on the way. It replaces what was set before; nil
// loses none.
func (n *Net) Lose(f func(from, to netip.AddrPort, b []byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = f
}

func (n *Net) parse(addr string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(addr)
	if err == nil && a.Port() == 0 {
		n.port++
		a = netip.AddrPortFrom(a.Addr(), n.port)
	}
	return a, err
}

// ListenPacket returns a socket for datagrams at an address such as "192.0.2.1:5060"; port
// 0 gives a free one.
func (n *Net) ListenPacket(addr string) (*PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.parse(addr)
	if err != nil {
		return nil, err
	}
	if n.packets[a] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(a), Err: syscall.EADDRINUSE}
	}
	p := &PacketConn{net: n, addr: a}
	p.wake.L = &p.mu
	n.packets[a] = p
	return p, nil
}

// Listen returns a listener for connections at an address.
func (n *Net) Listen(addr string) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.parse(addr)
	if err != nil {
		return nil, err
	}
	if n.listeners[a] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(a), Err: syscall.EADDRINUSE}
	}
	l := &Listener{net: n, addr: a, conns: make(chan net.Conn, 4096), errs: make(chan error, 16), done: make(chan struct{})}
	n.listeners[a] = l
	return l, nil
}

// Dial opens a connection from a free port of local to remote. It is refused when nobody
// listens there.
func (n *Net) Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	l := n.listeners[remote]
	n.port++
	from := netip.AddrPortFrom(local, n.port)
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	there, back := newHalf(), newHalf()
	ours := &conn{in: back, out: there, local: from, remote: remote}
	theirs := &conn{in: there, out: back, local: remote, remote: from}
	select {
	case <-l.done:
		return nil, refused
	case l.conns <- theirs:
		return ours, nil
	default:
		return nil, refused
	}
}

// A PacketConn is a socket for datagrams.
type PacketConn struct {
	net  *Net
	addr netip.AddrPort

	mu       sync.Mutex
	wake     sync.Cond
	queue    []datagram
	closed   bool
	deadline deadline
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

// ReadFrom reads the next datagram; what does not fit is cut off.
func (p *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 {
		switch {
		case p.closed:
			return 0, nil, p.error("read", net.ErrClosed)
		case p.deadline.passed:
			return 0, nil, p.error("read", os.ErrDeadlineExceeded)
		}
		p.wake.Wait()
	}
	d := p.queue[0]
	p.queue = p.queue[1:]
	return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), nil
}

// WriteTo sends a datagram. It is lost when nobody is there.
func (p *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return 0, p.error("write", net.ErrClosed)
	}
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, p.error("write", errors.New("not an address for datagrams"))
	}
	a := u.AddrPort()
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	p.net.mu.Lock()
	there, lose := p.net.packets[a], p.net.lose
	p.net.mu.Unlock()
	if there == nil || lose != nil && lose(p.addr, a, b) {
		return len(b), nil
	}
	there.mu.Lock()
	defer there.mu.Unlock()
	if !there.closed && len(there.queue) < queued {
		there.queue = append(there.queue, datagram{p.addr, append([]byte(nil), b...)})
		there.wake.Broadcast()
	}
	return len(b), nil
}

func (p *PacketConn) error(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Addr: p.LocalAddr(), Err: err}
}

// Close frees the address.
func (p *PacketConn) Close() error {
	p.net.mu.Lock()
	if p.net.packets[p.addr] == p {
		delete(p.net.packets, p.addr)
	}
	p.net.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return p.error("close", net.ErrClosed)
	}
	p.closed = true
	p.deadline.stop()
	p.wake.Broadcast()
	return nil
}

// LocalAddr returns a *net.UDPAddr.
func (p *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.addr) }

// SetDeadline is SetReadDeadline, since writing never waits.
func (p *PacketConn) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetReadDeadline bounds ReadFrom.
func (p *PacketConn) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline.set(t, &p.mu, &p.wake)
	return nil
}

// SetWriteDeadline does nothing.
func (p *PacketConn) SetWriteDeadline(time.Time) error { return nil }

// A Listener accepts connections.
type Listener struct {
	net   *Net
	addr  netip.AddrPort
	conns chan net.Conn
	errs  chan error
	once  sync.Once
	done  chan struct{}
}

// Fail makes the next Accept return an error, such as one that wraps EMFILE.
func (l *Listener) Fail(err error) { l.errs <- err }

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
	}
	select {
	case err := <-l.errs:
		return nil, err
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close frees the address; connections that nobody accepted are closed.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		if l.net.listeners[l.addr] == l {
			delete(l.net.listeners, l.addr)
		}
		l.net.mu.Unlock()
		for {
			select {
			case c := <-l.conns:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}

// Addr returns a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// A deadline belongs to the lock of who waits.
type deadline struct {
	timer  *time.Timer
	passed bool
	number int
}

func (d *deadline) stop() {
	d.number++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) set(t time.Time, mu *sync.Mutex, wake *sync.Cond) {
	d.stop()
	d.passed = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.passed = true
		wake.Broadcast()
		return
	}
	number := d.number
	d.timer = time.AfterFunc(left, func() {
		mu.Lock()
		defer mu.Unlock()
		if d.number == number {
			d.passed = true
			wake.Broadcast()
		}
	})
}

// A half is one direction of a connection.
type half struct {
	mu          sync.Mutex
	wake        sync.Cond
	buf         []byte
	ended       bool // by the writer
	cut         bool // by the reader
	read, write deadline
}

func newHalf() *half {
	h := &half{}
	h.wake.L = &h.mu
	return h
}

type conn struct {
	in, out       *half
	local, remote netip.AddrPort
}

func (c *conn) error(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *conn) Read(b []byte) (int, error) {
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.cut:
			return 0, c.error("read", net.ErrClosed)
		case h.read.passed:
			return 0, c.error("read", os.ErrDeadlineExceeded)
		case len(h.buf) > 0:
			n := copy(b, h.buf)
			h.buf = h.buf[n:]
			h.wake.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.wake.Wait()
	}
}

func (c *conn) Write(b []byte) (int, error) {
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	done := 0
	for {
		switch {
		case h.ended:
			return done, c.error("write", net.ErrClosed)
		case h.cut:
			return done, c.error("write", syscall.EPIPE)
		case h.write.passed:
			return done, c.error("write", os.ErrDeadlineExceeded)
		}
		n := min(len(b)-done, buffered-len(h.buf))
		h.buf = append(h.buf, b[done:done+n]...)
		done += n
		h.wake.Broadcast()
		if done == len(b) {
			return done, nil
		}
		h.wake.Wait()
	}
}

func (c *conn) Close() error {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		if h == c.in {
			h.cut = true
			h.read.stop()
		} else {
			h.ended = true
			h.write.stop()
		}
		h.wake.Broadcast()
		h.mu.Unlock()
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.read.set(t, &c.in.mu, &c.in.wake)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.write.set(t, &c.out.mu, &c.out.wake)
	return nil
}
