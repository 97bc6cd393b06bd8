package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/test/memnet"
)

const (
	ours   = "192.0.2.1:5060"
	theirs = "192.0.2.2:5060"
)

// A bed is a stack of ours on a network in memory, and a socket of a peer.
type bed struct {
	t     *testing.T
	net   *memnet.Net
	stack *Stack
	peer  *memnet.PacketConn
}

// newBed runs a stack at ours and a peer's socket at theirs, and closes both at the end.
func newBed(t *testing.T, o Options) *bed {
	t.Helper()
	n := memnet.New()
	pc, err := n.ListenPacket(ours)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := n.Listen(ours)
	if err != nil {
		t.Fatal(err)
	}
	o.Listeners = []Listener{{Transport: UDP, Packet: pc}, {Transport: TCP, Stream: ln}}
	if o.Allowed == nil {
		o.Allowed = func(remote netip.AddrPort, _ Transport) bool {
			return remote.Addr() == netip.MustParseAddr("192.0.2.2")
		}
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, _ Transport, remote netip.AddrPort) (net.Conn, error) {
			return n.Dial(ctx, netip.MustParseAddr("192.0.2.1"), remote)
		}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, net: n, stack: s}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	if b.peer, err = n.ListenPacket(theirs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.peer.Close() })
	return b
}

// send sends the peer's text, its lines ended as SIP wants, to the stack.
func (b *bed) send(text string) {
	b.t.Helper()
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(ours))
	if _, err := b.peer.WriteTo([]byte(wire(text)), to); err != nil {
		b.t.Fatal(err)
	}
}

// wire makes lines of a text, without its indentation, those of SIP.
func wire(text string) string {
	head, body, hasBody := strings.Cut(strings.TrimLeft(text, "\n"), "\n\n")
	var lines []string
	for _, l := range strings.Split(strings.TrimRight(head, "\n\t "), "\n") {
		lines = append(lines, strings.TrimLeft(l, "\t"))
	}
	out := strings.Join(lines, "\r\n") + "\r\n\r\n"
	if hasBody {
		out += body
	}
	return out
}

// receive returns what the peer gets next, or "" when nothing comes within a minute.
func (b *bed) receive() string {
	b.t.Helper()
	b.peer.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 65536)
	n, _, err := b.peer.ReadFrom(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// nothing checks that the peer gets nothing for a time.
func (b *bed) nothing(d time.Duration) {
	b.t.Helper()
	b.peer.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 65536)
	if n, _, err := b.peer.ReadFrom(buf); err == nil {
		b.t.Errorf("got %q, want nothing", firstLine(string(buf[:n])))
	}
}

// want receives a message that begins with the given text.
func (b *bed) want(start string) string {
	b.t.Helper()
	got := b.receive()
	if !strings.HasPrefix(got, start) {
		b.t.Fatalf("got %q, want %q", got, start)
	}
	return got
}

func firstLine(msg string) string {
	l, _, _ := strings.Cut(msg, "\r\n")
	return l
}

// field returns the value of the first header of that name.
func field(msg, name string) string {
	head, _, _ := strings.Cut(msg, "\r\n\r\n")
	for _, l := range strings.Split(head, "\r\n")[1:] {
		if k, v, ok := strings.Cut(l, ":"); ok && k == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// request is a request of the peer's, with the headers it needs.
func request(method, id string, more ...string) string {
	return fmt.Sprintf(`%s sip:juliet@example.com SIP/2.0
		Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK%s;rport
		Max-Forwards: 70
		From: <sip:romeo@example.net>;tag=r%s
		To: <sip:juliet@example.com>
		Call-ID: %s
		CSeq: 1 %s
		%s`, method, id, id, id, method, strings.Join(append(more, "Content-Length: 0"), "\n"))
}

// reply answers a request that the peer received.
func reply(req, status, toTag string, more ...string) string {
	to := field(req, "To")
	if toTag != "" {
		to += ";tag=" + toTag
	}
	lines := []string{
		"SIP/2.0 " + status, "Via: " + field(req, "Via"), "From: " + field(req, "From"), "To: " + to,
		"Call-ID: " + field(req, "Call-ID"), "CSeq: " + field(req, "CSeq"),
	}
	return strings.Join(append(append(lines, more...), "Content-Length: 0"), "\n")
}

// build returns a request of ours.
func build(method sip.RequestMethod, id string) *sip.Request {
	req := sip.NewRequest(method, sip.Uri{Scheme: "sip", User: "romeo", Host: "example.net"})
	req.AppendHeader(&sip.FromHeader{
		Address: sip.Uri{Scheme: "sip", User: "juliet", Host: "example.com"},
		Params:  sip.HeaderParams{{K: "tag", V: "j" + id}},
	})
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: "romeo", Host: "example.net"}})
	callID := sip.CallIDHeader(id)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: method})
	return req
}

var peerTarget = Target{Transport: UDP, Host: "192.0.2.2", Port: 5060}

// A journal collects events; it may be read when the bubble is at rest.
type journal struct {
	mu     sync.Mutex
	events []Event
}

func (j *journal) on(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// take returns what has come, as statuses and errors.
func (j *journal) take() string {
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []string
	for _, e := range j.events {
		if e.Response != nil {
			out = append(out, fmt.Sprint(e.Response.StatusCode))
			continue
		}
		name := "?"
		for err, n := range map[error]string{
			ErrTimeout: "timeout", ErrTransport: "transport", ErrResolve: "resolve", ErrRefused: "refused", ErrClosed: "closed",
		} {
			if errors.Is(e.Err, err) {
				name = n
			}
		}
		out = append(out, name)
	}
	j.events = nil
	return strings.Join(out, " ")
}

func TestInviteFromPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tx *ServerTx
		var acks []string
		b := newBed(t, Options{
			Server:    "gw",
			OnRequest: func(r *ServerTx) { tx = r },
			OnAck:     func(r *sip.Request, _ Peer) { acks = append(acks, r.CallID().Value()) },
		})
		b.send(request("INVITE", "a"))
		start := time.Now()
		trying := b.want("SIP/2.0 100 Trying")
		if d := time.Since(start); d != tryingAfter {
			t.Errorf("100 came after %v, want %v", d, tryingAfter)
		}
		if got := field(trying, "Via"); got != "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKa;received=192.0.2.2;rport=5060" {
			t.Errorf("Via is %q", got)
		}
		b.send(request("INVITE", "a"))
		b.want("SIP/2.0 100 Trying")
		if err := tx.Reply(180, ""); err != nil {
			t.Fatal(err)
		}
		ringing := b.want("SIP/2.0 180 Ringing")
		res := tx.Response(200, "", []byte("v=0\r\n"))
		res.AppendHeader(sip.NewHeader("Contact", "<sip:gw@192.0.2.1>"))
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
		if err := tx.Respond(res); err != nil {
			t.Fatal(err)
		}
		ok := b.want("SIP/2.0 200 OK")
		if field(ok, "To") != field(ringing, "To") || field(ok, "To") != "<sip:juliet@example.com>;tag="+tx.Tag() {
			t.Errorf("To is %q, then %q; want the tag %q in both", field(ringing, "To"), field(ok, "To"), tx.Tag())
		}
		if field(ok, "Server") != "gw" || !strings.HasSuffix(ok, "\r\n\r\nv=0\r\n") || field(ok, "Content-Length") != "5" {
			t.Errorf("got\n%s", ok)
		}
		b.send(request("INVITE", "a")) // absorbed: the user retransmits the 200 (RFC 6026)
		b.nothing(time.Second)
		if err := tx.Respond(res); err != nil {
			t.Errorf("200 again: %v", err)
		}
		b.want("SIP/2.0 200 OK")
		if err := tx.Reply(486, ""); !errors.Is(err, ErrAnswered) {
			t.Errorf("486 after 200: got %v, want %v", err, ErrAnswered)
		}
		ack := strings.NewReplacer("z9hG4bKa", "z9hG4bKb", "1 INVITE", "1 ACK", "INVITE", "ACK",
			"To: <sip:juliet@example.com>", "To: "+field(ok, "To")).Replace(request("INVITE", "a"))
		b.send(ack)
		b.send(ack)
		synctest.Wait()
		if len(acks) != 2 || acks[0] != "a" {
			t.Errorf("ACKs of %q, want two of a", acks)
		}
		time.Sleep(time.Minute)
		if n := b.stack.Stats().ServerTxs; n != 0 {
			t.Errorf("%d transactions are left", n)
		}
	})
}

func TestInviteToPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var strays journal
		b := newBed(t, Options{OnStray: func(r *sip.Response) { strays.on(Event{Response: r}) }})
		var j journal
		tx := b.stack.Request(build(sip.INVITE, "a"), peerTarget, j.on)
		inv := b.want("INVITE sip:romeo@example.net SIP/2.0")
		if v := field(inv, "Via"); !strings.HasPrefix(v, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK") || !strings.HasSuffix(v, ";rport") {
			t.Errorf("Via is %q", v)
		}
		b.want("INVITE") // timer A
		b.send(reply(inv, "100 Trying", ""))
		for range 20 {
			b.send(reply(inv, "180 Ringing", "x"))
		}
		if got := j.take(); got != "100"+strings.Repeat(" 180", 20) {
			t.Errorf("events %q", got)
		}
		if tx.Request().Via() == nil {
			t.Error("no Via in the request as sent")
		}
		time.Sleep(3 * time.Minute) // it may ring for long
		b.send(reply(inv, "200 OK", "x"))
		b.send(reply(inv, "200 OK", "y"))
		b.send(reply(inv, "180 Ringing", "x"))
		if got := j.take(); got != "200 200" {
			t.Errorf("events %q, want two 200s", got)
		}
		time.Sleep(33 * time.Second)
		b.send(reply(inv, "200 OK", "x"))
		if got := strays.take(); got != "200" || j.take() != "" {
			t.Errorf("strays %q, want a 200", got)
		}
		ack := build(sip.ACK, "a")
		b.stack.Send(ack, peerTarget, func(err error) { t.Error(err) })
		b.want("ACK ")
		if n := b.stack.Stats().ClientTxs; n != 0 {
			t.Errorf("%d transactions are left", n)
		}
	})
}
