package gateway

import (
	"slices"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/why"
)

// codecs are the names of those that a side's peer described, that it was offered by us, and
// that it may have.
type codecs struct {
	offers, offered, allowed []string
}

// maxNames is how many codecs are named; a peer may describe any number.
const maxNames = 12

// speech returns the names of the codecs of sound in a description, each once.
func speech(d media.Description) []string {
	for _, s := range d.Streams {
		if s.Kind == media.Audio && !s.Rejected {
			return names(s.Codecs)
		}
	}
	return nil
}

func names(of []media.Codec) []string {
	var all []string
	for _, c := range of {
		if c.Speech() && len(all) < maxNames && !slices.Contains(all, c.Name) {
			all = append(all, c.Name)
		}
	}
	return all
}

// describes notes what an event says of a peer's codecs.
func (a *actor) describes(e call.Event) {
	var side call.Side
	var d media.Description
	switch e := e.(type) {
	case call.LegOffered:
		side, d = e.Side, e.Media
	case call.LegAnswered:
		side, d = e.Side, e.Media
	case call.LegProgress:
		side, d = e.Side, e.Media
	default:
		return
	}
	if heard := speech(d); heard != nil && side <= call.B {
		a.rec.codecs[side].offers = heard
	}
}

// Why says why the call ended as it did, and what to do about it.
func (r *Record) Why() why.Explanation {
	f := why.Facts{Cause: r.Cause, Detail: r.Detail, By: r.EndedBy, Refused: r.refused, Rules: r.rules}
	if !r.Answered.IsZero() {
		f.Talked = max(r.Ended.Sub(r.Answered), 1)
	}
	for side := range f.Legs {
		c := r.codecs[side]
		f.Legs[side] = why.Leg{
			Edge: r.edges[side].String(), Offers: c.offers, Offered: c.offered, Allowed: c.allowed,
			Media: r.Media[side], Unheard: r.OneWay(call.Side(side)),
		}
		if r.edges[side] == SIP {
			f.Legs[side].Trunk = r.trunks[side]
		}
	}
	return why.Explain(f)
}
