//go:build interop

package interop

import (
	"regexp"
	"strings"
	"testing"
)

// cpimText is a MESSAGE's content in CPIM (RFC 3862) that asks to be told of its delivery (RFC 5438).
func cpimText(id, text string) string {
	return "Content-Type: message/cpim\n\nFrom: <sip:otto@phone.example>\nTo: <sip:romeo@" + userDomain + ">\nNS: imdn <urn:ietf:params:imdn>\nimdn.Message-ID: " + id +
		"\nDateTime: 2026-11-27T12:00:00Z\nimdn.Disposition-Notification: positive-delivery\n\nContent-Type: text/plain\n\n" + text
}

// cpimNotice says of a message that it was delivered.
func cpimNotice(id string) string {
	return "Content-Type: message/cpim\n\nFrom: <sip:otto@phone.example>\nTo: <sip:romeo@" + userDomain + ">\nNS: imdn <urn:ietf:params:imdn>\nimdn.Message-ID: n" + id +
		"\nDateTime: 2026-11-27T12:00:00Z\n\nContent-Type: message/imdn+xml\nContent-Disposition: notification\n\n" +
		`<?xml version="1.0"?><imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>` + id + `</message-id><datetime>2026-11-27T12:00:00Z</datetime>` +
		`<delivery-notification><status><delivered/></status></delivery-notification></imdn>`
}

var imdnID = regexp.MustCompile(`imdn\.Message-ID: *(\S+)`)

// isSent waits for a MESSAGE with all of these words; copies of others may come before.
func (p *typist) isSent(words ...string) string {
	p.t.Helper()
	for range 20 {
		text, missing := p.hears("MESSAGE"), false
		for _, w := range words {
			missing = missing || !strings.Contains(text, w)
		}
		if !missing {
			return text
		}
	}
	p.t.Fatalf("no MESSAGE with %q", words)
	return ""
}

// A user of slixmpp writes with a phone that knows CPIM, each tells when it composes and what it
// has, and she watches what another publishes at Kamailio's presence server, who watches her.
func TestSlixmppWritesAndWatches(t *testing.T) {
	t.Parallel()
	for _, kind := range servers {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			const present = "+44555"
			s := kind.start(t)
			port, cpim := freePort(t), freePort(t)
			startKamailio(t, "presence.cfg", port, presenceServer{SIP: port, Tables: presenceTables})
			g := startGateway(t, s, gatewayOptions{trunks: []trunkOptions{
				{Name: "present", Prefix: "+44", Address: local(port), Settings: `presence: "on"`},
				{Name: "cpim", Prefix: "+45", Address: local(cpim), Settings: "messages: cpim"},
			}})
			romeo := startSlix(t, s, "romeo", "slixmpp")
			otto := newTypistAt(t, g, cpim, "+45123", g.encodedURIOf("romeo"))
			contact := jidOf("+45123")

			otto.sends("MESSAGE", otto.uri, "m1", cpimText("ask1", "Noon?"))
			romeo.hears(t, contact+" says Noon?")
			otto.isSent("<message-id>ask1</message-id>", "<delivered")
			otto.hears("SIP/2.0 202")
			otto.sends("MESSAGE", otto.uri, "m2", "Content-Type: application/im-iscomposing+xml\n\n"+
				`<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state><refresh>60</refresh></isComposing>`)
			romeo.hears(t, contact+" is composing")

			romeo.wants(t, "type "+contact+" composing", "typed")
			otto.isSent("<state>active</state>")
			romeo.wants(t, "write "+contact+" 'At noon'", "written")
			id := imdnID.FindStringSubmatch(otto.isSent("At noon", "imdn.Message-ID"))
			otto.sends("MESSAGE", otto.uri, "m3", cpimNotice(id[1]))
			romeo.hears(t, contact+" receipt")
			romeo.wants(t, "correct "+contact+" 'At one'", "written")
			otto.isSent("* At one")
			romeo.wants(t, "link "+contact+" https://files.example/menu.pdf", "written")
			otto.isSent("\r\n\r\nhttps://files.example/menu.pdf")

			publish := func(note string) {
				to := sippOptions{target: port, uri: "sip:" + present + "@" + local(port), user: present}
				startSipp(t, to, "send PUBLISH | Event: presence | Expires: 600 | body application/pidf+xml "+
					`<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:`+present+"@"+local(port)+`"><tuple id="`+strings.ToLower(note[:2])+
					`"><status><basic>open</basic></status><note>`+note+`</note></tuple></presence>; recv 200`).finished(t)
			}
			publish("At the harbour")
			romeo.wants(t, "watch "+jidOf(present), "asked")
			romeo.hears(t, jidOf(present)+" is available At the harbour")
			publish("On board")
			romeo.hears(t, jidOf(present)+" is available On board")
		})
	}
}
