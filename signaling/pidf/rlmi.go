package pidf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"
)

// The media types of the state of a list: of a body, and of the part of it that says what is in
// the others (RFC 4662 section 5).
const (
	RelatedMediaType = "multipart/related"
	ListMediaType    = "application/rlmi+xml"
)

const nsList = "urn:ietf:params:xml:ns:rlmi"

// The bounds of a list.
const (
	maxListSize  = 1 << 20 // octets
	maxParts     = 1024    // of all lists in a body
	maxResources = 1024    // likewise
	maxInstances = 16      // of a resource
	maxLists     = 4       // within each other
)

// A List is the state of a list of resources, or of some of them (RFC 4662). The resources of
// lists in the list are its own.
type List struct {
	URI       string
	Version   uint32
	Full      bool // all resources are there
	Resources []Resource
}

// A Resource is one of a list. Without an instance nothing is known of it.
type Resource struct {
	URI       string
	Name      string // for people; may be empty
	Instances []Instance
}

// An Instance is a subscription to a resource on behalf of who watches the list.
type Instance struct {
	ID     string
	State  string // active, pending or terminated
	Reason string // of terminated
	Kind   string // media type of the document; empty for none
	Body   []byte
}

// ParseList reads the body of a NOTIFY of a list, which has the media type kind. What of it is
// not of a list is left out. An error is an [*Error].
func ParseList(kind string, body []byte) (List, error) {
	if len(body) > maxListSize {
		return List{}, &Error{"it is too long"}
	}
	r := listReader{}
	l, err := r.list(kind, body, 1)
	if err != nil {
		return List{}, err
	}
	return l, nil
}

// A listReader counts what it reads, over all lists in a list.
type listReader struct{ parts, resources int }

// A section is a part of a body.
type section struct {
	kind string // with its parameters
	body []byte
}

// sections are the parts of a multipart/related body, by Content-ID, and the root of them (RFC
// 2387 section 3.2).
func (r *listReader) sections(kind string, body []byte) (root section, all map[string]section, err error) {
	name, params, err := mime.ParseMediaType(kind)
	if err != nil || name != RelatedMediaType || params["boundary"] == "" {
		return root, nil, &Error{"it is no multipart/related"}
	}
	all = map[string]section{}
	start := strings.Trim(params["start"], "<>")
	found := false
	m := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for first := true; ; first = false {
		p, err := m.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return root, nil, &Error{"it is cut off"}
		}
		if r.parts++; r.parts > maxParts {
			return root, nil, &Error{"it has too many parts"}
		}
		text, err := io.ReadAll(p)
		if err != nil {
			return root, nil, &Error{"it is cut off"}
		}
		s := section{p.Header.Get("Content-Type"), text}
		id := strings.Trim(strings.TrimSpace(p.Header.Get("Content-ID")), "<>")
		if start == "" && first || start != "" && id == start {
			root, found = s, true
		}
		if id != "" {
			all[id] = s
		}
	}
	if !found {
		return root, nil, &Error{"it has no root"}
	}
	return root, all, nil
}

func (r *listReader) list(kind string, body []byte, depth int) (List, error) {
	if depth > maxLists {
		return List{}, &Error{"lists are too deep in it"}
	}
	first, parts, err := r.sections(kind, body)
	if err != nil {
		return List{}, err
	}
	if name, _, err := mime.ParseMediaType(first.kind); err != nil || name != ListMediaType {
		return List{}, &Error{"its root is no list"}
	}
	root, err := read(first.body)
	if err != nil {
		return List{}, err
	}
	if root.name.Local != "list" || root.name.Space != nsList {
		return List{}, &Error{"it is no list"}
	}
	version, err := strconv.ParseUint(root.attribute("version"), 10, 32)
	if err != nil {
		return List{}, &Error{"its version is no number"}
	}
	l := List{URI: root.attribute("uri"), Version: uint32(version)}
	switch root.attribute("fullState") {
	case "true", "1":
		l.Full = true
	case "false", "0":
	default:
		return List{}, &Error{"it is neither full nor partial"}
	}
	for _, n := range root.children {
		if n.name.Local != "resource" || n.name.Space != nsList {
			continue
		}
		if err := r.resource(&l, n, parts, depth); err != nil {
			return List{}, err
		}
	}
	return l, nil
}

// resource reads a resource of a list, which may be a list itself.
func (r *listReader) resource(l *List, n *node, parts map[string]section, depth int) error {
	one := Resource{URI: clean(n.attribute("uri"), maxText)}
	if one.URI == "" {
		return &Error{"a resource has no uri"}
	}
	if r.resources++; r.resources > maxResources {
		return &Error{"it has too many resources"}
	}
	within := false
	for _, c := range n.children {
		switch {
		case c.name.Space != nsList:
		case c.name.Local == "name" && one.Name == "":
			one.Name = clean(strings.TrimSpace(c.text), maxText)
		case c.name.Local == "instance" && len(one.Instances) < maxInstances:
			in := Instance{ID: c.attribute("id"), State: c.attribute("state"), Reason: c.attribute("reason")}
			s, has := parts[c.attribute("cid")]
			name, _, err := mime.ParseMediaType(s.kind)
			if has && err == nil && name == RelatedMediaType {
				nested, err := r.list(s.kind, s.body, depth+1)
				if err != nil {
					return err
				}
				within = true
				l.Full = l.Full && nested.Full
				l.Resources = append(l.Resources, nested.Resources...)
				continue
			}
			if has && err == nil {
				in.Kind, in.Body = name, s.body
			}
			one.Instances = append(one.Instances, in)
		}
	}
	if !within {
		l.Resources = append(l.Resources, one)
	}
	return nil
}

// FormatList writes the state of a list. The boundary must not occur in any document, and
// tells the parts from those of other lists; host is ours. The kind is that of the body.
func FormatList(l List, boundary, host string) (kind string, body []byte) {
	var meta, parts bytes.Buffer
	id := func(n int) string { return fmt.Sprintf("%d.%s@%s", n, boundary, host) }
	section := func(n int, kind string, body []byte) {
		fmt.Fprintf(&parts, "--%s\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <%s>\r\nContent-Type: %s\r\n\r\n", boundary, id(n), kind)
		parts.Write(body)
		parts.WriteString("\r\n")
	}
	meta.WriteString(xml.Header)
	fmt.Fprintf(&meta, "<list xmlns=%q uri=\"%s\" version=\"%d\" fullState=\"%t\">\n", nsList, escape(l.URI), l.Version, l.Full)
	n := 0
	for _, r := range l.Resources {
		fmt.Fprintf(&meta, "  <resource uri=\"%s\">", escape(r.URI))
		if r.Name != "" {
			fmt.Fprintf(&meta, "<name>%s</name>", escape(clean(r.Name, maxText)))
		}
		for _, in := range r.Instances {
			fmt.Fprintf(&meta, "<instance id=\"%s\" state=\"%s\"", escape(in.ID), escape(in.State))
			if in.Reason != "" {
				fmt.Fprintf(&meta, " reason=\"%s\"", escape(in.Reason))
			}
			if in.Kind != "" {
				n++
				fmt.Fprintf(&meta, " cid=\"%s\"", id(n))
			}
			meta.WriteString("/>")
		}
		meta.WriteString("</resource>\n")
	}
	meta.WriteString("</list>\n")
	section(0, ListMediaType+";charset=UTF-8", meta.Bytes())
	n = 0
	for _, r := range l.Resources {
		for _, in := range r.Instances {
			if in.Kind != "" {
				n++
				section(n, in.Kind, in.Body)
			}
		}
	}
	fmt.Fprintf(&parts, "--%s--\r\n", boundary)
	return fmt.Sprintf("%s;type=%q;start=\"<%s>\";boundary=%q", RelatedMediaType, ListMediaType, id(0), boundary), parts.Bytes()
}
