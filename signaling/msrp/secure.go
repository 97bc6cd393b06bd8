package msrp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// SelfSigned makes a certificate for who has none: what it proves is said by its fingerprint in
// SDP alone (RFC 4975 section 14.4).
func SelfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of a certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("serial of a certificate: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "message sessions"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Fingerprint is that of our certificate as SDP has it (RFC 8122); empty if there is none.
func (e *Endpoint) Fingerprint() string {
	if e.o.Certificate == nil {
		return ""
	}
	own, err := e.o.Certificate()
	if err != nil || len(own.Certificate) == 0 {
		return ""
	}
	return fingerprint("sha-256", own.Certificate[0])
}

func fingerprint(hash string, der []byte) string {
	var sum []byte
	switch hash {
	case "sha-256":
		s := sha256.Sum256(der)
		sum = s[:]
	case "sha-384":
		s := sha512.Sum384(der)
		sum = s[:]
	case "sha-512":
		s := sha512.Sum512(der)
		sum = s[:]
	default:
		return ""
	}
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return hash + " " + strings.Join(pairs, ":")
}

// proves reports whether a certificate has one of the fingerprints.
func proves(der []byte, prints []string) bool {
	return slices.ContainsFunc(prints, func(p string) bool {
		hash, _, _ := strings.Cut(p, " ")
		own := fingerprint(strings.ToLower(hash), der)
		return own != "" && strings.EqualFold(own, p)
	})
}

var errIdentity = errors.New("the certificate is not that of the peer")

// server is how connections are taken. A certificate is asked for: whether it is the right one
// is known when a session is.
func (e *Endpoint) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return e.o.Certificate() },
	}
}

// client is how a connection is made to a host whose certificate has one of the fingerprints or,
// if there are none, is for its name.
func (e *Endpoint) client(host string, prints []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: host,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return e.o.Certificate() },
		InsecureSkipVerify:   true, // the check below takes its place
		VerifyConnection: func(state tls.ConnectionState) error {
			own := state.PeerCertificates[0]
			if len(prints) > 0 {
				if !proves(own.Raw, prints) {
					return errIdentity
				}
				return nil
			}
			check := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
			if e.o.Roots != nil {
				check.Roots = e.o.Roots()
			}
			for _, c := range state.PeerCertificates[1:] {
				check.Intermediates.AddCert(c)
			}
			_, err := own.Verify(check)
			return err
		},
	}
}
