package sdp

import (
	"net/netip"
	"strconv"
	"strings"

	"sipxmppgw/gateway/media"
)

// voipMetrics are the only reports of RTCP XR that are spoken of (RFC 3611 section 5.1).
const voipMetrics = "voip-metrics"

// attribute takes what belongs to one stream.
func (s *stream) attribute(name, value string) {
	if s.Messages != nil {
		messageAttribute(s.Messages, name, value)
	}
	switch name {
	case "mid":
		if token(value) {
			s.Name = value
		}
	case "rtpmap":
		s.rtpmap(value)
	case "fmtp":
		if c, rest := s.codec(value); c != nil && rest != "" {
			c.Params = append(c.Params, parseParams(rest)...)
		}
	case "rtcp-fb":
		s.feedback(value)
	case "ptime":
		s.PTime = packetTime(value)
	case "maxptime":
		s.MaxPTime = packetTime(value)
	case "rtcp":
		s.rtcpPort(value)
	case "rtcp-mux":
		s.Transport.RTCPMux = true
	case "bundle-only":
		s.only = true
	case "extmap":
		s.extmap(value)
	case "ssrc":
		s.source(value)
	case "ssrc-group":
		s.sourceGroup(value)
	case "msid":
		s.msid = value
	}
}

// codec returns the payload type that an attribute's value begins with, and the rest.
// It is nil when there is none.
func (s *stream) codec(value string) (c *media.Codec, rest string) {
	number, rest, _ := strings.Cut(value, " ")
	pt, err := strconv.ParseUint(number, 10, 7)
	if err != nil {
		return nil, ""
	}
	c = s.codecs[uint8(pt)]
	if c == nil {
		c = &media.Codec{PT: uint8(pt)}
		s.codecs[c.PT] = c
	}
	return c, strings.TrimSpace(rest)
}

func (s *stream) rtpmap(value string) {
	c, rest := s.codec(value)
	f := strings.Split(rest, "/")
	if c == nil || c.Name != "" || len(f) < 2 || !token(f[0]) {
		return
	}
	rate, err := strconv.ParseUint(strings.TrimSpace(f[1]), 10, 32)
	if err != nil || rate == 0 {
		return
	}
	c.Name, c.ClockRate, c.Channels = spelling(f[0]), uint32(rate), 1
	if len(f) > 2 {
		if n, err := strconv.ParseUint(strings.TrimSpace(f[2]), 10, 8); err == nil && n > 0 {
			c.Channels = uint8(n)
		}
	}
	if c.Name == "opus" {
		c.ClockRate, c.Channels = 48000, 2 // always (RFC 7587 section 7)
	}
}

// finishCodecs puts the codecs in the order of the m= line. A dynamic payload type that
// nothing explains is dropped.
func (s *stream) finishCodecs() {
	seen := map[uint8]bool{}
	for _, f := range s.formats {
		n, err := strconv.ParseUint(f, 10, 7)
		pt := uint8(n)
		if err != nil || seen[pt] {
			continue
		}
		seen[pt] = true
		c := media.Codec{PT: pt}
		if said := s.codecs[pt]; said != nil {
			c = *said
		}
		if c.Name == "" {
			known, ok := static[pt]
			if !ok {
				continue
			}
			c.Name, c.ClockRate, c.Channels = known.Name, known.ClockRate, max(known.Channels, 1)
		}
		if c.Event() {
			c.Params = eventParams(c.Params)
		}
		s.Codecs = append(s.Codecs, c)
	}
	if len(s.Codecs) == 0 {
		s.Rejected = true // INTERWORKING 3.3
	}
}

// eventParams gives the events their name; without any the first sixteen are meant
// (RFC 4733 section 2.4.1).
func eventParams(params []media.Param) []media.Param {
	for i, p := range params {
		if p.Name != "" && p.Name != "events" {
			continue
		}
		if params[i].Name = "events"; !text(p.Value) {
			params[i].Value = "0-15"
		}
		return params
	}
	return append(params, media.Param{Name: "events", Value: "0-15"})
}

// parseParams reads format parameters: pieces between semicolons, or between commas
// when every piece has a name. A piece without a name is kept raw.
func parseParams(value string) []media.Param {
	pieces := split(value, ";")
	if len(pieces) == 1 && everyNamed(split(pieces[0], ",")) {
		pieces = split(pieces[0], ",")
	}
	var params []media.Param
	named := false
	for _, piece := range pieces {
		name, v, ok := strings.Cut(piece, "=")
		name, v = strings.TrimSpace(name), strings.TrimSpace(v)
		if !ok || name == "" {
			name, v = "", piece
		} else {
			named = true
		}
		params = append(params, media.Param{Name: name, Value: v})
	}
	if !named && len(params) > 0 {
		return []media.Param{{Value: value}}
	}
	return params
}

// split returns the pieces that are not empty.
func split(value, sep string) []string {
	var pieces []string
	for piece := range strings.SplitSeq(value, sep) {
		if piece = strings.TrimSpace(piece); piece != "" {
			pieces = append(pieces, piece)
		}
	}
	return pieces
}

func everyNamed(pieces []string) bool {
	for _, p := range pieces {
		if !strings.Contains(p, "=") {
			return false
		}
	}
	return true
}

func (s *stream) feedback(value string) {
	to := &s.Feedback
	rest, every := strings.CutPrefix(value, "* ")
	if !every {
		var c *media.Codec
		if c, rest = s.codec(value); c == nil {
			return
		}
		to = &c.Feedback
	}
	kind, sub, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if token(kind) && kind != "trr-int" {
		*to = append(*to, media.Feedback{Type: kind, Subtype: strings.TrimSpace(sub)})
	}
}

// rtcpPort reads the port of RTCP, and its address if it has one (RFC 3605).
func (s *stream) rtcpPort(value string) {
	f := strings.Fields(value)
	if len(f) == 0 {
		return
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return
	}
	var addr netip.Addr
	if len(f) == 4 {
		if a, err := netip.ParseAddr(f[3]); err == nil && a.Zone() == "" && !a.Unmap().IsMulticast() {
			addr = a.Unmap()
		}
	}
	s.rtcp = netip.AddrPortFrom(addr, uint16(port))
}

func (s *stream) extmap(value string) {
	f := strings.Fields(value)
	if len(f) < 2 {
		return
	}
	number, direction, _ := strings.Cut(f[0], "/")
	id, err := strconv.ParseUint(number, 10, 16)
	if err != nil || id == 0 {
		return
	}
	h := media.HeaderExt{ID: uint16(id), URI: f[1]}
	for d := media.SendRecv; d <= media.Inactive; d++ {
		if d.String() == direction {
			h.Direction = d
		}
	}
	for _, a := range f[2:] {
		name, v, ok := strings.Cut(a, "=")
		if !ok {
			name, v = "", a
		}
		h.Params = append(h.Params, media.Param{Name: name, Value: v})
	}
	s.HeaderExts = append(s.HeaderExts, h)
}

func (s *stream) source(value string) {
	number, rest, _ := strings.Cut(value, " ")
	ssrc, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return
	}
	i := 0
	for i < len(s.Sources) && s.Sources[i].SSRC != uint32(ssrc) {
		i++
	}
	if i == len(s.Sources) {
		s.Sources = append(s.Sources, media.Source{SSRC: uint32(ssrc)})
	}
	name, v, _ := strings.Cut(strings.TrimSpace(rest), ":")
	if token(name) {
		s.Sources[i].Params = append(s.Sources[i].Params, media.Param{Name: name, Value: v})
	}
}

func (s *stream) sourceGroup(value string) {
	f := strings.Fields(value)
	if len(f) < 2 || !token(f[0]) {
		return
	}
	g := media.SourceGroup{Semantics: f[0]}
	for _, number := range f[1:] {
		ssrc, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return
		}
		g.SSRCs = append(g.SSRCs, uint32(ssrc))
	}
	s.SourceGroups = append(s.SourceGroups, g)
}
