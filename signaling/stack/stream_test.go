package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/test/memnet"
)

// A line is the peer's end of a connection.
type line struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func newLine(t *testing.T, c net.Conn) *line {
	t.Cleanup(func() { c.Close() })
	return &line{t, c, bufio.NewReader(c)}
}

// connect opens a connection to the stack.
func (b *bed) connect() *line {
	b.t.Helper()
	c, err := b.net.Dial(context.Background(), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddrPort(ours))
	if err != nil {
		b.t.Fatal(err)
	}
	return newLine(b.t, c)
}

// listen takes connections at the peer's address.
func (b *bed) listen() *memnet.Listener {
	b.t.Helper()
	l, err := b.net.Listen(theirs)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { l.Close() })
	return l
}

func (l *line) send(text string) {
	l.t.Helper()
	if _, err := l.Write([]byte(wire(text))); err != nil {
		l.t.Fatal(err)
	}
}

// want reads a message without a body that begins with the given text.
func (l *line) want(start string) string {
	l.t.Helper()
	l.SetReadDeadline(time.Now().Add(time.Minute))
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n\r\n") {
		s, err := l.r.ReadString('\n')
		b.WriteString(s)
		if err != nil {
			l.t.Fatalf("got %q and %v, want %q", b.String(), err, start)
		}
	}
	if !strings.HasPrefix(b.String(), start) {
		l.t.Fatalf("got %q, want %q", firstLine(b.String()), start)
	}
	return b.String()
}

// ended returns how long it took until the stack closed the connection.
func (l *line) ended() time.Duration {
	l.t.Helper()
	start := time.Now()
	l.SetReadDeadline(start.Add(time.Hour))
	if got, err := io.ReadAll(l.r); err != nil || len(got) > 0 {
		l.t.Errorf("got %q, %v; want the end", got, err)
	}
	return time.Since(start)
}

func overTCP(s string) string { return strings.Replace(s, "SIP/2.0/UDP", "SIP/2.0/TCP", 1) }

func answering(t *testing.T) func(*ServerTx) {
	return func(tx *ServerTx) {
		if err := tx.Reply(200, ""); err != nil {
			t.Error(err)
		}
	}
}

func TestConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var transport Transport
		b := newBed(t, Options{Limits: Limits{Workers: 1}, OnRequest: func(tx *ServerTx) {
			transport = tx.Transport()
			answering(t)(tx)
		}})
		c := b.connect()
		// A message in pieces, with an empty line before it, then a ping, then two at once.
		text := "\r\n" + wire(overTCP(request("OPTIONS", "a")))
		for i := range text {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if got := field(c.want("SIP/2.0 200"), "Call-ID"); got != "a" {
			t.Errorf("answer to %q, want a", got)
		}
		io.WriteString(c, "\r\n\r\n")
		if got, err := c.r.ReadString('\n'); err != nil || got != "\r\n" {
			t.Errorf("got %q, %v; want an empty line", got, err)
		}
		io.WriteString(c, wire(overTCP(request("MESSAGE", "b")))+wire(overTCP(request("BYE", "c"))))
		ids := map[string]bool{field(c.want("SIP/2.0 200"), "Call-ID"): true, field(c.want("SIP/2.0 200"), "Call-ID"): true}
		if !ids["b"] || !ids["c"] {
			t.Errorf("answers to %v, want b and c", ids)
		}
		if transport != TCP {
			t.Errorf("transport is %q", transport)
		}
		if st := b.stack.Stats(); st.Conns != 1 {
			t.Errorf("%d connections, want 1", st.Conns)
		}
		c.Close()
		synctest.Wait()
		if st := b.stack.Stats(); st.Conns != 0 {
			t.Errorf("%d connections, want none", st.Conns)
		}
	})
}

func TestConnectionsThatAreClosed(t *testing.T) {
	tests := []struct {
		name  string
		play  func(c *line)
		after time.Duration
	}{
		{"silent", func(*line) {}, 30 * time.Minute},
		{"headers that do not end", func(c *line) { io.WriteString(c, "OPTIONS sip:a@example.com SIP/2.0\r\nVia: S") }, 10 * time.Second},
		{"a byte a second", func(c *line) {
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 10 * time.Second},
		{"body that does not come", func(c *line) {
			c.send(overTCP(strings.Replace(request("MESSAGE", "a"), "Content-Length: 0", "Content-Length: 10", 1)))
		}, 5 * time.Second},
		{"body that does not come, after slow headers", func(c *line) {
			io.WriteString(c, "MESSAGE ")
			time.Sleep(7 * time.Second)
			head, _ := strings.CutPrefix(overTCP(strings.Replace(request("MESSAGE", "a"), "Content-Length: 0", "Content-Length: 10", 1)), "MESSAGE ")
			c.send(head)
		}, 10 * time.Second},
		{"length beyond all bounds", func(c *line) {
			c.send(overTCP(strings.Replace(request("MESSAGE", "a"), "Content-Length: 0", "Content-Length: 4000000000", 1)))
			c.want("SIP/2.0 513")
		}, 0},
		{"length above the limit", func(c *line) {
			c.send(overTCP(strings.Replace(request("MESSAGE", "a"), "Content-Length: 0", "Content-Length: 400000", 1)))
			c.want("SIP/2.0 513")
		}, 0},
		{"two lengths", func(c *line) {
			c.send(overTCP(strings.Replace(request("MESSAGE", "a"), "Content-Length: 0", "Content-Length: 0\nl: 5", 1)))
			c.want("SIP/2.0 400")
		}, 0},
		{"no length", func(c *line) {
			c.send(overTCP(strings.Replace(request("MESSAGE", "a"), "Content-Length: 0", "Subject: x", 1)))
			c.want("SIP/2.0 400")
		}, 0},
		{"another protocol", func(c *line) { io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") }, 0},
		{"headers without end", func(c *line) {
			io.WriteString(c, "OPTIONS sip:a@example.com SIP/2.0\r\n"+strings.Repeat("X: y\r\n", 20000))
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{OnRequest: func(*ServerTx) { t.Error("a request came through") }})
				c := b.connect()
				start := time.Now()
				test.play(c)
				c.ended()
				if d := time.Since(start); d < test.after || d > test.after+time.Second {
					t.Errorf("closed after %v, want %v", d, test.after)
				}
			})
		})
	}
}

func TestStrangersConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Strangers: true, Allowed: func(netip.AddrPort, Transport) bool { return false }})
		if d := b.connect().ended(); d != time.Minute {
			t.Errorf("closed after %v, want a minute", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Allowed: func(netip.AddrPort, Transport) bool { return false }})
		if d := b.connect().ended(); d != 0 {
			t.Errorf("closed after %v, want at once", d)
		}
		if st := b.stack.Stats(); st.Strangers != 1 {
			t.Errorf("%d strangers, want 1", st.Strangers)
		}
	})
}

func TestTooManyConnections(t *testing.T) {
	for _, limits := range []Limits{{Conns: 3}, {SourceConns: 3}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, Options{Limits: limits, OnRequest: answering(t)})
			var lines []*line
			for range 3 {
				lines = append(lines, b.connect())
			}
			synctest.Wait()
			if d := b.connect().ended(); d != 0 {
				t.Errorf("fourth closed after %v, want at once", d)
			}
			lines[0].Close()
			synctest.Wait()
			c := b.connect()
			c.send(overTCP(request("OPTIONS", "a")))
			c.want("SIP/2.0 200")
			if st := b.stack.Stats(); st.ConnsOver != 1 || st.Conns != 3 {
				t.Errorf("got %+v, want one over and three now", st)
			}
		})
	}
}

// TestStrangersMakeRoom: where there is no place left a peer of ours has that of the stranger who
// came first, and a stranger has none (RELIABILITY 4, row 23).
func TestStrangersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Limits: Limits{Conns: 3}, Strangers: true, OnRequest: answering(t)})
		from := func(addr string) *line {
			c, err := b.net.Dial(context.Background(), netip.MustParseAddr(addr), netip.MustParseAddrPort(ours))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return newLine(t, c)
		}
		peer := b.connect()
		synctest.Wait()
		first, second := from("198.51.100.1"), from("198.51.100.2")
		if d := from("198.51.100.3").ended(); d != 0 {
			t.Errorf("the third stranger was let in for %v", d)
		}
		next := b.connect()
		if d := first.ended(); d != 0 {
			t.Errorf("the first stranger stayed for %v", d)
		}
		for i, c := range []*line{peer, second, next} {
			c.send(overTCP(request("OPTIONS", strconv.Itoa(i))))
			c.want("SIP/2.0 200")
		}
		if st := b.stack.Stats(); st.Conns != 3 || st.ConnsOver != 2 {
			t.Errorf("%+v", st)
		}
		last := b.connect()
		if d := second.ended(); d != 0 {
			t.Errorf("the second stranger stayed for %v", d)
		}
		if d := b.connect().ended(); d != 0 {
			t.Errorf("one too many was let in for %v", d)
		}
		last.send(overTCP(request("OPTIONS", "last")))
		last.want("SIP/2.0 200")
	})
}

// TestAcceptSurvives: no descriptors for a while, and the listener still serves.
func TestAcceptSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		l, err := n.Listen(ours)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			l.Fail(&net.OpError{Op: "accept", Err: syscall.EMFILE})
		}
		s, err := New(Options{
			Listeners: []Listener{{Transport: TCP, Stream: l}},
			Allowed:   func(netip.AddrPort, Transport) bool { return true },
			OnRequest: answering(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		b := &bed{t: t, net: n, stack: s}
		c := b.connect()
		c.send(overTCP(request("OPTIONS", "a")))
		start := time.Now()
		c.want("SIP/2.0 200")
		if d := time.Since(start); d != (5+10+20+40+80)*time.Millisecond {
			t.Errorf("took %v", d)
		}
	})
}

// big makes a request larger than datagrams should be.
func big(method sip.RequestMethod, id string) *sip.Request {
	req := build(method, id)
	req.AppendHeader(sip.NewHeader("Content-Type", "text/plain"))
	req.SetBody([]byte(strings.Repeat("x", 1400)))
	return req
}

func TestLargeRequest(t *testing.T) {
	withStream := peerTarget
	withStream.Stream = true
	t.Run("goes over TCP where the peer listens", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, Options{})
			l := b.listen()
			var j journal
			b.stack.Request(big("MESSAGE", "a"), withStream, j.on)
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c := newLine(t, conn)
			msg := c.want("MESSAGE")
			if v := field(msg, "Via"); !strings.HasPrefix(v, "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK") {
				t.Errorf("Via is %q", v)
			}
			if _, err := io.CopyN(io.Discard, c.r, 1400); err != nil {
				t.Fatal(err)
			}
			c.send(reply(msg, "202 Accepted", "x"))
			if got := j.take(); got != "202" {
				t.Errorf("events %q, want 202", got)
			}
			// The connection is used again, and what is small goes over UDP.
			b.stack.Request(big("MESSAGE", "b"), withStream, j.on)
			c.want("MESSAGE")
			b.stack.Request(build("OPTIONS", "c"), withStream, j.on)
			b.want("OPTIONS")
		})
	})
	t.Run("goes over UDP after all where TCP is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, Options{})
			var j journal
			b.stack.Request(big("MESSAGE", "a"), withStream, j.on)
			msg := b.want("MESSAGE")
			if v := field(msg, "Via"); !strings.HasPrefix(v, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK") || !strings.HasSuffix(v, ";rport") {
				t.Errorf("Via is %q", v)
			}
			b.send(reply(msg, "202 Accepted", "x"))
			if got := j.take(); got != "202" {
				t.Errorf("events %q, want 202", got)
			}
		})
	})
	t.Run("goes over UDP where the peer has no TCP", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, Options{})
			b.stack.Request(big("MESSAGE", "a"), peerTarget, func(Event) {})
			b.want("MESSAGE")
		})
	})
	t.Run("a large response goes back the way the request came", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, Options{OnRequest: func(tx *ServerTx) {
				res := tx.Response(200, "", []byte(strings.Repeat("x", 9000)))
				res.AppendHeader(sip.NewHeader("Content-Type", "text/plain"))
				if err := tx.Respond(res); err != nil {
					t.Error(err)
				}
			}})
			b.send(request("OPTIONS", "a"))
			if got := b.want("SIP/2.0 200"); len(got) < 9000 {
				t.Errorf("got %d bytes", len(got))
			}
		})
	})
}

var tcpTarget = Target{Transport: TCP, Host: "192.0.2.2", Port: 5060}

// TestOrderWhileDialing: what is sent while the connection opens goes out in order.
func TestOrderWhileDialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n *memnet.Net
		b := newBed(t, Options{Dial: func(ctx context.Context, _ Transport, remote netip.AddrPort) (net.Conn, error) {
			time.Sleep(time.Second)
			return n.Dial(ctx, netip.MustParseAddr("192.0.2.1"), remote)
		}})
		n = b.net
		l := b.listen()
		for i := range 20 {
			b.stack.Send(build(sip.ACK, fmt.Sprint(i)), tcpTarget, func(err error) { t.Error(err) })
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := newLine(t, conn)
		for i := range 20 {
			if got := field(c.want("ACK"), "Call-ID"); got != fmt.Sprint(i) {
				t.Errorf("got %s, want %d", got, i)
			}
		}
	})
}

func TestConnectionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{})
		l := b.listen()
		var j, refused journal
		b.stack.Request(build(sip.INVITE, "a"), tcpTarget, j.on)
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := newLine(t, conn)
		c.send(reply(c.want("INVITE"), "180 Ringing", "x"))
		if got := j.take(); got != "180" {
			t.Errorf("events %q, want 180", got)
		}
		c.Close()
		if got := j.take(); got != "transport" {
			t.Errorf("events %q, want that the connection is lost", got)
		}
		l.Close()
		b.stack.Request(build(sip.INVITE, "b"), tcpTarget, refused.on)
		if got := refused.take(); got != "transport" {
			t.Errorf("events %q, want that it is refused", got)
		}
		b.stack.Request(build(sip.INVITE, "c"), Target{Transport: TLS, Host: "192.0.2.2"}, refused.on)
		if got := refused.take(); got != "transport" {
			t.Errorf("events %q, want that there is no TLS", got)
		}
	})
}

// TestRequestOverOurConnection: the peer's BYE comes over the connection that we opened.
func TestRequestOverOurConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var local netip.AddrPort
		b := newBed(t, Options{OnRequest: func(tx *ServerTx) {
			local = tx.Local()
			answering(t)(tx)
		}})
		l := b.listen()
		b.stack.Send(build(sip.ACK, "a"), tcpTarget, nil)
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := newLine(t, conn)
		c.want("ACK")
		c.send(overTCP(request("BYE", "a")))
		c.want("SIP/2.0 200")
		if local.String() != ours {
			t.Errorf("local address is %v, want %s", local, ours)
		}
		// And it is kept alive.
		time.Sleep(96 * time.Second)
		c.SetReadDeadline(time.Now().Add(time.Second))
		if got, err := io.ReadAll(io.LimitReader(c.r, 4)); err != nil || string(got) != "\r\n\r\n" {
			t.Errorf("got %q, %v; want a ping", got, err)
		}
		io.WriteString(c, "\r\n")
		c.send(overTCP(request("BYE", "b")))
		c.want("SIP/2.0 200")
	})
}

// TestPeerThatDoesNotRead: what waits for it is bounded, and nobody waits for it.
func TestPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{})
		l := b.listen()
		start := time.Now()
		var j journal
		for i := range 1000 {
			b.stack.Request(big("MESSAGE", fmt.Sprint(i)), tcpTarget, j.on)
			synctest.Wait()
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v", d)
		}
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		if got := j.take(); !strings.Contains(got, "transport") {
			t.Errorf("events %q, want that the connection is lost", got)
		}
	})
}

// TestCloseFlushes: what was sent before Close still goes out.
func TestCloseFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{OnRequest: answering(t)})
		l := b.listen()
		b.stack.Send(build(sip.ACK, "a"), tcpTarget, nil)
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := newLine(t, conn)
		c.want("ACK")
		b.stack.Send(build(sip.ACK, "b"), tcpTarget, nil)
		if err := b.stack.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if got := field(c.want("ACK"), "Call-ID"); got != "b" {
			t.Errorf("got the ACK of %q, want b", got)
		}
		c.ended()
	})
}
