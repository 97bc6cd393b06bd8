package gateway

import (
	"context"
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

var seed = flag.Uint64("seed", 1, "what random calls are made from")

// What a stranger's inbox gets.
type (
	turn  struct{} // the peer does something
	noise struct{} // the peer sends what means nothing
	fault struct{} // our own code breaks
)

// A stranger is a leg whose peer does, each at its own pace, whatever its protocol allows at
// the moment: it rings, answers, refuses, hangs up, holds, falls silent, comes back with a
// new transport, or floods. It is played on the call's goroutine alone.
type stranger struct {
	c    *crowd
	in   Inbox
	side call.Side
	rng  *rand.Rand

	mute   bool // never reports its end after End
	loud   bool // floods once
	broken bool // panics once

	offered   bool // Offer, or it is the caller
	announced bool // it has not described its media yet
	offerless bool // it wants our offer
	answered  int  // Answer was called, or it answered
	kept      bool // it answered before it was told to end
	confirmed bool
	owed      bool // its change is not answered
	waits     bool // it was answered, and may yet hear that the other side does not follow
	asked     bool // it has not answered ours
	told      int  // End was called
	cause     call.Cause
	ended     bool // it reported its end
	alone     bool // before it was told
}

func (l *stranger) wake() {
	after := time.Duration(l.rng.IntN(8000)) * time.Millisecond
	if l.rng.IntN(40) == 0 {
		after += time.Duration(l.rng.IntN(600)) * time.Second // it has lost its connection for a while
	}
	in := l.in
	if l.loud && l.rng.IntN(6) == 0 {
		l.loud = false
		time.AfterFunc(after, func() {
			for range 2 * maxPending {
				in.Peer(noise{})
			}
		})
		return
	}
	what := any(turn{})
	if l.broken && l.rng.IntN(6) == 0 {
		what = fault{}
	}
	time.AfterFunc(after, func() { in.Peer(what) })
}

// Receive implements [Leg].
func (l *stranger) Receive(input any) []call.Event {
	switch input.(type) {
	case noise:
		return nil
	case fault:
		panic("a fault of our own")
	}
	if l.ended {
		return nil
	}
	events := l.act()
	if !l.ended {
		l.wake()
	}
	return events
}

func (l *stranger) end(cause call.Cause) call.Event {
	l.ended, l.alone = true, l.told == 0
	if l.alone {
		l.cause = cause
	}
	return call.LegEnded{Side: l.side, Cause: cause}
}

// act is one turn of the peer.
func (l *stranger) act() []call.Event {
	s, n := l.side, l.rng.IntN(100)
	one := func(e call.Event) []call.Event { return []call.Event{e} }
	switch {
	case l.told > 0 && l.mute:
		return nil
	case l.told > 0 && l.side == call.B && l.offered && l.answered == 0 && n < 20: // it crosses our end
		l.answered++
		return []call.Event{call.LegAnswered{Side: s, Media: some}, l.end(call.Normal)}
	case l.told > 0:
		return one(l.end(call.Normal))
	case n < 3:
		return one(call.LegDigit{Side: s, Digit: call.Digit{Key: '5'}})
	case n < 6:
		return one(call.LegCandidates{Side: s, Media: some})
	case n < 9:
		return one(l.end(call.Failed))
	case l.asked && n < 90:
		l.asked = false
		if n < 30 {
			return one(call.LegRefused{Side: s, Cause: call.Conflict})
		}
		return one(call.LegUpdated{Side: s, Media: l.described()})
	}
	if l.side == call.A {
		return l.actAsCaller(n)
	}
	return l.actAsCallee(n)
}

func (l *stranger) actAsCaller(n int) []call.Event {
	switch {
	case l.answered == 0:
		if n < 15 {
			return []call.Event{l.end(call.Cancelled)}
		}
	case !l.confirmed && l.announced:
		l.announced = false
		return []call.Event{call.LegOffered{Side: l.side, Media: l.described()}}
	case !l.confirmed && n < 80:
		l.confirmed = true
		e := call.LegConfirmed{Side: l.side}
		if l.offerless && n < 70 {
			e.Media = l.described()
		}
		return []call.Event{e}
	case l.confirmed:
		return l.talk(n)
	}
	return nil
}

func (l *stranger) actAsCallee(n int) []call.Event {
	switch {
	case !l.offered:
	case l.answered > 0:
		return l.talk(n)
	case n < 40:
		return []call.Event{call.LegRinging{Side: l.side}}
	case n < 50:
		return []call.Event{call.LegProgress{Side: l.side, Media: l.described()}}
	case n < 85:
		l.answered++
		l.kept = true
		return []call.Event{call.LegAnswered{Side: l.side, Media: l.described()}}
	case n < 95:
		return []call.Event{l.end([]call.Cause{call.Busy, call.Declined, call.Unavailable, call.Unreachable, call.Overloaded}[n%5])}
	}
	return nil
}

// talk is a turn in a running session.
func (l *stranger) talk(n int) []call.Event {
	switch {
	case n < 25:
		return []call.Event{l.end(call.Normal)}
	case n < 60 && !l.owed:
		l.owed = true
		return []call.Event{call.LegOffered{Side: l.side, Media: l.described()}}
	}
	return nil
}

// described is a session that flows one way or another.
func (l *stranger) described() media.Description {
	d := media.Description{Streams: []media.Stream{{Name: "0", Direction: media.Direction(l.rng.IntN(4))}}}
	if l.rng.IntN(4) == 0 {
		d.Streams = append(d.Streams, media.Stream{Name: "1", Kind: media.Video, Rejected: l.rng.IntN(2) == 0})
	}
	return d
}

// must checks a command: it has its place, and the leg has not ended.
func (l *stranger) must(ok bool, command string) {
	if !ok || l.ended || l.told > 0 {
		l.c.fail("call %s: leg %s is told to %s: %+v", l.in.Call(), l.side, command, *l)
	}
	if l.broken && l.rng.IntN(20) == 0 {
		l.broken = false
		panic("a fault of our own in " + command)
	}
}

func (l *stranger) Offer(media.Description) {
	l.must(l.side == call.B && !l.offered, "offer")
	l.offered = true
}
func (l *stranger) Ring()                      { l.must(l.side == call.A, "ring") }
func (l *stranger) Progress(media.Description) { l.must(l.side == call.A, "progress") }
func (l *stranger) Answer(media.Description) {
	l.must(l.side == call.A, "answer")
	l.answered++
}
func (l *stranger) Candidates(media.Description) { l.must(true, "candidates") }
func (l *stranger) Digit(call.Digit)             { l.must(true, "digit") }
func (l *stranger) Picture()                     { l.must(true, "picture") }
func (l *stranger) Update(media.Description) {
	l.must(!l.asked && l.answered > 0, "update")
	l.asked = true
}

func (l *stranger) AnswerUpdate(media.Description) {
	l.must(l.owed, "answer update")
	l.owed, l.waits = false, true
}

func (l *stranger) RefuseUpdate(call.Cause) {
	// It may also be that the other side does not follow what was answered, once.
	l.must(l.owed || l.waits || l.side == call.A && !l.confirmed, "refuse update")
	l.waits = l.waits && l.owed
	l.owed = false
}

func (l *stranger) End(cause call.Cause, _ call.Detail) {
	if l.told == 0 {
		l.cause = cause
	}
	if l.told++; l.ended {
		l.c.fail("call %s: leg %s is told to end after its end", l.in.Call(), l.side)
	}
	in := l.in
	time.AfterFunc(time.Duration(l.rng.IntN(3000))*time.Millisecond, func() { in.Post(turn{}) })
}

// A slowBridge makes every result a while later, some of them failures, and loses its media
// at last.
type slowBridge struct {
	c    *crowd
	rng  *rand.Rand // of the call's goroutine
	mu   sync.Mutex
	post func(call.Event) // nil after Release
	twos int              // calls of Release after the first
}

func (b *slowBridge) later(after time.Duration, e call.Event) {
	time.AfterFunc(after, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.post != nil {
			b.post(e)
		}
	})
}

func (b *slowBridge) result(op call.Op, side call.Side, e call.Event) {
	after := time.Duration(b.rng.IntN(2000)) * time.Millisecond
	if b.rng.IntN(30) == 0 {
		e = call.MediaFailed{Op: op, Side: side, Cause: call.Incompatible}
	}
	b.later(after, e)
	if b.rng.IntN(4) == 0 {
		b.later(after, call.MediaConnected{Side: side})
		b.later(after, call.MediaCandidates{Side: side, Media: some})
	}
	if b.rng.IntN(800) == 0 {
		panic("a fault of our own in the media plane")
	}
}

func (b *slowBridge) Offer(op call.Op, side call.Side, _ media.Description) {
	b.result(op, side, call.MediaOffered{Op: op, Media: some})
}

func (b *slowBridge) Answer(op call.Op, side call.Side, _ media.Description) {
	b.result(op, side, call.MediaAnswered{Op: op, Media: some})
}

func (b *slowBridge) Join(op call.Op, side call.Side, _ media.Description) {
	b.result(op, side, call.MediaAnswered{Op: op, Media: some})
}

func (b *slowBridge) Candidates(call.Side, media.Description) {}

func (b *slowBridge) Digit(side call.Side, d call.Digit) {
	b.later(time.Millisecond, call.MediaDigit{Side: side, Digit: d})
}
func (b *slowBridge) Keyframe(call.Side)   {}
func (b *slowBridge) Listen(call.Side)     {}
func (b *slowBridge) Ring(call.Side, bool) {}

// Nobody in the crowd transfers a call.
func (b *slowBridge) Try(call.Op, call.Side, media.Policy, media.Description) {}
func (b *slowBridge) Take(call.Op, call.Side, media.Description)              {}
func (b *slowBridge) Drop(call.Side)                                          {}
func (l *stranger) RefuseTransfer(call.Cause, call.Detail)                    { l.must(false, "refuse transfer") }

func (l *stranger) Refer(call.Destination) { l.must(false, "refer") }

func (l *stranger) Probe(bool) { l.must(false, "probe") }

func (l *stranger) Meet(Party) { l.must(false, "meet") }

func (b *slowBridge) Stats() [2]media.Stats { return [2]media.Stats{} }

func (b *slowBridge) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.post == nil {
		b.twos++
		return
	}
	b.post = nil
	b.c.ports.Add(-portsOfACall)
}

const portsOfACall = 4

// A crowd is a gateway among strangers.
type crowd struct {
	t     *testing.T
	seed  uint64
	ports atomic.Int64

	mu      sync.Mutex
	failed  bool
	next    *party
	parties map[call.ID]*party
	records map[call.ID]Record
	twice   int // records of a call that had one
}

// A party is one call of the crowd.
type party struct {
	rng     *rand.Rand // of the test
	own     *rand.Rand // of Accept, and then of the call's goroutine
	a       *stranger
	b       []*stranger // all that were called
	bridges []*slowBridge
	places  int // that it may go to
}

// open reports whether a bridge is not released.
func (p *party) open() bool {
	return slices.ContainsFunc(p.bridges, func(b *slowBridge) bool { return b.post != nil })
}

func (c *crowd) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.failed {
		c.failed = true
		c.t.Errorf("seed %d: "+format, append([]any{c.seed}, args...)...)
	}
}

func (c *crowd) source(p *party) *rand.Rand {
	return rand.New(rand.NewPCG(p.own.Uint64(), p.own.Uint64()))
}

// newID makes the id of the next call. It is called by Accept, on the test's goroutine.
func (c *crowd) newID() call.ID {
	id := newID()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parties[id] = c.next
	return id
}

// party returns the call of an id, or of one of its bridges.
func (c *crowd) party(id call.ID) *party {
	own, _, _ := strings.Cut(string(id), "-")
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parties[call.ID(own)]
}

// Open implements [MediaPlane].
func (c *crowd) Open(id call.ID, _ [2]media.Policy, post func(call.Event)) (Bridge, error) {
	p := c.party(id)
	if p.own.IntN(100) == 0 {
		return nil, &call.Refusal{Cause: call.Overloaded}
	}
	c.ports.Add(portsOfACall)
	b := &slowBridge{c: c, rng: c.source(p), post: post}
	p.bridges = append(p.bridges, b)
	b.later(time.Duration(60+p.own.IntN(1200))*time.Second, call.MediaFailed{Side: call.A, Cause: call.MediaLost})
	return b, nil
}

// Aim implements [Dialer].
func (c *crowd) Aim(t Target) Target { return t }

// Dial implements [Dialer].
func (c *crowd) Dial(_ Target, in Inbox) (Leg, error) {
	p := c.party(in.Call())
	if p.own.IntN(100) == 0 {
		return nil, &call.Refusal{Cause: call.Unreachable}
	}
	l := c.stranger(p, in)
	p.b = append(p.b, l)
	return l, nil
}

func (c *crowd) stranger(p *party, in Inbox) *stranger {
	l := &stranger{c: c, in: in, side: in.Side(), rng: c.source(p)}
	switch l.rng.IntN(40) {
	case 0, 1:
		l.mute = true
	case 2:
		l.loud = true
	case 3:
		l.broken = true
	}
	l.wake()
	return l
}

// accept begins one random call and returns whether it was let in.
func (c *crowd) accept(g *Gateway, number uint64) bool {
	p := &party{rng: rand.New(rand.NewPCG(c.seed, number)), own: rand.New(rand.NewPCG(number, c.seed))}
	c.next = p
	in := Incoming{Edge: Edge(p.rng.IntN(2)), Offer: some, Target: Target{Early: p.rng.IntN(4) == 0}}
	in.Target.Edge = in.Edge ^ 1
	p.places = 1
	if p.rng.IntN(2) == 0 {
		in.Target = several(p, in.Target)
	}
	if p.rng.IntN(3) == 0 {
		in.Offer = media.Description{}
	}
	in.Leg = func(in2 Inbox) Leg {
		l := c.stranger(p, in2)
		l.announced, l.offerless = in.Offer.Empty() && in.Edge == XMPP, in.Offer.Empty() && in.Edge == SIP
		p.a = l
		return l
	}
	inbox, err := g.Accept(in)
	if err != nil {
		if p.open() {
			c.fail("call %d was refused, and its bridge is not released", number)
		}
		return false
	}
	if p.rng.IntN(100) == 0 {
		time.AfterFunc(time.Duration(p.rng.IntN(60))*time.Second, func() { g.End(inbox.Call(), call.Normal, "") })
	}
	return true
}

// several makes a target one of up to five places: trunks, or people on either edge.
func several(p *party, t Target) Target {
	all := make([]Target, 2+p.rng.IntN(4))
	person := p.rng.IntN(2) == 0
	for i := range all {
		all[i] = t
		all[i].Round = i
		if person {
			all[i].Person = string(rune('a' + p.rng.IntN(3)))
			all[i].Edge = Edge(p.rng.IntN(2))
		}
	}
	p.places = len(all)
	if person {
		return Ring(RingOrder(p.rng.IntN(4)), time.Duration(1+p.rng.IntN(20))*time.Second, all...)
	}
	all[0].Others = all[1:]
	return all[0]
}

// Ten thousand calls of every kind, some hundred at once, over an hour and more: when it is
// quiet again no call, port, timer or goroutine is left, each leg has ended once or was told
// to, and what the record says is what the legs saw.
func TestTenThousandCalls(t *testing.T) {
	const calls = 10_000
	c := &crowd{t: t, seed: *seed, parties: map[call.ID]*party{}, records: map[call.ID]Record{}}
	before := runtime.NumGoroutine()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(func(o *Options) {
			o.Media, o.Trace = c, nil
			o.NewID = c.newID
			o.MaxCalls, o.MaxEarly = 230, 200
			o.Ended = func(r Record) {
				c.mu.Lock()
				defer c.mu.Unlock()
				if _, had := c.records[r.Call]; had {
					c.twice++
				}
				c.records[r.Call] = r
			}
		})
		h.g.SetDialer(SIP, c)
		h.g.SetDialer(XMPP, c)
		pace := rand.New(rand.NewPCG(c.seed, 0))
		accepted, most := 0, 0
		for i := range uint64(calls) {
			if c.accept(h.g, i+1) {
				accepted++
			}
			most = max(most, h.g.Active())
			time.Sleep(time.Duration(pace.IntN(200)) * time.Millisecond)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := h.g.Active(); n != 0 {
			t.Errorf("seed %d: %d calls are left", c.seed, n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		h.g.Drain(ctx)
		if h.g.early != 0 || c.ports.Load() != 0 || c.twice != 0 || len(c.records) != accepted {
			t.Errorf("seed %d: %d early calls and %d ports are left, %d calls have %d records, %d of them twice",
				c.seed, h.g.early, c.ports.Load(), accepted, len(c.records), c.twice)
		}
		if accepted < calls*8/10 || most < 200 {
			t.Errorf("seed %d: %d calls were let in, %d at most at once: this proves little", c.seed, accepted, most)
		}
		c.compare()
		metrics := h.scrape(t)
		if !strings.Contains(metrics, "\nsipxmppgw_calls_active 0\n") || strings.Contains(metrics, "\nsipxmppgw_call_panics_total 0\n") ||
			strings.Contains(metrics, "\nsipxmppgw_call_floods_total 0\n") {
			t.Errorf("seed %d: the metrics are\n%s", c.seed, metrics)
		}
		t.Logf("seed %d: %d calls, %d at once", c.seed, accepted, most)
	})
	// Those that have ended are counted until the machine has had time for them.
	end := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

// compare holds each record against what its legs saw, and counts that all kinds of ends
// were among them.
func (c *crowd) compare() {
	causes, by := map[call.Cause]int{}, map[string]int{}
	hunts, elsewhere := 0, 0
	for id, r := range c.records {
		p := c.parties[id]
		causes[r.Cause]++
		by[r.EndedBy]++
		for _, b := range p.bridges {
			if b.post != nil || b.twos > 0 {
				c.fail("call %s: a bridge was released %d times too often", id, b.twos)
			}
		}
		legs := append([]*stranger{p.a}, p.b...)
		won := 0
		for _, l := range legs {
			switch {
			case l.told == 0 && !l.ended:
				c.fail("call %s: leg %s was left alone", id, l.side)
			case l.told > 1 && r.Cause != call.Failed:
				c.fail("call %s: leg %s was told to end %d times", id, l.side, l.told)
			}
			lost := l.side == call.B && p.places > 1 && (!l.kept || l.cause == call.Elsewhere || r.Answered.IsZero())
			if l.side == call.B && l.kept && l.cause != call.Elsewhere {
				won++
			}
			if lost {
				lost := l.told > 0 && l.cause == call.Elsewhere
				if lost {
					elsewhere++
				}
				continue
			}
			if r.Cause != call.Failed && l.told > 0 && l.cause != r.Cause {
				c.fail("call %s: leg %s was told %s, the record says %s", id, l.side, l.cause, r.Cause)
			}
			if own := r.EndedBy == r.edges[l.side].String(); p.places == 1 && own != l.alone || own && p.places == 1 && l.cause != r.Cause && r.Cause != call.Failed {
				c.fail("call %s: by %s for %s, and leg %s is %+v", id, r.EndedBy, r.Cause, l.side, *l)
			}
		}
		if won > 1 {
			c.fail("call %s: %d legs have it", id, won)
		}
		if len(p.b) > 1 {
			hunts++
		}
	}
	if hunts < 1000 || elsewhere < 500 {
		c.fail("%d calls went to several, %d legs lost: this proves little", hunts, elsewhere)
	}
	for _, cause := range []call.Cause{
		call.Normal, call.Cancelled, call.Busy, call.Declined, call.Unavailable, call.NoAnswer, call.Timeout,
		call.Incompatible, call.MediaLost, call.Overloaded, call.Failed, call.BadRequest,
	} {
		if causes[cause] == 0 {
			c.fail("no call ended for %s", cause)
		}
	}
	if by["sip"] == 0 || by["xmpp"] == 0 || by["gateway"] == 0 || len(by) != 3 {
		c.fail("calls ended by %v", by)
	}
	c.t.Logf("ended for %v by %v; %d went to several, %d legs lost to another", causes, by, hunts, elsewhere)
}
