package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// serve runs a real DNS server over a zone, on one port of loopback over UDP and TCP, until the
// test is over. Answers over UDP are cut as the question allows.
func serve(t *testing.T, z *zone, garbage bool) (addr string, tcp *atomic.Int32) {
	t.Helper()
	packet, stream := pairOfSockets(t)
	tcp = new(atomic.Int32)
	answer := func(w dns.ResponseWriter, q *dns.Msg) {
		m, err := z.exchange(context.Background(), q, "loopback")
		if err != nil {
			return
		}
		if w.LocalAddr().Network() == "tcp" {
			tcp.Add(1)
		} else {
			size := dns.MinMsgSize
			if opt := q.IsEdns0(); opt != nil {
				size = int(opt.UDPSize())
			}
			m.Truncate(size)
			if garbage {
				other := m.Copy()
				other.Id++
				_ = w.WriteMsg(other) // as if somebody guessed
			}
		}
		_ = w.WriteMsg(m)
	}
	for _, s := range []*dns.Server{{PacketConn: packet}, {Listener: stream}} {
		s.Handler = dns.HandlerFunc(answer)
		ready, done := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(ready) }
		go func() { done <- s.ActivateAndServe() }() // ends with Shutdown
		<-ready
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
	return packet.LocalAddr().String(), tcp
}

// pairOfSockets listens over UDP and TCP at one port of the loopback address; others take ports too.
func pairOfSockets(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 20 {
		packet, failed := net.ListenPacket("udp", "127.0.0.1:0")
		if failed != nil {
			t.Fatal(failed)
		}
		var stream net.Listener
		if stream, err = net.Listen("tcp", packet.LocalAddr().String()); err == nil {
			return packet, stream
		}
		packet.Close()
	}
	t.Fatal(err)
	return nil, nil
}

// overNetwork returns a resolver that asks a real server.
func overNetwork(t *testing.T, servers ...string) *Resolver {
	t.Helper()
	r := New(Options{
		Servers: servers,
		Hosts:   func(context.Context, string) ([]netip.Addr, error) { return nil, nil },
		Rand:    func(int) int { return 0 },
	})
	t.Cleanup(r.Close)
	return r
}

func TestRealServer(t *testing.T) {
	z := newZone(t, domains)
	addr, tcp := serve(t, z, true)
	r := overNetwork(t, addr)
	for q, want := range map[Query]string{
		{Host: "example.org"}:                  "TCP 192.0.2.1:5060, TCP [2001:db8::1]:5060, TCP 192.0.2.2:5070",
		{Host: "moved.example.org"}:            "UDP 192.0.2.2:5062",
		{Host: "nobody.example.org"}:           "error: no name",
		{Host: "closed.example.org", Port: 77}: "UDP 192.0.2.60:77",
	} {
		if got := show(r.Lookup(t.Context(), q)); got != want {
			t.Errorf("%s: got %s, want %s", q.Host, got, want)
		}
	}
	if n := tcp.Load(); n != 0 || r.Stats().TCP != 0 {
		t.Errorf("%d answers over TCP", n)
	}
}

// TestTruncated: an answer that does not fit a datagram is had over TCP.
func TestTruncated(t *testing.T) {
	var text strings.Builder
	for i := range 16 {
		name := strings.Repeat("long", 12) + fmt.Sprint(i)
		fmt.Fprintf(&text, "_sip._udp.large SRV %d 0 5060 %s.%s\n", i, name, name)
		fmt.Fprintf(&text, "%s.%s A 192.0.2.%d\n", name, name, i+1)
	}
	addr, tcp := serve(t, newZone(t, text.String()), false)
	r := overNetwork(t, addr)
	a, err := r.Lookup(t.Context(), Query{Host: "large.example.org", Transport: UDP})
	if err != nil || len(a.Targets) != 16 {
		t.Errorf("got %s", show(a, err))
	}
	if n, st := tcp.Load(), r.Stats(); n != 1 || st.TCP != 1 {
		t.Errorf("%d answers over TCP, %+v", n, st)
	}
}

// TestTruncatedForGood: half an answer is none.
func TestTruncatedForGood(t *testing.T) {
	r := newResolver(t, nil, Options{Exchange: func(_ context.Context, q *dns.Msg, _ string) (*dns.Msg, error) {
		m := new(dns.Msg).SetReply(q)
		m.Truncated = true
		return m, nil
	}})
	if got := show(r.Lookup(t.Context(), one)); got != "error: no answer" {
		t.Errorf("got %s", got)
	}
}

// TestNobodyListens: a port without a server is found out at once, and the next one answers.
func TestNobodyListens(t *testing.T) {
	unused, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := unused.LocalAddr().String()
	unused.Close()
	addr, _ := serve(t, newZone(t, domains), false)
	r := overNetwork(t, dead, addr)
	start := time.Now()
	if got := show(r.Lookup(t.Context(), Query{Host: "srv.example.org", Transport: UDP})); got != "UDP 192.0.2.2:5062" {
		t.Errorf("got %s", got)
	}
	if d := time.Since(start); d >= tryTime {
		t.Errorf("took %v", d)
	}
}

// TestCloseWhileWaiting: a server that says nothing does not hold up Close.
func TestCloseWhileWaiting(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := overNetwork(t, silent.LocalAddr().String())
	got := make(chan string)
	go func() { got <- show(r.Lookup(context.Background(), one)) }()
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r.Close()
	if g := <-got; g != "error: closed" || time.Since(start) > tryTime/2 {
		t.Errorf("got %s after %v", g, time.Since(start))
	}
}

func TestServersOfTheSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "resolv.conf")
		r := New(Options{})
		defer r.Close()
		r.conf = file
		write := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rereadConf)
		}
		want := func(servers ...string) {
			t.Helper()
			if got := r.servers(); !slices.Equal(got, servers) {
				t.Errorf("got %v, want %v", got, servers)
			}
		}
		want("127.0.0.1:53") // there is no file
		write("# nothing\n")
		want("127.0.0.1:53")
		write("search example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver fe80::1%eth0\noptions rotate\n")
		want("192.0.2.53:53", "[2001:db8::53]:53", "[fe80::1%eth0]:53")
		write(strings.Repeat("nameserver 192.0.2.1\n", 20))
		if n := len(r.servers()); n != maxConf {
			t.Errorf("%d servers", n)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rereadConf)
		if n := len(r.servers()); n != maxConf {
			t.Errorf("forgot the servers when the file was away: %d", n)
		}
	})
}

// TestHostsOfTheSystem needs nothing but that localhost is what it is everywhere.
func TestHostsOfTheSystem(t *testing.T) {
	r := New(Options{Servers: []string{"127.0.0.1:1"}})
	defer r.Close()
	a, err := r.Lookup(t.Context(), Query{Host: "localhost", Port: 5070})
	if got := show(a, err); err != nil || !a.Targets[0].Addr.Addr().IsLoopback() {
		t.Errorf("got %s", got)
	}
	// A name with a dot is looked for in the file only: no question about it leaves.
	addrs, err := systemHosts(t.Context(), "nobody.invalid")
	if err != nil || len(addrs) != 0 {
		t.Errorf("got %v, %v", addrs, err)
	}
	if n := r.Stats().Queries; n != 0 {
		t.Errorf("%d questions to DNS", n)
	}
}
