//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The doctor finds nothing wrong, and its call goes by way of a real server to a real SIP peer that
// says what it hears, and is heard when it comes back.
func TestPeerDoctor(t *testing.T) {
	t.Parallel()
	for _, server := range []struct {
		name  string
		start func(*testing.T) *server
		says  string
	}{{"prosody", startProsody, "component_conflict_resolve"}, {"ejabberd", startEjabberd, "max_stanza_size"}} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "gw") // short: it holds a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			socket := filepath.Join(dir, "c.sock")
			g := startGateway(t, server.start(t), gatewayOptions{extra: fmt.Sprintf("control: {socket: %q}", socket)})
			callee := startSipp(t, sippOptions{port: g.sipp}, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")

			got := g.asks(t, socket, "doctor", "--config", g.config, "--call", sippNumber, "--as", "juliet@"+userDomain)
			callee.finished(t)
			t.Log(got)
			for _, want := range []string{"ok    route ", "ok    component ", "ok    call ", "ok    sound        8 of 8 tones came back", "ok    xmpp leg ", "ok    trunk leg "} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q", want)
				}
			}
			out := g.looks(t)
			t.Log(out)
			for _, want := range []string{"ok    gateway ", "all that is sent to " + gatewayDomain + " comes here", server.says, "ok    clock        it agrees "} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q", want)
				}
			}
		})
	}
}

// looks has the doctor look at everything. Trunks that nobody is behind may fail.
func (g *gateway) looks(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(build(t), "doctor", "--config", g.config).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "fail  trunk nobody") {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
