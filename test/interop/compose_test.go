//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the compose file starts works together, each program with its configuration there: the
// Prosody it builds an image of, the gateway, and a baresip where its Asterisk is.
func TestCompose(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	const at = "192.0.2.5" // of the machine, towards others
	for _, line := range []string{"link add out type veth peer name others", "addr add " + at + "/24 dev out", "link set out up", "link set others up", "route add default dev out"} {
		run(t, append([]string{"ip"}, strings.Fields(line)...)...)
	}
	const folder = "../../deploy/compose/"
	dir := t.TempDir()
	open := func(name string) string {
		text, err := os.ReadFile(folder + name)
		if err != nil {
			t.Fatal(err)
		}
		// The two places that are volumes there.
		return strings.NewReplacer("/run/sipxmppgw", dir, "/etc/prosody/certs", dir).Replace(string(text))
	}
	for name, text := range map[string]string{
		"prosody.cfg.lua": "run_as_root = true\ndata_path = \"" + dir + "/data\"\npidfile = \"" + dir + "/pid\"\n" + open("prosody.cfg.lua"),
		"sipxmppgw.yaml":  open("sipxmppgw.yaml"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	with := processOptions{dir: dir, env: []string{"XMPP_SECRET=" + secret, "SIPXMPPGW_XMPP_SECRET=" + secret}}
	program, config := build(t), filepath.Join(dir, "prosody.cfg.lua")
	run(t, "env", with.env[0], "prosodyctl", "--config", config, "register", "juliet", "example.org", password)
	prosody := start(t, "prosody", with, "prosody", "-F", "--config", config)
	prosody.listens(t, 5347)
	gateway := start(t, "sipxmppgw", with, program, "run", "--config", filepath.Join(dir, "sipxmppgw.yaml"))
	gateway.listens(t, 9187)
	pbx := startPhone(t, phoneOptions{user: "600", port: 5080, media: at})
	juliet := startQXmppAt(t, "127.0.0.1", 5222, "juliet@example.org", "600@tel.example.org/sip")

	juliet.talksWith(t, pbx, "600@tel.example.org/sip")
}
