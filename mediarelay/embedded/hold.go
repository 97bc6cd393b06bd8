package embedded

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// holdMax is how many packets wait at a socket until the way is free: 200 ms of speech
// (INTERWORKING 2.3). A peer that has finished its handshake speaks at once, and ours may
// be a moment behind; and a phone speaks before the client's path is there.
const holdMax = 10

// holdFor is how old a packet may be that is passed on after all: what was said, or
// pressed, long before the way was free is not meant for who hears it now.
const holdFor = 2 * time.Second

// A queue keeps the last packets that came before they could be judged or passed on.
type queue struct {
	held [holdMax]held
	next int
	full bool
}

type held struct {
	p     []byte
	from  netip.AddrPort
	start int   // of the payload
	at    int64 // when it came, on the relay's clock
}

// keep adds a packet, in place of the oldest if need be, and reports whether one was lost.
func (q *queue) keep(p []byte, from netip.AddrPort, start int, at int64) (lost bool) {
	h := &q.held[q.next]
	lost = q.full
	h.p, h.from, h.start, h.at = append(h.p[:0], p...), from, start, at
	q.next = (q.next + 1) % holdMax
	q.full = q.full || q.next == 0
	return lost
}

// each gives the packets in the order they came.
func (q *queue) each(do func(*held)) {
	if q.full {
		for i := q.next; i < holdMax; i++ {
			do(&q.held[i])
		}
	}
	for i := range q.next {
		do(&q.held[i])
	}
}

// holdEarly keeps a packet as it came: its sender or its key is not known yet.
func (s *socket) holdEarly(p []byte, from netip.AddrPort, now int64) {
	if s.early == nil {
		s.early = &queue{}
	}
	if s.early.keep(p, from, 0, now) {
		s.t.drops.noRoute.Add(1)
	}
}

// holdAhead keeps a packet that is good but has nowhere to go yet.
func (s *socket) holdAhead(p []byte, start int, now int64) {
	if s.ahead == nil {
		s.ahead = &queue{}
	}
	if s.ahead.keep(p, netip.AddrPort{}, start, now) {
		s.t.drops.noRoute.Add(1)
	}
}

// catchUp does with the packets held what the new route says.
func (s *socket) catchUp(rt *route, now int64) {
	s.seen, s.warm = rt, nil
	early, ahead := s.early, s.ahead
	s.early, s.ahead = nil, nil
	if early == nil && ahead == nil {
		return
	}
	buf := make([]byte, bufferLen)
	if ahead != nil {
		ahead.each(func(h *held) {
			if now-h.at > int64(holdFor) {
				s.t.drops.noRoute.Add(1)
				return
			}
			n := copy(buf, h.p)
			if index := rt.types[buf[1]&0x7f]; index != 0 {
				s.send(&rt.hops[index-1], buf, h.start, n, now)
			}
		})
	}
	if early != nil {
		early.each(func(h *held) { s.take(rt, buf, copy(buf, h.p), h.from, now) })
	}
}

// number and timestamp of an RTP packet.
func sequence(p []byte) uint16  { return binary.BigEndian.Uint16(p[2:]) }
func timestamp(p []byte) uint32 { return binary.BigEndian.Uint32(p[4:]) }
func sourceOf(p []byte) uint32  { return binary.BigEndian.Uint32(p[8:]) }
