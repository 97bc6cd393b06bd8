package dialog

// say sends a message inside the dialog (RFC 3428 section 4), to a peer that has said that it
// takes some there. What becomes of it only who sent it wants to know; the dialog sends one
// Send for each that has a place, and none for one that has not.
func (d *Dialog) say(s Say) {
	if d.state != confirmed || d.end != nil || !d.messages {
		return
	}
	m := d.next("MESSAGE")
	m.Type, m.Text = s.Type, s.Text
	d.said = m.ID
	d.emit(m)
}

// saidResponse takes the answer to the last message. All that it can mean to a dialog is that
// the peer has lost it (RFC 3261 section 12.2.1.2).
func (d *Dialog) saidResponse(r Response) {
	if r.Status < 200 {
		return
	}
	d.said = 0
	if r.Status == 481 && d.state == confirmed && d.end == nil {
		d.fail(ending{r.Cause, r.Detail})
	}
}
