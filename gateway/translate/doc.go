// Package translate holds the words of one protocol beside those of the other: addresses
// (RFC 7247, XEP-0106), causes, display names, and the SIP headers that are carried
// across. A reviewer can hold its tables against the RFCs.
//
// The package is pure: no I/O, no clock, no goroutines. What depends on time takes the
// time as an argument; what must be random takes the random number.
package translate
