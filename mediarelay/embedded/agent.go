package embedded

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

const (
	checkSpacing = 10 * time.Millisecond  // between checks of one agent: 100 a second
	checkEvery   = 200 * time.Millisecond // of a pair, or more if there are many
	maxChecks    = 200                    // of a pair; our own clock ends the search first
	maxNominees  = 10                     // nominations of a pair that are not answered
	answerTime   = 4 * time.Second        // for an answer
	consentEvery = 5 * time.Second        // about (RFC 7675 section 5.1)
	consentLeast = 3                      // checks that must be without an answer for consent to be lost
	maxHeld      = 16                     // checks of a peer whose credentials are not known yet

	hostPreference   = 126 // of the type of a candidate (RFC 8445 section 5.1.2.2)
	reflexPreference = 110

	// What peers are given to nominate before a pair of less directness is taken.
	reflexWait = 100 * time.Millisecond
	relayWait  = 500 * time.Millisecond
)

// Credentials are what checks of one side are known by (RFC 8445 section 5.3).
type credentials struct{ ufrag, pwd string }

// An agent is the full ICE of one component (RFC 8445): it looks for a pair, and keeps the
// consent of who is there (RFC 7675). It has neither sockets nor a clock: it is told what came
// and what time it is, and what it sends goes to send. Each socket, its place, and
// candidate of the peer of its family are a pair.
type agent struct {
	component uint16
	own, peer credentials
	controls  bool
	tie       uint64 // against a peer that wants our role
	places    []bool // whether the socket is of IPv6
	consent   time.Duration
	random    func(n int) []byte
	send      func(place int, p []byte, to netip.AddrPort)

	started bool
	begun   time.Time
	pairs   []*icePair
	chosen  *icePair // nil for none yet
	nominee *icePair // that we nominate; nil for none
	asked   []question
	held    []heldCheck
	pace    time.Time // no check before

	answered   time.Time // when the peer answered on the chosen pair last
	unanswered int       // checks of it since
	keep       time.Time // when it is checked next
	lost       bool      // consent is; nothing is said any more

	said  uint32 // the last nomination of ours that took another's place
	heard uint32 // the same of the peer's
	moves moves
}

// An icePair is a candidate of the peer, and a socket of ours of its family.
type icePair struct {
	place    int
	remote   netip.AddrPort
	kind     string // of the candidate: host, srflx, prflx or relay
	priority uint64 // of the pair, whose parts follow
	ours     uint32
	theirs   uint32

	valid  bool // a check was answered
	failed bool
	prompt bool // the peer has checked it, so that we do now (RFC 8445 section 7.3.1.4)
	wanted want // what the peer wants of it when it is valid
	tries  int
	due    time.Time
	strays int // checks of the peer since it checked the chosen pair last
}

// A want is what a peer that controls wants of a pair.
type want uint8

const (
	nothing   want = iota
	nominated      // that it is used, unless a better one is
	renamed        // that it takes the place of any other
)

// A question is a check of ours that has no answer yet.
type question struct {
	id        transaction
	p         *icePair
	at        time.Time
	controls  bool
	nominates want
}

// A heldCheck is a check of a peer whose credentials are not known yet.
type heldCheck struct {
	message []byte
	place   int
	from    netip.AddrPort
}

// reset forgets all but the role, for checks with other credentials or from other sockets.
func (a *agent) reset(own credentials) {
	a.own, a.peer = own, credentials{}
	a.started, a.lost = false, false
	a.pairs, a.chosen, a.nominee, a.asked, a.held = nil, nil, nil, nil, nil
	a.said, a.heard, a.moves = 0, 0, moves{}
}

// begin starts the checks.
func (a *agent) begin(peer credentials, now time.Time) {
	a.peer, a.started, a.begun = peer, true, now
	held := a.held
	a.held = nil
	for _, h := range held {
		a.hear(h.message, h.place, h.from, netip.AddrPort{}, now)
	}
}

// add takes a candidate of the peer. What the peer has been seen at keeps what is known of it.
func (a *agent) add(remote netip.AddrPort, kind string, priority uint32) {
	for place, six := range a.places {
		if six != remote.Addr().Is6() {
			continue
		}
		p := a.pairOf(place, remote)
		if p == nil {
			p = &icePair{place: place, remote: remote, ours: a.preference(hostPreference, place)}
			a.pairs = append(a.pairs, p)
		}
		p.kind, p.theirs = kind, priority
		p.rank(a.controls)
	}
}

func (a *agent) pairOf(place int, remote netip.AddrPort) *icePair {
	for _, p := range a.pairs {
		if p.place == place && p.remote == remote {
			return p
		}
	}
	return nil
}

// preference returns the priority of a candidate of ours (RFC 8445 section 5.1.2).
func (a *agent) preference(kind uint32, place int) uint32 {
	return kind<<24 | uint32(65535-place)<<8 | uint32(256-a.component)
}

// rank sets the priority of a pair (RFC 8445 section 6.1.2.3).
func (p *icePair) rank(controls bool) {
	g, d := uint64(p.ours), uint64(p.theirs)
	if !controls {
		g, d = d, g
	}
	p.priority = min(g, d)<<32 + 2*max(g, d)
	if g > d {
		p.priority++
	}
}

// lead takes a role.
func (a *agent) lead(controls bool) {
	a.controls, a.nominee = controls, nil
	for _, p := range a.pairs {
		p.rank(controls)
	}
}

// hear takes a STUN message that came in at a socket. speaks is where media of the peer comes
// from that is genuine, if it is not the chosen address.
func (a *agent) hear(m []byte, place int, from, speaks netip.AddrPort, now time.Time) {
	if a.lost || len(m) < stunHeader {
		return
	}
	switch binary.BigEndian.Uint16(m) {
	case bindingRequest:
		if !a.started {
			if len(a.held) < maxHeld {
				a.held = append(a.held, heldCheck{m, place, from})
			}
			return
		}
		if string(username(m)) == a.own.ufrag+":"+a.peer.ufrag && genuine(m, a.own.pwd) {
			a.request(signed(m), place, from, speaks, now)
		}
	case bindingSuccess, bindingError:
		if a.started && genuine(m, a.peer.pwd) {
			a.answer(signed(m), from, now)
		}
	}
}

// request takes a check of the peer (RFC 8445 section 7.3).
func (a *agent) request(m []byte, place int, from, speaks netip.AddrPort, now time.Time) {
	id := transaction(m[8:stunHeader])
	if !a.agreed(m) {
		refusal := newMessage(bindingError, id).add(stunErrorCode, []byte("\x00\x00\x04\x57Role Conflict"))
		a.send(place, refusal.seal(a.own.pwd), from)
		return
	}
	p := a.pairOf(place, from)
	if p == nil {
		p = a.reflexive(m, place, from)
	}
	a.send(place, newMessage(bindingSuccess, id).mapped(from).seal(a.own.pwd), from)
	if !a.controls {
		switch w := a.wants(m); {
		case w == nothing:
		case p.valid:
			a.use(p, w, now)
		default:
			p.wanted = max(p.wanted, w)
		}
	}
	if !p.valid {
		p.prompt, p.failed = true, false
	}
	a.follow(p, speaks, now)
}

// agreed reports whether a check says that the peer has the other role than we, and gives way
// if its number is the greater (RFC 8445 section 7.3.1.1).
func (a *agent) agreed(m []byte) bool {
	theirs, same := number(m, stunControlled)
	if a.controls {
		theirs, same = number(m, stunControlling)
	}
	if !same {
		return true
	}
	if keeps := a.tie >= theirs; keeps == a.controls {
		return false
	}
	a.lead(!a.controls)
	return true
}

// wants returns what a check asks of its pair. Of nominations with numbers the last counts.
func (a *agent) wants(m []byte) want {
	if n, ok := number(m, stunNomination); ok {
		if uint32(n) <= a.heard {
			return nothing
		}
		a.heard = uint32(n)
		return renamed
	}
	if has(m, stunUseCandidate) {
		return nominated
	}
	return nothing
}

// reflexive makes a pair of an address of the peer that it has not told of (RFC 8445 section
// 7.3.1.3). One of them goes for it if there are too many.
func (a *agent) reflexive(m []byte, place int, from netip.AddrPort) *icePair {
	if len(a.pairs) >= maxCandidates*len(a.places)+maxRemotes {
		gone := slices.IndexFunc(a.pairs, func(p *icePair) bool { return p.kind == "prflx" && p != a.chosen && p != a.nominee })
		a.asked = slices.DeleteFunc(a.asked, func(q question) bool { return q.p == a.pairs[gone] })
		a.pairs = slices.Delete(a.pairs, gone, gone+1)
	}
	priority, _ := number(m, stunPriority)
	p := &icePair{place: place, remote: from, kind: "prflx", ours: a.preference(hostPreference, place), theirs: uint32(priority)}
	p.rank(a.controls)
	a.pairs = append(a.pairs, p)
	return p
}

// use makes a pair the chosen one, if what the peer wants is stronger than what there is: the
// better one counts, for a peer that nominates all (RFC 5245 section 8.1.1.2), or the last.
func (a *agent) use(p *icePair, w want, now time.Time) {
	if a.chosen == nil || w == renamed || p.priority > a.chosen.priority {
		a.choose(p, now)
	}
}

func (a *agent) choose(p *icePair, now time.Time) {
	if a.chosen == p {
		return
	}
	a.chosen, a.nominee = p, nil
	a.answered, a.unanswered = now, 0
	a.keep = now.Add(a.interval())
}

// answer takes the answer to a check of ours (RFC 8445 section 7.2.5).
func (a *agent) answer(m []byte, from netip.AddrPort, now time.Time) {
	id := transaction(m[8:stunHeader])
	at := slices.IndexFunc(a.asked, func(q question) bool { return q.id == id && q.p.remote == from })
	if at < 0 {
		return
	}
	q := a.asked[at]
	a.asked = slices.Delete(a.asked, at, at+1)
	p := q.p
	if binary.BigEndian.Uint16(m) == bindingError {
		if errorCode(m) == roleConflict {
			if a.controls == q.controls {
				a.lead(!q.controls)
			}
			a.tie = binary.BigEndian.Uint64(a.random(8))
			p.prompt, p.tries = true, 0
		}
		return
	}
	p.valid, p.failed = true, false
	if p == a.chosen {
		a.answered, a.unanswered = now, 0
	}
	switch {
	case a.controls && (q.nominates == renamed || q.nominates == nominated && a.chosen == nil):
		a.choose(p, now)
	case !a.controls && p.wanted != nothing:
		a.use(p, p.wanted, now)
		p.wanted = nothing
	}
}

// turn does what is due, and returns when it is to be called again; zero for not before
// something is heard.
func (a *agent) turn(now time.Time) (next time.Time) {
	if !a.started || a.lost {
		return next
	}
	soon := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if a.chosen != nil {
		a.hold(now, soon)
	}
	for !a.lost {
		if a.chosen == nil {
			a.nominate(now, soon)
		}
		p, due := a.first()
		if p == nil {
			break
		}
		if due.Before(a.pace) {
			due = a.pace
		}
		if now.Before(due) {
			soon(due)
			break
		}
		a.check(p, now)
	}
	return next
}

// hold keeps the consent of the chosen pair's peer.
func (a *agent) hold(now time.Time, soon func(time.Time)) {
	if a.unanswered >= consentLeast && now.Sub(a.answered) >= a.consent {
		a.lost = true
		return
	}
	if !now.Before(a.keep) {
		a.ask(a.chosen, nothing, now)
		a.unanswered++
		a.keep = now.Add(a.interval())
	}
	soon(a.keep)
	if end := a.answered.Add(a.consent); end.After(now) {
		soon(end)
	}
}

// interval returns the time to the next check of the chosen pair, which is random lest many
// come at once (RFC 7675 section 5.1).
func (a *agent) interval() time.Duration {
	every := min(consentEvery, a.consent/6)
	return every*4/5 + every*2/5*time.Duration(a.random(1)[0])/256
}

// nominate picks the pair to be used, where that is our part: the best that is valid, when
// others have had their time (RFC 8445 section 8.1.1).
func (a *agent) nominate(now time.Time, soon func(time.Time)) {
	if !a.controls || a.nominee != nil {
		return
	}
	var best *icePair
	for _, p := range a.pairs {
		if p.valid && !p.failed && (best == nil || p.priority > best.priority) {
			best = p
		}
	}
	if best == nil {
		return
	}
	if at := a.begun.Add(waitFor(best.kind)); now.Before(at) {
		soon(at)
		return
	}
	best.tries, best.due, a.nominee = 0, now, best
}

// waitFor returns how long a pair with such a candidate of the peer waits for a better one.
func waitFor(kind string) time.Duration {
	switch kind {
	case "srflx", "prflx":
		return reflexWait
	case "relay":
		return relayWait
	}
	return 0
}

// first returns the pair to be checked first, and when.
func (a *agent) first() (first *icePair, due time.Time) {
	for _, p := range a.pairs {
		at := p.due
		switch {
		case p.prompt:
			at = time.Time{}
		case p == a.nominee:
		case a.nominee != nil || a.chosen != nil || p.valid || p.failed:
			continue
		}
		if first == nil || at.Before(due) || at.Equal(due) && p.priority > first.priority {
			first, due = p, at
		}
	}
	return first, due
}

// check checks a pair, or nominates it, unless that has been in vain too often.
func (a *agent) check(p *icePair, now time.Time) {
	w, most := nothing, maxChecks
	if p == a.nominee {
		w, most = nominated, maxNominees
	}
	p.prompt = false
	if p.tries++; p.tries > most {
		p.failed = true
		if w == nominated {
			a.nominee = nil
		}
		return
	}
	p.due = now.Add(max(checkEvery, time.Duration(len(a.pairs))*checkSpacing))
	a.pace = now.Add(checkSpacing)
	a.ask(p, w, now)
}

// ask sends a check (RFC 8445 section 7.2.2).
func (a *agent) ask(p *icePair, w want, now time.Time) {
	id := transaction(a.random(len(transaction{})))
	role := uint16(stunControlled)
	if a.controls {
		role = stunControlling
	}
	m := newMessage(bindingRequest, id).
		add(stunUsername, []byte(a.peer.ufrag+":"+a.own.ufrag)).
		add(role, binary.BigEndian.AppendUint64(nil, a.tie)).
		add(stunPriority, binary.BigEndian.AppendUint32(nil, a.preference(reflexPreference, p.place)))
	if w != nothing {
		m = m.add(stunUseCandidate, nil)
	}
	if w == renamed {
		a.said++
		m = m.add(stunNomination, binary.BigEndian.AppendUint32(nil, a.said))
	}
	a.asked = slices.DeleteFunc(a.asked, func(q question) bool { return now.Sub(q.at) > answerTime })
	a.asked = append(a.asked, question{id, p, now, a.controls, w})
	a.send(p.place, m.seal(a.peer.pwd), p.remote)
}
