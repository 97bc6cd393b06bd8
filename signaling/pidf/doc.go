// Package pidf is the documents of SIP presence: PIDF (RFC 3863) with its rich parts (RFC
// 4479, RFC 4480) to and from presence values, the state of dialogs (RFC 4235) and of lists of
// resources (RFC 4662), and message summaries (RFC 3842). It knows no messages and no sockets.
//
// A document comes from a stranger: it is read within bounds, without DTD, processing
// instructions or anything but the elements that are looked for, and nothing of it is carried
// on but the values.
package pidf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// The bounds of a document (RELIABILITY 4, row 16).
const (
	maxSize     = 64 << 10 // octets
	maxDepth    = 16
	maxElements = 4096
	maxText     = 1024 // of a note, in octets
	maxTuples   = 64
	maxNotes    = 8 // of a tuple
)

// The media types of the documents.
const (
	MediaType       = "application/pidf+xml"
	DialogMediaType = "application/dialog-info+xml"
)

// An Error says what is wrong with a document.
type Error struct{ Problem string }

// Error implements error.
func (e *Error) Error() string { return "presence document: " + e.Problem }

// A node is an element with what is in it.
type node struct {
	name     xml.Name
	attr     []xml.Attr
	children []*node
	text     string
}

// read returns the root of a document, or an [*Error].
func read(body []byte) (*node, error) {
	if len(body) > maxSize {
		return nil, &Error{"it is too long"}
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict = true
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("charset %q is not UTF-8", charset)
	}
	var root *node
	var open []*node
	elements := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &Error{"it is no XML: " + err.Error()}
		}
		switch tok := tok.(type) {
		case xml.Directive:
			return nil, &Error{"it has a DTD"}
		case xml.ProcInst:
			if tok.Target != "xml" || root != nil {
				return nil, &Error{"it has a processing instruction"}
			}
		case xml.StartElement:
			elements++
			switch {
			case root != nil && len(open) == 0:
				return nil, &Error{"it has two roots"}
			case len(open) == maxDepth || elements > maxElements:
				return nil, &Error{"it is too deep or too large"}
			}
			n := &node{name: tok.Name, attr: tok.Copy().Attr}
			if root == nil {
				root = n
			} else {
				up := open[len(open)-1]
				up.children = append(up.children, n)
			}
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				n := open[len(open)-1]
				n.text += string(tok[:min(len(tok), 2*maxText)])
			}
		}
	}
	if root == nil {
		return nil, &Error{"it is empty"}
	}
	return root, nil
}

// child returns the first child of that name, or nil. It may be asked of nil.
func (n *node) child(space, local string) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name.Local == local && c.name.Space == space {
			return c
		}
	}
	return nil
}

// attribute returns the value of an attribute without a namespace, or of xml:lang.
func (n *node) attribute(local string) string {
	for _, a := range n.attr {
		if a.Name.Local == local && (a.Name.Space == "" || a.Name.Space == "http://www.w3.org/XML/1998/namespace" && local == "lang") {
			return a.Value
		}
	}
	return ""
}
