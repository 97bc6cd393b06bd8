package main

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sipxmppgw/config"
)

// SIP is marked CS3 over UDP and TCP, in both families, on connections of both sides,
// unless the operator says otherwise.
func TestMarkOfSignalling(t *testing.T) {
	for _, unmarked := range []bool{false, true} {
		want := markSignalling
		if unmarked {
			want = 0
		}
		var c config.Config
		c.SIP.Unmarked = unmarked
		c.SIP.Listen = []string{"udp:127.0.0.1:0", "tcp:127.0.0.1:0", "udp:[::1]:0", "tcp:[::1]:0"}
		bound, err := listen(c, reach{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range bound {
			six := i >= 2
			if l.Packet != nil {
				defer l.Packet.Close()
				if got := markOf(t, l.Packet, six); got != want {
					t.Errorf("%s is marked %#x, want %#x", c.SIP.Listen[i], got, want)
				}
				continue
			}
			defer l.Stream.Close()
			d := net.Dialer{Control: mark}
			out, err := d.Dial("tcp", l.Stream.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			in, err := l.Stream.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if got := markOf(t, in, six); got != want {
				t.Errorf("a connection to %s is marked %#x, want %#x", c.SIP.Listen[i], got, want)
			}
			if got := markOf(t, out, six); got != markSignalling {
				t.Errorf("a connection of ours is marked %#x", got)
			}
		}
	}
}

// markOf returns what a socket marks its packets with.
func markOf(t *testing.T, socket any, six bool) (mark int) {
	t.Helper()
	raw, err := socket.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	level, option := unix.IPPROTO_IP, unix.IP_TOS
	if six {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { mark, failed = unix.GetsockoptInt(int(fd), level, option) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return mark
}
