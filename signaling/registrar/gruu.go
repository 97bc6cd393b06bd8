package registrar

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"
	"time"
)

// temporary begins the user part of a temporary GRUU.
const temporary = "tgruu."

// nonceLength is how many octets tell the temporary GRUUs of a seed apart, and as many prove
// that one is of the seed: nobody can guess one, or tell that two are of one phone.
const nonceLength = 10

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// seedOf is what the temporary GRUUs of a binding's instance are made of from now on. They hold
// while the instance is bound and registers with one Call-ID: a phone that has begun anew has
// none of those it had (RFC 5627 section 5.1).
func seedOf(b Binding, req Request, held []Binding) string {
	if b.Instance == "" {
		return ""
	}
	seed := ""
	for _, o := range slices.Backward(held) { // the newest first
		if o.Instance != b.Instance {
			continue
		}
		if b.RegID == 0 || o.RegID == b.RegID {
			if o.CallID != req.CallID {
				return req.Seed
			}
			return cmp.Or(o.Seed, req.Seed)
		}
		seed = o.Seed // of another flow of the instance
	}
	return cmp.Or(seed, req.Seed)
}

// reseed gives the other bindings of an instance the seed of the newest, and returns those that
// had another.
func reseed(held []Binding, b Binding) (changed []Binding) {
	for i := range held {
		if o := &held[i]; b.Instance != "" && o.Instance == b.Instance && o.Seed != b.Seed {
			o.Seed = b.Seed
			changed = append(changed, *o)
		}
	}
	return changed
}

// Temporary makes the user part of a temporary GRUU of the binding's instance: another for each
// nonce, of which the first octets are used. It is empty if the binding has no instance.
func (b Binding) Temporary(nonce [nonceLength]byte) string {
	if b.Seed == "" {
		return ""
	}
	return temporary + letters.EncodeToString(append(nonce[:], b.proves(nonce[:])...))
}

// proves is what shows that a temporary GRUU is of the binding's instance.
func (b Binding) proves(nonce []byte) []byte {
	h := hmac.New(sha256.New, []byte(b.Seed))
	h.Write(nonce)
	return h.Sum(nil)[:nonceLength]
}

// IsTemporary reports whether the user part of a GRUU is that of a temporary one.
func IsTemporary(user string) bool { return strings.HasPrefix(user, temporary) }

// Resolve returns a binding of the instance that a temporary GRUU of that user part stands for;
// ok is false if it stands for none, or not any more. It asks each instance that is bound.
func (r *Registrar) Resolve(user string, now time.Time) (b Binding, ok bool) {
	text, is := strings.CutPrefix(user, temporary)
	octets, err := letters.DecodeString(text)
	if !is || err != nil || len(text) != letters.EncodedLen(2*nonceLength) {
		return b, false
	}
	for _, all := range r.users {
		for _, b := range all {
			if b.Seed != "" && now.Before(b.Expires) && hmac.Equal(b.proves(octets[:nonceLength]), octets[nonceLength:]) {
				return b, true
			}
		}
	}
	return b, false
}
