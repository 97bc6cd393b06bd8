package jingle

import (
	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// Users set up their accounts by one table of orders (package account), which is shown in three
// ways: here as a registration (XEP-0077), and by a [Desk] as ad-hoc commands (XEP-0050) and as
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
		known = map[string]string{
			"username": own[0].Title(), "name": own[0].Name, "number": own[0].Number,
			"server": own[0].Server(), "srtp": own[0].SRTP,
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

// Greet shows users with accounts how these fare, and administrators that the gateway is there,
// after their servers have forgotten it with the connection.
func (e *Edge) Greet() {
	e.greetStaff()
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
