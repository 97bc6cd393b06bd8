package trace

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A flood of calls that are refused pushes out no call, takes little room, and tells nobody; a
// sample of it stays, and what comes after it.
func TestAFloodOfRefusals(t *testing.T) {
	told := 0
	r := NewRecorder(Limits{Calls: 2, Octets: 1 << 20}, func(string, Message) { told++ })
	r.Begin("call", at(0))
	r.Add("call", Message{Lane: "sip", Title: "INVITE", Raw: "INVITE"})
	told = 0
	long := strings.Repeat("x", 64<<10)
	const flood = 1000 // within ten seconds
	kept := map[string]bool{}
	for i := range flood {
		id := fmt.Sprint(Refused, i)
		if r.Refuse(id, at(10*i)) {
			kept[id] = true
		}
		for range 20 {
			r.Add(id, Message{Lane: "sip", Title: "INVITE", Raw: long})
		}
	}
	if n := len(kept); n != refusedBurst+9 {
		t.Errorf("%d are kept", n)
	}
	if told > 20*len(kept) {
		t.Errorf("%d messages are told", told)
	}
	if n := r.Octets(); n > maxRefused*maxRefusedOctets+4096 {
		t.Errorf("they take %d octets", n)
	}
	for id := range kept {
		c, ok := r.Call(id)
		if !ok || len(c.Messages) != 3 || c.Left != 17 || len(c.Messages[0].Raw) > maxRefusedRaw || c.Ended.IsZero() {
			t.Errorf("of %s there are %d messages, %d are left out", id, len(c.Messages), c.Left)
		}
	}
	if _, ok := r.Call("call"); !ok {
		t.Error("the call is gone")
	}
	if ids := r.Calls(); len(ids) != 1 {
		t.Errorf("there are %v", ids)
	}

	for i := range 2 * maxRefused { // slowly, all are kept, and the oldest go
		if !r.Refuse(fmt.Sprint(Refused, "slow", i), at(10*flood).Add(time.Duration(i)*refusedEvery)) && i > 0 {
			t.Fatalf("the %dth is not kept", i)
		}
	}
	if n := len(r.refused.all); n != maxRefused {
		t.Errorf("%d are kept", n)
	}
	if _, ok := r.Call(fmt.Sprint(Refused, 0)); ok {
		t.Error("the first is kept for ever")
	}
	octets := 0
	for _, c := range r.refused.all {
		octets += c.octets
	}
	if octets != r.refused.octets {
		t.Errorf("%d octets are counted, of %d", r.refused.octets, octets)
	}
}
