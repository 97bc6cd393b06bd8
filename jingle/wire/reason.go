package wire

import "gosrc.io/xmpp/stanza"

// A Reason says why a session or a content ended (XEP-0166 section 7.4).
type Reason struct {
	Name string // the element, such as "busy"; one that we do not know stays as it came
	Text string
	SID  string // of the session named by alternative-session
	// Transferred says that another session took the place of this one (XEP-0251).
	Transferred bool
}

const maxReasonName = 64

// ParseReason reads a <reason/>. One without a condition has an empty Name.
func ParseReason(n *stanza.Node) Reason {
	var r Reason
	for i := range n.Nodes {
		c := &n.Nodes[i]
		switch {
		case c.XMLName.Space == NSTransfer && c.XMLName.Local == "transferred":
			r.Transferred = true
		case c.XMLName.Space != NSJingle && c.XMLName.Space != NSJMI:
			// The application's own condition: it decides nothing here.
		case c.XMLName.Local == "text":
			r.Text = text(c)
		case r.Name == "" && len(c.XMLName.Local) <= maxReasonName:
			r.Name = c.XMLName.Local
			if sid := Child(c.Nodes, NSJingle, "sid"); sid != nil {
				r.SID = text(sid)
			}
		}
	}
	return r
}

// Element returns the <reason/>.
func (r Reason) Element() stanza.Node {
	n := Element(NSJingle, "reason")
	if r.Name != "" {
		c := Element(NSJingle, r.Name)
		if r.SID != "" {
			c.Nodes = []stanza.Node{Text(NSJingle, "sid", r.SID)}
		}
		n.Nodes = append(n.Nodes, c)
	}
	if r.Text != "" {
		n.Nodes = append(n.Nodes, Text(NSJingle, "text", r.Text))
	}
	if r.Transferred {
		n.Nodes = append(n.Nodes, Element(NSTransfer, "transferred"))
	}
	return n
}

// OrSuccess returns the reason, or success if it says none.
func (r Reason) OrSuccess() Reason {
	if r.Name == "" {
		r.Name = "success"
	}
	return r
}
