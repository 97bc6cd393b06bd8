package codec

import "math"

// noiseOrder is how many reflection coefficients of noise are used and made
// (RFC 3389 section 3.2 leaves that open).
const noiseOrder = 8

// A Noise makes comfort noise from its description (RFC 3389).
type Noise struct {
	excitation float64 // its root mean square
	k          [noiseOrder]float64
	memory     [noiseOrder + 1]float64
	seed       uint32
}

// Set takes a payload: a level, and coefficients of a filter, if any. The error is
// ErrMalformed.
func (n *Noise) Set(payload []byte) error {
	if len(payload) == 0 {
		return ErrMalformed
	}
	n.k = [noiseOrder]float64{}
	gain := 1.0
	for i, b := range payload[1:min(len(payload), 1+noiseOrder)] {
		n.k[i] = 258 * float64(min(int(b), 254)-127) / 32768 // section 3.2
		gain *= 1 - n.k[i]*n.k[i]
	}
	n.excitation = 32767 * math.Pow(10, -float64(payload[0]&0x7f)/20) * math.Sqrt(gain)
	return nil
}

// Fill makes noise.
func (n *Noise) Fill(pcm []int16) {
	for i := range pcm {
		f := n.excitation * n.random()
		for j := noiseOrder - 1; j >= 0; j-- { // a lattice of all poles
			f -= n.k[j] * n.memory[j]
			n.memory[j+1] = n.memory[j] + n.k[j]*f
		}
		n.memory[0] = f
		pcm[i] = int16(min(max(math.Round(f), -32768), 32767))
	}
}

// random returns a number of mean 0 and variance 1, nearly normal.
func (n *Noise) random() float64 {
	sum := 0.0
	for range 3 {
		n.seed = n.seed*1664525 + 1013904223
		sum += float64(n.seed>>8)/(1<<23) - 1
	}
	return sum
}

// DescribeNoise appends the payload of comfort noise that sounds like pcm (RFC 3389
// section 3).
func DescribeNoise(to []byte, pcm []int16) []byte {
	var r [noiseOrder + 1]float64
	for lag := range r {
		for i := lag; i < len(pcm); i++ {
			r[lag] += float64(pcm[i]) * float64(pcm[i-lag])
		}
	}
	level := 127.0
	if r[0] > 0 {
		level = -20 * math.Log10(math.Sqrt(r[0]/float64(len(pcm)))/32767)
	}
	to = append(to, byte(min(max(math.Round(level), 0), 127)))
	if r[0] == 0 {
		return to
	}
	for _, k := range reflections(r) {
		to = append(to, byte(min(max(math.Round(k*32768/258), -127), 127)+127))
	}
	return to
}

// reflections returns the reflection coefficients of a signal by its autocorrelation
// (Levinson's recursion).
func reflections(r [noiseOrder + 1]float64) (k [noiseOrder]float64) {
	var a [noiseOrder + 1]float64
	a[0] = 1
	r[0] *= 1.0001 // keeps it stable
	rest := r[0]
	for i := 1; i <= noiseOrder; i++ {
		sum := 0.0
		for j := range i {
			sum += a[j] * r[i-j]
		}
		k[i-1] = -sum / rest
		before := a
		for j := 1; j <= i; j++ {
			a[j] = before[j] + k[i-1]*before[i-j]
		}
		rest *= 1 - k[i-1]*k[i-1]
	}
	return k
}
