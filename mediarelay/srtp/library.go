package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"hash"
)

// What the library does where the machine has no instructions for it, or we no code that
// uses them. Buffers are kept, for what is handed to an interface would be allocated anew.

// A libraryBlock is AES of the library.
type libraryBlock struct {
	block   cipher.Block
	in, out [aes.BlockSize]byte
}

func newLibraryBlock(key []byte) (*libraryBlock, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &libraryBlock{block: block}, nil
}

func (b *libraryBlock) xor(p []byte, high, low uint64) {
	binary.BigEndian.PutUint64(b.in[:], high)
	for ; len(p) > 0; low++ {
		binary.BigEndian.PutUint64(b.in[8:], low)
		b.block.Encrypt(b.out[:], b.in[:])
		p = p[subtle.XORBytes(p, p, b.out[:min(len(p), aes.BlockSize)]):]
	}
}

// A digest is SHA-1 of the library, which goes on from a state.
type digest struct {
	hash  hash.Hash
	state []byte // as the library writes it
	sum   [sha1.Size]byte
}

// Where the state of SHA-1 is in what the library writes of it.
const (
	stateAt = 4
	countAt = stateAt + sha1.Size + sha1.BlockSize
)

func newDigest() *digest {
	d := &digest{hash: sha1.New()}
	d.state = d.marshal()
	return d
}

func (d *digest) marshal() []byte {
	state, err := d.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // documented not to happen (crypto/sha1)
	}
	return state
}

// after returns the state when one block has been read from the beginning.
func (d *digest) after(block []byte) (h [5]uint32) {
	d.hash.Reset()
	d.hash.Write(block)
	state := d.marshal()
	for i := range h {
		h[i] = binary.BigEndian.Uint32(state[stateAt+4*i:])
	}
	return h
}

// finish returns the hash of a message that follows the block that led to a state.
func (d *digest) finish(h [5]uint32, p []byte) [sha1.Size]byte {
	for i, w := range h {
		binary.BigEndian.PutUint32(d.state[stateAt+4*i:], w)
	}
	binary.BigEndian.PutUint64(d.state[countAt:], sha1.BlockSize)
	if err := d.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(d.state); err != nil {
		panic(err) // it is the library's own
	}
	d.hash.Write(p)
	d.hash.Sum(d.sum[:0])
	return d.sum
}
