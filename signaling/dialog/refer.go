package dialog

import (
	"time"

	"sipxmppgw/gateway/call"
)

// hangUpAfter is how long the peer has to hang up when what its REFER asked for has succeeded
// (INTERWORKING 2.11).
const hangUpAfter = 10 * time.Second

// refer is the REFER that is under way, of the peer's or of ours; a dialog has one of each at
// most.
type refer struct {
	asked bool   // the peer's is being carried out
	wants bool   // it is told of it (RFC 3515 section 2.4.4)
	id    uint32 // CSeq of it, if it is not the first
	count int    // of the peer's so far
	note  int    // ID of the NOTIFY that has no response
	sent  Send   // that
	later *Send  // the NOTIFY that waits for it
	ours  int    // ID of our REFER
	to    call.Destination
	heard bool // it was accepted
}

// referRequest takes a REFER of the peer, and has the call carry it out.
func (d *Dialog) referRequest(r Request) {
	switch {
	case d.state != confirmed || d.refer.asked || d.refer.later != nil:
		d.reply(r, 491) // one thing at a time
		return
	case r.Refer == nil:
		d.reply(r, 400)
		return
	case r.Refer.Status != 0:
		d.reply(r, r.Refer.Status)
		return
	}
	d.refer.asked, d.refer.wants = true, r.Refer.Subscribe
	d.refer.id = 0
	if d.refer.count++; d.refer.count > 1 {
		d.refer.id = r.CSeq // RFC 3515 section 2.4.6
	}
	d.emit(Reply{ID: r.ID, Status: 200, Silent: !r.Refer.Subscribe})
	d.notify(Report{Status: 100}, ending{})
	d.event(call.LegTransfer{Side: d.side, To: r.Refer.To})
}

// notify tells the peer how its REFER stands, after what it was told before.
func (d *Dialog) notify(report Report, why ending) {
	if !d.refer.wants {
		return
	}
	report.ID = d.refer.id
	if report.Over {
		d.refer.wants = false
	}
	s := Send{Method: "NOTIFY", Report: &report, Cause: why.cause, Detail: why.detail}
	if d.refer.note != 0 {
		d.refer.later = &s
		return
	}
	d.sendNote(s)
}

func (d *Dialog) sendNote(s Send) {
	n := d.next(s.Method)
	n.Report, n.Cause, n.Detail = s.Report, s.Cause, s.Detail
	d.refer.note, d.refer.sent, d.refer.later = n.ID, s, nil
	d.emit(n)
}

// noteResponse takes the answer to a NOTIFY. A peer that does not know of its subscription
// hears no more of it.
func (d *Dialog) noteResponse(r Response) {
	switch {
	case r.Status < 200:
	case r.Status >= 300:
		d.unsubscribe()
	default:
		d.refer.note = 0
		if d.refer.later != nil {
			d.sendNote(*d.refer.later)
		}
	}
}

func (d *Dialog) unsubscribe() { d.refer.note, d.refer.later, d.refer.wants = 0, nil, false }

// refuseTransfer tells the peer what its REFER came to. The call goes on.
func (d *Dialog) refuseTransfer(in RefuseTransfer) {
	if !d.refer.asked {
		return
	}
	d.refer.asked = false
	report := Report{Over: true}
	if in.Cause == call.Normal {
		report.Status = 200
	}
	d.notify(report, ending{in.Cause, in.Detail})
}

// abandonRefer is for a dialog that we end while its REFER is being carried out.
func (d *Dialog) abandonRefer(why ending) {
	if !d.refer.asked {
		return
	}
	d.refer.asked = false
	if d.refer.note != 0 {
		d.refer.note = 0 // there will be no time to wait for it
	}
	d.notify(Report{Status: 487, Over: true}, why)
}

// handOver ends a dialog whose place in the call another has taken. The call has no use of it
// any more, so it reports its end at once and closes by itself: one that has sent us on by
// REFER is to hang up (RFC 5589 section 6.1), any other is hung up.
func (d *Dialog) handOver(why ending) {
	switch {
	case d.state == confirmed && d.refer.asked:
		d.refer.asked = false
		d.end = &why
		d.abandonChange()
		d.stop(TimerSession)
		d.state = handed
		d.notify(Report{Status: 200, Over: true}, ending{})
		d.start(TimerHangUp, hangUpAfter)
	case d.state == confirmed:
		d.bye(why)
	case d.state == unconfirmed:
		d.end = &why
		d.start(TimerClose, patient)
	case d.state == calling && d.uac && !d.resting:
		d.giveUp(why)
	default:
		d.endBy(End{Cause: call.Elsewhere, Detail: why.detail})
		return
	}
	d.report(why)
}

// hangUp ends a dialog whose peer should have ended it.
func (d *Dialog) hangUp() {
	d.stop(TimerHangUp)
	d.bye(*d.end)
}

// sendRefer asks the peer to call someone else by itself.
func (d *Dialog) sendRefer(to call.Destination) {
	if d.state != confirmed || d.end != nil || d.refer.ours != 0 {
		d.event(call.LegReferred{Side: d.side, Cause: call.Conflict})
		return
	}
	d.refer.to, d.refer.heard = to, false
	d.start(TimerRefer, trying)
	d.askRefer()
}

func (d *Dialog) askRefer() {
	s := d.next("REFER")
	s.Refer = &d.refer.to
	d.refer.ours = s.ID
	d.emit(s)
}

func (d *Dialog) referResponse(r Response) {
	switch {
	case r.Status < 200:
	case r.Status < 300: // 200 or 202, which RFC 7647 makes the same
		d.refer.heard = true
	case !d.refer.heard:
		d.referred(false, r.Cause, r.Detail)
	}
}

// notified takes what the peer says of our REFER.
func (d *Dialog) notified(r Request) {
	d.reply(r, 200)
	switch n := r.Notice; {
	case n.Status >= 200 && n.Status < 300:
		d.referred(true, call.Normal, call.Detail{})
	case n.Status >= 300:
		d.referred(false, r.Cause, call.Detail{Status: n.Status})
	case n.Over:
		d.referred(false, call.Failed, call.Detail{})
	}
}

// referred tells the call what became of our REFER, once.
func (d *Dialog) referred(done bool, cause call.Cause, detail call.Detail) {
	if d.refer.ours == 0 {
		return
	}
	d.stop(TimerRefer)
	d.refer.ours = 0
	d.event(call.LegReferred{Side: d.side, Done: done, Cause: cause, Detail: detail})
}

// Standing says what this dialog is to someone who names it with the peer's tag (RFC 3891
// section 3).
func (d *Dialog) Standing(tag string) Standing {
	if d.uac && d.state == calling {
		if _, ok := d.early[tag]; !ok || d.resting {
			return Unknown
		}
		if d.end != nil {
			return Gone
		}
		return Ringing
	}
	switch {
	case d.state == idle || tag != d.tag:
		return Unknown
	case d.state == calling:
		return Rung
	case d.end == nil && d.state <= confirmed:
		return Up
	}
	return Gone
}
