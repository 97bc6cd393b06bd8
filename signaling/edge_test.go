package signaling

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/golden"
	"sipxmppgw/test/memnet"
)

const (
	ours  = "192.0.2.10:5060"
	peers = "198.51.100.9:5060"

	ourWeb = "192.0.2.10:80"
)

// A world is an edge, the calls behind it and a network, in fake time.
type world struct {
	t     *testing.T
	net   *memnet.Net
	edge  *Edge
	calls *fakeCalls
}

// play runs f in a world of its own, in fake time, and then closes it.
func play(t *testing.T, f func(t *testing.T, w *world)) { playWith(t, func(*Options) {}, f) }

// playWith is play with other options.
func playWith(t *testing.T, change func(*Options), f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memnet.New(), change)
		defer func() {
			if err := w.edge.Close(); err != nil {
				t.Error(err)
			}
			w.calls.close()
			if n := w.edge.Stats().Dialogs; n != 0 {
				t.Errorf("%d dialogs are left", n)
			}
		}()
		f(t, w)
	})
}

func newWorld(t *testing.T, n *memnet.Net, change func(*Options)) *world {
	t.Helper()
	w := &world{t: t, net: n, calls: newFakeCalls()}
	packet, err := n.ListenPacket(ours)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := n.Listen(ours)
	if err != nil {
		t.Fatal(err)
	}
	web, err := n.Listen(ourWeb)
	if err != nil {
		t.Fatal(err)
	}
	ids := 0
	var mu sync.Mutex
	o := Options{
		Calls: w.calls,
		Stack: stack.Options{
			Listeners: []stack.Listener{{Transport: stack.UDP, Packet: packet}, {Transport: stack.TCP, Stream: stream}, {Transport: stack.WS, Stream: web}},
			Dial: func(ctx context.Context, _ stack.Transport, remote netip.AddrPort) (net.Conn, error) {
				return n.Dial(ctx, netip.MustParseAddr("192.0.2.10"), remote)
			},
		},
		Trunks: []Trunk{
			{
				Name: "pbx", Next: stack.Target{Host: "198.51.100.9", Port: 5060, Stream: true},
				Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.8/29")}, Trusted: true,
				Username: "gw", Password: "secret", Realm: "voip.example",
			},
			{
				Name: "other", Next: stack.Target{Host: "198.51.100.40", Port: 5060},
				Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.40/32")},
			},
			{
				Name: "web", Next: stack.Target{Transport: stack.WS},
				Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.60/31")},
			},
		},
		Host: "gw.jabber.example",
		Log:  slog.New(slog.DiscardHandler),
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			ids++
			return "id" + strconv.Itoa(ids)
		},
		Rand: func(int) int { return 7 },
	}
	change(&o)
	w.edge, err = New(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A fakeCalls is the shell: it routes as it is told, and runs each call in a goroutine.
type fakeCalls struct {
	mu        sync.Mutex
	queries   []gateway.Query
	route     func(gateway.Query) (gateway.Target, error)
	refuse    error
	answering bool // each call is answered at once
	calls     []*fakeCall
	traced    map[call.ID][]gateway.Message
	refused   []gateway.Refused
}

func newFakeCalls() *fakeCalls {
	return &fakeCalls{
		traced: map[call.ID][]gateway.Message{},
		route: func(q gateway.Query) (gateway.Target, error) {
			return gateway.Target{
				Edge: gateway.XMPP, From: gateway.Party{JID: "otto\\40voip.example@gw.jabber.example"},
				To: gateway.Party{URI: q.To, JID: "mira@jabber.example"},
			}, nil
		},
	}
}

func (f *fakeCalls) Route(q gateway.Query) (gateway.Target, error) {
	f.mu.Lock()
	f.queries = append(f.queries, q)
	route := f.route
	f.mu.Unlock()
	return route(q)
}

func (f *fakeCalls) Accept(in gateway.Incoming) (gateway.Inbox, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	c := f.call(call.A)
	c.in = in
	c.leg = in.Leg(c)
	go c.run() // ends with close
	if f.answering {
		c.do(func() {
			c.leg.Ring()
			c.leg.Answer(described("PCMA"))
		})
	}
	return c, nil
}

func (f *fakeCalls) Refuse(r gateway.Refused) call.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, r)
	return call.ID(fmt.Sprint("refused ", len(f.refused)))
}

func (f *fakeCalls) Trace(id call.ID, m gateway.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traced[id] = append(f.traced[id], m)
}

func (f *fakeCalls) call(side call.Side) *fakeCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &fakeCall{
		id: call.ID("call-" + strconv.Itoa(len(f.calls)+1)), side: side,
		letters: make(chan func(), 1000), events: make(chan call.Event, 1000),
	}
	f.calls = append(f.calls, c)
	return c
}

// last is the newest call, when all that was sent has been read.
func (f *fakeCalls) last() *fakeCall {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) == 0 {
		return nil
	}
	return f.calls[len(f.calls)-1]
}

func (f *fakeCalls) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		c.stop()
	}
}

// A fakeCall is a call with one leg, and that leg's Inbox.
type fakeCall struct {
	id     call.ID
	side   call.Side
	in     gateway.Incoming
	leg    gateway.Leg
	events chan call.Event

	mu      sync.Mutex
	closed  bool
	flooded bool
	letters chan func()
}

func (c *fakeCall) run() {
	for f := range c.letters {
		f()
	}
}

func (c *fakeCall) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.letters)
	}
}

// do runs f on the call's goroutine; after its end it does nothing.
func (c *fakeCall) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.letters <- f
	}
}

func (c *fakeCall) Post(input any) {
	c.do(func() {
		for _, e := range c.leg.Receive(input) {
			c.events <- e
		}
	})
}

func (c *fakeCall) Peer(input any) bool {
	c.mu.Lock()
	flooded := c.flooded
	c.mu.Unlock()
	if !flooded {
		c.Post(input)
	}
	return !flooded
}

func (c *fakeCall) Call() call.ID            { return c.id }
func (c *fakeCall) Side() call.Side          { return c.side }
func (c *fakeCall) Seat() int                { return 0 }
func (c *fakeCall) Take(gateway.Taking) bool { return false }

// wants waits for the next event, which must be that one.
func (c *fakeCall) wants(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	select {
	case e := <-c.events:
		if got := shown(e); got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	default:
		t.Errorf("no event, want %q", want)
	}
}

// quiet holds that nothing happened.
func (c *fakeCall) quiet(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case e := <-c.events:
		t.Errorf("event %q, want none", shown(e))
	default:
	}
}

func shown(e call.Event) string {
	codecs := func(d media.Description) string {
		var names []string
		for _, s := range d.Streams {
			for _, c := range s.Codecs {
				names = append(names, c.Name)
			}
		}
		return strings.Join(names, " ")
	}
	switch e := e.(type) {
	case call.LegRinging:
		return "rings"
	case call.LegProgress:
		return strings.TrimSpace("goes on " + codecs(e.Media))
	case call.LegAnswered:
		return "answers " + codecs(e.Media)
	case call.LegConfirmed:
		return strings.TrimSpace("confirms " + codecs(e.Media))
	case call.LegOffered:
		return "offers " + codecs(e.Media) + " " + e.Media.Streams[0].Direction.String()
	case call.LegDigit:
		return fmt.Sprintf("presses %c for %s", e.Digit.Key, e.Digit.Length)
	case call.LegEnded:
		return fmt.Sprintf("ends %s %d/%d %s", e.Cause, e.Detail.Status, e.Detail.Q850, e.Detail.Text)
	}
	return fmt.Sprintf("%T", e)
}

// dial makes a call to the SIP side and offers.
func (w *world) dial(target gateway.Target) *fakeCall {
	w.t.Helper()
	c := w.calls.call(call.B)
	leg, err := w.edge.Dial(target, c)
	if err != nil {
		w.t.Fatal(err)
	}
	c.leg = leg
	go c.run() // ends with close
	c.do(func() { leg.Offer(described("PCMA")) })
	return c
}

// toOtto is a target on the trunk.
func toOtto() gateway.Target {
	return gateway.Target{
		Edge: gateway.SIP, Trunk: "pbx", CallID: "5d3c0a52",
		From: gateway.Party{URI: "sip:mira@jabber.example", JID: "mira@jabber.example/phone", Name: "Mira"},
		To:   gateway.Party{URI: "sip:otto@voip.example"},
	}
}

// described is a description with one audio stream.
func described(codec string) media.Description {
	pt := map[string]uint8{"PCMU": 0, "PCMA": 8, "G722": 9}[codec]
	return media.Description{Streams: []media.Stream{{
		Codecs:    []media.Codec{{PT: pt, Name: codec, ClockRate: 8000, Channels: 1}},
		Transport: media.Transport{Addr: netip.MustParseAddrPort("192.0.2.10:40010")},
	}}}
}

const theirSDP = `v=0
o=otto 771 1 IN IP4 198.51.100.9
s=-
c=IN IP4 198.51.100.9
t=0 0
m=audio 16400 RTP/AVP 8
a=rtpmap:8 PCMA/8000
a=sendrecv
`

// A peer is a SIP phone that says what the test says.
type peer struct {
	w    *world
	conn *memnet.PacketConn

	patience time.Duration // with which it wants something; 0 for the usual one
	log      strings.Builder
	tags     map[string]string // what chance has made, and what the transcript shows for it
	last     string            // message of ours
}

func (w *world) peer(addr string) *peer {
	w.t.Helper()
	conn, err := w.net.ListenPacket(addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return &peer{w: w, conn: conn, tags: map[string]string{}}
}

// send sends a message; its lines and its Content-Length are made right.
func (p *peer) send(head, body string) {
	p.w.t.Helper()
	body = strings.ReplaceAll(body, "\n", "\r\n")
	head = strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n")
	if body != "" && !strings.Contains(head, "\r\nContent-Type:") {
		head += "\r\nContent-Type: application/sdp"
	}
	raw := head + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	p.note("<", raw)
	p.raw(raw)
}

func (p *peer) raw(raw string) {
	p.w.t.Helper()
	if _, err := p.conn.WriteTo([]byte(raw), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(ours))); err != nil {
		p.w.t.Fatal(err)
	}
}

// wants reads what we send next, which must begin so.
func (p *peer) wants(start string) string {
	p.w.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(max(p.patience, 100*time.Millisecond))); err != nil {
		p.w.t.Fatal(err)
	}
	buf := make([]byte, 65536)
	n, _, err := p.conn.ReadFrom(buf)
	if err != nil {
		p.w.t.Fatalf("nothing comes, want %q", start)
	}
	p.last = string(buf[:n])
	p.note(">", p.last)
	if !strings.HasPrefix(p.last, start) {
		p.w.t.Fatalf("got\n%s\nwant %q", p.last, start)
	}
	return p.last
}

// pending reads one message that nobody waits for; it is false when there is none.
func (p *peer) pending() bool {
	p.w.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		p.w.t.Fatal(err)
	}
	_, _, err := p.conn.ReadFrom(make([]byte, 65536))
	return err == nil
}

// silent holds that we send nothing.
func (p *peer) silent() {
	p.w.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		p.w.t.Fatal(err)
	}
	buf := make([]byte, 65536)
	if n, _, err := p.conn.ReadFrom(buf); err == nil {
		p.w.t.Fatalf("got\n%s\nwant nothing", buf[:n])
	}
}

// field is the value of a header in the last message.
func (p *peer) field(name string) string { return rawHeader([]byte(p.last), name, name) }

// answer answers the last message of ours.
func (p *peer) answer(status, tag, more, body string) { p.answerTo(p.last, status, tag, more, body) }

func (p *peer) answerTo(msg, status, tag, more, body string) {
	p.w.t.Helper()
	f := func(name string) string { return rawHeader([]byte(msg), name, name) }
	to := f("to")
	if tag != "" {
		to += ";tag=" + tag
	}
	head := "SIP/2.0 " + status + "\nVia: " + f("via") + "\nFrom: " + f("from") + "\nTo: " + to +
		"\nCall-ID: " + f("call-id") + "\nCSeq: " + f("cseq")
	if more != "" {
		head += "\n" + more
	}
	p.send(head, body)
}

// branch is one of ours.
var branch = regexp.MustCompile(`branch=z9hG4bK[0-9A-Z]{20,}`)

// note writes a message into the transcript, without what chance has made.
func (p *peer) note(way, raw string) {
	raw = strings.ReplaceAll(raw, "\r\n", "\n")
	raw = branch.ReplaceAllString(raw, "branch=OURS")
	for _, line := range strings.Split(strings.TrimSuffix(raw, "\n"), "\n") {
		p.log.WriteString(strings.TrimSpace(way+" "+line) + "\n")
	}
	p.log.WriteString("\n")
}

// golden compares the transcript with testdata/NAME.txt. What chance has made has a name
// in it.
func (p *peer) golden(name string) {
	p.w.t.Helper()
	got := p.log.String()
	if t := p.tags["tag"]; t != "" {
		got = strings.ReplaceAll(got, t, "OUR-TAG")
	}
	file := "testdata/" + name + ".txt"
	if golden.Update() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			p.w.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if got != string(want) {
		p.w.t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// invite sends ex 13-01.
func (p *peer) invite(more, body string) {
	p.w.t.Helper()
	head := `INVITE sip:mira@jabber.example SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs1
Max-Forwards: 70
From: "Otto" <sip:otto@voip.example>;tag=o55
To: <sip:mira@jabber.example>
Call-ID: 9f20c1@198.51.100.9
CSeq: 10 INVITE
Contact: <sip:otto@198.51.100.9:5060>`
	if more != "" {
		head += "\n" + more
	}
	p.send(head, body)
}

var toTag = regexp.MustCompile(`(?m)^To: .*;tag=([^;\r]+)`)

// learn remembers our tag and Contact from the last message.
func (p *peer) learn() {
	if m := toTag.FindStringSubmatch(p.last); m != nil {
		p.tags["tag"] = m[1]
	}
	p.tags["contact"] = address(p.field("contact")).URI
	p.tags["call-id"] = p.field("call-id")
}

// inDialog sends a request of the caller in the dialog that its INVITE made.
func (p *peer) inDialog(method string, cseq int, more, body string) {
	p.w.t.Helper()
	head := fmt.Sprintf(`%s %s SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK%s%d
Max-Forwards: 70
From: "Otto" <sip:otto@voip.example>;tag=o55
To: <sip:mira@jabber.example>;tag=%s
Call-ID: 9f20c1@198.51.100.9
CSeq: %d %s
Contact: <sip:otto@198.51.100.9:5060>`, method, p.tags["contact"], strings.ToLower(method), cseq, p.tags["tag"], cseq, method)
	if more != "" {
		head += "\n" + more
	}
	p.send(head, body)
}
