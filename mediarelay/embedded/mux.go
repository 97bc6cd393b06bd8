package embedded

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxRemotes = 64 // addresses that may check in at a mux
	checkQueue = 64 // STUN messages that wait for an agent
)

// A mux is between the sockets of a component and its agent. A request is the agent's if our
// ufrag is in its USERNAME; an answer, if it comes from an address that was asked. Who has sent
// a request with our ufrag and the digest of our password is a remote: a stranger may know the
// one, but not the other.
type mux struct {
	sockets []*socket              // changed by control alone
	theirs  atomic.Pointer[string] // the peer's password; nil while it is not known
	waiting atomic.Int32           // messages that control has not seen yet

	mu      sync.Mutex
	side    *iceSide          // nil for none
	own     credentials       // that the agent has
	id      string            // that the line knows it by: our ufrag, for a twin with the peer's
	remotes map[way]time.Time // when the peer checked last
	asked   []netip.AddrPort  // that have been sent checks
}

// A way is an address that the peer checks from, and where to.
type way struct {
	to   *socket
	from netip.AddrPort
}

// A datagram is a message that waits.
type datagram struct {
	p    []byte
	from netip.AddrPort
}

func newMux(sockets []*socket) *mux {
	return &mux{sockets: sockets, remotes: map[way]time.Time{}}
}

// serve says whose the messages are; nil for nobody's.
func (m *mux) serve(i *iceSide) {
	if i == nil {
		m.know(credentials{})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.side = i
}

// know takes our credentials in place of those there were, whose remotes are none any more.
func (m *mux) know(own credentials) {
	was := m.name(own, own.ufrag)
	for _, s := range m.sockets {
		h, ok := s.wire.(*share)
		if ok && was != "" {
			h.unknow(was)
		}
		if ok && own.ufrag != "" {
			h.know(own.ufrag, own.pwd)
		}
	}
}

// name takes our credentials, and returns what the line knows the mux by so far.
func (m *mux) name(own credentials, id string) (was string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was = m.id
	m.own, m.id = own, id
	clear(m.remotes)
	m.asked = nil
	return was
}

// knows reports whether an address has checked in with our ufrag.
func (m *mux) knows(from netip.AddrPort) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.sockets, func(s *socket) bool { return !m.remotes[way{s, from}].IsZero() })
}

// deliver hands a STUN message to the agent, or drops it. It never waits.
func (m *mux) deliver(s *socket, p []byte, from netip.AddrPort) {
	if len(p) < stunHeader || len(p) > maxPacket || binary.BigEndian.Uint32(p[4:]) != stunCookie {
		return
	}
	i := m.agentOf(s, p, from)
	if i == nil {
		return
	}
	if m.waiting.Add(1) > checkQueue { // the agent is flooded; peers ask again
		m.waiting.Add(-1)
		return
	}
	i.t.b.tellSelf(checkInput{i, s, datagram{bytes.Clone(p), from}})
}

// agentOf returns whose a STUN message is; nil for nobody's.
func (m *mux) agentOf(s *socket, p []byte, from netip.AddrPort) *iceSide {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case p[0]&0x01 != 0: // an answer
		if !slices.Contains(m.asked, from) {
			return nil
		}
	case p[1]&0x10 != 0: // an indication, which says nothing
		return nil
	default:
		ours, _, named := bytes.Cut(username(p), []byte{':'})
		if !named || m.own.ufrag == "" || string(ours) != m.own.ufrag || !m.hears(s, p, from) {
			return nil
		}
	}
	return m.side
}

// hears takes a request, and reports whether it is the peer's. An address that is known has
// proved it before, and is believed until the agent has looked. mu is held.
func (m *mux) hears(to *socket, p []byte, from netip.AddrPort) bool {
	w := way{to, from}
	if m.remotes[w].IsZero() {
		if !genuine(p, m.own.pwd) {
			return false
		}
		if len(m.remotes) >= maxRemotes {
			m.forgetOne()
		}
	}
	m.remotes[w] = time.Now()
	return true
}

// move gives the agent other sockets.
func (m *mux) move(sockets []*socket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sockets = sockets
	clear(m.remotes)
	m.asked = nil
}

// forgetOne makes room for another address: that of the longest ago goes. mu is held.
func (m *mux) forgetOne() {
	var oldest way
	for w, at := range m.remotes {
		if oldest.to == nil || at.Before(m.remotes[oldest]) {
			oldest = w
		}
	}
	if h, ok := oldest.to.wire.(*share); ok {
		h.disown(oldest.from)
	}
	delete(m.remotes, oldest)
}

// send sends a STUN message of the agent.
func (m *mux) send(place int, p []byte, to netip.AddrPort) {
	s := m.sockets[place]
	if binary.BigEndian.Uint16(p) == bindingRequest {
		m.mu.Lock()
		if len(m.asked) >= 2*maxRemotes { // those that count are asked again
			m.asked = nil
		}
		if !slices.Contains(m.asked, to) {
			m.asked = append(m.asked, to)
		}
		m.mu.Unlock()
		if h, ok := s.wire.(*share); ok {
			h.asks(p)
		}
	}
	s.wire.write(p, to) // what is lost is lost
}
