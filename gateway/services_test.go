package gateway

import (
	"errors"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
)

// Services are called by name and number, by those who may, and only where nobody had the address
// before.
func TestServicesAreRouted(t *testing.T) {
	fromTrunk := translate.Claim{From: translate.NameAddr{URI: "sip:+4989@pbx.example"}}
	user := Party{JID: "romeo@example.org/x"}
	tests := []struct {
		name    string
		in      Query
		service string
		from    string
		trunk   string // where it goes if it is to no service
		cause   call.Cause
		writes  bool
	}{
		{name: "a user, by name", in: Query{Edge: XMPP, From: user, To: "echo@sip.gw.example"}, service: "echo", from: "sip:romeo%40example.org@x.gw.example"},
		{name: "by a number that is none of the plan's", in: Query{Edge: XMPP, From: user, To: "*43@sip.gw.example"}, service: "echo", from: "sip:romeo%40example.org@x.gw.example"},
		{name: "by a number in full", in: Query{Edge: XMPP, From: user, To: "+49305@sip.gw.example"}, service: "quality", from: "sip:romeo%40example.org@x.gw.example"},
		{name: "by a name that has only a number", in: Query{Edge: XMPP, From: user, To: "quality@sip.gw.example"}, trunk: "office"},
		{name: "what a user writes goes where it went", in: Query{Edge: XMPP, From: user, To: "echo@sip.gw.example"}, trunk: "office", writes: true},
		{name: "a user whom no rule lets call", in: Query{Edge: XMPP, From: Party{JID: "eve@example.com/x"}, To: "echo@sip.gw.example"}, cause: call.Forbidden},
		{name: "a user whom a rule forbids everything", in: Query{Edge: XMPP, From: Party{JID: "nurse@example.org/x"}, To: "echo@sip.gw.example"}, cause: call.Forbidden},
		{name: "a phone of that name goes before", in: Query{Edge: XMPP, From: user, To: "tone@sip.gw.example"}, trunk: "phone/tone"},
		{name: "a phone of ours", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:*43@x.gw.example"}, service: "echo", from: "sip:+4930123@pbx.example;user=phone"},
		{name: "a trunk that may", in: Query{Edge: SIP, Trunk: "office", To: "sip:*43@192.0.2.10", Claim: fromTrunk}, service: "echo", from: "sip:+4989@pbx.example"},
		{name: "by a number in full, without its context", in: Query{Edge: SIP, Trunk: "office", To: "tel:+49305", Claim: fromTrunk}, service: "quality", from: "sip:+4989@pbx.example"},
		{name: "a trunk that may not", in: Query{Edge: SIP, Trunk: "carrier", To: "sip:*43@192.0.2.10", Claim: fromTrunk}, cause: call.NotFound},
		{name: "at somebody else's domain", in: Query{Edge: SIP, Trunk: "office", To: "sip:*43@other.example", Claim: fromTrunk}, cause: call.NotFound},
		{name: "the caller of a trial, as a user", in: Query{Edge: XMPP, From: Party{JID: "doctor-7@sip.gw.example"}, To: "echo@sip.gw.example"}, service: "echo", from: "sip:romeo%40example.org@x.gw.example"},
		{name: "by a name that has only a number otherwise", in: Query{Edge: XMPP, From: Party{JID: "doctor-7@sip.gw.example"}, To: "quality@sip.gw.example"}, service: "quality", from: "sip:romeo%40example.org@x.gw.example"},
		{name: "and over a trunk", in: Query{Edge: XMPP, From: Party{JID: "doctor-7@sip.gw.example"}, To: "+498912@sip.gw.example"}, trunk: "office"},
		{name: "one that says so", in: Query{Edge: XMPP, From: Party{JID: "doctor-8@sip.gw.example"}, To: "+498912@sip.gw.example"}, cause: call.Forbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := withPhones(t)
			r.Phones = append(r.Phones, PhoneRoute{User: "tone", Owner: "juliet@example.org", Trunk: TrunkRoute{Name: "phone/tone"}})
			r.Services = Services{
				Routes: []ServiceRoute{{Name: "echo", Named: true, Number: "*43"}, {Name: "tone", Named: true}, {Name: "quality", Number: "+49305"}},
				Trunks: []string{"office"},
				Trials: func(caller string) (string, string, bool) {
					return "romeo@example.org", "7", caller == "doctor-7@sip.gw.example"
				},
			}
			tt.in.Calls = !tt.writes
			got, err := r.Route(tt.in)
			if tt.cause != call.Normal {
				var refused *call.Refusal
				if !errors.As(err, &refused) || refused.Cause != tt.cause {
					t.Errorf("got %+v, %v, want %v", got, err, tt.cause)
				}
				return
			}
			if err != nil || got.Service != tt.service || got.Trunk != tt.trunk || tt.service != "" && got.From.URI != tt.from {
				t.Errorf("got service %q over %q from %q, %v; want %q over %q from %q", got.Service, got.Trunk, got.From.URI, err, tt.service, tt.trunk, tt.from)
			}
			if trial := tt.in.From.JID == "doctor-7@sip.gw.example"; trial != (got.Trial == "7") {
				t.Errorf("its trial is %q", got.Trial)
			}
			if tt.service != "" && (got.Edge != SIP || got.To.JID != tt.service+"@sip.gw.example") {
				t.Errorf("it is %+v", got)
			}
		})
	}
}
