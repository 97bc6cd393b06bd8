//go:build interop

package interop

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
)

// A typist is a SIP user with message sessions (RFC 4975), who types what is sent.
type typist struct {
	t    *testing.T
	sip  net.PacketConn
	to   net.Addr
	user string // who it is
	uri  string // who is called
	peer string // To of the dialog
	at   string // Contact of the other side
	seq  int
	got  []string // SIP messages that nobody has read

	msrp net.Conn
	r    *bufio.Reader
	path string // of the other side
}

const typistPath = "msrp://127.0.0.1:2855/typist1;tcp"

func newTypist(t *testing.T, g *gateway, user, uri string) *typist {
	t.Helper()
	return newTypistAt(t, g, g.phone, user, uri)
}

// newTypistAt has one be at a port of 127.0.0.1.
func newTypistAt(t *testing.T, g *gateway, port int, user, uri string) *typist {
	t.Helper()
	conn, err := net.ListenPacket("udp", local(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	to, err := net.ResolveUDPAddr("udp", local(g.sip))
	if err != nil {
		t.Fatal(err)
	}
	return &typist{t: t, sip: conn, to: to, user: user, uri: uri}
}

// sends sends a request; a body follows an empty line.
func (p *typist) sends(method, target, callID, more string) {
	p.t.Helper()
	branch := strings.ToLower(method)
	switch method {
	case "ACK":
	case "CANCEL": // of the INVITE that was sent last (RFC 3261 section 9.1)
		branch = "invite"
	default:
		p.seq++
	}
	to := "<" + p.uri + ">"
	if p.peer != "" && callID == "call1" {
		to = p.peer
	}
	head, body, _ := strings.Cut(more, "\n\n")
	body = strings.ReplaceAll(body, "\n", "\r\n")
	if head != "" {
		head += "\n"
	}
	text := fmt.Sprintf("%s %s SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d\nMax-Forwards: 70\nFrom: \"Otto\" <sip:%s@%s>;tag=otto1\nTo: %s\nCall-ID: %s\nCSeq: %d %s\nContact: <sip:otto@%s>\n%sContent-Length: %d\n\n",
		method, target, p.sip.LocalAddr(), branch, p.seq, p.user, p.sip.LocalAddr(), to, callID, p.seq, method, p.sip.LocalAddr(), head, len(body))
	if _, err := p.sip.WriteTo([]byte(strings.ReplaceAll(text, "\n", "\r\n")+body), p.to); err != nil {
		p.t.Fatal(err)
	}
}

// hears waits for a SIP message that begins so, and answers requests with 200.
func (p *typist) hears(start string) string {
	p.t.Helper()
	for i, text := range p.got {
		if strings.HasPrefix(text, start) {
			p.got = append(p.got[:i], p.got[i+1:]...)
			return text
		}
	}
	_ = p.sip.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 65536)
	for {
		n, _, err := p.sip.ReadFrom(b)
		if err != nil {
			p.t.Fatalf("no %q came: %v; seen\n%s", start, err, strings.Join(p.got, "\n"))
		}
		text := string(b[:n])
		if !strings.HasPrefix(text, "SIP/2.0") && strings.Contains(text, " SIP/2.0\r\n") && !strings.HasPrefix(text, "ACK") {
			var ok strings.Builder
			ok.WriteString("SIP/2.0 200 OK\r\n")
			head, _, _ := strings.Cut(text, "\r\n\r\n")
			for line := range strings.Lines(head + "\r\n") {
				for _, h := range []string{"Via:", "From:", "To:", "Call-ID:", "CSeq:"} {
					if strings.HasPrefix(line, h) {
						ok.WriteString(line)
					}
				}
			}
			ok.WriteString("Content-Length: 0\r\n\r\n")
			_, _ = p.sip.WriteTo([]byte(ok.String()), p.to)
		}
		if strings.HasPrefix(text, start) {
			return text
		}
		p.got = append(p.got, text)
	}
}

// enters opens a message session.
func (p *typist) enters(chatroom bool) {
	p.t.Helper()
	types := "text/plain message/cpim"
	if chatroom {
		types = "message/cpim\na=accept-wrapped-types:text/plain\na=chatroom:nickname private-messages"
	}
	p.sends("INVITE", p.uri, "call1", "Content-Type: application/sdp\n\nv=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=message 2855 TCP/MSRP *\na=path:"+typistPath+"\na=setup:active\na=accept-types:"+types+"\n")
	ok := p.hears("SIP/2.0 200")
	p.peer = header(ok, "To")
	_, at, _ := strings.Cut(header(ok, "Contact"), "<")
	p.at, _, _ = strings.Cut(at, ">")
	p.sends("ACK", p.at, "call1", "")
	_, path, _ := strings.Cut(ok, "a=path:")
	p.path, _, _ = strings.Cut(path, "\r\n")
	addr, _, _ := strings.Cut(strings.TrimPrefix(p.path, "msrp://"), "/")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	p.msrp, p.r = conn, bufio.NewReader(conn)
	p.types("SEND", "Message-ID: bind1\nByte-Range: 1-0/0\n", "")
	p.reads(" 200 ")
}

// types sends a request of MSRP.
func (p *typist) types(method, head, body string) {
	p.t.Helper()
	p.seq++
	id := fmt.Sprintf("typist%04d", p.seq)
	text := fmt.Sprintf("MSRP %s %s\nTo-Path: %s\nFrom-Path: %s\n%s", id, method, p.path, typistPath, head)
	if body != "" {
		text += "\n" + body + "\n"
	}
	if _, err := p.msrp.Write([]byte(strings.ReplaceAll(text+"-------"+id+"$\n", "\n", "\r\n"))); err != nil {
		p.t.Fatal(err)
	}
}

// reads waits for a message of MSRP with all of these words, and answers requests.
func (p *typist) reads(words ...string) string {
	p.t.Helper()
	var seen []string
	for {
		_ = p.msrp.SetReadDeadline(time.Now().Add(20 * time.Second))
		var lines []string
		id := ""
		for id == "" || !strings.HasPrefix(lines[len(lines)-1], "-------"+id) {
			line, err := p.r.ReadString('\n')
			if err != nil {
				p.t.Fatalf("no MSRP with %q: %v; seen\n%s", words, err, strings.Join(seen, "\n"))
			}
			lines = append(lines, strings.TrimSuffix(line, "\r\n"))
			if id == "" {
				id = strings.Fields(lines[0])[1]
			}
		}
		text := strings.Join(lines, "\n")
		if f := strings.Fields(lines[0]); len(f[2]) != 3 && f[2] != "REPORT" && !strings.Contains(text, "Failure-Report: no") {
			back := strings.Fields(header(text, "From-Path"))[0] // one hop (RFC 4975 section 7.2)
			_, _ = fmt.Fprintf(p.msrp, "MSRP %s 200 OK\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n", f[1], back, typistPath, f[1])
		}
		found := true
		for _, w := range words {
			found = found && strings.Contains(text, w)
		}
		if found {
			return text
		}
		seen = append(seen, text)
	}
}

func (p *typist) says(id, to, text string) {
	p.t.Helper()
	p.types("SEND", "Message-ID: "+id+"\nByte-Range: 1-*/*\nContent-Type: message/cpim\n",
		"From: <sip:otto@"+p.sip.LocalAddr().String()+">\nTo: <"+to+">\n\nContent-Type: text/plain\n\n"+text)
}

// withMSRP is the setting of message sessions, at a free port.
func withMSRP(t *testing.T) string {
	return fmt.Sprintf("msrp: {listen: [\"tcp:127.0.0.1:%d\"]}", freePort(t))
}

// A SIP user in a room of a real server, with a user of XMPP (RFC 7702).
func TestRoom(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{extra: withMSRP(t), routes: `{from: rooms.` + userDomain + `, to: "+49", trunk: phone}, `})
	const room = "ops@rooms." + userDomain
	juliet := &chatter{s.dial(t, "juliet", "desk"), make(chan *element.Element, 100)}
	juliet.Receive(func(e *element.Element) { juliet.got <- e })
	juliet.send(t, "<presence to='"+room+"/Juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
	juliet.reads(t, "<presence", "110")
	juliet.send(t, "<iq type='set' id='c1' to='"+room+"'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>")
	juliet.reads(t, "c1", "result")
	juliet.send(t, "<message type='groupchat' to='"+room+"'><subject>Night shift</subject></message>")

	otto := newTypist(t, g, "+49301234567", "sip:ops%40rooms."+userDomain+"@"+local(g.sip))
	juliet.send(t, "<iq type='set' id='c2' to='"+room+"'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"+
		"<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field><field var='muc#roomconfig_roomsecret'><value>sesame</value></field></x></query></iq>")
	juliet.reads(t, "c2", "result")
	otto.sends("INVITE", otto.uri, "early1", "Content-Type: application/sdp\n\nv=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=message 2855 TCP/MSRP *\na=path:"+typistPath+"\na=setup:active\na=accept-types:message/cpim\na=accept-wrapped-types:text/plain\na=chatroom\n")
	otto.hears("SIP/2.0 403") // he does not know the password
	juliet.send(t, "<message to='"+room+"'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='"+jidOf("+49301234567")+"'><reason>need eyes</reason></invite></x></message>")
	otto.isSent("I invite you to the room sip:ops%40rooms."+userDomain+"@", "need eyes")
	otto.enters(true)
	juliet.reads(t, "<presence", room+"/Otto", "participant")

	otto.sends("SUBSCRIBE", otto.uri, "watch1", "Event: conference\nExpires: 600\n")
	for { // the subject may come a moment later
		if n := otto.hears("NOTIFY"); strings.Contains(n, "Night shift") && strings.Contains(n, "<display-text>Juliet</display-text>") && strings.Contains(n, "<display-text>Otto</display-text>") {
			break
		}
	}
	otto.says("said1", otto.uri, "Door 4 is open")
	otto.reads(" 200 ")
	juliet.reads(t, "groupchat", room+"/Otto", "Door 4 is open")
	juliet.send(t, "<message type='groupchat' id='g1' to='"+room+"'><body>Which door?</body></message>")
	otto.reads("SEND", `From: "Juliet"`, "Which door?")
	otto.says("said2", otto.uri+";gr=Juliet", "The green one")
	juliet.reads(t, "type='chat'", room+"/Otto", "The green one")
	juliet.send(t, "<message type='chat' id='g2' to='"+room+"/Otto'><body>Thanks</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>")
	otto.reads("SEND", "Thanks", "To: <sip:+49301234567@")
	otto.types("NICKNAME", "Use-Nickname: \"Ottilie\"\n", "")
	otto.reads(" 200 ")
	juliet.reads(t, "<presence", room+"/Ottilie", "participant")
	otto.types("NICKNAME", "Use-Nickname: \"Juliet\"\n", "")
	otto.reads(" 425 ")

	juliet.send(t, "<iq type='set' id='k1' to='"+room+"'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='Ottilie' role='none'><reason>noise</reason></item></query></iq>")
	if bye := otto.hears("BYE"); !strings.Contains(bye, "you were put out of the room: noise") {
		t.Errorf("it does not say why:\n%s", bye)
	}
	juliet.reads(t, "<presence", room+"/Ottilie", "unavailable")
	eventually(t, 10*time.Second, "no session is left", func() error { return g.has("sipxmppgw_message_sessions 0") })
}

// has has an error unless a line is in the metrics.
func (g *gateway) has(line string) error {
	_, body, err := g.get("/metrics")
	if err == nil && !strings.Contains(body, "\n"+line+"\n") {
		return fmt.Errorf("not %q", line)
	}
	return err
}

// A session of two with a real server between: text in pieces, a receipt, and both ends of it.
func TestMessageSession(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{extra: withMSRP(t)})
	romeo := s.chatter(t, "romeo")
	otto := newTypist(t, g, "+49301234567", g.encodedURIOf("romeo"))
	otto.enters(false)
	otto.types("SEND", "Message-ID: asks1\nSuccess-Report: yes\nByte-Range: 1-5/5\nContent-Type: text/plain\n", "Noon?")
	asked := romeo.reads(t, "Noon?", "urn:xmpp:receipts")
	from := romeo.attr(asked, "from")
	romeo.send(t, "<message type='chat' to='"+from+"'><received xmlns='urn:xmpp:receipts' id='asks1'/></message>")
	otto.reads("REPORT", "asks1", "000 200")
	romeo.send(t, "<message type='chat' id='long1' to='"+from+"'><body>"+strings.Repeat("long ", 1000)+"</body></message>")
	first, second := otto.reads("SEND", "Byte-Range: 1-2048/5000"), otto.reads("SEND", "4097-5000/5000")
	if !strings.HasSuffix(first, "+") || !strings.HasSuffix(second, "$") {
		t.Errorf("the pieces end with %q and %q", first[len(first)-1:], second[len(second)-1:])
	}
	romeo.send(t, "<message type='chat' to='"+from+"'><gone xmlns='http://jabber.org/protocol/chatstates'/></message>")
	otto.hears("BYE")
}

// A relay of the peer's, which is not ours, reads what we write and sends it on.
func TestMessageRelay(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{extra: withMSRP(t)})
	romeo := s.chatter(t, "romeo")
	relay := freePort(t)
	startKamailio(t, "relay.cfg", relay, map[string]any{"SIP": relay})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	otto := newTypist(t, g, "+49301234567", g.encodedURIOf("romeo"))
	own := fmt.Sprintf("msrp://%s/typist1;tcp", l.Addr())
	path := fmt.Sprintf("msrp://%s/r1;tcp %s", local(relay), own)
	otto.sends("INVITE", otto.uri, "call1", "Content-Type: application/sdp\n\nv=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=message 2855 TCP/MSRP *\na=path:"+path+"\na=setup:passive\na=accept-types:text/plain\n")
	ok := otto.hears("SIP/2.0 200")
	otto.peer = header(ok, "To")
	_, at, _ := strings.Cut(header(ok, "Contact"), "<")
	otto.at, _, _ = strings.Cut(at, ">")
	otto.sends("ACK", otto.at, "call1", "")
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := l.Accept() // from the relay, with what binds the session
	if err != nil {
		t.Fatalf("the relay does not connect: %v", err)
	}
	defer conn.Close()
	otto.msrp, otto.r = conn, bufio.NewReader(conn)
	otto.reads("SEND", "Byte-Range: 1-0/0", "To-Path: "+own, "From-Path: msrp://"+local(relay))
	romeo.says(t, "r1", "+49301234567", strings.Repeat("long ", 500), "")
	first, second := otto.reads("SEND", "Byte-Range: 1-2048/2500"), otto.reads("SEND", "Byte-Range: 2049-2500/2500")
	if !strings.HasSuffix(first, "+") || !strings.HasSuffix(second, "$") || !strings.Contains(second, "long long") {
		t.Errorf("the pieces are\n%s\n%s", first, second)
	}
	otto.sends("BYE", otto.at, "call1", "")
	romeo.reads(t, "gone")
}

// attr is an attribute of a stanza in its text.
func (c *chatter) attr(text, name string) string {
	_, v, _ := strings.Cut(text, " "+name+"='")
	v, _, _ = strings.Cut(v, "'")
	return v
}
