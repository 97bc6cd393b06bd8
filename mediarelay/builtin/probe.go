package builtin

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/mediarelay/codec"
)

// What a probe says: bursts of tones of which each is played once, so that each tells for itself
// how long it was away; then digits.
const (
	burstOn    = 240 * time.Millisecond
	burstOff   = 160 * time.Millisecond
	burstLevel = -12                      // dBm0
	leadIn     = int(time.Second / frame) // packets
	probeKeys  = "42#"
	keyOn      = 5   // packets
	keyOff     = 5   // packets
	leastHeard = -45 // dBm0: what is softer is silence
	leastShare = 0.5 // of the power that is in one tone, for the packet to be of a burst
)

// bursts are the tones, in hertz, in their order. They are at least 200 apart, so that a packet
// tells which one it is of.
var bursts = [...]int{500, 1700, 700, 1900, 900, 1500, 300, 1100}

// A Heard is what came back to a probe of what it said.
type Heard struct {
	Said    int           // bursts
	Bursts  int           // of them that came back
	Delay   time.Duration // of most of them; 0 if none came back
	Digits  string
	Wanted  string // digits that were said; empty if there was no way to say them
	Speech  int    // packets with any sound in them, whatever it was
	Packets int
}

// Back reports whether what was said came back.
func (h Heard) Back() bool { return h.Said > 0 && 4*h.Bursts >= 3*h.Said }

// A Probe is a caller that says what can be told from anything else, and listens for it.
type Probe struct {
	*Caller
	ended chan struct{}
	done  chan struct{} // ends run
	once  sync.Once

	// Of the line's goroutine.
	l       listener
	decoder codec.Decoder
	decodes way
	pcm     []int16
	last    int // burst that the packet before was of; -1 for none
	since   time.Time

	mu    sync.Mutex
	said  [len(bursts)]time.Time
	back  [len(bursts)]time.Time
	heard Heard
	cause call.Cause
	why   call.Detail
}

// NewProbe returns a probe whose socket is at an address; it hangs up after so long, which should
// be 6 s at the least. An error is that of the socket.
func NewProbe(at netip.Addr, talk time.Duration) (*Probe, error) {
	p := &Probe{ended: make(chan struct{}), done: make(chan struct{}), last: -1}
	var err error
	p.Caller, err = newCaller(at, p, talk, func(cause call.Cause, why call.Detail) {
		p.mu.Lock()
		p.cause, p.why = cause, why
		p.mu.Unlock()
		close(p.ended)
	})
	return p, err
}

// Wait waits for the end of the call, and returns what was heard in it and why it ended. An error
// is that of ctx.
func (p *Probe) Wait(ctx context.Context) (Heard, call.Cause, call.Detail, error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return Heard{}, 0, call.Detail{}, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.heard
	var delays []time.Duration
	for i, at := range p.said {
		if at.IsZero() {
			continue
		}
		h.Said++
		if back := p.back[i]; !back.Before(at) {
			h.Bursts++
			delays = append(delays, back.Sub(at))
		}
	}
	h.Delay = middle(delays)
	return h, p.cause, p.why, nil
}

func (p *Probe) start(l *line) { go p.run(l) } // ends with stop

// run says the bursts, then the digits, and nothing after that. It begins when something has come
// back, since the other leg's media may be a moment later than ours; where nothing does, after leadIn.
func (p *Probe) run(l *line) {
	t := time.NewTicker(frame)
	defer t.Stop()
	on, off := int(burstOn/frame), int(burstOff/frame)
	var tone []int16
	for n := -leadIn; ; n++ { // below 0 it waits
		select {
		case <-p.done:
			return
		case <-t.C:
		}
		if n < 0 && p.hears() {
			n = 0
		}
		if n < 0 {
			l.say(make([]int16, inFrame))
			continue
		}
		i, at := n/(on+off), n%(on+off)
		switch {
		case i < len(bursts) && at < on:
			if at == 0 {
				tone = beep(bursts[i], burstOn, 0, burstLevel)
				p.mu.Lock()
				p.said[i] = time.Now()
				p.mu.Unlock()
			}
			l.say(tone[at*inFrame:][:inFrame])
		case i >= len(bursts) && p.presses(l, n-len(bursts)*(on+off)):
		default:
			l.say(make([]int16, inFrame))
		}
	}
}

// hears reports whether anything has come.
func (p *Probe) hears() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard.Packets > 0
}

// presses sends what is due of the digits; false if that is nothing.
func (p *Probe) presses(l *line, n int) bool {
	i, at := n/(keyOn+keyOff), n%(keyOn+keyOff)
	w := l.now()
	if _, ok := w.event(); !ok || i >= len(probeKeys) {
		return false
	}
	if at == 0 {
		p.mu.Lock()
		p.heard.Wanted = probeKeys[:i+1]
		p.mu.Unlock()
	}
	if at >= keyOn {
		return false
	}
	l.key(probeKeys[i], at+1, at == keyOn-1)
	if at == keyOn-1 {
		l.pass(keyOn)
	}
	return true
}

func (p *Probe) hear(_ *line, raw []byte, w way) {
	var packet rtp.Packet
	if packet.Unmarshal(raw) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard.Packets++
	if key, ok := p.l.digit(&packet, w); ok && len(p.heard.Digits) < maxDigits {
		p.heard.Digits += string(key)
	}
	if packet.PayloadType != w.speech {
		return
	}
	rate := w.kind.Rate(codec.PCMA)
	if p.decoder == nil || p.decodes.kind != w.kind {
		p.decoder, p.decodes = codec.NewDecoder(w.kind, rate), w
		p.pcm = make([]int16, int(codec.Longest*time.Duration(rate)/time.Second))
	}
	n, err := p.decoder.Decode(p.pcm, packet.Payload)
	if err != nil {
		return
	}
	i, loud := burstIn(p.pcm[:n], rate)
	if loud {
		p.heard.Speech++
	}
	switch {
	case i != p.last:
		p.last, p.since = i, time.Now()
	case i >= 0 && p.back[i].IsZero(): // one packet alone may be anything
		p.back[i] = p.since
	}
}

func (p *Probe) press(key byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.heard.Digits) < maxDigits {
		p.heard.Digits += string(key)
	}
}

func (p *Probe) stop() { p.once.Do(func() { close(p.done) }) }

// burstIn tells which burst some samples are of, -1 for none, and whether there is any sound.
func burstIn(pcm []int16, rate int) (burst int, loud bool) {
	var power float64
	for _, s := range pcm {
		power += float64(s) * float64(s)
	}
	if len(pcm) == 0 {
		return -1, false
	}
	power /= float64(len(pcm))
	if level(power) < leastHeard {
		return -1, false
	}
	best, most := -1, leastShare*power
	for i, hz := range bursts {
		if p := tonePower(pcm, float64(hz), rate); p > most {
			best, most = i, p
		}
	}
	return best, true
}

// level is that of a mean power of samples, in dBm0: a sine of full scale has 3.14.
func level(power float64) float64 { return 3.14 + 10*math.Log10(2*power/(32124*32124)) }

// tonePower is the mean power of one frequency in samples (Goertzel's algorithm).
func tonePower(pcm []int16, hertz float64, rate int) float64 {
	c := 2 * math.Cos(2*math.Pi*hertz/float64(rate))
	var a, b float64
	for _, s := range pcm {
		a, b = float64(s)+c*a-b, a
	}
	n := float64(len(pcm))
	return 2 * (a*a + b*b - c*a*b) / (n * n)
}

// middle is the median; 0 of none.
func middle(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
