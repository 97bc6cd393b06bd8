package gateway

import (
	"slices"
	"time"

	"sipxmppgw/gateway/presence"
)

// A gap is a time without the XMPP server. What users sent in it is lost, and so is what they
// were sent, with some that was sent just before. So while it lasts they are told nothing, and
// after it everyone is told what they may have missed, and asked what they show: a server that
// was started anew has other devices than before.

// What is certain of a gap.
const (
	inFlight   = time.Minute           // before it, that what was sent may be lost
	perReturn  = 10 * time.Millisecond // between two pairs that are seen to after it
	probeReply = 32 * time.Second      // for users' servers to say which devices there are
	maxOwed    = 1 << 12               // pairs of one shard that ended in it
)

// Down says that the XMPP server cannot be reached any more.
func (p *Presences) Down() {
	if p.gap.CompareAndSwap(0, time.Now().UnixNano()) {
		p.shards.tell(gap{})
	}
}

// Up says that it can be reached, again or for the first time.
func (p *Presences) Up() {
	since := p.gap.Swap(0)
	if since == 0 {
		return
	}
	p.mu.RLock()
	n := len(p.pairs)
	p.mu.RUnlock()
	p.shards.tell(gap{over: true, since: time.Unix(0, since), of: n})
}

// A gap begins, or is over.
type gap struct {
	over  bool
	since time.Time
	of    int // pairs that there are
}

// gone begins or ends a gap for a shard.
func (p *Presences) gone(s *shard, c *part, in gap) {
	c.alone = !in.over
	if !in.over {
		return
	}
	for _, w := range c.owed {
		if pr := c.pairs[w.Pair]; w.at.Before(in.since.Add(-inFlight)) || pr != nil && pr.watch != nil {
			continue
		}
		p.xmpp.Disallow(w.Pair)
		for _, device := range w.devices {
			p.xmpp.Tell(w.Pair, presence.State{Device: device})
		}
	}
	c.owed = nil
	span := min(p.opt.Spread, time.Duration(in.of)*perReturn)
	for _, pr := range c.pairs {
		if pr.mail != nil || pr.publication != nil || pr.resuming != nil && pr.resuming.place > 0 {
			continue
		}
		pr.resuming = &alarm{in: rung{pair: pr, what: ofReturn, anew: pr.said.After(in.since.Add(-inFlight))}}
		s.set(pr.resuming, time.Duration(p.opt.Rand()*float64(span)))
	}
}

// An owed is a watch that ended in a gap, or just before one: the user may not have been told.
type owed struct {
	Pair
	devices []string
	at      time.Time
}

// owe notes that a watch has ended of which the user saw these devices.
func (c *part) owe(pr *pair, devices []string) {
	now := time.Now()
	if !c.alone {
		for len(c.owed) > 0 && now.Sub(c.owed[0].at) > inFlight {
			c.owed = c.owed[1:]
		}
	}
	if len(c.owed) < maxOwed {
		c.owed = append(c.owed, owed{pr.Pair, devices, now})
	}
}

// left notes that the user is told that devices are gone, in case it does not hear of it.
func (pr *pair) left(now presence.Document) {
	if time.Since(pr.toldAt) > inFlight {
		pr.before = nil
	}
	for _, device := range devices(pr.told) {
		if !slices.ContainsFunc(now, func(s presence.State) bool { return s.Device == device && s.Open }) &&
			!slices.Contains(pr.before, device) && len(pr.before) < maxSeen {
			pr.before = append(pr.before, device)
		}
	}
}

// returned sees to a pair after a gap; anew says that the last word about who may see whom may be
// lost.
func (p *Presences) returned(s *shard, pr *pair, anew bool) {
	if w := pr.watch; w != nil {
		if anew {
			switch w.Standing() { //exhaustive:ignore
			case presence.Granted, presence.Synthetic:
				p.xmpp.Allow(pr.Pair)
			case presence.Denied:
				p.xmpp.Disallow(pr.Pair)
			}
		}
		if w.Place() != nil {
			p.xmpp.Locate(pr.Pair, w.Place())
		}
		for _, device := range slices.Concat(devices(pr.told), pr.before) {
			if !slices.Contains(pr.again, device) {
				pr.again = append(pr.again, device)
			}
		}
		p.tell(s, pr, true)
	}
	if pr.allow == presence.Granted || len(pr.seen) > 0 {
		pr.doubted = devices(pr.seen)
		p.xmpp.Look(pr.Pair)
		set(s, &pr.doubting, rung{pair: pr, what: ofDoubt}, probeReply)
		return
	}
	if pr.asked && anew {
		name := ""
		for _, v := range pr.watchers {
			name = v.name
		}
		p.xmpp.Ask(pr.Pair, name)
	}
	p.stepWatch(s, pr, presence.Resumed{})
}

// undoubted has devices that nobody has spoken of since the gap be gone.
func (p *Presences) undoubted(s *shard, pr *pair) {
	doubted := pr.doubted
	pr.doubted = nil
	for _, device := range doubted {
		p.shown(s, p.parts[s.index], pr, presence.State{Device: device, Since: p.opt.Now()})
	}
}
