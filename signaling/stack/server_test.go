package stack

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

// TestAutomatic487: without a word of the user's on cancelling, the stack answers the
// INVITE, with the tag of the 180 before.
func TestAutomatic487(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tx *ServerTx
		b := newBed(t, Options{OnRequest: func(r *ServerTx) {
			tx = r
			if err := r.Reply(180, ""); err != nil {
				t.Error(err)
			}
		}})
		invite := request("INVITE", "a")
		cancel := strings.ReplaceAll(invite, "INVITE", "CANCEL")
		b.send(invite)
		ringing := b.want("SIP/2.0 180")
		b.send(cancel)
		ok := b.want("SIP/2.0 200")
		terminated := b.want("SIP/2.0 487")
		if field(ok, "CSeq") != "1 CANCEL" || field(terminated, "CSeq") != "1 INVITE" ||
			field(ok, "To") != field(ringing, "To") || field(terminated, "To") != field(ringing, "To") {
			t.Errorf("got\n%s%s%s", ringing, ok, terminated)
		}
		b.send(cancel) // again
		if again := b.want("SIP/2.0 200"); again != ok {
			t.Errorf("got\n%swant\n%s", again, ok)
		}
		if got := b.want("SIP/2.0 487"); got != terminated { // timer G
			t.Errorf("got\n%swant\n%s", got, terminated)
		}
		b.send(strings.Replace(strings.ReplaceAll(invite, "INVITE", "ACK"), "To: <sip:juliet@example.com>", "To: "+field(terminated, "To"), 1))
		b.nothing(time.Minute)
		if err := tx.Reply(200, ""); !errors.Is(err, ErrAnswered) {
			t.Errorf("200 after the 487: got %v, want %v", err, ErrAnswered)
		}
		called := 0
		tx.OnCancel(func(*sip.Request) { called++ })
		if called != 1 {
			t.Errorf("said of the CANCEL %d times, want once, late", called)
		}
	})
}

func TestRequestsThatFindNothing(t *testing.T) {
	inDialog := func(s string) string {
		return strings.Replace(s, "To: <sip:juliet@example.com>", "To: <sip:juliet@example.com>;tag=t1", 1)
	}
	tests := []struct {
		name, send, want string
	}{
		{"CANCEL without an INVITE", request("CANCEL", "a"), "SIP/2.0 481"},
		{"CANCEL of another branch", strings.Replace(request("CANCEL", "a"), "z9hG4bKa", "z9hG4bKz", 1), "SIP/2.0 481"},
		{"same request another way", strings.Replace(request("MESSAGE", "first"), "z9hG4bKfirst", "z9hG4bKother", 1), "SIP/2.0 482"},
		{"same request in a dialog", inDialog(strings.Replace(request("MESSAGE", "first"), "z9hG4bKfirst", "z9hG4bKother", 1)), "SIP/2.0 202"},
		{"same request again", request("MESSAGE", "first"), "SIP/2.0 202"},
		{"version of another protocol", strings.Replace(request("OPTIONS", "a"), "SIP/2.0", "SIP/%.999d<xml>", 1), "SIP/2.0 505"},
		{"method that nobody knows", request("DANCE", "a"), "SIP/2.0 501"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{OnRequest: func(tx *ServerTx) {
					if err := tx.Reply(202, ""); err != nil {
						t.Error(err)
					}
				}})
				b.send(request("MESSAGE", "first"))
				first := b.want("SIP/2.0 202")
				b.send(test.send)
				got := b.want(test.want)
				if strings.HasPrefix(test.name, "same request again") && got != first {
					t.Errorf("got\n%swant\n%s", got, first)
				}
				b.send(test.send)
				if again := b.want(test.want); field(again, "To") != field(got, "To") {
					t.Errorf("To is %q, then %q", field(got, "To"), field(again, "To"))
				}
			})
		})
	}
}

// TestWhereResponsesGo: RFC 3261 section 18.2.2 and RFC 3581.
func TestWhereResponsesGo(t *testing.T) {
	tests := []struct {
		name, via, to, want string
	}{
		{
			name: "rport: to where it came from", via: "SIP/2.0/UDP 10.0.0.9:5070;rport;branch=z9hG4bKa",
			to: theirs, want: "SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKa;received=192.0.2.2;rport=5060",
		},
		{
			name: "no rport: to the port of the Via", via: "SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKa",
			to: "192.0.2.2:5070", want: "SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKa",
		},
		{
			name: "a forged received changes nothing", via: "SIP/2.0/UDP 10.0.0.9:5070;received=203.0.113.9;rport=9;branch=z9hG4bKa",
			to: theirs, want: "SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKa;received=192.0.2.2;rport=5060",
		},
		{
			name: "host name: to the address it came from", via: "SIP/2.0/UDP pc33.example.com;branch=z9hG4bKa",
			to: theirs, want: "SIP/2.0/UDP pc33.example.com;branch=z9hG4bKa;received=192.0.2.2",
		},
		{
			name: "old peer without a branch", via: "SIP/2.0/UDP 192.0.2.2",
			to: theirs, want: "SIP/2.0/UDP 192.0.2.2",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{OnRequest: func(tx *ServerTx) {
					if err := tx.Reply(200, ""); err != nil {
						t.Error(err)
					}
				}})
				if test.to != theirs {
					other, err := b.net.ListenPacket(test.to)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { other.Close() })
					sender := b.peer
					b.send(strings.Replace(request("OPTIONS", "a"), "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKa;rport", test.via, 1))
					b.peer = other
					defer func() { b.peer = sender }()
				} else {
					b.send(strings.Replace(request("OPTIONS", "a"), "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKa;rport", test.via, 1))
				}
				if got := field(b.want("SIP/2.0 200"), "Via"); got != test.want {
					t.Errorf("Via is %q, want %q", got, test.want)
				}
			})
		})
	}
}

// TestOldPeer: an INVITE of RFC 2543, its retransmission, and the ACK of its refusal, which
// has another branch or none.
func TestOldPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		b := newBed(t, Options{OnRequest: func(tx *ServerTx) {
			n++
			if err := tx.Reply(486, ""); err != nil {
				t.Error(err)
			}
		}})
		invite := strings.Replace(request("INVITE", "a"), ";branch=z9hG4bKa;rport", "", 1)
		b.send(invite)
		b.want("SIP/2.0 486")
		b.send(invite)
		busy := b.want("SIP/2.0 486")
		b.send(strings.Replace(strings.ReplaceAll(invite, "INVITE", "ACK"), "To: <sip:juliet@example.com>", "To: "+field(busy, "To"), 1))
		b.nothing(time.Minute)
		if n != 1 {
			t.Errorf("%d INVITEs reached the user, want 1", n)
		}
	})
}

// TestWhatPeersWroteIsEchoed: parameters that sipgo's own types would lose come back.
func TestWhatPeersWroteIsEchoed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{OnRequest: func(tx *ServerTx) {
			if err := tx.Reply(200, ""); err != nil {
				t.Error(err)
			}
		}})
		b.send(strings.NewReplacer(
			"From: <sip:romeo@example.net>;tag=ra", `f :"Romeo \"M\"" <sip:romeo@example.net;x=1> ; TAG = ra;q="a b"`,
			"Max-Forwards", "Via: SIP / 2.0 / TCP p1.example.net ; branch=z9hG4bK1 , SIP/2.0/UDP p2.example.net;branch=z9hG4bK2;x=\"a;b\"\nMax-Forwards",
			"CSeq", "Record-Route: <sip:p1.example.net;lr>, \"P\" <sip:p2.example.net;lr;ftag=a=b>\nCSeq",
		).Replace(request("SUBSCRIBE", "a", "o: presence")))
		got := b.want("SIP/2.0 200")
		for _, want := range []string{
			`From: "Romeo \"M\"" <sip:romeo@example.net;x=1>;tag=ra;q="a b"`,
			"Via: SIP/2.0/TCP p1.example.net;branch=z9hG4bK1",
			`Via: SIP/2.0/UDP p2.example.net;branch=z9hG4bK2;x="a;b"`,
			"Record-Route: <sip:p1.example.net;lr>",
			`Record-Route: "P" <sip:p2.example.net;lr;ftag=a=b>`,
		} {
			if !strings.Contains(got, want+"\r\n") {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
	})
}

func TestTransactionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Limits: Limits{Transactions: 3}, OnRequest: func(*ServerTx) {}})
		for _, id := range []string{"a", "b", "c"} {
			b.send(request("MESSAGE", id))
		}
		b.nothing(time.Second)
		b.send(request("MESSAGE", "d"))
		b.want("SIP/2.0 503")
		if st := b.stack.Stats(); st.ServerTxs != 3 || st.Shed != 1 {
			t.Errorf("%d transactions, %d shed; want 3 and 1", st.ServerTxs, st.Shed)
		}
	})
}

func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]bool{}
		b := newBed(t, Options{
			Allowed: func(remote netip.AddrPort, tr Transport) bool {
				asked[remote.String()+" "+string(tr)] = true
				return false
			},
			OnRequest: func(*ServerTx) { t.Error("a request came through") },
		})
		b.send(request("OPTIONS", "a"))
		b.send("nonsense")
		b.nothing(time.Minute)
		if st := b.stack.Stats(); st.Strangers != 2 || st.Received != 0 || st.Sent != 0 {
			t.Errorf("got %+v, want two strangers and nothing else", st)
		}
		if !asked[theirs+" UDP"] {
			t.Errorf("asked for %v", asked)
		}
	})
}

func TestStrangersAtTheirPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{
			Strangers: true,
			Allowed:   func(netip.AddrPort, Transport) bool { return false },
			Limits:    Limits{StrangerRate: 2, StrangerBurst: 5},
			OnRequest: func(tx *ServerTx) {
				if tx.Known() {
					t.Error("a stranger is known")
				}
				if err := tx.Reply(401, ""); err != nil {
					t.Error(err)
				}
			},
		})
		count := func(send int) (got int) {
			for i := range send {
				b.send(strings.Replace(request("OPTIONS", "a"), "z9hG4bKa", "z9hG4bK"+strings.Repeat("x", i+1), 1))
			}
			b.peer.SetReadDeadline(time.Now().Add(time.Millisecond))
			for {
				if _, _, err := b.peer.ReadFrom(make([]byte, 2000)); err != nil {
					return got
				}
				got++
			}
		}
		if got := count(20); got != 5 {
			t.Errorf("%d answers at once, want 5", got)
		}
		time.Sleep(time.Second)
		if got := count(20); got != 2 {
			t.Errorf("%d answers a second later, want 2", got)
		}
	})
}

func TestMeterForgets(t *testing.T) {
	m := newMeter(3)
	for i := range 10 {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		if !m.take(a, 1, 1) {
			t.Errorf("%v may not go on", a)
		}
	}
	if len(m.paces) != 3 || m.order.Len() != 3 {
		t.Errorf("%d sources are remembered, want 3", len(m.paces))
	}
	one, two := netip.MustParseAddr("2001:db8:1:2::1"), netip.MustParseAddr("2001:db8:1:2::2")
	if !m.take(one, 1, 1) || m.take(two, 1, 1) {
		t.Error("addresses of one /64 are not one source")
	}
}

func TestTraceSeesBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		b := newBed(t, Options{
			Trace: func(p Packet) {
				mu.Lock()
				defer mu.Unlock()
				dir := map[bool]string{true: ">", false: "<"}[p.Out]
				got = append(got, strings.Join([]string{dir, string(p.Transport), p.Local.String(), p.Remote.String(), firstLine(string(p.Raw))}, " "))
			},
			OnRequest: func(tx *ServerTx) {
				if err := tx.Reply(200, ""); err != nil {
					t.Error(err)
				}
			},
		})
		b.send(request("OPTIONS", "a"))
		b.want("SIP/2.0 200")
		b.send(request("DANCE", "b"))
		b.want("SIP/2.0 501")
		synctest.Wait()
		want := []string{
			"< UDP " + ours + " " + theirs + " OPTIONS sip:juliet@example.com SIP/2.0",
			"> UDP " + ours + " " + theirs + " SIP/2.0 200 OK",
			"< UDP " + ours + " " + theirs + " DANCE sip:juliet@example.com SIP/2.0",
			"> UDP " + ours + " " + theirs + " SIP/2.0 501 Not Implemented",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestListenersThatCannotBeServed(t *testing.T) {
	pc, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, l := range []Listener{
		{Transport: UDP, Packet: pc},
		{Transport: TCP, Packet: pc},
		{Transport: TLS},
	} {
		if s, err := New(Options{Listeners: []Listener{l}}); err == nil {
			s.Close()
			t.Errorf("%s listener at %v was taken", l.Transport, pc.LocalAddr())
		}
	}
	s, err := New(Options{Listeners: []Listener{{Transport: UDP, Packet: pc, External: netip.MustParseAddrPort("203.0.113.5:0")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, ok := s.Local(UDP, netip.MustParseAddr("192.0.2.2"))
	if port := pc.LocalAddr().(*net.UDPAddr).Port; !ok || a != netip.AddrPortFrom(netip.MustParseAddr("203.0.113.5"), uint16(port)) {
		t.Errorf("local address is %v, want the external one and port %d", a, port)
	}
	if a, ok := s.Local(UDP, netip.MustParseAddr("2001:db8::1")); ok {
		t.Errorf("local address for IPv6 is %v, want none", a)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tx *ServerTx
		b := newBed(t, Options{OnRequest: func(r *ServerTx) { tx = r }})
		var j journal
		b.stack.Request(build(sip.INVITE, "a"), peerTarget, j.on)
		b.want("INVITE")
		b.send(request("INVITE", "b"))
		synctest.Wait()
		if err := b.stack.Close(); err != nil {
			t.Error(err)
		}
		if got := j.take(); got != "closed" {
			t.Errorf("events %q, want that it is closed", got)
		}
		if err := tx.Reply(200, ""); err != nil && !errors.Is(err, ErrTransport) {
			t.Errorf("reply: got %v", err)
		}
		b.stack.Request(build(sip.INVITE, "c"), peerTarget, j.on)
		b.stack.Request(build(sip.INVITE, "d"), Target{Transport: TCP, Host: "192.0.2.2"}, j.on)
		b.stack.Request(build(sip.INVITE, "e"), Target{Host: "example.net"}, j.on)
		b.nothing(time.Minute)
		if got := j.take(); got != "" {
			t.Errorf("events %q after Close", got)
		}
		if err := b.stack.Close(); !errors.Is(err, ErrClosed) {
			t.Errorf("second Close: got %v, want %v", err, ErrClosed)
		}
	})
}

// TestSlowDownOverStream: a stream is slowed down, and nothing of it is lost.
func TestSlowDownOverStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Limits: Limits{KnownRate: 10, KnownBurst: 5}, OnRequest: answering(t)})
		c := b.connect()
		start := time.Now()
		for i := range 25 {
			c.send(overTCP(request("OPTIONS", strings.Repeat("x", i+1))))
		}
		for range 25 {
			c.want("SIP/2.0 200")
		}
		if d := time.Since(start); d < 1900*time.Millisecond || d > 3*time.Second {
			t.Errorf("took %v, want about 2s", d)
		}
		if got := b.stack.Stats().Throttled; got == 0 || got > 20 {
			t.Errorf("%d delayed, want 1 to 20", got)
		}
	})
}

// TestNothingIsKept: a transaction ends also when its response cannot be sent, or never comes.
func TestNothingIsKept(t *testing.T) {
	tests := []struct {
		name, method string
		status       int // 0 for none
	}{
		{"INVITE answered to nobody", "INVITE", 200},
		{"INVITE refused to nobody", "INVITE", 486},
		{"INVITE ringing for nobody", "INVITE", 180},
		{"MESSAGE answered to nobody", "MESSAGE", 200},
		{"MESSAGE never answered", "MESSAGE", 0},
		{"MESSAGE answered by a promise", "MESSAGE", 100},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tx *ServerTx
				b := newBed(t, Options{OnRequest: func(r *ServerTx) { tx = r }})
				c := b.connect()
				c.send(overTCP(request(test.method, "a")))
				synctest.Wait()
				c.Close()
				synctest.Wait()
				if test.status != 0 {
					if err := tx.Reply(test.status, ""); !errors.Is(err, ErrTransport) {
						t.Errorf("reply: got %v, want %v", err, ErrTransport)
					}
				}
				time.Sleep(33 * time.Second)
				if n := b.stack.Stats().ServerTxs; n != 0 {
					t.Errorf("%d transactions are left", n)
				}
			})
		})
	}
}
