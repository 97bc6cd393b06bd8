//go:build interop

package ship

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// Who calls whom.
const (
	number  = "+4930123456" // of the user
	user    = "juliet@example.org"
	office  = "+4930987654" // of the telephone
	gateway = "tel.example.org"
)

// freePort returns a port of 127.0.0.1 that nobody has now.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// makesCalls starts what is installed under a root with what init writes there, as its unit
// would, between a server and a telephone of the test's own, and calls both ways.
func makesCalls(t *testing.T, root string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	within := func(args ...string) string {
		t.Helper()
		return does(t, ".", "chroot", append([]string{root}, args...)...)
	}
	const secret = "what the server has"
	server, err := xmppserver.Listen(xmppserver.Options{Domain: "example.org", Components: map[string]string{gateway: secret}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	session, err := server.Login(user + "/phone")
	if err != nil {
		t.Fatal(err)
	}
	juliet := jinglephone.New(session, jinglephone.Options{Behaviour: jinglephone.Conversations(), Codecs: jinglephone.WebRTC()})
	defer juliet.Close()
	desk, err := sipphone.Listen(sipphone.Options{User: office})
	if err != nil {
		t.Fatal(err)
	}
	defer desk.Close()

	// As an operator who has the secret already.
	config := filepath.Join(root, "etc/sipxmppgw/config.yaml")
	if err := os.WriteFile(filepath.Join(root, "etc/sipxmppgw/xmpp.secret"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	within("sipxmppgw", "init", "--domain", gateway, "--server", server.Addr(), "--address", desk.Addr(), "--number", number, "--jid", user)
	sip := freePort(t)
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// All of it is on this machine, where other tests are, too.
	fmt.Fprintf(f, "sip: {listen: [\"udp:127.0.0.1:%d\"]}\nhttp: {listen: \"127.0.0.1:%d\"}\n"+
		"media: {addresses: [127.0.0.1], allow_loopback: true, port_min: 30000, port_max: 31999}\n", sip, freePort(t))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	// What systemd does for the unit: a user who owns nothing, a credential, a folder in /run.
	within("install", "-d", "-o", "65534", "/run/sipxmppgw", "/run/credentials")
	within("install", "-o", "65534", "-m", "400", "/etc/sipxmppgw/xmpp.secret", "/run/credentials/xmpp_secret")
	nobody := []string{root, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "env", "-i", "PATH=/usr/bin", "CREDENTIALS_DIRECTORY=/run/credentials", "sipxmppgw"}
	if out := does(t, ".", "chroot", append(nobody, "check-config", "/etc/sipxmppgw/config.yaml")...); !strings.Contains(out, "good") {
		t.Errorf("of what init wrote: %s", out)
	}
	var log bytes.Buffer
	daemon := exec.Command("chroot", append(nobody, "run", "--config", "/etc/sipxmppgw/config.yaml")...)
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }() // ends with the gateway
	defer func() {
		_ = daemon.Process.Signal(syscall.SIGTERM) // it has ended, or will
		if err := <-ended; err != nil || t.Failed() {
			t.Errorf("the gateway ended with %v:\n%s", err, log.String())
		}
	}()
	within("sh", "-c", "for i in $(seq 100); do sipxmppgw healthcheck --ready && exit; sleep 0.2; done; exit 1")

	answers := make(chan phone.Call, 1)
	take := func(c phone.Call) {
		_ = c.Accept() // a call that has ended is seen by whoever waits for it
		answers <- c
	}
	juliet.OnIncoming(func(c *jinglephone.Call) { take(c) })
	desk.OnIncoming(func(c *sipphone.Call) { take(c) })
	for _, dial := range []func() (phone.Call, error){
		func() (phone.Call, error) { return desk.Dial(fmt.Sprintf("sip:%s@127.0.0.1:%d", number, sip)) },
		func() (phone.Call, error) { return juliet.Dial(office + "@" + gateway) },
	} {
		caller, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := caller.WaitState(ctx, phone.Active); err != nil {
			t.Fatal(err)
		}
		callee := <-answers
		if err := callee.WaitState(ctx, phone.Active); err != nil {
			t.Fatal(err)
		}
		said := audio.Speech(audio.Low)
		var talking sync.WaitGroup
		for _, way := range [][2]phone.Call{{caller, callee}, {callee, caller}} {
			talking.Go(func() {
				if err := way[0].Play(ctx, said); err != nil {
					t.Error(err)
				}
				if m, err := way[1].Heard().WaitMatch(ctx, said, 0.9); err != nil {
					t.Errorf("speech did not arrive, correlation %.3f: %v", m.Score, err)
				}
			})
		}
		talking.Wait()
		if err := caller.HangUp(); err != nil {
			t.Fatal(err)
		}
		if err := callee.WaitState(ctx, phone.Ended); err != nil {
			t.Fatal(err)
		}
	}
	if out := within("sipxmppgw", "why", "last"); out == "" {
		t.Error("it does not say why the last call ended")
	}
}
