package signaling

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/pidf"
	"sipxmppgw/signaling/stack"
)

// A usage is a dialog that a SUBSCRIBE has made (RFC 6665): of ours, or of a peer.
type usage struct {
	trunk       *Trunk
	pair        gateway.Pair
	pkg         string // event package
	event       string // value of Event in our requests
	served      *serving
	ours        bool // we are the subscriber
	callID, tag string
	local, peer string // values of From and To in our requests, without tag of ours
	next        stack.Target
	contact     string    // value of Contact
	watched     string    // URI of who is watched
	room        *roomLine // whose people it is about; nil for anything else

	mu      sync.Mutex
	peerTag string
	target  string   // the peer's Contact
	route   []string // the first hop first
	cseq    uint32   // of our last request
	theirs  uint32   // of the peer's last
	proof   proof
	ended   bool

	version uint32 // of the last document about a room

	// Of a subscription of ours.
	asked   bool // a SUBSCRIBE has no final response
	leave   bool // to be ended as soon as it has
	line    pidf.Line
	list    *listLine     // it is to a list; nil else
	expires time.Duration // that was asked for last

	// Of a peer's.
	waiting *stack.ServerTx // the SUBSCRIBE to answer
	until   time.Time       // when it ends
}

// usages are all of them.
type usages struct {
	mu     sync.Mutex
	dialog map[dialogKey]*usage
	ours   map[usageKey]*usage
}

// maxRoutes bounds the hops that are kept of one.
const maxRoutes = 16

// A usageKey names a subscription of ours.
type usageKey struct {
	pair gateway.Pair
	pkg  string
}

func newUsages() *usages {
	return &usages{dialog: map[dialogKey]*usage{}, ours: map[usageKey]*usage{}}
}

func (us *usages) add(u *usage) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.dialog[dialogKey{u.callID, u.tag}] = u
	if u.ours {
		us.ours[usageKey{u.pair, u.pkg}] = u
	}
}

func (us *usages) remove(u *usage) {
	us.mu.Lock()
	defer us.mu.Unlock()
	if us.dialog[dialogKey{u.callID, u.tag}] == u {
		delete(us.dialog, dialogKey{u.callID, u.tag})
	}
	if k := (usageKey{u.pair, u.pkg}); us.ours[k] == u {
		delete(us.ours, k)
	}
}

func (us *usages) find(callID, tag string) *usage {
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.dialog[dialogKey{callID, tag}]
}

func (us *usages) own(pair gateway.Pair, pkg string) *usage {
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.ours[usageKey{pair, pkg}]
}

// id is what the shell calls a subscription of a peer.
func (u *usage) id() string { return u.callID + " " + u.tag }

func (us *usages) named(id string) *usage {
	i := strings.LastIndexByte(id, ' ')
	if i < 0 {
		return nil
	}
	return us.find(id[:i], id[i+1:])
}

// inUsage makes the next request in the dialog, and says where it goes. It is for the holder
// of the lock; ok is false if there is nowhere to send it.
func (e *Edge) inUsage(u *usage, method string, hs ...sip.Header) (req *sip.Request, g given, ok bool) {
	s := dialog.Send{Target: u.target, Route: u.route}
	if u.peerTag == "" {
		s.Route = e.route(u.trunk)
	}
	to := u.next
	if u.peerTag != "" {
		to = u.trunk.hop(s.Target, u.next)
		if len(s.Route) > 0 {
			to = u.trunk.hop(address(s.Route[0]).URI, u.next)
		}
	}
	s = strict(s)
	uri, ok := requestURI(s.Target)
	if !ok {
		return nil, g, false
	}
	req = sip.NewRequest(sip.RequestMethod(method), uri)
	for _, r := range s.Route {
		req.AppendHeader(header("Route", r))
	}
	u.cseq++
	peer := u.peer
	if u.peerTag != "" && u.ours {
		peer += ";tag=" + u.peerTag
	}
	begin(req, maxForwards, u.local+";tag="+u.tag, peer, u.callID, u.cseq)
	req.AppendHeader(header("Contact", u.contact))
	for _, h := range hs {
		req.AppendHeader(h)
	}
	g = u.proof.prove(u.trunk, to, req)
	req.AppendHeader(header("User-Agent", e.o.UserAgent))
	return req, g, true
}

// ask sends a request outside of calls; done is told of its final response, or of none, on
// the worker of its Call-ID.
func (e *Edge) ask(req *sip.Request, to stack.Target, done func(stack.Event)) {
	e.begun()
	over := false // of the stack's worker
	e.stack.Request(req, to, func(ev stack.Event) {
		if over || ev.Err == nil && ev.Response.IsProvisional() {
			return
		}
		over = true
		defer e.finished() // when what follows is under way: Close waits for that too
		done(ev)
	})
}

// learn takes what makes the dialog: the peer's tag, where it is, and the way there.
func (u *usage) learn(m sip.Message, tag string, reversed bool) {
	if c := contactOf(m); c != "" {
		u.target = c
	}
	if u.peerTag != "" {
		return
	}
	u.peerTag = tag
	u.route = bounded(values(m, "Record-Route"), maxRoutes)
	if reversed {
		slices.Reverse(u.route)
	}
}

// order says whether a request of the peer is in order (RFC 3261 section 12.2.2).
func (u *usage) order(req *sip.Request) bool {
	n := req.CSeq().SeqNo
	if u.theirs != 0 && n <= u.theirs {
		return false
	}
	u.theirs = n
	return true
}

// lists reports whether it is about a list.
func (u *usage) lists() bool { return u.list != nil || u.served != nil && u.served.panel != nil }

// inSubscription takes a request in such a dialog.
func (e *Edge) inSubscription(tx *stack.ServerTx, u *usage) {
	req := tx.Request()
	switch {
	case u.trunk.station != nil && !u.trunk.within(tx.Peer()):
		m, ok := e.prove(tx) // it is elsewhere now
		if ok && m.trunk != u.trunk {
			e.count.foreign.Add(1)
			e.reply(tx, 403)
		} else if ok {
			u.mu.Lock()
			u.next = tx.Back()
			u.mu.Unlock()
			e.refreshed(tx, u)
		}
	case !u.trunk.within(tx.Peer()):
		e.count.foreign.Add(1)
		e.o.Log.Warn("request from another peer", "remote", tx.Source().String(), "method", string(req.Method))
		e.reply(tx, 403)
	case unsupported(req) != "" && !(unsupported(req) == eventList && u.lists()):
		e.reply(tx, 420, header("Unsupported", unsupported(req)))
	case u.room != nil:
		e.inConference(tx, u)
	case u.ours && req.Method == sip.NOTIFY:
		e.notified(tx, u)
	case !u.ours && req.Method == sip.SUBSCRIBE:
		e.refreshed(tx, u)
	default:
		e.reply(tx, 481)
	}
}

// eventOf is the event package of a request, without parameters; id is that of the event.
func eventOf(m sip.Message) (pkg, id string) {
	v, params, _ := strings.Cut(value(m, "Event"), ";")
	for k, val := range parameters(params) {
		if k == "id" {
			id = val
		}
	}
	return strings.ToLower(strings.TrimSpace(v)), id
}

// stateOf reads a Subscription-State.
func stateOf(m sip.Message) presence.Notified {
	v, params, _ := strings.Cut(value(m, "Subscription-State"), ";")
	n := presence.Notified{State: strings.ToLower(strings.TrimSpace(v))}
	for k, val := range parameters(params) {
		switch k {
		case "reason":
			n.Reason = strings.ToLower(val)
		case "expires":
			n.Expires = span(val)
		case "retry-after":
			n.Later = span(val)
		}
	}
	return n
}
