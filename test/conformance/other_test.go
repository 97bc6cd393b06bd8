package main

import "testing"

// otherChecks are those of the groups after D that hold already.
var otherChecks = map[string]func(*testing.T){
	"E-05": func(t *testing.T) {
		r := play(t, `
		xmpp <iq type="error" id="e1" from="juliet@example.org/balcony" to="sip.gw.example"><error type="cancel"/></iq><message type="error" id="e2" from="juliet@example.org/balcony" to="+4989987654@sip.gw.example"><error type="cancel"/></message><presence type="error" id="e3" from="juliet@example.org/balcony" to="+4989987654@sip.gw.example"><error type="cancel"/></presence>
		juliet@example.org/balcony: asks to=sip.gw.example with='<ping xmlns="urn:xmpp:ping"/>'
		`)
		r.one("xmpp ")
	},
	"S-08": func(t *testing.T) {
		r := play(t, answered+`tybalt@example.org/street: session-terminate success
		sip BYE 'From: <sip:otto@pbx.example>;tag=wrong'
		wait 10s
		sip BYE
		`)
		r.one("xmpp iq error", "item-not-found")
		r.one("sip 481")
		r.one("sip 200", "for BYE")
		r.one("session-terminate")
	},
}
