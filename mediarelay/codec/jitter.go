package codec

import "time"

// The bounds of a jitter buffer.
const (
	jitterSlots   = 64 // packets
	jitterMost    = 200 * time.Millisecond
	jitterAtFirst = 40 * time.Millisecond
	// jitterMemory is how long the fastest packet of late is remembered.
	jitterMemory = 5 * time.Second
)

// A Packet is what a packet of RTP says.
type Packet struct {
	Seq     uint16
	TS      uint32
	Marker  bool
	Noise   bool // comfort noise (RFC 3389) in place of speech
	Payload []byte
}

// A verdict is what a jitter buffer has at the time of playing.
type verdict uint8

const (
	played verdict = iota // a packet
	lost                  // not the next packet, but one after it
	empty                 // nothing
	held                  // the first packets after a pause, which are not due yet
)

// A jitter buffer puts packets in order and makes them wait for as long as lately the
// slowest took longer than the fastest. The wait is changed at the beginning of a talk
// spurt; within one it grows when packets are missing at their time.
type jitter struct {
	clock   int64 // of timestamps, in hertz
	least   int64 // that packets wait: what is played at a time
	slots   [jitterSlots]jitterSlot
	count   int
	started bool
	next    uint16 // to be played
	nextTS  uint32 // if nothing is left out
	due     int64  // when a talk spurt begins, in nanoseconds; 0 within one

	base    uint32 // timestamp that times are counted from
	fastest [2]int64
	since   int64 // the begin of the younger half of fastest
	spread  int64 // of the slowest of late, in nanoseconds

	late, dropped int64
}

type jitterSlot struct {
	full    bool
	at      int64 // when it came
	packet  Packet
	payload []byte
}

// reset forgets the stream: another begins.
func (j *jitter) reset() {
	for i := range j.slots {
		j.slots[i].full = false
	}
	j.count, j.started, j.due = 0, false, 0
}

// target returns how long packets shall wait.
func (j *jitter) target() int64 {
	return min(max(j.spread, j.least), int64(jitterMost))
}

// push takes a packet that came at now, in nanoseconds.
func (j *jitter) push(p Packet, now int64) {
	if j.started && int16(p.Seq-j.next) >= jitterSlots || j.started && int16(p.Seq-j.next) < -jitterSlots {
		j.reset()
	}
	switch {
	case !j.started:
		if j.spread == 0 {
			j.spread = int64(jitterAtFirst)
		}
		j.started, j.next, j.nextTS, j.base = true, p.Seq, p.TS, p.TS
		j.fastest[0], j.fastest[1], j.since = now, now, now
		j.due = now + j.target()
	case int16(p.Seq-j.next) < 0:
		j.late++
		return
	}
	j.measure(p.TS, now)
	if j.count == 0 && p.Seq == j.next && int32(p.TS-j.nextTS) > 0 {
		j.due = now + j.target() // after a pause
	}
	s := &j.slots[p.Seq%jitterSlots]
	if s.full {
		j.dropped++
		return
	}
	s.full, s.at = true, now
	s.payload = append(s.payload[:0], p.Payload...)
	s.packet = p
	s.packet.Payload = s.payload
	j.count++
}

// measure takes a packet's time of travel.
func (j *jitter) measure(ts uint32, now int64) {
	travel := now - int64(int32(ts-j.base))*int64(time.Second)/j.clock
	if now-j.since > int64(jitterMemory)/2 {
		j.fastest[0], j.fastest[1], j.since = j.fastest[1], travel, now
	}
	j.fastest[1] = min(j.fastest[1], travel)
	if d := travel - min(j.fastest[0], j.fastest[1]); d > j.spread {
		j.spread = d
	} else {
		j.spread -= (j.spread - d) / 256
	}
	if int32(ts-j.base) > 1<<29 { // long before it wraps
		step := int64(int32(ts-j.base)) * int64(time.Second) / j.clock
		j.base = ts
		j.fastest[0] += step
		j.fastest[1] += step
	}
}

// pull returns what is to be played next. A packet is the caller's until the next push;
// with lost, it is the one after the packet that was lost, if that has come, and stays.
func (j *jitter) pull(now int64) (verdict, *Packet) {
	switch {
	case j.count == 0:
		return empty, nil
	case now < j.due:
		return held, nil
	}
	j.due = 0
	s := &j.slots[j.next%jitterSlots]
	j.next++
	if s.full {
		s.full = false
		j.count--
		return played, &s.packet
	}
	if s = &j.slots[j.next%jitterSlots]; s.full {
		return lost, &s.packet
	}
	return lost, nil
}

// peek returns the packet that pull would return, or nil.
func (j *jitter) peek() *Packet {
	if s := &j.slots[j.next%jitterSlots]; s.full {
		return &s.packet
	}
	return nil
}

// waiting returns how much time the packets that wait stand for, up to the youngest.
func (j *jitter) waiting() int64 {
	if j.count == 0 {
		return 0
	}
	most := int32(0)
	for i := range j.slots {
		if s := &j.slots[i]; s.full {
			most = max(most, int32(s.packet.TS-j.nextTS))
		}
	}
	return int64(most) * int64(time.Second) / j.clock
}
