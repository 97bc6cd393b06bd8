//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// elsewhereHost is where scanners are; no trunk is there. SIPVicious has an option for it, which
// two of its three programs do not look at.
const elsewhereHost = "127.0.0.66"

const binding = `import socket
plain = socket.socket.bind
socket.socket.bind = lambda self, a: plain(self, ("` + elsewhereHost + `", a[1]) if a[0] in ("", "0.0.0.0") else a)
`

// TestScanners lets SIPVicious look for servers, for numbers and for passwords during a call.
// It finds nothing and gets no answer, and the call goes on (RELIABILITY 4, rows 9, 10 and 15).
func TestScanners(t *testing.T) {
	b := newBench(t, startProsody(t), startBrowser(t, userTone))
	g, user := b.gateway, b.login(t)
	sid := b.up(t, user)

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sitecustomize.py"), []byte(binding), 0o600); err != nil {
		t.Fatal(err)
	}
	scan := func(t *testing.T, from string, argv ...string) string {
		t.Helper()
		env := []string{"HOME=" + dir, "PYTHONDONTWRITEBYTECODE=1"}
		if from != "" {
			env = append(env, "PYTHONPATH="+dir)
		}
		argv = append(argv[:1:1], append([]string{"-p" + strconv.Itoa(g.sip)}, argv[1:]...)...)
		p := start(t, argv[0], processOptions{dir: t.TempDir(), env: env}, argv...)
		eventually(t, 60*time.Second, argv[0]+" has ended", p.gone)
		out, err := os.ReadFile(p.log)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	const nothing = "found nothing"
	// A trunk is answered, or the tests below would prove nothing.
	if out := scan(t, "", "svmap", "127.0.0.1"); strings.Contains(out, nothing) || !strings.Contains(out, "sipxmppgw") {
		t.Errorf("svmap from a trunk does not see the gateway:\n%s", out)
	}
	attacks := [][]string{
		{"svmap", "127.0.0.1"},
		{"svmap", "-mINVITE", "127.0.0.1"},
		{"svmap", "-mREGISTER", "127.0.0.1"},
		{"svwar", "--force", "--maximumtime=3", "-e100-300", "-mREGISTER", "127.0.0.1"},
		{"svwar", "--force", "--maximumtime=3", "-e100-300", "-mINVITE", "127.0.0.1"},
		{"svwar", "--force", "--maximumtime=3", "-e100-300", "-mOPTIONS", "127.0.0.1"},
		{"svcrack", "-uromeo", "-r1-300", "127.0.0.1"},
	}
	for _, argv := range attacks {
		t.Run(strings.Join(argv[:len(argv)-1], " "), func(t *testing.T) {
			before := g.strangers(t)
			if out := scan(t, elsewhereHost, argv...); !strings.Contains(out, nothing) {
				t.Errorf("got\n%s", out)
			}
			if g.strangers(t) == before {
				t.Error("the gateway has not been asked at all")
			}
		})
	}
	user.hears(t, sid, phoneTone)
	b.ends(t, user, sid)
	eventually(t, 10*time.Second, "no call is left", g.idle)
}

// strangers is how many messages came from nobody that the gateway knows.
func (g *gateway) strangers(t *testing.T) int {
	t.Helper()
	_, body, err := g.get("/metrics")
	m := regexp.MustCompile(`(?m)^sipxmppgw_sip_messages_bad_total\{reason="unknown_source"\} (\d+)$`).FindStringSubmatch(body)
	if err != nil || m == nil {
		t.Fatalf("no metric of unknown sources: %v", err)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
