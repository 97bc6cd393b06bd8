package builtin

import (
	"sync"
	"time"

	"sipxmppgw/mediarelay/sound"
)

// A player sends speech at an even pace: what is queued, and else a loop, which may be silence.
type player struct {
	loop []int16 // nil for silence
	tick func()  // called before each packet, if not nil; on the player's goroutine

	mu    sync.Mutex
	queue []int16
	at    int // in loop
	done  chan struct{}
	once  sync.Once
}

func newPlayer(loop []int16, tick func()) *player {
	return &player{loop: loop, tick: tick, done: make(chan struct{})}
}

// play queues samples behind those that wait.
func (p *player) play(pcm []int16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, pcm...)
}

// next are the samples of the packet that is due.
func (p *player) next() []int16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]int16, inFrame)
	if n := copy(out, p.queue); n > 0 {
		p.queue = p.queue[n:]
		return out
	}
	for i := range out {
		if len(p.loop) > 0 {
			out[i] = p.loop[p.at]
			p.at = (p.at + 1) % len(p.loop)
		}
	}
	return out
}

// maxBehind is how many packets are sent late when the machine was busy; others are left out.
const maxBehind = 10

// run plays until stop.
func (p *player) run(l *line) {
	t := time.NewTicker(frame)
	defer t.Stop()
	began, sent := time.Now(), 0
	for {
		select {
		case <-p.done:
			return
		case <-t.C:
		}
		due := int(time.Since(began) / frame)
		if late := due - sent - maxBehind; late > 0 {
			l.pass(late)
			sent += late
		}
		for ; sent < due; sent++ {
			if p.tick != nil {
				p.tick()
			}
			l.say(p.next())
		}
	}
}

func (p *player) stop() { p.once.Do(func() { close(p.done) }) }

// beep is a short tone.
func beep(hertz int, on, off time.Duration, level float64) []int16 {
	return sound.Tone{Hertz: [2]int{hertz}, Cadence: []time.Duration{on, off}}.Samples(level)
}
