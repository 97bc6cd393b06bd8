package codec

import "math"

// The measures of concealment, after ITU-T G.711 Appendix I.
const (
	concealRate  = 16000            // samples a second at most
	historyLen   = concealRate / 20 // 50 ms
	templateLen  = concealRate / 20
	fadeAfterMs  = 10 // the first is not quieter
	fadeMs       = 50 // from there to nothing
	blendMs      = 4
	blendMostMs  = 10
	pitchLeastMs = 2.5
	pitchMostMs  = 15
	pitchMatchMs = 20
)

// A concealer makes up what was lost of speech from what came before: the last period
// of the voice is said again, at first one, then two, then three of them, ever quieter,
// until after 60 ms nothing is heard (in the spirit of ITU-T G.711 Appendix I, but
// without its delay).
type concealer struct {
	rate    int
	history [historyLen]int16 // as far as the rate needs, the newest last

	lostFor  int // samples made up since the last good one
	period   int
	template [templateLen]int16 // several periods, to be said over and over
	length   int
	at       int
	jump     float64 // from the last good sample to the first of the template
}

func newConcealer(rate int) concealer { return concealer{rate: rate} }

func (c *concealer) ms(n float64) int { return int(n * float64(c.rate) / 1000) }

// past returns the history that the rate needs.
func (c *concealer) past() []int16 { return c.history[:c.ms(50)] }

// good takes samples that came, and blends them with what was made up before them.
func (c *concealer) good(pcm []int16) {
	if c.lostFor > 0 {
		n := min(c.ms(blendMs)+c.lostFor/4, c.ms(blendMostMs), len(pcm))
		for i := range n {
			w := float64(i+1) / float64(n+1)
			pcm[i] = int16(w*float64(pcm[i]) + (1-w)*c.next())
		}
		c.lostFor = 0
	}
	past := c.past()
	if len(pcm) >= len(past) {
		copy(past, pcm[len(pcm)-len(past):])
		return
	}
	copy(past, past[len(pcm):])
	copy(past[len(past)-len(pcm):], pcm)
}

// lost fills pcm with what may have been lost.
func (c *concealer) lost(pcm []int16) {
	for i := range pcm {
		if c.lostFor%c.ms(10) == 0 && c.lostFor < 3*c.ms(10) {
			c.prepare(1 + c.lostFor/c.ms(10))
		}
		pcm[i] = int16(c.next())
	}
}

// prepare makes the template of n periods. What is said goes on where it was.
func (c *concealer) prepare(n int) {
	past := c.past()
	if n == 1 {
		c.period = c.pitch()
		c.length = 0
		c.jump = float64(past[len(past)-1]) - float64(past[len(past)-1-c.period])
	}
	length := c.period * n
	overlap := c.period / 4
	if length+overlap > len(past) {
		return
	}
	c.at += length - c.length
	if n == 1 {
		c.at = 0
	}
	c.length = length
	copy(c.template[:length], past[len(past)-length:])
	for i := range overlap { // the end flows into the beginning
		w := float64(i+1) / float64(overlap+1)
		before := past[len(past)-length-overlap+i]
		end := &c.template[length-overlap+i]
		*end = int16((1-w)*float64(*end) + w*float64(before))
	}
}

// next returns the next sample that is made up.
func (c *concealer) next() float64 {
	gain := 1 - float64(c.lostFor-c.ms(fadeAfterMs))/float64(c.ms(fadeMs))
	if gain <= 0 || c.length == 0 {
		c.lostFor++
		return 0
	}
	v := float64(c.template[c.at])
	if c.at++; c.at == c.length {
		c.at = 0
	}
	if n := c.period / 4; c.lostFor < n {
		v += c.jump * float64(n-c.lostFor) / float64(n)
	}
	c.lostFor++
	return min(max(v*min(gain, 1), -32768), 32767)
}

// pitch returns the period at which the history is most like itself, in samples.
func (c *concealer) pitch() int {
	past := c.past()
	step := c.rate / 8000 // first at 8000 a second
	match := c.ms(pitchMatchMs)
	best := c.search(past, match, c.ms(pitchLeastMs), c.ms(pitchMostMs), step)
	if step == 1 {
		return best
	}
	return c.search(past, match, max(best-step, c.ms(pitchLeastMs)), min(best+step, c.ms(pitchMostMs)), 1)
}

func (c *concealer) search(past []int16, match, from, to, step int) int {
	best, most := to, math.Inf(-1)
	recent := past[len(past)-match:]
	for lag := from; lag <= to; lag += step {
		earlier := past[len(past)-match-lag : len(past)-lag]
		var alike, energy float64
		for i := 0; i < match; i += step {
			alike += float64(recent[i]) * float64(earlier[i])
			energy += float64(earlier[i]) * float64(earlier[i])
		}
		if score := alike / math.Sqrt(energy+1); score > most {
			best, most = lag, score
		}
	}
	return best
}
