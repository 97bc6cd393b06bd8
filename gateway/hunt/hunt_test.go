package hunt

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
)

// ways are trunks one after the other, people telephones that ring together.
var (
	ways   = []Branch{{Round: 0}, {Round: 1}, {Round: 2}}
	people = []Branch{{Person: "a"}, {Person: "b"}, {Person: "c"}}
	// staged is a person with a client, which rings alone for ten seconds, and a telephone.
	staged = []Branch{{Person: "a", Lead: 10 * time.Second}, {Round: 1, Person: "a"}}
	// crew is two rounds of two.
	crew = []Branch{
		{Person: "a", Lead: 5 * time.Second},
		{Person: "b", Lead: 8 * time.Second},
		{Round: 1, Person: "c"},
		{Round: 1, Person: "d"},
	}
)

func closed(i int, cause call.Cause, status int) func(*Hunt) []Order {
	return func(h *Hunt) []Order { return h.Ended(i, cause, call.Detail{Status: status}) }
}

func answered(i int) func(*Hunt) []Order { return func(h *Hunt) []Order { return h.Answered(i) } }

func fired(t Timer) func(*Hunt) []Order { return func(h *Hunt) []Order { return h.Fired(t) } }

func commit(h *Hunt) []Order {
	h.Commit()
	return nil
}

func gaveUp(c call.Cause) func(*Hunt) []Order {
	return func(h *Hunt) []Order { return h.GiveUp(c, call.Detail{}) }
}

func failed(i int, c call.Cause) func(*Hunt) []Order {
	return func(h *Hunt) []Order { return h.Fail(i, c, call.Detail{}) }
}

// say writes orders as one line; timers that stop are left out.
func say(orders []Order) string {
	var words []string
	for _, o := range orders {
		switch o := o.(type) {
		case Try:
			words = append(words, fmt.Sprintf("try %d", o.Branch))
		case End:
			words = append(words, fmt.Sprintf("end %d %s", o.Branch, o.Cause))
		case Start:
			if o.Timer == TimerLead {
				words = append(words, fmt.Sprintf("lead %v", o.After))
			}
		case Won:
			words = append(words, fmt.Sprintf("won %d", o.Branch))
		case Over:
			words = append(words, fmt.Sprintf("over %s %d", o.Cause, o.Detail.Status))
		}
	}
	return strings.Join(words, ", ")
}

func TestHunts(t *testing.T) {
	tests := []struct {
		name     string
		branches []Branch
		inputs   []func(*Hunt) []Order
		want     []string // Begin's, and then that of each input
	}{
		{
			"the next trunk at once for a 503", ways,
			[]func(*Hunt) []Order{closed(0, call.Overloaded, 503), answered(1)},
			[]string{"try 0", "try 1", "won 1"},
		},
		{
			"for a 408, a 500 and then none", ways,
			[]func(*Hunt) []Order{closed(0, call.Timeout, 408), closed(1, call.Failed, 500), closed(2, call.Unreachable, 0)},
			[]string{"try 0", "try 1", "try 2", "over timeout 408"},
		},
		{
			"for silence and a lost connection", ways,
			[]func(*Hunt) []Order{closed(0, call.Unreachable, 0), closed(1, call.Unreachable, 0), answered(2)},
			[]string{"try 0", "try 1", "try 2", "won 2"},
		},
		{"not for a busy callee", ways, []func(*Hunt) []Order{closed(0, call.Busy, 486)}, []string{"try 0", "over busy 486"}},
		{"not for one who declines", ways, []func(*Hunt) []Order{closed(0, call.Declined, 603)}, []string{"try 0", "over declined 603"}},
		{"not for a number that is none", ways, []func(*Hunt) []Order{closed(0, call.NotFound, 404)}, []string{"try 0", "over not_found 404"}},
		{"not for one who is away", ways, []func(*Hunt) []Order{closed(0, call.Unavailable, 480)}, []string{"try 0", "over unavailable 480"}},
		{"not for what no trunk can", ways, []func(*Hunt) []Order{closed(0, call.Unsupported, 501)}, []string{"try 0", "over unsupported 501"}},
		{"not for another version", ways, []func(*Hunt) []Order{closed(0, call.Failed, 505)}, []string{"try 0", "over failed 505"}},
		{
			// RFC 3398: the switch behind the trunk knows better.
			"not for a 503 that says user busy", ways,
			[]func(*Hunt) []Order{func(h *Hunt) []Order { return h.Ended(0, call.Busy, call.Detail{Status: 503, Q850: 17}) }},
			[]string{"try 0", "over busy 503"},
		},
		{"not once it has rung", ways, []func(*Hunt) []Order{commit, closed(0, call.Overloaded, 503)}, []string{"try 0", "", "over overloaded 503"}},
		{
			"not after twelve seconds", ways,
			[]func(*Hunt) []Order{fired(TimerTotal), closed(0, call.Overloaded, 503)},
			[]string{"try 0", "", "over overloaded 503"},
		},
		{
			"the caller gives up", ways,
			[]func(*Hunt) []Order{closed(0, call.Overloaded, 503), gaveUp(call.Cancelled), closed(1, call.Cancelled, 487)},
			[]string{"try 0", "try 1", "end 1 cancelled", "over cancelled 0"},
		},
		{
			"a failure crosses the giving up", ways,
			[]func(*Hunt) []Order{gaveUp(call.Cancelled), closed(0, call.Overloaded, 503)},
			[]string{"try 0", "end 0 cancelled", "over cancelled 0"},
		},
		{
			"an answer crosses the giving up", ways,
			[]func(*Hunt) []Order{gaveUp(call.Cancelled), answered(0), closed(0, call.Normal, 0)},
			[]string{"try 0", "end 0 cancelled", "", "over cancelled 0"},
		},
		{
			"the first of three who answers", people,
			[]func(*Hunt) []Order{answered(1), closed(0, call.Elsewhere, 0), answered(2)},
			[]string{"try 0, try 1, try 2", "end 0 elsewhere, end 2 elsewhere, won 1", "", ""},
		},
		{
			"one declines for herself alone", people,
			[]func(*Hunt) []Order{closed(0, call.Declined, 0), answered(2)},
			[]string{"try 0, try 1, try 2", "", "end 1 elsewhere, won 2"},
		},
		{
			"all decline, or are busy: 6xx goes before (RFC 3261 16.7)", people,
			[]func(*Hunt) []Order{closed(0, call.Busy, 0), closed(1, call.Declined, 0), closed(2, call.Unavailable, 0)},
			[]string{"try 0, try 1, try 2", "", "", "over declined 0"},
		},
		{
			"a lower class goes before, and busy before away", people,
			[]func(*Hunt) []Order{closed(0, call.Unreachable, 0), closed(1, call.Unavailable, 0), closed(2, call.Busy, 0)},
			[]string{"try 0, try 1, try 2", "", "", "over busy 0"},
		},
		{
			"a telephone is lost for a fault of ours", people,
			[]func(*Hunt) []Order{failed(0, call.Incompatible), failed(0, call.Incompatible), closed(0, call.Incompatible, 0), answered(1)},
			[]string{"try 0, try 1, try 2", "end 0 incompatible", "", "", "end 2 elsewhere, won 1"},
		},
		{
			"the client first, and the telephone beside it later", staged,
			[]func(*Hunt) []Order{fired(TimerLead), answered(0)},
			[]string{"try 0, lead 10s", "try 1", "end 1 elsewhere, won 0"},
		},
		{
			"the telephone at once if the client cannot", staged,
			[]func(*Hunt) []Order{closed(0, call.Unavailable, 0), fired(TimerLead), answered(1)},
			[]string{"try 0, lead 10s", "try 1", "", "won 1"},
		},
		{
			"who declines on the one is not called on the other", staged,
			[]func(*Hunt) []Order{closed(0, call.Declined, 0)},
			[]string{"try 0, lead 10s", "over declined 0"},
		},
		{
			"who declines on the other is no longer called on the one", staged,
			[]func(*Hunt) []Order{fired(TimerLead), closed(1, call.Rejected, 0), answered(0), closed(0, call.Rejected, 0)},
			[]string{"try 0, lead 10s", "try 1", "end 0 rejected", "", "over rejected 0"},
		},
		{
			"rounds of two, the longer lead", crew,
			[]func(*Hunt) []Order{closed(0, call.Busy, 0), fired(TimerLead), closed(1, call.Busy, 0), closed(2, call.Unavailable, 0), answered(3)},
			[]string{"try 0, try 1, lead 8s", "", "try 2, try 3", "", "", "won 3"},
		},
		{
			"after twelve seconds people are called all the same", crew,
			[]func(*Hunt) []Order{fired(TimerTotal), closed(0, call.Busy, 0), closed(1, call.Busy, 0)},
			[]string{"try 0, try 1, lead 8s", "", "", "try 2, try 3"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := New(tt.branches)
			got := []string{say(h.Begin())}
			for _, in := range tt.inputs {
				got = append(got, say(in(h)))
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// A walker plays the legs of a hunt at random, and holds what it is told against what may be.
type walker struct {
	t     *testing.T
	seed  uint64
	h     *Hunt
	tried map[int]bool
	told  map[int]bool // to end
	gone  map[int]bool
	won   int
	over  bool
	lead  bool
}

func (w *walker) must(ok bool, what string, o Order) {
	if !ok {
		w.t.Fatalf("seed %d: %s: %T %+v", w.seed, what, o, o)
	}
}

func (w *walker) obey(orders []Order) {
	for _, o := range orders {
		w.must(!w.over && w.won < 0, "an order after the hunt", o)
		switch o := o.(type) {
		case Try:
			w.must(!w.tried[o.Branch], "tried twice", o)
			w.tried[o.Branch] = true
		case End:
			w.must(w.tried[o.Branch] && !w.told[o.Branch] && !w.gone[o.Branch], "no leg to end", o)
			w.told[o.Branch] = true
		case Start:
			w.lead = w.lead || o.Timer == TimerLead
		case Stop:
			w.lead = w.lead && o.Timer != TimerLead
		case Won:
			w.must(w.tried[o.Branch] && !w.told[o.Branch] && !w.gone[o.Branch], "no leg to win", o)
			w.won = o.Branch
			for i := range w.tried {
				w.must(i == o.Branch || w.told[i] || w.gone[i], "a leg is left", o)
			}
		case Over:
			for i := range w.tried {
				w.must(w.gone[i], "a leg is left", o)
			}
			w.over = true
		}
	}
}

// A hunt of any shape, with any order of events, tries each branch once at most, tells each
// leg to end once at most, leaves none alone, and ends.
func TestRandomHunts(t *testing.T) {
	causes := []call.Cause{call.Busy, call.Declined, call.Unavailable, call.Unreachable, call.Overloaded, call.NotFound, call.Rejected}
	wins, overs := 0, 0
	for seed := range uint64(20000) {
		rng := rand.New(rand.NewPCG(1, seed))
		var branches []Branch
		round := 0
		for i := range 1 + rng.IntN(5) {
			if i > 0 && rng.IntN(2) == 0 {
				round += 1 + rng.IntN(2)
			}
			b := Branch{Round: round, Person: []string{"", "a", "b"}[rng.IntN(3)]}
			if rng.IntN(3) == 0 {
				b.Lead = time.Second
			}
			branches = append(branches, b)
		}
		w := &walker{t: t, seed: seed, h: New(branches), won: -1, tried: map[int]bool{}, told: map[int]bool{}, gone: map[int]bool{}}
		w.obey(w.h.Begin())
		for step := 0; !w.over && w.won < 0; step++ {
			if step > 400 {
				t.Fatalf("seed %d: %+v does not end", seed, branches)
			}
			i := rng.IntN(len(branches))
			alive := w.tried[i] && !w.gone[i]
			switch n := rng.IntN(20); {
			case n == 0:
				w.h.Commit()
			case n == 1 && w.lead:
				w.obey(w.h.Fired(TimerLead))
			case n == 2:
				w.obey(w.h.Fired(TimerTotal))
			case n == 3 && rng.IntN(4) == 0:
				w.obey(w.h.GiveUp(call.Cancelled, call.Detail{}))
			case n == 4 && alive:
				w.obey(w.h.Answered(i))
			case n == 5 && alive:
				w.obey(w.h.Fail(i, call.Failed, call.Detail{}))
			case n > 12 && alive:
				w.gone[i] = true
				w.obey(w.h.Ended(i, causes[rng.IntN(len(causes))], call.Detail{}))
			}
		}
		if w.over {
			overs++
		} else {
			wins++
		}
		if !w.h.done {
			t.Fatalf("seed %d: not done", seed)
		}
		for i := range branches { // late events of legs that close
			if orders := w.h.Ended(i, call.Normal, call.Detail{}); len(orders) > 0 {
				t.Fatalf("seed %d: %s after the hunt", seed, say(orders))
			}
			if orders := w.h.Answered(i); len(orders) > 0 {
				t.Fatalf("seed %d: %s after the hunt", seed, say(orders))
			}
		}
	}
	if wins < 2000 || overs < 2000 {
		t.Errorf("%d were won, %d came to nothing: this proves little", wins, overs)
	}
}
