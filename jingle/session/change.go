package session

import (
	"maps"
	"slices"
	"strconv"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// Each side's description has the directions that this side wants. What senders says is
// what both want, and stands in wire as the peer sees it.

// A change is ours, while the peer has not answered it.
type change struct {
	before  media.Description          // ours, if the peer refuses
	wire    map[string]media.Direction // the same of what senders says
	removed []int                      // places of what we took away
	left    int                        // of our requests that are not answered
	added   []string                   // contents that the peer has neither accepted nor rejected
	ahead   []media.Description
}

// gone is the direction of a stream that is not there.
const gone = media.Inactive + 1

// directions returns what a side sends and receives, by slot.
func directions(d media.Description) []media.Direction {
	all := make([]media.Direction, len(d.Streams))
	for i, s := range d.Streams {
		all[i] = s.Direction
		if s.Rejected {
			all[i] = gone
		}
	}
	return all
}

// between makes a direction.
func between(sends, receives bool) media.Direction {
	d := media.SendRecv
	if !sends {
		d = d.And(media.RecvOnly)
	}
	if !receives {
		d = d.And(media.SendOnly)
	}
	return d
}

// wanted returns what an answer tells of what its side wants: where the offer left it no
// choice, everything.
func wanted(answer, offered media.Direction) media.Direction {
	return between(answer.Sends() || !offered.Receives(), answer.Receives() || !offered.Sends())
}

// turned returns what a side wants whose senders were changed by it: what it did not touch
// is as it was.
func turned(want, before, after media.Direction) media.Direction {
	sends, receives := want.Sends(), want.Receives()
	if before.Sends() != after.Sends() {
		sends = after.Sends()
	}
	if before.Receives() != after.Receives() {
		receives = after.Receives()
	}
	return between(sends, receives)
}

// effective returns the peer's side with a hold of it counted in.
func (s *Session) effective(hold bool) media.Description {
	d := s.remote.Clone()
	if !hold {
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
	now := s.effective(s.onHold)
	dirs := directions(now)
	if slices.Equal(dirs, s.told) {
		return
	}
	s.theirs = true
	s.told, s.toldHold = dirs, s.onHold
	s.tell(call.LegOffered{Side: s.opt.Side, Media: now})
}

// answerUpdate takes the call's answer to the peer's change, which has its result already.
func (s *Session) answerUpdate(answer media.Description) {
	if !s.theirs {
		return
	}
	s.theirs, s.tries = false, 0
	if s.move == migrating && s.state == Initiated {
		s.accept(answer)
		return
	}
	for i, a := range answer.Streams {
		if i >= len(s.local.Streams) {
			break
		}
		own := &s.local.Streams[i]
		if !a.Rejected && own.Rejected && s.adds(own.Name) {
			s.take(i, a, answer)
			continue
		}
		own.Rejected = a.Rejected
	}
	s.tellChange()
}

// refuseUpdate is told that the call cannot follow the peer's change. If that is because
// the other side changes something too, it is tried again.
func (s *Session) refuseUpdate(cause call.Cause) {
	if !s.theirs { // it was answered, but for what the peer adds
		s.rejectAdded(cause)
		return
	}
	s.theirs = false
	if s.move == migrating && s.state == Initiated && (cause != call.Conflict || s.tries == maxTries) {
		reason := s.opt.Words.Reason(cause, call.Detail{})
		s.terminate(reason)
		s.finish(reason)
		s.end(cause, call.Detail{})
		return
	}
	if cause != call.Conflict || s.tries == maxTries {
		s.tries = 0
		s.rejectAdded(cause)
		return
	}
	s.tries++
	s.told = nil
	s.start(TimerRetry)
}

// update offers the peer a change: which contents there are, who sends, and that we hold
// (INTERWORKING.md section 2.12).
func (s *Session) update(offer media.Description) {
	if s.state != Accepted || s.change != nil || s.theirs {
		s.tell(call.LegRefused{Side: s.opt.Side, Cause: call.Conflict})
		return
	}
	before := held(s.local)
	s.change = &change{before: s.local.Clone(), wire: maps.Clone(s.wire)}
	var modified, removed []wire.Content
	for i, o := range offer.Streams {
		s.slot(i, o)
		own, theirs := &s.local.Streams[i], &s.remote.Streams[i]
		switch {
		case own.Rejected && o.Rejected:
		case own.Rejected && s.adds(own.Name):
			s.take(i, o, offer)
		case own.Rejected && has(s.idle, own.Name): // there is one already, that stays idle
		case own.Rejected:
			s.add(i, o, offer)
		case o.Rejected:
			own.Rejected, theirs.Rejected = true, true
			s.change.removed = append(s.change.removed, i)
			removed = append(removed, wire.Content{Name: own.Name})
		default:
			own.Direction = o.Direction
			if said := theirs.Direction.And(o.Direction.Reverse()); said != s.wire[own.Name] && s.modifiable(own.Name, said) {
				modified = append(modified, s.modify(own.Name, said))
			}
		}
	}
	if len(removed) > 0 {
		if s.live() == 0 {
			s.close(call.Normal, call.Detail{}) // nothing is left to talk by
			return
		}
		s.propose(wire.Jingle{Action: wire.ContentRemove, Contents: removed, Reason: &wire.Reason{Name: "success"}})
	}
	if len(modified) > 0 {
		s.propose(wire.Jingle{Action: wire.ContentModify, Contents: modified})
	}
	if holds := held(s.local); before != holds {
		kind := wire.InfoActive
		if holds {
			kind = wire.InfoHold
		}
		s.ask(aboutOther, wire.Jingle{Action: wire.SessionInfo, Info: wire.Info{Kind: kind}})
	}
	s.changed()
}

// propose sends a request that is part of our change.
func (s *Session) propose(j wire.Jingle) {
	s.change.left++
	about := aboutChange
	if j.Action == wire.ContentAdd {
		about = aboutAdd
	}
	s.ask(about, j)
}

// held reports whether a side takes nothing of any stream.
func held(d media.Description) bool {
	live := false
	for _, s := range d.Streams {
		if s.Rejected {
			continue
		}
		if live = true; s.Direction.Receives() {
			return false
		}
	}
	return live
}

// live returns how many contents there are.
func (s *Session) live() int {
	n := 0
	for i := range s.remote.Streams {
		if o := &s.remote.Streams[i]; !o.Rejected && !s.adds(o.Name) {
			n++
		}
	}
	return n
}

// slot makes sure that both sides have a slot in that place. Slots never go away (RFC 3264
// section 8), and those of both sides go together.
func (s *Session) slot(place int, o media.Stream) {
	for len(s.remote.Streams) <= place {
		filler := media.Refuse(o)
		filler.Name = s.unused(wire.NameOf(o, len(s.remote.Streams)))
		s.local.Streams = append(s.local.Streams, filler)
		s.remote.Streams = append(s.remote.Streams, filler)
	}
}

// unused returns the name, or another one if it is some content's already.
func (s *Session) unused(name string) string {
	for i := len(s.remote.Streams); s.remote.Stream(name) != nil || s.local.Stream(name) != nil; i++ {
		name = strconv.Itoa(i)
	}
	return name
}

// modify returns the content that tells the peer what both sides want; said is what it is
// to the peer.
func (s *Session) modify(name string, said media.Direction) wire.Content {
	s.wire[name] = said
	return wire.Content{Name: name, Stream: media.Stream{Direction: s.asInitiator(said)}}
}

// modifiable reports whether the peer can be told what both sides want of a content.
// COMPAT(Conversations 2.12, Cheogram): end the call (failed-application) over a content-modify
// that takes their own sending away. Of a hold they get session-info alone, and what they send
// then stays here.
func (s *Session) modifiable(name string, said media.Direction) bool {
	return !s.literal() || s.wire[name].Sends() && said.Sends()
}

// literal reports whether the peer takes little but what it expects: Conversations and those that
// were made from it, which name options of their ICE (trickle) in each transport.
func (s *Session) literal() bool {
	for _, o := range s.remote.Streams {
		s.options = s.options || o.Transport.ICE != nil && o.Transport.ICE.Trickle
	}
	return s.options
}

// asInitiator returns a direction of the peer as the initiator of the session sees it.
func (s *Session) asInitiator(said media.Direction) media.Direction {
	if s.role == wire.Initiator {
		return said.Reverse()
	}
	return said
}

// changeAnswered takes the answer to one request of our change. Only a tie lost takes the
// whole change back: a client that does not know what we asked still has the call.
func (s *Session) changeAnswered(about question, e *wire.Error) {
	c := s.change
	if c == nil {
		return
	}
	c.left--
	if e != nil && e.Jingle == wire.TieBreak.Jingle {
		for i := range s.local.Streams {
			if i < len(c.before.Streams) {
				s.local.Streams[i] = c.before.Streams[i]
			} else {
				s.local.Streams[i].Rejected = true
			}
		}
		maps.Copy(s.wire, c.wire)
		for _, place := range c.removed {
			s.remote.Streams[place].Rejected = false
		}
		s.change = nil
		s.stop(TimerAdded)
		s.tell(call.LegRefused{Side: s.opt.Side, Cause: call.Conflict})
		s.tellChange()
		return
	}
	if e != nil && about == aboutAdd {
		s.refuseAdded() // and what it refuses it will not accept
		return
	}
	s.changed()
}

// changed tells the call what the peer says to our change, when it has said it all.
func (s *Session) changed() {
	c := s.change
	if c.left > 0 || len(c.added) > 0 {
		return
	}
	for _, place := range c.removed {
		s.group(s.remote.Streams[place].Name, false)
	}
	s.change = nil
	s.stop(TimerAdded)
	now := s.effective(s.toldHold)
	s.told = directions(now)
	s.tell(call.LegUpdated{Side: s.opt.Side, Media: now})
	s.tellChange() // a hold that crossed it is the other side's to know
}
