package signaling

import (
	"strings"
	"sync"
)

// A purse is what a trunk has asked us before: the next request answers that at once, which
// spares it a refusal and everyone a round trip (RFC 7616 section 3.6). A nil purse is empty.
type purse struct {
	mu   sync.Mutex
	last proof
	vain int // nonces in a row that were good once only
}

// maxVain is how many nonces in a row must have been good once only for a trunk to be asked by
// every request anew: it gives each a nonce of its own, and might count what it refuses.
const maxVain = 3

// known returns what the next request can answer before it is asked.
func (u *purse) known() proof {
	if u == nil {
		return proof{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.vain >= maxVain {
		return proof{}
	}
	p := u.last
	for i := range p {
		p[i].used, p[i].early, p[i].Stale = false, true, false
	}
	return p
}

// put keeps a challenge that is being answered, or the nonce that comes after it.
func (u *purse) put(way int, d demand) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch old := u.last[way]; {
	case u.vain >= maxVain:
	case old.Nonce == "" || old.Nonce == d.Nonce:
	case old.count.Load() == 2 && !d.Stale: // one that was asked for, and one that was not
		u.vain++
	default:
		u.vain = 0
	}
	u.last[way] = d
}

// empty forgets all, when it is not good any more.
func (u *purse) empty() {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last = proof{}
}

// infoValue returns a value of an Authentication-Info, without its quotes.
func infoValue(s, name string) (string, bool) {
	for s != "" {
		var word string
		word, s, _ = strings.Cut(s, "=")
		word = strings.Trim(word, " \t,")
		s = strings.TrimLeft(s, " \t")
		var v string
		if rest, quoted := strings.CutPrefix(s, `"`); quoted {
			v, s, _ = strings.Cut(rest, `"`)
		} else {
			v, s, _ = strings.Cut(s, ",")
		}
		if strings.EqualFold(word, name) {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}
