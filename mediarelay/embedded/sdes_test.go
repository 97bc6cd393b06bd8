package embedded

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

func keyedPolicy(clear bool) media.Policy {
	p := sipPolicy()
	p.SDES, p.Clear = true, clear
	return p
}

// RTCP is protected too, on a port of its own: what is in the clear there is not heeded.
func TestReportsAreKeyed(t *testing.T) {
	g := newRig(t, keyedPolicy(false), sipPolicy(), quickReports)
	a, b := mediatest.NewKeyedPhone(t), mediatest.NewPhone(t, "127.0.0.1")
	control := mediatest.ListenOn(t, "127.0.0.1")
	mine := mediatest.KeyLine(1, media.Suites[4].Name, 30, 'k')
	offer := mediatest.Keyed(a.Describe(pcmu()), media.SAVP, mine)
	offer.Streams[0].Transport.RTCP = mediatest.LocalOf(control)
	b.Call(g.Offered(1, call.B, offer))
	answer := g.Answered(2, call.A, b.Describe(pcmu()))
	a.Key(mine, answer.Streams[0].Transport.SDES[0])
	a.Call(answer)
	talk(t, a, 0, b, 0)
	buf := make([]byte, 2000)
	var report *rtcp.SenderReport
	for report == nil {
		control.SetReadDeadline(time.Now().Add(mediatest.Patience))
		n, err := control.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := a.RX.DecryptRTCP(nil, buf[:n], nil)
		if err != nil {
			t.Fatalf("a report is not SRTCP of the relay's: %v", err)
		}
		packets, err := rtcp.Unmarshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		report, _ = packets[0].(*rtcp.SenderReport)
	}
	about, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: a.SSRC, Reports: []rtcp.ReceptionReport{
		{SSRC: report.SSRC, LastSenderReport: uint32(report.NTPTime >> 16)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	to := netipNext(a.To)
	if _, err := control.WriteToUDPAddrPort(about, to); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a clear report is dropped", func() bool {
		s := g.Stats()[call.A]
		return s.Dropped.BadAuth+s.Dropped.Malformed+s.Dropped.Replayed > 0
	})
	if g.Stats()[call.A].RoundTrip != 0 {
		t.Error("a clear report was heeded")
	}
	eventually(t, "a report is heeded", func() bool {
		secret, err := a.TX.EncryptRTCP(nil, about, nil)
		if err != nil {
			t.Fatal(err)
		}
		control.WriteToUDPAddrPort(secret, to)
		return g.Stats()[call.A].RoundTrip != 0
	})
}

// A phone with ICE whose media must not be clear is offered keys, as one without; one whose media
// may be clear is offered none.
func TestKeysBesideICE(t *testing.T) {
	for _, clear := range []bool{false, true} {
		policy := keyedPolicy(clear)
		policy.ICE, policy.RTCPMux = true, true
		g := newRig(t, sipPolicy(), policy, nil)
		a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewKeyedPhone(t)
		offer := g.Offered(1, call.B, a.Describe(pcmu()))
		tr := offer.Streams[0].Transport
		if tr.ICE == nil || (tr.Profile == media.SAVP) == clear || (len(tr.SDES) == len(media.Suites)) == clear {
			t.Fatalf("clear %v: the phone is offered %+v", clear, tr)
		}
		if clear {
			continue
		}
		mine := mediatest.KeyLine(media.Suites[1].Tag, media.Suites[1].Name, 30, 'k')
		b.Key(mine, tr.SDES[1])
		b.Call(offer)
		a.Call(g.Answered(2, call.A, mediatest.Keyed(b.Describe(pcmu()), media.SAVP, mine)))
		talk(t, a, 0, b, 0)
	}
}

// Keys in signalling are offered for a bundle alone: pictures that are answered outside of it are
// refused, and not shown in the clear.
func TestKeysOfABundle(t *testing.T) {
	policy := keyedPolicy(false)
	policy.ICE, policy.RTCPMux, policy.Bundle, policy.Video = true, true, true, true
	g := newRig(t, videoPolicy(), policy, nil)
	a, b := newWatcher(t), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(nil, vp8(97)))
	if len(offer.Bundle) != 2 || len(offer.Streams[1].Transport.SDES) == 0 {
		t.Fatalf("B is offered %+v", offer)
	}
	mine := mediatest.KeyLine(media.Suites[1].Tag, media.Suites[1].Name, 30, 'k')
	keyed := func(ufrag string, codecs ...media.Codec) media.Description {
		d := mediatest.Keyed(b.Describe(media.Active, codecs...), media.SAVP, mine)
		d.Streams[0].Transport.DTLS = nil
		d.Streams[0].Transport.ICE.Ufrag = ufrag
		return d
	}
	answer := pictured(keyed("sound", pcmu()), keyed("sight", offer.Streams[1].Codecs...), offer.Streams[1].Name)
	if got := g.Answered(2, call.A, answer); got.Streams[0].Rejected || !got.Streams[1].Rejected {
		t.Errorf("A is answered %+v", got)
	}
}
