package callflow

import "testing"

// Two calls that act at the same moment do so in any order, so these are no golden plays.

func TestProposalsCrossAndTheirsWins(t *testing.T) {
	r := Play(t, fromSIP+`juliet@example.org/balcony: propose audio id=a1 to=otto@sip.gw.example
sip 486`)
	for _, words := range [][]string{
		{"xmpp message", "<retract", "<expired/>", "tie-break", "id='x1'"},
		{"sip 491"},
		{"sip INVITE sip:otto@pbx.example"},
		{"xmpp message", "<reject", "id='a1'", "<busy/>"},
	} {
		if n := len(r.Find(words...)); n != 1 {
			t.Errorf("%d lines with %q, want one, in\n%s", n, words, r.Text)
		}
	}
}

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
