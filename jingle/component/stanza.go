package component

import (
	"encoding/xml"
	"strings"

	"gosrc.io/xmpp/stanza"
)

// Kinds of stanzas (RFC 6120 section 8.2).
const (
	IQ       = "iq"
	Message  = "message"
	Presence = "presence"
)

// Content is the namespace that elements of the stanza's own namespace have in a tree:
// <body/>, <show/>, <error/>. On the wire it is jabber:component:accept; a reader of
// payloads sees what clients see.
const Content = "jabber:client"

const (
	nsStream  = "http://etherx.jabber.org/streams"
	nsAccept  = "jabber:component:accept"
	nsServer  = "jabber:server"
	nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"
	nsPing    = "urn:xmpp:ping"
	nsXML     = "http://www.w3.org/XML/1998/namespace"
)

// A Stanza is one iq, message or presence, as it came or as it shall leave.
//
// From and To of a stanza that came are normalised (RFC 7622), so == compares them.
// Each element of Nodes has its resolved namespace in XMLName.Space; an empty one, which
// only a stanza that leaves has, is that of its parent. Attributes have no namespace but
// where they had a prefix: xml:lang is {http://www.w3.org/XML/1998/namespace lang}.
// Declarations (xmlns) are no attributes. The text of an element, all of it joined, is
// in Content; where text and elements are mixed their order is not kept.
type Stanza struct {
	Kind string // IQ, Message or Presence
	stanza.Attrs
	Nodes []stanza.Node
}

// Name returns the kind, which makes a Stanza a [stanza.Packet].
func (s Stanza) Name() string { return s.Kind }

// Child returns the first child with this namespace and name, or nil.
func (s Stanza) Child(space, local string) *stanza.Node {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.XMLName.Local == local && n.XMLName.Space == space {
			return n
		}
	}
	return nil
}

// Request reports whether the stanza is an IQ that must be answered: get or set.
func (s Stanza) Request() bool {
	return s.Kind == IQ && (s.Type == stanza.IQTypeGet || s.Type == stanza.IQTypeSet)
}

// Result returns the answer of type result to an IQ, from where it went to.
func (s Stanza) Result(nodes ...stanza.Node) Stanza {
	return s.reply(stanza.IQTypeResult, nodes)
}

// ErrorReply returns the error to answer a stanza with (RFC 6120 section 8.3); e is an
// <error/>, such as [ErrorNode] makes. The payload does not go back.
//
// Neither an error nor the result of an IQ may be answered with an error: ok is false.
func (s Stanza) ErrorReply(e stanza.Node) (reply Stanza, ok bool) {
	if s.Type == "error" || s.Kind == IQ && s.Type == stanza.IQTypeResult {
		return Stanza{}, false
	}
	return s.reply("error", []stanza.Node{e}), true
}

func (s Stanza) reply(typ stanza.StanzaType, nodes []stanza.Node) Stanza {
	return Stanza{
		Kind:  s.Kind,
		Attrs: stanza.Attrs{Type: typ, Id: s.Id, From: s.To, To: s.From},
		Nodes: nodes,
	}
}

// ErrorNode returns an <error/> (RFC 6120 section 8.3.2). Typ is auth, cancel, continue,
// modify or wait; where it is empty, the one that section 8.3.3 gives the condition. Text
// may be empty. App is the application's own condition, such as a Jingle error.
func ErrorNode(typ, condition, text string, app ...stanza.Node) stanza.Node {
	if typ == "" {
		typ = typeOf(condition)
	}
	nodes := []stanza.Node{{XMLName: xml.Name{Space: nsStanzas, Local: condition}}}
	if text != "" {
		nodes = append(nodes, stanza.Node{
			XMLName: xml.Name{Space: nsStanzas, Local: "text"},
			Content: text,
		})
	}
	return stanza.Node{
		XMLName: xml.Name{Space: Content, Local: "error"},
		Attrs:   []xml.Attr{{Name: xml.Name{Local: "type"}, Value: typ}},
		Nodes:   append(nodes, app...),
	}
}

// ErrorOf reads the error of a stanza of type error: its type, its condition, its text,
// and the application's own condition or nil. Without a condition it is
// undefined-condition (RFC 6120 section 8.3.3.21).
func (s Stanza) ErrorOf() (typ, condition, text string, app *stanza.Node) {
	condition = "undefined-condition"
	e := s.Child(Content, "error")
	if e == nil {
		return "cancel", condition, "", nil
	}
	for _, a := range e.Attrs {
		if a.Name.Space == "" && a.Name.Local == "type" {
			typ = a.Value
		}
	}
	found := false
	for i := range e.Nodes {
		n := &e.Nodes[i]
		switch {
		case n.XMLName.Space != nsStanzas:
			if app == nil {
				app = n
			}
		case n.XMLName.Local == "text":
			text = n.Content
		case !found:
			condition, found = n.XMLName.Local, true
		}
	}
	if typ == "" {
		typ = typeOf(condition)
	}
	return typ, condition, text, app
}

// ElsewhereOf returns the address that a gone or redirect error names (RFC 6120 sections
// 8.3.3.5 and 8.3.3.14), an IRI; empty if there is none.
func (s Stanza) ElsewhereOf() string {
	if e := s.Child(Content, "error"); e != nil {
		for i := range e.Nodes {
			if n := &e.Nodes[i]; n.XMLName.Space == nsStanzas && (n.XMLName.Local == "gone" || n.XMLName.Local == "redirect") {
				return strings.TrimSpace(n.Content)
			}
		}
	}
	return ""
}

func typeOf(condition string) string {
	switch condition {
	case "bad-request", "jid-malformed", "not-acceptable", "policy-violation", "redirect":
		return "modify"
	case "forbidden", "not-authorized", "registration-required", "subscription-required":
		return "auth"
	case "recipient-unavailable", "remote-server-timeout", "resource-constraint", "unexpected-request":
		return "wait"
	}
	return "cancel"
}
