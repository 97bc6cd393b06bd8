package jingle

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
)

// words are those of gateway/translate as a session asks for them.
var words = session.Words{
	Reason: reasonOf,
	Cause: func(r wire.Reason, _ bool) (call.Cause, call.Detail) {
		return call.Failed, call.Detail{Text: r.Text}
	},
	Error: func(e wire.Error) (call.Cause, call.Detail) { return call.Failed, call.Detail{Text: e.Text} },
}

func reasonOf(cause call.Cause, d call.Detail) wire.Reason {
	return wire.Reason{Name: "general-error", Text: d.Text}
}
