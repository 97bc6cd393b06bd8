package callflow

import (
	"fmt"
	"strings"
	"testing"
)

// The tables of INTERWORKING.md section 2.13, played on the wire. What the gateway has no
// row for must come out as the last row of a table says.

const (
	fromSIP = "sip INVITE sip:juliet%40example.org@x.gw.example sdp=g711\n"
	toSIP   = "juliet@example.org/balcony: propose audio id=c1 to=+4989987654@sip.gw.example\n"
	begins  = "juliet@example.org/balcony: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio\n"
	up      = fromSIP + "juliet@example.org/balcony: proceed\njuliet@example.org/balcony: session-accept jingle=accept\nsip ACK\n"
)

// only plays a script and wants one line with these words.
func only(t *testing.T, script string, words ...string) {
	t.Helper()
	r := Play(t, script)
	if n := len(r.Find(words...)); n != 1 {
		t.Errorf("%d lines with %q, want one, in\n%s", n, words, r.Text)
	}
}

// Table A.
func TestStatusesBecomeReasons(t *testing.T) {
	tests := []struct {
		statuses []int
		header   string // of the response
		reason   string
		text     string // of the reason; empty for any
		again    string // what the INVITE that is sent again gets
	}{
		{statuses: []int{300, 302, 305, 380}, reason: "general-error"},
		{statuses: []int{301}, reason: "gone"},
		{statuses: []int{301}, header: "'Contact: <sip:desk@pbx.example>'", again: "\nsip 301", reason: "gone"},
		{statuses: []int{400}, reason: "general-error"},
		{statuses: []int{401, 407}, reason: "general-error", text: "gateway not authorised"},
		{statuses: []int{402, 403}, reason: "decline"},
		{statuses: []int{404, 604}, reason: "general-error", text: "no such user"},
		{statuses: []int{405, 501}, reason: "unsupported-applications"},
		{statuses: []int{406}, reason: "unsupported-applications"},
		{statuses: []int{415}, reason: "unsupported-applications", again: "\nsip 415"},
		{statuses: []int{408, 504}, reason: "timeout"},
		{statuses: []int{410}, reason: "gone"},
		{statuses: []int{413, 414, 416, 420, 421, 423}, reason: "general-error"},
		{statuses: []int{424, 428, 436, 437, 438}, reason: "security-error"},
		{statuses: []int{425, 429, 469, 470, 489, 513, 555}, reason: "general-error"},
		{statuses: []int{433}, reason: "decline"},
		{statuses: []int{430}, reason: "connectivity-error"},
		{statuses: []int{480}, reason: "timeout"},
		{statuses: []int{480}, header: "'Reason: Q.850;cause=17'", reason: "busy"},
		{statuses: []int{480}, header: "'Reason: Q.850;cause=21'", reason: "decline"},
		{statuses: []int{500}, header: "'Reason: Q.850;cause=17;text=\"User busy\"'", reason: "busy"},
		{statuses: []int{500}, header: "'Reason: Q.850;cause=1'", reason: "general-error", text: "no such user"},
		{statuses: []int{503}, header: "'Reason: SIP;cause=486, Q.850;cause=19'", reason: "timeout"},
		{statuses: []int{481}, reason: "general-error"},
		{statuses: []int{491}, reason: "general-error", again: strings.Repeat("\nwait 5s\nsip 491", 3)},
		{statuses: []int{482, 483}, reason: "general-error", text: "loop"},
		{statuses: []int{484, 485}, reason: "general-error"},
		{statuses: []int{486, 600}, reason: "busy"},
		{statuses: []int{487}, reason: "cancel"},
		{statuses: []int{488, 606}, reason: "incompatible-parameters", again: "\nsip 488"},
		{statuses: []int{488, 606}, header: "'Warning: 304 pbx.example \"Media type not available\"'", reason: "unsupported-applications", again: "\nsip 488 'Warning: 304 x \"no\"'"},
		{statuses: []int{493, 494}, reason: "security-error"},
		{statuses: []int{500, 505, 502, 503}, reason: "general-error"},
		{statuses: []int{580}, reason: "failed-transport"},
		{statuses: []int{603, 607, 608}, reason: "decline"},
		{statuses: []int{499, 599}, reason: "general-error"},
		{statuses: []int{699}, reason: "decline"},
	}
	for _, tt := range tests {
		for _, status := range tt.statuses {
			answer := fmt.Sprintf("sip %d %s", status, tt.header)
			t.Run(answer, func(t *testing.T) {
				only(t, toSIP+answer+tt.again, "xmpp message", "<reject", "<"+tt.reason+"/>", "<text>"+tt.text)
				only(t, begins+answer+tt.again, "xmpp iq set", "session-terminate", "<"+tt.reason+"/>", "<text>"+tt.text)
			})
		}
	}
}

// Table B: each reason as a reject before the session, as the end of a session that is not
// answered and of one that is, and as the end of a call to SIP.
func TestReasonsBecomeStatuses(t *testing.T) {
	tests := []struct {
		reason string
		status int
		cause  int
		bye    int
	}{
		{"busy", 486, 17, 17},
		{"decline", 603, 21, 21},
		{"cancel", 480, 31, 16},
		{"success", 603, 21, 16},
		{"expired", 480, 19, 102},
		{"timeout", 480, 19, 102},
		{"gone", 480, 20, 16},
		{"connectivity-error", 480, 41, 41},
		{"failed-transport", 480, 41, 41},
		{"failed-application", 488, 65, 41},
		{"media-error", 488, 65, 41},
		{"incompatible-parameters", 488, 65, 88},
		{"unsupported-applications", 488, 79, 79},
		{"unsupported-transports", 488, 79, 79},
		{"security-error", 488, 57, 57},
		{"general-error", 500, 41, 41},
		{"application-error", 500, 41, 41},
		{"alternative-session", 480, 31, 31},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			response := []string{fmt.Sprintf("sip %d ", tt.status), fmt.Sprintf("Q.850;cause=%d;", tt.cause)}
			only(t, fromSIP+"juliet@example.org/balcony: reject "+tt.reason, response...)
			only(t, fromSIP+"juliet@example.org/balcony: proceed\njuliet@example.org/balcony: session-terminate "+tt.reason, response...)
			only(t, up+"juliet@example.org/balcony: session-terminate "+tt.reason+"\nsip 200 for BYE",
				"sip BYE", fmt.Sprintf("Q.850;cause=%d;", tt.bye))
			only(t, toSIP+"sip 180\njuliet@example.org/balcony: retract "+tt.reason+"\nsip 200 for CANCEL\nsip 487", "sip CANCEL")
			only(t, begins+"sip 180\njuliet@example.org/balcony: session-terminate "+tt.reason+"\nsip 200 for CANCEL\nsip 487", "sip CANCEL")
		})
	}
	t.Run("no reason at the end of a session", func(t *testing.T) {
		only(t, fromSIP+"juliet@example.org/balcony: proceed\njuliet@example.org/balcony: session-terminate", "sip 603 ", "Q.850;cause=21;")
		only(t, up+"juliet@example.org/balcony: session-terminate\nsip 200 for BYE", "sip BYE", "Q.850;cause=16;")
	})
}

// Table C: errors that answer our proposal, and errors that answer our session-initiate.
func TestStanzaErrorsBecomeStatuses(t *testing.T) {
	tests := []struct {
		conditions string
		status     int
	}{
		{"bad-request jid-malformed unexpected-request", 400},
		{"feature-not-implemented", 480},
		{"gone", 410},
		{"internal-server-error undefined-condition", 500},
		{"item-not-found remote-server-not-found", 404},
		{"resource-constraint recipient-unavailable service-unavailable", 480},
		{"not-acceptable", 488},
		{"not-authorized registration-required subscription-required", 403},
		{"payment-required policy-violation not-allowed forbidden", 403},
		{"remote-server-timeout", 504},
	}
	for _, tt := range tests {
		for condition := range strings.FieldsSeq(tt.conditions) {
			t.Run(condition, func(t *testing.T) {
				status := fmt.Sprintf("sip %d ", tt.status)
				only(t, fromSIP+"juliet@example.org: bounces "+condition, status)
				only(t, fromSIP+"results off\njuliet@example.org/balcony: proceed\njuliet@example.org/balcony: error "+condition, status)
			})
		}
	}
}

// Table D.
func TestReasonsOfBYECross(t *testing.T) {
	tests := []struct{ header, reason string }{
		{"", "success"},
		{"'Reason: Q.850;cause=16'", "success"},
		{"'Reason: SIP;cause=200;text=\"ok\"'", "success"},
		{"'Reason: Q.850;cause=17'", "busy"},
		{"'Reason: Q.850;cause=18'", "timeout"},
		{"'Reason: Q.850;cause=19'", "timeout"},
		{"'Reason: Q.850;cause=102'", "timeout"},
		{"'Reason: SIP;cause=408'", "timeout"},
		{"'Reason: Q.850;cause=21'", "decline"},
		{"'Reason: Q.850;cause=22'", "gone"},
		{"'Reason: Q.850;cause=38'", "general-error"},
		{"'Reason: Q.850;cause=41'", "general-error"},
		{"'Reason: Q.850;cause=42'", "general-error"},
		{"'Reason: Q.850;cause=44'", "general-error"},
		{"'Reason: Q.850;cause=47'", "general-error"},
		{"'Reason: Q.850;cause=57'", "security-error"},
		{"'Reason: Q.850;cause=87'", "security-error"},
		{"'Reason: Q.850;cause=58'", "incompatible-parameters"},
		{"'Reason: Q.850;cause=65'", "incompatible-parameters"},
		{"'Reason: Q.850;cause=88'", "incompatible-parameters"},
		{"'Reason: Q.850;cause=111'", "general-error"},
		{"'Reason: SIP;cause=500'", "general-error"},
		{"'Reason: SIP;cause=480'", "connectivity-error"},
		{"'Reason: SIP;cause=481'", "connectivity-error"},
		{"'Reason: RELEASE_CAUSE;cause=3'", "success"},
		{"'Reason: nonsense'", "success"},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			only(t, up+"sip BYE "+tt.header, "xmpp iq set", "session-terminate", "<"+tt.reason+"/>")
		})
	}
	for _, cause := range []int{38, 41} { // of a phone that is not heard any more
		script := fmt.Sprintf("%smedia silent A\nsip 200 for OPTIONS\nsip BYE 'Reason: Q.850;cause=%d'", up, cause)
		only(t, script, "xmpp iq set", "session-terminate", "<failed-transport/>")
	}
}
