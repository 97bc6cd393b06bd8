package sdp

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/media"
)

// A writer writes a session description, line by line.
type writer struct{ strings.Builder }

func (w *writer) line(parts ...string) {
	for _, p := range parts {
		w.WriteString(p)
	}
	w.WriteString("\r\n")
}

func number[T ~int | ~uint8 | ~uint16 | ~uint32 | ~uint64](n T) string {
	return strconv.FormatUint(uint64(n), 10)
}

// body writes everything after the o= line. slots are the m= lines that a Description
// cannot carry; own is the address to write where no stream has one.
func body(d media.Description, slots []slot, own netip.Addr) string {
	var w writer
	session := own
	for _, s := range d.Streams {
		if a := s.Transport.Addr.Addr(); a.IsValid() && !s.Rejected {
			session = a.Unmap()
			break
		}
		if m := s.Messages; m != nil && m.Addr.IsValid() && !s.Rejected {
			session = m.Addr.Addr().Unmap()
			break
		}
	}
	w.line("s=-")
	w.line("c=", connection(session))
	w.line("t=0 0")
	w.credentials(d)
	if group := bundle(d); group != "" {
		w.line("a=group:BUNDLE", group)
	}
	for _, s := range d.Streams {
		if i := s.Transport.ICE; i != nil && i.Lite && !s.Rejected {
			w.line("a=ice-lite")
			break
		}
	}
	for i, s := range d.Streams {
		if s.Messages != nil && !s.Rejected && s.Messages.Addr.Port() != 0 {
			w.messages(s, session)
			continue
		}
		if t := s.Typed; t != nil && !s.Rejected && t.Addr.Port() != 0 && t.Profile < media.NoRTP {
			w.typed(s, session)
			continue
		}
		s.Codecs = speakable(s.Codecs)
		if s.Rejected || s.Kind == media.Other || s.Transport.Profile >= media.NoRTP || len(s.Codecs) == 0 {
			w.rejected(i, s, slots)
			continue
		}
		w.stream(s, session)
	}
	return w.String()
}

// credentials writes those of ICE above the streams too, whose own go before them (RFC 8839
// section 5.4): Jami looks nowhere else. They would be a lie about a stream without ICE.
func (w *writer) credentials(d media.Description) {
	var first *media.ICE
	for _, s := range d.Streams {
		ice := s.Transport.ICE
		if s.Rejected {
			continue
		}
		if ice == nil || !iceText(ice.Ufrag) || !iceText(ice.Pwd) {
			return
		}
		if first == nil {
			first = ice
		}
	}
	if first != nil {
		w.line("a=ice-ufrag:", first.Ufrag)
		w.line("a=ice-pwd:", first.Pwd)
	}
}

// speakable leaves out the codecs that have no place in an rtpmap, and those whose payload
// type is taken.
func speakable(codecs []media.Codec) []media.Codec {
	var taken [128]bool
	kept := make([]media.Codec, 0, len(codecs))
	for _, c := range codecs {
		if c.PT < 128 && !taken[c.PT] && token(c.Name) && c.ClockRate > 0 {
			taken[c.PT] = true
			kept = append(kept, c)
		}
	}
	return kept
}

// bundle returns the names of the group, each after a space; a rejected stream is in no
// group (RFC 8843 section 7.3.2).
func bundle(d media.Description) string {
	var group string
	for _, name := range d.Bundle {
		if s := d.Stream(name); s != nil && !s.Rejected && token(name) {
			group += " " + name
		}
	}
	return group
}

func connection(a netip.Addr) string {
	if !a.IsValid() {
		a = netip.IPv4Unspecified()
	}
	if a.Is6() {
		return "IN IP6 " + a.WithZone("").String()
	}
	return "IN IP4 " + a.String()
}

// rejected writes a stream that is refused or gone: the words of its offer and port 0.
func (w *writer) rejected(i int, s media.Stream, slots []slot) {
	m := slot{media: s.Kind.String(), proto: s.Transport.Profile.String(), formats: ""}
	if s.Kind == media.Other {
		m.media = s.Media
	}
	for _, c := range s.Codecs {
		m.formats += " " + number(c.PT)
	}
	m.formats = strings.TrimSpace(m.formats)
	if i < len(slots) && strings.EqualFold(slots[i].media, m.media) {
		m = slots[i]
	}
	if !token(m.media) {
		m.media = "application"
	}
	if m.proto == "" {
		m.proto = media.AVP.String()
	}
	if m.formats == "" {
		m.formats = "0"
	}
	w.line("m=", m.media, " 0 ", m.proto, " ", m.formats)
	if token(s.Name) {
		w.line("a=mid:", s.Name)
	}
}

func (w *writer) stream(s media.Stream, session netip.Addr) {
	t := s.Transport
	port := t.Addr.Port()
	addr := t.Addr.Addr().Unmap()
	if !addr.IsValid() || port == 0 {
		// Only candidates say where (RFC 8839 section 4.2.1.3).
		addr, port = netip.IPv4Unspecified(), 9
	}
	w.WriteString("m=" + s.Kind.String() + " " + number(port) + " " + t.Profile.String())
	for _, c := range s.Codecs {
		w.WriteString(" " + number(c.PT))
	}
	w.line()
	if addr != session {
		w.line("c=", connection(addr))
	}
	for _, b := range s.Bandwidth {
		if token(b.Type) {
			w.line("b=", b.Type, ":", strconv.FormatUint(b.Value, 10))
		}
	}
	if token(s.Name) {
		w.line("a=mid:", s.Name)
	}
	for _, c := range s.Codecs {
		w.codec(c)
	}
	for _, f := range s.Feedback {
		w.feedback("*", f)
	}
	if s.Metrics {
		w.line("a=rtcp-xr:", voipMetrics)
	}
	if s.AllowMixed {
		w.line("a=extmap-allow-mixed")
	}
	for _, h := range s.HeaderExts {
		w.extmap(h)
	}
	w.ice(t.ICE)
	w.dtls(t.DTLS)
	w.crypto(t.SDES)
	if t.RTCPMux {
		w.line("a=rtcp-mux")
	}
	w.rtcp(t, addr)
	w.sources(s)
	w.candidates(t.ICE)
	ptime, maxptime := packetTimes(s)
	if ptime > 0 {
		w.line("a=ptime:", number(int(ptime/time.Millisecond)))
	}
	if maxptime > 0 {
		w.line("a=maxptime:", number(int(maxptime/time.Millisecond)))
	}
	w.line("a=", s.Direction.String())
}

func (w *writer) codec(c media.Codec) {
	pt := number(c.PT)
	name := spelling(c.Name)
	rtpmap := []string{"a=rtpmap:", pt, " ", name, "/", number(c.ClockRate)}
	channels := c.Channels
	if name == "opus" {
		channels = 2
	}
	if channels > 1 {
		rtpmap = append(rtpmap, "/", number(channels))
	}
	w.line(rtpmap...)
	if params := formatParams(c); params != "" {
		w.line("a=fmtp:", pt, " ", params)
	}
	for _, f := range c.Feedback {
		w.feedback(pt, f)
	}
}

func formatParams(c media.Codec) string {
	params := c.Params
	if c.Event() {
		params = eventParams(append([]media.Param(nil), params...))
	}
	var pieces []string
	for _, p := range params {
		piece := p.Value
		if p.Name != "" && !(c.Event() && p.Name == "events") {
			if !token(p.Name) || strings.ContainsRune(p.Value, ';') {
				continue
			}
			piece = p.Name + "=" + p.Value
		}
		if text(piece) && strings.TrimSpace(piece) == piece {
			pieces = append(pieces, piece)
		}
	}
	return strings.Join(pieces, ";")
}

func (w *writer) feedback(pt string, f media.Feedback) {
	if !token(f.Type) {
		return
	}
	if f.Subtype == "" {
		w.line("a=rtcp-fb:", pt, " ", f.Type)
		return
	}
	if text(f.Subtype) {
		w.line("a=rtcp-fb:", pt, " ", f.Type, " ", f.Subtype)
	}
}

func (w *writer) extmap(h media.HeaderExt) {
	if !iceText(h.URI) || h.ID == 0 {
		return
	}
	parts := []string{"a=extmap:", number(h.ID)}
	if h.Direction != media.SendRecv {
		parts = append(parts, "/", h.Direction.String())
	}
	parts = append(parts, " ", h.URI)
	for _, p := range h.Params {
		piece := p.Value
		if p.Name != "" {
			piece = p.Name + "=" + p.Value
		}
		if iceText(piece) {
			parts = append(parts, " ", piece)
		}
	}
	w.line(parts...)
}

// rtcp writes where RTCP goes when that is not the next port (RFC 3605), if it is not muxed or,
// in an offer, if it is not to be (RFC 5761 section 5.1.1).
func (w *writer) rtcp(t media.Transport, addr netip.Addr) {
	if !t.RTCP.IsValid() || t.RTCP.Port() == 0 {
		return
	}
	if a := t.RTCP.Addr().Unmap(); a != addr {
		w.line("a=rtcp:", number(t.RTCP.Port()), " ", connection(a))
		return
	}
	w.line("a=rtcp:", number(t.RTCP.Port()))
}

func (w *writer) sources(s media.Stream) {
	for _, g := range s.SourceGroups {
		if !token(g.Semantics) || len(g.SSRCs) == 0 {
			continue
		}
		parts := []string{"a=ssrc-group:", g.Semantics}
		for _, ssrc := range g.SSRCs {
			parts = append(parts, " ", number(ssrc))
		}
		w.line(parts...)
	}
	for _, src := range s.Sources {
		for _, p := range src.Params {
			switch {
			case !token(p.Name) || !clean(p.Value):
			case p.Value == "":
				w.line("a=ssrc:", number(src.SSRC), " ", p.Name)
			default:
				w.line("a=ssrc:", number(src.SSRC), " ", p.Name, ":", p.Value)
			}
		}
	}
}

// packetTimes returns what the stream asks for or, if it says nothing, the least that one
// of its payload types does (INTERWORKING 3.3).
func packetTimes(s media.Stream) (ptime, maxptime time.Duration) {
	ptime, maxptime = s.PTime, s.MaxPTime
	for _, c := range s.Codecs {
		if s.PTime == 0 && c.PTime > 0 && (ptime == 0 || c.PTime < ptime) {
			ptime = c.PTime
		}
		if s.MaxPTime == 0 && c.MaxPTime > 0 && (maxptime == 0 || c.MaxPTime < maxptime) {
			maxptime = c.MaxPTime
		}
	}
	return ptime, maxptime
}

// token reports whether s is a token (RFC 8866 section 9): what a name may be.
func token(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7F:
			return false
		case strings.IndexByte(`"(),/:;<=>?@[\]`, c) >= 0:
			return false
		}
	}
	return true
}

// text reports whether s can stand in a line, and is something.
func text(s string) bool { return s != "" && clean(s) }

func clean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7F {
			return false
		}
	}
	return true
}
