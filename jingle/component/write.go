package component

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"gosrc.io/xmpp/stanza"
)

// Format writes a stanza as it goes on the wire. Nothing else in the package writes one.
//
// Text is escaped, and what XML has no character for (most control characters, half a
// surrogate, U+FFFE) becomes U+FFFD: on such a byte a server closes the stream. An error
// says that the stanza is over a cap (64 KiB, 16 deep, 256 elements, 64 attributes of one
// element) or that a name in it is none; addresses are not looked at.
func Format(s Stanza) ([]byte, error) {
	f := formatter{buf: make([]byte, 0, 512), count: 1}
	if s.Kind != IQ && s.Kind != Message && s.Kind != Presence {
		return nil, fmt.Errorf("format stanza: %q is no kind of stanza", s.Kind)
	}
	f.buf = append(append(f.buf, '<'), s.Kind...)
	f.attr("type", string(s.Type))
	f.attr("id", s.Id)
	f.attr("from", s.From)
	f.attr("to", s.To)
	f.attr("xml:lang", s.Lang)
	if len(s.Nodes) == 0 {
		f.buf = append(f.buf, '/')
	} else {
		f.buf = append(f.buf, '>')
		for i := range s.Nodes {
			if err := f.element(&s.Nodes[i], Content, 2); err != nil {
				return nil, fmt.Errorf("format stanza: %w", err)
			}
		}
		f.buf = append(append(f.buf, "</"...), s.Kind...)
	}
	f.buf = append(f.buf, '>')
	if err := check(f.buf); err != nil {
		return nil, fmt.Errorf("format stanza: %w", err)
	}
	return f.buf, nil
}

type formatter struct {
	buf   []byte
	count int // elements so far
}

// attr writes an attribute of the stanza itself; one without a value is left out.
func (f *formatter) attr(name, value string) {
	if value != "" {
		f.value(name, value)
	}
}

func (f *formatter) value(name, value string) {
	f.buf = append(append(append(f.buf, ' '), name...), "='"...)
	f.buf = append(escape(f.buf, value, true), '\'')
}

// element writes an element inside another one of the namespace outer.
func (f *formatter) element(n *stanza.Node, outer string, depth int) error {
	f.count++
	switch {
	case depth > capsOut.depth:
		return fmt.Errorf("is more than %d deep", capsOut.depth)
	case f.count > capsOut.elements:
		return fmt.Errorf("has more than %d elements", capsOut.elements)
	case len(f.buf) > capsOut.size:
		return errTooLong
	case !isName(n.XMLName.Local):
		return fmt.Errorf("%.64q is not a name", n.XMLName.Local)
	}
	f.buf = append(append(f.buf, '<'), n.XMLName.Local...)
	space := n.XMLName.Space
	switch space {
	case "":
		space = outer
	case nsAccept, nsServer:
		space = Content
	case nsXML, "xml", "xmlns", nsXMLNS:
		return fmt.Errorf("%.64q has a namespace that is reserved", n.XMLName.Local)
	}
	if space != outer {
		f.value("xmlns", space)
	}
	if err := f.attrs(n.Attrs); err != nil {
		return err
	}
	if n.Content == "" && len(n.Nodes) == 0 {
		f.buf = append(f.buf, "/>"...)
		return nil
	}
	f.buf = append(f.buf, '>')
	f.buf = escape(f.buf, n.Content, false)
	for i := range n.Nodes {
		if err := f.element(&n.Nodes[i], space, depth+1); err != nil {
			return err
		}
	}
	f.buf = append(append(append(f.buf, "</"...), n.XMLName.Local...), '>')
	return nil
}

// attrs writes attributes, and a declaration for each that is in a namespace. What looks
// like a declaration itself is left out: the names say it all.
func (f *formatter) attrs(attrs []xml.Attr) error {
	if len(attrs) > capsOut.attrs {
		return fmt.Errorf("has more than %d attributes", capsOut.attrs)
	}
	seen := make([]xml.Name, 0, 8)
	for i, a := range attrs {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		if !isName(a.Name.Local) {
			return fmt.Errorf("attribute %.64q is not a name", a.Name.Local)
		}
		if a.Name.Space == "xml" {
			a.Name.Space = nsXML
		}
		if slices.Contains(seen, a.Name) {
			return fmt.Errorf("attribute %.64q comes twice", a.Name.Local)
		}
		seen = append(seen, a.Name)
		switch a.Name.Space {
		case "":
			f.value(a.Name.Local, a.Value)
		case nsXML:
			f.value("xml:"+a.Name.Local, a.Value)
		case nsXMLNS:
			return fmt.Errorf("attribute %.64q has a namespace that is reserved", a.Name.Local)
		default:
			prefix := "a" + strconv.Itoa(i)
			f.value("xmlns:"+prefix, a.Name.Space)
			f.value(prefix+":"+a.Name.Local, a.Value)
		}
	}
	return nil
}

var errTooLong = errors.New("is longer than 64 KiB")

const nsXMLNS = "http://www.w3.org/2000/xmlns/"

// isName reports whether s is a name without a colon. ASCII is all that XMPP uses, and
// what every parser agrees about.
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		b := s[i]
		letter := 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || b == '_'
		if !letter && (i == 0 || b != '-' && b != '.' && (b < '0' || b > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// isChar reports whether XML 1.0 has the character (section 2.2).
func isChar(r rune) bool {
	return r >= 0x20 && r <= 0xD7FF || r == '\t' || r == '\n' || r == '\r' ||
		r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

// escape appends text, or the value of an attribute in single quotes.
func escape(buf []byte, s string, attr bool) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '<':
			buf = append(buf, "&lt;"...)
		case r == '>':
			buf = append(buf, "&gt;"...)
		case r == '&':
			buf = append(buf, "&amp;"...)
		case r == '\r':
			buf = append(buf, "&#xD;"...)
		case attr && r == '\'':
			buf = append(buf, "&apos;"...)
		case attr && r == '\t':
			buf = append(buf, "&#x9;"...)
		case attr && r == '\n':
			buf = append(buf, "&#xA;"...)
		case !isChar(r): // bytes that are not UTF-8 decode to U+FFFD already
			buf = utf8.AppendRune(buf, utf8.RuneError)
		default:
			buf = utf8.AppendRune(buf, r)
		}
		i += n
	}
	return buf
}

// check is the last look at the bytes of a stanza before they can reach a socket: they
// are one element, within the caps, of characters that XML has.
func check(raw []byte) error {
	if len(raw) > capsOut.size {
		return errTooLong
	}
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 || !isChar(r) {
			return fmt.Errorf("byte %d is no character", i)
		}
		i += n
	}
	c := checkers.Get().(*checker)
	defer checkers.Put(c)
	return c.check(raw)
}

// A checker cuts one stanza after the other, in memory of its own.
type checker struct {
	raw bytes.Reader
	splitter
}

var checkers = sync.Pool{New: func() any {
	return &checker{splitter: splitter{r: bufio.NewReaderSize(nil, 1<<10), caps: capsOut}}
}}

func (c *checker) check(raw []byte) error {
	c.raw.Reset(raw)
	defer c.raw.Reset(nil)
	c.r.Reset(&c.raw)
	p, err := c.stanza()
	if err != nil {
		return err
	}
	if p.over != "" {
		return errors.New(p.over)
	}
	if err := c.findTag(); err != io.EOF {
		return errors.New("is more than one element")
	}
	return nil
}
