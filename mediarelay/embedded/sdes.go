package embedded

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
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
		for _, s := range media.Suites {
			k.offered = append(k.offered, newKey(s.Tag, s.Name))
		}
	}
	return slices.Clone(k.offered)
}

// chosen returns our key that an answer has taken; ok is false if it has taken none of them.
func (k *keying) chosen(answer []media.SDES) (mine, theirs media.SDES, ok bool) {
	if k == nil {
		return mine, theirs, false
	}
	i := media.TakenSDES(k.offered, answer)
	if i < 0 {
		return mine, theirs, false
	}
	return k.offered[i], answer[0], true
}

// answer returns our key in answer to one that was chosen of an offer: the tag is the
// offer's, and the key goes on as long as the peer's does.
func (k *keying) answer(theirs media.SDES) media.SDES {
	if k.inUse() && k.theirs.Suite == theirs.Suite && k.theirs.KeyParams == theirs.KeyParams {
		mine := k.mine
		mine.Tag = theirs.Tag
		return mine
	}
	return newKey(theirs.Tag, theirs.Suite)
}

// pick returns the first key of an offer that can be used (RFC 4568 section 5.1.2).
func pick(offered []media.SDES) (theirs media.SDES, ok bool) {
	i := slices.IndexFunc(offered, media.SDES.Usable)
	if i < 0 {
		return theirs, false
	}
	return offered[i], true
}

// profileOf returns the SRTP of a key's suite, which is one that we know.
func profileOf(k media.SDES) srtp.Profile { return srtp.Named(k.Suite) }

// newKey makes a key of ours.
func newKey(tag int, suite string) media.SDES {
	key, salt := srtp.Named(suite).Lengths()
	secret := make([]byte, key+salt)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return media.NewSDES(tag, strings.ToUpper(suite), secret)
}

// readKey returns the master key and salt of a line that can be used.
func readKey(k media.SDES) master {
	key, salt, _ := k.Master()
	return master{key, salt}
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
	fresh, err := newKeys(profileOf(mine), readKey(mine), readKey(theirs))
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
	x, y := readKey(a), readKey(b)
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
