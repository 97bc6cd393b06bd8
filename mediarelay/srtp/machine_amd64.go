package srtp

import "golang.org/x/sys/cpu"

// Whether the machine has instructions for AES and for SHA-1.
var (
	ciphers = cpu.X86.HasAES && cpu.X86.HasSSSE3 && cpu.X86.HasSSE41
	hashes  = hasSHA() && cpu.X86.HasSSSE3 && cpu.X86.HasSSE41
)

// hasSHA asks the processor for the SHA extensions.
func hasSHA() bool

// subWord puts each octet of a word through the S-box (FIPS 197 section 5.2).
func subWord(w uint32) uint32

// keystream encrypts eight counters, the first of which is high and low.
//
//go:noescape
func keystream(keys *[60]uint32, rounds int, high, low uint64, to *[128]byte)

// sha1Blocks takes blocks of 64 octets into the state of SHA-1 (FIPS 180-4 section 6.1.2).
//
//go:noescape
func sha1Blocks(h *[5]uint32, p *byte, blocks int)
