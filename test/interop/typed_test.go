//go:build interop

package interop

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/typewriter"
	"sipxmppgw/test/peer/xmppclient"
)

// A witness hands on what its user's telephone is sent, and keeps the messages.
type witness struct {
	*xmppclient.Client
	mu  sync.Mutex
	got []string
}

// Receive implements [jinglephone.Stream].
func (w *witness) Receive(f func(*element.Element)) {
	w.Client.Receive(func(e *element.Element) {
		if e.Name == "message" {
			w.mu.Lock()
			w.got = append(w.got, e.String())
			w.mu.Unlock()
		}
		f(e)
	})
}

func (w *witness) sees(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, 20*time.Second, fmt.Sprintf("the user sees %q", words), func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
	next:
		for _, m := range w.got {
			for _, word := range words {
				if !strings.Contains(m, word) {
					continue next
				}
			}
			return nil
		}
		return fmt.Errorf("seen: %s", strings.Join(w.got, "\n"))
	})
}

// Two who talk see each other type, through servers that carry what they do not know (RFC 4103,
// XEP-0301).
func TestTypedText(t *testing.T) {
	t.Parallel()
	for _, kind := range servers {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.start(t)
			g := startGateway(t, s, gatewayOptions{})
			line, err := typewriter.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(line.Close)
			sip, err := sipphone.Listen(sipphone.Options{Addr: local(g.phone), User: phoneUser, Text: line.Lines("RTP/AVP")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(sip.Close)
			romeo := &witness{Client: s.dial(t, "romeo", "phone")}
			app := jinglephone.New(romeo, jinglephone.Options{Behaviour: jinglephone.Conversations()})
			t.Cleanup(app.Close)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := app.Ask(ctx, element.New(nsClient, "iq", "type", "get", "to", userDomain).Add(element.New("urn:xmpp:ping", "ping"))); err != nil { // then the server knows that the client is there
				t.Fatal(err)
			}
			called := make(chan *jinglephone.Call, 1)
			app.OnIncoming(func(c *jinglephone.Call) { called <- c })

			c, err := sip.Dial(g.encodedURIOf("romeo"))
			if err != nil {
				t.Fatal(err)
			}
			var user *jinglephone.Call
			select {
			case user = <-called:
			case <-time.After(30 * time.Second):
				t.Fatalf("nobody calls; the phone's call is %v, %v", c.State(), c.End())
			}
			if err := user.Accept(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, "they talk", func() error {
				if c.State() != phone.Active || user.State() != phone.Active {
					return fmt.Errorf("%v and %v", c.State(), user.State())
				}
				return nil
			})
			port, _ := c.Text()
			contact, _, _ := strings.Cut(user.Peer(), "/")
			write := func(xml string) {
				t.Helper()
				e, err := element.Parse("<message type='chat' to='"+contact+"'>"+xml+"</message>", nsClient)
				if err != nil {
					t.Fatal(err)
				}
				if err := romeo.Send(e); err != nil {
					t.Fatal(err)
				}
			}
			// Who has shown that it types so is shown the same.
			write("<rtt xmlns='urn:xmpp:rtt:0' event='new' seq='7'><t>Hello, </t></rtt>")
			write("<rtt xmlns='urn:xmpp:rtt:0' seq='8'><t>yuo</t><e n='2'/><t>ou</t></rtt>")
			write("<body>Hello, you</body>")
			eventually(t, 20*time.Second, "the phone reads it", func() error {
				if got, _ := line.Read(); got != "\uFEFFHello, you\u2028" {
					return fmt.Errorf("it reads %q", got)
				}
				return nil
			})
			if err := line.Type(port, "Good eve", false); err != nil {
				t.Fatal(err)
			}
			romeo.sees(t, "urn:xmpp:rtt:0", "event='new'", ">Good eve<")
			if err := line.Type(port, "ning\r\n", false); err != nil {
				t.Fatal(err)
			}
			romeo.sees(t, "<body>Good evening</body>")
			if err := c.HangUp(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, "no call is left", g.idle)
			eventually(t, 5*time.Second, "the packets are counted", func() error { return g.has("sipxmppgw_text_calls 0") })
		})
	}
}
