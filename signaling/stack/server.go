package stack

import (
	"crypto/rand"
	"hash/maphash"
	mathrand "math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/gate"
)

// lifetime is how long a client waits for a final response, but to an INVITE that rings:
// 64*T1 (RFC 3261 section 17.1).
const lifetime = 32 * time.Second

// tryingAfter is when an INVITE without a response gets 100 (RFC 3261 section 17.2.1).
const tryingAfter = 200 * time.Millisecond

// A ServerTx is the transaction of a request that has come in. Its methods may be
// called from any goroutine.
type ServerTx struct {
	s       *Stack
	req     *sip.Request
	from    arrival
	flow    *flow
	key     string
	merge   string // key in Stack.merged; empty in a dialog
	tag     string
	machine *sip.ServerTx

	mu        sync.Mutex // held while a response is given to the machine
	answered  bool       // had any response
	final     bool
	accepted  bool // and it is a 2xx
	cancelled *sip.Request
	onCancel  func(*sip.Request)
	waiting   *time.Timer // for the first response
}

// Request is the request. It must not be changed.
func (tx *ServerTx) Request() *sip.Request { return tx.req }

// Source is the address that the request came from.
func (tx *ServerTx) Source() netip.AddrPort { return tx.from.remote }

// Transport is what the request came over.
func (tx *ServerTx) Transport() Transport { return tx.from.transport() }

func (a arrival) transport() Transport {
	if a.conn != nil {
		return a.conn.transport
	}
	return a.port.transport
}

// Peer is who the request came from.
func (tx *ServerTx) Peer() Peer { return tx.from.peer() }

func (a arrival) peer() Peer {
	p := Peer{Addr: a.remote, Transport: a.transport()}
	if a.conn != nil {
		p.Domains = a.conn.s.conns.domainsOf(a.conn)
	}
	return p
}

// Back is the way back to who sent the request: over the connection or from the socket that
// it came by.
func (tx *ServerTx) Back() Target {
	to := Target{Transport: tx.Transport(), Host: tx.Source().Addr().String(), Port: tx.Source().Port()}
	if tx.from.conn != nil {
		to.Over = tx.Source()
	} else {
		to.Local = tx.from.port.local
	}
	return to
}

// Known says whether the source is one that [Options.Allowed] knows.
func (tx *ServerTx) Known() bool { return tx.from.known }

// Local is the address that peers reach us at where the request came in: what
// belongs into a Contact.
func (tx *ServerTx) Local() netip.AddrPort {
	if tx.from.port != nil {
		return tx.from.port.at(tx.from.remote.Addr())
	}
	if a, ok := tx.s.Local(tx.from.transport(), tx.from.remote.Addr()); ok {
		return a
	}
	return tx.from.conn.local
}

// Tag is the tag of our side: the one in the request's To or, when it has none, one that
// every response of this transaction carries.
func (tx *ServerTx) Tag() string { return tx.tag }

// Response returns a response to fill in and send with [ServerTx.Respond]. It has
// Via, From, To with our tag, Call-ID and CSeq, and Record-Route and Timestamp where
// they belong. The reason is that of RFC 3261 when empty.
func (tx *ServerTx) Response(status int, reason string, body []byte) *sip.Response {
	res := responseTo(tx.req, tx.tag, status, reason)
	if tx.s.o.Server != "" {
		res.AppendHeader(sip.NewHeader("Server", tx.s.o.Server))
	}
	res.SetBody(body)
	return res
}

// responseTo copies what a response has of its request, as the peer wrote it.
func responseTo(req *sip.Request, tag string, status int, reason string) *sip.Response {
	if reason == "" {
		reason = gate.Phrase(status)
	}
	res := sip.NewResponse(status, reason)
	for _, h := range req.GetHeaders("Via") {
		res.AppendHeader(sip.NewHeader("Via", h.Value()))
	}
	if status > 100 && status < 300 && req.Method != sip.REGISTER {
		for _, h := range req.GetHeaders("Record-Route") {
			res.AppendHeader(sip.NewHeader("Record-Route", h.Value()))
		}
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq", "Timestamp"} {
		h := req.GetHeader(name)
		switch {
		case h == nil || name == "Timestamp" && status != 100:
		case name == "To" && status > 100 && !inDialog(req):
			res.AppendHeader(sip.NewHeader("To", h.Value()+";tag="+tag))
		default:
			res.AppendHeader(sip.NewHeader(name, h.Value()))
		}
	}
	res.SetTransport(req.Transport())
	return res
}

// Respond sends a response, which belongs to the stack from then on. A refusal without a
// Reason gets the one of [gate.Rules]. After a final one
// only the 2xx of an INVITE may be sent again; anything else gives [ErrAnswered]. A
// 2xx is not retransmitted by the stack (RFC 3261 section 13.3.1.4).
func (tx *ServerTx) Respond(res *sip.Response) error {
	tx.s.reason(res)
	if _, err := serialize(res); err != nil {
		tx.s.count.refused.Add(1)
		return err
	}
	warm(res)
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.final && !(tx.accepted && tx.req.Method == sip.INVITE && res.IsSuccess()) {
		return ErrAnswered
	}
	tx.answered = true
	if tx.req.Method == sip.INVITE || !res.IsProvisional() {
		tx.waiting.Stop()
	}
	if !res.IsProvisional() {
		tx.final, tx.accepted = true, res.IsSuccess()
	}
	if err := tx.machine.Respond(res); err != nil {
		// sipgo's machine would keep an INVITE for ever whose 2xx could not be sent.
		time.AfterFunc(lifetime, tx.machine.Terminate)
		return wrapTransport(err)
	}
	return nil
}

// Reply sends a response without a body that has the given headers.
func (tx *ServerTx) Reply(status int, reason string, headers ...sip.Header) error {
	res := tx.Response(status, reason, nil)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	return tx.Respond(res)
}

// OnCancel says what to do when the INVITE is cancelled before it has a final
// response. The CANCEL has had its 200 by then; the INVITE is the user's to answer, with
// 487. Without an f the stack answers it. When the CANCEL came before, f is called
// at once. It is called once, and must not block.
func (tx *ServerTx) OnCancel(f func(cancel *sip.Request)) {
	tx.mu.Lock()
	cancelled := tx.cancelled
	tx.onCancel = f
	tx.mu.Unlock()
	if cancelled != nil && f != nil {
		f(cancelled)
	}
}

// overdue is called when there was no response in time. An INVITE gets 100; nobody waits any
// more for a response to another request (RFC 4320 section 4.2).
func (tx *ServerTx) overdue() {
	if tx.req.Method != sip.INVITE {
		tx.s.log.Warn("request not answered", "method", tx.req.Method)
		tx.machine.Terminate()
		return
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if !tx.answered {
		tx.answered = true
		res := responseTo(tx.req, "", 100, "")
		res.SetBody(nil)
		_ = tx.machine.Respond(res) // a lost one changes nothing
	}
}

// end ends the transaction, when the stack is closed.
func (tx *ServerTx) end() {
	tx.waiting.Stop()
	tx.machine.Terminate()
}

// handleRequest finds or makes the transaction of a request, on the worker.
func (s *Stack) handleRequest(req *sip.Request, from arrival) {
	s.learn(req, from)
	switch req.Method {
	case sip.ACK:
		s.handleAck(req, from)
		return
	case sip.CANCEL:
		s.handleCancel(req, from)
		return
	}
	key := serverKey(req, req.Method)
	merge := mergeKey(req)
	s.mu.Lock()
	tx := s.servers[key]
	other := s.merged[merge]
	full := len(s.servers) >= s.limits.Transactions && merge != ""
	s.mu.Unlock()
	switch {
	case tx != nil:
		_ = tx.machine.Receive(req) // the method is the same, so there is no error
		return
	case other != "":
		s.count.merged.Add(1)
		s.refuse(req, from, 482)
		return
	case full || merge != "" && s.o.Busy != nil && s.o.Busy(string(req.Method)):
		s.count.shed.Add(1)
		s.refuse(req, from, 503, sip.NewHeader("Retry-After", strconv.Itoa(5+mathrand.IntN(11))))
		return
	}
	if tx = s.begin(req, from, key, merge); tx == nil {
		return
	}
	if s.o.OnRequest == nil {
		_ = tx.Reply(501, "") // nobody is there to be told of an error
		return
	}
	s.o.OnRequest(tx)
}

// learn hears whether the peer lets us use its connection for requests to it (RFC 5923 section
// 8.2).
func (s *Stack) learn(req *sip.Request, from arrival) {
	via := req.Via()
	if from.conn == nil || from.conn.opened || via == nil || !from.conn.transport.Secure() || !via.Params.Has("alias") {
		return
	}
	port := from.conn.transport.Port()
	if via.Port > 0 && via.Port < 65536 {
		port = uint16(via.Port)
	}
	s.conns.alias(from.conn, port)
}

// begin makes a transaction. It is nil when the stack is closed.
func (s *Stack) begin(req *sip.Request, from arrival, key, merge string) *ServerTx {
	tx := &ServerTx{s: s, req: req, from: from, flow: s.back(req, from), key: key, merge: merge, tag: rand.Text()}
	if inDialog(req) {
		tx.tag, _ = req.To().Params.Get("tag")
	}
	tx.machine = sip.NewServerTx(key, req, tx.flow, s.quiet)
	tx.waiting = time.AfterFunc(lifetime, tx.overdue)
	tx.waiting.Stop() // until there is a machine: where the processors are taken it could be first
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.servers[key] = tx
	if merge != "" {
		s.merged[merge] = key
	}
	s.mu.Unlock()
	tx.machine.OnTerminate(func(string, error) { s.forget(tx) })
	_ = tx.machine.Init() // it has no error
	tx.waiting.Reset(lifetime)
	if req.Method == sip.INVITE {
		// sipgo's own 100 could overtake a final response. The request given once more
		// stops it, and does nothing else before there is a response.
		_ = tx.machine.Receive(req)
		tx.waiting.Reset(tryingAfter)
	}
	return tx
}

// forget is called by the machine, which is locked.
func (s *Stack) forget(tx *ServerTx) {
	tx.waiting.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers[tx.key] == tx {
		delete(s.servers, tx.key)
	}
	if s.merged[tx.merge] == tx.key {
		delete(s.merged, tx.merge)
	}
}

// handleAck gives the ACK of a refusal to its transaction, and that of a 2xx to the user.
func (s *Stack) handleAck(req *sip.Request, from arrival) {
	s.mu.Lock()
	tx := s.servers[serverKey(req, sip.INVITE)]
	s.mu.Unlock()
	if tx != nil {
		tx.mu.Lock()
		accepted := tx.accepted
		tx.mu.Unlock()
		if !accepted {
			_ = tx.machine.Receive(req) // an ACK has no error
			return
		}
	}
	if s.o.OnAck != nil {
		s.o.OnAck(req, from.peer())
	}
}

// handleCancel answers a CANCEL, and has the INVITE answered (RFC 3261 section 9.2).
func (s *Stack) handleCancel(req *sip.Request, from arrival) {
	s.mu.Lock()
	tx := s.servers[serverKey(req, sip.INVITE)]
	s.mu.Unlock()
	if tx == nil {
		s.refuse(req, from, 481)
		return
	}
	res := responseTo(req, tx.tag, 200, "")
	res.SetBody(nil)
	_ = s.back(req, from).WriteMsg(res) // if it is lost, the CANCEL comes again
	tx.mu.Lock()
	if tx.final || tx.cancelled != nil {
		tx.mu.Unlock()
		return
	}
	tx.cancelled = req
	f := tx.onCancel
	tx.mu.Unlock()
	if f != nil {
		f(req)
		return
	}
	_ = tx.Reply(487, "") // answered meanwhile, or the peer is gone
}

// refuse answers a request without a transaction; the same one gets the same answer.
func (s *Stack) refuse(req *sip.Request, from arrival, status int, headers ...sip.Header) {
	if req.Method == sip.ACK {
		return
	}
	tag := strconv.FormatUint(maphash.String(s.seed, serverKey(req, req.Method)), 36)
	res := responseTo(req, tag, status, "")
	for _, h := range headers {
		res.AppendHeader(h)
	}
	res.SetBody(nil)
	s.reason(res)
	_ = s.back(req, from).WriteMsg(res) // if it is lost, the request comes again
}

// reason gives a refusal the Reason that its status has, if it has none yet. Content-Length
// stays the last.
func (s *Stack) reason(res *sip.Response) {
	if res.StatusCode < 300 || res.StatusCode == 401 || res.StatusCode == 407 || s.o.Gate.Reason == nil || res.GetHeader("Reason") != nil {
		return
	}
	if v := s.o.Gate.Reason(res.StatusCode); v != "" {
		res.RemoveHeader("Content-Length")
		res.AppendHeader(sip.NewHeader("Reason", v))
		res.SetBody(res.Body())
	}
}

// excuse answers a request whose handling has panicked.
func (s *Stack) excuse(req *sip.Request) {
	s.mu.Lock()
	tx := s.servers[serverKey(req, req.Method)]
	s.mu.Unlock()
	if tx != nil {
		s.protected(func() { _ = tx.Reply(500, "") }) // it may have been answered
	}
}

// back is the way of a response (RFC 3261 section 18.2.2, RFC 3581 section 4).
func (s *Stack) back(req *sip.Request, from arrival) *flow {
	if from.conn != nil {
		return &flow{s: s, conn: from.conn, remote: from.remote}
	}
	to := from.remote
	if via := req.Via(); via != nil && !via.Params.Has("rport") {
		port := uint16(5060)
		if via.Port > 0 && via.Port < 65536 {
			port = uint16(via.Port)
		}
		to = netip.AddrPortFrom(to.Addr(), port)
	}
	return &flow{s: s, port: from.port, remote: to}
}

// serverKey is what a request has in common with its retransmissions, and with its ACK and
// CANCEL (RFC 3261 section 17.2.3). The source is part of it, so that no peer can hit upon
// another's.
func serverKey(req *sip.Request, method sip.RequestMethod) string {
	via := req.Via()
	if via == nil {
		return ""
	}
	var b strings.Builder
	source, _ := netip.ParseAddrPort(req.Source())
	branch, _ := via.Params.Get("branch")
	if strings.HasPrefix(branch, sip.RFC3261BranchMagicCookie) {
		parts := []string{branch, strings.ToLower(via.Host), strconv.Itoa(via.Port), string(method), source.Addr().String()}
		b.WriteString(strings.Join(parts, " "))
		return b.String()
	}
	// A peer of RFC 2543. The To tag differs between an INVITE and its ACK, and the rest
	// tells transactions apart.
	b.WriteString(req.Recipient.String() + " " + string(method) + " " + source.Addr().String())
	for _, name := range []string{"Call-ID", "From"} {
		if h := req.GetHeader(name); h != nil {
			b.WriteString(" " + h.Value())
		}
	}
	if cseq := req.CSeq(); cseq != nil {
		b.WriteString(" " + strconv.FormatUint(uint64(cseq.SeqNo), 10))
	}
	b.WriteString(" " + via.Host + ":" + strconv.Itoa(via.Port) + " " + branch)
	return b.String()
}

// mergeKey is what a request has in common with one that came another way (RFC 3261
// section 8.2.2.2). It is empty for one within a dialog.
func mergeKey(req *sip.Request) string {
	from, id, cseq := req.From(), req.CallID(), req.CSeq()
	if inDialog(req) || from == nil || id == nil || cseq == nil {
		return ""
	}
	tag, ok := from.Params.Get("tag")
	if !ok {
		return ""
	}
	return tag + " " + id.Value() + " " + cseq.Value()
}
