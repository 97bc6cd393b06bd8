package wire

import (
	"strconv"

	"gosrc.io/xmpp/stanza"
)

// Namespaces of rooms (XEP-0045).
const (
	NSMUC     = "http://jabber.org/protocol/muc"
	NSMUCUser = "http://jabber.org/protocol/muc#user"
	NSInvite  = "jabber:x:conference" // XEP-0249
)

// maxCodes is how many status codes of one presence are read.
const maxCodes = 16

// An Occupant is what a room says of somebody in it.
type Occupant struct {
	Nick      string // the new one, of somebody who changes it
	Role      string
	Codes     []int
	Reason    string
	Has       bool // there is any of this
	Moderator bool
}

// Enters reports whether a presence is the wish to enter a room.
func Enters(nodes []stanza.Node) bool { return Child(nodes, NSMUC, "x") != nil }

// ParseOccupant reads what a presence of a room says.
func ParseOccupant(nodes []stanza.Node) Occupant {
	x := Child(nodes, NSMUCUser, "x")
	if x == nil {
		return Occupant{}
	}
	o := Occupant{Has: true}
	for i := range x.Nodes {
		n := &x.Nodes[i]
		switch n.XMLName.Local {
		case "status":
			if c, err := strconv.Atoi(Attr(n, "code")); err == nil && len(o.Codes) < maxCodes {
				o.Codes = append(o.Codes, c)
			}
		case "item":
			o.Nick, o.Role = clipTo(Attr(n, "nick"), 1023), Attr(n, "role")
			o.Moderator = o.Role == "moderator"
			if r := Child(n.Nodes, NSMUCUser, "reason"); r != nil {
				o.Reason = clipTo(text(r), 256)
			}
		}
	}
	return o
}

// RoomUser returns what a room says of somebody: that they have a role, or "none" when they are
// gone, the new name of who changes it, and codes.
func RoomUser(role, nick string, codes []int) stanza.Node {
	item := Element(NSMUCUser, "item", "affiliation", "none", "role", role)
	if nick != "" {
		item.Attrs = append(item.Attrs, Element("", "x", "nick", nick).Attrs...)
	}
	x := Element(NSMUCUser, "x")
	x.Nodes = append(x.Nodes, item)
	for _, c := range codes {
		x.Nodes = append(x.Nodes, Element(NSMUCUser, "status", "code", strconv.Itoa(c)))
	}
	return x
}

// RoomEntry is the wish to enter a room, without what was said in it before. The password may be
// empty.
func RoomEntry(password string) stanza.Node {
	x := Element(NSMUC, "x")
	x.Nodes = append(x.Nodes, Element(NSMUC, "history", "maxstanzas", "0"))
	if password != "" {
		n := Element(NSMUC, "password")
		n.Content = password
		x.Nodes = append(x.Nodes, n)
	}
	return x
}

// An Invitation is the wish that somebody enters a room.
type Invitation struct {
	Room     string // empty if the room itself has sent it
	By, To   string // By of one that a room sends, To of one that it is to send
	Reason   string
	Password string // of the room
}

// ParseInvitation reads an invitation: by way of the room (XEP-0045 section 7.8.2), or direct
// (XEP-0249). Of several people one is read.
func ParseInvitation(nodes []stanza.Node) (v Invitation, ok bool) {
	if x := Child(nodes, NSMUCUser, "x"); x != nil {
		if n := Child(x.Nodes, NSMUCUser, "invite"); n != nil {
			v.By, v.To = clipTo(Attr(n, "from"), maxJID), clipTo(Attr(n, "to"), maxJID)
			if r := Child(n.Nodes, NSMUCUser, "reason"); r != nil {
				v.Reason = clipTo(r.Content, 1023)
			}
			if p := Child(x.Nodes, NSMUCUser, "password"); p != nil {
				v.Password = clipTo(p.Content, 1023)
			}
			return v, v.By != "" || v.To != ""
		}
	}
	if x := Child(nodes, NSInvite, "x"); x != nil {
		v = Invitation{
			Room: clipTo(Attr(x, "jid"), maxJID), Reason: clipTo(Attr(x, "reason"), 1023), Password: clipTo(Attr(x, "password"), 1023),
		}
	}
	return v, v.Room != ""
}

// Invite asks a room to invite somebody.
func Invite(to, reason string) stanza.Node {
	invite := Element(NSMUCUser, "invite", "to", to)
	if reason != "" {
		n := Element(NSMUCUser, "reason")
		n.Content = reason
		invite.Nodes = append(invite.Nodes, n)
	}
	x := Element(NSMUCUser, "x")
	x.Nodes = append(x.Nodes, invite)
	return x
}

// InRoom marks a message that goes to somebody in a room (XEP-0045 section 7.5).
func InRoom() stanza.Node { return Element(NSMUCUser, "x") }

// RoomPresence marks the error to a wish to enter.
func RoomPresence() stanza.Node { return Element(NSMUC, "x") }
