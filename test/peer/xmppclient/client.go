// Package xmppclient logs a test phone in at a real XMPP server: a TCP stream in the clear,
// SASL PLAIN, and one resource. It is for servers of tests on loopback, which allow that.
package xmppclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"sipxmppgw/test/peer/element"
)

const (
	nsClient = "jabber:client"
	nsStream = "http://etherx.jabber.org/streams"
	nsSASL   = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind   = "urn:ietf:params:xml:ns:xmpp-bind"

	writeTime = 5 * time.Second
	maxStanza = 1 << 20 // bytes
	maxKept   = 10000   // stanzas before Receive is called
)

// Options say where to log in and as whom.
type Options struct {
	Addr     string // host and port of the server's client port
	User     string
	Domain   string
	Resource string // asked for; the server may choose another
	Password string

	// Trace is told of every stanza, sent or received. It must return soon.
	Trace func(sent bool, text string)
}

// A Client is one logged-in session. Close ends it.
type Client struct {
	options Options
	conn    net.Conn
	in      *element.Reader
	jid     string
	tasks   sync.WaitGroup

	writing sync.Mutex
	reading sync.Mutex // held while f is called, so that stanzas stay in order
	f       func(*element.Element)
	kept    []*element.Element
}

// Dial logs in; ctx bounds how long that may take.
func Dial(ctx context.Context, o Options) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	c := &Client{options: o, conn: conn}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = c.login()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("log in %s@%s: %w", o.User, o.Domain, err)
	}
	c.tasks.Go(c.run)
	return c, nil
}

// login speaks RFC 6120 up to the bound resource.
func (c *Client) login() error {
	if err := c.open(); err != nil {
		return err
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + c.options.User + "\x00" + c.options.Password))
	answer, err := c.exchange(element.New(nsSASL, "auth", "mechanism", "PLAIN").AddText(plain))
	if err != nil {
		return err
	}
	if !answer.Is(nsSASL, "success") {
		return fmt.Errorf("the server answered %v", answer)
	}
	if err := c.open(); err != nil {
		return err
	}
	bind := element.New(nsBind, "bind")
	if c.options.Resource != "" {
		bind.Add(element.New(nsBind, "resource").AddText(c.options.Resource))
	}
	answer, err = c.exchange(element.New(nsClient, "iq", "type", "set", "id", "bind").Add(bind))
	if err != nil {
		return err
	}
	c.jid = answer.Child(nsBind, "bind").Child(nsBind, "jid").Text()
	if c.jid == "" {
		return fmt.Errorf("the server answered %v", answer)
	}
	return nil
}

// open begins a stream and reads the server's features.
func (c *Client) open() error {
	header := element.New("", "x", "to", c.options.Domain).Format("")
	if err := c.write(fmt.Sprintf("<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='%s' version='1.0'%s>",
		nsClient, nsStream, header[len("<x"):len(header)-len("/>")])); err != nil {
		return err
	}
	c.in = element.NewReader(c.conn, maxStanza)
	if _, err := c.in.Header(); err != nil {
		return fmt.Errorf("read the stream header: %w", err)
	}
	features, _, err := c.in.Next()
	if err != nil {
		return fmt.Errorf("read the features: %w", err)
	}
	if !features.Is(nsStream, "features") {
		return fmt.Errorf("the server answered %v", features)
	}
	return nil
}

// exchange sends one element and returns the next.
func (c *Client) exchange(e *element.Element) (*element.Element, error) {
	if err := c.write(e.Format(nsClient)); err != nil {
		return nil, err
	}
	answer, _, err := c.in.Next()
	return answer, err
}

func (c *Client) write(text string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := io.WriteString(c.conn, text)
	return err
}

// run hands stanzas out until the stream ends.
func (c *Client) run() {
	for {
		e, raw, err := c.in.Next()
		if err != nil {
			return
		}
		if c.options.Trace != nil {
			c.options.Trace(false, raw)
		}
		if e.Space != nsClient {
			continue // a stream error is followed by the end
		}
		if e.Name == "iq" && e.Attr("from") == "" {
			// The server may leave out its name in what it answers for the account.
			e.Set("from", bare(c.jid))
		}
		c.reading.Lock()
		if c.f != nil {
			c.f(e)
		} else if len(c.kept) < maxKept {
			c.kept = append(c.kept, e)
		}
		c.reading.Unlock()
	}
}

func bare(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}

// JID returns the full JID the server has given.
func (c *Client) JID() string { return c.jid }

// Send sends a stanza.
func (c *Client) Send(e *element.Element) error {
	if e.Space != nsClient {
		return fmt.Errorf("send %s: is not in %s", e.Name, nsClient)
	}
	text := e.Format(nsClient)
	if c.options.Trace != nil {
		c.options.Trace(true, text)
	}
	return c.write(text)
}

// Receive calls f with each stanza, in order and one at a time; those that came before, first.
func (c *Client) Receive(f func(*element.Element)) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for _, e := range c.kept {
		f(e)
	}
	c.f, c.kept = f, nil
}

// Close ends the stream and returns when nothing more is handed out. It must not be called
// by the function given to Receive.
func (c *Client) Close() error {
	err := c.write("</stream:stream>")
	err = errors.Join(err, c.conn.Close())
	c.tasks.Wait()
	return err
}
