package wire

import (
	"strconv"

	"gosrc.io/xmpp/stanza"
)

// A Presence is what a presence of an available resource holds for calls.
type Presence struct {
	Priority int // RFC 6121 section 4.7.2.3
	Caps     Caps
	HasCaps  bool
	Nick     string
}

// Status returns what a presence says to people (RFC 6121 section 4.7.2.2).
func Status(text string) stanza.Node { return Text("", "status", text) }

// ParsePresence reads the children of a presence.
func ParsePresence(nodes []stanza.Node) Presence {
	var p Presence
	p.Caps, p.HasCaps = ParseCaps(nodes)
	if n := Child(nodes, NSClient, "priority"); n != nil {
		if v, err := strconv.Atoi(text(n)); err == nil && v >= -128 && v <= 127 {
			p.Priority = v
		}
	}
	if n := Child(nodes, NSNick, "nick"); n != nil {
		p.Nick = text(n)
	}
	return p
}
