package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sipxmppgw/config"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// A process is the command as an operator has it.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	errs *lines        // standard error
	done chan struct{} // closed when it has ended
	code int           // after that
}

// start runs the command; whatever the test does, it is ended with it.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self, args...), errs: &lines{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asCommand+"=1")
	p.cmd.Stderr = p.errs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		_ = p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// said waits for a line of the log and returns what the expression's group matched in it.
func (p *process) said(expression string) string {
	p.t.Helper()
	e := regexp.MustCompile(expression)
	var m []string
	if !poll(patience, func() bool {
		m = e.FindStringSubmatch(p.errs.String())
		return m != nil
	}) {
		p.t.Fatalf("it never said %s, but\n%s", expression, p.errs)
	}
	return m[len(m)-1]
}

// ends waits for the end and checks the exit code.
func (p *process) ends(want int, within time.Duration) {
	p.t.Helper()
	over, cancel := machine.limit(within)
	defer cancel()
	select {
	case <-p.done:
	case <-over.Done():
		p.t.Fatalf("it has not ended after %v:\n%s", within, p.errs)
	}
	if p.code != want {
		p.t.Errorf("exit code %d, want %d:\n%s", p.code, want, p.errs)
	}
}

func (p *process) signal() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// get returns a page of the operator's.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// write writes a configuration and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// minimal is a configuration of one trunk; further lines may follow.
func minimal(server, secret, trunk, more string) string {
	return fmt.Sprintf(`
xmpp: {domain: %s, server: "%s", secret: %s}
media: {addresses: [127.0.0.1], allow_loopback: true, port_min: 20000, port_max: 29999}
trunks: [{name: office, address: "%s"}]
numbers: {"%s": %s}
routes: [{from: "*", trunk: office}]
%s
`, testGW, server, secret, trunk, number(0), account(0), more)
}

const freePorts = `
sip: {listen: ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"], default_domain: pbx.example}
http: {listen: "127.0.0.1:0"}
`

func command(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e strings.Builder
	code = run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

func TestCommands(t *testing.T) {
	t.Parallel()
	good := write(t, minimal("127.0.0.1:5347", "secret", "192.0.2.1", ""))
	bad := write(t, minimal("127.0.0.1:5347", "secret", "192.0.2.1", "sipp: {}\nhttp: {listen: nowhere}"))
	tests := []struct {
		name string
		args []string
		code int
		out  string // of standard output
		errs string // of standard error
	}{
		{"version", []string{"version"}, exitOK, "^sipxmppgw dev", "^$"},
		{"help", []string{"help"}, exitOK, "^usage: sipxmppgw COMMAND", "^$"},
		{"nothing", nil, exitUsage, "^$", "^usage: sipxmppgw COMMAND"},
		{"no such command", []string{"stop"}, exitUsage, "^$", `^sipxmppgw: there is no command "stop"\nusage`},
		{"good file", []string{"check-config", good}, exitOK, "gateway.yaml: good\n$", "^$"},
		{"bad file", []string{"check-config", bad}, exitUsage, "^$", `gateway.yaml:7: sipp: is not a setting; did you mean sip\?\n.*gateway.yaml:8: http.listen: "nowhere" is not host:port\n$`},
		{"no file", []string{"check-config", good + ".not"}, exitUsage, "^$", "^open .*no such file or directory\n$"},
		{"two files", []string{"check-config", good, bad}, exitUsage, "^$", "^usage: sipxmppgw check-config FILE\n$"},
		{"run a bad file", []string{"run", "--config", bad}, exitUsage, "^$", "gateway.yaml:7: sipp: is not a setting"},
		{"run with no such flag", []string{"run", "--daemon"}, exitUsage, "^$", "flag provided but not defined: -daemon"},
		{"run with a file in the wrong place", []string{"run", good}, exitUsage, "^$", "is not a flag"},
		{"demo with no such flag", []string{"demo", "--loud"}, exitUsage, "^$", "flag provided but not defined: -loud"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := command(t.Context(), tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !regexp.MustCompile(tt.out).MatchString(out) {
				t.Errorf("said %q, want %s", out, tt.out)
			}
			if !regexp.MustCompile(tt.errs).MatchString(errs) {
				t.Errorf("complained %q, want %s", errs, tt.errs)
			}
		})
	}
}

// An address that is taken is one line that names the setting, and the end.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	const away = "127.0.0.1:1"
	tests := []struct{ name, more, want string }{
		{
			"UDP", fmt.Sprintf("sip: {listen: [\"udp:%s\"]}\nhttp: {listen: \"\"}", udp.LocalAddr()),
			`^sipxmppgw: sip.listen\[0\]: listen udp .*: bind: address already in use\n$`,
		},
		{
			"TCP", fmt.Sprintf("sip: {listen: [\"udp:127.0.0.1:0\", \"tcp:%s\"]}\nhttp: {listen: \"\"}", tcp.Addr()),
			`^sipxmppgw: sip.listen\[1\]: listen tcp .*: bind: address already in use\n$`,
		},
		{
			"HTTP", fmt.Sprintf("sip: {listen: [\"udp:127.0.0.1:0\"]}\nhttp: {listen: \"%s\"}", tcp.Addr()),
			`^sipxmppgw: http.listen: listen tcp .*: bind: address already in use\n$`,
		},
		{
			"an address of another machine", "sip: {listen: [\"udp:192.0.2.1:5060\"]}\nhttp: {listen: \"\"}",
			`^sipxmppgw: sip.listen\[0\]: listen udp 192.0.2.1:5060: bind: cannot assign requested address\n$`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := command(t.Context(), "run", "--config", write(t, minimal(away, "secret", "127.0.0.1:5999", tt.more)))
			if code != exitProblem || out != "" || !regexp.MustCompile(tt.want).MatchString(errs) {
				t.Errorf("exit code %d, said %q and %q, want %s", code, out, errs, tt.want)
			}
		})
	}
}

// What the XMPP server does not like is one line that names the setting, however often it is
// tried; the gateway says on its page that it is not ready, and stays.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	server, err := xmppserver.Listen(xmppserver.Options{Domain: testDomain, Components: map[string]string{testGW: "right"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	other, err := xmppserver.Listen(xmppserver.Options{Domain: testDomain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	tests := []struct {
		name, server    string
		cause, setting  string
		ready, explains string
	}{
		{"wrong secret", server.Addr(), "not-authorized", "xmpp.secret", "xmpp: not-authorized", "(is xmpp.secret the one of the server?)"},
		{"unknown host", other.Addr(), "host-unknown", "xmpp.domain", "xmpp: host-unknown", "(is xmpp.domain a component of the server?)"},
		{"nobody listens", "127.0.0.1:1", "unreachable", "xmpp.server", "xmpp: unreachable", "(is xmpp.server right, and the server up?)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "run", "--config", write(t, minimal(tt.server, "wr0ng-s3cret", "127.0.0.1:5999", freePorts)))
			page := "http://" + p.said(`msg="operator's pages" address=(\S+)`)
			p.said("cause=" + tt.cause + " setting=" + tt.setting)
			tries := func() string {
				_, body := get(t, page+"/metrics")
				return regexp.MustCompile(`(?m)^sipxmppgw_xmpp_connects_total .*$`).FindString(body)
			}
			if got := tries(); got != "sipxmppgw_xmpp_connects_total 0" {
				t.Errorf("metrics say %q", got)
			}
			if status, body := get(t, page+"/readyz"); status != http.StatusServiceUnavailable ||
				!strings.HasPrefix(body, tt.ready) || !strings.Contains(body, tt.explains) || strings.Count(body, "\n") != 1 {
				t.Errorf("/readyz: %d %q", status, body)
			}
			if status, body := get(t, page+"/livez"); status != http.StatusOK || body != "ok\n" {
				t.Errorf("/livez: %d %q", status, body)
			}
			p.signal()
			p.ends(exitOK, 5*time.Second)
			if n := p.errs.count("level=WARN"); n != 1 {
				t.Errorf("%d warnings:\n%s", n, p.errs)
			}
			if strings.Contains(p.errs.String(), "wr0ng-s3cret") {
				t.Errorf("the secret was logged:\n%s", p.errs)
			}
		})
	}
}

// A whole is a gateway in a process of its own, with a client and a phone in this one.
type whole struct {
	*process
	server *xmppserver.Server
	client *jinglephone.Phone
	phone  *sipphone.Phone
	page   string // of the operator
	uri    string // of the client's user
	seen   *lines // all stanzas
}

const processSecret = "s3cret-0f-the-whole"

func startWhole(t *testing.T, more string) *whole {
	t.Helper()
	w := &whole{seen: &lines{}}
	var err error
	w.server, err = xmppserver.Listen(xmppserver.Options{
		Domain: testDomain, Components: map[string]string{testGW: processSecret},
		Trace: func(s xmppserver.Stanza) { fmt.Fprintln(w.seen, s.XML) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	if w.phone, err = sipphone.Listen(sipphone.Options{User: extension(0), Codecs: speech}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.phone.Close)
	session, err := w.server.Login(account(0) + "/phone")
	if err != nil {
		t.Fatal(err)
	}
	w.client = jinglephone.New(session, conversations)
	t.Cleanup(func() { leave(w.client) })
	w.process = start(t, "run", "--config", write(t, minimal(w.server.Addr(), processSecret, w.phone.Addr(), freePorts+more)))
	w.page = "http://" + w.said(`msg="operator's pages" address=(\S+)`)
	w.uri = "sip:" + number(0) + "@" + w.said(`msg="sip side" sockets="udp:(\S+)`)
	w.said("xmpp stream up")
	return w
}

// talking brings a call about.
func (w *whole) talking() (*sipphone.Call, *jinglephone.Call) {
	w.t.Helper()
	incoming := make(chan *jinglephone.Call, 1)
	w.client.OnIncoming(func(c *jinglephone.Call) { incoming <- c })
	c, err := w.phone.Dial(w.uri)
	if err != nil {
		w.t.Fatal(err)
	}
	callee := take(w.t, incoming)
	answered(w.t, c, callee)
	talk(w.t, c, callee)
	return c, callee
}

// The operator's pages during and after a call, and what is never written anywhere.
func TestPagesAndSecrets(t *testing.T) {
	t.Parallel()
	w := startWhole(t, "log: {level: debug}\ncalls: {drain: 0s}")
	if status, body := get(t, w.page+"/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
	c, callee := w.talking()
	_, during := get(t, w.page+"/metrics")
	hangUp(t, callee, c)
	var after string
	if !poll(patience, func() bool {
		_, after = get(t, w.page+"/metrics")
		return strings.Contains(after, "\nsipxmppgw_calls_active 0\n") && strings.Contains(after, "\nsipxmppgw_media_ports{state=\"used\"} 0\n")
	}) {
		t.Fatalf("the call is still there:\n%s", after)
	}
	for text, want := range map[string]string{
		during: `sipxmppgw_calls_active 1
sipxmppgw_media_ports{state="used"} [234]
sipxmppgw_xmpp_up 1`,
		after: `sipxmppgw_calls_ended_total{cause="normal",from="sip"} 1
sipxmppgw_call_setup_seconds_count{from="sip",stage="connected"} 1
sipxmppgw_call_setup_seconds_count{from="sip",stage="ringing"} 1
sipxmppgw_media_lost_packets_total{leg="sip"} 0`,
	} {
		for line := range strings.Lines(want) {
			line = strings.NewReplacer("{", `\{`, "}", `\}`).Replace(strings.TrimSpace(line))
			if !regexp.MustCompile("(?m)^" + line + "$").MatchString(text) {
				t.Errorf("the metrics lack %s", line)
			}
		}
	}
	for _, text := range []string{during, after} {
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "sipxmppgw_") {
				t.Errorf("metric %s: %s", p.Metric, p.Text)
			}
		}
	}
	w.signal()
	w.ends(exitOK, 5*time.Second)
	secrets := []string{processSecret}
	for _, m := range regexp.MustCompile(`(?:pwd|ufrag)=['"]([^'"]+)`).FindAllStringSubmatch(w.seen.String(), -1) {
		secrets = append(secrets, m[1])
	}
	if len(secrets) < 5 {
		t.Fatalf("only %d secrets were seen on the wire", len(secrets))
	}
	for _, s := range secrets {
		for where, text := range map[string]string{"the log": w.errs.String(), "the metrics": during + after} {
			if strings.Contains(text, s) {
				t.Errorf("%s has the secret %q", where, s)
			}
		}
	}
}

// The first signal refuses new calls and lets the others end; the gateway ends with the
// last one.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := startWhole(t, "calls: {drain: 1m}")
	c, callee := w.talking()
	w.signal()
	w.said(`msg="waiting for calls to end" calls=(1)`)
	if status, body := get(t, w.page+"/readyz"); status != http.StatusServiceUnavailable || body != "going down\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if status := askedOptions(t, w.uri); status != "SIP/2.0 503 Service Unavailable" {
		t.Errorf("OPTIONS got %q", status)
	}
	late, err := w.phone.Dial(w.uri)
	if err != nil {
		t.Fatal(err)
	}
	until(t, late, phone.Ended)
	if late.End().Status != 503 {
		t.Errorf("a new call got %+v, want 503", late.End())
	}
	other, err := w.client.Dial(contact(0))
	if err != nil {
		t.Fatal(err)
	}
	until(t, other, phone.Ended)
	if !other.End().ByPeer {
		t.Errorf("a new call of the client ended as %+v", other.End())
	}
	talk(t, c, callee)
	hangUp(t, c, callee)
	w.ends(exitOK, 5*time.Second)
	if !strings.Contains(w.errs.String(), "msg=stopped") {
		t.Errorf("it did not say that it has stopped:\n%s", w.errs)
	}
	for _, f := range w.server.Faults() {
		t.Errorf("the server found fault: %+v", f)
	}
}

// askedOptions asks a gateway from a trunk's address whether it is there, and returns the first line
// of what it says.
func askedOptions(t *testing.T, uri string) string {
	t.Helper()
	_, at, _ := strings.Cut(uri, "@")
	conn, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	own := conn.LocalAddr().String()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKdrain\r\nMax-Forwards: 70\r\nFrom: <sip:%s>;tag=a\r\nTo: <sip:%s>\r\n"+
		"Call-ID: drain@%s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", at, own, own, at, own)
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(buf[:n]), "\r\n")
	return line
}

// The second signal ends the calls, and tells both sides.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	w := startWhole(t, "calls: {drain: 10m}")
	c, callee := w.talking()
	w.signal()
	w.said(`msg="waiting for calls to end" calls=(1)`)
	w.signal()
	w.ends(exitOK, 6*time.Second)
	until(t, c, phone.Ended)
	until(t, callee, phone.Ended)
	if !c.End().ByPeer || c.End().Reason != "BYE" || !callee.End().ByPeer {
		t.Errorf("they saw the end as %+v and %+v", c.End(), callee.End())
	}
}

// An idle gateway goes down at once.
func TestIdleStops(t *testing.T) {
	t.Parallel()
	w := startWhole(t, "calls: {drain: 10m}")
	w.signal()
	w.ends(exitOK, 3*time.Second)
}

// The demo shows what it is to show, and succeeds.
func TestDemo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code, out, errs := command(ctx, "demo")
	if code != exitOK || errs != "" {
		t.Errorf("exit code %d, complaints %q", code, errs)
	}
	for _, want := range []string{
		`(?m)^ +0\.0 +0\.0  \|-INVITE-+>\|`,
		`\|-propose-+>\|`, `\|-session-initiate-+>\|`, `\|<-+session-accept-\|`, `\|<-+200 OK-\|`, `\|-ACK-+>\|`, `\|-session-terminate success-+>\|`,
		`(?m)^phone calls client +\d+ ms +\d+ ms +\d+ ms +normal +success$`,
		`(?m)^client calls phone +\d+ ms +\d+ ms +\d+ ms +normal +BYE$`,
		`(?m)^client is busy .* busy +486 Busy Here$`,
		`(?m)^phone declines .* declined +decline$`,
		`(?m)^caller gives up .* cancelled +cancel$`,
		`(?m)^trunk is away .* unreachable +connectivity-error$`,
		`(?m)^phone calls client, sip +[0-9]{3} packets +[0-9]{3} packets +0 here, 0 there .* none +correlation (0\.9[5-9]|1\.00)`,
		`(?m)^phone calls client, xmpp +[0-9]{3} packets +[0-9]{3} packets +0 here, 0 there .* SRTP_\S+ +correlation (0\.9[5-9]|1\.00)`,
		`(?m)^client calls phone, sip .* none +correlation (0\.9[5-9]|1\.00)`,
		`(?m)^client calls phone, xmpp .* SRTP_\S+ +correlation (0\.9[5-9]|1\.00)`,
		`All calls went as they must\.\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("it does not show %s", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// The demo stays as long as it is to, can be called, and stops when it is told to.
func TestDemoStays(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	done := make(chan int, 1)
	go func() { // ends with ctx
		done <- run(ctx, []string{"demo", "--stay"}, in, io.Discard)
		in.Close()
	}()
	said := bufio.NewScanner(out)
	uri := ""
	for uri == "" && said.Scan() {
		if m := regexp.MustCompile(`^ +(sip:\S+) +she answers and speaks$`).FindStringSubmatch(said.Text()); m != nil {
			uri = m[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the demo
	if uri == "" {
		t.Fatal("it does not say what to call")
	}
	softphone, err := sipphone.Listen(sipphone.Options{Codecs: speech})
	if err != nil {
		t.Fatal(err)
	}
	defer softphone.Close()
	c, err := softphone.Dial(uri)
	if err != nil {
		t.Fatal(err)
	}
	until(t, c, phone.Active)
	cancel()
	select {
	case code := <-done:
		if code != exitOK {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not stop")
	}
	until(t, c, phone.Ended)
}

// A demo that goes wrong says what, and fails: with a client that has the wrong
// certificate, one that does not answer in time, and a phone that says something else.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		wrong func(*testing.T, *demo)
		want  string
	}{
		{"a client with a wrong certificate", func(t *testing.T, x *demo) {
			replace(t, x, jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Behaviour{WrongCertificate: true}})
		}, "phone calls client: "},
		{"a client without protection", func(t *testing.T, x *demo) {
			replace(t, x, jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Behaviour{Plain: true}})
		}, "phone calls client: the call did not come about"},
		{"a component that breaks the rules", func(t *testing.T, x *demo) {
			// Something that is no stanza, as if the gateway had sent it.
			conn, err := net.Dial("tcp", x.server.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "<broken>"); err != nil {
				t.Fatal(err)
			}
			if !poll(patience, func() bool { return len(x.server.Faults()) > 0 }) {
				t.Fatal("the server saw no fault")
			}
		}, "the XMPP server found fault: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x, err := openDemo(t.Context(), newLog(config.Log{Level: "error"}, io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			defer x.close()
			tt.wrong(t, x)
			var out strings.Builder
			if code := x.run(t.Context(), &out, false); code != exitProblem {
				t.Errorf("exit code %d, want %d", code, exitProblem)
			}
			if !strings.Contains(out.String(), tt.want) || !strings.HasSuffix(out.String(), "Not all calls went as they must.\n") {
				t.Errorf("it does not say %q:\n%s", tt.want, &out)
			}
		})
	}
}

// replace gives the demo's user another client.
func replace(t *testing.T, x *demo, o jinglephone.Options) {
	t.Helper()
	x.juliet.Close()
	session, err := x.server.Login(demoUser + "/phone")
	if err != nil {
		t.Fatal(err)
	}
	x.juliet = jinglephone.New(session, o)
}
