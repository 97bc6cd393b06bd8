package msrp

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/test/memnet"
)

var (
	usAddr   = netip.MustParseAddr("192.0.2.1")
	peerAddr = netip.MustParseAddr("198.51.100.9")
)

// A witness keeps the events of a session.
type witness struct {
	mu  sync.Mutex
	got []Event
}

func (w *witness) take(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, e)
}

// texts are the events as words, and forgets them.
func (w *witness) texts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, e := range w.got {
		switch e := e.(type) {
		case Received:
			all = append(all, fmt.Sprintf("received %s %s %v", e.ID, e.Body, e.Success))
			e.Answer(200)
		case Renaming:
			all = append(all, "renaming "+e.Name)
			e.Answer(425)
		case Lost:
			all = append(all, "lost")
		default:
			all = append(all, strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T%v", e, e), "msrp.")))
		}
	}
	w.got = nil
	return strings.Join(all, ", ")
}

// counter returns names in order.
func counter(prefix string) func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprintf("%s%04d", prefix, n)
	}
}

func endpoint(t *testing.T, network *memnet.Net, at netip.Addr, o Options) *Endpoint {
	t.Helper()
	l, err := network.Listen(netip.AddrPortFrom(at, 2855).String())
	if err != nil {
		t.Fatal(err)
	}
	o.Plain = []net.Listener{l}
	o.NewID = counter("id")
	o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		return network.Dial(ctx, at, to)
	}
	return New(o)
}

func open(t *testing.T, e *Endpoint, at netip.Addr) (*Session, *witness) {
	t.Helper()
	w := &witness{}
	s, err := e.Open(false, at, w.take)
	if err != nil {
		t.Fatal(err)
	}
	return s, w
}

func TestTwoEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		us, peer := endpoint(t, network, usAddr, Options{}), endpoint(t, network, peerAddr, Options{})
		defer us.Close()
		defer peer.Close()
		a, atA := open(t, us, usAddr)
		b, atB := open(t, peer, peerAddr)
		a.Connect(Peer{Path: []URI{b.Path()}, Active: true})
		b.Connect(Peer{Path: []URI{a.Path()}})
		synctest.Wait()
		expect(t, atA, "bound{}")
		expect(t, atB, "bound{}")

		a.Send(Outgoing{ID: "mess1", Type: "text/plain", Body: []byte("hello"), Success: true})
		synctest.Wait()
		expect(t, atB, "received mess1 hello true")
		b.Report("mess1", 5, 200)
		synctest.Wait()
		expect(t, atA, "sent{mess1 200}, reported{mess1 200}")

		// A long one goes in pieces, and one behind it stays behind it.
		long := strings.Repeat("0123456789", 900)
		a.Send(Outgoing{ID: "mess2", Type: "text/plain", Body: []byte(long)})
		a.Send(Outgoing{ID: "mess3", Type: "text/plain", Body: []byte("last"), Failure: "no"})
		synctest.Wait()
		expect(t, atB, "received mess2 "+long+" false, received mess3 last false")
		synctest.Wait()
		if got := atA.texts(); !strings.Contains(got, "sent{mess2 200}") || !strings.Contains(got, "sent{mess3 200}") {
			t.Errorf("got %s", got)
		}
		a.Rename("Mira")
		synctest.Wait()
		expect(t, atB, "renaming Mira")
		synctest.Wait()
		expect(t, atA, "renamed{425}")

		b.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, atA, "lost")
		expect(t, atB, "")
		for _, e := range []*Endpoint{us, peer} {
			if s, c := e.Active(); s != 0 || c != 0 {
				t.Errorf("%d sessions and %d connections are left", s, c)
			}
		}
	})
}

func expect(t *testing.T, w *witness, want string) {
	t.Helper()
	if got := w.texts(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A typist is a peer who types what is sent.
type typist struct {
	t  *testing.T
	nc net.Conn
	r  *Reader
}

func connect(t *testing.T, network *memnet.Net, from string) *typist {
	t.Helper()
	nc, err := network.Dial(context.Background(), netip.MustParseAddr(from), netip.AddrPortFrom(usAddr, 2855))
	if err != nil {
		t.Fatal(err)
	}
	return &typist{t, nc, NewReader(nc)}
}

func (p *typist) types(text string) {
	p.t.Helper()
	if _, err := p.nc.Write([]byte(wire(text))); err != nil {
		p.t.Fatal(err)
	}
}

func (p *typist) reads() string {
	p.t.Helper()
	_ = p.nc.SetReadDeadline(time.Now().Add(time.Minute))
	m, _, err := read(p.t, p.r, 100000)
	if err != nil {
		return err.Error()
	}
	return show(m)
}

func TestWhatAPeerDoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		us := endpoint(t, network, usAddr, Options{MaxSize: 100})
		defer us.Close()
		s, w := open(t, us, usAddr)
		to := "To-Path: " + s.Path().Text + "\n"
		from := "From-Path: msrp://198.51.100.9:9/peer;tcp\n"
		s.Connect(Peer{Path: must(t, "msrp://198.51.100.9:9/peer;tcp")})

		p := connect(t, network, "198.51.100.9")
		p.types("MSRP aaaa SEND\nTo-Path: msrp://192.0.2.1:2855/other;tcp\n" + from + "Message-ID: m001\n-------aaaa$\n")
		if got := p.reads(); !strings.HasPrefix(got, "481") {
			t.Errorf("no such session: %s", got)
		}
		p.types("MSRP aaaa SEND\n" + to + "From-Path: msrp://198.51.100.9:9/guess;tcp\nMessage-ID: m001\n-------aaaa$\n")
		if got := p.reads(); !strings.HasPrefix(got, "481") {
			t.Errorf("a stranger: %s", got)
		}
		p.types("MSRP aaaa SEND\n" + to + from + "Message-ID: m001\n-------aaaa$\n")
		if got := p.reads(); !strings.HasPrefix(got, "200") {
			t.Errorf("the peer: %s", got)
		}
		expect(t, w, "bound{}")

		// A second connection does not get the session.
		q := connect(t, network, "198.51.100.9")
		q.types("MSRP aaaa SEND\n" + to + from + "Message-ID: m001\n-------aaaa$\n")
		if got := q.reads(); !strings.HasPrefix(got, "506") {
			t.Errorf("a second connection: %s", got)
		}
		_ = q.nc.Close()

		// Too much is refused before it has come, and what follows is read.
		p.types("MSRP bbbb SEND\n" + to + from + "Message-ID: m002\nByte-Range: 1-2000/2000\nContent-Type: text/plain\n\n")
		if got := p.reads(); !strings.HasPrefix(got, "413") {
			t.Errorf("too much: %s", got)
		}
		p.types("some of it\n-------bbbb#\nMSRP bbbc SEND\n" + to + from + "Message-ID: m003\nByte-Range: 1-*/*\nContent-Type: text/plain\n\n" + strings.Repeat("x", 200) + "\n-------bbbc$\n")
		if got := p.reads(); !strings.HasPrefix(got, "413") {
			t.Errorf("more than it said: %s", got)
		}
		p.types("MSRP cccc SEND\n" + to + from + "Message-ID: m004\nFailure-Report: no\nByte-Range: 1-2000/2000\nContent-Type: text/plain\n\nx\n-------cccc$\nMSRP cccd WHAT\n" + to + from + "-------cccd$\n")
		if got := p.reads(); !strings.HasPrefix(got, "501") {
			t.Errorf("an unknown method: %s", got)
		}
		p.types("MSRP dddd SEND\n" + to + from + "Message-ID: m005\nByte-Range: 7-2/4\n-------dddd$\n")
		if got := p.reads(); !strings.HasPrefix(got, "400") {
			t.Errorf("a range that is none: %s", got)
		}
		expect(t, w, "")
		p.types("GET / HTTP/1.1\n\n")
		if got := p.reads(); got != "EOF" {
			t.Errorf("no MSRP: %s", got)
		}
		synctest.Wait()
		expect(t, w, "lost")
	})
}

func must(t *testing.T, path string) []URI {
	t.Helper()
	p, ok := ParsePath(path)
	if !ok {
		t.Fatal(path)
	}
	return p
}

// The answerer may connect before its answer is here.
func TestEarlyConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		us := endpoint(t, network, usAddr, Options{})
		defer us.Close()
		for _, name := range []string{"peer", "thief"} {
			s, w := open(t, us, usAddr)
			p := connect(t, network, "198.51.100.9")
			p.types("MSRP aaaa SEND\nTo-Path: " + s.Path().Text + "\nFrom-Path: msrp://198.51.100.9:9/" + name + ";tcp\nMessage-ID: m001\n-------aaaa$\n")
			if got := p.reads(); !strings.HasPrefix(got, "200") {
				t.Errorf("%s: %s", name, got)
			}
			expect(t, w, "")
			s.Connect(Peer{Path: must(t, "msrp://198.51.100.9:9/peer;tcp")})
			if name == "peer" {
				expect(t, w, "bound{}")
			} else {
				expect(t, w, "lost")
			}
			_ = p.nc.Close()
		}
	})
}

// One who does not read loses the connection; others do not notice.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		us, peer := endpoint(t, network, usAddr, Options{}), endpoint(t, network, peerAddr, Options{})
		defer us.Close()
		defer peer.Close()
		slow, atSlow := open(t, us, usAddr)
		slow.Connect(Peer{Path: must(t, "msrp://198.51.100.9:9/slow;tcp")})
		p := connect(t, network, "198.51.100.9")
		p.types("MSRP aaaa SEND\nTo-Path: " + slow.Path().Text + "\nFrom-Path: msrp://198.51.100.9:9/slow;tcp\nMessage-ID: m001\n-------aaaa$\n")
		synctest.Wait()
		expect(t, atSlow, "bound{}")
		sent := 0
		for slow.Send(Outgoing{ID: "mess1", Type: "text/plain", Body: make([]byte, 40000)}) {
			if sent++; sent > 10000 {
				t.Fatal("it takes everything")
			}
		}
		a, atA := open(t, us, usAddr)
		b, atB := open(t, peer, peerAddr)
		b.Connect(Peer{Path: []URI{a.Path()}})
		a.Connect(Peer{Path: []URI{b.Path()}, Active: true})
		a.Send(Outgoing{ID: "quick", Type: "text/plain", Body: []byte("hi")})
		synctest.Wait()
		expect(t, atB, "bound{}, received quick hi false")
		synctest.Wait()
		expect(t, atA, "bound{}, sent{quick 200}")
		time.Sleep(2 * time.Minute)
		if got := atSlow.texts(); !strings.Contains(got, "408") && !strings.Contains(got, "lost") {
			t.Errorf("nothing was said of the slow one: %s", got)
		}
	})
}

// Who says nothing on a connection, or opens too many, is put out.
func TestIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		us := endpoint(t, network, usAddr, Options{})
		defer us.Close()
		for range 40 {
			connect(t, network, "198.51.100.66")
		}
		synctest.Wait()
		if _, n := us.Active(); n != maxUnbound {
			t.Errorf("%d connections, want %d", n, maxUnbound)
		}
		time.Sleep(16 * time.Second)
		if _, n := us.Active(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func TestNoResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		us := endpoint(t, network, usAddr, Options{})
		defer us.Close()
		s, w := open(t, us, usAddr)
		s.Connect(Peer{Path: must(t, "msrp://198.51.100.9:9/peer;tcp")})
		p := connect(t, network, "198.51.100.9")
		p.types("MSRP aaaa SEND\nTo-Path: " + s.Path().Text + "\nFrom-Path: msrp://198.51.100.9:9/peer;tcp\nMessage-ID: m001\n-------aaaa$\n")
		p.reads()
		s.Send(Outgoing{ID: "mess1", Type: "text/plain", Body: []byte("hello")})
		go func() { // until the connection ends
			_, _ = bufio.NewReader(p.nc).WriteTo(discard{})
		}()
		time.Sleep(31 * time.Second)
		expect(t, w, "bound{}, sent{mess1 408}")
		_ = p.nc.Close()
	})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// Certificates that nobody has signed are known by their fingerprints, both ways.
func TestTLS(t *testing.T) {
	ends := map[string]*Endpoint{}
	for _, name := range []string{"us", "peer", "other"} {
		own, err := SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ends[name] = New(Options{Secure: []net.Listener{l}, Certificate: func() (*tls.Certificate, error) { return own, nil }})
		defer ends[name].Close()
	}
	for _, tt := range []struct {
		name              string
		expects, presents string // whose certificate each end believes in
		want              string
	}{
		{"both right", "peer", "us", "bound"},
		{"the server is another", "other", "us", "lost"},
		{"the client is another", "peer", "other", "lost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := make(chan Event, 16)
			a, err := ends["us"].Open(true, netip.MustParseAddr("127.0.0.1"), func(e Event) { told <- e })
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			b, err := ends["peer"].Open(true, netip.MustParseAddr("127.0.0.1"), func(e Event) {
				if r, ok := e.(Received); ok {
					r.Answer(200)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			b.Connect(Peer{Path: []URI{a.Path()}, Prints: []string{ends[tt.presents].Fingerprint()}})
			a.Connect(Peer{Path: []URI{b.Path()}, Active: true, Prints: []string{ends[tt.expects].Fingerprint()}})
			a.Send(Outgoing{ID: "mess1", Type: "text/plain", Body: []byte("hello")})
			for {
				switch e := (<-told).(type) {
				case Bound:
					continue
				case Sent:
					if tt.want != "bound" || e.Status != 200 {
						t.Errorf("sent %d", e.Status)
					}
				case Lost:
					if tt.want != "lost" {
						t.Errorf("lost: %v", e.Err)
					}
				}
				return
			}
		})
	}
}
