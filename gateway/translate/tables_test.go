package translate

import (
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
)

// What the tables must say, in another order than theirs, so that a slip in one is seen.

// cause | status before the answer | its Q.850 cause | Q.850 cause of the BYE | reason
const ends = `
normal | 603 | 21 | 16 | success
cancelled | 480 | 31 | 16 | cancel
busy | 486 | 17 | 17 | busy
declined | 603 | 21 | 21 | decline
rejected | 480 | 21 | 21 | decline
no_answer | 480 | 19 | 102 | timeout
elsewhere | 480 | 31 | 16 | cancel
transferred | 480 | 31 | 16 | success
not_found | 404 | 1 | 1 | general-error
gone | 410 | 22 | 22 | gone
moved | 480 | 31 | 31 | general-error
incomplete | 484 | 28 | 28 | general-error
unavailable | 480 | 20 | 16 | timeout
forbidden | 403 | 21 | 21 | decline
unauthorized | 403 | 21 | 21 | general-error
incompatible | 488 | 65 | 88 | incompatible-parameters
unsupported | 488 | 79 | 79 | unsupported-applications
insecure | 488 | 57 | 57 | security-error
timeout | 480 | 19 | 102 | timeout
unreachable | 503 | 41 | 41 | connectivity-error
media_lost | 480 | 41 | 41 | connectivity-error
transport_failed | 480 | 41 | 41 | failed-transport
app_failed | 488 | 65 | 41 | failed-application
overloaded | 503 | 42 | 42 | general-error
loop | 482 | 25 | 25 | general-error
bad_request | 400 | 41 | 41 | general-error
conflict | 491 | - | 41 | general-error
out_of_sequence | 500 | 41 | 41 | general-error
failed | 500 | 41 | 41 | general-error`

// cause | the statuses that mean it
const statusCauses = `
moved | 399 300 301 302 305
failed | 499 599 380 422 425 429 469 470 489 500 502 505 513 555
declined | 699 603 607 608
bad_request | 400 413 414 416 420 421 423
unauthorized | 401 407
forbidden | 402 403 433
not_found | 404 604
unsupported | 405 406 415 501
timeout | 408 504
gone | 410
insecure | 424 428 436 437 438 493 494
unreachable | 430
unavailable | 480
out_of_sequence | 481
loop | 482 483
incomplete | 484 485
busy | 486 600
cancelled | 487
incompatible | 488 606
conflict | 491
overloaded | 503
transport_failed | 580`

// Q.850 cause in the Reason of a failure | cause | reason
const overrides = `
1 | not_found | general-error
17 | busy | busy
19 | no_answer | timeout
21 | declined | decline
38 | failed | general-error
41 | failed | general-error
42 | overloaded | general-error`

// conditions | cause | status | Q.850 cause
const conditionCauses = `
bad-request jid-malformed unexpected-request conflict | bad_request | 400 | 41
feature-not-implemented | unavailable | 480 | 31
gone | gone | 410 | 22
internal-server-error undefined-condition | failed | 500 | 41
item-not-found remote-server-not-found | not_found | 404 | 1
resource-constraint | overloaded | 480 | 42
not-acceptable | incompatible | 488 | 31
not-authorized registration-required subscription-required payment-required policy-violation not-allowed forbidden | forbidden | 403 | 21
recipient-unavailable service-unavailable | unavailable | 480 | 20
redirect | moved | 302 | -
remote-server-timeout | timeout | 504 | 102
(IQ_timeout) | timeout | 408 | 102`

// cause | the Q.850 causes of a BYE that mean it, all of them
const byeCauses = `
normal | 1-16 20 23-31
busy | 17
timeout | 18-19 102
declined | 21
gone | 22
failed | 32-56 59-64 66-68 71-78 80-86 89-101 103-127
insecure | 57 87
incompatible | 58 65 69-70 79 88`

// status | the Q.850 causes that give it, all but 16
const q850Statuses = `
404 | 1-3 26
500 | 4-15 24-25 30 32-33 35-37 39-40 43-46 48-54 56 59-64 66-69 71-78 80-86 89-101 103-127
486 | 17
408 | 18
480 | 19-20 31
403 | 21 55 57 87
410 | 22-23
502 | 27
484 | 28
501 | 29 79
503 | 34 38 41-42 47 58 88
488 | 65 70
504 | 102`

func cause(t *testing.T, name string) call.Cause {
	t.Helper()
	c, ok := call.ParseCause(name)
	if !ok {
		t.Fatalf("no cause %q", name)
	}
	return c
}

// numbers calls f with each number in fields such as 1-3 and 7.
func numbers(t *testing.T, fields []string, f func(int)) {
	t.Helper()
	for _, field := range fields {
		from, to, _ := strings.Cut(field, "-")
		if to == "" {
			to = from
		}
		for n := number(t, from); n <= number(t, to); n++ {
			f(n)
		}
	}
}

func TestEnds(t *testing.T) {
	rows := columns(ends)
	if len(rows) != len(call.Causes()) {
		t.Errorf("%d rows for %d causes", len(rows), len(call.Causes()))
	}
	for _, row := range rows {
		c := cause(t, row[0][0])
		status, q850 := StatusOf(c, call.Detail{})
		got := [3]int{status, q850, ByeOf(c, call.Detail{})}
		if want := [3]int{number(t, row[1][0]), number(t, row[2][0]), number(t, row[3][0])}; got != want {
			t.Errorf("%s: got %v, want %v", c, got, want)
		}
		if got := ReasonOf(c, call.Detail{}); got != row[4][0] {
			t.Errorf("%s: got %s, want %s", c, got, row[4][0])
		}
	}
}

func TestStatusCauses(t *testing.T) {
	known := map[int]bool{}
	for _, row := range columns(statusCauses) {
		numbers(t, row[1], func(status int) {
			known[status] = true
			if got := CauseOfStatus(status, 0); got != cause(t, row[0][0]) {
				t.Errorf("%d: got %s, want %s", status, got, row[0][0])
			}
		})
	}
	for status := 300; status < 700; status++ {
		if class := status/100*100 + 99; !known[status] && statusRowOf(status, 0) != statusRowOf(class, 0) {
			t.Errorf("%d has a row of its own", status)
		}
	}
	for status := 300; status < 700; status++ {
		want, own := map[int]string{
			401: "gateway not authorised", 407: "gateway not authorised", 404: "no such user", 604: "no such user",
			482: "loop", 483: "loop", 484: "incomplete number", 485: "ambiguous number",
		}[status]
		if !own {
			want = "said"
		}
		if got := TextOf(CauseOfStatus(status, 0), call.Detail{Status: status, Text: "said"}); got != want {
			t.Errorf("%d says %q, want %q", status, got, want)
		}
	}
	for _, row := range columns(overrides) {
		q850 := number(t, row[0][0])
		want := "said (" + Q850Text(q850) + ")"
		if q850 == 1 {
			want = "no such user (" + Q850Text(q850) + ")"
		}
		if got := TextOf(cause(t, row[1][0]), call.Detail{Status: 499, Q850: q850, Text: "said"}); got != want {
			t.Errorf("with %d it says %q, want %q", q850, got, want)
		}
		if got := CauseOfStatus(499, q850); got != cause(t, row[1][0]) {
			t.Errorf("with %d: got %s, want %s", q850, got, row[1][0])
		}
		if got := ReasonOf(cause(t, row[1][0]), call.Detail{Status: 499, Q850: q850}); got != row[2][0] {
			t.Errorf("with %d: got %s, want %s", q850, got, row[2][0])
		}
	}
	if overridden := len(columns(overrides)); overridden != len(overrideRows) {
		t.Errorf("%d causes override, want %d", len(overrideRows), overridden)
	}
}

// cause | the reasons that mean it
const reasonCauses = `
busy | busy
declined | decline
cancelled | cancel
normal | success -
timeout | expired timeout
unavailable | gone
moved | alternative-session
media_lost | connectivity-error
transport_failed | failed-transport
app_failed | failed-application media-error
incompatible | incompatible-parameters
unsupported | unsupported-applications unsupported-transports
insecure | security-error
failed | general-error never-heard-of`

func TestReasonCauses(t *testing.T) {
	for _, row := range columns(reasonCauses) {
		for _, reason := range row[1] {
			if got := CauseOfReason(strings.TrimPrefix(reason, "-")); got != cause(t, row[0][0]) {
				t.Errorf("%s: got %s, want %s", reason, got, row[0][0])
			}
		}
	}
}

func TestConditionCauses(t *testing.T) {
	known := map[string]bool{}
	for _, row := range columns(conditionCauses) {
		for _, condition := range row[0] {
			condition = strings.ReplaceAll(condition, "_", " ")
			known[condition] = true
			c, d := CauseOfCondition(condition, "")
			if c != cause(t, row[1][0]) || d.Status != number(t, row[2][0]) || d.Q850 != number(t, row[3][0]) {
				t.Errorf("%s: got %s, %+v", condition, c, d)
			}
		}
	}
	for _, row := range conditionRows {
		if !known[row.condition] {
			t.Errorf("%s has a row", row.condition)
		}
	}
}

func TestByeCauses(t *testing.T) {
	for _, row := range columns(byeCauses) {
		numbers(t, row[1], func(q850 int) {
			if got, _ := CauseOfBye([]ReasonHeader{{Protocol: "Q.850", Cause: q850}}, false); got != cause(t, row[0][0]) {
				t.Errorf("%d: got %s, want %s", q850, got, row[0][0])
			}
		})
	}
	// Of SIP, what no row has is as if the call had been refused so.
	for status := 100; status < 700; status++ {
		want := CauseOfStatus(status, 0)
		switch {
		case status < 300:
			want = call.Normal
		case status == 408:
			want = call.Timeout
		case status == 480, status == 481:
			want = call.Unreachable
		case status/100 == 5:
			want = call.Failed
		}
		if got, _ := CauseOfBye([]ReasonHeader{{Protocol: "SIP", Cause: status}}, false); got != want {
			t.Errorf("SIP %d: got %s, want %s", status, got, want)
		}
	}
	for _, q850 := range []int{0, 128} {
		if got, _ := CauseOfBye([]ReasonHeader{{Protocol: "Q.850", Cause: q850}}, false); got != call.Normal {
			t.Errorf("%d: got %s", q850, got)
		}
	}
	if got, _ := CauseOfBye([]ReasonHeader{{Protocol: "SIP", Cause: 99}}, false); got != call.Failed {
		t.Errorf("SIP 99: got %s", got)
	}
}

func TestQ850Statuses(t *testing.T) {
	for _, row := range columns(q850Statuses) {
		numbers(t, row[1], func(q850 int) {
			if got := StatusOfQ850(q850, false); got != number(t, row[0][0]) {
				t.Errorf("%d: got %d, want %s", q850, got, row[0][0])
			}
		})
	}
}

// Beside what a full and a bare JID get, few conditions have a status of their own.
func TestExceptionsOfConditions(t *testing.T) {
	type key struct{ condition, when string }
	exceptions := map[key]int{
		{"gone", "contact"}:                    301,
		{"redirect", "contact"}:                302,
		{"item-not-found", "sure"}:             604,
		{"conflict", "INVITE"}:                 491,
		{"unexpected-request", "INVITE"}:       491,
		{"service-unavailable", "MESSAGE"}:     480,
		{"subscription-required", "SUBSCRIBE"}: 403,
		{"policy-violation", "wait"}:           480,
	}
	waits := map[string][2]int{"policy-violation": {0, 30}, "resource-constraint": {30, 30}}
	for _, row := range stanzaRows {
		usual, _ := StatusOfCondition(row.condition, Asked{Method: "OPTIONS"})
		for when, asked := range map[string]Asked{
			"contact": {Contact: true}, "sure": {Sure: true}, "INVITE": {Method: "INVITE"},
			"MESSAGE": {Method: "MESSAGE"}, "SUBSCRIBE": {Method: "SUBSCRIBE"}, "wait": {Type: "wait"},
		} {
			want, retry := usual, waits[row.condition][0]
			if own, is := exceptions[key{row.condition, when}]; is {
				want = own
			}
			if when == "wait" {
				retry = waits[row.condition][1]
			}
			if got, after := StatusOfCondition(row.condition, asked); got != want || after != retry {
				t.Errorf("%s, %s: got %d, %d; want %d, %d", row.condition, when, got, after, want, retry)
			}
		}
	}
	for _, full := range []bool{true, false} {
		if got, _ := StatusOfCondition("redirect", Asked{Full: full}); got != 480 {
			t.Errorf("redirect, full %v: got %d", full, got)
		}
	}
}
