package jinglephone

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/srtp/v3"
)

// A certificate is one of DTLS with its fingerprint (RFC 8122).
type certificate struct {
	tls         tls.Certificate
	fingerprint string // of SHA-256
}

func newCertificate() (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return certificate{}, err
	}
	fingerprint, _ := fingerprintOf("sha-256", der)
	return certificate{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, fingerprint}, nil
}

// fingerprintOf returns the fingerprint of a certificate by that hash; false for a hash that is not known.
func fingerprintOf(hash string, der []byte) (string, bool) {
	var sum []byte
	switch strings.ToLower(hash) {
	case "sha-1":
		v := sha1.Sum(der)
		sum = v[:]
	case "sha-256":
		v := sha256.Sum256(der)
		sum = v[:]
	case "sha-384":
		v := sha512.Sum384(der)
		sum = v[:]
	case "sha-512":
		v := sha512.Sum512(der)
		sum = v[:]
	default:
		return "", false
	}
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":"), true
}

// errFingerprint is what a handshake fails with when the certificate is not the signalled one.
var errFingerprint = errors.New("the certificate does not have the signalled fingerprint")

// transportOptions say how a transport is set up.
type transportOptions struct {
	components  int // 1 with rtcp-mux, 2 without
	certificate certificate
	plain       bool // no DTLS
	profiles    []dtls.SRTPProtectionProfile
	filter      func(net.IP) bool

	candidate func(component int, c ice.Candidate) // nil ends the gathering of a component
	rtp       func(raw []byte, at time.Time)       // decrypted
	rtcp      func(raw []byte, at time.Time)
	failed    func(reason string, err error) // after it was up
}

// A transport is one ICE transport with DTLS-SRTP over it, of one or two components.
type transport struct {
	o          transportOptions
	ufrag, pwd string // local; guarded by the call
	parts      []*part
	cancel     context.CancelFunc
	ctx        context.Context

	mu     sync.Mutex // guards what follows
	closed bool       // no task is begun any more
	tasks  sync.WaitGroup
}

// spawn runs f on a goroutine that close waits for. It returns false if it is too late.
func (t *transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.tasks.Go(f)
	return true
}

// A part is one component.
type part struct {
	number int
	agent  *ice.Agent
	states chan ice.ConnectionState // the latest, for who waits

	mu      sync.Mutex // guards what follows
	conn    *ice.Conn
	pipe    *pipe
	dtls    *dtls.Conn
	in, out *srtp.Context
	profile string
	client  bool
}

func newTransport(o transportOptions) (*transport, error) {
	t := &transport{o: o, ufrag: token(4), pwd: token(24)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	for number := 1; number <= o.components; number++ {
		agent, err := ice.NewAgentWithOptions(
			ice.WithLocalCredentials(t.ufrag, t.pwd),
			ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
			ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
			ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
			ice.WithIncludeLoopback(),
			ice.WithIPFilter(o.filter),
			ice.WithHostAcceptanceMinWait(0),
			ice.WithPrflxAcceptanceMinWait(0),
			ice.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}),
		)
		if err != nil {
			t.close()
			return nil, fmt.Errorf("make an ICE agent: %w", err)
		}
		p := &part{number: number, agent: agent, states: make(chan ice.ConnectionState, 1)}
		t.parts = append(t.parts, p)
		if err := errors.Join(
			agent.OnCandidate(func(c ice.Candidate) { o.candidate(number, c) }),
			agent.OnConnectionStateChange(func(s ice.ConnectionState) { t.changed(p, s) }),
		); err != nil {
			t.close()
			return nil, fmt.Errorf("watch an ICE agent: %w", err)
		}
	}
	return t, nil
}

// token returns n random characters that ICE allows.
func token(n int) string { return rand.Text()[:min(n, 26)] }

// changed notes the state of a component, and says so if it failed.
func (t *transport) changed(p *part, s ice.ConnectionState) {
	select {
	case <-p.states:
	default:
	}
	select {
	case p.states <- s:
	default:
	}
	if s == ice.ConnectionStateFailed {
		t.o.failed("connectivity-error", errors.New("ICE has failed"))
	}
}

// gather starts gathering candidates, which come by the callback.
func (t *transport) gather() error {
	for _, p := range t.parts {
		if err := p.agent.GatherCandidates(); err != nil {
			return fmt.Errorf("gather candidates: %w", err)
		}
	}
	return nil
}

// add gives a remote candidate to its component; those of no component are left out.
func (t *transport) add(component int, c ice.Candidate) {
	if component >= 1 && component <= len(t.parts) {
		t.parts[component-1].agent.AddRemoteCandidate(c)
	}
}

// connect runs ICE and DTLS on all components and returns when media can flow. The error
// is told apart by reason, a word of Jingle.
func (t *transport) connect(ctx context.Context, remote description, controlling, client bool) (reason string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		reason string
		err    error
	}
	results := make(chan result, len(t.parts))
	for _, p := range t.parts {
		begun := t.spawn(func() { // ends with ctx at the latest
			reason, err := t.connectPart(ctx, p, remote, controlling, client)
			results <- result{reason, err}
		})
		if !begun {
			return "connectivity-error", net.ErrClosed
		}
	}
	for range t.parts {
		if r := <-results; r.err != nil {
			return r.reason, r.err
		}
	}
	return "", nil
}

func (t *transport) connectPart(ctx context.Context, p *part, remote description, controlling, client bool) (string, error) {
	var (
		conn *ice.Conn
		err  error
	)
	if controlling {
		conn, err = p.agent.Dial(ctx, remote.ufrag, remote.pwd)
	} else {
		conn, err = p.agent.Accept(ctx, remote.ufrag, remote.pwd)
	}
	if err != nil {
		return "connectivity-error", fmt.Errorf("connect component %d: %w", p.number, err)
	}
	p.mu.Lock()
	p.conn, p.pipe, p.client = conn, newPipe(conn), client
	p.mu.Unlock()
	if !t.spawn(func() { t.read(p, conn) }) { // until the agent is closed
		return "connectivity-error", net.ErrClosed
	}
	if t.o.plain {
		return "", nil
	}
	verify := dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 {
			return errFingerprint
		}
		for _, f := range remote.fingerprints {
			if got, ok := fingerprintOf(f.hash, raw[0]); ok && strings.EqualFold(got, strings.TrimSpace(f.value)) {
				return nil
			}
		}
		return errFingerprint
	})
	common := []dtls.Option{
		dtls.WithCertificates(t.o.certificate.tls),
		dtls.WithSRTPProtectionProfiles(t.o.profiles...),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true),
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}),
		verify,
	}
	var secure *dtls.Conn
	if client {
		var options []dtls.ClientOption
		for _, o := range common {
			options = append(options, o)
		}
		secure, err = dtls.ClientWithOptions(p.pipe, conn.RemoteAddr(), options...)
	} else {
		options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
		for _, o := range common {
			options = append(options, o)
		}
		secure, err = dtls.ServerWithOptions(p.pipe, conn.RemoteAddr(), options...)
	}
	if err != nil {
		return "security-error", fmt.Errorf("set up DTLS: %w", err)
	}
	p.mu.Lock()
	p.dtls = secure
	p.mu.Unlock()
	if err := secure.HandshakeContext(ctx); err != nil {
		return "security-error", fmt.Errorf("DTLS on component %d: %w", p.number, err)
	}
	return p.keys(secure, client)
}

// keys takes the SRTP keys out of the handshake (RFC 5764 section 4.2).
func (p *part) keys(secure *dtls.Conn, client bool) (string, error) {
	selected, ok := secure.SelectedSRTPProtectionProfile()
	state, known := secure.ConnectionState()
	if !ok || !known {
		return "security-error", errors.New("DTLS agreed on no SRTP profile")
	}
	config := srtp.Config{Profile: srtp.ProtectionProfile(selected)}
	if err := config.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		return "security-error", fmt.Errorf("take keys from DTLS: %w", err)
	}
	k := config.Keys
	out, err := srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, config.Profile)
	if err != nil {
		return "security-error", err
	}
	in, err := srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, config.Profile,
		srtp.SRTPReplayProtection(64), srtp.SRTCPReplayProtection(64))
	if err != nil {
		return "security-error", err
	}
	p.mu.Lock()
	p.in, p.out, p.profile = in, out, config.Profile.String()
	p.mu.Unlock()
	return "", nil
}

// read tells apart what comes (RFC 7983) until the connection is closed.
func (t *transport) read(p *part, conn *ice.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			p.pipe.Close()
			return
		}
		now := time.Now()
		switch packet := buffer[:n]; {
		case n == 0:
		case packet[0] >= 20 && packet[0] <= 63:
			p.pipe.put(append([]byte(nil), packet...))
		case packet[0] >= 128 && packet[0] <= 191 && n >= 8:
			if kind := packet[1]; kind >= 192 && kind <= 223 {
				if clear, ok := t.decrypt(p, packet, true); ok {
					t.o.rtcp(clear, now)
				}
			} else if clear, ok := t.decrypt(p, packet, false); ok {
				t.o.rtp(clear, now)
			}
		}
	}
}

// decrypt returns false for what comes before the keys, or is not authentic.
func (t *transport) decrypt(p *part, packet []byte, control bool) ([]byte, bool) {
	if t.o.plain {
		return packet, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in == nil {
		return nil, false
	}
	var (
		clear []byte
		err   error
	)
	if control {
		clear, err = p.in.DecryptRTCP(nil, packet, nil)
	} else {
		clear, err = p.in.DecryptRTP(nil, packet, nil)
	}
	return clear, err == nil
}

// send encrypts and sends an RTP or RTCP packet.
func (t *transport) send(packet []byte, control bool) error {
	p := t.parts[0]
	if control {
		p = t.parts[len(t.parts)-1]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !t.o.plain {
		if p.out == nil {
			return errors.New("there are no keys yet")
		}
		var err error
		if control {
			packet, err = p.out.EncryptRTCP(nil, packet, nil)
		} else {
			packet, err = p.out.EncryptRTP(nil, packet, nil)
		}
		if err != nil {
			return err
		}
	}
	if p.conn == nil {
		return errors.New("ICE is not connected")
	}
	_, err := p.conn.Write(packet)
	return err
}

// restart begins an ICE restart with new local credentials; candidates are gathered anew by gather.
func (t *transport) restart() error {
	t.ufrag, t.pwd = token(4), token(24)
	for _, p := range t.parts {
		select {
		case <-p.states:
		default:
		}
		if err := p.agent.Restart(t.ufrag, t.pwd); err != nil {
			return fmt.Errorf("restart ICE: %w", err)
		}
	}
	return nil
}

// resume gives the agents the peer's new credentials.
func (t *transport) resume(ufrag, pwd string) error {
	for _, p := range t.parts {
		if err := p.agent.SetRemoteCredentials(ufrag, pwd); err != nil {
			return fmt.Errorf("set remote credentials: %w", err)
		}
	}
	return nil
}

// waitConnected returns when all components are connected again after a restart.
func (t *transport) waitConnected(ctx context.Context) error {
	for _, p := range t.parts {
		for {
			var s ice.ConnectionState
			select {
			case s = <-p.states:
			case <-ctx.Done():
				return ctx.Err()
			case <-t.ctx.Done():
				return net.ErrClosed
			}
			if s == ice.ConnectionStateConnected || s == ice.ConnectionStateCompleted {
				break
			}
		}
	}
	return nil
}

// security describes what protects the first component, such as for a report.
func (t *transport) security() (profile string, client bool) {
	p := t.parts[0]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.profile, p.client
}

// pair returns the addresses in use by the first component; empty if there are none.
func (t *transport) pair() (local, remote string) {
	pair, err := t.parts[0].agent.GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return "", ""
	}
	return netAddr(pair.Local), netAddr(pair.Remote)
}

func netAddr(c ice.Candidate) string {
	ip, err := netip.ParseAddr(c.Address())
	if err != nil {
		return c.Address()
	}
	return netip.AddrPortFrom(ip, uint16(c.Port())).String()
}

// close ends everything and returns when all goroutines have ended. It must not be called
// from a callback.
func (t *transport) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	for _, p := range t.parts {
		p.mu.Lock()
		secure, pipe := p.dtls, p.pipe
		p.mu.Unlock()
		if secure != nil {
			secure.Close()
		}
		if pipe != nil {
			pipe.Close()
		}
		p.agent.GracefulClose()
	}
	t.tasks.Wait()
}
