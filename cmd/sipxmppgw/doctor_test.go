package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// A patient is a configuration that a doctor looks at; nothing is wrong with it until a test says so.
type patient struct {
	t      *testing.T
	dir    string
	secret string // of the component
	server string
	domain string
	trunk  string // its address
	sip    string // socket
	tls    string // further settings of sip
	more   string
}

func newPatient(t *testing.T) (*patient, *xmppserver.Server) {
	t.Helper()
	server, err := xmppserver.Listen(xmppserver.Options{Domain: testDomain, Components: map[string]string{testGW: "right"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	phone, err := sipphone.Listen(sipphone.Options{User: "100"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(phone.Close)
	return &patient{t: t, dir: t.TempDir(), secret: "right", server: server.Addr(), domain: testGW, trunk: phone.Addr(), sip: "udp:127.0.0.1:0"}, server
}

// findings are what the doctor says, a line each, as state, check and text.
func (p *patient) findings(want int) string {
	p.t.Helper()
	file := filepath.Join(p.dir, "gw.yaml")
	text := fmt.Sprintf("xmpp: {domain: %s, server: %q, secret: %s}\nsip: {listen: [%q]%s}\nmedia: {addresses: [127.0.0.1], allow_loopback: true, port_min: 18000, port_max: 18099}\ncalls: {max: 10}\n"+
		"http: {listen: ''}\ntrunks: [{name: pbx, address: %q}]\n%s", p.domain, p.server, p.secret, p.sip, p.tls, p.trunk, p.more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	var found []finding
	out := prints(p.t, want, "doctor", "--json", "--config", file)
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, f.State+" "+f.Check+" "+f.Text+" "+f.Advice)
	}
	return strings.Join(lines, "\n")
}

// certificate writes one with its key, and returns the settings for it.
func (p *patient) certificate(until time.Duration) string {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	like := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"gw.example.org"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(until)}
	der, err := x509.CreateCertificate(rand.Reader, like, like, key.Public(), key)
	if err != nil {
		p.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(p.dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	return "certificate: cert.pem, key: key.pem"
}

// Each thing that can be wrong is found, and said with what to do; where nothing is wrong, that.
func TestDoctor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		make  func(p *patient)
		code  int
		wants []string // lines that begin so
		has   string   // in one of them
	}{
		{"nothing is wrong", func(*patient) {}, exitOK, []string{
			"ok config ", "warn gateway it does not run", "ok address SIP peers are told 127.0.0.1", "ok ports all 3 ", "ok xmpp ", "ok trunk pbx ",
		}, "answers OPTIONS over UDP with 200 OK"},
		{"a configuration that is none", func(p *patient) { p.more = "nonsense: 1\n" }, exitProblem, []string{"fail config "}, "nonsense"},
		{"routes that cannot be", func(p *patient) { p.more = "routes: [{from: example.org, to: '/(/', trunk: pbx}]\n" }, exitProblem, []string{"fail config "}, "routes: rule 1"},
		{"the server is not there", func(p *patient) { p.server = closedPort(p.t) }, exitProblem, []string{"fail xmpp "}, "Is the server running"},
		{"another secret", func(p *patient) { p.secret = "wrong" }, exitProblem, []string{"fail xmpp "}, "The secret is not the server's"},
		{"another domain", func(p *patient) { p.domain = "other.example.org" }, exitProblem, []string{"fail xmpp "}, "The server has no component of that name"},
		{"a trunk that is silent", func(p *patient) { p.trunk = closedPort(p.t) }, exitProblem, []string{"fail trunk pbx "}, "does not answer OPTIONS"},
		{"a trunk that is nowhere", func(p *patient) { p.trunk = "pbx.invalid:5060" }, exitProblem, []string{"fail trunk pbx "}, "DNS"},
		{"a port that another has", func(p *patient) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				p.t.Fatal(err)
			}
			p.t.Cleanup(func() { l.Close() })
			p.sip = "tcp:" + l.Addr().String()
		}, exitProblem, []string{"fail ports sip.listen tcp:"}, "Another program has it"},
		{"a certificate that is good", func(p *patient) {
			p.tls = ", tls: {" + p.certificate(100*24*time.Hour) + "}"
		}, exitOK, []string{"ok certificate good until "}, ""},
		{"one that ends soon", func(p *patient) {
			p.tls = ", tls: {" + p.certificate(24*time.Hour) + "}"
		}, exitOK, []string{"warn certificate the first of them ends on "}, "Renew it"},
		{"one that has ended", func(p *patient) {
			p.tls = ", tls: {" + p.certificate(-time.Minute) + "}"
		}, exitProblem, []string{"fail certificate the first of them ended on "}, "Renew it"},
		{"one for another name", func(p *patient) {
			p.tls = ", domain: sip.example.net, tls: {" + p.certificate(100*24*time.Hour) + "}"
		}, exitOK, []string{"ok certificate good ", "warn certificate it is not for sip.domain, sip.example.net"}, ""},
		{"one that is not there", func(p *patient) {
			p.tls = ", tls: {certificate: no.pem, key: no.pem}"
		}, exitProblem, []string{"fail certificate "}, "no.pem"},
		{"a key that everyone reads", func(p *patient) {
			name := filepath.Join(p.dir, "store.key")
			if err := os.WriteFile(name, []byte("k"), 0o644); err != nil {
				p.t.Fatal(err)
			}
			p.more = "store: {file: store.sqlite, key_file: store.key}\n"
		}, exitOK, []string{"warn files everyone "}, "chmod"},
		{"a folder that is not there", func(p *patient) { p.more = "records: {file: nowhere/calls.jsonl}\n" }, exitProblem, []string{"fail files records.file "}, "mkdir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := newPatient(t)
			tt.make(p)
			got := p.findings(tt.code)
			for _, want := range tt.wants {
				if !strings.Contains("\n"+got, "\n"+want) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
			if !strings.Contains(got, tt.has) {
				t.Errorf("no %q in\n%s", tt.has, got)
			}
			if tt.code == exitOK && strings.Contains(got, "fail ") {
				t.Errorf("something is wrong:\n%s", got)
			}
		})
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A gateway that runs is asked, and not disturbed.
func TestDoctorOfARunningGateway(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "c.sock")
	w := newWorld(t, setup{socket: socket, phones: []behind{{trunk: ", probe: 5s"}}})
	p := &patient{t: t, dir: t.TempDir(), secret: "wrong", server: w.server.Addr(), domain: testGW, trunk: w.sip[0].Addr(), sip: "udp:127.0.0.1:0"}
	p.more = fmt.Sprintf("control: {socket: %q}\n", socket)
	var got string
	if !poll(patience, func() bool {
		got = p.findings(exitOK)
		return strings.Contains(got, "\nok gateway it runs, version ")
	}) {
		t.Fatalf("it said\n%s", got)
	}
	for _, want := range []string{"ok ports the gateway has them", "ok xmpp " + testGW + " is connected to "} {
		if !strings.Contains("\n"+got, "\n"+want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := w.d.tenants[0].stream.Stats().Connects; n != 1 {
		t.Errorf("the component has connected %d times", n)
	}
	prints(t, exitUsage, "doctor", "please")
}
