package gateway

import (
	"errors"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
)

// withPhones are the routes of the other tests, with a phone of juliet's that has a number, one
// of romeo's that has none, and a rule that names one.
func withPhones(t *testing.T) *Routes {
	t.Helper()
	r := routes(t)
	table, err := route.New([]route.Rule{
		{From: "nurse@example.org", To: "*", Deny: true},
		{From: "example.org", To: "+491805", Trunks: route.Via("phone/desk")},
		{From: "example.org", To: "+49", Trunks: route.Via("office")},
		{From: "example.org", To: "pbx.example", Trunks: route.Via("office")},
	}, route.Plan{Domains: []string{"pbx.example"}})
	if err != nil {
		t.Fatal(err)
	}
	r.Table = table
	r.Phones = []PhoneRoute{
		{User: "desk", Owner: "juliet@example.org", Number: "+4930124", Trunk: TrunkRoute{Name: "phone/desk"}},
		{User: "201", Owner: "romeo@example.org", Trunk: TrunkRoute{Name: "phone/201"}},
	}
	return r
}

// TestPhonesAreRouted: to a phone, and from one as its owner.
func TestPhonesAreRouted(t *testing.T) {
	const desk = "sip:desk@x.gw.example"
	fromTrunk := translate.Claim{From: translate.NameAddr{URI: "sip:+4989@pbx.example"}}
	fromDesk := translate.Claim{From: translate.NameAddr{URI: "sip:desk@x.gw.example"}}
	tests := []struct {
		name  string
		in    Query
		edge  Edge
		trunk string
		from  string // URI
		to    string // URI, or JID on the XMPP side
		cause call.Cause
		jids  string // of the two, if it is no call
	}{
		{name: "a user calls a phone by its name", in: Query{Edge: XMPP, From: Party{JID: "romeo@example.org/x"}, To: "desk@sip.gw.example"}, trunk: "phone/desk", from: "sip:romeo%40example.org@x.gw.example", to: desk},
		{name: "by its number", in: Query{Edge: XMPP, From: Party{JID: "romeo@example.org/x"}, To: "+4930124@sip.gw.example"}, trunk: "phone/desk", from: "sip:romeo%40example.org@x.gw.example", to: desk},
		{name: "by its full address", in: Query{Edge: XMPP, From: Party{JID: "romeo@example.org/x"}, To: `desk\40x.gw.example@sip.gw.example`}, trunk: "phone/desk", from: "sip:romeo%40example.org@x.gw.example", to: desk},
		{name: "by a number that a rule gives it", in: Query{Edge: XMPP, From: Party{JID: "romeo@example.org/x"}, To: "+4918051@sip.gw.example"}, trunk: "phone/desk", from: "sip:romeo%40example.org@x.gw.example", to: desk},
		{name: "a user whom no rule lets call", in: Query{Edge: XMPP, From: Party{JID: "eve@example.com/x"}, To: "desk@sip.gw.example"}, cause: call.Forbidden},
		{name: "a user whom a rule forbids it", in: Query{Edge: XMPP, From: Party{JID: "nurse@example.org/x"}, To: "desk@sip.gw.example"}, cause: call.Forbidden},
		{name: "a trunk calls the number of a phone", in: Query{Edge: SIP, Trunk: "office", To: "sip:+4930124@192.0.2.10", Claim: fromTrunk}, trunk: "phone/desk", from: "sip:+4989@x.gw.example", to: desk},
		{name: "a trunk calls the name of a phone", in: Query{Edge: SIP, Trunk: "office", To: "sip:201@192.0.2.10:5060", Claim: fromTrunk}, trunk: "phone/201", from: "sip:+4989@x.gw.example", to: "sip:201@x.gw.example"},
		{name: "a trunk calls a phone at another domain", in: Query{Edge: SIP, Trunk: "office", To: "sip:desk@other.example", Claim: fromTrunk}, cause: call.NotFound},
		{name: "a phone calls a number, as its owner", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:+498912@x.gw.example", Claim: fromDesk}, trunk: "office", from: "sip:+4930123@pbx.example;user=phone", to: "sip:+498912@pbx.example;user=phone"},
		{name: "a phone calls a number that its owner may not", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:+1212@x.gw.example", Claim: fromDesk}, cause: call.Forbidden},
		{name: "whoever it says it is", in: Query{Edge: SIP, Trunk: "phone/201", To: "sip:+498912@x.gw.example", Claim: fromDesk}, trunk: "office", from: "sip:romeo%40example.org@x.gw.example", to: "sip:+498912@pbx.example;user=phone"},
		{name: "a phone calls an extension of the office", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:77@192.0.2.10", Claim: fromDesk}, trunk: "office", from: "sip:+4930123@pbx.example;user=phone", to: "sip:77@pbx.example"},
		{name: "a phone calls a user by the short number", in: Query{Edge: SIP, Trunk: "phone/201", To: "sip:100@192.0.2.10", Claim: fromDesk}, edge: XMPP, from: "sip:romeo%40example.org@x.gw.example", to: "juliet@example.org"},
		{name: "a phone calls a user by the address", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:romeo%40example.org@x.gw.example", Claim: fromDesk}, edge: XMPP, from: "sip:+4930123@pbx.example;user=phone", to: "romeo@example.org"},
		{name: "a phone calls a user of a direct domain", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:tybalt@direct.example", Claim: fromDesk}, edge: XMPP, from: "sip:+4930123@pbx.example;user=phone", to: "tybalt@direct.example"},
		{name: "a phone calls another", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:201@x.gw.example", Claim: fromDesk}, trunk: "phone/201", from: "sip:+4930123@x.gw.example;user=phone", to: "sip:201@x.gw.example"},
		{name: "a phone calls one of the places of another", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:201@x.gw.example;gr=urn:uuid:1", Claim: fromDesk}, trunk: "phone/201", from: "sip:+4930123@x.gw.example;user=phone", to: "sip:201@x.gw.example;gr=urn:uuid:1"},
		{name: "a phone calls nobody", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:nobody@other.example", Claim: fromDesk}, cause: call.Forbidden},
		{name: "a phone writes to a user as itself", jids: "desk@sip.gw.example romeo@example.org", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:romeo%40example.org@x.gw.example", Claim: fromDesk}, edge: XMPP, from: desk, to: "romeo@example.org"},
		{name: "whoever it says it is in what it writes", jids: "201@sip.gw.example juliet@example.org", in: Query{Edge: SIP, Trunk: "phone/201", To: "sip:100@192.0.2.10", Claim: fromDesk}, edge: XMPP, from: "sip:201@x.gw.example", to: "juliet@example.org"},
		{name: "a phone writes to another", jids: "desk@sip.gw.example 201@sip.gw.example", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:201@x.gw.example", Claim: fromDesk}, trunk: "phone/201", from: desk, to: "sip:201@x.gw.example"},
		{name: "a phone writes to a number as its owner", jids: "juliet@example.org +498912@sip.gw.example", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:+498912@x.gw.example", Claim: fromDesk}, trunk: "office", from: "sip:+4930123@pbx.example;user=phone", to: "sip:+498912@pbx.example;user=phone"},
		{name: "a phone writes to a number that its owner may not", jids: "-", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:+1212@x.gw.example", Claim: fromDesk}, cause: call.Forbidden},
		{name: "a trunk writes to a phone", jids: "+4989@sip.gw.example/sip desk@sip.gw.example", in: Query{Edge: SIP, Trunk: "office", To: "sip:+4930124@192.0.2.10", Claim: fromTrunk}, trunk: "phone/desk", from: "sip:+4989@x.gw.example", to: desk},
		{name: "no hops are left", in: Query{Edge: SIP, Trunk: "phone/desk", To: "sip:+498912@x.gw.example", Hops: 1}, cause: call.Loop},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Calls = tt.jids == ""
			got, err := withPhones(t).Route(tt.in)
			if tt.cause != call.Normal {
				var r *call.Refusal
				if !errors.As(err, &r) || r.Cause != tt.cause {
					t.Fatalf("got %+v, %v; want %v", got, err, tt.cause)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			to := got.To.URI
			if got.Edge == XMPP {
				to = got.To.JID
			}
			if got.Edge != tt.edge || got.Trunk != tt.trunk || got.From.URI != tt.from || to != tt.to {
				t.Errorf("got %v over %q from %s to %s", got.Edge, got.Trunk, got.From.URI, to)
			}
			if jids := got.From.JID + " " + got.To.JID; tt.jids != "" && jids != tt.jids {
				t.Errorf("got %s, want %s", jids, tt.jids)
			}
		})
	}
}

// TestPhoneHandsOver: a phone may transfer where its owner may call, over whichever trunk.
func TestPhoneHandsOver(t *testing.T) {
	kept := Party{JID: "romeo@example.org/x", URI: "sip:romeo%40example.org@x.gw.example"}
	tests := []struct {
		name, to string
		edge     Edge
		trunk    string
		cause    call.Cause
	}{
		{name: "to a number", to: "sip:+498912@x.gw.example", trunk: "office"},
		{name: "to another phone", to: "sip:201@x.gw.example", trunk: "phone/201"},
		{name: "to a user", to: "sip:100@x.gw.example", edge: XMPP},
		{name: "to a number that its owner may not call", to: "sip:+1212@x.gw.example", cause: call.Forbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := withPhones(t).Transfer(Handover{
				Edge: SIP, Trunk: "phone/desk", User: "romeo@example.org", Kept: kept, From: XMPP, To: tt.to, By: Party{URI: "sip:desk@x.gw.example"},
			})
			if tt.cause != call.Normal {
				var r *call.Refusal
				if !errors.As(err, &r) || r.Cause != tt.cause {
					t.Fatalf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Edge != tt.edge || got.Trunk != tt.trunk || got.From.URI != kept.URI {
				t.Errorf("got %v over %q from %s, %v", got.Edge, got.Trunk, got.From.URI, err)
			}
		})
	}
}
