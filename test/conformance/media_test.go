package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/ice/v4"
	"github.com/pion/srtp/v3"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/embedded"
)

// patience is how long a check waits for packets.
const patience = 10 * time.Second

// A bridge is one of the real relay's, with what it has posted.
type bridge struct {
	*embedded.Bridge
	t      *testing.T
	events chan call.Event
	ops    call.Op
}

// clear and secured are what the gateway does on a SIP leg and on a Jingle leg.
func clear() media.Policy {
	codecs := media.DefaultCodecs()
	codecs[0].PT = 96
	return media.Policy{Codecs: codecs}
}

func secured() media.Policy {
	return media.Policy{ICE: true, DTLS: true, Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs()}
}

func openBridge(t *testing.T, a, b media.Policy) *bridge {
	t.Helper()
	return openTimedBridge(t, a, b, embedded.Times{Report: 100 * time.Millisecond})
}

func openTimedBridge(t *testing.T, a, b media.Policy, times embedded.Times) *bridge {
	t.Helper()
	relay, err := embedded.New(embedded.Options{AllowLoopback: true, PortMin: 30000, PortMax: 32000, Times: times})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	g := &bridge{t: t, events: make(chan call.Event, 256)}
	g.Bridge, err = relay.Open("call1", [2]media.Policy{a, b}, func(e call.Event) { g.events <- e })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Release)
	return g
}

// await returns the next event that is fit, which may be a failure.
func (g *bridge) await(fit func(call.Event) bool) call.Event {
	g.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-g.events:
			if fit(e) {
				return e
			}
			if f, failed := e.(call.MediaFailed); failed {
				g.t.Fatalf("the media failed: %+v", f)
			}
		case <-late:
			g.t.Fatal("the relay says nothing")
		}
	}
}

func (g *bridge) offer(side call.Side, other media.Description) media.Description {
	g.t.Helper()
	g.ops++
	g.Offer(g.ops, side, other)
	e := g.await(func(e call.Event) bool { o, ok := e.(call.MediaOffered); return ok && o.Op == g.ops })
	return e.(call.MediaOffered).Media
}

func (g *bridge) answer(side call.Side, other media.Description) media.Description {
	g.t.Helper()
	g.ops++
	g.Answer(g.ops, side, other)
	e := g.await(func(e call.Event) bool { o, ok := e.(call.MediaAnswered); return ok && o.Op == g.ops })
	return e.(call.MediaAnswered).Media
}

// socket is a UDP socket on loopback.
func socket(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// plain is what a phone with one socket describes.
func plain(addr netip.AddrPort, codecs ...media.Codec) media.Description {
	return media.Description{Streams: []media.Stream{{Kind: media.Audio, Codecs: codecs, Transport: media.Transport{Addr: addr}}}}
}

func opus(pt uint8) media.Codec {
	return media.Codec{PT: pt, Name: "opus", ClockRate: 48000, Channels: 2}
}

func pcma() media.Codec { return media.Codec{PT: 8, Name: "PCMA", ClockRate: 8000, Channels: 1} }

// packet is an RTP packet.
func packet(pt uint8, seq uint16) []byte {
	b := make([]byte, 12, 32)
	b[0], b[1] = 0x80, pt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], 960*uint32(seq))
	binary.BigEndian.PutUint32(b[8:], 0x5EC0)
	return append(b, "payload"...)
}

// A client is a Jingle client's media, of a maker who is not ours.
type client struct {
	t       *testing.T
	agent   *ice.Agent
	cert    tls.Certificate
	print   string
	conn    *ice.Conn
	in, out *srtp.Context
	rtp     chan []byte
}

func newClient(t *testing.T) *client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	print := strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	agent, err := ice.NewAgentWithOptions(
		ice.WithLocalCredentials("clnt", "0123456789abcdefghijkl"),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithIncludeLoopback(),
		ice.WithInterfaceFilter(func(name string) bool { return name == "lo" }),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
	)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{
		t: t, agent: agent, print: print, rtp: make(chan []byte, 256),
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
	t.Cleanup(func() { _ = agent.GracefulClose() })
	return c
}

// describe is what the client answers.
func (c *client) describe(codecs ...media.Codec) media.Description {
	c.t.Helper()
	var candidates []media.Candidate
	done := make(chan struct{})
	if err := c.agent.OnCandidate(func(found ice.Candidate) {
		if found == nil {
			close(done)
			return
		}
		candidates = append(candidates, media.Candidate{
			Foundation: found.Foundation(), Component: 1, Protocol: "udp", Priority: found.Priority(), Type: "host",
			Addr: netip.AddrPortFrom(netip.MustParseAddr(found.Address()), uint16(found.Port())),
		})
	}); err != nil {
		c.t.Fatal(err)
	}
	if err := c.agent.GatherCandidates(); err != nil {
		c.t.Fatal(err)
	}
	<-done
	return media.Description{Streams: []media.Stream{{
		Name: "0", Kind: media.Audio, Codecs: codecs,
		Transport: media.Transport{
			Profile: media.TLSSAVPF, RTCPMux: true,
			ICE:  &media.ICE{Ufrag: "clnt", Pwd: "0123456789abcdefghijkl", Candidates: candidates},
			DTLS: &media.DTLS{Fingerprints: []media.Fingerprint{{Hash: "sha-256", Value: c.print}}, Setup: media.Active},
		},
	}}}
}

// connect makes the client's way to the relay, by ICE and DTLS, as the answerer.
func (c *client) connect(relay media.Stream) error {
	c.t.Helper()
	for _, k := range relay.Transport.ICE.Candidates {
		remote, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
			Network: "udp4", Address: k.Addr.Addr().String(), Port: int(k.Addr.Port()), Component: k.Component,
		})
		if err != nil {
			c.t.Fatal(err)
		}
		if err := c.agent.AddRemoteCandidate(remote); err != nil {
			c.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if c.conn, err = c.agent.Accept(ctx, relay.Transport.ICE.Ufrag, relay.Transport.ICE.Pwd); err != nil {
		return err
	}
	near, far := net.Pipe()
	c.t.Cleanup(func() { near.Close(); far.Close() })
	go c.read(far)          // ends when the agent is closed
	go copyOut(c.conn, far) // ends when the pipe is closed
	secure, err := dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(near), c.conn.RemoteAddr(),
		dtls.WithCertificates(c.cert), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
	)
	if err != nil {
		return err
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	state, ok := secure.ConnectionState()
	if !ok {
		return fmt.Errorf("the handshake left no state")
	}
	const key, salt = 16, 14
	k, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(key+salt))
	if err != nil {
		return err
	}
	const profile = srtp.ProtectionProfileAes128CmHmacSha1_80
	if c.out, err = srtp.CreateContext(k[:key], k[2*key:2*key+salt], profile); err != nil {
		return err
	}
	c.in, err = srtp.CreateContext(k[key:2*key], k[2*key+salt:], profile)
	return err
}

// read tells handshake from media (RFC 7983).
func (c *client) read(handshake net.Conn) {
	b := make([]byte, 2000)
	for {
		n, err := c.conn.Read(b)
		if err != nil {
			return
		}
		switch {
		case b[0] >= 20 && b[0] < 64:
			if _, err := handshake.Write(b[:n]); err != nil {
				return
			}
		case b[0] >= 128 && (b[1] < 192 || b[1] > 223):
			select {
			case c.rtp <- bytes.Clone(b[:n]):
			default:
			}
		}
	}
}

func copyOut(to, from net.Conn) {
	b := make([]byte, 8192)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (c *client) say(pt uint8, seq uint16) {
	c.t.Helper()
	p, err := c.out.EncryptRTP(nil, packet(pt, seq), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hear() []byte {
	c.t.Helper()
	select {
	case p := <-c.rtp:
		clear, err := c.in.DecryptRTP(nil, p, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		return clear
	case <-time.After(patience):
		c.t.Fatal("the client hears nothing")
		return nil
	}
}

// wantPacket wants a packet to have that payload type, and the payload.
func wantPacket(t *testing.T, got []byte, pt uint8) {
	t.Helper()
	if len(got) < 12 || got[1]&0x7F != pt || string(got[12:]) != "payload" {
		t.Errorf("the packet is % x, want payload type %d", got, pt)
	}
}

func checkPayloadTypes(t *testing.T) {
	g := openBridge(t, clear(), secured())
	phone, addr := socket(t)
	x := newClient(t)
	offer := g.offer(call.B, plain(addr, opus(96), pcma()))
	if i := media.Find(offer.Streams[0].Codecs, opus(0)); i < 0 || offer.Streams[0].Codecs[i].PT != 111 {
		t.Fatalf("X is offered %v", offer.Streams[0].Codecs)
	}
	answer := g.answer(call.A, x.describe(opus(111)))
	if c := answer.Streams[0].Codecs[0]; c.Name != "opus" || c.PT != 96 {
		t.Fatalf("S is answered %v", answer.Streams[0].Codecs)
	}
	if err := x.connect(offer.Streams[0]); err != nil {
		t.Fatal(err)
	}
	g.await(func(e call.Event) bool { c, ok := e.(call.MediaConnected); return ok && c.Side == call.B })
	to := answer.Streams[0].Transport.Addr
	b := make([]byte, 2000)
	for seq := range uint16(5) {
		if _, err := phone.WriteToUDPAddrPort(packet(96, seq), to); err != nil {
			t.Fatal(err)
		}
		wantPacket(t, x.hear(), 111)
		x.say(111, seq)
		n, err := phone.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		wantPacket(t, b[:n], 96)
	}
}

func checkFingerprint(t *testing.T) {
	t.Run("the relay sees it", func(t *testing.T) {
		g := openBridge(t, clear(), secured())
		phone, addr := socket(t)
		x := newClient(t)
		offer := g.offer(call.B, plain(addr, pcma()))
		lie := x.describe(pcma())
		lie.Streams[0].Transport.DTLS.Fingerprints[0].Value = fingerprint
		answer := g.answer(call.A, lie)
		if _, err := phone.WriteToUDPAddrPort(packet(8, 1), answer.Streams[0].Transport.Addr); err != nil {
			t.Fatal(err)
		}
		connected := make(chan error, 1)
		go func() { connected <- x.connect(offer.Streams[0]) }() // ends by the refusal or its own patience
		e := g.await(func(e call.Event) bool { _, ok := e.(call.MediaFailed); return ok })
		if f := e.(call.MediaFailed); f.Cause != call.Insecure || f.Side != call.B {
			t.Errorf("the media failed by %v of %v", f.Cause, f.Side)
		}
		select {
		case p := <-x.rtp:
			t.Errorf("the client got % x", p)
		default:
		}
		if stats := g.Stats(); stats[call.A].Sent.Packets+stats[call.B].Sent.Packets != 0 {
			t.Errorf("packets passed: %+v", stats)
		}
		g.Release()
		<-connected
	})
	t.Run("the call ends by it", func(t *testing.T) {
		r := play(t, answered+"media fails B insecure\nsip 200 for BYE")
		r.one("session-terminate", "<security-error")
		r.one("sip BYE")
	})
}

func checkSeparateRTCP(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		g := openBridge(t, clear(), secured())
		phone, addr := socket(t)
		control, controlAddr := socket(t)
		var d media.Description
		text := fmt.Sprintf("v=0\no=- 7 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio %d RTP/AVP 8\n", addr.Port())
		if elsewhere {
			d = described(t, text+fmt.Sprintf("a=rtcp:%d\n", controlAddr.Port()))
		} else {
			// The next port, wherever it is free.
			control.Close()
			phone, control = socketPair(t)
			addr = phone.LocalAddr().(*net.UDPAddr).AddrPort()
			d = plain(addr, pcma())
		}
		x := newClient(t)
		offer := g.offer(call.B, d)
		answer := g.answer(call.A, x.describe(pcma()))
		own := answer.Streams[0].Transport
		if own.RTCPMux {
			t.Fatalf("S did not offer to share a port, and is answered %+v", own)
		}
		if err := x.connect(offer.Streams[0]); err != nil {
			t.Fatal(err)
		}
		g.await(func(e call.Event) bool { c, ok := e.(call.MediaConnected); return ok && c.Side == call.B })
		x.say(8, 1)
		b := make([]byte, 2000)
		if n, err := phone.Read(b); err != nil {
			t.Fatal(err)
		} else {
			wantPacket(t, b[:n], 8)
		}
		if _, err := phone.WriteToUDPAddrPort(packet(8, 1), own.Addr); err != nil {
			t.Fatal(err)
		}
		n, err := control.Read(b)
		if err != nil {
			t.Fatalf("no RTCP came to the port of its own: %v", err)
		}
		if n < 8 || b[1] < 192 || b[1] > 223 {
			t.Errorf("what came is no RTCP: % x", b[:n])
		}
	}
}

// socketPair returns sockets at an even port and the next.
func socketPair(t *testing.T) (even, odd *net.UDPConn) {
	t.Helper()
	for range 100 {
		c, addr := socket(t)
		if addr.Port()%2 != 0 {
			continue
		}
		next, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(addr.Port()) + 1})
		if err != nil {
			continue
		}
		t.Cleanup(func() { next.Close() })
		if err := next.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		return c, next
	}
	t.Fatal("no pair of ports is free")
	return nil, nil
}

// The attributes of RFC 8445 section 16.1.
const (
	iceControlled  = 0x8029
	iceControlling = 0x802A
)

func checkICERoles(t *testing.T) {
	phone, client := plain(netip.MustParseAddrPort("127.0.0.1:9"), pcma()), func(addr netip.AddrPort, setup media.Setup) media.Description {
		return media.Description{Streams: []media.Stream{{
			Name: "0", Kind: media.Audio, Codecs: []media.Codec{pcma()},
			Transport: media.Transport{
				Profile: media.TLSSAVPF, RTCPMux: true,
				ICE: &media.ICE{Ufrag: "clnt", Pwd: "0123456789abcdefghijkl", Candidates: []media.Candidate{{
					Foundation: "1", Component: 1, Protocol: "udp", Priority: 2130706431, Addr: addr, Type: "host",
				}}},
				DTLS: &media.DTLS{Fingerprints: []media.Fingerprint{{Hash: "sha-256", Value: fingerprint}}, Setup: setup},
			},
		}}}
	}
	t.Run("as initiator", func(t *testing.T) {
		g := openBridge(t, clear(), secured())
		conn, addr := socket(t)
		g.offer(call.B, phone)
		g.answer(call.A, client(addr, media.Active))
		wantRole(t, conn, iceControlling)
	})
	t.Run("as responder", func(t *testing.T) {
		g := openBridge(t, secured(), clear())
		conn, addr := socket(t)
		g.offer(call.B, client(addr, media.ActPass))
		g.answer(call.A, phone)
		wantRole(t, conn, iceControlled)
	})
}

// checkConsent is about the relay with a client that goes silent, in less than 30 s (which its
// own tests know to be the time), and about the call that ends for it.
func checkConsent(t *testing.T) {
	g := openTimedBridge(t, clear(), secured(), embedded.Times{Consent: 600 * time.Millisecond})
	c := newClient(t)
	offer := g.offer(call.B, plain(netip.MustParseAddrPort("127.0.0.1:9"), pcma()))
	g.answer(call.A, c.describe(pcma()))
	if err := c.connect(offer.Streams[0]); err != nil {
		t.Fatal(err)
	}
	g.await(func(e call.Event) bool { m, ok := e.(call.MediaConnected); return ok && m.Side == call.B })
	if err := c.agent.GracefulClose(); err != nil {
		t.Fatal(err)
	}
	e := g.await(func(e call.Event) bool { _, ok := e.(call.MediaFailed); return ok })
	if f := e.(call.MediaFailed); f.Side != call.B || f.Cause != call.MediaLost {
		t.Errorf("the relay says %+v", f)
	}
	for side, up := range map[string]string{"B": answered, "A": lateAnswered} {
		r := play(t, up+"media connected "+side+"\nwait 5s\nmedia fails media_lost "+side+"\nsip 200 for BYE")
		if reason := headerOf(r.one("sip BYE").Raw, "Reason"); !strings.HasPrefix(reason, "Q.850;cause=41;") {
			t.Errorf("the Reason is %q", reason)
		}
		r.one("session-terminate", "<connectivity-error")
	}
}

// wantRole wants the first ICE check that comes to say that role.
func wantRole(t *testing.T, conn *net.UDPConn, want uint16) {
	t.Helper()
	b := make([]byte, 2000)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if n < 20 || binary.BigEndian.Uint16(b) != 1 {
		t.Fatalf("what came is no binding request: % x", b[:n])
	}
	var got []uint16
	for at := 20; at+4 <= n; {
		kind, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		if kind == iceControlled || kind == iceControlling {
			got = append(got, kind)
		}
		at += 4 + (length+3)/4*4
	}
	if len(got) != 1 || got[0] != want {
		t.Errorf("the role is %x, want %x", got, want)
	}
}
