package stack

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/resolve"
)

// An attempt is the transaction of a request with one target.
type attempt struct {
	s     *Stack
	tx    *ClientTx // nil for a CANCEL
	req   *sip.Request
	queue *queue
	to    resolve.Target

	mu        sync.Mutex // never held while the machine is called
	key       string
	machine   *sip.ClientTx
	flow      *flow
	why       error // that the machine is ended for
	cancelled bool  // wanted
	headers   []sip.Header
	timer     *time.Timer // of a CANCEL that ends nothing (RFC 3261 section 9.1)
	patience  *time.Timer // until another target is tried

	// started is held while the machine starts: a response that came before it has set
	// its timers would have them set for nothing.
	started sync.Mutex

	// Of the worker.
	ringing  bool // has had a provisional response
	final    bool
	accepted bool // and it is a 2xx
}

// start makes the machine and sends the request.
func (a *attempt) start(fl *flow) {
	s := a.s
	warm(a.req)
	key := clientKey(a.req)
	machine := sip.NewClientTx(key, a.req, fl, s.quiet)
	a.started.Lock()
	defer a.started.Unlock()
	a.mu.Lock()
	a.key, a.machine, a.flow = key, machine, fl
	a.mu.Unlock()
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.clients[key] = a
	}
	s.mu.Unlock()
	if closed {
		a.fail(ErrClosed)
		return
	}
	machine.OnTerminate(func(_ string, err error) { a.ended(err) })
	if err := machine.Init(); err != nil {
		a.end(wrapTransport(err))
	}
}

// leave has the request not sent again, and cancelled if it is heard of after all. Until the
// machine ends by itself what comes is acknowledged.
func (a *attempt) leave(why []sip.Header) {
	a.mu.Lock()
	fl := a.flow
	if a.patience != nil {
		a.patience.Stop()
	}
	a.mu.Unlock()
	if fl != nil {
		fl.muted.Store(true)
	}
	a.cancel(why)
}

// end ends the transaction, for a reason. It must not be called by the machine.
func (a *attempt) end(why error) {
	a.mu.Lock()
	if a.why == nil {
		a.why = why
	}
	machine := a.machine
	a.mu.Unlock()
	if machine == nil {
		a.fail(why)
		return
	}
	machine.Terminate()
}

// ended is called by the machine, which is locked.
func (a *attempt) ended(err error) {
	s := a.s
	s.mu.Lock()
	if s.clients[a.key] == a {
		delete(s.clients, a.key)
	}
	s.mu.Unlock()
	a.stopTimers()
	a.mu.Lock()
	if a.why != nil {
		err = a.why
	}
	a.mu.Unlock()
	a.fail(wrapTransport(err))
}

func (a *attempt) stopTimers() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range []*time.Timer{a.timer, a.patience} {
		if t != nil {
			t.Stop()
		}
	}
}

// fail tells that there will be no final response, unless there was one.
func (a *attempt) fail(err error) {
	a.queue.post(func() {
		if a.final {
			return
		}
		a.final = true
		a.hear(Event{Err: err})
	})
}

// mayHave reports whether the target may have got a request that ended with an error: where
// only answers are missing, or the connection was lost. Where nobody listens, ICMP says so.
func (a *attempt) mayHave(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Is(err, ErrTimeout) || errors.Is(err, ErrTransport) && a.flow != nil && a.flow.conn != nil
}

// hear hands on what has come, on the worker.
func (a *attempt) hear(e Event) {
	if a.tx != nil {
		a.tx.hear(a, e)
	}
}

// receive handles a response, on the worker.
func (a *attempt) receive(res *sip.Response) {
	a.started.Lock()
	machine, fl := a.machine, a.flow
	a.started.Unlock()
	switch {
	case !a.final:
	case a.req.Method != sip.INVITE:
		return
	case res.IsSuccess():
		a.hear(Event{Response: res})
		return
	default:
		if !a.accepted && !res.IsProvisional() && fl.ack != nil {
			// sipgo's machine would sleep before it acknowledges again, and we with it.
			_ = fl.write(fl.ack) // if it is lost, the response comes again
		}
		return
	}
	feed(machine, res)
	if res.IsProvisional() {
		a.ringing = true
	} else {
		a.final, a.accepted = true, res.IsSuccess()
		a.stopTimers()
	}
	a.hear(Event{Response: res})
	a.sendCancel()
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

// cancel has a CANCEL sent as soon as it is allowed.
func (a *attempt) cancel(headers []sip.Header) {
	a.mu.Lock()
	if !a.cancelled {
		a.cancelled, a.headers = true, headers
	}
	a.mu.Unlock()
	if a.req.Method == sip.INVITE {
		a.queue.post(a.sendCancel)
	}
}

// sendCancel sends the CANCEL when it is wanted and allowed, on the worker.
func (a *attempt) sendCancel() {
	a.mu.Lock()
	if !a.cancelled || !a.ringing || a.final || a.timer != nil || a.flow == nil || a.req.Method != sip.INVITE {
		a.mu.Unlock()
		return
	}
	a.timer = time.AfterFunc(lifetime, func() { a.end(ErrTimeout) })
	fl, headers := a.flow, a.headers
	a.mu.Unlock()
	cancel := &attempt{s: a.s, req: cancelOf(a.req, headers), queue: a.queue, to: a.to}
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
	a := s.clients[clientKey(res)]
	s.mu.Unlock()
	if a != nil {
		a.receive(res)
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
	a := s.clients[key]
	s.mu.Unlock()
	if a == nil {
		return
	}
	a.queue.post(func() {
		a.started.Lock()
		fl := a.flow
		a.started.Unlock()
		if a.ringing || a.final || fl.remote != to {
			return
		}
		a.end(fmt.Errorf("%w: %v is unreachable", ErrTransport, to))
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
	var waiting []*attempt
	for _, a := range s.clients {
		a.mu.Lock()
		if a.flow != nil && a.flow.conn == c {
			waiting = append(waiting, a)
		}
		a.mu.Unlock()
	}
	closed := s.closed
	s.mu.Unlock()
	for _, a := range waiting {
		a.end(fmt.Errorf("%w: connection lost", ErrTransport))
	}
	if c.opened && !closed && s.o.OnGone != nil {
		s.protected(func() { s.o.OnGone(Peer{Addr: c.remote, Transport: c.transport}) })
	}
}
