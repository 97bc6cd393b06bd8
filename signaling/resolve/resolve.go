// Package resolve finds where a SIP request can be sent: addresses, ports and transports
// in the order in which to try them (RFC 3263 section 4, RFC 2782, RFC 7984).
//
// [Resolver.Lookup] waits for DNS and so is not for the goroutine of a call;
// [Resolver.Cached] answers at once, or not at all. While DNS does not answer, what it
// said last goes on being used for a day (RFC 8767). A target that has failed is
// made known by [Resolver.Penalize] and comes last for a while.
//
// Where this differs from the texts:
//
//   - A host that the hosts file knows, and a name without a dot, are looked up by the
//     system alone: RFC 3263 knows neither. What the operator wrote there is meant.
//   - A NAPTR question that nobody answers counts as no NAPTR records. RFC 3263 section
//     4.1 knows no failure, and there are resolvers that drop what they do not know.
//   - When a NAPTR record matches, but its SRV name does not exist, the next one is
//     looked at, whatever its order (RFC 3403 section 4.1 would stop).
//   - Among addresses of one name the order is that of DNS, one family before the other by
//     option, and not that of RFC 6724 (RFC 7984 section 4): a trunk's operator
//     thinks of the first.
//   - NODATA and NXDOMAIN without a SOA are remembered for a second (RFC 2308 section 5
//     would not), so that a flood of calls is not a flood of questions.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

var (
	// ErrQuery says that a query makes no sense: its host is neither a name nor an
	// address, or its transport is not one of ours or not secure.
	ErrQuery = errors.New("no such query")
	// ErrNoName says that DNS has answered: there is no such name, or it has no
	// address that can be used.
	ErrNoName = errors.New("no such name")
	// ErrNoAnswer says that DNS has not answered, or not in time.
	ErrNoAnswer = errors.New("no answer from DNS")
	// ErrClosed says that the resolver is closed.
	ErrClosed = errors.New("resolver closed")
)

// A Transport names how messages travel, as it is written in a Via.
type Transport string

// The transports that can be looked up.
const (
	UDP Transport = "UDP"
	TCP Transport = "TCP"
	TLS Transport = "TLS" // over TCP
)

// port is the port of t where none is known (RFC 3261 section 19.1.2).
func (t Transport) port() uint16 {
	if t == TLS {
		return 5061
	}
	return 5060
}

// service is the name of the SRV records of a host (RFC 3263 section 4.1).
func (t Transport) service(host string) string {
	switch t {
	case TLS:
		return "_sips._tcp." + host
	case TCP:
		return "_sip._tcp." + host
	default:
		return "_sip._udp." + host
	}
}

// A Query is what a URI says of where to send a request.
type Query struct {
	Host      string    // a name in ASCII, or an IP literal with or without brackets; that of maddr, if there is one
	Port      uint16    // 0 where none is written
	Transport Transport // of the transport parameter; empty where none is written
	Secure    bool      // of a sips URI: TLS, whatever TCP or nothing is written
}

// A Target is one place to send a request to. It can be compared.
type Target struct {
	Addr      netip.AddrPort
	Transport Transport
	Name      string // the query's host: what a certificate must name (RFC 5922 section 4), never the name of an SRV target
}

// An Answer is where to send a request.
type Answer struct {
	Targets []Target // in the order in which to try them; at least one, at most 64
	Stale   bool     // some of it has run out, but DNS does not answer
}

// Families say which addresses are looked up and which come first (RFC 7984 section 4).
type Families uint8

// The choices of address families.
const (
	IPv4First Families = iota
	IPv6First
	IPv4Only
	IPv6Only
)

// kinds are the types of address records to ask for, in order.
func (f Families) kinds() []uint16 {
	switch f {
	case IPv6First:
		return []uint16{dns.TypeAAAA, dns.TypeA}
	case IPv4Only:
		return []uint16{dns.TypeA}
	case IPv6Only:
		return []uint16{dns.TypeAAAA}
	default:
		return []uint16{dns.TypeA, dns.TypeAAAA}
	}
}

// Options say how a resolver works. The zero value of every field is a working default.
// The functions are called from several goroutines.
type Options struct {
	// Servers are the DNS servers, as address or address and port, in the order in which
	// to ask them. By default they are those of /etc/resolv.conf, which is read again
	// when it may have changed.
	Servers []string

	// Transports are those that we speak, for queries that name none; where DNS leaves the
	// choice, the first comes first. Default UDP and TCP.
	Transports []Transport

	// Families say which addresses are looked up. Default both, IPv4 first.
	Families Families

	// Entries is how many answers are remembered; the least recently used is
	// forgotten. Default 4096.
	Entries int

	// Exchange sends one question to one server and returns its answer, which is not
	// truncated. It must return when the context is over. By default it goes over UDP,
	// and over TCP when the answer is truncated.
	Exchange func(ctx context.Context, question *dns.Msg, server string) (*dns.Msg, error)

	// Hosts finds the addresses of a host that is not for DNS: one in the hosts file or, if
	// its name has no dot, in the system's search list. No address means that it is for
	// DNS. By default the system is asked.
	Hosts func(ctx context.Context, host string) ([]netip.Addr, error)

	// Rand returns a number from 0 to n-1, for weights. By default it is math/rand's.
	Rand func(n int) int
}

// A Resolver finds targets. Its methods may be called from any goroutine.
type Resolver struct {
	o      Options
	conf   string // the file that names the servers, if the options do not
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	count  counters
	first  atomic.Uint32 // of the servers: the one that answered last

	system struct {
		sync.Mutex
		list serverList
	}

	mu      sync.Mutex
	closed  bool
	cache   cache
	flights map[key]*flight

	dead penalties
}

// New returns a resolver. Close must be called in the end.
func New(o Options) *Resolver {
	if len(o.Transports) == 0 {
		o.Transports = []Transport{UDP, TCP}
	}
	if o.Entries <= 0 {
		o.Entries = 4096
	}
	if o.Hosts == nil {
		o.Hosts = systemHosts
	}
	if o.Rand == nil {
		o.Rand = rand.IntN
	}
	r := &Resolver{
		o:       o,
		conf:    resolvConf,
		cache:   newCache(o.Entries),
		flights: map[key]*flight{},
	}
	if r.o.Exchange == nil {
		r.o.Exchange = r.exchange
	}
	r.o.Servers = withPorts(o.Servers)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Lookup finds where to send a request. It blocks while DNS is asked, until the context is
// over at the latest. The error wraps ErrQuery, ErrNoName, ErrNoAnswer or ErrClosed.
func (r *Resolver) Lookup(ctx context.Context, q Query) (Answer, error) {
	s := search{r: r, ctx: ctx, patient: time.Now().Add(patience)}
	targets, err := s.find(q)
	r.count.lookups.Add(1)
	switch {
	case err == nil:
	case errors.Is(err, ErrNoName):
		r.count.unknown.Add(1)
	case errors.Is(err, ErrNoAnswer):
		r.count.unanswered.Add(1)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("look up %.255q: %w", q.Host, err)
	}
	return r.answer(&s, targets), nil
}

// Cached is Lookup without waiting: it is false when DNS, or the system, has to be asked, or
// when there is no target. It never blocks.
func (r *Resolver) Cached(q Query) (Answer, bool) {
	s := search{r: r, known: true}
	targets, err := s.find(q)
	if err != nil || s.missed {
		return Answer{}, false
	}
	r.count.lookups.Add(1)
	return r.answer(&s, targets), true
}

// answer puts the dead last, and counts.
func (r *Resolver) answer(s *search, targets []Target) Answer {
	if s.stale {
		r.count.stale.Add(1)
	}
	targets = r.dead.last(targets)
	return Answer{Targets: targets[:min(len(targets), maxTargets)], Stale: s.stale}
}

// Close ends all questions and waits for their goroutines. It may be called again.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}
