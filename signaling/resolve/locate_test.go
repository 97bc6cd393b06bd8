package resolve

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// The domain of the example in RFC 3263 section 4.1, and others beside it.
const domains = `
	@          NAPTR 50  50 "s" "SIPS+D2T" "" _sips._tcp
	@          NAPTR 90  50 "s" "SIP+D2T"  "" _sip._tcp
	@          NAPTR 100 50 "s" "SIP+D2U"  "" _sip._udp
	_sips._tcp SRV 0 1 5061 server1
	_sips._tcp SRV 0 2 5061 server2
	_sip._tcp  SRV 0 1 5060 server1
	_sip._tcp  SRV 1 2 5070 server2
	_sip._udp  SRV 0 1 5060 server1
	_sip._udp  SRV 1 2 5080 server2
	@          A 192.0.2.9
	server1    A 192.0.2.1
	server1    AAAA 2001:db8::1
	server2    A 192.0.2.2

	plain A 192.0.2.10
	plain A 192.0.2.11
	plain AAAA 2001:db8::10
	six   AAAA 2001:db8::6

	srv           A 192.0.2.20
	_sip._udp.srv SRV 10 0 5062 server2
	_sip._tcp.srv SRV 20 0 5063 server1

	secure             A 192.0.2.30
	_sips._tcp.secure  SRV 0 0 5071 server2

	equal  NAPTR 10 20 "S" "sip+d2t" "" _sip._tcp.srv
	equal  NAPTR 10 10 "S" "sip+d2u" "" _sip._udp.srv

	odd  NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:x@evil.example!" .
	odd  NAPTR 2 1 "a" "SIP+D2U" "" server1
	odd  NAPTR 3 1 "s" "SIP+D2S" "" _sip._sctp
	odd  NAPTR 4 1 "s" "SIP+D2U" "" .
	odd  A 192.0.2.40

	ghost  NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.nothing
	ghost  NAPTR 2 1 "s" "SIP+D2U" "" _sip._udp.srv
	ghosts NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.nothing
	ghosts A 192.0.2.50

	closed           A 192.0.2.60
	_sip._udp.closed SRV 0 0 0 .
	half             A 192.0.2.61
	_sip._udp.half   SRV 0 0 0 .
	_sip._tcp.half   SRV 0 0 5060 server2

	empty           TXT "no address"
	gone            A 192.0.2.62
	_sip._udp.gone  SRV 0 0 5060 nowhere
	part            A 192.0.2.63
	_sip._udp.part  SRV 0 0 5060 nowhere
	_sip._udp.part  SRV 1 0 5060 server2

	alias           CNAME plain
	_sip._udp.moved CNAME _sip._udp.srv
	moved           A 192.0.2.64
	round           CNAME about
	about           CNAME round

	twice           A 192.0.2.65
	_sip._udp.twice SRV 0 0 5060 server2
	_sip._udp.twice SRV 1 0 5060 server2

	lookalike            A 192.0.2.66
	_sip._udp.lookalike  SRV 0 0 5060 192.0.2.7.
`

func TestLocate(t *testing.T) {
	withTLS := Options{Transports: []Transport{UDP, TCP, TLS}}
	tests := []struct {
		name  string
		query Query
		o     Options
		want  string
		asked string // "-" for nothing, empty for whatever
	}{
		// RFC 3263 section 4.1, in its order.
		{
			name:  "transport given: its SRV records",
			query: Query{Host: "example.org", Transport: TCP},
			want:  "TCP 192.0.2.1:5060, TCP [2001:db8::1]:5060, TCP 192.0.2.2:5070",
			asked: "_sip._tcp.example.org SRV, server1.example.org A, server1.example.org AAAA, server2.example.org A, server2.example.org AAAA",
		},
		{
			name:  "sips with TCP given is TLS",
			query: Query{Host: "secure.example.org", Transport: TCP, Secure: true},
			want:  "TLS 192.0.2.2:5071",
			asked: "_sips._tcp.secure.example.org SRV, server2.example.org A, server2.example.org AAAA",
		},
		{
			name:  "TLS given without sips",
			query: Query{Host: "secure.example.org", Transport: TLS},
			want:  "TLS 192.0.2.2:5071",
		},
		{
			name:  "sips cannot go over UDP",
			query: Query{Host: "example.org", Transport: UDP, Secure: true},
			want:  "error: query",
			asked: "-",
		},
		{
			name:  "transport that there is not",
			query: Query{Host: "example.org", Transport: "SCTP"},
			want:  "error: query",
			asked: "-",
		},
		{
			name:  "address: UDP",
			query: Query{Host: "192.0.2.77"},
			want:  "UDP 192.0.2.77:5060",
			asked: "-",
		},
		{
			name:  "address in brackets with a port",
			query: Query{Host: "[2001:db8::77]", Port: 5080},
			want:  "UDP [2001:db8::77]:5080",
			asked: "-",
		},
		{
			name:  "address without brackets, mapped",
			query: Query{Host: "::ffff:192.0.2.77", Transport: TCP},
			want:  "TCP 192.0.2.77:5060",
			asked: "-",
		},
		{
			name:  "address of a sips URI: TLS",
			query: Query{Host: "192.0.2.77", Secure: true},
			want:  "TLS 192.0.2.77:5061",
			asked: "-",
		},
		{
			name:  "name with a port: UDP, no SRV",
			query: Query{Host: "srv.example.org", Port: 5066},
			want:  "UDP 192.0.2.20:5066",
			asked: "srv.example.org A, srv.example.org AAAA",
		},
		{
			name:  "name with a port of a sips URI: TLS, no SRV",
			query: Query{Host: "secure.example.org", Port: 5066, Secure: true},
			want:  "TLS 192.0.2.30:5066",
			asked: "secure.example.org A, secure.example.org AAAA",
		},
		{
			name:  "name with port and transport",
			query: Query{Host: "example.org", Port: 5066, Transport: TCP},
			want:  "TCP 192.0.2.9:5066",
			asked: "example.org A, example.org AAAA",
		},
		{
			name:  "NAPTR: the most preferred transport that is ours",
			query: Query{Host: "example.org"},
			want:  "TCP 192.0.2.1:5060, TCP [2001:db8::1]:5060, TCP 192.0.2.2:5070",
		},
		{
			name:  "NAPTR: TLS for a sip URI when we speak it",
			query: Query{Host: "example.org"},
			o:     withTLS,
			want:  "TLS 192.0.2.1:5061, TLS [2001:db8::1]:5061, TLS 192.0.2.2:5061",
		},
		{
			name:  "NAPTR: only TLS for a sips URI",
			query: Query{Host: "example.org", Secure: true},
			want:  "TLS 192.0.2.1:5061, TLS [2001:db8::1]:5061, TLS 192.0.2.2:5061",
		},
		{
			name:  "NAPTR: only UDP is ours",
			query: Query{Host: "example.org"},
			o:     Options{Transports: []Transport{UDP}},
			want:  "UDP 192.0.2.1:5060, UDP [2001:db8::1]:5060, UDP 192.0.2.2:5080",
		},
		{
			name:  "NAPTR: same order, by preference, all used",
			query: Query{Host: "equal.example.org"},
			want:  "UDP 192.0.2.2:5062, TCP 192.0.2.1:5063, TCP [2001:db8::1]:5063",
		},
		{
			name:  "NAPTR: only records of no use count as none",
			query: Query{Host: "odd.example.org"},
			want:  "UDP 192.0.2.40:5060",
		},
		{
			name:  "NAPTR: no secure service for a sips URI",
			query: Query{Host: "equal.example.org", Secure: true},
			want:  "error: no name",
		},
		{
			name:  "NAPTR to an SRV name that there is not: the next",
			query: Query{Host: "ghost.example.org"},
			want:  "UDP 192.0.2.2:5062",
		},
		{
			name:  "NAPTR to no SRV name at all: its transport, at the host",
			query: Query{Host: "ghosts.example.org"},
			want:  "TCP 192.0.2.50:5060",
		},
		{
			name:  "no NAPTR: SRV for each transport",
			query: Query{Host: "srv.example.org"},
			want:  "UDP 192.0.2.2:5062, TCP 192.0.2.1:5063, TCP [2001:db8::1]:5063",
		},
		{
			name:  "no NAPTR: the transports in our order",
			query: Query{Host: "srv.example.org"},
			o:     Options{Transports: []Transport{TCP, UDP}},
			want:  "TCP 192.0.2.1:5063, TCP [2001:db8::1]:5063, UDP 192.0.2.2:5062",
		},
		{
			name:  "no NAPTR: TLS for a sip URI when we speak it",
			query: Query{Host: "secure.example.org"},
			o:     withTLS,
			want:  "TLS 192.0.2.2:5071",
		},
		{
			name:  "no NAPTR: TLS not tried for a sip URI when we do not",
			query: Query{Host: "secure.example.org"},
			want:  "UDP 192.0.2.30:5060",
		},
		{
			name:  "no NAPTR: _sips only for a sips URI",
			query: Query{Host: "secure.example.org", Secure: true},
			want:  "TLS 192.0.2.2:5071",
		},
		{
			name:  "neither NAPTR nor SRV: UDP",
			query: Query{Host: "plain.example.org"},
			want:  "UDP 192.0.2.10:5060, UDP 192.0.2.11:5060, UDP [2001:db8::10]:5060",
			asked: "_sip._tcp.plain.example.org SRV, _sip._udp.plain.example.org SRV, plain.example.org A, plain.example.org AAAA, plain.example.org NAPTR",
		},
		{
			name:  "neither NAPTR nor SRV of a sips URI: TLS",
			query: Query{Host: "plain.example.org", Secure: true},
			want:  "TLS 192.0.2.10:5061, TLS 192.0.2.11:5061, TLS [2001:db8::10]:5061",
		},
		{
			name:  "no SRV for the given transport: the host",
			query: Query{Host: "plain.example.org", Transport: TCP},
			want:  "TCP 192.0.2.10:5060, TCP 192.0.2.11:5060, TCP [2001:db8::10]:5060",
		},

		// RFC 2782.
		{name: "SRV says that there is no service", query: Query{Host: "closed.example.org"}, want: "error: no name"},
		{name: "SRV says so of one transport", query: Query{Host: "half.example.org"}, want: "TCP 192.0.2.2:5060"},
		{name: "SRV target without an address", query: Query{Host: "gone.example.org"}, want: "error: no name"},
		{name: "one of two SRV targets without an address", query: Query{Host: "part.example.org"}, want: "UDP 192.0.2.2:5060"},
		{name: "one server twice", query: Query{Host: "twice.example.org"}, want: "UDP 192.0.2.2:5060"},
		{name: "SRV target that is an address", query: Query{Host: "lookalike.example.org"}, want: "UDP 192.0.2.66:5060"},

		// RFC 7984 section 4.
		{
			name:  "IPv6 first",
			query: Query{Host: "plain.example.org"},
			o:     Options{Families: IPv6First},
			want:  "UDP [2001:db8::10]:5060, UDP 192.0.2.10:5060, UDP 192.0.2.11:5060",
		},
		{
			name:  "one family only is asked for",
			query: Query{Host: "plain.example.org", Port: 5060},
			o:     Options{Families: IPv4Only},
			want:  "UDP 192.0.2.10:5060, UDP 192.0.2.11:5060",
			asked: "plain.example.org A",
		},
		{name: "IPv6 only", query: Query{Host: "server1.example.org"}, o: Options{Families: IPv6Only}, want: "UDP [2001:db8::1]:5060"},
		{name: "host with IPv6 alone", query: Query{Host: "six.example.org"}, want: "UDP [2001:db8::6]:5060"},
		{name: "host with the other family alone", query: Query{Host: "six.example.org"}, o: Options{Families: IPv4Only}, want: "error: no name"},

		// Names.
		{name: "alias of a host", query: Query{Host: "alias.example.org"}, want: "UDP 192.0.2.10:5060, UDP 192.0.2.11:5060, UDP [2001:db8::10]:5060"},
		{name: "alias of a service", query: Query{Host: "moved.example.org"}, want: "UDP 192.0.2.2:5062"},
		{name: "alias of itself", query: Query{Host: "round.example.org", Port: 5060}, want: "error: no answer"},
		{name: "capitals and a last dot", query: Query{Host: "PLAIN.Example.ORG.", Port: 1}, want: "UDP 192.0.2.10:1, UDP 192.0.2.11:1, UDP [2001:db8::10]:1"},
		{name: "no such name", query: Query{Host: "nobody.example.org"}, want: "error: no name"},
		{name: "name without an address", query: Query{Host: "empty.example.org"}, want: "error: no name"},
		{name: "no host", query: Query{}, want: "error: query", asked: "-"},
		{name: "root", query: Query{Host: "."}, want: "error: query", asked: "-"},
		{name: "empty label", query: Query{Host: "a..example.org"}, want: "error: query", asked: "-"},
		{name: "letters beyond ASCII", query: Query{Host: "bücher.example.org"}, want: "error: query", asked: "-"},
		{name: "escape", query: Query{Host: `a\.example.org`}, want: "error: query", asked: "-"},
		{name: "line end", query: Query{Host: "a\r\n.example.org"}, want: "error: query", asked: "-"},
		{name: "half an address", query: Query{Host: "127.1"}, want: "error: query", asked: "-"},
		{name: "number", query: Query{Host: "2130706433"}, want: "error: query", asked: "-"},
		{name: "long label", query: Query{Host: strings.Repeat("a", 64) + ".example.org"}, want: "error: query", asked: "-"},
		{name: "long name", query: Query{Host: strings.Repeat("abcdefg.", 32) + "org"}, want: "error: query", asked: "-"},

		// The hosts file.
		{name: "name in the hosts file", query: Query{Host: "pbx.example.org"}, want: "UDP 10.0.0.1:5060", asked: "-"},
		{name: "the same with a transport", query: Query{Host: "pbx.example.org", Secure: true}, want: "TLS 10.0.0.1:5061", asked: "-"},
		{name: "name without a dot", query: Query{Host: "localhost", Port: 5070}, want: "UDP 127.0.0.1:5070, UDP [::1]:5070", asked: "-"},
		{name: "name without a dot that nobody knows", query: Query{Host: "nobody"}, want: "error: no name", asked: "-"},
		{name: "SRV target in the hosts file", query: Query{Host: "inside.example.org"}, want: "UDP 10.0.0.1:5060"},
		{name: "SRV target without a dot is not for the hosts file", query: Query{Host: "rebind.example.org"}, want: "error: no name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			z := newZone(t, domains+`
				_sip._udp.inside SRV 0 0 5060 pbx
				_sip._udp.rebind SRV 0 0 5060 localhost.
			`)
			r := newResolver(t, z, test.o, "pbx.example.org 10.0.0.1", "localhost ::1", "localhost 127.0.0.1")
			a, err := r.Lookup(t.Context(), test.query)
			r.wg.Wait() // what was asked beside, and not waited for
			if got := show(a, err); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			for _, target := range a.Targets {
				if host := strings.Trim(strings.ToLower(test.query.Host), "[]."); target.Name != host && !strings.Contains(host, "ffff") {
					t.Errorf("the name of %v is %q", target.Addr, target.Name)
				}
			}
			if got := z.take(); test.asked != "" && strings.TrimPrefix(test.asked, "-") != got {
				t.Errorf("asked %s, want %s", got, test.asked)
			}
			// The same again is known.
			b, ok := r.Cached(test.query)
			if ok != (err == nil) || show(b, nil) != show(Answer{Targets: a.Targets}, nil) {
				t.Errorf("from the cache %s, %v", show(b, nil), ok)
			}
			if got := z.take(); got != "" && !strings.Contains(test.want, "error") {
				t.Errorf("asked again: %s", got)
			}
		})
	}
}

// What DNS does not say because it does not answer is not taken for a no, but for NAPTR.
func TestSomethingIsNotAnswered(t *testing.T) {
	tests := []struct {
		name   string
		faults []string // "name TYPE: how"
		query  Query
		want   string
	}{
		{
			name:   "NAPTR is dropped on the way",
			faults: []string{"srv.example.org NAPTR: silent"},
			query:  Query{Host: "srv.example.org"},
			want:   "UDP 192.0.2.2:5062, TCP 192.0.2.1:5063, TCP [2001:db8::1]:5063",
		},
		{
			name:   "NAPTR is refused",
			faults: []string{"plain.example.org NAPTR: NOTIMP"},
			query:  Query{Host: "plain.example.org"},
			want:   "UDP 192.0.2.10:5060, UDP 192.0.2.11:5060, UDP [2001:db8::10]:5060",
		},
		{
			name:   "one of two services fails",
			faults: []string{"_sip._udp.srv.example.org SRV: SERVFAIL"},
			query:  Query{Host: "srv.example.org"},
			want:   "TCP 192.0.2.1:5063, TCP [2001:db8::1]:5063",
		},
		{
			name:   "the service that NAPTR prefers fails: no other transport instead",
			faults: []string{"_sip._tcp.example.org SRV: SERVFAIL"},
			query:  Query{Host: "example.org"},
			want:   "error: no answer",
		},
		{
			name:   "the services fail: the host is not called instead",
			faults: []string{"_sip._udp.plain.example.org SRV: SERVFAIL"},
			query:  Query{Host: "plain.example.org"},
			want:   "error: no answer",
		},
		{
			name:   "one family fails",
			faults: []string{"plain.example.org AAAA: silent"},
			query:  Query{Host: "plain.example.org", Port: 5060},
			want:   "UDP 192.0.2.10:5060, UDP 192.0.2.11:5060",
		},
		{
			name:   "one family fails and the other is empty",
			faults: []string{"six.example.org AAAA: silent"},
			query:  Query{Host: "six.example.org", Port: 5060},
			want:   "error: no answer",
		},
		{
			name:   "one server's address fails",
			faults: []string{"server1.example.org A: silent", "server1.example.org AAAA: silent"},
			query:  Query{Host: "example.org", Transport: UDP},
			want:   "UDP 192.0.2.2:5080",
		},
		{
			name:   "everything fails",
			faults: []string{"all: silent"},
			query:  Query{Host: "example.org"},
			want:   "error: no answer",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, domains)
				for _, f := range test.faults {
					what, how, _ := strings.Cut(f, ": ")
					z.fault(what, how)
				}
				r := newResolver(t, z, Options{})
				if got := show(r.Lookup(context.Background(), test.query)); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

// TestHostsFails: a system resolver that does not answer is not one that says no.
func TestHostsFails(t *testing.T) {
	z := newZone(t, "")
	r := newResolver(t, z, Options{Hosts: failingHosts})
	if got := show(r.Lookup(t.Context(), Query{Host: "kamailio"})); got != "error: no answer" {
		t.Errorf("got %s", got)
	}
	if got := z.take(); got != "" {
		t.Errorf("DNS was asked for %s", got)
	}
}

// TestManyRecords: of hostile answers only so much is taken.
func TestManyRecords(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "_sip._udp.many SRV %d 0 5060 s%d\n", 40-i, i)
		fmt.Fprintf(&text, "many NAPTR %d 1 \"s\" \"SIP+D2U\" \"\" _sip._udp.many%d\n", i, i)
		for j := range 40 {
			fmt.Fprintf(&text, "s%d A 192.0.2.%d\ns%d AAAA 2001:db8::%x\n", i, j+1, i, i*100+j)
		}
	}
	z := newZone(t, text.String())
	r := newResolver(t, z, Options{})
	a, err := r.Lookup(t.Context(), Query{Host: "many.example.org", Transport: UDP})
	if err != nil || len(a.Targets) != 16 {
		// Each server has the same IPv4 addresses, and those of a name end at 16.
		t.Errorf("%d targets, %v", len(a.Targets), err)
	}
	if got := strings.Count(z.take(), " A,"); got != 16 {
		t.Errorf("asked for %d servers, want 16", got)
	}
	r6 := newResolver(t, z, Options{Families: IPv6First})
	a, err = r6.Lookup(t.Context(), Query{Host: "many.example.org", Transport: UDP})
	if err != nil || len(a.Targets) != maxTargets {
		t.Errorf("%d targets, %v, want %d", len(a.Targets), err, maxTargets)
	}
	if got, want := a.Targets[0].Addr.String(), "[2001:db8::f3c]:5060"; got != want {
		t.Errorf("first is %s, want %s: those of the least priority number stay", got, want)
	}
	z.take()
	if got := show(r.Lookup(t.Context(), Query{Host: "many.example.org"})); got != "error: no name" {
		t.Errorf("got %s", got)
	}
	if got := strings.Count(z.take(), " SRV"); got > maxPointers+2 {
		t.Errorf("asked for %d services", got)
	}
	if got := r.Stats().Unfit; got == 0 {
		t.Error("nothing counted as dropped")
	}
}
