package component

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gosrc.io/xmpp/stanza"
)

const (
	domain = "gw.test"
	secret = "s3cret"
	peer   = "romeo@home.test/orchard"
	number = "+4930@gw.test/sip"
)

// A world is a stream, and the server it connects to in memory. It is made and stopped
// within one synctest bubble, which fails when a goroutine outlives it.
type world struct {
	*testing.T
	*Stream
	shut   atomic.Bool // the server's port refuses
	dials  chan time.Time
	conns  chan *fake
	got    chan Stanza
	states chan State
	cancel context.CancelFunc
	ran    chan error
}

// start runs a stream. Stanzas that no route of opt takes go to w.got.
func start(t *testing.T, opt Options) *world {
	w := newWorld(t)
	opt.Routes = append(opt.Routes, Route{Handle: func(s Stanza) { w.got <- s }})
	w.run(opt)
	return w
}

func newWorld(t *testing.T) *world {
	return &world{
		T:      t,
		dials:  make(chan time.Time, 10_000),
		conns:  make(chan *fake, 100),
		got:    make(chan Stanza, 20_000),
		states: make(chan State, 100),
		ran:    make(chan error, 1),
	}
}

func (w *world) run(opt Options) {
	w.Helper()
	opt.Domain, opt.Secret, opt.Dial = domain, secret, w.dial
	state := opt.State
	opt.State = func(s State) {
		if state != nil {
			state(s)
		}
		w.states <- s
	}
	s, err := New(opt)
	if err != nil {
		w.Fatal(err)
	}
	w.Stream = s
	ctx, cancel := context.WithCancel(w.Context())
	w.cancel = cancel
	go func() { w.ran <- s.Run(ctx) }() // ends with stop
}

// stop ends the stream and waits until it has ended.
func (w *world) stop() {
	w.Helper()
	w.cancel()
	if err := <-w.ran; err != context.Canceled {
		w.Errorf("Run returned %v, want that the context was cancelled", err)
	}
	if n := w.Stats().Panics; n != 0 {
		w.Errorf("%d panics", n)
	}
}

func (w *world) dial(context.Context) (net.Conn, error) {
	w.dials <- time.Now()
	if w.shut.Load() {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	w.conns <- &fake{T: w.T, Conn: theirs, got: make(chan string, 20_000), ended: make(chan struct{})}
	return ours, nil
}

// accept waits for a connection and shakes hands on it; behind is sent in the same
// segment as the handshake's answer.
func (w *world) accept(behind ...string) *fake {
	w.Helper()
	f := <-w.conns
	f.open()
	f.write("<handshake/>" + strings.Join(behind, ""))
	synctest.Wait()
	return f
}

// one returns the next stanza that came to the routes.
func (w *world) one() Stanza {
	w.Helper()
	select {
	case s := <-w.got:
		return s
	case <-time.After(time.Minute):
		w.Fatal("no stanza came to the routes")
		return Stanza{}
	}
}

// none fails when a stanza came to the routes.
func (w *world) none() {
	w.Helper()
	synctest.Wait()
	select {
	case s := <-w.got:
		w.Errorf("%+v came to the routes", s)
	default:
	}
}

// A fake is one connection at the server. What the stream writes is read by a parser that
// is not ours: each stanza as its text, pings apart.
type fake struct {
	secret string // that it wants; empty for the usual one
	*testing.T
	net.Conn
	in    *xml.Decoder
	raw   bytes.Buffer
	got   chan string
	pings atomic.Int32
	echo  atomic.Bool   // pings are sent back, as servers do
	ended chan struct{} // closed when the stream or the connection has ended
	stays time.Duration // before it ends its stream as well
	last  string        // to be written then
	late  error         // of writing that
	bye   string        // what came at the end: "", "</stream:stream>", or with an error before it
}

// open reads the stream's header and handshake, and answers the first.
func (f *fake) open() {
	f.Helper()
	f.in = xml.NewDecoder(io.TeeReader(f.Conn, &f.raw))
	f.header()
	f.write("<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' " +
		"xmlns='jabber:component:accept' from='gw.test' id='a&amp;b'>")
	t, err := f.in.Token()
	if e, ok := t.(xml.StartElement); err != nil || !ok || e.Name.Local != "handshake" {
		f.Fatalf("got %v, %v for a handshake", t, err)
	}
	t, _ = f.in.Token()
	sum := sha1.Sum([]byte("a&b" + cmp.Or(f.secret, secret)))
	if digest, ok := t.(xml.CharData); !ok || string(digest) != hex.EncodeToString(sum[:]) {
		f.Fatalf("digest %q is not that of id and secret", t)
	}
	f.in.Skip()
	f.echo.Store(true)
	go f.read() // ends with the connection
}

func (f *fake) header() {
	f.Helper()
	for {
		t, err := f.in.Token()
		if err != nil {
			f.Fatalf("no stream header: %v", err)
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if e.Name != (xml.Name{Space: nsStream, Local: "stream"}) {
			f.Fatalf("%v opens the stream", e.Name)
		}
		return
	}
}

func (f *fake) read() {
	defer close(f.ended)
	for {
		from := f.in.InputOffset()
		t, err := f.in.Token()
		if err != nil {
			return
		}
		switch t := t.(type) {
		case xml.EndElement:
			f.bye += endOfStream
			time.Sleep(f.stays) // a server that is slow to close; by the clock of the bubble, which waits for nothing
			if f.last != "" {
				f.late = f.write(f.last)
			}
			f.Conn.Close()
			return
		case xml.StartElement:
			if err := f.in.Skip(); err != nil {
				f.Errorf("the stream wrote what cannot be read: %v", err)
				return
			}
			text := string(f.raw.Bytes()[from:f.in.InputOffset()])
			switch {
			case t.Name.Space == nsStream:
				f.bye += text
			case strings.Contains(text, "xmlns='urn:xmpp:ping'"):
				f.pings.Add(1)
				if f.echo.Load() {
					go f.write(text) // the reader may be writing; ends with the write
				}
			default:
				f.got <- text
			}
		}
	}
}

// write sends text. An error is the test's business only where it looks at it.
func (f *fake) write(text string) error {
	_, err := io.WriteString(f.Conn, text)
	return err
}

// one returns the next stanza that the stream wrote.
func (f *fake) one() Stanza {
	f.Helper()
	select {
	case text := <-f.got:
		s, err := Parse([]byte(text))
		if err != nil {
			f.Fatalf("parse %q: %v", text, err)
		}
		return s
	case <-time.After(time.Minute):
		f.Fatal("the stream wrote no stanza")
		return Stanza{}
	}
}

// none fails when the stream wrote a stanza, or ended.
func (f *fake) none() {
	f.Helper()
	synctest.Wait()
	select {
	case s := <-f.got:
		f.Errorf("the stream wrote %s", s)
	case <-f.ended:
		f.Error("the stream ended")
	default:
	}
}

// refused checks that the next stanza the stream wrote is an error with this condition.
func (f *fake) refused(condition string) Stanza {
	f.Helper()
	s := f.one()
	if _, got, _, _ := s.ErrorOf(); s.Type != "error" || got != condition {
		f.Errorf("got %+v, want error %s", s, condition)
	}
	return s
}

// alive checks that a stanza still comes through, both ways.
func (f *fake) alive(w *world) {
	f.Helper()
	id := w.NewID()
	f.write(fmt.Sprintf("<message id='%s' from='%s' to='%s'><body>still there?</body></message>", id, peer, number))
	if s := w.one(); s.Id != id {
		f.Errorf("got %+v, want message %s", s, id)
	}
	if err := w.Send(chat("yes")); err != nil {
		f.Errorf("send: %v", err)
	}
	if s := f.one(); s.Kind != Message || s.Type != "chat" {
		f.Errorf("got %+v, want our message", s)
	}
}

func chat(body string) Stanza {
	return Stanza{
		Kind:  Message,
		Attrs: stanza.Attrs{Type: "chat", From: number, To: peer},
		Nodes: []stanza.Node{{XMLName: xml.Name{Local: "body"}, Content: body}},
	}
}

func query(to string) Stanza {
	return Stanza{
		Kind:  IQ,
		Attrs: stanza.Attrs{Type: "get", From: number, To: to},
		Nodes: []stanza.Node{{XMLName: xml.Name{Space: "urn:x", Local: "query"}}},
	}
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
