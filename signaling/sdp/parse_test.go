package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/media"
)

const head = "v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nt=0 0\r\n"

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name    string
		in      string
		problem string
		unfit   bool
	}{
		{"nothing", "", "sdp: is empty", false},
		{"not SDP", "hello=1\r\n", "sdp: is empty", false},
		{"another version", "v=1\r\n", "sdp line 1: does not begin with v=0", false},
		{"a NUL", head + "a=x\x00\r\n", "sdp: has a NUL", false},
		{"too large", head + "s=" + strings.Repeat("x", MaxSize), "sdp: larger than 16 KiB", true},
		{"too many streams", head + "c=IN IP4 198.51.100.9\r\n" + strings.Repeat("m=audio 4 RTP/AVP 0\r\n", 9), "sdp line 14: more than 8 streams", true},
		{"too many formats", head + "m=audio 4 RTP/AVP" + strings.Repeat(" 0", 65), "sdp line 5: more than 64 payload types", true},
		{"too many attributes", head + strings.Repeat("a=x\n", 257), "sdp line 261: more than 256 attributes", true},
		{"short m=", head + "m=audio 4 RTP/AVP", "sdp line 5: m= has less than four fields", false},
		{"no port", head + "m=audio x RTP/AVP 0", "sdp line 5: m= has no port", false},
		{"port above 65535", head + "m=audio 65536 RTP/AVP 0", "sdp line 5: m= has no port", false},
		{"no address", head + "m=audio 4 RTP/AVP 0", "sdp: a stream has no c=", false},
		{"IPv4 multicast", head + "c=IN IP4 224.2.1.1/127/3", "sdp line 5: c= is multicast", true},
		{"IPv6 multicast", head + "c=IN IP6 ff15::101", "sdp line 5: c= is multicast", true},
		{"mapped multicast", head + "c=IN IP6 ::ffff:224.2.1.1", "sdp line 5: c= is multicast", true},
		{"broadcast", head + "c=IN IP4 255.255.255.255", "sdp line 5: c= is multicast", true},
		{"a control character", head + "m=audio 4 RTP/AVP\x01 0", "sdp line 5: has a control character", false},
		{"a zone", head + "c=IN IP6 fe80::1%eth0", "sdp line 5: c= has a zone", false},
		{"a name", head + "c=IN IP4 phone.example.org", "sdp line 5: c= has a name instead of an address", true},
		{"another network", head + "c=ATM NSAP 47", "sdp line 5: c= is not an Internet address", false},
		{"the same mid twice", head + "c=IN IP4 198.51.100.9\r\nm=audio 4 RTP/AVP 0\r\na=mid:a\r\nm=audio 4 RTP/AVP 0\r\na=mid:a", "sdp: two streams have the same mid", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.in))
			var e *Error
			if !errors.As(err, &e) || e.Error() != tt.problem || e.Unfit != tt.unfit {
				t.Errorf("got %v, want %q unfit=%t", err, tt.problem, tt.unfit)
			}
		})
	}
}

func TestDirections(t *testing.T) {
	tests := []struct {
		name            string
		session, stream string
		address         string
		want            media.Direction
	}{
		{"not said", "", "", "198.51.100.9", media.SendRecv},
		{"at the session", "a=recvonly\n", "", "198.51.100.9", media.RecvOnly},
		{"at the stream", "a=recvonly\n", "a=sendrecv\n", "198.51.100.9", media.SendRecv},
		{"old hold", "", "", "0.0.0.0", media.SendOnly},
		{"old hold of a listener", "", "a=recvonly\n", "0.0.0.0", media.Inactive},
		{"old hold in IPv6", "", "", "::", media.SendOnly},
		{"inactive", "", "a=inactive\n", "198.51.100.9", media.Inactive},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Parse([]byte(head + "c=IN IP4 " + tt.address + "\n" + tt.session + "m=audio 4 RTP/AVP 0\n" + tt.stream))
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Streams[0].Direction; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := d.Streams[0].Transport.Addr; got != netip.AddrPortFrom(netip.MustParseAddr(tt.address), 4) {
				t.Errorf("got the address %v", got)
			}
		})
	}
}

func TestVersionGrowsOnlyWithChange(t *testing.T) {
	s := NewSession(Origin{User: "o t\r\nto@x", ID: 7, Addr: netip.MustParseAddr("2001:db8::1")})
	d := media.Description{Streams: []media.Stream{{
		Codecs:    []media.Codec{{PT: 8, Name: "PCMA", ClockRate: 8000}},
		Transport: media.Transport{Addr: netip.MustParseAddrPort("[2001:db8::1]:4000")},
	}}}
	held := d.Clone()
	held.Streams[0].Direction = media.SendOnly
	for i, tt := range []struct {
		d    media.Description
		want string
	}{{d, "1"}, {d, "1"}, {held, "2"}, {held, "2"}, {d, "3"}} {
		_, o, _ := strings.Cut(string(s.Format(tt.d)), "o=")
		o, _, _ = strings.Cut(o, "\r\n")
		if want := "otto" + "x 7 " + tt.want + " IN IP6 2001:db8::1"; o != want {
			t.Errorf("write %d: got %q, want %q", i, o, want)
		}
	}
}

func TestNamesThatAreNoMid(t *testing.T) {
	s := NewSession(testOrigin())
	addr := media.Transport{Addr: netip.MustParseAddrPort("192.0.2.10:4000")}
	pcma := []media.Codec{{PT: 8, Name: "PCMA", ClockRate: 8000}}
	d := media.Description{
		Bundle: []string{"my voice", "0"},
		Streams: []media.Stream{
			{Name: "my voice", Codecs: pcma, Transport: addr},
			{Name: "0", Codecs: pcma, Transport: addr},
			{Name: "a\r\nb=x", Codecs: pcma, Transport: addr},
		},
	}
	out := string(s.Format(d))
	for _, want := range []string{"a=group:BUNDLE 1 0\r\n", "a=mid:1\r\n", "a=mid:0\r\n", "a=mid:2\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	back, err := s.Parse([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.Streams {
		if got, want := back.Streams[i].Name, d.Streams[i].Name; got != want {
			t.Errorf("stream %d: got %q, want %q", i, got, want)
		}
	}
	if got := fmt.Sprint(back.Bundle); got != "[my voice 0]" {
		t.Errorf("bundle %s", got)
	}
	if again := string(s.Format(d)); again != out {
		t.Errorf("names moved:\n%s\nwas\n%s", again, out)
	}
}

// TestFormatIsClosed puts hostile text into every field and looks for a line that it made.
func TestFormatIsClosed(t *testing.T) {
	for _, evil := range []string{"x\r\na=evil", "x\na=evil", "\x00", "a b", "", "x;y", "\u2028", "\xff\xfe", strings.Repeat("a", 70000)} {
		s := media.Stream{
			Name: evil, Media: evil,
			Codecs: []media.Codec{
				{PT: 8, Name: "PCMA", ClockRate: 8000, Params: []media.Param{{Name: evil, Value: "1"}, {Name: "k", Value: evil}, {Value: evil}}, Feedback: []media.Feedback{{Type: evil, Subtype: "x"}, {Type: "nack", Subtype: evil}}},
				{PT: 9, Name: evil, ClockRate: 8000},
				{PT: 200, Name: "L16", ClockRate: 8000},
				{PT: 8, Name: "PCMU", ClockRate: 8000},
			},
			Feedback:     []media.Feedback{{Type: evil, Subtype: evil}},
			HeaderExts:   []media.HeaderExt{{ID: 1, URI: evil}, {ID: 2, URI: "urn:x", Params: []media.Param{{Name: evil, Value: evil}}}},
			Sources:      []media.Source{{SSRC: 1, Params: []media.Param{{Name: evil, Value: evil}, {Name: "cname", Value: evil}}}},
			SourceGroups: []media.SourceGroup{{Semantics: evil, SSRCs: []uint32{1}}, {Semantics: "FID"}},
			Bandwidth:    []media.Bandwidth{{Type: evil, Value: 1}},
			Transport: media.Transport{
				ICE:  &media.ICE{Ufrag: evil, Pwd: evil, Candidates: []media.Candidate{{Foundation: evil, Protocol: evil, Type: evil, TCPType: evil}}},
				DTLS: &media.DTLS{Fingerprints: []media.Fingerprint{{Hash: evil, Value: evil}}},
				SDES: []media.SDES{{Suite: evil, KeyParams: evil, SessionParams: evil}, {Suite: "X", KeyParams: "inline:x", SessionParams: evil}},
			},
		}
		other := media.Stream{Kind: media.Other, Media: evil, Transport: media.Transport{Profile: media.NoRTP}}
		out := string(NewSession(Origin{User: evil}).Format(media.Description{Streams: []media.Stream{s, other}, Bundle: []string{evil}}))
		for line := range strings.SplitSeq(strings.TrimSuffix(out, "\r\n"), "\r\n") {
			if strings.ContainsAny(line, "\r\n\x00") || strings.HasPrefix(line, "a=evil") || len(line) < 3 || line[1] != '=' {
				t.Errorf("%.20q made the line %.60q", evil, line)
			}
		}
		if strings.Count(out, "m=") != 2 || !strings.Contains(out, "m=audio 9 RTP/AVP 8\r\n") {
			t.Errorf("%.20q: not two streams, the first with PCMA:\n%.400s", evil, out)
		}
	}
}

func TestRTCPAddress(t *testing.T) {
	tests := []struct {
		name, lines, want string
	}{
		{"the next port", "", "invalid AddrPort"},
		{"the next port, said", "a=rtcp:16411\n", "invalid AddrPort"},
		{"another port", "a=rtcp:53020\n", "198.51.100.9:53020"},
		{"another address", "a=rtcp:53020 IN IP4 198.51.100.10\n", "198.51.100.10:53020"},
		{"muxed", "a=rtcp-mux\na=rtcp:53020\n", "invalid AddrPort"},
		{"multicast", "a=rtcp:53020 IN IP4 224.0.0.1\n", "198.51.100.9:53020"},
		{"nonsense", "a=rtcp:x\na=rtcp:\n", "invalid AddrPort"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Parse([]byte(head + "c=IN IP4 198.51.100.9\nm=audio 16410 RTP/AVP 0\n" + tt.lines))
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Streams[0].Transport.RTCP.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestFormatTransport writes what no golden file has: the times of payload types, and a port
// for RTCP.
func TestFormatTransport(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	stream := media.Stream{
		Codecs: []media.Codec{
			{PT: 8, Name: "PCMA", ClockRate: 8000, PTime: ms(20), MaxPTime: ms(60)},
			{PT: 0, Name: "PCMU", ClockRate: 8000, PTime: ms(10), MaxPTime: ms(40)},
			{PT: 9, Name: "G722", ClockRate: 8000, PTime: ms(30), MaxPTime: ms(120)},
		},
		Transport: media.Transport{
			Addr: netip.MustParseAddrPort("192.0.2.10:4000"), RTCP: netip.MustParseAddrPort("192.0.2.11:4005"),
		},
	}
	muxed := stream
	muxed.Transport.RTCPMux = true
	muxed.PTime, muxed.MaxPTime = ms(40), ms(200)
	same := stream
	same.Transport.RTCP = netip.MustParseAddrPort("192.0.2.10:4005")
	out := string(NewSession(testOrigin()).Format(media.Description{Streams: []media.Stream{stream, muxed, same}}))
	want := `m=audio 4000 RTP/AVP 8 0 9
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:9 G722/8000
a=rtcp:4005 IN IP4 192.0.2.11
a=ptime:10
a=maxptime:40
a=sendrecv
m=audio 4000 RTP/AVP 8 0 9
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:9 G722/8000
a=rtcp-mux
a=rtcp:4005 IN IP4 192.0.2.11
a=ptime:40
a=maxptime:200
a=sendrecv
m=audio 4000 RTP/AVP 8 0 9
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:9 G722/8000
a=rtcp:4005
a=ptime:10
a=maxptime:40
a=sendrecv
`
	if _, got, _ := strings.Cut(strings.ReplaceAll(out, "\r\n", "\n"), "t=0 0\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSlotsStay refuses a stream in an answer and adds none: the m= lines keep their
// place, profile and words (RFC 3264 section 6).
func TestSlotsStay(t *testing.T) {
	s := NewSession(testOrigin())
	d, err := s.Parse([]byte(head + "c=IN IP4 198.51.100.9\nm=video 5000 RTP/SAVPF 96\na=rtpmap:96 VP8/90000\nm=text 11000 RTP/AVP 98\na=rtpmap:98 t140/1000\nm=audio 5004 RTP/AVP 8\n"))
	if err != nil {
		t.Fatal(err)
	}
	answer := media.Description{Streams: []media.Stream{
		{Kind: media.Video, Rejected: true},
		d.Streams[1],
		{Codecs: d.Streams[2].Codecs, Transport: media.Transport{Addr: netip.MustParseAddrPort("192.0.2.10:4000")}},
	}}
	out := string(s.Format(answer))
	for _, want := range []string{"m=video 0 RTP/SAVPF 96\r\n", "m=text 0 RTP/AVP 98\r\n", "m=audio 4000 RTP/AVP 8\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestFind(t *testing.T) {
	mixed := "--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\nContent-Type: application/SDP;x=y\r\nContent-Disposition: session\r\n\r\nv=0\r\ns=-\r\n--b--\r\n"
	tests := []struct {
		name, kind, body, want string
		refused                bool
	}{
		{"no body", "", "", "", false},
		{"no body of another type", "text/plain", "", "", false},
		{"SDP", "application/sdp", "v=0", "v=0", false},
		{"SDP with a parameter", "Application/SDP; charset=utf-8", "v=0", "v=0", false},
		{"a part", `multipart/mixed;boundary="b"`, mixed, "v=0\r\ns=-", false},
		{"an alternative", `multipart/alternative;boundary=b`, mixed, "v=0\r\ns=-", false},
		{"another type", "text/plain", "hi", "", true},
		{"no type", "", "v=0", "", true},
		{"no boundary", "multipart/mixed", mixed, "", true},
		{"another boundary", "multipart/mixed;boundary=c", mixed, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Find(tt.kind, []byte(tt.body))
			if string(got) != tt.want || (err != nil) != tt.refused {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
