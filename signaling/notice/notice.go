// Package notice is the life of a subscription of a SIP peer to a state that is at hand: who is
// on a line, what is registered, what waits in a mailbox (RFC 6665 section 4.2). What the state is
// does not matter here: each notification has the whole of it.
//
// The package is pure: no I/O, no clock.
package notice

import "time"

// The times of subscriptions.
const (
	Hour = time.Hour   // at the most, and of one that does not say
	Min  = time.Minute // at the least
)

// An Input is what happens to a subscription.
type Input interface{ input() }

type (
	// Asked is a SUBSCRIBE: the first makes the subscription, the others refresh it. With
	// Expires 0 the first is a poll, and another ends it.
	Asked struct{ Expires time.Duration }
	// Changed says that the state has changed.
	Changed struct{}
	// Barred says that the subscriber may not see it any more.
	Barred struct{}
	// Gone says that the subscriber is not there any more: it did not take a notification.
	Gone struct{}
	// Shut says that the gateway goes down.
	Shut struct{}
	// Fired says that a timer has run out.
	Fired struct{ Timer Timer }
)

func (Asked) input()   {}
func (Changed) input() {}
func (Barred) input()  {}
func (Gone) input()    {}
func (Shut) input()    {}
func (Fired) input()   {}

// A Timer is one of those that a subscription has.
type Timer uint8

const (
	Lapse Timer = iota // for it to end
	Paced              // for the next notification to be due
)

// An Output is what a subscription wants done, in order.
type Output interface{ output() }

type (
	// Answer answers the SUBSCRIBE: with 200 and Expires, or with 423 and the least Expires.
	Answer struct {
		Status  int
		Expires time.Duration
	}
	// Notify sends the state. Reason is that of a subscription that is terminated; Bare says that
	// the state is not for the subscriber any more.
	Notify struct {
		Terminated bool
		Reason     string
		Bare       bool
	}
	// Start starts a timer anew, Halt stops it.
	Start struct {
		Timer Timer
		After time.Duration
	}
	Halt struct{ Timer Timer }
	// Ended says that nothing is left of it.
	Ended struct{}
)

func (Answer) output() {}
func (Notify) output() {}
func (Start) output()  {}
func (Halt) output()   {}
func (Ended) output()  {}

// A Subscription is one of them. It is not safe for several goroutines.
type Subscription struct {
	pace  time.Duration // between two notifications
	begun bool
	paced bool // the last notification was too lately
	owed  bool // another is due
	over  bool
	out   []Output
}

// New returns a subscription that is not asked for yet; pace is the time between two
// notifications of it, as its package has it.
func New(pace time.Duration) *Subscription { return &Subscription{pace: pace} }

// Step takes one input and returns what to do. What has no place is ignored.
func (s *Subscription) Step(in Input) []Output {
	if s.over {
		return nil
	}
	s.out = nil
	switch in := in.(type) {
	case Asked:
		s.asked(in.Expires)
	case Changed:
		s.changed()
	case Barred:
		s.end("rejected", true)
	case Shut:
		s.end("deactivated", false)
	case Gone:
		s.leave()
	case Fired:
		s.fired(in.Timer)
	}
	return s.out
}

func (s *Subscription) emit(o ...Output) { s.out = append(s.out, o...) }

func (s *Subscription) asked(expires time.Duration) {
	first := !s.begun
	switch {
	case expires > 0 && expires < Min:
		s.emit(Answer{Status: 423, Expires: Min})
		if first {
			s.over = true
			s.emit(Ended{})
		}
		return
	case expires == 0:
		s.emit(Answer{Status: 200})
		s.end("timeout", false)
		return
	}
	s.begun = true
	expires = min(expires, Hour)
	s.emit(Answer{Status: 200, Expires: expires}, Start{Lapse, expires})
	s.notify() // the whole, also of one that is refreshed (RFC 6665 section 4.2.1.2)
}

func (s *Subscription) changed() {
	switch {
	case !s.begun:
	case s.paced:
		s.owed = true
	default:
		s.notify()
	}
}

func (s *Subscription) notify() {
	s.owed, s.paced = false, true
	s.emit(Notify{}, Start{Paced, s.pace})
}

func (s *Subscription) end(reason string, bare bool) {
	s.emit(Notify{Terminated: true, Reason: reason, Bare: bare})
	s.leave()
}

func (s *Subscription) leave() {
	s.over = true
	s.emit(Halt{Lapse}, Halt{Paced}, Ended{})
}

func (s *Subscription) fired(t Timer) {
	switch {
	case t == Lapse:
		s.end("timeout", false)
	case s.owed:
		s.notify()
	default:
		s.paced = false
	}
}
