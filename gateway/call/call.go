// Package call is what happens in a call, and when: a pure state machine between two
// legs and the media plane. It knows no protocol, does no I/O and reads no clock; events
// go in, actions come out.
//
// A good call goes through the states in this order: Preparing (the media plane makes an
// offer), Calling (leg B has it), Ringing, Answering (the media plane makes the answer),
// Confirming (leg A has it), Active, and, while a side changes the session, Updating (the
// media plane answers it) and Passing (the other side is told of it). From each of them it
// may go to Ending, where every leg is closed and nothing else matters, and from there to
// Ended.
//
// A transfer replaces one leg and keeps the other. While it is Transferring, a third leg, C,
// is tried or comes; in Seating the media plane puts it in its place. PickingUp is the same
// for a callee's leg that still rings. What fails leaves the call as it was.
//
// The rules are the table in table.go; testdata/table.golden is the chart made from it.
package call

import (
	"time"

	"sipxmppgw/gateway/media"
)

// A State is where a call is.
type State uint8

const (
	Preparing State = iota
	Calling
	Ringing
	Answering
	Confirming
	Active
	Updating
	Passing
	Transferring
	Seating
	PickingUp
	Ending
	Ended
	states
)

var stateNames = [...]string{
	"Preparing", "Calling", "Ringing", "Answering", "Confirming", "Active", "Updating",
	"Passing", "Transferring", "Seating", "PickingUp", "Ending", "Ended",
}

// String returns the state's name.
func (s State) String() string { return stateNames[s] }

// Limits are the times a call may spend waiting.
type Limits struct {
	Alert    time.Duration // for a sign of ringing, before the caller is told that we go on
	NoAnswer time.Duration // for B to answer; a proxy gives it more than 3 minutes (RFC 3261 16.6)
	Renew    bool          // NoAnswer begins anew with each sign of B's going on (RFC 3261 16.7, step 2)
	Confirm  time.Duration // for A to confirm the answer; above the 64*T1 of RFC 3261 13.3.1.4
	Linger   time.Duration // for both legs to finish closing
}

// DefaultLimits are the times of INTERWORKING.md section 2.15.
func DefaultLimits() Limits {
	return Limits{
		Alert:    3 * time.Second,
		NoAnswer: 180 * time.Second,
		Confirm:  40 * time.Second,
		Linger:   35 * time.Second,
	}
}

// A Mode is how the caller's media comes to be described.
type Mode uint8

const (
	Offered   Mode = iota // the caller offered; it is answered when B is
	Early                 // the caller offered; it is answered before B is called, to hear what B plays
	Announced             // the caller offers when it has been told that B took the call (late mode)
	Offerless             // the caller wants our offer in its answer (RFC 3261 section 13.2.1)
)

// A Call is the state of one call. It is not safe for concurrent use: one goroutine owns
// it.
type Call struct {
	limits Limits
	state  State
	mode   Mode
	offer  media.Description // what A offered; empty until it does
	answer media.Description // what B answered

	confirmed bool // A has confirmed our answer
	open      [3]bool
	ending    [3]bool              // EndLeg was sent
	side      Side                 // the side that changes the session, in Updating and Passing
	said      [3]media.Description // what each side described last
	change    media.Description    // what side wants now; empty when there is nothing to give back
	told      media.Description    // what side was answered
	joining   Op                   // of what side wants beyond that, while the last change is passed on
	next      media.Description    // what that is
	more      bool                 // there is more to pass on
	idle      bool                 // the last change is passed on; joining is awaited

	silent [3]bool // the peer was asked whether it is there, since it is not heard

	moving Side         // whose place C is to take, in Transferring, Seating and PickingUp
	came   bool         // C called us; it was not called
	rings  bool         // C rings, and the side that is kept hears it
	bare   bool         // the media of moving is lost: there is nothing to go back to
	asked  *LegTransfer // begins as soon as the call is Active and C is closed

	ops     Op // the last one given out
	waiting Op // the request whose result is awaited; 0 if none

	cause    Cause // of the end: the first that was known
	detail   Detail
	finished bool
	out      []Action
}

// New returns a call that leg A has begun, and the first actions to carry out. The offer
// is empty in the modes Announced and Offerless.
func New(limits Limits, offer media.Description, mode Mode) (*Call, []Action) {
	c := &Call{limits: limits, mode: mode, offer: offer, open: [3]bool{A: true, B: true}}
	c.said[A] = offer
	if mode == Early {
		c.emit(JoinMedia{c.op(), A, offer})
	} else {
		c.emit(OfferMedia{c.op(), B, offer})
	}
	return c, c.take()
}

// State returns where the call is.
func (c *Call) State() State { return c.state }

// Step takes one event. It returns what to do, in order; ok is false if the event has no
// place in the call's state, and then nothing has changed.
func (c *Call) Step(e Event) (actions []Action, ok bool) {
	if c.stale(e) {
		return nil, false
	}
	r := find(c, e)
	if r == nil {
		return nil, false
	}
	if end, isEnd := e.(LegEnded); isEnd {
		c.open[end.Side] = false
		if end.Cause == Cancelled && end.Side != C && c.state >= Active && c.state <= Seating {
			// COMPAT(Dino 0.4, strophe.jingle): they hang up by that word, but only what was not
			// answered can be cancelled.
			end.Cause = Normal
			e = end
		}
	}
	c.state = r.next
	if r.do != nil {
		r.do(c, e)
	}
	c.begin()
	c.close()
	return c.take(), true
}

// stale reports whether the event is the late echo of something that is over: a result
// that is no longer awaited, or anything from a leg that has ended.
func (c *Call) stale(e Event) bool {
	switch e := e.(type) {
	case MediaOffered:
		return e.Op == 0 || e.Op != c.waiting
	case MediaAnswered:
		return e.Op == 0 || e.Op != c.waiting && e.Op != c.joining
	case MediaFailed:
		return e.Op != 0 && e.Op != c.waiting && e.Op != c.joining
	case MediaCandidates, MediaDigit, MediaPicture, MediaConnected, MediaSilent, TimerFired, Aborted:
		return false
	default:
		return !c.open[sideOf(e)]
	}
}

// close is a joint rule: a call that ends, and whose legs are all closed, has ended.
func (c *Call) close() {
	if c.state != Ending || c.open[A] || c.open[B] || c.open[C] || c.finished {
		return
	}
	c.finished = true
	c.state = Ended
	c.emit(StopTimer{TimerLinger}, ReleaseMedia{}, Finish{c.cause, c.detail})
}

func (c *Call) emit(actions ...Action) { c.out = append(c.out, actions...) }

func (c *Call) take() []Action {
	out := c.out
	c.out = nil
	return out
}

// op gives out the number of a new request; its result is awaited from now on, and no
// other but that of joining.
func (c *Call) op() Op {
	c.ops++
	c.waiting = c.ops
	return c.ops
}

func sideOf(e Event) Side {
	switch e := e.(type) {
	case LegRinging:
		return e.Side
	case LegProgress:
		return e.Side
	case LegAnswered:
		return e.Side
	case LegOffered:
		return e.Side
	case LegUpdated:
		return e.Side
	case LegRefused:
		return e.Side
	case LegConfirmed:
		return e.Side
	case LegCandidates:
		return e.Side
	case LegDigit:
		return e.Side
	case LegPicture:
		return e.Side
	case LegAway:
		return e.Side
	case LegTransfer:
		return e.Side
	case LegReferred:
		return e.Side
	case Taken:
		return e.Side
	case LegEnded:
		return e.Side
	case MediaCandidates:
		return e.Side
	case MediaDigit:
		return e.Side
	case MediaPicture:
		return e.Side
	case MediaConnected:
		return e.Side
	case MediaSilent:
		return e.Side
	case MediaFailed:
		return e.Side
	default:
		return A
	}
}

// From returns what a leg tells as an event of side s: a leg that took another's place goes
// on speaking of the side it had.
func From(e Event, s Side) Event {
	switch e := e.(type) {
	case LegRinging:
		e.Side = s
		return e
	case LegProgress:
		e.Side = s
		return e
	case LegAnswered:
		e.Side = s
		return e
	case LegOffered:
		e.Side = s
		return e
	case LegUpdated:
		e.Side = s
		return e
	case LegRefused:
		e.Side = s
		return e
	case LegConfirmed:
		e.Side = s
		return e
	case LegCandidates:
		e.Side = s
		return e
	case LegDigit:
		e.Side = s
		return e
	case LegAway:
		e.Side = s
		return e
	case LegTransfer:
		e.Side = s
		return e
	case LegReferred:
		e.Side = s
		return e
	case LegEnded:
		e.Side = s
		return e
	}
	return e
}
