package main

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/mediarelay/typing"
	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/typewriter"
	"sipxmppgw/test/peer/xmppserver"
)

// seeing are the features of a client that shows text while it is typed (XEP-0301), and blind
// those of one that does not.
var (
	blind = []string{
		"http://jabber.org/protocol/caps", "http://jabber.org/protocol/chatstates", "http://jabber.org/protocol/disco#info", "urn:xmpp:jingle-message:0", "urn:xmpp:jingle:1",
		"urn:xmpp:jingle:apps:dtls:0", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle:transports:ice-udp:1", "urn:xmpp:ping",
	}
	seeing = append(slices.Clone(blind), "urn:xmpp:rtt:0")
)

// A scribe is a user with a client, and a phone with a typewriter.
type scribe struct {
	t    *testing.T
	w    *world
	mu   sync.Mutex
	all  []string      // messages of the gateway's
	seen int           // of them
	told chan struct{} // the gateway was told what the client can do
	sent atomic.Int32  // MESSAGEs that came to the phone
	line *typewriter.Typewriter
	user interface{ Send(*element.Element) error }
	jid  string
	app  *jinglephone.Phone
	with string // JID of the phone
	port int    // where the gateway wants what the phone types
}

// scribes makes a world of them.
func scribes(t *testing.T, features []string, trunk, profile string, attributes ...string) *scribe {
	t.Helper()
	s := &scribe{t: t, told: make(chan struct{}, 16), jid: account(0) + "/phone"}
	var err error
	if s.line, err = typewriter.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.line.Close)
	s.w = newWorld(t, setup{
		trace: s.trace, phones: []behind{{phone: sipphone.Options{Codecs: speech, Text: s.line.Lines(profile, attributes...), Trace: func(m sipphone.Message) {
			if strings.HasPrefix(m.Raw, "MESSAGE ") {
				s.sent.Add(1)
			}
		}}, trunk: trunk}},
	})
	session, err := s.w.server.Login(s.jid)
	if err != nil {
		t.Fatal(err)
	}
	s.user = session
	s.app = jinglephone.New(session, jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Conversations(), Features: features})
	t.Cleanup(func() { leave(s.app) })
	s.app.Subscribe(contact(0))
	select {
	case <-s.told:
	case <-limit(t).Done():
		t.Fatal("the gateway does not ask what the client can do")
	}
	// What comes after it was read after it.
	if _, err := s.app.Ask(limit(t), element.New("jabber:client", "iq", "type", "get", "to", testGW).Add(element.New("urn:xmpp:ping", "ping"))); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scribe) trace(st xmppserver.Stanza) {
	switch {
	case st.Peer == testGW && st.Received && strings.Contains(st.XML, "<message"):
		s.mu.Lock()
		s.all = append(s.all, st.XML)
		s.mu.Unlock()
	case st.Peer == s.jid && st.Received && strings.Contains(st.XML, "http://jabber.org/protocol/disco#info") && strings.Contains(st.XML, "result"):
		select {
		case s.told <- struct{}{}:
		default:
		}
	}
}

func (s *scribe) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.all, "\n")
}

// answered has both talk, and finds out where the text of the phone goes.
func (s *scribe) answered(c *sipphone.Call, user *jinglephone.Call) {
	s.t.Helper()
	answered(s.t, c, user)
	s.with, _, _ = strings.Cut(user.Peer(), "/")
	s.port, _ = c.Text()
	if s.port == 0 {
		s.t.Fatal("the gateway takes no text")
	}
}

func (s *scribe) types(text string, lost bool) {
	s.t.Helper()
	if err := s.line.Type(s.port, text, lost); err != nil {
		s.t.Fatal(err)
	}
}

// writes sends a message of the user's with elements.
func (s *scribe) writes(xml string) {
	s.t.Helper()
	e, err := element.Parse("<message type='chat' id='"+rand.Text()+"' to='"+s.with+"'>"+xml+"</message>", "jabber:client")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.user.Send(e); err != nil {
		s.t.Fatal(err)
	}
}

// sees waits until the gateway has written something to the user that fits, after what it saw last.
func (s *scribe) sees(pattern string) {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	if !poll(patience, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		i := slices.IndexFunc(s.all[s.seen:], func(m string) bool { return re.MatchString(m) })
		if i >= 0 {
			s.seen += i + 1
		}
		return i >= 0
	}) {
		s.t.Fatalf("no %s in\n%s", pattern, s.text())
	}
}

// reads waits until the phone has read exactly this.
func (s *scribe) reads(want string) {
	s.t.Helper()
	if !poll(patience, func() bool { got, _ := s.line.Read(); return got == want }) {
		got, n := s.line.Read()
		s.t.Fatalf("the phone reads %q of %d packets, want %q", got, n, want)
	}
}

// A phone and a client see each other type: what the phone types as edits and then as a message,
// what the client edits as characters (RFC 4103, XEP-0301). What is lost on the way comes with what
// follows.
func TestTextWhileItIsTyped(t *testing.T) {
	t.Parallel()
	s := scribes(t, seeing, "", "RTP/AVP")
	s.answered(s.w.dial(0, s.app, 0))
	s.types("\uFEFFHe", false)
	s.sees(`<rtt [^>]*event=.new.[^>]*><t[^>]*>He</t></rtt>`)
	s.types("l", true) // lost, and comes with the next
	s.types("lo", false)
	s.sees(`<rtt [^>]*seq=[^>]*><t[^>]*>llo</t></rtt>`)
	s.types("\b\by", false)
	s.sees(`<rtt [^>]*><e [^>]*n=.2.`)
	s.types("\u2028", false)
	s.sees(`<body>Hely</body><thread>`)

	s.writes("<rtt xmlns='urn:xmpp:rtt:0' event='new' seq='1'><t>Good da</t></rtt>")
	s.reads("\uFEFFGood da")
	s.writes("<rtt xmlns='urn:xmpp:rtt:0' seq='2'><e n='2'/><t>evening</t></rtt>")
	s.reads("\uFEFFGood da\b\bevening")
	s.writes("<body>Good evening</body>")
	s.reads("\uFEFFGood da\b\bevening\u2028")
}

// Who has a client that shows no such text gets and writes lines.
func TestTextOfAClientThatShowsNone(t *testing.T) {
	t.Parallel()
	s := scribes(t, blind, "", "RTP/AVP")
	sip, user := s.w.dial(0, s.app, 0)
	s.answered(sip, user)
	s.types("Hello\u2028", false)
	s.sees(`<body>Hello</body>`)
	if strings.Contains(s.text(), "urn:xmpp:rtt:0'>") || strings.Contains(s.text(), "<rtt") {
		t.Errorf("it was sent edits: %s", s.text())
	}
	s.writes("<body>Yes?</body>")
	s.reads("\uFEFFYes?\u2028")

	// On hold it goes on; after the call what is written is a message again, and a line that was not
	// ended is one too.
	if status, err := sip.Reinvite(limit(t), "sendonly"); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	s.writes("<body>Still here</body>")
	s.reads("\uFEFFYes?\u2028Still here\u2028")
	line := s.w.d.tenants[0].texts.Of(call.ID(s.w.d.desk.Calls(t.Context())[0].Call)).(*typing.Line)
	before := line.Figures().Received
	s.types("Bye", false)
	if !poll(patience, func() bool { return line.Figures().Received > before }) {
		t.Fatal("the packet did not come")
	}
	hangUp(t, sip, user)
	s.sees(`<body>Bye</body>`)
	if s.w.d.tenants[0].texts.Len() != 0 {
		t.Error("the line is still there")
	}
}

// With text offer, a phone is offered it whose caller's client shows it.
func TestTextIsOffered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		features []string
		trunk    string
		offered  bool
	}{{"to a phone", seeing, ", text: offer", true}, {"not for a client that shows none", blind, ", text: offer", false}, {"not where it is only taken", seeing, "", false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := scribes(t, tt.features, tt.trunk, "RTP/AVP")
			user, sip := s.w.call(s.app, 0)
			if offered := strings.Contains(string(sip.Invite().Body()), "m=text "); offered != tt.offered {
				t.Fatalf("it was offered %q", sip.Invite().Body())
			}
			if err := sip.Accept(); err != nil {
				t.Fatal(err)
			}
			until(t, user, phone.Active)
			if !tt.offered {
				hangUp(t, sip, user)
				return
			}
			s.with = contact(0)
			s.port, _ = sip.Text()
			s.writes("<rtt xmlns='urn:xmpp:rtt:0' event='new' seq='1'><t>Hi</t></rtt>")
			s.reads("\uFEFFHi")
			s.types("Oh", false)
			s.sees(`<rtt [^>]*><t[^>]*>Oh</t></rtt>`)
			hangUp(t, sip, user)
			s.sees(`<body>Oh</body>`)
		})
	}
}

// Text is protected where speech may be, and refused where it cannot be or is not wanted.
func TestTextIsProtected(t *testing.T) {
	t.Parallel()
	theirs := make([]byte, 30)
	for i := range theirs {
		theirs[i] = byte(i)
	}
	s := scribes(t, seeing, ", srtp: preferred", "RTP/AVP", "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:"+base64.StdEncoding.EncodeToString(theirs))
	sip, user := s.w.dial(0, s.app, 0)
	s.answered(sip, user)
	_, lines := sip.Text()
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:") })
	if i < 0 {
		t.Fatalf("the answer is %q", lines)
	}
	ours, err := base64.StdEncoding.DecodeString(lines[i][strings.Index(lines[i], "inline:")+len("inline:"):])
	if err != nil {
		t.Fatal(err)
	}
	s.types("clear\u2028", false) // of a stranger, as far as the gateway can tell
	if err := s.line.Protect(theirs, ours); err != nil {
		t.Fatal(err)
	}
	s.types("secret\u2028", false)
	s.sees(`<body>secret</body>`)
	if strings.Contains(s.text(), "<body>clear</body>") {
		t.Error("what was not protected was taken")
	}
	s.writes("<body>Mum</body>")
	if !poll(patience, func() bool { got, _ := s.line.Read(); return strings.HasSuffix(got, "Mum\u2028") }) {
		t.Error(s.line.Read())
	}
}

// Where there is no text, there is none, and the call goes on without.
func TestTextIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, trunk, profile string }{
		{"off", ", text: \"off\"", "RTP/AVP"}, {"keys that nobody knows", "", "RTP/SAVP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := scribes(t, seeing, tt.trunk, tt.profile)
			sip, user := s.w.dial(0, s.app, 0)
			answered(t, sip, user)
			if port, lines := sip.Text(); port != 0 || lines == nil {
				t.Errorf("the answer is %q", lines)
			}
			talk(t, sip, user)
			s.with = contact(0)
			s.writes("<body>As a message</body>")
			if !poll(patience, func() bool { return s.sent.Load() > 0 }) {
				t.Error("what was written did not become a message")
			}
		})
	}
}

// Text goes on while the speech is held and when it is taken up again; what stands in a line that
// was not ended is told when the phone hangs up; and the record of the call has it.
func TestTextOutlastsHold(t *testing.T) {
	t.Parallel()
	s := scribes(t, seeing, "", "RTP/AVP")
	sip, user := s.w.dial(0, s.app, 0)
	s.answered(sip, user)
	for _, direction := range []string{"sendonly", "sendrecv"} {
		if status, err := sip.Reinvite(limit(t), direction); err != nil || status != 200 {
			t.Fatalf("re-INVITE: %d, %v", status, err)
		}
		if port, lines := sip.Text(); port != s.port {
			t.Fatalf("the text is at %d and then at %d: %q", s.port, port, lines)
		}
		s.types(direction+"\u2028", false)
		s.sees("<body>" + direction + "</body>")
	}
	s.writes("<body>still here</body>")
	s.reads("\uFEFFstill here\u2028")
	s.types("bye", false)
	s.sees("<t[^>]*>bye</t>")
	hangUp(t, sip, user)
	s.sees("<body>bye</body>")
	r := s.w.record(0)
	if line := r.Line(r.Ended); !line.Text || line.TextRx != 3 || line.TextTx == 0 || line.TextLost != 0 {
		t.Errorf("the record has %+v", r.Text)
	}
}

// Who hangs up still gets what the phone had typed and not ended.
func TestTextOutlastsTheCall(t *testing.T) {
	t.Parallel()
	s := scribes(t, seeing, "", "RTP/AVP")
	sip, user := s.w.dial(0, s.app, 0)
	s.answered(sip, user)
	s.types("one moment", false)
	s.sees("<t[^>]*>one moment</t>")
	hangUp(t, user, sip)
	s.sees("<body>one moment</body>")
}

// A call without text has none in its record, nor has one whose peer refused it.
func TestTextThatWasNot(t *testing.T) {
	t.Parallel()
	s := scribes(t, seeing, ", text: off", "RTP/AVP")
	sip, user := s.w.dial(0, s.app, 0)
	answered(t, sip, user)
	hangUp(t, sip, user)
	if r := s.w.record(0); r.Text != nil || r.Line(r.Ended).Text {
		t.Errorf("the record has %+v", r.Text)
	}
}

// A phone that sends packets without end is not read faster than anybody types, and neither the
// text nor the speech breaks.
func TestTextThatFloods(t *testing.T) {
	t.Parallel()
	s := scribes(t, seeing, "", "RTP/AVP")
	sip, user := s.w.dial(0, s.app, 0)
	s.answered(sip, user)
	for range 400 {
		s.types("x", false)
	}
	talk(t, sip, user)
	s.types("\u2028sober\u2028", false)
	s.sees("<body>sober</body>")
	hangUp(t, sip, user)
	if r := s.w.record(0); r.Text == nil || r.Text.Received == 0 || r.Text.Received > 300 {
		t.Errorf("the record has %+v", r.Text)
	}
}
