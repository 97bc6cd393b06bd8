package main

import "testing"

// What happens in a session that is up, as the XMPP side sees it.

func checkTones(t *testing.T) {
	r := play(t, lateAnswered+"juliet@example.org/balcony: presses 5 160\njuliet@example.org/balcony: session-terminate success\nsip 200 for BYE")
	r.one("xmpp iq error", "not-acceptable")
	r.none("media digit")
	r = play(t, propose+`sip 200 sdp=g711
	juliet@example.org/balcony: session-initiate jingle=audio-without-tones
	juliet@example.org/balcony: presses 5 160
	juliet@example.org/balcony: presses #
	juliet@example.org/balcony: presses 0 0
	juliet@example.org/balcony: presses F
	juliet@example.org/balcony: session-terminate success
	sip 200 for BYE
	`)
	r.order(r.one("media digit 5 160ms for leg B"), r.one("media digit # 100ms for leg B"))
	r.count(2, "media digit")
	r.one("xmpp iq error", "feature-not-implemented")
}
