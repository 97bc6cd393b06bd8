package sdp

import (
	"strings"

	"sipxmppgw/gateway/media"
)

// static are the payload types that need no rtpmap (RFC 3551 section 6).
var static = map[uint8]media.Codec{
	0:  {Name: "PCMU", ClockRate: 8000},
	3:  {Name: "GSM", ClockRate: 8000},
	4:  {Name: "G723", ClockRate: 8000},
	5:  {Name: "DVI4", ClockRate: 8000},
	6:  {Name: "DVI4", ClockRate: 16000},
	7:  {Name: "LPC", ClockRate: 8000},
	8:  {Name: "PCMA", ClockRate: 8000},
	9:  {Name: "G722", ClockRate: 8000},
	10: {Name: "L16", ClockRate: 44100, Channels: 2},
	11: {Name: "L16", ClockRate: 44100},
	12: {Name: "QCELP", ClockRate: 8000},
	13: {Name: "CN", ClockRate: 8000},
	14: {Name: "MPA", ClockRate: 90000},
	15: {Name: "G728", ClockRate: 8000},
	16: {Name: "DVI4", ClockRate: 11025},
	17: {Name: "DVI4", ClockRate: 22050},
	18: {Name: "G729", ClockRate: 8000},
	25: {Name: "CelB", ClockRate: 90000},
	26: {Name: "JPEG", ClockRate: 90000},
	28: {Name: "nv", ClockRate: 90000},
	31: {Name: "H261", ClockRate: 90000},
	32: {Name: "MPV", ClockRate: 90000},
	33: {Name: "MP2T", ClockRate: 90000},
	34: {Name: "H263", ClockRate: 90000},
}

// canonical are the spellings of encoding names, by lower case. Names that are not here
// stay as they came.
var canonical = spellings(
	"PCMU", "PCMA", "G722", "opus", "telephone-event", "CN", "red", "rtx", "ulpfec",
	"flexfec-03", "G729", "G729D", "G729E", "G728", "G723", "GSM", "GSM-EFR", "iLBC",
	"speex", "L16", "AMR", "AMR-WB", "EVS", "DVI4", "LPC", "QCELP", "G726-16", "G726-24",
	"G726-32", "G726-40", "MPA", "H261", "H263", "H263-1998", "H263-2000", "H264", "H265",
	"VP8", "VP9", "AV1", "JPEG", "MPV", "MP2T", "tone", "SILK", "ISAC",
)

func spellings(names ...string) map[string]string {
	m := make(map[string]string, len(names))
	for _, n := range names {
		m[strings.ToLower(n)] = n
	}
	return m
}

func spelling(name string) string {
	if s, ok := canonical[strings.ToLower(name)]; ok {
		return s
	}
	return name
}
