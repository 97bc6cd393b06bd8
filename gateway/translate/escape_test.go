package translate

import (
	"fmt"
	"math/rand"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// The rules of XEP-0106 once more, in the plainest form (INTERWORKING.md 1.3).
var (
	mustEscape   = regexp.MustCompile(`[ "&'/:<>@]|\\(?i:20|22|26|27|2f|3a|3c|3e|40|5c)`)
	mustUnescape = regexp.MustCompile(`\\(20|22|26|27|2f|3a|3c|3e|40|5c)`)
)

func plainEscape(s string) (string, bool) {
	r := mustEscape.ReplaceAllStringFunc(s, func(m string) string {
		return fmt.Sprintf(`\%02x`, m[0]) + m[1:]
	})
	return r, !strings.HasPrefix(r, `\20`) && !strings.HasSuffix(r, `\20`)
}

func plainUnescape(s string) string {
	return mustUnescape.ReplaceAllStringFunc(s, func(m string) string {
		var c byte
		_, _ = fmt.Sscanf(m[1:], "%02x", &c)
		return string(rune(c))
	})
}

// checkEscape holds Escape and Unescape against the plain form.
func checkEscape(t *testing.T, s string) {
	t.Helper()
	got, err := Escape(s)
	want, ok := plainEscape(s)
	// A backslash before 20 is escaped, so only a space can make an edge \20.
	if (err == nil) != ok || err == nil && got != want {
		t.Fatalf("Escape(%.200q) = %.200q, %v; want %.200q, %v", s, got, err, want, ok)
	}
	if err == nil && Unescape(got) != s {
		t.Fatalf("Unescape(%.200q) = %.200q, want %.200q", got, Unescape(got), s)
	}
	if got, want := Unescape(s), plainUnescape(s); got != want {
		t.Fatalf("Unescape(%.200q) = %.200q, want %.200q", s, got, want)
	}
	for _, safe := range []string{userSafe, paramSafe} {
		encoded := percentEncode(s, safe)
		decoded, ok := percentDecode(encoded, safe)
		if !ok || decoded != s {
			t.Fatalf("%.200q is encoded %.200q, which is %.200q, %v", s, encoded, decoded, ok)
		}
		if plain, err := url.PathUnescape(encoded); err != nil || plain != s {
			t.Fatalf("%.200q is encoded %.200q, which is %.200q, %v to others", s, encoded, plain, err)
		}
	}
}

func TestEscape(t *testing.T) {
	tests := []struct {
		rule, in string
		want     string // empty: an error
	}{
		{"all ten", ` "&'/:<>@\20`[1:], `\22\26\27\2f\3a\3c\3e\40\5c20`},
		{"R1 backslash alone", `back\slash`, `back\slash`},
		{"R1 backslash before an escape", `c\5commas`, `c\5c5commas`},
		{"R1 upper case", `x\2Fy`, `x\5c2Fy`},
		{"R1 backslash before the end", `x\2`, `x\2`},
		{"R1 two backslashes", `\\5c`, `\\5c5c`},
		{"R4 leading space", ` bob`, ""},
		{"R4 trailing space", `bob `, ""},
		{"R4 literal text of a space", `\20bob`, `\5c20bob`},
		{"space inside", `a b`, `a\20b`},
		{"nothing to do", `alice`, `alice`},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			got, err := Escape(tt.in)
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestUnescape(t *testing.T) {
	tests := []struct{ rule, in, want string }{
		{"R2 upper case is literal", `a\2Fb`, `a\2Fb`},
		{"R2 others are literal", `a\21b\`, `a\21b\`},
		{"R3 once", `\5c40`, `\40`},
		{"space cadet", `space\20cadet`, `space cadet`},
		{"at the end", `+1555\40x`, `+1555@x`},
		{"cut off", `a\4`, `a\4`},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) { check(t, "text", Unescape(tt.in), tt.want) })
	}
}

func TestEscapeAgreesWithThePlainRules(t *testing.T) {
	r := rand.New(rand.NewSource(106))
	for range 20000 {
		checkEscape(t, randomText(r))
	}
	for _, s := range nasty() {
		checkEscape(t, s)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range nasty() {
		f.Add(s)
	}
	f.Fuzz(checkEscape)
}

func TestPercentDecodeRefuses(t *testing.T) {
	for _, s := range []string{"%", "%4", "%zz", "a%", "%4g", " ", "é", `"`, "<", "\x00"} {
		if got, ok := percentDecode(s, userSafe); ok {
			t.Errorf("%q: got %q", s, got)
		}
	}
}

func TestParseJID(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"full", "Juliet@Capulet.Example/Balcony", "juliet@capulet.example/Balcony"},
		{"domain", "capulet.example", "capulet.example"},
		{"dot at the end", "juliet@capulet.example.", "juliet@capulet.example"},
		{"domain with a resource that holds an at", "conf.example.com/foo@bar", "conf.example.com/foo@bar"},
		{"slash and at in a resource", "a@b.example/c/d@e", "a@b.example/c/d@e"},
		{"full stops of another script", "bob@bücher。example。", "bob@bücher.example"},
		{"two full stops of another script", "bob@bücher.example。．", ""},
		{"brackets of another script", "bob@［::1］", ""},
		{"A-label", "bob@XN--BCHER-KVA.example", "bob@bücher.example"},
		{"IPv6", "a@[2001:DB8::0:1]", "a@[2001:db8::1]"},
		{"IPv4", "a@192.0.2.1", "a@192.0.2.1"},
		{"full width", "ｂｏｂ@example.com", "bob@example.com"},
		{"final sigma is no matter", "ΒΌΣ@example.com", "βόσ@example.com"},
		{"digit before another script", "2ü@example.com", "2ü@example.com"},
		{"right to left", "שלום@example.com", "שלום@example.com"},
		{"1023 octets", strings.Repeat("a", 1023) + "@example.com", strings.Repeat("a", 1023) + "@example.com"},
		{"spaces of another kind in a resource", "a@b.example/x\u00a0y", "a@b.example/x y"},
		{"1024 octets", strings.Repeat("a", 1024) + "@example.com", ""},
		{"resource of 1024 octets", "a@b.example/" + strings.Repeat("a", 1024), ""},
		{"both directions", "aשb@example.com", ""},
		{"empty", "", ""},
		{"empty localpart", "@example.com", ""},
		{"empty resource", "a@example.com/", ""},
		{"empty domain", "a@", ""},
		{"only a dot", "a@.", ""},
		{"empty label", "a@b..c", ""},
		{"two ats", "a@b@c", ""},
		{"space", "a b@example.com", ""},
		{"quote", `a"b@example.com`, ""},
		{"apostrophe", "o'hara@example.com", ""},
		{"control character", "a\x01b@example.com", ""},
		{"control character in a resource", "a@b.example/x\x01", ""},
		{"not UTF-8", "a\xff@example.com", ""},
		{"domain that is not UTF-8", "a@\xff.example", ""},
		{"symbol", "♚@example.com", ""},
		{"right-to-left override", "a\u202eb@example.com", ""},
		{"broken A-label", "a@xn--99999999.example", ""},
		{"A-label of ASCII", "a@xn--abc-.example", ""},
		{"IPv6 with a zone", "a@[fe80::1%eth0]", ""},
		{"IPv4 in brackets", "a@[192.0.2.1]", ""},
		{"label of 64 octets", "a@" + strings.Repeat("a", 64) + ".example", ""},
		{"long domain", "a@" + strings.Repeat("a.", 200) + "example", ""},
		{"slash from folding", "a@b／c.example", ""},
		{"at from folding", "a＠b@c.example", ""},
		{"space of another kind in a localpart", "a\u00a0b@c.example", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j, err := ParseJID(tt.in)
			if (err != nil) != (tt.want == "") || j.String() != tt.want {
				t.Errorf("got %.80q, %v; want %.80q", j, err, tt.want)
			}
			if again, err := ParseJID(tt.want); tt.want != "" && (err != nil || again != j) {
				t.Errorf("again: got %.80q, %v", again, err)
			}
		})
	}
}

func TestJID(t *testing.T) {
	j := mustJID(t, `foo\5cbar@capulet.example/r`)
	check(t, "bare", j.Bare().String(), `foo\5cbar@capulet.example`)
	check(t, "canonical", j.Canonical().String(), `foo\bar@capulet.example/r`)
	check(t, "with a resource", j.WithResource("sip").String(), `foo\5cbar@capulet.example/sip`)
	check(t, "canonical of what stands for a space at the end", mustJID(t, `a\20@b.example`).Canonical().String(), `a\20@b.example`)
	if j.IsZero() || !(JID{}).IsZero() {
		t.Error("IsZero is wrong")
	}
	if bare := mustJID(t, "capulet.example").Bare(); bare.String() != "capulet.example" {
		t.Errorf("the bare JID of a domain is %s", bare)
	}
}

func TestParseURI(t *testing.T) {
	tests := []struct {
		name, in string
		want     URI
		status   int // of the error; 0 for none
	}{
		{"plain", "sip:alice@example.org", URI{Scheme: "sip", User: "alice", Host: "example.org"}, 0},
		{"case", "SIPS:Alice@EXAMPLE.org:5061", URI{Scheme: "sips", User: "Alice", Host: "example.org", Port: 5061}, 0},
		{"password", "sip:alice:s%20c@example.org", URI{Scheme: "sip", User: "alice", Host: "example.org"}, 0},
		{
			"parameters", "sip:alice@example.org;Transport=TCP;maddr=192.0.2.1;user=PHONE;lr;gr=urn:x;method=BYE;ttl=1",
			URI{Scheme: "sip", User: "alice", Host: "example.org", Transport: "tcp", MAddr: "192.0.2.1", Phone: true, LR: true, GRUU: "urn:x"},
			0,
		},
		{"escaped parameter name", "sip:a@b.example;%75ser=phone", URI{Scheme: "sip", User: "a", Host: "b.example", Phone: true}, 0},
		{"another user type", "sip:a@b.example;user=ip;lr=on", URI{Scheme: "sip", User: "a", Host: "b.example", LR: true}, 0},
		{"temporary GRUU", "sip:tgruu.7hs==jd7@b.example;gr", URI{Scheme: "sip", User: "tgruu.7hs==jd7", Host: "b.example", TempGRUU: true}, 0},
		{"headers", "sip:a@b.example?Subject=x%20y&To=z", URI{Scheme: "sip", User: "a", Host: "b.example"}, 0},
		{"what may stand in a user", "sip:a;b=c?d/e&f+g$h,i@b.example", URI{Scheme: "sip", User: "a;b=c?d/e&f+g$h,i", Host: "b.example"}, 0},
		{"escaped at and NUL", "sip:a%40b%00@b.example", URI{Scheme: "sip", User: "a@b\x00", Host: "b.example"}, 0},
		{"no user", "sip:b.example.;lr", URI{Scheme: "sip", Host: "b.example", LR: true}, 0},
		{"IPv6", "sip:a@[2001:DB8:0::1]:5070", URI{Scheme: "sip", User: "a", Host: "[2001:db8::1]", Port: 5070}, 0},
		{"im", "im:a@b.example", URI{Scheme: "sip", User: "a", Host: "b.example"}, 0},
		{"tel", "tel:+1-(415).555;phone-context=x.example", URI{Scheme: "tel", User: "+1415555"}, 0},
		{"local tel", "TEL:70-42;EXT=2.2;isub=A;Phone-Context=+49.30", URI{Scheme: "tel", User: "7042;isub=a;ext=22;phone-context=+4930"}, 0},
		{"hash and star", "tel:*31#;phone-context=+49", URI{Scheme: "tel", User: "*31#;phone-context=+49"}, 0},
		{"http", "http://example.org", URI{}, 416},
		{"emergency service", "URN:SERVICE:SOS", URI{}, 404},
		{"another service", "urn:service:counseling", URI{}, 416},
		{"bad scheme", "s ip:a@b", URI{}, 400},
		{"nothing", "", URI{}, 400},
		{"wildcard", "*", URI{}, 400},
		{"only a scheme", "sip:", URI{}, 400},
		{"empty user", "sip:@b.example", URI{}, 400},
		{"empty user with a password", "sip::x@b.example", URI{}, 400},
		{"two ats", "sip:a@b@c.example", URI{}, 400},
		{"no host", "sip:a@", URI{}, 400},
		{"no host, with a port", "sip:a@:5060", URI{}, 400},
		{"space", "sip:a b@c.example", URI{}, 400},
		{"bad escape", "sip:a%4@c.example", URI{}, 400},
		{"bad escape in the password", "sip:a:%4@c.example", URI{}, 400},
		{"bad host", "sip:a@b_c!.example", URI{}, 400},
		{"host that is not ASCII", "sip:a@bücher.example", URI{}, 400},
		{"escaped host", "sip:a@b%2Eexample", URI{}, 400},
		{"port 0", "sip:a@b.example:0", URI{}, 400},
		{"large port", "sip:a@b.example:65536", URI{}, 400},
		{"huge port", "sip:a@b.example:99999999999999999999", URI{}, 400},
		{"empty port", "sip:a@b.example:", URI{}, 400},
		{"unclosed bracket", "sip:a@[::1", URI{}, 400},
		{"after the bracket", "sip:a@[::1]x", URI{}, 400},
		{"IPv6 without brackets", "sip:a@2001:db8::1", URI{}, 400},
		{"three colons", "sip:a@[2001:db8:::1]", URI{}, 400},
		{"empty parameter", "sip:a@b.example;;lr", URI{}, 400},
		{"parameter twice", "sip:a@b.example;gr=x;GR=y", URI{}, 400},
		{"bad transport", "sip:a@b.example;transport=t%0Ap", URI{}, 400},
		{"bad maddr", "sip:a@b.example;maddr=x:y", URI{}, 400},
		{"at in a parameter", "sip:a@b.example;x=y@z", URI{}, 400},
		{"bad headers", "sip:a@b.example?x=\"y\"", URI{}, 400},
		{"line end", "sip:a@b.example\r\nX: y", URI{}, 400},
		{"too long", "sip:" + strings.Repeat("a", 9000) + "@b.example", URI{}, 400},
		{"tel that is a name", "tel:alice", URI{}, 400},
		{"tel with an injection", "tel:+1@evil.example", URI{}, 400},
		{"tel without digits", "tel:+", URI{}, 400},
		{"tel with a bad context", "tel:1;phone-context=a/b", URI{}, 400},
		{"tel with a bad extension", "tel:+1;ext=x", URI{}, 400},
		{"tel with an empty subaddress", "tel:+1;isub=", URI{}, 400},
		{"tel with a parameter twice", "tel:+1;ext=2;ext=3", URI{}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseURI(tt.in)
			if tt.status != 0 {
				if err == nil {
					t.Fatalf("got %+v", u)
				}
				if got := statusOf(t, err); got != tt.status {
					t.Errorf("got %d, want %d: %v", got, tt.status, err)
				}
				return
			}
			if err != nil || u != tt.want {
				t.Fatalf("got %+v, %v", u, err)
			}
			if again, err := ParseURI(u.String()); err != nil || again != u {
				t.Errorf("%s is %+v, %v", u, again, err)
			}
		})
	}
}

func TestURIThatCannotBeWritten(t *testing.T) {
	for _, u := range []URI{
		{},
		{Scheme: "sip"},
		{Scheme: "mailto", User: "a", Host: "b.example"},
		{Scheme: "sip", Host: "b.example;x=y"},
		{Scheme: "sip", Host: "B.example"},
		{Scheme: "sip", Host: "b.example:5060"},
		{Scheme: "sip", Host: "b.example", Port: -1},
		{Scheme: "sip", Host: "b.example", Port: 70000},
		{Scheme: "sip", Host: "b.example", Transport: "UDP\r\n"},
		{Scheme: "sip", Host: "b.example", MAddr: "x y"},
		{Scheme: "sip", Host: "b.example", GRUU: "x", TempGRUU: true},
		{Scheme: "sip", Host: "b.example", User: strings.Repeat("a", 9000)},
		{Scheme: "tel", User: "alice"},
		{Scheme: "tel", User: "+1-2"},
		{Scheme: "tel", User: "+1", Host: "b.example"},
		{Scheme: "tel", User: strings.Repeat("1", 9000)},
	} {
		if got := u.String(); got != "" {
			t.Errorf("%.200v is written %.200q", u, got)
		}
	}
}

// A SIP library takes the slashes for those of http.
func TestTwoSlashesAreNoAuthority(t *testing.T) {
	u := URI{Scheme: "sip", User: "//a/b", Host: "trunk.example"}
	check(t, "URI", u.String(), "sip:/%2Fa/b@trunk.example")
	if again, err := ParseURI(u.String()); err != nil || again != u {
		t.Errorf("got %+v, %v", again, err)
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[string]string{
		"tel:+1-415-555-0100;ext=2":         "+14155550100",
		"sip:+1(415)5550100@pbx.example":    "+14155550100",
		"sip:*97@pbx.example":               "*97",
		"sip:alice@pbx.example":             "",
		"sip:abc@pbx.example":               "",
		"sip:pbx.example":                   "",
		"sip:%2B14155550100%40x@b.example":  "",
		"sip:7042;phone-context=x@a.exampl": "7042",
	} {
		check(t, in, mustURI(t, in).Number(), want)
	}
}
