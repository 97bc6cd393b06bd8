package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
)

// A Reason is why a registration fails.
type Reason uint8

// The reasons.
const (
	NoReason    Reason = iota
	Unreachable        // nobody answers
	Credentials        // the user or the password is wrong
	Refused            // the server says no
	Unavailable        // it cannot now
	Unbound            // it says yes and does not keep our address
)

// A Standing is how the registration of an account fares.
type Standing struct {
	Up     bool
	Failed bool // it was tried and is not up; it is tried again
	Reason Reason
	Status int // of the response that says so; 0 for none
}

// Lines are the SIP side: trunks that are registered with their servers.
type Lines interface {
	// Join adds a trunk for an account. told hears of each change, must not wait, and must
	// not call Lines.
	Join(a Account, told func(Standing)) error
	// Leave takes it away.
	Leave(trunk string)
}

// A Notice says that a user's accounts fare otherwise than before: what [Book.Standing] says.
type Notice struct {
	Owner string
	New   bool // the user's first account was added
	Gone  bool // the user has no account any more
}

// Options say how a book works. Store, Sealer and Lines are needed; the zero value of every
// other field is a working default.
type Options struct {
	Store  store.Store
	Sealer *store.Sealer
	Lines  Lines

	Allow   []string // domains or bare JIDs whose accounts are taken, or "*"; none by default
	Servers []string // domains of servers, with those below them; empty for any
	// Reachable says whether a server that is an IP address may be sent to. By default none
	// may.
	Reachable func(host string) bool
	Max       int           // accounts of one user; default 1
	MaxAll    int           // accounts of all; default 1000
	Patience  time.Duration // for a server to take an account; default 15s
	Keep      time.Duration // that calls are remembered; 0 for not at all

	Numbers func(owner string) []string // that the configuration gives a user
	// TestCall calls a user with an echo; false says that it cannot be. It must not wait.
	TestCall func(owner string) bool
	Dialled  func(owner, number string) bool // whether a user could dial that
	Tell     func(Notice)                    // must not wait
	People   People                          // nil if nobody is known
	// Locates reports whether a user's contacts could be told where the user is; Wished is told
	// of a user whose wishes have changed, and must not wait. By default nobody's, and nobody.
	Locates func(owner string) bool
	Wished  func(owner string)
	// Up is told of an account whose registration has come up, and Gone of one that is removed;
	// they must not wait. By default nobody.
	Up, Gone func(Account)
	Zone     *time.Location // of the times of calls; default the machine's
	Now      func() time.Time
	NewID    func() string // of an account; it cannot be guessed
	Log      *slog.Logger
}

// What is remembered of attempts.
const (
	maxTries  = 6
	triesIn   = 10 * time.Minute
	maxTriers = 4096
	maxUsers  = 65536 // with wishes
)

// A Book holds the accounts and wishes of all users. One goroutine changes it; its methods
// may be called from any.
type Book struct {
	opt  Options
	wake chan struct{}

	queue struct {
		sync.Mutex
		jobs   []func()
		closed bool
	}

	mu       sync.RWMutex // what the goroutine changes and others read
	accounts map[string]*entry
	byOwner  map[string][]string // ids, oldest first
	wishes   map[string]Wishes

	// Of the goroutine.
	trying map[string]*attempt // by owner
	tries  map[string][]time.Time
}

// An entry is an account that is kept.
type entry struct {
	Account
	standing Standing
}

// An attempt is an account that is being checked.
type attempt struct {
	account Account
	done    func(*Problem)
	timer   *time.Timer
	storing bool
}

// wishesKey begins the key of wishes in the store.
const wishesKey = "calling/"

// Open returns a book with what is in the store. [Book.Run] registers the accounts. An
// error is the store's.
func Open(ctx context.Context, o Options) (*Book, error) {
	o = o.withDefaults()
	b := &Book{
		opt: o, wake: make(chan struct{}, 1), accounts: map[string]*entry{}, byOwner: map[string][]string{},
		wishes: map[string]Wishes{}, trying: map[string]*attempt{}, tries: map[string][]time.Time{},
	}
	rows, err := o.Store.Load(ctx, store.Accounts)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		a, err := accountOf(r, o.Sealer)
		if err != nil {
			o.Log.Error("account cannot be read; is it the right key file?", "account", r.Key, "error", err)
			continue
		}
		if p := b.permitted(a); p != nil { // it comes back when it is allowed again
			o.Log.Warn("account is not used: the configuration does not allow it any more", "account", a.ID)
			continue
		}
		b.keep(a)
	}
	if rows, err = o.Store.Load(ctx, store.Settings); err != nil {
		return nil, err
	}
	for _, r := range rows {
		var w Wishes
		if !strings.HasPrefix(r.Key, wishesKey) {
			continue
		}
		if err := json.Unmarshal(r.Value, &w); err == nil {
			b.wishes[r.Owner] = w
		}
	}
	return b, nil
}

func (o Options) withDefaults() Options {
	o.Allow, o.Servers = slices.Clone(o.Allow), slices.Clone(o.Servers)
	for i, who := range o.Allow { // in the form that users' addresses have
		if j, err := translate.ParseJID(who); err == nil {
			o.Allow[i] = j.String()
		}
	}
	for i, s := range o.Servers {
		o.Servers[i] = strings.ToLower(s)
	}
	o.Max, o.MaxAll = cmp.Or(o.Max, 1), cmp.Or(o.MaxAll, 1000)
	o.Patience = cmp.Or(o.Patience, 15*time.Second)
	if o.Reachable == nil {
		o.Reachable = func(string) bool { return false }
	}
	if o.Numbers == nil {
		o.Numbers = func(string) []string { return nil }
	}
	if o.Dialled == nil {
		o.Dialled = func(string, string) bool { return true }
	}
	if o.TestCall == nil {
		o.TestCall = func(string) bool { return false }
	}
	if o.Tell == nil {
		o.Tell = func(Notice) {}
	}
	if o.Up == nil {
		o.Up = func(Account) {}
	}
	if o.Gone == nil {
		o.Gone = func(Account) {}
	}
	if o.Locates == nil {
		o.Locates = func(string) bool { return false }
	}
	if o.Wished == nil {
		o.Wished = func(string) {}
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() string {
			var id [8]byte
			_, _ = rand.Read(id[:]) // never fails (crypto/rand)
			return hex.EncodeToString(id[:])
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Run registers the accounts and does what is asked for until ctx is done.
func (b *Book) Run(ctx context.Context) {
	for i, a := range b.all() {
		time.AfterFunc(time.Duration(i)*pace, func() { b.post(func() { b.rejoin(a) }) })
	}
	for {
		b.queue.Lock()
		jobs := b.queue.jobs
		b.queue.jobs = nil
		b.queue.Unlock()
		for _, job := range jobs {
			job()
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
			b.end()
			return
		}
	}
}

// pace is the time between the first registrations after the start, so that a server with
// many accounts is not flooded.
const pace = 20 * time.Millisecond

// rejoin registers an account that is still there.
func (b *Book) rejoin(a Account) {
	b.mu.RLock()
	_, ok := b.accounts[a.ID]
	b.mu.RUnlock()
	if ok {
		b.join(a)
	}
}

// end answers those who wait.
func (b *Book) end() {
	b.queue.Lock()
	b.queue.closed = true
	jobs := b.queue.jobs
	b.queue.jobs = nil
	b.queue.Unlock()
	for _, job := range jobs {
		job()
	}
	for owner, t := range b.trying {
		t.timer.Stop()
		delete(b.trying, owner)
		t.done(&Problem{Kind: Later, text: goingDown})
	}
}

// post has the goroutine do something. It is false when the book is closed.
func (b *Book) post(job func()) bool {
	b.queue.Lock()
	defer b.queue.Unlock()
	if b.queue.closed {
		return false
	}
	b.queue.jobs = append(b.queue.jobs, job)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// order has the goroutine carry out what a user wants.
func (b *Book) order(done func(Reply), job func()) {
	if !b.post(job) {
		done(Reply{Problem: &Problem{Kind: Later, text: goingDown}})
	}
}

// Commands are what users may order, in the order in which it is shown.
func (b *Book) Commands() []Command { return commands }

// Do carries out a command. done is called once, perhaps later, and must not wait.
func (b *Book) Do(c *Command, ask Ask, done func(Reply)) {
	values, p := c.Check(ask.Values)
	if p != nil {
		done(Reply{Problem: p})
		return
	}
	if p := b.known(ask.Owner); p != nil {
		done(Reply{Problem: p})
		return
	}
	ask.Values = values
	c.run(b, ask, done)
}

// known holds a user to who may use this at all, whatever they have.
func (b *Book) known(owner string) *Problem {
	if b.allowed(owner) || len(b.Accounts(owner)) > 0 {
		return nil
	}
	return &Problem{Kind: Forbidden, text: notAllowed}
}

// Known reports whether a user may have something here.
func (b *Book) Known(owner string) bool { return b.known(owner) == nil }

func (b *Book) allowed(owner string) bool {
	_, domain, _ := strings.Cut(owner, "@")
	return slices.ContainsFunc(b.opt.Allow, func(who string) bool { return who == "*" || who == domain || who == owner })
}

// permitted holds an account to what the configuration says.
func (b *Book) permitted(a Account) *Problem {
	if !b.allowed(a.Owner) {
		return &Problem{Kind: Forbidden, text: notAllowed}
	}
	for _, host := range []string{a.Domain, a.Host} {
		fits := func(s string) bool { return host == s || strings.HasSuffix(host, "."+s) }
		if len(b.opt.Servers) > 0 && !slices.ContainsFunc(b.opt.Servers, fits) {
			return &Problem{Kind: Forbidden, Field: "server", text: notServer}
		}
	}
	if isAddress(a.Host) && !b.opt.Reachable(a.Host) {
		return &Problem{Kind: Forbidden, Field: "server", text: notServer}
	}
	return nil
}

// isAddress reports whether a host is an IP address rather than a name.
func isAddress(host string) bool {
	return strings.HasPrefix(host, "[") || strings.Trim(host, "0123456789.") == ""
}

// try checks an account by a registration, and keeps it if that goes well.
func (b *Book) try(a Account, done func(*Problem)) {
	p := b.permitted(a)
	_, again := b.same(a) // it goes on until the new one is kept
	switch {
	case p != nil:
	case b.trying[a.Owner] != nil:
		p = &Problem{Kind: Later, text: underWay}
	case !again && len(b.Accounts(a.Owner)) >= b.opt.Max:
		p = &Problem{Kind: Forbidden, text: tooMany}
	case !again && len(b.all())+len(b.trying) >= b.opt.MaxAll:
		p = &Problem{Kind: Later, text: full}
	case !b.patient(a.Owner):
		p = &Problem{Kind: Later, text: tooOften}
	}
	if p != nil {
		done(p)
		return
	}
	a.ID = b.opt.NewID()
	t := &attempt{account: a, done: done}
	t.timer = time.AfterFunc(b.opt.Patience, func() {
		b.post(func() { b.tried(t, Standing{Failed: true, Reason: Unreachable}) })
	})
	b.trying[a.Owner] = t
	b.join(a)
}

// join registers an account.
func (b *Book) join(a Account) {
	err := b.opt.Lines.Join(a, func(s Standing) { b.post(func() { b.told(a, s) }) })
	if err != nil {
		b.opt.Log.Warn("account cannot be used", "account", a.ID, "error", err)
		b.post(func() { b.told(a, Standing{Failed: true, Reason: Unavailable}) })
	}
}

// told takes what became of a registration.
func (b *Book) told(a Account, s Standing) {
	if t := b.trying[a.Owner]; t != nil && t.account.ID == a.ID {
		b.tried(t, s)
		return
	}
	b.mu.Lock()
	e := b.accounts[a.ID]
	was := Standing{}
	if e != nil {
		was, e.standing = e.standing, s
	}
	b.mu.Unlock()
	if e != nil && s.Up && !was.Up {
		b.opt.Up(a)
	}
	if e != nil && (s.Up != was.Up || s.Failed && s.Reason != was.Reason) && (s.Up || s.Failed) {
		b.opt.Tell(Notice{Owner: a.Owner})
	}
}

// tried ends an attempt, if it has come to something.
func (b *Book) tried(t *attempt, s Standing) {
	switch {
	case b.trying[t.account.Owner] != t || t.storing || !s.Up && !s.Failed:
		return
	case s.Failed:
		b.opt.Lines.Leave(t.account.Trunk())
		b.over(t, problemOf(s))
		return
	}
	t.storing = true
	t.timer.Stop()
	b.opt.Store.Put(t.account.row(b.opt.Sealer), func(err error) {
		b.post(func() {
			if err != nil {
				b.opt.Log.Error("account not stored", "account", t.account.ID, "error", err)
				b.opt.Lines.Leave(t.account.Trunk())
				b.over(t, &Problem{Kind: Later, text: notKept})
				return
			}
			first := len(b.Accounts(t.account.Owner)) == 0
			if old, ok := b.same(t.account); ok {
				b.forget(old)
			}
			b.mu.Lock()
			b.keep(t.account).standing = s
			b.mu.Unlock()
			b.opt.Log.Info("account added", "account", t.account.ID)
			b.opt.Up(t.account)
			b.over(t, nil)
			b.opt.Tell(Notice{Owner: t.account.Owner, New: first})
		})
	})
}

func (b *Book) over(t *attempt, p *Problem) {
	t.timer.Stop()
	delete(b.trying, t.account.Owner)
	t.done(p)
}

// problemOf says why an account was not taken.
func problemOf(s Standing) *Problem {
	p := &Problem{Kind: Later, text: reasons[s.Reason]}
	switch s.Reason {
	case Credentials:
		p.Kind, p.Field = Wrong, "password"
		return p
	case Refused:
		p.Kind = Wrong
	}
	if s.Status != 0 {
		p.more = "SIP " + strconv.Itoa(s.Status)
	}
	return p
}

// patient reports whether a user may try once more, and counts it.
func (b *Book) patient(owner string) bool {
	now := b.opt.Now()
	if len(b.tries) >= maxTriers {
		for who, at := range b.tries {
			if now.Sub(at[len(at)-1]) > triesIn {
				delete(b.tries, who)
			}
		}
		if len(b.tries) >= maxTriers && b.tries[owner] == nil {
			return false
		}
	}
	at := slices.DeleteFunc(b.tries[owner], func(t time.Time) bool { return now.Sub(t) > triesIn })
	if len(at) >= maxTries {
		b.tries[owner] = at
		return false
	}
	b.tries[owner] = append(at, now)
	return true
}

// keep remembers an account; the caller holds the lock, or is alone.
func (b *Book) keep(a Account) *entry {
	e := &entry{Account: a}
	b.accounts[a.ID] = e
	b.byOwner[a.Owner] = append(b.byOwner[a.Owner], a.ID)
	return e
}

// same returns the account of the same user with the same address.
func (b *Book) same(a Account) (Account, bool) {
	for _, o := range b.Accounts(a.Owner) {
		if o.AOR() == a.AOR() {
			return o, true
		}
	}
	return Account{}, false
}

// chosen returns the account that a user means.
func (b *Book) chosen(owner, title string) (Account, *Problem) {
	all := b.Accounts(owner)
	if title == "" {
		switch len(all) {
		case 0:
			return Account{}, &Problem{Kind: Unknown, text: noAccount}
		case 1:
			return all[0], nil
		}
		return Account{}, &Problem{Kind: Input, Field: "account", text: whichOne}
	}
	title = strings.TrimPrefix(title, "sip:")
	for _, a := range all {
		if strings.EqualFold(a.Title(), title) || a.User == title {
			return a, nil
		}
	}
	return Account{}, &Problem{Kind: Unknown, Field: "account", text: noAccount}
}

// remove takes an account away for good.
func (b *Book) remove(a Account) {
	b.forget(a)
	b.opt.Log.Info("account removed", "account", a.ID)
	b.opt.Tell(Notice{Owner: a.Owner, Gone: len(b.Accounts(a.Owner)) == 0})
}

func (b *Book) forget(a Account) {
	b.mu.Lock()
	delete(b.accounts, a.ID)
	ids := slices.DeleteFunc(b.byOwner[a.Owner], func(id string) bool { return id == a.ID })
	if b.byOwner[a.Owner] = ids; len(ids) == 0 {
		delete(b.byOwner, a.Owner)
	}
	b.mu.Unlock()
	b.opt.Store.Delete(store.Accounts, a.ID, nil)
	b.opt.Gone(a)
	b.opt.Lines.Leave(a.Trunk())
}

// Unregister removes all accounts of a user (XEP-0077 section 3.2). done is told how many.
func (b *Book) Unregister(owner string, done func(int)) {
	b.order(func(Reply) { done(0) }, func() {
		all := b.Accounts(owner)
		for _, a := range all {
			b.remove(a)
		}
		done(len(all))
	})
}

// all returns every account.
func (b *Book) all() []Account {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all []Account
	for _, ids := range b.byOwner {
		for _, id := range ids {
			all = append(all, b.accounts[id].Account)
		}
	}
	return all
}

// Owners returns the users who have accounts.
func (b *Book) Owners() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Collect(maps.Keys(b.byOwner))
}

// Accounts returns the accounts of a user, the oldest first: the one that calls use.
func (b *Book) Accounts(owner string) []Account {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var own []Account
	for _, id := range b.byOwner[owner] {
		own = append(own, b.accounts[id].Account)
	}
	return own
}

// Standing says whether a user has accounts, whether one of them is up, and if not why.
func (b *Book) Standing(owner string, l Lang) (any, up bool, why string) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, id := range b.byOwner[owner] {
		any = true
		s := b.accounts[id].standing
		up = up || s.Up
		if s.Failed {
			why = reasons[s.Reason].In(l)
		}
	}
	return any, up, why
}

// trouble says why an account is not up; empty if it is.
func (b *Book) trouble(id string, l Lang) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if e := b.accounts[id]; e != nil && e.standing.Failed {
		return reasons[e.standing.Reason].In(l)
	}
	return ""
}

// Owner returns whose account a trunk is.
func (b *Book) Owner(trunk string) (Account, bool) {
	id, ok := strings.CutPrefix(trunk, Prefix)
	if !ok {
		return Account{}, false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.accounts[id]
	if e == nil {
		return Account{}, false
	}
	return e.Account, true
}

// Wishes returns how a user wants to be called.
func (b *Book) Wishes(owner string) Wishes {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.wishes[owner]
}

func (b *Book) setWishes(owner string, change func(*Wishes)) *Problem {
	b.mu.Lock()
	w, had := b.wishes[owner]
	change(&w)
	var p *Problem
	switch {
	case w == Wishes{}:
		delete(b.wishes, owner)
	case !had && len(b.wishes) >= maxUsers:
		p = &Problem{Kind: Later, text: full}
	default:
		b.wishes[owner] = w
	}
	b.mu.Unlock()
	if p != nil {
		return p
	}
	defer b.opt.Wished(owner)
	if w == (Wishes{}) {
		b.opt.Store.Delete(store.Settings, wishesKey+owner, nil)
		return nil
	}
	value, _ := json.Marshal(w) // plain values
	b.opt.Store.Put(store.Row{Kind: store.Settings, Key: wishesKey + owner, Owner: owner, Value: value}, nil)
	return nil
}
