package stack

import (
	"errors"

	"github.com/emiago/sipgo/sip"
)

var (
	// ErrTimeout says that no final response came (timers B and F of RFC 3261
	// section 17.1), or none in time after a CANCEL. It counts as a 408.
	ErrTimeout = errors.New("no response")
	// ErrTransport says that a message could not be sent, or that the connection was
	// lost. It counts as a 503.
	ErrTransport = errors.New("cannot be sent")
	// ErrResolve says that the target has no address.
	ErrResolve = errors.New("no address")
	// ErrRefused says that [gate.CheckOut] found the message unfit to be sent.
	ErrRefused = errors.New("refused by the gate")
	// ErrAnswered says that a request has had its final response.
	ErrAnswered = errors.New("already answered")
	// ErrClosed says that the stack is closed.
	ErrClosed = errors.New("stack closed")
)

// An Event is what becomes of a request that we sent: a response or an error.
type Event struct {
	Response *sip.Response // nil with Err
	Err      error         // ErrTimeout, ErrTransport, ErrResolve, ErrRefused or ErrClosed, wrapped
}

// A ClientTx is the transaction of a request that we send. Its methods may be called from
// any goroutine.
type ClientTx struct{}

// Request is the request as it is sent, with its Via. It must not be changed. It is
// nil until the first event.
func (tx *ClientTx) Request() *sip.Request { return nil }

// Cancel cancels an INVITE (RFC 3261 section 9.1), with the given headers, such as a
// Reason, in the CANCEL. Before the first provisional response it is remembered and sent
// then; after a final one it does nothing. The INVITE still has its final response, or
// ErrTimeout 32 seconds after the CANCEL.
func (tx *ClientTx) Cancel(headers ...sip.Header) {}
