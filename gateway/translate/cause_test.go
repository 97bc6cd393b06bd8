package translate

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/golden"
)

// The tables of INTERWORKING.md as they stand there, so that ours are not only held
// against themselves. A line is: statuses | reason | Q.850 causes, one for all or each its
// own, "-" for none.
const tableA = `
300 301 302 305 | general-error | -
380 | general-error | -
400 | general-error | 41
401 407 | general-error | 21
402 403 | decline | 21
404 604 | general-error | 1
405 501 | unsupported-applications | 63 79
406 415 | unsupported-applications | 79
408 504 | timeout | 102
410 | gone | 22
413 414 416 420 421 423 | general-error | 127
424 428 436 437 438 | security-error | 21
425 429 469 470 489 513 555 | general-error | 127
433 | decline | 21
430 | connectivity-error | 31
480 | timeout | 18
481 491 | general-error | 41 -
482 483 | general-error | 25
484 485 | general-error | 28 1
486 600 | busy | 17
487 | cancel | -
488 606 | incompatible-parameters | 31
493 494 | security-error | -
500 505 | general-error | 41 127
502 503 | general-error | 38 41
580 | failed-transport | 47
603 607 608 | decline | 21
399 422 | general-error | -
499 411 | general-error | 31
599 510 | general-error | 31
699 601 | decline | 31`

// columns splits the lines of such a table.
func columns(table string) [][][]string {
	var rows [][][]string
	for line := range strings.Lines(table) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		var row [][]string
		for column := range strings.SplitSeq(line, "|") {
			row = append(row, strings.Fields(column))
		}
		rows = append(rows, row)
	}
	return rows
}

func number(t *testing.T, s string) int {
	t.Helper()
	if s == "-" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTableA(t *testing.T) {
	for _, row := range columns(tableA) {
		for i, s := range row[0] {
			status, q850 := number(t, s), row[2][min(i, len(row[2])-1)]
			cause := CauseOfStatus(status, 0)
			if got := ReasonOf(cause, call.Detail{Status: status}); got != row[1][0] {
				t.Errorf("%d: reason %s, want %s", status, got, row[1][0])
			}
			if got := statusRowOf(status, 0).q850; got != number(t, q850) {
				t.Errorf("%d: Q.850 %d, want %s", status, got, q850)
			}
			// A leg of the same protocol is told the same status.
			if got, _ := StatusOf(cause, call.Detail{Status: status}); status >= 400 && status != 401 && status != 407 && got != status {
				t.Errorf("%d: passed on as %d", status, got)
			}
		}
	}
}

func TestTableAText(t *testing.T) {
	tests := []struct {
		name, want string
		detail     call.Detail
	}{
		{"phrase", "Busy Here", call.Detail{Status: 486, Text: "Busy Here"}},
		{"phrase and Q.850", "Nicht da (no answer from user)", call.Detail{Status: 480, Q850: 19, Text: "Nicht da"}},
		{"nothing said", "The other party is in another call.", call.Detail{Status: 486}},
		{"ours for 404", "no such user", call.Detail{Status: 404, Text: "Not Found"}},
		{"ours for 407", "gateway not authorised", call.Detail{Status: 407, Text: "Proxy Authentication Required"}},
		{"ours for 483", "loop", call.Detail{Status: 483, Text: "Too Many Hops"}},
		{"hostile", "a b", call.Detail{Status: 500, Text: "a\r\n\x00b\u202e"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, "text", TextOf(CauseOfStatus(tt.detail.Status, tt.detail.Q850), tt.detail), tt.want)
		})
	}
	check(t, "text of a normal end", TextOf(call.Normal, call.Detail{Q850: 16}), "")
}

func TestTableAOverriddenByQ850(t *testing.T) {
	tests := []struct {
		status, q850 int
		reason       string
	}{
		{480, 17, "busy"},
		{480, 21, "decline"},
		{480, 19, "timeout"},
		{480, 18, "timeout"},
		{480, 31, "timeout"},
		{500, 17, "busy"},
		{503, 1, "general-error"},
		{404, 21, "decline"},
		{486, 38, "general-error"},
		{486, 41, "general-error"},
		{486, 42, "general-error"},
		{486, 16, "busy"},
		{407, 17, "general-error"},
		{487, 17, "cancel"},
	}
	for _, tt := range tests {
		cause := CauseOfStatus(tt.status, tt.q850)
		if got := ReasonOf(cause, call.Detail{Status: tt.status, Q850: tt.q850}); got != tt.reason {
			t.Errorf("%d with %d: got %s, want %s", tt.status, tt.q850, got, tt.reason)
		}
	}
	if got := TextOf(CauseOfStatus(503, 1), call.Detail{Status: 503, Q850: 1}); got != "no such user (unallocated number)" {
		t.Errorf("text: got %q", got)
	}
}

func TestTableAWithoutAResponse(t *testing.T) {
	if got := ReasonOf(CauseOfStatus(NoResponse, 0), call.Detail{}); got != "connectivity-error" {
		t.Errorf("got %s", got)
	}
	for _, status := range []int{-5, 100, 180, 200, 202, 700, 9999} {
		if got := CauseOfStatus(status, 0); got != call.Failed {
			t.Errorf("%d: got %s", status, got)
		}
	}
	// A redirection without a Contact that can be used, and a refusal of the only medium.
	if got := ReasonOf(call.Gone, call.Detail{Status: 301}); got != "gone" {
		t.Errorf("301: got %s", got)
	}
	if got := ReasonOf(call.Unsupported, call.Detail{Status: 488}); got != "unsupported-applications" {
		t.Errorf("488: got %s", got)
	}
}

// reasons | status | Q.850 | Q.850 of BYE | Q.850 of CANCEL
const tableB = `
busy | 486 | 17 | 17 | 16
decline | 603 | 21 | 21 | 16
cancel | 480 | 31 | 16 | 16
success none | 603 | 21 | 16 | 16
expired timeout | 480 | 19 | 102 | 102
gone | 480 | 20 | 16 | 16
alternative-session | 480 | 31 | 31 | 16
connectivity-error failed-transport | 480 | 41 | 41 | 16
failed-application media-error | 488 | 65 | 41 | 16
incompatible-parameters | 488 | 65 | 88 | 16
unsupported-applications unsupported-transports | 488 | 79 | 79 | 16
security-error | 488 | 57 | 57 | 16
general-error application-error whatever | 500 | 41 | 41 | 16`

func TestTableB(t *testing.T) {
	for _, row := range columns(tableB) {
		for _, reason := range row[0] {
			if reason == "none" {
				reason = ""
			}
			c := CauseOfReason(reason)
			status, q850 := StatusOf(c, call.Detail{})
			got := [4]int{status, q850, ByeOf(c, call.Detail{}), CancelOf(c)}
			want := [4]int{number(t, row[1][0]), number(t, row[2][0]), number(t, row[3][0]), number(t, row[4][0])}
			if got != want {
				t.Errorf("%q: got %v, want %v", reason, got, want)
			}
		}
	}
	if got, _ := StatusOf(call.Conflict, call.Detail{}); got != 491 {
		t.Errorf("tie-break: got %d", got)
	}
	// A peer that is gone is 480, 20 before the answer; after it the media is lost.
	if status, q850 := StatusOf(call.Unavailable, call.Detail{}); status != 480 || q850 != 20 {
		t.Errorf("gone: got %d, %d", status, q850)
	}
	if got := ByeOf(call.MediaLost, call.Detail{}); got != 41 {
		t.Errorf("gone after the answer: got %d", got)
	}
	if got := ByeOf(call.Insecure, call.Detail{Q850: 127}); got != 127 {
		t.Errorf("the detail knows better: got %d", got)
	}
}

const tableC = `
bad-request jid-malformed unexpected-request | 400
conflict | 400
feature-not-implemented | 480
gone | 410
internal-server-error | 500
item-not-found | 404
resource-constraint | 480
undefined-condition | 500
not-acceptable | 488
not-authorized registration-required subscription-required | 403
payment-required policy-violation not-allowed forbidden | 403
recipient-unavailable service-unavailable | 480
remote-server-not-found | 404
remote-server-timeout | 504
anything-else | 500`

func TestTableC(t *testing.T) {
	for _, row := range columns(tableC) {
		for _, condition := range row[0] {
			c, d := CauseOfCondition(condition, "")
			status, q850 := StatusOf(c, d)
			if status != number(t, row[1][0]) || q850 != d.Q850 || q850 == 0 {
				t.Errorf("%s: got %d, %d, want %s", condition, status, q850, row[1][0])
			}
		}
	}
	if c, d := CauseOfCondition("conflict", "tie-break"); c != call.Conflict || d.Status != 491 {
		t.Errorf("tie-break: got %s, %+v", c, d)
	}
	if c, d := CauseOfCondition(IQTimeout, ""); c != call.Timeout || d.Status != 408 {
		t.Errorf("IQ timeout: got %s, %+v", c, d)
	}
	if c, d := CauseOfCondition("resource-constraint", ""); RetryAfterOf(c, d) != 30 {
		t.Errorf("resource-constraint: Retry-After %d", RetryAfterOf(c, d))
	}
	if c, d := CauseOfCondition("recipient-unavailable", ""); c != call.Unavailable || d.Q850 != 20 {
		t.Errorf("recipient-unavailable: got %s, %+v", c, d)
	}
	c, d := CauseOfCondition("redirect", "")
	if d.Status != 302 {
		t.Errorf("redirect: got %s, %+v", c, d)
	}
	if status, _ := StatusOf(c, d); status != 480 {
		t.Errorf("redirect without a Contact: got %d", status)
	}
}

func TestTableD(t *testing.T) {
	tests := []struct {
		name   string
		header string
		lost   bool // media was lost before
		reason string
	}{
		{"none", "", false, "success"},
		{"normal", "Q.850;cause=16", false, "success"},
		{"unspecified", "Q.850;cause=31", false, "success"},
		{"SIP 200", `SIP;cause=200;text="Call completed elsewhere"`, false, "success"},
		{"busy", `Q.850 ;cause=17 ;text="User busy"`, false, "busy"},
		{"no user responding", "Q.850;cause=18", false, "timeout"},
		{"no answer", "Q.850;cause=19", false, "timeout"},
		{"timer", "Q.850;cause=102", false, "timeout"},
		{"SIP 408", "SIP;cause=408", false, "timeout"},
		{"rejected", "Q.850;cause=21", false, "decline"},
		{"number changed", "Q.850;cause=22", false, "gone"},
		{"network out of order", "Q.850;cause=38", false, "general-error"},
		{"network out of order, media lost", "Q.850;cause=38", true, "failed-transport"},
		{"temporary failure", "q.850;cause=41", false, "general-error"},
		{"temporary failure, media lost", "Q.850;cause=41", true, "failed-transport"},
		{"congestion, media lost", "Q.850;cause=42", true, "general-error"},
		{"channel", "Q.850;cause=44", false, "general-error"},
		{"resource", "Q.850;cause=47", false, "general-error"},
		{"capability not authorized", "Q.850;cause=57", false, "security-error"},
		{"closed user group", "Q.850;cause=87", false, "security-error"},
		{"capability 58", "Q.850;cause=58", false, "incompatible-parameters"},
		{"capability 65", "Q.850;cause=65", false, "incompatible-parameters"},
		{"capability 69", "Q.850;cause=69", false, "incompatible-parameters"},
		{"capability 70", "Q.850;cause=70", false, "incompatible-parameters"},
		{"capability 79", "Q.850;cause=79", false, "incompatible-parameters"},
		{"capability 88", "Q.850;cause=88", false, "incompatible-parameters"},
		{"protocol error", "Q.850;cause=111", false, "general-error"},
		{"interworking", "Q.850;cause=127", false, "general-error"},
		{"SIP 5xx", "SIP;cause=504", false, "general-error"},
		{"SIP 480", "SIP;cause=480", false, "connectivity-error"},
		{"SIP 481", "SIP;cause=481", false, "connectivity-error"},
		{"unknown protocol", "RELEASE_CAUSE;cause=5", false, "success"},
		{"Q.850 before SIP", "SIP;cause=500, Q.850;cause=17", false, "busy"},
		{"Q.850 of the normal class before SIP", "Q.850;cause=1, SIP;cause=500", false, "success"},
		{"Q.850 of another class before SIP", "Q.850;cause=127, SIP;cause=408", false, "general-error"},
		{"first of a protocol", "Q.850;cause=17, Q.850;cause=16", false, "busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reasons, err := ParseReasons(tt.header)
			if tt.header == "" {
				reasons, err = nil, nil
			}
			if err != nil {
				t.Fatal(err)
			}
			c, d := CauseOfBye(reasons, tt.lost)
			check(t, "reason", ReasonOf(c, d), tt.reason)
		})
	}
}

func TestCauseOfCancel(t *testing.T) {
	tests := []struct {
		name, header string
		cause        call.Cause
		text         string
	}{
		{"none", "", call.Cancelled, ""},
		{"answered elsewhere", `SIP;cause=200;text="Call completed elsewhere"`, call.Elsewhere, "answered elsewhere"},
		{"busy elsewhere", "SIP;cause=600", call.Cancelled, "Busy Everywhere"},
		{"busy", "Q.850;cause=17", call.Cancelled, "user busy"},
		{"in its own words", `SIP;cause=600;text="Im Gespräch"`, call.Cancelled, "Im Gespräch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var reasons []ReasonHeader
			if tt.header != "" {
				var err error
				if reasons, err = ParseReasons(tt.header); err != nil {
					t.Fatal(err)
				}
			}
			c, d := CauseOfCancel(reasons)
			if c != tt.cause || d.Text != tt.text {
				t.Errorf("got %s, %q; want %s, %q", c, d.Text, tt.cause, tt.text)
			}
			check(t, "reason", ReasonOf(c, call.Detail{}), "cancel")
		})
	}
}

const tableE = `
1 2 3 | 404
17 | 486
18 | 408
19 20 | 480
21 | 403
22 | 410
23 | 410
26 | 404
27 | 502
28 | 484
29 79 | 501
31 | 480
34 38 41 42 47 | 503
55 57 87 | 403
58 88 | 503
65 70 | 488
102 | 504
111 127 | 500
4 30 99 128 | 500`

func TestTableE(t *testing.T) {
	for _, row := range columns(tableE) {
		for _, q850 := range row[0] {
			if got := StatusOfQ850(number(t, q850), false); got != number(t, row[1][0]) {
				t.Errorf("%s: got %d, want %s", q850, got, row[1][0])
			}
		}
	}
	if got := StatusOfQ850(21, true); got != 603 {
		t.Errorf("21 by a user: got %d", got)
	}
	if got := StatusOfQ850(16, false); got != 0 {
		t.Errorf("16: got %d", got)
	}
}

// condition | full JID | bare JID
const table61 = `
bad-request | 400 | 400
conflict | 400 | 400
feature-not-implemented | 405 | 501
forbidden | 403 | 603
gone | 410 | 410
internal-server-error | 500 | 500
item-not-found | 404 | 404
jid-malformed | 400 | 400
not-acceptable | 406 | 606
not-allowed | 403 | 403
not-authorized | 403 | 403
policy-violation | 403 | 403
recipient-unavailable | 480 | 480
registration-required | 403 | 403
remote-server-not-found | 404 | 404
remote-server-timeout | 408 | 408
resource-constraint | 500 | 500
service-unavailable | 405 | 403
subscription-required | 400 | 400
undefined-condition | 400 | 400
unexpected-request | 400 | 400
never-heard-of | 500 | 500`

func TestE01ConditionToStatus(t *testing.T) {
	for _, row := range columns(table61) {
		for i, full := range []bool{true, false} {
			if got, _ := StatusOfCondition(row[0][0], Asked{Method: "OPTIONS", Full: full}); got != number(t, row[1+i][0]) {
				t.Errorf("%s, full %v: got %d, want %s", row[0][0], full, got, row[1+i][0])
			}
		}
	}
	tests := []struct {
		name, condition string
		asked           Asked
		status, retry   int
	}{
		{"gone with an address", "gone", Asked{Contact: true}, 301, 0},
		{"redirect with an address", "redirect", Asked{Contact: true}, 302, 0},
		{"redirect without", "redirect", Asked{}, 480, 0},
		{"not found for sure", "item-not-found", Asked{Sure: true}, 604, 0},
		{"a device not found for sure", "item-not-found", Asked{Sure: true, Full: true}, 404, 0},
		{"conflict of a call", "conflict", Asked{Method: "INVITE"}, 491, 0},
		{"unexpected request in a call", "unexpected-request", Asked{Method: "INVITE", Full: true}, 491, 0},
		{"no message service", "service-unavailable", Asked{Method: "MESSAGE"}, 480, 0},
		{"subscription required for presence", "subscription-required", Asked{Method: "SUBSCRIBE"}, 403, 0},
		{"policy, for now", "policy-violation", Asked{Type: "wait"}, 480, 30},
		{"policy, for ever", "policy-violation", Asked{Type: "modify"}, 403, 0},
		{"no resources", "resource-constraint", Asked{Type: "wait"}, 500, 30},
		{"no condition", "", Asked{}, 500, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status, retry := StatusOfCondition(tt.condition, tt.asked); status != tt.status || retry != tt.retry {
				t.Errorf("got %d, %d; want %d, %d", status, retry, tt.status, tt.retry)
			}
		})
	}
}

const table62 = `
300 302 305 399 | redirect | modify
301 410 | gone | cancel
380 406 415 416 421 482 483 488 505 606 | not-acceptable | modify
400 402 493 499 422 | bad-request | modify
401 | not-authorized | auth
403 | forbidden | auth
404 481 484 485 604 | item-not-found | cancel
405 420 439 501 | feature-not-implemented | cancel
407 | registration-required | auth
408 504 | remote-server-timeout | wait
413 414 440 489 513 | policy-violation | modify
423 | resource-constraint | wait
430 480 486 487 600 603 607 699 | recipient-unavailable | wait
491 | unexpected-request | wait
500 503 580 599 | internal-server-error | cancel
502 | remote-server-not-found | cancel`

func TestE02StatusToCondition(t *testing.T) {
	for _, row := range columns(table62) {
		for _, s := range row[0] {
			e, ok := StanzaErrorOf(number(t, s), false)
			if want := (StanzaError{row[1][0], row[2][0]}); !ok || e != want {
				t.Errorf("%s: got %v, want %v", s, e, want)
			}
		}
	}
	tests := []struct {
		name   string
		status int
		later  bool
		want   StanzaError
		ok     bool
	}{
		{"503 with Retry-After", 503, true, StanzaError{"internal-server-error", "wait"}, true},
		{"500 with Retry-After", 500, true, StanzaError{"internal-server-error", "cancel"}, true},
		{"no response", NoResponse, false, StanzaError{"remote-server-timeout", "wait"}, true},
		{"no route", NoRoute, false, StanzaError{"remote-server-not-found", "cancel"}, true},
		{"accepted", 202, false, StanzaError{}, false},
		{"nonsense", 1000, false, StanzaError{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := StanzaErrorOf(tt.status, tt.later); got != tt.want || ok != tt.ok {
				t.Errorf("got %v, %v; want %v", got, ok, tt.want)
			}
		})
	}
	check(t, "text", StanzaErrorText(486, "Busy\r\nHere"), "Busy Here (486)")
	check(t, "text without a phrase", StanzaErrorText(404, ""), "Not Found (404)")
	check(t, "text without a response", StanzaErrorText(NoResponse, ""), "No Response")
}

// conditions are all of RFC 6120 section 8.3.3, and what is none.
var conditions = []string{
	"bad-request", "conflict", "feature-not-implemented", "forbidden", "gone", "internal-server-error",
	"item-not-found", "jid-malformed", "not-acceptable", "not-allowed", "not-authorized", "policy-violation",
	"recipient-unavailable", "redirect", "registration-required", "remote-server-not-found",
	"remote-server-timeout", "resource-constraint", "service-unavailable", "subscription-required",
	"undefined-condition", "unexpected-request", "payment-required", "", "nonsense",
}

// everyStatus calls f with every status that any stanza error gives a SIP request.
func everyStatus(f func(what string, status int)) {
	for _, condition := range conditions {
		for _, method := range []string{"INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS"} {
			for bits := range 16 {
				asked := Asked{Method: method, Full: bits&1 != 0, Contact: bits&2 != 0, Sure: bits&4 != 0}
				if bits&8 != 0 {
					asked.Type = "wait"
				}
				status, _ := StatusOfCondition(condition, asked)
				f(fmt.Sprintf("%s %+v", condition, asked), status)
			}
		}
		for _, jingle := range []string{"", "tie-break"} {
			status, _ := StatusOf(CauseOfCondition(condition, jingle))
			f(condition+" "+jingle, status)
		}
	}
}

func TestE03ServiceUnavailableIsNever503(t *testing.T) {
	everyStatus(func(what string, status int) {
		if status == 503 {
			t.Errorf("%s gives 503", what)
		}
	})
}

func TestE04NeverAChallenge(t *testing.T) {
	never := func(what string, status int) {
		if status == 401 || status == 407 {
			t.Errorf("%s gives %d", what, status)
		}
	}
	everyStatus(never)
	for _, c := range call.Causes() {
		for status := range 700 {
			got, _ := StatusOf(c, call.Detail{Status: status})
			never(fmt.Sprintf("%s after %d", c, status), got)
			if got < 400 || got > 699 {
				t.Errorf("%s after %d gives %d", c, status, got)
			}
		}
	}
}

func TestEveryCauseHasItsRow(t *testing.T) {
	if len(call.Causes()) != len(causeRows) {
		t.Errorf("%d causes, %d rows", len(call.Causes()), len(causeRows))
	}
	for _, c := range call.Causes() {
		row := rowOf(c)
		switch {
		case row.cause != c:
			t.Errorf("%s has no row", c)
		case row.status < 400 || row.status > 699 || row.status == 401 || row.status == 407:
			t.Errorf("%s: status %d", c, row.status)
		case !validQ850(row.bye) || Q850Text(row.bye) == "":
			t.Errorf("%s: Q.850 %d of BYE", c, row.bye)
		case row.reason == "" || row.says[0] == "":
			t.Errorf("%s: no words", c)
		}
	}
	if got := Sentence(call.Cause(200), EN); got != Sentence(call.Failed, EN) {
		t.Errorf("an unknown cause says %q", got)
	}
}

func TestTextIn(t *testing.T) {
	tests := []struct {
		language string
		cause    call.Cause
		detail   call.Detail
		want     string
	}{
		{"", call.Busy, call.Detail{Status: 486, Text: "Busy Here"}, "Busy Here"},
		{"tlh", call.Busy, call.Detail{Status: 486, Text: "Busy Here"}, "Busy Here"},
		{"de-AT", call.Busy, call.Detail{Status: 486, Text: "Busy Here"}, "Die Gegenstelle ist besetzt. (Busy Here)"},
		{"en", call.Incompatible, call.Detail{Status: 488, Text: "Not Acceptable Here"}, "The two sides have no codec in common. (Not Acceptable Here)"},
		{"fr", call.NoAnswer, call.Detail{}, "Personne n’a répondu."},
		{"es", call.Normal, call.Detail{}, ""},
		{"en", call.Busy, call.Detail{}, "The other party is in another call."},
	}
	for _, tt := range tests {
		if got := TextIn(tt.language, tt.cause, tt.detail); got != tt.want {
			t.Errorf("%s in %q: %q, want %q", tt.cause, tt.language, got, tt.want)
		}
	}
}

func TestGoldenCauses(t *testing.T) {
	var b strings.Builder
	b.WriteString("# cause: refusal before the answer; BYE; CANCEL; Jingle reason; in plain words\n")
	for _, c := range call.Causes() {
		status, q850 := StatusOf(c, call.Detail{})
		fmt.Fprintf(&b, "%-16s %d Q.850 %-3d BYE %-3d CANCEL %-3d %-25s %s\n", c, status, q850,
			ByeOf(c, call.Detail{}), CancelOf(c), ReasonOf(c, call.Detail{}), Sentence(c, EN))
	}
	b.WriteString("\n# in other languages\n")
	for _, c := range call.Causes() {
		for l := DE; int(l) < len(Languages); l++ {
			fmt.Fprintf(&b, "%-16s %s %s\n", c, l, Sentence(c, l))
		}
	}
	b.WriteString("\n# A: a final response tells the XMPP caller\n")
	for status := 300; status < 700; status++ {
		if PhraseOf(status) == PhraseOf(status/100*100+99) {
			continue // not in the registry
		}
		c := CauseOfStatus(status, 0)
		d := call.Detail{Status: status, Text: PhraseOf(status)}
		fmt.Fprintf(&b, "%d %-16s %-25s Q.850 %-3d %s\n", status, c, ReasonOf(c, d), statusRowOf(status, 0).q850, TextOf(c, d))
	}
	b.WriteString("\n# A: and with a Q.850 cause, whatever the status\n")
	for q := range 128 {
		if c := CauseOfStatus(499, q); q > 0 && statusRowOf(499, q) != statusRowOf(499, 0) {
			fmt.Fprintf(&b, "%3d %-16s %s\n", q, c, ReasonOf(c, call.Detail{Status: 499, Q850: q}))
		}
	}
	b.WriteString("\n# B: a reason tells the SIP peer\n")
	for _, row := range reasonRows {
		c := CauseOfReason(row.reason)
		status, q850 := StatusOf(c, call.Detail{})
		fmt.Fprintf(&b, "%-25s %-16s %d Q.850 %-3d BYE %-3d CANCEL %d\n", row.reason, c, status, q850, ByeOf(c, call.Detail{}), CancelOf(c))
	}
	b.WriteString("\n# C: an error to our offer tells the SIP caller\n")
	for _, row := range conditionRows {
		c, d := CauseOfCondition(row.condition, "")
		status, q850 := StatusOf(c, d)
		fmt.Fprintf(&b, "%-25s %-16s %d Q.850 %d\n", row.condition, c, status, q850)
	}
	b.WriteString("\n# D: a Reason in a BYE tells the XMPP peer; E: a Q.850 cause as a status\n")
	for q := 1; q < 128; q++ {
		if Q850Text(q) == "" {
			continue
		}
		c, d := CauseOfBye([]ReasonHeader{{Protocol: "Q.850", Cause: q}}, false)
		fmt.Fprintf(&b, "%3d %-16s %-25s %3d %s\n", q, c, ReasonOf(c, d), StatusOfQ850(q, false), Q850Text(q))
	}
	b.WriteString("\n# 6.1: a stanza error as a status, for a full JID and a bare one\n")
	for _, row := range stanzaRows {
		full, _ := StatusOfCondition(row.condition, Asked{Full: true})
		bare, _ := StatusOfCondition(row.condition, Asked{})
		fmt.Fprintf(&b, "%-25s %d %d\n", row.condition, full, bare)
	}
	b.WriteString("\n# phrases\n")
	for status := NoRoute; status < 700; status++ {
		if phrase := PhraseOf(status); phrase != PhraseOf(max(status, 0)/100*100+98) {
			fmt.Fprintf(&b, "%3d %s\n", status, phrase)
		}
	}
	b.WriteString("\n# 6.2: a status as a stanza error\n")
	for status := NoRoute; status < 700; status++ {
		e, ok := StanzaErrorOf(status, false)
		if ok && (status < 300 || PhraseOf(status) != PhraseOf(status/100*100+99)) {
			fmt.Fprintf(&b, "%3d %-25s %s\n", status, e.Condition, e.Type)
		}
	}
	const name = "testdata/causes.golden"
	if golden.Update() {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(gotLines), len(wantLines)) {
			if gotLines[i] != wantLines[i] {
				t.Fatalf("line %d:\ngot  %s\nwant %s", i+1, gotLines[i], wantLines[i])
			}
		}
		t.Fatalf("got %d lines, want %d", len(gotLines), len(wantLines))
	}
}

func TestReasonHeader(t *testing.T) {
	tests := []struct {
		name, in string
		want     []ReasonHeader
		bad      bool
	}{
		{"plain", "Q.850;cause=16", []ReasonHeader{{"Q.850", 16, ""}}, false},
		{"of RFC 3326", `SIP ;cause=200 ;text="Call completed elsewhere"`, []ReasonHeader{{"SIP", 200, "Call completed elsewhere"}}, false},
		{"two", `sip;cause=600, q.850 ; cause = 17`, []ReasonHeader{{"SIP", 600, ""}, {"Q.850", 17, ""}}, false},
		{"separators in text", `SIP;text="a;b,c\"d";cause=480`, []ReasonHeader{{"SIP", 480, `a;b,c"d`}}, false},
		{"control characters in text", "SIP;text=\"a\x01\r\nb\"", []ReasonHeader{{"SIP", 0, "a b"}}, false},
		{"unknown parameter", "SIP;cause=480;x=y;flag", []ReasonHeader{{"SIP", 480, ""}}, false},
		{"another protocol", "X.1;cause=5", []ReasonHeader{{"X.1", 5, ""}}, false},
		{"cause is no number", "SIP;cause=abc", nil, true},
		{"negative cause", "SIP;cause=-1", nil, true},
		{"huge cause", "SIP;cause=99999999999999999999", nil, true},
		{"no protocol", ";cause=5", nil, true},
		{"empty", "", nil, true},
		{"unclosed quote", `SIP;text="abc`, []ReasonHeader{{"SIP", 0, `"abc`}}, false},
		{"backslash at the end", `SIP;text="abc\`, []ReasonHeader{{"SIP", 0, `"abc\`}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseReasons(tt.in)
			if (err != nil) != tt.bad || len(got) != len(tt.want) {
				t.Fatalf("got %v, %v", got, err)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %+v, want %+v", got[i], tt.want[i])
				}
				again, err := ParseReasons(got[i].String())
				if err != nil || len(again) != 1 || again[0] != got[i] {
					t.Errorf("%s came back as %v, %v", got[i], again, err)
				}
			}
		})
	}
	if got, _ := ParseReasons(strings.Repeat("SIP;cause=1,", 1000) + "SIP"); len(got) != maxReasons {
		t.Errorf("got %d values", len(got))
	}
	check(t, "a protocol that is no token", ReasonHeader{Protocol: "SIP\r\nX: y"}.String(), "")
	check(t, "of a response", fmt.Sprint(ResponseReasons(17)), `[Q.850;cause=17;text="user busy"]`)
	check(t, "of no cause", fmt.Sprint(ResponseReasons(0)), "[]")
	check(t, "of a BYE", fmt.Sprint(ByeReasons(call.Timeout, call.Detail{Status: 408})),
		`[Q.850;cause=102;text="recovery on timer expiry" SIP;cause=408;text="Request Timeout"]`)
	check(t, "of a late fork", fmt.Sprint(ByeReasons(call.Elsewhere, call.Detail{})), `[SIP;cause=200;text="Call completed elsewhere"]`)
	check(t, "of a CANCEL", fmt.Sprint(CancelReasons(call.Cancelled)), `[Q.850;cause=16;text="normal call clearing"]`)
	check(t, "of a CANCEL for elsewhere", fmt.Sprint(CancelReasons(call.Elsewhere)), `[SIP;cause=200;text="Call completed elsewhere"]`)
	if q, text := Q850Of([]ReasonHeader{{"SIP", 480, "x"}, {"Q.850", 17, "y"}}); q != 17 || text != "y" {
		t.Errorf("got %d, %q", q, text)
	}
	if q, _ := Q850Of([]ReasonHeader{{"Q.850", 999, ""}}); q != 0 {
		t.Errorf("got %d", q)
	}
}

func TestPhrase(t *testing.T) {
	tests := []struct {
		name   string
		status int
		text   string
		want   string
	}{
		{"text", 480, "not at home", "not at home"},
		{"nothing", 486, "", "Busy Here"},
		{"line ends", 500, "a\r\nVia: x", "a Via: x"},
		{"not ASCII", 404, "gibt’s nicht", "gibts nicht"},
		{"nothing left", 404, "нет", "Not Found"},
		{"too long", 404, strings.Repeat("a", 300), strings.Repeat("a", 80)},
		{"unknown status", 499, "", "Request Failure"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, "phrase", Phrase(tt.status, tt.text), tt.want) })
	}
	check(t, "warning", Warning("x.gw.example", "a \"b\"\r\nc"), `399 x.gw.example "a \"b\" c"`)
}

func TestHeaders(t *testing.T) {
	seen := map[string]bool{}
	for _, h := range Headers() {
		key := strings.ToLower(h.Name)
		if seen[key] || h.Element == "" || h.Section == "" || h.How == "" || h.Way&BothWay == 0 {
			t.Errorf("row %+v is not complete, or stands twice", h)
		}
		seen[key] = true
		if got, ok := HeaderOf(strings.ToUpper(h.Name)); !ok || got != h {
			t.Errorf("%s: got %+v", h.Name, got)
		}
	}
	if h, ok := HeaderOf("Identity"); ok {
		t.Errorf("Identity is carried: %+v", h)
	}
	for w, want := range map[Way]string{ToXMPP: "SIP to XMPP", ToSIP: "XMPP to SIP", BothWay: "both ways", 0: "no way"} {
		check(t, "way", w.String(), want)
	}
}
