package translate

import (
	"errors"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
)

// Each test here is a statement of INTERWORKING.md section 8.

func jidOf(t *testing.T, m *Mapping, uri string) string {
	t.Helper()
	u, err := ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	j, err := m.JIDOfURI(u)
	if err != nil {
		t.Fatal(err)
	}
	return j.String()
}

func uriOf(t *testing.T, m *Mapping, jid string) string {
	t.Helper()
	u, err := m.URIOfJID(mustJID(t, jid))
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func mustJID(t testing.TB, s string) JID {
	t.Helper()
	j, err := ParseJID(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func mustURI(t testing.TB, s string) URI {
	t.Helper()
	u, err := ParseURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// status returns the SIP status of an error, or fails.
func statusOf(t *testing.T, err error) int {
	t.Helper()
	var e *AddressError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an AddressError", err)
	}
	return e.Status
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestA01EscapedUserIsRoutedToItsURI(t *testing.T) {
	check(t, "URI", uriOf(t, testMapping(t), `alice\40example.org@sip.gw.example`), "sip:alice@example.org")
}

func TestA02ApostropheIsEscaped(t *testing.T) {
	check(t, "JID", jidOf(t, testMapping(t), "sip:o'hara@example.org"), `o\27hara\40example.org@sip.gw.example`)
}

func TestA03AllTenEscapesRoundTrip(t *testing.T) {
	m := testMapping(t)
	for _, c := range ` "&'/:<>@\` {
		uri := URI{Scheme: "sip", User: "a" + string(c) + "b", Host: "example.org"}.String()
		back := uriOf(t, m, jidOf(t, m, uri))
		if mustURI(t, back) != mustURI(t, uri) {
			t.Errorf("%q: %s came back as %s", c, uri, back)
		}
	}
}

func TestA04LiteralBackslashBeforePairIsEscaped(t *testing.T) {
	m := testMapping(t)
	check(t, "JID", jidOf(t, m, "sip:c%5C5commas@pbx.example"), `c\5c5commas@sip.gw.example`)
	check(t, "URI", uriOf(t, m, `c\5c5commas@sip.gw.example`), "sip:c%5C5commas@pbx.example")
}

func TestA05PairTestFoldsCase(t *testing.T) {
	check(t, "JID", jidOf(t, testMapping(t), "sip:x%5C2Fy@pbx.example"), `x\5c2fy@sip.gw.example`)
}

func TestA06SpaceAtTheEdgeIsUnmappable(t *testing.T) {
	for _, uri := range []string{"sip:%20bob@example.org", "sip:%20bob@pbx.example"} {
		if j, err := testMapping(t).JIDOfURI(mustURI(t, uri)); err == nil {
			t.Errorf("%s: got %s", uri, j)
		}
	}
}

func TestA07NotUTF8IsUnmappableButCalls(t *testing.T) {
	m := testMapping(t)
	uri := "sip:bad%FF@example.net"
	if j, err := m.JIDOfURI(mustURI(t, uri)); err == nil {
		t.Errorf("got %s", j)
	}
	first := m.Caller(Claim{From: NameAddr{URI: uri}}, 1)
	again := m.Caller(Claim{From: NameAddr{URI: uri + ";transport=tcp"}}, 2)
	check(t, "JID", first.JID.String(), "sip-cciy5j73dwg7vb44ee2yzuu3ms@sip.gw.example/sip")
	check(t, "JID of a second call", again.JID.String(), first.JID.String())
	check(t, "URI to call back", first.URI.String(), uri)
	if !first.Hashed {
		t.Error("it is not said to be a hash")
	}
	if _, err := m.URIOfJID(first.JID.Bare()); statusOf(t, err) != 404 {
		t.Errorf("got %v", err)
	}
}

func TestA08PercentEncodingIsUpperCase(t *testing.T) {
	m := testMapping(t)
	u, err := directURI(mustJID(t, "tschüss@xmpp.example"))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "direct", u.String(), "sip:tsch%C3%BCss@xmpp.example")
	check(t, "by the component", uriOf(t, m, "tschüss@sip.gw.example"), "sip:tsch%C3%BCss@pbx.example")
}

func TestA09HashPercentAndAmpersand(t *testing.T) {
	m := testMapping(t)
	check(t, "hash and percent", uriOf(t, m, "a#b%c@sip.gw.example"), "sip:a%23b%25c@pbx.example")
	check(t, "ampersand and space", uriOf(t, m, `at\26t\20guy@sip.gw.example`), "sip:at&t%20guy@pbx.example")
}

func TestA10IDNHost(t *testing.T) {
	j, err := directJID(mustURI(t, "sip:bob@xn--bcher-kva.example"))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "JID", j.String(), "bob@bücher.example")
	u, err := directURI(j)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "URI", u.String(), "sip:bob@xn--bcher-kva.example")
}

func TestA11OneNumberOneJID(t *testing.T) {
	for _, uri := range []string{"tel:+1-415-555-0100", "sip:+14155550100@pbx.example", "sip:+1(415)5550100@pbx.example;user=phone"} {
		check(t, uri, jidOf(t, testMapping(t), uri), "+14155550100@sip.gw.example")
	}
}

func TestA12NumberBecomesPhoneURI(t *testing.T) {
	check(t, "URI", uriOf(t, testMapping(t), "+14155550100@sip.gw.example"), "sip:+14155550100@pbx.example;user=phone")
}

func TestA13NumberOfAnotherDomainKeepsIt(t *testing.T) {
	m := testMapping(t)
	jid := `+14155550100\40other.example@sip.gw.example`
	check(t, "JID", jidOf(t, m, "sip:+14155550100@other.example;user=phone"), jid)
	check(t, "URI", uriOf(t, m, jid), "sip:+14155550100@other.example")
	m.TelDomains = nil // then the default domain has no numbers either
	check(t, "JID", jidOf(t, m, "sip:+14155550100@pbx.example"), `+14155550100\40pbx.example@sip.gw.example`)
}

func TestA14LocalNumberWithoutContext(t *testing.T) {
	m := testMapping(t)
	_, err := m.Target("tel:7042")
	if statusOf(t, err) != 484 {
		t.Errorf("got %v", err)
	}
	if j, err := m.JIDOfURI(mustURI(t, "tel:7042")); err == nil {
		t.Errorf("got %s", j)
	}
	m.DefaultContext = "example.com"
	check(t, "with a default context", jidOf(t, m, "tel:7042"), "7042;phone-context=example.com@sip.gw.example")
}

func TestA15EscapedJIDAtSIPHost(t *testing.T) {
	m := testMapping(t)
	j, err := m.Target("sip:juliet%40capulet.example@x.gw.example")
	if err != nil {
		t.Fatal(err)
	}
	check(t, "JID", j.String(), "juliet@capulet.example")
	u, err := m.SenderURI(j)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "From", u.String(), "sip:juliet%40capulet.example@x.gw.example")
}

func TestA16EscapedAtInAUser(t *testing.T) {
	m := testMapping(t)
	j := mustJID(t, `user\40host@ex.example`)
	u, err := m.SenderURI(j)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "URI", u.String(), "sip:user%40host%40ex.example@x.gw.example")
	back, err := m.Target(u.String())
	if err != nil || back != j {
		t.Errorf("got %s, %v", back, err)
	}
}

func TestA17GRUU(t *testing.T) {
	m := testMapping(t)
	check(t, "with a value", mustJID(t, jidOf(t, m, "sip:alice@example.org;gr=home%20desk")).Resource, "home desk")
	check(t, "without a value", mustJID(t, jidOf(t, m, "sip:alice@example.org;gr")).Resource, "")
}

func TestA18ResourceIsEscapedInGR(t *testing.T) {
	u, err := directURI(mustJID(t, "juliet@example.com/a;b=c@d"))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "URI", u.String(), "sip:juliet@example.com;gr=a%3Bb%3Dc%40d")
}

func TestA19UnknownSchemeAndUser(t *testing.T) {
	m := testMapping(t)
	tests := []struct {
		name, uri string
		status    int
	}{
		{"unknown scheme", "mailto:juliet@capulet.example", 416},
		{"syntactically broken", "sip:a b@x.gw.example", 400},
		{"no scheme", "juliet", 400},
		{"unknown host", "sip:juliet@elsewhere.example", 404},
		{"unmappable user", "sip:bad%FF%40capulet.example@x.gw.example", 404},
		{"a number that nobody has", "sip:+14155550100@x.gw.example;user=phone", 404},
		{"a tel number that nobody has", "tel:+14155550100", 404},
		{"the gateway itself", "sip:x.gw.example", 404},
		{"no relay back to SIP", "sip:%2B14155550100%40sip.gw.example@x.gw.example", 404},
		{"nothing before the at", "sip:%40capulet.example@x.gw.example", 404},
		{"a bad domain", "sip:juliet%40capulet..example@x.gw.example", 404},
		{"an emergency service", "urn:service:sos.police", 404},
		{"an emergency number", "sip:112@x.gw.example", 404},
		{"an emergency number in disguise", "sip:1-1-2;phone-context=x.example@pbx.example;user=phone", 404},
		{"an emergency tel", "tel:911;phone-context=+1", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j, err := m.Target(tt.uri)
			if err == nil {
				t.Fatalf("got %s", j)
			}
			if got := statusOf(t, err); got != tt.status {
				t.Errorf("got %d, want %d: %v", got, tt.status, err)
			}
		})
	}
}

func TestA20SIPSIsRefusedByDefault(t *testing.T) {
	m := testMapping(t)
	uri := "sips:juliet%40capulet.example@x.gw.example"
	_, err := m.Target(uri)
	var e *AddressError
	if !errors.As(err, &e) || e.Status != 480 || e.Warning == "" || e.Cause != call.Unavailable {
		t.Fatalf("got %#v", err)
	}
	m.SIPSInbound = AllowSIPS
	if j, err := m.Target(uri); err != nil || j.String() != "juliet@capulet.example" {
		t.Errorf("got %s, %v", j, err)
	}
}

func TestA21PrivacyMakesAnonymous(t *testing.T) {
	m := testMapping(t)
	asserted := []NameAddr{{Name: "Romeo", URI: "sip:romeo@example.net"}, {URI: "tel:+14155550100"}}
	tests := []struct {
		name  string
		claim Claim
	}{
		{"privacy id", Claim{Privacy: "id", From: NameAddr{URI: "sip:romeo@example.net"}}},
		{"privacy id of several", Claim{Privacy: "critical; ID", From: NameAddr{URI: "sip:romeo@example.net"}}},
		{"privacy user", Claim{Privacy: "user", From: NameAddr{URI: "sip:romeo@example.net"}}},
		{"privacy header", Claim{Privacy: "header;none", From: NameAddr{URI: "sip:romeo@example.net"}}},
		{"anonymous host", Claim{From: NameAddr{URI: "sip:anonymous@anonymous.invalid"}}},
		{"anonymous host with another user", Claim{From: NameAddr{URI: "sip:c8oqz84zk7z@anonymous.invalid"}}},
		{"anonymous name", Claim{From: NameAddr{Name: `"Anonymous"`, URI: "sip:romeo@example.net"}}},
		{"anonymous user", Claim{From: NameAddr{URI: "sip:Anonymous@pbx.example"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, trusted := range []bool{false, true} {
				tt.claim.Trusted, tt.claim.Asserted = trusted, asserted
				c := m.Caller(tt.claim, 0xABC123)
				check(t, "JID", c.JID.String(), "anonymous@sip.gw.example/a-abc123")
				check(t, "name", c.Name, "Anonymous")
				if !c.Anonymous || !c.URI.IsZero() {
					t.Errorf("it can be traced: %+v", c)
				}
			}
		})
	}
	if a, b := m.Caller(tests[0].claim, 1), m.Caller(tests[0].claim, 2); a.JID == b.JID {
		t.Errorf("two callers are both %s", a.JID)
	}
	if _, err := m.URIOfJID(mustJID(t, "anonymous@sip.gw.example")); statusOf(t, err) != 404 {
		t.Errorf("an anonymous caller can be called: %v", err)
	}
}

func TestA22AssertedIdentityOfTrustedPeersOnly(t *testing.T) {
	m := testMapping(t)
	from := NameAddr{Name: "Mallory", URI: "sip:mallory@example.net"}
	tests := []struct {
		name     string
		trusted  bool
		asserted []NameAddr
		jid      string
		shown    string
	}{
		{"not trusted", false, []NameAddr{{URI: "sip:romeo@example.net"}}, `mallory\40example.net@sip.gw.example/sip`, "Mallory"},
		{"trusted, none asserted", true, nil, `mallory\40example.net@sip.gw.example/sip`, "Mallory"},
		{"trusted", true, []NameAddr{{Name: `"Romeo \"M\""`, URI: "sip:romeo@example.net"}}, `romeo\40example.net@sip.gw.example/sip`, `Romeo "M"`},
		{"sip before tel", true, []NameAddr{{URI: "tel:+14155550100"}, {Name: "Romeo", URI: "sip:romeo@example.net"}}, `romeo\40example.net@sip.gw.example/sip`, "Romeo"},
		{"tel alone", true, []NameAddr{{URI: "tel:+1-415-555-0100"}}, "+14155550100@sip.gw.example/sip", "Mallory"},
		{"broken ones are passed over", true, []NameAddr{{URI: "sip:@"}, {URI: "http://x"}, {URI: "tel:+14155550100"}}, "+14155550100@sip.gw.example/sip", "Mallory"},
		{"only broken ones", true, []NameAddr{{URI: "sip:@"}}, `mallory\40example.net@sip.gw.example/sip`, "Mallory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := m.Caller(Claim{From: from, Asserted: tt.asserted, Trusted: tt.trusted}, 0)
			check(t, "JID", c.JID.String(), tt.jid)
			check(t, "name", c.Name, tt.shown)
		})
	}
}

func TestA25DisplayNameIsCleaned(t *testing.T) {
	c := testMapping(t).Caller(Claim{From: NameAddr{Name: "\"Ro\r\nmeo\x01 \u202eM\"", URI: "sip:romeo@example.net"}}, 0)
	check(t, "name", c.Name, "Ro meo M")
}

func TestC07Refusals(t *testing.T) {
	tests := []struct {
		name         string
		refusals     Refusals
		cause        call.Cause
		detail       call.Detail
		status, q850 int
	}{
		{"reject without reason", Refusals{}, call.Rejected, call.Detail{}, 480, 21},
		{"reject without reason, configured", Refusals{PlainReject: 486}, call.Rejected, call.Detail{Q850: 21}, 486, 21},
		{"the device gave up ringing", Refusals{}, call.NoAnswer, call.Detail{Q850: 19}, 480, 19},
		{"busy", Refusals{}, CauseOfReason("busy"), call.Detail{}, 486, 17},
		{"decline", Refusals{}, CauseOfReason("decline"), call.Detail{}, 603, 21},
		{"decline, configured", Refusals{Decline: 480}, CauseOfReason("decline"), call.Detail{}, 480, 21},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status, q850 := tt.refusals.StatusOf(tt.cause, tt.detail); status != tt.status || q850 != tt.q850 {
				t.Errorf("got %d, %d; want %d, %d", status, q850, tt.status, tt.q850)
			}
		})
	}
}

func TestC08NoAnswer(t *testing.T) {
	for _, q := range []int{18, 19} { // without and with a sign of ringing
		if status, q850 := StatusOf(call.NoAnswer, call.Detail{Q850: q}); status != 480 || q850 != q {
			t.Errorf("got %d, %d; want 480, %d", status, q850, q)
		}
	}
	if status, q850 := StatusOf(call.NoAnswer, call.Detail{}); status != 480 || q850 != 19 {
		t.Errorf("got %d, %d; want 480, 19", status, q850)
	}
}

func TestC12Busy(t *testing.T) {
	c := CauseOfStatus(486, 0)
	if got := ReasonOf(c, call.Detail{Status: 486, Text: "Busy Here"}); c != call.Busy || got != "busy" {
		t.Errorf("got %s, %s", c, got)
	}
}

func TestC53UnknownReasonIsAGeneralError(t *testing.T) {
	for _, name := range []string{"application-error", "x", strings.Repeat("y", 100000)} {
		if got := CauseOfReason(name); got != call.Failed {
			t.Errorf("got %s", got)
		}
	}
	if status, q850 := StatusOf(call.Failed, call.Detail{}); status != 500 || q850 != 41 {
		t.Errorf("got %d, %d; want 500, 41", status, q850)
	}
}
