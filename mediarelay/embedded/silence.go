package embedded

import (
	"slices"
	"sync/atomic"
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
	held := e.onHold()
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

// onHold reports whether one of the sides holds.
func (e *end) onHold() bool {
	l, far := e.lanes[media.Audio], e.b.ends[e.side.Other()].lanes[media.Audio]
	return l.flow != media.SendRecv || far.live() && far.flow != media.SendRecv
}

// An attention is paid to whether the peer is heard when it should be. The plain fields
// belong to the bridge's goroutine.
type attention struct {
	since int64 // it should be heard without a break, on the relay's clock; 0 while it need not
	quiet bool  // it is not
	told  bool  // the log knows

	never   atomic.Bool
	gaps    atomic.Int64
	longest atomic.Int64 // nanoseconds
}

// attend looks whether the peer is heard while both sides are connected, nobody holds and
// nobody rings. No call ends by it: see silence.
func (e *end) attend() {
	a, l := &e.attention, e.lanes[media.Audio]
	now := e.b.relay.now()
	if !e.due() {
		a.since, a.quiet = 0, false
		return
	}
	if a.since == 0 {
		a.since = now
	}
	last := max(l.in.last.Load(), a.since)
	limit, first := e.b.relay.options.Times.Gap, l.in.first.Load() == 0
	switch {
	case first:
		limit = e.b.relay.options.Times.Absent
	case slices.ContainsFunc(l.agreed, media.Codec.Noise): // who may leave out silence (RFC 3389) is there while its reports are
		last = max(last, l.in.control.Load())
	}
	silent := time.Duration(now - last)
	if silent < limit {
		a.quiet = false
		return
	}
	a.longest.Store(max(a.longest.Load(), int64(silent)))
	if a.quiet {
		return
	}
	a.quiet = true
	if first {
		a.never.Store(true)
	} else {
		a.gaps.Add(1)
	}
	if !a.told {
		a.told = true
		e.b.relay.options.Log.Info("nothing is heard", "call", e.b.id, "leg", e.side, "never", first, "silent_ms", silent.Milliseconds())
	}
}

// due reports whether the peer should be heard.
func (e *end) due() bool {
	far := e.b.ends[e.side.Other()]
	for _, end := range []*end{e, far} {
		l := end.lanes[media.Audio]
		if !l.live() || !l.t.connected || !l.t.ready() || l.t.failed || l.t.early {
			return false
		}
	}
	return !e.onHold()
}

// read returns what was noticed. It may be called from any goroutine.
func (a *attention) read(l *lane) media.Silence {
	return media.Silence{
		Never:   a.never.Load() && l.in.first.Load() == 0,
		Gaps:    a.gaps.Load(),
		Longest: time.Duration(a.longest.Load()),
	}
}
