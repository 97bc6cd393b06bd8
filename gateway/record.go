package gateway

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

// A Record is what remains of a call: the figures an operator asks for afterwards. Times
// that were not reached are zero.
type Record struct {
	Call     call.ID
	From     Edge                  // where the call came from
	Caller   Party                 // as the callee's world saw it
	Callee   Party                 // as its own world knows it
	Trunk    string                // the SIP peer
	Diverted []translate.Diversion // for whom the call was before, as its trunk says; the last first
	Rule     string                // the rule that routed it
	Attempt  time.Time
	Rang     time.Time // there was evidence that the callee's device rings
	Answered time.Time // the callee took the call
	Active   time.Time // the caller confirmed
	// Connected is when packets could flow on the XMPP leg: ICE and DTLS are done.
	Connected time.Time
	Ended     time.Time
	Cause     call.Cause
	Detail    call.Detail
	EndedBy   string // "sip", "xmpp" or "gateway"
	Media     [2]media.Stats
}

// Leg returns the media figures of the leg on an edge.
func (r *Record) Leg(e Edge) media.Stats {
	if r.edgeOf(call.A) == e {
		return r.Media[call.A]
	}
	return r.Media[call.B]
}

func (r *Record) edgeOf(s call.Side) Edge {
	if s == call.A {
		return r.From
	}
	return r.From ^ 1
}

func (r *Record) xmppSide() call.Side {
	if r.From == XMPP {
		return call.A
	}
	return call.B
}
