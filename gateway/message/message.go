// Package message decides what becomes of instant messages between the two worlds: who may
// send how many, in which order they go, which wait for a peer that is away, and who is told
// of what failed. It knows no syntax, does no I/O and reads no clock.
//
// An [Office] is stepped with events and says what to do. The messages from one sender to
// one receiver are a pair: they keep their order, and one of them is under way at a time
// (RFC 3428 section 8).
package message

import (
	"time"

	"sipxmppgw/gateway/presence"
)

// A Way is which world a message goes to.
type Way uint8

const (
	ToSIP Way = iota
	ToXMPP
)

// A Kind is what a message is for.
type Kind uint8

const (
	Words  Kind = iota // a person reads it
	Typing             // somebody composes, or does not any more (XEP-0085, RFC 3994)
	Notice             // what became of another message (XEP-0184, XEP-0333, RFC 5438)
)

// Asks are the notices that a sender wants, as bits.
type Asks uint8

const (
	AskDelivered Asks = 1 << iota
	AskDisplayed
	AskFailed
)

// A State is what became of a message.
type State uint8

const (
	Delivered State = iota
	Displayed
	Failed
)

// Asked is the bit that asks for notices of this state.
func (s State) Asked() Asks { return Asks(1) << s }

// Word is the state as a word.
func (s State) Word() string { return [...]string{"delivered", "displayed", "failed"}[s%3] }

// An Address is who a person is in both worlds.
type Address struct {
	URI       string `json:",omitempty"`
	JID       string `json:",omitempty"` // bare or full
	Name      string `json:",omitempty"`
	Anonymous bool   `json:",omitempty"`
	IMPP      string `json:",omitempty"` // bare JID that SIP peers may be told of; empty for none
}

// A Message is one message on its way. Text is UTF-8, and may hold any character.
type Message struct {
	Key   string // ours: unique, and a SIP token
	ID    string `json:",omitempty"` // the sender's; what notices and errors name
	Once  string `json:",omitempty"` // what a duplicate has too; empty for none
	Way   Way
	Kind  Kind
	From  Address
	To    Address
	Trunk string `json:",omitempty"` // the SIP peer that it goes to or came from
	// Origin is the SIP peer that a message to SIP came from; empty if it came from XMPP.
	Origin string `json:",omitempty"`
	Type   string `json:",omitempty"` // of the stanza (RFC 6121 section 5.2.2)

	Subject string    `json:",omitempty"`
	Lang    string    `json:",omitempty"`
	Thread  string    `json:",omitempty"`
	Body    string    `json:",omitempty"`
	Answers string    `json:",omitempty"` // id of the message that it replies to (XEP-0461)
	Sent    time.Time // when it was written, if that is not now; zero if it is
	Asks    Asks      `json:",omitempty"`
	// Link is a page, map or picture that the message is about, which Body says too.
	Link string `json:",omitempty"`
	// Place is one that the message is about, which Body says too; nil for none.
	Place *presence.Place `json:",omitempty"`

	About string `json:",omitempty"` // of a notice: the id of the message
	State State  `json:",omitempty"` // of a notice: what became of it
	When  string `json:",omitempty"` // of a notice: the time that the message itself bore (RFC 5438 section 7.1.2)

	Composing bool          `json:",omitempty"` // of Typing
	Gone      bool          `json:",omitempty"` // of Typing: they have left the conversation
	Untold    bool          `json:",omitempty"` // of Gone: nobody was told that they compose
	Lasts     time.Duration `json:",omitempty"` // how long Composing holds without another sign

	Hops    int       `json:",omitempty"` // gateways that it has passed
	Left    int       `json:",omitempty"` // of Max-Forwards; 0 for the whole
	Call    string    `json:",omitempty"` // id of the call that it belongs to
	Dialog  string    `json:",omitempty"` // Call-ID of that call's SIP side, if a SIP user wrote
	Expires time.Time // after which nobody wants it; zero for what the office keeps
	Again   bool      `json:",omitempty"` // it may have arrived before
	Report  bool      `json:",omitempty"` // the gateway itself wrote it; nobody is told if it fails
	Held    bool      `json:",omitempty"` // it is certain that it has not been sent
	Why     *Outcome  `json:",omitempty"` // of a notice of the gateway's own: what came of the message
	// Seen is all that is kept, with Key and Expires, of a message that has arrived: what tells
	// another copy of it, should its sender not have heard that we have it.
	Seen string `json:",omitempty"`
}

// An Outcome is what came of handing a message over.
type Outcome struct {
	Result     Result
	Status     int    // of SIP, or translate.NoResponse and its like; 0 if it was not SIP's
	Condition  string // stanza error; empty if it was not XMPP's
	Type       string // of the stanza error
	Text       string // for people
	RetryAfter int    // seconds; 0 for none
	Doubt      bool   // with Away: it may have arrived
	Elsewhere  string // address that a redirection names
}

// A Result is the part of an outcome that decides.
type Result uint8

const (
	Done    Result = iota // the next server has it
	Refused               // it will never have it
	Away                  // nobody is there: later, perhaps
)

// String returns "sip" or "xmpp".
func (w Way) String() string { return [...]string{"sip", "xmpp"}[w&1] }
