package signaling

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/presence"
)

// TestChallengedOutsideOfCalls answers there as in calls: each way once, once more for a nonce
// that has become stale, and the requests of one nonce count.
func TestChallengedOutsideOfCalls(t *testing.T) {
	pair := gateway.Pair{User: "mira@jabber.example", Contact: "otto@gw.jabber.example"}
	mira := gateway.Party{URI: "sip:mira@jabber.example", JID: "mira@jabber.example"}
	for _, tt := range []struct {
		name  string
		begin func(w *world, p *peer)
	}{
		{"MESSAGE", func(w *world, _ *peer) {
			w.edge.Carry(message.Message{
				Trunk: "pbx", Key: "k1", Kind: message.Words, Body: "hello",
				From: message.Address{URI: mira.URI}, To: message.Address{URI: "sip:otto@voip.example"},
			}, func(message.Outcome) {})
		}},
		{"SUBSCRIBE", func(w *world, _ *peer) {
			w.edge.Subscribe(gateway.Subscription{
				Pair: pair, Package: gateway.PackagePresence, Trunk: "pbx", From: mira, To: "sip:otto@voip.example", New: true, Expires: time.Hour,
			})
		}},
		{"PUBLISH", func(w *world, _ *peer) {
			w.edge.Publish(gateway.Publication{Pair: pair, Trunk: "pbx", User: mira, Publish: presence.Publish{Expires: time.Hour}})
		}},
		{"NOTIFY", func(_ *world, p *peer) {
			p.send(`SUBSCRIBE sip:mira@jabber.example SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs1
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=o1
To: <sip:mira@jabber.example>
Call-ID: w1@198.51.100.9
CSeq: 1 SUBSCRIBE
Contact: <sip:otto@198.51.100.9>
Event: presence`, "")
			p.wants("SIP/2.0 200 ")
			time.Sleep(600 * time.Millisecond) // many at once are spread
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, func(t *testing.T, w *world, _ *gateway.Presences, _ *listener) {
				p := w.peer(peers)
				tt.begin(w, p)
				next := func() {
					t.Helper()
					for last := p.field("cseq"); ; {
						if p.wants(tt.name + " "); p.field("cseq") != last {
							return // it is not the last, sent again
						}
					}
				}
				next()
				tag := "u1"
				if tt.name == "NOTIFY" {
					tag = "" // it is in a dialog
				}
				p.answer("401 Unauthorized", tag, "WWW-Authenticate: "+challengeOf("AKAv1-MD5", "")+"\nWWW-Authenticate: "+challengeOf("SHA-256", ""), "")
				next()
				if c := p.proof("authorization"); c.Algorithm != "SHA-256" || c.Nc != 1 {
					t.Errorf("%v in\n%s", c, p.last)
				}
				p.answer("407 Proxy Authentication Required", tag, "Proxy-Authenticate: "+challengeOf("MD5", ""), "")
				next()
				if c, proxy := p.proof("authorization"), p.proof("proxy-authorization"); c.Nc != 2 || proxy.Nc != 1 {
					t.Errorf("%v, %v", c, proxy)
				}
				stale := strings.Replace(challengeOf("MD5", ",stale=true"), "n-MD5", "n-2", 1)
				p.answer("407 Proxy Authentication Required", tag, "Proxy-Authenticate: "+stale, "")
				next()
				if c, proxy := p.proof("authorization"), p.proof("proxy-authorization"); c.Nc != 3 || proxy.Nc != 1 || proxy.Nonce != "n-2" {
					t.Errorf("%v, %v", c, proxy)
				}
				p.answer("407 Proxy Authentication Required", tag, "Proxy-Authenticate: "+stale, "")
				synctest.Wait()
				p.silent()
			})
		})
	}
}
