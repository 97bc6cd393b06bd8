package call

import "strconv"

// A Cause says why a call or a leg ended, in no protocol's words. gateway/translate
// holds the tables from SIP statuses and Jingle reasons to causes and back.
type Cause uint8

const (
	Normal          Cause = iota // hung up after the call was answered
	Cancelled                    // the caller gave up before the answer
	Busy                         // the callee is in another call
	Declined                     // the callee said no
	Rejected                     // the callee ended the ringing without saying why
	NoAnswer                     // it rang, or was tried, until the time was over
	Elsewhere                    // another device of the callee answered
	Transferred                  // another leg took the place of this one
	NotFound                     // no such address
	Gone                         // the address existed and does no more
	Moved                        // the callee is to be called at another address
	Incomplete                   // the address is too short or ambiguous
	Unavailable                  // the callee exists but cannot be reached now
	Forbidden                    // the caller may not call there
	Unauthorized                 // the gateway's credentials were not accepted
	Incompatible                 // no codec or media form in common
	Unsupported                  // a kind of media, transport or method that is not known
	Insecure                     // protection of media or signalling was missing or false
	Timeout                      // the other side's signalling did not answer in time
	Unreachable                  // the next hop could not be reached
	MediaLost                    // no media path, or media ceased
	TransportFailed              // the media transport could not be set up
	AppFailed                    // the callee's application failed
	Overloaded                   // too many calls here or there
	Loop                         // the call came back to us
	BadRequest                   // a message that cannot be understood
	Conflict                     // both sides changed the same thing at once
	OutOfSequence                // a peer broke the order of its protocol
	Failed                       // anything else
	causes
)

var causeNames = [...]string{
	"normal", "cancelled", "busy", "declined", "rejected", "no_answer", "elsewhere", "transferred",
	"not_found", "gone", "moved", "incomplete", "unavailable", "forbidden", "unauthorized",
	"incompatible", "unsupported", "insecure", "timeout", "unreachable", "media_lost",
	"transport_failed", "app_failed", "overloaded", "loop", "bad_request", "conflict",
	"out_of_sequence", "failed",
}

// String returns the cause as it stands in metrics, logs and flows.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "cause(" + strconv.Itoa(int(c)) + ")"
}

// People says whether a call that ended so was in the hands of people to its end: it was carried,
// or somebody did not want it (the effective attempts of ITU-T E.425). All else is a fault of the
// caller's, ours, or of the other side's equipment.
func (c Cause) People() bool { return c <= Transferred }

// Causes returns every cause, in order, so that tables and metrics can be complete.
func Causes() []Cause {
	all := make([]Cause, causes)
	for i := range all {
		all[i] = Cause(i)
	}
	return all
}

// ParseCause returns the cause of that name.
func ParseCause(name string) (Cause, bool) {
	for i, n := range causeNames {
		if n == name {
			return Cause(i), true
		}
	}
	return 0, false
}

// A Detail is what a leg knows of its end beyond the cause. It is for the other side's
// text, for records and logs, and for the choice between two words of one cause; a
// state is never decided by it. The zero Detail means that nothing more is known.
type Detail struct {
	Status int    // SIP status; 0 if none was seen
	Q850   int    // Q.850 cause; 0 if none was seen
	Text   string // the peer's words, as received; not yet fit for any protocol
	// Elsewhere is a SIP URI, of ours or of who is in another call of the callee, that is to be
	// called instead, or for a message the XMPP URI of where it is read; empty for none.
	Elsewhere string
}
