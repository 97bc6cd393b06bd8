package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
)

// A reach is what others reach us by: an address of one family or two, the main one first, and
// why these.
type reach struct {
	addrs []netip.Addr
	why   string
	given bool // by the configuration or STUN: what is bound does not matter
}

// main is the address that stands where there is room for one.
func (r reach) main() netip.Addr { return r.addrs[0] }

// like returns the address of the same family as another.
func (r reach) like(a netip.Addr) (netip.Addr, bool) {
	for _, own := range r.addrs {
		if own.Is4() == a.Unmap().Is4() {
			return own, true
		}
	}
	return netip.Addr{}, false
}

func (r reach) String() string {
	var all []string
	for _, a := range r.addrs {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

// advertised finds what SIP peers reach us by: what is configured, what a STUN server sees, the
// address that a socket is bound to, or the one of this machine that leads to the first trunk.
func advertised(c config.Config, dns *resolve.Resolver, log *slog.Logger) (reach, error) {
	given, auto, err := config.ParseExternal(c.SIP.ExternalAddress...)
	if err != nil {
		return reach{}, fmt.Errorf("sip.external_address: %w", err)
	}
	if len(given) > 0 {
		return reach{given, "sip.external_address says so", true}, nil
	}
	if auto {
		seen, server, err := mapped(c)
		if err == nil {
			return reach{[]netip.Addr{seen}, "STUN server " + server + " sees us there", true}, nil
		}
		log.Warn("sip.external_address is not known; an address of this machine is taken", "stun_server", server, "error", err)
	}
	for _, l := range c.SIP.Listen {
		if _, at, err := config.ParseListen(l); err == nil && !at.Addr().IsUnspecified() {
			return reach{[]netip.Addr{at.Addr().Unmap()}, l + " is bound to it", false}, nil
		}
	}
	r, at, err := leading(c, dns, log)
	if err != nil {
		return r, err
	}
	if other, err := leadsTo(outsideOf(!r.main().Is4())); err == nil && listensOn(c, !r.main().Is4()) {
		r.addrs = append(r.addrs, other)
	}
	if own := r.main(); len(c.Trunks) > 0 && signaling.Public(at.Addr()) && !signaling.Public(own) {
		log.Warn("the trunk is on the Internet and our address is not: behind a NAT sip.external_address is needed, or auto",
			"trunk", c.Trunks[0].Name, "advertised", own.String())
	}
	return r, nil
}

// leading finds the address that leads to the first trunk, and where that is.
func leading(c config.Config, dns *resolve.Resolver, log *slog.Logger) (r reach, at netip.AddrPort, err error) {
	if len(c.Trunks) == 0 {
		addr, err := leadsTo(outsideOf(true))
		return reach{addrs: []netip.Addr{addr}, why: "it leads out"}, outsideOf(true), err
	}
	t := c.Trunks[0]
	next, err := nextHop(t)
	if err != nil {
		return r, at, fmt.Errorf("trunks[0].address: %w", err)
	}
	r.why = "it leads to trunk " + t.Name
	switch {
	case next.Host == "":
		at, r.why = outsideOf(true), "it leads out"
	default:
		if at, err = placeOf(next, dns); err != nil {
			// DNS may be up later than we; most machines have one address that leads out.
			log.Warn("trunk is not found; sip.external_address is taken to be the address that leads out", "trunk", t.Name, "error", err)
			at, r.why = outsideOf(true), "it leads out"
		}
	}
	addr, err := leadsTo(at)
	if err != nil {
		return r, at, fmt.Errorf("sip.external_address is needed: the address that leads to trunk %s is not known: %w", t.Name, err)
	}
	r.addrs = []netip.Addr{addr}
	return r, at, nil
}

// mapped asks a STUN server where it sees us, and says which.
func mapped(c config.Config) (seen netip.Addr, server string, err error) {
	if server, err = stunServer(c); err != nil {
		return netip.Addr{}, "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	seen, err = stack.Mapped(ctx, server)
	return seen, server, err
}

// listensOn says whether a socket takes packets of a family.
func listensOn(c config.Config, is4 bool) bool {
	return slices.ContainsFunc(c.SIP.Listen, func(l string) bool {
		_, at, err := config.ParseListen(l)
		return err == nil && (at.Addr() == netip.IPv6Unspecified() || at.Addr().Unmap().Is4() == is4)
	})
}

// outsideOf is any address that is not here (RFC 5737, RFC 3849).
func outsideOf(is4 bool) netip.AddrPort {
	if is4 {
		return netip.MustParseAddrPort("192.0.2.1:9")
	}
	return netip.MustParseAddrPort("[2001:db8::1]:9")
}

// placeOf returns the address and port of a target, the preferred one if there are several.
func placeOf(t stack.Target, dns *resolve.Resolver) (netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a, err := dns.Lookup(ctx, t.Query())
	if err != nil {
		return netip.AddrPort{}, err
	}
	return a.Targets[0].Addr, nil
}

// leadsTo returns the local address of packets to a place. Nothing is sent.
func leadsTo(to netip.AddrPort) (netip.Addr, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	at, err := netip.ParseAddrPort(conn.LocalAddr().String())
	return at.Addr().Unmap(), err
}

// resolverOf finds names over what we listen on.
func resolverOf(c config.Config) *resolve.Resolver {
	o := resolve.Options{Families: resolve.IPv4Only}
	four := false
	for _, l := range c.SIP.Listen {
		transport, at, err := config.ParseListen(l)
		if err != nil {
			continue // it is reported when it is bound
		}
		four = four || at.Addr() == netip.IPv6Unspecified() || at.Addr().Unmap().Is4()
		t := resolve.Transport(strings.ToUpper(transport))
		if known := t == resolve.UDP || t == resolve.TCP || t == resolve.TLS; known && !slices.Contains(o.Transports, t) {
			o.Transports = append(o.Transports, t)
		}
		if at.Addr().Is6() {
			o.Families = resolve.IPv4First
		}
	}
	if !four {
		o.Families = resolve.IPv6Only
	}
	return resolve.New(o)
}

// listen binds the sockets of the SIP side.
func listen(c config.Config, r reach) (bound []stack.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range bound {
				_ = socket(l).Close()
			}
		}
	}()
	var lc net.ListenConfig
	if !c.SIP.Unmarked {
		lc.Control = mark
	}
	for i, s := range c.SIP.Listen {
		transport, at, err := config.ParseListen(s)
		if err != nil {
			return bound, err
		}
		l := stack.Listener{Transport: stack.Transport(strings.ToUpper(transport))}
		l.External, l.Other = outward(at.Addr(), r)
		switch l.Transport {
		case stack.UDP:
			l.Packet, err = lc.ListenPacket(context.Background(), "udp", at.String())
		case stack.SCTP:
			if l.Stream, err = stack.ListenSCTP(at); err != nil {
				err = fmt.Errorf("%s: %w", s, err) // the system's own errors name the socket
			}
		default:
			l.Stream, err = lc.Listen(context.Background(), "tcp", at.String())
			if l.Stream != nil && !c.SIP.Unmarked {
				l.Stream = marking{l.Stream}
			}
		}
		if err != nil {
			return bound, fmt.Errorf("sip.listen[%d]: %w", i, err)
		}
		bound = append(bound, l)
	}
	return bound, nil
}

// outward is what a socket bound to an address is reached by, with the port 0 for its own. The
// other is of the other family, of a socket that takes both.
func outward(at netip.Addr, r reach) (external, other netip.AddrPort) {
	if !at.IsUnspecified() {
		if a, ok := r.like(at); ok && r.given {
			external = netip.AddrPortFrom(a, 0)
		}
		return external, other
	}
	external = netip.AddrPortFrom(r.main(), 0)
	if a, ok := r.like(at); ok && at.Is4() {
		return netip.AddrPortFrom(a, 0), other
	}
	if len(r.addrs) > 1 && at.Is6() {
		other = netip.AddrPortFrom(r.addrs[1], 0)
	}
	return external, other
}

// socket is the one of a listener.
func socket(l stack.Listener) interface{ Close() error } {
	if l.Packet != nil {
		return l.Packet
	}
	return l.Stream
}

// secureOf is what TLS stands on. Without a certificate of ours we can call, but not be called.
func secureOf(c config.Config, log *slog.Logger) (*stack.Secure, error) {
	t := c.SIP.TLS
	files := stack.KeyFiles{Certificate: t.Certificate, Key: t.Key, Roots: t.CA}
	for _, pair := range t.Further {
		files.Further = append(files.Further, stack.KeyPair{Certificate: pair.Certificate, Key: pair.Key})
	}
	keys, err := stack.ReadKeys(files, log)
	if err != nil {
		return nil, fmt.Errorf("sip.tls: %w", err)
	}
	s := &stack.Secure{Keys: keys, MinVersion: tls.VersionTLS12, Wildcards: t.Wildcards}
	if t.MinVersion == "1.3" {
		s.MinVersion = tls.VersionTLS13
	}
	return s, nil
}

// boundTo returns the address and port of a listener.
func boundTo(l stack.Listener) (netip.AddrPort, error) {
	if l.Packet != nil {
		return netip.ParseAddrPort(l.Packet.LocalAddr().String())
	}
	return netip.ParseAddrPort(l.Stream.Addr().String())
}

func machineAddrs() []netip.Addr {
	var all []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr())
		}
	}
	return all
}

// uriHost writes an address as the host of a URI.
func uriHost(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}
