//go:build libopus

package codec

import (
	"fmt"
	"math"
	"testing"
	"time"

	"sipxmppgw/test/peer/audio"
)

// TestOpusDecodersAgree decodes the same packets by both, with losses, and compares the
// samples.
func TestOpusDecodersAgree(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		for _, frame := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
			for _, loss := range []int{0, 10} {
				t.Run(fmt.Sprintf("%d %v one in %d lost", rate, frame, loss), func(t *testing.T) {
					o := EncoderOptions{Frame: frame, FEC: true}
					e, g, c := newCEncoder(rate, o), newGoDecoder(rate), newCDecoder(rate)
					step, in, lost := samplesIn(frame, rate), speech(rate), every(loss)
					var packets [][]byte
					for ; len(in) >= step; in = in[step:] {
						packets = append(packets, e.Encode(nil, in[:step]))
					}
					x, y := make([]int16, samplesIn(Longest, rate)), make([]int16, samplesIn(Longest, rate))
					var noise, signal float64
					for i, p := range packets {
						if lost(i) && i+1 < len(packets) {
							g.Conceal(x[:step], packets[i+1])
							c.Conceal(y[:step], packets[i+1])
						} else {
							n, err := g.Decode(x, p)
							m, err2 := c.Decode(y, p)
							if n != m || err != nil || err2 != nil {
								t.Fatal(n, m, err, err2)
							}
						}
						for i := range step {
							d := float64(x[i]) - float64(y[i])
							noise += d * d
							signal += float64(y[i]) * float64(y[i])
						}
					}
					snr := 10 * math.Log10(signal/(noise+1e-9))
					t.Logf("%.1f dB", snr)
					if want := 60.0; loss == 0 && snr < want {
						t.Errorf("they differ: %.1f dB, want %.1f", snr, want)
					}
					if want := 20.0; loss > 0 && snr < want {
						t.Errorf("they differ under loss: %.1f dB, want %.1f", snr, want)
					}
				})
			}
		}
	}
}

// TestOpusEncodersAgree compares what libopus hears of either encoder.
func TestOpusEncodersAgree(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		in := speech(rate)
		o := EncoderOptions{Frame: 20 * time.Millisecond, FEC: true}
		score := func(e Encoder) float64 {
			out := carry(e, newCDecoder(rate), in, rate, every(0))
			return audio.Correlate(at8000(in, rate), append(at8000(out, rate), make([]int16, 800)...)).Score
		}
		ours, theirs := score(newGoEncoder(rate, o)), score(newCEncoder(rate, o))
		t.Logf("%d: %.4f, libopus %.4f", rate, ours, theirs)
		if ours < theirs-0.01 {
			t.Errorf("at %d speech correlates by %.4f, of libopus by %.4f", rate, ours, theirs)
		}
	}
}

func TestOpusDecodersRefuseTheSame(t *testing.T) {
	state := uint32(3)
	x, y := make([]int16, 960), make([]int16, 960)
	for range 2000 {
		p := make([]byte, state>>20%64)
		for i := range p {
			state = state*1664525 + 1013904223
			p[i] = byte(state >> 24)
		}
		state = state*1664525 + 1013904223
		n, err := newGoDecoder(8000).Decode(x, p)
		m, err2 := newCDecoder(8000).Decode(y, p)
		if n != m || err != err2 {
			t.Fatalf("%x: %d %v, libopus %d %v", p, n, err, m, err2)
		}
	}
}
