package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/control"
	"sipxmppgw/test/peer/jinglephone"
)

// asks runs a command against the gateway of a world, as an operator does.
func (w *world) asks(want int, args ...string) string {
	w.t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{args[0], "--socket", w.socket}, args[1:]...)
	if code := run(context.Background(), args, &out, &errs); code != want {
		w.t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

// askable is a world whose gateway can be asked.
func askable(t *testing.T, s setup) *world {
	t.Helper()
	s.socket = filepath.Join(shortDir(t), "c.sock")
	return newWorld(t, s)
}

// shortDir is a folder whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestAnOperatorLooksAtACall(t *testing.T) {
	t.Parallel()
	w := askable(t, setup{})
	user := w.client(0, "phone", jinglephone.Options{})
	phone, client := w.dial(0, user, 0)
	answered(t, phone, client)
	talk(t, phone, client)

	var live []gateway.Line
	decode(t, w.asks(exitOK, "calls", "--json"), &live)
	if len(live) != 1 || live[0].State != "Active" || live[0].Direction != "sip_to_xmpp" || live[0].XMPPUser != account(0) || live[0].Trunk != "t0" {
		t.Fatalf("the call is shown as %+v", live)
	}
	id := live[0].Call
	if text := w.asks(exitOK, "calls"); !strings.Contains(text, id) || !strings.Contains(text, "Active") {
		t.Errorf("calls says\n%s", text)
	}
	if text := w.asks(exitProblem, "why", id); !strings.Contains(text, "has not ended") {
		t.Errorf("why says %q of a call that lives", text)
	}
	if text := w.asks(exitOK, "trunks"); !strings.Contains(text, "t0") || !strings.Contains(text, "  1 of 500  ") {
		t.Errorf("trunks says\n%s", text)
	}
	if text := w.asks(exitOK, "status"); !strings.HasPrefix(text, "up since ") || !strings.Contains(text, ", calls: 1, version ") || !strings.Contains(text, testGW) || !strings.Contains(text, "t0 ") {
		t.Errorf("status says\n%s", text)
	}
	if text := w.asks(exitOK, "route", extension(0), "--as", account(0)); !strings.Contains(text, "t0") || !strings.Contains(text, "sip:"+extension(0)) {
		t.Errorf("route says\n%s", text)
	}
	w.asks(exitProblem, "route", "+99", "--as", account(0))
	w.asks(exitOK, "hangup", id[:8])
	w.quiet()
	w.asks(exitProblem, "hangup", id)

	if text := w.asks(exitOK, "call", "last"); !strings.Contains(text, "ended_by") || !strings.Contains(text, "gateway") || !strings.Contains(text, "xmpp.srtp") {
		t.Errorf("call says\n%s", text)
	}
	ladder := w.asks(exitOK, "ladder", id)
	for _, want := range []string{"-INVITE-", "-session-initiate-", "-200 OK-", "* xmpp media up: ", "SRTP_", "* sip first packet", "* ended: normal", "-BYE-"} {
		if !strings.Contains(ladder, want) {
			t.Errorf("no %q in the ladder:\n%s", want, ladder)
		}
	}
	if svg := w.asks(exitOK, "ladder", id, "--format", "svg"); !strings.HasPrefix(svg, "<svg ") {
		t.Errorf("the picture is %.200s", svg)
	}
	if text := w.asks(exitOK, "why", id, "--lang", "de_DE"); !strings.HasPrefix(text, "Das Gateway hat den Anruf beendet (the operator ended the call).\n") {
		t.Errorf("why says %q", text)
	}
	if file := w.asks(exitOK, "pcap", id); !strings.HasPrefix(file, "\x0a\x0d\x0d\x0a") || !strings.Contains(file, "session-initiate") {
		t.Errorf("the file for Wireshark is %.200q", file)
	}

	// What is given away has nobody in it, and the machine does the same again.
	text := w.asks(exitOK, "ladder", "--json", "--mask", id)
	for _, person := range []string{"user0", number(0), extension(0), testDomain, w.secret} {
		if strings.Contains(text, person) {
			t.Errorf("%q is in what was masked", person)
		}
	}
	file := filepath.Join(t.TempDir(), "call.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"replay", file}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "= Active") {
		t.Errorf("replay: exit code %d\n%s%s", code, out.String(), errs.String())
	}
}

func TestWhyOfARefusedCall(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "calls.jsonl")
	w := askable(t, setup{records: file})
	user := w.client(0, "phone", jinglephone.Options{})
	user.OnIncoming(func(c *jinglephone.Call) { _ = c.Busy() })
	dialled, err := w.sip[0].Dial(w.uri(0))
	if err != nil {
		t.Fatal(err)
	}
	var last gateway.Line
	if !poll(patience, func() bool {
		var all []gateway.Line
		decode(t, w.asks(exitOK, "calls", "--ended", "--json"), &all)
		if len(all) == 1 {
			last = all[0]
		}
		return len(all) == 1
	}) {
		t.Fatal("no call has ended")
	}
	if last.Outcome != "busy" || last.Explain == "" || last.EndedBy != "xmpp" || last.PDD < 0 {
		t.Errorf("the record is %+v", last)
	}
	if last.SIP.ID != dialled.ID() || len(last.SIP.Session) != 2*32+len(";remote=") || last.XMPP.ID == "" || last.XMPP.ID == last.SIP.ID {
		t.Errorf("it was called %q, %q on SIP and %q on XMPP", last.SIP.ID, last.SIP.Session, last.XMPP.ID)
	}
	ended := last
	var why control.Why
	decode(t, w.asks(exitOK, "why", "last", "--json", "--lang", "fr"), &why)
	if why.Sentence != "Le correspondant est déjà en communication." || why.Language != "fr" {
		t.Errorf("why says %+v", why)
	}
	if _, err := w.sip[0].Dial("sip:+81312345678@" + strings.TrimPrefix(w.d.sipUp[0], "udp:")); err != nil {
		t.Fatal(err)
	}
	var refused []control.Refused
	if !poll(patience, func() bool {
		decode(t, w.asks(exitOK, "calls", "--refused", "--json"), &refused)
		return len(refused) == 1
	}) || refused[0].Outcome == "" || !strings.Contains(refused[0].Callee, "81312345678") {
		t.Errorf("what was not begun is %+v", refused)
	}
	for _, id := range []string{"refused", refused[0].Call} { // it has left what a call leaves
		decode(t, w.asks(exitOK, "why", id, "--json"), &why)
		if why.Call != refused[0].Call || !strings.HasPrefix(why.Sentence, "The gateway did not begin the call. ") || !strings.Contains(why.Advice, refused[0].Rules) {
			t.Errorf("why says %+v", why)
		}
		if ladder := w.asks(exitOK, "ladder", id); !strings.Contains(ladder, "INVITE") || !strings.Contains(ladder, "404 Not Found") {
			t.Errorf("the ladder is\n%s", ladder)
		}
		if masked := w.asks(exitOK, "ladder", id, "--mask"); strings.Contains(masked, "81312345678") {
			t.Errorf("a number is shown:\n%s", masked)
		}
		if pcap := w.asks(exitOK, "pcap", id); !strings.Contains(pcap, "SIP/2.0 404") {
			t.Errorf("the file for Wireshark has %q", pcap)
		}
		decode(t, w.asks(exitOK, "call", id, "--json"), &last)
		if last.Call != refused[0].Call || !strings.Contains(last.SIPTo, "81312345678") || last.Outcome != refused[0].Outcome {
			t.Errorf("the call is %+v", last)
		}
	}
	w.down(time.Second)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var written gateway.Line
	decode(t, string(text), &written)
	if written.Call != ended.Call || written.Explain != ended.Explain {
		t.Errorf("the call record is %s", text)
	}
}

func TestDrainByCommand(t *testing.T) {
	t.Parallel()
	w := rewritable(t, setup{})
	w.reload(exitOK)
	w.asks(exitOK, "drain")
	if !poll(patience, func() bool {
		select {
		case <-w.d.told:
			return true
		default:
			return false
		}
	}) {
		t.Error("the gateway was not told")
	}
	w.asks(exitOK, "drain") // once more does no harm
}

// Whoever waits for the end of the calls sees how many there are, and when the gateway has stopped.
func TestDrainShowsWhatIsLeft(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "c.sock")
	w := startWhole(t, fmt.Sprintf("control: {socket: %q}", socket))
	caller, callee := w.talking()
	var out lines
	code := make(chan int, 1)
	go func() { code <- run(context.Background(), []string{"drain", "--wait", "--socket", socket}, &out, &out) }() // ends with the gateway
	if !poll(patience, func() bool { return out.count("calls that are up: 1") == 1 }) {
		t.Fatalf("drain says\n%s", out.String())
	}
	hangUp(t, caller, callee)
	w.ends(exitOK, patience)
	select {
	case c := <-code:
		if c != exitOK || !strings.HasSuffix(out.String(), "stopped\n") {
			t.Errorf("exit code %d:\n%s", c, out.String())
		}
	case <-time.After(patience):
		t.Errorf("drain does not end:\n%s", out.String())
	}
}

func TestAskingNobody(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	silent := filepath.Join(dir, "s.sock")
	l, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"nobody there", []string{"calls", "--socket", filepath.Join(dir, "none.sock")}, exitUnreachable},
		{"nobody answers", []string{"calls", "--socket", silent, "--timeout", "50ms"}, exitTimeout},
		{"no call named", []string{"why"}, exitUsage},
		{"two calls named", []string{"hangup", "a", "b"}, exitUsage},
		{"a strange flag", []string{"trunks", "--colour"}, exitUsage},
		{"something too much", []string{"calls", "now"}, exitUsage},
		{"no recording", []string{"replay", filepath.Join(dir, "none.json")}, exitUsage},
	}
	for _, tt := range tests {
		var out, errs bytes.Buffer
		if code := run(context.Background(), tt.args, &out, &errs); code != tt.want || errs.Len() == 0 || out.Len() != 0 {
			t.Errorf("%s: exit code %d, want %d; %s%s", tt.name, code, tt.want, out.String(), errs.String())
		}
	}
}

func TestTheSocketIsForTheGroupAlone(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, "c.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close() // as after a crash
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if _, err := control.Listen(path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second one: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(file); err == nil {
		t.Error("a file was replaced")
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
