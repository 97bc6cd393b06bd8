package stack

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"time"

	"sipxmppgw/signaling/resolve"
)

// What of STUN is spoken here: Binding without credentials (RFC 8489 section 5, 7 and 14; RFC
// 5626 section 4.4.2).
const (
	stunHeader      = 20
	stunCookie      = 0x2112A442
	stunRequest     = 0x0001
	stunSuccess     = 0x0101
	stunError       = 0x0111
	attrMapped      = 0x0001
	attrErrorCode   = 0x0009
	attrUnknown     = 0x000A
	attrXORMapped   = 0x0020
	attrFingerprint = 0x8028
	fingerprintXOR  = 0x5354554e
)

// A stunMessage is one that has been read.
type stunMessage struct {
	kind    uint16
	id      [12]byte
	unknown []uint16       // attributes that would have to be understood
	mapped  netip.AddrPort // what the server sees us at; the zero value if it does not say
	printed bool           // it has a fingerprint
}

// isSTUN says whether a datagram is none of SIP's: the first two bits of STUN's are zero, and
// no text begins so (RFC 5626 section 8).
func isSTUN(b []byte) bool {
	return len(b) >= stunHeader && b[0]&0xC0 == 0 && binary.BigEndian.Uint32(b[4:]) == stunCookie
}

// readSTUN reads a datagram for which isSTUN is true. It is false if its lengths are wrong.
func readSTUN(b []byte) (m stunMessage, ok bool) {
	m.kind = binary.BigEndian.Uint16(b)
	copy(m.id[:], b[8:])
	if int(binary.BigEndian.Uint16(b[2:])) != len(b)-stunHeader {
		return m, false
	}
	for rest := b[stunHeader:]; len(rest) > 0; {
		if len(rest) < 4 {
			return m, false
		}
		kind, n := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		padded := (n + 3) &^ 3
		if len(rest) < 4+padded {
			return m, false
		}
		m.take(kind, rest[4:4+n])
		rest = rest[4+padded:]
	}
	return m, true
}

func (m *stunMessage) take(kind uint16, value []byte) {
	switch {
	case kind == attrXORMapped:
		m.mapped = m.address(value, true)
	case kind == attrMapped:
		if !m.mapped.IsValid() { // the other one is better: nobody on the way rewrites it
			m.mapped = m.address(value, false)
		}
	case kind == attrFingerprint:
		m.printed = true
	case kind < 0x8000 && kind != attrErrorCode && kind != attrUnknown && len(m.unknown) < 8:
		m.unknown = append(m.unknown, kind)
	}
}

// address reads the value of a MAPPED-ADDRESS.
func (m *stunMessage) address(v []byte, xored bool) netip.AddrPort {
	if len(v) != 8 && len(v) != 20 || (v[1] == 1) != (len(v) == 8) {
		return netip.AddrPort{}
	}
	v = append([]byte(nil), v...)
	if xored {
		m.xor(v)
	}
	a, _ := netip.AddrFromSlice(v[4:]) // of 4 or 16 bytes
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(v[2:]))
}

// xor hides an address from what rewrites addresses on the way, or shows it again.
func (m *stunMessage) xor(v []byte) {
	var key [16]byte
	binary.BigEndian.PutUint32(key[:], stunCookie)
	copy(key[4:], m.id[:])
	v[2] ^= key[0]
	v[3] ^= key[1]
	for i := range v[4:] {
		v[4+i] ^= key[i]
	}
}

// stunBytes writes a message with attributes.
func stunBytes(kind uint16, id [12]byte, attrs []byte, printed bool) []byte {
	b := make([]byte, stunHeader, stunHeader+len(attrs)+8)
	binary.BigEndian.PutUint16(b, kind)
	binary.BigEndian.PutUint32(b[4:], stunCookie)
	copy(b[8:], id[:])
	b = append(b, attrs...)
	if printed {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+8-stunHeader))
		sum := crc32.ChecksumIEEE(b) ^ fingerprintXOR
		b = append(b, attrFingerprint>>8, attrFingerprint&0xff, 0, 4)
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-stunHeader))
	return b
}

// stunAnswer is the answer to a Binding request: where it came from. Nothing answers anything
// else.
func stunAnswer(m stunMessage, from netip.AddrPort) []byte {
	if m.kind != stunRequest {
		return nil
	}
	if len(m.unknown) > 0 {
		attrs := []byte{0, attrErrorCode, 0, 4, 0, 0, 4, 20}
		attrs = append(attrs, 0, attrUnknown, 0, byte(2*len(m.unknown)))
		for _, u := range m.unknown {
			attrs = binary.BigEndian.AppendUint16(attrs, u)
		}
		if len(attrs)%4 != 0 {
			attrs = append(attrs, 0, 0)
		}
		return stunBytes(stunError, m.id, attrs, m.printed)
	}
	v := append([]byte{0, 1, 0, 0}, from.Addr().AsSlice()...)
	if from.Addr().Is6() {
		v[1] = 2
	}
	binary.BigEndian.PutUint16(v[2:], from.Port())
	m.xor(v)
	return stunBytes(stunSuccess, m.id, append([]byte{0, attrXORMapped, 0, byte(len(v))}, v...), m.printed)
}

// stun takes a datagram of STUN from a peer of ours.
func (p *port) stun(raw []byte, from netip.AddrPort) {
	m, ok := readSTUN(raw)
	if !ok {
		p.s.count.dropped.Add(1)
		return
	}
	if answer := stunAnswer(m, from); answer != nil {
		_, _ = p.packet.WriteTo(answer, net.UDPAddrFromAddrPort(from)) // if it is lost, it is asked again
		return
	}
	if m.kind == stunSuccess {
		p.s.pong(m, from)
	}
}

// A ping is a Binding request that has no answer yet.
type ping struct {
	to    netip.AddrPort
	local netip.AddrPort // what we say we are reached at
	sent  time.Time
}

// maxPings bounds the requests that are remembered.
const maxPings = 1000

// pingOver sends a Binding request, which keeps the way through a NAT open.
func (s *Stack) pingOver(p *port, to netip.AddrPort) {
	var id [12]byte
	rand.Read(id[:]) // it never fails
	s.mu.Lock()
	for known, sent := range s.pings {
		if time.Since(sent.sent) > lifetime || len(s.pings) >= maxPings {
			delete(s.pings, known)
		}
	}
	s.pings[id] = ping{to, p.at(to.Addr()), time.Now()}
	s.mu.Unlock()
	s.count.pings.Add(1)
	_, _ = p.packet.WriteTo(stunBytes(stunRequest, id, nil, false), net.UDPAddrFromAddrPort(to)) // it is sent again
}

// pong takes the answer. If the peer sees us where we do not say we are, the operator is told.
func (s *Stack) pong(m stunMessage, from netip.AddrPort) {
	s.mu.Lock()
	sent, ok := s.pings[m.id]
	ok = ok && sent.to == from
	changed := false
	if ok {
		delete(s.pings, m.id)
		changed = m.mapped.IsValid() && m.mapped != s.seenAt[sent.to] && len(s.seenAt) < maxPings
		if changed {
			s.seenAt[sent.to] = m.mapped
		}
	}
	s.mu.Unlock()
	if !ok {
		s.count.orphans.Add(1)
		return
	}
	s.count.pongs.Add(1)
	if changed && m.mapped != sent.local {
		s.log.Warn("a peer sees us at another address than the one we give", "peer", from.String(), "seen", m.mapped.String(), "given", sent.local.String())
	}
}

// Keep keeps the way to a target open until ctx is over or the stack is closed: by STUN over UDP (RFC 5626
// section 4.4.2), and over what has connections by opening one and sending empty lines (section
// 4.4.1). It waits four fifths of the time at least.
func (s *Stack) Keep(ctx context.Context, to Target, every time.Duration) {
	s.spawn(func() { // ends with Close, or with ctx
		for s.ctx.Err() == nil && ctx.Err() == nil {
			s.locate(to, func(targets []resolve.Target, err error) {
				if err == nil {
					s.keep(targets[0], to)
				}
			})
			select {
			case <-s.ctx.Done():
			case <-ctx.Done():
			case <-time.After(every*4/5 + time.Duration(mathrand.Int64N(max(1, int64(every/5))))):
			}
		}
	})
}

func (s *Stack) keep(at resolve.Target, to Target) {
	if Transport(at.Transport) == UDP {
		if p := s.portFor(UDP, at.Addr.Addr()); p != nil {
			s.pingOver(p, at.Addr)
		}
		return
	}
	s.dialed.connect(to.key(at), func(c *conn, err error) {
		switch {
		case err != nil:
			s.log.Debug("no connection to keep", "remote", at.Addr, "error", err)
		case c.opened:
			_ = c.send(c.ping()) // if it is lost, another is opened next time
		}
	})
}

// Mapped asks a STUN server, as host:port, at which address it sees what comes from here. An
// error says that it did not answer, or nothing useful.
func Mapped(ctx context.Context, server string) (netip.Addr, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", server)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var id [12]byte
	rand.Read(id[:]) // it never fails
	buf := make([]byte, 1500)
	// RFC 8489 section 6.2.1: 500 ms, then twice as long each time.
	for pause := 500 * time.Millisecond; pause < 16*time.Second; pause *= 2 {
		if _, err := conn.Write(stunBytes(stunRequest, id, nil, false)); err != nil {
			return netip.Addr{}, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(pause)); err != nil {
			return netip.Addr{}, err
		}
		for {
			n, err := conn.Read(buf)
			if ctx.Err() != nil {
				return netip.Addr{}, fmt.Errorf("no answer from %s", server)
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			if err != nil {
				return netip.Addr{}, err
			}
			if !isSTUN(buf[:n]) {
				continue
			}
			if m, ok := readSTUN(buf[:n]); ok && m.id == id && m.mapped.IsValid() {
				return m.mapped.Addr(), nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("no answer from %s", server)
}
