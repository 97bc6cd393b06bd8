package presence

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// listSaid is what a list wants, in one line.
func listSaid(out []ListOutput) string {
	var words []string
	for _, o := range out {
		switch o := o.(type) {
		case ListSubscribe:
			words = append(words, fmt.Sprintf("subscribe new=%t %v", o.New, o.Expires))
		case Single:
			words = append(words, "single "+o.Member)
		case ListWait:
			words = append(words, fmt.Sprintf("wait %v", o.After))
		case ListOver:
			words = append(words, "over")
		case Pass:
			words = append(words, o.Member+": "+passed(o.In))
		}
	}
	return strings.Join(words, ", ")
}

func passed(in WatchInput) string {
	switch in := in.(type) {
	case Accepted:
		return "accepted"
	case Refused:
		return fmt.Sprintf("refused %d %v", in.Status, in.Later)
	case Notified:
		s := in.State
		if in.Reason != "" {
			s += " " + in.Reason
		}
		if in.Holds {
			s += fmt.Sprintf(" open=%t", in.Now.Open())
		}
		return s
	}
	return fmt.Sprintf("%T", in)
}

func TestList(t *testing.T) {
	join := func(who string) Joined { return Joined{who, who + "@y", who + "@x"} }
	item := func(who, state, reason string, doc bool) Item {
		i := Item{Address: who + "@x", State: state, Reason: reason, Holds: doc}
		if doc {
			i.Now = Document{{Open: true}}
		}
		return i
	}
	full := func(items ...Item) Listed { return Listed{State: "active", Holds: true, Full: true, Items: items} }
	part := func(items ...Item) Listed { return Listed{State: "active", Holds: true, Items: items} }
	const (
		first = "subscribe new=true 1h0m0s"
		taken = "wait 1m4s, a: accepted" // by when there is a list
	)
	accept := ListAccepted{Hour}
	type step struct {
		in   any // a [ListInput], or how long nothing happens
		want string
	}
	begun := func(more ...step) []step { return append([]step{{join("a"), first}, {accept, taken}}, more...) }
	tests := []struct {
		name   string
		shared bool
		steps  []step
	}{
		{"one SUBSCRIBE for all", false, begun(
			step{full(item("a", "active", "", true), item("b", "pending", "", false)), "a: active open=true, wait 48m0s"},
			step{join("b"), "b: accepted, b: pending"},
			step{part(item("b", "active", "", true)), "b: active open=true, wait 48m0s"},
			step{part(item("c", "active", "", true)), "wait 48m0s"},
			step{join("c"), "c: accepted, c: active open=true"},
			step{Parted{"a"}, "a: accepted"},
			step{Parted{"b"}, "b: accepted"},
			step{Parted{"c"}, "c: accepted, subscribe new=false 0s, over"},
		)},
		{"the NOTIFY comes before the answer", false, []step{
			{join("a"), first},
			{full(item("a", "active", "", true)), "a: accepted, a: active open=true"},
			{accept, "wait 48m0s"},
		}},
		{"who is not in the list asks for itself", false, begun(
			step{join("b"), "b: accepted"},
			step{full(item("b", "active", "", false)), "b: active, wait 5s"},
			step{Settling, ""},
			step{ListFired{}, "a: terminated deactivated, wait 47m55s"},
			step{join("a"), "single a"},
			step{full(), "wait 5s"},
			step{Settling, ""},
			step{ListFired{}, "b: terminated deactivated, subscribe new=false 0s, wait 1h0m0s"},
			step{join("b"), "single b"}, // it is remembered for a while who is in it
			step{time.Hour, ""},
			step{join("b"), first},
		)},
		{"who is in the rest of it does not", false, begun(
			step{full(), "wait 5s"},
			step{part(item("a", "active", "", true)), "a: active open=true, wait 5s"},
			step{Settling, ""},
			step{ListFired{}, "wait 47m55s"},
		)},
		{"and who leaves it", false, begun(
			step{full(item("a", "active", "", true)), "a: active open=true, wait 48m0s"},
			step{full(item("b", "active", "", true)), "wait 5s"},
			step{Settling, ""},
			step{ListFired{}, "a: terminated deactivated, subscribe new=false 0s, wait 1h0m0s"},
			step{join("b"), first},
			step{accept, "wait 1m4s, b: accepted"},
		)},
		{"a contact refuses", false, begun(
			step{join("b"), "b: accepted"},
			step{full(item("a", "terminated", "rejected", false), item("b", "pending", "", false)), "a: terminated rejected, b: pending, wait 48m0s"},
		)},
		{"a contact refuses whom all share", true, begun(
			step{join("b"), "b: accepted"},
			step{full(item("a", "terminated", "rejected", false), item("b", "pending", "", false)), "a: terminated deactivated, b: pending, wait 48m0s"},
			step{join("a"), "single a"},
		)},
		{"the list's own subscription breaks", false, begun(
			step{full(item("a", "active", "", true)), "a: active open=true, wait 48m0s"},
			step{part(item("a", "terminated", "timeout", false)), "a: active open=false, wait 48m0s"},
			step{part(item("a", "active", "", true)), "a: active open=true, wait 48m0s"},
			step{part(item("a", "", "", false)), "wait 48m0s"}, // nothing is said of it
		)},
		{"it was never known", false, begun(step{full(item("a", "terminated", "timeout", false)), "a: pending, wait 48m0s"})},
		{"no lists here", false, []step{
			{join("a"), first},
			{join("b"), ""},
			{ListRefused{Status: 489}, "single a, single b, wait 1h0m0s"},
			{join("c"), "single c"},
			{Parted{"d"}, "d: accepted, wait 1h0m0s"},
			{time.Hour, ""},
			{ListFired{}, "over"},
		}},
		{"and later", false, []step{{join("a"), first}, {ListRefused{Status: 420}, "single a, wait 1h0m0s"}, {time.Hour, ""}, {join("a"), first}}},
		{"an answer, and no list", false, begun(step{ListRefused{Status: 420}, "a: terminated deactivated, subscribe new=false 0s, wait 1h0m0s"}, step{join("a"), "single a"})},
		{"an answer, and nothing", false, begun(step{Grace, ""}, step{ListFired{}, "a: terminated deactivated, subscribe new=false 0s, wait 1h0m0s"})},
		{"nothing for a while, as it is pending", false, begun(step{Listed{State: "pending"}, "wait 48m0s"}, step{Grace, ""}, step{ListFired{}, "wait 46m56s"})},
		{"it never says that this is all", false, begun(
			step{join("b"), "b: accepted"},
			step{part(item("b", "active", "", true)), "b: active open=true, wait 1m4s"},
			step{Grace, ""},
			step{ListFired{}, "a: terminated deactivated, wait 46m56s"},
		)},
		{"trouble", false, []step{
			{join("a"), first},
			{ListRefused{Status: 503, Later: time.Minute}, "a: refused 0 1m0s, wait 1m0s"},
			{10 * time.Second, ""},
			{join("a"), "a: refused 0 50s"},
			{50 * time.Second, ""},
			{join("a"), first},
			{ListRefused{}, "a: refused 0 1m0s, wait 1m0s"},
		}},
		{"trouble with a refresh", false, begun(
			step{full(item("a", "active", "", true)), "a: active open=true, wait 48m0s"},
			step{48 * time.Minute, ""},
			step{ListFired{}, "subscribe new=false 1h0m0s"},
			step{ListRefused{Status: 500}, "a: terminated deactivated, subscribe new=false 0s, wait 30s"},
			step{join("a"), "a: refused 0 30s"},
		)},
		{"refreshed while somebody wants it", false, begun(
			step{join("b"), "b: accepted"},
			step{full(item("a", "active", "", true), item("b", "active", "", true)), "a: active open=true, b: active open=true, wait 48m0s"},
			step{48 * time.Minute, ""},
			step{ListFired{}, "subscribe new=false 1h0m0s"},
			step{join("a"), "a: accepted, a: active open=true"},
			step{accept, "wait 48m0s"},
			step{48 * time.Minute, ""},
			step{ListFired{}, "subscribe new=false 1h0m0s"}, // without b
			step{Parted{"a"}, "a: accepted, subscribe new=false 0s, over"},
		)},
		{"it has forgotten us", false, begun(
			step{full(item("a", "active", "", true)), "a: active open=true, wait 48m0s"},
			step{48 * time.Minute, ""},
			step{ListFired{}, "subscribe new=false 1h0m0s"},
			step{ListRefused{Status: 481}, "subscribe new=true 1h0m0s"},
			step{accept, "wait 1m4s"},
		)},
		{"too brief", false, []step{{join("a"), first}, {ListRefused{Status: 423, Least: 2 * time.Hour}, "subscribe new=true 2h0m0s"}, {ListAccepted{2 * time.Hour}, taken}}},
		{"too brief again and again", false, []step{
			{join("a"), first},
			{ListRefused{Status: 423, Least: 2 * time.Hour}, "subscribe new=true 2h0m0s"},
			{ListRefused{Status: 423, Least: 3 * time.Hour}, "subscribe new=true 3h0m0s"},
			{ListRefused{Status: 423, Least: 4 * time.Hour}, "a: refused 0 30s, wait 30s"},
		}},
		{"a refusal of what was not asked", false, begun(step{ListRefused{Status: 403}, ""}, step{join("b"), "b: accepted"})},
		{"a list that is pending has nobody yet", false, begun(
			step{Listed{State: "pending", Holds: true, Full: true}, "wait 48m0s"},
			step{full(item("a", "active", "", true)), "a: active open=true, wait 48m0s"},
		)},
		{"it ends and begins anew", false, begun(
			step{Listed{State: "terminated", Reason: "deactivated"}, first},
			step{accept, "wait 1m4s"},
			step{Listed{State: "terminated", Reason: "timeout"}, first},
			step{accept, "wait 1m4s"},
			step{Listed{State: "terminated"}, "a: terminated deactivated, wait 30s"},
		)},
		{"it gives up", false, begun(step{Listed{State: "terminated", Reason: "giveup"}, "a: terminated deactivated, wait 15m0s"}, step{join("a"), "a: refused 0 15m0s"})},
		{"it is not for us", false, begun(step{Listed{State: "terminated", Reason: "rejected"}, "a: terminated deactivated, wait 1h0m0s"}, step{join("a"), "single a"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, now := NewList(tt.shared), time.Unix(1e9, 0)
			for i, st := range tt.steps {
				if d, ok := st.in.(time.Duration); ok {
					now = now.Add(d)
					continue
				}
				if got := listSaid(l.Step(st.in.(ListInput), now)); got != st.want {
					t.Errorf("step %d, %+v: got %q, want %q", i+1, st.in, got, st.want)
				}
			}
		})
	}
}

// TestListAtRandom: whoever asks gets an answer in time, nobody is told of a contact after it has
// left, and a list that nobody wants is not subscribed to.
func TestListAtRandom(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		l, now := NewList(seed%2 == 0), time.Unix(1e9, 0)
		in := map[string]bool{}      // the list serves it, as far as it was told
		waiting := map[string]bool{} // it has asked and has no answer
		subscribed, over := false, false
		var alarm time.Time
		do := func(i ListInput) {
			over = false
			if n, ok := i.(Listed); ok && n.State == "terminated" {
				subscribed = false
			} else if _, ok := i.(ListRefused); ok {
				subscribed = false
			}
			for _, o := range l.Step(i, now) {
				switch o := o.(type) {
				case ListSubscribe:
					subscribed = o.Expires > 0
				case ListWait:
					alarm = now.Add(o.After)
				case ListOver:
					over = true
				case Single:
					if !in[o.Member] {
						t.Fatalf("seed %d: %s is single and was not in it", seed, o.Member)
					}
					delete(in, o.Member)
					delete(waiting, o.Member)
				case Pass:
					if !in[o.Member] {
						t.Fatalf("seed %d: %s is told %s and is not in it", seed, o.Member, passed(o.In))
					}
					delete(waiting, o.Member)
					n, ok := o.In.(Notified)
					if _, refused := o.In.(Refused); refused || ok && n.State == "terminated" {
						delete(in, o.Member)
					}
					if p, ok := i.(Parted); ok && p.Member == o.Member {
						delete(in, o.Member)
					}
				}
			}
		}
		for range 60 {
			who := string(rune('a' + rnd.IntN(4)))
			switch rnd.IntN(8) {
			case 0, 1:
				in[who], waiting[who] = true, true
				do(Joined{who, who, ""})
			case 2:
				in[who] = true
				do(Parted{who})
			case 3:
				do(ListAccepted{time.Duration(1+rnd.IntN(60)) * time.Minute})
			case 4:
				do(ListRefused{Status: []int{0, 403, 420, 423, 481, 503}[rnd.IntN(6)]})
			case 5, 6:
				n := Listed{State: []string{"active", "active", "pending", "terminated"}[rnd.IntN(4)], Holds: true, Full: rnd.IntN(2) == 0, Reason: []string{"", "giveup", "rejected"}[rnd.IntN(3)]}
				for range rnd.IntN(4) {
					n.Items = append(n.Items, Item{Address: string(rune('a' + rnd.IntN(4))), State: []string{"", "active", "pending", "terminated"}[rnd.IntN(4)], Reason: []string{"timeout", "rejected"}[rnd.IntN(2)]})
				}
				do(n)
			case 7:
				if !alarm.IsZero() {
					now, alarm = alarm, time.Time{}
					do(ListFired{})
				}
			}
			if l.Len() == 0 && subscribed {
				t.Fatalf("seed %d: nobody wants it, and it is subscribed to", seed)
			}
			if l.Len() > 0 && over {
				t.Fatalf("seed %d: it is over, and somebody wants it", seed)
			}
		}
		// An answer to what is under way answers everybody.
		do(ListRefused{})
		do(ListRefused{})
		if len(waiting) > 0 {
			t.Fatalf("seed %d: %v have no answer", seed, waiting)
		}
	}
}
