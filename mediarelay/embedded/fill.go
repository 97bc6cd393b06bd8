package embedded

import (
	"encoding/binary"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/mediarelay/sound"
)

const (
	// fillAfter is how long the other side must have been silent before we play.
	fillAfter = 200 * time.Millisecond
	// noiseEvery is how often a level of comfort noise is sent (RFC 3389 section 4).
	noiseEvery = 400 * time.Millisecond
	// ringEnough is how many packets of the callee end our ringing (RFC 3960 section
	// 4.1, INTERWORKING 2.9).
	ringEnough = 5

	defaultTime = 20 * time.Millisecond // of a packet (RFC 3551 section 4.5)
	longestTime = 60 * time.Millisecond
	shortTime   = 10 * time.Millisecond

	// spareLen is room for a packet of ours, and what protects it.
	spareLen = headerLen + int(longestTime*sound.Rate/time.Second) + 32
)

// A fill is what the peer of the other end is played while nothing comes for it. It is
// part of a route, and never changed.
type fill struct {
	out     *outflow
	hop     hop
	samples []byte   // a loop; an octet of it is a sample, or the level of noise
	packets [][]byte // the loop, if the codec has no samples; the first is samples
	law     int      // they are encoded by
	step    int      // octets a packet
	every   time.Duration
	from    int64   // on the relay's clock
	in      *inflow // whose packets end it for good; nil for none
	enough  int64   // packets of in
}

// A filling is how far the goroutine of a socket has come with a fill.
type filling struct {
	samples []byte
	next    int    // octet, or packet
	ts      uint32 // of the last packet
	due     int64  // when the next packet is; 0 if it begins anew
}

// ringInput says whether the peer of side shall hear ringing.
type ringInput struct {
	side call.Side
	on   bool
}

// Ring says that the callee rings and that the peer of side, which was answered already,
// shall hear it (INTERWORKING 2.9, eager mode); or, with on false, that the callee has
// answered or is gone. Packets of the callee end the tone too: what it plays is heard
// instead.
func (b *Bridge) Ring(side call.Side, on bool) { b.tellSelf(ringInput{side, on}) }

// ring begins or ends ringing. While it rings, the callee's silence is measured as that
// of a phone that rings, whatever answers came.
func (b *Bridge) ring(in ringInput) {
	e, o := b.ends[in.side], b.ends[in.side.Other()]
	if e.ringing == in.on && in.on {
		return // said again
	}
	now := b.relay.now()
	e.told, e.ringing, e.rungAt = true, in.on, now
	e.rungFor = o.lanes[media.Audio].in.packets.Load() + ringEnough
	t := o.lanes[media.Audio].t
	t.early, t.checkedAt = in.on, now
}

// fill works out what the peer of far is played when the end's own sends nothing; nil
// for nothing.
func (e *end) fill(far *end) *fill {
	l, to := e.lanes[media.Audio], far.lanes[media.Audio]
	if !to.live() || !to.flow.Receives() || !to.t.ready() {
		return nil
	}
	sounds, o := e.b.relay.sounds, &e.b.relay.options
	switch {
	case far.ringing:
		f := far.voice(sounds.ring, true)
		if f != nil {
			f.from, f.in, f.enough = far.rungAt+int64(fillAfter), &l.in, far.rungFor
		}
		return f
	case !l.live() || l.flow == media.SendRecv || o.Hold == sound.HoldSilence:
		return nil
	case o.Hold == sound.HoldMusic && !l.flow.Receives():
		return far.voice(sounds.hold, true)
	}
	if f := far.noise(); f != nil {
		return f
	}
	return far.voice(sounds.comfort, false)
}

// voice prepares to play a sound to the end's peer; nil if it is agreed on no codec that
// we can encode. That need not be the codec it speaks, if any is said: whatever was agreed
// may be sent (RFC 3264 section 7).
func (e *end) voice(s *clip, any bool) *fill {
	l := e.lanes[media.Audio]
	for i, c := range media.Speech(l.agreed) {
		if s == nil || len(s.pcm) == 0 || !any && i > 0 {
			break
		}
		kind, ok := codec.KindOf(c.Name)
		if !ok {
			continue
		}
		f := &fill{out: &l.out, hop: l.own(c.PT, true), every: e.packetTime(c)}
		f.hop.clock = c.ClockRate
		if law, ok := lawOf(c); ok {
			f.law, f.samples, f.step = law, s.laws[law], int(f.every*sound.Rate/time.Second)
			return f
		}
		f.packets, f.every = s.coded(kind), defaultTime
		f.samples = f.packets[0]
		return f
	}
	return nil
}

// noise prepares to send the end's peer levels of comfort noise; nil if that was not
// agreed, or goes with other speech (RFC 3389 section 5).
func (e *end) noise() *fill {
	l := e.lanes[media.Audio]
	if _, ok := lawOf(media.Speech(l.agreed)[0]); !ok {
		return nil
	}
	for _, c := range l.agreed {
		if c.Noise() && c.ClockRate == sound.Rate {
			f := &fill{out: &l.out, hop: l.own(c.PT, false), samples: []byte{sound.ComfortLevel}, step: 1, every: noiseEvery}
			f.hop.clock = sound.Rate
			return f
		}
	}
	return nil
}

// own is a hop for packets of ours to the lane's peer.
func (l *lane) own(pt uint8, mark bool) hop {
	h := hop{out: &l.out, to: l.t.way(), dest: l.t.remote, pt: pt, mark: mark}
	if l.t.secure {
		h.protect = l.t.keys.flow(l.kind)
	}
	return h
}

// packetTime is how much speech the end's peer wants in a packet.
func (e *end) packetTime(c media.Codec) time.Duration {
	d := c.PTime
	if i := e.remote.Live(media.Audio); d == 0 && i >= 0 {
		d = e.remote.Streams[i].PTime
	}
	if d == 0 {
		d = e.policy.PTime
	}
	if d == 0 {
		d = defaultTime
	}
	return min(max(d, shortTime), longestTime).Truncate(time.Millisecond)
}

// fillUp plays what is due of the route's fill and says when the next packet is due, on
// the relay's clock; 0 means never.
func (s *socket) fillUp(rt *route) (due int64) {
	if rt == nil || rt.fill == nil {
		s.filling = filling{}
		return 0
	}
	if rt.mine != nil {
		rt.mine.Lock()
		defer rt.mine.Unlock()
	}
	f, g, now := rt.fill, &s.filling, s.t.relay.now()
	if f.in != nil && f.in.packets.Load() >= f.enough {
		return 0
	}
	free := f.from
	if f.out.passed != 0 {
		free = max(free, f.out.passed+int64(fillAfter))
	}
	switch {
	case now < free:
		g.due = 0
		return free
	case s.sounding():
		g.due = 0
		return now + int64(digitStep)
	case now < g.due && sameLoop(g.samples, f.samples):
		return g.due
	}
	begins := g.due == 0 || !sameLoop(g.samples, f.samples) || now-g.due > int64(fillAfter)
	if begins {
		*g = filling{samples: f.samples, ts: f.out.at(now, f.hop.clock), due: now}
	} else {
		g.ts += uint32(f.every * time.Duration(f.hop.clock) / time.Second)
	}
	g.due += int64(f.every)
	s.emit(f, g.ts, begins, now)
	return g.due
}

// emit sends the next packet of a fill.
func (s *socket) emit(f *fill, ts uint32, begins bool, now int64) {
	g := &s.filling
	p := s.room()
	if f.packets != nil {
		p = append(p, f.packets[g.next]...)
		g.next = (g.next + 1) % len(f.packets)
	}
	for range f.step {
		p = append(p, f.samples[g.next])
		g.next = (g.next + 1) % len(f.samples)
	}
	s.own(&f.hop, p, ts, begins, now)
}

// room returns where a packet of ours is made, with that of its header; few sockets have any.
func (s *socket) room() []byte {
	if s.spare == nil {
		s.spare = make([]byte, spareLen)
	}
	return s.spare[:headerLen]
}

// own sends a packet of ours that stands for speech.
func (s *socket) own(h *hop, p []byte, ts uint32, begins bool, now int64) {
	o := h.out
	p[0], p[1] = 0x80, h.pt
	if begins && h.mark {
		p[1] |= 0x80
	}
	at := now
	if !begins { // when it was due, however late it is
		at = o.lastAt + int64(ts-o.lastTS)*int64(time.Second)/int64(h.clock)
	}
	binary.BigEndian.PutUint16(p[2:], o.insert(ts, at))
	binary.BigEndian.PutUint32(p[4:], ts)
	binary.BigEndian.PutUint32(p[8:], o.ssrc)
	o.again = true // what the peer says after it is a talk spurt of its own
	o.stamped(ts, h.clock, now)
	s.transmit(h, p, len(p)-headerLen)
}

// sameLoop reports whether two loops are one.
func sameLoop(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}
