//go:build interop

package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Tones prove media: each side sends one of its own. Both are whole numbers of periods in
// 20 ms, so that a file that begins again makes no click.
const (
	phoneTone = 450.0  // hertz, sent by the SIP side
	userTone  = 1000.0 // hertz, sent by the XMPP side
	toneLevel = -12.0  // dB below full scale, RMS, as sent
	tolerance = 4      // dB; rtpengine's opus has two channels, in which one is 3 dB quieter
)

// A sound is one channel of samples between -1 and 1.
type sound struct {
	rate    int // hertz
	samples []float64
}

func sine(rate int, seconds, frequency, level float64) sound {
	s := sound{rate: rate, samples: make([]float64, int(seconds*float64(rate)))}
	peak := math.Sqrt2 * math.Pow(10, level/20)
	for i := range s.samples {
		s.samples[i] = peak * math.Sin(2*math.Pi*frequency*float64(i)/float64(rate))
	}
	return s
}

// writeTone writes ten seconds of a tone as a 16-bit mono WAV file and returns its path.
func writeTone(t *testing.T, dir string, rate int, frequency float64) string {
	t.Helper()
	return writeTones(t, dir, rate, 1, 10, frequency)
}

// writeTones writes the same for any number of channels and seconds.
func writeTones(t *testing.T, dir string, rate, channels int, seconds, frequency float64) string {
	t.Helper()
	s := sine(rate, seconds, frequency, toneLevel)
	size := uint32(2 * channels * len(s.samples))
	b := []byte("RIFF")
	b = binary.LittleEndian.AppendUint32(b, 36+size)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, uint16(channels))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(2*channels*rate))
	b = binary.LittleEndian.AppendUint16(b, uint16(2*channels))
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, size)
	for _, v := range s.samples {
		for range channels {
			b = binary.LittleEndian.AppendUint16(b, uint16(int16(v*32767)))
		}
	}
	file := filepath.Join(dir, fmt.Sprintf("tone-%.0f-%d.wav", frequency, rate))
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// readSound reads the first channel of a 16-bit WAV file. A recorder that was killed has left wrong sizes in
// the header, so the samples go to the end of the file.
func readSound(file string) (sound, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return sound{}, err
	}
	if len(b) < 44 || string(b[8:16]) != "WAVEfmt " {
		return sound{}, fmt.Errorf("%s is no WAV file", file)
	}
	channels, bits := int(binary.LittleEndian.Uint16(b[22:])), binary.LittleEndian.Uint16(b[34:])
	if channels == 0 || bits != 16 {
		return sound{}, fmt.Errorf("%s has %d channels of %d bits", file, channels, bits)
	}
	s := sound{rate: int(binary.LittleEndian.Uint32(b[24:]))}
	for b = b[44:]; len(b) >= 2*channels; b = b[2*channels:] {
		s.samples = append(s.samples, float64(int16(binary.LittleEndian.Uint16(b)))/32768)
	}
	return s, nil
}

// A heard says how much of a tone is in a sound.
type heard struct {
	seconds float64 // during which the tone was nearly all that was heard
	level   float64 // dB below full scale (RMS) in that time
}

// listenFor looks at a sound in pieces of 100 ms.
func listenFor(s sound, frequency float64) heard {
	piece := s.rate / 10
	var pieces int
	var power float64
	for i := 0; i+piece <= len(s.samples); i += piece {
		tone, all := goertzel(s.samples[i:i+piece], frequency/float64(s.rate))
		if all > 1e-5 && tone/all > 0.9 { // -50 dB, 90 % of the power
			pieces++
			power += all
		}
	}
	if pieces == 0 {
		return heard{level: -100}
	}
	return heard{
		seconds: float64(pieces) / 10,
		level:   10 * math.Log10(power/float64(pieces)),
	}
}

// goertzel returns the power of one frequency (a share of the sample rate) and of all.
func goertzel(samples []float64, frequency float64) (tone, all float64) {
	var re, im float64
	for i, v := range samples {
		sin, cos := math.Sincos(2 * math.Pi * frequency * float64(i))
		re += v * cos
		im += v * sin
		all += v * v
	}
	n := float64(len(samples))
	return 2 * (re*re + im*im) / (n * n), all / n
}

// talk lets a call last long enough for a recording that proves something.
func talk() {
	<-time.After(2500 * time.Millisecond)
}

var errSilent = errors.New("not heard")

// proves says whether a tone was heard for at least a second at the level it was sent with.
func (h heard) proves(frequency float64) error {
	switch {
	case h.seconds < 1:
		return fmt.Errorf("%.0f Hz heard for %.1f s, want 1 s: %w", frequency, h.seconds, errSilent)
	case math.Abs(h.level-toneLevel) > tolerance:
		return fmt.Errorf("%.0f Hz heard at %.1f dB, sent with %.1f dB", frequency, h.level, toneLevel)
	}
	return nil
}

func TestPeerToneIsFoundInARecording(t *testing.T) {
	read, err := readSound(writeTone(t, t.TempDir(), 8000, phoneTone))
	if err != nil {
		t.Fatal(err)
	}
	quiet := sine(8000, 10, phoneTone, toneLevel-6)
	both := sine(8000, 10, phoneTone, toneLevel)
	for i, v := range sine(8000, 10, userTone, toneLevel).samples {
		both.samples[i] += v
	}
	tests := []struct {
		name  string
		sound sound
		want  bool
	}{
		{"the tone", read, true},
		{"silence", sound{8000, make([]float64, 80000)}, false},
		{"another tone", sine(8000, 10, userTone, toneLevel), false},
		{"the tone and another", both, false},
		{"half as loud", quiet, false},
		{"half a second", sine(8000, 0.5, phoneTone, toneLevel), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := listenFor(tt.sound, phoneTone).proves(phoneTone); (err == nil) != tt.want {
				t.Errorf("got %v, want proof %v", err, tt.want)
			}
		})
	}
}
