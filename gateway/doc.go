// Package gateway is the shell around all calls, and the text to read first.
//
// A call has two legs: A, who offered it, and B, whom the gateway offers it to. An edge
// (signaling for SIP, jingle for XMPP) turns its protocol into leg events and carries out
// leg commands. Between them stands the pure machine of package call; beside it the media
// plane, which makes offers and answers in the neutral words of package media.
//
//	SIP wire ─► signaling.leg{dialog.Dialog} ─► call.Call ◄─ jingle.leg{session.Session} ◄─ XMPP wire
//	                                              │  ▲
//	                                              ▼  │ Op
//	                                            Bridge ─► sockets
//
// One goroutine owns each call: its machine, both legs and their timers. Everyone else
// posts data to it, and posting never waits. What a peer causes is limited, and a peer that
// floods ends its own leg; what the gateway causes always fits.
//
// A call that may go to several places has a hunt (package hunt) that says who is called
// next; its machine has one leg B all the while.
//
// # Beside calls
//
// Presence is pairs of a user and a contact, held by a few goroutines ([Presences], package
// presence). Messages are one office ([Mail], package message). Accounts of users are a book
// (package account) that routes and registrations are made from. A phone that registers with
// us calls as the user who owns it ([PhoneRoute]). What of all that outlives
// the process lies in package store, as rows that their keepers give meaning.
//
// # Words
//
// A call is what we bridge; a leg is one side of it. A dialog is SIP's, a session Jingle's.
// A bridge is the media of a call, an end is one side of a bridge. Offer and answer are
// those of RFC 3264 only: a call is accepted, a leg answers. A trunk is a configured SIP
// peer, a route a rule that picks one. A cause is ours, a status a SIP number, a reason a
// Jingle word. A peer is who is on the wire; a party is a person or thing that calls.
package gateway
