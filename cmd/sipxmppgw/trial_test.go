package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"sipxmppgw/gateway/control"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

// tried places a trial, and returns what it has shown, a line each.
func (w *world) tried(ask control.Trial) string {
	w.t.Helper()
	found, err := w.d.desk.Try(context.Background(), ask)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, f.State+" "+f.Check+" "+f.Text+" "+f.Advice)
	}
	return strings.Join(lines, "\n")
}

// A call of the gateway through its own component hears itself.
func TestATrialOfTheComponent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	shows(t, w.tried(control.Trial{To: "echo"}),
		"ok route user0@"+testDomain+" calls echo@"+testGW+", which the gateway answers itself", "ok component ", "ok call it ", "ok sound 8 of 8 tones came back after ", "so did the digits 42#", "ok xmpp leg received MOS 4.",
	)
}

// shows looks for what a trial is to have shown.
func shows(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A call out over a trunk that leads back here is heard at both ends, and all its legs are judged.
func TestATrialOfATrunkThatCallsBack(t *testing.T) {
	t.Parallel()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.LocalAddr().String()
	free.Close()
	w := newWorld(t, setup{
		sip:    fmt.Sprintf(`listen: ["udp:%s", "tcp:127.0.0.1:0"]`, at),
		trunks: fmt.Sprintf("  - {name: away, address: %q}\n", at),
		routes: "  - {from: \"*\", to: \"+33\", trunk: away, dial: \"*43\"}\n",
		more:   "builtin: {echo: \"*43\", trunks: [away]}\n",
	})
	shows(t, w.tried(control.Trial{To: "+331", As: account(0)}),
		"ok route user0@"+testDomain+" calls +331@"+testGW+", over trunk away as sip:*43@", "ok component ", "ok call it ", "ok sound 8 of 8 tones came back after ", "so did the digits 42#",
		"ok back trunk away called the gateway's own echo", "ok xmpp leg received MOS 4.", "ok trunk leg received MOS 4.",
	)
}

// Where nobody answers, or answers and is no echo, that is said, and why.
func TestATrialThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{phones: []behind{
		{phone: sipphone.Options{Incoming: func(c *sipphone.Call) { _ = c.Busy() }}},
		{phone: sipphone.Options{Incoming: func(c *sipphone.Call) { _ = c.Accept() }, Behaviour: sipphone.Behaviour{Mute: true}}},
	}, routes: "  - {from: guest.example, deny: true}\n"})
	tests := []struct {
		name string
		ask  control.Trial
		want []string
	}{
		{"busy", control.Trial{To: extension(0)}, []string{"ok component ", "fail call not answered: "}},
		{"mute", control.Trial{To: extension(1)}, []string{"ok call it ", "fail sound nothing was heard", "fail trunk leg received not known"}},
		{"not allowed", control.Trial{To: extension(0), As: "x@guest.example"}, []string{"fail route x@guest.example may not call "}},
		{"a stranger", control.Trial{To: "x@guest.example"}, []string{"x@guest.example is no user"}},
		{"no number", control.Trial{To: "hello"}, []string{"neither an address nor a number"}},
		{"no user", control.Trial{To: "echo", As: "@"}, []string{"nothing stands before the @"}},
		{"no component", control.Trial{To: "echo", Domain: "other.example"}, []string{"other.example is no component"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { shows(t, w.tried(tt.ask), tt.want...) })
	}
	if n := len(w.d.tenants[0].trials.under); n != 0 {
		t.Errorf("%d trials are under way", n)
	}
}

// A user is called, who takes the call, and what the gateway knows of the way is said.
func TestATrialOfAUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.client(0, "phone", conversations).OnIncoming(func(c *jinglephone.Call) {
		_ = c.Accept()
		_ = c.WaitState(w.limit(), phone.Active)
	})
	got := w.tried(control.Trial{To: account(0)})
	shows(t, got, "ok call it rang after ", "warn sound the other end ", "ok xmpp leg received MOS 4.", "way host - host")
	if strings.Contains(got, "component") {
		t.Errorf("it did not come back:\n%s", got)
	}
}

// One trial more than may be is refused.
func TestTrialsAreFew(t *testing.T) {
	t.Parallel()
	var all trials
	for range maxTrials {
		if _, _, err := all.begin("gw.example", fmt.Sprint(len(all.under)), "romeo@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := all.begin("gw.example", "more", "romeo@example.org"); err == nil {
		t.Error("it is let begin")
	}
	if user, id, ok := all.of("doctor-0@gw.example"); user != "romeo@example.org" || id != "0" || !ok {
		t.Errorf("got %q, %q, %v", user, id, ok)
	}
	all.end("doctor-0@gw.example")
	if _, _, ok := all.of("doctor-0@gw.example"); ok {
		t.Error("it is still under way")
	}
}

// The command has the gateway that runs place a call, and its exit code says how it was.
func TestDoctorCalls(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "c.sock")
	newWorld(t, setup{socket: socket, routes: "  - {from: guest.example, deny: true}\n"})
	if out := prints(t, exitOK, "doctor", "--call", "echo", "--socket", socket); !strings.Contains(out, "ok    sound        8 of 8 tones came back") {
		t.Errorf("it said\n%s", out)
	}
	if out := prints(t, exitProblem, "doctor", "--call", "echo", "--as", "x@guest.example", "--socket", socket, "--json"); !strings.Contains(out, `"state": "fail"`) {
		t.Errorf("it said\n%s", out)
	}
	prints(t, exitProblem, "doctor", "--call", "hello", "--socket", socket)
	prints(t, exitUnreachable, "doctor", "--call", "echo", "--socket", filepath.Join(t.TempDir(), "none.sock"))
}
