package translate

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanName(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "Romeo Montague", "Romeo Montague"},
		{"another script", "Ромео", "Ромео"},
		{"control characters", "a\x00\x01\x1b[31m\x7f\u0085b", "a[31m b"},
		{"line ends", " a\r\n b\tc\u2028d ", "a b c d"},
		{"bidi overrides", "\u202ea\u202d\u2066b\u2069\u200f\u061c", "ab"},
		{"byte order mark and noncharacters", "\ufeffa\ufffe\uffff\ufdd0\U0001ffffb", "ab"},
		{"not UTF-8", "a\xff\xc0\xafb\xed\xa0\x80", "ab"},
		{"the replacement character is a character", "a\ufffdb", "a\ufffdb"},
		{"emoji with joiners", "👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"},
		{"too long", strings.Repeat("ä", 300), strings.Repeat("ä", 128)},
		{"space at the cut", strings.Repeat("a", 127) + " b", strings.Repeat("a", 127)},
		{"only spaces", " \t ", ""},
		{"markup stays text", `"></nick><x a='b'>`, `"></nick><x a='b'>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, "name", CleanName(tt.in), tt.want) })
	}
}

func TestQuoteName(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "Juliet", `"Juliet"`},
		{"empty", "\x01", ""},
		{"header injection", "\"Bank\" <sip:911@x>\r\nP-Asserted-Identity: <sip:1@x>", `"\"Bank\" <sip:911@x> P-Asserted-Identity: <sip:1@x>"`},
		{"backslash at the end", `a\`, `"a\\"`},
		{"escaped quote", `a\"b`, `"a\\\"b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, "quoted", QuoteName(tt.in), tt.want)
			check(t, "within the quotes", QuotedName(tt.in), strings.TrimSuffix(strings.TrimPrefix(tt.want, `"`), `"`))
		})
	}
	check(t, "tokens", UnquoteName(" Romeo  Montague "), "Romeo Montague")
	check(t, "a single quote", UnquoteName(`"`), `"`)
	check(t, "quoted pairs", UnquoteName(`"a\"b\\c\d"`), `a"b\cd`)
}

func TestNickOf(t *testing.T) {
	check(t, "display name", NickOf("Otto", mustJID(t, "otto@sip.gw.example")), "Otto")
	check(t, "user", NickOf("\x01", mustJID(t, `o\27hara\40example.org@sip.gw.example`)), "o'hara@example.org")
	check(t, "number", NickOf("", mustJID(t, "+14155550100@sip.gw.example")), "+14155550100")
}

// checkName holds what must be true of any display name.
func checkName(t *testing.T, s string) {
	t.Helper()
	name := CleanName(s)
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName || CleanName(name) != name {
		t.Fatalf("CleanName(%.200q) = %.200q", s, name)
	}
	if strings.ContainsAny(name, "\r\n\t\x00\u202e\u2028") || strings.TrimSpace(name) != name {
		t.Fatalf("CleanName(%.200q) = %.200q", s, name)
	}
	if got := UnquoteName(QuoteName(s)); got != name {
		t.Fatalf("%.200q is quoted %.200q, which is %.200q", s, QuoteName(s), got)
	}
	// What an XML serializer would have to replace is gone before.
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(name)); err != nil || strings.Count(b.String(), "\ufffd") != strings.Count(name, "\ufffd") {
		t.Fatalf("%.200q is no XML text: %v", name, err)
	}
	header := `Reason: SIP;cause=480;text="` + escapeQuoted(name) + `"`
	if parts := splitQuoted(header, ';'); len(parts) != 3 {
		t.Fatalf("%.200q adds a parameter: %.200q", s, header)
	}
	h := ReasonHeader{Protocol: "SIP", Cause: 480, Text: name}
	if again, err := ParseReasons(h.String()); err != nil || len(again) != 1 || again[0] != h {
		t.Fatalf("%.200q is %.200v, %v", h, again, err)
	}
	if p := Phrase(480, s); p == "" || len(p) > maxPhrase || strings.IndexFunc(p, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		t.Fatalf("Phrase(%.200q) = %.200q", s, p)
	}
}

func TestNastyNames(t *testing.T) {
	for _, s := range nasty() {
		for _, s := range []string{s, "a" + s, s + "b", "a" + s + "b", `"` + s + `"`} {
			checkName(t, s)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range nasty() {
		f.Add(s)
	}
	f.Fuzz(checkName)
}

func FuzzReasons(f *testing.F) {
	f.Add(`SIP ;cause=200 ;text="Call completed elsewhere", Q.850;cause=16`)
	f.Add(`SIP;text="a\`)
	f.Fuzz(func(t *testing.T, s string) {
		reasons, err := ParseReasons(s)
		if err != nil {
			return
		}
		if len(reasons) > maxReasons {
			t.Fatalf("%d values", len(reasons))
		}
		_, _ = CauseOfBye(reasons, true)
		_, _ = CauseOfCancel(reasons)
		for _, h := range reasons {
			again, err := ParseReasons(h.String())
			if err != nil || len(again) != 1 || again[0].Protocol != h.Protocol || again[0].Cause != h.Cause {
				t.Fatalf("%q is %+v, %v", h, again, err)
			}
		}
	})
}
