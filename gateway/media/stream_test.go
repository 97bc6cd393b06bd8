package media

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSlot(t *testing.T) {
	d := Description{Streams: []Stream{{Name: "1", Kind: Audio}, {Name: "x", Kind: Video, Rejected: true}}}
	for _, tt := range []struct {
		name  string
		kind  Kind
		named bool
		slot  int
		is    string
	}{
		{"of one that was refused", Video, true, 1, "x"},
		{"beside one that lives", Audio, true, 2, "2"},
		{"without a name", Audio, false, 2, ""},
	} {
		c := d.Clone()
		if got := c.Slot(tt.kind, tt.named); got != tt.slot || c.Streams[got].Name != tt.is {
			t.Errorf("%s: slot %d, named %q", tt.name, got, c.Streams[got].Name)
		}
	}
	taken := Description{Streams: []Stream{{Name: "1", Kind: Audio}}}
	if i := taken.Slot(Video, true); taken.Streams[i].Name != "2" {
		t.Errorf("a name was given twice: %+v", taken.Streams)
	}
}

func TestPropose(t *testing.T) {
	held := Stream{Kind: Audio, Direction: SendOnly, PTime: 30 * time.Millisecond, MaxPTime: time.Second}
	codecs := []Codec{codec(8, "PCMA", 8000)}
	for _, tt := range []struct {
		name  string
		kind  Kind
		heard *Stream
		want  Stream
		asks  []Feedback
	}{
		{"nothing was heard", Audio, nil, Stream{Kind: Audio, PTime: 20 * time.Millisecond}, nil},
		{"the other leg holds", Audio, &held, Stream{Kind: Audio, Direction: SendOnly, PTime: 30 * time.Millisecond}, nil},
		{"pictures", Video, nil, Stream{Kind: Video}, PictureFeedback()},
	} {
		s := Stream{Name: "0", Rejected: true, Direction: Inactive, MaxPTime: 60 * time.Millisecond}
		s.Propose(tt.kind, codecs, 20*time.Millisecond, tt.heard)
		tt.want.Name, tt.want.Codecs = "0", slices.Clone(codecs)
		tt.want.Codecs[0].Feedback = tt.asks
		if !reflect.DeepEqual(s, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, s, tt.want)
		}
	}
}

func TestAnswerStream(t *testing.T) {
	pli, remb := Feedback{"nack", "pli"}, Feedback{"goog-remb", ""}
	vp8 := Codec{PT: 97, Name: "VP8", ClockRate: 90000, Channels: 1, Feedback: []Feedback{pli, remb}}
	got := AnswerStream(Stream{Name: "v", Kind: Video, Direction: SendOnly, Codecs: []Codec{vp8}}, []Codec{vp8}, SendRecv, time.Second)
	if !slices.Equal(got.Codecs[0].Feedback, []Feedback{pli}) || got.Feedback != nil || got.Direction != RecvOnly || got.PTime != 0 || got.Name != "v" {
		t.Errorf("pictures are answered %+v", got)
	}
	got = AnswerStream(Stream{Kind: Audio, MaxPTime: 40 * time.Millisecond}, nil, SendOnly, 20*time.Millisecond)
	if got.Direction != SendOnly || got.PTime != 20*time.Millisecond || got.MaxPTime != 40*time.Millisecond || got.Feedback != nil {
		t.Errorf("audio is answered %+v", got)
	}
}

func TestTrusted(t *testing.T) {
	whole := func(hash string, octets int) Fingerprint {
		return Fingerprint{hash, strings.TrimSuffix(strings.Repeat("AB:", octets), ":")}
	}
	all := []Fingerprint{whole("sha-1", 20), whole("SHA-256", 32), whole("sha-256", 31), whole("sha-384", 48), whole("sha-512", 64)}
	if got := (&DTLS{Fingerprints: all}).Trusted(); !slices.Equal(got, []Fingerprint{all[1], all[3], all[4]}) {
		t.Errorf("trusted are %v", got)
	}
	if got := (*DTLS)(nil).Trusted(); got != nil {
		t.Errorf("of nothing %v are trusted", got)
	}
}
