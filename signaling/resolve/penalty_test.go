package resolve

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestPenalties(t *testing.T) {
	const text = `
		_sip._udp.two SRV 0 0 5060 server1
		_sip._udp.two SRV 1 0 5060 server2
		server1 A 192.0.2.1
		server2 A 192.0.2.2
	`
	one := Target{Addr: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: UDP}
	two := Target{Addr: netip.MustParseAddrPort("192.0.2.2:5060"), Transport: UDP}
	const first, second = "UDP 192.0.2.1:5060, UDP 192.0.2.2:5060", "UDP 192.0.2.2:5060, UDP 192.0.2.1:5060"
	type step struct {
		at   time.Duration // since the penalty
		want string
	}
	tests := []struct {
		name  string
		play  func(r *Resolver)
		steps []step
	}{
		{"none", func(*Resolver) {}, []step{{0, first}}},
		{
			"no time given", func(r *Resolver) { r.Penalize(one, 0) },
			[]step{{0, second}, {32*time.Second - 1, second}, {32 * time.Second, first}},
		},
		{
			"Retry-After", func(r *Resolver) { r.Penalize(one, 100*time.Second) },
			[]step{{0, second}, {100*time.Second - 1, second}, {100 * time.Second, first}},
		},
		{
			"Retry-After of an hour", func(r *Resolver) { r.Penalize(one, time.Hour) },
			[]step{{300*time.Second - 1, second}, {300 * time.Second, first}},
		},
		{
			"a second failure shortens nothing", func(r *Resolver) { r.Penalize(one, 100*time.Second); r.Penalize(one, 0) },
			[]step{{100*time.Second - 1, second}},
		},
		{
			"all are dead", func(r *Resolver) { r.Penalize(one, 100*time.Second); r.Penalize(two, 50*time.Second) },
			[]step{{0, first}, {50 * time.Second, second}, {100 * time.Second, first}},
		},
		{"the other transport", func(r *Resolver) { r.Penalize(Target{one.Addr, TCP, ""}, 0) }, []step{{0, first}}},
		{"by another name", func(r *Resolver) { r.Penalize(Target{one.Addr, UDP, "other.example.org"}, 0) }, []step{{0, second}}},
		{"forgiven", func(r *Resolver) { r.Penalize(one, 0); r.Forgive(one); r.Forgive(two) }, []step{{0, first}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newResolver(t, newZone(t, text), Options{})
				start := time.Now()
				test.play(r)
				for _, s := range test.steps {
					time.Sleep(s.at - time.Since(start))
					q := Query{Host: "two.example.org", Transport: UDP}
					if got := show(r.Lookup(t.Context(), q)); got != s.want {
						t.Errorf("after %v %s, want %s", s.at, got, s.want)
					}
				}
			})
		})
	}
}

// TestManyPenalties: there is an end to them, and the one that ends first goes first.
func TestManyPenalties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(t, nil, Options{})
		at := func(i int) Target {
			return Target{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060), Transport: UDP}
		}
		for i := range maxPenalties + 100 {
			r.Penalize(at(i), 100*time.Second+time.Duration(i)*time.Millisecond)
		}
		if n := r.Stats().Penalties; n != maxPenalties {
			t.Errorf("%d penalties, want %d", n, maxPenalties)
		}
		alive := r.dead.last([]Target{at(100), at(99)})
		if alive[0] != at(99) {
			t.Error("the penalty that ends first is not the one forgotten")
		}
		time.Sleep(200 * time.Second)
		if n := r.Stats().Penalties; n != 0 {
			t.Errorf("%d penalties are left", n)
		}
		r.Penalize(at(1), 0)
		if n := len(r.dead.until); n != 1 {
			t.Errorf("%d penalties kept that are over", n-1)
		}
	})
}
