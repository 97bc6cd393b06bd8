package audio

import (
	"bytes"
	"context"
	"math"
	"sync"
	"time"

	"github.com/pion/rtp"
)

// Limits of what a [Receiver] keeps, so that a flood cannot fill the memory of a test.
const (
	maxRecording = 120 * Rate // samples
	maxPayloads  = 6000       // two minutes of packets
	maxSources   = 16
	maxDigits    = 256
)

// Statistics are about the RTP that has been received.
type Statistics struct {
	Packets    uint64
	Bytes      uint64 // of payload
	Lost       uint64 // expected by sequence number but not seen (RFC 3550 appendix A.3)
	Duplicates uint64
	Reordered  uint64 // came after a packet with a higher sequence number
	Malformed  uint64 // not RTP at all
	Unknown    uint64 // of a payload type that was not negotiated
	Sources    int    // different SSRCs
	Jitter     time.Duration
	MaxJitter  time.Duration
	MaxGap     time.Duration // longest time between two packets
	First      time.Time     // arrival of the first packet
	Last       time.Time
}

// LossShare returns lost packets divided by expected ones.
func (s Statistics) LossShare() float64 {
	if s.Packets+s.Lost == 0 {
		return 0
	}
	return float64(s.Lost) / float64(s.Packets+s.Lost)
}

// A Receiver takes the RTP of one leg: it counts, keeps what it hears on the sender's time
// line, and tells whoever waits. The zero value is not ready; see [NewReceiver].
type Receiver struct {
	mu       sync.Mutex
	codecs   map[uint8]Codec
	sources  map[uint32]*source
	stats    Statistics
	pcm      []int16
	origin   timeline
	payloads [][]byte
	digits   []byte
	event    eventKey
	types    map[uint8]uint64
	changed  chan struct{} // closed and replaced at each packet
	latest   uint32        // source of the last packet
	feedback Feedback
	lastSR   uint32 // middle of the time stamp of the last sender report
	lastSRAt time.Time
}

// A source is the state of one SSRC (RFC 3550 appendix A.1 and A.8).
type source struct {
	base, highest uint64 // extended sequence numbers
	received      uint64
	seen          [1024]uint64 // the extended number last stored at number%1024, plus one
	transit       float64
	jitter        float64 // in seconds
	clocked       bool    // transit is valid
	rate          int     // clock rate in hertz
}

// A timeline says where a timestamp of one source belongs in the recording.
type timeline struct {
	ssrc  uint32
	base  uint32 // timestamp of sample at
	at    int    // index in the recording
	begun bool
}

type eventKey struct {
	ssrc, timestamp uint32
	valid           bool
}

// NewReceiver returns a receiver for the negotiated codecs.
func NewReceiver(codecs []Codec) *Receiver {
	r := &Receiver{sources: map[uint32]*source{}, types: map[uint8]uint64{}, changed: make(chan struct{})}
	r.SetCodecs(codecs)
	return r
}

// SetCodecs changes which payload types are known.
func (r *Receiver) SetCodecs(codecs []Codec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.codecs = map[uint8]Codec{}
	for _, c := range codecs {
		r.codecs[c.PayloadType] = c
	}
}

// Packet takes one packet as it came, decrypted.
func (r *Receiver) Packet(raw []byte, at time.Time) {
	var p rtp.Packet
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		close(r.changed)
		r.changed = make(chan struct{})
	}()
	if err := p.Unmarshal(raw); err != nil || p.Version != 2 {
		r.stats.Malformed++
		return
	}
	codec, ok := r.codecs[p.PayloadType]
	if !ok {
		r.stats.Unknown++
		return
	}
	r.types[p.PayloadType]++
	if !r.count(&p, codec, at) {
		return
	}
	switch {
	case codec.Event():
		r.hearDigit(&p)
	case codec.Linear():
		r.record(&p, codec.Decode(p.Payload))
		r.keep(p.Payload)
	default:
		r.keep(p.Payload)
	}
}

// count updates the statistics; false is a duplicate or one source too many.
func (r *Receiver) count(p *rtp.Packet, codec Codec, at time.Time) bool {
	s := r.sources[p.SSRC]
	if s == nil {
		if len(r.sources) == maxSources {
			return false
		}
		first := uint64(p.SequenceNumber) + 1<<16 // room for a packet that comes before the first
		s = &source{base: first, highest: first}
		r.sources[p.SSRC] = s
		r.stats.Sources++
	}
	number := extend(s.highest, p.SequenceNumber)
	slot := &s.seen[number%uint64(len(s.seen))]
	if *slot == number+1 {
		r.stats.Duplicates++
		return false
	}
	*slot = number + 1
	if number < s.highest {
		r.stats.Reordered++
	}
	s.base = min(s.base, number)
	s.highest = max(s.highest, number)
	s.received++

	r.latest = p.SSRC
	r.stats.Packets++
	r.stats.Bytes += uint64(len(p.Payload))
	if r.stats.First.IsZero() {
		r.stats.First = at
	} else {
		r.stats.MaxGap = max(r.stats.MaxGap, at.Sub(r.stats.Last))
	}
	r.stats.Last = at
	if codec.Event() || codec.ClockRate <= 0 {
		return true // packets of an event share one timestamp
	}
	// Only the difference of transit times counts, so each may have its own origin.
	transit := at.Sub(r.stats.First).Seconds() - float64(p.Timestamp)/float64(codec.ClockRate)
	if s.clocked {
		d := math.Abs(transit - s.transit)
		if d < 5 { // else the clock wrapped or the sender began anew
			s.jitter += (d - s.jitter) / 16
			r.stats.MaxJitter = max(r.stats.MaxJitter, time.Duration(s.jitter*float64(time.Second)))
		}
	}
	s.transit, s.clocked, s.rate = transit, true, codec.ClockRate
	r.stats.Jitter = time.Duration(s.jitter * float64(time.Second))
	return true
}

// extend returns the 64-bit sequence number nearest to highest whose low 16 bits are n.
func extend(highest uint64, n uint16) uint64 {
	return highest + uint64(int64(int16(n-uint16(highest))))
}

// record puts samples where their timestamp says. A new source or a jump of more than two
// seconds starts anew at the end of what there is.
func (r *Receiver) record(p *rtp.Packet, samples []int16) {
	offset := int(int32(p.Timestamp - r.origin.base))
	if !r.origin.begun || p.SSRC != r.origin.ssrc || offset > len(r.pcm)-r.origin.at+2*Rate || offset < -2*Rate {
		r.origin = timeline{ssrc: p.SSRC, base: p.Timestamp, at: len(r.pcm), begun: true}
		offset = 0
	}
	start := r.origin.at + offset
	if start < 0 || start+len(samples) > maxRecording {
		return
	}
	for len(r.pcm) < start+len(samples) {
		r.pcm = append(r.pcm, 0)
	}
	copy(r.pcm[start:], samples)
}

func (r *Receiver) keep(payload []byte) {
	if len(r.payloads) < maxPayloads {
		r.payloads = append(r.payloads, bytes.Clone(payload))
	}
}

// hearDigit notes an event when its end comes, once.
func (r *Receiver) hearDigit(p *rtp.Packet) {
	if len(p.Payload) < 4 || p.Payload[1]&0x80 == 0 || int(p.Payload[0]) >= len(digits) || len(r.digits) == maxDigits {
		return
	}
	key := eventKey{p.SSRC, p.Timestamp, true}
	if key == r.event {
		return
	}
	r.event = key
	r.digits = append(r.digits, digits[p.Payload[0]])
}

// Statistics returns the counts so far.
func (r *Receiver) Statistics() Statistics {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.stats
	for _, s := range r.sources {
		if expected := s.highest - s.base + 1; expected > s.received {
			stats.Lost += expected - s.received
		}
	}
	return stats
}

// PayloadTypes returns how many packets came with each negotiated payload type.
func (r *Receiver) PayloadTypes() map[uint8]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[uint8]uint64{}
	for k, v := range r.types {
		out[k] = v
	}
	return out
}

// Recording returns what was heard, at [Rate], gaps as silence; at most two minutes.
func (r *Receiver) Recording() []int16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]int16(nil), r.pcm...)
}

// Payloads returns the payloads in the order they came, events excepted; at most 6,000.
func (r *Receiver) Payloads() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.payloads...)
}

// Digits returns the telephone-events that have ended.
func (r *Receiver) Digits() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.digits)
}

// Wait returns when done does, which is asked now and after each packet; an error is ctx's.
func (r *Receiver) Wait(ctx context.Context, done func(Statistics) bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if done(r.Statistics()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WaitMatch waits until reference is heard with a score of at least least, and returns the
// best match so far; an error is ctx's. The match's place counts from the recording's start.
func (r *Receiver) WaitMatch(ctx context.Context, reference []int16, least float64) (Match, error) {
	var (
		best  Match
		tried int
	)
	err := r.Wait(ctx, func(Statistics) bool {
		r.mu.Lock()
		length := len(r.pcm)
		if length-tried < Rate/4 || length < len(reference)*9/10 {
			r.mu.Unlock()
			return false
		}
		tried = length
		from := max(0, length-len(reference)-3*Rate)
		tail := append([]int16(nil), r.pcm[from:]...)
		r.mu.Unlock()
		m := Correlate(reference, tail)
		m.At += time.Duration(from) * time.Second / Rate
		if m.Score > best.Score {
			best = m
		}
		return best.Score >= least
	})
	return best, err
}
