// Package guard remembers who could not say who they are, and shuts them out for a while: each
// time for twice as long, and less again when they have behaved for some time.
//
// The package is pure: no I/O, no clock.
package guard

import (
	"container/list"
	"net/netip"
	"time"
)

// Options say how patient a guard is. The zero value of a field stands for its default.
type Options struct {
	// Failures is how many in a row shut a source out. Default 10.
	Failures int
	// Forgive is how long it takes until one failure does not count any more. Default 1m.
	Forgive time.Duration
	// Ban is for how long a source is shut out first; MaxBan is the longest. Default 1m and
	// 1h.
	Ban, MaxBan time.Duration
	// Calm is after how long without a failure a ban is half as long again. Default 1h.
	Calm time.Duration
	// Sources is how many are remembered, those that failed last. Default 100000.
	Sources int
}

func (o Options) withDefaults() Options {
	if o.Failures == 0 {
		o.Failures = 10
	}
	if o.Forgive == 0 {
		o.Forgive = time.Minute
	}
	if o.Ban == 0 {
		o.Ban = time.Minute
	}
	if o.MaxBan == 0 {
		o.MaxBan = time.Hour
	}
	if o.Calm == 0 {
		o.Calm = time.Hour
	}
	if o.Sources == 0 {
		o.Sources = 100000
	}
	return o
}

// A Guard knows sources by their address; of IPv6, by the /64 that one subscriber has. It is
// not safe for several goroutines.
type Guard struct {
	o       Options
	order   list.List // of *source, the one that failed last first
	sources map[netip.Addr]*list.Element
}

// A source is one that has failed.
type source struct {
	addr   netip.Addr
	score  float64 // failures that still count
	level  int     // how often a ban has been doubled
	failed time.Time
	until  time.Time // it is shut out
}

// calm is since when it has behaved: who is shut out has no choice.
func (s *source) calm() time.Time {
	if s.until.After(s.failed) {
		return s.until
	}
	return s.failed
}

// New returns a guard who knows nobody.
func New(o Options) *Guard {
	return &Guard{o: o.withDefaults(), sources: map[netip.Addr]*list.Element{}}
}

func subscriber(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// Banned reports whether a source is shut out.
func (g *Guard) Banned(a netip.Addr, now time.Time) bool {
	e := g.sources[subscriber(a)]
	return e != nil && now.Before(e.Value.(*source).until)
}

// Failed takes note of a failure. It returns for how long the source is shut out because of
// it, 0 if it is not.
func (g *Guard) Failed(a netip.Addr, now time.Time) time.Duration {
	a = subscriber(a)
	e := g.sources[a]
	if e == nil {
		if g.order.Len() >= g.o.Sources {
			delete(g.sources, g.order.Remove(g.order.Back()).(*source).addr)
		}
		e = g.order.PushFront(&source{addr: a, failed: now})
		g.sources[a] = e
	}
	g.order.MoveToFront(e)
	s := e.Value.(*source)
	s.score = max(0, s.score-float64(now.Sub(s.failed))/float64(g.o.Forgive)) + 1
	if calm := now.Sub(s.calm()); calm > 0 {
		s.level = max(0, s.level-int(calm/g.o.Calm))
	}
	s.failed = now
	if s.score <= float64(g.o.Failures-1) {
		return 0
	}
	ban := g.o.Ban
	for i := 0; i < s.level && ban < g.o.MaxBan; i++ {
		ban *= 2
	}
	ban = min(ban, g.o.MaxBan)
	s.until, s.score = now.Add(ban), 0
	if ban < g.o.MaxBan {
		s.level++
	}
	return ban
}

// Proved takes note that a source has said who it is: its failures were mistakes. How long it
// was shut out before is not forgotten by that.
func (g *Guard) Proved(a netip.Addr) {
	if e := g.sources[subscriber(a)]; e != nil {
		e.Value.(*source).score = 0
	}
}

// Bans returns how many sources are shut out.
func (g *Guard) Bans(now time.Time) int {
	n := 0
	for _, e := range g.sources {
		if now.Before(e.Value.(*source).until) {
			n++
		}
	}
	return n
}
