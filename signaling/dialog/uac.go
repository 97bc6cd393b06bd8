package dialog

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// uacState is what only the side that calls needs.
type uacState struct {
	tried     bool             // a provisional response came: CANCEL may be sent
	withdrawn bool             // CANCEL was sent
	resting   bool             // until the INVITE that got 491 is sent again
	refusals  int              // 491 to it
	attempts  map[int]uint32   // INVITEs before the last: ID to CSeq
	early     map[string]early // by tag
	hears     bool             // the caller hears an early dialog, the one with the tag heard
	heard     string
	turns     int             // answers of early dialogs so far
	acked     Send            // the ACK of the 2xx we took
	forks     map[string]Send // the ACKs of those we did not take
}

// early is an early dialog.
type early struct {
	body    Body   // the last answer
	settled bool   // which is the answer, for it came reliably (RFC 3261 section 13.2.1)
	rseq    uint32 // of the last reliable response; 0 for none
	muted   bool   // what it plays is not to be heard
	turn    int    // when it has said the body
}

// NewUAC returns a dialog that calls target, a SIP URI, when it is given an Offer.
func NewUAC(side call.Side, target string) *Dialog {
	return &Dialog{
		side: side, uac: true, target: target,
		uacState: uacState{attempts: map[int]uint32{}, early: map[string]early{}, forks: map[string]Send{}},
	}
}

// call sends the INVITE.
func (d *Dialog) call(offer media.Description) {
	d.local = offer
	d.state = calling
	d.invites()
}

// invites sends the INVITE, for the first time or again.
func (d *Dialog) invites() {
	if d.id != 0 {
		d.attempts[d.id] = d.invite
	}
	s := d.next("INVITE")
	s.Media, s.Session = d.local, d.proposed()
	d.id, d.invite = s.ID, s.CSeq
	d.tried, d.resting, d.early, d.hears = false, false, map[string]early{}, false
	d.stop(TimerTrying)
	d.emit(s)
}

// giveUp cancels the INVITE, or remembers to (RFC 3261 section 9.1).
func (d *Dialog) giveUp(why ending) {
	d.end = &why
	d.stop(TimerTrying)
	d.start(TimerClose, patient)
	d.cancel()
}

func (d *Dialog) cancel() {
	if d.tried && !d.withdrawn {
		d.withdrawn = true
		d.emit(Cancel{ID: d.id, Cause: d.end.cause, Detail: d.end.detail})
	}
}

func (d *Dialog) inviteResponse(r Response) {
	switch {
	case r.Status/100 == 2:
		d.success(r)
	case d.state != calling || d.resting:
		// The answer was taken; nothing else counts.
	case r.Status < 200:
		d.tried = true
		if !d.inOrder(r) {
			return
		}
		if d.end != nil {
			d.cancel()
			return
		}
		if r.Status > 100 {
			d.start(TimerTrying, trying)
			d.progress(r)
		}
	case d.end == nil && d.tooBrief(r):
		d.invites()
	case d.end == nil && r.Status == 491 && d.refusals < maxTries-1:
		d.refusals++
		d.resting = true
		d.stop(TimerTrying)
		d.waitForRetry()
	default:
		d.start(TimerForks, patient)
		d.terminate(ending{r.Cause, r.Detail})
	}
}

// inOrder acknowledges a reliable provisional response. It is false for one that does not
// count: it came before, or one before it has not come yet, and the peer will send both
// again (RFC 3262 section 4).
func (d *Dialog) inOrder(r Response) bool {
	if r.RSeq == 0 || r.Status == 100 {
		return true
	}
	e, ok := d.early[r.Tag]
	if !ok && len(d.early) == maxEarly || e.rseq != 0 && r.RSeq != e.rseq+1 {
		return false
	}
	e.rseq = r.RSeq
	d.early[r.Tag] = e
	a := d.ackTo(r)
	d.cseq++
	d.ids++
	a.ID, a.Method, a.CSeq = d.ids, "PRACK", d.cseq
	a.RAck = RAck{RSeq: r.RSeq, CSeq: d.invite, Method: "INVITE"}
	d.emit(a)
	return true
}

// progress takes a provisional response; each To tag is an early dialog.
func (d *Dialog) progress(r Response) {
	if r.Status == 199 { // that dialog is over (RFC 6228)
		delete(d.early, r.Tag)
		d.listen(r.Tag, false)
		return
	}
	known, ok := d.early[r.Tag]
	if !ok && len(d.early) == maxEarly {
		return
	}
	// Each is told, for it begins the time to answer anew (RFC 3261 section 16.7).
	ringing := r.Status == 180 || r.Status == 182
	if ringing {
		d.event(call.LegRinging{Side: d.side})
	}
	fresh := false
	if r.Body.usable() && !known.settled {
		if r.Body.Text != known.body.Text {
			fresh = true
			d.turns++
			known.turn = d.turns
		}
		known.body, known.settled = r.Body, r.RSeq != 0
	}
	if r.Early != EarlyUnsaid {
		known.muted = r.Early == EarlyMuted
	}
	d.early[r.Tag] = known
	if !d.listen(r.Tag, fresh) && !ringing {
		d.event(call.LegProgress{Side: d.side})
	}
}

// listen has the caller hear the early dialog that spoke last, and may be heard
// (INTERWORKING 2.9). It reports whether there was anything to tell; fresh says that the one
// with that tag has a new answer.
func (d *Dialog) listen(tag string, fresh bool) bool {
	last, found := "", false // a tag of an old peer may be empty
	for t, e := range d.early {
		if e.body.usable() && !e.muted && (!found || e.turn > d.early[last].turn) {
			last, found = t, true
		}
	}
	was := d.early[d.heard]
	told := true
	switch {
	case found && (!d.hears || last != d.heard || fresh && last == tag):
		d.event(call.LegProgress{Side: d.side, Media: d.early[last].body.Media})
	case !found && d.hears && was.muted:
		d.event(call.LegProgress{Side: d.side, Media: silent(was.body.Media)})
	default:
		told = false
	}
	d.hears, d.heard = found, last
	return told
}

// silent is a description of a peer that is not to be heard.
func silent(m media.Description) media.Description {
	m = m.Clone()
	for i := range m.Streams {
		s := &m.Streams[i]
		s.Direction = s.Flow().And(media.RecvOnly)
	}
	return m
}

// success takes a 2xx. It is acknowledged at once, each time it comes.
func (d *Dialog) success(r Response) {
	if d.state != calling {
		d.successAgain(r)
		return
	}
	d.tag, d.spoke = r.Tag, false
	d.retarget(r.Contact)
	d.route = backwards(r.Route)
	d.acked = d.ackTo(r)
	d.emit(d.acked)
	d.stop(TimerTrying)
	d.start(TimerForks, patient)
	body := r.Body
	if e := d.early[r.Tag]; e.settled || body.Text == "" {
		body = e.body // said in a provisional response
	}
	d.early = nil
	switch {
	case d.end != nil: // it crossed our CANCEL
		d.stop(TimerClose)
		d.bye(*d.end)
	case !body.usable():
		d.fail(ending{cause: call.Incompatible})
	default:
		d.state = confirmed
		d.remote = body.Text
		d.learn(r.Allow)
		d.agree(r.Session)
		d.event(call.LegAnswered{Side: d.side, Media: body.Media})
	}
}

// successAgain takes a 2xx after the first: the same one again, or that of another fork,
// which is ended (RFC 3261 section 13.2.2.4).
func (d *Dialog) successAgain(r Response) {
	if d.acked.Method == "" {
		d.lateSuccess(r)
		return
	}
	if r.Tag == d.acked.Tag {
		d.emit(d.acked)
		return
	}
	if ack, known := d.forks[r.Tag]; known {
		ack.CSeq = d.invite
		d.emit(ack)
		return
	}
	if len(d.forks) == maxForks {
		return
	}
	d.forks[r.Tag] = d.ackTo(r)
	d.endFork(d.forks[r.Tag], call.Elsewhere)
}

// straySuccess takes a 2xx to an INVITE that we have sent once more since: a fork answered
// after all.
func (d *Dialog) straySuccess(r Response) {
	ack := d.ackTo(r)
	ack.CSeq = d.attempts[r.ID]
	switch _, known := d.forks[r.Tag]; {
	case known || r.Tag == d.tag:
		d.emit(ack)
	case len(d.forks) < maxForks:
		d.forks[r.Tag] = ack
		d.endFork(ack, call.Elsewhere)
	}
}

// lateSuccess takes a 2xx that comes after the INVITE was given up for lost.
func (d *Dialog) lateSuccess(r Response) {
	d.acked = d.ackTo(r)
	d.endFork(d.acked, d.end.cause)
}

// endFork acknowledges a 2xx that we do not want, and ends its dialog.
func (d *Dialog) endFork(ack Send, cause call.Cause) {
	d.emit(ack)
	bye := ack
	d.cseq++
	d.ids++
	bye.ID, bye.Method, bye.CSeq, bye.Cause = d.ids, "BYE", d.cseq, cause
	d.emit(bye)
}

// ackTo returns the ACK of a 2xx to the INVITE.
func (d *Dialog) ackTo(r Response) Send {
	a := Send{Method: "ACK", CSeq: d.invite, Tag: r.Tag, Target: d.target, Route: backwards(r.Route)}
	if r.Contact != "" {
		a.Target = r.Contact
	}
	return a
}
