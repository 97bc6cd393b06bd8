package audio

import (
	"bytes"
	"math"
	"math/bits"
	"time"
)

// A Match is where a reference was found in a recording.
type Match struct {
	Score float64       // normalised cross-correlation: 1 is the same but for loudness, 0 is nothing alike
	At    time.Duration // from the start of the recording
}

// Correlate looks for reference anywhere in recording. The score is the sum of products
// divided by the root of both energies over the reference's length, at the best place;
// a reference that is not wholly inside the recording counts what is missing as silence.
func Correlate(reference, recording []int16) Match {
	if len(reference) == 0 || len(recording) == 0 {
		return Match{}
	}
	energy := 0.0
	for _, s := range reference {
		energy += float64(s) * float64(s)
	}
	if energy == 0 {
		return Match{}
	}
	size := 1 << bits.Len(uint(len(reference)+len(recording)))
	a, b := make([]complex128, size), make([]complex128, size)
	for i, s := range recording {
		a[i] = complex(float64(s), 0)
	}
	for i, s := range reference {
		b[i] = complex(float64(s), 0)
	}
	transform(a, false)
	transform(b, false)
	for i := range a {
		a[i] *= complex(real(b[i]), -imag(b[i]))
	}
	transform(a, true)

	sums := make([]float64, len(recording)+1) // running energy of the recording
	for i, s := range recording {
		sums[i+1] = sums[i] + float64(s)*float64(s)
	}
	var best Match
	for lag := range recording {
		end := min(lag+len(reference), len(recording))
		heard := sums[end] - sums[lag]
		// A place that is nearly silent is no match, however alike its noise may be.
		if heard < energy/1e4 {
			continue
		}
		score := real(a[lag]) / float64(size) / math.Sqrt(energy*heard)
		if score > best.Score {
			best = Match{score, time.Duration(lag) * time.Second / Rate}
		}
	}
	return best
}

// transform is the fast Fourier transform in place; len(a) is a power of two. The inverse is not divided by the length.
func transform(a []complex128, inverse bool) {
	n := len(a)
	for i, j := 1, 0; i < n; i++ {
		bit := n >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		j ^= bit
		if i < j {
			a[i], a[j] = a[j], a[i]
		}
	}
	turn := -2 * math.Pi
	if inverse {
		turn = -turn
	}
	roots := make([]complex128, n/2)
	for i := range roots {
		sin, cos := math.Sincos(turn * float64(i) / float64(n))
		roots[i] = complex(cos, sin)
	}
	for length := 2; length <= n; length <<= 1 {
		half, step := length/2, n/length
		for start := 0; start < n; start += length {
			for k := range half {
				odd := a[start+k+half] * roots[k*step]
				even := a[start+k]
				a[start+k], a[start+k+half] = even+odd, even-odd
			}
		}
	}
}

// ToneShare returns which part of the recording's energy is a tone of hz hertz, from 0 to
// 1, and its level in decibels below full scale, by the Goertzel algorithm over blocks of
// 100 ms. Blocks of silence do not count.
func ToneShare(recording []int16, hz float64) (share, level float64) {
	const block = Rate / 10
	factor := 2 * math.Cos(2*math.Pi*hz/Rate)
	var tone, all float64
	blocks := 0
	for start := 0; start+block <= len(recording); start += block {
		var s1, s2, energy float64
		for _, sample := range recording[start : start+block] {
			x := float64(sample) / math.MaxInt16
			energy += x * x
			s1, s2 = x+factor*s1-s2, s1
		}
		if energy < 1e-4 {
			continue
		}
		power := s1*s1 + s2*s2 - factor*s1*s2
		tone += 2 * power / block // energy of a sine whose spectral power this is
		all += energy
		blocks++
	}
	if blocks == 0 {
		return 0, math.Inf(-1)
	}
	amplitude := math.Sqrt(2 * tone / float64(blocks*block))
	return min(1, tone/all), 20 * math.Log10(amplitude)
}

// Arrived returns which part of the sent frames is among the received ones, byte for byte
// and in the order sent, from 0 to 1.
func Arrived(sent, received [][]byte) float64 {
	if len(sent) == 0 {
		return 0
	}
	found, next := 0, 0
	for _, frame := range sent {
		for i := next; i < len(received); i++ {
			if bytes.Equal(frame, received[i]) {
				found++
				next = i + 1
				break
			}
		}
	}
	return float64(found) / float64(len(sent))
}
