package signaling

import (
	"net/netip"
	"sync"

	"sipxmppgw/signaling/stack"
)

// flows are where peers are now that have proved who they are: the sources of their datagrams,
// and their connections. Each is held by what it is for, a call or the binding of a phone; so
// there are no more than of these.
type flows struct {
	mu  sync.RWMutex
	all map[flow]map[*Trunk]int // how often it is held
}

// A flow is one of them.
type flow struct {
	transport stack.Transport
	remote    netip.AddrPort
}

func newFlows() *flows { return &flows{all: map[flow]map[*Trunk]int{}} }

// flowOf is where a request has come from, and the way back to there.
func flowOf(tx *stack.ServerTx) flow { return flow{tx.Transport(), plain(tx.Source())} }

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func (fs *flows) hold(t *Trunk, f flow) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.all[f] == nil {
		fs.all[f] = map[*Trunk]int{}
	}
	fs.all[f][t]++
}

func (fs *flows) release(t *Trunk, f flow) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.all[f][t]--; fs.all[f][t] <= 0 {
		delete(fs.all[f], t)
	}
	if len(fs.all[f]) == 0 {
		delete(fs.all, f)
	}
}

// holds reports whether a peer is at a flow of a trunk.
func (fs *flows) holds(t *Trunk, transport stack.Transport, remote netip.AddrPort) bool {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.all[flow{transport, plain(remote)}][t] > 0
}

// known reports whether something of ours is at an address.
func (fs *flows) known(transport stack.Transport, remote netip.AddrPort) bool {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return len(fs.all[flow{transport, plain(remote)}]) > 0
}
