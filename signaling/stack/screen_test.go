package stack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

// asking lets a request in that has credentials, asks for them otherwise, and knows nothing
// of OPTIONS.
func asking(shut *atomic.Bool) *Screen {
	return &Screen{
		Open: func(netip.Addr) bool { return !shut.Load() },
		Judge: func(req *sip.Request, p Peer) Judgement {
			switch {
			case req.Method == sip.OPTIONS:
				return Judgement{}
			case req.GetHeader("Authorization") != nil:
				return Judgement{Take: true}
			}
			return Judgement{Status: 401, Headers: []sip.Header{sip.NewHeader("WWW-Authenticate", "Digest realm="+p.Addr.Addr().String())}}
		},
	}
}

// TestScreen: a stranger is asked without a transaction, and the same way each time.
func TestScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shut atomic.Bool
		taken := 0
		b := newBed(t, Options{
			Screen:  asking(&shut),
			Allowed: func(netip.AddrPort, Transport) bool { return false },
			OnRequest: func(tx *ServerTx) {
				taken++
				if back := tx.Back(); back.Host != "192.0.2.2" || back.Local.String() != ours {
					t.Errorf("the way back is %+v", back)
				}
				if err := tx.Reply(200, ""); err != nil {
					t.Error(err)
				}
			},
		})
		b.send(request("MESSAGE", "a"))
		first := b.want("SIP/2.0 401")
		b.send(request("MESSAGE", "a"))
		if again := b.want("SIP/2.0 401"); first != again || !strings.Contains(first, "WWW-Authenticate: Digest realm=192.0.2.2\r\n") {
			t.Errorf("got\n%s\nand then\n%s", first, again)
		}
		for _, silent := range []string{
			request("OPTIONS", "b"), request("DANCE", "c"), "nonsense", strings.Replace(request("MESSAGE", "d"), "SIP/2.0", "SIP/7.0", 1),
		} {
			b.send(silent)
		}
		b.nothing(time.Second)
		if st := b.stack.Stats(); st.ServerTxs != 0 || taken != 0 {
			t.Errorf("%d transactions", st.ServerTxs)
		}
		b.send(strings.Replace(request("MESSAGE", "e"), "Content-Length", "Authorization: x\nContent-Length", 1))
		b.want("SIP/2.0 200")
		shut.Store(true)
		b.send(strings.Replace(request("MESSAGE", "f"), "Content-Length", "Authorization: x\nContent-Length", 1))
		b.nothing(time.Second)
		if taken != 1 {
			t.Errorf("%d requests were taken", taken)
		}
	})
}

// TestScreenOfAConnection: it is a stranger's for a minute, and kept when it has said who it is.
func TestScreenOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{
			Screen:    asking(new(atomic.Bool)),
			Limits:    Limits{StrangerRate: 1000},
			OnRequest: func(tx *ServerTx) { _ = tx.Reply(200, "") },
		})
		var lines []*line
		for i := range 7 {
			lines = append(lines, b.dialAs(fmt.Sprintf("192.0.2.%d", 20+i)))
		}
		synctest.Wait()
		if st := b.stack.Stats(); st.Conns != 7 {
			t.Errorf("%d connections of strangers", st.Conns)
		}
		lines[0].send(overTCP(request("MESSAGE", "a")))
		lines[0].want("SIP/2.0 401")
		lines[0].send(overTCP(strings.Replace(request("MESSAGE", "b"), "Content-Length", "Authorization: x\nContent-Length", 1)))
		lines[0].want("SIP/2.0 200")
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if st := b.stack.Stats(); st.Conns != 1 {
			t.Errorf("%d connections after a minute, want the one that has proved who it is", st.Conns)
		}
		if _, open := b.stack.Flow(func(p Peer) bool { return p.Addr.Addr().String() == "192.0.2.20" }); !open {
			t.Error("it is another one")
		}
	})
}

// TestStrangersTogether: however many they are, they get so much and no more.
func TestStrangersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{
			Screen:    asking(new(atomic.Bool)),
			Allowed:   func(netip.AddrPort, Transport) bool { return false },
			Limits:    Limits{StrangersRate: 10},
			OnRequest: func(*ServerTx) { t.Error("a request came through") },
		})
		for i := range 30 {
			b.sendFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 5060), request("MESSAGE", fmt.Sprint(i)))
		}
		synctest.Wait()
		if st := b.stack.Stats(); st.Sent != 20 || st.Throttled != 10 {
			t.Errorf("%d were answered, and %d dropped; want 20 and 10", st.Sent, st.Throttled)
		}
	})
}

// TestBusy: what begins is refused without a trace, what goes on is served.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		busy := true
		b := newBed(t, Options{
			Busy:      func(method string) bool { asked = append(asked, method); return busy && method != "OPTIONS" },
			OnRequest: func(tx *ServerTx) { _ = tx.Reply(200, "") },
		})
		b.send(request("MESSAGE", "a"))
		if got := b.want("SIP/2.0 503"); !strings.Contains(got, "\r\nRetry-After: ") {
			t.Errorf("got\n%s", got)
		}
		if st := b.stack.Stats(); st.ServerTxs != 0 || st.Shed != 1 {
			t.Errorf("%d transactions, %d shed", st.ServerTxs, st.Shed)
		}
		b.send(request("OPTIONS", "b"))
		b.want("SIP/2.0 200")
		b.send(strings.Replace(request("BYE", "c"), "To: <sip:juliet@example.com>", "To: <sip:juliet@example.com>;tag=x", 1))
		if got := b.want("SIP/2.0 200"); !strings.Contains(got, "BYE") || len(asked) != 2 {
			t.Errorf("asked about %v, and answered\n%s", asked, got)
		}
		busy = false
		b.send(request("MESSAGE", "d"))
		b.want("SIP/2.0 200")
	})
}

// dialAs connects from an address.
func (b *bed) dialAs(addr string) *line {
	b.t.Helper()
	c, err := b.net.Dial(context.Background(), netip.MustParseAddr(addr), netip.MustParseAddrPort(ours))
	if err != nil {
		b.t.Fatal(err)
	}
	return newLine(b.t, c)
}

// sendFrom sends a datagram from an address.
func (b *bed) sendFrom(addr netip.AddrPort, text string) {
	b.t.Helper()
	pc, err := b.net.ListenPacket(addr.String())
	if err != nil {
		b.t.Fatal(err)
	}
	defer pc.Close()
	if _, err := pc.WriteTo([]byte(wire(text)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(ours))); err != nil {
		b.t.Fatal(err)
	}
}
