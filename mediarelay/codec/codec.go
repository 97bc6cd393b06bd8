// Package codec turns the speech of one codec into that of another: decoders, encoders,
// concealment of loss, comfort noise, resampling, a jitter buffer, and the transcoder that
// puts them together.
//
// The package is pure: times are passed in, nothing is shared, nothing waits. Samples are
// linear, of 16 bits, one channel.
package codec

import (
	"errors"
	"strings"
	"time"
)

// A Kind is a codec that is known here.
type Kind uint8

const (
	PCMU Kind = iota // ITU-T G.711, mu-law
	PCMA             // ITU-T G.711, A-law
	G722             // ITU-T G.722 at 64 kbit/s
	Opus             // RFC 6716, RFC 7587
)

// KindOf returns the codec of a name as it is registered (RFC 3551, RFC 7587); ok is
// false if it is not known here.
func KindOf(name string) (k Kind, ok bool) {
	for k, n := range names {
		if strings.EqualFold(n, name) {
			return Kind(k), true
		}
	}
	return 0, false
}

var names = [...]string{PCMU: "PCMU", PCMA: "PCMA", G722: "G722", Opus: "opus"}

// String returns the registered name.
func (k Kind) String() string { return names[k] }

// Clock returns the rate of the codec's RTP timestamps in hertz. G.722 counts 8000
// although it has 16000 samples a second (RFC 3551 section 4.5.2).
func (k Kind) Clock() int {
	if k == Opus {
		return 48000
	}
	return 8000
}

// Rate returns the rate of samples that suits the codec beside another, in hertz: Opus
// takes the other's.
func (k Kind) Rate(other Kind) int {
	switch {
	case k == Opus && other == Opus:
		return 48000
	case k == Opus:
		return other.Rate(k)
	case k == G722:
		return 16000
	}
	return 8000
}

// Longest is how much speech a packet holds at most (RFC 6716 section 2.1.4).
const Longest = 120 * time.Millisecond

// ErrMalformed says that a payload is none of its codec.
var ErrMalformed = errors.New("malformed payload")

// A Decoder turns the payloads of one stream into samples. It keeps the stream's state.
type Decoder interface {
	// Decode writes the samples of a payload to pcm, which has room for Longest, and
	// returns their number. The error is ErrMalformed.
	Decode(pcm []int16, payload []byte) (n int, err error)
	// Conceal fills pcm with what may have been lost. next is the payload after the one
	// that was lost, which may hold a copy of it; nil if it is not known.
	Conceal(pcm []int16, next []byte)
}

// An Encoder turns samples into the payloads of one stream. It keeps the stream's state.
type Encoder interface {
	// Encode appends the payload of a packet's samples. Nothing is appended if nothing
	// needs to be sent.
	Encode(to []byte, pcm []int16) []byte
}

// EncoderOptions say how Opus is encoded; the other codecs have no choice.
type EncoderOptions struct {
	Frame   time.Duration // of a packet: 10, 20, 40 or 60 ms
	Bitrate int           // in bits a second; 0 for what suits the rate of samples
	FEC     bool          // packets hold a coarse copy of the one before
	DTX     bool          // silence is not sent
}

// NewDecoder returns a decoder to samples at a rate in hertz: 8000 for G.711, 16000 for
// G.722, 8000, 16000 or 48000 for Opus.
func NewDecoder(k Kind, rate int) Decoder {
	switch k {
	case Opus:
		return newOpusDecoder(rate)
	case G722:
		return &g722Decoder{low: newBand(32), high: newBand(8), loss: newConcealer(rate)}
	case PCMA:
		return &g711Decoder{linear: &linearA, loss: newConcealer(rate)}
	case PCMU:
	}
	return &g711Decoder{linear: &linearMu, loss: newConcealer(rate)}
}

// NewEncoder returns an encoder of samples at a rate in hertz, as for NewDecoder.
func NewEncoder(k Kind, rate int, o EncoderOptions) Encoder {
	switch k {
	case Opus:
		return newOpusEncoder(rate, o)
	case G722:
		return &g722Encoder{low: newBand(32), high: newBand(8)}
	case PCMA:
		return g711Encoder{encodeA}
	case PCMU:
	}
	return g711Encoder{encodeMu}
}

// samplesIn returns how many samples a time has.
func samplesIn(d time.Duration, rate int) int { return int(d * time.Duration(rate) / time.Second) }

// saturate limits a sum to 16 bits.
func saturate(v int) int { return min(max(v, -32768), 32767) }
