package presence

import (
	"slices"
	"time"
)

// A WatcherInput is what happens to a watcher.
type WatcherInput interface{ watcherInput() }

type (
	// Begun is a SUBSCRIBE that makes the subscription; Expires is 0 for a poll (RFC 6665
	// section 4.4.3).
	Begun struct{ Expires time.Duration }
	// Refreshed is one within it; Expires 0 ends it.
	Refreshed struct{ Expires time.Duration }
	// Approved says that the user lets the watcher see (subscribed).
	Approved struct{}
	// Barred says that the user does not (unsubscribed).
	Barred struct{}
	// Nobody says that there is no such user, who could be asked.
	Nobody struct{}
	// Seen is what the user sent to the watcher, of one device.
	Seen struct{ State State }
	// Moved is where the user is, as far as the watcher may know; nil for nothing.
	Moved struct{ Place *Place }
	// Lost says that the watcher did not take a notification: there is no subscription any
	// more.
	Lost struct{}
	// Shut says that the gateway goes down.
	Shut struct{}
	// WatcherFired says that a timer has run out.
	WatcherFired struct{ Timer WatcherTimer }
)

func (Begun) watcherInput()        {}
func (Refreshed) watcherInput()    {}
func (Approved) watcherInput()     {}
func (Barred) watcherInput()       {}
func (Nobody) watcherInput()       {}
func (Seen) watcherInput()         {}
func (Moved) watcherInput()        {}
func (Lost) watcherInput()         {}
func (Shut) watcherInput()         {}
func (WatcherFired) watcherInput() {}

// A WatcherTimer is one of those that a watcher has.
type WatcherTimer uint8

const (
	Lapse  WatcherTimer = iota // for the subscription to end
	Paced                      // for the next notification to be due
	Polled                     // for what is not known to be answered all the same
)

// A WatcherOutput is what a watcher wants done, in order.
type WatcherOutput interface{ watcherOutput() }

type (
	// Answer answers the SUBSCRIBE: with 200 and Expires, with 423 and the least Expires, or
	// with 403.
	Answer struct {
		Status  int
		Expires time.Duration
	}
	// Notify sends a NOTIFY. Reason is that of terminated.
	Notify struct {
		State, Reason string
		Left          time.Duration // of the subscription when it was last refreshed
		Holds         bool          // it has a document
		Now           Document
		Place         *Place // where the user is; nil if the watcher is not told
	}
	// Ask asks the user to be seen (subscribe).
	Ask struct{}
	// Look asks for what is so now (probe).
	Look struct{}
	// Leave tells the user that the watcher is gone (unavailable); what the user allowed
	// stays allowed.
	Leave struct{}
	// Start starts a timer anew.
	Start struct {
		Timer WatcherTimer
		After time.Duration
	}
	// Halt stops a timer.
	Halt struct{ Timer WatcherTimer }
	// Remember has what the user allows stored: Granted or Denied.
	Remember struct{ Standing Standing }
	// Ended says that nothing is left of the watcher.
	Ended struct{}
)

func (Answer) watcherOutput()   {}
func (Notify) watcherOutput()   {}
func (Ask) watcherOutput()      {}
func (Look) watcherOutput()     {}
func (Leave) watcherOutput()    {}
func (Start) watcherOutput()    {}
func (Halt) watcherOutput()     {}
func (Remember) watcherOutput() {}
func (Ended) watcherOutput()    {}

// A Watcher is a SIP user's subscription to an XMPP user (INTERWORKING 4.3). It is not safe for
// concurrent use.
type Watcher struct {
	standing Standing      // what the user allows: None if nothing was said yet
	left     time.Duration // of the subscription
	now      Document      // what the user sent
	place    *Place        // where the user is
	closing  []State       // devices that are gone, to be said once
	told     bool          // a first notification that is active was sent
	paced    bool          // the last notification was too lately
	owed     bool          // another is due
	poll     bool
	over     bool
	out      []WatcherOutput
}

// NewWatcher returns a watcher; standing is what the user allowed it before.
func NewWatcher(standing Standing) *Watcher { return &Watcher{standing: standing} }

// Know gives a watcher that has not begun what the user sent to it before. Without the
// user's leave it is not told.
func (w *Watcher) Know(now Document, place *Place) {
	if w.standing == Granted {
		w.now, w.place = now, place
	}
}

// Step takes one input and returns what to do. What has no place is ignored.
func (w *Watcher) Step(in WatcherInput) []WatcherOutput {
	if w.over {
		return nil
	}
	switch in := in.(type) {
	case Begun:
		w.begun(in.Expires)
	case Refreshed:
		w.refreshed(in.Expires)
	case Approved:
		w.approved()
	case Barred:
		w.barred()
	case Nobody:
		if w.standing == None {
			w.end("noresource")
		}
	case Seen:
		w.seen(in.State)
	case Moved:
		w.moved(in.Place)
	case Lost:
		w.leave()
	case Shut:
		w.end("deactivated")
	case WatcherFired:
		w.fired(in.Timer)
	}
	out := w.out
	w.out = nil
	return out
}

func (w *Watcher) emit(o ...WatcherOutput) { w.out = append(w.out, o...) }

func (w *Watcher) begun(expires time.Duration) {
	switch {
	case w.standing == Denied:
		w.over = true
		w.emit(Answer{Status: 403}, Ended{})
		return
	case expires == 0:
		w.poll = true
	case expires < MinExpires:
		w.over = true
		w.emit(Answer{Status: 423, Expires: MinExpires}, Ended{})
		return
	}
	w.left = min(expires, Hour)
	w.emit(Answer{Status: 200, Expires: w.left})
	if !w.poll {
		w.emit(Start{Lapse, w.left})
	}
	switch {
	case w.poll:
		w.emit(Look{}, Start{Polled, PollAnswer})
	case w.standing == Granted:
		w.emit(Look{})
		w.notify()
	default:
		w.emit(Ask{})
		w.notify()
	}
}

func (w *Watcher) refreshed(expires time.Duration) {
	if expires == 0 {
		w.left = 0
		w.emit(Answer{Status: 200})
		w.end("timeout")
		return
	}
	if expires < MinExpires {
		w.emit(Answer{Status: 423, Expires: MinExpires})
		return
	}
	w.left = min(expires, Hour)
	w.emit(Answer{Status: 200, Expires: w.left}, Start{Lapse, w.left})
	w.notify() // the whole state (RFC 6665 section 4.2.1.2)
}

func (w *Watcher) approved() {
	if w.standing == Granted {
		return
	}
	w.standing = Granted
	w.emit(Remember{Granted})
	if !w.poll {
		w.notify()
	}
}

func (w *Watcher) barred() {
	w.standing = Denied
	w.emit(Remember{Denied})
	w.now, w.closing, w.place = nil, nil, nil
	w.end("rejected")
}

// moved tells the watcher where the user is, with what else is so.
func (w *Watcher) moved(place *Place) {
	if w.standing == Denied || w.place.Same(place) {
		return
	}
	w.place = place
	if w.standing == Granted && !w.poll && w.told {
		w.due()
	}
}

func (w *Watcher) seen(s State) {
	if w.standing == Denied {
		return
	}
	before := w.now
	if !s.Open && slices.ContainsFunc(w.now, func(o State) bool { return o.Device == s.Device }) {
		w.closing = append(slices.DeleteFunc(w.closing, func(o State) bool { return o.Device == s.Device }), State{Device: s.Device, Since: s.Since})
	}
	w.now = w.now.Put(s)
	if s.Open {
		w.closing = slices.DeleteFunc(w.closing, func(o State) bool { return o.Device == s.Device })
	}
	switch {
	case w.poll:
		w.end("timeout")
	case w.standing == Granted && (len(Changes(before, w.now)) > 0 || !w.told):
		w.due()
	}
}

// due notifies now, or as soon as it is not too lately.
func (w *Watcher) due() {
	if w.paced {
		w.owed = true
		return
	}
	w.notify()
}

// document is all that the watcher may see: devices that are gone are said to be so once.
func (w *Watcher) document() Document {
	d := slices.Concat(w.now, w.closing)
	w.closing = nil
	if len(d) == 0 {
		return Document{{}}
	}
	slices.SortFunc(d, byDevice)
	return d
}

// where is the place that goes with what is so now: of whom nobody sees a device, it is not told.
func (w *Watcher) where() *Place {
	if !w.now.Open() || w.place.Empty() {
		return nil
	}
	return w.place
}

func (w *Watcher) notify() {
	n := Notify{State: "pending", Left: w.left}
	if w.standing == Granted {
		n.State = "active"
		w.told = true
		if n.Holds = len(w.now) > 0 || len(w.closing) > 0; n.Holds {
			n.Now = w.document()
			n.Place = w.where()
		}
	}
	w.owed, w.paced = false, true
	w.emit(n, Start{Paced, Pace})
}

// end is the last notification, and the end.
func (w *Watcher) end(reason string) {
	n := Notify{State: "terminated", Reason: reason}
	switch {
	case w.standing != Granted:
	case w.poll:
		n.Place = w.where()
		n.Holds, n.Now = true, w.document()
	case reason == "timeout":
		n.Holds, n.Now = true, Document{{}}
	}
	w.emit(n)
	w.leave()
}

// leave tells the user that the watcher is gone, without taking back what was allowed.
func (w *Watcher) leave() {
	w.over = true
	w.emit(Halt{Lapse}, Halt{Paced}, Halt{Polled})
	if w.standing == Granted && !w.poll {
		w.emit(Leave{})
	}
	w.emit(Ended{})
}

func (w *Watcher) fired(t WatcherTimer) {
	switch t {
	case Lapse:
		if !w.poll {
			w.end("timeout")
		}
	case Paced:
		w.paced = false
		if w.owed {
			w.notify()
		}
	case Polled:
		if w.poll {
			w.end("timeout")
		}
	}
}
