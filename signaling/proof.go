package signaling

import (
	"strings"
	"sync/atomic"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"sipxmppgw/signaling/stack"
)

// proofs are the ways of a response to ask who we are, the header that says it, and the one in
// which a response says what comes next (RFC 7616 section 3.5).
var proofs = [...]struct {
	status            int
	asks, gives, next string
}{
	{401, "WWW-Authenticate", "Authorization", "Authentication-Info"},
	{407, "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info"},
}

// A proof is who we are in a row of requests to a trunk: a challenge of each way, without a
// nonce while there was none. Only the trunk itself is answered, for its realm alone
// (RELIABILITY 4, row 8), and once; twice if the nonce had become stale. A row begins with what
// the trunk has asked before, see [purse].
type proof [len(proofs)]demand

// A demand is a challenge, answered in each request that follows (RFC 3261 section 22.3).
type demand struct {
	digest.Challenge
	count *atomic.Uint32 // of the requests that have answered it; of all that share its nonce
	used  bool           // in this row
	early bool           // nobody has asked for it in this row
}

// given is what a request has said of us, and to whom.
type given struct {
	to      stack.Target
	proven  bool // it has credentials that were asked for
	renewed bool // for a nonce that had become stale
}

// prove gives a request our credentials, where they were asked for, or where the trunk will ask
// for them as it has before (RFC 7616 section 3.6).
func (p *proof) prove(t *Trunk, to stack.Target, req *sip.Request) given {
	g := given{to: to}
	if !t.is(to.Host) {
		return g
	}
	if p[0].Nonce == "" && p[1].Nonce == "" {
		*p = t.purse.known()
	}
	user, password := t.credentials()
	for i := range p {
		c := &p[i]
		if c.Nonce == "" {
			continue
		}
		g.renewed = g.renewed || c.Stale && !c.used && !c.early
		c.used = true
		cred, err := digest.Digest(&c.Challenge, digest.Options{
			Method: string(req.Method), URI: req.Recipient.String(), Count: int(c.count.Add(1)), Username: user, Password: password,
		})
		if err != nil {
			continue // answerable has looked at all that can be wrong
		}
		req.AppendHeader(header(proofs[i].gives, cred.String()))
		g.proven = g.proven || !c.early
	}
	return g
}

// challenged takes the response to a request that had those, and says whether to send it
// again.
func (p *proof) challenged(t *Trunk, g given, res *sip.Response) bool {
	i, c := topmost(t, g.to, res)
	if c == nil || g.proven && p[i].Nonce != "" && !p[i].early && (!c.Stale || g.renewed) {
		if res.StatusCode == 401 || res.StatusCode == 407 {
			t.purse.empty()
		}
		return false // it has our credentials and does not want them
	}
	p.keep(i, c)
	t.purse.put(i, p[i])
	return true
}

// keep has a challenge answered from now on. The requests that have answered its nonce count
// on, but not of one that is said to be stale.
func (p *proof) keep(way int, c *digest.Challenge) {
	d := demand{Challenge: *c, count: p[way].count}
	if p[way].Nonce != c.Nonce || c.Stale || d.count == nil {
		d.count = new(atomic.Uint32)
	}
	p[way] = d
}

// hear takes what a success says of the nonce to be used next, for others too that have a purse.
func (p *proof) hear(u *purse, res *sip.Response) {
	for i, w := range proofs {
		v, _ := infoValue(value(res, w.next), "nextnonce")
		if p[i].Nonce == "" || v == "" || len(v) > maxNonce {
			continue
		}
		c := p[i].Challenge
		c.Nonce, c.Stale = v, false
		early := p[i].early
		p.keep(i, &c)
		p[i].early = early
		u.put(i, p[i])
	}
}

// maxNonce is how long a nonce may be that is kept.
const maxNonce = 1024

// topmost is the first challenge of a response that we can answer (RFC 8760 section 2.4), and
// its way; nil if there is none.
func topmost(t *Trunk, to stack.Target, res *sip.Response) (way int, c *digest.Challenge) {
	if user, _ := t.credentials(); user == "" || !t.is(to.Host) {
		return 0, nil
	}
	for i, w := range proofs {
		if w.status != res.StatusCode {
			continue
		}
		for _, v := range values(res, w.asks) {
			c, err := digest.ParseChallenge(v)
			if err == nil && answerable(c) && (t.Realm == "" || c.Realm == t.Realm) {
				return i, c
			}
		}
	}
	return 0, nil
}

// answerable reports whether we have the algorithm of a challenge, with qop auth or none.
func answerable(c *digest.Challenge) bool {
	for i := range c.QOP {
		c.QOP[i] = strings.ToLower(strings.TrimSpace(c.QOP[i]))
	}
	if len(c.QOP) > 0 {
		if !c.SupportsQOP("auth") {
			return false
		}
		c.QOP = []string{"auth"}
	}
	return digest.CanDigest(c) && c.Nonce != "" && len(c.Nonce) <= maxNonce
}
