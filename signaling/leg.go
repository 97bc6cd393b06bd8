package signaling

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/sdp"
	"sipxmppgw/signaling/stack"
)

// abandoned is how long a message may wait for its call before the call counts as gone: a
// call's goroutine never waits.
const abandoned = 10 * time.Second

// maxWaiting bounds the answers to requests of ours that wait for a call that is flooded.
const maxWaiting = 256

// What arrives at a leg.
type (
	received struct { // a request in the dialog
		tx    *stack.ServerTx
		refer *dialog.Asked // of a REFER
	}
	acknowledged struct{ req *sip.Request }  // the ACK of a 2xx
	cancelled    struct{ req *sip.Request }  // the CANCEL of the INVITE
	late         struct{ res *sip.Response } // a 2xx without a transaction
	result       struct {
		id int
		e  stack.Event
	} // of a request of ours
	fired struct {
		timer dialog.Timer
		gen   uint32
	}
)

// wake is posted to the Inbox for each message that waits in the leg.
type wake struct{}

// A leg is one dialog with a trunk. Until it has reported its end it runs on the call's
// goroutine: what arrives waits in queue. Then, or when the call has left it behind, it is
// adopted: what is left of the dialog runs where messages arrive.
type leg struct {
	e     *Edge
	trunk *Trunk
	in    gateway.Inbox

	// Set before the leg is known to others.
	callID, tag string
	token       string       // in Contact
	contact     string       // value of Contact
	local, peer string       // values of From and To in our requests, without tag
	next        stack.Target // where requests go that lead nowhere else
	uri         string       // Request-URI of the peer's INVITE; empty if we called
	caller      string       // bare JID of the XMPP user who calls; empty if the peer called
	first       []sip.Header // of our INVITE alone
	infos       []sip.Header // of our 2xx to the peer's INVITE, until somebody else is at the other end
	met         []sip.Header // who is at the other end now, if that has changed
	hops        int          // Max-Forwards of our INVITE; 0 for 70
	haste       stack.Haste  // of our INVITE
	session     sessionID
	other       string          // bare JID that stands for whoever is at the peer's end; empty if nobody says
	expires     bool            // the peer's INVITE has said how long it waits
	bells       [][]bell        // of a phone that we call
	opening     *sip.Request    // the peer's INVITE, if it may push links; else nil
	place       *presence.Place // where the caller is, if that is to be said; nil for not
	entity      string          // of whom that is
	texts       bool            // whoever is at the other end reads messages or, who calls the peer, sees text while it is typed

	mu      sync.Mutex
	pushed  []string // links that the user was told of
	silent  bool     // the peer is not heard any more
	queue   []any
	events  []call.Event // of commands, waiting for Receive
	adopted bool
	gone    bool // the dialog is done
	watch   *time.Timer
	guarded bool // watch is running

	d        *dialog.Dialog
	sdp      *sdp.Session
	ids      int // of the peer's requests
	servers  map[int]*stack.ServerTx
	clients  map[int]canceller       // INVITEs of ours
	ways     map[string]stack.Target // to a phone, by its tag
	held     []flow                  // of flows
	asked    map[int]asked           // requests of ours
	said     map[int]*submission     // messages among them
	saying   *submission             // that the dialog is given
	retries  retries
	invites  map[uint32]int // CSeq of these to ID
	success  int            // ID of the INVITE that we answered last with 2xx
	answered []byte         // and the body
	text     textStream
	timers   map[dialog.Timer]*timer
}

type timer struct {
	t   *time.Timer
	gen uint32
}

var (
	_ gateway.Leg        = (*leg)(nil)
	_ gateway.Identified = (*leg)(nil)
)

func (e *Edge) newLeg(trunk *Trunk, in gateway.Inbox) *leg {
	return &leg{
		e: e, trunk: trunk, in: in, token: e.o.NewID(), next: trunk.Next, text: textStream{at: -1},
		servers: map[int]*stack.ServerTx{}, clients: map[int]canceller{}, ways: map[string]stack.Target{},
		asked: map[int]asked{}, invites: map[uint32]int{}, timers: map[dialog.Timer]*timer{},
	}
}

// answer makes a leg the called side of an INVITE.
func (l *leg) answer(tx *stack.ServerTx) {
	req := tx.Request()
	l.contact = l.e.contact(l.token, tx.Transport(), tx.Local())
	l.local, l.peer = value(req, "To"), value(req, "From")
	if strings.EqualFold(req.Recipient.Scheme, "sips") {
		l.contact = sips(l.contact)
	}
	l.next = stack.Target{
		Transport: tx.Transport(), Host: tx.Source().Addr().String(), Port: tx.Source().Port(), Stream: l.trunk.Next.Stream,
		Identity: l.trunk.Next.Identity,
	}
	if kind(tx.Transport()) != stack.UDP {
		l.next.Over = tx.Source() // it may listen nowhere, or prove nothing there
	}
	if l.trunk.flows != nil {
		l.next = tx.Back()
	}
}

// IDs implements [gateway.Identified].
func (l *leg) IDs() (id, session string) { return l.callID, l.session.String() }

// hold lets in what comes from a flow while there is the leg.
func (l *leg) hold(f flow) {
	if len(l.held) < 2*maxBells && !slices.Contains(l.held, f) {
		l.held = append(l.held, f)
		l.e.flows.hold(l.trunk, f)
	}
}

// invite is the peer's INVITE as the dialog has it.
func (l *leg) invite(tx *stack.ServerTx, offer body) dialog.Request {
	r := l.request(tx.Request())
	r.Body = offer.Body
	r.Reliable, r.RSeq = supports(tx.Request(), "100rel"), 1+uint32(l.e.o.Rand(1<<30))
	l.servers[r.ID] = tx
	return r
}

// Receive implements [gateway.Leg].
func (l *leg) Receive(any) []call.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drain()
}

// drain takes what waits. The events of commands come first: they were given before.
func (l *leg) drain() []call.Event {
	if l.guarded {
		l.guarded = false
		l.watch.Stop()
	}
	events := l.events
	l.events = nil
	for len(l.queue) > 0 {
		input := l.queue[0]
		l.queue = l.queue[1:]
		events = append(events, l.take(input)...)
	}
	l.queue = nil
	return events
}

// arrive takes what the peer caused, on a worker of the stack.
func (l *leg) arrive(input any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.adopted {
		l.tell(l.take(input))
		return
	}
	if !l.in.Peer(wake{}) && !l.squeeze(input) {
		l.e.count.flooded.Add(1)
		if in, ok := input.(result); ok {
			l.heard(in.id, in.e)
		}
		return
	}
	l.wait(input)
}

// squeeze makes room for what a flooded call needs to end: the answers to our own requests.
// It is false for anything else, which is refused.
func (l *leg) squeeze(input any) bool {
	switch in := input.(type) {
	case received:
		l.e.reply(in.tx, 503, header("Retry-After", "10"))
		return false
	case result, late:
		if len(l.queue) < maxWaiting {
			l.in.Post(wake{})
			return true
		}
	}
	return false
}

// post takes what we caused ourselves.
func (l *leg) post(input any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.adopted {
		l.tell(l.take(input))
		return
	}
	l.in.Post(wake{})
	l.wait(input)
}

// wait puts an input into the queue, and sees to it that it does not wait for a call that is
// gone.
func (l *leg) wait(input any) {
	l.queue = append(l.queue, input)
	l.guard()
}

func (l *leg) guard() {
	switch {
	case l.guarded:
		return
	case l.watch == nil:
		l.watch = time.AfterFunc(abandoned, l.adopt)
	default:
		l.watch.Reset(abandoned)
	}
	l.guarded = true
}

// adopt takes over from a call that is gone.
func (l *leg) adopt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.adopted || !l.guarded {
		return
	}
	l.e.count.adopted.Add(1)
	l.adopted = true
	l.tell(l.drain())
}

// tell has events that nobody waits for fetched by the call, if it is still there.
func (l *leg) tell(events []call.Event) {
	if len(events) > 0 && !l.gone {
		l.events = append(l.events, events...)
		l.in.Post(wake{})
	}
}

// abandon stops everything, when the stack is closed. A call that still waits for the end
// hears of it.
func (l *leg) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return
	}
	l.adopted = true
	// Its dialog may end by this, and the end is what is waited for.
	if events := append(l.drain(), l.step(dialog.Fired{Timer: dialog.TimerClose})...); len(events) > 0 {
		l.events = append(l.events, events...)
		l.in.Post(wake{})
	}
	l.leave()
}

// leave forgets the dialog.
func (l *leg) leave() {
	if l.gone {
		return
	}
	l.gone = true
	l.unsaid()
	l.hangText()
	l.queue = nil
	for _, t := range l.timers {
		t.t.Stop()
	}
	if l.watch != nil {
		l.watch.Stop()
	}
	l.e.forget(l)
}

// The commands of the call.

func (l *leg) Offer(offer media.Description)         { l.command(dialog.Offer{Media: offer}) }
func (l *leg) Ring()                                 { l.command(dialog.Ring{}) }
func (l *leg) Progress(answer media.Description)     { l.command(dialog.Progress{Media: answer}) }
func (l *leg) Answer(answer media.Description)       { l.command(dialog.Answer{Media: answer}) }
func (l *leg) Candidates(media.Description)          {} // what an offer or answer says is all
func (l *leg) Update(offer media.Description)        { l.command(dialog.Update{Media: offer}) }
func (l *leg) AnswerUpdate(answer media.Description) { l.command(dialog.AnswerUpdate{Media: answer}) }

func (l *leg) RefuseUpdate(cause call.Cause) { l.command(dialog.RefuseUpdate{Cause: cause}) }
func (l *leg) Digit(digit call.Digit)        { l.command(dialog.Digit{Digit: digit}) }
func (l *leg) Picture()                      { l.command(dialog.Picture{}) }
func (l *leg) Refer(to call.Destination)     { l.command(dialog.Refer{To: to}) }

// RefuseTransfer implements [gateway.Leg].
func (l *leg) RefuseTransfer(cause call.Cause, detail call.Detail) {
	l.command(dialog.RefuseTransfer{Cause: cause, Detail: detail})
}

// Probe implements [gateway.Leg]. What a BYE means depends on whether the peer is heard.
func (l *leg) Probe(on bool) {
	l.mu.Lock()
	l.silent = on
	l.mu.Unlock()
	l.command(dialog.Probe{On: on})
}

// Meet implements [gateway.Leg]: what we send from now on asserts the new party (RFC 3325
// section 9.1).
func (l *leg) Meet(p gateway.Party) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.met, l.infos = identityHeaders(sender(p, l.trunk.Trusted), p.Name), nil
}

// End implements [gateway.Leg]. A caller who set a time, in which no device showed itself,
// is told that it is over (INTERWORKING 2.5 row 18).
func (l *leg) End(cause call.Cause, detail call.Detail) {
	if l.expires && cause == call.NoAnswer && detail == (call.Detail{Q850: 18}) {
		detail.Status = 408
	}
	l.settle()
	l.command(dialog.End{Cause: cause, Detail: detail})
}

// settle has no INVITE of ours go to yet another place: the dialog may have to wait before it
// can cancel one.
func (l *leg) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tx := range l.clients {
		tx.Settle()
	}
}

// command gives the dialog a command; what it means to the call comes through the Inbox.
func (l *leg) command(in dialog.Input) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.step(in)
	if len(events) == 0 {
		return
	}
	l.events = append(l.events, events...)
	l.in.Post(wake{})
	if !l.adopted {
		l.guard()
	}
}

// take turns what arrived into an input of the dialog.
func (l *leg) take(input any) []call.Event {
	switch in := input.(type) {
	case received:
		if l.gone {
			l.e.reply(in.tx, 481)
			return nil
		}
		r := l.request(in.tx.Request())
		r.Refer = in.refer
		l.servers[r.ID] = in.tx
		return l.step(r)
	case acknowledged:
		return l.step(l.request(in.req))
	case cancelled:
		cause, detail := translate.CauseOfCancel(reasons(in.req))
		return l.step(dialog.Cancelled{Cause: cause, Detail: detail})
	case late:
		id, ok := l.invites[in.res.CSeq().SeqNo]
		if !ok {
			return nil
		}
		return l.step(l.response(id, in.res))
	case result:
		l.heard(in.id, in.e)
		return l.result(in)
	case saying:
		return l.say(in.s)
	case fired:
		if t := l.timers[in.timer]; t == nil || t.gen != in.gen {
			return nil
		}
		return l.step(dialog.Fired{Timer: in.timer})
	}
	panic("signaling: a leg was given what it never posts")
}

// result is what became of a request of ours.
func (l *leg) result(in result) []call.Event {
	if in.e.Err != nil {
		delete(l.clients, in.id)
		delete(l.asked, in.id)
		cause := call.Unreachable
		detail := call.Detail{Text: "no connection"}
		if errors.Is(in.e.Err, stack.ErrTimeout) {
			detail.Text = "no response"
		}
		l.e.o.Log.Debug("request failed", "call", string(l.in.Call()), "trunk", l.trunk.Name, "error", in.e.Err)
		return l.step(dialog.Failure{ID: in.id, Cause: cause, Detail: detail})
	}
	l.session.hear(in.e.Response)
	l.introduce(in.e.Response)
	l.pin(in.e)
	if !in.e.Response.IsProvisional() {
		delete(l.clients, in.id)
		if l.asked[in.id].first {
			l.e.rests(l.trunk, in.e.Response)
		}
		if in.e.Response.IsSuccess() {
			l.retries.proof.hear(l.trunk.purse, in.e.Response)
		}
		again, ok := l.again(in.id, in.e.Response)
		delete(l.asked, in.id)
		if ok {
			return l.step(again)
		}
	}
	return l.step(l.response(in.id, in.e.Response))
}

// pin has what follows go to the one of several places that has the dialog: the first that
// says anything or, if another was quicker to answer, that.
func (l *leg) pin(e stack.Event) {
	if l.trunk.station != nil && l.uri == "" {
		l.reached(e)
		return
	}
	_, single := literal(l.trunk.Next.Host)
	_, pinned := literal(l.next.Host)
	answer := e.Response.IsSuccess() && e.Response.CSeq().MethodName == sip.INVITE
	if l.uri == "" && !single && e.Response.StatusCode > 100 && (answer || !pinned) {
		l.next = e.Target
	}
}

// reached is pin for a phone: each of its dialogs has a way of its own.
func (l *leg) reached(e stack.Event) {
	t := tag(e.Response.To().Params)
	if t == "" || e.Response.StatusCode == 100 || e.Response.CSeq().MethodName != sip.INVITE {
		return
	}
	_, known := l.ways[t]
	if !known && len(l.ways) < maxBells {
		l.ways[t] = e.Target
	}
	if !e.Response.IsSuccess() && (known || len(l.ways) > 1) {
		return // it is neither the first that rings nor the one that answers
	}
	if contact, ok := l.e.contactTo(l.token, e.Target); ok && e.Target == l.ways[t] {
		l.next, l.contact = e.Target, contact
	}
}

// request is a request of the peer as the dialog has it.
func (l *leg) request(req *sip.Request) dialog.Request {
	r := dialog.Request{
		Method: string(req.Method), CSeq: req.CSeq().SeqNo, Tag: tag(req.From().Params),
		Contact: contactOf(req), Route: values(req, "Record-Route"),
		Type: value(req, "Content-Type"), Package: value(req, "Info-Package"),
	}
	if r.Method != "ACK" {
		l.ids++
		r.ID = l.ids
	}
	switch r.Method {
	case "PRACK":
		r.RAck = rack(value(req, "RAck"))
		r.Body = l.body(req).Body
	case "BYE":
		r.Cause, r.Detail = translate.CauseOfBye(reasons(req), l.silent)
	case "UPDATE":
		r.Body = l.body(req).Body
		r.Session, r.Allow = session(req), allows(req)
	case "INVITE", "ACK":
		r.Session, r.Allow = session(req), allows(req)
		if l.d != nil { // the first has been read
			r.Body = l.body(req).Body
		}
	case "NOTIFY":
		r.Notice, r.Cause = sipfrag(req)
	case "INFO":
		r.Text = string(req.Body())
		if r.Text == "" {
			r.Type = ""
		}
	}
	return r
}

// response is a response to a request of ours as the dialog has it.
func (l *leg) response(id int, res *sip.Response) dialog.Response {
	r := dialog.Response{
		ID: id, Status: res.StatusCode, Tag: tag(res.To().Params),
		Contact: contactOf(res), Route: values(res, "Record-Route"),
	}
	if !res.IsProvisional() {
		r.Session, r.Allow = session(res), allows(res)
	}
	if res.StatusCode >= 300 {
		q850, text := translate.Q850Of(reasons(res))
		if text == "" {
			text = res.Reason
		}
		r.Cause = l.cause(res, q850)
		r.Detail = call.Detail{Status: res.StatusCode, Q850: q850, Text: text}
		return r
	}
	if res.IsProvisional() && supports(res, "100rel") == dialog.Required {
		n, _ := strconv.ParseUint(value(res, "RSeq"), 10, 32) // 0 is none
		r.RSeq = uint32(n)
	}
	if res.CSeq().MethodName == sip.INVITE && res.StatusCode > 100 {
		r.Body = l.body(res).Body
		if l.trunk.Trusted {
			r.Early = earlyMedia(res)
		}
	}
	return r
}

// cause is what a refusal means. Two statuses say more by a header beside them (INTERWORKING
// 2.13 A): 301 with nowhere to go, and 488 for a kind of media (Warning 304, RFC 3261 section
// 20.43).
func (l *leg) cause(res *sip.Response, q850 int) call.Cause {
	switch status := res.StatusCode; {
	case status == 301 && !slices.ContainsFunc(values(res, "Contact"), func(v string) bool { return l.reachable(address(v).URI) }):
		return call.Gone
	case (status == 488 || status == 606) && strings.HasPrefix(value(res, "Warning"), "304 "):
		return call.Unsupported
	}
	return translate.CauseOfStatus(res.StatusCode, q850)
}

// step gives the dialog one input and carries out what it wants.
func (l *leg) step(in dialog.Input) []call.Event {
	outputs, events := l.d.Step(in)
	for _, o := range outputs {
		l.do(o)
	}
	if slices.ContainsFunc(events, func(e call.Event) bool { _, ended := e.(call.LegEnded); return ended }) {
		l.adopted = true
		l.hangText() // while there is somebody to read the rest
	}
	return events
}

func (l *leg) do(o dialog.Output) {
	switch o := o.(type) {
	case dialog.Send:
		l.send(o)
	case dialog.Cancel:
		if tx := l.clients[o.ID]; tx != nil {
			tx.Cancel(reasonHeaders(translate.CancelReasons(o.Cause))...)
		}
	case dialog.Reply:
		l.reply(o)
	case dialog.Start:
		l.start(o)
	case dialog.Stop:
		if t := l.timers[o.Timer]; t != nil {
			t.gen++
			t.t.Stop()
		}
	case dialog.Done:
		l.leave()
	}
}

func (l *leg) start(o dialog.Start) {
	after := o.After
	if steps := int(o.Spread / (10 * time.Millisecond)); steps > 0 {
		after += time.Duration(l.e.o.Rand(steps+1)) * 10 * time.Millisecond
	}
	t := l.timers[o.Timer]
	if t == nil {
		t = &timer{}
		l.timers[o.Timer] = t
	} else {
		t.t.Stop()
	}
	t.gen++
	in := fired{o.Timer, t.gen}
	t.t = time.AfterFunc(after, func() { l.post(in) })
}
