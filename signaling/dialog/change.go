package dialog

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A change is a re-INVITE under way, ours or the peer's, or an UPDATE with an offer of the
// peer's; there is one at a time (RFC 3261 section 14, RFC 3311 section 5).
type change struct {
	state   changeState
	update  bool // it is an UPDATE
	id      int  // ours: of the Send; the peer's: of the Request
	cseq    uint32
	offer   media.Description
	tries   int
	body    Body   // the peer's offer
	contact string // the peer's, to be taken when it is answered
	session Session
	refresh bool               // ours changes nothing, and the call does not know of it
	after   *media.Description // what the call wants changed meanwhile
}

// settled is our last change that had an answer, and its ACK.
type settled struct {
	id  int
	ack Send
}

type changeState uint8

const (
	none           changeState = iota
	sent                       // ours has no final response
	waiting                    // ours got 491 and will be tried again
	received                   // the peer's waits for our answer
	unacknowledged             // our answer waits for its ACK
)

// maxTries is how often a change is tried that gets 491 (INTERWORKING 2.10).
const maxTries = 4

// update offers the peer a change.
func (d *Dialog) update(offer media.Description) {
	switch {
	case d.end != nil || d.state < unconfirmed || d.state > confirmed:
	case d.change.refresh && (d.change.state == sent || d.change.state == waiting):
		d.change.after = &offer
	case d.state == confirmed && d.change.state == unacknowledged: // the ACK is on its way
		d.change.after = &offer
	case d.state == unconfirmed || d.change.state != none:
		d.event(call.LegRefused{Side: d.side, Cause: call.Conflict})
	default:
		d.change = change{offer: offer}
		d.sendChange()
	}
}

func (d *Dialog) sendChange() {
	d.change.state = sent
	d.change.tries++
	s := d.next("INVITE")
	s.Media, s.Session = d.change.offer, d.proposed()
	d.change.id, d.change.cseq = s.ID, s.CSeq
	d.emit(s)
}

func (d *Dialog) changeResponse(r Response) {
	if r.Status/100 == 2 {
		d.changeSuccess(r)
		return
	}
	if r.Status < 200 {
		return
	}
	d.change.state = none
	switch {
	case d.state != confirmed:
	case r.Status == 481 || r.Status == 408:
		d.fail(ending{r.Cause, r.Detail}) // the peer has lost the call (RFC 3261 section 14.1)
	case r.Status == 491 && d.change.tries < maxTries:
		d.change.state = waiting
		d.waitForRetry()
	case d.tooBrief(r):
		d.sendChange()
	case d.change.refresh:
		d.notRefreshed(r.Status)
		d.refreshed(d.change.after)
	case r.Status == 491:
		d.event(call.LegRefused{Side: d.side, Cause: call.Conflict})
	default:
		d.event(call.LegRefused{Side: d.side, Cause: r.Cause})
	}
}

// changeSuccess acknowledges the answer to our change, whatever has become of the dialog.
func (d *Dialog) changeSuccess(r Response) {
	d.change.state = none
	d.retarget(r.Contact)
	d.settled = settled{
		id:  r.ID,
		ack: Send{Method: "ACK", CSeq: d.change.cseq, Tag: d.tag, Target: d.target, Route: d.route},
	}
	d.emit(d.settled.ack)
	if d.state != confirmed {
		return
	}
	d.learn(r.Allow)
	d.agree(r.Session)
	if d.change.refresh {
		d.answered = false
		if r.Body.usable() && r.Body.Text != d.remote {
			d.remote = r.Body.Text
			d.event(call.LegOffered{Side: d.side, Media: r.Body.Media})
		}
		d.refreshed(d.change.after)
		return
	}
	if !r.Body.usable() {
		d.event(call.LegRefused{Side: d.side, Cause: call.Incompatible})
		return
	}
	d.local, d.answered = d.change.offer, false
	d.remote = r.Body.Text
	d.event(call.LegUpdated{Side: d.side, Media: r.Body.Media})
}

// waitForRetry waits as RFC 3261 section 14.1 says: the owner of the Call-ID gives way.
func (d *Dialog) waitForRetry() {
	s := Start{Timer: TimerRetry, Spread: 2 * time.Second}
	if d.uac {
		s.After, s.Spread = 2100*time.Millisecond, 1900*time.Millisecond
	}
	d.running[TimerRetry] = true
	d.emit(s)
}

func (d *Dialog) retry() {
	if d.resting && d.state == calling {
		d.invites()
		return
	}
	if d.state == confirmed && d.change.state == waiting {
		d.sendChange()
	}
}

// changeRequest takes a re-INVITE of the peer.
func (d *Dialog) changeRequest(r Request) {
	switch {
	case d.pending():
		d.emit(Reply{ID: r.ID, Status: 500, Later: true}) // RFC 3261 section 14.2
		return
	case d.state != confirmed:
		d.reply(r, 491) // ours, or our answer to theirs, is not settled
		return
	case d.change.state == sent || d.change.state == unacknowledged:
		d.reply(r, 491)
		return
	case d.change.state == received:
		d.emit(Reply{ID: r.ID, Status: 500, Later: true}) // RFC 3261 section 14.2
		return
	case r.Session.TooBrief():
		d.reply(r, 422)
		return
	case r.Body.Status != 0:
		d.reply(r, r.Body.Status)
		return
	}
	d.takeChange(r)
}

// updateRequest takes an UPDATE of the peer: a new target, and perhaps an offer (C-22).
func (d *Dialog) updateRequest(r Request) {
	switch {
	case r.Session.TooBrief():
		d.reply(r, 422)
	case r.Body.Status != 0:
		d.reply(r, r.Body.Status)
	case r.Body.Text == "":
		reply := Reply{ID: r.ID, Status: 200}
		switch {
		case d.state != calling:
			d.retarget(r.Contact)
			d.learn(r.Allow)
			reply.Session = d.granted(r.Session)
		case !d.uac: // of several early dialogs of ours none has the target yet
			d.retarget(r.Contact)
		}
		d.emit(reply)
	case d.pending() && d.reliable.answer != nil && r.Body.Text == d.remote:
		d.emit(Reply{ID: r.ID, Status: 200, Media: *d.reliable.answer})
	case d.pending() || d.change.state == received:
		d.emit(Reply{ID: r.ID, Status: 500, Later: true}) // their offer has no answer yet
	case d.state != confirmed || d.change.state == sent || d.change.state == unacknowledged:
		d.reply(r, 491) // ours has none
	default:
		d.takeChange(r)
	}
}

// takeChange hands the peer's offer to the call.
func (d *Dialog) takeChange(r Request) {
	if d.change.state == waiting {
		// Theirs came first after all; ours would wait for nothing.
		d.stop(TimerRetry)
		if !d.change.refresh || d.change.after != nil {
			d.event(call.LegRefused{Side: d.side, Cause: call.Conflict})
		}
	}
	d.learn(r.Allow)
	d.change = change{
		state: received, session: r.Session, update: r.Method == "UPDATE", id: r.ID, cseq: r.CSeq, body: r.Body, contact: r.Contact,
	}
	switch {
	case r.Body.Text == "", r.Body.Text == d.remote && d.answered:
		d.answerChange(d.local) // nothing changes, or ours is the offer again
	case r.Body.Media.Empty():
		d.change.state = none
		d.reply(r, 488)
	default:
		d.event(call.LegOffered{Side: d.side, Media: r.Body.Media})
	}
}

func (d *Dialog) answerChange(m media.Description) {
	d.retarget(d.change.contact)
	r := Reply{ID: d.change.id, Status: 200, Media: m, Session: d.granted(d.change.session)}
	if d.change.update {
		d.change.state = none
		d.emit(r)
		return
	}
	d.change.state = unacknowledged
	d.sendSuccess(d.change.cseq, r)
}

func (d *Dialog) answerUpdate(m media.Description) {
	if d.state != confirmed || d.change.state != received {
		return
	}
	if m.Empty() {
		d.refuseUpdate(call.Incompatible)
		return
	}
	d.local, d.answered = m, true
	d.remote = d.change.body.Text
	d.answerChange(m)
}

func (d *Dialog) refuseUpdate(cause call.Cause) {
	if d.state != confirmed || d.change.state != received {
		return
	}
	d.change.state = none
	r := Reply{ID: d.change.id, Cause: cause}
	if cause == call.Conflict {
		r.Status = 491
	}
	d.emit(r)
}

// changeConfirmed takes the ACK of our 200 to a change. If ours was the offer, it has
// the answer, which the call learns as a new offer when it differs from what was.
func (d *Dialog) changeConfirmed(ack Request) {
	d.change.state = none
	if d.change.body.Text == "" {
		d.answered = false
		if ack.Body.usable() && ack.Body.Text != d.remote {
			d.remote = ack.Body.Text
			d.event(call.LegOffered{Side: d.side, Media: ack.Body.Media})
		}
	}
	if after := d.change.after; after != nil {
		d.update(*after)
	}
}

// abandonChange forgets a change when the dialog ends. A request of the peer has its
// answer all the same.
func (d *Dialog) abandonChange() {
	d.stop(TimerRetry)
	if d.change.state == received {
		d.emit(Reply{ID: d.change.id, Status: 487, Cause: call.Normal})
	}
	if d.change.state != sent {
		d.change.state = none
	}
}
