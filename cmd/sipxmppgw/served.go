package main

import (
	"strings"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/mediarelay/builtin"
	"sipxmppgw/signaling"
)

// served tells a user what a service has to say when the call is over. Callers over trunks are told
// nothing: nobody knows where they read it.
func (t *tenant) served(r gateway.Record) {
	digits := t.exchange.Digits(r.Call)
	t.trials.ended(r)
	own := r.From == gateway.XMPP || strings.HasPrefix(r.Trunk, signaling.PhonePrefix)
	user, err := translate.ParseJID(r.Caller.JID)
	if err != nil || !own || r.Answered.IsZero() || r.Trial != "" {
		return
	}
	to := user.Bare().String()
	switch r.Service {
	case builtin.DTMF:
		t.xmpp.Say(r.Callee.JID, to, translate.DigitsHeard(t.xmpp.Language(to), digits))
	case builtin.Quality:
		t.xmpp.Say(r.Callee.JID, to, translate.QualityReport(t.xmpp.Language(to), reportOf(r)))
	}
}

// reportOf is how the caller's leg of a call was.
func reportOf(r gateway.Record) translate.CallReport {
	leg := r.Media[call.A]
	return translate.CallReport{
		Lasted: r.Ended.Sub(r.Answered), From: heardOf(leg.In), To: heardOf(leg.Out),
		RoundTrip: leg.RoundTrip, Codec: leg.Codec, Path: pathOf(leg),
	}
}

func heardOf(q media.Quality) translate.Heard {
	return translate.Heard{Known: q.Expected > 0, MOS: q.MOS, Loss: q.Loss(), Jitter: q.Jitter}
}

// pathOf are the kinds of candidates at both ends of a leg's way, ours first; empty if ICE has
// found none.
func pathOf(s media.Stats) string {
	local, _, ok := strings.Cut(s.Local, " ")
	remote, _, too := strings.Cut(s.Remote, " ")
	if !ok || !too {
		return ""
	}
	return local + " - " + remote
}
