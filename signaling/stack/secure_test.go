package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/resolve"
	"sipxmppgw/test/memnet"
)

// A vault is a stack with TLS and WebSocket beside UDP and TCP, and the authority of both sides.
type vault struct {
	*bed
	*authority
}

// at returns where the stack listens for a transport.
func at(tr Transport) string {
	return map[Transport]string{UDP: ours, TCP: ours, TLS: "192.0.2.1:5061", WS: "192.0.2.1:80", WSS: "192.0.2.1:443"}[tr]
}

func newVault(t *testing.T, o Options) *vault {
	t.Helper()
	v := &vault{bed: &bed{t: t, net: memnet.New()}, authority: newAuthority(t)}
	for _, tr := range []Transport{TCP, TLS, WS, WSS} {
		l, err := v.net.Listen(at(tr))
		if err != nil {
			t.Fatal(err)
		}
		o.Listeners = append(o.Listeners, Listener{Transport: tr, Stream: l})
	}
	if o.Allowed == nil {
		o.Allowed = func(remote netip.AddrPort, _ Transport) bool {
			return remote.Addr() == netip.MustParseAddr("192.0.2.2")
		}
	}
	if o.Secure == nil {
		o.Secure = &Secure{Keys: v.keys(paper{dns: []string{"gw.example.org"}})}
	} else if o.Secure.Keys == nil {
		o.Secure.Keys = v.keys(paper{dns: []string{"gw.example.org"}})
	}
	o.Dial = func(ctx context.Context, _ Transport, remote netip.AddrPort) (net.Conn, error) {
		return v.net.Dial(ctx, netip.MustParseAddr("192.0.2.1"), remote)
	}
	var err error
	if v.stack, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.stack.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return v
}

// dial connects a peer at 192.0.2.2 to the stack, without any handshake.
func (v *vault) dial(tr Transport) net.Conn {
	v.bed.t.Helper()
	c, err := v.net.Dial(context.Background(), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddrPort(at(tr)))
	if err != nil {
		v.bed.t.Fatal(err)
	}
	v.bed.t.Cleanup(func() { c.Close() })
	return c
}

// secure connects over TLS, with a certificate if there is one. The handshake is still to be.
func (v *vault) secure(own ...tls.Certificate) *line {
	v.bed.t.Helper()
	return newLine(v.bed.t, tls.Client(v.dial(TLS), &tls.Config{
		RootCAs: v.pool(), ServerName: "gw.example.org", Certificates: own,
	}))
}

// A server takes connections over TLS at the peer's port 5061.
type tlsPeer struct {
	*memnet.Listener
	v    *vault
	conf *tls.Config
	sni  string
	conn *tls.Conn
}

func (v *vault) server(c tls.Certificate) *tlsPeer {
	v.bed.t.Helper()
	l, err := v.net.Listen("192.0.2.2:5061")
	if err != nil {
		v.bed.t.Fatal(err)
	}
	v.bed.t.Cleanup(func() { l.Close() })
	p := &tlsPeer{Listener: l, v: v}
	p.conf = &tls.Config{
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: v.pool(),
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			p.sni = h.ServerName
			return &c, nil
		},
	}
	return p
}

// take accepts one connection and makes its handshake.
func (p *tlsPeer) take() (*line, error) {
	c, err := p.Accept()
	if err != nil {
		return nil, err
	}
	p.conn = tls.Server(c, p.conf)
	p.v.bed.t.Cleanup(func() { c.Close() })
	if err := p.conn.HandshakeContext(p.v.bed.t.Context()); err != nil {
		c.Close()
		return nil, err
	}
	return newLine(p.v.bed.t, p.conn), nil
}

func over(tr Transport, s string) string {
	return strings.Replace(s, "SIP/2.0/UDP", "SIP/2.0/"+string(tr), 1)
}

// TestCertificateMatrix: the certificates of papers, shown to us by a server and by a client.
func TestCertificateMatrix(t *testing.T) {
	for _, tt := range papers {
		t.Run(tt.name, func(t *testing.T) {
			for _, wild := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					seen := map[bool]string{}
					v := newVault(t, Options{
						Secure:    &Secure{Wildcards: wild},
						OnRequest: answering(t),
						Allowed:   func(netip.AddrPort, Transport) bool { return false },
						Identified: func(p Peer) bool {
							return covers(p.Domains, "voip.example.net", false)
						},
					})
					issuer := v.authority
					if tt.fromElse {
						issuer = newAuthority(t)
					}
					c := issuer.issue(tt.paper)
					if tt.root {
						v.stack.o.Secure.Keys.roots = v.pool(c)
					}
					// We call it.
					p := v.server(c)
					var j journal
					v.stack.Request(build(sip.OPTIONS, "a"), Target{Transport: TLS, Host: "192.0.2.2", Identity: "voip.example.net"}, j.on)
					l, err := p.take()
					if err == nil {
						// The client's check comes after the server's handshake in TLS 1.3.
						l.SetReadDeadline(time.Now().Add(time.Second))
						if _, err = l.r.Peek(1); err == nil {
							l.send(reply(l.want("OPTIONS"), "200 OK", "x"))
						}
					}
					want := map[bool]string{true: "200", false: "transport"}
					if seen[true] = j.take(); seen[true] != want[tt.out && !wild || tt.wild && wild] {
						t.Errorf("wildcards %v, we call it: %q, %v", wild, seen[true], err)
					}
					if wild {
						return
					}
					// It calls us, from an address that nobody knows.
					in := v.secure(c)
					if tt.in {
						in.send(over(TLS, request("OPTIONS", "b")))
						in.want("SIP/2.0 200")
						return
					}
					in.SetDeadline(time.Now().Add(time.Minute))
					_, _ = io.WriteString(in, wire(over(TLS, request("OPTIONS", "b"))))
					if b, err := in.r.Peek(1); err == nil || v.stack.Stats().Strangers != 1 {
						t.Errorf("it calls us: got %q, %+v; want the end", b, v.stack.Stats())
					}
				})
			}
		})
	}
}

// TestSecureConnection: SNI is the domain before SRV, and both sides show who they are.
func TestSecureConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var peers []Peer
		z := &zones{targets: map[resolve.Query][]resolve.Target{{Host: "voip.example.net"}: {
			{Addr: netip.MustParseAddrPort("192.0.2.2:5061"), Transport: resolve.TLS, Name: "voip.example.net"},
		}}}
		v := newVault(t, Options{Locate: z, OnRequest: func(tx *ServerTx) {
			peers = append(peers, tx.Peer())
			answering(t)(tx)
		}})
		p := v.server(v.issue(paper{dns: []string{"voip.example.net", "other.example.net"}}))
		var j journal
		v.stack.Request(build(sip.OPTIONS, "a"), Target{Host: "voip.example.net"}, j.on)
		l, err := p.take()
		if err != nil {
			t.Fatal(err)
		}
		msg := l.want("OPTIONS")
		if via := field(msg, "Via"); !strings.HasPrefix(via, "SIP/2.0/TLS 192.0.2.1:5061;branch=") || !strings.HasSuffix(via, ";alias") {
			t.Errorf("Via is %q", via)
		}
		if p.sni != "voip.example.net" {
			t.Errorf("SNI is %q", p.sni)
		}
		if own := p.conn.ConnectionState().PeerCertificates; len(own) != 1 || own[0].DNSNames[0] != "gw.example.org" {
			t.Errorf("we have shown %v", own)
		}
		l.send(reply(msg, "200 OK", "x"))
		synctest.Wait()
		if to := j.events[0].Target; to.Identity != "voip.example.net" {
			t.Errorf("what follows goes to %+v", to)
		}
		if got := j.take(); got != "200" {
			t.Errorf("got %q", got)
		}
		// The peer's requests over the connection are those of who it has proved to be.
		l.send(over(TLS, request("OPTIONS", "b")))
		l.want("SIP/2.0 200")
		if len(peers) != 1 || strings.Join(peers[0].Domains, " ") != "voip.example.net other.example.net" {
			t.Errorf("requests of %+v", peers)
		}
		// The same connection is good for the other name, and for no third.
		v.stack.Request(build(sip.OPTIONS, "c"), Target{Transport: TLS, Host: "192.0.2.2", Identity: "OTHER.example.net."}, j.on)
		l.want("OPTIONS")
		v.stack.Request(build(sip.OPTIONS, "d"), Target{Transport: TLS, Host: "192.0.2.2", Identity: "third.example.net"}, j.on)
		if other, err := p.take(); err == nil {
			other.ended()
		}
		if got := j.take(); got != "transport" {
			t.Errorf("got %q, want that the third is not there", got)
		}
		if st := v.stack.Stats(); st.ConnsBy[TLS] != 1 || st.Handshakes != 1 {
			t.Errorf("%+v, want one connection and one that failed", st)
		}
	})
}

// TestAlias: a peer that has proved who it is, and says where it listens, has its connection
// used for requests to it (RFC 5923).
func TestAlias(t *testing.T) {
	tests := []struct {
		name     string
		paper    *paper
		via      string
		identity string
		reused   bool
	}{
		{"proved and offered", &paper{dns: []string{"voip.example.net"}}, "192.0.2.2:5061;alias", "voip.example.net", true},
		{"not offered", &paper{dns: []string{"voip.example.net"}}, "192.0.2.2:5061", "voip.example.net", false},
		{"for another name", &paper{dns: []string{"voip.example.net"}}, "192.0.2.2:5061;alias", "example.com", false},
		{"for another port", &paper{dns: []string{"voip.example.net"}}, "192.0.2.2:5071;alias", "voip.example.net", false},
		{"no certificate", nil, "192.0.2.2:5061;alias", "voip.example.net", false},
		{"certificate that proves nothing", &paper{dns: []string{"voip.example.net"}, self: true}, "192.0.2.2:5061;alias", "voip.example.net", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t, Options{OnRequest: answering(t)})
				var own []tls.Certificate
				if tt.paper != nil {
					own = append(own, v.issue(*tt.paper))
				}
				l := v.secure(own...)
				l.send(strings.Replace(over(TLS, request("OPTIONS", "a")), "192.0.2.2:5060", tt.via, 1))
				l.want("SIP/2.0 200")
				var j journal
				v.stack.Request(build(sip.OPTIONS, "b"), Target{Transport: TLS, Host: "192.0.2.2", Identity: tt.identity}, j.on)
				synctest.Wait()
				if !tt.reused {
					if got := j.take(); got != "transport" {
						t.Errorf("got %q, want that nobody listens", got)
					}
					return
				}
				msg := l.want("OPTIONS")
				if via := field(msg, "Via"); strings.Contains(via, "alias") {
					t.Errorf("Via is %q", via)
				}
				l.Close()
				synctest.Wait()
				v.stack.Request(build(sip.OPTIONS, "c"), Target{Transport: TLS, Host: "192.0.2.2", Identity: tt.identity}, j.on)
				if got := j.take(); got != "transport transport" {
					t.Errorf("got %q, want that it is gone", got)
				}
			})
		})
	}
}

// TestFlow: a request goes over the connection that the peer has opened, as long as there is one.
func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, Options{OnRequest: answering(t)})
		any := func(Peer) bool { return true }
		if _, ok := v.stack.Flow(any); ok {
			t.Error("a flow that nobody has opened")
		}
		idle := v.secure()
		synctest.Wait() // no handshake yet
		if _, ok := v.stack.Flow(any); ok {
			t.Error("a flow before the handshake")
		}
		l := v.secure()
		l.send(over(TLS, request("OPTIONS", "a")))
		l.want("SIP/2.0 200")
		to, ok := v.stack.Flow(any)
		if !ok || to.Transport != TLS {
			t.Fatalf("got %+v, %v", to, ok)
		}
		if _, ok := v.stack.Flow(func(p Peer) bool { return len(p.Domains) > 0 }); ok {
			t.Error("a flow of someone else")
		}
		var j journal
		v.stack.Request(build(sip.OPTIONS, "b"), to, j.on)
		l.send(reply(l.want("OPTIONS"), "200 OK", "x"))
		if got := j.take(); got != "200" {
			t.Errorf("got %q", got)
		}
		idle.Close()
		l.Close()
		synctest.Wait()
		v.stack.Request(build(sip.OPTIONS, "c"), to, j.on)
		if got := j.take(); got != "transport" {
			t.Errorf("got %q, want that it is gone", got)
		}
	})
}

// TestHandshakesThatAreClosed: who does not finish the handshake has no more time than a
// message has, and its place counts.
func TestHandshakesThatAreClosed(t *testing.T) {
	slowly := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			for i := range text {
				if _, err := c.Write([]byte{text[i]}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}
	}
	tests := []struct {
		name  string
		over  Transport
		play  func(net.Conn)
		after time.Duration
	}{
		{"silent", TLS, func(net.Conn) {}, 10 * time.Second},
		{"a byte a second", TLS, slowly("\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03aaaaaaaaaaaaaaa"), 10 * time.Second},
		{"no TLS", TLS, func(c net.Conn) { io.WriteString(c, wire(request("OPTIONS", "a"))) }, 0},
		{"silent", WS, func(net.Conn) {}, 10 * time.Second},
		{"a byte a second", WS, slowly("GET / HTTP/1.1\r\nHost: gw.example.org\r\n"), 10 * time.Second},
		{"no WebSocket", WS, func(c net.Conn) { io.WriteString(c, wire(request("OPTIONS", "a"))) }, 0},
		{"a request without end", WS, func(c net.Conn) {
			io.WriteString(c, "GET / HTTP/1.1\r\n"+strings.Repeat("X: y\r\n", 3000))
		}, 0},
		{"silent", WSS, func(net.Conn) {}, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(string(tt.over)+" "+tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t, Options{Limits: Limits{SourceConns: 1}, OnRequest: func(*ServerTx) { t.Error("a request came through") }})
				start := time.Now()
				c := v.dial(tt.over)
				synctest.Wait()
				if tt.after > 0 { // its place is taken
					if second := newLine(t, v.dial(tt.over)); second.ended() != 0 {
						t.Error("a second connection was let in")
					}
				}
				var playing sync.WaitGroup
				defer playing.Wait()
				playing.Go(func() { tt.play(c) })
				c.SetReadDeadline(start.Add(time.Hour))
				_, _ = io.ReadAll(c) // what it says meanwhile is no matter
				if d := time.Since(start); d != tt.after {
					t.Errorf("closed after %v, want %v", d, tt.after)
				}
				synctest.Wait()
				if st := v.stack.Stats(); st.ConnsSlow+st.Handshakes != 1 || st.Conns != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestHandshakesOfStrangers: nobody has us make more of them than its pace allows.
func TestHandshakesOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, Options{
			Allowed:    func(netip.AddrPort, Transport) bool { return false },
			Identified: func(Peer) bool { return false },
		})
		for range 90 {
			v.dial(TLS)
		}
		synctest.Wait()
		if st := v.stack.Stats(); st.Conns != 40 || st.ConnsOver != 50 {
			t.Errorf("%d connections, %d refused; want 40 and 50", st.Conns, st.ConnsOver)
		}
	})
}

// TestCertifiedLater: while nobody is known by a certificate, strangers make us no handshake; once
// somebody is, they do.
func TestCertifiedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known atomic.Bool
		v := newVault(t, Options{
			Allowed:    func(netip.AddrPort, Transport) bool { return false },
			Identified: func(Peer) bool { return false },
			Certified:  known.Load,
			Screen:     &Screen{On: func() bool { return false }, Open: func(netip.Addr) bool { return true }},
		})
		v.dial(TLS)
		synctest.Wait()
		if st := v.stack.Stats(); st.Conns != 0 || st.Strangers != 1 {
			t.Errorf("before, %d connections of %d strangers", st.Conns, st.Strangers)
		}
		known.Store(true)
		v.dial(TLS)
		synctest.Wait()
		if st := v.stack.Stats(); st.Conns != 1 || st.Strangers != 1 {
			t.Errorf("after, %d connections, %d strangers", st.Conns, st.Strangers)
		}
	})
}

func TestLeastVersion(t *testing.T) {
	for _, tt := range []struct {
		least, most uint16
		good        bool
	}{
		{0, tls.VersionTLS11, false}, {0, tls.VersionTLS12, true}, {tls.VersionTLS13, tls.VersionTLS12, false}, {tls.VersionTLS13, tls.VersionTLS13, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := newVault(t, Options{Secure: &Secure{MinVersion: tt.least}})
			c := tls.Client(v.dial(TLS), &tls.Config{RootCAs: v.pool(), ServerName: "gw.example.org", MinVersion: tls.VersionTLS10, MaxVersion: tt.most})
			if err := c.HandshakeContext(t.Context()); (err == nil) != tt.good {
				t.Errorf("least %x, most %x: %v", tt.least, tt.most, err)
			}
		})
	}
}

// TestCertificatesAreReadAgain: new files hold for the next connection, and bad ones change
// nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		dir := t.TempDir()
		k, err := ReadKeys(a.write(dir, a.issue(paper{dns: []string{"gw.example.org", "first.example.org"}})), nil)
		if err != nil {
			t.Fatal(err)
		}
		v := newVault(t, Options{Secure: &Secure{Keys: k}})
		v.authority = a
		shown := func() string {
			t.Helper()
			c := tls.Client(v.dial(TLS), &tls.Config{RootCAs: a.pool(), ServerName: "gw.example.org"})
			if err := c.HandshakeContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0].DNSNames[1]
		}
		if got := shown(); got != "first.example.org" {
			t.Errorf("got %s", got)
		}
		a.write(dir, a.issue(paper{dns: []string{"gw.example.org", "second.example.org"}, until: 2 * time.Hour}))
		time.Sleep(2 * time.Second)
		if got := shown(); got != "second.example.org" {
			t.Errorf("got %s after the files changed", got)
		}
		if left := time.Until(k.Until()); left < 119*time.Minute || left > 2*time.Hour {
			t.Errorf("%v left", left)
		}
		if err := os.WriteFile(dir+"/cert.pem", []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := shown(); got != "second.example.org" {
			t.Errorf("got %s after the file was spoilt", got)
		}
	})
}

// TestNames: of several certificates the one is shown that has the name a client asks for, and the
// first to who asks for none, or for one that nobody has.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		files := a.write(t.TempDir(), a.issue(paper{name: "first", dns: []string{"gw.example.org"}, until: 3 * time.Hour}))
		for i, p := range []paper{
			{name: "second", dns: []string{"sip.example.net"}},
			{name: "third", uris: []string{"sip:example.com"}, dns: []string{"host.example.com"}, until: 2 * time.Hour},
			{name: "fourth", dns: []string{"*.example.edu"}, until: 2 * time.Hour},
		} {
			f := a.write(t.TempDir(), a.issue(p))
			files.Further = append(files.Further, KeyPair{f.Certificate, f.Key})
			if i == 0 {
				files.Roots = f.Roots
			}
		}
		k, err := ReadKeys(files, nil)
		if err != nil {
			t.Fatal(err)
		}
		v := newVault(t, Options{Secure: &Secure{Keys: k}})
		shown := func(name string) string {
			t.Helper()
			c := tls.Client(v.dial(TLS), &tls.Config{InsecureSkipVerify: true, ServerName: name})
			if err := c.HandshakeContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
		for _, tt := range []struct{ name, want string }{
			{"gw.example.org", "first"},
			{"SIP.example.net", "second"},
			{"example.com", "third"},
			{"host.example.com", "third"},
			{"voip.example.edu", "fourth"},
			{"elsewhere.example", "first"},
			{"", "first"},
			{"192.0.2.1", "first"}, // no name: it is not sent
		} {
			if got := shown(tt.name); got != tt.want {
				t.Errorf("%q is shown the %s, want the %s", tt.name, got, tt.want)
			}
		}
		if left := time.Until(k.Until()); left > time.Hour {
			t.Errorf("the first to end is said to have %v left", left)
		}
		// One of them that is renewed, and then one that is spoilt.
		renewed := a.issue(paper{name: "fifth", dns: []string{"sip.example.net"}, until: 2 * time.Hour})
		a.write(filepath.Dir(files.Further[0].Certificate), renewed)
		time.Sleep(2 * time.Second)
		if got := shown("sip.example.net"); got != "fifth" {
			t.Errorf("after it was renewed the %s is shown", got)
		}
		if err := os.WriteFile(files.Further[1].Certificate, []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := shown("example.com"); got != "third" {
			t.Errorf("after it was spoilt the %s is shown", got)
		}
	})
}

func TestNoTLSWithoutCertificate(t *testing.T) {
	n := memnet.New()
	l, err := n.Listen(at(TLS))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := New(Options{Listeners: []Listener{{Transport: TLS, Stream: l}}}); err == nil || !strings.Contains(err.Error(), "no certificate for TLS") {
		t.Errorf("got %v", err)
	}
}
