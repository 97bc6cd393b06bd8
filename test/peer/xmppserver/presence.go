package xmppserver

import (
	"slices"

	"sipxmppgw/test/peer/element"
)

// A contact is an entry of a roster (RFC 6121 appendix A).
type contact struct {
	to, from bool // the user sees the contact; the contact sees the user
	asked    bool // the user has asked to see the contact
	wanted   bool // the contact has asked to see the user
	name     string
}

func (c *contact) subscription() string {
	switch {
	case c.to && c.from:
		return "both"
	case c.to:
		return "to"
	case c.from:
		return "from"
	}
	return "none"
}

func (c *contact) item(who string) *element.Element {
	e := element.New(nsRoster, "item", "jid", who, "name", c.name, "subscription", c.subscription())
	if c.asked {
		e.Set("ask", "subscribe")
	}
	return e
}

func (u *user) contact(who string) *contact {
	c := u.roster[who]
	if c == nil {
		c = &contact{}
		u.roster[who] = c
	}
	return c
}

// Befriend puts a contact into a user's roster with the subscription none, to, from or
// both, as if it had been agreed on long ago.
func (s *Server) Befriend(userJID, contactJID, subscription string) error {
	if err := s.AddUser(userJID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.users[bare(userJID)].contact(bare(contactJID))
	c.to = subscription == "to" || subscription == "both"
	c.from = subscription == "from" || subscription == "both"
	return nil
}

// Subscription returns the state of a contact in a user's roster; empty if it is not there.
func (s *Server) Subscription(userJID, contactJID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[bare(userJID)]; u != nil {
		if c := u.roster[bare(contactJID)]; c != nil {
			return c.subscription()
		}
	}
	return ""
}

// push tells the user's sessions of a change in the roster.
func (s *Server) push(u *user, who string, item *element.Element) {
	for _, session := range u.ordered() {
		if session.interested {
			s.hand(session, element.New(nsClient, "iq", "type", "set", "to", session.jid, "id", s.id()).Add(
				element.New(nsRoster, "query").Add(item.Clone())))
		}
	}
}

func (s *Server) removeContact(u *user, who string) {
	c := u.roster[who]
	if c == nil {
		return
	}
	delete(u.roster, who)
	s.push(u, who, element.New(nsRoster, "item", "jid", who, "subscription", "remove"))
	if c.to || c.asked {
		s.route(element.New(nsClient, "presence", "type", "unsubscribe", "from", u.jid, "to", who))
	}
	if c.from || c.wanted {
		s.route(element.New(nsClient, "presence", "type", "unsubscribed", "from", u.jid, "to", who))
		s.hide(u, who)
	}
}

// sendPresence handles presence that a session sends (RFC 6121 sections 3 and 4).
func (s *Server) sendPresence(x *Session, e *element.Element) {
	kind := e.Attr("type")
	to, ok := address(e.Attr("to"))
	switch {
	case e.Attr("to") == "" && (kind == "" || kind == "unavailable"):
		s.broadcast(x, e)
		return
	case !ok:
		s.bounce(e, "modify", "jid-malformed")
		return
	}
	who := to.Bare().String()
	c := x.user.roster[who]
	switch kind {
	case "":
		x.directed[to.String()] = true
		s.route(e)
		return
	case "unavailable":
		delete(x.directed, to.String())
		s.route(e)
		return
	case "subscribe":
		c = x.user.contact(who)
		if !c.to {
			c.asked = true
		}
	case "subscribed":
		if c == nil || !c.wanted {
			return // no one asked; pre-approval is not offered
		}
		c.wanted, c.from = false, true
	case "unsubscribe":
		if c == nil {
			return
		}
		c.to, c.asked = false, false
	case "unsubscribed":
		if c == nil || !c.from && !c.wanted {
			return
		}
		c.from, c.wanted = false, false
	default:
		s.route(e)
		return
	}
	e.Set("from", x.user.jid)
	e.Set("to", who)
	s.push(x.user, who, c.item(who))
	s.route(e)
	switch kind {
	case "subscribed":
		for _, session := range x.user.ordered() {
			s.show(session, who)
		}
	case "unsubscribed":
		s.hide(x.user, who)
	}
}

// show sends a session's presence to one address, and hide that the user has gone.
func (s *Server) show(x *Session, to string) {
	if x.available() {
		p := x.presence.Clone()
		p.Set("to", to)
		s.route(p)
	}
}

func (s *Server) hide(u *user, to string) {
	for _, session := range u.ordered() {
		if session.available() {
			s.route(element.New(nsClient, "presence", "type", "unavailable", "from", session.jid, "to", to))
		}
	}
}

// broadcast handles presence to nobody in particular.
func (s *Server) broadcast(x *Session, e *element.Element) {
	u, initial := x.user, !x.available()
	var audience []string
	for _, who := range u.contacts() {
		if u.roster[who].from {
			audience = append(audience, who)
		}
	}
	if e.Attr("type") == "unavailable" {
		for who := range x.directed {
			if !slices.Contains(audience, bare(who)) {
				audience = append(audience, who)
			}
		}
		x.directed = map[string]bool{}
		x.presence = nil
	} else {
		x.presence, x.priority = e.Clone(), priorityOf(e)
	}
	for _, who := range audience {
		p := e.Clone()
		p.Set("to", who)
		s.route(p)
	}
	for _, other := range u.ordered() {
		if other == x || other.available() {
			p := e.Clone()
			p.Set("to", other.jid)
			s.hand(other, p)
		}
	}
	if !initial || !x.available() {
		return
	}
	for _, other := range u.ordered() {
		if other != x && other.available() {
			s.show(other, x.jid)
		}
	}
	for _, who := range u.contacts() {
		if u.roster[who].to {
			s.route(element.New(nsClient, "presence", "type", "probe", "from", u.jid, "to", who))
		}
		if u.roster[who].wanted {
			s.hand(x, element.New(nsClient, "presence", "type", "subscribe", "from", who, "to", u.jid))
		}
	}
	if x.priority >= 0 {
		for _, message := range u.offline {
			s.hand(x, message)
		}
		u.offline = nil
	}
}

// deliverPresence handles presence that comes for a user.
func (s *Server) deliverPresence(u *user, e *element.Element, resource string) {
	who := bare(e.Attr("from"))
	c := u.roster[who]
	switch e.Attr("type") {
	case "", "unavailable", "error":
		if resource != "" {
			if session := u.sessions[resource]; session != nil {
				s.hand(session, e)
			}
			return
		}
		s.handAll(u, e)
	case "probe":
		s.answerProbe(u, e, who, c)
	case "subscribe":
		if c != nil && c.from {
			s.route(element.New(nsClient, "presence", "type", "subscribed", "from", u.jid, "to", who))
			return
		}
		u.contact(who).wanted = true
		s.handAll(u, e)
	case "subscribed":
		if c == nil || !c.asked {
			return // RFC 6121 section 3.1.6: else it is silently ignored
		}
		c.asked, c.to = false, true
		s.handAll(u, e)
		s.push(u, who, c.item(who))
	case "unsubscribe":
		if c == nil || !c.from && !c.wanted {
			return
		}
		c.from, c.wanted = false, false
		s.handAll(u, e)
		s.push(u, who, c.item(who))
		s.hide(u, who)
	case "unsubscribed":
		if c == nil || !c.to && !c.asked {
			return
		}
		c.to, c.asked = false, false
		s.handAll(u, e)
		s.push(u, who, c.item(who))
	}
}

// answerProbe tells one who may see the user what there is to see (RFC 6121 section 4.3.2).
func (s *Server) answerProbe(u *user, e *element.Element, who string, c *contact) {
	if c == nil || !c.from {
		s.route(element.New(nsClient, "presence", "type", "unsubscribed", "from", u.jid, "to", who))
		return
	}
	away := true
	for _, session := range u.ordered() {
		if session.available() {
			away = false
			s.show(session, e.Attr("from"))
		}
	}
	if away {
		s.route(element.New(nsClient, "presence", "type", "unavailable", "from", u.jid, "to", e.Attr("from")))
	}
}

func (s *Server) handAll(u *user, e *element.Element) {
	for _, session := range u.ordered() {
		if session.available() {
			s.hand(session, e)
		}
	}
}
