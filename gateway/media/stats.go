package media

import "time"

// Stats are the figures of one end of a bridge: what its peer sent us and what we sent
// to it.
type Stats struct {
	Received   Flow          // packets from the peer that were accepted
	Sent       Flow          // packets to the peer
	Lost       int64         // of what the peer sent, by sequence numbers (RFC 3550 A.3)
	Jitter     time.Duration // of what the peer sent (RFC 3550 A.8)
	RoundTrip  time.Duration // by RTCP; 0 until known
	In         Quality       // of the speech that the peer sent
	Out        Quality       // of what was sent to it, as it says by RTCP (RFC 3550 section 6.4)
	Voice      Voice         // what it says of that by RTCP XR
	Silence    Silence       // of the peer
	Dropped    Drops
	Codec      string // of what the peer sent last
	First      time.Time
	Last       time.Time
	Local      string // "host 192.0.2.1:30000" and the like, for the log
	Remote     string
	Protection string // "none", or the SRTP profile
}

// After returns the figures of an end together with the counts of one that it took the place of.
func (s Stats) After(old Stats) Stats {
	s.Received = s.Received.Plus(old.Received)
	s.Sent = s.Sent.Plus(old.Sent)
	s.Lost += old.Lost
	s.Dropped = s.Dropped.Plus(old.Dropped)
	s.Silence.Never = s.Silence.Never || old.Silence.Never
	s.Silence.Gaps += old.Silence.Gaps
	s.Silence.Longest = max(s.Silence.Longest, old.Silence.Longest)
	if s.First.IsZero() || !old.First.IsZero() && old.First.Before(s.First) {
		s.First = old.First
	}
	s.Silence.Never = s.Silence.Never && s.First.IsZero()
	return s
}

// A Flow counts packets and their payload octets.
type Flow struct {
	Packets int64
	Octets  int64
}

// Plus returns both together.
func (f Flow) Plus(g Flow) Flow { return Flow{f.Packets + g.Packets, f.Octets + g.Octets} }

// Drops counts packets that were not passed on, by reason.
type Drops struct {
	WrongSource int64 // from an address that is not the peer's
	BadAuth     int64 // SRTP authentication failed
	Replayed    int64 // SRTP replay protection
	NoRoute     int64 // payload type that was not negotiated, or no far end yet
	Malformed   int64
}

// Plus returns both together.
func (d Drops) Plus(e Drops) Drops {
	return Drops{
		WrongSource: d.WrongSource + e.WrongSource,
		BadAuth:     d.BadAuth + e.BadAuth,
		Replayed:    d.Replayed + e.Replayed,
		NoRoute:     d.NoRoute + e.NoRoute,
		Malformed:   d.Malformed + e.Malformed,
	}
}
