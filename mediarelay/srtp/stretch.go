package srtp

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// A stretch is AES in counter mode with a key, expanded (FIPS 197 section 5.2).
type stretch struct {
	rounds  int
	keys    [60]uint32    // little-endian, as the machine takes them
	library *libraryBlock // where AES is left to the library; else nil
}

func (s *stretch) init(key []byte) (err error) {
	if !ciphers {
		s.library, err = newLibraryBlock(key)
		return err
	}
	n := len(key) / 4
	s.rounds = n + 6
	for i := range n {
		s.keys[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	round := uint32(1)
	for i := n; i < 4*(s.rounds+1); i++ {
		w := s.keys[i-1]
		switch {
		case i%n == 0:
			w = bits.RotateLeft32(subWord(w), -8) ^ round
			if round <<= 1; round > 0xff {
				round ^= 0x11b
			}
		case n > 6 && i%n == 4:
			w = subWord(w)
		}
		s.keys[i] = s.keys[i-n] ^ w
	}
	return nil
}

// xor adds the keystream that begins with a counter, which is 16 octets, high and low; the
// lowest 16 bits are 0.
func (s *stretch) xor(p []byte, high, low uint64) {
	if s.library != nil {
		s.library.xor(p, high, low)
		return
	}
	var stream [8 * 16]byte
	for ; len(p) > 0; low += 8 {
		keystream(&s.keys, s.rounds, high, low, &stream)
		p = p[subtle.XORBytes(p, p, stream[:min(len(p), len(stream))]):]
	}
}

// touch reads the keys.
func (s *stretch) touch() uint32 {
	return s.keys[0] + s.keys[16] + s.keys[32] + s.keys[43]
}
