package jingle

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
)

// words are those of gateway/translate as a session asks for them.
var words = session.Words{Reason: reasonOf, Cause: causeOf, Error: errorMeans}

// reasonOf returns what to tell an XMPP peer of an end.
func reasonOf(cause call.Cause, d call.Detail) wire.Reason {
	return wire.Reason{Name: translate.ReasonOf(cause, d), Text: translate.TextOf(cause, d)}
}

// causeOf returns what an XMPP peer's reason means.
func causeOf(r wire.Reason) (call.Cause, call.Detail) {
	return translate.CauseOfReason(r.Name), call.Detail{Text: r.Text}
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
