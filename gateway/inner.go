package gateway

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// Two calls that are joined stay two calls, each with its goroutine, its timers and its
// bridge: a leg of each is replaced by an inner leg, and the two inner legs speak to each
// other through the mailboxes of their calls. Nothing moves from one call to the other, so
// that nothing can be left behind; when one call ends its inner leg ends, and with it the
// other call. Their media flow over one more hop, of plain RTP within this machine.

// An inner leg is one end of that. It has the verbs of every leg, and its protocol is words.
type inner struct {
	box    inbox
	to     *actor // the call to join, of the leg that begins; nil for the other
	place  int    // the seat there
	kept   member // whom the other is to meet
	peer   *inbox // of the other inner leg; nil until it is known
	asks   bool   // a change of ours has no answer
	closed bool
}

// A word is what one inner leg tells the other.
type word struct {
	what   what
	media  media.Description
	cause  call.Cause
	detail call.Detail
	digit  call.Digit
	member member // of wordAnswered: who is there
	from   inbox
}

type what uint8

const (
	wordRefused   what = iota // the call does not let us in
	wordAnswered              // it does; media is its answer
	wordConfirmed             // and that has come
	wordOffers
	wordUpdated
	wordKept // the offer is refused
	wordDigit
	wordEnded
)

// innerPolicy is what flows between two bridges of ours.
func innerPolicy() media.Policy {
	return media.Policy{Codecs: media.DefaultCodecs(), PTime: 20 * time.Millisecond, Video: true, Inner: true}
}

// dialInner makes leg C one that takes the place of a leg of another call.
func (a *actor) dialInner(to call.Destination) error {
	a.g.mu.Lock()
	other := a.g.calls[to.Call]
	a.g.mu.Unlock()
	switch other {
	case nil:
		return &call.Refusal{Cause: call.OutOfSequence, Detail: call.Detail{Status: 481, Text: "that call is over"}}
	case a:
		return &call.Refusal{Cause: call.Loop, Detail: call.Detail{Text: "that is this call"}}
	}
	// Who is there is known when that call answers.
	kept := a.legs[a.lastTransfer().Side.Other()]
	c := a.newSeat(call.C, member{edge: kept.edge, policy: innerPolicy()})
	c.leg = &inner{box: inbox{a, c}, to: other, place: to.Seat, kept: kept.member}
	return nil
}

// say tells the other inner leg something; false means that its call is over.
func (l *inner) say(w word) bool {
	w.from = l.box
	return l.peer != nil && l.peer.send(w)
}

// tell tells our own call something.
func (l *inner) tell(e call.Event) { l.box.Post(e) }

// Receive implements [Leg].
func (l *inner) Receive(input any) []call.Event {
	if e, own := input.(call.Event); own {
		return []call.Event{e}
	}
	w := input.(word)
	side := l.box.Side()
	if l.closed {
		if w.what == wordAnswered { // it was let in too late
			w.from.send(word{what: wordEnded, cause: call.Cancelled})
		}
		return nil
	}
	switch w.what {
	case wordAnswered:
		l.peer = &w.from
		l.box.s.edge, l.box.s.party = w.member.edge, w.member.party
		l.say(word{what: wordConfirmed})
		return []call.Event{call.LegAnswered{Side: side, Media: w.media}}
	case wordConfirmed:
		return []call.Event{call.LegConfirmed{Side: side}}
	case wordOffers:
		switch {
		case l.asks && l.to != nil:
			return nil // ours goes first, and the other knows
		case l.asks:
			l.asks = false
			return []call.Event{call.LegRefused{Side: side, Cause: call.Conflict}, call.LegOffered{Side: side, Media: w.media}}
		}
		return []call.Event{call.LegOffered{Side: side, Media: w.media}}
	case wordUpdated:
		l.asks = false
		return []call.Event{call.LegUpdated{Side: side, Media: w.media}}
	case wordKept:
		l.asks = false
		return []call.Event{call.LegRefused{Side: side, Cause: w.cause}}
	case wordDigit:
		return []call.Event{call.LegDigit{Side: side, Digit: w.digit}}
	default: // wordRefused, wordEnded
		l.closed = true
		return []call.Event{call.LegEnded{Side: side, Cause: w.cause, Detail: w.detail}}
	}
}

// Offer asks the other call to be let in.
func (l *inner) Offer(offer media.Description) {
	me := l.box
	t := Taking{
		Edge: l.kept.edge, Party: l.kept.party, Policy: innerPolicy(), Offer: offer,
		Leg: func(in Inbox) Leg {
			box := in.(inbox)
			other := box.a.legs[box.a.inPlace(l.place).side.Other()]
			return &inner{box: box, peer: &me, kept: other.member}
		},
		Refused: func(r *call.Refusal) { me.Post(word{what: wordRefused, cause: r.Cause, detail: r.Detail}) },
	}
	if !l.to.box.put(letter{take: &t, place: l.place}) {
		t.Refused(&call.Refusal{Cause: call.Declined, Detail: call.Detail{Text: "that call is over"}})
	}
}

// Answer lets the other in.
func (l *inner) Answer(answer media.Description) {
	if !l.say(word{what: wordAnswered, media: answer, member: l.kept}) {
		l.ended(call.Cancelled)
	}
}

// ended notes that the other call is over.
func (l *inner) ended(cause call.Cause) {
	if !l.closed {
		l.closed = true
		l.tell(call.LegEnded{Side: l.box.Side(), Cause: cause})
	}
}

// Update and the others implement [Leg].
func (l *inner) Update(offer media.Description) {
	l.asks = true
	l.say(word{what: wordOffers, media: offer})
}

func (l *inner) AnswerUpdate(answer media.Description) { l.say(word{what: wordUpdated, media: answer}) }
func (l *inner) RefuseUpdate(cause call.Cause)         { l.say(word{what: wordKept, cause: cause}) }
func (l *inner) Digit(digit call.Digit)                { l.say(word{what: wordDigit, digit: digit}) }

// End tells the other call that this one is over, or has another leg in its place.
func (l *inner) End(cause call.Cause, detail call.Detail) {
	if l.closed {
		return
	}
	l.say(word{what: wordEnded, cause: cause, detail: detail})
	l.ended(cause)
}

// What an inner leg has no need of: it was answered at once, and its transport is plain.

func (l *inner) Probe(bool)                             {}
func (l *inner) Ring()                                  {}
func (l *inner) Picture()                               {}
func (l *inner) Progress(media.Description)             {}
func (l *inner) Candidates(media.Description)           {}
func (l *inner) RefuseTransfer(call.Cause, call.Detail) {}
func (l *inner) Meet(Party)                             {}
func (l *inner) Refer(call.Destination) {
	l.tell(call.LegReferred{Side: l.box.Side(), Cause: call.Unsupported})
}

// bounce answers a word that nobody reads any more.
func (w word) bounce() {
	if w.what == wordAnswered {
		w.from.send(word{what: wordEnded, cause: call.Cancelled})
	}
}
