package main

import (
	"strings"
	"testing"
)

// otherChecks are those of the groups after D that hold already.
var otherChecks = map[string]func(*testing.T){
	"E-05": func(t *testing.T) {
		r := play(t, `
		xmpp <iq type="error" id="e1" from="juliet@example.org/balcony" to="sip.gw.example"><error type="cancel"/></iq><message type="error" id="e2" from="juliet@example.org/balcony" to="+4989987654@sip.gw.example"><error type="cancel"/></message><presence type="error" id="e3" from="juliet@example.org/balcony" to="+4989987654@sip.gw.example"><error type="cancel"/></presence>
		juliet@example.org/balcony: asks to=sip.gw.example with='<ping xmlns="urn:xmpp:ping"/>'
		`)
		r.one("xmpp ")
	},
	"S-02": func(t *testing.T) {
		// The sent-by says port 9, and what comes back is seen at the port it was sent from.
		r := play(t, `
		sip INVITE sip:juliet%40example.org@x.gw.example 'Via: SIP/2.0/UDP 198.51.100.9:9;branch=z9hG4bKr;rport' sdp=g711
		juliet@example.org/balcony: reject busy
		`)
		if via := headerOf(r.one("sip 486").Raw, "Via"); !strings.Contains(via, "rport=5060") || !strings.Contains(via, "received=198.51.100.9") {
			t.Errorf("Via: %s", via)
		}
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
