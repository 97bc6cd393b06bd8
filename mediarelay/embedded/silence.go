package embedded

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// never is when what can end only by what somebody does ends by time.
const never = math.MaxInt64

// silence tells when the peer of an end without ICE has been silent for too long (RELIABILITY
// 7 row 14), again when that goes on as long, and when it is over. Ends with ICE have consent
// for that. On hold, RTCP counts as life too; a side that holds need not play anything, and one
// that is held need not speak. It returns when it will be too long if nothing more comes, on the
// relay's clock; 0 if it is to be asked before.
func (e *end) silence() (due int64) {
	l := e.lanes[media.Audio]
	t := l.t
	if !l.live() || t.ice != nil || !t.connected || t.failed {
		return never
	}
	times := &e.b.relay.options.Times
	limit := times.Silence
	held := e.onHold()
	if e.held && !held {
		t.checkedAt = e.b.relay.now()
	}
	e.held = held
	heard := l.in.last.Load()
	if held {
		heard = max(heard, l.in.control.Load())
	}
	if e.silent && heard > t.checkedAt {
		e.silent = false
		e.b.tell(call.MediaConnected{Side: e.side})
	}
	last := max(heard, t.checkedAt)
	switch {
	case held:
		limit = times.Held
	case l.in.first.Load() == 0 && t.early:
		limit = times.Early
	case l.in.first.Load() == 0:
		limit = times.First
	}
	if silent := time.Duration(e.b.relay.now() - last); silent > limit {
		e.b.relay.options.Log.Info("media silent", "call", e.b.id, "leg", e.side, "silent_ms", silent.Milliseconds())
		e.silent, t.checkedAt = true, e.b.relay.now()
		e.b.tell(call.MediaSilent{Side: e.side})
	}
	if e.silent || l.in.first.Load() == 0 {
		return 0
	}
	return last + int64(limit)
}

// Listen posts MediaSilent if nothing was heard of side's peer for as long as makes a gap: no
// speech, no pictures and no RTCP of either. On hold there need be none of these, and ICE's
// consent says enough.
func (b *Bridge) Listen(side call.Side) { b.tellSelf(listenInput{side}) }

func (e *end) missing() {
	var last int64
	if e.lanes[media.Audio].t.ice != nil && e.onHold() {
		return
	}
	for _, l := range e.lanes {
		last = max(last, l.in.last.Load(), l.in.control.Load())
	}
	if last == 0 || time.Duration(e.b.relay.now()-last) > e.b.relay.options.Times.Gap {
		e.b.tell(call.MediaSilent{Side: e.side})
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
// nobody rings. No call ends by it: see silence. It returns when the next gap will be noticed,
// as silence does.
func (e *end) attend() (due int64) {
	a, l := &e.attention, e.lanes[media.Audio]
	now := e.b.relay.now()
	if !e.due() {
		a.since, a.quiet = 0, false
		return never
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
		if first {
			return 0
		}
		return last + int64(limit)
	}
	a.longest.Store(max(a.longest.Load(), int64(silent)))
	if a.quiet {
		return 0
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
	return 0
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
