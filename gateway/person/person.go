// Package person knows who is one person in both worlds: an XMPP user, and the contact that
// stands for a SIP address of the same person (RFC 7081). It knows no syntax, does no I/O and
// reads no clock.
//
// Anyone can say to be anyone. So two are one person only if both say so: the SIP side in a
// message of a peer that is believed (Call-Info with the purpose impp, RFC 6993), and the XMPP
// side by what the user publishes (XEP-0152, vCards). Each half alone means nothing.
package person

import (
	"slices"
	"time"
)

// The times of what is known.
const (
	// Fresh is how long what a user publishes is believed without being looked at again.
	Fresh = 24 * time.Hour
	// renew is the age from which it is looked at again when it is needed.
	renew = 12 * time.Hour
	// Said is how long what a SIP peer said is believed. It cannot be asked.
	Said = 30 * 24 * time.Hour
	// Barred is how long what a user wants forgotten is not learned again.
	Barred = 365 * 24 * time.Hour

	pause = 10 * time.Minute // between two looks at what one user publishes
)

// The bounds of what peers can make us remember.
const (
	MaxContacts = 8 // of one user
	maxMet      = 16
	maxHalves   = 4096
	maxLinks    = 16384
)

// A Link is one person: a user, and a contact of the gateway, both as bare JIDs.
type Link struct {
	User, Contact string
	Published     time.Time // when the user was last seen to publish the contact
	Named         time.Time // when the contact last named the user
	Met           []string  // users who have spoken with the contact since
	Bar           time.Time // until then it is not to be learned again; zero if it may
}

// good reports whether a link holds.
func (l *Link) good(now time.Time) bool {
	return now.Sub(l.Published) < Fresh && now.Sub(l.Named) < Said && !now.Before(l.Bar)
}

// Ends is when nothing of a link is worth keeping.
func (l *Link) Ends() time.Time {
	if !l.Bar.IsZero() {
		return l.Bar
	}
	return l.Named.Add(Said)
}

// A Change is a link that is new or has changed; with Gone, one that is no more.
type Change struct {
	Link
	Gone bool
}

type pair struct{ user, contact string }

// A half is what the SIP side said of a contact.
type half struct {
	user string
	at   time.Time
	met  []string
}

// A page is what a user publishes.
type page struct {
	contacts []string
	at       time.Time
}

// A Book is all that is known. It has one owner.
type Book struct {
	links  map[pair]*Link
	by     map[string][]*Link // the same, by either of their addresses
	halves map[string]half    // by contact
	pages  map[string]page    // by user
	looked map[string]time.Time
	swept  time.Time
	out    []Change
}

// NewBook returns a book of links that were kept.
func NewBook(kept []Link) *Book {
	b := &Book{links: map[pair]*Link{}, by: map[string][]*Link{}, halves: map[string]half{}, pages: map[string]page{}, looked: map[string]time.Time{}}
	for _, l := range kept {
		if len(b.links) < maxLinks {
			b.add(&l)
		}
	}
	return b
}

// Name takes what a believed SIP peer says: that a contact is a user. met is with whom the
// contact spoke; it may be empty. look says that what the user publishes is to be looked at.
func (b *Book) Name(now time.Time, contact, user, met string) (look bool, changes []Change) {
	b.out = nil
	if user == contact {
		return false, nil
	}
	for _, l := range slices.Clone(b.by[contact]) { // whoever it was before, it is not any more
		if l.User != user && l.Bar.IsZero() {
			b.drop(l)
		}
	}
	if b.barred(now, user, contact) {
		delete(b.halves, contact)
		return false, b.out
	}
	h := b.halves[contact]
	if h.user != user {
		h = half{user: user}
	}
	h.at, h.met = now, with(h.met, met)
	if b.room(now, b.halves[contact].user != "") {
		b.halves[contact] = h
	}
	if l := b.links[pair{user, contact}]; l != nil {
		l.Named, l.Met = now, with(l.Met, met)
		b.say(l)
		return !l.good(now) && b.look(now, user), b.out
	}
	if p, ok := b.pages[user]; ok && now.Sub(p.at) < Fresh && slices.Contains(p.contacts, contact) {
		b.link(now, user, contact, p.at)
		return false, b.out
	}
	return b.look(now, user), b.out
}

// Publish takes the contacts that a user publishes. With whole it is all of them; else it is a
// part, and look says that the rest is to be looked at.
func (b *Book) Publish(now time.Time, user string, contacts []string, whole bool) (look bool, changes []Change) {
	b.out = nil
	if len(contacts) > MaxContacts {
		contacts = contacts[:MaxContacts]
	}
	p, known := b.pages[user]
	if whole || !known || now.Sub(p.at) >= Fresh {
		p = page{}
	}
	p.at = now
	for _, c := range contacts {
		if !slices.Contains(p.contacts, c) && len(p.contacts) < MaxContacts {
			p.contacts = append(p.contacts, c)
		}
	}
	if known || len(b.pages) < maxHalves || b.sweep(now) && len(b.pages) < maxHalves {
		b.pages[user] = p
	}
	for _, l := range b.of(user) {
		switch {
		case slices.Contains(contacts, l.Contact):
			l.Published = now
			b.say(l)
		case whole && l.Bar.IsZero():
			b.drop(l)
		default:
			look = l.Bar.IsZero()
		}
	}
	for _, c := range contacts {
		h, named := b.halves[c]
		if named && h.user == user && now.Sub(h.at) < Said && b.links[pair{user, c}] == nil {
			b.link(now, user, c, now)
		}
	}
	return look && b.look(now, user), b.out
}

// link makes two one person.
func (b *Book) link(now time.Time, user, contact string, published time.Time) {
	if b.barred(now, user, contact) || len(b.links) >= maxLinks {
		return
	}
	h := b.halves[contact]
	l := &Link{User: user, Contact: contact, Published: published, Named: h.at, Met: h.met}
	b.add(l)
	b.say(l)
}

// ContactsOf returns the contacts that are a user; look says that what the user publishes is to
// be looked at again.
func (b *Book) ContactsOf(now time.Time, user string) (contacts []string, look bool) {
	for _, l := range b.of(user) {
		if l.good(now) {
			contacts = append(contacts, l.Contact)
		}
		look = look || l.Bar.IsZero() && now.Sub(l.Published) >= renew
	}
	return contacts, look && b.look(now, user)
}

// UserOf returns the user that a contact is; empty if nobody. look is as with ContactsOf, of that
// user.
func (b *Book) UserOf(now time.Time, contact string) (user string, look bool) {
	for _, l := range b.by[contact] {
		if l.Contact != contact || !l.Bar.IsZero() {
			continue
		}
		look = now.Sub(l.Published) >= renew && b.look(now, l.User)
		if l.good(now) {
			return l.User, look
		}
		return "", look
	}
	return "", false
}

// Shown returns the user that a contact is, to somebody who may know: the user, and who has met
// the contact. It is empty for everybody else.
func (b *Book) Shown(now time.Time, who, contact string) (user string, look bool) {
	user, look = b.UserOf(now, contact)
	if user == "" || user == who {
		return user, look
	}
	if l := b.links[pair{user, contact}]; !slices.Contains(l.Met, who) {
		return "", look
	}
	return user, look
}

// Known returns the links that are a user, and those of whom the user has met, in order.
func (b *Book) Known(now time.Time, who string) []Link {
	var own []Link
	for _, l := range b.links {
		if l.good(now) && (l.User == who || slices.Contains(l.Met, who)) {
			own = append(own, *l)
		}
	}
	slices.SortFunc(own, func(x, y Link) int { return compare(x, y, who) })
	return own
}

// Forget has links forgotten that a user names by either of their addresses, or all of Known if
// it names none: those that are the user are not learned again, and of others the user has
// not met them any more. It returns how many there were.
func (b *Book) Forget(now time.Time, who, address string) (n int, changes []Change) {
	b.out = nil
	for _, known := range b.Known(now, who) {
		if address != "" && address != known.User && address != known.Contact {
			continue
		}
		n++
		l := b.links[pair{known.User, known.Contact}]
		if l.User == who {
			l.Bar, l.Met = now.Add(Barred), nil
			delete(b.halves, l.Contact)
		} else {
			l.Met = slices.DeleteFunc(slices.Clone(l.Met), func(m string) bool { return m == who })
		}
		b.say(l)
	}
	return n, b.out
}

// Len returns how many links hold.
func (b *Book) Len(now time.Time) (n int) {
	for _, l := range b.links {
		if l.good(now) {
			n++
		}
	}
	return n
}

func (b *Book) of(user string) []*Link {
	var own []*Link
	for _, l := range b.by[user] {
		if l.User == user {
			own = append(own, l)
		}
	}
	slices.SortFunc(own, func(x, y *Link) int { return compare(*x, *y, user) })
	return own
}

// barred reports whether two are not to be learned; a bar that has run out is forgotten.
func (b *Book) barred(now time.Time, user, contact string) bool {
	l := b.links[pair{user, contact}]
	if l == nil || l.Bar.IsZero() {
		return false
	}
	if now.Before(l.Bar) {
		return true
	}
	b.remove(l)
	return false
}

func (b *Book) say(l *Link) { b.out = append(b.out, Change{Link: *l}) }

func (b *Book) drop(l *Link) {
	b.out = append(b.out, Change{Link: *l, Gone: true})
	b.remove(l)
}

func (b *Book) add(l *Link) {
	b.links[pair{l.User, l.Contact}] = l
	for _, a := range []string{l.User, l.Contact} {
		b.by[a] = append(b.by[a], l)
	}
}

func (b *Book) remove(l *Link) {
	delete(b.links, pair{l.User, l.Contact})
	for _, a := range []string{l.User, l.Contact} {
		if b.by[a] = slices.DeleteFunc(b.by[a], func(o *Link) bool { return o == l }); len(b.by[a]) == 0 {
			delete(b.by, a)
		}
	}
}

// look reports whether what a user publishes may be looked at now, and notes that it is.
func (b *Book) look(now time.Time, user string) bool {
	if at, ok := b.looked[user]; ok && now.Sub(at) < pause {
		return false
	}
	if len(b.looked) >= maxHalves && (!b.sweep(now) || len(b.looked) >= maxHalves) {
		return false
	}
	b.looked[user] = now
	return true
}

// room reports whether one more contact may be remembered.
func (b *Book) room(now time.Time, known bool) bool {
	if known || len(b.halves) < maxHalves {
		return true
	}
	return b.sweep(now) && len(b.halves) < maxHalves
}

// sweep forgets halves that have become old without a second one, once a minute at most. Links
// do not need them.
func (b *Book) sweep(now time.Time) bool {
	if now.Sub(b.swept) < time.Minute {
		return false
	}
	b.swept = now
	for c, h := range b.halves {
		if now.Sub(h.at) >= Fresh {
			delete(b.halves, c)
		}
	}
	for u, p := range b.pages {
		if now.Sub(p.at) >= Fresh {
			delete(b.pages, u)
		}
	}
	for u, at := range b.looked {
		if now.Sub(at) >= pause {
			delete(b.looked, u)
		}
	}
	return true
}
