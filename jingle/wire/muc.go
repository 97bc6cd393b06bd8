package wire

import (
	"strconv"

	"gosrc.io/xmpp/stanza"
)

// Namespaces of rooms (XEP-0045).
const (
	NSMUC     = "http://jabber.org/protocol/muc"
	NSMUCUser = "http://jabber.org/protocol/muc#user"
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

// RoomEntry is the wish to enter a room, without what was said in it before.
func RoomEntry() stanza.Node {
	x := Element(NSMUC, "x")
	x.Nodes = append(x.Nodes, Element(NSMUC, "history", "maxstanzas", "0"))
	return x
}

// InRoom marks a message that goes to somebody in a room (XEP-0045 section 7.5).
func InRoom() stanza.Node { return Element(NSMUCUser, "x") }

// RoomPresence marks the error to a wish to enter.
func RoomPresence() stanza.Node { return Element(NSMUC, "x") }
