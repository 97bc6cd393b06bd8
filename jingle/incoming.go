package jingle

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/room"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
)

// stale is the age of a proposal that nobody waits for any more (INTERWORKING.md section
// 2.14).
const stale = 60 * time.Second

// signal takes a step of message initiation.
func (e *Edge) signal(st component.Stanza, from, to translate.JID, m wire.Message) {
	in := session.Signal{From: from.String(), ID: st.Id, JMI: *m.JMI, Asks: m.Asks && st.Id != ""}
	if l := e.find(from.Bare().String(), in.JMI.ID); l != nil {
		if l.bare == to.Bare().String() {
			l.received(st, in.JMI.Title())
			l.deliver(in, true)
		}
		return
	}
	if in.JMI.Signal == wire.Propose {
		e.propose(st, from, to, m, in)
	}
	// Everything else is of a session that is over, or was meant for others.
}

// propose takes a proposal of a new call.
func (e *Edge) propose(st component.Stanza, from, to translate.JID, m wire.Message, in session.Signal) {
	k := key{from.Bare().String(), in.JMI.ID}
	e.mu.Lock()
	_, over := e.ended.get(k)
	e.mu.Unlock()
	if over || !m.Stamp.IsZero() && time.Since(m.Stamp) > stale {
		return
	}
	if e.crossing(st, from, to, in) || e.migrating(st, from, to, in) {
		return
	}
	l := e.newResponder(from, to, in.JMI.ID, session.Late)
	switch {
	case !in.JMI.Proposes(media.Audio) && !in.JMI.Proposes(media.Video):
		e.reject(st, in, l, call.Unsupported, wire.Reason{Name: "unsupported-applications"})
		return
	case e.opt.Second == Busy && e.upWith(from, to) != nil:
		e.reject(st, in, l, call.Busy, reasonOf(e.spoken(k.peer), call.Busy, call.Detail{}))
		return
	case !e.admit(l):
		e.reject(st, in, l, call.Overloaded, reasonOf(e.spoken(k.peer), call.Overloaded, call.Detail{}))
		return
	case m.Hops == 0:
		l.refused = &call.Refusal{Cause: call.Loop}
	case to.Local == "":
		l.refused = &call.Refusal{Cause: call.NotFound}
	default:
		l.route(e.nameOf(from, m.Nick), m.Hops)
	}
	// Of pictures a proposal says too little to offer them to the callee, so their caller is
	// asked for its session at once too; it is answered when the callee is.
	eager := l.target.Early || in.JMI.Proposes(media.Video) && l.target.Policy.Video && e.opt.Policy.Video
	if eager {
		l.s = session.NewResponder(l.options(from.String(), session.Eager))
	}
	l.received(st, in.JMI.Title())
	if l.refused == nil {
		e.greet(l.self, from.String(), "")
	}
	l.deliver(in, true)
	if !eager {
		e.accept(l, media.Description{})
	}
}

// crossing settles a proposal that crosses one of ours to the same person for the same
// contact: both are one call. It returns false if it is nothing of the kind.
func (e *Edge) crossing(st component.Stanza, from, to translate.JID, in session.Signal) bool {
	for _, l := range e.legsOf(from.Bare().String()) {
		if !l.calls || l.bare != to.Bare().String() || l.inState() != session.Proposed {
			continue
		}
		crossed := session.Crossed{From: in.From, ID: in.JMI.ID, Message: in.ID, Asks: in.Asks}
		if session.Wins(l.key.sid, in.JMI.ID) || e.alias(l, in.JMI.ID) {
			l.received(st, in.JMI.Title())
			return l.deliver(crossed, true)
		}
	}
	return false
}

// migrating moves a call that is up to the session that a proposal announces, if that is
// what it means. It returns false if it is a call of its own.
func (e *Edge) migrating(st component.Stanza, from, to translate.JID, in session.Signal) bool {
	l := e.upWith(from, to)
	if l == nil || !in.JMI.Proposes(media.Audio) {
		return false
	}
	if e.opt.Second != Migrate && (!l.lost.Load() || l.device() == in.From) {
		return false
	}
	if !e.alias(l, in.JMI.ID) {
		return false
	}
	l.received(st, in.JMI.Title())
	return l.deliver(session.Migrate{From: in.From, ID: in.JMI.ID, Message: in.ID, Asks: in.Asks}, true)
}

// upWith returns the leg of a call that a person has up with a contact, or nil.
func (e *Edge) upWith(from, to translate.JID) *leg {
	for _, l := range e.legsOf(from.Bare().String()) {
		if l.bare == to.Bare().String() && l.inState() == session.Accepted {
			return l
		}
	}
	return nil
}

// reject refuses a proposal that gets no leg.
func (e *Edge) reject(st component.Stanza, in session.Signal, l *leg, cause call.Cause, reason wire.Reason) {
	id := e.note(l, &call.Refusal{Cause: cause})
	if id != "" {
		l.received(st, in.JMI.Title())
	}
	if in.Asks {
		l.carryOut(session.SendReceipt{To: in.From, ID: in.ID})
	}
	l.carryOut(session.SendSignal{
		To:  in.From,
		JMI: wire.JMI{Signal: wire.Reject, ID: in.JMI.ID, Reason: &reason},
	})
	l.traced(id)
}

// note has the shell know of a call that is refused here, and returns what its stanzas are traced
// by; empty if they are not kept.
func (e *Edge) note(l *leg, r *call.Refusal) call.ID {
	return e.opt.Calls.Refuse(gateway.Refused{From: gateway.XMPP, Caller: l.key.peer, Callee: l.bare, Cause: r.Cause, Text: r.Detail.Text})
}

// notBegun has an operator see a call that is refused, with its stanzas as far as there were any.
func (l *leg) notBegun(r *call.Refusal) {
	id := r.ID
	if id == "" { // or else the shell has refused it, and knows
		id = l.e.note(l, r)
	}
	l.traced(id)
}

// traced has the stanzas so far be those of a call that was not begun.
func (l *leg) traced(id call.ID) {
	l.mu.Lock()
	begun := l.begun
	l.begun = nil
	l.mu.Unlock()
	if id == "" {
		return
	}
	for _, m := range begun {
		l.e.opt.Calls.Trace(id, m)
	}
}

// refuseSession refuses a session-initiate that gets no leg.
func (e *Edge) refuseSession(st component.Stanza, from, to translate.JID, cause call.Cause, err wire.Error) {
	reply, ok := st.ErrorReply(errorNode(err))
	if !ok {
		return
	}
	l := &leg{e: e, key: key{peer: from.Bare().String()}, bare: to.Bare().String()}
	id := e.note(l, &call.Refusal{Cause: cause, Detail: call.Detail{Text: err.Text}})
	if id != "" {
		l.received(st, string(wire.SessionInitiate))
		l.trace(true, reply, "error")
	}
	e.send(reply)
	l.traced(id)
}

// jingle takes a Jingle request.
func (e *Edge) jingle(st component.Stanza) {
	from, to, ok := parties(st)
	node := st.Child(wire.NSJingle, "jingle")
	if !ok || node == nil {
		e.unknown(st)
		return
	}
	j, err := wire.ParseJingle(node)
	var bad *wire.ParseError
	if errors.As(err, &bad) {
		if wire.Attr(node, "action") == string(wire.SessionInitiate) {
			e.refuseSession(st, from, to, call.BadRequest, bad.Answer())
			return
		}
		e.refuse(st, bad.Answer())
		return
	}
	in := asked{to: st.To, Request: session.Request{From: from.String(), ID: st.Id, Jingle: j}}
	l := e.find(from.Bare().String(), j.SID)
	switch {
	case l != nil && l.bare == to.Bare().String():
		l.received(st, j.Title())
		switch {
		case l.deliver(in, true):
		case e.find(l.key.peer, l.key.sid) == nil:
			e.refuse(st, wire.UnknownSession) // it crossed the end of its call
		default:
			e.refuse(st, wire.Error{Condition: "resource-constraint"})
		}
	case l == nil && j.Action == wire.SessionInitiate:
		e.initiate(st, from, to, in)
	default:
		e.refuse(st, wire.UnknownSession)
	}
}

// initiate takes a session-initiate that no proposal went before.
func (e *Edge) initiate(st component.Stanza, from, to translate.JID, in asked) {
	k := key{from.Bare().String(), in.Jingle.SID}
	e.mu.Lock()
	_, over := e.ended.get(k)
	e.mu.Unlock()
	switch {
	case over:
		e.refuse(st, wire.UnknownSession)
		return
	case to.Local == "":
		e.refuse(st, wire.Error{Condition: "service-unavailable"})
		return
	case e.crossingDirect(from, to, in.Jingle.SID):
		e.refuse(st, wire.TieBreak)
		return
	}
	l := e.newResponder(from, to, in.Jingle.SID, session.Direct)
	if i := in.Jingle.Info; i.Kind == wire.InfoTransfer && i.SID != "" {
		if l.takes = e.replaced(i, to); l.takes == nil {
			e.refuse(st, wire.UnknownSession)
			return
		}
	}
	if to.Resource == "" {
		l.self = st.To // who was called is who answers
	}
	if !e.admit(l) {
		e.refuseSession(st, from, to, call.Overloaded, wire.Error{Condition: "resource-constraint"})
		return
	}
	switch hops := in.Jingle.Hops; {
	case hops == nil:
		l.route(e.nameOf(from, ""), -1)
	case *hops == 0:
		l.refused = &call.Refusal{Cause: call.Loop}
	default:
		l.route(e.nameOf(from, ""), *hops)
	}
	l.received(st, in.Jingle.Title())
	l.deliver(in, true)
	if l.inState() == session.Idle {
		e.remove(l) // it was no session at all
		if l.refused == nil {
			l.notBegun(&call.Refusal{Cause: call.BadRequest})
		}
	}
}

// crossingDirect reports whether a session of ours that the same person has not answered
// goes before one that it begins now (XEP-0166 section 7.2.14).
func (e *Edge) crossingDirect(from, to translate.JID, sid string) bool {
	for _, l := range e.legsOf(from.Bare().String()) {
		if l.calls && l.bare == to.Bare().String() && l.inState() == session.Initiated &&
			session.Wins(l.key.sid, sid) {
			return true
		}
	}
	return false
}

// newResponder returns a leg for a session that a person begins with one of our contacts.
// It is not known yet, and has no way.
func (e *Edge) newResponder(from, to translate.JID, sid string, mode session.Mode) *leg {
	l := &leg{
		e:    e,
		key:  key{from.Bare().String(), sid},
		self: selfOf(to),
		bare: to.Bare().String(),
	}
	l.s = session.NewResponder(l.options(from.String(), mode))
	return l
}

// options returns those of the leg's session.
func (l *leg) options(peer string, mode session.Mode) session.Options {
	return session.Options{
		SID: l.key.sid, Side: call.A, Self: l.self, Peer: peer, Mode: mode, Words: l.words(),
		Video: l.e.opt.Policy.Video, NoTones: l.e.opt.NoTones,
	}
}

// admit makes a leg known, if its person may begin one more call.
func (e *Edge) admit(l *leg) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mayCall(l.key.peer) && e.add(l)
}

// nameOf returns the name to show for a caller.
func (e *Edge) nameOf(from translate.JID, said string) string {
	if said == "" {
		said = e.people.nick(from.Bare().String())
	}
	return translate.CleanName(said)
}

// route finds where the call goes, or why it does not. Hops is -1 if nobody counted.
func (l *leg) route(name string, hops int) {
	target, err := l.e.opt.Calls.Route(gateway.Query{
		Edge: gateway.XMPP,
		From: gateway.Party{JID: l.key.peer, Name: name},
		To:   l.bare,
		Hops: max(hops, 0),
		Text: l.e.people.sees(cmp.Or(l.device(), l.key.peer), bareOf(l.key.peer)),
	})
	if err != nil {
		l.refused = refusalOf(err)
		return
	}
	if target.CallID == "" {
		target.CallID = l.key.sid
	}
	l.target = target
}

func refusalOf(err error) *call.Refusal {
	var r *call.Refusal
	if errors.As(err, &r) {
		return r
	}
	return &call.Refusal{Cause: call.Failed, Detail: call.Detail{Text: err.Error()}}
}

// begun looks at what came of a session that has no call yet: with its offer it gets one.
func (e *Edge) begun(l *leg, events []call.Event) {
	for _, event := range events {
		if offered, ok := event.(call.LegOffered); ok {
			e.accept(l, offered.Media)
		}
	}
}

// accept begins the call of a session, or ends the session with the reason why not.
func (e *Edge) accept(l *leg, offer media.Description) {
	if l.refused == nil && l.takes != nil {
		l.takeOver(offer)
		return
	}
	if l.refused == nil {
		_, err := e.opt.Calls.Accept(gateway.Incoming{
			Edge: gateway.XMPP, Target: l.target, Offer: offer, Policy: e.callerPolicy(l), Leg: l.join,
		})
		if err == nil {
			return
		}
		l.refused = refusalOf(err)
	}
	l.deliver(session.End{Cause: l.refused.Cause, Detail: l.refused.Detail}, false)
	l.notBegun(l.refused)
}

// greet shows a person the contact that is about to speak to it, with what the contact can
// do: without a subscription it would not know (INTERWORKING.md section 1.9). The status is
// for people, and may be empty. Whoever watches the contact, and sees it, knows better.
func (e *Edge) greet(self, to, status string) {
	if e.opt.Presence != nil && e.opt.Presence.Sees(gateway.Pair{User: bareOf(to), Contact: bareOf(self)}) {
		return
	}
	st := component.Stanza{Kind: component.Presence}
	st.From, st.To = self, to
	if status != "" {
		st.Nodes = append(st.Nodes, wire.Status(status))
	}
	st.Nodes = append(st.Nodes, e.caps[ofContact].Element())
	e.send(st)
}

// receipt takes the receipt of a message of ours: that of a proposal says that a device
// has it.
func (e *Edge) receipt(from translate.JID, id string) {
	signal, sid, ok := idOf(id)
	if !ok || signal != wire.Propose {
		return
	}
	if l := e.find(from.Bare().String(), sid); l != nil {
		l.deliver(session.Receipt{From: from.String()}, true)
	}
}

// bounced takes a message of ours back.
func (e *Edge) bounced(st component.Stanza) {
	from, to, ok := parties(st)
	signal, sid, known := idOf(st.Id)
	switch {
	case !ok:
		return
	case !known && e.opt.Rooms != nil && e.opt.Rooms.Tell(from.Bare().String(), to.String(), room.Failed{ID: st.Id, Status: 403}):
		return
	case !known && e.opt.Messages != nil:
		err := e.errorOf(st)
		e.opt.Messages.Bounce(message.Bounced{ID: st.Id, By: from.String(), From: to.String(), Outcome: message.Outcome{
			Result: message.Refused, Condition: err.Condition, Type: err.Type, Text: err.Text, Elsewhere: err.Elsewhere,
		}})
		return
	case !known:
		return
	}
	if l := e.find(from.Bare().String(), sid); l != nil {
		l.received(st, "error")
		l.deliver(session.Bounce{From: from.String(), Signal: signal, Err: e.errorOf(st)}, true)
	}
}

// isSignal reports whether an id is that of a signal of ours.
func isSignal(id string) bool {
	_, _, ok := idOf(id)
	return ok
}

// idOf takes the id of a signal of ours apart.
func idOf(id string) (signal wire.Signal, sid string, ok bool) {
	rest, ours := strings.CutPrefix(id, "jm-")
	word, sid, found := strings.Cut(rest, "-")
	return wire.Signal(word), sid, ours && found && sid != ""
}

func bareOf(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}
