package call

import (
	"time"

	"sipxmppgw/gateway/media"
)

// An ID names a call everywhere: logs, records, traces.
type ID string

// A Side is one of a call's two legs, or the one that is to take the place of one of them.
type Side uint8

const (
	A Side = iota // the leg that offered the call
	B             // the leg the gateway offers it to
	C             // a leg that is tried, or comes, in place of A or B; it becomes that one
)

// Other returns the opposite side. C has none.
func (s Side) Other() Side { return s ^ 1 }

// String returns "A", "B" or "C".
func (s Side) String() string { return [...]string{"A", "B", "C"}[min(s, C)] }

// A Destination is whom a call is to be transferred to, in the words of the leg that asks.
// The call does not look inside.
type Destination struct {
	Address  string // SIP URI or JID
	Replaces string // the dialog or session at that address whose place is to be taken; empty for none
	By       string // who asks, as its own protocol names it; empty if it does not say

	// Call and Seat name the leg that Replaces means if it is one of ours.
	Call ID
	Seat int
}

// An Op numbers a request to the media plane, so that a result names the request it
// answers and a stale one is dropped. The zero Op names none.
type Op uint32

// A Timer is one of the times a call waits.
type Timer uint8

const (
	TimerAlert    Timer = iota // without a sign of ringing, the caller is told that we go on
	TimerNoAnswer              // for B to answer
	TimerConfirm               // for A to confirm the answer
	TimerLinger                // for both legs to finish closing
)

// String returns the timer's name.
func (t Timer) String() string {
	return [...]string{"alert", "no_answer", "confirm", "linger"}[t&3]
}

// A Digit is one DTMF digit (RFC 4733 section 3.2): 0 to 9, *, #, or A to D.
type Digit struct {
	Key    byte
	Length time.Duration // how long the key was down
}

// An Event is what a leg, the media plane or a timer tells the call.
type Event interface{ kind() kind }

// What legs tell.
type (
	// LegRinging says that the callee's device rings: there is evidence.
	LegRinging struct{ Side Side }

	// LegProgress says that the callee's side goes on, with an early answer if Media is
	// not empty.
	LegProgress struct {
		Side  Side
		Media media.Description
	}

	// LegAnswered says that the callee took the call; Media is its answer.
	LegAnswered struct {
		Side  Side
		Media media.Description
	}

	// LegOffered says that a leg's peer offers media, after the call began: the caller
	// that only now describes what it announced, or either side that changes the session.
	LegOffered struct {
		Side  Side
		Media media.Description
	}

	// LegUpdated says that the peer answered our change.
	LegUpdated struct {
		Side  Side
		Media media.Description
	}

	// LegRefused says that the peer refused our change; the session is as it was.
	LegRefused struct {
		Side  Side
		Cause Cause
	}

	// LegConfirmed says that the caller has our answer. Media is its answer when ours
	// was the offer.
	LegConfirmed struct {
		Side  Side
		Media media.Description
	}

	// LegCandidates carries what the peer says of its transports between offers: streams
	// with nothing but names and transports. New credentials mean an ICE restart.
	LegCandidates struct {
		Side  Side
		Media media.Description
	}

	// LegDigit is a DTMF digit that a peer sent by signalling.
	LegDigit struct {
		Side  Side
		Digit Digit
	}

	// LegPicture says that a peer asked by signalling for a whole picture.
	LegPicture struct{ Side Side }

	// LegAway says that the peer's device has gone, as far as others can tell. Whether it
	// still talks to us its media knows.
	LegAway struct{ Side Side }

	// LegTransfer says that a leg's peer wants the other side to be connected to someone
	// else in its own place.
	LegTransfer struct {
		Side Side
		To   Destination
	}

	// LegReferred says what became of a transfer that a leg's peer was asked to carry out
	// itself.
	LegReferred struct {
		Side   Side
		Done   bool
		Cause  Cause // why not
		Detail Detail
	}

	// LegEnded says that a leg is closed, by its peer or after EndLeg. It is the last
	// event of that leg.
	LegEnded struct {
		Side   Side
		Cause  Cause
		Detail Detail
	}
)

// What the media plane tells.
type (
	// MediaOffered is the offer that OfferMedia asked for.
	MediaOffered struct {
		Op    Op
		Media media.Description
	}

	// MediaAnswered is the answer that AnswerMedia or JoinMedia asked for. It is empty
	// if that side has no offer waiting.
	MediaAnswered struct {
		Op    Op
		Media media.Description
	}

	// MediaCandidates carries our own transports for one side, as LegCandidates does.
	MediaCandidates struct {
		Side  Side
		Media media.Description
	}

	// MediaPicture says that the peer of Side is to be asked for a whole picture, and that its
	// media has no form for it.
	MediaPicture struct{ Side Side }

	// MediaDigit is a DTMF digit for a side whose media cannot carry it.
	MediaDigit struct {
		Side  Side
		Digit Digit
	}

	// MediaConnected says that packets can flow on one side, or flow again after MediaSilent.
	MediaConnected struct{ Side Side }

	// MediaSilent says that nothing has been heard of the peer of one side for longer than
	// its media explain. It comes again while that lasts.
	MediaSilent struct{ Side Side }

	// MediaFailed says that a request cannot be carried out, or, with the zero Op, that
	// the media of one side is lost.
	MediaFailed struct {
		Op     Op
		Side   Side
		Cause  Cause
		Detail Detail
	}
)

type (
	// Taken says that a leg has come, as C, that takes the place of Side by right. Media is
	// what its peer offers; empty if it wants our offer.
	Taken struct {
		Side  Side
		Media media.Description
	}

	// TimerFired says that a timer the call started has run out.
	TimerFired struct{ Timer Timer }

	// Aborted says that the gateway itself ends the call.
	Aborted struct {
		Cause  Cause
		Detail Detail
	}
)

type kind uint8

const (
	kLegRinging kind = iota
	kLegProgress
	kLegAnswered
	kLegOffered
	kLegUpdated
	kLegRefused
	kLegConfirmed
	kLegCandidates
	kLegDigit
	kLegPicture
	kLegAway
	kLegTransfer
	kLegReferred
	kLegEnded
	kMediaOffered
	kMediaAnswered
	kMediaCandidates
	kMediaDigit
	kMediaPicture
	kMediaConnected
	kMediaSilent
	kMediaFailed
	kTaken
	kTimerFired
	kAborted
	kinds
)

var kindNames = [kinds]string{
	"LegRinging", "LegProgress", "LegAnswered", "LegOffered", "LegUpdated", "LegRefused",
	"LegConfirmed", "LegCandidates", "LegDigit", "LegPicture", "LegAway", "LegTransfer", "LegReferred", "LegEnded",
	"MediaOffered", "MediaAnswered", "MediaCandidates", "MediaDigit", "MediaPicture", "MediaConnected",
	"MediaSilent", "MediaFailed", "Taken", "TimerFired", "Aborted",
}

func (k kind) String() string { return kindNames[k] }

func (LegRinging) kind() kind      { return kLegRinging }
func (LegProgress) kind() kind     { return kLegProgress }
func (LegAnswered) kind() kind     { return kLegAnswered }
func (LegOffered) kind() kind      { return kLegOffered }
func (LegUpdated) kind() kind      { return kLegUpdated }
func (LegRefused) kind() kind      { return kLegRefused }
func (LegConfirmed) kind() kind    { return kLegConfirmed }
func (LegCandidates) kind() kind   { return kLegCandidates }
func (LegDigit) kind() kind        { return kLegDigit }
func (LegPicture) kind() kind      { return kLegPicture }
func (LegAway) kind() kind         { return kLegAway }
func (LegTransfer) kind() kind     { return kLegTransfer }
func (LegReferred) kind() kind     { return kLegReferred }
func (LegEnded) kind() kind        { return kLegEnded }
func (MediaOffered) kind() kind    { return kMediaOffered }
func (MediaAnswered) kind() kind   { return kMediaAnswered }
func (MediaCandidates) kind() kind { return kMediaCandidates }
func (MediaDigit) kind() kind      { return kMediaDigit }
func (MediaPicture) kind() kind    { return kMediaPicture }
func (MediaConnected) kind() kind  { return kMediaConnected }
func (MediaSilent) kind() kind     { return kMediaSilent }
func (MediaFailed) kind() kind     { return kMediaFailed }
func (Taken) kind() kind           { return kTaken }
func (TimerFired) kind() kind      { return kTimerFired }
func (Aborted) kind() kind         { return kAborted }

// An Action is what the call wants done. Actions are carried out in order, and none of
// them waits.
type Action interface{ action() }

// What the call wants of a leg.
type (
	// OfferLeg begins the leg: call its peer with this offer.
	OfferLeg struct {
		Side  Side
		Media media.Description
	}

	// RingLeg tells the caller that the callee's device rings.
	RingLeg struct{ Side Side }

	// ProgressLeg tells the caller that we go on, with an early answer if Media is not
	// empty.
	ProgressLeg struct {
		Side  Side
		Media media.Description
	}

	// AnswerLeg takes the caller's call with this answer. Media is empty if the caller
	// has not described its media yet; a second AnswerLeg follows its offer.
	AnswerLeg struct {
		Side  Side
		Media media.Description
	}

	// UpdateLeg offers the peer a change of the session.
	UpdateLeg struct {
		Side  Side
		Media media.Description
	}

	// AnswerUpdate answers the peer's change.
	AnswerUpdate struct {
		Side  Side
		Media media.Description
	}

	// RefuseUpdate refuses the peer's change and leaves the session as it was.
	RefuseUpdate struct {
		Side  Side
		Cause Cause
	}

	// CandidatesLeg tells the peer of our transports between offers.
	CandidatesLeg struct {
		Side  Side
		Media media.Description
	}

	// DigitLeg sends the peer a DTMF digit by signalling.
	DigitLeg struct {
		Side  Side
		Digit Digit
	}

	// ProbeLeg has the peer asked whether it is there: LegEnded says that it is not. With On
	// false the question is settled, and no answer to it means anything.
	ProbeLeg struct {
		Side Side
		On   bool
	}
	// PictureLeg asks the peer by signalling for a whole picture.
	PictureLeg struct{ Side Side }

	// RefuseTransfer tells the peer that its transfer came to nothing; the call is as it was.
	RefuseTransfer struct {
		Side   Side
		Cause  Cause
		Detail Detail
	}

	// EndLeg closes the leg, whatever it takes in its protocol; LegEnded follows. With the
	// cause Transferred the leg is out of the call at once and closes by itself.
	EndLeg struct {
		Side   Side
		Cause  Cause
		Detail Detail
	}

	// TryLeg begins a leg C that shall take the place of Side, if whoever asks for it may
	// call there; LegEnded says that it may not.
	TryLeg struct {
		Side Side
		To   Destination
	}

	// SeatLeg makes C the leg of Side. What the leg of Side was has been told to end.
	SeatLeg struct{ Side Side }
)

// What the call wants of the media plane, the clock and the shell.
type (
	// OfferMedia asks for an offer to Side that follows what the other side offered;
	// Media may be empty.
	OfferMedia struct {
		Op    Op
		Side  Side
		Media media.Description
	}

	// AnswerMedia hands over what the other side answered, and asks for the answer to
	// the offer Side made, if it made one.
	AnswerMedia struct {
		Op    Op
		Side  Side
		Media media.Description
	}

	// JoinMedia hands over what Side itself offers now, and asks for its answer, from
	// what the other side has settled or, before that, from policy.
	JoinMedia struct {
		Op    Op
		Side  Side
		Media media.Description
	}

	// CandidatesMedia hands over what the peer of Side says of its transports.
	CandidatesMedia struct {
		Side  Side
		Media media.Description
	}

	// DigitMedia has a DTMF digit played to the peer of Side, in whatever form its media
	// takes; MediaDigit says that there is none.
	DigitMedia struct {
		Side  Side
		Digit Digit
	}

	// ListenMedia has MediaSilent said at once if nothing was heard of the peer of Side of late.
	ListenMedia struct{ Side Side }

	// PictureMedia has the other side's peer asked for a whole picture for the peer of Side.
	PictureMedia struct{ Side Side }

	// TryMedia has a new end made that shall take the place of Side: an offer to it from what
	// the other side has settled or, if Media is not empty, the answer to what it offers.
	TryMedia struct {
		Op    Op
		Side  Side
		Media media.Description
	}

	// TakeMedia puts the new end in the place of Side, with its peer's answer; Media is empty
	// if the answer was ours. MediaAnswered says that it is so, MediaFailed that the old end is
	// still there.
	TakeMedia struct {
		Op    Op
		Side  Side
		Media media.Description
	}

	// DropMedia gives back the new end that was to take the place of Side.
	DropMedia struct{ Side Side }

	// RingMedia says whether the other side rings, so that one that was answered before it
	// hears so: a caller in eager mode, or who is kept in a transfer.
	RingMedia struct {
		Side Side
		On   bool
	}

	// ReleaseMedia gives back every resource of the call's media.
	ReleaseMedia struct{}

	// StartTimer starts a timer anew.
	StartTimer struct {
		Timer Timer
		After time.Duration
	}

	// StopTimer stops a timer; it may be stopped already.
	StopTimer struct{ Timer Timer }

	// Finish says that the call is over; it is the last action.
	Finish struct {
		Cause  Cause
		Detail Detail
	}
)

func (OfferLeg) action()        {}
func (RingLeg) action()         {}
func (ProgressLeg) action()     {}
func (AnswerLeg) action()       {}
func (UpdateLeg) action()       {}
func (AnswerUpdate) action()    {}
func (RefuseUpdate) action()    {}
func (CandidatesLeg) action()   {}
func (DigitLeg) action()        {}
func (ProbeLeg) action()        {}
func (PictureLeg) action()      {}
func (RefuseTransfer) action()  {}
func (EndLeg) action()          {}
func (TryLeg) action()          {}
func (SeatLeg) action()         {}
func (OfferMedia) action()      {}
func (AnswerMedia) action()     {}
func (JoinMedia) action()       {}
func (CandidatesMedia) action() {}
func (DigitMedia) action()      {}
func (ListenMedia) action()     {}
func (PictureMedia) action()    {}
func (TryMedia) action()        {}
func (TakeMedia) action()       {}
func (DropMedia) action()       {}
func (RingMedia) action()       {}
func (ReleaseMedia) action()    {}
func (StartTimer) action()      {}
func (StopTimer) action()       {}
func (Finish) action()          {}
