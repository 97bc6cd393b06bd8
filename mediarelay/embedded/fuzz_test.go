package embedded

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/pion/stun/v4"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
	"sipxmppgw/test/mediatest"
)

// stranger is nobody's peer.
var stranger = netip.MustParseAddrPort("127.0.0.3:9")

// A tap is a wire that keeps what is sent.
type tap struct {
	wire
	sent [][]byte
}

func (*tap) prefer(netip.AddrPort) {}

func (w *tap) send(p []byte, _ netip.AddrPort, _ bool) error {
	w.sent = append(w.sent, bytes.Clone(p))
	return nil
}

// fresh forgets what the path has learned, so that a finding does not depend on those
// before it, and returns what will be sent.
func (s *straight) fresh() *tap {
	out := &tap{}
	was := s.in.route.Load()
	h := was.hops[0]
	h.in, h.out = &inflow{}, &outflow{ssrc: h.out.ssrc}
	h.to = out
	rt := *was
	rt.hops = []hop{h}
	s.in.route.Store(&rt)
	s.in.wire, s.in.latch, s.in.early, s.in.ahead = out, latch{}, nil, nil
	return out
}

// What a stranger sends, whatever it is, goes nowhere and leaves nothing behind; what the
// peer sends goes on as one well-formed packet of ours, or not at all.
func FuzzRTP(f *testing.F) {
	f.Add(mediatest.Packet(0, 1, 1, 1, "payload"))
	f.Add([]byte{0xbf, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff})
	f.Add(append(append([]byte{0x90, 0}, make([]byte, 10)...), 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0, 'x'))
	f.Add(append(append([]byte{0xa2, 0}, make([]byte, 18)...), "payload\x00\x00\x03"...))
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0})
	clear, secure := newStraight(f, 0), newStraight(f, srtp.AES128GCM)
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, s := range []*straight{clear, secure} {
			out := s.fresh()
			give := func(from netip.AddrPort) {
				s.in.packet(s.buf, copy(s.buf[:maxPacket], p), from, s.in.t.relay.now())
			}
			give(stranger)
			if len(out.sent) > 0 || s.in.early != nil || s.in.ahead != nil || s.in.latch.locked.IsValid() {
				t.Fatalf("a stranger's packet left %d sent, the lock at %v", len(out.sent), s.in.latch.locked)
			}
			give(s.peer)
			give(stranger)
			if len(out.sent) > 1 || len(out.sent) > 0 && s == secure {
				t.Fatalf("%d packets were sent", len(out.sent))
			}
			for _, q := range out.sent {
				h := s.in.route.Load().hops[0]
				if len(q) < headerLen || q[0] != 0x80 || q[1]&0x7f != h.pt || sourceOf(q) != h.out.ssrc || !bytes.Contains(p, q[headerLen:]) {
					t.Fatalf("%x became %x", p, q)
				}
			}
		}
	})
}

// RTCP of a stranger counts for nothing; that of the peer ends here, and what it makes us
// ask of the other side has a bound.
func FuzzRTCP(f *testing.F) {
	r, err := New(Options{AllowLoopback: true, PortMin: 20000, PortMax: 29999, OwnPorts: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(r.Close)
	b, err := r.Open("path", [2]media.Policy{sipPolicy(), sipPolicy()}, func(call.Event) {})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(b.Release)
	lanes := b.ends[call.A].lanes
	for _, l := range lanes {
		l.out.ssrc = 0x01020304
		l.in.source.Store(7)
	}
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1})
	f.Add([]byte{0x81, 201, 0, 7, 0, 0, 0, 7, 1, 2, 3, 4, 0xff, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2})
	f.Add([]byte{0x81, 205, 0, 3, 0, 0, 0, 7, 1, 2, 3, 4, 0, 9, 0xff, 0xff})              // NACK
	f.Add([]byte{0x81, 206, 0, 2, 0, 0, 0, 7, 1, 2, 3, 4})                                // PLI
	f.Add([]byte{0x84, 206, 0, 4, 0, 0, 0, 7, 0, 0, 0, 0, 1, 2, 3, 4, 9, 0, 0, 0})        // FIR
	f.Add([]byte{0x81, 202, 0, 3, 0, 0, 0, 7, 1, 5, 'c', 'n', 'a', 'm', 'e', 0})          // SDES
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 7, 0x9f, 207, 0xff, 0xff, 1, 1, 1, 1})         // longer than it is
	f.Add([]byte{0x81, 203, 0, 1, 0, 0, 0, 7, 0xa0, 204, 0, 2, 0, 0, 0, 7, 'a', 0, 0, 4}) // BYE, APP, padding
	buf := make([]byte, bufferLen)
	peer := netip.MustParseAddrPort("127.0.0.2:9")
	f.Fuzz(func(t *testing.T, p []byte) {
		from := b.ends[call.A].transports[0]
		s := &socket{t: from, wire: &tap{}, lead: from.via, rtcp: true}
		s.route.Store(&route{gate: &gate{round: 1, signalled: peer}, lanes: lanes[:]})
		for _, l := range lanes {
			l.in.control.Store(0)
		}
		give := func(from netip.AddrPort) { s.reports(buf, copy(buf[:maxPacket], p), from, 1) }
		was := from.drops.wrongSource.Load()
		give(stranger)
		if from.drops.wrongSource.Load() != was+1 || lanes[0].in.control.Load() != 0 {
			t.Fatal("a stranger's report counts")
		}
		for range 3 * repairQueue {
			give(peer)
		}
		if n := lanes[media.Video].asking.Load(); n < 0 || n > repairQueue {
			t.Fatalf("%d requests for lost packets are on their way", n)
		}
	})
}

// A shared port tells its calls apart by what strangers may write too. Whatever that is,
// it goes to no call whose ufrag it does not name with the digest of its password, takes no address from a call that has
// it, and fills nothing beyond its bound.
func FuzzSTUN(f *testing.F) {
	r, err := New(Options{AllowLoopback: true, PortMin: 20000, PortMax: 29999, OwnPorts: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(r.Close)
	b, err := r.Open("path", [2]media.Policy{sipPolicy(), sipPolicy()}, func(call.Event) {})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(b.Release)
	message := func(kind uint16, attributes ...byte) []byte {
		p := make([]byte, stunHeader, stunHeader+len(attributes))
		binary.BigEndian.PutUint16(p, kind)
		binary.BigEndian.PutUint16(p[2:], uint16(len(attributes)))
		binary.BigEndian.PutUint32(p[4:], stunCookie)
		copy(p[8:], "transaction1")
		return append(p, attributes...)
	}
	f.Add(message(0x0001, 0, 6, 0, 8, 'u', 'f', 'r', 'a', ':', 'y', 'o', 'u'), uint16(1))
	f.Add(message(0x0001, 0, 6, 0, 8, 'u', 'f', 'r', 'b', ':', 'y', 'o', 'u'), uint16(2))
	f.Add(message(0x0001, 0, 6, 0xff, 0xff, 'u'), uint16(3))
	for _, pwd := range []string{"secret", "guess"} {
		m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername("ufra:you"), stun.NewShortTermIntegrity(pwd))
		if err != nil {
			f.Fatal(err)
		}
		if genuine(m.Raw, "secret") != (pwd == "secret") {
			f.Fatalf("with %q it is genuine: %v", pwd, pwd != "secret")
		}
		f.Add(m.Raw, uint16(9))
	}
	f.Add(message(0x0001, 0x80, 0x22, 0, 1, 'x', 0, 0, 0, 0, 6, 0, 3, 'a', ':', 'b'), uint16(3))
	f.Add(message(0x0101, 0, 0x20, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0), uint16(4))
	f.Add(message(0x0111, 0, 9, 0, 4, 0, 0, 4, 87), uint16(4))
	f.Add(message(0x0011), uint16(5))
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 0}, uint16(6))
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0}, uint16(7))
	f.Add(mediatest.Packet(0, 1, 1, 1, "payload"), uint16(8))
	mine := netip.MustParseAddrPort("127.0.0.2:9")
	buf := make([]byte, bufferLen)
	f.Fuzz(func(t *testing.T, p []byte, port uint16) {
		l := &line{wire: &tap{}, names: map[string]secret{}, asked: map[transaction]*socket{}}
		var calls [2]*socket
		for i, name := range []string{"ufra", "ufrb"} {
			h := &share{line: l}
			s := &socket{t: &transport{relay: r, b: b}, wire: h, local: mine}
			s.t.crowding.Store(true) // the bridge is not to look into it
			s.lead, h.s = s, s
			s.t.mux = newMux([]*socket{s})
			s.t.mux.know(credentials{name, "secret"})
			s.t.mux.serve(&iceSide{t: s.t, checks: s.t.mux, closed: true})
			calls[i] = s
		}
		l.claim(mine, calls[0])
		from := netip.AddrPortFrom(stranger.Addr(), port)
		for n := range 2 * claimsMax {
			l.packet(buf, copy(buf[:maxPacket], p), from, 1)
			l.packet(buf, copy(buf[:maxPacket], p), mine, 1)
			from = netip.AddrPortFrom(from.Addr(), port+uint16(n))
		}
		if l.owner(mine) != calls[0] {
			t.Fatal("the call has lost its address")
		}
		for i, name := range []string{"ufra", "ufrb"} {
			s := calls[i]
			named := bytes.Contains(p, []byte(name)) && genuine(p, "secret")
			waiting := s.t.mux.waiting.Load()
			switch got := len(s.t.mux.remotes); {
			case !named && (s.claims > 1-i || got > 0 || s.t.mux.knows(stranger)):
				t.Fatalf("%s has %d addresses and %d checks of those that do not name it or know its password", name, s.claims, got)
			case s.claims > claimsMax || got > maxRemotes || waiting > checkQueue:
				t.Fatalf("%s has %d addresses, %d that checked, %d checks that wait", name, s.claims, got, waiting)
			}
			if s.early != nil || s.ahead != nil {
				t.Fatal("packets were kept")
			}
		}
		if len(l.asked) > 0 || len(l.names) != len(calls) {
			t.Fatalf("%d checks of ours and %d names", len(l.asked), len(l.names))
		}
	})
}
