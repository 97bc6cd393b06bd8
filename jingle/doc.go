// Package jingle is the XMPP edge: what comes over the component's stream goes to its
// handler here, calls become Jingle sessions and sessions become calls, and every SIP user
// has a face that XMPP clients can call: service discovery, presence, a name.
//
// The order of Jingle is decided in jingle/session, its syntax is jingle/wire's, and the
// stream is jingle/component's. What is left here is who owns which session, and the
// clock.
//
// Routes run on the stream's goroutine and never wait. A leg's session is touched by the
// goroutine of its call alone, or, before there is one, under the leg's lock.
package jingle
