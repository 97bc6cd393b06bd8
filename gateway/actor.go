package gateway

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// maxPending is how many inputs a peer may have waiting before it counts as a flood. A
// call is twenty to thirty messages in all.
const maxPending = 128

// A letter is what is written to a call: an input for one leg, or an event.
type letter struct {
	input any        // for the leg of side, if not nil
	side  call.Side  //
	peer  bool       // caused by the peer, and counted
	event call.Event // for the machine, if input is nil
	gen   uint32     // of the timer, if event is TimerFired
	flood bool       // the leg of side floods
	last  bool       // nobody waits any longer for the legs to close
}

// An actor runs one call. The machine, both legs, the bridge and the timers are touched by
// the goroutine in run and by no other; everyone else writes to the mailbox.
type actor struct {
	g       *Gateway
	id      call.ID
	c       *call.Call
	first   []call.Action // of call.New, carried out by run
	legs    [2]Leg
	ended   [2]bool
	bridge  Bridge
	box     *mailbox[letter]
	timers  [4]timer
	rec     Record
	longest *time.Timer // ends a call that lasts too long; nil before the answer
	log     *slog.Logger

	pending [2]atomic.Int32 // inputs of the peers that are not read yet
	flooded [2]atomic.Bool

	places []string // the quotas that it counts in

	// Guarded by the gateway's lock.
	late     bool // no longer among the calls without an answer
	recorded bool // its media figures are in those of ended calls
}

type timer struct {
	t   *time.Timer
	gen uint32
}

// An inbox is the actor as one leg's edge sees it.
type inbox struct {
	a    *actor
	side call.Side
}

// Peer implements [Inbox].
func (in inbox) Peer(input any) bool {
	if in.a.flooded[in.side].Load() {
		return false
	}
	if in.a.pending[in.side].Add(1) > maxPending {
		if in.a.flooded[in.side].CompareAndSwap(false, true) {
			in.a.box.put(letter{side: in.side, flood: true})
		}
		return false
	}
	return in.a.box.put(letter{input: input, side: in.side, peer: true})
}

// Post implements [Inbox].
func (in inbox) Post(input any) { in.a.box.put(letter{input: input, side: in.side}) }

// Call implements [Inbox].
func (in inbox) Call() call.ID { return in.a.id }

// Side implements [Inbox].
func (in inbox) Side() call.Side { return in.side }

// post is given to the media plane and to the shell.
func (a *actor) post(e call.Event) { a.box.put(letter{event: e}) }

// run is the call's goroutine. It ends when the machine has finished, and the machine
// always does: every state has a timer or a leg that ends it.
func (a *actor) run() {
	defer a.g.forget(a)
	defer a.box.close()
	if !a.guard(func() { a.do(a.first) }) {
		return
	}
	for {
		for _, l := range a.box.take() {
			if l.peer {
				a.pending[l.side].Add(-1)
			}
			if !a.guard(func() { a.read(l) }) || a.c.State() == call.Ended {
				return
			}
		}
	}
}

// guard runs a piece of the call. A panic is our own fault; it ends this call and no other.
// It returns false if the call is lost.
func (a *actor) guard(piece func()) (ok bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		ok = false
		a.g.metrics.panics.Inc()
		a.log.Error("call lost by a panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		a.abandon()
	}()
	piece()
	return true
}

// abandon closes what it can of a call whose machine can no longer be trusted.
func (a *actor) abandon() {
	for _, s := range []call.Side{call.A, call.B} {
		func() {
			// The leg may be what is broken; the other one is still to be closed.
			defer func() { _ = recover() }()
			if a.legs[s] != nil && !a.ended[s] {
				a.legs[s].End(call.Failed, call.Detail{})
			}
		}()
	}
	a.rec.Media = a.bridge.Stats()
	a.bridge.Release()
	if a.rec.EndedBy == "" {
		a.rec.EndedBy = "gateway"
	}
	a.finish(call.Finish{Cause: call.Failed})
}

func (a *actor) read(l letter) {
	switch {
	case l.flood:
		a.g.metrics.floods.Inc()
		a.log.Warn("peer floods its leg", "leg", l.side.String())
		a.step(call.Aborted{Cause: call.Overloaded, Detail: call.Detail{Text: "too many messages"}})
	case l.last:
		a.step(call.TimerFired{Timer: call.TimerLinger})
	case l.input != nil:
		for _, e := range a.legs[l.side].Receive(l.input) {
			a.step(e)
		}
	default:
		if f, is := l.event.(call.TimerFired); is && a.timers[f.Timer].gen != l.gen {
			return // it was stopped, or started anew, as it fired
		}
		a.step(l.event)
	}
}

// step gives one event to the machine and carries out what it wants.
func (a *actor) step(e call.Event) {
	if a.c.State() == call.Ended {
		return
	}
	before := a.c.State()
	actions, ok := a.c.Step(e)
	if !ok {
		a.log.Debug("event out of place", "event", fmt.Sprintf("%T", e), "state", before.String())
		return
	}
	a.note(e)
	if now := a.c.State(); now != before {
		a.log.Info("call state", "from", before.String(), "to", now.String())
		a.noteState(now)
	}
	a.do(actions)
}

func (a *actor) do(actions []call.Action) {
	for _, action := range actions {
		switch x := action.(type) {
		case call.OfferLeg:
			a.legs[x.Side].Offer(x.Media)
		case call.RingLeg:
			a.legs[x.Side].Ring()
		case call.ProgressLeg:
			a.legs[x.Side].Progress(x.Media)
		case call.AnswerLeg:
			a.legs[x.Side].Answer(x.Media)
		case call.UpdateLeg:
			a.legs[x.Side].Update(x.Media)
		case call.AnswerUpdate:
			a.legs[x.Side].AnswerUpdate(x.Media)
		case call.RefuseUpdate:
			a.legs[x.Side].RefuseUpdate(x.Cause)
		case call.CandidatesLeg:
			a.legs[x.Side].Candidates(x.Media)
		case call.DigitLeg:
			a.legs[x.Side].Digit(x.Digit)
		case call.EndLeg:
			a.legs[x.Side].End(x.Cause, x.Detail)
		case call.OfferMedia:
			a.bridge.Offer(x.Op, x.Side, x.Media)
		case call.AnswerMedia:
			a.bridge.Answer(x.Op, x.Side, x.Media)
		case call.JoinMedia:
			a.bridge.Join(x.Op, x.Side, x.Media)
		case call.CandidatesMedia:
			a.bridge.Candidates(x.Side, x.Media)
		case call.DigitMedia:
			a.bridge.Digit(x.Side, x.Digit)
		case call.PictureMedia:
			a.bridge.Keyframe(x.Side)
		case call.RingMedia:
			a.bridge.Ring(x.Side, x.On)
		case call.ReleaseMedia:
			a.rec.Media = a.bridge.Stats()
			a.bridge.Release()
		case call.StartTimer:
			a.start(x.Timer, x.After)
		case call.StopTimer:
			a.stop(x.Timer)
		case call.Finish:
			a.finish(x)
		}
	}
}

// start starts a timer anew. Its number tells a firing that crossed the stop.
func (a *actor) start(t call.Timer, after time.Duration) {
	a.stop(t)
	gen := a.timers[t].gen
	a.timers[t].t = time.AfterFunc(after, func() {
		a.box.put(letter{event: call.TimerFired{Timer: t}, gen: gen})
	})
}

func (a *actor) stop(t call.Timer) {
	a.timers[t].gen++
	if a.timers[t].t != nil {
		a.timers[t].t.Stop()
	}
}

// finish completes the record. It is the last that a call does.
func (a *actor) finish(f call.Finish) {
	for t := range a.timers {
		a.stop(call.Timer(t))
	}
	if a.longest != nil {
		a.longest.Stop()
	}
	a.rec.Ended = time.Now()
	a.rec.Cause, a.rec.Detail = f.Cause, f.Detail
	a.g.ended(a)
}

// note keeps what the record wants of an event.
func (a *actor) note(e call.Event) {
	now := time.Now()
	switch e := e.(type) {
	case call.LegRinging:
		first(&a.rec.Rang, now)
	case call.LegAnswered:
		first(&a.rec.Answered, now)
	case call.MediaConnected:
		if a.rec.Connected.IsZero() && e.Side == a.rec.xmppSide() {
			a.rec.Connected = now
		}
	case call.LegEnded:
		a.ended[e.Side] = true
		if a.rec.EndedBy == "" {
			a.rec.EndedBy = a.rec.edgeOf(e.Side).String()
		}
	}
}

func (a *actor) noteState(s call.State) {
	switch {
	case s == call.Active:
		first(&a.rec.Active, time.Now())
		a.g.answered(a)
		if limit := a.g.opt.MaxDuration; limit > 0 && a.longest == nil {
			a.longest = time.AfterFunc(limit, func() {
				a.post(call.Aborted{Cause: call.Normal, Detail: call.Detail{Text: "the call has lasted as long as calls may"}})
			})
		}
	case s >= call.Ending && a.rec.EndedBy == "": // no leg has ended
		a.rec.EndedBy = "gateway"
	}
}

func first(at *time.Time, now time.Time) {
	if at.IsZero() {
		*at = now
	}
}

// noBridge stands in for a media plane that gave none, so that an abandoned call has
// something to release.
type noBridge struct{}

func (noBridge) Offer(call.Op, call.Side, media.Description)  {}
func (noBridge) Answer(call.Op, call.Side, media.Description) {}
func (noBridge) Join(call.Op, call.Side, media.Description)   {}
func (noBridge) Candidates(call.Side, media.Description)      {}
func (noBridge) Digit(call.Side, call.Digit)                  {}
func (noBridge) Keyframe(call.Side)                           {}
func (noBridge) Ring(call.Side, bool)                         {}
func (noBridge) Release()                                     {}
func (noBridge) Stats() [2]media.Stats                        { return [2]media.Stats{} }
