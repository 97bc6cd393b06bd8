package session

import (
	"slices"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// signal takes a step of message initiation.
func (s *Session) signal(in Signal) {
	if s.state == Ended || !s.proposed() || in.JMI.ID != s.opt.SID {
		return
	}
	if in.Asks {
		s.emit(SendReceipt{in.From, in.ID})
	}
	if s.role == wire.Initiator {
		s.signalFromCallee(in)
		return
	}
	if in.From == s.peer {
		s.stop(TimerGone)
	}
	switch in.JMI.Signal {
	case wire.Propose:
		s.begin()
	case wire.Retract, wire.Reject, wire.Finish:
		if in.JMI.Signal == wire.Finish {
			s.finishes(in)
		}
		s.retracted(in)
	}
}

// begin takes the peer's proposal; a copy of it changes nothing.
func (s *Session) begin() {
	if s.state != Idle {
		return
	}
	s.state = Proposed
	if s.opt.Mode == Eager {
		s.ring()
		s.rung = false // the session says when it really rings
		s.proceed()
		return
	}
	s.start(TimerRing)
}

// ring tells a caller that it rings, once.
func (s *Session) ring() {
	if s.rung || s.role != wire.Responder {
		return
	}
	switch s.state {
	case Proposed:
		s.stop(TimerRing)
		s.send(s.peer, wire.Ringing, nil)
	case Initiated, Accepted:
		s.ask(aboutOther, wire.Jingle{Action: wire.SessionInfo, Info: wire.Info{Kind: wire.InfoRinging}})
	default:
		return
	}
	s.rung = true
}

// proceed asks the caller for its session.
func (s *Session) proceed() {
	s.stop(TimerRing)
	s.stop(TimerGone)
	s.send(s.peer, wire.Proceed, nil)
	s.state = Proceeded
	s.start(TimerInit)
}

// answer takes the call for a caller: first its proposal, then its session.
func (s *Session) answer(answer media.Description) {
	switch {
	case s.role != wire.Responder:
	case s.state == Proposed:
		s.proceed()
	case s.state == Initiated && !answer.Empty():
		s.accept(answer)
	}
}

func (s *Session) accept(answer media.Description) {
	s.local = answer.Clone()
	s.pair()
	for _, d := range s.held {
		merge(&s.local, d)
	}
	s.held = nil
	contents, groups := wire.ContentsOf(s.withIdle(), wire.Responder)
	if len(s.remote.Bundle) == 0 {
		groups = nil // an answer makes no group that was not offered (RFC 8843 section 7.3)
	}
	for i := range s.local.Streams {
		if own := &s.local.Streams[i]; !own.Rejected {
			s.wire[own.Name] = own.Direction.Reverse()
			own.Direction = wanted(own.Direction, s.remote.Streams[i].Direction)
			continue
		}
		s.remote.Streams[i] = media.Refuse(s.remote.Streams[i])
	}
	s.told = directions(s.effective(s.toldHold))
	s.state = Accepted
	s.ask(aboutAccept, wire.Jingle{
		Action: wire.SessionAccept, Responder: s.opt.Self, Contents: contents, Groups: groups,
	})
}

// withIdle returns our side with what the call refused of a bundle as a content that neither
// side sends: on the transport that is there, with a codec of the offer. Clients of WebRTC want
// an answer to each content that they offered, and end the call else (CLIENTS.md section 5.2
// item 5); without a bundle there is no transport for it, and it is left out.
func (s *Session) withIdle() media.Description {
	d := s.local.Clone()
	first := slices.IndexFunc(d.Streams, func(o media.Stream) bool { return !o.Rejected && has(s.remote.Bundle, o.Name) })
	if first < 0 || d.Streams[first].Transport.ICE == nil {
		return d
	}
	for i, o := range s.remote.Streams {
		pick := slices.IndexFunc(o.Codecs, media.Codec.Speech)
		if own := &d.Streams[i]; own.Rejected && !o.Rejected && o.Kind != media.Other && pick >= 0 && has(s.remote.Bundle, o.Name) {
			codec := o.Codecs[pick].Clone()
			codec.Feedback = nil
			*own = media.Stream{
				Name: o.Name, Kind: o.Kind, Direction: media.Inactive, Codecs: []media.Codec{codec},
				Transport: d.Streams[first].Transport.Clone(),
			}
			if !has(d.Bundle, o.Name) {
				d.Bundle = append(d.Bundle, o.Name)
			}
			s.idle = append(s.idle, o.Name)
		}
	}
	return d
}

// pair gives our side a slot for each of the peer's, of the same name. What the peer has
// taken away in the meantime is not accepted.
func (s *Session) pair() {
	n := len(s.remote.Streams)
	s.local.Streams = s.local.Streams[:min(n, len(s.local.Streams))]
	for i, o := range s.remote.Streams {
		if i == len(s.local.Streams) {
			s.local.Streams = append(s.local.Streams, media.Refuse(o))
		}
		own := &s.local.Streams[i]
		own.Name = o.Name
		own.Rejected = own.Rejected || o.Rejected
	}
}

// acceptAnswered takes the answer to our session-accept.
func (s *Session) acceptAnswered(e *wire.Error) {
	if e == nil {
		if s.move == still {
			s.tell(call.LegConfirmed{Side: s.opt.Side})
		}
		s.tellChange() // it may hold already
		return
	}
	cause, detail := s.opt.Words.Error(*e)
	if e.Jingle != wire.UnknownSession.Jingle {
		s.terminate(wire.Reason{Name: "general-error"})
	}
	s.finish(wire.Reason{Name: "general-error"})
	s.end(cause, detail)
}

// retracted takes a caller's giving up, by whichever word.
func (s *Session) retracted(in Signal) {
	var text string
	if in.JMI.Reason != nil {
		text = in.JMI.Reason.Text
	}
	switch s.state {
	case Proposed:
		s.end(call.Cancelled, call.Detail{Text: text})
	case Proceeded:
		cause := call.Cancelled
		if s.move != still {
			cause = call.Normal // to the call it is one that was called
		}
		if in.JMI.Signal == wire.Retract {
			s.finish(wire.Reason{Name: "cancel"})
		}
		s.end(cause, call.Detail{Text: text})
	case Initiated, Accepted:
		// The device that has the session takes back what it has begun; its account's others
		// cannot.
		if in.JMI.Signal != wire.Retract || in.From != s.peer {
			return
		}
		cause := call.Cancelled
		if s.move != still {
			cause = call.Normal
		}
		s.terminate(wire.Reason{Name: "cancel"})
		s.finish(wire.Reason{Name: "cancel"})
		s.end(cause, call.Detail{Text: text})
	}
}

// initiated takes the peer's session-initiate.
func (s *Session) initiated(r Request) {
	switch {
	case s.role != wire.Responder:
		s.refuse(r, wire.OutOfOrder)
		return
	case s.state == Proceeded, s.state == Idle && s.opt.Mode == Direct:
	case s.state >= Initiated && r.From != s.peer:
		s.refuse(r, wire.Conflict)
		return
	default:
		s.refuse(r, wire.OutOfOrder)
		return
	}
	if err := check(r); err != nil {
		s.refuse(r, *err)
		return
	}
	s.result(r)
	s.stop(TimerInit)
	s.peer = r.From // a proposal may be followed up from another device
	s.state = Initiated
	s.known = true
	if word := unusable(r.Jingle); word != "" {
		s.terminate(wire.Reason{Name: word})
		s.finish(wire.Reason{Name: word})
		s.end(call.Unsupported, call.Detail{})
		return
	}
	if s.move != still {
		s.moved(r.Jingle)
		return
	}
	s.remote = r.Jingle.Description(wire.Initiator)
	shareTransport(&s.remote)
	for i := range s.remote.Streams {
		// Clients before XEP-0320 1.0 do not say who begins.
		if d := s.remote.Streams[i].Transport.DTLS; d != nil && d.Setup == media.SetupNone {
			d.Setup = media.ActPass
		}
	}
	s.told = directions(s.remote)
	s.tell(call.LegOffered{Side: s.opt.Side, Media: s.remote.Clone()})
}

// check says what makes a session-initiate no session at all (INTERWORKING.md section
// 6.3).
func check(r Request) *wire.Error {
	problem := ""
	sessions := 0
	for _, c := range r.Jingle.Contents {
		if c.App == "" {
			problem = "a content has no description"
		}
		if c.Net == "" && !grouped(r.Jingle, c.Name) {
			problem = "a content has no transport"
		}
		if c.Disposition == "" {
			sessions++
		}
	}
	switch {
	case problem != "":
	case len(r.Jingle.Contents) == 0:
		problem = "there is no content"
	case sessions == 0:
		problem = "no content is of the session"
	case r.Jingle.Initiator != "" && !sameAccount(r.Jingle.Initiator, r.From):
		problem = "the initiator is someone else"
	default:
		return nil
	}
	return &wire.Error{Type: "modify", Condition: "bad-request", Text: problem}
}

func grouped(j wire.Jingle, name string) bool {
	for _, g := range j.Groups {
		if g.Semantics == "BUNDLE" && has(g.Names, name) {
			return true
		}
	}
	return false
}

// unusable returns the reason to refuse a session that no media plane can serve, or
// nothing.
func unusable(j wire.Jingle) string {
	word := "unsupported-applications"
	for _, c := range j.Contents {
		if c.App != wire.NSRTP || c.Stream.Kind == media.Other {
			continue
		}
		if c.Net == wire.NSICE || c.Net == wire.NSRawUDP {
			return ""
		}
		word = "unsupported-transports"
	}
	return word
}
