package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// A galois is AES in Galois counter mode (RFC 7714).
type galois struct {
	aead cipher.AEAD
	salt [12]byte
	iv   [12]byte // scratch
	more [reportHeader + indexLen]byte
}

func newGalois(key, salt []byte) (*galois, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	g := &galois{salt: [12]byte(salt)}
	g.aead, err = cipher.NewGCM(block)
	return g, err
}

// nonce works out the IV from what it is made of (RFC 7714 sections 8.1 and 9.1).
func (g *galois) nonce(ssrc uint32, index uint64) []byte {
	binary.BigEndian.PutUint16(g.iv[:], binary.BigEndian.Uint16(g.salt[:]))
	binary.BigEndian.PutUint32(g.iv[2:], binary.BigEndian.Uint32(g.salt[2:])^ssrc)
	binary.BigEndian.PutUint16(g.iv[6:], binary.BigEndian.Uint16(g.salt[6:])^uint16(index>>32))
	binary.BigEndian.PutUint32(g.iv[8:], binary.BigEndian.Uint32(g.salt[8:])^uint32(index))
	return g.iv[:]
}

func (g *galois) seal(p []byte, n, header int, ssrc uint32, index uint64) int {
	g.aead.Seal(p[header:header], g.nonce(ssrc, index), p[header:n], p[:header])
	return n + gcmTag
}

func (g *galois) open(p []byte, header int, ssrc uint32, index uint64) (n int, ok bool) {
	_, err := g.aead.Open(p[header:header], g.nonce(ssrc, index), p[header:], p[:header])
	return len(p) - gcmTag, err == nil
}

func (g *galois) sealReport(p []byte, n int, ssrc, word uint32) int {
	copy(g.more[:], p[:reportHeader])
	binary.BigEndian.PutUint32(g.more[reportHeader:], word)
	g.aead.Seal(p[reportHeader:reportHeader], g.nonce(ssrc, uint64(word&^encrypted)), p[reportHeader:n], g.more[:])
	binary.BigEndian.PutUint32(p[n+gcmTag:], word)
	return n + gcmTag + indexLen
}

func (g *galois) openReport(p []byte, ssrc, word uint32) (n int, ok bool) {
	end := len(p) - indexLen
	iv := g.nonce(ssrc, uint64(word&^encrypted))
	if word&encrypted == 0 { // all of it is authenticated alone (RFC 7714 section 9.3)
		more := append(append([]byte{}, p[:end-gcmTag]...), p[end:]...)
		_, err := g.aead.Open(nil, iv, p[end-gcmTag:end], more)
		return end - gcmTag, err == nil
	}
	copy(g.more[:], p[:reportHeader])
	copy(g.more[reportHeader:], p[end:])
	_, err := g.aead.Open(p[reportHeader:reportHeader], iv, p[reportHeader:end], g.more[:])
	return end - gcmTag, err == nil
}

func (g *galois) overhead(report bool) int {
	if report {
		return gcmTag + indexLen
	}
	return gcmTag
}

func (g *galois) wordAt(n int) int { return n - indexLen }

// touch reads what there is here; how the library keeps its keys is its own.
func (g *galois) touch() uint32 { return uint32(g.salt[0]) }
