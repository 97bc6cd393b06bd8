package jingle

import (
	"sync"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

var _ gateway.PersonsXMPP = (*Edge)(nil)

// publishes takes news of what a user publishes (XEP-0163); false if a message is none.
func (e *Edge) publishes(st component.Stanza, from translate.JID) bool {
	if st.Type != "headline" && st.Type != "" || e.opt.Persons == nil {
		return false
	}
	addresses, ok := wire.ParsePublished(st.Nodes)
	if ok && from.Resource == "" { // as the user's server says it, and no device
		e.opt.Persons.Published(from.String(), addresses, false)
	}
	return ok
}

// A looking collects the answers to the questions of one look.
type looking struct {
	mu        sync.Mutex
	left      int
	addresses []string
	whole     bool
	done      func([]string, bool)
}

func (l *looking) take(addresses []string, known bool) {
	l.mu.Lock()
	l.addresses = append(l.addresses, addresses...)
	l.whole = l.whole && known
	l.left--
	last := l.left == 0
	l.mu.Unlock()
	if last {
		l.done(l.addresses, l.whole)
	}
}

// Browse implements [gateway.PersonsXMPP]: it asks for the user's addresses (XEP-0152) and vCards
// (XEP-0292, XEP-0054), as the contact: what only contacts see, a server shows only to them.
func (e *Edge) Browse(p gateway.Pair, done func(addresses []string, whole bool)) {
	questions := []stanza.Node{wire.Published(wire.NSReach), wire.Published(wire.NodeVCard4), wire.Element(wire.NSVCard, "vCard")}
	l := &looking{left: len(questions), whole: true, done: done}
	for _, q := range questions {
		iq := component.Stanza{Kind: component.IQ}
		iq.Type, iq.From, iq.To, iq.Id = "get", p.Contact, p.User, e.opt.NewID()
		if iq.From == "" {
			iq.From = e.opt.Domain
		}
		iq.Nodes = []stanza.Node{q}
		e.request(iq, func(st component.Stanza, err error) {
			switch {
			case err != nil:
				l.take(nil, false)
			case st.Type == "result":
				addresses, _ := wire.ParsePublished(st.Nodes)
				l.take(addresses, true)
			default: // there is none, or it is not for us; only if the user's server is away it may be
				l.take(nil, e.errorOf(st).Type != "wait" && e.errorOf(st).Condition != "remote-server-not-found")
			}
		})
	}
}

// reached is where a contact is reached: as a URI, as people write it, and the user that it is
// known to be, to those who may know. What is not known is empty.
func (e *Edge) reached(asks, to translate.JID) (uri, written, user string) {
	u, err := e.mapping.Load().URIOfJID(to.Bare())
	if err != nil {
		return "", "", ""
	}
	uri = u.String()
	written = uri
	if n := u.Number(); n != "" {
		written = n
		if n[0] == '+' {
			uri = "tel:" + n
		}
	}
	if e.opt.Persons != nil {
		user = e.opt.Persons.Shown(asks.Bare().String(), to.Bare().String())
	}
	return uri, written, user
}

// card answers with the vCard of a contact (XEP-0292).
func (e *Edge) card(st component.Stanza) {
	if n, ok := e.cardOf(st); ok {
		e.send(st.Result(n))
	}
}

// cardOf makes the vCard of whom a stanza is to; false if it was refused.
func (e *Edge) cardOf(st component.Stanza) (stanza.Node, bool) {
	from, to, ok := parties(st)
	if !ok || to.Local == "" {
		e.unknown(st)
		return stanza.Node{}, false
	}
	if err := e.routable(to); err != nil {
		e.refuse(st, *err)
		return stanza.Node{}, false
	}
	uri, _, user := e.reached(from, to)
	if j, err := translate.ParseJID(user); err == nil && user != "" {
		user = translate.XMPPURI(j)
	}
	return wire.Card(translate.NickOf(e.calledName(to), to.Bare()), uri, user), true
}

// published answers with what a contact publishes: where it is reached (XEP-0152), and its vCard.
func (e *Edge) published(st component.Stanza) {
	from, to, ok := parties(st)
	pubsub := st.Child(wire.NSPubSub, "pubsub")
	if !ok || pubsub == nil || to.Local == "" || to.Resource != "" {
		e.unknown(st)
		return
	}
	switch node := wire.NodeOf(pubsub); node {
	case wire.NSReach:
		if err := e.routable(to); err != nil {
			e.refuse(st, *err)
			return
		}
		uri, _, _ := e.reached(from, to)
		if uri == "" {
			e.refuse(st, wire.Error{Condition: "item-not-found"})
			return
		}
		e.send(st.Result(wire.Items(node, wire.Reach(uri))))
	case wire.NodeVCard4:
		if n, ok := e.cardOf(st); ok {
			e.send(st.Result(wire.Items(node, n)))
		}
	default:
		e.refuse(st, wire.Error{Condition: "item-not-found"})
	}
}
