package media

import (
	"slices"
	"strings"
)

// staticCodecs are the payload types with a meaning of their own (RFC 3551 section 6).
var staticCodecs = [...]Codec{
	{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1},
	{PT: 3, Name: "GSM", ClockRate: 8000, Channels: 1},
	{PT: 4, Name: "G723", ClockRate: 8000, Channels: 1},
	{PT: 5, Name: "DVI4", ClockRate: 8000, Channels: 1},
	{PT: 6, Name: "DVI4", ClockRate: 16000, Channels: 1},
	{PT: 7, Name: "LPC", ClockRate: 8000, Channels: 1},
	{PT: 8, Name: "PCMA", ClockRate: 8000, Channels: 1},
	{PT: 9, Name: "G722", ClockRate: 8000, Channels: 1},
	{PT: 10, Name: "L16", ClockRate: 44100, Channels: 2},
	{PT: 11, Name: "L16", ClockRate: 44100, Channels: 1},
	{PT: 12, Name: "QCELP", ClockRate: 8000, Channels: 1},
	{PT: 13, Name: "CN", ClockRate: 8000, Channels: 1},
	{PT: 14, Name: "MPA", ClockRate: 90000, Channels: 1},
	{PT: 15, Name: "G728", ClockRate: 8000, Channels: 1},
	{PT: 16, Name: "DVI4", ClockRate: 11025, Channels: 1},
	{PT: 17, Name: "DVI4", ClockRate: 22050, Channels: 1},
	{PT: 18, Name: "G729", ClockRate: 8000, Channels: 1},
	{PT: 25, Name: "CelB", ClockRate: 90000, Channels: 1},
	{PT: 26, Name: "JPEG", ClockRate: 90000, Channels: 1},
	{PT: 28, Name: "nv", ClockRate: 90000, Channels: 1},
	{PT: 31, Name: "H261", ClockRate: 90000, Channels: 1},
	{PT: 32, Name: "MPV", ClockRate: 90000, Channels: 1},
	{PT: 33, Name: "MP2T", ClockRate: 90000, Channels: 1},
	{PT: 34, Name: "H263", ClockRate: 90000, Channels: 1},
}

// canonicalNames are the spellings of names that have no static payload type.
var canonicalNames = [...]string{
	"opus", "telephone-event", "red", "rtx", "ulpfec", "flexfec-03", "tone",
	"VP8", "VP9", "AV1", "H264", "H265", "H263-1998", "H263-2000",
	"speex", "iLBC", "SIREN", "G7221", "G726-16", "G726-24", "G726-32", "G726-40",
	"AMR", "AMR-WB", "EVS", "AAC", "MPEG4-GENERIC", "MP4A-LATM", "L8",
}

// firstDynamic is where dynamic payload types begin; 35 to 63 serve when they run out.
// Those between would be taken for RTCP on a shared port (RFC 5761 section 4).
const (
	firstDynamic = 96
	lastDynamic  = 127
	firstSpare   = 35
	lastSpare    = 63
)

// Static returns the codec that a static payload type means (RFC 3551 section 6); ok is
// false if the payload type has no meaning by itself.
func Static(pt uint8) (c Codec, ok bool) {
	for _, s := range staticCodecs {
		if s.PT == pt {
			return s, true
		}
	}
	return Codec{}, false
}

// CanonicalName returns the registered spelling of a codec's name, which is compared
// without case (RFC 8866 section 6.6). A name that is not known is returned as it is.
func CanonicalName(name string) string {
	for _, s := range staticCodecs {
		if strings.EqualFold(s.Name, name) {
			return s.Name
		}
	}
	for _, n := range canonicalNames {
		if strings.EqualFold(n, name) {
			return n
		}
	}
	return name
}

// DefaultCodecs returns the codecs that both worlds know, in the order of sound quality:
// the preference of a leg whose route says nothing else.
func DefaultCodecs() []Codec {
	return []Codec{
		{
			PT: 111, Name: "opus", ClockRate: 48000, Channels: 2,
			Params: []Param{{Name: "minptime", Value: "10"}, {Name: "useinbandfec", Value: "1"}},
		},
		{PT: 9, Name: "G722", ClockRate: 8000, Channels: 1},
		{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1},
		{PT: 8, Name: "PCMA", ClockRate: 8000, Channels: 1},
		{PT: 13, Name: "CN", ClockRate: 8000, Channels: 1},
		{PT: 101, Name: "telephone-event", ClockRate: 8000, Channels: 1, Params: eventParams()},
		{PT: 110, Name: "telephone-event", ClockRate: 48000, Channels: 1, Params: eventParams()},
	}
}

// eventParams are the events of a telephone: digits, star, hash and A to D.
func eventParams() []Param { return []Param{{Name: "events", Value: "0-15"}} }

// G711 reports whether the codec is one of the two that every Jingle client must have
// (XEP-0266 section 3).
func (c Codec) G711() bool {
	return strings.EqualFold(c.Name, "PCMU") || strings.EqualFold(c.Name, "PCMA")
}

// Transcodable reports whether the codec's speech can be turned into another's.
func (c Codec) Transcodable() bool {
	return c.G711() || strings.EqualFold(c.Name, "G722") || strings.EqualFold(c.Name, "opus")
}

// transcodable returns the codecs of list that can be turned into others.
func transcodable(list []Codec) []Codec {
	return slices.DeleteFunc(slices.Clone(list), func(c Codec) bool { return !c.Transcodable() })
}

// Find returns the index of the first codec of list that is the same as c, or -1.
func Find(list []Codec, c Codec) int {
	return slices.IndexFunc(list, c.Same)
}

// FindType returns the index of the codec with that payload type, or -1.
func FindType(list []Codec, pt uint8) int {
	return slices.IndexFunc(list, func(c Codec) bool { return c.PT == pt })
}

// Intersect returns those codecs of list that other has too, as list has them and in its
// order. A codec that list names twice counts once.
func Intersect(list, other []Codec) []Codec {
	var both []Codec
	for _, c := range list {
		if Find(other, c) >= 0 && Find(both, c) < 0 {
			both = append(both, c)
		}
	}
	return both
}

// Speech returns the codecs of list that carry sound or pictures by themselves. Events,
// noise, redundancy and retransmission are left out: the latter two end at the gateway,
// so that none is left without the codec it refers to (RFC 4588 section 8.6).
func Speech(list []Codec) []Codec {
	var speech []Codec
	for _, c := range list {
		if c.Speech() {
			speech = append(speech, c)
		}
	}
	return speech
}

// Number gives every codec of an offer a payload type of its own. A codec keeps what it
// has unless an earlier one, or one in taken, has it; a static codec keeps its static
// type. The codecs for which no number is left are left out.
func Number(list []Codec, taken []Codec) []Codec {
	used := func(done []Codec, pt uint8) bool {
		return FindType(taken, pt) >= 0 || FindType(done, pt) >= 0
	}
	var done []Codec
	for _, c := range list {
		if !c.fits() || used(done, c.PT) {
			pt, ok := free(func(pt uint8) bool { return used(done, pt) || FindType(list, pt) >= 0 })
			if !ok {
				continue
			}
			c.PT = pt
		}
		done = append(done, c)
	}
	return done
}

// fits reports whether the codec may have its payload type: the static type of its own,
// or a dynamic one.
func (c Codec) fits() bool {
	if s, ok := Static(c.PT); ok {
		return s.Same(c)
	}
	return c.PT >= firstDynamic && c.PT <= lastDynamic || c.PT >= firstSpare && c.PT <= lastSpare
}

func free(used func(uint8) bool) (pt uint8, ok bool) {
	for pt := uint8(firstDynamic); pt <= lastDynamic; pt++ {
		if !used(pt) {
			return pt, true
		}
	}
	for pt := uint8(firstSpare); pt <= lastSpare; pt++ {
		if !used(pt) {
			return pt, true
		}
	}
	return 0, false
}
