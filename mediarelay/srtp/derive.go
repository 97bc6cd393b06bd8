package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// A derivation makes session keys of a master key and salt (RFC 3711 section 4.3.1). A key is
// never derived anew.
type derivation struct {
	block cipher.Block
	salt  [aes.BlockSize]byte // and the counter
}

func newDerivation(key, salt []byte) (*derivation, error) {
	block, err := aes.NewCipher(key)
	d := &derivation{block: block}
	copy(d.salt[:], salt)
	return d, err
}

// key returns n octets of key material for a label.
func (d *derivation) key(label byte, n int) []byte {
	iv := d.salt
	iv[7] ^= label
	out := make([]byte, (n+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	for i := 0; i < n; i += aes.BlockSize {
		binary.BigEndian.PutUint16(iv[14:], uint16(i/aes.BlockSize))
		d.block.Encrypt(out[i:], iv[:])
	}
	return out[:n]
}
