package resolve

import "slices"

// A server is an SRV record (RFC 2782).
type server struct {
	priority, weight, port uint16
	name                   string
}

// draw returns servers in the order in which to try them: by priority, and among equals by
// chance, each in the proportion of its weight (RFC 2782, "Usage rules").
func draw(servers []server, rand func(int) int) []server {
	left := slices.Clone(servers)
	slices.SortStableFunc(left, func(a, b server) int {
		if a.priority != b.priority {
			return int(a.priority) - int(b.priority)
		}
		return min(int(a.weight), 1) - min(int(b.weight), 1) // those without weight first
	})
	for i := range left {
		sum, end := 0, i
		for ; end < len(left) && left[end].priority == left[i].priority; end++ {
			sum += int(left[end].weight)
		}
		at := rand(sum + 1)
		for j := i; j < end; j++ {
			if at -= int(left[j].weight); at <= 0 {
				chosen := left[j]
				copy(left[i+1:j+1], left[i:j]) // the others keep their order
				left[i] = chosen
				break
			}
		}
	}
	return left
}
