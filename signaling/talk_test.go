package signaling

import (
	"testing"
	"time"
)

// A pair is brisk that writes three times within a minute; what is remembered of pairs has a
// bound.
func TestBriskPairs(t *testing.T) {
	ts := newTalks()
	key := talkKey{"juliet@example.org", "otto@sip.gw.example"}
	start := time.Unix(0, 0)
	for i, want := range []bool{false, false, true, true} {
		if got := ts.writes(key, start.Add(time.Duration(i)*20*time.Second)); got != want {
			t.Errorf("message %d: %v", i+1, got)
		}
	}
	if ts.writes(key, start.Add(10*time.Minute)) {
		t.Error("brisk after a pause")
	}
	for i := range 3 * maxPeers {
		ts.writes(talkKey{string(rune(i)), ""}, start)
	}
	if len(ts.brisk) > maxPeers {
		t.Errorf("%d pairs are remembered", len(ts.brisk))
	}
}

// Names in rooms pass as parameters of URIs, whatever they are.
func TestOccupants(t *testing.T) {
	for _, nick := range []string{"Otto", `A "B" <c>;gr=d`, "Jürgen, the 2nd", "%41"} {
		if got := nickOf(occupant("sip:ops%40rooms.example@x", nick)); got != nick {
			t.Errorf("%q came back as %q", nick, got)
		}
	}
	if nickOf("sip:ops@x") != "" || nickOf("sip:ops@x;gr=%zz") != "" {
		t.Error("a name where there is none")
	}
}
