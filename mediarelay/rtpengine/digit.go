package rtpengine

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// The times of digits that rtpengine plays, at the least and at most.
const (
	shortDigit = 100 * time.Millisecond
	longDigit  = 5 * time.Second
)

// decodes is how long rtpengine is given to decode some packets, of up to 60 ms.
const decodes = 150 * time.Millisecond

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
	if tones := !event; !b.inject || tones && !b.decode {
		b.inject, b.decode = true, b.decode || tones
		if _, err := b.exchange(o, e); err != nil {
			b.fail(0, in.side, err)
			return
		}
		if tones { // what comes before rtpengine has decoded speech is played to nobody
			select {
			case <-time.After(decodes):
			case <-b.released:
				return
			}
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
