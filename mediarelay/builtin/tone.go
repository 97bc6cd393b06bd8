package builtin

import "time"

// The tones that are played, one after the other: those of a milliwatt in North America and of
// concert pitch, at a level that leaves room for who is off by some dB.
const (
	toneLevel = -10 // dBm0
	toneLow   = 440 // hertz
	toneHigh  = 1004
	toneFor   = 5 * time.Second
	toneRest  = time.Second
)

// A tone plays tones, so that a level can be read from it.
type tone struct{ p *player }

func newTone() *tone {
	loop := append(beep(toneHigh, toneFor, toneRest, toneLevel), beep(toneLow, toneFor, toneRest, toneLevel)...)
	return &tone{newPlayer(loop, nil)}
}

func (t *tone) start(l *line)           { go t.p.run(l) } // ends with stop
func (t *tone) hear(*line, []byte, way) {}
func (t *tone) press(byte)              {}
func (t *tone) stop()                   { t.p.stop() }
