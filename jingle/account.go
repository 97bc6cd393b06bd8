package jingle

import (
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// Users set up their accounts by one table of orders (package account), which is shown here
// in three ways: as a registration (XEP-0077), as ad-hoc commands (XEP-0050), and as
// conversation.

// langOf returns the language that a user is spoken to in, by what its stanza says, and
// remembers it.
func (e *Edge) langOf(st component.Stanza, bare string) account.Lang {
	e.mu.Lock()
	defer e.mu.Unlock()
	known, ok := e.langs.get(bare)
	if !ok {
		known = e.opt.Lang
	}
	if st.Lang == "" {
		return known
	}
	l := translate.LangOf(st.Lang, known)
	e.langs.put(bare, l)
	return l
}

// condition is the stanza error for a problem.
func condition(p *account.Problem, l account.Lang) wire.Error {
	err := wire.Error{Text: p.In(l)}
	switch p.Kind {
	case account.Forbidden:
		err.Type, err.Condition = "auth", "forbidden"
	case account.Wrong:
		err.Type, err.Condition = "auth", "not-authorized"
	case account.Later:
		err.Type, err.Condition = "wait", "resource-constraint"
	case account.Unknown:
		err.Type, err.Condition = "cancel", "item-not-found"
	default:
		err.Type, err.Condition = "modify", "not-acceptable"
	}
	return err
}

// formName is what a field is called in a registration: names that XEP-0077 does not have
// begin with x- (XEP-0068).
func formName(f account.Field) string {
	if f.Legacy == "" {
		return "x-" + f.Name
	}
	return f.Legacy
}

// register answers a user who wants to register, to see or to end a registration (XEP-0077).
func (e *Edge) register(st component.Stanza) {
	from, to, ok := parties(st)
	query := st.Child(wire.NSRegister, "query")
	if !ok || query == nil || to.Local != "" || e.opt.Accounts == nil {
		e.unknown(st)
		return
	}
	owner := from.Bare().String()
	l := e.langOf(st, owner)
	if !e.opt.Accounts.Known(owner) {
		e.refuse(st, wire.Error{Type: "auth", Condition: "forbidden"})
		return
	}
	if st.Type == "get" {
		e.send(st.Result(e.registration(owner, l)))
		return
	}
	r := wire.ParseRegistration(query)
	if r.Remove {
		e.opt.Accounts.Unregister(owner, func(n int) {
			if n == 0 {
				e.refuse(st, wire.Error{Type: "auth", Condition: "registration-required"})
				return
			}
			e.send(st.Result())
		})
		return
	}
	command := account.Register()
	values := map[string]string{}
	for _, f := range command.Fields {
		v, ok := r.Values[formName(f)]
		if !ok && f.Legacy != "" {
			v = r.Legacy[f.Legacy]
		}
		values[f.Name] = v
	}
	e.opt.Accounts.Do(command, account.Ask{Owner: owner, Lang: l, Values: values}, func(reply account.Reply) {
		if reply.Problem != nil {
			e.refuse(st, condition(reply.Problem, l))
			return
		}
		e.send(st.Result())
	})
}

// registration is the form of a registration, with what there is already.
func (e *Edge) registration(owner string, l account.Lang) stanza.Node {
	command := account.Register()
	known := map[string]string{}
	n := wire.Element(wire.NSRegister, "query")
	if own := e.opt.Accounts.Accounts(owner); len(own) > 0 {
		n.Nodes = append(n.Nodes, wire.Element(wire.NSRegister, "registered"))
		known = map[string]string{"username": own[0].Title(), "name": own[0].Name, "number": own[0].Number}
		if own[0].Host != own[0].Domain {
			known["server"] = own[0].Host
		}
	}
	n.Nodes = append(n.Nodes, wire.Text(wire.NSRegister, "instructions", command.Name.In(l)))
	for _, f := range command.Fields {
		if f.Legacy != "" {
			n.Nodes = append(n.Nodes, wire.Text(wire.NSRegister, f.Legacy, known[f.Name]))
		}
	}
	form := formOf(command, l, known)
	form.FormType = wire.NSRegister
	for i, f := range command.Fields {
		form.Fields[i].Name = formName(f)
	}
	n.Nodes = append(n.Nodes, form.Element())
	return n
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
// nothing of a session has to be remembered.
func (e *Edge) command(st component.Stanza) {
	from, to, ok := parties(st)
	n := st.Child(wire.NSCommands, "command")
	if !ok || n == nil || to.Local != "" || e.opt.Accounts == nil {
		e.unknown(st)
		return
	}
	owner := from.Bare().String()
	l := e.langOf(st, owner)
	in := wire.ParseCommand(n)
	command := account.CommandOf(in.Node)
	switch {
	case command == nil:
		e.refuse(st, wire.Error{Condition: "item-not-found"})
		return
	case !e.opt.Accounts.Known(owner):
		e.refuse(st, wire.Error{Type: "auth", Condition: "forbidden"})
		return
	}
	out := wire.Command{Node: in.Node, Session: in.Session}
	if out.Session == "" {
		out.Session = e.opt.NewID()
	}
	form := formOf(command, l, in.Values)
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
	e.opt.Accounts.Do(command, account.Ask{Owner: owner, Lang: l, Values: in.Values}, func(reply account.Reply) {
		out.Status, out.Note = "completed", reply.Text
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
	if owner := from.Bare().String(); e.opt.Accounts.Known(owner) {
		l := e.langOf(st, owner)
		for _, c := range account.Commands() {
			n.Nodes = append(n.Nodes, wire.Item(e.opt.Domain, c.Node, c.Name.In(l)))
		}
	}
	e.send(st.Result(n))
}

// commandInfo describes the list of commands, or one of them; false if the node is neither.
func (e *Edge) commandInfo(st component.Stanza, node string, from translate.JID) bool {
	if e.opt.Accounts == nil {
		return false
	}
	d := wire.Disco{Node: node}
	l := e.langOf(st, from.Bare().String())
	if node == wire.NSCommands {
		d.Identities = []wire.Identity{{Category: "automation", Type: "command-list", Name: e.opt.Name}}
	} else if c := account.CommandOf(node); c != nil {
		d.Identities = []wire.Identity{{Category: "automation", Type: "command-node", Name: c.Name.In(l)}}
		d.Features = []string{wire.NSCommands, wire.NSForm}
	} else {
		return false
	}
	e.send(st.Result(d.Element()))
	return true
}

// converse takes what a user writes to the gateway itself.
func (e *Edge) converse(st component.Stanza, from translate.JID, said string) {
	owner := from.Bare().String()
	if !e.opt.Accounts.Known(owner) {
		e.refuse(st, wire.Error{Condition: "service-unavailable"})
		return
	}
	l := e.langOf(st, owner)
	e.mu.Lock()
	back, command, ask := e.talks.Say(owner, said, l, time.Now())
	e.mu.Unlock()
	if back != "" {
		e.write(st.From, back)
	}
	if command == nil {
		return
	}
	e.opt.Accounts.Do(command, ask, func(reply account.Reply) {
		text := reply.Text
		if reply.Problem != nil {
			text = reply.Problem.In(l)
		}
		e.write(st.From, text)
	})
}

// write writes to a user, as the gateway.
func (e *Edge) write(to, text string) {
	st := component.Stanza{Kind: component.Message}
	st.Type, st.From, st.To, st.Id = "chat", e.opt.Domain, to, e.opt.NewID()
	st.Nodes = []stanza.Node{wire.Body(text)}
	e.send(st)
}

// Notice tells a user how their accounts fare: the gateway is in the roster, there while one
// of them is registered, and says why if none is (XEP-0100 section 4.1).
func (e *Edge) Notice(n account.Notice) {
	to, err := translate.ParseJID(n.Owner)
	if err != nil {
		return // the book has it from a stanza
	}
	domain := translate.JID{Domain: e.opt.Domain}
	switch {
	case n.Gone:
		e.sendPresence("unsubscribe", domain, to)
		e.sendPresence("unsubscribed", domain, to)
		e.sendPresence("unavailable", domain, to)
		return
	case n.New:
		e.sendPresence("subscribe", domain, to)
	}
	e.sendPresence("", domain, to)
}

// Greet shows users with accounts how these fare, after their servers have forgotten it with
// the connection.
func (e *Edge) Greet() {
	if e.opt.Accounts == nil {
		return
	}
	for _, owner := range e.opt.Accounts.Owners() {
		if to, err := translate.ParseJID(owner); err == nil {
			e.sendPresence("", translate.JID{Domain: e.opt.Domain}, to)
		}
	}
}

// standing is how the gateway appears to a user: unavailable, and why, while none of their
// accounts is registered.
func (e *Edge) standing(to translate.JID) (unavailable bool, why string) {
	if e.opt.Accounts == nil {
		return false, ""
	}
	owner := to.Bare().String()
	has, up, why := e.opt.Accounts.Standing(owner, e.langOf(component.Stanza{}, owner))
	return has && !up, why
}

// calledName is what a contact is called, by the operator's contacts or as it called last; empty
// if nobody knows.
func (e *Edge) calledName(j translate.JID) string {
	bare := j.Bare()
	if e.opt.Names != nil {
		if u, err := e.mapping.Load().URIOfJID(bare); err == nil {
			if name := translate.CleanName(e.opt.Names(u)); name != "" {
				return name
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	name, _ := e.names.get(bare.String())
	return name
}
