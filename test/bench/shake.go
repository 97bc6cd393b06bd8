//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"

	"sipxmppgw/gateway/media"
)

const shakePatience = 20 * time.Second

// identity is the certificate of all clients.
var identity = sync.OnceValues(selfsign.GenerateSelfSigned)

// A shaking is the ICE and DTLS of a client. It answers checks, those of consent too, and
// begins no own: the relay has the lead, for it made the offer.
type shaking struct {
	ufrag, pwd string
	hello      chan []byte // DTLS records
	done       chan struct{}
	err        error
	mu         sync.Mutex
	deadline   time.Time
}

// secure has a leg answer the relay's offer, and shake hands.
func (g *leg) secure(offer media.Description, k kind, problems chan<- error) (media.Description, error) {
	cert, err := identity()
	if err != nil {
		return media.Description{}, err
	}
	s := offer.Streams[0]
	g.aim(s.Transport.ICE.Candidates[0].Addr)
	g.shake = &shaking{
		ufrag: "client" + g.addr.String()[len("127.0.2.1:"):], pwd: strings.Repeat("secret", 4),
		hello: make(chan []byte, 16), done: make(chan struct{}),
	}
	go func() { // until it is secure, or cannot be
		defer close(g.shake.done)
		if g.shake.err = g.handshake(cert, profileOf(k)); g.shake.err != nil {
			problems <- g.shake.err
		}
	}()
	sum := sha256.Sum256(cert.Certificate[0])
	var colons []string
	for _, b := range sum {
		colons = append(colons, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	return media.Description{Streams: []media.Stream{{
		Name: s.Name, Kind: media.Audio,
		Codecs: []media.Codec{{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1}},
		Transport: media.Transport{
			Profile: media.TLSSAVPF, RTCPMux: true,
			ICE: &media.ICE{Ufrag: g.shake.ufrag, Pwd: g.shake.pwd, Candidates: []media.Candidate{{
				Foundation: "1", Component: 1, Protocol: "udp", Priority: 2130706431, Addr: g.addr, Type: "host",
			}}},
			DTLS: &media.DTLS{Setup: media.Passive, Fingerprints: []media.Fingerprint{{Hash: "sha-256", Value: strings.Join(colons, ":")}}},
		},
	}}}, nil
}

func (s *shaking) wait(g *leg) error {
	<-s.done
	return s.err
}

// take answers a check, or keeps a DTLS record.
func (s *shaking) take(g *leg, p []byte) {
	switch {
	case len(p) < 13:
	case p[0] >= 20 && p[0] < 64:
		select {
		case s.hello <- bytes.Clone(p):
		default:
		}
	case p[0] < 4:
		m := &stun.Message{Raw: bytes.Clone(p)}
		if m.Decode() != nil || m.Type != stun.BindingRequest {
			return
		}
		to := g.to.Addr
		back, err := stun.Build(m, stun.BindingSuccess,
			&stun.XORMappedAddress{IP: net.IP(to[:]), Port: int(g.to.Port>>8 | g.to.Port<<8)},
			stun.NewShortTermIntegrity(s.pwd), stun.Fingerprint)
		if err == nil {
			g.post(back.Raw)
		}
	}
}

func (g *leg) handshake(cert tls.Certificate, profile srtp.ProtectionProfile) error {
	ctx, cancel := context.WithTimeout(context.Background(), shakePatience)
	defer cancel()
	conn, err := dtls.ServerWithOptions(pipe{g}, net.UDPAddrFromAddrPort(g.addr),
		dtls.WithCertificates(cert),
		dtls.WithSRTPProtectionProfiles(dtls.SRTPProtectionProfile(profile)),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithInsecureSkipVerify(true),
		dtls.WithFlightInterval(200*time.Millisecond),
	)
	if err != nil {
		return err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	state, _ := conn.ConnectionState()
	c := srtp.Config{Profile: profile}
	if err := c.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return err
	}
	return g.keys(c)
}

// keys makes the leg's SRTP contexts.
func (g *leg) keys(c srtp.Config) error {
	tx, err := srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile)
	if err != nil {
		return err
	}
	rx, err := srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile)
	g.tx, g.rx = tx, rx
	return err
}

// A pipe is a client's DTLS on its socket.
type pipe struct{ g *leg }

func (p pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	s := p.g.shake
	s.mu.Lock()
	late := time.Until(s.deadline)
	if s.deadline.IsZero() {
		late = time.Hour
	}
	s.mu.Unlock()
	timer := time.NewTimer(late)
	defer timer.Stop()
	select {
	case d := <-s.hello:
		return copy(b, d), net.UDPAddrFromAddrPort(p.g.addr), nil
	case <-timer.C:
		return 0, nil, os.ErrDeadlineExceeded
	case <-p.g.load.stop:
		return 0, nil, net.ErrClosed
	}
}

func (p pipe) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), p.g.post(b) }
func (p pipe) Close() error                              { return nil }
func (p pipe) LocalAddr() net.Addr                       { return net.UDPAddrFromAddrPort(p.g.addr) }
func (p pipe) SetDeadline(t time.Time) error             { return p.SetReadDeadline(t) }
func (p pipe) SetWriteDeadline(time.Time) error          { return nil }

func (p pipe) SetReadDeadline(t time.Time) error {
	p.g.shake.mu.Lock()
	defer p.g.shake.mu.Unlock()
	p.g.shake.deadline = t
	return nil
}
