package embedded

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A lab is agents, the network between them, and the time. It has no goroutine and no clock but
// its own.
type lab struct {
	t      *testing.T
	rand   *rand.Rand
	now    time.Time
	all    map[netip.AddrPort]*subject // by their addresses
	flying []flight
	late   time.Duration                                // of a message under way
	cut    func(from, to netip.AddrPort, p []byte) bool // it is lost
	sent   []flight
}

// A subject is an agent in a lab.
type subject struct {
	agent
	at   []netip.AddrPort // by place
	next time.Time
	nat  netip.AddrPort // where others see it, if that is not at
}

type flight struct {
	from, to netip.AddrPort
	p        []byte
	at       time.Time
}

func newLab(t *testing.T) *lab {
	return &lab{
		t: t, rand: rand.New(rand.NewPCG(1, 2)), now: time.Unix(1000, 0), all: map[netip.AddrPort]*subject{},
		late: 5 * time.Millisecond, cut: func(netip.AddrPort, netip.AddrPort, []byte) bool { return false },
	}
}

func (l *lab) octets(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(l.rand.Uint32())
	}
	return p
}

// subject adds an agent with these addresses.
func (l *lab) subject(controls bool, at ...string) *subject {
	s := &subject{}
	for _, a := range at {
		s.at = append(s.at, netip.MustParseAddrPort(a))
		s.places = append(s.places, s.at[len(s.at)-1].Addr().Is6())
		l.all[s.at[len(s.at)-1]] = s
	}
	s.component, s.controls, s.consent, s.random = rtpComponent, controls, 30*time.Second, l.octets
	s.tie = binary.BigEndian.Uint64(l.octets(8))
	s.send = func(place int, p []byte, to netip.AddrPort) {
		from := s.at[place]
		if s.nat.IsValid() {
			from = s.nat
		}
		f := flight{from, to, p, l.now}
		if !genuineOfSomebody(l, p) {
			l.t.Errorf("%x is under nobody's password", p)
		}
		l.sent = append(l.sent, f)
		if !l.cut(from, to, p) {
			f.at = l.now.Add(l.late)
			l.flying = append(l.flying, f)
		}
	}
	s.reset(credentials{fmt.Sprintf("ufrag%d", len(l.all)), fmt.Sprintf("secret%d", len(l.all))})
	return s
}

func genuineOfSomebody(l *lab, p []byte) bool {
	for _, s := range l.all {
		if genuine(p, s.own.pwd) || genuine(p, s.peer.pwd) {
			return true
		}
	}
	return false
}

// introduce tells two agents of each other.
func (l *lab) introduce(a, b *subject) {
	for _, both := range [][2]*subject{{a, b}, {b, a}} {
		for place, at := range both[1].at {
			both[0].add(at, "host", both[1].preference(hostPreference, place))
		}
	}
	a.begin(b.own, l.now)
	b.begin(a.own, l.now)
	a.next, b.next = l.now, l.now
}

// step goes on to what happens next, and reports whether anything does.
func (l *lab) step(until time.Time) bool {
	at := until
	for _, f := range l.flying {
		at = earlier(at, f.at)
	}
	for _, s := range l.all {
		if !s.next.IsZero() {
			at = earlier(at, s.next)
		}
	}
	if !at.Before(until) {
		l.now = until
		return false
	}
	if at.After(l.now) {
		l.now = at
	}
	arrived := l.flying
	l.flying = nil
	for _, f := range arrived {
		if f.at.After(l.now) {
			l.flying = append(l.flying, f)
			continue
		}
		for at, s := range l.all {
			if f.to == at || f.to == s.nat {
				s.hear(f.p, slices.Index(s.at, at), f.from, netip.AddrPort{}, l.now)
				s.next = l.now
			}
		}
	}
	for _, s := range l.all {
		if !s.next.IsZero() && !s.next.After(l.now) {
			if s.next = s.turn(l.now); !s.next.IsZero() && !s.next.After(l.now) {
				l.t.Fatal("the agent wants to be called again at once")
			}
		}
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// run lets that much time go by.
func (l *lab) run(d time.Duration) {
	for until := l.now.Add(d); l.step(until); {
	}
}

// sentTo counts what was sent to an address since a time.
func (l *lab) sentTo(to netip.AddrPort, since time.Time) (n int) {
	for _, f := range l.sent {
		if f.to == to && !f.at.Before(since) {
			n++
		}
	}
	return n
}

func (s *subject) uses() string {
	if s.chosen == nil {
		return "nothing"
	}
	return s.chosen.remote.String()
}

// Whatever roles two agents begin with, one has the lead in the end (RFC 8445 section 7.3.1.1),
// and both use the same pair.
func TestRoles(t *testing.T) {
	for _, a := range []bool{false, true} {
		for _, b := range []bool{false, true} {
			for _, greater := range []bool{false, true} {
				t.Run(fmt.Sprint(a, b, greater), func(t *testing.T) {
					l := newLab(t)
					x, y := l.subject(a, "192.0.2.1:1000"), l.subject(b, "192.0.2.2:2000")
					x.tie, y.tie = 5, 5
					if greater {
						x.tie = 6
					}
					l.introduce(x, y)
					l.run(2 * time.Second)
					if x.uses() != "192.0.2.2:2000" || y.uses() != "192.0.2.1:1000" {
						t.Errorf("they use %s and %s", x.uses(), y.uses())
					}
					if x.controls == y.controls || a != b && x.controls != a {
						t.Errorf("the roles are %v and %v", x.controls, y.controls)
					}
					for _, p := range []*icePair{x.chosen, y.chosen} {
						if other := map[*icePair]*icePair{x.chosen: y.chosen, y.chosen: x.chosen}[p]; p.priority != other.priority {
							t.Errorf("the pair is ranked %x here and %x there", p.priority, other.priority)
						}
					}
				})
			}
		}
	}
}

// The best pair that works is used, and a peer that has better to tell of is given its time.
func TestNomination(t *testing.T) {
	tests := []struct {
		name string
		open []string // that get through
		want string
		not  time.Duration // before that
	}{
		{"all work", []string{"192.0.2.9:1", "192.0.2.9:2", "192.0.2.9:3"}, "192.0.2.9:1", 0},
		{"not the host's own", []string{"192.0.2.9:2", "192.0.2.9:3"}, "192.0.2.9:2", reflexWait},
		{"by a relay alone", []string{"192.0.2.9:3"}, "192.0.2.9:3", relayWait},
		{"none", nil, "nothing", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			x, y := l.subject(true, "192.0.2.1:1000"), l.subject(false, "192.0.2.9:1")
			for n, kind := range []string{"host", "srflx", "relay"} {
				at := netip.AddrPortFrom(y.at[0].Addr(), uint16(n+1))
				l.all[at] = y
				y.at = append(y.at[:n], at)
				x.add(at, kind, uint32(126-50*n)<<24)
			}
			l.cut = func(from, to netip.AddrPort, _ []byte) bool {
				return from == x.at[0] && !slices.Contains(tt.open, to.String())
			}
			y.send = func(_ int, p []byte, to netip.AddrPort) { // from where it was heard
				l.flying = append(l.flying, flight{l.sent[len(l.sent)-1].to, to, p, l.now.Add(l.late)})
			}
			x.begin(y.own, l.now)
			y.begin(x.own, l.now)
			x.next = l.now
			began := l.now
			for x.chosen == nil && l.step(began.Add(10*time.Second)) {
			}
			if x.uses() != tt.want || l.now.Sub(began) < tt.not {
				t.Errorf("%s is used after %s", x.uses(), l.now.Sub(began))
			}
		})
	}
}

// A peer that only one of our sockets of a family reaches is found by that one, whoever leads.
func TestSocketsOfOneFamily(t *testing.T) {
	for _, leads := range []bool{false, true} {
		l := newLab(t)
		x, y := l.subject(leads, "10.0.0.5:1000", "192.0.2.1:1000", "[2001:db8::1]:1000"), l.subject(!leads, "192.0.2.2:2000")
		l.cut = func(from, to netip.AddrPort, _ []byte) bool { return from == x.at[0] || to == x.at[0] }
		l.introduce(x, y)
		l.run(5 * time.Second)
		if x.chosen == nil || x.chosen.place != 1 || y.uses() != x.at[1].String() {
			t.Errorf("leading %v: the pair is %+v, and the other uses %s", leads, x.chosen, y.uses())
		}
		l.cut = func(from, to netip.AddrPort, _ []byte) bool { return true }
		l.run(40 * time.Second)
		if !x.lost || !y.lost {
			t.Errorf("leading %v: consent goes on without answers", leads)
		}
	}
}

// A pair that works, but not any more when it is nominated, is given up for the next.
func TestNomineeGone(t *testing.T) {
	l := newLab(t)
	x, y := l.subject(true, "192.0.2.1:1000", "[2001:db8::1]:1000"), l.subject(false, "192.0.2.2:2000", "[2001:db8::2]:2000")
	l.cut = func(_, to netip.AddrPort, p []byte) bool {
		return to == y.at[0] && has(p, stunUseCandidate)
	}
	l.introduce(x, y)
	l.run(20 * time.Second)
	if x.uses() != y.at[1].String() || y.uses() != x.at[1].String() {
		t.Errorf("they use %s and %s", x.uses(), y.uses())
	}
}

// Consent is kept by answers alone (RFC 7675 section 5.1): about every 5 s it is asked for, and
// 30 s after the last answer nothing is sent any more.
func TestConsentOfAnAgent(t *testing.T) {
	l := newLab(t)
	x, y := l.subject(true, "192.0.2.1:1000"), l.subject(false, "192.0.2.2:2000")
	l.introduce(x, y)
	l.run(time.Second)
	began := l.now
	l.run(10 * time.Minute)
	if n := l.sentTo(y.at[0], began); x.lost || y.lost || n < 200 || n > 300 { // checks, and answers to the other's
		t.Fatalf("lost %v and %v, %d messages in 10 minutes", x.lost, y.lost, n)
	}
	l.cut = func(_, to netip.AddrPort, p []byte) bool { return to == x.at[0] && p[0] == bindingSuccess>>8 }
	began = l.now
	last := x.answered
	for !x.lost && l.step(began.Add(time.Hour)) {
	}
	if waited := l.now.Sub(last); waited != 30*time.Second {
		t.Errorf("consent is lost after %s", waited)
	}
	began = l.now
	l.run(10 * time.Second)
	if n := l.sentTo(y.at[0], began.Add(1)); n > 0 {
		t.Errorf("%d messages were sent after that", n)
	}
}

// An agent that was not called for long has not been refused.
func TestConsentAfterAPause(t *testing.T) {
	l := newLab(t)
	x, y := l.subject(true, "192.0.2.1:1000"), l.subject(false, "192.0.2.2:2000")
	l.introduce(x, y)
	l.run(time.Second)
	l.now = l.now.Add(time.Minute)
	l.run(time.Minute)
	if x.lost || y.lost {
		t.Errorf("lost %v and %v", x.lost, y.lost)
	}
}

// Checks of one agent are 100 a second at most; all candidates have their turn before any has
// another, and none is checked for ever.
func TestPace(t *testing.T) {
	l := newLab(t)
	x := l.subject(false, "192.0.2.1:1000")
	for n := range maxCandidates {
		x.add(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), uint16(1+n)), "host", uint32(n))
	}
	x.begin(credentials{"them", "secret"}, l.now)
	x.next = l.now
	began := l.now
	l.run(time.Second)
	turns := map[netip.AddrPort]int{}
	for i, f := range l.sent {
		if turns[f.to]++; turns[f.to] > 1 && i < maxCandidates {
			t.Fatalf("%s has its second turn before others have their first", f.to)
		}
		if i > 0 && f.at.Sub(l.sent[i-1].at) < checkSpacing {
			t.Fatalf("check %d comes %s after the one before", i, f.at.Sub(l.sent[i-1].at))
		}
	}
	if len(turns) != maxCandidates || len(l.sent) < 50 {
		t.Errorf("%d candidates were checked %d times", len(turns), len(l.sent))
	}
	if first := l.sent[0].to.Port(); first != maxCandidates {
		t.Errorf("the first is %d, which is not the best", first)
	}
	for x.next.After(began) {
		l.run(time.Minute)
	}
	if n := l.sentTo(l.sent[0].to, began); n != maxChecks {
		t.Errorf("it was checked %d times", n)
	}
	if len(x.asked) > 100*int(answerTime/time.Second)+1 {
		t.Errorf("%d answers are waited for", len(x.asked))
	}
}

// A peer behind a NAT is found by what it sends; of ever more addresses, the bound is kept.
func TestReflexive(t *testing.T) {
	l := newLab(t)
	x, y := l.subject(true, "192.0.2.1:1000"), l.subject(false, "10.0.0.1:2000")
	y.nat = netip.MustParseAddrPort("203.0.113.7:4444")
	l.cut = func(_, to netip.AddrPort, _ []byte) bool { return to == y.at[0] }
	l.introduce(x, y)
	l.run(2 * time.Second)
	if x.uses() != y.nat.String() || x.chosen.kind != "prflx" || x.chosen.theirs != y.preference(reflexPreference, 0) {
		t.Fatalf("%s is used: %+v", x.uses(), x.chosen)
	}
	x.add(y.nat, "srflx", 77)
	if x.chosen.kind != "srflx" || len(x.pairs) != 2 {
		t.Errorf("told of it, the pair is %+v of %d", x.chosen, len(x.pairs))
	}
	for n := range 3 * (maxCandidates + maxRemotes) {
		y.nat = netip.AddrPortFrom(y.nat.Addr(), uint16(5000+n))
		y.ask(y.chosen, nothing, l.now)
		l.run(50 * time.Millisecond)
	}
	if n := len(x.pairs); n > maxCandidates+maxRemotes || x.chosen == nil {
		t.Errorf("there are %d pairs", n)
	}
}

// What a stranger sends changes nothing, nor does an answer from elsewhere.
func TestForgedChecks(t *testing.T) {
	l := newLab(t)
	x := l.subject(false, "192.0.2.1:1000")
	peer, elsewhere := netip.MustParseAddrPort("192.0.2.2:2000"), netip.MustParseAddrPort("192.0.2.3:3000")
	x.add(peer, "host", 1)
	x.begin(credentials{"them", "theirs"}, l.now)
	x.turn(l.now)
	id := transaction(l.sent[0].p[8:stunHeader])
	for name, m := range map[string]message{
		"another password": newMessage(bindingRequest, id).add(stunUsername, []byte(x.own.ufrag+":them")).seal("guess"),
		"another user":     newMessage(bindingRequest, id).add(stunUsername, []byte(x.own.ufrag+":they")).seal(x.own.pwd),
		"no user":          newMessage(bindingRequest, id).seal(x.own.pwd),
		"an indication":    newMessage(0x0011, id).seal(x.own.pwd),
		"a forged answer":  newMessage(bindingSuccess, id).mapped(x.at[0]).seal("guess"),
		"another id":       newMessage(bindingSuccess, transaction{}).mapped(x.at[0]).seal("theirs"),
		"an error":         newMessage(bindingError, id).add(stunErrorCode, []byte{0, 0, 4, 1}).seal("guess"),
		"no digest":        newMessage(bindingSuccess, id).mapped(x.at[0]),
		"a header":         newMessage(bindingSuccess, id)[:stunHeader-1],
	} {
		x.hear(m, 0, peer, netip.AddrPort{}, l.now)
		if len(l.sent) != 1 || len(x.pairs) != 1 || x.pairs[0].valid || len(x.asked) != 1 {
			t.Fatalf("%s is heard", name)
		}
	}
	right := newMessage(bindingSuccess, id).mapped(x.at[0]).seal("theirs")
	if x.hear(right, 0, elsewhere, netip.AddrPort{}, l.now); x.pairs[0].valid {
		t.Error("an answer from elsewhere is taken")
	}
	if x.hear(right, 0, peer, netip.AddrPort{}, l.now); !x.pairs[0].valid || x.chosen != nil {
		t.Error("the answer is not taken")
	}
	m := newMessage(bindingRequest, id).add(stunUsername, []byte(x.own.ufrag+":them")).seal(x.own.pwd).add(stunUseCandidate, nil)
	if x.hear(m, 0, peer, netip.AddrPort{}, l.now); x.chosen != nil {
		t.Error("what follows the digest is heard")
	}
}

// A peer that nominates every pair gets the best (RFC 5245 section 8.1.1.2); one that counts
// its nominations gets the last.
func TestNominatedByThePeer(t *testing.T) {
	l := newLab(t)
	x := l.subject(false, "192.0.2.1:1000")
	good, better := netip.MustParseAddrPort("192.0.2.2:1"), netip.MustParseAddrPort("192.0.2.2:2")
	x.add(good, "host", 1<<24)
	x.add(better, "host", 2<<24)
	x.begin(credentials{"them", "theirs"}, l.now)
	number := func(n byte) []byte { return []byte{0, 0, 0, n} }
	check := func(from netip.AddrPort, nomination []byte) {
		m := newMessage(bindingRequest, transaction(l.octets(12))).add(stunUsername, []byte(x.own.ufrag+":them")).add(stunUseCandidate, nil)
		if nomination != nil {
			m = m.add(stunNomination, nomination)
		}
		x.hear(m.seal(x.own.pwd), 0, from, netip.AddrPort{}, l.now)
	}
	answers := func() {
		for range 2 {
			l.now = l.now.Add(checkEvery)
			x.turn(l.now)
		}
		for _, q := range slices.Clone(x.asked) {
			x.hear(newMessage(bindingSuccess, q.id).mapped(x.at[0]).seal("theirs"), 0, q.p.remote, netip.AddrPort{}, l.now)
		}
	}
	check(good, nil)
	if x.chosen != nil {
		t.Fatal("a pair is used that nobody has tried")
	}
	answers()
	if x.uses() != good.String() {
		t.Fatalf("%s is used", x.uses())
	}
	for i, tt := range []struct {
		from       netip.AddrPort
		nomination []byte
		want       netip.AddrPort
	}{
		{better, nil, better},
		{good, nil, better},
		{good, number(3), good},
		{better, number(2), good},
		{better, number(3), good},
		{better, number(4), better},
	} {
		check(tt.from, tt.nomination)
		answers()
		if x.uses() != tt.want.String() {
			t.Errorf("step %d: %s is used, want %s", i, x.uses(), tt.want)
		}
	}
}

// A check that comes before the peer's credentials is answered when they are there.
func TestEarlyCheck(t *testing.T) {
	l := newLab(t)
	x, y := l.subject(false, "192.0.2.1:1000"), l.subject(true, "192.0.2.2:2000")
	y.add(x.at[0], "host", 1)
	y.begin(x.own, l.now)
	y.next = l.now
	l.run(10 * time.Second)
	if l.sentTo(y.at[0], time.Time{}) > 0 || len(x.held) != maxHeld {
		t.Fatalf("%d answers, %d held", l.sentTo(y.at[0], time.Time{}), len(x.held))
	}
	x.begin(y.own, l.now)
	x.next = l.now
	l.run(time.Second)
	if x.uses() != y.at[0].String() || y.uses() != x.at[0].String() || x.held != nil {
		t.Errorf("they use %s and %s", x.uses(), y.uses())
	}
}

// A peer whose address changes under it is followed, and only there where it answers.
func TestFollow(t *testing.T) {
	for _, controls := range []bool{false, true} {
		t.Run(fmt.Sprint("we lead ", controls), func(t *testing.T) {
			l := newLab(t)
			x, y := l.subject(controls, "192.0.2.1:1000"), l.subject(!controls, "192.0.2.2:2000")
			l.introduce(x, y)
			l.run(10 * time.Second)
			y.nat = netip.MustParseAddrPort("203.0.113.7:4444")
			l.cut = func(_, to netip.AddrPort, _ []byte) bool { return to == y.at[0] }
			moved := l.now
			for x.uses() != y.nat.String() && l.step(moved.Add(time.Minute)) {
			}
			if took := l.now.Sub(moved); x.uses() != y.nat.String() || took > 20*time.Second {
				t.Fatalf("after %s %s is used", took, x.uses())
			}
			l.run(2 * time.Minute)
			if x.lost || y.lost {
				t.Errorf("lost %v and %v", x.lost, y.lost)
			}
		})
	}
}

// With other credentials all begins anew.
func TestReset(t *testing.T) {
	l := newLab(t)
	x, y := l.subject(true, "192.0.2.1:1000"), l.subject(false, "192.0.2.2:2000")
	l.introduce(x, y)
	l.run(time.Second)
	x.reset(credentials{"other", "others"})
	y.reset(credentials{"newer", "newest"})
	if x.chosen != nil || len(x.pairs) > 0 || !x.controls {
		t.Errorf("the agent keeps %+v", x.pairs)
	}
	l.introduce(x, y)
	l.run(time.Second)
	if x.uses() != y.at[0].String() || y.uses() != x.at[0].String() {
		t.Errorf("they use %s and %s", x.uses(), y.uses())
	}
}
