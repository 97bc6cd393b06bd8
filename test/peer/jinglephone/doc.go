// Package jinglephone is an XMPP calling client for tests and the demo: Jingle RTP
// (XEP-0167) over ICE-UDP with DTLS-SRTP, and Jingle message initiation (XEP-0353), as the
// clients of 2026 do it, with knobs for what each of them does differently and for what
// none should do. It shares no code with the gateway.
package jinglephone
