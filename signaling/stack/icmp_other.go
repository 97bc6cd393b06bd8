//go:build !linux

package stack

import (
	"net"
	"net/netip"
)

// An errorQueue is empty: timers notice a peer that is not there.
type errorQueue struct{}

func newErrorQueue(net.PacketConn) *errorQueue { return nil }

func (*errorQueue) take(func(netip.AddrPort, []byte)) {}

func elsewhere(error) bool { return false }
