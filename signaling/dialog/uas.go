package dialog

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// uasState is what only the side that is called needs.
type uasState struct {
	offerless bool  // the INVITE had no SDP: ours is the offer, and the ACK has the answer
	last      Reply // the last provisional response above 100
	reliable  reliable
	wanted    Session // of the INVITE
}

// NewUAS returns a dialog for a new INVITE, whose Body is usable or none. The edge has
// sent 100.
func NewUAS(side call.Side, invite Request) *Dialog {
	d := &Dialog{
		side: side, state: calling,
		tag: invite.Tag, target: invite.Contact, route: invite.Route,
		peer: invite.CSeq, spoke: true,
		invite: invite.CSeq, id: invite.ID,
		remote: invite.Body.Text,
		uasState: uasState{
			offerless: invite.Body.Text == "",
			reliable:  reliable{support: invite.Reliable, rseq: invite.RSeq},
			wanted:    invite.Session,
		},
	}
	d.learn(invite.Allow)
	return d
}

// provisional answers the INVITE with 180 or 183, and again every minute. It rings once. A
// caller without SDP that wants each of them reliably gets none: the first would have to carry
// our offer (RFC 3261 section 13.2.1), which is not known before the callee's answer.
func (d *Dialog) provisional(status int, m media.Description) {
	if d.offerless && d.reliable.support == Required {
		return
	}
	if status == 180 && d.last.Status == 180 && d.running[TimerRefresh] {
		return
	}
	if d.offerless {
		m = media.Description{} // our offer is in the 200
	}
	d.last = Reply{ID: d.id, Status: status, Media: m}
	if !d.reliably(d.last) {
		d.emit(d.last)
	}
	d.start(TimerRefresh, refresh)
}

// accept answers the INVITE with 200.
func (d *Dialog) accept(m media.Description) {
	d.stop(TimerRefresh)
	if m.Empty() {
		why := ending{cause: call.Incompatible}
		d.emit(Reply{ID: d.id, Cause: why.cause})
		d.terminate(why)
		return
	}
	if d.reliable.answer != nil {
		m = *d.reliable.answer // it has the answer, and there is one (RFC 3261 section 13.2.1)
	}
	d.local, d.answered = m, !d.offerless
	if d.reliable.told() {
		d.reliable.accepted = true // until it has arrived (RFC 3262 section 3)
		return
	}
	d.sendAnswer()
}

func (d *Dialog) sendAnswer() {
	d.stopReliable()
	d.state = unconfirmed
	d.sendSuccess(d.invite, Reply{ID: d.id, Status: 200, Media: d.local, Session: d.granted(d.wanted)})
}

// cancelled takes the peer's CANCEL of the INVITE. After our answer it is too late.
func (d *Dialog) cancelled(c Cancelled) {
	if d.pending() {
		d.leaveUnanswered(c.Cause, c.Detail)
	}
}

// leaveUnanswered closes a call whose caller gave up.
func (d *Dialog) leaveUnanswered(cause call.Cause, detail call.Detail) {
	if cause == call.Normal {
		cause = call.Cancelled
	}
	d.emit(Reply{ID: d.id, Status: 487, Cause: cause, Detail: detail})
	d.terminate(ending{cause, detail})
}

// confirm takes the ACK of our first 200.
func (d *Dialog) confirm(ack Request) {
	if d.end != nil {
		d.stop(TimerClose)
		d.bye(*d.end)
		return
	}
	if !d.offerless {
		d.state = confirmed
		d.event(call.LegConfirmed{Side: d.side})
		return
	}
	d.state = confirmed
	if !ack.Body.usable() {
		d.fail(ending{cause: call.Incompatible})
		return
	}
	d.remote = ack.Body.Text
	d.event(call.LegConfirmed{Side: d.side, Media: ack.Body.Media})
}
