package main

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// presenceChecks are those of group P.
var presenceChecks = map[string]func(*testing.T){
	"P-01": func(t *testing.T) {
		l := play(t, wished).one("sip SUBSCRIBE sip:otto@pbx.example")
		equal(t, "Event", headerOf(l.Raw, "Event"), "presence")
		equal(t, "Expires", headerOf(l.Raw, "Expires"), "3600")
		equal(t, "Accept", headerOf(l.Raw, "Accept"), "application/pidf+xml")
		if from := headerOf(l.Raw, "From"); !strings.HasPrefix(from, "<sip:+4930123456@pbx.example;user=phone>;tag=") {
			t.Errorf("From: %s", from)
		}
	},
	"P-02": func(t *testing.T) {
		r := play(t, wished+"sip NOTIFY 'Event: presence' 'Subscription-State: pending;expires=3600'\n")
		r.one("sip 200", "for NOTIFY")
		r.none("xmpp presence")
	},
	"P-03": func(t *testing.T) {
		r := play(t, wished+active(desk))
		r.order(r.one("xmpp presence subscribed"), r.one("xmpp presence otto@sip.gw.example/sip"))
	},
	"P-04": checkRefusedForGood,
	"P-05": checkAskedAgain,
	"P-06": checkRefreshedForWhoIsThere,
	"P-07": func(t *testing.T) {
		r := play(t, wished+active(desk)+`sip answers SUBSCRIBE nothing
		juliet@example.org: presence unsubscribe to=otto@sip.gw.example
		wait 400ms
		sip 200 for SUBSCRIBE 'Expires: 0'
		sip NOTIFY 'Event: presence' 'Subscription-State: terminated;reason=timeout'
		`)
		end := r.one("sip SUBSCRIBE sip:otto@198.51.100.9:5060", "Expires: 0")
		gone := r.one("xmpp presence unsubscribed")
		if gone.At-end.At < 400*time.Millisecond {
			t.Errorf("unsubscribed %v after the SUBSCRIBE, which had its answer later", gone.At-end.At)
		}
		r.order(end, gone, r.one("xmpp presence unavailable otto@sip.gw.example/sip"))
		r.one("sip 200", "for NOTIFY", "Cseq: 2 NOTIFY")
	},
	"P-08": func(t *testing.T) {
		r := play(t, watched)
		r.order(r.one("sip 200", "for SUBSCRIBE", "Expires: 3600"), r.one("sip NOTIFY", "Subscription-State: pending;expires=3600", "Content-Length: 0"))
		r.one("xmpp presence subscribe otto@sip.gw.example -> juliet@example.org", `nick "Otto"`)
	},
	"P-09": func(t *testing.T) {
		play(t, watched+allowed).one("sip NOTIFY", "Subscription-State: active;expires=")
		r := play(t, watched+`juliet@example.org: presence unsubscribed to=otto@sip.gw.example
		sip SUBSCRIBE sip:juliet%40example.org@x.gw.example 'Event: presence'
		`)
		r.one("sip NOTIFY", "Subscription-State: terminated;reason=rejected")
		r.one("sip 403", "for SUBSCRIBE")
	},
	"P-10": func(t *testing.T) {
		r := play(t, watched+allowed+`juliet@example.org/phone: presence to=otto@sip.gw.example
		wait 6s
		sip SUBSCRIBE 'Event: presence' 'Expires: 0'
		sip SUBSCRIBE sip:juliet%40example.org@x.gw.example 'Event: presence'
		`)
		r.one("sip NOTIFY", "Subscription-State: terminated;reason=timeout", "<basic>closed</basic>")
		r.one("xmpp presence unavailable otto@sip.gw.example")
		r.none("xmpp presence unsubscribe")
		r.one("xmpp presence subscribe ")
		r.one("xmpp presence probe")
		last := r.Find("sip NOTIFY")
		if got := headerOf(last[len(last)-1].Raw, "Subscription-State"); got != "active;expires=3600" {
			t.Errorf("after all, %s", got)
		}
	},
	"P-11": func(t *testing.T) {
		r := play(t, watched+allowed+`juliet@example.org/tablet: presence to=otto@sip.gw.example with='<show>away</show><status>lunch</status><priority>5</priority>'
		juliet@example.org/phone: presence to=otto@sip.gw.example with='<priority>10</priority>'
		wait 6s
		`)
		l := r.one("sip NOTIFY", `<tuple id="ID-phone">`, `<tuple id="ID-tablet">`, `priority="0.039"`, `priority="0.078"`, "<note>lunch</note>")
		if strings.Index(l.Raw, "ID-phone") > strings.Index(l.Raw, "ID-tablet") {
			t.Errorf("not in the order of their ids:\n%s", l.Raw)
		}
	},
	"P-12": func(t *testing.T) {
		r := play(t, watched+allowed+`juliet@example.org/tablet: presence to=otto@sip.gw.example with='<priority>-1</priority>'
		wait 6s
		`)
		if l := r.one("sip NOTIFY", `<tuple id="ID-tablet">`); strings.Contains(l.Raw, "priority=") {
			t.Errorf("%s", l.Raw)
		}
	},
	"P-13": func(t *testing.T) {
		play(t, wished+active(`<tuple id="ID-desk"><status><basic>open</basic><show xmlns="jabber:client">dnd</show></status></tuple>`)).
			one("xmpp presence otto@sip.gw.example/sip", `show "dnd"`)
		r := play(t, watched+allowed+`juliet@example.org/phone: presence to=otto@sip.gw.example with='<show>dnd</show>'
		wait 6s
		`)
		r.one("sip NOTIFY", `<show xmlns="jabber:client">dnd</show>`, "<rpid:busy/>")
	},
	"P-14": checkOnThePhone,
	"P-15": func(t *testing.T) {
		r := play(t, `
		with presence=on
		sip answers NOTIFY 200
		sip SUBSCRIBE sip:juliet%40example.org@x.gw.example 'Event: presence' 'Expires: 0'
		wait 6s
		`)
		r.one("xmpp presence probe otto@sip.gw.example -> juliet@example.org")
		r.one("sip NOTIFY", "Subscription-State: terminated;reason=timeout")
	},
	"P-16": func(t *testing.T) {
		again := play(t, wished+active(desk)+`sip NOTIFY 'Event: presence' 'Subscription-State: terminated;reason=deactivated'
		wait 1s
		`)
		asked := again.count(2, "sip SUBSCRIBE sip:otto@pbx.example", "Expires: 3600")
		if headerOf(asked[0].Raw, "Call-Id") == headerOf(asked[1].Raw, "Call-Id") {
			t.Error("in the dialog that has ended")
		}
		r := play(t, wished+active(desk)+`sip NOTIFY 'Event: presence' 'Subscription-State: terminated;reason=rejected'
		wait 2h
		`)
		r.one("sip SUBSCRIBE")
		r.one("xmpp presence unsubscribed")
		r.one("xmpp presence unavailable")
	},
	"P-17": func(t *testing.T) {
		r := play(t, `
		with publish
		sip answers PUBLISH 200 'SIP-ETag: e7a1' 'Expires: 1800'
		juliet@example.org/phone: presence to=sip.gw.example
		sip answers PUBLISH nothing
		wait 1440s
		sip 412 for PUBLISH
		sip 200 for PUBLISH 'SIP-ETag: e7a2' 'Expires: 1800'
		sip answers PUBLISH 200
		juliet@example.org/phone: presence unavailable to=sip.gw.example
		`)
		all := r.count(4, "sip PUBLISH sip:+4930123456@pbx.example")
		for i, want := range []struct{ match, expires, body string }{
			{"", "3600", "<basic>open</basic>"}, {"e7a1", "3600", ""}, {"", "3600", "<basic>open</basic>"}, {"e7a2", "0", ""},
		} {
			equal(t, "SIP-If-Match", headerOf(all[i].Raw, "Sip-If-Match"), want.match)
			equal(t, "Expires", headerOf(all[i].Raw, "Expires"), want.expires)
			if strings.Contains(all[i].Raw, "<presence") != (want.body != "") || !strings.Contains(all[i].Raw, want.body) {
				t.Errorf("PUBLISH %d:\n%s", i, all[i].Raw)
			}
		}
	},
	"P-18": func(t *testing.T) {
		const mail = `sip NOTIFY 'Event: message-summary' 'Subscription-State: active;expires=3600' type=application/simple-message-summary body='Messages-Waiting: yes|Message-Account: sip:mira@pbx.example|Voice-Message: 2/8 (1/2)|'` + "\n"
		r := play(t, `
		with voicemail
		wait 100ms
		sip 200 for SUBSCRIBE 'Expires: 3600'
		`+mail+mail)
		r.one("sip SUBSCRIBE sip:+4930123456@pbx.example", "Event: message-summary")
		r.count(2, "sip 200", "for NOTIFY")
		l := r.one("xmpp message")
		for _, want := range []string{
			"headline sip.gw.example/voicemail -> juliet@example.org", `subject "Voicemail"`,
			`body "You have 2 new voice messages (1 urgent) and 8 old"`, "sip:mira@pbx.example",
		} {
			if !strings.Contains(l.Text, want) {
				t.Errorf("no %s in %s", want, l.Text)
			}
		}
	},
	"P-19": func(t *testing.T) {
		play(t, "sip SUBSCRIBE sip:juliet%40example.org@x.gw.example 'Event: unheard-of'").one("sip 489")
		l := play(t, "with presence=on\nsip SUBSCRIBE sip:juliet%40example.org@x.gw.example 'Event: unheard-of'").one("sip 489")
		equal(t, "Allow-Events", headerOf(l.Raw, "Allow-Events"), "presence, refer")
	},
	"P-20": func(t *testing.T) {
		r := play(t, watched+allowed+`juliet@example.org/phone: presence to=nora@sip.gw.example with='<status>for Nora alone</status>'
		juliet@example.org/phone: presence to=sip.gw.example with='<status>for the gateway</status>'
		juliet@example.org/phone: presence to=otto@sip.gw.example with='<status>for Otto</status>'
		wait 6s
		`)
		r.one("sip NOTIFY", "for Otto")
		r.none("sip NOTIFY", "for Nora")
		r.none("sip NOTIFY", "for the gateway")
	},
}

// wished is an XMPP user's wish to see a contact, whose SUBSCRIBE was taken.
const wished = `with presence=on
sip answers SUBSCRIBE 200 'Expires: 3600'
juliet@example.org: presence subscribe to=otto@sip.gw.example
`

const desk = `<tuple id="ID-desk"><status><basic>open</basic></status></tuple>`

// active is a NOTIFY with these devices.
func active(tuples string) string {
	return `sip NOTIFY 'Event: presence' 'Subscription-State: active;expires=3600' type=application/pidf+xml body='<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="pres:otto@pbx.example">` + tuples + "</presence>'\n"
}

// watched is a SIP user's wish to see an XMPP user.
const watched = `with presence=on
sip answers NOTIFY 200
sip SUBSCRIBE sip:juliet%40example.org@x.gw.example 'Event: presence' 'Expires: 3600' 'Accept: application/pidf+xml'
`

// allowed is the XMPP user's leave.
const allowed = `juliet@example.org: presence subscribed to=otto@sip.gw.example
`

func checkRefusedForGood(t *testing.T) {
	for _, status := range []int{403, 489, 603} {
		r := play(t, `
		with presence=on
		juliet@example.org: presence subscribe to=otto@sip.gw.example
		sip `+strconv.Itoa(status)+` for SUBSCRIBE
		juliet@example.org: presence probe to=otto@sip.gw.example
		wait 3h
		`)
		r.order(r.one("sip SUBSCRIBE"), r.count(2, "xmpp presence unsubscribed")[0])
	}
}

func checkAskedAgain(t *testing.T) {
	r := play(t, `
	with presence=on
	sip answers SUBSCRIBE 423 'Min-Expires: 7200'
	juliet@example.org: presence subscribe to=otto@sip.gw.example
	sip answers SUBSCRIBE 200 'Expires: 7200'
	wait 1s
	`+active(desk)+`juliet@example.org/phone: presence to=otto@sip.gw.example
	sip answers SUBSCRIBE nothing
	wait 48m
	sip answers SUBSCRIBE 200 'Expires: 7200'
	sip 481 for SUBSCRIBE
	wait 1m
	`)
	asked := r.count(4, "sip SUBSCRIBE")
	var calls []string
	for i, want := range []string{"3600", "7200", "7200", "7200"} {
		equal(t, "Expires", headerOf(asked[i].Raw, "Expires"), want)
		calls = append(calls, headerOf(asked[i].Raw, "Call-Id"))
	}
	if calls[1] != calls[2] || calls[2] == calls[3] {
		t.Errorf("dialogs %q, want the third request in that of the second, and then a new one", calls)
	}
	r.none("xmpp presence unsubscribed")
}

func checkRefreshedForWhoIsThere(t *testing.T) {
	there := play(t, wished+active(desk)+`juliet@example.org/phone: presence to=otto@sip.gw.example
	wait 49m
	`)
	there.one("sip SUBSCRIBE sip:otto@198.51.100.9:5060", "Expires: 3600")
	gone := play(t, wished+active(desk)+`juliet@example.org/phone: presence to=otto@sip.gw.example
	juliet@example.org/phone: presence unavailable to=otto@sip.gw.example
	wait 2h
	juliet@example.org/phone: presence to=otto@sip.gw.example
	wait 1s
	`)
	asked := gone.Find("sip SUBSCRIBE")
	if len(asked) < 2 || asked[1].At < 2*time.Hour {
		t.Errorf("asked while nobody was there:\n%s", gone.Text)
	}
}

func checkOnThePhone(t *testing.T) {
	r := play(t, wished+active(desk)+`wait 2s
	`+strings.TrimPrefix(invite, "\n")+`juliet@example.org/balcony: proceed
	juliet@example.org/balcony: session-accept jingle=accept
	sip ACK
	wait 2s
	sip BYE
	wait 2s
	`)
	all := r.Find("xmpp presence otto@sip.gw.example/sip")
	if len(all) != 3 {
		t.Fatalf("%d presences, want there, on the phone, there:\n%s", len(all), r.Text)
	}
	if strings.Contains(all[0].Text, "show") || !strings.Contains(all[1].Text, `show "dnd"`) || !strings.Contains(all[1].Text, `status lang=en "On the phone"`) || strings.Contains(all[2].Text, "show") {
		t.Errorf("%s", r.Text)
	}
	r.one("xmpp message headline otto@sip.gw.example -> juliet@example.org", "on_the_phone")

	// The other way: Otto sees that Juliet is in a call.
	r = play(t, watched+allowed+`juliet@example.org/balcony: presence to=otto@sip.gw.example with='<show>away</show>'
	wait 6s
	`+strings.TrimPrefix(invite, "\n")+`juliet@example.org/balcony: proceed
	juliet@example.org/balcony: session-accept jingle=accept
	sip ACK
	wait 6s
	sip BYE
	wait 6s
	`)
	var shows []string
	for _, l := range r.Find("sip NOTIFY", "<tuple ") {
		_, rest, _ := strings.Cut(l.Raw, `<show xmlns="jabber:client">`)
		show, _, _ := strings.Cut(rest, "<")
		if strings.Contains(l.Raw, "<rpid:on-the-phone/>") {
			show += " on-the-phone"
		}
		if len(shows) == 0 || shows[len(shows)-1] != show {
			shows = append(shows, show)
		}
	}
	equal(t, "what Otto saw", strings.Join(shows, ", "), "away, dnd on-the-phone, away")
}
