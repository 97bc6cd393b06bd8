package main

import (
	"fmt"
	"strings"
	"testing"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

// The first trunk of a route is not there, or says nothing, and the second has the call, with
// media of its own kind; also where the caller was answered first.
func TestNextTrunkHasTheCall(t *testing.T) {
	t.Parallel()
	const away = "  - {name: away, address: \"127.0.0.1:9\", transport: tcp, sources: [192.0.2.0/24]%s}\n"
	tests := []struct {
		name          string
		first, second behind
		trunks        string
		list          string
	}{
		{name: "refused connection", trunks: fmt.Sprintf(away, ""), list: "[away, t1]"},
		{name: "silence", first: behind{phone: sipphone.Options{Behaviour: sipphone.Behaviour{Silent: true}}}, list: "[t0, t1]"},
		{name: "another codec", trunks: fmt.Sprintf(away, ", codecs: [PCMU]"), second: behind{trunk: ", codecs: [PCMA]"}, list: "[away, t1]"},
		{name: "a caller that was answered first", trunks: fmt.Sprintf(away, ", early_media: true"), second: behind{trunk: ", early_media: true"}, list: "[away, t1]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.first.phone.Codecs, tt.second.phone.Codecs = speech, speech
			tt.second.phone.User = "+49551"
			w := newWorld(t, setup{
				phones: []behind{tt.first, tt.second}, trunks: tt.trunks,
				routes: "  - {from: \"*\", to: \"+4955\", trunk: " + tt.list + "}\n",
			})
			incoming := make(chan *sipphone.Call, 4)
			w.sip[1].OnIncoming(func(c *sipphone.Call) { incoming <- c })
			c, err := w.client(0, "phone", conversations).Dial("+49551@" + testGW)
			if err != nil {
				t.Fatal(err)
			}
			callee := take(t, incoming)
			answered(t, c, callee)
			talk(t, c, callee)
			hangUp(t, c, callee)
			w.cause(0, call.Normal)
			if r := w.record(0); r.Trunk != "t1" || r.Leg(gateway.SIP).Received.Packets == 0 || r.Leg(gateway.XMPP).Received.Packets == 0 {
				t.Errorf("record %+v", r)
			}
			faultless(t, c, callee)
		})
	}
}

// A number rings at two users and a telephone; each of them takes one call, and is heard. The
// others are told that it was answered elsewhere.
func TestGroupRings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{
		users: 2, phones: []behind{{phone: sipphone.Options{Codecs: speech}}, {phone: sipphone.Options{Codecs: speech, User: "101"}}},
		more: fmt.Sprintf("groups:\n  - {number: \"+4977\", trunk: t1, members: [%s, %s, \"sip:101@127.0.1.2\"]}\n", account(0), account(1)),
	})
	users := make([]chan *jinglephone.Call, 2)
	for i := range users {
		users[i] = make(chan *jinglephone.Call, 4)
		w.client(i, "phone", jinglephone.Options{
			Codecs: speech, Behaviour: jinglephone.Conversations(), Incoming: func(c *jinglephone.Call) { users[i] <- c },
		})
	}
	desk := make(chan *sipphone.Call, 4)
	w.sip[1].OnIncoming(func(c *sipphone.Call) { desk <- c })
	uri := "sip:+4977@" + strings.TrimPrefix(w.d.sipUp[0], "udp:")
	for winner := range 3 {
		c, err := w.sip[0].Dial(uri)
		if err != nil {
			t.Fatal(err)
		}
		callees := []phone.Call{take(t, users[0]), take(t, users[1]), take(t, desk)}
		answered(t, c, callees[winner])
		for i, other := range callees {
			if i == winner {
				continue
			}
			until(t, other, phone.Ended)
			end := other.End()
			if !end.ByPeer || i < 2 && (end.Reason != "cancel" || end.Text != "answered elsewhere") || i == 2 && end.Reason != "CANCEL" {
				t.Errorf("%d has the call, and %d saw %+v", winner, i, end)
			}
		}
		talk(t, c, callees[winner])
		hangUp(t, c, callees[winner])
		faultless(t, append(callees, c)...)
		w.cause(winner, call.Normal)
	}
}
