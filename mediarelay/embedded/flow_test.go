package embedded

import (
	"net/netip"
	"testing"
	"time"
)

func TestAdmit(t *testing.T) {
	type in struct {
		ssrc uint32
		seq  uint16
		want bool
	}
	tests := []struct {
		name      string
		authentic bool
		packets   []in
		lost      int64
	}{
		{"in order", false, []in{{1, 10, true}, {1, 11, true}, {1, 12, true}}, 0},
		{"one lost", false, []in{{1, 10, true}, {1, 12, true}}, 1},
		{"one late", false, []in{{1, 10, true}, {1, 12, true}, {1, 11, true}}, 0},
		{"over the end of numbers", false, []in{{1, 65535, true}, {1, 0, true}, {1, 1, true}}, 0},
		{"a forged jump", false, []in{{1, 10, true}, {1, 30000, false}, {1, 11, true}, {1, 40000, false}, {1, 12, true}}, 0},
		{"a true jump", false, []in{{1, 10, true}, {1, 30000, false}, {1, 30001, true}, {1, 30002, true}}, 0},
		{"an authentic jump", true, []in{{1, 10, true}, {1, 30000, true}}, 0},
		{"a forged source", false, []in{{1, 10, true}, {2, 11, false}, {1, 11, true}, {2, 20, false}, {1, 12, true}}, 0},
		{"another source", false, []in{{1, 10, true}, {1, 12, true}, {2, 500, false}, {2, 501, true}, {2, 502, true}}, 1},
		{"an authentic other source", true, []in{{1, 10, true}, {2, 500, true}}, 0},
	}
	for _, tt := range tests {
		var f inflow
		for i, p := range tt.packets {
			if got := f.admit(p.ssrc, p.seq, tt.authentic); got != p.want {
				t.Errorf("%s: packet %d: got %v", tt.name, i, got)
			}
		}
		if got := f.expected.Load() - f.packets.Load(); got != tt.lost {
			t.Errorf("%s: lost %d, want %d", tt.name, got, tt.lost)
		}
	}
}

func TestJitter(t *testing.T) {
	var steadyFlow, uneven inflow
	for i := range int64(100) {
		at := i * int64(20*time.Millisecond)
		steadyFlow.time(uint32(160*i), 8000, at)
		uneven.time(uint32(160*i), 8000, at+i%2*int64(10*time.Millisecond))
	}
	if _, j := steadyFlow.jitters(); j != 0 {
		t.Errorf("a steady flow has jitter %v", time.Duration(j))
	}
	u, j := uneven.jitters()
	if j < 9*time.Millisecond || j > 10*time.Millisecond {
		t.Errorf("packets 10 ms apart have jitter %v", j)
	}
	if u < 72 || u > 80 {
		t.Errorf("packets 80 units apart have jitter %d", u)
	}
}

func TestOutflow(t *testing.T) {
	in := &inflow{clock: 8000}
	o := &outflow{lastSeq: 999, lastTS: 5000}
	second := int64(time.Second)
	check := func(what string, ssrc uint32, seq uint16, ts uint32, now int64, wantSeq uint16, wantTS uint32, wantBegins bool) {
		t.Helper()
		in.admit(ssrc, seq, true)
		gotSeq, gotTS, begins := o.next(in, seq, ts, now)
		if gotSeq != wantSeq || gotTS != wantTS || begins != wantBegins {
			t.Errorf("%s: got %d at %d, %v; want %d at %d, %v", what, gotSeq, gotTS, begins, wantSeq, wantTS, wantBegins)
		}
	}
	check("first", 1, 10, 100, second, 1000, 5000, true)
	check("second", 1, 11, 260, second, 1001, 5160, false)
	check("after a loss the gap stays", 1, 13, 580, second, 1003, 5480, false)
	check("late", 1, 12, 420, second, 1002, 5320, false)
	o.skip(in, 14)
	check("after one that is not passed on", 1, 15, 900, second, 1004, 5800, false)
	check("another source goes on where we were, a second later", 2, 40000, 7, 2*second, 1005, 13800, true)
	o.again = true
	check("after hold", 2, 40050, 8007, 3*second, 1006, 21800, true)
	in.clock = 48000
	check("another clock", 2, 40051, 8967, 3*second+second/50, 1007, 22760, true)
}

// Reports tell when they are sent, and the timestamp of then, though nothing was sent for long.
func TestToldTimestamp(t *testing.T) {
	o := &outflow{}
	if _, ok := o.told(1); ok {
		t.Error("there is a timestamp before there is a packet")
	}
	ms := int64(time.Millisecond)
	const late = 1 << 33 // milliseconds, of which 32 bits are kept
	o.stamped(0xffffff00, 44100, (late+1000)*ms)
	for _, tt := range []struct {
		now  int64 // in milliseconds after late
		want uint32
	}{
		{1000, 0xffffff00},
		{1020, 626},
		{999, 0xffffff00 - 44}, // the packet came while the report was made
		{1000 + 3600*1000, 158_760_000 - 256},
	} {
		if got, ok := o.told((late + tt.now) * ms); got != tt.want || !ok {
			t.Errorf("at %d ms: got %d, want %d", tt.now, got, tt.want)
		}
	}
}

func TestLatch(t *testing.T) {
	peer, alias, thief := "192.0.2.1:4000", "192.0.2.1:5000", "198.51.100.9:4000"
	hiddenPeer := "10.0.0.1:4000"
	type in struct {
		from string
		ssrc uint32
		want bool
	}
	repeat := func(from string, ssrc uint32, want ...bool) (all []in) {
		for _, w := range want {
			all = append(all, in{from, ssrc, w})
		}
		return all
	}
	tests := []struct {
		name    string
		gate    gate
		packets []in
	}{
		{"the signalled address", gate{round: 1, signalled: netip.MustParseAddrPort(peer)}, repeat(peer, 1, true, true)},
		{"the signalled IP, another port", gate{round: 1, signalled: netip.MustParseAddrPort(peer)}, []in{{alias, 1, true}, {alias, 1, true}, {peer, 1, false}}},
		{"a stranger", gate{round: 1, signalled: netip.MustParseAddrPort(peer)}, repeat(thief, 1, false, false, false, false, false, false)},
		{"a stranger where NAT is expected", gate{round: 1, signalled: netip.MustParseAddrPort(peer), behind: true}, repeat(thief, 1, false, false, false, false, false, false)},
		{"a private address without NAT", gate{round: 1, signalled: netip.MustParseAddrPort(hiddenPeer)}, repeat(alias, 1, false, false, false, false, false, false)},
		{"behind a NAT", gate{round: 1, signalled: netip.MustParseAddrPort(hiddenPeer), behind: true}, append(repeat(alias, 1, false, false, false, false, true, true), in{thief, 1, false})},
		{"behind a NAT, another guessing", gate{round: 1, signalled: netip.MustParseAddrPort(hiddenPeer), behind: true}, []in{
			{alias, 1, false},
			{thief, 2, false},
			{alias, 1, false},
			{thief, 3, false},
			{alias, 1, false},
			{thief, 4, false},
			{alias, 1, false},
			{thief, 5, false},
			{alias, 1, true},
			{thief, 6, false},
		}},
		{"nobody yet", gate{}, repeat(peer, 1, false)},
	}
	for _, tt := range tests {
		var l latch
		for i, p := range tt.packets {
			if got, _ := l.admit(&tt.gate, netip.MustParseAddrPort(p.from), 0, p.ssrc, uint16(i)); got != p.want {
				t.Errorf("%s: packet %d: got %v", tt.name, i, got)
			}
		}
	}

	var l latch
	g := gate{round: 1, signalled: netip.MustParseAddrPort(peer)}
	l.admit(&g, netip.MustParseAddrPort(peer), 0, 1, 1)
	g = gate{round: 2, signalled: netip.MustParseAddrPort(thief)}
	if ok, locks := l.admit(&g, netip.MustParseAddrPort(thief), 0, 1, 2); !ok || !locks {
		t.Error("a new negotiation does not open the lock")
	}
}

func TestUsername(t *testing.T) {
	head := make([]byte, stunHeader)
	tests := []struct {
		name, attributes, want string
	}{
		{"first", "\x00\x06\x00\x03a:b\x00", "a:b"},
		{"after another", "\x80\x22\x00\x02xy\x00\x00\x00\x06\x00\x04ab:c", "ab:c"},
		{"none", "\x80\x22\x00\x02xy\x00\x00", ""},
		{"longer than the message", "\x00\x06\x00\x09a:b\x00", ""},
		{"another one longer than the message", "\x80\x22\x00\x05xy", ""},
		{"padding cut off", "\x80\x22\x00\x02xy", ""},
	}
	for _, tt := range tests {
		if got := string(username(append(head[:stunHeader:stunHeader], tt.attributes...))); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestPool(t *testing.T) {
	p := newPool(Network{PortMin: 30001, PortMax: 30010}, time.Hour)
	p.next = 0
	take := func(pair bool, want uint16) {
		t.Helper()
		got, ok := p.take(pair)
		if ok != (want != 0) || got != want {
			t.Fatalf("got %d, %v; want %d", got, ok, want)
		}
	}
	take(false, 30001) // the odd one out is taken first: it has no mate
	take(true, 30002)
	take(false, 30010)
	take(false, 30004)
	take(false, 30005) // the rest of a broken pair
	take(true, 30006)
	take(true, 30008)
	take(true, 0)
	take(false, 0)
	p.give(30006, true, p.rest)
	take(true, 0)
	if used, resting := p.count(); used != 8 || resting != 2 {
		t.Errorf("%d used, %d resting", used, resting)
	}
	if p.spares(1) {
		t.Error("a port that rests counts as free")
	}
	p.give(30002, true, 0)
	if !p.spares(2) || p.spares(3) {
		t.Error("there are not two ports free")
	}
}
