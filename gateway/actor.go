package gateway

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/hunt"
	"sipxmppgw/gateway/media"
)

// maxPending is how many inputs a peer may have waiting before it counts as a flood. A
// call is twenty to thirty messages in all.
const maxPending = 128

// A letter is what is written to a call: an input for one leg, or an event.
type letter struct {
	input any        // for the leg in seat, if not nil
	seat  *seat      //
	peer  bool       // caused by the peer, and counted
	event call.Event // for the machine, if input is nil
	gen   uint32     // of the timer, if event is TimerFired
	flood bool       // the leg in seat floods
	last  bool       // nobody waits any longer for the legs to close
	take  *Taking    // wants the place of the leg in seat, or of the one that place names
	place int
	turn  int  // of the bridge that posted event
	media bool // event is of a bridge
	hunt  *hunting
	timer hunt.Timer // of hunt, which has fired

	tell chan<- Record // of who asks how the call is
}

// An actor runs one call. The machine, both legs, the bridge and the timers are touched by
// the goroutine in run and by no other; everyone else writes to the mailbox.
type actor struct {
	g       *Gateway
	id      call.ID
	c       *call.Call
	first   []call.Action // of call.New, carried out by run
	seats   []*seat       // all there are and were; the first two are those of the beginning
	legs    [3]*seat      // by side; C is nil while there is none
	bridge  Bridge
	box     *mailbox[letter]
	timers  [4]timer
	rec     Record
	diary   diary
	longest *time.Timer // ends a call that lasts too long; nil before the answer
	log     *slog.Logger
	unread  []letter // when the call was over
	coming  *letter  // a leg that takes a place as soon as it may
	owner   string   // bare JID of the XMPP user whose call it is

	places []string // the quotas that it counts in
	lamps  map[lampKey]Lamp

	in      Incoming
	turn    int      // of bridge
	turns   int      // bridges so far, beside the first
	hunting *hunting // while the call may go to several places; nil else
	moving  *moving  // how the last transfer looks for whom it is to; nil for none

	// Guarded by the gateway's lock.
	late     bool        // no longer among the calls without an answer
	talking  []string    // the quotas that it counts in as a call that is up
	minute   *time.Timer // when to look at them again; nil for never
	recorded bool        // its media figures are in those of ended calls
}

type timer struct {
	t   *time.Timer
	gen uint32
}

// A seat is one leg of the call, the one it has or one that it had.
type seat struct {
	number int
	first  call.Side // which it was when it began
	member           // whom the leg leads to
	leg    Leg
	side   call.Side // which it is now
	gone   bool      // it is none any more: another has taken its place, or it came to nothing
	ended  bool      // it has reported its end

	pending atomic.Int32 // inputs of the peer that are not read yet
	flooded atomic.Bool
}

// A member is someone in a call.
type member struct {
	edge   Edge
	trunk  string
	party  Party
	policy media.Policy
}

// newSeat makes room for a leg. It is called before run begins, or by it.
func (a *actor) newSeat(side call.Side, m member) *seat {
	s := &seat{number: len(a.seats), first: side, side: side, member: m}
	a.seats = append(a.seats, s)
	a.legs[side] = s
	return s
}

// An inbox is the actor as one leg's edge sees it.
type inbox struct {
	a *actor
	s *seat
}

// Peer implements [Inbox].
func (in inbox) Peer(input any) bool {
	if in.s.flooded.Load() {
		return false
	}
	if in.s.pending.Add(1) > maxPending {
		if in.s.flooded.CompareAndSwap(false, true) {
			in.a.box.put(letter{seat: in.s, flood: true})
		}
		return false
	}
	return in.a.box.put(letter{input: input, seat: in.s, peer: true})
}

// Post implements [Inbox].
func (in inbox) Post(input any) { in.send(input) }

// send is Post that says whether the call is still there to read it.
func (in inbox) send(input any) bool { return in.a.box.put(letter{input: input, seat: in.s}) }

// Call implements [Inbox].
func (in inbox) Call() call.ID { return in.a.id }

// Side implements [Inbox].
func (in inbox) Side() call.Side { return in.s.first }

// Seat implements [Inbox].
func (in inbox) Seat() int { return in.s.number }

// Take implements [Inbox].
func (in inbox) Take(t Taking) bool { return in.a.box.put(letter{seat: in.s, take: &t}) }

// post is given to the shell.
func (a *actor) post(e call.Event) { a.box.put(letter{event: e}) }

// poster is given to the media plane, with the bridge of a turn.
func (a *actor) poster(turn int) func(call.Event) {
	return func(e call.Event) { a.box.put(letter{event: e, media: true, turn: turn}) }
}

// run is the call's goroutine. It ends when the machine has finished, and the machine
// always does: every state has a timer or a leg that ends it.
func (a *actor) run() {
	defer a.g.forget(a)
	defer a.leave()
	defer a.dim()
	if !a.guard(func() { a.do(a.first) }) {
		return
	}
	for {
		batch := a.box.take()
		for i, l := range batch {
			if l.peer {
				l.seat.pending.Add(-1)
			}
			if !a.guard(func() { a.read(l) }) || a.c.State() == call.Ended {
				a.unread = batch[i+1:]
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
	for _, s := range a.present() {
		func() {
			// The leg may be what is broken; the other one is still to be closed.
			defer func() { _ = recover() }()
			if s != nil && s.leg != nil && !s.ended {
				s.leg.End(call.Failed, call.Detail{})
			}
		}()
	}
	a.hunting.release()
	a.hunting.stop()
	a.rec.Media = a.bridge.Stats()
	a.bridge.Release()
	if a.rec.EndedBy == "" {
		a.rec.EndedBy = "gateway"
	}
	a.finish(call.Finish{Cause: call.Failed})
}

func (a *actor) read(l letter) {
	switch {
	case l.tell != nil:
		a.tell(l.tell)
		return
	case l.take != nil:
		a.arrives(l)
	case l.flood && l.seat.gone:
	case l.flood:
		a.g.metrics.floods.Inc()
		a.log.Warn("peer floods its leg", "leg", l.seat.side.String())
		if a.hunting != nil && l.seat.side == call.B && a.hunting.takes(l.seat) { // the others have done nothing
			a.hunting.fail(l.seat, call.Overloaded, call.Detail{Text: "too many messages"})
			break
		}
		a.step(call.Aborted{Cause: call.Overloaded, Detail: call.Detail{Text: "too many messages"}})
	case l.last:
		a.step(call.TimerFired{Timer: call.TimerLinger})
	case l.hunt != nil:
		l.hunt.fired(l)
	case l.media && a.hunting.media(l.turn, l.event):
	case l.media && l.turn != a.turn: // of a bridge that was given back
	case l.media && a.moving.media(l.event):
	case l.input != nil:
		a.receive(l.seat, l.input)
	default:
		if f, is := l.event.(call.TimerFired); is && a.timers[f.Timer].gen != l.gen {
			return // it was stopped, or started anew, as it fired
		}
		a.step(l.event)
	}
	a.admitComing()
	a.show()
}

// receive has a leg say what an input means. A leg whose place is taken still has a dialog or
// session to close; the call hears no more of it.
func (a *actor) receive(s *seat, input any) {
	for _, e := range s.leg.Receive(input) {
		if _, over := e.(call.LegEnded); over {
			s.ended = true
		}
		switch {
		case s.gone:
		case a.hunting != nil && s.side == call.B:
			a.hunting.hear(s, call.From(e, s.side))
		case a.moving != nil && s == a.legs[call.C] && a.moving.hear(s, e):
		default:
			a.step(call.From(e, s.side))
		}
	}
}

// step gives one event to the machine and carries out what it wants. It is false if the event
// has no place.
func (a *actor) step(e call.Event) bool {
	switch {
	case a.c.State() == call.Ended:
		return false
	case a.sendsOn(e):
		return true
	}
	before := a.c.State()
	actions, ok := a.c.Step(e)
	a.diary.step(e, actions, a.c.State(), ok)
	if !ok {
		a.log.Debug("event out of place", "event", fmt.Sprintf("%T", e), "state", before.String())
		return false
	}
	a.note(e)
	if now := a.c.State(); now != before {
		a.log.Info("call state", "from", before.String(), "to", now.String())
		a.noteState(now)
		if a.g.opt.Changed != nil && now != call.Ended {
			r := a.rec
			r.State = now
			a.g.opt.Changed(r)
		}
		if now != call.Ended { // the end is told with its cause
			a.diary.mark(time.Now(), "", now.String())
		}
	}
	a.do(actions)
	return true
}

func (a *actor) do(actions []call.Action) {
	for _, action := range actions {
		switch x := action.(type) {
		case call.OfferLeg:
			if x.Side <= call.B {
				a.rec.codecs[x.Side].offered = speech(x.Media)
			}
			a.offer(x)
		case call.RingLeg:
			a.leg(x.Side).Ring()
		case call.ProgressLeg:
			a.leg(x.Side).Progress(x.Media)
		case call.AnswerLeg:
			a.leg(x.Side).Answer(x.Media)
		case call.UpdateLeg:
			a.leg(x.Side).Update(x.Media)
		case call.AnswerUpdate:
			a.leg(x.Side).AnswerUpdate(x.Media)
		case call.RefuseUpdate:
			a.leg(x.Side).RefuseUpdate(x.Cause)
		case call.CandidatesLeg:
			if !a.hunting.closed(x.Side) {
				a.leg(x.Side).Candidates(x.Media)
			}
		case call.DigitLeg:
			if !a.hunting.closed(x.Side) {
				a.leg(x.Side).Digit(x.Digit)
			}
		case call.ProbeLeg:
			if !a.hunting.closed(x.Side) {
				a.leg(x.Side).Probe(x.On)
			}
		case call.PictureLeg:
			if !a.hunting.closed(x.Side) {
				a.leg(x.Side).Picture()
			}
		case call.EndLeg:
			a.endLeg(x)
		case call.RefuseTransfer:
			a.refuseTransfer(x)
		case call.TryLeg:
			a.try(x)
		case call.SeatLeg:
			a.seatC(x.Side)
		case call.OfferMedia:
			a.bridge.Offer(x.Op, x.Side, x.Media)
		case call.AnswerMedia:
			a.bridge.Answer(x.Op, x.Side, x.Media)
		case call.JoinMedia:
			a.bridge.Join(x.Op, x.Side, x.Media)
		case call.CandidatesMedia:
			a.bridge.Candidates(x.Side, x.Media)
			a.hunting.candidates(x)
		case call.DigitMedia:
			a.bridge.Digit(x.Side, x.Digit)
		case call.ListenMedia:
			a.bridge.Listen(x.Side)
		case call.PictureMedia:
			a.bridge.Keyframe(x.Side)
		case call.TryMedia:
			if c := a.legs[call.C]; c != nil { // else LegEnded is on its way, or the peer does it
				a.bridge.Try(x.Op, x.Side, c.policy, x.Media)
			}
		case call.TakeMedia:
			a.bridge.Take(x.Op, x.Side, x.Media)
		case call.DropMedia:
			a.bridge.Drop(x.Side)
		case call.RingMedia:
			a.bridge.Ring(x.Side, x.On)
		case call.ReleaseMedia:
			a.rec.Media = a.bridge.Stats()
			a.bridge.Release()
			a.hunting.release()
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
	a.hunting.stop()
	if a.longest != nil {
		a.longest.Stop()
	}
	a.rec.Ended, a.rec.Text = time.Now(), a.g.opt.Texts.recorded(a.id)
	a.rec.Cause, a.rec.Detail = f.Cause, f.Detail
	a.g.ended(a)
}

// note keeps what the record wants of an event.
func (a *actor) note(e call.Event) {
	now := time.Now()
	a.describes(e)
	switch e := e.(type) {
	case call.LegRinging:
		first(&a.rec.Rang, now)
	case call.LegAnswered:
		first(&a.rec.Answered, now)
	case call.MediaConnected:
		a.diary.media(now, a.legs[e.Side].edge, a.bridge.Stats()[e.Side&1])
		if a.rec.Connected.IsZero() && a.legs[e.Side].edge == XMPP {
			a.rec.Connected = now
		}
	case call.LegAway:
		a.log.Info("device has left", "leg", e.Side.String())
	case call.MediaSilent:
		a.diary.mark(now, a.legs[e.Side].edge.String(), "nothing is heard from this side")
	case call.MediaFailed:
		a.diary.mark(now, "", "media failed: "+e.Cause.String())
	case call.LegEnded:
		s := a.legs[e.Side]
		if a.rec.EndedBy == "" && a.c.State() >= call.Ending {
			if a.rec.EndedBy = "gateway"; s != nil {
				a.rec.EndedBy = s.edge.String()
			}
		}
		if e.Side == call.C && s != nil {
			s.gone, a.legs[call.C] = true, nil
		}
	}
}

func (a *actor) noteState(s call.State) {
	switch {
	case s == call.Active:
		if a.rec.Active.IsZero() {
			a.rec.Active = time.Now()
			a.g.calling(a, true)
			a.g.talks(a)
		}
		a.g.answered(a)
		if limit := a.g.bounds.Load().MaxDuration; limit > 0 && a.longest == nil {
			a.longest = time.AfterFunc(limit, func() {
				a.post(call.Aborted{Cause: call.Normal, Detail: call.Detail{Text: "the call has lasted as long as calls may"}})
			})
		}
	case s >= call.Ending && a.rec.EndedBy == "": // no leg has ended
		a.rec.EndedBy = "gateway"
	}
}

// begin makes the machine of a call, or of one that is sent on, and returns the first that it
// wants done.
func (a *actor) begin(in Incoming) []call.Action {
	of := call.Beginning{Limits: a.g.limits(in.Target), Offer: in.Offer, Mode: modeOf(in)}
	var actions []call.Action
	a.c, actions = call.New(of.Limits, of.Offer, of.Mode)
	a.diary.begin(of, actions)
	return actions
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
func (noBridge) Listen(call.Side)                             {}
func (noBridge) Ring(call.Side, bool)                         {}
func (noBridge) Take(call.Op, call.Side, media.Description)   {}
func (noBridge) Drop(call.Side)                               {}
func (noBridge) Release()                                     {}
func (noBridge) Stats() [2]media.Stats                        { return [2]media.Stats{} }

func (noBridge) Try(call.Op, call.Side, media.Policy, media.Description) {}
