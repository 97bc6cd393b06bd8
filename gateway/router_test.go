package gateway

import (
	"errors"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
)

func routes(t *testing.T) *Routes {
	t.Helper()
	m, err := translate.Mapping{
		Gateway: "sip.gw.example", SIPHost: "x.gw.example", DefaultDomain: "pbx.example",
		TelDomains: []string{"pbx.example"}, DirectDomains: []string{"direct.example"},
	}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	juliet, err := translate.ParseJID("juliet@example.org")
	if err != nil {
		t.Fatal(err)
	}
	m.Provision(juliet, translate.URI{Scheme: "tel", User: "+4930123"})
	m.AccountJID[translate.URI{Scheme: "sip", User: "100", Host: "pbx.example"}] = juliet
	m.AccountURI[juliet] = translate.URI{Scheme: "sip", User: "+4930123", Host: "pbx.example", Phone: true}
	table, err := route.New([]route.Rule{
		{From: "example.org", To: "+49", Trunks: route.Via("office")},
		{From: "example.org", To: "pbx.example", Trunks: route.Via("office")},
		{From: "example.org", To: "+1", Trunks: route.Via("carrier")},
		{From: "example.org", To: "other.example", Trunks: route.Via("carrier")},
	}, route.Plan{Domains: []string{"pbx.example"}})
	if err != nil {
		t.Fatal(err)
	}
	return &Routes{
		Mapping: &m, Table: table, Hosts: []string{"192.0.2.10"},
		Trunks: []TrunkRoute{{Name: "office"}, {Name: "carrier", Domain: "carrier.example", Early: true, Trusted: true}},
	}
}

func TestRouteToSIP(t *testing.T) {
	tests := []struct {
		name, from, to string
		want           Target
		cause          call.Cause // of the refusal, if want is empty
	}{
		{
			name: "a number of the office", from: "juliet@example.org/balcony", to: "+4989@sip.gw.example",
			want: Target{
				Edge: SIP, Trunk: "office",
				From: Party{URI: "sip:+4930123@pbx.example;user=phone"}, To: Party{URI: "sip:+4989@pbx.example;user=phone"},
			},
		},
		{
			name: "a user without a number, through the carrier", from: "romeo@example.org/orchard", to: "+1212@sip.gw.example",
			want: Target{
				Edge: SIP, Trunk: "carrier", Early: true,
				From: Party{URI: "sip:romeo%40example.org@x.gw.example"}, To: Party{URI: "sip:+1212@carrier.example;user=phone"},
			},
		},
		{
			name: "a user of a domain that is not ours keeps it", from: "romeo@example.org/orchard", to: `eve\40other.example@sip.gw.example`,
			want: Target{
				Edge: SIP, Trunk: "carrier", Early: true,
				From: Party{URI: "sip:romeo%40example.org@x.gw.example"}, To: Party{URI: "sip:eve@other.example"},
			},
		},
		{name: "a number at a domain that is not ours", from: "romeo@example.org/orchard", to: `+4912\40evil.example@sip.gw.example`, cause: call.Forbidden},
		{name: "a number nobody may call", from: "romeo@example.org/orchard", to: "+5312@sip.gw.example", cause: call.Forbidden},
		{name: "a stranger", from: "eve@example.com/x", to: "+4989@sip.gw.example", cause: call.Forbidden},
		{name: "the domain itself", from: "romeo@example.org/x", to: "sip.gw.example", cause: call.NotFound},
		{name: "an emergency number", from: "romeo@example.org/x", to: "112@sip.gw.example", cause: call.NotFound},
		{name: "no JID at all", from: "romeo@example.org/x", to: "@", cause: call.BadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := routes(t).Route(Query{Edge: XMPP, From: Party{JID: tt.from}, To: tt.to})
			if tt.want.Trunk == "" {
				var r *call.Refusal
				if !errors.As(err, &r) || r.Cause != tt.cause {
					t.Fatalf("got %+v, %v; want %s", got, err, tt.cause)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Edge != SIP || got.Trunk != tt.want.Trunk || got.Early != tt.want.Early ||
				got.From.URI != tt.want.From.URI || got.To.URI != tt.want.To.URI || !strings.HasPrefix(got.Rule, "rule ") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestRouteToXMPP(t *testing.T) {
	tests := []struct {
		name, to string
		want     string // JID; empty: refused
		status   int
	}{
		{"a number in its domain", "sip:+4930123@pbx.example", "juliet@example.org", 0},
		{"a number at our host", "sip:+49-30-123@x.gw.example;user=phone", "juliet@example.org", 0},
		{"a number at our address", "sip:+4930123@192.0.2.10:5070", "juliet@example.org", 0},
		{"a short number at our address", "sip:100@192.0.2.10", "juliet@example.org", 0},
		{"an escaped user of a domain that may call", "sip:romeo%40example.org@192.0.2.10", "romeo@example.org", 0},
		{"a user of a direct domain", "sip:tybalt@direct.example", "tybalt@direct.example", 0},
		{"an escaped user of a foreign domain", "sip:eve%40example.com@x.gw.example", "", 0},
		{"a number nobody has", "sip:+4930999@pbx.example", "", 404},
		{"a host that is not ours", "sip:juliet@other.example", "", 404},
		{"sips", "sips:juliet%40example.org@x.gw.example", "", 480},
		{"another scheme", "mailto:a@b", "", 416},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := routes(t)
			got, err := r.Route(Query{Edge: SIP, Claim: claimOf("sip:O'Hara@Example.NET", "Otto"), To: tt.to})
			if tt.want == "" {
				var refusal *call.Refusal
				if !errors.As(err, &refusal) || refusal.Detail.Status != tt.status {
					t.Fatalf("got %+v, %v; want status %d", got, err, tt.status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Edge != XMPP || got.To.JID != tt.want || got.From.JID != `o\27hara\40example.net@sip.gw.example/sip` || got.From.Name != "Otto" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func claimOf(uri, name string) translate.Claim {
	return translate.Claim{From: translate.NameAddr{Name: name, URI: uri}}
}

// A caller is called back by the address it called from, in its own spelling.
func TestCallBack(t *testing.T) {
	r := routes(t)
	r.Table, _ = route.New([]route.Rule{{From: "*", To: "*", Trunks: route.Via("office")}}, route.Plan{})
	in, err := r.Route(Query{Edge: SIP, Claim: claimOf("sip:O'Hara@Example.NET", ""), To: "sip:+4930123@pbx.example"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.Route(Query{Edge: XMPP, From: Party{JID: "juliet@example.org/balcony"}, To: in.From.JID})
	if err != nil || out.To.URI != "sip:O'Hara@example.net" {
		t.Errorf("got %q, %v", out.To.URI, err)
	}
}

func TestAnonymousCallersAreToldApart(t *testing.T) {
	r := routes(t)
	q := Query{Edge: SIP, Claim: claimOf("sip:anonymous@anonymous.invalid", ""), To: "sip:+4930123@pbx.example"}
	first, err1 := r.Route(q)
	second, err2 := r.Route(q)
	if err1 != nil || err2 != nil || first.From.JID == second.From.JID || !strings.HasPrefix(first.From.JID, "anonymous@sip.gw.example/a-") {
		t.Errorf("got %q and %q", first.From.JID, second.From.JID)
	}
}

// A call has so many hops through both worlds, and the last one is not given away.
func TestHopsGetFewer(t *testing.T) {
	q := Query{Edge: SIP, Claim: claimOf("sip:otto@pbx.example", ""), To: "sip:+4930123@pbx.example", Hops: 10}
	if got, err := routes(t).Route(q); err != nil || got.Hops != 9 {
		t.Errorf("10 hops became %d, %v", got.Hops, err)
	}
	q.Hops = 1
	var r *call.Refusal
	if _, err := routes(t).Route(q); !errors.As(err, &r) || r.Cause != call.Loop {
		t.Errorf("the last hop was given away: %v", err)
	}
}

// A trunk that sends digits alone means them in full; any other means what it dials.
func TestDigitsOfATrunkAreANumber(t *testing.T) {
	r := routes(t)
	r.Trunks = append(r.Trunks, TrunkRoute{Name: "wholesale", Numbers: translate.DigitsForm})
	for trunk, called := range map[string]string{"wholesale": "juliet@example.org", "office": ""} {
		target, err := r.Route(Query{Edge: SIP, Trunk: trunk, To: "sip:4930123@x.gw.example", Claim: translate.Claim{From: translate.NameAddr{URI: "sip:+331@pbx.example"}}})
		if (err == nil) != (called != "") || target.To.JID != called {
			t.Errorf("from %s it calls %q, %v; want %q", trunk, target.To.JID, err, called)
		}
	}
}
