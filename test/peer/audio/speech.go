package audio

import (
	"math"
	"time"
)

// Rate is the sampling rate of all sound in this package, in hertz.
const Rate = 8000

// A sound is one sound of the made-up language that Speech speaks.
type sound struct {
	formants [3]float64 // centre frequencies in hertz; all zero is a hiss
	length   float64    // in seconds
	level    float64    // 0 is a pause
}

// The vowels are roughly ah, ee, oo, eh and oh; a formant of zero makes it a fricative.
var (
	ah   = [3]float64{730, 1090, 2440}
	ee   = [3]float64{270, 2290, 3010}
	oo   = [3]float64{300, 870, 2240}
	eh   = [3]float64{530, 1840, 2480}
	oh   = [3]float64{570, 840, 2410}
	hiss = [3]float64{}
)

// A Voice is one of the speakers of [Speech]; they say different things at different pitch.
type Voice uint8

// The two speakers, one for each direction of a call.
const (
	Low  Voice = iota // about 110 Hz
	High              // about 190 Hz
)

func script(v Voice) (pitch float64, sounds []sound) {
	if v == High {
		return 190, []sound{
			{hiss, 0.09, 0.25},
			{ee, 0.19, 1},
			{oh, 0.16, 0.9},
			{ah, 0.05, 0},
			{eh, 0.21, 1},
			{hiss, 0.12, 0.3},
			{oo, 0.24, 0.9},
			{ah, 0.17, 1},
			{ah, 0.12, 0},
			{oh, 0.22, 1},
			{ee, 0.14, 0.8},
			{hiss, 0.08, 0.25},
			{eh, 0.18, 1},
			{ah, 0.27, 0.9},
			{ah, 0.08, 0},
			{oo, 0.15, 0.9},
			{ee, 0.23, 1},
			{hiss, 0.1, 0.3},
			{oh, 0.4, 0.8},
		}
	}
	return 110, []sound{
		{ah, 0.22, 1},
		{oo, 0.18, 0.8},
		{hiss, 0.11, 0.3},
		{eh, 0.2, 1},
		{ah, 0.07, 0},
		{oh, 0.25, 1},
		{ee, 0.17, 0.9},
		{hiss, 0.07, 0.25},
		{ah, 0.16, 1},
		{ee, 0.21, 0.9},
		{ah, 0.15, 0},
		{oo, 0.19, 0.9},
		{hiss, 0.13, 0.3},
		{oh, 0.14, 1},
		{eh, 0.26, 1},
		{ah, 0.06, 0},
		{ee, 0.15, 0.9},
		{ah, 0.24, 1},
		{oo, 0.24, 0.7},
	}
}

// Speech returns three seconds of something like speech at [Rate]: a buzzing source with
// moving pitch through three moving resonances, hisses and pauses. It is the same every
// time, has no period, and so has one sharp peak of correlation; the two voices correlate
// with each other hardly at all.
func Speech(v Voice) []int16 {
	const length = 3 * Rate
	pitch, sounds := script(v)
	noise := uint32(0x9e3779b9) + uint32(v)
	random := func() float64 { // from -1 to 1 (xorshift)
		noise ^= noise << 13
		noise ^= noise >> 17
		noise ^= noise << 5
		return float64(noise)/float64(math.MaxUint32)*2 - 1
	}
	out := make([]float64, 0, length)
	var (
		filter [3]resonance
		now    = ah
		phase  float64
	)
	for _, s := range sounds {
		samples := int(s.length * Rate)
		for i := range samples {
			if len(out) == length {
				break
			}
			t := float64(len(out)) / Rate
			hz := pitch * (1 + 0.12*math.Sin(2*math.Pi*0.9*t) + 0.05*math.Sin(2*math.Pi*3.7*t))
			phase += hz / Rate
			source := 0.02 * random()
			if phase >= 1 {
				phase--
				source++
			}
			if s.formants == hiss {
				source = 0.6 * random()
			} else {
				for f := range now { // the mouth moves, it does not jump
					now[f] += (s.formants[f] - now[f]) * 0.004
				}
			}
			value := 0.0
			for f := range filter {
				filter[f].tune(now[f], 60+40*float64(f))
				value += filter[f].pass(source) / float64(f+1)
			}
			if s.formants == hiss {
				value = source
			}
			edge := min(float64(i), float64(samples-i)) / (0.02 * Rate)
			out = append(out, value*s.level*min(1, edge))
		}
	}
	for len(out) < length {
		out = append(out, 0)
	}
	return scale(out, 0.5)
}

// A resonance is a two-pole filter.
type resonance struct{ a, b, gain, y1, y2 float64 }

func (r *resonance) tune(hz, width float64) {
	radius := math.Exp(-math.Pi * width / Rate)
	r.a = 2 * radius * math.Cos(2*math.Pi*hz/Rate)
	r.b = -radius * radius
	r.gain = 1 - radius
}

func (r *resonance) pass(x float64) float64 {
	y := r.gain*x + r.a*r.y1 + r.b*r.y2
	r.y2, r.y1 = r.y1, y
	return y
}

func scale(in []float64, peak float64) []int16 {
	most := 0.0
	for _, v := range in {
		most = max(most, math.Abs(v))
	}
	out := make([]int16, len(in))
	if most == 0 {
		return out
	}
	for i, v := range in {
		out[i] = int16(v / most * peak * math.MaxInt16)
	}
	return out
}

// Tone returns a sine of hz hertz at 10 dB below full scale.
func Tone(hz float64, length time.Duration) []int16 {
	out := make([]int16, int(length.Seconds()*Rate))
	for i := range out {
		out[i] = int16(0.316 * math.MaxInt16 * math.Sin(2*math.Pi*hz*float64(i)/Rate))
	}
	return out
}
