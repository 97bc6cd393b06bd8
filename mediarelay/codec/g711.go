package codec

import "math/bits"

// linearMu and linearA are the decoders of the two laws, by octet.
var linearMu, linearA = tables()

func tables() (mu, a [256]int16) {
	for i := range 256 {
		mu[i], a[i] = decodeMu(byte(i)), decodeA(byte(i))
	}
	return mu, a
}

type g711Decoder struct {
	linear *[256]int16
	loss   concealer
}

func (d *g711Decoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || len(payload) > len(pcm) {
		return 0, ErrMalformed
	}
	pcm = pcm[:len(payload)]
	for i, b := range payload {
		pcm[i] = d.linear[b]
	}
	d.loss.good(pcm)
	return len(pcm), nil
}

func (d *g711Decoder) Conceal(pcm []int16, _ []byte) { d.loss.lost(pcm) }

type g711Encoder struct{ encode func(int16) byte }

func (e g711Encoder) Encode(to []byte, pcm []int16) []byte {
	for _, v := range pcm {
		to = append(to, e.encode(v))
	}
	return to
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

// decodeMu decodes an octet by the mu-law.
func decodeMu(b byte) int16 {
	const bias = 0x84
	b = ^b
	n := (int(b&0x0f)<<3+bias)<<(b>>4&7) - bias
	if b&0x80 != 0 {
		n = -n
	}
	return int16(n)
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

// decodeA decodes an octet by the A-law.
func decodeA(b byte) int16 {
	b ^= 0x55
	n := int(b&0x0f)<<4 + 8
	if segment := b >> 4 & 7; segment > 0 {
		n = (n + 0x100) << (segment - 1)
	}
	if b&0x80 == 0 {
		n = -n
	}
	return int16(n)
}
