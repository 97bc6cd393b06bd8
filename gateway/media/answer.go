package media

import (
	"slices"
	"time"
)

// maxPTime is the longest packet time that is believed; longer ones are mistakes of unit.
const maxPTime = 400 * time.Millisecond

// Flow returns the direction that the describer means. An address of zeros without ICE
// is the old way to put on hold (RFC 3264 section 8.4): the describer wants nothing sent.
func (s Stream) Flow() Direction {
	if s.Transport.ICE == nil && s.Transport.Addr.IsValid() && s.Transport.Addr.Addr().IsUnspecified() {
		return s.Direction.And(SendOnly)
	}
	return s.Direction
}

// Held reports whether the describer has put the stream on hold: it takes no media
// (RFC 3264 section 8.4).
func (s Stream) Held() bool { return !s.Flow().Receives() }

// AnswerDirection returns the direction of an answer: what the offer permits of what the
// answerer wants (RFC 3264 section 6.1). Hold against hold is inactive.
func AnswerDirection(offered, want Direction) Direction {
	return offered.Reverse().And(want)
}

// Refuse returns the answer to a stream that is not taken: its slot, rejected, with one
// format as SDP's syntax wants (RFC 3264 section 6).
func Refuse(offered Stream) Stream {
	r := Stream{
		Name:      offered.Name,
		Kind:      offered.Kind,
		Media:     offered.Media,
		Rejected:  true,
		Direction: Inactive,
		Transport: Transport{Profile: offered.Transport.Profile},
	}
	if len(offered.Codecs) > 0 {
		r.Codecs = []Codec{offered.Codecs[0].Clone()}
	}
	return r
}

// OfferCodecs returns the codecs to offer to a leg. own is the leg's policy, far the
// other leg's, and heard what the other leg described; heard is nil if it has said
// nothing yet. The codecs come in the order the other leg prefers, or else in the order
// of policy; they are such that packets can pass between the legs as they are. After
// them come those that can be turned into what the other leg has, if both policies
// transcode; and G.711 is there in any case where the policy demands it, last.
func OfferCodecs(own, far Policy, heard []Codec) []Codec {
	var speech []Codec
	if heard == nil {
		speech = Intersect(Speech(own.Codecs), far.Codecs)
	} else {
		for _, c := range Intersect(Speech(heard), far.Codecs) {
			if i := Find(own.Codecs, c); i >= 0 {
				// The other leg's parameters say what it can receive, and it will
				// receive what this leg sends.
				c = c.Clone()
				c.PT = own.Codecs[i].PT
				c.Feedback = nil
				speech = append(speech, c)
			}
		}
	}
	if own.Transcode && far.Transcode && (heard == nil || len(transcodable(Intersect(heard, far.Codecs))) > 0) {
		for _, c := range transcodable(own.Codecs) {
			if Find(speech, c) < 0 {
				speech = append(speech, c.Clone())
			}
		}
	}
	if len(speech) == 0 && heard != nil {
		return nil
	}
	if own.G711 && !slices.ContainsFunc(speech, Codec.G711) {
		speech = appendG711(speech, own.Codecs)
	}
	all := append(slices.Clone(speech), sideCodecs(own.Codecs, own.Codecs, heard, speech)...)
	return Number(all, nil)
}

// AnswerCodecs returns the codecs to answer a leg's offer with, under the payload types
// of that offer. far is what the other leg has settled on, the best first; its order
// decides. If no speech is common, and the policy transcodes, they are those that far can
// be turned into, in the order of the offer; else nothing is returned.
func AnswerCodecs(own Policy, offered, far []Codec) []Codec {
	var speech []Codec
	for _, f := range Speech(far) {
		i := Find(offered, f)
		if i < 0 || Find(own.Codecs, f) < 0 || Find(speech, f) >= 0 {
			continue
		}
		c := f.Clone()
		c.PT = offered[i].PT
		c.Name = offered[i].Name
		c.Channels = offered[i].Channels
		c.Feedback = nil
		speech = append(speech, c)
	}
	if len(speech) == 0 {
		speech = transcodedAnswer(own, offered, far)
		far = nil // its noise and its events are not the same
	}
	if len(speech) == 0 {
		return nil
	}
	if own.G711 && !slices.ContainsFunc(speech, Codec.G711) {
		speech = appendG711(speech, Intersect(offered, own.Codecs))
	}
	return append(speech, sideCodecs(offered, own.Codecs, far, speech)...)
}

// transcodedAnswer returns the codecs of an offer that far can be turned into, with what
// we can receive of them.
func transcodedAnswer(own Policy, offered, far []Codec) (speech []Codec) {
	if !own.Transcode || len(transcodable(far)) == 0 {
		return nil
	}
	for _, o := range transcodable(Intersect(offered, own.Codecs)) {
		c := own.Codecs[Find(own.Codecs, o)].Clone()
		c.PT, c.Name, c.Channels = o.PT, o.Name, o.Channels
		speech = append(speech, c)
	}
	return speech
}

// PickCodec returns the one speech codec that a leg is answered with before the other
// leg has been asked: the first of far's policy that the leg offers and its own policy
// has. If there is none, and both policies transcode, it is the first that the leg offers
// and that can be turned into one of far's. ok is false if there is none.
func PickCodec(own, far Policy, offered []Codec) (c Codec, ok bool) {
	for _, f := range Speech(far.Codecs) {
		if i := Find(offered, f); i >= 0 && Find(own.Codecs, f) >= 0 {
			return f, true
		}
	}
	if far.Transcode && len(transcodable(far.Codecs)) > 0 {
		if speech := transcodedAnswer(own, offered, far.Codecs); len(speech) > 0 {
			return speech[0], true
		}
	}
	return Codec{}, false
}

// appendG711 adds the first G.711 codec of from, if there is one.
func appendG711(list, from []Codec) []Codec {
	if i := slices.IndexFunc(from, Codec.G711); i >= 0 {
		return append(list, from[i].Clone())
	}
	return list
}

// sideCodecs returns the events and noise that go with speech: those of list that the
// policy has. There is one telephone-event for each clock rate in use (RFC 4733 section
// 2.1), and the one at 8000 Hz in any case, for peers that know no other; noise is for
// speech at its own rate, and only if the other leg knows it too.
func sideCodecs(list, policy, far, speech []Codec) []Codec {
	var side []Codec
	fits := func(c Codec) bool {
		return slices.ContainsFunc(speech, func(s Codec) bool { return s.ClockRate == c.ClockRate })
	}
	for _, c := range list {
		if c.Speech() || Find(policy, c) < 0 || Find(side, c) >= 0 {
			continue
		}
		switch {
		case c.Event() && (fits(c) || c.ClockRate == 8000):
			side = append(side, c.Clone())
		case c.Noise() && fits(c) && (far == nil || Find(far, c) >= 0):
			side = append(side, c.Clone())
		}
	}
	for i := range side {
		if side[i].Event() && len(side[i].Params) == 0 {
			side[i].Params = eventParams()
		}
	}
	return side
}

// PassCodecs returns the codecs of heard that pass through as they are where a policy
// has no list, as for pictures.
func PassCodecs(heard []Codec) []Codec {
	return Intersect(Speech(heard), heard)
}

// BelieveTime returns a packet time that a peer stated, or 0 if it cannot be meant.
func BelieveTime(d time.Duration) time.Duration {
	if d <= 0 || d > maxPTime {
		return 0
	}
	return d
}

// Match returns the stream of an answer that answers the offer's stream i: the one of
// the same name, or else the one in its slot (RFC 3264 section 6). It is nil if the
// answer left the stream out.
func (d Description) Match(offer Description, i int) *Stream {
	if name := offer.Streams[i].Name; name != "" {
		if s := d.Stream(name); s != nil {
			return s
		}
	}
	if i < len(d.Streams) && (d.Streams[i].Name == "" || offer.Streams[i].Name == "") && d.Streams[i].Kind == offer.Streams[i].Kind {
		return &d.Streams[i]
	}
	return nil
}
