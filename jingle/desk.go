package jingle

import (
	"strings"
	"time"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// desks are those there are, that of who runs the gateway first.
func (e *Edge) desks() []Desk {
	var all []Desk
	if e.opt.Staff != nil {
		all = append(all, e.opt.Staff)
	}
	if e.opt.Accounts != nil {
		all = append(all, e.opt.Accounts)
	}
	return all
}

// deskOf returns the desk that has a command, and that; nil if none has.
func (e *Edge) deskOf(node string) (Desk, *account.Command) {
	for _, d := range e.desks() {
		commands := d.Commands()
		for i := range commands {
			if commands[i].Node == node {
				return d, &commands[i]
			}
		}
	}
	return nil, nil
}

// orders are what somebody may order, of all desks.
func (e *Edge) orders(owner string) []account.Command {
	var all []account.Command
	for _, d := range e.desks() {
		if d.Known(owner) {
			all = append(all, d.Commands()...)
		}
	}
	return all
}

// fieldTypes are the shapes of fields in a data form.
var fieldTypes = [...]string{account.Line: "text-single", account.Private: "text-private", account.Choice: "list-single"}

// formOf shows a command as a form.
func formOf(c *account.Command, l account.Lang, known map[string]string) wire.DataForm {
	form := wire.DataForm{Kind: "form", Title: c.Name.In(l)}
	for _, f := range c.Fields {
		field := wire.FormField{Name: f.Name, Type: fieldTypes[f.Shape], Label: f.Label.In(l), Required: f.Required}
		for _, o := range f.Choices {
			field.Options = append(field.Options, wire.FormOption{Value: o.Value, Label: o.Label.In(l)})
		}
		if v := known[f.Name]; v != "" && f.Shape != account.Private {
			field.Values = []string{v}
		}
		form.Fields = append(form.Fields, field)
	}
	return form
}

// command carries out an ad-hoc command (XEP-0050). A form is all that there is to one, so
// nothing of a session has to be remembered. Who orders is what the server has written in the
// stanza, and nothing that stands within.
func (e *Edge) command(st component.Stanza) {
	from, to, ok := parties(st)
	n := st.Child(wire.NSCommands, "command")
	if !ok || n == nil || to.Local != "" || len(e.desks()) == 0 {
		e.unknown(st)
		return
	}
	owner := from.Bare().String()
	l := e.langOf(st, owner)
	in := wire.ParseCommand(n)
	desk, command := e.deskOf(in.Node)
	switch {
	case command == nil:
		e.refuse(st, wire.Error{Condition: "item-not-found"})
		return
	case !desk.Known(owner):
		e.refuse(st, wire.Error{Type: "auth", Condition: "forbidden"})
		return
	}
	out := wire.Command{Node: in.Node, Session: in.Session}
	if out.Session == "" {
		out.Session = e.opt.NewID()
	}
	form := formOf(command, l, in.Values)
	if strings.HasPrefix(in.Node, wire.NSAdmin+"#") {
		form.FormType = wire.NSAdmin
	}
	switch {
	case in.Action == "cancel":
		out.Status = "canceled"
		e.send(st.Result(out.Element()))
		return
	case in.Action != "" && in.Action != "execute" && in.Action != "complete" && in.Action != "next":
		e.refuse(st, wire.Error{Type: "modify", Condition: "bad-request"})
		return
	case in.Values == nil && len(command.Fields) > 0:
		out.Status, out.Form = "executing", &form
		e.send(st.Result(out.Element()))
		return
	}
	desk.Do(command, account.Ask{Owner: owner, Lang: l, Values: in.Values}, func(reply account.Reply) {
		out.Status = "completed"
		if desk != e.opt.Staff || !strings.Contains(reply.Text, "\n") { // a note is one line
			out.Note = reply.Text
		}
		if p := reply.Problem; p != nil {
			out.Note, out.Failed = p.In(l), true
			if p.Kind == account.Input || p.Kind == account.Wrong { // to be filled in better
				out.Status, out.Form = "executing", &form
			}
		} else {
			out.Form = &wire.DataForm{Kind: "result", Title: command.Name.In(l), Fields: []wire.FormField{
				{Name: "text", Type: "text-multi", Values: strings.Split(reply.Text, "\n")},
			}}
		}
		e.send(st.Result(out.Element()))
	})
}

// commandItems lists the commands for a user.
func (e *Edge) commandItems(st component.Stanza, from translate.JID) {
	n := wire.Element(wire.NSDiscoItems, "query", "node", wire.NSCommands)
	owner := from.Bare().String()
	l := e.langOf(st, owner)
	for _, c := range e.orders(owner) {
		n.Nodes = append(n.Nodes, wire.Item(e.opt.Domain, c.Node, c.Name.In(l)))
	}
	e.send(st.Result(n))
}

// commandInfo describes the list of commands, or one of them; false if the node is neither.
func (e *Edge) commandInfo(st component.Stanza, node string, from translate.JID) bool {
	if len(e.desks()) == 0 {
		return false
	}
	d := wire.Disco{Node: node}
	owner := from.Bare().String()
	l := e.langOf(st, owner)
	if node == wire.NSCommands {
		d.Identities = []wire.Identity{{Category: "automation", Type: "command-list", Name: e.opt.Name}}
	} else if desk, c := e.deskOf(node); c != nil {
		if desk == e.opt.Staff && !desk.Known(owner) {
			e.refuse(st, wire.Error{Type: "auth", Condition: "forbidden"})
			return true
		}
		d.Identities = []wire.Identity{{Category: "automation", Type: "command-node", Name: c.Name.In(l)}}
		d.Features = []string{wire.NSCommands, wire.NSForm}
	} else {
		return false
	}
	e.send(st.Result(d.Element()))
	return true
}

// overdue is how old an order in words may be: what a server has kept for us meanwhile is not
// what somebody wants now.
const overdue = time.Minute

// converse takes what a user writes to the gateway itself; false if they may order nothing.
func (e *Edge) converse(st component.Stanza, from translate.JID, said string, at time.Time) bool {
	owner := from.Bare().String()
	orders := e.orders(owner)
	if len(orders) == 0 {
		return false
	}
	l := e.langOf(st, owner)
	if !at.IsZero() && time.Since(at) > overdue {
		e.write(st.From, tooLate.In(l))
		return true
	}
	e.mu.Lock()
	back, command, ask := e.talks.Say(orders, owner, said, l, time.Now())
	e.mu.Unlock()
	if back != "" {
		e.write(st.From, back)
	}
	if command == nil {
		return true
	}
	desk, command := e.deskOf(command.Node)
	if desk == nil {
		return true
	}
	desk.Do(command, ask, func(reply account.Reply) {
		text := reply.Text
		if reply.Problem != nil {
			text = reply.Problem.In(l)
		}
		e.write(st.From, text)
	})
	return true
}

var tooLate = translate.Text{
	"This has come too late; please write it again.", "Das kam zu spät; bitte schreibe es noch einmal.",
	"C’est arrivé trop tard ; écrivez-le à nouveau.", "Esto ha llegado demasiado tarde; escríbalo otra vez.",
}
