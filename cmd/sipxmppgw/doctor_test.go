package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/store/sqlite"
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
	ports  [2]int   // of media
	calls  int      // at most
	flags  []string // of the command
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
	return &patient{t: t, dir: t.TempDir(), secret: "right", server: server.Addr(), domain: testGW, trunk: phone.Addr(), sip: "udp:127.0.0.1:0", ports: [2]int{18000, 18099}, calls: 10}, server
}

// write writes the configuration, and returns the name of its file.
func (p *patient) write() string {
	p.t.Helper()
	file := filepath.Join(p.dir, "gw.yaml")
	text := fmt.Sprintf("xmpp: {domain: %s, server: %q, secret: %s}\nsip: {listen: [%q]%s}\nmedia: {addresses: [127.0.0.1], allow_loopback: true, port_min: %d, port_max: %d}\ncalls: {max: %d}\n"+
		"http: {listen: ''}\ntrunks: [{name: pbx, address: %q}]\n%s", p.domain, p.server, p.secret, p.sip, p.tls, p.ports[0], p.ports[1], p.calls, p.trunk, p.more)
	if !strings.Contains(p.more, "routes:") {
		text += "routes: [{from: " + testDomain + ", trunk: pbx}]\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// findings are what the doctor says, a line each, as state, check and text.
func (p *patient) findings(want int) string {
	p.t.Helper()
	file := p.write()
	var found []control.Finding
	out := prints(p.t, want, append([]string{"doctor", "--json", "--config", file}, p.flags...)...)
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, f.State+" "+f.Check+" "+f.Text+" "+f.Advice)
	}
	return strings.Join(lines, "\n")
}

// runs is the gateway with the configuration, until the end of the test.
func (p *patient) runs() *daemon {
	p.t.Helper()
	c, err := config.Load(p.write())
	if err != nil {
		p.t.Fatal(err)
	}
	d, err := open(c, slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }() // ends with stop
	p.t.Cleanup(func() {
		stop()
		<-ended
		gone, cancel := context.WithCancel(context.Background())
		cancel() // nobody waits for calls
		d.close(gone)
	})
	select {
	case <-d.tenants[0].up:
	case <-limit(p.t).Done():
		p.t.Fatalf("the component is not connected: %+v", d.tenants[0].stream.State())
	}
	return d
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

// file writes one, and returns its name.
func (p *patient) file(name, text string, mode os.FileMode) string {
	p.t.Helper()
	name = filepath.Join(p.dir, name)
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask is
		p.t.Fatal(err)
	}
	return name
}

// store makes one of a version.
func (p *patient) store(version int) {
	p.t.Helper()
	name := filepath.Join(p.dir, "store.sqlite")
	s, err := sqlite.Open(sqlite.Options{Path: name})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.BigEndian.AppendUint32(nil, uint32(version)), 60); err != nil { // the user version in the file's header
		p.t.Fatal(err)
	}
	p.more = "store: {file: store.sqlite}\n"
}

// taken makes two media ports of which another program has some.
func (p *patient) taken(n int) {
	p.t.Helper()
	for {
		first, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			p.t.Fatal(err)
		}
		port := first.LocalAddr().(*net.UDPAddr).Port
		second, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err != nil {
			first.Close()
			continue
		}
		p.t.Cleanup(func() { first.Close() })
		if n == 2 {
			p.t.Cleanup(func() { second.Close() })
		} else {
			second.Close()
		}
		p.ports = [2]int{port, port + 1}
		return
	}
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
			"ok config ", "warn gateway it does not run", "ok address SIP peers are told 127.0.0.1", "ok ports all 1 ", "ok ports media ports 18000 to 18099: 100 of 100 are free", "ok routes 1 say ", "ok xmpp ", "ok trunk pbx ",
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
		{"nobody may call", func(p *patient) { p.more = "routes: [{from: '*', deny: true}]\n" }, exitOK, []string{"warn routes nobody may call anybody "}, "Have routes"},
		{"the server is there, and is not disturbed", func(p *patient) { p.flags, p.secret = []string{"--gentle"}, "wrong" }, exitOK, []string{"ok xmpp "}, "the secret was not tried"},
		{"nor if it knows no such domain", func(p *patient) { p.flags, p.domain = []string{"--gentle"}, "other.example.org" }, exitProblem, []string{"fail xmpp "}, "The server has no component of that name"},
		{"media ports that others have", func(p *patient) { p.taken(2) }, exitProblem, []string{"fail ports media ports "}, "none can be had"},
		{"some that others have", func(p *patient) { p.taken(1) }, exitOK, []string{"warn ports media ports "}, "other programs have 1 of 2"},
		{"more calls than files", func(p *patient) { p.calls = 100_000 }, exitOK, []string{"warn limits "}, "Raise LimitNOFILE"},
		{"a store to be made", func(p *patient) { p.more = "store: {file: store.sqlite}\n" }, exitOK, []string{"ok store store.file "}, "will be made"},
		{"one that is good", func(p *patient) { p.store(sqlite.Newest()) }, exitOK, []string{"ok store store.file "}, "can be written to"},
		{"one of an older program", func(p *patient) { p.store(0) }, exitOK, []string{"ok store store.file "}, "a copy is kept"},
		{"one of a newer program", func(p *patient) { p.store(99) }, exitProblem, []string{"fail store store.file "}, "is of version 99"},
		{"one that is none", func(p *patient) {
			p.file("store.sqlite", strings.Repeat("no store ", 1000), 0o600)
			p.more = "store: {file: store.sqlite}\n"
		}, exitProblem, []string{"fail store store.file "}, "is not a store"},
		{"one that cannot be made", func(p *patient) { p.more = "store: {file: nowhere/store.sqlite}\n" }, exitProblem, []string{"fail store store.file "}, "cannot be made"},
		{"a socket that everyone can command by", func(p *patient) {
			p.more = fmt.Sprintf("control: {socket: %q}\n", p.file("c.sock", "", 0o666))
		}, exitProblem, []string{"fail socket everyone "}, "chmod o="},
		{"one that some can", func(p *patient) {
			p.more = fmt.Sprintf("control: {socket: %q}\n", p.file("c.sock", "", 0o660))
		}, exitOK, []string{"ok socket "}, "open to its user and group"},
		{"one in a folder that everyone can write to", func(p *patient) {
			p.more = fmt.Sprintf("control: {socket: %q}\n", p.file("c.sock", "", 0o660))
			if err := os.Chmod(p.dir, 0o777); err != nil {
				p.t.Fatal(err)
			}
		}, exitOK, []string{"warn socket everyone "}, "chmod o-w"},
		{"a certificate that nobody vouches for", func(p *patient) {
			p.tls = ", domain: gw.example.org, tls: {" + p.certificate(100*24*time.Hour) + "}"
		}, exitOK, []string{"ok certificate good ", "warn certificate what this machine trusts does not vouch "}, "told to trust it"},
		{"one that is vouched for", func(p *patient) {
			p.tls = ", domain: gw.example.org, tls: {" + p.certificate(100*24*time.Hour) + ", ca: cert.pem}"
		}, exitOK, []string{"ok certificate good "}, ""},
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
			if tt.name == "one that is vouched for" && strings.Contains(got, "warn certificate") {
				t.Errorf("something is wrong with the certificate:\n%s", got)
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
	p := &patient{t: t, dir: t.TempDir(), secret: "wrong", server: w.server.Addr(), domain: testGW, trunk: w.sip[0].Addr(), sip: "udp:127.0.0.1:0", ports: [2]int{18000, 18099}, calls: 10}
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
