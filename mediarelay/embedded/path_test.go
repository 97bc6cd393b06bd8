package embedded

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
	"sipxmppgw/test/mediatest"
)

// straight is a socket whose packets go to another, protected both ways if asked.
type straight struct {
	in    *socket
	peer  netip.AddrPort
	far   *srtp.Sender // of the peer; nil for clear
	plain []byte
	buf   []byte
	seq   uint16
}

func newStraight(tb testing.TB, profile srtp.Profile) *straight {
	tb.Helper()
	r, err := New(Options{Engine: testEngine, AllowLoopback: true, PortMin: 20000, PortMax: 29999, OwnPorts: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	b, err := r.Open("path", [2]media.Policy{sipPolicy(), sipPolicy()}, func(call.Event) {})
	if err != nil {
		tb.Fatal(err)
	}
	from, to := b.ends[call.A], b.ends[call.B]
	s := &straight{
		in:    &socket{t: from.transports[0], wire: from.transports[0].via.wire, lead: from.transports[0].via},
		peer:  netip.MustParseAddrPort("127.0.0.1:9"),
		plain: mediatest.Packet(0, 0, 0, 7, string(make([]byte, 160))),
		buf:   make([]byte, bufferLen),
	}
	name := "PCMU"
	h := hop{
		in: &from.lanes[0].in, out: &to.lanes[0].out, name: &name, clock: 8000, mark: true, pt: 8,
		to: to.transports[0].way(), dest: s.peer,
	}
	rt := &route{gate: &gate{round: 1, signalled: s.peer}}
	if profile != 0 {
		key, salt := profile.Lengths()
		one := master{make([]byte, key), make([]byte, salt)}
		ours, err := newKeys(profile, one, one)
		if err != nil {
			tb.Fatal(err)
		}
		theirs, err := newKeys(profile, one, one)
		if err != nil {
			tb.Fatal(err)
		}
		s.far, rt.secure, rt.rx, h.protect = theirs.flows[0], true, ours.rx, ours.flows[0]
	}
	rt.hops = []hop{h}
	rt.types[0] = 1
	s.in.route.Store(rt)
	return s
}

// next makes the path's next packet.
func (s *straight) next(tb testing.TB) (n int) {
	s.seq++
	s.plain[2], s.plain[3] = byte(s.seq>>8), byte(s.seq)
	if s.far == nil {
		return copy(s.buf, s.plain)
	}
	p, err := s.far.Protect(append(s.buf[:0], s.plain...))
	if err != nil {
		tb.Fatal(err)
	}
	return len(p)
}

var profiles = []struct {
	name    string
	profile srtp.Profile
}{
	{"clear", 0},
	{"GCM", srtp.AES128GCM},
	{"CM80", srtp.AES128CM80},
}

func TestPathAllocatesNothing(t *testing.T) {
	for _, p := range profiles {
		s := newStraight(t, p.profile)
		allocs := testing.AllocsPerRun(200, func() { s.in.packet(s.buf, s.next(t), s.peer, s.in.t.relay.now()) })
		if allocs > poolLoss {
			t.Errorf("%s: %v allocations a packet", p.name, allocs)
		}
		if d := s.in.t.drops.read(); d != (media.Drops{}) {
			t.Errorf("%s: dropped %+v", p.name, d)
		}
		if sent := s.in.route.Load().hops[0].out.packets.Load(); sent < 200 {
			t.Errorf("%s: %d packets were sent", p.name, sent)
		}
	}
}

func BenchmarkPath(b *testing.B) {
	for _, p := range profiles {
		b.Run(p.name, func(b *testing.B) {
			s := newStraight(b, p.profile)
			b.ReportAllocs()
			for b.Loop() {
				s.in.packet(s.buf, s.next(b), s.peer, s.in.t.relay.now())
			}
		})
	}
}

func TestPayloadStart(t *testing.T) {
	tests := []struct {
		name  string
		in    []byte
		start int
		ok    bool
	}{
		{"plain", mediatest.Packet(0, 1, 1, 1, "x"), 12, true},
		{"two contributing sources", append([]byte{0x82}, make([]byte, 20)...), 20, true},
		{"sources that are not there", []byte{0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, false},
		{"an extension of one word", append(append([]byte{0x90}, make([]byte, 11)...), 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 'x'), 20, true},
		{"an extension cut short", append(append([]byte{0x90}, make([]byte, 11)...), 0xbe, 0xde, 0, 9, 1), 0, false},
		{"an extension without length", append(append([]byte{0x90}, make([]byte, 11)...), 0xbe), 0, false},
	}
	for _, tt := range tests {
		start, ok := payloadStart(tt.in)
		if ok != tt.ok || ok && start != tt.start {
			t.Errorf("%s: got %d, %v; want %d, %v", tt.name, start, ok, tt.start, tt.ok)
		}
	}
}

// Extensions, contributing sources and padding stay behind.
func TestPathStripsTheHeader(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	p := mediatest.Packet(0, 1, 1, 1, "")
	p[0] = 0x80 | 0x20 | 0x10 | 1
	p = append(p, 0, 0, 0, 9, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0)
	p = append(p, "payload\x00\x00\x03"...)
	if _, err := a.Conn.WriteToUDPAddrPort(p, a.To); err != nil {
		t.Fatal(err)
	}
	got := b.Hear()
	if string(got.Payload) != "payload" || got.Padding || got.Extension || len(got.CSRC) != 0 {
		t.Errorf("B heard %+v", got)
	}
}

// What a peer says before the other end is there waits, the last 200 ms of it.
func TestFirstWords(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcmu()))
	a.Call(g.Answered(2, call.A, b.Describe(media.Active, pcmu())))
	for i := range uint16(holdMax + 2) {
		a.Say(0, 100+i, 160*uint32(i), string(rune('a'+i)))
	}
	eventually(t, "holding", func() bool { return g.Stats()[call.A].Dropped.NoRoute == 2 })
	offer.Streams[0].Transport.DTLS.Setup = media.Passive
	if err := connect(b, offer, false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	a.Say(0, 100+holdMax+2, 160*(holdMax+2), "m")
	var seq uint16
	for i := range uint16(holdMax + 1) {
		got := b.Hear()
		if want := string(rune('c' + i)); string(got.Payload) != want || i > 0 && got.SequenceNumber != seq+1 {
			t.Fatalf("packet %d after %d: got %q, want %q", got.SequenceNumber, seq, got.Payload, want)
		}
		seq = got.SequenceNumber
	}
}

// What was said long before the other end is there is not meant for who hears it now.
func TestWordsOfLongAgo(t *testing.T) {
	s := newStraight(t, 0)
	ready := s.in.route.Load()
	waiting := *ready
	waiting.hops = slices.Clone(ready.hops)
	waiting.hops[0].pending = true
	s.in.route.Store(&waiting)
	now := s.in.t.relay.now()
	for _, late := range []time.Duration{0, holdFor} {
		s.in.packet(s.buf, s.next(t), s.peer, now+int64(late))
	}
	s.in.route.Store(ready)
	s.in.packet(s.buf, s.next(t), s.peer, now+int64(holdFor)+1)
	if n, d := ready.hops[0].out.packets.Load(), s.in.t.drops.read(); n != 2 || d != (media.Drops{NoRoute: 1}) {
		t.Errorf("%d packets were sent, dropped %+v", n, d)
	}
}

// A peer's first packets may be there before its keys are.
func TestPacketsBeforeKeys(t *testing.T) {
	s := newStraight(t, srtp.AES128GCM)
	ready := s.in.route.Load()
	waiting := *ready
	waiting.rx = nil
	s.in.route.Store(&waiting)
	for range 3 {
		s.in.packet(s.buf, s.next(t), s.peer, s.in.t.relay.now())
	}
	out := ready.hops[0].out
	if n := out.packets.Load(); n != 0 {
		t.Fatalf("%d packets were sent without keys", n)
	}
	s.in.route.Store(ready)
	s.in.packet(s.buf, s.next(t), s.peer, s.in.t.relay.now())
	if n := out.packets.Load(); n != 4 {
		t.Errorf("%d packets were sent, want 4", n)
	}
	if d := s.in.t.drops.read(); d != (media.Drops{}) {
		t.Errorf("dropped %+v", d)
	}
}

// A packet may even come before the peer has said where it is; then that is checked.
func TestPacketsBeforeTheAnswer(t *testing.T) {
	s := newStraight(t, 0)
	ready := s.in.route.Load()
	waiting := *ready
	waiting.gate = &gate{}
	s.in.route.Store(&waiting)
	stranger := netip.MustParseAddrPort("127.0.0.3:9")
	s.in.packet(s.buf, s.next(t), stranger, s.in.t.relay.now())
	s.in.packet(s.buf, s.next(t), s.peer, s.in.t.relay.now())
	s.in.route.Store(ready)
	s.in.packet(s.buf, s.next(t), s.peer, s.in.t.relay.now())
	if n, d := ready.hops[0].out.packets.Load(), s.in.t.drops.read(); n != 2 || d.WrongSource != 1 {
		t.Errorf("%d packets were sent, dropped %+v", n, d)
	}
}
