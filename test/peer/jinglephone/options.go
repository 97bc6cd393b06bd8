package jinglephone

import (
	"net"
	"time"

	"github.com/pion/dtls/v3"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/element"
)

// A Stream is one logged-in XMPP session, such as of package xmppserver.
type Stream interface {
	JID() string // full
	Send(*element.Element) error
	Receive(func(*element.Element)) // calls the function with each stanza, in order, one at a time
}

// Options say what a phone can do. The zero value is a phone that speaks what libwebrtc
// does, on loopback, and behaves well.
type Options struct {
	Codecs    []audio.Codec                // offered and accepted, best first; default is libwebrtc's list
	PTime     time.Duration                // of what is sent; default 20 ms
	Profiles  []dtls.SRTPProtectionProfile // default AEAD_AES_128_GCM, then AES128_CM_HMAC_SHA1_80
	Addresses func(net.IP) bool            // which local addresses become candidates; default 127.0.0.1
	Features  []string                     // what disco#info lists; default is what Conversations lists
	Strangers bool                         // do not agree to subscriptions
	Behaviour Behaviour

	// Incoming is called with each incoming call, on a goroutine of its own. The default
	// lets it ring.
	Incoming func(*Call)
}

// Behaviour is what clients do differently. The zero value trickles after session-initiate
// and session-accept, offers actpass and answers active, with rtcp-mux and BUNDLE.
type Behaviour struct {
	Strict  bool // end a call with security-error when the peer breaks a rule that Conversations enforces
	Attrs   bool // write initiator and responder
	Video   bool // offer a video content too, which is bundled and never sent
	Passive bool // answer with setup passive
	NoGroup bool // no BUNDLE group
	Plain   bool // neither DTLS nor a fingerprint: RTP in the clear, as QXmpp and libpurple

	NoRinging bool // neither JMI ringing nor session-info ringing
	NoReason  bool // session-terminate without a reason
	NoFinish  bool // JMI finish is not sent

	CandidatesInside bool          // wait for all candidates and write them into initiate and accept
	CandidatesFirst  bool          // as callee, send candidates before session-accept
	CandidatesLate   time.Duration // begin to send candidates only after that long
	Complete         bool          // end trickling with gathering-complete
	NoPassword       bool          // transport-info with ufrag and without pwd
	Decoys           bool          // also send TCP, port 0 and mDNS candidates, which must be left out

	WrongCertificate bool // the fingerprint is of another certificate than DTLS shows
	TwoComponents    bool // no rtcp-mux: RTCP has an ICE component and DTLS of its own
}

// Conversations is how Conversations and its kin behave, and what they enforce.
func Conversations() Behaviour { return Behaviour{Strict: true} }

// StanzaJS is how stanza.js in a browser behaves; it knows no JMI, see [Phone.DialDirect].
func StanzaJS() Behaviour {
	return Behaviour{CandidatesFirst: true, NoPassword: true, Complete: true, Decoys: true, NoFinish: true}
}

// Dino is how Dino 0.4 behaves.
func Dino() Behaviour {
	return Behaviour{NoRinging: true, CandidatesInside: true, NoGroup: true, NoFinish: true, Attrs: true}
}

// WebRTC returns the audio codecs that libwebrtc offers.
func WebRTC() []audio.Codec {
	return []audio.Codec{audio.Opus, audio.Red, audio.G722, audio.PCMU, audio.PCMA, audio.CN, audio.DTMF4, audio.DTMF8}
}

func (o *Options) fill() {
	if o.Codecs == nil {
		o.Codecs = WebRTC()
	}
	if o.Profiles == nil {
		o.Profiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	}
	if o.Addresses == nil {
		o.Addresses = func(ip net.IP) bool { return ip.IsLoopback() && ip.To4() != nil }
	}
	if o.Features == nil {
		o.Features = []string{
			"http://jabber.org/protocol/caps", "http://jabber.org/protocol/chatstates", nsDiscoInfo,
			"urn:xmpp:chat-markers:0", nsJMI, nsJingle, nsDTLS, nsRTP, nsAudio, nsVideo, nsICE, nsPing, nsReceipts,
		}
	}
}
