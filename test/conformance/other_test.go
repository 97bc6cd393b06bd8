package main

import (
	"strings"
	"testing"

	"sipxmppgw/test/callflow"
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
	"U-01": func(t *testing.T) {
		const info = "<xmpp:juliet@example.org>;purpose=impp"
		for _, tt := range []struct{ with, want string }{
			{"emit_impp", info}, {"emit_impp hide_caller", ""}, {"trusted", ""},
		} {
			// She calls, writes, and is called.
			r := play(t, "with "+tt.with+`
			juliet@example.org/balcony: propose audio to=+4989987654@sip.gw.example id=sid1
			sip 486
			juliet@example.org/balcony: says Hello to=+4989987654@sip.gw.example
			sip 202 for MESSAGE
			`+strings.ReplaceAll(invite, "juliet%40example.org", "+4930123456")+`juliet@example.org/balcony: proceed
			juliet@example.org/balcony: session-accept jingle=accept
			sip ACK
			sip BYE`)
			for _, l := range []callflow.Line{r.one("sip INVITE"), r.one("sip MESSAGE"), r.one("sip 200 OK", "application/sdp")} {
				want := tt.want
				if tt.with == "emit_impp hide_caller" && strings.Contains(l.Text, "200") {
					want = info // the route hides who calls, not who is called
				}
				equal(t, tt.with+": Call-Info of "+l.Text, headerOf(l.Raw, "Call-Info"), want)
			}
			r.count(map[string]int{"emit_impp": 3, "emit_impp hide_caller": 1, "trusted": 0}[tt.with], "sip", "purpose=impp")
		}
		// Who hides the number is not told of when called either.
		r := play(t, `with emit_impp accounts
		juliet@example.org/balcony: says 'hide on' to=sip.gw.example
		`+strings.ReplaceAll(invite, "juliet%40example.org", "+4930123456")+`juliet@example.org/balcony: proceed
		juliet@example.org/balcony: session-accept jingle=accept
		sip ACK
		sip BYE`)
		r.one("sip 200 OK", "application/sdp")
		r.none("sip", "purpose=impp")
	},
	"U-02": func(t *testing.T) {
		const (
			reach  = "juliet@example.org/balcony: presence to=sip.gw.example with='<reach xmlns=\"urn:xmpp:reach:0\"><addr uri=\"sip:desk@pbx.example\"/></reach>'\n"
			back   = "sip INVITE sip:romeo%40example.org@x.gw.example 'From: <sip:desk@pbx.example>;tag=d1' 'Call-Info: <xmpp:juliet@example.org>;purpose=impp' sdp=g711\nromeo@example.org/orchard: reject busy\n"
			called = "sip INVITE sip:+4930123456@x.gw.example sdp=g711\njuliet@example.org/balcony: reject busy\n"
		)
		for _, tt := range []struct {
			name, script string
			rings        bool
		}{
			{"her word alone", "with trusted persons=together\n" + reach + called, false},
			{"its word alone", "with trusted persons=together\n" + back + called, false},
			{"both", "with trusted persons=together\n" + reach + back + called, true},
			{"the word of a trunk that is not trusted", "with persons=together\n" + reach + back + called, false},
			{"both, of another telephone", "with trusted persons=together\n" + reach + strings.ReplaceAll(back, "desk@", "hall@") + called, false},
		} {
			if rings := len(play(t, tt.script).Find("sip INVITE sip:desk@pbx.example")) > 0; rings != tt.rings {
				t.Errorf("%s: the desk rings: %v, want %v", tt.name, rings, tt.rings)
			}
		}
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
