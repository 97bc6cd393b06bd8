package trace

import (
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// Refused begins the ids of calls that were not begun. Anyone can cause any number of those, so
// they have a small place of their own, where they push out no call: of many that come at once, a
// sample is kept.
const Refused = "r-"

// What refused calls may hold.
const (
	maxRefused       = 64
	maxRefusedRaw    = 4 * 1024  // octets kept of a message
	maxRefusedOctets = 16 * 1024 // of one
	refusedBurst     = 16        // that are kept at once, and then
	refusedEvery     = time.Second
)

// refusals are the last calls that were not begun. It is for the holder of the recorder's lock.
type refusals struct {
	all    []*recorded // oldest first
	octets int
	pace   *rate.Limiter // at which more are kept
}

// Refuse makes room for the messages of a call that was not begun; false says that there is none
// for this one.
func (r *Recorder) Refuse(call string, at time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.refused
	if !s.pace.AllowN(at, 1) {
		return false
	}
	if len(s.all) == maxRefused {
		s.octets -= s.all[0].octets
		s.all = slices.Delete(s.all, 0, 1)
	}
	c := &recorded{Recording: Recording{Call: call, Begun: at, Ended: at}, octets: overhead + len(call)}
	s.all, s.octets = append(s.all, c), s.octets+c.octets
	return true
}

func (r *Recorder) keepsRefused(call string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused.of(call) != nil
}

// of returns what is kept of a call, or nil. The last is asked for most.
func (s *refusals) of(call string) *recorded {
	for _, c := range slices.Backward(s.all) {
		if c.Call == call {
			return c
		}
	}
	return nil
}

// add keeps a part of a call, if there is room.
func (s *refusals) add(call string, octets int, keep func(*recorded)) {
	c := s.of(call)
	switch {
	case c == nil:
	case c.octets+octets > maxRefusedOctets:
		c.Left++
	default:
		keep(c)
		c.octets, s.octets = c.octets+octets, s.octets+octets
	}
}
