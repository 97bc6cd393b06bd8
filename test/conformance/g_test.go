package main

import (
	"regexp"
	"strings"
	"testing"
)

// inConference is juliet's way into a conference of SIP, up to the answer to her name.
const inConference = `with rooms
msrp listens
msrp answers off
xmpp <presence from='juliet@example.org/balcony' to='ops@sip.gw.example/Mira'><x xmlns='http://jabber.org/protocol/muc'/></presence>
sip 200 sdp=room-passive
sip 200 for SUBSCRIBE 'Expires: 600'
`

// whoIsThere is what the conference says of who is in it: juliet herself first.
const whoIsThere = `sip NOTIFY 'Event: conference' 'Subscription-State: active;expires=600' type=application/conference-info+xml 'body=<?xml version="1.0"?><conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:ops@pbx.example" state="full" version="1"><conference-description><subject>Night shift</subject></conference-description><users><user entity="sip:+4930123456@pbx.example"><display-text>Mira</display-text></user><user entity="sip:otto@pbx.example"><display-text>Otto</display-text></user><user entity="sip:lena@pbx.example"><display-text>Lena</display-text></user></users></conference-info>'
msrp answers on
`

// inRoom is Otto's way from SIP into a room of XMPP.
const inRoom = `with rooms
sip INVITE sip:ops%40rooms.example@x.gw.example sdp=room-active
xmpp <presence from='ops@rooms.example/Otto' to='otto@sip.gw.example/sip'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/><status code='110'/></x></presence>
sip ACK
msrp connects
msrp SEND id=bind1 range=1-0/0
`

// groupChecks are those of chat rooms.
var groupChecks = map[string]func(*testing.T){
	"G-01": func(t *testing.T) {
		r := play(t, inConference+`
		msrp 200 OK
		`+whoIsThere+`
		sip BYE
		sip 200 for SUBSCRIBE
		`)
		invite, nick, watch := r.one("sip INVITE", "chatroom:nickname private-messages"), r.one("msrp NICKNAME", `"Mira"`), r.one("sip SUBSCRIBE", "Event: conference", "Expires: 600")
		otto, lena := r.one("xmpp presence ops@sip.gw.example/Otto"), r.one("xmpp presence ops@sip.gw.example/Lena")
		self := r.one("xmpp presence ops@sip.gw.example/Mira", "status code=110", "role=participant")
		subject := r.one("xmpp message groupchat", `subject "Night shift"`)
		r.order(invite, nick, otto, self, subject)
		r.order(invite, watch, lena, self)
	},
	"G-02": func(t *testing.T) {
		for status, condition := range map[string]string{"425": "cancel(conflict", "424": "modify(not-acceptable"} {
			r := play(t, inConference+`
			msrp `+status+` No
			sip 200 for BYE
			sip 200 for SUBSCRIBE
			`)
			r.one("xmpp presence error ops@sip.gw.example/Mira", "error type="+condition[:strings.Index(condition, "(")], condition[strings.Index(condition, "(")+1:])
			r.one("sip BYE")
		}
	},
	"G-03": func(t *testing.T) {
		const says = `xmpp <message type='groupchat' id='gm1' from='juliet@example.org/balcony' to='ops@sip.gw.example'><body>Door 4</body></message>
		`
		const reflects = `msrp SEND id=back1 range=1-*/* type=message/cpim 'body=From: <sip:+4930123456@pbx.example>|To: <sip:ops@pbx.example>||Content-Type: text/plain||Door 4'
		`
		id := regexp.MustCompile(`id=['"]gm1['"]`)
		for name, script := range map[string]string{
			"it is not said again":       says,
			"it is said again, later":    says + reflects,
			"it is said again, at once":  "msrp answers off\n" + says + reflects + "msrp 200 OK\n",
			"it is said twice by juliet": says + reflects + strings.ReplaceAll(says, "Door 4", "Door 5") + strings.ReplaceAll(reflects, "Door 4", "Door 5"),
		} {
			t.Run(name, func(t *testing.T) {
				r := play(t, inConference+"msrp 200 OK\n"+whoIsThere+strings.ReplaceAll(script, "\t", "")+"sip BYE\nsip 200 for SUBSCRIBE\n")
				r.one("msrp SEND", "Door 4")
				if l := r.one("xmpp message groupchat ops@sip.gw.example/Mira", `body "Door 4"`); !id.MatchString(l.Raw) {
					t.Errorf("another id: %s", l.Raw)
				}
			})
		}
	},
	"G-04": func(t *testing.T) {
		r := play(t, inConference+"msrp 200 OK\n"+whoIsThere+`
		xmpp <presence type='unavailable' from='juliet@example.org/balcony' to='ops@sip.gw.example/Mira'/>
		sip 200 for BYE
		sip 200 for SUBSCRIBE
		`)
		r.one("sip BYE")
		r = play(t, inConference+"msrp 200 OK\n"+whoIsThere+"sip BYE\nsip 200 for SUBSCRIBE\n")
		r.one("xmpp presence unavailable ops@sip.gw.example/Mira", "status code=110")
		r = play(t, inRoom+"sip BYE")
		r.one("xmpp presence unavailable otto@sip.gw.example/sip -> ops@rooms.example/Otto")
	},
	"G-05": func(t *testing.T) {
		r := play(t, inRoom+`
		xmpp <presence type='unavailable' from='ops@rooms.example/Otto' to='otto@sip.gw.example/sip'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'><reason>noise</reason></item><status code='307'/><status code='110'/></x></presence>
		sip 200 for BYE
		`)
		r.one("sip BYE", "you were put out of the room: noise")
	},
}
