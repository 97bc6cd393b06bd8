package embedded

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// A portable engine works wherever Go does. It is its own worker: the goroutine of each
// wire is a reader, and packets that go out are sent at once.
type portable struct {
	began  time.Time             // of the relay's clock
	marked func(netip.Addr) bool // packets from an address are
}

func (p *portable) worker() worker    { return p }
func (p *portable) leave()            {}
func (p *portable) close()            {}
func (p *portable) lock() *sync.Mutex { return &sync.Mutex{} }

func (p *portable) bind(a netip.AddrPort, shared bool) (wire, error) {
	network := "udp4"
	if a.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(a))
	if err != nil {
		return nil, err
	}
	if shared {
		c.SetReadBuffer(sharedBuffer)
		c.SetWriteBuffer(sharedBuffer)
	}
	w := &netWire{conn: c, at: a, began: p.began, done: make(chan struct{})}
	if p.marked(a.Addr()) {
		markConn(c, a.Addr().Is6())
		w.pictures = pictureMark(a.Addr().Is6())
	}
	return w, nil
}

// A forgotten is a socket that its reader shall know no more.
type forgotten struct {
	s    *socket
	done chan struct{}
}

// A netWire is a wire of the portable engine.
type netWire struct {
	conn  *net.UDPConn
	at    netip.AddrPort
	began time.Time
	to    receiver // nil before start

	pictures []byte // control message that marks video; nil for none

	agenda agenda // of the goroutine in run

	mu    sync.Mutex
	poked []*socket
	gone  []forgotten

	done chan struct{} // closed when run has ended
}

func (w *netWire) local() netip.AddrPort { return w.at }

func (w *netWire) start(to receiver) {
	w.to = to
	go w.run() // until close
}

// run reads until the wire is closed.
func (w *netWire) run() {
	defer close(w.done)
	buf := make([]byte, bufferLen)
	for {
		n, from, err := w.conn.ReadFromUDPAddrPort(buf[:maxPacket])
		switch {
		case err == nil:
			w.to.packet(buf, n, from, w.now())
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.turn()
		default: // an ICMP error of a packet we sent; the next read waits again
		}
	}
}

func (w *netWire) now() int64 { return int64(time.Since(w.began)) + 1 }

// turn does what is due and sets the time at which reading is interrupted again. A poke
// that comes meanwhile is not forgotten: who was poked is looked for after that.
func (w *netWire) turn() {
	for {
		w.mu.Lock()
		poked, gone := w.poked, w.gone
		w.poked, w.gone = nil, nil
		w.mu.Unlock()
		now := w.now()
		for _, s := range poked {
			w.agenda.add(s, now)
		}
		for _, g := range gone {
			w.agenda.drop(g.s)
			close(g.done)
		}
		w.agenda.turn(now)
		var at time.Time
		if w.agenda.next != 0 {
			at = w.began.Add(time.Duration(w.agenda.next))
		}
		w.conn.SetReadDeadline(at)
		w.mu.Lock()
		again := len(w.poked)+len(w.gone) > 0
		w.mu.Unlock()
		if !again {
			return
		}
	}
}

func (w *netWire) prefer(netip.AddrPort) {}
func (w *netWire) welcome()              {}
func (w *netWire) touch() uint32         { return 0 }

func (w *netWire) poke(s *socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.poked = append(w.poked, s)
	w.conn.SetReadDeadline(time.Now())
}

func (w *netWire) forget(s *socket) {
	g := forgotten{s, make(chan struct{})}
	w.mu.Lock()
	w.gone = append(w.gone, g)
	w.conn.SetReadDeadline(time.Now())
	w.mu.Unlock()
	<-g.done
}

func (w *netWire) send(p []byte, to netip.AddrPort, picture bool) error {
	if !picture || w.pictures == nil {
		return w.write(p, to)
	}
	_, _, err := w.conn.WriteMsgUDPAddrPort(p, w.pictures, to)
	return err
}

func (w *netWire) write(p []byte, to netip.AddrPort) error {
	_, err := w.conn.WriteToUDPAddrPort(p, to)
	return err
}

func (w *netWire) close() {
	w.conn.Close()
	if w.to != nil {
		<-w.done
	}
}
