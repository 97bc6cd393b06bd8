package session

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// An Input is what the session learns: of the peer, of time, or of the call.
type Input interface{ input() }

// What the peer says. The edge has checked that it comes from the bare JID of the peer
// and speaks of this session.
type (
	// Signal is a step of message initiation.
	Signal struct {
		From string // full JID
		ID   string // of the message
		JMI  wire.JMI
		Asks bool // for a receipt
	}

	// Receipt acknowledges our proposal (XEP-0184).
	Receipt struct{ From string }

	// Bounce says that one of our signals could not be delivered.
	Bounce struct {
		From   string
		Signal wire.Signal
		Err    wire.Error
	}

	// Crossed says that the peer proposes a call to whom we call it for, and Migrate that
	// it proposes to go on with this call in another session.
	Crossed struct {
		From    string // full JID
		ID      string // of its proposal
		Message string // id of the message
		Asks    bool   // for a receipt
	}
	Migrate Crossed

	// Request is an IQ of type set.
	Request struct {
		From   string // full JID
		ID     string // of the IQ
		Jingle wire.Jingle
	}

	// Response is the answer to one of our requests.
	Response struct {
		Ref    Ref
		Err    *wire.Error // nil for a result
		Silent bool        // there was no answer in time
	}

	// Gone says that a resource is no longer available, Back that it is.
	Gone struct{ From string }
	Back struct{ From string }

	// Fired says that a timer has run out.
	Fired struct{ Timer Timer }
)

// What the call wants, as gateway.Leg has it.
type (
	Offer        struct{ Media media.Description }
	Ring         struct{}
	Progress     struct{ Media media.Description }
	Answer       struct{ Media media.Description }
	Candidates   struct{ Media media.Description }
	Update       struct{ Media media.Description }
	AnswerUpdate struct{ Media media.Description }
	RefuseUpdate struct{ Cause call.Cause }
	Digit        struct{ Digit call.Digit }
	// Probe asks the peer whether it is there; with On false that is known.
	Probe struct{ On bool }
	// RefuseTransfer says that what the peer asked for by <transfer/> came to nothing.
	RefuseTransfer struct {
		Cause  call.Cause
		Detail call.Detail
	}
	End struct {
		Cause  call.Cause
		Detail call.Detail
	}
)

func (Signal) input()       {}
func (Receipt) input()      {}
func (Bounce) input()       {}
func (Crossed) input()      {}
func (Migrate) input()      {}
func (Request) input()      {}
func (Response) input()     {}
func (Gone) input()         {}
func (Back) input()         {}
func (Fired) input()        {}
func (Offer) input()        {}
func (Ring) input()         {}
func (Progress) input()     {}
func (Answer) input()       {}
func (Candidates) input()   {}
func (Update) input()       {}
func (AnswerUpdate) input() {}
func (RefuseUpdate) input() {}
func (Digit) input()        {}
func (Probe) input()        {}
func (End) input()          {}

func (RefuseTransfer) input() {}

// A Ref numbers our requests within the session.
type Ref uint32

// A Timer is one of the times a session waits.
type Timer uint8

// The timers (INTERWORKING.md section 2.15).
const (
	TimerRing   Timer = iota // a caller is told ringing when nothing else was said
	TimerInit                // for session-initiate after our proceed
	TimerAccept              // for session-accept after a proceed
	TimerReject              // a rejection after it was nobody's decision
	TimerGone                // a resource that left may come back
	TimerRetry               // a change that could not be told the call is told again
	TimerAdd                 // for the other side to take what the peer wants to add
	TimerAdded               // for the peer to take what we add
	TimerFinish              // for session-terminate after the peer's finish
	TimerMute                // a device that is there rings, though it does not say so
	timers
)

// Timers is how many there are.
const Timers = int(timers)

var timerNames = [...]string{"ring", "init", "accept", "reject", "gone", "retry", "add", "added", "finish", "mute"}

// String returns the timer's name.
func (t Timer) String() string { return timerNames[min(t, timers-1)] }

var times = [timers]time.Duration{
	TimerRing:   4 * time.Second,  // clients give up after 6 (section 2.3)
	TimerInit:   15 * time.Second, // T_sess
	TimerAccept: 20 * time.Second, // T_acc
	TimerReject: 28 * time.Second, // clients reject by themselves after 30 (section 2.13 B)
	TimerGone:   10 * time.Second, // sections 2.4 row 20 and 2.5 row 21
	TimerRetry:  time.Second,
	TimerAdd:    10 * time.Second, // section 2.10
	TimerAdded:  20 * time.Second, // a person may be asked
	TimerFinish: 2 * time.Second,
	TimerMute:   2 * time.Second, // before T_alert, so that the caller hears that it rings
}

// An Output is what the session wants done. Outputs are carried out in order.
type Output interface{ output() }

type (
	// SendSignal sends a step of message initiation. A proposal asks for a receipt and
	// carries who calls.
	SendSignal struct {
		To    string
		JMI   wire.JMI
		Quiet bool // for that one resource, and shown to no other
	}

	// SendText says something to the person.
	SendText struct{ To, Text string }

	// SendReceipt acknowledges a message.
	SendReceipt struct{ To, ID string }

	// SendRequest sends an IQ of type set; its Response has the same Ref.
	SendRequest struct {
		Ref    Ref
		To     string
		Jingle wire.Jingle
	}

	// SendResult and SendError answer a Request.
	SendResult struct{ To, ID string }
	SendError  struct {
		To, ID string
		Err    wire.Error
	}

	// StartTimer starts a timer anew; StopTimer stops it.
	StartTimer struct {
		Timer Timer
		After time.Duration
	}
	StopTimer struct{ Timer Timer }
)

func (SendSignal) output()  {}
func (SendText) output()    {}
func (SendReceipt) output() {}
func (SendRequest) output() {}
func (SendResult) output()  {}
func (SendError) output()   {}
func (StartTimer) output()  {}
func (StopTimer) output()   {}
