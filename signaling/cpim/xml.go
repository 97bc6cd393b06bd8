package cpim

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Notification says what became of a message (RFC 5438 section 11).
type Notification struct {
	ID        string // of the message: its imdn.Message-ID
	Time      string // DateTime of the message
	Recipient string // URI of who has it
	Kind      string // delivery-notification, display-notification or processing-notification
	Status    string // delivered, failed, displayed, forbidden, error, processed, stored
}

// ParseNotification reads a message/imdn+xml document. An error is [ErrMalformed].
func ParseNotification(body string) (Notification, error) {
	var n Notification
	var path []string
	err := walk(body, func(open bool, name, text string) {
		if !open {
			switch name {
			case "message-id":
				n.ID = text
			case "datetime":
				n.Time = text
			case "recipient-uri":
				n.Recipient = text
			}
			path = path[:len(path)-1]
			return
		}
		path = append(path, name)
		if strings.HasSuffix(name, "-notification") {
			n.Kind = name
		}
		if len(path) > 1 && path[len(path)-2] == "status" {
			n.Status = name
		}
	}, "imdn")
	if err != nil || n.ID == "" || n.Status == "" {
		return Notification{}, ErrMalformed
	}
	return n, nil
}

// Format writes the document.
func (n Notification) Format() string {
	var b strings.Builder
	element := func(name, text string) {
		if text != "" {
			b.WriteString("<" + name + ">")
			_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
			b.WriteString("</" + name + ">")
		}
	}
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\r\n" + `<imdn xmlns="urn:ietf:params:xml:ns:imdn">`)
	element("message-id", n.ID)
	element("datetime", n.Time)
	element("recipient-uri", n.Recipient)
	b.WriteString("<" + n.Kind + "><status><" + n.Status + "/></status></" + n.Kind + "></imdn>")
	return b.String()
}

// A Composing says whether somebody writes (RFC 3994).
type Composing struct {
	Active  bool
	Type    string        // of what is written, such as text/plain
	Refresh time.Duration // in which Active is said again; 0 for what is usual, 120 s
}

// ParseComposing reads an application/im-iscomposing+xml document. An error is
// [ErrMalformed].
func ParseComposing(body string) (Composing, error) {
	var c Composing
	said := false
	err := walk(body, func(open bool, name, text string) {
		switch {
		case open:
		case name == "state":
			c.Active, said = text == "active", true // any other state is idle (section 3.2)
		case name == "contenttype":
			c.Type = text
		case name == "refresh":
			if s, err := strconv.ParseUint(text, 10, 16); err == nil {
				c.Refresh = time.Duration(s) * time.Second
			}
		}
	}, "isComposing")
	if err != nil || !said {
		return Composing{}, ErrMalformed
	}
	return c, nil
}

// Format writes the document.
func (c Composing) Format() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\r\n" + `<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">`)
	if c.Active {
		b.WriteString("<state>active</state><contenttype>text/plain</contenttype>")
		if s := int(c.Refresh / time.Second); s > 0 {
			b.WriteString("<refresh>" + strconv.Itoa(s) + "</refresh>")
		}
	} else {
		b.WriteString("<state>idle</state>")
	}
	b.WriteString("</isComposing>")
	return b.String()
}

// walk reads a small document with that root, and tells of each element as it opens and, with
// its text, as it closes. No entity but the five of XML, no DOCTYPE.
func walk(body string, tell func(open bool, name, text string), root string) error {
	d := xml.NewDecoder(strings.NewReader(body))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, ErrMalformed }
	var texts []*strings.Builder
	nodes := 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && nodes > 0 {
			return nil
		}
		if err != nil {
			return ErrMalformed
		}
		switch t := t.(type) {
		case xml.StartElement:
			if nodes++; len(texts) == maxDepth || nodes > maxNodes || nodes == 1 && t.Name.Local != root || nodes > 1 && len(texts) == 0 {
				return ErrMalformed
			}
			texts = append(texts, &strings.Builder{})
			tell(true, t.Name.Local, "")
		case xml.EndElement:
			tell(false, t.Name.Local, strings.TrimSpace(texts[len(texts)-1].String()))
			texts = texts[:len(texts)-1]
		case xml.CharData:
			if len(texts) > 0 {
				texts[len(texts)-1].Write(t)
			}
		case xml.Directive:
			return ErrMalformed
		}
	}
}
