package signaling

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/torture"
)

// TestStorm: thousands of messages that chance has changed, over datagrams and connections. All
// the time the OPTIONS of another trunk is answered in two seconds, and afterwards nothing is
// left of them: no transaction, no connection, no memory. synctest finds goroutines that stay.
func TestStorm(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.calls.refuse = &call.Refusal{Cause: call.Busy}
		attacker, good := w.peer(peers), w.peer("198.51.100.40:5060")
		storm := torture.NewStorm(1, "mira")
		asks := 0
		answered := func() {
			t.Helper()
			for attacker.conn.SetReadDeadline(time.Now()) == nil {
				if _, _, err := attacker.conn.ReadFrom(make([]byte, 65536)); err != nil {
					break
				}
			}
			asks++
			good.raw(strings.ReplaceAll(fmt.Sprintf("OPTIONS sip:gw.jabber.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.40:5060;branch=z9hG4bKgood%d\n"+
				"Max-Forwards: 70\nFrom: <sip:good@voip.example>;tag=1\nTo: <sip:gw.jabber.example>\nCall-ID: good%d\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n", asks, asks), "\n", "\r\n"))
			if err := good.conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 65536)
			if n, _, err := good.conn.ReadFrom(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "SIP/2.0 200 ") {
				t.Fatalf("the other trunk got %.40q, %v after %d", buf[:n], err, asks)
			}
		}
		<-time.After(5 * time.Second) // for the tokens
		answered()
		before := heap()

		from := torture.From{Transport: "UDP", Addr: peers, ID: "storm"}
		for i := range 6000 {
			attacker.raw(string(storm.Next(from)))
			<-time.After(5 * time.Millisecond)
			if i%100 == 0 {
				answered()
			}
		}
		from.Transport = "TCP"
		for i := range 600 {
			c, err := w.net.Dial(context.Background(), netip.MustParseAddr("198.51.100.9"), netip.MustParseAddrPort(ours))
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if _, err := c.Write(storm.Next(from)); err != nil {
					break // it is over
				}
				<-time.After(5 * time.Millisecond)
			}
			c.Close()
			if i%20 == 0 {
				answered()
			}
		}
		<-time.After(2 * time.Minute)
		answered()
		<-time.After(2 * time.Minute)
		st := w.edge.Stats()
		t.Logf("%+v", st.Stack)
		if s := st.Stack; st.Dialogs != 0 || s.ServerTxs != 0 || s.ClientTxs != 0 || s.Conns != 0 || s.Panics != 0 || s.Unparsed != 0 || s.Refused != 0 {
			t.Errorf("got %+v", st)
		}
		if s := st.Stack; s.Throttled != 0 || s.Received < 8000 || s.Rejected < 1000 || s.Dropped < 100 {
			t.Errorf("this was no storm: %+v", s)
		}
		if after := heap(); after > before+16<<20 {
			t.Errorf("%d MB of heap, %d before", after>>20, before>>20)
		}
	})
}

// heap is what is in use when all that can be freed is.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
