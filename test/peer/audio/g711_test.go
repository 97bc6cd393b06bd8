package audio

import "testing"

func TestG711RoundTrip(t *testing.T) {
	for _, codec := range []Codec{PCMU, PCMA} {
		for b := range 256 {
			sample := codec.Decode([]byte{byte(b)})[0]
			again := codec.Decode(codec.Encode([]int16{sample}))[0]
			if again != sample {
				t.Errorf("%s byte %#02x: decodes to %d, which encodes to something that decodes to %d", codec.Name, b, sample, again)
			}
		}
	}
}

func TestG711Values(t *testing.T) {
	tests := []struct {
		name   string
		codec  Codec
		sample int16
		want   byte
	}{
		{"silence in μ-law", PCMU, 0, 0xff},
		{"the loudest μ-law", PCMU, 32767, 0x80},
		{"the most negative μ-law", PCMU, -32768, 0x00},
		{"a thousand in μ-law", PCMU, 1000, 0xce},
		{"silence in A-law", PCMA, 0, 0xd5},
		{"the loudest A-law", PCMA, 32767, 0xaa},
		{"the most negative A-law", PCMA, -32768, 0x2a},
		{"a thousand in A-law", PCMA, 1000, 0xfa},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.codec.Encode([]int16{test.sample})[0]; got != test.want {
				t.Errorf("got %#02x, want %#02x", got, test.want)
			}
		})
	}
}

func TestG711ErrorIsSmall(t *testing.T) {
	for _, codec := range []Codec{PCMU, PCMA} {
		for v := -32000; v < 32000; v += 7 {
			got := int(codec.Decode(codec.Encode([]int16{int16(v)}))[0])
			if d, most := abs(got-v), max(16, abs(v)/16); d > most {
				t.Fatalf("%s: %d came back as %d", codec.Name, v, got)
			}
		}
	}
}

func abs(v int) int { return max(v, -v) }
