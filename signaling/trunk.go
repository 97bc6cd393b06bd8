package signaling

import "net/netip"

// trunks are the SIP peers, in the order of the config.
type trunks []Trunk

// of returns the trunk that a request from addr belongs to: the one with the longest
// prefix that holds it, or nil.
func (ts trunks) of(addr netip.Addr) *Trunk {
	addr = addr.Unmap()
	var best *Trunk
	bits := -1
	for i := range ts {
		for _, p := range ts[i].Sources {
			if p.Bits() > bits && p.Contains(addr) {
				best, bits = &ts[i], p.Bits()
			}
		}
	}
	return best
}

// named returns the trunk of that name, or nil.
func (ts trunks) named(name string) *Trunk {
	for i := range ts {
		if ts[i].Name == name {
			return &ts[i]
		}
	}
	return nil
}
