package dialog

import (
	"time"

	"sipxmppgw/gateway/call"
)

// ackState is a 2xx of ours that has no ACK yet. There is one at a time: the first, or
// that of a change.
type ackState struct {
	reply Reply
	cseq  uint32
	next  time.Duration
}

// sendSuccess sends a 2xx to the INVITE of that CSeq and sees to it that it arrives (RFC
// 3261 section 13.3.1.4).
func (d *Dialog) sendSuccess(cseq uint32, r Reply) {
	d.awaited = ackState{reply: r, cseq: cseq, next: t1}
	d.emit(r)
	d.start(TimerResend, t1)
	d.start(TimerAck, patient)
}

// resend sends the 2xx again, less and less often.
func (d *Dialog) resend() {
	d.emit(d.awaited.reply)
	d.awaited.next = min(2*d.awaited.next, t2)
	d.start(TimerResend, d.awaited.next)
}

// missingAck gives up: the session cannot be trusted, so it is ended.
func (d *Dialog) missingAck() {
	d.stop(TimerResend)
	if d.end != nil {
		d.bye(*d.end)
		return
	}
	d.fail(ending{cause: call.Timeout})
}

// ack takes an ACK. Those of 2xx that are confirmed already are the echo of our own
// retransmissions.
func (d *Dialog) ack(a Request) {
	if a.Tag != d.tag || !d.running[TimerAck] || a.CSeq != d.awaited.cseq {
		return
	}
	d.stop(TimerResend)
	d.stop(TimerAck)
	switch {
	case d.state == unconfirmed:
		d.confirm(a)
	case d.state == confirmed && d.change.state == unacknowledged:
		d.changeConfirmed(a)
	}
}
