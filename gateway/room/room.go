// Package room is what happens between a chat room of one world and a person of the other
// (RFC 7702): a [Visit] is an XMPP user in a conference of SIP (RFC 7701, RFC 4575), a [Guest] a
// SIP user in a room of XMPP (XEP-0045). Inputs go in, outputs come out; there is no syntax, no
// I/O and no clock.
package room

import "time"

// The times of a room.
const (
	Rostered  = 10 * time.Second // for who is there, after which one is in without knowing
	Reflected = 10 * time.Second // for a room to say what was said in it
	Joining   = 30 * time.Second // for a room to let somebody in
)

// The bounds of a room.
const (
	maxPeople = 1000
	maxSaid   = 32 // that the room has not said yet
)

// A Person is somebody in a room.
type Person struct {
	URI       string // who they are to SIP
	Nick      string
	Moderator bool
}

// A Problem is why something is not done: a stanza error to XMPP, a status to SIP.
type Problem struct {
	Condition, Type, Text string
	Status                int
}

// A Timer is one of the times that a room waits.
type Timer uint8

const (
	TimerRoster Timer = iota
	TimerJoin
	Timers
)

// An Input is something that happens; an Output is something to be done, in order.
type (
	Input  interface{ input() }
	Output interface{ output() }
)

// What the XMPP side says.
type (
	// Enter is a user's wish to be in the room, under a name. A guest's may have the room's
	// password.
	Enter struct{ Nick, Password string }
	// Rename is the wish for another name, of a user or of a guest; Token is what answers it.
	Rename struct{ Nick, Token string }
	// Leave is the wish to be gone.
	Leave struct{}
	// Say is something for all, or for one if To is not empty. A user's has an ID that errors
	// and reflections have; a guest's a Token that answers it.
	Say struct{ ID, To, Body, Token string }
	// Bring is the wish that somebody else enters: a user's has an ID that an error has, and Who
	// is a URI; of a guest's it is a JID.
	Bring struct{ ID, Who string }
	// Topic is the wish for another subject.
	Topic struct{ ID string }

	// Present is who a room of XMPP shows. Self is the guest, Gone one who is not there any
	// more; Renamed is the new name of one who is gone under this.
	Present struct {
		Person
		Self, Gone bool
		Renamed    string
		Codes      []int // of status (XEP-0045 section 15.6.2)
		Reason     string
	}
	// Barred is an error to the guest's presence.
	Barred struct{ Condition, Text string }
	// Spoken is what is said in a room of XMPP, by a name, to all or to the guest alone.
	Spoken struct {
		ID, Nick, Body string
		Alone          bool
	}
	// Named is the subject of a room of XMPP.
	Named struct{ Subject string }
	// Failed is an error to what a guest said.
	Failed struct {
		ID     string
		Status int
	}
)

// What the SIP side says.
type (
	// Up says that messages can go; what the room can.
	Up struct{ Room, Nicknames, Private bool }
	// Over says that none can any more; By, that the other end wanted it.
	Over struct {
		By      bool
		Began   bool
		Problem Problem
	}
	// NickAnswered is the answer to a wish for a name.
	NickAnswered struct{ Status int }
	// People is who is in a conference: all, or what has changed. Kicked says why someone is
	// gone.
	People struct {
		Full    bool
		Users   []Person
		Gone    []string // URIs
		Kicked  []string // of these, those who were put out
		Subject *string
	}
	// Unwatched says that a conference does not tell who is in it.
	Unwatched struct{}
	// Sent is what came of something said.
	Sent struct {
		ID     string
		Status int
	}
	// Referred is what came of Refer.
	Referred struct {
		ID     string
		Status int
	}
	// Heard is what somebody says in a conference, to all or to the user alone.
	Heard struct {
		ID, URI, Name, Body string
		Alone               bool
	}
	// Watched says that the guest wants to know who is in the room.
	Watched struct{}
)

// Fired says that a timer has run out. Late is something said that the room has not said.
type (
	Fired struct{ Timer Timer }
	Late  struct{ ID string }
)

func (Enter) input()        {}
func (Rename) input()       {}
func (Leave) input()        {}
func (Say) input()          {}
func (Bring) input()        {}
func (Topic) input()        {}
func (Present) input()      {}
func (Barred) input()       {}
func (Spoken) input()       {}
func (Named) input()        {}
func (Failed) input()       {}
func (Up) input()           {}
func (Over) input()         {}
func (NickAnswered) input() {}
func (People) input()       {}
func (Unwatched) input()    {}
func (Sent) input()         {}
func (Referred) input()     {}
func (Heard) input()        {}
func (Watched) input()      {}
func (Fired) input()        {}
func (Late) input()         {}

// What is to be done on the SIP side.
type (
	// Dial calls the conference, Accept takes the guest's call, Hang ends either.
	Dial   struct{}
	Accept struct{}
	Hang   struct{ Problem Problem }
	// AskNick wishes for a name; Watch, to know who is there.
	AskNick struct{ Nick string }
	Watch   struct{}
	// Refer has the conference call somebody (RFC 4579 section 5.5).
	Refer struct{ ID, Who string }
	// Utter says something to all, or to the URI To.
	Utter struct{ ID, To, Body string }
	// Hear tells the guest what somebody says.
	Hear struct {
		Nick, Body string
		Alone      bool
	}
	// Reply answers what waits for it: a message or a wish of the guest.
	Reply struct {
		Token  string
		Status int
	}
	// Notify tells the guest who is in the room.
	Notify struct {
		People  []Person
		Subject string
	}
)

// What is to be done on the XMPP side.
type (
	// Join enters the room, under a name; Exit leaves it.
	Join struct {
		Nick     string
		Inside   bool // and this is another name
		Password string
	}
	Exit struct{}
	// Invite has the room invite somebody (XEP-0045 section 7.8.2).
	Invite struct{ Who string }
	// Speak says something in the room, or to one in it.
	Speak struct{ ID, To, Body string }

	// Show shows the user who is there, or is not any more.
	Show struct {
		Person
		Self, Gone bool
		Renamed    string
		Codes      []int
	}
	// Refuse says that the user does not come in, or gets no such name.
	Refuse struct {
		Nick    string
		Problem Problem
	}
	// Tell tells the user what somebody says, to all or to the user alone.
	Tell struct {
		ID, Nick, Body string
		Alone          bool
	}
	// Subject tells what the room is about.
	Subject struct{ Text string }
	// Bounce says that what the user said did not arrive.
	Bounce struct {
		ID, To  string
		Problem Problem
	}
)

// TooMuch is the answer to something that is said by who says too much.
func TooMuch(s Say) Output {
	if s.Token != "" {
		return Reply{s.Token, 403}
	}
	return Bounce{s.ID, s.To, Problem{Condition: "policy-violation", Type: "wait", Text: "too many messages"}}
}

// What is to be done by itself.
type (
	Start struct {
		Timer Timer
		After time.Duration
	}
	Stop struct{ Timer Timer }
	// Wait has Late come in a while.
	Wait struct{ ID string }
	// Done says that the room can be forgotten.
	Done struct{}
)

func (Dial) output()    {}
func (Accept) output()  {}
func (Hang) output()    {}
func (AskNick) output() {}
func (Watch) output()   {}
func (Refer) output()   {}
func (Utter) output()   {}
func (Hear) output()    {}
func (Reply) output()   {}
func (Notify) output()  {}
func (Join) output()    {}
func (Exit) output()    {}
func (Invite) output()  {}
func (Speak) output()   {}
func (Show) output()    {}
func (Refuse) output()  {}
func (Tell) output()    {}
func (Subject) output() {}
func (Bounce) output()  {}
func (Start) output()   {}
func (Stop) output()    {}
func (Wait) output()    {}
func (Done) output()    {}
