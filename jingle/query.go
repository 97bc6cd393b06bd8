package jingle

import (
	"errors"
	"time"

	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// ping answers that we are here (XEP-0199).
func (e *Edge) ping(st component.Stanza) { e.send(st.Result()) }

func (e *Edge) version(st component.Stanza) {
	e.send(st.Result(wire.Version(e.opt.Name, e.opt.Version)))
}

func (e *Edge) last(st component.Stanza) {
	e.send(st.Result(wire.Last(time.Since(e.born))))
}

func (e *Edge) time(st component.Stanza) {
	e.send(st.Result(wire.Time(time.Now())))
}

// vcard answers with the name of a contact and where it is reached, or with the name of the
// gateway (XEP-0054).
func (e *Edge) vcard(st component.Stanza) {
	from, to, ok := parties(st)
	if !ok {
		e.unknown(st)
		return
	}
	if to.Local == "" {
		e.send(st.Result(wire.VCard(e.opt.Name, "", "")))
		return
	}
	if err := e.routable(to); err != nil {
		e.refuse(st, *err)
		return
	}
	_, number, user := e.reached(from, to)
	e.send(st.Result(wire.VCard(translate.NickOf(e.calledName(to), to.Bare()), number, user)))
}

// gateway helps a client to find the JID of a telephone number or SIP address (XEP-0100
// section 4.9.2).
func (e *Edge) gateway(st component.Stanza) {
	from, to, ok := parties(st)
	query := st.Child(wire.NSGateway, "query")
	if !ok || to.Local != "" || query == nil {
		e.unknown(st)
		return
	}
	if st.Type == "get" {
		e.send(st.Result(wire.GatewayPrompt("Enter a SIP address or a telephone number", "SIP address or number")))
		return
	}
	jid, err := e.mapping.Load().Typed(wire.PromptOf(query), from.Domain)
	if err != nil {
		e.refuse(st, wire.Error{
			Type: "modify", Condition: "not-acceptable", Text: "Neither a SIP address nor a phone number",
		})
		return
	}
	e.send(st.Result(wire.GatewayJID(jid.Bare().String())))
}

// routable says what is wrong with an address of ours as somebody to look at, nil if
// nothing. Who has called is somebody, even if there is no way to call back.
func (e *Edge) routable(to translate.JID) *wire.Error {
	e.mu.Lock()
	_, called := e.names.get(to.Bare().String())
	e.mu.Unlock()
	if called {
		return nil
	}
	_, err := e.mapping.Load().URIOfJID(to.Bare())
	if err == nil {
		return nil
	}
	var bad *translate.AddressError
	if errors.As(err, &bad) && bad.Condition != "" {
		return &wire.Error{Condition: bad.Condition, Text: bad.Problem}
	}
	return &wire.Error{Condition: "item-not-found"}
}
