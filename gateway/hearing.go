package gateway

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/hunt"
)

// This is what a hunting hears: the legs and bridges of its places, the caller, and its timers.

// maxSaid bounds what is remembered of the caller's candidates, and maxKept what is of a
// bridge's events, until somebody answers.
const (
	maxSaid = 32
	maxKept = 16
)

// hear takes what the leg of a place says.
func (h *hunting) hear(s *seat, e call.Event) {
	i := h.index(s)
	t := h.tries[i]
	if h.begun.IsZero() {
		if end, is := e.(call.LegEnded); is {
			t.ended = &end
		}
		return
	}
	switch e := e.(type) {
	case call.LegRinging:
		h.h.Commit()
		h.a.step(e)
	case call.LegProgress:
		if h.early() && !e.Media.Empty() {
			h.h.Commit()
		}
		h.a.step(e)
	case call.LegAnswered:
		orders := h.h.Answered(i)
		h.carryOut(orders)
		if orders != nil {
			h.a.step(e)
			for _, kept := range t.kept {
				h.a.step(kept)
			}
		}
	case call.LegEnded:
		h.a.log.Info("place ended", "place", i, "edge", t.target.Edge.String(), "trunk", t.target.Trunk,
			"cause", e.Cause.String(), "status", e.Detail.Status)
		if h.h.Trying(i) {
			h.count(t, "failed")
		}
		s.gone = true
		h.part(t)
		h.carryOut(h.h.Ended(i, e.Cause, e.Detail))
	case call.LegCandidates:
		t.bridge.Candidates(call.B, e.Media)
	case call.LegAway:
		t.bridge.Listen(call.B)
	case call.LegOffered: // there is nobody yet who could follow
		s.leg.RefuseUpdate(call.Conflict)
	case call.LegTransfer:
		s.leg.RefuseTransfer(call.Conflict, call.Detail{})
	}
}

func (h *hunting) index(s *seat) int {
	for i, t := range h.tries {
		if t.seat == s {
			return i
		}
	}
	panic("gateway: a seat of no place") // those that are gone do not speak
}

// media takes what the bridge of a place posts. It is false for what the machine is to hear.
func (h *hunting) media(turn int, e call.Event) bool {
	if h == nil || h.early() || h.begun.IsZero() {
		return false
	}
	for i, t := range h.tries {
		if t.bridge == nil || t.turn != turn {
			continue
		}
		h.ofBridge(i, e)
		return true
	}
	return turn == h.tries[0].turn // of the first, which has ended
}

func (h *hunting) ofBridge(i int, e call.Event) {
	t := h.tries[i]
	switch e := e.(type) {
	case call.MediaOffered:
		if h.h.Trying(i) {
			t.seat.leg.Offer(e.Media)
		}
	case call.MediaFailed:
		h.carryOut(h.h.Fail(i, e.Cause, e.Detail))
	case call.MediaCandidates:
		if e.Side == call.B {
			if h.h.Trying(i) {
				t.seat.leg.Candidates(e.Media)
			}
			return
		}
		t.keep(e)
	case call.MediaSilent:
		if e.Side == call.B && h.h.Trying(i) {
			t.seat.leg.Probe(true)
		}
	case call.MediaConnected:
		t.keep(e)
	}
}

func (t *try) keep(e call.Event) {
	if len(t.kept) < maxKept {
		t.kept = append(t.kept, e)
	}
}

// candidates tells the bridges of all places what the caller says of its transports; that of
// the call knows.
func (h *hunting) candidates(c call.CandidatesMedia) {
	if h == nil || h.early() || c.Side != call.A {
		return
	}
	if len(h.said) < maxSaid {
		h.said = append(h.said, c)
	}
	for _, t := range h.tries {
		if t.bridge != nil && t.bridge != h.a.bridge {
			t.bridge.Candidates(c.Side, c.Media)
		}
	}
}

// closed reports whether the leg of a side has ended, and the machine does not know of it.
func (h *hunting) closed(s call.Side) bool {
	return h != nil && s == call.B && h.a.legs[call.B].ended
}

// fired takes a letter of the hunt's own.
func (h *hunting) fired(l letter) {
	switch {
	case h.a.hunting != h:
	case l.event != nil: // it is over
		h.a.hunting = nil
		h.a.step(l.event)
	case h.timers[l.timer].gen == l.gen:
		h.carryOut(h.h.Fired(l.timer))
	}
}

func (h *hunting) start(o hunt.Start) {
	h.halt(o.Timer)
	t := &h.timers[o.Timer]
	gen := t.gen
	t.t = time.AfterFunc(o.After, func() { h.a.box.put(letter{hunt: h, timer: o.Timer, gen: gen}) })
}

func (h *hunting) halt(t hunt.Timer) {
	h.timers[t].gen++
	if h.timers[t].t != nil {
		h.timers[t].t.Stop()
	}
}

func (h *hunting) stop() {
	if h == nil {
		return
	}
	for t := range h.timers {
		h.halt(hunt.Timer(t))
	}
}
