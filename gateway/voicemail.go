package gateway

import (
	"slices"

	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/store"
)

func (v Voicemail) pair() Pair { return Pair{User: v.User, Contact: voicemailKey + v.Trunk} }

// AskAbout asks about a mailbox from now on, such as that of an account that a user has added; of one
// that is asked about nothing changes. A server that does not want to be asked is not asked again.
func (p *Presences) AskAbout(v Voicemail) {
	p.mu.Lock()
	wait := !p.begun
	if wait {
		p.later = append(p.later, v)
	}
	p.mu.Unlock()
	if !wait {
		p.askAbout(v, 1)
	}
}

// askAbout is AskAbout for one of so many, over which the requests are spread.
func (p *Presences) askAbout(v Voicemail, of int) {
	pair := v.pair()
	if !p.admit(pair) {
		return
	}
	p.mu.Lock()
	was := p.kept[pair]
	delete(p.kept, pair)
	p.mu.Unlock()
	p.shards.post(pair.key(), resume{pair, row{Mail: was}, &v, of})
}

// Mailboxes has those be asked about from now on that the options name, and not others of them
// before; accounts have their own.
func (p *Presences) Mailboxes(all []Voicemail) {
	same := func(a Voicemail) func(Voicemail) bool {
		return func(b Voicemail) bool { return a.pair() == b.pair() }
	}
	p.mu.Lock()
	before, begun := p.mailboxes, p.begun
	p.mailboxes = slices.Clone(all)
	p.mu.Unlock()
	if !begun {
		return // Start asks
	}
	for _, v := range before {
		if !slices.ContainsFunc(all, same(v)) {
			p.Unask(v.User, v.Trunk)
		}
	}
	for _, v := range all {
		if !slices.ContainsFunc(before, same(v)) {
			p.askAbout(v, len(all))
		}
	}
}

// Unask ends it: what the mailbox said is forgotten.
func (p *Presences) Unask(user, trunk string) {
	pair := Voicemail{User: user, Trunk: trunk}.pair()
	p.shards.post(pair.key(), unasked{pair})
}

func (p *Presences) unask(s *shard, c *part, pr *pair) {
	if pr == nil || pr.mail == nil {
		return
	}
	pr.mail.over = true
	p.mu.Lock()
	delete(p.boxes, pr.Pair)
	p.mu.Unlock()
	p.opt.Store.Delete(store.Subscriptions, pr.key(), nil)
	p.opt.Mailed(pr.User)
	if pr.watch != nil {
		p.stepWatch(s, pr, presence.Unwished{})
		return
	}
	pr.mail = nil
	p.settle(s, c, pr)
}
