package main

import (
	"encoding/binary"
	"strings"
	"testing"
)

// wav makes a file of a second with that format.
func wav(kind, channels, rate, bits int, extra string) []byte {
	le := binary.LittleEndian
	b := []byte("RIFF\x00\x00\x00\x00WAVE" + extra + "fmt \x10\x00\x00\x00")
	b = le.AppendUint16(b, uint16(kind))
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(rate*channels*bits/8))
	b = le.AppendUint16(b, uint16(channels*bits/8))
	b = le.AppendUint16(b, uint16(bits))
	b = append(b, "data\x80\x3e\x00\x00"...)
	for i := range 8000 {
		b = le.AppendUint16(b, uint16(int16(i-4000)))
	}
	return b
}

func TestParseWAV(t *testing.T) {
	good := wav(1, 1, 8000, 16, "")
	tests := []struct {
		name    string
		in      []byte
		problem string
	}{
		{"as it must be", good, ""},
		{"a list before the format", wav(1, 1, 8000, 16, "LIST\x03\x00\x00\x00abc\x00"), ""},
		{"two channels", wav(1, 2, 8000, 16, ""), "one channel"},
		{"another rate", wav(1, 1, 44100, 16, ""), "8000"},
		{"compressed", wav(7, 1, 8000, 8, ""), "16 bits"},
		{"nothing", nil, "no WAV"},
		{"no sound", good[:36], "no sound"},
		{"cut off", good[:100], "shorter"},
		{"a size beyond the end", append([]byte("RIFF\x00\x00\x00\x00WAVEjunk\xff\xff\xff\x7f"), good[12:]...), "no sound"},
		{"a format cut off", []byte("RIFF\x00\x00\x00\x00WAVEfmt \x02\x00\x00\x00\x01\x00"), "cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseWAV(tt.in)
			if tt.problem == "" {
				if err != nil || len(got) != 8000 || got[0] != -4000 || got[7999] != 3999 {
					t.Errorf("got %d samples, %v", len(got), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("got %v, want %s", err, tt.problem)
			}
		})
	}
}
