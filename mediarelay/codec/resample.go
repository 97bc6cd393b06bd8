package codec

import "math"

// resampleTaps is the length of a resampler's filter in samples of the lower rate: with
// resampleBeta it passes 0.43 of that rate and stops, by 80 dB, what is above 0.51.
const (
	resampleTaps = 64
	resampleBeta = 8.0
	resampleEdge = 0.47
)

// A Resampler changes the rate of samples, by filters of many phases.
type Resampler struct {
	up, down int
	phases   [][]float32 // taps, the oldest sample's first
	memory   []float32   // the last samples, then those that come
	phase    int
}

// NewResampler returns a resampler between rates in hertz; 20 ms has a whole number of
// samples at either.
func NewResampler(from, to int) *Resampler {
	a, b := from, to
	for b != 0 {
		a, b = b, a%b
	}
	r := &Resampler{up: to / a, down: from / a}
	most := max(r.up, r.down)
	length := resampleTaps * most
	taps := (length + r.up - 1) / r.up
	r.phases = make([][]float32, r.up)
	for p := range r.phases {
		r.phases[p] = make([]float32, taps)
		for i := range r.phases[p] {
			x := float64(i*r.up + p - length/2) // delays by a whole number of samples
			r.phases[p][taps-1-i] = float32(float64(r.up) * lowPass(x, resampleEdge/float64(most)) * kaiser(x/(float64(length)/2)))
		}
	}
	r.memory = make([]float32, taps-1, taps-1+samplesIn(Longest, from))
	return r
}

// Resample appends the samples of pcm at the other rate.
func (r *Resampler) Resample(to, pcm []int16) []int16 {
	before := len(r.memory)
	for _, v := range pcm {
		r.memory = append(r.memory, float32(v))
	}
	at := r.phase / r.up // of the newest sample of the next sum, from the first that came
	for phase := r.phase % r.up; at < len(pcm); {
		sum, newest := float32(0), before+at
		taps := r.phases[phase]
		window := r.memory[newest-before:][:len(taps)]
		for i, c := range taps {
			sum += c * window[i]
		}
		to = append(to, int16(min(max(math.Round(float64(sum)), -32768), 32767)))
		phase += r.down
		at += phase / r.up
		phase %= r.up
		r.phase = at*r.up + phase
	}
	r.phase -= len(pcm) * r.up
	copy(r.memory, r.memory[len(pcm):])
	r.memory = r.memory[:before]
	return to
}

// lowPass is the ideal filter's answer at x samples, of an edge in parts of the rate.
func lowPass(x, edge float64) float64 {
	if x == 0 {
		return 2 * edge
	}
	return math.Sin(2*math.Pi*edge*x) / (math.Pi * x)
}

// kaiser is the window at x from -1 to 1.
func kaiser(x float64) float64 {
	if x < -1 || x > 1 {
		return 0
	}
	return bessel(resampleBeta*math.Sqrt(1-x*x)) / bessel(resampleBeta)
}

// bessel is the modified Bessel function of order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for i := 1.0; term > 1e-12*sum; i++ {
		term *= x * x / (4 * i * i)
		sum += term
	}
	return sum
}
