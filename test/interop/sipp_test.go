//go:build interop

package interop

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
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
	target int    // port of 127.0.0.1 that a caller sends to
	uri    string // that a caller asks for
	user   string // who SIPp is; empty for phoneUser
}

// startSipp runs a script. Its steps stand one a line or are parted by semicolons:
//
//	send INVITE | ACK | CANCEL | BYE | OPTIONS | a status
//	recv a method or a status
//	pause milliseconds
//
// A script that begins with recv is a callee's. INVITE and 200 to it carry SDP with PCMA.
// Provisional responses that the script does not name may come before any final one.
func startSipp(t *testing.T, o sippOptions, script string) *sipp {
	t.Helper()
	s := &sipp{port: o.port}
	if s.port == 0 {
		s.port = freePort(t)
	}
	if o.user == "" {
		o.user = phoneUser
	}
	dir := t.TempDir()
	s.trace, s.errors = filepath.Join(dir, "messages"), filepath.Join(dir, "errors")
	scenario := filepath.Join(dir, "scenario.xml")
	if err := os.WriteFile(scenario, []byte(compile(t, script, o)), 0o644); err != nil {
		t.Fatal(err)
	}
	argv := []string{
		"sipp", "-sf", scenario, "-nostdin",
		"-i", "127.0.0.1", "-p", strconv.Itoa(s.port),
		"-mi", "127.0.0.1", "-mp", strconv.Itoa(freePorts(t, 4)), "-rtp_echo",
		"-recv_timeout", "15000", "-timeout", "60", "-timeout_error",
		"-trace_msg", "-message_file", s.trace, "-trace_err", "-error_file", s.errors,
	}
	if o.target != 0 {
		argv = append(argv, "-m", "1", local(o.target))
	}
	s.process = start(t, "sipp", processOptions{dir: dir}, argv...)
	eventually(t, 20*time.Second, "sipp has its port", func() error {
		if s.ended() && s.err != nil {
			b, _ := os.ReadFile(s.errors)
			t.Fatalf("sipp ended: %v\n%s", s.err, b)
		}
		if s.ended() || bound(s.port) {
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
			if b, err := os.ReadFile(s.errors); err == nil && strings.Contains(string(b), "aborting call") {
				return fmt.Errorf("%s", b)
			}
		}
	}
}

// received returns the first message received whose first line has a part, such as "BYE".
func (s *sipp) received(t *testing.T, part string) string {
	t.Helper()
	b, err := os.ReadFile(s.trace)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range strings.Split(string(b), "\n-----") {
		_, text, found := strings.Cut(m, "message received")
		if !found {
			continue
		}
		_, text, _ = strings.Cut(text, "\n\n")
		if line, _, _ := strings.Cut(text, "\n"); strings.Contains(line, part) {
			return text
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

// A compiler turns a script into a scenario of SIPp.
type compiler struct {
	out    strings.Builder
	uri    string // Request-URI
	user   string // SIPp's own
	caller bool
	index  int    // of the next message
	invite int    // index of the INVITE sent
	method string // last received request, or of the request last sent
	status int    // last received
}

func compile(t *testing.T, script string, o sippOptions) string {
	t.Helper()
	steps := strings.FieldsFunc(script, func(r rune) bool { return r == ';' || r == '\n' })
	c := &compiler{uri: o.uri, user: o.user}
	for i, step := range steps {
		words := strings.Fields(step)
		if len(words) != 2 {
			t.Fatalf("step %q: want a verb and an object", step)
		}
		if i == 0 {
			c.caller = words[0] == "send"
		}
		switch words[0] {
		case "send":
			c.send(words[1])
		case "recv":
			c.recv(words[1])
		case "pause":
			fmt.Fprintf(&c.out, "<pause milliseconds=%q/>\n", words[1])
		default:
			t.Fatalf("step %q: unknown verb", step)
		}
	}
	body := c.out.String()
	if !c.caller {
		body = answerPings + body + end
	}
	text := "<?xml version=\"1.0\"?>\n<scenario name=\"script\">\n" + body + "</scenario>\n"
	if err := xml.Unmarshal([]byte(text), new(struct{})); err != nil {
		t.Fatal(err)
	}
	return text
}

// A trunk is asked with OPTIONS whether it lives, and SIPp takes each for a call: it is
// answered beside the script, and the end of the script ends SIPp.
const (
	answerPings = `<recv request="OPTIONS" optional="true" next="ping"/>
`
	end = `<nop next="end"><action><exec int_cmd="stop_gracefully"/></action></nop>
<label id="ping"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]p[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<label id="end"/>
<Reference variables="from,to,number"/>
`
)

func (c *compiler) recv(what string) {
	status, err := strconv.Atoi(what)
	switch {
	case err == nil && c.method == "INVITE":
		for _, provisional := range []int{100, 180, 183} {
			if provisional != status {
				fmt.Fprintf(&c.out, "<recv response=\"%d\" optional=\"true\"/>\n", provisional)
				c.index++
			}
		}
		fmt.Fprintf(&c.out, "<recv response=\"%d\" rrs=\"true\"/>\n", status)
	case err == nil:
		fmt.Fprintf(&c.out, "<recv response=\"%d\"/>\n", status)
	case what == "INVITE":
		c.out.WriteString("<recv request=\"INVITE\" crlf=\"true\" rrs=\"true\"><action>\n")
		for _, e := range [][3]string{{".*", "From:", "from"}, {".*", "To:", "to"}, {"[0-9]+", "CSeq:", "number"}} {
			fmt.Fprintf(&c.out, "<ereg regexp=%q search_in=\"hdr\" header=%q assign_to=%q/>\n", e[0], e[1], e[2])
		}
		c.out.WriteString("</action></recv>\n")
	default:
		fmt.Fprintf(&c.out, "<recv request=%q/>\n", what)
	}
	c.index++
	if err == nil {
		c.status = status
		if c.method == "CANCEL" { // its 200; next comes the INVITE's response
			c.method = "INVITE"
		}
	} else {
		c.method = what
	}
}

func (c *compiler) send(what string) {
	lines := c.request(what)
	if _, err := strconv.Atoi(what); err == nil {
		lines = c.response(what)
	}
	lines = append(lines, "Call-ID: [call_id]")
	retrans := ""
	if what == "INVITE" || what == "BYE" || what == "OPTIONS" || what >= "200" && what <= "699" && c.method == "INVITE" {
		retrans = ` retrans="500"`
	}
	if what == "INVITE" || what == "200" && c.method == "INVITE" {
		lines = append(lines, "Content-Type: application/sdp", "Content-Length: [len]", "",
			"v=0", "o=- 1 1 IN IP4 [media_ip]", "s=-", "c=IN IP4 [media_ip]", "t=0 0",
			"m=audio [media_port] RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15")
	} else {
		lines = append(lines, "Content-Length: 0", "")
	}
	fmt.Fprintf(&c.out, "<send%s><![CDATA[\n%s\n]]></send>\n", retrans, strings.Join(lines, "\n"))
	if what == "INVITE" {
		c.invite = c.index
	}
	if what == "INVITE" || what == "CANCEL" || what == "BYE" || what == "OPTIONS" {
		c.method = what
	}
	c.index++
}

const ownTag = ";tag=[pid]t[call_number]"

func (c *compiler) request(method string) []string {
	own := "<sip:" + c.user + "@[local_ip]:[local_port]>"
	uri, branch := c.uri, "[branch]"
	from, to := "From: "+own+ownTag, "To: <"+c.uri+">"
	number := 1
	switch method {
	case "ACK", "BYE":
		to += "[peer_tag_param]"
		if c.status < 300 {
			uri = "[next_url]"
		}
	}
	if method == "CANCEL" || method == "ACK" && c.status >= 300 {
		branch = fmt.Sprintf("[branch-%d]", c.index-c.invite)
	}
	cseq := method
	if method == "BYE" {
		number = 2
	}
	if method == "BYE" && !c.caller {
		from, to = "From:[$to]"+ownTag, "To:[$from]"
	}
	return []string{
		method + " " + uri + " SIP/2.0",
		"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=" + branch + ";rport",
		"[routes]",
		from,
		to,
		fmt.Sprintf("CSeq: %d %s", number, cseq),
		"Contact: " + own,
		"Max-Forwards: 70",
	}
}

var phrases = map[string]string{
	"180": "Ringing", "183": "Session Progress", "200": "OK", "404": "Not Found", "486": "Busy Here",
	"487": "Request Terminated", "503": "Service Unavailable", "603": "Decline",
}

func (c *compiler) response(status string) []string {
	from, to, cseq := "[last_From:]", "[last_To:]", "[last_CSeq:]"
	if c.method == "INVITE" || c.method == "CANCEL" {
		to += ownTag
	}
	if status == "487" { // answers the INVITE, though the CANCEL came last
		from, to, cseq = "From:[$from]", "To:[$to]"+ownTag, "CSeq: [$number] INVITE"
		c.method = "INVITE"
	}
	return []string{
		"SIP/2.0 " + status + " " + phrases[status],
		"[last_Via:]",
		"[last_Record-Route:]",
		from,
		to,
		cseq,
		"Contact: <sip:" + c.user + "@[local_ip]:[local_port]>",
	}
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
			caller := startSipp(t, sippOptions{target: callee.port, uri: "sip:x@" + local(callee.port)}, tt.caller)
			if tt.fails {
				if err := caller.result(); err == nil {
					t.Error("the caller found nothing wrong")
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
