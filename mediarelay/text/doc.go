// Package text packs typed text into RTP packets and unpacks it: T.140 blocks by themselves or
// with the blocks before them repeated (RFC 4103, RFC 2198). It knows no sockets and reads no
// clock; times are since any one instant, and what the characters mean is for gateway/typed.
package text

import "time"

// The clock of the RTP timestamp, in hertz (RFC 4103 section 3).
const ClockRate = 1000

const (
	// Interval is how long text is collected before it is sent (RFC 4103 section 5.1).
	Interval = 300 * time.Millisecond
	// Generations is how often a block is repeated (RFC 4103 section 4.2).
	Generations = 2
	// Rate is how many characters a second a receiver takes that does not say (RFC 4103 section 6).
	Rate = 30
	// Patience is how long a missing packet is waited for: its text comes again twice, an
	// interval apart, and once more when a packet is late.
	Patience = (Generations + 1) * Interval
)

// MissingMark stands in the text where some is lost (T.140 addendum 1).
const MissingMark = '\uFFFD'

const (
	headerLen  = 12
	maxBlock   = 1023      // octets: what ten bits can say (RFC 2198 section 3)
	maxOffset  = 1<<14 - 1 // of a redundant block's timestamp
	maxRepeats = 8         // blocks that are read of one packet
)
