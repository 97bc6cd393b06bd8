package gateway

import (
	"sync"

	"sipxmppgw/gateway/translate"
)

// maxCostly is of how many numbers it is known whether they cost more: users write and call
// to the same few again and again, and to find out reads a numbering plan eight times.
const maxCostly = 4096

// Premium returns [translate.Premium] with a memory. It may be called from any goroutine.
func Premium() func(number string) bool {
	c := &costly{known: map[string]bool{}}
	return c.is
}

// A costly remembers which numbers cost more. Only numbers for which somebody has asked are
// in it, and any of them goes when there are too many.
type costly struct {
	mu    sync.Mutex
	known map[string]bool
}

// is tells whether a number costs more ([translate.Premium]).
func (c *costly) is(number string) bool {
	if number == "" || len(number) > 32 { // no number of anybody
		return translate.Premium(number)
	}
	c.mu.Lock()
	premium, ok := c.known[number]
	c.mu.Unlock()
	if ok {
		return premium
	}
	premium = translate.Premium(number)
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.known {
		if len(c.known) < maxCostly {
			break
		}
		delete(c.known, old)
	}
	c.known[number] = premium
	return premium
}
