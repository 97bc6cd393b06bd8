package gateway

import (
	"errors"
	"strings"

	"sipxmppgw/gateway/call"
)

// A call that comes to nothing here can go on to where the callee wants it then. Nobody has
// been answered, so the caller's leg is as it was when the call began: it gets a new machine,
// a new bridge and another leg B, and what the old ones still say is not heard any more.

// sendsOn sends the call on if an event says that it has failed and the callee wants it.
// True says that it did, and that the event is done with.
func (a *actor) sendsOn(e call.Event) bool {
	if s := a.c.State(); s != call.Calling && s != call.Ringing {
		return false
	}
	where, closed := a.next(e)
	if where == nil {
		return false
	}
	target, err := where()
	if err == nil {
		for _, t := range target.chain() {
			if err = a.sendTo(t, closed); err == nil {
				break
			}
		}
	}
	if err != nil {
		var r *call.Refusal
		errors.As(err, &r)
		a.log.Info("call not sent on", "why", err.Error(), "rules", logOf(r))
		return false
	}
	return true
}

func logOf(r *call.Refusal) string {
	if r == nil {
		return ""
	}
	return r.Log
}

// next says where the call goes if an event has ended it, and whether leg B is closed.
func (a *actor) next(e call.Event) (where func() (Target, error), closed bool) {
	t := &a.in.Target
	switch e := e.(type) {
	case call.LegEnded:
		switch {
		case e.Side != call.B:
		case e.Cause == call.Busy || e.Cause == call.Declined:
			return t.onBusy, true
		case e.Cause == call.NoAnswer || e.Cause == call.Unavailable:
			return t.onNoAnswer, true
		}
	case call.TimerFired:
		if e.Timer == call.TimerNoAnswer {
			return t.onNoAnswer, false
		}
	}
	return nil, false
}

// sendTo makes the call one to another target. An error says that it stays what it was.
func (a *actor) sendTo(t Target, closed bool) error {
	dialer, err := a.g.joins(a, t)
	if err != nil {
		return err
	}
	if len(t.Others) > 0 {
		t = hasty(t, true, 0)
	}
	t = dialer.Aim(t)
	in, old, turn := a.in, a.legs[call.B], a.newTurn()
	in.Target = t
	b := a.newSeat(call.B, member{t.Edge, t.Trunk, t.To, t.Policy})
	if b.leg, err = dialer.Dial(t, inbox{a, b}); err != nil {
		b.gone, a.legs[call.B] = true, old
		return err
	}
	bridge, err := a.openBridge(turn, t.Policy)
	if err != nil {
		b.leg.End(call.Failed, call.Detail{}) // it was never offered anything
		b.gone, a.legs[call.B] = true, old
		return err
	}
	old.gone = true
	switch {
	case a.hunting != nil:
		a.hunting.leave(call.NoAnswer)
	case !closed:
		old.leg.End(call.NoAnswer, call.Detail{})
	}
	a.bridge.Release()
	a.g.mu.Lock()
	a.bridge = bridge
	a.g.mu.Unlock()
	for timer := range a.timers {
		a.stop(call.Timer(timer))
	}
	a.in, a.turn = in, turn
	a.rec.Callee, a.rec.Rule, a.rec.Diverted, a.rec.edges[call.B] = t.To, t.Rule, t.Diverted, t.Edge
	a.rec.trunks[call.B], a.rec.codecs[call.B] = t.Trunk, codecs{allowed: names(t.Policy.Codecs)}
	a.rec.Trunk = strings.Join(placesOf(in)[1:], " ")
	a.log.Info("call sent on", "rule", t.Rule, "trunk", a.rec.Trunk)
	actions := a.begin(in)
	a.hunting = newHunting(a)
	a.do(actions)
	return nil
}
