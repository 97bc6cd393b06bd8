// Package mediatest holds what every engine of the media plane must do: calls between
// telephones with plain RTP and clients with ICE and DTLS-SRTP, packets passing, that run
// against the relay in this process and against an rtpengine.
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

// patience is how long a test waits for what must come.
const patience = 15 * time.Second

// A peer is what both kinds of far ends can do.
type peer interface {
	say(pt uint8, seq uint16, payload string)
	hear() rtp.Packet
	listen(time.Duration) (rtp.Packet, bool)
}

// A phone is a far end with plain RTP.
type phone struct {
	t    *testing.T
	conn *net.UDPConn
	to   netip.AddrPort
	ssrc uint32
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &phone{t: t, conn: c, ssrc: 0x1111}
}

func (p *phone) describe(codecs ...media.Codec) media.Description {
	at := p.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return media.Description{Streams: []media.Stream{{
		Kind: media.Audio, Codecs: codecs, Transport: media.Transport{Addr: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())},
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

func (p *phone) say(pt uint8, seq uint16, payload string) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(packet(pt, seq, p.ssrc, payload), p.to); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) hear() rtp.Packet {
	p.t.Helper()
	got, ok := p.listen(patience)
	if !ok {
		p.t.Fatal("the phone heard nothing")
	}
	return got
}

// listen waits for an RTP packet.
func (p *phone) listen(wait time.Duration) (got rtp.Packet, ok bool) {
	p.t.Helper()
	buf := make([]byte, 2000)
	p.conn.SetReadDeadline(time.Now().Add(wait))
	for {
		n, err := p.conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got, false
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if n > 1 && buf[1] >= 192 && buf[1] <= 223 {
			continue // RTCP
		}
		if err := got.Unmarshal(buf[:n]); err != nil {
			p.t.Fatal(err)
		}
		return got, true
	}
}

// packet makes 20 ms of speech at 8000 Hz.
func packet(pt uint8, seq uint16, ssrc uint32, payload string) []byte {
	b := make([]byte, 12, 12+len(payload))
	b[0], b[1] = 0x80, pt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], 160*uint32(seq))
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return append(b, payload...)
}

// A client is a far end with ICE and DTLS, as a Jingle client is.
type client struct {
	t      *testing.T
	agent  *ice.Agent
	cert   tls.Certificate
	print  media.Fingerprint
	ufrag  string
	pwd    string
	ssrc   uint32
	conn   *ice.Conn
	hello  chan []byte
	media  chan []byte
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	dtls   *dtls.Conn
	rx, tx *srtp.Context
	got    []media.Candidate
}

func newClient(t *testing.T) *client {
	t.Helper()
	c := &client{
		t: t, ssrc: 0x2222,
		hello: make(chan []byte, 64), media: make(chan []byte, 1024), closed: make(chan struct{}),
	}
	c.certify()
	var err error
	c.agent, err = ice.NewAgentWithOptions(
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithIncludeLoopback(),
		ice.WithInterfaceFilter(func(name string) bool { return name == "lo" }),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithHostAcceptanceMinWait(0),
		ice.WithPrflxAcceptanceMinWait(0),
		ice.WithLoggerFactory(quiet()),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.hangUp)
	c.gather()
	return c
}

func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

// certify makes the certificate that the client announces.
func (c *client) certify() {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	c.print = media.Fingerprint{Hash: "sha-256", Value: fingerprintOf(der)}
}

func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = hex.EncodeToString([]byte{b})
	}
	return strings.ToUpper(strings.Join(pairs, ":"))
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
			DTLS: &media.DTLS{Fingerprints: []media.Fingerprint{c.print}, Setup: setup},
		},
	}}}
}

// trickled is what the client says of its candidates alone.
func (c *client) trickled() media.Description {
	return media.Description{Streams: []media.Stream{{
		Name: "0", Transport: media.Transport{ICE: &media.ICE{Ufrag: c.ufrag, Pwd: c.pwd, Candidates: c.got}},
	}}}
}

// connect runs ICE and DTLS against what the engine described. offered says that the
// client made the offer of its session, active that it begins the handshake.
func (c *client) connect(ours media.Description, offered, active bool) {
	c.t.Helper()
	s := ours.Streams[ours.Live(media.Audio)]
	c.reach(s.Transport.ICE)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if offered {
		c.conn, err = c.agent.Dial(ctx, s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd)
	} else {
		c.conn, err = c.agent.Accept(ctx, s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd)
	}
	if err != nil {
		c.t.Fatalf("ice: %v", err)
	}
	go c.read() // until hangUp
	if err := c.shake(ctx, s.Transport.DTLS.Fingerprints, active); err != nil {
		c.t.Fatalf("dtls: %v", err)
	}
}

// reach gives the client's agent the engine's candidates.
func (c *client) reach(ours *media.ICE) {
	c.t.Helper()
	for _, k := range ours.Candidates {
		remote, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
			Network: "udp", Address: k.Addr.Addr().String(), Port: int(k.Addr.Port()), Component: 1, Priority: k.Priority, Foundation: k.Foundation,
		})
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
		dtls.WithCertificates(c.cert),
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
	return c.key(conn, active)
}

// key makes the SRTP contexts of a finished handshake (RFC 5764 section 4.2).
func (c *client) key(conn *dtls.Conn, active bool) error {
	chosen, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("no SRTP profile was agreed")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return errors.New("there is no state after the handshake")
	}
	k := srtp.Config{Profile: srtp.ProtectionProfile(chosen)}
	err := k.ExtractSessionKeysFromDTLS(&state, active)
	if err != nil {
		return err
	}
	if c.tx, err = srtp.CreateContext(k.Keys.LocalMasterKey, k.Keys.LocalMasterSalt, k.Profile); err != nil {
		return err
	}
	c.rx, err = srtp.CreateContext(k.Keys.RemoteMasterKey, k.Keys.RemoteMasterSalt, k.Profile)
	return err
}

func (c *client) say(pt uint8, seq uint16, payload string) {
	c.t.Helper()
	p, err := c.tx.EncryptRTP(nil, packet(pt, seq, c.ssrc, payload), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hear() rtp.Packet {
	c.t.Helper()
	got, ok := c.listen(patience)
	if !ok {
		c.t.Fatal("the client heard nothing")
	}
	return got
}

func (c *client) listen(wait time.Duration) (got rtp.Packet, ok bool) {
	c.t.Helper()
	timeout := time.After(wait)
	for {
		select {
		case p := <-c.media:
			if p[1] >= 192 && p[1] <= 223 {
				continue // RTCP
			}
			plain, err := c.rx.DecryptRTP(nil, p, nil)
			if err != nil {
				c.t.Fatalf("what the client got is not SRTP for it: %v", err)
			}
			if err := got.Unmarshal(plain); err != nil {
				c.t.Fatal(err)
			}
			return got, true
		case <-timeout:
			return got, false
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
