// Package sipphone is a SIP telephone for tests and the demo: UDP and TCP on loopback,
// G.711 over plain RTP. It borrows sipgo's message parser and nothing else: transactions
// and dialogs are its own and small, so that it can misbehave on purpose. It shares no code
// with the gateway.
package sipphone

import (
	"time"

	"sipxmppgw/test/peer/audio"
)

// Options say what a phone can do.
type Options struct {
	User string // user part of its address; default phone
	Name string // display name; may be empty
	Addr string // to listen on, UDP and TCP; default 127.0.0.1:0

	// Proxy is where requests outside a dialog go, as host and port; default is the host of
	// the URI that is called.
	Proxy   string
	Network string // udp or tcp, for requests outside a dialog; default udp

	Codecs    []audio.Codec // offered and accepted, best first; default PCMU, PCMA and telephone-event
	PTime     time.Duration // of what is sent and asked for; default 20 ms
	Text      []string      // lines of SDP about text, offered and answered with; nil refuses it (RFC 4103)
	T1        time.Duration // round-trip time estimate (RFC 3261 section 17.1.1.1); default 500 ms
	Behaviour Behaviour

	// Incoming is called with each incoming call, on a goroutine of its own. The default
	// lets it ring.
	Incoming func(*Call)

	// Trace is told of every message, in order. It must return soon and not call the phone.
	Trace func(Message)
}

// Behaviour is what phones do differently, and some should not. The zero value answers 100
// and 180 at once, and 200 when the script accepts.
type Behaviour struct {
	Silent    bool          // INVITE gets no response at all
	NoRinging bool          // no 180
	Ringings  int           // how often 180 is sent; default once
	Interval  time.Duration // between those; default 20 ms
	Early     bool          // 183 with a description, and early media, in place of 180
	Forks     int           // so many more 180 and 2xx come, each from a tag of its own

	AnswerDelay time.Duration // between Accept and 200
	LateAnswer  bool          // a CANCEL is answered with 200 to the INVITE: the answer crossed it
	DeafToBYE   bool          // BYE gets no response
	Refuse      int           // status that a re-INVITE or UPDATE is answered with; 0 accepts
	NoACK       bool          // as caller, 2xx is not acknowledged
	NoOffer     bool          // INVITE without a description; the offer is in the 2xx, the answer in the ACK
	Mute        bool          // no RTP and no RTCP is sent
	OneCodec    bool          // an answer names one codec, and telephone-event
}

// A Message is one SIP message as it was on the wire.
type Message struct {
	At      time.Time
	Sent    bool // by the phone
	Network string
	Remote  string // host and port
	Raw     string
}

func (o *Options) fill() {
	if o.User == "" {
		o.User = "phone"
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Network == "" {
		o.Network = "udp"
	}
	if o.Codecs == nil {
		o.Codecs = []audio.Codec{audio.PCMU, audio.PCMA, audio.DTMF}
	}
	if o.PTime == 0 {
		o.PTime = 20 * time.Millisecond
	}
	if o.T1 == 0 {
		o.T1 = 500 * time.Millisecond
	}
	if o.Behaviour.Ringings == 0 {
		o.Behaviour.Ringings = 1
	}
	if o.Behaviour.Interval == 0 {
		o.Behaviour.Interval = 20 * time.Millisecond
	}
}
