package wire

import (
	"errors"
	"strconv"
	"strings"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/typed"
)

// NSText is what a client has that shows text while it is typed (XEP-0301).
const NSText = "urn:xmpp:rtt:0"

var typingEvents = map[typed.Event]string{typed.New: "new", typed.Reset: "reset", typed.Init: "init", typed.Cancel: "cancel"}

// ParseEdit reads the rtt element of a message; ok is false if there is none, or one that
// cannot be understood. An action that is unknown is passed over, as pauses are: what is told
// on has a pace of its own.
func ParseEdit(nodes []stanza.Node) (e typed.Edit, ok bool) {
	n := Child(nodes, NSText, "rtt")
	if n == nil {
		return e, false
	}
	word := Attr(n, "event")
	if word != "" && word != "edit" {
		for event, name := range typingEvents {
			if name == word {
				e.Event = event
			}
		}
		if e.Event == typed.Change {
			return e, false
		}
	}
	seq, found := number(n, "seq", 1<<32-1)
	if !found && e.Event != typed.Init && e.Event != typed.Cancel {
		return e, false
	}
	e.Seq, e.ID = uint32(seq), clipTo(Attr(n, "id"), 256)
	for i := range n.Nodes {
		c := &n.Nodes[i]
		if len(e.Actions) == typed.MaxActions {
			return e, false
		}
		if c.XMLName.Space != NSText {
			continue
		}
		switch c.XMLName.Local {
		case "t":
			e.Actions = append(e.Actions, typed.Action{Insert: c.Content, At: positionOf(c)})
		case "e":
			count := 1
			if word, found := lookup(c, "n"); found {
				count = integer(word, 0)
			}
			if count > 0 {
				e.Actions = append(e.Actions, typed.Action{Erase: count, At: positionOf(c)})
			}
		}
	}
	return e, true
}

// positionOf reads where an action is; what is before the beginning is at it (XEP-0301
// section 4.5.2).
func positionOf(n *stanza.Node) int {
	word, found := lookup(n, "p")
	if !found {
		return typed.End
	}
	return max(0, integer(word, typed.End))
}

// integer reads a number of any size, as one of at most typed.MaxLine either way.
func integer(word string, otherwise int) int {
	v, err := strconv.Atoi(strings.TrimSpace(word))
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return otherwise
	}
	return max(-typed.MaxLine, min(v, typed.MaxLine))
}

// FormatEdit returns the rtt element of an edit.
func FormatEdit(e typed.Edit) stanza.Node {
	n := Element(NSText, "rtt", "event", typingEvents[e.Event], "seq", decimal(e.Seq), "id", e.ID)
	for _, a := range e.Actions {
		at := ""
		if a.At != typed.End {
			at = strconv.Itoa(a.At)
		}
		if a.Erase == 0 {
			n.Nodes = append(n.Nodes, Text(NSText, "t", a.Insert, "p", at))
			continue
		}
		count := ""
		if a.Erase > 1 {
			count = strconv.Itoa(a.Erase)
		}
		n.Nodes = append(n.Nodes, Element(NSText, "e", "n", count, "p", at))
	}
	return n
}
