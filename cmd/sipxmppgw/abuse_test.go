package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
	"sipxmppgw/test/torture"
)

// nasty are texts that break out of where they are put, if anything lets them. evil is what
// they would put there.
var nasty = []string{
	"\x00", "\x01\x02\x1f", "\x7f", "\u0080\u0085\u009f", "\r\nX-Evil: 1", "\nX-Evil: 1", "\rX-Evil: 1", "a\r\n\r\nINVITE sip:evil SIP/2.0",
	"\r\n X-Evil: 1", "\u2028X-Evil: 1\u2029", `"`, `\`, `\"`, `a\`, `" <sip:evil@evil.example>;x="`, `"><evil xmlns='x'/>`,
	`</nick><evil xmlns='x'/>`, `'/><evil xmlns='x'/><a b='`, "<>&'\"", "]]>", "<!--", "&#x1;&#xFFFF;", "&evil;", "%00", "%0d%0aX-Evil:%201", "%zz", "%",
	";", "?Subject=evil", ",", "=", "@", ":", "//", "[::1]", `\40`, `\5c40`, `\20a\20`, "sip:evil@evil.example", "tel:+1", "xmpp:evil@evil.example",
	"\xed\xa0\x80", "\xc0\xaf", "\xff\xfe", "\ufeff", "\ufffe\uffff", "👩\u200d👩\u200d👧", "\u202eevil", "e" + strings.Repeat("\u0301", 500),
	"１２３", "İ", "ß", "раураl", strings.Repeat("a", 1023), strings.Repeat("a", 1024), strings.Repeat("b", 9000), "%n%s%d", "${jndi:ldap://evil}", "=cmd|' /C calc'!A0", "\x1b[31mevil",
}

// An attacked is a world in which one call goes on, whatever else happens.
type attacked struct {
	*world
	c       *sipphone.Call
	callee  *jinglephone.Call
	stanzas *lines // what the gateway sent
	sip     *lines // what the phones got
}

// newAttacked makes a world with a call, and three more users: 1 and 2 refuse every call,
// and 3 says what it likes.
func newAttacked(t *testing.T) *attacked {
	t.Helper()
	a := &attacked{stanzas: &lines{}, sip: &lines{}}
	trace := func(m sipphone.Message) {
		if !m.Sent {
			raw := string(m.Raw)
			if strings.HasPrefix(raw, "MESSAGE ") { // its body is what a person wrote, line by line
				raw, _, _ = strings.Cut(raw, "\r\n\r\n")
			}
			fmt.Fprintf(a.sip, "%s\n", raw)
		}
	}
	a.world = newWorld(t, setup{
		users: 4,
		phones: []behind{
			{phone: sipphone.Options{Codecs: speech, Trace: trace}},
			{phone: sipphone.Options{Codecs: speech, Trace: trace, Incoming: func(c *sipphone.Call) { _ = c.Busy() }}},
		},
		trace: func(s xmppserver.Stanza) {
			if s.Received && s.Peer == testGW {
				fmt.Fprintf(a.stanzas, "%s\n", s.XML)
			}
		},
	})
	for user := 1; user <= 2; user++ {
		a.client(user, "phone", jinglephone.Options{Incoming: func(c *jinglephone.Call) { _ = c.Busy() }})
	}
	a.c, a.callee = a.dial(0, a.client(0, "phone", conversations), 0)
	answered(t, a.c, a.callee)
	speak(t, a.c, a.callee)
	// The server does not know of requests that were put into its mouth, nor of addresses.
	a.overlook = func(f xmppserver.Fault) bool {
		return f.Condition == "jid-malformed" || strings.Contains(f.XML, "to='huge@other.example/x'")
	}
	return a
}

// unhurt checks that an attack changed nothing for others.
func (a *attacked) unhurt(t *testing.T) {
	t.Helper()
	if s := a.d.tenants[0].stream.Stats(); s.Connects != 1 || s.Panics != 0 || !a.d.tenants[0].stream.State().Up {
		t.Errorf("the stream has suffered: %+v", s)
	}
	if s := a.d.sip.Stats().Stack; s.Panics != 0 {
		t.Errorf("the SIP side has suffered: %+v", s)
	}
	if n := a.log.count("panic"); n > 0 {
		t.Errorf("%d panics", n)
	}
	for _, f := range a.faults() {
		t.Fatalf("the XMPP server found fault: %s: %s in %.300s", f.Condition, f.Problem, f.XML)
	}
	if a.c.State() != phone.Active || a.callee.State() != phone.Active {
		t.Fatalf("the call is %v and %v", a.c.State(), a.callee.State())
	}
	for _, line := range strings.Split(a.stanzas.String(), "\n") {
		if line == "" {
			continue
		}
		e, err := element.Parse(line, "jabber:component:accept")
		if err != nil {
			t.Errorf("the gateway sent %.300q: %v", line, err)
		} else if smuggled(e) {
			t.Errorf("something was smuggled into %.300s", line)
		}
	}
	for line := range strings.Lines(a.sip.String()) {
		if l := strings.ToLower(line); strings.HasPrefix(l, "x-evil") || strings.HasPrefix(l, "invite sip:evil") {
			t.Errorf("a line was smuggled into SIP: %q", line)
		}
	}
}

func smuggled(e *element.Element) bool {
	if e.Name == "evil" {
		return true
	}
	for child := range e.Elements() {
		if smuggled(child) {
			return true
		}
	}
	return false
}

// over ends the world: the call was whole all the time.
func (a *attacked) over(t *testing.T) {
	t.Helper()
	talk(t, a.c, a.callee)
	hangUp(t, a.c, a.callee)
	faultless(t, a.c, a.callee)
}

// A raw is a trunk that says what it likes.
type raw struct {
	t    *testing.T
	conn *net.UDPConn
	to   *net.UDPAddr
	n    int
}

func (w *world) raw(t *testing.T, from string) *raw {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	to, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(w.d.sipUp[0], "udp:"))
	if err != nil {
		t.Fatal(err)
	}
	return &raw{t: t, conn: conn, to: to}
}

func (r *raw) send(text string) {
	r.t.Helper()
	if _, err := r.conn.WriteToUDP([]byte(text), r.to); err != nil {
		r.t.Fatal(err)
	}
}

// statusOf is the number in a status line; 0 if it is none.
func statusOf(message string) int {
	if !strings.HasPrefix(message, "SIP/2.0 ") || len(message) < 12 {
		return 0
	}
	n, _ := strconv.Atoi(message[8:11])
	return n
}

// ask sends a request and returns the final response, acknowledged if need be; 0 if there
// is none. head is the message but for Via, Call-ID, CSeq and length.
func (r *raw) ask(method, uri, head, body string) (status int, response string) {
	r.t.Helper()
	r.n++
	id := fmt.Sprintf("raw-%d-%d", r.conn.LocalAddr().(*net.UDPAddr).Port, r.n)
	build := func(method, to, body string) string {
		return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\nCall-ID: %s\r\nCSeq: 1 %s\r\n%s%sContent-Length: %d\r\n\r\n%s",
			method, uri, r.conn.LocalAddr(), id, id, method, to, head, len(body), body)
	}
	request := build(method, "To: <"+uri+">\r\n", body)
	r.send(request)
	over := patience
	if len(request) > 8000 {
		over = time.Second // too long to be answered
	}
	over += machine.now()
	buf := make([]byte, 1<<16)
	for {
		// UDP may lose it, when much comes at once.
		r.conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, _, err := r.conn.ReadFromUDP(buf)
		if err != nil {
			if machine.now() > over {
				return 0, ""
			}
			r.send(request)
			continue
		}
		response = string(buf[:n])
		status = statusOf(response)
		if status < 200 || !strings.Contains(response, "\r\nCall-ID: "+id+"\r\n") {
			continue
		}
		to := regexp.MustCompile(`(?m)^To: .*\r\n`).FindString(response)
		if method == "INVITE" && status >= 300 {
			r.send(build("ACK", to, ""))
		}
		return status, response
	}
}

func (r *raw) invite(uri, from, more, body string) (int, string) {
	r.t.Helper()
	head := "From: " + from + ";tag=raw\r\nContact: <sip:raw@" + r.conn.LocalAddr().String() + ">\r\n" + more
	if body != "" {
		head += "Content-Type: application/sdp\r\n"
	}
	return r.ask("INVITE", uri, head, body)
}

// nothing checks that nothing has come.
func (r *raw) nothing(t *testing.T, what string) {
	t.Helper()
	r.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	buf := make([]byte, 1<<16)
	if n, from, err := r.conn.ReadFromUDP(buf); err == nil {
		t.Errorf("%s: %v answered %.200q", what, from, buf[:n])
	}
}

// plainSDP is an offer that is in order.
const plainSDP = "v=0\r\no=- 1 1 IN IP4 127.0.1.2\r\ns=-\r\nc=IN IP4 127.0.1.2\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"

// quoted writes text as a quoted string of RFC 3261, as a phone does.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Whatever is said in one call, another one goes on, the stream stays up, and nothing gets
// out of where it was put.
func TestAttacksDuringACall(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	attacks := []struct {
		name string
		play func(*testing.T, *attacked)
	}{
		{"nasty texts from a phone", nastyFromPhone},
		{"nasty texts from a client", nastyFromClient},
		{"nasty texts of who is called", nastyCallee},
		{"hostile descriptions", hostileSDP},
		{"hostile sessions", hostileSessions},
		{"deep, wide and endless stanzas", hugeStanzas},
		{"torture messages", tortureMessages},
		{"strangers", strangers},
		{"media from elsewhere", mediaFromElsewhere},
	}
	for _, x := range attacks {
		t.Run(x.name, func(t *testing.T) {
			x.play(t, a)
			a.unhurt(t)
		})
	}
	a.over(t)
}

// nastyFromPhone calls with each text as the name, as the user, and as the callee.
func nastyFromPhone(t *testing.T, a *attacked) {
	r := a.raw(t, "127.0.1.2")
	host := strings.TrimPrefix(a.d.sipUp[0], "udp:")
	for i, s := range nasty {
		user := 1 + i%2
		name := quoted(s)
		if strings.ContainsAny(s, "\r\n") {
			name = quoted(strings.NewReplacer("\r", "\\\r", "\n", "\\\n").Replace(s))
		}
		if status, text := r.invite("sip:"+number(user)+"@"+host, name+" <sip:+4940@127.0.1.2>", "", plainSDP); status < 400 || status == 500 {
			t.Errorf("%.60q as the name: %d\n%s", s, status, text)
		}
		if status, _ := r.invite("sip:"+number(user)+"@"+host, "<sip:"+s+"@127.0.1.2>", "", plainSDP); status < 400 || status == 500 {
			t.Errorf("%.60q as the caller: %d", s, status)
		}
		if strings.ContainsAny(s, "\r\n ") {
			continue // no start line at all
		}
		if status, _ := r.invite("sip:"+s+"@"+host, "<sip:+4940@127.0.1.2>", "", plainSDP); status < 400 && len(s) < 8000 || status == 500 {
			t.Errorf("%.60q as the callee: %d", s, status)
		}
	}
}

// nastyFromClient proposes calls with each text as the name and as the callee, and gives
// them up for each text as the reason.
func nastyFromClient(t *testing.T, a *attacked) {
	for i, s := range nasty {
		// Another user each time: one has few proposals a minute.
		full := fmt.Sprintf("nasty%d@%s/x", i, testDomain)
		session, err := a.server.Login(full)
		if err != nil {
			t.Fatal(err)
		}
		send := func(id, to string, payload ...*element.Element) {
			a.server.Inject(element.New("jabber:client", "message", "from", full, "to", to, "type", "chat", "id", id).Add(payload...))
		}
		const jmi = "urn:xmpp:jingle-message:0"
		audio := func() *element.Element {
			return element.New("urn:xmpp:jingle:apps:rtp:1", "description", "media", "audio")
		}
		s = characters(s)
		for n, to := range []string{contact(1), callable(s)} {
			sid := fmt.Sprintf("nasty-%d-%d", i, n)
			if to == "" {
				continue
			}
			send("p"+sid, to, element.New(jmi, "propose", "id", sid).Add(audio()), element.New("http://jabber.org/protocol/nick", "nick").AddText(s))
			send("r"+sid, to, element.New(jmi, "retract", "id", sid).Add(
				element.New("urn:xmpp:jingle:1", "reason").Add(element.New("", "cancel"), element.New("", "text").AddText(s))))
		}
		send("s"+s, contact(1), element.New(jmi, "propose", "id", s).Add(audio()))
		send("b"+s, contact(1), element.New("jabber:client", "body").AddText(s))
		session.Close()
	}
	a.onlyTheCall(t)
}

// onlyTheCall waits until no other call is left.
func (a *attacked) onlyTheCall(t *testing.T) {
	t.Helper()
	if !poll(patience, func() bool { return a.d.active() == 1 }) {
		t.Errorf("%d calls are left, want the one", a.d.active())
	}
}

// characters leaves out what no server hands on: it is no XML.
func characters(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 0xfffd || r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// callable is a JID of the gateway with that text in it, or nothing if there can be none.
func callable(s string) string {
	s = strings.NewReplacer(" ", `\20`, `"`, `\22`, "&", `\26`, "'", `\27`, "/", `\2f`, ":", `\3a`, "<", `\3c`, ">", `\3e`, "@", `\40`).Replace(s)
	if s == "" || len(s) > 900 {
		return ""
	}
	return "+4940" + s + "1@" + testGW
}

// nastyCallee refuses calls with each text as the reason, and sends each as a word in the
// session.
func nastyCallee(t *testing.T, a *attacked) {
	session, err := a.server.Login(account(3) + "/phone")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	next := 0
	var mu sync.Mutex
	session.Receive(func(e *element.Element) {
		propose := e.Child("urn:xmpp:jingle-message:0", "propose")
		if propose == nil {
			return
		}
		mu.Lock()
		s := characters(nasty[next%len(nasty)])
		next++
		mu.Unlock()
		_ = session.Send(element.New("jabber:client", "message", "to", e.Attr("from"), "type", "chat", "id", "x").Add(
			element.New("urn:xmpp:jingle-message:0", "reject", "id", propose.Attr("id")).Add(
				element.New("urn:xmpp:jingle:1", "reason").Add(element.New("", "decline"), element.New("", "text").AddText(s)))))
	})
	if err := session.Send(element.New("jabber:client", "presence")); err != nil {
		t.Fatal(err)
	}
	r := a.raw(t, "127.0.1.2")
	uri := "sip:" + number(3) + "@" + strings.TrimPrefix(a.d.sipUp[0], "udp:")
	for range nasty {
		status, text := r.invite(uri, "<sip:+4940@127.0.1.2>", "", plainSDP)
		if status != 603 {
			t.Errorf("got %d\n%s", status, text)
		}
		head, body, _ := strings.Cut(text, "\r\n\r\n")
		for line := range strings.SplitSeq(head, "\r\n") {
			if strings.HasPrefix(strings.ToLower(line), "x-evil") || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("a line was smuggled: %q", line)
			}
		}
		if body != "" {
			t.Errorf("a body was smuggled: %q", body)
		}
	}
}

// hostileSDP calls with descriptions that make no sense, or too much of it.
func hostileSDP(t *testing.T, a *attacked) {
	lines := func(n int, line string) string { return strings.Repeat(line+"\r\n", n) }
	const head = "v=0\r\no=- 1 1 IN IP4 127.0.1.2\r\ns=-\r\nc=IN IP4 127.0.1.2\r\nt=0 0\r\n"
	var types strings.Builder
	for i := range 500 {
		fmt.Fprintf(&types, " %d", i%128)
	}
	bodies := []string{
		"\r\n", "v=0", "v=1\r\n" + plainSDP, strings.ReplaceAll(plainSDP, "\r\n", "\n"), strings.ReplaceAll(plainSDP, "\r\n", "\r"),
		head, head + "m=audio 0 RTP/AVP 0\r\n", head + "m=audio -1 RTP/AVP 0\r\n", head + "m=audio 70000 RTP/AVP 0\r\n", head + "m=audio 99999999999999999999 RTP/AVP 0\r\n",
		head + "m=audio 40000/2 RTP/AVP 0\r\n", head + "m=audio 40000 RTP/AVP\r\n", head + "m=audio 40000 RTP/AVP x\r\n", head + "m=audio 40000 RTP/AVP -1\r\n",
		head + "m=audio 40000 RTP/AVP 999\r\n", head + "m=audio 40000 RTP/AVP" + types.String() + "\r\n", head + "m=audio 40000 RTP/SAVP 0\r\n",
		head + "m=audio 40000 TCP/RTP/AVP 0\r\n", head + "m=\x00audio 40000 RTP/AVP 0\r\n", head + "m=<evil> 40000 RTP/AVP 0\r\n",
		strings.ReplaceAll(plainSDP, "127.0.1.2", "224.0.0.1"), strings.ReplaceAll(plainSDP, "127.0.1.2", "0.0.0.0"),
		strings.ReplaceAll(plainSDP, "IP4 127.0.1.2", "IP6 ::1"), strings.ReplaceAll(plainSDP, "127.0.1.2", "evil.example"),
		strings.ReplaceAll(plainSDP, "127.0.1.2", "169.254.169.254"), strings.ReplaceAll(plainSDP, "127.0.1.2", "255.255.255.255"),
		plainSDP + "a=rtpmap:0 \x01\xff/8000\r\n", plainSDP + "a=rtpmap:0 PCMU/0\r\n", plainSDP + "a=rtpmap:0 PCMU/-8000/99\r\n", plainSDP + "a=rtpmap:\r\na=fmtp:\r\na=ptime:\r\n",
		plainSDP + "a=fmtp:0 </parameter><evil xmlns='x'/>\r\n", plainSDP + "a=mid:'/><evil xmlns='x'/>\r\na=ssrc:1 cname:\"<evil/>\r\n",
		plainSDP + "a=fmtp:0 " + strings.Repeat("x=y;", 3000) + "\r\n", plainSDP + lines(300, "a=x:y"), plainSDP + lines(200, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x"),
		plainSDP + lines(500, "a=candidate:1 1 UDP 1 127.0.0.1 9 typ host") + "a=ice-ufrag:x\r\na=ice-pwd:y\r\n", plainSDP + "a=fingerprint:sha-256 00\r\na=setup:actpass\r\n",
		head + lines(40, "m=audio 40000 RTP/AVP 0"), head + lines(400, "m=video 40000 RTP/AVP 96"), head + "b=" + strings.Repeat("9", 4000) + "\r\nm=audio 40000 RTP/AVP 0\r\n",
		plainSDP + strings.Repeat("a", 30000), "v=0\r\n" + lines(3000, "a="),
	}
	r := a.raw(t, "127.0.1.2")
	uri := "sip:" + number(1) + "@" + strings.TrimPrefix(a.d.sipUp[0], "udp:")
	for _, body := range bodies {
		if status, text := r.invite(uri, "<sip:+4940@127.0.1.2>", "", body); status < 400 || status == 500 {
			t.Errorf("%.80q...: %d\n%s", body, status, text)
		}
	}
	a.onlyTheCall(t)
}

// hostileSessions begins sessions that make no sense, or too much of it.
func hostileSessions(t *testing.T, a *attacked) {
	transport := func(inside string) string {
		return "<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='abcd' pwd='aaaaaaaaaaaaaaaaaaaaaaaa'>" + inside + "</transport>"
	}
	print := "<fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>" + strings.TrimSuffix(strings.Repeat("AA:", 32), ":") + "</fingerprint>"
	content := func(name, types, inside string) string {
		return "<content creator='initiator' name='" + name + "'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>" + types + "<rtcp-mux/></description>" + transport(inside) + "</content>"
	}
	const pcmu = "<payload-type id='0' name='PCMU' clockrate='8000'/>"
	candidate := func(ip, port string) string {
		return "<candidate component='1' foundation='1' generation='0' id='a' ip='" + ip + "' network='0' port='" + port + "' priority='1' protocol='udp' type='host'/>"
	}
	sessions := []string{
		"", "<content/>", "<content creator='evil' name='0'/>", content("0", "", print), content("0", pcmu, ""), content("0", pcmu, "<fingerprint/>"),
		content("0", "<payload-type/>", print), content("0", "<payload-type id='-1'/><payload-type id='999' name='x' clockrate='99999999999999999999'/>", print),
		content("0", "<payload-type id='0' name='&#xD;&#xA;a=evil' clockrate='8000'/>", print),
		content("0", "<payload-type id='0' name='PCMU' clockrate='8000'><parameter name='x' value='y&#xD;&#xA;X-Evil: 1'/></payload-type>", print),
		content("&#xD;&#xA;X-Evil: 1", pcmu, print), content(strings.Repeat("n", 20000), pcmu, print), strings.Repeat(content("0", pcmu, print), 100),
		content("0", strings.Repeat(pcmu, 1000), print), content("0", pcmu, print+strings.Repeat(candidate("127.0.0.1", "9"), 500)),
		content("0", pcmu, print+candidate("169.254.169.254", "80")+candidate("::ffff:127.0.0.1", "22")+candidate("224.0.0.1", "9")+candidate("0.0.0.0", "0")+candidate("evil.example", "x")),
		content("0", pcmu, strings.Repeat(print, 200)),
	}
	for i, s := range sessions {
		full := fmt.Sprintf("hostile%d@%s/x", i, testDomain)
		session, err := a.server.Login(full)
		if err != nil {
			t.Fatal(err)
		}
		for n, sid := range []string{fmt.Sprintf("hostile-%d", i), "&#xD;&#xA;X-Evil: 1", ""} {
			text := fmt.Sprintf("<iq xmlns='jabber:client' type='set' id='h%d' to='%s/sip'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='%s'>%s</jingle></iq>", n, contact(1), sid, s)
			if err := session.SendRaw(text); err != nil {
				t.Fatal(err)
			}
		}
		if !poll(patience, func() bool { return len(a.unanswered()) == 0 }) {
			t.Errorf("not answered: %q to %.300s", a.unanswered(), s)
		}
		session.Close()
	}
	a.onlyTheCall(t)
}

// hugeStanzas are too deep, too wide, or too long, and some are no XML at all.
func hugeStanzas(t *testing.T, a *attacked) {
	const from = " from='huge@other.example/x' to='+494011@" + testGW + "'"
	stanzas := []string{
		"<message" + from + ">" + strings.Repeat("<a>", 12000) + strings.Repeat("</a>", 12000) + "</message>",
		"<iq type='set' id='deep'" + from + "><jingle xmlns='urn:xmpp:jingle:1'>" + strings.Repeat("<a>", 12000) + strings.Repeat("</a>", 12000) + "</jingle></iq>",
		"<message" + from + "><body>" + strings.Repeat("x", 300<<10) + "</body></message>",
		"<message" + from + "><a " + attributes(20000) + "/></message>",
		"<message" + from + ">" + strings.Repeat("<a/>", 20000) + "</message>",
		"<presence" + from + "><status>\x01\x02</status></presence>",
		"<message" + from + "><body>\xff\xfe\xc0\xaf</body></message>",
		"<message" + from + "><body>&#x1;&#xFFFF;&evil;</body></message>",
		"<message" + from + "><body><![CDATA[<evil/>]]></body></message>",
		"<message from='a@b@c' to='" + testGW + "'><body>x</body></message>",
		"<message from='" + strings.Repeat("a", 2000) + "@other.example' to='+494011@" + testGW + "'/>",
		"<iq type='get' id='x'" + from + "/>", "<iq type='evil' id='x'" + from + "><a/></iq>", "<evil/>", "<message/>", "<iq/>",
		"<message" + from + " to='x@" + testGW + "'/>",
	}
	for _, s := range stanzas {
		if err := a.server.InjectRaw(testGW, s); err != nil {
			t.Fatal(err)
		}
	}
	// What comes after them is answered.
	session, err := a.server.Login(account(3) + "/ping")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.SendRaw("<iq xmlns='jabber:client' type='get' id='still-there' to='" + testGW + "'><ping xmlns='urn:xmpp:ping'/></iq>"); err != nil {
		t.Fatal(err)
	}
	for {
		e, err := session.Next(a.limit())
		if err != nil {
			t.Fatalf("no answer to a ping: %v", err)
		}
		if e.Attr("id") == "still-there" {
			break
		}
	}
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d='' ", i)
	}
	return b.String()
}

// tortureMessages come from the trunk, over UDP and TCP; each has its answer, and none becomes a
// stanza.
func tortureMessages(t *testing.T, a *attacked) {
	before := strings.Count(a.stanzas.String(), "\n")
	for i, transport := range []string{"UDP", "TCP"} {
		server := strings.TrimPrefix(a.d.sipUp[i], strings.ToLower(transport)+":")
		var p *torture.Peer
		for _, c := range torture.Cases() {
			if p == nil || transport != "UDP" {
				var err error
				if p, err = torture.Dial(transport, "127.0.1.2", server, "torture-"+transport+c.Name); err != nil {
					t.Fatal(err)
				}
				defer p.Close()
			}
			got, err := p.Play(c)
			if err != nil {
				t.Fatalf("%s over %s: %v", c.Name, transport, err)
			}
			if transport != "UDP" {
				p.Close()
			}
			if problem := c.Problem(got, transport != "UDP", 404, 484); problem != "" {
				t.Errorf("%s over %s: %s", c.Name, transport, problem)
			}
		}
	}
	a.onlyTheCall(t)
	for _, s := range strings.Split(a.stanzas.String(), "\n")[before:] {
		if strings.Contains(s, "harbour") || strings.Contains(s, "<jingle") {
			t.Errorf("a stanza: %s", s)
		}
	}
}

// strangers get nothing, not even an answer.
func strangers(t *testing.T, a *attacked) {
	r := a.raw(t, "127.0.0.9")
	uri := "sip:" + number(1) + "@" + strings.TrimPrefix(a.d.sipUp[0], "udp:")
	before := a.d.sip.Stats().Stack.Strangers
	sent := uint64(0)
	for _, method := range []string{"INVITE", "OPTIONS", "REGISTER", "MESSAGE", "BYE", "CANCEL", "ACK", "SUBSCRIBE", "EVIL"} {
		r.send(fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@127.0.0.9>;tag=1\r\nTo: <%s>\r\nCall-ID: stranger-%s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
			method, uri, r.conn.LocalAddr(), method, uri, method, method))
		sent++
	}
	// A BYE of the call that goes on, with its very tags, is a stranger's all the same.
	r.send(strings.ReplaceAll(forged(a.sip.String(), a.c), "\n", "\r\n"))
	r.send("\x16\xfe\xff")
	sent += 2
	if !poll(patience, func() bool { return a.d.sip.Stats().Stack.Strangers >= before+sent }) {
		t.Errorf("%d strangers were counted, want %d", a.d.sip.Stats().Stack.Strangers-before, sent)
	}
	r.nothing(t, "a stranger")
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	conn, err := d.Dial("tcp", strings.TrimPrefix(a.d.sipUp[1], "tcp:"))
	if err != nil {
		return // it is not even let in
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "OPTIONS %s SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.9;branch=z9hG4bK-t\r\nMax-Forwards: 70\r\nFrom: <sip:x@127.0.0.9>;tag=1\r\nTo: <%s>\r\nCall-ID: t\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", uri, uri)
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if got, _ := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("a stranger was answered %.200q", got)
	}
}

// forged is a BYE as the phone of the call would send it.
func forged(received string, c *sipphone.Call) string {
	to := regexp.MustCompile(`(?m)^To: (.*;tag=.*)$`).FindStringSubmatch(received)
	from := regexp.MustCompile(`(?m)^From: (.*;tag=.*)$`).FindStringSubmatch(received)
	return fmt.Sprintf("BYE sip:x@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bKforged\nMax-Forwards: 70\nFrom: %s\nTo: %s\nCall-ID: %s\nCSeq: 99 BYE\nContent-Length: 0\n\n",
		strings.TrimSpace(from[1]), strings.TrimSpace(to[1]), c.ID())
}

// mediaFromElsewhere floods the media ports of the call with everything that could be taken
// for its own, and gets nothing back.
func mediaFromElsewhere(t *testing.T, a *attacked) {
	var ports []uint16
	for _, m := range regexp.MustCompile(`(?m)^m=audio (\d+) `).FindAllStringSubmatch(a.sip.String(), -1) {
		n, _ := strconv.ParseUint(m[1], 10, 16)
		ports = append(ports, uint16(n), uint16(n)+1)
	}
	for _, m := range regexp.MustCompile(`<candidate [^>]*port='(\d+)'`).FindAllStringSubmatch(a.stanzas.String(), -1) {
		n, _ := strconv.ParseUint(m[1], 10, 16)
		ports = append(ports, uint16(n))
	}
	if len(ports) < 3 {
		t.Fatalf("only the ports %v are known", ports)
	}
	attacker, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)})
	if err != nil {
		t.Fatal(err)
	}
	defer attacker.Close()
	packets := [][]byte{stun(nil), stun([]byte("\x00\x06\x00\x09abcd:efgh\x00\x00\x00")), clientHello(t), {}, {0x80}, bytes.Repeat([]byte{0xff}, 1400)}
	for _, payloadType := range []uint8{0, 8, 126} {
		p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: payloadType, SSRC: 0xE71, SequenceNumber: 7}, Payload: make([]byte, 160)}
		wire, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, wire)
	}
	packets = append(packets, []byte{0x80, 200, 0, 6, 0, 0, 0x0e, 0x71, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{0x81, 203, 0, 1, 0, 0, 0x0e, 0x71})
	for range 200 {
		for _, port := range ports {
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
			for _, p := range packets {
				_, _ = attacker.WriteToUDPAddrPort(p, to) // a full buffer loses it
			}
		}
	}
	speak(t, a.c, a.callee)
	attacker.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	buf := make([]byte, 2000)
	if n, from, err := attacker.ReadFromUDP(buf); err == nil {
		t.Errorf("%v answered the attacker with %d octets: %x", from, n, buf[:min(n, 40)])
	}
}

// stun is a binding request that nobody has authenticated.
func stun(attributes []byte) []byte {
	p := make([]byte, 20, 64)
	binary.BigEndian.PutUint16(p, 1)
	binary.BigEndian.PutUint16(p[2:], uint16(len(attributes)))
	binary.BigEndian.PutUint32(p[4:], 0x2112A442)
	copy(p[8:], "evil evil ev")
	return append(p, attributes...)
}

// clientHello is what a DTLS client begins with.
func clientHello(t *testing.T) []byte {
	t.Helper()
	here, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := dtls.ClientWithOptions(there, here.LocalAddr(), dtls.WithInsecureSkipVerify(true))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	shaken := make(chan struct{})
	go func() { // ends with ctx
		_ = c.HandshakeContext(ctx)
		close(shaken)
	}()
	buf := make([]byte, 2000)
	here.SetReadDeadline(time.Now().Add(patience))
	n, _, err := here.ReadFromUDP(buf)
	cancel()
	<-shaken
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// A ClientHello and checks from elsewhere, before the client's own, take nothing from it.
func TestSprayBeforeTheClientConnects(t *testing.T) {
	t.Parallel()
	for _, passive := range []bool{false, true} {
		t.Run(map[bool]string{false: "active client", true: "passive client"}[passive], func(t *testing.T) {
			t.Parallel()
			ports := make(chan int, 100)
			candidate := regexp.MustCompile(`<candidate [^>]*port='(\d+)'`)
			w := newWorld(t, setup{trace: func(s xmppserver.Stanza) {
				if s.Peer != testGW || !s.Received {
					return
				}
				for _, m := range candidate.FindAllStringSubmatch(s.XML, -1) {
					n, _ := strconv.Atoi(m[1])
					select {
					case ports <- n:
					default:
					}
				}
			}})
			client := w.client(0, "phone", jinglephone.Options{
				Codecs: speech, Behaviour: jinglephone.Behaviour{CandidatesLate: 300 * time.Millisecond, Passive: passive},
			})
			c, callee := w.dial(0, client, 0)
			if err := callee.Accept(); err != nil {
				t.Fatal(err)
			}
			to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: take(t, ports)}
			attacker, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)})
			if err != nil {
				t.Fatal(err)
			}
			defer attacker.Close()
			hello, check := clientHello(t), stun(nil)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			over := w.limit()
			for c.State() < phone.Active || callee.State() < phone.Active {
				_, _ = attacker.WriteToUDP(hello, to)
				_, _ = attacker.WriteToUDP(check, to)
				select {
				case <-tick.C:
				case <-over.Done():
					t.Fatalf("the call is %v and %v", c.State(), callee.State())
				}
				if callee.State() == phone.Ended {
					t.Fatalf("the call ended: %+v", callee.End())
				}
			}
			talk(t, c, callee)
			attacker.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			buf := make([]byte, 2000)
			if n, _, err := attacker.ReadFromUDP(buf); err == nil {
				t.Errorf("the attacker was answered %x", buf[:min(n, 40)])
			}
			hangUp(t, c, callee)
			w.cause(0, call.Normal)
		})
	}
}
