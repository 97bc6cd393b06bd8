package codec

import "time"

const (
	// shortest is how long packets wait at least.
	shortest = 20 * time.Millisecond
	// pauseAfter is how long nothing may come before nothing is sent.
	pauseAfter = 500 * time.Millisecond
	// quietAfter is how long Opus may say nothing before that is a pause in speech.
	quietAfter = 100 * time.Millisecond
	// noiseEvery is how often comfort noise is described (RFC 3389 section 4).
	noiseEvery = 400 * time.Millisecond
	// slack is how much longer than it should the speech may wait.
	slack = 40 * time.Millisecond
	// hurryAfter is for how long it must have waited too long.
	hurryAfter = time.Second
)

// Options say what a transcoder makes of what.
type Options struct {
	From, To Kind
	PTime    time.Duration // of the packets made; Opus takes what is next below it
	Encoder  EncoderOptions
	Noise    bool // the receiver knows comfort noise (RFC 3389)
}

// A Transcoder takes the packets of a stream in one codec and makes those of another. The
// packets made keep a pace of their own: Pull is to be called once each PTime. Losses
// are concealed, comfort noise is taken and made; events are none of its business.
//
// Times are nanoseconds of any clock.
type Transcoder struct {
	options Options
	buffer  jitter
	decoder Decoder
	encoder Encoder
	sampler *Resampler // nil if both rates are one
	rate    int        // of the decoder, in hertz

	scratch, second []int16
	queue           []int16 // decoded, at the encoder's rate
	step            int     // samples a packet
	out             []byte

	frame   int   // samples of the last packet, at rate
	owed    int   // samples made up for packets that may still come
	missing int   // samples since anything came
	silent  bool  // nothing is sent
	quiet   bool  // a pause in speech is described
	noise   Noise // of the pause
	noted   int   // samples until noise is described again
	tooLong int64 // since when speech waits too long; 0 for it does not
	begins  bool  // the next packet begins a talk spurt
	figures Figures
}

// Figures count what became of packets.
type Figures struct {
	Packets, Malformed, Late, Dropped, Concealed, Recovered, Hurried int64
	Delay                                                            time.Duration // that packets wait now
}

// NewTranscoder returns a transcoder at rest.
func NewTranscoder(o Options) *Transcoder {
	if o.To == Opus {
		o.PTime = OpusFrame(o.PTime)
	}
	o.PTime = min(max(o.PTime.Truncate(10*time.Millisecond), 10*time.Millisecond), Longest/2)
	o.Encoder.Frame = o.PTime
	in, out := o.From.Rate(o.To), o.To.Rate(o.From)
	t := &Transcoder{
		options: o,
		buffer:  jitter{clock: int64(o.From.Clock()), least: int64(max(o.PTime, shortest))},
		decoder: NewDecoder(o.From, in),
		encoder: NewEncoder(o.To, out, o.Encoder),
		rate:    in,
		scratch: make([]int16, samplesIn(Longest, in)),
		second:  make([]int16, samplesIn(Longest, in)),
		queue:   make([]int16, 0, samplesIn(4*Longest, out)),
		step:    samplesIn(o.PTime, out),
		out:     make([]byte, 0, opusMost),
		frame:   in / 50,
		silent:  true,
		begins:  true,
	}
	if in != out {
		t.sampler = NewResampler(in, out)
	}
	return t
}

// PTime returns how much speech a packet has, and how often Pull is to be called.
func (t *Transcoder) PTime() time.Duration { return t.options.PTime }

// Ticks returns by how much timestamps grow a packet.
func (t *Transcoder) Ticks() uint32 { return uint32(samplesIn(t.options.PTime, t.options.To.Clock())) }

// Figures returns the counts so far.
func (t *Transcoder) Figures() Figures {
	f := t.figures
	f.Late, f.Dropped, f.Delay = t.buffer.late, t.buffer.dropped, time.Duration(t.buffer.target())
	return f
}

// Reset says that another stream begins.
func (t *Transcoder) Reset() { t.buffer.reset() }

// Push takes a packet. Its payload is copied.
func (t *Transcoder) Push(p Packet, now int64) {
	t.figures.Packets++
	t.buffer.push(p, now)
}

// A Made packet is to be sent, as speech or as comfort noise.
type Made struct {
	Payload []byte // until the next Pull
	Noise   bool
	Begins  bool // a talk spurt
}

// Pull makes the packet that is due; ok is false if nothing is to be sent this time.
func (t *Transcoder) Pull(now int64) (m Made, ok bool) {
	t.hurry(now)
	for len(t.queue) < t.step && t.more(now) {
	}
	if len(t.queue) == 0 {
		t.begins = true
		return Made{}, false
	}
	for len(t.queue) < t.step {
		t.queue = append(t.queue, 0)
	}
	defer func() { t.queue = t.queue[:copy(t.queue, t.queue[t.step:])] }()
	pcm := t.queue[:t.step]
	if t.quiet && t.options.Noise && t.options.To != Opus {
		t.begins = true
		if t.noted -= len(pcm); t.noted > 0 {
			return Made{}, false
		}
		t.noted = samplesIn(noiseEvery, t.options.To.Rate(t.options.From))
		t.out = DescribeNoise(t.out[:0], pcm)
		return Made{Payload: t.out, Noise: true}, true
	}
	t.noted = 0
	t.out = t.encoder.Encode(t.out[:0], pcm)
	if len(t.out) == 0 {
		t.begins = true
		return Made{}, false
	}
	m = Made{Payload: t.out, Begins: t.begins}
	t.begins = false
	return m, true
}

// more decodes or makes up some more samples, and reports whether there are any.
func (t *Transcoder) more(now int64) bool {
	v, p := t.buffer.pull(now)
	switch v {
	case played:
		t.play(p)
	case lost:
		t.buffer.nextTS += t.ticks(t.frame)
		if t.owed >= t.frame { // it was made up when it was due
			t.owed -= t.frame
			return true
		}
		var next []byte
		if p != nil && !p.Noise {
			next = p.Payload
			t.figures.Recovered++
		}
		t.conceal(t.frame, next)
	case empty:
		if t.missing += t.frame; t.silent || t.missing > samplesIn(pauseAfter, t.rate) && !t.quiet {
			t.silent = true
			return false
		}
		t.owed += t.frame
		t.pause()
	case held:
		if t.silent {
			return false
		}
		t.pause()
	}
	return true
}

// pause makes up a packet's time in which nothing came.
func (t *Transcoder) pause() {
	if t.options.From == Opus && t.missing > samplesIn(quietAfter, t.rate) {
		t.quiet = true
	}
	switch {
	case t.quiet && t.options.From != Opus:
		t.noise.Fill(t.scratch[:t.frame])
		t.give(t.scratch[:t.frame])
		return
	case t.missing > samplesIn(4*pauseAfter, t.rate):
		t.silent, t.quiet = true, false
	}
	t.conceal(t.frame, nil)
}

// conceal makes up samples for what was lost.
func (t *Transcoder) conceal(n int, next []byte) {
	t.figures.Concealed++
	t.decoder.Conceal(t.scratch[:n], next)
	t.give(t.scratch[:n])
}

// play decodes a packet.
func (t *Transcoder) play(p *Packet) {
	t.missing = 0
	if gap := int32(p.TS - t.buffer.nextTS); gap > 0 && !t.silent {
		t.fill(gap)
	}
	t.silent, t.owed = false, 0
	t.buffer.nextTS = p.TS
	if p.Noise {
		if t.noise.Set(p.Payload) != nil {
			t.figures.Malformed++
			return
		}
		t.quiet = true
		t.noise.Fill(t.scratch[:t.frame])
		t.give(t.scratch[:t.frame])
		t.buffer.nextTS++ // what follows comes after a pause
		return
	}
	t.quiet = false
	n := t.decode(t.scratch, p)
	t.give(t.scratch[:n])
}

// decode decodes a packet; what is malformed is concealed.
func (t *Transcoder) decode(pcm []int16, p *Packet) int {
	n, err := t.decoder.Decode(pcm, p.Payload)
	if err != nil {
		t.figures.Malformed++
		n = t.frame
		t.decoder.Conceal(pcm[:n], nil)
	}
	t.frame = n
	t.buffer.nextTS += t.ticks(n)
	return n
}

// fill makes up the pause that timestamps speak of, as far as that was not done when the
// packet did not come.
func (t *Transcoder) fill(gap int32) {
	n := int(int64(gap) * int64(t.rate) / t.buffer.clock)
	n = min(n, samplesIn(Longest, t.rate)) - t.owed
	n -= n % max(t.rate/400, 1)
	if n <= 0 {
		return
	}
	if t.quiet && t.options.From != Opus {
		t.noise.Fill(t.scratch[:n])
		t.give(t.scratch[:n])
		return
	}
	t.conceal(n, nil)
}

// hurry plays two packets in the time of one if speech waits too long.
func (t *Transcoder) hurry(now int64) {
	wait := t.buffer.waiting() + int64(len(t.queue))*int64(time.Second)/int64(t.options.To.Rate(t.options.From))
	frame := int64(t.frame) * int64(time.Second) / int64(t.rate)
	if t.buffer.due != 0 || wait < t.buffer.target()+frame+int64(slack) {
		t.tooLong = 0
		return
	}
	if t.tooLong == 0 {
		t.tooLong = now
	}
	if now-t.tooLong < int64(hurryAfter) {
		return
	}
	t.tooLong = now - int64(hurryAfter)*9/10 // no more than one packet in 100 ms
	p := t.buffer.peek()
	if p == nil || p.Noise || t.quiet || len(t.queue) > 2*t.step {
		return
	}
	t.buffer.pull(now)
	t.missing, t.owed, t.silent = 0, 0, false
	t.buffer.nextTS = p.TS
	n := t.decode(t.scratch, p)
	if p = t.buffer.peek(); p == nil || p.Noise || p.TS != t.buffer.nextTS {
		t.give(t.scratch[:n])
		return
	}
	t.buffer.pull(now)
	if m := t.decode(t.second, p); m == n {
		for i := range n {
			w := i * 256 / n
			t.scratch[i] = int16((int(t.scratch[i])*(256-w) + int(t.second[i])*w) >> 8)
		}
		t.figures.Hurried++
		t.give(t.scratch[:n])
		return
	}
	t.give(t.scratch[:n])
	t.give(t.second[:t.frame])
}

// give takes decoded samples to the encoder.
func (t *Transcoder) give(pcm []int16) {
	if len(t.queue)+2*len(pcm) > cap(t.queue) {
		return
	}
	if t.sampler != nil {
		t.queue = t.sampler.Resample(t.queue, pcm)
		return
	}
	t.queue = append(t.queue, pcm...)
}

// ticks returns how much timestamps grow over samples of the decoder.
func (t *Transcoder) ticks(n int) uint32 {
	return uint32(int64(n) * t.buffer.clock / int64(t.rate))
}
