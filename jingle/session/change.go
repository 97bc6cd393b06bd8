package session

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// A change is ours, while the peer has not answered it.
type change struct {
	local  media.Description // what holds on our side if the peer takes it
	remote media.Description // what that makes the peer's side
}

// directions returns what the peer sends and receives, by stream.
func directions(d media.Description) []media.Direction {
	all := make([]media.Direction, len(d.Streams))
	for i, s := range d.Streams {
		all[i] = s.Direction
		if s.Rejected {
			all[i] = media.Inactive
		}
	}
	return all
}

// effective returns the peer's side with its hold counted in.
func (s *Session) effective() media.Description {
	d := s.remote.Clone()
	if !s.onHold {
		return d
	}
	for i := range d.Streams {
		d.Streams[i].Direction = d.Streams[i].Direction.And(media.SendOnly)
	}
	return d
}

// tellChange tells the call what the peer has changed, if it has, one change at a time.
// Clients say the same twice: by senders, and by hold.
func (s *Session) tellChange() {
	if s.state != Accepted || s.theirs || s.change != nil {
		return
	}
	now := s.effective()
	dirs := directions(now)
	same := len(dirs) == len(s.told)
	for i := range dirs {
		same = same && dirs[i] == s.told[i]
	}
	if same {
		return
	}
	s.theirs = true
	s.told = dirs
	s.tell(call.LegOffered{Side: s.opt.Side, Media: now})
}

// answerUpdate takes the call's answer to the peer's change, which has its result already.
func (s *Session) answerUpdate(answer media.Description) {
	if !s.theirs {
		return
	}
	s.theirs, s.tries = false, 0
	for _, a := range answer.Streams {
		if own := s.local.Stream(a.Name); own != nil {
			own.Direction, own.Rejected = a.Direction, a.Rejected
		}
	}
	s.tellChange()
}

// refuseUpdate is told that the call cannot follow the peer's change. If that is because
// the other side changes something too, it is tried again.
func (s *Session) refuseUpdate(cause call.Cause) {
	if !s.theirs {
		return
	}
	s.theirs = false
	if cause != call.Conflict || s.tries == maxTries {
		s.tries = 0
		return
	}
	s.tries++
	s.told = nil
	s.start(TimerRetry)
}

// update offers the peer a change: who sends, and that we hold (INTERWORKING.md section
// 2.12). Streams that are new here cannot be offered and are refused.
func (s *Session) update(offer media.Description) {
	if s.state != Accepted || s.change != nil || s.theirs {
		s.tell(call.LegRefused{Side: s.opt.Side, Cause: call.Conflict})
		return
	}
	c := &change{local: s.local.Clone(), remote: s.remote.Clone()}
	var modified []wire.Content
	held, holds := false, false
	for i, o := range offer.Streams {
		name := wire.NameOf(o, i)
		own := c.local.Stream(name)
		if own == nil || own.Rejected {
			c.remote.Streams = withSlot(c.remote.Streams, i, o)
			continue
		}
		held, holds = held || !own.Direction.Receives(), holds || !o.Direction.Receives()
		if own.Direction == o.Direction {
			continue
		}
		own.Direction = o.Direction
		// Who sends is one value for both sides (XEP-0166 section 7.3).
		if a := c.remote.Stream(name); a != nil && !a.Rejected {
			a.Direction = o.Direction.Reverse()
		}
		modified = append(modified, s.modify(name, o.Direction))
	}
	s.change = c
	if modified == nil {
		s.changeAnswered(nil)
		return
	}
	s.ask(aboutModify, wire.Jingle{Action: wire.ContentModify, Contents: modified})
	if held != holds {
		kind := wire.InfoActive
		if holds {
			kind = wire.InfoHold
		}
		s.ask(aboutOther, wire.Jingle{Action: wire.SessionInfo, Info: wire.Info{Kind: kind}})
	}
}

// modify returns the content that says what our direction is.
func (s *Session) modify(name string, ours media.Direction) wire.Content {
	if s.role == wire.Responder {
		ours = ours.Reverse() // a content has it as the initiator sees it
	}
	return wire.Content{Name: name, Stream: media.Stream{Direction: ours}}
}

// withSlot makes sure that there is a stream in that place, refused if it has to be made.
func withSlot(streams []media.Stream, place int, offered media.Stream) []media.Stream {
	if place < len(streams) {
		return streams
	}
	return append(streams, media.Refuse(offered))
}

// changeAnswered takes the answer to our change. A client that does not know it goes on as
// before, and our side holds all the same.
func (s *Session) changeAnswered(e *wire.Error) {
	c := s.change
	if c == nil {
		return
	}
	s.change = nil
	if e != nil && e.Jingle == wire.TieBreak.Jingle {
		s.tell(call.LegRefused{Side: s.opt.Side, Cause: call.Conflict})
		s.tellChange()
		return
	}
	s.local, s.remote = c.local, c.remote
	now := s.effective()
	s.told = directions(now)
	s.tell(call.LegUpdated{Side: s.opt.Side, Media: now})
}
