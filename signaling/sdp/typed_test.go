package sdp

import (
	"net/netip"
	"strings"
	"testing"

	"sipxmppgw/gateway/media"
)

const soundAnd = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

// What is read of an m= line of text (RFC 4103 section 9).
func TestTyped(t *testing.T) {
	for _, tt := range []struct {
		name, text              string
		kind, red               uint8
		generations, characters int
	}{
		{"with redundancy", "m=text 4002 RTP/AVP 100 98\r\na=rtpmap:98 t140/1000\r\na=rtpmap:100 red/1000\r\na=fmtp:100 98/98/98\r\n", 98, 100, 2, 0},
		{"without", "m=text 4002 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n", 98, 98, 0, 0},
		{"in capitals, and slower", "m=TEXT 4002 RTP/AVP 98\r\na=rtpmap:98 T140/1000\r\na=fmtp:98 cps=20\r\n", 98, 98, 0, 20},
		{"too fast", "m=text 4002 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\na=fmtp:98 cps=999999\r\n", 98, 98, 0, 1000},
		{"redundancy of something else", "m=text 4002 RTP/AVP 100 98\r\na=rtpmap:98 t140/1000\r\na=rtpmap:100 red/1000\r\na=fmtp:100 98/97\r\n", 98, 98, 0, 0},
		{"redundancy that says nothing", "m=text 4002 RTP/AVP 100 98\r\na=rtpmap:98 t140/1000\r\na=rtpmap:100 red/1000\r\n", 98, 98, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Parse([]byte(soundAnd + tt.text))
			if err != nil {
				t.Fatal(err)
			}
			got := d.Streams[1].Typed
			if !d.Streams[1].Rejected || got == nil || got.Text != tt.kind || got.Red != tt.red || got.Generations != tt.generations ||
				got.Rate != tt.characters || got.Addr != netip.MustParseAddrPort("192.0.2.1:4002") {
				t.Errorf("it is %+v", got)
			}
		})
	}
	for _, text := range []string{
		"m=text 0 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n",
		"m=text 4002 TCP 98\r\na=rtpmap:98 t140/1000\r\n",
		"m=text 4002 RTP/AVP 98\r\n",
		"m=text 4002 RTP/AVP 98\r\na=rtpmap:98 t140/8000\r\n",
		"m=application 4002 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n",
	} {
		if d, err := Parse([]byte(soundAnd + text)); err != nil || d.Streams[1].Typed != nil {
			t.Errorf("%q is %+v, %v", text, d.Streams[1].Typed, err)
		}
	}
}

// Text is refused unless it is asked for; then it is answered in its slot and with its numbers.
func TestTypedAnswer(t *testing.T) {
	s := NewSession(testOrigin())
	offer, err := s.Parse([]byte(soundAnd + "m=text 4002 RTP/AVP 111 99\r\na=rtpmap:99 t140/1000\r\na=rtpmap:111 red/1000\r\na=fmtp:111 99/99/99\r\na=sendonly\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	sound := offer.Streams[0]
	sound.Transport.Addr = netip.MustParseAddrPort("192.0.2.10:6000")
	answer := media.Description{Streams: []media.Stream{sound, media.Refuse(offer.Streams[1])}}
	if got := string(s.Format(answer)); !strings.HasSuffix(got, "m=text 0 RTP/AVP 111 99\r\n") {
		t.Errorf("refused as\n%s", got)
	}
	live, ok := answer.Type(offer, media.Typed{Addr: netip.MustParseAddrPort("192.0.2.10:6002"), Rate: 30})
	got := string(s.Format(live))
	want := "m=text 6002 RTP/AVP 111 99\r\na=rtpmap:99 t140/1000\r\na=fmtp:99 cps=30\r\na=rtpmap:111 red/1000\r\na=fmtp:111 99/99/99\r\na=recvonly\r\n"
	if !ok || !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", got, want)
	}
	if !answer.Streams[1].Rejected {
		t.Error("the answer itself has changed")
	}
	again, err := s.Parse([]byte(got))
	if err != nil || again.Streams[1].Typed == nil || again.Streams[1].Typed.Red != 111 || again.Streams[1].Typed.Rate != 30 {
		t.Errorf("it is read as %+v, %v", again.Streams, err)
	}
	if _, ok := answer.Type(media.Description{Streams: offer.Streams[:1]}, media.Typed{}); ok {
		t.Error("text is accepted that was not offered")
	}
}
