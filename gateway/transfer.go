package gateway

import (
	"errors"
	"slices"
	"time"

	"sipxmppgw/gateway/call"
)

// leg returns the leg of a side.
func (a *actor) leg(s call.Side) Leg { return a.legs[s].leg }

// endLeg closes a leg. Of one that never came to be the machine hears the same.
func (a *actor) endLeg(x call.EndLeg) {
	if a.hunting != nil && x.Side == call.B {
		a.hunting.giveUp(x.Cause, x.Detail)
		return
	}
	if s := a.legs[x.Side]; s != nil {
		s.leg.End(x.Cause, x.Detail)
		return
	}
	a.post(call.LegEnded(x))
}

// try begins leg C: the leg of another call of ours, or whoever the router lets be called. A
// transfer never leads where the one who asks could not call itself.
func (a *actor) try(x call.TryLeg) {
	s := a.legs[x.Side]
	t := Transfer{Time: time.Now(), Side: x.Side, By: s.edge}
	refuse := func(err error) {
		r := &call.Refusal{Cause: call.Failed}
		_ = errors.As(refusal(err), &r)
		a.log.Info("call not transferred", "by", s.edge.String(), "cause", r.Cause.String(), "why", r.Detail.Text, "rules", r.Log)
		a.post(call.LegEnded{Side: call.C, Cause: r.Cause, Detail: r.Detail})
	}
	if len(a.rec.Transfers) == MaxTransfers {
		refuse(&call.Refusal{Cause: call.Loop, Detail: call.Detail{Text: "too many transfers"}})
		return
	}
	a.rec.Transfers = append(a.rec.Transfers, t)
	a.moving = nil
	if x.To.Call != "" {
		if err := a.dialInner(x.To); err != nil {
			refuse(err)
		}
		return
	}
	target, err := a.route(x)
	if err == nil {
		a.lastTransfer().To = target.To
		kept := a.legs[x.Side.Other()]
		if target.Refer && kept.edge == SIP && target.Edge == SIP && kept.trunk == target.Trunk {
			kept.leg.Refer(call.Destination{Address: target.To.URI, By: target.By.URI})
			return
		}
		a.moving = newMoving(a, x.Side, target)
		err = a.moving.dial()
	}
	if err != nil {
		refuse(err)
	}
}

// route asks where the call goes, on the permission of the XMPP user who asks, or else of the
// one whose call it is.
func (a *actor) route(x call.TryLeg) (Target, error) {
	s, kept := a.legs[x.Side], a.legs[x.Side.Other()]
	user := a.owner
	switch {
	case s.edge == XMPP:
		user = bareJID(s.party.JID)
	case kept.edge == XMPP:
		user = bareJID(kept.party.JID)
	}
	by := s.party
	if x.To.By != "" {
		by.URI = x.To.By
	}
	target, err := a.g.opt.Router.Transfer(Handover{
		Edge: s.edge, Trunk: s.trunk, User: user, Kept: kept.party, From: kept.edge, To: x.To.Address, By: by,
	})
	for _, way := range target.ways() {
		way.Replaces = x.To.Replaces
	}
	return target, err
}

// dialC makes leg C.
func (a *actor) dialC(target Target) error {
	dialer, err := a.g.joins(a, target)
	if err != nil {
		return err
	}
	target = dialer.Aim(target)
	c := a.newSeat(call.C, member{target.Edge, target.Trunk, target.To, target.Policy})
	leg, err := dialer.Dial(target, inbox{a, c})
	if err != nil {
		c.gone, a.legs[call.C] = true, nil
		return err
	}
	c.leg = leg
	return nil
}

// joins has a call count in the quota of one more trunk, if it does not yet, and returns the
// edge to dial.
func (g *Gateway) joins(a *actor, target Target) (Dialer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	dialer := g.dialer(target)
	if dialer == nil || g.draining {
		return nil, &call.Refusal{Cause: call.Unreachable, Detail: call.Detail{Text: "the gateway is going down"}}
	}
	if target.Service != "" && !slices.Contains(a.places, ServicePlace) {
		if r := g.quotas.take(time.Now(), ServicePlace); r != nil {
			return nil, r
		}
		a.places = append(a.places, ServicePlace)
	}
	if target.Trunk != "" && !slices.Contains(a.places, target.Trunk) {
		if r := g.quotas.take(time.Now(), target.Trunk); r != nil {
			return nil, r
		}
		a.places = append(a.places, target.Trunk)
		if a.talking != nil {
			a.talking = append(a.talking, g.quotas.talks(time.Now(), target.Trunk)...)
		}
	}
	return dialer, nil
}

// parts takes a call out of the quota of a trunk over which it no longer goes.
func (g *Gateway) parts(a *actor, trunk string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(a.places, trunk); i > 0 {
		g.quotas.leave(trunk)
		a.places = slices.Delete(a.places, i, i+1)
	}
}

// arrives takes a leg that has the right to take the place of another.
func (a *actor) arrives(l letter) {
	s := l.seat
	if s == nil {
		s = a.inPlace(l.place)
	}
	switch now, later := a.takes(s); {
	case now:
		a.letIn(s, l.take)
	case later && a.coming == nil:
		l.seat = s
		a.coming = &l
	case s == nil || s.gone || a.c.State() >= call.Ending:
		l.take.Refused(&call.Refusal{Cause: call.Declined, Detail: call.Detail{Text: "that call is over"}})
	default:
		l.take.Refused(&call.Refusal{Cause: call.Conflict})
	}
}

// inPlace returns the seat of that number, or nil.
func (a *actor) inPlace(number int) *seat {
	if number < 0 || number >= len(a.seats) {
		return nil
	}
	return a.seats[number]
}

func (a *actor) takes(s *seat) (now, later bool) {
	if s == nil || s.gone || s.side == call.C || a.hunting != nil && s.side == call.B && !a.hunting.takes(s) {
		return false, false
	}
	return a.c.Takes(s.side)
}

// letIn makes a leg that has come leg C.
func (a *actor) letIn(s *seat, t *Taking) {
	if a.hunting != nil && s.side == call.B {
		a.hunting.settle(s)
	}
	a.moving = nil
	c := a.newSeat(call.C, member{t.Edge, t.Trunk, t.Party, t.Policy})
	c.leg = t.Leg(inbox{a, c})
	if len(a.rec.Transfers) < MaxTransfers {
		a.rec.Transfers = append(a.rec.Transfers, Transfer{Time: time.Now(), Side: s.side, By: t.Edge, To: t.Party})
	}
	if a.step(call.Taken{Side: s.side, Media: t.Offer}) {
		return
	}
	c.gone, a.legs[call.C] = true, nil
	c.leg.End(call.Conflict, call.Detail{})
}

// admitComing lets in the leg that waited, if it may take its place now.
func (a *actor) admitComing() {
	if a.coming == nil {
		return
	}
	if now, later := a.takes(a.coming.seat); later && !now {
		return
	}
	l := *a.coming
	a.coming = nil
	a.arrives(l)
}

// seatC makes C the leg of a side.
func (a *actor) seatC(side call.Side) {
	old, c := a.legs[side], a.legs[call.C]
	old.gone = true
	c.side = side
	a.legs[side], a.legs[call.C] = c, nil
	a.g.mu.Lock()
	a.rec.move(side, c.edge, a.bridge.Stats())
	a.rec.trunks[side], a.rec.codecs[side] = c.trunk, codecs{allowed: names(c.policy.Codecs)}
	a.g.mu.Unlock()
	if t := a.lastTransfer(); t != nil {
		t.Done = true
	}
	a.g.metrics.moves.WithLabelValues(old.edge.String(), "done").Inc()
	a.log.Info("leg replaced", "leg", side.String(), "from", old.edge.String(), "to", c.edge.String(), "trunk", c.trunk)
	a.log.Debug("new party", "uri", c.party.URI, "jid", c.party.JID)
	a.legs[side.Other()].leg.Meet(c.party)
}

// refuseTransfer tells the one who asked that it came to nothing.
func (a *actor) refuseTransfer(x call.RefuseTransfer) {
	s := a.legs[x.Side]
	if t := a.lastTransfer(); t != nil && !t.Done {
		t.Cause = x.Cause
	}
	a.g.metrics.moves.WithLabelValues(s.edge.String(), "failed").Inc()
	s.leg.RefuseTransfer(x.Cause, x.Detail)
}

func (a *actor) lastTransfer() *Transfer {
	if n := len(a.rec.Transfers); n > 0 {
		return &a.rec.Transfers[n-1]
	}
	return nil
}

// leave closes the mailbox. What nobody reads any more is answered where someone waits.
func (a *actor) leave() {
	rest := append(a.unread, a.box.close()...)
	if a.coming != nil {
		rest = append(rest, *a.coming)
	}
	for _, l := range rest {
		if l.take != nil {
			l.take.Refused(&call.Refusal{Cause: call.Declined, Detail: call.Detail{Text: "that call is over"}})
		}
		if l.tell != nil {
			l.tell <- Record{} // it is among those that have ended
		}
		if w, is := l.input.(word); is {
			w.bounce()
		}
	}
}

// owner is the XMPP user whose call one is, who pays for where it goes.
func owner(in Incoming) string {
	jid := in.Target.To.JID
	if in.Edge == XMPP {
		jid = callerOf(in).JID
	}
	return bareJID(jid)
}
