package embedded

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// What there is of STUN (RFC 8489) in ICE (RFC 8445 section 16.1).
const (
	stunHeader = 20
	stunCookie = 0x2112A442

	bindingRequest = 0x0001
	bindingSuccess = 0x0101
	bindingError   = 0x0111

	stunUsername     = 0x0006
	stunIntegrity    = 0x0008
	stunErrorCode    = 0x0009
	stunMapped       = 0x0020 // XOR-MAPPED-ADDRESS
	stunPriority     = 0x0024
	stunUseCandidate = 0x0025
	stunFingerprint  = 0x8028
	stunControlled   = 0x8029
	stunControlling  = 0x802a
	stunNomination   = 0xc001 // draft-thatcher-ice-renomination-01, as libwebrtc has it

	fingerprintMask = 0x5354554e
	roleConflict    = 487
)

// A transaction is the id of a STUN message.
type transaction [12]byte

// A message is a STUN message that is being written.
type message []byte

func newMessage(kind uint16, id transaction) message {
	m := make(message, 8, 128)
	binary.BigEndian.PutUint16(m, kind)
	binary.BigEndian.PutUint32(m[4:], stunCookie)
	return append(m, id[:]...)
}

// add adds an attribute.
func (m message) add(kind uint16, value []byte) message {
	m = binary.BigEndian.AppendUint16(m, kind)
	m = binary.BigEndian.AppendUint16(m, uint16(len(value)))
	m = append(m, value...)
	for len(m)%4 != 0 {
		m = append(m, 0)
	}
	binary.BigEndian.PutUint16(m[2:], uint16(len(m)-stunHeader))
	return m
}

// mapped adds the address that a request came from (RFC 8489 section 14.2).
func (m message) mapped(from netip.AddrPort) message {
	value := []byte{0, 1}
	if from.Addr().Is6() {
		value[1] = 2
	}
	value = binary.BigEndian.AppendUint16(value, from.Port()^stunCookie>>16)
	value = append(value, from.Addr().AsSlice()...)
	for i := range value[4:] {
		value[4+i] ^= m[4+i] // the cookie, then the transaction
	}
	return m.add(stunMapped, value)
}

// seal adds what proves that the password is known, and that it is STUN (RFC 8489 sections 14.5
// and 14.7).
func (m message) seal(pwd string) message {
	m = m.add(stunIntegrity, digestOf(m, len(m), pwd))
	m = m.add(stunFingerprint, make([]byte, 4))
	body := m[:len(m)-8]
	binary.BigEndian.PutUint32(m[len(m)-4:], crc32.ChecksumIEEE(body)^fingerprintMask)
	return m
}

// attribute returns the value of an attribute of a STUN message and where it begins; 0 for
// nowhere.
func attribute(p []byte, wanted uint16) (value []byte, at int) {
	for at = stunHeader; len(p) >= at+4; {
		kind, n := binary.BigEndian.Uint16(p[at:]), int(binary.BigEndian.Uint16(p[at+2:]))
		if len(p) < at+4+n {
			break
		}
		if kind == wanted {
			return p[at+4 : at+4+n], at
		}
		at += 4 + (n+3)&^3
	}
	return nil, 0
}

// has reports whether an attribute is there.
func has(p []byte, wanted uint16) bool {
	_, at := attribute(p, wanted)
	return at > 0
}

// number returns an attribute of 4 or 8 octets.
func number(p []byte, wanted uint16) (n uint64, ok bool) {
	switch value, _ := attribute(p, wanted); len(value) {
	case 4:
		return uint64(binary.BigEndian.Uint32(value)), true
	case 8:
		return binary.BigEndian.Uint64(value), true
	}
	return 0, false
}

// username returns the USERNAME of a STUN message (RFC 8489 section 14.3), nil without.
func username(p []byte) []byte {
	name, _ := attribute(p, stunUsername)
	return name
}

// errorCode returns the code of an error (RFC 8489 section 14.8); 0 for none.
func errorCode(p []byte) int {
	value, _ := attribute(p, stunErrorCode)
	if len(value) < 4 {
		return 0
	}
	return int(value[2]&7)*100 + int(value[3])
}

// genuine reports whether the MESSAGE-INTEGRITY of a STUN message is that of a password (RFC
// 8489 section 14.5).
func genuine(p []byte, pwd string) bool {
	told, at := attribute(p, stunIntegrity)
	return len(told) == sha1.Size && hmac.Equal(digestOf(p, at, pwd), told)
}

// signed returns a STUN message as far as its MESSAGE-INTEGRITY speaks for it: whatever
// follows that is nobody's word (RFC 8489 section 14.5).
func signed(p []byte) []byte {
	_, at := attribute(p, stunIntegrity)
	return p[:at]
}

// digestOf returns what the MESSAGE-INTEGRITY that begins there must say: a digest of all
// before it, with the length as if it were the last.
func digestOf(p []byte, at int, pwd string) []byte {
	digest := hmac.New(sha1.New, []byte(pwd))
	digest.Write(p[:2])
	digest.Write(binary.BigEndian.AppendUint16(nil, uint16(at+4+sha1.Size-stunHeader)))
	digest.Write(p[4:at])
	return digest.Sum(nil)
}
