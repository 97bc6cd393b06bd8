package embedded

import "net/netip"

// Two components: a peer that does not mux RTCP with RTP (RFC 5761) has ICE for each of
// them (RFC 8445 section 4). The credentials are the same; addresses, checks and the pair
// that is chosen are each component's own, so each has an agent. RTCP that finds no way is
// no reason to end a call.

const (
	rtpComponent  = 1
	rtcpComponent = 2
)

// divided reports whether RTCP has ICE of its own.
func (t *transport) divided() bool { return t.ice != nil && t.ice.second != nil }

// mayMux reports whether RTCP may go with RTP, for all that is known of the peer.
func (t *transport) mayMux() bool { return !t.divided() || t.undecided }

// divide makes the ICE of RTCP, on a port of its own.
func (t *transport) divide() error {
	ports, err := t.relay.bind(t.b.worker, t.on, false)
	if err != nil {
		return err
	}
	t.second = ports
	for _, w := range ports.rtp() {
		t.control = append(t.control, &socket{t: t, wire: w, lead: t.sockets[0], local: w.local(), rtcp: true})
	}
	checks := newMux(t.control)
	for _, s := range t.control {
		s.checks = checks
	}
	t.expectReports()
	for _, s := range t.control {
		s.wire.start(s) // until close
	}
	t.ice.second = t.newICE(checks, t.ice)
	return nil
}

// decide takes it from the peer whether it muxes, if both were offered.
func (t *transport) decide(muxed bool) {
	if !t.undecided {
		return
	}
	t.undecided = false
	if !muxed {
		return
	}
	t.ice.second.close()
	t.ice.second = nil
	if a := t.reportAssoc.Swap(nil); a != nil {
		a.close()
	}
	t.second.close()
	t.second.give()
	t.second, t.control, t.reporter = nil, nil, nil
}

// reportsTo takes the pair that ICE has chosen for RTCP.
func (t *transport) reportsTo(p *icePair) {
	t.report, t.reporter = p.remote, t.control[p.place]
	if a := t.reportAssoc.Load(); a != nil {
		a.follow(t.reporter, t.report)
	}
	t.proceed()
}

// reportSocket returns the socket that our RTCP is sent from.
func (t *transport) reportSocket() *socket {
	switch {
	case t.muxed || len(t.control) == 0:
		return t.via
	case t.divided() && t.reporter != nil:
		return t.reporter
	}
	for _, s := range t.control { // of ICE there may be fewer: ports run out
		if s.local.Addr() == t.via.local.Addr() {
			return s
		}
	}
	return t.control[0]
}

// controlRoute is the route of the sockets of RTCP, beside that of RTP.
func (t *transport) controlRoute(r *route) *route {
	c := &route{secure: t.secure, mine: t.mine, lanes: r.lanes}
	if t.divided() {
		c.peer = t.report
	} else {
		c.gate = t.gateOf(1)
	}
	switch k := t.keysOfReports(); {
	case k == nil:
	case k == t.keys:
		c.reports = k.apart()
	default:
		c.reports = k.reports
	}
	return c
}

// keysOfReports returns what protects RTCP that goes to report: what protects the media, unless
// it has an association of its own. It is nil before there are keys.
func (t *transport) keysOfReports() *keys {
	if t.muxed || t.keyed.inUse() || t.reportAssoc.Load() == nil {
		return t.keys
	}
	return t.reportKeys
}

// known reports whether an address has checked in at the socket with our ufrag.
func (s *socket) known(from netip.AddrPort) bool {
	if s.checks != nil {
		return s.checks.knows(from)
	}
	return !s.rtcp && s.t.mux.knows(from)
}
