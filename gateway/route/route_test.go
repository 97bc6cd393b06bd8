package route

import (
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/translate"
)

func table(t *testing.T, rules ...Rule) Table {
	t.Helper()
	tab, err := New(rules, Plan{Domains: []string{"x.example", "pbx.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func jid(t *testing.T, s string) translate.JID {
	t.Helper()
	j, err := translate.ParseJID(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func uri(t *testing.T, s string) translate.URI {
	t.Helper()
	u, err := translate.ParseURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestLookup(t *testing.T) {
	tab := table(t,
		Rule{From: "romeo@example.org", To: "+53", Deny: true},
		Rule{From: "romeo@example.org", To: "+49", Trunks: Via("office")},
		Rule{From: "Example.ORG", To: "+4930", Trunks: Via("berlin")},
		Rule{From: "example.org", To: "pbx.example.org", Trunks: Via("pbx")},
		Rule{From: "boss@example.net", To: "*", Trunks: Via("carrier")},
		Rule{From: "*", To: "1", Trunks: Via("pbx")},
	)
	tests := []struct {
		name, from, to string
		trunk          string // empty: refused
		rule           string
	}{
		{"own rule of a user", "romeo@example.org/phone", "sip:+493012@pbx.example.org;user=phone", "office", "rule 2"},
		{"separators do not hide a number", "romeo@example.org", "sip:+5-3.1@x.example;user=phone", "", "rule 1"},
		{"escapes do not hide a number", "romeo@example.org", "sip:%2B531@x.example;user=phone", "", "rule 1"},
		{"a tel URI is a number", "romeo@example.org", "tel:+53-1", "", "rule 1"},
		{"rule of the domain", "juliet@example.org", "sip:+493012@pbx.example.org", "berlin", "rule 3"},
		{"by SIP domain", "juliet@example.org", "sip:nurse@pbx.example.org", "pbx", "rule 4"},
		{"a telephone number at the SIP domain", "juliet@example.org", "sip:+33@pbx.example.org;user=phone", "", "no rule"},
		{"another SIP domain", "juliet@example.org", "sip:nurse@evil.example", "", "no rule"},
		{"a denied number at another domain", "romeo@example.org", "sip:+531@evil.example", "", "rule 1"},
		{"an allowed number at another domain", "romeo@example.org", "sip:+491@evil.example", "", "no rule"},
		{"a domain that only begins alike", "juliet@example.org.evil.example", "sip:+493012@x.example", "", "no rule"},
		{"anything for one user", "boss@example.net", "sip:any@any.example", "carrier", "rule 5"},
		{"short numbers for everyone", "stranger@example.com", "sip:100@pbx.example.org", "pbx", "rule 6"},
		{"not a number, though it begins like one", "stranger@example.com", "sip:1a@pbx.example.org", "", "no rule"},
		{"nobody else", "stranger@example.com", "sip:+493012@x.example", "", "no rule"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tab.Lookup(jid(t, tt.from), uri(t, tt.to), time.Time{})
			if c.Allowed != (tt.trunk != "") || Names(c.Trunks) != tt.trunk || !strings.HasPrefix(c.Rule, tt.rule) {
				t.Errorf("got %+v", c)
			}
			if len(c.Why) == 0 {
				t.Error("it does not say why")
			}
		})
	}
}

func TestAnEmptyTableAllowsNothing(t *testing.T) {
	if c := table(t).Lookup(jid(t, "a@b.example"), uri(t, "sip:100@c.example"), time.Time{}); c.Allowed {
		t.Errorf("got %+v", c)
	}
}

func TestWhy(t *testing.T) {
	tab := table(t, Rule{From: "a.example", To: "+1", Trunks: Via("x")}, Rule{From: "b.example", To: "+1", Trunks: Via("y")})
	got := strings.Join(tab.Lookup(jid(t, "u@b.example"), uri(t, "tel:+12"), time.Time{}).Why, "; ")
	want := "rule 1 (a.example to +1): it is about users of another domain; rule 2 (b.example to +1): goes to trunk y"
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestServes(t *testing.T) {
	tab := table(t,
		Rule{From: "eve@example.org", To: "*", Deny: true},
		Rule{From: "mallory@example.org", To: "+53", Deny: true},
		Rule{From: "example.org", To: "+49", Trunks: Via("x")},
	)
	tests := []struct {
		name, user string
		want       bool
	}{
		{"who may call", "juliet@example.org", true},
		{"who may call nobody", "eve@example.org", false},
		{"who may not call some", "mallory@example.org", true},
		{"a stranger", "juliet@example.com", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tab.Serves(jid(t, tt.user)); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		rule Rule
	}{
		{"a JID that is none", Rule{From: "a b@c", To: "*"}},
		{"a full JID", Rule{From: "a@b.example/c", To: "*"}},
		{"neither number nor domain", Rule{From: "*", To: "a@b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New([]Rule{tt.rule}, Plan{}); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func TestCostIsAllowedExpressly(t *testing.T) {
	plan, _ := translate.PlanOf("DE")
	lookup := func(to string, rules ...Rule) bool {
		tab, err := New(rules, Plan{Dial: plan, Domains: []string{"pbx.example"}})
		if err != nil {
			t.Fatal(err)
		}
		return tab.Lookup(jid(t, "juliet@example.org"), uri(t, "sip:"+to+"@pbx.example"), time.Time{}).Allowed
	}
	any, germany, world := Rule{From: "*", To: "*", Trunks: Via("t")}, Rule{From: "*", To: "+49", Trunks: Via("t")}, Rule{From: "*", To: "+", Trunks: Via("t")}
	costly := germany
	costly.Premium = true
	tests := []struct {
		to      string
		rule    Rule
		allowed bool
	}{
		{"030123456", any, true},
		{"100", any, true},
		{"nurse", any, true},
		{"+33142685300", any, false},
		{"0033142685300", any, false},
		{"+33142685300", world, true},
		{"+49900123456", any, false},
		{"0900123456", germany, false},
		{"+49900123456", world, false},
		{"+881612345678", world, false},
		{"0900123456", costly, true},
	}
	for _, test := range tests {
		if got := lookup(test.to, test.rule); got != test.allowed {
			t.Errorf("%s by the rule to %s: %v", test.to, test.rule.To, got)
		}
	}
	if lookup("+33142685300", Rule{From: "*", To: "*", Deny: true}, world) {
		t.Error("a rule that denies everything lets a foreign number through")
	}
}

func TestARuleHoldsAtItsHours(t *testing.T) {
	hours, err := ParseHours([]string{"Mo-Fr 08:00-18:00"}, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	tab := table(t, Rule{From: "*", To: "+49", Hours: hours, Trunks: Via("day")}, Rule{From: "*", To: "+49", Trunks: Via("night")})
	for at, trunk := range map[string]string{"2026-11-23T12:00:00Z": "day", "2026-11-23T20:00:00Z": "night"} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if c := tab.Lookup(jid(t, "juliet@example.org"), uri(t, "tel:+4930123"), when); Names(c.Trunks) != trunk {
			t.Errorf("at %s it goes to %q, want %q: %v", at, Names(c.Trunks), trunk, c.Why)
		}
	}
}
