package codec

import (
	"fmt"
	"math"
	"testing"
)

// sine returns half a second of a sine.
func sine(hz float64, rate int) []int16 {
	pcm := make([]int16, rate/2)
	for i := range pcm {
		pcm[i] = int16(math.Round(16000 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return pcm
}

// toneAndRest returns the level of a sine in pcm, and that of all else, in decibels.
func toneAndRest(pcm []int16, hz float64, rate int) (tone, rest float64) {
	pcm = pcm[len(pcm)/4:]
	pcm = pcm[:len(pcm)/(rate/100)*(rate/100)] // whole periods of multiples of 100 Hz
	var re, im, all float64
	for i, v := range pcm {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / float64(rate))
		re += float64(v) * cos
		im += float64(v) * sin
		all += float64(v) * float64(v)
	}
	n := float64(len(pcm))
	power := 2 * (re*re + im*im) / n / n
	return 10 * math.Log10(power+1e-9), 10 * math.Log10(max(all/n-power, 1e-9))
}

var ratePairs = [][2]int{{8000, 16000}, {16000, 8000}, {8000, 48000}, {48000, 8000}, {16000, 48000}, {48000, 16000}}

func TestResampleKeepsTones(t *testing.T) {
	for _, r := range ratePairs {
		for _, part := range []float64{0.0125, 0.125, 0.3, 0.4} {
			hz := math.Round(part*float64(min(r[0], r[1]))/100) * 100
			t.Run(fmt.Sprintf("%d to %d at %v", r[0], r[1], hz), func(t *testing.T) {
				in := sine(hz, r[0])
				out := NewResampler(r[0], r[1]).Resample(nil, in)
				if len(out) != len(in)*r[1]/r[0] {
					t.Errorf("%d samples became %d", len(in), len(out))
				}
				was, _ := toneAndRest(in, hz, r[0])
				tone, rest := toneAndRest(out, hz, r[1])
				if math.Abs(tone-was) > 0.1 {
					t.Errorf("the tone changed by %.2f dB", tone-was)
				}
				if tone-rest < 70 {
					t.Errorf("all else is only %.1f dB below the tone", tone-rest)
				}
			})
		}
	}
}

func TestResampleRejectsAliases(t *testing.T) {
	for _, r := range ratePairs {
		if r[0] < r[1] {
			continue
		}
		for _, part := range []float64{0.525, 0.6, 0.9} {
			hz := math.Round(part*float64(r[1])/100) * 100
			if hz >= float64(r[0])/2 {
				continue
			}
			out := NewResampler(r[0], r[1]).Resample(nil, sine(hz, r[0]))
			if d := levelOf(sine(hz, r[0])) - levelOf(out[len(out)/4:]); d < 70 {
				t.Errorf("%d to %d: %v Hz is only %.1f dB lower", r[0], r[1], hz, d)
			}
		}
	}
}

// TestResampleInPieces says that the cut of packets is not heard.
func TestResampleInPieces(t *testing.T) {
	for _, r := range ratePairs {
		in := sine(700, r[0])
		whole := NewResampler(r[0], r[1]).Resample(nil, in)
		var parts []int16
		p := NewResampler(r[0], r[1])
		for at, n := 0, 1; at < len(in); n = n%97 + 1 {
			end := min(at+n, len(in))
			parts = p.Resample(parts, in[at:end])
			at = end
		}
		if len(parts) != len(whole) {
			t.Fatalf("%v: %d samples in pieces, %d at once", r, len(parts), len(whole))
		}
		for i := range whole {
			if whole[i] != parts[i] {
				t.Fatalf("%v: sample %d differs", r, i)
			}
		}
	}
}

func BenchmarkResample(b *testing.B) {
	for _, r := range ratePairs {
		b.Run(fmt.Sprintf("%d to %d", r[0], r[1]), func(b *testing.B) {
			p, in := NewResampler(r[0], r[1]), sine(700, r[0])[:r[0]/50]
			out := make([]int16, 0, r[1]/50+1)
			b.ReportAllocs()
			for b.Loop() {
				p.Resample(out, in)
			}
		})
	}
}
