package jingle

import (
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/session"
)

var _ gateway.Dialer = (*Edge)(nil)

// Aim implements [gateway.Dialer]: where no device takes proposals, the call goes to the best
// one, and what that one can do says what its media may be.
func (e *Edge) Aim(target gateway.Target) gateway.Target {
	to, err := translate.ParseJID(target.To.JID)
	if err != nil {
		return target // Dial says so
	}
	bare := to.Bare().String()
	if target.Device = e.people.direct(bare); target.Device == "" {
		return target
	}
	if has, known := e.people.dtls(target.Device, bare); e.opt.AllowClear && known && !has {
		target.Policy = unprotected(target.Policy)
	}
	return target
}

// unprotected is the policy for a client that knows no DTLS: QXmpp 1.4, libpurple, Gajim.
// None of them muxes RTCP or bundles streams. Keys in signalling are taken from a client
// that offers them.
func unprotected(p media.Policy) media.Policy {
	p.DTLS, p.Bundle, p.RTCPMux = false, false, false
	p.SDES, p.Clear = true, true
	return p
}

// callerPolicy is what the media of a caller may be. Its offer is followed, but one that is
// known to speak DTLS has to.
func (e *Edge) callerPolicy(l *leg) media.Policy {
	p := e.opt.Policy
	if has, known := e.people.dtls(l.device(), l.key.peer); e.opt.AllowClear && !(known && has) {
		p.DTLS, p.SDES, p.Clear = false, true, true
	}
	return p
}

// Dial implements [gateway.Dialer]: the call goes to every device of a person by a
// proposal, or to the best one at once if none takes proposals.
//
// An error is a [*call.Refusal]: NotFound for an address that is none, Busy if the person
// has as many calls as it may, or one with the same contact, which a second would replace
// at its client (INTERWORKING.md section 2.10).
func (e *Edge) Dial(target gateway.Target, in gateway.Inbox) (gateway.Leg, error) {
	from, err := translate.ParseJID(target.From.JID)
	if err != nil {
		return nil, &call.Refusal{Cause: call.Failed, Detail: call.Detail{Text: "the caller has no JID"}}
	}
	to, err := translate.ParseJID(target.To.JID)
	if err != nil {
		return nil, &call.Refusal{Cause: call.NotFound, Detail: call.Detail{Text: err.Error()}}
	}
	target.From.Name = translate.NickOf(target.From.Name, from.Bare())
	if target.From.Anonymous {
		target.From.Name = "Anonymous"
	}
	bare := to.Bare().String()
	l := &leg{
		e:      e,
		key:    key{bare, e.opt.NewID()},
		self:   selfOf(from),
		bare:   from.Bare().String(),
		target: target,
		calls:  true,
	}
	opt := session.Options{
		SID: l.key.sid, Side: in.Side(), Self: l.self, Peer: bare, Mode: session.Late, Words: l.words(),
		Video: target.Policy.Video, NoTones: e.opt.NoTones, There: e.people.proposable(bare),
	}
	if !target.By.Anonymous {
		opt.Handed = target.By.JID
	}
	if target.Device != "" {
		opt.Peer, opt.Mode = target.Device, session.Direct
	}
	l.s = session.NewInitiator(opt)
	l.box.Store(&in)
	for _, other := range e.legsOf(bare) {
		if other.self == l.self {
			return nil, &call.Refusal{Cause: call.Busy, Detail: call.Detail{Text: "this caller has a call there already"}}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.add(l) {
		return nil, &call.Refusal{Cause: call.Busy, Detail: call.Detail{Text: "too many calls there"}}
	}
	e.names.put(l.bare, target.From.Name)
	return l, nil
}
