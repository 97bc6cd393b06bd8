package signaling

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/gate"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/sdp"
	"sipxmppgw/signaling/stack"
)

// farewell is how long Close waits for peers to agree.
const farewell = 2 * time.Second

// methods are those that the gate lets in for us to answer, if only with a refusal that
// says more than 405.
var methods = []string{
	"INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY",
	"SUBSCRIBE", "PUBLISH", "MESSAGE", "OPTIONS",
}

// An Edge is the SIP side of the gateway. It is a [gateway.Dialer].
type Edge struct {
	o         Options
	own       Tenant // of the options
	peers     atomic.Pointer[roster]
	stack     *stack.Stack
	legs      *registry
	usages    *usages
	published publications
	house     *house
	trace     *tracer
	able      abilities
	threads   threads
	talks     *talks
	lines     sync.WaitGroup // goroutines of message sessions
	guests    guests
	count     counters

	bindings *bindings
	servers  *servers // of accounts
	flows    *flows
	warden   *warden
	phones   *phones

	located  func()          // closes the resolver, if it is ours
	watched  context.Context // what watches trunks ends with it
	unwatch  func()
	watching sync.WaitGroup // what does
	watch    watcher

	retired  atomic.Bool
	changing sync.Mutex // trunks and phones; it is taken before mu

	mu         sync.Mutex
	closing    bool
	unanswered map[string]*stack.ServerTx // messages that the shell decides about, by key
	busy       int                        // requests of ours that have no final response
	quiet      chan struct{}              // closed when busy is 0 while closing
}

var _ gateway.Dialer = (*Edge)(nil)

// New opens the SIP side: from now on it takes requests. An error says which listener
// cannot be served.
func New(o Options) (*Edge, error) {
	e := &Edge{
		o: o.withDefaults(), legs: newRegistry(), usages: newUsages(), published: publications{all: map[gateway.Pair]*usage{}}, house: newHouse(),
		trace: newTracer(o.Calls), bindings: newBindings(), flows: newFlows(), quiet: make(chan struct{}), located: func() {},
		unanswered: map[string]*stack.ServerTx{}, talks: newTalks(), guests: guests{all: map[guestKey]*roomLine{}},
	}
	e.own = Tenant{
		Calls: e.o.Calls, Presence: e.o.Presence, Messages: e.o.Messages, Rooms: e.o.Rooms, Persons: e.o.Persons, Lamps: e.o.Lamps, Host: e.o.Host, Hosts: e.o.Hosts, Realm: e.o.Realm, Refusals: e.o.Refusals, Text: e.o.Text,
	}
	var first trunks
	for i := range e.o.Trunks {
		first = append(first, e.newTrunk(e.o.Trunks[i], nil))
	}
	e.peers.Store(newRoster(first))
	e.meet()
	so := e.o.Stack
	if so.Locate == nil {
		own := resolve.New(resolve.Options{})
		e.located, so.Locate = own.Close, own
	}
	e.servers = &servers{public: o.PublicOnly, byName: map[stack.Target]*server{}}
	e.watch = watcher{so.Locate, e.known, e.servers, e.o.Log}
	e.servers.watch = func(ctx context.Context, at stack.Target, p *places) {
		e.watch.watch(ctx, &Trunk{Name: at.Host, Next: at, places: p})
	}
	so.Locate = e.watch
	so.Allowed = e.knows
	so.Identified = func(p stack.Peer) bool { return e.known().identified(p) }
	so.Certified = func() bool { return e.peers.Load().certified }
	so.OnRequest = e.request
	so.OnAck = e.ack
	so.OnStray = e.stray
	so.OnGone = e.gone
	so.Trace = e.trace.packet
	so.Server = e.o.UserAgent
	so.Gate.Methods = methods
	so.Screen = &stack.Screen{On: e.warden.wanted, Open: e.warden.admits, Judge: e.warden.screen}
	so.Gate.Allow = strings.Split(allowed, ", ")
	so.Gate.Reason = reasonOf
	plain, registering := so.Gate, so.Gate
	registering.Methods = append(slices.Clone(methods), "REGISTER")
	registering.Extensions = append(strings.Split(extensions, ", "), "tdialog", "histinfo", "path", "outbound", "gruu", eventList)
	so.Rules = func() gate.Rules {
		if e.phones.none() {
			return plain
		}
		return registering
	}
	if so.Log == nil {
		so.Log = e.o.Log
	}
	// A request may come before New has returned; it waits for the stack to be known.
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := stack.New(so)
	if err != nil {
		e.located()
		return nil, fmt.Errorf("sip: %w", err)
	}
	e.stack = s
	e.watched, e.unwatch = context.WithCancel(context.Background())
	e.watching.Go(func() { e.phones.lapse(e.watched) })
	for _, t := range first {
		e.attend(t)
	}
	return e, nil
}

// meet makes what those need who prove who they are: trunks and phones.
func (e *Edge) meet() {
	e.phones = newPhones(e.o, e.flows)
	e.phones.moved = e.stirred
	e.warden = newWarden(e.o, &e.count)
	e.warden.known = func(req *sip.Request) bool {
		id, own := req.CallID().Value(), tag(req.To().Params)
		return e.legs.find(id, own) != nil || e.usages.find(id, own) != nil
	}
	e.enroll()
}

// enroll makes known who can prove to be a trunk or a phone of now, and nobody else.
func (e *Edge) enroll() {
	r := e.warden.blank()
	for _, t := range e.trunks() {
		if t.Inbound.User != "" {
			e.warden.add(r, &e.own, t.Inbound.User, member{t, t.Inbound.Secret})
		}
	}
	for _, t := range e.phones.all() {
		e.warden.add(r, e.of(t), t.station.User, member{t, t.station.Secret})
	}
	e.warden.roll.Store(r)
	if len(r.users) > 0 {
		e.warden.hired.Store(true)
	}
}

// Aim implements [gateway.Dialer]: of a trunk's phones nothing is known beforehand.
func (e *Edge) Aim(target gateway.Target) gateway.Target { return target }

// Dial makes leg B of a call, to the trunk that the target names. An error is a
// [*call.Refusal].
func (e *Edge) Dial(target gateway.Target, in gateway.Inbox) (gateway.Leg, error) {
	trunk := e.trunk(target.Trunk)
	if trunk == nil {
		return nil, &call.Refusal{Cause: call.Unreachable, Detail: call.Detail{Text: "no such trunk"}}
	}
	uri, ok := requestURI(target.To.URI)
	if !ok {
		return nil, &call.Refusal{Cause: call.NotFound, Detail: call.Detail{Text: "no SIP address"}}
	}
	if trunk.station != nil {
		return e.dialPhone(trunk, uri, target, in)
	}
	// Those of the config are left out where calls are routed.
	if b := e.bindings.named(trunk.Name); b != nil && b.account && trunk.health.resting() > 0 {
		return nil, &call.Refusal{Cause: call.Unreachable, Log: "the server of the account wants to be left alone"}
	}
	next, at, problem := e.way(trunk, strings.EqualFold(uri.Scheme, "sips"))
	if problem != "" {
		return nil, &call.Refusal{Cause: call.Unreachable, Detail: call.Detail{Text: problem}}
	}
	local, ok := e.stack.Local(trunk.transport(), at)
	if !ok && e.bindings.named(trunk.Name) != nil {
		local, ok = e.reached(trunk)
	}
	if !ok {
		return nil, &call.Refusal{Cause: call.Unreachable, Detail: call.Detail{Text: "no listener for trunk " + trunk.Name}}
	}
	l := e.newCaller(trunk, target, in)
	l.contact = e.contact(l.token, trunk.transport(), local)
	if next.Secure {
		l.contact = sips(l.contact)
	}
	l.next = next
	if b := e.bindings.named(trunk.Name); b != nil && b.account && target.From.Anonymous {
		// Its server has to know who calls, to hide it from others (RFC 3325 section 9.2).
		l.first = append(l.first, header("P-Preferred-Identity", "<"+b.of.AOR+">"))
	}
	if target.Early && trunk.Trusted {
		l.first = append(l.first, header("P-Early-Media", "supported"))
	}
	l.first = append(l.first, handedOver(target)...)
	if target.By != (gateway.Party{}) {
		l.next = trunk.phone(target.To.URI, next)
	}
	if target.Replaces != "" {
		l.retries.required = []string{"replaces"} // or it would be a call like any other
	}
	return e.dialed(l, target, in, local)
}

// newCaller makes the leg of a call to a trunk or phone, but for the way there.
func (e *Edge) newCaller(trunk *Trunk, target gateway.Target, in gateway.Inbox) *leg {
	l := e.newLeg(trunk, in)
	l.callID = e.callID(trunk, target.CallID)
	l.tag = e.o.NewID()
	l.session.begin(target.CallID, l.token)
	who := sender(target.From, trunk.Trusted)
	l.local = nameAddr(who.Name, who.From.String())
	l.peer = "<" + target.To.URI + ">"
	l.caller, l.other = bare(target.From.JID), bare(target.To.JID)
	l.first = append(identityHeaders(who, target.From.Name), trunk.infos(target.From.IMPP)...)
	l.hops = target.Hops
	l.texts = target.Text
	l.locateCaller(target)
	return l
}

// dialed makes known a leg that calls.
func (e *Edge) dialed(l *leg, target gateway.Target, in gateway.Inbox, local netip.AddrPort) (gateway.Leg, error) {
	l.haste = stack.Haste{
		Within: target.Within, Next: target.Hasty, Why: reasonHeaders(translate.CancelReasons(call.Timeout)),
	}
	l.sdp = sdp.NewSession(e.origin(user(target.From), local.Addr()))
	l.d = dialog.NewUAC(in.Side(), target.To.URI)
	if !e.enlist(l) {
		return nil, &call.Refusal{Cause: call.Unavailable, Detail: call.Detail{Text: "closing"}}
	}
	e.count.dialed.Add(1)
	return l, nil
}

// dialPhone is Dial for a phone: to where it is registered now.
func (e *Edge) dialPhone(trunk *Trunk, uri sip.Uri, target gateway.Target, in gateway.Inbox) (gateway.Leg, error) {
	bells := e.phones.bells(e, trunk, gruuOf(uri))
	if len(bells) == 0 {
		return nil, &call.Refusal{Cause: call.Unavailable, Detail: call.Detail{Text: "the phone is not registered"}}
	}
	l := e.newCaller(trunk, target, in)
	l.bells, l.next = bells, bells[0][0].next
	local, ok := e.stack.At(l.next)
	if !ok {
		return nil, &call.Refusal{Cause: call.Unreachable, Detail: call.Detail{Text: "no listener for phone " + trunk.station.User}}
	}
	l.contact = e.contact(l.token, l.next.Transport, local)
	l.first = append(l.first, handedOver(target)...)
	if target.Replaces != "" {
		l.retries.required = []string{"replaces"}
	}
	return e.dialed(l, target, in, local)
}

// way is where a call to a trunk goes, and an address there to choose a listener by. A problem
// says why it cannot go: secure is for sips URIs, which nothing but TLS is good enough for (RFC
// 3261 section 26.2.2).
func (e *Edge) way(t *Trunk, secured bool) (next stack.Target, at netip.Addr, problem string) {
	next, at = t.Next, t.at()
	if next.Secure = secured; secured && !t.transport().Secure() {
		return next, at, "trunk " + t.Name + " is not reached over TLS"
	}
	if next.Host != "" {
		return next, at, ""
	}
	flow, ok := e.stack.Flow(func(p stack.Peer) bool { return e.trunks().of(p) == t })
	if !ok {
		return next, at, "trunk " + t.Name + " is not connected"
	}
	next.Over = flow.Over
	return next, flow.Over.Addr(), ""
}

// trunk returns the trunk of that name, or nil.
func (e *Edge) trunk(name string) *Trunk {
	if t := e.known().named(name); t != nil { // a call may have been routed before a change
		return t
	}
	if t := e.phones.named(name); t != nil {
		return t
	}
	if b := e.bindings.named(name); b != nil {
		return b.trunk
	}
	return nil
}

// knows reports whether something may come from an address at all.
func (e *Edge) knows(source netip.AddrPort, t stack.Transport) bool {
	a := source.Addr().Unmap()
	return e.known().knows(source, t) || e.flows.known(t, source) || e.bindings.knows(a) || e.servers.knows(a)
}

// user is what the o= line may say of a caller.
func user(p gateway.Party) string {
	u, err := translate.ParseURI(p.URI)
	if err != nil || p.Anonymous {
		return ""
	}
	return u.User
}

// origin is who we are in the o= line of a dialog.
func (e *Edge) origin(user string, addr netip.Addr) sdp.Origin {
	return sdp.Origin{User: user, ID: uint64(e.o.Rand(1 << 62)), Addr: addr}
}

// enlist makes a leg known. It is false when the edge is closing.
func (e *Edge) enlist(l *leg) bool {
	e.mu.Lock()
	open := !e.closing
	if open {
		if l.trunk.flows != nil && l.uri != "" {
			l.hold(remoteOf(l.next))
		}
		e.legs.add(l)
	}
	e.mu.Unlock()
	if open {
		e.trace.begin(l.callID, l.in.Call())
	}
	return open
}

func (e *Edge) isClosing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closing
}

func (e *Edge) forget(l *leg) {
	e.legs.remove(l)
	e.trace.end(l.callID)
	for _, f := range l.held {
		e.flows.release(l.trunk, f)
	}
	l.held = nil
}

// begun and finished count the requests of ours that are under way.
func (e *Edge) begun() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy++
}

func (e *Edge) finished() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy--; e.busy > 0 || !e.closing {
		return
	}
	select {
	case <-e.quiet: // something was begun late
	default:
		close(e.quiet)
	}
}

// Close ends every dialog, gives peers a moment to agree, and closes the listeners. New
// calls are refused from the beginning of Close.
func (e *Edge) Close() error {
	e.changing.Lock()
	e.mu.Lock()
	shut := e.closing
	if !shut {
		e.closing = true
		e.busy++ // ours, so that quiet is closed once
	}
	e.mu.Unlock()
	e.changing.Unlock()
	if shut {
		return stack.ErrClosed
	}
	for _, l := range e.legs.all() {
		l.End(call.Unavailable, call.Detail{})
	}
	e.shutHouse()
	e.Retire()
	e.finished()
	timeout := time.NewTimer(farewell)
	defer timeout.Stop()
	select {
	case <-e.quiet:
	case <-timeout.C:
	}
	err := e.stack.Close()
	e.unwatch()
	e.watching.Wait()
	e.servers.close()
	e.located()
	for _, l := range e.legs.all() {
		l.abandon()
	}
	e.lines.Wait() // their dialogs are over
	return err
}
