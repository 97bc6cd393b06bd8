package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Trunk is one of the trunks that a rule leads to.
type Trunk struct {
	Name string
	// Priority is when it is tried: the lower before the higher.
	Priority int
	// Weight is its share of the calls that go first to one of those of its priority; 0
	// counts as 1.
	Weight int
}

// Via returns trunks that are tried in this order.
func Via(names ...string) []Trunk {
	all := make([]Trunk, len(names))
	for i, n := range names {
		all[i] = Trunk{Name: n, Priority: i}
	}
	return all
}

// Names returns the names of trunks, as they stand.
func Names(trunks []Trunk) string {
	names := make([]string, len(trunks))
	for i, t := range trunks {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}

// Order says in which order a call tries trunks: by priority, by chance as their weights say
// (RFC 2782), and those that are down after all others. pick returns a number from 0 to n-1.
// why has a line for each.
func Order(trunks []Trunk, down func(name string) bool, pick func(n int) int) (names, why []string) {
	left := slices.Clone(trunks)
	slices.SortStableFunc(left, func(a, b Trunk) int { return cmp.Compare(a.Priority, b.Priority) })
	var last []string
	for len(left) > 0 {
		end := 1
		for end < len(left) && left[end].Priority == left[0].Priority {
			end++
		}
		i := 0
		if end > 1 {
			i = draw(left[:end], pick)
		}
		t := left[i]
		left = slices.Delete(left, i, i+1)
		if down(t.Name) {
			last = append(last, t.Name)
			continue
		}
		names = append(names, t.Name)
		why = append(why, t.reason(trunks))
	}
	for _, name := range last {
		names = append(names, name)
		why = append(why, name+": it is down, so it comes last")
	}
	return names, why
}

// draw chooses one of several by chance.
func draw(of []Trunk, pick func(n int) int) int {
	sum := 0
	for _, t := range of {
		sum += t.weight()
	}
	n := pick(sum)
	for i, t := range of {
		if n -= t.weight(); n < 0 {
			return i
		}
	}
	return 0
}

func (t Trunk) weight() int { return max(t.Weight, 1) }

func (t Trunk) reason(all []Trunk) string {
	sum := 0
	for _, o := range all {
		if o.Priority == t.Priority {
			sum += o.weight()
		}
	}
	if sum == t.weight() {
		return fmt.Sprintf("%s: priority %d", t.Name, t.Priority)
	}
	return fmt.Sprintf("%s: priority %d, of which it has %d of %d calls", t.Name, t.Priority, t.weight(), sum)
}
