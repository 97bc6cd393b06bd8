package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// An injector is a listener whose connections are those that we opened: so sipgo reads
// from them as from any other.
type injector struct {
	s     *Stack
	layer *sip.TransportLayer
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}

	mu      sync.Mutex
	dialing map[connKey][]func(*conn, error) // who waits for a connection, in order
}

func newInjector(s *Stack) *injector {
	in := &injector{
		s: s, conns: make(chan net.Conn), done: make(chan struct{}),
		dialing: map[connKey][]func(*conn, error){},
	}
	in.layer = newLayer(s, in.take)
	return in
}

// run serves the connections until Close.
func (in *injector) run() {
	_ = in.layer.ServeTCP(in) // it returns why Accept did: closed
}

func (in *injector) take(msg sip.Message) {
	c := in.s.conns.bySource(msg.Source())
	if c == nil {
		return
	}
	from := c.take()
	msg.SetSource(from.remote.String())
	in.s.accept(msg, from)
}

func (in *injector) Accept() (net.Conn, error) {
	select {
	case c := <-in.conns:
		return c, nil
	case <-in.done:
		return nil, net.ErrClosed
	}
}

func (in *injector) Close() error {
	in.once.Do(func() { close(in.done) })
	return nil
}

func (in *injector) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// connect calls f with the connection to a peer: at once when there is one, else from
// another goroutine when it is open or has failed. Those who wait for the same one are
// called in the order in which they came.
func (in *injector) connect(key connKey, f func(*conn, error)) {
	in.mu.Lock()
	waiting, dialing := in.dialing[key]
	if c := in.s.conns.get(key); c != nil && !dialing {
		in.mu.Unlock()
		f(c, nil)
		return
	}
	in.dialing[key] = append(waiting, f)
	in.mu.Unlock()
	if dialing {
		return
	}
	if !in.s.spawn(func() { in.finish(key, in.dial(key)) }) {
		in.finish(key, func() (*conn, error) { return nil, ErrClosed })
	}
}

// finish tells those who wait, also those who come meanwhile.
func (in *injector) finish(key connKey, result func() (*conn, error)) {
	c, err := result()
	for {
		in.mu.Lock()
		waiting := in.dialing[key]
		if len(waiting) == 0 {
			delete(in.dialing, key)
			in.mu.Unlock()
			return
		}
		in.dialing[key] = waiting[1:]
		in.mu.Unlock()
		waiting[0](c, err)
	}
}

func (in *injector) dial(key connKey) func() (*conn, error) {
	s := in.s
	return func() (*conn, error) {
		inner, rest, domains, err := in.open(key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTransport, err)
		}
		known, _ := s.admits(key.remote, key.transport)
		c := newConn(s, nil, inner, key.transport, known)
		c.remote, c.name, c.buf = key.remote, key.name, rest
		if in, _ := s.conns.add(c); !in { // nobody makes room for it
			inner.Close()
			return nil, ErrClosed
		}
		s.conns.prove(c, domains)
		c.start()
		select {
		case in.conns <- c:
		case <-in.done:
			c.Close()
			return nil, ErrClosed
		}
		return c, nil
	}
}

// open makes a connection as far as messages can go over it. Domains are those that the
// peer's certificate has proved, rest is what has come from it already.
func (in *injector) open(key connKey) (conn net.Conn, rest []byte, domains []string, err error) {
	s := in.s
	if key.transport.Secure() && (key.name == "" || s.o.Secure == nil) {
		return nil, nil, nil, errors.New("the connection is gone, and it was the peer's to open")
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.limits.Connect)
	defer cancel()
	dial := s.o.Dial
	if dial == nil {
		dial = s.dialAny
	}
	raw, err := dial(ctx, key.transport, key.remote)
	if err != nil {
		return nil, nil, nil, err
	}
	conn = raw
	if key.transport.Secure() {
		secured := tls.Client(raw, s.o.Secure.client(key.name, func(d []string) { domains = d }))
		conn, err = secured, secured.HandshakeContext(ctx)
	}
	if key.transport.web() && err == nil {
		host := net.JoinHostPort(or(key.name, key.remote.Addr().String()), strconv.Itoa(int(key.remote.Port())))
		rest, err = begin(ctx, conn, host, key.transport.Secure())
	}
	if err != nil {
		s.count.handshakes.Add(1)
		s.log.Warn("handshake failed", "remote", key.remote.String(), "transport", string(key.transport), "name", key.name, "error", err)
		raw.Close()
		return nil, nil, nil, err
	}
	return conn, rest, domains, nil
}

// dialAny connects by the sockets of the system.
func (s *Stack) dialAny(ctx context.Context, t Transport, remote netip.AddrPort) (net.Conn, error) {
	if t == SCTP {
		return dialSCTP(ctx, remote)
	}
	d := net.Dialer{Control: s.o.Control}
	return d.DialContext(ctx, "tcp", remote.String())
}

// spawn runs f in a goroutine that Close waits for. It is false when the stack is closed.
func (s *Stack) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.errands.Go(f)
	return true
}
