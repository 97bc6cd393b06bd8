package embedded

import (
	"net"
	"net/netip"
	"sync"

	"sipxmppgw/gateway/media"
)

// Packets opens a media port for packets that the relay does not carry, and returns where a peer
// with a policy is told that it is. Closing it gives the port back. An error says that none is
// free.
func (r *Relay) Packets(policy media.Policy) (net.PacketConn, netip.AddrPort, error) {
	policy.ICE = false // of one network
	n := r.networksOf(policy)[0]
	at := n.Addresses[0]
	for _, a := range n.Addresses {
		if a.Is6() == policy.IPv6 {
			at = a
			break
		}
	}
	var conn *net.UDPConn
	number, err := n.pool.find(false, func(number uint16) (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, number)))
		return err
	})
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return &lent{UDPConn: conn, back: func() { n.pool.give(number, false, n.pool.rest) }}, netip.AddrPortFrom(r.external(at, policy.External), number), nil
}

// A lent socket has a port of the pool.
type lent struct {
	*net.UDPConn
	once sync.Once
	back func()
}

// Close closes the socket and gives its port back.
func (l *lent) Close() error {
	err := l.UDPConn.Close()
	l.once.Do(l.back)
	return err
}
