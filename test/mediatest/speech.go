package mediatest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/test/peer/audio"
)

// A Transcoder is what engines differ in that turn speech into that of another codec.
type Transcoder struct {
	Engine
	Quieter float64 // is the Opus that it makes of another codec, in decibels
	// Noise says that it takes comfort noise from a peer though the other knows none. rtpengine 10.5
	// answers without it, and so is sent speech all the time.
	Noise bool
}

// RunSpeech has an engine do what every engine that transcodes must.
func RunSpeech(t *testing.T, e Transcoder) {
	talks := []*conversation{
		{a: opus(111), b: pcmu(), loss: 0, want: 0.77},
		{a: opus(111), b: pcmu(), loss: 5, want: 0.70},
		{a: opus(111), b: pcmu(), loss: 10, want: 0.65},
		{a: g722(), b: pcma(), loss: 0, want: 0.93},
		{a: g722(), b: pcma(), loss: 10, want: 0.70},
		{a: opus(111), b: g722(), loss: 5, want: 0.70},
	}
	var all sync.WaitGroup
	for _, c := range talks {
		c.begin(t, e.Engine, &all)
	}
	all.Wait()
	for _, c := range talks {
		t.Run(fmt.Sprintf("%s and %s, %d %% lost", c.a.Name, c.b.Name, c.loss), func(t *testing.T) { c.judge(t, e.Quieter) })
	}
	t.Run("a peer gets packets as long as it wants", func(t *testing.T) { repacked(t, e.Engine) })
	t.Run("digits go beside", func(t *testing.T) { digitsBeside(t, e.Engine) })
	t.Run("comfort noise is noise", func(t *testing.T) { comforted(t, e) })
	t.Run("comfort noise passes", func(t *testing.T) { comfortPasses(t, e.Engine) })
	t.Run("comfort noise passes beside what is transcoded", func(t *testing.T) { comfortBeside(t, e.Engine) })
	t.Run("what is common is offered again alone", func(t *testing.T) { common(t, e.Engine) })
}

// transcodes is a policy of a leg whose speech may be turned into another's.
func transcodes() media.Policy {
	p := sipPolicy()
	p.Codecs = append(p.Codecs, noise())
	p.Transcode = true
	return p
}

func noise() media.Codec { return media.Codec{PT: 13, Name: "CN", ClockRate: 8000, Channels: 1} }

// unlike connects two phones that have no codec in common.
func unlike(t *testing.T, e Engine, as, bs []media.Codec) (g *Rig, a, b *Phone, ptA, ptB uint8) {
	t.Helper()
	g = newRig(t, e, transcodes(), transcodes())
	a, b = NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(as...))
	b.Call(offer)
	var names []string
	for _, c := range bs {
		names = append(names, c.Name)
	}
	chosen := taken(t, offer, names...)
	answer := g.Answered(2, call.A, b.Describe(chosen...))
	a.Call(answer)
	return g, a, b, typeOf(t, answer, as[0].Name), chosen[0].PT
}

// A conversation is of two who speak at once, each in its codec, over a network that delays packets
// by up to 15 ms and loses some.
type conversation struct {
	a, b media.Codec
	loss int     // percent
	want float64 // how alike it is that either hears

	types [2]uint8
	heard [2][]rtp.Packet
}

// begin has both speak, and hear until nothing comes any more.
func (c *conversation) begin(t *testing.T, e Engine, all *sync.WaitGroup) {
	t.Helper()
	_, a, b, ptA, ptB := unlike(t, e, []media.Codec{c.a}, []media.Codec{c.b})
	c.types = [2]uint8{ptA, ptB}
	for i, p := range []*Phone{a, b} {
		own, other := c.side(i)
		said := packets(own, other, voices[i])
		all.Go(func() { c.heard[i] = gather(p) })
		all.Go(func() { recite(p, own, c.types[i], said, c.loss) })
	}
}

// voices are those of both sides.
var voices = [2]audio.Voice{audio.Low, audio.High}

// side returns the codecs of a side and of the other.
func (c *conversation) side(i int) (own, other codec.Kind) {
	own, _ = codec.KindOf([]media.Codec{c.a, c.b}[i].Name)
	other, _ = codec.KindOf([]media.Codec{c.b, c.a}[i].Name)
	return own, other
}

// judge says how much of what either said the other has heard.
func (c *conversation) judge(t *testing.T, quieter float64) {
	for i := range voices {
		own, other := c.side(i)
		said := audio.Speech(voices[1-i])
		pcm := played(t, c.heard[i], own, other, c.types[i])
		score, level := likeness(said, pcm), 10*math.Log10(energy(pcm)/energy(said))
		t.Logf("side %d hears %d packets, %.3f alike, %+.1f dB", i, len(c.heard[i]), score, level)
		if own == codec.Opus {
			level += quieter
		}
		if score < c.want || math.Abs(level) > 2.5 {
			t.Errorf("side %d hears what is %.3f alike, want %.2f, at %+.1f dB", i, score, c.want, level)
		}
	}
}

// packets are three seconds of a voice, 20 ms each.
func packets(k, other codec.Kind, voice audio.Voice) (all []string) {
	rate := k.Rate(other)
	pcm := audio.Speech(voice)
	if rate != audio.Rate {
		pcm = codec.NewResampler(audio.Rate, rate).Resample(nil, pcm)
	}
	e := codec.NewEncoder(k, rate, codec.EncoderOptions{Frame: 20 * time.Millisecond, FEC: true})
	for ; len(pcm) >= rate/50; pcm = pcm[rate/50:] {
		all = append(all, string(e.Encode(nil, pcm[:rate/50])))
	}
	return all
}

// recite sends packets at the right pace.
func recite(p *Phone, k codec.Kind, pt uint8, said []string, loss int) {
	dice := uint32(loss) + uint32(k) + 1
	roll := func(n uint32) uint32 {
		dice = dice*1664525 + 1013904223
		return (dice >> 8) % n
	}
	began := time.Now()
	for i, payload := range said {
		late := time.Duration(roll(15)) * time.Millisecond
		if int(roll(100)) < loss {
			continue
		}
		<-time.After(time.Until(began.Add(time.Duration(i)*20*time.Millisecond + late)))
		p.Say(pt, uint16(1000+i), uint32(i*k.Clock()/50), payload)
	}
}

// gather takes what a phone is sent until nothing comes any more.
func gather(p *Phone) (all []rtp.Packet) {
	wait := Patience
	for {
		got, ok := p.Listen(wait)
		if !ok {
			return all
		}
		all, wait = append(all, got), 700*time.Millisecond
	}
}

// played decodes packets, in their order, as far apart as they say; what is missing is made up.
func played(t *testing.T, all []rtp.Packet, k, other codec.Kind, pt uint8) (pcm []int16) {
	t.Helper()
	slices.SortStableFunc(all, func(x, y rtp.Packet) int { return int(int16(x.SequenceNumber - y.SequenceNumber)) })
	rate := k.Rate(other)
	d := codec.NewDecoder(k, rate)
	buf := make([]int16, rate/5)
	var next uint32
	for i, p := range all {
		if p.PayloadType != pt {
			t.Fatalf("a packet is of type %d, want %d", p.PayloadType, pt)
		}
		missing := int(int32(p.Timestamp-next)) * rate / k.Clock()
		if i > 0 && missing > 0 && missing <= len(buf) {
			d.Conceal(buf[:missing], nil)
			pcm = append(pcm, buf[:missing]...)
		}
		n, err := d.Decode(buf, p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		pcm = append(pcm, buf[:n]...)
		next = p.Timestamp + uint32(n*k.Clock()/rate)
	}
	if rate == audio.Rate {
		return pcm
	}
	return codec.NewResampler(rate, audio.Rate).Resample(nil, pcm)
}

// energy is the sum of what samples carry; silence around them adds nothing.
func energy(pcm []int16) (sum float64) {
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return sum
}

// likeness looks for pieces of half a second of what was said in what is heard, and returns how
// alike they are in the middle: a machine that stands still for a moment is not the engine's fault.
func likeness(said, heard []int16) float64 {
	const piece = audio.Rate / 2
	var scores []float64
	for ; len(said) >= piece; said = said[piece:] {
		scores = append(scores, audio.Correlate(said[:piece], heard).Score)
	}
	slices.Sort(scores)
	return scores[len(scores)/2]
}

// chatter sends n packets of a tone at the right pace.
func chatter(p *Phone, k, other codec.Kind, pt uint8, first uint16, n int) {
	rate := k.Rate(other)
	pcm := codec.NewResampler(audio.Rate, rate).Resample(nil, audio.Tone(440, time.Duration(n+1)*20*time.Millisecond))
	e := codec.NewEncoder(k, rate, codec.EncoderOptions{Frame: 20 * time.Millisecond})
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for i := range n {
		<-pace.C
		payload := e.Encode(nil, pcm[i*rate/50:][:rate/50])
		p.Say(pt, first+uint16(i), (uint32(first)+uint32(i))*uint32(k.Clock())/50, string(payload))
	}
}

// A peer gets as much speech in a packet as it asks for, whatever the other sends.
func repacked(t *testing.T, e Engine) {
	g := newRig(t, e, transcodes(), transcodes())
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(g722()))
	b.Call(offer)
	wants := b.Describe(taken(t, offer, "PCMA")...)
	wants.Streams[0].PTime = 40 * time.Millisecond
	a.Call(g.Answered(2, call.A, wants))
	chatter(a, codec.G722, codec.PCMA, 9, 1000, 30)
	for range 8 {
		if got := b.Hear(); got.PayloadType != 8 || len(got.Payload) != 320 {
			t.Fatalf("%d octets of type %d came, want 320", len(got.Payload), got.PayloadType)
		}
	}
}

// A digit goes beside speech that is transcoded, under the number and the clock of who hears it.
func digitsBeside(t *testing.T, e Engine) {
	event48 := events(110)
	event48.ClockRate = 48000
	g := newRig(t, e, withEvents(transcodes(), event48), withEvents(transcodes(), event48))
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(pcmu(), events(101)))
	b.Call(offer)
	own := taken(t, offer, "opus")
	i := slices.IndexFunc(offer.Streams[0].Codecs, func(c media.Codec) bool { return c.Event() && c.ClockRate == 48000 })
	if i < 0 {
		t.Fatalf("no event of Opus in %+v", offer.Streams[0].Codecs)
	}
	own = append(own, offer.Streams[0].Codecs[i])
	a.Call(g.Answered(2, call.A, b.Describe(own...)))
	chatter(a, codec.PCMU, codec.Opus, 0, 1000, 10)
	for n := range uint16(6) {
		event := []byte{5, 10, 0, 0}
		binary.BigEndian.PutUint16(event[2:], 160*(min(n, 3)+1))
		if n >= 3 {
			event[1] |= 0x80
		}
		a.Say(101, 1010+n, 1010*160, string(event))
	}
	var lasts uint16
	until(t, "the end of the digit", func() bool {
		p, ok := b.Listen(Patience)
		if !ok || p.PayloadType != own[1].PT {
			return !ok
		}
		if p.Payload[0] != 5 {
			t.Fatalf("the digit is %d", p.Payload[0])
		}
		lasts = binary.BigEndian.Uint16(p.Payload[2:])
		return p.Payload[1]&0x80 != 0
	})
	if lasts != 4*960 {
		t.Errorf("the digit lasts %d of 48000, want %d", lasts, 4*960)
	}
}

func withEvents(p media.Policy, c media.Codec) media.Policy {
	p.Codecs = append(p.Codecs, c)
	return p
}

// Comfort noise (RFC 3389) of one peer is heard by the other, who knows none, as noise.
func comforted(t *testing.T, e Transcoder) {
	g := newRig(t, e.Engine, transcodes(), transcodes())
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(pcmu(), noise()))
	b.Call(offer)
	answer := g.Answered(2, call.A, b.Describe(taken(t, offer, "opus")...))
	a.Call(answer)
	if got := slices.Contains(names(answer), "CN"); got != e.Noise {
		t.Errorf("A is answered %v", names(answer))
	}
	if !e.Noise {
		return
	}
	chatter(a, codec.PCMU, codec.Opus, 0, 1000, 10)
	a.Say(13, 1010, 1010*160, string([]byte{40}))
	d := codec.NewDecoder(codec.Opus, 8000)
	buf := make([]int16, 960)
	var heard []float64
	until(t, "the noise", func() bool {
		p, ok := b.Listen(2 * time.Second)
		if !ok {
			t.Fatalf("no noise was heard: %.0f dB", heard)
		}
		n, err := d.Decode(buf, p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		level := loudness(buf[:n])
		heard = append(heard, level)
		return math.Abs(level+40) < 5
	})
}

// Where both know it, it passes.
func comfortPasses(t *testing.T, e Engine) {
	g := newRig(t, e, transcodes(), transcodes())
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(pcmu(), noise()))
	b.Call(offer)
	a.Call(g.Answered(2, call.A, b.Describe(taken(t, offer, "PCMU", "CN")...)))
	say(t, a, 0, b, 0, 1000)
	speak(a, 13, 1005, "\x28\x10")
	if got := b.Hear(); got.PayloadType != 13 || string(got.Payload) != "\x28\x10" {
		t.Errorf("%q of type %d came", got.Payload, got.PayloadType)
	}
}

// Where their speech is another, it says the same.
func comfortBeside(t *testing.T, e Engine) {
	_, a, b, _, _ := unlike(t, e, []media.Codec{pcmu(), noise()}, []media.Codec{pcma(), noise()})
	chatter(a, codec.PCMU, codec.PCMA, 0, 1000, 10)
	a.Say(13, 1010, 1010*160, string([]byte{40}))
	until(t, "the noise", func() bool {
		p, ok := b.Listen(Patience)
		if ok && p.PayloadType == 13 && (p.Payload[0] < 37 || p.Payload[0] > 43) {
			t.Errorf("the noise is at -%d dB", p.Payload[0])
		}
		return !ok || p.PayloadType == 13
	})
}

// A callee that prefers what would be transcoded is, once something is known to be common, offered
// that alone, and the caller is answered with it: nothing is transcoded that need not be.
func common(t *testing.T, e Engine) {
	g := newRig(t, e, transcodes(), transcodes())
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(pcmu(), g722()))
	if got := media.Speech(offer.Streams[0].Codecs); len(got) < 3 || got[0].Name != "PCMU" {
		t.Errorf("B is offered %+v first", got)
	}
	answer := g.Answered(2, call.A, b.Describe(taken(t, offer, "opus", "PCMU")...))
	if got := names(answer); !slices.Equal(got, []string{"PCMU"}) {
		t.Errorf("A is answered %v", got)
	}
	again := g.Offered(3, call.B, a.Describe(pcmu(), g722()))
	b.Call(again)
	for _, c := range media.Speech(again.Streams[0].Codecs) {
		if c.Name != "PCMU" && c.Name != "G722" {
			t.Errorf("B is offered %s again", c.Name)
		}
	}
	a.Call(g.Answered(4, call.A, b.Describe(taken(t, again, "PCMU")...)))
	talk(t, a, 0, b, 0, 1000)
}
