// Package gate decides whether a raw SIP message may come in at all, and whether one
// that we built may go out.
//
// [Rules.Check] takes the bytes of one message as they came from the socket and either
// accepts it, and returns it in the one spelling that needs no further care, or
// says what to answer, or says to drop it. It trusts no parser: the answer is
// built here from what was found clean.
package gate

import "net/netip"

// An Action is what to do with a message.
type Action uint8

// The actions.
const (
	Drop   Action = iota // forget it
	Accept               // hand on Verdict.Message
	Answer               // send Verdict.Answer to Verdict.To
)

// A Verdict is what [Rules.Check] found.
type Verdict struct {
	Action  Action
	Message []byte         // the message to hand on, when accepted
	Answer  []byte         // the response to send
	To      netip.AddrPort // where to send it (RFC 3261 section 18.2.2, RFC 3581)
	Status  int            // of the answer
	Reason  string         // what is wrong with the message; empty when accepted
}

// Rules say what is let in.
type Rules struct {
	// Datagram and Stream are the largest messages, in bytes. Default 16384 and 65535.
	Datagram, Stream int
	// Methods are those that the user serves; others get 405 or 501. Default ACK,
	// BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, PRACK, PUBLISH, REFER,
	// SUBSCRIBE, UPDATE.
	Methods []string
	// Extensions are the option tags that a Require may name. Default 100rel, timer,
	// replaces, norefersub, tdialog, path, outbound, histinfo.
	Extensions []string
}
