package embedded

import (
	"encoding/binary"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What packets are marked with: a DSCP in the upper six bits (RFC 2474 section 3).
const (
	markSpeech  = 46 << 2 // EF (RFC 3246), and for all that goes with it
	markPicture = 34 << 2 // AF41 (RFC 2597)
)

// markOption is what sets the mark of a family.
func markOption(six bool) (level, option int) {
	if six {
		return unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	return unix.IPPROTO_IP, unix.IP_TOS
}

// markSocket marks what a socket sends as speech. A network that does not want marks takes
// them off, so that an error is none of ours.
func markSocket(fd int, six bool) {
	level, option := markOption(six)
	unix.SetsockoptInt(fd, level, option, markSpeech)
}

// markConn does the same for one that the runtime has.
func markConn(c *net.UDPConn, six bool) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { markSocket(int(fd), six) })
	}
}

// pictureMark returns the control message that marks one datagram as video: on the ports
// that speech and pictures, and calls, share a mark of the socket says too little.
func pictureMark(six bool) []byte {
	level, option := markOption(six)
	b := make([]byte, unix.CmsgSpace(4))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = int32(level), int32(option)
	h.SetLen(unix.CmsgLen(4))
	binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], markPicture)
	return b
}
