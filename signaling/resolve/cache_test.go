package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// one is a query that takes two questions, for A and AAAA.
var one = Query{Host: "plain.example.org", Port: 5060, Transport: UDP}

func TestTimesToLive(t *testing.T) {
	tests := []struct {
		name   string
		record string
		holds  time.Duration // the question is asked again after this, and not before
	}{
		{"as the record says", "plain 60 A 192.0.2.1", time.Minute},
		{"not below a second", "plain 0 A 192.0.2.1", time.Second},
		{"not above an hour", "plain 604800 A 192.0.2.1", time.Hour},
		{"highest bit set", "plain 4294967295 A 192.0.2.1", time.Second},
		{"the shortest counts", "plain 90 A 192.0.2.1\nplain 30 A 192.0.2.2", 30 * time.Second},
		{"that of an alias too", "plain 20 CNAME other\nother 90 A 192.0.2.1", 20 * time.Second},
		{"no such name: as the SOA says", "", time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, test.record)
				r := newResolver(t, z, Options{Families: IPv4Only})
				first := show(r.Lookup(t.Context(), one))
				z.take()
				// Not in the last tenth, in which use has it asked again.
				time.Sleep(test.holds * 8 / 10)
				if got := show(r.Lookup(t.Context(), one)); got != first || z.take() != "" {
					t.Errorf("%s before %v, first %s", got, test.holds, first)
				}
				time.Sleep(test.holds*2/10 + 1)
				if got := show(r.Lookup(t.Context(), one)); got != first {
					t.Errorf("%s after %v, first %s", got, test.holds, first)
				}
				if z.take() == "" {
					t.Errorf("not asked again after %v", test.holds)
				}
			})
		})
	}
}

// TestNegative: without a SOA "no such name" holds for a second, and with one for five
// minutes at most.
func TestNegative(t *testing.T) {
	for _, test := range []struct {
		name  string
		soa   string
		holds time.Duration
	}{
		{"no SOA", "", time.Second},
		{"long SOA", "example.org. 86400 SOA ns.example.org. a.example.org. 1 1 1 1 86400", 5 * time.Minute},
		{"its minimum is shorter", "example.org. 86400 SOA ns.example.org. a.example.org. 1 1 1 1 9", 9 * time.Second},
		{"its own TTL is shorter", "example.org. 7 SOA ns.example.org. a.example.org. 1 1 1 1 86400", 7 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				r := newResolver(t, nil, Options{
					Families: IPv4Only,
					Exchange: func(_ context.Context, q *dns.Msg, _ string) (*dns.Msg, error) {
						asked++
						m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
						if test.soa != "" {
							rr, err := dns.NewRR(test.soa)
							if err != nil {
								return nil, err
							}
							m.Ns = append(m.Ns, rr)
						}
						return m, nil
					},
				})
				for _, step := range []struct {
					after time.Duration
					asked int
				}{{0, 1}, {test.holds * 8 / 10, 1}, {test.holds*2/10 + 1, 2}} {
					time.Sleep(step.after)
					if got := show(r.Lookup(t.Context(), one)); got != "error: no name" || asked != step.asked {
						t.Errorf("%v later %s, asked %d times, want %d", step.after, got, asked, step.asked)
					}
				}
			})
		})
	}
}

// TestRenewal: an answer in use is asked for again before it has run out, and nobody waits.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 100 A 192.0.2.1")
		r := newResolver(t, z, Options{Families: IPv4Only})
		_, _ = r.Lookup(t.Context(), one)
		z.set(t, "plain 100 A 192.0.2.2")
		time.Sleep(95 * time.Second)
		if a, ok := r.Cached(one); !ok || show(a, nil) != "UDP 192.0.2.1:5060" {
			t.Errorf("got %s, %v", show(a, nil), ok)
		}
		synctest.Wait()
		if a, ok := r.Cached(one); !ok || show(a, nil) != "UDP 192.0.2.2:5060" {
			t.Errorf("got %s, %v", show(a, nil), ok)
		}
		if st := r.Stats(); st.Queries != 2 || st.Lookups != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// TestCached: it never waits, and has asked what it did not know.
func TestCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, domains)
		r := newResolver(t, z, Options{})
		q := Query{Host: "example.org"}
		for range 5 { // hosts, NAPTR, SRV, hosts and addresses of the servers
			if _, ok := r.Cached(q); ok {
				break
			}
			synctest.Wait()
		}
		a, ok := r.Cached(q)
		if got := show(a, nil); !ok || !strings.HasPrefix(got, "TCP 192.0.2.1:5060") {
			t.Errorf("got %s, %v", got, ok)
		}
		if _, ok := r.Cached(Query{Host: "192.0.2.1"}); !ok {
			t.Error("an address has to be asked for")
		}
		if st := r.Stats(); st.Lookups != 3 && st.Lookups != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// TestStale: while DNS is down its last answer is used for a day, at first after a short
// wait and then without one; and when it is back, its new answer.
func TestStale(t *testing.T) {
	for _, how := range []string{"silent", "SERVFAIL", "REFUSED", "refused"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, domains)
				r := newResolver(t, z, Options{})
				q := Query{Host: "srv.example.org"}
				want := show(r.Lookup(t.Context(), q))
				z.fault("all", how)
				time.Sleep(301 * time.Second)
				start := time.Now()
				a, err := r.Lookup(t.Context(), q)
				if got := show(a, err); got != want+" (stale)" {
					t.Errorf("got %s, want %s", got, want)
				}
				if d := time.Since(start); d > patience {
					t.Errorf("took %v", d)
				}
				time.Sleep(9 * time.Second) // until silence has become failure
				start = time.Now()
				for range 10 {
					if got := show(r.Lookup(t.Context(), q)); got != want+" (stale)" {
						t.Errorf("got %s, want %s", got, want)
					}
				}
				if d := time.Since(start); d != 0 {
					t.Errorf("took %v though DNS was just found to be down", d)
				}
				if a, ok := r.Cached(q); !ok || !a.Stale {
					t.Errorf("cached %v, %v", a, ok)
				}
				if st := r.Stats(); st.Stale != 12 {
					t.Errorf("%d stale answers counted, want 12", st.Stale)
				}
				time.Sleep(23*time.Hour + 50*time.Minute)
				if got := show(r.Lookup(t.Context(), q)); got != want+" (stale)" {
					t.Errorf("nearly a day later %s, want %s", got, want)
				}
				time.Sleep(time.Hour)
				if got := show(r.Lookup(t.Context(), q)); got != "error: no answer" {
					t.Errorf("more than a day later %s", got)
				}
				z.fault("all", "")
				time.Sleep(recheck + 1)
				if got := show(r.Lookup(t.Context(), q)); got != want {
					t.Errorf("DNS is back: %s, want %s", got, want)
				}
			})
		})
	}
}

// TestSlowIsNotStaleForever: an answer that takes longer than one wants to wait is used as soon as it is
// there.
func TestSlowIsNotStaleForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 60 A 192.0.2.1")
		slow := time.Duration(0)
		r := newResolver(t, z, Options{Families: IPv4Only, Exchange: func(ctx context.Context, q *dns.Msg, s string) (*dns.Msg, error) {
			time.Sleep(slow)
			return z.exchange(ctx, q, s)
		}})
		_, _ = r.Lookup(t.Context(), one)
		z.set(t, "plain 60 A 192.0.2.2")
		slow = 1900 * time.Millisecond
		time.Sleep(61 * time.Second)
		if got := show(r.Lookup(t.Context(), one)); got != "UDP 192.0.2.1:5060 (stale)" {
			t.Errorf("got %s", got)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := show(r.Lookup(t.Context(), one)); got != "UDP 192.0.2.2:5060" {
			t.Errorf("got %s", got)
		}
	})
}

// TestLongUnused: what is older than a day is waited for like what was never known.
func TestLongUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 60 A 192.0.2.1")
		r := newResolver(t, z, Options{Families: IPv4Only, Exchange: func(ctx context.Context, q *dns.Msg, s string) (*dns.Msg, error) {
			time.Sleep(1900 * time.Millisecond)
			return z.exchange(ctx, q, s)
		}})
		_, _ = r.Lookup(t.Context(), one)
		z.set(t, "plain 60 A 192.0.2.2")
		time.Sleep(staleFor + time.Hour)
		if got := show(r.Lookup(t.Context(), one)); got != "UDP 192.0.2.2:5060" {
			t.Errorf("got %s", got)
		}
	})
}

// TestNoTimeButAnOldAnswer: who cannot wait has the old answer.
func TestNoTimeButAnOldAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 60 A 192.0.2.1")
		r := newResolver(t, z, Options{})
		_, _ = r.Lookup(t.Context(), one)
		z.fault("all", "silent")
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if got := show(r.Lookup(ctx, one)); got != "UDP 192.0.2.1:5060 (stale)" || time.Since(start) != time.Second {
			t.Errorf("got %s after %v", got, time.Since(start))
		}
	})
}

// TestNoTimeForNAPTR: who cannot wait for what the domain prefers is not sent elsewhere.
func TestNoTimeForNAPTR(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, domains)
		z.fault("example.org NAPTR", "silent")
		r := newResolver(t, z, Options{})
		_, _ = r.Lookup(t.Context(), Query{Host: "example.org", Transport: UDP})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := show(r.Lookup(ctx, Query{Host: "example.org"})); got != "error: no answer" {
			t.Errorf("got %s", got)
		}
	})
}

// TestGoneIsGone: a name that DNS says is no more is not served from memory.
func TestGoneIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 60 A 192.0.2.1")
		r := newResolver(t, z, Options{})
		_, _ = r.Lookup(t.Context(), one)
		z.set(t, "")
		time.Sleep(61 * time.Second)
		if got := show(r.Lookup(t.Context(), one)); got != "error: no name" {
			t.Errorf("got %s", got)
		}
	})
}

// TestDownFromTheStart: failures are remembered for a short time, so that a flood of calls is
// not one of questions; then DNS is asked again.
func TestDownFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 60 A 192.0.2.1")
		z.fault("all", "SERVFAIL")
		r := newResolver(t, z, Options{Families: IPv4Only})
		for range 100 {
			if got := show(r.Lookup(t.Context(), one)); got != "error: no answer" {
				t.Errorf("got %s", got)
			}
		}
		if got := z.take(); got != "plain.example.org A, plain.example.org A" {
			t.Errorf("asked %s, want two tries", got)
		}
		z.fault("all", "")
		time.Sleep(holdOff + 1)
		if got := show(r.Lookup(t.Context(), one)); got != "UDP 192.0.2.1:5060" {
			t.Errorf("got %s", got)
		}
		if st := r.Stats(); st.Unanswered != 100 || st.Failures != 2 || st.Queries != 3 || st.Unknown != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestSilentAgain: who knows that nobody answered last time does not wait the whole time once more.
func TestSilentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 60 A 192.0.2.1")
		z.fault("all", "silent")
		r := newResolver(t, z, Options{Families: IPv4Only})
		for i, want := range []time.Duration{tries * tryTime, patience} {
			start := time.Now()
			if got := show(r.Lookup(t.Context(), one)); got != "error: no answer" || time.Since(start) != want {
				t.Errorf("%d: got %s after %v, want %v", i, got, time.Since(start), want)
			}
			time.Sleep(tries*tryTime + holdOff)
		}
	})
}

// TestServers: each is asked, twice, the one that answered last first.
func TestServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 60 A 192.0.2.1\nother 60 A 192.0.2.2")
		r := newResolver(t, z, Options{Families: IPv4Only, Servers: []string{"192.0.2.51", "192.0.2.52:5353", "2001:db8::53"}})
		z.fault("192.0.2.51:53", "silent")
		z.fault("192.0.2.52:5353", "SERVFAIL")
		start := time.Now()
		if got := show(r.Lookup(t.Context(), one)); got != "UDP 192.0.2.1:5060" || time.Since(start) != tryTime {
			t.Errorf("got %s after %v", got, time.Since(start))
		}
		if got := strings.Join(z.servers, " "); got != "192.0.2.51:53 192.0.2.52:5353 [2001:db8::53]:53" {
			t.Errorf("asked %s", got)
		}
		z.take()
		if got := show(r.Lookup(t.Context(), Query{Host: "other.example.org", Port: 1})); got != "UDP 192.0.2.2:1" || len(z.servers) != 1 {
			t.Errorf("got %s from %s", got, z.servers)
		}
		z.fault("all", "SERVFAIL")
		z.take()
		_, err := r.Lookup(t.Context(), Query{Host: "third.example.org", Port: 1})
		if !errors.Is(err, ErrNoAnswer) || len(z.servers) != 6 || !strings.Contains(err.Error(), "SERVFAIL") {
			t.Errorf("got %v from %s", err, z.servers)
		}
	})
}

// TestFlights: many who want the same ask once, and each waits as long as it likes.
func TestFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 60 A 192.0.2.1")
		r := newResolver(t, z, Options{Families: IPv4Only, Exchange: func(ctx context.Context, q *dns.Msg, s string) (*dns.Msg, error) {
			time.Sleep(time.Second)
			return z.exchange(ctx, q, s)
		}})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				want := "UDP 192.0.2.1:5060"
				if i%2 == 0 {
					// The first to come gives up: the others do not.
					ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
					defer cancel()
					want = "error: no answer"
				}
				a, err := r.Lookup(ctx, one)
				if got := show(a, err); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if i%2 == 0 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not say why", err)
				}
			})
		}
		synctest.Wait()
		if st := r.Stats(); st.Flights != 1 {
			t.Errorf("%d questions under way", st.Flights)
		}
		wg.Wait()
		if got := z.take(); got != "plain.example.org A" {
			t.Errorf("asked %s", got)
		}
	})
}

// TestBounds: neither answers nor questions are without end.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 3600 A 192.0.2.1")
		r := newResolver(t, z, Options{Entries: 100, Families: IPv4Only})
		want := show(r.Lookup(t.Context(), one))
		for i := range 1000 {
			_, _ = r.Lookup(t.Context(), Query{Host: fmt.Sprintf("x%d.example.org", i), Port: 1})
			if i%20 == 0 {
				_, _ = r.Lookup(t.Context(), one) // in use, so not forgotten
			}
		}
		if got := show(r.Lookup(t.Context(), one)); got != want || strings.Count(z.take(), "plain") != 1 {
			t.Errorf("got %s, or asked more than once", got)
		}
		if n := r.Stats().Entries; n != 100 {
			t.Errorf("%d entries", n)
		}
		z.fault("all", "silent")
		var wg sync.WaitGroup
		for i := range 1500 {
			wg.Go(func() { _, _ = r.Lookup(context.Background(), Query{Host: fmt.Sprintf("y%d.example.org", i), Port: 1}) })
		}
		synctest.Wait()
		time.Sleep(time.Second) // all have got beyond the hosts file
		if n := r.Stats().Flights; n != flights {
			t.Errorf("%d questions under way, want %d", n, flights)
		}
		wg.Wait()
		if n := r.Stats().Flights; n != 0 {
			t.Errorf("%d questions are left", n)
		}
	})
}

// TestClose: who waits is told, and nothing is left.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "")
		z.fault("all", "silent")
		r := newResolver(t, z, Options{})
		got := make(chan string)
		start := time.Now()
		go func() { got <- show(r.Lookup(context.Background(), Query{Host: "example.org"})) }()
		synctest.Wait()
		r.Close()
		if g := <-got; g != "error: closed" || time.Since(start) != 0 {
			t.Errorf("got %s after %v", g, time.Since(start))
		}
		if g := show(r.Lookup(context.Background(), Query{Host: "other.example.org"})); g != "error: closed" {
			t.Errorf("got %s", g)
		}
		if _, ok := r.Cached(one); ok {
			t.Error("something is known")
		}
		r.Close()
		// The entry is of the hosts file, from before; the questions are for NAPTR and two SRV.
		if st := r.Stats(); st.Flights != 0 || st.Entries != 1 || st.Queries != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// TestHostsAgain: the hosts file is looked at again before long, and mostly nobody waits for it.
func TestHostsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain 3600 A 192.0.2.1")
		var own []netip.Addr
		r := newResolver(t, z, Options{Hosts: func(context.Context, string) ([]netip.Addr, error) { return own, nil }})
		_, _ = r.Lookup(t.Context(), one)
		own = []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.7")}
		want := func(want string) {
			t.Helper()
			a, ok := r.Cached(one)
			if got := show(a, nil); got != want || !ok {
				t.Errorf("got %s, %v, want %s", got, ok, want)
			}
		}
		time.Sleep(hostsRenew)
		want("UDP 192.0.2.1:5060")
		time.Sleep(time.Nanosecond)
		if _, ok := r.Cached(one); !ok { // the old or, if it is quick, the new
			t.Error("nothing is known")
		}
		synctest.Wait()
		want("UDP 10.0.0.7:5060")
		own = nil
		time.Sleep(hostsTTL)
		if got := show(r.Lookup(t.Context(), one)); got != "UDP 192.0.2.1:5060" {
			t.Errorf("got %s", got)
		}
	})
}
