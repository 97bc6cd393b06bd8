package embedded

import (
	"math/bits"

	"sipxmppgw/gateway/media"
)

// The two laws of G.711, and which of them a sound is encoded by.
const (
	lawMu = iota // PCMU
	lawA         // PCMA
	laws
)

// A sound is a loop of speech at 8000 Hz, encoded by both laws: an octet is a sample.
type sound [laws][]byte

// newSound encodes linear samples of 16 bits at 8000 Hz.
func newSound(samples []int16) *sound {
	s := &sound{make([]byte, len(samples)), make([]byte, len(samples))}
	for i, v := range samples {
		s[lawMu][i], s[lawA][i] = encodeMu(v), encodeA(v)
	}
	return s
}

// lawOf returns the law of a codec; ok is false if it is not G.711.
func lawOf(c media.Codec) (law int, ok bool) {
	switch {
	case !c.G711():
		return 0, false
	case media.CanonicalName(c.Name) == "PCMA":
		return lawA, true
	}
	return lawMu, true
}

// encodeMu encodes a sample by the mu-law (ITU-T G.711 section 3, table 2).
func encodeMu(v int16) byte {
	const bias, clip = 0x84, 32635
	n, sign := int(v), byte(0)
	if n < 0 {
		n, sign = -n, 0x80
	}
	n = min(n, clip) + bias
	segment := bits.Len(uint(n)) - 8
	return ^(sign | byte(segment)<<4 | byte(n>>(segment+3))&0x0f)
}

// encodeA encodes a sample by the A-law (ITU-T G.711 section 3, table 1).
func encodeA(v int16) byte {
	n, sign := int(v)>>3, byte(0x80)
	if n < 0 {
		n, sign = -n-1, 0
	}
	segment := max(bits.Len(uint(n))-5, 0)
	code := sign | byte(segment)<<4
	if segment < 2 {
		return (code | byte(n>>1)&0x0f) ^ 0x55
	}
	return (code | byte(n>>segment)&0x0f) ^ 0x55
}
