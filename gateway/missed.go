package gateway

import "sipxmppgw/gateway/call"

// Missed returns the XMPP user, as a bare JID, who was called and was not reached; ok is false
// for any other call. Whoever declined, or answered elsewhere, has missed nothing.
func (r *Record) Missed() (user string, ok bool) {
	if r.From != SIP || !r.Answered.IsZero() || r.Callee.JID == "" {
		return "", false
	}
	switch r.Cause {
	case call.Cancelled, call.NoAnswer, call.Unavailable, call.Timeout:
		return bareJID(r.Callee.JID), true
	}
	return "", false
}

// pair returns who is in a call; ok is false if one of them does not want to be known.
func (r *Record) pair() (of Pair, ok bool) {
	of = Pair{User: bareJID(r.Caller.JID), Contact: bareJID(r.Callee.JID)}
	if r.From == SIP {
		of = Pair{User: of.Contact, Contact: of.User}
		ok = !r.Caller.Anonymous
	} else {
		ok = true
	}
	return of, ok && of.User != "" && of.Contact != ""
}
