package callflow

import "testing"

// Calls that are joined act at the same moment, in no order that could be seen.

// Otto speaks with Juliet, calls Romeo, and joins the two: both dialogs of his are ours, so
// that nobody is called (INTERWORKING 2.11).
func TestJoinedBySIP(t *testing.T) {
	r := Play(t, `with trusted
sip INVITE sip:juliet%40example.org@x.gw.example sdp=g711
juliet@example.org/balcony: proceed
juliet@example.org/balcony: session-accept jingle=accept
sip ACK
sip INVITE in=1 sdp=g711-held
sip ACK
sip INVITE sip:romeo%40example.org@x.gw.example sdp=g711
romeo@example.org/orchard: proceed
romeo@example.org/orchard: session-accept jingle=accept
sip ACK in=2
sip REFER in=1 'Refer-To: <sip:romeo%40example.org@x.gw.example?Replaces=$replaces2>'
sip 200 for NOTIFY
sip 200 for NOTIFY
sip 200 for BYE
sip BYE in=1
wait 1s
romeo@example.org/orchard: session-info hold
wait 1s
romeo@example.org/orchard: session-info active
wait 1s
juliet@example.org/balcony: presses 5 100 sid=x1 to=otto@sip.gw.example/sip
romeo@example.org/orchard: session-terminate success
`)
	for _, want := range [][]string{
		{"NOTIFY", "SIP/2.0 200"},
		{"BYE sip:otto"},
		{"presence", "juliet@example.org/balcony", ">romeo<"},
		{"presence", "romeo@example.org/orchard", ">juliet<"},
		{"session-info", "<active", "juliet@example.org/balcony"},
	} {
		if len(r.Find(want...)) == 0 {
			t.Errorf("no %q in\n%s", want, r.Text)
		}
	}
	if n := len(r.Find("sip", "INVITE sip:")); n != 0 {
		t.Errorf("%d calls were made:\n%s", n, r.Text)
	}
	if n := len(r.Find("= call ended normal")); n != 2 {
		t.Errorf("%d calls ended:\n%s", n, r.Text)
	}
	// A hold by Romeo reaches Juliet through both calls.
	if n := len(r.Find("session-info", "<hold", "juliet@example.org/balcony")); n != 2 {
		t.Errorf("Juliet was put on hold %d times, want twice, once by each:\n%s", n, r.Text)
	}
}

// Juliet has a session with Otto and one with the front desk, and joins the two (XEP-0251).
func TestJoinedByXMPP(t *testing.T) {
	r := Play(t, `sip INVITE sip:juliet%40example.org@x.gw.example sdp=g711
juliet@example.org/balcony: proceed
juliet@example.org/balcony: session-accept jingle=accept
sip ACK
juliet@example.org/balcony: session-initiate id=s2 to=+4989111111@sip.gw.example/sip jingle=audio
sip 200 sdp=g711
juliet@example.org/balcony: transfers +4989111111@sip.gw.example s2 sid=x1 to=otto@sip.gw.example/sip
wait 1s
sip BYE in=1
sip 200 for BYE in=2
`)
	if n := len(r.Find("session-terminate", "<transferred")); n != 2 {
		t.Errorf("%d sessions of Juliet's ended as transferred:\n%s", n, r.Text)
	}
	if n := len(r.Find("sip", "INVITE sip:")); n != 1 {
		t.Errorf("%d calls were made, want hers alone:\n%s", n, r.Text)
	}
	if n := len(r.Find("BYE sip:trunk1")); n != 1 {
		t.Errorf("the front desk was hung up %d times when Otto hung up:\n%s", n, r.Text)
	}
	if n := len(r.Find("= call ended normal")); n != 2 {
		t.Errorf("%d calls ended:\n%s", n, r.Text)
	}
}
