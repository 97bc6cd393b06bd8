package gateway

import (
	"slices"
	"strings"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
)

// A PhoneRoute is a phone that registers with the gateway itself: a SIP peer at the end of a
// trunk of its own, which calls as the user who owns it.
type PhoneRoute struct {
	User   string // its address is sip:User at our own host
	Owner  string // bare JID
	Number string // in full, that calls reach it by; empty if it has none
	Trunk  TrunkRoute
}

// phone returns the phone whose trunk that is, or nil.
func (r *Routes) phone(trunk string) *PhoneRoute {
	if i := slices.IndexFunc(r.Phones, func(p PhoneRoute) bool { return p.Trunk.Name == trunk }); trunk != "" && i >= 0 {
		return &r.Phones[i]
	}
	return nil
}

// phoneOf returns the phone that a rule leads to, or nil.
func (r *Routes) phoneOf(choice route.Choice) *PhoneRoute {
	if len(choice.Trunks) != 1 {
		return nil
	}
	return r.phone(choice.Trunks[0].Name)
}

// phoneAt returns the phone that an address of ours is for, or nil. Its user name is good at our
// host, and where short names are at home.
func (r *Routes) phoneAt(u translate.URI, trunk string) *PhoneRoute {
	m := r.Mapping
	own := u.Host == m.SIPHost || u.Host == m.DefaultDomain || slices.Contains(r.Hosts, u.Host)
	if len(r.Phones) == 0 || u.Scheme != "tel" && !own && !slices.Contains(m.TelDomains, u.Host) {
		return nil
	}
	number := r.inFull(u, trunk)
	for i := range r.Phones {
		p := &r.Phones[i]
		if own && u.Scheme != "tel" && u.User == p.User || p.Number != "" && number == p.Number {
			return p
		}
	}
	return nil
}

// inFull is the number of an address with its country code; empty if it has none.
func (r *Routes) inFull(u translate.URI, trunk string) string {
	number := u.Number()
	full, ok := r.Mapping.DialPlan.E164(number)
	if !ok && number != "" && slices.ContainsFunc(r.Trunks, func(t TrunkRoute) bool { return t.Name == trunk && t.Numbers == translate.DigitsForm }) {
		full, _ = r.Mapping.DialPlan.E164("+" + number)
	}
	return full
}

// ring completes a target whose caller is known to one on a phone, or on the one of its
// places that a GRUU names (RFC 5627).
func (r *Routes) ring(p *PhoneRoute, gruu string, t Target) Target {
	t.Edge, t.Trunk, t.Policy, t.NoAnswer = SIP, p.Trunk.Name, p.Trunk.Policy, r.NoAnswer
	t.To.URI = translate.URI{Scheme: "sip", User: p.User, Host: r.Mapping.SIPHost, GRUU: gruu}.String()
	// What the phone shows is what it calls and writes back to, and it may ask the host itself:
	// numbers belong to us there, not to a trunk.
	if u, err := translate.ParseURI(t.From.URI); err == nil && u.Scheme == "sip" && u.Host == r.Mapping.DefaultDomain {
		u.Host = r.Mapping.SIPHost
		t.From.URI = u.String()
	}
	return t
}

// self is who a phone is in what it writes, and to those whom it watches: the address that
// leads back to it, where a call of its own comes from its owner.
func (r *Routes) self(p *PhoneRoute) Party {
	party := Party{URI: translate.URI{Scheme: "sip", User: p.User, Host: r.Mapping.SIPHost}.String()}
	for _, host := range []string{r.Mapping.DefaultDomain, r.Mapping.SIPHost} { // the short JID, if it has one
		u := translate.URI{Scheme: "sip", User: p.User, Host: host}
		if j, err := r.Mapping.JIDOfURI(u); err == nil && r.phoneAt(u, "") == p {
			party.JID = j.Bare().String()
			break
		}
	}
	return party
}

// fromPhone routes what a phone dials, writes or asks: it calls as its owner, whoever it says it
// is, and writes as itself. The permission for a trunk is that of the owner.
func (r *Routes) fromPhone(q Query, p *PhoneRoute) (Target, error) {
	request, err := translate.ParseURI(q.To)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	owner, err := translate.ParseJID(p.Owner)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	self, err := r.Mapping.SenderURI(owner.Bare())
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	if s, ok := r.calledService(q, request, ""); ok && !r.taken(request) {
		return r.toService(s, Target{From: Party{URI: self.String(), JID: owner.Bare().String()}, Hops: max(0, q.Hops-1)}), nil
	}
	own := Query{Edge: SIP, To: q.To, Hops: q.Hops, Calls: q.Calls, Claim: translate.Claim{From: translate.NameAddr{URI: self.String()}}, Diverted: q.Diverted}
	user, provisioned, err := r.target(request, "")
	if r.phoneAt(request, "") != nil || err == nil && (provisioned || r.reachable(user)) {
		t, err := r.toXMPP(own)
		if err == nil && !q.Calls {
			t.From = r.self(p)
		}
		return t, err
	}
	if q.Hops == 1 {
		return Target{}, &call.Refusal{Cause: call.Loop, Detail: call.Detail{Status: 483}}
	}
	text := q.To
	if request.Host == r.Mapping.SIPHost || slices.Contains(r.Hosts, request.Host) {
		text, _, _ = strings.Cut(request.User, ";")
	}
	to, err := r.Mapping.Typed(text, owner.Domain)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	t, err := r.toSIP(Query{Edge: XMPP, From: Party{JID: owner.Bare().String()}, To: to.String(), Hops: max(0, q.Hops-1), Calls: q.Calls})
	t.Early, t.Diverted = false, q.Diverted
	for i := range t.Others {
		t.Others[i].Early, t.Others[i].Diverted = false, q.Diverted
	}
	return t, err
}
