package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeyLength is the length of a sealer's key, in octets.
const KeyLength = 32

// ErrSealed says that a value was not sealed with this key and name, or was changed.
var ErrSealed = errors.New("store: the secret does not open with this key")

// A Sealer encrypts secrets before they are stored: AES-256-GCM with a random nonce, under a
// key that lies apart from the store. It is safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// NewSealer makes a sealer from a key of [KeyLength] random octets. An error says that the
// key has another length.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != KeyLength {
		return nil, fmt.Errorf("the key has %d octets, not %d", len(key), KeyLength)
	}
	// The file's key is never used by itself, so that it can serve other ends later.
	derived, err := hkdf.Key(sha256.New, key, nil, "secrets in the store, version 1", KeyLength)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return &Sealer{aead}, nil
}

// NewKey returns a key for [NewSealer].
func NewKey() []byte {
	key := make([]byte, KeyLength)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return key
}

// Seal encrypts a secret for the row with that name, such as its key; it opens for no other.
func (s *Sealer) Seal(name string, secret []byte) []byte {
	return s.aead.Seal(nil, nil, secret, []byte(name))
}

// Open decrypts what Seal made for that name. An error is [ErrSealed].
func (s *Sealer) Open(name string, sealed []byte) ([]byte, error) {
	secret, err := s.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}
