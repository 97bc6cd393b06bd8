package translate

import (
	"errors"
	"math/rand"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
)

// example is one row of the tables of INTERWORKING.md section 1.5.
type example struct{ in, want string }

// unmappable is what a row wants that has no result.
const unmappable = ""

func testExamples(t *testing.T, f func(m *Mapping, in string) (string, error), examples []example) {
	t.Helper()
	m := testMapping(t)
	for _, tt := range examples {
		t.Run(tt.in, func(t *testing.T) {
			got, err := f(m, tt.in)
			if (err != nil) != (tt.want == unmappable) || err == nil && got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestExamplesXDirect(t *testing.T) {
	testExamples(t, mappings["direct-jid"], []example{
		{"sip:romeo@example.net", "romeo@example.net"},
		{"sip:f%C3%BC@sip.example", "fü@sip.example"},
		{"sip:o'malley@sip.example", `o\27malley@sip.example`},
		{"sip:foo@sip.example;gr=bar", "foo@sip.example/bar"},
		{"sip:Alice%20W@example.net", `alice\20w@example.net`},
		{"sip:a%2Fb%26c@example.net", `a\2fb\26c@example.net`},
		{"sip:user%40host@example.net", `user\40host@example.net`},
		{"sip:back%5Cslash@example.net", `back\slash@example.net`},
		{"sip:c%5C5commas@example.net", `c\5c5commas@example.net`},
		{"sip:x%5C2Fy@example.net", `x\5c2fy@example.net`},
		{"sip:a;b=c@example.net", "a;b=c@example.net"},
		{"sip:q%22r%3Cs%3E@example.net", `q\22r\3cs\3e@example.net`},
		{"sip:p%23q%25r@example.net", "p#q%r@example.net"},
		{"sip:alice:secret@example.net", "alice@example.net"},
		{"sip:ALICE@Example.NET", "alice@example.net"},
		{"sip:bob@xn--bcher-kva.example", "bob@bücher.example"},
		{"sip:bob@[2001:db8::1]", "bob@[2001:db8::1]"},
		{"sip:alice@example.net;gr=home%20desk%2F2", "alice@example.net/home desk/2"},
		{"sip:alice@example.net;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "alice@example.net/urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
		{"sip:tgruu.7hs==jd7@example.com;gr", "tgruu.7hs==jd7@example.com"},
		{"sip:example.net", "example.net"},
		{"sip:%20bob@example.net", unmappable},
		{"sip:%E2%99%9A@example.net", unmappable},
		{"sip:bad%FF@example.net", unmappable},
	})
}

func TestExamplesSDirect(t *testing.T) {
	testExamples(t, mappings["direct-uri"], []example{
		{"juliet@example.com/yn0cl4bnw0yr3vym", "sip:juliet@example.com;gr=yn0cl4bnw0yr3vym"},
		{`m\26m@xmpp.example`, "sip:m&m@xmpp.example"},
		{"tschüss@xmpp.example", "sip:tsch%C3%BCss@xmpp.example"},
		{`o\27malley@xmpp.example`, "sip:o'malley@xmpp.example"},
		{`user\40host@xmpp.example`, "sip:user%40host@xmpp.example"},
		{"a#b%c@xmpp.example", "sip:a%23b%25c@xmpp.example"},
		{"x[y]z@xmpp.example", "sip:x%5By%5Dz@xmpp.example"},
		{`foo\bar@xmpp.example`, "sip:foo%5Cbar@xmpp.example"},
		{`c\3a\5c5commas@xmpp.example`, "sip:c%3A%5C5commas@xmpp.example"},
		{`space\20cadet@xmpp.example`, "sip:space%20cadet@xmpp.example"},
		{`at\26t\20guy@xmpp.example`, "sip:at&t%20guy@xmpp.example"},
		{"bob@bücher.example", "sip:bob@xn--bcher-kva.example"},
		{"juliet@example.com/Home Desk ♚", "sip:juliet@example.com;gr=Home%20Desk%20%E2%99%9A"},
		{"juliet@example.com/a;b=c@d", "sip:juliet@example.com;gr=a%3Bb%3Dc%40d"},
	})
}

func TestExamplesXSub(t *testing.T) {
	testExamples(t, mappings["sub-jid"], []example{
		{"sip:alice@example.org", `alice\40example.org@sip.gw.example`},
		{"sip:alice@pbx.example", "alice@sip.gw.example"},
		{"tel:+1-415-555-0100", "+14155550100@sip.gw.example"},
		{"sip:+14155550100@pbx.example;user=phone", "+14155550100@sip.gw.example"},
		{"sip:+14155550100@other.example;user=phone", `+14155550100\40other.example@sip.gw.example`},
		{"tel:+14155550100;ext=22", "+14155550100;ext=22@sip.gw.example"},
		{"tel:7042;phone-context=example.com", "7042;phone-context=example.com@sip.gw.example"},
		{"tel:863-1234;phone-context=+1-914-555", "8631234;phone-context=+1914555@sip.gw.example"},
		{"sip:*97@pbx.example", "*97@sip.gw.example"},
		{"sip:o'hara@example.org", `o\27hara\40example.org@sip.gw.example`},
		{"sip:alice@example.org:5070", `alice\40example.org\3a5070@sip.gw.example`},
		{"sip:alice@example.org:5060", `alice\40example.org@sip.gw.example`},
		{"sips:alice@secure.example:5061", `sips\3aalice\40secure.example@sip.gw.example`},
		{"sips:alice@secure.example:5060", `sips\3aalice\40secure.example\3a5060@sip.gw.example`},
		{"sip:alice@[2001:db8::1]", `alice\40[2001\3adb8\3a\3a1]@sip.gw.example`},
		{"sips:alice@secure.example", `sips\3aalice\40secure.example@sip.gw.example`},
		{"sips:alice@pbx.example", `sips\3aalice\40pbx.example@sip.gw.example`},
		{"sip:user%40host@pbx.example", `user\40host\40pbx.example@sip.gw.example`},
		{"sip:sips%3Ax@pbx.example", `sip\3asips\3ax\40pbx.example@sip.gw.example`},
		{"sip:alice@example.org;gr=urn:uuid:1", `alice\40example.org@sip.gw.example/urn:uuid:1`},
		{"sip:example.org", unmappable},
		{"tel:+1;npdi;rn=+12;cic=1;tgrp=x;trunk-context=y;whatever=z;isub=12;ext=3", "+1;isub=12;ext=3@sip.gw.example"},
		{"im:alice@example.org", `alice\40example.org@sip.gw.example`},
	})
	testExamples(t, mappings["sub-uri"], []example{
		{`alice\40example.org@sip.gw.example`, "sip:alice@example.org"},
		{"alice@sip.gw.example", "sip:alice@pbx.example"},
		{"+14155550100@sip.gw.example", "sip:+14155550100@pbx.example;user=phone"},
		{"+1-415-555.0100@sip.gw.example", "sip:+14155550100@pbx.example;user=phone"},
		{`tel\3a+14155550100@sip.gw.example`, "sip:+14155550100@pbx.example;user=phone"},
		{`sips\3a+14155550100@sip.gw.example`, "sips:+14155550100@pbx.example;user=phone"},
		{"+14155550100;ext=22@sip.gw.example", "sip:+14155550100;ext=22@pbx.example;user=phone"},
		{"7042;phone-context=example.com@sip.gw.example", "sip:7042;phone-context=example.com@pbx.example;user=phone"},
		{"*97@sip.gw.example", "sip:*97@pbx.example"},
		{`o\27hara\40example.org@sip.gw.example`, "sip:o'hara@example.org"},
		{`alice\40example.org\3a5070@sip.gw.example`, "sip:alice@example.org:5070"},
		{`alice\40[2001\3adb8\3a\3a1]@sip.gw.example`, "sip:alice@[2001:db8::1]"},
		{`alice\40[2001\3adb8\3a\3a1]\3a5070@sip.gw.example`, "sip:alice@[2001:db8::1]:5070"},
		{`sips\3aalice\40secure.example@sip.gw.example`, "sips:alice@secure.example"},
		{`user\40host\40pbx.example@sip.gw.example`, "sip:user%40host@pbx.example"},
		{`sip\3asips\3ax\40pbx.example@sip.gw.example`, "sip:sips%3Ax@pbx.example"},
		{`alice\40example.org@sip.gw.example/urn:uuid:1`, "sip:alice@example.org;gr=urn:uuid:1"},
		{`alice\40example.org@sip.gw.example/sip`, "sip:alice@example.org"},
		{`bob\40bücher.example@sip.gw.example`, "sip:bob@xn--bcher-kva.example"},
		{"sip.gw.example", unmappable},
		{"alice@other.example", unmappable},
		{`\40example.org@sip.gw.example`, unmappable},
		{`alice\40@sip.gw.example`, unmappable},
		{`alice\40example.org\3a0@sip.gw.example`, unmappable},
		{`alice\40example.org\3a99999@sip.gw.example`, unmappable},
		{`alice\40evil.example;x=y?subject=z@sip.gw.example`, unmappable},
		{`sip\3a@sip.gw.example`, unmappable},
		{`tel\3aalice@sip.gw.example`, unmappable},
		{"+1abc@sip.gw.example", unmappable},
		{"112@sip.gw.example", unmappable},
		{`tel\3a911;phone-context=+1@sip.gw.example`, unmappable},
		{`112\40pbx.example@sip.gw.example`, unmappable},
		{`112\40example.org@sip.gw.example`, "sip:112@example.org"},
	})
}

func TestExamplesSEnc(t *testing.T) {
	there := []example{
		{"juliet@capulet.example", "sip:juliet%40capulet.example@x.gw.example"},
		{`d\27artagnan@musketeers.example`, "sip:d'artagnan%40musketeers.example@x.gw.example"},
		{`user\40host@ex.example`, "sip:user%40host%40ex.example@x.gw.example"},
		{"bob@bücher.example", "sip:bob%40xn--bcher-kva.example@x.gw.example"},
		{"capulet.example", "sip:capulet.example@x.gw.example"},
		{"juliet@capulet.example/balcony", "sip:juliet%40capulet.example@x.gw.example;gr=balcony"},
	}
	var back []example
	for _, e := range there {
		back = append(back, example{e.want, e.in})
	}
	testExamples(t, mappings["enc-uri"], there)
	testExamples(t, mappings["enc-jid"], back)
}

// The order of resolution, both ways (INTERWORKING.md 1.1).
func TestAccountsComeFirst(t *testing.T) {
	m := testMapping(t)
	m.DirectDomains = []string{"capulet.example"}
	juliet, nurse := mustJID(t, "juliet@capulet.example"), mustJID(t, "nurse@capulet.example")
	m.Provision(juliet, mustURI(t, "sip:1001@pbx.example"))
	m.AccountJID[URI{Scheme: "tel", User: "+14155550100"}] = juliet
	t.Run("Request-URI", func(t *testing.T) {
		for in, want := range map[string]string{
			"sip:1001@pbx.example:5070;transport=tcp":    "juliet@capulet.example",
			"sip:1001@pbx.example;gr=balcony":            "juliet@capulet.example/balcony",
			"sip:+1(415)5550100@x.gw.example;user=phone": "juliet@capulet.example",
			"sip:+14155550100@pbx.example":               "juliet@capulet.example",
			"tel:+1-415-555-0100":                        "juliet@capulet.example",
			"sip:nurse@capulet.example":                  "nurse@capulet.example",
			"sip:nurse%40capulet.example@x.gw.example":   "nurse@capulet.example",
			"sip:1002@pbx.example":                       unmappable,
			"sip:+14155550100@other.example":             unmappable,
			"sip:1001@x.gw.example":                      unmappable,
		} {
			j, err := m.Target(in)
			if (err != nil) != (want == unmappable) || err == nil && j.String() != want {
				t.Errorf("%s: got %s, %v; want %s", in, j, err, want)
			}
		}
	})
	t.Run("sender", func(t *testing.T) {
		for j, want := range map[JID]string{
			juliet:                         "sip:1001@pbx.example",
			juliet.WithResource("balcony"): "sip:1001@pbx.example;gr=balcony",
			nurse:                          "sip:nurse@capulet.example",
			mustJID(t, "romeo@m.example"):  "sip:romeo%40m.example@x.gw.example",
		} {
			u, err := m.SenderURI(j)
			if err != nil {
				t.Errorf("%s: %v", j, err)
			}
			check(t, j.String(), u.String(), want)
		}
	})
	if _, err := m.SenderURI(mustJID(t, "alice@sip.gw.example")); statusOf(t, err) != 482 {
		t.Errorf("a SIP user calls SIP: %v", err)
	}
}

func TestBoundDomainMapsBothWays(t *testing.T) {
	m := testMapping(t)
	m.BoundDomains = []string{"xn--bcher-kva.example"}
	check(t, "JID", jidOf(t, m, "sip:bob@xn--bcher-kva.example"), "bob@bücher.example")
	check(t, "URI", uriOf(t, m, "bob@bücher.example"), "sip:bob@xn--bcher-kva.example")
}

func TestWithoutOptionalDomains(t *testing.T) {
	m := &Mapping{Gateway: "sip.gw.example", SIPHost: "x.gw.example"}
	if u, err := m.URIOfJID(mustJID(t, "alice@sip.gw.example")); err == nil {
		t.Errorf("no default domain: got %s", u)
	}
	check(t, "no tel domain", uriOf(t, m, "+14155550100@sip.gw.example"), "tel:+14155550100")
	check(t, "no tel domain, with an extension", uriOf(t, m, "+14155550100;ext=22@sip.gw.example"), "tel:+14155550100;ext=22")
}

// A full-width backslash or digit becomes an ASCII one in a JID, after escaping.
func TestFoldingMakesNoEscape(t *testing.T) {
	m := testMapping(t)
	tests := []struct {
		name, user string
		want       string // JID; empty for unmappable
	}{
		{"full-width backslash", `alice＼40evil.example`, `alice\5c40evil.example@sip.gw.example`},
		{"full-width digits", `alice\４0evil.example`, `alice\5c40evil.example@sip.gw.example`},
		{"full-width at", "alice＠evil.example", unmappable},
		{"full-width colon", "sip：alice", unmappable},
		{"combining mark joins an escape", "a<\u0301", unmappable},
		{"full-width plus", "＋14155550100", "+14155550100@sip.gw.example"},
		{"full-width digits of a number", "+1415555０100", "+14155550100@sip.gw.example"},
		{"reserved name in another width", "ａnonymous", `anonymous\40pbx.example@sip.gw.example`},
		{"reserved hash", "sip-cciy5j73dwg7vb44ee2yzuu3ms", `sip-cciy5j73dwg7vb44ee2yzuu3ms\40pbx.example@sip.gw.example`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j, err := m.JIDOfURI(URI{Scheme: "sip", User: tt.user, Host: "pbx.example"})
			if (err != nil) != (tt.want == unmappable) || err == nil && j.String() != tt.want {
				t.Errorf("got %s, %v; want %s", j, err, tt.want)
			}
		})
	}
}

func TestTyped(t *testing.T) {
	m := testMapping(t)
	m.DialPlan = DialPlan{Country: "1", National: "", International: []string{"011"}}
	tests := []struct{ name, in, want string }{
		{"A-24", "sip:otto@voip.example", `otto\40voip.example@sip.gw.example`},
		{"without a scheme", " otto@voip.example ", `otto\40voip.example@sip.gw.example`},
		{"own script", "sip:otto@bücher.example", `otto\40bücher.example@sip.gw.example`},
		{"tel", "tel:+1-415-555-0100", "+14155550100@sip.gw.example"},
		{"number with spaces", "+1 415 555 0100", "+14155550100@sip.gw.example"},
		{"national number", "(415) 555-0100", "+14155550100@sip.gw.example"},
		{"international prefix", "011 49 30 1234567", "+49301234567@sip.gw.example"},
		{"extension", "7042", "7042@sip.gw.example"},
		{"feature code", "*97", "*97@sip.gw.example"},
		{"garbage", "garbage", unmappable},
		{"nothing", "", unmappable},
		{"another scheme", "mailto:otto@voip.example", unmappable},
		{"only a scheme", "sip:", unmappable},
		{"no host", "otto@", unmappable},
		{"no user", "@voip.example", unmappable},
		{"injection", "otto@voip.example;x=y?subject=z", unmappable},
		{"line ends", "otto\r\n@voip.example", unmappable},
		{"too long", strings.Repeat("a", 10000), unmappable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j, err := m.Typed(tt.in, "example.org")
			if (err != nil) != (tt.want == unmappable) || err == nil && j.String() != tt.want {
				t.Errorf("got %s, %v; want %s", j, err, tt.want)
			}
			var e *AddressError
			if err != nil && (!errors.As(err, &e) || e.Condition != "not-acceptable" || e.Type != "modify") {
				t.Errorf("got %#v", err)
			}
		})
	}
}

func TestDialPlan(t *testing.T) {
	german := DialPlan{Country: "49", National: "0", International: []string{"00"}}
	tests := []struct {
		name string
		plan DialPlan
		in   string
		want string
	}{
		{"plus", german, "+15551234", "+15551234"},
		{"international", german, "0015551234", "+15551234"},
		{"national", german, "03012345", "+493012345"},
		{"short", german, "110", ""},
		{"zero after plus", german, "+0301", ""},
		{"three zeros", german, "00030123", ""},
		{"star", german, "0*1", ""},
		{"too long", german, "+1234567890123456", ""},
		{"only the prefix", german, "0", ""},
		{"no plan", DialPlan{}, "03012345", ""},
		{"plus without a plan", DialPlan{}, "+4930", "+4930"},
		{"empty", german, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.plan.E164(tt.in)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, ok, tt.want)
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	m, err := Mapping{
		Gateway: "SIP.Bücher.example.", SIPHost: "GW.Bücher.example", DefaultDomain: "PBX.example",
		TelDomains: []string{"Tel.Example"}, DirectDomains: []string{"[2001:DB8::0001]"}, BoundDomains: []string{"a_b.example"},
	}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]string{
		"sip.bücher.example":       m.Gateway,
		"gw.xn--bcher-kva.example": m.SIPHost,
		"pbx.example":              m.DefaultDomain,
		"tel.example":              m.TelDomains[0],
		"[2001:db8::1]":            m.DirectDomains[0],
		"a_b.example":              m.BoundDomains[0],
	} {
		check(t, "domain", got, want)
	}
	for _, bad := range []string{"a b", "a..b", "-a", "a/b", strings.Repeat("a", 64), "a@b", "[::1", "［::1］"} {
		if _, err := (Mapping{TelDomains: []string{"ok.example", bad}}).Prepare(); err == nil || !strings.Contains(err.Error(), "TelDomains") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestAddressError(t *testing.T) {
	_, err := ParseJID("\x00@" + strings.Repeat("ä", 1000))
	var e *AddressError
	if !errors.As(err, &e) || e.Condition != "jid-malformed" || e.Type != "modify" || e.Cause != call.BadRequest {
		t.Fatalf("got %#v", err)
	}
	if len(e.Address) > maxQuoted || strings.ContainsAny(e.Error(), "\x00\r\n") {
		t.Errorf("not fit for logs: %v", e)
	}
	_, err = testMapping(t).URIOfJID(mustJID(t, `a\40b..c@sip.gw.example`))
	if !errors.As(err, &e) || e.Condition != "item-not-found" || e.Type != "cancel" || e.Cause != call.NotFound {
		t.Errorf("got %#v", err)
	}
}

func TestSender(t *testing.T) {
	m := testMapping(t)
	juliet := mustJID(t, "juliet@capulet.example/balcony")
	uri := mustURI(t, "sip:juliet%40capulet.example@x.gw.example")
	hidden := mustURI(t, "sip:anonymous@anonymous.invalid")
	tests := []struct {
		name    string
		options SenderOptions
		want    Sender
	}{
		{"open", SenderOptions{Name: "Juliet\r\n\u202e C"}, Sender{From: uri, Name: "Juliet C"}},
		{"to a trusted peer", SenderOptions{Trusted: true}, Sender{From: uri, Asserted: uri}},
		{"hidden", SenderOptions{Name: "Juliet", Hidden: true}, Sender{From: hidden, Name: "Anonymous", Privacy: "id"}},
		{"hidden, to a trusted peer", SenderOptions{Hidden: true, Trusted: true}, Sender{From: hidden, Name: "Anonymous", Privacy: "id", Asserted: uri}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := m.Sender(juliet, tt.options)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
	if _, err := m.Sender(mustJID(t, "a@sip.gw.example"), SenderOptions{}); err == nil {
		t.Error("a SIP user sends to SIP")
	}
}

func TestCallerIsAlwaysOnOurDomain(t *testing.T) {
	m := testMapping(t)
	for _, uri := range append([]string{
		"sip:romeo@example.org", "sip:x@x.gw.example", "sip:juliet%40capulet.example@x.gw.example",
		"sip:a@b..c", "mailto:x@y", "", "sip:", "tel:", "tel:7042", "sip:example.org", "sip:a@xn--99999999.example",
		"sip:a@sip.gw.example",
	}, nasty()...) {
		c := m.Caller(Claim{From: NameAddr{Name: uri, URI: uri}}, 7)
		if c.JID.Domain != m.Gateway || c.JID.Local == "" || c.JID.Resource == "" || c.Name == "" {
			t.Errorf("%q: got %+v", uri, c)
		}
		if again := mustJID(t, c.JID.String()); again != c.JID {
			t.Errorf("%q: %s is not prepared", uri, c.JID)
		}
	}
}

func TestOrigins(t *testing.T) {
	m := testMapping(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	upper, lower := mustURI(t, "sip:Alice@example.org;gr=x"), mustURI(t, "sip:alice@example.org")
	j, err := m.JIDOfURI(upper)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("case is kept", func(t *testing.T) {
		o := NewOrigins(OriginLimits{})
		if replaced := o.Put(j, upper, now); !replaced.IsZero() {
			t.Errorf("replaced %s", replaced)
		}
		got, ok := o.URI(j.WithResource("other"), now.Add(24*time.Hour-1))
		if !ok || got.String() != "sip:Alice@example.org" {
			t.Errorf("got %s, %v", got, ok)
		}
	})
	t.Run("the last of two that fold wins", func(t *testing.T) {
		o := NewOrigins(OriginLimits{})
		o.Put(j, upper, now)
		if replaced := o.Put(j, lower, now); replaced.User != "Alice" {
			t.Errorf("replaced %s", replaced)
		}
		if replaced := o.Put(j, lower, now); !replaced.IsZero() {
			t.Errorf("replaced %s again", replaced)
		}
		if got, _ := o.URI(j, now); got != lower {
			t.Errorf("got %s", got)
		}
	})
	t.Run("time runs out", func(t *testing.T) {
		o := NewOrigins(OriginLimits{TTL: time.Minute})
		o.Put(j, upper, now)
		o.Put(j, upper, now.Add(30*time.Second))
		if _, ok := o.URI(j, now.Add(89*time.Second)); !ok {
			t.Error("gone too early")
		}
		if u, ok := o.URI(j, now.Add(90*time.Second)); ok || o.Len() != 0 {
			t.Errorf("still %s, %d entries", u, o.Len())
		}
	})
	t.Run("the least used goes first", func(t *testing.T) {
		o := NewOrigins(OriginLimits{Entries: 2})
		b, c := JID{Local: "b", Domain: m.Gateway}, JID{Local: "c", Domain: m.Gateway}
		o.Put(j, upper, now)
		o.Put(b, lower, now)
		o.URI(j, now)
		o.Put(c, lower, now)
		if _, ok := o.URI(b, now); ok || o.Len() != 2 {
			t.Errorf("b is still there, %d entries", o.Len())
		}
		if _, ok := o.URI(j, now); !ok {
			t.Error("the one in use is gone")
		}
	})
	t.Run("a hash leads back until its time is over", func(t *testing.T) {
		o := NewOrigins(OriginLimits{})
		caller := m.Caller(Claim{From: NameAddr{URI: "sip:bad%FF@example.net"}}, 0)
		o.Put(caller.JID, caller.URI, now)
		if u, _ := o.URI(caller.JID.Bare(), now); u.String() != "sip:bad%FF@example.net" {
			t.Errorf("got %s", u)
		}
	})
	t.Run("a spelling is kept", func(t *testing.T) {
		o := NewOrigins(OriginLimits{})
		typed, canonical := mustJID(t, `foo\5cbar@sip.gw.example/r`), mustJID(t, `foo\bar@sip.gw.example`)
		o.Spell(canonical, now)
		if o.Len() != 0 {
			t.Error("the canonical spelling takes a place")
		}
		o.Spell(typed, now)
		check(t, "spelling", o.Spelling(canonical.WithResource("sip"), now).String(), `foo\5cbar@sip.gw.example/sip`)
		check(t, "spelling when its time is over", o.Spelling(canonical, now.Add(48*time.Hour)).String(), canonical.String())
		if u, ok := o.URI(typed, now); ok {
			t.Errorf("it has a URI: %s", u)
		}
	})
}

// alphabet is what random addresses are made of: what is escaped somewhere, what folds,
// what composes, and what is an escape already.
var alphabet = strings.Split(`a b z 0 9 \20 \5c \40 \2F \3A 40 5c " & ' / : < > @ \ % %41 # ? ; , = + $ ! ~ * ( ) - _ . [ ] { } | ^ `+
	"` ü ß é A B F ж ＠ ＼ ４ Ａ \u0301 \u0338 ♚ \u202e \u200d ش \u0000 \r \n \u0085 \ufeff İ ſ 😀 \xff \xc0\xaf +49 sip: sips: tel: ;phone-context= ;ext= anonymous 112", " ")

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.Intn(10) {
		if r.Intn(12) == 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteString(alphabet[r.Intn(len(alphabet))])
	}
	return b.String()
}

// nasty are the strings of RELIABILITY.md section 6.
func nasty() []string {
	list := []string{
		"\x00", "\x7f", "\u0080", "\u009f", "\r", "\n", "\r\n", "\n ", "\u2028", "\u2029", "\u0085", `"`, `\`, `\"`, `a\`,
		"<>&'", "]]>", "<!--", "%00", "%0d%0a", "%zz", "%", ";", "?", ",", "=", "@", ":", "//", "[::1]",
		`\40`, `\5c40`, `\20a`, `a\20`, "sip:", "tel:+1", "xmpp:", "\xed\xa0\x80", "\xc0\xaf", "\ufeff", "\ufffe", "\uffff",
		strings.Repeat("\U0001f600\u200d", 50), "\u202e", "a" + strings.Repeat("\u0301", 500), "１２３", "İ", "ß", "раураl",
		strings.Repeat("a", 1023), strings.Repeat("a", 1024), strings.Repeat("a", 64<<10), "%n%s", "${jndi:}", "=cmd|", "\x1b[31m",
		"100@evil.com;x=y?Subject=z", `100\40evil.com;x=y?subject=z`, "\r\nP-Asserted-Identity: <sip:911@x>", `"Bank" <sip:911@x>`,
		`"></jingle><iq type='set' from='admin@x'`, "x\n2026 level=ERROR admin ok",
	}
	for c := range 0x20 {
		list = append(list, "a"+string(rune(c))+"b")
	}
	return list
}

// checkURIText holds what must be true of any text in a user part.
func checkURIText(t *testing.T, m *Mapping, text string) {
	t.Helper()
	for _, u := range []URI{
		{Scheme: "sip", User: text, Host: "trunk.example"},
		{Scheme: "sip", User: "x", Host: "trunk.example", GRUU: text},
		{Scheme: "sip", User: "x", Host: text},
		{Scheme: "sip", User: "x", Host: "trunk.example", MAddr: text},
		{Scheme: "sip", User: "x", Host: "trunk.example", Transport: text},
		{Scheme: "tel", User: text},
		{Scheme: text, User: "x", Host: "trunk.example"},
	} {
		s := u.String()
		if s == "" {
			continue // refused
		}
		if i := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"\`, r) }); i >= 0 {
			t.Fatalf("%.300q is not fit for a header: %.300v", s, u)
		}
		again, err := ParseURI(s)
		if err != nil || again != u {
			t.Fatalf("%.300v is written %.300q, which is %.300v, %v", u, s, again, err)
		}
	}
	u := URI{Scheme: "sip", User: text, Host: "example.org"}
	for _, host := range []string{"example.org", "pbx.example", "capulet.example"} {
		u.Host = host
		j, err := m.JIDOfURI(u)
		if err != nil {
			continue
		}
		if again, err := ParseJID(j.String()); err != nil || again != j {
			t.Fatalf("%.300v gives %.300q, which is %v, %v", u, j, again, err)
		}
		if j.Canonical() != j {
			t.Fatalf("%.300v gives %.300q, which is not canonical", u, j)
		}
		back, err := m.URIOfJID(j)
		if err != nil {
			if m.emergency(u) || strings.Contains(err.Error(), EmergencyText) {
				continue
			}
			t.Fatalf("%.300v gives %.300q, which leads nowhere: %v", u, j, err)
		}
		folded, _ := foldText.String(u.User)
		if n, err := parseTel(folded); back.Phone && err == nil {
			folded = n.String()
		}
		if back.User != folded || back.Host != host || back.Scheme != "sip" {
			t.Fatalf("%.300v gives %.300q, which leads to %.300v", u, j, back)
		}
	}
}

// checkJIDText holds what must be true of any text as the localpart of a JID.
func checkJIDText(t *testing.T, m *Mapping, text string) {
	t.Helper()
	for _, domain := range []string{"sip.gw.example", "capulet.example"} {
		j, err := NewJID(text, domain, "")
		if err != nil {
			continue
		}
		if again, err := ParseJID(j.String()); err != nil || again != j {
			t.Fatalf("%.300q is %v, %v", j, again, err)
		}
		for name, f := range map[string]func(JID) (URI, error){"URIOfJID": m.URIOfJID, "SenderURI": m.SenderURI, "directURI": directURI} {
			u, err := f(j)
			if err != nil {
				continue
			}
			if again, err := ParseURI(u.String()); err != nil || again != u {
				t.Fatalf("%s of %.300q is %.300v, written %.300q, which is %.300v, %v", name, j, u, u, again, err)
			}
			if name == "SenderURI" && (u.Host != m.SIPHost || domain == m.Gateway) {
				t.Fatalf("%.300q sends as %s", j, u)
			}
			if name != "SenderURI" || j.Local == "" {
				continue
			}
			back, err := m.TargetOf(u)
			if err == nil && back != j.Canonical() || err != nil && j.Canonical().Local == j.Local && Unescape(j.Local) != "" && !edgeSpace(j) {
				t.Fatalf("%.300q sends as %s, which is %.300q, %v", j, u, back, err)
			}
		}
	}
}

// edgeSpace reports whether a JID stands for what none may: a space at an end.
func edgeSpace(j JID) bool {
	s := Unescape(j.Local)
	return strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ")
}

func TestRandomAddresses(t *testing.T) {
	m := testMapping(t)
	r := rand.New(rand.NewSource(7247))
	for range 8000 {
		text := randomText(r)
		checkURIText(t, m, text)
		checkJIDText(t, m, text)
	}
}

func TestNastyAddresses(t *testing.T) {
	m := testMapping(t)
	for _, text := range nasty() {
		for _, s := range []string{text, "a" + text, text + "b", "a" + text + "b"} {
			checkURIText(t, m, s)
			checkJIDText(t, m, s)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range nasty() {
		f.Add(s)
	}
	m := testMapping(f)
	f.Fuzz(func(t *testing.T, text string) {
		checkURIText(t, m, text)
		checkJIDText(t, m, text)
		if u, err := ParseURI(text); err == nil {
			if again, err := ParseURI(u.String()); err != nil || again != u {
				t.Fatalf("%.300q is %.300v, written %.300q, which is %.300v, %v", text, u, u, again, err)
			}
		}
		if j, err := m.Target(text); err == nil && j.Domain == m.Gateway {
			t.Fatalf("%.300q is relayed to %s", text, j)
		}
		_, _ = m.Typed(text, "example.org")
		c := m.Caller(Claim{From: NameAddr{Name: text, URI: text}, Privacy: text}, 0)
		if c.JID.Domain != m.Gateway {
			t.Fatalf("%.300q calls as %s", text, c.JID)
		}
	})
}

func BenchmarkJIDOfURI(b *testing.B) {
	m := testMapping(b)
	u := mustURI(b, "sip:o'hara@example.org")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.JIDOfURI(u); err != nil {
			b.Fatal(err)
		}
	}
}
