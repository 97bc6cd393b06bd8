package wire

import (
	"slices"

	"gosrc.io/xmpp/stanza"
)

// The namespaces of forms and orders.
const (
	NSRegister = "jabber:iq:register"
	NSCommands = "http://jabber.org/protocol/commands"
	NSAdmin    = "http://jabber.org/protocol/admin" // XEP-0133
)

// A DataForm is a form to fill in or a result to read (XEP-0004).
type DataForm struct {
	Kind     string // "form" or "result"
	FormType string // FORM_TYPE (XEP-0068); empty for none
	Title    string
	Fields   []FormField
}

// A FormField is one line of a form.
type FormField struct {
	Name     string
	Type     string // such as "text-single"
	Label    string
	Required bool
	Values   []string
	Options  []FormOption
}

// A FormOption is one of the values of a list.
type FormOption struct{ Value, Label string }

// Element returns the <x/>.
func (f DataForm) Element() stanza.Node {
	n := Element(NSForm, "x", "type", f.Kind)
	if f.Title != "" {
		n.Nodes = append(n.Nodes, Text(NSForm, "title", f.Title))
	}
	if f.FormType != "" {
		n.Nodes = append(n.Nodes, FormField{Name: "FORM_TYPE", Type: "hidden", Values: []string{f.FormType}}.element())
	}
	for _, field := range f.Fields {
		n.Nodes = append(n.Nodes, field.element())
	}
	return n
}

func (f FormField) element() stanza.Node {
	n := Element(NSForm, "field", "var", f.Name, "type", f.Type, "label", f.Label)
	if f.Required {
		n.Nodes = append(n.Nodes, Element(NSForm, "required"))
	}
	for _, v := range f.Values {
		n.Nodes = append(n.Nodes, Text(NSForm, "value", v))
	}
	for _, o := range f.Options {
		e := Element(NSForm, "option", "label", o.Label)
		e.Nodes = []stanza.Node{Text(NSForm, "value", o.Value)}
		n.Nodes = append(n.Nodes, e)
	}
	return n
}

// Submitted reads what was filled in: the first value of each field. ok is false if it is
// not a form that was submitted.
func Submitted(n *stanza.Node) (values map[string]string, ok bool) {
	if n == nil || Attr(n, "type") != "submit" {
		return nil, false
	}
	values = map[string]string{}
	for _, f := range parseForm(n).Fields {
		if len(f.Values) > 0 {
			values[f.Name] = f.Values[0]
		}
	}
	return values, true
}

// A Command is an order and what becomes of it (XEP-0050).
type Command struct {
	Node    string
	Session string
	Action  string // of a request: execute if empty
	Status  string // of an answer: executing, completed, canceled
	Note    string // to the user; empty for none
	Failed  bool   // the note is an error
	Form    *DataForm
	// Values are what a request has filled in; nil if it has no form.
	Values map[string]string
}

// ParseCommand reads the <command/> of a request.
func ParseCommand(n *stanza.Node) Command {
	c := Command{Node: Attr(n, "node"), Session: Attr(n, "sessionid"), Action: Attr(n, "action")}
	c.Values, _ = Submitted(Child(n.Nodes, NSForm, "x"))
	return c
}

// Element returns the <command/> of an answer.
func (c Command) Element() stanza.Node {
	n := Element(NSCommands, "command", "node", c.Node, "sessionid", c.Session, "status", c.Status)
	if c.Status == "executing" {
		actions := Element(NSCommands, "actions", "execute", "complete")
		actions.Nodes = []stanza.Node{Element(NSCommands, "complete")}
		n.Nodes = append(n.Nodes, actions)
	}
	if c.Note != "" {
		kind := "info"
		if c.Failed {
			kind = "error"
		}
		n.Nodes = append(n.Nodes, Text(NSCommands, "note", c.Note, "type", kind))
	}
	if c.Form != nil {
		n.Nodes = append(n.Nodes, c.Form.Element())
	}
	return n
}

// Item returns an entry of a disco#items result.
func Item(jid, node, name string) stanza.Node {
	return Element(NSDiscoItems, "item", "jid", jid, "node", node, "name", name)
}

// A Registration is a request to register (XEP-0077).
type Registration struct {
	Remove bool
	Values map[string]string // by the name of the field of the form
	Legacy map[string]string // by the name of the element
}

// legacy are the elements of a registration that we read.
var legacy = []string{"username", "password", "name", "phone"}

// ParseRegistration reads the <query/> of a set.
func ParseRegistration(n *stanza.Node) Registration {
	r := Registration{Remove: Child(n.Nodes, NSRegister, "remove") != nil, Legacy: map[string]string{}}
	r.Values, _ = Submitted(Child(n.Nodes, NSForm, "x"))
	for i := range n.Nodes {
		e := &n.Nodes[i]
		if e.XMLName.Space == NSRegister && slices.Contains(legacy, e.XMLName.Local) {
			r.Legacy[e.XMLName.Local] = e.Content
		}
	}
	return r
}
