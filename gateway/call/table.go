package call

import "sipxmppgw/gateway/media"

// who narrows a rule to the side an event came from.
type who uint8

const (
	either who = iota
	fromA
	fromB
	fromC // which either does not mean
)

// A rule says what one event does in one state. The first rule that fits is the one.
type rule struct {
	state State
	event kind
	from  who
	when  guard // nil: always
	next  State
	do    func(*Call, Event) // nil: nothing
}

// A guard is a condition with a name for the chart.
type guard *condition

type condition struct {
	name  string
	holds func(*Call, Event) bool
}

var (
	early     guard = &condition{"early", func(c *Call, _ Event) bool { return c.mode == Early }}
	joined    guard = &condition{"early, confirmed", func(c *Call, _ Event) bool { return c.mode == Early && c.confirmed }}
	late      guard = &condition{"A has not offered", func(c *Call, _ Event) bool { return c.mode == Announced && c.offer.Empty() }}
	offerless guard = &condition{"offerless", func(c *Call, _ Event) bool { return c.mode == Offerless }}
	mute      guard = &condition{"without an answer", func(c *Call, e Event) bool { return c.mode == Offerless && e.(LegConfirmed).Media.Empty() }}
	forAlert  guard = timer(TimerAlert)
	forAnswer guard = timer(TimerNoAnswer)
	forA      guard = timer(TimerConfirm)
	forEnd    guard = timer(TimerLinger)
	narrower  guard = &condition{"A lacks B's codec", func(c *Call, _ Event) bool { return c.narrower() }}
	passes    guard = &condition{"concerns the other", func(c *Call, _ Event) bool { return differ(c.said[c.side], c.change) }}
	gains     guard = &condition{"the other takes more", func(c *Call, _ Event) bool { return c.gained() }}
	again     guard = &condition{"by the changer", func(c *Call, e Event) bool { return sideOf(e) == c.side && c.joining == 0 }}
	joins     guard = &condition{"that", func(c *Call, e Event) bool { return c.joins(e) }}
	joinsLast guard = &condition{"that, and passed on", func(c *Call, e Event) bool { return c.joins(e) && c.idle }}
	unsettled guard = &condition{"more to pass on", func(c *Call, e Event) bool { return c.unsettled(e) }}
	ofOther   guard = &condition{"by the other", func(c *Call, e Event) bool { return sideOf(e) != c.side }}
	free      guard = &condition{"there is no C", func(c *Call, _ Event) bool { return !c.open[C] }}
	came      guard = &condition{"C came", func(c *Call, _ Event) bool { return c.came }}
	comes     guard = &condition{"C came, and the other is to know", func(c *Call, e Event) bool { return c.came && c.resumes() }}
	resumes   guard = &condition{"the other is to know", func(c *Call, _ Event) bool { return c.resumes() }}
	alone     guard = &condition{"nobody to go back to", func(c *Call, e Event) bool { return c.alone() && isRequest(e) }}
	ofMoving  guard = &condition{"by the one replaced", func(c *Call, e Event) bool { return sideOf(e) == c.moving }}
	referred  guard = &condition{"done", func(_ *Call, e Event) bool { return e.(LegReferred).Done }}
	request   guard = &condition{"the request", func(_ *Call, e Event) bool { return e.(MediaFailed).Op != 0 }}
)

func timer(t Timer) guard {
	return &condition{t.String(), func(_ *Call, e Event) bool { return e.(TimerFired).Timer == t }}
}

// rules are in the order a good call passes them.
var rules = []rule{
	// state      event            from    when       next        do
	{Preparing, kMediaAnswered, either, nil, Preparing, answerEarly}, // INTERWORKING 2.3, eager mode
	{Preparing, kLegConfirmed, fromA, nil, Preparing, confirm},
	{Preparing, kMediaOffered, either, nil, Calling, offerB},
	{Preparing, kMediaFailed, either, nil, Ending, failed},
	{Preparing, kLegEnded, fromA, nil, Ending, endB},
	{Preparing, kLegEnded, fromB, nil, Ending, endA},

	{Calling, kLegConfirmed, fromA, nil, Calling, confirm},
	{Calling, kLegRinging, fromB, nil, Ringing, ringA},
	{Calling, kLegProgress, fromB, early, Calling, hearB}, // early media reaches only an answered caller
	{Calling, kLegProgress, fromB, nil, Calling, renew},
	{Calling, kMediaAnswered, either, nil, Calling, nil}, // of hearB
	{Calling, kLegAnswered, fromB, nil, Answering, answerMedia},
	{Calling, kTimerFired, either, forAlert, Calling, progressA},
	{Calling, kTimerFired, either, forAnswer, Ending, noReply},
	{Calling, kTaken, fromB, nil, PickingUp, pickUp},
	{Calling, kLegEnded, fromA, nil, Ending, endB},
	{Calling, kLegEnded, fromB, nil, Ending, endA},
	{Calling, kMediaFailed, either, nil, Ending, failed},

	{Ringing, kLegConfirmed, fromA, nil, Ringing, confirm},
	{Ringing, kLegRinging, fromB, nil, Ringing, renew}, // sent again every minute (RFC 3261 13.3.1.1)
	{Ringing, kLegProgress, fromB, early, Ringing, hearB},
	{Ringing, kLegProgress, fromB, nil, Ringing, renew},
	{Ringing, kMediaAnswered, either, nil, Ringing, nil},
	{Ringing, kLegAnswered, fromB, nil, Answering, answerMedia},
	{Ringing, kTimerFired, either, forAnswer, Ending, noAnswer},
	{Ringing, kTaken, fromB, free, PickingUp, pickUp},
	{Ringing, kLegEnded, fromA, nil, Ending, endB},
	{Ringing, kLegEnded, fromB, nil, Ending, endA},
	{Ringing, kMediaFailed, either, nil, Ending, failed},

	{Answering, kLegConfirmed, fromA, nil, Answering, confirm},
	{Answering, kMediaAnswered, either, joined, Active, settle},
	{Answering, kMediaAnswered, either, early, Confirming, settle},
	{Answering, kMediaAnswered, either, offerless, Answering, offerA}, // A wants our offer (RFC 3261 13.2.1)
	{Answering, kMediaOffered, either, nil, Confirming, answerOffering},
	{Answering, kMediaAnswered, either, nil, Confirming, answerA},
	{Answering, kMediaFailed, either, nil, Ending, failed},
	{Answering, kLegEnded, fromA, nil, Ending, endB},
	{Answering, kLegEnded, fromB, nil, Ending, endA},

	// A caller that only announced its call describes it now, once (late mode).
	{Confirming, kLegOffered, fromA, late, Confirming, joinA},
	{Confirming, kMediaAnswered, either, offerless, Active, activate},
	{Confirming, kMediaAnswered, either, nil, Confirming, answerA},
	{Confirming, kLegConfirmed, fromA, mute, Ending, unanswered},
	{Confirming, kLegConfirmed, fromA, offerless, Confirming, hearA},
	{Confirming, kLegConfirmed, fromA, narrower, Passing, narrowB}, // INTERWORKING 2.4 row 21
	{Confirming, kLegConfirmed, fromA, nil, Active, activate},
	{Confirming, kTimerFired, either, forA, Ending, unconfirmed},
	{Confirming, kMediaFailed, either, nil, Ending, failed},
	{Confirming, kLegEnded, fromA, nil, Ending, endB},
	{Confirming, kLegEnded, fromB, nil, Ending, endA},

	{Active, kLegOffered, either, nil, Updating, joinSide},
	{Active, kLegTransfer, either, nil, Active, ask}, // begin tries it
	{Active, kTaken, either, free, Transferring, tryTaken},
	{Active, kMediaFailed, either, nil, Ending, failed},
	{Active, kLegEnded, fromA, nil, Ending, endB},
	{Active, kLegEnded, fromB, nil, Ending, endA},

	{Updating, kMediaAnswered, either, passes, Passing, answerAndPass},
	{Updating, kMediaAnswered, either, nil, Active, answerUpdate},
	{Updating, kMediaFailed, either, request, Active, refuseChanger}, // the session is as it was
	{Updating, kLegTransfer, either, nil, Updating, ask},
	{Updating, kMediaFailed, either, nil, Ending, failed},
	{Updating, kLegEnded, fromA, nil, Ending, endB},
	{Updating, kLegEnded, fromB, nil, Ending, endA},

	// The changer may change again meanwhile: that is answered at once, and passed on after.
	{Passing, kLegOffered, either, again, Passing, joinAgain},
	{Passing, kMediaAnswered, either, joins, Passing, answerAgainAndPass},
	{Passing, kMediaFailed, either, joinsLast, Active, refuseAgain},
	{Passing, kMediaFailed, either, joins, Passing, refuseAgain},
	{Passing, kMediaOffered, either, nil, Passing, updateOther},
	{Passing, kLegUpdated, either, ofOther, Passing, hearOther},
	{Passing, kLegRefused, either, unsettled, Passing, passAgain},
	{Passing, kMediaAnswered, either, unsettled, Passing, passAgain},
	{Passing, kMediaFailed, either, unsettled, Passing, passAgain},
	{Passing, kLegRefused, either, ofOther, Active, unfollowed}, // the change is one side's alone
	{Passing, kMediaAnswered, either, gains, Passing, giveBack}, // what the changer was refused at first
	{Passing, kMediaAnswered, either, nil, Active, settled},
	{Passing, kMediaFailed, either, request, Active, settled},
	{Passing, kLegTransfer, either, nil, Passing, ask},
	{Passing, kMediaFailed, either, nil, Ending, failed},
	{Passing, kLegEnded, fromA, nil, Ending, endB},
	{Passing, kLegEnded, fromB, nil, Ending, endA},

	// C is called, or has called. The one it replaces may hang up meanwhile; then there is
	// nobody to go back to.
	{Transferring, kMediaOffered, either, came, Transferring, offerTaken},
	{Transferring, kMediaOffered, either, nil, Transferring, offerC},
	{Transferring, kMediaAnswered, either, comes, Passing, seatTaken},
	{Transferring, kMediaAnswered, either, nil, Active, seatTaken},
	{Transferring, kLegRinging, fromC, nil, Transferring, ringKept},
	{Transferring, kLegProgress, fromC, nil, Transferring, renew},
	{Transferring, kLegAnswered, fromC, nil, Seating, takeC},
	{Transferring, kLegConfirmed, fromC, nil, Seating, takeConfirmed},
	{Transferring, kLegReferred, either, referred, Ending, referredAway},
	{Transferring, kLegReferred, either, alone, Ending, failedAlone},
	{Transferring, kLegReferred, either, nil, Active, failedC},
	{Transferring, kTimerFired, either, alone, Ending, failedAlone},
	{Transferring, kTimerFired, either, nil, Active, failedC},
	{Transferring, kMediaFailed, either, alone, Ending, failedAlone},
	{Transferring, kMediaFailed, either, request, Active, failedC},
	{Transferring, kMediaFailed, either, ofMoving, Transferring, bareMoving},
	{Transferring, kMediaFailed, either, nil, Ending, failed},
	{Transferring, kLegEnded, either, ofMoving, Transferring, nil},
	{Transferring, kLegEnded, fromA, nil, Ending, endB},
	{Transferring, kLegEnded, fromB, nil, Ending, endA},
	{Transferring, kLegEnded, fromC, alone, Ending, failedAlone},
	{Transferring, kLegEnded, fromC, nil, Active, failedC},

	{Seating, kMediaAnswered, either, resumes, Passing, seated},
	{Seating, kMediaAnswered, either, nil, Active, seated},
	{Seating, kLegCandidates, fromC, nil, Seating, candidatesTaken},
	{Seating, kMediaFailed, either, alone, Ending, failedAlone},
	{Seating, kMediaFailed, either, request, Active, failedC},
	{Seating, kMediaFailed, either, ofMoving, Seating, bareMoving},
	{Seating, kMediaFailed, either, nil, Ending, failed},
	{Seating, kLegEnded, either, ofMoving, Seating, nil},
	{Seating, kLegEnded, fromA, nil, Ending, endB},
	{Seating, kLegEnded, fromB, nil, Ending, endA},
	{Seating, kLegEnded, fromC, alone, Ending, failedAlone},
	{Seating, kLegEnded, fromC, nil, Active, failedC},

	// C takes a call that rings at B (RFC 3891 section 3).
	{PickingUp, kLegConfirmed, fromA, nil, PickingUp, confirm},
	{PickingUp, kMediaAnswered, either, joined, Active, pickedEarly},
	{PickingUp, kMediaAnswered, either, early, Confirming, pickedEarly},
	{PickingUp, kMediaAnswered, either, late, Confirming, pickedLate},
	{PickingUp, kMediaAnswered, either, nil, Answering, picked},
	{PickingUp, kMediaOffered, either, alone, Ending, failedAlone},
	{PickingUp, kMediaOffered, either, nil, Ringing, unpick}, // it had no offer
	{PickingUp, kLegRinging, fromB, nil, PickingUp, renew},
	{PickingUp, kLegProgress, fromB, nil, PickingUp, renew},
	{PickingUp, kLegAnswered, fromB, nil, Answering, answeredBefore},
	{PickingUp, kTimerFired, either, nil, Ending, noAnswer},
	{PickingUp, kMediaFailed, either, alone, Ending, failedAlone},
	{PickingUp, kMediaFailed, either, request, Ringing, unpick},
	{PickingUp, kMediaFailed, either, nil, Ending, failed},
	{PickingUp, kLegEnded, fromC, alone, Ending, failedAlone},
	{PickingUp, kLegEnded, fromC, nil, Ringing, unpick},
	{PickingUp, kLegEnded, fromB, nil, PickingUp, nil},
	{PickingUp, kLegEnded, fromA, nil, Ending, endB},

	// An answer that crosses our end is the leg's to undo; here it is too late.
	{Ending, kLegRinging, either, nil, Ending, nil},
	{Ending, kLegProgress, either, nil, Ending, nil},
	{Ending, kLegAnswered, either, nil, Ending, nil},
	{Ending, kLegOffered, either, nil, Ending, nil},
	{Ending, kLegConfirmed, either, nil, Ending, nil},
	{Ending, kLegUpdated, either, nil, Ending, nil},
	{Ending, kLegRefused, either, nil, Ending, nil},
	{Ending, kLegEnded, either, nil, Ending, nil},
	{Ending, kLegEnded, fromC, nil, Ending, nil},
	{Ending, kMediaFailed, either, nil, Ending, nil},
	{Ending, kTimerFired, either, forEnd, Ending, giveUp},
}

// always are the rules of every state before Ending; a state's own rules come first.
var always = []rule{
	{0, kLegOffered, either, nil, 0, refuse}, // one thing at a time (RFC 3261 14.2)
	{0, kLegCandidates, either, nil, 0, candidatesIn},
	{0, kMediaCandidates, either, nil, 0, candidatesOut},
	{0, kLegDigit, either, nil, 0, digitIn},
	{0, kLegTransfer, either, nil, 0, refuseTransfer},
	{0, kLegEnded, fromC, nil, 0, nil}, // it was tried, and has closed
	{0, kMediaDigit, either, nil, 0, digitOut},
	{0, kLegPicture, either, nil, 0, pictureIn},
	{0, kMediaPicture, either, nil, 0, pictureOut},
	{0, kLegAway, either, nil, 0, listen},
	{0, kMediaSilent, either, nil, 0, probe},
	{0, kMediaConnected, either, nil, 0, heard},
	{0, kAborted, either, nil, Ending, abort},
}

// find returns the rule for an event, or nil. A rule of always that does not end the call
// leaves the state as it is.
func find(c *Call, e Event) *rule {
	if r := match(rules, c, e, c.state); r != nil {
		return r
	}
	if c.state >= Ending {
		return nil
	}
	r := match(always, c, e, 0)
	if r == nil {
		return nil
	}
	found := *r
	if found.next != Ending {
		found.next = c.state
	}
	return &found
}

func match(table []rule, c *Call, e Event, s State) *rule {
	k, side := e.kind(), sideOf(e)
	for i := range table {
		r := &table[i]
		if r.state != s || r.event != k {
			continue
		}
		if (side == C) != (r.from == fromC) || (r.from == fromA && side != A) || (r.from == fromB && side != B) {
			continue
		}
		if r.when != nil && !r.when.holds(c, e) {
			continue
		}
		return r
	}
	return nil
}

func answerEarly(c *Call, e Event) {
	c.emit(AnswerLeg{A, e.(MediaAnswered).Media}, OfferMedia{c.op(), B, c.offer})
}

func confirm(c *Call, _ Event) { c.confirmed = true }

func offerB(c *Call, e Event) {
	c.waiting = 0
	c.emit(
		OfferLeg{B, e.(MediaOffered).Media},
		StartTimer{TimerNoAnswer, c.limits.NoAnswer},
		StartTimer{TimerAlert, c.limits.Alert},
	)
}

func ringA(c *Call, e Event) {
	c.emit(StopTimer{TimerAlert}, RingLeg{A})
	if c.mode == Early {
		c.emit(RingMedia{A, true})
	}
	renew(c, e)
}

func renew(c *Call, _ Event) {
	if c.limits.Renew {
		c.emit(StartTimer{TimerNoAnswer, c.limits.NoAnswer})
	}
}

func progressA(c *Call, _ Event) { c.emit(ProgressLeg{A, media.Description{}}) }

// hearB connects what B plays before it answers.
func hearB(c *Call, e Event) {
	if m := e.(LegProgress).Media; !m.Empty() {
		c.emit(AnswerMedia{c.op(), A, m})
	}
	renew(c, e)
}

func answerMedia(c *Call, e Event) {
	c.answer = e.(LegAnswered).Media
	c.said[B] = c.answer
	c.emit(StopTimer{TimerAlert}, StopTimer{TimerNoAnswer})
	if c.mode == Early {
		c.emit(RingMedia{A, false})
	}
	c.emit(AnswerMedia{c.op(), A, c.answer})
}

// settle is for a caller that has its answer already.
func settle(c *Call, _ Event) {
	c.waiting = 0
	if c.state == Confirming {
		c.emit(StartTimer{TimerConfirm, c.limits.Confirm})
	}
}

// answerA gives the caller the media plane's answer, also when it described its media late.
func answerA(c *Call, e Event) {
	c.waiting = 0
	c.told = e.(MediaAnswered).Media
	c.emit(
		AnswerLeg{A, c.told},
		StartTimer{TimerConfirm, c.limits.Confirm},
	)
}

// offerA makes the offer that a caller without one wants, from what B answered.
func offerA(c *Call, _ Event) { c.emit(OfferMedia{c.op(), A, c.answer}) }

func answerOffering(c *Call, e Event) {
	c.waiting = 0
	c.emit(
		AnswerLeg{A, e.(MediaOffered).Media},
		StartTimer{TimerConfirm, c.limits.Confirm},
	)
}

// hearA hands over the answer that came with the confirmation.
func hearA(c *Call, e Event) {
	c.said[A] = e.(LegConfirmed).Media
	c.emit(AnswerMedia{c.op(), B, c.said[A]})
}

// unanswered ends a call whose caller confirmed our offer without answering it.
func unanswered(c *Call, _ Event) { c.end(BadRequest, Detail{}, A, B) }

func joinA(c *Call, e Event) {
	c.offer = e.(LegOffered).Media
	c.said[A] = c.offer
	c.emit(JoinMedia{c.op(), A, c.offer})
}

func activate(c *Call, _ Event) {
	c.waiting = 0
	c.confirmed = true
	c.emit(StopTimer{TimerConfirm})
}

// narrower reports whether the caller was answered without the codec that B prefers, and so
// is going to send, although they have another in common: B answered before the caller
// described its media, or was offered what could be transcoded.
func (c *Call) narrower() bool {
	a, b := c.told.Live(media.Audio), c.said[B].Live(media.Audio)
	if a < 0 || b < 0 || c.mode != Announced && c.mode != Offered {
		return false
	}
	has, speech := c.told.Streams[a].Codecs, media.Speech(c.said[B].Streams[b].Codecs)
	return len(speech) > 0 && media.Find(has, speech[0]) < 0 && len(media.Intersect(speech, has)) > 0
}

// narrowB offers B what the caller turned out to have.
func narrowB(c *Call, e Event) {
	activate(c, e)
	c.side, c.change = A, media.Description{}
	c.joining, c.more, c.idle = 0, false, false
	c.emit(OfferMedia{c.op(), B, c.said[A]})
}

func joinSide(c *Call, e Event) {
	o := e.(LegOffered)
	c.side, c.change = o.Side, o.Media
	c.joining, c.more, c.idle = 0, false, false
	c.emit(JoinMedia{c.op(), o.Side, o.Media})
}

func answerUpdate(c *Call, e Event) {
	c.waiting = 0
	c.said[c.side] = c.change
	c.told = e.(MediaAnswered).Media
	c.emit(AnswerUpdate{c.side, c.told})
}

// answerAndPass answers the side that changes the session at once, for it must not wait for
// a person (INTERWORKING 2.6), and then tells the other.
func answerAndPass(c *Call, e Event) {
	answerUpdate(c, e)
	c.emit(OfferMedia{c.op(), c.side.Other(), c.change})
}

func updateOther(c *Call, e Event) {
	c.waiting = 0
	c.emit(UpdateLeg{c.side.Other(), e.(MediaOffered).Media})
}

func hearOther(c *Call, e Event) {
	c.said[c.side.Other()] = e.(LegUpdated).Media
	c.emit(AnswerMedia{c.op(), c.side, e.(LegUpdated).Media})
}

func settled(c *Call, _ Event) { c.waiting = 0 }

// unfollowed tells the changer that what it wanted beyond its answer will not come. Where that
// was the whole change, as of an offer of ours, there is nothing to tell.
func unfollowed(c *Call, e Event) {
	cause := e.(LegRefused).Cause
	c.waiting = 0
	if c.wanting() {
		c.emit(RefuseUpdate{c.side, cause})
	}
}

// wanting reports whether the changer wants a stream that it was refused at first.
func (c *Call) wanting() bool {
	for i := range c.change.Streams {
		if c.denied(i) {
			return true
		}
	}
	return false
}

// denied reports whether the changer wants that stream and was refused it.
func (c *Call) denied(i int) bool {
	return !c.change.Streams[i].Rejected && (i >= len(c.told.Streams) || c.told.Streams[i].Rejected)
}

// joins reports whether an event is the result of what the changer wants now.
func (c *Call) joins(e Event) bool {
	switch e := e.(type) {
	case MediaAnswered:
		return c.joining != 0 && e.Op == c.joining
	case MediaFailed:
		return c.joining != 0 && e.Op == c.joining
	}
	return false
}

// unsettled reports whether an event ends the passing on of one change while there is
// another.
func (c *Call) unsettled(e Event) bool {
	if f, is := e.(MediaFailed); is && f.Op == 0 {
		return false
	}
	if r, is := e.(LegRefused); is && r.Side == c.side {
		return false
	}
	return c.more || c.joining != 0
}

// joinAgain has a further change answered, beside the passing on of the last one.
func joinAgain(c *Call, e Event) {
	o := e.(LegOffered)
	c.ops++
	c.joining, c.next = c.ops, o.Media
	c.emit(JoinMedia{c.joining, o.Side, o.Media})
}

func answerAgainAndPass(c *Call, e Event) {
	c.joining, c.more = 0, true
	c.change, c.told = c.next, e.(MediaAnswered).Media
	c.said[c.side] = c.change
	c.emit(AnswerUpdate{c.side, c.told})
	if c.idle {
		passAgain(c, e)
	}
}

func refuseAgain(c *Call, e Event) {
	c.joining, c.idle = 0, false
	c.emit(RefuseUpdate{c.side, e.(MediaFailed).Cause})
}

// passAgain passes on what came meanwhile, once it has been answered.
func passAgain(c *Call, _ Event) {
	c.waiting = 0
	if c.idle = c.joining != 0; c.idle {
		return
	}
	c.more = false
	c.emit(OfferMedia{c.op(), c.side.Other(), c.change})
}

// gained reports whether the other side has taken a stream that the changer wanted and was
// refused, because nobody had asked the other side yet.
func (c *Call) gained() bool {
	other := c.said[c.side.Other()]
	for i, s := range c.change.Streams {
		if c.denied(i) && other.Live(s.Kind) >= 0 {
			return true
		}
	}
	return false
}

// giveBack offers the changer what the other side has taken. The other side is now the one
// that changes, and there is nothing to give back to it.
func giveBack(c *Call, _ Event) {
	c.side, c.change = c.side.Other(), media.Description{}
	c.emit(OfferMedia{c.op(), c.side.Other(), c.said[c.side]})
}

// digitIn plays a digit to the other side, if there is anyone to hear it.
func digitIn(c *Call, e Event) {
	if d := e.(LegDigit); c.open[d.Side.Other()] {
		c.emit(DigitMedia{d.Side.Other(), d.Digit})
	}
}

// pictureIn is for peers that have no RTCP for it (RFC 5168).
func pictureIn(c *Call, e Event) { c.emit(PictureMedia(e.(LegPicture))) }

// pictureOut is the same the other way.
func pictureOut(c *Call, e Event) {
	if p := e.(MediaPicture); c.open[p.Side] {
		c.emit(PictureLeg(p))
	}
}

// listen is for a device that may only have lost its connection: while it is heard the call
// goes on (INTERWORKING 2.5 row 21).
func listen(c *Call, e Event) { c.emit(ListenMedia(e.(LegAway))) }

// probe has the peer asked whether it is there (INTERWORKING 2.5 row 23).
func probe(c *Call, e Event) {
	if s := e.(MediaSilent).Side; c.open[s] && !c.ending[s] {
		c.silent[s] = true
		c.emit(ProbeLeg{s, true})
	}
}

// heard is for a peer that speaks again: what it says to the question does not matter.
func heard(c *Call, e Event) {
	if s := e.(MediaConnected).Side; c.silent[s] && c.open[s] {
		c.silent[s] = false
		c.emit(ProbeLeg{s, false})
	}
}

func digitOut(c *Call, e Event) {
	if d := e.(MediaDigit); c.open[d.Side] {
		c.emit(DigitLeg(d))
	}
}

// differ reports whether two descriptions of one side differ in what concerns the other
// side: which streams there are, and which way they flow. Addresses, candidates and
// payload types end at the gateway.
func differ(a, b media.Description) bool {
	for i := range max(len(a.Streams), len(b.Streams)) {
		var x, y media.Stream
		x.Rejected, y.Rejected = true, true
		if i < len(a.Streams) {
			x = a.Streams[i]
		}
		if i < len(b.Streams) {
			y = b.Streams[i]
		}
		if x.Rejected != y.Rejected || !x.Rejected && (x.Kind != y.Kind || x.Flow() != y.Flow()) {
			return true
		}
	}
	return false
}

func refuseChanger(c *Call, e Event) {
	c.waiting = 0
	c.emit(RefuseUpdate{c.side, e.(MediaFailed).Cause})
}

func refuse(c *Call, e Event) { c.emit(RefuseUpdate{sideOf(e), Conflict}) }

func candidatesIn(c *Call, e Event) {
	c.emit(CandidatesMedia(e.(LegCandidates)))
}

func candidatesOut(c *Call, e Event) {
	if m := e.(MediaCandidates); c.open[m.Side] {
		c.emit(CandidatesLeg(m))
	}
}

func endA(c *Call, e Event) {
	l := e.(LegEnded)
	c.end(l.Cause, l.Detail, A)
}

func endB(c *Call, e Event) {
	l := e.(LegEnded)
	c.end(l.Cause, l.Detail, B)
}

// noReply is for a callee that was tried and showed no sign; Q.850 has its own number.
func noReply(c *Call, _ Event) { c.end(NoAnswer, Detail{Q850: 18}, A, B) }

func noAnswer(c *Call, _ Event) { c.end(NoAnswer, Detail{Q850: 19}, A, B) }

// unconfirmed ends a call whose caller never said that it has the answer.
func unconfirmed(c *Call, _ Event) { c.end(Timeout, Detail{}, A, B) }

func failed(c *Call, e Event) {
	m := e.(MediaFailed)
	c.end(m.Cause, m.Detail, A, B)
}

func abort(c *Call, e Event) {
	a := e.(Aborted)
	c.end(a.Cause, a.Detail, A, B)
}

// end closes the legs that are open. Leg B closes as one whose caller gave up while it
// has not answered, whatever the reason was.
func (c *Call) end(cause Cause, detail Detail, sides ...Side) {
	c.waiting = 0
	c.cause, c.detail = cause, detail
	c.asked = nil
	c.emit(StopTimer{TimerAlert}, StopTimer{TimerNoAnswer}, StopTimer{TimerConfirm})
	for _, s := range append(sides, C) {
		if c.open[s] && !c.ending[s] {
			c.ending[s] = true
			c.emit(EndLeg{s, cause, detail})
		}
	}
	c.emit(StartTimer{TimerLinger, c.limits.Linger})
}

// giveUp takes legs that do not close for closed.
func giveUp(c *Call, _ Event) { c.open = [3]bool{} }
