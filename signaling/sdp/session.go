package sdp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sipxmppgw/gateway/media"
)

// An Origin is who we are in a session: what the o= line says (RFC 8866 section 5.2).
type Origin struct {
	User string     // as much of it as is a token; "-" if nothing is left
	ID   uint64     // of the session, below 2^62
	Addr netip.Addr // ours, also where no stream has an address
}

// A Session is our side of one dialog. The zero value is not ready; use [NewSession].
type Session struct {
	origin  Origin
	user    string
	version uint64
	last    string // all but the o= line, as we wrote it last
	slots   []slot // m= lines of either side, by slot
	names   map[string]string
}

// NewSession returns a session that has written nothing yet.
func NewSession(o Origin) *Session {
	return &Session{origin: o, user: username(o.User), names: map[string]string{}}
}

// username keeps of a user what may stand in an o= line.
func username(user string) string {
	var b strings.Builder
	for _, c := range user {
		if c < 0x80 && token(string(c)) && b.Len() < 64 {
			b.WriteRune(c)
		}
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

// Parse reads what the peer describes. An error is an [*Error].
func (s *Session) Parse(text []byte) (media.Description, error) {
	d, slots, err := parse(string(text))
	if err != nil {
		return d, err
	}
	s.slots = slots
	for i := range d.Streams {
		if name, ok := s.names[d.Streams[i].Name]; ok {
			d.Streams[i].Name = name
		}
	}
	for i := range d.Bundle {
		if name, ok := s.names[d.Bundle[i]]; ok {
			d.Bundle[i] = name
		}
	}
	return d, nil
}

// Format writes our description. The version of the o= line grows when anything else
// has changed since the last time, and only then (RFC 3264 section 8).
func (s *Session) Format(d media.Description) []byte {
	rest := body(s.named(d), s.slots, s.origin.Addr)
	if rest != s.last {
		s.version++
		s.last = rest
	}
	var w writer
	w.line("v=0")
	w.line("o=", s.user, " ", strconv.FormatUint(s.origin.ID, 10), " ",
		strconv.FormatUint(s.version, 10), " ", connection(s.origin.Addr.Unmap()))
	w.WriteString(rest)
	return []byte(w.String())
}

// named gives each stream whose name cannot be a mid one that can.
func (s *Session) named(d media.Description) media.Description {
	fits := func(name string) bool { return name == "" || token(name) }
	if !slices.ContainsFunc(d.Streams, func(t media.Stream) bool { return !fits(t.Name) }) {
		return d
	}
	d = d.Clone()
	for i := range d.Streams {
		name := d.Streams[i].Name
		if fits(name) {
			continue
		}
		mid := s.mid(d, name)
		d.Streams[i].Name = mid
		for j := range d.Bundle {
			if d.Bundle[j] == name {
				d.Bundle[j] = mid
			}
		}
	}
	return d
}

// mid returns the one that stands for a name, now and later.
func (s *Session) mid(d media.Description, name string) string {
	for mid, n := range s.names {
		if n == name {
			return mid
		}
	}
	for i := 0; ; i++ {
		mid := strconv.Itoa(i)
		if _, used := s.names[mid]; !used && d.Stream(mid) == nil {
			s.names[mid] = name
			return mid
		}
	}
}
