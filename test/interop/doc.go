// Package interop holds the tests with real peers: baresip, SIPp, Kamailio and JsSIP on the SIP
// side, Prosody and ejabberd as servers, stanza.js in headless Chromium and QXmpp as the XMPP
// user, rtpengine for the media. The tests carry the build tag interop; "make interop" runs
// them. README.md says what has passed.
package interop
