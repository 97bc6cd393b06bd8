// Package rtpengine is the media plane in rtpengines elsewhere, driven by their NG protocol
// (bencode over UDP). It decides codecs, directions and slots by the rules of gateway/media,
// as the embedded relay does, and takes ports, ICE, DTLS and SRTP from rtpengine: what a
// peer said is written as SDP, and of the SDP that comes back only the transports are used.
//
// A call belongs to the instance that took its first offer. rtpengine passes payload types
// as they are, so both legs of a call use the same numbers.
package rtpengine
