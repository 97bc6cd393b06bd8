package main

import (
	"strings"
	"testing"
	"time"
)

// callChecks are those of group C.
var callChecks = map[string]func(*testing.T){
	"C-01": checkProposal,
	"C-02": checkOneRinging,
	"C-03": checkAnswerAfterAccept,
	"C-04": checkLateProceed,
	"C-05": checkCancelBeforeProceed,
	"C-06": checkCancelAfterInitiate,
	"C-07": checkRejects,
	"C-08": checkNoAnswer,
	"C-09": checkBounce,
	"C-10": checkLateMode,
	"C-11": checkEvidence,
	"C-12": checkBusy,
	"C-13": checkRetract,
	"C-14": checkCancelCrossesAnswer,
	"C-15": checkHangUp,
	"C-16": checkUnknownSession,
	"C-17": checkFirstProceedWins,
	"C-18": checkTwoForks,
	"C-19": checkImmediateACK,
	"C-23": checkTieOfChanges,
	"C-24": checkCrossingCalls,
	"C-25": checkSecondCallMigrates,
	"C-34": checkEarlySDP,
	"C-35": checkHoldByX,
	"C-36": checkHoldByS,
	"C-37": checkHoldByBoth,
	"C-38": checkVideoAdded,
	"C-39": checkVideoNotAwaited,
	"C-40": checkBlindTransfer,
	"C-41": checkAttendedTransfer,
	"C-42": checkReplacesUnknown,
	"C-43": checkReferHeaders,
	"C-44": checkTransferByX,
	"C-45": checkTones,
	"C-47": checkUnknownPackage,
	"C-48": checkDiversions,
	"C-49": checkDirectCall,
	"C-50": checkSessionPing,
	"C-51": checkUnknownInfo,
	"C-52": checkICERoles,
	"C-53": checkUnknownReason,
	"C-54": checkConsent,
	"C-55": checkPeerGoesOffline,
	"C-56": checkElsewhere,
	"C-58": checkLoop,
	"C-60": checkOpaqueContact,
}

// invite is a call from S, and propose and initiate are calls from X.
const (
	invite   = "sip INVITE sip:juliet%40example.org@x.gw.example sdp=g711\n"
	propose  = "juliet@example.org/balcony: propose audio id=c1 to=+4989987654@sip.gw.example\n"
	initiate = "juliet@example.org/balcony: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio\n"
)

// answered is a call from S that is up.
const answered = invite + `juliet@example.org/balcony: proceed
juliet@example.org/balcony: session-accept jingle=accept
sip ACK
`

// lateAnswered is a proposed call from X that is up.
const lateAnswered = propose + `sip 180
sip 200 sdp=g711
juliet@example.org/balcony: session-initiate jingle=audio
`

// response is words that find a response of the gateway to an INVITE.
func response(status string) []string { return []string{"sip " + status, "Cseq: 1 INVITE"} }

func checkProposal(t *testing.T) {
	r := play(t, invite+"juliet@example.org/balcony: reject busy")
	if trying := r.one("sip 100"); trying.At > 200*time.Millisecond {
		t.Errorf("100 after %s", trying.At)
	}
	l := r.one("xmpp message", "<propose")
	p := stanzaOf(t, l.Raw)
	equal(t, "to", p.Attr("to"), "juliet@example.org")
	equal(t, "type", p.Attr("type"), "chat")
	if p.Child("urn:xmpp:jingle-message:0", "propose") == nil || p.Child("urn:xmpp:hints", "store") == nil {
		t.Errorf("no propose, or no hint, in %s", l.Raw)
	}
}

func checkOneRinging(t *testing.T) {
	play(t, invite+`juliet@example.org/phone: ringing
	juliet@example.org/balcony: ringing
	wait 10s
	juliet@example.org/balcony: ringing
	juliet@example.org/balcony: reject busy
	`).one("sip 180")
}

func checkAnswerAfterAccept(t *testing.T) {
	r := play(t, invite+`wait 1s
	juliet@example.org/balcony: proceed
	wait 5s
	juliet@example.org/balcony: session-accept jingle=accept
	sip ACK
	sip BYE
	`)
	if ok := r.one(response("200")...); ok.At < 6*time.Second {
		t.Errorf("200 after %s, and the session was accepted after 6s:\n%s", ok.At, r.Text)
	}
}

func checkLateProceed(t *testing.T) {
	r := play(t, invite+`results off
	juliet@example.org/balcony: proceed
	juliet@example.org/phone: proceed
	wait 2s
	results on
	juliet@example.org/balcony: result
	juliet@example.org/balcony: session-accept jingle=accept
	sip ACK
	sip BYE
	`)
	equal(t, "the device that has the session", attrOf(r.one("session-initiate").Raw, "to"), "juliet@example.org/balcony")
	retract := r.one("<retract")
	e := stanzaOf(t, retract.Raw)
	equal(t, "the device that is told", e.Attr("to"), "juliet@example.org/phone")
	if e.Child("urn:xmpp:carbons:2", "private") == nil || e.Child("urn:xmpp:hints", "no-copy") == nil {
		t.Errorf("others could see %s", retract.Raw)
	}
	if retract.At < 2*time.Second {
		t.Errorf("it is told after %s, before the first has acknowledged its session:\n%s", retract.At, r.Text)
	}
}

func checkCancelBeforeProceed(t *testing.T) {
	r := play(t, invite+"juliet@example.org/balcony: ringing\nsip CANCEL")
	r.order(r.one("sip 200", "for CANCEL"), r.one("sip 487"))
	sid := attrOf(r.one("<propose").Raw, "to")
	retract := r.one("<retract")
	equal(t, "to", attrOf(retract.Raw, "to"), "juliet@example.org")
	equal(t, "to of the proposal", sid, "juliet@example.org")
	equal(t, "id", only(t, stanzaOf(t, retract.Raw), "retract").Attr("id"), only(t, stanzaOf(t, r.one("<propose").Raw), "propose").Attr("id"))
	r.none("session-initiate")
}

func checkCancelAfterInitiate(t *testing.T) {
	r := play(t, invite+"juliet@example.org/balcony: proceed\nsip CANCEL")
	r.one("sip 200", "for CANCEL")
	r.one("sip 487")
	r.one("session-terminate", "<cancel")
	r.one("<retract")
}

func checkRejects(t *testing.T) {
	for reason, status := range map[string]string{"": "480", "busy": "486", "decline": "603"} {
		play(t, invite+"juliet@example.org/balcony: ringing\njuliet@example.org/balcony: reject "+reason).one("sip " + status)
	}
}

func checkNoAnswer(t *testing.T) {
	for _, tt := range []struct{ name, alert, cause string }{
		{"after ringing", "juliet@example.org/balcony: ringing\n", "cause=19"},
		{"without ringing", "", "cause=18"},
	} {
		r := play(t, "with no_answer=30s\n"+invite+tt.alert+"wait 40s")
		l := r.one(response("480")...)
		if reason := headerOf(l.Raw, "Reason"); !strings.Contains(reason, "Q.850") || !strings.Contains(reason, tt.cause) {
			t.Errorf("%s: Reason is %q, want %s", tt.name, reason, tt.cause)
		}
		if l.At < 30*time.Second || l.At > 31*time.Second {
			t.Errorf("%s: after %s", tt.name, l.At)
		}
		r.one("<retract")
	}
}

func checkBounce(t *testing.T) {
	play(t, invite+"juliet@example.org: bounces service-unavailable").one("sip 480")
}

func checkLateMode(t *testing.T) {
	r := play(t, `juliet@example.org/balcony: propose audio id=c1 to=+4989987654@sip.gw.example
	sip 100
	wait 1s
	sip 180
	wait 1s
	sip 200 sdp=g711
	juliet@example.org/balcony: session-initiate jingle=audio
	juliet@example.org/balcony: session-terminate success
	sip 200 for BYE
	`)
	sent, ringing, proceed := r.one("sip INVITE"), r.one("<ringing", "jingle-message"), r.one("<proceed")
	if sent.At != 0 || ringing.At < time.Second || ringing.At > 1100*time.Millisecond || proceed.At < 2*time.Second {
		t.Errorf("INVITE after %s, ringing after %s, proceed after %s:\n%s", sent.At, ringing.At, proceed.At, r.Text)
	}
	r.order(sent, ringing, proceed, r.one("session-accept"))
}

func checkEvidence(t *testing.T) {
	r := play(t, propose+"sip 100\nwait 10s\nsip 486")
	ringing := r.one("<ringing", "jingle-message")
	if ringing.At > 4100*time.Millisecond {
		t.Errorf("ringing after %s", ringing.At)
	}
	if receipt := r.one("<received"); receipt.At > 100*time.Millisecond {
		t.Errorf("the receipt after %s", receipt.At)
	}
}

func checkBusy(t *testing.T) {
	play(t, propose+"sip 486").one("<reject", "<busy")
	play(t, initiate+"sip 486").one("session-terminate", "<busy")
}

func checkRetract(t *testing.T) {
	play(t, propose+"sip 180\njuliet@example.org/balcony: retract cancel\nsip 200 for CANCEL\nsip 487").one("sip CANCEL")
	r := play(t, propose+`juliet@example.org/balcony: retract cancel
	wait 300ms
	sip 100
	sip 200 for CANCEL
	sip 487
	`)
	if l := r.one("sip CANCEL"); l.At < 300*time.Millisecond {
		t.Errorf("CANCEL after %s, before any response:\n%s", l.At, r.Text)
	}
}

func checkCancelCrossesAnswer(t *testing.T) {
	r := play(t, propose+`sip 180
	juliet@example.org/balcony: retract cancel
	sip 200 sdp=g711
	sip 200 for CANCEL
	sip 200 for BYE
	`)
	r.order(r.one("sip CANCEL"), r.one("sip ACK"), r.one("sip BYE"))
	r.none("<proceed")
}

func checkHangUp(t *testing.T) {
	for _, up := range []string{answered, lateAnswered} {
		r := play(t, up+"juliet@example.org/balcony: session-terminate success\nsip 200 for BYE")
		if reason := headerOf(r.one("sip BYE").Raw, "Reason"); !strings.Contains(reason, "Q.850;cause=16") {
			t.Errorf("the Reason is %q", reason)
		}
		r = play(t, up+"sip BYE")
		r.one("sip 200", "for BYE")
		r.one("session-terminate", "<success")
		equal(t, "who is told that it is over", attrOf(r.one("<finish").Raw, "to"), "juliet@example.org/balcony")
	}
}

func checkUnknownSession(t *testing.T) {
	r := play(t, answered+"sip BYE\nwait 5s\njuliet@example.org/balcony: session-info\njuliet@example.org/balcony: session-terminate success")
	r.count(2, "xmpp iq error", "item-not-found", "unknown-session")
}

func checkFirstProceedWins(t *testing.T) {
	r := play(t, invite+`xmpp <message type="chat" id="p1" from="juliet@example.org/phone" to="$number"><proceed xmlns="urn:xmpp:jingle-message:0" id="$sid"/></message><message type="chat" id="p2" from="juliet@example.org/balcony" to="$number"><proceed xmlns="urn:xmpp:jingle-message:0" id="$sid"/></message>
	juliet@example.org/phone: session-accept jingle=accept
	sip ACK
	sip BYE
	`)
	equal(t, "the device that has the session", attrOf(r.one("session-initiate").Raw, "to"), "juliet@example.org/phone")
	equal(t, "the device that has not", attrOf(r.one("<retract").Raw, "to"), "juliet@example.org/balcony")
	r.one(response("200")...)
}

func checkTwoForks(t *testing.T) {
	r := play(t, propose+`sip 180 tag=desk
	sip 180 tag=mobile
	sip 200 tag=mobile sdp=g711
	sip 200 tag=desk sdp=g711
	sip 200 for BYE
	juliet@example.org/balcony: session-initiate jingle=audio
	wait 5s
	juliet@example.org/balcony: session-terminate success
	sip 200 for BYE
	`)
	r.order(r.one("sip ACK", "tag=mobile"), r.one("sip ACK", "tag=desk"), r.one("sip BYE", "tag=desk"), r.one("sip BYE", "tag=mobile"))
	r.one("<proceed")
}

func checkImmediateACK(t *testing.T) {
	r := play(t, propose+`sip 200 sdp=g711
	wait 1s
	sip 200 sdp=g711
	wait 1s
	juliet@example.org/balcony: session-initiate jingle=audio
	sip 200 sdp=g711
	sip BYE
	`)
	acks := r.count(3, "sip ACK")
	for i, a := range acks {
		if want := time.Duration(i) * time.Second; a.At < want || a.At > want+10*time.Millisecond {
			t.Errorf("ACK %d after %s, want %s", i+1, a.At, want)
		}
	}
}

func checkEarlySDP(t *testing.T) {
	r := play(t, propose+"sip 183 sdp=g711\nwait 2s\nsip 486")
	r.none("<proceed")
	r.none("session-accept")
	r = play(t, initiate+"sip 183 sdp=g711\nwait 2s\nsip 486")
	r.none("session-accept")
	r.one("session-terminate", "<busy")
}

func checkVideoNotAwaited(t *testing.T) {
	r := play(t, answered+"wait 1s\nsip INVITE sdp=g711-video\nsip ACK\nsip BYE")
	l := r.one("sip 200", "Cseq: 2 INVITE")
	if l.At > 3*time.Second || !strings.Contains(l.Raw, "\nm=video 0 ") {
		t.Errorf("the answer after %s is\n%s", l.At, l.Raw)
	}
}

func checkUnknownPackage(t *testing.T) {
	play(t, answered+"sip INFO 'Info-Package: unheard-of'\nsip BYE").one("sip 469")
}

func checkDiversions(t *testing.T) {
	for _, header := range []string{
		"'Diversion: <sip:+4930111@pbx.example>;reason=no-answer'",
		"'History-Info: <sip:+4930111@pbx.example>;index=1' 'History-Info: <sip:juliet%40example.org@x.gw.example;cause=408>;index=1.1;mp=1'",
	} {
		r := play(t, "with announce_diversion\n"+strings.Replace(invite, " sdp", " "+header+" sdp", 1)+"juliet@example.org/balcony: reject busy")
		r.order(r.one("xmpp message", "headline", "Call for +4930111 (no answer)"), r.one("<propose"))
	}
	const sentOn = propose + "sip 302 'Contact: <sip:voicemail@pbx.example>' 'Diversion: <sip:desk@pbx.example>;reason=no-answer'"
	r := play(t, sentOn+"\nsip 486")
	equal(t, "Diversion", headerOf(r.one("sip INVITE sip:voicemail").Raw, "Diversion"), "<sip:desk@pbx.example>;reason=no-answer;counter=1;privacy=off")
	r = play(t, sentOn+" 'Supported: histinfo'\nsip 486")
	r.one("sip INVITE sip:voicemail", "History-Info: <sip:desk@pbx.example>;index=1\n", "History-Info: <sip:voicemail@pbx.example;cause=408>;index=1.1;mp=1")
}

func checkDirectCall(t *testing.T) {
	r := play(t, initiate+"sip 180\nsip 200 sdp=g711\njuliet@example.org/balcony: session-terminate success\nsip 200 for BYE")
	r.order(r.one("xmpp iq result", "t1"), r.one("sip INVITE"), r.one("session-info", "<ringing"), r.one("sip ACK"), r.one("session-accept"), r.one("sip BYE"))
	r.none("jingle-message")
}

func checkSessionPing(t *testing.T) {
	r := play(t, initiate+"sip 200 sdp=g711\njuliet@example.org/balcony: session-info\njuliet@example.org/balcony: session-terminate success\nsip 200 for BYE")
	r.count(3, "xmpp iq result", "juliet@example.org/balcony")
	r.none("xmpp iq error")
}

func checkUnknownInfo(t *testing.T) {
	r := play(t, initiate+"sip 200 sdp=g711\njuliet@example.org/balcony: session-info dancing\nwait 1s\njuliet@example.org/balcony: session-terminate success\nsip 200 for BYE")
	r.one("xmpp iq error", "feature-not-implemented", "unsupported-info")
	if bye := r.one("sip BYE"); bye.At < time.Second {
		t.Errorf("the call ended for it:\n%s", r.Text)
	}
}

func checkUnknownReason(t *testing.T) {
	r := play(t, invite+"juliet@example.org/balcony: proceed\njuliet@example.org/balcony: session-terminate application-error")
	if reason := headerOf(r.one("sip 500").Raw, "Reason"); !strings.Contains(reason, "cause=41") {
		t.Errorf("the Reason is %q", reason)
	}
	r = play(t, answered+"juliet@example.org/balcony: session-terminate application-error\nsip 200 for BYE")
	if reason := headerOf(r.one("sip BYE").Raw, "Reason"); !strings.Contains(reason, "cause=41") {
		t.Errorf("the Reason of the BYE is %q", reason)
	}
}

func checkPeerGoesOffline(t *testing.T) {
	r := play(t, answered+"juliet@example.org/balcony: presence unavailable\nwait 60s\nsip BYE")
	if l := r.one("session-terminate"); l.At < time.Minute {
		t.Errorf("the call ended after %s:\n%s", l.At, r.Text)
	}
	r.none("sip BYE")
}

func checkElsewhere(t *testing.T) {
	r := play(t, invite+`juliet@example.org/balcony: ringing
	sip CANCEL 'Reason: SIP;cause=200;text="Call completed elsewhere"'
	`)
	r.one("<retract", "answered elsewhere")
}

func checkLoop(t *testing.T) {
	mine := headerOf(play(t, propose+"sip 486").one("sip INVITE").Raw, "Call-Id")
	r := play(t, propose+"sip 180\n"+
		"sip INVITE sip:juliet%40example.org@x.gw.example 'Call-ID: "+mine+"' sdp=g711\n"+
		"juliet@example.org/balcony: retract cancel\nsip 200 for CANCEL\nsip 487")
	r.one("sip 482")
	r.none("<propose", "juliet@example.org'")
	r = play(t, propose+"sip 180\n"+
		"sip INVITE sip:nurse%40example.org@x.gw.example 'Call-ID: "+mine+"' sdp=g711\n"+
		"nurse@example.org/hall: reject busy\n"+
		"juliet@example.org/balcony: retract cancel id=c1 to=+4989987654@sip.gw.example\nsip 200 for CANCEL\nsip 487")
	equal(t, "who is called", attrOf(r.one("<propose").Raw, "to"), "nurse@example.org")
	r.one("sip 486")
	r = play(t, "sip INVITE sip:juliet%40example.org@x.gw.example 'Max-Forwards: 0' sdp=g711")
	r.one("sip 483")
	r.none("<propose")
}

func checkOpaqueContact(t *testing.T) {
	for _, script := range []string{
		answered + "juliet@example.org/balcony: session-terminate success\nsip 200 for BYE",
		lateAnswered + "juliet@example.org/balcony: session-terminate success\nsip 200 for BYE",
		initiate + "sip 180\nsip 200 sdp=g711\njuliet@example.org/balcony: session-terminate success\nsip 200 for BYE",
	} {
		r := play(t, script)
		contacts := 0
		for _, l := range r.Lines {
			if l.Lane != "sip" {
				continue
			}
			for _, secret := range []string{"balcony", "198.51.100.23", "mR4x"} {
				if strings.Contains(l.Raw, secret) {
					t.Errorf("%s is in\n%s", secret, l.Raw)
				}
			}
			if c := headerOf(l.Raw, "Contact"); c != "" {
				contacts++
				if strings.Contains(c, "juliet") || strings.Contains(c, "4930123456") {
					t.Errorf("the Contact is %s", c)
				}
			}
		}
		if contacts == 0 {
			t.Errorf("no Contact in\n%s", r.Text)
		}
	}
}
