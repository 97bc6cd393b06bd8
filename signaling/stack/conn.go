package stack

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/gobwas/ws"

	"sipxmppgw/signaling/gate"
)

// maxUnwritten bounds, in bytes, what waits for a peer that does not read.
const maxUnwritten = 1 << 18

// A conn is a guarded connection: of TCP, TLS, SCTP or a WebSocket. sipgo reads from it, and
// gets one clean message after the other; the stack writes to it, which never blocks: what is
// written waits for the goroutine in write.
type conn struct {
	s         *Stack
	port      *port // nil when we opened it
	inner     net.Conn
	transport Transport
	local     netip.AddrPort
	remote    netip.AddrPort
	name      string // whom we opened it to, over TLS and WSS
	opened    bool   // by us

	// Of the table.
	id      uint64
	keys    []connKey
	domains []string // that the peer's certificate proved
	aliases []uint16
	ready   bool // its handshakes are over
	strange bool // nobody knows who has opened it

	// Of the goroutine that reads, which is sipgo's.
	known   atomic.Bool // set elsewhere too, when it has proved who it is
	begun   bool        // the handshakes are over
	web     *webSocket  // nil for streams
	buf     []byte
	clean   []byte    // what it has not fetched of the message
	pending bool      // it has not handed on the message
	since   time.Time // the first byte of the message came
	headed  time.Time // its headers were there

	// Of what keeps it open, if we opened it.
	every   atomic.Int64 // between pings, in nanoseconds
	heard   atomic.Int64 // when something has come last, in nanoseconds since 1970
	answers atomic.Bool  // the peer has answered a ping

	mu     sync.Mutex
	out    [][]byte
	size   int
	closed bool
	wake   chan struct{} // holds one when out has something, or closed is set
	done   chan struct{} // closed when write has ended
}

func newConn(s *Stack, p *port, inner net.Conn, t Transport, known bool) *conn {
	c := &conn{
		s: s, port: p, inner: inner, transport: t, opened: p == nil,
		local: addrPort(inner.LocalAddr()), remote: addrPort(inner.RemoteAddr()),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	c.known.Store(known)
	c.every.Store(int64(s.limits.Keepalive))
	c.begun = c.opened // with the handshakes behind it
	if t.web() {
		c.web = &webSocket{client: c.opened}
	}
	return c
}

// start makes the connection write. The goroutine ends with Close.
func (c *conn) start() { c.s.wg.Go(c.write) }

// take is called when sipgo hands on a message.
func (c *conn) take() arrival {
	c.pending = false
	return arrival{port: c.port, conn: c, remote: c.remote, known: c.known.Load() || c.opened}
}

// Read returns bytes of clean messages. An error ends the connection.
func (c *conn) Read(b []byte) (int, error) {
	if c.pending && len(c.clean) == 0 {
		// sipgo wants more although it has had the whole message. It does not understand it,
		// and would take the next for the rest of it; or the connection was closed while it
		// read, and then nobody took what it handed on.
		c.mu.Lock()
		closed := c.closed
		c.mu.Unlock()
		if !closed {
			c.s.count.unparsed.Add(1)
		}
		return 0, io.EOF
	}
	if !c.begun {
		c.begun = true
		if err := c.handshake(); err != nil {
			return 0, err
		}
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

// handshake makes a connection that a peer opened ready for messages: TLS, and the beginning
// of a WebSocket, in the time that one message has. Who nobody knows by its address may be
// known by its certificate.
func (c *conn) handshake() error {
	s := c.s
	failed := func(err error) error {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			s.count.connsSlow.Add(1)
		} else {
			s.count.handshakes.Add(1)
		}
		level := slog.LevelDebug
		if c.known.Load() {
			level = slog.LevelWarn
		}
		s.log.Log(s.ctx, level, "handshake failed", "remote", c.remote.String(), "transport", string(c.transport), "error", err)
		return io.EOF
	}
	deadline := time.Now().Add(s.limits.Message)
	if err := c.inner.SetDeadline(deadline); err != nil {
		return err
	}
	if secured, ok := c.inner.(*tls.Conn); ok {
		if err := secured.HandshakeContext(s.ctx); err != nil {
			return failed(err)
		}
		peer := Peer{Addr: c.remote, Transport: c.transport}
		if chain := secured.ConnectionState().PeerCertificates; len(chain) > 0 {
			_, roots := s.o.Secure.Keys.current()
			var err error
			if peer.Domains, err = proven(chain, roots); err != nil {
				s.log.Debug("certificate proves nothing", "remote", c.remote.String(), "error", err)
			}
			s.conns.prove(c, peer.Domains)
		}
		if s.certifies() && s.o.Identified(peer) {
			c.known.Store(true)
		}
		if !c.known.Load() && !s.o.Strangers && s.screen() == nil {
			s.count.strangers.Add(1)
			s.log.Debug("no trunk has this certificate", "remote", c.remote.String(), "domains", strings.Join(peer.Domains, " "))
			return io.EOF
		}
	}
	if c.web != nil {
		rest, err := upgrade(c.inner, s.o.Origins)
		if err != nil {
			return failed(err)
		}
		c.buf = rest
	}
	s.conns.settle(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return io.EOF
	}
	return c.inner.SetDeadline(time.Time{})
}

// fetch brings the next clean message, or reads what there is of it.
func (c *conn) fetch() error {
	raw, err := c.cut()
	if err != nil {
		if !errors.Is(err, errEnded) {
			c.s.count.dropped.Add(1)
		}
		return io.EOF
	}
	if raw == nil {
		return c.receive()
	}
	c.since, c.headed = time.Time{}, time.Time{}
	s := c.s
	from := arrival{port: c.port, conn: c, remote: c.remote, known: c.known.Load() || c.opened}
	if err := c.pace(from, raw); err != nil {
		return err
	}
	clean, ok := s.judge(raw, c.transport, from, c.local,
		func(answer []byte, _ netip.AddrPort) { _ = c.sendMessage(answer) }) // if it is lost, so is the peer
	if len(clean) > sip.ParseMaxMessageLength {
		clean = nil
	}
	c.clean, c.pending = clean, clean != nil
	if !ok {
		return io.EOF
	}
	return nil
}

// cut takes a message from what has come, or nothing if there is none yet. An error says that
// the peer cannot be understood.
func (c *conn) cut() ([]byte, error) {
	limit := or(c.s.rules().Stream, 65535)
	if c.web != nil {
		return c.cutWeb(limit)
	}
	if c.keepalives(); len(c.buf) == 0 {
		return nil, nil
	}
	n, ok := gate.Frame(c.buf, limit)
	if !ok {
		return nil, errors.New("not SIP")
	}
	if n == 0 {
		return nil, nil
	}
	raw := slices.Clone(c.buf[:n])
	c.buf = append(c.buf[:0], c.buf[n:]...)
	return raw, nil
}

// cutWeb is cut for a WebSocket. What is not a message is answered here.
func (c *conn) cutWeb(limit int) ([]byte, error) {
	for {
		n, msg, ctl, err := c.web.next(c.buf, limit)
		if err != nil || n == 0 {
			return nil, err
		}
		c.buf = append(c.buf[:0], c.buf[n:]...)
		switch {
		case ctl != nil && ctl.op == ws.OpPing:
			_ = c.send(c.web.frame(ws.OpPong, ctl.payload)) // if it is lost, so is the peer
		case ctl != nil && ctl.op == ws.OpClose:
			_ = c.send(c.web.frame(ws.OpClose, ctl.payload))
			return nil, errEnded
		case string(msg) == "\r\n\r\n": // RFC 5626 section 4.4.1
			_ = c.send(c.web.encode([]byte("\r\n")))
		case len(bytes.Trim(msg, "\r\n")) > 0:
			return msg, nil
		}
		if len(c.buf) == 0 && !c.web.open {
			c.since = time.Time{}
		}
	}
}

// errEnded says that the peer has closed a WebSocket.
var errEnded = errors.New("closed by the peer")

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
	if c.known.Load() || c.opened {
		idle = s.limits.KnownIdle
	}
	deadline := time.Now().Add(idle)
	if len(c.buf) > 0 || c.web != nil && c.web.open {
		if c.since.IsZero() {
			c.since = time.Now()
		}
		deadline = c.since.Add(s.limits.Message)
		if c.web == nil && bytes.Contains(bytes.TrimLeft(c.buf, "\r\n"), []byte("\r\n\r\n")) {
			if c.headed.IsZero() {
				c.headed = time.Now()
			}
			if body := c.headed.Add(s.limits.Body); body.Before(deadline) {
				deadline = body
			}
		}
	}
	if err := c.inner.SetReadDeadline(deadline); err != nil {
		return err
	}
	var chunk [4096]byte
	n, err := c.inner.Read(chunk[:])
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
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
	if c.opened && bytes.HasPrefix(c.buf, []byte("\r\n")) && string(c.buf) != "\r\n\r" {
		c.buf = c.buf[2:]
		c.answers.Store(true)
	}
}

// sendMessage sends a message; see port.write.
func (c *conn) sendMessage(raw []byte) error {
	c.s.trace(true, c.transport, c.local, c.remote, raw)
	if c.web != nil {
		raw = c.web.encode(raw)
	}
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
	defer c.s.lost(c)
	defer c.Close() // nothing is sent over it any more when others hear that it is lost
	var tick, late <-chan time.Time
	var pings *time.Ticker
	every, pinged := c.every.Load(), int64(0)
	if c.opened {
		pings = time.NewTicker(time.Duration(every))
		defer pings.Stop()
		tick = pings.C
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
		if now := c.every.Load(); pings != nil && now != every {
			every = now
			pings.Reset(time.Duration(every))
		}
		select {
		case <-c.wake:
		case <-tick:
			pinged = time.Now().UnixNano()
			_ = c.send(c.ping()) // an error comes up in the next round
			late = time.After(pongTime)
		case <-late:
			if c.answers.Load() && c.heard.Load() < pinged {
				c.s.log.Info("connection is dead: a ping was not answered", "remote", c.remote.String(), "transport", string(c.transport))
				return
			}
		}
	}
}

// pongTime is how long a peer that answers pings has to answer one (RFC 5626 section 4.4.1).
const pongTime = 10 * time.Second

// hasten has a connection that we opened kept open more often than others.
func (c *conn) hasten(every time.Duration) {
	if every < time.Duration(c.every.Load()) {
		c.every.Store(int64(every))
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// ping is what keeps a connection open that we opened (RFC 5626 section 4.4.1, RFC 7118
// section 6).
func (c *conn) ping() []byte {
	if c.web != nil {
		return c.web.frame(ws.OpPing, nil)
	}
	return []byte("\r\n\r\n")
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
func (c *conn) RemoteAddr() net.Addr             { return connAddr(c.id) }
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
