package embedded

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// Another program that has half of the ports, a few apart from the rest or all in a row, does
// not keep a call from the other half.
func TestPortsOfAnotherProgram(t *testing.T) {
	const first, last = 32100, 32419
	own := ownAddress()
	for name, taken := range map[string]func(int) bool{
		"in a row":       func(port int) bool { return port < (first+last)/2 },
		"here and there": func(port int) bool { return port%4 == 0 },
		"all but two":    func(port int) bool { return port != 32200 && port != 32201 },
	} {
		t.Run(name, func(t *testing.T) {
			for port := first; port <= last; port++ {
				if !taken(port) {
					continue
				}
				c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(own, uint16(port))))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			r := newRelay(t, func(o *Options) { o.Workers = 1 })
			p := newPool(Network{PortMin: first, PortMax: last}, 0)
			p.next = 0 // at the other's
			w := r.engine.worker()
			defer w.leave()
			b, err := p.bind(w, []netip.Addr{own}, true, false)
			if err != nil {
				t.Fatal(err)
			}
			b.close()
			if taken(int(b.number)) || taken(int(b.number)+1) {
				t.Errorf("port %d is another's", b.number)
			}
		})
	}
}

// Where no port could be bound, they are not looked through one by one, nor left alone after.
func TestNoPortCanBeBound(t *testing.T) {
	r := newRelay(t, func(o *Options) { o.Workers = 1 })
	p := newPool(Network{PortMin: 32500, PortMax: 32599}, time.Hour)
	w := r.engine.worker()
	defer w.leave()
	if b, err := p.bind(w, addresses("192.0.2.77"), true, false); err == nil {
		t.Fatalf("an address that is not ours is bound, port %d", b.number)
	}
	if used, resting := p.count(); used != 0 || resting != 0 {
		t.Errorf("%d ports are used and %d rest", used, resting)
	}
}
