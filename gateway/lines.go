package gateway

import (
	"slices"
	"strings"
	"time"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
)

// line returns the trunk that a user's own account is (S-ACCOUNT, INTERWORKING 1.1). It pays
// for its calls itself, so that no rule has to let them through; but one may deny them.
func (r *Routes) line(user translate.JID) (account.Account, TrunkRoute, bool) {
	if r.Accounts == nil {
		return account.Account{}, TrunkRoute{}, false
	}
	own := r.Accounts.Accounts(user.Bare().String())
	if len(own) == 0 {
		return account.Account{}, TrunkRoute{}, false
	}
	var trunk TrunkRoute
	if r.Account != nil {
		trunk = r.Account(own[0])
	}
	trunk.Name, trunk.Domain = own[0].Trunk(), own[0].Domain
	return own[0], trunk, true
}

// overLine routes a call over a user's own account.
func (r *Routes) overLine(a account.Account, trunk TrunkRoute, q Query, from translate.JID, uri translate.URI, choice route.Choice) Target {
	uri = r.dialled(uri, from, choice, trunk)
	name := a.Name
	if name == "" {
		name = translate.CleanName(q.From.Name)
	}
	return Target{
		Edge:     SIP,
		From:     Party{URI: a.AOR(), JID: from.String(), Name: name},
		To:       Party{URI: uri.String()},
		Trunk:    trunk.Name,
		Policy:   trunk.Policy,
		Early:    trunk.Early,
		NoAnswer: r.NoAnswer,
		Hops:     q.Hops,
		Rule:     "own account",
		Why:      append(choice.Why, "the caller has an account of their own"),
	}
}

// owner returns whose account a trunk is, and the query as if the number it is from were one
// of ours: so that who calls is the same contact over every trunk.
func (r *Routes) owner(q Query) (translate.JID, Query, bool) {
	if r.Accounts == nil {
		return translate.JID{}, q, false
	}
	a, ok := r.Accounts.Owner(q.Trunk)
	if !ok {
		return translate.JID{}, q, false
	}
	j, err := translate.ParseJID(a.Owner)
	if err != nil {
		return translate.JID{}, q, false
	}
	u, err := translate.ParseURI(q.Claim.From.URI)
	if err == nil && u.Host == a.Domain && len(r.Mapping.TelDomains) > 0 {
		if full, ok := r.Mapping.DialPlan.For(j.Domain).E164(u.Number()); ok {
			q.Claim.From.URI = translate.URI{Scheme: "sip", User: full, Host: r.Mapping.TelDomains[0], Phone: true}.String()
		}
	}
	return j, q, true
}

// hidden reports whether a user does not want to be shown.
func (r *Routes) hidden(user translate.JID) bool {
	return r.Accounts != nil && r.Accounts.Wishes(user.Bare().String()).Hidden
}

// wished changes where a call for a user goes as the user wants it.
func (r *Routes) wished(q Query, to translate.JID, t Target) (Target, error) {
	if r.Accounts == nil {
		return t, nil
	}
	w := r.Accounts.Wishes(to.Bare().String())
	if w.Always != "" {
		return r.forwarded(q, to, t, w.Always, "unconditional")
	}
	if w.Quiet {
		return Target{}, &call.Refusal{Cause: call.Unavailable, Detail: call.Detail{Text: "do not disturb"}, Log: "the user does not want to be disturbed"}
	}
	t.onBusy = r.later(q, to, t, w.Busy, "user-busy")
	t.onNoAnswer = r.later(q, to, t, w.NoAnswer, "no-answer")
	if t.onNoAnswer != nil {
		t.patience = w.After
		if t.patience == 0 {
			t.patience = defaultPatience
		}
	}
	return t, nil
}

// defaultPatience is how long it rings before a call is forwarded that nobody answers.
const defaultPatience = 20 * time.Second

// later returns what routes a call that is forwarded when it has failed here; nil if it is
// not.
func (r *Routes) later(q Query, to translate.JID, t Target, number, why string) func() (Target, error) {
	if number == "" {
		return nil
	}
	return func() (Target, error) { return r.forwarded(q, to, t, number, why) }
}

// maxForwards bounds how often a call has been sent on before we do so once more.
const maxForwards = 5

// forwarded sends a call for a user on, as the user's own call: what the user may not call,
// it cannot be forwarded to. Who calls is told by name alone; the number is the user's.
func (r *Routes) forwarded(q Query, to translate.JID, t Target, number, why string) (Target, error) {
	if len(q.Diverted) >= maxForwards {
		return Target{}, &call.Refusal{Cause: call.Loop, Detail: call.Detail{Text: "sent on too often"}}
	}
	jid, err := r.Mapping.Typed(number, to.Domain)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	on, err := r.toSIP(Query{Edge: XMPP, From: Party{JID: to.Bare().String(), Name: t.From.Name}, To: jid.String(), Hops: t.Hops, Calls: true})
	if err != nil {
		return Target{}, err
	}
	if slices.ContainsFunc(q.Diverted, func(d translate.Diversion) bool { return d.For.URI == on.From.URI }) {
		return Target{}, &call.Refusal{Cause: call.Loop, Detail: call.Detail{Text: "it was forwarded from here before"}}
	}
	on.forwarded("forwarded by the callee, "+strings.ReplaceAll(why, "-", " "), t.From,
		append([]translate.Diversion{{For: translate.NameAddr{URI: on.From.URI}, Reason: why}}, q.Diverted...))
	return on, nil
}

// forwarded makes a target that of a call which was for someone else, at each of its places.
func (t *Target) forwarded(rule string, caller Party, diverted []translate.Diversion) {
	if caller.Name != "" {
		t.From.Name = caller.Name
	}
	if caller.Anonymous {
		t.From.Anonymous, t.From.Name = true, ""
	}
	t.From.IMPP = "" // it is not the user who speaks
	t.Rule, t.Diverted = rule, diverted
	t.Early = false // the caller is not on the XMPP side
	for i := range t.Others {
		t.Others[i].forwarded(rule, caller, diverted)
	}
}
