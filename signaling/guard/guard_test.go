package guard

import (
	"net/netip"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	one   = netip.MustParseAddr("203.0.113.7")
)

// fail fails n times, a second apart, and returns the last ban.
func fail(g *Guard, a netip.Addr, n int, at time.Time) (ban time.Duration, end time.Time) {
	for range n {
		at = at.Add(time.Second)
		ban = g.Failed(a, at)
	}
	return ban, at
}

// TestBansDouble shuts out the same source again and again: 1 minute, 2, 4 … and never more
// than an hour.
func TestBansDouble(t *testing.T) {
	g := New(Options{})
	at := start
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		want *= time.Minute
		ban, end := fail(g, one, 9, at)
		if ban != 0 || g.Banned(one, end) {
			t.Fatalf("ban %d: nine failures shut it out for %v", i, ban)
		}
		if ban, end = fail(g, one, 1, end); ban != want {
			t.Fatalf("ban %d is %v, want %v", i, ban, want)
		}
		if !g.Banned(one, end.Add(ban-time.Second)) || g.Banned(one, end.Add(ban)) || g.Bans(end) != 1 {
			t.Errorf("ban %d does not last %v", i, ban)
		}
		at = end.Add(ban)
	}
}

// TestBansDecay: what was long ago counts less, and then not at all.
func TestBansDecay(t *testing.T) {
	g := New(Options{})
	ban, at := fail(g, one, 40, start) // four bans, though nobody is let in meanwhile
	tests := []struct {
		name string
		calm time.Duration
		want time.Duration
	}{
		{"an hour later it is half as long as it would be", time.Hour, 8 * time.Minute},
		{"two hours after that, a quarter", 2*time.Hour + time.Minute, 4 * time.Minute},
		{"a day after that, as if it were the first", 24 * time.Hour, time.Minute},
	}
	for _, tt := range tests {
		if ban, at = fail(g, one, 10, at.Add(ban).Add(tt.calm)); ban != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, ban, tt.want)
		}
	}
}

// TestFailuresAreForgiven: a phone with a wrong password that tries twice in a quarter of an
// hour is a mistake, not an attack.
func TestFailuresAreForgiven(t *testing.T) {
	g := New(Options{})
	for i := range 100 {
		if ban := g.Failed(one, start.Add(time.Duration(i)*7*time.Minute)); ban != 0 {
			t.Fatalf("failure %d shut it out", i)
		}
	}
	_, at := fail(g, one, 8, start.Add(24*time.Hour))
	g.Proved(one)
	if ban, _ := fail(g, one, 9, at); ban != 0 {
		t.Errorf("what was before the right password counts")
	}
}

func TestSourcesAreSubscribers(t *testing.T) {
	g := New(Options{Sources: 3})
	a, b, c := netip.MustParseAddr("2001:db8:1:2::1"), netip.MustParseAddr("2001:db8:1:2:ffff::9"), netip.MustParseAddr("2001:db8:1:3::1")
	fail(g, a, 10, start)
	if !g.Banned(b, start.Add(time.Minute)) || g.Banned(c, start.Add(time.Minute)) {
		t.Error("a /64 of IPv6 is one subscriber, the next is another")
	}
	fail(g, netip.MustParseAddr("::ffff:203.0.113.7"), 10, start)
	if !g.Banned(one, start.Add(time.Minute)) {
		t.Error("an IPv4 address is one in either spelling")
	}
	for i := range 10 {
		g.Failed(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), start)
	}
	if len(g.sources) != 3 || g.order.Len() != 3 {
		t.Errorf("%d sources are remembered, want 3", len(g.sources))
	}
}
