package main

import (
	"strings"
	"testing"
	"time"
)

// refer is a REFER to the front desk in a call from S that is up.
const refer = "with trusted\n" + answered + "sip REFER in=1 'Refer-To: <sip:front-desk@pbx.example>'\nsip 200 for NOTIFY\n"

func checkBlindTransfer(t *testing.T) {
	r := play(t, refer+`sip 180
	wait 1s
	sip 200 sdp=g711
	sip 200 for NOTIFY
	sip BYE in=1
	wait 1s
	sip BYE in=2
	`)
	accepted, trying, done := r.one("sip 200", "for REFER"), r.one("sip NOTIFY", "SIP/2.0 100"), r.one("sip NOTIFY", "SIP/2.0 200")
	r.order(accepted, trying, r.one("sip INVITE sip:front-desk@pbx.example"), done)
	equal(t, "the first state", headerOf(trying.Raw, "Subscription-State"), "active;expires=180")
	equal(t, "the last state", headerOf(done.Raw, "Subscription-State"), "terminated;reason=noresource")
	for _, n := range []string{trying.Raw, done.Raw} {
		equal(t, "the event", headerOf(n, "Event"), "refer")
		equal(t, "the body", headerOf(n, "Content-Type"), "message/sipfrag;version=2.0")
	}
	if done.At < time.Second {
		t.Errorf("it is done after %s, before the new party has answered:\n%s", done.At, r.Text)
	}
	if over := r.one("session-terminate"); over.At < 2*time.Second {
		t.Errorf("the one who was sent on has its session for %s only:\n%s", over.At, r.Text)
	}
	r = play(t, refer+"sip 486\nsip 200 for NOTIFY\nwait 1s\nsip BYE in=1")
	r.one("sip NOTIFY", "SIP/2.0 486")
	if over := r.one("session-terminate"); over.At < time.Second {
		t.Errorf("a transfer that failed ended the call after %s:\n%s", over.At, r.Text)
	}
	// Who does not hang up is hung up after ten seconds.
	r = play(t, refer+"sip 200 sdp=g711\nsip 200 for NOTIFY\nwait 11s\nsip 200 for BYE\nsip BYE in=2")
	if bye := r.Find("sip BYE"); len(bye) == 0 || bye[0].At < 10*time.Second || bye[0].At > 10100*time.Millisecond {
		t.Errorf("no BYE after ten seconds:\n%s", r.Text)
	}
}

func checkAttendedTransfer(t *testing.T) {
	r := play(t, "with trusted\n"+answered+`sip REFER in=1 'Refer-To: <sip:front-desk@pbx.example?Replaces=77ab%40198.51.100.9%3Bto-tag%3Dt9%3Bfrom-tag%3Df2>' 'Referred-By: <sip:otto@pbx.example>'
	sip 200 for NOTIFY
	sip 200 sdp=g711
	sip 200 for NOTIFY
	sip BYE in=1
	sip BYE in=2
	`)
	l := r.one("sip INVITE sip:front-desk@pbx.example")
	equal(t, "Replaces", headerOf(l.Raw, "Replaces"), "77ab@198.51.100.9;to-tag=t9;from-tag=f2")
	equal(t, "Require", headerOf(l.Raw, "Require"), "replaces")
	equal(t, "Referred-By", headerOf(l.Raw, "Referred-By"), "<sip:otto@pbx.example>")
	// A dialog of ours is joined here.
	r = play(t, "with trusted\n"+answered+`sip INVITE sip:romeo%40example.org@x.gw.example sdp=g711
	romeo@example.org/orchard: proceed
	romeo@example.org/orchard: session-accept jingle=accept
	sip ACK in=2
	sip REFER in=1 'Refer-To: <sip:romeo%40example.org@x.gw.example?Replaces=$replaces2>'
	sip 200 for NOTIFY
	sip 200 for NOTIFY
	sip 200 for BYE
	sip BYE in=1
	wait 1s
	romeo@example.org/orchard: session-terminate success
	`)
	r.none("sip INVITE")
	r.one("sip NOTIFY", "SIP/2.0 200")
	if over := r.one("session-terminate", "juliet@example.org/balcony"); over.At < time.Second {
		t.Errorf("the two were joined for %s:\n%s", over.At, r.Text)
	}
}

func checkReplacesUnknown(t *testing.T) {
	r := play(t, answered+"sip INVITE sip:juliet%40example.org@x.gw.example 'Replaces: unknown@pbx.example;to-tag=a;from-tag=b' sdp=g711\nsip BYE in=1")
	r.one("sip 481", "INVITE")
	r = play(t, invite+"juliet@example.org/balcony: ringing\nsip INVITE sip:juliet%40example.org@x.gw.example 'Replaces: $dialog1' sdp=g711\nsip CANCEL in=1")
	r.one("sip 481", "INVITE")
	r.count(1, "<propose")
}

func checkReferHeaders(t *testing.T) {
	r := play(t, "with trusted\n"+answered+`sip REFER in=1 'Refer-To: <sip:front-desk@pbx.example?From=%3Csip:boss@pbx.example%3E&Route=%3Csip:192.0.2.66%3E&Subject=%0D%0AX-Evil:%20yes&P-Asserted-Identity=%3Csip:boss@pbx.example%3E>'
	sip 200 for NOTIFY
	sip 486
	sip 200 for NOTIFY
	sip REFER in=1 'Refer-To: <sip:front-desk@pbx.example;method=MESSAGE>'
	sip REFER in=1 'Refer-To: <sip:+5355555@pbx.example>'
	sip 200 for NOTIFY
	sip 200 for NOTIFY
	sip BYE in=1
	`)
	l := r.one("sip INVITE")
	for _, evil := range []string{"boss", "192.0.2.66", "Evil"} {
		if strings.Contains(l.Raw, evil) {
			t.Errorf("%s is in\n%s", evil, l.Raw)
		}
	}
	r.one("sip 603", "REFER")
	r.one("sip NOTIFY", "SIP/2.0 403") // where the user may not call, the transfer does not lead
}

func checkTransferByX(t *testing.T) {
	for _, tt := range []struct{ to, answers string }{
		{`front-desk\40pbx.example@sip.gw.example`, "sip 200 sdp=g711\nwait 1s\nsip BYE in=1\nsip 200 for BYE"},
		{"romeo@example.org", "romeo@example.org/orchard: proceed\nromeo@example.org/orchard: session-accept jingle=accept\nwait 1s\nsip BYE in=1"},
	} {
		r := play(t, answered+"juliet@example.org/balcony: transfers "+tt.to+"\n"+tt.answers)
		r.one("session-info", "<hold", "juliet@example.org/balcony")
		l := r.one("session-terminate", "juliet@example.org/balcony", "<success", "<transferred")
		r.order(r.one("xmpp iq result", "juliet@example.org/balcony", "t3"), l)
		if bye := r.one("sip 200", "for BYE"); bye.At < time.Second {
			t.Errorf("the one who was sent on was up for %s:\n%s", bye.At, r.Text)
		}
	}
	r := play(t, answered+`juliet@example.org/balcony: transfers front-desk\40pbx.example@sip.gw.example
	sip 486
	wait 1s
	juliet@example.org/balcony: session-terminate success
	sip 200 for BYE
	`)
	r.one("session-info", "<active")
	r.one("xmpp message", "<body", "could not be transferred")
	if bye := r.one("sip BYE"); bye.At < time.Second {
		t.Errorf("a transfer that failed ended the call after %s:\n%s", bye.At, r.Text)
	}
}
