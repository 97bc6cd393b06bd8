// Package media is the neutral description of a session's media and the offer/answer
// rules on it (RFC 3264). It knows neither SDP nor Jingle: signaling/sdp and jingle/wire
// translate, and the media plane reads and makes descriptions.
//
// The package is pure: no I/O, no clock, no randomness.
package media

import (
	"net/netip"
	"strings"
	"time"
)

// A Description is one side's description of the media of a session: an offer or an
// answer. Streams keep their slot for the life of the session (RFC 3264 section 8): a
// stream that is gone stays, rejected.
type Description struct {
	Streams []Stream
	Bundle  []string // names of the streams in the BUNDLE group (RFC 8843); nil for none
}

// Empty reports whether the description says nothing: an INVITE without SDP, or a
// proposal that only announces kinds of media.
func (d Description) Empty() bool { return len(d.Streams) == 0 }

// Clone returns a copy that shares nothing with d.
func (d Description) Clone() Description {
	c := Description{Bundle: cloneSlice(d.Bundle), Streams: cloneSlice(d.Streams)}
	for i := range c.Streams {
		c.Streams[i] = c.Streams[i].clone()
	}
	return c
}

// Live returns the index of the first stream of that kind that is not rejected, or -1.
func (d Description) Live(k Kind) int {
	for i, s := range d.Streams {
		if s.Kind == k && !s.Rejected {
			return i
		}
	}
	return -1
}

// Stream returns the stream of that name, or nil.
func (d Description) Stream(name string) *Stream {
	for i := range d.Streams {
		if d.Streams[i].Name == name {
			return &d.Streams[i]
		}
	}
	return nil
}

// A Kind is what a stream carries.
type Kind uint8

const (
	Audio Kind = iota
	Video
	Other // known only to be refused: image, application; and message and text, see Messages and Typed
)

// String returns the kind as both protocols write it.
func (k Kind) String() string {
	switch k {
	case Audio:
		return "audio"
	case Video:
		return "video"
	default:
		return "other"
	}
}

// A Direction is the flow of a stream as its describer sees it.
type Direction uint8

const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

// String returns the direction in the words of SDP (RFC 8866 section 6.7).
func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

// Sends reports whether the describer sends.
func (d Direction) Sends() bool { return d == SendRecv || d == SendOnly }

// Receives reports whether the describer receives.
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// Reverse returns the direction as the other side sees it.
func (d Direction) Reverse() Direction { return directionOf(d.Receives(), d.Sends()) }

// And returns the direction that both permit, seen from the same side.
func (d Direction) And(o Direction) Direction {
	return directionOf(d.Sends() && o.Sends(), d.Receives() && o.Receives())
}

func directionOf(sends, receives bool) Direction {
	switch {
	case sends && receives:
		return SendRecv
	case sends:
		return SendOnly
	case receives:
		return RecvOnly
	default:
		return Inactive
	}
}

// A Stream is one m-line, or one content.
type Stream struct {
	Name      string // SDP mid or Jingle content name; empty if the describer gave none
	Kind      Kind
	Media     string // the describer's own word when Kind is Other, such as "image"
	Rejected  bool   // port 0 in SDP; an answer that refuses, or a stream that was removed
	Direction Direction
	Codecs    []Codec // in order of preference
	PTime     time.Duration
	MaxPTime  time.Duration
	Transport Transport

	Feedback     []Feedback // for every codec: rtcp-fb with "*"
	Metrics      bool       // VoIP metrics of RTCP XR are wanted (RFC 3611 section 5)
	HeaderExts   []HeaderExt
	AllowMixed   bool // extmap-allow-mixed (RFC 8285)
	Sources      []Source
	SourceGroups []SourceGroup
	Bandwidth    []Bandwidth

	Messages *Messages // what it says of a message session; nil if it is none
	Typed    *Typed    // likewise of text that is seen while it is typed
}

func (s Stream) clone() Stream {
	s.Codecs = cloneSlice(s.Codecs)
	for i := range s.Codecs {
		s.Codecs[i] = s.Codecs[i].Clone()
	}
	s.Feedback = cloneSlice(s.Feedback)
	s.HeaderExts = cloneSlice(s.HeaderExts)
	for i := range s.HeaderExts {
		s.HeaderExts[i].Params = cloneSlice(s.HeaderExts[i].Params)
	}
	s.Sources = cloneSlice(s.Sources)
	for i := range s.Sources {
		s.Sources[i].Params = cloneSlice(s.Sources[i].Params)
	}
	s.SourceGroups = cloneSlice(s.SourceGroups)
	for i := range s.SourceGroups {
		s.SourceGroups[i].SSRCs = cloneSlice(s.SourceGroups[i].SSRCs)
	}
	s.Bandwidth = cloneSlice(s.Bandwidth)
	s.Transport = s.Transport.Clone()
	s.Messages = s.Messages.clone()
	s.Typed = s.Typed.clone()
	return s
}

// A Codec is one payload type.
type Codec struct {
	PT        uint8         // RTP payload type of this describer
	Name      string        // canonical spelling, see [CanonicalName]
	ClockRate uint32        // hertz of the RTP clock; G722 says 8000 (RFC 3551 section 4.5.2)
	Channels  uint8         // 1 if the describer said none
	Params    []Param       // format parameters, in the describer's order
	PTime     time.Duration // of this payload type alone, as Jingle may say; 0 for none
	MaxPTime  time.Duration
	Feedback  []Feedback
}

// Clone returns a copy that shares nothing with c.
func (c Codec) Clone() Codec {
	c.Params = cloneSlice(c.Params)
	c.Feedback = cloneSlice(c.Feedback)
	return c
}

// Param returns the value of a format parameter; names of known codecs compare without
// case.
func (c Codec) Param(name string) (value string, ok bool) {
	for _, p := range c.Params {
		if strings.EqualFold(p.Name, name) {
			return p.Value, true
		}
	}
	return "", false
}

// Event reports whether the codec is telephone-event (RFC 4733).
func (c Codec) Event() bool { return strings.EqualFold(c.Name, "telephone-event") }

// Noise reports whether the codec is comfort noise (RFC 3389).
func (c Codec) Noise() bool { return strings.EqualFold(c.Name, "CN") }

// Speech reports whether the codec carries sound or pictures by itself: it is neither
// events, noise, redundancy nor retransmission.
func (c Codec) Speech() bool {
	switch strings.ToLower(c.Name) {
	case "telephone-event", "cn", "red", "rtx", "ulpfec", "flexfec-03", "tone":
		return false
	}
	return true
}

// Same reports whether two payload types, each of its own describer, mean the same
// codec, so that packets can pass with nothing but the number changed.
func (c Codec) Same(o Codec) bool {
	if !strings.EqualFold(c.Name, o.Name) || c.ClockRate != o.ClockRate {
		return false
	}
	if strings.EqualFold(c.Name, "opus") {
		return true // always 48000/2 on the wire, whatever is said (RFC 7587 section 7)
	}
	if max(c.Channels, 1) != max(o.Channels, 1) {
		return false
	}
	if strings.EqualFold(c.Name, "H264") {
		return sameParam(c, o, "packetization-mode", "0") && sameProfile(c, o)
	}
	return true
}

func sameParam(a, b Codec, name, missing string) bool {
	x, ok := a.Param(name)
	if !ok {
		x = missing
	}
	y, ok := b.Param(name)
	if !ok {
		y = missing
	}
	return x == y
}

// sameProfile compares profile_idc and profile-iop and lets the level differ (RFC 6184
// section 8.2.2).
func sameProfile(a, b Codec) bool {
	x, _ := a.Param("profile-level-id")
	y, _ := b.Param("profile-level-id")
	if len(x) != 6 {
		x = "42e01f"
	}
	if len(y) != 6 {
		y = "42e01f"
	}
	return strings.EqualFold(x[:4], y[:4])
}

// A Param is a format parameter; a nameless one is kept raw (INTERWORKING 3.3).
type Param struct{ Name, Value string }

// Feedback is one kind of RTCP feedback (RFC 4585 section 4.2).
type Feedback struct{ Type, Subtype string }

// A HeaderExt is an RTP header extension (RFC 8285).
type HeaderExt struct {
	ID        uint16
	URI       string
	Direction Direction
	Params    []Param
}

// A Source is an announced SSRC (RFC 5576).
type Source struct {
	SSRC   uint32
	Params []Param // a parameter without a value has an empty Value
}

// A SourceGroup relates sources (RFC 5576 section 4.2).
type SourceGroup struct {
	Semantics string
	SSRCs     []uint32
}

// Bandwidth is a b= line; Value is in the unit of its type (kilobits a second for AS,
// bits a second for TIAS).
type Bandwidth struct {
	Type  string
	Value uint64
}

// A Transport is how the packets of a stream travel.
type Transport struct {
	Profile Profile
	Addr    netip.AddrPort // RTP; the zero value if only candidates say where
	RTCP    netip.AddrPort // RTCP that is not muxed, when it is not at the next port
	RTCPMux bool           // RFC 5761
	ICE     *ICE           // nil without ICE
	DTLS    *DTLS          // nil without DTLS-SRTP
	SDES    []SDES         // nil without keys in signalling (RFC 4568)
}

// Clone returns a copy that shares nothing with t.
func (t Transport) Clone() Transport {
	if t.ICE != nil {
		i := *t.ICE
		i.Candidates = cloneSlice(i.Candidates)
		t.ICE = &i
	}
	if t.DTLS != nil {
		d := *t.DTLS
		d.Fingerprints = cloneSlice(d.Fingerprints)
		t.DTLS = &d
	}
	t.SDES = cloneSlice(t.SDES)
	return t
}

// A Profile is an RTP profile as SDP names it.
type Profile uint8

const (
	AVP      Profile = iota // RTP/AVP
	AVPF                    // RTP/AVPF
	SAVP                    // RTP/SAVP
	SAVPF                   // RTP/SAVPF
	TLSSAVP                 // UDP/TLS/RTP/SAVP
	TLSSAVPF                // UDP/TLS/RTP/SAVPF
	NoRTP                   // anything else; the stream is refused
)

var profileNames = [...]string{"RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", ""}

// String returns the profile as it stands in an m-line.
func (p Profile) String() string {
	if int(p) < len(profileNames) {
		return profileNames[p]
	}
	return ""
}

// ParseProfile returns the profile of an m-line's proto field; ok is false for others.
func ParseProfile(proto string) (p Profile, ok bool) {
	for i, n := range profileNames[:NoRTP] {
		if strings.EqualFold(n, proto) {
			return Profile(i), true
		}
	}
	return NoRTP, false
}

// ICE is one side's ICE description (RFC 8839, XEP-0176).
type ICE struct {
	Ufrag, Pwd   string
	Candidates   []Candidate
	Lite         bool // SDP only; a Jingle party is always full
	Trickle      bool // more candidates may come
	Renomination bool
	Complete     bool // no more candidates will come
}

// Restarted reports whether next begins a new ICE session (RFC 8445 section 2.4).
func (i *ICE) Restarted(next *ICE) bool {
	return i != nil && next != nil && (i.Ufrag != next.Ufrag || i.Pwd != next.Pwd)
}

// A Candidate is one ICE candidate (RFC 8839 section 5.1).
type Candidate struct {
	Foundation string
	Component  uint16 // 1 RTP, 2 RTCP
	Protocol   string // "udp" or "tcp", lower case
	Priority   uint32
	Addr       netip.AddrPort
	Type       string // host, srflx, prflx, relay
	Related    netip.AddrPort
	TCPType    string
	Generation uint8
	ID         string // Jingle's id; made up where the other protocol has none
}

// DTLS is one side's DTLS description (RFC 8122, RFC 8842, XEP-0320).
type DTLS struct {
	Fingerprints []Fingerprint
	Setup        Setup
}

// A Fingerprint is a certificate's hash: Value is upper-case hexadecimal with colons.
type Fingerprint struct{ Hash, Value string }

// Setup is who begins the DTLS handshake (RFC 4145, RFC 8842).
type Setup uint8

const (
	SetupNone Setup = iota // not said
	ActPass
	Active
	Passive
	HoldConn
)

// String returns the role in the words of SDP and XEP-0320; empty for none.
func (s Setup) String() string {
	return [...]string{"", "actpass", "active", "passive", "holdconn"}[min(s, HoldConn)]
}

// ParseSetup returns the role of that name, SetupNone for others.
func ParseSetup(name string) Setup {
	for s := ActPass; s <= HoldConn; s++ {
		if strings.EqualFold(s.String(), name) {
			return s
		}
	}
	return SetupNone
}

// SDES is one key in signalling (RFC 4568).
type SDES struct {
	Tag           int
	Suite         string
	KeyParams     string
	SessionParams string
	Required      bool // Jingle's <encryption required='true'/>
}

// String keeps the key out of logs.
func (s SDES) String() string { return s.Suite + " [key]" }

func cloneSlice[T any](s []T) []T {
	if s == nil {
		return nil
	}
	return append(make([]T, 0, len(s)), s...)
}
