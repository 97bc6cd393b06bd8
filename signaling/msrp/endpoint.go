package msrp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how an endpoint works. The zero value of every field but the listeners is a
// working default.
type Options struct {
	// Plain and Secure are where peers connect, for msrp and msrps; both may be empty, then
	// peers have to be reached.
	Plain, Secure []net.Listener

	// Certificate is who we are. Needed for Secure, and to connect to msrps.
	Certificate func() (*tls.Certificate, error)

	// Roots are whom we believe where a peer says no fingerprint of its certificate. Default:
	// those of the machine.
	Roots func() *x509.CertPool

	// MaxSize is how long a message may be, in octets. Default 40000.
	MaxSize int

	// MaxSessions and MaxConns are how many there may be. Default 2000 and 1000.
	MaxSessions, MaxConns int

	// Dial connects to a peer. Default: TCP, within 10 s.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	// NewID makes the names of sessions and transactions: letters and digits that cannot be
	// guessed, 4 to 32 of them. Default: 96 random bits.
	NewID func() string

	// Log is told of connections that broke the protocol, at debug. Default: nobody is.
	Log *slog.Logger
}

// The bounds of one connection and one session.
const (
	chunkSize   = 2048             // octets of a body; a chunk longer than that must be interruptible (RFC 4975 section 5.1)
	maxUrgent   = 256              // responses and reports that wait for a slow peer
	maxQueue    = 64               // messages of one session that wait
	maxUnbound  = 16               // connections of one address without a session
	unboundTime = 15 * time.Second // for the first request on a connection
	writeTime   = 30 * time.Second // for a peer to take what is written
	replyTime   = 30 * time.Second // for a response (RFC 4975 section 7.1.2)
	dialTime    = 10 * time.Second
	farewell    = 200 * time.Millisecond // for the last response of a connection
)

func (o Options) withDefaults() Options {
	if o.MaxSize == 0 {
		o.MaxSize = 40000
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = 2000
	}
	if o.MaxConns == 0 {
		o.MaxConns = 1000
	}
	if o.Dial == nil {
		d := net.Dialer{Timeout: dialTime, KeepAliveConfig: keepAlive}
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	if o.NewID == nil {
		o.NewID = func() string {
			var b [12]byte
			_, _ = rand.Read(b[:]) // never fails (crypto/rand)
			return hex.EncodeToString(b[:])
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// keepAlive finds out that a peer has gone although nobody says anything.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// What is wrong with a session.
var (
	ErrFull    = errors.New("too many message sessions")
	ErrNowhere = errors.New("no way for message sessions of that kind")
	errClosed  = errors.New("closed")
)

// An Endpoint has the sessions and connections of one gateway. Its methods may be called from
// any goroutine.
type Endpoint struct {
	o     Options
	Stats Stats

	going context.Context // until Close
	stop  context.CancelFunc

	mu       sync.Mutex
	closed   bool
	sessions map[string]*Session // by name
	conns    map[*conn]bool
	unbound  map[netip.Addr]int // connections that peers have opened and not named a session on
	work     sync.WaitGroup
}

// Stats count what has happened.
type Stats struct {
	Conns, Refused atomic.Int64 // connections of peers; and those that were too many
	Broken         atomic.Int64 // connections that ended with a fault
	In, Out        atomic.Int64 // messages that came, or went, whole
	Strays         atomic.Int64 // requests for sessions that are not there
}

// New returns an endpoint that takes connections, until Close.
func New(o Options) *Endpoint {
	e := &Endpoint{o: o.withDefaults(), sessions: map[string]*Session{}, conns: map[*conn]bool{}, unbound: map[netip.Addr]int{}}
	e.going, e.stop = context.WithCancel(context.Background())
	for _, l := range o.Plain {
		e.work.Go(func() { e.accept(l, false) }) // until Close
	}
	for _, l := range o.Secure {
		e.work.Go(func() { e.accept(l, true) }) // until Close
	}
	return e
}

// Port is where peers connect; 0 if they cannot.
func (e *Endpoint) Port(secure bool) uint16 {
	all := e.o.Plain
	if secure {
		all = e.o.Secure
	}
	if len(all) == 0 {
		return 0
	}
	at, _ := netip.ParseAddrPort(all[0].Addr().String())
	return at.Port()
}

// MaxSize is how long a message may be, in octets.
func (e *Endpoint) MaxSize() int { return e.o.MaxSize }

// Active returns how many sessions and connections there are.
func (e *Endpoint) Active() (sessions, conns int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.sessions), len(e.conns)
}

// Close ends all sessions and connections.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.closed = true
	var all []*conn
	for c := range e.conns {
		all = append(all, c)
	}
	e.mu.Unlock()
	e.stop()
	for _, l := range append(e.o.Plain[:len(e.o.Plain):len(e.o.Plain)], e.o.Secure...) {
		_ = l.Close()
	}
	for _, c := range all {
		c.close(errClosed)
	}
	e.work.Wait()
}

// accept takes connections.
func (e *Endpoint) accept(l net.Listener, secure bool) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as no descriptors left
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if tc, ok := nc.(*net.TCPConn); ok {
			_ = tc.SetKeepAliveConfig(keepAlive)
		}
		from := sourceOf(nc)
		c := newConn(e, nc)
		c.unbound, c.from = true, from
		if !e.admit(c) {
			e.Stats.Refused.Add(1)
			_ = nc.Close()
			continue
		}
		e.Stats.Conns.Add(1)
		e.work.Go(func() { // until the connection is closed
			if secure {
				if err := c.secure(e.server()); err != nil {
					c.close(err)
				}
			}
			c.read()
		})
		e.work.Go(c.write) // until the connection is closed
	}
}

func sourceOf(nc net.Conn) netip.Addr {
	at, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
	return at.Addr().Unmap()
}

// admit counts a connection, if there is room for it.
func (e *Endpoint) admit(c *conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.conns) >= e.o.MaxConns || c.unbound && e.unbound[c.from] >= maxUnbound {
		return false
	}
	e.conns[c] = true
	if c.unbound {
		e.unbound[c.from]++
	}
	return true
}

// settle says that a connection has a session. It is for the holder of the lock.
func (e *Endpoint) settle(c *conn) {
	if !c.unbound {
		return
	}
	c.unbound = false
	if e.unbound[c.from]--; e.unbound[c.from] <= 0 {
		delete(e.unbound, c.from)
	}
}

// leave forgets a connection.
func (e *Endpoint) leave(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle(c)
	delete(e.conns, c)
}

// Open begins a session: it has an address, and waits for Connect to say who is at the other
// end. at is our address as peers see it. What happens is given to handle, on the goroutines
// of connections; it must not wait.
func (e *Endpoint) Open(secure bool, at netip.Addr, handle func(Event)) (*Session, error) {
	port := e.Port(secure)
	if secure && e.o.Certificate == nil {
		return nil, ErrNowhere
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.sessions) >= e.o.MaxSessions {
		return nil, ErrFull
	}
	if port == 0 {
		port = 9 // nobody can connect to us; the port says so (RFC 6135 section 4.2.2)
	}
	s := &Session{
		e: e, path: NewURI(secure, netip.AddrPortFrom(at, port), e.o.NewID()), handle: handle,
		parts: assembly{limit: e.o.MaxSize}, pending: map[string]*outgoing{},
	}
	e.sessions[s.path.Session] = s
	return s, nil
}

// session is the one of that name; nil if there is none.
func (e *Endpoint) session(name string) *Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sessions[name]
}

func (e *Endpoint) forget(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, s.path.Session)
}
