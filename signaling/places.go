package signaling

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
)

const (
	// refresh is how often DNS is asked where trunks are. The resolver remembers as long
	// as DNS says.
	refresh = time.Minute
	// lookup is how long DNS may take then.
	lookup = 10 * time.Second
	// remembered is how long a place counts after DNS has named it last: calls that are up
	// stay where they are.
	remembered = time.Hour
	// maxPlaces bounds the places of one trunk.
	maxPlaces = 256
)

// places are where a trunk whose address is a name can be. Nil has none.
type places struct {
	mu   sync.RWMutex
	seen []seen // the preferred first
}

type seen struct {
	resolve.Target
	last time.Time
}

// see takes what DNS says now.
func (p *places) see(targets []resolve.Target) {
	now := time.Now()
	all := make([]seen, 0, len(targets))
	named := map[resolve.Target]bool{}
	for _, t := range targets {
		if !named[t] && len(all) < maxPlaces {
			named[t] = true
			all = append(all, seen{t, now})
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.seen {
		if !named[s.Target] && now.Sub(s.last) < remembered && len(all) < maxPlaces {
			all = append(all, s)
		}
	}
	p.seen = all
}

// find returns the first place that fits.
func (p *places) find(fits func(resolve.Target) bool) (resolve.Target, bool) {
	if p == nil {
		return resolve.Target{}, false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, s := range p.seen {
		if time.Since(s.last) < remembered && fits(s.Target) {
			return s.Target, true
		}
	}
	return resolve.Target{}, false
}

// several reports whether there is more than one.
func (p *places) several() bool {
	if p == nil {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.seen) > 1
}

// first is the place that is preferred.
func (p *places) first() (resolve.Target, bool) {
	return p.find(func(resolve.Target) bool { return true })
}

// holds reports whether an address is among them.
func (p *places) holds(a netip.Addr) bool {
	_, ok := p.find(func(t resolve.Target) bool { return t.Addr.Addr() == a })
	return ok
}

var errNotPublic = errors.New("no public address")

// query is what DNS is asked for a target.
func query(to stack.Target) resolve.Query {
	return resolve.Query{Host: to.Host, Port: to.Port, Transport: resolve.Transport(to.Transport)}
}

// A watcher is a locator that sees where trunks are.
type watcher struct {
	stack.Locator
	trunks  func() trunks
	servers *servers
	log     *slog.Logger
}

// Cached implements [stack.Locator].
func (w watcher) Cached(q resolve.Query) (resolve.Answer, bool) {
	a, ok := w.Locator.Cached(q)
	if ok {
		a = w.servers.fit(q, a, w.configured(q))
		if len(a.Targets) == 0 {
			return a, false // Lookup says why
		}
		w.see(q, a)
	}
	return a, ok
}

// Lookup implements [stack.Locator].
func (w watcher) Lookup(ctx context.Context, q resolve.Query) (resolve.Answer, error) {
	a, err := w.Locator.Lookup(ctx, q)
	if err != nil {
		return a, err
	}
	if a = w.servers.fit(q, a, w.configured(q)); len(a.Targets) == 0 {
		return a, errNotPublic
	}
	w.see(q, a)
	return a, nil
}

// configured reports whether a name is that of a trunk of the config.
func (w watcher) configured(q resolve.Query) bool {
	return slices.ContainsFunc(w.trunks(), func(t *Trunk) bool { return query(t.Next) == q })
}

func (w watcher) see(q resolve.Query, a resolve.Answer) {
	for _, t := range w.trunks() {
		if t.places != nil && t.Next.Query() == q {
			t.places.see(a.Targets)
		}
	}
	w.servers.see(q, a)
}

// watch keeps the places of a trunk up to date until ctx is over: who calls from there is
// known before we have called. Failures are logged once, until one works.
func (w watcher) watch(ctx context.Context, t *Trunk) {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	failed := false
	for {
		short, cancel := context.WithTimeout(ctx, lookup)
		a, err := w.Lookup(short, t.Next.Query())
		cancel()
		bad := err != nil || a.Stale
		switch {
		case ctx.Err() != nil:
			return
		case bad && !failed && err != nil:
			w.log.Warn("trunk is not found", "trunk", t.Name, "address", t.Next.Host, "error", err)
		case bad && !failed:
			w.log.Warn("DNS does not answer; what it said last is used", "trunk", t.Name, "address", t.Next.Host)
		case !bad && failed:
			w.log.Info("trunk is found", "trunk", t.Name, "address", t.Next.Host)
		}
		failed = bad
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
