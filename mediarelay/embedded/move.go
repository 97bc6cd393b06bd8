package embedded

import (
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// leftAfter is how long a peer must have checked another pair alone for the chosen one to be
// left. Peers check every 2 to 6 seconds (RFC 7675 section 5.1).
const leftAfter = 3 * time.Second

// moves are how it is noticed that the peer uses another pair than the chosen one, though
// nobody began a new ICE session: a NAT between us has given it another address, which it does
// not know of itself. They belong to the agent's goroutine.
type moves struct {
	chosen  pairKey
	checked time.Time       // when the peer checked that last
	others  map[pairKey]int // how often it has checked others since
}

// A pairKey is a pair by its addresses, as candidates write them.
type pairKey struct{ local, remote string }

func keyOf(local, remote ice.Candidate) pairKey {
	address := func(c ice.Candidate) string {
		host, _ := netip.ParseAddr(c.Address())
		return netip.AddrPortFrom(host.Unmap(), uint16(c.Port())).String()
	}
	return pairKey{address(local), address(remote)}
}

// moved takes a check of the peer, whose integrity has been proved, and reports whether its
// pair takes the place of the chosen one. The peer must have answered a check of ours there
// too: whoever sends on what the peer said must not get its media. Where we lead, that check is
// a nomination; it chooses the pair when it is answered (RFC 8445 section 8.1.1 would have us
// begin anew, for which no peer is to blame).
func (i *iceSide) moved(_ *stun.Message, local, remote ice.Candidate, pair *ice.CandidatePair) bool {
	selected, err := i.agent.GetSelectedCandidatePair()
	if err != nil || selected == nil {
		return false // none is chosen yet: the agents do as they always do
	}
	m, now := &i.moves, time.Now()
	here, chosen := keyOf(local, remote), keyOf(selected.Local, selected.Remote)
	switch {
	case here == chosen, chosen != m.chosen:
		*m = moves{chosen: chosen, checked: now, others: map[pairKey]int{}}
		return false
	case len(m.others) >= maxRemotes:
		clear(m.others)
	}
	m.others[here]++
	speaks := i.t.astray.Load()
	if (speaks == nil || speaks.String() != here.remote) && (m.others[here] < 2 || now.Sub(m.checked) < leftAfter) {
		return false
	}
	if i.agent.RenominateCandidate(local, remote) == nil {
		return false
	}
	return pair.ResponsesReceived() > 0
}

// comes notes from where genuine packets of the peer come, if that is not the chosen address.
func (t *transport) comes(from, chosen netip.AddrPort) {
	switch was := t.astray.Load(); {
	case from == chosen:
		if was != nil {
			t.astray.Store(nil)
		}
	case was == nil || *was != from:
		there := from // a copy, lest each packet makes one
		t.astray.Store(&there)
	}
}
