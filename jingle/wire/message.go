package wire

import (
	"encoding/xml"
	"strconv"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/media"
)

// A Signal is a step of Jingle message initiation (XEP-0353).
type Signal string

// The signals.
const (
	Propose Signal = "propose"
	Ringing Signal = "ringing"
	Proceed Signal = "proceed"
	Accept  Signal = "accept"
	Reject  Signal = "reject"
	Retract Signal = "retract"
	Finish  Signal = "finish"
)

// A JMI is one element of Jingle message initiation.
type JMI struct {
	Signal   Signal
	ID       string // of the session to be
	Kinds    []media.Kind
	Reason   *Reason
	TieBreak bool
	Migrated string // id of the session that takes the place of this one; empty for none
}

// ParseJMI reads an element of Jingle message initiation. An error is a [*ParseError].
func ParseJMI(n *stanza.Node) (JMI, error) {
	j := JMI{Signal: Signal(n.XMLName.Local), ID: Attr(n, "id")}
	switch j.Signal {
	case Propose, Ringing, Proceed, Accept, Reject, Retract, Finish:
	default:
		return j, bad("message/"+clip(n.XMLName.Local), "is not a signal of XEP-0353")
	}
	if j.ID == "" || len(j.ID) > maxName {
		return j, bad("message/"+n.XMLName.Local, "has no usable id")
	}
	for i := range n.Nodes {
		c := &n.Nodes[i]
		switch c.XMLName.Local {
		case "description":
			if len(j.Kinds) < MaxContents {
				j.Kinds = append(j.Kinds, kindOf(c))
			}
		case "reason":
			r := ParseReason(c)
			j.Reason = &r
		case "tie-break":
			j.TieBreak = true
		case "migrated":
			if to := Attr(c, "to"); len(to) <= maxName {
				j.Migrated = to
			}
		}
	}
	return j, nil
}

func kindOf(description *stanza.Node) media.Kind {
	if description.XMLName.Space != NSRTP {
		return media.Other
	}
	switch Attr(description, "media") {
	case "audio":
		return media.Audio
	case "video":
		return media.Video
	default:
		return media.Other
	}
}

// Proposes reports whether a proposal announces media of that kind.
func (j JMI) Proposes(k media.Kind) bool {
	for _, have := range j.Kinds {
		if have == k {
			return true
		}
	}
	return false
}

// Element returns the element.
func (j JMI) Element() stanza.Node {
	n := Element(NSJMI, string(j.Signal), "id", j.ID)
	for _, k := range j.Kinds {
		n.Nodes = append(n.Nodes, Element(NSRTP, "description", "media", k.String()))
	}
	if j.Reason != nil {
		n.Nodes = append(n.Nodes, j.Reason.Element())
	}
	if j.TieBreak {
		n.Nodes = append(n.Nodes, Element(NSJMI, "tie-break"))
	}
	if j.Migrated != "" {
		n.Nodes = append(n.Nodes, Element(NSJMI, "migrated", "to", j.Migrated))
	}
	return n
}

// Title returns the signal in one line.
func (j JMI) Title() string {
	if j.Reason != nil && j.Reason.Name != "" {
		return string(j.Signal) + " " + clip(j.Reason.Name)
	}
	return string(j.Signal)
}

// A Message is what a message holds for calls. Payloads inside of others, such as carbons
// and archives, are not looked at: anyone can write them.
type Message struct {
	JMI     *JMI
	Asks    bool      // it asks for a receipt (XEP-0184)
	Receipt string    // id of the message it acknowledges; empty for none
	Nick    string    // XEP-0172; not yet fit for another protocol
	Stamp   time.Time // when it was sent, if it was delayed (XEP-0203); zero for now
	Hops    int       // Max-Forwards of the call (XEP-0131); -1 for none
}

// ParseMessage reads the children of a message. An error is a [*ParseError].
func ParseMessage(nodes []stanza.Node) (Message, error) {
	m := Message{Hops: -1}
	for i := range nodes {
		c := &nodes[i]
		switch c.XMLName.Space + " " + c.XMLName.Local {
		case NSReceipts + " request":
			m.Asks = true
		case NSReceipts + " received":
			m.Receipt = Attr(c, "id")
		case NSNick + " nick":
			m.Nick = text(c)
		case NSDelay + " delay":
			if t, err := time.Parse(time.RFC3339, Attr(c, "stamp")); err == nil {
				m.Stamp = t
			}
		case nsSHIM + " headers":
			m.Hops = hopsOf(c)
		default:
			if c.XMLName.Space != NSJMI || m.JMI != nil {
				continue
			}
			j, err := ParseJMI(c)
			if err != nil {
				return m, err
			}
			m.JMI = &j
		}
	}
	return m, nil
}

// hopsOf reads Max-Forwards from stanza headers (XEP-0131); -1 if there is none.
func hopsOf(n *stanza.Node) int { return countOf(n, headerLeft) }

// countOf reads a small number from stanza headers; -1 if there is none of that name.
func countOf(n *stanza.Node, name string) int {
	for i := range n.Nodes {
		h := &n.Nodes[i]
		if h.XMLName.Local != "header" || Attr(h, "name") != name {
			continue
		}
		if hops, err := strconv.Atoi(text(h)); err == nil && hops >= 0 && hops <= 255 {
			return hops
		}
	}
	return -1
}

// Headers returns the stanza headers that carry what is left of Max-Forwards, and whom the
// caller dialled: a person may have several numbers. What is 0 or empty is left out.
func Headers(left int, dialled string) stanza.Node {
	n := Trail(left, 0, "")
	if dialled != "" {
		n.Nodes = append(n.Nodes, Text(nsSHIM, "header", dialled, "name", "To"))
	}
	return n
}

// Body returns what a message says to people (RFC 6121 section 5.2.3).
func Body(text string) stanza.Node { return Text("", "body", text) }

// Nick returns a nickname (XEP-0172).
func Nick(name string) stanza.Node { return Text(NSNick, "nick", name) }

// ReceiptRequest asks for a receipt (XEP-0184).
func ReceiptRequest() stanza.Node { return Element(NSReceipts, "request") }

// Receipt acknowledges the message of that id (XEP-0184).
func Receipt(id string) stanza.Node {
	n := Element(NSReceipts, "received")
	n.Attrs = []xml.Attr{{Name: xml.Name{Local: "id"}, Value: id}}
	return n
}

// Store asks the server to keep a message for devices that are away (XEP-0334).
func Store() stanza.Node { return Element(NSHints, "store") }

// NoCopy keeps a message to one device from being shown to the others (XEP-0280 section
// 9, XEP-0334).
func NoCopy() []stanza.Node {
	return []stanza.Node{Element(NSCarbons, "private"), Element(NSHints, "no-copy")}
}
