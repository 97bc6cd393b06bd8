package stack

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/gate"
	"sipxmppgw/signaling/resolve"
)

// streamAbove is the size in bytes from which a request goes over a stream where it can
// (RFC 3261 section 18.1.1).
const streamAbove = 1300

// A flow is a way to one peer: what a transaction of sipgo writes to.
type flow struct {
	s      *Stack
	port   *port // of datagrams
	conn   *conn // of a stream
	remote netip.AddrPort
	ack    []byte      // the last ACK written, for a final response that comes again
	muted  atomic.Bool // the request is not sent again
}

// WriteMsg sends a message, once the gate has read it back.
func (f *flow) WriteMsg(msg sip.Message) error {
	req, isRequest := msg.(*sip.Request)
	if isRequest && req.Method != sip.ACK && f.muted.Load() {
		return nil
	}
	raw, err := serialize(msg)
	if err != nil {
		f.s.count.refused.Add(1)
		f.s.log.Warn("message not sent", "remote", f.remote, "error", err)
		return err
	}
	if isRequest && req.Method == sip.ACK {
		f.ack = raw
	}
	return f.write(raw)
}

func (f *flow) write(raw []byte) error {
	if f.conn == nil {
		return f.port.write(raw, f.remote)
	}
	return f.conn.sendMessage(raw)
}

// serialize writes a message as it goes to the wire. An error wraps ErrRefused.
func serialize(msg sip.Message) ([]byte, error) {
	var b bytes.Buffer
	msg.StringWrite(&b)
	headers := 0
	switch m := msg.(type) {
	case *sip.Request:
		headers = len(m.Headers())
	case *sip.Response:
		headers = len(m.Headers())
	}
	if err := gate.CheckOut(b.Bytes(), headers, len(msg.Body())); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return b.Bytes(), nil
}

// LocalAddr is for sipgo's log.
func (f *flow) LocalAddr() net.Addr {
	if f.conn != nil {
		return f.conn.LocalAddr()
	}
	return f.port.packet.LocalAddr()
}

// Sockets live as long as the stack says, not as long as sipgo refers to them.

func (f *flow) Ref(int) int            { return 1 }
func (f *flow) TryClose() (int, error) { return 1, nil }
func (f *flow) Close() error           { return nil }

// reach finds the way to a target and puts a Via on top of a request that says so. It calls f
// with the flow or an error, at once or from another goroutine.
func (s *Stack) reach(req *sip.Request, to resolve.Target, hop Target, f func(*flow, error)) {
	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Params: sip.NewParams()}
	via.Params.Add("branch", "z9hG4bK"+rand.Text())
	req.PrependHeader(via)
	if to.Transport != resolve.UDP {
		s.reachStream(req, via, hop.key(to), f)
		return
	}
	p := s.portOf(Target{Transport: UDP, Local: hop.Local}, to.Addr.Addr())
	if p == nil {
		f(nil, fmt.Errorf("%w: no UDP socket for %s", ErrTransport, to.Name))
		return
	}
	overPacket := func() {
		mark(req, via, UDP, p.at(to.Addr.Addr()))
		f(&flow{s: s, port: p, remote: to.Addr}, nil)
	}
	mark(req, via, UDP, p.at(to.Addr.Addr()))
	if !hop.Stream || len(req.String()) <= streamAbove {
		overPacket()
		return
	}
	s.reachStream(req, via, connKey{transport: TCP, remote: to.Addr}, func(fl *flow, err error) {
		if err != nil {
			overPacket()
			return
		}
		f(fl, nil)
	})
}

// reachStream connects, unless there is a connection.
func (s *Stack) reachStream(req *sip.Request, via *sip.ViaHeader, key connKey, f func(*flow, error)) {
	s.dialed.connect(key, func(c *conn, err error) {
		if err != nil {
			f(nil, err)
			return
		}
		local := c.local
		if p := s.portFor(key.transport, key.remote.Addr()); p != nil {
			local = p.at(key.remote.Addr())
		}
		mark(req, via, key.transport, local)
		if c.opened && s.o.Secure != nil && s.o.Secure.Keys.has() && key.transport.Secure() {
			via.Params.Add("alias", "") // the peer may use it for requests to us (RFC 5923 section 8.1)
		}
		f(&flow{s: s, conn: c, remote: key.remote}, nil)
	})
}

// mark writes into a Via what the request goes over, and where its response is to go.
func mark(req *sip.Request, via *sip.ViaHeader, t Transport, local netip.AddrPort) {
	via.Transport = string(t)
	via.Host = local.Addr().String()
	via.Port = int(local.Port())
	via.Params.Remove("rport")
	if t == UDP {
		via.Params.Add("rport", "") // RFC 3581
	}
	req.SetTransport(string(t))
}

// complete gives a request what every request has, and returns the copy to send.
func complete(req *sip.Request) *sip.Request {
	req = req.Clone()
	if req.MaxForwards() == nil {
		h := sip.MaxForwardsHeader(70)
		req.AppendHeader(&h)
	}
	if req.ContentLength() == nil {
		req.SetBody(req.Body())
	}
	return req
}

// Send sends a request without a transaction: the ACK of a 2xx (RFC 3261 section
// 13.2.2.4). It does not block; failed, which may be nil, is called like the callback
// of Request when it could not be sent.
func (s *Stack) Send(req *sip.Request, to Target, failed func(error)) {
	req = complete(req)
	q := s.queueOf(req)
	refuse := func(err error) {
		if failed != nil {
			q.post(func() { s.protected(func() { failed(wrapTransport(err)) }) })
		}
	}
	s.locate(to, func(targets []resolve.Target, err error) {
		if err != nil {
			refuse(err)
			return
		}
		s.sendTo(req, targets, to, refuse)
	})
}

// sendTo sends to the first of the targets that can be reached.
func (s *Stack) sendTo(req *sip.Request, targets []resolve.Target, hop Target, failed func(error)) {
	one := req.Clone()
	s.reach(one, targets[0], hop, func(fl *flow, err error) {
		if err == nil {
			err = fl.WriteMsg(one)
		}
		switch {
		case err == nil:
		case len(targets) > 1:
			s.sendTo(req, targets[1:], hop, failed)
		default:
			failed(err)
		}
	})
}

func (s *Stack) queueOf(msg sip.Message) *queue {
	if h := msg.CallID(); h != nil {
		return s.queue(h.Value())
	}
	return s.queue("")
}
