// Package chat is what happens in a message session with a SIP peer: a [Line] is its life from
// INVITE to BYE, with the connection of messages (RFC 4975) between, and a [Talk] is what two
// people say over one. Inputs go in, outputs come out: there is no SDP, no socket and no clock.
package chat

import (
	"time"

	"sipxmppgw/gateway/call"
)

// The times of a line.
const (
	Linking = 30 * time.Second // for the connection, once both have agreed
	Silence = 10 * time.Minute // without a word, after which it ends
	Lingers = 40 * time.Second // for the dialog to close; longer than 64*T1
)

type state uint8

const (
	fresh   state = iota // nothing was done yet
	calling              // our INVITE has no answer
	called               // the peer's has none
	linking              // both have agreed; the connection is not there
	up
	ending // the dialog is being closed
	over
	states
)

var stateNames = [states]string{"fresh", "calling", "called", "linking", "up", "ending", "over"}

// String returns the state's name.
func (s state) String() string { return stateNames[s%states] }

// A Timer is one of the times a line waits.
type Timer uint8

const (
	TimerLink Timer = iota
	TimerIdle
	TimerLinger
	timers
)

// String returns the timer's name.
func (t Timer) String() string { return [timers]string{"link", "idle", "linger"}[t%timers] }

// An Input is something that happens to a line.
type Input interface{ kind() kind }

type kind uint8

const (
	kCall kind = iota
	kCalled
	kAccept
	kAnswered
	kOffered
	kBound
	kSpoke
	kLost
	kClose
	kEnded
	kLink
	kIdle
	kLinger
	kinds
)

var kindNames = [kinds]string{
	"Call", "Called", "Accept", "Answered", "Offered", "Bound", "Spoke", "Lost", "Close", "Ended", "Fired link", "Fired idle", "Fired linger",
}

// String returns the name of a kind of input.
func (k kind) String() string { return kindNames[k%kinds] }

type (
	// Call has the peer called.
	Call struct{}
	// Called says that the peer calls.
	Called struct{}
	// Accept takes its call.
	Accept struct{}
	// Answered says that the peer has taken ours; Fit, that it describes a session we can have.
	Answered struct{ Fit bool }
	// Offered says that the peer changes the session, or refreshes it.
	Offered struct{ Fit bool }
	// Bound says that the connection is there.
	Bound struct{}
	// Spoke says that somebody has said something.
	Spoke struct{}
	// Lost says that the connection is gone, or will never be there.
	Lost struct{}
	// Close has the line end.
	Close struct {
		Cause  call.Cause
		Detail call.Detail
	}
	// Ended says that the dialog is closed, by the peer or by us.
	Ended struct {
		Cause  call.Cause
		Detail call.Detail
	}
	// Fired says that a timer has run out.
	Fired struct{ Timer Timer }
)

func (Call) kind() kind     { return kCall }
func (Called) kind() kind   { return kCalled }
func (Accept) kind() kind   { return kAccept }
func (Answered) kind() kind { return kAnswered }
func (Offered) kind() kind  { return kOffered }
func (Bound) kind() kind    { return kBound }
func (Spoke) kind() kind    { return kSpoke }
func (Lost) kind() kind     { return kLost }
func (Close) kind() kind    { return kClose }
func (Ended) kind() kind    { return kEnded }
func (f Fired) kind() kind  { return kLink + kind(f.Timer%timers) }

// An Output is something that is to be done, in order.
type Output interface{ output() }

type (
	// Offer sends the INVITE.
	Offer struct{}
	// Answer takes the peer's.
	Answer struct{}
	// Again answers a change of the peer's with what was agreed.
	Again struct{}
	// Refuse refuses it.
	Refuse struct{}
	// Link has the connection made, or waited for.
	Link struct{}
	// Unlink gives it up.
	Unlink struct{}
	// Hang ends the dialog.
	Hang struct {
		Cause  call.Cause
		Detail call.Detail
	}
	// Start starts a timer anew; Stop stops it.
	Start struct {
		Timer Timer
		After time.Duration
	}
	Stop struct{ Timer Timer }
	// Up says that messages can go. It comes once.
	Up struct{}
	// Over says that none can any more, and why; By says that the peer ended it. It comes once.
	Over struct {
		Cause  call.Cause
		Detail call.Detail
		By     bool
		Began  bool // it was agreed on before
	}
	// Done says that the line can be forgotten. It is the last output.
	Done struct{}
)

func (Offer) output()  {}
func (Answer) output() {}
func (Again) output()  {}
func (Refuse) output() {}
func (Link) output()   {}
func (Unlink) output() {}
func (Hang) output()   {}
func (Start) output()  {}
func (Stop) output()   {}
func (Up) output()     {}
func (Over) output()   {}
func (Done) output()   {}

// A Line is one message session. It has one owner.
type Line struct {
	state state
	Idle  time.Duration // Silence, or 0 for a line that may be silent
	out   []Output
	told  bool // Over was said
	began bool
}

// A rule is what an input does in a state.
type rule struct {
	state state
	in    kind
	next  state
	do    func(*Line, Input)
}

// The rules, in the order that a good session passes them. An input without a rule has no place
// in its state and is passed over, which the chart in testdata shows.
var rules = []rule{
	{fresh, kCall, calling, offer},
	{fresh, kCalled, called, nil},
	{called, kAccept, linking, accept},
	{calling, kAnswered, linking, link},
	{linking, kOffered, linking, again},
	{linking, kBound, up, begin},
	{up, kOffered, up, again},
	{up, kSpoke, up, listen},

	// Somebody wants it over.
	{fresh, kClose, over, vanish},
	{calling, kClose, ending, hang},
	{called, kClose, ending, hang},
	{linking, kClose, ending, hang},
	{up, kClose, ending, hang},
	{up, kIdle, ending, tire},
	{linking, kLink, ending, unlinked},
	{calling, kLost, ending, unlinked},
	{called, kLost, ending, unlinked},
	{linking, kLost, ending, unlinked},
	{up, kLost, ending, unlinked},
	{ending, kOffered, ending, refuse},

	// The dialog is closed.
	{calling, kEnded, over, ended},
	{called, kEnded, over, ended},
	{linking, kEnded, over, ended},
	{up, kEnded, over, ended},
	{ending, kEnded, over, ended},
	{ending, kLinger, over, ended},
}

// table is rules by state and input.
var table = func() (t [states][kinds]*rule) {
	for i := range rules {
		t[rules[i].state][rules[i].in] = &rules[i]
	}
	return t
}()

// Step takes one input and returns what is to be done.
func (l *Line) Step(in Input) []Output {
	r := table[l.state][in.kind()]
	if r == nil {
		return nil
	}
	l.out = nil
	l.state = r.next
	if r.do != nil {
		r.do(l, in)
	}
	return l.out
}

// Ready reports whether messages can go.
func (l *Line) Ready() bool { return l.state == up }

func (l *Line) emit(o ...Output) { l.out = append(l.out, o...) }

// finish says once that no message can go any more.
func (l *Line) finish(o Over) {
	if !l.told {
		l.told = true
		o.Began = l.began
		l.emit(o)
	}
}

func offer(l *Line, _ Input) { l.emit(Offer{}) }

func accept(l *Line, _ Input) {
	l.began = true
	l.emit(Answer{}, Link{}, Start{TimerLink, Linking})
}

func link(l *Line, in Input) {
	if !in.(Answered).Fit {
		l.state = ending
		hang(l, Close{Cause: call.Incompatible})
		return
	}
	l.began = true
	l.emit(Link{}, Start{TimerLink, Linking})
}

func begin(l *Line, _ Input) {
	l.emit(Stop{TimerLink}, Up{})
	listen(l, nil)
}

func listen(l *Line, _ Input) {
	if l.Idle > 0 {
		l.emit(Start{TimerIdle, l.Idle})
	}
}

func again(l *Line, in Input) {
	if !in.(Offered).Fit {
		l.emit(Refuse{})
		return
	}
	l.emit(Again{})
}

func refuse(l *Line, _ Input) { l.emit(Refuse{}) }

func vanish(l *Line, in Input) {
	c := in.(Close)
	l.finish(Over{Cause: c.Cause, Detail: c.Detail})
	l.emit(Unlink{}, Done{})
}

func hang(l *Line, in Input) {
	c := in.(Close)
	l.emit(Stop{TimerLink}, Stop{TimerIdle}, Unlink{}, Hang(c), Start{TimerLinger, Lingers})
	l.finish(Over{Cause: c.Cause, Detail: c.Detail})
}

func tire(l *Line, _ Input) { hang(l, Close{Cause: call.Normal}) }

func unlinked(l *Line, _ Input) {
	hang(l, Close{Cause: call.MediaLost, Detail: call.Detail{Text: "no connection for messages"}})
}

func ended(l *Line, in Input) {
	o := Over{Cause: call.Timeout}
	if e, ok := in.(Ended); ok {
		o = Over{Cause: e.Cause, Detail: e.Detail, By: true}
	}
	l.emit(Stop{TimerLink}, Stop{TimerIdle}, Stop{TimerLinger})
	l.finish(o)
	l.emit(Unlink{}, Done{})
}
