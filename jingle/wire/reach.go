package wire

import (
	"strings"

	"gosrc.io/xmpp/stanza"
)

// Namespaces of where else a person is reached.
const (
	NSReach       = "urn:xmpp:reach:0" // XEP-0152
	NSPubSub      = "http://jabber.org/protocol/pubsub"
	NSVCard4      = "urn:ietf:params:xml:ns:vcard-4.0" // XEP-0292
	NodeVCard4    = "urn:xmpp:vcard4"
	maxAddresses  = 8
	maxAddressLen = 512
)

// ParseReach reads the addresses of a presence (XEP-0152); ok is false if it says nothing of
// them.
func ParseReach(nodes []stanza.Node) (addresses []string, ok bool) {
	n := Child(nodes, NSReach, "reach")
	if n == nil {
		return nil, false
	}
	for i := range n.Nodes {
		if c := &n.Nodes[i]; c.XMLName.Space == NSReach && c.XMLName.Local == "addr" {
			addresses = oneMore(addresses, Attr(c, "uri"))
		}
	}
	return addresses, true
}

// oneMore adds an address, if it is one that a telephone may be at and there is room.
func oneMore(addresses []string, address string) []string {
	address = strings.TrimSpace(address)
	if address == "" || len(address) > maxAddressLen || len(addresses) == maxAddresses || strings.HasPrefix(strings.ToLower(address), "xmpp:") {
		return addresses
	}
	return append(addresses, address)
}

// ParsePublished reads the addresses that an answer or event of a user's publishing has (XEP-0060,
// XEP-0163), or of an old vCard (XEP-0054); ok is false if it has nothing of the kind.
func ParsePublished(nodes []stanza.Node) (addresses []string, ok bool) {
	for i := range nodes {
		switch n := &nodes[i]; n.XMLName.Space + " " + n.XMLName.Local {
		case NSVCard + " vCard":
			return oldCard(n), true
		case NSVCard4 + " vcard":
			return card(n), true
		case NSPubSub + " pubsub", nsEvent + " event":
			items := Child(n.Nodes, n.XMLName.Space, "items")
			if items == nil || Attr(items, "node") != NSReach && Attr(items, "node") != NodeVCard4 {
				return nil, false
			}
			for j := range items.Nodes {
				item := &items.Nodes[j]
				if found, is := ParseReach(item.Nodes); is {
					return found, true
				}
				if v := Child(item.Nodes, NSVCard4, "vcard"); v != nil {
					return card(v), true
				}
			}
			return nil, true
		}
	}
	return nil, false
}

// oldCard reads the numbers of a vCard (XEP-0054). What stands in them may be a SIP address.
func oldCard(n *stanza.Node) (addresses []string) {
	for i := range n.Nodes {
		c := &n.Nodes[i]
		if c.XMLName.Space != NSVCard || c.XMLName.Local != "TEL" {
			continue
		}
		if number := Child(c.Nodes, NSVCard, "NUMBER"); number != nil {
			addresses = oneMore(addresses, text(number))
		}
	}
	return addresses
}

// card reads the numbers and addresses of a vCard (RFC 6351).
func card(n *stanza.Node) (addresses []string) {
	for i := range n.Nodes {
		c := &n.Nodes[i]
		if c.XMLName.Space != NSVCard4 || c.XMLName.Local != "tel" && c.XMLName.Local != "impp" {
			continue
		}
		for _, form := range []string{"uri", "text"} {
			if v := Child(c.Nodes, NSVCard4, form); v != nil {
				addresses = oneMore(addresses, text(v))
				break
			}
		}
	}
	return addresses
}

// Published asks for what a user publishes at a node (XEP-0060 section 6.5).
func Published(node string) stanza.Node {
	n := Element(NSPubSub, "pubsub")
	n.Nodes = []stanza.Node{Element(NSPubSub, "items", "node", node, "max_items", "1")}
	return n
}

// NodeOf returns the node that somebody asks about; empty for none.
func NodeOf(pubsub *stanza.Node) string {
	if items := Child(pubsub.Nodes, NSPubSub, "items"); items != nil {
		return Attr(items, "node")
	}
	return ""
}

// Items is an answer to that with one item.
func Items(node string, item stanza.Node) stanza.Node {
	return current(NSPubSub, "pubsub", node, item)
}

// Reach says where a contact is reached (XEP-0152).
func Reach(uri string) stanza.Node {
	n := Element(NSReach, "reach")
	n.Nodes = []stanza.Node{Element(NSReach, "addr", "uri", uri)}
	return n
}

// Card is the vCard of a contact (XEP-0292): a name, an address, and the XMPP user that it is;
// the last two may be empty.
func Card(name, uri, user string) stanza.Node {
	value := func(property, form, v string) stanza.Node {
		p := Element(NSVCard4, property)
		p.Nodes = []stanza.Node{Text(NSVCard4, form, v)}
		return p
	}
	n := Element(NSVCard4, "vcard")
	n.Nodes = []stanza.Node{value("fn", "text", name)}
	if uri != "" {
		n.Nodes = append(n.Nodes, value("tel", "uri", uri))
	}
	if user != "" {
		n.Nodes = append(n.Nodes, value("impp", "uri", user))
	}
	return n
}
