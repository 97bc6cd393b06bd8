package signaling

import (
	"net/netip"
	"strings"

	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
)

// trunks are the SIP peers, in the order of the config.
type trunks []Trunk

// of returns the trunk that a request belongs to: the one with the longest prefix that holds
// its source, or nil. Of several at one address, such as two PBXs on one machine, it is the
// one that listens at the very port. The transport is that of the trunk, but TCP is as good
// as UDP, to which large requests are not fit (RFC 3261 section 18.1.1).
func (ts trunks) of(source netip.AddrPort, t stack.Transport) *Trunk {
	var best *Trunk
	most, exact := -1, false
	for i := range ts {
		bits, at := ts[i].admits(source.Addr(), t), ts[i].listens(source)
		if bits > most || bits >= 0 && bits == most && at && !exact {
			best, most, exact = &ts[i], bits, at
		}
	}
	return best
}

// admits returns the length of the longest prefix among the trunk's sources that holds an
// address, or -1 for none.
func (t *Trunk) admits(addr netip.Addr, over stack.Transport) int {
	bits := -1
	if secure(t.transport()) != secure(over) {
		return bits
	}
	for _, p := range t.Sources {
		if p.Contains(addr.Unmap()) {
			bits = max(bits, p.Bits())
		}
	}
	if len(t.Sources) == 0 && t.places.holds(addr.Unmap()) {
		return addr.Unmap().BitLen()
	}
	return bits
}

// within reports whether a request in a dialog of the trunk may come from an address: one
// that it may call from, or one where requests to it go.
func (t *Trunk) within(addr netip.Addr, over stack.Transport) bool {
	return secure(t.transport()) == secure(over) && t.holds(addr)
}

// knows reports whether something may come from an address at all, if only responses.
func (ts trunks) knows(source netip.AddrPort, t stack.Transport) bool {
	for i := range ts {
		if ts[i].within(source.Addr(), t) {
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

// secure reports whether a transport knows its peer by more than the address.
func secure(t stack.Transport) bool { return t == stack.TLS || t == stack.WSS }

// named returns the trunk of that name, or nil.
func (ts trunks) named(name string) *Trunk {
	for i := range ts {
		if ts[i].Name == name {
			return &ts[i]
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

// port is where requests go, 5060 or 5061 when nothing is said (RFC 3261 section 19.1.2).
func (t *Trunk) port() uint16 {
	switch {
	case t.Next.Port != 0:
		return t.Next.Port
	case secure(t.transport()):
		return 5061
	}
	return 5060
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
	next := stack.Target{Transport: stack.UDP, Host: a.String(), Port: uint16(u.Port), Stream: t.Next.Stream}
	if p, ok := u.UriParams.Get("transport"); ok && strings.EqualFold(p, "tcp") {
		next.Transport = stack.TCP
	}
	return next
}

// phone returns where a transfer to a URI of the trunk's goes: to an address and port of its
// own, if the URI says one, or else where all calls go.
func (t *Trunk) phone(uri string) stack.Target {
	if u, ok := requestURI(uri); ok && u.Port != 0 {
		return t.hop(uri, t.Next)
	}
	return t.Next
}

// literal reads an IP literal, with or without brackets.
func literal(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return a.Unmap(), err == nil
}
