package route

import (
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/translate"
)

// Whatever a user dials is mapped, completed by the dial plan, and only then compared: a
// spelling may lead nowhere, but never past a rule (toll fraud).
func TestDialStrings(t *testing.T) {
	plan := translate.DialPlan{Country: "49", National: "0", International: []string{"00", "011"}}
	m, err := translate.Mapping{
		Gateway: "gw.example", SIPHost: "sip.gw.example", DefaultDomain: "pbx.example",
		TelDomains: []string{"pbx.example"}, DialPlan: plan,
	}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	tab, err := New([]Rule{
		{From: "*", To: "+49900", Deny: true},
		{From: "*", To: "+53", Deny: true},
		{From: "*", To: "+49", Trunks: Via("carrier")},
		{From: "*", To: "*55", Trunks: Via("codes")},
		{From: "*", To: "pbx.example", Trunks: Via("pbx")},
	}, Plan{Dial: plan, Domains: []string{"pbx.example"}})
	if err != nil {
		t.Fatal(err)
	}
	from := jid(t, "juliet@example.org/balcony")
	tests := []struct {
		trunk string // empty: refused
		dials string // separated by spaces; @ is escaped below
	}{
		{"carrier", "+4930123 +49-30.123 +49(30)123 tel:+4930123 sips:+4930123 sip:+4930123 +4930123;ext=22 ＋4930123 +４９30123 " +
			"+4930123@pbx.example +4930123@pbx.example:5070 +4930123;npdi;cic=1 004930123 01149030123 030123 tel:+4930123;phone-context=+53 +-4930123"},
		{"pbx", "100 1000 00 nurse nurse@pbx.example 3com 1a 1-a 1_a 1.a 10é *97 #31# #100 100;phone-context=pbx.example 100@pbx.example sip:100"},
		{"codes", "*55 *551234"},
		// Premium and foreign numbers in every spelling.
		{"", "+49900123 +49-900.123 +49(900)123 tel:+49900123 sips:+49900123 +49900123;ext=1 ＋４９９００123 +49900123@pbx.example " +
			"+49900123@other.example 0049900123 01149900123 0900123 0900123@pbx.example +49900 +5312 005312 01153 00-53-12 0(0)5312 " +
			"+53;phone-context=+49 tel:+53;phone-context=+49 sips:0053 +5312@other.example"},
		// What no rule is about.
		{"", "+4930123@other.example +1212 +33 +44 +0049 + +49@other.example@evil.example alice@other.example 0044123 01144123 tel:+1 + ++49 -+49 (+49 49@other.example"},
		// What a PBX might dial though it is no number.
		{"", "+49900123,1 +4930123,+5312 +4930123&5312 0049900123,1 500&PJSIP/itsp/005312 100,005312 100;x=y@pbx.example;a " +
			"+4930%31 100/005312 100=1 +abc +4930123w5312 100@evil.example;x=y?subject=z 100!1 100'1 100$1 100?x=y 100~1 100%20 *97,0053 #31#;0053 +49\\40 00&53 +49:1 100|53 100^1 100`1 100{53} 100[53] 100\\53 100(53)x"},
		// Emergency numbers have no route.
		{"", "112 911 tel:112;phone-context=+49 112@pbx.example 1-1-2 911;phone-context=+1"},
	}
	count := 0
	for _, tt := range tests {
		for _, dial := range strings.Fields(tt.dials) {
			count++
			local, err := translate.Escape(dial)
			if err != nil {
				t.Fatal(err)
			}
			j, err := translate.NewJID(local, "gw.example", "")
			if err != nil {
				if tt.trunk != "" {
					t.Errorf("%s: %v", dial, err)
				}
				continue
			}
			u, err := m.URIOfJID(j)
			if err != nil {
				if tt.trunk != "" {
					t.Errorf("%s: %v", dial, err)
				}
				continue
			}
			c := tab.Lookup(from, u, time.Time{})
			if c.Allowed != (tt.trunk != "") || Names(c.Trunks) != tt.trunk {
				t.Errorf("%s is %s: goes to %q by %s, want %q", dial, u, Names(c.Trunks), c.Rule, tt.trunk)
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d dial strings", count)
	}
}
