package signaling

import (
	"cmp"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/message"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/stack"
)

// A message between two who are in a call may go inside its dialog, where the peer takes it
// (RFC 3428 section 4): it then comes to the very phone, and belongs to the call for everyone on
// the way.

// saying is a message that is to go inside a dialog.
type saying struct{ s *submission }

// dialogOf is the leg whose peer a message goes to, of the call it belongs to; nil if there
// is none. After a transfer somebody else is in the call.
func (e *Edge) dialogOf(m message.Message) *leg {
	if m.Call == "" {
		return nil
	}
	for _, l := range e.legs.all() {
		if string(l.in.Call()) == m.Call && l.other != "" && l.other == bare(m.To.JID) {
			return l
		}
	}
	return nil
}

// dialogHead is what a MESSAGE in a dialog has beside its body, in octets, and then some.
const dialogHead = 800

// say has the dialog send a message, which goes by itself if the dialog takes none, or if it is
// too long for a datagram.
func (l *leg) say(s *submission) (events []call.Event) {
	kind, body := s.body()
	l.saying = s
	if cmp.Or(l.next.Transport, l.trunk.transport()) != stack.UDP || len(body) <= maxDatagram-dialogHead {
		events = l.step(dialog.Say{Type: kind, Text: body})
	}
	if l.saying != nil {
		l.saying = nil
		s.leave()
	}
	return events
}

// saidBy gives a MESSAGE of the dialog what all of ours have.
func (l *leg) saidBy(req *sip.Request, id int) {
	if l.saying == nil {
		return
	}
	if l.said == nil {
		l.said = map[int]*submission{}
	}
	l.said[id] = l.saying
	l.saying.describe(req)
	l.saying = nil
}

// heard takes what came of a message in the dialog, if the request was one.
func (l *leg) heard(id int, e stack.Event) {
	s := l.said[id]
	if s == nil || e.Err == nil && e.Response.IsProvisional() {
		return
	}
	delete(l.said, id)
	if e.Err != nil {
		s.unanswered(e)
		return
	}
	switch e.Response.StatusCode {
	case 401, 407:
		if l.retries.proof.challenged(l.trunk, l.asked[id].given, e.Response) {
			go s.send() // waits for the lock, and ends
			return
		}
	case 405, 481, 501: // not here, but perhaps by itself
		s.leave()
		return
	}
	go s.final(e.Response, e.Doubt) // may send it once more, and ends
}

// unsaid is for messages that wait in a leg that is over.
func (l *leg) unsaid() {
	for _, input := range l.queue {
		if in, ok := input.(saying); ok {
			in.s.leave()
		}
	}
}
