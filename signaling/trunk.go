package signaling

import (
	"net/netip"
	"strings"

	"sipxmppgw/signaling/stack"
)

// trunks are the SIP peers, in the order of the config.
type trunks []Trunk

// of returns the trunk that a request belongs to: the one with the longest prefix that holds
// its source, or nil. The transport is that of the trunk, but TCP is as good as UDP, to
// which large requests are not fit (RFC 3261 section 18.1.1).
func (ts trunks) of(addr netip.Addr, t stack.Transport) *Trunk {
	addr = addr.Unmap()
	var best *Trunk
	bits := -1
	for i := range ts {
		if secure(ts[i].transport()) != secure(t) {
			continue
		}
		for _, p := range ts[i].Sources {
			if p.Bits() > bits && p.Contains(addr) {
				best, bits = &ts[i], p.Bits()
			}
		}
	}
	return best
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

func (t *Trunk) transport() stack.Transport {
	if t.Next.Transport == "" {
		return stack.UDP
	}
	return t.Next.Transport
}

// at is an address of the trunk, to choose a listener by: where requests go or, if that is
// a name, where they come from.
func (t *Trunk) at() netip.Addr {
	if a, ok := literal(t.Next.Host); ok {
		return a
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
	return ok && next == a.Unmap()
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

// literal reads an IP literal, with or without brackets.
func literal(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return a.Unmap(), err == nil
}
