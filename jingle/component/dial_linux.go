package component

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// control bounds how long bytes may wait for an acknowledgement, so that a server that
// vanished is noticed by what we send too.
func control(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTime.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return set
}
