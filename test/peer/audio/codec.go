package audio

import (
	"strings"
	"time"
)

// A Codec is one payload type as the signaling names it.
type Codec struct {
	PayloadType uint8
	Name        string
	ClockRate   int // in hertz
	Channels    int // 0 is 1
	Parameters  []Parameter
}

// A Parameter is one name and value of a codec's format.
type Parameter struct{ Name, Value string }

// The codecs the phones know by themselves. All but PCMU and PCMA carry opaque frames.
var (
	PCMU  = Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}
	PCMA  = Codec{PayloadType: 8, Name: "PCMA", ClockRate: 8000}
	G722  = Codec{PayloadType: 9, Name: "G722", ClockRate: 8000}
	CN    = Codec{PayloadType: 13, Name: "CN", ClockRate: 8000}
	Opus  = Codec{PayloadType: 111, Name: "opus", ClockRate: 48000, Channels: 2, Parameters: []Parameter{{"minptime", "10"}, {"useinbandfec", "1"}}}
	Red   = Codec{PayloadType: 63, Name: "red", ClockRate: 48000, Channels: 2}
	DTMF  = Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000, Parameters: []Parameter{{"", "0-15"}}}
	DTMF8 = Codec{PayloadType: 126, Name: "telephone-event", ClockRate: 8000}
	DTMF4 = Codec{PayloadType: 110, Name: "telephone-event", ClockRate: 48000}
)

// Same reports whether two codecs are the same format, whatever their payload types.
func (c Codec) Same(other Codec) bool {
	return strings.EqualFold(c.Name, other.Name) && c.ClockRate == other.ClockRate && max(1, c.Channels) == max(1, other.Channels)
}

// Voice reports whether c carries sound that a call can choose: not events, comfort noise or redundancy.
func (c Codec) Voice() bool {
	switch strings.ToLower(c.Name) {
	case "telephone-event", "cn", "red", "rtx", "ulpfec":
		return false
	}
	return c.Name != ""
}

// Event reports whether c is telephone-event (RFC 4733).
func (c Codec) Event() bool { return strings.EqualFold(c.Name, "telephone-event") }

// Linear reports whether this package can encode and decode c.
func (c Codec) Linear() bool {
	return (strings.EqualFold(c.Name, "PCMU") || strings.EqualFold(c.Name, "PCMA")) && c.ClockRate == Rate
}

// Encode returns the payload of samples; c must be linear.
func (c Codec) Encode(samples []int16) []byte {
	encode := EncodePCMU
	if strings.EqualFold(c.Name, "PCMA") {
		encode = EncodePCMA
	}
	out := make([]byte, len(samples))
	for i, s := range samples {
		out[i] = encode(s)
	}
	return out
}

// Decode returns the samples of a payload; c must be linear.
func (c Codec) Decode(payload []byte) []int16 {
	decode := DecodePCMU
	if strings.EqualFold(c.Name, "PCMA") {
		decode = DecodePCMA
	}
	out := make([]int16, len(payload))
	for i, b := range payload {
		out[i] = decode(b)
	}
	return out
}

// ticks returns how many units of the RTP clock d lasts.
func (c Codec) ticks(d time.Duration) uint32 {
	return uint32(d * time.Duration(c.ClockRate) / time.Second)
}

// Frames returns n payloads to send with a codec this package cannot encode: each is
// different from all others, and the same every time.
func Frames(n, size int) [][]byte {
	state := uint32(0x2545f491)
	out := make([][]byte, n)
	for i := range out {
		frame := make([]byte, size)
		for j := range frame {
			state ^= state << 13
			state ^= state >> 17
			state ^= state << 5
			frame[j] = byte(state)
		}
		out[i] = frame
	}
	return out
}
