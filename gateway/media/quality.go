package media

import (
	"math"
	"strings"
	"time"
)

// A Quality is how speech comes through one leg in one direction.
type Quality struct {
	Expected int64 // packets, by sequence numbers; 0 while nothing is known
	Lost     int64 // of them
	Jitter   time.Duration
	MOS      float64 // see [Quality.Rate]; 0 while it is not known
}

// Loss is the share of the packets that was lost, from 0 to 1.
func (q Quality) Loss() float64 {
	if q.Expected <= 0 {
		return 0
	}
	return min(max(float64(q.Lost)/float64(q.Expected), 0), 1)
}

// A Voice is what a peer itself says of the speech it is sent, by VoIP metrics of RTCP XR
// (RFC 3611 section 4.7).
type Voice struct {
	Reports int64   // so far; 0 for a peer that says nothing of the kind
	Loss    float64 // share of the packets that were lost
	Discard float64 // and that came too late or too early to be played
	Delay   time.Duration
	// MOS is its opinion score of the conversation, or else of listening; 0 if it has none.
	MOS float64
}

// A Silence says when speech should have come from a peer and did not: its media was
// connected and nobody held.
type Silence struct {
	Never   bool          // no packet has ever come, though it was time for some
	Gaps    int64         // how often it stopped for too long
	Longest time.Duration // of these times; still growing if it lasts
}

// What is assumed of a receiver, for RTCP does not say it.
const (
	frame     = 20 * time.Millisecond // of speech in a packet
	minBuffer = 40 * time.Millisecond // that a receiver waits for late packets, at the least
	leastSeen = 50                    // packets, 1 s of speech: fewer are not rated
)

// Rate works out the mean opinion score of a codec's speech, as if the leg were the whole
// way: from the loss, half the round trip (0 for unknown), the packet, and a jitter buffer
// that waits twice the jitter.
func (q *Quality) Rate(codec string, trip time.Duration) {
	q.MOS = 0
	if r, ok := q.Rating(codec, trip); ok {
		q.MOS = MOS(r)
	}
}

// Rating is the rating factor that Rate works with. It is not ok for a codec whose figures are
// not known, or while too little is.
func (q Quality) Rating(codec string, trip time.Duration) (r float64, ok bool) {
	if !q.Rated() {
		return 0, false
	}
	return Rating(codec, q.Loss(), trip/2+frame+max(minBuffer, 2*q.Jitter))
}

// Rated reports whether enough is known for a score.
func (q Quality) Rated() bool { return q.Expected >= leastSeen }

// Hear rates speech anew by what its receiver says of it: packets that it discarded are as good
// as lost, and it knows how long it waits for late ones. Where the codec has no figures, its
// own score counts.
func (q *Quality) Hear(v Voice, codec string, trip time.Duration) {
	if v.Reports == 0 || !q.Rated() {
		return
	}
	delay := frame + max(minBuffer, 2*q.Jitter)
	if v.Delay > 0 {
		delay = v.Delay
	}
	if r, ok := Rating(codec, min(q.Loss()+v.Discard, 1), trip/2+delay); ok {
		q.MOS = MOS(r)
	} else {
		q.MOS = min(v.MOS, MOS(100))
	}
}

// impairments are what codecs cost by themselves, and how they bear loss: Ie and Bpl of
// ITU-T G.113 Appendix I. Receivers are taken to conceal losses.
//
// The scale is that of the telephone band, so that all legs can be compared: G.722 and Opus
// sound better than it can say (G.107.1 has a scale for them). For their loss it has no
// figure that fits: G.722 is taken for G.711, which is concealed alike, and Opus to bear
// less, for its frames depend on those before.
var impairments = map[string]struct{ ie, bpl float64 }{
	"pcmu": {0, 25.1},
	"pcma": {0, 25.1},
	"g722": {0, 25.1},
	"opus": {0, 20},
	"g729": {11, 19}, // Annex A with silence suppression
	"g723": {15, 16.1},
}

// Rating is the rating factor R of the E-model (ITU-T G.107 section 7.1), from 0 to 93.2, with
// everything but codec, loss and delay at its default: without echo, and with losses that
// fall at random. Loss is a share from 0 to 1, delay one way from mouth to ear. It is not
// ok for a codec whose figures are not known.
func Rating(codec string, loss float64, delay time.Duration) (r float64, ok bool) {
	const undisturbed, worst = 93.2, 95
	c, ok := impairments[strings.ToLower(codec)]
	if !ok {
		return 0, false
	}
	percent := 100 * min(max(loss, 0), 1)
	equipment := c.ie + (worst-c.ie)*percent/(percent+c.bpl) // (7-29), BurstR = 1
	return max(undisturbed-delayed(delay)-equipment, 0), true
}

// delayed is Idd, what a long way costs by itself (G.107 section 7.4, (7-27) and (7-28)).
func delayed(d time.Duration) float64 {
	const free = 100 * time.Millisecond
	if d <= free {
		return 0
	}
	x := math.Log2(float64(d) / float64(free))
	sixth := func(y float64) float64 { return math.Pow(1+math.Pow(y, 6), 1./6) }
	return 25 * (sixth(x) - 3*sixth(x/3) + 2)
}

// MOS turns a rating factor into the opinion score of a conversation, from 1 to 4.5
// (G.107 Annex B).
func MOS(r float64) float64 {
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1+0.035*r+r*(r-60)*(100-r)*7e-6, 1)
}
