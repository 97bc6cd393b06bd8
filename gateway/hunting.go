package gateway

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/hunt"
	"sipxmppgw/gateway/media"
)

// A hunting carries out the hunt of a call that may go to several places. Each place that is
// tried has a seat and a bridge of its own, since what its media may be is its own; but a
// caller that was answered first (eager mode) has its bridge already, and places follow each
// other on that.
//
// The machine of the call knows nothing of it. It has one leg B, which rings when the first
// place does, answers as the one that wins, and ends when all have. The bridge of the winner
// takes the place of the one that the machine had made its offer: both were asked the same.
type hunting struct {
	a      *actor
	h      *hunt.Hunt
	tries  []*try
	begun  time.Time              // zero before B was to be called
	offer  media.Description      // for B, by the call's first bridge
	said   []call.CandidatesMedia // by the caller, of its transports
	timers [2]timer               // by hunt.Timer
}

// A try is one place.
type try struct {
	target Target
	seat   *seat  // nil until it is dialled
	bridge Bridge // nil before, and after it was given back
	turn   int
	kept   []call.Event   // of bridge, for the machine if this place wins
	ended  *call.LegEnded // before it was called
}

// newHunting returns how the call looks for who takes it; nil if its target is one place. The
// first place has been dialled.
func newHunting(a *actor) *hunting {
	t := a.in.Target
	if len(t.Others) == 0 {
		return nil
	}
	h := &hunting{a: a, tries: []*try{{target: t, seat: a.legs[call.B], bridge: a.bridge, turn: a.turn}}}
	branches := []hunt.Branch{h.branch(t)}
	for _, o := range t.Others {
		if t.Early && !reflect.DeepEqual(o.Policy, t.Policy) {
			a.log.Warn("place left out: a caller that is answered first needs the same media everywhere", "trunk", o.Trunk)
			continue
		}
		h.tries = append(h.tries, &try{target: o})
		branches = append(branches, h.branch(o))
	}
	h.h = hunt.New(branches)
	return h
}

// branch is what the hunt knows of a place. On one bridge there is only one at a time.
func (h *hunting) branch(t Target) hunt.Branch {
	if h.early() {
		return hunt.Branch{Round: len(h.tries) - 1}
	}
	return hunt.Branch{Round: t.Round, Lead: t.Lead, Person: t.Person}
}

func (h *hunting) early() bool { return h.tries[0].target.Early }

// hasty says how long one of several ways to a callee may be silent. more says that another
// comes after it, and spent how long those before it took.
func hasty(t Target, more bool, spent time.Duration) Target {
	if t.Person == "" {
		t.Hasty, t.Within = more, hunt.Total-spent
	}
	return t
}

// chain returns a target, and then what is left of it without its first place, without its
// first two, and so on.
func (t Target) chain() []Target {
	all := []Target{t}
	for i, next := range t.Others {
		next.Others = t.Others[i+1:]
		next.onBusy, next.onNoAnswer, next.patience = t.onBusy, t.onNoAnswer, t.patience
		all = append(all, next)
	}
	return all
}

// begin calls the first round.
func (h *hunting) begin(offer media.Description) {
	h.begun, h.offer = time.Now(), offer
	h.carryOut(h.h.Begin())
}

func (h *hunting) carryOut(orders []hunt.Order) {
	for len(orders) > 0 {
		o := orders[0]
		orders = orders[1:]
		switch o := o.(type) {
		case hunt.Try:
			orders = append(orders, h.try(o.Branch)...)
		case hunt.End:
			h.end(o)
		case hunt.Start:
			h.start(o)
		case hunt.Stop:
			h.halt(o.Timer)
		case hunt.Won:
			h.won(h.tries[o.Branch])
		case hunt.Over:
			// The machine may be about to say more: it hears of it after that.
			h.a.box.put(letter{hunt: h, event: call.LegEnded{Side: call.B, Cause: o.Cause, Detail: o.Detail}})
		}
	}
}

// try calls a place, and returns what follows if that cannot be.
func (h *hunting) try(i int) []hunt.Order {
	a, t := h.a, h.tries[i]
	if t.seat == nil {
		if err := h.dial(i); err != nil {
			r := &call.Refusal{Cause: call.Failed}
			_ = errors.As(refusal(err), &r)
			a.log.Info("place not called", "place", i, "edge", t.target.Edge.String(), "trunk", t.target.Trunk, "cause", r.Cause.String(), "why", r.Detail.Text)
			h.count(t, "failed")
			return h.h.Ended(i, r.Cause, r.Detail)
		}
		a.log.Info("place called", "place", i, "edge", t.target.Edge.String(), "trunk", t.target.Trunk, "rule", t.target.Rule)
		a.log.Debug("place called", "uri", t.target.To.URI, "jid", t.target.To.JID)
	}
	switch {
	case t.ended != nil:
		h.count(t, "failed")
		return h.h.Ended(i, t.ended.Cause, t.ended.Detail)
	case h.early():
		a.legs[call.B] = t.seat
		t.seat.leg.Offer(h.offer)
	case i == 0:
		t.seat.leg.Offer(h.offer)
	default:
		t.bridge.Offer(opOfTry, call.B, a.in.Offer)
		for _, c := range h.said {
			t.bridge.Candidates(c.Side, c.Media)
		}
	}
	return nil
}

// end closes a place that is tried.
func (h *hunting) end(o hunt.End) {
	t := h.tries[o.Branch]
	h.count(t, "left")
	t.seat.leg.End(o.Cause, o.Detail)
}

// count notes what came of a place.
func (h *hunting) count(t *try, outcome string) {
	h.a.g.metrics.places.WithLabelValues(t.target.Edge.String(), outcome).Inc()
}

// opOfTry numbers the request for an offer that the machine knows nothing of.
const opOfTry = ^call.Op(0)

// dial makes the seat, bridge and leg of a place.
func (h *hunting) dial(i int) error {
	a, t := h.a, h.tries[i]
	dialer, err := a.g.joins(a, t.target)
	if err != nil {
		return err
	}
	t.target = dialer.Aim(hasty(t.target, h.h.More(i), time.Since(h.begun)))
	t.bridge, t.turn = a.bridge, a.turn
	if !h.early() {
		t.turn = a.newTurn()
		if t.bridge, err = a.openBridge(t.turn, t.target.Policy); err != nil {
			t.bridge = nil
			h.part(t)
			return err
		}
	}
	now := a.legs[call.B]
	s := a.newSeat(call.B, member{t.target.Edge, t.target.Trunk, t.target.To, t.target.Policy})
	a.legs[call.B] = now
	if s.leg, err = dialer.Dial(t.target, inbox{a, s}); err != nil {
		s.gone = true
		h.part(t)
		return err
	}
	t.seat = s
	return nil
}

// won gives the call to a place. The others were told to end, and close in their seats.
func (h *hunting) won(t *try) {
	a := h.a
	a.hunting = nil
	h.count(t, "answered")
	for _, other := range h.tries {
		if other == t {
			continue
		}
		if other.seat != nil {
			other.seat.gone = true
		}
		h.part(other)
	}
	if old := a.bridge; t.bridge != old {
		a.g.mu.Lock()
		a.bridge = t.bridge
		a.g.mu.Unlock()
		a.turn = t.turn
		old.Release()
	}
	a.legs[call.B] = t.seat
	a.in.Target = t.target
	a.owner = owner(a.in)
	a.rec.Callee, a.rec.Rule, a.rec.Diverted, a.rec.edges[call.B] = t.target.To, t.target.Rule, t.target.Diverted, t.target.Edge
	a.rec.trunks[call.B], a.rec.codecs[call.B].allowed = t.target.Trunk, names(t.target.Policy.Codecs)
	a.rec.Trunk = strings.Join(placesOf(a.in)[1:], " ")
	a.log.Info("place has the call", "edge", t.target.Edge.String(), "trunk", t.target.Trunk, "rule", t.target.Rule)
}

// fail ends the place in a seat, for a fault that is its own.
func (h *hunting) fail(s *seat, cause call.Cause, detail call.Detail) {
	h.carryOut(h.h.Fail(h.index(s), cause, detail))
}

// takes reports whether somebody may take the call from the place in a seat.
func (h *hunting) takes(s *seat) bool { return !h.begun.IsZero() && h.h.Trying(h.index(s)) }

// settle has the place in a seat win: somebody is about to take the call from there.
func (h *hunting) settle(s *seat) { h.carryOut(h.h.Answered(h.index(s))) }

// giveUp closes all places because the call ends. The machine hears of one end.
func (h *hunting) giveUp(cause call.Cause, detail call.Detail) {
	if h.begun.IsZero() {
		h.a.hunting = nil
		if end := h.tries[0].ended; end != nil {
			h.a.post(*end)
			return
		}
		h.a.leg(call.B).End(cause, detail)
		return
	}
	h.carryOut(h.h.GiveUp(cause, detail))
}

// leave closes all places of a call that goes elsewhere. They close in their seats.
func (h *hunting) leave(cause call.Cause) {
	for _, o := range h.h.GiveUp(cause, call.Detail{}) {
		if end, is := o.(hunt.End); is {
			h.end(end)
		}
	}
	for _, t := range h.tries {
		if t.seat != nil {
			t.seat.gone = true
		}
	}
	h.stop()
	h.release()
}

// part gives back what a place has that no longer has a part in the call.
func (h *hunting) part(t *try) {
	if t.bridge != nil && t.bridge != h.a.bridge {
		t.bridge.Release()
	}
	t.bridge = nil
	trunk := t.target.Trunk
	if trunk == "" || trunk == h.a.in.Trunk {
		return
	}
	for _, other := range h.tries {
		if other.bridge != nil && other.target.Trunk == trunk {
			return
		}
	}
	h.a.g.parts(h.a, trunk)
}

// release gives back the bridges of all places but the call's own.
func (h *hunting) release() {
	if h == nil {
		return
	}
	for _, t := range h.tries {
		if t.bridge != nil && t.bridge != h.a.bridge {
			t.bridge.Release()
		}
		t.bridge = nil
	}
}

// offer calls B: where it may be, if that is several places.
func (a *actor) offer(x call.OfferLeg) {
	if a.moving != nil && x.Side == call.C {
		a.moving.asked = true
	}
	if a.hunting != nil && x.Side == call.B {
		a.hunting.begin(x.Media)
		return
	}
	a.leg(x.Side).Offer(x.Media)
}

// newTurn numbers a bridge of the call beside its first.
func (a *actor) newTurn() int {
	a.turns++
	return a.turns
}

// openBridge opens a bridge of the call beside its first.
func (a *actor) openBridge(turn int, policy media.Policy) (Bridge, error) {
	id := call.ID(string(a.id) + "-" + strconv.Itoa(turn))
	return a.g.opt.Media.Open(id, [2]media.Policy{a.in.Policy, policy}, a.poster(turn))
}

// present are the seats that have a leg to be closed.
func (a *actor) present() []*seat {
	all := a.legs[:]
	if a.hunting == nil {
		return all
	}
	for _, t := range a.hunting.tries {
		if t.seat != nil && !t.seat.gone && t.seat != a.legs[call.B] {
			all = append(all, t.seat)
		}
	}
	return all
}
