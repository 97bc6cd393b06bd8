package media

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// PictureFeedback is the RTCP feedback for pictures that can reach the other leg (RFC 4585,
// RFC 5104). Estimates of bandwidth end at the gateway, and are not asked for.
func PictureFeedback() []Feedback {
	return []Feedback{{Type: "nack"}, {Type: "nack", Subtype: "pli"}, {Type: "ccm", Subtype: "fir"}}
}

// OffersFeedback reports whether the describer knows a kind of feedback, for every codec or
// for one.
func (s Stream) OffersFeedback(f Feedback) bool {
	return slices.Contains(s.Feedback, f) ||
		slices.ContainsFunc(s.Codecs, func(c Codec) bool { return slices.Contains(c.Feedback, f) })
}

// Slot returns the slot for a new stream of an offer: that of one of its kind which was
// refused before (RFC 3264 section 8.1), or one more, which has a name if it is to be named.
func (d *Description) Slot(k Kind, named bool) int {
	for i, s := range d.Streams {
		if s.Rejected && s.Kind == k {
			return i
		}
	}
	var s Stream
	if named {
		for n := len(d.Streams); s.Name == "" || d.Stream(s.Name) != nil; n++ {
			s.Name = strconv.Itoa(n)
		}
	}
	d.Streams = append(d.Streams, s)
	return len(d.Streams) - 1
}

// Propose makes the stream an offer of codecs, with the direction and the packet times of
// what the other leg described of that kind, which is nil if it has said nothing. ptime is
// the packet time to ask for where it named none.
func (s *Stream) Propose(k Kind, codecs []Codec, ptime time.Duration, heard *Stream) {
	s.Kind, s.Rejected, s.Codecs = k, false, codecs
	s.Direction = SendRecv
	s.PTime, s.MaxPTime = 0, 0
	switch k {
	case Audio:
		s.PTime = ptime
	case Video:
		s.ask(func(Codec, Feedback) bool { return true })
	}
	if heard == nil {
		return
	}
	s.Direction = heard.Flow()
	if t := BelieveTime(heard.PTime); t != 0 {
		s.PTime = t
	}
	s.MaxPTime = BelieveTime(heard.MaxPTime)
}

// AnswerStream returns the answer to an offered stream, still without a transport. want is
// the direction that the other leg permits, ptime the packet time to ask for where the
// offer named none.
func AnswerStream(offered Stream, codecs []Codec, want Direction, ptime time.Duration) Stream {
	s := Stream{
		Name:      offered.Name,
		Kind:      offered.Kind,
		Direction: AnswerDirection(offered.Flow(), want),
		Codecs:    codecs,
		MaxPTime:  BelieveTime(offered.MaxPTime),
		PTime:     BelieveTime(offered.PTime),
	}
	if s.PTime == 0 && s.Kind == Audio {
		s.PTime = ptime
	}
	if s.Kind == Video {
		s.ask(func(c Codec, f Feedback) bool {
			i := Find(offered.Codecs, c)
			return slices.Contains(offered.Feedback, f) || i >= 0 && slices.Contains(offered.Codecs[i].Feedback, f)
		})
	}
	return s
}

// ask has the stream ask for feedback for pictures, codec by codec.
//
// COMPAT(Dino 0.4): takes none but what stands with a codec, though what stands for all means the
// same (RFC 4585 section 4.2, XEP-0293), and never asks for a whole picture then.
func (s *Stream) ask(may func(Codec, Feedback) bool) {
	s.Feedback = nil
	s.Codecs = slices.Clone(s.Codecs)
	for i, c := range s.Codecs {
		c = c.Clone()
		c.Feedback = nil
		for _, f := range PictureFeedback() {
			if may(c, f) {
				c.Feedback = append(c.Feedback, f)
			}
		}
		s.Codecs[i] = c
	}
}

// Trusted returns the fingerprints that are worth something: whole ones, of a hash that is
// not broken.
func (d *DTLS) Trusted() []Fingerprint {
	if d == nil {
		return nil
	}
	var good []Fingerprint
	for _, f := range d.Fingerprints {
		octets := map[string]int{"sha-256": 32, "sha-384": 48, "sha-512": 64}[strings.ToLower(f.Hash)]
		if octets > 0 && len(f.Value) == 3*octets-1 {
			good = append(good, f)
		}
	}
	return good
}
