package embedded

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
)

// A suite is a way of SRTP whose keys may be in signalling (RFC 4568, RFC 6188, RFC 7714).
type suite struct {
	name    string
	profile srtp.Profile
}

// suites are those we know, in the order we offer them: the cheapest to compute first, and
// the one with the short tag last.
var suites = []suite{
	{"AEAD_AES_128_GCM", srtp.AES128GCM},
	{"AES_CM_128_HMAC_SHA1_80", srtp.AES128CM80},
	{"AEAD_AES_256_GCM", srtp.AES256GCM},
	{"AES_256_CM_HMAC_SHA1_80", srtp.AES256CM80},
	{"AES_CM_128_HMAC_SHA1_32", srtp.AES128CM32},
}

const (
	inline = "inline:"
	// lifetimeMin is for how many packets a key must be good, about six hours of speech: we
	// never change keys by ourselves.
	lifetimeMin = 20 // as a power of two
)

// A keying is the SRTP of a transport whose keys are in signalling. It belongs to the
// bridge's goroutine.
type keying struct {
	offered []media.SDES // ours that the peer may choose from
	mine    media.SDES   // of what is in use; the zero value while nothing is
	theirs  media.SDES
}

// inUse reports whether keys have been agreed.
func (k *keying) inUse() bool { return k != nil && k.mine.Suite != "" }

// offer returns the keys to put into an offer: the one in use, so that it goes on, or a new
// one for each suite we know.
func (k *keying) offer() []media.SDES {
	if k.inUse() {
		k.offered = []media.SDES{k.mine}
	}
	if k.offered == nil {
		for i, s := range suites {
			k.offered = append(k.offered, s.newKey(i+1))
		}
	}
	return slices.Clone(k.offered)
}

// chosen returns our key that an answer has taken; ok is false if it has taken none of them
// (RFC 4568 section 5.1.3).
func (k *keying) chosen(answer []media.SDES) (mine, theirs media.SDES, ok bool) {
	if k == nil || len(answer) != 1 {
		return mine, theirs, false
	}
	theirs = answer[0]
	i := slices.IndexFunc(k.offered, func(o media.SDES) bool {
		return o.Tag == theirs.Tag && strings.EqualFold(o.Suite, theirs.Suite)
	})
	if _, ok = readKey(theirs); !ok || i < 0 {
		return mine, theirs, false
	}
	return k.offered[i], theirs, true
}

// answer returns our key in answer to one that was chosen of an offer: the tag is the
// offer's, and the key goes on as long as the peer's does.
func (k *keying) answer(theirs media.SDES) media.SDES {
	if k.inUse() && k.theirs.Suite == theirs.Suite && k.theirs.KeyParams == theirs.KeyParams {
		mine := k.mine
		mine.Tag = theirs.Tag
		return mine
	}
	return suiteOf(theirs).newKey(theirs.Tag)
}

// pick returns the first key of an offer that can be used (RFC 4568 section 5.1.2).
func pick(offered []media.SDES) (theirs media.SDES, ok bool) {
	for _, o := range offered {
		if _, ok := readKey(o); ok {
			return o, true
		}
	}
	return theirs, false
}

// demands reports whether a stream must not be carried in the clear.
func demands(tr media.Transport) bool {
	return tr.Profile != media.AVP && tr.Profile != media.AVPF ||
		slices.ContainsFunc(tr.SDES, func(k media.SDES) bool { return k.Required })
}

// suiteOf returns the suite of a key; nil for one we do not know.
func suiteOf(k media.SDES) *suite {
	for i := range suites {
		if strings.EqualFold(suites[i].name, k.Suite) {
			return &suites[i]
		}
	}
	return nil
}

// octets is how many a key and its salt have.
func (s *suite) octets() int {
	key, salt := s.profile.Lengths()
	return key + salt
}

// newKey makes a key of ours.
func (s *suite) newKey(tag int) media.SDES {
	secret := make([]byte, s.octets())
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return media.SDES{Tag: tag, Suite: s.name, KeyParams: inline + base64.StdEncoding.EncodeToString(secret)}
}

// readKey returns the master key and salt of a line. ok is false for what we do not do:
// several keys and key identifiers, keys that wear out soon, and session parameters that
// weaken the protection or are unknown (RFC 4568 section 6).
func readKey(k media.SDES) (m master, ok bool) {
	is := suiteOf(k)
	if is == nil || len(k.KeyParams) < len(inline) || !strings.EqualFold(k.KeyParams[:len(inline)], inline) {
		return m, false
	}
	parts := strings.Split(k.KeyParams[len(inline):], "|")
	switch {
	case strings.Contains(k.KeyParams, ";") || len(parts) > 2 || len(parts) == 2 && !lasts(parts[1]):
		return m, false
	}
	for _, p := range strings.Fields(k.SessionParams) {
		if !strings.HasPrefix(p, "-") && !strings.HasPrefix(strings.ToUpper(p), "WSH=") {
			return m, false
		}
	}
	// COMPAT(old phones): some leave out the padding.
	both, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(parts[0], "="))
	key, salt := is.profile.Lengths()
	if err != nil || len(both) != key+salt {
		return m, false
	}
	return master{both[:key], both[key:]}, true
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

// protect takes the keys that were agreed. Those in use go on, for their counters do.
func (t *transport) protect(mine, theirs media.SDES) error {
	k := t.keyed
	same := k.inUse() && k.mine.Suite == mine.Suite && sameKey(k.mine, mine)
	old := k.theirs
	k.mine, k.theirs = mine, theirs
	if same && t.keys != nil && sameKey(old, theirs) {
		return nil
	}
	ours, _ := readKey(mine)
	other, _ := readKey(theirs)
	fresh, err := newKeys(suiteOf(mine).profile, ours, other)
	if err != nil {
		return err
	}
	if same && t.keys != nil { // the peer alone has another key
		fresh.tx, fresh.flows = t.keys.tx, t.keys.flows
	}
	t.keys, t.secure = fresh, true
	return nil
}

func sameKey(a, b media.SDES) bool {
	x, _ := readKey(a)
	y, _ := readKey(b)
	return subtle.ConstantTimeCompare(x.key, y.key) == 1 && bytes.Equal(x.salt, y.salt)
}

// bare gives up keys in signalling: the media is in the clear, or DTLS protects it.
func (t *transport) bare() {
	if t.keyed.inUse() {
		t.keys, t.secure = nil, false
	}
	t.keyed = nil
}

// keyedBy takes the peer's answer to the keys we offered, if we did.
func (t *transport) keyedBy(answer []media.SDES) (call.Cause, string) {
	if t.keyed == nil {
		return 0, ""
	}
	mine, theirs, ok := t.keyed.chosen(answer)
	if !ok {
		t.bare()
		return 0, ""
	}
	return keyFault(t.protect(mine, theirs))
}

// keyedAfter takes the key of the peer's offer that we choose.
func (t *transport) keyedAfter(theirs media.SDES) (call.Cause, string) {
	if t.keyed == nil {
		t.keyed = &keying{}
	}
	return keyFault(t.protect(t.keyed.answer(theirs), theirs))
}

func keyFault(err error) (call.Cause, string) {
	if err != nil {
		return call.Insecure, "srtp: " + err.Error()
	}
	return 0, ""
}
