package media

import (
	"fmt"
	"strings"
	"testing"
)

func codec(pt uint8, name string, clock uint32) Codec {
	c := Codec{PT: pt, Name: name, ClockRate: clock, Channels: 1}
	if strings.EqualFold(name, "opus") {
		c.Channels = 2
	}
	return c
}

// list writes codecs as they are compared here: payload type, name and clock.
func list(codecs []Codec) string {
	all := make([]string, len(codecs))
	for i, c := range codecs {
		all[i] = fmt.Sprintf("%d %s/%d", c.PT, c.Name, c.ClockRate)
	}
	return strings.Join(all, " ")
}

func TestStatic(t *testing.T) {
	tests := []struct {
		pt   uint8
		want string
	}{
		{0, "PCMU/8000/1"},
		{3, "GSM/8000/1"},
		{8, "PCMA/8000/1"},
		{9, "G722/8000/1"},
		{10, "L16/44100/2"},
		{13, "CN/8000/1"},
		{18, "G729/8000/1"},
		{34, "H263/90000/1"},
	}
	for _, tt := range tests {
		c, ok := Static(tt.pt)
		if got := fmt.Sprintf("%s/%d/%d", c.Name, c.ClockRate, c.Channels); !ok || got != tt.want || c.PT != tt.pt {
			t.Errorf("%d: got %s, want %s", tt.pt, got, tt.want)
		}
	}
	for _, pt := range []uint8{1, 2, 19, 72, 96, 127, 255} {
		if c, ok := Static(pt); ok {
			t.Errorf("%d means %s", pt, c.Name)
		}
	}
}

func TestCanonicalName(t *testing.T) {
	for in, want := range map[string]string{
		"pcmu": "PCMU", "OPUS": "opus", "Telephone-Event": "telephone-event", "g722": "G722",
		"vp8": "VP8", "h264": "H264", "Speex": "speex", "cn": "CN", "RTX": "rtx", "made-Up": "made-Up", "": "",
	} {
		if got := CanonicalName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestDefaultCodecs(t *testing.T) {
	want := "111 opus/48000 9 G722/8000 0 PCMU/8000 8 PCMA/8000 13 CN/8000 101 telephone-event/8000 110 telephone-event/48000"
	if got := list(DefaultCodecs()); got != want {
		t.Errorf("got %s", got)
	}
	a, b := DefaultCodecs(), DefaultCodecs()
	a[0].Params[0].Value = "changed"
	if b[0].Params[0].Value == "changed" {
		t.Error("two calls share their parameters")
	}
	if got := list(Number(a, nil)); got != want {
		t.Errorf("the defaults are renumbered: %s", got)
	}
}

func TestIntersect(t *testing.T) {
	pcmu, pcma := codec(0, "PCMU", 8000), codec(8, "PCMA", 8000)
	h264 := func(pt uint8, mode, profile string) Codec {
		c := codec(pt, "H264", 90000)
		c.Params = []Param{{"packetization-mode", mode}, {"profile-level-id", profile}}
		return c
	}
	mono := codec(98, "OPUS", 48000)
	mono.Channels = 1
	tests := []struct {
		name        string
		list, other []Codec
		want        string
	}{
		{"order and numbers of the first", []Codec{pcma, codec(96, "opus", 48000), pcmu}, []Codec{pcmu, codec(111, "opus", 48000), pcma}, "8 PCMA/8000 96 opus/48000 0 PCMU/8000"},
		{"opus is opus, however it is written", []Codec{mono}, []Codec{codec(111, "opus", 48000)}, "98 OPUS/48000"},
		{"clock rates differ", []Codec{codec(97, "speex", 16000)}, []Codec{codec(97, "speex", 8000)}, ""},
		{"twice in the list", []Codec{codec(98, "opus", 48000), codec(99, "opus", 48000)}, []Codec{codec(111, "opus", 48000)}, "98 opus/48000"},
		{"H264 of another packetization", []Codec{h264(97, "0", "42e01f")}, []Codec{h264(98, "1", "42e01f")}, ""},
		{"H264 of another level", []Codec{h264(97, "1", "42e01f")}, []Codec{h264(98, "1", "42e034")}, "97 H264/90000"},
		{"nothing in common", []Codec{pcmu}, []Codec{pcma}, ""},
		{"nothing", nil, []Codec{pcma}, ""},
	}
	for _, tt := range tests {
		if got := list(Intersect(tt.list, tt.other)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNumber(t *testing.T) {
	var many []Codec
	for i := range 80 {
		many = append(many, codec(96, fmt.Sprint("x", i), 8000))
	}
	tests := []struct {
		name        string
		list, taken []Codec
		want        string
	}{
		{"nothing to do", []Codec{codec(111, "opus", 48000), codec(0, "PCMU", 8000)}, nil, "111 opus/48000 0 PCMU/8000"},
		{"the same number twice", []Codec{codec(96, "opus", 48000), codec(96, "speex", 8000)}, nil, "96 opus/48000 97 speex/8000"},
		{"a number that another stream has", []Codec{codec(111, "VP8", 90000)}, []Codec{codec(111, "opus", 48000)}, "96 VP8/90000"},
		{"a static number of another codec", []Codec{codec(0, "opus", 48000)}, nil, "96 opus/48000"},
		{"a number that would be RTCP", []Codec{codec(72, "opus", 48000)}, nil, "96 opus/48000"},
		{"a free number that a later codec wants", []Codec{codec(72, "speex", 8000), codec(96, "opus", 48000)}, nil, "97 speex/8000 96 opus/48000"},
	}
	for _, tt := range tests {
		if got := list(Number(tt.list, tt.taken)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	seen := map[uint8]bool{}
	for _, c := range Number(many, nil) {
		if seen[c.PT] || c.PT > 127 || c.PT >= 64 && c.PT < 96 || c.PT < 35 {
			t.Errorf("%d is given out", c.PT)
		}
		seen[c.PT] = true
	}
	if len(seen) != 61 {
		t.Errorf("%d numbers are given out, want 61", len(seen))
	}
}
