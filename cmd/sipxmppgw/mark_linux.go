package main

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// markSignalling is CS3 (RFC 2474 section 4.2.2) where a DSCP is, the upper six bits.
const markSignalling = 24 << 2

// mark has a socket of SIP mark what it sends.
// A network that does not want marks takes them off, so that an error is none of ours.
func mark(network, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, markSignalling) // on a socket for both families too
		if strings.HasSuffix(network, "6") {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, markSignalling)
		}
	})
}
