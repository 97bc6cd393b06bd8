package embedded

import (
	"encoding/binary"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
)

func TestDigitsArePlayed(t *testing.T) {
	g, a, b, _ := pair(t, nil, pcmu(), events(101, 8000))
	a.say(0, 1000, 160, "before")
	last := b.hear()
	keys := "1#"
	for _, k := range []byte(keys) {
		g.Digit(call.B, call.Digit{Key: k, Length: 50 * time.Millisecond})
	}
	for i, event := range []byte{1, 11} {
		var ts uint32
		var before uint16
		ends := 0
		for n := 0; ends < digitEnds; n++ {
			got := b.hear()
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
		a.say(0, 1001, 320, "after")
		select {
		case p := <-b.media:
			b.media <- p
			return true
		default:
			return false
		}
	})
	if got := b.hear(); string(got.Payload) != "after" || got.SequenceNumber != last.SequenceNumber+1 {
		t.Errorf("got %+v after %+v", got, last.Header)
	}
}

// A phone that is silent, as one on mute, does not keep digits from being played.
func TestDigitsInSilence(t *testing.T) {
	g, _, b, _ := pair(t, nil, pcmu(), events(101, 8000))
	g.Digit(call.B, call.Digit{Key: 'D'})
	if got := b.hear(); got.Payload[0] != 15 || !got.Marker {
		t.Errorf("got %+v", got)
	}
}

func TestDigitsForSignalling(t *testing.T) {
	g, a, b, _ := pair(t, nil, pcmu())
	want := call.MediaDigit{Side: call.B, Digit: call.Digit{Key: '5', Length: 100 * time.Millisecond}}
	g.Digit(want.Side, want.Digit)
	if got := next[call.MediaDigit](g); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	a.say(0, 1, 160, "speech")
	b.hear()
}

// Events of one leg that the other's media cannot carry are told, once each.
func TestEventsThatGetNoFurther(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	b.call(g.offer(1, call.B, a.describe(pcmu(), events(101, 8000))))
	a.call(g.answer(2, call.A, b.describe(pcmu())))
	a.say(0, 1, 160, "speech")
	first := b.hear()
	a.say(101, 2, 320, "\x07\x0a\x01\x40")
	for seq := range uint16(3) {
		a.say(101, 3+seq, 320, "\x07\x8a\x03\x20")
	}
	a.say(101, 6, 320, "\x07\x8a") // cut short
	a.say(0, 7, 1120, "speech")
	want := call.MediaDigit{Side: call.B, Digit: call.Digit{Key: '7', Length: 100 * time.Millisecond}}
	if got := next[call.MediaDigit](g); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := b.hear(); got.SequenceNumber != first.SequenceNumber+1 || got.Timestamp != first.Timestamp+960 {
		t.Errorf("got number %d at %d after %d at %d", got.SequenceNumber, got.Timestamp, first.SequenceNumber, first.Timestamp)
	}
	select {
	case e := <-g.events:
		if _, ok := e.(call.MediaDigit); ok {
			t.Errorf("got %+v again", e)
		}
	case <-time.After(50 * time.Millisecond):
	}
}
