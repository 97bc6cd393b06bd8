package embedded

import (
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/media"
)

// A verdict is what the peer said last by RTCP of the packets it is sent. Any goroutine may
// read it.
type verdict struct {
	sent  atomic.Int64  // packets of ours until then; 0 while it has said nothing
	lost  atomic.Int64  // of them
	units atomic.Uint32 // jitter, in units of the stream's clock
}

// take keeps a reception report. No peer can have lost less than nothing or more than it
// was sent, whatever it says.
func (v *verdict) take(r rtcp.ReceptionReport, sent int64) {
	lost := int64(int32(r.TotalLost<<8) >> 8) // 24 bits with a sign
	v.lost.Store(min(max(lost, 0), sent))
	v.units.Store(r.Jitter)
	v.sent.Store(sent)
}

// quality returns the verdict, for a stream with that clock.
func (v *verdict) quality(clock uint32) media.Quality {
	q := media.Quality{Expected: v.sent.Load(), Lost: v.lost.Load()}
	if clock != 0 {
		q.Jitter = min(time.Duration(v.units.Load())*time.Second/time.Duration(clock), maxTrip)
	}
	return q
}

// hears notes VoIP metrics about what the peer is sent (RFC 3611 section 4.7). Where there is
// no round trip by our own reports, the peer's is taken.
func (l *lane) hears(x *rtcp.ExtendedReport) {
	for _, r := range x.Reports {
		m, ok := r.(*rtcp.VoIPMetricsReportBlock)
		if !ok || m.SSRC != l.out.ssrc {
			continue
		}
		v := voice(m)
		if old := l.voice.Load(); old != nil {
			v.Reports += old.Reports
		}
		l.voice.Store(&v)
		if trip := time.Duration(m.RoundTripDelay) * time.Millisecond; trip > 0 && trip < maxTrip {
			l.rtt.CompareAndSwap(0, int64(trip))
		}
	}
}

// voice reads VoIP metrics. A score is in tenths, from 10 to 50; 127 and all else mean that
// it is not known.
func voice(m *rtcp.VoIPMetricsReportBlock) media.Voice {
	v := media.Voice{
		Reports: 1,
		Loss:    float64(m.LossRate) / 256,
		Discard: float64(m.DiscardRate) / 256,
		Delay:   time.Duration(m.EndSystemDelay) * time.Millisecond,
	}
	for _, tenths := range []uint8{m.MOSCQ, m.MOSLQ} {
		if tenths >= 10 && tenths <= 50 {
			v.MOS = float64(tenths) / 10
			break
		}
	}
	return v
}

// stamps remember when our last sender reports went out, by the relay's clock: that of the
// machine, which they tell, may be set meanwhile, and an echo is the peer's word.
type stamps struct {
	sent [4]atomic.Uint64 // the middle of the told time, and the moment; 0 for none
	next int              // belongs to the bridge's goroutine
}

func (s *stamps) note(told, at uint32) {
	s.sent[s.next].Store(uint64(told)<<32 | uint64(at))
	s.next = (s.next + 1) % len(s.sent)
}

// trip returns the round trip by a peer's report, which echoes the time of one of ours and
// how long the peer has kept it, in 65536ths of a second (RFC 3550 section 6.4.1). It is
// not ok if the report is none of our last, or the trip impossible.
func (s *stamps) trip(echo, kept, now uint32) (trip time.Duration, ok bool) {
	if echo == 0 {
		return 0, false
	}
	for i := range s.sent {
		stamp := s.sent[i].Load()
		if uint32(stamp>>32) != echo {
			continue
		}
		trip = time.Duration(now-uint32(stamp)-kept) * time.Second / 65536 // what is negative wraps
		if trip < maxTrip {
			return trip, true
		}
	}
	return 0, false
}

// spoken returns the codec that the peer is sent while the other one speaks heard, which is nil
// for nothing yet: that, or else what it is turned into.
func (f *facts) spoken(heard *string) (c media.Codec, ok bool) {
	for _, c := range f.speech {
		if heard != nil && strings.EqualFold(c.Name, *heard) {
			return c, true
		}
	}
	if len(f.speech) == 0 {
		return c, false
	}
	return f.speech[0], true
}

// metrics reports whether the peer wants VoIP metrics of the speech it sends (RFC 3611 section
// 5.2).
func (e *end) metrics() bool {
	i := e.remote.Live(media.Audio)
	return i >= 0 && e.remote.Streams[i].Metrics
}

// unknown is what VoIP metrics say where there is nothing to say.
const unknown = 127

// metrics are the VoIP metrics of what the peer sends (RFC 3611 section 4.7), nil while it has
// sent nothing. Nothing is decoded here, so levels and echo are not known, and nothing waits
// in a buffer or is discarded; the scores are those of [media.Quality], which suppose a buffer
// where speech is played.
func (l *lane) metrics() *rtcp.VoIPMetricsReportBlock {
	in := &l.in
	expected := in.expected.Load()
	if in.packets.Load() == 0 || expected <= 0 {
		return nil
	}
	_, jitter := in.jitters()
	q := media.Quality{Expected: expected, Lost: max(expected-in.packets.Load(), 0), Jitter: jitter}
	trip := time.Duration(l.rtt.Load())
	m := &rtcp.VoIPMetricsReportBlock{
		SSRC:           in.source.Load(),
		LossRate:       parts(q.Lost, expected),
		RoundTripDelay: uint16(min(trip.Milliseconds(), 1<<16-1)),
		SignalLevel:    unknown, NoiseLevel: unknown, RERL: unknown,
		Gmin:    leastGap,
		RFactor: unknown, ExtRFactor: unknown, MOSLQ: unknown, MOSCQ: unknown,
	}
	packet := time.Duration(in.last.Load()-in.first.Load()) / time.Duration(expected)
	count, length := in.bursts.count.Load(), min(in.bursts.length.Load(), expected)
	m.BurstDensity, m.BurstDuration = parts(in.bursts.lost.Load(), length), mean(length, count, packet)
	m.GapDensity, m.GapDuration = parts(in.bursts.alone.Load(), expected-length), mean(expected-length, count+1, packet)
	if name := in.name.Load(); name != nil {
		if r, ok := q.Rating(*name, trip); ok {
			m.RFactor, m.MOSCQ = uint8(math.Round(r)), uint8(math.Round(10*media.MOS(r)))
		}
		if r, ok := media.Rating(*name, q.Loss(), 0); ok && q.Rated() {
			m.MOSLQ = uint8(math.Round(10 * media.MOS(r)))
		}
	}
	return m
}

// parts is a part of a whole in 256ths.
func parts(part, whole int64) uint8 {
	if whole <= 0 {
		return 0
	}
	return uint8(min(max(part, 0)*256/whole, 255))
}

// mean is how long so many packets of one length are in the mean of their runs, in
// milliseconds.
func mean(packets, runs int64, packet time.Duration) uint16 {
	if runs <= 0 {
		return 0
	}
	return uint16(min(max((packet*time.Duration(packets)/time.Duration(runs)).Milliseconds(), 0), 1<<16-1))
}
