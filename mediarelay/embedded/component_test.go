package embedded

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// reportsBoth takes the relay's report on the component of RTCP, and answers there; the
// relay knows the round trip from that.
func reportsBoth(t *testing.T, c *mediatest.PlainClient, g *rig, side call.Side) {
	t.Helper()
	var about *rtcp.SenderReport
	for about == nil {
		packets, err := rtcp.Unmarshal(c.Report())
		if err != nil {
			t.Fatal(err)
		}
		about, _ = packets[0].(*rtcp.SenderReport)
	}
	answer, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: c.SSRC, Reports: []rtcp.ReceptionReport{
		{SSRC: about.SSRC, LastSenderReport: uint32(about.NTPTime >> 16)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what comes on the component of RTCP is heeded", func() bool {
		if _, err := c.Conns[1].Write(answer); err != nil {
			t.Fatal(err)
		}
		return g.Stats()[side].RoundTrip != 0
	})
}

func quickReports(o *Options) { o.Times.Report = 100 * time.Millisecond }

func TestClientWithTwoComponentsCalls(t *testing.T) {
	g := newRig(t, media.Policy{ICE: true, Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs()}, sipPolicy(), quickReports)
	a, b := mediatest.NewPlainClient(t), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(opus(98), pcma())))
	a.Connect(g.Answered(2, call.A, b.Describe(pcma())), true)
	g.Connected(call.A)
	talk(t, a, 8, b, 8)
	reportsBoth(t, a, g, call.A)
}

func TestClientWithTwoComponentsIsCalled(t *testing.T) {
	g := newRig(t, sipPolicy(), media.Policy{ICE: true, Bundle: true, G711: true, Codecs: media.DefaultCodecs()}, quickReports)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPlainClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcma()))
	answer := b.Describe(pcma())
	answer.Streams[0].Name = offer.Streams[0].Name
	a.Call(g.Answered(2, call.A, answer))
	b.Connect(offer, false)
	g.Connected(call.B)
	talk(t, a, 8, b, 8)
	reportsBoth(t, b, g, call.B)
	g.Release()
	g.relay.Close()
	if c := g.relay.Counters(); c.PortsUsed != 0 {
		t.Errorf("%d ports are still used", c.PortsUsed)
	}
}
