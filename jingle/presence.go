package jingle

import (
	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
)

// presence takes a presence stanza. Whoever wants to see a contact may: a client shows a
// call button only for one that it sees with the right caps (INTERWORKING.md section 2.5).
func (e *Edge) presence(st component.Stanza) {
	from, to, ok := parties(st)
	if !ok || e.inRoom(st, from, to) {
		return
	}
	if st.Type == "unavailable" {
		e.people.left(from.String(), from.Bare().String())
		e.toPeer(from, session.Gone{From: from.String()})
	}
	watched := e.watched(st, from, to)
	switch st.Type {
	case "":
		e.available(st, from, to, watched)
		return
	case "error":
		return
	}
	if watched {
		return
	}
	switch st.Type {
	case "subscribe", "probe":
		if to.Local == "" {
			e.sees(from, true)
		} else {
			if err := e.routable(to); err != nil {
				e.refuse(st, *err)
				return
			}
		}
		if st.Type == "subscribe" {
			e.sendPresence("subscribed", to.Bare(), from.Bare())
			e.sendPresence("subscribe", to.Bare(), from.Bare())
			e.sendPresence("", to, from.Bare())
			return
		}
		e.sendPresence("", to, from)
	case "unsubscribe":
		if to.Local == "" {
			e.sees(from, false)
		}
		e.sendPresence("unsubscribed", to.Bare(), from.Bare())
		e.sendPresence("unavailable", to, from.Bare())
	}
}

// available notes a device that is there, and shows it the contact it spoke to, unless that
// has presence of its own.
func (e *Edge) available(st component.Stanza, from, to translate.JID, watched bool) {
	pr := wire.ParsePresence(st.Nodes)
	full, bare := from.String(), from.Bare().String()
	if pr.Nick != "" {
		pr.Nick = translate.CleanName(pr.Nick)
	}
	fresh, ask := e.people.came(full, bare, pr)
	if lang := translate.LanguageOf(st.Lang); lang != "" {
		e.people.speaks(bare, lang)
	}
	if addresses, ok := wire.ParseReach(st.Nodes); ok && e.opt.Persons != nil {
		e.opt.Persons.Published(bare, addresses, false)
	}
	if to.Local == "" {
		e.sees(from, true)
	}
	e.toPeer(from, session.Back{From: full})
	if ask {
		e.ask(st.To, full, bare, pr.Caps)
	}
	if fresh && !watched && (to.Local == "" || e.routable(to) == nil) {
		e.sendPresence("", to, from)
	}
}

// sendPresence sends presence of one of our addresses: with a type that is about the
// account from the bare JID, else from where calls come from, and with its caps.
func (e *Edge) sendPresence(typ stanza.StanzaType, from, to translate.JID) {
	st := component.Stanza{Kind: component.Presence}
	st.Type, st.To = typ, to.String()
	st.From = from.Bare().String()
	caps := e.caps[ofDomain]
	if from.Local != "" {
		caps = e.caps[ofContact]
		if typ == "" || typ == "unavailable" {
			st.From = selfOf(from)
		}
	}
	if from.Local == "" && typ == "" {
		if down, why := e.standing(to); down {
			st.Type = "unavailable"
			if why != "" {
				st.Nodes = []stanza.Node{wire.Status(why)}
			}
			e.send(st)
			return
		}
		e.parting(&st, to)
	}
	if typ == "" && st.Type == "" {
		st.Nodes = append(st.Nodes, caps.Element())
	}
	if typ == "" || typ == "subscribe" {
		name := ""
		switch {
		case from.Local == "" && e.opt.Accounts != nil && typ == "subscribe":
			name = e.opt.Name
		case from.Local != "" && e.opt.Names != nil:
			name = e.calledName(from)
		}
		if name != "" {
			st.Nodes = append(st.Nodes, wire.Nick(name))
		}
	}
	e.send(st)
}

// selfOf returns the full JID that a SIP user's calls come from.
func selfOf(user translate.JID) string {
	if user.Resource != "" || user.Local == "" {
		return user.String()
	}
	return user.WithResource(translate.VirtualResource).String()
}

// toPeer tells the sessions with a person about one of its devices.
func (e *Edge) toPeer(from translate.JID, in session.Input) {
	_, gone := in.(session.Gone)
	for _, l := range e.legsOf(from.Bare().String()) {
		if l.device() == from.String() {
			l.lost.Store(gone)
		}
		l.deliver(in, true)
	}
}
