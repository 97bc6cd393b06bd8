package route

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestOrderOfTrunks(t *testing.T) {
	first := func(int) int { return 0 }
	last := func(n int) int { return n - 1 }
	weighed := []Trunk{{Name: "a", Weight: 3}, {Name: "b"}, {Name: "c", Priority: 1}}
	tests := []struct {
		name   string
		trunks []Trunk
		down   []string
		pick   func(int) int
		want   string
		why    string
	}{
		{"as they stand", Via("a", "b", "c"), nil, first, "a b c", "a: priority 0; b: priority 1; c: priority 2"},
		{"by priority", []Trunk{{Name: "a", Priority: 9}, {Name: "b", Priority: 2}}, nil, first, "b a", "b: priority 2; a: priority 9"},
		{
			"by chance", weighed, nil, last, "b a c",
			"b: priority 0, of which it has 1 of 4 calls; a: priority 0, of which it has 3 of 4 calls; c: priority 1",
		},
		{"who is down comes last", Via("a", "b", "c"), []string{"a"}, first, "b c a", "b: priority 1; c: priority 2; a: it is down, so it comes last"},
		{"all are down", Via("a", "b"), []string{"a", "b"}, first, "a b", "a: it is down, so it comes last; b: it is down, so it comes last"},
		{"none", nil, nil, first, "", ""},
	}
	for _, tt := range tests {
		names, why := Order(tt.trunks, func(n string) bool { return slices.Contains(tt.down, n) }, tt.pick)
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if got := strings.Join(why, "; "); got != tt.why {
			t.Errorf("%s: because %q, want %q", tt.name, got, tt.why)
		}
	}
}

// Weights share out the first place, and each trunk stands there once.
func TestSharesOfTrunks(t *testing.T) {
	trunks := []Trunk{{Name: "a", Weight: 70}, {Name: "b", Weight: 20}, {Name: "c", Weight: 10}}
	rng := rand.New(rand.NewPCG(1, 2))
	const calls = 20000
	firsts := map[string]int{}
	for range calls {
		names, _ := Order(trunks, func(string) bool { return false }, rng.IntN)
		firsts[names[0]]++
		slices.Sort(names)
		if strings.Join(names, "") != "abc" {
			t.Fatalf("tried %v", names)
		}
	}
	for _, tr := range trunks {
		share := float64(firsts[tr.Name]) / calls * 100
		if d := share - float64(tr.Weight); d > 1.5 || d < -1.5 {
			t.Errorf("%s has %.1f%% of the calls, want %d%%", tr.Name, share, tr.Weight)
		}
	}
}
