package translate

import (
	"strconv"

	"sipxmppgw/gateway/call"
)

// maxQuoted bounds how much of a peer's address an error repeats, in octets.
const maxQuoted = 120

// An AddressError says why an address cannot be used, and what to answer with on either
// side. Which of the answers is wanted the protocol at hand decides.
type AddressError struct {
	Address   string     // as received, cut to a length fit for logs
	Problem   string     // what is wrong with it, in plain words
	Cause     call.Cause // for the call that ends by it
	Status    int        // SIP status to refuse a request with
	Warning   string     // text for a Warning header with code 399; empty for none
	Condition string     // stanza error condition (RFC 6120 section 8.3.3)
	Type      string     // stanza error type
}

// Error returns the problem and the address it was found in.
func (e *AddressError) Error() string {
	return "address " + strconv.Quote(e.Address) + ": " + e.Problem
}

// malformed is for text that does not follow its grammar.
func malformed(address, problem string) *AddressError {
	return &AddressError{
		Address: cut(address, maxQuoted), Problem: problem, Cause: call.BadRequest,
		Status: 400, Condition: "jid-malformed", Type: "modify",
	}
}

// notFound is for an address that is well formed, and leads nowhere.
func notFound(address, problem string) *AddressError {
	return &AddressError{
		Address: cut(address, maxQuoted), Problem: problem, Cause: call.NotFound,
		Status: 404, Condition: "item-not-found", Type: "cancel",
	}
}

// cut returns the first n octets of s, without a part of a character at the end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
