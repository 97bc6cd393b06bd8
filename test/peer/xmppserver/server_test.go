package xmppserver

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
)

const (
	gateway = "gw.example"
	number  = "+15550100@gw.example/sip"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.Components = map[string]string{gateway: "secret", "other.example": "word"}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A raw component, which sends what it is told.
type raw struct {
	t    *testing.T
	conn net.Conn
	in   *element.Reader
}

func dial(t *testing.T, s *Server, domain, secret string) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := &raw{t, conn, element.NewReader(conn, 1<<20)}
	c.send("<?xml version='1.0'?><stream:stream xmlns='" + nsComponent + "' xmlns:stream='" + nsStream + "' to='" + domain + "'>")
	header, err := c.in.Header()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum([]byte(header.Attr("id") + secret))
	c.send("<handshake>" + hex.EncodeToString(sum[:]) + "</handshake>")
	return c
}

func connect(t *testing.T, s *Server) *raw {
	t.Helper()
	c := dial(t, s, gateway, "secret")
	if e := c.next(); !e.Is(nsComponent, "handshake") {
		t.Fatalf("got %v for the handshake", e)
	}
	return c
}

func (c *raw) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *raw) next() *element.Element {
	c.t.Helper()
	e, _, err := c.in.Next()
	if err != nil {
		c.t.Fatal(err)
	}
	return e
}

// condition reads until a stream error, and returns its condition.
func (c *raw) condition() string {
	c.t.Helper()
	for {
		e := c.next()
		if e.Is(nsStream, "error") {
			if _, _, err := c.in.Next(); !errors.Is(err, element.ErrEnd) {
				c.t.Errorf("after the stream error: %v", err)
			}
			return e.Child(nsStreams, "").Name
		}
	}
}

func login(t *testing.T, s *Server, full string, presence string) *Session {
	t.Helper()
	x, err := s.Login(full)
	if err != nil {
		t.Fatal(err)
	}
	if presence != "" {
		send(t, x, presence)
		next(t, x) // its own presence
	}
	return x
}

func send(t *testing.T, x *Session, text string) {
	t.Helper()
	if err := x.SendRaw(text); err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, x *Session) *element.Element {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	e, err := x.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// empty reports an error if there is anything for the session.
func empty(t *testing.T, x *Session) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e, err := x.Next(ctx); err == nil {
		t.Errorf("%s got %v", x.JID(), e)
	}
}

// sync returns when the server has handled all that the component has sent.
func (c *raw) sync() {
	c.t.Helper()
	c.send("<iq type='get' id='sync' from='gw.example' to='xmpp.example'><ping xmlns='urn:xmpp:ping'/></iq>")
	for {
		if e := c.next(); e.Attr("id") == "sync" {
			if e.Attr("type") != "result" {
				c.t.Fatalf("ping was answered with %v", e)
			}
			return
		}
	}
}

func TestHandshake(t *testing.T) {
	tests := []struct {
		name, domain, secret, want string
	}{
		{"wrong secret", gateway, "wrong", "not-authorized"},
		{"unknown domain", "nobody.example", "secret", "host-unknown"},
		{"second connection", gateway, "secret", "conflict"},
	}
	s := start(t, Options{})
	connect(t, s)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := dial(t, s, test.domain, test.secret).condition(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if err := s.WaitComponent(t.Context(), gateway); err != nil {
		t.Error(err)
	}
}

func TestFaultsThatEndTheStream(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"control character", "<message from='a@gw.example' to='b@xmpp.example'><body>\x07</body></message>", "not-well-formed"},
		{"control character by number", "<message from='a@gw.example' to='b@xmpp.example'><body>&#x7;</body></message>", "not-well-formed"},
		{"comment", "<!-- hello -->", "restricted-xml"},
		{"tags that do not match", "<message from='a@gw.example' to='b@xmpp.example'><body></message>", "not-well-formed"},
		{"unbound prefix", "<message from='a@gw.example' to='b@xmpp.example'><x:y/></message>", "bad-namespace-prefix"},
		{"foreign from", "<message from='a@elsewhere.example' to='b@xmpp.example'/>", "invalid-from"},
		{"from another component", "<message from='a@other.example' to='b@xmpp.example'/>", "invalid-from"},
		{"no from", "<message to='b@xmpp.example'/>", "invalid-from"},
		{"from that is no JID", "<message from='a b@gw.example' to='b@xmpp.example'/>", "invalid-from"},
		{"no to", "<message from='a@gw.example'/>", "improper-addressing"},
		{"no stanza", "<query from='a@gw.example' to='b@xmpp.example'/>", "unsupported-stanza-type"},
		{"wrong namespace", "<message xmlns='jabber:client' from='a@gw.example' to='b@xmpp.example'/>", "unsupported-stanza-type"},
		{"too long", "<message from='a@gw.example' to='b@xmpp.example'><body>" + strings.Repeat("x", 600<<10) + "</body></message>", "policy-violation"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, Options{})
			c := connect(t, s)
			go io.WriteString(c.conn, test.in) // ends when the server closes
			if got := c.condition(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if err := s.WaitGone(t.Context(), gateway); err != nil {
				t.Error(err)
			}
			if faults := s.Faults(); len(faults) != 1 || !faults[0].Fatal || faults[0].Condition != test.want || faults[0].Domain != gateway {
				t.Errorf("faults %+v", faults)
			}
		})
	}
}

func TestFaultsThatAreAnswered(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"to that is no JID", "<message id='1' from='a@gw.example' to='b c@xmpp.example'/>", "jid-malformed"},
		{"iq without an id", "<iq type='get' from='a@gw.example' to='xmpp.example'><ping xmlns='urn:xmpp:ping'/></iq>", "bad-request"},
		{"iq with two children", "<iq id='1' type='get' from='a@gw.example' to='xmpp.example'><a xmlns='x'/><b xmlns='x'/></iq>", "bad-request"},
		{"iq of no type", "<iq id='1' from='a@gw.example' to='xmpp.example'/>", "bad-request"},
		{"message of an unknown type", "<message id='1' type='call' from='a@gw.example' to='b@xmpp.example'/>", "bad-request"},
		{"presence of an unknown type", "<presence id='1' type='available' from='a@gw.example' to='b@xmpp.example'/>", "bad-request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, Options{})
			c := connect(t, s)
			c.send(test.in)
			e := c.next()
			if got := e.Child(nsComponent, "error").Child(nsStanzas, ""); e.Attr("type") != "error" || got == nil || got.Name != test.want {
				t.Errorf("got %v", e)
			}
			if faults := s.Faults(); len(faults) != 1 || faults[0].Fatal || faults[0].Condition != test.want {
				t.Errorf("faults %+v", faults)
			}
			c.sync()
		})
	}
}

func TestMessagesForkToTheBareJID(t *testing.T) {
	s := start(t, Options{})
	c := connect(t, s)
	phone := login(t, s, "romeo@xmpp.example/phone", "<presence/>")
	desk := login(t, s, "romeo@xmpp.example/desk", "")
	shy := login(t, s, "romeo@xmpp.example/shy", "")
	send(t, desk, "<presence><priority>5</priority></presence>")
	send(t, shy, "<presence><priority>-1</priority></presence>")
	for _, x := range []*Session{phone, desk, shy} {
		drainPresence(t, x)
	}
	c.send("<message type='chat' from='" + number + "' to='romeo@xmpp.example'><propose xmlns='" + nsJMI + "' id='1'/></message>")
	c.send("<message type='chat' from='" + number + "' to='romeo@xmpp.example/shy'><body>you</body></message>")
	c.sync()
	for _, x := range []*Session{phone, desk} {
		e := next(t, x)
		if e.Child(nsJMI, "propose") == nil || e.Attr("from") != number || e.Space != nsClient {
			t.Errorf("%s got %v", x.JID(), e)
		}
		empty(t, x)
	}
	if e := next(t, shy); e.Child(nsClient, "body").Text() != "you" {
		t.Errorf("shy got %v", e)
	}
	empty(t, shy)
}

func drainPresence(t *testing.T, x *Session) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		e, err := x.Next(ctx)
		if err != nil {
			return
		}
		if e.Name != "presence" {
			t.Fatalf("%s got %v", x.JID(), e)
		}
	}
}

func TestErrorsOfRouting(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"absent component", "<iq id='1' type='get' to='other.example'><ping xmlns='urn:xmpp:ping'/></iq>", "remote-server-timeout"},
		{"unknown domain", "<message id='1' to='a@far.example'/>", "remote-server-not-found"},
		{"offline resource", "<iq id='1' type='get' to='juliet@xmpp.example/gone'><ping xmlns='urn:xmpp:ping'/></iq>", "service-unavailable"},
		{"unknown user", "<message id='1' to='nobody@xmpp.example'/>", "service-unavailable"},
		{"user who is away", "<message id='1' type='chat' to='juliet@xmpp.example'/>", "service-unavailable"},
		{"payload the server does not know", "<iq id='1' type='get' to='xmpp.example'><x xmlns='urn:x'/></iq>", "service-unavailable"},
	}
	s := start(t, Options{})
	if err := s.AddUser("juliet@xmpp.example"); err != nil {
		t.Fatal(err)
	}
	x := login(t, s, "romeo@xmpp.example/phone", "<presence/>")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			send(t, x, test.in)
			e := next(t, x)
			if got := e.Child(nsClient, "error").Child(nsStanzas, ""); e.Attr("type") != "error" || e.Attr("id") != "1" || got == nil || got.Name != test.want {
				t.Errorf("got %v, want %s", e, test.want)
			}
		})
	}
}

func TestStoredMessages(t *testing.T) {
	s := start(t, Options{StoreOffline: true})
	c := connect(t, s)
	if err := s.AddUser("romeo@xmpp.example"); err != nil {
		t.Fatal(err)
	}
	c.send("<message type='chat' from='" + number + "' to='romeo@xmpp.example'><body>later</body></message>")
	c.sync()
	x := login(t, s, "romeo@xmpp.example/phone", "<presence/>")
	if e := next(t, x); e.Child(nsClient, "body").Text() != "later" || e.Child(nsDelay, "delay") == nil {
		t.Errorf("got %v", e)
	}
}

func TestServicesOfTheServer(t *testing.T) {
	s := start(t, Options{})
	x := login(t, s, "romeo@xmpp.example/phone", "<presence/>")
	send(t, x, "<iq id='1' type='get' to='xmpp.example'><query xmlns='"+nsDiscoItems+"'/></iq>")
	e := next(t, x)
	if got := len(e.Child(nsDiscoItems, "query").Children(nsDiscoItems, "item")); got != 2 {
		t.Errorf("%d components in %v", got, e)
	}
	send(t, x, "<iq id='2' type='get' to='xmpp.example'><query xmlns='"+nsDiscoInfo+"'/></iq>")
	if e := next(t, x); e.Child(nsDiscoInfo, "query").Child(nsDiscoInfo, "identity").Attr("category") != "server" {
		t.Errorf("got %v", e)
	}
	send(t, x, "<iq id='3' type='get'><query xmlns='"+nsRoster+"'/></iq>")
	if e := next(t, x); e.Attr("type") != "result" || e.Child(nsRoster, "query") == nil {
		t.Errorf("got %v", e)
	}
}

// A user adds a number; the gateway agrees, asks back, and shows presence; the next login probes.
func TestSubscription(t *testing.T) {
	s := start(t, Options{})
	c := connect(t, s)
	x := login(t, s, "romeo@xmpp.example/phone", "<presence/>")
	send(t, x, "<iq id='r' type='get'><query xmlns='"+nsRoster+"'/></iq>")
	next(t, x)

	send(t, x, "<presence type='subscribe' to='+15550100@gw.example/ignored'/>")
	expect(t, c.next(), "presence", "subscribe", "romeo@xmpp.example", "+15550100@gw.example")
	if e := next(t, x).Child(nsRoster, "query").Child(nsRoster, "item"); e.Attr("ask") != "subscribe" {
		t.Errorf("roster push %v", e)
	}
	c.send("<presence type='subscribed' from='+15550100@gw.example' to='romeo@xmpp.example'/>")
	c.send("<presence type='subscribe' from='+15550100@gw.example' to='romeo@xmpp.example'/>")
	c.send("<presence from='" + number + "' to='romeo@xmpp.example'/>")
	expect(t, next(t, x), "presence", "subscribed", "+15550100@gw.example", "romeo@xmpp.example")
	if e := next(t, x).Child(nsRoster, "query").Child(nsRoster, "item"); e.Attr("subscription") != "to" || e.Attr("ask") != "" {
		t.Errorf("roster push %v", e)
	}
	expect(t, next(t, x), "presence", "subscribe", "+15550100@gw.example", "romeo@xmpp.example")
	expect(t, next(t, x), "presence", "", number, "romeo@xmpp.example")

	send(t, x, "<presence type='subscribed' to='+15550100@gw.example'/>")
	expect(t, c.next(), "presence", "subscribed", "romeo@xmpp.example", "+15550100@gw.example")
	expect(t, c.next(), "presence", "", "romeo@xmpp.example/phone", "+15550100@gw.example")
	if got := s.Subscription("romeo@xmpp.example", "+15550100@gw.example"); got != "both" {
		t.Errorf("subscription %q", got)
	}

	x.Close()
	expect(t, c.next(), "presence", "unavailable", "romeo@xmpp.example/phone", "+15550100@gw.example")
	login(t, s, "romeo@xmpp.example/phone", "<presence/>")
	expect(t, c.next(), "presence", "", "romeo@xmpp.example/phone", "+15550100@gw.example")
	expect(t, c.next(), "presence", "probe", "romeo@xmpp.example", "+15550100@gw.example")

	c.send("<presence type='probe' from='+15550100@gw.example' to='romeo@xmpp.example'/>")
	expect(t, c.next(), "presence", "", "romeo@xmpp.example/phone", "+15550100@gw.example")
	c.send("<presence type='subscribe' from='+15550100@gw.example' to='romeo@xmpp.example'/>")
	expect(t, c.next(), "presence", "subscribed", "romeo@xmpp.example", "+15550100@gw.example")
}

func expect(t *testing.T, e *element.Element, name, kind, from, to string) {
	t.Helper()
	if e.Name != name || e.Attr("type") != kind || e.Attr("from") != from || e.Attr("to") != to {
		t.Errorf("got %v, want %s %q from %s to %s", e, name, kind, from, to)
	}
}

func TestUnaskedApprovalIsIgnored(t *testing.T) {
	s := start(t, Options{})
	c := connect(t, s)
	x := login(t, s, "romeo@xmpp.example/phone", "<presence/>")
	c.send("<presence type='subscribed' from='+15550100@gw.example' to='romeo@xmpp.example'/>")
	c.send("<presence type='probe' from='+15550100@gw.example' to='romeo@xmpp.example'/>")
	expect(t, c.next(), "presence", "unsubscribed", "romeo@xmpp.example", "+15550100@gw.example")
	empty(t, x)
}

func TestDirectedPresenceEndsWithTheSession(t *testing.T) {
	s := start(t, Options{})
	c := connect(t, s)
	x := login(t, s, "romeo@xmpp.example/phone", "")
	send(t, x, "<presence to='+15550100@gw.example'/>")
	expect(t, c.next(), "presence", "", "romeo@xmpp.example/phone", "+15550100@gw.example")
	x.Close()
	expect(t, c.next(), "presence", "unavailable", "romeo@xmpp.example/phone", "+15550100@gw.example")
	if err := x.SendRaw("<presence/>"); err == nil {
		t.Error("a closed session sent something")
	}
}

func TestCarbons(t *testing.T) {
	s := start(t, Options{})
	c := connect(t, s)
	phone := login(t, s, "romeo@xmpp.example/phone", "<presence/>")
	desk := login(t, s, "romeo@xmpp.example/desk", "<presence/>")
	send(t, desk, "<iq id='c' type='set'><enable xmlns='"+nsCarbons+"'/></iq>")
	for next(t, desk).Name != "iq" {
	}
	drainPresence(t, phone)
	send(t, phone, "<message type='chat' to='"+number+"'><proceed xmlns='"+nsJMI+"' id='1'/></message>")
	inside := func(direction string) *element.Element {
		return next(t, desk).Child(nsCarbons, direction).Child(nsForward, "forwarded").Child(nsClient, "message")
	}
	if e := inside("sent"); e.Attr("from") != phone.JID() || e.Child(nsJMI, "proceed") == nil {
		t.Errorf("sent carbon %v", e)
	}
	c.send("<message type='chat' from='" + number + "' to='romeo@xmpp.example/phone'><body>hi</body></message>")
	if e := inside("received"); e.Attr("to") != phone.JID() || e.Child(nsClient, "body").Text() != "hi" {
		t.Errorf("received carbon %v", e)
	}
	c.send("<message type='chat' from='" + number + "' to='romeo@xmpp.example/phone'><body>hi</body><private xmlns='" + nsCarbons + "'/></message>")
	c.sync()
	empty(t, desk)
}

func TestRequestsAndAnswersAreCounted(t *testing.T) {
	s := start(t, Options{})
	c := connect(t, s)
	x := login(t, s, "romeo@xmpp.example/phone", "")
	for i := range 2 {
		send(t, x, fmt.Sprintf("<iq id='%d' type='get' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", i, number))
		c.next()
	}
	c.send("<iq id='0' type='result' from='" + number + "' to='romeo@xmpp.example/phone'/>")
	c.sync()
	if got := s.Unanswered(); len(got) != 1 || !strings.HasPrefix(got[0], "1 ") {
		t.Errorf("unanswered %q", got)
	}
	c.send("<iq id='0' type='result' from='" + number + "' to='romeo@xmpp.example/phone'/>")
	c.sync()
	if !slices.ContainsFunc(s.Faults(), func(f Fault) bool { return f.Condition == "unexpected-request" }) {
		t.Errorf("a second answer is no fault: %+v", s.Faults())
	}
}

func TestDropAndReturn(t *testing.T) {
	s := start(t, Options{})
	c := connect(t, s)
	s.Drop(gateway, "system-shutdown")
	if got := c.condition(); got != "system-shutdown" {
		t.Errorf("got %s", got)
	}
	if err := s.WaitGone(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	connect(t, s).sync()
	if faults := s.Faults(); len(faults) != 0 {
		t.Errorf("faults %+v", faults)
	}
}

func TestTraceAndInjection(t *testing.T) {
	traced := make(chan Stanza, 100)
	s := start(t, Options{Trace: func(x Stanza) { traced <- x }})
	c := connect(t, s)
	e, err := element.Parse("<message from='evil@far.example/x' to='+15550100@gw.example'><body>&lt;</body></message>", nsClient)
	if err != nil {
		t.Fatal(err)
	}
	s.Inject(e)
	if got := c.next(); got.Attr("from") != "evil@far.example/x" {
		t.Errorf("got %v", got)
	}
	if x := <-traced; x.Peer != gateway || x.Received || !strings.Contains(x.XML, "<body>&lt;</body>") || strings.Contains(x.XML, "xmlns") {
		t.Errorf("traced %+v", x)
	}
	c.send(" <presence from='a@gw.example' to='b@xmpp.example' />")
	if x := <-traced; x.Peer != gateway || !x.Received || x.XML != "<presence from='a@gw.example' to='b@xmpp.example' />" {
		t.Errorf("traced %+v", x)
	}
	if err := s.InjectRaw(gateway, "<a>"+strings.Repeat("<b/>", 3)+"</a>"); err != nil {
		t.Error(err)
	}
	if got := c.next(); len(got.Nodes) != 3 {
		t.Errorf("got %v", got)
	}
}

func TestLoginOfStrangers(t *testing.T) {
	s := start(t, Options{})
	for _, wrong := range []string{"", "romeo@xmpp.example", "xmpp.example/x", "romeo@far.example/x", "a b@xmpp.example/x"} {
		if _, err := s.Login(wrong); err == nil {
			t.Errorf("%q logged in", wrong)
		}
	}
}
