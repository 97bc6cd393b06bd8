package signaling

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/signaling/chat"
	"sipxmppgw/signaling/cpim"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/msrp"
	"sipxmppgw/signaling/stack"
)

// A SessionMode says when there are message sessions with a peer (RFC 4975).
type SessionMode uint8

const (
	NoSessions     SessionMode = iota
	AutoSessions               // when the peer begins one, a message is long, or many follow each other
	AlwaysSessions             // for every message
)

// maxFromPeer is how much of a peer may wait for a line; more is refused.
const maxFromPeer = 256

// A speaker is whose a line is. Its methods run on the line's goroutine.
type speaker interface {
	lineUp()
	lineOver(chat.Over)
	// lineHeard takes what comes over the connection, but for its beginning and its end.
	lineHeard(msrp.Event)
	// lineAsked takes a REFER, which the leg is told of with RefuseTransfer, and lineReferred what
	// came of one of ours.
	lineAsked(call.Destination)
	lineReferred(call.LegReferred)
	// lineTold takes what was posted with tell.
	lineTold(any)
}

// A chatLine is one message session: its dialog, its connection, and the machine of both. One
// goroutine owns it, and ends when the dialog is closed; all others post to it.
type chatLine struct {
	e     *Edge
	trunk *Trunk
	m     chat.Line
	owner speaker

	// Set before run.
	leg   gateway.Leg
	ms    *msrp.Session
	ours  media.Messages
	offer media.Description // the peer's, if it called

	theirs *media.Messages // of run
	path   []msrp.URI      // of the peer, likewise
	timers [3]struct {
		t   *time.Timer
		gen int
	} // likewise

	mu     sync.Mutex
	box    []any
	peers  int // letters in it that the peer has caused
	closed bool
	ready  chan struct{}
}

// What is posted to a line.
type (
	toLeg   struct{ input any } // for the leg to receive
	toldOf  struct{ input any } // for the owner
	toLine  struct{ in chat.Input }
	ringing struct {
		timer chat.Timer
		gen   int
	}
)

// newLine makes a line and its address; nil if there can be none. at is our address as the peer
// sees it.
func (e *Edge) newLine(trunk *Trunk, owner speaker, secure bool, at netip.Addr, about media.Messages) *chatLine {
	l := &chatLine{e: e, trunk: trunk, owner: owner, ready: make(chan struct{}, 1)}
	ms, err := e.o.Sessions.Open(secure, at.Unmap(), l.connection)
	if err != nil {
		e.o.Log.Warn("no message session", "trunk", trunk.Name, "error", err)
		return nil
	}
	l.ms = ms
	l.ours = about
	path := ms.Path()
	l.ours.Secure, l.ours.Path, l.ours.MaxSize = secure, path.Text, e.o.Sessions.MaxSize()
	l.ours.Addr = netip.AddrPortFrom(at.Unmap(), path.Port)
	if secure {
		if hash, value, ok := strings.Cut(e.o.Sessions.Fingerprint(), " "); ok {
			l.ours.Prints = []media.Fingerprint{{Hash: hash, Value: value}}
		}
	}
	return l
}

// plainTalk is what we take in sessions of two.
func plainTalk() media.Messages {
	return media.Messages{
		Accept:  []string{cpim.Type, "text/plain", cpim.TypeComposing, cpim.TypeIMDN},
		Wrapped: []string{"text/plain", "text/html", cpim.TypeComposing, cpim.TypeIMDN},
	}
}

// secureSessions says whether sessions with a trunk are protected, where that is ours to say: as
// its signalling is, if we can.
func (e *Edge) secureSessions(t *Trunk) bool {
	switch secure := t.transport().Secure(); {
	case e.o.Sessions.Port(secure) != 0 || e.o.Sessions.Port(!secure) == 0:
		return secure && e.o.Sessions.Fingerprint() != ""
	default:
		return !secure
	}
}

// dialLine makes the line to a peer, which [chat.Call] calls. An error is a [*call.Refusal].
func (e *Edge) dialLine(target gateway.Target, owner speaker, about media.Messages) (*chatLine, error) {
	trunk := e.trunk(target.Trunk)
	if trunk == nil || e.o.Sessions == nil || trunk.Sessions == NoSessions {
		return nil, &call.Refusal{Cause: call.Unreachable, Detail: call.Detail{Text: "no message sessions with this peer"}}
	}
	local, ok := e.stack.Local(trunk.transport(), trunk.at())
	if !ok {
		return nil, &call.Refusal{Cause: call.Unreachable, Detail: call.Detail{Text: "no listener for trunk " + trunk.Name}}
	}
	l := e.newLine(trunk, owner, e.secureSessions(trunk), local.Addr(), about)
	if l == nil {
		return nil, &call.Refusal{Cause: call.Overloaded}
	}
	if l.ours.Setup = media.ActPass; e.o.Sessions.Port(l.ours.Secure) == 0 {
		l.ours.Setup = media.Active
	}
	leg, err := e.Dial(target, lineBox{l, call.B})
	if err != nil {
		l.ms.Close()
		return nil, err
	}
	l.leg = leg
	e.count.sessions.Add(1)
	return l, nil
}

// takeLine makes the line of a peer's INVITE, whose leg is complete but for its inbox; nil if
// there can be none, and then status refuses it.
func (e *Edge) takeLine(tx *stack.ServerTx, g *leg, offer body, owner speaker, about media.Messages) (l *chatLine, status int) {
	m := offer.Media.Messages()
	path, ok := msrp.ParsePath(m.Path)
	if !ok {
		return nil, 488
	}
	reachable := e.o.Sessions.Port(m.Secure) != 0
	setup := media.SetupNone // as RFC 4975 has it: who offers connects
	switch {
	case m.Setup == media.ActPass && reachable:
		setup = media.Passive
	case m.Setup == media.Passive, m.Setup == media.ActPass:
		setup = media.Active
	case !reachable:
		return nil, 488
	case m.Setup == media.Active:
		setup = media.Passive
	}
	if m.Secure && e.o.Sessions.Fingerprint() == "" {
		return nil, 488
	}
	l = e.newLine(g.trunk, owner, m.Secure, tx.Local().Addr(), about)
	if l == nil {
		return nil, 503
	}
	l.ours.Setup, l.offer, l.theirs, l.path = setup, offer.Media, m, path
	g.in = lineBox{l, call.A}
	g.d = dialog.NewUAS(call.A, g.invite(tx, offer))
	l.leg = g
	if !e.enlist(g) {
		l.ms.Close()
		return nil, 480
	}
	e.count.sessions.Add(1)
	tx.OnCancel(func(cancel *sip.Request) { g.arrive(cancelled{cancel}) })
	l.post(toLine{chat.Called{}})
	return l, 0
}

// tell posts something for the owner. False says that the line is over.
func (l *chatLine) tell(in any) bool { return l.post(toldOf{in}) }

func (l *chatLine) post(in any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.box = append(l.box, in)
	l.wake()
	return true
}

// peer posts what the peer has caused, as long as there is room.
func (l *chatLine) peer(in any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.peers >= maxFromPeer {
		return false
	}
	l.peers++
	l.box = append(l.box, in)
	l.wake()
	return true
}

func (l *chatLine) wake() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// connection takes what happens on the connection. What there is no room for is not taken.
func (l *chatLine) connection(ev msrp.Event) {
	if l.peer(ev) {
		return
	}
	switch ev := ev.(type) {
	case msrp.Received:
		ev.Answer(413)
	case msrp.Renaming:
		ev.Answer(403)
	case msrp.Lost, msrp.Bound:
		l.post(ev)
	}
}

// run is the line, until it is over.
func (l *chatLine) run() {
	for range l.ready {
		l.mu.Lock()
		box := l.box
		l.box, l.peers = nil, 0
		l.mu.Unlock()
		for _, in := range box {
			if l.take(in) {
				return
			}
		}
	}
}

// take takes one letter; over says that it was the last.
func (l *chatLine) take(in any) (over bool) {
	switch in := in.(type) {
	case toLeg:
		for _, ev := range l.leg.Receive(in.input) {
			if in := l.meaning(ev); in != nil && l.step(in) {
				return true
			}
		}
	case toLine:
		return l.step(in.in)
	case toldOf:
		l.owner.lineTold(in.input)
	case ringing:
		if l.timers[in.timer].gen == in.gen {
			return l.step(chat.Fired{Timer: in.timer})
		}
	case msrp.Bound:
		return l.step(chat.Bound{})
	case msrp.Lost:
		l.e.o.Log.Debug("message session has no connection", "trunk", l.trunk.Name, "error", in.Err)
		return l.step(chat.Lost{})
	case msrp.Event:
		l.owner.lineHeard(in)
		return l.step(chat.Spoke{})
	}
	return false
}

// meaning is what an event of the leg is to the line; nil for nothing.
func (l *chatLine) meaning(ev call.Event) chat.Input {
	switch ev := ev.(type) {
	case call.LegAnswered:
		m := ev.Media.Messages()
		if m == nil || m.Secure != l.ours.Secure {
			return chat.Answered{}
		}
		path, ok := msrp.ParsePath(m.Path)
		l.theirs, l.path = m, path
		return chat.Answered{Fit: ok && m.Setup != l.ours.Setup || ok && m.Setup == media.SetupNone}
	case call.LegOffered:
		m := ev.Media.Messages()
		return chat.Offered{Fit: ev.Media.Empty() || m != nil && l.theirs != nil && m.Path == l.theirs.Path}
	case call.LegEnded:
		return chat.Ended{Cause: ev.Cause, Detail: ev.Detail}
	case call.LegTransfer:
		l.owner.lineAsked(ev.To)
	case call.LegReferred:
		l.owner.lineReferred(ev)
	}
	return nil
}

// step gives the machine an input and does what it wants; over says that it was the last.
func (l *chatLine) step(in chat.Input) (over bool) {
	for _, o := range l.m.Step(in) {
		switch o := o.(type) {
		case chat.Offer:
			l.leg.Offer(media.Converse(l.ours, media.Description{}))
		case chat.Answer:
			l.leg.Answer(media.Converse(l.ours, l.offer))
		case chat.Again:
			l.leg.AnswerUpdate(media.Converse(l.ours, l.offer))
		case chat.Refuse:
			l.leg.RefuseUpdate(call.Incompatible)
		case chat.Link:
			l.ms.Connect(l.other())
		case chat.Unlink:
			l.ms.Close()
		case chat.Hang:
			l.leg.End(o.Cause, o.Detail)
		case chat.Start:
			l.start(o)
		case chat.Stop:
			l.stop(o.Timer)
		case chat.Up:
			l.owner.lineUp()
		case chat.Over:
			l.owner.lineOver(o)
		case chat.Done:
			l.mu.Lock()
			l.closed = true
			l.mu.Unlock()
			return true
		}
	}
	return false
}

// other is the peer's end of the connection.
func (l *chatLine) other() msrp.Peer {
	p := msrp.Peer{Path: l.path}
	switch l.theirs.Setup {
	case media.Passive:
		p.Active = true
	case media.ActPass, media.SetupNone:
		p.Active = l.ours.Setup == media.Active || l.offer.Empty() // who offers connects (RFC 4975 section 5.4)
	}
	if l.theirs.Reach && l.theirs.Addr.IsValid() {
		p.At = l.theirs.Addr.String()
	}
	for _, f := range l.theirs.Prints {
		p.Prints = append(p.Prints, f.Hash+" "+f.Value)
	}
	return p
}

func (l *chatLine) start(o chat.Start) {
	t := &l.timers[o.Timer]
	l.stop(o.Timer)
	in := ringing{o.Timer, t.gen}
	t.t = time.AfterFunc(o.After, func() { l.post(in) })
}

func (l *chatLine) stop(which chat.Timer) {
	t := &l.timers[which]
	t.gen++
	if t.t != nil {
		t.t.Stop()
	}
}

// A lineBox is the [gateway.Inbox] of a line's leg.
type lineBox struct {
	l    *chatLine
	side call.Side
}

var _ gateway.Inbox = lineBox{}

func (b lineBox) Peer(input any) bool      { return b.l.peer(toLeg{input}) }
func (b lineBox) Post(input any)           { b.l.post(toLeg{input}) }
func (lineBox) Call() call.ID              { return "" } // it is no call
func (b lineBox) Side() call.Side          { return b.side }
func (lineBox) Seat() int                  { return 0 }
func (lineBox) Take(t gateway.Taking) bool { return false }
