package dialog

import "sipxmppgw/gateway/call"

// probe asks the peer whether it is there, by OPTIONS: that changes nothing, takes part in no
// offer and answer, and every peer must answer it (RFC 3261 sections 11 and 12.2). Of a dialog
// that waits for an answer or an ACK a timer sees to it that it ends.
func (d *Dialog) probe(on bool) {
	switch {
	case !on:
		d.probing = 0
	case d.state == confirmed && d.probing == 0:
		s := d.next("OPTIONS")
		d.probing = s.ID
		d.emit(s)
	}
}

// probeResponse takes the answer. Who refuses is there, unless it says that the call is not.
func (d *Dialog) probeResponse(r Response) {
	if r.Status < 200 {
		return
	}
	d.probing = 0
	if r.Status == 408 || r.Status == 481 {
		d.vanished()
	}
}

// vanished ends a dialog whose peer is neither heard nor answers (INTERWORKING 2.5 row 23).
func (d *Dialog) vanished() {
	d.probing = 0
	if d.state == confirmed {
		d.fail(ending{call.MediaLost, call.Detail{Status: 408, Text: "nothing is heard of the other side, and it does not answer"}})
	}
}
