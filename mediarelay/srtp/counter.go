package srtp

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
)

// A counter is AES in counter mode with HMAC-SHA1 (RFC 3711 sections 4.1.1 and 4.2.1).
type counter struct {
	high, low uint64 // of the salt, as the counter begins
	keyed     mac
	tag       int // octets
	aes       stretch
}

func newCounter(key, auth, salt []byte, tag int) (*counter, error) {
	var iv [16]byte
	copy(iv[:14], salt)
	c := &counter{high: binary.BigEndian.Uint64(iv[:]), low: binary.BigEndian.Uint64(iv[8:]), tag: tag}
	c.keyed.init(auth)
	return c, c.aes.init(key)
}

// xor adds the keystream of a packet to what is encrypted.
func (c *counter) xor(p []byte, ssrc uint32, index uint64) {
	c.aes.xor(p, c.high^uint64(ssrc), c.low^index<<16)
}

func (c *counter) seal(p []byte, n, header int, ssrc uint32, index uint64) int {
	c.xor(p[header:n], ssrc, index)
	binary.BigEndian.PutUint32(p[n:], uint32(index>>16))
	sum := c.keyed.sum(p[:n+4])
	return n + copy(p[n:n+c.tag], sum[:])
}

func (c *counter) open(p []byte, header int, ssrc uint32, index uint64) (n int, ok bool) {
	n = len(p) - c.tag
	var tag [cmTag]byte
	copy(tag[:], p[n:])
	binary.BigEndian.PutUint32(p[n:], uint32(index>>16)) // the tag has room for it
	sum := c.keyed.sum(p[:n+4])
	if subtle.ConstantTimeCompare(sum[:c.tag], tag[:c.tag]) != 1 {
		return 0, false
	}
	c.xor(p[header:n], ssrc, index)
	return n, true
}

func (c *counter) sealReport(p []byte, n int, ssrc, word uint32) int {
	c.xor(p[reportHeader:n], ssrc, uint64(word&^encrypted))
	binary.BigEndian.PutUint32(p[n:], word)
	n += indexLen
	sum := c.keyed.sum(p[:n])
	return n + copy(p[n:n+c.tag], sum[:])
}

func (c *counter) openReport(p []byte, ssrc, word uint32) (n int, ok bool) {
	n = len(p) - c.tag
	sum := c.keyed.sum(p[:n])
	if subtle.ConstantTimeCompare(sum[:c.tag], p[n:]) != 1 {
		return 0, false
	}
	n -= indexLen
	if word&encrypted != 0 {
		c.xor(p[reportHeader:n], ssrc, uint64(word&^encrypted))
	}
	return n, true
}

func (c *counter) overhead(report bool) int {
	if report {
		return c.tag + indexLen
	}
	return c.tag
}

func (c *counter) wordAt(n int) int { return n - c.tag - indexLen }

func (c *counter) touch() uint32 { return uint32(c.low) + c.keyed.outer[0] + c.aes.touch() }

// A mac is HMAC-SHA1 with a key (RFC 2104): what SHA-1 has come to when the key has been
// read, inside and outside.
type mac struct {
	inner, outer [5]uint32
	digest       *digest // where SHA-1 is left to the library; else nil
}

func (m *mac) init(key []byte) {
	if !hashes {
		m.digest = newDigest()
	}
	m.inner, m.outer = m.padded(key, 0x36), m.padded(key, 0x5c)
}

// padded returns the state of SHA-1 after the key, padded.
func (m *mac) padded(key []byte, pad byte) [5]uint32 {
	block := make([]byte, sha1.BlockSize)
	copy(block, key)
	for i := range block {
		block[i] ^= pad
	}
	h := [5]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}
	if m.digest != nil {
		return m.digest.after(block)
	}
	sha1Blocks(&h, &block[0], 1)
	return h
}

// sum returns the authentication of a message.
func (m *mac) sum(p []byte) [sha1.Size]byte {
	if m.digest != nil {
		m.digest.finish(m.inner, p)
		return m.digest.finish(m.outer, m.digest.sum[:])
	}
	h := m.inner
	whole := len(p) / sha1.BlockSize
	if whole > 0 {
		sha1Blocks(&h, &p[0], whole)
	}
	var rest [2 * sha1.BlockSize]byte
	n := copy(rest[:], p[whole*sha1.BlockSize:])
	rest[n] = 0x80
	blocks := 1 + (n+8)/sha1.BlockSize
	binary.BigEndian.PutUint64(rest[blocks*sha1.BlockSize-8:], uint64(sha1.BlockSize+len(p))*8)
	sha1Blocks(&h, &rest[0], blocks)

	var last [sha1.BlockSize]byte
	for i, w := range h {
		binary.BigEndian.PutUint32(last[4*i:], w)
	}
	last[sha1.Size] = 0x80
	binary.BigEndian.PutUint64(last[sha1.BlockSize-8:], (sha1.BlockSize+sha1.Size)*8)
	h = m.outer
	sha1Blocks(&h, &last[0], 1)
	var out [sha1.Size]byte
	for i, w := range h {
		binary.BigEndian.PutUint32(out[4*i:], w)
	}
	return out
}
