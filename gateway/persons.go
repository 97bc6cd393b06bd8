package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/person"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
)

// PersonsXMPP is the XMPP edge as persons see it.
type PersonsXMPP interface {
	// Browse asks for what a user publishes, as the contact if there is one, and calls done once
	// with the addresses, on any goroutine; whole is false if there may be more.
	Browse(pair Pair, done func(addresses []string, whole bool))
}

// PersonsOptions are what persons are made of. Mapping is needed.
type PersonsOptions struct {
	Mapping *translate.Mapping
	// Names returns what someone on the SIP side is called; nil knows nobody.
	Names func(translate.URI) string
	// Store keeps who is one person. Default: a [store.Memory].
	Store store.Store
	// Registry gets the metric. Default: none.
	Registry prometheus.Registerer
	Log      *slog.Logger     // default: none
	Now      func() time.Time // default [time.Now]
}

// Persons is who is one person in both worlds (package person). Its methods may be called from
// any goroutine and do not block.
type Persons struct {
	opt     PersonsOptions
	mapping atomic.Pointer[translate.Mapping]

	mu   sync.Mutex
	book *person.Book
	xmpp PersonsXMPP
}

var _ account.People = (*Persons)(nil)

// NewPersons returns persons of whom nobody is known. SetEdge gives them the XMPP side, and
// Start takes up those who were kept.
func NewPersons(o PersonsOptions) *Persons {
	if o.Store == nil {
		o.Store = &store.Memory{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Persons{opt: o, book: person.NewBook(nil)}
	p.Map(o.Mapping)
	if o.Registry != nil {
		o.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sipxmppgw_persons", Help: "SIP addresses that are known to be an XMPP user's.",
		}, func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return float64(p.book.Len(p.opt.Now()))
		}))
	}
	return p
}

// Map has addresses mean what another mapping says, from now on.
func (p *Persons) Map(m *translate.Mapping) { p.mapping.Store(m) }

// SetEdge gives persons the XMPP side. Until then nothing is looked at.
func (p *Persons) SetEdge(x PersonsXMPP) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.xmpp = x
}

// keptLink is a link in the store.
type keptLink struct {
	User      string    `json:"user"`
	Contact   string    `json:"contact"`
	Published time.Time `json:"published"`
	Named     time.Time `json:"named"`
	Met       []string  `json:"met,omitempty"`
	Bar       time.Time `json:"bar,omitzero"`
}

// Start takes up who was kept. An error is the store's, or ctx's.
func (p *Persons) Start(ctx context.Context) error {
	rows, err := p.opt.Store.Load(ctx, store.Links)
	if err != nil {
		return err
	}
	var kept []person.Link
	for _, r := range rows {
		var k keptLink
		if json.Unmarshal(r.Value, &k) != nil || k.User == "" || k.Contact == "" {
			p.opt.Log.Warn("a person in the store cannot be read")
			continue
		}
		kept = append(kept, person.Link(k))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.book = person.NewBook(kept)
	return nil
}

// Named takes what a SIP peer that is believed says: that a contact of ours is the user of an
// address. met is the user it spoke to, if it was one.
func (p *Persons) Named(contact string, user translate.JID, met string) {
	c, err := translate.ParseJID(contact)
	if err != nil || user.Local == "" || user.Domain == p.mapping.Load().Gateway || c.Domain != p.mapping.Load().Gateway {
		return
	}
	if j, err := translate.ParseJID(met); err != nil || j.Domain == p.mapping.Load().Gateway {
		met = ""
	} else {
		met = j.Bare().String()
	}
	pair := Pair{User: user.Bare().String(), Contact: c.Bare().String()}
	p.mu.Lock()
	look, changes := p.book.Name(p.opt.Now(), pair.Contact, pair.User, met)
	p.keep(changes)
	p.mu.Unlock()
	p.look(look, pair)
}

// Published takes addresses that a user publishes, as URIs or as people write numbers. With
// whole they are all that there are.
func (p *Persons) Published(user string, addresses []string, whole bool) {
	u, err := translate.ParseJID(user)
	if err != nil || u.Domain == p.mapping.Load().Gateway {
		return
	}
	var contacts []string
	for _, a := range addresses {
		if j, err := p.mapping.Load().Typed(a, u.Domain); err == nil && len(contacts) < person.MaxContacts {
			contacts = append(contacts, j.String())
		}
	}
	bare := u.Bare().String()
	p.mu.Lock()
	look, changes := p.book.Publish(p.opt.Now(), bare, contacts, whole)
	p.keep(changes)
	p.mu.Unlock()
	p.look(look, Pair{User: bare})
}

// ContactsOf returns the contacts that are a user, as bare JIDs.
func (p *Persons) ContactsOf(user string) []string {
	p.mu.Lock()
	contacts, look := p.book.ContactsOf(p.opt.Now(), user)
	p.mu.Unlock()
	p.look(look, Pair{User: user})
	return contacts
}

// Shown returns the user that a contact is, to somebody who may know: the user, and who has met
// the contact. It is empty for everybody else, and if nobody is known to be the contact.
func (p *Persons) Shown(who, contact string) string {
	p.mu.Lock()
	user, look := p.book.Shown(p.opt.Now(), who, contact)
	p.mu.Unlock()
	p.look(look, Pair{User: user, Contact: contact})
	return user
}

// look has what a user publishes looked at.
func (p *Persons) look(wanted bool, pair Pair) {
	p.mu.Lock()
	x := p.xmpp
	p.mu.Unlock()
	if !wanted || x == nil || pair.User == "" {
		return
	}
	x.Browse(pair, func(addresses []string, whole bool) {
		if whole || len(addresses) > 0 {
			p.Published(pair.User, addresses, whole)
		}
	})
}

// keep has the store keep what has changed. It is for the holder of the lock, so that the
// changes of one link stay in order.
func (p *Persons) keep(changes []person.Change) {
	for _, c := range changes {
		key := c.User + " " + c.Contact
		if c.Gone {
			p.opt.Store.Delete(store.Links, key, nil)
			continue
		}
		value, _ := json.Marshal(keptLink(c.Link)) // plain values
		p.opt.Store.Put(store.Row{Kind: store.Links, Key: key, Owner: c.User, Value: value, Expires: c.Ends()}, nil)
	}
}

// Known implements [account.People].
func (p *Persons) Known(owner string) []account.Person {
	p.mu.Lock()
	links := p.book.Known(p.opt.Now(), owner)
	p.mu.Unlock()
	var all []account.Person
	for _, l := range links {
		all = append(all, p.shown(l.User, l.Contact))
	}
	return all
}

// shown is a person as users read it.
func (p *Persons) shown(user, contact string) account.Person {
	who := account.Person{User: user, Contact: contact}
	c, err := translate.ParseJID(contact)
	if err != nil {
		return who
	}
	if u, err := p.mapping.Load().URIOfJID(c); err == nil {
		who.Contact = u.User + "@" + u.Host
		if n := u.Number(); n != "" {
			who.Contact = n
		}
		if p.opt.Names != nil {
			who.Name = translate.CleanName(p.opt.Names(u))
		}
	}
	return who
}

// WhoIs implements [account.People].
func (p *Persons) WhoIs(owner, address string) (account.Person, bool) {
	user, contact := p.meant(owner, address)
	p.mu.Lock()
	links := p.book.Known(p.opt.Now(), owner)
	p.mu.Unlock()
	for _, l := range links {
		if l.User == user || l.Contact == contact {
			return p.shown(l.User, l.Contact), true
		}
	}
	return account.Person{}, false
}

// meant is whom a user means by an address: an XMPP user, a contact, or either.
func (p *Persons) meant(owner, address string) (user, contact string) {
	_, domain, _ := strings.Cut(owner, "@")
	if j, is := translate.ParseXMPPURI(address); is {
		address = j.String()
	} else if j, err := p.mapping.Load().Typed(address, domain); err == nil {
		contact = j.String()
	}
	if j, err := translate.ParseJID(address); err == nil && j.Local != "" {
		if user = j.Bare().String(); j.Domain == p.mapping.Load().Gateway {
			user, contact = "", user
		}
	}
	return user, contact
}

// Forget implements [account.People].
func (p *Persons) Forget(owner, address string) (n int) {
	forget := func(address string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		some, changes := p.book.Forget(p.opt.Now(), owner, address)
		p.keep(changes)
		n += some
	}
	if address == "" {
		forget("")
		return n
	}
	user, contact := p.meant(owner, address)
	for _, a := range []string{user, contact} {
		if a != "" {
			forget(a)
		}
	}
	return n
}
