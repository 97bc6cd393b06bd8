package wire

import (
	"strings"

	"sipxmppgw/gateway/media"
)

// staticCodecs are the payload types whose number says what they are (RFC 3551 section 6).
var staticCodecs = map[uint8]media.Codec{
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

// spellings are the names of codecs as their registrations write them.
var spellings = []string{
	"PCMU", "PCMA", "G722", "G729", "GSM", "CN", "L16", "iLBC", "AMR", "AMR-WB", "opus", "speex",
	"telephone-event", "red", "rtx", "ulpfec", "VP8", "VP9", "AV1", "H264", "H265",
}

func canonicalName(name string) string {
	for _, s := range spellings {
		if strings.EqualFold(s, name) {
			return s
		}
	}
	return name
}
