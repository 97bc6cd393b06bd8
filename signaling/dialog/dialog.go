// Package dialog is one INVITE dialog of SIP, as the side that calls (UAC) or the one that
// is called (UAS): a pure state machine. Inputs go in; outputs, which the edge carries out,
// and events, which the call understands, come out. It does no I/O, reads no clock and
// draws no random number.
//
// What belongs to a transaction is not here: retransmissions of requests and of their
// final responses, the 200 to a CANCEL, the ACK to a final response other than 2xx. What
// RFC 3261 leaves to the user of transactions is: the 2xx and its ACK, forks, the CANCEL
// that may not be sent before a provisional response, and what crosses what.
//
// A dialog goes on after LegEnded where a peer may still speak: a late 2xx is acknowledged
// and ended by BYE. Done comes when nothing more can come.
package dialog

import (
	"slices"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// The times of RFC 3261, in the order of the appendix, and ours.
const (
	t1      = 500 * time.Millisecond
	t2      = 4 * time.Second
	patient = 64 * t1 // for an ACK, and for late forks

	trying  = 180 * time.Second // Timer C (section 16.6)
	refresh = 60 * time.Second  // of a provisional response (section 13.3.1.1)
)

// Bounds on what a peer can make us remember.
const (
	maxEarly = 32 // early dialogs of one INVITE
	maxForks = 16 // forks that answered too late
	maxAgain = 16 // times that the first INVITE is sent again
)

type state uint8

const (
	idle        state = iota // UAC: nothing sent yet
	calling                  // the INVITE has no final response
	unconfirmed              // UAS: the 2xx has no ACK
	confirmed
	handed  // the peer sent us on to someone else, and is to hang up
	leaving // BYE was sent
	over
)

// An ending is why a dialog ends.
type ending struct {
	cause  call.Cause
	detail call.Detail
}

// A Dialog is one INVITE dialog. It is not safe for concurrent use.
type Dialog struct {
	side  call.Side
	uac   bool // we sent the INVITE: we own the Call-ID
	state state

	tag    string // the peer's
	target string // the peer's Contact
	route  []string
	cseq   uint32 // of our last request
	peer   uint32 // CSeq of the peer's last request
	spoke  bool   // peer is set
	ids    int    // the last ID given out

	invite uint32 // CSeq of the INVITE
	id     int    // its ID, ours or the edge's
	byeID  int

	local    media.Description // what we said last
	remote   string            // Text of what the peer said last
	answered bool              // local answers remote

	uacState
	uasState
	change  change
	settled settled
	awaited ackState
	digits  digits
	picture picture
	session session
	refer   refer
	probing int // ID of the OPTIONS under way; 0 if none

	messages bool // the peer takes them in the dialog
	said     int  // ID of the last one of ours; 0 if it is answered

	end     *ending // set once we or the call want it over
	ended   bool    // LegEnded was reported
	done    bool
	running [timers]bool

	out    []Output
	events []call.Event
}

// Step takes one input. It returns what to do, in order, and what it means to the call.
func (d *Dialog) Step(in Input) ([]Output, []call.Event) {
	if d.done {
		return nil, nil
	}
	switch in := in.(type) {
	case Request:
		d.request(in)
	case Cancelled:
		d.cancelled(in)
	case Response:
		d.response(in)
	case Again:
		d.again(in)
	case Failure:
		d.failure(in)
	case Fired:
		d.fired(in.Timer)
	case End:
		d.endBy(in)
	default:
		d.command(in)
	}
	d.finish()
	out, events := d.out, d.events
	d.out, d.events = nil, nil
	return out, events
}

// command carries out a command; one that has no place in the state is ignored.
func (d *Dialog) command(in Input) {
	switch in := in.(type) {
	case Offer:
		switch {
		case d.state != idle:
		case in.Media.Empty():
			d.terminate(ending{cause: call.Incompatible}) // nothing to call with
		default:
			d.call(in.Media)
		}
	case Ring:
		if d.open() {
			d.provisional(180, media.Description{})
		}
	case Progress:
		if d.open() {
			d.provisional(183, in.Media)
		}
	case Answer:
		if d.open() {
			d.accept(in.Media)
		}
	case Update:
		d.update(in.Media)
	case AnswerUpdate:
		d.answerUpdate(in.Media)
	case RefuseUpdate:
		d.refuseUpdate(in.Cause)
	case Digit:
		d.digit(in.Digit)
	case Probe:
		d.probe(in.On)
	case Say:
		d.say(in)
	case Picture:
		d.askPicture()
	case Refer:
		d.sendRefer(in.To)
	case RefuseTransfer:
		d.refuseTransfer(in)
	}
}

// pending reports whether we have the peer's INVITE to answer.
func (d *Dialog) pending() bool { return !d.uac && d.state == calling }

// open is pending before the call has answered.
func (d *Dialog) open() bool { return d.pending() && !d.reliable.accepted }

// endBy is the call's wish to end, in whatever way the state has.
func (d *Dialog) endBy(in End) {
	if d.state == handed {
		d.hangUp()
		return
	}
	if d.end != nil || d.state == over {
		return
	}
	if in.Cause == call.Transferred {
		d.handOver(ending{in.Cause, in.Detail})
		return
	}
	why := ending{in.Cause, in.Detail}
	switch d.state {
	case idle:
		d.terminate(why)
	case calling:
		switch {
		case d.uac && d.resting:
			d.stop(TimerRetry)
			d.start(TimerForks, patient)
			d.terminate(why)
			return
		case d.uac:
			d.giveUp(why)
			return
		}
		d.emit(Reply{ID: d.id, Cause: why.cause, Detail: why.detail})
		d.terminate(why)
	case unconfirmed:
		// BYE has to wait for the ACK (RFC 3261 section 15).
		d.end = &why
		d.start(TimerClose, patient)
	case confirmed:
		d.bye(why)
	}
}

// bye ends a confirmed dialog; the end is reported when the peer has agreed.
func (d *Dialog) bye(why ending) {
	d.end = &why
	d.abandonRefer(why)
	d.abandonChange()
	for _, t := range []Timer{TimerResend, TimerAck, TimerSession} {
		d.stop(t)
	}
	d.state = leaving
	d.byeID = d.send("BYE", media.Description{}, why)
	d.start(TimerClose, patient)
}

// fail ends a confirmed dialog for a reason of its own, and reports it at once.
func (d *Dialog) fail(why ending) {
	d.bye(why)
	d.report(why)
}

// terminate closes the dialog.
func (d *Dialog) terminate(why ending) {
	if d.end != nil {
		why = *d.end // who wanted it first
	}
	d.end = &why
	d.abandonChange()
	d.state = over
	d.report(why)
}

// report tells the call of the end, once.
func (d *Dialog) report(why ending) {
	if d.ended {
		return
	}
	d.event(call.LegEnded{Side: d.side, Cause: why.cause, Detail: why.detail})
	d.ended = true
}

// finish says that the dialog can be forgotten, when it can.
func (d *Dialog) finish() {
	if d.state != over || d.done {
		return
	}
	for t := range timers {
		if t != TimerForks {
			d.stop(t)
		}
	}
	if !d.running[TimerForks] {
		d.done = true
		d.emit(Done{})
	}
}

// send sends a request inside the dialog and returns its ID.
func (d *Dialog) send(method string, m media.Description, why ending) int {
	s := d.next(method)
	s.Media, s.Cause, s.Detail = m, why.cause, why.detail
	d.emit(s)
	return s.ID
}

// next is a new request inside the dialog, to be filled in and sent.
func (d *Dialog) next(method string) Send {
	d.cseq++
	d.ids++
	return Send{ID: d.ids, Method: method, CSeq: d.cseq, Tag: d.tag, Target: d.target, Route: d.route}
}

// response takes a response of any of our requests.
func (d *Dialog) response(r Response) {
	switch {
	case d.uac && r.ID == d.id:
		d.inviteResponse(r)
	case d.attempts[r.ID] != 0:
		if r.Status/100 == 2 {
			d.straySuccess(r)
		}
	case d.change.state == sent && r.ID == d.change.id:
		d.changeResponse(r)
	case d.digits.id != 0 && r.ID == d.digits.id:
		d.digitResponse(r)
	case d.probing != 0 && r.ID == d.probing:
		d.probeResponse(r)
	case d.said != 0 && r.ID == d.said:
		d.saidResponse(r)
	case d.picture.id != 0 && r.ID == d.picture.id:
		d.pictureResponse(r)
	case d.refer.note != 0 && r.ID == d.refer.note:
		d.noteResponse(r)
	case d.refer.ours != 0 && r.ID == d.refer.ours:
		d.referResponse(r)
	case d.session.id != 0 && r.ID == d.session.id:
		d.refreshResponse(r)
	case r.ID == d.settled.id && r.Status/100 == 2:
		d.emit(d.settled.ack) // our ACK was lost
	case d.state == leaving && r.ID == d.byeID && r.Status >= 200:
		d.terminate(*d.end)
	}
}

// again sends a request once more.
func (d *Dialog) again(a Again) {
	switch id := a.Response.ID; {
	case d.uac && id == d.id && d.state == calling && d.end == nil && len(d.attempts) < maxAgain:
		d.retarget(a.Target)
		if !a.Media.Empty() {
			d.local = a.Media
		}
		d.invites()
	case id == d.change.id && d.change.state == sent && d.state == confirmed:
		d.sendChange()
	case id == d.digits.id && d.digits.id != 0 && d.state == confirmed:
		d.digits.id = 0
		d.sendDigit()
	case id == d.probing && d.probing != 0 && d.state == confirmed:
		d.probing = 0
		d.probe(true)
	case id == d.picture.id && id != 0 && d.state == confirmed:
		d.picture.id = 0
		d.askPicture()
	case id == d.session.id && d.session.id != 0 && d.state == confirmed:
		d.session.id = 0
		d.refresh()
	case id == d.refer.note && id != 0 && d.state < leaving:
		d.sendNote(d.refer.sent)
	case id == d.refer.ours && id != 0 && d.state == confirmed:
		d.askRefer()
	case id == d.byeID && d.state == leaving:
		d.byeID = d.send("BYE", media.Description{}, *d.end)
	default:
		d.response(a.Response)
	}
}

// failure takes the lack of one.
func (d *Dialog) failure(f Failure) {
	switch {
	case d.uac && f.ID == d.id:
		if d.state == calling {
			d.start(TimerForks, patient)
			d.terminate(ending{f.Cause, f.Detail})
		}
	case d.change.state == sent && f.ID == d.change.id:
		d.change.state = none
		if d.state == confirmed {
			d.fail(ending{f.Cause, f.Detail}) // as 408 (RFC 3261 section 12.2.1.2)
		}
	case d.digits.id != 0 && f.ID == d.digits.id:
		d.muteDigits()
	case d.probing != 0 && f.ID == d.probing:
		d.vanished()
	case d.said != 0 && f.ID == d.said:
		d.said = 0
	case d.picture.id != 0 && f.ID == d.picture.id:
		d.picture.id = 0
	case d.refer.note != 0 && f.ID == d.refer.note:
		d.unsubscribe()
	case d.refer.ours != 0 && f.ID == d.refer.ours:
		d.referred(false, f.Cause, f.Detail)
	case d.session.id != 0 && f.ID == d.session.id:
		d.session.id = 0
		if d.state == confirmed {
			d.fail(ending{f.Cause, f.Detail})
		}
	case d.state == leaving && f.ID == d.byeID:
		d.terminate(*d.end)
	}
}

func (d *Dialog) fired(t Timer) {
	if t >= timers || !d.running[t] {
		return
	}
	d.running[t] = false
	switch t {
	case TimerTrying:
		d.giveUp(ending{cause: call.NoAnswer})
	case TimerRefresh:
		d.provisional(d.last.Status, d.last.Media)
	case TimerResend:
		d.resend()
	case TimerAck:
		d.missingAck()
	case TimerRetry:
		d.retry()
	case TimerSession:
		d.sessionFired()
	case TimerReliable:
		d.resendReliable()
	case TimerHangUp:
		d.hangUp()
	case TimerRefer:
		d.referred(false, call.NoAnswer, call.Detail{})
	case TimerClose:
		if d.end != nil {
			d.report(*d.end)
		}
	}
}

func (d *Dialog) start(t Timer, after time.Duration) {
	d.running[t] = true
	d.emit(Start{Timer: t, After: after})
}

func (d *Dialog) stop(t Timer) {
	if d.running[t] {
		d.running[t] = false
		d.emit(Stop{t})
	}
}

func (d *Dialog) emit(o Output) { d.out = append(d.out, o) }

// event tells the call something, until it knows of the end.
func (d *Dialog) event(e call.Event) {
	if !d.ended {
		d.events = append(d.events, e)
	}
}

// retarget takes the peer's new Contact (RFC 3261 section 12.2).
func (d *Dialog) retarget(contact string) {
	if contact != "" {
		d.target = contact
	}
}

// backwards returns the route set of a response (RFC 3261 section 12.1.2).
func backwards(route []string) []string {
	route = slices.Clone(route)
	slices.Reverse(route)
	return route
}
