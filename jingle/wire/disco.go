package wire

import (
	"crypto/sha1" // what XEP-0115 section 5.1 wants; it protects nothing
	"encoding/base64"
	"sort"
	"strings"

	"gosrc.io/xmpp/stanza"
)

// A Disco is what an entity says of itself (XEP-0030).
type Disco struct {
	Node       string
	Identities []Identity
	Features   []string
	Forms      []Form
}

// An Identity says what an entity is.
type Identity struct {
	Category, Type, Name string
	Lang                 string // of the name; empty for none
}

// A Form is more that an entity says (XEP-0128).
type Form struct {
	Type   string // FORM_TYPE
	Fields []Field
}

// A Field is one answer of a form.
type Field struct {
	Name   string
	Values []string
}

// Limits of what is read from others.
const (
	maxFeatures   = 512
	maxIdentities = 32
	maxForms      = 8
)

// ParseDisco reads the result of a disco#info query.
func ParseDisco(n *stanza.Node) Disco {
	d := Disco{Node: Attr(n, "node")}
	for i := range n.Nodes {
		c := &n.Nodes[i]
		switch c.XMLName.Space + " " + c.XMLName.Local {
		case NSDiscoInfo + " identity":
			if len(d.Identities) < maxIdentities {
				d.Identities = append(d.Identities, Identity{
					Category: Attr(c, "category"), Type: Attr(c, "type"), Name: Attr(c, "name"), Lang: lang(c),
				})
			}
		case NSDiscoInfo + " feature":
			if len(d.Features) < maxFeatures {
				d.Features = append(d.Features, Attr(c, "var"))
			}
		case NSForm + " x":
			if len(d.Forms) < maxForms {
				d.Forms = append(d.Forms, parseForm(c))
			}
		}
	}
	return d
}

// lang returns the xml:lang of an element.
func lang(n *stanza.Node) string {
	for _, a := range n.Attrs {
		if a.Name.Local == "lang" && (a.Name.Space == nsXML || a.Name.Space == "xml") {
			return a.Value
		}
	}
	return ""
}

func parseForm(n *stanza.Node) Form {
	var f Form
	for i := range n.Nodes {
		e := &n.Nodes[i]
		if e.XMLName.Local != "field" || len(f.Fields) == maxParams {
			continue
		}
		field := Field{Name: Attr(e, "var")}
		for v := range e.Nodes {
			if e.Nodes[v].XMLName.Local == "value" && len(field.Values) < maxParams {
				field.Values = append(field.Values, e.Nodes[v].Content)
			}
		}
		if field.Name == "FORM_TYPE" && len(field.Values) > 0 {
			f.Type = field.Values[0]
			continue
		}
		f.Fields = append(f.Fields, field)
	}
	return f
}

// Has reports whether the entity has a feature.
func (d Disco) Has(feature string) bool { return contains(d.Features, feature) }

// Calls reports whether the entity takes calls with sound over ICE, and whether it takes
// proposals of them (XEP-0353).
func (d Disco) Calls() (jingle, proposals bool) {
	jingle = d.Has(NSJingle) && d.Has(NSRTP) && d.Has(NSICE)
	return jingle, d.Has(NSJMI)
}

// Element returns the <query/> of a result.
func (d Disco) Element() stanza.Node {
	n := Element(NSDiscoInfo, "query", "node", d.Node)
	for _, i := range d.Identities {
		n.Nodes = append(n.Nodes, Element(NSDiscoInfo, "identity", "category", i.Category, "type", i.Type, "name", i.Name))
	}
	for _, f := range d.Features {
		n.Nodes = append(n.Nodes, Element(NSDiscoInfo, "feature", "var", f))
	}
	for _, f := range d.Forms {
		n.Nodes = append(n.Nodes, f.element())
	}
	return n
}

func (f Form) element() stanza.Node {
	shown := DataForm{Kind: "result", FormType: f.Type}
	for _, field := range f.Fields {
		shown.Fields = append(shown.Fields, FormField{Name: field.Name, Values: field.Values})
	}
	return shown.Element()
}

// Ver returns the verification string of what the entity says (XEP-0115 section 5.1).
func (d Disco) Ver() string {
	var parts []string
	for _, i := range d.Identities {
		parts = append(parts, i.Category+"/"+i.Type+"/"+i.Lang+"/"+i.Name+"<")
	}
	sort.Strings(parts)
	features := append([]string(nil), d.Features...)
	sort.Strings(features)
	for _, f := range features {
		parts = append(parts, f+"<")
	}
	forms := append([]Form(nil), d.Forms...)
	sort.Slice(forms, func(i, j int) bool { return forms[i].Type < forms[j].Type })
	for _, f := range forms {
		parts = append(parts, f.ver())
	}
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (f Form) ver() string {
	fields := append([]Field(nil), f.Fields...)
	sort.Slice(fields, func(i, j int) bool { return fields[i].Name < fields[j].Name })
	var b strings.Builder
	b.WriteString(f.Type + "<")
	for _, field := range fields {
		values := append([]string(nil), field.Values...)
		sort.Strings(values)
		b.WriteString(field.Name + "<")
		for _, v := range values {
			b.WriteString(v + "<")
		}
	}
	return b.String()
}

// A Caps says in short what an entity is, so that one asks once for all (XEP-0115).
type Caps struct{ Node, Ver, Hash string }

// Element returns the <c/>.
func (c Caps) Element() stanza.Node {
	return Element(NSCaps, "c", "hash", c.Hash, "node", c.Node, "ver", c.Ver)
}

// Query returns the node to ask disco#info for.
func (c Caps) Query() string { return c.Node + "#" + c.Ver }

// ParseCaps reads the caps of a presence; ok is false if there are none to use.
func ParseCaps(nodes []stanza.Node) (c Caps, ok bool) {
	n := Child(nodes, NSCaps, "c")
	if n == nil {
		return c, false
	}
	c = Caps{Node: Attr(n, "node"), Ver: Attr(n, "ver"), Hash: Attr(n, "hash")}
	return c, c.Node != "" && c.Ver != "" && len(c.Node) <= maxName && len(c.Ver) <= maxName
}
