// Package wire is the syntax of the XMPP edge: Jingle (XEP-0166 and its applications and
// transports), Jingle message initiation (XEP-0353), service discovery, and the small
// queries beside them, to and from Go values.
//
// Elements come in as trees with resolved namespaces; what comes out is a tree again.
// Everything that comes in was written by a stranger: what cannot be used is left out, and
// only what makes a whole stanza meaningless is an error, a [*ParseError] that says what
// to answer.
//
// The package is pure: no I/O, no clock, no randomness.
package wire
