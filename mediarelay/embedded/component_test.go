package embedded

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// A plainClient is a far end with ICE for RTP and RTCP apart and without any protection,
// as QXmpp 1.4, libpurple and Gajim are.
type plainClient struct {
	t          *testing.T
	agents     [2]*ice.Agent
	conns      [2]*ice.Conn
	ufrag, pwd string
	found      []media.Candidate
}

func newPlainClient(t *testing.T) *plainClient {
	t.Helper()
	c := &plainClient{t: t, ufrag: "plai", pwd: "plainplainplainplainplain"}
	for i := range c.agents {
		a, err := ice.NewAgentWithOptions(
			ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
			ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
			ice.WithIncludeLoopback(),
			ice.WithInterfaceFilter(func(name string) bool { return name == "lo" }),
			ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
			ice.WithLocalCredentials(c.ufrag, c.pwd),
			ice.WithHostAcceptanceMinWait(0),
			ice.WithPrflxAcceptanceMinWait(0),
			ice.WithLoggerFactory(quiet()),
		)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.GracefulClose() })
		c.agents[i] = a
		c.Gather(a, uint16(i+1))
	}
	return c
}

func (c *plainClient) Gather(a *ice.Agent, component uint16) {
	c.t.Helper()
	done := make(chan struct{})
	a.OnCandidate(func(found ice.Candidate) {
		if found == nil {
			close(done)
			return
		}
		c.found = append(c.found, media.Candidate{
			Foundation: found.Foundation(), Component: component, Protocol: "udp", Priority: found.Priority(),
			Addr: netip.AddrPortFrom(netip.MustParseAddr(found.Address()), uint16(found.Port())), Type: "host",
		})
	})
	if err := a.GatherCandidates(); err != nil {
		c.t.Fatal(err)
	}
	<-done
}

func (c *plainClient) Describe(codecs ...media.Codec) media.Description {
	return media.Description{Streams: []media.Stream{{
		Name: "microphone", Kind: media.Audio, Codecs: codecs,
		Transport: media.Transport{ICE: &media.ICE{Ufrag: c.ufrag, Pwd: c.pwd, Candidates: c.found}},
	}}}
}

// connect finds a pair for each component.
func (c *plainClient) connect(relay media.Description, offered bool) {
	c.t.Helper()
	tr := relay.Streams[relay.Live(media.Audio)].Transport
	if tr.DTLS != nil || tr.RTCPMux || tr.Profile != media.AVP {
		c.t.Fatalf("the relay says %+v", tr)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), mediatest.Patience)
	defer cancel()
	for i, a := range c.agents {
		for _, k := range tr.ICE.Candidates {
			if k.Component != uint16(i+1) {
				continue
			}
			remote, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
				Network: "udp", Address: k.Addr.Addr().String(), Port: int(k.Addr.Port()), Component: 1,
				Priority: k.Priority, Foundation: k.Foundation,
			})
			if err != nil {
				c.t.Fatal(err)
			}
			a.AddRemoteCandidate(remote)
		}
		var err error
		if offered {
			c.conns[i], err = a.Dial(ctx, tr.ICE.Ufrag, tr.ICE.Pwd)
		} else {
			c.conns[i], err = a.Accept(ctx, tr.ICE.Ufrag, tr.ICE.Pwd)
		}
		if err != nil {
			c.t.Fatalf("component %d: %v", i+1, err)
		}
	}
}

func (c *plainClient) Say(pt uint8, seq uint16, ts uint32, payload string) {
	c.t.Helper()
	if _, err := c.conns[0].Write(mediatest.Packet(pt, seq, ts, 0x3333, payload)); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the next packet on the component of RTP, where RTCP has no place.
func (c *plainClient) Hear() (got rtp.Packet) {
	c.t.Helper()
	p := c.read(0)
	if p[1] >= 192 && p[1] <= 223 {
		c.t.Fatal("RTCP came with RTP")
	}
	if err := got.Unmarshal(p); err != nil {
		c.t.Fatal(err)
	}
	return got
}

func (c *plainClient) read(component int) []byte {
	c.t.Helper()
	buf := make([]byte, 2000)
	c.conns[component].SetReadDeadline(time.Now().Add(mediatest.Patience))
	n, err := c.conns[component].Read(buf)
	if err != nil {
		c.t.Fatalf("component %d: %v", component+1, err)
	}
	return buf[:n]
}

// reportsBoth takes the relay's report on the component of RTCP, and answers there; the
// relay knows the round trip from that.
func (c *plainClient) reportsBoth(g *rig, side call.Side) {
	c.t.Helper()
	var about *rtcp.SenderReport
	for about == nil {
		packets, err := rtcp.Unmarshal(c.read(1))
		if err != nil {
			c.t.Fatal(err)
		}
		about, _ = packets[0].(*rtcp.SenderReport)
	}
	answer, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 0x3333, Reports: []rtcp.ReceptionReport{
		{SSRC: about.SSRC, LastSenderReport: uint32(about.NTPTime >> 16)},
	}}})
	if err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "what comes on the component of RTCP is heeded", func() bool {
		if _, err := c.conns[1].Write(answer); err != nil {
			c.t.Fatal(err)
		}
		return g.Stats()[side].RoundTrip != 0
	})
}

func quickReports(o *Options) { o.Times.Report = 100 * time.Millisecond }

func TestClientWithTwoComponentsCalls(t *testing.T) {
	g := newRig(t, media.Policy{ICE: true, Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs()}, sipPolicy(), quickReports)
	a, b := newPlainClient(t), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(opus(98), pcma())))
	a.connect(g.Answered(2, call.A, b.Describe(pcma())), true)
	g.Connected(call.A)
	talk(t, a, 8, b, 8)
	a.reportsBoth(g, call.A)
}

func TestClientWithTwoComponentsIsCalled(t *testing.T) {
	g := newRig(t, sipPolicy(), media.Policy{ICE: true, Bundle: true, G711: true, Codecs: media.DefaultCodecs()}, quickReports)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), newPlainClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcma()))
	answer := b.Describe(pcma())
	answer.Streams[0].Name = offer.Streams[0].Name
	a.Call(g.Answered(2, call.A, answer))
	b.connect(offer, false)
	g.Connected(call.B)
	talk(t, a, 8, b, 8)
	b.reportsBoth(g, call.B)
	g.Release()
	g.relay.Close()
	if c := g.relay.Counters(); c.PortsUsed != 0 {
		t.Errorf("%d ports are still used", c.PortsUsed)
	}
}

// A client whose keys are in its session (XEP-0167 section 9) and that knows no DTLS is
// answered with a key, on both components; one that has both is answered by DTLS alone.
func TestClientOffersKeys(t *testing.T) {
	follows := media.Policy{ICE: true, Bundle: true, RTCPMux: true, G711: true, SDES: true, Clear: true, Codecs: media.DefaultCodecs()}
	suite := media.Suites[1].Name
	mine := mediatest.KeyLine(3, suite, 30, 'k')
	t.Run("alone", func(t *testing.T) {
		g := newRig(t, follows, sipPolicy(), nil)
		a, b := newPlainClient(t), mediatest.NewPhone(t, "127.0.0.1")
		offer := a.Describe(pcma())
		offer.Streams[0].Transport.SDES, offer.Streams[0].Transport.Profile = []media.SDES{mine}, media.AVP
		b.Call(g.Offered(1, call.B, offer))
		answer := g.Answered(2, call.A, b.Describe(pcma()))
		k := &mediatest.KeyedPhone{Phone: b}
		keys := answer.Streams[0].Transport.SDES
		if len(keys) != 1 || keys[0].Tag != 3 || keys[0].Suite != suite {
			t.Fatalf("answered with the keys %v", keys)
		}
		k.Key(mine, keys[0])
		a.connect(answer, true)
		g.Connected(call.A)
		secret, err := k.TX.EncryptRTP(nil, mediatest.Packet(8, 1000, 160, 0x3333, "payload"), nil)
		if err != nil {
			t.Fatal(err)
		}
		a.conns[0].Write(mediatest.Packet(8, 999, 0, 0x3333, "in the clear"))
		a.conns[0].Write(secret)
		if got := b.Hear(); string(got.Payload) != "payload" {
			t.Errorf("the phone heard %q", got.Payload)
		}
	})
	t.Run("beside DTLS", func(t *testing.T) {
		g := newRig(t, follows, sipPolicy(), nil)
		a, b := mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1")
		offer := a.Describe(media.ActPass, pcma())
		offer.Streams[0].Transport.SDES = []media.SDES{mine}
		b.Call(g.Offered(1, call.B, offer))
		answer := g.Answered(2, call.A, b.Describe(pcma()))
		if tr := answer.Streams[0].Transport; tr.SDES != nil || tr.DTLS == nil {
			t.Fatalf("answered with %+v", tr)
		}
		if err := connect(a, answer, true); err != nil {
			t.Fatal(err)
		}
		g.Connected(call.A)
		talk(t, a, 8, b, 8)
		// What DTLS protected is never clear, nor keyed by signalling, later in the call.
		offer.Streams[0].Transport.DTLS = nil
		g.Join(3, call.A, offer)
		if f := mediatest.Next[call.MediaFailed](g.Rig); f.Cause != call.Insecure {
			t.Errorf("refused with %v", f.Cause)
		}
	})
}
