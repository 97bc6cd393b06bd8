package embedded

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/mediarelay/sound"
	"sipxmppgw/test/mediatest"
)

func g729() media.Codec { return media.Codec{PT: 18, Name: "G729", ClockRate: 8000, Channels: 1} }

func noise() media.Codec { return media.Codec{PT: 13, Name: "CN", ClockRate: 8000, Channels: 1} }

// phones connects two phones that speak what is listed, the second of them held by the
// first in the way given.
func phones(t *testing.T, hold media.Direction, change func(*Options), codecs ...media.Codec) (g *rig, a, b *phone) {
	t.Helper()
	policy := sipPolicy()
	policy.Tones = true
	policy.Codecs = append(policy.Codecs, noise(), g729())
	g = newRig(t, policy, policy, change)
	a, b = mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(codecs...)))
	a.Call(g.Answered(2, call.A, b.Describe(codecs...)))
	if hold != media.SendRecv {
		g.Joined(3, call.A, holding(a, hold, codecs...))
	}
	return g, a, b
}

func holding(p *phone, d media.Direction, codecs ...media.Codec) media.Description {
	held := p.Describe(codecs...)
	held.Streams[0].Direction = d
	return held
}

// run takes packets that must follow each other, each so many samples after the last. A relay
// that the machine held up for longer than [fillAfter] begins anew; then what follows counts.
func run(t *testing.T, hear func() rtp.Packet, n int, samples uint32) (all []rtp.Packet) {
	t.Helper()
	for begun := 1; len(all) < n; {
		p := hear()
		if len(all) > 0 {
			last := all[len(all)-1]
			late := int32(p.Timestamp - last.Timestamp - samples)
			switch {
			case p.SequenceNumber != last.SequenceNumber+1 || p.SSRC != last.SSRC || late < 0 || late == 0 && p.Marker || late > 0 && begun == 3:
				t.Fatalf("packet %d is %+v after %+v", len(all), p.Header, last.Header)
			case late > 0:
				begun++
				all = nil
			}
		}
		all = append(all, p)
	}
	return all
}

func TestHoldIsNotSilent(t *testing.T) {
	tune := make([]int16, 400)
	for i := range tune {
		tune[i] = int16(i * 50)
	}
	music := func(o *Options) { o.Hold, o.Music = sound.HoldMusic, tune }
	tests := []struct {
		name    string
		hold    media.Direction
		change  func(*Options)
		codecs  []media.Codec
		pt      uint8
		payload []byte // of the first packet; nil for noise of any kind
		octets  int
		samples uint32
	}{
		{"noise in mu-law", media.SendOnly, nil, []media.Codec{pcmu()}, 0, nil, 160, 160},
		{"noise in A-law", media.Inactive, nil, []media.Codec{pcma(), pcmu()}, 8, nil, 160, 160},
		{"comfort noise", media.SendOnly, nil, []media.Codec{pcmu(), noise()}, 13, []byte{sound.ComfortLevel}, 1, 3200},
		{"music", media.SendOnly, music, []media.Codec{pcmu()}, 0, newClip(tune).laws[lawMu][:160], 160, 160},
		{"music to a peer that speaks better", media.Inactive, music, []media.Codec{g722(), pcma()}, 9, newClip(tune).coded(codec.G722)[0], 160, 160},
		{"music to a peer that we cannot sing to alone", media.Inactive, music, []media.Codec{g729(), pcma()}, 8, newClip(tune).laws[lawA][:160], 160, 160},
		{"noise in G722", media.SendOnly, nil, []media.Codec{g722(), pcmu()}, 9, newClip(sound.Comfort()).coded(codec.G722)[0], 160, 160},
		{"noise in opus", media.SendOnly, nil, []media.Codec{opus(96), noise()}, 96, newClip(sound.Comfort()).coded(codec.Opus)[0], 0, 960},
		{"the melody in opus", media.SendOnly, func(o *Options) { o.Hold = sound.HoldMusic }, []media.Codec{opus(96)}, 96, newClip(sound.Melody()).coded(codec.Opus)[0], 0, 960},
		{"no music from one that listens", media.RecvOnly, music, []media.Codec{pcmu()}, 0, nil, 160, 160},
		{"the melody", media.SendOnly, func(o *Options) { o.Hold = sound.HoldMusic }, []media.Codec{pcmu()}, 0, newClip(sound.Melody()).laws[lawMu][:160], 160, 160},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, _, b := phones(t, tt.hold, tt.change, tt.codecs...)
			n := 4
			if tt.octets == 1 {
				n = 2
			}
			for i, p := range run(t, b.Hear, n, tt.samples) {
				if p.PayloadType != tt.pt || tt.octets != 0 && len(p.Payload) != tt.octets || i == 0 && tt.payload != nil && !bytes.Equal(p.Payload, tt.payload) {
					t.Errorf("packet %d is type %d, %d octets: %x", i, p.PayloadType, len(p.Payload), p.Payload)
				}
				if i == 0 && p.Marker != (tt.octets != 1) {
					t.Errorf("the marker of the first is %v", p.Marker)
				}
			}
			pace := time.Duration(n-1) * defaultTime
			if tt.octets == 1 {
				pace = noiseEvery
			}
			if d := time.Since(began); d < pace {
				t.Errorf("%d packets came within %v", n, d)
			}
		})
	}
}

func TestHoldThatIsSilent(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
		codecs []media.Codec
	}{
		{"by option", func(o *Options) { o.Hold = sound.HoldSilence }, []media.Codec{pcmu()}},
		{"a codec that we do not know", func(o *Options) { o.Hold = sound.HoldMusic }, []media.Codec{g729()}},
		{"noise is not worth a change of codec", nil, []media.Codec{g729(), pcmu()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, b := phones(t, media.SendOnly, tt.change, tt.codecs...)
			if p, ok := b.Listen(2 * fillAfter); ok {
				t.Errorf("B heard %+v", p)
			}
		})
	}
}

// What the holder plays itself is heard in place of ours, and ours again after it; and
// once the call goes on, speech follows without a gap.
func TestHoldGivesWay(t *testing.T) {
	t.Parallel()
	g, a, b := phones(t, media.SendRecv, nil, pcmu())
	say(t, a, 0, b, 0, 1000)
	g.Joined(3, call.A, holding(a, media.SendOnly, pcmu()))
	ours := run(t, b.Hear, 3, 160)
	if !ours[0].Marker {
		t.Error("our first packet has no marker")
	}
	said := time.Now()
	a.Say(0, 1005, 1005*160, "theirs")
	last := ours[2]
	for {
		p := b.Hear()
		if p.SequenceNumber != last.SequenceNumber+1 || int32(p.Timestamp-last.Timestamp) < 0 {
			t.Fatalf("got %+v after %+v", p.Header, last.Header)
		}
		last = p
		if string(p.Payload) == "theirs" {
			break
		}
	}
	if !last.Marker {
		t.Error("theirs has no marker")
	}
	if p := b.Hear(); !p.Marker || p.SequenceNumber != last.SequenceNumber+1 || len(p.Payload) != 160 || time.Since(said) < fillAfter {
		t.Errorf("got %+v after %v", p.Header, time.Since(said))
	}
	g.Joined(4, call.A, a.Describe(pcmu()))
	a.Say(0, 1006, 1006*160, "again")
	for {
		if p := b.Hear(); string(p.Payload) == "again" {
			if !p.Marker {
				t.Error("speech after hold has no marker")
			}
			break
		}
	}
	if p, ok := b.Listen(2 * fillAfter); ok {
		t.Errorf("B heard %+v after the hold", p)
	}
}

// A client that ignores hold goes on speaking and hears noise; neither ends the call
// (INTERWORKING 2.12).
func TestHoldThatIsIgnored(t *testing.T) {
	t.Parallel()
	g, a, b, _ := pair(t, func(o *Options) {
		o.Times.Silence, o.Times.First, o.Times.Tick = 50*time.Millisecond, time.Hour, 10*time.Millisecond
	}, pcmu())
	g.Joined(3, call.A, holding(a, media.SendOnly, pcmu()))
	for n := range uint16(20) {
		b.Say(0, n, 160*uint32(n), "still here")
		run(t, b.Hear, 1, 160)
	}
	select {
	case e := <-g.Events:
		if f, ok := e.(call.MediaFailed); ok {
			t.Errorf("got %+v", f)
		}
	default:
	}
	if p, ok := a.Listen(10 * time.Millisecond); ok {
		t.Errorf("A heard %q", p.Payload)
	}
}

// INTERWORKING 2.9, eager mode.
func TestRingback(t *testing.T) {
	t.Parallel()
	g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
		o.Ringback = sound.Tone{Hertz: [2]int{440, 480}, Cadence: []time.Duration{100 * time.Millisecond, 100 * time.Millisecond}}
		o.Times = Times{First: 100 * time.Millisecond, Early: time.Hour, Tick: 10 * time.Millisecond}
	})
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(pcma())
	a.Call(g.Joined(1, call.A, own))
	b.Call(g.Offered(2, call.B, own))
	a.Say(8, 1, 160, "A is there")
	if p, ok := a.Listen(2 * fillAfter); ok {
		t.Fatalf("A heard %+v before anything rings", p.Header)
	}
	began := time.Now()
	g.Ring(call.A, true)
	heard := run(t, a.Hear, 10, 160)
	if d := time.Since(began); d < fillAfter || !heard[0].Marker || heard[0].PayloadType != 8 {
		t.Errorf("it began after %v with %+v", d, heard[0].Header)
	}
	loud, quiet := byte(0xd5), 0
	for _, p := range heard[5:] {
		for _, v := range p.Payload {
			if v != loud {
				quiet++
			}
		}
	}
	if quiet != 0 {
		t.Errorf("%d samples of the pause sound", quiet)
	}
	g.Answered(3, call.A, b.Describe(pcma()))
	for n := range uint16(ringEnough) {
		b.Say(8, n, 160*uint32(n), "please hold the line")
	}
	for n := 0; n < ringEnough; {
		if p := a.Hear(); string(p.Payload) == "please hold the line" {
			n++
		}
	}
	if p, ok := a.Listen(2 * fillAfter); ok {
		t.Errorf("A heard %+v beside the callee", p.Header)
	}
	g.Ring(call.A, false)
	g.Answered(4, call.A, b.Describe(pcma()))
}

// The first answer may be the final one, if the call says so.
func TestFinalAnswerAtOnce(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
		o.Times = Times{First: 100 * time.Millisecond, Early: time.Hour, Tick: 10 * time.Millisecond}
	})
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(pcmu())
	a.Call(g.Joined(1, call.A, own))
	g.Offered(2, call.B, own)
	a.Say(0, 1, 160, "A is there")
	g.Ring(call.A, false)
	g.Answered(3, call.A, b.Describe(pcmu()))
	silent(g, call.B)
}

// A final answer ends the tone, and the time of one that rings.
func TestRingbackEnds(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
		o.Times = Times{First: 300 * time.Millisecond, Early: time.Hour, Tick: 10 * time.Millisecond}
	})
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(pcmu())
	a.Call(g.Joined(1, call.A, own))
	b.Call(g.Offered(2, call.B, own))
	a.Say(0, 1, 160, "A is there")
	g.Ring(call.A, true)
	g.Answered(3, call.A, b.Describe(pcmu()))
	g.Answered(4, call.A, b.Describe(pcmu())) // of another early dialog
	for range 30 {                            // 600 ms
		a.Say(0, 2, 320, "A is still there")
		a.Hear()
	}
	g.Ring(call.A, false)
	for ok := true; ok; {
		_, ok = a.Listen(2 * digitStep)
	}
	silent(g, call.B)
}

// In a call that is up, who is kept while the other is replaced hears ringing as long as the
// other says nothing; the new end is answered without it.
func TestRingbackInACall(t *testing.T) {
	t.Parallel()
	g, a, b := phones(t, media.SendRecv, func(o *Options) { o.Times.Tick = 10 * time.Millisecond }, pcmu())
	talk(t, a, 0, b, 0)
	g.Ring(call.B, true)
	run(t, b.Hear, 10, 160)
	for n := range uint16(ringEnough) { // A still has something to say
		a.Say(0, 2000+n, 160*uint32(2000+n), "one moment")
	}
	for n := 0; n < ringEnough; {
		if p := b.Hear(); string(p.Payload) == "one moment" {
			n++
		}
	}
	for ok := true; ok; {
		_, ok = b.Listen(2 * fillAfter)
	}
	g.Ring(call.B, false)
	g.Ring(call.B, true) // another try
	run(t, b.Hear, 10, 160)
	g.Ring(call.B, false)
	for ok := true; ok; {
		_, ok = b.Listen(2 * fillAfter)
	}
	a.Say(0, 3000, 160*3000, "goodbye")
	if p := b.Hear(); string(p.Payload) != "goodbye" {
		t.Errorf("B heard %q", p.Payload)
	}
}

// decodeMu and decodeA are the other way round of G.711.
func decodeMu(c byte) int {
	c = ^c
	v := (int(c&0x0f)<<3+0x84)<<(c>>4&7) - 0x84
	if c&0x80 != 0 {
		return -v
	}
	return v
}

func decodeA(c byte) int {
	c ^= 0x55
	v := int(c&0x0f)<<4 + 8
	if s := c >> 4 & 7; s > 0 {
		v = (v + 0x100) << (s - 1)
	}
	if c&0x80 == 0 {
		return -v
	}
	return v
}

// goertzel returns the level of a frequency in linear samples, in dBm0.
func goertzel(samples []int, hertz float64) float64 {
	var re, im float64
	for i, v := range samples {
		phase := 2 * math.Pi * hertz * float64(i) / sound.Rate
		re, im = re+float64(v)*math.Cos(phase), im+float64(v)*math.Sin(phase)
	}
	peak := 2 * math.Hypot(re, im) / float64(len(samples))
	return 20*math.Log10(peak/32124) + 3.14
}

func TestToneLevels(t *testing.T) {
	s := newClip(sound.Tone{Hertz: [2]int{425}, Cadence: []time.Duration{time.Second, time.Second}}.Samples(sound.RingLevel))
	for law, decode := range []func(byte) int{decodeMu, decodeA} {
		var linear []int
		for _, c := range s.laws[law] {
			linear = append(linear, decode(c))
		}
		if len(linear) != 2*sound.Rate {
			t.Fatalf("there are %d samples", len(linear))
		}
		if got := goertzel(linear[:sound.Rate], 425); math.Abs(got-sound.RingLevel) > 0.5 {
			t.Errorf("law %d: the tone is at %.1f dBm0", law, got)
		}
		if got := goertzel(linear[sound.Rate:], 425); got > -60 {
			t.Errorf("law %d: the pause is at %.1f dBm0", law, got)
		}
	}
	if n := len(sound.Tone{Cadence: []time.Duration{time.Hour, time.Hour}}.Samples(0)); n != int(sound.Longest/time.Second)*sound.Rate {
		t.Errorf("a cadence without measure makes %d samples", n)
	}
}
