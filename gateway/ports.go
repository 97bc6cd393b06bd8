package gateway

import (
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

// A Leg is one side of a call, given by an edge. Its methods are called on the call's
// goroutine only and never block; what they cause comes back through the leg's Inbox.
// A command that has no place in the state of the leg's protocol is ignored, except End:
// after End the leg always reports LegEnded once, unless it has done so before.
type Leg interface {
	// Receive takes what the edge posted to the leg's Inbox and says what it means.
	Receive(input any) []call.Event

	Offer(offer media.Description)
	Ring()
	Progress(answer media.Description)
	Answer(answer media.Description)
	Candidates(transports media.Description)
	Update(offer media.Description)
	AnswerUpdate(answer media.Description)
	RefuseUpdate(cause call.Cause)
	Digit(digit call.Digit)
	// Probe asks the peer whether it is there; it reports LegEnded if not. With on false no
	// answer to that means anything any more.
	Probe(on bool)
	// Picture asks the peer for a whole picture, if the protocol of the leg has a form for it.
	Picture()
	// RefuseTransfer says that what the peer asked for by LegTransfer came to nothing.
	RefuseTransfer(cause call.Cause, detail call.Detail)
	// Refer asks the peer to call someone else by itself; LegReferred says what came of it.
	Refer(to call.Destination)
	// Meet says who is at the other end from now on.
	Meet(party Party)
	End(cause call.Cause, detail call.Detail)
}

// An Identified leg has names that its protocol gives it, by which its messages are found: the
// Call-ID and the Session-ID (RFC 7989) of a dialog, the id of a Jingle session. It is called
// as a Leg is.
type Identified interface {
	IDs() (id, session string)
}

// An Inbox is how an edge talks to a leg of a call. Its methods may be called from any
// goroutine and never block. After the call has ended they do nothing.
type Inbox interface {
	// Peer posts what a peer caused. False says that the leg will not see it: the peer
	// floods, and the leg is being ended for it, or the call is over.
	Peer(input any) bool
	// Post posts what the gateway itself caused, such as a timer; it always fits.
	Post(input any)
	// Call is the call's id, for logs and traces.
	Call() call.ID
	// Side is which leg this was when it began.
	Side() call.Side
	// Seat tells this leg from all others that the call has or had.
	Seat() int
	// Take has another leg come that takes the place of this one. Either its Leg or its
	// Refused is called, on the call's goroutine, unless Take is false: the call is over.
	Take(Taking) bool
}

// A Taking is a leg that has the right to take the place of another (RFC 3891, XEP-0251).
type Taking struct {
	Edge   Edge
	Trunk  string // the SIP peer it came from; empty on the XMPP side
	Party  Party
	Policy media.Policy
	Offer  media.Description // empty if it wants ours
	// Leg makes the leg once the call has room for it.
	Leg func(Inbox) Leg
	// Refused is called if the call has none.
	Refused func(*call.Refusal)
}

// A Party is who is at one end of a call. Both addresses are in canonical form, as
// gateway/translate makes them; one may be empty.
type Party struct {
	URI       string // SIP address, such as sip:otto@voip.example
	JID       string // XMPP address, bare or full
	Name      string // display name, cleaned of control characters; may be empty
	Anonymous bool   // they do not want to be known: the other side does not see the addresses
	Verdict   translate.Verdict
	// IMPP is the bare JID that SIP peers may be told the party reads messages at (RFC 6993);
	// empty if they may not, or it is none's.
	IMPP string
}

// A Target is whom a call goes to and how, as the route says.
type Target struct {
	Edge     Edge         // which edge dials
	From, To Party        // as the callee's world shall see them
	Trunk    string       // the SIP peer; empty on the XMPP side
	Device   string       // of the callee, if the edge has chosen one; it is called at once
	Policy   media.Policy // of leg B
	Early    bool         // the caller is to be answered first (eager mode)
	NoAnswer time.Duration
	Hops     int      // what is left of Max-Forwards (RFC 3261 section 20.22); 0 means 70
	Room     bool     // it is a chat room, where only messages go
	Rule     string   // the rule that decided, for the log
	Why      []string // rule by rule, up to that one
	CallID   string   // an id of the caller's protocol that the callee's may carry on
	// Caller is who calls, as an XMPP user, where From is what stands for that user among others
	// of its own world; empty if From is.
	Caller string
	// Diverted says for whom the call was before, the last first.
	Diverted []translate.Diversion

	// By is who transferred the call here, in the callee's world; zero if nobody did.
	// Replaces names the dialog there whose place is to be taken.
	By       Party
	Replaces string
	// Refer says that a SIP peer at the same trunk is to call there by itself.
	Refer bool
	// Service is the one of the gateway's own that takes the call, by its name, and no edge dials;
	// empty for none.
	Service string
	// Text says that the caller is shown text while it is typed (XEP-0301).
	Text bool
	// Trial names the call that tries the whole way, as whose second this one comes; empty for none.
	Trial string

	// Others are further places that may take the call, in the order of their rounds (package
	// hunt); theirs are not looked at. Round, Lead and Person are those of this place; the first
	// is of round 0.
	Others []Target
	Round  int
	Lead   time.Duration
	Person string
	// Within is how long the place may say nothing at all; 0 leaves it to the edge. Hasty says
	// that it is short of that because there is another, which is tried next.
	Within time.Duration
	Hasty  bool

	// Where the call goes instead, if it comes to nothing; nil for nowhere. patience is how
	// long it rings before.
	onBusy, onNoAnswer func() (Target, error)
	patience           time.Duration
}

// An Edge is one of the two protocols.
type Edge uint8

const (
	SIP Edge = iota
	XMPP
)

// String returns "sip" or "xmpp".
func (e Edge) String() string { return [...]string{"sip", "xmpp"}[e&1] }

// An Incoming is a new call that an edge received.
type Incoming struct {
	Edge   Edge   // where it came from
	Trunk  string // the SIP peer it came from; empty on the XMPP side
	Target Target
	// Offer is what the caller described; empty if it only announced kinds of media.
	Offer media.Description
	// Policy is what leg A's media may be.
	Policy media.Policy
	// Leg makes leg A once the call has its Inbox; called once, before Accept returns.
	Leg func(Inbox) Leg
}

// A Query asks where a call may go. The edge has cleaned and authenticated it.
type Query struct {
	Edge  Edge   // where the call came from
	Trunk string // the SIP peer it came from
	From  Party  // the caller of the XMPP side, as it knows it
	To    string // the Request-URI, or the JID that was called
	Hops  int    // Max-Forwards of the request; 0 if it had none
	Calls bool   // it is about a call: of several trunks, those that are up have their shares
	Trial string // that it is part of, by its name; empty for none
	Text  bool   // its caller sees text while it is typed
	// Claim is what a SIP request says of its caller, and Diverted for whom it was before.
	Claim    translate.Claim
	Diverted []translate.Diversion
}

// A Handover asks where a call goes that one of its parties hands over to someone else.
type Handover struct {
	Edge  Edge   // of the one who asks
	Trunk string // the SIP peer it asks through
	User  string // bare JID of the XMPP user whose call it is, and whose permission counts
	Kept  Party  // who is to be connected
	From  Edge   // where that one is
	To    string // URI or JID, as the one who asks writes it
	By    Party  // who that is
}

// Calls is the shell as the edges see it.
type Calls interface {
	// Route says where a call may go, and how. An error is a [*call.Refusal].
	Route(Query) (Target, error)
	// Accept begins a call. An error is a [*call.Refusal], and then Leg was not called.
	// The call's id is made here.
	Accept(Incoming) (Inbox, error)
	// Refuse notes a call that an edge refuses by itself, and returns what its messages are traced
	// by; empty if they are not kept. One with an id has come back from the call of that id. What
	// Route and Accept refuse is noted there.
	Refuse(Refused) call.ID
	// Trace records a message of a call for its ladder: what it was, when, and which way.
	Trace(call.ID, Message)
}

// A Message is one SIP message or stanza as it crossed the wire.
type Message struct {
	Edge      Edge
	Sent      bool // by the gateway
	Peer      string
	Local     string // our address; empty on the XMPP side
	Transport string // of SIP, such as "UDP"
	Title     string // one line, such as "INVITE" or "session-accept"
	Raw       []byte
	Occurred  time.Time
}

// A Dialer is an edge as the shell sees it.
type Dialer interface {
	// Aim completes a target with what the edge knows of who will take the call: a device,
	// and what its media may be. It is called before the call has its media.
	Aim(target Target) Target
	// Dial makes leg B. It sends nothing yet: Leg.Offer does.
	Dial(target Target, in Inbox) (Leg, error)
}

// A Bridge is a call's share of the media plane. No method blocks; results are posted as
// events with the same Op.
type Bridge interface {
	// Offer makes an offer to side from what the other side offered, which may be empty.
	Offer(op call.Op, side call.Side, other media.Description)
	// Answer hands over the other side's answer and makes the answer to side's own offer,
	// if it made one. It may come more than once: early answers are replaced.
	Answer(op call.Op, side call.Side, other media.Description)
	// Join hands over side's own offer, which comes late or changes the session, and
	// makes its answer.
	Join(op call.Op, side call.Side, own media.Description)
	// Candidates hands over what the peer of side says of its transports between offers.
	Candidates(side call.Side, transports media.Description)
	// Digit plays a DTMF digit to the peer of side, after those before it. Where the media
	// of that side has no form for it, MediaDigit is posted.
	Digit(side call.Side, digit call.Digit)
	// Keyframe has the other side's peer asked for a whole picture, because the peer of side
	// wants one. Where that peer's media has no form for it, MediaPicture is posted.
	Keyframe(side call.Side)
	// Listen posts MediaSilent for side if nothing of its peer was heard of late.
	Listen(side call.Side)
	// Try makes a new end that shall take the place of side's, under a policy of its own: an
	// offer to its peer from what the other side has settled or, if own is not empty, the
	// answer to what the peer offers. The old end goes on.
	Try(op call.Op, side call.Side, policy media.Policy, own media.Description)
	// Take puts the new end in the place of side's, with its peer's answer if the offer was
	// ours, and gives the old one back. MediaAnswered says that it is so.
	Take(op call.Op, side call.Side, answer media.Description)
	// Drop gives the new end back, if there is one.
	Drop(side call.Side)
	// Ring says whether the other side rings, or who is to take its place: side was answered
	// already, and is to hear ringing until media comes.
	Ring(side call.Side, on bool)
	// Release gives back everything. It may be called once, at any time.
	Release()
	// Stats returns the figures so far, by side. It may be called from any goroutine, also
	// after Release.
	Stats() [2]media.Stats
}

// A MediaPlane makes bridges.
type MediaPlane interface {
	// Open makes a bridge for a call. policies are leg A's, then leg B's. post may be
	// called from any goroutine until Release has returned; it never blocks. An error
	// is a [*call.Refusal] when it has a cause, such as Overloaded.
	Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (Bridge, error)
}
