package xmppserver

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"sipxmppgw/test/peer/element"
)

// route delivers a stanza in namespace jabber:client to where it is addressed. The server is locked.
func (s *Server) route(e *element.Element) {
	to, ok := address(e.Attr("to"))
	if !ok {
		s.bounce(e, "modify", "jid-malformed")
		return
	}
	domain := to.Domain().String()
	if domain == s.options.Domain {
		s.deliver(e, to)
		return
	}
	if _, known := s.options.Components[domain]; !known {
		s.bounce(e, "cancel", "remote-server-not-found")
		return
	}
	c := s.components[domain]
	if c == nil {
		s.bounce(e, "wait", "remote-server-timeout")
		return
	}
	s.send(c, e)
}

// deliver handles a stanza for this domain (RFC 6121 section 8).
func (s *Server) deliver(e *element.Element, to jid.JID) {
	if to.Localpart() == "" {
		if e.Name == "iq" {
			s.serverIQ(e, nil)
		} else if e.Name == "message" {
			s.bounce(e, "cancel", "service-unavailable")
		}
		return
	}
	u := s.users[to.Bare().String()]
	if u == nil {
		if e.Name != "presence" { // which is ignored (RFC 6121 section 8.5.1)
			s.bounce(e, "cancel", "service-unavailable")
		}
		return
	}
	resource := to.Resourcepart()
	switch e.Name {
	case "iq":
		s.deliverIQ(u, e, resource)
	case "message":
		s.deliverMessage(u, e, resource)
	case "presence":
		s.deliverPresence(u, e, resource)
	}
}

func (s *Server) deliverIQ(u *user, e *element.Element, resource string) {
	if resource == "" {
		s.serverIQ(e, u)
		return
	}
	if session := u.sessions[resource]; session != nil {
		s.hand(session, e)
		return
	}
	s.bounce(e, "cancel", "service-unavailable")
}

// deliverMessage forks a message to a bare JID to all resources whose priority is not
// negative, as servers do for JMI (RFC 6121 section 8.5.2.1.1, XEP-0280).
func (s *Server) deliverMessage(u *user, e *element.Element, resource string) {
	kind := e.Attr("type")
	if session := u.sessions[resource]; session != nil {
		s.hand(session, e)
		s.carbon(u, e, "received", session)
		return
	}
	switch {
	case kind == "error", kind == "headline" && resource != "":
		return
	case kind == "groupchat":
		s.bounce(e, "cancel", "service-unavailable")
		return
	}
	heard := false
	for _, session := range u.ordered() {
		if session.available() && session.priority >= 0 {
			s.hand(session, e)
			heard = true
		}
	}
	switch {
	case heard || kind == "headline":
	case s.options.StoreOffline:
		if len(u.offline) < maxOffline {
			stored := e.Clone().Add(element.New(nsDelay, "delay", "from", s.options.Domain, "stamp", time.Now().UTC().Format(time.RFC3339)))
			u.offline = append(u.offline, stored)
		}
	default:
		s.bounce(e, "cancel", "service-unavailable")
	}
}

const maxOffline = 100 // messages of one user

// carbon copies a chat message that one session sent or received to the user's others.
func (s *Server) carbon(u *user, e *element.Element, direction string, not *Session) {
	jmi := slices.ContainsFunc(e.Children(nsJMI, ""), func(*element.Element) bool { return true })
	if e.Attr("type") != "chat" && !jmi || e.Child(nsCarbons, "private") != nil || e.Child(nsHints, "no-copy") != nil {
		return
	}
	for _, session := range u.ordered() {
		if session == not || !session.carbons {
			continue
		}
		copied := element.New(nsClient, "message", "from", u.jid, "to", session.jid, "type", "chat").Add(
			element.New(nsCarbons, direction).Add(element.New(nsForward, "forwarded").Add(e.Clone())))
		s.hand(session, copied)
	}
}

// hand gives a stanza to a session.
func (s *Server) hand(session *Session, e *element.Element) {
	s.trace(session.jid, false, e.String())
	session.inbox.put(e.Clone())
}

// bounce returns a stanza with an error, unless it is one that is never answered.
func (s *Server) bounce(e *element.Element, kind, condition string) {
	switch t := e.Attr("type"); {
	case t == "error" || t == "result":
		return
	case e.Name == "presence" && t != "" && t != "subscribe" && t != "probe":
		return
	}
	s.route(reply(e, "error").Add(stanzaError(kind, condition, "")))
}

// reply returns the head of an answer.
func reply(e *element.Element, kind string) *element.Element {
	return element.New(nsClient, e.Name, "from", e.Attr("to"), "to", e.Attr("from"), "id", e.Attr("id"), "type", kind)
}

func stanzaError(kind, condition, text string) *element.Element {
	e := element.New(nsClient, "error", "type", kind).Add(element.New(nsStanzas, condition))
	if text != "" {
		e.Add(element.New(nsStanzas, "text").AddText(text))
	}
	return e
}

// serverIQ answers for the server itself, or for the account of u.
func (s *Server) serverIQ(e *element.Element, u *user) {
	kind := e.Attr("type")
	if kind != "get" && kind != "set" {
		return
	}
	own := u != nil && bare(e.Attr("from")) == u.jid
	payload := e.Child("", "")
	answer := reply(e, "result")
	switch {
	case payload == nil:
		s.bounce(e, "modify", "bad-request")
		return
	case kind == "get" && payload.Is(nsPing, "ping") && (u == nil || own):
	case kind == "get" && payload.Is(nsDiscoInfo, "query"):
		info := element.New(nsDiscoInfo, "query", "node", payload.Attr("node"))
		if u == nil {
			info.Add(element.New("", "identity", "category", "server", "type", "im", "name", "xmppserver"))
		} else {
			if c := u.roster[bare(e.Attr("from"))]; !own && (c == nil || !c.from) {
				s.bounce(e, "cancel", "service-unavailable")
				return
			}
			info.Add(element.New("", "identity", "category", "account", "type", "registered"))
		}
		for _, f := range []string{nsDiscoInfo, nsDiscoItems, nsPing, nsCarbons, nsExtdisco} {
			info.Add(element.New("", "feature", "var", f))
		}
		answer.Add(info)
	case kind == "get" && payload.Is(nsDiscoItems, "query") && u == nil:
		items := element.New(nsDiscoItems, "query")
		var domains []string
		for domain := range s.options.Components {
			domains = append(domains, domain)
		}
		slices.Sort(domains)
		for _, domain := range domains {
			items.Add(element.New("", "item", "jid", domain))
		}
		answer.Add(items)
	case kind == "get" && payload.Is(nsExtdisco, "services") && u == nil:
		services := element.New(nsExtdisco, "services")
		if s.options.STUN != "" {
			host, port, _ := net.SplitHostPort(s.options.STUN) // of a test
			services.Add(element.New("", "service", "type", "turn", "host", "turn.invalid", "port", "3478", "transport", "udp"))
			services.Add(element.New("", "service", "type", "stun", "host", host, "port", port, "transport", "udp"))
		}
		answer.Add(services)
	case kind == "get" && payload.Is(nsVersion, "query") && u == nil:
		answer.Add(element.New(nsVersion, "query").Add(element.New("", "name").AddText(cmp.Or(s.options.Program, "xmppserver"))))
	case kind == "get" && payload.Is(nsTime, "time") && u == nil:
		now := time.Now().Add(s.options.Ahead).UTC().Format(time.RFC3339)
		answer.Add(element.New(nsTime, "time").Add(element.New("", "utc").AddText(now)))
	case kind == "set" && payload.Is(nsSession, "session"):
	case kind == "set" && own && (payload.Is(nsCarbons, "enable") || payload.Is(nsCarbons, "disable")):
		if session := u.session(e.Attr("from")); session != nil {
			session.carbons = payload.Name == "enable"
		}
	case own && payload.Is(nsRoster, "query"):
		if !s.rosterIQ(u, e, payload, answer) {
			s.bounce(e, "modify", "bad-request")
			return
		}
	default:
		s.bounce(e, "cancel", "service-unavailable")
		return
	}
	s.route(answer)
}

// rosterIQ answers a get and carries out a set (RFC 6121 section 2).
func (s *Server) rosterIQ(u *user, e, payload, answer *element.Element) bool {
	if e.Attr("type") == "get" {
		if session := u.session(e.Attr("from")); session != nil {
			session.interested = true
		}
		list := element.New(nsRoster, "query")
		for _, who := range u.contacts() {
			list.Add(u.roster[who].item(who))
		}
		answer.Add(list)
		return true
	}
	item := payload.Child(nsRoster, "item")
	who, ok := address(item.Attr("jid"))
	if !ok {
		return false
	}
	if item.Attr("subscription") == "remove" {
		s.removeContact(u, who.Bare().String())
		return true
	}
	c := u.contact(who.Bare().String())
	c.name = item.Attr("name")
	s.push(u, who.Bare().String(), c.item(who.Bare().String()))
	return true
}

func priorityOf(presence *element.Element) int {
	n, err := strconv.Atoi(strings.TrimSpace(presence.Child(nsClient, "priority").Text()))
	if err != nil || n < -128 || n > 127 {
		return 0
	}
	return n
}
