package stack

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/gate"
)

// maxUnwritten bounds, in bytes, what waits for a peer that does not read.
const maxUnwritten = 1 << 18

// A conn is a guarded stream connection. sipgo reads from it, and gets one clean message
// after the other; the stack writes to it, which never blocks: what is written waits for
// the goroutine in write.
type conn struct {
	s         *Stack
	port      *port // nil when we opened it
	inner     net.Conn
	transport Transport
	local     netip.AddrPort
	remote    netip.AddrPort
	known     bool
	opened    bool // by us

	// Of the goroutine that reads, which is sipgo's.
	buf     []byte
	clean   []byte // what it has not fetched of the message
	pending bool   // it has not handed on the message
	since   time.Time

	mu     sync.Mutex
	out    [][]byte
	size   int
	closed bool
	wake   chan struct{} // holds one when out has something, or closed is set
	done   chan struct{} // closed when write has ended
}

func newConn(s *Stack, p *port, inner net.Conn, t Transport, known bool) *conn {
	return &conn{
		s: s, port: p, inner: inner, transport: t, known: known, opened: p == nil,
		local: addrPort(inner.LocalAddr()), remote: addrPort(inner.RemoteAddr()),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// start makes the connection write. The goroutine ends with Close.
func (c *conn) start() { c.s.wg.Go(c.write) }

// take is called when sipgo hands on a message.
func (c *conn) take() arrival {
	c.pending = false
	return arrival{port: c.port, conn: c, remote: c.remote, known: c.known}
}

// Read returns bytes of clean messages. An error ends the connection.
func (c *conn) Read(b []byte) (int, error) {
	if c.pending && len(c.clean) == 0 {
		// sipgo wants more although it has had the whole message, and so does not
		// understand it: the next would be taken for the rest of it.
		c.s.count.unparsed.Add(1)
		return 0, io.EOF
	}
	for len(c.clean) == 0 {
		if err := c.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.clean)
	c.clean = c.clean[n:]
	// sipgo takes zeros for nothing at all, so it must not get them alone.
	if len(bytes.Trim(c.clean, "\x00")) == 0 && len(c.clean) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fetch brings the next clean message, or reads what there is of it.
func (c *conn) fetch() error {
	s := c.s
	if c.keepalives(); len(c.buf) > 0 {
		n, ok := gate.Frame(c.buf, or(s.o.Gate.Stream, 65535))
		if !ok {
			s.count.dropped.Add(1)
			return io.EOF
		}
		if n > 0 {
			raw := c.buf[:n]
			from := arrival{port: c.port, conn: c, remote: c.remote, known: c.known || c.opened}
			if err := c.pace(from, raw); err != nil {
				return err
			}
			clean, ok := s.judge(raw, c.transport, from, c.local,
				func(answer []byte, _ netip.AddrPort) { _ = c.sendMessage(answer) }) // if it is lost, so is the peer
			c.buf = append(c.buf[:0], c.buf[n:]...)
			c.since = time.Time{}
			if len(clean) > sip.ParseMaxMessageLength {
				clean = nil
			}
			c.clean, c.pending = clean, clean != nil
			if !ok {
				return io.EOF
			}
			return nil
		}
	}
	return c.receive()
}

// pace waits until the message may be looked at. Nothing is dropped, since nothing would
// come again over a stream: the peer is read more slowly.
func (c *conn) pace(from arrival, raw []byte) error {
	s := c.s
	s.count.received.Add(1)
	for n := 0; !s.inTime(from, bytes.TrimLeft(raw, "\r\n")); n++ {
		if n == 0 {
			s.count.throttled.Add(1)
		}
		if !s.wait(20 * time.Millisecond) {
			return io.EOF
		}
	}
	return nil
}

// receive reads once, for as long as a message may take to come in, or as the peer may be
// silent.
func (c *conn) receive() error {
	s := c.s
	idle := s.limits.Idle
	if c.known || c.opened {
		idle = s.limits.KnownIdle
	}
	deadline := time.Now().Add(idle)
	if len(c.buf) > 0 {
		if c.since.IsZero() {
			c.since = time.Now()
		}
		deadline = c.since.Add(s.limits.Message)
	}
	if err := c.inner.SetReadDeadline(deadline); err != nil {
		return err
	}
	var chunk [4096]byte
	n, err := c.inner.Read(chunk[:])
	c.buf = append(c.buf, chunk[:n]...)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		s.count.connsSlow.Add(1)
		return io.EOF
	}
	return err
}

// keepalives takes empty lines from between messages (RFC 5626 section 3.5.1): two are a
// ping and get one back, one is the answer to our own.
func (c *conn) keepalives() {
	for bytes.HasPrefix(c.buf, []byte("\r\n\r\n")) {
		c.buf = c.buf[4:]
		if c.send([]byte("\r\n")) != nil {
			return
		}
	}
	if c.opened && string(c.buf) == "\r\n" {
		c.buf = nil
	}
}

// sendMessage sends a message; see port.write.
func (c *conn) sendMessage(raw []byte) error {
	c.s.trace(true, c.transport, c.local, c.remote, raw)
	if err := c.send(raw); err != nil {
		return err
	}
	c.s.count.sent.Add(1)
	return nil
}

// send queues bytes to be written. An error says that the connection is closed, or is
// closed now because the peer does not read.
func (c *conn) send(raw []byte) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	if c.size+len(raw) > maxUnwritten {
		c.mu.Unlock()
		c.Close()
		return errors.New("peer does not read")
	}
	c.out = append(c.out, append([]byte(nil), raw...))
	c.size += len(raw)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// write writes what is queued, and keeps connections that we opened alive, until the
// connection is closed; then it closes the socket.
func (c *conn) write() {
	defer close(c.done)
	defer c.inner.Close()
	defer c.Close()
	defer c.s.lost(c)
	var tick <-chan time.Time
	if c.opened {
		t := time.NewTicker(c.s.limits.Keepalive)
		defer t.Stop()
		tick = t.C
	}
	for {
		c.mu.Lock()
		out, closed := c.out, c.closed
		c.out, c.size = nil, 0
		c.mu.Unlock()
		limit := c.s.limits.Write
		if closed {
			limit = min(limit, time.Second)
		}
		if len(out) > 0 {
			if c.inner.SetWriteDeadline(time.Now().Add(limit)) != nil {
				return
			}
		}
		for _, raw := range out {
			if _, err := c.inner.Write(raw); err != nil {
				return
			}
		}
		if closed {
			return
		}
		select {
		case <-c.wake:
		case <-tick:
			_ = c.send([]byte("\r\n\r\n")) // an error comes up in the next round
		}
	}
}

// Close ends the connection; what is queued is still written.
func (c *conn) Close() error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	c.s.conns.remove(c)
	// Reading ends now; the write goroutine closes the socket.
	_ = c.inner.SetReadDeadline(time.Unix(1, 0))
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

func (c *conn) Write([]byte) (int, error)        { return 0, errors.ErrUnsupported }
func (c *conn) LocalAddr() net.Addr              { return c.inner.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr             { return c.inner.RemoteAddr() }
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// A connTable holds the connections there are.
type connTable struct {
	limits Limits

	mu       sync.Mutex
	all      map[connKey]*conn
	sources  map[netip.Addr]int // accepted, by address
	accepted int
	closed   bool
}

type connKey struct {
	transport Transport
	remote    netip.AddrPort
}

func newConnTable(l Limits) *connTable {
	return &connTable{limits: l, all: map[connKey]*conn{}, sources: map[netip.Addr]int{}}
}

// add takes a connection in, unless there are too many; those that we opened always fit.
func (t *connTable) add(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr := c.remote.Addr()
	switch {
	case t.closed:
		return false
	case c.opened:
	case t.accepted >= t.limits.Conns || t.sources[addr] >= t.limits.SourceConns:
		return false
	default:
		t.accepted++
		t.sources[addr]++
	}
	t.all[connKey{c.transport, c.remote}] = c
	return true
}

func (t *connTable) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := connKey{c.transport, c.remote}
	if t.all[key] == c {
		delete(t.all, key)
	}
	if c.opened {
		return
	}
	t.accepted--
	if t.sources[c.remote.Addr()]--; t.sources[c.remote.Addr()] == 0 {
		delete(t.sources, c.remote.Addr())
	}
}

func (t *connTable) get(tr Transport, remote netip.AddrPort) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[connKey{tr, remote}]
}

// bySource finds the connection that sipgo names by its remote address.
func (t *connTable) bySource(tr Transport, source string) *conn {
	ap, err := netip.ParseAddrPort(source)
	if err != nil {
		return nil
	}
	return t.get(tr, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
}

func (t *connTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// closeAll closes all, and lets no more in.
func (t *connTable) closeAll() {
	t.mu.Lock()
	t.closed = true
	var all []*conn
	for _, c := range t.all {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}
