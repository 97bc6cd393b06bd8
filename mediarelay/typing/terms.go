package typing

import (
	"crypto/rand"
	"slices"
	"strings"

	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
	"sipxmppgw/mediarelay/text"
)

// Payload types that we offer: those of the examples in RFC 4103, which some phones send whatever is said.
const (
	textType = 98
	redType  = 100
)

// newKey makes a key of ours.
func newKey(tag int, suite string) media.SDES {
	key, salt := srtp.Named(suite).Lengths()
	secret := make([]byte, key+salt)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return media.NewSDES(tag, strings.ToUpper(suite), secret)
}

// Allowed reports whether a policy has room for text at all: what DTLS or ICE protects and finds
// is not done for it, so a leg with those has none.
func Allowed(p media.Policy) bool { return !p.DTLS && !p.ICE }

// offer is what a peer is told that is called. Keys go with it as the policy says; with those, a
// stream that may be clear is offered as such (RFC 8643).
func offer(p media.Policy) media.Typed {
	t := media.Typed{Profile: media.AVP, Direction: media.SendRecv, Text: textType, Red: redType, Generations: text.Generations}
	if !p.SDES {
		return t
	}
	if !p.Clear {
		t.Profile = media.SAVP
	}
	for _, s := range media.Suites {
		t.SDES = append(t.SDES, newKey(s.Tag, s.Name))
	}
	return t
}

// answer is what a peer is told that offers; ok is false if the policy does not allow it. Was is
// what it was told before, so that a key goes on as long as the peer's does.
func answer(p media.Policy, theirs media.Typed, was, before *media.Typed) (ours media.Typed, ok bool) {
	ours = media.Typed{
		Profile: theirs.Profile, Direction: media.AnswerDirection(theirs.Direction, media.SendRecv),
		Text: theirs.Text, Red: theirs.Red, Generations: theirs.Generations,
	}
	i := -1
	if p.SDES {
		i = slices.IndexFunc(theirs.SDES, media.SDES.Usable)
	}
	if i >= 0 {
		key := theirs.SDES[i]
		if was != nil && before != nil && len(was.SDES) == 1 && len(before.SDES) > 0 && slices.Contains(before.SDES, key) && strings.EqualFold(was.SDES[0].Suite, key.Suite) {
			mine := was.SDES[0]
			mine.Tag = key.Tag
			ours.SDES = []media.SDES{mine}
		} else {
			ours.SDES = []media.SDES{newKey(key.Tag, key.Suite)}
		}
		return ours, true
	}
	guarded := media.Transport{Profile: theirs.Profile, SDES: theirs.SDES}.Guarded()
	return ours, !guarded && (!p.SDES || p.Clear)
}

// agreed returns the keys of both after an answer to our offer; ok is false if it takes none where
// one is wanted, or is not what was offered.
func agreed(p media.Policy, ours, theirs media.Typed) (mine, peers media.SDES, ok bool) {
	if len(theirs.SDES) == 0 {
		return mine, peers, theirs.Profile == media.AVP && (len(ours.SDES) == 0 || p.Clear)
	}
	i := media.TakenSDES(ours.SDES, theirs.SDES)
	if i < 0 {
		return mine, peers, false
	}
	return ours.SDES[i], theirs.SDES[0], true
}
