package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// A zone is a DNS server in memory that knows everything there is.
type zone struct {
	mu      sync.Mutex
	records map[string][]dns.RR // by name
	faults  map[string]string   // by "name TYPE", "name" or "server"; what goes wrong
	asked   []string            // "name TYPE" in order
	servers []string            // that were asked, in order
}

// newZone reads records as they are written in a zone file, names relative to example.org.
func newZone(t testing.TB, text string) *zone {
	t.Helper()
	z := &zone{records: map[string][]dns.RR{}, faults: map[string]string{}}
	z.add(t, text)
	return z
}

func (z *zone) add(t testing.TB, text string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		rr, err := dns.NewRR("$ORIGIN example.org.\n$TTL 300\n" + strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		name := strings.ToLower(rr.Header().Name)
		z.records[name] = append(z.records[name], rr)
	}
}

// set replaces everything.
func (z *zone) set(t testing.TB, text string) {
	t.Helper()
	z.mu.Lock()
	z.records = map[string][]dns.RR{}
	z.mu.Unlock()
	z.add(t, text)
}

// fault has something go wrong: "silent", or the name of a response code; "" ends it.
func (z *zone) fault(what, how string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.faults[what] = how
}

// take returns the questions since the last time, in alphabetical order.
func (z *zone) take() string {
	z.mu.Lock()
	defer z.mu.Unlock()
	out := slices.Sorted(slices.Values(z.asked))
	z.asked, z.servers = nil, nil
	return strings.Join(out, ", ")
}

func (z *zone) exchange(ctx context.Context, q *dns.Msg, server string) (*dns.Msg, error) {
	name, kind := strings.ToLower(q.Question[0].Name), q.Question[0].Qtype
	label := strings.TrimSuffix(name, ".") + " " + dns.TypeToString[kind]
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, label)
	z.servers = append(z.servers, server)
	m := new(dns.Msg)
	m.SetReply(q)
	for _, at := range []string{label, server, "all"} {
		switch how := z.faults[at]; how {
		case "":
		case "silent":
			z.mu.Unlock()
			<-ctx.Done()
			z.mu.Lock()
			return nil, ctx.Err()
		case "refused":
			return nil, errors.New("connection refused")
		default:
			m.Rcode = dns.StringToRcode[how]
			return m, nil
		}
	}
	z.answer(m, name, kind)
	return m, nil
}

// answer fills in what is known of a name.
func (z *zone) answer(m *dns.Msg, name string, kind uint16) {
	for range 20 {
		alias := ""
		for _, rr := range z.records[name] {
			switch rr := rr.(type) {
			case *dns.CNAME:
				m.Answer = append(m.Answer, rr)
				alias = rr.Target
			default:
				if rr.Header().Rrtype == kind {
					m.Answer = append(m.Answer, rr)
				}
			}
		}
		if alias == "" {
			break
		}
		name = alias
	}
	if n := len(m.Answer); n > 0 && m.Answer[n-1].Header().Rrtype == kind {
		return
	}
	if len(z.records[name]) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	soa, err := dns.NewRR("example.org. 60 SOA ns.example.org. admin.example.org. 1 3600 600 86400 60")
	if err != nil {
		panic(err)
	}
	m.Ns = []dns.RR{soa}
}

// newResolver returns a resolver over a zone, whose hosts file knows what is given, as
// "name address". Chance is that of the options, or nil for the least number.
func newResolver(t testing.TB, z *zone, o Options, hosts ...string) *Resolver {
	t.Helper()
	if o.Exchange == nil {
		o.Exchange = z.exchange
	}
	if o.Servers == nil {
		o.Servers = []string{"192.0.2.53"}
	}
	if o.Rand == nil {
		o.Rand = func(int) int { return 0 }
	}
	if o.Hosts == nil {
		known := map[string][]netip.Addr{}
		for _, h := range hosts {
			name, addr, _ := strings.Cut(h, " ")
			known[name] = append(known[name], netip.MustParseAddr(addr))
		}
		o.Hosts = func(_ context.Context, host string) ([]netip.Addr, error) { return known[host], nil }
	}
	r := New(o)
	t.Cleanup(r.Close)
	return r
}

// show writes an answer as text.
func show(a Answer, err error) string {
	for _, e := range []struct {
		err  error
		name string
	}{{ErrQuery, "query"}, {ErrNoName, "no name"}, {ErrNoAnswer, "no answer"}, {ErrClosed, "closed"}} {
		if errors.Is(err, e.err) {
			return "error: " + e.name
		}
	}
	if err != nil {
		return "error: " + err.Error()
	}
	var out []string
	for _, t := range a.Targets {
		out = append(out, fmt.Sprint(t.Transport, " ", t.Addr))
	}
	text := strings.Join(out, ", ")
	if a.Stale {
		text += " (stale)"
	}
	return text
}

func failingHosts(context.Context, string) ([]netip.Addr, error) {
	return nil, errors.New("the system does not answer")
}
