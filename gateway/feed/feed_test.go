package feed

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/presence"
)

const (
	juliet = "juliet@example.org"
	secret = "0123456789abcdef"
)

func newTest() *Feed {
	return New(Options{
		Users: map[string]string{juliet: secret, "romeo@example.org": "fedcba9876543210"}, Hosts: []string{"feed.example.org"},
		Origins: []string{"https://app.example.org"}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func TestWhoMayRead(t *testing.T) {
	f := newTest()
	tests := []struct {
		name   string
		method string
		path   string
		host   string
		header string // "Name: value", several with line ends between
		status int
		allows string // Access-Control-Allow-Origin
	}{
		{"the example page", "GET", "/", "127.0.0.1:8088", "", 200, ""},
		{"nothing else is there", "GET", "/users", "127.0.0.1:8088", "", 404, ""},
		{"no token", "GET", "/users/" + juliet, "127.0.0.1:8088", "", 401, ""},
		{"the token", "GET", "/users/" + juliet, "127.0.0.1:8088", "Authorization: Bearer " + secret, 200, ""},
		{"another's token", "GET", "/users/" + juliet, "127.0.0.1:8088", "Authorization: Bearer fedcba9876543210", 401, ""},
		{"the token of another", "GET", "/users/romeo@example.org", "127.0.0.1:8088", "Authorization: Bearer " + secret, 401, ""},
		{"nobody's feed", "GET", "/users/mira@example.org", "127.0.0.1:8088", "Authorization: Bearer " + secret, 401, ""},
		{"nobody's feed with no token", "GET", "/users/mira@example.org", "127.0.0.1:8088", "Authorization: Bearer ", 401, ""},
		{"the token in the address", "GET", "/users/" + juliet + "?access_token=" + secret, "127.0.0.1:8088", "", 401, ""},
		{"its name", "GET", "/users/" + juliet, "feed.example.org", "Authorization: Bearer " + secret, 200, ""},
		{"a name that was made to lead here", "GET", "/users/" + juliet, "evil.example", "Authorization: Bearer " + secret, 421, ""},
		{"a site that may", "GET", "/users/" + juliet, "feed.example.org", "Authorization: Bearer " + secret + "\nOrigin: https://app.example.org", 200, "https://app.example.org"},
		{"its own page", "GET", "/users/" + juliet, "feed.example.org", "Authorization: Bearer " + secret + "\nOrigin: https://feed.example.org", 200, ""},
		{"a site that may not", "GET", "/users/" + juliet, "feed.example.org", "Authorization: Bearer " + secret + "\nOrigin: https://evil.example", 403, ""},
		{"a browser asks first", "OPTIONS", "/users/" + juliet + "/events", "feed.example.org", "Origin: https://app.example.org\nAccess-Control-Request-Method: GET\nAccess-Control-Request-Headers: authorization", 204, "https://app.example.org"},
		{"nothing can be ordered", "POST", "/users/" + juliet, "127.0.0.1:8088", "Authorization: Bearer " + secret, 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "http://"+tt.host+tt.path, nil)
			for line := range strings.SplitSeq(tt.header, "\n") {
				if name, value, ok := strings.Cut(line, ": "); ok {
					r.Header.Set(name, value)
				}
			}
			w := httptest.NewRecorder()
			f.Server().Handler.ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("Access-Control-Allow-Origin") != tt.allows {
				t.Errorf("%d, allows %q; want %d, %q: %s", w.Code, w.Header().Get("Access-Control-Allow-Origin"), tt.status, tt.allows, w.Body)
			}
			if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
				t.Error("there is no policy")
			}
		})
	}
}

// A stream reads events as a browser does.
type stream struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Scanner
}

func read(t *testing.T, f *Feed) *stream {
	t.Helper()
	s := httptest.NewServer(f.Server().Handler)
	t.Cleanup(s.Close)
	t.Cleanup(f.Close)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/users/"+juliet+"/events", nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s, %s", answer.Status, answer.Header.Get("Content-Type"))
	}
	return &stream{t, answer.Body, bufio.NewScanner(answer.Body)}
}

// next returns the name of the next event, and decodes what it says.
func (s *stream) next(v any) string {
	s.t.Helper()
	name := ""
	for s.in.Scan() {
		switch line := s.in.Text(); {
		case strings.HasPrefix(line, "event: "):
			name = line[7:]
		case strings.HasPrefix(line, "data: "):
			if err := json.Unmarshal([]byte(line[6:]), v); err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
		case line == "" && name != "":
			return name
		}
	}
	return "" // the end
}

func (s *stream) wants(want string) {
	s.t.Helper()
	var v any
	name := s.next(&v)
	b, _ := json.Marshal(v)
	if got := name + " " + string(b); got != want {
		s.t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAStream(t *testing.T) {
	f := newTest()
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	sight := gateway.Sight{
		Pair: gateway.Pair{User: juliet, Contact: `romeo\40voip.example@tel.example.org`}, Wish: presence.Granted, Grant: presence.Granted,
		Shown:   presence.Document{{Device: "desk", Open: true, Show: presence.DoNotDisturb, Activity: presence.OnThePhone, Notes: []presence.Note{{Text: "On the phone"}}}},
		Showing: presence.Document{{Device: "balcony", Open: true, Priority: 5}},
	}
	f.Sight(sight)
	f.Sight(gateway.Sight{Pair: gateway.Pair{User: "mira@example.org", Contact: "+49@tel.example.org"}}) // nobody follows
	s := read(t, f)
	s.wants(`now {"calls":[],"contacts":[{"address":"romeo@voip.example","devices":[{"activity":"on-the-phone","name":"desk","priority":0,"show":"dnd","text":"On the phone"}],` +
		`"grant":"granted","jid":"romeo\\40voip.example@tel.example.org","open":true,"wish":"granted"}],"devices":[{"name":"balcony","priority":5}],"user":"juliet@example.org"}`)

	sight.Shown = nil
	f.Sight(sight)
	s.wants(`contact {"address":"romeo@voip.example","devices":[],"grant":"granted","jid":"romeo\\40voip.example@tel.example.org","open":false,"wish":"granted"}`)

	r := gateway.Record{
		Call: "c1", From: gateway.SIP, Caller: gateway.Party{JID: "+4940@tel.example.org/sip", URI: "sip:+4940@pbx.example", Name: "Otto"},
		Callee: gateway.Party{JID: juliet + "/balcony"}, Attempt: at, State: call.Calling,
	}
	f.Call(r)
	s.wants(`call {"address":"+4940","began":"2026-11-27T12:00:00Z","call":"c1","incoming":true,"name":"Otto","state":"calling","with":"+4940@tel.example.org"}`)
	f.Call(r) // nothing is new
	r.State, r.Rang = call.Ringing, at.Add(time.Second)
	f.Call(r)
	s.wants(`call {"address":"+4940","began":"2026-11-27T12:00:00Z","call":"c1","incoming":true,"name":"Otto","state":"ringing","with":"+4940@tel.example.org"}`)
	r.State, r.Answered = call.Active, at.Add(2*time.Second)
	f.Call(r)
	s.wants(`call {"address":"+4940","answered":"2026-11-27T12:00:02Z","began":"2026-11-27T12:00:00Z","call":"c1","incoming":true,"name":"Otto","state":"active","with":"+4940@tel.example.org"}`)

	other := r
	other.Callee.JID = "nora@example.org"
	f.Call(other)
	var c Call
	if name := s.next(&c); name != "call" || c.ID != "c1" || c.State != Ended || c.Outcome != "handed over" {
		t.Errorf("after a transfer to another: %s %+v", name, c)
	}
	r.State, r.Ended, r.Cause = call.Ended, at.Add(9*time.Second), call.Normal
	r.Caller.Anonymous = true
	f.Call(r)
	s.wants(`call {"answered":"2026-11-27T12:00:02Z","began":"2026-11-27T12:00:00Z","call":"c1","ended":"2026-11-27T12:00:09Z","incoming":true,"outcome":"normal","state":"ended"}`)

	sight.Over = true
	f.Sight(sight)
	s.wants(`contact {"address":"romeo@voip.example","devices":[],"grant":"granted","jid":"romeo\\40voip.example@tel.example.org","open":false,"over":true,"wish":"granted"}`)
	s.wants(`devices []`)
	f.Close()
	s.wants(` null`)
}

// Whoever does not read is sent away, and holds up nobody; more than there is room for are refused.
func TestSlowAndTooManyReaders(t *testing.T) {
	f := newTest()
	u := f.users[juliet]
	slow, quick := u.join(), u.join()
	for len(quick) > 0 {
		<-quick
	}
	for i := range maxWaiting + 1 {
		f.Call(gateway.Record{Call: call.ID(fmt.Sprint(i)), From: gateway.XMPP, Caller: gateway.Party{JID: juliet}, Attempt: time.Now()})
		<-quick
	}
	n := 0
	for range slow {
		n++
	}
	if n != maxWaiting {
		t.Errorf("who does not read was told %d times, want %d, and then the end", n, maxWaiting)
	}
	for range maxReaders - 1 {
		if u.join() == nil {
			t.Fatal("there is room")
		}
	}
	if u.join() != nil {
		t.Error("there is no room any more")
	}
}

// Of calls that have ended only the last are known; of those that have not, all.
func TestOldCalls(t *testing.T) {
	f := newTest()
	u := f.users[juliet]
	for i := range 3 * maxEnded {
		r := gateway.Record{Call: call.ID(fmt.Sprint(i)), From: gateway.XMPP, Caller: gateway.Party{JID: juliet}, Attempt: time.Now()}
		if i != 0 {
			r.Ended = time.Now()
		}
		f.Call(r)
	}
	if n := u.now(); len(n.Calls) != maxEnded+1 || n.Calls[0].ID != "0" || n.Calls[1].ID != fmt.Sprint(2*maxEnded) {
		t.Errorf("%d calls, the first are %v", len(n.Calls), n.Calls[:2])
	}
}
