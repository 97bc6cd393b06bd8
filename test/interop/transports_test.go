//go:build interop

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// phoneDomain is what the certificate of a phone over TLS is for.
const phoneDomain = "voip.example.test"

// An issuer makes certificates, and files of them.
type issuer struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	ca   string // file
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{dir: t.TempDir(), key: key}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "interop"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	i.cert = tmpl
	i.ca = i.write(t, "ca.pem", tmpl, key)
	return i
}

// write signs a certificate and writes it to a file, with its key.
func (i *issuer) write(t *testing.T, name string, tmpl *x509.Certificate, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, i.cert, &key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	if tmpl.IsCA {
		if i.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	file := filepath.Join(i.dir, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// issue makes a certificate for a domain and for 127.0.0.1, in a file with its key.
func (i *issuer) issue(t *testing.T, domain string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return i.write(t, domain+".pem", &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: domain},
		DNSNames: []string{domain}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key)
}

// TestTransports: baresip over TLS, known by its certificate, and JsSIP over a WebSocket.
func TestTransports(t *testing.T) {
	s, i := startProsody(t), newIssuer(t)
	answerSTUN(t, s.stun)
	tls := freePort(t)
	own := i.issue(t, gatewayDomain)
	web := freePort(t)
	ports := freePorts(t, 2)
	g := startGateway(t, s, gatewayOptions{template: "gateway-tls.yaml", values: map[string]any{
		"TLS": tls, "WS": web, "Certificate": own, "Key": own, "CA": i.ca, "Identity": phoneDomain, "Phone": ports + 1,
	}})
	// The address that is advertised is the one that a STUN server sees, and Prosody knew which.
	line := `advertised=127.0.0.1 because="STUN server ` + local(s.stun) + ` sees us there"`
	if text := since(g.log, 0); !strings.Contains(text, line) {
		t.Errorf("the gateway has not printed %s but\n%s", line, text)
	}
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone)}
	b.phone = startPhone(t, phoneOptions{port: ports, proxy: tls, certificate: i.issue(t, phoneDomain), ca: i.ca})
	for _, p := range overTLS {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
	t.Run("JsSIP over a WebSocket", func(t *testing.T) { b.perform(t, overWebSocket(web)) })
	t.Run("a phone with the certificate of someone else", func(t *testing.T) {
		stranger := startPhone(t, phoneOptions{port: freePorts(t, 2), proxy: tls, certificate: i.issue(t, "other.example.test"), ca: i.ca})
		stranger.dial(t, uriOf("romeo"))
		if e := stranger.wait(t, "CALL_CLOSED"); strings.Contains(e.Param, "200") {
			t.Errorf("the call ended with %q", e.Param)
		}
	})
}

// answerSTUN is a STUN server at a port of 127.0.0.1.
func answerSTUN(t *testing.T, port int) {
	t.Helper()
	c, err := net.ListenPacket("udp", local(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() { // ends with the socket
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			at := from.(*net.UDPAddr)
			m := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
			if m.Decode() != nil || m.Type != stun.BindingRequest {
				continue
			}
			res, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: at.IP, Port: at.Port})
			if err == nil {
				_, _ = c.WriteTo(res.Raw, from)
			}
		}
	}()
}

// overWebSocket lets a page be a SIP phone that connects by itself: it asks, calls and is
// called, with media over ICE and DTLS.
func overWebSocket(port int) play {
	return play{"JsSIP", func(t *testing.T, b *bench) {
		user, phone := b.login(t), b.browser.login(t, b.server, clientOptions{user: "juliet"})
		phone.do(t, nil, "connectSIP", map[string]any{"url": "ws://" + local(port), "uri": "sip:" + sippNumber + "@browser.example.test"})
		var status int
		if phone.do(t, &status, "options", uriOf("romeo")); status != 200 {
			t.Errorf("OPTIONS: %d", status)
		}
		// The gateway calls over the connection that the page has opened.
		user.proposes(t, sippNumber)
		e := phone.wait(t, "sip-incoming")
		phone.do(t, nil, "refuseSIP", e.SID, 486)
		user.ended(t, "reject", "busy")
		// The page calls.
		var sid string
		phone.do(t, &sid, "callSIP", uriOf("romeo"))
		user.rings(t)
		phone.wait(t, "sip-progress")
		phone.do(t, nil, "endSIP", sid)
		user.ended(t, "retract", "cancel")
		// They talk, whoever calls.
		talks := func(user *client, theirs, ours string) {
			t.Helper()
			user.connected(t)
			user.hears(t, theirs, userTone)
			eventually(t, 10*time.Second, "the page hears", func() error {
				var packets int
				if phone.do(t, &packets, "heardSIP", ours); packets < 50 {
					return fmt.Errorf("%d packets", packets)
				}
				return nil
			})
		}
		theirs := user.proposes(t, sippNumber)
		e = phone.wait(t, "sip-incoming")
		phone.do(t, nil, "answerSIP", e.SID)
		talks(user, theirs, e.SID)
		user.do(t, nil, "end", theirs, "success")
		phone.wait(t, "sip-ended")
		phone.do(t, &sid, "callSIP", uriOf("romeo"))
		r := user.rings(t)
		user.do(t, nil, "proceed", r.From, r.SID)
		user.wait(t, "initiate")
		talks(user, r.SID, sid)
		phone.do(t, nil, "endSIP", sid)
		user.ended(t, "terminate", "success")
		phone.do(t, nil, "closeSIP")
	}}
}

var overTLS = []play{
	{"from baresip over TLS, which hangs up", func(t *testing.T, b *bench) {
		user := b.login(t)
		b.up(t, user)
		talk()
		b.phone.command(t, "hangup", "")
		user.ended(t, "terminate", "success")
		b.phone.wait(t, "CALL_CLOSED")
		b.phone.heard(t, userTone)
	}},
	{"from baresip over TLS, the user hangs up", func(t *testing.T, b *bench) {
		user := b.login(t)
		sid := b.up(t, user)
		user.do(t, nil, "end", sid, "success")
		b.phone.wait(t, "CALL_CLOSED")
	}},
	{"to baresip over TLS", func(t *testing.T, b *bench) {
		user := b.login(t)
		sid := user.proposes(t, phoneUser)
		b.phone.accepts(t)
		user.connected(t)
		user.hears(t, sid, phoneTone)
		talk()
		b.ends(t, user, sid)
	}},
}
