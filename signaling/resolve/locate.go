package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxTargets is how many targets an answer has; a call tries only a few.
const maxTargets = 64

// A search is one lookup.
type search struct {
	r       *Resolver
	ctx     context.Context // nil when known
	patient time.Time       // until when new answers are waited for where there are old ones
	known   bool            // nothing is waited for
	missed  bool            // something would have to be
	stale   bool            // something used has run out
}

// A way is a transport, and the name of its SRV records.
type way struct {
	transport Transport
	name      string
}

// find is RFC 3263 section 4.
func (s *search) find(q Query) ([]Target, error) {
	transport, err := choose(q)
	if err != nil {
		return nil, err
	}
	given := transport // or the default, for hosts without records that say more
	if given == "" {
		given = UDP
		if q.Secure {
			given = TLS
		}
	}
	if addr, ok := literal(q.Host); ok {
		return single(addr.String(), []netip.Addr{addr}, q.Port, given), nil
	}
	host, ok := canonical(q.Host)
	if !ok {
		return nil, fmt.Errorf("%w: not a host", ErrQuery)
	}
	own, err := s.ask(key{host, kindHosts})
	addrs := s.arrange(own.addrs)
	switch {
	case err != nil:
		return nil, err
	case len(addrs) > 0:
		return single(host, addrs, q.Port, given), nil
	case !dotted(host):
		return nil, ErrNoName
	case q.Port != 0: // section 4.2: no SRV
		return s.plain(host, q.Port, given)
	case transport != "":
		return s.services(host, [][]way{{{transport, transport.service(host)}}}, given)
	}
	return s.unsaid(host, q.Secure, given)
}

// choose returns the transport that a query says, or none (RFC 3263 section 4.1).
func choose(q Query) (Transport, error) {
	switch q.Transport {
	case "", TLS:
		return q.Transport, nil
	case TCP:
		if q.Secure {
			return TLS, nil // RFC 3261 section 26.2.2
		}
		return TCP, nil
	case UDP:
		if !q.Secure {
			return UDP, nil
		}
	}
	return "", fmt.Errorf("%w: transport %.20q, secure %v", ErrQuery, q.Transport, q.Secure)
}

// unsaid finds the targets of a host where the URI says neither port nor transport: by
// NAPTR or, without it, by the SRV records of each transport (RFC 3263 section 4.1).
func (s *search) unsaid(host string, secure bool, def Transport) ([]Target, error) {
	ours := s.r.o.Transports
	if secure {
		ours = []Transport{TLS}
	}
	var guesses []way
	for _, t := range ours {
		guesses = append(guesses, way{t, t.service(host)})
	}
	// What NAPTR points to is nearly always one of these names, so that nothing is lost
	// when all are asked for at once, and a silent NAPTR costs its own time only.
	s.begin(key{host, dns.TypeNAPTR})
	for _, w := range guesses {
		s.begin(key{w.name, dns.TypeSRV})
	}
	pointers, err := s.ask(key{host, dns.TypeNAPTR})
	if err != nil && s.over() {
		return nil, err
	}
	var groups [][]way
	order := -1
	for _, p := range pointers.pointers {
		if !slices.Contains(ours, p.transport) {
			continue
		}
		if int(p.order) != order {
			groups, order = append(groups, nil), int(p.order)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], way{p.transport, p.name})
	}
	if len(groups) > 0 {
		return s.services(host, groups, groups[0][0].transport)
	}
	return s.services(host, [][]way{guesses}, def)
}

// services finds the targets of SRV records: of the first group of names that has some. When
// no name exists, the host itself is looked up (RFC 3263 section 4.2).
func (s *search) services(host string, groups [][]way, def Transport) ([]Target, error) {
	found := false
	for _, ways := range groups {
		var targets []Target
		var failed error
		for _, w := range ways {
			s.begin(key{w.name, dns.TypeSRV})
		}
		for _, w := range ways {
			got, err := s.ask(key{w.name, dns.TypeSRV})
			if err == nil && len(got.servers) > 0 {
				found = true
				var more []Target
				more, err = s.servers(host, got.servers, w.transport)
				targets = append(targets, more...)
			}
			if err != nil && failed == nil {
				failed = err
			}
		}
		if len(targets) > 0 {
			return unique(targets), nil
		}
		if failed != nil {
			return nil, failed
		}
	}
	if found {
		return nil, ErrNoName // "." is a service that there is not (RFC 2782)
	}
	return s.plain(host, 0, def)
}

// servers are the targets of the SRV records of one name. An error says why there is none.
func (s *search) servers(host string, servers []server, t Transport) ([]Target, error) {
	servers = slices.DeleteFunc(draw(servers, s.r.o.Rand), func(srv server) bool { return srv.name == "" })
	names := make([]string, len(servers))
	for i, srv := range servers {
		names[i] = srv.name
	}
	found, err := s.addresses(names)
	var out []Target
	for i, srv := range servers {
		out = append(out, single(host, found[i], srv.port, t)...)
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, err
}

// plain are the targets of a host by its address records alone.
func (s *search) plain(host string, port uint16, t Transport) ([]Target, error) {
	found, err := s.addresses([]string{host})
	if len(found[0]) > 0 {
		return single(host, found[0], port, t), nil
	}
	if err != nil {
		return nil, err
	}
	return nil, ErrNoName
}

// addresses are those of each name: of the hosts file or else of both families in DNS, which
// are asked for all names at once. An error says that some question had no answer.
func (s *search) addresses(names []string) ([][]netip.Addr, error) {
	// DNS cannot name our own hosts, only the operator can: so a name without a dot is
	// not for the system here.
	for _, n := range names {
		if dotted(n) {
			s.begin(key{n, kindHosts})
		}
	}
	out := make([][]netip.Addr, len(names))
	kinds := s.r.o.Families.kinds()
	var failed error
	for i, n := range names {
		if dotted(n) {
			got, err := s.ask(key{n, kindHosts})
			if err != nil {
				failed = err
			}
			out[i] = s.arrange(got.addrs)
		}
		if len(out[i]) > 0 {
			continue
		}
		for _, kind := range kinds {
			s.begin(key{n, kind})
		}
	}
	for i, n := range names {
		if len(out[i]) > 0 {
			continue
		}
		for _, kind := range kinds {
			got, err := s.ask(key{n, kind})
			if err != nil {
				failed = err
			}
			out[i] = append(out[i], got.addrs...)
		}
		out[i] = out[i][:min(len(out[i]), maxAddrs)]
	}
	return out, failed
}

// arrange puts addresses of both families into the order of the option.
func (s *search) arrange(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, kind := range s.r.o.Families.kinds() {
		for _, a := range addrs {
			if a.Is4() == (kind == dns.TypeA) {
				out = append(out, a)
			}
		}
	}
	return out
}

// ask returns what there is of a name.
func (s *search) ask(k key) (records, error) {
	a := s.r.ask(s, k)
	if s.known && a.err == errUnknown {
		s.missed = true
	}
	s.stale = s.stale || a.stale
	return a.got, a.err
}

// begin has a question asked whose answer will be needed.
func (s *search) begin(k key) { s.r.prepare(k) }

// over says that there is no point in asking more.
func (s *search) over() bool {
	return s.missed || (s.ctx != nil && s.ctx.Err() != nil) || s.r.ctx.Err() != nil
}

// single are the targets of one host.
func single(name string, addrs []netip.Addr, port uint16, t Transport) []Target {
	if port == 0 {
		port = t.port()
	}
	out := make([]Target, len(addrs))
	for i, a := range addrs {
		out[i] = Target{Addr: netip.AddrPortFrom(a, port), Transport: t, Name: name}
	}
	return unique(out)
}

// unique leaves the first of each target.
func unique(ts []Target) []Target {
	seen := make(map[Target]bool, len(ts))
	return slices.DeleteFunc(ts, func(t Target) bool {
		again := seen[t]
		seen[t] = true
		return again
	})
}

// literal reads an IP literal, with or without brackets.
func literal(host string) (netip.Addr, bool) {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	a, err := netip.ParseAddr(host)
	return a.Unmap(), err == nil
}

// canonical returns a name in lower case without the last dot. It is false for what
// cannot be the name of a host or of a service: other characters than letters, digits, hyphen
// and underline, labels or names that are too long, and what looks like an address.
func canonical(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > 253 {
		return "", false
	}
	label, digits := 0, true
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label, digits = 0, true
			continue
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z', c == '-', c == '_':
			digits = false
		default:
			return "", false
		}
		if label++; label > 63 {
			return "", false
		}
	}
	return name, label > 0 && !digits
}

// dotted says that a name has more than one label.
func dotted(name string) bool { return strings.Contains(name, ".") }
