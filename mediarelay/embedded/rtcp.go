package embedded

import (
	"net/netip"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

const (
	// keyEvery is how often a peer may be asked for a whole picture.
	keyEvery = time.Second
	// ntpEpoch is 1970 in seconds since 1900 (RFC 3550 section 4).
	ntpEpoch = 2208988800
	maxTrip  = 10 * time.Second // longer round trips are mistakes
)

// reports takes the RTCP of the peer. It ends here: what counts is noted, and requests
// for whole pictures go on to the other end.
func (s *socket) reports(buf []byte, n int, from netip.AddrPort, now int64) {
	rt := s.route.Load()
	if rt == nil {
		s.t.drops.noRoute.Add(1)
		return
	}
	if rt.mine != nil {
		rt.mine.Lock()
		defer rt.mine.Unlock()
	}
	if !s.reporter(rt, from) {
		s.t.drops.wrongSource.Add(1)
		return
	}
	p := buf[:n]
	if rt.secure {
		if rt.reports == nil {
			s.t.drops.noRoute.Add(1)
			return
		}
		length, err := rt.reports.Unprotect(p)
		if err != nil {
			s.t.drops.unprotected(err)
			return
		}
		p = p[:length]
	}
	packets, err := rtcp.Unmarshal(p)
	if err != nil {
		s.t.drops.malformed.Add(1)
		return
	}
	for _, l := range rt.lanes {
		l.in.control.Store(now)
		for _, packet := range packets {
			l.heard(packet, now, s.t.b)
		}
	}
}

// reporter reports whether RTCP from that address is the peer's. On the media's own port
// it must come from where the media comes from, or may be expected from.
func (s *socket) reporter(rt *route, from netip.AddrPort) bool {
	if rt.gate == nil {
		return from == rt.peer || s.known(from)
	}
	if !s.rtcp {
		if s.latch.round == rt.gate.round && s.latch.locked.IsValid() {
			return from == s.latch.locked
		}
		return rt.gate.signalled.IsValid() && from.Addr() == rt.gate.signalled.Addr()
	}
	ok, locks := s.latch.admit(rt.gate, from, 0, 0, 0)
	if locks {
		s.t.latched(s, rt.gate.round, from)
	}
	return ok
}

// heard notes what one RTCP packet says about the lane.
func (l *lane) heard(packet rtcp.Packet, now int64, b *Bridge) {
	switch p := packet.(type) {
	case *rtcp.SenderReport:
		if p.SSRC == l.in.source.Load() {
			middle := uint32(p.NTPTime >> 16)
			l.in.report.Store(uint64(middle)<<32 | uint64(units(now)))
		}
		l.judged(p.Reports, now)
	case *rtcp.ReceiverReport:
		l.judged(p.Reports, now)
	case *rtcp.ExtendedReport:
		l.hears(p)
	case *rtcp.TransportLayerNack:
		l.misses(p, b)
	case *rtcp.PictureLossIndication:
		l.wants(p.MediaSSRC, b)
	case *rtcp.FullIntraRequest:
		for _, f := range p.FIR {
			l.wants(f.SSRC, b)
		}
	}
}

// judged notes what the peer reports of our packets, and the round trip.
func (l *lane) judged(reports []rtcp.ReceptionReport, now int64) {
	for _, r := range reports {
		if r.SSRC != l.out.ssrc {
			continue
		}
		l.far.take(r, l.out.packets.Load())
		if trip, ok := l.stamps.trip(r.LastSenderReport, r.Delay, units(now)); ok {
			l.rtt.Store(max(int64(trip), 1)) // 0 is for unknown
		}
	}
}

// wants passes on that the peer needs a whole picture of ours.
func (l *lane) wants(ssrc uint32, b *Bridge) {
	if ssrc == l.out.ssrc && l.kind == media.Video && l.wantsKey.CompareAndSwap(false, true) {
		b.tellSelf(keyframeInput{l.side})
	}
}

// Keyframe asks the other side's peer for a whole picture, because the peer of side has
// asked for one by signalling (RFC 5168). Requests in RTCP are passed on without it.
func (b *Bridge) Keyframe(side call.Side) { b.tellSelf(keyframeInput{side}) }

// keyframe asks the other end's peer for a whole picture, in the form it heeds; later, if
// it was asked just now or has sent nothing yet. Where RTCP is not said to be heeded,
// signalling shall ask as well (INTERWORKING 2.12); the request in RTCP is passed over then,
// or heeded all the same.
func (b *Bridge) keyframe(wanted call.Side) {
	e := b.ends[wanted.Other()]
	l := e.lanes[media.Video]
	l.owesKey = l.live()
	source := l.in.source.Load()
	if !l.live() || !l.t.ready() || source == 0 || time.Since(l.lastKey) < keyEvery {
		return
	}
	l.owesKey, l.lastKey, l.askedOf = false, time.Now(), source
	var ask rtcp.Packet = &rtcp.PictureLossIndication{SenderSSRC: l.out.ssrc, MediaSSRC: source}
	if !e.hears(media.Feedback{Type: "nack", Subtype: "pli"}) {
		if e.hears(media.Feedback{Type: "ccm", Subtype: "fir"}) {
			l.firs++
			ask = &rtcp.FullIntraRequest{SenderSSRC: l.out.ssrc, FIR: []rtcp.FIREntry{{SSRC: source, SequenceNumber: l.firs}}}
		} else {
			b.tell(call.MediaPicture{Side: e.side})
		}
	}
	l.t.sendReports([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: l.out.ssrc}, ask})
}

// owes reports whether the peer is to be asked for a whole picture: it was asked for one, or
// it has begun anew since, and who joined may have missed the beginning.
func (l *lane) owes() bool {
	return l.owesKey || l.flowing && l.askedOf != 0 && l.askedOf != l.in.source.Load()
}

// report sends our reports to both peers.
func (b *Bridge) report() {
	for _, e := range b.ends {
		for _, l := range e.lanes {
			if l.live() && l.t.ready() {
				l.t.sendReports(e.reports(l))
				l.reported = true
			}
		}
	}
}

// leave tells the peer that nothing comes from us any more; but not if nothing ever did
// (RFC 3550 sections 6.3.7 and 6.6).
func (e *end) leave() {
	for _, l := range e.lanes {
		if l.live() && l.t.ready() && (l.reported || l.out.packets.Load() > 0) {
			l.t.sendReports(append(e.reports(l), &rtcp.Goodbye{Sources: []uint32{l.out.ssrc}}))
		}
	}
}

// reports are what we say of a lane: what we sent, and how the peer's packets come.
func (e *end) reports(l *lane) []rtcp.Packet {
	all := l.reports(e.cname)
	if l.kind == media.Audio && e.metrics() {
		if m := l.metrics(); m != nil {
			all = append(all, &rtcp.ExtendedReport{SenderSSRC: l.out.ssrc, Reports: []rtcp.ReportBlock{m}})
		}
	}
	return all
}

// reports are those that every peer gets.
func (l *lane) reports(cname string) []rtcp.Packet {
	var about []rtcp.ReceptionReport
	now := l.t.relay.now()
	if source := l.in.source.Load(); l.in.packets.Load() > 0 {
		expected, received := l.in.expected.Load(), l.in.packets.Load()
		jitter, _ := l.in.jitters()
		r := rtcp.ReceptionReport{
			SSRC:               source,
			FractionLost:       fraction(expected-l.expected, received-l.received),
			TotalLost:          uint32(min(max(expected-received, 0), 1<<23-1)),
			LastSequenceNumber: uint32(l.in.highest.Load()),
			Jitter:             jitter,
		}
		if sr := l.in.report.Load(); sr != 0 {
			r.LastSenderReport, r.Delay = uint32(sr>>32), units(now)-uint32(sr)
		}
		l.expected, l.received = expected, received
		about = []rtcp.ReceptionReport{r}
	}
	name := &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: l.out.ssrc,
		Items:  []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: cname}},
	}}}
	ts, ok := l.out.told(now)
	if !ok {
		return []rtcp.Packet{&rtcp.ReceiverReport{SSRC: l.out.ssrc, Reports: about}, name}
	}
	told := ntp(time.Now())
	l.stamps.note(uint32(told>>16), units(now))
	return []rtcp.Packet{&rtcp.SenderReport{
		SSRC:        l.out.ssrc,
		NTPTime:     told,
		RTPTime:     ts,
		PacketCount: uint32(l.out.packets.Load()),
		OctetCount:  uint32(l.out.octets.Load()),
		Reports:     about,
	}, name}
}

// sendReports sends RTCP to the transport's peer, protected as its media is.
func (t *transport) sendReports(packets []rtcp.Packet) {
	p, err := rtcp.Marshal(packets)
	if err != nil || !t.report.IsValid() {
		return
	}
	if t.secure {
		k := t.keysOfReports()
		if k == nil {
			return
		}
		if p, err = k.tx.Protect(p); err != nil {
			return
		}
	}
	t.reportSocket().wire.write(p, t.report)
}

// fraction is the loss since the last report in 256ths (RFC 3550 section 6.4.1).
func fraction(expected, received int64) uint8 {
	if expected <= 0 || received >= expected {
		return 0
	}
	return uint8(min((expected-received)*256/expected, 255))
}

// ntp returns a time in NTP's format.
func ntp(t time.Time) uint64 {
	s := uint64(t.Unix() + ntpEpoch)
	return s<<32 | uint64(t.Nanosecond())<<32/1e9
}

// units returns a moment of the relay's clock in 65536ths of a second; it wraps.
func units(now int64) uint32 { return uint32(now / 1000 * 65536 / 1e6) }
