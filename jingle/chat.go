package jingle

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// maxID is how long the id of a message may be, in octets.
const maxID = 1024

// composes is how long somebody composes who has not said so again (RFC 3994 section 3.2).
const composes = 15 * time.Second

var _ gateway.Carrier = (*Edge)(nil)

// chat takes what a person says to a contact or to the gateway, or of a message of the contact
// (INTERWORKING.md section 5).
func (e *Edge) chat(st component.Stanza, from, to translate.JID) {
	c := wire.ParseChat(st.Nodes, st.Lang)
	switch {
	case c.Copy, c.Retracts, st.Type == "groupchat":
		return // it is another's, or speaks of what SIP cannot take back
	case c.HasBody && to.Local == "" && e.converse(st, from, c.Body, c.Stamp):
		return
	case e.opt.Messages == nil || to.Local == "":
		if c.HasBody {
			e.refuse(st, wire.Error{Condition: "service-unavailable"})
		}
		return
	case len(st.Id) > maxID:
		e.refuse(st, wire.Error{Condition: "policy-violation", Text: "The id is too long"})
		return
	case c.Encrypted:
		e.refuse(st, wire.Error{Condition: "not-acceptable", Text: "The telephone network cannot decrypt this; turn encryption off for this contact"})
		return
	}
	m := message.Message{
		ID: st.Id, Once: st.Id, Type: string(st.Type), From: message.Address{JID: from.String()}, To: message.Address{JID: to.String()},
		Thread: c.Thread, Lang: c.Lang, Answers: c.Answers, Hops: c.Hops, Left: max(c.Left, 0), Call: e.callOf(from, to, c.Thread),
	}
	if time.Since(c.Stamp) > time.Minute {
		m.Sent = c.Stamp
	}
	name := e.nameOf(from, c.Nick)
	for _, n := range []struct {
		id    string
		state message.State
	}{{c.Received, message.Delivered}, {c.Displayed, message.Displayed}} {
		if n.id != "" {
			notice := m
			notice.Kind, notice.About, notice.State, notice.Once = message.Notice, n.id, n.state, n.state.Word()+n.id
			_ = e.post(notice, name, c.Left) // nobody waits for it
		}
	}
	if e.types(st, from, m.Call, c) {
		return
	}
	switch {
	case c.HasBody && strings.TrimSpace(c.Body) != "" || len(c.Links) > 0 || c.Place != nil && e.mayLocate(from.Bare().String()):
		e.read(st, m, c, name)
	case c.State != "":
		if composing, ok := translate.ComposingOf(c.State); ok {
			m.Kind, m.Composing, m.Gone, m.Lasts = message.Typing, composing, c.State == "gone", composes
			_ = e.post(m, name, c.Left)
		}
	}
}

// read takes what is meant to be read.
func (e *Edge) read(st component.Stanza, m message.Message, c wire.Chat, name string) {
	m.Body = c.Body
	for _, link := range c.Links {
		if !strings.Contains(m.Body, link) {
			m.Body = strings.TrimPrefix(m.Body+"\n"+link, "\n")
		}
	}
	if len(c.Links) == 1 {
		m.Link, _ = translate.WebLink(c.Links[0])
	}
	if c.Place != nil && e.mayLocate(bareOf(m.From.JID)) {
		m.Place = c.Place
		if strings.TrimSpace(m.Body) == "" {
			m.Body = c.Place.Words()
		}
	}
	if c.Replaces != "" {
		m.Body = "* " + m.Body // SIP knows no corrections
	}
	var ok bool
	if m.Body, ok = translate.FitText(m.Body, translate.MaxText); !ok {
		e.refuse(st, wire.Error{Type: "modify", Condition: "policy-violation", Text: "The message is too long"})
		return
	}
	m.Subject, _ = translate.FitText(c.Subject, translate.MaxText)
	if st.Id != "" {
		if c.Asks {
			m.Asks |= message.AskDelivered | message.AskFailed
		}
		if c.Markable {
			m.Asks |= message.AskDisplayed
		}
	}
	if c.Left == 0 {
		e.refuse(st, wire.Error{Type: "modify", Condition: "not-acceptable", Text: "the message goes round in circles"})
		return
	}
	if err := e.post(m, name, c.Left); err != nil {
		r := refusalOf(err)
		status, _ := translate.StatusOf(r.Cause, r.Detail)
		bad, _ := translate.StanzaErrorOf(status, false)
		text := r.Detail.Text
		if text == "" {
			text = translate.Sentence(r.Cause, translate.LangOf(e.Language(bareOf(m.From.JID)), translate.EN))
		}
		if node, ok := e.readsAt(m.From.JID, r.Detail.Elsewhere); ok {
			if reply, ok := st.ErrorReply(node); ok {
				e.send(reply)
			}
			return
		}
		e.refuse(st, wire.Error{Type: bad.Type, Condition: bad.Condition, Text: text})
	}
}

// mayLocate reports whether where a user is may be told, as the user has agreed.
func (e *Edge) mayLocate(user string) bool { return e.opt.MayLocate != nil && e.opt.MayLocate(user) }

func (e *Edge) post(m message.Message, name string, left int) error {
	return e.opt.Messages.Send(gateway.Query{
		Edge: gateway.XMPP, From: gateway.Party{JID: m.From.JID, Name: name}, To: m.To.JID, Hops: max(left, 0),
	}, m)
}

// callOf is the id of a call between a person and a contact; empty if there is none. Of several
// it is the one whose session a thread names (INTERWORKING.md section 7.3).
func (e *Edge) callOf(from, to translate.JID, thread string) (id string) {
	for _, l := range e.legsOf(from.Bare().String()) {
		if in := l.inbox(); in != nil && l.bare == to.Bare().String() && (id == "" || l.key.sid == thread) {
			id = string(in.Call())
		}
	}
	return id
}

// legOf is a person's leg of a call; nil if there is none.
func (e *Edge) legOf(bare, call string) *leg {
	if call == "" {
		return nil
	}
	for _, l := range e.legsOf(bare) {
		if in := l.inbox(); in != nil && string(in.Call()) == call {
			return l
		}
	}
	return nil
}

// Carry implements [gateway.Carrier]: it sends a message stanza.
func (e *Edge) Carry(m message.Message, done func(message.Outcome)) {
	st := e.stanzaOf(m)
	s := e.stream.Load()
	err := error(component.ErrDown)
	if s != nil {
		err = (*s).Send(st)
	}
	away := message.Outcome{Result: message.Away, Condition: "remote-server-timeout", Type: "wait", Text: "the XMPP server is away"}
	switch {
	case errors.Is(err, component.ErrDown), errors.Is(err, component.ErrFull):
		done(away)
	case err != nil:
		e.log.Debug("message not sent", "err", err)
		done(message.Outcome{Result: message.Refused, Condition: "policy-violation", Type: "modify", Text: "this cannot be said in XMPP"})
	case m.Kind == message.Typing:
		done(message.Outcome{})
	default:
		e.confirmed.add(e, func(err error) {
			if err != nil {
				away.Doubt = true // it may be lost with the connection, or not
				done(away)
				return
			}
			done(message.Outcome{})
		})
	}
}

// stanzaOf makes the stanza of a message.
func (e *Edge) stanzaOf(m message.Message) component.Stanza {
	st := component.Stanza{Kind: component.Message}
	st.Type, st.Id, st.From, st.To = "chat", m.ID, m.From.JID, m.To.JID
	thread, dialog := m.Thread, ""
	if l := e.legOf(bareOf(m.To.JID), m.Call); l != nil {
		thread, dialog = l.key.sid, m.Dialog
		if device := l.device(); device != "" && m.Kind == message.Words {
			st.To = device
		}
	}
	add := func(nodes ...stanza.Node) { st.Nodes = append(st.Nodes, nodes...) }
	// Those who do not want to be known are told apart by the resource. All others write and type
	// as the same: some clients take the one for the end of the other only then.
	if m.Kind != message.Notice && !m.From.Anonymous {
		st.From = bareOf(m.From.JID)
	}
	switch m.Kind {
	case message.Typing:
		state := translate.ChatStateOf(m.Composing)
		if m.Gone {
			state = "gone"
		}
		add(wire.ChatState(state))
		if thread != "" {
			add(wire.Thread(thread))
		}
		add(wire.NoStore())
	case message.Notice:
		e.notice(&st, m)
	default:
		if m.Type != "" {
			st.Type = stanza.StanzaType(m.Type)
		}
		body := m.Body
		if m.Again {
			body = translate.Again + body
		}
		st.Lang = m.Lang
		if m.Subject != "" {
			add(wire.Subject(m.Subject))
		}
		add(wire.Body(body))
		if thread != "" {
			add(wire.Thread(thread))
		}
		if m.From.Name != "" {
			add(wire.Nick(m.From.Name))
		}
		if m.Place != nil {
			add(wire.Place(m.Place))
		}
		if m.Link != "" {
			add(wire.Link(m.Link, ""))
		}
		add(wire.ChatState("active"))
		if m.Asks&message.AskDelivered != 0 {
			add(wire.ReceiptRequest())
		}
		if m.Asks&message.AskDisplayed != 0 {
			add(wire.Markable())
		}
		if !m.Sent.IsZero() {
			add(wire.Delay(e.opt.Domain, m.Sent))
		}
	}
	if m.Kind == message.Words {
		add(wire.Trail(m.Left, m.Hops+1, dialog))
	}
	return st
}

// notice says what became of a message of the person.
func (e *Edge) notice(st *component.Stanza, m message.Message) {
	switch m.State {
	case message.Delivered:
		st.Nodes = append(st.Nodes, wire.Receipt(m.About), wire.Store())
	case message.Displayed:
		st.Nodes = append(st.Nodes, wire.Displayed(m.About), wire.Store())
	case message.Failed:
		st.Type, st.Id = "error", m.About
		if m.Why != nil {
			st.Nodes = append(st.Nodes, e.errorFor(m.To.JID, *m.Why))
			return
		}
		st.From = bareOf(m.From.JID)
		st.Nodes = append(st.Nodes, component.ErrorNode("wait", "recipient-unavailable", ""))
	}
}

// Report implements [gateway.Carrier]: who sent a message that does not arrive gets an error.
func (e *Edge) Report(m message.Message, v message.Verdict, o message.Outcome) bool {
	if v == message.Accepted || m.Kind != message.Words {
		return true
	}
	st := component.Stanza{Kind: component.Message}
	st.Type, st.Id, st.From, st.To = "error", m.ID, m.To.JID, m.From.JID
	st.Nodes = []stanza.Node{e.errorFor(m.From.JID, o)}
	return e.send(st)
}

// errorFor says to a user what came of a message.
func (e *Edge) errorFor(user string, o message.Outcome) stanza.Node {
	condition, typ := o.Condition, o.Type
	if condition == "" {
		bad, _ := translate.StanzaErrorOf(o.Status, o.RetryAfter > 0)
		condition, typ = bad.Condition, bad.Type
	}
	err := component.ErrorNode(typ, condition, o.Text)
	if node, ok := e.readsAt(user, o.Elsewhere); ok {
		return node
	}
	if to := e.elsewhere(o.Elsewhere); to != "" && (condition == "gone" || condition == "redirect") {
		i := slices.IndexFunc(err.Nodes, func(n stanza.Node) bool { return n.XMLName.Local == condition })
		err.Nodes[i].Content = to
	}
	return err
}

// readsAt is the error for who writes to somebody that reads messages at another address, an
// XMPP URI; false if it is none.
func (e *Edge) readsAt(user, uri string) (stanza.Node, bool) {
	j, ok := translate.ParseXMPPURI(uri)
	if !ok {
		return stanza.Node{}, false
	}
	err := component.ErrorNode("modify", "redirect", translate.ReadsAt(e.Language(bareOf(user)), j.String()))
	err.Nodes[0].Content = uri
	return err, true
}

// elsewhere is the IRI of where a SIP peer sends to; empty if it is nowhere.
func (e *Edge) elsewhere(uri string) string {
	u, err := translate.ParseURI(uri)
	if err != nil {
		return ""
	}
	j, err := e.mapping.Load().JIDOfURI(u)
	if err != nil {
		return ""
	}
	return "xmpp:" + strings.NewReplacer("%", "%25", `\`, "%5C", "?", "%3F", "#", "%23").Replace(j.Bare().String())
}

// confirmsApart is between the answer to one question and the next, for others to share that:
// it costs the server and us more than the message itself.
const confirmsApart = 10 * time.Millisecond

// confirms finds out that the server has read what was sent to it: a question to ourselves
// goes through it, behind everything before. Many messages share one.
type confirms struct {
	mu       sync.Mutex
	waiting  []func(error)
	asking   bool // or about to
	answered time.Time
}

func (c *confirms) add(e *Edge, done func(error)) {
	c.mu.Lock()
	c.waiting = append(c.waiting, done)
	begin, wait := !c.asking, time.Until(c.answered.Add(confirmsApart))
	c.asking = true
	c.mu.Unlock()
	switch {
	case !begin:
	case wait > 0:
		time.AfterFunc(wait, func() { c.ask(e) })
	default:
		c.ask(e)
	}
}

func (c *confirms) ask(e *Edge) {
	c.mu.Lock()
	batch := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	iq := component.Stanza{Kind: component.IQ}
	iq.Type, iq.From, iq.To = "get", e.opt.Domain, e.opt.Domain
	iq.Nodes = []stanza.Node{wire.Element(wire.NSTime, "time")}
	e.request(iq, func(_ component.Stanza, err error) {
		for _, done := range batch {
			done(err)
		}
		c.again(e)
	})
}

// again asks for those that have come since.
func (c *confirms) again(e *Edge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = time.Now()
	if c.asking = len(c.waiting) > 0; c.asking {
		time.AfterFunc(confirmsApart, func() { c.ask(e) })
	}
}
