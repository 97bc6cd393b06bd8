package call

import "sipxmppgw/gateway/media"

// What a transfer does: one leg is replaced, and the other is kept. Both go on as they were
// until C has answered.

// isRequest is true of what a request to the media plane came to, and of all that has nothing
// to do with one.
func isRequest(e Event) bool {
	f, is := e.(MediaFailed)
	return !is || f.Op != 0
}

// alone reports whether the leg that is being replaced cannot be gone back to.
func (c *Call) alone() bool { return !c.open[c.moving] || c.bare }

// resumes reports whether the side that is kept must be told of a change: it was on hold, or
// the new leg has other streams than the old one.
func (c *Call) resumes() bool {
	return differ(c.said[c.moving], c.said[C]) || held(c.said[c.moving.Other()])
}

// held reports whether some stream does not flow both ways.
func held(d media.Description) bool {
	for _, s := range d.Streams {
		if !s.Rejected && s.Flow() != media.SendRecv {
			return true
		}
	}
	return false
}

// Takes reports whether a leg that comes may take the place of a side now, or else as soon as
// what goes on is settled.
func (c *Call) Takes(s Side) (now, later bool) {
	switch {
	case !c.open[s]:
	case c.state == Active, s == B && (c.state == Calling || c.state == Ringing):
		return !c.open[C], c.open[C]
	case c.state >= Updating && c.state <= Seating:
		return false, true
	}
	return false, false
}

// begin is a joint rule: a transfer that had to wait begins when nothing else goes on.
func (c *Call) begin() {
	if c.state != Active || c.asked == nil || c.open[C] {
		return
	}
	e := *c.asked
	c.asked = nil
	c.state = Transferring
	try(c, e)
}

// ask keeps a transfer until the change that is under way is settled.
func ask(c *Call, e Event) {
	if c.asked != nil {
		refuseTransfer(c, e)
		return
	}
	t := e.(LegTransfer)
	c.asked = &t
}

func refuseTransfer(c *Call, e Event) { c.emit(RefuseTransfer{sideOf(e), Conflict, Detail{}}) }

// move begins the replacement of a side.
func (c *Call) move(s Side, came bool) {
	c.moving, c.came, c.rings, c.bare = s, came, false, false
	c.open[C], c.ending[C] = true, false
	c.said[C] = media.Description{}
}

// try calls whom the transfer is to. A caller that is told of ringing by us is told by C now.
func try(c *Call, e Event) {
	t := e.(LegTransfer)
	c.move(t.Side, false)
	c.emit(
		TryLeg(t),
		TryMedia{c.op(), t.Side, media.Description{}},
		StartTimer{TimerNoAnswer, c.limits.NoAnswer},
	)
}

func tryTaken(c *Call, e Event) {
	t := e.(Taken)
	c.move(t.Side, true)
	c.said[C] = t.Media
	c.emit(TryMedia{c.op(), t.Side, t.Media}, StartTimer{TimerNoAnswer, c.limits.NoAnswer})
}

func offerC(c *Call, e Event) {
	c.waiting = 0
	c.emit(OfferLeg{C, e.(MediaOffered).Media})
}

// ringKept lets the side that is kept hear that C rings, as it would if it had called there itself
// (RFC 5589 section 6): it was answered long ago, so that its own leg has no word for it.
func ringKept(c *Call, e Event) {
	if !c.rings {
		c.rings = true
		c.emit(RingMedia{c.moving.Other(), true})
	}
	renew(c, e)
}

// hush ends what ringKept began.
func (c *Call) hush() {
	if c.rings {
		c.rings = false
		c.emit(RingMedia{c.moving.Other(), false})
	}
}

// offerTaken gives the leg that came without an offer ours.
func offerTaken(c *Call, e Event) {
	c.waiting = 0
	c.emit(AnswerLeg{C, e.(MediaOffered).Media})
}

func takeC(c *Call, e Event) {
	c.said[C] = e.(LegAnswered).Media
	c.hush()
	c.emit(StopTimer{TimerNoAnswer}, TakeMedia{c.op(), c.moving, c.said[C]})
}

func takeConfirmed(c *Call, e Event) {
	c.said[C] = e.(LegConfirmed).Media
	c.emit(StopTimer{TimerNoAnswer}, TakeMedia{c.op(), c.moving, c.said[C]})
}

// candidatesTaken is for candidates on the heels of an answer: by the time they are read the
// new end has its place.
func candidatesTaken(c *Call, e Event) {
	c.emit(CandidatesMedia{c.moving, e.(LegCandidates).Media})
}

// seatTaken answers the leg that came, which has its place at once.
func seatTaken(c *Call, e Event) {
	c.emit(
		StopTimer{TimerNoAnswer},
		AnswerLeg{C, e.(MediaAnswered).Media},
		TakeMedia{c.op(), c.moving, media.Description{}},
	)
	seated(c, e)
}

// seated puts C in its place, and tells the other side if that concerns it.
func seated(c *Call, _ Event) {
	c.waiting = 0
	resumes := c.resumes()
	c.seat()
	if !resumes {
		return
	}
	c.side, c.change = c.moving, media.Description{}
	c.joining, c.more, c.idle = 0, false, false
	c.emit(OfferMedia{c.op(), c.side.Other(), c.said[c.side]})
}

// seat makes C the leg of its side. The old leg closes by itself.
func (c *Call) seat() {
	s := c.moving
	if c.open[s] && !c.ending[s] {
		c.emit(EndLeg{s, Transferred, Detail{}})
	}
	c.emit(SeatLeg{s})
	c.open[s], c.ending[s], c.silent[s], c.said[s] = true, false, false, c.said[C]
	c.open[C], c.ending[C] = false, false
}

func bareMoving(c *Call, _ Event) { c.bare = true }

// why says why C came to nothing.
func why(e Event) (Cause, Detail) {
	switch e := e.(type) {
	case LegEnded:
		return e.Cause, e.Detail
	case LegReferred:
		return e.Cause, e.Detail
	case MediaFailed:
		return e.Cause, e.Detail
	case TimerFired:
		return NoAnswer, Detail{Q850: 19}
	}
	return Incompatible, Detail{}
}

// giveUpC closes C, unless it has closed.
func (c *Call) giveUpC(cause Cause, detail Detail) {
	c.waiting = 0
	c.hush()
	c.emit(DropMedia{c.moving})
	if c.open[C] && !c.ending[C] {
		c.ending[C] = true
		c.emit(EndLeg{C, cause, detail})
	}
}

// failedC leaves the call as it was.
func failedC(c *Call, e Event) {
	cause, detail := why(e)
	c.emit(StopTimer{TimerNoAnswer})
	c.giveUpC(cause, detail)
	if !c.came {
		c.emit(RefuseTransfer{c.moving, cause, detail})
	}
}

// failedAlone ends a call that nobody is left in but the side that was kept.
func failedAlone(c *Call, e Event) {
	cause, detail := why(e)
	c.giveUpC(cause, detail)
	c.end(cause, detail, A, B)
}

// referredAway ends our part in a call whose peer has called the other by itself.
func referredAway(c *Call, _ Event) {
	c.end(Transferred, Detail{}, A, B)
}

// pickUp has C answered in place of B, which rings.
func pickUp(c *Call, e Event) {
	t := e.(Taken)
	c.move(B, true)
	c.said[C] = t.Media
	c.emit(StopTimer{TimerAlert}, TryMedia{c.op(), B, t.Media})
}

// pickedUp puts C in the place of B.
func (c *Call) pickedUp(e Event) {
	c.emit(
		StopTimer{TimerNoAnswer},
		AnswerLeg{C, e.(MediaAnswered).Media},
		TakeMedia{c.op(), B, media.Description{}},
	)
	c.waiting = 0
	c.seat()
	c.answer = c.said[B]
}

// picked answers a caller that has offered.
func picked(c *Call, e Event) {
	c.pickedUp(e)
	c.emit(JoinMedia{c.op(), A, c.offer})
}

// pickedLate tells a caller that has only announced its call to describe it now.
func pickedLate(c *Call, e Event) {
	c.pickedUp(e)
	c.emit(AnswerLeg{A, media.Description{}}, StartTimer{TimerConfirm, c.limits.Confirm})
}

// pickedEarly is for a caller that was answered before.
func pickedEarly(c *Call, e Event) {
	c.emit(RingMedia{A, false})
	c.pickedUp(e)
	settle(c, e)
}

// unpick lets B ring on.
func unpick(c *Call, e Event) {
	cause, detail := why(e)
	c.giveUpC(cause, detail)
}

// answeredBefore is for a callee that answers before C has taken its place.
func answeredBefore(c *Call, e Event) {
	c.giveUpC(Elsewhere, Detail{})
	answerMedia(c, e)
}
