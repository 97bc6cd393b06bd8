package resolve

import "sync/atomic"

// Stats are counts since the start, but those that say "now".
type Stats struct {
	Lookups    uint64 // of targets, but those of Cached that found none
	Stale      uint64 // of these: answered with what has run out, since DNS does not answer
	Unknown    uint64 // of these: ended with ErrNoName
	Unanswered uint64 // of these: ended with ErrNoAnswer
	Queries    uint64 // questions sent to a server
	Failures   uint64 // of these: not answered, or not usefully
	TCP        uint64 // of these: asked again over TCP, since the answer was truncated
	Unfit      uint64 // records of answers that were dropped: too many, or of no use
	Entries    int    // answers remembered now
	Flights    int    // questions under way now
	Penalties  int    // dead targets now
}

// counters are what Stats is made of.
type counters struct {
	lookups, stale, unknown, unanswered, queries, failures, tcp, unfit atomic.Uint64
}

// Stats returns the counts.
func (r *Resolver) Stats() Stats {
	c := &r.count
	st := Stats{
		Lookups:    c.lookups.Load(),
		Stale:      c.stale.Load(),
		Unknown:    c.unknown.Load(),
		Unanswered: c.unanswered.Load(),
		Queries:    c.queries.Load(),
		Failures:   c.failures.Load(),
		TCP:        c.tcp.Load(),
		Unfit:      c.unfit.Load(),
		Penalties:  r.dead.len(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st.Entries, st.Flights = r.cache.len(), len(r.flights)
	return st
}
