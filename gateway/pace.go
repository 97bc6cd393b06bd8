package gateway

import (
	"math/rand/v2"
	"sync"
	"time"

	"sipxmppgw/gateway/call"
)

// A pace spreads what is sent to a trunk over time.
type pace struct {
	gap time.Duration

	mu   sync.Mutex
	next map[string]time.Time // by trunk, when the next may be sent
}

func newPace(perSecond float64) *pace {
	return &pace{gap: time.Duration(float64(time.Second) / perSecond), next: map[string]time.Time{}}
}

// wait takes a place and returns how long to wait for it.
func (p *pace) wait(trunk string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	at := p.next[trunk]
	if at.Before(now) {
		at = now
	}
	p.next[trunk] = at.Add(p.gap)
	return at.Sub(now)
}

func random() float64 { return rand.Float64() }

var overloaded = &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: "too many subscriptions"}}

func forbidden(why string) error {
	return &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: why}}
}
