// Package component is the gateway's stream to its XMPP server (XEP-0114): connect,
// handshake, read stanzas, write them in order, connect again.
//
// One [Stream] lives as long as the process. Each connection inside it is a link with its
// own socket, queue and writer, so nothing of a lost connection reaches the next one.
//
// What comes in is cut into stanzas under caps (RFC 6120 section 13.12), and each stanza
// is decoded alone: a stanza that cannot be read costs that stanza and an error sent to
// whoever sent it, never the stream, which carries every call of every user. What goes
// out passes through one serializer, which cannot write what makes a server close the
// stream. Stanzas go to the routes in order of arrival, on one goroutine, through the
// router of gosrc.io/xmpp; a route hands its work on and never waits.
//
// The package knows no payload. It answers a stanza itself only when no route can: it
// cannot be read, breaks RFC 6120, or has no route.
package component
