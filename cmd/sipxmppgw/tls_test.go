package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writeCertificate writes a certificate that signs itself, and its key, into one file.
func writeCertificate(t *testing.T, file, domain string, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{domain}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCertificateIsReadAgain: SIGHUP has new files read, and nothing else happens; a bad file
// changes nothing, and is told.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sip.pem")
	writeCertificate(t, file, "first.example", time.Now().Add(time.Hour))
	p := start(t, "run", "--config", write(t, fmt.Sprintf(`
xmpp: {domain: %s, server: "127.0.0.1:1", secret: s}
sip: {listen: ["tls:127.0.0.1:0"], tls: {certificate: %q, key: %q}}
media: {addresses: [127.0.0.1], allow_loopback: true}
http: {listen: "127.0.0.1:0"}
trunks: [{name: pbx, address: 127.0.0.1, transport: tls, domain: pbx.example}]
`, testGW, file, file)))
	page := "http://" + p.said(`msg="operator's pages" address=(\S+)`)
	at := p.said(`msg="sip side" sockets=tls:(\S+)`)
	shown := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	expiry := func() string {
		_, body := get(t, page+"/metrics")
		return regexp.MustCompile(`(?m)^sipxmppgw_sip_certificate_expiry_timestamp_seconds (.*)$`).FindString(body)
	}
	before := expiry()
	if got := shown(); got != "first.example" {
		t.Errorf("shows %s", got)
	}
	writeCertificate(t, file, "second.example", time.Now().Add(1000*time.Hour))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.said("certificates read again")
	if got := shown(); got != "second.example" {
		t.Errorf("shows %s", got)
	}
	if after := expiry(); after == before || !strings.Contains(after, "e+09") {
		t.Errorf("metrics say %q and then %q", before, after)
	}
	if err := os.WriteFile(file, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.said("certificates not read again")
	if got := shown(); got != "second.example" {
		t.Errorf("shows %s", got)
	}
	if status, _ := get(t, page+"/livez"); status != http.StatusOK {
		t.Errorf("/livez: %d", status)
	}
}

// TestCheckConfigReadsCertificates: a certificate that cannot be read is found before the start.
func TestCheckConfigReadsCertificates(t *testing.T) {
	config := write(t, `
xmpp: {domain: tel.example.org, secret: s}
sip: {listen: ["tls:0.0.0.0:5061"], tls: {certificate: none.pem, key: none.pem}}
trunks: [{name: pbx, address: 127.0.0.1}]
`)
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"check-config", config}, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "none.pem") {
		t.Errorf("exit code %d, %s%s", code, &out, &errs)
	}
}
