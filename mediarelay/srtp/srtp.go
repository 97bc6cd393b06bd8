// Package srtp protects RTP and RTCP and takes the protection off, in place and without an
// allocation (RFC 3711, RFC 6188, RFC 7714). What a packet needs of a context lies together,
// for the sake of the cache. A context is for one direction and belongs to one goroutine.
package srtp

import (
	"errors"
	"fmt"
	"strings"
)

// A Profile is how packets are protected, by its number in DTLS (RFC 5764 section 4.1.2).
type Profile uint16

// The profiles we know. AES128CM32 and AES256CM80 are for keys in signalling alone
// (RFC 4568, RFC 6188); their numbers are those of an early draft.
const (
	AES128CM80 Profile = 1
	AES128CM32 Profile = 2
	AES256CM80 Profile = 3
	AES128GCM  Profile = 7
	AES256GCM  Profile = 8
)

// named are the profiles of suites whose keys are in signalling.
var named = map[string]Profile{
	"AEAD_AES_128_GCM":        AES128GCM,
	"AES_CM_128_HMAC_SHA1_80": AES128CM80,
	"AEAD_AES_256_GCM":        AES256GCM,
	"AES_256_CM_HMAC_SHA1_80": AES256CM80,
	"AES_CM_128_HMAC_SHA1_32": AES128CM32,
}

// Named returns the profile of a suite of RFC 4568, RFC 6188 or RFC 7714, in any case of letters; 0
// for one we do not know.
func Named(suite string) Profile { return named[strings.ToUpper(suite)] }

// MaxOverhead is how many octets a packet grows at most, RTP or RTCP.
const MaxOverhead = 20

const (
	headerLen    = 12 // of RTP, at least
	reportHeader = 8  // of RTCP, which is not encrypted
	indexLen     = 4  // of SRTCP
	encrypted    = 1 << 31
	gcmTag       = 16
	cmTag        = 10
	authKey      = 20
)

// What is wrong with a packet, or with the key of one that is sent.
var (
	ErrShort    = errors.New("srtp: no such packet")
	ErrForged   = errors.New("srtp: the packet is not genuine")
	ErrReplayed = errors.New("srtp: the packet has come before, or is too old")
	ErrWornOut  = errors.New("srtp: the key has protected all it may")
)

// A suite is what a profile is made of; lengths are in octets.
type suite struct {
	name      string
	key, salt int
	tag       int // of RTP; that of RTCP is never short
	gcm       bool
}

func (p Profile) suite() (suite, bool) {
	switch p {
	case AES128CM80:
		return suite{"SRTP_AES128_CM_HMAC_SHA1_80", 16, 14, cmTag, false}, true
	case AES128CM32:
		return suite{"SRTP_AES128_CM_HMAC_SHA1_32", 16, 14, 4, false}, true
	case AES256CM80:
		return suite{"SRTP_AES256_CM_HMAC_SHA1_80", 32, 14, cmTag, false}, true
	case AES128GCM:
		return suite{"SRTP_AEAD_AES_128_GCM", 16, 12, gcmTag, true}, true
	case AES256GCM:
		return suite{"SRTP_AEAD_AES_256_GCM", 32, 12, gcmTag, true}, true
	}
	return suite{}, false
}

// Lengths returns how many octets a master key and a master salt have; 0 for a profile we
// do not know.
func (p Profile) Lengths() (key, salt int) {
	s, _ := p.suite()
	return s.key, s.salt
}

func (p Profile) String() string {
	if s, ok := p.suite(); ok {
		return s.name
	}
	return fmt.Sprintf("profile %d", uint16(p))
}

// A transform is the cryptography of one direction of RTP or RTCP. The header is what is
// authenticated but not encrypted; index is that of the packet (RFC 3711 section 3.3.1), or
// of the report.
type transform interface {
	// seal protects the RTP packet p[:n], and returns its new length.
	seal(p []byte, n, header int, ssrc uint32, index uint64) int
	// open checks and decrypts the packet p, and returns its new length; what is in p after
	// false means nothing.
	open(p []byte, header int, ssrc uint32, index uint64) (n int, ok bool)
	// sealReport and openReport do it for RTCP; word has the index, and whether the packet
	// is encrypted.
	sealReport(p []byte, n int, ssrc, word uint32) int
	openReport(p []byte, ssrc, word uint32) (n int, ok bool)
	// overhead is how many octets a packet grows.
	overhead(report bool) int
	// wordAt is where in a report of that length the word is.
	wordAt(n int) int
	touch() uint32
}

// newTransform derives the session keys of RTP, or of RTCP, from the master key.
func newTransform(p Profile, key, salt []byte, report bool) (transform, error) {
	s, ok := p.suite()
	if !ok {
		return nil, fmt.Errorf("srtp: %v is not known", p)
	}
	if len(key) != s.key || len(salt) != s.salt {
		return nil, fmt.Errorf("srtp: a key of %d and a salt of %d octets for %v", len(key), len(salt), p)
	}
	first := byte(0)
	if report {
		first = 3
		if !s.gcm {
			s.tag = cmTag
		}
	}
	d, err := newDerivation(key, salt)
	if err != nil {
		return nil, err
	}
	cipherKey, cipherSalt := d.key(first, s.key), d.key(first+2, s.salt)
	if s.gcm {
		return newGalois(cipherKey, cipherSalt)
	}
	return newCounter(cipherKey, d.key(first+1, authKey), cipherSalt, s.tag)
}
