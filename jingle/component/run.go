package component

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"gosrc.io/xmpp/stanza"
)

const (
	negotiateTime = 10 * time.Second // from the connection to the handshake's answer
	steadyTime    = 10 * time.Second // a connection that lasted so long starts the waits anew
	endOfStream   = "</stream:stream>"
)

// A streamError is why the server ended the stream (RFC 6120 section 4.9).
type streamError struct{ condition, text string }

func (e *streamError) Error() string {
	if e.text == "" {
		return "stream error " + e.condition
	}
	return fmt.Sprintf("stream error %s: %.256q", e.condition, e.text)
}

func streamErrorOf(n stanza.Node) error {
	e := &streamError{condition: "undefined-condition"}
	for _, c := range n.Nodes {
		switch {
		case c.XMLName.Space != nsStreams:
		case c.XMLName.Local == "text":
			e.text = c.Content
		default:
			e.condition = c.XMLName.Local
		}
	}
	return e
}

// Run connects, and again whenever the connection is lost, until ctx ends. What is queued
// then has two seconds to be written, and the server has them to end its stream. Run returns the
// cause of ctx's end.
//
// A stream runs once, on one goroutine, which is that of the routes as well.
func (s *Stream) Run(ctx context.Context) error {
	var b backoff
	for {
		start := time.Now()
		cause, err := s.connect(ctx)
		if ctx.Err() != nil {
			s.setState(State{Cause: Stopped, Err: context.Cause(ctx)})
			return context.Cause(ctx)
		}
		s.stats.failures.Add(1)
		if time.Since(start) >= steadyTime && cause != Unreachable {
			b = backoff{}
		}
		wait := b.next(cause, err)
		s.setState(State{Cause: cause, Err: err, Retry: wait})
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-s.changed: // what was refused may not be now
			t.Stop()
			b = backoff{}
		case <-t.C:
		}
	}
}

// setState stores a state, and tells and logs it when it is another one.
func (s *Stream) setState(now State) {
	before := s.state.Swap(&now)
	if before.Up == now.Up && before.Cause == now.Cause {
		return
	}
	switch {
	case now.Up:
		s.opt.Log.Info("xmpp stream up", "domain", s.opt.Domain)
	case now.Cause == Stopped:
		s.opt.Log.Info("xmpp stream down", "domain", s.opt.Domain, "cause", now.Cause)
	default:
		s.opt.Log.Warn("xmpp stream down", "domain", s.opt.Domain, "cause", now.Cause,
			"setting", now.Cause.setting(), "retry", now.Retry, "err", now.Err)
	}
	if s.opt.State != nil {
		s.opt.State(now)
	}
}

// setting names what an operator may have to correct.
func (c Cause) setting() string {
	switch c {
	case NotAuthorized:
		return "xmpp.secret"
	case HostUnknown, Conflict, Replaced:
		return "xmpp.domain"
	}
	return "xmpp.server"
}

// connect makes one connection and reads it to its end.
func (s *Stream) connect(ctx context.Context) (Cause, error) {
	conn, err := s.opt.Dial(ctx)
	if err != nil {
		return Unreachable, fmt.Errorf("connect to the XMPP server: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	r := &reader{conn, negotiateTime}
	in := newSplitter(r, capsIn)
	bound, err := s.negotiate(conn, in)
	r.dead = s.opt.Dead
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return causeOf(err, false), err
	}
	l := newLink(conn, s.opt.Queue)
	go l.run(s.opt.Ping, func() { s.ping(l) }, s.wrote) // ends with the link
	stop = context.AfterFunc(ctx, func() { l.end(endOfStream) })
	s.stats.connects.Add(1)
	s.pinged.Store(nil)
	s.link.Store(l)
	s.setState(State{Up: true})
	err = s.read(l, in, bound)
	stop()
	s.link.Store(nil)
	l.end(lastWords(err))
	close(l.heard)
	<-l.done
	s.failAll()
	return causeOf(err, true), err
}

func (s *Stream) wrote(raw []byte) {
	s.stats.sent.Add(1)
	defer s.recover(nil)
	if s.opt.Trace != nil {
		s.opt.Trace(Out, raw)
	}
}

// read takes elements until there can be no more.
func (s *Stream) read(l *link, in *splitter, bound []binding) error {
	for {
		p, err := in.stanza()
		if err != nil {
			return err
		}
		if err := s.take(l, p, bound); err != nil {
			return err
		}
	}
}

// negotiate opens the stream and shakes hands (XEP-0114 section 3). It returns the
// prefixes that the server's header declares.
func (s *Stream) negotiate(conn net.Conn, in *splitter) ([]binding, error) {
	conn.SetWriteDeadline(time.Now().Add(negotiateTime))
	header := fmt.Appendf(nil, "<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='%s' to='", nsAccept, nsStream)
	header = append(escape(header, s.opt.Domain, true), "'>"...)
	if _, err := conn.Write(header); err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	raw, err := in.header()
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	id, bound, err := headerOf(raw)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	digest := sha1.Sum([]byte(id + *s.secret.Load()))
	if _, err := conn.Write([]byte("<handshake>" + hex.EncodeToString(digest[:]) + "</handshake>")); err != nil {
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	p, err := in.stanza()
	if err != nil {
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	n, err := decode(p.raw, bound)
	if err != nil || p.over != "" {
		return nil, fmt.Errorf("shake hands: %w", orBroken(err))
	}
	if n.XMLName.Space == nsStream && n.XMLName.Local == "error" {
		return nil, fmt.Errorf("shake hands: %w", streamErrorOf(n))
	}
	if n.XMLName.Space != Content || n.XMLName.Local != "handshake" {
		return nil, fmt.Errorf("shake hands: %.64q in answer", n.XMLName.Local)
	}
	return bound, nil
}

// A reader gives up on a connection that is silent for too long.
type reader struct {
	net.Conn
	dead time.Duration
}

func (r *reader) Read(b []byte) (int, error) {
	r.SetReadDeadline(time.Now().Add(r.dead))
	return r.Conn.Read(b)
}

// causeOf says why a connection ended, or did not come to be.
func causeOf(err error, up bool) Cause {
	var se *streamError
	switch {
	case errors.As(err, &se):
		switch se.condition {
		case "conflict":
			if up {
				return Replaced
			}
			return Conflict
		case "not-authorized":
			return NotAuthorized
		case "host-unknown", "host-gone":
			return HostUnknown
		case "system-shutdown", "reset", "connection-timeout":
			return Closed
		}
		return Broken
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Silent
	case errors.Is(err, errBroken), errors.Is(err, errRestricted):
		return Broken
	}
	return Closed
}

// lastWords are what to tell the server when its stream has ended with err. One that
// cannot hear is told nothing.
func lastWords(err error) string {
	var se *streamError
	switch {
	case errors.Is(err, errEnd), errors.As(err, &se):
		return endOfStream
	case errors.Is(err, errRestricted):
		return streamErrorEnd("restricted-xml")
	case errors.Is(err, errBroken):
		return streamErrorEnd("not-well-formed")
	}
	return ""
}

func streamErrorEnd(condition string) string {
	return "<stream:error><" + condition + " xmlns='" + nsStreams + "'/></stream:error>" + endOfStream
}
