package media

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
)

func TestDirections(t *testing.T) {
	// RFC 3264 section 6.1, C-37, D-07.
	tests := []struct{ offered, want, answer Direction }{
		{SendRecv, SendRecv, SendRecv},
		{SendRecv, RecvOnly, RecvOnly},
		{SendRecv, SendOnly, SendOnly},
		{SendRecv, Inactive, Inactive},
		{SendOnly, SendRecv, RecvOnly},
		{SendOnly, SendOnly, Inactive}, // hold against hold
		{SendOnly, RecvOnly, RecvOnly},
		{RecvOnly, SendRecv, SendOnly},
		{RecvOnly, RecvOnly, Inactive},
		{Inactive, SendRecv, Inactive},
	}
	for _, tt := range tests {
		if got := AnswerDirection(tt.offered, tt.want); got != tt.answer {
			t.Errorf("%v, wanting %v: got %v, want %v", tt.offered, tt.want, got, tt.answer)
		}
	}
}

func TestFlow(t *testing.T) {
	zeros := Transport{Addr: netip.MustParseAddrPort("0.0.0.0:4000")}
	zeros6 := Transport{Addr: netip.MustParseAddrPort("[::]:4000")}
	trickling := zeros
	trickling.ICE = &ICE{Ufrag: "u", Pwd: "p"}
	tests := []struct {
		name   string
		stream Stream
		want   Direction
		held   bool
	}{
		{"says nothing", Stream{}, SendRecv, false}, // D-08
		{"sendonly", Stream{Direction: SendOnly}, SendOnly, true},
		{"recvonly", Stream{Direction: RecvOnly}, RecvOnly, false},
		{"inactive", Stream{Direction: Inactive}, Inactive, true},
		{"an address of zeros", Stream{Transport: zeros}, SendOnly, true}, // D-26
		{"an IPv6 address of zeros", Stream{Transport: zeros6}, SendOnly, true},
		{"zeros, and receiving only", Stream{Direction: RecvOnly, Transport: zeros}, Inactive, true},
		{"zeros with ICE", Stream{Transport: trickling}, SendRecv, false},
	}
	for _, tt := range tests {
		if got := tt.stream.Flow(); got != tt.want || tt.stream.Held() != tt.held {
			t.Errorf("%s: got %v, held %v", tt.name, got, tt.stream.Held())
		}
	}
}

func TestOfferCodecs(t *testing.T) {
	opus, g722, pcmu, pcma := codec(111, "opus", 48000), codec(9, "G722", 8000), codec(0, "PCMU", 8000), codec(8, "PCMA", 8000)
	te8, te48, cn := codec(101, "telephone-event", 8000), codec(110, "telephone-event", 48000), codec(13, "CN", 8000)
	g729 := codec(18, "G729", 8000)
	jingle := Policy{G711: true, Codecs: DefaultCodecs()}
	sip := Policy{Codecs: []Codec{pcma, pcmu, g722, codec(96, "opus", 48000), g729, te8}}
	tests := []struct {
		name     string
		own, far Policy
		heard    []Codec
		want     string
	}{
		{"what the caller offers, in its order", jingle, sip, []Codec{pcmu, codec(98, "opus", 48000), te8}, "0 PCMU/8000 111 opus/48000 101 telephone-event/8000 110 telephone-event/48000"},
		{"G.711 is added where it must be", jingle, sip, []Codec{codec(98, "opus", 48000)}, "111 opus/48000 0 PCMU/8000 101 telephone-event/8000 110 telephone-event/48000"}, // D-28
		{"and only there", sip, jingle, []Codec{opus, te48}, "96 opus/48000 101 telephone-event/8000"},
		{"nothing heard: policy", sip, jingle, nil, "8 PCMA/8000 0 PCMU/8000 9 G722/8000 96 opus/48000 101 telephone-event/8000"},
		{"noise when the other leg knows it", jingle, sip, []Codec{pcma, cn}, "8 PCMA/8000 13 CN/8000 101 telephone-event/8000"},
		{"no noise for opus alone", Policy{Codecs: DefaultCodecs()}, sip, []Codec{codec(98, "opus", 48000), cn}, "111 opus/48000 101 telephone-event/8000 110 telephone-event/48000"},
		{"nothing in common", jingle, sip, []Codec{g729}, ""},                                                                               // D-27
		{"retransmission and redundancy stay", jingle, sip, []Codec{codec(63, "red", 48000), pcmu}, "0 PCMU/8000 101 telephone-event/8000"}, // D-05
	}
	for _, tt := range tests {
		if got := list(OfferCodecs(tt.own, tt.far, tt.heard)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}

	fmtp := opus.Clone()
	fmtp.Params = []Param{{"stereo", "1"}}
	fmtp.Feedback = []Feedback{{"transport-cc", ""}}
	got := OfferCodecs(sip, jingle, []Codec{fmtp})[0]
	if !reflect.DeepEqual(got.Params, fmtp.Params) || got.Feedback != nil {
		t.Errorf("the caller's parameters came as %+v", got)
	}
	for _, c := range OfferCodecs(sip, jingle, nil) {
		if c.Event() && !reflect.DeepEqual(c.Params, eventParams()) { // D-03
			t.Errorf("events without parameters: %+v", c)
		}
	}
}

func TestAnswerCodecs(t *testing.T) {
	opus, g722, pcmu, pcma := codec(96, "opus", 48000), codec(9, "G722", 8000), codec(0, "PCMU", 8000), codec(8, "PCMA", 8000)
	te8, te48 := codec(126, "telephone-event", 8000), codec(110, "telephone-event", 48000)
	jingle := Policy{G711: true, Codecs: DefaultCodecs()}
	sip := Policy{Codecs: DefaultCodecs()}
	tests := []struct {
		name         string
		own          Policy
		offered, far []Codec
		want         string
	}{
		{"the far leg's order, the offer's numbers", sip, []Codec{pcmu, codec(109, "opus", 48000), g722}, []Codec{g722, opus}, "9 G722/8000 109 opus/48000"}, // D-24
		{"G.711 where it must be, last", jingle, []Codec{codec(111, "opus", 48000), pcma, pcmu, te48, te8}, []Codec{opus, te8}, "111 opus/48000 8 PCMA/8000 110 telephone-event/48000 126 telephone-event/8000"},
		{"G.711 was not offered", jingle, []Codec{codec(111, "opus", 48000)}, []Codec{opus}, "111 opus/48000"},
		{"the real codec comes first", jingle, []Codec{te8, pcmu}, []Codec{te8, pcmu}, "0 PCMU/8000 126 telephone-event/8000"},
		{"events only at the clock in use", jingle, []Codec{pcmu, te48, te8}, []Codec{pcmu}, "0 PCMU/8000 126 telephone-event/8000"},
		{"nothing in common", jingle, []Codec{pcmu, te8}, []Codec{g722, te8}, ""}, // D-27
		{"redundancy is not answered", jingle, []Codec{codec(63, "red", 48000), pcmu}, []Codec{codec(63, "red", 48000), pcmu}, "0 PCMU/8000"},
	}
	for _, tt := range tests {
		if got := list(AnswerCodecs(tt.own, tt.offered, tt.far)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// INTERWORKING 3.3: what is common comes first; what can be turned into it is better than
// nothing.
func TestTranscodedCodecs(t *testing.T) {
	opus, g722, pcmu, pcma := codec(96, "opus", 48000), codec(9, "G722", 8000), codec(0, "PCMU", 8000), codec(8, "PCMA", 8000)
	g729, te8, cn := codec(18, "G729", 8000), codec(101, "telephone-event", 8000), codec(13, "CN", 8000)
	a := Policy{Transcode: true, Codecs: []Codec{opus, g722, pcmu, pcma, g729, te8, cn}}
	b := Policy{Transcode: true, Codecs: []Codec{pcma, pcmu, g729, te8, cn}}
	strict := b
	strict.Transcode = false
	for _, tt := range []struct {
		name     string
		own, far Policy
		heard    []Codec
		want     string
	}{
		{"what is common first", b, a, []Codec{opus, pcmu}, "0 PCMU/8000 8 PCMA/8000 101 telephone-event/8000"},
		{"nothing common", b, a, []Codec{opus, te8}, "8 PCMA/8000 0 PCMU/8000 101 telephone-event/8000"},
		{"nothing that can be turned", b, a, []Codec{codec(97, "iLBC", 8000)}, ""},
		{"only what passes", b, a, []Codec{g729}, "18 G729/8000 101 telephone-event/8000"},
		{"one leg does not", strict, a, []Codec{opus}, ""},
		{"nor the other", a, strict, []Codec{opus}, ""},
		{"nothing heard", a, b, nil, "0 PCMU/8000 8 PCMA/8000 18 G729/8000 96 opus/48000 9 G722/8000 101 telephone-event/8000 13 CN/8000"},
	} {
		if got := list(OfferCodecs(tt.own, tt.far, tt.heard)); got != tt.want {
			t.Errorf("%s: offered %s, want %s", tt.name, got, tt.want)
		}
	}
	for _, tt := range []struct {
		name         string
		own          Policy
		offered, far []Codec
		want         string
	}{
		{"what is common alone", a, []Codec{codec(98, "opus", 48000), pcmu}, []Codec{pcmu, opus}, "0 PCMU/8000 98 opus/48000"},
		{"nothing common", a, []Codec{codec(98, "opus", 48000), g722, te8}, []Codec{pcmu, te8}, "98 opus/48000 9 G722/8000 101 telephone-event/8000"},
		{"noise is ours then", a, []Codec{pcmu, cn}, []Codec{opus}, "0 PCMU/8000 13 CN/8000"},
		{"nothing that can be turned", a, []Codec{codec(98, "opus", 48000)}, []Codec{g729}, ""},
		{"not transcoded", strict, []Codec{pcmu}, []Codec{opus}, ""},
	} {
		if got := list(AnswerCodecs(tt.own, tt.offered, tt.far)); got != tt.want {
			t.Errorf("%s: answered %s, want %s", tt.name, got, tt.want)
		}
	}
	if c, ok := PickCodec(a, b, []Codec{codec(98, "opus", 48000)}); !ok || c.Name != "opus" {
		t.Errorf("picked %+v, %v", c, ok)
	}
	if c, ok := PickCodec(a, strict, []Codec{opus}); ok {
		t.Errorf("picked %+v", c)
	}
}

func TestPickCodec(t *testing.T) {
	pcmu, pcma, g722 := codec(0, "PCMU", 8000), codec(8, "PCMA", 8000), codec(9, "G722", 8000)
	own, far := Policy{Codecs: DefaultCodecs()}, Policy{Codecs: []Codec{codec(101, "telephone-event", 8000), pcma, g722}}
	if c, ok := PickCodec(own, far, []Codec{g722, pcmu, pcma}); !ok || c.Name != "PCMA" {
		t.Errorf("got %+v, %v", c, ok)
	}
	if c, ok := PickCodec(own, far, []Codec{pcmu}); ok {
		t.Errorf("got %+v", c)
	}
}

func TestPassCodecs(t *testing.T) {
	offered := []Codec{
		codec(96, "VP8", 90000), codec(97, "rtx", 90000), codec(98, "H264", 90000),
		codec(99, "rtx", 90000), codec(116, "red", 90000), codec(118, "ulpfec", 90000),
	}
	if got := list(PassCodecs(offered)); got != "96 VP8/90000 98 H264/90000" { // D-05
		t.Errorf("got %s", got)
	}
}

func TestRefuse(t *testing.T) {
	offered := Stream{
		Name: "1", Kind: Other, Media: "image", Codecs: []Codec{codec(96, "x", 1), codec(97, "y", 1)},
		Transport: Transport{Profile: SAVPF, Addr: netip.MustParseAddrPort("192.0.2.1:4000"), DTLS: &DTLS{}},
	}
	want := Stream{
		Name: "1", Kind: Other, Media: "image", Rejected: true, Direction: Inactive,
		Codecs: []Codec{codec(96, "x", 1)}, Transport: Transport{Profile: SAVPF},
	}
	if got := Refuse(offered); !reflect.DeepEqual(got, want) { // D-10
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestMatch(t *testing.T) {
	named := func(names ...string) (d Description) {
		for _, n := range names {
			d.Streams = append(d.Streams, Stream{Name: n})
		}
		return d
	}
	tests := []struct {
		name          string
		offer, answer Description
		i             int
		want          int // slot of the answer; -1 for none
	}{
		{"by name", named("a", "b"), named("b", "a"), 0, 1},
		{"by slot without names", named("", ""), named("", ""), 1, 1},
		{"by slot when the answer has no names", named("a", "b"), named("", ""), 1, 1},
		{"by slot when the offer had no names", named("", ""), named("x", "y"), 1, 1},
		{"left out", named("a", "b"), named("b"), 0, -1},
		{"too short", named("", ""), named(""), 1, -1},
	}
	for _, tt := range tests {
		got := tt.answer.Match(tt.offer, tt.i)
		if (got == nil) != (tt.want < 0) || got != nil && got != &tt.answer.Streams[tt.want] {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
}

func TestBelieveTime(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{
		20 * time.Millisecond: 20 * time.Millisecond, 400 * time.Millisecond: 400 * time.Millisecond,
		401 * time.Millisecond: 0, 0: 0, -time.Millisecond: 0, 20 * time.Second: 0,
	} {
		if got := BelieveTime(in); got != want {
			t.Errorf("%v: got %v, want %v", in, got, want)
		}
	}
}
