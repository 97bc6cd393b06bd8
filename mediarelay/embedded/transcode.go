package embedded

import (
	"encoding/binary"
	"slices"
	"strconv"
	"sync"
	"time"

	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/mediarelay/sound"
)

const (
	transcodeIn  = 32 // packets that wait for a worker
	transcodeOut = 8  // packets that wait for their socket
	// transcodeLate is how late a worker may be without leaving packets out.
	transcodeLate = 100 * time.Millisecond
	// transcodeRest is how long a peer must be silent for its transcoding to rest.
	transcodeRest = 3 * time.Second
	// eventHush is for how long after a packet of an event no speech is sent.
	eventHush = 100 * time.Millisecond
	// transcodeMost is room for a packet of Opus, and what protects it.
	transcodeMost = headerLen + 1275 + 64
	// maxBitrate is what Opus gets at most, in bits a second: speech gains nothing by more.
	maxBitrate = 64000
)

// A target is what speech is turned into.
type target struct {
	kind    codec.Kind
	ptime   time.Duration
	encoder codec.EncoderOptions
	noise   bool // comfort noise was agreed (RFC 3389)
}

// A transcoding turns the speech of one end's peer into what the other's knows. The
// socket that reads the peer pushes packets and takes what is made of them; between
// that a worker decodes and encodes.
type transcoding struct {
	bridge *Bridge
	worker *transcoder
	target target
	socket *socket // that reads the peer, and sends what is made

	// The worker's.
	codec *codec.Transcoder // nil before the first packet
	kind  codec.Kind        // of the packets that it takes
	epoch uint32
	due   int64  // when the next packet is to be made
	heard int64  // when the last packet came
	since uint32 // ticks since the last packet made

	mu      sync.Mutex
	in      [transcodeIn]pushed
	waiting int
	made    [transcodeOut]made
	ready   int
	resting bool // the worker waits for more packets
	closed  bool

	// The socket's.
	clock  uint32 // of what is sent, in hertz
	lastTS uint32
	apart  apart
	packet [transcodeMost]byte
}

// A pushed packet.
type pushed struct {
	kind    codec.Kind
	epoch   uint32
	at      int64
	packet  codec.Packet
	payload []byte
}

// A made packet.
type made struct {
	payload []byte
	noise   bool
	begins  bool
	ticks   uint32 // since the one before
}

// push hands over a packet of speech or noise that came at now. The payload is copied.
// ok is false if too many wait.
func (t *transcoding) push(h *hop, p codec.Packet, now int64) (ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == transcodeIn {
		return false
	}
	in := &t.in[t.waiting]
	t.waiting++
	in.kind, in.epoch, in.at, in.packet = h.kind, h.in.epoch, now, p
	in.payload = append(in.payload[:0], p.Payload...)
	if t.resting {
		t.resting = false
		t.worker.wakeUp()
	}
	return true
}

// work does what is due at now, and says when the next thing is; 0 for not before more
// packets come. over says that the transcoding was closed.
func (t *transcoding) work(now int64) (next int64, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, true
	}
	for i := range t.waiting {
		t.take(&t.in[i])
	}
	t.waiting = 0
	if t.codec == nil || now-t.heard > int64(transcodeRest) {
		t.resting, t.due = true, 0
		return 0, false
	}
	every := int64(t.codec.PTime())
	if t.due == 0 || now-t.due > int64(transcodeLate) {
		t.due = now
	}
	for ; t.due <= now; t.due += every {
		m, ok := t.codec.Pull(t.due)
		t.since += t.codec.Ticks()
		if ok && t.ready < transcodeOut {
			out := &t.made[t.ready]
			t.ready++
			out.noise, out.begins, out.ticks = m.Noise, m.Begins, t.since
			out.payload = append(out.payload[:0], m.Payload...)
			t.since = 0
		}
	}
	if t.ready > 0 {
		t.socket.wire.poke(t.socket) // to have it sent
	}
	return t.due, false
}

// take gives a packet to the decoder of its codec.
func (t *transcoding) take(p *pushed) {
	if !t.bridge.relay.transcoders.admit(t.bridge) {
		t.socket.t.drops.noRoute.Add(1)
		return
	}
	if t.codec == nil || t.kind != p.kind && !p.packet.Noise {
		t.kind, t.epoch = p.kind, p.epoch
		t.codec = codec.NewTranscoder(codec.Options{
			From: p.kind, To: t.target.kind, PTime: t.target.ptime, Encoder: t.target.encoder, Noise: t.target.noise,
		})
	}
	if t.epoch != p.epoch {
		t.epoch = p.epoch
		t.codec.Reset()
	}
	t.heard = p.at
	p.packet.Payload = p.payload
	t.codec.Push(p.packet, p.at)
}

// close ends the transcoding; its worker forgets it.
func (t *transcoding) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.worker.wakeUp()
}

// speak sends what the worker has made.
func (s *socket) speak(rt *route, now int64) {
	if rt == nil || rt.through == nil {
		return
	}
	if rt.mine != nil {
		rt.mine.Lock()
		defer rt.mine.Unlock()
	}
	t := rt.through
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.ready {
		m := &t.made[i]
		h := rt.speech
		if m.noise {
			h = rt.noise
		}
		if h == nil { // it was made before the way was closed, as for hold
			continue
		}
		o := h.out
		ts := t.lastTS + m.ticks
		follows := o.started && o.lastTS == t.lastTS
		if !follows { // something else was sent meanwhile
			ts = o.at(now, t.clock)
		}
		t.lastTS = ts
		if h.to == nil || s.sounding() || now < t.apart.hush {
			continue
		}
		p := append(t.packet[:headerLen], m.payload...)
		p[0], p[1] = 0x80, h.pt
		if (m.begins || !follows) && h.mark {
			p[1] |= 0x80
		}
		binary.BigEndian.PutUint16(p[2:], o.insert(ts, now))
		binary.BigEndian.PutUint32(p[4:], ts)
		binary.BigEndian.PutUint32(p[8:], o.ssrc)
		o.again, o.passed = true, now
		o.stamped(ts, t.clock, now)
		s.transmit(h, p, len(p)-headerLen)
	}
	t.ready = 0
}

// An apart is a digit in the media of a peer whose speech is transcoded: it is passed on
// apart from it, and in its place.
type apart struct {
	known   bool
	epoch   uint32
	in, out uint32 // its timestamps
	began   int64
	hush    int64 // until when speech is not sent
}

// event passes an event on beside transcoded speech (RFC 4733). The packet is rewritten in
// place.
func (t *transcoding) event(s *socket, h *hop, buf []byte, start, end int, now int64) {
	if end-start < 4 {
		s.t.drops.malformed.Add(1)
		return
	}
	a, ts, marker := &t.apart, timestamp(buf), buf[1]&0x80
	if !a.known || a.epoch != h.in.epoch || a.in != ts {
		marker = 0x80
		out := h.out.at(now, t.clock)
		if ahead := int64(int32(ts - a.in)); a.known && a.epoch == h.in.epoch && ahead > 0 && ahead < 10*int64(h.in.clock) {
			// However late they come, two digits are as far apart as they were.
			if next := a.out + uint32(ahead*int64(t.clock)/int64(h.in.clock)); int32(next-out) > 0 {
				out = next
			}
		}
		*a = apart{known: true, epoch: h.in.epoch, in: ts, out: out, began: now}
	}
	a.hush = now + int64(eventHush)
	p := buf[start-headerLen:]
	p[0], p[1] = 0x80, marker|h.pt
	binary.BigEndian.PutUint16(p[2:], h.out.insert(a.out, a.began))
	binary.BigEndian.PutUint32(p[4:], a.out)
	binary.BigEndian.PutUint32(p[8:], h.out.ssrc)
	h.out.again, h.out.passed = true, now
	h.scale(buf[start:end])
	s.transmit(h, p[:headerLen+end-start], end-start)
}

// transcode gives a route the transcoding of what the end's peer may send and the other's
// does not know, or ends the one that it had.
func (e *end) transcode(r *route, far *end) {
	l, to := e.lanes[media.Audio], far.lanes[media.Audio]
	t, c, ok := e.targetOf(far)
	if old := e.transcoding; old != nil && (!ok || old.target != t || old.socket != l.t.sockets[0]) {
		old.close()
		e.transcoding = nil
	}
	if !ok {
		return
	}
	if e.transcoding == nil {
		e.transcoding = e.b.relay.transcoders.open(e.b, t, l.t.sockets[0], c.ClockRate)
	}
	apart := !passes(l.agreed, to.agreed)
	for i := range r.hops {
		if h := &r.hops[i]; h.in == &l.in {
			h.transcode(to, l.flow.Sends() && to.flow.Receives(), apart)
		}
	}
	r.through = e.transcoding
	if l.flow.Sends() && to.flow.Receives() && to.t.ready() {
		speech := to.own(c.PT, true)
		r.speech = &speech
		if n := noiseOf(to.agreed); n != nil {
			noise := to.own(n.PT, false)
			r.noise = &noise
		}
	}
}

// transcode leads a hop's packets through the transcoding where they cannot pass. apart
// says that no speech passes: then noise is speech, and events go beside it.
func (h *hop) transcode(to *lane, flows, apart bool) {
	switch {
	case h.event:
		h.apart = apart && h.to != nil
	case h.speech && h.lost, h.comfort && apart:
		h.lost, h.to, h.pending = false, nil, flows && !to.t.ready()
		h.through = flows && to.t.ready()
	}
}

// targetOf works out what the speech of the end's peer is turned into for that of far; ok
// is false if all of it passes, or none can be turned.
func (e *end) targetOf(far *end) (t target, c media.Codec, ok bool) {
	l, to := e.lanes[media.Audio], far.lanes[media.Audio]
	if !e.policy.Transcode || !far.policy.Transcode || !l.live() || !to.live() {
		return t, c, false
	}
	foreign := func(c media.Codec) bool { return c.Transcodable() && media.Find(to.agreed, c) < 0 }
	i := slices.IndexFunc(media.Speech(to.agreed), media.Codec.Transcodable)
	if i < 0 || !slices.ContainsFunc(l.mine, foreign) && !slices.ContainsFunc(l.agreed, foreign) {
		return t, c, false
	}
	c = media.Speech(to.agreed)[i]
	t.kind, _ = codec.KindOf(c.Name)
	t.ptime = far.packetTime(c)
	t.encoder = far.wants(c)
	t.noise = noiseOf(to.agreed) != nil && t.kind != codec.Opus
	return t, c, true
}

// passes reports whether some speech is in both lists, and can pass as it is.
func passes(a, b []media.Codec) bool {
	return len(media.Speech(media.Intersect(a, b))) > 0
}

// noiseOf returns the comfort noise at 8000 Hz of a list, or nil.
func noiseOf(list []media.Codec) *media.Codec {
	for i := range list {
		if list[i].Noise() && list[i].ClockRate == sound.Rate {
			return &list[i]
		}
	}
	return nil
}

// wants returns how the end's peer wants Opus (RFC 7587 section 6.1).
func (e *end) wants(c media.Codec) (o codec.EncoderOptions) {
	if i := e.remote.Live(media.Audio); i >= 0 {
		if j := media.Find(e.remote.Streams[i].Codecs, c); j >= 0 {
			c = e.remote.Streams[i].Codecs[j]
		}
	}
	is := func(name string) bool {
		v, _ := c.Param(name)
		return v == "1"
	}
	o.FEC, o.DTX = is("useinbandfec"), is("usedtx")
	v, _ := c.Param("maxaveragebitrate")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		o.Bitrate = min(n, maxBitrate)
	}
	return o
}

// transcodes reports whether the speech of both ends' peers may be turned into each
// other's, where they agree on these codecs, and takes a place for that.
func (b *Bridge) transcodes(one, other []media.Codec) bool {
	known := func(list []media.Codec) bool {
		return slices.ContainsFunc(list, media.Codec.Transcodable)
	}
	return b.ends[0].policy.Transcode && b.ends[1].policy.Transcode && known(one) && known(other) &&
		b.relay.transcoders.admit(b)
}
