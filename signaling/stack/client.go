package stack

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
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
	// ErrClosed says that the stack is closed.
	ErrClosed = errors.New("stack closed")
)

// An Event is what becomes of a request that we sent: a response or an error.
type Event struct {
	Response *sip.Response // nil with Err
	Err      error         // ErrTimeout, ErrTransport, ErrResolve, ErrRefused or ErrClosed, wrapped
}

// A ClientTx is the transaction of a request that we send. Its methods may be called from
// any goroutine.
type ClientTx struct {
	s     *Stack
	req   *sip.Request // ours since it was handed in
	queue *queue
	on    func(Event) // nil for a CANCEL, and when the user has been told of silence

	mu        sync.Mutex // never held while the machine is called
	key       string
	machine   *sip.ClientTx
	flow      *flow
	routed    bool
	why       error // that the machine is ended for
	cancelled bool  // wanted
	headers   []sip.Header
	timer     *time.Timer // of a CANCEL that ends nothing (RFC 3261 section 9.1)
	silence   *time.Timer // of an INVITE that nothing answers

	// started is held while the machine starts: a response that came before it has set
	// its timers would have them set for nothing.
	started sync.Mutex

	// Of the worker.
	ringing  bool // has had a provisional response
	final    bool
	accepted bool // and it is a 2xx
}

// Request sends a request in a client transaction. It does not block and may be called
// from any goroutine. The request needs a request line, From, To, Call-ID and CSeq; the
// stack puts a Via on top, and Max-Forwards where there is none, and works on a copy.
// What comes of it is given to on, which runs on the worker of the Call-ID and must not
// block: any number of provisional responses, then one final response or one error. The
// 2xx of an INVITE may come again, also with the tag of another fork.
func (s *Stack) Request(req *sip.Request, to Target, on func(Event)) *ClientTx {
	req = complete(req)
	tx := &ClientTx{s: s, req: req, queue: s.queueOf(req), on: on}
	if req.CSeq() == nil || req.CallID() == nil || req.From() == nil || req.To() == nil {
		tx.fail(fmt.Errorf("%w: From, To, Call-ID or CSeq missing", ErrRefused))
		return tx
	}
	s.route(req, to, func(fl *flow, err error) {
		if err != nil {
			tx.fail(err)
			return
		}
		tx.start(fl)
	})
	return tx
}

// start makes the machine and sends the request.
func (tx *ClientTx) start(fl *flow) {
	s := tx.s
	warm(tx.req)
	key := clientKey(tx.req)
	machine := sip.NewClientTx(key, tx.req, fl, s.quiet)
	tx.started.Lock()
	defer tx.started.Unlock()
	tx.mu.Lock()
	tx.key, tx.machine, tx.flow, tx.routed = key, machine, fl, true
	tx.mu.Unlock()
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.clients[key] = tx
	}
	s.mu.Unlock()
	if closed {
		tx.fail(ErrClosed)
		return
	}
	machine.OnTerminate(func(_ string, err error) { tx.ended(err) })
	if tx.req.Method == sip.INVITE && !inDialog(tx.req) {
		tx.mu.Lock()
		tx.silence = time.AfterFunc(s.limits.Silence, func() { tx.queue.post(tx.giveUp) })
		tx.mu.Unlock()
	}
	if err := machine.Init(); err != nil {
		tx.end(wrapTransport(err))
	}
}

// giveUp tells the user that nobody answers, on the worker. It is not the end: the peer may
// only have been slow, and what it says until timer B is cancelled, acknowledged or handed
// to OnStray. It is not asked again.
func (tx *ClientTx) giveUp() {
	if tx.ringing || tx.final {
		return
	}
	tx.deliver(Event{Err: fmt.Errorf("%w within %v", ErrTimeout, tx.s.limits.Silence)})
	tx.on = nil
	tx.flow.muted.Store(true)
	tx.Cancel()
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

// end ends the transaction, for a reason. It must not be called by the machine.
func (tx *ClientTx) end(why error) {
	tx.mu.Lock()
	if tx.why == nil {
		tx.why = why
	}
	machine := tx.machine
	tx.mu.Unlock()
	if machine == nil {
		tx.fail(why)
		return
	}
	machine.Terminate()
}

// ended is called by the machine, which is locked.
func (tx *ClientTx) ended(err error) {
	s := tx.s
	s.mu.Lock()
	if s.clients[tx.key] == tx {
		delete(s.clients, tx.key)
	}
	s.mu.Unlock()
	tx.stopTimers()
	tx.mu.Lock()
	if tx.why != nil {
		err = tx.why
	}
	tx.mu.Unlock()
	tx.fail(wrapTransport(err))
}

func (tx *ClientTx) stopTimers() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	for _, t := range []*time.Timer{tx.timer, tx.silence} {
		if t != nil {
			t.Stop()
		}
	}
}

// fail tells the user that there will be no final response, unless there was one.
func (tx *ClientTx) fail(err error) {
	tx.queue.post(func() {
		if tx.final {
			return
		}
		tx.final = true
		tx.deliver(Event{Err: err})
	})
}

// deliver calls the user, on the worker.
func (tx *ClientTx) deliver(e Event) {
	if tx.on != nil {
		tx.s.protected(func() { tx.on(e) })
	}
}

// receive handles a response, on the worker.
func (tx *ClientTx) receive(res *sip.Response) {
	tx.started.Lock()
	machine, fl := tx.machine, tx.flow
	tx.started.Unlock()
	switch {
	case !tx.final:
	case tx.req.Method != sip.INVITE:
		return
	case tx.accepted && tx.on != nil && res.IsSuccess():
		tx.deliver(Event{Response: res})
		return
	case res.IsSuccess():
		tx.s.stray(res) // of a fork, after another has refused; or too late
		return
	default:
		if !tx.accepted && !res.IsProvisional() && fl.ack != nil {
			// sipgo's machine would sleep before it acknowledges again, and we with it.
			_ = fl.write(fl.ack) // if it is lost, the response comes again
		}
		return
	}
	feed(machine, res)
	if res.IsProvisional() {
		tx.ringing = true
	} else {
		tx.final, tx.accepted = true, res.IsSuccess()
		tx.stopTimers()
	}
	if tx.on == nil && tx.accepted && tx.req.Method == sip.INVITE {
		tx.s.stray(res) // too late
		return
	}
	tx.deliver(Event{Response: res})
	tx.sendCancel()
}

// feed gives a response to the machine, which blocks until somebody takes it back.
func feed(machine *sip.ClientTx, res *sip.Response) {
	done := make(chan struct{})
	go func() { // ends with done
		select {
		case <-machine.Responses():
		case <-done:
		}
	}()
	machine.Receive(res)
	close(done)
}

// Request is the request as it is sent, with its Via. It must not be changed. It is
// nil until the first event.
func (tx *ClientTx) Request() *sip.Request {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if !tx.routed {
		return nil
	}
	return tx.req
}

// Cancel cancels an INVITE (RFC 3261 section 9.1), with the given headers, such as a
// Reason, in the CANCEL. Before the first provisional response it is remembered and sent
// then; after a final one it does nothing. The INVITE still has its final response, or
// ErrTimeout 32 seconds after the CANCEL.
func (tx *ClientTx) Cancel(headers ...sip.Header) {
	tx.mu.Lock()
	again := tx.cancelled
	if !again {
		tx.cancelled, tx.headers = true, headers
	}
	tx.mu.Unlock()
	if !again && tx.req.Method == sip.INVITE {
		tx.queue.post(tx.sendCancel)
	}
}

// sendCancel sends the CANCEL when it is wanted and allowed, on the worker.
func (tx *ClientTx) sendCancel() {
	tx.mu.Lock()
	if !tx.cancelled || !tx.ringing || tx.final || tx.timer != nil || tx.flow == nil {
		tx.mu.Unlock()
		return
	}
	tx.timer = time.AfterFunc(lifetime, func() { tx.end(ErrTimeout) })
	fl, headers := tx.flow, tx.headers
	tx.mu.Unlock()
	cancel := &ClientTx{s: tx.s, req: cancelOf(tx.req, headers), queue: tx.queue}
	cancel.start(&flow{s: fl.s, port: fl.port, conn: fl.conn, remote: fl.remote})
}

// cancelOf returns the CANCEL of a request.
func cancelOf(req *sip.Request, headers []sip.Header) *sip.Request {
	c := sip.NewRequest(sip.CANCEL, *req.Recipient.Clone())
	c.AppendHeader(sip.HeaderClone(req.Via()))
	for _, h := range req.GetHeaders("Route") {
		c.AppendHeader(sip.HeaderClone(h))
	}
	hops := sip.MaxForwardsHeader(70)
	c.AppendHeader(&hops)
	for _, h := range []sip.Header{req.From(), req.To(), req.CallID()} {
		c.AppendHeader(sip.HeaderClone(h))
	}
	c.AppendHeader(&sip.CSeqHeader{SeqNo: req.CSeq().SeqNo, MethodName: sip.CANCEL})
	for _, h := range headers {
		c.AppendHeader(h)
	}
	c.SetBody(nil)
	c.SetTransport(req.Transport())
	return c
}

// clientKey is what a response and its request have in common (RFC 3261 section 17.1.3).
func clientKey(msg sip.Message) string {
	via, cseq := msg.Via(), msg.CSeq()
	if via == nil || cseq == nil {
		return ""
	}
	branch, _ := via.Params.Get("branch")
	return branch + " " + string(cseq.MethodName)
}

// handleResponse finds the transaction of a response, on the worker.
func (s *Stack) handleResponse(res *sip.Response) {
	s.mu.Lock()
	tx := s.clients[clientKey(res)]
	s.mu.Unlock()
	if tx != nil {
		tx.receive(res)
		return
	}
	if cseq := res.CSeq(); res.IsSuccess() && cseq != nil && cseq.MethodName == sip.INVITE {
		s.stray(res)
		return
	}
	s.count.orphans.Add(1)
}

// stray hands on a 2xx that no transaction takes.
func (s *Stack) stray(res *sip.Response) {
	if s.o.OnStray == nil {
		s.count.orphans.Add(1)
		return
	}
	s.protected(func() { s.o.OnStray(res) })
}

// undelivered ends the transaction of a request that did not reach a peer (RFC 3261 section
// 18.4). Anyone can send such news, so it has to bring back the request's branch, which
// nobody on the side can know; without, the timers decide.
func (s *Stack) undelivered(to netip.AddrPort, sent []byte) {
	key := quotedKey(sent)
	s.mu.Lock()
	tx := s.clients[key]
	s.mu.Unlock()
	if tx == nil {
		return
	}
	tx.queue.post(func() {
		tx.started.Lock()
		fl := tx.flow
		tx.started.Unlock()
		if tx.ringing || tx.final || fl.remote != to {
			return
		}
		tx.end(fmt.Errorf("%w: %v is unreachable", ErrTransport, to))
	})
}

// quotedKey returns the key of a request of ours of which only the beginning has come
// back; empty when the branch is not in it.
func quotedKey(sent []byte) string {
	method, rest, _ := bytes.Cut(sent, []byte(" "))
	_, rest, _ = bytes.Cut(rest, []byte("\r\nVia: "))
	_, branch, _ := bytes.Cut(rest, []byte(";branch="))
	end := bytes.IndexAny(branch, ";\r")
	if end < 0 {
		return ""
	}
	return string(branch[:end]) + " " + string(method)
}

// lost ends the transactions that wait for a response over a connection that is closed.
func (s *Stack) lost(c *conn) {
	s.mu.Lock()
	var waiting []*ClientTx
	for _, tx := range s.clients {
		tx.mu.Lock()
		if tx.flow != nil && tx.flow.conn == c {
			waiting = append(waiting, tx)
		}
		tx.mu.Unlock()
	}
	s.mu.Unlock()
	for _, tx := range waiting {
		tx.end(fmt.Errorf("%w: connection lost", ErrTransport))
	}
}
