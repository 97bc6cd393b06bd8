package sdp

import (
	"mime"
	"net/netip"
	"strconv"
	"strings"

	"sipxmppgw/gateway/media"
)

// The bounds of what is read of a message session.
const (
	maxTypes = 32
	maxPath  = 2048 // octets
)

// session reads what an m= line of messages says; nil for one of anything else.
func session(word, proto string) *media.Messages {
	if !strings.EqualFold(word, "message") {
		return nil
	}
	switch strings.ToUpper(proto) {
	case "TCP/MSRP":
		return &media.Messages{}
	case "TCP/TLS/MSRP":
		return &media.Messages{Secure: true}
	}
	return nil
}

// messageAttribute takes what is said of a message session (RFC 4975 section 8, RFC 7701
// section 8, RFC 6714).
func messageAttribute(m *media.Messages, name, value string) {
	switch name {
	case "path":
		if len(value) <= maxPath {
			m.Path = value
		}
	case "accept-types":
		m.Accept = types(value)
	case "accept-wrapped-types":
		m.Wrapped = types(value)
	case "max-size":
		if n, err := strconv.ParseUint(value, 10, 31); err == nil {
			m.MaxSize = int(n)
		}
	case "msrp-cema":
		m.Reach = true
	case "chatroom":
		m.Room = true
		for _, word := range strings.Fields(value) {
			switch strings.ToLower(word) {
			case "nickname", "nicknames":
				m.Nicknames = true
			case "private-messages":
				m.Private = true
			}
		}
	}
}

// types reads media types, without their parameters.
func types(value string) []string {
	var all []string
	for word := range strings.FieldsSeq(value) {
		kind, _, err := mime.ParseMediaType(word)
		if len(all) < maxTypes && (err == nil || word == "*") {
			if word == "*" {
				kind = word
			}
			all = append(all, kind)
		}
	}
	return all
}

// finishMessages puts together what was said of a message session.
func (s *stream) finishMessages(session *section) *media.Messages {
	m := s.Messages
	if m == nil || s.port == 0 {
		return nil
	}
	dtls := s.dtls
	if dtls.Fingerprints == nil {
		dtls.Fingerprints = session.dtls.Fingerprints
	}
	if dtls.Setup == media.SetupNone {
		dtls.Setup = session.dtls.Setup
	}
	m.Setup, m.Prints = dtls.Setup, dtls.Fingerprints
	addr := s.addr
	if !addr.IsValid() {
		addr = session.addr
	}
	if addr.IsValid() {
		m.Addr = netip.AddrPortFrom(addr, s.port)
	}
	return m
}

// messages writes a message session.
func (w *writer) messages(s media.Stream, session netip.Addr) {
	m := s.Messages
	proto := "TCP/MSRP"
	if m.Secure {
		proto = "TCP/TLS/MSRP"
	}
	w.line("m=message ", number(m.Addr.Port()), " ", proto, " *")
	if a := m.Addr.Addr().Unmap(); a.IsValid() && a != session {
		w.line("c=", connection(a))
	}
	if token(s.Name) {
		w.line("a=mid:", s.Name)
	}
	list := func(name string, words []string) {
		var fit []string
		for _, t := range words {
			if _, _, err := mime.ParseMediaType(t); err == nil || t == "*" {
				fit = append(fit, t)
			}
		}
		if len(fit) > 0 {
			w.line("a=", name, ":", strings.Join(fit, " "))
		}
	}
	list("accept-types", m.Accept)
	list("accept-wrapped-types", m.Wrapped)
	if text(m.Path) {
		w.line("a=path:", m.Path)
	}
	if m.Reach {
		w.line("a=msrp-cema")
	}
	w.dtls(&media.DTLS{Setup: m.Setup, Fingerprints: m.Prints})
	if m.MaxSize > 0 {
		w.line("a=max-size:", number(m.MaxSize))
	}
	if m.Room {
		words := ""
		if m.Nicknames {
			words += " nickname"
		}
		if m.Private {
			words += " private-messages"
		}
		w.line("a=chatroom", strings.Replace(words, " ", ":", 1))
	}
}
