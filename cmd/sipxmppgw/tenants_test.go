package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/store"
	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// The other tenant of a world.
const (
	otherDomain = "other.example"
	otherGW     = "tel.other.example"
	otherSecret = "s3cret-of-the-other"
	otherNumber = "+43100000"
	otherPhone  = "+43200000"
	otherUser   = "romeo@" + otherDomain
)

// Tenants are a world with one more component, at a server of its own, with a phone,
// a user, and room for two calls.
type tenants struct {
	*world
	server2 *xmppserver.Server
	phone2  *sipphone.Phone
	page    string
}

// newTenants runs them. own is more of what the other tenant's configuration says.
func newTenants(t *testing.T, s setup, own ...string) *tenants {
	t.Helper()
	p := &tenants{}
	p.serve(t, "")
	t.Cleanup(func() { p.server2.Close() })
	var err error
	if p.phone2, err = sipphone.Listen(sipphone.Options{User: otherPhone, Addr: "127.0.2.1:0"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.phone2.Close)
	s.more += fmt.Sprintf(`tenants:
  - xmpp: {domain: %s, server: "%s", secret: %s}
    sip: {default_domain: pbx.other.example, domain: sip.other.example}
    calls: {max: 2, per_second: 10000}
    trunks: [{name: other, address: "%s"}]
    numbers: {%q: %s}
    routes: [{from: "*", to: "+43", trunk: other}]
`, otherGW, p.server2.Addr(), otherSecret, p.phone2.Addr(), otherNumber, otherUser)
	for _, line := range own {
		s.more += "    " + line + "\n"
	}
	p.world = newWorld(t, s)
	select {
	case <-p.d.tenants[1].up:
	case <-p.limit().Done():
		t.Fatalf("the other component is not connected: %+v", p.d.tenants[1].stream.State())
	}
	p.page = "http://" + p.d.web.Addr().String()
	return p
}

// serve starts the other tenant's server.
func (p *tenants) serve(t *testing.T, addr string) {
	t.Helper()
	var err error
	p.server2, err = xmppserver.Listen(xmppserver.Options{Domain: otherDomain, Addr: addr, Components: map[string]string{otherGW: otherSecret}})
	if err != nil {
		t.Fatal(err)
	}
}

// otherClient logs the other tenant's user in.
func (p *tenants) otherClient(resource string) *jinglephone.Phone {
	p.t.Helper()
	session, err := p.server2.Login(otherUser + "/" + resource)
	if err != nil {
		p.t.Fatal(err)
	}
	c := jinglephone.New(session, conversations)
	p.t.Cleanup(func() { leave(c) })
	return c
}

// otherCall has the other tenant's phone, as one of several callers, call its user.
func (p *tenants) otherCall(client *jinglephone.Phone, caller int) (*sipphone.Call, *jinglephone.Call) {
	p.t.Helper()
	incoming := make(chan *jinglephone.Call, 4)
	client.OnIncoming(func(c *jinglephone.Call) { incoming <- c })
	c, err := p.phone2.Place(p.at(otherNumber), sipphone.Placing{From: fmt.Sprintf("sip:%s%d@pbx.other.example", otherPhone, caller)})
	if err != nil {
		p.t.Fatal(err)
	}
	return c, take(p.t, incoming)
}

// at is a number at the gateway's own address.
func (p *tenants) at(number string) string {
	return "sip:" + number + "@" + strings.TrimPrefix(p.d.sipUp[0], "udp:")
}

// refused has a phone call somewhere, and returns the status it gets.
func (p *tenants) refused(from *sipphone.Phone, to string) int {
	p.t.Helper()
	c, err := from.Dial(to)
	if err != nil {
		p.t.Fatal(err)
	}
	until(p.t, c, phone.Ended)
	return c.End().Status
}

// says waits until a page says all of this.
func (p *tenants) says(path string, status int, want ...string) {
	p.t.Helper()
	missing := ""
	if !poll(patience, func() bool {
		got, body := get(p.t, p.page+path)
		for _, w := range want {
			if !strings.Contains(body, w) {
				missing = w
				return false
			}
		}
		return got == status
	}) {
		p.t.Errorf("%s does not say %d %q", path, status, missing)
	}
}

// Two tenants have calls at once, both ways, over the same sockets and the same relay; a number
// of one is nobody's over the other's trunk; and what is counted is counted apart.
func TestTenantsCallAtOnce(t *testing.T) {
	t.Parallel()
	p := newTenants(t, setup{})
	c, callee := p.dial(0, p.client(0, "phone", conversations), 0)
	answered(t, c, callee)
	client2 := p.otherClient("phone")
	c2, callee2 := p.otherCall(client2, 0)
	answered(t, c2, callee2)
	talk(t, c, callee)
	talk(t, c2, callee2)
	if from := callee2.Peer(); !strings.HasSuffix(strings.SplitN(from, "/", 2)[0], "@"+otherGW) {
		t.Errorf("the other tenant's user is called by %s", from)
	}
	for _, tt := range []struct {
		name string
		from *sipphone.Phone
		to   string
	}{
		{"the other's number over the first's trunk", p.sip[0], p.at(otherNumber)},
		{"the other's user, whom the first's server does not know", p.sip[0], p.at("romeo%40other.example")},
		{"the first's number over the other's trunk", p.phone2, p.at(number(0))},
		{"the first's phone over the other's trunk", p.phone2, p.at(extension(0))},
	} {
		if status := p.refused(tt.from, tt.to); status != 404 {
			t.Errorf("%s: %d", tt.name, status)
		}
	}
	p.says("/metrics", http.StatusOK,
		"\nsipxmppgw_calls_active{domain=\""+testGW+"\"} 1\n", "\nsipxmppgw_calls_active{domain=\""+otherGW+"\"} 1\n",
		"\nsipxmppgw_calls_refused_total{cause=\"not_found\",domain=\""+testGW+"\",from=\"sip\"} 1\n",
		"\nsipxmppgw_calls_refused_total{cause=\"not_found\",domain=\""+otherGW+"\",from=\"sip\"} 2\n",
		"\nsipxmppgw_xmpp_up{domain=\""+otherGW+"\"} 1\n")
	hangUp(t, c, callee)
	hangUp(t, callee2, c2)
	// And the other way.
	incoming := make(chan *sipphone.Call, 1)
	p.phone2.OnIncoming(func(c *sipphone.Call) { incoming <- c })
	out, err := client2.Dial(otherPhone + "@" + otherGW)
	if err != nil {
		t.Fatal(err)
	}
	in := take(t, incoming)
	answered(t, out, in)
	talk(t, out, in)
	if id := in.ID(); !strings.HasSuffix(id, "@sip.other.example") {
		t.Errorf("the other's phone is called with Call-ID %s", id)
	}
	hangUp(t, out, in)
}

// A tenant that has used up its calls, or is flooded by its server, is alone with that.
func TestTenantUsesUpItsOwn(t *testing.T) {
	t.Parallel()
	p := newTenants(t, setup{})
	client2 := p.otherClient("phone")
	c2, callee2 := p.otherCall(client2, 0)
	answered(t, c2, callee2)
	second, ringing := p.otherCall(client2, 1)
	if status := p.refused(p.phone2, p.at(otherNumber)); status != 503 {
		t.Errorf("a third call where there may be two: %d", status)
	}
	// A thousand messages are on their way before the first has its calls.
	const flood = 1000
	stream := p.d.tenants[1].stream
	before := stream.Stats().Received
	for i := range flood {
		p.server2.Inject(element.New("jabber:client", "message", "from", otherUser+"/x", "to", otherPhone+"@"+otherGW, "type", "chat", "id", fmt.Sprint("f", i)).
			Add(element.New("jabber:client", "body").AddText(strings.Repeat("flood ", 100))))
	}
	for range 3 {
		c, callee := p.dial(0, p.client(0, "phone", conversations), 0)
		answered(t, c, callee)
		talk(t, c, callee)
		hangUp(t, c, callee)
	}
	if !poll(patience, func() bool { return stream.Stats().Received >= before+flood }) {
		t.Errorf("%d stanzas came", stream.Stats().Received-before)
	}
	if err := second.HangUp(); err != nil {
		t.Fatal(err)
	}
	until(t, ringing, phone.Ended)
	hangUp(t, c2, callee2)
}

// The server of one tenant is gone: its stream is tried again, alone, and nobody of the
// other's hears of it. Calls that are up go on, those of either.
func TestTenantsServerIsGone(t *testing.T) {
	t.Parallel()
	p := newTenants(t, setup{})
	client := p.client(0, "phone", conversations)
	c, callee := p.dial(0, client, 0)
	answered(t, c, callee)
	c2, callee2 := p.otherCall(p.otherClient("phone"), 0)
	answered(t, c2, callee2)
	p.says("/readyz", http.StatusOK, "ok\n")
	addr := p.server2.Addr()
	p.server2.Close()
	p.says("/readyz", http.StatusOK, "ok\ndegraded: "+otherGW+": xmpp: ")
	p.says("/metrics", http.StatusOK, "\nsipxmppgw_xmpp_up{domain=\""+otherGW+"\"} 0\n", "\nsipxmppgw_xmpp_up{domain=\""+testGW+"\"} 1\n")
	talk(t, c, callee)
	talk(t, c2, callee2) // signalling is away, and not their media
	again, callee3 := p.call(client, 0)
	answered(t, again, callee3)
	talk(t, again, callee3)
	hangUp(t, again, callee3)
	hangUp(t, c, callee)
	if err := c2.HangUp(); err != nil {
		t.Fatal(err)
	}
	p.serve(t, addr)
	p.says("/readyz", http.StatusOK, "ok\n")
	if !poll(patience, func() bool { return p.d.tenants[1].stream.State().Up }) {
		t.Fatal("the other component is not back")
	}
	if n := p.d.tenants[0].stream.Stats().Connects; n != 1 {
		t.Errorf("the first component has connected %d times", n)
	}
	client2 := p.otherClient("phone")
	c2, callee2 = p.otherCall(client2, 0)
	answered(t, c2, callee2)
	hangUp(t, c2, callee2)
	// Without any component there is nobody to call.
	p.server2.Close()
	p.server.Close()
	p.says("/readyz", http.StatusServiceUnavailable, testGW+": xmpp: ", "\n"+otherGW+": xmpp: ")
}

// An rtpengine that is there, and has no room for calls.
type ngServer struct{ conn net.PacketConn }

func newNG(t *testing.T) *ngServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.2.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() { // until the socket is closed
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			cookie, request, _ := bytes.Cut(buf[:n], []byte(" "))
			reply := " d6:result10:load limite"
			if bytes.Contains(request, []byte("7:command4:ping")) {
				reply = " d6:result4:ponge"
			}
			conn.WriteTo(append(bytes.Clone(cookie), reply...), from)
		}
	}()
	return &ngServer{conn}
}

func (s *ngServer) address() string { return s.conn.LocalAddr().String() }

// The media of one tenant is carried by rtpengines of its own. When they go, first one and then the
// other, that is said of them, and that tenant's calls are refused; those of the other go on.
func TestTenantsEnginesAreItsOwn(t *testing.T) {
	t.Parallel()
	one, other := newNG(t), newNG(t)
	p := newTenants(t, setup{}, fmt.Sprintf("media: {engine: rtpengine, rtpengine: [{address: %q, weight: 3}, {address: %q}]}", one.address(), other.address()))
	client := p.client(0, "phone", conversations)
	c, callee := p.dial(0, client, 0)
	answered(t, c, callee)
	up := func(s *ngServer, is int) string {
		return fmt.Sprintf("\nsipxmppgw_rtpengine_up{domain=%q,rtpengine=%q} %d\n", otherGW, s.address(), is)
	}
	p.says("/metrics", http.StatusOK, up(one, 1), up(other, 1))
	p.otherClient("phone")
	if status := p.refused(p.phone2, p.at(otherNumber)); status != 503 {
		t.Errorf("a call that no rtpengine has room for: %d", status)
	}
	p.says("/metrics", http.StatusOK, fmt.Sprintf("\nsipxmppgw_rtpengine_requests_total{domain=%q,result=\"error\",rtpengine=%q} 1\n", otherGW, other.address()))
	one.conn.Close()
	p.says("/metrics", http.StatusOK, up(one, 0), up(other, 1))
	p.says("/readyz", http.StatusOK, "ok\n")
	other.conn.Close()
	p.says("/metrics", http.StatusOK, up(one, 0), up(other, 0))
	p.says("/readyz", http.StatusOK, "ok\ndegraded: "+otherGW+": media: no rtpengine answers")
	if status := p.refused(p.phone2, p.at(otherNumber)); status != 503 {
		t.Errorf("a call without an rtpengine: %d", status)
	}
	p.says("/metrics", http.StatusOK, fmt.Sprintf("\nsipxmppgw_rtpengine_calls_refused_total{domain=%q} 1\n", otherGW))
	talk(t, c, callee)
	hangUp(t, c, callee)
	c, callee = p.dial(0, client, 0)
	answered(t, c, callee)
	talk(t, c, callee)
	hangUp(t, c, callee)
}

// A dialog of one tenant cannot be replaced by who is at the other's trunk, and what one keeps
// the other does not find.
func TestTenantsKeepApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := newTenants(t, setup{more: fmt.Sprintf("store: {file: %s, key_file: %s}\n", filepath.Join(dir, "store.sqlite"), filepath.Join(dir, "key"))})
	c, callee := p.dial(0, p.client(0, "phone", conversations), 0)
	answered(t, c, callee)
	own, peer := c.Tags()
	thief, err := p.phone2.Place(p.at(otherNumber), sipphone.Placing{Headers: []string{
		fmt.Sprintf("Replaces: %s;to-tag=%s;from-tag=%s", c.ID(), peer, own),
	}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, thief, phone.Ended)
	if got := thief.End().Status; got != 403 {
		t.Errorf("a Replaces of the other tenant's dialog: %d", got)
	}
	talk(t, c, callee)
	hangUp(t, c, callee)
	p.cause(0, call.Normal)

	first, other := p.d.part(p.d.tenants[0]), p.d.part(p.d.tenants[1])
	first.Put(store.Row{Kind: store.Records, Key: "k", Owner: account(0), Value: []byte("own")}, nil)
	other.Put(store.Row{Kind: store.Records, Key: "k", Owner: account(0), Value: []byte("other")}, nil)
	for _, tt := range []struct {
		of   store.Store
		want string
	}{{first, "own"}, {other, "other"}} {
		rows, err := tt.of.Owned(t.Context(), store.Records, account(0), 10)
		if err != nil || len(rows) != 1 || string(rows[0].Value) != tt.want || rows[0].Key != "k" || rows[0].Owner != account(0) {
			t.Errorf("%s sees %+v, %v", tt.want, rows, err)
		}
	}

	// With a key, what people write is sealed.
	other.Put(store.Row{Kind: store.Messages, Key: "m", Value: []byte("at the balcony")}, nil)
	raw, err := p.d.store.Load(t.Context(), store.Messages)
	if err != nil || len(raw) != 1 || bytes.Contains(raw[0].Value, []byte("balcony")) {
		t.Errorf("the file has %q, %v", raw, err)
	}
	if rows, err := other.Load(t.Context(), store.Messages); err != nil || len(rows) != 1 || string(rows[0].Value) != "at the balcony" {
		t.Errorf("what waits is %q, %v", rows, err)
	}
}
