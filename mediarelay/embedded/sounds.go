package embedded

import "sipxmppgw/mediarelay/sound"

// sounds are what a relay can play by itself.
type sounds struct {
	comfort *clip
	hold    *clip   // nil for the noise
	ring    *clip   // nil for none
	digits  []*clip // by event (RFC 4733 section 3.2); nil unless played as tones
}

func newSounds(o *Options) *sounds {
	s := &sounds{comfort: newClip(sound.Comfort())}
	if o.Hold == sound.HoldMusic {
		if s.hold = newClip(o.Music); len(o.Music) == 0 {
			s.hold = newClip(sound.Melody())
		}
	}
	if ring := o.Ringback.Samples(sound.RingLevel); len(ring) > 0 {
		s.ring = newClip(ring)
	}
	if o.InbandDTMF {
		s.digits = make([]*clip, len(digitKeys))
		for place, key := range sound.DigitPad {
			for event, k := range digitKeys {
				if k == key {
					s.digits[event] = newClip(sound.Digit(place))
				}
			}
		}
	}
	return s
}
