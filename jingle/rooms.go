package jingle

import (
	"slices"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/message"
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

// invites takes an invitation: of a user of XMPP to a conference of SIP, who is in it, or of a SIP user to
// a room of XMPP, who reads it as a message of who invites. False says that it is none, or of a
// room that SIP users may not enter.
func (e *Edge) invites(st component.Stanza, from, to translate.JID) bool {
	v, ok := wire.ParseInvitation(st.Nodes)
	if !ok || e.opt.Rooms == nil || e.opt.Messages == nil || to.Local == "" || st.Type == "error" {
		return false
	}
	at, by := from.Bare(), from
	var err error
	switch {
	case v.To != "":
		return e.brings(st, from, to, v.To)
	case v.Room != "":
		at, err = translate.ParseJID(v.Room)
	case v.By != "" && from.Resource == "": // the room says who it is, as only rooms that we know may
		by, err = translate.ParseJID(v.By)
	default:
		return false
	}
	if err != nil || !e.opt.Rooms.Invited(at.Bare().String(), to.String(), v.Password, v.Room == "") {
		return false
	}
	uri := e.occupantURI(at)
	if uri == "" {
		return false
	}
	c := wire.ParseChat(st.Nodes, st.Lang)
	c.Body, c.Links, c.Place = translate.Invited(e.opt.Language, uri, v.Reason), nil, nil
	m := message.Message{
		ID: st.Id, Once: st.Id, Type: "chat", From: message.Address{JID: by.String()}, To: message.Address{JID: to.Bare().String()}, Hops: c.Hops, Left: max(c.Left, 0),
	}
	name := by.Resource // of a room that hides who is in it: routes say whether it may write
	if by.Bare() != at.Bare() {
		name = e.nameOf(by, c.Nick)
	}
	e.read(st, m, c, name)
	return true
}

// brings takes a user's wish that the conference she is in invites somebody.
func (e *Edge) brings(st component.Stanza, from, to translate.JID, who string) bool {
	j, err := translate.ParseJID(who)
	uri := ""
	if err == nil && j.Domain != e.opt.Domain {
		uri = e.occupantURI(j)
	} else if err == nil {
		uri = e.opt.Rooms.Callee(from.String(), j.Bare().String())
	}
	if uri == "" {
		e.refuse(st, wire.Error{Condition: "forbidden", Text: "You may not invite them"})
		return true
	}
	if !e.opt.Rooms.Tell(to.Bare().String(), from.String(), room.Bring{ID: st.Id, Who: uri}) {
		e.refuse(st, wire.Error{Type: "modify", Condition: "not-acceptable", Text: "You are not in this room"})
	}
	return true
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
		r.toRoom("", wire.RoomEntry(o.Password))
	case room.Exit:
		r.toRoom("unavailable")
	case room.Invite:
		r.message("", "", r.at.Person, r.at.Room, wire.Invite(o.Who, ""))
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
