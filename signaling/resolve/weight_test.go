package resolve

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestDraw(t *testing.T) {
	s := func(name string, priority, weight uint16) server {
		return server{priority: priority, weight: weight, name: name}
	}
	tests := []struct {
		name    string
		servers []server
		numbers []int // that chance gives
		ranges  []int // it is asked for
		want    string
	}{
		{
			name: "none",
		},
		{
			name:    "by priority, whatever the weight",
			servers: []server{s("c", 20, 0), s("b", 10, 100), s("a", 0, 1)},
			numbers: []int{1, 100, 0},
			ranges:  []int{2, 101, 1},
			want:    "a b c",
		},
		{
			name:    "0 takes the one without weight",
			servers: []server{s("a", 0, 10), s("b", 0, 0), s("c", 0, 20)},
			numbers: []int{0, 10, 20},
			ranges:  []int{31, 31, 21},
			want:    "b a c",
		},
		{
			name:    "the first number above that of the one before",
			servers: []server{s("a", 0, 10), s("b", 0, 20), s("c", 0, 30)},
			numbers: []int{11, 11, 0},
			ranges:  []int{61, 41, 11},
			want:    "b c a",
		},
		{
			name:    "the greatest number takes the last",
			servers: []server{s("a", 0, 65535), s("b", 0, 65535)},
			numbers: []int{131070, 65535},
			ranges:  []int{131071, 65536},
			want:    "b a",
		},
		{
			name:    "no weights: as they come",
			servers: []server{s("a", 0, 0), s("b", 0, 0), s("c", 0, 0)},
			numbers: []int{0, 0, 0},
			ranges:  []int{1, 1, 1},
			want:    "a b c",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := slices.Clone(test.servers)
			var ranges []int
			got := draw(in, func(n int) int {
				ranges = append(ranges, n)
				return test.numbers[len(ranges)-1]
			})
			var names []string
			for _, g := range got {
				names = append(names, g.name)
			}
			if n := strings.Join(names, " "); n != test.want || !slices.Equal(ranges, test.ranges) {
				t.Errorf("got %s with numbers below %v, want %s below %v", n, ranges, test.want, test.ranges)
			}
			if !slices.Equal(in, test.servers) {
				t.Error("the answer in the cache was changed")
			}
		})
	}
}

// TestWeights: the first place falls to each in proportion to its weight.
func TestWeights(t *testing.T) {
	z := newZone(t, `
		_sip._udp.w SRV 0 10 5060 server1
		_sip._udp.w SRV 0 30 5060 server2
		_sip._udp.w SRV 0 60 5060 server3
		_sip._udp.w SRV 0 0  5060 server4
		_sip._udp.w SRV 1 9  5060 server5
		server1 A 192.0.2.1
		server2 A 192.0.2.2
		server3 A 192.0.2.3
		server4 A 192.0.2.4
		server5 A 192.0.2.5
	`)
	chance := rand.New(rand.NewPCG(1, 2))
	r := newResolver(t, z, Options{Rand: chance.IntN})
	const n = 20000
	first, second := map[byte]int{}, map[byte]int{}
	for range n {
		a, err := r.Lookup(t.Context(), Query{Host: "w.example.org", Transport: UDP})
		if err != nil || len(a.Targets) != 5 || a.Targets[4].Addr.Addr().As4()[3] != 5 {
			t.Fatal(show(a, err))
		}
		first[a.Targets[0].Addr.Addr().As4()[3]]++
		second[a.Targets[1].Addr.Addr().As4()[3]]++
	}
	// Of 101 numbers 0 is for the one without weight, and as many as its weight for each other.
	for i, weight := range map[byte]int{1: 10, 2: 30, 3: 60, 4: 1} {
		want := n * weight / 101
		if d := first[i] - want; d < -400 || d > 400 { // six standard deviations
			t.Errorf("server %d came first %d times, want about %d", i, first[i], want)
		}
		if second[i] == 0 {
			t.Errorf("server %d never came second", i)
		}
	}
	if first[4] == 0 {
		t.Error("the one without weight never came first")
	}
}
