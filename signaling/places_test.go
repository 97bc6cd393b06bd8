package signaling

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/memnet"
)

// A fakeDNS knows where the trunk is; it answers after a second.
type fakeDNS struct {
	mu      sync.Mutex
	targets []resolve.Target
	cached  bool
}

func (d *fakeDNS) Cached(resolve.Query) (resolve.Answer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return resolve.Answer{Targets: d.targets}, d.cached
}

func (d *fakeDNS) Lookup(context.Context, resolve.Query) (resolve.Answer, error) {
	time.Sleep(time.Second)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.targets) == 0 {
		return resolve.Answer{}, errors.New("no answer")
	}
	d.cached = true
	return resolve.Answer{Targets: d.targets}, nil
}

func (d *fakeDNS) Penalize(resolve.Target, time.Duration) {}
func (d *fakeDNS) Forgive(resolve.Target)                 {}

// is sets the addresses of the trunk.
func (d *fakeDNS) is(addrs ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.targets = nil
	for _, a := range addrs {
		d.targets = append(d.targets, resolve.Target{Addr: netip.MustParseAddrPort(a), Transport: resolve.UDP, Name: "voip.example"})
	}
}

// playNamed runs f in a world whose trunk is a name.
func playNamed(t *testing.T, sources []netip.Prefix, f func(t *testing.T, w *world, dns *fakeDNS)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{}
		dns.is("198.51.100.9:5060", "198.51.100.10:5070")
		n := memnet.New()
		packet, err := n.ListenPacket(ours)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, net: n, calls: newFakeCalls()}
		w.edge, err = New(Options{
			Calls: w.calls,
			Stack: stack.Options{Listeners: []stack.Listener{{Transport: stack.UDP, Packet: packet}}, Locate: dns},
			Trunks: []Trunk{
				{Name: "pbx", Next: stack.Target{Host: "voip.example"}, Sources: sources},
			},
			Host:  "gw.jabber.example",
			NewID: func() string { return "id2" },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := w.edge.Close(); err != nil {
				t.Error(err)
			}
			w.calls.close()
		}()
		<-time.After(2 * time.Second) // the trunk is found
		f(t, w, dns)
	})
}

// TestPlaces: a call goes on to the second place of a trunk, and stays there.
func TestPlaces(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sources []netip.Prefix
	}{
		{"sources by DNS", nil},
		{"other sources", []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			playNamed(t, tt.sources, func(t *testing.T, w *world, dns *fakeDNS) {
				first, second := w.peer("198.51.100.9:5060"), w.peer("198.51.100.10:5070")
				c := w.dial(toOtto())
				first.wants("INVITE sip:otto@voip.example SIP/2.0")
				first.answer("503 Service Unavailable", "x", "", "")
				first.wants("ACK sip:otto@voip.example SIP/2.0")
				invite := second.wants("INVITE sip:otto@voip.example SIP/2.0")
				second.answer("180 Ringing", "u77", "Contact: <sip:otto@elsewhere.voip.example>", "")
				c.wants(t, "rings")
				second.answerTo(invite, "200 OK", "u77", "Contact: <sip:otto@elsewhere.voip.example>", theirSDP)
				// The Contact is a name, so that it goes where the answer came from.
				second.wants("ACK sip:otto@elsewhere.voip.example SIP/2.0")
				c.wants(t, "answers PCMA")
				dns.is("198.51.100.77:5060") // the call stays where it is
				<-time.After(5 * time.Minute)
				second.send(`BYE `+address(rawHeader([]byte(invite), "contact", "m")).URI+` SIP/2.0
Via: SIP/2.0/UDP 198.51.100.10:5070;branch=z9hG4bKb9
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=u77
To: `+rawHeader([]byte(invite), "from", "f")+`
Call-ID: `+rawHeader([]byte(invite), "call-id", "i")+`
CSeq: 1 BYE`, "")
				second.wants("SIP/2.0 200 OK")
				c.wants(t, "ends normal 0/0 ")
				first.silent()
			})
		})
	}
}

// TestLatePlace: a place that was left for another answers after that one has: it is sent
// away, and the call does not notice.
func TestLatePlace(t *testing.T) {
	playNamed(t, nil, func(t *testing.T, w *world, _ *fakeDNS) {
		first, second := w.peer("198.51.100.9:5060"), w.peer("198.51.100.10:5070")
		c := w.dial(toOtto())
		late := first.wants("INVITE ")
		<-time.After(4 * time.Second)
		second.wants("INVITE ")
		second.answer("200 OK", "u77", "Contact: <sip:otto@198.51.100.10:5070>", theirSDP)
		second.wants("ACK sip:otto@198.51.100.10:5070 SIP/2.0")
		c.wants(t, "answers PCMA")
		for first.pending() {
			continue
		}
		first.answerTo(late, "200 OK", "u9", "Contact: <sip:otto@198.51.100.9>", theirSDP)
		first.wants("ACK sip:otto@198.51.100.9 SIP/2.0")
		first.wants("BYE sip:otto@198.51.100.9 SIP/2.0")
		first.answer("200 OK", "", "", "")
		c.quiet(t)
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		second.wants("BYE sip:otto@198.51.100.10:5070 SIP/2.0")
		second.answer("200 OK", "", "", "")
		c.wants(t, "ends normal 0/0 ")
	})
}

// TestSlowPlace: a place that was left for another answers before that one has: it has the
// call, and the other is not left ringing.
func TestSlowPlace(t *testing.T) {
	playNamed(t, nil, func(t *testing.T, w *world, _ *fakeDNS) {
		first, second := w.peer("198.51.100.9:5060"), w.peer("198.51.100.10:5070")
		c := w.dial(toOtto())
		invite := first.wants("INVITE ")
		<-time.After(4 * time.Second)
		other := second.wants("INVITE ")
		second.answer("180 Ringing", "u77", "Contact: <sip:otto@elsewhere.voip.example>", "")
		c.wants(t, "rings")
		for first.pending() {
			continue
		}
		first.answerTo(invite, "200 OK", "u9", "Contact: <sip:otto@elsewhere.voip.example>", theirSDP)
		first.wants("ACK sip:otto@elsewhere.voip.example SIP/2.0")
		c.wants(t, "answers PCMA")
		second.wants("CANCEL ")
		second.answer("200 OK", "u77", "", "")
		second.answerTo(other, "487 Request Terminated", "u77", "", "")
		second.wants("ACK ")
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		first.wants("BYE sip:otto@elsewhere.voip.example SIP/2.0")
		first.answer("200 OK", "", "", "")
		c.wants(t, "ends normal 0/0 ")
		second.silent()
	})
}

// TestCancelDuringLookup: a call that is given up before DNS has answered rings nowhere.
func TestCancelDuringLookup(t *testing.T) {
	playNamed(t, nil, func(t *testing.T, w *world, dns *fakeDNS) {
		dns.mu.Lock()
		dns.cached = false
		dns.mu.Unlock()
		p := w.peer("198.51.100.9:5060")
		c := w.dial(toOtto())
		synctest.Wait()
		c.do(func() { c.leg.End(call.Cancelled, call.Detail{}) })
		<-time.After(2 * time.Second)
		c.wants(t, "ends cancelled 0/0 ")
		p.silent()
		<-time.After(time.Minute) // in which a peer might still speak
		if n := w.edge.Stats().Dialogs; n != 0 {
			t.Errorf("%d dialogs are left", n)
		}
	})
}

// TestCancelDuringSilence: a call that is given up while one place says nothing does not ring
// at the next.
func TestCancelDuringSilence(t *testing.T) {
	playNamed(t, nil, func(t *testing.T, w *world, _ *fakeDNS) {
		first, second := w.peer("198.51.100.9:5060"), w.peer("198.51.100.10:5070")
		c := w.dial(toOtto())
		first.wants("INVITE ")
		c.do(func() { c.leg.End(call.Cancelled, call.Detail{}) })
		<-time.After(time.Minute)
		second.silent()
		for first.pending() {
			continue
		}
	})
}

// TestCallsFromPlaces: who may call from a trunk that is a name.
func TestCallsFromPlaces(t *testing.T) {
	sources := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	options := func(from string) string {
		return `OPTIONS sip:gw.jabber.example SIP/2.0
Via: SIP/2.0/UDP ` + from + `;branch=z9hG4bKo` + strings.ReplaceAll(from, ":", "x") + `
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=u77
To: <sip:gw.jabber.example>
Call-ID: ` + from + `
CSeq: 1 OPTIONS`
	}
	tests := []struct {
		name    string
		sources []netip.Prefix
		from    string
		want    string // nothing when empty
	}{
		{"a place", nil, "198.51.100.10:5070", "SIP/2.0 200 OK"},
		{"another port of a place", nil, "198.51.100.10:5090", "SIP/2.0 200 OK"},
		{"elsewhere", nil, "198.51.100.11:5060", ""},
		{"a place, but sources are set", sources, "198.51.100.9:5060", "SIP/2.0 403 Forbidden"},
		{"one of the sources", sources, "203.0.113.7:5060", "SIP/2.0 200 OK"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			playNamed(t, tt.sources, func(t *testing.T, w *world, _ *fakeDNS) {
				p := w.peer(tt.from)
				p.send(options(tt.from), "")
				if tt.want == "" {
					p.silent()
					return
				}
				p.wants(tt.want)
			})
		})
	}
	t.Run("no longer a place", func(t *testing.T) {
		playNamed(t, nil, func(t *testing.T, w *world, dns *fakeDNS) {
			dns.is("198.51.100.11:5060")
			<-time.After(2 * time.Hour)
			old, now := w.peer("198.51.100.9:5060"), w.peer("198.51.100.11:5060")
			old.send(options("198.51.100.9:5060"), "")
			old.silent()
			now.send(options("198.51.100.11:5060"), "")
			now.wants("SIP/2.0 200 OK")
		})
	})
	t.Run("DNS is down, and then up", func(t *testing.T) {
		playNamed(t, nil, func(t *testing.T, w *world, dns *fakeDNS) {
			dns.is()
			p := w.peer("198.51.100.9:5060")
			<-time.After(10 * time.Minute)
			p.send(options("198.51.100.9:5060"), "")
			p.wants("SIP/2.0 200 OK")
			<-time.After(2 * time.Hour)
			dns.is("198.51.100.9:5060")
			<-time.After(2 * time.Minute)
			p.send(strings.ReplaceAll(options("198.51.100.9:5060"), "z9hG4bKo", "z9hG4bKp"), "")
			p.wants("SIP/2.0 200 OK")
		})
	})
}
