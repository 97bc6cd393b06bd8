package codec

import (
	"math"
	"testing"
)

// TestConcealGoesOn says that a steady tone goes on through a lost packet: as loud, and
// without a click.
func TestConcealGoesOn(t *testing.T) {
	for _, rate := range []int{8000, 16000} {
		c := newConcealer(rate)
		step := rate / 50
		tone := sine(225, rate)
		for at := 0; at < 5*step; at += step {
			c.good(append([]int16{}, tone[at:at+step]...))
		}
		out := append([]int16{}, tone[4*step:5*step]...)
		lost := make([]int16, step)
		c.lost(lost)
		out = append(out, lost...)
		after := append([]int16{}, tone[6*step:7*step]...)
		c.good(after)
		out = append(out, after...)
		if d := levelOf(lost[:step/2]) - levelOf(tone); math.Abs(d) > 1 {
			t.Errorf("at %d the level changed by %.1f dB", rate, d)
		}
		most := 0
		for i := 1; i < len(out); i++ {
			most = max(most, int(math.Abs(float64(out[i])-float64(out[i-1]))))
		}
		if limit := int(16000 * 2 * math.Pi * 225 / float64(rate) * 1.6); most > limit {
			t.Errorf("at %d it clicks: a step of %d, at most %d is wanted", rate, most, limit)
		}
	}
}

func TestConcealFades(t *testing.T) {
	c := newConcealer(8000)
	c.good(sine(300, 8000))
	pcm := make([]int16, 640)
	c.lost(pcm)
	if levelOf(pcm[:80]) < levelOf(sine(300, 8000))-1 {
		t.Error("it fades at once")
	}
	for i, v := range pcm[480:] {
		if v != 0 {
			t.Fatalf("sample %d after 60 ms is %d", i, v)
		}
	}
}

func BenchmarkConceal(b *testing.B) {
	c := newConcealer(8000)
	c.good(speech(8000)[4000:4800])
	pcm := make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		c.lostFor = 0
		c.lost(pcm)
	}
}
