package embedded

import "net/netip"

const (
	steady   = 5 // packets that a new address must send before it is believed
	suspects = 4 // addresses that are watched at a time
	patience = 64
)

// A gate says whose packets may come in on a transport without ICE. It is made anew with
// each negotiation.
type gate struct {
	round     uint32         // of negotiation; a new one opens the lock again
	signalled netip.AddrPort // the zero value lets nobody in
	behind    bool           // the peer may be behind a NAT
	before    netip.AddrPort // another early dialog of the peer, which is heard until this one speaks
}

// A latch locks a transport on the address its peer really sends from: the signalled IP,
// or, when the peer said a private one and may be behind a NAT, one that sends steadily
// in the first moments (RELIABILITY 4 row 1). It locks once a negotiation. It belongs to
// the goroutine that reads.
type latch struct {
	locked netip.AddrPort
	under  *gate // which locked has come through; nil for none
	round  uint32
	looked int16
	turn   int16
	watch  *[suspects]suspect // nil for none yet
}

// A suspect is an address that might be the peer's.
type suspect struct {
	from netip.AddrPort
	ssrc uint32
	pt   uint8
	seq  uint16
	seen int
}

// holds reports whether packets from that address are known to come in at a gate.
func (l *latch) holds(g *gate, from netip.AddrPort) bool { return l.under == g && l.locked == from }

// admit reports whether a packet from that address may come in, and whether this packet
// locked the latch.
func (l *latch) admit(g *gate, from netip.AddrPort, pt uint8, ssrc uint32, seq uint16) (ok, locks bool) {
	if l.round != g.round {
		*l = latch{round: g.round}
	}
	if l.locked.IsValid() {
		if from != l.locked {
			return false, false
		}
		l.under = g
		return true, false
	}
	if !g.signalled.IsValid() {
		return false, false
	}
	if from == g.before && from != g.signalled {
		return true, false
	}
	if from.Addr() == g.signalled.Addr() {
		l.locked, l.under = from, g
		return true, true
	}
	if !g.behind || !hidden(g.signalled.Addr()) || l.looked >= patience {
		return false, false
	}
	l.looked++
	if !l.steadies(from, pt, ssrc, seq) {
		return false, false
	}
	l.locked, l.under = from, g
	return true, true
}

func (l *latch) steadies(from netip.AddrPort, pt uint8, ssrc uint32, seq uint16) bool {
	if l.watch == nil {
		l.watch = new([suspects]suspect)
	}
	for i := range l.watch {
		s := &l.watch[i]
		if s.from != from {
			continue
		}
		if s.ssrc != ssrc || s.pt != pt || seq-s.seq > maxMisorder {
			*s = suspect{from: from, ssrc: ssrc, pt: pt}
		}
		s.seq = seq
		s.seen++
		return s.seen >= steady
	}
	l.watch[l.turn] = suspect{from: from, ssrc: ssrc, pt: pt, seq: seq, seen: 1}
	l.turn = (l.turn + 1) % suspects
	return false
}

// hidden reports whether an address cannot be a peer's public one.
func hidden(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() ||
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a)
}
