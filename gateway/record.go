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
	Service  string                // of the gateway's own that took it, by its name; empty for none
	Trial    string                // that it is part of, by its name; empty for none
	Attempt  time.Time
	Rang     time.Time // there was evidence that the callee's device rings
	Answered time.Time // the callee took the call
	Active   time.Time // the caller confirmed
	// Connected is when packets could flow on the XMPP leg: ICE and DTLS are done.
	Connected time.Time
	Ended     time.Time
	State     call.State // while it lives
	Cause     call.Cause
	Detail    call.Detail
	EndedBy   string         // "sip", "xmpp" or "gateway"
	Media     [2]media.Stats // of both sides, with the legs that each had

	Text *TextFigures // of text that was seen while it was typed; nil if there was none

	// Transfers are the places that were taken by others, or were not, in order; of many the
	// first [MaxTransfers].
	Transfers []Transfer

	refused bool   // it was not begun
	rules   string // that decided so

	ids    [2]legIDs // of the legs at the end
	edges  [2]Edge   // of both sides, at the end
	trunks [2]string
	codecs [2]codecs
	moved  [2]media.Stats // by edge: what a side had before it came to be on the other edge
	taken  [2]media.Stats // by side: the same
}

// legIDs are what a leg is called in its protocol.
type legIDs struct{ id, session string }

// MaxTransfers is how many transfers there may be in one call.
const MaxTransfers = 32

// A Transfer is one of a call's legs replaced by another, or an attempt.
type Transfer struct {
	Time  time.Time // when it was asked for
	Side  call.Side // whose leg it is about
	By    Edge      // where it was asked for
	To    Party     // who took the place, or should have
	Done  bool
	Cause call.Cause // why not
}

// Leg returns the media figures of the leg on an edge: of two, that of leg A.
func (r *Record) Leg(e Edge) media.Stats {
	if r.edges[call.A] == e {
		return r.Media[call.A]
	}
	return r.Media[call.B]
}

// byEdge adds up by edge what both sides have had so far.
func (r *Record) byEdge(sides [2]media.Stats) [2]media.Stats {
	sum := r.moved
	for side, s := range sides {
		e := r.edges[side]
		sum[e] = plus(sum[e], minus(s, r.taken[side]))
	}
	return sum
}

// move notes that a side is on another edge from now on.
func (r *Record) move(side call.Side, e Edge, sides [2]media.Stats) {
	if r.edges[side] == e {
		return
	}
	was := r.edges[side]
	r.moved[was] = plus(r.moved[was], minus(sides[side], r.taken[side]))
	r.taken[side], r.edges[side] = sides[side], e
}
