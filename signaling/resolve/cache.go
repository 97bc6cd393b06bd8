package resolve

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	minTTL      = time.Second     // so that a TTL of 0 does not have DNS asked for each request
	maxTTL      = time.Hour       // so that a slip in a zone is over in an hour
	maxNegative = 5 * time.Minute // the same for "no such name" (RFC 2308 section 5)
	hostsTTL    = 2 * time.Minute
	hostsRenew  = 10 * time.Second // what the hosts file says is looked up again after this, but not waited for

	staleFor  = 24 * time.Hour          // what has run out is used while DNS is down (RFC 8767 section 5 has 1 to 3 days)
	patience  = 1800 * time.Millisecond // of a lookup for new answers when there are old ones (RFC 8767 section 5)
	recheck   = 30 * time.Second        // between questions for which there is an old answer (RFC 8767 section 5)
	holdOff   = 5 * time.Second         // and for which there is none (RFC 9520 section 3.2)
	flights   = 1000                    // questions under way at a time
	renewPart = 10                      // an answer in use is renewed in the last tenth of its time
)

// kindHosts is the kind of the system's answer; those of DNS are its types.
const kindHosts uint16 = 0

// A key is a question.
type key struct {
	name string // canonical
	kind uint16
}

// An entry is what is known of a question. It is touched under the resolver's lock.
type entry struct {
	key   key
	got   records   // the last answer, which is never changed; also "there is none"
	has   bool      // there was an answer
	renew time.Time // when it is asked for again if it is used, and nobody waits for that
	fresh time.Time // until when got holds
	stale time.Time // and until when it is used for want of better
	retry time.Time // when a question that had no answer may be asked again
	err   error     // why it had none
}

// A cache remembers entries, the least recently used forgotten when there are too many.
type cache struct {
	max     int
	order   *list.List // of *entry, the most recently used first
	entries map[key]*list.Element
}

func newCache(max int) cache {
	return cache{max: max, order: list.New(), entries: map[key]*list.Element{}}
}

func (c *cache) len() int { return len(c.entries) }

// get returns the entry of a question, or nil.
func (c *cache) get(k key) *entry {
	e := c.entries[k]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry)
}

// make returns the entry of a question, new if there was none.
func (c *cache) make(k key) *entry {
	if e := c.get(k); e != nil {
		return e
	}
	if c.order.Len() >= c.max {
		delete(c.entries, c.order.Remove(c.order.Back()).(*entry).key)
	}
	e := &entry{key: k}
	c.entries[k] = c.order.PushFront(e)
	return e
}

// last is the answer for want of a fresh one: the stale one, or the last error.
func (e *entry) last(now time.Time) result {
	switch {
	case e.has && now.Before(e.stale):
		return result{got: e.got, stale: true}
	case e.err != nil:
		return result{err: e.err}
	default:
		return result{err: errUnknown}
	}
}

// A result is what a question has led to.
type result struct {
	got   records
	stale bool
	err   error
}

// A flight is a question under way, for everyone who wants its answer.
type flight struct {
	done   chan struct{} // closed when the result is there
	result result
}

// errUnknown says that an answer would have to be waited for.
var errUnknown = fmt.Errorf("%w: not asked yet", ErrNoAnswer)

// errBusy says that too much is under way.
var errBusy = fmt.Errorf("%w: too many questions under way", ErrNoAnswer)

// ask returns the answer to a question: from the cache or, unless the search wants only what is
// known, when it comes. The error wraps ErrNoAnswer or ErrClosed.
func (r *Resolver) ask(s *search, k key) result {
	r.mu.Lock()
	now := time.Now()
	e := r.cache.get(k)
	if e != nil && e.has && now.Before(e.fresh) {
		if now.After(e.renew) {
			_, _ = r.begin(k, e, now) // there is no need for it yet
		}
		got := e.got
		r.mu.Unlock()
		return result{got: got}
	}
	last := result{err: errUnknown}
	if e != nil {
		last = e.last(now)
	}
	if e != nil && now.Before(e.retry) {
		r.mu.Unlock()
		return last
	}
	f, err := r.begin(k, e, now)
	r.mu.Unlock()
	switch {
	case s.known:
		return result{err: errUnknown}
	case errors.Is(err, ErrClosed), err != nil && e == nil:
		return result{err: err}
	case err != nil:
		return last
	}
	return f.wait(s, last)
}

// wait returns the result of a flight. With an old one there is less patience.
func (f *flight) wait(s *search, last result) result {
	var enough <-chan time.Time
	if last.err != errUnknown {
		t := time.NewTimer(time.Until(s.patient))
		defer t.Stop()
		enough = t.C
	}
	select {
	case <-f.done:
		return f.result
	case <-enough:
		return last
	case <-s.ctx.Done():
		if last.stale {
			return last
		}
		return result{err: fmt.Errorf("%w: %w", ErrNoAnswer, s.ctx.Err())}
	}
}

// prepare has a question asked whose answer is not in the cache.
func (r *Resolver) prepare(k key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	e := r.cache.get(k)
	if e != nil && e.has && now.Before(e.fresh) {
		return
	}
	_, _ = r.begin(k, e, now) // who waits for the answer asks again and has the error
}

// begin returns the flight of a question, new if there is none. The lock is held.
func (r *Resolver) begin(k key, e *entry, now time.Time) (*flight, error) {
	if f := r.flights[k]; f != nil {
		return f, nil
	}
	switch {
	case r.closed:
		return nil, ErrClosed
	case e != nil && now.Before(e.retry):
		return nil, e.err
	case len(r.flights) >= flights:
		return nil, errBusy
	}
	f := &flight{done: make(chan struct{})}
	r.flights[k] = f
	r.wg.Go(func() { r.run(k, f) }) // ends with the answer, or with Close
	return f, nil
}

// run asks a question and remembers what came of it.
func (r *Resolver) run(k key, f *flight) {
	ctx, cancel := context.WithTimeout(r.ctx, flightTime)
	defer cancel()
	got, ttl, err := r.fetch(ctx, k)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flights, k)
	f.result = r.land(k, got, ttl, err)
	close(f.done)
}

// land remembers an answer, or that there was none. The lock is held.
func (r *Resolver) land(k key, got records, ttl time.Duration, err error) result {
	if r.closed {
		return result{err: ErrClosed}
	}
	now := time.Now()
	e := r.cache.make(k)
	if err != nil {
		e.err = err
		last := e.last(now)
		e.retry = now.Add(holdOff)
		if last.stale {
			e.retry = now.Add(recheck)
		}
		return last
	}
	renew := ttl - ttl/renewPart
	if k.kind == kindHosts {
		renew = hostsRenew
	}
	*e = entry{
		key: k, got: got, has: true,
		renew: now.Add(renew), fresh: now.Add(ttl), stale: now.Add(ttl + staleFor),
	}
	return result{got: got}
}
