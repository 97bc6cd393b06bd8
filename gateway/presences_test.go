package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/store"
)

// A pbx routes everything to one trunk.
type pbx struct{}

func (pbx) Route(q Query) (Target, error) {
	if q.Edge == XMPP {
		local, _, _ := strings.Cut(q.To, "@")
		return Target{Edge: SIP, Trunk: "trunk", From: q.From, To: Party{URI: "sip:" + local + "@pbx.example", JID: q.To}}, nil
	}
	return Target{Edge: XMPP, From: Party{JID: q.Claim.From.URI}, To: Party{JID: q.To}}, nil
}

// A journal is both edges: it notes what they are asked, and does nothing of its own.
type journal struct {
	mu    sync.Mutex
	lines []string
	when  []time.Time
	on    func(Subscription) // told of each SUBSCRIBE
	tell  func(Pair, presence.State)
	ask   func(Pair)

	look   func(Pair)
	answer func(id string, a presence.Answer)
	notify func(id string, n presence.Notify)
	phone  presence.Document // what a phone of ours shows
	onCall bool
}

func (j *journal) note(format string, a ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, a...))
	j.when = append(j.when, time.Now())
}

// take returns what was noted since, with all of these words.
func (j *journal) take(words ...string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []string
	for _, l := range j.lines {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l, w) }) {
			found = append(found, l)
		}
	}
	j.lines, j.when = nil, nil
	return found
}

func (j *journal) Subscribe(s Subscription) {
	j.note("subscribe %s %s new=%v %s %s", s.Package, s.To, s.New, s.Expires, s.Pair.User)
	if j.on != nil {
		j.on(s)
	}
}

func (j *journal) Answer(id string, a presence.Answer) {
	j.note("answer %s %d %s", id, a.Status, a.Expires)
	if j.answer != nil {
		j.answer(id, a)
	}
}

func (j *journal) Notify(id string, n presence.Notify) {
	at := ""
	if n.Place != nil {
		at = " at " + n.Place.Words()
	}
	j.note("notify %s %s %s %s%s", id, n.State, n.Reason, states(n.Now), at)
	if j.notify != nil {
		j.notify(id, n)
	}
}

func (j *journal) Publish(p Publication) { j.note("publish %s %s", p.Match, p.Expires) }
func (j *journal) Allow(p Pair)          { j.note("allow %s", p.key()) }

func (j *journal) Phone(string) (presence.Document, bool) { return j.phone, j.onCall }

func (j *journal) Disallow(p Pair)             { j.note("disallow %s", p.key()) }
func (j *journal) Mail(user string, m Mailbox) { j.note("mail %s %d", user, m.New) }
func (j *journal) Missed(string, Record)       {}
func (j *journal) Language(string) string      { return "en" }
func (j *journal) Look(p Pair) {
	j.note("look %s", p.key())
	if j.look != nil {
		j.look(p)
	}
}

func (j *journal) Ask(p Pair, name string) {
	j.note("ask %s %s", p.key(), name)
	if j.ask != nil {
		j.ask(p)
	}
}

func (j *journal) Tell(p Pair, s presence.State) {
	j.note("tell %s %s", p.key(), states([]presence.State{s}))
	if j.tell != nil {
		j.tell(p, s)
	}
}

func (j *journal) Doing(p Pair, a presence.Activity) { j.note("doing %s %s", p.key(), a) }

func (j *journal) Locate(p Pair, place *presence.Place) {
	j.note("locate %s %s", p.key(), wordsOf(place))
}

func wordsOf(p *presence.Place) string {
	if p.Empty() {
		return "nowhere"
	}
	return p.Words()
}

func states(all []presence.State) string {
	var words []string
	for _, s := range all {
		word := "closed"
		if s.Open {
			word = "open" + s.Show.String()
		}
		words = append(words, s.Device+":"+word)
	}
	return strings.Join(words, ",")
}

func presences(j *journal, change func(*PresenceOptions)) *Presences {
	o := PresenceOptions{
		Router: pbx{}, Trunks: map[string]PresenceMode{"trunk": PresenceOn}, OnThePhone: true,
		Words: func(string) string { return "On the phone" },
	}
	if change != nil {
		change(&o)
	}
	p := NewPresences(o)
	p.SetEdges(j, j)
	return p
}

func from(user, contact, typ string) Presentation {
	return Presentation{Pair: Pair{User: user, Contact: contact}, Type: typ}
}

func open(name string, show presence.Show) presence.State {
	return presence.State{Device: name, Open: true, Show: show}
}

func active(states ...presence.State) presence.Notified {
	return presence.Notified{State: "active", Expires: presence.Hour, Holds: true, Now: states}
}

// After a restart no trunk is asked more than five times a second, and those who are not there
// are not asked about at all (INTERWORKING 4.2).
func TestStormAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &store.Memory{}
		for i := range 1000 {
			kept.Put(store.Row{Kind: store.Subscriptions, Key: fmt.Sprintf("u%d@x.example otto@gw", i), Value: []byte(`{"watch":"granted"}`)}, nil)
		}
		j := &journal{}
		p := presences(j, func(o *PresenceOptions) { o.Store, o.Max = kept, 2000 })
		defer p.Close()
		if err := p.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if n := len(j.take("look")); n != 1000 {
			t.Fatalf("%d users were asked whether they are there, want 1000", n)
		}
		for i := range 1000 { // all are, at once
			p.FromUser(Presentation{Pair: Pair{User: fmt.Sprintf("u%d@x.example", i), Contact: "otto@gw"}, State: open("a", presence.Available)})
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		j.mu.Lock()
		defer j.mu.Unlock()
		var at []time.Time
		for i, l := range j.lines {
			if strings.HasPrefix(l, "subscribe") {
				at = append(at, j.when[i])
			}
		}
		if len(at) != 1000 {
			t.Fatalf("%d SUBSCRIBE, want 1000", len(at))
		}
		for i := 5; i < len(at); i++ {
			if d := at[i].Sub(at[i-5]); d < time.Second {
				t.Fatalf("six within %v", d)
			}
		}
	})
}

// A hundred changes a second are one presence a second to a user, and one NOTIFY in five
// seconds to a phone, and the last word is the right one (RELIABILITY 4, row 18).
func TestFloodOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, nil)
		defer p.Close()
		of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
		p.FromUser(from(of.User, of.Contact, "subscribe"))
		synctest.Wait()
		p.Watched(of, presence.Accepted{Expires: presence.Hour})
		if _, err := p.Begin(Watching{ID: "w", Query: Query{Claim: watcherClaim(of.Contact), To: of.User}, Expires: presence.Hour}); err != nil {
			t.Fatal(err)
		}
		p.FromUser(from(of.User, of.Contact, "subscribed"))
		synctest.Wait()
		j.take()
		for i := range 3001 {
			show := presence.Show(i % 5)
			p.Watched(of, active(open("desk", show)))
			p.FromUser(Presentation{Pair: of, State: open("a", show)})
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		j.mu.Lock()
		lines := slices.Clone(j.lines)
		j.mu.Unlock()
		tells, notifies := 0, 0
		for _, l := range lines {
			if strings.HasPrefix(l, "tell") {
				tells++
			}
			if strings.HasPrefix(l, "notify") {
				notifies++
			}
		}
		if tells > 32 || tells < 28 {
			t.Errorf("%d presences in 30 s", tells)
		}
		if notifies > 9 || notifies < 6 {
			t.Errorf("%d NOTIFY in 30 s", notifies)
		}
		last := func(word string) string {
			for i := len(lines) - 1; i >= 0; i-- {
				if strings.HasPrefix(lines[i], word) {
					return lines[i]
				}
			}
			return ""
		}
		if got := last("tell"); got != "tell juliet@x.example otto@gw desk:open" {
			t.Errorf("at last %q", got)
		}
		if got := last("notify"); got != "notify w active  a:open" {
			t.Errorf("at last %q", got)
		}
	})
}

// Of several calls the last counts, and what was so before comes back (INTERWORKING 4.8).
func TestOverlappingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, nil)
		defer p.Close()
		of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
		p.FromUser(from(of.User, of.Contact, "subscribe"))
		synctest.Wait()
		p.Watched(of, presence.Accepted{Expires: presence.Hour})
		p.Watched(of, active(open("desk", presence.Away)))
		pause := func() {
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		pause()
		j.take()
		steps := []struct {
			do   func()
			want string
		}{
			{func() { p.Calling(Pair{"romeo@x.example", "otto@gw"}, true) }, "tell juliet@x.example otto@gw desk:opendnd doing juliet@x.example otto@gw on-the-phone"},
			{func() { p.Calling(Pair{"mira@x.example", "otto@gw"}, true) }, ""},
			{func() { p.Calling(Pair{"romeo@x.example", "otto@gw"}, false) }, ""},
			{func() { p.Watched(of, active(open("desk", presence.DoNotDisturb))) }, "tell juliet@x.example otto@gw desk:opendnd doing juliet@x.example otto@gw "},
			{func() { p.Watched(of, active(open("desk", presence.Chat))) }, "tell juliet@x.example otto@gw desk:opendnd doing juliet@x.example otto@gw on-the-phone"},
			{func() { p.Calling(Pair{"mira@x.example", "otto@gw"}, false) }, "tell juliet@x.example otto@gw desk:openchat doing juliet@x.example otto@gw "},
			{func() { p.Calling(Pair{"romeo@x.example", "nora@gw"}, true) }, ""},
		}
		for i, s := range steps {
			s.do()
			pause()
			if got := strings.Join(j.take(), " "); got != s.want {
				t.Errorf("step %d: %q, want %q", i+1, got, s.want)
			}
		}
	})
}

func TestBoundsOfPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, func(o *PresenceOptions) { o.MaxUser, o.Max = 3, 5 })
		defer p.Close()
		for i := range 4 {
			want := Ours
			if i == 3 {
				want = TooMany
			}
			if got := p.FromUser(from("juliet@x.example", fmt.Sprintf("c%d@gw", i), "subscribe")); got != want {
				t.Errorf("contact %d: %v", i, got)
			}
		}
		refused := 0
		for i := range 5 {
			if _, err := p.Begin(Watching{ID: fmt.Sprint(i), Query: Query{Claim: watcherClaim(fmt.Sprintf("s%d@gw", i)), To: "romeo@x.example"}, Expires: presence.Hour}); err != nil {
				refused++
			}
		}
		if refused != 3 {
			t.Errorf("%d were refused, want 3: five pairs is all there may be", refused)
		}
		synctest.Wait()
		if n := p.count.refused.Load(); n != 4 {
			t.Errorf("%d refusals were counted", n)
		}
		// What ends gives its place back.
		p.FromUser(from("juliet@x.example", "c0@gw", "unsubscribe"))
		synctest.Wait()
		p.Watched(Pair{"juliet@x.example", "c0@gw"}, presence.Refused{Status: 403})
		synctest.Wait()
		if got := p.FromUser(from("juliet@x.example", "c9@gw", "subscribe")); got != Ours {
			t.Errorf("the place of one that has ended: %v", got)
		}
	})
}

// Of what was decided nothing is lost with the process.
func TestPresenceOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &store.Memory{}
		same := func(o *PresenceOptions) { o.Store = kept }
		j := &journal{}
		p := presences(j, same)
		of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
		p.FromUser(from(of.User, of.Contact, "subscribe"))
		synctest.Wait()
		p.Watched(of, presence.Accepted{Expires: presence.Hour})
		p.Watched(of, active(open("desk", presence.Available)))
		p.FromUser(from(of.User, of.Contact, "subscribed"))
		if _, err := p.Begin(Watching{ID: "old", Query: Query{Claim: watcherClaim(of.Contact), To: of.User}, Expires: presence.Hour}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		j.take()
		p.Close()
		if got := j.take("notify"); len(got) != 1 || !strings.HasPrefix(got[0], "notify old terminated deactivated") {
			t.Errorf("at the end %q", got)
		}
		p = presences(j, same)
		defer p.Close()
		if err := p.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := j.take(); !slices.Equal(got, []string{"look juliet@x.example otto@gw"}) {
			t.Errorf("after the start %q", got)
		}
		if _, err := p.Begin(Watching{ID: "new", Query: Query{Claim: watcherClaim(of.Contact), To: of.User}, Expires: presence.Hour}); err != nil {
			t.Fatal(err)
		}
		p.FromUser(Presentation{Pair: of, State: open("a", presence.Available)})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		got := strings.Join(j.take(), "; ")
		for _, want := range []string{"subscribe presence sip:otto@pbx.example new=true 1h0m0s", "answer new 200 1h0m0s", "notify new active  a:open"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in %q", want, got)
			}
		}
		if strings.Contains(got, "ask") {
			t.Errorf("the user was asked anew: %q", got)
		}
	})
}

func TestRefusalOfWatchers(t *testing.T) {
	p := presences(&journal{}, nil)
	p.Close()
	_, err := p.Begin(Watching{ID: "w", Query: Query{Claim: watcherClaim("otto@gw"), To: "juliet@x.example"}})
	if r, ok := err.(*call.Refusal); !ok || r.Cause != call.Overloaded {
		t.Errorf("after the end: %v", err)
	}
}

// One pair has so many subscriptions of the contact, and so many devices of the user.
func TestBoundsOfAPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, nil)
		defer p.Close()
		for i := range maxWatchers + 1 {
			q := Query{Claim: watcherClaim("otto@gw"), To: "juliet@x.example"}
			if _, err := p.Begin(Watching{ID: fmt.Sprint(i), Query: q, Expires: presence.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := j.take("answer", " 403 "); len(got) != 1 {
			t.Errorf("%d subscriptions: refused %q", maxWatchers+1, got)
		}
		for i := range maxSeen + 1 {
			in := from("juliet@x.example", "otto@gw", "")
			in.State = open(fmt.Sprintf("device%d", i), 0)
			p.FromUser(in)
		}
		synctest.Wait()
		for _, c := range p.parts {
			for _, pr := range c.pairs {
				if len(pr.seen) != maxSeen || len(pr.watchers) != maxWatchers {
					t.Errorf("%d devices and %d subscriptions are kept", len(pr.seen), len(pr.watchers))
				}
			}
		}
	})
}

// Where a user is, a contact is told only when its trunk may know and the user has agreed, and no
// more as soon as the user takes that back (INTERWORKING 4.7).
func TestPlaceByConsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var agrees atomic.Bool
		j := &journal{}
		p := presences(j, func(o *PresenceOptions) {
			o.Places, o.MayLocate = map[string]bool{"trunk": true}, func(user string) bool { return user == "juliet@x.example" && agrees.Load() }
		})
		defer p.Close()
		of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
		here, there := &presence.Place{}, &presence.Place{}
		here.SetPoint(1, 2)
		there.SetPoint(3, 4)
		says := func(what string, want ...string) {
			t.Helper()
			time.Sleep(presence.Pace)
			synctest.Wait()
			if got := j.take("notify"); !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
		p.Located(Pair{"nobody@x.example", "otto@gw"}, here) // nobody watches there: it is forgotten
		if _, err := p.Begin(Watching{ID: "w", Query: Query{Claim: watcherClaim(of.Contact), To: of.User}, Expires: presence.Hour}); err != nil {
			t.Fatal(err)
		}
		p.FromUser(from(of.User, of.Contact, "subscribed"))
		p.FromUser(Presentation{Pair: of, State: open("a", presence.Available)})
		says("at first", "notify w pending  ", "notify w active  ", "notify w active  a:open")
		p.Located(of, here)
		says("without the user's word")
		if p.Place(of) != nil {
			t.Error("a call would say where the user is")
		}
		agrees.Store(true)
		p.Agreed(of.User)
		says("with it", "notify w active  a:open at geo:1,2")
		p.Located(of, here)
		says("nothing new")
		p.Located(of, there)
		says("somewhere else", "notify w active  a:open at geo:3,4")
		if p.Place(of) == nil {
			t.Error("a call would not say where the user is")
		}
		p.FromUser(Presentation{Pair: of, Type: "unavailable", State: presence.State{Device: "a"}})
		says("away", "notify w active  a:closed")
		p.FromUser(Presentation{Pair: of, State: open("a", presence.Available)})
		says("back", "notify w active  a:open at geo:3,4")
		agrees.Store(false)
		p.Agreed(of.User)
		says("the word is taken back", "notify w active  a:open")
		if p.Place(of) != nil {
			t.Error("a call would still say where the user is")
		}
		agrees.Store(true)
		p.Agreed(of.User)
		says("the user agrees again", "notify w active  a:open at geo:3,4")
		p.Located(of, nil)
		says("the user says no more", "notify w active  a:open")
	})
}

// Where a contact is, the user is told once, and told when that is not known any more.
func TestPlaceOfAContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, nil)
		defer p.Close()
		of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
		p.FromUser(from(of.User, of.Contact, "subscribe"))
		synctest.Wait()
		p.Watched(of, presence.Accepted{Expires: presence.Hour})
		says := func(n presence.Notified, want ...string) {
			t.Helper()
			p.Watched(of, n)
			synctest.Wait()
			if got := j.take("locate"); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		here := active(open("desk", presence.Away))
		here.Place = &presence.Place{Civic: presence.Civic{Street: "Ring 3"}}
		says(here, "locate juliet@x.example otto@gw Ring 3")
		says(here)
		says(active(open("desk", presence.Away)), "locate juliet@x.example otto@gw nowhere")
		says(here, "locate juliet@x.example otto@gw Ring 3")
		says(presence.Notified{State: "terminated", Reason: "rejected"}, "locate juliet@x.example otto@gw nowhere")
	})
}

// A trunk is told of a user who shows herself, from one reload to another: what it was told is
// taken back, and a trunk that is new hears of her with her next change.
func TestTrunksThatAreToldOfUsersChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, func(o *PresenceOptions) {
			o.Publish = []string{"one"}
			o.Owner = func(user, trunk string) (Party, bool) { return Party{URI: "sip:juliet@" + trunk, JID: user}, true }
		})
		defer p.Close()
		here := presence.State{Device: "phone", Open: true}
		told := func(when, want string) {
			t.Helper()
			synctest.Wait()
			all := j.take("publish")
			slices.Sort(all) // they are in no order
			if got := strings.Join(all, ", "); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		p.Shown("juliet@x.example", "", here)
		told("she comes", "publish  1h0m0s")
		p.Published(Pair{User: "juliet@x.example", Contact: publishKey + "one"}, presence.Published{Tag: "e1", Expires: presence.Hour})
		p.Serve(map[string]PresenceMode{"trunk": PresenceOn}, nil, nil, []string{"one", "two"})
		told("another is to be told", "")
		here.Priority = 5
		p.Shown("juliet@x.example", "", here)
		told("she changes", "publish  1h0m0s, publish e1 1h0m0s")
		p.Published(Pair{User: "juliet@x.example", Contact: publishKey + "one"}, presence.Published{Tag: "e2", Expires: presence.Hour})
		p.Published(Pair{User: "juliet@x.example", Contact: publishKey + "two"}, presence.Published{Tag: "f1", Expires: presence.Hour})
		p.Serve(map[string]PresenceMode{"trunk": PresenceOn}, nil, nil, []string{"two"})
		told("the first is told no more", "publish e2 0s")
		p.Published(Pair{User: "juliet@x.example", Contact: publishKey + "one"}, presence.Published{})
		synctest.Wait()
		if p.knows(Pair{User: "juliet@x.example", Contact: publishKey + "one"}) {
			t.Error("it is known that she was published there")
		}
		here.Priority = 0
		p.Shown("juliet@x.example", "", here)
		told("she changes again", "publish f1 1h0m0s")
	})
}
