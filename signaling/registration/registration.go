// Package registration is the life of one binding at a registrar, seen by the one who is
// bound (RFC 3261 section 10.2): a pure state machine without sockets and clock.
//
// It never gives up. A registrar that cannot be reached is asked again after 30 seconds,
// then twice that, up to a quarter of an hour; one that does not want our credentials, each
// quarter of an hour; and a binding that stands until it expires is held to stand, unless the
// connection is lost that it was made over: then it is made anew.
package registration

import "time"

// The times of a registration.
const (
	FirstRetry = 30 * time.Second
	LastRetry  = 15 * time.Minute
	MaxRetry   = 5 * time.Minute // that a Retry-After is followed for
	MaxExpires = 24 * time.Hour  // that a Min-Expires is followed to
	Farewell   = 2 * time.Second // for the answer when we leave
	// Reopen is how long after a flow was lost another is made, the first time in a row; Steady is
	// how long one has to last for the row to end.
	Reopen = 4 * time.Second
	Steady = time.Minute

	maxProofs    = 3 // in a row, with a nonce of its own each
	maxIntervals = 2 // in a row that were too brief
)

// A State is how a registration fares.
type State uint8

const (
	Down    State = iota // never tried, or given back
	Trying               // asked for the first time
	Up                   // bound
	Failing              // not bound, and asked again later
)

// String returns the state's name.
func (s State) String() string { return [...]string{"down", "trying", "up", "failing"}[s&3] }

// A Timer is one of the two that a registration has.
type Timer uint8

const (
	Next  Timer = iota // for the next request
	Lapse              // for the binding to end
)

// An Input is what happens to a registration.
type Input interface{ input() }

type (
	// Start begins.
	Start struct{}

	// Answered is a final response to the last request.
	Answered struct {
		Status  int
		Granted time.Duration // for our Contact; 0 if it is not among those of a 2xx
		Least   time.Duration // Min-Expires of a 423
		Later   time.Duration // Retry-After; 0 for none
		Nonce   string        // of the challenge that can be answered; empty for none
		Stale   bool          // that challenge says so
	}

	// Lost says that the last request got no answer.
	Lost struct{}

	// Broken says that the connection is lost over which calls would have come, and how long ago
	// the binding was made or made anew over it.
	Broken struct{ Lasted time.Duration }

	// Fired says that a timer has run out.
	Fired struct{ Timer Timer }

	// Stop ends: the binding is given back.
	Stop struct{}
)

func (Start) input()    {}
func (Answered) input() {}
func (Lost) input()     {}
func (Broken) input()   {}
func (Fired) input()    {}
func (Stop) input()     {}

// An Output is what a registration wants done, in order.
type Output interface{ output() }

type (
	// Send sends a REGISTER, in place of any under way.
	Send struct {
		Expires time.Duration // 0 gives the binding back
		Proof   bool          // with credentials, for the last challenge
	}

	// Wait starts a timer anew; Spread of it may be left out, at random, so that many do
	// not come at once.
	Wait struct {
		Timer  Timer
		After  time.Duration
		Spread time.Duration
	}

	// Cancel stops a timer.
	Cancel struct{ Timer Timer }

	// Report says that the state, or why it is so, has changed.
	Report struct {
		State  State
		Status int    // of the response that changed it; 0 for none
		Reason Reason // why it is Failing
	}

	// Closed is the last: nothing is under way any more.
	Closed struct{}
)

func (Send) output()   {}
func (Wait) output()   {}
func (Cancel) output() {}
func (Report) output() {}
func (Closed) output() {}

// A Reason is why a registration fails.
type Reason uint8

const (
	NoReason    Reason = iota
	Unreachable        // nobody answers
	Credentials        // the registrar does not want ours
	Refused            // it says no: 403, 404, …
	Unavailable        // it cannot now: 5xx, 480, …
	Unbound            // it says yes and does not keep our Contact
)

// String returns the reason in words for an operator and for a user.
func (r Reason) String() string {
	return [...]string{
		"", "the registrar does not answer", "the user name or password is wrong",
		"the registrar refuses", "the registrar cannot do it now", "the registrar did not keep our address",
	}[r]
}

// A Registration is the state of one binding. It is not safe for concurrent use.
type Registration struct {
	want    time.Duration // that we ask for
	state   State
	reason  Reason
	bound   bool // until Lapse fires
	asked   bool // a request is under way
	leaving bool
	closed  bool

	proven bool   // the request under way has credentials
	nonce  string // that it was made with
	proofs int    // in a row that were refused
	briefs int    // in a row that were too brief
	flows  int    // in a row that had failed (RFC 5626 section 6)
	wait   time.Duration
	reopen time.Duration // for the next flow that is lost
	out    []Output
}

// New returns a registration that asks for so long a binding.
func New(expires time.Duration) *Registration { return &Registration{want: expires} }

// State returns how it fares.
func (r *Registration) State() State { return r.state }

// Step takes one input and returns what to do. What has no place is ignored.
func (r *Registration) Step(in Input) []Output {
	if r.closed {
		return nil
	}
	switch in := in.(type) {
	case Start:
		if r.state == Down && !r.leaving && !r.asked {
			r.report(Trying, 0, NoReason)
			r.send(false)
		}
	case Answered:
		if r.asked {
			r.asked = false
			r.answered(in)
		}
	case Lost:
		if r.asked {
			r.asked = false
			r.failed(0, Unreachable, 0)
		}
	case Broken:
		r.broken(in.Lasted)
	case Fired:
		r.fired(in.Timer)
	case Stop:
		r.stop()
	}
	out := r.out
	r.out = nil
	return out
}

func (r *Registration) emit(o ...Output) { r.out = append(r.out, o...) }

func (r *Registration) send(proof bool) {
	r.asked, r.proven = true, proof
	expires := r.want
	if r.leaving {
		expires = 0
	}
	r.emit(Send{Expires: expires, Proof: proof})
}

func (r *Registration) report(s State, status int, why Reason) {
	if s == r.state && why == r.reason {
		return
	}
	r.state, r.reason = s, why
	r.emit(Report{State: s, Status: status, Reason: why})
}

func (r *Registration) answered(a Answered) {
	switch {
	case (a.Status == 401 || a.Status == 407) && r.provable(a):
		r.nonce = a.Nonce
		r.proofs++
		r.send(true)
	case r.leaving:
		r.close()
	case a.Status/100 == 2:
		r.accepted(a)
	case a.Status == 401 || a.Status == 407:
		r.failed(a.Status, Credentials, LastRetry)
	case a.Status == 423 && a.Least > r.want && a.Least <= MaxExpires && r.briefs < maxIntervals:
		r.briefs++
		r.want = a.Least
		r.send(r.proven)
	case a.Status == 430 && r.flows == 0:
		r.flows++
		r.send(r.proven)
	case a.Status == 408:
		r.failed(a.Status, Unreachable, 0)
	case a.Status == 480 || a.Status >= 500 && a.Status < 600:
		r.failed(a.Status, Unavailable, min(a.Later, MaxRetry))
	default:
		r.failed(a.Status, Refused, min(a.Later, MaxRetry))
	}
}

// provable reports whether a challenge is to be answered: once, and again if it is another
// nonce, for registrars change it as they like.
func (r *Registration) provable(a Answered) bool {
	switch {
	case a.Nonce == "" || r.proofs >= maxProofs:
		return false
	case !r.proven || a.Stale:
		return true
	}
	return a.Nonce != r.nonce && r.bound // it was good before, so a new nonce is not a refusal
}

func (r *Registration) accepted(a Answered) {
	r.proofs, r.briefs, r.flows = 0, 0, 0
	if a.Granted <= 0 {
		r.failed(a.Status, Unbound, 0)
		return
	}
	r.wait, r.bound = 0, true
	granted := min(a.Granted, MaxExpires)
	r.report(Up, a.Status, NoReason)
	r.emit(Wait{Lapse, granted, 0}, Wait{Next, granted * 4 / 5, granted * 3 / 10})
}

// failed asks again later: after least, or longer each time.
func (r *Registration) failed(status int, why Reason, least time.Duration) {
	r.proofs, r.briefs = 0, 0
	if r.leaving {
		r.close()
		return
	}
	if !r.bound {
		r.report(Failing, status, why)
	} else {
		r.reason = why // to be said when the binding ends
	}
	r.wait = min(max(2*r.wait, FirstRetry), LastRetry)
	after := max(r.wait, least)
	r.emit(Wait{Next, after, after / 10})
}

// broken asks for the binding anew, over another flow, so that calls come again (RFC 5626 section
// 4.5). A registrar that closes each flow at once is asked less and less often.
func (r *Registration) broken(lasted time.Duration) {
	if !r.bound || r.asked || r.leaving {
		return
	}
	if r.reopen = min(2*r.reopen, LastRetry); lasted >= Steady || r.reopen == 0 {
		r.reopen = Reopen
	}
	r.emit(Wait{Next, r.reopen, r.reopen * 3 / 4})
}

func (r *Registration) fired(t Timer) {
	switch {
	case r.leaving && t == Next:
		r.close()
	case r.leaving:
	case t == Next && !r.asked:
		r.send(false)
	case t == Lapse && r.bound:
		r.bound = false
		why := r.reason
		if why == NoReason {
			why = Unreachable
		}
		r.state, r.reason = Up, NoReason // so that it is said
		r.report(Failing, 0, why)
	}
}

// stop gives the binding back, if there may be one.
func (r *Registration) stop() {
	if r.leaving {
		return
	}
	r.leaving = true
	r.emit(Cancel{Next}, Cancel{Lapse})
	if !r.bound && !r.asked {
		r.close()
		return
	}
	r.proofs = 0
	r.send(false)
	r.emit(Wait{Next, Farewell, 0})
}

func (r *Registration) close() {
	r.bound, r.asked, r.closed = false, false, true
	r.emit(Cancel{Next})
	r.report(Down, 0, NoReason)
	r.emit(Closed{})
}
