package gate

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// good is a message that every case changes a little.
const good = `INVITE sip:juliet@example.com SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1
Max-Forwards: 70
From: "Romeo" <sip:romeo@example.net>;tag=r1
To: <sip:juliet@example.com>
Call-ID: call1@example.net
CSeq: 7 INVITE
Contact: <sip:romeo@198.51.100.7:5062>
Content-Type: application/sdp
Content-Length: 5

v=0
`

func wire(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// with returns good with replacements.
func with(old, changed string, more ...string) string {
	s := strings.Replace(good, old, changed, 1)
	for i := 0; i+1 < len(more); i += 2 {
		s = strings.ReplaceAll(s, more[i], more[i+1])
	}
	return wire(s)
}

// as returns good as a request of another method.
func as(method string) string { return with("", "", "INVITE", method) }

// numbered is so many parameters of a URI.
func numbered(n int) string {
	var list []string
	for i := range n {
		list = append(list, "p"+strconv.Itoa(i))
	}
	return strings.Join(list, ";")
}

func TestCheck(t *testing.T) {
	response := wire(strings.Replace(good, "INVITE sip:juliet@example.com SIP/2.0", "SIP/2.0 200 OK", 1))
	tests := []struct {
		name string
		raw  string
		want int // status, 0 for accepted, -1 for dropped
	}{
		{"good", wire(good), 0},
		{"version in lower case", with("SIP/2.0\n", "sip/2.0\n"), 0},
		{"version that is none", with("SIP/2.0\n", "SIP/%.999d<xml>\n"), 505},
		{"version of words", with("SIP/2.0\n", "SIPfoo\n"), 505},
		{"version of HTTP", with("SIP/2.0\n", "HTTP/1.1\n"), -1},
		{"empty lines before", "\r\n\r\n" + wire(good), 0},
		{"nothing", "", -1},
		{"empty lines only", "\r\n\r\n\r\n", -1},
		{"zeros", "\x00\x00\x00\x00", -1},
		{"noise", "\xff\xfe\x01\x02 \r\n\r\n", -1},
		{"bare line feeds", good, -1},
		{"a bare line feed in a header", strings.Replace(wire(good), "Max-Forwards", "X: a\nb\r\nMax-Forwards", 1), 400},
		{"a bare carriage return in a header", with("Max-Forwards", "X: a\rb\nMax-Forwards"), 400},
		{"headers without end", strings.SplitAfter(wire(good), "Content-Length: 5\r\n")[0], 400},

		{"method in lower case is another", with("INVITE sip", "invite sip"), 501},
		{"method that is no token", with("INVITE sip", "INV@TE sip"), -1},
		{"REGISTER", as("REGISTER"), 405},
		{"unknown method", as("DANCE"), 501},
		{"ACK is never answered", with("Max-Forwards: 70", "Max-Forwards: 999", "INVITE", "ACK"), -1},

		{"no Via", with("Via", "X-Via"), -1},
		{"Via without protocol", with("Via: SIP/2.0/UDP ", "Via: "), -1},
		{"Via with a bad host", with("198.51.100.7:5062;branch", "exa mple;branch"), -1},
		{"Via with a bad port", with("198.51.100.7:5062;branch", "198.51.100.7:99999;branch"), -1},
		{"branch that is the cookie only", with("z9hG4bK1", "z9hG4bK"), 400},
		{"branch without value", with("branch=z9hG4bK1", "branch"), 400},
		{"branch twice", with("branch=z9hG4bK1", "branch=z9hG4bK1;branch=z9hG4bK2"), 400},
		{"no branch is RFC 2543", with(";branch=z9hG4bK1", ""), 0},
		{"lower Via broken", with("Max-Forwards", "Via: nonsense\nMax-Forwards"), 400},
		{"71 Vias", with("Max-Forwards", strings.Repeat("Via: SIP/2.0/UDP a.example;branch=z9hG4bK2\n", 70)+"Max-Forwards"), 400},

		{"no From", with("From", "X-From"), 400},
		{"no To", with("To:", "X-To:"), 400},
		{"no Call-ID", with("Call-ID", "X-ID"), 400},
		{"no CSeq", with("CSeq", "X-Seq"), 400},
		{"two From", with("Max-Forwards", "f: <sip:other@example.net>;tag=2\nMax-Forwards"), 400},
		{"two To", with("Max-Forwards", "t: <sip:other@example.net>\nMax-Forwards"), 400},
		{"two Call-ID", with("Max-Forwards", "i: other\nMax-Forwards"), 400},
		{"two CSeq", with("Max-Forwards", "CSEQ: 8 INVITE\nMax-Forwards"), 400},
		{"two Max-Forwards", with("Max-Forwards", "max-forwards: 8\nMax-Forwards"), 400},
		{"two Content-Length that agree", with("Max-Forwards", "l: 5\nMax-Forwards"), 400},
		{"two Contacts", with("Max-Forwards", "m: <sip:other@example.net>\nMax-Forwards"), 400},
		{"two Contacts in one", with("7:5062>\n", "7:5062>, <sip:other@example.net>\n"), 400},
		{"several Contacts in a SUBSCRIBE are its own affair", with("7:5062>\n", "7:5062>, <sip:other@example.net>\n", "INVITE", "SUBSCRIBE"), 0},

		{"CSeq of another method", with("7 INVITE", "7 BYE"), 400},
		{"CSeq too large", with("7 INVITE", "2147483648 INVITE"), 400},
		{"CSeq as large as may be", with("7 INVITE", "2147483647 INVITE"), 0},
		{"CSeq negative", with("7 INVITE", "-7 INVITE"), 400},
		{"CSeq with a tab", with("7 INVITE", "7\tINVITE"), 0},
		{"CSeq folded", with("7 INVITE", "7\n INVITE"), 0},
		{"CSeq of three words", with("7 INVITE", "7 INVITE x"), 400},
		{"Call-ID too long", with("call1@", strings.Repeat("x", 1025)+"@"), 400},
		{"Call-ID of 500 bytes", with("call1@", strings.Repeat("x", 500)+"@"), 0},
		{"Call-ID of two words", with("call1@", "call 1@"), 400},
		{"tag too long", with("tag=r1", "tag="+strings.Repeat("x", 1025)), 400},
		{"tag of 500 bytes", with("tag=r1", "tag="+strings.Repeat("x", 500)), 0},
		{"tag empty", with("tag=r1", "tag="), 400},
		{"tag twice", with("tag=r1", "tag=r1;TAG=r2"), 400},
		{"tag quoted", with("tag=r1", `tag="r1"`), 400},
		{"no tag is RFC 2543", with(";tag=r1", ""), 0},

		{"Max-Forwards 0", with("Max-Forwards: 70", "Max-Forwards: 0"), 483},
		{"Max-Forwards 0 in OPTIONS", with("Max-Forwards: 70", "Max-Forwards: 0", "INVITE", "OPTIONS"), 0},
		{"Max-Forwards 256", with("Max-Forwards: 70", "Max-Forwards: 256"), 400},
		{"Max-Forwards negative", with("Max-Forwards: 70", "Max-Forwards: -1"), 400},
		{"Max-Forwards of words", with("Max-Forwards: 70", "Max-Forwards: many"), 400},
		{"no Max-Forwards", with("Max-Forwards: 70\n", ""), 0},
		{"Expires too large", with("Max-Forwards", "Expires: 4294967296\nMax-Forwards"), 400},
		{"Expires negative", with("Max-Forwards", "Expires: -1\nMax-Forwards"), 400},

		{"URI of an unknown scheme", with("INVITE sip:juliet@example.com", "INVITE gopher://example.com"), 416},
		{"URI of a telephone", with("INVITE sip:juliet@example.com", "INVITE tel:+15551234;phone-context=x"), 0},
		{"URI of a service", with("INVITE sip:juliet@example.com", "INVITE urn:service:sos"), 0},
		{"URI with a scheme in capitals", with("INVITE sip:juliet", "INVITE SIP:juliet"), 0},
		{"URI without a scheme", with("INVITE sip:juliet@example.com", "INVITE juliet"), 400},
		{"URI without a host", with("INVITE sip:juliet@example.com", "INVITE sip:juliet@"), 400},
		{"URI with two hosts", with("INVITE sip:juliet@example.com", "INVITE sip:juliet@evil@example.com"), 400},
		{"URI with a bad escape", with("INVITE sip:juliet", "INVITE sip:%zz"), 400},
		{"URI with half an escape", with("INVITE sip:juliet@example.com", "INVITE sip:example.com;x=%4"), 400},
		{"URI with headers", with("INVITE sip:juliet@example.com", "INVITE sip:juliet@example.com?Subject=x"), 400},
		{"URI with a parameter twice", with("INVITE sip:juliet@example.com", "INVITE sip:juliet@example.com;lr;user=phone;LR"), 400},
		{"URI with 33 parameters", with("INVITE sip:juliet@example.com", "INVITE sip:juliet@example.com;"+numbered(33)), 400},
		{"URI with 32 parameters", with("INVITE sip:juliet@example.com", "INVITE sip:juliet@example.com;"+numbered(32)), 0},
		{"URI in angle brackets", with("INVITE sip:juliet@example.com", "INVITE <sip:juliet@example.com>"), 400},
		{"URI with markup", with("INVITE sip:juliet", "INVITE sip:j'><x"), 400},
		{"URI with a quote", with("INVITE sip:juliet", `INVITE sip:"juliet"`), 400},
		{"URI with bytes beyond ASCII", with("INVITE sip:juliet", "INVITE sip:jülïet"), 400},
		{"URI with port 0", with("INVITE sip:juliet@example.com", "INVITE sip:juliet@example.com:0"), 400},
		{"URI with port 65536", with("INVITE sip:juliet@example.com", "INVITE sip:juliet@example.com:65536"), 400},
		{"URI with a bare IPv6 address", with("INVITE sip:juliet@example.com", "INVITE sip:2001:db8::1"), 400},
		{"URI with a number sign", with("INVITE sip:juliet@", "INVITE sip:*21#@"), 0},
		{"URI with a line end escaped", with("INVITE sip:juliet", "INVITE sip:%0d%0aX"), 0},

		{"From is no address", with(`"Romeo" <sip:romeo@example.net>`, "Romeo"), 400},
		{"From of an unknown scheme", with("<sip:romeo@example.net>", "<http://example.net>"), 0},
		{"To of an unknown scheme", with("To: <sip:juliet@example.com>", "To: isbn:2983792873"), 0},
		{"Route of an unknown scheme", with("Max-Forwards", "Route: <http://example.net>\nMax-Forwards"), 400},
		{"Record-Route of an unknown scheme", with("Max-Forwards", "Record-Route: <tel:+15551234>\nMax-Forwards"), 400},
		{"URI of 9000 bytes", with("INVITE sip:juliet", "INVITE sip:juliet;"+strings.Repeat("x", 9000)), 414},
		{"From with a quote open", with(`"Romeo" <`, `"Romeo <`), 400},
		{"From with spaces in brackets", with("<sip:romeo@example.net>", "< sip:romeo@example.net >"), 400},
		{"From with a comma in the name", with(`"Romeo" <`, `Montague, Romeo <`), 400},
		{"From with a parenthesis in the name", with(`"Romeo" <`, `Romeo (work) <`), 0},
		{"From with a name beyond ASCII, unquoted", with(`"Romeo" <`, `Roméo <`), 0},
		{"From with markup in the name", with(`"Romeo" <`, `"\"></jingle><iq type='set'/>" <`), 0},
		{"From with two addresses", with(`"Romeo" <`, `<sip:a@example.net>, <`), 400},
		{"From with text behind", with(";tag=r1", "x;tag=r1"), 400},
		{"From with an empty parameter", with(";tag=r1", ";;tag=r1"), 400},
		{"To without angle brackets and with headers", with("To: <sip:juliet@example.com>", "To: sip:juliet@example.com?x=y"), 400},
		{"Route that is no address", with("Max-Forwards", "Route: nonsense\nMax-Forwards"), 400},
		{"Record-Route that is no address", with("Max-Forwards", "Record-Route: <sip:a,b\nMax-Forwards"), 400},
		{"Contact of all", with("<sip:romeo@198.51.100.7:5062>", "*"), 400},

		{"header name with a control character", with("Contact:", "Contact\x01:"), 400},
		{"header name with a space within", with("Max-Forwards", "X Y: 1\nMax-Forwards"), 400},
		{"header without a colon", with("Max-Forwards", "Foobar roobar\nMax-Forwards"), 400},
		{"header without a name", with("Max-Forwards", ": x\nMax-Forwards"), 400},
		{"spaces before the colon", with("Max-Forwards:", "Max-Forwards  :"), 0},
		{"header with a zero", with("Max-Forwards", "Subject: a\x00b\nMax-Forwards"), 400},
		{"header with an escape character", with("Max-Forwards", "Subject: \x1b[31m\nMax-Forwards"), 400},
		{"header that is not UTF-8", with("Max-Forwards", "Subject: \xc0\xaf\nMax-Forwards"), 400},
		{"header with a C1 character", with("Max-Forwards", "Subject: \u0085\nMax-Forwards"), 400},
		{"control character quoted and escaped", with(`"Romeo"`, "\"Ro\\\x07meo\""), 0},
		{"control character quoted, not escaped", with(`"Romeo"`, "\"Ro\x07meo\""), 400},
		{"300 headers", with("Max-Forwards", strings.Repeat("X: y\n", 300)+"Max-Forwards"), 400},
		{"header of 9000 bytes", with("Max-Forwards", "X: "+strings.Repeat("y", 9000)+"\nMax-Forwards"), 400},
		{"message of 20000 bytes", with("v=0\n", strings.Repeat("x", 20000)), 513},

		{"unknown extension", with("Max-Forwards", "Require: 100rel, precondition\nMax-Forwards"), 420},
		{"known extensions", with("Max-Forwards", "Require: 100rel, TIMER\nMax-Forwards"), 0},
		{"extension of a proxy", with("Max-Forwards", "Proxy-Require: privacy\nMax-Forwards"), 0},
		{"Require of nothing", with("Max-Forwards", "Require: ,\nMax-Forwards"), 400},
		{"Require in a CANCEL is not looked at", with("Max-Forwards", "Require: dance\nMax-Forwards", "INVITE", "CANCEL"), 0},
		{"Content-Type of another kind", with("application/sdp", "text/plain"), 415},
		{"Content-Type of another kind in a MESSAGE", with("application/sdp", "text/plain", "INVITE", "MESSAGE"), 0},
		{"Content-Type with a parameter, in capitals", with("application/sdp", "Application/SDP;charset=utf-8"), 0},
		{"Content-Type of several parts", with("application/sdp", "multipart/mixed;boundary=x"), 0},
		{"Content-Type without a slash", with("application/sdp", "sdp"), 400},
		{"no Content-Type", with("Content-Type: application/sdp\n", ""), 400},
		{"no body and no Content-Type", with("Content-Type: application/sdp\nContent-Length: 5\n\nv=0\n", "Content-Length: 0\n\n"), 0},
		{"content compressed", with("Max-Forwards", "e: gzip\nMax-Forwards"), 415},
		{"content as it is", with("Max-Forwards", "Content-Encoding: identity\nMax-Forwards"), 0},
		{"unknown disposition", with("Max-Forwards", "Content-Disposition: dance\nMax-Forwards"), 415},
		{"unknown disposition that may be left", with("Max-Forwards", "Content-Disposition: dance; handling=optional\nMax-Forwards"), 0},
		{"another kind that may be left", with("application/sdp", "text/plain\nContent-Disposition: alert;handling=optional"), 0},
		{"another kind that must be understood", with("application/sdp", "text/plain\nContent-Disposition: alert;handling=required"), 415},
		{"session", with("Max-Forwards", "Content-Disposition: session\nMax-Forwards"), 0},
		{"nothing acceptable", with("Max-Forwards", "Accept:\nMax-Forwards"), 406},
		{"anything acceptable", with("Max-Forwards", "Accept: text/plain, */*;q=0.1\nMax-Forwards"), 0},
		{"Accept in two lines", with("Max-Forwards", "Accept: text/plain\nAccept: application/sdp\nMax-Forwards"), 0},

		{"length below the body", with("Content-Length: 5", "Content-Length: 3"), 0},
		{"length above the body", with("Content-Length: 5", "Content-Length: 6"), 400},
		{"length negative", with("Content-Length: 5", "Content-Length: -5"), 400},
		{"length in hexadecimal", with("Content-Length: 5", "Content-Length: 0x5"), 400},
		{"length with a sign", with("Content-Length: 5", "Content-Length: +5"), 400},
		{"no length", with("Content-Length: 5\n", ""), 0},

		{"response", response, 0},
		{"response to nobody", strings.Replace(response, "Via", "X-Via", 1), -1},
		{"response for another", strings.Replace(response, "Via", "Via: SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx\r\nVia", 1), -1},
		{"response with status 99", strings.Replace(response, "200", "099", 1), -1},
		{"response with status 700", strings.Replace(response, "200", "700", 1), -1},
		{"response with a long status", strings.Replace(response, "200", "4294967496", 1), -1},
		{"response of another version", strings.Replace(response, "SIP/2.0 200", "SIP/3.0 200", 1), -1},
		{"response with two To", strings.Replace(response, "Max-Forwards", "t: <sip:a@b>\r\nMax-Forwards", 1), -1},
		{"response with a control character", strings.Replace(response, "200 OK", "200 O\x07K", 1), -1},
		{"response with Max-Forwards, which means nothing there", strings.Replace(response, "Max-Forwards: 70", "Max-Forwards: )", 1), 0},
		{"response with a phrase that looks like a version", strings.Replace(response, "200 OK", "200 SIP/2.0", 1), 0},
		{"response without a kind of body", strings.Replace(response, "application/sdp", "", 1), 0},
		{"response without a phrase", strings.Replace(response, "200 OK", "200", 1), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := Rules{}.Check([]byte(test.raw), here, false)
			if got := verdictOf(v); got != test.want {
				t.Fatalf("got %d (%s), want %d", got, v.Reason, test.want)
			}
			wellFormed(t, v)
		})
	}
}

// TestSpelling: what sipgo would read wrongly is handed on in a spelling that it reads right.
func TestSpelling(t *testing.T) {
	tests := []struct {
		name, old, changed, want string
	}{
		{"compact forms", "Max-Forwards", "k: timer\nx: 90\no: presence\nu: dialog\nMax-Forwards", "Supported: timer\r\nSession-Expires: 90\r\nEvent: presence\r\nAllow-Events: dialog\r\n"},
		{"name in another case", "Max-Forwards", "record-ROUTE: <sip:p;lr>\nrAcK: 1 2 INVITE\nMax-Forwards", "Record-Route: <sip:p;lr>\r\nRAck: 1 2 INVITE\r\n"},
		{"parameter in capitals", ";tag=r1", ";TAG=r1", `From: "Romeo" <sip:romeo@example.net>;tag=r1` + "\r\n"},
		{"spaces around separators", ";tag=r1", " ; tag  =\n  r1", `From: "Romeo" <sip:romeo@example.net>;tag=r1` + "\r\n"},
		{"no angle brackets", "To: <sip:juliet@example.com>", "To: sip:juliet@example.com;tag=j1", "To: <sip:juliet@example.com>;tag=j1\r\n"},
		{"name that needs quotes", `"Romeo" <`, `Romeo (work) <`, `From: "Romeo (work)" <sip:romeo@example.net>;tag=r1` + "\r\n"},
		{"list of Vias", "branch=z9hG4bK1", "branch=z9hG4bK1 , SIP/2.0/TCP p.example.net", "Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1\r\nVia: SIP/2.0/TCP p.example.net\r\n"},
		{"Via in pieces", "SIP/2.0/UDP 198.51.100.7:5062;", "SIP / 2.0\n / udp 198.51.100.7 : 5062 ;", "Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1\r\n"},
		{"list of routes", "Max-Forwards", "Route: <sip:a;lr>,<sip:b,c@d;lr>\n\t, \"x,\\\"y\" <sip:d;lr>\nMax-Forwards", "Route: <sip:a;lr>\r\nRoute: <sip:b,c@d;lr>\r\nRoute: \"x,\\\"y\" <sip:d;lr>\r\n"},
		{"parameter that hides a tag", ";tag=r1", `;x="a;tag=evil";tag=r1`, `From: "Romeo" <sip:romeo@example.net>;tag=r1` + "\r\n"},
		{"branch behind an odd parameter", "branch=z9hG4bK1", `x="a;b";branch=z9hG4bK1`, `Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1;x="a;b"` + "\r\n"},
		{"numbers with zeros", "7 INVITE", "0007 INVITE", "CSeq: 7 INVITE\r\n"},
		{"length with zeros", "Content-Length: 5", "L:005", "Content-Length: 5\r\n\r\nv=0\r\n"},
		{"length that was missing", "Content-Length: 5\n", "", "Content-Length: 5\r\n\r\nv=0\r\n"},
		{"body that may be left", "application/sdp", "text/plain\nContent-Disposition: alert;handling=optional", "Contact: <sip:romeo@198.51.100.7:5062>\r\nContent-Length: 0\r\n\r\n"},
		{"what is behind the body", "Content-Length: 5", "Content-Length: 1", "Content-Length: 1\r\n\r\nv"},
		{"address with three colons", "To: <sip:juliet@example.com>", "To: <sip:juliet@[2001:db8:::192.0.2.1]>", "To: <sip:juliet@[2001:db8::c000:201]>\r\n"},
		{"address in capitals", "To: <sip:juliet@example.com>", "To: <SIP:juliet@[2001:DB8::1]:05060>", "To: <sip:juliet@[2001:db8::1]:5060>\r\n"},
		{"tab in a name", `"Romeo"`, "\"Ro\tmeo\"", `From: "Ro meo" <sip:romeo@example.net>;tag=r1` + "\r\n"},
		{"control character in a name", `"Romeo"`, "\"Ro\\\x07meo\\\\\"", `From: "Romeo\\" <sip:romeo@example.net>;tag=r1` + "\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := Rules{}.Check([]byte(with(test.old, test.changed)), here, false)
			if v.Action != Accept {
				t.Fatalf("got %v (%s), want accept", v.Action, v.Reason)
			}
			if !strings.Contains(string(v.Message), test.want) {
				t.Errorf("no\n%sin\n%s", test.want, v.Message)
			}
			wellFormed(t, v)
		})
	}
}

func TestAnswer(t *testing.T) {
	tests := []struct {
		name, old, changed string
		want               string
		to                 string
	}{
		{
			name: "version of our own, and all that is clean",
			old:  "SIP/2.0\nVia", changed: "SIP/7.0\nVia",
			want: `SIP/2.0 505 Version Not Supported
Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1
From: "Romeo" <sip:romeo@example.net>;tag=r1
To: <sip:juliet@example.com>;tag=*
Call-ID: call1@example.net
CSeq: 7 INVITE
Content-Length: 0

`,
			to: "198.51.100.7:5062",
		},
		{
			name: "what is not clean is left out",
			old:  `"Romeo" <`, changed: "\"Romeo <",
			want: `SIP/2.0 400 Bad Request (From: quote without end)
Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1
To: <sip:juliet@example.com>;tag=*
Call-ID: call1@example.net
CSeq: 7 INVITE
Content-Length: 0

`,
			to: "198.51.100.7:5062",
		},
		{
			name: "required extensions are named",
			old:  "Max-Forwards", changed: "Require: dance,100rel\nProxy-Require: sing\nRequire: swim\nMax-Forwards",
			want: `SIP/2.0 420 Bad Extension
Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1
From: "Romeo" <sip:romeo@example.net>;tag=r1
To: <sip:juliet@example.com>;tag=*
Call-ID: call1@example.net
CSeq: 7 INVITE
Unsupported: dance, swim
Content-Length: 0

`,
			to: "198.51.100.7:5062",
		},
		{
			name: "rport: to where it came from",
			old:  "198.51.100.7:5062;branch=z9hG4bK1", changed: "10.0.0.1:5062;rport;received=203.0.113.9;branch=z9hG4bK1\nMax-Forwards: 0",
			want: `SIP/2.0 400 Bad Request (several Max-Forwards)
Via: SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK1;received=198.51.100.7;rport=4321
From: "Romeo" <sip:romeo@example.net>;tag=r1
To: <sip:juliet@example.com>;tag=*
Call-ID: call1@example.net
CSeq: 7 INVITE
Content-Length: 0

`,
			to: "198.51.100.7:4321",
		},
		{
			name: "the tag of a dialog stays",
			old:  "To: <sip:juliet@example.com>", changed: "To: <sip:juliet@example.com>;tag=j1\nRequire: dance",
			want: `SIP/2.0 420 Bad Extension
Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1
From: "Romeo" <sip:romeo@example.net>;tag=r1
To: <sip:juliet@example.com>;tag=j1
Call-ID: call1@example.net
CSeq: 7 INVITE
Unsupported: dance
Content-Length: 0

`,
			to: "198.51.100.7:5062",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := Rules{}.Check([]byte(with(test.old, test.changed)), here, false)
			got := strings.ReplaceAll(string(v.Answer), "\r\n", "\n")
			if before, after, ok := strings.Cut(test.want, "*"); ok {
				if rest, found := strings.CutPrefix(got, before); found {
					_, rest, _ = strings.Cut(rest, "\n")
					got = before + "*\n" + rest
				}
				_ = after
			}
			if got != test.want || v.To.String() != test.to {
				t.Errorf("to %v:\n%s\nwant to %s:\n%s", v.To, got, test.to, test.want)
			}
		})
	}
}

func TestStreamVerdicts(t *testing.T) {
	tests := []struct {
		name   string
		raw    string
		want   int
		broken bool
	}{
		{"good", wire(good), 0, false},
		{"no length", with("Content-Length: 5\n", ""), 400, true},
		{"two lengths", with("Max-Forwards", "l: 5\nMax-Forwards"), 400, true},
		{"length of words", with("Content-Length: 5", "Content-Length: five"), 400, true},
		{"nonsense", "GET / HTTP/1.1\r\n\r\n", -1, true},
		{"length above all bounds", strings.TrimSuffix(with("Content-Length: 5", "Content-Length: 2000000000"), "v=0\r\n"), 513, true},
		{"length just above the bound", strings.TrimSuffix(with("Content-Length: 5", "Content-Length: 65500"), "v=0\r\n"), 513, true},
		{"another fault", with("7 INVITE", "7 BYE"), 400, false},
		{"answer goes over the stream", with("198.51.100.7:5062;", "10.0.0.1;", "7 INVITE", "7 BYE"), 400, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := Rules{}.Check([]byte(test.raw), here, true)
			if got := verdictOf(v); got != test.want || v.Broken != test.broken {
				t.Errorf("got %d (%s), broken %v; want %d, %v", got, v.Reason, v.Broken, test.want, test.broken)
			}
			if v.Action == Answer && v.To != here {
				t.Errorf("answer goes to %v, want %v", v.To, here)
			}
		})
	}
}

func TestFrame(t *testing.T) {
	one := wire(good)
	tests := []struct {
		name string
		buf  string
		n    int
		ok   bool
	}{
		{"nothing yet", "", 0, true},
		{"half of the headers", one[:100], 0, true},
		{"half of the body", one[:len(one)-2], 0, true},
		{"whole", one, len(one), true},
		{"two", one + one, len(one), true},
		{"empty lines before", "\r\n\r\n" + one, len(one) + 4, true},
		{"headers without end", strings.Repeat("x", 70000), 0, false},
		{"too large", with("Content-Length: 5", "Content-Length: 70000"), len(one) + 4 - 5, true},
		{"no length", with("Content-Length: 5\n", ""), len(one) - len("Content-Length: 5\r\n") - 5, true},
		{"length in a folded line", with("Content-Length: 5", "l :\n\t5"), len(one) - len("Content-Length: 5") + len("l :\r\n\t5"), true},
		{"length that is in a folded line of another", with("Content-Length: 5", "Subject: x\n Content-Length: 0\nl:5"), len(one) + len("Subject: x\r\n Content-Length: 0\r\nl:5") - len("Content-Length: 5"), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, ok := Frame([]byte(test.buf), 65535)
			if n != test.n || ok != test.ok {
				t.Errorf("got %d, %v; want %d, %v", n, ok, test.n, test.ok)
			}
		})
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(wire(good)), true)
	f.Add([]byte(with("198.51.100.7:5062;branch", "[::1]:1;rport;branch")), false)
	f.Fuzz(func(t *testing.T, raw []byte, stream bool) {
		v := Rules{}.Check(raw, here, stream)
		wellFormed(t, v)
		n, ok := Frame(raw, 65535)
		if n < 0 || n > len(raw) || !ok && n != 0 {
			t.Errorf("frame: %d of %d, %v", n, len(raw), ok)
		}
	})
}

// TestAnswerGoesBackAllTheWay: however many hops a request has taken, its answer has them all.
func TestAnswerGoesBackAllTheWay(t *testing.T) {
	for _, n := range []int{1, 60, 69, 90, 150} {
		raw := with("Max-Forwards: 70", strings.Repeat("Via: SIP/2.0/UDP a.example;branch=z9hG4bK2\n", n)+"Max-Forwards: 0")
		v := Rules{}.Check([]byte(raw), here, false)
		if got := strings.Count(string(v.Answer), "\r\nVia: "); got != n+1 {
			t.Errorf("%d Vias in the answer (%d), want %d", got, v.Status, n+1)
		}
	}
}

// TestMappedSource: a source written as IPv4 in IPv6 is the IPv4 one.
func TestMappedSource(t *testing.T) {
	v := Rules{}.Check([]byte(wire(good)), netip.MustParseAddrPort("[::ffff:198.51.100.7]:5062"), false)
	if strings.Contains(string(v.Message), "received") {
		t.Errorf("got\n%s", v.Message)
	}
}
