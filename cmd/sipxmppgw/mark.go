package main

import (
	"net"
	"syscall"
)

// A marking is a listener whose connections mark what they send: those of IPv6 do not get
// it from the listener.
type marking struct{ net.Listener }

// Accept implements [net.Listener].
func (l marking) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = mark("tcp6", "", raw) // of both families, whichever it is
		}
	}
	return c, err
}
