package component

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"gosrc.io/xmpp/stanza"
)

// A binding is what a prefix means; the empty prefix is the default namespace.
type binding struct{ prefix, space string }

// content are the bindings of a stream whose header declares no prefixes of its own.
var content = []binding{{"", nsAccept}, {"stream", nsStream}}

// Parse reads one stanza and nothing after it, under the caps of the stream. Without a
// declaration its namespace is [Content]. Addresses are left as they are.
func Parse(raw []byte) (Stanza, error) {
	s := newSplitter(bytes.NewReader(raw), capsIn)
	p, err := s.stanza()
	if err != nil {
		return Stanza{}, fmt.Errorf("cut stanza: %w", err)
	}
	if p.over != "" {
		return Stanza{}, fmt.Errorf("cut stanza: %s", p.over)
	}
	if err := s.findTag(); err != io.EOF {
		return Stanza{}, errors.New("cut stanza: more follows it")
	}
	n, err := decode(p.raw, content)
	if err != nil {
		return Stanza{}, err
	}
	st, ok := stanzaOf(n)
	if !ok {
		return Stanza{}, fmt.Errorf("%s is not a stanza", n.XMLName.Local)
	}
	return st, nil
}

// stanzaOf makes a stanza of an element, if it is one.
func stanzaOf(n stanza.Node) (Stanza, bool) {
	name := n.XMLName
	if name.Space != Content || name.Local != IQ && name.Local != Message && name.Local != Presence {
		return Stanza{}, false
	}
	s := Stanza{Kind: name.Local, Nodes: n.Nodes}
	for _, a := range n.Attrs {
		if a.Name.Space == nsXML && a.Name.Local == "lang" {
			s.Lang = a.Value
		}
		if a.Name.Space == "" {
			s.set(a.Name.Local, a.Value)
		}
	}
	return s, true
}

func (s *Stanza) set(name, value string) {
	switch name {
	case "type":
		s.Type = stanza.StanzaType(value)
	case "id":
		s.Id = value
	case "from":
		s.From = value
	case "to":
		s.To = value
	}
}

// decode reads one element with all it holds. The splitter has seen it: its tags match
// and it is within the caps.
func decode(raw []byte, outer []binding) (stanza.Node, error) {
	type frame struct {
		node  stanza.Node
		text  []byte
		bound int // bindings outside of the element
	}
	var open []frame
	bound := outer[:len(outer):len(outer)]
	d := xml.NewDecoder(bytes.NewReader(raw))
	for {
		t, err := d.RawToken()
		if err != nil {
			return stanza.Node{}, fmt.Errorf("decode stanza: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			f := frame{bound: len(bound)}
			f.node, bound, err = element(t, bound)
			if err != nil {
				return stanza.Node{}, fmt.Errorf("decode stanza: %w", err)
			}
			open = append(open, f)
		case xml.CharData:
			if len(open) > 0 {
				f := &open[len(open)-1]
				f.text = append(f.text, t...)
			}
		case xml.EndElement:
			if len(open) == 0 {
				return stanza.Node{}, errBroken
			}
			f := open[len(open)-1]
			open = open[:len(open)-1]
			f.node.Content = string(f.text)
			bound = bound[:f.bound]
			if len(open) == 0 {
				return f.node, nil
			}
			up := &open[len(open)-1].node
			up.Nodes = append(up.Nodes, f.node)
		default:
			return stanza.Node{}, errRestricted
		}
	}
}

// element resolves the names of a start tag, and returns the bindings inside it
// (Namespaces in XML 1.0).
func element(t xml.StartElement, bound []binding) (stanza.Node, []binding, error) {
	for _, a := range t.Attr {
		switch {
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			bound = append(bound, binding{"", a.Value})
		case a.Name.Space != "xmlns":
		case a.Value == "" || a.Name.Local == "xml" || a.Name.Local == "xmlns":
			return stanza.Node{}, nil, fmt.Errorf("prefix %q cannot be declared so", a.Name.Local)
		default:
			bound = append(bound, binding{a.Name.Local, a.Value})
		}
	}
	var n stanza.Node
	name, err := resolve(t.Name, bound)
	if err != nil {
		return n, nil, err
	}
	n.XMLName = name
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		inside := bound
		if a.Name.Space == "" { // an attribute without prefix is in no namespace
			inside = nil
		}
		name, err := resolve(a.Name, inside)
		if err != nil {
			return n, nil, err
		}
		for _, b := range n.Attrs {
			if b.Name == name {
				return n, nil, fmt.Errorf("attribute %q comes twice", name.Local)
			}
		}
		n.Attrs = append(n.Attrs, xml.Attr{Name: name, Value: a.Value})
	}
	return n, bound, nil
}

// resolve gives a name, whose Space is a prefix, its namespace. The three that stanzas go
// by are one to a reader of payloads: [Content].
func resolve(name xml.Name, bound []binding) (xml.Name, error) {
	if strings.Contains(name.Local, ":") {
		return name, fmt.Errorf("name %q has no part before or after its colon", name.Local)
	}
	if name.Space == "xml" {
		return xml.Name{Space: nsXML, Local: name.Local}, nil
	}
	for i := len(bound) - 1; i >= 0; i-- {
		if bound[i].prefix != name.Space {
			continue
		}
		space := bound[i].space
		if space == nsAccept || space == nsServer {
			space = Content
		}
		return xml.Name{Space: space, Local: name.Local}, nil
	}
	if name.Space == "" {
		return name, nil
	}
	return name, fmt.Errorf("prefix %q is not declared", name.Space)
}

// headerOf reads the header of a stream: its id, and the prefixes for what is in it.
func headerOf(raw []byte) (id string, bound []binding, err error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	t, err := d.RawToken()
	if err != nil {
		return "", nil, err
	}
	start, ok := t.(xml.StartElement)
	if !ok {
		return "", nil, errBroken
	}
	n, bound, err := element(start, nil)
	if err != nil {
		return "", nil, err
	}
	if n.XMLName != (xml.Name{Space: nsStream, Local: "stream"}) {
		return "", nil, fmt.Errorf("%q does not open a stream", n.XMLName.Local)
	}
	for _, a := range n.Attrs {
		if a.Name == (xml.Name{Local: "id"}) {
			id = a.Value
		}
	}
	return id, bound, nil
}

// envelope reads what it can of the start tag of a stanza that was cut off or cannot be
// decoded: enough to answer it. It keeps nothing but the four attributes.
func envelope(raw []byte) Stanza {
	rest := bytes.TrimPrefix(raw, []byte("<"))
	end := bytes.IndexAny(rest, " \t\r\n/>")
	if end < 0 {
		return Stanza{}
	}
	name := rest[:end]
	if colon := bytes.IndexByte(name, ':'); colon >= 0 {
		name = name[colon+1:]
	}
	s := Stanza{Kind: string(name)}
	for rest = rest[end:]; ; {
		rest = bytes.TrimLeft(rest, " \t\r\n")
		equals := bytes.IndexByte(rest, '=')
		if equals <= 0 || rest[0] == '>' || rest[0] == '/' {
			return s
		}
		name := bytes.TrimRight(rest[:equals], " \t\r\n")
		value := bytes.TrimLeft(rest[equals+1:], " \t\r\n")
		if len(value) == 0 || value[0] != '\'' && value[0] != '"' {
			return s
		}
		length := bytes.IndexByte(value[1:], value[0])
		if length < 0 {
			return s
		}
		switch string(name) {
		case "type", "id", "from", "to":
			s.set(string(name), unescape(value[:length+2]))
		}
		rest = value[length+2:]
	}
}

// unescape reads an attribute's value with its quotes; what is not XML reads as empty.
func unescape(quoted []byte) string {
	d := xml.NewDecoder(io.MultiReader(strings.NewReader("<a a="), bytes.NewReader(quoted), strings.NewReader("/>")))
	t, err := d.RawToken()
	if start, ok := t.(xml.StartElement); err == nil && ok && len(start.Attr) == 1 {
		return start.Attr[0].Value
	}
	return ""
}
