//go:build !race

// Thousands of mutants take long under the race detector, and there is nothing for it to
// find: the machine has one goroutine. "make test" runs this without it.

package call

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// survivors are mutants that do what the table does, each with the reason. A row that is
// not in the table any more, or a mutant that is caught, does not belong here.
var survivors = map[string]string{
	"Answering: MediaAnswered (early): Confirming, settle / after Answering: MediaAnswered (offerless): Answering, offerA":                         "a call has one mode",
	"Confirming: LegConfirmed from A (offerless): Confirming, hearA / after Confirming: LegConfirmed from A (A lacks B's codec): Passing, narrowB": "a call has one mode",
	"Calling: TimerFired (alert): Calling, progressA / after Calling: TimerFired (no_answer): Ending, noReply":                                     "one timer fires",
	"PickingUp: MediaAnswered (early): Confirming, pickedEarly / after PickingUp: MediaAnswered (A has not offered): Confirming, pickedLate":       "a call has one mode",
	"Ending: LegEnded: Ending, nothing / after Ending: LegEnded from C: Ending, nothing":                                                           "either does not mean C",
	"Answering: MediaAnswered (offerless): Answering, offerA / does giveBack":                                                                      "at this moment they are the same",
}

// Each row of the tables is needed as it is: whatever is changed about it, a flow goes
// another way, or a walk finds a promise broken. What survives is a flow that is missing, or
// a row that is for nothing. The chart has no say in it.
func TestEveryRowIsNeeded(t *testing.T) {
	m := newMutator(t)
	mutants := 0
	for _, table := range []*[]rule{&rules, &always} {
		own := *table
		for i := range own {
			name := text(&own[i])
			for what, mutant := range mutations(own, i) {
				mutants++
				*table = mutant
				caught := m.caught(&own[i])
				*table = own
				_, known := survivors[name+" / "+what]
				switch {
				case !caught && !known:
					t.Errorf("%s / %s: nothing notices", name, what)
				case caught && known:
					t.Errorf("%s / %s: is caught, and stands among the survivors", name, what)
				}
			}
		}
	}
	t.Logf("%d mutants", mutants)
}

// quiet are rules' deeds that can be seen only in what comes after. They are not tried in
// the place of others, only left out in their own.
var quiet = []string{"confirm", "settle", "settled", "bareMoving"}

// mutations returns tables in which row i is another, by what was done to it.
func mutations(table []rule, i int) map[string][]rule {
	all := map[string][]rule{"without it": slices.Delete(slices.Clone(table), i, i+1)}
	change := func(name string, do func(*rule)) {
		mutant := slices.Clone(table)
		do(&mutant[i])
		all[name] = mutant
	}
	own := &table[i]
	for s := range states {
		// A row of always goes to Ending or leaves the state as it is.
		if s != own.next && (!isAlways(own) || s == Ending || own.next == Ending && s == 0) {
			change("to "+s.String(), func(r *rule) { r.next = s })
		}
	}
	if own.do != nil {
		change("does nothing", func(r *rule) { r.do = nil })
	}
	for _, other := range slices.Concat(rules, always) {
		if other.do == nil || slices.Contains(quiet, funcName(other.do)) {
			continue
		}
		if own.do == nil || funcName(other.do) != funcName(own.do) {
			change("does "+funcName(other.do), func(r *rule) { r.do = other.do })
		}
	}
	if own.when != nil {
		change("always", func(r *rule) { r.when = nil })
		change("when not", func(r *rule) {
			r.when = &condition{"not", func(c *Call, e Event) bool { return !own.when.holds(c, e) }}
		})
	}
	if _, sided := reflect.TypeOf(samples[own.event]).FieldByName("Side"); sided {
		for w := either; w <= fromB; w++ {
			if w != own.from && !taken(table, i, w) {
				change([...]string{"from either", "from A", "from B"}[w], func(r *rule) { r.from = w })
			}
		}
	}
	for j := i + 1; j < len(table); j++ {
		if table[j].state != own.state || table[j].event != own.event {
			continue
		}
		if own.from == either || table[j].from == either || own.from == table[j].from {
			change("after "+text(&table[j]), func(*rule) {})
			mutant := all["after "+text(&table[j])]
			mutant[i], mutant[j] = mutant[j], mutant[i]
		}
		break
	}
	return all
}

// taken reports whether a row that is widened has nothing to gain: one above it has the
// other side.
func taken(table []rule, i int, w who) bool {
	return w == either && slices.ContainsFunc(table[:i], func(r rule) bool {
		return r.state == table[i].state && r.event == table[i].event && r.from != table[i].from && r.when == nil
	})
}

// A mutator plays the flows, those in which a row is used before the others.
type mutator struct {
	t     *testing.T
	flows []flow
	uses  map[*rule][]int // flows in which a row is used
}

type flow struct {
	name string
	text []byte
}

func newMutator(t *testing.T) *mutator {
	m := &mutator{t: t, uses: map[*rule][]int{}}
	files, err := filepath.Glob("testdata/*.flow")
	if err != nil || len(files) == 0 {
		t.Fatalf("no flows: %v", err)
	}
	for i, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m.flows = append(m.flows, flow{f, content})
		play(t, string(content), func(r *rule) {
			if r != nil {
				m.uses[r] = append(m.uses[r], i)
			}
		})
	}
	return m
}

// caught reports whether the tables of now are noticed.
func (m *mutator) caught(row *rule) bool {
	for _, i := range append(slices.Clone(m.uses[row]), m.others(row)...) {
		if m.differs(m.flows[i]) {
			return true
		}
	}
	for seed := range uint64(walksOfAMutant) {
		if m.fails(seed) {
			return true
		}
	}
	return false
}

// walksOfAMutant are few: what takes many to be found is worth a flow.
const walksOfAMutant = 200

func (m *mutator) others(row *rule) []int {
	var others []int
	for i := range m.flows {
		if !slices.Contains(m.uses[row], i) {
			others = append(others, i)
		}
	}
	return others
}

// differs reports whether a flow goes another way, or ends in a panic: something was done
// for an event that it is not for.
func (m *mutator) differs(f flow) (differs bool) {
	defer func() {
		if recover() != nil {
			differs = true
		}
	}()
	return !bytes.Equal(play(m.t, string(f.text), func(*rule) {}), f.text)
}

func (m *mutator) fails(seed uint64) (fails bool) {
	defer func() {
		if recover() != nil {
			fails = true
		}
	}()
	return newWalk(seed, func(*rule) {}).run() != ""
}

// Every row is used in a flow, where people can read what it is for.
func TestEveryRowHasAFlow(t *testing.T) {
	m := newMutator(t)
	for _, table := range [][]rule{rules, always} {
		for i := range table {
			if len(m.uses[&table[i]]) == 0 {
				t.Errorf("no flow uses the row %s", text(&table[i]))
			}
		}
	}
}
