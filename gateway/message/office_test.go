package message

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A desk drives an office as the shell does, in a time of its own, and writes down what it
// wants.
type desk struct {
	t     *testing.T
	o     *Office
	now   time.Time
	said  []string
	stuck bool // Keep is not answered
	under []Message
	rows  map[string]Message // what the store has
	order []string           // of the rows
	told  map[string][]Verdict
	seen  map[string]int // carried and taken, by id
}

func newDesk(t *testing.T, l Limits) *desk {
	return &desk{
		t: t, o: NewOffice(l), now: time.Date(2026, 3, 2, 11, 30, 0, 0, time.UTC),
		rows: map[string]Message{}, told: map[string][]Verdict{}, seen: map[string]int{},
	}
}

func (d *desk) step(e Event) {
	d.t.Helper()
	for _, a := range d.o.Step(d.now, e) {
		switch a := a.(type) {
		case Keep:
			if _, known := d.rows[a.Message.Key]; !known {
				d.order = append(d.order, a.Message.Key)
			}
			d.rows[a.Message.Key] = a.Message
			if !d.stuck {
				defer d.step(Kept{a.Message.Key})
			}
		case Drop:
			delete(d.rows, a.Key)
		case Carry:
			d.said = append(d.said, "carry "+a.Message.Body)
			if a.Message.Again {
				d.said[len(d.said)-1] += " again"
			}
			for _, m := range d.under {
				if keyOf(m) == keyOf(a.Message) {
					d.t.Errorf("%s goes while %s is under way", a.Message.Key, m.Key)
				}
			}
			d.under = append(d.under, a.Message)
		case Tell:
			word := [...]string{"accepted", "denied", "lost"}[a.Verdict]
			d.said = append(d.said, strings.TrimSpace(word+" "+a.Message.Body+" "+a.Outcome.Condition))
			d.told[a.Message.Key] = append(d.told[a.Message.Key], a.Verdict)
		}
	}
}

// settle says what came of the oldest message that is under way.
func (d *desk) settle(o Outcome) {
	d.t.Helper()
	if len(d.under) == 0 {
		d.t.Fatal("nothing is under way")
	}
	m := d.under[0]
	d.under = d.under[1:]
	if o.Result == Done {
		d.seen[m.Key]++
	}
	d.step(Carried{m.Key, o})
}

// wait lets time pass, with what is due in it.
func (d *desk) wait(span time.Duration) {
	d.t.Helper()
	end := d.now.Add(span)
	for {
		at, ok := d.o.Next()
		if !ok || at.After(end) {
			break
		}
		if at.After(d.now) {
			d.now = at
		}
		d.step(Tick{})
	}
	d.now = end
}

func (d *desk) want(lines ...string) {
	d.t.Helper()
	if got, want := strings.Join(d.said, "\n"), strings.Join(lines, "\n"); got != want {
		d.t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	d.said = nil
}

func toSIP(key string) Message {
	return Message{
		Key: key, ID: key, Once: key, Body: key, Way: ToSIP, Trunk: "pbx",
		From: Address{JID: "juliet@example.org/balcony", URI: "sip:juliet@gw"}, To: Address{URI: "sip:otto@pbx", JID: "otto@gw"},
	}
}

// inner is a message of a phone of ours to another SIP peer.
func inner(key string) Message {
	m := toSIP(key)
	m.From, m.Origin = Address{JID: "desk@gw", URI: "sip:desk@gw"}, "phone/desk"
	return m
}

func toXMPP(key string) Message {
	return Message{
		Key: key, ID: key, Once: key, Body: key, Way: ToXMPP, Trunk: "pbx",
		From: Address{URI: "sip:otto@pbx", JID: "otto@gw/sip"}, To: Address{JID: "juliet@example.org"},
	}
}

var away = Outcome{Result: Away, Condition: "remote-server-timeout", Type: "wait"}

func TestOfficeKeepsTheOrderOfAPair(t *testing.T) {
	d := newDesk(t, Limits{})
	for _, k := range []string{"a", "b", "c"} {
		d.step(Take{toSIP(k)})
	}
	d.want("carry a")
	d.settle(Outcome{})
	d.want("accepted a", "carry b")
	d.settle(Outcome{Result: Refused, Condition: "item-not-found"})
	d.want("denied b item-not-found", "carry c")
	d.settle(Outcome{})
	d.want("accepted c")
	if d.o.Waiting() != 0 || len(d.rows) != 0 {
		t.Errorf("%d wait, and the store has %d", d.o.Waiting(), len(d.rows))
	}
}

func TestOfficeWaitsForAPeerThatIsAway(t *testing.T) {
	d := newDesk(t, Limits{Keep: time.Hour})
	d.step(Take{toSIP("a")})
	other := toSIP("b")
	other.From.JID = "mira@example.org/tablet"
	d.settle(away)
	d.step(Take{other})
	d.want("carry a", "accepted a", "accepted b")
	if !d.rows["a"].Held || !d.rows["b"].Held {
		t.Error("the store does not say that they were not sent")
	}
	d.wait(firstTry - time.Millisecond)
	d.want()
	d.wait(time.Millisecond)
	d.want("carry a") // one alone tries
	if d.rows["a"].Held {
		t.Error("the store says that it was not sent")
	}
	d.settle(away)
	d.wait(2 * firstTry)
	d.want("carry b") // and each has its turn
	d.settle(Outcome{})
	d.want("carry a")
	d.settle(Outcome{})
	d.want()
	if len(d.rows) != 0 {
		t.Errorf("the store has %d", len(d.rows))
	}
}

// Many that were under way when a peer went away are one failure, not many.
func TestOfficeWaitsOnceForMany(t *testing.T) {
	d := newDesk(t, Limits{Keep: time.Hour, Rate: 100, Burst: 100})
	const many = 20
	for i := range many {
		m := toSIP(fmt.Sprint("m", i))
		m.To.URI = fmt.Sprintf("sip:%d@pbx", i)
		d.step(Take{m})
	}
	for range many {
		d.settle(away)
	}
	d.said = nil
	d.wait(firstTry)
	d.want("carry m0")
	d.settle(Outcome{})
	for len(d.under) > 0 {
		d.settle(Outcome{})
	}
	if n := d.o.Waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// One that was under way until nobody waits any more is tried again all the same, in a while.
func TestOfficeTriesLateOnes(t *testing.T) {
	d := newDesk(t, Limits{Keep: time.Hour})
	brief, late := toSIP("brief"), toSIP("late")
	brief.Expires, brief.Report = d.now.Add(time.Second), true // so that nobody is told
	late.To.URI = "sip:late@pbx"
	d.step(Take{brief})
	d.step(Take{late})
	d.settle(away)
	d.wait(time.Minute)
	d.said = nil
	d.settle(away)
	d.want("accepted late")
	d.wait(2 * firstTry)
	d.want("carry late")
}

// Whatever becomes of the one message that tries, others try after it.
func TestOfficeTriesOn(t *testing.T) {
	d := newDesk(t, Limits{Keep: time.Hour})
	brief, long := toSIP("brief"), toSIP("long")
	brief.Expires = d.now.Add(firstTry + time.Second)
	long.From.JID = "mira@example.org/tablet"
	d.step(Take{brief})
	d.settle(away)
	d.step(Take{long})
	d.said = nil
	d.stuck = true
	d.wait(firstTry) // it is to try, and the store is slow
	d.want()
	d.stuck = false
	d.wait(time.Second)
	d.want("lost brief remote-server-timeout", "carry long", "carry ")
	d.settle(away)
	d.settle(Outcome{})

	typing := toSIP("t") // is never kept, and is not tried again
	typing.Kind, typing.Composing, typing.Lasts, typing.Body = Typing, true, time.Minute, "typing"
	d.wait(2*firstTry - time.Millisecond)
	d.said = nil
	d.now = d.now.Add(time.Millisecond)
	d.step(Take{typing})
	d.want("accepted typing", "carry typing")
	d.settle(away)
	d.wait(4 * firstTry)
	d.want("carry long")
}

func TestOfficeTellsOfWhatExpires(t *testing.T) {
	d := newDesk(t, Limits{Keep: time.Minute})
	d.step(Take{toSIP("a")})
	d.settle(away)
	d.step(Take{toXMPP("x")})
	d.settle(away)
	d.want("carry a", "accepted a", "carry x", "accepted x")
	for range 20 {
		d.wait(5 * time.Second)
		for len(d.under) > 0 {
			d.settle(away)
		}
	}
	got := strings.Join(d.said, "\n")
	for _, want := range []string{"lost a remote-server-timeout", "lost x remote-server-timeout"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not said once in\n%s", want, got)
		}
	}
	// Both are written to, and that waits for the trunk, and for the server, in its turn.
	if d.o.Waiting() != 2 || len(d.rows) != 2 {
		t.Errorf("%d wait, and %d are kept", d.o.Waiting(), len(d.rows))
	}
	d.said = nil
	d.step(Open{"pbx"})
	d.want("carry Not delivered: x (it could not be delivered in time)")
	d.settle(Outcome{})
	d.step(Open{})
	if len(d.under) != 1 {
		t.Fatalf("%d are under way", len(d.under))
	}
	if m := d.under[0]; m.Kind != Notice || m.State != Failed || m.About != "a" || m.To.JID != "juliet@example.org/balcony" || m.Why.Condition != "remote-server-timeout" {
		t.Errorf("the XMPP user is sent %+v", m)
	}
}

// Whoever waits behind others is not left without an answer.
func TestOfficeAnswersThoseBehind(t *testing.T) {
	d := newDesk(t, Limits{Keep: time.Hour})
	d.step(Take{toXMPP("a")})
	d.step(Take{toXMPP("b")})
	d.settle(away)
	d.wait(time.Second)
	d.want("carry a", "accepted a", "accepted b")
}

// A SIP peer that has no answer sends its message again. It arrives once all the same, even if
// the gateway was started anew between the two.
func TestOfficeKnowsCopiesAfterAStart(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(*desk) // what happens before the end of the process
		want []string    // of the next
	}{
		{"that it had not sent", func(*desk) {}, []string{"accepted a", "carry a again"}},
		{"that had arrived", func(d *desk) { d.settle(Outcome{}) }, []string{"accepted a"}},
		{"that had arrived, and a word of it", func(d *desk) { d.settle(Outcome{}); d.wait(time.Second) }, []string{"accepted a"}},
		{"that was refused", func(d *desk) { d.settle(Outcome{Result: Refused, Condition: "item-not-found"}) }, []string{"carry a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, Limits{Keep: time.Hour})
			d.step(Take{toXMPP("a")})
			tt.stop(d)
			next := newDesk(t, Limits{Keep: time.Hour})
			next.now = d.now.Add(time.Second)
			next.step(Restore{slices.Collect(maps.Values(d.rows))})
			again := toXMPP("a")
			again.Key = "b"
			next.step(Take{again})
			slices.Sort(next.said)
			if got, want := strings.Join(next.said, ", "), strings.Join(tt.want, ", "); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestOfficeTakesUpWhatWasKept(t *testing.T) {
	d := newDesk(t, Limits{Keep: time.Hour})
	for _, k := range []string{"a", "b"} {
		d.step(Take{toSIP(k)})
	}
	var kept []Message
	for _, k := range d.order {
		kept = append(kept, d.rows[k])
	}
	next := newDesk(t, Limits{Keep: time.Hour})
	next.now = d.now.Add(time.Minute)
	next.step(Restore{kept})
	next.settle(Outcome{})
	next.settle(Outcome{})
	next.want("carry a again", "carry b") // a was under way, b was not
}

func TestOfficeMarksWhatMayHaveArrived(t *testing.T) {
	d := newDesk(t, Limits{Keep: time.Hour})
	d.step(Take{toXMPP("a")})
	d.settle(Outcome{Result: Away, Doubt: true})
	d.step(Open{})
	d.want("carry a", "accepted a", "carry a again")
}

func TestOfficeStops(t *testing.T) {
	d := newDesk(t, Limits{})
	d.step(Take{toSIP("a")})
	d.step(Take{toXMPP("x")})
	d.settle(away)
	d.said = nil
	d.step(Stop{})
	slices.Sort(d.said)
	d.want("denied x recipient-unavailable", "lost a recipient-unavailable")
}

func TestOfficeBounces(t *testing.T) {
	d := newDesk(t, Limits{})
	bounce := Bounced{ID: "a", By: "juliet@example.org/x", From: "otto@gw", Outcome: Outcome{Result: Refused, Condition: "service-unavailable"}}
	d.step(Take{toXMPP("a")})
	d.settle(Outcome{})
	d.wait(100 * time.Millisecond)
	d.step(bounce)
	d.want("carry a", "denied a service-unavailable")
	d.step(bounce) // and once
	d.wait(time.Second)
	d.want()
	b := toXMPP("b")
	b.Asks = AskFailed
	d.step(Take{b})
	d.settle(Outcome{})
	d.wait(time.Second)
	bounce.ID = "b"
	d.step(bounce)
	d.want("carry b", "accepted b", "lost b service-unavailable", "carry ")
	if m := d.under[0]; m.Kind != Notice || m.State != Failed || m.About != "b" || m.Way != ToSIP {
		t.Errorf("it goes back as %+v", m)
	}
	bounce.By = "tybalt@example.org"
	d.step(bounce)
	d.want()
}

func TestOfficeGuards(t *testing.T) {
	d := newDesk(t, Limits{PerPair: 3})
	loop := toSIP("loop")
	loop.Hops = 5
	d.step(Take{loop})
	d.want("denied loop not-acceptable")
	d.step(Take{toSIP("a")})
	again := toSIP("a")
	again.Key = "a2"
	d.step(Take{again}) // a duplicate is taken for sent
	d.want("carry a", "accepted a")
	for _, k := range []string{"b", "c", "d"} {
		d.step(Take{toSIP(k)})
	}
	d.want("denied d resource-constraint")
	d = newDesk(t, Limits{Octets: 5000})
	for _, k := range []string{"e", "f"} {
		m := toSIP(k)
		m.Subject = strings.Repeat("x", 2000)
		d.step(Take{m})
	}
	d.want("carry e", "denied f resource-constraint")
	d = newDesk(t, Limits{})
	denied := 0
	for i := range 60 {
		m := toSIP(fmt.Sprint(i))
		m.To.URI = fmt.Sprintf("sip:%d@pbx", i)
		d.step(Take{m})
	}
	for _, s := range d.said {
		if strings.HasSuffix(s, "policy-violation") {
			denied++
		}
	}
	if denied != 40 {
		t.Errorf("%d of 60 are denied, want 40", denied)
	}
	d = newDesk(t, Limits{Rate: 1000, Burst: 1000})
	for i := range 12 {
		m := toSIP(fmt.Sprint(i))
		m.Body = "echo"
		d.step(Take{m})
	}
	if got := strings.Count(strings.Join(d.said, "\n"), "denied echo policy-violation"); got != 2 {
		t.Errorf("%d of 12 same texts are denied, want 2", got)
	}
}

// A pair that was suspended stays so for a while, whatever it says then.
func TestOfficeSuspends(t *testing.T) {
	d := newDesk(t, Limits{Rate: 1000, Burst: 1000})
	for i := range sameText + 1 {
		m := toSIP(fmt.Sprint(i))
		m.Body = "echo"
		d.step(Take{m})
	}
	d.said = nil
	d.step(Take{toSIP("other")})
	d.want("denied other policy-violation")
	d.wait(suspension)
	d.step(Take{toSIP("later")})
	if got := strings.Join(d.said, "\n"); strings.Contains(got, "denied later") {
		t.Errorf("it is still suspended:\n%s", got)
	}
}

// A SIP peer is not sent more in a second than it may be, whoever writes; the rest comes later.
func TestPaceOfASIPPeer(t *testing.T) {
	d := newDesk(t, Limits{PerDest: 2})
	for i := range 10 {
		m := toSIP(fmt.Sprint(i))
		m.From = Address{URI: fmt.Sprintf("sip:%d@gw", i), JID: fmt.Sprintf("%d@example.org", i)}
		d.step(Take{m})
	}
	went := 0
	for second, want := range []int{2, 4, 6, 8, 10} {
		for len(d.under) > 0 {
			d.settle(Outcome{})
			went++
		}
		if went != want {
			t.Errorf("%d went within %d s, want %d", went, second, want)
		}
		d.wait(time.Second)
	}
}

// What is remembered of any number of senders and messages has an end.
func TestOfficeIsBounded(t *testing.T) {
	d := newDesk(t, Limits{Total: 3})
	for i := range maxSenders + 10 {
		m := toXMPP(fmt.Sprint(i))
		m.From = Address{URI: fmt.Sprintf("sip:%d@pbx", i), JID: fmt.Sprintf("%d@gw", i)}
		d.step(Take{m})
		if i < 3 {
			continue
		}
		if !strings.HasPrefix(d.said[len(d.said)-1], "denied") {
			t.Fatalf("message %d: %s", i, d.said[len(d.said)-1])
		}
	}
	if n := d.o.Waiting(); n != 3 {
		t.Errorf("%d wait", n)
	}
	if n := len(d.o.senders); n > maxSenders {
		t.Errorf("%d senders are known", n)
	}
	d = newDesk(t, Limits{Keep: 24 * time.Hour})
	for i := range 3 * maxRecent {
		m := toXMPP(fmt.Sprint(i))
		m.From = Address{URI: fmt.Sprintf("sip:%d@pbx", i), JID: fmt.Sprintf("%d@gw", i)}
		d.step(Take{m})
		d.settle(Outcome{})
		d.wait(time.Second)
	}
	if n := len(d.o.recent.m); n > maxRecent {
		t.Errorf("%d messages are remembered", n)
	}
	if n := len(d.o.alarms); n > 2048 {
		t.Errorf("there are %d alarms, and nothing waits", n)
	}
}

func TestOfficeTyping(t *testing.T) {
	d := newDesk(t, Limits{})
	typing := func(key string, composing bool) Message {
		m := toSIP(key)
		m.Kind, m.Composing, m.Lasts, m.Body = Typing, composing, 15*time.Second, fmt.Sprint(composing)
		return m
	}
	d.step(Take{typing("t1", false)})
	d.want("accepted false") // nobody composed
	d.step(Take{typing("t2", true)})
	d.settle(Outcome{})
	d.want("accepted true", "carry true")
	d.wait(15 * time.Second)
	d.want("accepted", "carry ") // idle
	if d.under[0].Composing {
		t.Error("it says that somebody composes")
	}
	d.settle(Outcome{})
	d.step(Take{typing("t3", true)})
	d.settle(away)
	d.step(Take{typing("t4", true)})
	d.settle(away)
	d.said = nil
	d.wait(time.Hour)
	d.want() // it is never kept
	if d.o.Waiting() != 0 {
		t.Errorf("%d wait", d.o.Waiting())
	}
}

func TestOfficeNotices(t *testing.T) {
	d := newDesk(t, Limits{})
	m := toSIP("a")
	m.Asks = AskDelivered
	d.step(Take{m})
	d.settle(Outcome{})
	notice := toXMPP("n")
	notice.Kind, notice.About, notice.Body = Notice, "a", "notice"
	d.step(Take{notice})
	if len(d.under) != 1 || d.under[0].To.JID != "juliet@example.org/balcony" {
		t.Errorf("the device that asked is not told: %+v", d.under)
	}
	d.said = nil
	back := toSIP("n2")
	back.Kind, back.About, back.Body = Notice, "unheard", "nothing"
	d.step(Take{back})
	d.want("accepted nothing") // nobody asked for it
}

// Whatever happens, each message is carried once or told of once, and in order; a crash may
// double what was under way, and that is marked.
func TestOfficeWalks(t *testing.T) {
	for seed := range uint64(300) {
		walk(t, rand.New(rand.NewPCG(seed, 1)), seed)
		if t.Failed() {
			return
		}
	}
}

func walk(t *testing.T, r *rand.Rand, seed uint64) {
	d := newDesk(t, Limits{Keep: 10 * time.Minute, PerPair: 5, Rate: 100, Burst: 100})
	n, sent := 0, map[string]bool{}
	var copies []Message // of what came of late
	doubt := map[string]int{}
	last := map[pairKey]string{}
	take := func() {
		n++
		m := toSIP(fmt.Sprintf("k%04d", n))
		if r.IntN(2) == 0 {
			m = toXMPP(m.Key)
		}
		if r.IntN(3) == 0 {
			m.From.JID, m.From.URI = "mira@example.org", "sip:mira@pbx"
		}
		sent[m.Key] = true
		d.step(Take{m})
		if copies = append(copies, m); len(copies) > 3 {
			copies = copies[1:]
		}
	}
	settle := func() {
		m := d.under[0]
		switch r.IntN(4) {
		case 0:
			d.settle(away)
		case 1:
			d.settle(Outcome{Result: Refused, Condition: "item-not-found"})
		default:
			k := keyOf(m)
			if m.Key < last[k] && !m.Again && !m.Report {
				t.Errorf("seed %d: %s comes behind %s", seed, m.Key, last[k])
			}
			last[k] = m.Key
			d.settle(Outcome{})
		}
	}
	crash := func() {
		var kept []Message
		for _, k := range d.order {
			if m, ok := d.rows[k]; ok {
				kept = append(kept, m)
			}
		}
		for _, m := range d.under {
			if r.IntN(2) == 0 {
				d.seen[m.Key]++ // it had arrived
				doubt[m.Key]++
			}
		}
		d.o, d.under = NewOffice(d.o.limits), nil
		d.step(Restore{kept})
		for _, m := range copies {
			if m.Way == ToXMPP && !slices.Contains(d.told[m.Key], Denied) && !slices.Contains(d.told[m.Key], Lost) {
				m.Key = "copy of " + m.Key
				d.step(Take{m})
			}
		}
	}
	for range 200 {
		switch x := r.IntN(10); {
		case x < 4:
			take()
		case x < 8 && len(d.under) > 0:
			settle()
		case x == 8:
			d.wait(time.Duration(r.IntN(90)) * time.Second)
			copies = nil
		case x == 9 && r.IntN(5) == 0:
			crash()
		}
	}
	for i := 0; d.o.Waiting() > 0 && i < 1000; i++ {
		for len(d.under) > 0 {
			d.settle(Outcome{})
		}
		d.wait(time.Minute)
	}
	if d.o.octets != 0 {
		t.Errorf("seed %d: %d octets are counted at the end", seed, d.o.octets)
	}
	rows := 0
	for _, m := range d.rows {
		if m.Seen == "" {
			rows++
		}
	}
	if d.o.Waiting() != 0 || rows != 0 {
		t.Fatalf("seed %d: %d wait and the store has %d at the end", seed, d.o.Waiting(), rows)
	}
	for k := range d.seen {
		if strings.HasPrefix(k, "copy") {
			t.Errorf("seed %d: the %s arrived", seed, k)
		}
	}
	for k := range sent {
		failed := 0
		for _, v := range d.told[k] {
			if v != Accepted {
				failed++
			}
		}
		if got := d.seen[k] + failed; got < 1 || got > 1+doubt[k] {
			t.Errorf("seed %d: %s arrived %d times and was told of %d times", seed, k, d.seen[k], failed)
		}
	}
}

func BenchmarkOffice(b *testing.B) {
	o := NewOffice(Limits{Rate: 1e9, Burst: 1e9, PerDest: 1e9})
	now := time.Date(2026, 3, 2, 11, 30, 0, 0, time.UTC)
	for i := 0; b.Loop(); i++ {
		m := toSIP(fmt.Sprint(i))
		m.From.JID = fmt.Sprint(i % 1000)
		o.Step(now, Take{m})
		o.Step(now, Kept{m.Key})
		o.Step(now, Carried{m.Key, Outcome{}})
		now = now.Add(time.Millisecond)
	}
}

// A phone that writes to another SIP peer waits in a transaction: it is told within the time for
// a bounce, and in words of what was lost after that.
func TestMessageWithinSIP(t *testing.T) {
	t.Run("arrives", func(t *testing.T) {
		d := newDesk(t, Limits{})
		d.step(Take{inner("a")})
		d.settle(Outcome{})
		d.want("carry a", "accepted a")
		d.wait(time.Minute)
		d.want()
	})
	t.Run("is refused", func(t *testing.T) {
		d := newDesk(t, Limits{})
		d.step(Take{inner("a")})
		d.settle(Outcome{Result: Refused, Condition: "item-not-found"})
		d.want("carry a", "denied a item-not-found")
		d.wait(time.Minute)
		d.want()
	})
	t.Run("is refused late", func(t *testing.T) {
		d := newDesk(t, Limits{})
		d.step(Take{inner("a")})
		d.wait(time.Second)
		d.want("carry a", "accepted a")
		d.settle(Outcome{Result: Refused, Condition: "item-not-found"})
		d.want("lost a item-not-found", "carry Not delivered: a")
		if r := d.under[0]; r.Trunk != "phone/desk" || r.To.URI != "sip:desk@gw" || r.Way != ToSIP || r.Origin != "" {
			t.Errorf("the report is %+v", r)
		}
		d.settle(Outcome{Result: Refused}) // and of that nobody is told
		d.want("accepted Not delivered: a")
	})
	t.Run("has its notice", func(t *testing.T) {
		d := newDesk(t, Limits{})
		m := inner("a")
		m.Asks = AskDelivered
		d.step(Take{m})
		d.settle(Outcome{})
		n := inner("n")
		n.From, n.To, n.Origin, n.Trunk = m.To, m.From, "pbx", "phone/desk"
		n.Kind, n.About, n.State, n.Body = Notice, "a", Delivered, ""
		d.said = nil
		d.step(Take{n})
		if len(d.under) != 1 || d.under[0].Kind != Notice || d.under[0].About != "a" {
			t.Errorf("under way are %+v", d.under)
		}
		n.Key, n.State = "n2", Displayed // which was not asked for
		d.settle(Outcome{})
		d.step(Take{n})
		if len(d.under) != 0 {
			t.Errorf("under way are %+v", d.under)
		}
	})
}
