package jingle

import (
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/gateway/typed"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
)

const (
	// parting is how long after a device's leg has ended it is still told what was typed last: the
	// SIP side closes its line when the phone has answered BYE. A device that has handed its call to
	// somebody else shall not read what they are told.
	parting  = 5 * time.Second
	maxSpoke = 256 // legs that are kept for it
)

// A parted leg is one that had text, and when it ended.
type parted struct {
	leg *leg
	at  time.Time
}

// Type has the device that has a call shown what the SIP side types as it does (XEP-0301), if it
// can, and each line as a message in any case. What is said last goes to the device that has just
// hung up, too. It does not wait.
func (e *Edge) Type(id call.ID, said []typed.Said, last bool) {
	l := e.talking(id, last)
	if l == nil {
		return // it is not answered yet, or over
	}
	to, from := l.device(), l.bare
	sees := l.types.Load() || e.people.sees(to, bareOf(to))
	if l.calls && l.target.From.Anonymous { // those are told apart by the resource
		from = l.self
	}
	for _, s := range said {
		st := component.Stanza{Kind: component.Message}
		st.Type, st.Id, st.From, st.To = "chat", e.opt.NewID(), from, to
		switch {
		case s.Edit == nil:
			st.Nodes = []stanza.Node{wire.Body(s.Body), wire.Thread(l.key.sid)}
		case sees:
			st.Nodes = []stanza.Node{wire.FormatEdit(*s.Edit), wire.Thread(l.key.sid), wire.NoStore()}
		default:
			continue
		}
		e.send(st)
	}
}

// talking is the leg of a call that somebody has taken, or made or, if that may be, has just ended;
// nil if there is none.
func (e *Edge) talking(id call.ID, ended bool) *leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.legs {
		if in := l.inbox(); in != nil && in.Call() == id && l.inState() == session.Accepted {
			return l
		}
	}
	if p, ok := e.spoke.get(id); ok && ended && time.Since(p.at) < parting {
		return p.leg
	}
	return nil
}

// part keeps a leg that ends for the last line of its call.
func (l *leg) part() {
	in := l.inbox()
	if !l.talked || in == nil || l.e.opt.Texts == nil || l.e.opt.Texts.Of(in.Call()) == nil {
		return
	}
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	l.e.spoke.put(in.Call(), parted{l, time.Now()})
}

// types has what a user writes in a call with text go there; false says that it goes as messages
// do. Only the device that has the call is seen while it types.
func (e *Edge) types(st component.Stanza, from translate.JID, id string, c wire.Chat) bool {
	if e.opt.Texts == nil || id == "" {
		return false
	}
	line := e.opt.Texts.Of(call.ID(id))
	if line == nil {
		return false
	}
	if l := e.legOf(from.Bare().String(), id); l != nil && l.device() == from.String() {
		if edit, ok := wire.ParseEdit(st.Nodes); ok {
			l.types.Store(true)
			line.Edit(edit)
		}
	}
	if !c.HasBody || strings.TrimSpace(c.Body) == "" {
		return c.State != ""
	}
	body := c.Body
	if c.Replaces != "" {
		body = "* " + body // what was read is not taken back
	}
	return line.Body(body)
}
