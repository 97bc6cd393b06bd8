package session

import (
	"strings"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// request takes an IQ of the peer. Each is answered here or in what is called from here.
func (s *Session) request(r Request) {
	if s.state == Ended || r.Jingle.SID != s.opt.SID {
		s.refuse(r, wire.UnknownSession)
		return
	}
	if s.names != nil && r.Jingle.Action != wire.SessionInitiate {
		rename(&r.Jingle, s.byOurs)
	}
	if r.Jingle.Action == wire.SessionInitiate && sameAccount(r.From, s.opt.Peer) {
		s.initiated(r)
		return
	}
	if s.state < Initiated || r.From != s.peer {
		s.refuse(r, wire.UnknownSession) // nobody learns of a session that is not his
		return
	}
	s.back() // whatever its presence says
	switch r.Jingle.Action {
	case wire.SessionAccept:
		s.accepted(r)
	case wire.SessionTerminate:
		s.terminated(r)
	case wire.SessionInfo:
		s.info(r)
	case wire.TransportInfo:
		s.transports(r)
	case wire.ContentAdd:
		s.added(r)
	case wire.ContentAccept:
		s.adopted(r)
	case wire.ContentReject:
		s.turnedDown(r)
	case wire.ContentModify:
		s.modified(r)
	case wire.ContentRemove:
		s.removed(r)
	case wire.TransportReplace:
		s.result(r)
		s.rejectTransport(r)
	case wire.DescriptionInfo:
		s.described(r)
	case wire.SecurityInfo:
		s.refuse(r, wire.UnsupportedInfo)
	case wire.TransportAccept, wire.TransportReject:
		s.refuse(r, wire.OutOfOrder) // of what we never asked
	default:
		s.refuse(r, wire.UnknownAction)
	}
}

// rejectTransport says no to another transport, such as raw UDP when ICE fails: nothing
// else would go through.
func (s *Session) rejectTransport(r Request) {
	j := wire.Jingle{Action: wire.TransportReject}
	for _, c := range r.Jingle.Contents {
		j.Contents = append(j.Contents, wire.Content{Creator: c.Creator, Name: c.Name})
	}
	s.ask(aboutOther, j)
}

// terminated takes the peer's session-terminate.
func (s *Session) terminated(r Request) {
	s.result(r)
	var reason wire.Reason
	if r.Jingle.Reason != nil {
		reason = *r.Jingle.Reason
	}
	cause, detail := s.causeOf(reason)
	if s.state == Accepted {
		s.finish(reason.OrSuccess())
	}
	s.end(cause, detail)
}

// causeOf returns what it means that the peer ends the session with that reason: a caller that
// has not been answered gives up.
func (s *Session) causeOf(reason wire.Reason) (call.Cause, call.Detail) {
	cause, detail := s.opt.Words.Cause(reason)
	if s.state != Accepted && s.role == wire.Responder && s.move == still {
		cause = call.Cancelled
	}
	return cause, detail
}

// finishes takes the peer's finish of a session that goes on. Clients send it beside
// session-terminate, which says why; one that does not come soon is not waited for. A finish that
// names another session is the peer's word for a move that its proposal begins (XEP-0353
// section 3.6), and other devices have no say.
func (s *Session) finishes(in Signal) {
	if in.From != s.peer || in.JMI.Migrated != "" || s.state < Initiated || s.running[TimerFinish] {
		return
	}
	s.finished = wire.Reason{}
	if in.JMI.Reason != nil {
		s.finished = *in.JMI.Reason
	}
	s.start(TimerFinish)
}

// info takes a session-info (XEP-0167 section 7).
func (s *Session) info(r Request) {
	switch r.Jingle.Info.Kind {
	case wire.InfoRinging:
		s.result(r)
		if s.role == wire.Initiator && s.state == Initiated {
			s.heard()
		}
	case wire.InfoHold, wire.InfoActive:
		s.result(r)
		s.onHold = r.Jingle.Info.Kind == wire.InfoHold
		s.tellChange()
	case wire.InfoPing, wire.InfoMute, wire.InfoUnmute:
		s.result(r)
	case wire.InfoDTMF:
		s.tone(r)
	case wire.InfoTransfer:
		s.transfer(r)
	default:
		s.refuse(r, wire.UnsupportedInfo)
	}
}

// tone takes a key of XEP-0181. Beside telephone-event it would be heard twice.
func (s *Session) tone(r Request) {
	i := r.Jingle.Info
	switch {
	case s.opt.NoTones:
		s.refuse(r, wire.Error{Type: "cancel", Condition: "service-unavailable"})
	case s.tonesInMedia():
		s.refuse(r, wire.Error{Type: "cancel", Condition: "not-acceptable", Text: "tones come in the media"})
	case i.Key == 0:
		s.refuse(r, wire.UnsupportedInfo)
	default:
		s.result(r)
		if i.Length > 0 {
			s.tell(call.LegDigit{Side: s.opt.Side, Digit: call.Digit{Key: i.Key, Length: i.Length}})
		}
	}
}

// tonesInMedia reports whether tones can go in the media: what both sides have said, or the one
// that has said anything.
func (s *Session) tonesInMedia() bool {
	ours, theirs := takesTones(s.local), takesTones(s.remote)
	switch {
	case s.state == Accepted:
		return ours && theirs
	case s.role == wire.Initiator:
		return ours
	default:
		return theirs
	}
}

func takesTones(d media.Description) bool {
	for _, stream := range d.Streams {
		for _, c := range stream.Codecs {
			if !stream.Rejected && c.Event() {
				return true
			}
		}
	}
	return false
}

// modified takes the peer's change of who sends.
func (s *Session) modified(r Request) {
	switch {
	case s.state != Accepted:
		s.refuse(r, wire.OutOfOrder)
		return
	case s.change != nil && s.change.left > 0 && s.role == wire.Initiator:
		s.refuse(r, wire.TieBreak) // XEP-0166 section 7.2.5: ours goes first
		return
	}
	said := r.Jingle.Description(s.role.Other())
	for _, c := range said.Streams {
		if stream := s.remote.Stream(c.Name); stream == nil || stream.Rejected && !has(s.idle, c.Name) {
			s.refuse(r, wire.Error{Type: "modify", Condition: "bad-request", Text: "there is no such content"})
			return
		}
	}
	s.result(r)
	var back []wire.Content
	for _, c := range said.Streams {
		theirs := s.remote.Stream(c.Name)
		if theirs.Rejected {
			if c.Direction != media.Inactive && s.modifiable(c.Name, media.Inactive) { // it stays as it is
				back = append(back, s.modify(c.Name, media.Inactive))
			}
			continue
		}
		before := s.wire
		if s.change != nil { // it does not know of ours
			before = s.change.wire
		}
		theirs.Direction = turned(theirs.Direction, before[c.Name], c.Direction)
		s.wire[c.Name], before[c.Name] = c.Direction, c.Direction
		// The peer wants more than the other side, which holds, lets it have.
		own := s.local.Stream(c.Name)
		if own == nil || own.Rejected || s.change != nil {
			continue
		}
		if both := c.Direction.And(own.Direction.Reverse()); both != c.Direction && s.modifiable(c.Name, both) {
			back = append(back, s.modify(c.Name, both))
		}
	}
	if back != nil {
		s.ask(aboutOther, wire.Jingle{Action: wire.ContentModify, Contents: back})
	}
	s.tellChange()
}

// described takes a description-info: hints about codecs that are described already, for
// what is said to the call next. It changes no content and adds no codec (XEP-0167 section
// 9.1), so nothing of it is worth a change of its own.
func (s *Session) described(r Request) {
	s.result(r)
	for _, c := range r.Jingle.Contents {
		own := s.remote.Stream(c.Name)
		if own == nil || own.Rejected || c.App != wire.NSRTP || c.Stream.Kind != own.Kind {
			continue
		}
		for i := range own.Codecs {
			known := &own.Codecs[i]
			for _, hint := range c.Stream.Codecs {
				if hint.PT == known.PT && hint.Same(*known) {
					known.PTime, known.MaxPTime = hint.PTime, hint.MaxPTime
					if len(hint.Params) > 0 {
						known.Params = hint.Clone().Params
					}
				}
			}
		}
		if c.Stream.PTime != 0 {
			own.PTime = c.Stream.PTime
		}
		if c.Stream.MaxPTime != 0 {
			own.MaxPTime = c.Stream.MaxPTime
		}
	}
}

// removed takes contents away. With the last one the session ends.
func (s *Session) removed(r Request) {
	s.result(r)
	for _, c := range r.Jingle.Contents {
		s.drop(c.Name)
	}
	if s.live() > 0 || s.remote.Empty() {
		s.tellChange()
		return
	}
	var reason wire.Reason
	if r.Jingle.Reason != nil {
		reason = *r.Jingle.Reason
	}
	cause, detail := s.causeOf(reason)
	s.terminate(reason.OrSuccess())
	s.finish(reason.OrSuccess())
	s.end(cause, detail)
}

// sameAccount compares without resources. An attribute that a client wrote need not be in
// the form that our server gives addresses.
func sameAccount(a, b string) bool { return strings.EqualFold(bare(a), bare(b)) }
