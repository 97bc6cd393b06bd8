package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

// renumbered returns a codec as another side numbers it.
func renumbered(c audio.Codec, payloadType uint8) audio.Codec {
	c.PayloadType = payloadType
	return c
}

// What both sides know passes through untouched, however each of them numbers it.
func TestCodecsMeet(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		phone  []audio.Codec
		client []audio.Codec
		trunk  string
		want   string // the codec
		digits bool
		frame  int // in bytes, of what is sent
	}{
		{name: "PCMU", phone: []audio.Codec{audio.PCMU, audio.DTMF}, client: jinglephone.WebRTC(), want: "PCMU", digits: true, frame: 160},
		{name: "PCMA", phone: []audio.Codec{audio.PCMA, audio.DTMF}, client: jinglephone.WebRTC(), want: "PCMA", digits: true, frame: 160},
		{name: "G722", phone: []audio.Codec{audio.G722, audio.DTMF}, client: jinglephone.WebRTC(), want: "G722", digits: true, frame: 160},
		{
			name: "opus, with other numbers", phone: []audio.Codec{renumbered(audio.Opus, 96), renumbered(audio.DTMF4, 97)},
			client: jinglephone.WebRTC(), want: "opus", digits: true, frame: 80,
		},
		{
			name: "opus, and events at 8000 Hz with it", phone: []audio.Codec{renumbered(audio.Opus, 107), audio.DTMF},
			client: []audio.Codec{audio.Opus, audio.DTMF8}, want: "opus", frame: 80,
		},
		{
			name: "the trunk's order wins over the phone's", phone: []audio.Codec{audio.G722, audio.PCMU, audio.PCMA, audio.DTMF},
			client: jinglephone.WebRTC(), trunk: ", codecs: [PCMA, PCMU]", want: "PCMA", digits: true, frame: 160,
		},
		{
			name: "a client that knows one", phone: []audio.Codec{audio.G722, audio.PCMA, audio.PCMU, audio.DTMF},
			client: []audio.Codec{audio.PCMU, audio.DTMF8}, want: "PCMU", digits: true, frame: 160,
		},
	}
	for _, tt := range tests {
		for _, from := range []string{"phone", "client"} {
			t.Run(tt.name+", from the "+from, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, setup{phones: []behind{{phone: sipphone.Options{Codecs: tt.phone}, trunk: tt.trunk}}})
				client := w.client(0, "phone", jinglephone.Options{Codecs: tt.client, Behaviour: jinglephone.Conversations()})
				var sip *sipphone.Call
				var xmpp *jinglephone.Call
				if from == "phone" {
					sip, xmpp = w.dial(0, client, 0)
					answered(t, sip, xmpp)
				} else {
					xmpp, sip = w.call(client, 0)
					answered(t, xmpp, sip)
				}
				// A phone whose first codec the client lacks is told so once the client has
				// described its own.
				if err := xmpp.Heard().Wait(limit(t), func(s audio.Statistics) bool { return s.Packets > 0 }); err != nil {
					t.Fatalf("the client hears nothing: %v", err)
				}
				for _, c := range []phone.Call{sip, xmpp} {
					if got := c.Sender().Codec().Name; got != tt.want && tt.trunk == "" {
						t.Errorf("%s speaks %s, want %s", c.Peer(), got, tt.want)
					}
				}
				frames := audio.Frames(50, tt.frame)
				intact(t, sip, xmpp, frames)
				intact(t, xmpp, sip, frames)
				if tt.digits {
					digits(t, sip, xmpp, "159#")
					digits(t, xmpp, sip, "0*")
				}
				hangUp(t, sip, xmpp)
				faultless(t, sip, xmpp)
				if r := w.record(0); r.Media[0].Codec != r.Media[1].Codec {
					t.Errorf("the legs speak %s and %s", r.Media[0].Codec, r.Media[1].Codec)
				}
			})
		}
	}
}

// intact proves that frames come out as they went in, byte for byte.
func intact(t *testing.T, from, to phone.Call, frames [][]byte) {
	t.Helper()
	ctx := limit(t)
	if err := to.Heard().Wait(ctx, func(s audio.Statistics) bool { return s.Packets > 0 }); err != nil {
		t.Fatalf("%s hears nothing: %v", to.Peer(), err)
	}
	if err := from.Sender().PlayFrames(ctx, frames); err != nil {
		t.Fatal(err)
	}
	err := to.Heard().Wait(ctx, func(audio.Statistics) bool { return audio.Arrived(frames, to.Heard().Payloads()) == 1 })
	if err != nil {
		t.Fatalf("of what %s was told came %.2f: %v; %+v of types %v", to.Peer(), audio.Arrived(frames, to.Heard().Payloads()), err,
			to.Heard().Statistics(), to.Heard().PayloadTypes())
	}
	if s := to.Heard().Statistics(); s.Unknown+s.Malformed+s.Duplicates > 0 {
		t.Errorf("%s was told %+v", to.Peer(), s)
	}
}

// digits proves that tones arrive as telephone-events, each once.
func digits(t *testing.T, from, to phone.Call, tones string) {
	t.Helper()
	before := to.Heard().Digits()
	for i := range len(tones) {
		if err := from.Sender().Digit(limit(t), tones[i], 60*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Heard().Wait(limit(t), func(audio.Statistics) bool { return len(to.Heard().Digits()) >= len(before+tones) }); err != nil {
		t.Errorf("%v", err)
	}
	if got := to.Heard().Digits(); got != before+tones {
		t.Errorf("%s was told the tones %q, want %q", to.Peer(), got, before+tones)
	}
}

// Where nothing is common, speech is transcoded, and digits go beside it.
//
// One at a time and by itself: what is late on a busy machine is concealed, not repeated.
func TestCodecsAreTranscoded(t *testing.T) {
	tests := []struct {
		name          string
		phone, client []audio.Codec
		digits        bool
	}{
		{"opus alone at the client", []audio.Codec{audio.PCMU, audio.DTMF}, []audio.Codec{audio.Opus, audio.DTMF4}, true},
		{"opus alone at the phone", []audio.Codec{renumbered(audio.Opus, 107)}, []audio.Codec{audio.PCMA, audio.DTMF8}, false},
		{"G722 alone at the phone", []audio.Codec{audio.G722, audio.DTMF}, []audio.Codec{audio.PCMU, audio.DTMF8}, true},
	}
	for _, tt := range tests {
		for _, from := range []string{"phone", "client"} {
			for _, trunk := range []string{"", ", early_media: true"} {
				if from == "phone" && trunk != "" {
					continue
				}
				t.Run(tt.name+", from the "+from+trunk, func(t *testing.T) {
					w := newWorld(t, setup{phones: []behind{{phone: sipphone.Options{Codecs: tt.phone}, trunk: trunk}}})
					client := w.client(0, "phone", jinglephone.Options{Codecs: tt.client, Behaviour: jinglephone.Conversations()})
					var sip *sipphone.Call
					var xmpp *jinglephone.Call
					if from == "phone" {
						sip, xmpp = w.dial(0, client, 0)
						answered(t, sip, xmpp)
					} else {
						xmpp, sip = w.call(client, 0)
						answered(t, xmpp, sip)
					}
					understood(t, sip, xmpp)
					understood(t, xmpp, sip)
					if tt.digits {
						digits(t, sip, xmpp, "159#")
						digits(t, xmpp, sip, "0*")
					}
					if n := w.d.relay.Counters().Transcoded; n != 1 {
						t.Errorf("%d calls are transcoded", n)
					}
					hangUp(t, sip, xmpp)
					faultless(t, sip, xmpp)
				})
			}
		}
	}
}

// understood proves that a tone of one, at -10 dB, is heard as loud by the other, who speaks another
// codec: within 0.5 dB, and 0.95 of what is heard or more, on a machine that is busy. If it is so busy
// that some of the tone had to be concealed, it is said again.
func understood(t *testing.T, from, to phone.Call) {
	t.Helper()
	if err := to.Heard().Wait(limit(t), func(s audio.Statistics) bool { return s.Packets > 0 }); err != nil {
		t.Fatalf("%s hears nothing: %v", to.Peer(), err)
	}
	frames := encoded(from.Sender().Codec(), audio.Tone(700, time.Second))
	var share, level float64
	for range 4 {
		before := len(to.Heard().Payloads())
		if err := from.Sender().PlayFrames(limit(t), frames); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(limit(t), 2*time.Second)
		err := to.Heard().Wait(ctx, func(audio.Statistics) bool {
			share, level = audio.ToneShare(decoded(to.Sender().Codec(), to.Heard().Payloads()[before:]), 700)
			return share > 0.9 && math.Abs(level+10) < 1.5
		})
		cancel()
		if err == nil {
			return
		}
	}
	t.Errorf("the tone is %.2f of what %s hears, at %.1f dB", share, to.Peer(), level)
}

// kindOf returns the codec of a phone, and the rate that it is coded at here.
func kindOf(c audio.Codec) (k codec.Kind, rate int) {
	k, _ = codec.KindOf(c.Name)
	return k, k.Rate(codec.PCMU)
}

// encoded returns samples at 8000 Hz as packets of 20 ms.
func encoded(c audio.Codec, pcm []int16) (frames [][]byte) {
	k, rate := kindOf(c)
	e := codec.NewEncoder(k, rate, codec.EncoderOptions{Frame: 20 * time.Millisecond})
	pcm = codec.NewResampler(audio.Rate, rate).Resample(nil, pcm)
	for ; len(pcm) >= rate/50; pcm = pcm[rate/50:] {
		frames = append(frames, e.Encode(nil, pcm[:rate/50]))
	}
	return frames
}

// decoded returns what packets say, at 8000 Hz.
func decoded(c audio.Codec, frames [][]byte) (pcm []int16) {
	k, rate := kindOf(c)
	d := codec.NewDecoder(k, rate)
	buf := make([]int16, rate/5)
	for _, f := range frames {
		if n, err := d.Decode(buf, f); err == nil {
			pcm = append(pcm, buf[:n]...)
		}
	}
	return codec.NewResampler(rate, audio.Rate).Resample(nil, pcm)
}

// Where there is no common codec, and no transcoding, both sides are told so, and nobody
// hears anything.
func TestCodecsDoNotMeet(t *testing.T) {
	t.Parallel()
	const off = ", transcoding: {off: true}"
	g722, pcmu := []audio.Codec{audio.G722, audio.DTMF}, []audio.Codec{audio.PCMU, audio.DTMF8}
	t.Run("from the phone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{phones: []behind{{phone: sipphone.Options{Codecs: g722}}}, media: off})
		c, callee := w.dial(0, w.client(0, "phone", jinglephone.Options{Codecs: pcmu}), 0)
		if err := callee.Accept(); err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		until(t, callee, phone.Ended)
		if c.End().Status != 488 || !slices.Contains([]string{"incompatible-parameters", "failed-application"}, callee.End().Reason) {
			t.Errorf("it ended as %+v and %+v", c.End(), callee.End())
		}
		silent(t, c)
		silent(t, callee)
	})
	t.Run("from the client", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{phones: []behind{{phone: sipphone.Options{Codecs: g722}}}, media: off})
		c, callee := w.call(w.client(0, "phone", jinglephone.Options{Codecs: pcmu}), 0)
		if err := callee.Accept(); err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		until(t, callee, phone.Ended)
		if c.End().Reason != "incompatible-parameters" || callee.End().Reason != "BYE" {
			t.Errorf("it ended as %+v and %+v", c.End(), callee.End())
		}
		silent(t, c)
		silent(t, callee)
		w.cause(0, call.Incompatible)
	})
	t.Run("offer of nothing we know", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{})
		client := w.client(0, "phone", jinglephone.Options{Codecs: speech})
		client.OnIncoming(func(c *jinglephone.Call) { t.Errorf("the client was called by %s", c.Peer()) })
		body := "v=0\r\no=- 1 1 IN IP4 127.0.1.1\r\ns=-\r\nc=IN IP4 127.0.1.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n"
		c, err := w.sip[0].Place(w.uri(0), sipphone.Placing{Body: body})
		if err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		if c.End().Status != 488 {
			t.Errorf("it ended as %+v", c.End())
		}
		w.recordRefusals(call.Incompatible)
	})
}

// recordRefusals waits until all calls have ended, for that cause.
func (w *world) recordRefusals(want call.Cause) {
	w.t.Helper()
	w.quiet()
	for i := range w.ended() {
		w.cause(i, want)
	}
	if text := fmt.Sprint(w.unanswered()); text != "[]" {
		w.t.Errorf("not answered: %s", text)
	}
}
