package wire

import (
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/presence"
)

// Namespaces of what messages hold for people.
const (
	NSChatStates = "http://jabber.org/protocol/chatstates"
	NSMarkers    = "urn:xmpp:chat-markers:0"
	NSCorrect    = "urn:xmpp:message-correct:0"
	NSReply      = "urn:xmpp:reply:0"
	NSForward    = "urn:xmpp:forward:0"
	NSArchive    = "urn:xmpp:mam:2"
	NSEncryption = "urn:xmpp:eme:0"
	NSRetract    = "urn:xmpp:message-retract:1"
	NSOMEMO      = "eu.siacs.conversations.axolotl"
	NSOMEMO2     = "urn:xmpp:omemo:2"
)

// The names of stanza headers (XEP-0131).
const (
	headerLeft = "Max-Forwards"
	headerHops = "Gateway-Hops"
	headerCall = "Call-ID"
)

// MaxLinks is how many files one message may hold.
const MaxLinks = 8

// A Chat is what a message says to a person, or of another message. Of what stands inside
// of something else, such as a carbon, nothing counts: anyone can write it.
type Chat struct {
	Body, Subject string
	HasBody       bool
	Lang          string // of the body
	Thread        string
	State         string          // chat state (XEP-0085); empty for none
	Asks          bool            // for a receipt (XEP-0184)
	Markable      bool            // may be said to be displayed (XEP-0333)
	Received      string          // id of a message that arrived (XEP-0184)
	Displayed     string          // id of a message that was read (XEP-0333)
	Replaces      string          // id of a message that this one corrects (XEP-0308)
	Answers       string          // id of a message that this one replies to (XEP-0461)
	Links         []string        // to files (XEP-0066)
	Place         *presence.Place // that it is about (XEP-0080); nil for none
	Nick          string
	Stamp         time.Time // when it was sent, if it was delayed (XEP-0203)
	Copy          bool      // it is, or holds, a copy of a message: a carbon, an archived or forwarded one
	Encrypted     bool      // its body is not what it says
	Retracts      bool      // another message (XEP-0424)
	Left          int       // Max-Forwards (XEP-0131); -1 for none
	Hops          int       // gateways that it has passed
}

// ParseChat reads the children of a message; lang is that of the stanza, and the body of
// that language goes before others.
func ParseChat(nodes []stanza.Node, lang string) Chat {
	lang = clipTo(lang, 64)
	c := Chat{Left: hopsIn(nodes, headerLeft), Hops: max(hopsIn(nodes, headerHops), 0)}
	for i := range nodes {
		n := &nodes[i]
		c.read(n, lang)
	}
	if c.HasBody && c.Lang == "" {
		c.Lang = lang
	}
	return c
}

func (c *Chat) read(n *stanza.Node, lang string) {
	switch n.XMLName.Space + " " + n.XMLName.Local {
	case NSClient + " body":
		if own := langOf(n); !c.HasBody || own == lang && own != c.Lang || own == "" && c.Lang != lang {
			c.Body, c.Lang = n.Content, own
		}
		c.HasBody = true
	case NSClient + " subject":
		if own := langOf(n); c.Subject == "" || own == lang || own == "" {
			c.Subject = n.Content
		}
	case NSClient + " thread":
		c.Thread = clipTo(text(n), 256)
	case NSReceipts + " request":
		c.Asks = true
	case NSReceipts + " received":
		c.Received = clipTo(Attr(n, "id"), 1024)
	case NSMarkers + " markable":
		c.Markable = true
	case NSMarkers + " displayed":
		c.Displayed = clipTo(Attr(n, "id"), 1024)
	case NSCorrect + " replace":
		c.Replaces = clipTo(Attr(n, "id"), 1024)
	case NSReply + " reply":
		c.Answers = clipTo(Attr(n, "id"), 1024)
	case nsOOB + " x":
		if u := Child(n.Nodes, nsOOB, "url"); u != nil && len(c.Links) < MaxLinks {
			c.Links = append(c.Links, clipTo(text(u), 2048))
		}
	case NSPlace + " geoloc":
		c.Place = ParsePlace(n)
	case NSNick + " nick":
		c.Nick = text(n)
	case NSDelay + " delay":
		if t, err := time.Parse(time.RFC3339, Attr(n, "stamp")); err == nil {
			c.Stamp = t
		}
	case NSCarbons + " sent", NSCarbons + " received", NSArchive + " result", NSForward + " forwarded":
		c.Copy = true
	case NSRetract + " retract":
		c.Retracts = true
	case NSOMEMO + " encrypted", NSOMEMO2 + " encrypted", NSEncryption + " encryption":
		c.Encrypted = true
	default:
		if n.XMLName.Space == NSChatStates {
			c.State = n.XMLName.Local
		}
	}
}

// clipTo shortens what a peer chose; it is then no one's id any more.
func clipTo(s string, limit int) string {
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

func langOf(n *stanza.Node) string { return clipTo(lang(n), 64) }

func hopsIn(nodes []stanza.Node, name string) int {
	if n := Child(nodes, nsSHIM, "headers"); n != nil {
		return countOf(n, name)
	}
	return -1
}

// Trail returns the stanza headers that a message through the gateway bears: what is left of
// Max-Forwards, how many gateways it has passed, and the Call-ID of the call that it belongs
// to. What is 0 or empty is left out.
func Trail(left, hops int, call string) stanza.Node {
	n := Element(nsSHIM, "headers")
	add := func(name, value string) {
		if value != "" && value != "0" {
			n.Nodes = append(n.Nodes, Text(nsSHIM, "header", value, "name", name))
		}
	}
	add(headerLeft, decimal(max(left, 0)))
	add(headerHops, decimal(max(hops, 0)))
	add(headerCall, call)
	return n
}

// Thread names a conversation.
func Thread(id string) stanza.Node { return Text("", "thread", id) }

// ChatState returns a chat state (XEP-0085).
func ChatState(state string) stanza.Node { return Element(NSChatStates, state) }

// Markable says that a message may be said to be displayed (XEP-0333).
func Markable() stanza.Node { return Element(NSMarkers, "markable") }

// Displayed says that the message of that id was (XEP-0333).
func Displayed(id string) stanza.Node { return Element(NSMarkers, "displayed", "id", id) }

// Delay says when something was sent (XEP-0203), and by whom it was held, if by anyone.
func Delay(by string, at time.Time) stanza.Node {
	return Element(NSDelay, "delay", "from", by, "stamp", at.UTC().Format(time.RFC3339))
}

// NoStore keeps a message out of archives (XEP-0334).
func NoStore() stanza.Node { return Element(NSHints, "no-store") }
