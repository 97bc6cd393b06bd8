package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	tryTime    = 2 * time.Second // for one server to answer
	tries      = 2               // of each server
	flightTime = 15 * time.Second

	maxServers  = 16  // SRV records of a name
	maxAddrs    = 16  // addresses of a name
	maxPointers = 16  // NAPTR records of a name
	maxAliases  = 8   // CNAME records in an answer
	maxRestarts = 4   // questions for one name and its aliases
	maxRecords  = 256 // of an answer that are looked at
)

// Records are an answer: those of one type. It is empty when there are none.
type records struct {
	addrs    []netip.Addr // A and AAAA, and the system's
	servers  []server     // SRV, by priority
	pointers []pointer    // NAPTR, by order and preference
}

// A pointer is a NAPTR record that leads to SRV records (RFC 3263 section 4.1).
type pointer struct {
	order, preference uint16
	transport         Transport
	name              string
}

// naptrServices are the services of NAPTR records whose transports can be looked up.
var naptrServices = map[string]Transport{"SIP+D2U": UDP, "SIP+D2T": TCP, "SIPS+D2T": TLS}

// fetch asks a question of the system or of DNS, and says for how long the answer holds.
func (r *Resolver) fetch(ctx context.Context, k key) (records, time.Duration, error) {
	if k.kind != kindHosts {
		return r.query(ctx, k)
	}
	addrs, err := r.o.Hosts(ctx, k.name)
	if err != nil {
		return records{}, 0, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	addrs = addrs[:min(len(addrs), maxAddrs)]
	got := records{addrs: make([]netip.Addr, len(addrs))}
	for i, a := range addrs {
		got.addrs[i] = a.Unmap()
	}
	return got, hostsTTL, nil
}

// query asks a question of DNS, and the same of the names that this one is an alias of.
func (r *Resolver) query(ctx context.Context, k key) (records, time.Duration, error) {
	ttl := maxTTL
	for range maxRestarts {
		msg, err := r.askServers(ctx, k)
		if err != nil {
			return records{}, 0, err
		}
		a, err := read(msg, k)
		r.count.unfit.Add(uint64(a.unfit))
		if err != nil {
			return records{}, 0, fmt.Errorf("%w: %w", ErrNoAnswer, err)
		}
		ttl = min(ttl, a.ttl)
		if a.next == "" {
			return a.records, max(ttl, minTTL), nil
		}
		k.name = a.next
	}
	return records{}, 0, fmt.Errorf("%w: %w", ErrNoAnswer, errAliases)
}

// askServers asks one server after the other, and all once more, until one answers: first the
// one that did so last, so that a dead one costs its time only once.
func (r *Resolver) askServers(ctx context.Context, k key) (*dns.Msg, error) {
	servers := r.servers()
	first := int(r.first.Load())
	err := errors.New("no server")
	for range tries {
		for i := range servers {
			n := (first + i) % len(servers)
			var msg *dns.Msg
			if msg, err = r.askServer(ctx, k, servers[n]); err == nil {
				r.first.Store(uint32(n))
				return msg, nil
			}
			if ctx.Err() != nil {
				return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
			}
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
}

func (r *Resolver) askServer(ctx context.Context, k key, server string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	r.count.queries.Add(1)
	q := question(k)
	msg, err := r.o.Exchange(ctx, q, server)
	if err == nil {
		err = check(msg, q)
	}
	if err != nil {
		r.count.failures.Add(1)
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	return msg, nil
}

// question is a question as it is sent. It announces the size of datagram that no path
// fragments.
func question(k key) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(k.name), k.kind)
	m.SetEdns0(1232, false)
	return m
}

// check says whether a message answers a question at all.
func check(m, q *dns.Msg) error {
	switch {
	case m == nil:
		return errors.New("nothing")
	case !m.Response || m.Opcode != dns.OpcodeQuery || m.Id != q.Id:
		return errors.New("not a response to the question")
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return fmt.Errorf("response %s", dns.RcodeToString[m.Rcode])
	case m.Truncated:
		return errors.New("response truncated")
	case len(m.Question) != 1 || m.Question[0].Qtype != q.Question[0].Qtype ||
		m.Question[0].Qclass != dns.ClassINET || !strings.EqualFold(m.Question[0].Name, q.Question[0].Name):
		return errors.New("response to another question")
	}
	return nil
}

// errAliases says that a name is an alias of an alias, and so on, perhaps for ever.
var errAliases = errors.New("too many aliases")

// A reading is what an answer says.
type reading struct {
	records
	ttl   time.Duration // up to maxTTL
	next  string        // the name to ask for instead; empty when the records are all there is
	unfit int           // records that were dropped
}

// read reads the answer section: records of the name that was asked for, or of the name that it
// is an alias of. Nothing else is believed, and no additional section.
func read(m *dns.Msg, k key) (reading, error) {
	rrs := m.Answer[:min(len(m.Answer), maxRecords)]
	out := reading{ttl: maxTTL, unfit: len(m.Answer) - len(rrs)}
	owner := k.name
	for range maxAliases + 1 {
		alias, found := "", false
		for _, rr := range rrs {
			h := rr.Header()
			if h.Class != dns.ClassINET || !owns(h.Name, owner) {
				continue
			}
			switch h.Rrtype {
			case k.kind:
				found = true
				out.take(rr)
			case dns.TypeCNAME:
				if c, ok := rr.(*dns.CNAME); ok && alias == "" {
					alias = c.Target
				}
			default:
				continue
			}
			out.ttl = min(out.ttl, seconds(h.Ttl))
		}
		switch {
		case found:
			out.tidy()
			return out, nil
		case alias == "":
			return out.nothing(m, k.name, owner), nil
		}
		var ok bool
		if owner, ok = canonical(alias); !ok {
			return out, errors.New("alias of what is no name")
		}
	}
	return out, errAliases
}

// nothing ends the reading of an answer without records: there are none, for as long as
// the SOA says, or only the alias is there.
func (out reading) nothing(m *dns.Msg, name, owner string) reading {
	for _, rr := range m.Ns[:min(len(m.Ns), maxRecords)] {
		if soa, ok := rr.(*dns.SOA); ok {
			out.ttl = min(out.ttl, seconds(soa.Hdr.Ttl), seconds(soa.Minttl), maxNegative)
			return out
		}
	}
	if owner != name && m.Rcode == dns.RcodeSuccess {
		out.next = owner
		return out
	}
	out.ttl = minTTL
	return out
}

// take adds a record, if it is of use.
func (out *reading) take(rr dns.RR) {
	ok := false
	switch rr := rr.(type) {
	case *dns.A:
		ok = out.addr(rr.A.To4())
	case *dns.AAAA:
		ok = out.addr(rr.AAAA)
	case *dns.SRV:
		name, fit := canonical(rr.Target)
		if rr.Target == "." {
			fit = true // the service is not there
		}
		if ok = fit && (rr.Port != 0 || name == ""); ok {
			out.servers = append(out.servers, server{rr.Priority, rr.Weight, rr.Port, name})
		}
	case *dns.NAPTR:
		t, fit := naptrServices[strings.ToUpper(rr.Service)]
		name, named := canonical(rr.Replacement)
		if ok = fit && named && strings.EqualFold(rr.Flags, "s"); ok {
			out.pointers = append(out.pointers, pointer{rr.Order, rr.Preference, t, name})
		}
	}
	if !ok {
		out.unfit++
	}
}

// addr adds an address that something can be sent to.
func (out *reading) addr(ip []byte) bool {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() ||
		(a.Is6() && a.IsLinkLocalUnicast()) || // of which link?
		(a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240)) { // this host, reserved, broadcast
		return false
	}
	out.addrs = append(out.addrs, a)
	return true
}

// tidy puts records into their order, and drops what is too many.
func (out *reading) tidy() {
	slices.SortStableFunc(out.servers, func(a, b server) int { return cmp.Compare(a.priority, b.priority) })
	slices.SortStableFunc(out.pointers, func(a, b pointer) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.preference, b.preference))
	})
	all := len(out.addrs) + len(out.servers) + len(out.pointers)
	out.addrs = slices.Clip(out.addrs[:min(len(out.addrs), maxAddrs)])
	out.servers = slices.Clip(out.servers[:min(len(out.servers), maxServers)])
	out.pointers = slices.Clip(out.pointers[:min(len(out.pointers), maxPointers)])
	out.unfit += all - len(out.addrs) - len(out.servers) - len(out.pointers)
}

// owns says whether a name of an answer is the canonical one.
func owns(name, owner string) bool {
	return len(name) == len(owner)+1 && name[len(owner)] == '.' && strings.EqualFold(name[:len(owner)], owner)
}

// seconds reads a TTL; one with the highest bit set is 0 (RFC 2181 section 8).
func seconds(ttl uint32) time.Duration {
	if ttl >= 1<<31 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
