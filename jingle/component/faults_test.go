package component

import (
	"context"
	"encoding/xml"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gosrc.io/xmpp/stanza"
)

// The tests here are named after the faults of gosrc.io/xmpp v0.5.1 as a component. Each
// fails if we fall back on the library for what it names.

func TestFault01SupervisorRefusesAComponent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		for range 3 {
			f := w.accept()
			f.alive(w)
			f.Close()
		}
		w.accept().alive(w)
	})
}

func TestFault02EveryConnectFailureIsPermanent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		w.accept().Close()
		w.shut.Store(true)
		for range 50 {
			<-w.dials
		}
		w.shut.Store(false)
		w.accept().alive(w)
	})
}

func TestFault03EndOfStreamHangsTheReceiver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		f.write("</stream:stream>")
		<-f.ended
		synctest.Wait()
		if f.bye != endOfStream {
			t.Errorf("the stream said %q, want it to close its side", f.bye)
		}
		if s := w.State(); s.Up || s.Cause != Closed {
			t.Errorf("state %+v, want down, closed", s)
		}
		w.accept().alive(w)
	})
}

func TestFault04StreamErrorClosesTheNextConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		f.write("<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		<-f.ended
		if f.bye != endOfStream {
			t.Errorf("the first connection was told %q, want its end", f.bye)
		}
		f = w.accept()
		f.none()
		for range 10 {
			f.alive(w)
		}
		f.none()
	})
}

func TestFault05OneBadStanzaDropsTheStream(t *testing.T) {
	address := fmt.Sprintf(" from='%s' to='%s' id='1'", peer, number)
	tests := []struct {
		name, in string
		routed   bool   // it is a stanza like any other
		refused  string // condition; empty for none
	}{
		{name: "priority out of range", in: "<presence" + address + "><priority>200</priority></presence>", routed: true},
		{name: "priority that is no number", in: "<presence" + address + "><priority>abc</priority></presence>", routed: true},
		{name: "priority within another payload", in: "<presence" + address + "><x xmlns='foo'><priority>abc</priority></x></presence>", routed: true},
		{name: "unknown namespace at the top", in: "<thing xmlns='urn:unknown'" + address + "/>"},
		{name: "unknown element at the top", in: "<thing" + address + "/>"},
		{name: "message within a message", in: "<message" + address + "><message><body>x</body></message></message>", routed: true},
		{name: "too deep for the standard library", in: "<message" + address + ">" + strings.Repeat("<a>", 12_000) + strings.Repeat("</a>", 12_000) + "</message>", refused: "not-acceptable"},
		{name: "entity that is not declared", in: "<message" + address + "><body>&lol;</body></message>", refused: "bad-request"},
		{name: "reference to a control character", in: "<message" + address + "><body>&#1;</body></message>", refused: "bad-request"},
		{name: "bytes that are not UTF-8", in: "<message" + address + "><body>\xff\xfe</body></message>", refused: "bad-request"},
		{name: "prefix that is not declared", in: "<message" + address + "><x:y/></message>", refused: "bad-request"},
		{name: "attribute that comes twice", in: "<message" + address + "><x a='1' a='2'/></message>", refused: "bad-request"},
		{name: "iq of a type that is none", in: "<iq type='yes'" + address + "><x xmlns='y'/></iq>", refused: "bad-request"},
		{name: "iq with two payloads", in: "<iq type='get'" + address + "><x xmlns='y'/><x xmlns='y'/></iq>", refused: "bad-request"},
		{name: "iq without a payload", in: "<iq type='set'" + address + "/>", refused: "bad-request"},
		{name: "error that cannot be read", in: "<message type='error'" + address + "><body>&lol;</body></message>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := start(t, Options{})
				defer w.stop()
				f := w.accept()
				f.write(test.in)
				if test.routed {
					if s := w.one(); s.Id != "1" {
						t.Errorf("got %+v", s)
					}
				}
				if test.refused != "" {
					s := f.refused(test.refused)
					if s.Id != "1" || s.From != number || s.To != peer {
						t.Errorf("error is addressed %+v", s.Attrs)
					}
				}
				f.none()
				w.none()
				f.alive(w)
				if n := w.Stats().Connects; n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		})
	}
}

func TestFault06RequestWithinAHandlerDeadlocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var w *world
		answers := make(chan Stanza, 1)
		w = start(t, Options{Routes: []Route{{
			Local: "go",
			Handle: func(s Stanza) {
				if _, err := w.Request(query(s.From), time.Minute, func(s Stanza, err error) { answers <- s }); err != nil {
					t.Error(err)
				}
			},
		}}})
		defer w.stop()
		f := w.accept()
		f.write(fmt.Sprintf("<message from='%s' to='%s'><go xmlns='urn:x'/></message>", peer, number))
		q := f.one()
		f.write(fmt.Sprintf("<iq type='result' id='%s' from='%s' to='%s'/>", q.Id, peer, number))
		if s := <-answers; s.Id != q.Id {
			t.Errorf("got %+v, want answer to %s", s, q.Id)
		}
	})
}

func TestFault07ResultsThatComeAtOnceAreLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		go func() { // a server that answers at once; ends with the stream
			for {
				select {
				case text := <-f.got:
					q, _ := Parse([]byte(text))
					f.write(fmt.Sprintf("<iq type='result' id='%s' from='%s' to='%s'/>", q.Id, q.To, q.From))
				case <-f.ended:
					return
				}
			}
		}()
		var all sync.WaitGroup
		ask := func(answered chan<- error) {
			if _, err := w.Request(query(peer), time.Minute, func(_ Stanza, err error) { answered <- err }); err != nil {
				t.Error(err)
			}
		}
		for range 3000 {
			answered := make(chan error, 1)
			ask(answered)
			if err := <-answered; err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			all.Go(func() {
				answered := make(chan error, 250)
				for range 250 {
					ask(answered)
				}
				for range 250 {
					if err := <-answered; err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n := w.Stats().Asked; n != 0 {
			t.Errorf("%d IQs still wait", n)
		}
	})
}

func TestFault08UnreadResultBlocksTheReceiver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		iq, err := stanza.NewIQ(stanza.Attrs{Type: "get", From: number, To: peer})
		if err != nil {
			t.Fatal(err)
		}
		iq.Any = &stanza.Node{XMLName: xml.Name{Space: "urn:x", Local: "query"}}
		answers, err := w.SendIQ(t.Context(), iq)
		if err != nil {
			t.Fatal(err)
		}
		q := f.one()
		f.write(fmt.Sprintf("<iq type='result' id='%s' from='%s' to='%s'><q xmlns='urn:x'/></iq>", q.Id, peer, number))
		f.alive(w) // with nobody at answers
		got, ok := <-answers
		if !ok || got.Id != q.Id || got.Any == nil || got.Any.XMLName.Local != "q" {
			t.Errorf("got %+v, %v", got, ok)
		}
		if _, ok := <-answers; ok {
			t.Error("the channel is open after the answer")
		}
	})
}

func TestFault09GoroutineForEachIQ(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		w.accept()
		before := runtime.NumGoroutine()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for range 2000 {
			if _, err := w.Request(query(peer), time.Hour, func(Stanza, error) {}); err != nil {
				t.Fatal(err)
			}
			iq := &stanza.IQ{Attrs: stanza.Attrs{Type: "get", Id: w.NewID(), From: number, To: peer}}
			if _, err := w.SendIQ(ctx, iq); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before+20 {
			t.Errorf("%d goroutines after 4000 IQs, %d before", after, before)
		}
	})
}

func TestFault10ResultIsMatchedByItsIDAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		answers := make(chan Stanza, 1)
		id, err := w.Request(query(peer), time.Minute, func(s Stanza, err error) { answers <- s })
		if err != nil {
			t.Fatal(err)
		}
		f.one()
		const form = "<iq type='%s' id='%s' from='%s' to='%s'><x xmlns='urn:x'/></iq>"
		for _, evil := range []string{"evil@other.test/x", "romeo@home.test", "romeo@home.test/other", "home.test", "gw.test", "Romeo@home.test/ORCHARD"} {
			f.write(fmt.Sprintf(form, "result", id, evil, number))
		}
		synctest.Wait()
		if n := w.Stats().Spoofed; n != 6 {
			t.Errorf("%d answers counted as spoofed, want 6", n)
		}
		f.write(fmt.Sprintf(form, "set", id, peer, number))
		if s := w.one(); s.Type != "set" {
			t.Errorf("got %+v, want the set in a route", s)
		}
		f.write(fmt.Sprintf(form, "result", "not-ours", peer, number))
		synctest.Wait()
		if len(answers) != 0 {
			t.Fatal("the request was answered by another")
		}
		// The local part and the domain are the same in any case.
		f.write(fmt.Sprintf(form, "result", id, "ROMEO@Home.test/orchard", number))
		if s := <-answers; s.From != peer || s.Type != "result" {
			t.Errorf("got %+v", s)
		}
		f.write(fmt.Sprintf(form, "result", id, peer, number))
		synctest.Wait()
		if n := w.Stats().Unasked; n != 2 {
			t.Errorf("%d answers counted as not asked for, want 2", n)
		}
	})
}

func TestFault11ErrorWithoutCodeIsLost(t *testing.T) {
	app := stanza.Node{XMLName: xml.Name{Space: "urn:xmpp:jingle:errors:1", Local: "out-of-order"}}
	asked, err := Parse([]byte("<iq type='set' id='1' from='a@b.test/c' to='gw.test'><x xmlns='y'/></iq>"))
	if err != nil {
		t.Fatal(err)
	}
	reply, ok := asked.ErrorReply(ErrorNode("", "unexpected-request", "not now", app))
	if !ok {
		t.Fatal("an IQ cannot be answered")
	}
	raw, err := Format(reply)
	if err != nil {
		t.Fatal(err)
	}
	const want = "<iq type='error' id='1' from='gw.test' to='a@b.test/c'><error type='wait'>" +
		"<unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" +
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>not now</text>" +
		"<out-of-order xmlns='urn:xmpp:jingle:errors:1'/></error></iq>"
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
	back, err := Parse([]byte(strings.Replace(want, "<error ", "<error by='home.test' ", 1)))
	if err != nil {
		t.Fatal(err)
	}
	typ, condition, text, got := back.ErrorOf()
	if typ != "wait" || condition != "unexpected-request" || text != "not now" || got == nil || got.XMLName != app.XMLName {
		t.Errorf("read back %s %s %q %v", typ, condition, text, got)
	}
	if by := back.Nodes[0].Attrs[0]; by.Name.Local != "by" || by.Value != "home.test" {
		t.Errorf("by is read as %v", by)
	}
}

func TestFault12UnknownChildrenAreDroppedAndTheirOwnTakenForOurs(t *testing.T) {
	s, err := Parse([]byte("<message from='a@b.test' to='gw.test'><foo xmlns='urn:foo'><body>nested</body><error/></foo></message>"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Child(Content, "body") != nil || s.Child(Content, "error") != nil {
		t.Error("the child of another payload is taken for the stanza's own")
	}
	foo := s.Child("urn:foo", "foo")
	if foo == nil || len(foo.Nodes) != 2 || foo.Nodes[0].Content != "nested" || foo.Nodes[0].XMLName.Space != "urn:foo" {
		t.Errorf("got %+v", foo)
	}
}

func TestFault13PrefixesAreWrittenAsAttributes(t *testing.T) {
	s, err := Parse([]byte("<message to='b@c.test' from='gw.test'><p:x xmlns:p='urn:p' xmlns:q='urn:q' q:a='1' a='2' xml:lang='de'>t<p:y/>u</p:x></message>"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Format(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = "<message from='gw.test' to='b@c.test'><x xmlns='urn:p' xmlns:a0='urn:q' a0:a='1' a='2' xml:lang='de'>tu<y/></x></message>"
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

func TestFault14ErrorReplyIsTheRequestItself(t *testing.T) {
	asked := Stanza{
		Kind:  IQ,
		Attrs: stanza.Attrs{Type: "set", Id: "1", From: peer, To: number},
		Nodes: []stanza.Node{{XMLName: xml.Name{Space: "urn:x", Local: "x"}}},
	}
	reply, _ := asked.ErrorReply(ErrorNode("", "forbidden", ""))
	if asked.Type != "set" || asked.From != peer || len(asked.Nodes) != 1 || asked.Nodes[0].XMLName.Local != "x" {
		t.Errorf("the request is now %+v", asked)
	}
	if reply.From != number || reply.To != peer || len(reply.Nodes) != 1 || reply.Nodes[0].XMLName.Local != "error" {
		t.Errorf("reply is %+v", reply)
	}
	for _, typ := range []stanza.StanzaType{"error", "result"} {
		asked.Type = typ
		if _, ok := asked.ErrorReply(ErrorNode("", "forbidden", "")); ok {
			t.Errorf("an IQ of type %s is answered", typ)
		}
	}
}

func TestFault15LanguageIsNotXMLsAndNamespacesAreLowered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lang := make(chan string, 1)
		w := start(t, Options{Routes: []Route{{
			Kind: IQ, Types: []stanza.StanzaType{"get"}, Space: "urn:Upper:Case", Local: "Query",
			Handle: func(s Stanza) { lang <- s.Lang },
		}}})
		defer w.stop()
		f := w.accept()
		f.write(fmt.Sprintf("<iq type='get' id='1' from='%s' to='%s' xml:lang='de' lang='fr'><Query xmlns='urn:Upper:Case'/></iq>", peer, number))
		if got := <-lang; got != "de" {
			t.Errorf("language %q, want de", got)
		}
		s := chat("hallo")
		s.Lang = "de"
		if err := w.Send(s); err != nil {
			t.Fatal(err)
		}
		if got := <-f.got; !strings.Contains(got, " xml:lang='de'") {
			t.Errorf("wrote %s", got)
		}
	})
}

func TestFault16AddressesAreNotXMPPs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		tests := []struct{ from, want string }{
			{"conf.example.com/foo@bar", "conf.example.com/foo@bar"},
			{"conf.example.com", "conf.example.com"},
			{"ROMEO@HOME.test/Orchard", "romeo@home.test/Orchard"},
			{"a@b.test/c/d@e", "a@b.test/c/d@e"},
			{`space\20cadet@b.test`, `space\20cadet@b.test`},
		}
		for _, test := range tests {
			f.write(fmt.Sprintf("<presence from='%s' to='+49@GW.test'/>", test.from))
			if s := w.one(); s.From != test.want || s.To != "+49@gw.test" {
				t.Errorf("from %s is read as %s, to as %s", test.from, s.From, s.To)
			}
		}
		for _, bad := range []string{"@b.test", "a@", "a b@c.test", "a@b.test/", "&quot;@b.test", "a@-b.test", strings.Repeat("a", 1024) + "@b.test"} {
			f.write(fmt.Sprintf("<presence id='7' from='%s' to='%s'/>", bad, number))
			if s := f.refused("jid-malformed"); s.Id != "7" || s.From != number {
				t.Errorf("%s is answered by %+v", bad, s.Attrs)
			}
		}
		f.write("<presence type='error' from='@b.test' to='gw.test'/>")
		f.none()
		w.none()
	})
}

func TestFault17NoKeepaliveNorTimeout(t *testing.T) {
	t.Run("a server that does not answer the header", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := start(t, Options{})
			defer w.stop()
			f := <-w.conns
			before := time.Now()
			if _, err := f.Read(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Read(make([]byte, 1)); err == nil {
				t.Error("the stream sent more")
			}
			if d := time.Since(before); d != 10*time.Second {
				t.Errorf("given up after %v, want 10s", d)
			}
			w.accept().alive(w)
		})
	})
	t.Run("a server that falls silent", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := start(t, Options{})
			defer w.stop()
			f := w.accept()
			f.echo.Store(false)
			before := time.Now()
			<-f.ended
			if d := time.Since(before); d != 30*time.Second {
				t.Errorf("given up after %v, want 30s", d)
			}
			if n := f.pings.Load(); n < 1 {
				t.Errorf("%d pings, want one after 15s at least", n)
			}
			synctest.Wait()
			if s := w.State(); s.Cause != Silent {
				t.Errorf("state %+v, want silent", s)
			}
			w.accept().alive(w)
		})
	})
	t.Run("a server that answers pings", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := start(t, Options{})
			defer w.stop()
			f := w.accept()
			<-time.After(10*time.Minute + time.Second)
			if n := f.pings.Load(); n != 40 {
				t.Errorf("%d pings in ten minutes, want 40", n)
			}
			if s := w.Stats(); s.Connects != 1 || s.Pongs != 40 || s.Pings != 40 || s.Duplicate != 0 {
				t.Errorf("got %+v", s)
			}
			w.none()
			f.alive(w)
		})
	})
}

func TestFault18SendRacesWithReconnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		quit := make(chan struct{})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					select {
					case <-quit:
						return
					case <-time.After(50 * time.Millisecond):
					}
					if err := w.Send(chat("hello")); err != nil && err != ErrDown && err != ErrFull {
						t.Error(err)
					}
					w.Stats()
					w.Request(query(peer), time.Second, func(Stanza, error) {})
				}
			})
		}
		for range 20 {
			f := w.accept()
			for range 50 {
				f.one()
			}
			f.Close()
			<-f.ended
		}
		close(quit)
		all.Wait()
		if n := w.Stats().Asked; n != 0 {
			<-time.After(2 * time.Second)
			if n := w.Stats().Asked; n != 0 {
				t.Errorf("%d IQs still wait", n)
			}
		}
	})
}
