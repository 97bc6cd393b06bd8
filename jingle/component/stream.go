package component

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gosrc.io/xmpp"
	"gosrc.io/xmpp/stanza"
	"mellium.im/xmpp/jid"
)

// Options say where the server is and what the stream reports to. Only Domain is needed
// for a stream to be made; no Option may be changed after [New].
type Options struct {
	Domain string   // the component's own, such as "tel.example.org"
	Secret string   // shared with the server; never logged or traced
	Addrs  []string // host:port of the server, tried in order; default 127.0.0.1:5347

	// Dial opens a connection to the server. Default: TCP to Addrs, 5 seconds each. It
	// must end when its context does.
	Dial func(context.Context) (net.Conn, error)

	// Server is whom to ping. Default: the component itself, through the server, which
	// needs no other name and finds a second gateway on the same domain.
	Server string

	// Routes are tried in order; the first that matches gets the stanza.
	Routes []Route

	// State, where not nil, is told each change of the stream's state, one call at a
	// time, on the goroutine of Run. When it is told up, stanzas can be sent.
	State func(State)

	// Trace, where not nil, is given each stanza as it is on the wire, after it was read or
	// written. It may keep the bytes but not change them. Headers and the handshake are
	// not traced. Calls for one direction come one at a time and in order.
	Trace func(Direction, []byte)

	Log   *slog.Logger  // default: none
	NewID func() string // ids of IQs; default 96 random bits
	Ping  time.Duration // between pings; default 15 s
	Dead  time.Duration // silence after which the connection is given up; default 30 s
	Queue int           // stanzas waiting to be written; default 8192
	Asked int           // IQs waiting to be answered; default 8192
}

// A Direction is that of a traced stanza.
type Direction uint8

// The directions of [Options.Trace].
const (
	In Direction = iota
	Out
)

// A Route says which stanzas it takes, and what to do with them. A field left empty
// matches all. IQs of type result and error never reach a route: they end a request.
type Route struct {
	Kind  string              // IQ, Message or Presence
	Types []stanza.StanzaType // of the stanza; "" for none
	Space string              // namespace of a child
	Local string              // name of that same child

	// Handle runs on the goroutine that reads the stream, in order of arrival, so it must
	// not wait for anything. The stanza is the route's to keep. A panic ends nothing: it
	// is counted, logged, and an IQ is answered internal-server-error.
	Handle func(Stanza)
}

// A State is that of the stream, for readiness and metrics.
type State struct {
	Up    bool
	Cause Cause         // why it is down; empty when it is up
	Err   error         // the same in detail; nil when it is up
	Retry time.Duration // until the next attempt to connect
}

// A Cause is why the stream is down, as a word for metrics and logs.
type Cause string

// The causes.
const (
	Starting      Cause = "starting"       // no attempt has ended yet
	Unreachable   Cause = "unreachable"    // no connection
	Conflict      Cause = "conflict"       // another component holds the domain
	NotAuthorized Cause = "not-authorized" // xmpp.secret is wrong
	HostUnknown   Cause = "host-unknown"   // xmpp.domain is not a component of the server
	Replaced      Cause = "replaced"       // another component took the domain from us
	Closed        Cause = "closed"         // the server closed the stream or the connection
	Silent        Cause = "silent"         // nothing came for Options.Dead
	Broken        Cause = "broken"         // a stream error, or XML that cannot be followed
	Stopped       Cause = "stopped"        // the context of Run has ended
)

// A Stream is the component's stream to its server. Its methods may be called from any
// goroutine, also within a route.
type Stream struct {
	opt    Options
	domain jid.JID
	router *xmpp.Router
	stats  counters
	link   atomic.Pointer[link] // nil while down
	state  atomic.Pointer[State]
	asked  asked
	pinged atomic.Pointer[string] // id of the last ping to ourselves
	own    own
	secret atomic.Pointer[string]
	// changed has a slot for word of another secret.
	changed chan struct{}
	panic   struct {
		sync.Mutex
		logged time.Time
	}
}

var _ xmpp.Sender = (*Stream)(nil)

// New returns a stream that [Stream.Run] connects. An error means that the domain, or the
// server's, is none.
func New(opt Options) (*Stream, error) {
	domain, err := jid.Parse(opt.Domain)
	if err != nil {
		return nil, fmt.Errorf("component domain %q: %w", opt.Domain, err)
	}
	if domain.Localpart() != "" || domain.Resourcepart() != "" {
		return nil, fmt.Errorf("component domain %q: is not a domain", opt.Domain)
	}
	server := domain
	if opt.Server != "" {
		if server, err = jid.Parse(opt.Server); err != nil {
			return nil, fmt.Errorf("server %q: %w", opt.Server, err)
		}
	}
	opt.Domain, opt.Server = domain.String(), server.String()
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.NewID == nil {
		opt.NewID = newID
	}
	if len(opt.Addrs) == 0 {
		opt.Addrs = []string{"127.0.0.1:5347"}
	}
	if opt.Dial == nil {
		opt.Dial = dialer(opt.Addrs)
	}
	opt.Ping = or(opt.Ping, 15*time.Second)
	opt.Dead = or(opt.Dead, 30*time.Second)
	opt.Queue = or(opt.Queue, 8192)
	opt.Asked = or(opt.Asked, 8192)
	s := &Stream{opt: opt, domain: domain, changed: make(chan struct{}, 1)}
	s.secret.Store(&opt.Secret)
	s.asked.wait = make(map[string]*request)
	s.state.Store(&State{Cause: Starting, Err: errors.New("not connected yet")})
	s.router = s.newRouter(opt.Routes)
	return s, nil
}

// SetSecret changes the secret for the connections that follow; false says that it was that
// already. A stream that is down is tried again at once, one that is up stays.
func (s *Stream) SetSecret(secret string) bool {
	if *s.secret.Swap(&secret) == secret {
		return false
	}
	if !s.State().Up {
		select {
		case s.changed <- struct{}{}:
		default: // it knows
		}
	}
	return true
}

func or[T ~int | ~int64](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// newID returns 96 random bits, so that nobody can answer an IQ that was not sent to him.
func newID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// State returns the state of the stream now.
func (s *Stream) State() State { return *s.state.Load() }

// Answers reports whether the stream gets on, before ctx is done. One that is down does.
func (s *Stream) Answers(ctx context.Context) bool {
	l := s.link.Load()
	return l == nil || l.answers(ctx)
}

// Domain returns the component's domain, normalised.
func (s *Stream) Domain() string { return s.opt.Domain }

// NewID returns an id for a stanza, from the stream's source of ids.
func (s *Stream) NewID() string { return s.opt.NewID() }
