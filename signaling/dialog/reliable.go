package dialog

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// maxQueued bounds the reliable responses that wait for the PRACK of the one before.
const maxQueued = 8

// reliable is what we know of our reliable provisional responses (RFC 3262 section 3). One
// is under way at a time.
type reliable struct {
	support  Support
	rseq     uint32 // of the next
	pending  Reply  // has no PRACK yet; its RSeq is 0 for none
	queue    []Reply
	next     time.Duration // until pending is sent again
	waited   time.Duration // since it was sent first
	answer   *media.Description
	accepted bool // the 2xx waits for the PRACK
}

// told reports whether a response with our answer has not arrived yet.
func (r *reliable) told() bool {
	if r.pending.RSeq != 0 && !r.pending.Media.Empty() {
		return true
	}
	for _, q := range r.queue {
		if !q.Media.Empty() {
			return true
		}
	}
	return false
}

// reliably sends a provisional response reliably, if it is to be: always for a caller that
// requires it, with SDP for one that supports it (INTERWORKING 2.7). What we send again
// every minute has said what it says.
func (d *Dialog) reliably(r Reply) bool {
	s := &d.reliable
	if s.support == Unsupported || s.support == Supported && r.Media.Empty() {
		return false
	}
	if len(s.queue) == maxQueued {
		return true
	}
	if s.answer != nil {
		r.Media = media.Description{} // said already
	} else if !r.Media.Empty() {
		s.answer = &r.Media
	}
	s.queue = append(s.queue, r)
	d.sendReliable()
	return true
}

// sendReliable sends the next one, when the last has arrived.
func (d *Dialog) sendReliable() {
	s := &d.reliable
	if s.pending.RSeq != 0 || len(s.queue) == 0 {
		return
	}
	s.pending, s.queue = s.queue[0], s.queue[1:]
	s.pending.RSeq = s.rseq
	s.rseq++
	s.next, s.waited = t1, 0
	d.emit(s.pending)
	d.start(TimerReliable, t1)
}

// resendReliable sends it again, up to 64*T1; a caller that cannot be told is refused.
func (d *Dialog) resendReliable() {
	s := &d.reliable
	s.waited += s.next
	if s.waited >= patient {
		why := ending{call.Timeout, call.Detail{Status: 504}}
		d.emit(Reply{ID: d.id, Cause: why.cause, Detail: why.detail})
		d.terminate(why)
		return
	}
	d.emit(s.pending)
	s.next = min(2*s.next, patient-s.waited)
	d.start(TimerReliable, s.next)
}

// stopReliable ends it with the final response. The PRACK may still come.
func (d *Dialog) stopReliable() {
	d.stop(TimerReliable)
	d.reliable.queue = nil
}

// prack takes the PRACK of one (C-32). It may not offer what we cannot answer at once; the
// same offer again has the same answer.
func (d *Dialog) prack(r Request) {
	s := &d.reliable
	if s.pending.RSeq == 0 || r.RAck != (RAck{s.pending.RSeq, d.invite, "INVITE"}) {
		d.reply(r, 481)
		return
	}
	s.pending = Reply{}
	d.stop(TimerReliable)
	switch {
	case r.Body.Text == "":
		d.reply(r, 200)
	case s.answer != nil && r.Body.Text == d.remote:
		d.emit(Reply{ID: r.ID, Status: 200, Media: *s.answer})
	default:
		d.reply(r, max(r.Body.Status, 488))
	}
	switch {
	case !d.pending():
	case s.accepted && !s.told():
		d.sendAnswer()
	default:
		d.sendReliable()
	}
}
