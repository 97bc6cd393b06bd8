package embedded

import (
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/pion/logging"

	"sipxmppgw/gateway/media"
)

const maxCandidates = 32 // of a peer that are used

// iceChars are what ufrags and passwords are made of (RFC 8839 section 5.4).
const iceChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// An iceSide is the ICE of a component of a transport: the agent, on our sockets and our clock,
// and what each side said of itself.
type iceSide struct {
	t          *transport
	checks     *mux // the sockets it checks from
	agent      agent
	timer      *time.Timer // of the agent; nil before the first
	taken      *icePair    // that the transport has
	generation uint8
	first      *iceSide // of RTP, if this is the ICE of RTCP
	second     *iceSide // of RTCP, if that is not muxed
	closed     bool

	peer    media.ICE // credentials; candidates are in seen
	seen    []netip.AddrPort
	known   []media.Candidate // that the agent has
	waiting []media.Candidate // that came before the credentials
	chosen  string            // type of the peer's candidate in the pair
	relayed netip.AddrPort    // our address at a TURN server; not valid for none
}

// quiet is a factory of loggers that say nothing: what pion logs is peers' noise.
func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

// startICE makes the ICE of a transport, for RTCP too if that is divided.
func (t *transport) startICE(divided bool) error {
	t.ice = t.newICE(t.mux, nil)
	t.detours()
	if divided {
		return t.divide()
	}
	return nil
}

// newICE makes the ICE of a component: of RTP, or with that of RTP the one of RTCP.
func (t *transport) newICE(checks *mux, first *iceSide) *iceSide {
	i := &iceSide{t: t, checks: checks, first: first}
	i.agent = agent{ // who began the session controls (XEP-0176, C-52)
		component: i.component(), controls: t.b.ends[t.side].began, tie: binary.BigEndian.Uint64(t.relay.random(8)),
		consent: t.relay.options.Times.Consent, random: t.relay.random, send: checks.send,
	}
	i.renew()
	checks.serve(i)
	return i
}

// renew makes the agent begin anew with new credentials; both components have the same.
func (i *iceSide) renew() {
	own := credentials{i.t.relay.word(8), i.t.relay.word(24)}
	if i.first != nil {
		own = i.first.agent.own
	}
	i.checks.know(own)
	i.anew(own)
}

// anew makes the agent begin anew, with these credentials and the sockets there are.
func (i *iceSide) anew(own credentials) {
	i.agent.places = i.agent.places[:0]
	for _, s := range i.checks.sockets {
		i.agent.places = append(i.agent.places, s.local.Addr().Is6())
	}
	i.agent.reset(own)
	i.taken = nil
}

// component is 1 for RTP, and for RTCP with it, and 2 for RTCP alone.
func (i *iceSide) component() uint16 {
	if i.first != nil {
		return rtcpComponent
	}
	return rtpComponent
}

// close ends the checks.
func (i *iceSide) close() {
	i.closed = true
	if i.timer != nil {
		i.timer.Stop()
	}
	i.checks.serve(nil)
	if i.second != nil {
		i.second.close()
	}
}

// A checkInput is a STUN message of the peer.
type checkInput struct {
	i *iceSide
	s *socket
	datagram
}

// A turnInput says that the agent has something to do.
type turnInput struct{ i *iceSide }

// check gives a STUN message to the agent. It reports whether another pair is chosen.
func (i *iceSide) check(in checkInput) bool {
	i.checks.waiting.Add(-1)
	for place, s := range i.checks.sockets {
		if s != in.s || i.closed {
			continue
		}
		var speaks netip.AddrPort
		if a := i.t.astray.Load(); a != nil {
			speaks = *a
		}
		i.agent.hear(in.p, place, in.from, speaks, time.Now())
	}
	return i.turn()
}

// turn lets the agent do what is due. It reports whether another pair is chosen.
func (i *iceSide) turn() bool {
	if i.closed {
		return false
	}
	now := time.Now()
	next := i.agent.turn(now)
	switch {
	case next.IsZero():
	case i.timer == nil:
		i.timer = time.AfterFunc(next.Sub(now), func() { i.t.b.tellSelf(turnInput{i}) })
	default:
		i.timer.Reset(next.Sub(now))
	}
	if i.agent.lost && i.component() == rtpComponent {
		i.t.unconnected()
	}
	if p := i.agent.chosen; p != nil && p != i.taken {
		i.taken = p
		i.t.paired(i, p)
		return true
	}
	return false
}

// describe returns our credentials and candidates: all of them, for they are known at once,
// but for that of a TURN server.
func (i *iceSide) describe() *media.ICE {
	d := &media.ICE{Ufrag: i.agent.own.ufrag, Pwd: i.agent.own.pwd, Trickle: true, Complete: i.t.detour == nil || i.t.detoured}
	d.Candidates = i.relay(i.candidates(nil))
	if i.second != nil {
		d.Candidates = i.second.candidates(d.Candidates)
	}
	return d
}

// candidates adds those of the component, one a socket.
func (i *iceSide) candidates(list []media.Candidate) []media.Candidate {
	for n, s := range i.checks.sockets {
		list = append(list, media.Candidate{
			Foundation: strconv.Itoa(n + 1),
			Component:  i.component(),
			Protocol:   "udp",
			Priority:   i.agent.preference(hostPreference, n),
			Addr:       i.t.endpoint(s),
			Type:       "host",
			Generation: i.generation,
			ID:         i.agent.own.ufrag + strconv.Itoa(i.t.moved+len(list)),
		})
	}
	return list
}

// hear takes what the peer says of its ICE, in an offer, an answer or between them. The
// credentials may come before or after the candidates. It reports whether the peer
// began a new ICE session, so that ours has new credentials too (RFC 8445 section 2.4).
func (i *iceSide) hear(peer *media.ICE) (restarted bool) {
	if peer == nil {
		return false
	}
	switch {
	case peer.Ufrag == "" || peer.Ufrag == i.peer.Ufrag && (peer.Pwd == "" || peer.Pwd == i.peer.Pwd):
	case peer.Pwd == "":
		return false // candidates of a session we do not know
	default:
		if restarted = i.peer.Ufrag != ""; restarted {
			i.restart()
		}
		i.peer = media.ICE{Ufrag: peer.Ufrag, Pwd: peer.Pwd}
		i.begin()
	}
	i.waiting = append(i.waiting, peer.Candidates[:min(len(peer.Candidates), 4*maxCandidates)]...)
	if i.peer.Ufrag == "" {
		i.waiting = i.waiting[:min(len(i.waiting), 4*maxCandidates)]
	} else {
		for _, c := range i.waiting {
			i.add(c)
		}
		i.waiting = nil
		i.later()
	}
	if i.second != nil {
		i.second.hear(peer)
	}
	return restarted
}

// begin starts the checks.
func (i *iceSide) begin() {
	if i.first == nil {
		i.t.deadline = time.Now().Add(i.t.relay.options.Times.Connect)
	}
	i.checks.theirs.Store(&i.peer.Pwd)
	i.agent.begin(credentials{i.peer.Ufrag, i.peer.Pwd}, time.Now())
	i.later()
}

// later has the agent do what is due when what is being done is done.
func (i *iceSide) later() { i.t.b.tellSelf(turnInput{i}) }

// restart gives us new credentials and forgets the peer's candidates. Media goes on over
// the old pair until there is a new one.
func (i *iceSide) restart() {
	i.renew()
	i.generation++
	i.seen, i.known, i.waiting = nil, nil, nil
}

// add gives the agent a candidate of the peer, if it is one that may be checked.
func (i *iceSide) add(c media.Candidate) {
	addr := addressOf(c)
	if c.Protocol != "udp" || c.Component != i.component() {
		return
	}
	if i.first == nil && addr.Addr().IsValid() { // it may come from where we may not go
		i.t.detour.reach(addr.Addr())
	}
	if !i.t.relay.mayCheck(addr) || slices.Contains(i.seen, addr) || len(i.seen) >= maxCandidates {
		return
	}
	i.seen = append(i.seen, addr)
	i.known = append(i.known, c)
	i.agent.add(addr, c.Type, c.Priority)
}

// mayCheck reports whether checks may be sent to an address that a peer named
// (RELIABILITY 4 row 7).
func (r *Relay) mayCheck(a netip.AddrPort) bool {
	ip := a.Addr()
	if !ip.IsValid() || a.Port() == 0 || ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	return r.options.AllowLoopback || !ip.IsLoopback() && !ip.IsLinkLocalUnicast()
}

// word returns n random characters for credentials and names.
func (r *Relay) word(n int) string {
	b := r.random(n)
	for i := range b {
		b[i] = iceChars[b[i]%byte(len(iceChars))]
	}
	return string(b)
}
