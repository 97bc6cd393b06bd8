package element

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An Error is XML that a strict XMPP server ends the stream for; Condition is the stream
// error to say so with (RFC 6120 section 4.9.3).
type Error struct {
	Condition string
	Problem   string
}

func (e *Error) Error() string { return e.Condition + ": " + e.Problem }

// ErrEnd is returned by [Reader.Next] when the stream was closed by its end tag.
var ErrEnd = errors.New("the stream was closed")

const maxDepth = 2000 // of elements; a parser of a server has some such limit

// A Reader reads the elements of one stream, strictly: namespaces must be bound, names and
// attributes right, and there are no comments, instructions or document types.
type Reader struct {
	in    *recorder
	xml   *xml.Decoder
	scope []scope // what the open elements of the stream itself have bound; one for the header
	end   string  // name of the stream's end tag as it must be written
}

// A scope is the namespaces bound by one element; "" is the default.
type scope map[string]string

// NewReader reads from in; an element of more than limit bytes is an error.
func NewReader(in io.Reader, limit int) *Reader {
	r := &Reader{in: &recorder{in: bufio.NewReader(in), limit: limit}}
	r.xml = xml.NewDecoder(r.in)
	return r
}

// A recorder remembers the bytes of the element being read.
type recorder struct {
	in    *bufio.Reader
	raw   []byte
	limit int
	total int64 // bytes read so far
	big   bool
}

func (r *recorder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// ReadByte makes the decoder read byte by byte, so that it never reads past an element.
func (r *recorder) ReadByte() (byte, error) {
	if len(r.raw) >= r.limit {
		r.big = true
		return 0, errors.New("too big")
	}
	b, err := r.in.ReadByte()
	if err == nil {
		r.raw = append(r.raw, b)
		r.total++
	}
	return b, err
}

// forget drops the bytes of what was read, but not one the decoder has looked ahead to.
func (r *Reader) forget() {
	ahead := max(0, min(int(r.in.total-r.xml.InputOffset()), len(r.in.raw)))
	r.in.raw = append(r.in.raw[:0], r.in.raw[len(r.in.raw)-ahead:]...)
}

// Header reads the stream's start tag, with an XML declaration before it if there is one.
func (r *Reader) Header() (*Element, error) {
	for first := true; ; first = false {
		token, err := r.token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.ProcInst:
			if !first || token.Target != "xml" {
				return nil, &Error{"restricted-xml", "a processing instruction"}
			}
		case xml.CharData:
			if strings.TrimSpace(string(token)) != "" {
				return nil, &Error{"bad-format", "text before the stream"}
			}
		case xml.StartElement:
			header, scope, err := r.start(token)
			if err != nil {
				return nil, err
			}
			r.scope = append(r.scope, scope)
			r.end = token.Name.Space + ":" + token.Name.Local
			return header, nil
		default:
			return nil, &Error{"bad-format", "no stream header"}
		}
	}
}

// Next reads one element that stands directly in the stream, and returns it with its bytes
// as they came. An error is an [*Error], [ErrEnd] or the connection's own.
func (r *Reader) Next() (e *Element, raw string, err error) {
	var (
		stack []*Element
		names []string // as written, to hold the end tags against
		outer = len(r.scope)
	)
	defer func() {
		raw = string(r.in.raw)
		r.scope = r.scope[:outer]
	}()
	r.forget()
	for {
		token, err := r.token()
		if err != nil {
			return nil, "", err
		}
		switch token := token.(type) {
		case xml.StartElement:
			child, scope, err := r.start(token)
			if err != nil {
				return nil, "", err
			}
			if len(stack) == maxDepth {
				return nil, "", &Error{"policy-violation", "elements too deep"}
			}
			if len(stack) > 0 {
				stack[len(stack)-1].Add(child)
			}
			r.scope = append(r.scope, scope)
			stack = append(stack, child)
			names = append(names, token.Name.Space+":"+token.Name.Local)
		case xml.EndElement:
			name := token.Name.Space + ":" + token.Name.Local
			if len(stack) == 0 {
				if name != r.end {
					return nil, "", &Error{"not-well-formed", "a wrong end tag of the stream"}
				}
				return nil, "", ErrEnd
			}
			last := len(stack) - 1
			if name != names[last] {
				return nil, "", &Error{"not-well-formed", "end tag " + name + " for " + names[last]}
			}
			if last == 0 {
				return stack[0], "", nil
			}
			stack, names = stack[:last], names[:last]
			r.scope = r.scope[:len(r.scope)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].AddText(string(token))
				continue
			}
			if strings.TrimSpace(string(token)) != "" {
				return nil, "", &Error{"bad-format", "text between stanzas"}
			}
			r.forget()
		case xml.Comment:
			return nil, "", &Error{"restricted-xml", "a comment"}
		case xml.ProcInst:
			return nil, "", &Error{"restricted-xml", "a processing instruction"}
		case xml.Directive:
			return nil, "", &Error{"restricted-xml", "a document type"}
		}
	}
}

// token returns a copy of the next token, and turns what the decoder minds into an [*Error].
func (r *Reader) token() (xml.Token, error) {
	token, err := r.xml.RawToken()
	if err == nil {
		return xml.CopyToken(token), nil
	}
	if r.in.big {
		return nil, &Error{"policy-violation", fmt.Sprintf("more than %d bytes", r.in.limit)}
	}
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF) && syntax.Msg != "unexpected EOF" {
		return nil, &Error{"not-well-formed", syntax.Msg}
	}
	return nil, err
}

// start resolves the names of a start tag.
func (r *Reader) start(token xml.StartElement) (*Element, scope, error) {
	bound := scope{}
	for _, a := range token.Attr {
		prefix := ""
		switch {
		case a.Name.Space == "xmlns":
			prefix = a.Name.Local
			if prefix == "xmlns" || a.Value == "" || prefix == "xml" {
				return nil, nil, &Error{"bad-namespace-prefix", "prefix " + prefix}
			}
		case a.Name.Space == "" && a.Name.Local == "xmlns":
		default:
			continue
		}
		if _, twice := bound[prefix]; twice {
			return nil, nil, &Error{"not-well-formed", "namespace bound twice"}
		}
		bound[prefix] = a.Value
	}
	resolve := func(name xml.Name) (string, error) {
		if strings.Contains(name.Local, ":") || name.Local == "" {
			return "", &Error{"not-well-formed", "name " + name.Local}
		}
		if space, ok := bound[name.Space]; ok {
			return space, nil
		}
		for i := len(r.scope) - 1; i >= 0; i-- {
			if space, ok := r.scope[i][name.Space]; ok {
				return space, nil
			}
		}
		if name.Space != "" {
			return "", &Error{"bad-namespace-prefix", "unbound prefix " + name.Space}
		}
		return "", nil
	}
	space, err := resolve(token.Name)
	if err != nil {
		return nil, nil, err
	}
	e := &Element{Space: space, Name: token.Name.Local}
	seen := map[Attr]bool{}
	for _, a := range token.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		attr := Attr{Name: a.Name.Local}
		switch a.Name.Space {
		case "":
			if strings.Contains(a.Name.Local, ":") {
				return nil, nil, &Error{"not-well-formed", "attribute " + a.Name.Local}
			}
		case "xml":
			attr.Space = "xml"
		default:
			if attr.Space, err = resolve(a.Name); err != nil {
				return nil, nil, err
			}
		}
		if seen[attr] {
			return nil, nil, &Error{"not-well-formed", "attribute " + a.Name.Local + " twice"}
		}
		seen[attr] = true
		attr.Value = a.Value
		e.Attrs = append(e.Attrs, attr)
	}
	return e, bound, nil
}

// Parse reads one element that stands alone; space is the namespace it has if it names none.
func Parse(text, space string) (*Element, error) {
	r := NewReader(strings.NewReader(text), len(text)+1)
	r.scope = []scope{{"": space}}
	e, _, err := r.Next()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &Error{"not-well-formed", "the element does not end"}
	}
	if err != nil {
		return nil, err
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		return nil, &Error{"not-well-formed", "something after the element"}
	}
	return e, nil
}
