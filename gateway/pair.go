package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/store"
)

// A pair is what is known of a user and a contact: whether the one watches the other, and
// the other the one.
type pair struct {
	Pair

	// The user watches the contact.
	watch   *presence.Watch // nil if it does not
	alarm   *alarm
	held    *presence.Subscribe // waits for its place in the pace
	holding *alarm
	told    presence.Document // what the user was last told
	again   []string          // devices that it is to be told of though nothing is new
	toldAt  time.Time
	telling *alarm
	doing   presence.Activity // that the user was told of

	// The contact watches the user.
	allow    presence.Standing // by the user
	asked    bool              // the user, who has not said
	seen     presence.Document // what the user sent
	watchers map[string]*view  // by the name of the subscription
	place    *presence.Place   // where the user is, as its server says

	mail        *mailState // the pair stands for a mailbox
	publication *publisher // or for a publication
	phone       string     // trunk of the one of the two that is watched and is a phone of ours
	resuming    *alarm

	said     time.Time // when the user was last told, or asked, who may see whom
	before   []string  // devices of the contact that it was told of as gone, of late
	doubted  []string  // devices of the user that may be gone since a gap
	doubting *alarm

	list   Pair               // that serves the watch; zero for none
	turn   int                // of the pair in lists
	wanted presence.Subscribe // of a list, or instead of it

	shownAs Sight // what Follow was last told
	touched bool  // it may have to be told anew
}

// A view is one subscription of a contact.
type view struct {
	w      *presence.Watcher
	name   string // of the contact
	alarms [3]*alarm
}

// A mailState is what is known of a mailbox.
type mailState struct {
	Voicemail
	known bool
	over  bool // nobody wants to know any more
	last  Mailbox
}

// A publisher keeps what a user shows to the gateway published.
type publisher struct {
	m     presence.Publication
	trunk string
	owner Party
	alarm *alarm
}

// A part is the pairs of one shard.
type part struct {
	pairs map[Pair]*pair
	of    map[string][]*pair // by user, and by contact
	busy  map[string]int     // calls, by who is in them
	alone bool               // the XMPP server is away
	owed  []owed

	touched []*pair // in this step, of users who are followed

	rosters map[Pair]*roster

	phones map[string]map[*pair]bool // in which a phone of ours is watched, by its trunk
}

// watches notes that a phone of ours is watched in a pair.
func (c *part) watches(pr *pair, trunk string) {
	pr.phone = trunk
	if c.phones[trunk] == nil {
		c.phones[trunk] = map[*pair]bool{}
	}
	c.phones[trunk][pr] = true
}

func (c *part) add(p Pair) *pair {
	if pr := c.pairs[p]; pr != nil {
		return pr
	}
	pr := &pair{Pair: p}
	c.pairs[p] = pr
	c.of[p.User] = append(c.of[p.User], pr)
	c.of[p.Contact] = append(c.of[p.Contact], pr)
	return pr
}

func (c *part) drop(pr *pair) {
	delete(c.pairs, pr.Pair)
	delete(c.phones[pr.phone], pr)
	if len(c.phones[pr.phone]) == 0 {
		delete(c.phones, pr.phone)
	}
	for _, who := range []string{pr.User, pr.Contact} {
		rest := slices.DeleteFunc(c.of[who], func(o *pair) bool { return o == pr })
		if len(rest) == 0 {
			delete(c.of, who)
		} else {
			c.of[who] = rest
		}
	}
}

// pair returns the pair of that name, which is made if there is none.
func (p *Presences) pair(c *part, of Pair) *pair {
	if c.pairs[of] == nil {
		p.admit(of) // it may have been forgotten since it was let in
	}
	return c.add(of)
}

// step is one step of a shard.
func (p *Presences) step(s *shard, in any) {
	c := p.parts[s.index]
	defer p.follow(c) // when all is as it is to be
	switch in := in.(type) {
	case Presentation:
		if strings.HasPrefix(in.Pair.Contact, publishKey) {
			p.publish(s, in)
			return
		}
		p.presented(s, c, in)
	case watched:
		if pr := c.pairs[in.pair]; pr != nil && pr.watch != nil {
			p.stepWatch(s, pr, in.in)
		}
	case begun:
		p.begin(s, p.pair(c, in.pair), in)
	case refreshed:
		p.stepView(s, c.pairs[in.pair], in.id, presence.Refreshed{Expires: in.expires})
	case lost:
		p.stepView(s, c.pairs[in.pair], in.id, presence.Lost{})
	case polled:
		if pr := c.pairs[in.pair]; pr != nil {
			var first presence.State // it knows the others
			if len(pr.seen) > 0 {
				first = pr.seen[0]
			}
			p.stepView(s, pr, in.id, presence.Seen{State: first})
		}
	case calling:
		p.called(s, c, in)
	case moved:
		for pr := range c.phones[in.trunk] {
			p.look(s, pr)
		}
	case mailed:
		p.mailed(c.pairs[in.pair], in.mail)
	case published:
		if pr := c.pairs[in.pair]; pr != nil && pr.publication != nil {
			p.stepPublication(s, pr, in.in)
		}
	case resume:
		p.resume(s, c, in)
	case located:
		if pr := c.pairs[in.pair]; pr != nil {
			pr.place = in.place
			p.locate(s, pr)
		}
	case unasked:
		p.unask(s, c, c.pairs[in.pair])
	case agreed:
		for _, pr := range c.of[in.user] {
			if pr.User == in.user {
				p.locate(s, pr)
			}
		}
	case joined, parted, listed:
		p.stepList(s, c, in)
	case passed:
		p.fromList(s, c, in)
	case single:
		p.alone(s, c, in)
	case rung:
		p.ring(s, in)
	case gap:
		p.gone(s, c, in)
	case showed:
		if pr := c.pairs[in.pair]; pr != nil && pr.watch != nil {
			pr.told = pr.told.Put(presence.State{Open: true})
			set(s, &pr.telling, rung{pair: pr, what: ofTell}, shownFor)
		}
	case farewells:
		for _, pr := range c.pairs {
			for id := range pr.watchers {
				p.stepView(s, pr, id, presence.Shut{})
			}
		}
		in.done.Done()
	}
}

// ring is an alarm that has gone off.
func (p *Presences) ring(s *shard, in rung) {
	pr := in.pair
	switch in.what {
	case ofWatch:
		p.stepWatch(s, pr, presence.WatchFired{})
	case ofWatcher:
		p.stepView(s, pr, in.id, presence.WatcherFired{Timer: in.timer})
	case ofPace:
		if held := pr.held; held != nil {
			pr.held = nil
			p.send(s, pr, *held)
		}
	case ofTell:
		p.tell(s, pr, false)
	case ofResume:
		if pr.watch != nil {
			p.stepWatch(s, pr, presence.Resumed{})
			if pr.mail != nil {
				p.stepWatch(s, pr, presence.Online{There: true})
			}
		}
	case ofPublication:
		p.stepPublication(s, pr, presence.PublicationFired{})
	case ofReturn:
		p.returned(s, pr, in.anew)
	case ofDoubt:
		p.undoubted(s, pr)
	case ofList:
		p.feed(s, p.parts[s.index], in.list, presence.ListFired{})
	case ofListPace:
		p.sendList(in.list)
	}
}

// set sets one of a pair's alarms, which is made when it is first needed.
func set(s *shard, a **alarm, in rung, after time.Duration) {
	if *a == nil {
		*a = &alarm{in: in}
	}
	s.set(*a, after)
}

// presented takes what a user sent to a contact.
func (p *Presences) presented(s *shard, c *part, in Presentation) {
	pr := p.pair(c, in.Pair)
	switch in.Type {
	case "subscribe":
		if pr.watch == nil {
			pr.watch = presence.NewWatch(presence.None)
			p.count.standing[presence.None].Add(1)
		}
		p.stepWatch(s, pr, presence.Wished{})
	case "unsubscribe":
		if pr.watch == nil {
			p.xmpp.Disallow(pr.Pair)
			p.xmpp.Tell(pr.Pair, presence.State{})
		} else {
			p.stepWatch(s, pr, presence.Unwished{})
		}
	case "probe":
		if pr.watch == nil { // the user's server knows what we have forgotten, or never knew
			pr.watch = presence.NewWatch(presence.Granted)
			p.count.standing[presence.Granted].Add(1)
			p.keep(pr)
		}
		p.stepWatch(s, pr, presence.Asked{})
	case "subscribed":
		pr.asked = false
		if pr.allow != presence.Granted {
			p.allow(pr, presence.Granted)
			p.keep(pr)
			if pr.watch != nil {
				p.stepWatch(s, pr, presence.Opened{})
			}
		}
		p.stepViews(s, pr, presence.Approved{})
	case "unsubscribed":
		// A server also says so of a probe that came before the user was ever asked.
		if pr.asked || pr.allow == presence.Granted {
			pr.asked, pr.seen = false, nil
			p.allow(pr, presence.Denied)
			p.keep(pr)
			p.stepViews(s, pr, presence.Barred{})
		}
	case "error":
		if pr.asked {
			pr.asked = false
			p.stepViews(s, pr, presence.Nobody{})
		}
	case "", "unavailable":
		p.shown(s, c, pr, in.State)
	}
	p.settle(s, c, pr)
}

// shown takes what a user shows of one of its devices.
func (p *Presences) shown(s *shard, c *part, pr *pair, st presence.State) {
	states := []presence.State{st}
	if !st.Open && st.Device == "" { // the user as such is gone
		states = nil
		for _, o := range pr.seen {
			states = append(states, presence.State{Device: o.Device, Since: st.Since})
		}
	}
	for _, st := range states {
		pr.doubted = slices.DeleteFunc(pr.doubted, func(device string) bool { return device == st.Device })
		if len(pr.seen) >= maxSeen && !slices.ContainsFunc(pr.seen, func(o presence.State) bool { return o.Device == st.Device }) {
			continue
		}
		pr.seen = pr.seen.Put(st)
		p.stepViews(s, pr, presence.Seen{State: c.shows(pr.User, st)})
	}
	if pr.watch != nil {
		p.stepWatch(s, pr, presence.Online{There: pr.seen.Open()})
	}
}

// placeOf is where a user is, if the contact may know.
func (p *Presences) placeOf(pr *pair) *presence.Place {
	if pr.place == nil || !p.served.Load().places[p.trunk(pr)] || !p.opt.MayLocate(pr.User) {
		return nil
	}
	return pr.place
}

// locate has all know where a user is who may.
func (p *Presences) locate(s *shard, pr *pair) {
	place := p.placeOf(pr)
	p.mu.Lock()
	if _, known := p.pairs[pr.Pair]; place != nil && known {
		p.places[pr.Pair] = place
	} else {
		delete(p.places, pr.Pair)
	}
	p.mu.Unlock()
	p.stepViews(s, pr, presence.Moved{Place: place})
}

// shows returns what a user's device shows to watchers.
func (c *part) shows(user string, s presence.State) presence.State {
	if c.busy[user] > 0 {
		return s.Busy(presence.Note{})
	}
	return s
}

// stepWatch gives a watch an input, and does what it wants.
func (p *Presences) stepWatch(s *shard, pr *pair, in presence.WatchInput) {
	w := pr.watch
	if w == nil {
		return
	}
	before := w.Standing()
	over, told, sudden := false, false, false
	for _, o := range w.Step(in) {
		switch o := o.(type) {
		case presence.Subscribe:
			p.subscribe(s, pr, o)
		case presence.Wait:
			set(s, &pr.alarm, rung{pair: pr, what: ofWatch}, o.After)
		case presence.Stop:
			s.unset(pr.alarm)
		case presence.Keep:
			p.keep(pr)
		case presence.Over:
			over = true
		case presence.Allow:
			if pr.mail == nil {
				pr.said = time.Now()
				p.xmpp.Allow(pr.Pair)
				if pr.allow == presence.None && !pr.asked {
					// So that the user's devices are seen, for calls, and whether it is there at all.
					pr.asked = true
					p.xmpp.Ask(pr.Pair, "")
				}
			}
		case presence.Disallow:
			sudden = true
			if pr.mail == nil {
				pr.said = time.Now()
				p.xmpp.Disallow(pr.Pair)
			} else {
				p.log.Info("mailbox is not to be asked", "trunk", pr.mail.Trunk)
			}
		case presence.Probe:
			if pr.mail == nil {
				p.xmpp.Look(pr.Pair)
			}
		case presence.Locate:
			p.xmpp.Locate(pr.Pair, o.Place)
		case presence.Tell:
			told = true
			for _, st := range o.States {
				pr.again = append(pr.again, st.Device)
			}
		}
	}
	p.count.standing[before].Add(-1)
	p.touch(pr)
	if over {
		s.unset(pr.holding)
		pr.held = nil
		if pr.list != (Pair{}) {
			p.leave(pr)
		}
		pr.watch = nil
	} else {
		p.count.standing[w.Standing()].Add(1)
	}
	if n, ok := in.(presence.Notified); ok && n.State != "pending" && len(pr.again) > 0 {
		told = true // what it was told before a restart
	}
	saw := slices.Concat(devices(pr.told), pr.again)
	if told || sudden {
		p.tell(s, pr, sudden)
	}
	if over {
		p.parts[s.index].owe(pr, slices.Concat(saw, pr.before))
		pr.before = nil
		p.sees(pr.Pair, false)
		if pr.mail != nil && pr.mail.over {
			pr.mail = nil
		}
		s.unset(pr.telling)
		pr.told, pr.again = nil, nil
		p.settle(s, p.parts[s.index], pr)
	}
}

// tell tells the user what is new of the contact, not more often than once a second.
func (p *Presences) tell(s *shard, pr *pair, sudden bool) {
	if pr.mail != nil || pr.publication != nil || p.parts[s.index].alone {
		return
	}
	if wait := tellPace - time.Since(pr.toldAt); wait > 0 && !sudden {
		if pr.telling == nil || pr.telling.place == 0 {
			set(s, &pr.telling, rung{pair: pr, what: ofTell}, wait)
		}
		return
	}
	var now presence.Document
	if pr.watch != nil {
		now = pr.watch.Known()
		standing := pr.watch.Standing()
		if (standing == presence.Granted || standing == presence.Synthetic) && p.parts[s.index].busy[pr.Contact] > 0 {
			lang := p.xmpp.Language(pr.User)
			now = presence.Busy(now, presence.Note{Lang: lang, Text: p.opt.Words(lang)})
		}
		now = p.worded(pr, now)
	}
	changes := presence.Changes(pr.told, now)
	for _, device := range pr.again {
		is := func(o presence.State) bool { return o.Device == device }
		if slices.ContainsFunc(changes, is) {
			continue
		}
		if i := slices.IndexFunc(now, is); i >= 0 {
			changes = append(changes, now[i])
		} else {
			changes = append(changes, presence.State{Device: device})
		}
	}
	if len(changes) == 0 {
		return
	}
	if now.Open() != pr.told.Open() {
		p.sees(pr.Pair, now.Open())
	}
	other := !slices.Equal(devices(now), devices(pr.told))
	if other {
		pr.left(now)
	}
	pr.told, pr.again, pr.toldAt = now, nil, time.Now()
	p.touch(pr)
	if other {
		p.keep(pr)
	}
	var doing presence.Activity
	for _, st := range now {
		if st.Open && doing == "" {
			doing = st.Activity
		}
	}
	for _, st := range changes {
		p.count.tells.Add(1)
		p.xmpp.Tell(pr.Pair, st)
	}
	if doing != pr.doing {
		pr.doing = doing
		p.xmpp.Doing(pr.Pair, doing)
	}
}

// worded says in words that a device is on the phone, where nothing else is said of it.
func (p *Presences) worded(pr *pair, doc presence.Document) presence.Document {
	for i, st := range doc {
		if st.Open && st.Activity == presence.OnThePhone && len(st.Notes) == 0 {
			doc = slices.Clone(doc)
			lang := p.xmpp.Language(pr.User)
			doc[i].Notes = []presence.Note{{Lang: lang, Text: p.opt.Words(lang)}}
		}
	}
	return doc
}

// subscribe has a SUBSCRIBE sent, or what it would bring come from where it is known.
func (p *Presences) subscribe(s *shard, pr *pair, o presence.Subscribe) {
	if pr.held != nil { // one was not sent yet
		s.unset(pr.holding)
		pr.held = nil
		if o.Expires == 0 {
			p.Watched(pr.Pair, presence.Accepted{})
			return
		}
	}
	trunk := p.trunk(pr)
	if p.Mode(trunk) == PresencePhone && pr.mail == nil {
		p.answer(s, pr, trunk, o.Expires)
		return
	}
	switch {
	case pr.list != (Pair{}) && o.Expires == 0:
		p.leave(pr)
		return
	case o.Expires > 0 && (o.New || pr.list != (Pair{})) && p.join(pr, o):
		return
	}
	p.paced(s, pr, trunk, o)
}

// paced sends a SUBSCRIBE, or has it wait for its place.
func (p *Presences) paced(s *shard, pr *pair, trunk string, o presence.Subscribe) {
	if o.New && o.Expires > 0 {
		if wait := p.pace.wait(trunk); wait > 0 {
			pr.held = &o
			set(s, &pr.holding, rung{pair: pr, what: ofPace}, wait)
			return
		}
	}
	p.send(s, pr, o)
}

// answer is what would come of a SUBSCRIBE for a phone of ours, which the gateway answers
// itself.
func (p *Presences) answer(s *shard, pr *pair, trunk string, expires time.Duration) {
	p.parts[s.index].watches(pr, trunk)
	p.Watched(pr.Pair, presence.Accepted{Expires: expires})
	if expires > 0 {
		p.shards.post(pr.key(), moved{trunk})
	}
}

// look has those of a pair told what a phone of ours shows now.
func (p *Presences) look(s *shard, pr *pair) {
	now, busy := p.sip.Phone(pr.phone)
	if busy && p.opt.OnThePhone && now.Open() {
		now = presence.Busy(now, presence.Note{}) // in words that worded has
	}
	if pr.watch != nil {
		p.stepWatch(s, pr, presence.Notified{State: "active", Holds: true, Now: now})
	}
	if pr.User != pr.phone {
		return
	}
	for _, st := range presence.Changes(pr.seen, now) {
		pr.seen = pr.seen.Put(st)
		p.stepViews(s, pr, presence.Seen{State: st})
	}
}

func (p *Presences) trunk(pr *pair) string {
	if pr.mail != nil {
		return pr.mail.Trunk
	}
	t, err := p.opt.Router.Route(Query{Edge: XMPP, From: Party{JID: pr.User}, To: pr.Contact})
	if err != nil {
		return ""
	}
	return t.Trunk
}

func (p *Presences) send(_ *shard, pr *pair, o presence.Subscribe) {
	p.count.subscribes.Add(1)
	if pr.mail != nil {
		p.sip.Subscribe(Subscription{
			Pair: pr.Pair, Package: PackageMailbox, Trunk: pr.mail.Trunk, From: pr.mail.Owner, To: pr.mail.To, New: o.New, Expires: o.Expires,
		})
		return
	}
	t, err := p.opt.Router.Route(Query{Edge: XMPP, From: Party{JID: pr.User}, To: pr.Contact})
	if err != nil && o.New { // no route leads there any more
		p.Watched(pr.Pair, presence.Refused{Status: 403})
		return
	}
	sub := p.subscription(pr.Pair, t)
	sub.New, sub.Expires = o.New, o.Expires
	p.sip.Subscribe(sub)
}

// subscription is one to a contact that a route leads to.
func (p *Presences) subscription(of Pair, t Target) Subscription {
	sub := Subscription{Pair: of, Package: PackagePresence, Trunk: t.Trunk, From: t.From, To: t.To.URI}
	if p.Mode(t.Trunk) == PresenceDialog {
		sub.Package = PackageDialog
	}
	return sub
}

// begin begins a subscription of a contact.
func (p *Presences) begin(s *shard, pr *pair, in begun) {
	if len(pr.watchers) >= maxWatchers {
		p.count.refused.Add(1)
		p.sip.Answer(in.id, presence.Answer{Status: 403})
		return
	}
	if pr.watchers == nil {
		pr.watchers = map[string]*view{}
	}
	if in.phone != "" { // phones of one gateway see each other
		p.parts[s.index].watches(pr, in.phone)
		w := presence.NewWatcher(presence.Granted)
		p.look(s, pr)
		w.Know(pr.seen, nil)
		pr.watchers[in.id] = &view{w: w, name: in.name}
		p.count.watchers.Add(1)
		p.stepView(s, pr, in.id, presence.Begun{Expires: in.expires})
		return
	}
	w := presence.NewWatcher(pr.allow)
	var known presence.Document
	for _, st := range pr.seen {
		known = known.Put(p.parts[s.index].shows(pr.User, st))
	}
	w.Know(known, p.placeOf(pr))
	pr.watchers[in.id] = &view{w: w, name: in.name}
	p.count.watchers.Add(1)
	p.stepView(s, pr, in.id, presence.Begun{Expires: in.expires})
}

func (p *Presences) stepViews(s *shard, pr *pair, in presence.WatcherInput) {
	p.touch(pr)
	for id := range pr.watchers {
		p.stepView(s, pr, id, in)
	}
}

// stepView gives a watcher an input, and does what it wants.
func (p *Presences) stepView(s *shard, pr *pair, id string, in presence.WatcherInput) {
	if pr == nil || pr.watchers[id] == nil {
		if _, ok := in.(presence.Refreshed); ok {
			p.sip.Answer(id, presence.Answer{Status: 481})
		}
		return
	}
	v := pr.watchers[id]
	for _, o := range v.w.Step(in) {
		switch o := o.(type) {
		case presence.Answer:
			p.sip.Answer(id, o)
		case presence.Notify:
			p.count.notifications[1].Add(1)
			p.sip.Notify(id, o)
		case presence.Ask:
			pr.asked, pr.said = true, time.Now()
			p.xmpp.Ask(pr.Pair, v.name)
		case presence.Look:
			if pr.User == pr.phone {
				p.shards.post(pr.key(), polled{pr.Pair, id})
			} else {
				p.xmpp.Look(pr.Pair)
			}
		case presence.Leave:
			if pr.watch == nil && len(pr.watchers) == 1 && pr.User != pr.phone {
				p.xmpp.Tell(pr.Pair, presence.State{})
			}
		case presence.Start:
			set(s, &v.alarms[o.Timer%3], rung{pair: pr, what: ofWatcher, id: id, timer: o.Timer}, o.After)
		case presence.Halt:
			s.unset(v.alarms[o.Timer%3])
		case presence.Remember:
			if pr.allow != o.Standing {
				p.allow(pr, o.Standing)
				p.keep(pr)
			}
		case presence.Ended:
			for _, a := range v.alarms {
				s.unset(a)
			}
			delete(pr.watchers, id)
			p.count.watchers.Add(-1)
			p.settle(s, p.parts[s.index], pr)
		}
	}
}

// called takes a call that is up, or has ended.
func (p *Presences) called(s *shard, c *part, in calling) {
	for _, who := range []string{in.pair.User, in.pair.Contact} {
		if in.up {
			c.busy[who]++
		} else if c.busy[who]--; c.busy[who] <= 0 {
			delete(c.busy, who)
		}
	}
	for _, pr := range c.of[in.pair.Contact] {
		if pr.Contact == in.pair.Contact && pr.watch != nil {
			p.tell(s, pr, false)
		}
	}
	for _, pr := range c.of[in.pair.User] {
		if pr.User != in.pair.User {
			continue
		}
		for _, st := range pr.seen {
			p.stepViews(s, pr, presence.Seen{State: c.shows(pr.User, st)})
		}
	}
}

// settle forgets a pair that nothing is left of.
func (p *Presences) settle(s *shard, c *part, pr *pair) {
	p.touch(pr)
	if pr.watch != nil || len(pr.watchers) > 0 || pr.allow != presence.None || pr.mail != nil || pr.publication != nil {
		return
	}
	for _, a := range []*alarm{pr.alarm, pr.holding, pr.telling, pr.resuming, pr.doubting} {
		s.unset(a)
	}
	if c.pairs[pr.Pair] == pr {
		c.drop(pr)
		p.dismiss(pr.Pair)
	}
}

// A row is what the store keeps of a pair.
type row struct {
	Watch string   `json:"watch,omitempty"` // how the user's wish to see the contact stands
	Allow string   `json:"allow,omitempty"` // whether the contact may see the user
	Mail  *Mailbox `json:"mail,omitempty"`  // what a mailbox last said
	// Devices are those of the contact that the user sees as open, so that after a restart
	// those that are gone can be said to be.
	Devices []string `json:"devices,omitempty"`
}

// keep has the store keep what must outlive us.
func (p *Presences) keep(pr *pair) {
	var r row
	if pr.watch != nil && pr.mail == nil {
		r.Watch = name(pr.watch.Standing())
	}
	r.Allow = name(pr.allow)
	if pr.mail != nil && pr.mail.known && !pr.mail.over {
		r.Mail = &pr.mail.last
	}
	r.Devices = devices(pr.told)
	if r.Watch == "" && r.Allow == "" && r.Mail == nil && r.Devices == nil {
		p.opt.Store.Delete(store.Subscriptions, pr.key(), nil)
		return
	}
	value, _ := json.Marshal(r) // plain values
	p.opt.Store.Put(store.Row{Kind: store.Subscriptions, Key: pr.key(), Owner: pr.User, Value: value}, nil)
}

// devices are the names of those that are open.
func devices(doc presence.Document) []string {
	var names []string
	for _, s := range doc {
		if s.Open {
			names = append(names, s.Device)
		}
	}
	return names
}

func name(s presence.Standing) string {
	if s == presence.None {
		return ""
	}
	return s.String()
}

// Start takes up what the store has kept, over some time, so that no trunk is flooded, and
// asks the mailboxes. An error is the store's, or ctx's.
func (p *Presences) Start(ctx context.Context) error {
	rows, err := p.opt.Store.Load(ctx, store.Subscriptions)
	if err != nil {
		return err
	}
	kept := map[Pair]*Mailbox{}
	for _, r := range rows {
		var v row
		user, contact, ok := strings.Cut(r.Key, " ")
		if !ok || json.Unmarshal(r.Value, &v) != nil {
			p.log.Warn("a kept subscription cannot be read")
			p.log.Debug("a kept subscription cannot be read", "key", r.Key)
			continue
		}
		of := Pair{User: user, Contact: contact}
		if v.Mail != nil {
			kept[of] = v.Mail
			continue
		}
		if p.admit(of) {
			p.shards.post(of.key(), resume{of, v, nil, len(rows)})
		}
	}
	p.mu.Lock()
	p.kept, p.begun = kept, true
	all := append(p.later, p.mailboxes...)
	p.later = nil
	p.mu.Unlock()
	for _, v := range all {
		p.askAbout(v, len(rows))
	}
	return nil
}

// What stands for a contact where there is none.
const (
	voicemailKey = "/voicemail/"
	publishKey   = "/publish/"
)

// resume takes up one pair.
func (p *Presences) resume(s *shard, c *part, in resume) {
	pr := p.pair(c, in.pair)
	watch, _ := presence.ParseStanding(in.row.Watch)
	allow, _ := presence.ParseStanding(in.row.Allow)
	p.allow(pr, allow)
	if in.voicemail != nil {
		if pr.mail != nil && !pr.mail.over && pr.watch != nil {
			return // it is asked about
		}
		watch = presence.Granted
		pr.mail = &mailState{Voicemail: *in.voicemail}
		if in.row.Mail != nil {
			pr.mail.known, pr.mail.last = true, *in.row.Mail
			p.mu.Lock()
			p.boxes[pr.Pair] = *in.row.Mail
			p.mu.Unlock()
		}
	}
	if watch == presence.None && len(in.row.Devices) > 0 { // we ended between the wish to end it and its end
		p.xmpp.Disallow(pr.Pair)
		for _, device := range in.row.Devices {
			p.xmpp.Tell(pr.Pair, presence.State{Device: device})
		}
		p.keep(pr)
		p.settle(s, c, pr)
		return
	}
	if watch != presence.None && pr.watch == nil {
		pr.watch = presence.NewWatch(watch)
		p.count.standing[watch].Add(1)
		if pr.told = pr.watch.Known(); watch == presence.Granted || watch == presence.Pending {
			pr.again = in.row.Devices
		}
	}
	span := min(p.opt.Spread, time.Duration(in.of)*2*time.Second)
	set(s, &pr.resuming, rung{pair: pr, what: ofResume}, time.Duration(p.opt.Rand()*float64(span)))
}

// Close ends the subscriptions of peers, who may come again, and stops.
func (p *Presences) Close() {
	p.mu.Lock()
	was := p.closed
	p.closed = true
	p.mu.Unlock()
	if was {
		return
	}
	var done sync.WaitGroup
	done.Add(len(p.shards.all))
	p.shards.tell(farewells{&done})
	done.Wait()
	p.shards.close()
}

// mailed takes what a mailbox says now: a change leaves the user one message.
func (p *Presences) mailed(pr *pair, m Mailbox) {
	if pr == nil || pr.mail == nil || pr.mail.over {
		return
	}
	st := pr.mail
	if st.known && st.last == m {
		return
	}
	news := st.known || m.Waiting || m.New > 0
	st.known, st.last = true, m
	p.keep(pr)
	p.mu.Lock()
	p.boxes[pr.Pair] = m
	p.mu.Unlock()
	p.opt.Mailed(pr.User)
	if news {
		p.xmpp.Mail(pr.User, m)
	}
}

// Shown takes presence that a user sent to the gateway itself, which is published.
func (p *Presences) Shown(user string, typ string, st presence.State) {
	for _, trunk := range p.served.Load().publish {
		of := Pair{User: user, Contact: publishKey + trunk}
		if !p.knows(of) && (!st.Open || !p.admit(of)) {
			continue
		}
		p.shards.peer(of.key(), Presentation{Pair: of, Type: typ, State: st})
	}
}

func (p *Presences) publish(s *shard, in Presentation) {
	c := p.parts[s.index]
	pr := p.pair(c, in.Pair)
	if pr.publication == nil {
		trunk := strings.TrimPrefix(in.Pair.Contact, publishKey)
		owner, ok := p.opt.Owner(in.Pair.User, trunk)
		if !ok {
			p.settle(s, c, pr)
			return
		}
		pr.publication = &publisher{trunk: trunk, owner: owner}
	}
	if !in.State.Open && in.State.Device == "" {
		pr.seen = nil
	} else if len(pr.seen) < maxSeen || !in.State.Open {
		pr.seen = pr.seen.Put(in.State)
	}
	p.stepPublication(s, pr, presence.Changed{Now: pr.seen})
}

func (p *Presences) stepPublication(s *shard, pr *pair, in presence.PublicationInput) {
	send, wait := pr.publication.m.Step(in)
	switch {
	case send != nil:
		s.unset(pr.publication.alarm)
		p.sip.Publish(Publication{Pair: pr.Pair, Trunk: pr.publication.trunk, User: pr.publication.owner, Publish: *send})
	case wait > 0:
		set(s, &pr.publication.alarm, rung{pair: pr, what: ofPublication}, wait)
	}
	if pr.publication.m.Idle() {
		s.unset(pr.publication.alarm)
		pr.publication = nil
		p.settle(s, p.parts[s.index], pr)
	}
}
