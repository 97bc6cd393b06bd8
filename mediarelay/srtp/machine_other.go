//go:build !amd64

package srtp

// AES and SHA-1 are left to the library, which knows this machine.
const (
	ciphers = false
	hashes  = false
)

func subWord(uint32) uint32                                  { panic("the library has AES") }
func keystream(*[60]uint32, int, uint64, uint64, *[128]byte) { panic("the library has AES") }
func sha1Blocks(*[5]uint32, *byte, int)                      { panic("the library has SHA-1") }
