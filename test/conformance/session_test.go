package main

import (
	"strings"
	"testing"
)

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

// hangUpByX ends a call from the XMPP side.
const hangUpByX = "juliet@example.org/balcony: session-terminate success\nsip 200 for BYE"

func checkTieOfChanges(t *testing.T) {
	// The gateway is the initiator: its change goes first.
	r := play(t, answered+`results off
	sip INVITE sdp=g711-held
	juliet@example.org/balcony: content-modify jingle=only-responder
	juliet@example.org/balcony: result
	juliet@example.org/balcony: result
	results on
	sip ACK
	sip BYE
	`)
	r.one("xmpp iq error", "<conflict", "<tie-break")
	r.none("sip INVITE")
	// The client is: its own goes first, and reaches the SIP side.
	r = play(t, lateAnswered+`results off
	sip INVITE sdp=g711-held
	sip ACK
	juliet@example.org/balcony: content-modify jingle=only-initiator
	juliet@example.org/balcony: result
	juliet@example.org/balcony: error conflict with='<tie-break xmlns="urn:xmpp:jingle:errors:1"/>'
	results on
	sip 200 sdp=g711-inactive
	sip BYE
	`)
	r.none("xmpp iq error", "<tie-break")
	if again := r.Find("sip INVITE", "a=sendonly"); len(again) == 0 {
		t.Errorf("the client's hold is lost:\n%s", r.Text)
	}
}

func checkHoldByX(t *testing.T) {
	for _, tt := range []struct{ name, up, hold, resume string }{
		{"by session-info", lateAnswered, "session-info hold", "session-info active"},
		{"by senders of the initiator", lateAnswered, "content-modify jingle=only-initiator", "content-modify jingle=both"},
		{"by senders of the responder", answered, "content-modify jingle=only-responder", "content-modify jingle=both"},
		{"by session-info of who was called", answered, "session-info hold", "session-info unhold"},
	} {
		r := play(t, tt.up+"juliet@example.org/balcony: "+tt.hold+"\nsip 200 sdp=g711-follows-hold\n"+
			"juliet@example.org/balcony: "+tt.resume+"\nsip 200 sdp=g711\n"+hangUpByX)
		held := r.one("sip INVITE", "a=sendonly")
		if n := strings.Count(held.Raw, "\nm="); n != strings.Count(held.Raw, "a=sendonly") {
			t.Errorf("%s: not every m-line is held:\n%s", tt.name, held.Raw)
		}
		all := r.Find("sip INVITE", "a=sendrecv")
		if len(all) == 0 || r.index(all[len(all)-1]) < r.index(held) {
			t.Errorf("%s: the call is not taken back:\n%s", tt.name, r.Text)
		}
	}
}

func checkHoldByS(t *testing.T) {
	for _, tt := range []struct{ name, up, sdp, senders string }{
		{"sendonly, as initiator", answered, "g711-held", "initiator"},
		{"sendonly, as responder", lateAnswered, "g711-held", "responder"},
		{"inactive", answered, "g711-inactive", "none"},
		{"an address of zeros", answered, "g711-held-old", "initiator"},
	} {
		r := play(t, tt.up+"sip INVITE sdp="+tt.sdp+"\nsip ACK\nsip INVITE sdp=g711\nsip ACK\n"+hangUpByX)
		modify := r.count(2, "content-modify")
		held := only(t, stanzaOf(t, modify[0].Raw), "jingle").Child("urn:xmpp:jingle:1", "content")
		equal(t, tt.name, held.Attr("senders"), tt.senders)
		resumed := only(t, stanzaOf(t, modify[1].Raw), "jingle").Child("urn:xmpp:jingle:1", "content")
		equal(t, tt.name+", taken back", resumed.Attr("senders"), "both")
		r.order(modify[0], r.one("session-info", "<hold"), modify[1], r.one("session-info", "<active"))
	}
}

func checkHoldByBoth(t *testing.T) {
	r := play(t, lateAnswered+`juliet@example.org/balcony: content-modify jingle=only-initiator
	sip 200 sdp=g711-follows-hold
	sip INVITE sdp=g711-held
	sip ACK
	`+hangUpByX)
	r.one("sip 200", "a=inactive")
	r.one("content-modify", "senders='none'")
	// The SIP side first: what it answers to our hold makes it inactive.
	r = play(t, lateAnswered+`sip INVITE sdp=g711-held
	sip ACK
	juliet@example.org/balcony: session-info hold
	sip 200 sdp=g711-inactive
	sip INVITE sdp=g711
	sip ACK
	`+hangUpByX)
	r.one("sip INVITE", "a=sendonly")
	r.one("sip 200", "a=sendonly") // the SIP side takes the call back, and X still holds
}

func checkVideoAdded(t *testing.T) {
	add := "with video\n" + lateAnswered + "juliet@example.org/balcony: content-add jingle=video\n"
	r := play(t, add+"sip 200 sdp=g711-vp8\n"+hangUpByX)
	accept := r.one("content-accept")
	r.order(r.one("sip INVITE", "\nm=video 4"), accept)
	c := only(t, stanzaOf(t, accept.Raw), "jingle").Child("urn:xmpp:jingle:1", "content")
	equal(t, "the name", c.Attr("name"), "1")
	equal(t, "the creator", c.Attr("creator"), "initiator")
	r.none("content-reject")
	for _, answer := range []string{"sip 200 sdp=g711-no-video", "sip 488"} {
		r = play(t, add+answer+"\nwait 11s\nsip 200 sdp=g711-no-video\n"+hangUpByX)
		reject := r.one("content-reject", "<unsupported-applications")
		r.order(r.one("sip INVITE", "\nm=video 4"), reject)
		r.none("content-accept")
	}
	// Where the operator wants none, the SIP side is not asked.
	r = play(t, lateAnswered+"juliet@example.org/balcony: content-add jingle=video\n"+hangUpByX)
	r.one("content-reject", "<unsupported-applications")
	r.one("sip INVITE")
}

func checkSlotStays(t *testing.T) {
	r := play(t, "with video\n"+lateAnswered+`juliet@example.org/balcony: content-add jingle=video
	sip 200 sdp=g711-vp8
	juliet@example.org/balcony: content-remove jingle=video-named
	sip 200 sdp=g711-no-video
	juliet@example.org/balcony: session-info hold
	sip 200 sdp=g711-no-video
	juliet@example.org/balcony: content-add jingle=video
	sip 200 sdp=g711-vp8
	`+hangUpByX)
	invites := r.Find("sip INVITE", "\nm=video ")
	if len(invites) < 4 {
		t.Fatalf("%d offers with video:\n%s", len(invites), r.Text)
	}
	for i, port := range []string{"4", "0 ", "0 ", "4"} {
		if raw := invites[i].Raw; strings.Count(raw, "\nm=") != 2 || !strings.Contains(raw, "\nm=video "+port) {
			t.Errorf("offer %d is\n%s", i+1, raw)
		}
	}
	// The other way: port 0 takes the content away, and the last one ends the session.
	r = play(t, "with video\n"+initiateBoth+`sip 200 sdp=g711-vp8
	sip INVITE sdp=g711-no-video
	sip ACK
	`+hangUpByX)
	remove := only(t, stanzaOf(t, r.one("content-remove").Raw), "jingle").Child("urn:xmpp:jingle:1", "content")
	equal(t, "what is removed", remove.Attr("name"), "1")
	r.one("sip 200", "Cseq: 1 INVITE", "\nm=video 0 ")
}

// initiateBoth is a call from X with video.
const initiateBoth = "juliet@example.org/balcony: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio-and-video\n"

func checkCrossingCalls(t *testing.T) {
	// Hers goes first: it is the answer to his call.
	r := play(t, invite+`juliet@example.org/balcony: propose audio id=a1 to=otto@sip.gw.example
	juliet@example.org/balcony: session-initiate id=a1 to=otto@sip.gw.example/sip jingle=audio
	sip ACK
	sip BYE
	`)
	retract := stanzaOf(t, r.one("<retract", "<expired/>", "tie-break").Raw)
	equal(t, "the proposal that is taken back", only(t, retract, "retract").Attr("id"), "x1")
	r.order(r.one("<retract"), r.one("<proceed", "id='a1'"), r.one("session-accept"), r.one(response("200")...))
	r.none("sip INVITE")
	// His goes first: hers is refused, and she takes his.
	r = play(t, invite+`juliet@example.org/balcony: propose audio id=z1 to=otto@sip.gw.example
	juliet@example.org/balcony: proceed id=x1 to=otto@sip.gw.example/sip
	juliet@example.org/balcony: session-accept jingle=accept id=x1
	sip ACK
	sip BYE
	`)
	reject := stanzaOf(t, r.one("<reject", "<expired/>", "tie-break").Raw)
	equal(t, "the proposal that is refused", only(t, reject, "reject").Attr("id"), "z1")
	r.one(response("200")...)
	r.none("sip INVITE")
}

func checkSecondCallMigrates(t *testing.T) {
	again := `juliet@example.org/phone: propose audio id=c2 to=+4989987654@sip.gw.example
	juliet@example.org/phone: session-initiate jingle=audio
	juliet@example.org/phone: session-terminate success
	sip 200 for BYE
	`
	r := play(t, lateAnswered+"juliet@example.org/balcony: presence unavailable\n"+again)
	finish := r.one("<finish", "<migrated")
	equal(t, "who is told", attrOf(finish.Raw, "to"), "juliet@example.org/balcony")
	moved := only(t, stanzaOf(t, finish.Raw), "finish")
	equal(t, "the session that ends", moved.Attr("id"), "c1")
	equal(t, "the session that goes on", moved.Child("urn:xmpp:jingle-message:0", "migrated").Attr("to"), "c2")
	r.one("session-accept", "sid='c2'")
	r.count(1, "sip INVITE")
	r.count(1, "sip BYE")
	// By default two devices may have two calls.
	r = play(t, lateAnswered+"juliet@example.org/phone: propose audio id=c2 to=+4989987654@sip.gw.example\nsip 486\nsip BYE\n")
	r.count(2, "sip INVITE")
	r.none("<migrated")
}
