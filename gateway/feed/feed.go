// Package feed is a stream of what happens to chosen users, for web applications of theirs: what
// they and their contacts show of themselves, and the calls they are in. It reads, and orders
// nothing.
//
// Over HTTP, for who knows the user's token (RFC 6750, in the header Authorization alone):
//
//	GET /users/JID          how everything is now, as JSON
//	GET /users/JID/events   the same as the event "now", then "contact", "devices" and "call" as
//	                        they change (server-sent events)
//
// Whoever reads too slowly is sent away, and is told how everything is when it comes again.
package feed

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/gateway/web"
)

// Options are what a feed tells, and to whom.
type Options struct {
	// Users are the tokens of those who are followed, by bare JID.
	Users map[string]string
	// Hosts are names that it is reached by, beside addresses and localhost.
	Hosts []string
	// Origins are web sites whose pages may read it, such as https://app.example.org.
	Origins []string
	Log     *slog.Logger
}

// The bounds of what is kept of one user.
const (
	maxReaders = 16 // streams
	maxWaiting = 64 // events that a reader has not taken
	maxEnded   = 20 // calls
)

// A Device is one of a person's devices that is there, and what it shows.
type Device struct {
	Name     string    `json:"name"`
	Show     string    `json:"show,omitempty"` // RFC 6121 section 4.7.2.1
	Text     string    `json:"text,omitempty"`
	Activity string    `json:"activity,omitempty"` // RFC 4480 section 3.2, such as on-the-phone
	Priority int       `json:"priority"`
	Idle     time.Time `json:"idle_since,omitzero"`
}

// A Contact is someone on the SIP side whom the user sees, or who sees the user.
type Contact struct {
	JID     string   `json:"jid"`
	Address string   `json:"address"` // number, or SIP address without its scheme
	Wish    string   `json:"wish"`    // of the user to see it: none, pending, granted, synthetic or denied
	Grant   string   `json:"grant"`   // of the user to be seen by it: likewise
	Open    bool     `json:"open"`    // it can be called
	Devices []Device `json:"devices"`
	Over    bool     `json:"over,omitempty"` // it is a contact no more
}

// The states of a call.
const (
	Calling = "calling"
	Ringing = "ringing"
	Active  = "active"
	Ended   = "ended"
)

// A Call is one that the user is in, or was.
type Call struct {
	ID       string     `json:"call"`
	Incoming bool       `json:"incoming"`
	With     string     `json:"with,omitempty"`    // JID; empty if who calls is not to be known
	Address  string     `json:"address,omitempty"` // of the same, as in Contact
	Name     string     `json:"name,omitempty"`
	State    string     `json:"state"`
	Began    time.Time  `json:"began"`
	Answered *time.Time `json:"answered,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
	Outcome  string     `json:"outcome,omitempty"` // how it ended, in the words of call records
}

// A Now is how everything is.
type Now struct {
	User     string    `json:"user"`
	Devices  []Device  `json:"devices"`
	Contacts []Contact `json:"contacts"` // in the order of their JIDs
	Calls    []Call    `json:"calls"`    // the last ones, oldest first
}

// A Feed is what is known of users who are followed. Its methods may be called from any goroutine
// and do not wait.
type Feed struct {
	o     Options
	users map[string]*user

	strangers web.Strangers
}

// A user is one who is followed.
type user struct {
	name, token string

	mu       sync.Mutex
	contacts map[string]Contact
	seen     map[string]presence.Document // of the user, by contact
	devices  []Device
	calls    []Call
	readers  map[chan event]bool
	closed   bool
}

// An event is what readers are sent.
type event struct {
	name string
	data []byte
}

// New returns a feed. It is told what happens by Sight and Call.
func New(o Options) *Feed {
	f := &Feed{o: o, users: map[string]*user{}}
	for name, token := range o.Users {
		f.users[name] = &user{
			name: name, token: token, contacts: map[string]Contact{}, seen: map[string]presence.Document{}, readers: map[chan event]bool{},
		}
	}
	return f
}

// Followed are the users whom it wants to know of.
func (f *Feed) Followed() map[string]bool {
	all := map[string]bool{}
	for name := range f.users {
		all[name] = true
	}
	return all
}

// Sight takes what a user and a contact see of each other.
func (f *Feed) Sight(s gateway.Sight) {
	u := f.users[s.User]
	if u == nil {
		return
	}
	c := Contact{
		JID: s.Contact, Address: address(s.Contact), Wish: s.Wish.String(), Grant: s.Grant.String(), Open: s.Shown.Open(), Devices: devicesOf(s.Shown), Over: s.Over,
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.Over {
		delete(u.contacts, c.JID)
		delete(u.seen, c.JID)
	} else {
		u.contacts[c.JID], u.seen[c.JID] = c, s.Showing
	}
	u.tell("contact", c)
	var all presence.Document
	for _, doc := range u.seen {
		for _, st := range doc {
			all = all.Put(st)
		}
	}
	if now := devicesOf(all); !slices.Equal(now, u.devices) {
		u.devices = now
		u.tell("devices", now)
	}
}

// Call takes a call that has come to another state.
func (f *Feed) Call(r gateway.Record) {
	caller, callee := bare(r.Caller.JID), bare(r.Callee.JID)
	for name, u := range f.users {
		switch name {
		case caller:
			u.call(callOf(r, r.Callee, false))
		case callee:
			u.call(callOf(r, r.Caller, true))
		default:
			u.leave(string(r.Call), time.Now())
		}
	}
}

func callOf(r gateway.Record, with gateway.Party, incoming bool) Call {
	c := Call{ID: string(r.Call), Incoming: incoming, Began: stamp(r.Attempt), State: Calling, Answered: moment(r.Answered), Ended: moment(r.Ended)}
	if !with.Anonymous {
		c.With, c.Name = bare(with.JID), with.Name
		c.Address = cmp.Or(address(c.With), with.URI)
	}
	switch {
	case !r.Ended.IsZero():
		c.State, c.Outcome = Ended, r.Cause.String()
	case !r.Answered.IsZero():
		c.State = Active
	case r.State == call.Ringing:
		c.State = Ringing
	}
	return c
}

// call notes a call of the user's.
func (u *user) call(c Call) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(u.calls, func(o Call) bool { return o.ID == c.ID })
	switch {
	case i < 0:
		u.calls = append(u.calls, c)
		u.prune()
	case u.calls[i].same(c):
		return
	default:
		u.calls[i] = c
	}
	u.tell("call", c)
}

func (c Call) same(o Call) bool { return c.State == o.State && c.With == o.With && c.Name == o.Name }

// leave notes that a call is another's now: it was handed over.
func (u *user) leave(id string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(u.calls, func(o Call) bool { return o.ID == id && o.State != Ended })
	if i < 0 {
		return
	}
	u.calls[i].State, u.calls[i].Ended, u.calls[i].Outcome = Ended, moment(now), "handed over"
	u.tell("call", u.calls[i])
}

// prune forgets the oldest calls that have ended, if there are too many.
func (u *user) prune() {
	ended := 0
	for _, c := range u.calls {
		if c.State == Ended {
			ended++
		}
	}
	u.calls = slices.DeleteFunc(u.calls, func(c Call) bool {
		if c.State != Ended || ended <= maxEnded {
			return false
		}
		ended--
		return true
	})
}

// tell has all readers know. One that has not taken what it was told before is sent away.
func (u *user) tell(name string, v any) {
	if len(u.readers) == 0 {
		return
	}
	b, _ := json.Marshal(v) // plain values
	for ch := range u.readers {
		select {
		case ch <- event{name, b}:
		default:
			delete(u.readers, ch)
			close(ch)
		}
	}
}

// now is how everything is. The user is locked.
func (u *user) now() Now {
	n := Now{User: u.name, Devices: u.devices, Contacts: []Contact{}, Calls: slices.Clone(u.calls)}
	for _, c := range u.contacts {
		n.Contacts = append(n.Contacts, c)
	}
	slices.SortFunc(n.Contacts, func(a, b Contact) int { return strings.Compare(a.JID, b.JID) })
	if n.Devices == nil {
		n.Devices = []Device{}
	}
	if n.Calls == nil {
		n.Calls = []Call{}
	}
	return n
}

// join adds a reader, who is told how everything is first; nil if there are too many.
func (u *user) join() chan event {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || len(u.readers) >= maxReaders {
		return nil
	}
	ch := make(chan event, maxWaiting)
	b, _ := json.Marshal(u.now()) // plain values
	ch <- event{"now", b}
	u.readers[ch] = true
	return ch
}

func (u *user) part(ch chan event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.readers[ch] {
		delete(u.readers, ch)
		close(ch)
	}
}

// Close sends all readers away.
func (f *Feed) Close() {
	for _, u := range f.users {
		u.mu.Lock()
		u.closed = true
		for ch := range u.readers {
			close(ch)
		}
		clear(u.readers)
		u.mu.Unlock()
	}
}

func devicesOf(doc presence.Document) []Device {
	all := []Device{}
	for _, s := range doc {
		if !s.Open {
			continue
		}
		d := Device{Name: s.Device, Show: s.Show.String(), Priority: s.Priority, Activity: string(s.Activity), Idle: stamp(s.Idle)}
		if len(s.Notes) > 0 {
			d.Text = s.Notes[0].Text
		}
		all = append(all, d)
	}
	return all
}

// address is whom a JID of the gateway's means: a number, or a SIP address.
func address(jid string) string {
	local, _, found := strings.Cut(jid, "@")
	if !found {
		return ""
	}
	return translate.Unescape(local)
}

func bare(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}

func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = stamp(t)
	return &t
}
