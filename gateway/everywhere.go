package gateway

import (
	"strings"
	"time"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/translate"
)

// ringings are the orders in which the addresses of one person may ring, by the words of the
// configuration and of users. Any other word is for the address alone that is called.
var ringings = map[string]RingOrder{"together": Together, "xmpp_first": XMPPFirst, "sip_first": SIPFirst}

// maxElsewhere is how many other addresses of a person ring.
const maxElsewhere = 3

// everywhere has a call to a user ring at the SIP addresses too that are known to be the same
// person's (package person), as far as the user may call there. Whoever calls from one of them is
// not called back.
func (r *Routes) everywhere(q Query, to translate.JID, t Target) Target {
	if r.Persons == nil || !q.Calls || t.Edge != XMPP {
		return t
	}
	user, how := to.Bare().String(), r.RingPersons
	if r.Accounts != nil {
		if wish := r.Accounts.Wishes(user).Ring; wish != "" {
			how = wish
		}
	}
	order, ok := ringings[how]
	if !ok {
		return t
	}
	if bareJID(t.From.JID) == user || r.often(Pair{User: user, Contact: bareJID(t.From.JID)}, time.Now()) {
		return t
	}
	all := []Target{t}
	all[0].Person = user
	for _, contact := range r.Persons.ContactsOf(user) {
		if contact == bareJID(t.From.JID) || len(all) > maxElsewhere {
			continue
		}
		j, err := translate.ParseJID(contact)
		if err != nil {
			continue
		}
		if u, err := r.Mapping.URIOfJID(j); err != nil || r.ours(u) {
			continue // it would come back here
		}
		on, err := r.toSIP(Query{Edge: XMPP, From: Party{JID: user}, To: contact, Hops: t.Hops, Calls: true})
		if err != nil {
			continue // the user may not call there, or no trunk is up
		}
		other := all[0]
		other.Edge, other.Trunk, other.Policy = SIP, on.Trunk, on.Policy
		other.To = Party{URI: on.To.URI, JID: contact}
		other.Rule = "own user, elsewhere"
		if strings.HasPrefix(on.Trunk, account.Prefix) { // its server takes calls of the account alone
			other.From = on.From
			other.From.Name, other.From.Anonymous, other.From.IMPP = t.From.Name, t.From.Anonymous, ""
		}
		all = append(all, other)
	}
	if len(all) == 1 {
		return t
	}
	return Ring(order, r.RingLead, all...)
}

// A call may come back: a PBX forwards the telephone to the user who rings at it. So one caller
// has few calls to one user ring elsewhere in a minute.
const (
	maxRounds = 4
	roundsIn  = time.Minute
	maxPairs  = 4096
)

// rounds are how often that was, since when.
type rounds struct {
	since time.Time
	times int
}

// often counts a call, and reports whether it is one too many.
func (r *Routes) often(p Pair, now time.Time) bool {
	m := r.memory()
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.rounds[p]
	if now.Sub(one.since) > roundsIn {
		one = rounds{since: now}
	}
	one.times++
	if m.rounds == nil || len(m.rounds) >= maxPairs {
		m.rounds = map[Pair]rounds{}
	}
	m.rounds[p] = one
	return one.times > maxRounds
}

// ours reports whether a SIP address is that of a user or a group of ours.
func (r *Routes) ours(u translate.URI) bool {
	_, provisioned, err := r.target(u, "")
	_, grouped := r.group(u, "")
	return err == nil && provisioned || grouped
}

// Single reports whether nobody but the callee, wherever it is, can answer the call: so that
// the caller may be told who that is before it is known.
func (t Target) Single() bool {
	for _, o := range t.Others {
		if o.Person == "" || o.Person != bareJID(t.To.JID) && o.Person != t.Person {
			return false
		}
	}
	return t.onBusy == nil && t.onNoAnswer == nil
}
