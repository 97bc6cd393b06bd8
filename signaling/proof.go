package signaling

import (
	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"sipxmppgw/signaling/stack"
)

// A proof is who we are in a row of requests to one trunk that are no call's. Only the trunk
// itself is answered, for its realm alone, and once; twice if the nonce had become stale.
type proof struct {
	header  string // Authorization or Proxy-Authorization; empty while nothing was asked
	asked   challenge
	given   bool // the last request had it
	renewed bool // for a nonce that had become stale
}

// challenged keeps the topmost challenge that we can answer, and says whether to send the
// request again.
func (p *proof) challenged(t *Trunk, to stack.Target, res *sip.Response) bool {
	if t.Username == "" || !t.is(to.Host) {
		return false
	}
	from, header := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		from, header = "Proxy-Authenticate", "Proxy-Authorization"
	}
	for _, v := range values(res, from) {
		c, err := digest.ParseChallenge(v)
		if err != nil || !answerable(c) || t.Realm != "" && c.Realm != t.Realm {
			continue
		}
		if p.given && (!c.Stale || p.renewed) {
			return false // it has our credentials and does not want them
		}
		p.renewed = p.given
		p.header, p.asked = header, challenge{Challenge: *c}
		return true
	}
	return false
}

// prove gives a request our credentials, where they were asked for.
func (p *proof) prove(t *Trunk, to stack.Target, req *sip.Request) {
	p.given = false
	if p.header == "" || !t.is(to.Host) {
		return
	}
	p.asked.count++
	cred, err := digest.Digest(&p.asked.Challenge, digest.Options{
		Method: string(req.Method), URI: req.Recipient.String(), Count: p.asked.count, Username: t.Username, Password: t.Password,
	})
	if err != nil {
		return // answerable has looked at all that can be wrong
	}
	req.AppendHeader(header(p.header, cred.String()))
	p.given = true
}

// accepted says that a request was: the next challenge may be answered anew.
func (p *proof) accepted() { p.given, p.renewed = false, false }
