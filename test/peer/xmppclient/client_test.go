package xmppclient

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/jinglephone"
)

var _ jinglephone.Stream = (*Client)(nil)

const (
	header = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.test' id='1' version='1.0'>"
	plain  = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
	binds  = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"
	bound  = "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@example.test/given</jid></bind></iq>"
)

// serve plays a server: it reads until each text has come, then writes what belongs to it.
// What it heard is sent when the client has closed.
func serve(t *testing.T, script ...[2]string) (addr string, heard <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan string, 1)
	go func() { // until the client closes
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var all strings.Builder
		buffer := make([]byte, 4096)
		from := 0
		for _, step := range script {
			for !strings.Contains(all.String()[from:], step[0]) {
				n, err := conn.Read(buffer)
				if err != nil {
					out <- all.String()
					return
				}
				all.Write(buffer[:n])
			}
			from = all.Len()
			io.WriteString(conn, step[1])
		}
		rest, _ := io.ReadAll(conn)
		out <- all.String() + string(rest)
	}()
	return l.Addr().String(), out
}

func options(addr string) Options {
	return Options{Addr: addr, User: "romeo", Domain: "example.test", Resource: "wanted", Password: "pw"}
}

func TestLoginSendAndReceive(t *testing.T) {
	addr, heard := serve(t,
		[2]string{"<stream:stream", header + plain},
		[2]string{"</auth>", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"},
		[2]string{"<stream:stream", header + binds},
		[2]string{"</iq>", bound + "<message from='a@b/c'><body>1</body></message>"},
		[2]string{"<presence", "<iq type='result' id='r'/>"},
	)
	c, err := Dial(t.Context(), options(addr))
	if err != nil {
		t.Fatal(err)
	}
	if c.JID() != "romeo@example.test/given" {
		t.Errorf("bound %s", c.JID())
	}
	got := make(chan *element.Element, 10)
	if err := c.Send(element.New(nsClient, "presence")); err != nil {
		t.Error(err)
	}
	c.Receive(func(e *element.Element) { got <- e })
	if e := <-got; e.Child(nsClient, "body").Text() != "1" {
		t.Errorf("got %v", e)
	}
	if e := <-got; e.Attr("from") != "romeo@example.test" {
		t.Errorf("got %v", e)
	}
	if err := c.Send(element.New("other", "presence")); err == nil {
		t.Error("an element that is no stanza was sent")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	all := <-heard
	for _, want := range []string{"AHJvbWVvAHB3", "<resource>wanted</resource>", "<presence/>", "to='example.test'", "</stream:stream>"} {
		if !strings.Contains(all, want) {
			t.Errorf("the server did not hear %s in %s", want, all)
		}
	}
}

func TestLoginFails(t *testing.T) {
	tests := []struct {
		name   string
		script [][2]string
		want   string
	}{
		{"wrong password", [][2]string{
			{"<stream:stream", header + plain},
			{"</auth>", "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"},
		}, "not-authorized"},
		{"no features", [][2]string{{"<stream:stream", header + "<x/>"}}, "answered"},
		{"no resource", [][2]string{
			{"<stream:stream", header + plain},
			{"</auth>", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"},
			{"<stream:stream", header + binds},
			{"</iq>", "<iq type='error' id='bind'/>"},
		}, "answered"},
		{"no XML", [][2]string{{"<stream:stream", "HTTP/1.1 400 Bad Request\r\n<"}}, "bad-format"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr, _ := serve(t, test.script...)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if _, err := Dial(ctx, options(addr)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestLoginEndsWithItsContext(t *testing.T) {
	addr, _ := serve(t, [2]string{"<stream:stream", header})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, options(addr)); err == nil {
		t.Error("a silent server let in")
	}
}
