package component

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gosrc.io/xmpp/stanza"
)

func TestStanzasBehindTheHandshake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		w.accept(
			"<message id='1' from='home.test' to='gw.test'><privilege xmlns='urn:xmpp:privilege:2'/></message>",
			"<presence id='2' from='"+peer+"' to='gw.test'/>",
		)
		for _, id := range []string{"1", "2"} {
			if s := w.one(); s.Id != id {
				t.Errorf("got %+v, want id %s", s, id)
			}
		}
	})
}

func TestUpIsToldBeforeTheFirstStanza(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var w *world
		told := make(chan error, 1)
		ready := make(chan struct{})
		w = start(t, Options{State: func(s State) {
			<-ready
			if s.Up {
				if len(w.got) != 0 {
					t.Error("a stanza came before the state")
				}
				told <- w.Send(chat("up"))
			}
		}})
		close(ready)
		defer w.stop()
		f := w.accept("<presence from='" + peer + "' to='gw.test'/>")
		if err := <-told; err != nil {
			t.Errorf("send when told up: %v", err)
		}
		f.one()
		w.one()
	})
}

func TestSegmentsOfOneByte(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		in := "  \n<message from='" + peer + "' to='gw.test' type=\"chat\" ><body>a &lt;b> ]] &#x1F600;</body ><x xmlns='u>/'/>" +
			"<y xmlns='v'><![CDATA[</message>]]]>&lt;z><![CDATA[]]></y></message\n><presence from='" + peer + "' to='gw.test'/>"
		for i := range len(in) {
			f.write(in[i : i+1])
		}
		s := w.one()
		if body := s.Child(Content, "body"); body == nil || body.Content != "a <b> ]] \U0001F600" {
			t.Errorf("got %+v", s)
		}
		if y := s.Child("v", "y"); y == nil || y.Content != "</message>]<z>" {
			t.Errorf("got %+v", s)
		}
		if s := w.one(); s.Kind != Presence {
			t.Errorf("got %+v, want the presence", s)
		}
	})
}

// The port opens at any time of a long outage; the stream is up within a second.
func TestConnectedWithinASecondOfThePortOpening(t *testing.T) {
	for outage := 100 * time.Millisecond; outage < 10*time.Minute; outage = outage*3/2 + 37*time.Millisecond {
		bubble(t, func(t *testing.T) {
			w := start(t, Options{})
			defer w.stop()
			f := w.accept()
			w.shut.Store(true)
			f.Close()
			<-time.After(outage)
			w.shut.Store(false)
			before := time.Now()
			w.accept()
			if d := time.Since(before); d > time.Second {
				t.Errorf("connected %v after the port opened, %v after it closed", d, outage)
			}
		})
	}
}

func TestConnectionsAreNotTriedInALoop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		before := time.Now()
		for range 100 { // a server that takes the connection and drops it at once
			f := <-w.conns
			f.Close()
		}
		if d := time.Since(before); d < 6*time.Minute || d > 9*time.Minute {
			t.Errorf("100 attempts in %v, want about 5s each", d)
		}
	})
}

func TestServerRefusesUs(t *testing.T) {
	tests := []struct {
		condition   string
		cause       Cause
		setting     string
		first, most time.Duration // between attempts
	}{
		{"not-authorized", NotAuthorized, "xmpp.secret", 4 * time.Second, time.Minute},
		{"host-unknown", HostUnknown, "xmpp.domain", 4 * time.Second, time.Minute},
		{"conflict", Conflict, "xmpp.domain", 4 * time.Second, 5 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.condition, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log bytes.Buffer
				w := start(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
				defer w.stop()
				refuse := func() {
					f := <-w.conns
					f.open()
					f.write("<stream:error><" + test.condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>no\nway</text></stream:error></stream:stream>")
					f.Close()
					synctest.Wait()
				}
				var waits []time.Duration
				for range 10 {
					refuse()
					before := time.Now()
					if s := w.State(); s.Up || s.Cause != test.cause || s.Err == nil {
						t.Fatalf("state %+v, want %s", s, test.cause)
					}
					for len(w.dials) > 0 {
						<-w.dials
					}
					waits = append(waits, (<-w.dials).Sub(before))
				}
				if waits[0] < test.first || waits[0] > 5*time.Second {
					t.Errorf("first wait %v, want 4s to 5s", waits[0])
				}
				if last := waits[9]; last < test.most*4/5 || last > test.most {
					t.Errorf("last wait %v, want about %v", last, test.most)
				}
				if n := strings.Count(log.String(), "level=WARN"); n != 1 {
					t.Errorf("%d warnings for ten refusals, want 1", n)
				}
				for _, part := range []string{"cause=" + string(test.cause), "setting=" + test.setting} {
					if !strings.Contains(log.String(), part) {
						t.Errorf("log %q does not say %s", log.String(), part)
					}
				}
				if strings.Contains(log.String(), secret) {
					t.Error("the log has the secret")
				}
				f := w.accept()
				f.alive(w)
			})
		})
	}
}

func TestReplacedStepsDownForAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		f.write("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		<-f.ended
		before := time.Now()
		w.accept()
		if d := time.Since(before); d < time.Minute || d > 75*time.Second {
			t.Errorf("back after %v, want a minute", d)
		}
	})
}

func TestStatesAreToldInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		if s := w.State(); s.Up || s.Cause != Starting {
			t.Errorf("state %+v, want starting", s)
		}
		w.accept().Close()
		w.accept()
		w.stop()
		var got []string
		for len(w.states) > 0 {
			s := <-w.states
			got = append(got, fmt.Sprint(s.Up, s.Cause))
		}
		want := []string{"true", "falseclosed", "true", "falsestopped"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// XML that XMPP forbids between servers ends the stream (RFC 6120 section 11.1): a parser
// that goes on does not agree with the server's about what is a stanza.
func TestRestrictedXML(t *testing.T) {
	tests := []struct{ name, in, condition string }{
		{"comment between stanzas", "<!-- hello -->", "restricted-xml"},
		{"comment in a stanza", "<message><!-- hello --></message>", "restricted-xml"},
		{"processing instruction", "<message><?php ?></message>", "restricted-xml"},
		{"processing instruction between stanzas", "<?xml version='1.0'?>", "restricted-xml"},
		{"document type", "<!DOCTYPE x [<!ENTITY lol 'lol'>]>", "restricted-xml"},
		{"document type in a stanza", "<message><!DOCTYPE x></message>", "restricted-xml"},
		{"tags that do not match", "<message><a></b></message>", "not-well-formed"},
		{"text between stanzas", "hello", "not-well-formed"},
		{"tag within a tag", "<message <a>", "not-well-formed"},
		{"tag without a name", "< message>", "not-well-formed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := start(t, Options{})
				defer w.stop()
				f := w.accept()
				f.write(test.in) // may fail: the stream does not read it to its end
				before := time.Now()
				<-f.ended
				synctest.Wait()
				want := "<stream:error><" + test.condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
				if f.bye != want {
					t.Errorf("the stream said %q, want %q", f.bye, want)
				}
				w.accept().alive(w)
				if d := time.Since(before); d > time.Second {
					t.Errorf("back after %v, want a second at most", d)
				}
			})
		})
	}
}

func TestBadHandshakes(t *testing.T) {
	tests := []struct{ name, in string }{
		{"no stream", "<html></html>"},
		{"another namespace", "<stream:stream xmlns:stream='urn:x'>"},
		{"restricted XML first", "<!DOCTYPE x>"},
		{"closed at once", "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'/>"},
		{"an endless header", "<stream:stream " + strings.Repeat("a='b' ", 10_000)},
		{"an endless declaration", "<?xml " + strings.Repeat("a='b' ", 10_000)},
		{"a stanza for an answer", "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'><message/>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := start(t, Options{})
				defer w.stop()
				f := <-w.conns
				go func() { // reads what the stream writes; ends with the connection
					for b := make([]byte, 1000); ; {
						if _, err := f.Read(b); err != nil {
							return
						}
					}
				}()
				f.write(test.in)
				<-w.dials
				<-w.dials
				if s := w.State(); s.Up || s.Err == nil {
					t.Errorf("state %+v", s)
				}
				(<-w.conns).Close()
			})
		})
	}
}

func TestTenThousandStanzasKeepTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 10_000
		var w *world
		w = start(t, Options{Queue: n, Routes: []Route{{Kind: Message, Handle: func(s Stanza) {
			back := chat(s.Nodes[0].Content)
			back.Id = s.Id
			if err := w.Send(back); err != nil {
				t.Error(err)
			}
		}}}})
		defer w.stop()
		f := w.accept()
		var in strings.Builder
		for i := range n {
			fmt.Fprintf(&in, "<message id='%d' from='%s' to='%s'><body>%d</body></message>", i, peer, number, i)
		}
		f.write(in.String())
		for i := range n {
			if s := f.one(); s.Id != fmt.Sprint(i) {
				t.Fatalf("stanza %d is %+v", i, s)
			}
		}
	})
}

func TestStanzasThatAreNotForUs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		const body = "<x xmlns='urn:x'/>"
		for _, to := range []string{"other.test", "a@other.test", "sub.gw.test", "gw.test.other.test"} {
			f.write("<iq type='get' id='1' from='" + peer + "' to='" + to + "'>" + body + "</iq>")
		}
		f.write("<iq type='get' id='1' to='gw.test'>" + body + "</iq>")
		f.none()
		w.none()
		if s := w.Stats(); s.Foreign != 4 || s.Nobody != 1 {
			t.Errorf("counted %d for others and %d from nobody, want 4 and 1", s.Foreign, s.Nobody)
		}
		f.write("<iq type='get' id='1' from='" + peer + "' to='@gw.test'>" + body + "</iq>")
		if s := f.refused("jid-malformed"); s.From != domain {
			t.Errorf("answered from %s", s.From)
		}
		f.write("<iq type='get' id='2' from='" + peer + "'>" + body + "</iq>")
		if s := w.one(); s.To != domain {
			t.Errorf("a stanza without to is for %q, want the domain", s.To)
		}
	})
}

func TestRoutes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := make(chan string, 1)
		to := func(name string) func(Stanza) { return func(Stanza) { got <- name } }
		w := start(t, Options{Routes: []Route{
			{Kind: IQ, Space: "urn:x", Handle: to("iq x")},
			{Kind: Presence, Types: []stanza.StanzaType{"", "unavailable"}, Handle: to("presence")},
			{Space: "urn:y", Local: "y", Handle: to("y")},
			{Kind: Message, Handle: to("message")},
		}})
		defer w.stop()
		f := w.accept()
		tests := []struct{ in, want string }{
			{"<iq type='set' id='1'%s><q xmlns='urn:x'/></iq>", "iq x"},
			{"<presence%s/>", "presence"},
			{"<presence type='unavailable'%s/>", "presence"},
			{"<message%s><a xmlns='urn:a'/><y xmlns='urn:y'/></message>", "y"},
			{"<message%s><z xmlns='urn:y'/><y xmlns='urn:z'/></message>", "message"},
			{"<message type='error'%s/>", "message"},
		}
		for _, test := range tests {
			f.write(fmt.Sprintf(test.in, " from='"+peer+"' to='gw.test'"))
			if s := <-got; s != test.want {
				t.Errorf("%s went to %s, want %s", test.in, s, test.want)
			}
		}
		f.write("<presence type='subscribe' from='" + peer + "' to='gw.test'/>")
		if s := w.one(); s.Type != "subscribe" {
			t.Errorf("got %+v", s)
		}
		f.none()
	})
}

func TestStanzasWithoutARoute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(Options{})
		defer w.stop()
		f := w.accept()
		for _, kind := range []string{"message", "presence"} {
			f.write("<" + kind + " from='" + peer + "' to='gw.test'/>")
		}
		f.none()
		f.write("<iq type='get' id='1' from='" + peer + "' to='gw.test'><x xmlns='y'/></iq>")
		f.refused("service-unavailable")
		f.write("<iq type='error' id='1' from='" + peer + "' to='gw.test'><x xmlns='y'/></iq>")
		f.none()
		if n := w.Stats().Unrouted; n != 3 {
			t.Errorf("%d without a route, want 3", n)
		}
	})
}

func TestAPanicEndsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		w := start(t, Options{
			Log:    slog.New(slog.NewTextHandler(&log, nil)),
			Routes: []Route{{Local: "boom", Handle: func(Stanza) { panic("boom") }}},
		})
		f := w.accept()
		for range 5 {
			f.write("<iq type='set' id='1' from='" + peer + "' to='gw.test'><boom xmlns='y'/></iq>")
			f.refused("internal-server-error")
			f.write("<message id='1' from='" + peer + "' to='gw.test'><boom xmlns='y'/></message>")
			f.none()
		}
		if _, err := w.Request(query(peer), time.Second, func(Stanza, error) { panic("boom") }); err != nil {
			t.Fatal(err)
		}
		f.one()
		<-time.After(2 * time.Second)
		f.alive(w)
		if n := w.Stats().Panics; n != 11 {
			t.Errorf("%d panics, want 11", n)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "TestAPanicEndsNothing") {
			t.Errorf("%d lines for the panics, want one with its stack: %s", n, log.String())
		}
		w.stats.panics.Store(0) // stop fails on any
		w.stop()
	})
}

func TestAPanicOfTheTraceEndsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		boom := true
		w := start(t, Options{Trace: func(Direction, []byte) {
			if boom {
				panic("boom")
			}
		}})
		f := w.accept()
		if err := w.Send(chat("hello")); err != nil {
			t.Fatal(err)
		}
		f.one()
		f.write("<message from='" + peer + "' to='gw.test'/>")
		synctest.Wait()
		boom = false
		f.alive(w)
		if n := w.Stats().Panics; n != 2 {
			t.Errorf("%d panics, want 2", n)
		}
		w.stats.panics.Store(0) // stop fails on any
		w.stop()
	})
}

func TestBackoff(t *testing.T) {
	near := func(got, want time.Duration) bool { return got > want*4/5 && got <= want }
	var b backoff
	no := &net.OpError{Err: syscall.ECONNREFUSED}
	steps := []struct {
		cause Cause
		err   error
		want  time.Duration
	}{
		{NotAuthorized, nil, 5 * time.Second},
		{NotAuthorized, nil, 10 * time.Second},
		{NotAuthorized, nil, 20 * time.Second},
		{NotAuthorized, nil, 40 * time.Second},
		{NotAuthorized, nil, time.Minute},
		{NotAuthorized, nil, time.Minute},
		{Closed, nil, 250 * time.Millisecond}, // another cause is another story
		{Closed, nil, 500 * time.Millisecond},
		{Unreachable, no, 250 * time.Millisecond},
		{Unreachable, no, 500 * time.Millisecond},
		{Unreachable, no, 750 * time.Millisecond},
		{Unreachable, no, 750 * time.Millisecond},
		{Unreachable, context.DeadlineExceeded, 1500 * time.Millisecond},
		{Unreachable, context.DeadlineExceeded, 3 * time.Second},
		{Unreachable, context.DeadlineExceeded, 5 * time.Second},
		{Unreachable, no, 750 * time.Millisecond},
	}
	for i, step := range steps {
		if got := b.next(step.cause, step.err); !near(got, step.want) {
			t.Errorf("wait %d, after %s, is %v, want %v", i, step.cause, got, step.want)
		}
	}
}

// A connection that lasted starts the waits anew; the server only restarted.
func TestAnOldConnectionIsReplacedSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		for range 10 {
			f := w.accept()
			<-time.After(time.Minute)
			before := time.Now()
			f.Close()
			w.accept().Close()
			if d := time.Since(before); d > 250*time.Millisecond {
				t.Errorf("connected %v after a minute's connection was lost, want 250ms", d)
			}
		}
	})
}

func TestSendRefusesWhatWouldCloseTheStream(t *testing.T) {
	deep := stanza.Node{XMLName: xml.Name{Local: "a"}}
	for range 15 {
		deep = stanza.Node{XMLName: xml.Name{Local: "a"}, Nodes: []stanza.Node{deep}}
	}
	tests := []struct {
		name   string
		change func(*Stanza)
	}{
		{"from another domain", func(s *Stanza) { s.From = "a@home.test" }},
		{"from a domain below ours", func(s *Stanza) { s.From = "a@x.gw.test" }},
		{"from a domain that ends as ours", func(s *Stanza) { s.From = "a@xgw.test" }},
		{"from what is no address", func(s *Stanza) { s.From = "a b@gw.test" }},
		{"to nobody", func(s *Stanza) { s.To = "" }},
		{"to what is no address", func(s *Stanza) { s.To = "@" }},
		{"no kind of stanza", func(s *Stanza) { s.Kind = "stream:error" }},
		{"iq without an id", func(s *Stanza) { s.Kind, s.Type = IQ, "set" }},
		{"iq without a type", func(s *Stanza) { s.Kind, s.Id, s.Type = IQ, "1", "" }},
		{"too long", func(s *Stanza) { s.Nodes[0].Content = strings.Repeat("a", 64<<10) }},
		{"too long once it is escaped", func(s *Stanza) { s.Nodes[0].Content = strings.Repeat("&", 14<<10) }},
		{"too deep", func(s *Stanza) { s.Nodes[0] = deep }},
		{"too many elements", func(s *Stanza) { s.Nodes = slices.Repeat(s.Nodes, 256) }},
		{"too many attributes", func(s *Stanza) {
			for i := range 65 {
				s.Nodes[0].Attrs = append(s.Nodes[0].Attrs, xml.Attr{Name: xml.Name{Local: fmt.Sprint("a", i)}})
			}
		}},
		{"too many attributes once they are declared", func(s *Stanza) {
			for i := range 40 {
				s.Nodes[0].Attrs = append(s.Nodes[0].Attrs, xml.Attr{Name: xml.Name{Space: "urn:x", Local: fmt.Sprint("a", i)}})
			}
		}},
		{"an attribute twice", func(s *Stanza) {
			s.Nodes[0].Attrs = []xml.Attr{{Name: xml.Name{Space: "xml", Local: "lang"}}, {Name: xml.Name{Space: nsXML, Local: "lang"}}}
		}},
		{"a name that is none", func(s *Stanza) { s.Nodes[0].XMLName.Local = "a b" }},
		{"a name that closes its tag", func(s *Stanza) { s.Nodes[0].XMLName.Local = "a/><b" }},
		{"a name that is empty", func(s *Stanza) { s.Nodes[0].XMLName.Local = "" }},
		{"an attribute's name that is none", func(s *Stanza) { s.Nodes[0].Attrs = []xml.Attr{{Name: xml.Name{Local: "a='b' c"}}} }},
		{"a namespace that is XML's", func(s *Stanza) { s.Nodes[0].XMLName.Space = nsXMLNS }},
		{"an attribute's namespace that is XML's", func(s *Stanza) { s.Nodes[0].Attrs = []xml.Attr{{Name: xml.Name{Space: nsXMLNS, Local: "a"}}} }},
	}
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		for i, test := range tests {
			s := chat("hello")
			test.change(&s)
			if err := w.Send(s); err == nil {
				t.Errorf("%s: is sent", test.name)
			}
			if n := w.Stats().Refused; n != uint64(i+1) {
				t.Errorf("%s: %d counted as refused, want %d", test.name, n, i+1)
			}
		}
		f.none()
		s := chat("hello")
		s.From, s.Nodes[0].Nodes = "", []stanza.Node{deep.Nodes[0].Nodes[0]}
		if err := w.Send(&s); err != nil {
			t.Errorf("16 deep from the domain itself: %v", err)
		}
		if s := f.one(); s.From != domain {
			t.Errorf("sent from %s", s.From)
		}
	})
}

func TestSendOfTheLibrarysPackets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		m := stanza.NewMessage(stanza.Attrs{From: number, To: peer, Type: "chat"})
		m.Body = "hello <you>"
		if err := w.Send(m); err != nil {
			t.Error(err)
		}
		if s := f.one(); s.Nodes[0].Content != "hello <you>" || s.Nodes[0].XMLName.Space != Content {
			t.Errorf("got %+v", s)
		}
		if err := w.SendRaw("<presence to='" + peer + "'><show>away</show></presence>"); err != nil {
			t.Error(err)
		}
		if s := f.one(); s.Kind != Presence || s.From != domain || s.Nodes[0].Content != "away" {
			t.Errorf("got %+v", s)
		}
		for _, raw := range []string{"", "<presence/><presence/>", "</stream:stream>", "<presence to='a@b.test'/>x", "<x/>", "<presence to='a@b.test'><!-- --></presence>", "hello"} {
			if err := w.SendRaw(raw); err == nil {
				t.Errorf("%q is sent", raw)
			}
		}
		f.none()
	})
}

func TestWhatIsQueuedIsWrittenAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		f := w.accept()
		for range 1000 {
			if err := w.Send(chat("bye")); err != nil {
				t.Fatal(err)
			}
		}
		w.stop()
		<-f.ended
		synctest.Wait()
		if n := len(f.got); n != 1000 {
			t.Errorf("%d stanzas arrived before the end, want 1000", n)
		}
		if f.bye != endOfStream {
			t.Errorf("the stream said %q, want its end", f.bye)
		}
		if err := w.Send(chat("late")); err != ErrDown {
			t.Errorf("send after the end: %v", err)
		}
		if _, err := w.Request(query(peer), time.Second, func(Stanza, error) {}); err != ErrDown {
			t.Errorf("request after the end: %v", err)
		}
	})
}

// A server that has something to say after our end can say it: it would give up the connection with
// all that it has not read of it.
func TestTheServerEndsItsStreamToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		f := w.accept()
		f.stays, f.last = time.Second, fmt.Sprintf("<message id='late' from='%s' to='%s'/>", peer, number)
		before := time.Now()
		w.stop()
		if <-f.ended; f.late != nil {
			t.Errorf("the server could not write any more: %v", f.late)
		}
		if s := w.one(); s.Id != "late" {
			t.Errorf("got %+v", s)
		}
		if d := time.Since(before); d != time.Second {
			t.Errorf("stopped after %v, want when the server has ended its stream", d)
		}
	})
}

// stuck is a server that shakes hands and then does not read.
func stuck(w *world) *fake {
	f := <-w.conns
	f.in = xml.NewDecoder(f.Conn)
	f.header()
	f.write("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' id='1'>")
	for range 3 {
		f.in.Token()
	}
	f.write("<handshake/>")
	<-w.states
	return f
}

func TestServerThatDoesNotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{Queue: 100})
		defer w.stop()
		stuck(w)
		before := time.Now()
		sent := 0
		for {
			err := w.Send(chat("hello"))
			if err == ErrFull {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			sent++
		}
		if s := w.Stats(); sent < 100 || sent > 100+maxBatch || s.Queued > 100 {
			t.Errorf("%d were taken and %d are queued, want 100", sent, s.Queued)
		}
		w.accept().alive(w)
		if d := time.Since(before); d < writeTime || d > writeTime+time.Second {
			t.Errorf("back after %v, want %v", d, writeTime)
		}
	})
}

func TestServerThatDoesNotReadTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		stuck(w)
		if err := w.Send(chat("hello")); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		w.stop()
		if d := time.Since(before); d > endTime {
			t.Errorf("stopped after %v, want %v at most", d, endTime)
		}
	})
}

func TestServerThatDoesNotEndItsStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		f := w.accept()
		f.stays = time.Hour
		before := time.Now()
		w.stop()
		if d := time.Since(before); d != endTime {
			t.Errorf("stopped after %v, want %v", d, endTime)
		}
		<-f.ended
	})
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	l := newLink(ours, 1<<20)
	big := make([]byte, 64<<10)
	n := 0
	for l.send(big) == nil {
		n++
	}
	if n != maxQueued/len(big) {
		t.Errorf("%d stanzas of 64 KiB fit, want %d", n, maxQueued/len(big))
	}
	if batch, _, _ := l.take(); len(batch) != maxBatch {
		t.Errorf("%d stanzas in a batch, want %d", len(batch), maxBatch)
	}
	if err := l.send(big); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestTrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type line struct {
			dir Direction
			raw string
		}
		lines := make(chan line, 10)
		w := start(t, Options{Trace: func(dir Direction, raw []byte) { lines <- line{dir, string(raw)} }})
		defer w.stop()
		f := w.accept()
		in := "<message from='" + peer + "'   to=\"gw.test\"><body>a</body></message>"
		f.write("\n" + in + "\n")
		if got := <-lines; got != (line{In, in}) {
			t.Errorf("got %v", got)
		}
		if err := w.Send(chat("hello")); err != nil {
			t.Fatal(err)
		}
		if got, want := <-lines, (line{Out, <-f.got}); got != want {
			t.Errorf("traced %v, wrote %v", got, want)
		}
		if len(lines) != 0 {
			t.Errorf("more was traced: %v", <-lines)
		}
	})
}

func TestASecondGatewayOnOurDomain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		f.write("<iq type='get' id='theirs' from='gw.test' to='gw.test'><ping xmlns='urn:xmpp:ping'/></iq>")
		f.none()
		w.none()
		if n := w.Stats().Duplicate; n != 1 {
			t.Errorf("%d pings of a second gateway, want 1", n)
		}
		f.write("<iq type='get' id='1' from='" + peer + "' to='gw.test'><ping xmlns='urn:xmpp:ping'/></iq>")
		if s := w.one(); s.From != peer {
			t.Errorf("got %+v, want the peer's ping", s)
		}
	})
}

func TestPingOfANamedServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{Server: "home.test", NewID: func() string { return "id" }})
		defer w.stop()
		f := w.accept()
		f.echo.Store(false)
		<-time.After(16 * time.Second)
		f.write("<iq type='error' id='id' from='home.test' to='gw.test'><error type='cancel'/></iq>")
		synctest.Wait()
		if s := w.Stats(); s.Pings != 1 || s.Pongs != 1 || s.Unasked != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestNewRefusesADomainThatIsNone(t *testing.T) {
	for _, opt := range []Options{
		{}, {Domain: "a@b.test"}, {Domain: "b.test/c"}, {Domain: "-"}, {Domain: "b.test", Server: "@"},
	} {
		if _, err := New(opt); err == nil {
			t.Errorf("a stream for %q and %q", opt.Domain, opt.Server)
		}
	}
	s, err := New(Options{Domain: "GW.Test."})
	if err != nil || s.Domain() != "gw.test" {
		t.Errorf("got %v, %v", s, err)
	}
	if a, b := s.NewID(), s.NewID(); a == b || len(a) != 24 {
		t.Errorf("ids %s and %s, want 96 random bits", a, b)
	}
}

// The default dialer over loopback: the first address refuses, the second answers.
func TestDialTriesEachAddress(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	addrs := []string{closed.Addr().String(), open.Addr().String()}
	conn, err := dialer(addrs)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.RemoteAddr().String() != addrs[1] {
		t.Errorf("connected to %v", conn.RemoteAddr())
	}
	_, err = dialer(addrs[:1])(t.Context())
	if !refused(err) {
		t.Errorf("a closed port is not seen as that: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dialer(addrs)(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// Another secret is used at once when the one before was refused, and by later connections else.
func TestSecretChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		w.SetSecret("wrong")
		f := <-w.conns
		f.secret = "wrong"
		f.open()
		f.write("<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		f.Close()
		synctest.Wait()
		if s := w.State(); s.Cause != NotAuthorized {
			t.Fatalf("state %+v", s)
		}
		before := time.Now()
		if !w.SetSecret(secret) || w.SetSecret(secret) {
			t.Error("the secret changes once")
		}
		f = w.accept()
		if d := time.Since(before); d != 0 {
			t.Errorf("tried %v after the secret changed", d)
		}
		w.SetSecret("next")
		f.alive(w) // on the connection that there is
		f.Close()
		f = <-w.conns
		f.secret = "next"
		f.open()
	})
}
