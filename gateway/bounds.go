package gateway

import (
	"cmp"
	"time"

	"sipxmppgw/gateway/call"
)

// Bounds are what calls may be and use. They may change while there are calls.
type Bounds struct {
	// Limits are the times of calls; the zero value means [call.DefaultLimits].
	Limits call.Limits
	// MaxCalls is how many calls there may be at once. Default 500.
	MaxCalls int
	// MaxEarly is how many of them may be unanswered. Default 200.
	MaxEarly int
	// Quotas are what calls may use, by trunk; the empty name is all of them together.
	Quotas map[string]Quota
	// Trunks are the SIP peers whose calls are counted by name. Default: none.
	Trunks []string
	// MaxDuration is how long a call may last after the answer. Default: for ever.
	MaxDuration time.Duration
}

func (b Bounds) withDefaults() *Bounds {
	if b.Limits == (call.Limits{}) {
		b.Limits = call.DefaultLimits()
	}
	b.MaxCalls, b.MaxEarly = cmp.Or(b.MaxCalls, 500), cmp.Or(b.MaxEarly, 200)
	return &b
}

// Bind has other bounds hold for calls that begin from now on. A quota of minutes holds for those
// that are up, too, unless there was none when they were answered. What is in use stays so.
func (g *Gateway) Bind(b Bounds) {
	g.bounds.Store(b.withDefaults())
	g.metrics.count(b.Trunks)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.quotas.limits = b.Quotas
}

// full reports whether there are as many calls as may be. It is for the holder of the lock.
func (g *Gateway) full() bool {
	b := g.bounds.Load()
	return len(g.calls) >= b.MaxCalls || g.early >= b.MaxEarly
}
