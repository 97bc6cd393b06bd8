package wire

import (
	"encoding/xml"
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/media"
)

// parseDescription reads a <description/> (XEP-0167 section 4) into a stream. One of
// another application makes a stream that can only be refused.
func parseDescription(n *stanza.Node, s *media.Stream) {
	word := Attr(n, "media")
	switch {
	case n.XMLName.Space != NSRTP:
		s.Kind, s.Media = media.Other, "application"
		return
	case word == "audio":
		s.Kind = media.Audio
	case word == "video":
		s.Kind = media.Video
	default:
		s.Kind, s.Media = media.Other, clip(word)
		return
	}
	for i := range n.Nodes {
		parseOfDescription(&n.Nodes[i], s)
	}
	s.PTime, s.MaxPTime = shortest(s.Codecs)
	// Jingle before XEP-0339 names its one source in an attribute.
	if ssrc, ok := number(n, "ssrc", 1<<32-1); ok && !hasSource(s.Sources, uint32(ssrc)) {
		s.Sources = append(s.Sources, media.Source{SSRC: uint32(ssrc)})
	}
}

func parseOfDescription(e *stanza.Node, s *media.Stream) {
	switch e.XMLName.Space + " " + e.XMLName.Local {
	case NSRTP + " payload-type":
		c, ok := parsePayloadType(e)
		if ok && len(s.Codecs) < MaxPayloads && !hasPayload(s.Codecs, c.PT) {
			s.Codecs = append(s.Codecs, c)
		}
	case NSRTP + " rtcp-mux":
		s.Transport.RTCPMux = true
	case NSRTP + " encryption":
		s.Transport.SDES = parseEncryption(e)
	case NSRTP + " bandwidth":
		if b, ok := parseBandwidth(e); ok && len(s.Bandwidth) < 8 {
			s.Bandwidth = append(s.Bandwidth, b)
		}
	case NSFeedback + " rtcp-fb":
		s.Feedback = addFeedback(s.Feedback, e)
	case NSHeaderExt + " rtp-hdrext":
		if x, ok := parseHeaderExt(e); ok && len(s.HeaderExts) < maxHeaderExts {
			s.HeaderExts = append(s.HeaderExts, x)
		}
	case NSHeaderExt + " extmap-allow-mixed":
		s.AllowMixed = true
	case NSSources + " source":
		if src, ok := parseSource(e); ok && len(s.Sources) < maxSources && !hasSource(s.Sources, src.SSRC) {
			s.Sources = append(s.Sources, src)
		}
	case NSSources + " ssrc-group":
		if g, ok := parseSourceGroup(e); ok && len(s.SourceGroups) < maxSources {
			s.SourceGroups = append(s.SourceGroups, g)
		}
	}
}

// parsePayloadType reads a <payload-type/> (XEP-0167 section 4).
//
// The clock rate is in hertz. Name and rate may be missing only where the number itself
// has a meaning (RFC 3551 section 6); ok is false for what cannot be used.
func parsePayloadType(n *stanza.Node) (c media.Codec, ok bool) {
	id, ok := number(n, "id", 127)
	if !ok {
		return c, false
	}
	rate, _ := number(n, "clockrate", 1<<32-1)
	channels, _ := number(n, "channels", 255)
	c = media.Codec{
		PT:        uint8(id),
		Name:      media.CanonicalName(strings.TrimSpace(Attr(n, "name"))),
		ClockRate: uint32(rate),
		Channels:  uint8(max(channels, 1)), // some clients say 0
		PTime:     packetTime(n, "ptime"),
		MaxPTime:  packetTime(n, "maxptime"),
	}
	if static, found := media.Static(c.PT); found && (c.Name == "" || c.ClockRate == 0) {
		c.Name, c.ClockRate, c.Channels = static.Name, static.ClockRate, static.Channels
	}
	if strings.EqualFold(c.Name, "opus") {
		c.ClockRate, c.Channels = 48000, 2 // RFC 7587 section 7
	}
	if c.Event() && c.ClockRate == 0 {
		c.ClockRate = 8000
	}
	if c.Name == "" || len(c.Name) > maxName || c.ClockRate == 0 {
		return c, false
	}
	for i := range n.Nodes {
		e := &n.Nodes[i]
		switch e.XMLName.Space + " " + e.XMLName.Local {
		case NSRTP + " parameter":
			if len(c.Params) < maxParams {
				c.Params = append(c.Params, parseParameter(e, c.Event()))
			}
		case NSFeedback + " rtcp-fb":
			c.Feedback = addFeedback(c.Feedback, e)
		}
	}
	return c, true
}

// packetTime reads a time in milliseconds; one that is in another unit is none.
func packetTime(n *stanza.Node, name string) time.Duration {
	ms, ok := number(n, name, 400)
	if !ok {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// parseParameter reads a format parameter. Clients write what has no name in SDP, such as
// "111/111" or "0-15", with an empty name or as the name itself.
func parseParameter(n *stanza.Node, event bool) media.Param {
	p := media.Param{Name: Attr(n, "name")}
	value, given := lookup(n, "value")
	p.Value = value
	if !given {
		p.Name, p.Value = "", p.Name
	}
	if event && p.Name == "" {
		p.Name = "events"
	}
	return p
}

// shortest returns the smallest times of the codecs that say one (INTERWORKING.md section
// 3.3), 0 if none does.
func shortest(codecs []media.Codec) (ptime, maxptime time.Duration) {
	for _, c := range codecs {
		if c.PTime > 0 && (ptime == 0 || c.PTime < ptime) {
			ptime = c.PTime
		}
		if c.MaxPTime > 0 && (maxptime == 0 || c.MaxPTime < maxptime) {
			maxptime = c.MaxPTime
		}
	}
	return ptime, maxptime
}

// hasPayload finds a number that was there before: one client gives several codecs the
// same, and then the first is meant.
func hasPayload(codecs []media.Codec, pt uint8) bool {
	for _, c := range codecs {
		if c.PT == pt {
			return true
		}
	}
	return false
}

func hasSource(sources []media.Source, ssrc uint32) bool {
	for _, s := range sources {
		if s.SSRC == ssrc {
			return true
		}
	}
	return false
}

// addFeedback reads an <rtcp-fb/> (XEP-0293).
func addFeedback(to []media.Feedback, n *stanza.Node) []media.Feedback {
	f := media.Feedback{Type: Attr(n, "type"), Subtype: Attr(n, "subtype")}
	if f.Type == "" || len(to) == maxFeedback {
		return to
	}
	return append(to, f)
}

// parseHeaderExt reads an <rtp-hdrext/> (XEP-0294). The direction is the initiator's.
func parseHeaderExt(n *stanza.Node) (x media.HeaderExt, ok bool) {
	id, ok := number(n, "id", 1<<16-1)
	x = media.HeaderExt{ID: uint16(id), URI: Attr(n, "uri"), Direction: directionOf(Attr(n, "senders"))}
	if !ok || x.URI == "" {
		return x, false
	}
	x.Params = parseParams(n, NSHeaderExt)
	return x, true
}

func parseParams(n *stanza.Node, space string) []media.Param {
	var params []media.Param
	for i := range n.Nodes {
		e := &n.Nodes[i]
		if e.XMLName.Local != "parameter" || e.XMLName.Space != space || len(params) == maxParams {
			continue
		}
		if p := (media.Param{Name: Attr(e, "name"), Value: Attr(e, "value")}); p.Name != "" {
			params = append(params, p)
		}
	}
	return params
}

// parseSource reads a <source/> (XEP-0339).
func parseSource(n *stanza.Node) (s media.Source, ok bool) {
	ssrc, ok := number(n, "ssrc", 1<<32-1)
	return media.Source{SSRC: uint32(ssrc), Params: parseParams(n, NSSources)}, ok
}

func parseSourceGroup(n *stanza.Node) (g media.SourceGroup, ok bool) {
	g.Semantics = Attr(n, "semantics")
	for i := range n.Nodes {
		ssrc, good := number(&n.Nodes[i], "ssrc", 1<<32-1)
		if good && n.Nodes[i].XMLName.Local == "source" && len(g.SSRCs) < maxSources {
			g.SSRCs = append(g.SSRCs, uint32(ssrc))
		}
	}
	return g, g.Semantics != "" && len(g.SSRCs) > 0
}

func parseBandwidth(n *stanza.Node) (b media.Bandwidth, ok bool) {
	b.Type = Attr(n, "type")
	holder := Element("", "", "value", text(n))
	b.Value, ok = number(&holder, "value", 1<<53)
	return b, ok && b.Type != ""
}

// parseEncryption reads an <encryption/> (XEP-0167 section 9): keys in signalling.
func parseEncryption(n *stanza.Node) []media.SDES {
	required := Attr(n, "required")
	var keys []media.SDES
	for i := range n.Nodes {
		e := &n.Nodes[i]
		tag, ok := number(e, "tag", 999999999)
		if e.XMLName.Local != "crypto" || !ok || len(keys) == 16 {
			continue
		}
		keys = append(keys, media.SDES{
			Tag:           int(tag),
			Suite:         Attr(e, "crypto-suite"),
			KeyParams:     Attr(e, "key-params"),
			SessionParams: Attr(e, "session-params"),
			Required:      required == "true" || required == "1",
		})
	}
	return keys
}

// descriptionElement returns the <description/> of a stream whose directions are the
// initiator's.
func descriptionElement(s media.Stream) stanza.Node {
	n := Element(NSRTP, "description", "media", s.Kind.String())
	own := false // packet times that stand with their codec are not spread over all
	for _, c := range s.Codecs {
		own = own || c.PTime > 0 || c.MaxPTime > 0
	}
	for _, c := range s.Codecs {
		if s.Kind == media.Audio && !own && c.Speech() {
			c.PTime, c.MaxPTime = s.PTime, s.MaxPTime
		}
		n.Nodes = append(n.Nodes, payloadElement(c))
	}
	n.Nodes = append(n.Nodes, feedbackElements(s.Feedback)...)
	for _, x := range s.HeaderExts {
		if x.Direction == media.Inactive {
			continue // XEP-0294 has no word for it
		}
		n.Nodes = append(n.Nodes, headerExtElement(x))
	}
	if s.AllowMixed {
		n.Nodes = append(n.Nodes, Element(NSHeaderExt, "extmap-allow-mixed"))
	}
	for _, b := range s.Bandwidth {
		n.Nodes = append(n.Nodes, Text(NSRTP, "bandwidth", decimal(b.Value), "type", b.Type))
	}
	if s.Transport.RTCPMux {
		n.Nodes = append(n.Nodes, Element(NSRTP, "rtcp-mux"))
	}
	if len(s.Transport.SDES) > 0 && s.Transport.DTLS == nil {
		n.Nodes = append(n.Nodes, encryptionElement(s.Transport.SDES))
	}
	for _, g := range s.SourceGroups {
		group := Element(NSSources, "ssrc-group", "semantics", g.Semantics)
		for _, ssrc := range g.SSRCs {
			group.Nodes = append(group.Nodes, Element(NSSources, "source", "ssrc", decimal(ssrc)))
		}
		n.Nodes = append(n.Nodes, group)
	}
	for _, src := range s.Sources {
		e := Element(NSSources, "source", "ssrc", decimal(src.SSRC))
		for _, p := range src.Params {
			e.Nodes = append(e.Nodes, Element(NSSources, "parameter", "name", p.Name, "value", p.Value))
		}
		n.Nodes = append(n.Nodes, e)
	}
	return n
}

func payloadElement(c media.Codec) stanza.Node {
	channels := ""
	if c.Channels > 1 {
		channels = decimal(c.Channels)
	}
	n := Element(
		NSRTP, "payload-type",
		"id", decimal(c.PT), "name", c.Name, "clockrate", decimal(c.ClockRate), "channels", channels,
		"ptime", milliseconds(c.PTime), "maxptime", milliseconds(c.MaxPTime),
	)
	params := c.Params
	if c.Event() && len(params) == 0 {
		params = []media.Param{{Name: "events", Value: "0-15"}} // RFC 4733 section 2.4.1
	}
	for _, p := range params {
		e := Element(NSRTP, "parameter")
		e.Attrs = []xml.Attr{
			{Name: xml.Name{Local: "name"}, Value: p.Name},
			{Name: xml.Name{Local: "value"}, Value: p.Value},
		}
		n.Nodes = append(n.Nodes, e)
	}
	n.Nodes = append(n.Nodes, feedbackElements(c.Feedback)...)
	return n
}

func milliseconds(d time.Duration) string {
	if d < time.Millisecond {
		return ""
	}
	return decimal(uint64(d / time.Millisecond))
}

func feedbackElements(all []media.Feedback) []stanza.Node {
	var nodes []stanza.Node
	for _, f := range all {
		nodes = append(nodes, Element(NSFeedback, "rtcp-fb", "type", f.Type, "subtype", f.Subtype))
	}
	return nodes
}

func headerExtElement(x media.HeaderExt) stanza.Node {
	senders := ""
	if x.Direction != media.SendRecv {
		senders = sendersOf(x.Direction)
	}
	n := Element(NSHeaderExt, "rtp-hdrext", "id", decimal(x.ID), "uri", x.URI, "senders", senders)
	for _, p := range x.Params {
		n.Nodes = append(n.Nodes, Element(NSHeaderExt, "parameter", "name", p.Name, "value", p.Value))
	}
	return n
}

func encryptionElement(keys []media.SDES) stanza.Node {
	required := ""
	if keys[0].Required {
		required = "true"
	}
	n := Element(NSRTP, "encryption", "required", required)
	for _, k := range keys {
		n.Nodes = append(n.Nodes, Element(
			NSRTP, "crypto",
			"tag", decimal(k.Tag), "crypto-suite", k.Suite, "key-params", k.KeyParams, "session-params", k.SessionParams,
		))
	}
	return n
}
