//go:build interop

package interop

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Numbers that lead to the trunks of testdata/gateway.yaml.
const (
	sippNumber    = "+33123456789"
	nobodyNumber  = "+15551234567" // its trunk does not exist
	unknownNumber = "+49404"       // baresip does not know it
	noRouteNumber = "+81312345678"
)

// noAnswer is how long the gateway of these tests lets a callee ring, unless they say so.
const noAnswer = 5 * time.Second

// A gateway is what all this is about: the program, run as an operator runs it.
type gateway struct {
	*process
	config string
	sip    int // ports of 127.0.0.1
	http   int
	phone  int // where its trunks are
	sipp   int
	remote bool // rtpengines carry its media
}

// gatewayOptions say what is other than usual.
type gatewayOptions struct {
	secret string // empty for the right one
	domain string // empty for the right one

	noAnswer time.Duration  // 0 for noAnswer
	trusted  bool           // phone and sipp are trusted trunks
	engines  []int          // ports of rtpengines that carry the media; none for the gateway's own relay
	media    string         // further settings of the media: "key: value, …"
	trunks   []trunkOptions // beside those that are always there

	template string         // of testdata; empty for gateway.yaml
	values   map[string]any // that it has beside the usual ones
	routes   string         // that go before the usual ones: "{…}, "
	extra    string         // further settings of the whole, a line each
}

// trunkOptions are one more trunk.
type trunkOptions struct {
	Name     string
	Prefix   string // of the numbers that lead to it
	Address  string
	Settings string // further ones: " key: value, …"
}

// moreTrunks are trunks with these settings at ports of 127.0.0.1, and numberAt leads to them.
func moreTrunks(t *testing.T, settings ...string) (trunks []trunkOptions, ports []int) {
	t.Helper()
	for i, s := range settings {
		ports = append(ports, freePort(t))
		trunks = append(trunks, trunkOptions{Name: fmt.Sprintf("more%d", i), Prefix: numberAt(i), Address: local(ports[i]), Settings: s})
	}
	return trunks, ports
}

func numberAt(trunk int) string { return fmt.Sprintf("+99%d123", trunk) }

// built is where the program is, once it is.
var built = struct {
	sync.Mutex
	dir string
}{}

// TestMain removes what build built.
func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// build builds the gateway once, with the race detector.
func build(t *testing.T) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	file := filepath.Join(cmp.Or(built.dir, os.Getenv(builtIn)), "sipxmppgw")
	if filepath.IsAbs(file) {
		return file
	}
	dir, err := os.MkdirTemp("", "sipxmppgw-interop-")
	if err != nil {
		t.Fatal(err)
	}
	built.dir = dir
	file = filepath.Join(dir, "sipxmppgw")
	if out, err := exec.Command("go", "build", "-race", "-o", file, "sipxmppgw/cmd/sipxmppgw").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

// startGateway starts the gateway beside a server and waits until it is ready.
func startGateway(t *testing.T, s *server, o gatewayOptions) *gateway {
	t.Helper()
	g := launchGateway(t, s, o)
	eventually(t, 10*time.Second, "the gateway is ready", g.ready)
	return g
}

// launchGateway starts the gateway and waits until it runs, ready or not. It must end with
// exit code 0, and without a data race.
func launchGateway(t *testing.T, s *server, o gatewayOptions) *gateway {
	t.Helper()
	if o.secret == "" {
		o.secret = secret
	}
	if o.domain == "" {
		o.domain = gatewayDomain
	}
	if o.noAnswer == 0 {
		o.noAnswer = noAnswer
	}
	program := build(t)
	dir := t.TempDir()
	g := &gateway{
		config: filepath.Join(dir, "gateway.yaml"),
		sip:    freePort(t), http: freePort(t), phone: freePort(t), sipp: freePort(t),
		remote: len(o.engines) > 0,
	}
	media := freePorts(t, 400)
	if o.template == "" {
		o.template = "gateway.yaml"
	}
	values := map[string]any{
		"Domain": o.domain, "Server": s.component, "Secret": o.secret, "Users": userDomain,
		"SIP": g.sip, "HTTP": g.http, "Media": media, "MediaEnd": media + 399,
		"NoAnswer": o.noAnswer, "Phone": g.phone, "SIPp": g.sipp, "Nobody": freePort(t),
		"Trusted": o.trusted, "Engines": o.engines, "XMPPMore": "", "Networks": "", "MediaMore": o.media, "Trunks": o.trunks, "Extra": o.extra, "Routes": o.routes,
	}
	maps.Copy(values, o.values)
	writeTemplate(t, o.template, g.config, values)
	t.Cleanup(func() { // runs when the process has been stopped
		if g.err != nil {
			t.Errorf("the gateway ended with %v", g.err)
		}
		if b, err := os.ReadFile(g.log); err != nil || strings.Contains(string(b), "DATA RACE") {
			t.Errorf("a data race, in %s (%v):\n%s", g.log, err, race(string(b)))
		}
	})
	g.process = start(t, "sipxmppgw", processOptions{dir: dir}, program, "run", "--config", g.config)
	g.listens(t, g.http)
	return g
}

// race returns the report of a race in a log.
func race(log string) string {
	_, report, _ := strings.Cut(log, "WARNING: DATA RACE")
	report, _, _ = strings.Cut(report, "==================")
	return report
}

// get asks the operator's listener.
func (g *gateway) get(path string) (status int, body string, err error) {
	r, err := http.Get("http://" + local(g.http) + path)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

func (g *gateway) ready() error {
	status, body, err := g.get("/readyz")
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("readyz: %d %s", status, strings.TrimSpace(body))
	}
	return nil
}

// idle has an error while there are calls.
func (g *gateway) idle() error {
	status, body, err := g.get("/metrics")
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("metrics: %d %w", status, err)
	}
	for line := range strings.Lines(body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "sipxmppgw_calls_active") {
			if value != "0" {
				return fmt.Errorf("%s %s", name, value)
			}
			return nil
		}
	}
	return errors.New("no metric of active calls")
}

// addresses of the gateway's users on either side.
func jidOf(number string) string { return number + "@" + gatewayDomain }

// uriOf is where a SIP phone calls an XMPP user that shares its address with both sides.
func uriOf(user string) string { return "sip:" + user + "@" + userDomain }

// encodedURIOf is where a SIP phone calls any XMPP user, at the gateway's own address.
func (g *gateway) encodedURIOf(user string) string {
	return fmt.Sprintf("sip:%s%%40%s@%s", user, userDomain, local(g.sip))
}
