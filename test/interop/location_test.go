//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"

	"sipxmppgw/test/peer/element"
)

// geopriv is where somebody is, for a document of presence, with leave to pass it on (RFC 4119).
const geopriv = `<gp:geopriv xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"><gp:location-info>%s</gp:location-info><gp:usage-rules>` +
	`<gbp:retransmission-allowed xmlns:gbp="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy">yes</gbp:retransmission-allowed></gp:usage-rules></gp:geopriv>`

// Where people are: a user is told where a contact is who publishes it at Kamailio's presence
// server, and where a caller is; a watcher on the SIP side is told where the user is who publishes
// it on Prosody or ejabberd, once the user agrees (RFC 4119, RFC 6442, XEP-0080, XEP-0163).
func TestLocation(t *testing.T) {
	t.Parallel()
	for _, kind := range servers {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			locates(t, kind.start(t))
		})
	}
}

func locates(t *testing.T, s *server) {
	t.Helper()
	const contact = "+44555"
	server, port := freePort(t), freePort(t)
	startKamailio(t, "presence.cfg", server, presenceServer{SIP: server, Tables: presenceTables})
	g := startGateway(t, s, gatewayOptions{
		trunks: []trunkOptions{
			{Name: "server", Prefix: "+44", Address: local(server), Settings: `presence: "on", location: true`},
			{Name: "desk", Prefix: "+45", Address: local(port), Settings: `presence: "on", location: true`},
		},
		values: map[string]any{"XMPPMore": "location_domains: [" + userDomain + "]"},
		extra:  fmt.Sprintf("store: {file: store.sqlite, key_file: store.key}\naccounts: {allow: [%s]}", userDomain),
	})
	romeo := &chatter{s.dial(t, "romeo", "desk"), make(chan *element.Element, 100)}
	romeo.Receive(func(e *element.Element) { romeo.got <- e })
	romeo.send(t, "<presence/>")

	// A contact.
	civic := fmt.Sprintf(geopriv, `<ca:civicAddress xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"><ca:country>DE</ca:country><ca:A3>Berlin</ca:A3></ca:civicAddress>`)
	startSipp(t, sippOptions{target: server, uri: "sip:" + contact + "@" + local(server), user: contact}, "send PUBLISH | Event: presence | Expires: 600 | body application/pidf+xml "+
		`<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:`+contact+"@"+local(server)+`"><tuple id="desk"><status><basic>open</basic>`+civic+`</status></tuple></presence>`+
		"; recv 200").finished(t)
	romeo.send(t, "<presence type='subscribe' to='"+jidOf(contact)+"'/>")
	romeo.reads(t, "<presence", "type='subscribe'", "from='"+jidOf(contact))
	romeo.send(t, "<presence type='subscribed' to='"+jidOf(contact)+"'/>")
	romeo.reads(t, "<message", "from='"+jidOf(contact), "http://jabber.org/protocol/geoloc", "<locality>Berlin</locality>")

	// A caller.
	otto := newTypistAt(t, g, port, contact, g.encodedURIOf("romeo"))
	point := fmt.Sprintf(geopriv, `<gml:Point xmlns:gml="http://www.opengis.net/gml"><gml:pos>52.5 13.4</gml:pos></gml:Point>`)
	otto.sends("INVITE", otto.uri, "call2", "Geolocation: <cid:place@pbx.example>\nGeolocation-Routing: no\nContent-Type: multipart/mixed;boundary=b1\n\n--b1\nContent-Type: application/sdp\n\n"+
		"v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 65000 RTP/AVP 8\n\n--b1\nContent-Type: application/pidf+xml\nContent-ID: <place@pbx.example>\n\n"+
		`<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" entity="pres:otto@pbx.example"><dm:device id="d">`+point+"</dm:device></presence>\n--b1--\n")
	romeo.reads(t, "<message", "geo:52.5,13.4", "<lat>52.5</lat>")
	otto.sends("CANCEL", otto.uri, "call2", "")

	// The user.
	romeo.send(t, "<iq type='set' id='p1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='http://jabber.org/protocol/geoloc'><item id='current'>"+
		"<geoloc xmlns='http://jabber.org/protocol/geoloc'><lat>45.44</lat><lon>12.33</lon></geoloc></item></publish></pubsub></iq>")
	romeo.reads(t, "p1", "result")
	otto.sends("SUBSCRIBE", otto.uri, "watch1", "Event: presence\nExpires: 600\nAccept: application/pidf+xml\n")
	for !strings.Contains(otto.hears("NOTIFY"), "<basic>open</basic>") {
	}
	romeo.send(t, "<message type='chat' id='c1' to='"+gatewayDomain+"'><body>location on</body></message>")
	if n := otto.hears("NOTIFY"); !strings.Contains(n, "<gml:pos>45.44 12.33</gml:pos>") {
		t.Errorf("the watcher was told\n%s", n)
	}
	romeo.send(t, "<message type='chat' id='c2' to='"+gatewayDomain+"'><body>location off</body></message>")
	if n := otto.hears("NOTIFY"); strings.Contains(n, "gml:pos") {
		t.Errorf("the watcher is still told\n%s", n)
	}
}
