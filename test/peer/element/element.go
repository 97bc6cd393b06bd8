// Package element is XML as XMPP uses it: elements with a namespace, attributes, children
// and text, read strictly and written plainly. The test peers share it.
package element

import (
	"iter"
	"strings"
)

// An Element is one XML element.
type Element struct {
	Space string // namespace; empty only while building, where it means the parent's
	Name  string // local name
	Attrs []Attr
	Nodes []Node
}

// An Attr is an attribute. Space is empty for nearly all; "xml" is the prefix of xml:lang.
type Attr struct{ Space, Name, Value string }

// A Node is a child: an element, or text if Element is nil.
type Node struct {
	Element *Element
	Text    string
}

// New returns an element with attributes given as name, value, name, value. An empty value
// leaves the attribute out.
func New(space, name string, attrs ...string) *Element {
	e := &Element{Space: space, Name: name}
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			e.Set(attrs[i], attrs[i+1])
		}
	}
	return e
}

// Add appends children and returns e; nil children are left out, and children without a
// namespace take e's.
func (e *Element) Add(children ...*Element) *Element {
	for _, c := range children {
		if c == nil {
			continue
		}
		if e.Space != "" {
			c.rename("", e.Space)
		}
		e.Nodes = append(e.Nodes, Node{Element: c})
	}
	return e
}

// AddText appends text and returns e.
func (e *Element) AddText(text string) *Element {
	e.Nodes = append(e.Nodes, Node{Text: text})
	return e
}

// Attr returns the attribute without a namespace of that name; empty if there is none. A
// nil element has no attributes.
func (e *Element) Attr(name string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.Attrs {
		if a.Space == "" && a.Name == name {
			return a.Value
		}
	}
	return ""
}

// Set sets an attribute; an empty value removes it.
func (e *Element) Set(name, value string) {
	for i, a := range e.Attrs {
		if a.Space == "" && a.Name == name {
			if value == "" {
				e.Attrs = append(e.Attrs[:i:i], e.Attrs[i+1:]...)
				return
			}
			e.Attrs[i].Value = value
			return
		}
	}
	if value != "" {
		e.Attrs = append(e.Attrs, Attr{Name: name, Value: value})
	}
}

// Elements ranges over the child elements. A nil element has none.
func (e *Element) Elements() iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		if e == nil {
			return
		}
		for _, n := range e.Nodes {
			if n.Element != nil && !yield(n.Element) {
				return
			}
		}
	}
}

// Child returns the first child of that namespace and name; an empty one matches any. It
// is nil if there is none.
func (e *Element) Child(space, name string) *Element {
	for c := range e.Elements() {
		if (space == "" || c.Space == space) && (name == "" || c.Name == name) {
			return c
		}
	}
	return nil
}

// Children returns all children of that namespace and name; an empty one matches any.
func (e *Element) Children(space, name string) []*Element {
	var out []*Element
	for c := range e.Elements() {
		if (space == "" || c.Space == space) && (name == "" || c.Name == name) {
			out = append(out, c)
		}
	}
	return out
}

// Text returns the text directly inside e.
func (e *Element) Text() string {
	if e == nil {
		return ""
	}
	var b strings.Builder
	for _, n := range e.Nodes {
		if n.Element == nil {
			b.WriteString(n.Text)
		}
	}
	return b.String()
}

// Is reports whether e has that namespace and name. A nil element is nothing.
func (e *Element) Is(space, name string) bool {
	return e != nil && e.Space == space && e.Name == name
}

// Clone returns a deep copy.
func (e *Element) Clone() *Element {
	out := &Element{Space: e.Space, Name: e.Name, Attrs: append([]Attr(nil), e.Attrs...)}
	for _, n := range e.Nodes {
		if n.Element != nil {
			n.Element = n.Element.Clone()
		}
		out.Nodes = append(out.Nodes, n)
	}
	return out
}

// Rename returns a deep copy in which the namespace from is the namespace to, as a server
// does between jabber:client and jabber:component:accept.
func (e *Element) Rename(from, to string) *Element {
	out := e.Clone()
	out.rename(from, to)
	return out
}

func (e *Element) rename(from, to string) {
	if e.Space == from {
		e.Space = to
	} else if from == "" {
		return // its children have theirs
	}
	for c := range e.Elements() {
		c.rename(from, to)
	}
}

// String returns e as XML that stands alone.
func (e *Element) String() string { return e.Format("") }

// Format returns e as XML inside an element whose default namespace is space.
func (e *Element) Format(space string) string {
	var b strings.Builder
	e.write(&b, space)
	return b.String()
}

func (e *Element) write(b *strings.Builder, space string) {
	b.WriteByte('<')
	b.WriteString(e.Name)
	if e.Space != "" && e.Space != space {
		space = e.Space
		writeAttr(b, "xmlns", space)
	}
	for _, a := range e.Attrs {
		switch a.Space {
		case "":
			writeAttr(b, a.Name, a.Value)
		case "xml":
			writeAttr(b, "xml:"+a.Name, a.Value)
		default:
			writeAttr(b, "xmlns:a", a.Space)
			writeAttr(b, "a:"+a.Name, a.Value)
		}
	}
	if len(e.Nodes) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteByte('>')
	for _, n := range e.Nodes {
		if n.Element != nil {
			n.Element.write(b, space)
			continue
		}
		escape.WriteString(b, n.Text)
	}
	b.WriteString("</")
	b.WriteString(e.Name)
	b.WriteByte('>')
}

func writeAttr(b *strings.Builder, name, value string) {
	b.WriteByte(' ')
	b.WriteString(name)
	b.WriteString("='")
	escape.WriteString(b, value)
	b.WriteByte('\'')
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&apos;", `"`, "&quot;", "\t", "&#9;", "\n", "&#10;", "\r", "&#13;")
