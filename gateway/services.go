package gateway

import (
	"slices"
	"strings"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

// ServicePlace is the quota of calls to the gateway's own services.
const ServicePlace = "service/"

// A ServiceRoute is how one of the gateway's own services is called.
type ServiceRoute struct {
	Name   string // what it is to [Target.Service]
	Named  bool   // it is called by its name, too
	Number string // as it is dialled, in full if it is one that can be; empty for none
}

// Services say which services of the gateway's own there are, and who may call them, beside users
// whom a rule lets call anybody at all, and phones of ours.
type Services struct {
	Routes []ServiceRoute
	Trunks []string // whose callers may, too
	// Trials says as which user the caller of a trial calls, a bare JID, and which trial it is; ok is
	// false for everyone else. Nil knows of none.
	Trials func(caller string) (user, trial string, ok bool)
}

// named returns the service that the user part of an address of ours means, as it is dialled in a
// plan. Trials name what nobody else may.
func (s Services) named(user string, plan translate.DialPlan, tried bool) (ServiceRoute, bool) {
	if user == "" {
		return ServiceRoute{}, false
	}
	full, isNumber := plan.E164(user)
	i := slices.IndexFunc(s.Routes, func(r ServiceRoute) bool {
		return (r.Named || tried) && r.Name == user || r.Number != "" && (r.Number == user || isNumber && r.Number == full)
	})
	if i < 0 {
		return ServiceRoute{}, false
	}
	return s.Routes[i], true
}

// dialledService returns the service that an XMPP user calls.
func (r *Routes) dialledService(q Query, from, to translate.JID) (ServiceRoute, bool) {
	if !q.Calls || to.Domain != r.Mapping.Gateway {
		return ServiceRoute{}, false
	}
	return r.Services.named(translate.Unescape(to.Local), r.Mapping.DialPlan.For(from.Domain), q.Trial != "")
}

// calledService returns the service that a Request-URI means: of a trunk that may call it, or, for
// an empty trunk, of a phone of ours.
func (r *Routes) calledService(q Query, u translate.URI, trunk string) (ServiceRoute, bool) {
	m := r.Mapping
	own := u.Scheme == "tel" || u.Host == m.SIPHost || u.Host == m.DefaultDomain || slices.Contains(r.Hosts, u.Host) || slices.Contains(m.TelDomains, u.Host)
	if !q.Calls || !own || trunk != "" && !slices.Contains(r.Services.Trunks, trunk) {
		return ServiceRoute{}, false
	}
	user, _, _ := strings.Cut(u.User, ";")
	return r.Services.named(user, m.DialPlan, false)
}

// toService completes a target whose caller is known to one that a service takes. To all others
// it is as a SIP peer of the gateway.
func (r *Routes) toService(s ServiceRoute, t Target) Target {
	t.Edge, t.Service, t.Rule = SIP, s.Name, "built-in "+s.Name
	t.Policy = r.servicePolicy()
	t.To = Party{
		URI: translate.URI{Scheme: "sip", User: s.Name, Host: r.Mapping.SIPHost}.String(),
		JID: translate.JID{Local: s.Name, Domain: r.Mapping.Gateway}.String(),
	}
	return t
}

// fromUserToService is the call of an XMPP user to a service.
func (r *Routes) fromUserToService(s ServiceRoute, q Query, from translate.JID) (Target, error) {
	_, _, line := r.line(from)
	if !line && !r.Table.Serves(from) {
		return Target{}, &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: "this call is not allowed"}, Log: "no rule lets this user call anybody"}
	}
	sender, err := r.Mapping.SenderURI(from.Bare())
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	return r.toService(s, Target{
		From: Party{URI: sender.String(), JID: from.String(), Name: translate.CleanName(q.From.Name)}, Hops: q.Hops,
		Why: []string{"it is a service of the gateway's own"},
	}), nil
}

// tried returns the query of a trial as that of the user as whom it calls.
func (r *Routes) tried(q Query) Query {
	if r.Services.Trials == nil {
		return q
	}
	if user, trial, ok := r.Services.Trials(bareJID(q.From.JID)); ok {
		q.From.JID, q.Trial = user, trial
	}
	return q
}

// taken reports whether an address is that of a phone, a group or a user of ours, who had it first.
func (r *Routes) taken(u translate.URI) bool {
	_, grouped := r.group(u, "")
	_, numbered := r.numbered(u, "")
	return grouped || numbered || r.phoneAt(u, "") != nil
}

// servicePolicy is what the media of a service may be: whatever it can make and understand itself.
func (r *Routes) servicePolicy() media.Policy {
	return media.Policy{Codecs: media.DefaultCodecs(), PTime: 20 * time.Millisecond, Transcode: r.XMPP.Transcode}
}
