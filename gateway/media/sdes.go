package media

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// A Suite is a way of SRTP whose keys may be in signalling (RFC 4568, RFC 6188, RFC 7714).
type Suite struct {
	Name      string
	Key, Salt int // octets
	Tag       int // of its line in offers of ours
}

// Suites are those we know, in the order we offer them: the cheapest to compute first, and the one
// with the short tag last. The suite that all know has the tag 1.
// COMPAT(Jami): its answer has the tag 1 whatever suite it takes, and of these it takes this one.
var Suites = []Suite{
	{"AEAD_AES_128_GCM", 16, 12, 2},
	{"AES_CM_128_HMAC_SHA1_80", 16, 14, 1},
	{"AEAD_AES_256_GCM", 32, 12, 3},
	{"AES_256_CM_HMAC_SHA1_80", 32, 14, 4},
	{"AES_CM_128_HMAC_SHA1_32", 16, 14, 5},
}

const (
	inline = "inline:"
	// lifetimeMin is for how many packets a key must be good, about six hours of speech: we
	// never change keys by ourselves.
	lifetimeMin = 20 // as a power of two
)

// NewSDES is a line with a key, which has as many octets as the suite wants.
func NewSDES(tag int, suite string, secret []byte) SDES {
	return SDES{Tag: tag, Suite: suite, KeyParams: inline + base64.StdEncoding.EncodeToString(secret)}
}

// Master returns the master key and salt of a line. ok is false for what we do not do: several
// keys and key identifiers, keys that wear out soon, and session parameters that weaken the
// protection or are unknown (RFC 4568 section 6).
func (s SDES) Master() (key, salt []byte, ok bool) {
	i := slices.IndexFunc(Suites, func(is Suite) bool { return strings.EqualFold(is.Name, s.Suite) })
	if i < 0 || len(s.KeyParams) < len(inline) || !strings.EqualFold(s.KeyParams[:len(inline)], inline) {
		return nil, nil, false
	}
	parts := strings.Split(s.KeyParams[len(inline):], "|")
	if strings.Contains(s.KeyParams, ";") || len(parts) > 2 || len(parts) == 2 && !lasts(parts[1]) {
		return nil, nil, false
	}
	for _, p := range strings.Fields(s.SessionParams) {
		if !strings.HasPrefix(p, "-") && !strings.HasPrefix(strings.ToUpper(p), "WSH=") {
			return nil, nil, false
		}
	}
	// COMPAT(old phones): some leave out the padding.
	both, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(parts[0], "="))
	if err != nil || len(both) != Suites[i].Key+Suites[i].Salt {
		return nil, nil, false
	}
	return both[:Suites[i].Key], both[Suites[i].Key:], true
}

// lasts reports whether the lifetime of a key is long enough; a key identifier is none.
func lasts(lifetime string) bool {
	if power, is := strings.CutPrefix(lifetime, "2^"); is {
		n, err := strconv.Atoi(power)
		return err == nil && n >= lifetimeMin
	}
	n, err := strconv.ParseUint(lifetime, 10, 63)
	return err == nil && n >= 1<<lifetimeMin
}

// Usable reports whether a key can be used.
func (s SDES) Usable() bool {
	_, _, ok := s.Master()
	return ok
}

// TakenSDES returns which of the keys of an offer an answer has taken; -1 if it has taken none of
// them, or says anything else (RFC 4568 section 5.1.3).
func TakenSDES(offer, answer []SDES) int {
	if len(answer) != 1 || !answer[0].Usable() {
		return -1
	}
	return slices.IndexFunc(offer, func(k SDES) bool {
		return k.Tag == answer[0].Tag && strings.EqualFold(k.Suite, answer[0].Suite)
	})
}

// Guarded reports whether a stream must not be carried in the clear.
func (t Transport) Guarded() bool {
	return t.Profile != AVP && t.Profile != AVPF || slices.ContainsFunc(t.SDES, func(k SDES) bool { return k.Required })
}
