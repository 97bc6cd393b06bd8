package codec

import (
	"math"
	"testing"
)

func TestNoiseKeepsItsLevel(t *testing.T) {
	for _, level := range []byte{30, 50, 70} {
		var n Noise
		if err := n.Set([]byte{level}); err != nil {
			t.Fatal(err)
		}
		pcm := make([]int16, 8000)
		n.Fill(pcm)
		want := 20*math.Log10(32767) - float64(level)
		if got := levelOf(pcm); math.Abs(got-want) > 0.5 {
			t.Errorf("level %d gives %.1f dB, want %.1f", level, got, want)
		}
	}
}

// TestNoiseKeepsItsColour describes coloured noise, makes noise of it, and describes that.
func TestNoiseKeepsItsColour(t *testing.T) {
	source := Noise{seed: 99}
	if err := source.Set([]byte{40, 20, 200, 100, 160}); err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, 8000)
	source.Fill(pcm)
	said := DescribeNoise(nil, pcm)
	var n Noise
	if err := n.Set(said); err != nil {
		t.Fatal(err)
	}
	n.Fill(pcm)
	again := DescribeNoise(nil, pcm)
	for i, want := range []int{40, 20, 200, 100, 160} {
		for _, got := range [][]byte{said, again} {
			if d := int(got[i]) - want; d < -8 || d > 8 {
				t.Errorf("octet %d is %d, want %d", i, got[i], want)
			}
		}
	}
}

func TestNoiseOfSilence(t *testing.T) {
	if got := DescribeNoise(nil, make([]int16, 160)); len(got) != 1 || got[0] != 127 {
		t.Errorf("silence is %v", got)
	}
	var n Noise
	if n.Set(nil) != ErrMalformed {
		t.Error("an empty payload was taken")
	}
}

func FuzzNoise(f *testing.F) {
	f.Add([]byte{70})
	f.Add([]byte{0, 0, 254, 255, 0, 254, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, p []byte) {
		var n Noise
		if n.Set(p) != nil {
			return
		}
		pcm := make([]int16, 320)
		for range 20 {
			n.Fill(pcm)
		}
		if math.IsNaN(n.memory[0]) || math.IsInf(n.memory[0], 0) {
			t.Fatal("the filter burst")
		}
		DescribeNoise(nil, pcm)
	})
}
