package srtp

import (
	"crypto/aes"
	"crypto/cipher"
)

// derive returns n octets of key material for a label (RFC 3711 section 4.3.1). A key is
// never derived anew.
func derive(key, salt []byte, label byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, aes.BlockSize)
	copy(iv, salt)
	iv[7] ^= label
	out := make([]byte, n)
	cipher.NewCTR(block, iv).XORKeyStream(out, out)
	return out, nil
}
