package media

import (
	"net/netip"
	"time"
)

// A Policy is what the gateway is ready to do on one leg. The media plane makes offers
// and answers from it and from what the other leg said.
type Policy struct {
	// ICE says that the leg speaks ICE, with a full agent (RFC 8445).
	ICE bool
	// DTLS says that the leg's media is protected by DTLS-SRTP (RFC 5764). A leg with
	// DTLS never carries clear RTP.
	DTLS bool
	// SDES says that keys may be in signalling (RFC 4568). They are offered on legs without
	// DTLS, with ICE only if media must not be clear, and taken where a peer offers nothing better.
	SDES bool
	// Clear says that media may be in the clear although keys are offered (RFC 8643), and
	// where a peer offers none. It is for legs with SDES; without any protection the media
	// is clear anyway.
	Clear bool
	// Bundle says that streams share one transport when the peer agrees (RFC 8843).
	Bundle bool
	// RTCPMux says that RTCP is offered on the RTP port (RFC 5761). Without it RTCP has
	// the next port, unless the peer offers to mux.
	RTCPMux bool
	// Apart says that with ICE a component of its own is offered for RTCP beside RTCPMux, for
	// peers that do not know that (RFC 5761 section 5.1.3). Clients of Jingle all know it.
	Apart bool
	// G711 says that PCMU or PCMA must be in every offer and answer (XEP-0266).
	G711 bool
	// Video says that video streams are bridged; else they are refused.
	Video bool
	// Transcode says that the leg's speech may be turned into that of the other leg where
	// they have no codec in common, if both policies say so.
	Transcode bool
	// Codecs are those the leg may use, in order of preference, with the payload types
	// to offer them under.
	Codecs []Codec
	// PTime is the packet time to ask for; 0 asks for none.
	PTime time.Duration
	// Tones says that digits are played as tones where the peer speaks G.711 and no
	// telephone-event (RFC 4733) is agreed.
	Tones bool
	// Behind says that the peer may be behind a NAT, so that packets may come from
	// another address than it signalled.
	Behind bool
	// IPv6 says that the peer of a leg without ICE is reached over IPv6: it is offered an
	// address of that where there is one.
	IPv6 bool
	// Networks name where the peer may be, for an engine that has several, the likeliest first.
	// A leg without ICE is in one of them. Empty for all, or the engine's first.
	Networks []string
	// External are addresses that the peer is told in place of ours, at most one of each
	// family. Empty for those that the engine tells.
	External []netip.Addr
	// Inner says that the peer is another bridge of ours, which reaches us at the addresses
	// that sockets are bound to.
	Inner bool
}
