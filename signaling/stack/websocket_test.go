package stack

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/gobwas/ws"
)

// A socket is the peer's end of a WebSocket.
type socket struct {
	t      *testing.T
	conn   net.Conn
	r      io.Reader
	server bool // the peer's end is the server's
}

// web opens a WebSocket to the stack, with headers of the peer's. It returns the first line of
// the answer if that is a refusal.
func (v *vault) web(tr Transport, headers string) (*socket, string) {
	v.bed.t.Helper()
	c := v.dial(tr)
	if tr == WSS {
		c = tls.Client(c, &tls.Config{RootCAs: v.pool(), ServerName: "gw.example.org"})
	}
	head := "GET /sip HTTP/1.1\r\nHost: gw.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + headers + "\r\n"
	if _, err := io.WriteString(c, head); err != nil {
		v.bed.t.Fatal(err)
	}
	r := bufio.NewReader(c)
	c.SetReadDeadline(time.Now().Add(time.Minute))
	var lines []string
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			v.bed.t.Fatalf("%v after %q", err, lines)
		}
		if l == "\r\n" {
			break
		}
		lines = append(lines, strings.TrimSpace(l))
	}
	if !strings.Contains(lines[0], " 101 ") {
		return nil, lines[0]
	}
	if answer := strings.Join(lines, "\n"); !strings.Contains(answer, "\nSec-WebSocket-Protocol: sip") {
		v.bed.t.Errorf("the answer does not say sip: %q", answer)
	}
	return &socket{t: v.bed.t, conn: c, r: r}, ""
}

// push sends a frame at once. An error says that the stack has closed.
func (s *socket) push(op ws.OpCode, fin bool, payload string) error {
	f := ws.NewFrame(op, fin, []byte(payload))
	if !s.server {
		f = ws.MaskFrame(f)
	}
	_, err := s.conn.Write(ws.MustCompileFrame(f))
	return err
}

func (s *socket) frame(op ws.OpCode, fin bool, payload string) {
	s.t.Helper()
	if err := s.push(op, fin, payload); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) send(text string) { s.t.Helper(); s.frame(ws.OpText, true, text) }

// next reads a frame.
func (s *socket) next() ws.Frame {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(10 * time.Minute))
	f, err := ws.ReadFrame(s.r)
	if err != nil {
		s.t.Fatal(err)
	}
	if f.Header.Masked != s.server {
		s.t.Errorf("masked: %v", f.Header.Masked)
	}
	return ws.UnmaskFrame(f)
}

func (s *socket) want(start string) string {
	s.t.Helper()
	f := s.next()
	if f.Header.OpCode != ws.OpText || !f.Header.Fin || !strings.HasPrefix(string(f.Payload), start) {
		s.t.Fatalf("got %v %q, want %q", f.Header.OpCode, f.Payload, start)
	}
	return string(f.Payload)
}

const sipOnly = "Sec-WebSocket-Protocol: sip\r\n"

// noLength is a request as a browser may write it: where it ends is where its frame does.
func noLength(method, id string) string {
	return strings.Replace(wire(over(WS, request(method, id))), "Content-Length: 0\r\n", "", 1)
}

func TestWebSocket(t *testing.T) {
	for _, tr := range []Transport{WS, WSS} {
		t.Run(string(tr), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tx *ServerTx
				v := newVault(t, Options{OnRequest: func(got *ServerTx) {
					tx = got
					answering(t)(got)
				}})
				s, refused := v.web(tr, "Sec-WebSocket-Protocol: chat, sip\r\n")
				if s == nil {
					t.Fatal(refused)
				}
				s.send(noLength("OPTIONS", "a"))
				if got := s.want("SIP/2.0 200"); field(got, "Call-ID") != "a" || !strings.HasSuffix(got, "\r\n\r\n") {
					t.Errorf("got %q", got)
				}
				if tx.Transport() != tr || tx.Local().String() != at(tr) {
					t.Errorf("request over %s to %v", tx.Transport(), tx.Local())
				}
				// A message in pieces, with a ping between them, and then two and a keepalive at once.
				text := wire(over(WS, request("MESSAGE", "b")))
				s.frame(ws.OpText, false, text[:50])
				s.frame(ws.OpPing, true, "are you there")
				s.frame(ws.OpContinuation, false, text[50:80])
				if f := s.next(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
					t.Errorf("got %v %q, want the ping back", f.Header.OpCode, f.Payload)
				}
				s.frame(ws.OpContinuation, true, text[80:])
				if got := s.want("SIP/2.0 200"); field(got, "Call-ID") != "b" {
					t.Errorf("got %q", got)
				}
				var both strings.Builder
				for _, text := range []string{"\r\n\r\n", noLength("OPTIONS", "c")} {
					if err := ws.WriteFrame(&both, ws.MaskFrame(ws.NewBinaryFrame([]byte(text)))); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := io.WriteString(s.conn, both.String()); err != nil {
					t.Fatal(err)
				}
				s.want("\r\n")
				s.want("SIP/2.0 200")
				// A request of ours goes the same way.
				to, ok := v.stack.Flow(func(Peer) bool { return true })
				if !ok {
					t.Fatal("no flow")
				}
				var j journal
				v.stack.Request(build(sip.OPTIONS, "d"), to, j.on)
				msg := s.want("OPTIONS")
				if via := field(msg, "Via"); !strings.HasPrefix(via, "SIP/2.0/"+string(tr)+" "+at(tr)) {
					t.Errorf("Via is %q", via)
				}
				s.send(wire(reply(msg, "200 OK", "x")))
				if got := j.take(); got != "200" {
					t.Errorf("got %q", got)
				}
				if st := v.stack.Stats(); st.ConnsBy[tr] != 1 {
					t.Errorf("%+v", st)
				}
				s.frame(ws.OpClose, true, "\x03\xe8")
				if f := s.next(); f.Header.OpCode != ws.OpClose || string(f.Payload) != "\x03\xe8" {
					t.Errorf("got %v %q, want the end", f.Header.OpCode, f.Payload)
				}
				synctest.Wait()
				if st := v.stack.Stats(); st.Conns != 0 || st.Dropped != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestWebSocketRefused: who does not speak SIP is refused, and so is the page of a stranger in
// the browser of a friend.
func TestWebSocketRefused(t *testing.T) {
	tests := []struct {
		name    string
		origins []string
		headers string
		want    string // of the first line; empty if it is let in
	}{
		{"no subprotocol", nil, "", " 400 "},
		{"another subprotocol", nil, "Sec-WebSocket-Protocol: xmpp\r\n", " 400 "},
		{"no browser", nil, sipOnly, ""},
		{"a page, and none is known", nil, sipOnly + "Origin: https://phone.example.org\r\n", " 403 "},
		{"a known page", []string{"https://phone.example.org"}, sipOnly + "Origin: https://phone.example.org\r\n", ""},
		{"another page", []string{"https://phone.example.org"}, sipOnly + "Origin: https://phone.example.org.example.com\r\n", " 403 "},
		{"no page at all", []string{"https://phone.example.org"}, sipOnly + "Origin: null\r\n", " 403 "},
		{"any page", []string{"*"}, sipOnly + "Origin: null\r\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t, Options{Origins: tt.origins, OnRequest: answering(t)})
				s, refused := v.web(WS, tt.headers)
				if (s != nil) != (tt.want == "") || !strings.Contains(refused, tt.want) {
					t.Fatalf("got %q, want %q", refused, tt.want)
				}
				synctest.Wait()
				if st := v.stack.Stats(); s == nil && (st.Handshakes != 1 || st.Conns != 0) {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestWebSocketsThatAreClosed(t *testing.T) {
	tests := []struct {
		name  string
		play  func(s *socket)
		after time.Duration
	}{
		{"silent", func(*socket) {}, 30 * time.Minute},
		{"not masked", func(s *socket) {
			s.server = true
			_ = s.push(ws.OpText, true, noLength("OPTIONS", "a")) // the stack may be quick
		}, 0},
		{"a frame beyond the limit", func(s *socket) { _ = s.push(ws.OpText, true, strings.Repeat("x", 70000)) }, 0},
		{"pieces beyond the limit", func(s *socket) {
			s.frame(ws.OpText, false, strings.Repeat("x", 40000))
			_ = s.push(ws.OpContinuation, false, strings.Repeat("x", 40000))
		}, 0},
		{"a piece of nothing", func(s *socket) { _ = s.push(ws.OpContinuation, true, "x") }, 0},
		{"a message that does not end", func(s *socket) { s.frame(ws.OpText, false, "OPTIONS") }, 10 * time.Second},
		{"half a frame", func(s *socket) { io.WriteString(s.conn, "\x81\xfe\x01") }, 10 * time.Second},
		{"an endless frame", func(s *socket) { io.WriteString(s.conn, "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff0000x") }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t, Options{OnRequest: func(*ServerTx) { t.Error("a request came through") }})
				s, _ := v.web(WS, sipOnly)
				start := time.Now()
				tt.play(s)
				s.conn.SetReadDeadline(start.Add(time.Hour))
				if got, err := io.ReadAll(s.r); len(got) > 0 || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
				if d := time.Since(start); d < tt.after || d > tt.after+time.Second {
					t.Errorf("closed after %v, want %v", d, tt.after)
				}
			})
		})
	}
}

// TestWebSocketMalformed: a bad message over a WebSocket costs only itself.
func TestWebSocketMalformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, Options{OnRequest: answering(t)})
		s, _ := v.web(WS, sipOnly)
		s.send(strings.Replace(noLength("OPTIONS", "a"), "CSeq: 1 OPTIONS", "CSeq: x", 1))
		s.want("SIP/2.0 400")
		s.send("rubbish")
		s.send(noLength("OPTIONS", "b"))
		s.want("SIP/2.0 200")
	})
}

// TestWebSocketToPeer: we open one to a peer that takes them.
func TestWebSocketToPeer(t *testing.T) {
	for _, tr := range []Transport{WS, WSS} {
		t.Run(string(tr), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t, Options{OnRequest: answering(t)})
				l, err := v.net.Listen(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), tr.Port()).String())
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				var j journal
				v.stack.Request(build(sip.OPTIONS, "a"), Target{Transport: tr, Host: "192.0.2.2", Identity: "voip.example.net"}, j.on)
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				raw := conn
				if tr == WSS {
					conn = tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{v.issue(paper{dns: []string{"voip.example.net"}})}})
				}
				host := ""
				u := ws.Upgrader{
					Protocol: func(p []byte) bool { return string(p) == "sip" },
					OnHost:   func(h []byte) error { host = string(h); return nil },
				}
				if _, err := u.Upgrade(conn); err != nil {
					t.Fatal(err)
				}
				if host != "voip.example.net:"+map[Transport]string{WS: "80", WSS: "443"}[tr] && tr == WSS {
					t.Errorf("Host is %q", host)
				}
				s := &socket{t: t, conn: conn, r: conn, server: true}
				msg := s.want("OPTIONS")
				s.send(wire(reply(msg, "200 OK", "x")))
				if got := j.take(); got != "200" {
					t.Errorf("got %q", got)
				}
				s.send(noLength("OPTIONS", "b"))
				s.want("SIP/2.0 200")
				// It is kept open.
				start := time.Now()
				if f := s.next(); f.Header.OpCode != ws.OpPing || time.Since(start) > 96*time.Second {
					t.Errorf("got %v after %v, want a ping", f.Header.OpCode, time.Since(start))
				}
			})
		})
	}
}

func FuzzWebSocket(f *testing.F) {
	f.Add([]byte("\x81\x85\x00\x00\x00\x00hello"), []byte("\x80\x80\x00\x00\x00\x00"))
	f.Add([]byte("\x01\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), []byte("\x89\x80"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		w := &webSocket{}
		buf := append(a, b...)
		for {
			n, msg, _, err := w.next(buf, 1000)
			if n < 0 || n > len(buf) || len(msg) > 1000 || len(w.part) > 1000 {
				t.Fatalf("%d of %d bytes, a message of %d, a part of %d", n, len(buf), len(msg), len(w.part))
			}
			if err != nil || n == 0 {
				return
			}
			buf = buf[n:]
		}
	})
}
