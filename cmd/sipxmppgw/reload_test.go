package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sipxmppgw/test/peer/xmppserver"
)

// SIGHUP has secrets read again, those of each component, and a stream that was refused is tried
// with them at once; a file that is wrong changes nothing.
func TestSecretsAreReadAgain(t *testing.T) {
	t.Parallel()
	server, err := xmppserver.Listen(xmppserver.Options{Domain: testDomain, Components: map[string]string{testGW: "right", "two." + testGW: "right too"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	put := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(one, "right\n")
	put(two, "wr0ng\n")
	file := write(t, fmt.Sprintf(`
xmpp: {domain: %s, server: %q, secret_file: %q}
sip: {listen: ["udp:127.0.0.1:0"]}
media: {addresses: [127.0.0.1], allow_loopback: true}
http: {listen: "127.0.0.1:0"}
trunks: [{name: pbx, address: "127.0.0.1:5998"}]
tenants:
  - xmpp: {domain: two.%s, server: %q, secret_file: %q}
    trunks: [{name: other, address: "127.0.0.1:5999", username: gw, password: 0ld}]
`, testGW, server.Addr(), one, testGW, server.Addr(), two))
	p := start(t, "run", "--config", file)
	page := "http://" + p.said(`msg="operator's pages" address=(\S+)`)
	ready := func(want string) {
		t.Helper()
		var status int
		var body string
		if !poll(patience, func() bool {
			status, body = get(t, page+"/readyz")
			return status == http.StatusOK && strings.HasPrefix(body, want) && (want != "ok\n" || body == want)
		}) {
			t.Fatalf("/readyz: %d %s", status, body)
		}
	}
	hup := func(says string) {
		t.Helper()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.said(says)
	}
	ready("ok\ndegraded: two." + testGW + ": xmpp: not-authorized")
	put(two, "")
	hup("secrets not read again")
	put(two, "right too\n")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put(file, strings.Replace(string(text), "0ld", "n3w", 1))
	hup("secrets read again\" changed=2")
	ready("ok\n")
	hup("secrets read again\" changed=0")
	p.signal()
	p.ends(exitOK, patience)
	for _, secret := range []string{"wr0ng", "right", "0ld", "n3w"} {
		if strings.Contains(p.errs.String(), secret) {
			t.Errorf("%s was logged:\n%s", secret, p.errs)
		}
	}
}
