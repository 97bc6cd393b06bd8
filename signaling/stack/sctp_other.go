//go:build !linux

package stack

import (
	"context"
	"net"
	"net/netip"
)

// ListenSCTP has no way to bind a socket of SCTP here. The error wraps [ErrNoSCTP].
func ListenSCTP(netip.AddrPort) (net.Listener, error) { return nil, ErrNoSCTP }

func dialSCTP(context.Context, netip.AddrPort) (net.Conn, error) { return nil, ErrNoSCTP }
