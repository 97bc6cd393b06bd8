package dialog

import (
	"slices"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// What we want of a session timer (INTERWORKING 2.8), in seconds.
const (
	usualSession   = 1800
	MinSession     = 90 // below it the peer is answered 422
	longestSession = 24 * 3600
)

// postponed is when a refresh is tried again that could not be made, or was refused for now.
const postponed = 10 * time.Second

// A Refresher is who refreshes a session: of the request that it stands in or answers, the
// client or the server (RFC 4028 section 4).
type Refresher string

// The refreshers. Where nothing is said, the server chooses.
const (
	UAC Refresher = "uac"
	UAS Refresher = "uas"
)

// A Session is what a message says of the session timer. The zero value is nothing.
type Session struct {
	Expires   int // seconds; 0 if nothing is said
	Refresher Refresher
	Min       int  // Min-SE, seconds; 0 if nothing is said
	Timer     bool // the sender knows of session timers
}

// TooBrief reports whether a session is refused with 422: its interval is below ours, and
// the peer can do something about it (RFC 4028 section 9).
func (s Session) TooBrief() bool { return s.Timer && s.Expires > 0 && s.Expires < MinSession }

// session is the session timer that runs.
type session struct {
	interval int  // seconds; 0 if the session does not expire
	ours     bool // we refresh
	min      int  // the largest Min-SE that we were told
	tries    int  // 422 in a row
	id       int  // of the UPDATE under way
	updates  bool // the peer takes UPDATE
}

// learn takes what the peer says that it allows; nil is nothing.
func (d *Dialog) learn(allow []string) {
	if allow != nil {
		d.session.updates = slices.Contains(allow, "UPDATE")
		d.messages = slices.Contains(allow, "MESSAGE")
	}
}

// proposed is what our INVITE or UPDATE says.
func (d *Dialog) proposed() Session {
	s := Session{Expires: max(usualSession, d.session.min), Min: max(MinSession, d.session.min), Timer: true}
	if d.session.interval > 0 {
		s.Expires = max(d.session.interval, d.session.min)
		s.Refresher = UAS
		if d.session.ours {
			s.Refresher = UAC
		}
	}
	return s
}

// agree takes what a 2xx to a request of ours says. A peer that says nothing knows no
// timers; whom we refresh already, we go on to.
func (d *Dialog) agree(s Session) {
	d.session.tries = 0
	switch {
	case s.Expires > 0:
		d.session.interval = min(max(s.Expires, MinSession), longestSession)
		d.session.ours = s.Refresher != UAS
	case !d.session.ours:
		d.session.interval = 0
	}
	d.startSession()
}

// granted is what our 2xx to a request of the peer says: its interval and its refresher, if
// it names any. Who refreshes does not change by itself; at first it is the peer, if it can.
func (d *Dialog) granted(s Session) Session {
	g := Session{Expires: usualSession, Refresher: s.Refresher, Timer: s.Timer}
	if s.Expires > 0 {
		g.Expires = s.Expires
	}
	g.Expires = min(max(g.Expires, s.Min, MinSession), longestSession)
	if g.Refresher == "" {
		g.Refresher = UAS
		if d.session.interval > 0 && !d.session.ours || d.session.interval == 0 && s.Timer {
			g.Refresher = UAC
		}
	}
	d.session.interval, d.session.ours = g.Expires, g.Refresher == UAS
	d.startSession()
	return g
}

// startSession starts the timer anew: at half of the interval we refresh, or, some time
// before its end, we miss the refresh of the peer (RFC 4028 section 10).
func (d *Dialog) startSession() {
	interval := time.Duration(d.session.interval) * time.Second
	switch {
	case interval == 0:
		d.stop(TimerSession)
	case d.session.ours:
		d.start(TimerSession, interval/2)
	default:
		d.start(TimerSession, interval-min(patient, interval/3))
	}
}

func (d *Dialog) sessionFired() {
	switch {
	case d.state != confirmed || d.end != nil:
	case d.session.ours:
		d.refresh()
	default:
		d.fail(ending{call.Timeout, call.Detail{Status: 408}})
	}
}

// refresh asks whether the peer is still there: by an UPDATE without SDP, or by a re-INVITE
// that changes nothing.
func (d *Dialog) refresh() {
	switch {
	case d.change.state != none:
		d.start(TimerSession, postponed) // a change refreshes, too
	case d.session.updates:
		s := d.next("UPDATE")
		s.Session = d.proposed()
		d.session.id = s.ID
		d.emit(s)
	default:
		d.change = change{offer: d.local, refresh: true}
		d.sendChange()
	}
}

// refreshResponse takes the answer to our UPDATE.
func (d *Dialog) refreshResponse(r Response) {
	if r.Status < 200 {
		return
	}
	d.session.id = 0
	switch {
	case d.state != confirmed:
	case r.Status < 300:
		d.retarget(r.Contact)
		d.agree(r.Session)
	case r.Status == 481 || r.Status == 408:
		d.fail(ending{r.Cause, r.Detail})
	case r.Status == 405 || r.Status == 501:
		d.session.updates = false
		d.refresh()
	case d.tooBrief(r):
		d.refresh()
	default:
		d.notRefreshed(r.Status)
	}
}

// notRefreshed goes on after a refusal: a peer that could not now is asked again soon, and
// one that will not is there all the same.
func (d *Dialog) notRefreshed(status int) {
	switch status {
	case 491, 500, 503, 504:
		d.start(TimerSession, postponed)
	default:
		d.startSession()
	}
}

// tooBrief takes a 422; it is true if the request is to be sent again (C-28).
func (d *Dialog) tooBrief(r Response) bool {
	s := &d.session
	if r.Status != 422 || r.Session.Min <= s.min || r.Session.Min > longestSession || s.tries == maxTries {
		return false
	}
	s.min = r.Session.Min
	s.tries++
	return true
}

// refreshed ends a refresh by re-INVITE, whatever became of it: a change that the call
// wanted meanwhile has its turn.
func (d *Dialog) refreshed(after *media.Description) {
	if after != nil && d.state == confirmed && d.change.state == none {
		d.update(*after)
	}
}
