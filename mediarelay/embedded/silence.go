package embedded

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// silence looks whether the peer of an end without ICE has been silent for too long
// (RELIABILITY 7 row 14). Ends with ICE have consent for that. On hold, RTCP counts as
// life too; a side that holds need not play anything, and one that is held need not speak.
func (e *end) silence() {
	l := e.lanes[media.Audio]
	t := l.t
	if !l.live() || t.ice != nil || !t.connected || t.failed {
		return
	}
	times := &e.b.relay.options.Times
	limit := times.Silence
	far := e.b.ends[e.side.Other()].lanes[media.Audio]
	held := l.flow != media.SendRecv || far.live() && far.flow != media.SendRecv
	if e.held && !held {
		t.checkedAt = e.b.relay.now()
	}
	e.held = held
	last := max(l.in.last.Load(), t.checkedAt)
	switch {
	case held:
		limit = times.Held
		last = max(last, l.in.control.Load())
	case l.in.first.Load() == 0 && t.early:
		limit = times.Early
	case l.in.first.Load() == 0:
		limit = times.First
	}
	if silent := time.Duration(e.b.relay.now() - last); silent > limit {
		t.fail(call.MediaLost, "nothing was heard for "+silent.Round(time.Second).String())
	}
}
