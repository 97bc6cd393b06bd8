package main

import (
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// A returning is a client's stream that outlives its server: what a client does that logs
// in again as the same resource.
type returning struct {
	mu      sync.Mutex
	session *xmppserver.Session
	receive func(*element.Element)
}

func (r *returning) JID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.session.JID()
}

func (r *returning) Send(e *element.Element) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.session.Send(e)
}

func (r *returning) Receive(f func(*element.Element)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receive = f
	r.session.Receive(f)
}

// back logs in at another server, and is available there.
func (r *returning) back(t *testing.T, s *xmppserver.Server) {
	t.Helper()
	session, err := s.Login(r.JID())
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session = session
	session.Receive(r.receive)
	if err := session.Send(element.New("jabber:client", "presence")); err != nil {
		t.Fatal(err)
	}
}

// returningClient is a client that comes back after a restart.
func (w *world) returningClient(o jinglephone.Options) (*jinglephone.Phone, *returning) {
	w.t.Helper()
	session, err := w.server.Login(account(0) + "/phone")
	if err != nil {
		w.t.Fatal(err)
	}
	r := &returning{session: session}
	p := jinglephone.New(r, o)
	w.t.Cleanup(func() { leave(p) })
	return p, r
}

// restart puts another server in the place of the one that was closed.
func (w *world) restart(addr string) {
	w.t.Helper()
	var err error
	w.server, err = xmppserver.Listen(xmppserver.Options{
		Domain: testDomain, Addr: addr, Components: map[string]string{testGW: w.secret},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// connected waits until the gateway is connected anew, and returns how long that took.
func (w *world) connected(since time.Duration, connects uint64) time.Duration {
	w.t.Helper()
	if !poll(patience, func() bool {
		return w.d.tenants[0].stream.State().Up && w.d.tenants[0].stream.Stats().Connects >= connects
	}) {
		w.t.Fatalf("not connected again: %+v", w.d.tenants[0].stream.State())
	}
	return machine.now() - since
}

// A connection that is lost in a call is back soon, and nobody hears of it.
func TestStreamIsLostInCall(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{"", "system-shutdown", "not-well-formed"} {
		for _, ends := range []string{"phone", "client"} {
			t.Run(map[string]string{"": "in peace"}[condition]+condition+", then the "+ends+" hangs up", func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, setup{})
				c, callee := w.dial(0, w.client(0, "phone", conversations), 0)
				answered(t, c, callee)
				before := machine.now()
				w.server.Drop(testGW, condition)
				if took := w.connected(before, 2); took > 3*time.Second { // 1 s, were the machine ours alone
					t.Errorf("it took %v", took)
				}
				talk(t, c, callee)
				if ends == "phone" {
					hangUp(t, c, callee)
				} else {
					hangUp(t, callee, c)
				}
				faultless(t, c, callee)
				w.cause(0, call.Normal)
			})
		}
	}
}

// The server restarts in a call: speech goes on without the loss of a packet, and either
// side can hang up afterwards.
func TestServerRestartsInCall(t *testing.T) {
	t.Parallel()
	for _, ends := range []string{"phone", "client"} {
		t.Run("then the "+ends+" hangs up", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			client, stream := w.returningClient(conversations)
			c, callee := w.dial(0, client, 0)
			answered(t, c, callee)
			speak(t, c, callee)
			addr := w.server.Addr()
			w.server.Close()
			talk(t, c, callee) // nobody is there to signal, and nobody needs to
			w.restart(addr)
			up := machine.now()
			stream.back(t, w.server)
			if took := w.connected(up, 2); took > 6*time.Second { // the longest wait between two tries is 5 s
				t.Errorf("it took %v", took)
			}
			if ends == "phone" {
				hangUp(t, c, callee)
			} else {
				hangUp(t, callee, c)
			}
			w.cause(0, call.Normal)
		})
	}
}

// A phone that hangs up while the server is away is remembered: the client hears of it when
// the server is back.
func TestPhoneHangsUpWhileServerIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	client, stream := w.returningClient(conversations)
	c, callee := w.dial(0, client, 0)
	answered(t, c, callee)
	addr := w.server.Addr()
	w.server.Close()
	if !poll(patience, func() bool { return !w.d.tenants[0].stream.State().Up }) {
		t.Fatal("the gateway has not noticed")
	}
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	w.cause(0, call.Normal)
	w.restart(addr)
	stream.back(t, w.server)
	until(t, callee, phone.Ended)
	if end := callee.End(); end.Reason != "success" || !end.ByPeer {
		t.Errorf("the client saw %+v", end)
	}
}

// A caller that gives up while the server is away leaves no client ringing.
func TestPhoneGivesUpWhileServerIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	client, stream := w.returningClient(conversations)
	c, callee := w.dial(0, client, 0)
	until(t, c, phone.Ringing)
	addr := w.server.Addr()
	w.server.Close()
	if !poll(patience, func() bool { return !w.d.tenants[0].stream.State().Up }) {
		t.Fatal("the gateway has not noticed")
	}
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	w.cause(0, call.Cancelled)
	w.restart(addr)
	stream.back(t, w.server)
	until(t, callee, phone.Ended)
	if end := callee.End(); end.Reason != "cancel" || !end.ByPeer {
		t.Errorf("the client saw %+v", end)
	}
}

// While the server is away a new call is refused at once, with a time to try again.
func TestPhoneCallsWhileServerIsAway(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var refusal string
	w := newWorld(t, setup{phones: []behind{{phone: sipphone.Options{Trace: func(m sipphone.Message) {
		mu.Lock()
		defer mu.Unlock()
		if !m.Sent && len(m.Raw) > 11 && m.Raw[:11] == "SIP/2.0 503" {
			refusal = m.Raw
		}
	}}}}})
	addr := w.server.Addr()
	w.server.Close()
	if !poll(patience, func() bool { return !w.d.tenants[0].stream.State().Up }) {
		t.Fatal("the gateway has not noticed")
	}
	c, err := w.sip[0].Dial(w.uri(0))
	if err != nil {
		t.Fatal(err)
	}
	until(t, c, phone.Ended)
	mu.Lock()
	defer mu.Unlock()
	if c.End().Status != 503 || !headed(refusal, "Retry-After: ") {
		t.Errorf("it got %+v in\n%s", c.End(), refusal)
	}
	w.restart(addr)
	w.connected(machine.now(), 2)
}

// An end that nobody could be told, because the client is gone for good, keeps nothing.
func TestClientDoesNotComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	client, _ := w.returningClient(jinglephone.Options{Codecs: []audio.Codec{audio.PCMU}})
	c, callee := w.dial(0, client, 0)
	answered(t, c, callee)
	addr := w.server.Addr()
	w.server.Close()
	client.Close()
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	w.restart(addr)
	w.connected(machine.now(), 2)
	w.quiet()
}
