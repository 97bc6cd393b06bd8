package jingle

import (
	"cmp"
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

var _ gateway.PresenceXMPP = (*Edge)(nil)

// watched gives presence to whoever keeps the contact's, and says whether anyone does.
func (e *Edge) watched(st component.Stanza, from, to translate.JID) bool {
	p := e.opt.Presence
	if p == nil {
		return false
	}
	in := gateway.Presentation{Pair: gateway.Pair{User: from.Bare().String(), Contact: to.Bare().String()}, Type: string(st.Type)}
	if st.Type == "" || st.Type == "unavailable" {
		in.State = wire.ParseState(st.Nodes)
		in.State.Device, in.State.Open = from.Resource, st.Type == ""
		if in.State.Since.IsZero() {
			in.State.Since = time.Now()
		}
	}
	if to.Local == "" {
		if st.Type == "" || st.Type == "unavailable" {
			p.Shown(in.Pair.User, in.Type, in.State)
		}
		return false
	}
	switch p.FromUser(in) {
	case gateway.Ours:
		return true
	case gateway.TooMany:
		e.refuse(st, wire.Error{Condition: "resource-constraint", Text: "too many contacts are watched"})
		return true
	default:
		return false
	}
}

// about sends presence that is about a contact's account.
func (e *Edge) about(p gateway.Pair, typ stanza.StanzaType, nodes ...stanza.Node) {
	st := component.Stanza{Kind: component.Presence, Nodes: nodes}
	st.Type, st.From, st.To = typ, p.Contact, p.User
	e.send(st)
}

// Allow implements [gateway.PresenceXMPP].
func (e *Edge) Allow(p gateway.Pair) { e.about(p, "subscribed") }

// Disallow implements [gateway.PresenceXMPP].
func (e *Edge) Disallow(p gateway.Pair) { e.about(p, "unsubscribed") }

// Ask implements [gateway.PresenceXMPP].
func (e *Edge) Ask(p gateway.Pair, name string) {
	if name = translate.CleanName(name); name != "" {
		e.about(p, "subscribe", wire.Nick(name))
		return
	}
	e.about(p, "subscribe")
}

// Look implements [gateway.PresenceXMPP].
func (e *Edge) Look(p gateway.Pair) { e.about(p, "probe") }

// Tell implements [gateway.PresenceXMPP]. Every open device has the caps that clients want to
// see before they show a call button.
func (e *Edge) Tell(p gateway.Pair, s presence.State) {
	contact, err := translate.ParseJID(p.Contact)
	if err != nil {
		return // it was one when it came
	}
	from, err := translate.NewJID(contact.Local, contact.Domain, cmp.Or(s.Device, translate.VirtualResource))
	if err != nil {
		from = contact.WithResource(translate.VirtualResource)
	}
	st := component.Stanza{Kind: component.Presence}
	st.From, st.To = from.String(), p.User
	if s.Open {
		st.Nodes = append(wire.State(s, time.Now()), e.caps[ofContact].Element())
	} else {
		st.Type = "unavailable"
	}
	e.send(st)
}

// Doing implements [gateway.PresenceXMPP].
func (e *Edge) Doing(p gateway.Pair, a presence.Activity) {
	if event, ok := wire.Doing(a); ok {
		e.event(p, event)
	}
}

// Locate implements [gateway.PresenceXMPP].
func (e *Edge) Locate(p gateway.Pair, place *presence.Place) { e.event(p, wire.Whereabouts(place)) }

// event sends the user an event about the contact.
func (e *Edge) event(p gateway.Pair, event stanza.Node) {
	st := component.Stanza{Kind: component.Message, Nodes: []stanza.Node{event}}
	st.Type, st.From, st.To = "headline", p.Contact, p.User
	e.send(st)
}

// located takes an event about where a user is, and says whether it is one.
func (e *Edge) located(st component.Stanza, from, to translate.JID) bool {
	place, ok := wire.ParseWhereabouts(st.Nodes)
	// A server sends it from the account; who else wrote it may say nothing of that.
	if ok && from.Resource == "" && from.Local != "" && to.Local != "" && e.opt.Presence != nil && e.opt.MayLocate != nil {
		e.opt.Presence.Located(gateway.Pair{User: from.String(), Contact: to.Bare().String()}, place)
	}
	return ok
}

// Mail implements [gateway.PresenceXMPP] (example 34-02).
func (e *Edge) Mail(user string, m gateway.Mailbox) {
	subject, text, listen := translate.Voicemail(e.Language(user), m.Waiting, m.New, m.Urgent, m.Old)
	nodes := []stanza.Node{wire.Subject(subject), wire.Body(text)}
	if m.Account != "" {
		nodes = append(nodes, wire.Link(m.Account, listen))
	}
	st := component.Stanza{Kind: component.Message, Nodes: nodes}
	st.Type, st.Id, st.From, st.To = "headline", e.opt.NewID(), e.opt.Domain+"/voicemail", user
	e.send(st)
}

// Missed implements [gateway.PresenceXMPP]: a message from the caller, so that it stands
// where the caller can be called back.
func (e *Edge) Missed(user string, r gateway.Record) {
	caller, err := translate.ParseJID(r.Caller.JID)
	if err != nil {
		return
	}
	who := caller.Local
	if u, err := translate.ParseURI(r.Caller.URI); err == nil && !r.Caller.Anonymous {
		who = cmp.Or(u.Number(), strings.TrimPrefix(u.String(), "sip:"))
	}
	if name := translate.CleanName(r.Caller.Name); name != "" && !r.Caller.Anonymous {
		who = name + " (" + who + ")"
	}
	st := component.Stanza{Kind: component.Message, Nodes: []stanza.Node{
		wire.Body(translate.MissedCall(e.Language(user), who, r.Attempt)), wire.Store(),
	}}
	st.Type, st.Id, st.From, st.To = "chat", e.opt.NewID(), caller.Bare().String(), user
	e.send(st)
}

// Say writes to a user as one of our contacts.
func (e *Edge) Say(from, to, text string) {
	st := component.Stanza{Kind: component.Message, Nodes: []stanza.Node{wire.Body(text), wire.Store()}}
	st.Type, st.Id, st.From, st.To = "chat", e.opt.NewID(), from, to
	e.send(st)
}

// Language implements [gateway.PresenceXMPP].
func (e *Edge) Language(user string) string { return cmp.Or(e.people.lang(user), e.opt.Language, "en") }
