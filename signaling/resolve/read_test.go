package resolve

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// message builds a response to a question from records, each as in a zone file. What follows a
// line of three hyphens is the authority section, then the additional one.
func message(t testing.TB, q *dns.Msg, text string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetReply(q)
	sections := []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "---" {
			sections = sections[1:]
			continue
		}
		if line == "" {
			continue
		}
		rr, err := dns.NewRR("$ORIGIN example.org.\n$TTL 300\n" + line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		*sections[0] = append(*sections[0], rr)
	}
	return m
}

func TestRead(t *testing.T) {
	tests := []struct {
		name  string
		kind  uint16
		text  string
		want  string // addresses, servers, pointers; or the name to ask for
		unfit int
	}{
		{name: "records of others", kind: dns.TypeA, text: "evil A 192.0.2.66\nx A 192.0.2.1\nexample.com. A 192.0.2.66", want: "192.0.2.1"},
		{name: "records of another type", kind: dns.TypeA, text: "x AAAA 2001:db8::1\nx A 192.0.2.1", want: "192.0.2.1"},
		{name: "records of another class", kind: dns.TypeA, text: "x CH A 192.0.2.66\nx A 192.0.2.1", want: "192.0.2.1"},
		{name: "additional records are not believed", kind: dns.TypeA, text: "---\n---\nx A 192.0.2.66", want: ""},
		{name: "authority records are not believed", kind: dns.TypeA, text: "---\nx A 192.0.2.66", want: ""},
		{name: "capitals", kind: dns.TypeA, text: "X.EXAMPLE.ORG. A 192.0.2.1", want: "192.0.2.1"},
		{name: "alias", kind: dns.TypeA, text: "x CNAME y\ny A 192.0.2.1", want: "192.0.2.1"},
		{name: "alias behind its record", kind: dns.TypeA, text: "y A 192.0.2.1\nx CNAME Y", want: "192.0.2.1"},
		{name: "record and alias", kind: dns.TypeA, text: "x A 192.0.2.1\nx CNAME y\ny A 192.0.2.66", want: "192.0.2.1"},
		{name: "alias alone", kind: dns.TypeA, text: "x CNAME y", want: "ask y.example.org"},
		{name: "alias of a name without records", kind: dns.TypeA, text: "x CNAME y\n---\nexample.org. SOA ns a 1 1 1 1 1", want: ""},
		{name: "alias of itself", kind: dns.TypeA, text: "x CNAME x", want: "error"},
		{name: "aliases in a circle", kind: dns.TypeA, text: "x CNAME y\ny CNAME z\nz CNAME x", want: "error"},
		{name: "eight aliases", kind: dns.TypeA, text: "x CNAME a\na CNAME b\nb CNAME c\nc CNAME d\nd CNAME e\ne CNAME f\nf CNAME g\ng CNAME h\nh A 192.0.2.1", want: "192.0.2.1"},
		{name: "nine aliases", kind: dns.TypeA, text: "x CNAME a\na CNAME b\nb CNAME c\nc CNAME d\nd CNAME e\ne CNAME f\nf CNAME g\ng CNAME h\nh CNAME i\ni A 192.0.2.1", want: "error"},
		{name: "alias of the root", kind: dns.TypeA, text: "x CNAME .", want: "error"},
		{
			name: "addresses that nothing can be sent to", kind: dns.TypeA,
			text: "x A 0.0.0.0\nx A 0.1.2.3\nx A 224.0.0.1\nx A 255.255.255.255\nx A 240.0.0.1\nx A 10.0.0.1", want: "10.0.0.1", unfit: 5,
		},
		{
			name: "the same of IPv6", kind: dns.TypeAAAA,
			text: "x AAAA ::\nx AAAA ff02::1\nx AAAA fe80::1\nx AAAA ::ffff:192.0.2.1\nx AAAA fd00::1", want: "fd00::1", unfit: 4,
		},
		{
			name: "servers", kind: dns.TypeSRV,
			text: "x SRV 2 0 5060 B\nx SRV 1 7 5061 a.example.com.\nx SRV 1 0 0 c\nx SRV 1 0 1 10.0.0.1.\nx SRV 1 0 1 bad\\.name\nx SRV 3 0 0 .",
			want: "1/7/a.example.com:5061 2/0/b.example.org:5060 3/0/:0", unfit: 3,
		},
		{
			name: "pointers", kind: dns.TypeNAPTR,
			text: `x NAPTR 2 1 "s" "SIP+D2U" "" u
				x NAPTR 1 2 "S" "sip+d2t" "" t
				x NAPTR 1 1 "s" "SIPS+D2T" "!x!y!" s
				x NAPTR 0 0 "a" "SIP+D2U" "" a
				x NAPTR 0 0 "" "SIP+D2U" "" a
				x NAPTR 0 0 "s" "SIPS+D2U" "" a
				x NAPTR 0 0 "s" "SIP+D2S" "" a
				x NAPTR 0 0 "s" "SIP+D2U" "" .`,
			want: "1/1/TLS s.example.org 1/2/TCP t.example.org 2/1/UDP u.example.org", unfit: 5,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := key{"x.example.org", test.kind}
			got, err := read(message(t, question(k), test.text), k)
			if text := got.String(); (err != nil) != (test.want == "error") || err == nil && text != test.want || got.unfit != test.unfit {
				t.Errorf("got %q, %v, %d dropped; want %q, %d dropped", text, err, got.unfit, test.want, test.unfit)
			}
		})
	}
}

// String writes a reading for comparison.
func (out reading) String() string {
	var parts []string
	for _, a := range out.addrs {
		parts = append(parts, a.String())
	}
	for _, s := range out.servers {
		parts = append(parts, strings.Join([]string{itoa(s.priority), itoa(s.weight), s.name}, "/")+":"+itoa(s.port))
	}
	for _, p := range out.pointers {
		parts = append(parts, strings.Join([]string{itoa(p.order), itoa(p.preference), string(p.transport)}, "/")+" "+p.name)
	}
	if out.next != "" {
		parts = append(parts, "ask "+out.next)
	}
	return strings.Join(parts, " ")
}

func itoa(n uint16) string { return strconv.Itoa(int(n)) }

// TestAliasesOverSeveralAnswers: a server that knows only half of a chain is asked for the rest.
func TestAliasesOverSeveralAnswers(t *testing.T) {
	for _, test := range []struct {
		name string
		text map[string]string
		want string
	}{
		{"it ends", map[string]string{"plain": "plain CNAME y", "y": "y 1 CNAME z", "z": "z A 192.0.2.1"}, "UDP 192.0.2.1:5060"},
		{"it goes on", map[string]string{"plain": "plain CNAME y", "y": "y CNAME plain"}, "error: no answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newResolver(t, nil, Options{Families: IPv4Only, Exchange: func(_ context.Context, q *dns.Msg, _ string) (*dns.Msg, error) {
				name, _, _ := strings.Cut(q.Question[0].Name, ".")
				return message(t, q, test.text[name]), nil
			}})
			if got := show(r.Lookup(t.Context(), one)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if n := r.Stats().Queries; n > maxRestarts {
				t.Errorf("%d questions", n)
			}
			if e := r.cache.get(key{one.Host, dns.TypeA}); e.has && time.Until(e.fresh) > time.Second {
				t.Errorf("holds for %v, one alias only for a second", time.Until(e.fresh))
			}
		})
	}
}

func TestCheck(t *testing.T) {
	q := question(key{"x.example.org", dns.TypeA})
	tests := []struct {
		name   string
		change func(m *dns.Msg)
		ok     bool
	}{
		{"answer", func(*dns.Msg) {}, true},
		{"no such name", func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, true},
		{"capitals", func(m *dns.Msg) { m.Question[0].Name = "X.Example.ORG." }, true},
		{"question", func(m *dns.Msg) { m.Response = false }, false},
		{"another number", func(m *dns.Msg) { m.Id++ }, false},
		{"another operation", func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, false},
		{"refusal", func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, false},
		{"half", func(m *dns.Msg) { m.Truncated = true }, false},
		{"no question", func(m *dns.Msg) { m.Question = nil }, false},
		{"two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, false},
		{"another name", func(m *dns.Msg) { m.Question[0].Name = "y.example.org." }, false},
		{"another type", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }, false},
		{"another class", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := message(t, q, "x A 192.0.2.1")
			test.change(m)
			if err := check(m, q); (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	if check(nil, q) == nil {
		t.Error("nothing is an answer")
	}
}

// FuzzAnswer plays a server that says what it likes: no answer may be large, useless or of
// anybody else.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"x A 192.0.2.1\nx A 0.0.0.0",
		"x AAAA 2001:db8::1\nx AAAA fe80::1",
		"x SRV 1 2 5060 y\nx SRV 0 0 0 .\ny A 192.0.2.1",
		"x NAPTR 1 1 \"s\" \"SIP+D2U\" \"\" y\nx CNAME z",
		"x CNAME y\ny CNAME x",
		"---\nexample.org. SOA ns a 1 1 1 1 1",
	} {
		m := message(f, question(key{"x.example.org", dns.TypeA}), text)
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	kinds := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeNAPTR}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := new(dns.Msg)
		if m.Unpack(raw) != nil {
			return
		}
		for _, kind := range kinds {
			got, err := read(m, key{"x.example.org", kind})
			if err != nil {
				continue
			}
			if len(got.addrs) > maxAddrs || len(got.servers) > maxServers || len(got.pointers) > maxPointers ||
				got.ttl < 0 || got.ttl > maxTTL || got.unfit < 0 {
				t.Errorf("%v: %+v", kind, got)
			}
			names := []string{got.next}
			for _, s := range got.servers {
				names = append(names, s.name)
			}
			for _, p := range got.pointers {
				names = append(names, p.name)
			}
			for _, n := range names {
				if c, ok := canonical(n); n != "" && (!ok || c != n) {
					t.Errorf("name %q", n)
				}
			}
		}
		// The same message, whatever is asked: the lookup ends, and what it finds is usable.
		r := newResolver(t, nil, Options{Exchange: func(_ context.Context, q *dns.Msg, _ string) (*dns.Msg, error) {
			a := m.Copy()
			a.Id, a.Question, a.Response, a.Opcode, a.Truncated = q.Id, q.Question, true, dns.OpcodeQuery, false
			return a, nil
		}})
		for _, q := range []Query{{Host: "x.example.org"}, {Host: "x.example.org", Transport: TCP}, {Host: "x.example.org", Port: 5070}} {
			a, err := r.Lookup(t.Context(), q)
			if err != nil {
				if !errors.Is(err, ErrNoName) && !errors.Is(err, ErrNoAnswer) {
					t.Errorf("%+v: %v", q, err)
				}
				continue
			}
			if len(a.Targets) == 0 || len(a.Targets) > maxTargets || a.Stale {
				t.Errorf("%+v: %+v", q, a)
			}
			for i, target := range a.Targets {
				addr := target.Addr.Addr()
				if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || target.Addr.Port() == 0 ||
					target.Name != "x.example.org" || slices.Contains(a.Targets[:i], target) {
					t.Errorf("%+v: %+v", q, target)
				}
			}
		}
		if st := r.Stats(); st.Queries > 1000 || st.Flights > 200 {
			t.Errorf("%+v", st)
		}
	})
}

// FuzzHost: whatever a host is, nothing but a name or an address comes out.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"example.org", "[2001:db8::1]", "192.0.2.1", "[", "a..b", "fe80::1%eth0", "1.2.3.4.", "%", "a\x00b"} {
		f.Add(host, uint16(0), "UDP", false)
	}
	f.Fuzz(func(t *testing.T, host string, port uint16, transport string, secure bool) {
		r := newResolver(t, nil, Options{Exchange: func(_ context.Context, q *dns.Msg, _ string) (*dns.Msg, error) {
			if _, ok := dns.IsDomainName(q.Question[0].Name); !ok || strings.ContainsAny(q.Question[0].Name, "\\ \r\n\x00") {
				t.Errorf("asked for %q", q.Question[0].Name)
			}
			return message(t, q, ""), nil
		}})
		a, err := r.Lookup(t.Context(), Query{Host: host, Port: port, Transport: Transport(transport), Secure: secure})
		if err == nil && len(a.Targets) != 1 {
			t.Errorf("%q is at %+v", host, a)
		}
		if err == nil && secure && a.Targets[0].Transport != TLS {
			t.Errorf("%q over %s", host, a.Targets[0].Transport)
		}
		if _, numeric := netip.ParseAddr(host); numeric == nil && err != nil && !errors.Is(err, ErrQuery) {
			t.Errorf("%q: %v", host, err)
		}
	})
}
