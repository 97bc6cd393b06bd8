package stack

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sipxmppgw/signaling/resolve"
)

// A Locator finds where a request can be sent, and is told what became of it; see
// [resolve.Resolver], which is one. Its methods are called from several goroutines, and but
// for Lookup must be quick.
type Locator interface {
	Cached(resolve.Query) (resolve.Answer, bool)
	Lookup(context.Context, resolve.Query) (resolve.Answer, error)
	Penalize(resolve.Target, time.Duration)
	Forgive(resolve.Target)
}

// A found is told where to send a request: at least one target, or an error.
type found func([]resolve.Target, error)

// locate calls f with the places that a target has, in order: at once for an IP literal and
// for what is known, else from another goroutine. Those who ask for the same are answered in
// the order in which they came.
func (s *Stack) locate(to Target, f found) {
	switch {
	case to.Transport == UDP && to.Secure:
		f(nil, fmt.Errorf("%w: UDP is not secure", ErrTransport))
		return
	case to.Transport.Secure() && s.o.Secure == nil || to.Secure && s.o.Secure == nil:
		f(nil, fmt.Errorf("%w: no TLS", ErrTransport))
		return
	case to.Over.IsValid() && s.conns.get(connKey{transport: to.Transport, remote: to.Over}) != nil:
		f([]resolve.Target{{Addr: to.Over, Transport: resolve.Transport(to.Transport)}}, nil)
		return
	case to.Host == "":
		f(nil, fmt.Errorf("%w: the peer has no connection to us", ErrTransport))
		return
	}
	if a, ok := parseHost(to.Host); ok {
		t := or(to.Transport, UDP)
		if to.Secure && !t.Secure() {
			t = TLS
		}
		f([]resolve.Target{{
			Addr: netip.AddrPortFrom(a, or(to.Port, t.Port())), Transport: resolve.Transport(t), Name: to.Host,
		}}, nil)
		return
	}
	if to.Transport.web() || to.Transport == SCTP {
		f = as(to.Transport, f)
	}
	q := to.Query()
	s.mu.Lock()
	waiting, asking := s.lookups[q]
	if !asking {
		if a, ok := s.locator.Cached(q); ok {
			s.mu.Unlock()
			f(s.usable(a.Targets), nil)
			return
		}
	}
	s.lookups[q] = append(waiting, f)
	s.mu.Unlock()
	if asking {
		return
	}
	if !s.spawn(func() { s.finishLookup(q, s.lookup) }) {
		s.finishLookup(q, func(resolve.Query) ([]resolve.Target, error) { return nil, ErrClosed })
	}
}

// as makes the places of a host by its addresses those of a transport that DNS does not know.
func as(t Transport, f found) found {
	return func(targets []resolve.Target, err error) {
		targets = slices.Clone(targets)
		for i := range targets {
			targets[i].Transport = resolve.Transport(t)
		}
		f(targets, err)
	}
}

// finishLookup tells those who wait, also those who come meanwhile.
func (s *Stack) finishLookup(q resolve.Query, lookup func(resolve.Query) ([]resolve.Target, error)) {
	targets, err := lookup(q)
	for {
		s.mu.Lock()
		waiting := s.lookups[q]
		if len(waiting) == 0 {
			delete(s.lookups, q)
			s.mu.Unlock()
			return
		}
		s.lookups[q] = waiting[1:]
		s.mu.Unlock()
		waiting[0](targets, err)
	}
}

func (s *Stack) lookup(q resolve.Query) ([]resolve.Target, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.limits.Resolve)
	defer cancel()
	a, err := s.locator.Lookup(ctx, q)
	if err == nil && len(a.Targets) == 0 {
		err = fmt.Errorf("%s has none", q.Host)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResolve, err)
	}
	return s.usable(a.Targets), nil
}

// usable leaves out what there is no socket for, unless that is all.
func (s *Stack) usable(targets []resolve.Target) []resolve.Target {
	var some []resolve.Target
	for _, t := range targets {
		if t.Transport == resolve.TCP || t.Transport == resolve.TLS && s.o.Secure != nil || t.Transport == resolve.UDP && s.portFor(UDP, t.Addr.Addr()) != nil {
			some = append(some, t)
		}
	}
	if len(some) == 0 {
		return targets
	}
	return some
}
