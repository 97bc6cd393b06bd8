package wire

import (
	"time"

	"gosrc.io/xmpp/stanza"
)

// GatewayPrompt returns what to ask a user for who looks for a contact (XEP-0100 section
// 4.9.2).
func GatewayPrompt(desc, prompt string) stanza.Node {
	n := Element(NSGateway, "query")
	n.Nodes = []stanza.Node{Text(NSGateway, "desc", desc), Text(NSGateway, "prompt", prompt)}
	return n
}

// GatewayJID returns the address that a user's words stand for.
func GatewayJID(jid string) stanza.Node {
	n := Element(NSGateway, "query")
	n.Nodes = []stanza.Node{Text(NSGateway, "jid", jid)}
	return n
}

// PromptOf returns the words a user gave to a prompt, empty if there are none.
func PromptOf(query *stanza.Node) string {
	if p := Child(query.Nodes, NSGateway, "prompt"); p != nil {
		return text(p)
	}
	return ""
}

// Version returns what runs here (XEP-0092).
func Version(name, version string) stanza.Node {
	n := Element(NSVersion, "query")
	n.Nodes = []stanza.Node{Text(NSVersion, "name", name), Text(NSVersion, "version", version)}
	return n
}

// VersionOf reads what runs elsewhere.
func VersionOf(query *stanza.Node) (name, version string) {
	if n := Child(query.Nodes, NSVersion, "name"); n != nil {
		name = text(n)
	}
	if n := Child(query.Nodes, NSVersion, "version"); n != nil {
		version = text(n)
	}
	return clip(name), clip(version)
}

// TimeOf reads the time elsewhere; ok is false if it is none.
func TimeOf(n *stanza.Node) (at time.Time, ok bool) {
	utc := Child(n.Nodes, NSTime, "utc")
	if utc == nil {
		return at, false
	}
	at, err := time.Parse(time.RFC3339, text(utc))
	return at, err == nil
}

// Last returns for how long the entity has been up (XEP-0012).
func Last(up time.Duration) stanza.Node {
	return Element(NSLast, "query", "seconds", decimal(uint64(max(up, 0)/time.Second)))
}

// Time returns the time (XEP-0202).
func Time(now time.Time) stanza.Node {
	n := Element(NSTime, "time")
	n.Nodes = []stanza.Node{
		Text(NSTime, "tzo", "+00:00"),
		Text(NSTime, "utc", now.UTC().Format("2006-01-02T15:04:05Z")),
	}
	return n
}

// VCard returns a card with a name and, if they are not empty, a number or SIP address and the
// JID of a user (XEP-0054).
func VCard(name, number, user string) stanza.Node {
	n := Element(NSVCard, "vCard")
	n.Nodes = []stanza.Node{Text(NSVCard, "FN", name), Text(NSVCard, "NICKNAME", name)}
	if number != "" {
		tel := Element(NSVCard, "TEL")
		tel.Nodes = []stanza.Node{Element(NSVCard, "VOICE"), Text(NSVCard, "NUMBER", number)}
		n.Nodes = append(n.Nodes, tel)
	}
	if user != "" {
		n.Nodes = append(n.Nodes, Text(NSVCard, "JABBERID", user))
	}
	return n
}
