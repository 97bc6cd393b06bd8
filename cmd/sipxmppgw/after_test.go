package main

import (
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

// Two hundred calls, one after the other and of every kind, leave nothing behind.
func TestManyCallsInSequence(t *testing.T) {
	t.Parallel()
	const (
		users = 10
		calls = 200
	)
	w := newWorld(t, setup{users: users})
	clients := make([]*jinglephone.Phone, users)
	for i := range clients {
		clients[i] = w.client(i, "phone", conversations)
	}
	want := map[call.Cause]int{}
	for i := range calls {
		client, user := clients[i/4%users], i/4%users // each of them makes and gets a call of each kind
		switch i % 4 {
		case 0:
			c, callee := w.dial(0, client, user)
			answered(t, c, callee)
			hangUp(t, callee, c)
			want[call.Normal]++
		case 1:
			c, callee := w.dial(0, client, user)
			if err := callee.Busy(); err != nil {
				t.Fatal(err)
			}
			until(t, c, phone.Ended)
			want[call.Busy]++
		case 2:
			c, callee := w.call(client, 0)
			until(t, c, phone.Ringing)
			hangUp(t, c, callee)
			want[call.Cancelled]++
		case 3:
			c, callee := w.call(client, 0)
			if err := callee.Decline(); err != nil {
				t.Fatal(err)
			}
			until(t, c, phone.Ended)
			want[call.Declined]++
		}
	}
	w.quiet()
	got := map[call.Cause]int{}
	for i := range calls {
		got[w.record(i).Cause]++
	}
	for cause, n := range want {
		if got[cause] != n {
			t.Errorf("%d calls ended as %v, want %d", got[cause], cause, n)
		}
	}
}

// Thirty calls at once each hear their own, and leave nothing behind.
func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	const calls = 30
	coming := make(chan *sipphone.Call, calls)
	w := newWorld(t, setup{users: calls, phones: []behind{{phone: sipphone.Options{
		Codecs: speech, Incoming: func(c *sipphone.Call) { coming <- c },
	}}}})
	type pair struct{ caller, callee phone.Call }
	pairs := make([]pair, calls)
	atSIP := map[string]*sipphone.Call{}
	for i := range pairs {
		incoming := make(chan *jinglephone.Call, 1)
		client := w.client(i, "phone", jinglephone.Options{Codecs: speech, Incoming: func(c *jinglephone.Call) { incoming <- c }})
		if i%2 == 0 {
			c, err := w.sip[0].Place(w.uri(i), sipphone.Placing{From: "sip:" + extension(i) + "@127.0.1.1"})
			if err != nil {
				t.Fatal(err)
			}
			pairs[i] = pair{c, take(t, incoming)}
			continue
		}
		c, err := client.Dial(contact(0))
		if err != nil {
			t.Fatal(err)
		}
		pairs[i] = pair{caller: c}
		came := take(t, coming)
		atSIP[came.ID()] = came
		pairs[i].callee = came
	}
	if n := w.d.active(); n != calls {
		t.Errorf("%d calls at once, want %d", n, calls)
	}
	var all sync.WaitGroup
	for i, p := range pairs {
		all.Go(func() { // until the call has ended
			if err := p.callee.Accept(); err != nil {
				t.Error(err)
				return
			}
			for _, c := range []phone.Call{p.caller, p.callee} {
				if err := c.WaitState(limit(t), phone.Active); err != nil {
					t.Errorf("call %d: %v", i, err)
					return
				}
			}
			// What is said in each call is its own.
			frames := audio.Frames(40+i, 160)[i:]
			for _, way := range []pair{p, {p.callee, p.caller}} {
				if err := way.callee.Heard().Wait(limit(t), func(s audio.Statistics) bool { return s.Packets > 0 }); err != nil {
					t.Errorf("call %d: %v", i, err)
					return
				}
				if err := way.caller.Sender().PlayFrames(limit(t), frames); err != nil {
					t.Errorf("call %d: %v", i, err)
					return
				}
				arrived := func(audio.Statistics) bool { return audio.Arrived(frames, way.callee.Heard().Payloads()) == 1 }
				if err := way.callee.Heard().Wait(limit(t), arrived); err != nil {
					t.Errorf("call %d: of what was said came %.2f: %v", i, audio.Arrived(frames, way.callee.Heard().Payloads()), err)
				}
			}
			if err := p.caller.HangUp(); err != nil {
				t.Error(err)
			}
			if err := p.callee.WaitState(limit(t), phone.Ended); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	all.Wait()
	w.quiet()
	for i := range calls {
		w.cause(i, call.Normal)
	}
	if w.d.relay.Counters().PortsRest == 0 {
		t.Error("no port rests before it is used again")
	}
	// The SIP side forgets its transactions when late messages can no longer come.
	if !poll(40*time.Second, func() bool { s := w.d.sip.Stats(); return s.Stack.ServerTxs+s.Stack.ClientTxs+s.Dialogs == 0 }) {
		t.Errorf("left on the SIP side: %+v", w.d.sip.Stats())
	}
}
