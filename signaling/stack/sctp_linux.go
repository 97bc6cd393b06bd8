package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ListenSCTP binds a socket of SCTP (RFC 4168) of the one-to-one style (RFC 6458 section 4),
// whose connections are like those of TCP: we write each message at once, so that it is one of
// SCTP's, and what comes is cut by Content-Length whether it was one or several. An error wraps
// [ErrNoSCTP] where the kernel has none.
func ListenSCTP(at netip.AddrPort) (net.Listener, error) {
	fd, err := socketSCTP(at)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "sctp")
	defer f.Close() // the listener has a copy
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, sctpAddr(at)); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	return net.FileListener(f)
}

// dialSCTP opens an association.
func dialSCTP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	fd, err := socketSCTP(to)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "sctp")
	defer f.Close() // the connection has a copy
	if err := unix.Connect(fd, sctpAddr(to)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return nil, os.NewSyscallError("connect", err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(2 * time.Second)
	}
	if err := f.SetDeadline(deadline); err != nil {
		return nil, err
	}
	failed := 0
	werr := raw.Write(func(fd uintptr) bool {
		if _, err := unix.Getpeername(int(fd)); err == nil {
			return true
		}
		failed, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		return err != nil || failed != 0
	})
	if werr != nil {
		return nil, werr
	}
	if err != nil || failed != 0 {
		return nil, os.NewSyscallError("connect", errors.Join(err, syscall.Errno(failed)))
	}
	return net.FileConn(f)
}

func socketSCTP(at netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_SCTP)
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ESOCKTNOSUPPORT) {
		return 0, fmt.Errorf("%w (%w)", ErrNoSCTP, err)
	}
	return fd, os.NewSyscallError("socket", err)
}

func sctpAddr(at netip.AddrPort) unix.Sockaddr {
	if at.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
}
