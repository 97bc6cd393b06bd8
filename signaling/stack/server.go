package stack

import (
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// A ServerTx is the transaction of a request that has come in. Its methods may be
// called from any goroutine.
type ServerTx struct {
	req    *sip.Request
	source netip.AddrPort
}

// Request is the request. It must not be changed.
func (tx *ServerTx) Request() *sip.Request { return tx.req }

// Source is the address that the request came from.
func (tx *ServerTx) Source() netip.AddrPort { return tx.source }

// Transport is what the request came over.
func (tx *ServerTx) Transport() Transport { return Transport(tx.req.Transport()) }

// Known says whether the source is one that [Options.Allowed] knows.
func (tx *ServerTx) Known() bool { return false }

// Local is the address that peers reach us at where the request came in: what
// belongs into a Contact.
func (tx *ServerTx) Local() netip.AddrPort { return netip.AddrPort{} }

// Tag is the tag of our side: the one in the request's To or, when it has none, one that
// every response of this transaction carries.
func (tx *ServerTx) Tag() string { return "" }

// Response returns a response to fill in and send with [ServerTx.Respond]. It has
// Via, From, To with our tag, Call-ID and CSeq, and Record-Route and Timestamp where
// they belong. The reason is that of RFC 3261 when empty.
func (tx *ServerTx) Response(status int, reason string, body []byte) *sip.Response { return nil }

// Respond sends a response, which belongs to the stack from then on. After a final one
// only the 2xx of an INVITE may be sent again; anything else gives [ErrAnswered]. A
// 2xx is not retransmitted by the stack (RFC 3261 section 13.3.1.4).
func (tx *ServerTx) Respond(res *sip.Response) error { return nil }

// Reply sends a response without a body that has the given headers.
func (tx *ServerTx) Reply(status int, reason string, headers ...sip.Header) error { return nil }

// OnCancel says what to do when the INVITE is cancelled before it has a final
// response. The CANCEL has had its 200 by then; the INVITE is the user's to answer, with
// 487. Without an f the stack answers it. When the CANCEL came before, f is called
// at once. It is called once, and must not block.
func (tx *ServerTx) OnCancel(f func(cancel *sip.Request)) {}
