package signaling

import (
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	// maxRest is how long a Retry-After is followed (RELIABILITY section 7, row 5).
	maxRest = 5 * time.Minute
	// shortRest is how long at most where there are several places, of which only the last has
	// said so: the others are tried again then.
	shortRest = 32 * time.Second
)

// rests notes that a trunk has refused what is new, and for how long it wants to be left alone
// (RFC 3261 sections 20.33 and 21.5.4). Without a Retry-After it is as good as any other trouble,
// and nothing is remembered.
func (e *Edge) rests(t *Trunk, res *sip.Response) {
	span := min(span(value(res, "Retry-After")), maxRest)
	if t.health == nil || res.StatusCode != 503 || span <= 0 {
		return
	}
	if t.places.several() {
		span = min(span, shortRest)
	}
	now := time.Now()
	until := now.Add(span)
	was := t.health.rest.Swap(&until)
	if was == nil || !was.After(now) {
		e.o.Log.Info("trunk wants to be left alone", "trunk", t.Name, "for", span.String())
	}
}

// resting says for how long a trunk still wants to be left alone.
func (h *health) resting() time.Duration {
	if h == nil {
		return 0
	}
	until := h.rest.Load()
	if until == nil {
		return 0
	}
	return max(0, time.Until(*until))
}

// Resting says for how long a trunk still wants to be left alone; 0 if it does not.
func (e *Edge) Resting(trunk string) time.Duration {
	t := e.trunks().named(trunk)
	if t == nil {
		return 0
	}
	return t.health.resting()
}
