package dialog

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// uasState is what only the side that is called needs.
type uasState struct {
	offerless bool  // the INVITE had no SDP: ours is the offer, and the ACK has the answer
	last      Reply // the last provisional response above 100
}

// NewUAS returns a dialog for a new INVITE, whose Body is usable or none. The edge has
// sent 100.
func NewUAS(side call.Side, invite Request) *Dialog {
	return &Dialog{
		side: side, state: calling,
		tag: invite.Tag, target: invite.Contact, route: invite.Route,
		peer: invite.CSeq, spoke: true,
		invite: invite.CSeq, id: invite.ID,
		remote:   invite.Body.Text,
		uasState: uasState{offerless: invite.Body.Text == ""},
	}
}

// provisional answers the INVITE with 180 or 183, and again every minute. It rings once.
func (d *Dialog) provisional(status int, m media.Description) {
	if status == 180 && d.last.Status == 180 && d.running[TimerRefresh] {
		return
	}
	d.last = Reply{ID: d.id, Status: status, Media: m}
	d.emit(d.last)
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
	d.local, d.answered = m, !d.offerless
	d.state = unconfirmed
	d.sendSuccess(d.invite, Reply{ID: d.id, Status: 200, Media: m})
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
