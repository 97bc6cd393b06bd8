package embedded

import (
	"net/netip"
	"time"
)

// leftAfter is how long a peer must have checked another pair alone for the chosen one to be
// left. Peers check every 2 to 6 seconds (RFC 7675 section 5.1).
const leftAfter = 3 * time.Second

// moves are how it is noticed that the peer uses another pair than the chosen one, though
// nobody began a new ICE session: a NAT between us has given it another address, which it does
// not know of itself.
type moves struct {
	chosen  *icePair
	checked time.Time // when the peer checked that last
}

// follow takes a check of the peer, and goes with it if it uses another pair than the chosen
// one. The peer must have answered a check of ours there too: whoever sends on what the peer
// said must not get its media. Where we lead, that check is a nomination; it chooses the pair
// when it is answered (RFC 8445 section 8.1.1 would have us begin anew, for which no peer is to
// blame).
func (a *agent) follow(p *icePair, speaks netip.AddrPort, now time.Time) {
	if a.chosen == nil {
		return // the agents do as they always do
	}
	if p == a.chosen || a.chosen != a.moves.chosen {
		a.moves = moves{chosen: a.chosen, checked: now}
		for _, p := range a.pairs {
			p.strays = 0
		}
		return
	}
	p.strays++
	switch {
	case speaks != p.remote && (p.strays < 2 || now.Sub(a.moves.checked) < leftAfter):
	case a.controls:
		a.ask(p, renamed, now)
	case p.valid:
		a.choose(p, now)
	}
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
