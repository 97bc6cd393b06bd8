package call

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sipxmppgw/gateway/media"
)

func funcName(f func(*Call, Event)) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}

// samples are an event of each kind, for walks to fill in.
var samples = [kinds]Event{
	LegRinging{},
	LegProgress{},
	LegAnswered{},
	LegOffered{},
	LegUpdated{},
	LegRefused{},
	LegConfirmed{},
	LegCandidates{},
	LegDigit{},
	LegPicture{},
	LegAway{},
	LegTransfer{},
	LegReferred{},
	LegEnded{},
	MediaOffered{},
	MediaAnswered{},
	MediaCandidates{},
	MediaDigit{},
	MediaPicture{},
	MediaConnected{},
	MediaSilent{},
	MediaFailed{},
	Taken{},
	TimerFired{},
	Aborted{},
}

// waits are the timers that run in a state, and must: all but TimerAlert. A state that is
// not here waits for the media plane, for a leg, or for nothing.
var waits = map[State][]Timer{
	Calling:    {TimerNoAnswer, TimerAlert},
	Ringing:    {TimerNoAnswer},
	Confirming: {TimerConfirm},
	Ending:     {TimerLinger},

	Transferring: {TimerNoAnswer},
	PickingUp:    {TimerNoAnswer},
}

// A mediaRequest is one to the media plane that has no result yet.
type mediaRequest struct {
	op   Op
	what string // the action, such as OfferMedia
}

// A walk is one call among peers that mostly keep to their protocols and sometimes do
// anything at all. It carries out what the call wants, and holds the call to its promises;
// problem is the first that was broken.
type walk struct {
	rng     *rand.Rand
	c       *Call
	used    func(*rule)
	problem string
	log     []entry

	timers   map[Timer]bool
	requests []mediaRequest
	ops      Op      // the last one
	ended    [3]bool // LegEnded was given
	told     [3]bool // EndLeg was sent
	third    third   // the leg C
	called   bool    // B has our offer
	answered bool    // B took the call
	answers  int     // AnswerLeg to A
	sure     bool    // A has confirmed
	owed     [2]int  // LegOffered in a running session, unanswered
	refused  bool    // the last event was LegRefused
	asked    [2]bool // UpdateLeg, unanswered
	hands    [2]int  // LegTransfer, unanswered
	rings    bool    // RingMedia is on
	cause    *Cause  // of the end
	tried    int     // ends that are tried
	released bool
	finished bool
}

// A third is a leg C, as the one who plays it knows it.
type third struct {
	there    bool
	came     bool
	referred bool // there is none: the other peer carries the transfer out
	offered  bool // it has our offer
	answered bool // it has answered, or was answered
	sure     bool // it has confirmed our answer
	side     Side // whose place it is to take
}

// An entry is an event and the state that it came in, or an action.
type entry struct {
	what any
	in   State
}

// story is what happened, for people.
func (w *walk) story() string {
	var b strings.Builder
	for _, l := range w.log {
		if a, is := l.what.(Action); is {
			fmt.Fprintln(&b, "    "+Show(a))
			continue
		}
		fmt.Fprintf(&b, "%T", l.what)
		for i, v := 0, reflect.ValueOf(l.what); i < v.NumField(); i++ {
			f := v.Field(i).Interface()
			if d, is := f.(media.Description); is {
				f = "nothing"
				if !d.Empty() {
					f = d.Streams[0].Direction
				}
			}
			fmt.Fprintf(&b, " %v", f)
		}
		fmt.Fprintf(&b, " in %s\n", l.in)
	}
	return b.String()
}

// newWalk begins a call. used is told of each row that decides.
func newWalk(seed uint64, used func(*rule)) *walk {
	w := &walk{rng: rand.New(rand.NewPCG(seed, 7)), used: used, timers: map[Timer]bool{}}
	mode, offer := Mode(seed%4), media.Description{}
	if mode == Offered || mode == Early {
		offer = w.description()
	}
	limits := DefaultLimits()
	limits.Renew = seed%3 == 0
	var actions []Action
	w.c, actions = New(limits, offer, mode)
	w.do(actions)
	w.check()
	return w
}

// run has a call go on for a while, then often lets everyone answer what they were asked,
// and ends the call in one of the ways there are. It returns what went wrong.
func (w *walk) run() string {
	for range w.rng.IntN(60) {
		switch {
		case w.rng.IntN(6) == 0:
			w.wild()
		case w.rng.IntN(30) == 0:
			w.leave()
		default:
			w.polite()
		}
	}
	if w.rng.IntN(2) == 0 {
		w.settle()
	}
	for range 100 {
		if w.c.state == Ended || w.problem != "" {
			break
		}
		w.leave()
	}
	switch {
	case w.c.state != Ended:
		w.fail("it is %s and does not end", w.c.state)
	case !w.released || !w.finished:
		w.fail("released %v, finished %v", w.released, w.finished)
	case len(w.timers) > 0:
		w.fail("timers run after the end: %v", w.timers)
	}
	return w.problem
}

func (w *walk) fail(format string, args ...any) {
	if w.problem == "" {
		w.problem = fmt.Sprintf(format, args...)
	}
}

func (w *walk) description() media.Description {
	codecs := []media.Codec{{Name: "G722", ClockRate: 8000}, {Name: "PCMU", ClockRate: 8000}}
	d := media.Description{Streams: []media.Stream{
		{Name: "0", Direction: media.Direction(w.rng.IntN(4)), Codecs: codecs[w.rng.IntN(2):]},
	}}
	if n := w.rng.IntN(4); n > 0 {
		d.Streams = append(d.Streams, media.Stream{Name: "1", Kind: media.Video, Rejected: n == 1})
	}
	return d
}

// fill returns an event of a kind with anything in it.
func (w *walk) fill(k kind) Event {
	v := reflect.New(reflect.TypeOf(samples[k])).Elem()
	for i := range v.NumField() {
		switch v.Field(i).Interface().(type) {
		case Side:
			v.Field(i).Set(reflect.ValueOf(Side(w.rng.IntN(2))))
		case media.Description:
			if w.rng.IntN(4) > 0 {
				v.Field(i).Set(reflect.ValueOf(w.description()))
			}
		case Cause:
			v.Field(i).Set(reflect.ValueOf(Cause(w.rng.IntN(int(causes)))))
		case Op:
			v.Field(i).Set(reflect.ValueOf(Op(w.rng.IntN(int(w.ops) + 2))))
		case Digit:
			v.Field(i).Set(reflect.ValueOf(Digit{Key: '5'}))
		}
	}
	return v.Interface().(Event)
}

// wild gives an event that nobody who keeps to a protocol would cause.
func (w *walk) wild() {
	k := kind(w.rng.IntN(int(kinds)))
	switch k {
	case kLegEnded, kAborted:
		return // these are always in order, and leave has them
	case kTimerFired:
		return // the shell drops what no longer runs
	case kTaken, kLegTransfer, kLegReferred:
		return // the edges have seen to it that these are in order
	case kLegConfirmed:
		if w.answers == 0 {
			return // nobody can have an answer that was not given
		}
	}
	e := w.fill(k)
	if op := reflect.ValueOf(e).FieldByName("Op"); op.IsValid() {
		if op.IsZero() || slices.ContainsFunc(w.requests, func(r mediaRequest) bool { return r.op == op.Interface() }) {
			return // the media plane is ours; what it can do out of turn is a result that comes twice
		}
	}
	w.step(e, false)
}

// leave gives an event that ends a call.
func (w *walk) leave() {
	e := Event(TimerFired{TimerLinger})
	switch s := Side(w.rng.IntN(2)); w.rng.IntN(5) {
	case 0, 1, 2:
		e = w.fill(kLegEnded)
		if w.third.there && w.rng.IntN(2) == 0 {
			e = From(e, C)
		}
		if l := e.(LegEnded); w.ended[l.Side] {
			return
		}
	case 3:
		e = w.fill(kAborted)
		if w.rng.IntN(2) == 0 {
			e = MediaFailed{0, s, w.fill(kAborted).(Aborted).Cause, Detail{}}
		}
	}
	if f, is := e.(TimerFired); is && !w.timers[f.Timer] {
		return
	}
	w.step(e, w.c.state < Ending || !isAborted(e))
}

func isAborted(e Event) bool { _, is := e.(Aborted); return is }

// polite gives an event that is in order. If none is, nothing happens.
func (w *walk) polite() {
	if moves := w.moves(); len(moves) > 0 {
		w.step(moves[w.rng.IntN(len(moves))], w.c.state < Ending)
	}
}

// moves are the events that are in order now, those that a good call needs before others.
func (w *walk) moves() []Event {
	moves := w.answersDue()
	s := Side(w.rng.IntN(2))
	var mine []Event
	if w.c.state < Ending {
		mine = append(mine, []Event{MediaConnected{s}, MediaSilent{s}}[w.rng.IntN(2)], MediaCandidates{s, w.description()}, MediaDigit{s, Digit{Key: '1'}})
	}
	if !w.ended[s] && !w.told[s] {
		mine = append(mine, []Event{LegCandidates{s, w.description()}, LegAway{s}}[w.rng.IntN(2)], LegDigit{s, Digit{Key: '2'}})
		if w.sure && w.answered {
			mine = append(mine, LegOffered{s, w.description()}, LegOffered{s, w.description()})
			if w.hands[s] == 0 && w.c.state < Ending {
				mine = append(mine, LegTransfer{s, Destination{Address: "c"}})
			}
		}
	}
	if now, _ := w.c.Takes(s); now && !w.third.there {
		mine = append(mine, Taken{s, []media.Description{{}, w.description(), w.description()}[w.rng.IntN(3)]})
	}
	if replaced := w.c.moving; w.c.state >= Transferring && w.c.state < Ending && !w.ended[replaced] && w.rng.IntN(3) == 0 {
		mine = append(mine, LegEnded{replaced, Unavailable, Detail{}}, MediaFailed{Side: replaced, Cause: MediaLost})
	}
	for t := TimerAlert; t <= TimerLinger; t++ {
		if w.timers[t] && w.rng.IntN(4) == 0 {
			mine = append(mine, TimerFired{t})
		}
	}
	return append(moves, mine...)
}

// answersDue are what legs and media plane owe the call.
func (w *walk) answersDue() []Event {
	var due []Event
	for _, r := range w.requests {
		switch {
		case w.rng.IntN(12) == 0:
			due = append(due, MediaFailed{Op: r.op, Side: Side(w.rng.IntN(2)), Cause: Incompatible})
		case r.what == "OfferMedia", r.what == "TryMedia":
			due = append(due, MediaOffered{r.op, w.description()})
		case r.what == "TakeMedia":
			due = append(due, MediaAnswered{r.op, media.Description{}})
		case r.what == "AnswerMedia" && (w.answers > 0 || w.c.mode != Offered): // it has no offer waiting
			due = append(due, MediaAnswered{r.op, media.Description{}})
		default:
			due = append(due, MediaAnswered{r.op, w.description()})
		}
	}
	for _, s := range []Side{A, B} {
		if w.asked[s] && !w.ended[s] {
			due = append(due, []Event{LegUpdated{s, w.description()}, LegRefused{s, Conflict}}[w.rng.IntN(2)])
		}
	}
	due = append(due, w.thirdDue()...)
	if w.called && !w.answered && !w.ended[B] && !w.told[B] {
		early := []media.Description{{}, w.description()}[w.rng.IntN(2)]
		due = append(due, LegRinging{B}, LegProgress{B, early}, LegAnswered{B, w.description()})
	}
	if w.answers > 0 && !w.sure && !w.ended[A] {
		switch {
		case w.c.mode == Announced && w.answers == 1 && w.c.offer.Empty():
			due = append(due, LegOffered{A, w.description()})
		case w.c.mode == Offerless:
			due = append(due, LegConfirmed{A, []media.Description{{}, w.description(), w.description()}[w.rng.IntN(3)]})
		case w.c.mode != Announced || w.answers == 2:
			due = append(due, LegConfirmed{A, media.Description{}})
		}
	}
	return due
}

// thirdDue is what leg C owes the call.
func (w *walk) thirdDue() []Event {
	t := &w.third
	switch {
	case !t.there:
		return nil
	case w.told[C], t.referred && w.c.state != Transferring:
		return []Event{LegEnded{C, Cancelled, Detail{}}}
	case t.referred:
		return []Event{LegReferred{Side: t.side.Other(), Done: w.rng.IntN(2) == 0, Cause: Declined}}
	case t.offered && !t.answered:
		return []Event{LegRinging{C}, LegProgress{C, media.Description{}}, LegAnswered{C, w.description()}, LegEnded{C, Busy, Detail{}}}
	case t.came && t.answered && !t.sure:
		return []Event{LegConfirmed{C, w.description()}, LegEnded{C, Timeout, Detail{}}}
	case t.answered:
		return []Event{LegCandidates{C, w.description()}}
	}
	return nil
}

// settle has everyone answer what they owe. Then nobody is owed an answer.
func (w *walk) settle() {
	for range 500 {
		due := w.answersDue()
		if len(due) == 0 || w.c.state >= Ending || w.problem != "" {
			break
		}
		w.step(due[w.rng.IntN(len(due))], true)
	}
	if w.c.state < Ending && w.answers > 0 && (w.c.state != Active || w.owed != [2]int{} || w.hands != [2]int{}) {
		w.fail("all have answered, and it is %s and owes %v", w.c.state, w.owed)
	}
}

// step gives the call an event. One that is in order must have its place, unless it is the
// result of a request that the call no longer awaits.
func (w *walk) step(e Event, inOrder bool) {
	if w.problem != "" || w.c.state == Ended {
		return
	}
	w.log = append(w.log, entry{e, w.c.state})
	before := w.c.state
	due := inOrder && !w.superseded(e)
	w.before(e)
	l, offered := e.(LegOffered)
	late := offered && l.Side == A && before == Confirming && w.c.mode == Announced && w.c.offer.Empty()
	w.used(row(w.c, e))
	actions, ok := w.c.Step(e)
	switch {
	case !ok && (len(actions) > 0 || w.c.state != before):
		w.fail("an event without place did something")
	case !ok && due:
		w.fail("an event that is in order has no place")
	case w.c.state < before && before >= Ending:
		w.fail("from %s to %s", before, w.c.state)
	}
	if ok {
		w.after(e, before, late)
	}
	w.do(actions)
	w.check()
}

// superseded reports whether an event is the result of a request whose place another took.
func (w *walk) superseded(e Event) bool {
	switch e := e.(type) {
	case MediaOffered:
		return e.Op != w.c.waiting
	case MediaAnswered:
		return e.Op != w.c.waiting && e.Op != w.c.joining || w.c.state == Active
	case MediaFailed:
		return e.Op != 0 && e.Op != w.c.waiting && e.Op != w.c.joining
	}
	return false
}

// before takes note of what the world has done.
func (w *walk) before(e Event) {
	answeredNow := func(op Op) {
		w.requests = slices.DeleteFunc(w.requests, func(r mediaRequest) bool { return r.op == op })
	}
	switch e := e.(type) {
	case LegEnded:
		w.ended[e.Side] = true
		if e.Side == C {
			w.third = third{}
			w.told[C] = false
		} else {
			w.hands[e.Side] = 0
		}
	case MediaOffered:
		answeredNow(e.Op)
	case MediaAnswered:
		answeredNow(e.Op)
	case MediaFailed:
		answeredNow(e.Op)
	case TimerFired:
		delete(w.timers, e.Timer)
	}
}

// after takes note of what an event meant to the call. late says that it is the offer of a
// caller that describes its media after the answer, which AnswerLeg answers.
func (w *walk) after(e Event, before State, late bool) {
	_, w.refused = e.(LegRefused)
	switch e := e.(type) {
	case Taken:
		w.third = third{there: true, came: true, side: e.Side}
		w.ended[C], w.told[C] = false, false
	case LegTransfer:
		w.hands[e.Side]++
	case LegAnswered:
		if e.Side == C {
			w.third.answered = true
			break
		}
		w.answered = true
	case LegConfirmed:
		if e.Side == C {
			w.third.sure = true
			break
		}
		w.sure = w.sure || w.answers > 0 && e.Side == A
	case LegOffered:
		if before < Ending && !late {
			w.owed[e.Side]++
		}
	case LegUpdated:
		w.asked[e.Side] = false
	case LegRefused:
		w.asked[e.Side] = false
	}
	if before < Ending && w.c.state >= Ending {
		cause := w.c.cause
		if r, is := e.(LegReferred); is && r.Done {
			cause = Transferred
		} else if c := reflect.ValueOf(e).FieldByName("Cause"); c.IsValid() {
			cause = c.Interface().(Cause)
		}
		if end, is := e.(LegEnded); is && end.Side != C && cause == Cancelled && before >= Active && before < PickingUp {
			cause = Normal // it was answered
		}
		w.cause = &cause
	}
}

// do carries out what the call wants.
func (w *walk) do(actions []Action) {
	for _, a := range actions {
		w.log = append(w.log, entry{what: a})
		if w.finished {
			w.fail("an action after the end")
		}
		v := reflect.ValueOf(a)
		_, seats := a.(SeatLeg)
		if side := v.FieldByName("Side"); side.IsValid() && !strings.HasSuffix(v.Type().Name(), "Media") && !seats {
			w.leg(side.Interface().(Side))
		}
		if t, is := a.(TryMedia); is && w.third.referred {
			w.ops = t.Op // nobody carries it out
		} else if op := v.FieldByName("Op"); op.IsValid() {
			w.request(mediaRequest{op.Interface().(Op), v.Type().Name()})
		}
		switch a := a.(type) {
		case TryLeg:
			if w.third.there {
				w.fail("a third leg beside a third leg")
			}
			w.third = third{there: true, side: a.Side, referred: w.rng.IntN(6) == 0}
			w.ended[C], w.told[C] = false, false
		case SeatLeg:
			w.seat(a.Side)
		case RefuseTransfer:
			if w.hands[a.Side]--; w.hands[a.Side] < 0 {
				w.fail("leg %s is refused a transfer that it did not ask for", a.Side)
			}
		case TryMedia:
			if !a.Media.Empty() && len(w.requests) > 0 {
				w.requests[len(w.requests)-1].what = "JoinMedia" // it is answered
			}
			w.tried++
			if w.tried > 1 {
				w.fail("two ends are tried at once")
			}
		case TakeMedia:
			w.tried = 0
		case DropMedia:
			w.tried = 0
		case OfferLeg:
			if a.Side == C {
				w.third.offered = true
				break
			}
			if w.called || a.Side != B || a.Media.Empty() {
				w.fail("leg %s offered %v, before that %v", a.Side, a.Media, w.called)
			}
			w.called = true
		case RingLeg, ProgressLeg:
			if w.answered {
				w.fail("ringing after the answer")
			}
		case AnswerLeg:
			if a.Side == C {
				w.third.answered = true
				break
			}
			w.answers++
			if w.answers > 1 && w.c.mode != Announced || w.answers > 2 || a.Side != A {
				w.fail("leg %s answered for the %d. time", a.Side, w.answers)
			}
		case AnswerUpdate:
			w.owes(a.Side)
		case RefuseUpdate:
			if !w.refused { // else it was answered, and hears what it does not get
				w.owes(a.Side)
			}
		case UpdateLeg:
			if w.asked[a.Side] || !w.answered || !w.sure {
				w.fail("leg %s is asked to change before the session, or the last change, is settled", a.Side)
			}
			w.asked[a.Side] = true
		case EndLeg:
			w.told[a.Side] = true
			if w.cause != nil && *w.cause != a.Cause {
				w.fail("leg %s is ended for %s, not %s", a.Side, a.Cause, *w.cause)
			}
		case RingMedia:
			kept := a.Side == w.c.moving.Other() && a.On != w.rings
			if a.On && w.rings || w.c.mode != Early && !kept {
				w.fail("ringing twice the same, or to a side that was not answered")
			}
			w.rings = a.On
		case ReleaseMedia:
			if w.released {
				w.fail("released twice")
			}
			w.released = true
		case StartTimer:
			w.timers[a.Timer] = true
		case StopTimer:
			delete(w.timers, a.Timer)
		case Finish:
			w.finished = true
			if w.cause == nil || *w.cause != a.Cause {
				w.fail("finished for %s", a.Cause)
			}
		}
	}
}

// seat makes C the leg of a side. The one that was there has ended, or was told to, and is
// heard of no more.
func (w *walk) seat(s Side) {
	t := w.third
	switch {
	case !t.there || w.told[C] || t.side != s || !t.answered:
		w.fail("leg %s is replaced by %+v", s, t)
	case !w.ended[s] && !w.told[s]:
		w.fail("leg %s is replaced and was not told to end", s)
	}
	if s == B && !w.answered {
		w.answered = true // picked up
	}
	w.third = third{}
	w.ended[s], w.told[s] = false, false
	w.hands[s], w.asked[s], w.owed[s] = 0, false, 0
}

// leg checks that a command goes to a leg that can still take one.
func (w *walk) leg(s Side) {
	switch {
	case w.ended[s]:
		w.fail("a command to leg %s, which has ended", s)
	case w.told[s]:
		w.fail("a command to leg %s, which was told to end", s)
	}
}

func (w *walk) request(r mediaRequest) {
	if r.op <= w.ops || w.released {
		w.fail("request %d after %d, released %v", r.op, w.ops, w.released)
	}
	w.ops = r.op
	w.requests = append(w.requests, r)
}

func (w *walk) owes(s Side) {
	if w.owed[s]--; w.owed[s] < 0 {
		w.fail("a change of leg %s is answered that it did not ask for", s)
	}
}

// check holds what must be true between two events.
func (w *walk) check() {
	s := w.c.state
	if _, known := waits[s]; known || s == Ended || s == Preparing || s == Answering || s == Active {
		for t := range w.timers {
			if !slices.Contains(waits[s], t) {
				w.fail("timer %s runs in %s", t, s)
			}
		}
	}
	if all := waits[s]; len(all) > 0 && !w.timers[all[0]] {
		w.fail("timer %s does not run in %s", all[0], s)
	}
	awaited := func(op Op) bool {
		return op != 0 && slices.ContainsFunc(w.requests, func(r mediaRequest) bool { return r.op == op })
	}
	switch s {
	case Transferring, Seating, PickingUp:
		if !awaited(w.c.waiting) && !w.third.there {
			w.fail("%s waits for nothing", s)
		}
	case Preparing, Answering, Updating:
		if !awaited(w.c.waiting) {
			w.fail("%s waits for nothing", s)
		}
	case Passing:
		if !awaited(w.c.waiting) && !awaited(w.c.joining) && !w.asked[A] && !w.asked[B] {
			w.fail("%s waits for nothing", s)
		}
	case Active:
		if w.rings || !w.answered || !w.sure || w.owed != [2]int{} {
			w.fail("active: rings %v, answered %v, confirmed %v, owes %v", w.rings, w.answered, w.sure, w.owed)
		}
	case Ending:
		for _, side := range []Side{A, B, C} {
			if !w.ended[side] && !w.told[side] && (side != C || w.third.there) {
				w.fail("leg %s is not told of the end", side)
			}
		}
	}
}

// Forty thousand calls among peers of few manners: whatever comes, in whatever order, every
// call ends, each leg is told to end at most once and nothing after it, each offer is
// answered or refused once, everything is given back exactly once, and no timer runs where
// nothing is waited for. Every event and every row has its turn.
func TestRandomCalls(t *testing.T) {
	rows, seen := map[*rule]int{}, [kinds]int{}
	for seed := range uint64(40000) {
		w := newWalk(seed, func(r *rule) { rows[r]++ })
		if problem := w.run(); problem != "" {
			t.Fatalf("seed %d: %s\n%s", seed, problem, w.story())
		}
		for _, l := range w.log {
			if e, is := l.what.(Event); is {
				seen[e.kind()]++
			}
		}
	}
	for k, n := range seen {
		if n == 0 {
			t.Errorf("no walk had %s", kind(k))
		}
	}
	for _, table := range [][]rule{rules, always} {
		for i := range table {
			if rows[&table[i]] == 0 {
				t.Errorf("no walk used the row %s", text(&table[i]))
			}
		}
	}
}

// text is a row in words.
func text(r *rule) string {
	from, when, do := [...]string{"", " from A", " from B", " from C"}[r.from], "", "nothing"
	if r.when != nil {
		when = " (" + r.when.name + ")"
	}
	if r.do != nil {
		do = funcName(r.do)
	}
	if isAlways(r) {
		return fmt.Sprintf("any: %s: %s", r.event, do)
	}
	return fmt.Sprintf("%s: %s%s%s: %s, %s", r.state, r.event, from, when, r.next, do)
}

// isAlways reports whether a row, or its original, is one of always.
func isAlways(r *rule) bool {
	same := func(o rule) bool { return o.state == r.state && o.event == r.event && o.next == r.next }
	return slices.ContainsFunc(always, same) && !slices.ContainsFunc(rules, same)
}

// Every state but the last has a rule for the end of each leg, so that no call can stay.
func TestEveryStateEnds(t *testing.T) {
	for s := Preparing; s < Ended; s++ {
		for _, side := range []Side{A, B} {
			c := &Call{state: s, open: [3]bool{true, true, true}, moving: side.Other()}
			if s == PickingUp && side == B {
				continue // the callee's leg is the one that is replaced
			}
			if r := find(c, LegEnded{side, Normal, Detail{}}); r == nil || r.next != Ending {
				t.Errorf("%s: leg %s ends, and the call does not", s, side)
			}
		}
	}
}
