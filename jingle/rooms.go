package jingle

import (
	"slices"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/room"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

var _ gateway.RoomXMPP = (*Edge)(nil)

// inRoom takes presence of a user in a conference, who enters or leaves it, or of a room that a
// SIP user is in. False says that it is neither.
func (e *Edge) inRoom(st component.Stanza, from, to translate.JID) bool {
	if e.opt.Rooms == nil || to.Local == "" {
		return false
	}
	o := wire.ParseOccupant(st.Nodes)
	switch {
	case st.Type == "error" && from.Local != "":
		err := e.errorOf(st)
		return e.opt.Rooms.Tell(from.Bare().String(), to.String(), room.Barred{Condition: err.Condition, Text: err.Text})
	case from.Resource != "" && o.Has && (st.Type == "" || st.Type == "unavailable"):
		return e.opt.Rooms.Tell(from.Bare().String(), to.String(), room.Present{
			Person: room.Person{URI: e.occupantURI(from), Nick: from.Resource, Moderator: o.Moderator},
			Self:   slices.Contains(o.Codes, 110), Gone: st.Type == "unavailable", Renamed: renamed(o), Codes: o.Codes, Reason: o.Reason,
		})
	case st.Type == "unavailable":
		return e.opt.Rooms.Tell(to.Bare().String(), from.String(), room.Leave{})
	case st.Type == "" && (wire.Enters(st.Nodes) || to.Resource != ""):
		enter := room.Enter{Nick: to.Resource}
		if !wire.Enters(st.Nodes) { // a name or a state of who is inside
			return e.opt.Rooms.Tell(to.Bare().String(), from.String(), enter)
		}
		e.opt.Rooms.Enter(gateway.Query{
			Edge: gateway.XMPP, From: gateway.Party{JID: from.String(), Name: to.Resource}, To: to.Bare().String(),
		}, enter)
		return true
	}
	return false
}

// renamed is the new name of somebody who changes it.
func renamed(o wire.Occupant) string {
	if slices.Contains(o.Codes, 303) {
		return o.Nick
	}
	return ""
}

// occupantURI is the address of somebody in a room of XMPP, as SIP has it; empty if there is none.
func (e *Edge) occupantURI(j translate.JID) string {
	u, err := e.mapping.Load().SenderURI(j.Bare())
	if err != nil {
		return ""
	}
	return u.String()
}

// roomSays takes a message in a room of either world. False says that it is of none.
func (e *Edge) roomSays(st component.Stanza, from, to translate.JID) bool {
	if e.opt.Rooms == nil || to.Local == "" {
		return false
	}
	c := wire.ParseChat(st.Nodes, st.Lang)
	roomJID, person := from.Bare().String(), to.String()
	switch {
	case c.HasBody && c.Body != "" && from.Resource != "" && e.opt.Rooms.Tell(roomJID, person, room.Spoken{
		ID: st.Id, Nick: from.Resource, Body: c.Body, Alone: st.Type != "groupchat",
	}):
		return true
	case !c.HasBody && c.Subject != "" && st.Type == "groupchat" && e.opt.Rooms.Tell(roomJID, person, room.Named{Subject: c.Subject}):
		return true
	}
	conference, user := to.Bare().String(), from.String()
	alone := st.Type == "chat" && to.Resource != ""
	switch {
	case st.Type != "groupchat" && !alone:
		return false
	case !c.HasBody && c.Subject != "":
		return e.opt.Rooms.Tell(conference, user, room.Topic{ID: st.Id})
	case !c.HasBody:
		return st.Type == "groupchat" // such as who composes
	}
	body, fits := translate.FitText(c.Body, translate.MaxText)
	if !fits {
		e.refuse(st, wire.Error{Type: "modify", Condition: "policy-violation", Text: "The message is too long"})
		return true
	}
	say := room.Say{ID: st.Id, Body: body}
	if alone {
		say.To = to.Resource
	}
	if e.opt.Rooms.Tell(conference, user, say) {
		return true
	}
	if st.Type == "groupchat" {
		e.refuse(st, wire.Error{Type: "modify", Condition: "not-acceptable", Text: "You are not in this room"})
		return true
	}
	return false
}

// RoomAt implements [gateway.RoomXMPP].
func (e *Edge) RoomAt(at gateway.RoomPlace) gateway.RoomEnd {
	r := &roomEnd{e: e, at: at}
	r.room, _ = translate.ParseJID(at.Room) // the shell has it from us
	return r
}

// A roomEnd is the XMPP side of somebody in a room.
type roomEnd struct {
	e    *Edge
	at   gateway.RoomPlace
	room translate.JID
	nick string // of a guest, that the room was asked for last
}

// Do implements [gateway.RoomEnd].
func (r *roomEnd) Do(o room.Output) {
	switch o := o.(type) {
	case room.Show:
		role := "participant"
		switch {
		case o.Gone:
			role = "none"
		case o.Moderator:
			role = "moderator"
		}
		typ := stanza.StanzaType("")
		if o.Gone {
			typ = "unavailable"
		}
		r.presence(typ, o.Nick, wire.RoomUser(role, o.Renamed, o.Codes))
	case room.Refuse:
		err := component.ErrorNode(o.Problem.Type, o.Problem.Condition, o.Problem.Text)
		err.Attrs = append(err.Attrs, wire.Element("", "x", "by", r.at.Room).Attrs...)
		r.presence("error", o.Nick, wire.RoomPresence(), err)
	case room.Tell:
		typ := stanza.StanzaType("groupchat")
		nodes := []stanza.Node{wire.Body(o.Body)}
		if o.Alone {
			typ, nodes = "chat", append(nodes, wire.InRoom())
		}
		r.message(typ, o.ID, r.of(o.Nick), r.at.Person, nodes...)
	case room.Subject:
		r.message("groupchat", "", r.at.Room, r.at.Person, wire.Subject(o.Text))
	case room.Bounce:
		r.message("error", o.ID, r.of(o.To), r.at.Person, component.ErrorNode(o.Problem.Type, o.Problem.Condition, o.Problem.Text))
	case room.Join:
		if r.nick = o.Nick; o.Inside {
			r.toRoom("")
			return
		}
		r.toRoom("", wire.RoomEntry())
	case room.Exit:
		r.toRoom("unavailable")
	case room.Speak:
		if o.To != "" {
			r.message("chat", o.ID, r.at.Person, r.of(o.To), wire.Body(o.Body), wire.InRoom())
			return
		}
		r.message("groupchat", o.ID, r.at.Person, r.at.Room, wire.Body(o.Body))
	}
}

// of is the JID of a name in the room.
func (r *roomEnd) of(nick string) string {
	if nick == "" {
		return r.at.Room
	}
	return r.room.WithResource(nick).String()
}

func (r *roomEnd) presence(typ stanza.StanzaType, nick string, nodes ...stanza.Node) {
	st := component.Stanza{Kind: component.Presence, Nodes: nodes}
	st.Type, st.From, st.To = typ, r.of(nick), r.at.Person
	r.e.send(st)
}

func (r *roomEnd) toRoom(typ stanza.StanzaType, nodes ...stanza.Node) {
	st := component.Stanza{Kind: component.Presence, Nodes: nodes}
	st.Type, st.From, st.To = typ, r.at.Person, r.of(r.nick)
	r.e.send(st)
}

func (r *roomEnd) message(typ stanza.StanzaType, id, from, to string, nodes ...stanza.Node) {
	st := component.Stanza{Kind: component.Message, Nodes: nodes}
	if id == "" {
		id = r.e.opt.NewID()
	}
	st.Type, st.Id, st.From, st.To = typ, id, from, to
	r.e.send(st)
}
