package signaling

import (
	"strings"
	"testing"
	"testing/synctest"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/presence"
)

// A postbox keeps the messages that are sent.
type postbox struct {
	queries []gateway.Query
	got     []message.Message
}

func (b *postbox) Send(q gateway.Query, m message.Message) error {
	b.queries, b.got = append(b.queries, q), append(b.got, m)
	return nil
}

func (*postbox) Bounce(message.Bounced) {}

// locating plays with a trunk that may know where people are, or not.
func locating(t *testing.T, may bool, f func(t *testing.T, w *world, b *postbox)) {
	b := &postbox{}
	playWith(t, func(o *Options) { o.Trunks[0].Location, o.Messages = may, b }, func(t *testing.T, w *world) { f(t, w, b) })
}

const theirPlace = `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" entity="pres:otto@voip.example"><dm:device id="d">
<gp:geopriv xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"><gp:location-info><gml:Point xmlns:gml="http://www.opengis.net/gml"><gml:pos>52.5 13.4</gml:pos></gml:Point></gp:location-info>
<gp:usage-rules><gbp:retransmission-allowed xmlns:gbp="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy">yes</gbp:retransmission-allowed></gp:usage-rules></gp:geopriv></dm:device></presence>`

// twoParts is a body with a place beside something else.
func twoParts(kind, text, place string) string {
	_, body := mixed("b1", part{kind, "", text}, part{"application/pidf+xml", "place@voip.example", place})
	return strings.ReplaceAll(body, "\r\n", "\n")
}

// A caller says where it is, and the user is told, if the trunk is believed and the caller lets it
// be passed on (RFC 6442).
func TestPlaceOfACaller(t *testing.T) {
	const headers = "Content-Type: multipart/mixed;boundary=b1\nGeolocation: <cid:place@voip.example>, <https://lis.example/1>\nGeolocation-Routing: no"
	tests := []struct {
		name, headers, place string
		may, told            bool
	}{
		{"told", headers, theirPlace, true, true},
		{"not believed", headers, theirPlace, false, false},
		{"not to be passed on", headers, strings.Replace(theirPlace, ">yes<", ">no<", 1), true, false},
		{"elsewhere", strings.Replace(headers, "cid:place", "cid:other", 1), theirPlace, true, false},
		{"no XML", headers, "here", true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			locating(t, test.may, func(t *testing.T, w *world, b *postbox) {
				p := w.peer(peers)
				p.invite(test.headers, twoParts("application/sdp", theirOffer, test.place))
				p.wants("SIP/2.0 100 Trying")
				c := w.calls.last()
				if c == nil || c.in.Offer.Empty() {
					t.Fatal("there is no call with an offer")
				}
				synctest.Wait()
				if !test.told {
					if len(b.got) > 0 {
						t.Errorf("the user is told %+v", b.got)
					}
					return
				}
				if len(b.got) != 1 || b.got[0].Body != "geo:52.5,13.4" || b.got[0].Place.Lat != 52.5 || b.got[0].Call != string(c.id) || b.queries[0].To != "sip:mira@jabber.example" {
					t.Errorf("the user is told %+v", b.got)
				}
				c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
			})
		})
	}
}

// Where a user is goes with a call to a contact who may know, and a peer that does not like that
// is called without (RFC 6442 section 4.3).
func TestPlaceOfAUserWhoCalls(t *testing.T) {
	locating(t, true, func(t *testing.T, w *world, _ *postbox) {
		l := &listener{}
		pres := gateway.NewPresences(gateway.PresenceOptions{
			Router: l, Trunks: map[string]gateway.PresenceMode{"pbx": gateway.PresenceOn},
			Places: map[string]bool{"pbx": true}, MayLocate: func(string) bool { return true },
		})
		pres.SetEdges(w.edge, l)
		w.edge.own.Presence = pres
		defer pres.Close()
		p := w.peer(peers)
		to := toOtto()
		if _, err := pres.Begin(gateway.Watching{ID: "x y", Query: gateway.Query{To: "sip:mira@jabber.example"}, Expires: presence.Hour}); err != nil {
			t.Fatal(err)
		}
		place := &presence.Place{Point: true, Lat: 1, Lon: 2}
		to.From.JID, to.To.JID = "mira@jabber.example/phone", "otto@gw.jabber.example"
		pres.Located(gateway.Pair{User: "mira@jabber.example", Contact: "otto@gw.jabber.example"}, place)
		synctest.Wait()
		c := w.dial(to)
		invite := p.wants("INVITE sip:otto@voip.example SIP/2.0")
		id := strings.TrimSuffix(strings.TrimPrefix(p.field("geolocation"), "<cid:"), ">")
		if id == "" || p.field("geolocation-routing") != "no" || !strings.Contains(invite, "Content-ID: <"+id+">") || !strings.Contains(invite, "<gml:pos>1 2</gml:pos>") ||
			!strings.Contains(invite, "\r\nContent-Type: application/sdp\r\n\r\nv=0") || strings.Count(strings.ToLower(invite[:strings.Index(invite, "\r\n\r\n")]), "content-type") != 1 {
			t.Errorf("got\n%s", invite)
		}
		p.answer("415 Unsupported Media Type", "u1", "Accept: application/sdp", "")
		p.wants("ACK ")
		invite = p.wants("INVITE sip:otto@voip.example SIP/2.0")
		if p.field("geolocation") != "" || p.field("content-type") != "application/sdp" || !strings.Contains(invite, "PCMA") {
			t.Errorf("got\n%s", invite)
		}
		p.answer("486 Busy Here", "u2", "", "")
		p.wants("ACK ")
		c.wants(t, "ends busy 486/0 Busy Here")

		to.From.Anonymous = true
		c = w.dial(to)
		if p.wants("INVITE "); p.field("geolocation") != "" {
			t.Errorf("who does not want to be known is located\n%s", p.last)
		}
		p.answer("486 Busy Here", "u3", "", "")
		p.wants("ACK ")
		c.wants(t, "ends busy 486/0 Busy Here")
	})
}

// A message may be about a place, both ways, and says it in words too.
func TestPlaceInAMessage(t *testing.T) {
	locating(t, true, func(t *testing.T, w *world, b *postbox) {
		p := w.peer(peers)
		says := func(headers, body string) {
			t.Helper()
			p.send("MESSAGE sip:mira@jabber.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK"+w.edge.o.NewID()+"\nMax-Forwards: 70\n"+
				"From: <sip:otto@voip.example>;tag=o1\nTo: <sip:mira@jabber.example>\nCall-ID: "+w.edge.o.NewID()+"\nCSeq: 1 MESSAGE\n"+headers, body)
			synctest.Wait()
		}
		says("Content-Type: multipart/mixed;boundary=b1\nGeolocation: <cid:place@voip.example>", twoParts("text/plain", "I am here", theirPlace))
		says("Content-Type: application/pidf+xml\nContent-ID: <me>\nGeolocation: <cid:me>", theirPlace)
		says("Content-Type: multipart/mixed;boundary=b1", twoParts("text/plain", "no header", theirPlace))
		var got []string
		for _, m := range b.got {
			words := m.Body
			if m.Place != nil {
				words += " @ " + m.Place.Words()
			}
			got = append(got, words)
		}
		if want := "I am here @ geo:52.5,13.4|geo:52.5,13.4 @ geo:52.5,13.4|no header"; strings.Join(got, "|") != want {
			t.Errorf("got %q", got)
		}

		m := message.Message{
			Key: "k1", Trunk: "pbx", Kind: message.Words, Body: "See you here", Place: &presence.Place{Point: true, Lat: 1, Lon: 2},
			From: message.Address{URI: "sip:mira@jabber.example"}, To: message.Address{URI: "sip:otto@voip.example"},
		}
		var out message.Outcome
		w.edge.Carry(m, func(o message.Outcome) { out = o })
		sent := p.wants("MESSAGE sip:otto@voip.example SIP/2.0")
		if !strings.Contains(sent, "See you here") || !strings.Contains(sent, "<gml:pos>1 2</gml:pos>") || p.field("geolocation") == "" || len(sent) > 2000 {
			t.Errorf("got\n%s", sent)
		}
		p.answer("415 Unsupported Media Type", "u1", "", "")
		sent = p.wants("MESSAGE sip:otto@voip.example SIP/2.0")
		if p.field("content-type") != "text/plain;charset=UTF-8" || p.field("geolocation") != "" || !strings.HasSuffix(sent, "See you here") {
			t.Errorf("got\n%s", sent)
		}
		p.answer("202 Accepted", "u1", "", "")
		synctest.Wait()
		if out.Status != 202 {
			t.Errorf("%+v", out)
		}
		m.From.Anonymous = true
		w.edge.Carry(m, func(message.Outcome) {})
		if p.wants("MESSAGE "); p.field("geolocation") != "" {
			t.Errorf("who does not want to be known is located\n%s", p.last)
		}
		p.answer("202 Accepted", "u1", "", "")
	})
}

// Only the first so many parts of a body are looked at.
func TestPartsAreBounded(t *testing.T) {
	locating(t, true, func(t *testing.T, w *world, b *postbox) {
		var parts []part
		for range 2 * maxParts {
			parts = append(parts, part{"text/plain", "", "x"})
		}
		_, body := mixed("b1", append(parts, part{"application/pidf+xml", "place@voip.example", theirPlace})...)
		p := w.peer(peers)
		p.send("MESSAGE sip:mira@jabber.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKq\nMax-Forwards: 70\nFrom: <sip:otto@voip.example>;tag=o1\n"+
			"To: <sip:mira@jabber.example>\nCall-ID: q\nCSeq: 1 MESSAGE\nContent-Type: multipart/mixed;boundary=b1\nGeolocation: <cid:place@voip.example>", strings.ReplaceAll(body, "\r\n", "\n"))
		synctest.Wait()
		if p.wants("SIP/2.0 415 "); len(b.got) != 0 {
			t.Errorf("got %+v", b.got)
		}
	})
}
