package embedded

import (
	"net/netip"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
)

const (
	repairMax   = 128                  // packets that are kept of a flow of pictures: about a second
	repairLen   = 1600                 // octets of one; longer ones are not kept
	repairTimes = 3                    // that one is sent again, so that asking is no weapon
	repairQueue = 8                    // requests that wait
	repairPairs = 16                   // of one request that are heeded
	repairEvery = 5 * time.Millisecond // between requests that are passed on
)

// A cache keeps the last packets of a flow of pictures as they were sent. It belongs to
// the goroutine that reads the other end's packets, as the flow does.
type cache struct {
	protect *srtp.Sender // that they were protected by
	slots   [repairMax]slot
	octets  []byte
}

type slot struct {
	seq   uint16
	len   uint16 // 0 for none
	times uint8
}

func newCache() *cache { return &cache{octets: make([]byte, repairMax*repairLen)} }

// keep adds a packet in place of an older one.
func (c *cache) keep(seq uint16, p []byte, protect *srtp.Sender) {
	if c.protect != protect {
		c.slots, c.protect = [repairMax]slot{}, protect
	}
	i := int(seq % repairMax)
	c.slots[i] = slot{seq: seq}
	if len(p) <= repairLen {
		c.slots[i].len = uint16(copy(c.octets[i*repairLen:(i+1)*repairLen], p))
	}
}

// find returns a packet to be sent again; it is nil if there is none or it was sent often
// enough. had reports whether it is there.
func (c *cache) find(seq uint16) (p []byte, had bool) {
	i := int(seq % repairMax)
	s := &c.slots[i]
	if s.len == 0 || s.seq != seq {
		return nil, false
	}
	if s.times == repairTimes {
		return nil, true
	}
	s.times++
	return c.octets[i*repairLen : i*repairLen+int(s.len)], true
}

// A repair is how packets of pictures are sent again to the peer of the other end.
type repair struct {
	cache   *cache
	out     *outflow
	to      wire
	dest    netip.AddrPort
	protect *srtp.Sender
}

type (
	lostInput struct { // the peer of side misses packets of ours (RFC 4585 section 6.2.1)
		side  call.Side
		pairs []rtcp.NackPair
	}
	missedInput struct { // and they did not come from the peer of side
		side  call.Side
		ssrc  uint32
		pairs []rtcp.NackPair
	}
)

// misses takes what the peer misses of ours; what comes too fast is left out.
func (l *lane) misses(p *rtcp.TransportLayerNack, b *Bridge) {
	if p.MediaSSRC != l.out.ssrc || l.kind != media.Video || len(p.Nacks) == 0 {
		return
	}
	if l.asking.Add(1) > repairQueue {
		l.asking.Add(-1)
		return
	}
	b.tellSelf(lostInput{l.side, p.Nacks[:min(len(p.Nacks), repairPairs)]})
}

// lost hands what is missed to the socket that has sent it.
func (b *Bridge) lost(in lostInput) {
	b.ends[in.side].lanes[media.Video].asking.Add(-1)
	t := b.ends[in.side.Other()].lanes[media.Video].t
	if t == nil {
		return
	}
	s := t.sockets[0]
	if s.missed.put(in.pairs, repairQueue) {
		s.wire.poke(s)
	}
}

// resend sends again what is asked for, and asks for what never came.
func (s *socket) resend(rt *route) {
	for {
		pairs, ok := s.missed.take()
		if !ok {
			return
		}
		if rt == nil || rt.repair == nil {
			continue
		}
		if ssrc, missing := s.mend(rt, pairs); len(missing) > 0 {
			s.t.b.tellSelf(missedInput{s.t.side, ssrc, rtcp.NackPairsFromSequenceNumbers(missing)})
		}
	}
}

// mend sends again those of our packets that are kept, and returns the others, as the
// end's peer names and numbers them.
func (s *socket) mend(rt *route, pairs []rtcp.NackPair) (ssrc uint32, missing []uint16) {
	if rt.mine != nil {
		rt.mine.Lock()
		defer rt.mine.Unlock()
	}
	r := rt.repair
	if !r.out.started || r.out.again || r.cache.protect != r.protect {
		return 0, nil
	}
	for _, pair := range pairs {
		for _, seq := range pair.PacketList() {
			if behind := r.out.lastSeq - seq; behind >= maxMisorder {
				continue // too late, or not sent yet
			}
			p, had := r.cache.find(seq)
			if !had {
				missing = append(missing, seq-r.out.seqOff)
			}
			if p != nil {
				r.to.send(p, r.dest, true)
			}
		}
	}
	return r.out.source, missing
}

// missed asks the end's peer for packets that never came.
func (b *Bridge) missed(in missedInput) {
	e := b.ends[in.side]
	l := e.lanes[media.Video]
	if !l.live() || !l.t.ready() || l.in.source.Load() != in.ssrc || !e.hears(media.Feedback{Type: "nack"}) {
		return
	}
	if time.Since(l.lastNack) < repairEvery {
		return
	}
	l.lastNack = time.Now()
	l.t.sendReports([]rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: l.out.ssrc},
		&rtcp.TransportLayerNack{SenderSSRC: l.out.ssrc, MediaSSRC: in.ssrc, Nacks: in.pairs},
	})
}

// hears reports whether the end's peer has said that it heeds a kind of feedback about
// its pictures.
func (e *end) hears(f media.Feedback) bool {
	i := e.remote.Live(media.Video)
	return i >= 0 && e.remote.Streams[i].OffersFeedback(f)
}

// repairs works out how packets to the peer of an end are sent again; nil if they are not.
func (e *end) repairs() *repair {
	l := e.lanes[media.Video]
	if !l.live() || !l.flow.Receives() || !l.t.ready() || !e.hears(media.Feedback{Type: "nack"}) {
		return nil
	}
	if l.cache == nil {
		l.cache = newCache()
	}
	h := l.own(0, false)
	return &repair{cache: l.cache, out: h.out, to: h.to, dest: h.dest, protect: h.protect}
}
