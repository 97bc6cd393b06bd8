package gate

import (
	"net/netip"
	"strings"
	"testing"

	"sipxmppgw/test/torture"
)

var here = netip.MustParseAddrPort("198.51.100.7:4321")

func verdictOf(v Verdict) int {
	switch v.Action {
	case Accept:
		return 0
	case Drop:
		return -1
	default:
		return v.Status
	}
}

// sender is who the torture messages say they are from.
var sender = torture.From{Transport: "UDP", Addr: here.String(), ID: "x"}

// wanted is the verdict on a case, as verdictOf says it.
func wanted(c torture.Case) int {
	switch {
	case c.In:
		return 0
	case c.Want == torture.Silence:
		return -1
	default:
		return int(c.Want)
	}
}

func TestTorture(t *testing.T) {
	for _, c := range torture.Cases() {
		t.Run(c.Name, func(t *testing.T) { tortured(t, c, c.Message(sender)) })
	}
}

func tortured(t *testing.T, c torture.Case, raw []byte) {
	t.Helper()
	v := Rules{}.Check(raw, here, false)
	if got, want := verdictOf(v), wanted(c); got != want {
		t.Fatalf("%s: got %d (%s), want %d", c.Section, got, v.Reason, want)
	}
	again := Rules{}.Check(raw, here, false)
	if string(again.Answer) != string(v.Answer) || string(again.Message) != string(v.Message) {
		t.Error("another answer the second time")
	}
	wellFormed(t, v)
}

// wellFormed checks what must hold of every verdict: what is handed on is accepted again as
// it is, and what is answered is a response that we could have sent.
func wellFormed(t *testing.T, v Verdict) {
	t.Helper()
	switch v.Action {
	case Accept:
		again := Rules{Datagram: 1 << 20}.Check(v.Message, here, false)
		if again.Action != Accept {
			t.Fatalf("clean message is refused: %s\n%s", again.Reason, v.Message)
		}
		if got, want := withoutReceived(again.Message), withoutReceived(v.Message); got != want {
			t.Fatalf("clean message is changed:\n%s\ninto\n%s", want, got)
		}
	case Answer:
		head, body, ok := strings.Cut(string(v.Answer), "\r\n\r\n")
		if !ok || body != "" || !strings.HasPrefix(head, "SIP/2.0 ") {
			t.Fatalf("malformed answer:\n%s", v.Answer)
		}
		for _, line := range strings.Split(head, "\r\n")[1:] {
			if !isPrintable(line) {
				t.Errorf("answer has %q", line)
			}
		}
		if !v.To.IsValid() {
			t.Error("answer goes nowhere")
		}
	}
}

// withoutReceived leaves out what each check adds anew, and what a first one has removed
// from the parameters (rport without a value).
func withoutReceived(msg []byte) string {
	lines := strings.Split(string(msg), "\r\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "Via: ") {
			lines[i], _, _ = strings.Cut(l, ";received")
			break
		}
	}
	return strings.Join(lines, "\r\n")
}

// messageOf is the message of a case.
func messageOf(t *testing.T, name string) []byte {
	t.Helper()
	for _, c := range torture.Cases() {
		if c.Name == name {
			return c.Message(sender)
		}
	}
	t.Fatal("no case ", name)
	return nil
}

// TestSecondRequest: what follows a message in its datagram is ignored, and on a stream
// is the next message (RFC 4475 section 3.1.1.8, dblreq).
func TestSecondRequest(t *testing.T) {
	raw := messageOf(t, "dblreq")
	var got []int
	for len(raw) > 0 {
		n, ok := Frame(raw, 65535)
		if !ok || n == 0 {
			break
		}
		got = append(got, verdictOf(Rules{}.Check(raw[:n], here, true)))
		raw = raw[n:]
	}
	if len(got) != 2 || got[0] != 405 || got[1] != 0 {
		t.Errorf("got %v, want 405 and 0", got)
	}
}

// TestCleanSpelling: the worst spelling of RFC 4475 section 3.1.1.1.
func TestCleanSpelling(t *testing.T) {
	raw := messageOf(t, "wsinv")
	want := `INVITE sip:harbour.master@quay.example.org;berth SIP/2.0
To: <sip:harbour.master@quay.example.org>;tag=pier9
From: "Ann \\\"Bo\" " <sip:ann@ferry.example.net>;tag=f1
Max-Forwards: 70
Call-ID: x.wsinv@ferry.example.net
CSeq: 14 INVITE
Via: SIP/2.0/UDP 198.51.100.7:4321;branch=plainbranch;received=198.51.100.7;rport=4321
Subject: 
Lighthouse: turns and turns
Buoy: ,;,;;,;;
Content-Type: application/sdp
Route: <sip:mole.example.org;lr;lamp=red;foghorn>
Via: SIP/2.0/TCP breakwater.example.org;branch=z9hG4bKbw1
Via: SIP/2.0/UDP 10.20.30.40;branch=z9hG4bKbw2
Contact: "Ann \"the pilot\"" <sip:ann@ferry.example.net>;deck=upper;aft;q=0.5
Content-Length: 141`
	head, _, _ := strings.Cut(string(Rules{}.Check(raw, here, false).Message), "\r\n\r\n")
	if got := strings.ReplaceAll(head, "\r\n", "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNoControlCharacters: those that RFC 4475 allows in quotes (section 3.1.1.2) come
// no further than the gate.
func TestNoControlCharacters(t *testing.T) {
	v := Rules{}.Check(messageOf(t, "intmeth"), here, false)
	if !strings.Contains(string(v.Answer), `To: "bell  zero  delete " <sip:`) {
		t.Errorf("answer has no clean To:\n%q", v.Answer)
	}
}
