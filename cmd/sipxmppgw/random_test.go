package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

var seed = flag.Uint64("seed", 1, "what random calls are made from")

// A pair is a client and a phone that call each other, one call after the other, and do
// with each what comes into their heads. What they saw is held against the record.
type pair struct {
	w       *world
	t       *testing.T
	user    int
	rng     *rand.Rand
	client  *jinglephone.Phone
	phone   *sipphone.Phone
	atXMPP  chan *jinglephone.Call
	atSIP   chan *sipphone.Call
	records chan gateway.Record
	kinds   map[string]int
}

// calls plays n calls, until one goes wrong. What goes wrong while the machine stands still
// says nothing but that no more can be played.
func (p *pair) calls(n int) {
	for i := range n {
		begin := time.Now()
		err := p.call()
		if err == nil {
			continue
		}
		if !machine.stoodStill(begin) {
			p.t.Errorf("seed %d: user %d, call %d: %v", *seed, p.user, i, err)
			return
		}
		p.t.Logf("the machine stood still: user %d, call %d: %.300v", p.user, i, err)
		for _, c := range p.client.Calls() {
			_ = c.HangUp()
		}
		for _, c := range p.phone.Calls() {
			if strings.Contains(c.Peer(), number(p.user)+"@") {
				_ = c.HangUp()
			}
		}
		return
	}
}

// call plays one call and compares what is known of it.
func (p *pair) call() error {
	var sip *sipphone.Call
	var xmpp *jinglephone.Call
	var caller, callee phone.Call
	var err error
	from := gateway.Edge(p.rng.IntN(2))
	if from == gateway.SIP {
		if sip, err = p.phone.Place(p.w.uri(p.user), sipphone.Placing{From: "sip:+4940" + fmt.Sprint(p.user) + "@127.0.1.1"}); err != nil {
			return err
		}
		if xmpp, err = received(p.t, p.atXMPP); err != nil {
			return fmt.Errorf("the client was not called by %v, which ended %+v: %w", sip.State(), sip.End(), err)
		}
		caller, callee = sip, xmpp
	} else {
		if xmpp, err = p.client.Dial(contact(p.user % len(p.w.sip))); err != nil {
			return err
		}
		if sip, err = received(p.t, p.atSIP); err != nil {
			return fmt.Errorf("the phone was not called by %v, which ended %+v: %w", xmpp.State(), xmpp.End(), err)
		}
		caller, callee = xmpp, sip
	}
	kind, want, err := p.play(from, caller, callee)
	if err != nil {
		return fmt.Errorf("%s from %v: %w", kind, from, err)
	}
	p.kinds[kind+" from "+from.String()]++
	for _, c := range []phone.Call{caller, callee} {
		if err := c.WaitState(limit(p.t), phone.Ended); err != nil {
			return fmt.Errorf("%s from %v: the call with %s is %v: %w", kind, from, c.Peer(), c.State(), err)
		}
	}
	r, err := received(p.t, p.records)
	if err != nil {
		return fmt.Errorf("%s from %v: no record: %w", kind, from, err)
	}
	// The port of a phone may lately have been another's, to whom somebody still speaks.
	stray := func(f string) bool { return strings.HasPrefix(f, "RTP came from") }
	if faults := slices.DeleteFunc(slices.Concat(sip.Faults(), xmpp.Faults()), stray); len(faults) > 0 {
		return fmt.Errorf("%s from %v: faults %q", kind, from, faults)
	}
	return p.compare(kind, r, want, sip, xmpp)
}

// received waits for one of what comes.
func received[C any](t *testing.T, from <-chan C) (C, error) {
	ctx := limit(t)
	select {
	case c := <-from:
		return c, nil
	case <-ctx.Done():
		var none C
		return none, ctx.Err()
	}
}

// pause is a moment in which much or nothing may happen elsewhere.
func (p *pair) pause() {
	if p.rng.IntN(3) > 0 {
		time.Sleep(time.Duration(p.rng.IntN(30)) * time.Millisecond)
	}
}

// play has the two do one thing or another, and returns how the call may have ended.
func (p *pair) play(from gateway.Edge, caller, callee phone.Call) (kind string, want []call.Cause, err error) {
	p.pause()
	switch n := p.rng.IntN(20); n {
	case 0, 1:
		return "busy", []call.Cause{call.Busy}, callee.Busy()
	case 2, 3:
		return "declined", []call.Cause{call.Declined}, callee.Decline()
	case 4, 5:
		if err := caller.WaitState(limit(p.t), phone.Ringing); err != nil {
			return "cancelled", nil, err
		}
		return "cancelled", []call.Cause{call.Cancelled}, caller.HangUp()
	case 6, 7:
		// The answer crosses the caller's giving up.
		if err := caller.WaitState(limit(p.t), phone.Ringing); err != nil {
			return "crossing", nil, err
		}
		both(callee.Accept, caller.HangUp)
		return "crossing", []call.Cause{call.Cancelled, call.Normal}, nil
	case 8:
		if err := callee.Accept(); err != nil {
			return "short", nil, err
		}
		p.pause()
		return "short", []call.Cause{call.Normal, call.Cancelled}, caller.HangUp()
	}
	if err := callee.Accept(); err != nil {
		return "answered", nil, err
	}
	for _, c := range []phone.Call{caller, callee} {
		if err := c.WaitState(limit(p.t), phone.Active); err != nil {
			return "answered", nil, err
		}
	}
	if err := p.talk(caller, callee); err != nil {
		return "answered", nil, err
	}
	if p.rng.IntN(8) == 0 {
		both(caller.HangUp, callee.HangUp)
		return "both", []call.Cause{call.Normal}, nil
	}
	sides := []phone.Call{caller, callee}
	return "answered", []call.Cause{call.Normal}, sides[p.rng.IntN(2)].HangUp()
}

// both has two things done at once.
func both(a, b func() error) {
	var done sync.WaitGroup
	done.Go(func() { _ = a() }) // until it is done
	_ = b()
	done.Wait()
}

// talk lets sound go both ways, and sometimes changes the session.
func (p *pair) talk(caller, callee phone.Call) error {
	for _, c := range []phone.Call{caller, callee} {
		if err := c.Heard().Wait(limit(p.t), func(s audio.Statistics) bool { return s.Packets > 2 }); err != nil {
			return fmt.Errorf("the call with %s hears nothing: %w", c.Peer(), err)
		}
	}
	for _, c := range []phone.Call{caller, callee} {
		switch c := c.(type) {
		case *sipphone.Call:
			if p.rng.IntN(6) > 0 {
				continue
			}
			for _, direction := range []string{"sendonly", "sendrecv"} {
				status, err := c.Reinvite(limit(p.t), direction)
				if err != nil || status != 200 && status != 491 {
					return fmt.Errorf("%s was answered with %d: %w", direction, status, err)
				}
			}
		case *jinglephone.Call:
			if p.rng.IntN(12) == 0 {
				if err := c.RestartICE(limit(p.t)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// compare holds the record against what the two phones know.
func (p *pair) compare(kind string, r gateway.Record, want []call.Cause, sip *sipphone.Call, xmpp *jinglephone.Call) error {
	problem := func(what string) error {
		return fmt.Errorf("%s from %s: %s: the record says %s by %s, active %v; the phone %+v, active %v; the client %+v, active %v\n%s", kind,
			r.From, what, r.Cause, r.EndedBy, !r.Active.IsZero(), sip.End(), !sip.Times().Active.IsZero(), xmpp.End(), !xmpp.Times().Active.IsZero(),
			p.w.log.with(string(r.Call)))
	}
	if !slices.Contains(want, r.Cause) {
		return problem("another cause was wanted")
	}
	if kind == "answered" {
		ender := map[bool]string{true: "sip", false: "xmpp"}[!sip.End().ByPeer]
		if sip.End().ByPeer == xmpp.End().ByPeer || r.EndedBy != ender {
			return problem("who ended it is not clear")
		}
		// What the caller confirms may be overtaken by the end, unless that is its own and goes
		// the same way.
		if r.Answered.IsZero() || r.From == gateway.XMPP && r.EndedBy == "xmpp" && r.Active.IsZero() {
			return problem("it was not active")
		}
		if r.Leg(gateway.SIP).Received.Packets == 0 || r.Leg(gateway.XMPP).Received.Packets == 0 {
			return problem("it had no sound")
		}
	}
	atSIP, atXMPP := meant(r.Cause)
	switch kind {
	case "answered", "busy", "declined", "cancelled":
		if !slices.Contains(atSIP, sip.End().Reason) || !slices.Contains(atXMPP, xmpp.End().Reason) {
			return problem("they do not agree")
		}
	}
	return nil
}

// meant are the words of a cause at either side.
func meant(c call.Cause) (sip, xmpp []string) {
	switch c {
	case call.Busy:
		return []string{"486 Busy Here"}, []string{"busy"}
	case call.Declined:
		return []string{"603 Decline"}, []string{"decline"}
	case call.Cancelled:
		return []string{"487 Request Terminated", "CANCEL"}, []string{"cancel"}
	}
	return []string{"BYE"}, []string{"success"}
}

// A thousand calls, forty at once and with real media: each ends as both sides know it, and
// when it is quiet again no call, port, socket or goroutine is left.
func TestRandomCalls(t *testing.T) {
	const phones = 10 // more, and one's number would begin as another's
	setup := setup{users: randomPairs, calls: ", max: 100, attempts_per_user: 10000", phones: make([]behind, phones)}
	ps := make([]*pair, randomPairs)
	complete := make(chan struct{}) // closed when ps is: what comes over a socket orders no memory
	for i := range setup.phones {
		setup.phones[i].phone = sipphone.Options{Codecs: speech, Incoming: func(c *sipphone.Call) {
			<-complete
			for _, p := range ps {
				if strings.Contains(c.Peer(), number(p.user)+"@") {
					p.atSIP <- c
				}
			}
		}}
	}
	w := newWorld(t, setup)
	for i := range ps {
		p := &pair{
			w: w, t: t, user: i, rng: rand.New(rand.NewPCG(*seed, uint64(i))), phone: w.sip[i%phones], kinds: map[string]int{},
			atXMPP: make(chan *jinglephone.Call, 4), atSIP: make(chan *sipphone.Call, 4), records: make(chan gateway.Record, 4),
		}
		p.client = w.client(i, "phone", jinglephone.Options{
			Codecs: speech, Behaviour: jinglephone.Conversations(), Incoming: func(c *jinglephone.Call) { p.atXMPP <- c },
		})
		ps[i] = p
	}
	close(complete)
	w.d.onEnded(func(r gateway.Record) {
		for _, p := range ps {
			if who := r.Caller.JID + " " + r.Callee.JID; strings.Contains(who, account(p.user)) {
				p.records <- r
				return
			}
		}
	})
	rest := func() (goroutines, files int) {
		w.quiet()
		return runtime.NumGoroutine(), openFiles()
	}
	// What the first calls start, such as threads and the ports that calls share, stays.
	var all sync.WaitGroup
	for _, p := range ps {
		all.Go(func() { p.calls(1) }) // until it has been played
	}
	all.Wait()
	goroutines, files := rest()
	begin := time.Now()
	for _, p := range ps {
		all.Go(func() { p.calls(randomCalls / randomPairs) }) // until they have been played
	}
	all.Wait()
	took := time.Since(begin)
	kinds, n := map[string]int{}, 0
	for _, p := range ps {
		for kind, k := range p.kinds {
			kinds[kind] += k
			n += k
		}
	}
	t.Logf("seed %d: %d calls in %v: %v", *seed, n, took.Round(time.Millisecond), kinds)
	if t.Failed() {
		return
	}
	if n < randomCalls/2 {
		t.Errorf("seed %d: only %d calls could be played", *seed, n)
	}
	if !poll(2*patience, func() bool { g, f := rest(); return g <= goroutines && f <= files }) {
		g, f := rest()
		t.Errorf("seed %d: %d goroutines and %d files before the calls, %d and %d after", *seed, goroutines, files, g, f)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	}
	if left := w.d.relay.Counters(); left.Bridges != 0 || left.PortsUsed != left.PortsKept || left.Opened < int64(n) {
		t.Errorf("seed %d: left in the relay: %+v", *seed, left)
	}
	if _, page := get(t, "http://"+w.d.web.Addr().String()+"/metrics"); !strings.Contains(page, "\nsipxmppgw_calls_active 0\n") {
		t.Errorf("seed %d: the metrics do not say that no call is active", *seed)
	}
	t.Logf("quiet after %v", time.Since(begin).Round(time.Millisecond))
}

// openFiles is how many file descriptors this process has. A system without /proc does not
// tell, and counts none; what is left there in goroutines and ports is told all the same.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
