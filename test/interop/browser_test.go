//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A browser is one headless Chromium. Its microphone hears a tone; its pages are users.
type browser struct {
	*process
	mu    sync.Mutex
	last  int
	calls map[int]chan browserReply // commands that wait
	pages map[string]chan browserEvent
}

type browserReply struct {
	ID     int             `json:"id"`
	Page   string          `json:"page"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	Event  *browserEvent   `json:"event"`
}

// A browserEvent is what a page reports: propose, initiate, accepted, terminate, …
type browserEvent struct {
	Type     string `json:"type"`
	SID      string `json:"sid"`
	From     string `json:"from"`
	Reason   string `json:"reason"`
	Text     string `json:"text"`
	State    string `json:"state"`    // of connection
	Presence string `json:"presence"` // of presence: available, subscribed, …
	Caps     string `json:"caps"`
	Name     string `json:"name"` // of info: hold, active, …; of modify: who sends
}

// startBrowser starts Chromium with a tone at its microphone.
func startBrowser(t *testing.T, tone float64) *browser {
	t.Helper()
	b := &browser{calls: map[int]chan browserReply{}, pages: map[string]chan browserEvent{}}
	ready := make(chan browserEvent, 1)
	b.pages[""] = ready
	driver, err := filepath.Abs("../browser/driver.mjs")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b.process = start(t, "chromium", processOptions{dir: dir, pipe: true, env: []string{"HOME=" + dir}},
		"node", driver, writeTone(t, dir, 48000, tone))
	go b.read(b.out) // ends with the process
	select {
	case <-ready:
	case <-b.done:
		t.Fatalf("chromium ended: %v", b.err)
	case <-time.After(30 * time.Second):
		t.Fatal("chromium did not start within 30 s")
	}
	return b
}

func (b *browser) read(out *os.File) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r browserReply
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue // not ours: the log has it
		}
		b.mu.Lock()
		reply, events := b.calls[r.ID], b.pages[r.Page]
		delete(b.calls, r.ID)
		b.mu.Unlock()
		switch {
		case r.Event != nil && events != nil:
			events <- *r.Event
		case r.Event == nil && reply != nil:
			reply <- r
		}
	}
}

// call runs a method of the driver or a page and decodes its result.
func (b *browser) call(page, method string, result any, args ...any) error {
	reply := make(chan browserReply, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.calls[id] = reply
	b.mu.Unlock()
	if args == nil {
		args = []any{}
	}
	request, err := json.Marshal(map[string]any{"id": id, "page": page, "method": method, "args": args})
	if err != nil {
		return err
	}
	if _, err := b.in.Write(append(request, '\n')); err != nil {
		return err
	}
	select {
	case r := <-reply:
		if r.Error != "" {
			return fmt.Errorf("%s: %s", method, r.Error)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(r.Result, result)
	case <-b.done:
		return fmt.Errorf("%s: chromium ended", method)
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s: no result for 20 s", method)
	}
}

// A client is an XMPP user in a page of a browser.
type client struct {
	browser *browser
	page    string
	jid     string // full JID
	events  chan browserEvent
}

// clientOptions say who logs in.
type clientOptions struct {
	user       string   // empty for romeo
	noMessages bool     // knows no JMI, so that a caller comes with session-initiate
	codecs     []string // that it knows; nil for all that Chromium has
	turn       *turn    // nothing but its relay is a way to it; nil for none
}

// login opens a page and logs in. When the test has failed, the page's stanzas are shown.
func (b *browser) login(t *testing.T, s *server, o clientOptions) *client {
	t.Helper()
	if o.user == "" {
		o.user = users[0]
	}
	c := &client{browser: b, events: make(chan browserEvent, 1000)}
	b.mu.Lock()
	c.page = fmt.Sprintf("%s %s %d", t.Name(), o.user, len(b.pages)) // who logs in again has a page of its own
	b.pages[c.page] = c.events
	b.mu.Unlock()
	if err := b.call("", "open", nil, c.page); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.show(t)
		}
		if err := b.call("", "close", nil, c.page); err != nil {
			t.Error(err)
		}
	})
	options := map[string]any{
		"jid": o.user + "@" + userDomain, "password": password, "resource": "browser",
		"url": s.websocket(), "messages": !o.noMessages, "codecs": o.codecs,
	}
	if o.turn != nil {
		user, secret := o.turn.credentials()
		options["relay"] = map[string]any{
			"urls": fmt.Sprintf("turn:127.0.0.1:%d?transport=udp", o.turn.port), "username": user, "credential": secret,
		}
	}
	c.do(t, &c.jid, "connect", options)
	return c
}

func (c *client) do(t *testing.T, result any, method string, args ...any) {
	t.Helper()
	if err := c.browser.call(c.page, method, result, args...); err != nil {
		t.Fatalf("%s: %v", c.page, err)
	}
}

func (c *client) bare() string {
	bare, _, _ := strings.Cut(c.jid, "/")
	return bare
}

// wait takes events until one is of a type.
func (c *client) wait(t *testing.T, kind string) browserEvent {
	t.Helper()
	return c.waitFor(t, 20*time.Second, kind)
}

func (c *client) waitFor(t *testing.T, patience time.Duration, kind string) browserEvent {
	t.Helper()
	limit := time.After(patience)
	var seen []string
	for {
		select {
		case e := <-c.events:
			if e.Type == kind {
				return e
			}
			seen = append(seen, strings.Join([]string{e.Type, e.State, e.Reason, e.Presence, e.Text}, " "))
		case <-limit:
			t.Fatalf("%s: waited %v for %s; seen %q", c.page, patience, kind, seen)
		}
	}
}

// ended waits for an event that ends a call, and checks its reason.
func (c *client) ended(t *testing.T, kind, reason string) browserEvent {
	t.Helper()
	e := c.wait(t, kind)
	if e.Reason != reason {
		t.Errorf("%s: %s has reason %q, want %q", c.page, kind, e.Reason, reason)
	}
	return e
}

// A reception is what a page measures of a session.
type reception struct {
	Frequency float64 // loudest, in hertz
	Level     float64 // dB below full scale (RMS)
	Received  int     // packets
	Sent      int     // packets
	Lost      int     // packets
	Codec     string
	Pair      string // addresses of the candidates in use
	Way, Far  string // types of its own and of the peer's
	TLS       string // version of DTLS, in hexadecimal digits
	SRTP      string // the profile
}

func (r reception) proves(frequency float64) error {
	switch {
	case r.Received < 50: // a second
		return fmt.Errorf("%d packets received: %w", r.Received, errSilent)
	case math.Abs(r.Frequency-frequency) > 10:
		return fmt.Errorf("loudest is %.0f Hz, want %.0f Hz: %w", r.Frequency, frequency, errSilent)
	case math.Abs(r.Level-toneLevel) > tolerance:
		return fmt.Errorf("%.0f Hz heard at %.1f dB, sent with %.1f dB", r.Frequency, r.Level, toneLevel)
	}
	return nil
}

func (c *client) reception(t *testing.T, sid string) reception {
	t.Helper()
	var r reception
	c.do(t, &r, "hears", sid)
	return r
}

// hears waits until a tone is heard in a session as it was sent.
func (c *client) hears(t *testing.T, sid string, frequency float64) {
	t.Helper()
	var r reception
	err := within(15*time.Second, func() error {
		r = c.reception(t, sid)
		return r.proves(frequency)
	})
	if err != nil {
		t.Errorf("%s: %v (%+v)", c.page, err, r)
		return
	}
	t.Logf("%s hears %.0f Hz at %.1f dB, %s, %d packets, %d lost, %s, DTLS %s, %s", c.page, r.Frequency, r.Level, r.Codec, r.Received, r.Lost, r.Pair, r.TLS, r.SRTP)
}

// show logs the stanzas of a page.
func (c *client) show(t *testing.T) {
	var stanzas []struct {
		Time int64
		Out  bool
		Text string
	}
	if err := c.browser.call(c.page, "stanzas", &stanzas); err != nil {
		t.Log(err)
		return
	}
	var b strings.Builder
	for _, s := range stanzas {
		direction := "in "
		if s.Out {
			direction = "out"
		}
		fmt.Fprintf(&b, "%s %s %s\n", time.UnixMilli(s.Time).Format("15:04:05.000"), direction, s.Text)
	}
	t.Logf("%s:\n%s", c.page, &b)
}

func TestPeerBrowser(t *testing.T) {
	s := startProsody(t)
	caller, callee := startBrowser(t, phoneTone), startBrowser(t, userTone)
	pair := func(t *testing.T, o clientOptions) (a, b *client) {
		o.user = "juliet"
		return caller.login(t, s, clientOptions{user: "romeo"}), callee.login(t, s, o)
	}
	t.Run("talks to another, with session-initiate", func(t *testing.T) {
		a, b := pair(t, clientOptions{noMessages: true})
		var sid string
		a.do(t, &sid, "initiate", b.jid)
		b.wait(t, "initiate")
		b.do(t, nil, "ringSession", sid)
		a.wait(t, "ringing-info")
		b.do(t, nil, "accept", sid)
		a.wait(t, "accepted")
		a.hears(t, sid, userTone)
		b.hears(t, sid, phoneTone)
		if got := b.reception(t, sid).TLS; got != dtls13 {
			t.Errorf("two browsers agree on DTLS %s, so that 1.2 with the gateway proves nothing", got)
		}
		b.do(t, nil, "end", sid, "success")
		a.ended(t, "terminate", "success")
	})
	t.Run("talks to another, with a proposal", func(t *testing.T) {
		a, b := pair(t, clientOptions{})
		var sid string
		a.do(t, &sid, "propose", b.bare())
		e := b.wait(t, "propose")
		b.do(t, nil, "ring", e.From, sid)
		a.wait(t, "ringing")
		b.do(t, nil, "proceed", e.From, sid)
		a.wait(t, "accepted")
		a.hears(t, sid, userTone)
		b.hears(t, sid, phoneTone)
		if err := b.reception(t, sid).proves(userTone); !errors.Is(err, errSilent) {
			t.Errorf("the other's tone is not the own one, got %v", err)
		}
		a.do(t, nil, "mute", sid, true)
		err := within(20*time.Second, func() error {
			if err := b.reception(t, sid).proves(phoneTone); err == nil {
				return errors.New("still heard")
			}
			return nil
		})
		if err != nil {
			t.Error("after mute:", err)
		}
		a.do(t, nil, "end", sid, "success")
		b.ended(t, "terminate", "success")
	})
	t.Run("declines a session", func(t *testing.T) {
		a, b := pair(t, clientOptions{})
		var sid string
		a.do(t, &sid, "initiate", b.jid)
		b.wait(t, "initiate")
		b.do(t, nil, "end", sid, "decline")
		a.ended(t, "terminate", "decline")
	})
	t.Run("rejects a proposal", func(t *testing.T) {
		a, b := pair(t, clientOptions{})
		var sid string
		a.do(t, &sid, "propose", b.bare())
		e := b.wait(t, "propose")
		b.do(t, nil, "reject", e.From, sid, "busy")
		a.ended(t, "reject", "busy")
	})
	t.Run("retracts a proposal", func(t *testing.T) {
		a, b := pair(t, clientOptions{})
		var sid string
		a.do(t, &sid, "propose", b.bare())
		b.wait(t, "propose")
		a.do(t, nil, "retract", b.bare(), sid)
		b.ended(t, "retract", "cancel")
	})
	t.Run("is told that there is no such user", func(t *testing.T) {
		a, _ := pair(t, clientOptions{})
		a.do(t, nil, "propose", "nobody@"+userDomain)
		a.ended(t, "bounced", "service-unavailable")
	})
	t.Run("says what it can do", func(t *testing.T) {
		a, b := pair(t, clientOptions{})
		var info struct{ Features []string }
		a.do(t, &info, "features", b.jid)
		for _, want := range []string{"urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle-message:0"} {
			if !slices.Contains(info.Features, want) {
				t.Errorf("%s is not among %v", want, info.Features)
			}
		}
	})
	t.Run("with a wrong password does not log in", func(t *testing.T) {
		if err := callee.call("", "open", nil, "wrong"); err != nil {
			t.Fatal(err)
		}
		err := callee.call("wrong", "connect", nil, map[string]any{
			"jid": "romeo@" + userDomain, "password": "wrong", "url": s.websocket(),
		})
		if err == nil || !strings.Contains(err.Error(), "wrong user or password") {
			t.Errorf("got %v", err)
		}
	})
}
