package stack

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// sockets serves real ones at a loopback address, at the same port for UDP and TCP.
func sockets(t *testing.T, addr string, o Options) (*Stack, netip.AddrPort) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
		if err != nil {
			t.Logf("no loopback address %s here: %v", addr, err)
			return nil, netip.AddrPort{}
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err != nil {
			pc.Close() // taken by another
			continue
		}
		external := addrPort(pc.LocalAddr())
		if external.Addr().IsUnspecified() {
			external = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), external.Port())
		}
		o.Listeners = []Listener{
			{Transport: UDP, Packet: pc, External: external}, {Transport: TCP, Stream: ln, External: external},
		}
		o.Allowed = func(remote netip.AddrPort, _ Transport) bool {
			return remote.Addr().IsLoopback() && (remote.Addr().Is4() || external.Addr().Is6())
		}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s, external
	}
	t.Fatal("no free port")
	return nil, netip.AddrPort{}
}

// TestLoopback: a call between two stacks over real sockets, and no goroutine left.
func TestLoopback(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, addr := range []string{"127.0.0.1", "::1", "::"} {
		for _, transport := range []Transport{UDP, TCP} {
			t.Run(addr+" "+string(transport), func(t *testing.T) {
				acked := make(chan string, 1)
				callee, at := sockets(t, addr, Options{
					OnRequest: func(tx *ServerTx) {
						status := 200
						if tx.Request().Method == sip.INVITE {
							if err := tx.Reply(180, ""); err != nil {
								t.Error(err)
							}
						}
						if err := tx.Reply(status, ""); err != nil {
							t.Error(err)
						}
					},
					OnAck: func(r *sip.Request, _ Peer) { acked <- r.CallID().Value() },
				})
				if callee == nil {
					return
				}
				caller, _ := sockets(t, addr, Options{})
				to := Target{Transport: transport, Host: at.Addr().String(), Port: at.Port()}
				events := make(chan Event, 10)
				on := func(e Event) { events <- e }
				caller.Request(build(sip.INVITE, "a"), to, on)
				want := []int{180, 200}
				for _, status := range want {
					select {
					case e := <-events:
						if e.Err != nil || e.Response.StatusCode != status || !strings.HasPrefix(e.Response.Source(), net.JoinHostPort(to.Host, "")) {
							t.Fatalf("got %+v, want %d", e, status)
						}
					case <-time.After(10 * time.Second):
						t.Fatalf("no %d; caller %+v, callee %+v", status, caller.Stats(), callee.Stats())
					}
				}
				caller.Send(build(sip.ACK, "a"), to, func(err error) { t.Error(err) })
				caller.Request(build(sip.BYE, "a"), to, on)
				if id := <-acked; id != "a" {
					t.Errorf("ACK of %s", id)
				}
				if e := <-events; e.Err != nil || e.Response.StatusCode != 200 {
					t.Errorf("got %+v, want 200", e)
				}
			})
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// TestConnectionsAtOnce: messages of several connections are read side by side.
func TestConnectionsAtOnce(t *testing.T) {
	const peers, each = 4, 20
	_, at := sockets(t, "127.0.0.1", Options{OnRequest: answering(t)})
	errs := make(chan error, peers)
	for i := range peers {
		go func() { // until it has its answers
			conn, err := net.Dial("tcp", at.String())
			if err != nil {
				errs <- err
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			for n := range each {
				if _, err := fmt.Fprintf(conn, "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK%d-%d\r\nMax-Forwards: 70\r\n"+
					"From: <sip:a@b>;tag=1\r\nTo: <sip:x>\r\nCall-ID: %d-%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", i, n, i, n); err != nil {
					errs <- err
					return
				}
			}
			got := bufio.NewReader(conn)
			for range each {
				for line := ""; line != "\r\n"; {
					if line, err = got.ReadString('\n'); err != nil {
						errs <- err
						return
					}
				}
			}
			errs <- nil
		}()
	}
	for range peers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
