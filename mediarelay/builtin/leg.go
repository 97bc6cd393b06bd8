package builtin

import (
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A part is what is said and heard on a line.
type part interface {
	// start begins once speech may go both ways; called at most once, on the call's goroutine.
	start(l *line)
	// hear takes what is heard, on the line's own goroutine.
	hear(l *line, raw []byte, w way)
	// press takes a digit that came by signalling, on the call's goroutine.
	press(key byte)
	// stop ends what start has begun; it may come without it, from any goroutine.
	stop()
}

// A leg is a peer of a call that is in this process.
type leg struct {
	in    gateway.Inbox
	line  *line
	part  part
	plain bool          // it speaks what everyone has, until it hears something else
	most  time.Duration // that it lasts after the answer
	// over is called once, when the line is closed, with why it ends; it may be nil.
	over  func(call.Cause, call.Detail)
	once  sync.Once
	begun bool
	timer *time.Timer
	done  bool // the end was told
}

var _ gateway.Leg = (*leg)(nil)

// run hears until the line is closed.
func (l *leg) run() { l.line.read(func(raw []byte, w way) { l.part.hear(l.line, raw, w) }) }

func (l *leg) close(cause call.Cause, why call.Detail) {
	l.once.Do(func() {
		l.line.close()
		l.part.stop()
		if l.over != nil {
			l.over(cause, why)
		}
	})
}

// timeOver is posted when a leg has lasted as long as it may, or has nothing more to say.
type timeOver struct{}

// Receive implements [gateway.Leg]: what is posted are events, but for the end of its time.
func (l *leg) Receive(input any) []call.Event {
	if e, is := input.(call.Event); is {
		return []call.Event{e}
	}
	l.close(call.Normal, call.Detail{})
	if l.done {
		return nil
	}
	l.done = true
	return []call.Event{call.LegEnded{Side: l.in.Side(), Cause: call.Normal}}
}

// begin has the part begin, and its time.
func (l *leg) begin() {
	if l.begun {
		return
	}
	l.begun = true
	in := l.in
	l.timer = time.AfterFunc(l.most, func() { in.Post(timeOver{}) })
	l.part.start(l.line)
}

// Offer takes the call, if there is a voice in it that is understood.
func (l *leg) Offer(offer media.Description) {
	voice, settled, ok := l.line.settle(offer, l.plain)
	if !ok {
		l.End(call.Incompatible, call.Detail{})
		return
	}
	l.in.Post(call.LegAnswered{Side: l.in.Side(), Media: answer(offer, voice, settled)})
	l.begin()
}

// Answer begins what the caller has to say.
func (l *leg) Answer(answer media.Description) {
	if !answer.Empty() {
		if _, _, ok := l.line.settle(answer, l.plain); !ok {
			l.End(call.Incompatible, call.Detail{})
			return
		}
	}
	l.in.Post(call.LegConfirmed{Side: l.in.Side()})
	l.begin()
}

// Update takes a change as far as there is one voice in it.
func (l *leg) Update(offer media.Description) {
	voice, settled, ok := l.line.settle(offer, l.plain)
	if !ok {
		l.in.Post(call.LegRefused{Side: l.in.Side(), Cause: call.Incompatible})
		return
	}
	l.in.Post(call.LegUpdated{Side: l.in.Side(), Media: answer(offer, voice, settled)})
}

// Digit implements [gateway.Leg].
func (l *leg) Digit(d call.Digit) { l.part.press(d.Key) }

// End implements [gateway.Leg].
func (l *leg) End(cause call.Cause, why call.Detail) {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.close(cause, why)
	if !l.done {
		l.done = true
		l.in.Post(call.LegEnded{Side: l.in.Side(), Cause: cause, Detail: why})
	}
}

// What such a leg has no need of: it asks for nothing and has nobody to tell.

func (l *leg) Ring()                                  {}
func (l *leg) Progress(media.Description)             {}
func (l *leg) Candidates(media.Description)           {}
func (l *leg) AnswerUpdate(media.Description)         {}
func (l *leg) RefuseUpdate(call.Cause)                {}
func (l *leg) Picture()                               {}
func (l *leg) RefuseTransfer(call.Cause, call.Detail) {}
func (l *leg) Meet(gateway.Party)                     {}
func (l *leg) Probe(bool)                             {}
func (l *leg) Refer(call.Destination) {
	l.in.Post(call.LegReferred{Side: l.in.Side(), Cause: call.Unsupported})
}
