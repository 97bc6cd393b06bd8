package component

import "errors"

var (
	// ErrDown means that there is no connection to the server, or that it was lost before
	// an IQ was answered. Nothing is kept for the next connection.
	ErrDown = errors.New("no connection to the XMPP server")

	// ErrFull means that the queue to the server, or the table of unanswered IQs, has no
	// room. The stanza was not sent.
	ErrFull = errors.New("queue to the XMPP server is full")

	// ErrTimeout means that an IQ was not answered in the time its sender gave it.
	ErrTimeout = errors.New("IQ was not answered in time")

	// ErrUnreadable means that the answer to an IQ came, and went over a cap or could not
	// be read.
	ErrUnreadable = errors.New("answer to the IQ cannot be read")
)
