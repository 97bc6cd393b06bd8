package signaling

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"

	"sipxmppgw/gateway/call"
)

// A framed is the client's end of a WebSocket, on which each Write is one message.
type framed struct {
	net.Conn
	left []byte
}

func (f *framed) Write(b []byte) (int, error) {
	return len(b), ws.WriteFrame(f.Conn, ws.MaskFrame(ws.NewTextFrame(b)))
}

func (f *framed) Read(b []byte) (int, error) {
	for len(f.left) == 0 {
		got, err := ws.ReadFrame(f.Conn)
		if err != nil {
			return 0, err
		}
		if got.Header.OpCode == ws.OpClose {
			return 0, io.EOF
		}
		f.left = got.Payload
	}
	n := copy(b, f.left)
	f.left = f.left[n:]
	return n, nil
}

// web connects a browser.
func (w *world) web(addr string) *streamPeer {
	w.t.Helper()
	conn, err := w.net.Dial(context.Background(), netip.MustParseAddr(addr), netip.MustParseAddrPort(ourWeb))
	if err != nil {
		w.t.Fatal(err)
	}
	d := ws.Dialer{Protocols: []string{"sip"}}
	if _, _, err := d.Upgrade(conn, &url.URL{Scheme: "ws", Host: "gw.jabber.example", Path: "/"}); err != nil {
		w.t.Fatal(err)
	}
	f := &framed{Conn: conn}
	return &streamPeer{w: w, conn: f, r: bufio.NewReader(f)}
}

// field is a header of a message as text.
func field(msg, long string) string { return rawHeader([]byte(msg), long, long) }

// reply answers a request over the connection.
func (p *streamPeer) reply(req, status, tag, more, body string) {
	to := field(req, "to")
	if tag != "" {
		to += ";tag=" + tag
	}
	p.send("SIP/2.0 "+status+"\nVia: "+field(req, "via")+"\nFrom: "+field(req, "from")+"\nTo: "+to+"\nCall-ID: "+field(req, "call-id")+"\nCSeq: "+field(req, "cseq")+more, body)
}

// TestOverWebSocket: a browser that listens nowhere calls and is called over the connection
// that it has opened, also where its Contact names a host that there is not (RFC 7118).
func TestOverWebSocket(t *testing.T) {
	const nowhere = "\nContact: <sip:otto@df7jal23ls0d.invalid;transport=ws>"
	play(t, func(t *testing.T, w *world) {
		p := w.web("198.51.100.60")
		synctest.Wait()
		target := toOtto()
		target.Trunk = "web"
		c := w.dial(target)
		invite := p.wants("INVITE sip:otto@voip.example SIP/2.0")
		if v := field(invite, "via"); !strings.HasPrefix(v, "SIP/2.0/WS 192.0.2.10:80;branch=") {
			t.Errorf("Via %q", v)
		}
		if v := field(invite, "contact"); v != "<sip:x-id1@192.0.2.10:80;transport=ws>" {
			t.Errorf("Contact %q", v)
		}
		p.reply(invite, "200 OK", "o1", nowhere, theirOffer)
		p.wants("ACK sip:otto@df7jal23ls0d.invalid;transport=ws SIP/2.0")
		c.wants(t, "answers PCMU PCMA telephone-event")
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		bye := p.wants("BYE sip:otto@df7jal23ls0d.invalid;transport=ws SIP/2.0")
		p.reply(bye, "200 OK", "", "", "")
		c.wants(t, "ends normal 0/0 ")

		p.send("INVITE sip:mira@jabber.example SIP/2.0\nVia: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKs1\nMax-Forwards: 70\nFrom: <sip:otto@voip.example>;tag=o55\nTo: <sip:mira@jabber.example>\nCall-ID: w1\nCSeq: 10 INVITE"+nowhere, theirOffer)
		p.wants("SIP/2.0 100 ")
		in := w.calls.last()
		if q := w.calls.queries[0]; q.Trunk != "web" {
			t.Errorf("query %+v", q)
		}
		in.do(func() { in.leg.Answer(described("PCMA")) })
		res := p.wants("SIP/2.0 200 OK")
		p.send("ACK "+address(field(res, "contact")).URI+" SIP/2.0\nVia: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKs2\nMax-Forwards: 70\nFrom: <sip:otto@voip.example>;tag=o55\nTo: "+field(res, "to")+"\nCall-ID: w1\nCSeq: 10 ACK", "")
		in.wants(t, "confirms")
		in.do(func() { in.leg.End(call.Normal, call.Detail{}) })
		p.reply(p.wants("BYE sip:otto@df7jal23ls0d.invalid;transport=ws SIP/2.0"), "200 OK", "", "", "")
		in.wants(t, "ends normal 0/0 ")
		p.close()
	})
}

// TestWebSocketIsGone: a call to it ends at once, and the next is not begun.
func TestWebSocketIsGone(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.web("198.51.100.60")
		synctest.Wait()
		target := toOtto()
		target.Trunk = "web"
		c := w.dial(target)
		p.wants("INVITE")
		p.close()
		c.wants(t, "ends unreachable 0/0 no connection")
		if _, err := w.edge.Dial(target, w.calls.call(call.B)); err == nil || err.Error() != "unreachable: trunk web is not connected" {
			t.Errorf("got %v", err)
		}
		// Another connection of the trunk takes over.
		again := w.web("198.51.100.61")
		synctest.Wait()
		c = w.dial(target)
		again.reply(again.wants("INVITE"), "486 Busy Here", "o1", "", "")
		again.wants("ACK")
		c.wants(t, "ends busy 486/0 Busy Here")
		again.close()
	})
}

// TestSIPS: who is called by a sips URI has one in Contact too (RFC 3261 section 12.1.1).
func TestSIPS(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.stream("198.51.100.9")
		p.send("INVITE sips:mira@jabber.example SIP/2.0\nVia: SIP/2.0/TCP 198.51.100.9:5060;branch=z9hG4bKs1\nMax-Forwards: 70\nFrom: <sips:otto@voip.example>;tag=o55\nTo: <sips:mira@jabber.example>\nCall-ID: s1\nCSeq: 10 INVITE\nContact: <sips:otto@phone.example>", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		if q := w.calls.queries[0]; q.To != "sips:mira@jabber.example" {
			t.Errorf("query %+v", q)
		}
		c.do(func() { c.leg.Answer(described("PCMA")) })
		if got := field(p.wants("SIP/2.0 200 OK"), "contact"); got != "<sips:x-id1@192.0.2.10:5060;transport=tcp>" {
			t.Errorf("Contact %q", got)
		}
		p.close()
	})
}
