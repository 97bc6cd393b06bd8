package msrp

import (
	"strings"
	"testing"
	"time"
)

func chunk(id string, r Range, body string, flag byte) *Message {
	return &Message{MessageID: id, Range: r, Body: []byte(body), Flag: flag, Type: "text/plain", Holds: true}
}

func TestAssembly(t *testing.T) {
	type step struct {
		m      *Message
		status int
		whole  string // "-" for nothing yet
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"in one piece", []step{{chunk("a", Range{1, 5, 5}, "hello", '$'), 200, "hello"}}},
		{"without a range", []step{{chunk("a", Range{}, "hello", '$'), 200, "hello"}}},
		{"in two pieces", []step{
			{chunk("a", Range{1, 3, 5}, "hel", '+'), 200, "-"},
			{chunk("a", Range{4, 5, 5}, "lo", '$'), 200, "hello"},
		}},
		{"the second first", []step{
			{chunk("a", Range{4, 5, 5}, "lo", '$'), 200, "-"},
			{chunk("a", Range{1, 3, 5}, "hel", '+'), 200, "hello"},
		}},
		{"pieces that overlap", []step{
			{chunk("a", Range{1, 4, 5}, "hell", '+'), 200, "-"},
			{chunk("a", Range{3, 5, 5}, "llo", '$'), 200, "hello"},
		}},
		{"of a length that is known at the end", []step{
			{chunk("a", Range{1, unknown, unknown}, "hel", '+'), 200, "-"},
			{chunk("a", Range{4, unknown, unknown}, "lo", '$'), 200, "hello"},
		}},
		{"two at once", []step{
			{chunk("a", Range{1, 3, 5}, "hel", '+'), 200, "-"},
			{chunk("b", Range{1, 2, 2}, "hi", '$'), 200, "hi"},
			{chunk("a", Range{4, 5, 5}, "lo", '$'), 200, "hello"},
		}},
		{"that is given up", []step{
			{chunk("a", Range{1, 3, 5}, "hel", '+'), 200, "-"},
			{chunk("a", Range{4, unknown, 5}, "", '#'), 200, "-"},
			{chunk("a", Range{4, 5, 5}, "lo", '$'), 200, "-"},
		}},
		{"larger than it said", []step{
			{chunk("a", Range{1, unknown, unknown}, strings.Repeat("x", 60), '+'), 200, "-"},
			{chunk("a", Range{61, unknown, unknown}, strings.Repeat("x", 60), '+'), 413, "-"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := assembly{limit: 100}
			for i, s := range tt.steps {
				body, whole, status := a.add(s.m, false, time.Unix(0, 0))
				got := string(body)
				if !whole {
					got = "-"
				}
				if status != s.status || got != s.whole {
					t.Errorf("step %d: %d %q, want %d %q", i+1, status, got, s.status, s.whole)
				}
			}
			if tt.name != "that is given up" && len(a.parts) != 0 {
				t.Errorf("%d are left", len(a.parts))
			}
		})
	}
}

// What is too large is refused by its head, before any of it has come.
func TestAssemblyCheck(t *testing.T) {
	a := assembly{limit: 100}
	for _, tt := range []struct {
		r      Range
		status int
	}{{Range{1, 100, 100}, 200}, {Range{1, 10, 101}, 413}, {Range{101, unknown, unknown}, 200}, {Range{102, unknown, unknown}, 413}, {Range{50, 101, unknown}, 413}} {
		if got := a.check(&Message{Range: tt.r}); got != tt.status {
			t.Errorf("%v: %d, want %d", tt.r, got, tt.status)
		}
	}
}

// A peer cannot have us keep more than a few messages that never end, nor a chunk for each
// octet of one.
func TestAssemblyBounds(t *testing.T) {
	a := assembly{limit: 1000}
	now := time.Unix(0, 0)
	for i := range 20 {
		_, _, status := a.add(chunk(string(rune('a'+i)), Range{1, 1, 9}, "x", '+'), false, now)
		if want := map[bool]int{true: 200, false: 413}[i < maxPartial]; status != want {
			t.Errorf("message %d: %d, want %d", i, status, want)
		}
	}
	if _, _, status := a.add(chunk("z", Range{1, 1, 9}, "x", '+'), false, now.Add(time.Minute)); status != 200 {
		t.Errorf("after a minute: %d", status)
	}
	for i := int64(1); i < 999; i += 2 {
		a.add(chunk("z", Range{i, i, 999}, "x", '+'), false, now.Add(time.Minute))
	}
	if n := len(a.parts["z"].have); n > 65 {
		t.Errorf("%d pieces are kept", n)
	}
}
