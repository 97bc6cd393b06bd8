package dialog

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A Body is the session description in a message. The zero value is no body.
type Body struct {
	Media media.Description
	// Text is what tells one body from another. It leaves out the o= line, whose
	// version alone changes nothing. It is empty without a body.
	Text string
	// Status is the response to a body that cannot be used, such as 400, 415 or 488; 0
	// for one that can.
	Status int
}

func (b Body) usable() bool { return b.Text != "" && b.Status == 0 && !b.Media.Empty() }

// Support is what a peer says of an extension.
type Support uint8

// What Supported and Require say.
const (
	Unsupported Support = iota
	Supported
	Required
)

// EarlyMedia is what a peer that we believe says of what it plays before it answers (RFC
// 5009).
type EarlyMedia uint8

// What P-Early-Media says.
const (
	EarlyUnsaid EarlyMedia = iota // as before; at first, that it may be heard
	EarlyHeard
	EarlyMuted // it is not to be heard
)

// An Asked is what a REFER asks for (RFC 3515).
type Asked struct {
	To        call.Destination
	Status    int  // the response to one that cannot be served; 0 for one that can
	Subscribe bool // the peer wants to hear what comes of it (RFC 4488)
}

// A Notice is what a NOTIFY says of a REFER of ours.
type Notice struct {
	Status int  // of the response that it tells of; 0 if none can be read
	Over   bool // it is the last
}

// A Standing is what a dialog is to someone who names it in Replaces (RFC 3891 section 3).
type Standing uint8

const (
	Unknown Standing = iota // no such dialog
	Ringing                 // we have called, and it rings there
	Rung                    // we were called, and have not answered
	Up                      // confirmed
	Gone                    // terminated
)

// A RAck names a reliable provisional response (RFC 3262 section 7.2).
type RAck struct {
	RSeq, CSeq uint32
	Method     string
}

// An Input is something that happens to a dialog.
type Input interface{ input() }

// What the peer and the network do.
type (
	// Request is a request of the peer with our tag in To, or the INVITE that begins it
	// all. CANCEL comes as Cancelled.
	Request struct {
		ID      int    // names the request in a Reply; the edge gives it, 0 for ACK
		Method  string // as on the wire
		CSeq    uint32
		Tag     string   // of the peer: in From
		Contact string   // URI; empty if there was none
		Route   []string // Record-Route, in order
		Body    Body
		// Type, Package and Text are the Content-Type, the Info-Package and the body of an
		// INFO.
		Type, Package, Text string
		Session             Session
		Allow               []string // methods; nil without an Allow
		// Reliable is what the INVITE that begins it all says of 100rel, and RSeq where
		// the numbers of our reliable responses begin (RFC 3262 section 3): from 1 to
		// 2^31-1, and random.
		Reliable Support
		RSeq     uint32
		// RAck is what a PRACK acknowledges.
		RAck RAck
		// Refer is what a REFER asks for, and Notice what a NOTIFY says.
		Refer  *Asked
		Notice *Notice
		// Cause and Detail are what a Reason says, Normal without one.
		Cause  call.Cause
		Detail call.Detail
	}

	// Cancelled says that the INVITE was cancelled; its CANCEL has been answered.
	Cancelled struct {
		Cause  call.Cause
		Detail call.Detail
	}

	// Response is a response to a Send of that ID.
	Response struct {
		ID      int
		Status  int
		Tag     string   // of the peer: in To
		Contact string   // URI; empty if there was none
		Route   []string // Record-Route, in order
		Body    Body
		RSeq    uint32 // of a reliable provisional response, which requires 100rel; else 0
		Early   EarlyMedia
		Session Session
		Allow   []string // methods; nil without an Allow
		// Cause and Detail are what a final response says of a failure.
		Cause  call.Cause
		Detail call.Detail
	}

	// Again says that the edge knows what to change of a Send that was refused: it is to
	// be sent once more. Where it is too late for that, the Response counts.
	Again struct {
		Response Response
		Target   string            // of the INVITE that begins it all; empty for the same
		Media    media.Description // its offer; empty for the same
	}

	// Failure says that a Send of that ID has no response, and will have none.
	Failure struct {
		ID     int
		Cause  call.Cause
		Detail call.Detail
	}

	// Fired says that a timer has run out.
	Fired struct{ Timer Timer }
)

// What the call commands, as in gateway.Leg.
type (
	Offer        struct{ Media media.Description }
	Ring         struct{}
	Progress     struct{ Media media.Description }
	Answer       struct{ Media media.Description }
	Update       struct{ Media media.Description }
	AnswerUpdate struct{ Media media.Description }
	RefuseUpdate struct{ Cause call.Cause }
	Digit        struct{ Digit call.Digit }
	Picture      struct{}
	// Say sends a message to the peer, if it takes any: its Content-Type and content.
	Say   struct{ Type, Text string }
	Refer struct{ To call.Destination }
	// Probe asks the peer whether it is there; with On false no answer means anything.
	Probe struct{ On bool }
	// RefuseTransfer says that what the peer's REFER asked for came to nothing or, with the cause
	// Normal, that it is done and the call stays.
	RefuseTransfer struct {
		Cause  call.Cause
		Detail call.Detail
	}
	End struct {
		Cause  call.Cause
		Detail call.Detail
	}
)

func (Request) input()      {}
func (Cancelled) input()    {}
func (Response) input()     {}
func (Again) input()        {}
func (Failure) input()      {}
func (Fired) input()        {}
func (Offer) input()        {}
func (Ring) input()         {}
func (Progress) input()     {}
func (Answer) input()       {}
func (Update) input()       {}
func (AnswerUpdate) input() {}
func (RefuseUpdate) input() {}
func (Digit) input()        {}
func (Picture) input()      {}
func (Say) input()          {}
func (Refer) input()        {}
func (Probe) input()        {}
func (End) input()          {}

func (RefuseTransfer) input() {}

// An Output is something that the edge is to do. Outputs are carried out in order.
type Output interface{ output() }

type (
	// Send sends a request. An ACK has the ID 0 and no response.
	Send struct {
		ID     int
		Method string
		CSeq   uint32
		Tag    string   // of the peer, for To; empty before there is one
		Target string   // Request-URI
		Route  []string // in order, for Route
		Media  media.Description
		// Type and Text are a body that is no SDP, of an INFO or MESSAGE.
		Type, Text string
		RAck       RAck // of a PRACK
		Session    Session
		Refer      *call.Destination // of a REFER
		Report     *Report           // of a NOTIFY
		// Cause and Detail are why, for the Reason of a BYE.
		Cause  call.Cause
		Detail call.Detail
	}

	// Report is what a NOTIFY of ours tells of the peer's REFER. A Status of 0 stands for
	// the one that Cause and Detail of the Send ask for.
	Report struct {
		ID     uint32 // CSeq of the REFER, if that must be said; else 0
		Status int
		Over   bool
	}

	// Cancel cancels a Send.
	Cancel struct {
		ID     int
		Cause  call.Cause
		Detail call.Detail
	}

	// Reply answers a request. A Status of 0 stands for the one that Cause and Detail
	// ask for.
	Reply struct {
		ID      int
		Status  int
		Media   media.Description
		RSeq    uint32  // of a reliable provisional response; else 0
		Session Session // of a 2xx
		Silent  bool    // there will be no NOTIFY (RFC 4488)
		// Later asks the peer to try again after 0 to 10 seconds (RFC 3261 section 14.2).
		Later  bool
		Cause  call.Cause
		Detail call.Detail
	}

	// Start starts a timer anew. It runs out after After and, in steps of 10 ms, a
	// random part of Spread.
	Start struct {
		Timer         Timer
		After, Spread time.Duration
	}

	// Stop stops a timer.
	Stop struct{ Timer Timer }

	// Done says that the dialog can be forgotten. It is the last output.
	Done struct{}
)

func (Send) output()   {}
func (Cancel) output() {}
func (Reply) output()  {}
func (Start) output()  {}
func (Stop) output()   {}
func (Done) output()   {}

// A Timer is one of the times a dialog waits.
type Timer uint8

const (
	TimerTrying   Timer = iota // UAC: for a final response, from the last provisional one
	TimerRefresh               // UAS: until the last provisional response is sent again
	TimerResend                // until a 2xx is sent again
	TimerAck                   // for the ACK of a 2xx
	TimerRetry                 // until a change that got 491 is tried again
	TimerForks                 // UAC: for a 2xx of another fork
	TimerReliable              // UAS: until a reliable response is sent again
	TimerSession               // until the session is refreshed, or lacks a refresh
	TimerClose                 // for the peer to agree to the end
	TimerHangUp                // for the peer to hang up that sent us on to someone else
	TimerRefer                 // for the peer to tell what became of our REFER
	timers
)

// String returns the timer's name.
func (t Timer) String() string {
	return [timers]string{"trying", "refresh", "resend", "ack", "retry", "forks", "reliable", "session", "close", "hang-up", "refer"}[t%timers]
}
