package sdp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sipxmppgw/gateway/media"
)

const (
	textClock     = 1000 // hertz (RFC 4103 section 3)
	maxRepeats    = 7    // generations of a block
	maxCharacters = 1000 // a second; more than anyone types
)

// finishTyped puts together what was said of text that is seen while it is typed (RFC 4102,
// RFC 4103 sections 6 and 9); nil if it was nothing that can be understood.
func (s *stream) finishTyped(session *section) *media.Typed {
	profile := s.Transport.Profile
	if !strings.EqualFold(s.Media, "text") || s.port == 0 || profile == media.NoRTP {
		return nil
	}
	t := media.Typed{Profile: profile, Direction: s.direction}
	if !s.directed {
		t.Direction = session.direction
	}
	if t.SDES = s.crypto; t.SDES == nil {
		t.SDES = slices.Clone(session.crypto)
	}
	addr := s.addr
	if !addr.IsValid() {
		addr = session.addr
	}
	if !addr.IsValid() {
		return nil
	}
	t.Addr = netip.AddrPortFrom(addr, s.port)
	found := false
	for _, c := range s.offered() {
		if strings.EqualFold(c.Name, "t140") && c.ClockRate == textClock && !found {
			found, t.Text, t.Red = true, c.PT, c.PT
			if word, ok := c.Param("cps"); ok {
				if n, err := strconv.Atoi(word); err == nil && n > 0 {
					t.Rate = min(n, maxCharacters)
				}
			}
		}
	}
	if !found {
		return nil
	}
	for _, c := range s.offered() {
		if strings.EqualFold(c.Name, "red") && c.ClockRate == textClock && t.Red == t.Text {
			if n := repeats(c, t.Text); n > 0 {
				t.Red, t.Generations = c.PT, n
			}
		}
	}
	return &t
}

// offered are the payload types that were explained, in the order of the m= line.
func (s *stream) offered() []media.Codec {
	var all []media.Codec
	for _, f := range s.formats {
		if n, err := strconv.ParseUint(f, 10, 7); err == nil && s.codecs[uint8(n)] != nil {
			all = append(all, *s.codecs[uint8(n)])
		}
	}
	return all
}

// repeats reads how often blocks of a type are repeated: once less than it stands in the
// format parameters, as in 98/98/98 (RFC 4103 section 9.2); 0 if they are not.
func repeats(c media.Codec, kind uint8) int {
	if len(c.Params) == 0 {
		return 0
	}
	n := -1
	for word := range strings.SplitSeq(c.Params[0].Value, "/") {
		if strings.TrimSpace(word) != number(kind) {
			return 0
		}
		n++
	}
	return min(n, maxRepeats)
}

// typed writes text that is seen while it is typed.
func (w *writer) typed(s media.Stream, session netip.Addr) {
	t := s.Typed
	w.WriteString("m=text " + number(t.Addr.Port()) + " " + t.Profile.String())
	if t.Red != t.Text {
		w.WriteString(" " + number(t.Red))
	}
	w.line(" ", number(t.Text))
	if a := t.Addr.Addr().Unmap(); a.IsValid() && a != session {
		w.line("c=", connection(a))
	}
	if token(s.Name) {
		w.line("a=mid:", s.Name)
	}
	w.line("a=rtpmap:", number(t.Text), " t140/", number(textClock))
	if t.Rate > 0 {
		w.line("a=fmtp:", number(t.Text), " cps=", number(t.Rate))
	}
	if t.Red != t.Text {
		w.line("a=rtpmap:", number(t.Red), " red/", number(textClock))
		kind := number(t.Text)
		w.line("a=fmtp:", number(t.Red), " ", kind, strings.Repeat("/"+kind, t.Generations))
	}
	w.crypto(t.SDES)
	w.line("a=", t.Direction.String())
}
