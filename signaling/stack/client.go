package stack

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/resolve"
)

var (
	// ErrTimeout says that no final response came (timers B and F of RFC 3261
	// section 17.1), none in time after a CANCEL, or none at all within
	// [Limits.Silence]. It counts as a 408.
	ErrTimeout = errors.New("no response")
	// ErrTransport says that a message could not be sent, or that the connection was
	// lost. It counts as a 503.
	ErrTransport = errors.New("cannot be sent")
	// ErrResolve says that the target has no address.
	ErrResolve = errors.New("no address")
	// ErrRefused says that [gate.CheckOut] found the message unfit to be sent.
	ErrRefused = errors.New("refused by the gate")
	// ErrAnswered says that a request has had its final response.
	ErrAnswered = errors.New("already answered")
	// ErrNoSCTP says that this machine cannot speak SCTP.
	ErrNoSCTP = errors.New("the kernel of this machine has no SCTP")
	// ErrClosed says that the stack is closed.
	ErrClosed = errors.New("stack closed")
)

// An Event is what becomes of a request that we sent: a response or an error.
type Event struct {
	Response *sip.Response // nil with Err
	Err      error         // ErrTimeout, ErrTransport, ErrResolve, ErrRefused or ErrClosed, wrapped
	Target   Target        // where Response has come from: what follows in its dialog can go there
	Doubt    bool          // at the end: some target may have the request and has not said so
}

// lastStart is the least time left in which another target is still tried.
const lastStart = 500 * time.Millisecond

// A ClientTx is a request that we send: to one target or, until one takes it, to one after
// the other, each in a transaction of its own (RFC 3263 section 4.3). Its methods may be
// called from any goroutine.
type ClientTx struct {
	s      *Stack
	req    *sip.Request // ours since it was handed in; without a Via
	queue  *queue
	on     func(Event)
	until  time.Time     // after which no other target is tried
	within time.Duration // for the first word of an INVITE
	hasty  bool          // each target has Limits.Next to say something, the last too
	why    []sip.Header  // of a CANCEL for a target that was left
	inside bool          // of a dialog, which has one target
	hop    Target        // what the targets are of

	mu        sync.Mutex
	targets   []resolve.Target // not tried yet
	live      *attempt         // that the user hears of; nil while connecting
	over      bool             // the user has been told of the end
	settled   bool             // by the user: no other target is wanted
	cancelled bool             // by the user
	doubt     bool             // a target may have the request without having said so
	silence   *time.Timer      // of an INVITE that nothing answers

	// Of the worker.
	taken    bool // a target has gone on with the request: no other is to
	answered bool // the end was a 2xx
}

// Request sends a request in a client transaction. It does not block and may be called
// from any goroutine. The request needs a request line, From, To, Call-ID and CSeq; the
// stack puts a Via on top, and Max-Forwards where there is none, and works on a copy.
// What comes of it is given to on, which runs on the worker of the Call-ID and must not
// block: any number of provisional responses, then one final response or one error. The
// 2xx of an INVITE may come again, also with the tag of another fork.
//
// A request outside of a dialog goes on to the next place that the target has when one
// cannot be reached, says nothing for [Limits.Next], or has trouble of its own (503, 408,
// and 5xx but 501 and 505), unless one has rung, or the request was cancelled, or
// [Limits.Silence] is nearly over. Only what comes of the last is told then.
func (s *Stack) Request(req *sip.Request, to Target, on func(Event)) *ClientTx {
	return s.Hurry(req, to, Haste{}, on)
}

// Haste is for a request whose user has somewhere else to go.
type Haste struct {
	// Within is how long an INVITE may be without a word, where that is less than
	// [Limits.Silence], and any other request without an answer; 0 leaves that as it is.
	Within time.Duration
	// Next gives the last target no longer than the others to say something, over a
	// connection too.
	Next bool
	// Why are headers of the CANCEL for a target that was left and says something after all.
	Why []sip.Header
}

// Hurry is Request in haste.
func (s *Stack) Hurry(req *sip.Request, to Target, h Haste, on func(Event)) *ClientTx {
	req = complete(req)
	tx := &ClientTx{
		s: s, req: req, queue: s.queueOf(req), on: on, hop: to, inside: inDialog(req),
		within: s.limits.Silence, hasty: h.Next, why: h.Why,
	}
	if h.Within > 0 {
		tx.within = min(tx.within, h.Within)
	}
	if req.CSeq() == nil || req.CallID() == nil || req.From() == nil || req.To() == nil {
		tx.fail(fmt.Errorf("%w: From, To, Call-ID or CSeq missing", ErrRefused))
		return tx
	}
	tx.until = time.Now().Add(tx.within)
	if (req.Method == sip.INVITE || h.Within > 0) && !tx.inside {
		tx.mu.Lock()
		tx.silence = time.AfterFunc(tx.within, func() { tx.queue.post(tx.giveUp) })
		tx.mu.Unlock()
	}
	s.locate(to, func(targets []resolve.Target, err error) {
		if err != nil {
			tx.fail(err)
			return
		}
		tx.mu.Lock()
		tx.targets = targets
		tx.mu.Unlock()
		tx.try()
	})
	return tx
}

// try sends the request to the next target.
func (tx *ClientTx) try() {
	tx.mu.Lock()
	to := tx.targets[0]
	tx.targets = tx.targets[1:]
	tx.mu.Unlock()
	req := tx.req.Clone()
	tx.s.reach(req, to, tx.hop, func(fl *flow, err error) {
		if err != nil {
			tx.queue.post(func() { tx.unreached(to, err) })
			return
		}
		a := &attempt{s: tx.s, tx: tx, req: req, queue: tx.queue, to: to}
		tx.mu.Lock()
		switch {
		case tx.over:
			tx.mu.Unlock()
			return
		case tx.settled:
			tx.mu.Unlock()
			tx.fail(fmt.Errorf("%w: no longer wanted", ErrTransport))
			return
		}
		tx.live = a
		if (fl.conn == nil && len(tx.targets) > 0 || tx.hasty) && !tx.inside {
			a.patience = time.AfterFunc(tx.s.limits.Next, func() { tx.queue.post(func() { tx.hurry(a) }) })
		}
		tx.mu.Unlock()
		a.start(fl)
	})
}

// unreached goes on from a target to which no way was found, or ends.
func (tx *ClientTx) unreached(to resolve.Target, err error) {
	err = wrapTransport(err)
	if errors.Is(err, ErrTransport) {
		tx.s.locator.Penalize(to, 0)
		if tx.more() {
			tx.s.count.failovers.Add(1)
			tx.try()
			return
		}
	}
	tx.finish(Event{Err: err})
}

// hurry goes on from a target that says nothing, if there is another. The first may only be
// slow: what it says later is seen to.
func (tx *ClientTx) hurry(a *attempt) {
	switch {
	case !tx.hears(a) || a.ringing || a.final:
	case tx.hasty && !tx.more():
		tx.giveUp()
	case tx.next(a, Event{Err: fmt.Errorf("%w within %v", ErrTimeout, tx.s.limits.Next)}):
		tx.mu.Lock()
		tx.doubt = true
		tx.mu.Unlock()
		a.leave(tx.why)
	}
}

// hears says whether the user hears of an attempt.
func (tx *ClientTx) hears(a *attempt) bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.live == a && !tx.over
}

// hear takes what comes of an attempt, on the worker.
func (tx *ClientTx) hear(a *attempt, e Event) {
	res := e.Response
	if res != nil {
		e.Target = Target{
			Transport: Transport(a.to.Transport), Host: a.to.Addr.Addr().String(), Port: a.to.Addr.Port(),
			Identity: tx.hop.Identity, Stream: tx.hop.Stream, Secure: tx.hop.Secure, Over: tx.hop.Over,
			Local: tx.hop.Local,
		}
		if e.Target.Transport.Secure() && e.Target.Identity == "" {
			e.Target.Identity = a.to.Name
		}
		if res.StatusCode != 503 {
			tx.s.locator.Forgive(a.to)
		}
	}
	answer := res != nil && res.IsSuccess() && tx.req.Method == sip.INVITE
	tx.mu.Lock()
	if e.Err != nil {
		tx.doubt = tx.doubt || a.mayHave(e.Err)
	}
	live, over := tx.live, tx.over
	tx.mu.Unlock()
	switch {
	case over && answer && live == a && tx.answered:
		tx.deliver(e) // once more, or of another fork
	case over && answer:
		tx.s.stray(res) // of a fork, after another has refused; or too late
	case over:
	case live != a && answer:
		// The slow one has it, before the quick one.
		tx.mu.Lock()
		tx.live = a
		tx.mu.Unlock()
		if live != nil {
			live.leave(tx.why)
		}
		tx.finish(e)
	case live != a:
	case res != nil && res.IsProvisional():
		tx.taken = tx.taken || res.StatusCode > 100
		tx.deliver(e)
	default:
		if !tx.next(a, e) {
			tx.finish(e)
		}
	}
}

// next goes on from an attempt that ended so, unless it has to be the last.
func (tx *ClientTx) next(a *attempt, e Event) bool {
	onward, dead, pause := verdict(e)
	if dead && !tx.inside {
		tx.s.locator.Penalize(a.to, pause)
	}
	if !onward || tx.inside || !tx.more() {
		return false
	}
	tx.mu.Lock()
	tx.live = nil
	tx.mu.Unlock()
	tx.s.count.failovers.Add(1)
	tx.try()
	return true
}

// more says whether another target may be tried.
func (tx *ClientTx) more() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return !tx.taken && !tx.over && !tx.settled && len(tx.targets) > 0 && time.Until(tx.until) >= lastStart
}

// verdict says what the end of an attempt means: whether another target may do better,
// whether this one is not to be used for a pause, and how long that is; 0 is for the default.
func verdict(e Event) (onward, dead bool, pause time.Duration) {
	if e.Err != nil {
		lost := errors.Is(e.Err, ErrTransport) || errors.Is(e.Err, ErrTimeout)
		return lost, lost, 0
	}
	switch status := e.Response.StatusCode; {
	case status == 503:
		return true, true, retryAfter(e.Response)
	case status == 501 || status == 505:
		return false, false, 0
	default:
		return status == 408 || status/100 == 5, false, 0
	}
}

// retryAfter reads how long a peer wants to be left alone; 0 when it does not say (RFC 3261
// section 20.33).
func retryAfter(res *sip.Response) time.Duration {
	h := res.GetHeader("Retry-After")
	if h == nil {
		return 0
	}
	digits := h.Value()
	for i, c := range digits {
		if c < '0' || c > '9' {
			digits = digits[:i]
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// giveUp tells the user that nobody answers, on the worker. It is not the end: the peer may
// only have been slow, and what it says until timer B is cancelled, acknowledged or handed
// to OnStray. It is not asked again.
func (tx *ClientTx) giveUp() {
	tx.mu.Lock()
	a, over := tx.live, tx.over
	tx.mu.Unlock()
	if over || a != nil && a.ringing {
		return
	}
	if a != nil {
		tx.s.locator.Penalize(a.to, 0)
	}
	tx.finish(Event{Err: fmt.Errorf("%w in time", ErrTimeout)})
	if a != nil {
		a.leave(tx.why)
	}
}

// fail ends the request with an error, from any goroutine.
func (tx *ClientTx) fail(err error) {
	tx.queue.post(func() { tx.finish(Event{Err: err}) })
}

// finish tells the user of the end, once.
func (tx *ClientTx) finish(e Event) {
	tx.mu.Lock()
	over := tx.over
	tx.over = true
	e.Doubt = tx.doubt || errors.Is(e.Err, ErrTimeout) && tx.live != nil
	if tx.silence != nil {
		tx.silence.Stop()
	}
	tx.mu.Unlock()
	if !over {
		tx.answered = e.Response != nil && e.Response.IsSuccess()
		tx.deliver(e)
	}
}

// deliver calls the user, on the worker.
func (tx *ClientTx) deliver(e Event) { tx.s.protected(func() { tx.on(e) }) }

// Request is the request as it is sent, with its Via. It must not be changed. It is nil
// until the first event, and while another target is being reached.
func (tx *ClientTx) Request() *sip.Request {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.live == nil {
		return nil
	}
	return tx.live.req
}

// Settle says that the request is no longer wanted by the user, who cannot cancel it yet: no
// other target is tried, and if it was not sent yet it is not sent, and ends with
// ErrTransport.
func (tx *ClientTx) Settle() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.settled = true
}

// Cancel cancels an INVITE (RFC 3261 section 9.1), with the given headers, such as a
// Reason, in the CANCEL. Before the first provisional response it is remembered and sent
// then; after a final one it does nothing. It also does what Settle does. The INVITE still
// has its final response, or ErrTimeout 32 seconds after the CANCEL.
func (tx *ClientTx) Cancel(headers ...sip.Header) {
	if tx.req.Method != sip.INVITE {
		return
	}
	tx.mu.Lock()
	again, a := tx.cancelled, tx.live
	tx.cancelled, tx.settled = true, true
	tx.mu.Unlock()
	if !again && a != nil {
		a.cancel(headers)
	}
}

// wrapTransport makes an error of a socket or of sipgo one of ours.
func wrapTransport(err error) error {
	for _, ours := range []error{ErrRefused, ErrTransport, ErrResolve, ErrTimeout, ErrClosed} {
		if errors.Is(err, ours) {
			return err
		}
	}
	if errors.Is(err, sip.ErrTransactionTimeout) {
		return ErrTimeout
	}
	return fmt.Errorf("%w: %w", ErrTransport, err)
}
