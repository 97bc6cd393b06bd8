package gateway

import (
	"errors"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
)

func TestWhatSendsACallOn(t *testing.T) {
	way := func(rule string) func() (Target, error) {
		return func() (Target, error) { return Target{Rule: rule}, nil }
	}
	a := &actor{in: Incoming{Target: Target{onBusy: way("busy"), onNoAnswer: way("no answer")}}}
	tests := []struct {
		name   string
		e      call.Event
		rule   string // empty for nowhere
		closed bool
	}{
		{"busy", call.LegEnded{Side: call.B, Cause: call.Busy}, "busy", true},
		{"declined", call.LegEnded{Side: call.B, Cause: call.Declined}, "busy", true},
		{"no answer", call.LegEnded{Side: call.B, Cause: call.NoAnswer}, "no answer", true},
		{"nobody there", call.LegEnded{Side: call.B, Cause: call.Unavailable}, "no answer", true},
		{"it rang long enough", call.TimerFired{Timer: call.TimerNoAnswer}, "no answer", false},
		{"another time is over", call.TimerFired{Timer: call.TimerAlert}, "", false},
		{"no codec", call.LegEnded{Side: call.B, Cause: call.Incompatible}, "", false},
		{"the caller gave up", call.LegEnded{Side: call.A, Cause: call.Busy}, "", false},
	}
	for _, tt := range tests {
		where, closed := a.next(tt.e)
		got := ""
		if where != nil {
			to, _ := where()
			got = to.Rule
		}
		if got != tt.rule || closed != tt.closed {
			t.Errorf("%s: goes on by %q, closed %v", tt.name, got, closed)
		}
	}
}

// A call is forwarded as one of the callee's own, and not round and round.
func TestForwardedAsTheCalleesOwn(t *testing.T) {
	r := routes(t)
	juliet := translate.JID{Local: "juliet", Domain: "example.org"}
	own := translate.Diversion{For: translate.NameAddr{URI: "sip:+4930123@pbx.example;user=phone"}}
	tests := []struct {
		name, number string
		before       []translate.Diversion
		cause        call.Cause // of the refusal
		ok           bool
	}{
		{name: "where the callee may call", number: "+1212", ok: true},
		{name: "where the callee may not call", number: "+33142", cause: call.Forbidden},
		{name: "from here before", number: "+1212", before: []translate.Diversion{own}, cause: call.Loop},
		{name: "four times before", number: "+1212", before: make([]translate.Diversion, maxForwards-1), ok: true},
		{name: "five times before", number: "+1212", before: make([]translate.Diversion, maxForwards), cause: call.Loop},
	}
	for _, tt := range tests {
		caller := Party{URI: "sip:+1617@carrier.example", Name: "Otto"}
		got, err := r.forwarded(Query{Edge: SIP, Diverted: tt.before}, juliet, Target{From: caller}, tt.number, "user-busy")
		var refused *call.Refusal
		switch {
		case !tt.ok && (!errors.As(err, &refused) || refused.Cause != tt.cause):
			t.Errorf("%s: %v, want %v", tt.name, err, tt.cause)
		case !tt.ok:
		case err != nil || got.Trunk != "carrier" || got.Early || got.From.URI != own.For.URI || got.From.Name != "Otto":
			t.Errorf("%s: over %q from %+v, %v", tt.name, got.Trunk, got.From, err)
		case len(got.Diverted) != len(tt.before)+1 || got.Diverted[0].For.URI != own.For.URI || got.Diverted[0].Reason != "user-busy":
			t.Errorf("%s: diverted %+v", tt.name, got.Diverted)
		}
	}
}
