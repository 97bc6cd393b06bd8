package audio

import (
	"slices"
	"testing"
	"time"
)

func TestCorrelate(t *testing.T) {
	low, high := Speech(Low), Speech(High)
	silence := make([]int16, Rate)
	quiet := make([]int16, len(low))
	for i, s := range low {
		quiet[i] = s / 8
	}
	holes := slices.Clone(low)
	for i := 0; i < len(holes); i += 20 * 160 {
		clear(holes[i:min(i+160, len(holes))]) // one packet in twenty
	}
	tests := []struct {
		name        string
		recording   []int16
		least, most float64
		at          time.Duration
	}{
		{"itself", low, 0.9999, 1.0001, 0},
		{"later and quieter", slices.Concat(silence, quiet, silence), 0.999, 1.0001, time.Second},
		{"through μ-law", PCMU.Decode(PCMU.Encode(low)), 0.99, 1, 0},
		{"through both laws", PCMA.Decode(PCMA.Encode(PCMU.Decode(PCMU.Encode(low)))), 0.99, 1, 0},
		{"one packet in twenty lost", holes, 0.9, 0.999, 0},
		{"the other voice", slices.Concat(silence, high, silence), 0, 0.5, -1},
		{"a tone", Tone(440, 4*time.Second), 0, 0.5, -1},
		{"silence", silence, 0, 0, 0},
		{"nothing", nil, 0, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Correlate(low, test.recording)
			if got.Score < test.least || got.Score > test.most {
				t.Errorf("score %.4f, want from %.4f to %.4f", got.Score, test.least, test.most)
			}
			if test.at >= 0 && got.At != test.at {
				t.Errorf("found at %v, want %v", got.At, test.at)
			}
		})
	}
}

func TestSpeechIsTheSameEveryTime(t *testing.T) {
	if !slices.Equal(Speech(High), Speech(High)) {
		t.Error("two makings of the same voice differ")
	}
	if got := len(Speech(Low)); got != 3*Rate {
		t.Errorf("%d samples, want three seconds", got)
	}
}

func TestToneShare(t *testing.T) {
	tone := Tone(1001, time.Second)
	mixed := slices.Clone(tone)
	for i, s := range Tone(301, time.Second) {
		mixed[i] += s
	}
	tests := []struct {
		name        string
		recording   []int16
		least, most float64
	}{
		{"the tone alone", tone, 0.98, 1},
		{"the tone among silence", slices.Concat(make([]int16, Rate), tone, make([]int16, Rate)), 0.98, 1},
		{"two tones share", mixed, 0.45, 0.55},
		{"another tone", Tone(440, time.Second), 0, 0.01},
		{"speech", Speech(Low), 0, 0.1},
		{"silence", make([]int16, Rate), 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, _ := ToneShare(test.recording, 1001); got < test.least || got > test.most {
				t.Errorf("got %.3f, want from %.3f to %.3f", got, test.least, test.most)
			}
		})
	}
	if _, level := ToneShare(tone, 1001); level < -10.5 || level > -9.5 {
		t.Errorf("level %.2f dB, want about -10", level)
	}
}

func TestArrived(t *testing.T) {
	frames := Frames(10, 40)
	tests := []struct {
		name     string
		received [][]byte
		want     float64
	}{
		{"all", frames, 1},
		{"among others", slices.Concat([][]byte{{1}}, frames[:5], [][]byte{{2}}, frames[5:]), 1},
		{"half of them", frames[5:], 0.5},
		{"none", nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Arrived(frames, test.received); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
