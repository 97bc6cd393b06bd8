package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func at(ms int) time.Time { return time.Unix(0, int64(ms)*int64(time.Millisecond)) }

// kept returns what a recorder keeps of a call.
func kept(t *testing.T, r *Recorder, id string) Recording {
	t.Helper()
	c, ok := r.Call(id)
	if !ok {
		t.Fatalf("nothing is kept of %s", id)
	}
	return c
}

func TestTheOldestCallMakesRoom(t *testing.T) {
	r := NewRecorder(Limits{Calls: 2}, nil)
	for _, id := range []string{"a", "b", "a", "c"} {
		r.Begin(id, at(0))
		r.Add(id, Message{Title: id})
	}
	if got := r.Calls(); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("it knows %v", got)
	}
	r.Add("a", Message{Title: "late"})
	if _, ok := r.Call("a"); ok {
		t.Error("a late message has begun a call anew that had to go")
	}
}

func TestCallsThatLiveStayLongest(t *testing.T) {
	r := NewRecorder(Limits{Calls: 3}, nil)
	for _, id := range []string{"lives", "b", "c"} {
		r.Begin(id, at(0))
	}
	r.End("b", at(1))
	r.End("c", at(2))
	r.Begin("d", at(3))
	r.Begin("e", at(3))
	if got := r.Calls(); !slices.Equal(got, []string{"lives", "d", "e"}) {
		t.Errorf("it knows %v", got)
	}
}

func TestOneCallCannotFillTheMemory(t *testing.T) {
	r := NewRecorder(Limits{Calls: 1}, nil)
	r.Begin("a", at(0))
	raw := strings.Repeat("x", 10*maxRaw)
	for range 10 * maxParts {
		r.Add("a", Message{Raw: raw})
	}
	c := kept(t, r, "a")
	if len(c.Messages) != maxOctets/maxRaw-1 || len(c.Messages[0].Raw) != maxRaw {
		t.Errorf("it kept %d messages of %d octets", len(c.Messages), len(c.Messages[0].Raw))
	}
	if got := len(c.Messages) + c.Left; got != 10*maxParts {
		t.Errorf("it has counted %d messages", got)
	}
	for range 10 * maxParts {
		r.Mark("a", Mark{})
		r.Step("a", Step{})
	}
	if c = kept(t, r, "a"); len(c.Messages)+len(c.Marks)+len(c.Steps) != maxParts && r.Octets() < maxOctets-2*overhead {
		t.Errorf("it kept %d parts of %d octets", len(c.Messages)+len(c.Marks)+len(c.Steps), r.Octets())
	}
}

// Whatever is added, the memory that all calls take stays within its bound, and what is
// counted is what is there.
func TestAllCallsStayWithinTheirMemory(t *testing.T) {
	const limit = 4 * maxOctets
	r := NewRecorder(Limits{Calls: 1000, Octets: limit}, nil)
	for i := range 300 {
		id := fmt.Sprint("c", i)
		r.Begin(id, at(i))
		for k := range i % 40 {
			r.Add(id, Message{Raw: strings.Repeat("x", 100*k), Title: "INVITE"})
		}
		if i%3 == 0 {
			r.End(id, at(i))
		}
		if r.Octets() > limit {
			t.Fatalf("%d octets after call %d", r.Octets(), i)
		}
	}
	if n := len(r.Calls()); n < 3 || n == 300 {
		t.Errorf("%d calls are kept", n)
	}
	for _, id := range r.Calls() {
		r.Drop(id)
	}
	if r.Octets() != 0 {
		t.Errorf("%d octets of no call", r.Octets())
	}
}

func TestLadder(t *testing.T) {
	got := Ladder(Recording{
		Messages: []Message{
			{Lane: "xmpp", Sent: true, Title: "propose", Time: at(3)},
			{Lane: "sip", Title: "INVITE", Time: at(1)},
			{Lane: "sip", Sent: true, Title: "100 Try\x1bing", Time: at(2)},
			{Lane: "xmpp", Title: strings.Repeat("ü", 80), Time: at(1500)},
		},
		Marks: []Mark{{Time: at(1400), Lane: "xmpp", Text: "media up"}, {Time: at(1600), Text: "ended: normal"}},
		Left:  2,
	})
	want := strings.Join([]string{
		fmt.Sprintf("%10s %9s  %-35s%-35s%s", "ms", "+ms", "SIP", "gateway", "XMPP"),
		"       0.0       0.0  |-INVITE-------------------------->|                                  |",
		"       1.0       1.0  |<---------------------100 Try?ing-|                                  |",
		"       2.0       1.0  |                                  |-propose------------------------->|",
		"    1399.0    1397.0  * xmpp media up",
		"    1499.0     100.0  |                                  |<--" + strings.Repeat("ü", 29) + "…-|",
		"    1599.0     100.0  * ended: normal",
		"and 2 more, for which there was no room",
		"",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := Ladder(Recording{}); got != "nothing is kept of it\n" {
		t.Errorf("of nothing: %q", got)
	}
}
