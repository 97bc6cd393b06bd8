package trace

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func at(ms int) time.Time { return time.Unix(0, int64(ms)*int64(time.Millisecond)) }

func TestTheOldestCallMakesRoom(t *testing.T) {
	r := NewRecorder(2)
	for _, id := range []string{"a", "b", "a", "c"} {
		r.Add(id, Message{Title: id})
	}
	if got := r.Calls(); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("it knows %v", got)
	}
	if got := r.Call("a"); len(got) != 0 {
		t.Errorf("it kept %d messages of a call that had to go", len(got))
	}
}

func TestOneCallCannotFillTheMemory(t *testing.T) {
	r := NewRecorder(1)
	raw := bytes.Repeat([]byte("x"), 10*maxRaw)
	for range 10 * maxMessages {
		r.Add("a", Message{Raw: raw})
	}
	kept := r.Call("a")
	if len(kept) != maxMessages || len(kept[0].Raw) != maxRaw {
		t.Errorf("it kept %d messages of %d octets", len(kept), len(kept[0].Raw))
	}
}

func TestKeptBytesAreItsOwn(t *testing.T) {
	r := NewRecorder(1)
	raw := []byte("INVITE")
	r.Add("a", Message{Raw: raw})
	copy(raw, "******")
	if got := string(r.Call("a")[0].Raw); got != "INVITE" {
		t.Errorf("what was kept is now %q", got)
	}
}

func TestLadder(t *testing.T) {
	got := Ladder([]Message{
		{Lane: "xmpp", Sent: true, Title: "propose", Time: at(3)},
		{Lane: "sip", Title: "INVITE", Time: at(1)},
		{Lane: "sip", Sent: true, Title: "100 Trying", Time: at(2)},
		{Lane: "xmpp", Title: strings.Repeat("ü", 80), Time: at(1500)},
	})
	want := strings.Join([]string{
		fmt.Sprintf("%9s  %-35s%-35s%s", "ms", "SIP", "gateway", "XMPP"),
		"      0.0  |-INVITE-------------------------->|                                  |",
		"      1.0  |<----------------------100 Trying-|                                  |",
		"      2.0  |                                  |-propose------------------------->|",
		"   1499.0  |                                  |<--" + strings.Repeat("ü", 29) + "…-|",
		"",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLadderOfNothing(t *testing.T) {
	if got := Ladder(nil); got != "no messages\n" {
		t.Errorf("got %q", got)
	}
}
