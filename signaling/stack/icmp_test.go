package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

// TestUndelivered: news that a request did not arrive ends it, when it brings back what
// only those on the way have seen.
func TestUndelivered(t *testing.T) {
	peer := netip.MustParseAddrPort(theirs)
	tests := []struct {
		name   string
		method sip.RequestMethod
		rings  bool
		from   netip.AddrPort
		cut    func(sent string) string
		want   string
	}{
		{"the beginning comes back", sip.INVITE, false, peer, func(s string) string { return s[:200] }, "transport"},
		{"all of it comes back", sip.OPTIONS, false, peer, func(s string) string { return s }, "transport"},
		{"eight bytes come back", sip.INVITE, false, peer, func(s string) string { return s[:8] }, ""},
		{"half of the branch comes back", sip.INVITE, false, peer, func(s string) string { return s[:strings.Index(s, "z9hG4bK")+20] }, ""},
		{"a guessed branch comes back", sip.INVITE, false, peer, func(s string) string { return strings.Replace(s, "z9hG4bK", "z9hG4bKx", 1) }, ""},
		{"the ACK comes back", sip.INVITE, false, peer, func(s string) string { return strings.Replace(s, "INVITE", "ACK", 1) }, ""},
		{"nothing comes back", sip.INVITE, false, peer, func(string) string { return "" }, ""},
		{"another address", sip.INVITE, false, netip.MustParseAddrPort("192.0.2.3:5060"), func(s string) string { return s }, ""},
		{"it rings", sip.INVITE, true, peer, func(s string) string { return s }, "180"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{})
				var j journal
				b.stack.Request(build(tt.method, "a"), peerTarget, j.on)
				sent := b.want(string(tt.method))
				if tt.rings {
					b.send(reply(sent, "180 Ringing", "x"))
					synctest.Wait()
				}
				b.stack.undelivered(tt.from, []byte(tt.cut(sent)))
				synctest.Wait()
				if got := j.take(); got != tt.want {
					t.Errorf("events %q, want %q", got, tt.want)
				}
				if tt.want == "transport" {
					b.nothing(time.Minute)
				}
			})
		})
	}
}

// TestClosedPort: a request to a port that nobody listens at fails at once, and those to
// others at the same time do not suffer.
func TestClosedPort(t *testing.T) {
	for _, tt := range []struct{ name, ours, theirs string }{
		{"IPv4", "127.0.0.1", "127.0.0.1"}, {"IPv6", "::1", "::1"}, {"IPv4 from a socket for both", "::", "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answering := Options{OnRequest: func(tx *ServerTx) {
				if err := tx.Reply(486, ""); err != nil {
					t.Error(err)
				}
			}}
			alive, at := sockets(t, tt.theirs, answering)
			caller, _ := sockets(t, tt.ours, Options{})
			if caller == nil || alive == nil {
				return
			}
			if caller.ports[0].errors == nil {
				t.Log("this system does not tell")
				return
			}
			nobody, err := net.ListenPacket("udp", net.JoinHostPort(tt.theirs, "0"))
			if err != nil {
				t.Fatal(err)
			}
			dead := addrPort(nobody.LocalAddr())
			if err := nobody.Close(); err != nil {
				t.Fatal(err)
			}
			const calls = 200
			refused, answered := make(chan Event, 2*calls), make(chan Event, 2*calls)
			for i := range calls {
				method := []sip.RequestMethod{sip.INVITE, sip.OPTIONS}[i%2]
				id := fmt.Sprint("call", i)
				caller.Request(build(method, "dead"+id), Target{Host: dead.Addr().String(), Port: dead.Port()}, func(e Event) { refused <- e })
				caller.Request(build(method, id), Target{Host: at.Addr().String(), Port: at.Port()}, func(e Event) { answered <- e })
			}
			limit := time.After(10 * time.Second) // the timers of a request would take 32
			for range calls {
				select {
				case e := <-answered:
					if e.Err != nil || e.Response.StatusCode != 486 {
						t.Fatalf("of the living: %+v", e)
					}
				case <-limit:
					t.Fatalf("the living does not answer; %+v", caller.Stats())
				}
			}
			for range calls {
				select {
				case e := <-refused:
					if !errors.Is(e.Err, ErrTransport) {
						t.Fatalf("of the dead: %+v", e)
					}
				case <-limit:
					t.Fatalf("no word of the dead; %+v", caller.Stats())
				}
			}
			if s := caller.Stats(); s.Undelivered < calls {
				t.Errorf("%d datagrams undelivered, want %d at least", s.Undelivered, calls)
			}
		})
	}
}
