package embedded

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/mediatest"
)

// An echo sends what comes back, once as speech and once as video.
type echo struct{ w wire }

func (e echo) packet(buf []byte, n int, from netip.AddrPort, _ int64) {
	if buf[0] == 'p' {
		e.w.prefer(from)
	}
	e.w.send(buf[:n], from, false)
	e.w.send(buf[:n], from, true)
}

// tellMarks has the kernel say what packets are marked with.
func tellMarks(t *testing.T, c *net.UDPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if mediatest.LocalOf(c).Addr().Is6() {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// markOf returns the mark of the next packet.
func markOf(t *testing.T, c *net.UDPConn) int {
	t.Helper()
	buf, oob := make([]byte, 2000), make([]byte, 128)
	c.SetReadDeadline(time.Now().Add(mediatest.Patience))
	_, n, _, _, err := c.ReadMsgUDPAddrPort(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	all, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TOS:
			return int(m.Data[0])
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS:
			return int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	t.Fatal("the kernel does not say how the packet is marked")
	return 0
}

// Speech is marked EF and video AF41 (RFC 8837 section 5), in both families, on ports of
// one and on shared ones; nothing is if the operator says so.
func TestMarks(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		for _, shared := range []bool{false, true} {
			for _, unmarked := range []bool{false, true} {
				for _, first := range []string{"any", "peer"} { // who may send
					r := newRelay(t, func(o *Options) { dual(o); o.Unmarked = unmarked })
					b, err := r.networks[0].pool.bind(r.engine.worker(), []netip.Addr{netip.MustParseAddr(ip)}, false, shared)
					if err != nil {
						t.Fatal(err)
					}
					w := b.rtp[0]
					w.start(echo{w})
					c := mediatest.ListenOn(t, ip)
					tellMarks(t, c)
					if _, err := c.WriteToUDPAddrPort([]byte(first), w.local()); err != nil {
						t.Fatal(err)
					}
					want := [2]int{markSpeech, markPicture}
					if unmarked {
						want = [2]int{}
					}
					if got := [2]int{markOf(t, c), markOf(t, c)}; got != want {
						t.Errorf("%s shared %v unmarked %v %s: marks are %#x, want %#x", ip, shared, unmarked, first, got, want)
					}
					if err := w.write([]byte("control"), mediatest.LocalOf(c)); err != nil {
						t.Fatal(err)
					}
					if got := markOf(t, c); got != want[0] {
						t.Errorf("%s: control is marked %#x", ip, got)
					}
					b.close()
				}
			}
		}
	}
}

// The path knows one from the other.
func TestMarksOfACall(t *testing.T) {
	g := newRig(t, videoPolicy(), videoPolicy(), nil)
	a, b := newWatcher(t), newWatcher(t)
	b.Call(g.Offered(1, call.B, a.Describe(nil, vp8(96))))
	a.Call(g.Answered(2, call.A, b.Describe(nil, vp8(96))))
	tellMarks(t, b.Conn)
	tellMarks(t, b.screen.Conn)
	a.Say(0, 1, 160, "speech")
	if got := markOf(t, b.Conn); got != markSpeech {
		t.Errorf("speech is marked %#x", got)
	}
	seen := map[int]bool{}
	for i := uint16(1); !seen[markPicture]; i++ { // reports beside it are marked as speech
		a.screen.Say(96, i, 3000*uint32(i), "picture")
		seen[markOf(t, b.screen.Conn)] = true
		if i > 100 || len(seen) > 2 {
			t.Fatalf("the marks of pictures are %v", seen)
		}
	}
}
