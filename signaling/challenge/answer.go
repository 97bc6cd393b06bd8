package challenge

import (
	"errors"
	"strconv"
	"strings"

	"github.com/icholy/digest"
)

// An Answer is the value of an Authorization, taken apart.
type Answer struct {
	Realm     string
	User      string
	Nonce     string
	URI       string
	Response  string
	Algorithm string
	CNonce    string
	Opaque    string
	QOP       string
	Count     uint32 // how often the nonce is used with this (nc)

	count string // as it was written
}

// maxAnswer bounds an Authorization, in octets.
const maxAnswer = 2048

var errAnswer = errors.New("not the answer to a challenge")

// ParseAnswer reads the value of an Authorization. Of what is not a digest, or cannot be
// read, there is an error.
func ParseAnswer(value string) (Answer, error) {
	if len(value) > maxAnswer {
		return Answer{}, errAnswer
	}
	c, err := digest.ParseCredentials(value)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{
		Realm: c.Realm, User: c.Username, Nonce: c.Nonce, URI: c.URI, Response: c.Response, Algorithm: c.Algorithm,
		CNonce: c.Cnonce, Opaque: c.Opaque, QOP: strings.ToLower(c.QOP),
	}
	if c.Userhash || c.Nc < 0 {
		return Answer{}, errAnswer
	}
	a.Count = uint32(c.Nc)
	// Eight digits (RFC 7616 section 3.4), which is how all hash them.
	a.count = strconv.FormatUint(uint64(a.Count), 16)
	a.count = strings.Repeat("0", max(0, 8-len(a.count))) + a.count
	return a, nil
}

// SameURI reports whether two URIs name the same user of the same host. Ports and parameters
// do not matter: what stands between a phone and us changes them.
func SameURI(a, b string) bool {
	if a == b {
		return true
	}
	ua, ha, oka := partsOf(a)
	ub, hb, okb := partsOf(b)
	return oka && okb && ua == ub && strings.EqualFold(ha, hb)
}

// partsOf is the user and the host of a SIP URI, or the number of a tel URI.
func partsOf(uri string) (user, host string, ok bool) {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return "", "", false
	}
	if strings.EqualFold(scheme, "tel") {
		user, _, _ = strings.Cut(rest, ";")
		return user, "", true
	}
	if !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		return "", "", false
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, rest = rest[:i], rest[i+1:]
	}
	host = rest
	if i := strings.IndexAny(rest, ";?"); i >= 0 {
		host = rest[:i]
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return user, host, host != ""
}
