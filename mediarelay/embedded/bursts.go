package embedded

import "sync/atomic"

const (
	leastGap = 16 // Gmin: so many packets that came in a row end a burst of losses
	judged   = 64 // packets later it is said of one that it was lost
)

// bursts tell the losses that come together from those that come alone (RFC 3611 section
// 4.7.2): a burst begins and ends with a loss, and nowhere in it have [leastGap] packets come
// in a row. A packet that is late, but not too late to be judged, is not lost. The plain
// fields belong to the goroutine that reads the peer's packets.
type bursts struct {
	window uint64 // the last packets, the newest lowest; 1 is for one that came
	since  int64  // packets that came since the last loss
	group  int64  // losses that belong together, up to that one

	count  atomic.Int64 // bursts
	length atomic.Int64 // packets of them
	lost   atomic.Int64 // of these
	alone  atomic.Int64 // losses outside
}

// begin forgets what comes before another beginning, as if all had come.
func (b *bursts) begin() {
	b.window, b.group = 1<<judged-1, 0
}

// advance takes in a packet that is so many after the newest.
func (b *bursts) advance(by uint16) {
	for range by {
		if b.window>>(judged-1) == 1 {
			b.since++
		} else {
			b.miss()
		}
		b.window <<= 1
	}
	b.window |= 1
}

// late takes in a packet that is so many before the newest.
func (b *bursts) late(by uint16) {
	if by < judged {
		b.window |= 1 << by
	}
}

// miss counts a packet that did not come.
func (b *bursts) miss() {
	switch {
	case b.group == 0 || b.since >= leastGap:
		b.group = 1
		b.alone.Add(1)
	case b.group == 1: // it was not alone
		b.group = 2
		b.alone.Add(-1)
		b.count.Add(1)
		b.lost.Add(2)
		b.length.Add(b.since + 2)
	default:
		b.lost.Add(1)
		b.length.Add(b.since + 1)
	}
	b.since = 0
}
