package signaling

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/presence"
)

// A home routes what phones ask: to each other by their names, and to the user mira.
type home struct{ *listener }

func (h home) Route(q gateway.Query) (gateway.Target, error) {
	uri, _ := requestURI(q.To)
	from := gateway.Party{JID: strings.TrimPrefix(q.Trunk, PhonePrefix) + "@gw.jabber.example"}
	local, _, _ := strings.Cut(q.To, "@")
	switch {
	case q.Edge == gateway.XMPP:
		return gateway.Target{Edge: gateway.SIP, Trunk: "phone/" + local, From: q.From, To: gateway.Party{URI: "sip:" + local + "@gw.jabber.example"}}, nil
	case uri.User == "mira":
		return gateway.Target{Edge: gateway.XMPP, From: from, To: gateway.Party{JID: "mira@jabber.example"}}, nil
	case uri.User == "desk" || uri.User == "sofa":
		return gateway.Target{Edge: gateway.SIP, Trunk: "phone/" + uri.User, From: from, To: gateway.Party{URI: q.To}}, nil
	}
	return gateway.Target{}, &call.Refusal{Cause: call.NotFound}
}

// A household are two phones that are registered, desk of juliet's and sofa of romeo's, and all
// that tells them of each other.
type household struct {
	*world
	l          *listener
	p          *gateway.Presences
	lamps      *gateway.Lamps
	desk, sofa *peer
	n          int
}

func atHome(t *testing.T, f func(t *testing.T, h *household)) {
	playWith(t, func(o *Options) {
		withPhones(o)
		for i, owner := range []string{"juliet@jabber.example", "romeo@jabber.example"} {
			o.Phones[i].Owner, o.Phones[i].Publishes = owner, i == 0
		}
	}, func(t *testing.T, w *world) {
		h := &household{world: w, l: &listener{}}
		h.p = gateway.NewPresences(gateway.PresenceOptions{
			Router: home{h.l}, Trunks: map[string]gateway.PresenceMode{"phone/desk": gateway.PresencePhone, "phone/sofa": gateway.PresencePhone},
			OnThePhone: true, Words: func(string) string { return "On the phone" },
			Voicemails: []gateway.Voicemail{{User: "juliet@jabber.example", Trunk: "pbx", To: "sip:juliet@voip.example"}},
		})
		defer h.p.Close()
		h.lamps = gateway.NewLamps(gateway.LampOptions{
			Router: home{h.l}, Allows: h.p.Allows,
			Owner: func(trunk string) string {
				return map[string]string{"phone/desk": "juliet@jabber.example", "phone/sofa": "romeo@jabber.example"}[trunk]
			},
		})
		w.edge.own.Presence, w.edge.own.Lamps = h.p, h.lamps
		h.p.SetEdges(w.edge, h.l)
		h.lamps.SetEdge(func(line string) { w.edge.Lit(&w.edge.own, line) })
		h.desk, h.sofa = w.peer(deskAddr), w.peer(sofaAddr)
		h.desk.registers("desk", "1234", `<sip:desk@10.0.0.2>;+sip.instance="<urn:uuid:1>"`)
		h.sofa.registers("sofa", "4321", "<sip:sofa@10.0.0.3>")
		synctest.Wait() // else those who subscribe at once may hear of that once more
		f(t, h)
	})
}

// asks sends a request of desk's outside of dialogs, and returns the answer.
func (h *household) asks(method, to, more, body, want string) string {
	h.t.Helper()
	h.n++
	s := say{
		method: method, uri: "sip:" + to + "@gw.jabber.example", from: "sip:desk@gw.jabber.example", to: "sip:" + to + "@gw.jabber.example",
		branch: fmt.Sprint("h", h.n), callID: fmt.Sprint("h", h.n), cseq: 1, more: more, body: body,
	}
	h.desk.says(s, "desk", "1234")
	return h.desk.wants("SIP/2.0 " + want)
}

func (h *household) watches(pkg, who, want string) string {
	h.t.Helper()
	return h.asks("SUBSCRIBE", who, "Event: "+pkg+"\nExpires: 600\nContact: <sip:desk@10.0.0.2>", "", want)
}

// told is the next NOTIFY, which is taken.
func (h *household) told(parts ...string) string {
	h.t.Helper()
	got := h.desk.wants("NOTIFY sip:desk@10.0.0.2 SIP/2.0")
	for _, p := range parts {
		if !strings.Contains(got, p) {
			h.t.Errorf("no %q in\n%s", p, got)
		}
	}
	h.desk.answer("200 OK", "", "", "")
	return got
}

// TestPhoneWatchesItsRegistration (RFC 3680): its own alone.
func TestPhoneWatchesItsRegistration(t *testing.T) {
	atHome(t, func(t *testing.T, h *household) {
		h.watches("reg", "sofa", "403")
		h.watches("reg", "desk", "200")
		h.told("Subscription-State: active;expires=600", "Content-Type: application/reginfo+xml", `version="0"`, `aor="sip:desk@gw.jabber.example"`, "<uri>sip:desk@10.0.0.2</uri>", "pub-gruu")
		time.Sleep(6 * time.Second)
		other := h.peer("203.0.113.40:5060")
		again := registerBy("desk", "<sip:desk@10.0.0.9>")
		again.callID, again.branch = "other", "other"
		other.says(again, "desk", "1234")
		other.wants("SIP/2.0 200")
		synctest.Wait()
		h.told(`version="1"`, "<uri>sip:desk@10.0.0.9</uri>", "<uri>sip:desk@10.0.0.2</uri>")
		time.Sleep(10 * time.Minute)
		h.told("terminated;reason=timeout")
		synctest.Wait()
		if h.edge.Stats().Served != 0 || len(h.edge.usages.dialog) != 0 {
			t.Errorf("%d are left", h.edge.Stats().Served)
		}
	})
}

// TestPhoneWatchesMailbox of its owner, if there is one (RFC 3842).
func TestPhoneWatchesMailbox(t *testing.T) {
	atHome(t, func(t *testing.T, h *household) {
		h.watches("message-summary", "desk", "200")
		if got := h.told("Event: message-summary"); strings.Contains(got, "Messages-Waiting") {
			t.Errorf("nothing is known yet:\n%s", got)
		}
		// The other's owner has none.
		s := say{
			method: "SUBSCRIBE", uri: "sip:sofa@gw.jabber.example", from: "sip:sofa@gw.jabber.example", to: "sip:sofa@gw.jabber.example", branch: "m", callID: "m", cseq: 1,
			more: "Event: message-summary\nContact: <sip:sofa@10.0.0.3>",
		}
		h.sofa.says(s, "sofa", "4321")
		h.sofa.wants("SIP/2.0 404")
	})
}

// TestPhoneWatchesALine: a neighbour's, and a user's who has allowed to be seen, until it does not
// any more.
func TestPhoneWatchesALine(t *testing.T) {
	atHome(t, func(t *testing.T, h *household) {
		h.watches("dialog", "mira", "403")
		h.watches("dialog", "nobody", "404")
		h.watches("dialog;id=7", "sofa", "200")
		h.told("Event: dialog;id=7", "Content-Type: application/dialog-info+xml", `state="full"`, `entity="sip:sofa@gw.jabber.example"`)
		pair := gateway.Pair{User: "mira@jabber.example", Contact: "desk@gw.jabber.example"}
		h.watches("presence", "mira", "200")
		h.told("Subscription-State: pending")
		h.p.FromUser(gateway.Presentation{Pair: pair, Type: "subscribed"})
		synctest.Wait()
		h.told("Subscription-State: active")
		h.watches("dialog", "mira", "200")
		h.told(`entity="sip:mira@gw.jabber.example"`)
		if got := strings.Join(h.l.told, ", "); got != "ask" {
			t.Errorf("the user was told %q", got)
		}
	})
}

// TestNotRegisteredPhoneWatchesNothing, though it proves who it is.
func TestNotRegisteredPhoneWatchesNothing(t *testing.T) {
	atHome(t, func(t *testing.T, h *household) {
		gone := registerBy("desk", "*")
		gone.more, gone.branch, gone.cseq = "Contact: *\nExpires: 0", "gone", 9
		h.desk.says(gone, "desk", "1234")
		h.desk.wants("SIP/2.0 200")
		h.watches("dialog", "sofa", "403")
		h.asks("PUBLISH", "desk", "Event: presence", "", "403")
	})
}

// TestWatchedTooMuch: a phone has so many subscriptions, and no more.
func TestWatchedTooMuch(t *testing.T) {
	atHome(t, func(t *testing.T, h *household) {
		for range maxServed {
			h.watches("dialog", "sofa", "200")
			h.told("dialog-info")
			time.Sleep(time.Second) // nobody is asked who they are at any pace
		}
		if got := h.watches("dialog", "sofa", "480"); !strings.Contains(got, "Retry-After: ") {
			t.Errorf("got\n%s", got)
		}
		synctest.Wait()
		if n := len(h.edge.usages.dialog); n != maxServed {
			t.Errorf("%d dialogs", n)
		}
	})
}

// TestPublished: what a phone publishes is what those see who watch it, until it is over; then that
// it is there (RFC 3903).
func TestPublished(t *testing.T) {
	const doc = `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:desk@gw.jabber.example"><tuple id="t"><status><basic>open</basic></status><note>At lunch</note></tuple></presence>`
	atHome(t, func(t *testing.T, h *household) {
		pair := gateway.Pair{User: "mira@jabber.example", Contact: "desk@gw.jabber.example"}
		var seen []string
		h.l.shown = func(s presence.State) { seen = append(seen, fmt.Sprint(s.Open, s.Notes)) }
		h.p.FromUser(gateway.Presentation{Pair: pair, Type: "subscribe"})
		synctest.Wait()
		publish := func(more, body, want string) string {
			t.Helper()
			time.Sleep(2 * time.Second)
			res := h.asks("PUBLISH", "desk", "Event: presence\n"+more, body, want)
			synctest.Wait()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			return rawHeader([]byte(res), "sip-etag", "sip-etag")
		}
		const pidfType = "Content-Type: application/pidf+xml"
		first := publish(pidfType+"\nExpires: 600", doc, "200")
		publish("SIP-If-Match: nonsense", "", "412")
		publish(pidfType+"\nExpires: 5", doc, "423")
		publish("Content-Type: text/plain", "hello", "415")
		publish(pidfType, "<presence", "400")
		publish("Expires: 600", "", "400")
		second := publish("SIP-If-Match: "+first+"\nExpires: 120", "", "200")
		if first == "" || second == "" || first == second {
			t.Errorf("the tags are %q and %q", first, second)
		}
		publish("SIP-If-Match: "+first, "", "412")
		h.asks("PUBLISH", "sofa", "Event: presence\n"+pidfType, doc, "403")
		if got := h.asks("PUBLISH", "desk", "Event: dialog\n"+pidfType, doc, "489"); !strings.Contains(got, "Allow-Events: presence, dialog, message-summary, reg, refer") {
			t.Errorf("got\n%s", got)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if got := strings.Join(seen, "; "); got != "true []; true [{ At lunch}]; true []" {
			t.Errorf("the user saw %s", got)
		}
		// The other phone may not.
		s := say{
			method: "PUBLISH", uri: "sip:sofa@gw.jabber.example", from: "sip:sofa@gw.jabber.example", to: "sip:sofa@gw.jabber.example", branch: "p", callID: "p", cseq: 1,
			more: "Event: presence\n" + pidfType, body: doc,
		}
		h.sofa.says(s, "sofa", "4321")
		h.sofa.wants("SIP/2.0 489")
	})
}

// TestPhonesWatchEachOther's presence, without anybody asked.
func TestPhonesWatchEachOther(t *testing.T) {
	atHome(t, func(t *testing.T, h *household) {
		h.watches("presence", "sofa", "200")
		h.told("Subscription-State: active", "<basic>open</basic>")
		time.Sleep(6 * time.Second)
		gone := registerBy("sofa", "*")
		gone.more, gone.branch, gone.cseq = "Contact: *\nExpires: 0", "gone", 9
		h.sofa.says(gone, "sofa", "4321")
		h.sofa.wants("SIP/2.0 200")
		synctest.Wait()
		h.told("<basic>closed</basic>")
		if len(h.l.told) != 0 {
			t.Errorf("somebody was told %q", h.l.told)
		}
	})
}
