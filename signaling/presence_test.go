package signaling

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/presence"
)

// A listener is the XMPP side: it notes what it is told.
type listener struct {
	told  []string
	shown func(presence.State) // instead of what is told of states; may be nil
}

func (l *listener) note(format string, a ...any) { l.told = append(l.told, fmt.Sprintf(format, a...)) }

func (l *listener) Allow(gateway.Pair)       { l.note("allow") }
func (l *listener) Disallow(gateway.Pair)    { l.note("disallow") }
func (l *listener) Ask(gateway.Pair, string) { l.note("ask") }
func (l *listener) Look(gateway.Pair)        { l.note("look") }

func (l *listener) Tell(_ gateway.Pair, s presence.State) {
	if l.shown != nil {
		l.shown(s)
		return
	}
	l.note("tell %v", s.Open)
}

func (l *listener) Doing(gateway.Pair, presence.Activity) {}
func (l *listener) Locate(_ gateway.Pair, p *presence.Place) {
	l.note("locate %v", p.Words())
}
func (l *listener) Mail(string, gateway.Mailbox)  {}
func (l *listener) Missed(string, gateway.Record) {}
func (l *listener) Language(string) string        { return "en" }
func (l *listener) Route(q gateway.Query) (gateway.Target, error) {
	return gateway.Target{
		Edge: 1 - q.Edge, Trunk: "pbx", From: gateway.Party{URI: "sip:mira@jabber.example", JID: "otto@gw.jabber.example"},
		To: gateway.Party{URI: "sip:otto@voip.example", JID: "mira@jabber.example"},
	}, nil
}

// watching plays with an edge that does presence with the trunk pbx.
func watching(t *testing.T, f func(t *testing.T, w *world, p *gateway.Presences, l *listener)) {
	play(t, func(t *testing.T, w *world) {
		l := &listener{}
		p := gateway.NewPresences(gateway.PresenceOptions{Router: l, Trunks: map[string]gateway.PresenceMode{"pbx": gateway.PresenceOn}})
		p.SetEdges(w.edge, l)
		w.edge.own.Presence = p
		defer p.Close()
		f(t, w, p, l)
	})
}

// notify is a NOTIFY in the dialog of our last SUBSCRIBE.
func (p *peer) notify(sub string, cseq int, tag, body string) {
	p.w.t.Helper()
	f := func(name string) string { return rawHeader([]byte(sub), name, name) }
	head := fmt.Sprintf("NOTIFY %s SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKn%d%s\nMax-Forwards: 70\nFrom: %s;tag=%s\nTo: %s\n"+
		"Call-ID: %s\nCSeq: %d NOTIFY\nContact: <sip:pa@198.51.100.9:5060>\nEvent: presence\nSubscription-State: active;expires=60",
		address(f("contact")).URI, cseq, tag, f("to"), tag, f("from"), f("call-id"), cseq)
	p.raw(strings.ReplaceAll(head+fmt.Sprintf("\nContent-Type: application/pidf+xml\nContent-Length: %d\n\n%s", len(body), body), "\n", "\r\n"))
}

// Only the trunk itself is believed, in the dialog that it has, and in order.
func TestNotifyOfSomeoneElse(t *testing.T) {
	watching(t, func(t *testing.T, w *world, p *gateway.Presences, l *listener) {
		peer := w.peer(peers)
		p.FromUser(gateway.Presentation{Pair: gateway.Pair{User: "mira@jabber.example", Contact: "otto@gw.jabber.example"}, Type: "subscribe"})
		sub := peer.wants("SUBSCRIBE sip:otto@voip.example SIP/2.0")
		for _, want := range []string{"Event: presence", "Expires: 3600", "Accept: application/pidf+xml", "Max-Forwards: 70", "From: <sip:mira@jabber.example>;tag="} {
			if !strings.Contains(sub, want) {
				t.Errorf("no %s in\n%s", want, sub)
			}
		}
		peer.answer("200 OK", "n5", "Expires: 3600\nContact: <sip:pa@198.51.100.9:5060>", "")
		synctest.Wait()
		const open = `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:otto@voip.example"><tuple id="t"><status><basic>open</basic></status></tuple></presence>`
		other := w.peer("198.51.100.40:5060")
		other.notify(sub, 1, "n5", open)
		other.wants("SIP/2.0 403 ")
		peer.notify(sub, 5, "n6", open)
		peer.wants("SIP/2.0 481 ")
		if len(l.told) != 0 {
			t.Errorf("the user was told %q", l.told)
		}
		peer.notify(sub, 5, "n5", open)
		peer.wants("SIP/2.0 200 ")
		peer.notify(sub, 4, "n5", strings.Replace(open, ">open<", ">closed<", 1))
		peer.wants("SIP/2.0 500 ")
		synctest.Wait()
		if got := strings.Join(l.told, ", "); got != "allow, ask, tell true" {
			t.Errorf("the user was told %q", got)
		}
	})
}

// What is not asked for in a way that can be served has an answer of its own.
func TestSubscribeThatCannotBe(t *testing.T) {
	tests := []struct{ name, headers, want string }{
		{"no event", "Contact: <sip:otto@198.51.100.9>", "SIP/2.0 489 "},
		{"another event", "Contact: <sip:otto@198.51.100.9>\nEvent: reg", "SIP/2.0 489 "},
		{"no contact", "Event: presence", "SIP/2.0 400 "},
		{"another document", "Contact: <sip:otto@198.51.100.9>\nEvent: presence\nAccept: application/cpim-pidf+xml", "SIP/2.0 406 "},
		{"an extension", "Contact: <sip:otto@198.51.100.9>\nEvent: presence\nRequire: eventlist", "SIP/2.0 420 "},
		{"too brief", "Contact: <sip:otto@198.51.100.9>\nEvent: presence\nExpires: 5", "SIP/2.0 423 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, func(t *testing.T, w *world, _ *gateway.Presences, _ *listener) {
				peer := w.peer(peers)
				peer.send("SUBSCRIBE sip:mira@jabber.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs1\nMax-Forwards: 70\n"+
					"From: <sip:otto@voip.example>;tag=o1\nTo: <sip:mira@jabber.example>\nCall-ID: w1@198.51.100.9\nCSeq: 1 SUBSCRIBE\n"+tt.headers, "")
				peer.wants(tt.want)
				synctest.Wait()
				if n := len(w.edge.usages.dialog); n != 0 {
					t.Errorf("%d subscriptions are left", n)
				}
			})
		})
	}
}
