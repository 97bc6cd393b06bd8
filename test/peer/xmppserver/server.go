// Package xmppserver is a small XMPP server inside the process, for tests and the demo:
// one domain whose users log in by a function call, and external components over a real
// socket (XEP-0114). It routes as RFC 6121 says and is as strict with components as
// Prosody is, and remembers every fault it saw in them.
package xmppserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"sipxmppgw/test/peer/element"
)

// The namespaces the server speaks itself.
const (
	nsClient     = "jabber:client"
	nsComponent  = "jabber:component:accept"
	nsStream     = "http://etherx.jabber.org/streams"
	nsStreams    = "urn:ietf:params:xml:ns:xmpp-streams"
	nsStanzas    = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsRoster     = "jabber:iq:roster"
	nsPing       = "urn:xmpp:ping"
	nsDiscoInfo  = "http://jabber.org/protocol/disco#info"
	nsDiscoItems = "http://jabber.org/protocol/disco#items"
	nsCarbons    = "urn:xmpp:carbons:2"
	nsForward    = "urn:xmpp:forward:0"
	nsHints      = "urn:xmpp:hints"
	nsDelay      = "urn:xmpp:delay"
	nsExtdisco   = "urn:xmpp:extdisco:2"
	nsVersion    = "jabber:iq:version"
	nsTime       = "urn:xmpp:time"
	nsSession    = "urn:ietf:params:xml:ns:xmpp-session"
	nsJMI        = "urn:xmpp:jingle-message:0"
)

// Options say what the server serves.
type Options struct {
	Domain       string            // of its users; default xmpp.example
	Addr         string            // where components connect to; default 127.0.0.1:0
	Components   map[string]string // domain and secret of each component
	StanzaLimit  int               // in bytes, for what a component sends; default 512 KiB
	StoreOffline bool              // keep messages for users that are away; else they are returned as errors
	STUN         string            // host:port of a STUN server that it names (XEP-0215); may be empty
	Program      string            // that it says it is (XEP-0092); default xmppserver
	Ahead        time.Duration     // of the clock of this machine, by which it says its time (XEP-0202)

	// Trace is told of every stanza at the server's edge, in order. It must return soon and
	// not call the server.
	Trace func(Stanza)
}

// A Stanza is what the server received or sent, as it was on the wire.
type Stanza struct {
	At       time.Time
	Peer     string // component domain, or full JID of a user's session
	Received bool   // by the server
	XML      string
}

// A Fault is something a component did that a server does not stand for.
type Fault struct {
	At        time.Time
	Domain    string // of the component; empty if it is not known yet
	Condition string // stream or stanza error
	Problem   string
	XML       string // what was read last
	Fatal     bool   // the stream was ended for it
}

// A Server is a running server. Close ends it.
type Server struct {
	options  Options
	listener net.Listener
	done     chan struct{} // closed by Close
	tasks    sync.WaitGroup

	mu         sync.Mutex // guards all below, and what sessions and components point to
	closed     bool
	conns      map[net.Conn]bool
	components map[string]*component // connected, by domain
	users      map[string]*user      // by bare JID
	faults     []Fault
	asked      map[question]bool // requests that components have not answered
	ids        int
	changed    chan struct{} // closed and replaced when a component comes or goes
}

// A question is a request delivered to a component.
type question struct{ component, peer, id string }

const (
	maxFaults    = 1000
	maxQuestions = 10000
)

// Listen starts a server.
func Listen(o Options) (*Server, error) {
	if o.Domain == "" {
		o.Domain = "xmpp.example"
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.StanzaLimit == 0 {
		o.StanzaLimit = 512 << 10
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for components: %w", err)
	}
	s := &Server{
		options: o, listener: listener, done: make(chan struct{}),
		conns:      map[net.Conn]bool{},
		components: map[string]*component{},
		users:      map[string]*user{},
		asked:      map[question]bool{},
		changed:    make(chan struct{}),
	}
	s.tasks.Go(s.run)
	return s, nil
}

// run accepts components until the listener is closed.
func (s *Server) run() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			conn.Close()
			return
		}
		s.conns[conn] = true
		s.tasks.Go(func() { s.serve(conn) }) // until the connection closes
		s.mu.Unlock()
	}
}

// Addr returns where components connect to, as host and port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Domain returns the domain of the users.
func (s *Server) Domain() string { return s.options.Domain }

// Close ends all streams and sessions, and returns when every goroutine has ended.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
		s.listener.Close()
		for conn := range s.conns {
			conn.Close()
		}
		for _, u := range s.users {
			for _, session := range u.sessions {
				session.inbox.close()
			}
		}
	}
	s.mu.Unlock()
	s.tasks.Wait()
}

// WaitComponent returns when the component of that domain is connected; an error is ctx's.
func (s *Server) WaitComponent(ctx context.Context, domain string) error {
	return s.wait(ctx, domain, true)
}

// WaitGone returns when the component of that domain is not connected; an error is ctx's.
func (s *Server) WaitGone(ctx context.Context, domain string) error {
	return s.wait(ctx, domain, false)
}

func (s *Server) wait(ctx context.Context, domain string, up bool) error {
	for {
		s.mu.Lock()
		changed, now := s.changed, s.components[domain] != nil
		s.mu.Unlock()
		if now == up {
			return nil
		}
		select {
		case <-changed:
		case <-s.done:
			return errors.New("the server is closed")
		case <-ctx.Done():
			return fmt.Errorf("wait for component %s: %w", domain, ctx.Err())
		}
	}
}

// Drop ends a component's stream with a stream error; an empty condition ends it in peace.
func (s *Server) Drop(domain, condition string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[domain]
	if c == nil {
		return
	}
	if condition != "" {
		c.outbox.put(streamError(condition, ""))
	}
	c.outbox.put("</stream:stream>")
	c.outbox.close()
}

// Inject routes a stanza as if it had come from another server: its from may be anything.
func (s *Server) Inject(e *element.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.route(e)
}

// InjectRaw writes text into a component's stream as it is.
func (s *Server) InjectRaw(domain, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[domain]
	if c == nil {
		return fmt.Errorf("component %s is not connected", domain)
	}
	s.trace(domain, false, text)
	c.outbox.put(text)
	return nil
}

// Faults returns what components have done wrong so far, at most the first thousand.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Fault(nil), s.faults...)
}

// Unanswered returns the requests that components have not answered, as "id from peer".
func (s *Server) Unanswered() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for q := range s.asked {
		out = append(out, q.id+" from "+q.peer)
	}
	return out
}

func (s *Server) fault(f Fault) {
	f.At = time.Now()
	if len(s.faults) < maxFaults {
		s.faults = append(s.faults, f)
	}
}

func (s *Server) trace(peer string, received bool, text string) {
	if s.options.Trace != nil {
		s.options.Trace(Stanza{time.Now(), peer, received, text})
	}
}

// id returns a new id for a stanza of the server's own.
func (s *Server) id() string {
	s.ids++
	return "server-" + strconv.Itoa(s.ids)
}

// address takes a JID apart after checking it (RFC 7622). The zero JID is not one.
func address(text string) (jid.JID, bool) {
	j, err := jid.Parse(text)
	return j, err == nil
}

func bare(text string) string {
	j, _ := address(text)
	return j.Bare().String()
}

func streamID() string { return rand.Text() }
