package embedded

import (
	"encoding/binary"
	"strings"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/sound"
)

const (
	digitKeys   = "0123456789*#ABCD" // by event (RFC 4733 section 3.2)
	digitQueue  = 32                 // digits that wait at a socket
	digitStep   = 20 * time.Millisecond
	digitLength = 100 * time.Millisecond // of one whose length was not said (XEP-0181)
	digitLeast  = 40 * time.Millisecond
	digitMost   = time.Second
	digitGap    = 60 * time.Millisecond
	digitEnds   = 3 // the last packet is sent so often (RFC 4733 section 2.5.1.4)
	digitVolume = 10
	digitBurst  = 16 // digits heard at once; more come no faster than fingers
)

// An eventWay is how digits of ours go to the peer of an end: events among the packets
// that it gets from the other end.
type eventWay struct {
	out   *outflow
	hop   hop    // dest, protect and pt
	clock uint32 // of the events' durations, in hertz
	ticks uint32 // of the stream's timestamps, in hertz
}

// A playing digit belongs to the goroutine of the socket it is played at: the one that
// reads the other end, and so owns the numbering of what the peer gets.
type playing struct {
	event  byte
	length time.Duration
	began  time.Time
	ts     uint32
	ended  int
	tones  int       // packets of them
	after  time.Time // when the next digit may begin
}

// A waiting digit is one that is to be played at a socket.
type waiting struct {
	event  byte
	length time.Duration
}

// Digit plays a DTMF digit to the peer of side, after those before it: as events, or, if
// the relay may, as tones. If neither can be, MediaDigit is posted, for signalling to
// carry it.
func (b *Bridge) Digit(side call.Side, d call.Digit) { b.tellSelf(digitInput{side, d}) }

// digit hands a digit to the socket that plays it. What control says after the push wakes
// the reader, whatever it is doing.
func (b *Bridge) digit(in digitInput) {
	e, far := b.ends[in.side], b.ends[in.side.Other()]
	key := strings.IndexByte(digitKeys, in.digit.Key)
	if l := e.lanes[media.Audio]; key < 0 || eventOf(l.agreed) < 0 && e.tones() == nil {
		b.tell(call.MediaDigit{Side: in.side, Digit: in.digit})
		return
	}
	length := in.digit.Length
	if length <= 0 {
		length = digitLength
	}
	s := far.lanes[media.Audio].t.sockets[0]
	if !s.digits.put(waiting{event: byte(key), length: min(max(length, digitLeast), digitMost)}, digitQueue) {
		b.relay.options.Log.Info("digit dropped", "call", b.id, "leg", in.side)
		return
	}
	s.wire.poke(s)
}

// play does what is due for the digits and says when the next thing is due; the zero time
// means never.
func (s *socket) play(rt *route, now time.Time) (next time.Time) {
	if rt != nil && rt.mine != nil {
		rt.mine.Lock()
		defer rt.mine.Unlock()
	}
	if s.playing == nil {
		d, ok := s.digits.take()
		if !ok {
			return time.Time{}
		}
		s.playing = &playing{event: d.event, length: d.length}
	}
	d := s.playing
	if !d.after.IsZero() {
		if now.Before(d.after) {
			return d.after
		}
		s.playing = nil
		return now
	}
	switch {
	case rt != nil && rt.tones != nil:
		return s.stepTone(rt.tones, d, now)
	case rt == nil || rt.events == nil: // nobody to play to
		s.playing = nil
		return now
	}
	s.step(rt.events, d, now)
	if d.ended == digitEnds {
		d.after = now.Add(digitGap)
		return d.after
	}
	return now.Add(digitStep)
}

// step sends one packet of a digit (RFC 4733 section 2.5).
func (s *socket) step(way *eventWay, d *playing, now time.Time) {
	clock := s.t.relay.now()
	first := d.began.IsZero()
	if first {
		d.began = now
		d.ts = way.out.at(clock, way.ticks)
	}
	lasted := now.Sub(d.began) + digitStep
	over := lasted >= d.length
	if over {
		lasted = d.length
		d.ended++
	}
	var p [headerLen + 4 + 32]byte
	p[0], p[1] = 0x80, way.hop.pt
	if first {
		p[1] |= 0x80
	}
	// The event's timestamp is that of its begin; the stream goes on from there.
	binary.BigEndian.PutUint16(p[2:], way.out.insert(d.ts, clock-int64(now.Sub(d.began))))
	binary.BigEndian.PutUint32(p[4:], d.ts)
	binary.BigEndian.PutUint32(p[8:], way.out.ssrc)
	p[12], p[13] = d.event, digitVolume
	if over {
		p[13] |= 0x80
	}
	ticks := uint64(lasted) * uint64(way.clock) / uint64(time.Second)
	binary.BigEndian.PutUint16(p[14:], uint16(min(ticks, 0xffff)))
	s.transmit(&way.hop, p[:headerLen+4], 4)
}

// stepTone sends one packet of a digit's tones, and says when the next thing is due.
func (s *socket) stepTone(f *fill, d *playing, now time.Time) (next time.Time) {
	clock := s.t.relay.now()
	begins := d.tones == 0
	if begins {
		d.began = now
		d.ts = f.out.at(clock, sound.Rate)
	} else {
		d.ts += uint32(f.step)
	}
	loop := s.t.relay.sounds.digits[d.event].laws[f.law]
	p := s.room()
	for i := range f.step {
		p = append(p, loop[(d.tones*f.step+i)%len(loop)])
	}
	s.own(&f.hop, p, d.ts, begins, clock)
	d.tones++
	lasted := time.Duration(d.tones) * f.every
	next = d.began.Add(lasted)
	if lasted >= d.length {
		d.after = next.Add(digitGap)
		return d.after
	}
	return next
}

// A hearing is a digit in the media of one end that the media of the other cannot carry.
type hearing struct {
	known bool
	open  bool // its end has not come
	key   byte
	epoch uint32 // of the stream
	ts    uint32
	clock uint32 // in hertz
	ticks uint32 // that it has lasted
	whole uint32 // of these, in segments that are over
}

// digitHeard takes an event of the peer that is to be told by other means: once, when its
// end comes, or what follows it when that is lost. A long digit comes in segments
// (RFC 4733 section 2.5.1.3).
func (s *socket) digitHeard(h *hop, payload []byte, ts uint32) {
	if len(payload) < 4 || int(payload[0]) >= len(digitKeys) {
		return
	}
	if s.hearing == nil {
		s.hearing = &hearing{}
	}
	d, key, ticks := s.hearing, digitKeys[payload[0]], uint32(binary.BigEndian.Uint16(payload[2:]))
	begins := true
	if d.known && d.epoch == h.in.epoch {
		ahead := int32(ts - d.ts)
		// COMPAT(old phones): the timestamp of an event moves from packet to packet.
		slack := int32(h.events / 25)
		switch {
		case ahead < 0:
			return // of a digit before this one
		case key == d.key && ahead < slack:
			d.ts, begins = ts, false
		case key == d.key && d.open && d.ticks-d.whole == 0xffff && ahead >= 0xffff && ahead < 0xffff+slack:
			d.ts, d.whole, begins = ts, d.ticks, false
		}
	}
	if begins {
		s.digitOver()
		*d = hearing{known: true, open: true, key: key, epoch: h.in.epoch, ts: ts, clock: h.events}
	}
	d.ticks = max(d.ticks, d.whole+ticks)
	if payload[1]&0x80 != 0 {
		s.digitOver()
	}
}

// digitOver tells control of the digit that was heard.
func (s *socket) digitOver() {
	d := s.hearing
	if !d.open {
		return
	}
	d.open = false
	now := s.t.relay.now()
	if faded := int((now - s.toldAt) / int64(digitLeast)); faded > 0 {
		s.told, s.toldAt = max(s.told-faded, 0), now
	}
	if s.told == digitBurst {
		s.t.drops.malformed.Add(1)
		return
	}
	s.told++
	lasted := time.Duration(d.ticks) * time.Second / time.Duration(d.clock)
	s.t.b.tellSelf(digitHeardInput{s.t.side.Other(), call.Digit{Key: d.key, Length: lasted.Round(time.Millisecond)}})
}

// tones works out how digits of ours are played to the peer of an end in place of speech;
// nil if they are not: events are better, and no codec but G.711 is sure to keep them.
func (e *end) tones() *fill {
	l, digits := e.lanes[media.Audio], e.b.relay.sounds.digits
	if digits == nil || !e.policy.Tones || !l.live() || !l.flow.Receives() || !l.t.ready() || eventOf(l.agreed) >= 0 {
		return nil
	}
	if _, ok := lawOf(media.Speech(l.agreed)[0]); !ok {
		return nil
	}
	return e.voice(digits[0], false)
}

// events works out how digits of ours reach the peer of an end; nil if they do not.
func (e *end) events() *eventWay {
	l := e.lanes[media.Audio]
	if !l.live() || !l.flow.Receives() || !l.t.ready() {
		return nil
	}
	way := &eventWay{out: &l.out, ticks: media.Speech(l.agreed)[0].ClockRate}
	i := -1
	for n, c := range l.agreed {
		if c.Event() && c.ClockRate > 0 && (i < 0 || c.ClockRate == way.ticks) {
			i = n
		}
	}
	if i < 0 {
		return nil
	}
	way.clock = l.agreed[i].ClockRate
	way.hop = hop{out: &l.out, to: l.t.way(), dest: l.t.remote, pt: l.agreed[i].PT}
	if l.t.secure {
		way.hop.protect = l.t.keys.flow(l.kind)
	}
	return way
}
