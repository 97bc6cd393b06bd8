package gateway

import (
	"strings"
	"time"

	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
)

// A PresenceList is a list of contacts that a trunk keeps (RFC 4662), so that one SUBSCRIBE brings
// the presence of all that are in it.
type PresenceList struct {
	// URI is that of the list. Each user has one if {user} is in it, which stands for what is
	// before the @ of the user's own URI at the trunk. If it is not, one list is for all users.
	URI string
	// Owner is who watches a list that is for all.
	Owner Party
}

const eachUser = "{user}"

// of returns the list of a user, who the trunk knows as from; ok is false if there is none.
func (l PresenceList) of(from Party) (uri string, shared, ok bool) {
	if !strings.Contains(l.URI, eachUser) {
		return l.URI, true, l.URI != ""
	}
	_, rest, _ := strings.Cut(from.URI, ":")
	user, _, found := strings.Cut(rest, "@")
	return strings.ReplaceAll(l.URI, eachUser, user), false, found && user != ""
}

// listKey stands for a contact in the pair that names a list; the user is empty in that of one that
// all users share.
const listKey = "/list/"

// A roster is a subscription of ours to a list, and the pairs that it serves.
type roster struct {
	Pair
	m       *presence.List
	sub     Subscription // as it was sent last
	members map[string]membership
	alarm   *alarm
	held    bool // a SUBSCRIBE waits for its place in the pace
	holding *alarm
}

// A membership is a pair in a list, as often as it has joined it and left it.
type membership struct {
	pair Pair
	turn int
}

// What shards are given of lists.
type (
	joined struct {
		list Pair
		membership
		sub     Subscription // that the list takes the place of
		uri     string       // of the list
		watcher Party        // of the list
	}
	parted struct {
		list Pair
		membership
	}
	listed struct {
		list Pair
		in   presence.ListInput
	}
	// passed is what a list has for one of its pairs, and single says that it is not for it.
	passed struct {
		membership
		in presence.WatchInput
	}
	single struct{ membership }
)

// Listed takes what became of a subscription of ours to a list.
func (p *Presences) Listed(list Pair, in presence.ListInput) {
	if _, ok := in.(presence.Listed); ok {
		p.count.notifications[0].Add(1)
		p.shards.peer(list.key(), listed{list, in})
		return
	}
	p.shards.post(list.key(), listed{list, in})
}

// answeredList takes what [Presences.Watched] is given of a list.
func (p *Presences) answeredList(list Pair, in presence.WatchInput) {
	switch in := in.(type) {
	case presence.Accepted:
		p.Listed(list, presence.ListAccepted(in))
	case presence.Refused:
		p.Listed(list, presence.ListRefused(in))
	}
}

// join has a pair be served by a list, if there is one for it.
func (p *Presences) join(pr *pair, o presence.Subscribe) bool {
	if pr.mail != nil {
		return false
	}
	t, err := p.opt.Router.Route(Query{Edge: XMPP, From: Party{JID: pr.User}, To: pr.Contact})
	if err != nil {
		return false
	}
	of := p.served.Load().lists[t.Trunk]
	uri, shared, ok := of.of(t.From)
	if !ok {
		return false
	}
	pr.list = Pair{User: pr.User, Contact: listKey + t.Trunk}
	j := joined{list: pr.list, membership: membership{pr.Pair, pr.turn}, uri: uri, watcher: t.From}
	if shared {
		pr.list.User, j.list.User, j.watcher = "", "", of.Owner
	}
	pr.wanted = o
	j.sub = p.subscription(pr.Pair, t)
	p.shards.post(pr.list.key(), j)
	return true
}

// leave has a pair be served by its list no longer; it is told when that is so.
func (p *Presences) leave(pr *pair) {
	pr.turn++
	p.shards.post(pr.list.key(), parted{pr.list, membership{pr.Pair, pr.turn}})
	pr.list = Pair{}
}

// fromList takes what a list has for a pair.
func (p *Presences) fromList(s *shard, c *part, in passed) {
	pr := c.pairs[in.pair]
	if pr == nil || pr.turn != in.turn {
		return
	}
	n, ok := in.in.(presence.Notified)
	if _, refused := in.in.(presence.Refused); refused || ok && n.State == "terminated" {
		pr.list = Pair{}
	}
	p.stepWatch(s, pr, in.in)
}

// alone has a pair ask for itself.
func (p *Presences) alone(s *shard, c *part, in single) {
	pr := c.pairs[in.pair]
	if pr == nil || pr.turn != in.turn || pr.list == (Pair{}) {
		return
	}
	pr.list = Pair{}
	p.paced(s, pr, p.trunk(pr), pr.wanted)
}

// stepList is one step of a shard that concerns a list.
func (p *Presences) stepList(s *shard, c *part, in any) {
	switch in := in.(type) {
	case joined:
		r := c.rosters[in.list]
		if r == nil {
			r = &roster{Pair: in.list, m: presence.NewList(in.list.User == ""), members: map[string]membership{}}
			c.rosters[in.list] = r
			p.count.lists.Add(1)
		}
		r.sub = in.sub
		r.sub.Pair, r.sub.From, r.sub.To, r.sub.List = in.list, in.watcher, in.uri, true
		r.members[in.pair.key()] = in.membership
		own, alias := p.addresses(in.sub.To)
		p.feed(s, c, r, presence.Joined{Member: in.pair.key(), Address: own, Alias: alias})
	case parted:
		if r := c.rosters[in.list]; r != nil {
			r.members[in.pair.key()] = in.membership
			p.feed(s, c, r, presence.Parted{Member: in.pair.key()})
		} else {
			p.shards.post(in.pair.key(), passed{in.membership, presence.Accepted{}})
		}
	case listed:
		if r := c.rosters[in.list]; r != nil {
			p.feed(s, c, r, in.in)
		}
	}
}

// addresses are those by which a contact may be in a list: its own, and the user part of it at the
// trunk itself, as [presence.Item] has them.
func (p *Presences) addresses(uri string) (own, alias string) {
	u, err := translate.ParseURI(uri)
	if err != nil {
		return uri, ""
	}
	return ListAddress(u, false), ListAddress(u, true)
}

// ListAddress is the address of a resource of a list; trunk says that its host is the trunk itself.
func ListAddress(u translate.URI, trunk bool) string {
	if trunk {
		return u.User + "@"
	}
	return u.User + "@" + strings.ToLower(u.Host)
}

// feed gives a list an input, and does what it wants.
func (p *Presences) feed(s *shard, c *part, r *roster, in presence.ListInput) {
	before := r.m.Len()
	forget := func(member string) {
		if !r.m.Has(member) {
			delete(r.members, member)
		}
	}
	for _, o := range r.m.Step(in, time.Now()) {
		switch o := o.(type) {
		case presence.ListSubscribe:
			p.askList(s, r, o)
		case presence.Pass:
			p.shards.post(o.Member, passed{r.members[o.Member], o.In})
			if n, ok := o.In.(presence.Notified); !ok || n.State == "terminated" {
				defer forget(o.Member) // there may be more for it in this step
			}
		case presence.Single:
			p.shards.post(o.Member, single{r.members[o.Member]})
			defer forget(o.Member)
		case presence.ListWait:
			set(s, &r.alarm, rung{what: ofList, list: r}, o.After)
		case presence.ListOver:
			p.dropList(s, c, r)
		}
	}
	p.count.listed.Add(int64(r.m.Len() - before))
	if _, ok := in.(presence.ListFired); ok { // who has lapsed is not told
		for name := range r.members {
			forget(name)
		}
	}
}

func (p *Presences) dropList(s *shard, c *part, r *roster) {
	s.unset(r.alarm)
	s.unset(r.holding)
	if c.rosters[r.Pair] == r {
		delete(c.rosters, r.Pair)
		p.count.lists.Add(-1)
	}
}

// askList sends a SUBSCRIBE to a list, or has it wait for its place.
func (p *Presences) askList(s *shard, r *roster, o presence.ListSubscribe) {
	if r.held {
		s.unset(r.holding)
		r.held = false
		if o.Expires == 0 {
			return // it was not sent yet
		}
	}
	r.sub.New, r.sub.Expires = o.New, o.Expires
	if o.New {
		if wait := p.pace.wait(r.sub.Trunk); wait > 0 {
			r.held = true
			set(s, &r.holding, rung{what: ofListPace, list: r}, wait)
			return
		}
	}
	p.sendList(r)
}

func (p *Presences) sendList(r *roster) {
	r.held = false
	p.count.subscribes.Add(1)
	p.sip.Subscribe(r.sub)
}
