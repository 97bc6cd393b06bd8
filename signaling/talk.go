package signaling

import (
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/chat"
	"sipxmppgw/signaling/cpim"
	"sipxmppgw/signaling/msrp"
	"sipxmppgw/signaling/stack"
)

// When messages become a session by themselves (INTERWORKING 5.6), and for how long a peer that
// has refused one is left alone.
const (
	briskMessages = 3
	briskTime     = time.Minute
	unchattyTime  = time.Hour
)

// A talkKey is who talks: the bare JIDs of the user, and of the SIP peer.
type talkKey struct{ user, peer string }

// talks are the sessions of two.
type talks struct {
	mu      sync.Mutex
	all     map[talkKey]*talk       // the newest of each pair
	byTrunk map[string]int          // all of them
	answers map[string]answer       // messages that the shell decides about, by key
	brisk   map[talkKey][]time.Time // when a pair wrote lately
}

// An answer is what a peer waits for that has sent a message.
type answer struct {
	t    *talk
	tell func(status int)
}

func newTalks() *talks {
	return &talks{all: map[talkKey]*talk{}, byTrunk: map[string]int{}, answers: map[string]answer{}, brisk: map[talkKey][]time.Time{}}
}

// A talk is one of them. Its goroutine is its line's.
type talk struct {
	e     *Edge
	key   talkKey
	peer  string // address of record
	trunk *Trunk
	line  *chatLine

	query  gateway.Query // what messages of the peer are routed by
	thread string

	m       chat.Talk
	device  string // full JID of the user, who said something last; empty for none
	subject string // of the peer's INVITE, for its first message
	subs    map[string]*submission
	late    *time.Timer
}

var _ speaker = (*talk)(nil)

// What is posted to a talk.
type (
	handed  struct{ s *submission }
	overdue struct{}
)

// take has a message go over the session of its pair, or begin one if it is to. False says that
// it is to go by itself.
func (ts *talks) take(s *submission) bool {
	e, m := s.e, s.m
	if e.o.Sessions == nil || s.trunk.Sessions == NoSessions || m.From.Anonymous || m.From.JID == "" {
		return false
	}
	key := talkKey{bare(m.From.JID), bare(m.To.JID)}
	ts.mu.Lock()
	t := ts.all[key]
	brisk := m.Kind == message.Words && ts.writes(key, time.Now())
	ts.mu.Unlock()
	if t != nil && t.trunk == s.trunk && t.line.tell(handed{s}) {
		return true
	}
	if m.Kind != message.Words || !brisk && s.trunk.Sessions != AlwaysSessions {
		return false
	}
	return ts.begin(s)
}

// writes notes that a pair has written, and reports whether it does so often. It is for the
// holder of the lock.
func (ts *talks) writes(key talkKey, now time.Time) bool {
	if len(ts.brisk) >= maxPeers && ts.brisk[key] == nil {
		ts.brisk = map[talkKey][]time.Time{}
	}
	at := append(slices.DeleteFunc(ts.brisk[key], func(t time.Time) bool { return now.Sub(t) > briskTime }), now)
	if len(at) > briskMessages {
		at = at[len(at)-briskMessages:]
	}
	ts.brisk[key] = at
	return len(at) >= briskMessages
}

// begin begins a session for a message. False says that there can be none.
func (ts *talks) begin(s *submission) bool {
	e, m := s.e, s.m
	if e.o.Sessions == nil || s.trunk.Sessions == NoSessions || s.paged || m.From.Anonymous || m.From.JID == "" || time.Now().Before(e.able.of(aor(m.To.URI)).unchatty) {
		return false
	}
	t := &talk{
		e: e, key: talkKey{bare(m.From.JID), bare(m.To.JID)}, peer: aor(m.To.URI), trunk: s.trunk, thread: m.Thread, subs: map[string]*submission{},
		query: gateway.Query{
			Edge: gateway.SIP, Trunk: s.trunk.Name, To: m.From.URI,
			Claim: translate.Claim{From: translate.NameAddr{Name: m.To.Name, URI: m.To.URI}, Trusted: s.trunk.Trusted},
		},
	}
	if !ts.add(t) {
		return false
	}
	l, err := e.dialLine(gateway.Target{
		Edge: gateway.SIP, Trunk: s.trunk.Name, CallID: m.Thread,
		From: gateway.Party{URI: m.From.URI, JID: m.From.JID, Name: m.From.Name}, To: gateway.Party{URI: m.To.URI},
	}, t, plainTalk())
	if err != nil {
		ts.remove(t)
		return false
	}
	t.open(l)
	l.post(toLine{chat.Call{}})
	l.tell(handed{s})
	return true
}

// open gives a talk its line, and has it run until that is over.
func (t *talk) open(l *chatLine) {
	t.line = l
	l.m.Idle = chat.Silence
	t.late = time.AfterFunc(chat.Pending, func() { l.tell(overdue{}) })
	ts := t.e.talks
	ts.mu.Lock()
	ts.all[t.key] = t
	ts.mu.Unlock()
	t.e.lines.Go(l.run)
}

// add counts a talk, if there is room for it: no trunk may have more than half of all.
func (ts *talks) add(t *talk) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byTrunk[t.trunk.Name] >= maxTalks {
		return false
	}
	ts.byTrunk[t.trunk.Name]++
	return true
}

// maxTalks is how many sessions one trunk or phone may have.
const maxTalks = 1000

func (ts *talks) remove(t *talk) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byTrunk[t.trunk.Name]--; ts.byTrunk[t.trunk.Name] <= 0 {
		delete(ts.byTrunk, t.trunk.Name)
	}
	if ts.all[t.key] == t {
		delete(ts.all, t.key)
	}
	for key, a := range ts.answers {
		if a.t == t {
			delete(ts.answers, key)
		}
	}
}

// talked takes an INVITE that offers a session with a user, who was found.
func (e *Edge) talked(tx *stack.ServerTx, g *leg, offer body, target gateway.Target, query gateway.Query) {
	req := tx.Request()
	t := &talk{
		e: e, trunk: g.trunk, subs: map[string]*submission{}, query: query,
		key: talkKey{bare(target.To.JID), bare(target.From.JID)}, peer: aor(target.From.URI),
		thread: e.threads.threadOf(g.callID), subject: value(req, "Subject"),
	}
	if !e.talks.add(t) {
		e.refuse(tx, g.trunk, 486, "too many message sessions")
		return
	}
	l, status := e.takeLine(tx, g, offer, t, plainTalk())
	if l == nil {
		e.talks.remove(t)
		e.refuse(tx, g.trunk, status, "no message session can be had")
		return
	}
	t.open(l)
	l.post(toLine{chat.Accept{}})
}

// decided answers the peer whose message the shell has decided about; false says that it did
// not come over a session.
func (ts *talks) decided(m message.Message, v message.Verdict, o message.Outcome) bool {
	ts.mu.Lock()
	a, ok := ts.answers[m.Key]
	delete(ts.answers, m.Key)
	ts.mu.Unlock()
	if !ok {
		return false
	}
	switch {
	case v == message.Accepted:
		a.tell(200)
	case o.Condition == "policy-violation" && o.Type == "modify", o.Status == 513:
		a.tell(413)
	case o.Status == 408, o.Condition == "remote-server-timeout":
		a.tell(408)
	case o.Status == 415:
		a.tell(415)
	default:
		a.tell(403)
	}
	return true
}

// lineAsked refuses a REFER: who writes cannot be sent on.
func (t *talk) lineAsked(call.Destination) {
	t.line.leg.RefuseTransfer(call.Incompatible, call.Detail{})
}

func (t *talk) lineReferred(call.LegReferred) {} // there is none of ours

// lineTold takes what was posted.
func (t *talk) lineTold(in any) {
	switch in := in.(type) {
	case handed:
		m := in.s.m
		t.subs[m.Key] = in.s
		if strings.Contains(m.From.JID, "/") {
			t.device = m.From.JID
		}
		t.step(chat.Say{Message: m, ID: msrp.IdentOf(m.ID, "mid-"+m.Key)})
		t.line.step(chat.Spoke{})
	case overdue:
		t.step(chat.Late{})
	}
}

func (t *talk) lineUp() {
	t.late.Stop()
	t.step(chat.Up{})
}

func (t *talk) lineOver(o chat.Over) {
	t.late.Stop()
	if !o.Began && o.By && (o.Detail.Status == 488 || o.Detail.Status == 415 || o.Detail.Status == 606 || o.Detail.Status == 405 || o.Detail.Status == 501 || o.Cause == call.Incompatible) {
		t.e.able.learn(t.peer, func(p *ability) { p.unchatty = time.Now().Add(unchattyTime) })
	}
	t.e.talks.remove(t)
	t.step(o)
}

// step gives the machine an event and does what it wants.
func (t *talk) step(ev chat.Event) {
	for _, a := range t.m.Step(ev) {
		switch a := a.(type) {
		case chat.Utter:
			if !t.utter(a) {
				t.step(chat.Sent{ID: a.ID, Status: 415})
			}
		case chat.Carried:
			if s := t.subs[a.Key]; s != nil {
				delete(t.subs, a.Key)
				s.done(a.Outcome)
			}
		case chat.Page:
			if s := t.subs[a.Message.Key]; s != nil {
				delete(t.subs, a.Message.Key)
				s.m, s.paged = a.Message, true
				s.page()
			}
		case chat.Tell:
			t.receive(message.Message{Kind: message.Notice, About: a.About, State: a.State, Once: a.State.Word() + a.About})
		case chat.Report:
			t.line.ms.Report(a.ID, a.Size, a.Status)
		case chat.Leave:
			t.line.post(toLine{chat.Close{Cause: call.Normal}})
		case chat.Left:
			t.receive(message.Message{Kind: message.Typing, Gone: true})
		}
	}
}

// utter sends a message; false says that the peer takes none of its kind.
func (t *talk) utter(u chat.Utter) bool {
	s := t.subs[u.Message.Key]
	theirs := t.line.theirs
	if s == nil || theirs == nil {
		return false
	}
	m := u.Message
	kind := map[message.Kind]string{message.Words: "text/plain", message.Typing: cpim.TypeComposing, message.Notice: cpim.TypeIMDN}[m.Kind]
	asks := m.Asks
	wants := m.Kind == message.Notice || m.Kind == message.Words && (asks&message.AskDisplayed != 0 || m.Subject != "")
	s.wrapped = theirs.Accepts(kind, true) && (wants || !theirs.Accepts(kind, false))
	switch {
	case !s.wrapped && (m.Kind == message.Notice || !theirs.Accepts(kind, false)):
		return false
	case m.Kind == message.Words && m.ID == "":
		s.m.ID = u.ID
	}
	s.m.Asks &^= message.AskDelivered | message.AskFailed // the session itself reports these
	s.who = sender(gateway.Party{URI: m.From.URI, Name: m.From.Name}, t.trunk.Trusted)
	typ, body := s.body()
	s.m.Asks = asks
	if theirs.MaxSize > 0 && len(body) > theirs.MaxSize {
		t.step(chat.Sent{ID: u.ID, Status: 413})
		return true
	}
	o := msrp.Outgoing{ID: u.ID, Type: typ, Body: []byte(body), Success: m.Kind == message.Words && asks&message.AskDelivered != 0}
	if m.Kind == message.Typing {
		o.Failure = "no"
	}
	t.e.count.submitted.Add(1)
	if !t.line.ms.Send(o) {
		t.step(chat.Sent{ID: u.ID, Status: 408})
	}
	return true
}

// lineHeard takes what the peer says.
func (t *talk) lineHeard(ev msrp.Event) {
	switch ev := ev.(type) {
	case msrp.Sent:
		t.step(chat.Sent{ID: ev.ID, Status: ev.Status})
	case msrp.Reported:
		t.step(chat.Reported{ID: ev.ID, Status: ev.Status})
	case msrp.Renaming:
		ev.Answer(403) // there is no room
	case msrp.Received:
		t.heard(ev)
	}
}

func (t *talk) heard(ev msrp.Received) {
	t.e.count.messages.Add(1)
	m, status := t.read(ev)
	if status != 0 {
		ev.Answer(status)
		return
	}
	t.step(chat.Heard{ID: ev.ID, Size: len(ev.Body), Wants: ev.Success && m.Kind == message.Words})
	m.Key = t.e.o.NewID()
	ts := t.e.talks
	ts.mu.Lock()
	ts.answers[m.Key] = answer{t, ev.Answer}
	ts.mu.Unlock()
	if !t.receive(m) {
		ts.mu.Lock()
		delete(ts.answers, m.Key)
		ts.mu.Unlock()
		ev.Answer(403)
	}
}

// read reads a message. A status refuses it, or takes it although it says nothing to anybody.
func (t *talk) read(ev msrp.Received) (m message.Message, status int) {
	m = message.Message{Kind: message.Words, Type: "chat", ID: ev.ID, Once: t.line.ms.Path().Session + " " + ev.ID}
	kind, body := ev.Type, string(ev.Body)
	wrapped := mediaType(kind) == cpim.Type
	if wrapped {
		w, err := cpim.Parse(body)
		if err != nil {
			return m, 400
		}
		unwrap(&m, w)
		kind, body = w.Type, w.Content
	}
	switch status = fill(&m, kind, body, wrapped); status {
	case 513:
		status = 413
	case 0:
		if m.Kind == message.Words {
			if m.Subject == "" {
				m.Subject, t.subject = t.subject, ""
			}
			if ev.Success {
				m.ID = ev.ID // what its report names
				m.Asks |= message.AskDelivered | message.AskFailed
			}
		}
	}
	return m, status
}

// receive gives a message of the peer to the shell; false says that it is not taken.
func (t *talk) receive(m message.Message) bool {
	m.Thread = t.thread
	if m.Thread == "" {
		if g, ok := t.line.leg.(*leg); ok {
			m.Thread = t.e.threads.threadOf(g.callID)
		}
	}
	m.To.JID = t.device
	messages := t.e.of(t.trunk).Messages
	return messages != nil && messages.Send(t.query, m) == nil
}

// converses takes an INVITE that offers a message session and nothing else.
func (e *Edge) converses(tx *stack.ServerTx, g *leg, offer body) {
	req, trunk := tx.Request(), g.trunk
	q := gateway.Query{
		Edge: gateway.SIP, Trunk: trunk.Name, To: req.Recipient.String(), Hops: hopsLeft(req), Claim: claim(req, trunk.Trusted),
	}
	if e.o.Sessions == nil || trunk.Sessions == NoSessions || trunk.Messages == NoMessages || e.of(trunk).Messages == nil {
		e.refuse(tx, trunk, 488, "it offers no sound, and messages are not taken in sessions")
		return
	}
	target, err := e.routed(req, trunk, q)
	switch {
	case err != nil:
		e.refuseFor(tx, trunk, err)
	case target.Edge != gateway.XMPP:
		e.refuse(tx, trunk, 501, "messages go between SIP and XMPP alone")
	case target.Room:
		g.answer(tx)
		e.entersRoom(tx, g, offer, target)
	default:
		g.answer(tx)
		e.talked(tx, g, offer, target, q)
	}
}
