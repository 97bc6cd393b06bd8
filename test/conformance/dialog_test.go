package main

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// dialogChecks are those of group C that are about the dialog with S alone.
var dialogChecks = map[string]func(*testing.T){
	"C-21": checkOverlappingInvite,
	"C-46": checkInfoDigit,
	"C-57": checkOfferless,
	"C-59": checkTimerC,
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
