package embedded

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

type (
	tryInput struct {
		op     call.Op
		side   call.Side
		policy media.Policy
		own    media.Description
	}
	takeInput struct {
		op     call.Op
		side   call.Side
		answer media.Description
	}
	dropInput struct{}
)

// Try makes a new end that shall take the place of side's: an offer to its peer from what
// the other side has settled on or, if own is not empty, the answer to what the peer offers.
// It posts MediaOffered or MediaAnswered, or MediaFailed and there is no new end. The old end
// goes on meanwhile.
func (b *Bridge) Try(op call.Op, side call.Side, policy media.Policy, own media.Description) {
	b.tellSelf(tryInput{op, side, policy, own.Clone()})
}

// Take puts the new end in the place of side's, with its peer's answer if the offer was ours,
// and gives the old end back. It posts MediaAnswered or, with the old end still in its place,
// MediaFailed.
func (b *Bridge) Take(op call.Op, side call.Side, answer media.Description) {
	b.tellSelf(takeInput{op, side, answer.Clone()})
}

// Drop gives the new end back, if there is one.
func (b *Bridge) Drop(call.Side) { b.tellSelf(dropInput{}) }

func (b *Bridge) try(in tryInput) {
	b.giveBack()
	e, err := b.newEnd(in.side, in.policy)
	if err != nil {
		b.refuse(in.op, in.side, call.Overloaded, err.Error())
		return
	}
	e.publish()
	b.spare = e
	o := b.ends[in.side.Other()]
	if !in.own.Empty() {
		if !b.reply(in.op, e, o, in.own) {
			b.giveBack()
		}
		return
	}
	if _, cause, text := e.offerAfter(o); text != "" {
		b.refuse(in.op, in.side, cause, text)
		b.giveBack()
		return
	}
	for i := range e.local.Streams { // a hold is between the two who are talking now
		if s := &e.local.Streams[i]; !s.Rejected {
			s.Direction = media.SendRecv
		}
	}
	b.tell(call.MediaOffered{Op: in.op, Media: e.local.Clone()})
}

func (b *Bridge) replace(in takeInput) {
	e, o := b.spare, b.ends[in.side.Other()]
	if e == nil || e.side != in.side {
		b.refuse(in.op, in.side, call.OutOfSequence, "there is no new end")
		return
	}
	if e.offering {
		if cause, text := e.accept(in.answer, o); text != "" {
			b.refuse(in.op, in.side, cause, text)
			return
		}
	}
	old := b.ends[in.side]
	b.mu.Lock()
	b.ends[in.side], b.spare = e, nil
	b.past[in.side] = append(b.past[in.side], old)
	b.mu.Unlock()
	old.leave()
	for _, t := range old.transports { // what we send to the other peer has one writer at a time
		t.close()
	}
	for _, l := range o.lanes {
		l.out.again = true // another source, even of the same name
	}
	b.tell(call.MediaAnswered{Op: in.op})
	b.wire()
}

// giveBack closes the new end.
func (b *Bridge) giveBack() {
	if b.spare == nil {
		return
	}
	for _, t := range b.spare.transports {
		t.close()
	}
	b.spare = nil
}

// Stats returns the figures so far, by side: those of the ends that are there, and the counts
// of those that were.
func (b *Bridge) Stats() [2]media.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all [2]media.Stats
	for side, e := range b.ends {
		heard := b.ends[1-side].lanes[media.Audio].in.name.Load()
		all[side] = e.stats(heard)
		for _, old := range b.past[side] {
			all[side] = all[side].After(old.stats(heard))
		}
	}
	return all
}
