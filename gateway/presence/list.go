package presence

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A ListInput is what happens to a list.
type ListInput interface{ listInput() }

type (
	// Joined says that a watch wants what it would get of a SUBSCRIBE of its own. It is to be said
	// again before [Hour] is over.
	Joined struct {
		Member  string // names the watch
		Address string // of its contact, as in [Item]
		Alias   string // another of the same contact; may be empty
	}
	// Parted says that a watch does not want it any more.
	Parted struct{ Member string }
	// ListAccepted is a 2xx to our SUBSCRIBE to the list.
	ListAccepted struct{ Expires time.Duration }
	// ListRefused is another final response; Status is 0 if none came, and 420 also stands for a
	// notification that is none of a list.
	ListRefused struct {
		Status int
		Least  time.Duration // Min-Expires
		Later  time.Duration // Retry-After
	}
	// Listed is a NOTIFY of a list.
	Listed struct {
		State   string        // as in [Notified]
		Reason  string        // of terminated
		Later   time.Duration // retry-after
		Expires time.Duration // 0 if it does not say
		Holds   bool          // it has a list
		Full    bool          // all of it, and not what is new
		Items   []Item
	}
	// ListFired says that the list's timer has run out.
	ListFired struct{}
)

func (Joined) listInput()       {}
func (Parted) listInput()       {}
func (ListAccepted) listInput() {}
func (ListRefused) listInput()  {}
func (Listed) listInput()       {}
func (ListFired) listInput()    {}

// An Item is one resource of a list.
type Item struct {
	Address string
	// State is that of the subscription to it on the list's side: active, pending or terminated;
	// empty if there is none yet.
	State  string
	Reason string // of terminated
	Holds  bool   // it has a document
	Now    Document
	Place  *Place
}

// A ListOutput is what a list wants done, in order.
type ListOutput interface{ listOutput() }

type (
	// ListSubscribe sends a SUBSCRIBE to the list: in the dialog there is or, with New, in one of
	// its own.
	ListSubscribe struct {
		New     bool
		Expires time.Duration // 0 ends it
	}
	// Pass gives a watch what came of a SUBSCRIBE of its own, as far as it can tell.
	Pass struct {
		Member string
		In     WatchInput
	}
	// Single has a watch send a SUBSCRIBE of its own: the list is not for it.
	Single struct{ Member string }
	// ListWait starts the timer anew.
	ListWait struct{ After time.Duration }
	// ListOver says that nothing is left of the list.
	ListOver struct{}
)

func (ListSubscribe) listOutput() {}
func (Pass) listOutput()          {}
func (Single) listOutput()        {}
func (ListWait) listOutput()      {}
func (ListOver) listOutput()      {}

// A List is our subscription to a list of resources (RFC 4662), which gives watches what they would
// else have a subscription for each: of one user or, if it is shared, of many. Whoever the list
// does not have, and everybody if it is none, is asked for one by one. It is not safe for
// concurrent use.
type List struct {
	shared   bool
	dialog   bool // there is a subscription at the list's side
	asked    bool // a SUBSCRIBE is under way
	pending  bool // the list is not for us yet
	whole    bool // all that is in the list is known
	expires  time.Duration
	due      time.Time // for a refresh
	proved   time.Time // by when there must be a list
	settled  time.Time // by when it has said whom it has, zero if it has
	rest     time.Time // until when it is left alone
	none     time.Time // until when it counts as no list at all
	stale    time.Time // until when it is believed of a list without a subscription who is not in it
	failures int       // in a row
	briefs   int       // in a row that were too brief
	again    int       // subscriptions in a row that ended at once
	known    map[string]Notified
	members  map[string]*listMember
	of       map[string]map[string]bool // members by address
	now      time.Time
	out      []ListOutput
}

// A listMember is a watch.
type listMember struct {
	addresses [2]string // of the contact; the second may be empty
	asked     bool      // it has not been answered
	until     time.Time // when it has lapsed
}

// NewList returns a list that nobody wants yet. What is refused to a list that is shared is not
// refused to who is in it.
func NewList(shared bool) *List {
	return &List{shared: shared, expires: Hour, known: map[string]Notified{}, members: map[string]*listMember{}, of: map[string]map[string]bool{}}
}

// Len returns how many watches the list serves.
func (l *List) Len() int { return len(l.members) }

// Has reports whether the list serves a watch.
func (l *List) Has(member string) bool { return l.members[member] != nil }

// Step takes one input and returns what to do. What has no place is ignored.
func (l *List) Step(in ListInput, now time.Time) []ListOutput {
	l.now = now
	switch in := in.(type) {
	case Joined:
		l.joined(in)
	case Parted:
		l.part(in.Member)
		l.emit(Pass{in.Member, Accepted{}})
		l.empty()
	case ListAccepted:
		l.accepted(in)
	case ListRefused:
		l.refused(in)
	case Listed:
		l.listed(in)
	case ListFired:
		l.fired()
	}
	out := l.out
	l.out = nil
	return out
}

func (l *List) emit(o ...ListOutput) { l.out = append(l.out, o...) }

func (l *List) part(member string) {
	m := l.members[member]
	if m == nil {
		return
	}
	delete(l.members, member)
	for _, a := range m.addresses {
		delete(l.of[a], member)
		if len(l.of[a]) == 0 {
			delete(l.of, a)
		}
	}
}

// empty ends what nobody wants any more.
func (l *List) empty() {
	if len(l.members) > 0 {
		return
	}
	if l.dialog || l.asked {
		l.emit(ListSubscribe{Expires: 0})
		l.dialog, l.asked = false, false
	}
	if !l.stale.After(l.now) {
		l.forget()
	}
	if wait := l.idle(); wait > 0 { // what was learned of it is not learned again by each who comes
		l.emit(ListWait{wait})
		return
	}
	l.emit(ListOver{})
}

func (l *List) forget() {
	l.whole = false
	l.proved, l.due, l.settled = time.Time{}, time.Time{}, time.Time{}
	clear(l.known)
}

// idle is how long something of the list is to be remembered that nobody wants.
func (l *List) idle() time.Duration {
	return max(l.rest.Sub(l.now), l.none.Sub(l.now), l.stale.Sub(l.now), 0)
}

func (l *List) subscribe() {
	if !l.dialog {
		l.forget()
	}
	l.asked = true
	l.emit(ListSubscribe{New: !l.dialog, Expires: l.expires})
}

func (l *List) joined(in Joined) {
	at := [2]string{in.Address, in.Alias}
	if m := l.members[in.Member]; m != nil && m.addresses != at {
		l.part(in.Member)
	}
	_, has := l.find(at)
	switch {
	case l.none.After(l.now), l.whole && !has && l.settled.IsZero() && (l.dialog || l.stale.After(l.now)):
		l.part(in.Member)
		l.emit(Single{in.Member})
		if l.dialog || l.asked {
			l.empty()
		}
		return
	case l.rest.After(l.now):
		l.emit(Pass{in.Member, Refused{Later: l.rest.Sub(l.now)}})
		return
	}
	m := l.members[in.Member]
	if m == nil {
		m = &listMember{addresses: at}
		l.members[in.Member] = m
		for _, a := range at {
			if l.of[a] == nil && a != "" {
				l.of[a] = map[string]bool{}
			}
			if a != "" {
				l.of[a][in.Member] = true
			}
		}
	}
	m.until, m.asked = l.now.Add(Hour), true
	if l.dialog {
		l.serve(in.Member, m)
	} else if !l.asked {
		l.subscribe()
	}
}

// serve answers a member, and tells it what is known.
func (l *List) serve(name string, m *listMember) {
	m.asked = false
	l.emit(Pass{name, Accepted{Expires: Hour}})
	if n, ok := l.find(m.addresses); ok {
		l.emit(Pass{name, n})
	}
}

// find returns what is known of a contact.
func (l *List) find(at [2]string) (n Notified, ok bool) {
	if n, ok = l.known[at[0]]; !ok && at[1] != "" {
		n, ok = l.known[at[1]]
	}
	return n, ok
}

func (l *List) accepted(a ListAccepted) {
	if !l.asked {
		return
	}
	l.asked = false
	if !l.dialog && l.proved.IsZero() {
		l.proved = l.now.Add(Grace)
	}
	l.dialog = true
	l.failures, l.briefs = 0, 0
	l.refreshIn(cmp.Or(a.Expires, l.expires)) // a peer that grants nothing has to say when it ends
	for _, name := range l.names() {
		if m := l.members[name]; m.asked {
			l.serve(name, m)
		}
	}
}

func (l *List) refreshIn(expires time.Duration) {
	if expires > 0 {
		l.due = l.now.Add(refreshAfter(expires))
		l.wait()
	}
}

// wait has the timer run out when there is something to do.
func (l *List) wait() {
	next := l.due
	if !l.whole && !l.pending && l.proved.After(l.now) && l.proved.Before(next) {
		next = l.proved
	}
	if !l.settled.IsZero() && l.settled.Before(next) {
		next = l.settled
	}
	l.emit(ListWait{max(next.Sub(l.now), time.Second)})
}

// names are the members, in order.
func (l *List) names() []string { return slices.Sorted(maps.Keys(l.members)) }

func (l *List) refused(r ListRefused) {
	if !l.asked && r.Status != 420 {
		return
	}
	l.asked = false
	switch r.Status {
	case 423:
		if l.briefs < 2 && r.Least > l.expires && r.Least <= MaxLater {
			l.briefs++
			l.expires = r.Least
			l.subscribe()
			return
		}
		l.fail(r.Later)
	case 481:
		had := l.dialog
		l.dialog = false
		if had {
			l.subscribe()
			return
		}
		l.fail(r.Later)
	case 0, 408, 480, 491, 500, 502, 503, 504, 600:
		l.fail(r.Later)
	default: // there is no such list, it is not for us, or the peer knows no lists
		l.deny()
	}
}

// fail leaves the list alone for a time, longer each time. Who is in it learns of that by asking anew.
func (l *List) fail(later time.Duration) {
	l.failures++
	l.briefs = 0
	l.rest = l.now.Add(retryAfter(l.failures, later))
	l.release()
}

// deny has everybody asked for one by one, for a time.
func (l *List) deny() {
	l.none = l.now.Add(LastRetry)
	l.release()
}

// release lets all members go.
func (l *List) release() {
	wait := l.rest.Sub(l.now)
	for _, name := range l.names() {
		m := l.members[name]
		l.part(name)
		switch {
		case !m.asked:
			l.emit(Pass{name, moved})
		case l.none.After(l.now):
			l.emit(Single{name})
		default:
			l.emit(Pass{name, Refused{Later: wait}})
		}
	}
	l.empty()
}

// moved has a watch ask anew, at once.
var moved = Notified{State: "terminated", Reason: "deactivated"}

func (l *List) listed(n Listed) {
	if len(l.members) == 0 {
		return
	}
	if n.State == "terminated" {
		l.ended(n)
		return
	}
	l.pending = n.State == "pending"
	l.dialog = true
	l.again = 0
	before := maps.Clone(l.known)
	if n.Holds && n.Full && !l.pending {
		l.whole = true
		clear(l.known)
	}
	for _, it := range n.Items {
		l.item(it, before)
	}
	if l.whole && n.Full && l.missing() {
		// COMPAT(Kamailio 5.6): what is too long for one NOTIFY follows in others.
		l.settled = l.now.Add(Settling)
	}
	if len(l.members) == 0 {
		l.strand()
		return
	}
	if n.Expires > 0 {
		l.refreshIn(n.Expires)
	} else if !l.due.IsZero() {
		l.wait()
	}
}

// missing reports whether there is a member whom the list does not have.
func (l *List) missing() bool {
	for _, m := range l.members {
		if _, has := l.find(m.addresses); !has {
			return true
		}
	}
	return false
}

// sort lets those go whom the list does not have.
func (l *List) sort() {
	l.settled = time.Time{}
	for _, name := range l.names() {
		m := l.members[name]
		_, has := l.find(m.addresses)
		switch {
		case has:
			continue
		case m.asked:
			l.emit(Single{name})
		default:
			l.emit(Pass{name, moved})
		}
		l.part(name)
	}
}

// strand ends a list that has none of those who are wanted, and remembers that: else it would begin
// anew with the first of them who asks again.
func (l *List) strand() {
	l.stale = l.now.Add(LastRetry)
	l.empty()
}

// item takes what is said of one resource.
func (l *List) item(it Item, before map[string]Notified) {
	n := Notified{State: it.State, Reason: it.Reason, Holds: it.Holds, Now: it.Now, Place: it.Place}
	was, had := before[it.Address]
	refused := it.Reason == "rejected" || it.Reason == "noresource"
	switch {
	case it.State == "terminated" && refused && l.shared:
		// The list is refused it, and perhaps not everybody who watches it.
		delete(l.known, it.Address)
		for _, name := range l.at(it.Address) {
			l.part(name)
			l.emit(Pass{name, moved})
		}
		return
	case it.State == "" && had:
		l.known[it.Address] = was
		return
	case it.State == "terminated" && !refused && had && was.State == "active":
		n = Notified{State: "active", Holds: true} // nobody knows any more, until the list does
	case it.State == "", it.State == "terminated" && !refused:
		n = Notified{State: "pending"}
	}
	l.known[it.Address] = n
	if n.State == "terminated" {
		delete(l.known, it.Address) // who wants it all the same asks for itself
	}
	for _, name := range l.at(it.Address) {
		m := l.members[name]
		if m.asked {
			m.asked = false
			l.emit(Pass{name, Accepted{Expires: Hour}})
		}
		if n.State == "terminated" {
			l.part(name)
		}
		l.emit(Pass{name, n})
	}
}

func (l *List) at(address string) []string { return slices.Sorted(maps.Keys(l.of[address])) }

func (l *List) ended(n Listed) {
	l.dialog = false
	l.forget()
	switch n.Reason {
	case "rejected", "noresource":
		l.asked = false
		l.deny()
	case "probation":
		l.pause(later(n.Later, Probation))
	case "giveup":
		l.pause(later(n.Later, GivenUp))
	default:
		l.again++
		switch {
		case n.Later > 0:
			l.pause(min(n.Later, MaxLater))
		case l.again > 2:
			l.fail(0)
		case !l.asked:
			l.subscribe()
		}
	}
}

func (l *List) pause(d time.Duration) {
	l.asked = false
	l.rest = l.now.Add(d)
	l.release()
}

func (l *List) fired() {
	if len(l.members) == 0 {
		l.empty()
		return
	}
	for _, name := range l.names() {
		if m := l.members[name]; !m.asked && !m.until.After(l.now) {
			l.part(name) // nobody is there to be told
		}
	}
	switch {
	case len(l.members) == 0:
		l.empty()
	case l.asked || !l.dialog:
	case !l.whole && !l.pending && !l.proved.After(l.now) && len(l.known) == 0:
		l.deny() // it takes subscriptions, and says nothing
	case !l.whole && !l.pending && !l.proved.After(l.now), !l.settled.IsZero() && !l.settled.After(l.now):
		l.whole = true // also if it never says that this is all
		l.sort()
		if len(l.members) == 0 {
			l.strand()
			return
		}
		l.wait()
	case !l.due.After(l.now):
		l.subscribe()
	default:
		l.wait()
	}
}
