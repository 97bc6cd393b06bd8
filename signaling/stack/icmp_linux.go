package stack

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// An errorQueue is where the kernel keeps what ICMP says of a socket's datagrams.
type errorQueue struct{ raw syscall.RawConn }

// newErrorQueue has the errors of a socket kept. It returns nil where there are none to
// have, such as on a network in memory.
//
// Without it the kernel tells the owner of a socket for many peers nothing at all.
func newErrorQueue(pc net.PacketConn) *errorQueue {
	c, ok := pc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	kept := false
	err = raw.Control(func(fd uintptr) {
		// A socket for both families wants both; one for IPv4 has not the other.
		v4 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		v6 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		kept = v4 == nil || v6 == nil
	})
	if err != nil || !kept {
		return nil
	}
	return &errorQueue{raw}
}

// take calls f for each datagram that has not arrived, with where it went and as much of it
// as came back. It does not wait.
func (q *errorQueue) take(f func(to netip.AddrPort, sent []byte)) {
	if q == nil {
		return
	}
	var buf [1500]byte
	var oob [512]byte
	_ = q.raw.Control(func(fd uintptr) { // an error says that the socket is closed
		for {
			n, oobn, _, to, err := unix.Recvmsg(int(fd), buf[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			if unreachable(oob[:oobn]) {
				f(sockaddr(to), buf[:n])
			}
		}
	})
}

// unreachable reports whether an error is that of a destination which cannot be reached
// (RFC 3261 section 18.4), and not one on the way there.
func unreachable(oob []byte) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range messages {
		ours := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !ours || len(m.Data) < 8 {
			continue
		}
		// struct sock_extended_err: errno, origin, type, code, …
		errno, origin, kind := syscall.Errno(binary.NativeEndian.Uint32(m.Data)), m.Data[4], m.Data[5]
		switch {
		case errno == unix.EMSGSIZE:
		case origin == unix.SO_EE_ORIGIN_ICMP && kind == 3, origin == unix.SO_EE_ORIGIN_ICMP6 && kind == 1:
			return true
		}
	}
	return false
}

func sockaddr(s unix.Sockaddr) netip.AddrPort {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr).Unmap(), uint16(s.Port))
	}
	return netip.AddrPort{}
}

// elsewhere reports whether an error of a socket may be that of another datagram: the
// kernel tells it once, to whoever comes next.
func elsewhere(err error) bool {
	for _, e := range []error{unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENOPROTOOPT, unix.EACCES, unix.EPROTO, unix.EMSGSIZE, unix.EHOSTDOWN, unix.ENONET, unix.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
