package trace

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Blocks and options of pcapng (draft-ietf-opsawg-pcapng).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockNames     = 4
	blockPacket    = 6

	optEnd     = 0
	optComment = 1
	optApp     = 4 // of a section
	optFlags   = 2 // of a packet: 1 for one that came in, 2 for one that went out
	optResol   = 9 // of an interface: a second has 10^n units

	linkRaw   = 101 // IPv4 or IPv6, nothing below
	nameIPv4  = 1
	byteOrder = 0x1a2b3c4d
)

// What stands for the addresses of stanzas: they all go over the one connection of the
// component, which says nothing. So each JID has an address of its own (RFC 5737), at the
// port that makes Wireshark read XMPP.
const (
	xmppPort    = 5222
	gatewayPort = 45222
)

// Pcapng writes a call for Wireshark, which draws it under Telephony, SIP Flows: SIP in UDP
// packets between the addresses that it went between, whatever its transport was, and stanzas
// in TCP segments between the gateway and addresses that stand for JIDs. Comments say what
// is not so on the wire, and what happened to the media.
func Pcapng(r Recording) []byte {
	p := &pcap{peers: map[string]*stream{}}
	var section []byte
	section = binary.LittleEndian.AppendUint32(section, byteOrder)
	section = append(section, 1, 0, 0, 0) // version 1.0
	section = binary.LittleEndian.AppendUint64(section, ^uint64(0))
	section = option(section, optApp, []byte("sipxmppgw"))
	section = option(section, optComment, []byte("call "+r.Call))
	p.block(blockSection, option(section, optEnd, nil))

	var face []byte
	face = append(face, linkRaw, 0, 0, 0, 0, 0, 0, 0)
	face = option(face, optResol, []byte{9})
	p.block(blockInterface, option(face, optEnd, nil))

	p.us = usOf(r)
	p.names(r)
	pending := []string{}
	for _, g := range rungs(r) {
		if g.msg == nil {
			pending = append(pending, g.mark.say())
			continue
		}
		p.message(g.msg, pending)
		pending = nil
	}
	if len(pending) > 0 && len(r.Messages) > 0 { // what came after the last message
		p.comment(pending, r.Messages[len(r.Messages)-1].Time)
	}
	return p.out
}

// A pcap is a file that is being written.
type pcap struct {
	out   []byte
	us    netip.Addr
	peers map[string]*stream // by JID
}

// A stream is what stands for the connection to a JID.
type stream struct {
	addr     netip.Addr
	in, away uint32 // sequence numbers
}

// usOf is the gateway's address on the SIP side, so that both lanes meet at one node.
func usOf(r Recording) netip.Addr {
	for _, m := range r.Messages {
		if a, err := netip.ParseAddrPort(m.Local); err == nil && m.Lane == "sip" && a.Addr().Unmap().Is4() && !a.Addr().IsUnspecified() {
			return a.Addr().Unmap()
		}
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, 254})
}

// names gives the JIDs their addresses, and writes who they are.
func (p *pcap) names(r Recording) {
	var block []byte
	for _, m := range r.Messages {
		if m.Lane == "sip" || p.peers[m.Peer] != nil || len(p.peers) >= 250 {
			continue
		}
		a := [4]byte{192, 0, 2, byte(len(p.peers) + 1)}
		p.peers[m.Peer] = &stream{addr: netip.AddrFrom4(a), in: 1, away: 1}
		name := slices.Concat(a[:], []byte(hostName(m.Peer)), []byte{0})
		block = option(block, nameIPv4, name)
	}
	if block != nil {
		p.block(blockNames, append(option(block, optEnd, nil), 0, 0, 0, 0)) // no options
	}
}

// hostName is what a JID is called where host names stand.
func hostName(jid string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, Printable(jid))
}

func (p *pcap) message(m *Message, marks []string) {
	comments := slices.Clone(marks)
	for i := range comments {
		comments[i] = "before: " + comments[i]
	}
	var packet []byte
	if m.Lane == "sip" {
		from, errFrom := netip.ParseAddrPort(m.Local)
		to, errTo := netip.ParseAddrPort(m.Peer)
		if errFrom != nil || errTo != nil || from.Addr().Unmap().Is4() != to.Addr().Unmap().Is4() {
			from, to = netip.AddrPortFrom(p.us, 5060), netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 253}), 5060)
			comments = append(comments, "addresses are made up; peer "+m.Peer)
		}
		if t := cmp.Or(m.Transport, "UDP"); !strings.EqualFold(t, "UDP") {
			comments = append(comments, "sent over "+t)
		}
		if m.Sent {
			packet = udp(from, to, m.Raw)
		} else {
			packet = udp(to, from, m.Raw)
		}
	} else {
		s := p.peers[m.Peer]
		if s == nil {
			s = &stream{addr: netip.AddrFrom4([4]byte{192, 0, 2, 251}), in: 1, away: 1}
		}
		us, peer := netip.AddrPortFrom(p.us, gatewayPort), netip.AddrPortFrom(s.addr, xmppPort)
		comments = append(comments, "stanza of "+m.Peer+"; its addresses stand for the JID")
		n := uint32(len(m.Raw))
		if m.Sent {
			packet = tcp(us, peer, s.away, s.in, m.Raw)
			s.away += n
		} else {
			packet = tcp(peer, us, s.in, s.away, m.Raw)
			s.in += n
		}
	}
	flags := uint32(1)
	if m.Sent {
		flags = 2
	}
	p.packet(packet, m.Time, comments, flags)
}

// comment writes what there is no message for: an empty packet.
func (p *pcap) comment(marks []string, at time.Time) {
	a := netip.AddrPortFrom(p.us, 9) // discard
	p.packet(udp(a, a, ""), at, marks, 0)
}

func (p *pcap) packet(data []byte, at time.Time, comments []string, flags uint32) {
	ns := uint64(max(at.UnixNano(), 0))
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, 0) // the interface
	b = binary.LittleEndian.AppendUint32(b, uint32(ns>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(ns))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = pad(append(b, data...))
	for _, c := range comments {
		b = option(b, optComment, []byte(Printable(c)))
	}
	b = option(b, optFlags, binary.LittleEndian.AppendUint32(nil, flags))
	p.block(blockPacket, option(b, optEnd, nil))
}

// block writes one block: its length stands before and behind.
func (p *pcap) block(kind uint32, body []byte) {
	n := uint32(len(body) + 12)
	p.out = binary.LittleEndian.AppendUint32(p.out, kind)
	p.out = binary.LittleEndian.AppendUint32(p.out, n)
	p.out = append(p.out, body...)
	p.out = binary.LittleEndian.AppendUint32(p.out, n)
}

// option appends one option, or one record of a name block.
func option(b []byte, code uint16, value []byte) []byte {
	value = value[:min(len(value), 1<<15)]
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// udp makes an IP packet with a datagram.
func udp(from, to netip.AddrPort, payload string) []byte {
	var d []byte
	d = binary.BigEndian.AppendUint16(d, from.Port())
	d = binary.BigEndian.AppendUint16(d, to.Port())
	d = binary.BigEndian.AppendUint16(d, uint16(8+len(payload)))
	d = append(d, 0, 0)
	d = append(d, payload...)
	return packetOf(from.Addr(), to.Addr(), 17, d, 6)
}

// tcp makes an IP packet with one segment that carries all of the payload.
func tcp(from, to netip.AddrPort, seq, ack uint32, payload string) []byte {
	var d []byte
	d = binary.BigEndian.AppendUint16(d, from.Port())
	d = binary.BigEndian.AppendUint16(d, to.Port())
	d = binary.BigEndian.AppendUint32(d, seq)
	d = binary.BigEndian.AppendUint32(d, ack)
	d = append(d, 5<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0) // PSH, ACK, a full window
	d = append(d, payload...)
	return packetOf(from.Addr(), to.Addr(), 6, d, 16)
}

// packetOf puts a datagram or segment into an IP packet; its checksum is at an offset in it.
func packetOf(from, to netip.Addr, protocol byte, data []byte, checksum int) []byte {
	from, to = from.Unmap(), to.Unmap()
	pseudo := slices.Concat(from.AsSlice(), to.AsSlice(), binary.BigEndian.AppendUint32(nil, uint32(len(data))), []byte{0, 0, 0, protocol})
	sum := sumOf(append(pseudo, data...))
	if sum == 0 {
		sum = 0xffff // RFC 768
	}
	binary.BigEndian.PutUint16(data[checksum:], sum)
	var ip []byte
	if from.Is4() {
		ip = append(ip, 0x45, 0)
		ip = binary.BigEndian.AppendUint16(ip, uint16(20+len(data)))
		ip = append(ip, 0, 0, 0, 0, 64, protocol, 0, 0)
		ip = slices.Concat(ip, from.AsSlice(), to.AsSlice())
		binary.BigEndian.PutUint16(ip[10:], sumOf(ip))
		return append(ip, data...)
	}
	ip = append(ip, 0x60, 0, 0, 0)
	ip = binary.BigEndian.AppendUint16(ip, uint16(len(data)))
	ip = append(ip, protocol, 64)
	return slices.Concat(ip, from.AsSlice(), to.AsSlice(), data)
}

// sumOf is the checksum of the internet protocols (RFC 1071).
func sumOf(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
