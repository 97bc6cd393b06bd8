package signaling

import (
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/message"
	"sipxmppgw/signaling/cpim"
	"sipxmppgw/signaling/stack"
)

// The nasty strings of RELIABILITY 6.
var nasty = []string{
	"\x00", "\x01\x1b[31m", "a\r\nX-Evil: b", "a\n b", "a\rb", "\u2028\u2029\u0085", "\u0080a\u009f", `"\`, `\"`, "<>&'", "]]>", "<!--", "%00%0d%0a",
	";?,=@://[::1]", `\40 \5c40`, "\xED\xA0\x80", "\xC0\xAF", "\uFEFF", "\uFFFE\uFFFF", "😀\u200D😀", "\u202Egpj", "İß", "${jndi:}", "=cmd|", "%n%s",
	strings.Repeat("a", 2000),
}

// Whatever a person writes, the request has the headers that it has for others, and the body
// is the text.
func TestNastyTextsStayInTheirPlace(t *testing.T) {
	names := func(raw string) string {
		head, _, _ := strings.Cut(raw, "\r\n\r\n")
		var all []string
		for line := range strings.SplitSeq(head, "\r\n") {
			if strings.ContainsAny(line, "\r\n\x00\x1b") {
				t.Errorf("a line is %q", line)
			}
			name, _, _ := strings.Cut(line, ":")
			all = append(all, name)
		}
		return strings.Join(all[1:], " ")
	}
	build := func(text string, wrapped bool) string {
		e := &Edge{o: Options{Host: "gw.example"}.withDefaults(), legs: newRegistry()}
		m := message.Message{
			Key: "k1", ID: text, Thread: text, Subject: text, Lang: "en", Body: text, Asks: message.AskDelivered,
			From: message.Address{URI: "sip:mira@gw.example", Name: text}, To: message.Address{URI: "sip:otto@pbx.example"},
		}
		uri, _ := requestURI(m.To.URI)
		s := &submission{e: e, m: m, trunk: &Trunk{Trusted: true}, uri: uri, tag: "t1", wrapped: wrapped}
		s.callID = e.threads.callIDOf(m.Thread, "k1@gw.example")
		return s.request().String()
	}
	for _, wrapped := range []bool{false, true} {
		want := names(build("plain", wrapped))
		for _, text := range nasty {
			raw := build(text, wrapped)
			if line(text) == "" {
				want := strings.Replace(want, " Subject", "", 1)
				if got := names(raw); got != want {
					t.Errorf("%q: the headers are %s, want %s", text, got, want)
				}
			} else if got := names(raw); got != want {
				t.Errorf("%q: the headers are %s, want %s", text, got, want)
			}
			_, body, _ := strings.Cut(raw, "\r\n\r\n")
			if wrapped {
				w, err := cpim.Parse(body)
				if err != nil {
					t.Errorf("%q: %v", text, err)
				}
				body = w.Content
				text = strings.ReplaceAll(text, "\r\n", "\n")
			}
			if body != text {
				t.Errorf("%q arrives as %q", text, body)
			}
		}
	}
}

func TestThreadsAreCallIDs(t *testing.T) {
	var th threads
	for in, want := range map[string]string{
		"b0a1c7e2": "b0a1c7e2", "im-1@198.51.100.9": "im-1@198.51.100.9", "": "own", "a b": "own", "a\r\nb": "own", strings.Repeat("x", 200): "own",
	} {
		if got := th.callIDOf(in, "own"); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	id := th.callIDOf("two words", "own2")
	if again := th.callIDOf("two words", "own3"); again != id || th.threadOf(id) != "two words" {
		t.Errorf("%q, then %q, which is the thread %q", id, again, th.threadOf(id))
	}
	if th.next("x") != 1 || th.next("x") != 2 || th.next("y") != 1 {
		t.Error("the numbers do not count")
	}
}

func TestAbilitiesAreBounded(t *testing.T) {
	var a abilities
	for i := range 3 * maxPeers {
		a.learn(digits(i), func(p *ability) { p.untyped = time.Now() })
	}
	if len(a.known) > maxPeers {
		t.Errorf("%d are known", len(a.known))
	}
}

func TestSessionIDs(t *testing.T) {
	var s sessionID
	s.begin("AB30317F-1a78-4dc4-8ff8-24d0d3715d86", "secret")
	if got, want := s.String(), "ab30317f1a784dc48ff824d0d3715d86;remote="+noSession; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, id := range []string{"", "x", "no-uuid", noSession} {
		var s sessionID
		s.begin(id, "secret")
		if uuidHex(s.local) != s.local || strings.Contains(s.local, "secret") {
			t.Errorf("%q gives %s", id, s.local)
		}
	}
}

// unasked are messages that nobody may send.
type unasked struct{ t *testing.T }

func (u unasked) Send(q gateway.Query, _ message.Message) error {
	u.t.Errorf("asked %+v", q)
	return &call.Refusal{Cause: call.NotFound}
}

func (unasked) Bounce(message.Bounced) {}

// TestMessageForNoAccount has an answer: it comes from a server of accounts, for none of them.
func TestMessageForNoAccount(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.edge.own.Messages = unasked{t}
		server := w.peer("203.0.113.5:5060")
		account := Trunk{Name: "account/1", Next: stack.Target{Host: "203.0.113.5", Port: 5060}}
		if err := w.edge.Join(account, Binding{AOR: "sip:mira@home.example"}, nil); err != nil {
			t.Fatal(err)
		}
		server.wants("REGISTER ")
		server.accept("")
		server.send(`MESSAGE sip:someone@192.0.2.10 SIP/2.0
Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKm1
Max-Forwards: 70
From: <sip:otto@home.example>;tag=o55
To: <sip:someone@home.example>
Call-ID: m1@x
CSeq: 1 MESSAGE`, "")
		server.wants("SIP/2.0 404 ")
		server.silent()
	})
}
