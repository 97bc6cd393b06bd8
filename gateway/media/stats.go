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

// A Flow counts packets and their payload octets.
type Flow struct {
	Packets int64
	Octets  int64
}

// Drops counts packets that were not passed on, by reason.
type Drops struct {
	WrongSource int64 // from an address that is not the peer's
	BadAuth     int64 // SRTP authentication failed
	Replayed    int64 // SRTP replay protection
	NoRoute     int64 // payload type that was not negotiated, or no far end yet
	Malformed   int64
}
