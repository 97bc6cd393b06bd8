package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// messageChecks are those of messages and of errors.
var messageChecks = map[string]func(*testing.T){
	"M-01": func(t *testing.T) {
		r := play(t, `
		juliet@example.org/balcony: says 'Noon?' to=+4989987654@sip.gw.example with='<subject>Lunch</subject><thread>b0a1c7e2</thread>'
		sip 202 for MESSAGE
		xmpp <message type='normal' id='l1' xml:lang='de' from='juliet@example.org/balcony' to='+4989987654@sip.gw.example'><body>Mittag?</body><body xml:lang='en'>Noon?</body></message>
		sip 202 for MESSAGE
		sip MESSAGE sip:+4930123456@x.gw.example 'Subject: Lunch' 'Content-Language: en' 'Call-ID: b0a1c7e2' type=text/plain body=Yes
		`)
		sent := r.one("sip MESSAGE", "Call-Id: b0a1c7e2").Raw
		equal(t, "Subject", headerOf(sent, "Subject"), "Lunch")
		equal(t, "Content-Type", headerOf(sent, "Content-Type"), "text/plain;charset=UTF-8")
		if !strings.HasSuffix(sent, "\nNoon?") {
			t.Errorf("the body is not the text:\n%s", sent)
		}
		german := r.one("sip MESSAGE", "Mittag?").Raw
		equal(t, "Content-Language", headerOf(german, "Content-Language"), "de")
		came := r.one("xmpp message chat", `body "Yes"`, `subject "Lunch"`, `thread "b0a1c7e2"`)
		if !strings.Contains(came.Raw, `xml:lang='en'`) && !strings.Contains(came.Raw, `xml:lang="en"`) {
			t.Errorf("no language in %s", came.Raw)
		}
	},
	"M-02": func(t *testing.T) {
		r := play(t, `
		with cpim
		juliet@example.org/balcony: composing to=+4989987654@sip.gw.example
		sip 200 for MESSAGE
		juliet@example.org/balcony: says 'Noon?' to=+4989987654@sip.gw.example with='<request xmlns="urn:xmpp:receipts"/>'
		sip 200 for MESSAGE
		`)
		for _, l := range r.count(2, "sip MESSAGE") {
			equal(t, "Contact", headerOf(l.Raw, "Contact"), "")
		}
	},
	"M-03": func(t *testing.T) {
		r := play(t, "juliet@example.org/balcony: says '"+strings.Repeat("long ", 300)+"' to=+4989987654@sip.gw.example")
		r.none("sip MESSAGE")
		r.one("xmpp message error", "policy-violation", "type=modify")
	},
	"M-04": func(t *testing.T) {
		r := play(t, "sip MESSAGE sip:+4930123456@x.gw.example type=application/pdf body=hello")
		if accept := headerOf(r.one("sip 415").Raw, "Accept"); !strings.Contains(accept, "text/plain") || !strings.Contains(accept, "message/cpim") {
			t.Errorf("Accept: %s", accept)
		}
		r.none("xmpp ")
	},
	"M-05": func(t *testing.T) {
		r := play(t, `
		xmpp <message type='chat' id='m5' from='juliet@example.org/balcony' to='+4989987654@sip.gw.example'><body>hello</body></message>
		sip 404 for MESSAGE
		`)
		if l := r.one("xmpp message error", "item-not-found"); !strings.Contains(l.Raw, `id='m5'`) && !strings.Contains(l.Raw, `id="m5"`) {
			t.Errorf("another id: %s", l.Raw)
		}
	},
	"M-06": func(t *testing.T) {
		r := play(t, `
		juliet@example.org/balcony: composing to=+4989987654@sip.gw.example
		sip 200 for MESSAGE
		wait 15100ms
		sip 200 for MESSAGE
		`)
		active := r.one("sip MESSAGE", "<state>active</state>")
		refresh := 0
		if m := regexp.MustCompile(`<refresh>([0-9]+)</refresh>`).FindStringSubmatch(active.Raw); m != nil {
			refresh, _ = strconv.Atoi(m[1])
		}
		if refresh < 60 {
			t.Errorf("no refresh of 60 s or more in %s", active.Raw)
		}
		idle := r.one("sip MESSAGE", "<state>idle</state>")
		if after := (idle.At - active.At).Seconds(); after < 14.9 || after > 15.1 {
			t.Errorf("idle after %v s", after)
		}
	},
	"M-07": func(t *testing.T) {
		r := play(t, `
		juliet@example.org/balcony: composing to=+4989987654@sip.gw.example
		sip 415 for MESSAGE
		wait 20s
		juliet@example.org/balcony: composing to=+4989987654@sip.gw.example
		wait 20s
		juliet@example.org/balcony: says hello to=+4989987654@sip.gw.example
		sip 200 for MESSAGE
		`)
		r.one("sip MESSAGE", "im-iscomposing")
		r.one("sip MESSAGE", "hello")
	},
	"M-08": func(t *testing.T) {
		r := play(t, notified)
		sent := r.one("sip MESSAGE", "imdn.Message-ID: r1").Raw
		if !strings.Contains(sent, "positive-delivery") || headerOf(sent, "Content-Type") != "message/cpim" {
			t.Errorf("no notification is asked for in\n%s", sent)
		}
		r.one("xmpp message chat", "-> juliet@example.org/balcony", "received id=r1")
	},
	"M-09": func(t *testing.T) {
		r := play(t, notified+`
		juliet@example.org/balcony: received n1 to=+4989987654@sip.gw.example/sip
		xmpp <message type='error' id='n1' from='juliet@example.org/balcony' to='+4989987654@sip.gw.example/sip'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>
		`)
		r.one("sip MESSAGE") // the message itself
	},
	"M-10": func(t *testing.T) {
		r := play(t, `
		sip MESSAGE sip:+4930123456@x.gw.example type=text/html 'body=<html><body><p>See <b>you</b> &amp; bring maps</p><script>x()</script><a onclick="x()" href="javascript:y()">here</a></body></html>'
		`)
		l := r.one("xmpp message chat", `See you & bring maps`)
		for _, bad := range []string{"x()", "y()", "script"} {
			if strings.Contains(l.Raw, bad) {
				t.Errorf("%s is in %s", bad, l.Raw)
			}
		}
	},
	"M-11": func(t *testing.T) {
		r := play(t, `
		xmpp <message from='juliet@example.org/balcony' to='+4989987654@sip.gw.example' type='chat' id='c1'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>copy</body></message></forwarded></sent></message>
		xmpp <message from='juliet@example.org/balcony' to='+4989987654@sip.gw.example' id='c2'><result xmlns='urn:xmpp:mam:2' id='x'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>copy</body></message></forwarded></result><body>copy</body></message>
		xmpp <message from='juliet@example.org/balcony' to='+4989987654@sip.gw.example' type='error' id='c3'><body>error</body><error type='cancel'/></message>
		juliet@example.org/balcony: says 'the one' to=+4989987654@sip.gw.example
		sip 200 for MESSAGE
		`)
		r.one("sip MESSAGE")
		r.one("sip MESSAGE", "the one")
	},
	"M-12": func(t *testing.T) {
		r := play(t, `
		juliet@example.org/balcony: says first to=+4989987654@sip.gw.example
		juliet@example.org/balcony: says second to=+4989987654@sip.gw.example
		juliet@example.org/balcony: says other to=+4989987655@sip.gw.example
		wait 400ms
		sip 404 for MESSAGE
		`)
		// The newest request is the one to the other number, which waits for nobody.
		if other := r.one("sip MESSAGE", "other"); other.At > 100e6 {
			t.Errorf("another pair waited for %v", other.At)
		}
		r = play(t, `
		juliet@example.org/balcony: says first to=+4989987654@sip.gw.example
		juliet@example.org/balcony: says second to=+4989987654@sip.gw.example
		wait 400ms
		sip 200 for MESSAGE
		sip 200 for MESSAGE
		`)
		first, second := r.one("sip MESSAGE", "first"), r.one("sip MESSAGE", "second")
		if second.At-first.At < 400e6 {
			t.Errorf("the second came after %v", second.At-first.At)
		}
	},
	"M-13": func(t *testing.T) {
		r := play(t, inSession+`
		msrp SEND id=large range=1-40001/40001 flag=# body=x
		msrp SEND id=after range=1-5/5 body=after
		wait 1s
		sip BYE
		`)
		large, after := r.one("msrp 413"), r.one("xmpp message chat", `body "after"`)
		r.order(large, after)
		r.count(1, "xmpp ", "body")
	},
	"M-14": func(t *testing.T) {
		r := play(t, inSession+`
		msrp SEND id=asks range=1-5/5 'Success-Report: yes' body=Noon?
		wait 1s
		juliet@example.org/balcony: received asks to=otto@sip.gw.example
		msrp SEND id=none range=1-3/3 body=Yes
		wait 1s
		juliet@example.org/balcony: says Good to=otto@sip.gw.example with='<request xmlns="urn:xmpp:receipts"/>'
		juliet@example.org/balcony: says Bye to=otto@sip.gw.example
		sip BYE
		`)
		if l := r.one("xmpp message chat", "Noon?"); !strings.Contains(l.Text, "request") {
			t.Errorf("no receipt is asked for: %s", l.Text)
		}
		if l := r.one("xmpp message chat", `body "Yes"`); strings.Contains(l.Text, "request") {
			t.Errorf("a receipt is asked for: %s", l.Text)
		}
		r.one("msrp REPORT", "Message-ID: asks", "Byte-Range: 1-5/5", "000 200")
		r.one("msrp SEND", "Success-Report: yes", "Good")
		if l := r.one("msrp SEND", "Bye"); strings.Contains(l.Text, "Success-Report") {
			t.Errorf("a report is asked for: %s", l.Text)
		}
	},
	"M-15": func(t *testing.T) {
		r := play(t, inSession+"sip BYE")
		r.one("xmpp message chat", "gone", "-> juliet@example.org")
		r = play(t, inSession+`
		xmpp <message type='chat' from='juliet@example.org/balcony' to='otto@sip.gw.example'><gone xmlns='http://jabber.org/protocol/chatstates'/></message>
		sip 200 for BYE
		`)
		r.one("sip BYE")
		r.none("xmpp message", "gone")
	},
	"M-16": func(t *testing.T) {
		r := play(t, inSession+`
		msrp SEND id=parts range=1-6/* flag=+ body='two pi'
		msrp SEND id=other range=1-5/5 body=other
		msrp SEND id=parts range=7-11/11 body='eces!'
		wait 1s
		sip BYE
		`)
		r.one("xmpp message chat", `body "two pieces!"`)
		r.count(2, "xmpp message chat", "body")
	},
	"M-17": func(t *testing.T) {
		const uuid = "550e8400-e29b-41d4-a716-446655440000"
		r := play(t, inSession+`
		xmpp <message type='chat' id='`+uuid+`' from='juliet@example.org/balcony' to='otto@sip.gw.example'><body>Noon?</body><request xmlns='urn:xmpp:receipts'/></message>
		msrp REPORT id=550e8400e29b41d4a716446655440000 range=1-5/5 'Status: 000 200 OK'
		sip BYE
		`)
		id := regexp.MustCompile(`Message-ID: ([A-Za-z0-9][A-Za-z0-9.+%=-]{3,31})\s`)
		if l := r.one("msrp SEND", "Noon?"); !id.MatchString(l.Raw) {
			t.Errorf("no legal Message-ID: %s", l.Raw)
		}
		r.one("xmpp message chat", "received id="+uuid)
	},

	"E-01": func(t *testing.T) {
		for _, c := range conditions {
			t.Run(c.name+"/"+c.typ, func(t *testing.T) {
				r := play(t, fmt.Sprintf(`
				sip MESSAGE sip:+4930123456@x.gw.example type=text/plain body=hello
				xmpp <message type='error' id='z9hG4bKt1' from='juliet@example.org' to='otto@sip.gw.example'><error type='%s'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>
				`, c.typ, c.name))
				r.one("sip "+c.status+" ", "Cseq: 1 MESSAGE")
			})
		}
	},
	"E-02": func(t *testing.T) {
		for _, c := range statuses {
			for status := range strings.FieldsSeq(c.statuses) {
				t.Run(status, func(t *testing.T) {
					r := play(t, "juliet@example.org/balcony: says hello to=+4989987654@sip.gw.example\nsip "+status+" for MESSAGE\nwait 1s")
					r.one("xmpp message error", "error type="+c.typ+"("+c.condition)
				})
			}
		}
		// 503 is a trunk that is away for a while, and told of when the time is over; 502 has no
		// other way than to be said.
		r := play(t, `
		juliet@example.org/balcony: says hello to=+4989987654@sip.gw.example
		sip 503 for MESSAGE
		wait 5s
		sip 502 for MESSAGE
		`)
		r.one("xmpp message error", "error type=cancel(remote-server-not-found")
	},
	"E-03": func(t *testing.T) {
		for _, typ := range []string{"cancel", "wait", "auth"} {
			r := play(t, `
			sip MESSAGE sip:+4930123456@x.gw.example type=text/plain body=hello
			xmpp <message type='error' id='z9hG4bKt1' from='juliet@example.org' to='otto@sip.gw.example'><error type='`+typ+`'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>
			`)
			r.none("sip 503")
			r.one("sip 480")
		}
	},
	"E-04": func(t *testing.T) {
		for _, condition := range []string{"not-authorized", "registration-required"} {
			r := play(t, `
			sip MESSAGE sip:+4930123456@x.gw.example type=text/plain body=hello
			xmpp <message type='error' id='z9hG4bKt1' from='juliet@example.org' to='otto@sip.gw.example'><error type='auth'><`+condition+` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>
			`)
			r.none("sip 401")
			r.none("sip 407")
			r.one("sip 403")
		}
	},
	"U-03": func(t *testing.T) {
		const uuid = "ab30317f-1a78-4dc4-8ff8-24d0d3715d86"
		r := play(t, `
		juliet@example.org/balcony: propose audio to=+4989987654@sip.gw.example id=`+uuid+`
		sip 180 'Session-ID: 47755a9de7794ba387653f2099600ef2;remote=ab30317f1a784dc48ff824d0d3715d86'
		sip 200 sdp=g711
		juliet@example.org/balcony: session-initiate jingle=audio
		juliet@example.org/balcony: session-terminate success
		sip 200 for BYE
		`)
		form := regexp.MustCompile(`^([0-9a-f]{32});remote=([0-9a-f]{32})$`)
		local := strings.ReplaceAll(uuid, "-", "")
		for _, method := range []string{"sip INVITE", "sip BYE"} {
			m := form.FindStringSubmatch(headerOf(r.one(method).Raw, "Session-Id"))
			if m == nil || m[1] != local {
				t.Errorf("%s has %q", method, headerOf(r.one(method).Raw, "Session-Id"))
			}
		}
		if id := headerOf(r.one("sip BYE").Raw, "Session-Id"); !strings.HasSuffix(id, "remote=47755a9de7794ba387653f2099600ef2") {
			t.Errorf("the peer's half is lost: %s", id)
		}
		r = play(t, answered+"sip BYE")
		ok, bye := r.one("sip 200 OK", "Cseq: 1 INVITE").Raw, r.one("sip 200 OK", "for BYE").Raw
		if id := headerOf(ok, "Session-Id"); !form.MatchString(id) || id != headerOf(bye, "Session-Id") {
			t.Errorf("it is %q, then %q", id, headerOf(bye, "Session-Id"))
		}
	},
}

// inSession is a message session that a SIP user has opened.
const inSession = `with sessions
sip INVITE sip:+4930123456@x.gw.example sdp=messages-active
sip ACK
msrp connects
msrp SEND id=bind1 range=1-0/0
`

// notified is a message that asks for a receipt, and its notification.
const notified = `with cpim
xmpp <message type='chat' id='r1' from='juliet@example.org/balcony' to='+4989987654@sip.gw.example'><body>Noon?</body><request xmlns='urn:xmpp:receipts'/></message>
sip 200 for MESSAGE
sip MESSAGE sip:+4930123456@x.gw.example 'From: <sip:+4989987654@pbx.example>;tag=i1' type=message/cpim 'body=From: <sip:+4989987654@pbx.example>|NS: imdn <urn:ietf:params:imdn>|imdn.Message-ID: n1|imdn.Disposition-Notification: positive-delivery, negative-delivery||Content-Type: message/imdn+xml||<imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>r1</message-id><delivery-notification><status><delivered/></status></delivery-notification></imdn>'
wait 1s
`

// conditions are table 6.1 for a MESSAGE to a bare JID.
var conditions = []struct{ name, typ, status string }{
	{"bad-request", "modify", "400"},
	{"conflict", "cancel", "400"},
	{"feature-not-implemented", "cancel", "501"},
	{"forbidden", "auth", "603"},
	{"gone", "cancel", "410"},
	{"internal-server-error", "cancel", "500"},
	{"item-not-found", "cancel", "404"},
	{"jid-malformed", "modify", "400"},
	{"not-acceptable", "modify", "606"},
	{"not-allowed", "cancel", "403"},
	{"not-authorized", "auth", "403"},
	{"policy-violation", "modify", "403"},
	{"policy-violation", "wait", "480"},
	{"recipient-unavailable", "wait", "480"},
	{"registration-required", "auth", "403"},
	{"remote-server-not-found", "cancel", "404"},
	{"remote-server-timeout", "wait", "408"},
	{"resource-constraint", "wait", "500"},
	{"service-unavailable", "cancel", "480"},
	{"subscription-required", "auth", "400"},
	{"undefined-condition", "cancel", "400"},
	{"unexpected-request", "wait", "400"},
	{"unheard-of", "cancel", "500"},
}

// statuses are table 6.2, but for those that say that the trunk is away.
var statuses = []struct{ statuses, condition, typ string }{
	{"300 302 305 399", "redirect", "modify"},
	{"301 410", "gone", "cancel"},
	{"380 406 415 416 421 482 483 488 505 606", "not-acceptable", "modify"},
	{"400 402 493 499", "bad-request", "modify"},
	{"401", "not-authorized", "auth"},
	{"403", "forbidden", "auth"},
	{"404 481 484 485 604", "item-not-found", "cancel"},
	{"405 420 439 501", "feature-not-implemented", "cancel"},
	{"407", "registration-required", "auth"},
	{"408 504", "remote-server-timeout", "wait"},
	{"413 414 440 489 513", "policy-violation", "modify"},
	{"423", "resource-constraint", "wait"},
	{"430 480 486 487 600 603 699", "recipient-unavailable", "wait"},
	{"491", "unexpected-request", "wait"},
	{"500 599", "internal-server-error", "cancel"},
	{"502", "remote-server-not-found", "cancel"},
}
