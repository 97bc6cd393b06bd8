//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slack is what a loaded machine may take on top of what is promised.
const slack = 6 * time.Second

func TestServerDiesDuringACall(t *testing.T) {
	t.Parallel()
	b := newBench(t, startProsody(t), startBrowser(t, userTone))
	user := b.login(t)
	sid := b.up(t, user)

	b.server.kill(t)
	before := user.reception(t, sid)
	talk()
	after := user.reception(t, sid)
	if got := after.Received - before.Received; got < 100 { // 125 in 2.5 s
		t.Errorf("%d packets in 2.5 s without the server", got)
	}
	if lost := after.Lost - before.Lost; lost > 0 {
		t.Errorf("%d packets lost", lost)
	}
	eventually(t, 10*time.Second, "the gateway says that it is not ready", func() error {
		if b.gateway.ready() == nil {
			return errors.New("ready without its server")
		}
		return nil
	})
	// Someone else calls: a second call of the same two would be refused anyway.
	other := sippOptions{target: b.gateway.sip, uri: b.gateway.encodedURIOf("romeo"), user: "+4930123451"}
	call := startSipp(t, other, "send INVITE; recv 503; send ACK")
	call.finished(t)
	if got := header(call.received(t, "503"), "Retry-After"); got != "5" {
		t.Errorf("503 has Retry-After %q, want 5", got)
	}

	b.server.restart()
	eventually(t, time.Second+slack, "the gateway is back", b.gateway.ready)
	b.phone.command(t, "hangup", "")
	b.phone.wait(t, "CALL_CLOSED")
	b.phone.heard(t, userTone)

	again := b.login(t)
	b.phone.dial(t, uriOf("romeo"))
	again.hears(t, again.answers(t), phoneTone)
	b.phone.command(t, "hangup", "")
	again.ended(t, "terminate", "success")
}

func TestServerRefusesTheGateway(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options gatewayOptions
		setting string // that the log must name
	}{
		{"a wrong secret", gatewayOptions{secret: "wrong"}, "xmpp.secret"},
		{"a domain the server does not know", gatewayOptions{domain: "other.example.test"}, "xmpp.domain"},
	}
	s := startProsody(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := launchGateway(t, s, tt.options)
			eventually(t, 20*time.Second, "readyz says why", func() error {
				status, body, err := g.get("/readyz")
				if err != nil {
					return err
				}
				if status != http.StatusServiceUnavailable || !strings.Contains(body, tt.setting) {
					return fmt.Errorf("readyz: %d %q, want 503 with %s", status, body, tt.setting)
				}
				return nil
			})
			b, err := os.ReadFile(g.log)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), tt.setting); n != 1 {
				t.Errorf("%d log lines name %s, want 1:\n%s", n, tt.setting, b)
			}
			if g.ended() {
				t.Error("the gateway gave up")
			}
		})
	}
}

// A server that is stopped looks like a cable that was pulled: its kernel still takes what
// is sent, and nothing comes back.
func TestServerFallsSilent(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{})
	s.signal(syscall.SIGSTOP)
	eventually(t, 45*time.Second+slack, "the gateway notices", func() error {
		if g.ready() == nil {
			return errors.New("still ready")
		}
		return nil
	})
	s.signal(syscall.SIGCONT)
	eventually(t, 6*time.Second+slack, "the gateway is back", g.ready)
}

func TestTrunkIsNotThere(t *testing.T) {
	t.Parallel()
	b := newBench(t, startProsody(t), startBrowser(t, userTone))
	user := b.login(t)
	asked := time.Now()
	user.do(t, nil, "propose", jidOf(sippNumber))
	user.ended(t, "reject", "connectivity-error")
	if took := time.Since(asked); took > 200*time.Millisecond+slack {
		t.Errorf("it took %v to say so", took)
	}
	// The next call goes through as soon as the trunk is there.
	call := b.sippWaits(t, "recv INVITE; send 180; send 486; recv ACK")
	user.do(t, nil, "propose", jidOf(sippNumber))
	user.ended(t, "reject", "busy")
	call.finished(t)
}

// A trunk that takes datagrams and says nothing is not waited for as long as a phone that
// rings.
func TestTrunkIsSilent(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{noAnswer: time.Minute})
	user := startBrowser(t, userTone).login(t, s, clientOptions{})
	trunk, err := net.ListenPacket("udp", local(g.sipp))
	if err != nil {
		t.Fatal(err)
	}
	defer trunk.Close()
	asked := time.Now()
	user.do(t, nil, "propose", jidOf(sippNumber))
	user.ended(t, "reject", "connectivity-error")
	if took := time.Since(asked); took > 12*time.Second+slack {
		t.Errorf("it took %v to say so", took)
	}
	if err := within(slack, g.idle); err != nil {
		t.Error("afterwards:", err)
	}
	invites := 0
	for buf := make([]byte, 65536); trunk.SetReadDeadline(time.Now().Add(100*time.Millisecond)) == nil; {
		n, _, err := trunk.ReadFrom(buf)
		if err != nil {
			break
		}
		if bytes.HasPrefix(buf[:n], []byte("INVITE ")) {
			invites++
		}
	}
	if invites != 5 { // at 0, 0.5, 1.5, 3.5 and 7.5 s
		t.Errorf("the INVITE was sent %d times, want 5", invites)
	}
}

// Two gateways with one domain must not take it from each other for ever: the one that had
// it first says what is wrong and waits.
func TestAnotherGatewayTakesTheDomain(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{})
	rival, err := connectComponent(s, secret)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, slack, "readyz says why", func() error {
		status, body, err := g.get("/readyz")
		if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(body, "xmpp.domain")) {
			err = fmt.Errorf("readyz: %d %q, want 503 with xmpp.domain", status, body)
		}
		return err
	})
	if b, err := os.ReadFile(g.log); err != nil || strings.Count(string(b), "setting=xmpp.domain") != 1 {
		t.Errorf("want one log line that names xmpp.domain (%v):\n%s", err, b)
	}
	if err := rival.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := rival.find("conflict"); err == nil {
		t.Error("the gateway took the domain back at once")
	}
	rival.conn.Close()
	if g.ended() {
		t.Error("the gateway gave up")
	}
}
