package jingle

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
)

// words are those of gateway/translate as a session asks for them, in the person's language.
func (l *leg) words() session.Words {
	return session.Words{Cause: l.causeOf, Error: errorMeans, Reason: func(cause call.Cause, d call.Detail) wire.Reason {
		language := l.e.spoken(l.key.peer)
		if said := l.lang.Load(); said != nil { // by the stanzas of this session
			language = *said
		}
		return reasonOf(language, cause, d)
	}}
}

// spoken is the language that a person or the operator has chosen; empty for none.
func (e *Edge) spoken(bare string) string {
	if lang := e.people.lang(bare); lang != "" || e.opt.Language == translate.EN.String() {
		return lang
	}
	return e.opt.Language
}

// reasonOf returns what to tell an XMPP peer of an end.
func reasonOf(language string, cause call.Cause, d call.Detail) wire.Reason {
	return wire.Reason{Name: translate.ReasonOf(cause, d), Text: translate.TextIn(language, cause, d)}
}

// causeOf returns what the peer's reason means. One that names another session of the peer has
// a SIP caller call who is in that (INTERWORKING 2.13 B).
func (l *leg) causeOf(r wire.Reason) (call.Cause, call.Detail) {
	cause, d := translate.CauseOfReason(r.Name), call.Detail{Text: r.Text}
	if cause == call.Moved && r.SID != "" {
		if d.Elsewhere = l.e.partyOf(l.key.peer, r.SID); d.Elsewhere != "" {
			d.Status = 302
		}
	}
	return cause, d
}

// partyOf returns the SIP address of whom a person has a session with; empty if there is no
// such session, or none to be told. As by a redirection, nobody is sent to a telephone number.
func (e *Edge) partyOf(bare, sid string) string {
	l := e.find(bare, sid)
	if l == nil || l.inState() < session.Initiated { // and before that its target may change
		return ""
	}
	p := l.target.To
	if l.calls {
		p = l.target.From
	}
	u, err := translate.ParseURI(p.URI)
	if err != nil || p.Anonymous || u.Number() != "" {
		return ""
	}
	return u.String()
}

// notSent stands for the condition of an IQ that could not be sent, or whose answer was lost
// with the connection to our server.
const notSent = "(not sent)"

// errorMeans returns what a stanza error means to a call that is being offered.
func errorMeans(e wire.Error) (call.Cause, call.Detail) {
	switch {
	case e == wire.Error{}:
		e.Condition = translate.IQTimeout
	case e.Condition == notSent:
		return call.Unreachable, call.Detail{Text: e.Text}
	}
	cause, detail := translate.CauseOfCondition(e.Condition, e.Jingle)
	detail.Text = e.Text
	switch {
	case e.Elsewhere == "":
	case cause == call.Gone:
		detail.Status, detail.Elsewhere = 301, e.Elsewhere
	case cause == call.Moved:
		detail.Status, detail.Elsewhere = 302, e.Elsewhere
	}
	return cause, detail
}
