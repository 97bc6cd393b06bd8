package msrp

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxURI is how long an address may be, in octets.
const maxURI = 512

// DefaultPort is where an address leads that names no port (RFC 4975 section 15.4).
const DefaultPort = 2855

// A URI is the address of one end of a session, or of a relay on the way (RFC 4975 section 6).
type URI struct {
	Text    string // as it is written in paths
	Secure  bool   // msrps
	Host    string // a name or an address, without brackets
	Port    uint16
	Session string // what tells the sessions of a host apart; empty for a relay
}

// ParseURI reads an address. ok is false for one that is none, or that is not for TCP.
func ParseURI(text string) (u URI, ok bool) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || len(text) > maxURI || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7F }) {
		return u, false
	}
	switch strings.ToLower(scheme) {
	case "msrp":
	case "msrps":
		u.Secure = true
	default:
		return u, false
	}
	rest, params, found := strings.Cut(rest, ";")
	transport, _, _ := strings.Cut(params, ";")
	if !found || !strings.EqualFold(transport, "tcp") {
		return u, false
	}
	authority, session, _ := strings.Cut(rest, "/")
	if _, host, found := strings.Cut(authority, "@"); found {
		authority = host
	}
	u.Host, u.Port = authority, DefaultPort
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		n, err := strconv.ParseUint(authority[i+1:], 10, 16)
		if err != nil || n == 0 {
			return u, false
		}
		u.Host, u.Port = authority[:i], uint16(n)
	}
	if inner, bracketed := strings.CutPrefix(u.Host, "["); bracketed {
		u.Host = strings.TrimSuffix(inner, "]")
		if a, err := netip.ParseAddr(u.Host); err != nil || !a.Is6() {
			return u, false
		}
	} else if strings.ContainsAny(u.Host, ":[]") {
		return u, false
	}
	u.Session, u.Text = session, text
	return u, u.Host != ""
}

// NewURI is the address of a session at a place of ours.
func NewURI(secure bool, at netip.AddrPort, session string) URI {
	scheme := "msrp"
	if secure {
		scheme = "msrps"
	}
	return URI{
		Text:   scheme + "://" + at.String() + "/" + session + ";tcp",
		Secure: secure, Host: at.Addr().String(), Port: at.Port(), Session: session,
	}
}

// Addr is where the address leads, for a dialler.
func (u URI) Addr() string { return net.JoinHostPort(u.Host, strconv.Itoa(int(u.Port))) }

// maxPath is how many addresses a path may have: a peer, and relays before it.
const maxPath = 8

// ParsePath reads a path: addresses with blanks between them.
func ParsePath(text string) (path []URI, ok bool) {
	for word := range strings.FieldsSeq(text) {
		u, ok := ParseURI(word)
		if !ok || len(path) == maxPath {
			return nil, false
		}
		path = append(path, u)
	}
	return path, len(path) > 0
}

// FormatPath writes a path.
func FormatPath(path []URI) string {
	texts := make([]string, len(path))
	for i, u := range path {
		texts[i] = u.Text
	}
	return strings.Join(texts, " ")
}

// last is the end of a path that is no relay.
func last(path []URI) URI {
	if len(path) == 0 {
		return URI{}
	}
	return path[len(path)-1]
}
