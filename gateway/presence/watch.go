package presence

import "time"

// A WatchInput is what happens to a watch.
type WatchInput interface{ watchInput() }

type (
	// Wished says that the user asks to see the contact (subscribe).
	Wished struct{}
	// Unwished says that the user does not any more (unsubscribe).
	Unwished struct{}
	// Online says whether the user is there, as a probe or a presence tells.
	Online struct{ There bool }
	// Asked says that the user's server wants to know what is known (probe).
	Asked struct{}
	// Opened says that the user lets the contact see, too (subscribed). Servers hand what a user
	// publishes (XEP-0163) to contacts alone whose presence came after that.
	Opened struct{}
	// Accepted is a 2xx to our SUBSCRIBE.
	Accepted struct{ Expires time.Duration }
	// Refused is another final response; Status is 0 if none came.
	Refused struct {
		Status int
		Least  time.Duration // Min-Expires
		Later  time.Duration // Retry-After
	}
	// Notified is a NOTIFY.
	Notified struct {
		State   string        // active, pending or terminated; others count as active (RFC 6665 section 4.1.3)
		Reason  string        // of terminated
		Later   time.Duration // retry-after
		Expires time.Duration // 0 if it does not say
		Holds   bool          // it has a document
		Now     Document      // that
		Place   *Place        // where the contact is, if the document says so to the user
	}
	// Resumed says that the watch was made from what the store had kept.
	Resumed struct{}
	// WatchFired says that the watch's timer has run out.
	WatchFired struct{}
)

func (Wished) watchInput()     {}
func (Unwished) watchInput()   {}
func (Online) watchInput()     {}
func (Asked) watchInput()      {}
func (Opened) watchInput()     {}
func (Accepted) watchInput()   {}
func (Refused) watchInput()    {}
func (Notified) watchInput()   {}
func (Resumed) watchInput()    {}
func (WatchFired) watchInput() {}

// A WatchOutput is what a watch wants done, in order.
type WatchOutput interface{ watchOutput() }

type (
	// Subscribe sends a SUBSCRIBE: in the dialog there is or, with New, in one of its own.
	Subscribe struct {
		New     bool
		Expires time.Duration // 0 ends it
	}
	// Allow tells the user that the contact may be seen (subscribed).
	Allow struct{}
	// Disallow tells the user that it may not, or no more (unsubscribed).
	Disallow struct{}
	// Tell tells the user what has changed.
	Tell struct{ States []State }
	// Locate tells the user where the contact is; nil if that is not known any more.
	Locate struct{ Place *Place }
	// Probe asks whether the user is there.
	Probe struct{}
	// Wait starts the timer anew, Stop ends it.
	Wait struct{ After time.Duration }
	Stop struct{}
	// Keep has the standing stored; None has it forgotten.
	Keep struct{ Standing Standing }
	// Over says that nothing is left of the watch.
	Over struct{}
)

func (Subscribe) watchOutput() {}
func (Allow) watchOutput()     {}
func (Disallow) watchOutput()  {}
func (Tell) watchOutput()      {}
func (Locate) watchOutput()    {}
func (Probe) watchOutput()     {}
func (Wait) watchOutput()      {}
func (Stop) watchOutput()      {}
func (Keep) watchOutput()      {}
func (Over) watchOutput()      {}

// presence is what is known of whether the user is there.
type presence uint8

const (
	unknown presence = iota
	there
	away
)

// A Watch is an XMPP user's subscription to a SIP contact (INTERWORKING 4.2). It is not safe
// for concurrent use.
type Watch struct {
	standing Standing
	user     presence
	known    Document      // of the contact, as the user was told
	place    *Place        // the same
	expires  time.Duration // that is asked for
	dialog   bool          // there is a subscription at the contact's side
	asked    bool          // a SUBSCRIBE is under way
	leaving  bool
	anew     bool // wished again before the end, which comes first
	over     bool
	briefs   int // in a row that were too brief
	again    int // subscriptions in a row that ended at once
	failures int // in a row
	out      []WatchOutput
}

// NewWatch returns a watch with a standing that the store kept, or None.
func NewWatch(s Standing) *Watch {
	w := &Watch{standing: s, expires: Hour}
	if s == Synthetic {
		w.known = synthetic
	}
	return w
}

// synthetic is what is said of a contact without presence of its own, so that it can be called.
var synthetic = Document{{Open: true}}

// Standing returns how it stands; one that ends first, and then begins anew, is pending.
func (w *Watch) Standing() Standing {
	if w.anew {
		return Pending
	}
	return w.standing
}

// Known returns what the user was told of the contact.
func (w *Watch) Known() Document { return w.known }

// Place returns where the user was told that the contact is; nil for nowhere.
func (w *Watch) Place() *Place { return w.place }

// Step takes one input and returns what to do. What has no place is ignored.
func (w *Watch) Step(in WatchInput) []WatchOutput {
	if w.over {
		return nil
	}
	switch in := in.(type) {
	case Wished:
		w.wished()
	case Unwished:
		w.unwished()
	case Online:
		w.online(in.There)
	case Asked:
		w.probed()
	case Opened:
		if (w.standing == Granted || w.standing == Synthetic) && len(w.known) > 0 {
			w.emit(Tell{w.known})
		}
	case Accepted:
		w.accepted(in)
	case Refused:
		w.refused(in)
	case Notified:
		w.notified(in)
	case Resumed:
		if w.alive() {
			w.emit(Probe{})
		}
	case WatchFired:
		w.fired()
	}
	out := w.out
	w.out = nil
	return out
}

func (w *Watch) emit(o ...WatchOutput) { w.out = append(w.out, o...) }

// alive reports whether the contact is to be asked at all.
func (w *Watch) alive() bool { return !w.leaving && (w.standing == Pending || w.standing == Granted) }

func (w *Watch) stand(s Standing) {
	if w.standing != s {
		w.standing = s
		w.emit(Keep{s})
	}
}

func (w *Watch) subscribe() {
	w.asked = true
	w.emit(Subscribe{New: !w.dialog, Expires: w.expires})
}

// tell tells the user what is new in now.
func (w *Watch) tell(now Document) {
	if changed := Changes(w.known, now); len(changed) > 0 {
		w.emit(Tell{changed})
	}
	w.known = now
	if len(now) == 0 {
		w.locate(nil)
	}
}

// locate tells where the contact is, if that is new.
func (w *Watch) locate(now *Place) {
	if !w.place.Same(now) {
		w.place = now
		w.emit(Locate{now})
	}
}

// repeat tells all that is known.
func (w *Watch) repeat() {
	if len(w.known) > 0 {
		w.emit(Tell{w.known})
	} else {
		w.emit(Tell{[]State{{}}})
	}
}

func (w *Watch) wished() {
	w.user = there
	switch {
	case w.leaving:
		w.renew(true)
	case w.standing == Granted || w.standing == Synthetic:
		w.emit(Allow{})
		w.repeat()
	case w.standing == Pending && (w.dialog || w.asked):
	default:
		w.stand(Pending)
		w.failures, w.briefs, w.again = 0, 0, 0
		if !w.asked { // else what comes of the last one decides
			w.subscribe()
		}
	}
}

func (w *Watch) unwished() {
	if w.leaving {
		w.renew(false)
		return
	}
	w.stand(None)
	w.leaving = true
	if !w.dialog && !w.asked {
		w.finish()
		return
	}
	w.emit(Subscribe{New: !w.dialog, Expires: 0}, Wait{Grace})
	w.asked = true
}

// renew says whether the end is to be followed by a new beginning. It outlives the process, for
// the user's server does not ask twice.
func (w *Watch) renew(anew bool) {
	if w.anew != anew {
		w.anew = anew
		w.emit(Keep{w.Standing()})
	}
}

// finish is the end of a watch that the user does not wish any more.
func (w *Watch) finish() {
	if w.anew { // what would be unsubscribed is the new wish
		w.emit(Stop{})
		w.tell(nil)
		*w = Watch{expires: Hour, out: w.out}
		w.wished()
		return
	}
	w.over = true
	w.emit(Stop{}, Disallow{})
	w.tell(nil)
	w.emit(Over{})
}

func (w *Watch) online(here bool) {
	if !here {
		w.user = away // what there is may run out
		return
	}
	before := w.user
	w.user = there
	switch {
	case !w.alive():
		if w.standing == Synthetic && before != there {
			w.repeat()
		}
	case !w.dialog && !w.asked:
		w.subscribe()
	case before != there && len(w.known) > 0:
		w.repeat()
	}
}

func (w *Watch) probed() {
	switch w.Standing() {
	case Granted, Synthetic:
		w.repeat()
		w.user = there // so that it is not told twice
		w.online(true)
	case Pending:
		w.online(true)
	case None, Denied:
		w.emit(Disallow{})
	}
}

func (w *Watch) accepted(a Accepted) {
	if !w.asked {
		return
	}
	w.asked = false
	if w.leaving {
		w.finish()
		return
	}
	if !w.alive() {
		return // refused by a notification meanwhile
	}
	w.dialog = true
	w.failures, w.briefs = 0, 0
	w.refreshIn(a.Expires)
}

// refreshIn starts the timer for the next SUBSCRIBE, well before the subscription ends.
func (w *Watch) refreshIn(expires time.Duration) {
	if expires > 0 {
		w.emit(Wait{refreshAfter(expires)})
	}
}

func (w *Watch) refused(r Refused) {
	if !w.asked {
		return
	}
	w.asked = false
	if w.leaving {
		w.finish()
		return
	}
	if !w.alive() {
		return
	}
	switch r.Status {
	case 401, 403, 404, 407, 410, 489, 603, 604:
		w.deny()
	case 405, 501:
		w.dialog = false
		w.stand(Synthetic)
		w.emit(Stop{}, Allow{})
		w.tell(synthetic)
	case 423:
		if w.briefs < 2 && r.Least > w.expires && r.Least <= MaxLater {
			w.briefs++
			w.expires = r.Least
			w.subscribe()
			return
		}
		w.retry(r.Later)
	case 481:
		had := w.dialog
		w.dialog = false
		if had {
			w.subscribe()
			return
		}
		w.retry(r.Later)
	default:
		w.dialog = false
		w.retry(r.Later)
	}
}

// retry asks again later, longer each time.
func (w *Watch) retry(later time.Duration) {
	w.briefs = 0
	w.failures++
	if w.failures >= Unseen {
		w.tell(nil) // nobody knows any more
	}
	w.emit(Wait{retryAfter(w.failures, later)})
}

// deny is a refusal for good.
func (w *Watch) deny() {
	w.dialog = false
	w.stand(Denied)
	w.emit(Stop{}, Disallow{})
	w.tell(nil)
}

func (w *Watch) notified(n Notified) {
	if n.State == "terminated" {
		w.terminated(n)
		return
	}
	if w.leaving || w.standing == Denied {
		return
	}
	w.dialog = true
	w.again = 0
	w.refreshIn(n.Expires)
	if n.State == "pending" {
		return // the user is told nothing (RFC 8048 section 5.2.1)
	}
	if w.standing != Granted {
		w.stand(Granted)
		w.emit(Allow{})
	}
	if n.Holds {
		w.tell(n.Now)
		w.locate(n.Place)
	}
}

func (w *Watch) terminated(n Notified) {
	w.dialog = false
	if w.leaving {
		if !w.asked { // else its answer ends it
			w.finish()
		}
		return
	}
	if !w.alive() {
		return
	}
	if n.Holds && w.standing == Granted {
		w.tell(n.Now)
		w.locate(n.Place)
	}
	switch n.Reason {
	case "rejected", "noresource":
		w.deny()
	case "invariant":
		w.emit(Stop{}) // it will not change
	case "probation":
		w.emit(Wait{later(n.Later, Probation)})
	case "giveup":
		w.emit(Wait{later(n.Later, GivenUp)})
	default: // deactivated, timeout, and what is not known (RFC 6665 section 4.1.3)
		w.again++
		switch {
		case w.asked:
		case n.Later > 0:
			w.emit(Wait{min(n.Later, MaxLater)})
		case w.again > 2:
			w.retry(0)
		case w.user == there || n.Reason == "deactivated":
			w.subscribe()
		default:
			w.emit(Stop{}) // until the user comes
		}
	}
}

func later(asked, def time.Duration) time.Duration {
	if asked > 0 {
		return min(asked, MaxLater)
	}
	return def
}

func (w *Watch) fired() {
	switch {
	case w.leaving:
		w.finish()
	case !w.alive() || w.asked:
	case w.user == there:
		w.subscribe()
	case w.user == unknown:
		w.emit(Probe{}) // refresh for those alone who are there (RFC 8048 section 8)
	default:
		w.dialog = false // it runs out
	}
}
