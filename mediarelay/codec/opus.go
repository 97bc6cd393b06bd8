package codec

import (
	"time"

	"github.com/thesyncim/gopus"
)

const (
	opusMost = 1275 // octets of a packet that we make: one frame (RFC 6716 section 3.4)
	// opusComplexity is the effort of encoding, of 10: above it, speech gains little.
	opusComplexity = 5
	// opusLoss is the loss that FEC is meant for, in percent.
	opusLoss = 10
)

// bitrateOf returns the bitrate that suits speech of a rate of samples, in bits a second
// (RFC 7587 section 3.1.1), with room for FEC.
func bitrateOf(rate int, o EncoderOptions) int {
	bits := o.Bitrate
	if bits <= 0 {
		switch rate {
		case 8000:
			bits = 24000
		case 16000:
			bits = 28000
		default:
			bits = 32000
		}
		if o.FEC {
			bits += bits / 3
		}
	}
	return min(max(bits, 6000), 510000)
}

// stretch returns how much of a payload's place can be made up by Opus: whole quarters of
// 10 ms, at most Longest.
func stretch(n, rate int) int {
	return min(n-n%(rate/400), samplesIn(Longest, rate))
}

// A goDecoder is Opus in Go.
type goDecoder struct {
	dec     *gopus.Decoder
	rate    int
	scratch []float32
}

func newGoDecoder(rate int) *goDecoder {
	dec, err := gopus.NewDecoder(gopus.DefaultDecoderConfig(rate, 1))
	if err != nil {
		panic("opus decoder: " + err.Error()) // the rate is one of ours
	}
	return &goDecoder{dec, rate, make([]float32, samplesIn(Longest, rate))}
}

func (d *goDecoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 {
		return 0, ErrMalformed
	}
	n, err := d.dec.Decode(payload, d.scratch)
	if err != nil || n > len(pcm) {
		return 0, ErrMalformed
	}
	return d.give(pcm, n), nil
}

func (d *goDecoder) Conceal(pcm []int16, next []byte) {
	for len(pcm) > 0 {
		n := stretch(len(pcm), d.rate)
		if n == 0 {
			clear(pcm)
			return
		}
		var err error
		if next != nil && n == len(pcm) {
			_, err = d.dec.DecodeWithFEC(next, d.scratch[:n], true)
		} else {
			_, err = d.dec.Decode(nil, d.scratch[:n])
		}
		if err != nil {
			clear(d.scratch[:n])
		}
		pcm = pcm[d.give(pcm, n):]
	}
}

// give rounds samples as the reference does (RFC 6716, opus_decode).
func (d *goDecoder) give(pcm []int16, n int) int {
	for i, v := range d.scratch[:n] {
		pcm[i] = toInt16(v)
	}
	return n
}

func toInt16(v float32) int16 {
	v *= 32768
	switch {
	case v >= 32767:
		return 32767
	case v <= -32768:
		return -32768
	case v >= 0:
		return int16(v + 0.5)
	}
	return int16(v - 0.5)
}

// A goEncoder is Opus in Go.
type goEncoder struct {
	enc     *gopus.Encoder
	scratch [opusMost]byte
}

func newGoEncoder(rate int, o EncoderOptions) *goEncoder {
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: rate, Channels: 1, Application: gopus.ApplicationVoIP})
	if err == nil {
		err = enc.SetFrameSize(samplesIn(o.Frame, rate))
	}
	if err == nil {
		err = enc.SetBitrate(bitrateOf(rate, o))
	}
	if err == nil {
		err = enc.SetComplexity(opusComplexity)
	}
	if err == nil && o.FEC {
		enc.SetFEC(true)
		err = enc.SetPacketLoss(opusLoss)
	}
	if err != nil {
		panic("opus encoder: " + err.Error()) // the options are ours
	}
	enc.SetDTX(o.DTX)
	return &goEncoder{enc: enc}
}

func (e *goEncoder) Encode(to []byte, pcm []int16) []byte {
	n, err := e.enc.EncodeInt16(pcm, e.scratch[:])
	return opusPacket(to, e.scratch[:], n, err)
}

// opusPacket appends a packet, unless it needs not be sent: up to two octets say that
// nothing is said, as one packet in 400 ms does at most (RFC 6716, opus_encode).
func opusPacket(to, packet []byte, n int, err error) []byte {
	if err != nil || n <= 2 {
		return to
	}
	return append(to, packet[:n]...)
}

// OpusFrame returns the packet time nearest below that one frame of Opus can have.
func OpusFrame(d time.Duration) time.Duration {
	for _, frame := range []time.Duration{60, 40, 20} {
		if d >= frame*time.Millisecond {
			return frame * time.Millisecond
		}
	}
	return 10 * time.Millisecond
}
