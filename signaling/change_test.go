package signaling

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/challenge"
	"sipxmppgw/signaling/stack"
)

// The first phone may come while the gateway runs: before, its address gets no answer at all, and
// OPTIONS of a trunk says nothing of registering; then it is asked who it is, and registers. When
// the last phone is gone, it is a stranger again.
func TestPhonesThatComeLater(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		desk, pbx := w.peer(deskAddr), w.peer(peers)
		desk.send(registerBy("desk", "<sip:desk@10.0.0.2:5060>").text("UDP 10.0.0.2:5060"), "")
		desk.silent()
		pbx.send(registerBy("desk", "<sip:desk@10.0.0.2:5060>").text("UDP "+peers), "")
		pbx.wants("SIP/2.0 405")
		if s := w.edge.Stats(); s.Stack.Strangers != 1 || s.Challenged != 0 {
			t.Errorf("%d strangers, %d of them asked", s.Stack.Strangers, s.Challenged)
		}

		w.edge.ChangePhones([]Phone{{User: "desk", Secret: challenge.Secret{Password: "1234"}}})
		desk.registers("desk", "1234", "<sip:desk@10.0.0.2:5060>")
		if n := w.edge.Stats().Registered; n != 1 {
			t.Errorf("%d contacts are registered", n)
		}

		w.edge.ChangePhones(nil)
		if n := w.edge.Stats().Registered; n != 0 {
			t.Errorf("%d contacts are registered without a phone", n)
		}
		again := registerBy("desk", "<sip:desk@10.0.0.2:5060>")
		again.branch = "r9"
		desk.send(again.text("UDP 10.0.0.2:5060"), "")
		if desk.pending() && !strings.HasPrefix(desk.last, "SIP/2.0 4") {
			t.Errorf("without a phone: %s", desk.last)
		}
	})
}

// The first trunk that proves who it is, and the first that is known by a certificate, may come
// while the gateway runs.
func TestProvingTrunksThatComeLater(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		roaming := w.peer(elsewhereAddr)
		roaming.send(inviteBy("carrier").text("UDP "+elsewhereAddr), theirOffer)
		roaming.silent()
		if w.edge.peers.Load().certified {
			t.Error("connections are taken for their certificates before there is such a trunk")
		}
		now := []Trunk{{
			Name: "roaming", Next: stack.Target{Host: "198.51.100.70", Port: 5060, Transport: stack.UDP},
			Inbound: Credentials{User: "carrier", Secret: challenge.Secret{Password: "s3cret"}},
		}, {
			Name: "secure", Next: stack.Target{Host: "198.51.100.71", Transport: stack.TLS}, Identity: "secure.example",
		}}
		for _, trunk := range w.edge.trunks() {
			now = append(now, *trunk)
		}
		w.edge.ChangeTrunks(now, nil)
		s := inviteBy("carrier")
		s.branch = "i2"
		roaming.says(s, "carrier", "s3cret")
		roaming.wants("SIP/2.0 100 ")
		if !w.edge.peers.Load().certified {
			t.Error("no connection is taken for its certificate")
		}
		w.edge.ChangeTrunks(now[2:], nil)
		if !w.edge.peers.Load().certified {
			t.Error("a call over TLS that is up would be cut")
		}
	})
}

// A trunk is at another address: its call goes on where it began, new ones go the new way, and
// what comes from the old place afterwards is a stranger's.
func TestChangedTrunkDrains(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		old, moved := w.peer(peers), w.peer("203.0.113.77:5060")
		up := w.dial(toOtto())
		old.wants("INVITE ")
		old.answer("200 OK", "u77", "Contact: <sip:otto@"+peers+">", theirSDP)
		old.wants("ACK ")
		up.wants(t, "answers PCMA")

		now := []Trunk{}
		for _, trunk := range w.edge.trunks() {
			now = append(now, *trunk)
		}
		now[0].Next.Host, now[0].Sources = "203.0.113.77", []netip.Prefix{netip.MustParsePrefix("203.0.113.77/32")}
		w.edge.ChangeTrunks(now, nil)
		other := toOtto()
		other.CallID = "7e0f11c9"
		late := w.dial(other)
		moved.wants("INVITE ")
		moved.answer("486 Busy Here", "u78", "", "")
		moved.wants("ACK ")
		late.wants(t, "ends busy 486/0 Busy Here")
		old.silent()

		up.do(func() { up.leg.End(call.Normal, call.Detail{}) })
		old.wants("BYE ")
		old.answer("200 OK", "", "", "")
		up.wants(t, "ends normal 0/0 ")
		time.Sleep(2 * time.Minute)
		old.send(inviteBy("otto").text("UDP "+peers), theirOffer)
		old.silent()
		if got := w.edge.known(); len(got) != len(now) {
			t.Errorf("%d trunks are known, want %d", len(got), len(now))
		}
	})
}

// A trunk that registers is to be somebody else, and is then elsewhere: each time the old binding
// is given back before there is the new one.
func TestRegistrationMoves(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		now := []Trunk{}
		for _, trunk := range w.edge.trunks() {
			now = append(now, *trunk)
		}
		as := func(user string) map[string]Binding {
			return map[string]Binding{"pbx": {AOR: "sip:" + user + "@voip.example", Expires: 10 * time.Minute}}
		}
		old, moved := w.peer(peers), w.peer("203.0.113.77:5060")
		begins := func(at *peer, user string) (contact string) {
			t.Helper()
			at.wants("REGISTER sip:voip.example SIP/2.0\r\n")
			if contact = at.field("contact"); !strings.Contains(at.field("to"), "sip:"+user+"@") || strings.Contains(contact, "expires=0") {
				t.Fatalf("got\n%s", at.last)
			}
			at.accept("")
			return contact
		}
		leaves := func(at *peer, user, contact string) {
			t.Helper()
			at.wants("REGISTER sip:voip.example SIP/2.0\r\n")
			uri, _, _ := strings.Cut(contact, ">")
			if c := at.field("contact"); !strings.Contains(at.field("to"), "sip:"+user+"@") || !strings.HasPrefix(c, uri) || !strings.HasSuffix(c, ";expires=0") {
				t.Fatalf("got\n%s", at.last)
			}
			at.answer("200 OK", "r1", "", "")
		}
		w.edge.ChangeTrunks(now, as("one"))
		first := begins(old, "one")
		w.edge.ChangeTrunks(now, as("one")) // nothing has changed
		old.silent()
		w.edge.ChangeTrunks(now, as("two"))
		leaves(old, "one", first)
		second := begins(old, "two")
		there := slices.Clone(now)
		there[0].Next.Host, there[0].Sources = "203.0.113.77", []netip.Prefix{netip.MustParsePrefix("203.0.113.77/32")}
		w.edge.ChangeTrunks(there, as("two"))
		leaves(old, "two", second)
		third := begins(moved, "two")
		w.edge.ChangeTrunks(there, nil) // it is not to register any more
		leaves(moved, "two", third)
		old.silent()
		moved.silent()
	})
}
