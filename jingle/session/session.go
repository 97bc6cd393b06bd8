package session

import (
	"slices"
	"strings"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// A Mode is how a session comes about (INTERWORKING.md section 2.3).
type Mode uint8

const (
	Late   Mode = iota // by proposal, which is taken when the other side has answered
	Eager              // by proposal, which is taken at once
	Direct             // without a proposal
)

// String returns the mode's name.
func (m Mode) String() string { return [...]string{"late", "eager", "direct"}[min(m, Direct)] }

// Options say whose session it is. All are needed.
type Options struct {
	SID   string
	Side  call.Side // of the call that the session is
	Self  string    // full JID we speak as
	Peer  string    // full JID of a caller; of a callee the bare JID to propose to, or, in Direct mode, the full one
	Mode  Mode      // an initiator knows Late, which means by proposal, and Direct
	Words Words
	Video bool // pictures may be added
	// There says that a device which takes proposals is there, and so rings, though it may not say
	// so.
	There bool
	// NoTones says that XEP-0181 is off.
	NoTones bool
	// Handed is the JID of who transferred the call to the peer (XEP-0251); empty if nobody
	// did.
	Handed string
}

// Words translate between what Jingle and what the call says.
type Words struct {
	// Reason is what to tell the peer (INTERWORKING.md section 2.13 A and D).
	Reason func(call.Cause, call.Detail) wire.Reason
	// Cause is what the peer's reason means (section 2.13 B); an empty one has no name.
	Cause func(wire.Reason) (call.Cause, call.Detail)
	// Error is what an error to a proposal or a session-initiate means (section 2.13 C). The
	// zero Error means that there was no answer in time.
	Error func(wire.Error) (call.Cause, call.Detail)
}

// A State is where a session is.
type State uint8

// The states, in the order a good session passes them.
const (
	Idle      State = iota
	Proposed        // somebody proposed, nobody decided
	Proceeded       // we took the peer's proposal and wait for its session-initiate
	Initiated       // session-initiate was sent or received
	Accepted        // session-accept was sent or received
	Ended
)

var stateNames = [...]string{"Idle", "Proposed", "Proceeded", "Initiated", "Accepted", "Ended"}

// String returns the state's name.
func (s State) String() string { return stateNames[min(s, Ended)] }

// A Session is the state of one session. It is not safe for concurrent use.
type Session struct {
	opt   Options
	role  wire.Role // ours
	state State
	peer  string // full JID of the peer, once it is known

	move  move
	names map[string]string // of contents on the wire, by ours, of a session that moved

	rung    bool // ringing was told, one way or the other
	auto    bool // a rejection now is likely the client's own doing
	away    bool // the peer's resource has left
	probing Ref  // of the ping under way; 0 for none
	known   bool // the peer has the session, so it can be sent more than its beginning
	running [timers]bool

	local  media.Description   // what we last said
	remote media.Description   // what the peer last said
	held   []media.Description // our candidates, until the peer has the session
	ahead  []media.Description // the peer's, until it has accepted
	losers []string            // resources that proceeded too late, until the first has the session
	holder string              // resource that said last that it has our proposal

	asked    map[Ref]question
	ref      Ref
	change   *change                    // ours, that the peer has not answered
	options  bool                       // the peer has named options of its ICE; see literal
	onHold   bool                       // the peer said hold
	wire     map[string]media.Direction // what senders says to the peer, by content
	made     map[string]wire.Role       // who created a content that was not there from the beginning
	adding   []string                   // contents that the peer wants to add
	idle     []string                   // contents that we refuse, and that nobody sends
	told     []media.Direction          // of the peer's streams, as the call knows them
	toldHold bool                       // and whether that counts a hold
	theirs   bool                       // the call has not answered the peer's change
	tries    int                        // of telling the call
	handing  bool                       // the peer's transfer is being carried out
	finished wire.Reason                // of the peer's finish, while TimerFinish runs

	out    []Output
	events []call.Event
}

// A question is what a request of ours was about.
type question uint8

const (
	aboutOther question = iota
	aboutInitiate
	aboutAccept
	aboutChange
	aboutAdd
	aboutDigit
)

// Bounds of what is kept for a peer.
const (
	maxLosers = 8
	maxHeld   = 32
	maxTries  = 3
)

// NewInitiator returns a session that will call the peer; [Offer] begins it.
func NewInitiator(opt Options) *Session {
	s := newSession(opt, wire.Initiator)
	if opt.Mode == Direct {
		s.peer = opt.Peer
	}
	return s
}

// NewResponder returns a session that the peer begins: the first input is its proposal or,
// in Direct mode, its session-initiate.
func NewResponder(opt Options) *Session {
	s := newSession(opt, wire.Responder)
	s.peer = opt.Peer
	return s
}

func newSession(opt Options, role wire.Role) *Session {
	return &Session{
		opt: opt, role: role,
		asked: make(map[Ref]question), wire: make(map[string]media.Direction), made: make(map[string]wire.Role),
	}
}

// State returns where the session is.
func (s *Session) State() State { return s.state }

// Peer returns the full JID of the peer, empty while it is not known.
func (s *Session) Peer() string { return s.peer }

// SID returns the id of the session and of its proposal.
func (s *Session) SID() string { return s.opt.SID }

// Role returns our role.
func (s *Session) Role() wire.Role { return s.role }

// Step takes one input. It returns what to do, in order, and what to tell the call after
// that.
func (s *Session) Step(in Input) ([]Output, []call.Event) {
	switch in := in.(type) {
	case Signal:
		s.signal(in)
	case Receipt:
		s.holds(in.From)
	case Bounce:
		s.bounce(in)
	case Crossed:
		s.crossed(in)
	case Migrate:
		s.migrate(in)
	case Request:
		s.request(in)
	case Response:
		s.response(in)
	case Gone:
		s.gone(in)
	case Back:
		if in.From == s.peer {
			s.back()
		}
	case Fired:
		s.fired(in.Timer)
	default:
		s.command(in)
	}
	out, events := s.out, s.events
	s.out, s.events = nil, nil
	return out, events
}

// command does what the call wants.
func (s *Session) command(in Input) {
	if s.state == Ended {
		return
	}
	switch in := in.(type) {
	case Offer:
		s.offer(in.Media)
	case Ring:
		s.ring()
	case Progress:
		// Jingle has no early media; who waits for a sign gets one by TimerRing.
	case Answer:
		s.answer(in.Media)
	case Candidates:
		s.candidates(in.Media)
	case Update:
		s.update(in.Media)
	case AnswerUpdate:
		s.answerUpdate(in.Media)
	case RefuseUpdate:
		s.refuseUpdate(in.Cause)
	case Digit:
		s.digit(in.Digit)
	case Probe:
		s.probe(in.On)
	case RefuseTransfer:
		s.refuseTransfer(in)
	case End:
		s.close(in.Cause, in.Detail)
	}
}

// digit sends the peer a key by XEP-0181. One whose session does not go on yet hears none.
func (s *Session) digit(d call.Digit) {
	if s.state == Accepted && d.Length > 0 && !s.opt.NoTones {
		s.ask(aboutDigit, wire.Jingle{
			Action: wire.SessionInfo, Info: wire.Info{Kind: wire.InfoDTMF, Key: d.Key, Length: d.Length},
		})
	}
}

// proposed says whether the session came about by proposal.
func (s *Session) proposed() bool { return s.opt.Mode != Direct }

func (s *Session) emit(o ...Output)               { s.out = append(s.out, o...) }
func (s *Session) tell(e ...call.Event)           { s.events = append(s.events, e...) }
func (s *Session) result(r Request)               { s.emit(SendResult{r.From, r.ID}) }
func (s *Session) refuse(r Request, e wire.Error) { s.emit(SendError{r.From, r.ID, e}) }

func (s *Session) start(t Timer) {
	s.running[t] = true
	s.emit(StartTimer{t, times[t]})
}

func (s *Session) stop(t Timer) {
	if s.running[t] {
		s.running[t] = false
		s.emit(StopTimer{t})
	}
}

// send sends a signal to the peer's resource.
func (s *Session) send(to string, signal wire.Signal, reason *wire.Reason) {
	s.emit(SendSignal{To: to, JMI: wire.JMI{Signal: signal, ID: s.opt.SID, Reason: reason}})
}

// ask sends a request to the peer.
func (s *Session) ask(about question, j wire.Jingle) {
	s.ref++
	s.asked[s.ref] = about
	j.SID = s.opt.SID
	for i := range j.Contents {
		if creator, later := s.made[j.Contents[i].Name]; later {
			j.Contents[i].Creator = creator
		}
	}
	if s.names != nil {
		rename(&j, s.byTheirs)
	}
	s.emit(SendRequest{s.ref, s.peer, j})
}

// terminate ends the Jingle session on the wire.
func (s *Session) terminate(reason wire.Reason) {
	s.ask(aboutOther, wire.Jingle{Action: wire.SessionTerminate, Reason: &reason})
}

// finish says by message that the session is over.
func (s *Session) finish(reason wire.Reason) {
	if s.proposed() && s.peer != "" {
		s.send(s.peer, wire.Finish, &reason)
	}
}

// end is the end: timers stop, and the call is told. It is the last thing of every session.
func (s *Session) end(cause call.Cause, detail call.Detail) {
	for t := range timers {
		s.stop(t)
	}
	s.state = Ended
	s.held, s.ahead, s.losers, s.asked, s.change = nil, nil, nil, nil, nil
	s.tell(call.LegEnded{Side: s.opt.Side, Cause: cause, Detail: detail})
}

// close ends the session because the call does (INTERWORKING.md sections 2.4 and 2.5).
func (s *Session) close(cause call.Cause, detail call.Detail) {
	reason := s.opt.Words.Reason(cause, detail)
	reason.Transferred = cause == call.Transferred
	givenUp := wire.Reason{Name: "cancel", Text: reason.Text}
	switch cause {
	case call.Elsewhere:
		givenUp.Text = "answered elsewhere" // clients that know it show no missed call
	case call.NoAnswer:
		givenUp.Text = "no answer"
	}
	switch {
	case s.state == Idle:
	case s.state == Proposed && s.role == wire.Initiator:
		s.send(s.opt.Peer, wire.Retract, &givenUp)
	case s.state == Proposed:
		s.send(s.peer, wire.Reject, &reason)
	case s.state == Proceeded:
		s.finish(reason)
	case s.state == Initiated && s.role == wire.Initiator:
		if givesUp(cause) {
			reason = givenUp
			if !s.proposed() && !protected(s.local) {
				reason.Name = "success" // COMPAT(Gajim 1.7): after a cancel it takes no other call
			}
		}
		s.terminate(reason)
		if s.proposed() {
			s.send(s.opt.Peer, wire.Retract, &givenUp)
		}
	default:
		s.terminate(reason)
		s.finish(reason)
	}
	s.end(cause, detail)
}

// protected reports whether any media of a description is by DTLS-SRTP.
func protected(d media.Description) bool {
	return slices.ContainsFunc(d.Streams, func(o media.Stream) bool { return o.Transport.DTLS != nil })
}

// givesUp reports whether a caller that ends its call for this cause has given up.
func givesUp(c call.Cause) bool {
	switch c {
	case call.Normal, call.Cancelled, call.NoAnswer, call.Elsewhere:
		return true
	}
	return false
}

// fail ends the session for a fault that is ours to tell.
func (s *Session) fail(reason string, cause call.Cause, detail call.Detail) {
	r := wire.Reason{Name: reason}
	if s.state >= Initiated {
		s.terminate(r)
	}
	s.finish(r)
	s.end(cause, detail)
}

func (s *Session) fired(t Timer) {
	if s.state == Ended || !s.running[t] {
		return
	}
	s.running[t] = false
	//exhaustive:enforce
	switch t {
	case TimerRing:
		s.ring()
	case TimerInit:
		s.fail("connectivity-error", call.Timeout, call.Detail{Q850: 127})
	case TimerAccept:
		s.fail("timeout", call.NoAnswer, call.Detail{Q850: 19})
	case TimerReject:
		s.auto = true
	case TimerGone:
		s.left()
	case TimerRetry:
		if s.state == Initiated {
			s.tellMoved()
			return
		}
		s.tellChange()
	case TimerAdd:
		s.rejectAdded(call.Unsupported)
	case TimerAdded:
		s.withdraw()
	case TimerMute:
		if s.state == Proposed || s.state == Initiated {
			s.heard()
		}
	case TimerFinish:
		s.terminate(s.finished.OrSuccess())
		s.end(s.causeOf(s.finished))
	}
}

// response takes the answer to one of our requests.
func (s *Session) response(r Response) {
	about, waiting := s.asked[r.Ref]
	if !waiting || s.state == Ended {
		return
	}
	delete(s.asked, r.Ref)
	probed := r.Ref == s.probing && r.Ref != 0
	if probed {
		s.probing = 0
	}
	switch {
	case r.Silent && about == aboutDigit:
		// COMPAT(Dino 0.4): it answers nothing at all to a session-info that it does not know.
	case r.Silent:
		cause, detail := s.opt.Words.Error(wire.Error{})
		s.fail("connectivity-error", cause, detail)
	case about == aboutInitiate:
		s.initiateAnswered(r.Err)
	case about == aboutAccept:
		s.acceptAnswered(r.Err)
	case r.Err != nil && r.Err.Jingle == wire.UnknownSession.Jingle:
		s.end(call.Unavailable, call.Detail{Text: r.Err.Text})
	case probed && r.Err != nil && vanished(*r.Err):
		s.fail("gone", call.MediaLost, call.Detail{Text: r.Err.Text})
	case about == aboutChange, about == aboutAdd:
		s.changeAnswered(about, r.Err)
	}
}

// Wins reports whether the proposal or session of that id goes before another one that
// crosses it (XEP-0353 section 3.4, XEP-0166 section 7.2.14): the lower wins.
func Wins(id, other string) bool { return strings.Compare(id, other) < 0 }

// bare returns the JID without its resource.
func bare(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}
