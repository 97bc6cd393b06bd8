package embedded

import (
	"fmt"
	"net/netip"
	"testing"
)

// A sink is a wire that takes everything.
type sink struct{ wire }

func (sink) prefer(netip.AddrPort)                   {}
func (sink) send([]byte, netip.AddrPort, bool) error { return nil }

// BenchmarkPathOfMany is what the path costs without the kernel when many calls take
// their turns, so that none finds its state in the cache.
func BenchmarkPathOfMany(b *testing.B) {
	for _, p := range profiles {
		for _, calls := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/%d", p.name, calls), func(b *testing.B) {
				all := make([]*straight, calls)
				for i := range all {
					all[i] = newStraight(b, p.profile)
					h := &all[i].in.route.Load().hops[0]
					h.to = sink{}
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					s := all[i%calls]
					i++
					n := s.next(b)
					now := s.in.t.relay.now()
					s.in.packet(s.buf, n, s.peer, now)
				}
			})
		}
	}
}
