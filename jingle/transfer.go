package jingle

import (
	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
)

// named gives a transfer the leg that its session id means: another session of the same
// person with a contact of ours. One that we have not got is nobody's to take the place of, so
// that the transfer is to the address alone.
func (l *leg) named(t call.LegTransfer) call.LegTransfer {
	sid := t.To.Replaces
	t.To.Replaces = ""
	if sid == "" {
		return t
	}
	other := l.e.find(l.key.peer, sid)
	if other == nil || other == l || other.inState() != session.Accepted {
		return t
	}
	if box := other.inbox(); box != nil {
		t.To.Call, t.To.Seat = box.Call(), box.Seat()
	}
	return t
}

// replaced returns the leg that a session-initiate is to take the place of: the session that
// its sender was told of by the one who has it. Whoever knows both its id and the full JID of
// its device has them from there.
func (e *Edge) replaced(i wire.Info, to translate.JID) *leg {
	from, err := translate.ParseJID(i.From)
	if err != nil {
		return nil
	}
	l := e.find(from.Bare().String(), i.SID)
	if l == nil || l.bare != to.Bare().String() || l.device() != from.String() || l.inState() != session.Accepted {
		return nil
	}
	return l
}

// takeOver has the call of another leg let this one in.
func (l *leg) takeOver(offer media.Description) {
	refused := func(r *call.Refusal) { l.deliver(session.End{Cause: r.Cause, Detail: r.Detail}, false) }
	box := l.takes.inbox()
	if box == nil || !box.Take(gateway.Taking{
		Edge: gateway.XMPP, Party: l.target.From, Policy: l.e.callerPolicy(l), Offer: offer, Leg: l.join, Refused: refused,
	}) {
		refused(&call.Refusal{Cause: call.Unavailable})
	}
}

// Refer implements [gateway.Leg]: no client of today would do it.
func (l *leg) Refer(call.Destination) {
	l.inbox().Post(told{call.LegReferred{Cause: call.Unsupported}})
}

// Meet implements [gateway.Leg]: the person is shown the new party's name at the contact it
// speaks to (INTERWORKING.md section 2.11).
func (l *leg) Meet(p gateway.Party) {
	st := component.Stanza{Kind: component.Presence}
	st.From, st.To = l.self, l.device()
	st.Nodes = []stanza.Node{l.e.caps[ofContact].Element(), wire.Nick(nameOf(p))}
	l.send(st, "presence")
}

// nameOf is what a party is called.
func nameOf(p gateway.Party) string {
	if p.Anonymous {
		return "Anonymous"
	}
	j, _ := translate.ParseJID(p.JID) // of none, the name is the URI
	if name := translate.NickOf(p.Name, j.Bare()); name != "" {
		return name
	}
	return translate.CleanName(p.URI)
}
