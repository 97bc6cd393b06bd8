package signaling

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
)

// maxBindings bounds the registrations there may be.
const maxBindings = 10000

// bindings finds the registration of a trunk or of a request.
type bindings struct {
	mu      sync.RWMutex
	byName  map[string]*binding
	byToken map[string]*binding
	at      map[netip.Addr]int // accounts whose server is an address
}

func newBindings() *bindings {
	return &bindings{byName: map[string]*binding{}, byToken: map[string]*binding{}, at: map[netip.Addr]int{}}
}

func (bs *bindings) add(b *binding) error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if bs.byName[b.trunk.Name] != nil || len(bs.byName) >= maxBindings {
		return errTaken
	}
	bs.byName[b.trunk.Name], bs.byToken[b.token] = b, b
	if b.account && len(b.trunk.Sources) > 0 {
		bs.at[b.trunk.Sources[0].Addr()]++
	}
	return nil
}

func (bs *bindings) remove(b *binding) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if bs.byName[b.trunk.Name] != b {
		return
	}
	delete(bs.byName, b.trunk.Name)
	delete(bs.byToken, b.token)
}

// forget takes one account from those whose server is an address.
func (bs *bindings) forget(a netip.Addr) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if bs.at[a]--; bs.at[a] <= 0 {
		delete(bs.at, a)
	}
}

func (bs *bindings) named(trunk string) *binding {
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	return bs.byName[trunk]
}

func (bs *bindings) all() []*binding {
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	all := make([]*binding, 0, len(bs.byName))
	for _, b := range bs.byName {
		all = append(all, b)
	}
	return all
}

// called returns the binding whose Contact a request names; nil if it is not registered where
// the request came from.
func (bs *bindings) called(req *sip.Request, from stack.Peer) *binding {
	token, ok := strings.CutPrefix(req.Recipient.User, "x-")
	if !ok {
		return nil
	}
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	if b := bs.byToken[token]; b != nil && b.trunk.within(from) {
		return b
	}
	return nil
}

// meant returns the account that a request means in another way, or nil.
func (bs *bindings) meant(req *sip.Request, from stack.Peer) *binding {
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	for _, b := range bs.byName {
		if b.account && b.trunk.within(from) && b.means(req) {
			return b
		}
	}
	return nil
}

// knows reports whether some account's server is an address.
func (bs *bindings) knows(a netip.Addr) bool {
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	return bs.at[a] > 0
}

// servers are the names of accounts' servers, and where DNS says they are. Each is watched
// once, however many accounts it has.
type servers struct {
	closed bool // none is let in any more
	public bool // only at public addresses
	watch  func(context.Context, stack.Target, *places)
	mu     sync.RWMutex
	byName map[stack.Target]*server
	wg     sync.WaitGroup
}

type server struct {
	places *places
	users  int
	stop   context.CancelFunc
}

// take returns the places of a server for one more account.
func (ss *servers) take(t stack.Target) *places {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byName[t]
	if s == nil {
		ctx, stop := context.WithCancel(context.Background())
		s = &server{places: &places{}, stop: stop}
		ss.byName[t] = s
		if !ss.closed {
			ss.wg.Go(func() { ss.watch(ctx, t, s.places) }) // ends when the last account leaves
		}
	}
	s.users++
	return s.places
}

func (ss *servers) leave(t stack.Target) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.byName[t]; s != nil {
		if s.users--; s.users == 0 {
			s.stop()
			delete(ss.byName, t)
		}
	}
}

func (ss *servers) close() {
	ss.mu.Lock()
	ss.closed = true
	for _, s := range ss.byName {
		s.stop()
	}
	ss.mu.Unlock()
	ss.wg.Wait()
}

// knows reports whether an address is one of a server.
func (ss *servers) knows(a netip.Addr) bool {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	for _, s := range ss.byName {
		if s.places.holds(a) {
			return true
		}
	}
	return false
}

// see takes what DNS says of a server.
func (ss *servers) see(q resolve.Query, a resolve.Answer) {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	for t, s := range ss.byName {
		if query(t) == q {
			s.places.see(a.Targets)
		}
	}
}

// fit leaves out of an answer what a user may not have us send to: addresses that are not
// public, if the name is none of the config's.
func (ss *servers) fit(q resolve.Query, a resolve.Answer, configured bool) resolve.Answer {
	if !ss.public || configured {
		return a
	}
	var targets []resolve.Target
	for _, t := range a.Targets {
		if Public(t.Addr.Addr()) {
			targets = append(targets, t)
		}
	}
	a.Targets = targets
	return a
}

// notPublic are networks that lead to nobody on the Internet, beside those that netip knows
// (RFC 6890).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/23"),
}

// Public reports whether an address is one of the Internet: no user may have us send to
// another (RELIABILITY 4, SSRF).
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

func single(a netip.Addr) []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())} }
