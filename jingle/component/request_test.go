package component

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gosrc.io/xmpp/stanza"
)

// An answer is how a request ended.
type answer struct {
	Stanza
	err error
}

func TestRequestEnds(t *testing.T) {
	tests := []struct {
		name  string
		reply string // of the server; empty for none
		close bool   // the connection instead
		typ   stanza.StanzaType
		err   error
		after time.Duration
	}{
		{name: "by a result", reply: "<iq type='result' id='%s' from='%s' to='%s'/>", typ: "result"},
		{name: "by an error", reply: "<iq type='error' id='%s' from='%s' to='%s'><error type='wait'/></iq>", typ: "error"},
		{name: "by an answer that cannot be read", reply: "<iq type='result' id='%s' from='%s' to='%s'>&lol;</iq>", err: ErrUnreadable, typ: "result"},
		{name: "by an answer that is too deep", reply: "<iq type='result' id='%s' from='%s' to='%s'>" + strings.Repeat("<a>", 99) + strings.Repeat("</a>", 99) + "</iq>", err: ErrUnreadable, typ: "result"},
		{name: "by time", err: ErrTimeout, after: 20 * time.Second},
		{name: "with the connection", close: true, err: ErrDown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := start(t, Options{})
				defer w.stop()
				f := w.accept()
				answers := make(chan answer, 2)
				before := time.Now()
				id, err := w.Request(query(peer), 20*time.Second, func(s Stanza, err error) { answers <- answer{s, err} })
				if err != nil {
					t.Fatal(err)
				}
				if q := f.one(); q.Id != id {
					t.Fatalf("asked %+v, want id %s", q, id)
				}
				if test.reply != "" {
					f.write(fmt.Sprintf(test.reply, id, peer, number))
				}
				if test.close {
					f.Close()
				}
				var got answer
				select {
				case got = <-answers:
				case <-time.After(time.Minute):
					t.Fatal("the request has not ended")
				}
				if got.err != test.err || got.Type != test.typ {
					t.Errorf("got %+v, want type %q and error %v", got, test.typ, test.err)
				}
				if d := time.Since(before); d != test.after {
					t.Errorf("ended after %v, want %v", d, test.after)
				}
				<-time.After(time.Minute)
				if len(answers) != 0 {
					t.Errorf("ended again: %+v", <-answers)
				}
				if n := w.Stats().Asked; n != 0 {
					t.Errorf("%d IQs still wait", n)
				}
			})
		})
	}
}

func TestAnswersAndStanzasKeepTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		order := make(chan string, 3)
		w := start(t, Options{Routes: []Route{{Handle: func(s Stanza) { order <- s.Id }}}})
		defer w.stop()
		f := w.accept()
		id, err := w.Request(query(peer), time.Minute, func(s Stanza, err error) { order <- "answer" })
		if err != nil {
			t.Fatal(err)
		}
		f.one()
		addresses := " from='" + peer + "' to='" + number + "'/>"
		f.write("<message id='1'" + addresses + "<iq type='result' id='" + id + "'" + addresses + "<message id='2'" + addresses)
		for _, want := range []string{"1", "answer", "2"} {
			if got := <-order; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestRequestsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{Asked: 3})
		defer w.stop()
		w.accept()
		ended := make(chan error, 10)
		ask := func(iq Stanza) error {
			_, err := w.Request(iq, time.Second, func(_ Stanza, err error) { ended <- err })
			return err
		}
		q := query(peer)
		q.Id = "same"
		if err := ask(q); err != nil {
			t.Error(err)
		}
		if err := ask(q); err == nil {
			t.Error("two requests with one id")
		}
		for range 2 {
			if err := ask(query(peer)); err != nil {
				t.Error(err)
			}
		}
		if err := ask(query(peer)); err != ErrFull {
			t.Errorf("a fourth: %v, want full", err)
		}
		for range 3 {
			if err := <-ended; err != ErrTimeout {
				t.Errorf("ended with %v", err)
			}
		}
		synctest.Wait()
		if len(ended) != 0 {
			t.Error("what was not sent has ended")
		}
		if err := ask(q); err != nil {
			t.Errorf("the id is free again: %v", err)
		}
	})
}

func TestRequestThatAsksNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		for _, s := range []Stanza{chat("hello"), {Kind: IQ, Attrs: stanza.Attrs{Type: "result", To: peer}}} {
			if _, err := w.Request(s, time.Second, func(Stanza, error) { t.Error("ended") }); err == nil {
				t.Errorf("%+v is a request", s)
			}
		}
		q := query(peer)
		q.From = peer
		if _, err := w.Request(q, time.Second, func(Stanza, error) { t.Error("ended") }); err == nil {
			t.Error("asked as another")
		}
		f.none()
	})
}

func TestSendIQEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		w.accept()
		ctx, cancel := context.WithCancel(t.Context())
		iq := &stanza.IQ{Attrs: stanza.Attrs{Type: "get", Id: "1", From: number, To: peer}}
		answers, err := w.SendIQ(ctx, iq)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if got, ok := <-answers; ok {
			t.Errorf("got %+v", got)
		}
		before := time.Now()
		answers, err = w.SendIQ(t.Context(), iq)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := <-answers; ok || time.Since(before) != 5*time.Minute {
			t.Errorf("got %+v after %v", got, time.Since(before))
		}
		iq.From = peer
		if _, err := w.SendIQ(t.Context(), iq); err == nil {
			t.Error("asked as another")
		}
	})
}
