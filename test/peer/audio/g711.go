package audio

// EncodePCMU returns the μ-law byte of a linear sample (ITU-T G.711).
func EncodePCMU(sample int16) byte {
	const bias, clip = 0x84, 32635
	v, sign := int(sample), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, clip) + bias
	exponent := 7
	for mask := 0x4000; exponent > 0 && v&mask == 0; mask >>= 1 {
		exponent--
	}
	mantissa := byte(v>>(exponent+3)) & 0x0f
	return ^(sign | byte(exponent)<<4 | mantissa)
}

// DecodePCMU returns the linear sample of a μ-law byte.
func DecodePCMU(b byte) int16 {
	b = ^b
	v := (int(b&0x0f)<<3 + 0x84) << (b >> 4 & 7)
	v -= 0x84
	if b&0x80 != 0 {
		return int16(-v)
	}
	return int16(v)
}

// EncodePCMA returns the A-law byte of a linear sample (ITU-T G.711).
func EncodePCMA(sample int16) byte {
	v, sign := int(sample), byte(0x80)
	if v < 0 {
		v, sign = -v-1, 0
	}
	v = min(v, 32767)
	var b byte
	if v < 256 {
		b = byte(v >> 4)
	} else {
		exponent := 7
		for mask := 0x4000; exponent > 1 && v&mask == 0; mask >>= 1 {
			exponent--
		}
		b = byte(exponent)<<4 | byte(v>>(exponent+3))&0x0f
	}
	return (b | sign) ^ 0x55
}

// DecodePCMA returns the linear sample of an A-law byte.
func DecodePCMA(b byte) int16 {
	b ^= 0x55
	v, exponent := int(b&0x0f)<<4+8, b>>4&7
	if exponent > 0 {
		v = (v + 0x100) << (exponent - 1)
	}
	if b&0x80 == 0 {
		return int16(-v)
	}
	return int16(v)
}
