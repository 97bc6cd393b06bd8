package wire

import (
	"encoding/xml"
	"strconv"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/presence"
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
		p.Priority, _ = priority(n)
	}
	if n := Child(nodes, NSNick, "nick"); n != nil {
		p.Nick = text(n)
	}
	return p
}

// priority reads a priority; ok is false if it is none.
func priority(n *stanza.Node) (v int, ok bool) {
	v, err := strconv.Atoi(text(n))
	if err != nil || v < -128 || v > 127 {
		return 0, false
	}
	return v, true
}

// What a state may hold.
const (
	maxStatuses = 8
	maxStatus   = 1024 // octets
)

// ParseState reads what a presence of a device shows. Device and Open are the caller's to set.
func ParseState(nodes []stanza.Node) presence.State {
	var s presence.State
	for i := range nodes {
		c := &nodes[i]
		switch c.XMLName.Space + " " + c.XMLName.Local {
		case NSClient + " show":
			s.Show, _ = presence.ParseShow(text(c))
		case NSClient + " priority":
			if v, ok := priority(c); ok {
				s.Priority = v
			}
		case NSClient + " status":
			if t := text(c); t != "" && len(s.Notes) < maxStatuses {
				s.Notes = append(s.Notes, presence.Note{Lang: lang(c), Text: clipTo(t, maxStatus)})
			}
		case NSIdle + " idle":
			s.Idle = moment(Attr(c, "since"))
		case NSDelay + " delay":
			s.Since = moment(Attr(c, "stamp"))
		}
	}
	return s
}

func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// State returns the children of a presence that shows an open device. now is for what was so
// long ago that it is to be said.
func State(s presence.State, now time.Time) []stanza.Node {
	var nodes []stanza.Node
	if word := s.Show.String(); word != "" {
		nodes = append(nodes, Text("", "show", word))
	}
	for _, n := range s.Notes {
		node := Text("", "status", n.Text)
		if n.Lang != "" {
			node.Attrs = append(node.Attrs, xml.Attr{Name: xml.Name{Space: nsXML, Local: "lang"}, Value: n.Lang})
		}
		nodes = append(nodes, node)
	}
	if s.Priority != 0 {
		nodes = append(nodes, Text("", "priority", strconv.Itoa(s.Priority)))
	}
	if !s.Idle.IsZero() {
		nodes = append(nodes, Element(NSIdle, "idle", "since", s.Idle.UTC().Format(time.RFC3339)))
	}
	if !s.Since.IsZero() && now.Sub(s.Since) > time.Minute {
		nodes = append(nodes, Delay("", s.Since))
	}
	return nodes
}

// Doing returns a personal event that says what someone does (XEP-0108, XEP-0163); empty for
// nothing any more. ok is false for what XEP-0108 has no words for.
func Doing(a presence.Activity) (event stanza.Node, ok bool) {
	general, specific, ok := a.XMPP()
	if !ok && a != "" {
		return event, false
	}
	doing := Element(nsActivity, "activity")
	if ok {
		g := Element(nsActivity, string(general))
		if specific != "" {
			g.Nodes = []stanza.Node{Element(nsActivity, string(specific))}
		}
		doing.Nodes = []stanza.Node{g}
	}
	return personal(nsActivity, doing), true
}

// personal returns an event of a node of someone's own (XEP-0163).
func personal(node string, what stanza.Node) stanza.Node {
	return current(nsEvent, "event", node, what)
}

// current returns the one item of a node, in an element of a namespace (XEP-0060).
func current(space, name, node string, what stanza.Node) stanza.Node {
	item := Element(space, "item", "id", "current")
	item.Nodes = []stanza.Node{what}
	items := Element(space, "items", "node", node)
	items.Nodes = []stanza.Node{item}
	n := Element(space, name)
	n.Nodes = []stanza.Node{items}
	return n
}

// Link returns a link beside a message (XEP-0066).
func Link(url, text string) stanza.Node {
	n := Element(nsOOB, "x")
	n.Nodes = []stanza.Node{Text(nsOOB, "url", url)}
	if text != "" {
		n.Nodes = append(n.Nodes, Text(nsOOB, "desc", text))
	}
	return n
}

// Subject returns what a message is about (RFC 6121 section 5.2.4).
func Subject(text string) stanza.Node { return Text("", "subject", text) }
