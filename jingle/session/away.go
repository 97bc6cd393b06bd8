package session

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/jingle/wire"
)

// A peer that is gone. A caller whose resource leaves while it waits has given up, and a callee
// whose resource leaves will not answer. One that leaves a call that is up may only have lost its
// connection to the server: then its media tell (INTERWORKING.md sections 2.4 row 20, 2.5 row 21
// and 2.13 B).

// gone notes that a resource has left. It has some seconds to come back.
func (s *Session) gone(g Gone) {
	if g.From == s.peer && (s.role == wire.Responder && s.state == Proposed || s.state == Initiated || s.state == Accepted) {
		s.start(TimerGone)
	}
}

// back notes that the peer's resource is there.
func (s *Session) back() {
	s.stop(TimerGone)
	s.away = false
}

// left takes a resource for gone.
func (s *Session) left() {
	switch {
	case s.state == Proposed:
		s.end(call.Cancelled, call.Detail{})
	case s.state == Initiated && s.role == wire.Responder && s.move == still:
		s.fail("gone", call.Cancelled, call.Detail{})
	case s.state == Initiated:
		s.fail("gone", call.Unavailable, call.Detail{Text: leftText})
	default:
		s.away = true
		s.tell(call.LegAway{Side: s.opt.Side})
	}
}

const leftText = "the device is not there any more"

// probe asks a peer that is not heard whether it has the session, by the empty session-info
// (XEP-0166 section 6.8). Of one whose resource has left too there is nothing to ask.
func (s *Session) probe(on bool) {
	switch {
	case !on:
		delete(s.asked, s.probing)
		s.probing = 0
	case s.state != Accepted || s.probing != 0:
	case s.away:
		s.fail("gone", call.MediaLost, call.Detail{Text: leftText})
	default:
		s.ask(aboutOther, wire.Jingle{Action: wire.SessionInfo})
		s.probing = s.ref
	}
}

// vanished reports whether an error to a ping says that the peer is not there, and not only
// that it knows no pings.
func vanished(e wire.Error) bool {
	switch e.Condition {
	case "item-not-found", "service-unavailable", "recipient-unavailable", "gone", "remote-server-not-found", "remote-server-timeout":
		return true
	}
	return false
}
