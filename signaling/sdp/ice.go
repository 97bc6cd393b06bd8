package sdp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sipxmppgw/gateway/media"
)

// iceLines are the ICE attributes of one level (RFC 8839).
type iceLines struct {
	media.ICE
	options bool // ice-options was said here
}

func (l *iceLines) attribute(name, value string) {
	switch name {
	case "ice-ufrag":
		l.Ufrag = value
	case "ice-pwd":
		l.Pwd = value
	case "ice-lite":
		l.Lite = true
	case "ice-options":
		l.options = true
		options := strings.Fields(value)
		l.Trickle = slices.Contains(options, "trickle")
		l.Renomination = slices.Contains(options, "renomination")
	case "end-of-candidates":
		l.Complete = true
	case "candidate":
		if c, ok := parseCandidate(value); ok {
			l.Candidates = append(l.Candidates, c)
		}
	}
}

// under completes a stream's lines with those of the session. It is nil without
// credentials, which make candidates worthless.
func (l iceLines) under(session iceLines) *media.ICE {
	i := l.ICE
	if i.Ufrag == "" && i.Pwd == "" {
		i.Ufrag, i.Pwd = session.Ufrag, session.Pwd
	}
	if !iceText(i.Ufrag) || !iceText(i.Pwd) {
		return nil
	}
	if !l.options {
		i.Trickle, i.Renomination = session.Trickle, session.Renomination
	}
	i.Lite = i.Lite || session.Lite
	i.Complete = i.Complete || session.Complete
	return &i
}

// iceText reports whether s is a user fragment, a password or a foundation: ice-char of
// RFC 8839 section 5.1. Some write more than that; no space and no control is enough to
// be safe.
func iceText(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return true
}

// parseCandidate reads a candidate (RFC 8839 section 5.1). Those with a name instead of an
// address cannot be used.
func parseCandidate(value string) (c media.Candidate, ok bool) {
	f := strings.Fields(value)
	if len(f) < 8 || !strings.EqualFold(f[6], "typ") || !iceText(f[0]) {
		return c, false
	}
	component, err1 := strconv.ParseUint(f[1], 10, 16)
	priority, err2 := strconv.ParseUint(f[3], 10, 32)
	addr, err3 := netip.ParseAddr(f[4])
	port, err4 := strconv.ParseUint(f[5], 10, 16)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || addr.Zone() != "" {
		return c, false
	}
	c = media.Candidate{
		Foundation: f[0],
		Component:  uint16(component),
		Protocol:   strings.ToLower(f[2]),
		Priority:   uint32(priority),
		Addr:       netip.AddrPortFrom(addr.Unmap(), uint16(port)),
		Type:       strings.ToLower(f[7]),
	}
	if !token(c.Protocol) || !token(c.Type) {
		return c, false
	}
	var related netip.Addr
	var relatedPort uint64
	for i := 8; i+1 < len(f); i += 2 {
		switch v := f[i+1]; strings.ToLower(f[i]) {
		case "raddr":
			related, _ = netip.ParseAddr(v)
		case "rport":
			relatedPort, _ = strconv.ParseUint(v, 10, 16)
		case "tcptype":
			if token(v) {
				c.TCPType = v
			}
		case "generation":
			if g, err := strconv.ParseUint(v, 10, 8); err == nil {
				c.Generation = uint8(g)
			}
		}
	}
	if related.IsValid() && related.Zone() == "" {
		c.Related = netip.AddrPortFrom(related.Unmap(), uint16(relatedPort))
	}
	return c, true
}

func (w *writer) ice(i *media.ICE) {
	if i == nil || !iceText(i.Ufrag) || !iceText(i.Pwd) {
		return
	}
	w.line("a=ice-ufrag:", i.Ufrag)
	w.line("a=ice-pwd:", i.Pwd)
	var options []string
	if i.Trickle {
		options = append(options, "trickle")
	}
	if i.Renomination {
		options = append(options, "renomination")
	}
	if options != nil {
		w.line("a=ice-options:", strings.Join(options, " "))
	}
}

func (w *writer) candidates(i *media.ICE) {
	if i == nil || !iceText(i.Ufrag) || !iceText(i.Pwd) {
		return
	}
	for _, c := range i.Candidates {
		if s, ok := formatCandidate(c); ok {
			w.line("a=candidate:", s)
		}
	}
	if i.Complete {
		w.line("a=end-of-candidates")
	}
}

func formatCandidate(c media.Candidate) (string, bool) {
	if !iceText(c.Foundation) || !token(c.Protocol) || !token(c.Type) || !c.Addr.Addr().IsValid() || c.Addr.Addr().Zone() != "" {
		return "", false
	}
	f := []string{
		c.Foundation, number(c.Component), c.Protocol, number(c.Priority),
		c.Addr.Addr().Unmap().String(), number(c.Addr.Port()), "typ", c.Type,
	}
	related := c.Related
	if !related.Addr().IsValid() && c.Type != "host" {
		// It must be said of all but host candidates (RFC 8839 section 5.1).
		none := netip.IPv4Unspecified()
		if c.Addr.Addr().Unmap().Is6() {
			none = netip.IPv6Unspecified()
		}
		related = netip.AddrPortFrom(none, 9)
	}
	if related.Addr().IsValid() && related.Addr().Zone() == "" {
		f = append(f, "raddr", related.Addr().Unmap().String(), "rport", number(related.Port()))
	}
	if c.TCPType != "" && token(c.TCPType) {
		f = append(f, "tcptype", c.TCPType)
	}
	if c.Generation != 0 {
		f = append(f, "generation", number(c.Generation))
	}
	return strings.Join(f, " "), true
}
