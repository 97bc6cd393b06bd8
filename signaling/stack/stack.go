package stack

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/resolve"
)

// A Stack serves sockets and runs transactions.
type Stack struct {
	o      Options
	limits Limits
	log    *slog.Logger
	quiet  *slog.Logger // for sipgo, which logs what peers write
	seed   maphash.Seed
	queues []*queue
	meter  *meter
	ports  []*port
	dialed *injector
	own    *resolve.Resolver // nil if the options have one

	locator Locator
	conns   *connTable
	count   counters

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // all goroutines of ours but errands

	errands sync.WaitGroup // goroutines that look something up, or connect

	mu      sync.Mutex // never held while a machine of sipgo is called
	closed  bool
	servers map[string]*ServerTx
	merged  map[string]string // what merged requests have in common, to the key in servers
	clients map[string]*attempt
	lookups map[resolve.Query][]found
	pings   map[[12]byte]ping
	seenAt  map[netip.AddrPort]netip.AddrPort // what peers see us at, by their address
}

// New returns a stack that serves its listeners until Close. An error says which
// listener cannot be served; listeners are left open then.
func New(o Options) (*Stack, error) {
	s := &Stack{
		o:       o,
		limits:  o.Limits.withDefaults(),
		log:     o.Log,
		quiet:   slog.New(slog.DiscardHandler),
		seed:    maphash.MakeSeed(),
		servers: map[string]*ServerTx{},
		merged:  map[string]string{},
		clients: map[string]*attempt{},
		lookups: map[resolve.Query][]found{},
		pings:   map[[12]byte]ping{},
		seenAt:  map[netip.AddrPort]netip.AddrPort{},
		locator: o.Locate,
	}
	if s.log == nil {
		s.log = s.quiet
	}
	s.meter = newMeter(s.limits.Sources)
	s.conns = newConnTable(s.limits)
	for i, l := range o.Listeners {
		p, err := newPort(s, l)
		if err != nil {
			return nil, fmt.Errorf("listener %d: %w", i+1, err)
		}
		s.ports = append(s.ports, p)
	}
	if s.locator == nil {
		s.own = resolve.New(resolve.Options{})
		s.locator = s.own
	}
	s.dialed = newInjector(s)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for range s.limits.Workers {
		q := newQueue()
		s.queues = append(s.queues, q)
		s.wg.Go(q.run)
	}
	for _, p := range s.ports {
		s.wg.Go(p.run)
	}
	s.wg.Go(s.dialed.run)
	return s, nil
}

// Close ends all transactions and connections, closes the listeners and returns when no
// goroutine of the stack is left. What was sent before is still written to connections,
// for a second at most. Requests without a final response end with ErrClosed; no callback
// runs after Close has returned, and nothing is sent. It must not be called from a callback.
func (s *Stack) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	var clients []*attempt
	for _, a := range s.clients {
		clients = append(clients, a)
	}
	var servers []*ServerTx
	for _, tx := range s.servers {
		servers = append(servers, tx)
	}
	s.mu.Unlock()
	var errs []error
	for _, p := range s.ports {
		errs = append(errs, p.close())
	}
	s.cancel()
	for _, tx := range servers {
		tx.end()
	}
	for _, a := range clients {
		a.end(ErrClosed)
	}
	s.dialed.Close()
	s.errands.Wait() // one may be about to write to a connection that is there now
	s.conns.closeAll()
	for _, q := range s.queues {
		q.close()
	}
	if s.own != nil {
		s.own.Close()
	}
	s.wg.Wait()
	return errors.Join(errs...)
}

// queue returns the queue of a Call-ID.
func (s *Stack) queue(callID string) *queue {
	return s.queues[maphash.String(s.seed, callID)%uint64(len(s.queues))]
}

// An arrival is where a message has come from.
type arrival struct {
	port   *port // nil on connections that we opened
	conn   *conn // of a stream
	remote netip.AddrPort
	known  bool
}

// accept puts a message on its queue. It runs in the goroutine that reads the socket, so
// that messages are queued in the order in which they came.
func (s *Stack) accept(msg sip.Message, from arrival) {
	h := msg.CallID()
	if h == nil {
		s.count.unparsed.Add(1)
		return
	}
	warm(msg)
	if !s.screened(msg, from) {
		return
	}
	q := s.queue(h.Value())
	limit := s.limits.Queue
	req, isRequest := msg.(*sip.Request)
	if !isRequest || inDialog(req) || req.Method == sip.ACK || req.Method == sip.CANCEL {
		limit *= 2 // what ends or finishes a call is let in longer than what begins one
	}
	if q.offer(func() { s.guarded(msg, from) }, limit) {
		return
	}
	s.count.shed.Add(1)
	if isRequest && limit == s.limits.Queue {
		s.refuse(req, from, 503, sip.NewHeader("Retry-After", "10"))
	}
}

// warm makes sipgo read the headers that it reads when they are first asked for, since
// several goroutines will.
func warm(msg sip.Message) {
	msg.Via()
	rescheme(msg)
	msg.CSeq()
	switch m := msg.(type) {
	case *sip.Request:
		m.Contact()
		m.MaxForwards()
		m.Route()
		m.RecordRoute()
		m.ContentType()
		m.ContentLength()
	case *sip.Response:
		m.Contact()
		m.RecordRoute()
		m.ContentType()
		m.ContentLength()
	}
}

// guarded handles a message so that a panic costs only it.
func (s *Stack) guarded(msg sip.Message, from arrival) {
	defer func() {
		if p := recover(); p != nil {
			s.count.panics.Add(1)
			s.log.Error("panic while handling a message", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if req, ok := msg.(*sip.Request); ok {
				s.excuse(req)
			}
		}
	}()
	switch m := msg.(type) {
	case *sip.Request:
		s.handleRequest(m, from)
	case *sip.Response:
		s.handleResponse(m)
	}
}

// protected runs a callback that is not about a message that came in.
func (s *Stack) protected(f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.count.panics.Add(1)
			s.log.Error("panic in a callback", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	f()
}

// Local is the address to write into a Contact for a peer that is reached over t at
// remote: the external address of the listener that a request to it is sent from. It is
// false when no listener fits.
func (s *Stack) Local(t Transport, remote netip.Addr) (netip.AddrPort, bool) {
	if p := s.portFor(t, remote); p != nil {
		return p.at(remote), true
	}
	return netip.AddrPort{}, false
}

// At is what Local is for a target whose sockets are known: the one that it is sent from.
func (s *Stack) At(to Target) (netip.AddrPort, bool) {
	remote, ok := parseHost(to.Host)
	if to.Over.IsValid() {
		remote, ok = to.Over.Addr(), true
	}
	if p := s.portOf(to, remote); ok && p != nil {
		return p.at(remote), true
	}
	return s.Local(or(to.Transport, UDP), remote)
}

// portOf is the socket of UDP that a target names, or whichever fits.
func (s *Stack) portOf(to Target, remote netip.Addr) *port {
	for _, p := range s.ports {
		if p.transport == UDP && to.Local.IsValid() && p.local == to.Local {
			return p
		}
	}
	return s.portFor(or(to.Transport, UDP), remote)
}

// Connected says whether a connection that a peer has opened is still there.
func (s *Stack) Connected(t Transport, over netip.AddrPort) bool {
	return s.conns.get(connKey{transport: t, remote: over}) != nil
}

// Flow is the way back over the connection that a peer who fits has opened last. It is false
// when none has.
func (s *Stack) Flow(fits func(Peer) bool) (Target, bool) {
	c := s.conns.newest(fits)
	if c == nil {
		return Target{}, false
	}
	return Target{Transport: c.transport, Over: c.remote}, true
}

// Hasten has the connection that a response has come over kept open at least so often, if we
// opened it (RFC 5626 section 5.4 has a Flow-Timer for it).
func (s *Stack) Hasten(from Target, every time.Duration) {
	a, ok := parseHost(from.Host)
	if !ok {
		return
	}
	at := resolve.Target{Addr: netip.AddrPortFrom(a, from.Port), Transport: resolve.Transport(from.Transport)}
	if c := s.conns.get(from.key(at)); c != nil && c.opened {
		c.hasten(every)
	}
}

// Nudge sends a peer over UDP what it ignores, so that whatever translates addresses on the
// way keeps the way back open (RFC 5626 section 4.4.2 has STUN for it, which few registrars
// answer). A lost one changes nothing.
func (s *Stack) Nudge(to netip.AddrPort) {
	if p := s.portFor(UDP, to.Addr()); p != nil {
		_ = p.write([]byte("\r\n\r\n"), to)
	}
}

// portFor finds the listener for a transport and an address family: one of the same network
// when there is one, such as the loopback.
func (s *Stack) portFor(t Transport, remote netip.Addr) *port {
	var best *port
	for _, p := range s.ports {
		if p.transport != t || !p.speaks(remote) {
			continue
		}
		if best == nil || p.local.Addr().IsLoopback() == remote.IsLoopback() && best.local.Addr().IsLoopback() != remote.IsLoopback() {
			best = p
		}
	}
	return best
}

// inDialog says whether a request belongs to a dialog.
func inDialog(req *sip.Request) bool {
	to := req.To()
	return to != nil && to.Params.Has("tag")
}

// addrPort reads an address of the net package.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	default:
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// parseHost reads an IP literal, with or without brackets.
func parseHost(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return a.Unmap(), err == nil
}
