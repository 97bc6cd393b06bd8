package media

import (
	"net/netip"
	"slices"
)

// Messages is what a stream of kind Other says of a message session (RFC 4975 section 8). The
// stream is rejected by whoever bridges media; who has message sessions looks here.
type Messages struct {
	Secure bool           // over TLS
	Path   string         // the addresses of the describer, with blanks between them
	Addr   netip.AddrPort // of the connection and media lines; zero if they name none
	Reach  bool           // that address goes before the one in the path (RFC 6714)

	Setup  Setup // who connects (RFC 6135)
	Prints []Fingerprint

	Accept  []string // media types that may be sent
	Wrapped []string // and those in message/cpim alone
	MaxSize int      // octets of a message; 0 if it was not said

	// Room says that the session is one of many in a room (RFC 7701 section 8), with what there is.
	Room, Nicknames, Private bool
}

func (m *Messages) clone() *Messages {
	if m == nil {
		return nil
	}
	c := *m
	c.Prints, c.Accept, c.Wrapped = cloneSlice(m.Prints), cloneSlice(m.Accept), cloneSlice(m.Wrapped)
	return &c
}

// Accepts reports whether messages of a type may be sent, by themselves or, if wrapped, in
// message/cpim.
func (m *Messages) Accepts(kind string, wrapped bool) bool {
	takes := func(all []string) bool {
		return slices.Contains(all, kind) || slices.Contains(all, "*")
	}
	if !wrapped {
		return takes(m.Accept)
	}
	return takes(m.Accept) && slices.Contains(m.Accept, "message/cpim") || takes(m.Wrapped)
}

// Messages returns what a description says of a message session; nil if it has none, or more
// beside it that is not rejected.
func (d Description) Messages() *Messages {
	var found *Messages
	for _, s := range d.Streams {
		switch {
		case s.Messages != nil && found == nil:
			found = s.Messages
		case s.Kind != Other && !s.Rejected:
			return nil
		}
	}
	return found
}

// Converse is the description of a message session. answers is what it answers, if anything: it
// keeps the slots of that, and all but the session's are rejected.
func Converse(m Messages, answers Description) Description {
	own := Stream{Kind: Other, Media: "message", Transport: Transport{Profile: NoRTP}, Messages: &m}
	if answers.Empty() {
		return Description{Streams: []Stream{own}}
	}
	d := Description{Streams: make([]Stream, len(answers.Streams))}
	taken := false
	for i, s := range answers.Streams {
		if s.Messages != nil && !taken {
			taken = true
			d.Streams[i] = own
			d.Streams[i].Name = s.Name
			continue
		}
		d.Streams[i] = Stream{Name: s.Name, Kind: s.Kind, Media: s.Media, Rejected: true, Transport: Transport{Profile: s.Transport.Profile}}
	}
	return d
}
