package embedded

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// testPatience is how long a test waits for what must come.
const testPatience = 15 * time.Second

// A rig is a relay with one bridge and what the bridge has posted.
type rig struct {
	*Bridge
	t      *testing.T
	relay  *Relay
	events chan call.Event
}

func newRelay(t *testing.T, change func(*Options)) *Relay {
	t.Helper()
	o := Options{Engine: testEngine, AllowLoopback: true, PortMin: 20000, PortMax: 29999, Times: Times{Tick: 20 * time.Millisecond}}
	if change != nil {
		change(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func newRig(t *testing.T, a, b media.Policy, change func(*Options)) *rig {
	t.Helper()
	return newRelay(t, change).rig(t, a, b)
}

func (r *Relay) rig(t *testing.T, a, b media.Policy) *rig {
	t.Helper()
	g := &rig{t: t, relay: r, events: make(chan call.Event, 64)}
	bridge, err := r.Open(call.ID(t.Name()), [2]media.Policy{a, b}, func(e call.Event) {
		select {
		case g.events <- e:
		default:
			t.Errorf("an event too many: %#v", e)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Bridge = bridge
	t.Cleanup(bridge.Release)
	return g
}

// next returns the next event of a type, passing over others; a failure that the test did
// not ask for ends it.
func next[E call.Event](g *rig) E {
	g.t.Helper()
	timeout := time.After(testPatience)
	for {
		select {
		case e := <-g.events:
			if want, ok := e.(E); ok {
				return want
			}
			if f, ok := e.(call.MediaFailed); ok {
				g.t.Fatalf("media failed: %v %v %q", f.Side, f.Cause, f.Detail.Text)
			}
		case <-timeout:
			var want E
			g.t.Fatalf("no %T came", want)
		}
	}
}

// connected waits until that side is connected.
func (g *rig) connected(side call.Side) {
	g.t.Helper()
	for next[call.MediaConnected](g).Side != side {
	}
}

func (g *rig) offer(op call.Op, side call.Side, other media.Description) media.Description {
	g.t.Helper()
	g.Offer(op, side, other)
	got := next[call.MediaOffered](g)
	if got.Op != op {
		g.t.Fatalf("offered op %d, want %d", got.Op, op)
	}
	return got.Media
}

func (g *rig) answer(op call.Op, side call.Side, other media.Description) media.Description {
	g.t.Helper()
	g.Answer(op, side, other)
	return g.answered(op)
}

func (g *rig) join(op call.Op, side call.Side, own media.Description) media.Description {
	g.t.Helper()
	g.Join(op, side, own)
	return g.answered(op)
}

func (g *rig) answered(op call.Op) media.Description {
	g.t.Helper()
	got := next[call.MediaAnswered](g)
	if got.Op != op {
		g.t.Fatalf("answered op %d, want %d", got.Op, op)
	}
	return got.Media
}

func sipPolicy() media.Policy {
	return media.Policy{Codecs: []media.Codec{pcma(), pcmu(), g722(), opus(96), events(101, 8000), events(102, 48000)}}
}

func jinglePolicy() media.Policy {
	return media.Policy{
		ICE: true, DTLS: true, Bundle: true, RTCPMux: true, G711: true,
		Codecs: media.DefaultCodecs(),
	}
}

func pcmu() media.Codec { return media.Codec{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1} }
func pcma() media.Codec { return media.Codec{PT: 8, Name: "PCMA", ClockRate: 8000, Channels: 1} }
func g722() media.Codec { return media.Codec{PT: 9, Name: "G722", ClockRate: 8000, Channels: 1} }

func opus(pt uint8) media.Codec {
	return media.Codec{PT: pt, Name: "opus", ClockRate: 48000, Channels: 2}
}

func events(pt uint8, clock uint32) media.Codec {
	return media.Codec{
		PT: pt, Name: "telephone-event", ClockRate: clock, Channels: 1,
		Params: []media.Param{{Name: "events", Value: "0-15"}},
	}
}

// A talker is what both kinds of far ends can do.
type talker interface {
	say(pt uint8, seq uint16, ts uint32, payload string)
	hear() rtp.Packet
}

// A phone is a far end with plain RTP.
type phone struct {
	t    *testing.T
	conn *net.UDPConn
	to   netip.AddrPort
	ssrc uint32
}

func newPhone(t *testing.T, ip string) *phone {
	t.Helper()
	p := &phone{t: t, conn: listenOn(t, ip), ssrc: 0x1111}
	return p
}

func listenOn(t *testing.T, ip string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (p *phone) describe(codecs ...media.Codec) media.Description {
	return media.Description{Streams: []media.Stream{{
		Kind: media.Audio, Codecs: codecs, Transport: media.Transport{Addr: localOf(p.conn)},
	}}}
}

// call makes the phone send to where a description says.
func (p *phone) call(d media.Description) {
	p.t.Helper()
	i := d.Live(media.Audio)
	if i < 0 {
		p.t.Fatalf("no audio in %+v", d)
	}
	p.to = d.Streams[i].Transport.Addr
}

func (p *phone) say(pt uint8, seq uint16, ts uint32, payload string) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(packet(pt, seq, ts, p.ssrc, payload), p.to); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) hear() rtp.Packet {
	p.t.Helper()
	got, ok := p.listen(testPatience)
	if !ok {
		p.t.Fatal("the phone heard nothing")
	}
	return got
}

// listen waits for an RTP packet.
func (p *phone) listen(patience time.Duration) (got rtp.Packet, ok bool) {
	p.t.Helper()
	buf := make([]byte, 2000)
	p.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := p.conn.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return got, false
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if err := got.Unmarshal(buf[:n]); err != nil {
		p.t.Fatal(err)
	}
	return got, true
}

func packet(pt uint8, seq uint16, ts, ssrc uint32, payload string) []byte {
	b := make([]byte, 12, 12+len(payload))
	b[0], b[1] = 0x80, pt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return append(b, payload...)
}

// A client is a far end with ICE and DTLS, as a Jingle client is.
type client struct {
	t      *testing.T
	agent  *ice.Agent
	cert   identity
	ufrag  string
	pwd    string
	ssrc   uint32
	conn   *ice.Conn
	dtls   *dtls.Conn
	hello  chan []byte
	media  chan []byte
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	rx, tx *srtp.Context
	got    []media.Candidate
}

func newClient(t *testing.T) *client {
	t.Helper()
	return newClientOn(t)
}

// newClientOn returns a client whose agent has more options.
func newClientOn(t *testing.T, more ...ice.AgentOption) *client {
	t.Helper()
	cert, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c := &client{
		t: t, cert: cert, ssrc: 0x2222,
		hello: make(chan []byte, 64), media: make(chan []byte, 1024), closed: make(chan struct{}),
	}
	c.agent, err = ice.NewAgentWithOptions(append([]ice.AgentOption{
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithIncludeLoopback(),
		ice.WithInterfaceFilter(func(name string) bool { return name == "lo" }),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithHostAcceptanceMinWait(0),
		ice.WithPrflxAcceptanceMinWait(0),
		ice.WithLoggerFactory(quiet()),
	}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.hangUp)
	c.gather()
	return c
}

// gather collects the candidates of a new session.
func (c *client) gather() {
	c.t.Helper()
	var err error
	if c.ufrag, c.pwd, err = c.agent.GetLocalUserCredentials(); err != nil {
		c.t.Fatal(err)
	}
	done := make(chan struct{})
	c.got = nil
	c.agent.OnCandidate(func(found ice.Candidate) {
		if found == nil {
			close(done)
			return
		}
		c.got = append(c.got, media.Candidate{
			Foundation: found.Foundation(), Component: 1, Protocol: "udp", Priority: found.Priority(),
			Addr: netip.AddrPortFrom(netip.MustParseAddr(found.Address()), uint16(found.Port())),
			Type: "host",
		})
	})
	if err := c.agent.GatherCandidates(); err != nil {
		c.t.Fatal(err)
	}
	<-done
}

func (c *client) hangUp() {
	c.once.Do(func() {
		close(c.closed)
		c.mu.Lock()
		d := c.dtls
		c.mu.Unlock()
		if d != nil {
			d.Close()
		}
		c.agent.GracefulClose()
	})
}

func (c *client) describe(setup media.Setup, codecs ...media.Codec) media.Description {
	return media.Description{Streams: []media.Stream{{
		Name: "0", Kind: media.Audio, Codecs: codecs,
		Transport: media.Transport{
			Profile: media.TLSSAVPF, RTCPMux: true,
			ICE:  &media.ICE{Ufrag: c.ufrag, Pwd: c.pwd, Candidates: c.got},
			DTLS: &media.DTLS{Fingerprints: []media.Fingerprint{c.cert.fingerprint}, Setup: setup},
		},
	}}}
}

// trickled is what the client says of its candidates alone.
func (c *client) trickled() media.Description {
	return media.Description{Streams: []media.Stream{{
		Name: "0", Transport: media.Transport{ICE: &media.ICE{Ufrag: c.ufrag, Pwd: c.pwd, Candidates: c.got}},
	}}}
}

// connect runs ICE and DTLS against what the relay described. offered says that the
// client made the offer of its session.
func (c *client) connect(relay media.Description, offered bool) error {
	c.t.Helper()
	s := relay.Streams[relay.Live(media.Audio)]
	c.reach(s.Transport.ICE)
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	var err error
	if offered {
		c.conn, err = c.agent.Dial(ctx, s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd)
	} else {
		c.conn, err = c.agent.Accept(ctx, s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd)
	}
	if err != nil {
		return err
	}
	go c.read() // until hangUp
	active := s.Transport.DTLS.Setup != media.Active
	return c.shake(ctx, s.Transport.DTLS.Fingerprints, active)
}

// reach gives the client's agent the relay's candidates.
func (c *client) reach(relay *media.ICE) {
	c.t.Helper()
	for _, k := range relay.Candidates {
		remote, err := candidate(k, k.Addr)
		if err != nil {
			c.t.Fatal(err)
		}
		c.agent.AddRemoteCandidate(remote)
	}
}

func (c *client) read() {
	buf := make([]byte, 2000)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return
		}
		to := c.media
		if buf[0] < 64 {
			to = c.hello
		}
		select {
		case to <- bytes.Clone(buf[:n]):
		default:
		}
	}
}

func (c *client) shake(ctx context.Context, prints []media.Fingerprint, active bool) error {
	both := []dtls.Option{
		dtls.WithCertificates(c.cert.certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true),
		dtls.WithFlightInterval(100 * time.Millisecond),
		dtls.WithLoggerFactory(quiet()),
		dtls.WithVerifyPeerCertificate(func(certs [][]byte, _ [][]*x509.Certificate) error {
			if len(certs) == 0 || !matches(certs[0], prints) {
				return errMismatch
			}
			return nil
		}),
	}
	var conn *dtls.Conn
	var err error
	if active {
		var options []dtls.ClientOption
		for _, o := range both {
			options = append(options, o)
		}
		conn, err = dtls.ClientWithOptions(&pipe{c: c}, c.conn.RemoteAddr(), options...)
	} else {
		options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
		for _, o := range both {
			options = append(options, o)
		}
		conn, err = dtls.ServerWithOptions(&pipe{c: c}, c.conn.RemoteAddr(), options...)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.dtls = conn
	c.mu.Unlock()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	k, err := exportKeys(conn, active)
	if err != nil {
		return err
	}
	c.rx, c.tx = k.rx, k.flows[0]
	return nil
}

func (c *client) say(pt uint8, seq uint16, ts uint32, payload string) {
	c.t.Helper()
	p, err := c.tx.EncryptRTP(nil, packet(pt, seq, ts, c.ssrc, payload), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hear() rtp.Packet {
	c.t.Helper()
	timeout := time.After(testPatience)
	for {
		select {
		case p := <-c.media:
			if p[1] >= 192 && p[1] <= 223 {
				continue // RTCP
			}
			plain, err := c.rx.DecryptRTP(nil, p, nil)
			if err != nil {
				c.t.Fatalf("what the client got is not SRTP of ours: %v", err)
			}
			var got rtp.Packet
			if err := got.Unmarshal(plain); err != nil {
				c.t.Fatal(err)
			}
			return got
		case <-timeout:
			c.t.Fatal("the client heard nothing")
		}
	}
}

// A pipe is the client's DTLS over its ICE connection.
type pipe struct {
	c        *client
	mu       sync.Mutex
	deadline *time.Timer
	late     chan struct{}
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	late := p.late
	p.mu.Unlock()
	select {
	case d := <-p.c.hello:
		return copy(b, d), p.c.conn.RemoteAddr(), nil
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	case <-p.c.closed:
		return 0, nil, net.ErrClosed
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) { return p.c.conn.Write(b) }
func (p *pipe) Close() error                              { return nil }
func (p *pipe) LocalAddr() net.Addr                       { return p.c.conn.LocalAddr() }
func (p *pipe) SetDeadline(t time.Time) error             { return p.SetReadDeadline(t) }
func (p *pipe) SetWriteDeadline(time.Time) error          { return nil }

func (p *pipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deadline != nil {
		p.deadline.Stop()
	}
	late := make(chan struct{})
	p.late, p.deadline = late, nil
	if !t.IsZero() {
		p.deadline = time.AfterFunc(time.Until(t), func() { close(late) })
	}
	return nil
}

// strangers returns a certificate that nobody announced.
func strangers(t *testing.T) tls.Certificate {
	t.Helper()
	id, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id.certificate
}

// localOf returns the address a socket is bound to.
func localOf(c *net.UDPConn) netip.AddrPort {
	a, _ := c.LocalAddr().(*net.UDPAddr)
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// netipNext returns the address with the next port.
func netipNext(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()+1) }
