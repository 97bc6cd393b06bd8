//go:build linux

package main

import (
	"sync"
	"time"

	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/test/peer/audio"
)

// What both sides of a call say that is transcoded: the same speech, over and over.
var (
	opusSpeech = sync.OnceValue(func() [][]byte { return encoded(codec.Opus, codec.PCMU) })
	pcmuSpeech = sync.OnceValue(func() [][]byte { return encoded(codec.PCMU, codec.Opus) })
)

// encoded returns speech in packets of a codec, as it goes beside another.
func encoded(k, other codec.Kind) (payloads [][]byte) {
	rate := k.Rate(other)
	pcm := codec.NewResampler(audio.Rate, rate).Resample(nil, audio.Speech(audio.Low))
	e := codec.NewEncoder(k, rate, codec.EncoderOptions{Frame: spacing})
	for n := int(spacing * time.Duration(rate) / time.Second); len(pcm) >= n; pcm = pcm[n:] {
		if p := e.Encode(nil, pcm[:n]); len(p) > 0 {
			payloads = append(payloads, p)
		}
	}
	return payloads
}

// speak has a leg say that in place of the times that measure delay; step is how much the
// timestamps grow with a packet.
func (g *leg) speak(payloads [][]byte, pt uint8, step uint32) {
	g.says, g.pt, g.step = payloads, pt, step
}
