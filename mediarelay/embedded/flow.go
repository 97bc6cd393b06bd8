package embedded

import (
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
)

// The bounds of a plausible sequence of packets (RFC 3550 A.1).
const (
	maxDropout  = 3000
	maxMisorder = 100
)

// An inflow is what an end's peer sends of one kind of media. The plain fields belong to
// the goroutine that reads the peer's packets; the others may be read by all.
type inflow struct {
	// What every packet needs comes first, for the sake of the cache.
	packets  tally
	octets   tally
	expected tally // packets, as the sequence numbers tell
	highest  tally // sequence number, extended to 32 bits
	unrest   tally // the jitter in units of the clock, and the clock in hertz; 32 bits each
	first    tally // packet, in nanoseconds of the relay's clock; 0 for never
	last     tally
	ssrc     uint32
	epoch    uint32 // counts beginnings: another source, or a jump
	cycles   uint32 // times 65536
	high     uint16 // highest sequence number
	started  bool
	timed    bool
	transit  int32  // of the last packet, in units of the clock; wraps
	clock    uint32 // of the stream, in hertz: that of speech, not of events
	jitter   int64  // times 16, in units of the clock
	codec    *string
	bursts   bursts // of losses

	badSeq uint32 // what would confirm a jump; beyond 16 bits for none
	rival  struct {
		ssrc uint32
		seq  uint16
		seen bool
	}
	source  atomic.Uint32
	control atomic.Int64 // when RTCP came last
	name    atomic.Pointer[string]
	report  atomic.Uint64 // the last sender report: its time, and when it came
}

// admit judges a packet's source and sequence number, and counts it. A packet that is
// authentic may come from a new source at once; else two in sequence must say so
// (RFC 3550 A.1), lest one forged packet breaks the stream.
func (f *inflow) admit(ssrc uint32, seq uint16, authentic bool) bool {
	switch {
	case !f.started:
		f.begin(ssrc, seq)
	case ssrc != f.ssrc:
		if !authentic && (!f.rival.seen || f.rival.ssrc != ssrc || f.rival.seq != seq) {
			f.rival.ssrc, f.rival.seq, f.rival.seen = ssrc, seq+1, true
			return false
		}
		f.begin(ssrc, seq)
	default:
		switch delta := seq - f.high; {
		case delta < maxDropout:
			if seq < f.high {
				f.cycles += 1 << 16
			}
			f.high = seq
			f.expected.Add(int64(delta))
			f.bursts.advance(delta)
		case delta <= 65535-maxMisorder:
			if !authentic && uint32(seq) != f.badSeq {
				f.badSeq = uint32(seq + 1)
				return false
			}
			f.begin(ssrc, seq)
		default:
			f.bursts.late(-delta)
		}
	}
	f.highest.Store(int64(f.cycles + uint32(f.high)))
	f.packets.Add(1)
	return true
}

func (f *inflow) begin(ssrc uint32, seq uint16) {
	f.started = true
	f.ssrc = ssrc
	f.epoch++
	f.high, f.cycles = seq, 0
	f.expected.Add(1)
	f.badSeq = 1 << 16
	f.rival.seen = false
	f.timed = false
	f.bursts.begin()
	f.source.Store(ssrc)
}

// note takes in a packet that was admitted.
func (f *inflow) note(octets int, now int64) {
	f.octets.Add(int64(octets))
	f.last.Store(now)
	if f.first.Load() == 0 {
		f.first.Store(now)
	}
}

// time takes a packet of speech or pictures into the jitter (RFC 3550 A.8).
func (f *inflow) time(ts, clock uint32, now int64) {
	if f.clock != clock {
		f.clock, f.timed, f.jitter = clock, false, 0
	}
	arrival := now / 1000 * int64(clock) / 1e6
	transit := int32(uint32(arrival) - ts)
	if f.timed {
		d := int64(transit - f.transit)
		if d < 0 {
			d = -d
		}
		f.jitter += d - (f.jitter+8)>>4
		f.unrest.Store(f.jitter>>4<<32 | int64(clock))
	}
	f.transit, f.timed = transit, true
}

// jitters returns the jitter, in units of the clock and by time. It may be called from any
// goroutine.
func (f *inflow) jitters() (units uint32, d time.Duration) {
	unrest := f.unrest.Load()
	units = uint32(unrest >> 32)
	if clock := time.Duration(uint32(unrest)); clock != 0 {
		d = time.Duration(units) * time.Second / clock
	}
	return units, d
}

// An outflow is what an end's peer is sent of one kind of media: one source of our own,
// whose sequence numbers and timestamps go on without gaps, whatever comes in. The plain
// fields belong to the goroutine that reads the other end's packets.
type outflow struct {
	ssrc    uint32
	started bool
	again   bool // the next packet begins anew
	seqOff  uint16
	source  uint32
	epoch   uint32
	clock   uint32
	tsOff   uint32
	lastSeq uint16
	lastTS  uint32
	lastAt  int64
	passed  int64 // when a packet of the other end's peer was passed on last
	stamp   tally // the last timestamp, and its time in milliseconds; 32 bits each
	rate    tally // of the timestamps, in hertz
	packets tally
	octets  tally
}

// next maps the sequence number and timestamp of a packet of in, and says whether the
// packet begins a talk spurt of ours.
func (o *outflow) next(in *inflow, seq uint16, ts uint32, now int64) (outSeq uint16, outTS uint32, begins bool) {
	clock := in.clock
	o.passed = now
	if !o.started || o.again || o.source != in.ssrc || o.epoch != in.epoch || o.clock != clock {
		begins = true
		o.tsOff = o.at(now, clock) - ts
		o.seqOff = o.lastSeq + 1 - seq
		o.started, o.again = true, false
		o.source, o.epoch, o.clock = in.ssrc, in.epoch, clock
	}
	outSeq, outTS = seq+o.seqOff, ts+o.tsOff
	if begins || int16(outSeq-o.lastSeq) > 0 {
		o.lastSeq, o.lastTS, o.lastAt = outSeq, outTS, now
		o.stamped(outTS, clock, now)
	}
	return outSeq, outTS, begins
}

// stamped notes what was sent when, for reports.
func (o *outflow) stamped(ts, clock uint32, now int64) {
	o.stamp.Store(int64(ts)<<32 | int64(uint32(now/1e6)))
	o.rate.Store(int64(clock))
}

// told returns the timestamp of now in the stream, as at does, and may be called from any
// goroutine. It is not ok while nothing was sent.
func (o *outflow) told(now int64) (ts uint32, ok bool) {
	stamp := uint64(o.stamp.Load())
	age := int32(uint32(now/1e6) - uint32(stamp)) // in milliseconds; the packet may be newer than now
	return uint32(stamp>>32) + uint32(int64(age)*o.rate.Load()/1000), stamp != 0
}

// at returns the timestamp of now in the stream.
func (o *outflow) at(now int64, clock uint32) uint32 {
	if !o.started {
		return o.lastTS
	}
	return o.lastTS + uint32((now-o.lastAt)/1000*int64(clock)/1e6)
}

// insert makes room for a packet of ours among those that are passed on, and returns its
// sequence number.
func (o *outflow) insert(ts uint32, now int64) uint16 {
	o.started = true
	o.lastSeq++
	o.seqOff++
	o.lastTS, o.lastAt = ts, now
	return o.lastSeq
}

// skip closes the gap that a packet leaves that is not passed on.
func (o *outflow) skip(in *inflow, seq uint16) {
	if o.started && o.source == in.ssrc && o.epoch == in.epoch && int16(seq+o.seqOff-o.lastSeq) > 0 {
		o.seqOff--
	}
}

// drops count the packets of a transport that were not passed on, by reason.
type drops struct {
	wrongSource, badAuth, replayed, noRoute, malformed atomic.Int64
}

// unprotected counts a packet that SRTP refuses.
func (d *drops) unprotected(err error) {
	switch err {
	case srtp.ErrForged:
		d.badAuth.Add(1)
	case srtp.ErrReplayed:
		d.replayed.Add(1)
	default:
		d.malformed.Add(1)
	}
}

func (d *drops) read() media.Drops {
	return media.Drops{
		WrongSource: d.wrongSource.Load(),
		BadAuth:     d.badAuth.Load(),
		Replayed:    d.replayed.Load(),
		NoRoute:     d.noRoute.Load(),
		Malformed:   d.malformed.Load(),
	}
}
