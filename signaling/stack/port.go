package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
	"golang.org/x/time/rate"

	"sipxmppgw/signaling/gate"
)

// A port is a listener being served. Each has a transport layer of sipgo to itself, so
// that what sipgo remembers of addresses is bounded and a message is known to have come
// through here.
type port struct {
	s         *Stack
	transport Transport
	local     netip.AddrPort
	external  netip.AddrPort
	other     netip.AddrPort // of the other family; the zero value if it does not speak that
	is4       bool           // external is IPv4
	packet    net.PacketConn
	errors    *errorQueue // of packet
	stream    net.Listener
	secure    *tls.Config // of TLS and WSS
	layer     *sip.TransportLayer

	// Of the goroutine that reads.
	buf     []byte
	last    arrival // of the datagram that sipgo has
	pending bool    // it has not handed on the message
}

func newPort(s *Stack, l Listener) (*port, error) {
	p := &port{s: s, transport: l.Transport, packet: l.Packet, stream: l.Stream}
	switch {
	case l.Transport == UDP && l.Packet != nil:
		p.local = addrPort(l.Packet.LocalAddr())
	case l.Transport.Secure() && (s.o.Secure == nil || s.o.Secure.Keys == nil):
		return nil, errors.New("no certificate for " + string(l.Transport))
	case l.Transport.stream() && l.Stream != nil:
		p.local = addrPort(l.Stream.Addr())
	default:
		return nil, errors.New("no socket for transport " + string(l.Transport))
	}
	p.external = l.External
	if !p.external.Addr().IsValid() {
		if p.local.Addr().IsUnspecified() {
			return nil, errors.New("bound to all addresses, and no external address is given")
		}
		p.external = netip.AddrPortFrom(p.local.Addr(), p.external.Port())
	}
	p.is4 = p.local.Addr().Is4()
	if p.local.Addr().IsUnspecified() {
		p.is4 = p.external.Addr().Is4() // a socket for both can be asked for one
	}
	if p.external.Port() == 0 {
		p.external = netip.AddrPortFrom(p.external.Addr(), p.local.Port())
	}
	if p.other = l.Other; p.other.IsValid() && p.other.Port() == 0 {
		p.other = netip.AddrPortFrom(p.other.Addr(), p.local.Port())
	}
	if p.packet != nil {
		p.errors = newErrorQueue(p.packet)
	}
	if p.transport.Secure() {
		p.secure = s.o.Secure.server()
	}
	p.layer = newLayer(s, p.take)
	return p, nil
}

// speaks says whether peers of an address's family are called from here.
func (p *port) speaks(remote netip.Addr) bool {
	return p.is4 == remote.Unmap().Is4() || p.other.IsValid()
}

// at is what a peer reaches us by.
func (p *port) at(remote netip.Addr) netip.AddrPort {
	if p.is4 != remote.Unmap().Is4() && p.other.IsValid() {
		return p.other
	}
	return p.external
}

// newLayer returns a transport layer of sipgo that hands its messages to f.
func newLayer(s *Stack, f func(sip.Message)) *sip.TransportLayer {
	parser := sip.NewParser(sip.WithHeadersParsers(parsers()))
	l := sip.NewTransportLayer(net.DefaultResolver, parser, nil, sip.WithTransportLayerLogger(s.quiet))
	l.OnMessage(f)
	return l
}

// parsers are those of the headers that sipgo must read to cut a message; all others are
// kept as they were written, and read when they are asked for.
func parsers() map[string]sip.HeaderParser {
	all := sip.DefaultHeadersParser()
	some := map[string]sip.HeaderParser{}
	for _, name := range []string{"content-length", "content-type", "call-id", "cseq", "max-forwards"} {
		some[name] = all[name]
	}
	return some
}

// run serves the socket until it is closed.
func (p *port) run() {
	if p.packet != nil {
		_ = p.layer.ServeUDP((*packetGuard)(p)) // it returns nil, when the socket is closed
		return
	}
	_ = p.layer.ServeTCP((*listenGuard)(p)) // it returns why Accept did: closed
}

func (p *port) close() error {
	if p.packet != nil {
		return p.packet.Close()
	}
	return p.stream.Close()
}

// take is given what sipgo has parsed, in the goroutine that reads.
func (p *port) take(msg sip.Message) {
	var from arrival
	if p.stream != nil { // one of several, each with a goroutine of its own
		c := p.s.conns.bySource(msg.Source())
		if c == nil {
			return
		}
		from = c.take()
	} else {
		from, p.pending = p.last, false
	}
	msg.SetSource(from.remote.String())
	p.s.accept(msg, from)
}

// admits says whether a source is a peer of ours, and whether it may talk to us at all.
func (s *Stack) admits(remote netip.AddrPort, t Transport) (known, in bool) {
	known = s.o.Allowed != nil && s.o.Allowed(remote, t)
	if known || s.o.Strangers {
		return known, true
	}
	screen := s.screen()
	return false, screen != nil && screen.Open(remote.Addr().Unmap())
}

// screen is what strangers are looked at by now; nil if they are not.
func (s *Stack) screen() *Screen {
	if screen := s.o.Screen; screen != nil && (screen.On == nil || screen.On()) {
		return screen
	}
	return nil
}

// certifies says whether somebody may be known by a certificate now.
func (s *Stack) certifies() bool {
	return s.o.Identified != nil && (s.o.Certified == nil || s.o.Certified())
}

// rules are what is let in now.
func (s *Stack) rules() gate.Rules {
	if s.o.Rules != nil {
		return s.o.Rules()
	}
	return s.o.Gate
}

// screened says whether a message of a stranger is let in. Otherwise it has been answered, or
// is dropped.
func (s *Stack) screened(msg sip.Message, from arrival) bool {
	screen := s.screen()
	if from.known || s.o.Strangers {
		return true
	}
	if screen == nil { // there was one when this was let in
		s.count.strangers.Add(1)
		return false
	}
	req, ok := msg.(*sip.Request)
	if ok && req.Method == sip.ACK {
		return true // it asks for nothing
	}
	var j Judgement
	if ok {
		j = screen.Judge(req, from.peer())
	}
	switch {
	case from.conn != nil && !screen.Open(from.remote.Addr().Unmap()):
		from.conn.Close() // shut out meanwhile, perhaps by this
		return false
	case j.Take:
		local := netip.AddrPort{}
		if from.conn != nil {
			from.conn.known.Store(true)
			local = from.conn.local
		} else {
			local = from.port.local
		}
		s.trace(false, from.transport(), local, from.remote, []byte(req.String()))
		return true
	case j.Status != 0:
		s.refuse(req, from, j.Status, j.Headers...)
	default:
		s.count.strangers.Add(1)
	}
	return false
}

// everyone stands for all strangers in a meter.
var everyone = netip.IPv4Unspecified()

// inTime says whether a message from a source may be looked at now. Responses of a known
// peer answer requests of ours, so they do not count.
func (s *Stack) inTime(from arrival, raw []byte) bool {
	switch {
	case !from.known:
		return s.meter.take(from.remote.Addr(), rate.Limit(s.limits.StrangerRate), s.limits.StrangerBurst) &&
			(s.screen() == nil || s.meter.take(everyone, rate.Limit(s.limits.StrangersRate), int(2*s.limits.StrangersRate)))
	case bytes.HasPrefix(raw, []byte("SIP/")):
		return true
	default:
		return s.meter.take(from.remote.Addr(), rate.Limit(s.limits.KnownRate), s.limits.KnownBurst)
	}
}

// judge traces and checks one raw message. It returns the clean one, or nil, and
// whether the stream that it came over can go on.
func (s *Stack) judge(raw []byte, t Transport, from arrival, local netip.AddrPort, answer func([]byte, netip.AddrPort)) ([]byte, bool) {
	if from.known || s.screen() == nil { // of strangers, what passes the screen
		s.trace(false, t, local, from.remote, raw)
	}
	rules := s.rules()
	if t.web() { // cut like a datagram, but of any size
		rules.Datagram = or(rules.Stream, 65535)
	}
	v := rules.Check(raw, from.remote, t.stream() && !t.web())
	switch {
	case v.Action == gate.Accept:
		return v.Message, true
	case v.Action == gate.Answer && (from.known || s.screen() == nil):
		s.count.rejected.Add(1)
		s.log.Debug("message refused", "remote", from.remote, "status", v.Status, "reason", v.Reason)
		answer(v.Answer, v.To)
	default:
		s.count.dropped.Add(1)
		s.log.Debug("message dropped", "remote", from.remote, "reason", v.Reason)
	}
	return nil, !v.Broken
}

func (s *Stack) trace(out bool, t Transport, local, remote netip.AddrPort, raw []byte) {
	if s.o.Trace != nil {
		s.o.Trace(Packet{Out: out, Transport: t, Local: local, Remote: remote, Raw: raw})
	}
}

// A packetGuard is the socket that sipgo reads from: it returns only clean messages, of
// those who may send any.
type packetGuard port

func (g *packetGuard) ReadFrom(b []byte) (int, net.Addr, error) {
	p := (*port)(g)
	s := p.s
	if p.pending {
		// sipgo has come back without having handed on the last message.
		p.pending = false
		s.count.unparsed.Add(1)
	}
	if p.buf == nil {
		p.buf = make([]byte, 65536)
	}
	buf := p.buf
	backoff := 5 * time.Millisecond
	for {
		n, addr, err := p.packet.ReadFrom(buf)
		if err != nil && elsewhere(err) {
			p.undelivered()
			continue
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !s.wait(backoff) {
				return 0, nil, net.ErrClosed
			}
			s.log.Warn("reading from a socket", "local", p.local, "error", err)
			backoff = min(2*backoff, time.Second)
			continue
		}
		backoff = 5 * time.Millisecond
		from := arrival{port: p, remote: addrPort(addr)}
		var in bool
		if from.known, in = s.admits(from.remote, p.transport); !in {
			s.count.strangers.Add(1)
			continue
		}
		if len(bytes.Trim(buf[:n], "\r\n\x00")) == 0 {
			continue // keepalive
		}
		if isSTUN(buf[:n]) {
			if (from.known || s.screen() == nil) && s.meter.take(from.remote.Addr(), rate.Limit(s.limits.StrangerRate), s.limits.StrangerBurst) {
				p.stun(buf[:n], from.remote)
			}
			continue
		}
		s.count.received.Add(1)
		if !s.inTime(from, buf[:n]) {
			s.count.throttled.Add(1)
			continue
		}
		clean, _ := s.judge(buf[:n], p.transport, from, p.local, func(answer []byte, to netip.AddrPort) {
			_ = p.write(answer, to) // if it is lost, so is the request, and it comes again
		})
		if clean == nil || len(clean) > len(b) {
			continue
		}
		p.last, p.pending = from, true
		// One address for all: sipgo remembers each that it sees.
		return copy(b, clean), p.packet.LocalAddr(), nil
	}
}

// wait sleeps unless the stack is closed meanwhile.
func (s *Stack) wait(d time.Duration) bool {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	<-ctx.Done()
	return s.ctx.Err() == nil
}

// write sends a datagram. It is traced before, since the answer may be quicker than we.
func (p *port) write(raw []byte, to netip.AddrPort) error {
	p.s.trace(true, p.transport, p.local, to, raw)
	for left := 8; ; left-- {
		_, err := p.packet.WriteTo(raw, net.UDPAddrFromAddrPort(to))
		if err == nil {
			p.s.count.sent.Add(1)
			return nil
		}
		if left == 0 || !elsewhere(err) {
			return err
		}
		p.undelivered() // nothing was sent: the error was that of another
	}
}

// undelivered ends the requests of which ICMP says that they did not arrive.
func (p *port) undelivered() {
	p.errors.take(func(to netip.AddrPort, sent []byte) {
		p.s.count.undelivered.Add(1)
		p.s.undelivered(to, sent)
	})
}

func (g *packetGuard) WriteTo([]byte, net.Addr) (int, error) { return 0, errors.ErrUnsupported }
func (g *packetGuard) Close() error                          { return nil }
func (g *packetGuard) LocalAddr() net.Addr                   { return g.packet.LocalAddr() }
func (g *packetGuard) SetDeadline(time.Time) error           { return nil }
func (g *packetGuard) SetReadDeadline(time.Time) error       { return nil }
func (g *packetGuard) SetWriteDeadline(time.Time) error      { return nil }

// A listenGuard is the listener that sipgo accepts from: it returns guarded connections of
// those who may connect, and ends only when it is closed.
type listenGuard port

func (g *listenGuard) Accept() (net.Conn, error) {
	p := (*port)(g)
	s := p.s
	backoff := 5 * time.Millisecond
	for {
		inner, err := p.stream.Accept()
		if err != nil {
			// No more descriptors, mostly: calls that are up need none.
			if errors.Is(err, net.ErrClosed) || !s.wait(backoff) {
				return nil, net.ErrClosed
			}
			s.log.Warn("accepting a connection", "local", p.local, "error", err)
			backoff = min(2*backoff, time.Second)
			continue
		}
		backoff = 5 * time.Millisecond
		remote := addrPort(inner.RemoteAddr())
		known, in := s.admits(remote, p.transport)
		if !in && (!p.transport.Secure() || !s.certifies()) {
			s.count.strangers.Add(1)
			inner.Close()
			continue
		}
		if p.transport.Secure() {
			inner = tls.Server(inner, p.secure)
		}
		c := newConn(s, p, inner, p.transport, known)
		hasty := (!in || s.screen() != nil && !known) && !s.meter.take(remote.Addr(), rate.Limit(s.limits.StrangerRate), s.limits.StrangerBurst) // each handshake costs us
		if hasty {
			s.count.connsOver.Add(1)
			inner.Close()
			continue
		}
		fits, out := s.conns.add(c)
		if out != nil {
			s.count.connsOver.Add(1)
			out.Close()
		}
		if !fits {
			s.count.connsOver.Add(1)
			inner.Close()
			continue
		}
		c.start()
		return c, nil
	}
}

func (g *listenGuard) Close() error   { return nil }
func (g *listenGuard) Addr() net.Addr { return g.stream.Addr() }
