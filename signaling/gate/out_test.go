package gate

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// nasty are the strings that every text input must bear.
var nasty = func() []string {
	out := []string{
		"", "plain", "\x00", "\r", "\n", "\r\n", "\n ", "\r\n ", "\u2028", "\u2029", "\u0085", `"`, `\`, `\"`, `trailing\`,
		"<>&'", "]]>", "<!--", "%00", "%0d%0a", "%zz", "%", ";", "?", ",", "=", "@", ":", "//", "[::1]",
		`\40`, `\5c40`, `\20`, "sip:", "tel:+1", "xmpp:", "\xed\xa0\x80", "\xc0\xaf", "\ufeff", "\ufffe", "\uffff",
		strings.Repeat("\U0001F600\u200d", 50), "\u202e", "a" + strings.Repeat("\u0301", 500), "１２３", "İ", "ß", "раураl",
		strings.Repeat("a", 1023), strings.Repeat("a", 1024), strings.Repeat("a", 65536), "%n%s", "${jndi:}", "=cmd|", "\x1b[31m",
		"x\r\nP-Asserted-Identity: <sip:bank@example.com>", "x\nEvil: 1", "x\rEvil: 1", "x\r\n\r\nv=0", "x\r\nContent-Length: 0\r\n\r\n",
		`Bank" <sip:911@example.org>, "`, `"></jingle><iq type='set' from='admin@x'`, "100@evil.com;x=y?Subject=z",
		"x, <sip:evil@example.org>", "x>;tag=evil", ";tag=evil", "x SIP/2.0", " ", "\t", "a b",
	}
	for c := range 0x20 {
		out = append(out, "a"+string(rune(c))+"b")
	}
	return append(out, "a\x7fb", "a\u0080b", "a\u009fb", "a\xffb")
}()

// A draft is a message to be written, with one place for text from elsewhere.
type draft struct {
	start   string
	headers []string
	body    string
}

func newDraft() draft {
	return draft{
		start: "INVITE sip:romeo@example.net SIP/2.0",
		headers: []string{
			"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport", "Max-Forwards: 70",
			"From: <sip:juliet@example.com>;tag=j1", "To: <sip:romeo@example.net>", "Call-ID: c1", "CSeq: 1 INVITE",
			"Contact: <sip:gw@192.0.2.1>",
		},
		body: "v=0\r\n",
	}
}

// set replaces the header of that name, or adds it.
func (d draft) set(name, value string) draft {
	d.headers = append([]string(nil), d.headers...)
	for i, h := range d.headers {
		if strings.HasPrefix(h, name+":") {
			d.headers[i] = name + ": " + value
			return d
		}
	}
	d.headers = append(d.headers, name+": "+value)
	return d
}

func (d draft) raw() (raw []byte, headers, body int) {
	lines := append(append([]string{d.start}, d.headers...), fmt.Sprintf("Content-Length: %d", len(d.body)))
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n" + d.body), len(lines) - 1, len(d.body)
}

func (d draft) check() error { return CheckOut(d.raw()) }

// TestSmugglingOut: each way to make a message of ours say more than was meant, at each
// place where text from elsewhere may come to stand when somebody forgets to escape it.
func TestSmugglingOut(t *testing.T) {
	places := []struct {
		name string
		put  func(s string) draft
	}{
		{"header", func(s string) draft { return newDraft().set("Subject", s) }},
		{"display name", func(s string) draft { return newDraft().set("From", `"`+s+`" <sip:juliet@example.com>;tag=j1`) }},
		{"user of the Request-URI", func(s string) draft {
			d := newDraft()
			d.start = "INVITE sip:" + s + "@example.net SIP/2.0"
			return d
		}},
		{"user of To", func(s string) draft { return newDraft().set("To", "<sip:"+s+"@example.net>") }},
		{"Call-ID", func(s string) draft { return newDraft().set("Call-ID", s) }},
		{"identity", func(s string) draft { return newDraft().set("P-Asserted-Identity", `"`+s+`" <sip:juliet@example.com>`) }},
	}
	attacks := []struct{ name, text string }{
		{"header", "x\r\nP-Asserted-Identity: <sip:bank@example.com>"},
		{"header behind a line feed", "x\nP-Asserted-Identity: <sip:bank@example.com>"},
		{"header behind a carriage return", "x\rP-Asserted-Identity: <sip:bank@example.com>"},
		{"folded line", "x\r\n y"},
		{"end of the headers", "x\r\n\r\nv=0"},
		{"end of the headers with a length", "x\r\nContent-Length: 0\r\n\r\nBYE sip:a@b SIP/2.0"},
		{"as many headers as are cut off", "x\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\nContent-Length: 5\r\n\r\nv=0\r\n"},
		{"zero", "x\x00y"},
		{"delete", "x\x7fy"},
		{"escape", "x\x1b[2Jy"},
		{"next line", "x\u0085y"},
		{"not UTF-8", "x\xc0\xafy"},
	}
	n := 0
	for _, p := range places {
		for _, a := range attacks {
			n++
			t.Run(p.name+", "+a.name, func(t *testing.T) {
				if err := p.put(a.text).check(); err == nil {
					raw, _, _ := p.put(a.text).raw()
					t.Errorf("sent\n%s", raw)
				}
			})
		}
		if err := p.put("x").check(); err != nil {
			t.Errorf("%s: harmless text is refused: %v", p.name, err)
		}
	}
	if n < 60 {
		t.Errorf("%d cases, want 60", n)
	}
}

func TestCheckOut(t *testing.T) {
	start := func(s string) draft {
		d := newDraft()
		d.start = s
		return d
	}
	without := func(name string) draft {
		d := newDraft()
		var kept []string
		for _, h := range d.headers {
			if !strings.HasPrefix(h, name+":") {
				kept = append(kept, h)
			}
		}
		d.headers = kept
		return d
	}
	twice := func(h string) draft {
		d := newDraft()
		d.headers = append(d.headers, h)
		return d
	}
	tests := []struct {
		name string
		d    draft
		ok   bool
	}{
		{"request", newDraft(), true},
		{"response", start("SIP/2.0 180 Ringing"), true},
		{"response without a phrase", start("SIP/2.0 180 "), true},
		{"phrase beyond ASCII", start("SIP/2.0 486 Besetzt, spät"), true},
		{"telephone", start("INVITE tel:+15551234 SIP/2.0"), true},
		{"several Routes", twice("Route: <sip:a.example;lr>").set("Route", "<sip:b.example;lr>"), true},
		{"second Via", twice("Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2"), true},
		{"Contact of all", newDraft().set("Contact", "*"), true},
		{"Refer-To with headers", newDraft().set("Refer-To", "<sip:a@example.net?Replaces=c%3Bto-tag%3D1>"), true},
		{"identities, one a line", twice("P-Asserted-Identity: <tel:+1555>").set("P-Asserted-Identity", "<sip:a@b.example>"), true},

		{"two spaces in the request line", start("INVITE  sip:a@b.example SIP/2.0"), false},
		{"version of a peer's", start("SIP/9.9 200 OK"), false},
		{"version of a peer's in a request", start("INVITE sip:a@b.example SIP/9.9"), false},
		{"status out of range", start("SIP/2.0 99 Low"), false},
		{"two hosts", start("INVITE sip:a@evil.example@b.example SIP/2.0"), false},
		{"headers in the Request-URI", start("INVITE sip:a@b.example?Subject=x SIP/2.0"), false},
		{"no Via", without("Via"), false},
		{"no From", without("From"), false},
		{"no To", without("To"), false},
		{"no Call-ID", without("Call-ID"), false},
		{"no CSeq", without("CSeq"), false},
		{"two From", twice("From: <sip:a@b.example>;tag=2"), false},
		{"two From, one compact", twice("f: <sip:a@b.example>;tag=2"), false},
		{"two Call-ID", twice("Call-ID: other"), false},
		{"two CSeq", twice("CSeq: 2 INVITE"), false},
		{"two Content-Length", twice("Content-Length: 5"), false},
		{"name with a space", twice("X Y: 1"), false},
		{"name that is empty", twice(": 1"), false},
		{"no colon", twice("nonsense"), false},
		{"From with two addresses", newDraft().set("From", `"a" <sip:a@b.example>, "" <sip:c@d.example>;tag=1`), false},
		{"identities in one line", newDraft().set("P-Asserted-Identity", `"a" <sip:a@b.example>, "" <sip:c@d.example>`), false},
		{"Contact with two addresses", newDraft().set("Contact", "<sip:a@b.example>, <sip:c@d.example>"), false},
		{"From with two tags", newDraft().set("From", "<sip:a@b.example>;tag=1;tag=2"), false},
		{"Via with a broken branch", newDraft().set("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"), false},
		{"Via without address", newDraft().set("Via", "SIP/2.0/UDP ;branch=z9hG4bK1"), false},
		{"CSeq without method", newDraft().set("CSeq", "1"), false},
		{"CSeq too large", newDraft().set("CSeq", "4294967296 INVITE"), false},
		{"Call-ID of two words", newDraft().set("Call-ID", "a b"), false},
		{"a line of 9000 bytes", newDraft().set("Subject", strings.Repeat("x", 9000)), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.d.check(); (err == nil) != test.ok {
				t.Errorf("got %v, want fit %v", err, test.ok)
			}
		})
	}
	raw, headers, body := newDraft().raw()
	for _, c := range []struct {
		name          string
		raw           []byte
		headers, body int
	}{
		{"a body longer than the message", raw, headers, len(raw)},
		{"a body that is negative", raw, headers, -1},
		{"a body that is shorter", raw, headers, body - 1},
		{"a header more", raw, headers + 1, body},
		{"nothing", nil, 0, 0},
		{"no length", []byte(strings.Replace(string(raw), "Content-Length: 5\r\n", "", 1)), headers - 1, body},
	} {
		if CheckOut(c.raw, c.headers, c.body) == nil {
			t.Errorf("%s: it is fit", c.name)
		}
	}
}

// TestEscaping: whatever the text, a message built with the escaping functions is fit, comes
// in through the gate, and says the text.
func TestEscaping(t *testing.T) {
	for _, s := range nasty {
		checkEscaping(t, s)
	}
}

func checkEscaping(t *testing.T, s string) {
	t.Helper()
	d := newDraft()
	cut := s
	if len(cut) > 1024 {
		cut = cut[:1024] // what may stand in a line is bounded
	}
	tag := EscapeToken("t" + cut)
	tag = tag[:min(len(tag), maxTag)]
	d.start = "INVITE sip:" + EscapeUser(cut+"x") + "@example.net;p=" + EscapeParam("x"+cut) + " SIP/2.0"
	d = d.set("From", Quote(cut)+" <sip:"+EscapeUser("x"+cut)+"@example.com>;tag="+tag).
		set("Subject", Clean(cut))
	if err := d.check(); err != nil {
		t.Errorf("%.40q: %v", s, err)
		return
	}
	raw, _, _ := d.raw()
	raw = []byte(strings.Replace(string(raw), "Max-Forwards", "Content-Type: application/sdp\r\nMax-Forwards", 1))
	v := Rules{}.Check(raw, here, false)
	if v.Action != Accept {
		t.Errorf("%.40q: %v, %s", s, v.Action, v.Reason)
		return
	}
	m := split(v.Message)
	if len(m.headers) != len(d.headers)+2 {
		t.Errorf("%.40q: %d headers, want %d", s, len(m.headers), len(d.headers)+2)
	}
	user, _, _ := strings.Cut(strings.TrimPrefix(m.uri, "sip:"), "@")
	if got, ok := Unescape(user); !ok || got != cut+"x" {
		t.Errorf("%.40q: user reads back as %.40q", s, got)
	}
	if v, _ := m.first("Subject"); v != Clean(cut) {
		t.Errorf("%.40q: Subject reads back as %.40q", s, v)
	}
	from, _ := m.first("From")
	a, problem := parseAddress(from, false)
	if problem != "" || Unquote(a.display) != Clean(cut) {
		t.Errorf("%.40q: display name reads back as %.40q, %s", s, a.display, problem)
	}
}

func TestClean(t *testing.T) {
	for _, s := range nasty {
		got := Clean(s)
		if !utf8.ValidString(got) || !isPrintable(got) || got != Clean(got) {
			t.Errorf("%.40q becomes %.40q", s, got)
		}
		if token := EscapeToken(s); s != "" && !isToken(token) {
			t.Errorf("%.40q becomes the token %.40q", s, token)
		}
	}
	tests := []struct{ in, want string }{
		{" a\r\nb\tc ", "a  b c"},
		{"a\x00b\x7f\u0085c\xff", "abc"},
		{"Жук «x»", "Жук «x»"},
	}
	for _, test := range tests {
		if got := Clean(test.in); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.in, got, test.want)
		}
	}
	if got := EscapeUser("100@evil.com;x=y?subject=z%"); got != "100%40evil.com;x=y?subject=z%25" {
		t.Errorf("user is %q", got)
	}
	if got := Quote(`a"b\c`); got != `"a\"b\\c"` {
		t.Errorf("quoted string is %q", got)
	}
	if _, ok := Unescape("%4"); ok {
		t.Error("half an escape is undone")
	}
}

func FuzzEscaping(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(checkEscaping)
}
