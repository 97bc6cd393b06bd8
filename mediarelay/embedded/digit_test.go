package embedded

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/sound"
	"sipxmppgw/test/mediatest"
)

func TestDigitsArePlayed(t *testing.T) {
	t.Parallel()
	g, a, b, _ := pair(t, nil, pcmu(), events(101, 8000))
	a.Say(0, 1000, 160, "before")
	last := b.Hear()
	keys := "1#"
	for _, k := range []byte(keys) {
		g.Digit(call.B, call.Digit{Key: k, Length: 50 * time.Millisecond})
	}
	for i, event := range []byte{1, 11} {
		var ts uint32
		var before uint16
		ends := 0
		for n := 0; ends < digitEnds; n++ {
			got := b.Hear()
			if got.PayloadType != 101 || len(got.Payload) != 4 || got.Payload[0] != event {
				t.Fatalf("digit %d, packet %d: got type %d, %x", i, n, got.PayloadType, got.Payload)
			}
			if n == 0 {
				ts = got.Timestamp
			}
			lasted := binary.BigEndian.Uint16(got.Payload[2:])
			if got.Marker != (n == 0) || got.Timestamp != ts || got.SequenceNumber != last.SequenceNumber+1 || lasted < before {
				t.Errorf("digit %d, packet %d: got %+v after %+v", i, n, got.Header, last.Header)
			}
			if got.Payload[1]&0x80 != 0 {
				ends++
				if lasted != 400 {
					t.Errorf("digit %d lasted %d", i, lasted)
				}
			}
			last, before = got, lasted
		}
	}
	eventually(t, "the end of digits", func() bool {
		a.Say(0, 1001, 320, "after")
		select {
		case p := <-b.Media:
			b.Media <- p
			return true
		default:
			return false
		}
	})
	if got := b.Hear(); string(got.Payload) != "after" || got.SequenceNumber != last.SequenceNumber+1 {
		t.Errorf("got %+v after %+v", got, last.Header)
	}
}

// A phone that is silent, as one on mute, does not keep digits from being played.
func TestDigitsInSilence(t *testing.T) {
	g, _, b, _ := pair(t, nil, pcmu(), events(101, 8000))
	g.Digit(call.B, call.Digit{Key: 'D'})
	if got := b.Hear(); got.Payload[0] != 15 || !got.Marker {
		t.Errorf("got %+v", got)
	}
}

func TestDigitsForSignalling(t *testing.T) {
	g, a, b, _ := pair(t, nil, pcmu())
	want := call.MediaDigit{Side: call.B, Digit: call.Digit{Key: '5', Length: 100 * time.Millisecond}}
	g.Digit(want.Side, want.Digit)
	if got := mediatest.Next[call.MediaDigit](g.Rig); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	a.Say(0, 1, 160, "speech")
	b.Hear()
}

// Events of one leg that the other's media cannot carry are told, once each.
func TestEventsThatGetNoFurther(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu(), events(101, 8000))))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	a.Say(0, 1, 160, "speech")
	first := b.Hear()
	a.Say(101, 2, 320, "\x07\x0a\x01\x40")
	for seq := range uint16(3) {
		a.Say(101, 3+seq, 320, "\x07\x8a\x03\x20")
	}
	a.Say(101, 6, 320, "\x07\x8a") // cut short
	a.Say(0, 7, 1120, "speech")
	want := call.MediaDigit{Side: call.B, Digit: call.Digit{Key: '7', Length: 100 * time.Millisecond}}
	if got := mediatest.Next[call.MediaDigit](g.Rig); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := b.Hear(); got.SequenceNumber != first.SequenceNumber+1 || got.Timestamp != first.Timestamp+960 {
		t.Errorf("got number %d at %d after %d at %d", got.SequenceNumber, got.Timestamp, first.SequenceNumber, first.Timestamp)
	}
	select {
	case e := <-g.Events:
		if _, ok := e.(call.MediaDigit); ok {
			t.Errorf("got %+v again", e)
		}
	case <-time.After(50 * time.Millisecond):
	}
}

// toneOf returns the digit whose two frequencies sound in a packet of mu-law, or 0.
func toneOf(payload []byte) byte {
	var linear []int
	for _, c := range payload {
		linear = append(linear, decodeMu(c))
	}
	loudest := func(of [4]float64) int {
		best, at := -30.0, -1
		for i, hertz := range of {
			if l := goertzel(linear, hertz); l > best {
				best, at = l, i
			}
		}
		return at
	}
	row, column := loudest(sound.DigitRows), loudest(sound.DigitColumns)
	if row < 0 || column < 0 {
		return 0
	}
	return sound.DigitPad[4*row+column]
}

func TestDigitsInSpeech(t *testing.T) {
	t.Parallel()
	g, a, b := phones(t, media.SendRecv, func(o *Options) { o.InbandDTMF = true }, pcmu())
	say(t, a, 0, b, 0, 1000)
	g.Digit(call.B, call.Digit{Key: '7', Length: 50 * time.Millisecond})
	g.Digit(call.B, call.Digit{Key: 'D', Length: 40 * time.Millisecond})
	first := run(t, b.Hear, 3, 160)
	second := run(t, b.Hear, 2, 160)
	if !first[0].Marker || !second[0].Marker || second[0].SequenceNumber != first[2].SequenceNumber+1 {
		t.Errorf("the digits begin with %+v and %+v", first[0].Header, second[0].Header)
	}
	if gap := second[0].Timestamp - first[2].Timestamp - 160; gap < 400 || gap > 4000 {
		t.Errorf("the second begins %d samples after the end of the first", gap)
	}
	for i, p := range append(first, second...) {
		want := byte('7')
		if i >= 3 {
			want = 'D'
		}
		if got := toneOf(p.Payload); got != want {
			t.Errorf("packet %d sounds like %q, want %q", i, got, want)
		}
	}
	eventually(t, "the end of digits", func() bool {
		a.Say(0, 1005, 160*1005, "after")
		got, ok := b.Listen(digitStep)
		if ok && (string(got.Payload) != "after" || !got.Marker || got.SequenceNumber != second[1].SequenceNumber+1) {
			t.Errorf("got %q, %+v", got.Payload, got.Header)
		}
		return ok
	})
	select {
	case e := <-g.Events:
		if d, ok := e.(call.MediaDigit); ok {
			t.Errorf("got %+v too", d)
		}
	default:
	}
}

// What a peer says while a digit sounds is left out, and leaves no gap.
func TestDigitsReplaceSpeech(t *testing.T) {
	t.Parallel()
	g, a, b := phones(t, media.SendRecv, func(o *Options) { o.InbandDTMF = true }, pcmu())
	say(t, a, 0, b, 0, 1000)
	g.Digit(call.B, call.Digit{Key: '7', Length: 200 * time.Millisecond})
	last := b.Hear()
	for n := range uint16(9) {
		a.Say(0, 1005+n, 160*uint32(1005+n), "speech")
		p := b.Hear()
		if p.SequenceNumber != last.SequenceNumber+1 || p.Timestamp != last.Timestamp+160 || toneOf(p.Payload) != '7' {
			t.Fatalf("got %q, %+v after %+v", p.Payload, p.Header, last.Header)
		}
		last = p
	}
}

// Without option, or where speech is not G.711, signalling has to carry digits.
func TestDigitsNotInSpeech(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		inband bool
		codec  media.Codec
	}{
		{"without the option", false, pcmu()},
		{"opus", true, opus(96)},
	}
	for _, tt := range tests {
		g, _, _ := phones(t, media.SendRecv, func(o *Options) { o.InbandDTMF = tt.inband }, tt.codec)
		g.Digit(call.B, call.Digit{Key: '7'})
		if got := mediatest.Next[call.MediaDigit](g.Rig); got.Digit.Key != '7' {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
}

// A leg whose policy wants no tones gets none, whatever the relay could play.
func TestDigitForOneWhoWantsNoTones(t *testing.T) {
	t.Parallel()
	g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) { o.InbandDTMF = true })
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	g.Digit(call.B, call.Digit{Key: '7'})
	if got := mediatest.Next[call.MediaDigit](g.Rig); got.Digit.Key != '7' {
		t.Errorf("got %+v", got)
	}
}

func TestAllTones(t *testing.T) {
	s := newSounds(&Options{InbandDTMF: true})
	for event, key := range []byte(digitKeys) {
		if got := toneOf(s.digits[event].laws[lawMu][:160]); got != key {
			t.Errorf("event %d sounds like %q, want %q", event, got, key)
		}
	}
}

// Digits that are played follow each other in time, and do not overlap (RFC 4733
// section 2.5.1.2).
func TestDigitsDoNotOverlap(t *testing.T) {
	t.Parallel()
	g, _, b := phones(t, media.SendRecv, nil, pcmu(), events(101, 8000))
	for _, k := range []byte("12") {
		g.Digit(call.B, call.Digit{Key: k, Length: 60 * time.Millisecond})
	}
	var first rtp.Packet
	second := b.Hear()
	for ; second.Payload[0] == 1; second = b.Hear() {
		first = second
	}
	lasted := uint32(binary.BigEndian.Uint16(first.Payload[2:]))
	if gap := second.Timestamp - first.Timestamp; gap < lasted+240 || gap > lasted+4000 {
		t.Errorf("the second begins %d samples after the first, which lasted %d", gap, lasted)
	}
}

// What a peer says of digits in its media, and what is made of it for signalling.
func TestDigitsHeard(t *testing.T) {
	type said struct {
		ts      uint32
		payload string // empty for speech
	}
	tests := []struct {
		name string
		said []said
		want []call.Digit
	}{
		{
			"two digits, ends sent three times",
			[]said{
				{160, "\x01\x0a\x00\xa0"},
				{160, "\x01\x8a\x01\x40"},
				{160, "\x01\x8a\x01\x40"},
				{160, "\x01\x8a\x01\x40"},
				{960, "\x01\x8a\x01\x40"},
				{960, "\x01\x8a\x01\x40"},
			},
			[]call.Digit{{Key: '1', Length: 40 * time.Millisecond}, {Key: '1', Length: 40 * time.Millisecond}},
		},
		{
			"an end that is lost, and speech",
			[]said{{160, "\x05\x0a\x03\x20"}, {1600, ""}, {1760, ""}},
			[]call.Digit{{Key: '5', Length: 100 * time.Millisecond}},
		},
		{
			"an end that is lost, and another digit",
			[]said{{160, "\x05\x0a\x03\x20"}, {1600, "\x06\x8a\x01\x40"}},
			[]call.Digit{{Key: '5', Length: 100 * time.Millisecond}, {Key: '6', Length: 40 * time.Millisecond}},
		},
		{
			"a long one, in segments",
			[]said{{160, "\x05\x0a\xff\xff"}, {160 + 0xffff, "\x05\x0a\x03\x20"}, {160 + 0xffff, "\x05\x8a\x1f\x41"}},
			[]call.Digit{{Key: '5', Length: 9192 * time.Millisecond}},
		},
		{
			"timestamps that move",
			[]said{{160, "\x05\x0a\x00\xa0"}, {320, "\x05\x0a\x01\x40"}, {480, "\x05\x8a\x01\xe0"}, {640, "\x05\x8a\x01\xe0"}},
			[]call.Digit{{Key: '5', Length: 60 * time.Millisecond}},
		},
		{
			"what is no digit, and what is cut short",
			[]said{{160, "\x10\x8a\x01\x40"}, {160, "\x05\x8a\x01"}, {160, "\xff\xff\xff\xff"}, {320, "\x0f\x8a\x01\x40"}},
			[]call.Digit{{Key: 'D', Length: 40 * time.Millisecond}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, sipPolicy(), sipPolicy(), nil)
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
			b.Call(g.Offered(1, call.B, a.Describe(pcmu(), events(101, 8000))))
			a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
			for i, s := range append([]said{{0, ""}}, tt.said...) {
				pt := uint8(101)
				if s.payload == "" {
					pt, s.payload = 0, "speech"
				}
				a.Say(pt, uint16(i), s.ts, s.payload)
			}
			for i, want := range tt.want {
				if got := mediatest.Next[call.MediaDigit](g.Rig); got.Side != call.B || got.Digit != want {
					t.Errorf("digit %d is %+v, want %+v", i, got, want)
				}
			}
			a.Say(0, uint16(len(tt.said)+1), 1<<20, "the last")
			for string(b.Hear().Payload) != "the last" {
			}
			g.Joined(3, call.A, a.Describe(pcmu(), events(101, 8000)))
			select {
			case e := <-g.Events:
				if d, ok := e.(call.MediaDigit); ok {
					t.Errorf("got %+v too", d)
				}
			default:
			}
		})
	}
}

// A peer that floods events does not flood signalling.
func TestDigitsTooFast(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu(), events(101, 8000))))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	a.Say(0, 0, 0, "first")
	b.Hear()
	began := time.Now()
	for n := range uint32(200) {
		a.Say(101, uint16(n+1), 1600*(n+1), "\x01\x8a\x01\x40")
	}
	a.Say(0, 201, 1<<20, "last")
	b.Hear()
	most := digitBurst + int(time.Since(began)/digitLeast) + 1
	g.Joined(3, call.A, a.Describe(pcmu(), events(101, 8000)))
	if dropped := g.Stats()[call.A].Dropped.Malformed; dropped < int64(200-most) {
		t.Errorf("%d of 200 digits were left out, want all but %d", dropped, most)
	}
}

// A caller that was answered first presses digits while an announcement plays.
func TestDigitsBeforeTheAnswer(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(pcmu(), events(101, 8000))
	a.Call(g.Joined(1, call.A, own))
	b.Call(g.Offered(2, call.B, own))
	g.Answered(3, call.A, b.Describe(pcmu(), events(101, 8000))) // early
	a.Say(101, 1, 160, "\x05\x8a\x01\x40")
	if got := b.Hear(); got.PayloadType != 101 || string(got.Payload) != "\x05\x8a\x01\x40" {
		t.Errorf("B heard %+v", got)
	}
	g.Digit(call.B, call.Digit{Key: '9'})
	if got := b.Hear(); got.PayloadType != 101 || got.Payload[0] != 9 {
		t.Errorf("B heard %+v", got)
	}
}
