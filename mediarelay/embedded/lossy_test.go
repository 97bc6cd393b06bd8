package embedded

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// A lossy is a bad network in front of a socket: of ten datagrams out it loses one, sends
// one twice and one behind the next; of ten that come in it loses one.
type lossy struct {
	net.PacketConn

	mu     sync.Mutex
	chance *rand.Rand
	late   []byte
	lateTo net.Addr
	passed map[uint16]bool // RTP that went out, by sequence number
}

func (l *lossy) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(p)
		l.mu.Lock()
		lost := l.chance.IntN(10) == 0
		l.mu.Unlock()
		if err != nil || !lost {
			return n, from, err
		}
	}
}

func (l *lossy) WriteTo(p []byte, to net.Addr) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.chance.IntN(10) {
	case 0:
		return len(p), nil
	case 1:
		l.out(p, to)
	case 2:
		if l.late == nil {
			l.late, l.lateTo = bytes.Clone(p), to
			return len(p), nil
		}
	}
	l.out(p, to)
	if l.late != nil {
		l.out(l.late, l.lateTo)
		l.late = nil
	}
	return len(p), nil
}

func (l *lossy) out(p []byte, to net.Addr) {
	if p[0]>>6 == 2 && (p[1] < 192 || p[1] > 223) {
		l.passed[sequence(p)] = true
	}
	l.PacketConn.WriteTo(p, to)
}

// went returns how many packets of RTP got through.
func (l *lossy) went() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.passed)
}

// A client on a bad network gets through, by checks and flights that are sent again; of
// what it says every packet that reaches the relay arrives, once, at its own number.
func TestBadNetwork(t *testing.T) {
	for _, own := range []bool{false, true} {
		g := newRig(t, sipPolicy(), jinglePolicy(), func(o *Options) { o.OwnPorts = own })
		bad := &lossy{PacketConn: mediatest.ListenOn(t, "127.0.0.2"), chance: rand.New(rand.NewPCG(1, 2)), passed: map[uint16]bool{}}
		socket := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: bad, Logger: quiet().NewLogger("")})
		t.Cleanup(func() { socket.Close() })
		a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t, ice.WithUDPMux(socket))
		offer := g.Offered(1, call.B, a.Describe(pcmu()))
		a.Call(g.Answered(2, call.A, b.Describe(media.Active, pcmu())))
		offer.Streams[0].Transport.DTLS.Setup = media.Passive
		if err := connect(b, offer, false); err != nil {
			t.Fatal(err)
		}
		g.Connected(call.B)
		const first, packets = 1000, 500
		heard := map[uint16]bool{}
		var off uint16
		for n := range uint16(packets) {
			b.Say(0, first+n, 160*uint32(n), string([]byte{byte(n >> 8), byte(n)}))
			for len(heard) < bad.went() {
				got := a.Hear()
				i := uint16(got.Payload[0])<<8 | uint16(got.Payload[1])
				if len(heard) == 0 {
					off = got.SequenceNumber - i
				}
				if heard[i] || got.SequenceNumber-i != off {
					t.Fatalf("packet %d came at number %d, again: %v", i, got.SequenceNumber-off, heard[i])
				}
				heard[i] = true
			}
		}
		if n := bad.went(); n < packets/2 || n == packets {
			t.Fatalf("%d of %d packets passed the network", n, packets)
		}
		if got, more := a.Listen(20 * time.Millisecond); more {
			t.Errorf("one more came, number %d", got.SequenceNumber-off)
		}
		if d := g.Stats()[call.B].Dropped; d.Replayed == 0 || d.BadAuth != 0 || d.WrongSource != 0 || d.Malformed != 0 {
			t.Errorf("the relay dropped %+v", d)
		}
	}
}
