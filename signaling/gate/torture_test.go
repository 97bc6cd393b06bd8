package gate

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var here = netip.MustParseAddrPort("198.51.100.7:4321")

// torture is what becomes of each message of RFC 4475 and RFC 5118: a status, or 0 for
// accepted, or -1 for dropped.
var torture = map[string]int{
	// Valid (RFC 4475 section 3.1.1). A REGISTER is for a registrar, which we are not.
	"wsinv": 0, "inv2543": 0, "longreq": 0, "lwsdisp": 0, "semiuri": 0, "esc01": 0, "transports": 0,
	"unreason": 0, "noreason": 0, "mpart01": 0, "dblreq": 405, "escnull": 405,
	"intmeth": 501, "esc02": 501,

	// Invalid (3.1.2).
	"badinv01": 400, "ncl": 400, "clerr": 400, "scalar02": 400, "quotbal": 400, "lwsruri": 400,
	"lwsstart": 400, "trws": 400, "ltgtruri": 400, "escruri": 400, "baddn": 400, "badaspec": 400,
	"mismatch01": 400, "mismatch02": 501, "badvers": 505, "baddate": 0, "regbadct": 400,
	"scalarlg": -1, "bigcode": -1,

	// Transactions, application and compatibility (3.2 to 3.4).
	"badbranch": 400, "insuf": 400, "unkscm": 416, "novelsc": 416, "unksm2": 400, "bext01": 420,
	"invut": 415, "regaut01": 403, "multi01": 400, "mcl01": 400, "bcast": -1, "zeromf": 0,
	"cparam01": 405, "cparam02": 405, "regescrt": 405, "sdp01": 406,

	// RFC 5118.
	"ipv6-good": 405, "ipv6-bad": 400, "port-ambiguous": 405, "port-unambiguous": 405,
	"via-received-param-no-delim": 0, "via-received-param-with-delim": 0,
	"mult-ip-in-header": 0, "mult-ip-in-sdp": 0, "ipv4-mapped-ipv6": 0,
	"ipv6-bug-abnf-3-colons": 0, "ipv6-correct-abnf-2-colons": 0,
	// Its Content-Length says 268, its body has 251 bytes; see TestIPv6InSDP.
	"ipv6-in-sdp": 400,
}

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

func TestTorture(t *testing.T) {
	files, err := filepath.Glob("testdata/torture/*.dat")
	if err != nil || len(files) != 49+12 || len(torture) != len(files) {
		t.Fatalf("%d messages, %d expectations, %v; want 61 of each", len(files), len(torture), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".dat")
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, ok := torture[name]
			if !ok {
				t.Fatal("no expectation")
			}
			v := Rules{}.Check(raw, here, false)
			if got := verdictOf(v); got != want {
				t.Fatalf("got %d (%s), want %d", got, v.Reason, want)
			}
			again := Rules{}.Check(raw, here, false)
			if string(again.Answer) != string(v.Answer) || string(again.Message) != string(v.Message) {
				t.Error("another answer the second time")
			}
			wellFormed(t, v)
		})
	}
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

// TestSecondRequest: what follows a message in its datagram is ignored, and on a stream
// is the next message (RFC 4475 section 3.1.1.11, dblreq).
func TestSecondRequest(t *testing.T) {
	raw, err := os.ReadFile("testdata/torture/dblreq.dat")
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for len(raw) > 0 {
		n, ok := Frame(raw, 65535)
		if !ok || n == 0 {
			break
		}
		got = append(got, verdictOf(Rules{}.Check(raw[:n], here, true)))
		raw = raw[n:]
	}
	// The body is a byte longer than its length says; that byte is no message.
	if len(got) != 3 || got[0] != 405 || got[1] != 0 || got[2] != -1 {
		t.Errorf("got %v, want 405, 0 and -1", got)
	}
}

func TestIPv6InSDP(t *testing.T) {
	raw, err := os.ReadFile("testdata/torture/ipv6-in-sdp.dat")
	if err != nil {
		t.Fatal(err)
	}
	fixed := strings.Replace(string(raw), "Content-Length: 268", "Content-Length: 251", 1)
	if v := (Rules{}).Check([]byte(fixed), here, false); v.Action != Accept {
		t.Errorf("got %v (%s), want accept", v.Action, v.Reason)
	}
}

// TestCleanSpelling: the worst spelling of RFC 4475 section 3.1.1.1.
func TestCleanSpelling(t *testing.T) {
	raw, err := os.ReadFile("testdata/torture/wsinv.dat")
	if err != nil {
		t.Fatal(err)
	}
	want := `INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
To: <sip:vivekg@chair-dnrc.example.com>;tag=1918181833n
From: "J Rosenberg \\\"" <sip:jdrosen@example.com>;tag=98asjd8
Max-Forwards: 68
Call-ID: wsinv.ndaksdj@192.0.2.1
CSeq: 9 INVITE
Via: SIP/2.0/UDP 192.0.2.2;branch=390skdjuw;received=198.51.100.7
Subject: 
NewFangledHeader: newfangled value continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route: <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
Via: SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8
Via: SIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239
Contact: "Quoted string \"\"" <sip:jdrosen@example.com>;newparam=newvalue;secondparam;q=0.33
Content-Length: 150`
	head, _, _ := strings.Cut(string(Rules{}.Check(raw, here, false).Message), "\r\n\r\n")
	if got := strings.ReplaceAll(head, "\r\n", "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNoControlCharacters: those that RFC 4475 allows in quotes (section 3.1.1.2) come
// no further than the gate.
func TestNoControlCharacters(t *testing.T) {
	raw, err := os.ReadFile("testdata/torture/intmeth.dat")
	if err != nil {
		t.Fatal(err)
	}
	v := Rules{}.Check(raw, here, false)
	if !strings.Contains(string(v.Answer), `To: "BEL: NUL: DEL:" <sip:`) {
		t.Errorf("answer has no clean To:\n%q", v.Answer)
	}
}
