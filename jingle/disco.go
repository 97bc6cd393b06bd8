package jingle

import (
	"slices"
	"strings"

	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// describe makes what the gateway and its contacts say of themselves. XMPP has no
// registered type for a SIP gateway but simple, and cheogram asks for pstn
// (INTERWORKING.md section 1.9).
func (e *Edge) describe() {
	e.domain = wire.Disco{
		Identities: []wire.Identity{
			{Category: "gateway", Type: "simple", Name: e.opt.Name},
			{Category: "gateway", Type: "pstn", Name: "Telephone gateway"},
			{Category: "gateway", Type: "sip", Name: e.opt.Name},
		},
		Features: []string{
			wire.NSDiscoInfo,
			wire.NSDiscoItems,
			wire.NSCaps,
			wire.NSGateway,
			wire.NSVersion,
			wire.NSEscaping,
			wire.NSPing,
			wire.NSVCard,
		},
	}
	if len(e.desks()) > 0 {
		e.domain.Features = append(e.domain.Features, wire.NSCommands)
	}
	if e.opt.Accounts != nil {
		e.domain.Features = append(e.domain.Features, wire.NSRegister)
	}
	form := wire.Form{Type: "http://jabber.org/network/serverinfo"}
	if len(e.opt.Abuse) > 0 {
		form.Fields = append(form.Fields, wire.Field{Name: "abuse-addresses", Values: e.opt.Abuse})
	}
	if len(e.opt.Admins) > 0 {
		form.Fields = append(form.Fields, wire.Field{Name: "admin-addresses", Values: e.opt.Admins})
	}
	if len(form.Fields) > 0 {
		e.domain.Forms = []wire.Form{form}
	}
	device := []wire.Identity{{Category: "client", Type: "phone", Name: "SIP device"}}
	e.contact = wire.Disco{
		Identities: device,
		Features: []string{
			wire.NSCaps,
			wire.NSDiscoInfo,
			wire.NSSourcesRFC,
			wire.NSGroupingRFC,
			wire.NSJMI,
			wire.NSJingle,
			wire.NSDTLS,
			wire.NSTransfer,
			wire.NSDTMF,
			wire.NSRTP,
			wire.NSRTPAudio,
			wire.NSFeedback,
			wire.NSHeaderExt,
			wire.NSICE,
			wire.NSPing,
			wire.NSReceipts,
			wire.NSChatStates,
			wire.NSMarkers,
		},
	}
	if e.opt.NoTones {
		e.contact.Features = slices.DeleteFunc(e.contact.Features, func(f string) bool { return f == wire.NSDTMF })
	}
	if e.opt.MayLocate != nil { // only who asks for them is sent such events (XEP-0163 section 4.3.2)
		e.contact.Features = append(e.contact.Features, wire.NSPlace, wire.NSPlace+"+notify")
	}
	if e.opt.Texts != nil {
		e.contact.Features = append(e.contact.Features, wire.NSText)
	}
	if e.opt.Policy.Video {
		e.contact.Features = append(e.contact.Features, wire.NSRTPVideo)
	}
	// Without jingle, so that nobody begins a session with an account.
	e.bare = wire.Disco{Identities: device, Features: []string{wire.NSDiscoInfo, wire.NSPing, wire.NSVCard}}
	node := "xmpp:" + e.opt.Domain
	e.caps[ofDomain] = wire.Caps{Node: node, Ver: e.domain.Ver(), Hash: "sha-1"}
	e.caps[ofContact] = wire.Caps{Node: node, Ver: e.contact.Ver(), Hash: "sha-1"}
}

// discoInfo answers what one of our addresses is.
func (e *Edge) discoInfo(st component.Stanza) {
	from, to, ok := parties(st)
	query := st.Child(wire.NSDiscoInfo, "query")
	if !ok || query == nil {
		e.unknown(st)
		return
	}
	node := wire.Attr(query, "node")
	d, caps := e.domain, e.caps[ofDomain]
	if to.Local != "" {
		if err := e.routable(to); err != nil {
			e.refuse(st, *err)
			return
		}
	}
	switch {
	case to.Local == "":
	case to.Resource == "" && !strings.HasPrefix(node, e.caps[ofContact].Node+"#"):
		d, caps = e.bare, wire.Caps{}
	default:
		// Presence may be from the bare JID; who asks for its caps gets those.
		d, caps = e.contact, e.caps[ofContact]
	}
	if node != "" && node != caps.Query() {
		if to.Local == "" && e.commandInfo(st, node, from) {
			return
		}
		e.refuse(st, wire.Error{Condition: "item-not-found"})
		return
	}
	d.Node = node
	e.send(st.Result(d.Element()))
}

// discoItems answers that there is nothing to browse but commands.
func (e *Edge) discoItems(st component.Stanza) {
	from, to, ok := parties(st)
	query := st.Child(wire.NSDiscoItems, "query")
	if ok && query != nil && to.Local == "" && len(e.desks()) > 0 && wire.Attr(query, "node") == wire.NSCommands {
		e.commandItems(st, from)
		return
	}
	e.send(st.Result(wire.Element(wire.NSDiscoItems, "query")))
}
