package embedded

import (
	"sync"
	"time"

	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/mediarelay/sound"
)

// The two laws of G.711, and which of them a sound is encoded by.
const (
	lawMu = iota // PCMU
	lawA         // PCMA
	laws
)

// A clip is a loop of speech at 8000 Hz, ready to be sent by every codec.
type clip struct {
	pcm  []int16
	laws [laws][]byte // an octet is a sample

	once    [2]sync.Once // for packets of G.722 and of Opus, when they are wanted first
	packets [2][][]byte
}

// newClip encodes linear samples of 16 bits at 8000 Hz.
func newClip(samples []int16) *clip {
	s := &clip{pcm: samples}
	for law, k := range []codec.Kind{lawMu: codec.PCMU, lawA: codec.PCMA} {
		s.laws[law] = codec.NewEncoder(k, sound.Rate, codec.EncoderOptions{}).Encode(nil, samples)
	}
	return s
}

// coded returns the loop as packets of defaultTime of a codec that has no samples.
func (s *clip) coded(k codec.Kind) [][]byte {
	i := 0
	if k == codec.Opus {
		i = 1
	}
	s.once[i].Do(func() {
		rate := k.Rate(codec.PCMU)
		pcm := codec.NewResampler(sound.Rate, rate).Resample(nil, s.pcm)
		e := codec.NewEncoder(k, rate, codec.EncoderOptions{Frame: defaultTime})
		step := int(defaultTime * time.Duration(rate) / time.Second)
		if len(pcm)%step != 0 { // a loop of whole packets
			pcm = append(pcm, make([]int16, step-len(pcm)%step)...)
		}
		for ; len(pcm) > 0; pcm = pcm[step:] {
			s.packets[i] = append(s.packets[i], e.Encode(nil, pcm[:step]))
		}
	})
	return s.packets[i]
}

// lawOf returns the law of a codec; ok is false if it is not G.711.
func lawOf(c media.Codec) (law int, ok bool) {
	switch {
	case !c.G711():
		return 0, false
	case media.CanonicalName(c.Name) == "PCMA":
		return lawA, true
	}
	return lawMu, true
}
