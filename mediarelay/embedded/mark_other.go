//go:build !linux

package embedded

import "net"

// markConn does nothing: packets are marked on Linux alone.
func markConn(*net.UDPConn, bool) {}

// pictureMark returns nothing.
func pictureMark(bool) []byte { return nil }
