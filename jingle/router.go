package jingle

import (
	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// packet is what the stream's library calls a stanza.
type packet = stanza.Packet

// Routes returns which stanzas the edge takes, for the component's stream.
func (e *Edge) Routes() []component.Route {
	set := []stanza.StanzaType{stanza.IQTypeSet}
	get := []stanza.StanzaType{stanza.IQTypeGet}
	refused := []stanza.StanzaType{"error"}
	return []component.Route{
		{Kind: component.IQ, Types: set, Space: wire.NSJingle, Local: "jingle", Handle: e.jingle},
		{Kind: component.IQ, Types: get, Space: wire.NSDiscoInfo, Local: "query", Handle: e.discoInfo},
		{Kind: component.IQ, Types: get, Space: wire.NSDiscoItems, Local: "query", Handle: e.discoItems},
		{Kind: component.IQ, Types: get, Space: wire.NSPing, Local: "ping", Handle: e.ping},
		{Kind: component.IQ, Types: get, Space: wire.NSVersion, Local: "query", Handle: e.version},
		{Kind: component.IQ, Types: get, Space: wire.NSLast, Local: "query", Handle: e.last},
		{Kind: component.IQ, Types: get, Space: wire.NSTime, Local: "time", Handle: e.time},
		{Kind: component.IQ, Types: get, Space: wire.NSVCard, Local: "vCard", Handle: e.vcard},
		{Kind: component.IQ, Types: get, Space: wire.NSVCard4, Local: "vcard", Handle: e.card},
		{Kind: component.IQ, Types: get, Space: wire.NSPubSub, Local: "pubsub", Handle: e.published},
		{Kind: component.IQ, Space: wire.NSGateway, Local: "query", Handle: e.gateway},
		{Kind: component.IQ, Space: wire.NSRegister, Local: "query", Handle: e.register},
		{Kind: component.IQ, Types: set, Space: wire.NSCommands, Local: "command", Handle: e.command},
		{Kind: component.IQ, Handle: e.unknown},
		{Kind: component.Message, Types: refused, Handle: e.bounced},
		{Kind: component.Message, Handle: e.message},
		{Kind: component.Presence, Handle: e.presence},
	}
}

// refuse answers a stanza with an error, where it is allowed to have one.
func (e *Edge) refuse(st component.Stanza, err wire.Error) {
	reply, ok := st.ErrorReply(errorNode(err))
	if ok {
		e.send(reply)
	}
}

// errorNode returns the <error/> of a stanza error.
func errorNode(err wire.Error) stanza.Node {
	return component.ErrorNode(err.Type, err.Condition, err.Text, err.App()...)
}

// unknown answers an IQ that nobody here understands (RFC 6120 section 8.4).
func (e *Edge) unknown(st component.Stanza) {
	e.refuse(st, wire.Error{Condition: "service-unavailable"})
}

// message takes a message: a step towards a call, a receipt of one, or what a person says.
func (e *Edge) message(st component.Stanza) {
	from, to, ok := parties(st)
	if !ok {
		return // the stream checks addresses; this one is no user's
	}
	m, err := wire.ParseMessage(st.Nodes)
	switch {
	case err != nil:
		e.log.Debug("message cannot be read", "err", err)
	case m.JMI != nil:
		e.signal(st, from, to, m)
	case m.Receipt != "" && isSignal(m.Receipt):
		e.receipt(from, m.Receipt)
	case e.invites(st, from, to):
	case e.roomSays(st, from, to):
	case e.publishes(st, from):
	case e.located(st, from, to):
	default:
		e.chat(st, from, to)
	}
}

// parties returns who speaks to whom.
func parties(st component.Stanza) (from, to translate.JID, ok bool) {
	from, err := translate.ParseJID(st.From)
	if err != nil {
		return from, to, false
	}
	to, err = translate.ParseJID(st.To)
	return from, to, err == nil
}
