package embedded

import (
	"net/netip"
	"sync"
)

// Engine says what keeps the media sockets.
type Engine uint8

const (
	// EngineAuto is the best one for this machine: threads of our own where there are
	// epoll and batched system calls (Linux), else EnginePortable.
	EngineAuto Engine = iota
	// EnginePortable reads each socket in a goroutine of its own, through the runtime.
	EnginePortable
)

// sharedBuffer is the kernel's buffer of a wire that many share, in octets, as far as the
// machine allows (net.core.rmem_max).
const sharedBuffer = 4 << 20

// An engine keeps the UDP sockets of a relay, and what reads them.
type engine interface {
	// worker returns who is to keep the sockets of one more bridge.
	worker() worker
	// close ends the workers; all their wires are closed.
	close()
}

// A worker keeps the sockets of a bridge. Whatever of them is not said to be for any
// goroutine is for the worker's reader alone, which may be one for all wires, or one for
// each.
type worker interface {
	// bind opens a wire, which is not read yet. From a shared wire, and to it, come many
	// datagrams at a time.
	bind(a netip.AddrPort, shared bool) (wire, error)
	// lock returns what guards flows that several wires feed, nil if there is one reader.
	lock() *sync.Mutex
	// leave says that a bridge is gone.
	leave()
}

// A wire is a bound UDP socket.
type wire interface {
	// start hands what comes in to a receiver, until close.
	start(receiver)
	// send sends a datagram on the path: at the end of the batch at the latest. The
	// octets are the caller's again when it returns. picture says that it is video, which
	// is marked in another way than the rest. A reader of the worker calls it.
	send(p []byte, to netip.AddrPort, picture bool) error
	// write sends a datagram at once; from any goroutine.
	write(p []byte, to netip.AddrPort) error
	// prefer says that nothing counts but what comes from that peer, so that the kernel may
	// drop the rest and find its way out faster. A reader of the worker calls it.
	prefer(peer netip.AddrPort)
	// welcome takes that back. When it returns, it is so. It must not be called by a reader.
	welcome()
	// poke has the reader look at once at what control has left for a socket; from any
	// goroutine.
	poke(*socket)
	// forget has the reader take a socket off its agenda. When it returns, nothing of the
	// socket runs any more. It must not be called by a reader.
	forget(*socket)
	// touch reads what send will need, for the sake of the cache. What it returns means
	// nothing. A reader of the worker calls it.
	touch() uint32
	// local returns the address the wire is bound to.
	local() netip.AddrPort
	// close closes the wire. When it returns, nothing of it runs any more. It must not be
	// called by a reader.
	close()
}

// A receiver takes the datagrams of a wire. The datagram is buf[:n]; buf has room for
// what protects it, and is the receiver's until it returns. now is the relay's clock.
type receiver interface {
	packet(buf []byte, n int, from netip.AddrPort, now int64)
}

// An agenda is what the sockets of one reader have to do at a time of their own. It
// belongs to the reader.
type agenda struct {
	entries []*socket
	next    int64 // on the relay's clock, when the first is due; 0 for none
}

// add has a socket looked at in the next turn.
func (a *agenda) add(s *socket, now int64) {
	if s.due == 0 {
		a.entries = append(a.entries, s)
	}
	s.due, a.next = now, now
}

// turn lets those sockets do their work that are due.
func (a *agenda) turn(now int64) {
	if a.next == 0 || a.next > now {
		return
	}
	a.next = 0
	kept := a.entries[:0]
	for _, s := range a.entries {
		if s.due <= now {
			s.due = s.look()
		}
		if s.due == 0 {
			continue
		}
		kept = append(kept, s)
		if a.next == 0 || s.due < a.next {
			a.next = s.due
		}
	}
	clear(a.entries[len(kept):])
	a.entries = kept
}

// drop forgets a socket.
func (a *agenda) drop(s *socket) {
	for i, e := range a.entries {
		if e == s {
			last := len(a.entries) - 1
			a.entries[i], a.entries[last] = a.entries[last], nil
			a.entries = a.entries[:last]
			break
		}
	}
	s.due = 0
}
