//go:build linux && (amd64 || arm64)

package embedded

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"sipxmppgw/test/mediatest"
)

// Numbers note the numbers of what comes. They prefer the sender of number 2, and hold the
// reader up at number 0 until all others are in the queue.
type numbers struct {
	w    wire
	busy chan struct{} // closed when number 0 has come
	full chan struct{} // closed when all are there
	got  chan uint16
}

func (c numbers) packet(buf []byte, n int, from netip.AddrPort, _ int64) {
	number := binary.BigEndian.Uint16(buf)
	switch number {
	case 0:
		close(c.busy)
		<-c.full
	case 2:
		c.w.prefer(from)
	}
	c.got <- number
}

// What has come at once is read to the last, though nothing comes after it, which is when the
// kernel would tell of it again.
func TestNothingStaysInTheQueue(t *testing.T) {
	for _, packets := range []int{2, turnMax, turnMax + 1, 3 * turnMax, 5*turnMax + 3} {
		r := newRelay(t, nil)
		b, err := r.networks[0].pool.bind(r.engine.worker(), []netip.Addr{netip.MustParseAddr("127.0.0.1")}, false, false)
		if err != nil {
			t.Fatal(err)
		}
		w := b.rtp[0]
		c := numbers{w, make(chan struct{}), make(chan struct{}), make(chan uint16, packets)}
		w.start(c)
		peer, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(w.local()))
		if err != nil {
			t.Fatal(err)
		}
		for i := range packets {
			if _, err := peer.Write(append(binary.BigEndian.AppendUint16(nil, uint16(i)), "of many"...)); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				<-c.busy
			}
		}
		close(c.full)
		for i := range packets {
			select {
			case got := <-c.got:
				if int(got) != i {
					t.Fatalf("%d packets: number %d came in place of %d", packets, got, i)
				}
			case <-time.After(mediatest.Patience):
				t.Fatalf("of %d packets, those from number %d stay in the queue", packets, i)
			}
		}
		peer.Close()
		b.close()
	}
}
