package signaling

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A streamPeer is a SIP phone at the end of a connection.
type streamPeer struct {
	w    *world
	conn net.Conn
	r    *bufio.Reader
}

// stream connects to us.
func (w *world) stream(addr string) *streamPeer {
	w.t.Helper()
	conn, err := w.net.Dial(context.Background(), netip.MustParseAddr(addr), netip.MustParseAddrPort(ours))
	if err != nil {
		w.t.Fatal(err)
	}
	return &streamPeer{w: w, conn: conn, r: bufio.NewReader(conn)}
}

func (p *streamPeer) close() { _ = p.conn.Close() } // it has no error

func (p *streamPeer) send(head, body string) {
	p.w.t.Helper()
	body = strings.ReplaceAll(body, "\n", "\r\n")
	head = strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n")
	if body != "" {
		head += "\r\nContent-Type: application/sdp"
	}
	raw := head + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	if _, err := p.conn.Write([]byte(raw)); err != nil {
		p.w.t.Fatal(err)
	}
}

// wants reads the next message, which must begin so.
func (p *streamPeer) wants(start string) string {
	p.w.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		p.w.t.Fatal(err)
	}
	var b strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.w.t.Fatalf("nothing comes, want %q", start)
		}
		b.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	n, err := strconv.Atoi(rawHeader([]byte(b.String()), "content-length", "l"))
	if err != nil {
		p.w.t.Fatal(err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(p.r, body); err != nil {
		p.w.t.Fatal(err)
	}
	b.Write(body)
	if !strings.HasPrefix(b.String(), start) {
		p.w.t.Fatalf("got\n%s\nwant %q", b.String(), start)
	}
	return b.String()
}
