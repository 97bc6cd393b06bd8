//go:build interop

package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A sipp is one run of SIPp: one call (or OPTIONS) by a script, with every packet of speech
// sent back to where it came from.
type sipp struct {
	*process
	port   int    // of SIP over UDP
	trace  string // file with the messages
	errors string // file with what came otherwise than the script says
}

// sippOptions say where SIPp is and whom it calls.
type sippOptions struct {
	port   int    // own, UDP; 0 takes a free one
	target int    // port of 127.0.0.1, or ::1, that a caller sends to
	uri    string // that a caller asks for
	user   string // who SIPp is; empty for phoneUser
	host   string // where SIPp is; empty for 127.0.0.1

	secret string // of the user, for challenges
}

// startSipp runs a script, as compile understands it.
func startSipp(t *testing.T, o sippOptions, script string) *sipp {
	t.Helper()
	s := &sipp{port: o.port}
	if s.port == 0 {
		s.port = freePort(t)
	}
	if o.user == "" {
		o.user = phoneUser
	}
	if o.host == "" {
		o.host = "127.0.0.1"
	}
	dir := t.TempDir()
	s.trace, s.errors = filepath.Join(dir, "messages"), filepath.Join(dir, "errors")
	scenario := filepath.Join(dir, "scenario.xml")
	if err := os.WriteFile(scenario, []byte(compile(t, script, o)), 0o644); err != nil {
		t.Fatal(err)
	}
	argv := []string{
		"sipp", "-sf", scenario, "-nostdin",
		"-i", o.host, "-p", strconv.Itoa(s.port),
		"-mi", o.host, "-mp", strconv.Itoa(freePorts(t, 4)), "-rtp_echo",
		"-recv_timeout", "15000", "-timeout", "100", "-timeout_error",
		"-trace_msg", "-message_file", s.trace, "-trace_err", "-error_file", s.errors,
	}
	if o.secret != "" {
		argv = append(argv, "-au", o.user, "-ap", o.secret)
		if o.uri != "" { // else it proves itself for the address that it sends to
			argv = append(argv, "-auth_uri", strings.TrimPrefix(o.uri, "sip:"))
		}
	}
	if o.target != 0 {
		to := local(o.target)
		if strings.Contains(o.host, ":") {
			to = net.JoinHostPort("::1", strconv.Itoa(o.target))
		}
		argv = append(argv, "-m", "1", to)
	}
	s.process = start(t, "sipp", processOptions{dir: dir}, argv...)
	eventually(t, 20*time.Second, "sipp has its port", func() error {
		if s.ended() && s.err != nil && len(s.messages(t)) == 0 {
			b, _ := os.ReadFile(s.errors)
			t.Fatalf("sipp ended: %v\n%s", s.err, b)
		}
		if s.ended() || bound(o.host, s.port) {
			return nil
		}
		return fmt.Errorf("port %d is free", s.port)
	})
	return s
}

// finished waits until the script has run to its end, and fails the test when something
// else came than the script says.
func (s *sipp) finished(t *testing.T) {
	t.Helper()
	if err := s.result(); err != nil {
		t.Errorf("sipp: %v; messages:\n%s", err, tail(s.trace, 80))
	}
}

func (s *sipp) result() error {
	limit := time.After(40 * time.Second)
	for {
		select {
		case <-s.done:
			return s.err
		case <-limit:
			return fmt.Errorf("still runs")
		case <-time.After(50 * time.Millisecond):
			if b, err := os.ReadFile(s.errors); err == nil && (strings.Contains(string(b), "aborting call") || strings.Contains(string(b), "Failed regexp match")) {
				return fmt.Errorf("%s", b)
			}
		}
	}
}

// A sippMessage is a message in the trace of SIPp.
type sippMessage struct {
	at   time.Time
	sent bool // by SIPp
	text string
}

// messages returns what SIPp has sent and received so far.
func (s *sipp) messages(t *testing.T) []sippMessage {
	t.Helper()
	b, err := os.ReadFile(s.trace)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []sippMessage
	for _, m := range strings.Split(string(b), "-----------------------------------------------")[1:] {
		stamp, m, _ := strings.Cut(strings.TrimSpace(m), "\n")
		how, text, whole := strings.Cut(m, "\n\n")
		at, err := time.Parse("2006-01-02 15:04:05.999999", stamp)
		if err != nil || !whole {
			continue // not written to its end
		}
		all = append(all, sippMessage{at, strings.Contains(how, "message sent"), text})
	}
	return all
}

// find returns the first message received that begins with a line and has a part.
func (s *sipp) find(t *testing.T, line, part string) (sippMessage, bool) {
	t.Helper()
	for _, m := range s.messages(t) {
		if !m.sent && strings.HasPrefix(m.text, line) && strings.Contains(m.text, part) {
			return m, true
		}
	}
	return sippMessage{}, false
}

// waitFor waits until such a message has come.
func (s *sipp) waitFor(t *testing.T, limit time.Duration, line, part string) {
	t.Helper()
	err := within(limit, func() error {
		if _, found := s.find(t, line, part); !found {
			return fmt.Errorf("no %s with %q", line, part)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("after %v sipp has seen %v; messages:\n%s", limit, err, tail(s.trace, 80))
	}
}

// between checks how long it was from the ACK of one CSeq to the INVITE of the next, some
// milliseconds aside.
func (s *sipp) between(t *testing.T, ack, invite int, least, most time.Duration) {
	t.Helper()
	one, other := fmt.Sprintf("CSeq: %d ACK", ack), fmt.Sprintf("CSeq: %d INVITE", invite)
	a, ok := s.find(t, "ACK sip:+", one)
	b, found := s.find(t, "INVITE sip:+", other)
	took := b.at.Sub(a.at)
	if !ok || !found || took < least-20*time.Millisecond || took > most+slack {
		t.Errorf("from %s to %s it was %v, want %v to %v", one, other, took, least, most)
	}
}

// sameOrigin checks that the gateway has described its media in one way only: o= says so
// (RFC 3264 section 8).
func (s *sipp) sameOrigin(t *testing.T) {
	t.Helper()
	var origins []string
	for _, m := range s.messages(t) {
		for line := range strings.Lines(m.text) {
			if !m.sent && strings.HasPrefix(line, "o=") {
				origins = append(origins, strings.TrimSpace(line))
			}
		}
	}
	if len(origins) < 2 || len(slices.Compact(origins)) > 1 {
		t.Errorf("the origins are %q, want the same twice", origins)
	}
}

// all returns the messages received that begin with a line.
func (s *sipp) all(t *testing.T, line string) []sippMessage {
	t.Helper()
	return slices.DeleteFunc(s.messages(t), func(m sippMessage) bool { return m.sent || !strings.HasPrefix(m.text, line) })
}

// count returns how many messages were received that begin with a line.
func (s *sipp) count(t *testing.T, line string) int {
	t.Helper()
	return len(s.all(t, line))
}

// received returns the first message received whose first line has a part, such as "BYE".
func (s *sipp) received(t *testing.T, part string) string {
	t.Helper()
	for _, m := range s.messages(t) {
		if line, _, _ := strings.Cut(m.text, "\n"); !m.sent && strings.Contains(line, part) {
			return m.text
		}
	}
	t.Errorf("sipp received no %s; messages:\n%s", part, tail(s.trace, 80))
	return ""
}

// reason checks the Reason header of the first message received with a part in its first
// line: the Q.850 cause.
func (s *sipp) reason(t *testing.T, part string, cause int) {
	t.Helper()
	m := s.received(t, part)
	if want := fmt.Sprintf("Q.850;cause=%d", cause); m != "" && !strings.Contains(header(m, "Reason"), want) {
		t.Errorf("%s came with Reason %q, want %s", part, header(m, "Reason"), want)
	}
}

// header returns the first header with a name; empty when there is none.
func header(message, name string) string {
	for line := range strings.Lines(message) {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestPeerSippAgainstItself(t *testing.T) {
	tests := []struct {
		name           string
		callee, caller string
		fails          bool // the caller must notice
		pinged         bool // the callee's script is still to come
	}{
		{
			name:   "answered, the caller hangs up",
			callee: "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200",
			caller: "send INVITE; recv 200; send ACK; pause 200; send BYE; recv 200",
		},
		{
			name:   "answered, the callee hangs up",
			callee: "recv INVITE; send 200; recv ACK; pause 200; send BYE; recv 200",
			caller: "send INVITE; recv 200; send ACK; recv BYE; send 200",
		},
		{
			name:   "busy",
			callee: "recv INVITE; send 180; send 486; recv ACK",
			caller: "send INVITE; recv 486; send ACK",
		},
		{
			name:   "cancelled",
			callee: "recv INVITE; send 180; recv CANCEL; send 200; send 487; recv ACK",
			caller: "send INVITE; recv 180; send CANCEL; recv 200; recv 487; send ACK",
		},
		{
			name:   "options",
			callee: "recv INVITE; send 486; recv ACK",
			caller: "send OPTIONS; recv 200",
			pinged: true,
		},
		{
			name:   "declined instead of busy",
			callee: "recv INVITE; send 603; recv ACK",
			caller: "send INVITE; recv 486; send ACK",
			fails:  true,
		},
		{
			name:   "challenged",
			callee: "recv INVITE; send 401 | WWW-Authenticate: Digest realm=\"r\",nonce=\"n\",qop=\"auth\",algorithm=MD5; recv ACK; recv INVITE | proves +4930123450:right; send 200; recv ACK; recv BYE; send 200",
			caller: "send INVITE; recv 401; send ACK; send INVITE | auth; recv 200; send ACK; send BYE; recv 200",
		},
		{
			name:   "challenged, with a wrong password",
			callee: "recv INVITE; send 401 | WWW-Authenticate: Digest realm=\"r\",nonce=\"n\",qop=\"auth\",algorithm=MD5; recv ACK; recv INVITE | proves +4930123450:other; send 200; recv ACK; recv BYE; send 200",
			caller: "send INVITE; recv 401; send ACK; send INVITE | auth; recv 200; send ACK; send BYE; recv 200",
			fails:  true,
		},
		{
			name:   "reliably provisional",
			callee: "recv INVITE | Require: 100rel; send 183 | Require: 100rel | RSeq: 7 | sdp; recv PRACK | RAck: 7 1 INVITE; send 200; send 200 | bare; recv ACK; recv BYE; send 200",
			caller: "send INVITE | Require: 100rel; recv 183 | reliable | body PCMA; send PRACK; recv 200; recv 200 | no body PCMA; send ACK; send BYE; recv 200",
		},
		{
			name:   "a header is not as wanted",
			callee: "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200",
			caller: "send INVITE; recv 180 | RSeq: [0-9]+; recv 200; send ACK; send BYE; recv 200",
			fails:  true,
		},
		{
			name:   "a header is there that must not be",
			callee: "recv INVITE; send 180 | RSeq: 1; send 200; recv ACK; recv BYE; send 200",
			caller: "send INVITE; recv 180 | no RSeq; recv 200; send ACK; send BYE; recv 200",
			fails:  true,
		},
		{
			name:   "a body has what it must not have",
			callee: "recv INVITE; send 200; recv ACK; recv BYE; send 200",
			caller: "send INVITE; recv 200 | no body PCMA; send ACK; send BYE; recv 200",
			fails:  true,
		},
		{
			name:   "changed by either side",
			callee: "recv INVITE; send 200; recv ACK; recv INVITE | body sendonly; send 200 | sdp recvonly; recv ACK; send INVITE; recv 200; send ACK; recv UPDATE; send 491; recv BYE; send 200",
			caller: "send INVITE; recv 200; send ACK; send INVITE | sdp sendonly; recv 200 | body recvonly; send ACK; recv INVITE; send 200; recv ACK; send UPDATE; recv 491; send BYE; recv 200",
		},
		{
			name:   "changes cross",
			callee: "recv INVITE; send 200; recv ACK; recv INVITE; send INVITE | once; recv 491; send ACK; send 491; recv ACK; recv BYE; send 200",
			caller: "send INVITE; recv 200; send ACK; send INVITE | once; recv INVITE; send 491; recv ACK; recv 491; send ACK; send BYE; recv 200",
		},
		{
			name:   "BYE refused",
			callee: "recv INVITE; send 200; recv ACK; recv BYE; send 603",
			caller: "send INVITE; recv 200; send ACK; send BYE; recv 200",
			fails:  true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			callee := startSipp(t, sippOptions{}, tt.callee)
			caller := startSipp(t, sippOptions{target: callee.port, uri: "sip:x@" + local(callee.port), secret: "right"}, tt.caller)
			if tt.fails {
				noticed := make(chan error, 2)
				for _, s := range []*sipp{caller, callee} {
					go func() { noticed <- s.result() }() // ends with the test, which ends both
				}
				first := <-noticed
				if first == nil {
					first = <-noticed
				}
				if first == nil {
					t.Error("neither found anything wrong")
				}
				return
			}
			caller.finished(t)
			if !tt.pinged {
				callee.finished(t)
			}
		})
	}
}

func TestPeerSippSendsSpeechBack(t *testing.T) {
	phone := startBaresip(t, 0, 0)
	callee := startSipp(t, sippOptions{}, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")
	phone.dial(t, "sip:x@"+local(callee.port))
	phone.wait(t, "CALL_ESTABLISHED")
	talk()
	phone.command(t, "hangup", "")
	phone.wait(t, "CALL_CLOSED")
	callee.finished(t)
	phone.heard(t, phoneTone)
}

func TestPeerSippIsPingedBeforeACall(t *testing.T) {
	callee := startSipp(t, sippOptions{}, "recv INVITE; send 486; recv ACK")
	o := sippOptions{target: callee.port, uri: "sip:x@" + local(callee.port)}
	startSipp(t, o, "send OPTIONS; recv 200").finished(t)
	startSipp(t, o, "send INVITE; recv 486; send ACK").finished(t)
	callee.finished(t)
}
