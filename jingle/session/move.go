package session

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// A session moves when the peer begins another one that is the same call to us: its
// proposal crosses ours and goes first, or it takes a call that is up to another device
// (XEP-0353 sections 3.4 and 3.6). The call keeps its leg and hears nothing of it but an
// answer, or a change.

// A move is how a session goes on under another id.
type move uint8

const (
	still     move = iota
	crossing       // the peer's session is its answer to our offer
	migrating      // the peer's session is a change of what it described
)

// crossed takes the peer's proposal of the same call the other way (INTERWORKING.md
// section 2.10).
func (s *Session) crossed(c Crossed) {
	if s.state == Ended {
		return
	}
	expired := &wire.Reason{Name: "expired"}
	switch {
	case s.role != wire.Initiator || s.state != Proposed:
		s.emit(SendSignal{To: c.From, JMI: wire.JMI{Signal: wire.Reject, ID: c.ID, Reason: &wire.Reason{Name: "busy"}}})
	case Wins(s.opt.SID, c.ID):
		s.emit(SendSignal{
			To:  c.From,
			JMI: wire.JMI{Signal: wire.Reject, ID: c.ID, Reason: expired, TieBreak: true},
		})
	default:
		if c.Asks {
			s.emit(SendReceipt{c.From, c.Message})
		}
		s.emit(SendSignal{
			To:  s.opt.Peer,
			JMI: wire.JMI{Signal: wire.Retract, ID: s.opt.SID, Reason: expired, TieBreak: true},
		})
		s.stop(TimerReject)
		s.moveTo(c.From, c.ID, crossing)
	}
}

// migrate takes the peer's proposal to go on with this call in another session.
func (s *Session) migrate(m Migrate) {
	if s.state == Ended {
		return
	}
	if m.Asks {
		s.emit(SendReceipt{m.From, m.Message})
	}
	if s.state != Accepted {
		s.emit(SendSignal{To: m.From, JMI: wire.JMI{Signal: wire.Reject, ID: m.ID, Reason: &wire.Reason{Name: "busy"}}})
		return
	}
	expired := wire.Reason{Name: "expired"}
	s.terminate(expired)
	s.emit(SendSignal{
		To:  s.peer,
		JMI: wire.JMI{Signal: wire.Finish, ID: s.opt.SID, Reason: &expired, Migrated: m.ID},
	})
	for t := range timers {
		s.stop(t)
	}
	if s.change != nil {
		s.tell(call.LegRefused{Side: s.opt.Side, Cause: call.Conflict})
	}
	s.change, s.adding, s.ahead, s.held = nil, nil, nil, nil
	s.theirs, s.onHold, s.toldHold, s.tries = false, false, false, 0
	s.moveTo(m.From, m.ID, migrating)
}

// moveTo takes the peer's proposal.
func (s *Session) moveTo(from, id string, how move) {
	s.move = how
	s.opt.SID, s.opt.Peer, s.opt.Mode = id, from, Late
	s.peer, s.role = from, wire.Responder
	s.known, s.losers = false, nil
	s.away, s.probing = false, 0
	clear(s.asked)
	clear(s.wire)
	clear(s.made)
	s.names = make(map[string]string)
	s.proceed()
}

// moved takes the session-initiate of a session that moves.
func (s *Session) moved(j wire.Jingle) {
	said := j.Description(wire.Initiator)
	shareTransport(&said)
	s.pairMoved(said)
	if s.move == migrating {
		s.tellMoved()
		return
	}
	live := 0
	for i := range s.local.Streams {
		own, theirs := &s.local.Streams[i], &s.remote.Streams[i]
		own.Codecs = common(own.Codecs, theirs.Codecs)
		if own.Rejected || theirs.Rejected || len(own.Codecs) == 0 {
			own.Rejected, theirs.Rejected = true, true
			continue
		}
		live++
		own.Direction = media.AnswerDirection(theirs.Direction, own.Direction)
		s.settle(own, theirs)
	}
	if live == 0 {
		s.fail("incompatible-parameters", call.Incompatible, call.Detail{})
		return
	}
	s.accept(s.local)
	s.told = directions(s.remote)
	s.tell(call.LegAnswered{Side: s.opt.Side, Media: s.remote.Clone()})
}

// tellMoved tells the call what the peer describes in its new session, as a change.
func (s *Session) tellMoved() {
	s.theirs = true
	s.told = directions(s.remote)
	s.tell(call.LegOffered{Side: s.opt.Side, Media: s.remote.Clone()})
}

// pairMoved puts what the peer says into the slots that the call knows, by kind. Its names
// stand on the wire, and ours are what the call hears.
func (s *Session) pairMoved(said media.Description) {
	taken := make([]bool, len(said.Streams))
	remote := media.Description{}
	for _, own := range s.local.Streams {
		slot := media.Refuse(own)
		slot.Name = own.Name
		for k, o := range said.Streams {
			if !taken[k] && o.Kind == own.Kind && o.Kind != media.Other {
				taken[k] = true
				s.names[own.Name] = o.Name
				slot, slot.Name = o, own.Name
				break
			}
		}
		remote.Streams = append(remote.Streams, slot)
	}
	s.remote = remote
	for k, o := range said.Streams {
		if taken[k] || len(s.remote.Streams) >= wire.MaxContents {
			continue
		}
		place := len(s.remote.Streams)
		s.slot(place, o)
		s.names[s.remote.Streams[place].Name] = o.Name
		if s.move == migrating {
			o.Name = s.remote.Streams[place].Name
			s.remote.Streams[place] = o
		}
	}
	for _, name := range said.Bundle {
		if o := s.remote.Stream(s.byOurs(name)); o != nil && !o.Rejected {
			s.remote.Bundle = append(s.remote.Bundle, o.Name)
		}
	}
	for i := range s.remote.Streams {
		if d := s.remote.Streams[i].Transport.DTLS; d != nil && d.Setup == media.SetupNone {
			d.Setup = media.ActPass
		}
	}
}

// common returns our codecs that the peer knows too.
func common(ours, theirs []media.Codec) []media.Codec {
	var both []media.Codec
	for _, c := range ours {
		if media.Find(theirs, c) >= 0 {
			both = append(both, c)
		}
	}
	return both
}

// byTheirs returns the name on the wire of a content that we have a name for, and byOurs
// the way back.
func (s *Session) byTheirs(name string) string {
	if theirs, ok := s.names[name]; ok {
		return theirs
	}
	return name
}

func (s *Session) byOurs(name string) string {
	for ours, theirs := range s.names {
		if theirs == name {
			return ours
		}
	}
	return name
}

// rename gives what a request says the names that our side knows, or the wire does.
func rename(j *wire.Jingle, by func(string) string) {
	contents := make([]wire.Content, len(j.Contents))
	for i, c := range j.Contents {
		c.Name = by(c.Name)
		c.Stream.Name = c.Name
		contents[i] = c
	}
	groups := make([]wire.Group, len(j.Groups))
	for i, g := range j.Groups {
		groups[i] = wire.Group{Semantics: g.Semantics}
		for _, name := range g.Names {
			groups[i].Names = append(groups[i].Names, by(name))
		}
	}
	j.Contents, j.Groups = contents, groups
}
