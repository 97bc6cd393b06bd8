package wire

import (
	"gosrc.io/xmpp/stanza"
)

// A ParseError says what is wrong with an element, where, and what to answer.
type ParseError struct {
	Path      string // from the stanza down, such as "jingle/content[1]/transport"
	Problem   string
	Condition string // stanza error to answer with (RFC 6120 section 8.3.3)
	Jingle    string // Jingle's own condition beside it (XEP-0166 section 10); may be empty
}

// Error returns where and what.
func (e *ParseError) Error() string { return e.Path + ": " + e.Problem }

// Answer returns the stanza error that says it to the peer.
func (e *ParseError) Answer() Error {
	return Error{Condition: e.Condition, Text: e.Error(), Jingle: e.Jingle}
}

func bad(path, problem string) *ParseError {
	return &ParseError{Path: path, Problem: problem, Condition: "bad-request"}
}

// An Error is a stanza error (RFC 6120 section 8.3), in or out.
type Error struct {
	Type      string // empty for the one that goes with the condition
	Condition string // such as "item-not-found"
	Text      string
	Jingle    string // condition of XEP-0166 section 10 or XEP-0167, such as "unknown-session"
	Elsewhere string // SIP URI of ours for the address that gone or redirect names; empty for none
}

// The errors of INTERWORKING.md section 6.3.
var (
	UnknownSession  = Error{Type: "cancel", Condition: "item-not-found", Jingle: "unknown-session"}
	OutOfOrder      = Error{Type: "wait", Condition: "unexpected-request", Jingle: "out-of-order"}
	TieBreak        = Error{Type: "cancel", Condition: "conflict", Jingle: "tie-break"}
	Conflict        = Error{Type: "cancel", Condition: "conflict"}
	UnsupportedInfo = Error{Type: "modify", Condition: "feature-not-implemented", Jingle: "unsupported-info"}
	UnknownAction   = Error{Type: "modify", Condition: "bad-request"}
)

// App returns the application's own condition of the error, if it has one.
func (e Error) App() []stanza.Node {
	switch e.Jingle {
	case "":
		return nil
	case "invalid-crypto", "crypto-required":
		return []stanza.Node{Element(NSRTPErrors, e.Jingle)}
	default:
		return []stanza.Node{Element(NSJingleErrors, e.Jingle)}
	}
}
