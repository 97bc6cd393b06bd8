package builtin

import (
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/mediarelay/sound"
)

const (
	maxDigits  = 64                      // that are kept of a call
	digitPause = 1200 * time.Millisecond // after the last digit they are said back
	digitOn    = 150 * time.Millisecond
	digitOff   = 100 * time.Millisecond
)

// A reader says the digits that it hears back, as tones, after a pause.
type reader struct {
	p *player
	l listener // of the line's goroutine

	mu    sync.Mutex
	heard []byte
	back  int // of heard, that were said back
	last  time.Time
}

func newReader() *reader {
	r := &reader{}
	r.p = newPlayer(nil, r.tick)
	return r
}

func (r *reader) start(l *line) {
	r.p.play(beep(toneLow, 300*time.Millisecond, 100*time.Millisecond, toneLevel)) // go on
	go r.p.run(l)                                                                  // ends with stop
}

func (r *reader) hear(_ *line, raw []byte, w way) {
	var p rtp.Packet
	if p.Unmarshal(raw) != nil {
		return
	}
	if key, ok := r.l.digit(&p, w); ok {
		r.press(key)
	}
}

func (r *reader) press(key byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.heard) < maxDigits && placeOf(key) >= 0 {
		r.heard = append(r.heard, key)
		r.last = time.Now()
	}
}

// tick says digits back when there was a pause.
func (r *reader) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.back == len(r.heard) || time.Since(r.last) < digitPause {
		return
	}
	for _, key := range r.heard[r.back:] {
		r.p.play(said(key))
	}
	r.back = len(r.heard)
}

// said are the tones of a digit, and the pause after them.
func said(key byte) []int16 {
	in := func(d time.Duration) int { return int(d * sound.Rate / time.Second) }
	out := make([]int16, in(digitOn+digitOff))
	copy(out[:in(digitOn)], sound.Digit(strings.IndexByte(sound.DigitPad, key)))
	return out
}

func (r *reader) stop() { r.p.stop() }

// digits are those that were heard.
func (r *reader) digits() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.heard)
}
