package sipphone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/test/peer/phone"
)

const (
	maxMessage = 1 << 16
	maxServers = 10000
	maxKept    = 1000 // of what is kept before what is over is swept away
	maxNotes   = 1000
)

// A Phone is a SIP user agent. Close ends it and its calls.
type Phone struct {
	options Options
	parser  *sip.Parser
	udp     *net.UDPConn
	tcp     net.Listener
	ctx     context.Context // done when the phone is closed
	cancel  context.CancelFunc

	trace sync.Mutex // keeps Trace in order

	mu       sync.Mutex // guards what follows
	idle     sync.Cond  // on mu: running or calls have changed
	running  int        // goroutines
	incoming func(*Call)
	conns    map[string]net.Conn // TCP, by remote address
	calls    map[string]*Call    // by Call-ID and our tag
	clients  map[string]*client  // by branch and method
	servers  map[string]*server  // by branch and method
	faults   []string
}

// A flow is the way back to where a message came from.
type flow struct {
	network, remote string
}

// Listen starts a phone.
func Listen(o Options) (*Phone, error) {
	o.fill()
	p := &Phone{
		options: o, parser: sip.NewParser(), incoming: o.Incoming,
		conns: map[string]net.Conn{}, calls: map[string]*Call{},
		clients: map[string]*client{}, servers: map[string]*server{},
	}
	p.idle.L = &p.mu
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if err := p.listen(); err != nil {
		return nil, err
	}
	p.spawn(p.readUDP) // until Close closes the socket
	p.spawn(p.acceptTCP)
	return p, nil
}

// listen opens the same port for UDP and TCP.
func (p *Phone) listen() error {
	for try := 0; ; try++ {
		pc, err := net.ListenPacket("udp", p.options.Addr)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		p.udp = pc.(*net.UDPConn)
		p.tcp, err = net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return nil
		}
		pc.Close()
		if try == 20 {
			return fmt.Errorf("listen: %w", err)
		}
	}
}

// Addr returns where the phone listens, as host and port.
func (p *Phone) Addr() string { return p.udp.LocalAddr().String() }

// host returns the address it listens on.
func (p *Phone) host() string {
	host, _, _ := net.SplitHostPort(p.Addr()) // it is an address of ours, which has both
	return host
}

// URI returns the phone's address.
func (p *Phone) URI() string { return "sip:" + p.options.User + "@" + p.Addr() }

// OnIncoming changes what is called with an incoming call.
func (p *Phone) OnIncoming(f func(*Call)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incoming = f
}

// Calls returns the calls that have not ended.
func (p *Phone) Calls() []*Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[*Call]bool{}
	var out []*Call
	for _, c := range p.calls {
		if !seen[c] && c.State() != phone.Ended {
			seen[c] = true
			out = append(out, c)
		}
	}
	return out
}

// Faults returns what came that was no SIP, or had no place.
func (p *Phone) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.faults...)
}

func (p *Phone) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) < maxNotes {
		p.faults = append(p.faults, fmt.Sprintf(format, args...))
	}
}

// Close ends all calls without a word and returns when every goroutine has ended.
func (p *Phone) Close() {
	p.cancel()
	p.mu.Lock()
	calls := map[*Call]bool{}
	for _, c := range p.calls {
		calls[c] = true
	}
	p.mu.Unlock()
	for c := range calls {
		c.finish(phone.End{Reason: "closed"})
	}
	p.udp.Close()
	p.tcp.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	for p.running > 0 {
		p.idle.Wait()
	}
}

// spawn runs f on a goroutine that Close waits for.
func (p *Phone) spawn(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running++
	go func() { // ends with f
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.running--
			p.idle.Broadcast()
		}()
		f()
	}()
}

func (p *Phone) readUDP() {
	buffer := make([]byte, maxMessage)
	for {
		n, from, err := p.udp.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n <= 4 {
			continue // an ICMP error, or a keep-alive
		}
		p.receive(append([]byte(nil), buffer[:n]...), flow{"udp", from.String()})
	}
}

func (p *Phone) acceptTCP() {
	for {
		conn, err := p.tcp.Accept()
		if err != nil {
			return
		}
		p.adopt(conn)
	}
}

// adopt reads a TCP connection until it closes; false if the phone is closed.
func (p *Phone) adopt(conn net.Conn) bool {
	p.mu.Lock()
	if p.ctx.Err() != nil {
		p.mu.Unlock()
		conn.Close()
		return false
	}
	p.conns[conn.RemoteAddr().String()] = conn
	p.mu.Unlock()
	p.spawn(func() { p.readTCP(conn) })
	return true
}

func (p *Phone) readTCP(conn net.Conn) {
	remote := conn.RemoteAddr().String()
	defer func() {
		conn.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.conns[remote] == conn {
			delete(p.conns, remote)
		}
	}()
	var pending []byte
	buffer := make([]byte, 1<<14)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		pending = append(pending, buffer[:n]...)
		for {
			for len(pending) >= 2 && pending[0] == '\r' && pending[1] == '\n' {
				pending = pending[2:] // a keep-alive (RFC 5626 section 3.5.1)
			}
			size, ok := frame(pending)
			if !ok {
				break
			}
			p.receive(append([]byte(nil), pending[:size]...), flow{"tcp", remote})
			pending = pending[size:]
		}
		if len(pending) > maxMessage {
			p.fault("a message of more than %d bytes from %s", maxMessage, remote)
			return
		}
	}
}

// frame returns the length of the first message in a stream, by its Content-Length; false
// if it is not whole.
func frame(b []byte) (int, bool) {
	head, _, ok := strings.Cut(string(b), "\r\n\r\n")
	if !ok {
		return 0, false
	}
	length := 0
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "l") {
			fmt.Sscanf(strings.TrimSpace(value), "%d", &length)
		}
	}
	if length < 0 || length > maxMessage {
		length = maxMessage
	}
	size := len(head) + 4 + length
	return size, len(b) >= size
}

// send writes a message; a TCP connection is made if there is none.
func (p *Phone) send(to flow, text string) error {
	p.trace.Lock()
	if p.options.Trace != nil {
		p.options.Trace(Message{time.Now(), true, to.network, to.remote, text})
	}
	p.trace.Unlock()
	if to.network == "udp" {
		addr, err := net.ResolveUDPAddr("udp", to.remote)
		if err != nil {
			return err
		}
		_, err = p.udp.WriteTo([]byte(text), addr)
		return err
	}
	p.mu.Lock()
	conn := p.conns[to.remote]
	p.mu.Unlock()
	if conn == nil {
		var err error
		if conn, err = new(net.Dialer).DialContext(p.ctx, "tcp", to.remote); err != nil {
			return err
		}
		if !p.adopt(conn) {
			return errors.New("the phone is closed")
		}
	}
	conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err := conn.Write([]byte(text))
	return err
}

// receive takes one message.
func (p *Phone) receive(raw []byte, from flow) {
	p.trace.Lock()
	if p.options.Trace != nil {
		p.options.Trace(Message{time.Now(), false, from.network, from.remote, string(raw)})
	}
	p.trace.Unlock()
	message, err := p.parser.ParseSIP(raw)
	if err != nil {
		p.fault("a message from %s is no SIP: %v", from.remote, err)
		return
	}
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		if len(message.GetHeaders(name)) == 0 {
			p.fault("a message from %s has no %s", from.remote, name)
			return
		}
	}
	if message.Via() == nil || message.CSeq() == nil || message.To() == nil || message.From() == nil || message.CallID() == nil {
		p.fault("a message from %s has a header that is wrong", from.remote)
		return
	}
	branch, _ := message.Via().Params.Get("branch")
	switch m := message.(type) {
	case *sip.Response:
		p.mu.Lock()
		c := p.clients[branch+" "+string(m.CSeq().MethodName)]
		p.mu.Unlock()
		if c == nil {
			p.fault("a %d %s from %s answers nothing", m.StatusCode, m.CSeq().MethodName, from.remote)
			return
		}
		c.receive(m)
	case *sip.Request:
		p.receiveRequest(m, branch, from)
	}
}

func (p *Phone) receiveRequest(req *sip.Request, branch string, from flow) {
	method := string(req.Method)
	tag, _ := req.To().Params.Get("tag")
	p.mu.Lock()
	c := p.calls[dialogKey(req, tag)]
	p.mu.Unlock()
	if method == "ACK" {
		p.mu.Lock()
		s := p.servers[branch+" INVITE"]
		p.mu.Unlock()
		switch {
		case s != nil && s.refused():
			s.acknowledge()
		case c != nil:
			c.receiveACK(req, tag)
		default:
			p.fault("an ACK from %s is for no call", from.remote)
		}
		return
	}
	key := branch + " " + method
	p.mu.Lock()
	s := p.servers[key]
	if s == nil {
		p.sweep()
		s = &server{p: p, req: req, flow: from, acked: make(chan struct{}), born: time.Now()}
		if len(p.servers) < maxServers {
			p.servers[key] = s
		}
		p.mu.Unlock()
	} else {
		p.mu.Unlock()
		s.again()
		return
	}
	switch {
	case method == "CANCEL":
		p.receiveCANCEL(s, branch)
	case c != nil:
		c.receiveRequest(s, tag)
	case tag != "":
		s.respond(481, "Call/Transaction Does Not Exist", token(), nil, "")
	case method == "INVITE":
		p.receiveINVITE(s)
	case method == "OPTIONS":
		s.respond(200, "OK", token(), []string{"Accept: application/sdp", allow}, "")
	default:
		s.respond(405, "Method Not Allowed", token(), []string{allow}, "")
	}
}

const allow = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"

// sweep forgets transactions and calls that are over. The phone is locked.
func (p *Phone) sweep() {
	if len(p.servers) < maxKept && len(p.clients) < maxKept && len(p.calls) < maxKept {
		return
	}
	old := 64 * p.options.T1
	for key, s := range p.servers {
		if time.Since(s.born) > old {
			delete(p.servers, key)
		}
	}
	for key, c := range p.calls {
		if at := c.Times().Ended; !at.IsZero() && time.Since(at) > old {
			delete(p.calls, key)
		}
	}
	for key, c := range p.clients {
		if c.over(old) {
			delete(p.clients, key)
		}
	}
}

func (p *Phone) receiveINVITE(s *server) {
	if p.options.Behaviour.Silent {
		return
	}
	if require := s.req.GetHeader("Require"); require != nil {
		s.respond(420, "Bad Extension", token(), []string{"Unsupported: " + require.Value()}, "")
		return
	}
	c, err := p.answering(s)
	if err != nil {
		s.respond(488, "Not Acceptable Here", token(), []string{`Warning: 399 phone "` + strings.ReplaceAll(err.Error(), `"`, "'") + `"`}, "")
		return
	}
	s.respond(100, "Trying", "", nil, "")
	c.Reach(phone.Placed)
	p.spawn(c.ring) // until it has rung as often as it is to
	p.mu.Lock()
	incoming := p.incoming
	p.mu.Unlock()
	if incoming != nil && p.ctx.Err() == nil {
		p.spawn(func() { incoming(c) }) // as long as the script takes
	}
}

func (p *Phone) receiveCANCEL(s *server, branch string) {
	p.mu.Lock()
	invite := p.servers[branch+" INVITE"]
	p.mu.Unlock()
	if invite == nil || invite.call == nil {
		s.respond(481, "Call/Transaction Does Not Exist", token(), nil, "")
		return
	}
	s.respond(200, "OK", invite.call.tag, nil, "")
	invite.call.cancelled(s.req)
}

// dialogKey names a dialog by Call-ID and the tag of our side.
func dialogKey(m sip.Message, tag string) string {
	return m.CallID().Value() + " " + tag
}

// token returns a random word for tags, branches and Call-IDs.
func token() string { return strings.ToLower(rand.Text()[:16]) }
