package signaling

import (
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/torture"
)

// transports are those that hostile messages come over.
var transports = []string{"UDP", "TCP", "TLS"}

// An outside is an edge on real sockets, with a trunk at the loopback address whose calls
// nobody takes.
type outside struct {
	edge  *Edge
	calls *fakeCalls
	at    map[string]string // by transport
}

// newOutside opens the sockets; change, if there is one, is for the options.
func newOutside(t *testing.T, change func(*Options)) *outside {
	t.Helper()
	var files stack.KeyFiles
	var err error
	if files.Certificate, files.Key, err = torture.Certificate(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	files.Roots = files.Certificate
	keys, err := stack.ReadKeys(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w := &outside{calls: newFakeCalls(), at: map[string]string{}}
	w.calls.refuse = &call.Refusal{Cause: call.Busy}
	o := Options{
		Calls: w.calls,
		Host:  "gw.example.org",
		Log:   slog.New(slog.DiscardHandler),
	}
	for _, transport := range []stack.Transport{stack.UDP, stack.TLS, stack.WS, stack.WSS} {
		o.Trunks = append(o.Trunks, Trunk{
			Name: "pbx" + string(transport), Next: stack.Target{Transport: transport, Host: "127.0.0.1", Port: 5060},
			Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		})
	}
	o.Stack.Secure = &stack.Secure{Keys: keys}
	o.Stack.Limits.Message = time.Second
	packet, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Stack.Listeners = []stack.Listener{{Transport: stack.UDP, Packet: packet}}
	w.at["UDP"] = packet.LocalAddr().String()
	for _, transport := range []stack.Transport{stack.TCP, stack.TLS, stack.WS, stack.WSS} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o.Stack.Listeners = append(o.Stack.Listeners, stack.Listener{Transport: transport, Stream: l})
		w.at[string(transport)] = l.Addr().String()
	}
	if change != nil {
		change(&o)
	}
	before := runtime.NumGoroutine()
	if w.edge, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.edge.Close(); err != nil {
			t.Error(err)
		}
		w.calls.close()
		for over := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(over) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
		}
	})
	return w
}

// peer connects a peer of the trunk.
func (w *outside) peer(t *testing.T, transport, id string) *torture.Peer {
	t.Helper()
	p, err := torture.Dial(transport, "127.0.0.1", w.at[transport], id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// TestTorture plays every case of RFC 4475 and RFC 5118, and the others, at the listening sockets.
// Each has its answer and no other, a call begins only where one may, and the next request is answered.
func TestTorture(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			w := newOutside(t, nil)
			var p *torture.Peer
			for _, c := range torture.Cases() {
				if p != nil && transport != "UDP" {
					p.Close()
				}
				if p == nil || transport != "UDP" {
					p = w.peer(t, transport, "torture-"+c.Name)
				}
				asked := w.calls.asked()
				got, err := p.Play(c)
				if err != nil {
					t.Fatalf("%s: %v", c.Name, err)
				}
				if problem := c.Problem(got, transport != "UDP", 486); problem != "" {
					t.Errorf("%s: %s", c.Name, problem)
				}
				if begun, may := w.calls.asked() > asked, c.Calls(transport != "UDP"); begun != may {
					t.Errorf("%s: a call was begun: %v, want %v", c.Name, begun, may)
				}
			}
			st := w.edge.Stats()
			if st.Stack.Panics != 0 || st.Stack.Unparsed != 0 || st.Stack.Refused != 0 || st.Dialogs != 0 {
				t.Errorf("got %+v", st)
			}
		})
	}
}

// asked is how often a route was asked for.
func (f *fakeCalls) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queries)
}
