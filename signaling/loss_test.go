package signaling

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/memnet"
)

// TestLoss makes calls between two gateways over a network that loses, doubles nothing and
// gives no reason (RELIABILITY 7, row 13): with one datagram in ten lost all come about, with
// one in five nearly all, and in the end no dialog is left anywhere.
func TestLoss(t *testing.T) {
	tests := []struct {
		name  string
		loss  float64
		least int
	}{
		{"none", 0, 100},
		{"one in ten", 0.1, 100},
		{"one in five", 0.2, 95},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New()
				a := pair(t, n, "192.0.2.1", "192.0.2.2")
				b := pair(t, n, "192.0.2.2", "192.0.2.1")
				var mu sync.Mutex
				chance := rand.New(rand.NewPCG(1, 2))
				n.Lose(func(_, _ netip.AddrPort, _ []byte) bool {
					mu.Lock()
					defer mu.Unlock()
					return chance.Float64() < tt.loss
				})
				b.calls.answering = true
				good := 0
				var calls []*fakeCall
				for range 100 {
					target := toOtto()
					target.CallID = ""
					calls = append(calls, a.dial(target))
					<-time.After(100 * time.Millisecond)
				}
				<-time.After(20 * time.Second)
				for _, c := range calls {
					c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
				}
				<-time.After(3 * time.Minute)
				for _, c := range calls {
					if ended(c.events) {
						good++
					}
				}
				if good < tt.least {
					t.Errorf("%d of 100 calls were good, want %d", good, tt.least)
				}
				for name, w := range map[string]*world{"caller": a, "callee": b} {
					if s := w.edge.Stats(); s.Dialogs != 0 || s.Stack.ServerTxs != 0 || s.Stack.ClientTxs != 0 {
						t.Errorf("%s: left over: %+v", name, s)
					}
					if err := w.edge.Close(); err != nil {
						t.Error(err)
					}
					w.calls.close()
				}
				if got := len(b.calls.calls); got > 100 {
					t.Errorf("%d calls of 100 arrived", got)
				}
			})
		})
	}
}

// ended reports whether a call was answered and then hung up.
func ended(events chan call.Event) bool {
	answered := false
	for {
		select {
		case e := <-events:
			switch e := e.(type) {
			case call.LegAnswered:
				answered = true
			case call.LegEnded:
				return answered && e.Cause == call.Normal
			}
		default:
			return false
		}
	}
}

// pair is a gateway whose only trunk is another.
func pair(t *testing.T, n *memnet.Net, own, other string) *world {
	t.Helper()
	packet, err := n.ListenPacket(own + ":5060")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, net: n, calls: newFakeCalls()}
	w.edge, err = New(Options{
		Calls: w.calls,
		Stack: stack.Options{Listeners: []stack.Listener{{Transport: stack.UDP, Packet: packet}}},
		Trunks: []Trunk{{
			Name: "pbx", Next: stack.Target{Host: other},
			Sources: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(other), 32)},
		}},
		Host: own,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.calls.route = func(q gateway.Query) (gateway.Target, error) {
		return gateway.Target{Edge: gateway.XMPP, To: gateway.Party{URI: q.To, JID: "mira@jabber.example"}}, nil
	}
	return w
}
