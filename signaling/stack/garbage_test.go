package stack

import (
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestGarbage: thousands of broken messages, and the stack answers the next good one, and
// keeps nothing of them.
func TestGarbage(t *testing.T) {
	messages := tortures()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Limits: fast, OnRequest: func(tx *ServerTx) {
			_ = tx.Reply(200, "") // the peer may be gone
		}})
		r := rand.New(rand.NewPCG(1, 2))
		broken := func() []byte {
			raw := append([]byte(nil), messages[r.IntN(len(messages))]...)
			for range r.IntN(4) {
				raw[r.IntN(len(raw))] = byte(r.IntN(256))
			}
			switch r.IntN(4) {
			case 0:
				raw = raw[:r.IntN(len(raw))]
			case 1:
				raw = append(raw, messages[r.IntN(len(messages))]...)
			}
			return raw
		}
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(ours))
		for range 4000 {
			if _, err := b.peer.WriteTo(broken(), to); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for range 400 {
			c := b.connect()
			c.Write(broken()) // it may be closed already
			synctest.Wait()
			c.Close()
		}
		for {
			b.peer.SetReadDeadline(time.Now().Add(time.Minute))
			if _, _, err := b.peer.ReadFrom(make([]byte, 65536)); err != nil {
				break
			}
		}
		b.send(request("OPTIONS", "good"))
		b.want("SIP/2.0 200")
		c := b.connect()
		c.send(overTCP(request("OPTIONS", "good2")))
		c.want("SIP/2.0 200")
		c.Close()
		time.Sleep(time.Minute)
		st := b.stack.Stats()
		if st.ServerTxs != 0 || st.ClientTxs != 0 || st.Conns != 0 || st.Panics != 0 || st.Refused != 0 || st.Unparsed != 0 {
			t.Errorf("got %+v", st)
		}
		t.Logf("%+v", st)
	})
}

// TestPipelinedTorture: the messages one behind the other on streams; none hides another.
func TestPipelinedTorture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Limits: fast, OnRequest: func(tx *ServerTx) {
			_ = tx.Reply(200, "") // the peer may be gone
		}})
		for _, raw := range tortures() {
			c := b.connect()
			for range 3 {
				c.Write(raw) // it may be closed already
				synctest.Wait()
			}
			io.WriteString(c, wire(overTCP(request("OPTIONS", "after"))))
			synctest.Wait()
			c.Close()
		}
		time.Sleep(time.Minute)
		if st := b.stack.Stats(); st.Unparsed != 0 || st.Panics != 0 || st.Refused != 0 || st.ServerTxs != 0 {
			t.Errorf("got %+v", st)
		}
	})
}
