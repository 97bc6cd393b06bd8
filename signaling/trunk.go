package signaling

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
)

// trunks are the SIP peers, in the order of the config.
type trunks []*Trunk

// of returns the trunk that a request belongs to, or nil: the one whose certificate it has or
// else the one with the longest prefix that holds its source. Of several at one address, such
// as two PBXs on one machine, it is the one that listens at the very port. The transport is
// that of the trunk, but TCP is as good as UDP, to which large requests are not fit (RFC 3261
// section 18.1.1).
func (ts trunks) of(p stack.Peer) *Trunk {
	var best *Trunk
	most, exact := -1, false
	for i := range ts {
		bits, at := ts[i].admits(p), ts[i].listens(p.Addr)
		if bits > most || bits >= 0 && bits == most && at && !exact {
			best, most, exact = ts[i], bits, at
		}
	}
	return best
}

// proved is more than the bits of any address: who shows a certificate is known by it.
const proved = 1000

// admits returns how well a peer is known to be the trunk, or -1 if it is not: by the length
// of the longest prefix among its sources that holds the address and, if the trunk has to
// prove who it is, more. Over anything but TLS nobody proves anything (RELIABILITY 4, row 33).
func (t *Trunk) admits(p stack.Peer) int {
	bits := -1
	if !t.speaks(p.Transport) || t.flows != nil {
		return bits // it says by itself who it is
	}
	for _, s := range t.Sources {
		if s.Contains(p.Addr.Addr().Unmap()) {
			bits = max(bits, s.Bits())
		}
	}
	switch {
	case t.Identity != "" && !t.proves(p):
		return -1
	case t.Identity != "" && len(t.Sources) == 0:
		return proved
	case t.Identity != "" && bits >= 0:
		return proved + bits
	case len(t.Sources) == 0 && t.places.holds(p.Addr.Addr().Unmap()):
		return p.Addr.Addr().Unmap().BitLen()
	}
	return bits
}

// proves reports whether a peer's certificate is for the trunk.
func (t *Trunk) proves(p stack.Peer) bool {
	return slices.ContainsFunc(p.Domains, func(d string) bool { return strings.EqualFold(d, t.Identity) })
}

// speaks reports whether a trunk uses a transport, or one that is as good.
func (t *Trunk) speaks(over stack.Transport) bool { return kind(t.transport()) == kind(over) }

// kind is what transports have in common that a peer may choose among: UDP, TCP and SCTP know
// it by no more than its address.
func kind(t stack.Transport) stack.Transport {
	if t == stack.TCP || t == stack.SCTP {
		return stack.UDP
	}
	return t
}

// within reports whether a request in a dialog of the trunk may come from a peer: one that may
// call, or one at an address where requests to the trunk go.
func (t *Trunk) within(p stack.Peer) bool {
	if t.flows != nil && t.flows.holds(t, p.Transport, p.Addr) {
		return true
	}
	if t.Identity != "" {
		return t.admits(p) >= 0
	}
	return t.speaks(p.Transport) && t.holds(p.Addr.Addr())
}

// fits reports whether a peer that has proved to be the trunk comes from where it may.
func (t *Trunk) fits(p stack.Peer) bool {
	if t.Identity != "" && !t.proves(p) {
		return false
	}
	return len(t.Sources) == 0 || slices.ContainsFunc(t.Sources, func(s netip.Prefix) bool { return s.Contains(p.Addr.Addr().Unmap()) })
}

// knows reports whether something may come from an address at all, if only responses, before
// anything else is known of who is there.
func (ts trunks) knows(source netip.AddrPort, t stack.Transport) bool {
	for i := range ts {
		if ts[i].speaks(t) && ts[i].holds(source.Addr()) {
			return true
		}
	}
	return false
}

// identified reports whether a peer is one of the trunks by its certificate.
func (ts trunks) identified(p stack.Peer) bool {
	for i := range ts {
		if ts[i].Identity != "" && ts[i].admits(p) >= 0 {
			return true
		}
	}
	return false
}

// within reports whether a peer is any trunk's, if only for what is in a dialog.
func (ts trunks) within(p stack.Peer) bool {
	for i := range ts {
		if ts[i].within(p) {
			return true
		}
	}
	return false
}

// listens reports whether requests to the trunk go to that very address and port.
func (t *Trunk) listens(at netip.AddrPort) bool {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if _, ok := t.places.find(func(p resolve.Target) bool { return p.Addr == at }); ok {
		return true
	}
	a, ok := literal(t.Next.Host)
	return ok && a == at.Addr() && t.port() == at.Port()
}

// named returns the trunk of that name, or nil.
func (ts trunks) named(name string) *Trunk {
	for i := range ts {
		if ts[i].Name == name {
			return ts[i]
		}
	}
	return nil
}

// transport is how requests go: as DNS says it if nothing else does.
func (t *Trunk) transport() stack.Transport {
	if t.Next.Transport != "" {
		return t.Next.Transport
	}
	if p, ok := t.places.first(); ok {
		return stack.Transport(p.Transport)
	}
	return stack.UDP
}

// port is where requests go: the transport's own when nothing is said.
func (t *Trunk) port() uint16 {
	if t.Next.Port != 0 {
		return t.Next.Port
	}
	return t.transport().Port()
}

// at is an address of the trunk, to choose a listener by: where requests go or, if that is
// a name, where they come from.
func (t *Trunk) at() netip.Addr {
	if a, ok := literal(t.Next.Host); ok {
		return a
	}
	if p, ok := t.places.first(); ok {
		return p.Addr.Addr()
	}
	if len(t.Sources) > 0 {
		return t.Sources[0].Addr()
	}
	return netip.IPv4Unspecified()
}

// holds reports whether an address is one of the trunk's own.
func (t *Trunk) holds(a netip.Addr) bool {
	for _, p := range t.Sources {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	next, ok := literal(t.Next.Host)
	return ok && next == a.Unmap() || t.places.holds(a.Unmap())
}

// hop returns where a URI of the peer's leads to, if that is the trunk itself: no peer can
// make us send anywhere else (RELIABILITY 4, row 30).
func (t *Trunk) hop(uri string, def stack.Target) stack.Target {
	u, ok := requestURI(uri)
	if !ok {
		return def
	}
	a, ok := literal(u.Host)
	if !ok || !t.holds(a) || u.Port < 0 || u.Port > 65535 {
		return def
	}
	over := viaURI(u)
	switch own := t.transport(); {
	case own.Secure() && !over.Secure(), (over.Secure() || over == stack.WS) && over != own:
		return def // neither less than the trunk is known by, nor what it was not set up for
	}
	return stack.Target{
		Transport: over, Host: a.String(), Port: uint16(u.Port), Identity: t.Next.Identity,
		Stream: t.Next.Stream, Secure: def.Secure, Over: def.Over,
	}
}

// viaURI is the transport that a URI names (RFC 3261 section 19.1.1, RFC 7118 section 5.2).
func viaURI(u sip.Uri) stack.Transport {
	p, _ := u.UriParams.Get("transport")
	sips := strings.EqualFold(u.Scheme, "sips")
	switch p = strings.ToLower(p); {
	case p == "ws" && sips || p == "wss":
		return stack.WSS
	case p == "ws":
		return stack.WS
	case p == "tls" || sips:
		return stack.TLS
	case p == "tcp":
		return stack.TCP
	case p == "sctp":
		return stack.SCTP
	}
	return stack.UDP
}

// phone returns where a transfer to a URI of the trunk's goes: to an address and port of its
// own, if the URI says one, or else where all calls go.
func (t *Trunk) phone(uri string, next stack.Target) stack.Target {
	if u, ok := requestURI(uri); ok && u.Port != 0 {
		return t.hop(uri, next)
	}
	return next
}

// literal reads an IP literal, with or without brackets.
func literal(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return a.Unmap(), err == nil
}
