package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
)

func watcherClaim(jid string) translate.Claim {
	return translate.Claim{From: translate.NameAddr{URI: jid}}
}

// An agent is the SIP side of one contact: it takes subscriptions and notifies, but its
// messages may be lost.
type agent struct {
	mu    sync.Mutex
	rnd   *rand.Rand
	p     func() *Presences
	lossy bool
	show  presence.Show
	live  bool // there is a subscription
	gen   int  // of it
	until time.Time
}

func (a *agent) lost(percent int) bool { return a.lossy && a.rnd.IntN(100) < percent }

// subscribed takes a SUBSCRIBE, some time after it was sent.
func (a *agent) subscribed(p *Presences, s Subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.lost(20):
		time.AfterFunc(32*time.Second, func() { p.Watched(s.Pair, presence.Refused{}) })
		return
	case a.lossy && a.rnd.IntN(10) == 0:
		p.Watched(s.Pair, presence.Refused{Status: 503})
		return
	case !s.New && !a.live:
		p.Watched(s.Pair, presence.Refused{Status: 481})
		return
	}
	if s.Expires == 0 {
		a.live = false
		p.Watched(s.Pair, presence.Accepted{})
		p.Watched(s.Pair, presence.Notified{State: "terminated", Reason: "timeout"})
		return
	}
	a.live, a.until = true, time.Now().Add(s.Expires)
	a.gen++
	p.Watched(s.Pair, presence.Accepted{Expires: s.Expires})
	a.notify(s.Pair)
}

func (a *agent) notify(of Pair) {
	if a.live && time.Now().After(a.until) {
		a.live = false
	}
	if a.live && !a.lost(30) {
		a.p().Watched(of, presence.Notified{State: "active", Expires: time.Until(a.until), Holds: true, Now: presence.Document{open("desk", a.show)}})
	}
}

// Whatever is lost, crosses or is started anew: when all is quiet the user sees what the
// contact shows if it wants to, and nothing if it does not; and the contact's side knows of
// no subscription that nobody wants.
func TestRandomPresence(t *testing.T) {
	for seed := range uint64(500) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
			kept := &store.Memory{}
			var current atomic.Pointer[Presences]
			a := &agent{rnd: rand.New(rand.NewPCG(seed, 8)), p: current.Load, lossy: true}
			j := &journal{}
			var mu sync.Mutex
			seen, there := map[string]presence.Show{}, false
			j.tell = func(_ Pair, s presence.State) {
				mu.Lock()
				defer mu.Unlock()
				if delete(seen, s.Device); s.Open {
					seen[s.Device] = s.Show
				}
			}
			j.on = func(s Subscription) {
				p := current.Load()
				time.AfterFunc(30*time.Millisecond, func() { a.subscribed(p, s) })
			}
			start := func() {
				p := presences(j, func(o *PresenceOptions) { o.Store = kept; o.Rand = func() float64 { return 0.5 } })
				current.Store(p)
				if err := p.Start(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			start()
			wish := false
			say := func(typ string) { current.Load().FromUser(from(of.User, of.Contact, typ)) }
			device := func() {
				if there {
					current.Load().FromUser(Presentation{Pair: of, State: open("a", presence.Available)})
				} else {
					current.Load().FromUser(Presentation{Pair: of, Type: "unavailable", State: presence.State{Device: "a"}})
				}
			}
			// The user's server: a probe is answered if the user is there.
			for range 40 {
				switch rnd.IntN(8) {
				case 0, 1:
					wish = !wish
					say(map[bool]string{true: "subscribe", false: "unsubscribe"}[wish])
				case 2:
					if there = !there; there && wish {
						say("probe")
					}
					device()
				case 3, 4, 5:
					a.mu.Lock()
					a.show = presence.Show(rnd.IntN(5))
					a.notify(of)
					a.mu.Unlock()
				case 6:
					current.Load().Close() // the dialogs of a process end with it
					start()
				case 7:
					a.mu.Lock()
					a.live = false // it has forgotten
					a.mu.Unlock()
				}
				time.Sleep(time.Duration(rnd.IntN(60_000)) * time.Millisecond)
			}
			a.mu.Lock()
			a.lossy = false
			a.mu.Unlock()
			there = true
			if wish {
				say("probe")
			}
			device()
			time.Sleep(5 * time.Hour) // the longest wait is one, and then the next refresh
			synctest.Wait()
			a.mu.Lock()
			a.show = (a.show + 1) % 5
			a.notify(of)
			show, live := a.show, a.live
			a.mu.Unlock()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			mu.Lock()
			got, ok := seen["desk"]
			n := len(seen)
			mu.Unlock()
			current.Load().Close()
			switch {
			case wish && (!ok || got != show || !live):
				t.Errorf("seed %d: it shows %q and the user sees %q (%v), subscribed %v", seed, show, got, ok, live)
			case !wish && (n > 0 || live):
				t.Errorf("seed %d: the user sees %v of whom it does not watch", seed, seen)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// mute is both edges, and does nothing.
type mute struct{}

func (mute) Subscribe(Subscription)         {}
func (mute) Answer(string, presence.Answer) {}
func (mute) Notify(string, presence.Notify) {}
func (mute) Publish(Publication)            {}

func (mute) Phone(string) (presence.Document, bool) { return nil, false }
func (mute) Allow(Pair)                             {}
func (mute) Disallow(Pair)                          {}
func (mute) Ask(Pair, string)                       {}
func (mute) Look(Pair)                              {}
func (mute) Tell(Pair, presence.State)              {}
func (mute) Doing(Pair, presence.Activity)          {}
func (mute) Mail(string, Mailbox)                   {}
func (mute) Missed(string, Record)                  {}
func (mute) Language(string) string                 { return "en" }

// BenchmarkPresence measures what a subscription of a user that has seen one device costs in
// memory, without the store, and what a change costs until it is told or coalesced.
func BenchmarkPresence(b *testing.B) {
	begin := func(n int) *Presences {
		p := NewPresences(PresenceOptions{Router: pbx{}, Trunks: map[string]PresenceMode{"trunk": PresenceOn}, Max: n, MaxUser: n, Rate: 1e9, Store: nothing{&store.Memory{}}})
		p.SetEdges(mute{}, mute{})
		return p
	}
	settle := func(p *Presences) {
		for _, s := range p.shards.all {
			for s.pending.Load() > 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
	}
	pairOf := func(i int) Pair {
		return Pair{fmt.Sprintf("user%d@x.example", i), fmt.Sprintf("+49301234%d@gw.x.example", i)}
	}
	b.Run("subscription", func(b *testing.B) {
		const n = 20000
		for b.Loop() {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			p := begin(n)
			for i := range n {
				of := pairOf(i)
				p.FromUser(from(of.User, of.Contact, "subscribe"))
				if i%1000 == 0 {
					settle(p)
				}
			}
			settle(p)
			for i := range n {
				p.Watched(pairOf(i), presence.Accepted{Expires: presence.Hour})
				p.Watched(pairOf(i), active(open("desk", presence.Away)))
				if i%1000 == 0 {
					settle(p)
				}
			}
			settle(p)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/subscription")
			p.Close()
		}
	})
	b.Run("change", func(b *testing.B) {
		p := begin(1000)
		defer p.Close()
		docs := []presence.Notified{active(open("desk", presence.Away)), active(open("desk", presence.Chat))}
		pairs := make([]Pair, 1000)
		for i := range pairs {
			pairs[i] = pairOf(i)
			p.FromUser(from(pairs[i].User, pairs[i].Contact, "subscribe"))
			p.Watched(pairs[i], presence.Accepted{Expires: presence.Hour})
		}
		settle(p)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%1000 == 0 {
				settle(p)
			}
			p.Watched(pairs[i%1000], docs[i/1000%2])
		}
		settle(p)
	})
}

// nothing is a store that keeps nothing.
type nothing struct{ *store.Memory }

func (nothing) Put(store.Row, func(error))             {}
func (nothing) Delete(store.Kind, string, func(error)) {}
