package signaling

import (
	"strings"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"sipxmppgw/signaling/stack"
)

// proofs are the ways of a response to ask who we are, and the header that says it.
var proofs = [...]struct {
	status      int
	asks, gives string
}{
	{401, "WWW-Authenticate", "Authorization"},
	{407, "Proxy-Authenticate", "Proxy-Authorization"},
}

// A proof is who we are in a row of requests to a trunk: a challenge of each way, without a
// nonce while there was none. Only the trunk itself is answered, for its realm alone
// (RELIABILITY 4, row 8), and once; twice if the nonce had become stale.
type proof [len(proofs)]demand

// A demand is a challenge, answered in each request that follows (RFC 3261 section 22.3).
type demand struct {
	digest.Challenge
	count int // of the requests that have answered it
}

// given is what a request has said of us, and to whom.
type given struct {
	to      stack.Target
	proven  bool // it has credentials
	renewed bool // for a nonce that had become stale
}

// prove gives a request our credentials, where they were asked for.
func (p *proof) prove(t *Trunk, to stack.Target, req *sip.Request) given {
	g := given{to: to}
	if !t.is(to.Host) {
		return g
	}
	user, password := t.credentials()
	for i := range p {
		c := &p[i]
		if c.Nonce == "" {
			continue
		}
		g.renewed = g.renewed || c.Stale && c.count == 0
		c.count++
		cred, err := digest.Digest(&c.Challenge, digest.Options{
			Method: string(req.Method), URI: req.Recipient.String(), Count: c.count, Username: user, Password: password,
		})
		if err != nil {
			continue // answerable has looked at all that can be wrong
		}
		req.AppendHeader(header(proofs[i].gives, cred.String()))
		g.proven = true
	}
	return g
}

// challenged takes the response to a request that had those, and says whether to send it
// again.
func (p *proof) challenged(t *Trunk, g given, res *sip.Response) bool {
	i, c := topmost(t, g.to, res)
	if c == nil || g.proven && p[i].Nonce != "" && (!c.Stale || g.renewed) {
		return false // it has our credentials and does not want them
	}
	p.keep(i, c)
	return true
}

// keep has a challenge answered from now on. The requests that have answered its nonce count
// on, but not of one that is said to be stale.
func (p *proof) keep(way int, c *digest.Challenge) {
	if p[way].Nonce != c.Nonce || c.Stale {
		p[way].count = 0
	}
	p[way].Challenge = *c
}

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
	return digest.CanDigest(c) && c.Nonce != ""
}
