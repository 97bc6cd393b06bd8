package embedded

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/test/mediatest"
	"sipxmppgw/test/peer/audio"
)

// transcodingPolicies returns policies of legs that may be transcoded.
func transcodingPolicies(b media.Policy) (media.Policy, media.Policy) {
	a := sipPolicy()
	a.Codecs = append(a.Codecs, noise())
	a.Transcode, b.Transcode = true, true
	return a, b
}

func places(n int) func(*Options) { return func(o *Options) { o.Transcodes = n } }

// unlike connects two phones that have no codec in common.
func unlike(t *testing.T, as, bs []media.Codec) (g *rig, a, b *phone) {
	t.Helper()
	pa, pb := transcodingPolicies(sipPolicy())
	pb.Codecs = append(pb.Codecs, noise())
	g = newRig(t, pa, pb, places(1))
	a, b = mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(as...)))
	a.Call(g.Answered(2, call.A, b.Describe(bs...)))
	return g, a, b
}

// speak sends three quarters of a second of a tone at the right pace, from a goroutine
// that ends by itself. A tone is known again however late the test's packets are.
func speak(p *phone, k codec.Kind, pt uint8, other codec.Kind, hz float64) {
	rate, clock := k.Rate(other), k.Clock()
	pcm := codec.NewResampler(audio.Rate, rate).Resample(nil, audio.Tone(hz, 800*time.Millisecond))
	e := codec.NewEncoder(k, rate, codec.EncoderOptions{Frame: 20 * time.Millisecond, FEC: true})
	done := make(chan struct{})
	p.T.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for i := 0; len(pcm) >= rate/50; i++ {
			<-pace.C
			payload := e.Encode(nil, pcm[:rate/50])
			p.Conn.WriteToUDPAddrPort(mediatest.Packet(pt, uint16(i), uint32(i*clock/50), p.SSRC, string(payload)), p.To)
			pcm = pcm[rate/50:]
		}
	}()
}

// catch decodes n packets, which follow each other, and returns what is heard.
func catch(t *testing.T, p talker, k codec.Kind, pt uint8, n int) (pcm []int16) {
	t.Helper()
	d := codec.NewDecoder(k, 8000)
	if k == codec.G722 {
		d = codec.NewDecoder(k, 16000)
	}
	buf := make([]int16, 5760)
	var last rtp.Packet
	for i := range n {
		got := p.Hear()
		if got.PayloadType != pt || i > 0 && (got.SequenceNumber != last.SequenceNumber+1 || got.SSRC != last.SSRC) {
			t.Fatalf("packet %d is %+v", i, got.Header)
		}
		// On a machine that stands still meanwhile there are pauses.
		passed, frame := int32(got.Timestamp-last.Timestamp), int32(k.Clock()/50)
		if i > 0 && (passed < frame || got.Marker && passed == frame) {
			t.Fatalf("packet %d is %+v after %d", i, got.Header, last.Timestamp)
		}
		if i == 0 && !got.Marker {
			t.Error("the first packet has no marker")
		}
		last = got
		m, err := d.Decode(buf, got.Payload)
		if err != nil {
			t.Fatal(err)
		}
		pcm = append(pcm, buf[:m]...)
	}
	if k == codec.G722 {
		pcm = codec.NewResampler(16000, 8000).Resample(nil, pcm)
	}
	return pcm
}

func heard(t *testing.T, hz float64, pcm []int16) {
	t.Helper()
	if share, level := audio.ToneShare(pcm, hz); share < 0.5 || math.Abs(level+11) > 4 {
		t.Errorf("%v Hz is %.2f of what is heard, at %.1f dB", hz, share, level)
	}
}

// INTERWORKING 3.3: where no codec is common, speech is transcoded, both ways at once.
func TestTranscode(t *testing.T) {
	tests := []struct {
		name   string
		a, b   media.Codec
		ka, kb codec.Kind
	}{
		{"opus and PCMU", opus(111), pcmu(), codec.Opus, codec.PCMU},
		{"G722 and PCMA", g722(), pcma(), codec.G722, codec.PCMA},
		{"PCMA and opus", pcma(), opus(96), codec.PCMA, codec.Opus},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, a, b := unlike(t, []media.Codec{tt.a}, []media.Codec{tt.b})
			if c := g.relay.Counters(); c.Transcoded != 1 {
				t.Errorf("%d calls are transcoded", c.Transcoded)
			}
			speak(a, tt.ka, tt.a.PT, tt.kb, 440)
			speak(b, tt.kb, tt.b.PT, tt.ka, 1000)
			pcm := catch(t, b, tt.kb, tt.b.PT, 36)
			heard(t, 440, pcm)
			pcm = catch(t, a, tt.ka, tt.a.PT, 36)
			heard(t, 1000, pcm)
			g.Joined(3, call.A, a.Describe(tt.b)) // what B speaks
			until(t, func() bool { return g.relay.Counters().Transcoded == 0 })
			g.Joined(4, call.A, a.Describe(tt.a))
			g.Release()
			until(t, func() bool { return g.relay.Counters().Transcoded == 0 })
		})
	}
}

// A peer gets as much speech in a packet as it asks for, whatever the other sends.
func TestTranscodeRepacks(t *testing.T) {
	for _, ptime := range []time.Duration{10 * time.Millisecond, 40 * time.Millisecond, 60 * time.Millisecond} {
		t.Run(ptime.String(), func(t *testing.T) {
			t.Parallel()
			pa, pb := transcodingPolicies(sipPolicy())
			g := newRig(t, pa, pb, places(1))
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
			b.Call(g.Offered(1, call.B, a.Describe(g722())))
			wants := b.Describe(pcma())
			wants.Streams[0].PTime = ptime
			a.Call(g.Answered(2, call.A, wants))
			speak(a, codec.G722, 9, codec.PCMA, 440) // 20 ms
			size := int(ptime * 8000 / time.Second)
			for range 8 {
				if got := b.Hear(); got.PayloadType != 8 || len(got.Payload) != size {
					t.Fatalf("%d octets of type %d came, want %d", len(got.Payload), got.PayloadType, size)
				}
			}
		})
	}
}

// Silence is sent in full to a peer of Opus, or hardly at all if that asks for DTX (RFC 7587
// section 3.1.3).
func TestTranscodeSilence(t *testing.T) {
	for _, dtx := range []bool{false, true} {
		t.Run(fmt.Sprint("DTX ", dtx), func(t *testing.T) {
			t.Parallel()
			wants := opus(111)
			if dtx {
				wants.Params = append(wants.Params, media.Param{Name: "usedtx", Value: "1"})
			}
			_, a, b := unlike(t, []media.Codec{pcmu()}, []media.Codec{wants})
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			const packets = 75
			for i := range uint16(packets) {
				<-pace.C
				a.Say(0, i, 160*uint32(i), strings.Repeat("\xff", 160))
			}
			came := 0
			for {
				if _, ok := b.Listen(300 * time.Millisecond); !ok {
					break
				}
				came++
			}
			if few := came < packets/2; came == 0 || few != dtx {
				t.Errorf("%d packets came for %d", came, packets)
			}
		})
	}
}

// Who asks for FEC in Opus (RFC 7587 section 6.1) is sent it, and makes up what it loses from the
// packet that follows.
func TestTranscodeFEC(t *testing.T) {
	t.Parallel()
	var scores [2]float64
	for i, fec := range []string{"0", "1"} {
		wants := opus(111)
		wants.Params = []media.Param{{Name: "useinbandfec", Value: fec}}
		_, a, b := unlike(t, []media.Codec{pcmu()}, []media.Codec{wants})
		said := audio.Speech(audio.Low)[:12000]
		e := codec.NewEncoder(codec.PCMU, 8000, codec.EncoderOptions{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for n := range uint16(len(said) / 160) {
				<-pace.C
				payload := e.Encode(nil, said[160*int(n):][:160])
				a.Conn.WriteToUDPAddrPort(mediatest.Packet(0, n, 160*uint32(n), a.SSRC, string(payload)), a.To)
			}
		}()
		var payloads [][]byte
		for range len(said) / 160 {
			payloads = append(payloads, b.Hear().Payload)
		}
		<-done
		scores[i] = audio.Correlate(opened(t, payloads, 0), opened(t, payloads, 5)).Score
	}
	t.Logf("a packet in five is lost: %.3f alike without FEC, %.3f with it", scores[0], scores[1])
	if scores[1] < scores[0]+0.1 || scores[1] < 0.9 {
		t.Errorf("a packet in five is lost: %.3f alike without FEC, %.3f with it", scores[0], scores[1])
	}
}

// opened decodes packets of Opus but one in so many, which is made up from the next; 0 for none.
func opened(t *testing.T, payloads [][]byte, loss int) (pcm []int16) {
	t.Helper()
	d := codec.NewDecoder(codec.Opus, 8000)
	buf := make([]int16, 960)
	for n, p := range payloads {
		length := 160
		if loss > 0 && n%loss == loss/2 && n+1 < len(payloads) {
			d.Conceal(buf[:length], payloads[n+1])
		} else {
			var err error
			if length, err = d.Decode(buf, p); err != nil {
				t.Fatal(err)
			}
		}
		pcm = append(pcm, buf[:length]...)
	}
	return pcm
}

// until waits until something is so.
func until(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(mediatest.Patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not so in time")
		}
	}
}

// What is common passes as it is, and takes no place.
func TestNoTranscodeIfCommon(t *testing.T) {
	pa, pb := transcodingPolicies(sipPolicy())
	g := newRig(t, pa, pb, places(1))
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(opus(111), pcmu()))
	if s := media.Speech(offer.Streams[0].Codecs); len(s) != 4 || s[0].Name != "opus" || s[1].Name != "PCMU" {
		t.Errorf("B is offered %+v", s)
	}
	b.Call(offer)
	answer := g.Answered(2, call.A, b.Describe(pcmu()))
	if s := answer.Streams[0].Codecs; len(s) != 1 || s[0].Name != "PCMU" {
		t.Errorf("A is answered %+v", s)
	}
	a.Call(answer)
	talk(t, a, 0, b, 0)
	if c := g.relay.Counters(); c.Transcoded != 0 {
		t.Errorf("%d calls are transcoded", c.Transcoded)
	}
}

// A peer may speak what it was offered and the other does not know, although they have a
// codec in common.
func TestTranscodeOnDemand(t *testing.T) {
	g, a, b := unlike(t, []media.Codec{pcmu()}, []media.Codec{opus(96), pcmu()})
	talk(t, a, 0, b, 0)
	if c := g.relay.Counters(); c.Transcoded != 0 {
		t.Errorf("%d calls are transcoded before", c.Transcoded)
	}
	// Asked again, it is offered what is common alone.
	if s := media.Speech(g.Offered(3, call.B, a.Describe(pcmu())).Streams[0].Codecs); len(s) != 1 || s[0].Name != "PCMU" {
		t.Errorf("B is offered %+v", s)
	}
	b.SSRC++
	speak(b, codec.Opus, 96, codec.PCMU, 440)
	pcm := catch(t, a, codec.PCMU, 0, 36)
	heard(t, 440, pcm)
	if c := g.relay.Counters(); c.Transcoded != 1 {
		t.Errorf("%d calls are transcoded", c.Transcoded)
	}
}

func TestNoPlaceToTranscode(t *testing.T) {
	pa, pb := transcodingPolicies(sipPolicy())
	r := newRelay(t, places(1))
	one, two := r.rig(t, pa, pb), r.rig(t, pa, pb)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	one.Offered(1, call.B, a.Describe(opus(111)))
	two.Offered(1, call.B, a.Describe(opus(111)))
	one.Answered(2, call.A, b.Describe(pcmu()))
	two.Answer(2, call.A, b.Describe(pcmu()))
	if f, ok := (<-two.Events).(call.MediaFailed); !ok || f.Cause != call.Incompatible {
		t.Errorf("got %+v", f)
	}
	if c := r.Counters(); c.Transcoded != 1 || c.TranscodesRefused != 1 {
		t.Errorf("%d transcoded, %d refused", c.Transcoded, c.TranscodesRefused)
	}
	// One that finds no place from the start is not offered more than it can have.
	three := r.rig(t, pa, pb)
	if s := media.Speech(three.Offered(1, call.B, a.Describe(opus(111))).Streams[0].Codecs); len(s) != 1 {
		t.Errorf("B is offered %+v", s)
	}
}

// Who has used up the places of one share takes none of another's.
func TestSharesHavePlacesOfTheirOwn(t *testing.T) {
	pa, pb := transcodingPolicies(sipPolicy())
	r := newRelay(t, places(2))
	one, other := r.Share(1), r.Share(1)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	offered := func(s *Share) int {
		events := make(chan call.Event, 8)
		bridge, err := s.Open("shared", [2]media.Policy{pa, pb}, func(e call.Event) { events <- e })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(bridge.Release)
		bridge.Offer(1, call.B, a.Describe(opus(111)))
		offer := (<-events).(call.MediaOffered).Media
		codecs := len(media.Speech(offer.Streams[0].Codecs))
		bridge.Answer(2, call.A, b.Describe(pcmu()))
		if _, ok := (<-events).(call.MediaAnswered); !ok && codecs > 1 {
			t.Error("it was offered and is not answered")
		}
		return codecs
	}
	if n := offered(one); n < 2 {
		t.Errorf("the first has %d codecs", n)
	}
	if n := offered(one); n != 1 {
		t.Errorf("the second of the same share has %d codecs, and no place", n)
	}
	if n := offered(other); n < 2 {
		t.Errorf("the first of the other share has %d codecs", n)
	}
	if c := r.Counters(); c.Transcoded != 2 {
		t.Errorf("%d are transcoded", c.Transcoded)
	}
}

// Events go beside transcoded speech, under their own clock, and in its place.
func TestTranscodeKeepsEventsApart(t *testing.T) {
	_, a, b := unlike(t, []media.Codec{pcmu(), events(101, 8000)}, []media.Codec{opus(96), events(110, 48000)})
	speak(a, codec.PCMU, 0, codec.Opus, 440)
	catch(t, b, codec.Opus, 96, 5)
	for n := range uint16(8) { // two digits, which come at once
		event := []byte{5, 10, 0, 0}
		binary.BigEndian.PutUint16(event[2:], 160*(n%4+1))
		if n%4 == 3 {
			event[1] |= 0x80
		}
		a.Say(101, 1000+n, 5000+uint32(n/4)*1000, string(event))
	}
	var got []rtp.Packet
	for len(got) < 8 {
		p := b.Hear()
		if p.PayloadType == 110 {
			got = append(got, p)
			continue
		}
		if len(got) > 0 {
			t.Fatalf("speech within the digit: %+v", p.Header)
		}
	}
	for i, p := range got {
		if ts := got[0].Timestamp + uint32(i/4)*6000; p.Timestamp != ts || p.Marker != (i%4 == 0) || p.SequenceNumber != got[0].SequenceNumber+uint16(i) {
			t.Errorf("event %d is %+v", i, p.Header)
		}
		if d := binary.BigEndian.Uint16(p.Payload[2:]); d != 960*uint16(i%4+1) {
			t.Errorf("event %d lasts %d", i, d)
		}
	}
}

// Comfort noise of one peer is heard by the other as noise.
func TestTranscodeNoise(t *testing.T) {
	_, a, b := unlike(t, []media.Codec{pcmu(), noise()}, []media.Codec{opus(96)})
	for n := range uint16(10) {
		a.Say(0, n, 160*uint32(n), string(make([]byte, 160)))
	}
	a.Say(13, 10, 1600, string([]byte{40}))
	d := codec.NewDecoder(codec.Opus, 8000)
	buf := make([]int16, 960)
	for range 50 {
		n, err := d.Decode(buf, b.Hear().Payload)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, v := range buf[:n] {
			sum += float64(v) * float64(v)
		}
		if level := 10 * math.Log10(sum/float64(n)+1); math.Abs(level-50) < 4 { // 90 - 40
			return
		}
	}
	t.Error("no noise was heard")
}

// What was made of a peer's speech when a side puts the call on hold has nowhere to go.
func TestHoldInTheMiddleOfTranscodedSpeech(t *testing.T) {
	g, a, b := unlike(t, []media.Codec{pcmu()}, []media.Codec{opus(96)})
	speak(a, codec.PCMU, 0, codec.Opus, 440)
	b.Hear()
	g.Joined(3, call.A, holding(a, media.Inactive, pcmu()))
	eventually(t, "dropping", func() bool { return g.Stats()[call.A].Dropped.NoRoute > 5 })
	g.Joined(4, call.A, a.Describe(pcmu()))
	b.Hear()
}

// The same as it happens only now and then.
func TestMadeWithoutAWay(t *testing.T) {
	s := &socket{}
	for _, noise := range []bool{false, true} {
		through := &transcoding{ready: 1}
		through.made[0].noise = noise
		if s.speak(&route{through: through}, 1); through.ready != 0 {
			t.Errorf("noise %t: %d packets wait", noise, through.ready)
		}
	}
}
