package signaling

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/stack"
)

// certificateFor makes a certificate that signs itself, and a file of whom to believe with it.
func certificateFor(t *testing.T, domain string) (own tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{domain}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// A flowServer is a registrar that we connect to.
type flowServer struct {
	w    *world
	l    net.Listener
	cert *tls.Certificate // nil for TCP
}

func (s *flowServer) accept() *streamPeer {
	s.w.t.Helper()
	conn, err := s.l.Accept()
	if err != nil {
		s.w.t.Fatal(err)
	}
	if s.cert != nil {
		conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*s.cert}})
	}
	return &streamPeer{w: s.w, conn: conn, r: bufio.NewReader(conn)}
}

// pings waits until two empty lines come, and says how long that was.
func (p *streamPeer) pings() time.Duration {
	p.w.t.Helper()
	begun := time.Now()
	if err := p.conn.SetReadDeadline(begun.Add(5 * time.Minute)); err != nil {
		p.w.t.Fatal(err)
	}
	if b, err := p.r.Peek(4); err != nil || string(b) != "\r\n\r\n" {
		p.w.t.Fatalf("got %q, %v; want a ping", b, err)
	}
	_, _ = p.r.Discard(4) // they are there
	return time.Since(begun)
}

// TestAccountOverAConnection registers over TCP and TLS, though we listen for no TLS; calls go
// both ways over that connection, which is kept open as often as the registrar says, given up
// when it is dead, and then made anew with the same binding (RFC 5626, RFC 3327).
func TestAccountOverAConnection(t *testing.T) {
	for _, over := range []stack.Transport{stack.TCP, stack.TLS} {
		t.Run(string(over), func(t *testing.T) {
			var server flowServer
			playWith(t, func(o *Options) {
				own, file := certificateFor(t, "home.example")
				keys, err := stack.ReadKeys(stack.KeyFiles{Roots: file}, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				o.Stack.Secure = &stack.Secure{Keys: keys}
				if over == stack.TLS {
					server.cert = &own
				}
			}, func(t *testing.T, w *world) {
				server.w = w
				var err error
				if server.l, err = w.net.Listen("203.0.113.5:5099"); err != nil {
					t.Fatal(err)
				}
				n := &notebook{}
				account := Trunk{
					Name: "account/1", Next: stack.Target{Transport: over, Host: "203.0.113.5", Port: 5099, Identity: "home.example"},
					Username: "gw", Password: "secret",
				}
				if err := w.edge.Join(account, Binding{AOR: "sip:mira@home.example"}, n.told); err != nil {
					t.Fatal(err)
				}
				p := server.accept()
				register := p.wants("REGISTER sip:home.example SIP/2.0\r\nVia: SIP/2.0/" + string(over) + " ")
				contact := field(register, "contact")
				if want := ";transport=" + strings.ToLower(string(over)) + ">;+sip.instance="; !strings.Contains(contact, want) {
					t.Errorf("Contact %s", contact)
				}
				const outbound = "\nRequire: outbound\nFlow-Timer: 30\nPath: <sip:edge.home.example;lr;ob>\nService-Route: <sip:edge.home.example;lr>"
				p.reply(register, "200 OK", "r1", "\nContact: "+contact+outbound, "")
				if got := n.last(); got != "up 200" {
					t.Errorf("it is %q", got)
				}
				if after := p.pings(); after < 24*time.Second || after > 30*time.Second {
					t.Errorf("a ping after %v", after)
				}
				if _, err := p.conn.Write([]byte("\r\n")); err != nil {
					t.Fatal(err)
				}

				w.calls.route = func(q gateway.Query) (gateway.Target, error) {
					return gateway.Target{}, &call.Refusal{Cause: call.Busy}
				}
				p.send("INVITE "+address(contact).URI+" SIP/2.0\nVia: SIP/2.0/"+string(over)+` 203.0.113.5:5099;branch=z9hG4bKa1
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=o55
To: <sip:mira@home.example>
Call-ID: a1@x
CSeq: 1 INVITE
Contact: <sip:otto@203.0.113.5:5099>`, theirSDP)
				p.wants("SIP/2.0 100 ")
				refusal := p.wants("SIP/2.0 486 ")
				p.send("ACK "+address(contact).URI+" SIP/2.0\nVia: SIP/2.0/"+string(over)+" 203.0.113.5:5099;branch=z9hG4bKa1\nMax-Forwards: 70\nFrom: <sip:otto@voip.example>;tag=o55\nTo: "+
					field(refusal, "to")+"\nCall-ID: a1@x\nCSeq: 1 ACK", "")
				if got := w.calls.queries[len(w.calls.queries)-1].Trunk; got != "account/1" {
					t.Errorf("it came from %s", got)
				}
				target := toOtto()
				target.Trunk = "account/1"
				c := w.dial(target)
				invite := p.wants("INVITE sip:otto@voip.example ")
				if got := field(invite, "route"); got != "<sip:edge.home.example;lr>" {
					t.Errorf("Route %s", got)
				}
				if got := field(invite, "contact"); !strings.Contains(got, ";transport="+strings.ToLower(string(over))) {
					t.Errorf("Contact %s", got)
				}
				p.reply(invite, "486 Busy Here", "b1", "", "")
				p.wants("ACK ")
				<-c.events

				for p.pings() < 20*time.Second { // of which the last stays without an answer
				}
				begun := time.Now()
				again := server.accept()
				if after := time.Since(begun); after < 11*time.Second || after > 14*time.Second {
					t.Errorf("made anew after %v", after)
				}
				next := again.wants("REGISTER ")
				if field(next, "call-id") != field(register, "call-id") || field(next, "contact") != contact || field(next, "cseq") != "2 REGISTER" {
					t.Errorf("got\n%s", next)
				}
				again.reply(next, "200 OK", "r1", "\nContact: "+contact, "")
				synctest.Wait()

				w.edge.Leave("account/1")
				bye := again.wants("REGISTER ")
				again.reply(bye, "200 OK", "r1", "", "")
				if got := n.last(); got != "down 0" {
					t.Errorf("it is %q", got)
				}
				p.close()
				again.close()
			})
		})
	}
}

// TestAccountAtAnother shows a certificate of somebody else: nothing is said to it.
func TestAccountAtAnother(t *testing.T) {
	var server flowServer
	playWith(t, func(o *Options) {
		own, file := certificateFor(t, "evil.example")
		keys, err := stack.ReadKeys(stack.KeyFiles{Roots: file}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		o.Stack.Secure, server.cert = &stack.Secure{Keys: keys}, &own
	}, func(t *testing.T, w *world) {
		server.w = w
		var err error
		if server.l, err = w.net.Listen("203.0.113.5:5061"); err != nil {
			t.Fatal(err)
		}
		n := &notebook{}
		account := Trunk{Name: "account/1", Next: stack.Target{Transport: stack.TLS, Host: "203.0.113.5", Identity: "home.example"}, Username: "gw", Password: "secret"}
		if err := w.edge.Join(account, Binding{AOR: "sip:mira@home.example"}, n.told); err != nil {
			t.Fatal(err)
		}
		p := server.accept()
		if b, err := p.r.ReadByte(); err == nil {
			t.Errorf("it hears %q", b)
		}
		if got := n.last(); got != "failing 0 the registrar does not answer" {
			t.Errorf("it is %q", got)
		}
		p.close()
		w.edge.Leave("account/1")
	})
}
