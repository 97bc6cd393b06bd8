package msrp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A conn is one connection. One goroutine reads it and one writes it; both end when it is
// closed.
type conn struct {
	e       *Endpoint
	from    netip.Addr
	unbound bool // by the endpoint's lock

	mu     sync.Mutex
	nc     net.Conn // with TLS, once that is agreed
	proof  []byte   // the peer's certificate; nil for none
	err    error    // why it is closed
	over   chan struct{}
	done   bool // no session is on it any more
	urgent [][]byte
	turns  []*Session // those that have something to send, in turn
	ready  chan struct{}
	bound  map[*Session]bool
}

func newConn(e *Endpoint, nc net.Conn) *conn {
	return &conn{e: e, nc: nc, over: make(chan struct{}), ready: make(chan struct{}, 1), bound: map[*Session]bool{}}
}

// secure does the handshake of TLS: as the server with the configuration of one.
func (c *conn) secure(own *tls.Config) error {
	t := tls.Server(c.nc, own)
	if own.VerifyConnection != nil {
		t = tls.Client(c.nc, own)
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.nc = t
	if all := t.ConnectionState().PeerCertificates; len(all) > 0 {
		c.proof = all[0].Raw
	}
	return nil
}

// net is the connection itself.
func (c *conn) net() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nc
}

// close ends the connection, and the sessions on it are told.
func (c *conn) close(why error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = why
	close(c.over)
	bound, nc, done := c.bound, c.nc, c.done
	c.bound = nil
	c.mu.Unlock()
	_ = nc.Close()
	c.e.leave(c)
	if !done && !errors.Is(why, errClosed) && !errors.Is(why, io.EOF) {
		c.e.Stats.Broken.Add(1)
		c.e.o.Log.Debug("connection of messages broke", "remote", nc.RemoteAddr().String(), "error", why)
	}
	for s := range bound {
		s.lost(c, why)
	}
}

func (c *conn) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// answer puts a response or a report before all else. A peer that reads none of them loses the
// connection.
func (c *conn) answer(m *Message) {
	c.mu.Lock()
	full := len(c.urgent) >= maxUrgent
	if !full && c.err == nil {
		c.urgent = append(c.urgent, m.Format())
	}
	c.mu.Unlock()
	if full {
		go c.close(errors.New("it reads nothing")) // ends at once; the caller may hold a session
		return
	}
	c.wake()
}

// has says that a session has something to send.
func (c *conn) has(s *Session) {
	c.mu.Lock()
	if c.err == nil && !slices.Contains(c.turns, s) {
		c.turns = append(c.turns, s)
	}
	c.mu.Unlock()
	c.wake()
}

// write sends what is urgent, and a chunk of each session in turn.
func (c *conn) write() {
	for {
		select {
		case <-c.over:
			return
		case <-c.ready:
		}
		for {
			b := c.next()
			if len(b) == 0 {
				break
			}
			nc := c.net()
			_ = nc.SetWriteDeadline(time.Now().Add(writeTime))
			if _, err := nc.Write(b); err != nil {
				c.close(err)
				return
			}
		}
	}
}

// next is what is to be written next; empty for nothing.
func (c *conn) next() []byte {
	c.mu.Lock()
	urgent := c.urgent
	c.urgent = nil
	var s *Session
	if len(urgent) == 0 && len(c.turns) > 0 {
		s, c.turns = c.turns[0], c.turns[1:]
	}
	c.mu.Unlock()
	if s == nil {
		return bytes.Join(urgent, nil)
	}
	b, more := s.chunk()
	if more {
		c.has(s)
	}
	if b == nil {
		return c.next()
	}
	return b
}

// read takes what the peer sends, until the connection is closed.
func (c *conn) read() {
	nc := c.net()
	r := NewReader(nc)
	for {
		deadline := time.Time{}
		if c.idle() {
			deadline = time.Now().Add(unboundTime)
		}
		_ = nc.SetReadDeadline(deadline)
		if err := c.take(r); err != nil {
			c.close(err)
			return
		}
	}
}

// idle reports whether no session is on the connection.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.bound) == 0
}

// take reads one message.
func (c *conn) take(r *Reader) error {
	m, err := r.Head()
	if err != nil {
		return err
	}
	s := c.e.session(m.To[0].Session)
	status := 200
	if m.Method != "" {
		if status = c.judge(s, m); status == 413 && m.Failure != "no" {
			c.answer(m.Respond(413)) // now, so that the rest need not come (RFC 4975 section 7.2)
		}
	}
	limit := c.e.o.MaxSize
	if status != 200 {
		limit = 0
	}
	over := false
	if m.Holds {
		if over, err = r.Body(m, limit); err != nil {
			return err
		}
	}
	switch {
	case m.Method == "" && s != nil:
		s.response(c, m)
	case m.Method == "":
		c.e.Stats.Strays.Add(1)
	case status == 200:
		s.request(c, m, over)
	case status == 413:
		s.drop(m)
	case m.Method != Report && m.Failure != "no":
		c.answer(m.Respond(status))
	}
	return nil
}

// judge says whether a request may come in, by its head.
func (c *conn) judge(s *Session, m *Message) int {
	if s == nil {
		c.e.Stats.Strays.Add(1)
		return 481
	}
	if status := s.bind(c, m); status != 200 {
		return status
	}
	switch m.Method {
	case Send:
		return s.parts.check(m)
	case Report, Nickname:
		if m.Problem != "" {
			return 400
		}
		return 200
	}
	return 501
}
