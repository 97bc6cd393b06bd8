package main

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// dialogChecks are those of group C that are about the dialog with S alone.
var dialogChecks = map[string]func(*testing.T){
	"C-20": checkGlare,
	"C-21": checkOverlappingInvite,
	"C-22": checkOverlappingUpdate,
	"C-26": checkRedirects,
	"C-27": checkChallenge,
	"C-28": checkSessionTooBrief,
	"C-29": checkSessionTimer,
	"C-30": checkTooBrief,
	"C-31": checkPRACK,
	"C-32": checkStrayPRACK,
	"C-33": checkReliableAnswer,
	"C-46": checkInfoDigit,
	"C-57": checkOfferless,
	"C-59": checkTimerC,
}

func checkGlare(t *testing.T) {
	for _, tt := range []struct {
		up       string
		min, max time.Duration
	}{
		{answered, 0, 2 * time.Second},
		{lateAnswered, 2100 * time.Millisecond, 4 * time.Second}, // the Call-ID is ours
	} {
		r := play(t, tt.up+`juliet@example.org/balcony: session-info hold
		sip INVITE sdp=g711-held
		sip 491
		wait 4s
		sip 200 sdp=g711
		sip BYE
		`)
		refused := r.one("sip 491")
		var again []time.Duration
		last := ""
		for _, l := range r.Find("sip INVITE", "a=sendonly") {
			if cseq := headerOf(l.Raw, "Cseq"); cseq != last { // it is no retransmission
				again = append(again, l.At-refused.At)
				last = cseq
			}
		}
		if len(again) != 2 || again[1] < tt.min || again[1] > tt.max {
			t.Errorf("tried after %s:\n%s", again, r.Text)
		}
	}
}

func checkOverlappingInvite(t *testing.T) {
	r := play(t, invite+`juliet@example.org/balcony: ringing
	sip INVITE sdp=g711-held
	juliet@example.org/balcony: reject busy
	`)
	l := r.one("sip 500", "Cseq: 2 INVITE")
	if n, err := strconv.Atoi(headerOf(l.Raw, "Retry-After")); err != nil || n < 0 || n > 10 {
		t.Errorf("Retry-After is %q", headerOf(l.Raw, "Retry-After"))
	}
	r.one("sip 486", "Cseq: 1 INVITE")
}

func checkOverlappingUpdate(t *testing.T) {
	r := play(t, answered+`juliet@example.org/balcony: session-info hold
	sip UPDATE sdp=g711-held
	sip 200 sdp=g711
	sip UPDATE sdp=g711-held
	sip BYE
	`)
	r.order(r.one("sip INVITE"), r.one("sip 491", "for UPDATE"), r.one("sip 200", "for UPDATE"))
}

func checkRedirects(t *testing.T) {
	script := propose
	for i := range 7 {
		script += "sip 302 'Contact: <sip:o" + strconv.Itoa(i) + "@pbx.example>'\n"
	}
	r := play(t, script)
	r.count(6, "sip INVITE")
	r.one("<reject")
	r = play(t, propose+"sip 302 'Contact: <sip:a@pbx.example>'\nsip 302 'Contact: <sip:a@pbx.example>, <sip:evil@203.0.113.1>'")
	r.count(2, "sip INVITE")
	r.one("<reject")
}

func checkChallenge(t *testing.T) {
	challenge := func(algorithm string) string {
		return ` 'WWW-Authenticate: Digest realm="pbx.example", nonce="n", qop="auth", algorithm=` + algorithm + `'`
	}
	refused := "sip 401" + challenge("AKAv1-MD5") + challenge("SHA-256") + challenge("MD5") + "\n"
	r := play(t, "with username=gw\n"+propose+refused+refused)
	sent := r.count(2, "sip INVITE")
	equal(t, "the first Authorization", headerOf(sent[0].Raw, "Authorization"), "")
	if a := headerOf(sent[1].Raw, "Authorization"); !strings.Contains(a, "algorithm=SHA-256") || !strings.Contains(a, `username="gw"`) {
		t.Errorf("the second Authorization is %q", a)
	}
	r.one("<reject")
	r = play(t, propose+refused)
	r.one("sip INVITE")
	r.one("<reject")
}

func checkSessionTooBrief(t *testing.T) {
	r := play(t, propose+"sip 422 'Min-SE: 3600'\nsip 486")
	sent := r.count(2, "sip INVITE")
	equal(t, "the first Session-Expires", headerOf(sent[0].Raw, "Session-Expires"), "1800")
	equal(t, "the second Session-Expires", headerOf(sent[1].Raw, "Session-Expires"), "3600")
}

func checkSessionTimer(t *testing.T) {
	r := play(t, propose+`sip 200 sdp=g711 'Session-Expires: 1800;refresher=uac' 'Allow: INVITE, UPDATE'
	juliet@example.org/balcony: session-initiate jingle=audio
	wait 900100ms
	sip 200 for UPDATE 'Session-Expires: 1800;refresher=uas'
	wait 1768100ms
	sip 200 for BYE
	`)
	refresh := r.one("sip UPDATE")
	if refresh.At < 900*time.Second || refresh.At > 901*time.Second || strings.Contains(refresh.Raw, "m=audio") {
		t.Errorf("refreshed after %s:\n%s", refresh.At, r.Text)
	}
	end := r.one("sip BYE")
	if since := end.At - refresh.At; since < 1767*time.Second || since > 1769*time.Second || !strings.Contains(end.Raw, "SIP;cause=408") {
		t.Errorf("the call ended %s after its refresh:\n%s", since, r.Text)
	}
	r.one("session-terminate", "<timeout")
	r = play(t, propose+`sip 200 sdp=g711 'Session-Expires: 90;refresher=uac'
	juliet@example.org/balcony: session-initiate jingle=audio
	wait 45100ms
	sip 200 sdp=g711 'Session-Expires: 90;refresher=uac'
	sip BYE
	`)
	sent := r.count(2, "sip INVITE")
	_, before, _ := strings.Cut(sent[0].Raw, "\nv=0")
	_, after, _ := strings.Cut(sent[1].Raw, "\nv=0")
	equal(t, "the session description", after, before)
}

func checkTooBrief(t *testing.T) {
	r := play(t, "sip INVITE sip:juliet%40example.org@x.gw.example 'Supported: timer' 'Session-Expires: 60' sdp=g711")
	equal(t, "Min-SE", headerOf(r.one("sip 422").Raw, "Min-Se"), "90")
	r.none("<propose")
}

// reliable are the headers of a reliable response.
const reliable = " 'Require: 100rel' 'RSeq: "

func checkPRACK(t *testing.T) {
	r := play(t, propose+`sip 183 sdp=g711`+reliable+`7'
	sip 200 for PRACK
	sip 183 sdp=g711`+reliable+`7'
	sip 180`+reliable+`9'
	sip 180`+reliable+`8'
	sip 200 for PRACK
	sip 486
	`)
	l := r.count(2, "sip PRACK")
	equal(t, "the first RAck", headerOf(l[0].Raw, "Rack"), "7 1 INVITE")
	equal(t, "the second RAck", headerOf(l[1].Raw, "Rack"), "8 1 INVITE")
}

func checkStrayPRACK(t *testing.T) {
	r := play(t, `sip INVITE sip:juliet%40example.org@x.gw.example 'Require: 100rel' sdp=g711
	juliet@example.org/balcony: ringing
	sip PRACK 'RAck: 1 2 INVITE'
	juliet@example.org/balcony: reject busy
	`)
	r.one("sip 481", "for PRACK")
	ringing := r.one("sip 180")
	equal(t, "Require", headerOf(ringing.Raw, "Require"), "100rel")
}

func checkReliableAnswer(t *testing.T) {
	r := play(t, initiate+`sip 183 sdp=g711`+reliable+`1'
	sip 200 for PRACK
	sip 200
	juliet@example.org/balcony: session-terminate success
	sip 200 for BYE
	`)
	r.order(r.one("sip PRACK"), r.one("sip ACK"), r.one("session-accept"))
}

func checkInfoDigit(t *testing.T) {
	r := play(t, answered+"sip INFO type=application/dtmf-relay body=Signal=5|Duration=160\nsip INFO type=application/dtmf body=#\nsip BYE")
	r.count(2, "sip 200", "for INFO")
	r.order(r.one("media digit 5 160ms for leg B"), r.one("media digit # 100ms for leg B"))
}

func checkOfferless(t *testing.T) {
	r := play(t, `sip INVITE sip:juliet%40example.org@x.gw.example
	juliet@example.org/balcony: proceed
	juliet@example.org/balcony: session-accept jingle=accept
	sip ACK sdp=g711
	wait 5s
	sip BYE
	`)
	if ok := r.one(response("200")...); !strings.Contains(ok.Raw, "\nm=audio ") {
		t.Errorf("no offer in\n%s", ok.Raw)
	}
	if end := r.one("session-terminate", "<success"); end.At < 5*time.Second {
		t.Errorf("the call ended after %s:\n%s", end.At, r.Text)
	}
}

func checkTimerC(t *testing.T) {
	r := play(t, propose+"sip 180\nwait 100s\nsip 183\nwait 100s\nsip 180\nwait 180200ms\nsip 200 for CANCEL\nsip 487")
	if l := r.one("sip CANCEL"); l.At < 380*time.Second || l.At > 381*time.Second {
		t.Errorf("CANCEL after %s:\n%s", l.At, r.Text)
	}
}
