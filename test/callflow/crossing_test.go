package callflow

import "testing"

// Calls that act at the same moment do so in any order, so this is no golden play.

func TestFifthCallOfOnePersonIsRefused(t *testing.T) {
	script := ""
	for _, caller := range []string{"a", "b", "c", "d", "e"} {
		script += "sip INVITE sip:juliet%40example.org@x.gw.example 'From: <sip:" + caller + "@pbx.example>;tag=1' sdp=g711\n"
	}
	r := Play(t, script+"wait 185s")
	for n, words := range map[int][]string{4: {"<propose"}, 1: {"sip 486", "e@pbx.example"}} {
		if got := len(r.Find(words...)); got != n {
			t.Errorf("%d lines with %q, want %d, in\n%s", got, words, n, r.Text)
		}
	}
	if got := len(r.Find("= call ended no_answer")); got != 4 {
		t.Errorf("%d calls ended without an answer, want 4, in\n%s", got, r.Text)
	}
}
