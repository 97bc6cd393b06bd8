package embedded

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxRemotes   = 64                    // addresses that may check in at a mux
	checkQueue   = 64                    // STUN messages that wait for an agent
	checkSpacing = 10 * time.Millisecond // between checks of one mux: 100 a second
	freeChecks   = 20                    // addresses that may be checked without spacing
)

// A mux shares sockets among ICE agents; it is the ice.UDPMux that pion's agents ask for
// their connections. The sockets stay ours: only STUN goes to the agents. A request
// finds its agent by our ufrag in its USERNAME, and is dropped here without one; a
// response finds it by the address it comes from. Who has sent a request with our ufrag and
// the digest of our password is a remote: a stranger may know the one, but not the other.
type mux struct {
	sockets []*socket
	theirs  atomic.Pointer[string] // the peer's password; nil while it is not known

	mu      sync.Mutex
	conns   []*muxConn
	own     struct{ ufrag, pwd string } // that our agent has, or will have
	remotes map[netip.AddrPort]*remote
	checked map[netip.AddrPort]time.Time
}

// A remote is an address that the peer checks from.
type remote struct {
	to *muxConn
	at time.Time // when it did so last
}

func newMux(sockets []*socket) *mux {
	return &mux{
		sockets: sockets,
		remotes: map[netip.AddrPort]*remote{},
		checked: map[netip.AddrPort]time.Time{},
	}
}

// know takes our credentials, before the agent has them.
func (m *mux) know(ufrag, pwd string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own.ufrag, m.own.pwd = ufrag, pwd
}

// GetConn returns the connection of the agent with that ufrag on a local address.
func (m *mux) GetConn(ufrag string, local net.Addr) (net.PacketConn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		if c.ufrag == ufrag && c.addr.String() == local.String() {
			return c, nil
		}
	}
	for _, s := range m.sockets {
		if a := net.UDPAddrFromAddrPort(s.local); a.String() == local.String() {
			c := &muxConn{
				mux: m, socket: s, ufrag: ufrag, addr: a,
				in: make(chan *datagram, checkQueue), closed: make(chan struct{}),
			}
			m.conns = append(m.conns, c)
			if h, ok := s.wire.(*share); ok {
				h.know(ufrag, m.own.pwd)
			}
			return c, nil
		}
	}
	return nil, net.ErrClosed
}

// RemoveConnByUfrag forgets an agent.
func (m *mux) RemoveConnByUfrag(ufrag string) {
	for _, c := range m.of(ufrag) {
		c.Close()
	}
}

func (m *mux) of(ufrag string) []*muxConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []*muxConn
	for _, c := range m.conns {
		if c.ufrag == ufrag {
			found = append(found, c)
		}
	}
	return found
}

// GetListenAddresses returns the addresses of the sockets.
func (m *mux) GetListenAddresses() []net.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]net.Addr, len(m.sockets))
	for i, s := range m.sockets {
		all[i] = net.UDPAddrFromAddrPort(s.local)
	}
	return all
}

// move gives the agents other sockets, for when they gather anew.
func (m *mux) move(sockets []*socket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sockets = sockets
	clear(m.remotes)
	clear(m.checked)
}

// Close does nothing: the sockets are the transport's to close.
func (m *mux) Close() error { return nil }

// knows reports whether an address has checked in with our ufrag.
func (m *mux) knows(from netip.AddrPort) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.remotes[from] != nil
}

// deliver hands a STUN message to its agent, or drops it.
func (m *mux) deliver(s *socket, p []byte, from netip.AddrPort) {
	if len(p) < stunHeader || len(p) > maxPacket || binary.BigEndian.Uint32(p[4:]) != stunCookie {
		return
	}
	request := p[0]&0x01 == 0 && p[1]&0x10 == 0
	m.mu.Lock()
	defer m.mu.Unlock()
	var to *muxConn
	if request {
		user := username(p)
		for _, c := range m.conns {
			if c.socket == s && len(user) > len(c.ufrag) && user[len(c.ufrag)] == ':' && string(user[:len(c.ufrag)]) == c.ufrag {
				to = c
				break
			}
		}
		if to == nil || !m.hears(to, p, from) {
			return
		}
	} else if r := m.remotes[from]; r != nil && r.to.socket == s {
		to = r.to
	} else {
		// An answer may come from an address that has not asked yet.
		for _, c := range m.conns {
			if _, ok := m.checked[from]; ok && c.socket == s {
				to = c
			}
		}
	}
	if to == nil {
		return
	}
	select {
	case to.in <- &datagram{bytes.Clone(p), from}:
	default: // the agent is flooded; peers ask again
	}
}

// hears takes a request, and reports whether it is the peer's. An address that is known has
// proved it before, and is believed until its agent has looked. mu is held.
func (m *mux) hears(to *muxConn, p []byte, from netip.AddrPort) bool {
	r := m.remotes[from]
	switch {
	case r != nil && r.to == to:
	case to.ufrag != m.own.ufrag || !genuine(p, m.own.pwd):
		return false
	case r == nil && len(m.remotes) >= maxRemotes:
		m.forgetOne()
		fallthrough
	default:
		r = &remote{to: to}
		m.remotes[from] = r
	}
	r.at = time.Now()
	return true
}

// forgetOne makes room for another address: that of the longest ago goes. mu is held.
func (m *mux) forgetOne() {
	var oldest netip.AddrPort
	for a, r := range m.remotes {
		if !oldest.IsValid() || r.at.Before(m.remotes[oldest].at) {
			oldest = a
		}
	}
	if h, ok := m.remotes[oldest].to.socket.wire.(*share); ok {
		h.disown(oldest)
	}
	delete(m.remotes, oldest)
}

// paced reports whether a check may be sent now: with many candidates each is checked
// less often, so that all together stay below 100 a second.
func (m *mux) paced(to netip.AddrPort) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	last, seen := m.checked[to]
	if !seen && len(m.checked) >= 2*maxRemotes {
		return false
	}
	if seen && len(m.checked) > freeChecks && now.Sub(last) < time.Duration(len(m.checked))*checkSpacing {
		return false
	}
	m.checked[to] = now
	return true
}

type datagram struct {
	p    []byte
	from netip.AddrPort
}

// A muxConn is an agent's share of a socket.
type muxConn struct {
	mux    *mux
	socket *socket
	ufrag  string
	addr   net.Addr
	in     chan *datagram
	once   sync.Once
	closed chan struct{}
}

// ReadFrom waits for a STUN message for the agent.
func (c *muxConn) ReadFrom(p []byte) (n int, from net.Addr, err error) {
	n, a, err := c.ReadFromAddrPort(p)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(a), nil
}

// ReadFromAddrPort is ReadFrom without an allocation; pion's agents prefer it.
func (c *muxConn) ReadFromAddrPort(p []byte) (n int, from netip.AddrPort, err error) {
	select {
	case d := <-c.in:
		return copy(p, d.p), d.from, nil
	case <-c.closed:
		return 0, netip.AddrPort{}, io.EOF
	}
}

// WriteTo sends a STUN message of the agent.
func (c *muxConn) WriteTo(p []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, os.ErrInvalid
	}
	return c.WriteToAddrPort(p, a.AddrPort())
}

// WriteToAddrPort is WriteTo without an allocation. A check too many is dropped, as if
// the network had lost it.
func (c *muxConn) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if len(p) >= stunHeader && p[0]&0x01 == 0 && p[1]&0x10 == 0 {
		if !c.mux.paced(to) {
			return len(p), nil
		}
		if h, ok := c.socket.wire.(*share); ok {
			h.asks(p)
		}
	}
	return len(p), c.socket.wire.write(p, to)
}

// Close takes the agent's share back; the socket stays open.
func (c *muxConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		m := c.mux
		m.mu.Lock()
		defer m.mu.Unlock()
		for i := range m.conns {
			if m.conns[i] == c {
				m.conns = append(m.conns[:i], m.conns[i+1:]...)
				break
			}
		}
		if len(m.conns) == 0 {
			clear(m.checked)
		}
		if h, ok := c.socket.wire.(*share); ok {
			h.unknow(c.ufrag)
		}
		for a, r := range m.remotes {
			if r.to == c {
				delete(m.remotes, a)
			}
		}
	})
	return nil
}

// LocalAddr returns the socket's address.
func (c *muxConn) LocalAddr() net.Addr { return c.addr }

// SetDeadline unblocks a reader when the agent closes it; nothing else sets one.
func (c *muxConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing: Close ends a reader.
func (c *muxConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: a datagram is sent or lost at once.
func (c *muxConn) SetWriteDeadline(time.Time) error { return nil }
