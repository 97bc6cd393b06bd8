package embedded

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// reportsBoth takes the relay's report on the component of RTCP, and answers there; the
// relay knows the round trip from that.
func reportsBoth(t *testing.T, c reporting, g *rig, side call.Side) {
	t.Helper()
	var about *rtcp.SenderReport
	for about == nil {
		packets, err := rtcp.Unmarshal(c.Report())
		if err != nil {
			t.Fatal(err)
		}
		about, _ = packets[0].(*rtcp.SenderReport)
	}
	answer, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 0x5555, Reports: []rtcp.ReceptionReport{
		{SSRC: about.SSRC, LastSenderReport: uint32(about.NTPTime >> 16)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what comes on the component of RTCP is heeded", func() bool {
		if err := c.Answer(answer); err != nil {
			t.Fatal(err)
		}
		return g.Stats()[side].RoundTrip != 0
	})
}

// A reporting peer has RTCP apart from RTP.
type reporting interface {
	Report() []byte
	Answer(p []byte) error
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

// Who does not mux RTCP and has DTLS has an association, and keys, for each (RFC 5764 section 3).
func TestReportsHaveKeysOfTheirOwn(t *testing.T) {
	policy := sipPolicy()
	policy.DTLS = true
	tests := []struct {
		name  string
		ice   bool
		setup media.Setup // that it offers
	}{
		{"with ICE, and begins", true, media.Active},
		{"with ICE, and waits", true, media.Passive},
		{"without ICE, and begins", false, media.Active},
		{"without ICE, and waits", false, media.Passive},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			side := policy
			if tt.ice {
				side = jinglePolicy()
			}
			g := newRig(t, side, sipPolicy(), quickReports)
			a, b := mediatest.NewApart(t), mediatest.NewPhone(t, "127.0.0.1")
			p := mediatest.NewPlainClient(t)
			p.DTLS = true
			d := p.Describe(pcma())
			if !tt.ice {
				d = a.Open(pcma())
			}
			b.Call(g.Offered(1, call.B, a.Announce(d, tt.setup)))
			answer := g.Answered(2, call.A, b.Describe(pcma()))
			if answer.Streams[0].Transport.RTCPMux {
				t.Error("it is answered as if it muxed")
			}
			if tt.ice {
				tr := answer.Streams[0].Transport
				rtcp := tr.RTCP
				if !rtcp.IsValid() {
					rtcp = netip.AddrPortFrom(tr.Addr.Addr(), tr.Addr.Port()+1)
				}
				if !slices.ContainsFunc(tr.ICE.Candidates, func(c media.Candidate) bool { return c.Component == 2 && c.Addr == rtcp }) {
					t.Errorf("RTCP is said to be at %v, and has the candidates %v", rtcp, tr.ICE.Candidates)
				}
				p.Connect(answer, true)
				a.Conns = [2]net.Conn{p.Conns[0], p.Conns[1]}
			} else {
				a.Call(answer)
			}
			a.Shake(answer, tt.setup == media.Active)
			g.Connected(call.A)
			talk(t, a, 8, b, 8)
			reportsBoth(t, a, g, call.A)
		})
	}
}

// Who may mux or not is offered both (RFC 5761 section 5.1.3), and has what it takes.
func TestBothAreOffered(t *testing.T) {
	for _, mux := range []bool{false, true} {
		t.Run(fmt.Sprint("it muxes: ", mux), func(t *testing.T) {
			t.Parallel()
			policy := jinglePolicy()
			policy.Apart = true
			g := newRig(t, sipPolicy(), policy, quickReports)
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewApart(t)
			offer := g.Offered(1, call.B, a.Describe(pcma()))
			tr := offer.Streams[0].Transport
			if !tr.RTCPMux || !slices.ContainsFunc(tr.ICE.Candidates, func(c media.Candidate) bool { return c.Component == 2 }) {
				t.Errorf("B is offered the transport %+v", tr)
			}
			if mux {
				c := mediatest.NewClient(t)
				a.Call(g.Answered(2, call.A, c.Describe(media.Active, pcma())))
				offer.Streams[0].Transport.DTLS.Setup = media.Passive
				if err := connect(c, offer, false); err != nil {
					t.Fatal(err)
				}
				g.Connected(call.B)
				talk(t, a, 8, c, 8)
				if own := g.ends[call.B].transports[0]; own.second != nil || own.reportAssoc.Load() != nil {
					t.Error("RTCP has a port of its own, and is muxed")
				}
				return
			}
			p := mediatest.NewPlainClient(t)
			p.DTLS = true
			d := b.Announce(p.Describe(pcma()), media.Active)
			d.Streams[0].Name = offer.Streams[0].Name
			d.Streams[0].Transport.RTCPMux = false
			a.Call(g.Answered(2, call.A, d))
			offer.Streams[0].Transport.RTCPMux = false
			p.Connect(offer, false)
			b.Conns = [2]net.Conn{p.Conns[0], p.Conns[1]}
			b.Shake(offer, true)
			g.Connected(call.B)
			talk(t, a, 8, b, 8)
			reportsBoth(t, b, g, call.B)
		})
	}
}
