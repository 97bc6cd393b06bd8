package rtpengine

import (
	"slices"
	"strings"

	"sipxmppgw/gateway/media"
)

// usable returns the keys that can be used.
func usable(keys []media.SDES) (good []media.SDES) {
	for _, k := range keys {
		if k.Usable() {
			good = append(good, k)
		}
	}
	return good
}

// offered returns what is offered of the keys that rtpengine has made: one of each suite we know,
// the best first, or that of the suite in use alone, so that it goes on.
func offered(made []media.SDES, inUse string) (keys []media.SDES) {
	for _, s := range media.Suites {
		i := slices.IndexFunc(made, func(k media.SDES) bool { return strings.EqualFold(k.Suite, s.Name) })
		if i >= 0 && (inUse == "" || strings.EqualFold(inUse, s.Name)) {
			keys = append(keys, made[i])
		}
	}
	return keys
}

// keys returns those of the peer that protect its audio; nil if they do not.
func (e *end) keys() []media.SDES {
	i := e.peer.Live(media.Audio)
	if i < 0 || e.dtls() || !e.policy.SDES {
		return nil
	}
	return usable(e.peer.Streams[i].Transport.SDES)
}

// inUse is the suite that was agreed with the peer; empty for none. Whoever answers has one key.
func (e *end) inUse() string {
	theirs, i := e.keys(), e.ours.Live(media.Audio)
	switch {
	case theirs == nil || i < 0 || !e.live():
		return ""
	case len(e.ours.Streams[i].Transport.SDES) == 1:
		return e.ours.Streams[i].Transport.SDES[0].Suite
	}
	return theirs[0].Suite
}

// keyed leaves of rtpengine's keys those that the peer is told, in an offer or in the answer to
// said. text says what is wrong with them.
func (e *end) keyed(t *media.Transport, said *media.Stream) (text string) {
	var made []media.SDES
	for _, k := range t.SDES {
		if key, salt, ok := k.Master(); ok {
			// COMPAT(baresip 1.0.0): reads another key where the padding is missing, which rtpengine
			// leaves out (RFC 4648 section 3.2 wants it).
			made = append(made, media.NewSDES(k.Tag, k.Suite, slices.Concat(key, salt)))
		}
	}
	t.SDES = nil
	switch {
	case len(t.DTLS.Trusted()) > 0, !e.policy.SDES:
	case said == nil:
		if t.SDES = offered(made, e.inUse()); t.SDES == nil && !e.policy.ICE {
			return "rtpengine offers no key"
		}
	case len(usable(said.Transport.SDES)) > 0:
		if len(made) != 1 {
			return "rtpengine has no key in answer to one"
		}
		t.SDES = made
	}
	return ""
}
