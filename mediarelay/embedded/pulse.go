package embedded

import (
	"sync"
	"time"
)

const (
	beatMin  = 10 * time.Millisecond
	beatsMax = 20 // in a tick
)

// A pulse tells bridges once in a tick that it is time to look at what ends by time: some of
// them with each beat, but for those that know that nothing does so soon. To wake a thread that
// sleeps costs more than what a bridge has to look at, so that many are woken together; but not
// all, lest packets wait.
type pulse struct {
	every time.Duration
	work  *sync.WaitGroup

	mu      sync.Mutex
	bridges []map[*Bridge]bool // by beat
	count   int
	next    int // that the next bridge goes to
	running bool
}

func newPulse(tick time.Duration, work *sync.WaitGroup) *pulse {
	beats := min(max(tick/beatMin, 1), beatsMax)
	p := &pulse{every: tick / beats, work: work}
	for range beats {
		p.bridges = append(p.bridges, map[*Bridge]bool{})
	}
	return p
}

// run wakes the bridges until there are none.
func (p *pulse) run() {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for beat := 0; p.beat(beat, <-ticker.C); {
		beat = (beat + 1) % len(p.bridges)
	}
}

// beat wakes those whose turn it is, and reports whether there are any bridges.
func (p *pulse) beat(beat int, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for b := range p.bridges[beat] {
		if now.Sub(b.relay.began) < time.Duration(b.rests.Load()) {
			continue
		}
		select {
		case b.tick <- now:
		default: // it has not done with the last
		}
	}
	p.running = p.count > 0
	return p.running
}

// join has a bridge woken from now on.
func (p *pulse) join(b *Bridge) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.beat = p.next
	p.bridges[b.beat][b] = true
	p.count++
	p.next = (p.next + 1) % len(p.bridges)
	if !p.running {
		p.running = true
		p.work.Go(p.run) // until the last bridge has left
	}
}

func (p *pulse) leave(b *Bridge) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.bridges[b.beat], b)
	p.count--
}
