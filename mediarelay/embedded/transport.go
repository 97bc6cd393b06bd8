package embedded

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// closeGrace is how long signalling has to end the call after the peer closed DTLS.
const closeGrace = 3 * time.Second

// A transport is one path between an end and its peer: a port or a pair of ports, and
// what runs on them. Its plain fields belong to the bridge's goroutine; the readers of
// its sockets touch the atomic ones, the mux, and drops.
type transport struct {
	relay *Relay
	b     *Bridge
	side  call.Side

	on          []*network
	told        []netip.Addr // that the peer is told in place of ours, of each family; none for ours
	ports       bound
	sockets     []*socket // RTP, one for each address
	control     []*socket // RTCP of a pair, or of a component of its own
	second      bound     // ports of that component; nil for none
	mine        *sync.Mutex
	mux         *mux
	assoc       atomic.Pointer[association]
	reportAssoc atomic.Pointer[association] // of RTCP that is not muxed; nil for none
	drops       drops
	astray      atomic.Pointer[netip.AddrPort] // where the peer speaks from, if that is not remote

	crowding  atomic.Bool // control is being told that the peer sends from another's address
	crowdedAt time.Time   // since when; zero for never
	moved     int         // candidates of ours that are none any more

	via      *socket        // that we send from
	remote   netip.AddrPort // that we send to; not valid until known
	report   netip.AddrPort // that RTCP goes to
	muxed    bool           // RTCP goes with RTP
	gates    [2]*gate       // of RTP and RTCP, without ICE
	heard    netip.AddrPort // that RTP came from last, without ICE
	forks    bool           // the peer may be several phones that ring (INTERWORKING 2.9)
	opened   uint32         // round of the gate that the sockets know; 0 for none
	reporter *socket        // that RTCP is sent from, if it has ICE of its own

	ice        *iceSide
	undecided  bool                // RTCP has ICE of its own in case the peer does not mux
	detour     *detour             // by a TURN server; nil for none
	detoured   bool                // what became of that is known
	secure     bool                // SRTP: by DTLS, whatever happens, or by keyed
	keyed      *keying             // keys in signalling; nil for none
	setup      media.Setup         // what we tell the peer
	role       media.Setup         // what we do: Active, Passive, or SetupNone to see
	expect     []media.Fingerprint // of the peer
	keys       *keys
	reportKeys *keys // of RTCP, if that has an association of its own
	connected  bool
	failed     bool
	lost       bool      // it carries nothing but pictures, and they are over
	known      bool      // the routes know that
	deadline   time.Time // for ICE to find a pair; zero when it has, or does not look
	closedAt   time.Time // when the peer closed DTLS
	checkedAt  int64     // since when silence is measured, on the relay's clock
	early      bool      // the peer may still ring
}

// open binds the ports of a transport and reads them.
func (b *Bridge) open(side call.Side, p media.Policy) (*transport, error) {
	t := &transport{relay: b.relay, b: b, side: side, on: b.relay.networksOf(p), told: p.External}
	var err error
	if t.ports, err = b.ports(t.on, p); err != nil {
		return nil, err
	}
	rtp := t.ports.rtp()
	if len(rtp) > 1 {
		t.mine = b.worker.lock()
	}
	for _, w := range rtp {
		t.sockets = append(t.sockets, &socket{t: t, wire: w, local: w.local(), digits: &letters[waiting]{}, missed: &letters[[]rtcp.NackPair]{}})
	}
	for _, w := range t.ports.rtcp() {
		t.control = append(t.control, &socket{t: t, wire: w, local: w.local(), rtcp: true})
	}
	t.via = t.sockets[0]
	for _, s := range append(t.sockets[:len(t.sockets):len(t.sockets)], t.control...) {
		s.lead = t.sockets[0]
	}
	t.mux = newMux(t.sockets)
	for _, s := range append(t.sockets[:len(t.sockets):len(t.sockets)], t.control...) {
		s.wire.start(s) // until close
	}
	if p.IPv6 && !p.ICE {
		t.lean()
	}
	return t, nil
}

// ports binds what a transport needs: a pair or, for ICE, which tells many from each
// other, a share of a port. Another bridge of ours may share the same, and nobody can tell packets
// from a port to itself, so toward that it is a port of its own.
func (b *Bridge) ports(on []*network, p media.Policy) (bound, error) {
	if p.ICE && !p.Inner && !b.relay.options.OwnPorts {
		if h, err := b.relay.hubOf(b.worker); err == nil {
			return h.share(on), nil
		}
	}
	return b.relay.bind(b.worker, on, !p.ICE)
}

// lean has the peer told an address of IPv6, before it has said where it is.
func (t *transport) lean() {
	for _, s := range t.sockets {
		if s.local.Addr().Is6() {
			t.via = s
			return
		}
	}
}

// close ends everything that runs on the transport and gives its ports back. Nothing reads
// it any more when it returns.
func (t *transport) close() {
	t.detour.close()
	if t.ice != nil {
		t.ice.close()
	}
	for a := range t.associations() {
		a.close()
	}
	t.ports.close()
	t.ports.give()
	t.second.close()
	t.second.give()
}

// stun takes a STUN message that came in.
func (t *transport) stun(s *socket, p []byte, from netip.AddrPort) {
	if m := s.muxed(); m != nil {
		m.deliver(s, p, from)
	}
}

// muxed returns where the checks of a socket go; nil for nowhere.
func (s *socket) muxed() *mux {
	if s.checks == nil && !s.rtcp {
		return s.t.mux
	}
	return s.checks
}

// hello takes a DTLS record that came in.
func (t *transport) hello(s *socket, p []byte, from netip.AddrPort) {
	a := t.assoc.Load()
	if s.rtcp {
		a = t.reportAssoc.Load()
	}
	if a != nil {
		a.deliver(p, from)
	}
}

// latched tells control that a socket has found its peer's address.
func (t *transport) latched(s *socket, round uint32, from netip.AddrPort) {
	t.b.tellSelf(latchInput{t, s.rtcp, round, from})
}

// ready reports whether media can flow to the peer.
func (t *transport) ready() bool {
	return t.remote.IsValid() && (!t.secure || t.keys != nil) && !t.lost
}

// addressed sets where the peer of a transport without ICE says it is, and opens the
// lock-in anew if that changed.
func (t *transport) addressed(rtp, rtcp netip.AddrPort, muxed, behind bool) {
	if muxed {
		rtcp = rtp
	}
	if rtp.IsValid() && rtp.Addr().IsUnspecified() { // on hold, the old way
		t.remote, t.report = netip.AddrPort{}, netip.AddrPort{}
		return
	}
	if g := t.gates[0]; g != nil && t.remote.IsValid() && g.signalled == rtp && t.gates[1].signalled == rtcp && t.muxed == muxed {
		return
	}
	round := uint32(1)
	if t.gates[0] != nil {
		round = t.gates[0].round + 1
	}
	t.gates[0] = &gate{round: round, signalled: rtp, behind: behind}
	if t.forks {
		t.gates[0].before = t.heard
	}
	t.gates[1] = &gate{round: round, signalled: rtcp}
	t.remote, t.report, t.muxed = rtp, rtcp, muxed
	if !rtp.IsValid() {
		return
	}
	if i := slices.IndexFunc(t.sockets, func(s *socket) bool { return s.local.Addr().Is4() == rtp.Addr().Is4() }); i >= 0 {
		t.via = t.sockets[i]
		t.via.owns(rtp)
	}
}

// welcome opens the sockets to everybody when the lock-in begins anew, or ends.
func (t *transport) welcome(g *gate) {
	round := uint32(0)
	if g != nil {
		round = g.round
	}
	was := t.opened
	if t.opened = round; was == round || was == 0 {
		return // nobody was locked in
	}
	for _, s := range t.sockets {
		s.wire.welcome()
	}
}

// gateOf returns who may come in on a transport without ICE: nobody before the peer has
// said where it is.
func (t *transport) gateOf(component int) *gate {
	if t.gates[component] == nil {
		return &gate{}
	}
	return t.gates[component]
}

// paired takes the pair that ICE has chosen.
func (t *transport) paired(i *iceSide, p *icePair) {
	if i.first != nil {
		t.reportsTo(p)
		return
	}
	if !t.sockets[p.place].owns(p.remote) {
		t.b.part(t)
		return
	}
	t.remote, t.muxed = p.remote, !t.divided()
	if t.muxed {
		t.report = p.remote
	}
	i.chosen = p.kind
	t.deadline = time.Time{}
	t.via = t.sockets[p.place]
	if a := t.assoc.Load(); a != nil {
		a.follow(t.via, t.remote)
	}
	t.proceed()
}

// expectFrom takes the peer's fingerprints and settles who begins the handshake
// (INTERWORKING 3.7). An association goes on while the fingerprints stay the same.
func (t *transport) expectFrom(d *media.DTLS, offered bool) {
	fresh := d.Trusted()
	if slices.Equal(fresh, t.expect) {
		return
	}
	t.expectAnew(fresh)
	switch {
	case !offered && d.Setup == media.Active:
		t.role = media.Passive
	case !offered:
		t.role = media.Active
	case d.Setup == media.Active:
		t.role = media.Passive
	case d.Setup == media.Passive:
		t.role = media.Active
	default:
		t.role = media.SetupNone
	}
	t.setup = t.role
	if t.setup == media.SetupNone {
		t.setup = media.Passive
	}
}

// expectAnew takes other fingerprints; a handshake with the old ones is void.
func (t *transport) expectAnew(fresh []media.Fingerprint) {
	if slices.Equal(fresh, t.expect) {
		return
	}
	t.expect = fresh
	old := slices.Collect(t.associations())
	if !slices.ContainsFunc(old, func(a *association) bool { return a.begun }) {
		return
	}
	t.keys, t.reportKeys = nil, nil
	t.expectPeer()
	for _, a := range old {
		a.close()
	}
}

// proceed begins the handshake as soon as it is known with whom, and where.
func (t *transport) proceed() {
	if len(t.expect) == 0 {
		return
	}
	if a := t.assoc.Load(); a != nil && !a.begun && t.remote.IsValid() {
		a.follow(t.via, t.remote)
		a.start(t.role, t.expect)
	}
	if a := t.reportAssoc.Load(); a != nil && !a.begun && t.report.IsValid() && !t.muxed {
		a.follow(t.reportSocket(), t.report)
		a.start(t.role, t.expect)
	}
}

// secured takes the keys of a finished handshake.
func (t *transport) secured(in securedInput) {
	a := in.assoc
	switch a {
	case t.assoc.Load():
		t.keys = in.keys
	case t.reportAssoc.Load():
		t.reportKeys = in.keys
	default:
		return
	}
	a.conn, a.records, a.since = in.conn, in.from, t.relay.now()
	if in.first { // nothing of ours will be asked for again (RFC 6347 section 4.2.4)
		a.rest()
	}
}

// unsecured takes a handshake that failed: no media passes, and the call shall end. Without
// RTCP it goes on.
func (t *transport) unsecured(in unsecuredInput) {
	switch {
	case t.reportAssoc.Load() == in.assoc:
		t.relay.options.Log.Info("rtcp has no protection, and is not sent", "call", t.b.id, "leg", t.side, "reason", in.err)
	case t.assoc.Load() != in.assoc:
	case errors.Is(in.err, context.DeadlineExceeded):
		t.fail(call.Unreachable, "the peer did not answer the DTLS handshake")
	case farewell(in.err):
		// Who hangs up at once says so on both ways, and DTLS is often the faster one.
		t.closedAt = time.Now()
	default:
		t.fail(call.Insecure, "dtls: "+in.err.Error())
	}
}

// unconnected takes ICE's failure: of the search for a pair, or of consent.
func (t *transport) unconnected() {
	if t.deadline.IsZero() {
		t.fail(call.MediaLost, "the peer does not answer checks any more")
		return
	}
	t.fail(call.Unreachable, "no way to the other side was found")
}

// watch looks at what ends by time.
func (t *transport) watch(now time.Time) {
	for a := range t.associations() {
		if a.conn != nil && t.heardSince(a) {
			a.rest()
		}
	}
	if !t.deadline.IsZero() && now.After(t.deadline) {
		t.fail(call.Unreachable, "no way to the other side was found in time")
	}
	if !t.closedAt.IsZero() && now.Sub(t.closedAt) > closeGrace {
		t.fail(call.MediaLost, "the peer closed dtls")
	}
}

// settled reports whether nothing that watch looks at is to be waited for.
func (t *transport) settled() bool {
	for a := range t.associations() {
		if a.conn != nil {
			return false
		}
	}
	return t.deadline.IsZero() && t.closedAt.IsZero()
}

// way returns the wire that media is sent from: that of all who share it, if it is shared.
func (t *transport) way() wire {
	if h, ok := t.via.wire.(*share); ok {
		return h.line.wire
	}
	return t.via.wire
}

// fail tells, once, that the media of the end is lost; but what becomes of pictures on a
// transport of their own is no reason to end a call.
func (t *transport) fail(cause call.Cause, text string) {
	if t.failed {
		return
	}
	t.failed = true
	t.relay.options.Log.Info("media failed", "call", t.b.id, "leg", t.side, "cause", cause, "reason", text)
	if t != t.b.ends[t.side].lanes[media.Audio].t {
		t.lost = true
		return
	}
	d := call.Detail{Text: text}
	switch {
	case cause == call.Unreachable:
		d.Q850 = 47 // resource unavailable (INTERWORKING 2.4 row 25)
	}
	t.b.tell(call.MediaFailed{Side: t.side, Cause: cause, Detail: d})
}

// relocated follows the peer to the address it really sends from.
func (t *transport) relocated(in latchInput) bool {
	if t.gates[0] == nil || t.gates[0].round != in.round {
		return false
	}
	if in.rtcp {
		t.report = in.from
		return true
	}
	t.heard = in.from
	if t.remote == in.from {
		return false
	}
	moved := t.remote.Addr() != in.from.Addr()
	t.remote = in.from
	switch {
	case t.muxed:
		t.report = in.from
	case moved:
		t.report = netip.AddrPortFrom(in.from.Addr(), in.from.Port()+1)
		g := *t.gates[1]
		g.signalled = t.report
		t.gates[1] = &g
	}
	return true
}

// endpoint returns what the peer is told of the transport.
func (t *transport) endpoint(s *socket) netip.AddrPort {
	return netip.AddrPortFrom(t.relay.external(s.local.Addr(), t.told), s.local.Port())
}

// describe fills in our side of a transport.
func (t *transport) describe(profile media.Profile, muxed bool) media.Transport {
	d := media.Transport{Profile: profile, Addr: t.endpoint(t.via), RTCPMux: muxed}
	if t.ice != nil {
		d.ICE = t.ice.describe()
	}
	if t.divided() { // what is told must be a candidate (RFC 8839), and the next port is none (RFC 3605)
		if at := t.endpoint(t.reportSocket()); at != netip.AddrPortFrom(d.Addr.Addr(), d.Addr.Port()+1) {
			d.RTCP = at
		}
	}
	switch {
	case t.keyed.inUse():
		d.SDES = []media.SDES{t.keyed.mine}
	case t.secure:
		d.DTLS = &media.DTLS{Fingerprints: []media.Fingerprint{t.relay.identity.fingerprint}, Setup: t.setup}
	}
	return d
}

// ends returns the transport's addresses for the log.
func (t *transport) ends() (local, remote string) {
	kind := ""
	if t.ice != nil {
		kind = "host "
	}
	local = kind + t.endpoint(t.via).String()
	if t.remote.IsValid() {
		if t.ice != nil {
			kind = t.ice.chosen + " "
		}
		remote = kind + t.remote.String()
	}
	return local, remote
}
