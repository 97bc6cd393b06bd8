package resolve

import (
	"net/netip"
	"sync"
	"time"
)

// Penalties (RFC 3261 section 21.5.4, RFC 3263 section 4.3, INTERWORKING 2.16).
const (
	penalty      = 32 * time.Second // where nothing says how long
	maxPenalty   = 300 * time.Second
	maxPenalties = 1024 // of targets at a time
)

// penalties are the targets that have failed, and until when they come last. The zero value
// has none.
type penalties struct {
	mu    sync.Mutex
	until map[place]time.Time
}

// A place is a target, by whatever name.
type place struct {
	addr      netip.AddrPort
	transport Transport
}

// Penalize has a target come last for d: what a Retry-After says, up to 300 seconds, or
// 32 seconds when d is not positive. It does not shorten an earlier penalty.
func (r *Resolver) Penalize(t Target, d time.Duration) {
	if d <= 0 {
		d = penalty
	}
	r.dead.add(place{t.Addr, t.Transport}, time.Now().Add(min(d, maxPenalty)))
}

// Forgive ends the penalty of a target, since it has answered.
func (r *Resolver) Forgive(t Target) {
	p := &r.dead
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.until, place{t.Addr, t.Transport})
}

func (p *penalties) add(at place, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = map[place]time.Time{}
	}
	if p.until[at].After(until) {
		return
	}
	if _, again := p.until[at]; !again {
		p.sweep(time.Now())
	}
	p.until[at] = until
}

// sweep makes room: it forgets what is over or, when all are taken, what is over next.
func (p *penalties) sweep(now time.Time) {
	var next place
	var soonest time.Time
	for at, until := range p.until {
		if !until.After(now) {
			delete(p.until, at)
			continue
		}
		if soonest.IsZero() || until.Before(soonest) {
			next, soonest = at, until
		}
	}
	if len(p.until) >= maxPenalties {
		delete(p.until, next)
	}
}

// last returns targets with the dead ones at the end: when all are dead they are still
// better than nothing.
func (p *penalties) last(ts []Target) []Target {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.until) == 0 {
		return ts
	}
	now := time.Now()
	alive := make([]Target, 0, len(ts))
	var dead []Target
	for _, t := range ts {
		if p.until[place{t.Addr, t.Transport}].After(now) {
			dead = append(dead, t)
			continue
		}
		alive = append(alive, t)
	}
	return append(alive, dead...)
}

// len is how many penalties there are now.
func (p *penalties) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, n := time.Now(), 0
	for _, until := range p.until {
		if until.After(now) {
			n++
		}
	}
	return n
}
