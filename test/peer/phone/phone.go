// Package phone is what the two test phones have in common, so that one script can drive
// either: the states of a call, its times, and how it ended.
package phone

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sipxmppgw/test/peer/audio"
)

// A State is how far a call has come. A call only moves on to higher states.
type State uint8

// The states; what each means for the two protocols is said beside it.
const (
	Placed   State = iota + 1 // INVITE, propose or session-initiate sent or received
	Ringing                   // 180, JMI ringing or session-info ringing sent or received
	Proceeds                  // JMI proceed sent or received, or 183 with a description; never reached by others
	Accepted                  // 200 or session-accept sent or received
	Active                    // media can flow: ACK seen, or ICE and DTLS are up
	Ended
)

func (s State) String() string {
	switch s {
	case Placed:
		return "placed"
	case Ringing:
		return "ringing"
	case Proceeds:
		return "proceeds"
	case Accepted:
		return "accepted"
	case Active:
		return "active"
	case Ended:
		return "ended"
	}
	return "no state"
}

// A Call is one call of either phone.
type Call interface {
	ID() string   // Call-ID or Jingle session id
	Peer() string // the other side's address as far as it is known
	State() State
	Times() Times
	End() End // zero until the call has ended

	// WaitState returns when the call has come to s or further. If it ends before, the
	// error is an [*EndedError]; else it is ctx's.
	WaitState(ctx context.Context, s State) error

	Accept() error          // answer an incoming call; returns at once
	Decline() error         // refuse an incoming call as not wanted
	Busy() error            // refuse an incoming call as busy
	HangUp() error          // end the call in whatever way its state asks for
	Sender() *audio.Sender  // nil before the call is active
	Heard() *audio.Receiver // what has been received; never nil
	Codecs() []audio.Codec  // what was negotiated, the one in use first
	Play(context.Context, []int16) error
}

// Times are when a call came to each state; a state it never came to is zero.
type Times struct {
	Placed, Ringing, Proceeds, Accepted, Active, Ended time.Time
}

// SetUp returns how long it took from placing the call to media, zero if it never came so far.
func (t Times) SetUp() time.Duration { return since(t.Placed, t.Active) }

// Answered returns how long it took from placing the call to its being accepted.
func (t Times) Answered() time.Duration { return since(t.Placed, t.Accepted) }

// Alerted returns how long it took from placing the call to its ringing.
func (t Times) Alerted() time.Duration { return since(t.Placed, t.Ringing) }

func since(from, to time.Time) time.Duration {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return to.Sub(from)
}

// An End is how a call ended.
type End struct {
	Reason string // Jingle reason, or SIP status such as "486 Busy Here", or "BYE"
	Text   string // reason's text, or the Reason header
	Status int    // SIP status; 0 for Jingle and BYE
	ByPeer bool   // the other side ended it
}

// An EndedError says that a call ended before it came to a state.
type EndedError struct {
	Want State
	End  End
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("the call ended before it was %v: %s %s", e.Want, e.End.Reason, e.End.Text)
}

// A Progress is the state of a call and those who wait for it. The zero value is ready.
type Progress struct {
	mu      sync.Mutex
	state   State
	times   Times
	end     End
	changed chan struct{}
}

// Reach moves the call on to s; it does nothing if the call is there or further.
func (p *Progress) Reach(s State) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reach(s)
}

func (p *Progress) reach(s State) bool {
	if s <= p.state {
		return false
	}
	p.state = s
	now := time.Now()
	switch s {
	case Placed:
		p.times.Placed = now
	case Ringing:
		p.times.Ringing = now
	case Proceeds:
		p.times.Proceeds = now
	case Accepted:
		p.times.Accepted = now
	case Active:
		p.times.Active = now
	case Ended:
		p.times.Ended = now
	}
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
	return true
}

// Finish ends the call; only the first end counts, and reports true.
func (p *Progress) Finish(end End) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == Ended {
		return false
	}
	p.end = end
	return p.reach(Ended)
}

// State returns how far the call has come.
func (p *Progress) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Times returns when the call came to each state.
func (p *Progress) Times() Times {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.times
}

// End returns how the call ended; zero until then.
func (p *Progress) End() End {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// WaitState is [Call]'s.
func (p *Progress) WaitState(ctx context.Context, s State) error {
	for {
		p.mu.Lock()
		state, end := p.state, p.end
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		passed := p.passed(s)
		p.mu.Unlock()
		switch {
		case passed:
			return nil
		case state == Ended:
			return &EndedError{s, end}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for a call to be %v, it is %v: %w", s, state, ctx.Err())
		}
	}
}

// passed reports whether the call came to s or further before it ended.
func (p *Progress) passed(s State) bool {
	if p.state != Ended || s == Ended {
		return p.state >= s
	}
	for _, at := range []struct {
		state State
		time  time.Time
	}{
		{Placed, p.times.Placed},
		{Ringing, p.times.Ringing},
		{Proceeds, p.times.Proceeds},
		{Accepted, p.times.Accepted},
		{Active, p.times.Active},
	} {
		if at.state >= s && !at.time.IsZero() {
			return true
		}
	}
	return false
}
