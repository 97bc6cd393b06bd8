package gateway

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/store"
)

// A PresenceMode is how presence is asked of a trunk.
type PresenceMode uint8

const (
	PresenceOff    PresenceMode = iota // not at all: every contact is there, so that it can be called
	PresenceOn                         // by the presence package (RFC 3856), both ways
	PresenceDialog                     // whether there is a call, by the dialog package (RFC 4235)
	PresencePhone                      // it is a phone of ours, of which the edge itself knows
)

// The event packages (RFC 6665 section 8.2).
const (
	PackagePresence = "presence"
	PackageDialog   = "dialog"
	PackageMailbox  = "message-summary"
)

// A Pair is a user of XMPP and a SIP contact, both as bare JIDs.
type Pair struct{ User, Contact string }

func (p Pair) key() string { return p.User + " " + p.Contact }

// A Subscription is a SUBSCRIBE of ours to be sent.
type Subscription struct {
	Pair    Pair // what names it, together with the package
	Package string
	Trunk   string
	From    Party         // who watches
	To      string        // URI of who is watched
	New     bool          // in a dialog of its own, even if there is one
	Expires time.Duration // 0 ends it
	List    bool          // To is a list of resources; what comes of it is given to [Presences.Listed]
}

// A Publication is a PUBLISH of ours to be sent.
type Publication struct {
	Pair  Pair
	Trunk string
	User  Party
	presence.Publish
}

// A Mailbox is what waits in a mailbox (RFC 3842).
type Mailbox struct {
	Waiting          bool
	Account          string // URI to call for it; may be empty
	New, Old, Urgent int
}

// A PresenceSIP is the SIP edge as presence sees it. No method blocks. What comes of them is
// given to [Presences].
type PresenceSIP interface {
	Subscribe(Subscription)
	// Answer answers the SUBSCRIBE that waits in a subscription of a peer, and Notify sends a
	// NOTIFY in it.
	Answer(id string, a presence.Answer)
	Notify(id string, n presence.Notify)
	Publish(Publication)
	// Phone returns what a phone of ours shows of itself, and whether it is on the phone.
	Phone(trunk string) (now presence.Document, busy bool)
}

// A PresenceXMPP is the XMPP edge as presence sees it. No method blocks.
type PresenceXMPP interface {
	// Allow, Disallow, Ask and Look send subscribed, unsubscribed, subscribe and a probe from
	// the contact to the user. The name is the contact's own, and may be empty.
	Allow(Pair)
	Disallow(Pair)
	Ask(p Pair, name string)
	Look(Pair)
	// Tell sends presence of one of the contact's devices to the user.
	Tell(Pair, presence.State)
	// Doing sends what the contact does (XEP-0108); empty for nothing any more.
	Doing(Pair, presence.Activity)
	// Locate sends where the contact is (XEP-0080); nil for nowhere any more.
	Locate(Pair, *presence.Place)
	// Mail and Missed leave the user a message.
	Mail(user string, m Mailbox)
	Missed(user string, r Record)
	// Language is that of a user, as far as it is known.
	Language(user string) string
}

// A Voicemail is a mailbox of a user at a trunk.
type Voicemail struct {
	User  string // bare JID
	Trunk string
	Owner Party  // whose it is, as the trunk knows them
	To    string // URI of the mailbox
}

// PresenceOptions say how presence works. Router and Trunks are needed.
type PresenceOptions struct {
	Router interface {
		Route(Query) (Target, error) // as that of [Router]
	}
	Trunks map[string]PresenceMode // by trunk; those that are not named are off
	// Lists are the lists of contacts that trunks keep, by trunk. Default: none.
	Lists map[string]PresenceList
	Store store.Store // default: a [store.Memory]
	// OnThePhone says that calls through the gateway are presence of those who are in them.
	OnThePhone bool
	// Words are what is said of someone on the phone, in a language.
	Words func(language string) string
	// Voicemails are the mailboxes to ask about, until [Presences.Mailboxes] says others.
	Voicemails []Voicemail
	// Publish names the trunks that are told of users who show themselves to the gateway, and
	// Owner returns who a user is there; false if nobody.
	Publish []string
	Owner   func(user, trunk string) (Party, bool)
	// Places are the trunks whose contacts may know where users are who have agreed to it, as
	// MayLocate says of a user. Default: nobody knows.
	Places    map[string]bool
	MayLocate func(user string) bool
	// Barred is told of users who do not let a contact see them any more, and Mailed of those
	// whose mailbox has changed; neither may wait.
	Barred func(user string)
	Mailed func(user string)
	// Followed are users, by bare JID, and Follow is told of all that changes between them and
	// their contacts; it may not wait. Default: nobody.
	Followed map[string]bool
	Follow   func(Sight)
	// MaxUser is how many contacts one user may watch. Default 200. Max is how many pairs
	// there may be. Default 20000.
	MaxUser, Max int
	// Rate is how many SUBSCRIBEs a second one trunk is sent. Default 5.
	Rate float64
	// Spread is the time over which everything is asked anew after a start. Default 5m.
	Spread time.Duration
	// Rand returns a number from 0 to 1. Default: math/rand's.
	Rand func() float64
	// Now is the clock of documents. Default [time.Now].
	Now func() time.Time
	Log *slog.Logger // default: none
}

// The bounds of one pair.
const (
	maxWatchers = 8  // SIP subscriptions
	maxSeen     = 16 // devices of the user
	tellPace    = time.Second
	shownFor    = time.Minute // a contact who calls, and is not there by its own account
)

// Presences is who sees whose presence: one pair of the machines of gateway/presence for each
// user and contact. Its methods may be called from any goroutine and do not block.
type Presences struct {
	opt    PresenceOptions
	log    *slog.Logger
	shards *shards
	parts  []*part // of the shards
	pace   *pace
	sip    PresenceSIP
	xmpp   PresenceXMPP
	served atomic.Pointer[servedTrunks]
	ready  atomic.Bool
	gap    atomic.Int64 // when the XMPP server went away, in nanoseconds; 0 while it is there
	count  presenceCounters

	mu        sync.RWMutex
	pairs     map[Pair]bool            // whether the user sees an open device of the contact
	boxes     map[Pair]Mailbox         // what is known of mailboxes, by the pair that stands for each
	grants    map[Pair]bool            // the user lets the contact see it
	byUser    map[string]int           // contacts that a user watches
	places    map[Pair]*presence.Place // of users, as far as the contact may know
	kept      map[Pair]*Mailbox        // what mailboxes said that nobody has asked about since the start
	later     []Voicemail              // to be asked about after the start
	mailboxes []Voicemail              // of the options
	begun     bool                     // Start has loaded what was kept
	closed    bool
}

// presenceCounters are what the metrics say.
type presenceCounters struct {
	standing      [5]atomic.Int64 // watches, by standing
	watchers      atomic.Int64
	notifications [2]atomic.Int64 // received and sent
	subscribes    atomic.Int64
	tells         atomic.Int64
	refused       atomic.Int64 // for want of room
	lists, listed atomic.Int64 // subscriptions to lists, and watches that they serve
}

const presenceShards = 8

// NewPresences returns presence without edges. SetEdges gives it them, and Start begins.
func NewPresences(opt PresenceOptions) *Presences {
	if opt.Store == nil {
		opt.Store = &store.Memory{}
	}
	if opt.Words == nil {
		opt.Words = func(string) string { return "" }
	}
	if opt.Barred == nil {
		opt.Barred = func(string) {}
	}
	if opt.Mailed == nil {
		opt.Mailed = func(string) {}
	}
	if opt.MaxUser == 0 {
		opt.MaxUser = 200
	}
	if opt.Max == 0 {
		opt.Max = 20000
	}
	if opt.Rate == 0 {
		opt.Rate = 5
	}
	if opt.Spread == 0 {
		opt.Spread = 5 * time.Minute
	}
	if opt.Rand == nil {
		opt.Rand = random
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	p := &Presences{
		opt: opt, log: opt.Log, pace: newPace(opt.Rate), pairs: map[Pair]bool{}, grants: map[Pair]bool{}, boxes: map[Pair]Mailbox{}, byUser: map[string]int{},
		places: map[Pair]*presence.Place{}, mailboxes: opt.Voicemails,
	}
	p.Serve(opt.Trunks, opt.Places, opt.Lists, opt.Publish)
	for range presenceShards {
		p.parts = append(p.parts, &part{
			pairs: map[Pair]*pair{}, of: map[string][]*pair{}, busy: map[string]int{}, phones: map[string]map[*pair]bool{}, rosters: map[Pair]*roster{},
		})
	}
	p.shards = newShards(presenceShards, p.step)
	return p
}

// Mode returns how presence is asked of a trunk.
func (p *Presences) Mode(trunk string) PresenceMode { return p.served.Load().modes[trunk] }

// Answers reports whether presence gets on, before ctx is done.
func (p *Presences) Answers(ctx context.Context) bool { return p.shards.answers(ctx) }

// servedTrunks are the trunks of the options.
type servedTrunks struct {
	modes   map[string]PresenceMode
	places  map[string]bool
	lists   map[string]PresenceList
	publish []string
	any     bool // has presence
}

// Serve has other trunks have presence from now on, know where users are, keep lists, and be told
// of users, than the options say. What was published at one that is told no more is taken back; one
// that is told now hears of a user when something changes.
func (p *Presences) Serve(modes map[string]PresenceMode, places map[string]bool, lists map[string]PresenceList, publish []string) {
	w := &servedTrunks{modes: modes, places: places, lists: lists, publish: publish}
	for _, mode := range modes {
		w.any = w.any || mode != PresenceOff
	}
	p.served.Store(w)
	for _, of := range p.publishedElsewhere(publish) {
		p.shards.post(of.key(), Presentation{Pair: of})
	}
}

// publishedElsewhere are what stands for users at trunks that are told of them, but for some.
func (p *Presences) publishedElsewhere(than []string) (all []Pair) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for of := range p.pairs {
		if trunk, ok := strings.CutPrefix(of.Contact, publishKey); ok && !slices.Contains(than, trunk) {
			all = append(all, of)
		}
	}
	return all
}

// SetEdges gives presence its edges, before Start. Peers that come before are sent away.
func (p *Presences) SetEdges(sip PresenceSIP, xmpp PresenceXMPP) {
	p.sip, p.xmpp = sip, xmpp
	p.ready.Store(true)
}

// A Presentation is what an XMPP user sent to a contact.
type Presentation struct {
	Pair  Pair
	Type  string         // of the stanza; empty for an available device
	State presence.State // of the device, if Type is empty or unavailable
}

// A Taken says what became of a Presentation.
type Taken uint8

const (
	NotOurs Taken = iota // the contact has no presence of its own
	Ours
	TooMany // the user watches too many, or everybody together
)

// FromUser takes presence that a user sent to a contact.
func (p *Presences) FromUser(in Presentation) Taken {
	known := p.knows(in.Pair)
	if !known {
		if !p.serves(in.Pair) {
			return NotOurs
		}
		switch in.Type {
		case "subscribe", "probe":
			if !p.admit(in.Pair) {
				p.count.refused.Add(1)
				return TooMany
			}
		case "":
			return NotOurs // a device that looks for one to call
		default:
			return Ours // nothing that could change is known
		}
	}
	if !p.shards.peer(in.Pair.key(), in) {
		if !known {
			p.dismiss(in.Pair)
		}
		return TooMany
	}
	return Ours
}

// serves reports whether a contact is at a trunk with presence.
func (p *Presences) serves(pair Pair) bool {
	if !p.served.Load().any {
		return false
	}
	t, err := p.opt.Router.Route(Query{Edge: XMPP, From: Party{JID: pair.User}, To: pair.Contact})
	return err == nil && p.Mode(t.Trunk) != PresenceOff
}

func (p *Presences) knows(pair Pair) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.pairs[pair]
	return ok
}

// Sees reports whether a user sees a contact that is open. Where it does not, although it
// watches the contact, what it is shown of it all the same, for a call, is taken back later.
func (p *Presences) Sees(pair Pair) bool {
	p.mu.RLock()
	open, known := p.pairs[pair]
	p.mu.RUnlock()
	if known && !open {
		p.shards.post(pair.key(), showed{pair})
	}
	return open
}

// Allows reports whether a user lets a contact see it.
func (p *Presences) Allows(pair Pair) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.grants[pair]
}

// Mailbox returns what waits for a user in all mailboxes that are known of; has is false if the
// user has none, and known if none has said anything yet.
func (p *Presences) Mailbox(user string) (m Mailbox, known, has bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, v := range p.mailboxes {
		has = has || v.User == user
	}
	for of, one := range p.boxes {
		if of.User != user {
			continue
		}
		known, has = true, true
		m.Waiting = m.Waiting || one.Waiting
		m.New, m.Old, m.Urgent = m.New+one.New, m.Old+one.Old, m.Urgent+one.Urgent
		if m.Account == "" || one.Waiting {
			m.Account = one.Account
		}
	}
	return m, known, has
}

// allow notes what a user allows a contact.
func (p *Presences) allow(pr *pair, s presence.Standing) {
	pr.allow = s
	p.touch(pr)
	p.mu.Lock()
	was := p.grants[pr.Pair]
	if s == presence.Granted {
		p.grants[pr.Pair] = true
	} else {
		delete(p.grants, pr.Pair)
	}
	p.mu.Unlock()
	if was && s != presence.Granted {
		p.opt.Barred(pr.User)
	}
}

// sees notes what Sees says.
func (p *Presences) sees(pair Pair, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.pairs[pair]; known {
		p.pairs[pair] = open
	}
}

// admit makes room for a pair.
func (p *Presences) admit(pair Pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.pairs[pair]; ok {
		return true
	}
	if p.closed || len(p.pairs) >= p.opt.Max || p.byUser[pair.User] >= p.opt.MaxUser {
		return false
	}
	p.pairs[pair] = false
	p.byUser[pair.User]++
	return true
}

func (p *Presences) dismiss(pair Pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.pairs[pair]; !ok {
		return
	}
	delete(p.pairs, pair)
	delete(p.places, pair)
	if p.byUser[pair.User]--; p.byUser[pair.User] == 0 {
		delete(p.byUser, pair.User)
	}
}

// Watched takes what became of a subscription of ours.
func (p *Presences) Watched(pair Pair, in presence.WatchInput) {
	if strings.HasPrefix(pair.Contact, listKey) {
		p.answeredList(pair, in)
		return
	}
	if _, ok := in.(presence.Notified); ok {
		p.count.notifications[0].Add(1)
		p.shards.peer(pair.key(), watched{pair, in})
		return
	}
	p.shards.post(pair.key(), watched{pair, in})
}

// Mailed takes what a mailbox reports.
func (p *Presences) Mailed(pair Pair, m Mailbox) { p.shards.peer(pair.key(), mailed{pair, m}) }

// Published takes what became of a publication of ours.
func (p *Presences) Published(pair Pair, in presence.PublicationInput) {
	p.shards.post(pair.key(), published{pair, in})
}

// A Watching is a SUBSCRIBE of a peer that begins a subscription.
type Watching struct {
	ID      string // what names it from now on
	Query   Query
	Expires time.Duration
}

// Begin takes a new subscription of a peer, and returns who watches whom. An error is a
// [*call.Refusal]; then it is not begun, and Answer will not be called.
func (p *Presences) Begin(w Watching) (Pair, error) {
	if !p.ready.Load() {
		return Pair{}, overloaded
	}
	t, err := p.opt.Router.Route(w.Query)
	if err != nil {
		return Pair{}, err
	}
	pair := Pair{User: bareJID(t.To.JID), Contact: bareJID(t.From.JID)}
	phone := ""
	if t.Edge == SIP {
		if p.Mode(t.Trunk) != PresencePhone || p.Mode(w.Query.Trunk) != PresencePhone {
			return Pair{}, &call.Refusal{Cause: call.NotFound, Detail: call.Detail{Text: "nobody here has this address"}}
		}
		phone, pair.User = t.Trunk, t.Trunk
	}
	if t.From.Anonymous {
		return Pair{}, forbidden("nobody can be asked who is anonymous")
	}
	known := p.knows(pair)
	if !p.admit(pair) {
		p.count.refused.Add(1)
		return Pair{}, overloaded
	}
	if !p.shards.peer(pair.key(), begun{pair, w.ID, t.From.Name, w.Expires, phone}) {
		if !known {
			p.dismiss(pair)
		}
		return Pair{}, overloaded
	}
	return pair, nil
}

// Refresh takes a SUBSCRIBE within a subscription of a peer; Answer answers it.
func (p *Presences) Refresh(pair Pair, id string, expires time.Duration) {
	p.shards.post(pair.key(), refreshed{pair, id, expires})
}

// Lost says that a peer does not know a subscription of its own any more.
func (p *Presences) Lost(pair Pair, id string) { p.shards.post(pair.key(), lost{pair, id}) }

// Located takes where a user is, as its server tells a contact; nil for nowhere any more. It goes
// no further than this unless the user has agreed.
func (p *Presences) Located(pair Pair, place *presence.Place) {
	if p.opt.MayLocate != nil && p.knows(pair) {
		p.shards.peer(pair.key(), located{pair, place})
	}
}

// Agreed says that a user has said anew whether contacts may know where they are.
func (p *Presences) Agreed(user string) { p.shards.tell(agreed{user}) }

// Place is where a user is, as far as a contact may know now; nil for nowhere.
func (p *Presences) Place(pair Pair) *presence.Place {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.places[pair]
}

// Moved says that a phone of ours shows something else of itself, or may.
func (p *Presences) Moved(trunk string) { p.shards.tell(moved{trunk}) }

// Calling says that a call between a user and a contact is up, or has ended.
func (p *Presences) Calling(pair Pair, up bool) {
	if p.opt.OnThePhone {
		p.shards.tell(calling{pair, up})
	}
}

// What a shard is given.
type (
	watched struct {
		pair Pair
		in   presence.WatchInput
	}
	mailed struct {
		pair Pair
		mail Mailbox
	}
	published struct {
		pair Pair
		in   presence.PublicationInput
	}
	begun struct {
		pair    Pair
		id      string
		name    string
		expires time.Duration
		phone   string // who is watched, if that is a phone of ours
	}
	refreshed struct {
		pair    Pair
		id      string
		expires time.Duration
	}
	lost struct {
		pair Pair
		id   string
	}
	moved struct{ trunk string }
	// polled is the answer to a watcher that wants to know what is so now of a phone of ours.
	polled struct {
		pair Pair
		id   string
	}
	calling struct {
		pair Pair
		up   bool
	}
	resume struct {
		pair      Pair
		row       row
		voicemail *Voicemail // the pair stands for that
		of        int        // how many there are
	}
	located struct {
		pair  Pair
		place *presence.Place
	}
	unasked   struct{ pair Pair }
	agreed    struct{ user string }
	showed    struct{ pair Pair }
	farewells struct{ done *sync.WaitGroup }
	// rung is an alarm of a pair.
	rung struct {
		pair  *pair
		what  purpose
		id    string // of the watcher
		timer presence.WatcherTimer
		anew  bool // after a gap: what was said last is to be said again
		list  *roster
	}
)

// What an alarm is for.
type purpose uint8

const (
	ofWatch       purpose = iota // the watch's own
	ofWatcher                    // a watcher's own
	ofPace                       // a SUBSCRIBE may be sent now
	ofTell                       // the user may be told again
	ofResume                     // it is the pair's turn after a start
	ofPublication                // the publication's own
	ofReturn                     // it is the pair's turn after a gap
	ofDoubt                      // devices that nobody spoke of after it are gone
	ofList                       // a list's own
	ofListPace                   // a SUBSCRIBE to a list may be sent now
)
