package stack

import "sync/atomic"

// Stats are counts since the start, but those that say "now".
type Stats struct {
	Received    uint64            // messages taken from sockets
	Strangers   uint64            // dropped: not from a peer of ours
	Throttled   uint64            // dropped, or of a stream delayed: source too fast
	Dropped     uint64            // dropped by the gate
	Rejected    uint64            // answered by the gate
	Unparsed    uint64            // passed the gate but not sipgo's parser
	Shed        uint64            // refused or dropped: queue full, or too many transactions
	Orphans     uint64            // responses without a transaction, but 2xx of INVITEs
	Merged      uint64            // answered 482
	Panics      uint64            // in callbacks; each cost one message
	Sent        uint64            // messages given to sockets
	Refused     uint64            // not sent: found unfit by the gate
	Undelivered uint64            // datagrams of which ICMP said that they did not arrive
	Failovers   uint64            // requests sent to another target after one had failed
	ConnsOver   uint64            // connections refused: too many
	ConnsSlow   uint64            // connections closed: message not whole in time, or idle
	Handshakes  uint64            // of TLS and WebSocket that failed
	Pings       uint64            // STUN requests sent to keep a way open
	Pongs       uint64            // and answered
	ConnsBy     map[Transport]int // connections now, by transport
	Conns       int               // connections now, of all
	ServerTxs   int               // server transactions now
	ClientTxs   int               // client transactions now
}

// counters are what Stats is made of.
type counters struct {
	received, strangers, throttled, dropped, rejected, unparsed, shed, orphans, merged,
	panics, sent, refused, undelivered, failovers, connsOver, connsSlow, handshakes, pings, pongs atomic.Uint64
}

// Stats returns the counts.
func (s *Stack) Stats() Stats {
	c := &s.count
	st := Stats{
		Received:    c.received.Load(),
		Strangers:   c.strangers.Load(),
		Throttled:   c.throttled.Load(),
		Dropped:     c.dropped.Load(),
		Rejected:    c.rejected.Load(),
		Unparsed:    c.unparsed.Load(),
		Shed:        c.shed.Load(),
		Orphans:     c.orphans.Load(),
		Merged:      c.merged.Load(),
		Panics:      c.panics.Load(),
		Sent:        c.sent.Load(),
		Refused:     c.refused.Load(),
		Undelivered: c.undelivered.Load(),
		Failovers:   c.failovers.Load(),
		ConnsOver:   c.connsOver.Load(),
		ConnsSlow:   c.connsSlow.Load(),
		Handshakes:  c.handshakes.Load(),
		Pings:       c.pings.Load(),
		Pongs:       c.pongs.Load(),
	}
	s.mu.Lock()
	st.ServerTxs, st.ClientTxs = len(s.servers), len(s.clients)
	s.mu.Unlock()
	st.ConnsBy = s.conns.now()
	for _, n := range st.ConnsBy {
		st.Conns += n
	}
	return st
}
