package rtpengine

import (
	"fmt"

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

// try asks rtpengine for an end that has a tag of its own. To rtpengine the call forks there:
// the end that stays is joined to the new one with each offer, at the ports that it has, and so
// is joined to the old one again by an offer in its name.
func (b *Bridge) try(in tryInput) {
	b.giveBack()
	old, o := b.ends[in.side], b.ends[in.side.Other()]
	e := newEnd(b, in.side, in.policy)
	b.made++
	e.tag = fmt.Sprintf("%s%d", in.side, b.made)
	var err error
	if in.own.Empty() {
		err = b.invite(in.op, e, o)
	} else {
		err = b.admit(in.op, e, o, in.own)
	}
	switch back := b.rejoin(old, o); {
	case b.spare == nil: // it was refused
	case err == nil:
		err = back
	}
	if err != nil {
		b.giveBack()
		b.fail(in.op, in.side, err)
		return
	}
	if b.spare == nil {
		return
	}
	if e.offering {
		b.tell(call.MediaOffered{Op: in.op, Media: e.ours.Clone()})
		return
	}
	b.tell(call.MediaAnswered{Op: in.op, Media: e.ours.Clone()})
}

// invite makes an offer to the peer of a new end. A hold is between the two who are talking
// now.
func (b *Bridge) invite(op call.Op, e, o *end) error {
	d, cause, text := e.propose(o)
	if text != "" {
		b.refuse(op, e.side, cause, text)
		return nil
	}
	for i := range d.Streams {
		if s := &d.Streams[i]; !s.Rejected {
			s.Direction = media.SendRecv
		}
	}
	b.widen(d)
	b.spare = e
	reply, err := b.ask(b.offerFlags(o, e, o.asOffer(e)))
	if err == nil {
		err = failure(e.equip(&d, reply.text("sdp"), false))
	}
	e.ours, e.offering = d, true
	return err
}

// admit answers the offer of a new end's peer.
func (b *Bridge) admit(op call.Op, e, o *end, own media.Description) error {
	p, cause, text := e.plan(own, o)
	if text != "" {
		b.refuse(op, e.side, cause, text)
		return nil
	}
	e.commit(p, own)
	b.widen(e.ours)
	b.spare = e
	reply, err := b.exchange(e, o)
	if err != nil {
		return err
	}
	return failure(e.equip(&e.ours, reply.text("sdp"), true))
}

// rejoin has rtpengine join the end that stays to the old one again.
func (b *Bridge) rejoin(old, o *end) error {
	if b.spare == nil || !old.live() || !o.live() {
		return nil
	}
	_, err := b.exchange(o, old)
	return err
}

func (b *Bridge) replace(in takeInput) {
	e, old, o := b.spare, b.ends[in.side], b.ends[in.side.Other()]
	if e == nil || e.side != in.side {
		b.refuse(in.op, in.side, call.OutOfSequence, "there is no new end")
		return
	}
	var err error
	if e.offering {
		if cause, text := e.accept(in.answer, o); text != "" {
			b.refuse(in.op, in.side, cause, text)
			return
		}
		_, err = b.exchange(o, e)
	} else {
		_, err = b.exchange(e, o)
	}
	if err != nil {
		_ = b.rejoin(old, o) // what stands between them is as before, or the next look will tell
		b.fail(in.op, in.side, err)
		return
	}
	b.ends[in.side], b.spare = e, nil
	e.begin(false)
	b.leave(old)
	b.tell(call.MediaAnswered{Op: in.op})
	b.gate()
	b.connected()
}

// leave gives an end back that another has taken the place of. Its counts stay.
func (b *Bridge) leave(old *end) {
	if reply, err := b.forget(old); err == nil {
		b.learn(reply, old)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.past[old.side] = b.figures[old.side].After(b.past[old.side])
	b.figures[old.side] = media.Stats{}
	b.ends[old.side.Other()].player.heard = 0
}

// giveBack gives the new end back.
func (b *Bridge) giveBack() {
	if b.spare != nil {
		_, _ = b.forget(b.spare) // one that rtpengine does not know it need not forget
		b.spare = nil
	}
}

// forget has rtpengine give back what it has for one end. The reply has its figures.
func (b *Bridge) forget(e *end) (dict, error) {
	request := b.command("delete", e, nil)
	request["delete-delay"] = 0
	return b.ask(request)
}
