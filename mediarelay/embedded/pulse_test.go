package embedded

import (
	"testing"
	"time"
)

// A bridge that knows that nothing ends soon is not woken until it may.
func TestPulseLetsRest(t *testing.T) {
	r := newRelay(t, nil)
	b := &Bridge{relay: r, tick: make(chan time.Time, 1)}
	p := newPulse(time.Second, &r.work)
	p.bridges[0][b] = true
	woken := func() bool {
		p.beat(0, time.Now())
		return len(b.tick) > 0
	}
	b.rests.Store(r.now() + int64(time.Hour))
	if woken() {
		t.Error("it is woken while it rests")
	}
	b.rests.Store(1) // when the relay began
	if !woken() {
		t.Error("it is not woken when the time has come")
	}
}
