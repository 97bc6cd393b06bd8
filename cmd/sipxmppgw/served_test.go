package main

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// told collects what the gateway writes to users.
type told struct {
	mu  sync.Mutex
	all []string
}

func (m *told) trace(s xmppserver.Stanza) {
	if s.Peer == testGW && s.Received && strings.Contains(s.XML, "<message") && strings.Contains(s.XML, "<body>") {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.all = append(m.all, s.XML)
	}
}

func (m *told) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.all, "\n")
}

// echoed proves that a caller hears what it says.
func echoed(t *testing.T, w *world, c phone.Call) {
	t.Helper()
	until(t, c, phone.Active)
	if !poll(patience, func() bool { return c.Sender() != nil }) {
		t.Fatal("there is nowhere to send to")
	}
	var err error
	for range 4 { // whoever has finished DTLS first loses its first word
		if err = c.Play(w.limit(), sample(0)); err != nil {
			t.Fatal(err)
		}
		if err = heard(w.limit(), c, sample(0)); err == nil {
			return
		}
	}
	t.Error(err)
}

// A user calls an echo by its name or number and hears it, and nobody behind a trunk is called.
func TestAUserCallsTheEcho(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"echo@" + testGW, "*43@" + testGW, "+4930555@" + testGW} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{more: "builtin: {echo: \"*43\", quality: \"+4930555\", names: " + strconv.FormatBool(strings.HasPrefix(to, "echo")) + "}\n"})
			client := w.client(0, "phone", conversations)
			c, err := client.Dial(to)
			if err != nil {
				t.Fatal(err)
			}
			echoed(t, w, c)
			if err := c.HangUp(); err != nil {
				t.Fatal(err)
			}
			w.cause(0, call.Normal)
			if r := w.record(0); r.Service == "" || r.Trunk != "" || !strings.HasPrefix(r.Rule, "built-in ") {
				t.Errorf("it was %+v", r)
			}
		})
	}
}

// After a call to see how it is, the user is told in the user's language.
func TestAUserIsToldHowTheCallWas(t *testing.T) {
	t.Parallel()
	var m told
	w := newWorld(t, setup{trace: m.trace, xmpp: ", language: de", more: "builtin: {names: true}\n"})
	c, err := w.client(0, "phone", conversations).Dial("quality@" + testGW)
	if err != nil {
		t.Fatal(err)
	}
	echoed(t, w, c)
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	w.cause(0, call.Normal)
	if !poll(patience, func() bool { return strings.Contains(m.text(), "Ihr Anruf dauerte") }) {
		t.Fatalf("the user was told %q", m.text())
	}
	for _, want := range []string{"from='quality@" + testGW, "Von Ihnen: Qualität 4.", "Zu Ihnen: ", "Codec: ", "Weg: host - "} {
		if !strings.Contains(strings.ReplaceAll(m.text(), `"`, "'"), want) {
			t.Errorf("no %q in %s", want, m.text())
		}
	}
}

// Who may call nobody may call no service, and one call more than may be is refused.
func TestServicesHaveBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{
		users: 2, routes: "  - {from: " + account(1) + ", deny: true}\n", more: "builtin: {names: true, max_calls: 1, max_duration: 10s}\n",
	})
	refused := func(c *jinglephone.Call, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		if !c.End().ByPeer {
			t.Errorf("it ended with %+v", c.End())
		}
	}
	refused(w.client(1, "phone", conversations).Dial("echo@" + testGW))
	client := w.client(0, "phone", conversations)
	first, err := client.Dial("tone@" + testGW)
	if err != nil {
		t.Fatal(err)
	}
	until(t, first, phone.Active)
	refused(client.Dial("echo@" + testGW))
	if err := first.WaitState(limit(t), phone.Ended); err != nil {
		t.Fatalf("it goes on: %v", err)
	}
	if d := first.Times().Ended.Sub(first.Times().Accepted); !first.End().ByPeer || d < 9*time.Second {
		t.Errorf("it ended after %v with %+v", d, first.End())
	}
	if n := len(w.d.tenants[0].g.Refused()); n != 2 {
		t.Errorf("%d calls were refused", n)
	}
}

// A phone behind a trunk that may calls the echo by its number and hears it; behind another it
// finds nobody.
func TestATrunkCallsTheEcho(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{
		phones: []behind{{phone: sipphone.Options{Codecs: speech}}, {phone: sipphone.Options{Codecs: speech}}}, more: "builtin: {echo: \"*43\", trunks: [t0]}\n",
	})
	at := strings.TrimPrefix(w.d.sipUp[0], "udp:")
	c, err := w.sip[0].Dial("sip:*43@" + at)
	if err != nil {
		t.Fatal(err)
	}
	echoed(t, w, c)
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	w.cause(0, call.Normal)
	if c, err = w.sip[1].Dial("sip:*43@" + at); err != nil {
		t.Fatal(err)
	}
	until(t, c, phone.Ended)
	if c.End().Status != 404 {
		t.Errorf("the other was answered %+v", c.End())
	}
}

// Digits that a user presses are said back, and told in a message afterwards.
func TestAUserIsToldTheDigits(t *testing.T) {
	t.Parallel()
	var m told
	w := newWorld(t, setup{trace: m.trace, more: "builtin: {names: true}\n"})
	c, err := w.client(0, "phone", conversations).Dial("dtmf@" + testGW)
	if err != nil {
		t.Fatal(err)
	}
	until(t, c, phone.Active)
	if !poll(patience, func() bool { return c.Sender() != nil }) {
		t.Fatal("there is nowhere to send to")
	}
	for _, key := range []byte("42#") {
		if err := c.Sender().Digit(w.limit(), key, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	w.cause(0, call.Normal)
	if !poll(patience, func() bool { return strings.Contains(m.text(), "Digits heard: 42#") }) {
		t.Errorf("the user was told %q", m.text())
	}
}
