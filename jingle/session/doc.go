// Package session is one Jingle session with the message initiation that leads to it: a
// pure state machine, as initiator (a call to an XMPP user) and as responder (a call from
// one). Inputs go in, outputs and the call's events come out; it does no I/O, reads no
// clock and makes no ids but numbers for its own requests.
//
// What comes in is from the peer, from a timer, or from the call. Everything that a peer
// asks is answered before it has any consequence, and exactly once. After the session has
// ended nothing goes out but answers.
//
// A session that is up changes by contents that come and go (content.go) and by who sends
// and holds (change.go). It may go on under another id, when the peer's own proposal
// crosses ours or takes the call to another device (move.go).
package session
