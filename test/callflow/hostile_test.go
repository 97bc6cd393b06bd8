package callflow

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
	"golang.org/x/net/idna"
)

var (
	seed  = flag.Uint64("seed", 1, "what random texts are made from")
	texts = flag.Int("texts", 100, "how many random texts are tried")
)

// nasty are texts that break out of where they are put, if anything lets them (RELIABILITY 6).
var nasty = []string{
	"", " ", "plain", "\x00", "\x01\x02\x1f", "\x7f", "\u0080\u0085\u009f", "\r\nEvil: 1", "\nEvil: 1", "\rEvil: 1", "a\r\n\r\nINVITE sip:evil@evil.example SIP/2.0",
	"\r\n Evil: 1", "\u2028Evil: 1\u2029", `"`, `\`, `\"`, `a\`, `" <sip:evil@evil.example>;x="`, `"><evil xmlns='x'/>`,
	`</nick><evil xmlns='x'/>`, `'/><evil xmlns='x'/><a b='`, "<>&'\"", "]]>", "<!--", "<![CDATA[<evil/>]]>", "&#x1;&#xFFFF;", "&evil;", "%00", "%0d%0aEvil:%201", "%zz", "%",
	"@evil.example", "x@evil.example", "x@evil.example;y=z?Subject=a", "a;b", "?Subject=evil", ",", "a,<sip:evil@evil.example>", "=", "@", ":", "//", "a/evil@evil.example", "[::1]", `\40`, `\5c40`, `\20a\20`, `a\40evil.example`,
	"sip:evil@evil.example", "tel:+1", "xmpp:evil@evil.example", "\xed\xa0\x80", "\xc0\xaf", "\xff\xfe", "\ufeff", "\ufffe\uffff", "\U0001fffe", "👩\u200d👩\u200d👧", "\u202eevil", "\u2066a\u2069", "e" + strings.Repeat("\u0301", 500),
	"１２３", "＠evil．example", "İ", "ß", "раураl", strings.Repeat("a", 1023), strings.Repeat("a", 1024), strings.Repeat("b", 9000), "%n%s%d", "${jndi:ldap://evil}", "=cmd|' /C calc'!A0", "\x1b[31mevil", "<script>", "--b\r\n\r\n", "a\tb",
}

// TestNothingLeavesItsPlace gives each text to the gateway wherever a peer can write one, on both
// sides and through the whole of it, and reads what comes out with parsers that are not ours: no
// text is another target, header, element or message than it was meant to be (RELIABILITY 4, rows
// 12, 13, 27 and 28).
func TestNothingLeavesItsPlace(t *testing.T) {
	for _, text := range nasty {
		t.Run(fmt.Sprintf("%.30q", text), func(t *testing.T) { bothWays(t, text) })
	}
}

// TestRandomTexts does it with what chance makes of them.
func TestRandomTexts(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 0))
	for i := range *texts {
		text := ""
		for range 1 + rng.IntN(4) {
			piece := nasty[rng.IntN(len(nasty))]
			if len(piece) > 1100 {
				continue
			}
			switch rng.IntN(6) {
			case 0:
				piece = piece[:rng.IntN(len(piece)+1)]
			case 1:
				piece = string(rune(rng.IntN(0x3000)))
			case 2:
				piece += "a"
			}
			text += piece
		}
		bothWays(t, text)
		if t.Failed() {
			t.Fatalf("seed %d, text %d: %q", *seed, i, text)
		}
	}
}

// FuzzBothWays is the same with what the fuzzer finds.
func FuzzBothWays(f *testing.F) {
	for _, text := range nasty {
		f.Add(text)
	}
	f.Fuzz(bothWays)
}

func bothWays(t *testing.T, text string) {
	synctest.Test(t, func(t *testing.T) {
		h := &hostile{t: t, w: newWorld(t, settings{trusted: true}), text: text}
		defer h.w.close()
		h.settle()
		h.toSIP()
		h.toXMPP()
		// What is built is fit to be sent: the last check before the socket has nothing to stop.
		if s := h.w.edge.Stats().Stack; s.Refused != 0 || s.Unparsed != 0 || s.Panics != 0 {
			t.Errorf("%.100q: %+v", text, s)
		}
	})
}

// A hostile is a world with one text in all mouths.
type hostile struct {
	t    *testing.T
	w    *world
	text string
	n    int

	meant  string // the host that a JID with the text in it stands for
	sender string // of the last stanza

	sip     []*sipMessage // since the last step
	stanzas []*stanza
}

// juliet is whom stanzas are for, or from.
const juliet = "juliet@example.org"

// toSIP says the text as XMPP users can.
func (h *hostile) toSIP() {
	said := legal(h.text)
	const to = "+4989987654@" + gwDomain
	message := func(from, to, attrs, inner string) {
		h.n++
		h.sender = from
		h.stanza(fmt.Sprintf("<message type='chat' id='t%d' from='%s' to='%s'%s>%s</message>", h.n, quote(from), quote(to), attrs, inner))
	}
	body := "<body>hello</body>"
	message(juliet+"/a", to, "", "<body>"+quote(said)+"</body>")
	for _, m := range h.requests("MESSAGE") {
		if flat(m.body) != flat(said) {
			h.t.Errorf("the text %.200q arrives as %.200q", said, m.body)
		}
	}
	message(juliet+"/a", to, "", "<subject>"+quote(said)+"</subject>"+body)
	message(juliet+"/a", to, "", "<thread>"+quote(said)+"</thread>"+body)
	message(juliet+"/a", to, "", "<nick xmlns='http://jabber.org/protocol/nick'>"+quote(said)+"</nick>"+body)
	message(juliet+"/a", to, " xml:lang='"+quote(said)+"'", body)
	h.stanza("<message type='chat' id='" + quote(said) + "' from='" + juliet + "/a' to='" + to + "'>" + body + "<request xmlns='urn:xmpp:receipts'/></message>")
	message(juliet+"/"+said, to, "", body)
	message(said+"@example.org/a", to, "", body)
	for _, local := range []string{said, escape106(said), escape106(said + "@pbx.example"), "+49" + said} {
		h.meant = "" // otto\40pbx.example@GATEWAY stands for otto@pbx.example (INTERWORKING 1)
		if whole := strings.ReplaceAll(local, `\40`, "@"); strings.Contains(whole, "@") {
			h.meant = whole[strings.LastIndexByte(whole, '@')+1:]
			if ascii, err := idna.Lookup.ToASCII(h.meant); err == nil {
				h.meant = ascii // RFC 7622 section 3.2, and SIP has no other
			}
			h.meant = strings.ToLower(h.meant)
		}
		message(juliet+"/a", local+"@"+gwDomain, "", body)
		message(juliet+"/a", to+"/"+local, "", body)
	}

	h.meant = ""

	// A call, by its names and by its end.
	jingle, err := jingleNamed("audio")
	check(h.t, err)
	iq := func(from, to, sid, inner, action string) {
		h.n++
		h.sender = from
		h.stanza(fmt.Sprintf("<iq type='set' id='t%d' from='%s' to='%s'><jingle xmlns='%s' action='%s' sid='%s'>%s</jingle></iq>", h.n, quote(from), quote(to), nsJingle, action, quote(sid), inner))
	}
	ended := "<reason><cancel/><text>" + quote(said) + "</text></reason>"
	for _, c := range []struct{ from, to, sid, jingle string }{
		{juliet + "/a", to, said, jingle},
		{juliet + "/" + said, to, "sid1", jingle},
		{juliet + "/a", escape106(said+"@pbx.example") + "@" + gwDomain, "sid2", jingle},
		{juliet + "/a", to, "sid3", strings.ReplaceAll(jingle, `name="0"`, `name="`+quote(said)+`"`)},
		{juliet + "/a", to, "sid4", strings.ReplaceAll(jingle, `name="opus"`, `name="`+quote(said)+`"`)},
		{juliet + "/a", to, "sid5", strings.ReplaceAll(jingle, `ufrag="mR4x"`, `ufrag="`+quote(said)+`"`)},
	} {
		iq(c.from, c.to+"/sip", c.sid, c.jingle, "session-initiate")
		for _, m := range h.requests("INVITE") {
			h.respond(m, "180 Ringing")
		}
		iq(c.from, c.to+"/sip", c.sid, ended, "session-terminate")
		h.pass(10 * time.Second)
	}
}

// toXMPP says the text as SIP phones can: as it is, and as one that knows the grammar would.
func (h *hostile) toXMPP() {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(h.text, ""))) + `"`
	escaped := strings.ReplaceAll(url.QueryEscape(h.text), "+", "%20")
	const otto, caller = "<sip:otto@pbx.example>", `"Otto" <sip:otto@pbx.example>`
	const gw = "sip:juliet%40example.org@" + gwHost
	send := func(method, uri, from, more, body string) {
		h.n++
		cseq, id := 1, fmt.Sprintf("h%d", h.n)
		request := func(method, more, body string) {
			_, err := h.w.sip.conn.WriteTo([]byte(fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\nFrom: %s;tag=%s\r\nTo: <%s>\r\n"+
				"Call-ID: %s@pbx.example\r\nCSeq: %d %s\r\nContact: <sip:otto@198.51.100.9>\r\n%sContent-Length: %d\r\n\r\n%s",
				method, uri, trunkAddr, id, from, id, gw, id, cseq, method, more, len(body), body)), h.w.sip.gw)
			check(h.t, err)
			h.settle()
		}
		request(method, more, body)
		if method == "INVITE" {
			request("CANCEL", "Reason: SIP;cause=200;text="+quoted+"\r\n", "")
			request("ACK", "", "")
		}
		h.pass(8 * time.Second)
	}
	h.sender = ""
	offer, err := sdpNamed("g711")
	check(h.t, err)
	const text, sdp = "Content-Type: text/plain;charset=UTF-8\r\n", "Content-Type: application/sdp\r\n"
	said := legal(h.text)
	send("MESSAGE", gw, caller, text, h.text)
	for _, s := range h.stanzas {
		b := s.Child(nsStream, "body")
		if b == nil {
			continue
		}
		if said == h.text && flat(b.Text()) != flat(said) {
			h.t.Errorf("the text %.200q arrives as %.200q", h.text, b.Text())
		}
	}
	send("MESSAGE", gw, caller, text+"Subject: "+h.text+"\r\n", "hello")
	send("MESSAGE", gw, caller, text+"Content-Language: "+h.text+"\r\n", "hello")
	send("MESSAGE", gw, quoted+" "+otto, text, "hello")
	send("MESSAGE", gw, "<sip:"+escaped+"@pbx.example>", text, "hello")
	for _, method := range []string{"MESSAGE", "INVITE"} {
		kind, body := text, "hello"
		if method == "INVITE" {
			kind, body = sdp, offer
		}
		send(method, gw, quoted+" "+otto, kind, body)
		for _, s := range h.stanzas {
			if n := s.Child("http://jabber.org/protocol/nick", "nick"); n != nil && strings.ContainsAny(n.Text(), "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") {
				h.t.Errorf("the name %q turns the line round", n.Text())
			}
		}
		send(method, gw, h.text+" "+otto, kind, body)
		send(method, gw, caller, kind+"P-Asserted-Identity: "+quoted+" <sip:"+escaped+"@pbx.example>\r\nSubject: "+h.text+"\r\n", body)
		send(method, gw, "<sip:"+escaped+"@pbx.example>", kind, body)
		send(method, gw, "<sip:"+h.text+"@pbx.example>", kind, body)
		send(method, gw, "<sip:otto@pbx.example;x="+escaped+">", kind, body)
		send(method, "sip:juliet%40example.org@"+gwHost+";gr="+escaped, caller, kind, body)
		send(method, "sip:"+escaped+"@"+gwHost, caller, kind, body)
		send(method, "sip:"+escaped+"%40example.org@"+gwHost, caller, kind, body)
		if h.text != "" && !strings.ContainsAny(h.text, " \r\n") {
			send(method, "sip:"+h.text+"@"+gwHost, caller, kind, body)
		}
	}
	send("INVITE", gw, caller, sdp+"Diversion: "+quoted+" <sip:"+escaped+"@pbx.example>;reason="+quoted+"\r\n", offer)
	send("INVITE", gw, caller, sdp, strings.ReplaceAll(offer, "PCMU", h.text))
	send("INVITE", gw, caller, sdp, offer+"a=mid:"+h.text+"\r\na=fmtp:0 x="+h.text+"\r\n")
}

// stanza sends one of the XMPP server's, and lets the gateway do what it does.
func (h *hostile) stanza(text string) {
	check(h.t, h.w.xmpp.write(text))
	h.settle()
	h.pass(2 * time.Second) // who says much is made to wait
}

// pass lets time pass and keeps what has come.
func (h *hostile) pass(d time.Duration) {
	sip, stanzas := h.sip, h.stanzas
	time.Sleep(d)
	h.settle()
	h.sip, h.stanzas = append(sip, h.sip...), append(stanzas, h.stanzas...)
}

// settle takes what the gateway has sent, looks at it, and answers what has to be answered.
func (h *hostile) settle() {
	h.sip, h.stanzas = nil, nil
	for {
		synctest.Wait()
		select {
		case m := <-h.w.sip.got:
			h.sip = append(h.sip, m)
			h.checkSIP(m)
			switch {
			case m.request() && m.method() == "MESSAGE":
				h.respond(m, "200 OK")
			case m.request() && m.method() == "CANCEL":
				h.respond(m, "200 OK")
				if i := h.w.sip.newest("INVITE", m.header.Get("Call-Id")); i != nil {
					h.respond(i, "487 Request Terminated")
				}
			case m.request() && m.method() == "INVITE":
				h.w.sip.asked = append(h.w.sip.asked, m)
			}
			continue
		case s := <-h.w.xmpp.got:
			h.stanzas = append(h.stanzas, s)
			h.checkStanza(s)
			check(h.t, h.w.xmpp.note(s))
			continue
		default:
		}
		return
	}
}

func (h *hostile) respond(m *sipMessage, status string) {
	text := "SIP/2.0 " + status + "\r\n"
	for _, name := range []string{"Via", "From", "To", "Call-Id", "Cseq"} {
		value := m.header.Get(name)
		if name == "To" {
			value += ";tag=h"
		}
		text += name + ": " + value + "\r\n"
	}
	_, err := h.w.sip.conn.WriteTo([]byte(text+"Contact: <sip:otto@198.51.100.9>\r\nContent-Length: 0\r\n\r\n"), h.w.sip.gw)
	check(h.t, err)
}

// requests are the new requests of a method.
func (h *hostile) requests(method string) []*sipMessage {
	var all []*sipMessage
	for _, m := range h.sip {
		if m.request() && m.method() == method {
			all = append(all, m)
		}
	}
	return all
}

// ourHeaders are all that the gateway sends here.
var ourHeaders = []string{
	"Via", "Max-Forwards", "From", "To", "Call-Id", "Cseq", "Contact", "Content-Length", "Content-Type", "User-Agent", "Server", "Allow", "Supported", "Accept", "Allow-Events",
	"Subject", "Content-Language", "P-Asserted-Identity", "Reason", "X-Gateway-Hops", "Session-Expires", "Min-Se", "Date", "Expires", "Unsupported", "Accept-Encoding", "Retry-After", "Warning",
	"P-Early-Media", "Session-Id", "Record-Route", "Require", "Rseq", "Content-Disposition", "Privacy", "Recv-Info", "In-Reply-To", "Call-Info",
}

// ourHosts are those of addresses that the gateway writes.
var ourHosts = []string{gwHost, pbxDomain, "example.org", "192.0.2.10", "anonymous.invalid"}

// checkSIP holds a message of the gateway against what it may be, as sipgo reads it and as a
// reader of lines does.
func (h *hostile) checkSIP(m *sipMessage) {
	h.t.Helper()
	if strings.HasPrefix(m.start, "UNREADABLE") {
		h.t.Errorf("%s", m.start)
		return
	}
	var raw strings.Builder
	raw.WriteString(m.start + "\r\n")
	count := 0
	for name, values := range m.header {
		if !slices.Contains(ourHeaders, name) {
			h.t.Errorf("%.100q: the header %q: %.200q", h.text, name, values)
		}
		for _, v := range values {
			count++
			fmt.Fprintf(&raw, "%s: %s\r\n", name, v)
			if strings.ContainsFunc(v, unicode.IsControl) || !utf8.ValidString(v) {
				h.t.Errorf("%.100q: %s is no text: %.200q", h.text, name, v)
			}
		}
		switch name {
		case "Via", "Record-Route", "Allow", "Supported":
		default:
			if len(values) != 1 {
				h.t.Errorf("%.100q: several %s: %.300q", h.text, name, values)
			}
		}
	}
	msg, err := sip.NewParser().ParseSIP([]byte(raw.String() + "\r\n" + m.body))
	if err != nil {
		h.t.Errorf("%.100q: sipgo does not read %.500q: %v", h.text, raw.String(), err)
		return
	}
	req, ok := msg.(*sip.Request)
	if !ok {
		return
	}
	if req.StartLine() != m.start || len(req.Headers()) != count || string(req.Body()) != m.body {
		h.t.Errorf("%.100q: sipgo reads %s with %d headers, not %s with %d", h.text, req.StartLine(), len(req.Headers()), m.start, count)
	}
	host := func(what, got string, allowed ...string) {
		if !slices.Contains(allowed, got) {
			h.t.Errorf("%.100q: %s is at %q in %.500q", h.text, what, got, raw.String())
		}
	}
	host("the target", req.Recipient.Host, pbxDomain, "198.51.100.9", h.meant)
	host("To", req.To().Address.Host, pbxDomain, h.meant)
	host("From", req.From().Address.Host, ourHosts...)
	if c := req.Contact(); c != nil {
		host("Contact", c.Address.Host, "192.0.2.10")
	}
	if v := m.header.Get("P-Asserted-Identity"); v != "" {
		var u sip.Uri
		params := sip.NewParams()
		if _, err := sip.ParseAddressValue(v, &u, &params); err != nil {
			h.t.Errorf("%.100q: P-Asserted-Identity: %v", h.text, err)
		}
		host("P-Asserted-Identity", u.Host, ourHosts...)
	}
}

// elements are all that stanzas of the gateway have in them here.
var elements = regexp.MustCompile(`^(message|iq|presence|body|subject|thread|nick|propose|retract|proceed|accept|reject|ringing|finish|description|request|received|store|reason|text|` +
	`headers|header|c|jingle|error|active|composing|paused|gone|inactive|x|origin-id|reply|query|ping|content|transport|payload-type|parameter|rtcp-mux|candidate|fingerprint|` +
	`cancel|decline|busy|success|timeout|gone|general-error|incompatible-parameters|failed-application|failed-transport|connectivity-error|expired|media-error|security-error|unsupported-applications|` +
	`unsupported-transports|alternative-session|priority|show|status|delay|no-copy|no-store|no-permanent-store|conversation|displayed|markable|addresses|address|` +
	`bad-request|conflict|feature-not-implemented|forbidden|internal-server-error|item-not-found|jid-malformed|not-acceptable|not-allowed|not-authorized|policy-violation|recipient-unavailable|` +
	`redirect|registration-required|remote-server-not-found|remote-server-timeout|resource-constraint|service-unavailable|undefined-condition|unexpected-request|out-of-order|unknown-session|unsupported-info|tie-break|` +
	`group|ssrc-group|source|rtcp-fb|rtp-hdrext|bandwidth|trickle|idle|dtmf|hold|unhold|mute|unmute|migrated|invalid-payload|disco|identity|feature|stanza-id)$`)

// checkStanza holds a stanza of the gateway against what it may be, as encoding/xml reads it.
func (h *hostile) checkStanza(s *stanza) {
	h.t.Helper()
	d := xml.NewDecoder(strings.NewReader(s.raw))
	for depth, roots := 0, 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if roots != 1 || depth != 0 {
				h.t.Errorf("%.100q: %d elements at the top of %.300q", h.text, roots, s.raw)
			}
			break
		}
		if err != nil {
			h.t.Errorf("%.100q: %v in %.300q", h.text, err, s.raw)
			break
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			depth++
			if !elements.MatchString(token.Name.Local) {
				h.t.Errorf("%.100q: the element %q in %.500q", h.text, token.Name.Local, s.raw)
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && strings.TrimSpace(string(token)) != "" {
				h.t.Errorf("%.100q: text at the top of %.300q", h.text, s.raw)
			}
		default:
			h.t.Errorf("%.100q: %T in %.300q", h.text, token, s.raw)
		}
	}
	from, to := s.Attr("from"), s.Attr("to")
	if local, _, _ := strings.Cut(from, "/"); local != gwDomain && !strings.HasSuffix(local, "@"+gwDomain) || strings.Count(local, "@") > 1 {
		h.t.Errorf("%.100q: from %q in %.300q", h.text, from, s.raw)
	}
	if h.sender != "" && !strings.HasPrefix(h.sender, juliet+"/") {
		return // who is nobody gets what answer there is
	}
	bare, _, _ := strings.Cut(to, "/")
	if at := strings.IndexByte(bare, '@'); at <= 0 || strings.ContainsAny(bare[at+1:], "@ <>\"'&:") {
		h.t.Errorf("%.100q: to %q in %.300q", h.text, to, s.raw)
	}
}

// legal is what a server hands on of a text: characters of XML.
func legal(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= 0x20 && r < 0xd800, r >= 0xe000 && r < 0xfffe, r > 0xffff:
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
}

// flat is a text without what ends and pads lines, which may be written otherwise.
func flat(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// quote writes a text into XML, with the line ends that would become others.
func quote(s string) string {
	return strings.NewReplacer("\r", "&#13;", "\n", "&#10;", "\t", "&#9;", `"`, "&quot;").Replace(esc(s))
}

// escape106 writes a text into the local part of a JID (XEP-0106).
func escape106(s string) string {
	return strings.NewReplacer(" ", `\20`, `"`, `\22`, "&", `\26`, "'", `\27`, "/", `\2f`, ":", `\3a`, "<", `\3c`, ">", `\3e`, "@", `\40`, `\`, `\5c`).Replace(s)
}
