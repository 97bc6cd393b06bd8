package component

import "sync/atomic"

// Stats are counts since the stream was made, but for the last two, which are now.
type Stats struct {
	Connects   uint64 // handshakes that succeeded
	Failures   uint64 // attempts to connect that did not, and connections that were lost
	Received   uint64 // stanzas read
	Sent       uint64 // stanzas written
	Refused    uint64 // stanzas not sent, for what was wrong with them
	Lost       uint64 // stanzas not sent, for want of a connection or of room
	Over       uint64 // stanzas read that went over a cap
	Unreadable uint64 // stanzas read that are not namespace-well-formed, or break RFC 6120
	Malformed  uint64 // stanzas read with an address that is none
	Foreign    uint64 // stanzas read for another domain
	Nobody     uint64 // stanzas read without a sender
	Unknown    uint64 // elements read that are no stanza
	Unrouted   uint64 // stanzas read that no route took
	Unasked    uint64 // answers to no IQ of ours, or too late
	Spoofed    uint64 // answers to an IQ of ours from another than who was asked
	Timeouts   uint64 // IQs without an answer in time
	Panics     uint64 // of routes and of those waiting for an answer
	Pings      uint64 // pings sent
	Pongs      uint64 // pings that were answered or came back
	Duplicate  uint64 // pings read from another gateway on our domain
	Queued     int    // stanzas waiting to be written
	Asked      int    // IQs waiting to be answered
}

type counters struct {
	connects, failures, received, sent, refused, lost          atomic.Uint64
	over, unreadable, malformed, foreign, nobody, unknown      atomic.Uint64
	unrouted, unasked, spoofed, timeouts, panics, pings, pongs atomic.Uint64
	duplicate                                                  atomic.Uint64
}

// Stats returns the counts.
func (s *Stream) Stats() Stats {
	c := &s.stats
	st := Stats{
		Connects:   c.connects.Load(),
		Failures:   c.failures.Load(),
		Received:   c.received.Load(),
		Sent:       c.sent.Load(),
		Refused:    c.refused.Load(),
		Lost:       c.lost.Load(),
		Over:       c.over.Load(),
		Unreadable: c.unreadable.Load(),
		Malformed:  c.malformed.Load(),
		Foreign:    c.foreign.Load(),
		Nobody:     c.nobody.Load(),
		Unknown:    c.unknown.Load(),
		Unrouted:   c.unrouted.Load(),
		Unasked:    c.unasked.Load(),
		Spoofed:    c.spoofed.Load(),
		Timeouts:   c.timeouts.Load(),
		Panics:     c.panics.Load(),
		Pings:      c.pings.Load(),
		Pongs:      c.pongs.Load(),
		Duplicate:  c.duplicate.Load(),
	}
	if l := s.link.Load(); l != nil {
		st.Queued = l.waiting()
	}
	s.asked.Lock()
	st.Asked = len(s.asked.wait)
	s.asked.Unlock()
	return st
}
