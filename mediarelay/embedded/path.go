package embedded

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/mediarelay/srtp"
)

const (
	maxPacket = 1700 // octets of a datagram that is read; longer ones are dropped
	bufferLen = maxPacket + 64
	headerLen = 12 // of an RTP packet without sources and extensions
)

// A socket is one UDP socket of a transport, or its share of one. The reader of its wire
// carries packets to the other end; it takes no lock but that of a route with two readers,
// and that of a transcoding. Control gives it a new route whole.
type socket struct {
	// What every packet needs comes first, for the sake of the cache.
	route   atomic.Pointer[route]
	seen    *route   // that the last packet took
	warm    *hop     // that it took there
	lead    *socket  // the transport's first, which plays
	playing *playing // nil for none
	hearing *hearing // a digit that the media of the other end cannot carry; nil for none yet
	rtcp    bool     // carries RTCP alone: the second of a pair, or of two components
	latch   latch

	t      *transport
	wire   wire
	early  *queue // packets that came before the route could judge them; nil for none
	ahead  *queue // good packets that came before the other end was there; nil for none
	checks *mux   // of ICE for RTCP alone; nil for none
	local  netip.AddrPort

	digits  *letters[waiting]         // to be played; nil if it carries RTCP alone
	missed  *letters[[]rtcp.NackPair] // that the other end's peer asks for; nil like digits
	filling filling
	claims  int    // addresses that are this share's; guarded by its line
	due     int64  // when look is to be called, on the relay's clock; 0 for never
	spare   []byte // for packets of ours; nil before the first
	told    int    // digits heard lately, one less every digitLeast
	toldAt  int64
}

// A route says what becomes of the packets of a socket. It is never changed.
type route struct {
	gate          *gate // nil with ICE
	rx            *srtp.Receiver
	mine          *sync.Mutex    // held for a packet when two sockets feed the same flows, else nil
	secure        bool           // only what rx unprotects comes in
	peer          netip.AddrPort // with ICE: who may come in, beside those the mux knows
	reports       *srtp.ReportReceiver
	lanes         []*lane // that RTCP is about
	hops          []hop
	events        *eventWay    // for digits of ours; nil if they cannot be heard
	repair        *repair      // for pictures that got lost; nil for none
	tones         *fill        // for those that are played in speech; nil if they are not
	fill          *fill        // for the silence of this end; nil for none
	through       *transcoding // for speech that the other end does not know; nil for none
	speech, noise *hop         // for what it makes; nil for none
	types         [128]uint8   // from payload type to hop, plus one; 0 for none
}

// A hop is what becomes of one payload type.
type hop struct {
	in      *inflow
	out     *outflow     // nil if the other end has no such media
	to      wire         // nil: pending, lost or on hold; after hold, what follows begins anew
	protect *srtp.Sender // nil for clear RTP
	cache   *cache       // nil if nothing is sent again
	name    *string      // of the codec, for statistics
	clock   uint32       // in hertz; 0 for events and noise, which keep to the stream's
	own     uint8        // payload type that the peer gives it
	pt      uint8
	mark    bool       // the marker means a talk spurt, as in audio
	picture bool       // it is video
	lost    bool       // the other end has no such payload type; the gap is closed
	pending bool       // the other end is not connected yet; the last packets are held
	kind    codec.Kind // of speech that can be transcoded

	speech, comfort, event bool // what the type carries: speech that can be transcoded, noise, events
	through                bool // it is transcoded
	apart                  bool // events beside speech that is transcoded

	dest netip.AddrPort

	events   uint32 // clock rate of events that are told by signalling when lost; 0 for others
	num, den uint32 // scale of the duration of events; den 0 for none

	_ [8]byte // for whole lines of the cache
}

// look does what is due of all that we play or send again, and says when the next is due
// on the relay's clock; 0 means never. What control does meanwhile is told by a poke.
func (s *socket) look() (due int64) {
	for {
		now := time.Now()
		rt := s.route.Load()
		s.resend(rt)
		next := s.play(rt, now)
		s.speak(rt, s.t.relay.now())
		due = s.fillUp(rt)
		switch {
		case next.IsZero() && !s.digits.empty() || !next.IsZero() && !next.After(now):
			continue
		case next.IsZero():
			return due
		}
		if at := int64(next.Sub(s.t.relay.began)) + 1; due == 0 || at < due {
			due = at
		}
		return due
	}
}

// sounding reports whether a digit of ours takes the place of the peer's speech.
func (s *socket) sounding() bool {
	p := s.lead.playing
	return p != nil && p.after.IsZero()
}

// packet tells STUN, DTLS, RTP and RTCP apart by the first octets (RFC 7983, RFC 5761).
func (s *socket) packet(buf []byte, n int, from netip.AddrPort, now int64) {
	if n < 8 || n == maxPacket {
		s.t.drops.malformed.Add(1)
		return
	}
	switch first := buf[0]; {
	case first < 4:
		s.t.stun(s, buf[:n], from)
	case first >= 20 && first < 64:
		s.t.hello(s, buf[:n], from)
	case first>>6 != 2:
		s.t.drops.malformed.Add(1)
	case s.rtcp || buf[1] >= 192 && buf[1] <= 223:
		s.reports(buf, n, from, now)
	default:
		s.media(buf, n, from, now)
	}
}

// media carries one RTP packet to the other end.
func (s *socket) media(buf []byte, n int, from netip.AddrPort, now int64) {
	rt := s.route.Load()
	if rt == nil || n < headerLen {
		s.t.drops.noRoute.Add(1)
		return
	}
	if rt.mine != nil {
		rt.mine.Lock()
		defer rt.mine.Unlock()
	}
	if s.seen != rt {
		s.catchUp(rt, now)
	}
	s.take(rt, buf, n, from, now)
}

// take judges a packet and counts it.
func (s *socket) take(rt *route, buf []byte, n int, from netip.AddrPort, now int64) {
	pt, seq, ssrc := buf[1]&0x7f, sequence(buf), sourceOf(buf)
	fresh := false
	if rt.gate == nil || !s.latch.holds(rt.gate, from) {
		if rt.gate != nil && !rt.gate.signalled.IsValid() {
			s.holdEarly(buf[:n], from, now) // who may come in will be known soon
			return
		}
		var enters bool
		if enters, fresh = s.enters(rt, from, pt, ssrc, seq); !enters {
			s.t.drops.wrongSource.Add(1)
			return
		}
	}
	start, ok := payloadStart(buf[:n])
	if !ok {
		s.t.drops.malformed.Add(1)
		return
	}
	if rt.secure {
		if rt.rx == nil {
			s.holdEarly(buf[:n], from, now)
			return
		}
		if n, ok = s.unprotect(rt, buf, n); !ok {
			return
		}
		if rt.gate == nil {
			s.t.comes(from, rt.peer)
		}
	}
	h := s.warm
	if h == nil || h.own != pt {
		index := rt.types[pt]
		if index == 0 {
			s.t.drops.noRoute.Add(1)
			return
		}
		h = &rt.hops[index-1]
		s.warm = h
	}
	end := n
	if buf[0]&0x20 != 0 { // padding (RFC 3550 section 5.1)
		end -= int(buf[n-1])
	}
	if end < start || buf[0]&0x20 != 0 && buf[n-1] == 0 || !h.in.admit(ssrc, seq, rt.secure || fresh) {
		s.t.drops.malformed.Add(1)
		return
	}
	h.in.note(end-start, now)
	if h.clock != 0 {
		h.in.time(timestamp(buf), h.clock, now)
		if h.in.codec != h.name {
			h.in.codec = h.name
			h.in.name.Store(h.name)
		}
	}
	s.send(h, buf, start, end, now)
}

// enters reports whether a packet's sender is the peer, and whether this is where that
// was learned: then another stream may begin.
func (s *socket) enters(rt *route, from netip.AddrPort, pt uint8, ssrc uint32, seq uint16) (ok, fresh bool) {
	if rt.gate == nil {
		return from == rt.peer || s.known(from), false
	}
	ok, fresh = s.latch.admit(rt.gate, from, pt, ssrc, seq)
	if fresh {
		s.wire.prefer(from)
		s.t.latched(s, rt.gate.round, from)
	}
	return ok, fresh
}

// unprotect decrypts in place. Anything but a genuine packet is dropped and counted; it
// never ends a call.
func (s *socket) unprotect(rt *route, buf []byte, n int) (length int, ok bool) {
	length, err := rt.rx.Unprotect(buf[:n])
	if err != nil {
		s.t.drops.unprotected(err)
		return 0, false
	}
	return length, true
}

// send rewrites the packet in place, with a plain header before its payload, protects it
// and sends it.
func (s *socket) send(h *hop, buf []byte, start, end int, now int64) {
	if h.pending {
		s.holdAhead(buf[:end], start, now)
		return
	}
	seq, ts := sequence(buf), timestamp(buf)
	if s.hearing != nil && s.hearing.open && h.clock != 0 && int32(ts-s.hearing.ts) > 0 {
		s.digitOver() // its end was lost
	}
	if h.through {
		p := codec.Packet{Seq: seq, TS: ts, Marker: buf[1]&0x80 != 0, Noise: h.comfort, Payload: buf[start:end]}
		if !s.seen.through.push(h, p, now) {
			s.t.drops.noRoute.Add(1)
		}
		return
	}
	if h.out == nil || h.lost || h.to == nil {
		switch {
		case h.out == nil:
		case h.lost:
			h.out.skip(h.in, seq)
			if h.events != 0 {
				s.digitHeard(h, buf[start:end], ts)
				return
			}
		default:
			h.out.again = true
		}
		s.t.drops.noRoute.Add(1)
		return
	}
	if s.sounding() && h.clock != 0 && h.mark {
		h.out.skip(h.in, seq) // a digit sounds instead
		return
	}
	if h.apart {
		s.seen.through.event(s, h, buf, start, end, now)
		return
	}
	marker := buf[1] & 0x80
	outSeq, outTS, begins := h.out.next(h.in, seq, ts, now)
	if begins && h.mark {
		marker = 0x80
	}
	p := buf[start-headerLen:]
	p[0] = 0x80
	p[1] = marker | h.pt
	binary.BigEndian.PutUint16(p[2:], outSeq)
	binary.BigEndian.PutUint32(p[4:], outTS)
	binary.BigEndian.PutUint32(p[8:], h.out.ssrc)
	h.scale(buf[start:end])
	s.transmit(h, p[:headerLen+end-start], end-start)
}

// scale gives an event its duration by the other end's clock.
func (h *hop) scale(event []byte) {
	if h.den != 0 && len(event) >= 4 {
		d := uint32(binary.BigEndian.Uint16(event[2:])) * h.num / h.den
		binary.BigEndian.PutUint16(event[2:], uint16(min(d, 0xffff)))
	}
}

// transmit protects a packet and sends it. The slice has room for the tag.
func (s *socket) transmit(h *hop, p []byte, payload int) {
	seq := sequence(p)
	if h.protect != nil {
		var err error
		if p, err = h.protect.Protect(p); err != nil {
			s.t.drops.noRoute.Add(1)
			return
		}
	}
	if h.cache != nil {
		h.cache.keep(seq, p, h.protect)
	}
	h.out.packets.Add(1)
	h.out.octets.Add(int64(payload))
	if err := h.to.send(p, h.dest, h.picture); err != nil {
		h.out.packets.Add(-1)
		h.out.octets.Add(int64(-payload))
	}
}

// touches are the steps in which touch goes.
const touches = 4

// touch reads what the next packet of the socket will need, step by step, each of what the
// one before has found. What it returns means nothing. Done for many sockets in turn,
// their waits for memory go on side by side.
func (s *socket) touch(step int) (sum uint32) {
	h := s.warm
	switch {
	case h == nil:
	case step == 0:
		return s.latch.round
	case step == 1:
		sum = h.clock + uint32(h.dest.Port())
		if s.seen.secure {
			sum++
		}
	case step == 2 && h.to != nil:
		return h.in.ssrc + uint32(h.in.last.Load()) + h.out.ssrc + uint32(h.out.octets.Load()) + h.to.touch()
	case step == 3:
		if h.protect != nil {
			sum = h.protect.Touch()
		}
		if s.seen.rx != nil {
			sum += s.seen.rx.Touch()
		}
	}
	return sum
}

// payloadStart returns where the payload begins: behind contributing sources and the
// header extension (RFC 3550 section 5.1).
func payloadStart(p []byte) (start int, ok bool) {
	start = headerLen + 4*int(p[0]&0x0f)
	if p[0]&0x10 != 0 {
		if len(p) < start+4 {
			return 0, false
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(p[start+2:]))
	}
	return start, start <= len(p)
}
