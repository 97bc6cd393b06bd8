package stack

import (
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// A Stack serves sockets and runs transactions.
type Stack struct{}

// New returns a stack that serves its listeners until Close. An error says which
// listener cannot be served.
func New(o Options) (*Stack, error) { return &Stack{}, nil }

// Request sends a request in a client transaction. It does not block and may be called
// from any goroutine. The request needs a request line, From, To, Call-ID and CSeq; the
// stack puts a Via on top, and Max-Forwards where there is none, and works on a copy.
// What comes of it is given to on, which runs on the worker of the Call-ID and must not
// block: any number of provisional responses, then one final response or one error. The
// 2xx of an INVITE may come again, also with the tag of another fork.
func (s *Stack) Request(req *sip.Request, to Target, on func(Event)) *ClientTx { return &ClientTx{} }

// Send sends a request without a transaction: the ACK of a 2xx (RFC 3261 section
// 13.2.2.4). It does not block; failed, which may be nil, is called like the callback
// of Request when it could not be sent.
func (s *Stack) Send(req *sip.Request, to Target, failed func(error)) {}

// Local is the address to write into a Contact for a peer that is reached over t at
// remote: the external address of the listener that a request to it is sent from. It is
// false when no listener fits.
func (s *Stack) Local(t Transport, remote netip.Addr) (netip.AddrPort, bool) {
	return netip.AddrPort{}, false
}

// Close ends all transactions and connections, closes the listeners and returns when no
// goroutine of the stack is left. No callback runs afterwards.
func (s *Stack) Close() error { return nil }
