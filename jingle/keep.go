package jingle

import (
	"time"

	"sipxmppgw/jingle/component"
)

const (
	// keepFor is how long the end of a session waits for a connection: longer than a server
	// takes to restart, and no longer than anyone stays in a call with nobody.
	keepFor = time.Minute
	// keepAgain is after which time it is tried again, and keepAway the same when the server
	// is there but not the client, which may need longer than we to come back.
	keepAgain = time.Second
	keepAway  = 5 * time.Second
	// maxKept is how many may wait.
	maxKept = 2048
)

// An ending is a stanza that ends a session and could not be sent for want of a connection.
// Speech goes on without the server, so a call can end without it too; the peer, who is
// still in the call, is to hear of it when the server is back (RELIABILITY 7, row 1).
type ending struct {
	e     *Edge
	st    component.Stanza
	until time.Time
}

// keep has a stanza sent later, as soon as that is possible.
func (e *Edge) keep(st component.Stanza) {
	n := e.kept.Add(1)
	if n > maxKept {
		e.kept.Add(-1)
		return
	}
	k := &ending{e, st, time.Now().Add(keepFor)}
	time.AfterFunc(keepAgain+time.Duration(n)*time.Millisecond, k.tell) // one after the other
}

// tell sends the stanza, or waits again, or gives up.
func (k *ending) tell() {
	if time.Now().After(k.until) {
		k.e.kept.Add(-1)
		return
	}
	if k.st.Kind != component.IQ {
		if !k.e.send(k.st) {
			time.AfterFunc(keepAgain, k.tell)
			return
		}
		k.e.kept.Add(-1)
		return
	}
	k.e.request(k.st, func(answer component.Stanza, err error) {
		switch {
		case err != nil:
			time.AfterFunc(keepAgain, k.tell)
		case answer.Type == "error" && away(answer):
			time.AfterFunc(keepAway, k.tell)
		default:
			k.e.kept.Add(-1)
		}
	})
}

// away reports whether an error is a server's that finds no client (RFC 6121 section
// 8.5.3.2.3), and not the client's own.
func away(answer component.Stanza) bool {
	switch _, condition, _, _ := answer.ErrorOf(); condition {
	case "service-unavailable", "recipient-unavailable", "remote-server-timeout", "remote-server-not-found":
		return true
	}
	return false
}
