package rtpengine

import (
	"reflect"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	got := string(encode(nil, dict{
		"command": "offer", "flags": []string{"trust-address"}, "n": 5, "big": int64(-7), "codec": dict{"transcode": []any{"PCMA"}},
	}))
	if want := "d3:bigi-7e5:codecd9:transcodel4:PCMAee7:command5:offer5:flagsl13:trust-addresse1:ni5ee"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecode(t *testing.T) {
	tests := []struct {
		name, in string
		want     dict // nil: malformed
	}{
		{"a pong", "d6:result4:ponge", dict{"result": "pong"}},
		{"keys in any order, the last of two", "d1:bi1e1:ai2e1:ai3ee", dict{"b": int64(1), "a": int64(3)}},
		{"lists and dictionaries", "d1:ald1:xi-1eeleee", dict{"a": []any{dict{"x": int64(-1)}, []any{}}}},
		{"bytes that are no text", "d1:a2:\x00\xffe", dict{"a": "\x00\xff"}},
		{"no dictionary", "l4:ponge", nil},
		{"something after it", "dede", nil},
		{"nothing", "", nil},
		{"without an end", "d1:ai1e", nil},
		{"a key that is no string", "di1ei2ee", nil},
		{"a string longer than the datagram", "d1:a9:shorte", nil},
		{"a negative length", "d1:a-1:e", nil},
		{"a number without digits", "d1:aiee", nil},
		{"a number that is too large", "d1:ai99999999999999999999ee", nil},
		{"too deep", "d1:a" + strings.Repeat("l", 20) + strings.Repeat("e", 20) + "e", nil},
		{"too many values", "d1:al" + strings.Repeat("0:", maxValues) + "ee", nil},
	}
	for _, tt := range tests {
		got, err := decode([]byte(tt.in))
		if (err != nil) != (tt.want == nil) || tt.want != nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, %v", tt.name, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("d6:result4:ponge"))
	f.Add([]byte("d1:ald1:xi-1eeleee"))
	f.Add([]byte("d4:tagsd1:Ad6:mediasld5:indexi1e5:flagsl3:ICEeeeee6:result2:oke"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := decode(in)
		if err != nil {
			return
		}
		again, err := decode(encode(nil, d))
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Errorf("%q is read as %v, and again as %v, %v", in, d, again, err)
		}
		readFigures(d, "A", "B") // whatever it says
	})
}
