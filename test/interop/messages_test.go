//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/xmppclient"
)

// A chatter is an XMPP user who writes and reads.
type chatter struct {
	*xmppclient.Client
	got chan *element.Element
}

func (s *server) chatter(t *testing.T, user string) *chatter {
	t.Helper()
	w := &chatter{s.dial(t, user, "desk"), make(chan *element.Element, 100)}
	w.Receive(func(e *element.Element) {
		if e.Name == "message" {
			w.got <- e
		}
	})
	w.send(t, "<presence/>")
	return w
}

func (c *chatter) send(t *testing.T, xml string) {
	t.Helper()
	e, err := element.Parse(xml, nsClient)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(e); err != nil {
		t.Fatal(err)
	}
}

// says sends a chat message to a number.
func (c *chatter) says(t *testing.T, id, number, text, more string) {
	t.Helper()
	c.send(t, fmt.Sprintf("<message type='chat' id='%s' to='%s'><body>%s</body>%s</message>", id, jidOf(number), text, more))
}

// reads waits for a message with all of these words in it.
func (c *chatter) reads(t *testing.T, words ...string) string {
	t.Helper()
	limit := time.After(30 * time.Second)
	var seen []string
	for {
		select {
		case e := <-c.got:
			text := e.String()
			missing := false
			for _, w := range words {
				missing = missing || !strings.Contains(text, w)
			}
			if !missing {
				return text
			}
			seen = append(seen, text)
		case <-limit:
			t.Fatalf("no message with %q came; seen\n%s", words, strings.Join(seen, "\n"))
		}
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for _, kind := range servers {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.start(t)
			g := startGateway(t, s, gatewayOptions{})
			romeo := s.chatter(t, "romeo")

			to := sippOptions{target: g.sip, uri: g.encodedURIOf("romeo")}
			startSipp(t, to, "send MESSAGE | Subject: Lunch | body text/plain;charset=UTF-8 Gr\u00fc\u00dfe; recv 202").finished(t)
			romeo.reads(t, "Gr\u00fc\u00dfe", "<subject>Lunch</subject>")
			nobody := sippOptions{target: g.sip, uri: g.encodedURIOf("nobody")}
			startSipp(t, nobody, "send MESSAGE | body text/plain hello; recv 480").finished(t)

			phone := startSipp(t, sippOptions{port: g.sipp}, "recv MESSAGE | body Noon; send 200")
			romeo.says(t, "m1", sippNumber, "Noon?", "")
			phone.finished(t)
			if text := phone.received(t, "MESSAGE sip:"); header(text, "Contact") != "" || !strings.Contains(text, "text/plain") {
				t.Errorf("the phone got\n%s", text)
			}
			phone = startSipp(t, sippOptions{port: g.sipp}, "recv MESSAGE; send 404")
			romeo.says(t, "m2", sippNumber, "Are you there?", "")
			phone.finished(t)
			if text := romeo.reads(t, "item-not-found"); !strings.Contains(text, "m2") {
				t.Errorf("the error is %s", text)
			}

			// Nobody is at the trunk for a while.
			romeo.says(t, "m3", sippNumber, "Call me back", "")
			eventually(t, 10*time.Second, "the message waits", func() error { return g.waiting(1) })
			phone = startSipp(t, sippOptions{port: g.sipp}, "recv MESSAGE | body back | within 90000; send 200")
			phone.finished(t)
			eventually(t, 10*time.Second, "nothing waits", func() error { return g.waiting(0) })

			// The server is away for a while, and afterwards the user is: the phone is told.
			s.kill(t)
			startSipp(t, to, "send MESSAGE | body text/plain hello; recv 202").finished(t)
			eventually(t, 10*time.Second, "the message waits", func() error { return g.waiting(1) })
			phone = startSipp(t, sippOptions{port: g.phone}, "recv MESSAGE | body Not | within 60000; send 200")
			s.restart()
			phone.finished(t)
			if text := phone.received(t, "MESSAGE sip:"); !strings.Contains(text, "Not delivered: hello") {
				t.Errorf("the phone got\n%s", text)
			}
		})
	}
}

// waiting has an error unless so many messages wait.
func (g *gateway) waiting(n int) error {
	_, body, err := g.get("/metrics")
	if want := fmt.Sprintf("\nsipxmppgw_messages_waiting %d\n", n); err == nil && !strings.Contains(body, want) {
		return fmt.Errorf("not %q", strings.TrimSpace(want))
	}
	return err
}
