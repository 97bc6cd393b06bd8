package gateway

import (
	"slices"

	"sipxmppgw/gateway/presence"
)

// A Sight is what a user and a contact see of each other, for programs of the user's own.
type Sight struct {
	Pair
	Wish    presence.Standing // of the user to see the contact
	Shown   presence.Document // of the contact, as the user was last told
	Grant   presence.Standing // of the user to be seen by the contact
	Showing presence.Document // of the user, as the contact may see it
	Over    bool              // there is nothing between them any more
}

func (v Sight) equal(o Sight) bool {
	same := func(a, b presence.Document) bool { return slices.EqualFunc(a, b, presence.State.Equal) }
	return v.Wish == o.Wish && v.Grant == o.Grant && v.Over == o.Over && same(v.Shown, o.Shown) && same(v.Showing, o.Showing)
}

// touch notes that Follow may have to be told of a pair, when the step it is in is over.
func (p *Presences) touch(pr *pair) {
	if pr.touched || !p.opt.Followed[pr.User] || pr.mail != nil || pr.publication != nil {
		return
	}
	pr.touched = true
	c := p.parts[p.shards.of(pr.key()).index]
	c.touched = append(c.touched, pr)
}

// follow tells Follow of the pairs that are not as it was told before.
func (p *Presences) follow(c *part) {
	for _, pr := range c.touched {
		pr.touched = false
		v := Sight{Pair: pr.Pair, Grant: pr.allow, Over: c.pairs[pr.Pair] != pr}
		if pr.watch != nil {
			v.Wish = pr.watch.Standing()
		}
		if v.Wish != presence.None {
			v.Shown = pr.told
		}
		if pr.allow == presence.Granted {
			for _, st := range pr.seen {
				v.Showing = append(v.Showing, c.shows(pr.User, st))
			}
		}
		if v.equal(pr.shownAs) || v.Over && pr.shownAs.Pair == (Pair{}) {
			continue
		}
		pr.shownAs = v
		p.opt.Follow(v)
	}
	c.touched = c.touched[:0]
}
