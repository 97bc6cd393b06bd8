package session

import (
	"slices"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// Contents that come and go while the session is up (XEP-0166 section 7.2.1).

// adds reports whether the peer wants to add the content of that name and waits for us.
func (s *Session) adds(name string) bool { return slices.Contains(s.adding, name) }

// added takes a content-add. It stays open while the call asks the other side: the call
// refuses the stream at first, and offers it when the other side has taken it.
func (s *Session) added(r Request) {
	switch {
	case s.state != Accepted, len(s.adding) > 0:
		s.refuse(r, wire.OutOfOrder)
		return
	case s.change != nil && len(s.change.added) > 0 && s.role == wire.Initiator:
		s.refuse(r, wire.TieBreak)
		return
	}
	for _, c := range r.Jingle.Contents {
		if own := s.remote.Stream(c.Name); own != nil && !own.Rejected {
			s.refuse(r, wire.Error{Type: "modify", Condition: "bad-request", Text: "there is such a content"})
			return
		}
	}
	s.result(r)
	said := r.Jingle.Description(s.role.Other())
	var no []wire.Content
	word := ""
	for i, c := range r.Jingle.Contents {
		if reason := s.addable(c, grouped(r.Jingle, c.Name)); reason != "" {
			word = reason
			c.Stream = media.Stream{Kind: c.Stream.Kind, Direction: c.Stream.Direction, Transport: nothing()}
			no = append(no, c)
			continue
		}
		s.open(said.Streams[i], c.Creator)
		s.group(c.Name, grouped(r.Jingle, c.Name) || s.shares(c.Name))
	}
	if no != nil {
		s.ask(aboutOther, wire.Jingle{Action: wire.ContentReject, Contents: no, Reason: &wire.Reason{Name: word}})
	}
	if len(s.adding) > 0 {
		s.start(TimerAdd)
		s.tellChange()
	}
}

// addable returns why a content cannot be added, or nothing.
func (s *Session) addable(c wire.Content, bundled bool) string {
	switch {
	case c.App != wire.NSRTP, c.Stream.Kind == media.Other, c.Disposition != "",
		c.Stream.Kind == media.Video && !s.opt.Video, s.remote.Live(c.Stream.Kind) >= 0,
		len(s.remote.Streams) >= wire.MaxContents && s.place(c.Name) < 0:
		return "unsupported-applications"
	case c.Net != wire.NSICE && (c.Net != "" || !bundled):
		return "unsupported-transports"
	}
	return ""
}

// group puts a content into the peer's bundle, or takes it out.
func (s *Session) group(name string, in bool) {
	others := slices.DeleteFunc(slices.Clone(s.remote.Bundle), func(n string) bool { return n == name })
	if in && len(others) > 0 { // a bundle that was not agreed on cannot begin now
		others = append(others, name)
	}
	s.remote.Bundle = others
}

// shares reports whether a content has the credentials of one in the peer's bundle, which
// clients take for being in it.
func (s *Session) shares(name string) bool {
	o := s.remote.Stream(name)
	if o == nil || o.Transport.ICE == nil {
		return false
	}
	for _, other := range s.remote.Bundle {
		if b := s.remote.Stream(other); b != nil && b != o && b.Transport.ICE != nil && b.Transport.ICE.Ufrag == o.Transport.ICE.Ufrag {
			return true
		}
	}
	return false
}

// place returns the slot of a content, -1 if it has none.
func (s *Session) place(name string) int {
	return slices.IndexFunc(s.remote.Streams, func(o media.Stream) bool { return o.Name == name })
}

// open notes a content that the peer wants to add, in its old slot if it had one.
func (s *Session) open(o media.Stream, creator wire.Role) {
	i := s.place(o.Name)
	if i < 0 {
		i = len(s.remote.Streams)
		s.slot(i, o)
	}
	s.idle = slices.DeleteFunc(s.idle, func(n string) bool { return n == o.Name })
	s.share(&o)
	if d := o.Transport.DTLS; d != nil && d.Setup == media.SetupNone {
		d.Setup = media.ActPass
	}
	s.remote.Streams[i] = o
	s.adding = append(s.adding, o.Name)
	s.made[o.Name] = creator
	s.wire[o.Name] = o.Direction
}

// share gives a bundled stream without a transport that of the others.
func (s *Session) share(o *media.Stream) {
	if o.Transport.ICE != nil {
		return
	}
	for i := range s.remote.Streams {
		if first := &s.remote.Streams[i]; !first.Rejected && first.Transport.ICE != nil && first.Name != o.Name {
			mux := o.Transport.RTCPMux
			o.Transport = first.Transport.Clone()
			o.Transport.RTCPMux = mux || first.Transport.RTCPMux
			return
		}
	}
}

// take accepts a content that the peer wants to add, in that place, with what the call
// says of it.
func (s *Session) take(place int, o media.Stream, whole media.Description) {
	theirs := &s.remote.Streams[place]
	s.adding = slices.DeleteFunc(s.adding, func(n string) bool { return n == theirs.Name })
	if len(s.adding) == 0 {
		s.stop(TimerAdd)
	}
	o.Name = theirs.Name
	o.Codecs = slices.DeleteFunc(slices.Clone(o.Codecs), func(c media.Codec) bool { return media.Find(theirs.Codecs, c) < 0 })
	if len(o.Codecs) == 0 {
		theirs.Rejected = true
		s.ask(aboutOther, wire.Jingle{
			Action: wire.ContentReject, Contents: []wire.Content{s.stub(theirs.Kind, o.Name)}, Reason: &wire.Reason{Name: "incompatible-parameters"},
		})
		return
	}
	answer := o
	answer.Direction = media.AnswerDirection(theirs.Direction, o.Direction)
	answer.Transport = o.Transport.Clone()
	s.settle(&answer, theirs)
	s.local.Streams[place] = answer
	s.local.Streams[place].Direction = wanted(o.Direction, theirs.Direction)
	said := answer.Direction.Reverse()
	if !s.literal() {
		s.wire[o.Name] = said
		s.offerContent(wire.ContentAccept, answer, whole)
		return
	}
	// COMPAT(Conversations 2.12): ends the call over an answer that has other senders than what it
	// has added, but lets them be modified afterwards.
	answer.Direction = theirs.Direction.Reverse()
	s.wire[o.Name] = theirs.Direction
	s.offerContent(wire.ContentAccept, answer, whole)
	if said != theirs.Direction && s.modifiable(o.Name, said) {
		s.ask(aboutOther, wire.Jingle{Action: wire.ContentModify, Contents: []wire.Content{s.modify(o.Name, said)}})
	}
}

// settle says who begins DTLS on a transport that the peer offers: whoever began it on the
// others.
func (s *Session) settle(answer, theirs *media.Stream) {
	ours, peers := answer.Transport.DTLS, theirs.Transport.DTLS
	if ours == nil || peers == nil {
		return
	}
	d := *ours
	switch {
	case peers.Setup == media.Active:
		d.Setup = media.Passive
	case peers.Setup == media.Passive:
		d.Setup = media.Active
	default:
		d.Setup = s.setup()
	}
	answer.Transport.DTLS = &d
	p := *peers
	p.Setup = media.Active
	if d.Setup == media.Active {
		p.Setup = media.Passive
	}
	theirs.Transport.DTLS = &p
}

// setup is our part in the DTLS of the session.
func (s *Session) setup() media.Setup {
	for i := range s.local.Streams {
		if d := s.local.Streams[i].Transport.DTLS; !s.local.Streams[i].Rejected && d != nil && d.Setup != media.ActPass && d.Setup != media.SetupNone {
			return d.Setup
		}
	}
	for i := range s.remote.Streams {
		if d := s.remote.Streams[i].Transport.DTLS; !s.remote.Streams[i].Rejected && d != nil && d.Setup == media.Passive {
			return media.Active
		}
	}
	if s.role == wire.Initiator {
		return media.Passive
	}
	return media.Active
}

// add offers the peer a content, in that place.
func (s *Session) add(place int, o media.Stream, whole media.Description) {
	own := &s.local.Streams[place]
	name := own.Name
	if o.Kind == media.Other || o.Kind == media.Video && !s.opt.Video {
		return
	}
	o.Name = name
	*own = o
	s.local.Bundle = slices.Clone(whole.Bundle)
	s.made[name] = s.role
	s.wire[name] = o.Direction.Reverse()
	s.change.added = append(s.change.added, name)
	s.offerContent(wire.ContentAdd, o, whole)
	s.start(TimerAdded)
}

// offerContent sends a content with its description and transport, and with the group it is in if
// the session is bundled.
func (s *Session) offerContent(action wire.Action, o media.Stream, whole media.Description) {
	contents, _ := wire.ContentsOf(media.Description{Streams: []media.Stream{o}}, s.role)
	var groups []wire.Group
	if len(s.remote.Bundle) > 0 && has(whole.Bundle, o.Name) && len(whole.Bundle) > 1 {
		groups = []wire.Group{{Semantics: "BUNDLE", Names: slices.Clone(whole.Bundle)}}
	}
	j := wire.Jingle{Action: action, Contents: contents, Groups: groups}
	if s.change == nil {
		s.ask(aboutOther, j)
		return
	}
	s.propose(j)
}

// adopted takes the peer's content-accept of what we added.
func (s *Session) adopted(r Request) {
	if !s.ours(r) {
		s.refuse(r, wire.OutOfOrder)
		return
	}
	s.result(r)
	said := r.Jingle.Description(s.role.Other())
	for i, c := range r.Jingle.Contents {
		place := s.place(c.Name)
		o := said.Streams[i]
		if !has(s.change.added, c.Name) || place < 0 {
			continue
		}
		s.decided(c.Name)
		own := &s.local.Streams[place]
		if c.App != wire.NSRTP || o.Kind != own.Kind {
			own.Rejected = true
			continue
		}
		s.wire[c.Name] = o.Direction
		o.Direction = wanted(o.Direction, own.Direction)
		s.remote.Streams[place] = media.Stream{}
		s.share(&o)
		s.remote.Streams[place] = o
		s.group(c.Name, grouped(r.Jingle, c.Name) || s.shares(c.Name))
		for _, d := range s.change.ahead {
			merge(&s.remote, d)
		}
	}
	s.changed()
}

// turnedDown takes the peer's content-reject: of what we added, or of what it wanted to add
// itself and does not want any more.
func (s *Session) turnedDown(r Request) {
	mine := slices.ContainsFunc(r.Jingle.Contents, func(c wire.Content) bool { return s.adds(c.Name) })
	if !s.ours(r) && !mine {
		s.refuse(r, wire.OutOfOrder)
		return
	}
	s.result(r)
	for _, c := range r.Jingle.Contents {
		s.drop(c.Name)
	}
	s.tellChange()
}

// ours reports whether a request is of a content that we want to add.
func (s *Session) ours(r Request) bool {
	return s.change != nil && slices.ContainsFunc(r.Jingle.Contents, func(c wire.Content) bool { return has(s.change.added, c.Name) })
}

// decided notes that the peer has said what it thinks of a content that we added.
func (s *Session) decided(name string) {
	s.change.added = slices.DeleteFunc(s.change.added, func(n string) bool { return n == name })
}

// drop takes a content away, whoever wanted it.
func (s *Session) drop(name string) {
	place := s.place(name)
	if place < 0 {
		return
	}
	s.remote.Streams[place] = media.Refuse(s.remote.Streams[place])
	s.group(name, false)
	if s.adds(name) {
		s.adding = slices.DeleteFunc(s.adding, func(n string) bool { return n == name })
		if len(s.adding) == 0 {
			s.stop(TimerAdd)
		}
	}
	if s.change != nil && has(s.change.added, name) {
		s.decided(name)
		s.local.Streams[place].Rejected = true
		s.changed()
	}
}

// rejectAdded says no to what the peer wants to add: it is not known or, if the other side
// could not be asked, no fault of the peer's (INTERWORKING.md section 2.10).
func (s *Session) rejectAdded(cause call.Cause) {
	if len(s.adding) == 0 {
		return
	}
	reason := wire.Reason{Name: "unsupported-applications"}
	if cause == call.Conflict {
		reason.Name = "general-error"
	}
	var no []wire.Content
	for _, name := range slices.Clone(s.adding) {
		no = append(no, s.stub(s.remote.Stream(name).Kind, name))
		s.drop(name)
	}
	s.ask(aboutOther, wire.Jingle{Action: wire.ContentReject, Contents: no, Reason: &reason})
	s.tellChange()
}

// withdraw takes back what we added and the peer does not answer.
func (s *Session) withdraw() {
	if s.change == nil || len(s.change.added) == 0 {
		return
	}
	var back []wire.Content
	for _, name := range s.change.added {
		back = append(back, s.stub(s.local.Stream(name).Kind, name))
	}
	s.ask(aboutOther, wire.Jingle{Action: wire.ContentRemove, Contents: back, Reason: &wire.Reason{Name: "timeout"}})
	s.refuseAdded()
}

// nothing is a transport with nothing in it.
func nothing() media.Transport { return media.Transport{ICE: &media.ICE{}} }

// stub returns a content that is refused or withdrawn: as it was offered, but for what is in it.
// COMPAT(Conversations 2.12, Cheogram): end the call over one without media, senders and transport.
func (s *Session) stub(k media.Kind, name string) wire.Content {
	return wire.Content{
		Name: name, App: wire.NSRTP, Net: wire.NSICE,
		Stream: media.Stream{Kind: k, Direction: s.asInitiator(s.wire[name]), Transport: nothing()},
	}
}

// refuseAdded notes that the peer does not take what we added.
func (s *Session) refuseAdded() {
	for _, name := range slices.Clone(s.change.added) {
		s.drop(name)
	}
	if s.change != nil {
		s.changed()
	}
}
