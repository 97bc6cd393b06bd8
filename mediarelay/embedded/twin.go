package embedded

import (
	"errors"
	"net/netip"
	"slices"

	"sipxmppgw/gateway/media"
)

// COMPAT(Dino 0.4): who knows no groups answers a bundle with a transport for each content, though
// the same credentials were offered for all. Its checks tell them apart, for they name both sides
// (RFC 8445 section 7.2.2): a twin of a transport has the same credentials at the same port, and
// takes the checks that name the other ufrag of the peer.

// twinned reports what keeps pictures that were offered in a bundle, and are answered
// outside, from a transport of their own; it is empty for nothing.
func (e *end) twinned(s media.Stream) (hindrance string) {
	audio := e.lanes[media.Audio].t
	switch {
	case audio.ice == nil || !audio.shared() || !e.speaksICE(s.Transport):
		return "the client does not bundle them, and was offered no transport of their own"
	case audio.keyed != nil:
		return "keys in signalling were offered for the bundle alone"
	case !s.Transport.RTCPMux:
		return "RTCP on a component of its own was not offered"
	case audio.secure && len(s.Transport.DTLS.Trusted()) == 0:
		return "no fingerprint in answer to ours"
	}
	return ""
}

// twin gives a lane a twin of the transport that it has, for a transport of the peer.
func (e *end) twin(l *lane, peer media.ICE) error {
	was := l.t
	t, err := e.b.open(e.side, e.policy)
	if err != nil {
		return err
	}
	if !t.shared() {
		t.close()
		return errors.New("no port is shared")
	}
	t.muxed = true
	t.ice = t.newICE(t.mux, nil)
	t.ice.twin(was.ice, peer.Ufrag)
	t.detours()
	if was.secure {
		t.secure = true
		t.expectPeer()
	}
	e.transports = append(e.transports, t)
	l.t = t
	return nil
}

// twin takes the credentials of another's, and the checks for them that name this ufrag of the
// peer. Those that have come already will come again.
func (i *iceSide) twin(of *iceSide, ufrag string) {
	own := of.agent.own
	name := own.ufrag + ":" + ufrag
	i.anew(own)
	i.checks.know(credentials{}) // its own are nobody's
	i.checks.name(own, name)
	for n, s := range i.checks.sockets {
		if h, ok := s.wire.(*share); ok {
			h.divide(of.checks.sockets[n], of.agent.known, name, own.pwd)
		}
	}
}

// known reports whether there is a pair with an address of the peer.
func (a *agent) known(remote netip.AddrPort) bool {
	return slices.ContainsFunc(a.pairs, func(p *icePair) bool { return p.remote == remote })
}

// divide takes checks with a user name that have been another socket's, which from now on owns
// no addresses but those it knows: whose the others are is told by the next check.
func (h *share) divide(other *socket, knows func(netip.AddrPort) bool, name, pwd string) {
	l := h.line
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[name] = secret{h.s, pwd}
	other.claims -= l.drop(func(c claim) bool { return c.s == other && !knows(c.from) })
}
