package rtpengine

import (
	"encoding/binary"
	"math"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// The times of digits that rtpengine plays, at the least and at most.
const (
	shortDigit = 100 * time.Millisecond
	longDigit  = 5 * time.Second
)

// ringEnough is how many packets of the other side end our ringing, as with the relay.
const ringEnough = 5

// ringing is what a peer hears that was answered already, while who is to talk to it rings.
type ringing struct {
	side    call.Side
	playing bool
	heard   int64 // packets of the other side when it began
}

// digit plays a digit to the peer of a side: as telephone-event where that is agreed, as a
// tone in G.711 if that is wanted. It has to pass through rtpengine's codecs for that, so
// calls do so from their first digit on only.
func (b *Bridge) digit(in digitInput) {
	e, o := b.ends[in.side], b.ends[in.side.Other()]
	var event, tone bool
	for _, c := range e.lanes[media.Audio].agreed {
		event = event || c.Event()
		tone = tone || c.G711() && e.policy.Tones
	}
	if !e.live() || !o.live() || !event && !tone {
		b.tell(call.MediaDigit{Side: in.side, Digit: in.digit})
		return
	}
	if !b.inject {
		b.inject = true
		if _, err := b.exchange(o, e); err != nil {
			b.fail(0, in.side, err)
			return
		}
	}
	request := b.command("play DTMF", o, nil) // who plays is the side that presses
	request["code"] = string(in.digit.Key)
	request["duration"] = int(min(max(in.digit.Length, shortDigit), longDigit).Milliseconds())
	if _, err := b.at.do(request, b.released); err != nil {
		b.engine.options.Log.Info("digit not played", "call", b.id, "leg", in.side, "error", err)
		b.tell(call.MediaDigit{Side: in.side, Digit: in.digit})
	}
}

// ring begins or ends ringing to a side. Where the callee is heard already it does not begin, unless
// another is to take its place.
func (b *Bridge) ring(in ringInput) {
	e, o := b.ends[in.side], b.ends[in.side.Other()]
	switch {
	case !in.on:
		b.quiet()
	case b.at != nil && e.live() && !b.tone.playing && (o.watch.packets == 0 || b.spare != nil):
		request := b.command("play media", e, nil) // who hears it
		request["blob"] = ringback
		request["repeat-times"] = 120
		if _, err := b.at.do(request, b.released); err != nil {
			b.engine.options.Log.Info("ringing not played", "call", b.id, "leg", in.side, "error", err)
			return
		}
		b.tone = ringing{side: in.side, playing: true, heard: o.watch.packets}
	}
}

// hush ends ringing when the callee's side is heard.
func (b *Bridge) hush() {
	if b.tone.playing && b.ends[b.tone.side.Other()].watch.packets >= b.tone.heard+ringEnough {
		b.quiet()
	}
}

func (b *Bridge) quiet() {
	if !b.tone.playing {
		return
	}
	b.tone.playing = false
	if _, err := b.at.do(b.command("stop media", b.ends[b.tone.side], nil), b.released); err != nil {
		b.engine.options.Log.Info("ringing not stopped", "call", b.id, "leg", b.tone.side, "error", err)
	}
}

// ringRate is few samples a second, so that the file fits a datagram. With fewer rtpengine
// 10.5 reads more than two seconds at a time and plays them over each other.
const ringRate = 4000

// ringback is 425 Hz, 1 s on and 4 s off, as in most of Europe, in a WAV file.
var ringback = wave(ringRate, func(i int) byte {
	if i >= ringRate {
		return 128
	}
	return byte(128 + 32*math.Sin(2*math.Pi*425*float64(i)/ringRate))
}, 5*ringRate)

// wave returns a WAV file of 8 bits and one channel.
func wave(rate int, sample func(int) byte, n int) string {
	p := append([]byte(nil), "RIFF"...)
	p = binary.LittleEndian.AppendUint32(p, uint32(36+n))
	p = append(p, "WAVEfmt "...)
	p = binary.LittleEndian.AppendUint32(p, 16)
	p = binary.LittleEndian.AppendUint16(p, 1) // PCM
	p = binary.LittleEndian.AppendUint16(p, 1) // channels
	p = binary.LittleEndian.AppendUint32(p, uint32(rate))
	p = binary.LittleEndian.AppendUint32(p, uint32(rate)) // octets a second
	p = binary.LittleEndian.AppendUint16(p, 1)            // octets a sample
	p = binary.LittleEndian.AppendUint16(p, 8)            // bits
	p = append(p, "data"...)
	p = binary.LittleEndian.AppendUint32(p, uint32(n))
	for i := range n {
		p = append(p, sample(i))
	}
	return string(p)
}
