package mediatest

import (
	"math"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/sound"
	"sipxmppgw/test/peer/audio"
)

// RunSounds has an engine play what it has of its own: ringing of a country, and what someone on hold
// hears. file says that the engine's music on hold is a tone of 700 Hz in a file.
func RunSounds(t *testing.T, engine func(t *testing.T, ringback sound.Tone, hold sound.Hold, file bool) Engine) {
	for _, country := range []string{"us", "fr"} {
		t.Run("ringing of "+country, func(t *testing.T) {
			ring, _ := sound.RingbackOf(country)
			rings(t, engine(t, ring, sound.HoldComfort, false), ring)
		})
	}
	for _, tt := range []struct {
		name  string
		hold  sound.Hold
		file  bool
		hertz float64 // what is heard; 0 for noise
	}{
		{"our music on hold", sound.HoldMusic, false, 261.63},
		{"a file of music on hold", sound.HoldMusic, true, 700},
		{"noise on hold", sound.HoldComfort, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) { holds(t, engine(t, sound.Tone{}, tt.hold, tt.file), tt.hertz) })
	}
	t.Run("nothing on hold", func(t *testing.T) {
		g, a, b := talking(t, engine(t, sound.Tone{}, sound.HoldSilence, false))
		held := a.Describe(pcmu())
		held.Streams[0].Direction = media.SendOnly
		g.Joined(3, call.A, held)
		if got, ok := b.Listen(1500 * time.Millisecond); ok {
			t.Errorf("B hears %v", got.Header)
		}
	})
}

// talking is a call between two phones of PCMU.
func talking(t *testing.T, e Engine) (g *Rig, a, b *Phone) {
	t.Helper()
	g = newRig(t, e, sipPolicy(), sipPolicy())
	a, b = NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	g.Connected(call.A)
	talk(t, a, 0, b, 0, 1000)
	return g, a, b
}

// hears collects what a phone of PCMU is sent.
func hears(p *Phone, length time.Duration) (pcm []int16) {
	p.T.Helper()
	until(p.T, "sound", func() bool {
		got, ok := p.Listen(100 * time.Millisecond)
		for i := 0; ok && i < len(got.Payload); i++ {
			pcm = append(pcm, audio.DecodePCMU(got.Payload[i]))
		}
		return len(pcm) >= int(length*sound.Rate/time.Second)
	})
	return pcm
}

// loudness is the mean level in decibels below full scale.
func loudness(pcm []int16) float64 {
	var sum float64
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return 10 * math.Log10(sum/float64(len(pcm))/(1<<30))
}

// silent waits until nothing comes any more.
func silent(p *Phone) {
	p.T.Helper()
	until(p.T, "silence", func() bool { _, ok := p.Listen(300 * time.Millisecond); return !ok })
}

// A caller that was answered before the callee hears ringing until the callee is heard.
func rings(t *testing.T, e Engine, ring sound.Tone) {
	g := newRig(t, e, sipPolicy(), sipPolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	own := a.Describe(pcmu())
	a.Call(g.Joined(1, call.A, own))
	b.Call(g.Offered(2, call.B, own))
	g.Ring(call.A, true)
	heard := hears(a, 900*time.Millisecond)[sound.Rate/2:]
	var sum float64
	for _, hertz := range ring.Hertz {
		if hertz == 0 {
			continue
		}
		share, level := audio.ToneShare(heard, float64(hertz))
		sum += share
		if dBm0 := level + 3.14; math.Abs(dBm0-sound.RingLevel) > 1 { // ITU-T G.711 section 4
			t.Errorf("%d Hz at %.1f dBm0", hertz, dBm0)
		}
	}
	if sum < 0.9 {
		t.Errorf("%v are %.2f of what is heard", ring.Hertz, sum)
	}
	g.Answered(3, call.A, b.Describe(pcmu()))
	g.Ring(call.A, false)
	silent(a)
	talk(t, a, 0, b, 0, 2000)
}

// Someone on hold hears the engine while who holds sends nothing, and who holds when it sends.
func holds(t *testing.T, e Engine, hertz float64) {
	g, a, b := talking(t, e)
	held := a.Describe(pcmu())
	held.Streams[0].Direction = media.SendOnly
	g.Joined(3, call.A, held)
	heard := hears(b, 500*time.Millisecond)[sound.Rate/20 : sound.Rate*7/20] // of the first note
	if share, level := audio.ToneShare(heard, hertz); hertz != 0 && (share < 0.6 || level < -40) {
		t.Errorf("%.0f Hz is %.2f of what is heard, at %.1f dB", hertz, share, level)
	}
	if level := loudness(heard); hertz == 0 && (level < -sound.ComfortLevel-6 || level > -sound.ComfortLevel+6) {
		t.Errorf("noise at %.1f dB", level)
	}
	until(t, "B hears A's own music alone", func() bool {
		speak(a, 0, 1005, "music")
		n := 0
		for range 5 {
			if got, ok := b.Listen(20 * time.Millisecond); ok && string(got.Payload) != "music" {
				n++
			}
		}
		return n == 0
	})
	hears(b, 200*time.Millisecond) // again, for A is silent
	g.Joined(4, call.A, a.Describe(pcmu()))
	silent(b)
	talk(t, a, 0, b, 0, 2000)
}
