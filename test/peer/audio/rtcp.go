package audio

import (
	"time"

	"github.com/pion/rtcp"
)

// Feedback is what has come over RTCP.
type Feedback struct {
	Packets   uint64 // RTCP packets, compound ones counted once
	Senders   uint64 // sender reports
	Malformed uint64
	Goodbye   bool
	Reports   uint64               // reception reports about any source
	Last      rtcp.ReceptionReport // the last of them
}

// RTCP takes one RTCP packet as it came, decrypted.
func (r *Receiver) RTCP(raw []byte, at time.Time) {
	packets, err := rtcp.Unmarshal(raw)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.feedback.Malformed++
		return
	}
	r.feedback.Packets++
	for _, p := range packets {
		var reports []rtcp.ReceptionReport
		switch p := p.(type) {
		case *rtcp.SenderReport:
			r.feedback.Senders++
			r.lastSR, r.lastSRAt = uint32(p.NTPTime>>16), at
			reports = p.Reports
		case *rtcp.ReceiverReport:
			reports = p.Reports
		case *rtcp.Goodbye:
			r.feedback.Goodbye = true
		}
		for _, report := range reports {
			r.feedback.Reports++
			r.feedback.Last = report
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// Feedback returns what has come over RTCP so far.
func (r *Receiver) Feedback() Feedback {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feedback
}

// report returns a block about the source heard last; false if there is none.
func (r *Receiver) report(now time.Time) (rtcp.ReceptionReport, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sources[r.latest]
	if s == nil {
		return rtcp.ReceptionReport{}, false
	}
	report := rtcp.ReceptionReport{SSRC: r.latest, LastSequenceNumber: uint32(s.highest - 1<<16)}
	if expected := s.highest - s.base + 1; expected > s.received {
		lost := expected - s.received
		report.TotalLost = uint32(min(lost, 0x7fffff))
		report.FractionLost = uint8(min(lost*256/expected, 255))
	}
	report.Jitter = uint32(s.jitter * float64(s.rate))
	if !r.lastSRAt.IsZero() {
		report.LastSenderReport = r.lastSR
		report.Delay = uint32(now.Sub(r.lastSRAt).Seconds() * 65536)
	}
	return report, true
}

// Report returns a compound RTCP packet (RFC 3550 section 6.1) about what s has sent and r
// has heard.
func Report(s *Sender, r *Receiver, cname string, now time.Time) ([]byte, error) {
	sent := s.Sent()
	report := &rtcp.SenderReport{
		SSRC:        sent.SSRC,
		NTPTime:     ntp(now),
		RTPTime:     sent.Timestamp,
		PacketCount: uint32(sent.Packets),
		OctetCount:  uint32(sent.Bytes),
	}
	if block, ok := r.report(now); ok {
		report.Reports = []rtcp.ReceptionReport{block}
	}
	return rtcp.Marshal([]rtcp.Packet{report, rtcp.NewCNAMESourceDescription(sent.SSRC, cname)})
}

// ntp returns the time in the format of RFC 3550 section 4.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}
