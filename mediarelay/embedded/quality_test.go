package embedded

import (
	"math"
	"net"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

func TestVerdict(t *testing.T) {
	tests := []struct {
		name  string
		lost  uint32 // as it is on the wire
		sent  int64
		want  int64
		units uint32
		clock uint32
		late  time.Duration
	}{
		{"some lost", 3, 100, 3, 80, 8000, 10 * time.Millisecond},
		{"by a clock of 48000", 3, 100, 3, 480, 48000, 10 * time.Millisecond},
		{"less than nothing, as duplicates make it", 0xfffffe, 100, 0, 0, 8000, 0},
		{"more than it was sent", 0x7fffff, 100, 100, 0, 8000, 0},
		{"jitter of days", 0, 100, 0, 0xffffffff, 8000, maxTrip},
		{"no clock is known", 0, 100, 0, 80, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v verdict
			v.take(rtcp.ReceptionReport{TotalLost: tt.lost, Jitter: tt.units}, tt.sent)
			if got, want := v.quality(tt.clock), (media.Quality{Expected: tt.sent, Lost: tt.want, Jitter: tt.late}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestSpoken(t *testing.T) {
	name := func(s string) *string { return &s }
	f := &facts{speech: []media.Codec{opus(111), pcmu()}}
	for _, tt := range []struct {
		heard *string
		want  media.Codec
	}{
		{name("pcmu"), pcmu()},
		{name("G722"), opus(111)}, // it is transcoded
		{nil, opus(111)},
	} {
		if got, ok := f.spoken(tt.heard); !ok || got.Name != tt.want.Name || got.ClockRate != tt.want.ClockRate {
			t.Errorf("got %v %v, want %v", got, ok, tt.want)
		}
	}
	if got, ok := (&facts{}).spoken(name("pcmu")); ok {
		t.Errorf("nothing is agreed, and %v is spoken", got)
	}
}

// Moments are in 65536ths of a second.
func TestRoundTrip(t *testing.T) {
	tests := []struct {
		name            string
		told, at        uint32 // of our report
		echo, kept, now uint32
		want            time.Duration
		ok              bool
	}{
		{"half a second", 7000, 100, 7000, 65536, 100 + 65536 + 32768, 500 * time.Millisecond, true},
		{"at once", 7000, 100, 7000, 50, 150, 0, true},
		{"the clock wraps", 7000, 0xffffffff, 7000, 0, 65535, time.Second, true},
		{"of no report of ours", 7000, 100, 7001, 0, 200, 0, false},
		{"of none at all", 0, 100, 0, 0, 200, 0, false},
		{"kept for longer than there was", 7000, 100, 7000, 101, 200, 0, false},
		{"too long", 7000, 100, 7000, 0, 100 + 11*65536, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s stamps
			s.note(tt.told, tt.at)
			if got, ok := s.trip(tt.echo, tt.kept, tt.now); got != tt.want || ok != tt.ok {
				t.Errorf("got %v %v, want %v %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// A peer may answer the report before the last; what is older is forgotten.
func TestRoundTripOfSeveralReports(t *testing.T) {
	var s stamps
	for i := range uint32(9) {
		s.note(50+i, 1000*i)
	}
	for echo, want := range map[uint32]time.Duration{
		58: time.Second * 256 / 65536,
		57: time.Second * 1256 / 65536,
		54: 0,
	} {
		if got, ok := s.trip(echo, 100, 8356); got != want || ok != (want > 0) {
			t.Errorf("%d: got %v %v, want %v", echo, got, ok, want)
		}
	}
}

// VoIP metrics as they are on the wire, among blocks of other kinds and about others.
func TestVoice(t *testing.T) {
	block := func(ssrc, cq, lq byte) []byte {
		return []byte{
			7, 0, 0, 8, 0, 0, 0, ssrc,
			64, 32, 0, 0, // loss and discard: a quarter and an eighth
			0, 0, 0, 0,
			0, 50, 0, 120, // milliseconds: round trip, end system
			127, 127, 127, 16,
			93, 127, lq, cq,
			0, 0, 0, 40, 0, 60, 0, 80,
		}
	}
	unknown := []byte{99, 0, 0, 1, 1, 2, 3, 4}
	tests := []struct {
		name   string
		blocks [][]byte
		want   media.Voice
		trip   time.Duration
	}{
		{"of a conversation", [][]byte{unknown, block(5, 41, 43)}, media.Voice{Reports: 1, Loss: .25, Discard: .125, Delay: 120 * time.Millisecond, MOS: 4.1}, 50 * time.Millisecond},
		{"of listening alone", [][]byte{block(5, 127, 43)}, media.Voice{Reports: 1, Loss: .25, Discard: .125, Delay: 120 * time.Millisecond, MOS: 4.3}, 50 * time.Millisecond},
		{"no score, twice", [][]byte{block(5, 255, 9), block(5, 127, 127)}, media.Voice{Reports: 2, Loss: .25, Discard: .125, Delay: 120 * time.Millisecond}, 50 * time.Millisecond},
		{"about another", [][]byte{block(6, 41, 43), unknown}, media.Voice{}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := []byte{0x80, 207, 0, 1, 0, 0, 0, 9}
			for _, b := range tt.blocks {
				raw = append(raw, b...)
			}
			raw[3] = byte(len(raw)/4 - 1)
			packets, err := rtcp.Unmarshal(raw)
			if err != nil {
				t.Fatal(err)
			}
			l := &lane{}
			l.out.ssrc = 5
			l.heard(packets[0], 1, nil)
			var got media.Voice
			if v := l.voice.Load(); v != nil {
				got = *v
			}
			if got != tt.want || time.Duration(l.rtt.Load()) != tt.trip {
				t.Errorf("got %+v, round trip %v", got, time.Duration(l.rtt.Load()))
			}
		})
	}
}

// A phone that wants VoIP metrics is told so, and gets them with each report.
func TestVoiceIsTold(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
		o.Times = Times{Report: 20 * time.Millisecond, Tick: 10 * time.Millisecond}
	})
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(pcmu())
	own.Streams[0].Transport.RTCPMux = true
	own.Streams[0].Metrics = true
	offer := g.Offered(1, call.B, own)
	b.Call(offer)
	answer := g.Answered(2, call.A, b.Describe(pcmu()))
	a.Call(answer)
	if offer.Streams[0].Metrics || !answer.Streams[0].Metrics {
		t.Errorf("metrics: B is offered %v, A is answered %v", offer.Streams[0].Metrics, answer.Streams[0].Metrics)
	}
	seq := uint16(0)
	for ; seq < 200; seq++ {
		if seq%50 == 7 || seq == 120 || seq == 123 { // those from 107 to 123 are a burst
			continue
		}
		a.Say(0, seq, 160*uint32(seq), "payload")
		b.Hear()
	}
	var got *rtcp.VoIPMetricsReportBlock
	eventually(t, "metrics", func() bool {
		all := false // of what was said is in the report
		for _, p := range hearReports(t, a.Conn) {
			switch p := p.(type) {
			case *rtcp.SenderReport:
				all = len(p.Reports) == 1 && p.Reports[0].LastSequenceNumber == uint32(seq-1)
			case *rtcp.ReceiverReport:
				all = len(p.Reports) == 1 && p.Reports[0].LastSequenceNumber == uint32(seq-1)
			case *rtcp.ExtendedReport:
				got, _ = p.Reports[0].(*rtcp.VoIPMetricsReportBlock)
			}
		}
		return all && got != nil
	})
	want := &rtcp.VoIPMetricsReportBlock{
		XRHeader: got.XRHeader, SSRC: a.SSRC,
		LossRate: 6 * 256 / 200, GapDensity: 2, BurstDensity: 3 * 256 / 17,
		BurstDuration: got.BurstDuration, GapDuration: got.GapDuration, RoundTripDelay: got.RoundTripDelay,
		SignalLevel: 127, NoiseLevel: 127, RERL: 127, Gmin: 16, ExtRFactor: 127,
		RFactor: 83, MOSLQ: 41, MOSCQ: 41,
	}
	if *got != *want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	again := b.Describe(pcmu())
	if offer := g.Offered(3, call.A, again); !offer.Streams[0].Metrics {
		t.Error("they are not asked for any more")
	}
}

// goodbye waits for the end of a peer's reports.
func goodbye(t *testing.T, c *net.UDPConn) []rtcp.Packet {
	t.Helper()
	for {
		packets := hearReports(t, c)
		if _, ok := packets[len(packets)-1].(*rtcp.Goodbye); ok {
			return packets
		}
	}
}

// A phone reports loss and jitter of what it is sent; both directions are rated, and with the
// call the reports end.
func TestQualityOfBothDirections(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
		o.Times = Times{Report: 20 * time.Millisecond, Tick: 10 * time.Millisecond}
	})
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(pcmu())
	own.Streams[0].Transport.RTCPMux = true
	b.Call(g.Offered(1, call.B, own))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	for seq := range uint16(100) {
		if seq%10 != 3 {
			a.Say(0, seq, 160*uint32(seq), "payload")
			b.Hear()
		}
		b.Say(0, seq, 160*uint32(seq), "payload")
		for a.Hear().PayloadType != 0 { // a report, on the same port
		}
	}
	ssrc := g.ends[call.A].lanes[media.Audio].out.ssrc
	rr, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: a.SSRC, Reports: []rtcp.ReceptionReport{
		{SSRC: ssrc + 1, TotalLost: 77, Jitter: 7777}, // not about us
		{SSRC: ssrc, TotalLost: 20, Jitter: 80},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Conn.WriteToUDPAddrPort(rr, a.To); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the phone's verdict", func() bool { return g.Stats()[call.A].Out.Expected > 0 })
	s := g.Stats()[call.A]
	if s.In.Expected != 100 || s.In.Lost != 10 || s.In.MOS < 1 || s.In.MOS > 3.5 {
		t.Errorf("from the phone: %+v", s.In)
	}
	if s.Out.Expected != 100 || s.Out.Lost != 20 || s.Out.Jitter != 10*time.Millisecond || math.Abs(s.Out.MOS-2.63) > 0.01 {
		t.Errorf("to the phone: %+v", s.Out)
	}
	if s := g.Stats()[call.B]; s.Out.Expected != 0 || s.Out.MOS != 0 || s.In.Lost != 0 {
		t.Errorf("the other phone reports nothing, and has %+v", s)
	}
	g.Release()
	bye := goodbye(t, a.Conn)
	if got := bye[len(bye)-1].(*rtcp.Goodbye).Sources; len(got) != 1 || got[0] != ssrc {
		t.Errorf("goodbye of %x, want %x", got, ssrc)
	}
	if sr, ok := bye[0].(*rtcp.SenderReport); !ok || sr.PacketCount != 100 {
		t.Errorf("the last report is %+v", bye[0])
	}
}

// One phone never speaks, the other one stops; nothing counts while one of them holds.
func TestAttention(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
		o.Times = Times{Tick: 10 * time.Millisecond, Absent: 100 * time.Millisecond, Gap: 100 * time.Millisecond}
	})
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	held := b.Describe(pcmu())
	held.Streams[0].Direction = media.Inactive
	a.Call(g.Answered(2, call.A, held))
	began := g.relay.now()
	eventually(t, "time on hold", func() bool { return g.relay.now()-began > int64(300*time.Millisecond) })
	if s := g.Stats(); s[call.A].Silence != (media.Silence{}) || s[call.B].Silence != (media.Silence{}) {
		t.Fatalf("on hold: %+v, %+v", s[call.A].Silence, s[call.B].Silence)
	}
	g.Joined(3, call.B, b.Describe(pcmu()))
	a.Say(0, 1, 160, "one word")
	b.Hear()
	eventually(t, "silence", func() bool {
		s := g.Stats()
		return s[call.A].Silence.Gaps == 1 && s[call.B].Silence.Never
	})
	// A word is missed by who looks for silence, if the machine holds that up for as long as
	// makes a silence.
	for n := uint16(2); g.Stats()[call.A].Silence.Gaps == 1; n++ {
		if n == 20 {
			t.Fatal("no second silence is noticed")
		}
		a.Say(0, n, 160*uint32(n), "another")
		b.Hear()
		said := g.relay.now()
		eventually(t, "a second silence", func() bool {
			return g.Stats()[call.A].Silence.Gaps == 2 || g.relay.now()-said > int64(300*time.Millisecond)
		})
	}
	s := g.Stats()
	if s[call.A].Silence.Never || s[call.A].Silence.Longest < 100*time.Millisecond || s[call.B].Silence.Gaps != 0 {
		t.Errorf("got %+v, %+v", s[call.A].Silence, s[call.B].Silence)
	}
	b.Say(0, 1, 160, "late")
	eventually(t, "what comes late has come", func() bool { return !g.Stats()[call.B].Silence.Never })
}
