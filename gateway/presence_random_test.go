package gateway

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/store/sqlite"
	"sipxmppgw/gateway/translate"
)

var seeds = flag.Int("seeds", 500, "how many random lives of a subscription are tried")

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
	list  roll
}

// A roll is how the agent keeps lists: not at all, with nobody in them, or with the contact.
type roll struct {
	kind  int // 0 for no list, 1 for one without the contact
	live  bool
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
	case s.List:
		a.subscribedToList(p, s)
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

// subscribedToList is subscribed for a list.
func (a *agent) subscribedToList(p *Presences, s Subscription) {
	switch {
	case a.list.kind == 0:
		p.Watched(s.Pair, presence.Refused{Status: 420})
		return
	case !s.New && !a.list.live:
		p.Watched(s.Pair, presence.Refused{Status: 481})
		return
	case s.Expires == 0:
		a.list.live = false
		p.Watched(s.Pair, presence.Accepted{})
		p.Listed(s.Pair, presence.Listed{State: "terminated", Reason: "timeout"})
		return
	}
	a.list.live, a.list.until = true, time.Now().Add(s.Expires)
	p.Watched(s.Pair, presence.Accepted{Expires: s.Expires})
	a.notifyList(s.Pair, true)
}

func (a *agent) notifyList(list Pair, full bool) {
	if a.list.live && time.Now().After(a.list.until) {
		a.list.live = false
	}
	if !a.list.live || a.lost(30) {
		return
	}
	l := presence.Listed{State: "active", Expires: time.Until(a.list.until), Holds: true, Full: full}
	if a.list.kind > 1 {
		l.Items = []presence.Item{{Address: "otto@pbx.example", State: "active", Holds: true, Now: presence.Document{open("desk", a.show)}}}
	}
	a.p().Listed(list, l)
}

// publish tells of what the contact shows, all who are subscribed.
func (a *agent) publish(of Pair) {
	a.notify(of)
	a.notifyList(Pair{User: of.User, Contact: "/list/trunk"}, false)
}

// serves reports whether anybody is.
func (a *agent) serves() bool { return a.live || a.list.live }

func (a *agent) notify(of Pair) {
	if a.live && time.Now().After(a.until) {
		a.live = false
	}
	if a.live && !a.lost(30) {
		a.p().Watched(of, presence.Notified{State: "active", Expires: time.Until(a.until), Holds: true, Now: presence.Document{open("desk", a.show)}})
	}
}

// A home is the XMPP server of one user, and the way to it. What is sent while that is cut is
// lost, and the gateway notices after a while.
type home struct {
	mu    sync.Mutex
	of    Pair
	p     func() *Presences
	cut   bool
	there bool // the user, with one device
	show  presence.Show
	lets  presence.Standing // the contact see the user
	asked bool
}

// say sends what the user or its server says to the contact, if there is a way.
func (h *home) say(in Presentation) bool {
	h.mu.Lock()
	cut := h.cut
	h.mu.Unlock()
	if !cut {
		h.p().FromUser(in)
	}
	return !cut
}

// device tells the contact what the user shows.
func (h *home) device() {
	h.mu.Lock()
	in := Presentation{Pair: h.of, Type: "unavailable", State: presence.State{Device: "a"}}
	if h.there {
		in.Type, in.State = "", open("a", h.show)
	}
	h.mu.Unlock()
	h.say(in)
}

// look answers a probe, some time after it was sent.
func (h *home) look(Pair) {
	h.mu.Lock()
	cut, lets := h.cut, h.lets
	h.mu.Unlock()
	if cut {
		return
	}
	time.AfterFunc(20*time.Millisecond, func() {
		h.mu.Lock()
		there := h.there
		h.mu.Unlock()
		switch {
		case lets == presence.Granted && there:
			h.device()
		case lets == presence.Granted: // a server need not say that nobody is there (RFC 6121 section 4.3.2)
		default:
			h.say(from(h.of.User, h.of.Contact, "unsubscribed")) // RFC 6121 section 4.3.2
		}
	})
}

// drop cuts the way, has the gateway notice, and some time later there is one again. Then a
// server that was started anew says what it says after a start.
func (h *home) drop(rnd *rand.Rand, anew func()) {
	h.mu.Lock()
	h.cut = true
	h.mu.Unlock()
	time.Sleep(time.Duration(rnd.IntN(30_000)) * time.Millisecond)
	h.p().Down()
	time.Sleep(time.Duration(rnd.IntN(120_000)) * time.Millisecond)
	h.mu.Lock()
	h.cut = false
	h.mu.Unlock()
	h.p().Up()
	if rnd.IntN(2) == 0 {
		anew()
	}
}

// What users miss while their server is away they are told when it is there again, and devices
// that nobody speaks of any more are gone.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, nil)
		defer p.Close()
		of, other := Pair{User: "juliet@x.example", Contact: "otto@gw"}, Pair{User: "juliet@x.example", Contact: "emma@gw"}
		for _, pair := range []Pair{of, other} {
			p.FromUser(from(pair.User, pair.Contact, "subscribe"))
			synctest.Wait()
			p.Watched(pair, presence.Accepted{Expires: presence.Hour})
			p.Watched(pair, active(open("desk", presence.Away)))
		}
		if _, err := p.Begin(Watching{ID: "w", Query: Query{Claim: watcherClaim(of.Contact), To: of.User}, Expires: presence.Hour}); err != nil {
			t.Fatal(err)
		}
		p.FromUser(from(of.User, of.Contact, "subscribed"))
		for _, device := range []string{"a", "b"} {
			p.FromUser(Presentation{Pair: of, State: open(device, presence.Available)})
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		j.take()
		p.Down()
		p.Watched(of, active())                                    // the contact's devices are gone
		p.FromUser(from(other.User, other.Contact, "unsubscribe")) // it came before
		synctest.Wait()
		p.Watched(other, presence.Accepted{})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := j.take("tell"); len(got) > 0 {
			t.Errorf("in the gap: %q", got)
		}
		p.Up()
		time.Sleep(time.Second)
		synctest.Wait()
		p.FromUser(Presentation{Pair: of, State: open("b", presence.Available)})
		time.Sleep(time.Minute)
		synctest.Wait()
		all := j.take()
		for _, want := range []string{
			"disallow juliet@x.example emma@gw", "tell juliet@x.example emma@gw desk:closed", "tell juliet@x.example otto@gw desk:closed",
			"look juliet@x.example otto@gw", "notify w active  a:closed,b:open",
		} {
			if !slices.Contains(all, want) {
				t.Errorf("no %q in %q", want, all)
			}
		}
	})
}

// Whatever is lost, crosses or is started anew, here or there: when all is quiet the user sees
// what the contact shows if it wants to, and nothing if it does not; and the contact's side knows
// of no subscription that nobody wants.
func TestRandomPresence(t *testing.T) { randomPresence(t, nil) }

// The same with lists, which the contact's side has, has not, or has others in.
func TestRandomPresenceOfLists(t *testing.T) {
	randomPresence(t, map[string]PresenceList{"trunk": {URI: "sip:{user}-friends@pbx.example"}})
}

func randomPresence(t *testing.T, lists map[string]PresenceList) {
	for i := range uint64(*seeds) {
		seed := *seed + i
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
			kept := &store.Memory{}
			var current atomic.Pointer[Presences]
			a := &agent{rnd: rand.New(rand.NewPCG(seed, 8)), p: current.Load, lossy: true}
			h := &home{of: of, p: current.Load, lets: presence.Granted}
			j := &journal{look: h.look}
			var mu sync.Mutex
			seen := map[string]presence.Show{}
			j.tell = func(_ Pair, s presence.State) {
				h.mu.Lock()
				cut := h.cut
				h.mu.Unlock()
				mu.Lock()
				defer mu.Unlock()
				if cut {
					return
				}
				if delete(seen, s.Device); s.Open {
					seen[s.Device] = s.Show
				}
			}
			j.on = func(s Subscription) {
				p := current.Load()
				time.AfterFunc(30*time.Millisecond, func() { a.subscribed(p, s) })
			}
			start := func() {
				p := presences(j, func(o *PresenceOptions) {
					o.Store, o.Lists, o.Router = kept, lists, named{}
					o.Rand = func() float64 { return 0.5 }
				})
				current.Store(p)
				if err := p.Start(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			start()
			wish := false
			say := func(typ string) bool { return h.say(from(of.User, of.Contact, typ)) }
			come := func(there bool) {
				h.mu.Lock()
				h.there = there
				h.mu.Unlock()
				if there && wish {
					say("probe")
				}
				h.device()
			}
			for range 40 {
				switch rnd.IntN(10) {
				case 0, 1:
					if say(map[bool]string{true: "unsubscribe", false: "subscribe"}[wish]) {
						wish = !wish
					}
				case 2:
					come(rnd.IntN(2) == 0)
				case 3, 4, 5:
					a.mu.Lock()
					a.show = presence.Show(rnd.IntN(5))
					a.publish(of)
					a.mu.Unlock()
				case 6:
					current.Load().Close() // the dialogs of a process end with it
					start()
				case 7:
					a.mu.Lock()
					a.live, a.list.live = false, false // it has forgotten
					a.mu.Unlock()
				case 9:
					a.mu.Lock()
					a.list.kind = rnd.IntN(3)
					a.notifyList(Pair{User: of.User, Contact: "/list/trunk"}, true)
					a.mu.Unlock()
				case 8:
					h.drop(rnd, func() {
						mu.Lock()
						clear(seen)
						mu.Unlock()
						come(rnd.IntN(2) == 0)
					})
				}
				time.Sleep(time.Duration(rnd.IntN(60_000)) * time.Millisecond)
			}
			a.mu.Lock()
			a.lossy = false
			a.mu.Unlock()
			h.mu.Lock()
			there := h.there
			h.mu.Unlock()
			if !there { // else nothing may be missing that only a question of the server would bring
				come(true)
			}
			time.Sleep(5 * time.Hour) // the longest wait is one, and then the next refresh
			synctest.Wait()
			a.mu.Lock()
			a.show = (a.show + 1) % 5
			a.publish(of)
			show, live := a.show, a.serves()
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

// A phone is a contact that watches the user: it subscribes again when its subscription ends
// (RFC 6665 section 4.1.3), and its messages may be lost.
type phone struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	of      Pair
	p       func() *Presences
	lossy   bool
	wants   bool
	id      string // of the subscription; empty for none
	gen     int
	sees    presence.Document
	retry   *time.Timer
	refresh *time.Timer
}

func (f *phone) lost(percent int) bool { return f.lossy && f.rnd.IntN(100) < percent }

// later has it subscribe after a time, if it then has no subscription.
func (f *phone) later(after time.Duration) {
	if f.retry != nil {
		f.retry.Stop()
	}
	f.retry = time.AfterFunc(after, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.subscribe()
	})
}

func (f *phone) subscribe() {
	if !f.wants || f.id != "" {
		return
	}
	if f.lost(20) {
		f.later(32 * time.Second)
		return
	}
	f.gen++
	f.id = fmt.Sprintf("w%d", f.gen)
	if _, err := f.p().Begin(Watching{ID: f.id, Query: Query{Claim: watcherClaim(f.of.Contact), To: f.of.User}, Expires: 10 * time.Minute}); err != nil {
		f.over(time.Minute)
	}
}

// over is the end of its subscription.
func (f *phone) over(again time.Duration) {
	f.id, f.sees = "", nil
	if f.refresh != nil {
		f.refresh.Stop()
	}
	f.later(again)
}

// answered takes the answer to a SUBSCRIBE.
func (f *phone) answered(id string, a presence.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case id != f.id:
	case a.Status == 403:
		f.over(time.Hour)
	case a.Status != 200:
		f.over(time.Second)
	case a.Expires > 0:
		if f.refresh != nil {
			f.refresh.Stop()
		}
		f.refresh = time.AfterFunc(a.Expires*4/5, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			switch {
			case id != f.id:
			case f.lost(20):
				f.over(32 * time.Second) // a timeout ends it (RFC 6665 section 4.1.2.2)
			default:
				f.refresh = time.AfterFunc(32*time.Second, func() { // the process may end before it answers
					f.mu.Lock()
					defer f.mu.Unlock()
					if id == f.id {
						f.over(time.Second)
					}
				})
				f.p().Refresh(f.of, id, 10*time.Minute)
			}
		})
	}
}

// notified takes a NOTIFY, if it is not lost.
func (f *phone) notified(p *Presences, id string, n presence.Notify) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.lost(10):
		time.AfterFunc(32*time.Second, func() { p.Lost(f.of, id) })
	case id != f.id:
		p.Lost(f.of, id) // 481
	case n.State == "terminated" && n.Reason == "rejected":
		f.over(time.Hour)
	case n.State == "terminated":
		f.over(5 * time.Second)
	case n.Holds:
		f.sees = n.Now
	}
}

// The same the other way: when all is quiet a phone sees what the user shows if it wants to and
// may, and nothing else; and the gateway has no subscription that nobody wants.
func TestRandomWatchers(t *testing.T) {
	for i := range uint64(*seeds) {
		seed := *seed + i
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 9))
			of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
			kept := &store.Memory{}
			var current atomic.Pointer[Presences]
			f := &phone{rnd: rand.New(rand.NewPCG(seed, 10)), of: of, p: current.Load, lossy: true}
			h := &home{of: of, p: current.Load, there: true}
			decide := func(lets bool) bool {
				typ, standing := "unsubscribed", presence.Denied
				if lets {
					typ, standing = "subscribed", presence.Granted
				}
				if !h.say(from(of.User, of.Contact, typ)) {
					return false
				}
				h.mu.Lock()
				h.lets, h.asked = standing, false
				h.mu.Unlock()
				if lets {
					h.device() // RFC 6121 section 3.1.5
				}
				return true
			}
			j := &journal{look: h.look}
			j.ask = func(Pair) {
				h.mu.Lock()
				defer h.mu.Unlock()
				if h.cut {
					return
				}
				h.asked = true
				if h.lets == presence.Granted { // the server answers by itself (RFC 6121 section 3.1.3)
					time.AfterFunc(20*time.Millisecond, func() { decide(true) })
				}
			}
			j.answer = f.answered
			j.notify = func(id string, n presence.Notify) {
				p := current.Load()
				time.AfterFunc(30*time.Millisecond, func() { f.notified(p, id, n) })
			}
			start := func() {
				p := presences(j, func(o *PresenceOptions) { o.Store = kept; o.Rand = func() float64 { return 0.5 } })
				current.Store(p)
				if err := p.Start(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			start()
			want := func(on bool) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.wants = on
				switch {
				case on:
					f.subscribe()
				case f.id != "":
					f.p().Refresh(of, f.id, 0) // crosses whatever is under way
					f.over(0)
				}
			}
			for range 40 {
				switch rnd.IntN(8) {
				case 0, 1:
					want(rnd.IntN(3) > 0)
				case 2, 3:
					decide(rnd.IntN(4) > 0)
				case 4, 5:
					h.mu.Lock()
					h.there, h.show = rnd.IntN(3) > 0, presence.Show(rnd.IntN(5))
					lets := h.lets
					h.mu.Unlock()
					if lets == presence.Granted { // the server sends it to nobody else
						h.device()
					}
				case 6:
					current.Load().Close()
					time.Sleep(time.Second)
					start()
				case 7:
					h.drop(rnd, func() {
						h.mu.Lock()
						h.there = rnd.IntN(2) == 0 // nothing is said of who is not
						there, lets := h.there, h.lets
						h.mu.Unlock()
						if there && lets == presence.Granted {
							h.device()
						}
					})
				}
				time.Sleep(time.Duration(rnd.IntN(60_000)) * time.Millisecond)
			}
			lets := rnd.IntN(3) > 0
			f.mu.Lock()
			f.lossy = false
			wants := f.wants
			f.mu.Unlock()
			h.mu.Lock()
			if standing := h.lets; rnd.IntN(2) == 0 && standing != presence.None {
				lets = standing == presence.Granted // as it is
				h.mu.Unlock()
			} else {
				h.mu.Unlock()
				decide(lets)
			}
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			h.mu.Lock()
			there, show := h.there, h.show
			h.mu.Unlock()
			f.mu.Lock()
			sees, live := f.sees, f.id != ""
			f.wants = false
			f.mu.Unlock()
			p := current.Load()
			n := p.count.watchers.Load()
			p.Close()
			time.Sleep(time.Minute)
			switch {
			case wants && lets && (!live || n != 1 || sees.Open() != there):
				t.Errorf("seed %d: it has a subscription: %v, of %d, and sees %v of who is there: %v", seed, live, n, sees, there)
			case wants && lets && there && sees[0].Show != show:
				t.Errorf("seed %d: it sees %v, want %q", seed, sees, show)
			case !lets && (len(sees) > 0 || n > 1): // one that waits for the user's word may stay
				t.Errorf("seed %d: it sees %v of whom it may not, of %d", seed, sees, n)
			case !wants && (live || n != 0):
				t.Errorf("seed %d: there are %d subscriptions that nobody wants", seed, n)
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
func (mute) Locate(Pair, *presence.Place)           {}

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

// tellers counts what XMPP users are told, and SIP watchers.
type tellers struct {
	mute
	told, notified *atomic.Int64
}

func (t tellers) Tell(Pair, presence.State)      { t.told.Add(1) }
func (t tellers) Notify(string, presence.Notify) { t.notified.Add(1) }

// BenchmarkPresences is 100,000 subscriptions, half of them each way, kept in a store on disk,
// and what changes among them: as many a second as it can, each told to its one watcher. It
// reports memory and octets in the store of a subscription, and processor time of a change.
func BenchmarkPresences(b *testing.B) {
	const n = 100_000
	file := filepath.Join(b.TempDir(), "store")
	disk, err := sqlite.Open(sqlite.Options{Path: file})
	if err != nil {
		b.Fatal(err)
	}
	defer disk.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	edges := tellers{told: &atomic.Int64{}, notified: &atomic.Int64{}}
	p := NewPresences(PresenceOptions{
		Router: pbx{}, Trunks: map[string]PresenceMode{"trunk": PresenceOn}, Max: n, MaxUser: n, Rate: 1e9, Store: disk,
	})
	p.SetEdges(edges, edges)
	defer p.Close()
	settle := func() {
		for _, s := range p.shards.all {
			for end := time.Now().Add(time.Minute); s.pending.Load() > 0 || disk.State().Waiting > 10_000; time.Sleep(100 * time.Microsecond) {
				if time.Now().After(end) {
					b.Fatalf("%d letters and %d rows wait for more than a minute", s.pending.Load(), disk.State().Waiting)
				}
			}
		}
	}
	pairs := make([]Pair, n)
	for i := range pairs {
		of := Pair{fmt.Sprintf("user%d@x.example", i/20), fmt.Sprintf("+49301234%d@gw.x.example", i)}
		pairs[i] = of
		if i%2 == 0 {
			p.FromUser(from(of.User, of.Contact, "subscribe"))
			p.Watched(of, presence.Accepted{Expires: presence.Hour})
			p.Watched(of, active(open("desk", presence.Away)))
		} else {
			if _, err := p.Begin(Watching{ID: of.Contact, Query: Query{Claim: watcherClaim(of.Contact), To: of.User}, Expires: presence.Hour}); err != nil {
				b.Fatal(err)
			}
			p.FromUser(from(of.User, of.Contact, "subscribed"))
			p.FromUser(Presentation{Pair: of, State: open("balcony", presence.Away)})
		}
		if i%500 == 0 {
			settle()
		}
	}
	settle()
	if _, err := disk.Load(context.Background(), "none"); err != nil { // all is on disk
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if watches, watchers := p.count.standing[presence.Granted].Load(), p.count.watchers.Load(); watches != n/2 || watchers != n/2 {
		b.Fatalf("%d watch and %d are watched, want %d", watches, watchers, n/2)
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	time.Sleep(11 * time.Second) // so that a watcher that was told of late may be told again
	edges.told.Store(0)
	edges.notified.Store(0)
	shows := [...]presence.Show{presence.Chat, presence.Away}
	changes := 0
	spent := processor()
	for b.Loop() {
		of, show := pairs[changes%n], shows[changes/n%2]
		if changes%2 == 0 {
			p.Watched(of, active(open("desk", show)))
		} else {
			p.FromUser(Presentation{Pair: of, State: open("balcony", show)})
		}
		if changes++; changes%1000 == 0 {
			settle()
		}
	}
	settle()
	spent = processor() - spent
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/subscription")
	b.ReportMetric(float64(info.Size())/n, "disk-B/subscription")
	b.ReportMetric(float64(spent.Microseconds())/float64(changes), "cpu-µs/change")
	b.ReportMetric(float64(edges.told.Load()+edges.notified.Load())/float64(changes), "told/change")
}

// processor returns the processor time that this process has taken.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no other reason than a wrong argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// nothing is a store that keeps nothing.
type nothing struct{ *store.Memory }

func (nothing) Put(store.Row, func(error))             {}
func (nothing) Delete(store.Kind, string, func(error)) {}
