package session

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// offer begins a call to the peer, once.
func (s *Session) offer(offer media.Description) {
	if s.role != wire.Initiator || s.state != Idle {
		return
	}
	s.local = offer.Clone()
	for i := range s.local.Streams {
		s.local.Streams[i].Name = wire.NameOf(s.local.Streams[i], i)
	}
	if !s.proposed() {
		s.initiate()
		return
	}
	s.state = Proposed
	s.emit(SendSignal{To: s.opt.Peer, JMI: wire.JMI{Signal: wire.Propose, ID: s.opt.SID, Kinds: kinds(offer)}})
	if s.opt.There {
		s.start(TimerMute) // COMPAT(Dino 0.4): it neither says that it rings nor acknowledges a proposal
	}
}

// kinds returns what a proposal announces: one description for each stream. Clients
// require the session to have the same (CLIENTS 5.2).
func kinds(offer media.Description) []media.Kind {
	var all []media.Kind
	for _, s := range offer.Streams {
		if !s.Rejected && s.Kind != media.Other {
			all = append(all, s.Kind)
		}
	}
	if all == nil {
		all = []media.Kind{media.Audio}
	}
	return all
}

func (s *Session) initiate() {
	s.state = Initiated
	contents, groups := wire.ContentsOf(s.local, wire.Initiator)
	j := wire.Jingle{Action: wire.SessionInitiate, Initiator: s.opt.Self, Contents: contents, Groups: groups}
	if s.opt.Handed != "" {
		j.Info = wire.Info{Kind: wire.InfoTransfer, From: s.opt.Handed}
	}
	s.ask(aboutInitiate, j)
}

// initiateAnswered takes the answer to our session-initiate.
func (s *Session) initiateAnswered(e *wire.Error) {
	switch {
	case e == nil:
		s.learn()
		if s.state == Initiated && !s.proposed() && !s.rung {
			s.start(TimerMute) // it rings; libpurple and Gajim do not say so
		}
	case e.Jingle == wire.TieBreak.Jingle:
		s.end(call.Conflict, call.Detail{Text: e.Text})
	case s.state == Initiated:
		s.end(s.opt.Words.Error(*e))
	default:
		// It has accepted what it says it does not have.
		s.fail("general-error", call.OutOfSequence, call.Detail{})
	}
}

// learn notes that the peer has the session, and sends what waited for that.
func (s *Session) learn() {
	if s.known {
		return
	}
	s.known = true
	for _, d := range s.held {
		s.trickle(d)
	}
	for _, loser := range s.losers {
		s.dismiss(loser)
	}
	s.held, s.losers = nil, nil
}

// dismiss tells a resource that proceeded too late. A copy of it would reach the one that
// was first, and end its call (INTERWORKING.md section 2.5 row 11).
func (s *Session) dismiss(loser string) {
	s.emit(SendSignal{
		To: loser,
		JMI: wire.JMI{
			Signal: wire.Retract,
			ID:     s.opt.SID,
			Reason: &wire.Reason{Name: "cancel", Text: "answered elsewhere"},
		},
		Quiet: true,
	})
}

// heard notes evidence that a device of the callee rings.
func (s *Session) heard() {
	if s.rung || s.state == Ended {
		return
	}
	s.rung = true
	s.stop(TimerMute)
	if s.state == Proposed {
		s.start(TimerReject)
	}
	s.tell(call.LegRinging{Side: s.opt.Side})
}

// holds notes that a device of the callee has the proposal.
func (s *Session) holds(device string) {
	if s.role == wire.Initiator && s.state == Proposed {
		s.holder = device
		s.heard()
	}
}

// signalFromCallee takes a signal of one whom we call.
func (s *Session) signalFromCallee(in Signal) {
	switch in.JMI.Signal {
	case wire.Ringing:
		s.holds(in.From)
		if s.state == Initiated {
			s.heard()
		}
	case wire.Proceed:
		s.proceeded(in.From)
	case wire.Reject:
		s.rejected(in)
	case wire.Finish:
		if s.state == Proposed {
			s.rejected(in)
			return
		}
		s.finishes(in)
	}
}

// proceeded takes the decision of one resource: the first gets the session.
func (s *Session) proceeded(from string) {
	switch {
	case bare(from) == from:
		// There is no session with an account, only with a device.
	case s.state == Proposed:
		s.peer = from
		s.stop(TimerReject)
		s.stop(TimerMute)
		s.initiate()
		s.start(TimerAccept)
	case s.state == Idle || from == s.peer:
	case s.known:
		s.dismiss(from)
	case len(s.losers) < maxLosers && !has(s.losers, from):
		s.losers = append(s.losers, from)
	}
}

func has(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// rejected takes a refusal of our proposal. One from a device that has not got the session
// means nothing after that.
func (s *Session) rejected(in Signal) {
	switch {
	case s.state == Proposed:
		cause, detail := s.refusal(in.JMI)
		s.end(cause, detail)
	case s.state == Initiated && in.From == s.peer:
		cause, detail := s.refusal(in.JMI)
		s.terminate(wire.Reason{Name: "cancel"})
		s.end(cause, detail)
	}
}

// refusal says what a refusal means (INTERWORKING.md section 2.13 B).
func (s *Session) refusal(j wire.JMI) (call.Cause, call.Detail) {
	var reason wire.Reason
	if j.Reason != nil {
		reason = *j.Reason
	}
	switch {
	case j.TieBreak:
		return call.Conflict, call.Detail{Text: reason.Text}
	case reason.Name != "" || j.Signal == wire.Finish:
		return s.opt.Words.Cause(reason)
	case s.auto:
		return call.NoAnswer, call.Detail{Q850: 19, Text: reason.Text}
	default:
		return call.Rejected, call.Detail{Q850: 21, Text: reason.Text}
	}
}

// bounce takes a message of ours back. A device that does not take a proposal says nothing of
// another that has it.
func (s *Session) bounce(b Bounce) {
	device := bare(b.From) != b.From
	switch {
	case s.state == Ended, device && s.holder != "" && s.holder != b.From:
	case s.role == wire.Initiator && s.state == Proposed && b.Signal == wire.Propose:
		s.end(s.opt.Words.Error(b.Err))
	case s.role == wire.Responder && s.state <= Proceeded && b.From == s.peer:
		s.end(call.Cancelled, call.Detail{Text: b.Err.Text}) // the caller is not there any more
	}
}

// accepted takes the peer's session-accept.
func (s *Session) accepted(r Request) {
	if s.role != wire.Initiator || s.state != Initiated {
		s.refuse(r, wire.OutOfOrder)
		return
	}
	answer, err := s.align(r.Jingle)
	if err != nil {
		s.refuse(r, *err)
		return
	}
	s.result(r)
	s.stop(TimerAccept)
	s.stop(TimerMute)
	s.state = Accepted
	s.remote = answer
	for i := range s.remote.Streams {
		theirs, own := &s.remote.Streams[i], &s.local.Streams[i]
		own.Rejected = own.Rejected || theirs.Rejected
		if !theirs.Rejected {
			s.wire[theirs.Name] = theirs.Direction
			theirs.Direction = wanted(theirs.Direction, own.Direction)
		}
	}
	for _, d := range s.ahead {
		merge(&s.remote, d)
	}
	s.ahead = nil
	s.told = directions(s.remote)
	s.tell(call.LegAnswered{Side: s.opt.Side, Media: s.remote.Clone()})
	s.learn() // it has the session, whatever becomes of its result
}

// align puts the peer's answer in the order of our offer; what it left out is rejected
// (RFC 3264 section 6).
func (s *Session) align(j wire.Jingle) (media.Description, *wire.Error) {
	said := j.Description(wire.Responder)
	answer := media.Description{Bundle: said.Bundle}
	live := 0
	for i, o := range s.local.Streams {
		name := wire.NameOf(o, i)
		got := said.Stream(name)
		if got == nil || got.Kind != o.Kind || o.Rejected || !answered(j, name) {
			answer.Streams = append(answer.Streams, media.Refuse(o))
			continue
		}
		live++
		answer.Streams = append(answer.Streams, *got)
	}
	if live == 0 {
		return answer, &wire.Error{Condition: "bad-request", Text: "accepts no content that was offered"}
	}
	shareTransport(&answer)
	return answer, nil
}

// answered reports whether a content is accepted as a session's, with a description.
func answered(j wire.Jingle, name string) bool {
	for _, c := range j.Contents {
		if c.Name == name {
			return c.App == wire.NSRTP
		}
	}
	return false
}

// shareTransport gives bundled streams without a transport that of the first one.
func shareTransport(d *media.Description) {
	var first *media.Stream
	for _, name := range d.Bundle {
		s := d.Stream(name)
		switch {
		case s == nil || s.Rejected:
		case first == nil:
			first = s
		case s.Transport.ICE == nil && first.Transport.ICE != nil:
			mux := s.Transport.RTCPMux
			s.Transport = first.Transport.Clone()
			s.Transport.RTCPMux = mux || first.Transport.RTCPMux
		}
	}
}
