package stack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Secure is what TLS and WSS connections stand on.
type Secure struct {
	// Keys are who we are, and whom we believe.
	Keys *Keys
	// MinVersion is the least version of TLS; 0 is for 1.2.
	MinVersion uint16
	// Wildcards lets a certificate for *.example.org stand for its subdomains, against RFC
	// 5922 section 7.2.
	Wildcards bool
}

// server is how connections are taken. A certificate is asked for, but need not be given: what
// it proves is found out afterwards.
func (s *Secure) server() *tls.Config {
	return &tls.Config{
		MinVersion:     or(s.MinVersion, tls.VersionTLS12),
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: s.Keys.Shown,
	}
}

// client is how a connection is made to a domain, whose certificate is checked as it is made.
// What it proves is given to told.
func (s *Secure) client(domain string, told func(domains []string)) *tls.Config {
	c := &tls.Config{
		MinVersion: or(s.MinVersion, tls.VersionTLS12),
		ServerName: domain,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if own, _ := s.Keys.current(); own != nil {
				return own, nil
			}
			return &tls.Certificate{}, nil
		},
		// The check below takes the place of the one for web servers.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, roots := s.Keys.current()
			domains, err := certified(state.PeerCertificates, roots, domain, s.Wildcards)
			if err == nil {
				told(domains)
			}
			return err
		},
	}
	return c
}

// KeyFiles are files in PEM.
type KeyFiles struct {
	Certificate, Key string // ours, with what stands between it and its root; none when empty
	Roots            string // whom we believe; those of the system when empty
	// Further certificates of ours are shown to who asks for a name of theirs (RFC 6066 section
	// 3). To all others, and to those whom we call, the one above is shown.
	Further []KeyPair
}

// A KeyPair is the files of a certificate.
type KeyPair struct{ Certificate, Key string }

// recheck is how long the files are believed to be what they were.
const recheck = time.Second

// Keys hold the certificates in files, and read them again when these have changed. While new
// ones are not good the old ones stay.
type Keys struct {
	files KeyFiles
	log   *slog.Logger

	mu     sync.Mutex
	own    *tls.Certificate
	more   []*tls.Certificate
	roots  *x509.CertPool
	stamp  []string // of the files that were read last, good or not
	looked time.Time
}

// ReadKeys reads the files. An error says which one is not good.
func ReadKeys(files KeyFiles, log *slog.Logger) (*Keys, error) {
	k := &Keys{files: files, log: log, looked: time.Now()}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.stamp = k.stamps()
	var err error
	k.own, k.more, k.roots, err = k.read()
	return k, err
}

// Reload looks at the files now.
func (k *Keys) Reload() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looked = time.Now()
	stamp := k.stamps()
	if slices.Equal(stamp, k.stamp) {
		return
	}
	k.stamp = stamp
	own, more, roots, err := k.read()
	if err != nil {
		k.log.Error("certificates not read again; the old ones stay", "error", err)
		return
	}
	k.own, k.more, k.roots = own, more, roots
	k.log.Info("certificates read again", "valid_until", k.until())
}

// current returns our certificate, or nil, and whom we believe, nil for those of the system.
func (k *Keys) current() (*tls.Certificate, *x509.CertPool) {
	if k == nil {
		return nil, nil
	}
	k.mu.Lock()
	due := time.Since(k.looked) >= recheck
	k.mu.Unlock()
	if due {
		k.Reload()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.own, k.roots
}

// Current returns our certificate, or nil, and whom we believe, nil for those of the system.
func (k *Keys) Current() (*tls.Certificate, *x509.CertPool) { return k.current() }

// has says whether there is a certificate of ours.
func (k *Keys) has() bool {
	own, _ := k.current()
	return own != nil
}

// Shown is the certificate for whoever connects to us: one that has the name that it asks for, or
// ours as such. An error says that there is none.
func (k *Keys) Shown(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	own, _ := k.current()
	if own == nil {
		return nil, errors.New("no certificate")
	}
	name := strings.TrimSuffix(strings.ToLower(hello.ServerName), ".")
	if name == "" {
		return own, nil
	}
	k.mu.Lock()
	more := k.more
	k.mu.Unlock()
	has := func(c *tls.Certificate) bool {
		return covers(domainsOf(c.Leaf), name, true) || c.Leaf.VerifyHostname(name) == nil // the latter is for WebSocket, and pages
	}
	if !has(own) {
		for _, c := range more {
			if has(c) {
				return c, nil
			}
		}
	}
	return own, nil
}

// Until is when the first of our certificates ends; zero if there is none.
func (k *Keys) Until() time.Time {
	if k == nil {
		return time.Time{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.until()
}

func (k *Keys) until() time.Time {
	if k.own == nil {
		return time.Time{}
	}
	until := k.own.Leaf.NotAfter
	for _, c := range k.more {
		if c.Leaf.NotAfter.Before(until) {
			until = c.Leaf.NotAfter
		}
	}
	return until
}

func (k *Keys) read() (own *tls.Certificate, more []*tls.Certificate, roots *x509.CertPool, err error) {
	if k.files.Certificate != "" {
		if own, err = load(KeyPair{k.files.Certificate, k.files.Key}); err != nil {
			return nil, nil, nil, err
		}
	}
	for _, pair := range k.files.Further {
		c, err := load(pair)
		if err != nil {
			return nil, nil, nil, err
		}
		more = append(more, c)
	}
	if k.files.Roots != "" {
		text, err := os.ReadFile(k.files.Roots)
		if err != nil {
			return nil, nil, nil, err
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, nil, nil, fmt.Errorf("%s: no certificate in it", k.files.Roots)
		}
	}
	return own, more, roots, nil
}

func load(pair KeyPair) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pair.Certificate, err)
	}
	return &c, nil
}

// stamps say whether a file has changed.
func (k *Keys) stamps() []string {
	var all []string
	names := []string{k.files.Certificate, k.files.Key, k.files.Roots}
	for _, pair := range k.files.Further {
		names = append(names, pair.Certificate, pair.Key)
	}
	for _, name := range names {
		stamp := ""
		if info, err := os.Stat(name); err == nil {
			stamp = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
		}
		all = append(all, stamp)
	}
	return all
}
