package mediatest

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// report sends RTCP on the port of RTP.
func report(t *testing.T, p *Phone, packets ...rtcp.Packet) {
	t.Helper()
	raw, err := rtcp.Marshal(packets)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Conn.WriteToUDPAddrPort(raw, p.To); err != nil {
		t.Fatal(err)
	}
}

// reported waits for the next sender report, and for the source that it is about.
func reported(t *testing.T, p *Phone) *rtcp.SenderReport {
	t.Helper()
	buf := make([]byte, 2000)
	p.Conn.SetReadDeadline(time.Now().Add(Patience))
	for {
		n, err := p.Conn.Read(buf)
		if err != nil {
			t.Fatalf("no sender report came: %v", err)
		}
		if buf[1] < 192 || buf[1] > 223 {
			continue
		}
		all, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if sr, ok := r.(*rtcp.SenderReport); ok {
				return sr
			}
		}
	}
}

// What peers say by RTCP of what they hear is known, each of its own leg: loss, jitter, the round
// trip, and a score. One speaks over a network that loses a tenth of it.
func figures(t *testing.T, e Engine) {
	muxes := sipPolicy()
	muxes.RTCPMux = true
	g := newRig(t, e, muxes, muxes)
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	a.SSRC, b.SSRC = 0xaaaa, 0xbbbb
	mux := func(p *Phone) media.Description {
		d := p.Describe(pcmu())
		d.Streams[0].Transport.RTCPMux = true
		return d
	}
	offer := g.Offered(1, call.B, mux(a))
	b.Call(offer)
	answer := g.Answered(2, call.A, mux(b))
	a.Call(answer)
	if !offer.Streams[0].Transport.RTCPMux || !answer.Streams[0].Transport.RTCPMux {
		t.Fatal("RTCP is not muxed")
	}
	g.Connected(call.A)
	const packets = 100
	var heard [2]uint32 // the sources that A and B hear
	for i := range uint16(packets) {
		speak(b, 0, 1000+i, "payload")
		heard[call.A] = a.Hear().SSRC
		if i%10 != 5 {
			speak(a, 0, 1000+i, "payload")
			heard[call.B] = b.Hear().SSRC
		}
	}
	// Each sends reports about its stream, and about the other's as soon as it has one of that.
	began := time.Now()
	send := func(p *Phone, other *Phone, side call.Side, lost uint32, jitter uint32) {
		ntp := uint64(time.Since(began).Seconds()*(1<<32)) + 1<<40
		report(t, other, &rtcp.SenderReport{SSRC: other.SSRC, NTPTime: ntp, RTPTime: 160 * 1100, PacketCount: packets, OctetCount: 7 * packets})
		sr := reported(t, p)
		<-time.After(100 * time.Millisecond) // of the round trip, which the peer does not own to have kept it
		report(t, p, &rtcp.ReceiverReport{SSRC: p.SSRC, Reports: []rtcp.ReceptionReport{{
			SSRC: heard[side], FractionLost: uint8(lost * 256 / packets), TotalLost: lost, LastSequenceNumber: 1099, Jitter: jitter,
			LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 1,
		}}})
	}
	until(t, "the figures are there", func() bool {
		send(a, b, call.A, 0, 0)
		send(b, a, call.B, 10, 160)
		s := g.Stats()
		return s[call.B].Out.MOS > 0 && s[call.A].In.MOS > 0 && s[call.A].Out.MOS > 0 && s[call.B].RoundTrip > 0 && s[call.A].RoundTrip > 0
	})
	s := g.Stats()
	near := func(what string, got, least, most float64) {
		if got < least || got > most {
			t.Errorf("%s is %v, want from %v to %v", what, got, least, most)
		}
	}
	near("the loss of what A says", s[call.A].In.Loss(), 0.08, 0.12)
	near("the packets lost of it", float64(s[call.A].Lost), 10, 10)
	near("the loss of what B hears", s[call.B].Out.Loss(), 0.08, 0.12)
	near("the jitter of what B hears, in ms", float64(s[call.B].Out.Jitter.Milliseconds()), 15, 25)
	near("the loss of what A hears", s[call.A].Out.Loss(), 0, 0)
	near("the loss of what B says", s[call.B].In.Loss(), 0, 0)
	for side, trip := range []time.Duration{s[call.A].RoundTrip, s[call.B].RoundTrip} {
		near("the round trip in ms", float64(trip.Milliseconds()), 95, 5000)
		if s[side].Silence != (media.Silence{}) {
			t.Errorf("side %d was silent: %+v", side, s[side].Silence)
		}
	}
	if bad, good := s[call.B].Out.MOS, s[call.A].Out.MOS; bad < 1 || bad > good-0.3 || good > 4.5 {
		t.Errorf("scores are %.2f with a tenth lost and %.2f without", bad, good)
	}
}
