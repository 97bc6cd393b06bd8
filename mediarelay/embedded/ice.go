package embedded

import (
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/transport/v5/stdnet"

	"sipxmppgw/gateway/media"
)

const (
	maxCandidates = 32  // of a peer that are used
	maxChecks     = 200 // of a pair, 200 ms apart; our own clock ends the search first
	consentEvery  = 5 * time.Second
	settling      = time.Second // for an agent that gathers, which takes it no time

	// What peers are given to nominate before a pair of less directness is taken.
	reflexWait = 100 * time.Millisecond
	relayWait  = 500 * time.Millisecond
)

// iceChars are what ufrags and passwords are made of (RFC 8839 section 5.4).
const iceChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// An iceSide is the ICE of a transport: pion's agent, which does the checks and the
// consent on our sockets, and what each side said of itself.
type iceSide struct {
	t          *transport
	checks     *mux // the sockets it checks from
	agent      *ice.Agent
	ufrag, pwd string
	generation uint8
	controls   bool     // we began the session, so we control (XEP-0176, C-52)
	first      *iceSide // of RTP, if this is the ICE of RTCP
	second     *iceSide // of RTCP, if that is not muxed

	started bool
	peer    media.ICE // credentials; candidates are in seen
	seen    map[netip.AddrPort]bool
	known   []media.Candidate // that the agent has
	waiting []media.Candidate // that came before the credentials
	chosen  string            // type of the peer's candidate in the pair
	moves   moves
	relayed netip.AddrPort // our address at a TURN server; not valid for none

	gathered chan struct{} // has one for each time that the agent has gathered
}

// A bareNet has no interfaces, so that no agent asks the system for them: our sockets are
// there.
type bareNet struct{ *stdnet.Net }

// quiet is a factory of loggers that say nothing: what pion logs is peers' noise.
func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

// startICE makes the ICE of a transport, for RTCP too if that is divided.
func (t *transport) startICE(divided bool) error {
	i, err := t.newICE(t.mux, nil)
	if err != nil {
		return err
	}
	t.ice = i
	t.detours()
	if divided {
		return t.divide()
	}
	return nil
}

// newICE makes the agent of a component: of RTP, or with the ICE of that of RTCP. It
// gathers at once: the sockets are there.
func (t *transport) newICE(checks *mux, first *iceSide) (*iceSide, error) {
	i := &iceSide{t: t, checks: checks, first: first, seen: map[netip.AddrPort]bool{}, gathered: make(chan struct{}, 1)}
	i.controls = t.b.ends[t.side].began
	i.renew()
	consent := t.relay.options.Times.Consent
	agent, err := ice.NewAgentWithOptions(
		ice.WithUDPMux(checks),
		ice.WithNet(bareNet{&stdnet.Net{}}),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithIncludeLoopback(),
		ice.WithLocalCredentials(i.ufrag, i.pwd),
		ice.WithMaxBindingRequests(maxChecks),
		ice.WithHostAcceptanceMinWait(0),
		ice.WithSrflxAcceptanceMinWait(reflexWait),
		ice.WithPrflxAcceptanceMinWait(reflexWait),
		ice.WithRelayAcceptanceMinWait(relayWait),
		ice.WithKeepaliveInterval(min(consentEvery, consent/6)),
		ice.WithDisconnectedTimeout(consent/3),
		ice.WithFailedTimeout(consent-consent/3),
		ice.WithRenomination(ice.DefaultNominationValueGenerator()),
		ice.WithBindingRequestHandler(i.moved),
		ice.WithLoggerFactory(quiet()),
	)
	if err != nil {
		return nil, err
	}
	i.agent = agent
	i.listen()
	if err := agent.GatherCandidates(); err != nil {
		agent.GracefulClose()
		return nil, err
	}
	return i, nil
}

// renew makes new credentials; both components have the same.
func (i *iceSide) renew() {
	if i.first != nil {
		i.ufrag, i.pwd = i.first.ufrag, i.first.pwd
	} else {
		i.ufrag, i.pwd = i.t.relay.word(8), i.t.relay.word(24)
	}
	i.checks.know(i.ufrag, i.pwd)
}

// component is 1 for RTP, and for RTCP with it, and 2 for RTCP alone.
func (i *iceSide) component() uint16 {
	if i.first != nil {
		return rtcpComponent
	}
	return rtpComponent
}

// close ends the agents.
func (i *iceSide) close() {
	i.agent.GracefulClose()
	if i.second != nil {
		i.second.close()
	}
}

// listen makes the agent tell the bridge what happens.
func (i *iceSide) listen() {
	i.agent.OnCandidate(func(c ice.Candidate) { // ours are known: one a socket
		if c == nil {
			i.gathered <- struct{}{}
		}
	})
	i.agent.OnSelectedCandidatePairChange(func(local, remote ice.Candidate) {
		addr, err := netip.ParseAddr(remote.Address())
		if err != nil {
			return
		}
		i.t.b.tellSelf(pairInput{
			t:         i.t,
			component: i.component(),
			local:     local.Address(),
			remote:    netip.AddrPortFrom(addr.Unmap(), uint16(remote.Port())),
			kind:      remote.Type().String(),
		})
	})
	i.agent.OnConnectionStateChange(func(s ice.ConnectionState) {
		if s == ice.ConnectionStateFailed && i.component() == rtpComponent {
			i.t.b.tellSelf(iceFailedInput{i.t})
		}
	})
}

// describe returns our credentials and candidates: all of them, for they are known at once,
// but for that of a TURN server.
func (i *iceSide) describe() *media.ICE {
	d := &media.ICE{Ufrag: i.ufrag, Pwd: i.pwd, Trickle: true, Complete: i.t.detour == nil || i.t.detoured}
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
			Priority:   126<<24 | uint32(65535-n)<<8 | uint32(256-i.component()), // RFC 8445 section 5.1.2
			Addr:       i.t.endpoint(s),
			Type:       "host",
			Generation: i.generation,
			ID:         i.ufrag + strconv.Itoa(i.t.moved+len(list)),
		})
	}
	return list
}

// hear takes what the peer says of its ICE, in an offer, an answer or between them. The
// credentials may come before or after the candidates. It reports whether the peer
// began a new ICE session, so that ours has new credentials too (RFC 8445 section 2.4).
func (i *iceSide) hear(peer *media.ICE) (restarted bool, err error) {
	if peer == nil {
		return false, nil
	}
	known := i.peer.Ufrag != ""
	switch {
	case peer.Ufrag == "" || peer.Ufrag == i.peer.Ufrag && (peer.Pwd == "" || peer.Pwd == i.peer.Pwd):
	case peer.Pwd == "":
		return false, nil // candidates of a session we do not know
	case known:
		restarted = true
		if err = i.restart(); err != nil {
			return false, err
		}
		fallthrough
	default:
		i.peer = media.ICE{Ufrag: peer.Ufrag, Pwd: peer.Pwd}
		i.checks.theirs.Store(&peer.Pwd)
		if err = i.begin(); err != nil {
			return restarted, err
		}
	}
	i.waiting = append(i.waiting, peer.Candidates[:min(len(peer.Candidates), 4*maxCandidates)]...)
	if i.peer.Ufrag == "" {
		i.waiting = i.waiting[:min(len(i.waiting), 4*maxCandidates)]
	} else {
		for _, c := range i.waiting {
			i.add(c)
		}
		i.waiting = nil
	}
	if i.second != nil {
		_, err = i.second.hear(peer)
	}
	return restarted, err
}

// begin starts the checks, or goes on with them after a restart.
func (i *iceSide) begin() error {
	if i.first == nil {
		i.t.deadline = time.Now().Add(i.t.relay.options.Times.Connect)
	}
	if i.started {
		return i.agent.SetRemoteCredentials(i.peer.Ufrag, i.peer.Pwd)
	}
	i.started = true
	if i.controls {
		_, err := i.agent.StartDial(i.peer.Ufrag, i.peer.Pwd)
		return err
	}
	_, err := i.agent.StartAccept(i.peer.Ufrag, i.peer.Pwd)
	return err
}

// restart gives us new credentials and forgets the peer's candidates. Media goes on over
// the old pair until there is a new one.
func (i *iceSide) restart() error {
	i.renew()
	i.generation++
	i.seen = map[netip.AddrPort]bool{}
	i.known, i.waiting = nil, nil
	i.settle()
	if err := i.agent.Restart(i.ufrag, i.pwd); err != nil {
		return err
	}
	return i.agent.GatherCandidates()
}

// settle waits until the agent has gathered, which it does beside us: the sockets are there, so
// it is a matter of its goroutine's turn. One that is overtaken by another, with the same
// credentials and other sockets, closes what the other has opened, which hears nothing ever after.
func (i *iceSide) settle() {
	late := time.NewTimer(settling)
	defer late.Stop()
	select {
	case <-i.gathered:
	case <-late.C: // it failed to begin
	}
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
	if !i.t.relay.mayCheck(addr) || i.seen[addr] || len(i.seen) >= maxCandidates {
		return
	}
	remote, err := candidate(c, addr)
	if err != nil {
		return
	}
	i.seen[addr] = true
	i.known = append(i.known, c)
	i.agent.AddRemoteCandidate(remote)
}

func candidate(c media.Candidate, addr netip.AddrPort) (ice.Candidate, error) {
	host, port := addr.Addr().String(), int(addr.Port())
	related, relatedPort := "", 0
	if c.Related.IsValid() {
		related, relatedPort = c.Related.Addr().String(), int(c.Related.Port())
	}
	switch c.Type {
	case "srflx":
		return ice.NewCandidateServerReflexive(&ice.CandidateServerReflexiveConfig{
			Network: "udp", Address: host, Port: port, Component: 1, Priority: c.Priority,
			Foundation: c.Foundation, RelAddr: related, RelPort: relatedPort,
		})
	case "relay":
		return ice.NewCandidateRelay(&ice.CandidateRelayConfig{
			Network: "udp", Address: host, Port: port, Component: 1, Priority: c.Priority,
			Foundation: c.Foundation, RelAddr: related, RelPort: relatedPort,
		})
	case "prflx":
		return ice.NewCandidatePeerReflexive(&ice.CandidatePeerReflexiveConfig{
			Network: "udp", Address: host, Port: port, Component: 1, Priority: c.Priority,
			Foundation: c.Foundation, RelAddr: related, RelPort: relatedPort,
		})
	default:
		return ice.NewCandidateHost(&ice.CandidateHostConfig{
			Network: "udp", Address: host, Port: port, Component: 1, Priority: c.Priority,
			Foundation: c.Foundation,
		})
	}
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
