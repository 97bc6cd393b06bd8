//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asks runs a command of the operator's against the gateway, and returns what it printed.
func (g *gateway) asks(t *testing.T, socket string, args ...string) string {
	t.Helper()
	cmd := exec.Command(build(t), append([]string{args[0], "--socket", socket}, args[1:]...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%v: %v\n%s%s", args, err, out, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// tshark reads a file of packets, and returns the fields of each.
func tshark(t *testing.T, file string, fields ...string) [][]string {
	t.Helper()
	args := []string{"-n", "-r", file, "-T", "fields", "-E", "occurrence=f", "-E", "separator=\x1f"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var all [][]string
	for line := range strings.Lines(string(out)) {
		all = append(all, strings.Split(strings.TrimSuffix(line, "\n"), "\x1f"))
	}
	return all
}

// An operator looks at calls of a browser with phones, after they have ended: as a ladder, why
// they ended, and in Wireshark. A collector is told of each message.
func TestPeerOperatorLooksAtCalls(t *testing.T) {
	s := startProsody(t)
	b := startBrowser(t, userTone)
	dir, err := os.MkdirTemp("", "gw") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, collector := filepath.Join(dir, "c.sock"), freePort(t)
	homer := startKamailio(t, "collector.cfg", collector, map[string]any{"SIP": collector, "Dir": dir})
	g := startGateway(t, s, gatewayOptions{extra: fmt.Sprintf("control: {socket: %q}\nhep: {server: %q, capture_id: 9}", socket, local(collector))})
	phone := startBaresip(t, g.phone, g.sip)
	be := &bench{server: s, gateway: g, browser: b, phone: phone}
	user := be.login(t)

	sid := be.up(t, user)
	talk()
	var live []struct{ Call, State string }
	decode(t, g.asks(t, socket, "calls", "--json"), &live)
	if len(live) != 1 || live[0].State != "Active" {
		t.Fatalf("the calls there are: %+v", live)
	}
	id := live[0].Call
	be.ends(t, user, sid)
	eventually(t, 10*time.Second, "the call has ended", g.idle)

	ladder := g.asks(t, socket, "ladder", id)
	t.Logf("the ladder:\n%s", ladder)
	for _, want := range []string{
		"-INVITE-", "-propose-", "-session-initiate-", "-session-accept-", "-200 OK-", "-ACK-", "-session-terminate",
		"* xmpp media up: host ", "protection SRTP_", "* sip first packet", "* xmpp first packet", ", MOS from it 4.", "* ended: normal",
	} {
		if !strings.Contains(ladder, want) {
			t.Errorf("no %q in the ladder", want)
		}
	}
	if got := g.asks(t, socket, "why", "last", "--lang", "en"); !strings.HasPrefix(got, "The call was hung up.") {
		t.Errorf("why says %q", got)
	}

	file := filepath.Join(dir, "call.pcapng")
	if err := os.WriteFile(file, []byte(g.asks(t, socket, "pcap", id)), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, f := range tshark(t, file, "udp.srcport", "udp.dstport", "sip.Method", "sip.Status-Code", "sdp.media", "xmpp.iq", "xml.attribute", "_ws.malformed") {
		ports := f[0] + " " + f[1]
		switch {
		case f[7] != "":
			t.Errorf("tshark finds a packet malformed: %q", f)
		case f[2] == "INVITE" && f[4] != "" && ports == fmt.Sprintf("%d %d", g.phone, g.sip):
			seen["INVITE"]++
		case f[3] == "200" && ports == fmt.Sprintf("%d %d", g.sip, g.phone):
			seen["200"]++
		case f[0] == "" && (f[5] != "" || f[6] != ""):
			seen["stanza"]++
		}
	}
	if seen["INVITE"] != 1 || seen["200"] == 0 || seen["stanza"] < 6 {
		t.Errorf("tshark sees %v", seen)
	}

	recording := filepath.Join(dir, "call.json")
	masked := g.asks(t, socket, "ladder", "--format", "json", "--mask", id)
	for _, person := range []string{"romeo", userDomain, phoneUser + "@"} {
		if strings.Contains(masked, person) {
			t.Errorf("%q is in what was masked", person)
		}
	}
	if err := os.WriteFile(recording, []byte(masked), 0o600); err != nil {
		t.Fatal(err)
	}
	if flow := run(t, build(t), "replay", recording); !strings.Contains(flow, "= Active") {
		t.Errorf("the replay is\n%s", flow)
	}

	// A phone that takes none of our codecs.
	refuses := be.sippWaits(t, "recv INVITE; send 488; recv ACK; recv INVITE; send 488; recv ACK")
	user.do(t, new(string), "propose", jidOf(sippNumber))
	user.wait(t, "reject")
	refuses.finished(t)
	eventually(t, 10*time.Second, "the call has ended", g.idle)
	got := g.asks(t, socket, "why", "last", "--lang", "en")
	t.Logf("why: %s", got)
	if !strings.HasPrefix(got, "Trunk sipp answered 488 Not Acceptable Here: Trunk sipp takes none of what it was offered: opus, G722, PCMA, PCMU.") {
		t.Errorf("why says %q", got)
	}

	told := since(homer.log, 0)
	for _, want := range []string{
		fmt.Sprintf("version=3 family=2 type=1 call=%s capture=9 from=127.0.0.1:%d to=127.0.0.1:%d payload=INVITE sip:romeo@", id, g.phone, g.sip),
		fmt.Sprintf("version=3 family=2 type=1 call=%s capture=9 from=127.0.0.1:%d to=127.0.0.1:%d payload=SIP/2.0 200 OK", id, g.sip, g.phone),
		fmt.Sprintf("version=3 family=2 type=100 call=%s capture=9", id),
	} {
		if !strings.Contains(told, want) {
			t.Errorf("the collector was not told %q:\n%s", want, tail(homer.log, 60))
		}
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
