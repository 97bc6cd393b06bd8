package gateway

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
)

// A TrunkRoute is what routing needs to know of a trunk.
type TrunkRoute struct {
	Name    string
	Domain  string               // the host of Request-URIs to it, for numbers and users of our own domains; empty keeps theirs
	Trusted bool                 // who calls may be asserted to it, and by it (RFC 3325)
	Early   bool                 // callers are answered before it answers (eager mode)
	Numbers translate.NumberForm // how it wants numbers; empty leaves them as they were dialled
	Policy  media.Policy         // of its media
	Refer   bool                 // it is asked to carry out transfers by itself (RFC 3515)
}

// Routes is the router of the shell: addresses by the mapping, permission by the table.
// Its methods may be called from any goroutine.
type Routes struct {
	// Mapping is prepared, and not changed any more.
	Mapping *translate.Mapping
	// Hosts are further names and addresses of the SIP side, which mean Mapping.SIPHost.
	Hosts []string
	// Ports are where the SIP side listens: an address of ours with another port is that of
	// a PBX on the same machine. Empty means that it is not known.
	Ports []int
	// Rooms are the domains of chat rooms (XEP-0045) that SIP users may enter.
	Rooms []string
	// Table says who may call where.
	Table route.Table
	// Trunks are the SIP peers.
	Trunks []TrunkRoute
	// Phones are those that register with us.
	Phones []PhoneRoute
	// Down says that a trunk is known to be down; nil knows of none. Pick returns a number from
	// 0 to n-1, for the shares of trunks; nil is math/rand's.
	Down func(trunk string) bool
	Pick func(n int) int
	// Groups are addresses of ours that several ring at.
	Groups []Group
	// XMPP is the policy of media on the XMPP side.
	XMPP media.Policy
	// NoAnswer is how long a callee may ring; 0 leaves the limit of calls.
	NoAnswer time.Duration
	// Accounts are the users' own, and how they want to be called; nil for none.
	Accounts *account.Book
	// Account is what an account is as a trunk, but for its name and domain; nil if there are none.
	Account func(account.Account) TrunkRoute
	// Names returns what someone on the SIP side is called; nil knows nobody.
	Names func(uri translate.URI) string
	// Persons are those with an address in both worlds; nil if nobody is known. RingPersons says
	// which of their addresses rings when an XMPP user is called who does not say: together,
	// xmpp_first or sip_first; anything else is for the one that is called. RingLead is how long
	// those who are first ring alone.
	Persons     *Persons
	RingPersons string
	RingLead    time.Duration

	// Services are the gateway's own.
	Services Services

	past atomic.Pointer[memory]
}

// A memory is what a router has to remember of calls. One that takes the place of another has
// that of the other.
type memory struct {
	mu      sync.Mutex
	origins *translate.Origins // what URIs the JIDs we made stand for
	rounds  map[Pair]rounds    // calls of one to another that rang elsewhere too
}

// memory returns what is remembered.
func (r *Routes) memory() *memory {
	if m := r.past.Load(); m != nil {
		return m
	}
	r.past.CompareAndSwap(nil, &memory{})
	return r.past.Load()
}

// Succeed has it remember what another router does, whose place it takes.
func (r *Routes) Succeed(before *Routes) { r.past.Store(before.memory()) }

var _ Router = (*Routes)(nil)

// Route implements [Router].
func (r *Routes) Route(q Query) (Target, error) {
	if q.Edge != XMPP {
		return r.toXMPP(q)
	}
	q = r.tried(q)
	t, err := r.toSIP(q)
	for _, way := range t.ways() {
		way.Trial, way.Text = q.Trial, q.Text
	}
	return t, err
}

// toSIP routes the call of an XMPP user.
func (r *Routes) toSIP(q Query) (Target, error) {
	from, err := translate.ParseJID(q.From.JID)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	to, err := translate.ParseJID(q.To)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	uri, known := r.origin(to)
	if !known {
		uri, err = r.Mapping.URIOfJID(to.Bare())
		if s, ok := r.dialledService(q, from, to); ok && (err != nil || !r.taken(uri)) {
			return r.fromUserToService(s, q, from)
		}
		if err != nil {
			return Target{}, addressRefusal(err)
		}
	}
	choice := r.Table.Lookup(from, uri, time.Now())
	if p := r.phoneAt(uri, ""); p != nil && !choice.Denied && (r.Table.Serves(from) || from.Bare().String() == p.Owner) {
		choice.Allowed, choice.Trunks, choice.Rule = true, route.Via(p.Trunk.Name), "own phone"
	}
	if g, grouped := r.group(uri, ""); grouped && q.Calls && !choice.Denied && (choice.Allowed || r.Table.Serves(from)) {
		return r.fromUser(g, q, from, to, choice)
	}
	phone := r.phoneOf(choice)
	if a, trunk, ok := r.line(from); ok && !choice.Denied && phone == nil {
		t := r.overLine(a, trunk, q, from, uri, choice)
		t.To.JID = to.Bare().String()
		t.From.Anonymous = choice.Hide || r.hidden(from)
		t.From.IMPP = impp(from, t.From)
		return t, nil
	}
	if !choice.Allowed {
		return Target{}, &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: "this call is not allowed"}, Log: strings.Join(choice.Why, "; ")}
	}
	sender, err := r.Mapping.SenderURI(from.Bare())
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	who := Party{URI: sender.String(), JID: from.String(), Name: translate.CleanName(q.From.Name), Anonymous: choice.Hide || r.hidden(from)}
	who.IMPP = impp(from, who)
	if phone != nil {
		return r.ring(phone, "", Target{
			From: who,
			To:   Party{JID: to.Bare().String()},
			Hops: q.Hops, Rule: choice.Rule, Why: choice.Why,
		}), nil
	}
	trunks, why, err := r.ways(choice, q.Calls)
	if err != nil {
		return Target{}, err
	}
	all := make([]Target, len(trunks))
	for i, trunk := range trunks {
		all[i] = Target{
			Edge:     SIP,
			From:     who,
			To:       Party{URI: r.dialled(uri, from, choice, trunk).String(), JID: to.Bare().String()},
			Trunk:    trunk.Name,
			Policy:   trunk.Policy,
			Early:    trunk.Early,
			NoAnswer: r.NoAnswer,
			Hops:     q.Hops,
			Rule:     choice.Rule,
			Why:      why,
			Round:    i,
		}
	}
	all[0].Others = all[1:]
	return all[0], nil
}

// impp is what SIP peers may be told of a user: nothing of who does not want to be known.
func impp(user translate.JID, p Party) string {
	if p.Anonymous {
		return ""
	}
	return user.Bare().String()
}

// ways are the trunks that a call goes to, in the order in which they are tried. What is no
// call stays with the first, whatever becomes of it. An error is a [*call.Refusal].
func (r *Routes) ways(choice route.Choice, calls bool) (trunks []TrunkRoute, why []string, err error) {
	down, pick := r.Down, r.Pick
	if !calls || down == nil {
		down = func(string) bool { return false }
	}
	if pick == nil {
		pick = rand.IntN
	}
	if !calls {
		pick = func(int) int { return 0 }
	}
	names, order := route.Order(choice.Trunks, down, pick)
	why = choice.Why
	if len(names) > 1 {
		why = append(slices.Clone(why), order...)
	}
	for _, name := range names {
		i := slices.IndexFunc(r.Trunks, func(t TrunkRoute) bool { return t.Name == name })
		if i < 0 {
			return nil, nil, &call.Refusal{Cause: call.Unreachable, Log: "there is no trunk " + name}
		}
		trunks = append(trunks, r.Trunks[i])
	}
	if len(trunks) == 0 || down(names[0]) {
		return nil, nil, &call.Refusal{Cause: call.Unreachable, Log: "no trunk is up: " + strings.Join(names, ", ")}
	}
	if !calls {
		trunks = trunks[:1]
	}
	return trunks, why, nil
}

// dialled returns what is asked of a trunk: the number in the form that the rule or the trunk
// wants, at the trunk's own domain if it is at one of ours.
func (r *Routes) dialled(uri translate.URI, from translate.JID, choice route.Choice, trunk TrunkRoute) translate.URI {
	own := append(slices.Clone(r.Mapping.TelDomains), r.Mapping.DefaultDomain)
	if !slices.Contains(own, uri.Host) {
		return uri
	}
	if trunk.Domain != "" {
		uri.Host = trunk.Domain
	}
	number := choice.Dial
	if number == "" && !strings.Contains(uri.User, ";") {
		number, _ = r.Mapping.DialPlan.For(from.Domain).Format(choice.Number, trunk.Numbers)
	}
	if number != "" {
		uri.User, uri.Phone = number, true
	}
	return uri
}

// Owner returns who a user with a number or address of its own is at a trunk; false if it has
// none, or there is no such trunk.
func (r *Routes) Owner(user, trunk string) (Party, bool) {
	j, err := translate.ParseJID(user)
	i := slices.IndexFunc(r.Trunks, func(t TrunkRoute) bool { return t.Name == trunk })
	if err != nil || i < 0 {
		return Party{}, false
	}
	uri, ok := r.Mapping.AccountURI[j.Bare()]
	if !ok {
		return Party{}, false
	}
	choice := route.Choice{}
	choice.Number, _ = r.Mapping.DialPlan.For(j.Domain).E164(uri.Number())
	return Party{URI: r.dialled(uri, j, choice, r.Trunks[i]).String(), JID: j.Bare().String()}, true
}

// toXMPP routes a call that came from a trunk or a phone.
func (r *Routes) toXMPP(q Query) (Target, error) {
	if p := r.phone(q.Trunk); p != nil {
		return r.fromPhone(q, p)
	}
	request, err := translate.ParseURI(q.To)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	if q.Hops == 1 { // one hop more would leave nothing (RFC 3261 section 16.6, step 3)
		return Target{}, &call.Refusal{Cause: call.Loop, Detail: call.Detail{Status: 483}}
	}
	if s, ok := r.calledService(q, request, q.Trunk); ok && q.Trunk != "" && !r.taken(request) {
		caller := r.Mapping.Caller(q.Claim, token())
		return r.toService(s, Target{
			From: Party{URI: q.Claim.Identity().URI, JID: caller.JID.String(), Name: caller.Name, Anonymous: caller.Anonymous, Verdict: caller.Verdict},
			Hops: max(0, q.Hops-1), Diverted: q.Diverted,
		}), nil
	}
	group, grouped := r.group(request, q.Trunk)
	to, q, provisioned := r.owner(q)
	var phone *PhoneRoute
	if !provisioned && !grouped {
		phone = r.phoneAt(request, q.Trunk)
	}
	if !provisioned && !grouped && phone == nil {
		if to, provisioned, err = r.target(request, q.Trunk); err != nil {
			return Target{}, addressRefusal(err)
		}
	}
	if !provisioned && !grouped && phone == nil && !r.reachable(to) {
		return Target{}, &call.Refusal{Cause: call.NotFound, Detail: call.Detail{Text: "nobody here has this address"}, Log: "no route lets this user call, so it is not called either"}
	}
	caller := r.Mapping.Caller(q.Claim, token())
	if !caller.URI.IsZero() {
		r.remember(caller.JID, caller.URI)
	}
	if r.Persons != nil && q.Claim.IMPP != (translate.JID{}) && !caller.Anonymous && !caller.Hashed {
		r.Persons.Named(caller.JID.String(), q.Claim.IMPP, to.String())
	}
	if r.Names != nil && !caller.Anonymous {
		if name := translate.CleanName(r.Names(caller.URI)); name != "" {
			caller.Name = name
		}
	}
	if phone != nil {
		to := Party{}
		if !q.Calls {
			to = r.self(phone) // who it is in what it answers
		}
		return r.ring(phone, request.GRUU, Target{
			To:   to,
			From: Party{URI: caller.URI.String(), JID: caller.JID.String(), Name: caller.Name, Anonymous: caller.Anonymous, Verdict: caller.Verdict},
			Hops: max(0, q.Hops-1), Rule: "own phone", Diverted: q.Diverted,
		}), nil
	}
	t := Target{
		Edge: XMPP,
		From: Party{
			URI: q.Claim.Identity().URI, JID: caller.JID.String(), Name: caller.Name,
			Anonymous: caller.Anonymous, Verdict: caller.Verdict,
		},
		To:       Party{URI: q.To, JID: to.String()},
		Policy:   r.XMPP,
		NoAnswer: r.NoAnswer,
		Hops:     max(0, q.Hops-1),
		Rule:     "own user",
		Diverted: q.Diverted,
	}
	if t.Room = slices.Contains(r.Rooms, to.Domain); t.Room {
		return t, nil
	}
	switch {
	case grouped && !provisioned:
		return r.toGroup(group, t)
	case !q.Calls:
		return t, nil // how a user wants to be called is about calls alone
	}
	t.To.Anonymous = r.hidden(to)
	t.To.IMPP = impp(to, t.To)
	on, err := r.wished(q, to, t)
	if err != nil {
		return Target{}, err
	}
	return r.everywhere(q, to, on), nil
}

// reachable reports whether a user may be called who has no number or address of its own.
func (r *Routes) reachable(user translate.JID) bool {
	return r.Table.Serves(user) || slices.Contains(r.Rooms, user.Domain) || slices.Contains(r.Mapping.DirectDomains, user.Domain)
}

// target returns whom a Request-URI means. Any name of ours stands for SIPHost, and a
// short number at ours for the same at the default domain, because a PBX dials its trunk
// by whatever address it was given. A number counts in full. account says that the address
// was provisioned.
func (r *Routes) target(u translate.URI, trunk string) (j translate.JID, account bool, err error) {
	if slices.Contains(r.Hosts, u.Host) {
		u.Host, u.Port = r.Mapping.SIPHost, 0
	}
	if j, ok := r.numbered(u, trunk); ok {
		return j, true, nil
	}
	if u.Host == r.Mapping.SIPHost && u.Scheme == "sip" {
		local := translate.URI{Scheme: "sip", User: u.User, Host: r.Mapping.DefaultDomain}
		if j, ok := r.Mapping.AccountJID[local]; ok {
			return j, true, nil
		}
	}
	j, err = r.Mapping.TargetOf(u)
	if err != nil {
		return translate.JID{}, false, err
	}
	_, account = r.Mapping.AccountURI[j.Bare()]
	return j, account, nil
}

// numbered returns who has a number of ours: the user it was given to, or the range that it
// is in.
func (r *Routes) numbered(u translate.URI, trunk string) (translate.JID, bool) {
	full, ok := r.full(u, trunk)
	if !ok {
		return translate.JID{}, false
	}
	if j, ok := r.Mapping.AccountJID[translate.URI{Scheme: "tel", User: full}]; ok {
		return j, true
	}
	return r.Mapping.InRange(full)
}

// full returns the number in full that a URI of ours has.
func (r *Routes) full(u translate.URI, trunk string) (string, bool) {
	m := r.Mapping
	if u.Scheme == "sips" || u.Scheme != "tel" && u.Host != m.SIPHost && !slices.Contains(m.TelDomains, u.Host) {
		return "", false
	}
	number := u.Number()
	full, ok := m.DialPlan.E164(number)
	if !ok && number != "" && slices.ContainsFunc(r.Trunks, func(t TrunkRoute) bool { return t.Name == trunk && t.Numbers == translate.DigitsForm }) {
		full, ok = m.DialPlan.E164("+" + number)
	}
	return full, ok
}

func (r *Routes) origin(j translate.JID) (translate.URI, bool) {
	m := r.memory()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.origins == nil {
		return translate.URI{}, false
	}
	return m.origins.URI(j, time.Now())
}

func (r *Routes) remember(j translate.JID, u translate.URI) {
	m := r.memory()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.origins == nil {
		m.origins = translate.NewOrigins(translate.OriginLimits{})
	}
	m.origins.Put(j, u, time.Now())
}

// addressRefusal gives an error of an address its cause and status.
func addressRefusal(err error) error {
	var a *translate.AddressError
	if errors.As(err, &a) {
		text := a.Problem
		if a.Warning != "" {
			text = a.Warning
		}
		return &call.Refusal{Cause: a.Cause, Detail: call.Detail{Status: a.Status, Text: text}}
	}
	return &call.Refusal{Cause: call.BadRequest, Detail: call.Detail{Text: fmt.Sprint(err)}}
}

// token returns a number that tells anonymous callers apart.
func token() uint32 {
	var b [4]byte
	_, _ = cryptorand.Read(b[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint32(b[:])
}
