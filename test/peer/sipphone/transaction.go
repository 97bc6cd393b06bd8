package sipphone

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/test/peer/phone"
)

// A client is a client transaction (RFC 3261 section 17.1), or what we need of one.
type client struct {
	p      *Phone
	invite bool
	to     flow
	text   string
	handle func(*sip.Response) // each response, the timeout as 408; on a reader's goroutine

	mu       sync.Mutex
	answered chan struct{} // closed at the first response
	final    chan struct{} // closed at the first final one
	heard    bool
	done     bool
	ended    time.Time // when it was done
}

// over reports whether a transaction was done that long ago.
func (c *client) over(age time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done && time.Since(c.ended) > age
}

// start sends a request and sends it again until it is answered.
func (p *Phone) start(to flow, branch, method, text string, handle func(*sip.Response)) {
	c := &client{
		p: p, invite: method == "INVITE", to: to, text: text, handle: handle,
		answered: make(chan struct{}), final: make(chan struct{}),
	}
	p.mu.Lock()
	p.sweep()
	p.clients[branch+" "+method] = c
	p.mu.Unlock()
	if err := p.send(to, text); err != nil {
		c.fail(503, "Service Unavailable")
		return
	}
	p.spawn(c.run)
}

// run retransmits over UDP and gives up after 64*T1.
func (c *client) run() {
	t1 := c.p.options.T1
	wait, end := t1, time.After(64*t1)
	for {
		var again <-chan time.Time
		timer := time.NewTimer(wait)
		if c.to.network == "udp" {
			again = timer.C
		}
		answered := c.answered
		if !c.invite {
			answered = nil // a provisional response only slows it down (section 17.1.2.2)
		}
		select {
		case <-again:
			if err := c.p.send(c.to, c.text); err != nil {
				c.fail(503, "Service Unavailable")
			}
			wait *= 2
			if !c.invite {
				wait = min(wait, 8*t1)
			}
		case <-answered:
			timer.Stop()
			return // the peer rings as long as it likes
		case <-c.final:
			timer.Stop()
			return
		case <-end:
			timer.Stop()
			c.fail(408, "Request Timeout")
			return
		case <-c.p.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// fail makes up a response.
func (c *client) fail(status int, phrase string) {
	c.mu.Lock()
	if c.done {
		c.mu.Unlock()
		return
	}
	c.done, c.ended = true, time.Now()
	close(c.final)
	c.mu.Unlock()
	c.handle(sip.NewResponse(status, phrase))
}

func (c *client) receive(res *sip.Response) {
	c.mu.Lock()
	if !c.heard {
		c.heard = true
		close(c.answered)
	}
	repeated := c.done
	if res.StatusCode >= 200 && !c.done {
		c.done, c.ended = true, time.Now()
		close(c.final)
	}
	c.mu.Unlock()
	if repeated && !c.invite {
		return
	}
	c.handle(res)
}

// A server is a server transaction (RFC 3261 section 17.2).
type server struct {
	p    *Phone
	req  *sip.Request
	flow flow
	born time.Time
	call *Call // of an INVITE that was taken; guarded by the phone

	mu     sync.Mutex
	last   string // response
	status int    // of it
	acked  chan struct{}
	ended  bool // acked is closed
}

// respond sends a response; a final one to INVITE other than 2xx is repeated until its ACK.
func (s *server) respond(status int, phrase, tag string, headers []string, body string) {
	text := s.format(status, phrase, tag, headers, body)
	s.mu.Lock()
	if s.status >= 200 && status/100 != 2 {
		s.mu.Unlock()
		return // there is a final response already; forks alone send several
	}
	s.last, s.status = text, status
	s.mu.Unlock()
	_ = s.p.send(s.flow, text) // who cannot be reached hears nothing
	if s.req.Method == "INVITE" && status >= 300 && s.flow.network == "udp" {
		s.p.spawn(func() { s.repeat(text, 0) }) // until the ACK, or 64*T1
	}
}

// repeat sends a response again until its ACK; it reports whether that came. A most of 0
// doubles the time without end.
func (s *server) repeat(text string, most time.Duration) bool {
	wait, end := s.p.options.T1, time.After(64*s.p.options.T1)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-s.acked:
			timer.Stop()
			return true
		case <-end:
			timer.Stop()
			return false
		case <-s.p.ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
			_ = s.p.send(s.flow, text)
			wait *= 2
			if most > 0 {
				wait = min(wait, most)
			}
		}
	}
}

// again answers a request that came again with the last response.
func (s *server) again() {
	s.mu.Lock()
	text := s.last
	s.mu.Unlock()
	if text != "" {
		_ = s.p.send(s.flow, text)
	}
}

func (s *server) refused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status >= 300
}

func (s *server) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status >= 200
}

func (s *server) acknowledge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.acked)
	}
}

// format writes a response to the request (RFC 3261 section 8.2.6).
func (s *server) format(status int, phrase, tag string, headers []string, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", status, phrase)
	for i, via := range s.req.GetHeaders("Via") {
		value := via.Value()
		if i == 0 {
			value = s.received(value)
		}
		fmt.Fprintf(&b, "Via: %s\r\n", value)
	}
	for _, route := range s.req.GetHeaders("Record-Route") {
		fmt.Fprintf(&b, "Record-Route: %s\r\n", route.Value())
	}
	to := s.req.GetHeader("To").Value()
	if _, has := s.req.To().Params.Get("tag"); !has && tag != "" {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n",
		s.req.GetHeader("From").Value(), to, s.req.CallID().Value(), s.req.CSeq().Value())
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// received adds where the request came from to its Via (RFC 3581).
func (s *server) received(via string) string {
	addr, err := netip.ParseAddrPort(s.flow.remote)
	if err != nil {
		return via
	}
	if strings.Contains(via, ";rport") && !strings.Contains(via, ";rport=") {
		via = strings.Replace(via, ";rport", fmt.Sprintf(";rport=%d", addr.Port()), 1)
		via += ";received=" + addr.Addr().String()
	}
	return via
}

// endOf describes a final response.
func endOf(res *sip.Response) phone.End {
	end := phone.End{Reason: fmt.Sprintf("%d %s", res.StatusCode, res.Reason), Status: res.StatusCode, ByPeer: true}
	if h := res.GetHeader("Reason"); h != nil {
		end.Text = h.Value()
	}
	return end
}
