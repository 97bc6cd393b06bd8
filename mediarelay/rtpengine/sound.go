package rtpengine

import (
	"encoding/binary"
	"time"

	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/mediarelay/sound"
)

const (
	// ringEnough is how many packets of the other side end our ringing, as with the relay.
	ringEnough = 5
	// fillAfter is how long who holds must have been silent before we play, as with the relay.
	fillAfter = 200 * time.Millisecond
	// forever is how often a sound is played, until it is stopped.
	forever = 100_000
)

// A tune is what a peer is played.
type tune uint8

const (
	nothing tune = iota
	ringing
	music
	noise
)

// A player is what an end's peer hears of rtpengine's own.
type player struct {
	rings   bool // it was answered already, and who is to talk to it rings
	heard   int64
	playing tune
}

// ring begins or ends ringing to a side. Where the callee is heard already it does not begin, unless
// another is to take its place.
func (b *Bridge) ring(in ringInput) {
	e, o := b.ends[in.side], b.ends[in.side.Other()]
	switch {
	case !in.on:
		e.player.rings = false
	case b.at != nil && e.live() && !e.player.rings && (o.watch.packets == 0 || b.spare != nil):
		e.player.rings, e.player.heard = true, o.watch.packets
	}
	b.play(time.Now())
}

// play has rtpengine play to each peer what it is to hear by now.
func (b *Bridge) play(now time.Time) {
	for _, e := range b.ends {
		p := &e.player
		p.rings = p.rings && b.ends[e.side.Other()].watch.packets < p.heard+ringEnough
		want := b.tuneFor(e, now)
		if want == p.playing {
			continue
		}
		p.playing = want                           // whether it can be played or not: it is not tried over and over
		request := b.command("play media", e, nil) // who hears it
		if want == nothing {
			request["command"] = "stop media"
		} else {
			key, what := b.engine.sounds.source(want)
			request[key], request["repeat-times"] = what, forever
		}
		if _, err := b.at.do(request, b.released); err != nil {
			b.engine.options.Log.Info("sound not changed", "call", b.id, "leg", e.side, "error", err)
		}
	}
}

// tuneFor is what an end's peer is to hear. On hold it hears something while who holds sends
// nothing; what that one sends is passed on.
func (b *Bridge) tuneFor(e *end, now time.Time) tune {
	o := b.ends[e.side.Other()]
	flow := o.lanes[media.Audio].flow
	switch hold := b.engine.options.Hold; {
	case b.at == nil || !e.live():
		return nothing
	case e.player.rings:
		return ringing
	case !o.live(), flow == media.SendRecv, hold == sound.HoldSilence, !e.lanes[media.Audio].flow.Receives():
		return nothing
	case flow.Sends() && now.Sub(o.watch.spoke) < fillAfter:
		return nothing
	case hold == sound.HoldMusic && !flow.Receives():
		return music
	}
	return noise
}

// mayPlay reports whether an end's peer is on hold and may have to be played something soon.
func (b *Bridge) mayPlay(e *end) bool {
	return e.player.playing == nothing && b.tuneFor(e, b.ends[e.side.Other()].watch.spoke.Add(fillAfter)) != nothing
}

// sounds are those of an engine, as files.
type sounds struct {
	ring, music, noise string
	file               string // at every rtpengine, in place of our music
}

func newSounds(o *Options) sounds {
	return sounds{ring: wave(o.Ringback.Samples(sound.RingLevel)), music: wave(sound.Melody()), noise: wave(sound.Comfort()), file: o.Music}
}

// source returns what rtpengine is told to play: a file of ours, or the name of one there.
func (s *sounds) source(t tune) (key, value string) {
	switch {
	case t == ringing:
		return "blob", s.ring
	case t == music && s.file != "":
		return "file", s.file
	case t == music:
		return "blob", s.music
	default:
		return "blob", s.noise
	}
}

// waveRate is few samples a second, so that the longest sound fits a datagram. With fewer rtpengine
// 10.5 reads more than two seconds at a time and plays them over each other.
const waveRate = sound.Rate / 2

// wave returns a WAV file of G.711, with one channel, of samples at [sound.Rate].
func wave(samples []int16) string {
	half := codec.NewResampler(sound.Rate, waveRate).Resample(nil, samples)
	data := codec.NewEncoder(codec.PCMU, sound.Rate, codec.EncoderOptions{}).Encode(nil, half)
	p := append([]byte(nil), "RIFF"...)
	p = binary.LittleEndian.AppendUint32(p, uint32(38+len(data)))
	p = append(p, "WAVEfmt "...)
	p = binary.LittleEndian.AppendUint32(p, 18)
	p = binary.LittleEndian.AppendUint16(p, 7) // PCMU
	p = binary.LittleEndian.AppendUint16(p, 1) // channels
	p = binary.LittleEndian.AppendUint32(p, waveRate)
	p = binary.LittleEndian.AppendUint32(p, waveRate) // octets a second
	p = binary.LittleEndian.AppendUint16(p, 1)        // octets a sample
	p = binary.LittleEndian.AppendUint16(p, 8)        // bits
	p = binary.LittleEndian.AppendUint16(p, 0)        // octets of more
	p = append(p, "data"...)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(data)))
	return string(append(p, data...))
}
