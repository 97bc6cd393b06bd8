package session

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/jingle/wire"
)

// transfer takes the peer's wish that the one it talks to be connected to someone else
// (XEP-0251): to To or, with SID, to the one it talks to in another session of its own. It is on
// hold until that has come to something.
func (s *Session) transfer(r Request) {
	i := r.Jingle.Info
	switch {
	case s.state != Accepted || s.handing:
		s.refuse(r, wire.OutOfOrder)
		return
	case i.To == "":
		s.refuse(r, wire.Error{Type: "modify", Condition: "bad-request", Text: "the transfer says nobody"})
		return
	}
	s.result(r)
	s.handing = true
	s.inform(wire.InfoHold)
	s.tell(call.LegTransfer{Side: s.opt.Side, To: call.Destination{Address: i.To, Replaces: i.SID}})
}

// refuseTransfer tells the peer that it still has the call, and the person why.
func (s *Session) refuseTransfer(in RefuseTransfer) {
	if !s.handing {
		return
	}
	s.handing = false
	s.inform(wire.InfoActive)
	text := "The call could not be transferred."
	if why := s.opt.Words.Reason(in.Cause, in.Detail).Text; why != "" {
		text += " " + why
	}
	s.emit(SendText{s.peer, text})
}

func (s *Session) inform(kind wire.InfoKind) {
	s.ask(aboutOther, wire.Jingle{Action: wire.SessionInfo, Info: wire.Info{Kind: kind}})
}
