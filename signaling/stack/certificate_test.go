package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	bigint "math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	tmpl := &x509.Certificate{
		SerialNumber: bigint.NewInt(1), Subject: pkix.Name{CommonName: "an authority"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = parse(t, tmpl, tmpl, a.key, a.key)
	return a
}

func parse(t *testing.T, tmpl, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A paper says what a certificate is to be.
type paper struct {
	name  string // common name
	dns   []string
	uris  []string
	ips   []string
	usage []x509.ExtKeyUsage // of servers and clients when nil
	only  bool               // for SIP alone
	from  time.Duration      // from now
	until time.Duration      // an hour when 0
	sha1  bool
	self  bool // signed by itself
}

func (a *authority) issue(p paper) tls.Certificate {
	a.t.Helper()
	key := newKey(a.t)
	tmpl := &x509.Certificate{
		SerialNumber: bigint.NewInt(2), Subject: pkix.Name{CommonName: p.name}, DNSNames: p.dns, ExtKeyUsage: p.usage,
		NotBefore: time.Now().Add(p.from - time.Minute), NotAfter: time.Now().Add(or(p.until, time.Hour)),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if p.usage == nil && !p.only {
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	if p.only {
		tmpl.UnknownExtKeyUsage = []asn1.ObjectIdentifier{sipDomain}
	}
	for _, u := range p.uris {
		parsed, err := url.Parse(u)
		if err != nil {
			a.t.Fatal(err)
		}
		tmpl.URIs = append(tmpl.URIs, parsed)
	}
	for _, ip := range p.ips {
		tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(ip))
	}
	if p.sha1 {
		tmpl.SignatureAlgorithm = x509.ECDSAWithSHA1
	}
	parent, signer := a.cert, a.key
	if p.self {
		parent, signer = tmpl, key
	}
	leaf := parse(a.t, tmpl, parent, key, signer)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool(more ...tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	for _, c := range more {
		pool.AddCert(c.Leaf)
	}
	return pool
}

// write puts a certificate, its key and the authority into files.
func (a *authority) write(dir string, c tls.Certificate) KeyFiles {
	a.t.Helper()
	f := KeyFiles{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Roots: filepath.Join(dir, "ca.pem")}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		f.Certificate: {Type: "CERTIFICATE", Bytes: c.Leaf.Raw},
		f.Key:         {Type: "PRIVATE KEY", Bytes: der},
		f.Roots:       {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return f
}

// keys are those of a stack: a certificate of its own, and the authority to believe.
func (a *authority) keys(p paper) *Keys {
	a.t.Helper()
	k, err := ReadKeys(a.write(a.t.TempDir(), a.issue(p)), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return k
}

// papers are certificates that a peer called voip.example.net may show, and what comes of it:
// when we call it, when we do and wildcards are let through, and when it calls us.
var papers = []struct {
	name           string
	paper          paper
	out, wild, in  bool
	fromElse, root bool // issued by another authority; believed itself
}{
	{name: "DNS name", paper: paper{dns: []string{"voip.example.net"}}, out: true, wild: true, in: true},
	{name: "DNS name in other letters", paper: paper{dns: []string{"VoIP.Example.NET"}}, out: true, wild: true, in: true},
	{name: "one of several DNS names", paper: paper{dns: []string{"a.example", "voip.example.net"}}, out: true, wild: true, in: true},
	{name: "sip URI", paper: paper{uris: []string{"sip:voip.example.net"}}, out: true, wild: true, in: true},
	{name: "sip URI beside another DNS name", paper: paper{uris: []string{"sip:voip.example.net"}, dns: []string{"edge1.example.net"}}, out: true, wild: true, in: true},
	{name: "other sip URI beside the DNS name", paper: paper{uris: []string{"sip:example.com"}, dns: []string{"voip.example.net"}}},
	{name: "sip URI of a user", paper: paper{uris: []string{"sip:juliet@voip.example.net"}}},
	{name: "sip URI of a user beside the DNS name", paper: paper{uris: []string{"sip:juliet@voip.example.net"}, dns: []string{"voip.example.net"}}, out: true, wild: true, in: true},
	{name: "sips URI", paper: paper{uris: []string{"sips:voip.example.net"}}},
	{name: "other name", paper: paper{dns: []string{"example.com"}}},
	{name: "name of the SRV target", paper: paper{dns: []string{"edge1.voip.example.net"}}},
	{name: "parent domain", paper: paper{dns: []string{"example.net"}}},
	{name: "wildcard", paper: paper{dns: []string{"*.example.net"}}, wild: true},
	{name: "wildcard for a top-level domain", paper: paper{dns: []string{"*.net"}}},
	{name: "expired", paper: paper{dns: []string{"voip.example.net"}, until: -time.Second}},
	{name: "not yet valid", paper: paper{dns: []string{"voip.example.net"}, from: 10 * time.Minute}},
	{name: "signed by itself", paper: paper{dns: []string{"voip.example.net"}, self: true}},
	{name: "signed by itself and believed", paper: paper{dns: []string{"voip.example.net"}, self: true}, root: true, out: true, wild: true, in: true},
	{name: "unknown authority", paper: paper{dns: []string{"voip.example.net"}}, fromElse: true},
	{name: "for signing code", paper: paper{dns: []string{"voip.example.net"}, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}},
	{name: "for servers alone", paper: paper{dns: []string{"voip.example.net"}, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, out: true, wild: true, in: true},
	{name: "for SIP alone", paper: paper{dns: []string{"voip.example.net"}, only: true}, out: true, wild: true, in: true},
	{name: "SHA-1", paper: paper{dns: []string{"voip.example.net"}, sha1: true}},
	{name: "common name alone", paper: paper{name: "voip.example.net"}, out: true, wild: true, in: true},
	{name: "common name beside another DNS name", paper: paper{name: "voip.example.net", dns: []string{"example.com"}}},
	{name: "no name", paper: paper{}},
}

// TestPapers: whom a certificate proves (RFC 5922 section 7), without a connection.
func TestPapers(t *testing.T) {
	for _, tt := range papers {
		t.Run(tt.name, func(t *testing.T) {
			ours := newAuthority(t)
			issuer := ours
			if tt.fromElse {
				issuer = newAuthority(t)
			}
			c := issuer.issue(tt.paper)
			roots := ours.pool()
			if tt.root {
				roots = ours.pool(c)
			}
			chain := []*x509.Certificate{c.Leaf}
			for _, wild := range []bool{false, true} {
				_, err := certified(chain, roots, "voip.example.net", wild)
				if want := tt.out && !wild || tt.wild && wild; (err == nil) != want {
					t.Errorf("wildcards %v: got %v, want good: %v", wild, err, want)
				}
			}
			domains, err := proven(chain, roots)
			if in := err == nil && covers(domains, "voip.example.net", false); in != tt.in {
				t.Errorf("proves %q, %v; want voip.example.net: %v", domains, err, tt.in)
			}
		})
	}
}

func TestWildcards(t *testing.T) {
	for want, domain := range map[string]string{"sip.example.net": "*.example.net", "SIP.example.net.": "*.example.net"} {
		if !covers([]string{domain}, want, true) || covers([]string{domain}, want, false) {
			t.Errorf("%s for %s", domain, want)
		}
	}
	for want, domain := range map[string]string{
		"example.net": "*.net", "a.sip.example.net": "*.example.net", "sip.example.com": "*.example.net",
		"xsip.example.net": "x*.example.net", "sip.voip.example.net": "sip.*.example.net", "net": "*",
	} {
		if covers([]string{domain}, want, true) {
			t.Errorf("%s for %s", domain, want)
		}
	}
}

func TestCertificateOfAnAddress(t *testing.T) {
	a := newAuthority(t)
	chain := []*x509.Certificate{a.issue(paper{ips: []string{"192.0.2.2", "2001:db8::2"}}).Leaf}
	for domain, want := range map[string]bool{
		"192.0.2.2": true, "2001:db8::2": true, "[2001:db8::2]": true, "2001:DB8:0::2": true, "192.0.2.3": false, "example.net": false,
	} {
		if _, err := certified(chain, a.pool(), domain, false); (err == nil) != want {
			t.Errorf("%s: %v, want good: %v", domain, err, want)
		}
	}
}
