package stack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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
		MinVersion: or(s.MinVersion, tls.VersionTLS12),
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if own, _ := s.Keys.current(); own != nil {
				return own, nil
			}
			return nil, errors.New("no certificate")
		},
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
}

// recheck is how long the files are believed to be what they were.
const recheck = time.Second

// Keys hold the certificates in files, and read them again when these have changed. While new
// ones are not good the old ones stay.
type Keys struct {
	files KeyFiles
	log   *slog.Logger

	mu     sync.Mutex
	own    *tls.Certificate
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
	k.own, k.roots, err = k.read()
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
	own, roots, err := k.read()
	if err != nil {
		k.log.Error("certificates not read again; the old ones stay", "error", err)
		return
	}
	k.own, k.roots = own, roots
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

// Own is our certificate; nil if there is none.
func (k *Keys) Own() *tls.Certificate {
	own, _ := k.current()
	return own
}

// Until is when our certificate ends; zero if there is none.
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
	return k.own.Leaf.NotAfter
}

func (k *Keys) read() (own *tls.Certificate, roots *x509.CertPool, err error) {
	if k.files.Certificate != "" {
		c, err := tls.LoadX509KeyPair(k.files.Certificate, k.files.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", k.files.Certificate, err)
		}
		own = &c
	}
	if k.files.Roots != "" {
		text, err := os.ReadFile(k.files.Roots)
		if err != nil {
			return nil, nil, err
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, nil, fmt.Errorf("%s: no certificate in it", k.files.Roots)
		}
	}
	return own, roots, nil
}

// stamps say whether a file has changed.
func (k *Keys) stamps() []string {
	var all []string
	for _, name := range []string{k.files.Certificate, k.files.Key, k.files.Roots} {
		stamp := ""
		if info, err := os.Stat(name); err == nil {
			stamp = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
		}
		all = append(all, stamp)
	}
	return all
}
