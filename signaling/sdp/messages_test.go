package sdp

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"sipxmppgw/gateway/media"
)

// What we say of a message session is read again the same, in the slot of the offer.
func TestConverse(t *testing.T) {
	text, err := os.ReadFile("testdata/messages.sdp")
	if err != nil {
		t.Fatal(err)
	}
	s := NewSession(testOrigin())
	offer, err := s.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	m := offer.Messages()
	if m == nil || !m.Secure || !m.Reach || !m.Room || !m.Nicknames || !m.Private || m.MaxSize != 9000 || m.Setup != media.Active || len(m.Prints) != 1 {
		t.Fatalf("it is %+v", m)
	}
	for kind, want := range map[string][2]bool{
		"text/plain": {true, true}, "message/imdn+xml": {false, true}, "application/im-iscomposing+xml": {true, true},
	} {
		if got := [2]bool{m.Accepts(kind, false), m.Accepts(kind, true)}; got != want {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
	answer := media.Converse(media.Messages{
		Path: "msrp://192.0.2.10:2855/s7k3;tcp", Addr: netip.MustParseAddrPort("192.0.2.10:2855"),
		Setup: media.Passive, Accept: []string{"text/plain", "bad\r\na=x"}, MaxSize: 40000, Room: true, Nicknames: true,
	}, offer)
	got := string(s.Format(answer))
	want := "m=audio 0 RTP/AVP 0\r\nm=message 2855 TCP/MSRP *\r\na=accept-types:text/plain\r\na=path:msrp://192.0.2.10:2855/s7k3;tcp\r\n" +
		"a=setup:passive\r\na=max-size:40000\r\na=chatroom:nickname\r\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", got, want)
	}
	again, err := s.Parse([]byte(got))
	if err != nil || again.Messages() == nil || again.Messages().Path != "msrp://192.0.2.10:2855/s7k3;tcp" {
		t.Errorf("it is read as %+v, %v", again, err)
	}
}

// A session beside a call is no session of its own.
func TestMessagesBesideACall(t *testing.T) {
	d, err := Parse([]byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nm=message 2855 TCP/MSRP *\r\na=path:msrp://192.0.2.1/x;tcp\r\n"))
	if err != nil || d.Messages() != nil || !d.Streams[1].Rejected {
		t.Errorf("%+v, %v", d, err)
	}
}
