package gateway

import (
	"slices"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
)

// A Group is members that one address of ours rings at.
type Group struct {
	Address translate.URI // tel, with the number in full, or sip at the default domain
	Members []Member
	Order   RingOrder
	Lead    time.Duration // how long those who ring first do so alone
	// Fallback is rung when nobody has taken the call; empty for nobody. NoAnswer is how long
	// the members ring before; 0 is the general time.
	Fallback []Member
	NoAnswer time.Duration
	// OnePerson says that all are the telephones of one person: who declines on one has
	// declined.
	OnePerson bool
}

// A Member is an XMPP user, a SIP address behind a trunk, or a phone of ours, which has a trunk
// of its own.
type Member struct {
	JID   translate.JID
	URI   translate.URI
	Trunk string // empty for an XMPP user
}

// A RingOrder says who rings when, of several.
type RingOrder uint8

// The orders.
const (
	Together  RingOrder = iota
	XMPPFirst           // XMPP users, and SIP addresses after them
	SIPFirst
	InTurn // one after the other; those before go on ringing
)

// Ring makes one target of several, of which there must be one: the first that answers has the
// call. lead is how long those who are first ring alone.
func Ring(order RingOrder, lead time.Duration, targets ...Target) Target {
	all := slices.Clone(targets)
	for i := range all {
		t := &all[i]
		switch {
		case order == InTurn:
			t.Round = i
		case order == XMPPFirst && t.Edge == SIP, order == SIPFirst && t.Edge == XMPP:
			t.Round = 1
		default:
			t.Round = 0
		}
		t.Lead = lead
	}
	slices.SortStableFunc(all, func(a, b Target) int { return a.Round - b.Round })
	first := all[0]
	first.Others = all[1:]
	return first
}

// Unanswered returns where a call goes that nobody answers, and after which time; ok is false
// if it goes nowhere.
func (t Target) Unanswered() (to Target, after time.Duration, ok bool) {
	if t.onNoAnswer == nil {
		return Target{}, 0, false
	}
	to, err := t.onNoAnswer()
	after = t.NoAnswer
	if t.patience > 0 {
		after = t.patience
	}
	return to, after, err == nil
}

// group returns the group that a Request-URI means.
func (r *Routes) group(u translate.URI, trunk string) (Group, bool) {
	if len(r.Groups) == 0 {
		return Group{}, false
	}
	if slices.Contains(r.Hosts, u.Host) {
		u.Host, u.Port = r.Mapping.SIPHost, 0
	}
	full, isNumber := r.full(u, trunk)
	for _, g := range r.Groups {
		switch {
		case isNumber && g.Address.Scheme == "tel" && g.Address.User == full:
			return g, true
		case u.Scheme == "sip" && g.Address.Scheme == "sip" && g.Address.User == u.User &&
			(u.Host == g.Address.Host || u.Host == r.Mapping.SIPHost):
			return g, true
		}
	}
	return Group{}, false
}

// fromUser is the call of an XMPP user to a group. Its members see the same of the user, whichever
// world they are in: to other users, what stands for the user on the SIP side.
func (r *Routes) fromUser(g Group, q Query, from, to translate.JID, choice route.Choice) (Target, error) {
	sender, err := r.Mapping.SenderURI(from.Bare())
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	shown := r.Mapping.Caller(translate.Claim{From: translate.NameAddr{URI: sender.String()}}, token())
	if !shown.URI.IsZero() {
		r.remember(shown.JID, shown.URI)
	}
	like := Target{
		Edge: XMPP, Caller: from.String(), Policy: r.XMPP, NoAnswer: r.NoAnswer, Hops: q.Hops, Why: choice.Why,
		From: Party{URI: sender.String(), JID: shown.JID.String(), Name: translate.CleanName(q.From.Name), Anonymous: choice.Hide || r.hidden(from)},
		To:   Party{URI: g.Address.String(), JID: to.Bare().String()},
	}
	self := func(m Member) bool { return m.Trunk == "" && m.JID.Bare() == from.Bare() }
	g.Members, g.Fallback = slices.DeleteFunc(slices.Clone(g.Members), self), slices.DeleteFunc(slices.Clone(g.Fallback), self)
	return r.toGroup(g, like)
}

// toGroup is a call to a group; like is how a call from there goes to one user.
func (r *Routes) toGroup(g Group, like Target) (Target, error) {
	t, ok := r.ringAt(g, g.Members, like)
	last, some := r.ringAt(g, g.Fallback, like)
	switch {
	case !ok && !some:
		return Target{}, &call.Refusal{Cause: call.Unavailable, Detail: call.Detail{Text: "do not disturb"}, Log: "nobody of the group wants to be disturbed"}
	case !ok:
		return last, nil
	case some:
		then := func() (Target, error) { return last, nil }
		t.onBusy, t.onNoAnswer = then, then
	}
	if g.NoAnswer > 0 {
		t.patience = g.NoAnswer
	}
	return t, nil
}

// ringAt is a call to members of a group. It is false if there is none who may be disturbed.
func (r *Routes) ringAt(g Group, members []Member, like Target) (Target, bool) {
	var all []Target
	for _, m := range members {
		t := like
		t.Rule = "group " + g.Address.User
		t.Person = g.Address.User
		if m.Trunk == "" {
			if r.Accounts != nil && r.Accounts.Wishes(m.JID.String()).Quiet {
				continue
			}
			t.To.JID = m.JID.String()
			if !g.OnePerson {
				t.Person = t.To.JID
			}
			all = append(all, t)
			continue
		}
		if p := r.phone(m.Trunk); p != nil {
			t = r.ring(p, "", t)
			t.To.JID = ""
			if !g.OnePerson {
				t.Person = t.To.URI
			}
			all = append(all, t)
			continue
		}
		i := slices.IndexFunc(r.Trunks, func(t TrunkRoute) bool { return t.Name == m.Trunk })
		if i < 0 {
			continue // the configuration was checked
		}
		trunk := r.Trunks[i]
		t.Edge, t.Trunk, t.Policy = SIP, trunk.Name, trunk.Policy
		choice := route.Choice{}
		choice.Number, _ = r.Mapping.DialPlan.E164(m.URI.Number())
		t.To = Party{URI: r.dialled(m.URI, translate.JID{}, choice, trunk).String()}
		if j, err := r.Mapping.JIDOfURI(m.URI); err == nil {
			t.To.JID = j.Bare().String()
		}
		if !g.OnePerson {
			t.Person = t.To.URI
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return Target{}, false
	}
	return Ring(g.Order, g.Lead, all...), true
}
