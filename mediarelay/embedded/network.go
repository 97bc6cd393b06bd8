package embedded

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"sipxmppgw/gateway/media"
)

// A Network is addresses of ours, and the ports there.
type Network struct {
	// Name is what policies know it by.
	Name string
	// Addresses are the local addresses that media sockets are bound to, at most one of
	// each family, none of them unspecified.
	Addresses []netip.Addr
	// External are the addresses that peers are told in place of the local ones, for a
	// gateway behind a 1:1 NAT; the one of the same family counts. Default: the local ones.
	External []netip.Addr
	// PortMin and PortMax are the range of media ports, both inclusive. Default: 10000
	// to 19999.
	PortMin, PortMax uint16
	// Unmarked leaves packets without a DSCP; else video is AF41 and all the rest EF
	// (RFC 8837 section 5), where the system lets us.
	Unmarked bool
}

func (n *Network) defaults() error {
	if len(n.Addresses) == 0 {
		return errors.New("media needs an address to bind to")
	}
	for _, a := range n.Addresses {
		if !a.IsValid() || a.IsMulticast() || a.IsUnspecified() {
			return fmt.Errorf("media cannot be bound to %v", a)
		}
	}
	if n.PortMin == 0 && n.PortMax == 0 {
		n.PortMin, n.PortMax = 10000, 19999
	}
	if n.PortMin == 0 || n.PortMax < n.PortMin+1 {
		return fmt.Errorf("media ports %d to %d are no range", n.PortMin, n.PortMax)
	}
	return nil
}

// marks reports whether packets from an address of ours have a DSCP.
func (o *Options) marks(local netip.Addr) bool {
	return !slices.ContainsFunc(o.Networks, func(n Network) bool { return n.Unmarked && slices.Contains(n.Addresses, local) })
}

// like returns the address of the same family as another; not valid if there is none.
func like(all []netip.Addr, a netip.Addr) netip.Addr {
	for _, own := range all {
		if own.Is4() == a.Is4() {
			return own
		}
	}
	return netip.Addr{}
}

// A network is one of ours with its ports.
type network struct {
	Network
	pool *pool
}

// networksOf returns where the sockets of a leg are.
func (r *Relay) networksOf(p media.Policy) []*network {
	var named []*network
	for _, name := range p.Networks {
		for _, n := range r.networks {
			if n.Name == name {
				named = append(named, n)
			}
		}
	}
	if len(named) == 0 {
		named = r.networks
	}
	if !p.ICE {
		named = named[:1]
	}
	return named
}

// external returns the address that a peer is told for a local one: the one that is meant for it,
// or that of the network.
func (r *Relay) external(local netip.Addr, own []netip.Addr) netip.Addr {
	if e := like(own, local); e.IsValid() {
		return e
	}
	for _, n := range r.networks {
		if slices.Contains(n.Addresses, local) {
			if e := like(n.External, local); e.IsValid() {
				return e
			}
		}
	}
	return local
}

// room reports whether a network of a leg has ports for one more call.
func (r *Relay) room(p media.Policy) bool {
	return slices.ContainsFunc(r.networksOf(p), func(n *network) bool { return n.pool.spares(openMin) })
}

// A bound is the ports of one transport: a binding in each network. Shares of a port are one
// binding without a number.
type bound []*binding

// bind takes a port, or a pair, in each of the networks. A transport with ICE goes without those
// whose ports are all taken.
func (r *Relay) bind(w worker, on []*network, pair bool) (bound, error) {
	var all bound
	var none error
	for _, n := range on {
		b, err := n.pool.bind(w, n.Addresses, pair, false)
		if err != nil {
			none = err
			continue
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return nil, none
	}
	return all, nil
}

// rtp returns the wires of RTP, or of all if that is muxed; in the order of the networks.
func (all bound) rtp() (wires []wire) {
	for _, b := range all {
		wires = append(wires, b.rtp...)
	}
	return wires
}

// rtcp returns the wires of RTCP of pairs, in the same order.
func (all bound) rtcp() (wires []wire) {
	for _, b := range all {
		wires = append(wires, b.rtcp...)
	}
	return wires
}

// shared reports whether they are shares of a port.
func (all bound) shared() bool { return all[0].pool == nil }

// close closes the sockets.
func (all bound) close() {
	for _, b := range all {
		b.close()
	}
}

// give gives the ports back, which rest. Shares stay with whose they are.
func (all bound) give() {
	for _, b := range all {
		if b.pool != nil {
			b.pool.give(b.number, b.pair, b.pool.rest)
		}
	}
}
