package call

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"sipxmppgw/gateway/media"
)

func funcName(f func(*Call, Event)) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}

// world is everything around one call: it carries out actions, answers like a peer of no
// fixed manners, and holds the call to its promises.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	c        *Call
	timers   map[Timer]bool
	requests map[Op]string // to the media plane, unanswered
	updates  int           // LegOffered in a running session, unanswered
	asked    int           // UpdateLeg, unanswered
	offered  [2]bool
	ended    [2]bool // LegEnded was given
	told     [2]bool // EndLeg was sent
	released int
	finished int
	log      []string
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.log, "\n"))
}

func (w *world) do(actions []Action) {
	for _, a := range actions {
		w.log = append(w.log, "    "+show(a))
		if w.finished > 0 {
			w.fail("an action after the end")
		}
		switch a := a.(type) {
		case OfferLeg:
			w.leg(a.Side)
			if w.offered[a.Side] {
				w.fail("leg offered twice")
			}
			w.offered[a.Side] = true
		case RingLeg:
			w.leg(a.Side)
		case ProgressLeg:
			w.leg(a.Side)
		case AnswerLeg:
			w.leg(a.Side)
		case AnswerUpdate, RefuseUpdate:
			w.updates--
			if w.updates < 0 {
				w.fail("an update answered that nobody asked for")
			}
		case UpdateLeg:
			w.leg(a.Side)
			w.asked++
			if w.asked > 1 {
				w.fail("a leg is asked to change before the last change is settled")
			}
		case CandidatesLeg:
			w.leg(a.Side)
		case EndLeg:
			w.leg(a.Side)
			w.told[a.Side] = true
		case OfferMedia:
			w.requests[a.Op] = "offer"
		case AnswerMedia:
			w.requests[a.Op] = "answer"
		case JoinMedia:
			w.requests[a.Op] = "join"
		case ReleaseMedia:
			w.released++
		case StartTimer:
			w.timers[a.Timer] = true
		case StopTimer:
			delete(w.timers, a.Timer)
		case Finish:
			w.finished++
		}
	}
}

// leg checks that a command goes to a leg that can still take one.
func (w *world) leg(s Side) {
	w.t.Helper()
	if w.ended[s] {
		w.fail("a command to leg %s, which has ended", s)
	}
	if w.told[s] {
		w.fail("a command to leg %s, which was told to end", s)
	}
}

func (w *world) step(e Event) {
	w.log = append(w.log, fmt.Sprintf("%T %+v in %s", e, e, w.c.State()))
	if l, ok := e.(LegEnded); ok {
		if w.ended[l.Side] {
			return
		}
		w.ended[l.Side] = true
		w.told[l.Side] = false
	}
	before := w.c.State()
	actions, ok := w.c.Step(e)
	switch e.(type) {
	case LegOffered:
		_, refused := first(actions).(RefuseUpdate)
		if ok && before < Ending && (before >= Active || refused) {
			w.updates++
		}
	case LegUpdated, LegRefused:
		if ok && before == Passing {
			w.asked = 0 // whether it was asked or speaks out of turn
		}
	}
	if !ok && len(actions) > 0 {
		w.fail("actions from an event without place")
	}
	w.do(actions)
}

func first(actions []Action) Action {
	if len(actions) == 0 {
		return nil
	}
	return actions[0]
}

func (w *world) random() Event {
	side := Side(w.rng.IntN(2))
	some := media.Description{Streams: []media.Stream{{Name: "m", Direction: media.Direction(w.rng.IntN(4))}}}
	if w.rng.IntN(4) == 0 {
		some = media.Description{}
	}
	cause := Causes()[w.rng.IntN(len(Causes()))]
	switch w.rng.IntN(16) {
	case 0:
		return LegRinging{side}
	case 1:
		return LegProgress{side, some}
	case 2, 3:
		return LegAnswered{side, some}
	case 4:
		return LegOffered{side, some}
	case 5, 6:
		return LegConfirmed{side, some}
	case 7:
		return LegCandidates{side, some}
	case 8:
		if w.rng.IntN(3) > 0 {
			return MediaConnected{side}
		}
		return LegEnded{side, cause, Detail{}}
	case 9:
		switch w.rng.IntN(3) {
		case 0:
			return LegUpdated{side, some}
		case 1:
			return LegRefused{side, cause}
		}
		return MediaCandidates{side, some}
	case 10:
		return MediaFailed{Op(w.rng.IntN(4)), side, cause, Detail{}}
	case 11:
		if w.rng.IntN(8) > 0 {
			return MediaConnected{side}
		}
		return Aborted{cause, Detail{}}
	case 12:
		for t := range w.timers {
			delete(w.timers, t)
			return TimerFired{t}
		}
		return TimerFired{Timer(w.rng.IntN(4))}
	default:
		for op, what := range w.requests {
			delete(w.requests, op)
			if what == "offer" {
				return MediaOffered{op, some}
			}
			return MediaAnswered{op, some}
		}
		return LegRinging{B}
	}
}

// Two thousand calls among peers of no manners: whatever comes, in whatever order, every
// call ends, each leg is told to end at most once and told nothing after it, what is asked
// in a running session is answered, and everything is given back exactly once.
func TestRandomCalls(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := &world{t: t, rng: rng, timers: map[Timer]bool{}, requests: map[Op]string{}}
		mode := Mode(seed % 4)
		offer := media.Description{Streams: []media.Stream{{Name: "o"}}}
		if mode == Announced || mode == Offerless {
			offer = media.Description{}
		}
		var actions []Action
		w.c, actions = New(DefaultLimits(), offer, mode)
		w.do(actions)
		for range 60 {
			if w.c.State() == Ended {
				break
			}
			w.step(w.random())
		}
		for _, s := range []Side{A, B} {
			if w.c.State() != Ended {
				w.step(LegEnded{s, Normal, Detail{}})
			}
		}
		if w.c.State() != Ended || w.finished != 1 || w.released != 1 {
			w.fail("seed %d: state %s, finished %d times, released %d times", seed, w.c.State(), w.finished, w.released)
		}
	}
}

// An offer within a running session is answered or refused before the next event of that
// kind can be, unless the call ends.
func TestEveryUpdateIsAnswered(t *testing.T) {
	for seed := range uint64(500) {
		w := &world{
			t: t, rng: rand.New(rand.NewPCG(seed, 9)),
			timers: map[Timer]bool{}, requests: map[Op]string{},
		}
		offer := media.Description{Streams: []media.Stream{{Name: "o"}}}
		var actions []Action
		w.c, actions = New(DefaultLimits(), offer, Offered)
		w.do(actions)
		w.step(MediaOffered{w.c.ops, offer})
		w.step(LegAnswered{B, offer})
		w.step(MediaAnswered{w.c.ops, offer})
		w.step(LegConfirmed{A, media.Description{}})
		if w.c.State() != Active {
			w.fail("the call is not active")
		}
		clear(w.requests)
		for range 20 {
			switch w.rng.IntN(6) {
			case 0:
				changed := offer.Clone()
				changed.Streams[0].Direction = media.Direction(w.rng.IntN(4))
				w.step(LegOffered{Side(w.rng.IntN(2)), changed})
			case 1:
				w.step(MediaAnswered{w.c.ops, offer})
			case 2:
				w.step(MediaFailed{w.c.ops, A, Incompatible, Detail{}})
			case 3:
				w.step(MediaOffered{w.c.ops, offer})
			case 4:
				w.step(LegUpdated{Side(w.rng.IntN(2)), offer})
			case 5:
				w.step(LegRefused{Side(w.rng.IntN(2)), Conflict})
			}
		}
		for w.c.State() != Active { // everyone answers at last
			before := len(w.log)
			w.step(MediaAnswered{w.c.joining, offer})
			w.step(MediaOffered{w.c.waiting, offer})
			w.step(MediaAnswered{w.c.waiting, offer})
			w.step(LegRefused{w.c.side.Other(), Conflict})
			if len(w.log) > before+1000 {
				w.fail("seed %d: it never settles", seed)
			}
		}
		if w.updates != 0 || w.asked != 0 || w.c.State() != Active {
			w.fail("seed %d: %d updates open in %s", seed, w.updates, w.c.State())
		}
	}
}

// Every state but the last has a rule for the end of each leg, so that no call can stay.
func TestEveryStateEnds(t *testing.T) {
	for s := Preparing; s < Ended; s++ {
		for _, side := range []Side{A, B} {
			c := &Call{state: s, open: [2]bool{true, true}}
			if r := find(c, LegEnded{side, Normal, Detail{}}); r == nil || r.next != Ending {
				t.Errorf("%s: leg %s ends, and the call does not", s, side)
			}
		}
	}
}
