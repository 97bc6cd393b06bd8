package gateway

import (
	"slices"
	"strings"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
)

// Transfer implements [Router]. A transfer needs two permissions. The XMPP user whose call it
// is must be allowed to call there, as if it called itself; and a SIP peer, which must be
// trusted, gets no further than to itself and to those it may call anyway (a phone of ours, to
// whom its owner may call): else who rings up
// a user of ours could have the call sent on to where the user, but not the caller, may call.
func (r *Routes) Transfer(h Handover) (Target, error) {
	var t Target
	var err error
	if p := r.phone(h.Trunk); h.Edge == SIP && p != nil {
		t, err = r.handedByPhone(h, p)
	} else if h.Edge == SIP {
		t, err = r.handedBySIP(h)
	} else {
		t, err = r.handedByXMPP(h)
	}
	if err != nil {
		return Target{}, err
	}
	by := h.By
	if h.Edge == XMPP { // as its own calls name it
		by.URI = ""
		if j, err := translate.ParseJID(h.User); err == nil {
			if u, err := r.Mapping.SenderURI(j); err == nil {
				by.URI = u.String()
			}
		}
	}
	for _, way := range t.ways() {
		way.By = by
	}
	if t.Edge == h.From && (t.Edge == SIP && t.To.URI == h.Kept.URI || t.Edge == XMPP && t.To.JID == bareJID(h.Kept.JID)) {
		return Target{}, &call.Refusal{Cause: call.Loop, Detail: call.Detail{Text: "that is the other party itself"}}
	}
	return t, nil
}

// handedBySIP routes what a REFER asks for.
func (r *Routes) handedBySIP(h Handover) (Target, error) {
	i := slices.IndexFunc(r.Trunks, func(t TrunkRoute) bool { return t.Name == h.Trunk })
	if i < 0 || !r.Trunks[i].Trusted {
		return Target{}, &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: "transfers are for trusted trunks"}}
	}
	uri, err := translate.ParseURI(h.To)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	if r.Mapping.IsEmergency(uri.Number()) {
		return Target{}, &call.Refusal{Cause: call.NotFound, Detail: call.Detail{Text: translate.EmergencyText}}
	}
	host := uri.Host == r.Mapping.SIPHost || slices.Contains(r.Hosts, uri.Host)
	if host && uri.Port != 0 && len(r.Ports) > 0 && !slices.Contains(r.Ports, uri.Port) {
		return r.toPeer(h, uri, r.Trunks[i].Name) // a PBX on this machine
	}
	to, account, err := r.target(uri, h.Trunk)
	switch {
	case err == nil:
		return r.toUser(h, to, account)
	case host:
		return Target{}, addressRefusal(err)
	}
	return r.toPeer(h, uri, r.Trunks[i].Name)
}

// handedByPhone routes what the REFER of a phone asks for: the transfer is its owner's, who may
// have it go wherever the phone may call.
func (r *Routes) handedByPhone(h Handover, p *PhoneRoute) (Target, error) {
	t, err := r.fromPhone(Query{Edge: SIP, Trunk: h.Trunk, To: h.To, Calls: true}, p)
	if err != nil {
		return Target{}, err
	}
	if t.Edge == XMPP {
		t.From, err = r.asXMPP(h)
		return t, err
	}
	for _, way := range t.ways() {
		i := slices.IndexFunc(r.Trunks, func(k TrunkRoute) bool { return k.Name == way.Trunk })
		if way.From, err = r.asSIP(h, i >= 0 && r.Trunks[i].Trusted); err != nil {
			return t, err
		}
	}
	return t, nil
}

// ways are a target and its others, to be changed.
func (t *Target) ways() []*Target {
	t.Others = slices.Clone(t.Others)
	all := []*Target{t}
	for i := range t.Others {
		all = append(all, &t.Others[i])
	}
	return all
}

// handedByXMPP routes what a <transfer/> asks for (XEP-0251).
func (r *Routes) handedByXMPP(h Handover) (Target, error) {
	to, err := translate.ParseJID(h.To)
	if err != nil {
		return Target{}, addressRefusal(err)
	}
	if to.Domain != r.Mapping.Gateway {
		return r.toUser(h, to.Bare(), false)
	}
	uri, known := r.origin(to)
	if !known {
		if uri, err = r.Mapping.URIOfJID(to.Bare()); err != nil {
			return Target{}, addressRefusal(err)
		}
	}
	if user, account, err := r.target(uri, ""); err == nil && account {
		return r.toUser(h, user, true) // a number of ours needs no trunk
	}
	return r.toPeer(h, uri, "")
}

// toUser is a call to an XMPP user.
func (r *Routes) toUser(h Handover, to translate.JID, account bool) (Target, error) {
	if _, known := r.Mapping.AccountURI[to.Bare()]; !known && !account && !r.Table.Serves(to) && !slices.Contains(r.Mapping.DirectDomains, to.Domain) {
		return Target{}, &call.Refusal{Cause: call.NotFound, Detail: call.Detail{Text: "nobody here has this address"}, Log: "no route lets this user call, so it is not called either"}
	}
	from, err := r.asXMPP(h)
	if err != nil {
		return Target{}, err
	}
	return Target{
		Edge: XMPP, From: from, To: Party{URI: h.To, JID: to.String()}, Policy: r.XMPP, NoAnswer: r.NoAnswer, Rule: "own user",
	}, nil
}

// toPeer is a call to a SIP peer: the one that asks, if one does, or else the one that the
// table says.
func (r *Routes) toPeer(h Handover, uri translate.URI, trunk string) (Target, error) {
	user, err := translate.ParseJID(h.User)
	if err != nil {
		return Target{}, &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: "this call is not allowed"}}
	}
	choice := r.Table.Lookup(user, uri, time.Now())
	if !choice.Allowed {
		return Target{}, &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: "this call is not allowed"}, Log: strings.Join(choice.Why, "; ")}
	}
	asked := trunk != "" // by the peer itself, which writes numbers its own way
	if asked {
		choice.Trunks = route.Via(trunk)
	}
	trunks, why, err := r.ways(choice, !asked)
	if err != nil {
		return Target{}, err
	}
	all := make([]Target, len(trunks))
	for i, t := range trunks {
		at := uri
		if own := append(slices.Clone(r.Mapping.TelDomains), r.Mapping.DefaultDomain); !asked {
			at = r.dialled(uri, user, choice, t)
		} else if t.Domain != "" && slices.Contains(own, uri.Host) {
			at.Host = t.Domain
		}
		from, err := r.asSIP(h, t.Trusted)
		if err != nil {
			return Target{}, err
		}
		to := Party{URI: at.String()}
		if j, err := r.Mapping.JIDOfURI(at); err == nil {
			to.JID = j.Bare().String()
		}
		all[i] = Target{
			Edge: SIP, From: from, To: to, Trunk: t.Name, Policy: t.Policy, NoAnswer: r.NoAnswer, Rule: choice.Rule, Why: why, Refer: t.Refer, Round: i,
		}
	}
	all[0].Others = all[1:]
	return all[0], nil
}

// asSIP is who is kept, as a SIP peer is to see them.
func (r *Routes) asSIP(h Handover, trusted bool) (Party, error) {
	if h.From == SIP {
		return h.Kept, nil
	}
	j, err := translate.ParseJID(h.Kept.JID)
	if err != nil {
		return Party{}, addressRefusal(err)
	}
	s, err := r.Mapping.Sender(j, translate.SenderOptions{Name: h.Kept.Name, Trusted: trusted, Hidden: h.Kept.Anonymous})
	if err != nil {
		return Party{}, addressRefusal(err)
	}
	return Party{URI: s.From.String(), JID: j.String(), Name: s.Name, Anonymous: h.Kept.Anonymous}, nil
}

// asXMPP is who is kept, as an XMPP user is to see them: as a contact of the gateway, even one
// who is an XMPP user too.
func (r *Routes) asXMPP(h Handover) (Party, error) {
	uri := h.Kept.URI
	if h.From == XMPP {
		p, err := r.asSIP(h, true)
		if err != nil {
			return Party{}, err
		}
		uri = p.URI
	}
	claim := translate.Claim{From: translate.NameAddr{Name: h.Kept.Name, URI: uri}}
	if h.Kept.Anonymous {
		claim.Privacy = "id"
	}
	caller := r.Mapping.Caller(claim, token())
	if !caller.URI.IsZero() {
		r.remember(caller.JID, caller.URI)
	}
	return Party{URI: uri, JID: caller.JID.String(), Name: caller.Name, Anonymous: caller.Anonymous}, nil
}

func bareJID(jid string) string {
	bare, _, _ := strings.Cut(jid, "/")
	return bare
}
