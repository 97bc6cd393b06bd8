package component

import (
	"encoding/xml"
	"runtime/debug"
	"slices"
	"time"

	"gosrc.io/xmpp"
	"gosrc.io/xmpp/stanza"
	"mellium.im/xmpp/jid"
)

// newRouter makes the library's router of our routes. It has no lock, so it is complete
// before the stream runs.
func (s *Stream) newRouter(routes []Route) *xmpp.Router {
	router := xmpp.NewRouter()
	for _, r := range routes {
		handle := r.Handle
		router.NewRoute().AddMatcher(matcher(r)).HandlerFunc(func(_ xmpp.Sender, p stanza.Packet) {
			handle(p.(Stanza)) // the stream routes nothing else
		})
	}
	return router
}

// A matcher is a Route as the library's router wants it.
type matcher Route

// Match reports whether the route takes the stanza.
func (m matcher) Match(p stanza.Packet, _ *xmpp.RouteMatch) bool {
	st, ok := p.(Stanza)
	if !ok || m.Kind != "" && m.Kind != st.Kind {
		return false
	}
	if len(m.Types) > 0 && !slices.Contains(m.Types, st.Type) {
		return false
	}
	if m.Space == "" && m.Local == "" {
		return true
	}
	return slices.ContainsFunc(st.Nodes, func(n stanza.Node) bool {
		return (m.Space == "" || m.Space == n.XMLName.Space) && (m.Local == "" || m.Local == n.XMLName.Local)
	})
}

// take does with one element of the stream what must be done. An error ends the
// connection: the element was the server's last.
func (s *Stream) take(l *link, p piece, bound []binding) error {
	defer s.recover(nil)
	if s.opt.Trace != nil {
		s.opt.Trace(In, p.raw)
	}
	if p.over != "" {
		s.stats.received.Add(1)
		s.stats.over.Add(1)
		s.unreadable(l, envelope(p.raw), p.over)
		return nil
	}
	n, err := decode(p.raw, bound)
	if err != nil {
		s.stats.received.Add(1)
		s.stats.unreadable.Add(1)
		s.unreadable(l, envelope(p.raw), "bad-request")
		return nil
	}
	if n.XMLName == (xml.Name{Space: nsStream, Local: "error"}) {
		return streamErrorOf(n)
	}
	st, ok := stanzaOf(n)
	if !ok {
		s.stats.unknown.Add(1)
		return nil
	}
	s.stats.received.Add(1)
	if s.addressed(l, &st) {
		s.route(l, st)
	}
	return nil
}

// unreadable ends the request that a stanza answers, or answers the stanza.
func (s *Stream) unreadable(l *link, st Stanza, condition string) {
	if !s.addressed(l, &st) {
		return
	}
	if st.Kind == IQ && (st.Type == stanza.IQTypeResult || st.Type == stanza.IQTypeError) {
		s.answer(st, ErrUnreadable)
		return
	}
	s.refuse(l, st, condition)
}

// addressed normalises the addresses of a stanza, and deals with one that we may not
// believe or cannot use.
func (s *Stream) addressed(l *link, st *Stanza) bool {
	if st.To == "" {
		st.To = s.opt.Domain
	}
	to, err := jid.Parse(st.To)
	if err == nil && to.Domainpart() != s.opt.Domain {
		s.stats.foreign.Add(1)
		return false
	}
	if st.From == "" {
		s.stats.nobody.Add(1)
		return false
	}
	if err != nil {
		s.stats.malformed.Add(1)
		st.To = s.opt.Domain
		s.refuse(l, *st, "jid-malformed")
		return false
	}
	st.To = to.String()
	from, err := jid.Parse(st.From)
	if err != nil {
		s.stats.malformed.Add(1)
		s.refuse(l, *st, "jid-malformed")
		return false
	}
	st.From = from.String()
	return true
}

// route gives a stanza to whom it is for.
func (s *Stream) route(l *link, st Stanza) {
	if s.pong(st) {
		return
	}
	if st.Kind == IQ {
		switch {
		case st.Type == stanza.IQTypeResult || st.Type == stanza.IQTypeError:
			s.answer(st, nil)
			return
		case !st.Request() || st.Id == "" || len(st.Nodes) != 1: // RFC 6120 section 8.2.3
			s.stats.unreadable.Add(1)
			s.refuse(l, st, "bad-request")
			return
		}
	}
	var m xmpp.RouteMatch
	if !s.router.Match(st, &m) {
		s.stats.unrouted.Add(1)
		if st.Kind == IQ {
			s.refuse(l, st, "service-unavailable")
		}
		return
	}
	defer s.recover(func() {
		if st.Kind == IQ {
			s.refuse(l, st, "internal-server-error")
		}
	})
	m.Handler.HandlePacket(s, st)
}

// refuse answers a stanza with an error, unless it is an error itself.
func (s *Stream) refuse(l *link, st Stanza, condition string) {
	reply, ok := st.ErrorReply(ErrorNode("", condition, ""))
	if !ok {
		return
	}
	raw, err := Format(reply)
	if err != nil { // not a stanza, or its addresses alone are too long
		s.stats.refused.Add(1)
		return
	}
	// Where there is no room, whoever floods us gets no answer; it is counted.
	_ = s.queue(l, raw)
}

// recover keeps a panic of a caller's function from ending the stream: it is counted,
// logged at most once a minute, and then after is called. It must be deferred itself.
func (s *Stream) recover(after func()) {
	v := recover()
	if v == nil {
		return
	}
	s.stats.panics.Add(1)
	s.panic.Lock()
	now := time.Now()
	say := s.panic.logged.IsZero() || now.Sub(s.panic.logged) >= time.Minute
	if say {
		s.panic.logged = now
	}
	s.panic.Unlock()
	if say {
		s.opt.Log.Error("panic in a handler of the xmpp stream", "panic", v, "stack", string(debug.Stack()))
	}
	if after != nil {
		after()
	}
}

// ping asks the server, or ourselves through it, whether it is there.
func (s *Stream) ping(l *link) {
	id := s.opt.NewID()
	raw, err := Format(Stanza{
		Kind:  IQ,
		Attrs: stanza.Attrs{Type: stanza.IQTypeGet, Id: id, From: s.opt.Domain, To: s.opt.Server},
		Nodes: []stanza.Node{{XMLName: xml.Name{Space: nsPing, Local: "ping"}}},
	})
	if err != nil {
		return // the addresses were checked by New, so it cannot be
	}
	s.pinged.Store(&id) // first, since the answer may come at once
	if s.queue(l, raw) == nil {
		s.stats.pings.Add(1)
	}
}

// pong takes what belongs to pings: an answer, or our own that came back to us. One from
// our own domain that is not ours is a second gateway's: some servers share a domain
// among all who connect for it, which tears calls apart.
func (s *Stream) pong(st Stanza) bool {
	if st.Kind == IQ && st.From == s.opt.Domain && s.own.came(st.Id) {
		return true
	}
	if st.Kind != IQ || st.From != s.opt.Server {
		return false
	}
	if id := s.pinged.Load(); id != nil && *id == st.Id {
		s.pinged.Store(nil)
		s.stats.pongs.Add(1)
		return true
	}
	if st.From == s.opt.Domain && st.Type == stanza.IQTypeGet && st.Child(nsPing, "ping") != nil {
		s.stats.duplicate.Add(1)
		return true
	}
	return false
}
