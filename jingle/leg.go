package jingle

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
)

// A leg is one session as a leg of a call.
//
// A caller's session may begin before its call does. Until then it is stepped under mu by
// whoever has an input; afterwards by the goroutine of its call and by no other.
type leg struct {
	e    *Edge
	key  key
	self string // full JID we speak as
	bare string // the same without its resource
	s    *session.Session

	calls bool // the person was called, and did not call
	also  key  // under which the leg is known beside, since it moved; the edge's lock guards it
	takes *leg // whose place in its call this one is to take; nil for a call of its own

	target  gateway.Target // where the call goes, and for whom
	refused *call.Refusal  // why there will be no call

	mu    sync.Mutex                    // for the session while there is no call, and for begun
	box   atomic.Pointer[gateway.Inbox] // nil until there is a call
	begun []gateway.Message             // what was said until then, for the call's record

	state  atomic.Uint32          // of the session, for the router
	peer   atomic.Pointer[string] // full JID of the device, for the same
	lang   atomic.Pointer[string] // that its stanzas are in; nil while none says
	lost   atomic.Bool            // that device is gone
	types  atomic.Bool            // it has shown what it types (XEP-0301), so it can be shown what is typed
	to     string                 // where the request came to that is being answered
	talked bool                   // the session was accepted
	timers [session.Timers]timer
}

type timer struct {
	t   *time.Timer
	gen uint32
}

// What reaches a leg beside inputs of its session.
type (
	// fired is a timer with its number, which tells a firing that crossed the stop.
	fired struct {
		timer session.Timer
		gen   uint32
	}

	// asked is a request with the address it came to, which its answer comes from.
	asked struct {
		to string
		session.Request
	}

	// told is what came of a command.
	told []call.Event
)

var (
	_ gateway.Leg        = (*leg)(nil)
	_ gateway.Identified = (*leg)(nil)
)

// Receive implements [gateway.Leg].
func (l *leg) Receive(input any) []call.Event {
	if events, ok := input.(told); ok {
		return events
	}
	return l.step(input)
}

// Offer and the other commands implement [gateway.Leg].
func (l *leg) Offer(offer media.Description) {
	l.e.greet(l.self, l.target.To.JID, verdict(l.target.From))
	l.announce()
	l.do(session.Offer{Media: offer})
}
func (l *leg) Ring()                               { l.do(session.Ring{}) }
func (l *leg) Progress(answer media.Description)   { l.do(session.Progress{Media: answer}) }
func (l *leg) Answer(answer media.Description)     { l.do(session.Answer{Media: answer}) }
func (l *leg) Candidates(d media.Description)      { l.do(session.Candidates{Media: d}) }
func (l *leg) Update(offer media.Description)      { l.do(session.Update{Media: offer}) }
func (l *leg) AnswerUpdate(a media.Description)    { l.do(session.AnswerUpdate{Media: a}) }
func (l *leg) RefuseUpdate(cause call.Cause)       { l.do(session.RefuseUpdate{Cause: cause}) }
func (l *leg) Probe(on bool)                       { l.do(session.Probe{On: on}) }
func (l *leg) Digit(d call.Digit)                  { l.do(session.Digit{Digit: d}) }
func (l *leg) End(cause call.Cause, d call.Detail) { l.do(session.End{Cause: cause, Detail: d}) }

// Picture does nothing: who speaks Jingle is asked by RTCP.
func (l *leg) Picture() {}

// RefuseTransfer implements [gateway.Leg].
func (l *leg) RefuseTransfer(cause call.Cause, d call.Detail) {
	l.do(session.RefuseTransfer{Cause: cause, Detail: d})
}

// do carries out a command on the call's goroutine; what it causes comes back as input.
func (l *leg) do(in session.Input) {
	if events := l.step(in); len(events) > 0 {
		l.inbox().Post(told(events))
	}
}

// verdict is what a person is told of a caller's number: nothing but good (INTERWORKING 1.6).
func verdict(p gateway.Party) string {
	if p.Verdict != translate.Verified || p.Anonymous {
		return ""
	}
	return "The network says that this caller's number is genuine."
}

// announce says for whom a call was before (INTERWORKING 2.11).
func (l *leg) announce() {
	if !l.e.opt.Announce || len(l.target.Diverted) == 0 {
		return
	}
	if says := l.target.Diverted[0].Says(); says != "" {
		st := l.stanza(component.Message, "headline", l.target.To.JID, l.e.opt.NewID())
		st.Nodes = []stanza.Node{wire.Body(says)}
		l.send(st, "headline")
	}
}

// deliver gives an input to the leg: through its call, or at once while there is none.
// False says that the peer floods its call.
func (l *leg) deliver(input any, peer bool) bool {
	l.mu.Lock()
	box := l.inbox()
	if box == nil {
		events := l.step(input)
		l.mu.Unlock()
		l.e.begun(l, events)
		return true
	}
	l.mu.Unlock()
	if peer {
		return box.Peer(input)
	}
	box.Post(input)
	return true
}

// inbox returns the leg's inbox, nil while there is no call.
func (l *leg) inbox() gateway.Inbox {
	if box := l.box.Load(); box != nil {
		return *box
	}
	return nil
}

// join gives the leg its call.
func (l *leg) join(box gateway.Inbox) gateway.Leg {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.begun {
		l.e.opt.Calls.Trace(box.Call(), m)
	}
	l.begun = nil
	l.box.Store(&box)
	return l
}

// step gives one input to the session and carries out what it wants.
func (l *leg) step(input any) []call.Event {
	var in session.Input
	switch x := input.(type) {
	case fired:
		if l.timers[x.timer].gen != x.gen {
			return nil
		}
		in = session.Fired{Timer: x.timer}
	case asked:
		l.to = x.to
		in = x.Request
	case session.Input:
		in = x
	default:
		panic("jingle: a leg was given what no edge posts")
	}
	outputs, events := l.s.Step(in)
	l.state.Store(uint32(l.s.State()))
	l.talked = l.talked || l.inState() == session.Accepted
	if peer := l.s.Peer(); peer != l.device() {
		l.peer.Store(&peer)
		l.lost.Store(false)
	}
	for _, o := range outputs {
		l.carryOut(o)
	}
	for i, e := range events {
		switch e := e.(type) {
		case call.LegEnded:
			l.part()
			l.e.remove(l)
		case call.LegTransfer:
			events[i] = l.named(e)
		}
	}
	return events
}

func (l *leg) carryOut(o session.Output) {
	switch o := o.(type) {
	case session.SendSignal:
		st := l.signal(o)
		if l.send(st, o.JMI.Title()) {
			return
		}
		switch o.JMI.Signal {
		case wire.Propose:
			if box := l.inbox(); box != nil {
				// Nobody will answer what nobody has; the caller is told at once.
				box.Post(session.End{Cause: call.Unreachable})
			}
		case wire.Retract, wire.Reject, wire.Finish:
			l.e.keep(st)
		}
	case session.SendReceipt:
		st := l.stanza(component.Message, "chat", o.To, l.e.opt.NewID())
		st.Nodes = []stanza.Node{wire.Receipt(o.ID), wire.Store()}
		l.send(st, "receipt")
	case session.SendText:
		st := l.stanza(component.Message, "chat", o.To, l.e.opt.NewID())
		st.Nodes = []stanza.Node{wire.Body(o.Text)}
		l.send(st, "message")
	case session.SendRequest:
		l.request(o)
	case session.SendResult:
		l.send(l.answer("result", o.To, o.ID), "result")
	case session.SendError:
		st := l.answer("error", o.To, o.ID)
		st.Nodes = []stanza.Node{errorNode(o.Err)}
		l.send(st, "error "+o.Err.Condition)
	case session.StartTimer:
		l.start(o.Timer, o.After)
	case session.StopTimer:
		l.stop(o.Timer)
	}
}

// signal returns the message of a signal. Its id names the session, so that a bounce of it
// can be told.
func (l *leg) signal(o session.SendSignal) component.Stanza {
	st := l.stanza(component.Message, "chat", o.To, "jm-"+string(o.JMI.Signal)+"-"+o.JMI.ID)
	st.Nodes = []stanza.Node{o.JMI.Element()}
	if o.JMI.Signal == wire.Propose {
		if l.target.From.Name != "" {
			st.Nodes = append(st.Nodes, wire.Nick(l.target.From.Name))
		}
		st.Nodes = append(st.Nodes, wire.ReceiptRequest())
		if h := wire.Headers(l.target.Hops, dialled(l.target.To.URI)); len(h.Nodes) > 0 {
			st.Nodes = append(st.Nodes, h)
		}
	}
	if o.Quiet {
		st.Nodes = append(st.Nodes, wire.NoCopy()...)
		return st
	}
	st.Nodes = append(st.Nodes, wire.Store())
	return st
}

// dialled returns the telephone number of an address, to be shown to whom it belongs;
// empty for what is none.
func dialled(uri string) string {
	u, err := translate.ParseURI(uri)
	if err != nil || u.Number() == "" {
		return ""
	}
	return "tel:" + u.Number()
}

func (l *leg) stanza(kind string, typ stanza.StanzaType, to, id string) component.Stanza {
	st := component.Stanza{Kind: kind}
	st.Type, st.From, st.To, st.Id = typ, l.self, to, id
	return st
}

// answer returns the answer to the request that is being stepped.
func (l *leg) answer(typ stanza.StanzaType, to, id string) component.Stanza {
	st := l.stanza(component.IQ, typ, to, id)
	st.From = l.to
	return st
}

// request sends an IQ of the session; its answer is an input.
func (l *leg) request(o session.SendRequest) {
	st := l.stanza(component.IQ, "set", o.To, l.e.opt.NewID())
	if l.target.Device != "" && o.Jingle.Action == wire.SessionInitiate { // there was no proposal to say so
		o.Jingle.Dialled = dialled(l.target.To.URI)
		if l.target.Hops > 0 {
			o.Jingle.Hops = &l.target.Hops
		}
	}
	st.Nodes = []stanza.Node{o.Jingle.Element()}
	l.trace(true, st, o.Jingle.Title())
	l.e.request(st, func(answer component.Stanza, err error) {
		r := session.Response{Ref: o.Ref}
		if errors.Is(err, component.ErrDown) && o.Jingle.Action == wire.SessionTerminate {
			l.e.keep(st)
		}
		switch {
		case errors.Is(err, component.ErrTimeout):
			r.Silent = true
		case err != nil:
			r.Err = &wire.Error{Condition: notSent, Text: err.Error()}
		case answer.Type == "error":
			e := l.e.errorOf(answer)
			r.Err = &e
		}
		// Without a call the session has ended before it got one: nobody waits.
		if box := l.inbox(); box != nil {
			if err == nil {
				l.trace(false, answer, string(answer.Type))
			}
			box.Post(r)
		}
	})
}

// errorOf reads the error of a stanza. Whom it sends to is called by the SIP address that an
// XMPP user has with us: nobody on XMPP sends a caller to a telephone number.
func (e *Edge) errorOf(st component.Stanza) wire.Error {
	typ, condition, text, app := st.ErrorOf()
	err := wire.Error{Type: typ, Condition: condition, Text: text}
	if jid, ok := strings.CutPrefix(st.ElsewhereOf(), "xmpp:"); ok {
		if j, problem := translate.ParseJID(jid); problem == nil {
			if u, problem := e.mapping.Load().SenderURI(j.Bare()); problem == nil {
				err.Elsewhere = u.String()
			}
		}
	}
	if app != nil && app.XMLName.Space == wire.NSJingleErrors {
		err.Jingle = app.XMLName.Local
	}
	return err
}

// send sends a stanza of the session.
func (l *leg) send(st component.Stanza, title string) bool {
	l.trace(true, st, title)
	return l.e.send(st)
}

// maxBegun is how much is kept to be recorded when a call begins.
const maxBegun = 16

// trace records a stanza of the session for its call. While there is none, the lock is held.
func (l *leg) trace(sent bool, st component.Stanza, title string) {
	raw, err := component.Format(st)
	if err != nil {
		return // the stream says why
	}
	m := gateway.Message{Edge: gateway.XMPP, Sent: sent, Peer: st.From, Title: title, Raw: raw, Occurred: time.Now()}
	if sent {
		m.Peer = st.To
	}
	if box := l.inbox(); box != nil {
		l.e.opt.Calls.Trace(box.Call(), m)
		return
	}
	if len(l.begun) < maxBegun {
		l.begun = append(l.begun, m)
	}
}

// received records a stanza of the peer before it is delivered.
func (l *leg) received(st component.Stanza, title string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lang := translate.LanguageOf(st.Lang); lang != "" {
		l.lang.Store(&lang)
	}
	l.trace(false, st, title)
}

// start starts a timer of the session anew.
func (l *leg) start(t session.Timer, after time.Duration) {
	l.stop(t)
	gen := l.timers[t].gen
	l.timers[t].t = time.AfterFunc(after, func() { l.deliver(fired{t, gen}, false) })
}

func (l *leg) stop(t session.Timer) {
	l.timers[t].gen++
	if l.timers[t].t != nil {
		l.timers[t].t.Stop()
	}
}

// inState returns the state of the leg's session as it was after the last step.
func (l *leg) inState() session.State { return session.State(l.state.Load()) }

// IDs implements [gateway.Identified].
func (l *leg) IDs() (id, session string) { return l.key.sid, "" }

// device returns the full JID of the device that the session is with, empty while there is
// none.
func (l *leg) device() string {
	if peer := l.peer.Load(); peer != nil {
		return *peer
	}
	return ""
}
