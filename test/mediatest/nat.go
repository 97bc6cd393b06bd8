package mediatest

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway/media"
)

// A NAT stands between a client and the engine: the engine sees an address of the NAT's, which
// may become another without the client's doing.
type NAT struct {
	t     *testing.T
	inner *net.UDPConn // that the client takes for the engine

	mu      sync.Mutex
	engine  netip.AddrPort
	client  netip.AddrPort
	outer   *net.UDPConn
	checked []byte // the client's last STUN request
}

// NewNAT returns a NAT.
func NewNAT(t *testing.T) *NAT {
	t.Helper()
	n := &NAT{t: t, inner: ListenOn(t, "127.0.0.1")}
	n.Rebind()
	go n.out() // until the test closes the socket
	return n
}

// Client returns a client's description as the engine sees it: with the NAT's address.
func (n *NAT) Client(theirs media.Description) media.Description {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, _ := at(theirs, LocalOf(n.outer))
	return d
}

// Engine returns the engine's description as the client sees it, and learns where it is.
func (n *NAT) Engine(ours media.Description) media.Description {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, is := at(ours, LocalOf(n.inner))
	n.engine = is
	return d
}

// at is a description whose first candidate is elsewhere, and alone.
func at(d media.Description, address netip.AddrPort) (moved media.Description, was netip.AddrPort) {
	moved = d.Clone()
	found := &moved.Streams[moved.Live(media.Audio)].Transport.ICE.Candidates
	*found = (*found)[:1]
	was, (*found)[0].Addr = (*found)[0].Addr, address
	return moved, was
}

// Rebind gives the client another address, and takes the old one away. It returns the new one.
func (n *NAT) Rebind() netip.AddrPort {
	n.t.Helper()
	fresh := ListenOn(n.t, "127.0.0.1")
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outer != nil {
		n.outer.Close()
	}
	n.outer = fresh
	go n.in(fresh) // until that is closed
	return LocalOf(fresh)
}

// Checked returns the client's last STUN request as it was sent; nil before there is one.
func (n *NAT) Checked() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.checked
}

func (n *NAT) out() {
	buf := make([]byte, 2000)
	for {
		size, from, err := n.inner.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		n.mu.Lock()
		n.client = from
		if size >= 20 && buf[0] == 0 && buf[1] == 1 {
			n.checked = bytes.Clone(buf[:size])
		}
		n.outer.WriteToUDPAddrPort(buf[:size], n.engine) // what is lost is lost
		n.mu.Unlock()
	}
}

func (n *NAT) in(outer *net.UDPConn) {
	buf := make([]byte, 2000)
	for {
		size, from, err := outer.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		n.mu.Lock()
		if from == n.engine && n.client.IsValid() {
			n.inner.WriteToUDPAddrPort(buf[:size], n.client)
		}
		n.mu.Unlock()
	}
}

// A Thief is a stranger on the way, who sends what the client said from an address of its own
// and looks whether media comes there.
type Thief struct {
	t    *testing.T
	conn *net.UDPConn
	done chan struct{}

	mu     sync.Mutex
	loot   int // packets of media
	copies int
}

// Steal has a thief send the client's last check to the engine again and again, from a moment
// that the client has one until the test ends.
func (n *NAT) Steal() *Thief {
	n.t.Helper()
	th := &Thief{t: n.t, conn: ListenOn(n.t, "127.0.0.3"), done: make(chan struct{})}
	n.t.Cleanup(func() { close(th.done) })
	go func() { // until done
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-th.done:
				return
			}
			if p := n.Checked(); p != nil {
				th.conn.WriteToUDPAddrPort(p, n.engine)
				th.mu.Lock()
				th.copies++
				th.mu.Unlock()
			}
		}
	}()
	go func() { // until the socket is closed
		buf := make([]byte, 2000)
		for {
			size, err := th.conn.Read(buf)
			if err != nil {
				return
			}
			if size > 1 && buf[0]>>6 == 2 {
				th.mu.Lock()
				th.loot++
				th.mu.Unlock()
			}
		}
	}()
	return th
}

// Tried reports whether the thief has tried a few times.
func (th *Thief) Tried() bool {
	th.mu.Lock()
	defer th.mu.Unlock()
	return th.copies >= 5
}

// Loot is how many packets of media the thief has got.
func (th *Thief) Loot() int {
	th.mu.Lock()
	defer th.mu.Unlock()
	return th.loot
}
