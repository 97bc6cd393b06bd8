package dialog

// request takes a request of the peer inside the dialog.
func (d *Dialog) request(r Request) {
	if r.Method == "ACK" {
		d.ack(r)
		return
	}
	if !d.knows(r.Tag) || d.state == over {
		d.stray(r)
		return
	}
	if d.spoke && r.CSeq <= d.peer {
		d.reply(r, 500) // out of order (RFC 3261 section 12.2.2)
		return
	}
	d.peer, d.spoke = r.CSeq, true
	switch {
	case r.Method == "BYE":
		d.hungUp(r)
	case d.state == leaving:
		d.reply(r, 481)
	case r.Method == "INVITE":
		d.changeRequest(r)
	case r.Method == "UPDATE":
		d.updateRequest(r)
	case r.Method == "PRACK":
		d.prack(r)
	case r.Method == "INFO":
		d.info(r)
	case r.Method == "REFER":
		d.referRequest(r)
	case r.Method == "NOTIFY" && r.Notice != nil && d.refer.ours != 0:
		d.notified(r)
	default:
		d.reply(r, refusal(r))
	}
}

// knows reports whether the peer's tag is that of this dialog, or of one that may yet
// become it.
func (d *Dialog) knows(tag string) bool {
	if d.uac && d.state <= calling {
		_, ok := d.early[tag]
		return ok
	}
	return tag == d.tag
}

// stray answers a request that belongs to no dialog of ours, or to one that is over. The
// BYE of a fork that we are hanging up on crosses ours.
func (d *Dialog) stray(r Request) {
	if _, fork := d.forks[r.Tag]; fork && r.Method == "BYE" {
		d.reply(r, 200)
		return
	}
	d.reply(r, 481)
}

func (d *Dialog) reply(r Request, status int) { d.emit(Reply{ID: r.ID, Status: status}) }

// refusal is the answer to a request that changes nothing (INTERWORKING 2.6).
func refusal(r Request) int {
	switch r.Method {
	case "OPTIONS":
		return 200
	case "NOTIFY":
		return 481 // there is no subscription
	case "SUBSCRIBE":
		return 489
	default:
		return 405
	}
}

// hungUp takes the peer's BYE.
func (d *Dialog) hungUp(r Request) {
	if d.uac && d.state == calling {
		d.reply(r, 481) // the callee may not (RFC 3261 section 15)
		return
	}
	d.reply(r, 200)
	if d.pending() {
		d.leaveUnanswered(r.Cause, r.Detail) // as CANCEL
		return
	}
	d.terminate(ending{r.Cause, r.Detail})
}
