package embedded

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/protocol/alert"

	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
)

const (
	helloQueue  = 32                     // DTLS records that wait for the association
	flightEvery = 200 * time.Millisecond // between the first retransmissions
	certYears   = 10
)

var (
	errMismatch  = errors.New("the certificate is not the one that was announced")
	errNoProfile = errors.New("no SRTP profile is common")
)

// An identity is the certificate of this process and its fingerprint.
type identity struct {
	certificate tls.Certificate
	fingerprint media.Fingerprint
}

func newIdentity() (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, fmt.Errorf("make a key for DTLS: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return identity{}, fmt.Errorf("make a serial number: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "sipxmppgw"},
		NotBefore:    now.AddDate(0, 0, -1), // clocks of peers differ
		NotAfter:     now.AddDate(certYears, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return identity{}, fmt.Errorf("make a certificate for DTLS: %w", err)
	}
	sum := sha256.Sum256(der)
	return identity{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		fingerprint: media.Fingerprint{Hash: "sha-256", Value: colons(sum[:])},
	}, nil
}

// colons writes a hash as SDP does (RFC 8122 section 5).
func colons(sum []byte) string {
	digits := strings.ToUpper(hex.EncodeToString(sum))
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}

// digest returns the hash of a certificate by an algorithm's name; nil for one that is
// not trusted any more or not known.
func digest(hash string, der []byte) []byte {
	switch strings.ToLower(hash) {
	case "sha-256":
		sum := sha256.Sum256(der)
		return sum[:]
	case "sha-384":
		sum := sha512.Sum384(der)
		return sum[:]
	case "sha-512":
		sum := sha512.Sum512(der)
		return sum[:]
	}
	return nil
}

// matches reports whether a certificate is one of those announced.
func matches(der []byte, announced []media.Fingerprint) bool {
	for _, f := range announced {
		sum := digest(f.Hash, der)
		if sum != nil && subtle.ConstantTimeCompare([]byte(colons(sum)), []byte(strings.ToUpper(f.Value))) == 1 {
			return true
		}
	}
	return false
}

// An association is the DTLS of a transport. Records come in by deliver, and go out on the
// transport's pair. Before there is a pair, records are kept, few of them, from addresses
// that have checked in.
type association struct {
	t      *transport
	apart  bool // it is of RTCP alone
	checks *mux // of ICE, which tells who may speak; nil for none
	expect []media.Fingerprint
	setup  media.Setup // ours: Active, Passive, or SetupNone to wait for the peer first

	in     chan *datagram
	arrive chan struct{} // closed when the first record from the pair has come
	once   sync.Once
	peer   atomic.Pointer[pathway]

	begun  bool
	cancel context.CancelFunc
	closed chan struct{}
	ended  sync.Once

	conn    *dtls.Conn  // that is done with its handshake and awake; of the bridge's goroutine
	records *records    // that it reads
	since   int64       // on the relay's clock
	asleep  atomic.Bool // state is all there is
	state   *dtls.State
}

// A pathway is where records go.
type pathway struct {
	via *socket
	to  netip.AddrPort
}

// expectPeer makes the association that waits for a pair, and that of RTCP, if it may have a
// port of its own: then it has keys of its own (RFC 5764 section 3).
func (t *transport) expectPeer() {
	t.assoc.Store(newAssociation(t, t.mux))
	t.closedAt = time.Time{} // that was another's
	t.expectReports()
}

// expectReports makes the association of RTCP, if it is due.
func (t *transport) expectReports() {
	if len(t.control) > 0 && t.assoc.Load() != nil {
		a := newAssociation(t, t.control[0].checks)
		a.apart = true
		t.reportAssoc.Store(a)
	}
}

func newAssociation(t *transport, checks *mux) *association {
	return &association{
		t:      t,
		checks: checks,
		in:     make(chan *datagram, helloQueue),
		arrive: make(chan struct{}),
		closed: make(chan struct{}),
	}
}

// associations are those that a transport has.
func (t *transport) associations() iter.Seq[*association] {
	return func(yield func(*association) bool) {
		for _, a := range [...]*association{t.assoc.Load(), t.reportAssoc.Load()} {
			if a != nil && !yield(a) {
				return
			}
		}
	}
}

// deliver takes a record from the network. It never waits. With ICE it may come from any
// address that has checked in: of several pairs that a peer has named, it may use another
// than we (RFC 8445 section 12.2).
func (a *association) deliver(p []byte, from netip.AddrPort) {
	peer := a.peer.Load()
	if (peer == nil || peer.to != from) && (a.checks == nil || !a.checks.knows(from)) {
		a.t.drops.wrongSource.Add(1)
		return
	}
	select {
	case a.in <- &datagram{bytes.Clone(p), from}:
	default:
	}
	a.rouse()
	if peer != nil {
		a.once.Do(func() { close(a.arrive) })
	}
}

// follow tells where the peer is, now that ICE or signalling has said it.
func (a *association) follow(via *socket, to netip.AddrPort) {
	a.peer.Store(&pathway{via, to})
	if len(a.in) > 0 {
		a.once.Do(func() { close(a.arrive) })
	}
}

// start begins the handshake, once.
func (a *association) start(setup media.Setup, expect []media.Fingerprint) {
	if a.begun {
		return
	}
	a.begun = true
	a.setup, a.expect = setup, expect
	ctx, cancel := context.WithTimeout(context.Background(), a.t.relay.options.Times.Secure)
	a.cancel = cancel
	a.t.b.work.Go(func() { a.run(ctx) }) // until close
}

// run shakes hands and then waits for the peer to close.
func (a *association) run(ctx context.Context) {
	defer a.cancel()
	r := newRecords(a)
	conn, active, k, err := a.handshake(ctx, r)
	if err != nil {
		a.t.b.tellSelf(unsecuredInput{a.t, a, err})
		return
	}
	a.t.b.tellSelf(securedInput{a.t, a, k, conn, r, active})
	a.listen(conn, r)
}

func (a *association) handshake(ctx context.Context, r *records) (conn *dtls.Conn, active bool, k *keys, err error) {
	active = a.setup == media.Active
	if a.setup == media.SetupNone {
		// COMPAT(old clients): an answer without a role means an active peer, but one
		// that waits is helped after a while.
		wait := time.NewTimer(a.t.relay.options.Times.Hello)
		defer wait.Stop()
		select {
		case <-a.arrive:
		case <-wait.C:
			active = true
		case <-a.closed:
			return nil, false, nil, net.ErrClosed
		}
	}
	if conn, err = a.dial(r, active); err != nil {
		return nil, false, nil, err
	}
	if err = conn.HandshakeContext(ctx); err == nil {
		k, err = exportKeys(conn, active)
	}
	if err != nil {
		conn.Close()
		return nil, false, nil, err
	}
	return conn, active, k, nil
}

// options are those of both roles.
func (a *association) options() []dtls.Option {
	verify := func(certs [][]byte, _ [][]*x509.Certificate) error {
		if len(certs) == 0 || !matches(certs[0], a.expect) {
			return errMismatch
		}
		return nil
	}
	return []dtls.Option{
		dtls.WithCertificates(a.t.relay.identity.certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true), // the fingerprint says who it is
		dtls.WithVerifyPeerCertificate(verify),
		dtls.WithFlightInterval(flightEvery),
		dtls.WithLoggerFactory(quiet()),
	}
}

func (a *association) dial(r *records, active bool) (*dtls.Conn, error) {
	if active {
		// Pion would keep back what no authority that the peer names has signed, and Linphone
		// names itself; but only its fingerprint says whose a certificate is (RFC 5763).
		options := []dtls.ClientOption{dtls.WithGetClientCertificate(func(*dtls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &a.t.relay.identity.certificate, nil
		})}
		for _, o := range a.options() {
			options = append(options, o)
		}
		return dtls.ClientWithOptions(r, a.remote(), options...)
	}
	options := []dtls.ServerOption{
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerifyHello(true), // ICE has shown that the peer is there
	}
	for _, o := range a.options() {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(r, a.remote(), options...)
}

// remote returns where the peer is.
func (a *association) remote() net.Addr { return net.UDPAddrFromAddrPort(a.peer.Load().to) }

// close ends the association, at whatever point.
func (a *association) close() {
	a.ended.Do(func() {
		close(a.closed)
		if a.cancel != nil {
			a.cancel()
		}
	})
}

// farewell reports whether a handshake ended because the peer closed it in good order
// (close_notify, RFC 5246 section 7.2.1). Pion hides its type of error, not what it can do.
func farewell(err error) bool {
	var a interface{ Marshal() ([]byte, error) }
	if !errors.As(err, &a) {
		return false
	}
	record, err := a.Marshal()
	return err == nil && len(record) == 2 && alert.Description(record[1]) == alert.CloseNotify
}

// exportKeys makes the SRTP contexts of a finished handshake (RFC 5764 section 4.2).
func exportKeys(conn *dtls.Conn, active bool) (*keys, error) {
	chosen, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, errNoProfile
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, errNoProfile
	}
	profile := srtp.Profile(chosen)
	key, salt := profile.Lengths()
	material, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(key+salt))
	if err != nil {
		return nil, fmt.Errorf("export SRTP keys: %w", err)
	}
	salts := material[2*key:]
	client, server := master{material[:key], salts[:salt]}, master{material[key : 2*key], salts[salt:]}
	if active {
		return newKeys(profile, client, server)
	}
	return newKeys(profile, server, client)
}
