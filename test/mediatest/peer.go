package mediatest

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
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"sipxmppgw/gateway/media"
)

// Patience is how long a test waits for what must come.
const Patience = 15 * time.Second

// replayWindow is how many packets back a client knows one that comes twice.
const replayWindow = 64

// A Peer is what both kinds of far ends can do.
type Peer interface {
	// Say sends an RTP packet.
	Say(pt uint8, seq uint16, ts uint32, payload string)
	// Hear waits for one, and ends the test if none comes.
	Hear() rtp.Packet
	// Listen waits so long for one.
	Listen(time.Duration) (rtp.Packet, bool)
}

// A Phone is a far end with plain RTP.
type Phone struct {
	T    *testing.T
	Conn *net.UDPConn
	To   netip.AddrPort
	SSRC uint32
}

// NewPhone returns a phone on a port of that address.
func NewPhone(t *testing.T, ip string) *Phone {
	t.Helper()
	return &Phone{T: t, Conn: ListenOn(t, ip), SSRC: 0x1111}
}

// ListenOn opens a socket on a port of that address, for as long as the test runs.
func ListenOn(t *testing.T, ip string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// LocalOf returns the address a socket is bound to.
func LocalOf(c *net.UDPConn) netip.AddrPort {
	a, _ := c.LocalAddr().(*net.UDPAddr)
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Describe returns the phone's audio, as an offer or an answer has it.
func (p *Phone) Describe(codecs ...media.Codec) media.Description {
	return media.Description{Streams: []media.Stream{{
		Kind: media.Audio, Codecs: codecs, Transport: media.Transport{Addr: LocalOf(p.Conn)},
	}}}
}

// Call makes the phone send to where a description says.
func (p *Phone) Call(d media.Description) {
	p.T.Helper()
	i := d.Live(media.Audio)
	if i < 0 {
		p.T.Fatalf("no audio in %+v", d)
	}
	p.To = d.Streams[i].Transport.Addr
}

// Say implements [Peer].
func (p *Phone) Say(pt uint8, seq uint16, ts uint32, payload string) {
	p.T.Helper()
	if _, err := p.Conn.WriteToUDPAddrPort(Packet(pt, seq, ts, p.SSRC, payload), p.To); err != nil {
		p.T.Fatal(err)
	}
}

// Hear implements [Peer].
func (p *Phone) Hear() rtp.Packet {
	p.T.Helper()
	got, ok := p.Listen(Patience)
	if !ok {
		p.T.Fatal("the phone heard nothing")
	}
	return got
}

// Listen implements [Peer]. RTCP has a port of its own, or is passed over.
func (p *Phone) Listen(wait time.Duration) (got rtp.Packet, ok bool) {
	p.T.Helper()
	packet, ok := p.receive(wait)
	if !ok {
		return got, false
	}
	if err := got.Unmarshal(packet); err != nil {
		p.T.Fatal(err)
	}
	return got, true
}

// receive waits so long for a packet that is not RTCP.
func (p *Phone) receive(wait time.Duration) (packet []byte, ok bool) {
	p.T.Helper()
	buf := make([]byte, 2000)
	p.Conn.SetReadDeadline(time.Now().Add(wait))
	for {
		n, err := p.Conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, false
		}
		if err != nil {
			p.T.Fatal(err)
		}
		if buf[1] < 192 || buf[1] > 223 {
			return buf[:n], true
		}
	}
}

// Packet makes an RTP packet.
func Packet(pt uint8, seq uint16, ts, ssrc uint32, payload string) []byte {
	b := make([]byte, 12, 12+len(payload))
	b[0], b[1] = 0x80, pt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return append(b, payload...)
}

// A Client is a far end with ICE and DTLS, as a Jingle client is.
type Client struct {
	T      *testing.T
	Agent  *ice.Agent
	Cert   tls.Certificate // that it has; it announces that of its beginning
	Ufrag  string
	Pwd    string
	SSRC   uint32
	Conn   *ice.Conn // after Connect
	RX, TX *srtp.Context
	Found  []media.Candidate
	Media  chan []byte // what came and is not DTLS, still protected

	print  media.Fingerprint
	hello  chan []byte
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	dtls   *dtls.Conn
}

// NewClient returns a client on the loopback interface; its agent may have more options.
func NewClient(t *testing.T, more ...ice.AgentOption) *Client {
	t.Helper()
	c := &Client{
		T: t, Cert: NewCert(t), SSRC: 0x2222,
		hello: make(chan []byte, 64), Media: make(chan []byte, 1024), closed: make(chan struct{}),
	}
	c.print = media.Fingerprint{Hash: "sha-256", Value: fingerprintOf(c.Cert.Certificate[0])}
	var err error
	c.Agent, err = ice.NewAgentWithOptions(append([]ice.AgentOption{
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
	t.Cleanup(c.HangUp)
	c.Gather()
	return c
}

func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

// NewCert makes a certificate that nobody has announced yet.
func NewCert(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = hex.EncodeToString([]byte{b})
	}
	return strings.ToUpper(strings.Join(pairs, ":"))
}

// Gather collects the candidates of a new session.
func (c *Client) Gather() {
	c.T.Helper()
	var err error
	if c.Ufrag, c.Pwd, err = c.Agent.GetLocalUserCredentials(); err != nil {
		c.T.Fatal(err)
	}
	done := make(chan struct{})
	c.Found = nil
	c.Agent.OnCandidate(func(found ice.Candidate) {
		if found == nil {
			close(done)
			return
		}
		c.Found = append(c.Found, media.Candidate{
			Foundation: found.Foundation(), Component: 1, Protocol: "udp", Priority: found.Priority(),
			Addr: netip.AddrPortFrom(netip.MustParseAddr(found.Address()), uint16(found.Port())),
			Type: "host",
		})
	})
	if err := c.Agent.GatherCandidates(); err != nil {
		c.T.Fatal(err)
	}
	<-done
}

// HangUp ends DTLS and ICE; it is done at the end of the test, if not before.
func (c *Client) HangUp() {
	c.once.Do(func() {
		close(c.closed)
		c.mu.Lock()
		d := c.dtls
		c.mu.Unlock()
		if d != nil {
			d.Close()
		}
		c.Agent.GracefulClose()
	})
}

// Describe returns the client's audio, as an offer or an answer has it.
func (c *Client) Describe(setup media.Setup, codecs ...media.Codec) media.Description {
	return media.Description{Streams: []media.Stream{{
		Name: "0", Kind: media.Audio, Codecs: codecs,
		Transport: media.Transport{
			Profile: media.TLSSAVPF, RTCPMux: true,
			ICE:  &media.ICE{Ufrag: c.Ufrag, Pwd: c.Pwd, Candidates: c.Found},
			DTLS: &media.DTLS{Fingerprints: []media.Fingerprint{c.print}, Setup: setup},
		},
	}}}
}

// Trickled is what the client says of its candidates alone.
func (c *Client) Trickled() media.Description {
	return media.Description{Streams: []media.Stream{{
		Name: "0", Transport: media.Transport{ICE: &media.ICE{Ufrag: c.Ufrag, Pwd: c.Pwd, Candidates: c.Found}},
	}}}
}

// Connect runs ICE and DTLS against what the engine described. offered says that the
// client made the offer of its session, active that it begins the handshake.
func (c *Client) Connect(ours media.Description, offered, active bool) error {
	c.T.Helper()
	s := ours.Streams[ours.Live(media.Audio)]
	c.Reach(s.Transport.ICE)
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var err error
	if offered {
		c.Conn, err = c.Agent.Dial(ctx, s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd)
	} else {
		c.Conn, err = c.Agent.Accept(ctx, s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd)
	}
	if err != nil {
		return fmt.Errorf("ice: %w", err)
	}
	go c.Read() // until HangUp
	if err := c.shake(ctx, s.Transport.DTLS.Fingerprints, active); err != nil {
		return fmt.Errorf("dtls: %w", err)
	}
	return nil
}

// Reach gives the client's agent the engine's candidates.
func (c *Client) Reach(ours *media.ICE) {
	c.T.Helper()
	for _, k := range ours.Candidates {
		remote, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
			Network: "udp", Address: k.Addr.Addr().String(), Port: int(k.Addr.Port()), Component: 1,
			Priority: k.Priority, Foundation: k.Foundation,
		})
		if err != nil {
			c.T.Fatal(err)
		}
		c.Agent.AddRemoteCandidate(remote)
	}
}

// Read takes what comes on the connection until it is closed; Connect starts it.
func (c *Client) Read() {
	tellApart(c.Conn, c.hello, c.Media)
}

// tellApart reads a connection until it is closed, and hands over records of DTLS and all else
// (RFC 7983); what nobody has taken in time is lost.
func tellApart(conn net.Conn, hello, rest chan<- []byte) {
	buf := make([]byte, 2000)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		to := rest
		if buf[0] < 64 {
			to = hello
		}
		select {
		case to <- bytes.Clone(buf[:n]):
		default:
		}
	}
}

func (c *Client) shake(ctx context.Context, prints []media.Fingerprint, active bool) error {
	conn, err := newDTLS(&pipe{conn: c.Conn, hello: c.hello, closed: c.closed}, c.Cert, prints, active)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.dtls = conn
	c.mu.Unlock()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	c.TX, c.RX, err = contexts(conn, active)
	return err
}

// newDTLS makes an association that has not shaken hands.
func newDTLS(p *pipe, cert tls.Certificate, prints []media.Fingerprint, active bool) (*dtls.Conn, error) {
	both := []dtls.Option{
		dtls.WithCertificates(cert),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true),
		dtls.WithFlightInterval(100 * time.Millisecond),
		dtls.WithLoggerFactory(quiet()),
		dtls.WithVerifyPeerCertificate(func(certs [][]byte, _ [][]*x509.Certificate) error {
			for _, p := range prints {
				if len(certs) > 0 && strings.EqualFold(p.Hash, "sha-256") && p.Value == fingerprintOf(certs[0]) {
					return nil
				}
			}
			return errors.New("the certificate is not the one that was announced")
		}),
	}
	if active {
		var options []dtls.ClientOption
		for _, o := range both {
			options = append(options, o)
		}
		return dtls.ClientWithOptions(p, p.conn.RemoteAddr(), options...)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, err
	}
	own := x509.NewCertPool()
	own.AddCert(leaf) // as an authority that none of ours is from, which Linphone does
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithClientCAs(own)}
	for _, o := range both {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(p, p.conn.RemoteAddr(), options...)
}

// contexts makes the SRTP contexts of a finished handshake (RFC 5764 section 4.2).
func contexts(conn *dtls.Conn, active bool) (tx, rx *srtp.Context, err error) {
	chosen, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, nil, errors.New("no SRTP profile was agreed")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, nil, errors.New("there is no state after the handshake")
	}
	k := srtp.Config{Profile: srtp.ProtectionProfile(chosen)}
	if err := k.ExtractSessionKeysFromDTLS(&state, active); err != nil {
		return nil, nil, err
	}
	if tx, err = srtp.CreateContext(k.Keys.LocalMasterKey, k.Keys.LocalMasterSalt, k.Profile); err != nil {
		return nil, nil, err
	}
	rx, err = srtp.CreateContext(
		k.Keys.RemoteMasterKey, k.Keys.RemoteMasterSalt, k.Profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow),
	)
	return tx, rx, err
}

// Say implements [Peer].
func (c *Client) Say(pt uint8, seq uint16, ts uint32, payload string) {
	c.T.Helper()
	p, err := c.TX.EncryptRTP(nil, Packet(pt, seq, ts, c.SSRC, payload), nil)
	if err != nil {
		c.T.Fatal(err)
	}
	if _, err := c.Conn.Write(p); err != nil {
		c.T.Fatal(err)
	}
}

// Hear implements [Peer].
func (c *Client) Hear() rtp.Packet {
	c.T.Helper()
	got, ok := c.Listen(Patience)
	if !ok {
		c.T.Fatal("the client heard nothing")
	}
	return got
}

// Listen implements [Peer].
func (c *Client) Listen(wait time.Duration) (got rtp.Packet, ok bool) {
	c.T.Helper()
	timeout := time.After(wait)
	for {
		select {
		case p := <-c.Media:
			if p[1] >= 192 && p[1] <= 223 {
				continue // RTCP
			}
			plain, err := c.RX.DecryptRTP(nil, p, nil)
			if err != nil {
				c.T.Fatalf("what the client got is not SRTP for it: %v", err)
			}
			if err := got.Unmarshal(plain); err != nil {
				c.T.Fatal(err)
			}
			return got, true
		case <-timeout:
			return got, false
		}
	}
}

// A pipe is DTLS over a connection that others use too.
type pipe struct {
	conn     net.Conn
	hello    chan []byte // the records that came
	closed   chan struct{}
	mu       sync.Mutex
	deadline *time.Timer
	late     chan struct{}
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	late := p.late
	p.mu.Unlock()
	select {
	case d := <-p.hello:
		return copy(b, d), p.conn.RemoteAddr(), nil
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) { return p.conn.Write(b) }
func (p *pipe) Close() error                              { return nil }
func (p *pipe) LocalAddr() net.Addr                       { return p.conn.LocalAddr() }
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
