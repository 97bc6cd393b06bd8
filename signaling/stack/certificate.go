package stack

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// sipDomain is the extended key usage of a certificate that is for SIP alone (RFC 5924).
var sipDomain = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20}

// subjectAltName is the extension of names (RFC 5280 section 4.2.1.6).
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// domainsOf returns the SIP domains that a certificate is for, in lower case (RFC 5922
// section 7.1): those of its sip URIs or, if it has none, its DNS names and IP addresses. One
// without subject alternative names is for its common name, if that is a name at all.
func domainsOf(cert *x509.Certificate) []string {
	var domains []string
	add := func(d string) {
		if d = strings.ToLower(d); d != "" && !slices.Contains(domains, d) && len(domains) < 64 {
			domains = append(domains, d)
		}
	}
	for _, u := range cert.URIs {
		add(uriDomain(u))
	}
	if len(domains) > 0 {
		return domains
	}
	for _, d := range cert.DNSNames {
		add(d)
	}
	// RFC 5922 knows no addresses; a trunk that is configured by one has no other name.
	for _, ip := range cert.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			add(a.Unmap().String())
		}
	}
	named := slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(subjectAltName) })
	if cn := cert.Subject.CommonName; !named && !strings.ContainsAny(cn, " @/:*") && strings.Contains(cn, ".") {
		add(cn)
	}
	return domains
}

// uriDomain is the domain of a URI in a certificate: only a sip URI has one, and none that
// names a user.
func uriDomain(u *url.URL) string {
	if !strings.EqualFold(u.Scheme, "sip") {
		return ""
	}
	host, _, _ := strings.Cut(u.Opaque, ";")
	if strings.ContainsAny(host, "@:?") {
		return ""
	}
	return host
}

// covers says whether one of a certificate's domains is the one wanted. Names are compared
// whole (RFC 5922 section 7.2); with wild a * may stand for the first label of one.
func covers(domains []string, want string, wild bool) bool {
	want = strings.ToLower(strings.TrimSuffix(want, "."))
	return slices.ContainsFunc(domains, func(d string) bool {
		if d == want {
			return true
		}
		rest, star := strings.CutPrefix(d, "*.")
		_, parent, ok := strings.Cut(want, ".")
		return wild && star && ok && rest == parent && strings.Contains(rest, ".")
	})
}

// proven returns the SIP domains that a chain of certificates, the peer's own first, proves. An
// error says why it proves none. The roots are those of the system when nil.
func proven(chain []*x509.Certificate, roots *x509.CertPool) ([]string, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	leaf := chain[0]
	o := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(),
		// A server of SIP is a client to others with the same certificate, and public
		// authorities no longer issue any for clients.
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if slices.ContainsFunc(leaf.UnknownExtKeyUsage, sipDomain.Equal) {
		o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(o); err != nil {
		return nil, err
	}
	domains := domainsOf(leaf)
	if len(domains) == 0 {
		return nil, errors.New("the certificate names no SIP domain")
	}
	return domains, nil
}

// certified checks that a chain is for a domain, and returns all that it is for. An IP
// address is a domain too.
func certified(chain []*x509.Certificate, roots *x509.CertPool, domain string, wild bool) ([]string, error) {
	domains, err := proven(chain, roots)
	if err != nil {
		return nil, err
	}
	if a, ok := parseHost(domain); ok {
		domain = a.String()
	}
	if !covers(domains, domain, wild) {
		return nil, fmt.Errorf("the certificate is for %.200q, not for %q", strings.Join(domains, " "), domain)
	}
	if domain = strings.ToLower(domain); !slices.Contains(domains, domain) {
		domains = append(domains, domain)
	}
	return domains, nil
}
