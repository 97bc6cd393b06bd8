// Package interop holds the tests with real peers: baresip and SIPp on the SIP side, Prosody
// and ejabberd as servers, stanza.js in headless Chromium as the XMPP user. The tests carry
// the build tag interop; "make interop" runs them. README.md says what has passed.
package interop
