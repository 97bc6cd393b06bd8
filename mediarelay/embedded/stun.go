package embedded

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
)

// What is read of STUN before an agent has it (RFC 8489).
const (
	stunHeader    = 20
	stunCookie    = 0x2112A442
	stunUsername  = 0x0006
	stunIntegrity = 0x0008
)

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

// username returns the USERNAME of a STUN message (RFC 8489 section 14.3), nil without.
func username(p []byte) []byte {
	name, _ := attribute(p, stunUsername)
	return name
}

// genuine reports whether the MESSAGE-INTEGRITY of a STUN message is that of a password (RFC
// 8489 section 14.5): a digest of all before it, with the length as if it were the last.
func genuine(p []byte, pwd string) bool {
	told, at := attribute(p, stunIntegrity)
	if len(told) != sha1.Size {
		return false
	}
	digest := hmac.New(sha1.New, []byte(pwd))
	digest.Write(p[:2])
	digest.Write(binary.BigEndian.AppendUint16(nil, uint16(at+4+sha1.Size-stunHeader)))
	digest.Write(p[4:at])
	return hmac.Equal(digest.Sum(nil), told)
}
