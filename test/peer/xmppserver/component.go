package xmppserver

import (
	"context"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sipxmppgw/test/peer/element"
)

// A component is one connected component. Its reader is the goroutine in serve, its writer
// another that ends when outbox is closed.
type component struct {
	domain string
	outbox *queue[string]
}

const (
	handshakeTime = 10 * time.Second
	writeTime     = 10 * time.Second
	maxOutbox     = 100000 // stanzas
)

// serve speaks XEP-0114 with one connection until it ends.
func (s *Server) serve(conn net.Conn) {
	c := &component{outbox: newQueue[string](maxOutbox)}
	writer := make(chan struct{})
	s.tasks.Go(func() { // ends when outbox is closed below, or the connection breaks
		defer close(writer)
		defer conn.Close()
		for {
			text, err := c.outbox.take(context.Background())
			if err != nil {
				return
			}
			conn.SetWriteDeadline(time.Now().Add(writeTime))
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	})
	raw, err := s.converse(conn, c)
	s.mu.Lock()
	if s.components[c.domain] == c {
		delete(s.components, c.domain)
		s.announce()
		for q := range s.asked {
			if q.component == c.domain {
				delete(s.asked, q)
			}
		}
	}
	var wrong *element.Error
	if errors.As(err, &wrong) {
		s.fault(Fault{Domain: c.domain, Condition: wrong.Condition, Problem: wrong.Problem, XML: raw, Fatal: true})
		c.outbox.put(streamError(wrong.Condition, wrong.Problem))
	}
	c.outbox.put("</stream:stream>")
	c.outbox.close()
	s.mu.Unlock()
	<-writer
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
}

// announce tells those who wait that a component came or went.
func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// converse reads the stream; what it returns with the error is the text read last.
func (s *Server) converse(conn net.Conn, c *component) (raw string, err error) {
	conn.SetReadDeadline(time.Now().Add(handshakeTime))
	in := element.NewReader(conn, s.options.StanzaLimit)
	header, err := in.Header()
	if err != nil {
		c.outbox.put(fmt.Sprintf("<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='%s'>", nsComponent, nsStream))
		return "", err
	}
	id := streamID()
	domain := header.Attr("to")
	reply := element.New("", "x", "from", domain).Format("")
	c.outbox.put(fmt.Sprintf("<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='%s' id='%s'%s>",
		nsComponent, nsStream, id, reply[len("<x"):len(reply)-len("/>")]))
	secret, known := s.options.Components[domain]
	switch {
	case !header.Is(nsStream, "stream"):
		return header.String(), &element.Error{Condition: "invalid-namespace", Problem: "no stream"}
	case !known:
		return header.String(), &element.Error{Condition: "host-unknown", Problem: "there is no component " + domain}
	}
	e, raw, err := in.Next()
	if err != nil {
		return raw, err
	}
	sum := sha1.Sum([]byte(id + secret))
	if !e.Is(nsComponent, "handshake") {
		return raw, &element.Error{Condition: "not-authorized", Problem: "no handshake"}
	}
	if subtle.ConstantTimeCompare([]byte(e.Text()), []byte(hex.EncodeToString(sum[:]))) != 1 {
		return raw, &element.Error{Condition: "not-authorized", Problem: "the secret is wrong"}
	}
	s.mu.Lock()
	if s.components[domain] != nil {
		s.mu.Unlock()
		return raw, &element.Error{Condition: "conflict", Problem: "component " + domain + " is already connected"}
	}
	c.domain = domain
	s.components[domain] = c
	c.outbox.put("<handshake/>")
	s.announce()
	s.mu.Unlock()
	conn.SetReadDeadline(time.Time{})
	for {
		e, raw, err := in.Next()
		if err != nil {
			return raw, err
		}
		if err := s.accept(c, e, raw); err != nil {
			return raw, err
		}
	}
}

// accept checks a stanza that a component sent and routes it. An error ends the stream.
func (s *Server) accept(c *component, e *element.Element, raw string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace(c.domain, true, raw)
	if e.Space == nsStream && e.Name == "error" {
		return io.EOF
	}
	if e.Space != nsComponent || e.Name != "iq" && e.Name != "message" && e.Name != "presence" {
		return &element.Error{Condition: "unsupported-stanza-type", Problem: e.Name + " in namespace " + e.Space}
	}
	from, ok := address(e.Attr("from"))
	if !ok || from.Domain().String() != c.domain {
		return &element.Error{Condition: "invalid-from", Problem: "from is " + e.Attr("from")}
	}
	if e.Attr("to") == "" {
		return &element.Error{Condition: "improper-addressing", Problem: "there is no to"}
	}
	e = e.Rename(nsComponent, nsClient)
	if _, ok := address(e.Attr("to")); !ok {
		s.complain(c, e, raw, "modify", "jid-malformed", "to is "+e.Attr("to"))
		return nil
	}
	if e.Name == "iq" {
		if problem := wrongIQ(e); problem != "" {
			s.complain(c, e, raw, "modify", "bad-request", problem)
			return nil
		}
		if kind := e.Attr("type"); kind == "result" || kind == "error" {
			q := question{c.domain, e.Attr("to") + " to " + e.Attr("from"), e.Attr("id")}
			if !s.asked[q] {
				s.fault(Fault{Domain: c.domain, Condition: "unexpected-request", Problem: "an answer that nobody waits for", XML: raw})
			}
			delete(s.asked, q)
		}
	}
	if problem := wrongType(e); problem != "" {
		s.complain(c, e, raw, "modify", "bad-request", problem)
		return nil
	}
	s.route(e)
	return nil
}

// complain remembers a fault that does not end the stream, and answers with an error.
func (s *Server) complain(c *component, e *element.Element, raw, kind, condition, problem string) {
	s.fault(Fault{Domain: c.domain, Condition: condition, Problem: problem, XML: raw})
	if t := e.Attr("type"); t == "error" || t == "result" {
		return
	}
	answer := reply(e, "error").Add(stanzaError(kind, condition, problem))
	answer.Set("from", s.options.Domain)
	s.send(c, answer)
}

// wrongIQ returns what is wrong with an iq (RFC 6120 section 8.2.3).
func wrongIQ(e *element.Element) string {
	children := len(e.Children("", ""))
	switch e.Attr("type") {
	case "get", "set":
		if children != 1 {
			return "a request has one child"
		}
	case "result":
		if children > 1 {
			return "a result has at most one child"
		}
	case "error":
		if e.Child(nsClient, "error") == nil {
			return "an error without its element"
		}
	default:
		return "an iq has no type " + e.Attr("type")
	}
	if e.Attr("id") == "" {
		return "an iq without an id"
	}
	return ""
}

// wrongType returns what is wrong with the type of a message or presence.
func wrongType(e *element.Element) string {
	var kinds map[string]bool
	switch e.Name {
	case "message":
		kinds = map[string]bool{"": true, "chat": true, "normal": true, "headline": true, "groupchat": true, "error": true}
	case "presence":
		kinds = map[string]bool{
			"": true, "unavailable": true, "error": true, "probe": true,
			"subscribe": true, "subscribed": true, "unsubscribe": true, "unsubscribed": true,
		}
	default:
		return ""
	}
	if !kinds[e.Attr("type")] {
		return "a " + e.Name + " has no type " + e.Attr("type")
	}
	return ""
}

// send writes a stanza to a component.
func (s *Server) send(c *component, e *element.Element) {
	if kind := e.Attr("type"); e.Name == "iq" && (kind == "get" || kind == "set") && len(s.asked) < maxQuestions {
		s.asked[question{c.domain, e.Attr("from") + " to " + e.Attr("to"), e.Attr("id")}] = true
	}
	text := e.Rename(nsClient, nsComponent).Format(nsComponent)
	s.trace(c.domain, false, text)
	c.outbox.put(text)
}

func streamError(condition, text string) string {
	e := element.New("", "stream:error").Add(element.New(nsStreams, condition))
	if text != "" {
		e.Add(element.New(nsStreams, "text").AddText(text))
	}
	return e.Format("")
}
