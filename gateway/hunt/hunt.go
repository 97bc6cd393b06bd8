// Package hunt is the search for who takes a call that may go to several places: trunks one
// after the other, or telephones together. It is a pure state machine beside that of the
// call, which sees one leg B all the while.
//
// Each place is a branch. Branches of one round are tried together; the next round begins
// when all of them have come to nothing or, beside them, when their lead is over. The first
// that answers has the call.
package hunt

import (
	"slices"
	"time"

	"sipxmppgw/gateway/call"
)

// Total is how long after the beginning another way is still tried (RELIABILITY section 7,
// row 4): nobody holds a telephone in silence any longer.
const Total = 12 * time.Second

// A Branch is one place that a call may go to.
type Branch struct {
	// Round is when it is tried; the first is 0, and none is left out.
	Round int
	// Person is whose telephone it is. Empty says that it is a way to the callee, such as a
	// trunk: then what it says is the callee's answer, unless the way itself has failed.
	Person string
	// Lead is how long its round rings before the next rings beside it; the longest of a
	// round counts. 0 is for no longer than until all have come to nothing.
	Lead time.Duration
}

// An Order is what the hunt wants done.
type Order interface{ order() }

type (
	// Try has a branch called.
	Try struct{ Branch int }
	// End closes a branch that was tried. Its end follows.
	End struct {
		Branch int
		Cause  call.Cause
		Detail call.Detail
	}
	// Start starts a timer anew; Stop stops it.
	Start struct {
		Timer Timer
		After time.Duration
	}
	Stop struct{ Timer Timer }
	// Won says that a branch has the call: the hunt is over. The branches that were told to
	// end before close by themselves.
	Won struct{ Branch int }
	// Over says that all have come to nothing, and what the caller is to hear.
	Over struct {
		Cause  call.Cause
		Detail call.Detail
	}
)

func (Try) order()   {}
func (End) order()   {}
func (Start) order() {}
func (Stop) order()  {}
func (Won) order()   {}
func (Over) order()  {}

// A Timer is one of a hunt's timers.
type Timer uint8

const (
	TimerLead  Timer = iota // the next round is to ring beside
	TimerTotal              // no other way is tried any more
)

// state is how far a branch is.
type state uint8

const (
	waiting state = iota // not tried yet
	trying
	ending // told to
	ended
	skipped // never to be tried
)

type branch struct {
	Branch
	state  state
	cause  call.Cause // once ended
	detail call.Detail
}

// A Hunt is one search. It is not safe for concurrent use: one goroutine owns it.
type Hunt struct {
	branches  []branch
	round     int  // the last that has begun; -1 before
	committed bool // another way is no longer tried
	late      bool // TimerTotal has fired
	timed     bool // TimerLead runs
	done      bool
	given     *Over // what the call ends for, if it ends the hunt
	orders    []Order
}

// New returns a hunt through branches in the order of their rounds.
func New(branches []Branch) *Hunt {
	h := &Hunt{round: -1}
	for _, b := range branches {
		h.branches = append(h.branches, branch{Branch: b})
	}
	return h
}

// Begin tries the first round.
func (h *Hunt) Begin() []Order {
	h.emit(Start{TimerTotal, Total})
	h.next()
	return h.take()
}

// More reports whether another round may follow that of a branch.
func (h *Hunt) More(i int) bool { return h.branches[i].Round < h.last() }

func (h *Hunt) last() int { return h.branches[len(h.branches)-1].Round }

// Commit says that there is evidence that a telephone rings, or that the caller hears what a
// branch plays: another way would begin all that anew.
func (h *Hunt) Commit() { h.committed = true }

// Answered says that a branch took the call. One that was told to end, or after the hunt was
// over, is the leg's to undo.
func (h *Hunt) Answered(i int) []Order {
	if h.done || h.given != nil || h.branches[i].state != trying {
		return nil
	}
	h.close(call.Elsewhere, call.Detail{}, func(j int) bool { return j != i })
	h.finish(Won{i})
	return h.take()
}

// Ended says that a branch has closed, or could not be tried.
func (h *Hunt) Ended(i int, cause call.Cause, detail call.Detail) []Order {
	b := &h.branches[i]
	if h.done || b.state != trying && b.state != ending {
		return nil
	}
	own := b.state == trying
	b.state = ended
	if own {
		b.cause, b.detail = cause, detail
		h.mean(i)
	}
	h.proceed()
	return h.take()
}

// Fail ends a branch that we cannot go on with, for a fault of our own.
func (h *Hunt) Fail(i int, cause call.Cause, detail call.Detail) []Order {
	if !h.done {
		h.close(cause, detail, func(j int) bool { return j == i })
	}
	return h.take()
}

// Trying reports whether a branch is being tried.
func (h *Hunt) Trying(i int) bool { return !h.done && h.branches[i].state == trying }

// mean draws what follows for other branches from the end of one.
func (h *Hunt) mean(i int) {
	b := h.branches[i]
	switch {
	case h.given != nil:
	case b.Person == "" && (h.committed || !WayFailed(b.cause, b.detail)):
		// The callee has answered, by whatever way.
		h.close(b.cause, b.detail, func(int) bool { return true })
	case b.Person != "" && (b.cause == call.Declined || b.cause == call.Rejected):
		h.close(b.cause, b.detail, func(j int) bool { return h.branches[j].Person == b.Person })
	}
}

// Fired says that a timer is over.
func (h *Hunt) Fired(t Timer) []Order {
	if h.done || h.given != nil {
		return nil
	}
	switch t {
	case TimerTotal:
		h.late = true
	case TimerLead:
		if h.timed {
			h.timed = false
			h.next()
		}
	}
	h.proceed()
	return h.take()
}

// GiveUp ends the hunt because the call ends.
func (h *Hunt) GiveUp(cause call.Cause, detail call.Detail) []Order {
	if h.done || h.given != nil {
		return nil
	}
	h.given = &Over{cause, detail}
	h.close(cause, detail, func(int) bool { return true })
	h.proceed()
	return h.take()
}

// close ends the branches that are meant, and has none of them tried any more.
func (h *Hunt) close(cause call.Cause, detail call.Detail, meant func(int) bool) {
	for i := range h.branches {
		switch b := &h.branches[i]; {
		case !meant(i):
		case b.state == waiting:
			b.state = skipped
		case b.state == trying:
			b.state, b.cause, b.detail = ending, cause, detail
			h.emit(End{i, cause, detail})
		}
	}
}

// proceed begins the next round if nobody is being tried, or ends the hunt when the last has
// closed.
func (h *Hunt) proceed() {
	switch {
	case h.any(trying), h.given == nil && h.next(), h.any(ending):
	default:
		h.finish(h.outcome())
	}
}

func (h *Hunt) any(s state) bool {
	return slices.ContainsFunc(h.branches, func(b branch) bool { return b.state == s })
}

// next begins the next round in which somebody is left to be tried. It is false if there is
// none.
func (h *Hunt) next() bool {
	h.timed = false
	h.emit(Stop{TimerLead})
	for h.round < h.last() {
		h.round++
		if h.begin() {
			return true
		}
	}
	return false
}

// begin tries the branches of a round. It is false if there is none to try.
func (h *Hunt) begin() bool {
	some, lead := false, time.Duration(0)
	for i := range h.branches {
		b := &h.branches[i]
		switch {
		case b.Round != h.round || b.state != waiting:
			continue
		case b.Person == "" && h.late:
			b.state = skipped
			continue
		}
		b.state, some = trying, true
		lead = max(lead, b.Lead)
		h.emit(Try{i})
	}
	if some && lead > 0 && h.round < h.last() {
		h.timed = true
		h.emit(Start{TimerLead, lead})
	}
	return some
}

// outcome is what the caller hears when nobody has answered.
func (h *Hunt) outcome() Over {
	if h.given != nil {
		return *h.given
	}
	best := -1
	for i, b := range h.branches {
		if b.state == ended && (best < 0 || better(b, h.branches[best])) {
			best = i
		}
	}
	if best < 0 {
		return Over{Cause: call.Unavailable}
	}
	return Over{h.branches[best].cause, h.branches[best].detail}
}

func (h *Hunt) finish(o Order) {
	h.emit(Stop{TimerLead}, Stop{TimerTotal}, o)
	h.done = true
}

func (h *Hunt) emit(o ...Order) { h.orders = append(h.orders, o...) }

func (h *Hunt) take() []Order {
	o := h.orders
	h.orders = nil
	return o
}
