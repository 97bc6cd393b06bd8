package stack

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A connKey is what a connection is found by, to send over it. One that we opened to a name
// is for that name, and for the others that its certificate proves, and for no one else (RFC
// 5923 section 4); one that a peer opened is found by the address it came from, without a
// name.
type connKey struct {
	transport Transport
	remote    netip.AddrPort
	name      string // of TLS and WSS; in lower case
}

// A connTable holds the connections there are.
type connTable struct {
	limits Limits

	mu       sync.Mutex
	all      map[*conn]struct{}
	keys     map[connKey]*conn
	ids      map[uint64]*conn
	next     uint64
	sources  map[netip.Addr]int // accepted, by address
	counts   map[Transport]int
	accepted int
	closed   bool
}

func newConnTable(l Limits) *connTable {
	return &connTable{
		limits: l, all: map[*conn]struct{}{}, keys: map[connKey]*conn{}, ids: map[uint64]*conn{},
		sources: map[netip.Addr]int{}, counts: map[Transport]int{},
	}
}

// add takes a connection in, unless there are too many; those that we opened always fit, and
// that of a peer of ours takes the place of a stranger's. Then out is to be closed.
func (t *connTable) add(c *conn) (in bool, out *conn) {
	if c.known.Load() && !c.opened {
		out = t.stranger(c.remote.Addr())
	}
	if out != nil {
		t.remove(out)
	}
	return t.enlist(c), out
}

// stranger is who has been here longest of those whom nobody knows, if there is no place left for
// a peer who may have one.
func (t *connTable) stranger(peer netip.Addr) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.accepted < t.limits.Conns || t.sources[peer] >= t.limits.SourceConns {
		return nil
	}
	var out *conn
	for c := range t.all {
		if c.strange && !c.known.Load() && (out == nil || c.id < out.id) {
			out = c
		}
	}
	return out
}

// enlist enters a connection, if there is a place for it.
func (t *connTable) enlist(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr := c.remote.Addr()
	switch {
	case t.closed:
		return false
	case c.opened:
	case t.accepted >= t.limits.Conns || t.sources[addr] >= t.limits.SourceConns:
		return false
	default:
		t.accepted++
		t.sources[addr]++
	}
	c.strange = !c.known.Load() && !c.opened
	t.next++
	c.id = t.next
	t.all[c] = struct{}{}
	t.ids[c.id] = c
	t.counts[c.transport]++
	t.enter(c, connKey{c.transport, c.remote, c.name})
	return true
}

// enter has a connection found by a key. The last one that a peer opens from an address, or
// that we open, takes the place of one before it.
func (t *connTable) enter(c *conn, k connKey) {
	t.keys[k] = c
	c.keys = append(c.keys, k)
}

// prove makes known what a certificate has proved: a connection that we opened is found by
// these names too.
func (t *connTable) prove(c *conn, domains []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, open := t.all[c]; !open {
		return
	}
	c.domains = domains
	if !c.opened {
		return
	}
	for _, d := range domains {
		if k := (connKey{c.transport, c.remote, d}); t.keys[k] == nil {
			t.enter(c, k)
		}
	}
}

// maxAliases bounds the addresses that one peer can claim for a connection.
const maxAliases = 4

// alias has a connection that a peer opened used for requests to the address where it
// listens, if they are for a name that its certificate has proved (RFC 5923 section 8.2).
func (t *connTable) alias(c *conn, port uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, open := t.all[c]; !open || c.opened || slices.Contains(c.aliases, port) || len(c.aliases) >= maxAliases {
		return
	}
	c.aliases = append(c.aliases, port)
	for _, d := range c.domains {
		if k := (connKey{c.transport, netip.AddrPortFrom(c.remote.Addr(), port), d}); t.keys[k] == nil {
			t.enter(c, k)
		}
	}
}

func (t *connTable) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, open := t.all[c]; !open {
		return
	}
	delete(t.all, c)
	delete(t.ids, c.id)
	for _, k := range c.keys {
		if t.keys[k] == c {
			delete(t.keys, k)
		}
	}
	t.counts[c.transport]--
	if c.opened {
		return
	}
	t.accepted--
	if t.sources[c.remote.Addr()]--; t.sources[c.remote.Addr()] == 0 {
		delete(t.sources, c.remote.Addr())
	}
}

func (t *connTable) get(k connKey) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[k]
}

// newest returns the connection opened last by a peer that fits.
func (t *connTable) newest(fits func(Peer) bool) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	var best *conn
	for c := range t.all {
		if !c.opened && c.ready && (best == nil || c.id > best.id) && fits(Peer{c.remote, c.transport, c.domains}) {
			best = c
		}
	}
	return best
}

// settle says that a connection has done all that comes before the first message.
func (t *connTable) settle(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.ready, c.strange = true, !c.known.Load() && !c.opened
}

// domainsOf returns what the certificate of a connection's peer has proved.
func (t *connTable) domainsOf(c *conn) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.domains
}

// A connAddr is what sipgo takes for the address of a peer: it tells connections apart by it.
type connAddr uint64

func (connAddr) Network() string  { return "tcp" }
func (a connAddr) String() string { return "conn-" + strconv.FormatUint(uint64(a), 10) }

// bySource finds the connection that sipgo names.
func (t *connTable) bySource(source string) *conn {
	digits, _ := strings.CutPrefix(source, "conn-")
	id, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ids[id]
}

// now returns how many connections there are, by transport.
func (t *connTable) now() map[Transport]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := map[Transport]int{}
	for tr, n := range t.counts {
		counts[tr] = n
	}
	return counts
}

// closeAll closes all, and lets no more in.
func (t *connTable) closeAll() {
	t.mu.Lock()
	t.closed = true
	var all []*conn
	for c := range t.all {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}
