package mediatest

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A PlainClient is a far end with ICE for RTP and RTCP apart and without any protection,
// as QXmpp 1.4, libpurple and Gajim are.
type PlainClient struct {
	T          *testing.T
	Conns      [2]*ice.Conn // by component
	SSRC       uint32
	Mux        bool // it has RTCP with RTP: one component
	DTLS       bool // it is protected after all; who has it shakes hands
	agents     [2]*ice.Agent
	ufrag, pwd string
	found      []media.Candidate
}

// NewPlainClient returns a client on the loopback interface.
func NewPlainClient(t *testing.T) *PlainClient {
	t.Helper()
	c := &PlainClient{T: t, SSRC: 0x3333, ufrag: "plai", pwd: "plainplainplainplainplain"}
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
		c.gather(a, uint16(i+1))
	}
	return c
}

func (c *PlainClient) gather(a *ice.Agent, component uint16) {
	c.T.Helper()
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
		c.T.Fatal(err)
	}
	<-done
}

// Describe returns the client's audio, as an offer or an answer has it.
func (c *PlainClient) Describe(codecs ...media.Codec) media.Description {
	return media.Description{Streams: []media.Stream{{
		Name: "microphone", Kind: media.Audio, Codecs: codecs,
		Transport: media.Transport{RTCPMux: c.Mux, ICE: &media.ICE{Ufrag: c.ufrag, Pwd: c.pwd, Candidates: c.found}},
	}}}
}

// Connect finds a pair for each component with what the engine described. offered says that the
// client made the offer of its session.
func (c *PlainClient) Connect(ours media.Description, offered bool) {
	c.T.Helper()
	tr := ours.Streams[ours.Live(media.Audio)].Transport
	if (tr.DTLS != nil) != c.DTLS || tr.RTCPMux != c.Mux || tr.Profile != media.AVP && !c.DTLS {
		c.T.Fatalf("the engine says %+v", tr)
	}
	ctx, cancel := context.WithTimeout(c.T.Context(), Patience)
	defer cancel()
	components := c.agents[:]
	if c.Mux {
		components = c.agents[:1]
	}
	done := make(chan error, len(components))
	for i, a := range components {
		for _, k := range tr.ICE.Candidates {
			if k.Component != uint16(i+1) {
				continue
			}
			remote, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
				Network: "udp", Address: k.Addr.Addr().String(), Port: int(k.Addr.Port()), Component: 1,
				Priority: k.Priority, Foundation: k.Foundation,
			})
			if err != nil {
				c.T.Fatal(err)
			}
			a.AddRemoteCandidate(remote)
		}
		go func() { // an engine that leads names a pair when it has one for each component
			var err error
			if offered {
				c.Conns[i], err = a.Dial(ctx, tr.ICE.Ufrag, tr.ICE.Pwd)
			} else {
				c.Conns[i], err = a.Accept(ctx, tr.ICE.Ufrag, tr.ICE.Pwd)
			}
			if err != nil {
				err = fmt.Errorf("component %d: %w", i+1, err)
			}
			done <- err
		}()
	}
	for range components {
		if err := <-done; err != nil {
			c.T.Fatal(err)
		}
	}
}

// Say implements [Peer].
func (c *PlainClient) Say(pt uint8, seq uint16, ts uint32, payload string) {
	c.T.Helper()
	if _, err := c.Conns[0].Write(Packet(pt, seq, ts, c.SSRC, payload)); err != nil {
		c.T.Fatal(err)
	}
}

// Hear implements [Peer]. RTCP has no place on the component of RTP.
func (c *PlainClient) Hear() rtp.Packet {
	c.T.Helper()
	got, ok := c.Listen(Patience)
	if !ok {
		c.T.Fatal("the client heard nothing")
	}
	return got
}

// Listen implements [Peer].
func (c *PlainClient) Listen(wait time.Duration) (got rtp.Packet, ok bool) {
	c.T.Helper()
	p := c.read(0, wait)
	for ; p != nil && p[1] >= 192 && p[1] <= 223; p = c.read(0, wait) {
		if !c.Mux {
			c.T.Fatal("RTCP came with RTP")
		}
	}
	if p == nil {
		return got, false
	}
	if err := got.Unmarshal(p); err != nil {
		c.T.Fatal(err)
	}
	return got, true
}

// Report waits for what comes on the component of RTCP.
func (c *PlainClient) Report() []byte {
	c.T.Helper()
	p := c.read(1, Patience)
	if p == nil {
		c.T.Fatal("no RTCP came")
	}
	return p
}

// Answer sends RTCP.
func (c *PlainClient) Answer(p []byte) error {
	_, err := c.Conns[1].Write(p)
	return err
}

func (c *PlainClient) read(component int, wait time.Duration) []byte {
	c.T.Helper()
	buf := make([]byte, 2000)
	c.Conns[component].SetReadDeadline(time.Now().Add(wait))
	n, err := c.Conns[component].Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// plainPolicy is that for a client without DTLS, which muxes nothing.
func plainPolicy() media.Policy {
	return media.Policy{ICE: true, G711: true, SDES: true, Clear: true, Codecs: media.DefaultCodecs()}
}

// followed is the policy for a caller whose offer is followed, whether it knows DTLS or not.
func followed() media.Policy {
	p := plainPolicy()
	p.Bundle, p.RTCPMux = true, true
	return p
}

func plainClientCalls(t *testing.T, e Engine) {
	g := newRig(t, e, followed(), sipPolicy())
	a, b := NewPlainClient(t), NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(opus(98), pcma())))
	a.Connect(g.Answered(2, call.A, b.Describe(pcma())), true)
	g.Connected(call.A)
	talk(t, a, 8, b, 8, 1000)
}

func plainClientIsCalled(t *testing.T, e Engine) {
	g := newRig(t, e, sipPolicy(), plainPolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewPlainClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcma()))
	answer := b.Describe(pcma())
	answer.Streams[0].Name = offer.Streams[0].Name
	a.Call(g.Answered(2, call.A, answer))
	b.Connect(offer, false)
	g.Connected(call.B)
	talk(t, a, 8, b, 8, 1000)
}

// A phone may have ICE and no protection (RFC 8839), or be offered it and have none.
func phoneHasICE(t *testing.T, e Engine) {
	policy := sipPolicy()
	policy.ICE, policy.RTCPMux, policy.Bundle = true, true, true
	t.Run("and calls", func(t *testing.T) {
		g := newRig(t, e, policy, sipPolicy())
		a, b := NewPlainClient(t), NewPhone(t, "127.0.0.1")
		own := a.Describe(pcma())
		own.Streams[0].Transport.Addr = own.Streams[0].Transport.ICE.Candidates[0].Addr
		b.Call(g.Offered(1, call.B, own))
		answer := g.Answered(2, call.A, b.Describe(pcma()))
		if !answer.Streams[0].Transport.Addr.IsValid() {
			t.Errorf("no address beside ICE: %+v", answer)
		}
		a.Connect(answer, true)
		g.Connected(call.A)
		talk(t, a, 8, b, 8, 1000)
	})
	t.Run("and is called", func(t *testing.T) {
		g := newRig(t, e, sipPolicy(), policy)
		a, b := NewPhone(t, "127.0.0.1"), NewPlainClient(t)
		b.Mux = true
		offer := g.Offered(1, call.B, a.Describe(pcma()))
		tr := offer.Streams[0].Transport
		if tr.ICE == nil || !tr.Addr.IsValid() || tr.Profile != media.AVP {
			t.Fatalf("B is offered the transport %+v", tr)
		}
		answer := b.Describe(pcma())
		answer.Streams[0].Name = offer.Streams[0].Name
		answer.Streams[0].Transport.Addr = answer.Streams[0].Transport.ICE.Candidates[0].Addr
		a.Call(g.Answered(2, call.A, answer))
		b.Connect(offer, false)
		g.Connected(call.B)
		talk(t, a, 8, b, 8, 1000)
	})
	t.Run("or not", func(t *testing.T) {
		g := newRig(t, e, sipPolicy(), policy)
		a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
		offer := g.Offered(1, call.B, a.Describe(pcma()))
		b.Call(offer)
		a.Call(g.Answered(2, call.A, b.Describe(pcma())))
		g.Connected(call.B)
		talk(t, a, 8, b, 8, 1000)
	})
	t.Run("or not, and calls", func(t *testing.T) {
		g := newRig(t, e, policy, sipPolicy())
		a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
		b.Call(g.Offered(1, call.B, a.Describe(pcma())))
		answer := g.Answered(2, call.A, b.Describe(pcma()))
		if tr := answer.Streams[0].Transport; tr.ICE != nil {
			t.Errorf("answered with %+v", tr)
		}
		a.Call(answer)
		g.Connected(call.A)
		talk(t, a, 8, b, 8, 1000)
	})
}

// A client whose keys are in its session (XEP-0167 section 9) and that knows no DTLS is
// answered with a key; one that has both is answered by DTLS alone.
func clientOffersKeys(t *testing.T, e Engine) {
	suite := media.Suites[1].Name
	mine := KeyLine(3, suite, 30, 'k')
	t.Run("alone", func(t *testing.T) {
		g := newRig(t, e, followed(), sipPolicy())
		a, b := NewPlainClient(t), NewPhone(t, "127.0.0.1")
		offer := a.Describe(pcma())
		offer.Streams[0].Transport.SDES, offer.Streams[0].Transport.Profile = []media.SDES{mine}, media.AVP
		b.Call(g.Offered(1, call.B, offer))
		answer := g.Answered(2, call.A, b.Describe(pcma()))
		k := &KeyedPhone{Phone: b}
		k.Key(mine, onlyKey(t, answer, 3, suite))
		a.Connect(answer, true)
		g.Connected(call.A)
		secret, err := k.TX.EncryptRTP(nil, Packet(8, 1000, 160, a.SSRC, "payload"), nil)
		if err != nil {
			t.Fatal(err)
		}
		a.Conns[0].Write(Packet(8, 999, 0, a.SSRC, "in the clear"))
		a.Conns[0].Write(secret)
		if got := b.Hear(); string(got.Payload) != "payload" {
			t.Errorf("the phone heard %q", got.Payload)
		}
	})
	t.Run("beside DTLS", func(t *testing.T) {
		g := newRig(t, e, followed(), sipPolicy())
		a, b := NewClient(t), NewPhone(t, "127.0.0.1")
		offer := a.Describe(media.ActPass, pcma())
		offer.Streams[0].Transport.SDES = []media.SDES{mine}
		b.Call(g.Offered(1, call.B, offer))
		answer := g.Answered(2, call.A, b.Describe(pcma()))
		if tr := answer.Streams[0].Transport; tr.SDES != nil || tr.DTLS == nil {
			t.Fatalf("answered with %+v", tr)
		}
		connect(t, a, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
		g.Connected(call.A)
		talk(t, a, 8, b, 8, 1000)
		// What DTLS protected is never clear, nor keyed by signalling, later in the call.
		offer.Streams[0].Transport.DTLS = nil
		g.Join(3, call.A, offer)
		g.failed(3, call.Insecure)
	})
}
