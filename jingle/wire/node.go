package wire

import (
	"encoding/xml"
	"strconv"
	"strings"

	"gosrc.io/xmpp/stanza"
)

// Element returns an element with attributes given as name, value, name, value. A value
// that is empty is left out.
func Element(space, local string, attrs ...string) stanza.Node {
	n := stanza.Node{XMLName: xml.Name{Space: space, Local: local}}
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			n.Attrs = append(n.Attrs, xml.Attr{Name: xml.Name{Local: attrs[i]}, Value: attrs[i+1]})
		}
	}
	return n
}

// Text returns an element that holds nothing but text.
func Text(space, local, text string, attrs ...string) stanza.Node {
	n := Element(space, local, attrs...)
	n.Content = text
	return n
}

// Attr returns the value of an attribute without a namespace, empty if there is none.
func Attr(n *stanza.Node, name string) string {
	v, _ := lookup(n, name)
	return v
}

func lookup(n *stanza.Node, name string) (string, bool) {
	for _, a := range n.Attrs {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// Child returns the first of nodes with this namespace and name, or nil.
func Child(nodes []stanza.Node, space, local string) *stanza.Node {
	for i := range nodes {
		if n := &nodes[i]; n.XMLName.Local == local && n.XMLName.Space == space {
			return n
		}
	}
	return nil
}

// text returns what an element says, without space around it.
func text(n *stanza.Node) string { return strings.TrimSpace(n.Content) }

// number reads a decimal attribute of at most max; ok is false for all else.
func number(n *stanza.Node, name string, limit uint64) (v uint64, ok bool) {
	s, found := lookup(n, name)
	if !found {
		return 0, false
	}
	v, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	return v, err == nil && v <= limit
}

// clip shortens a peer's word for an error text.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "")
	}
	return s
}

func decimal[T ~int | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](v T) string {
	return strconv.FormatUint(uint64(v), 10)
}
