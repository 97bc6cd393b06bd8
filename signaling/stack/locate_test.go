package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/resolve"
)

// zones is a locator that knows names by heart.
type zones struct {
	after time.Duration // for an answer of Lookup; none is cached before

	mu      sync.Mutex
	cached  bool
	targets map[resolve.Query][]resolve.Target
	asked   []resolve.Query
	notes   []string // of penalties and their end
}

func (z *zones) Cached(q resolve.Query) (resolve.Answer, bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	ts := z.targets[q]
	return resolve.Answer{Targets: ts}, z.cached && len(ts) > 0
}

func (z *zones) Lookup(ctx context.Context, q resolve.Query) (resolve.Answer, error) {
	if z.after > 0 {
		t := time.NewTimer(z.after)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return resolve.Answer{}, ctx.Err()
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, q)
	z.cached = true
	if len(z.targets[q]) == 0 {
		return resolve.Answer{}, errors.New("no such name")
	}
	return resolve.Answer{Targets: z.targets[q]}, nil
}

func (z *zones) Penalize(t resolve.Target, d time.Duration) { z.note("dead", t, d) }
func (z *zones) Forgive(t resolve.Target)                   { z.note("alive", t, 0) }

func (z *zones) note(what string, t resolve.Target, d time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := fmt.Sprint(what, " ", t.Addr.Addr().As4()[3])
	if d > 0 {
		n += fmt.Sprint(" ", d)
	}
	if len(z.notes) == 0 || z.notes[len(z.notes)-1] != n {
		z.notes = append(z.notes, n)
	}
}

// place is a target with the address 192.0.2.n.
func place(t resolve.Transport, n byte) resolve.Target {
	return resolve.Target{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 5060), Transport: t, Name: "trunk.example.net"}
}

func TestLocate(t *testing.T) {
	query := resolve.Query{Host: "trunk.example.net"}
	synctest.Test(t, func(t *testing.T) {
		z := &zones{after: time.Second, targets: map[resolve.Query][]resolve.Target{
			query: {{Addr: netip.MustParseAddrPort("[2001:db8::1]:5060"), Transport: resolve.UDP}, place(resolve.UDP, 2)},
			{Host: "trunk.example.net", Port: 5060, Transport: "TCP"}: {place(resolve.TCP, 2)},
		}}
		b := newBed(t, Options{Locate: z})
		var j journal
		start := time.Now()
		// Requests to one name go out in the order in which they were made, also behind one
		// that waits.
		b.stack.Request(build(sip.OPTIONS, "a"), Target{Host: "trunk.example.net"}, j.on)
		b.stack.Send(build(sip.ACK, "a"), Target{Host: "trunk.example.net"}, nil)
		synctest.Wait()
		z.mu.Lock()
		z.cached = true
		z.mu.Unlock()
		b.stack.Send(build(sip.ACK, "b"), Target{Host: "trunk.example.net"}, nil)
		if d := time.Since(start); d != 0 {
			t.Errorf("Request took %v", d)
		}
		options := b.want("OPTIONS")
		for _, id := range []string{"a", "b"} {
			if got := b.want("ACK"); field(got, "Call-ID") != id {
				t.Errorf("got the ACK of %q, want that of %q", field(got, "Call-ID"), id)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
		b.send(reply(options, "200 OK", "x"))
		if got := j.take(); got != "200" {
			t.Errorf("events %q, want 200", got)
		}
		// What is known is used at once.
		b.stack.Request(build(sip.OPTIONS, "c"), Target{Host: "trunk.example.net"}, j.on)
		b.want("OPTIONS")
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
		z.mu.Lock()
		defer z.mu.Unlock()
		if !slices.Equal(z.asked, []resolve.Query{query}) {
			t.Errorf("asked for %v", z.asked)
		}
	})
}

func TestLocateFails(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration
		to    Target
		want  string
		by    time.Duration
	}{
		{"no such name", 0, Target{Host: "nobody.example.net"}, "resolve", 0},
		{"DNS does not answer", time.Hour, Target{Host: "trunk.example.net"}, "resolve", 5 * time.Second},
		{"a transport that we have not", 0, Target{Transport: WSS, Host: "trunk.example.net"}, "transport", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{Locate: &zones{after: tt.after}})
				var j journal
				b.stack.Request(build(sip.INVITE, "a"), tt.to, j.on)
				time.Sleep(tt.by)
				if got := j.take(); got != tt.want {
					t.Errorf("events %q, want %q", got, tt.want)
				}
				time.Sleep(time.Minute)
				if got := j.take(); got != "" {
					t.Errorf("then events %q", got)
				}
			})
		})
	}
}

// heard is a message that a peer has got for the first time.
type heard struct {
	at   time.Duration // since the beginning
	peer byte
	what string // its method
}

func (h heard) String() string { return fmt.Sprintf("%v %d %s", h.at, h.peer, h.what) }

// TestFailover sends one INVITE to a name with several places. Each place is given what it
// says to each new message.
func TestFailover(t *testing.T) {
	type says func(b *bed, send func(string), msg string)
	silent := func(*bed, func(string), string) {}
	refuses := func(status string, more ...string) says {
		return func(_ *bed, send func(string), msg string) {
			if strings.HasPrefix(msg, "INVITE") || strings.HasPrefix(msg, "OPTIONS") {
				send(reply(msg, status, "x", more...))
			}
		}
	}
	answers := refuses("200 OK")
	unreachable := func(b *bed, _ func(string), msg string) {
		b.stack.undelivered(netip.MustParseAddrPort("192.0.2.2:5060"), []byte(msg))
	}
	tests := []struct {
		name   string
		method sip.RequestMethod
		peers  []says
		want   string // events
		heard  string // first of each message, by peer
		notes  string
		cancel time.Duration
		stray  int
		haste  Haste
		told   time.Duration // of the end, if that is not to be at once
	}{
		{
			name: "the first answers", peers: []says{answers, silent},
			want: "200", heard: "0s 2 INVITE", notes: "alive 2",
		},
		{
			name: "the first says nothing", peers: []says{silent, answers},
			want: "200", heard: "0s 2 INVITE, 4s 3 INVITE", notes: "dead 2, alive 3",
		},
		{
			name: "the first says nothing to OPTIONS", method: sip.OPTIONS, peers: []says{silent, answers},
			want: "200", heard: "0s 2 OPTIONS, 4s 3 OPTIONS", notes: "dead 2, alive 3",
		},
		{
			name: "the first is not there", peers: []says{unreachable, answers},
			want: "200", heard: "0s 2 INVITE, 0s 3 INVITE", notes: "dead 2, alive 3",
		},
		{
			name: "the first is overloaded", peers: []says{refuses("503 Service Unavailable", "Retry-After: 120 (later)"), answers},
			want: "200", heard: "0s 2 INVITE, 0s 2 ACK, 0s 3 INVITE", notes: "dead 2 2m0s, alive 3",
		},
		{
			name: "the first has trouble", peers: []says{refuses("500 Server Internal Error"), answers},
			want: "200", heard: "0s 2 INVITE, 0s 2 ACK, 0s 3 INVITE", notes: "alive 2, alive 3",
		},
		{
			name: "the first has a timeout", peers: []says{refuses("408 Request Timeout"), answers},
			want: "200", heard: "0s 2 INVITE, 0s 2 ACK, 0s 3 INVITE", notes: "alive 2, alive 3",
		},
		{
			name: "the first cannot do it", peers: []says{refuses("501 Not Implemented"), answers},
			want: "501", heard: "0s 2 INVITE, 0s 2 ACK", notes: "alive 2",
		},
		{
			name: "the first knows no such version", peers: []says{refuses("505 Version Not Supported"), answers},
			want: "505", heard: "0s 2 INVITE, 0s 2 ACK", notes: "alive 2",
		},
		{
			name: "the first is busy", peers: []says{refuses("486 Busy Here"), answers},
			want: "486", heard: "0s 2 INVITE, 0s 2 ACK", notes: "alive 2",
		},
		{
			name: "the first works on it, and fails", peers: []says{func(_ *bed, send func(string), msg string) {
				if strings.HasPrefix(msg, "INVITE") {
					send(reply(msg, "100 Trying", ""))
					time.AfterFunc(5*time.Second, func() { send(reply(msg, "503 Service Unavailable", "x")) })
				}
			}, answers},
			want: "100 200", heard: "0s 2 INVITE, 5s 2 ACK, 5s 3 INVITE", notes: "alive 2, dead 2, alive 3",
		},
		{
			name: "the first rings, and fails", peers: []says{func(_ *bed, send func(string), msg string) {
				if strings.HasPrefix(msg, "INVITE") {
					send(reply(msg, "180 Ringing", "x"))
					time.AfterFunc(5*time.Second, func() { send(reply(msg, "503 Service Unavailable", "x")) })
				}
			}, answers},
			want: "180 503", heard: "0s 2 INVITE, 5s 2 ACK", notes: "alive 2, dead 2",
		},
		{
			name: "all say nothing", peers: []says{silent, silent, silent, silent},
			want: "timeout", heard: "0s 2 INVITE, 4s 3 INVITE, 8s 4 INVITE", notes: "dead 2, dead 3, dead 4",
		},
		{
			name: "the last failure is told", peers: []says{silent, refuses("500 Server Internal Error")},
			want: "500", heard: "0s 2 INVITE, 4s 3 INVITE, 4s 3 ACK", notes: "dead 2, alive 3",
		},
		{
			name: "too little time is left", peers: []says{silent, func(_ *bed, send func(string), msg string) {
				if strings.HasPrefix(msg, "INVITE") {
					time.AfterFunc(3*time.Second, func() { send(reply(msg, "100 Trying", "")) })
					time.AfterFunc(7600*time.Millisecond, func() { send(reply(msg, "503 Service Unavailable", "x")) })
				}
			}, answers},
			want: "100 503", heard: "0s 2 INVITE, 4s 3 INVITE, 11.6s 3 ACK", notes: "dead 2, alive 3, dead 3",
		},
		{
			name: "cancelled, no other is tried", peers: []says{silent, answers}, cancel: time.Second,
			want: "timeout", heard: "0s 2 INVITE", notes: "dead 2",
		},
		{
			name: "the first rings when the second does", peers: []says{func(_ *bed, send func(string), msg string) {
				switch {
				case strings.HasPrefix(msg, "INVITE"):
					time.AfterFunc(5*time.Second, func() { send(reply(msg, "180 Ringing", "x")) })
				case strings.HasPrefix(msg, "CANCEL"):
					send(reply(msg, "200 OK", "x"))
					send(reply(strings.Replace(msg, "1 CANCEL", "1 INVITE", 1), "487 Request Terminated", "x"))
				}
			}, func(_ *bed, send func(string), msg string) {
				if strings.HasPrefix(msg, "INVITE") {
					send(reply(msg, "180 Ringing", "y"))
					time.AfterFunc(5*time.Second, func() { send(reply(msg, "200 OK", "y")) })
				}
			}},
			want: "180 200", heard: "0s 2 INVITE, 4s 3 INVITE, 5s 2 CANCEL, 5s 2 ACK", notes: "dead 2, alive 3, alive 2, alive 3",
		},
		{
			name: "the first answers before the second", peers: []says{func(_ *bed, send func(string), msg string) {
				if strings.HasPrefix(msg, "INVITE") {
					time.AfterFunc(5*time.Second, func() { send(reply(msg, "200 OK", "x")) })
				}
			}, func(_ *bed, send func(string), msg string) {
				switch {
				case strings.HasPrefix(msg, "INVITE"):
					send(reply(msg, "180 Ringing", "y"))
				case strings.HasPrefix(msg, "CANCEL"):
					send(reply(msg, "200 OK", "y"))
					send(reply(strings.Replace(msg, "1 CANCEL", "1 INVITE", 1), "487 Request Terminated", "y"))
				}
			}},
			want: "180 200", heard: "0s 2 INVITE, 4s 3 INVITE, 5s 3 CANCEL, 5s 3 ACK", notes: "dead 2, alive 3, alive 2, alive 3",
		},
		{
			name: "the first answers after the second", peers: []says{func(_ *bed, send func(string), msg string) {
				if strings.HasPrefix(msg, "INVITE") {
					time.AfterFunc(5*time.Second, func() { send(reply(msg, "200 OK", "x")) })
				}
			}, answers},
			want: "200", heard: "0s 2 INVITE, 4s 3 INVITE", notes: "dead 2, alive 3, alive 2", stray: 1,
		},
		{
			name: "in haste the last has no longer than the others", peers: []says{silent, silent}, haste: Haste{Next: true},
			want: "timeout", heard: "0s 2 INVITE, 4s 3 INVITE", notes: "dead 2, dead 3", told: 8 * time.Second,
		},
		{
			name: "in haste one that says something has its time", peers: []says{func(_ *bed, send func(string), msg string) {
				if strings.HasPrefix(msg, "INVITE") {
					send(reply(msg, "100 Trying", ""))
					time.AfterFunc(time.Minute, func() { send(reply(msg, "200 OK", "x")) })
				}
			}}, haste: Haste{Next: true, Within: 6 * time.Second},
			want: "100 200", heard: "0s 2 INVITE", notes: "alive 2", told: time.Minute,
		},
		{
			name: "in haste one that is late is told why", peers: []says{func(_ *bed, send func(string), msg string) {
				switch {
				case strings.HasPrefix(msg, "INVITE"):
					time.AfterFunc(5*time.Second, func() { send(reply(msg, "180 Ringing", "x")) })
				case strings.HasPrefix(msg, "CANCEL") && strings.Contains(msg, "\r\nReason: late\r\n"):
					send(reply(msg, "200 OK", "x"))
					send(reply(strings.Replace(msg, "1 CANCEL", "1 INVITE", 1), "487 Request Terminated", "x"))
				}
			}}, haste: Haste{Next: true, Why: []sip.Header{sip.NewHeader("Reason", "late")}},
			want: "timeout", heard: "0s 2 INVITE, 5s 2 CANCEL, 5s 2 ACK", notes: "dead 2, alive 2", told: 4 * time.Second,
		},
		{
			name: "in haste there is less time for all", peers: []says{silent, silent, silent}, haste: Haste{Within: 6 * time.Second},
			want: "timeout", heard: "0s 2 INVITE, 4s 3 INVITE", notes: "dead 2, dead 3", told: 6 * time.Second,
		},
		{
			name: "in haste for OPTIONS", method: sip.OPTIONS, peers: []says{silent}, haste: Haste{Within: 2 * time.Second},
			want: "timeout", heard: "0s 2 OPTIONS", notes: "dead 2", told: 2 * time.Second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := &zones{cached: true, targets: map[resolve.Query][]resolve.Target{}}
				query := resolve.Query{Host: "trunk.example.net"}
				for i := range tt.peers {
					z.targets[query] = append(z.targets[query], place(resolve.UDP, byte(2+i)))
				}
				strays := 0
				b := newBed(t, Options{
					Locate: z, OnStray: func(*sip.Response) { strays++ },
					Allowed: func(netip.AddrPort, Transport) bool { return true },
				})
				start := time.Now()
				var mu sync.Mutex
				var got []heard
				for i, says := range tt.peers {
					pc := b.peer
					if i > 0 {
						var err error
						if pc, err = b.net.ListenPacket(place(resolve.UDP, byte(2+i)).Addr.String()); err != nil {
							t.Fatal(err)
						}
						defer pc.Close()
					}
					send := (&bed{t: t, peer: pc}).send
					go func() { // ends when the socket is closed
						seen := map[string]bool{}
						buf := make([]byte, 65536)
						for {
							n, _, err := pc.ReadFrom(buf)
							if err != nil {
								return
							}
							msg := string(buf[:n])
							what, _, _ := strings.Cut(msg, " ")
							if seen[what] {
								continue
							}
							seen[what] = true
							mu.Lock()
							got = append(got, heard{time.Since(start), byte(2 + i), what})
							mu.Unlock()
							says(b, send, msg)
						}
					}()
				}
				var j journal
				over := time.Duration(0)
				tx := b.stack.Hurry(build(or(tt.method, sip.INVITE), "a"), Target{Host: "trunk.example.net"}, tt.haste, func(e Event) {
					if e.Err != nil || !e.Response.IsProvisional() {
						mu.Lock()
						over = time.Since(start)
						mu.Unlock()
					}
					j.on(e)
				})
				if tt.cancel > 0 {
					time.Sleep(tt.cancel)
					tx.Cancel()
				}
				time.Sleep(2 * time.Minute)
				if got := j.take(); got != tt.want {
					t.Errorf("events %q, want %q", got, tt.want)
				}
				mu.Lock()
				if s := joined(got); s != tt.heard {
					t.Errorf("peers got %q, want %q", s, tt.heard)
				}
				if tt.told != 0 && over != tt.told {
					t.Errorf("it was told after %v, want %v", over, tt.told)
				}
				mu.Unlock()
				z.mu.Lock()
				if n := strings.Join(z.notes, ", "); n != tt.notes {
					t.Errorf("noted %q, want %q", n, tt.notes)
				}
				z.mu.Unlock()
				if strays != tt.stray {
					t.Errorf("%d answers without a call, want %d", strays, tt.stray)
				}
				if n := b.stack.Stats().ClientTxs; n != 0 {
					t.Errorf("%d transactions are left", n)
				}
				b.stack.Close()
				b.peer.Close()
			})
		})
	}
}

// joined is what peers got, by time and peer: they do not see each other.
func joined(all []heard) string {
	slices.SortStableFunc(all, func(a, b heard) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.peer, b.peer))
	})
	var parts []string
	for _, h := range all {
		parts = append(parts, h.String())
	}
	return strings.Join(parts, ", ")
}

// TestFailoverKeepsTheCall: all targets are asked for the same call, each in a transaction of
// its own.
func TestFailoverKeepsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zones{cached: true, targets: map[resolve.Query][]resolve.Target{
			{Host: "trunk.example.net"}: {place(resolve.UDP, 2), place(resolve.UDP, 2)},
		}}
		b := newBed(t, Options{Locate: z})
		var j journal
		tx := b.stack.Request(build(sip.INVITE, "a"), Target{Host: "trunk.example.net"}, j.on)
		first := b.want("INVITE")
		b.send(reply(first, "503 Service Unavailable", "x"))
		b.want("ACK")
		second := b.want("INVITE")
		for _, name := range []string{"Call-ID", "From", "To", "CSeq", "Max-Forwards"} {
			if field(first, name) != field(second, name) {
				t.Errorf("%s: %q, then %q", name, field(first, name), field(second, name))
			}
		}
		if field(first, "Via") == field(second, "Via") || strings.Count(second, "Via:") != 1 {
			t.Errorf("first %q, second\n%s", field(first, "Via"), second)
		}
		b.send(reply(second, "180 Ringing", "x"))
		synctest.Wait()
		tx.Cancel()
		if got := b.want("CANCEL"); field(got, "Via") != field(second, "Via") {
			t.Errorf("CANCEL goes with %q, want %q", field(got, "Via"), field(second, "Via"))
		}
		if n := b.stack.Stats().Failovers; n != 1 {
			t.Errorf("%d failovers counted, want 1", n)
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if want := peerTarget; len(j.events) != 1 || j.events[0].Target != want {
			t.Errorf("events %+v, want one from %v", j.events, want)
		}
	})
}

// TestFailoverInDialog: what belongs to a dialog is not tried elsewhere once it was sent.
func TestFailoverInDialog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zones{cached: true, targets: map[resolve.Query][]resolve.Target{
			{Host: "trunk.example.net"}: {place(resolve.UDP, 2), place(resolve.UDP, 2)},
		}}
		b := newBed(t, Options{Locate: z})
		var j journal
		bye := build(sip.BYE, "a")
		bye.To().Params.Add("tag", "r")
		b.stack.Request(bye, Target{Host: "trunk.example.net"}, j.on)
		b.send(reply(b.want("BYE"), "503 Service Unavailable", ""))
		b.nothing(time.Minute)
		if got := j.take(); got != "503" {
			t.Errorf("events %q, want 503", got)
		}
	})
}

// TestFailoverOfConnections: a target that cannot be connected to, or not in time, is left
// for the next, which may be reached in another way; in a dialog too, since nothing was sent.
func TestFailoverOfConnections(t *testing.T) {
	tests := []struct {
		name   string
		dial   func(ctx context.Context) error
		tag    string
		second resolve.Transport
		after  time.Duration
		want   string
	}{
		{"refused", func(context.Context) error { return errors.New("refused") }, "", resolve.UDP, 0, "486"},
		{"no answer", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "", resolve.UDP, 2 * time.Second, "486"},
		{"refused in a dialog", func(context.Context) error { return errors.New("refused") }, "r", resolve.UDP, 0, "486"},
		{"both refused", func(context.Context) error { return errors.New("refused") }, "", resolve.TCP, 0, "transport"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := &zones{cached: true, targets: map[resolve.Query][]resolve.Target{
					{Host: "trunk.example.net"}: {place(resolve.TCP, 2), place(tt.second, 2)},
				}}
				b := newBed(t, Options{Locate: z, Dial: func(ctx context.Context, _ Transport, _ netip.AddrPort) (net.Conn, error) {
					return nil, tt.dial(ctx)
				}})
				var j journal
				req := build(sip.INVITE, "a")
				if tt.tag != "" {
					req.To().Params.Add("tag", tt.tag)
				}
				start := time.Now()
				b.stack.Request(req, Target{Host: "trunk.example.net"}, j.on)
				if tt.second == resolve.UDP {
					b.send(reply(b.want("INVITE"), "486 Busy Here", ""))
					b.want("ACK")
				}
				if got := j.take(); got != tt.want {
					t.Errorf("events %q, want %q", got, tt.want)
				}
				if d := time.Since(start); d != tt.after {
					t.Errorf("took %v, want %v", d, tt.after)
				}
				if n := b.stack.Stats().Failovers; n != 1 {
					t.Errorf("%d failovers counted, want 1", n)
				}
			})
		})
	}
}

// TestFailoverOfLostConnection: a connection that is lost before the target has said anything
// is as good as none.
func TestFailoverOfLostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zones{cached: true, targets: map[resolve.Query][]resolve.Target{
			{Host: "trunk.example.net"}: {place(resolve.TCP, 2), place(resolve.UDP, 2)},
		}}
		b := newBed(t, Options{Locate: z})
		l, err := b.net.Listen(theirs)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var j journal
		b.stack.Request(build(sip.INVITE, "a"), Target{Host: "trunk.example.net"}, j.on)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 65536)
		n, err := c.Read(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), "INVITE") {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
		c.Close()
		b.send(reply(b.want("INVITE"), "486 Busy Here", ""))
		b.want("ACK")
		if got := j.take(); got != "486" {
			t.Errorf("events %q, want 486", got)
		}
	})
}

// TestCancelBeforeSent: what is cancelled while DNS or a connection is waited for is not sent.
func TestCancelBeforeSent(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration // of DNS
		first resolve.Transport
	}{
		{"during a lookup", 2 * time.Second, resolve.UDP},
		{"during a connection", 0, resolve.TCP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := &zones{after: tt.after, targets: map[resolve.Query][]resolve.Target{
					{Host: "trunk.example.net"}: {place(tt.first, 2), place(resolve.UDP, 2)},
				}}
				b := newBed(t, Options{Locate: z, Dial: func(ctx context.Context, _ Transport, _ netip.AddrPort) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}})
				var j journal
				tx := b.stack.Request(build(sip.INVITE, "a"), Target{Host: "trunk.example.net"}, j.on)
				time.Sleep(time.Second)
				tx.Cancel()
				b.nothing(time.Minute)
				if got := j.take(); got != "transport" {
					t.Errorf("events %q, want that it was not sent", got)
				}
			})
		})
	}
}

// TestTotalTime: DNS, connections and targets that say nothing take no longer together than
// one target would, and nothing is sent when the user has been told.
func TestTotalTime(t *testing.T) {
	tests := []struct {
		name  string
		dns   time.Duration
		limit time.Duration
		first resolve.Transport
		sent  bool
	}{
		{"slow DNS", 4 * time.Second, 12 * time.Second, resolve.UDP, true},
		{"DNS is slower than the limit", 4 * time.Second, 3 * time.Second, resolve.UDP, false},
		{"a connection is slower than the limit", 0, time.Second, resolve.TCP, false},
		{"no time for another target after a connection", 0, 2300 * time.Millisecond, resolve.TCP, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := &zones{after: tt.dns, targets: map[resolve.Query][]resolve.Target{
					{Host: "trunk.example.net"}: {place(tt.first, 2), place(resolve.UDP, 2)},
				}}
				b := newBed(t, Options{Locate: z, Limits: Limits{Silence: tt.limit}, Dial: func(ctx context.Context, _ Transport, _ netip.AddrPort) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}})
				var j journal
				begin := time.Now()
				b.stack.Request(build(sip.INVITE, "a"), Target{Host: "trunk.example.net"}, j.on)
				time.Sleep(tt.limit)
				if got := j.take(); got == "" {
					t.Errorf("no event after %v", time.Since(begin))
				}
				if !tt.sent {
					b.nothing(time.Minute)
				}
				time.Sleep(time.Minute)
				if got := j.take(); got != "" {
					t.Errorf("then events %q", got)
				}
				if n := b.stack.Stats().ClientTxs; n != 0 {
					t.Errorf("%d transactions are left", n)
				}
			})
		})
	}
}
