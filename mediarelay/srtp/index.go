package srtp

import "slices"

const (
	windowLen  = 128 // packets that may come out of order
	streamsMax = 64  // sources of a peer that are known at a time
	lastIndex  = 1<<48 - 1
)

// A stream is how far one source has come.
type stream struct {
	ssrc    uint32
	started bool
	high    uint64    // highest index: the sequence number with its roll-overs
	seen    [2]uint64 // which of the last 128 have come; the lowest bit is the highest's
}

// guess returns the index that a sequence number stands for (RFC 3711 section 3.3.1 and
// appendix A): the one that is nearest to the highest.
func (s *stream) guess(seq uint16) uint64 {
	if !s.started {
		return uint64(seq)
	}
	near := s.high&^0xffff | uint64(seq)
	switch {
	case near+1<<15 < s.high:
		return near + 1<<16
	case near > s.high+1<<15 && near >= 1<<16:
		return near - 1<<16
	}
	return near
}

// fresh reports whether a packet has not come before and is not too old.
func (s *stream) fresh(index uint64) bool {
	if !s.started || index > s.high {
		return index <= lastIndex
	}
	behind := s.high - index
	return behind < windowLen && s.seen[behind>>6]>>(behind&63)&1 == 0
}

// note takes a packet that was genuine.
func (s *stream) note(index uint64) {
	if s.started && index <= s.high {
		behind := s.high - index
		if behind < windowLen {
			s.seen[behind>>6] |= 1 << (behind & 63)
		}
		return
	}
	by := index - s.high
	switch {
	case !s.started || by >= windowLen:
		s.seen = [2]uint64{}
	case by >= 64:
		s.seen[1], s.seen[0] = s.seen[0]<<(by-64), 0
	default:
		s.seen[1] = s.seen[1]<<by | s.seen[0]>>(64-by)
		s.seen[0] <<= by
	}
	s.seen[0] |= 1
	s.started, s.high = true, index
}

// streams are the sources of one direction, the one of the last packet apart. Sources are
// remembered when they have sent something genuine, so that only who has the key can make
// them many; then the one that was heard longest ago is forgotten.
type streams struct {
	now  stream
	past []stream // by when they were heard, the latest last
}

// find returns the state of a source, a new one if it is not known.
func (s *streams) find(ssrc uint32) stream {
	if s.now.started && s.now.ssrc == ssrc {
		return s.now
	}
	for i := range s.past {
		if s.past[i].ssrc == ssrc {
			return s.past[i]
		}
	}
	return stream{ssrc: ssrc}
}

// keep makes a source the one of the last packet.
func (s *streams) keep(is stream) {
	if s.now.started && s.now.ssrc != is.ssrc {
		s.past = slices.DeleteFunc(s.past, func(p stream) bool { return p.ssrc == is.ssrc })
		if len(s.past) == streamsMax-1 {
			s.past = slices.Delete(s.past, 0, 1)
		}
		s.past = append(s.past, s.now)
	}
	s.now = is
}
