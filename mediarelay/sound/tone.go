// Package sound is what the gateway has to play of its own: ringing tones, music and noise on hold,
// digits. Both engines of the media plane play these.
package sound

import (
	"math"
	"time"
)

// Rate is that of samples of all sounds of ours, in hertz.
const Rate = 8000

// The levels of sounds of ours, in dBm0 but for that of noise.
const (
	RingLevel    = -13 // ITU-T E.180 section 6: -10 with 5 either way
	digitLow     = -11 // ETSI ES 201 235-2 section 4.2.2: the higher group is 2 dB louder
	digitHigh    = -9
	musicLevel   = -19
	ComfortLevel = 70 // below overload, in dB (RFC 3389 section 3.1)
)

// Hold is what a peer hears while the other side holds.
type Hold uint8

const (
	HoldComfort Hold = iota // quiet noise
	HoldMusic               // the operator's, or [Melody]
	HoldSilence             // nothing
)

// A Tone is a sound of up to two frequencies that comes and goes.
type Tone struct {
	// Hertz are the frequencies; one may be 0.
	Hertz [2]int
	// Cadence is how long the tone is on, then off, and so on, over and over.
	Cadence []time.Duration
}

// ringbacks are the ringing tones of countries (ITU-T E.180 Supplement 2), by ISO 3166.
var ringbacks = map[string]Tone{
	"at": single(420, 1000, 5000), "au": double(400, 425), "be": single(425, 1000, 3000), "br": single(425, 1000, 4000),
	"ca": {Hertz: [2]int{440, 480}, Cadence: cadence(2000, 4000)}, "ch": single(425, 1000, 4000),
	"cn": single(450, 1000, 4000), "cz": single(425, 1000, 4000), "de": single(425, 1000, 4000),
	"dk": single(425, 1000, 4000), "es": single(425, 1500, 3000), "fi": single(425, 1000, 4000),
	"fr": single(440, 1500, 3500), "gb": double(400, 450), "ie": double(400, 450), "in": double(400, 425),
	"it": single(425, 1000, 4000), "jp": {Hertz: [2]int{384, 416}, Cadence: cadence(1000, 2000)},
	"nl": single(425, 1000, 4000), "no": single(425, 1000, 4000), "nz": double(400, 450),
	"pl": single(425, 1000, 4000), "pt": single(425, 1000, 5000), "ru": single(425, 1000, 4000),
	"se": single(425, 1000, 5000), "us": {Hertz: [2]int{440, 480}, Cadence: cadence(2000, 4000)},
	"za": double(400, 433),
}

// RingbackOf returns the ringing tone of a country, by its two small letters (ISO 3166).
func RingbackOf(country string) (t Tone, ok bool) {
	t, ok = ringbacks[country]
	return t, ok
}

// single is a tone of one frequency; on and off are in milliseconds.
func single(hertz int, on, off time.Duration) Tone {
	return Tone{Hertz: [2]int{hertz}, Cadence: cadence(on, off)}
}

// double rings twice, as in Britain.
func double(low, high int) Tone {
	return Tone{Hertz: [2]int{low, high}, Cadence: cadence(400, 200, 400, 2000)}
}

func cadence(ms ...time.Duration) []time.Duration {
	for i := range ms {
		ms[i] *= time.Millisecond
	}
	return ms
}

// Longest is the longest cadence that is played; what is beyond is left out.
const Longest = 30 * time.Second

// Samples returns one round of the cadence at a level in dBm0.
func (t Tone) Samples(level float64) []int16 {
	var out []int16
	on := true
	for _, d := range t.Cadence {
		n := int(min(max(d, 0), Longest) * Rate / time.Second)
		n = min(n, int(Longest/time.Second)*Rate-len(out))
		part := make([]int16, n)
		if on {
			for _, hz := range t.Hertz {
				addSine(part, float64(hz), amplitude(level))
			}
		}
		out, on = append(out, part...), !on
	}
	return out
}

// amplitude returns the peak of a sine of a level in dBm0: the loudest that G.711 has is
// 3.14 (ITU-T G.711 section 4).
func amplitude(dBm0 float64) float64 { return 32124 * math.Pow(10, (dBm0-3.14)/20) }

func addSine(to []int16, hertz, peak float64) {
	for i := range to {
		to[i] += int16(peak * math.Sin(2*math.Pi*hertz*float64(i)/Rate))
	}
}

// Comfort returns a second of quiet noise, so that a line is not taken for dead.
func Comfort() []int16 {
	out := make([]int16, Rate)
	peak := 32767 * math.Pow(10, -ComfortLevel/20.0) * math.Sqrt(3)
	state := uint32(1)
	for i := range out {
		state = state*1664525 + 1013904223 // the same noise everywhere
		out[i] = int16(math.Round(peak * (float64(state>>8)/(1<<23) - 1)))
	}
	return out
}

// Melody returns the music that is played when the operator has none: eight bars of
// broken chords.
func Melody() []int16 {
	const beat = Rate * 2 / 5
	chords := [][4]float64{
		{261.63, 329.63, 392.00, 523.25}, // C
		{220.00, 261.63, 329.63, 440.00}, // a
		{174.61, 261.63, 349.23, 440.00}, // F
		{196.00, 246.94, 293.66, 392.00}, // G
	}
	var out []int16
	for bar := range 2 * len(chords) {
		for note := range 4 {
			if bar >= len(chords) {
				note = 3 - note
			}
			hertz, part := chords[bar%len(chords)][note], make([]int16, beat)
			addSine(part, hertz, amplitude(musicLevel))
			addSine(part, 2*hertz, amplitude(musicLevel-10))
			for i := range part { // struck, and dying away
				rise := min(float64(i)/80, 1)
				part[i] = int16(float64(part[i]) * rise * math.Exp(-3*float64(i)/beat))
			}
			out = append(out, part...)
		}
	}
	return out
}

// The frequencies of DTMF, by row and column (ITU-T Q.23).
var (
	DigitRows    = [4]float64{697, 770, 852, 941}
	DigitColumns = [4]float64{1209, 1336, 1477, 1633}
)

// DigitPad are the keys, row by row.
const DigitPad = "123A456B789C*0#D"

// Digit returns a second of a digit's tones. All frequencies are whole, so that
// the second can be a loop.
func Digit(place int) []int16 {
	out := make([]int16, Rate)
	addSine(out, DigitRows[place/4], amplitude(digitLow))
	addSine(out, DigitColumns[place%4], amplitude(digitHigh))
	return out
}
