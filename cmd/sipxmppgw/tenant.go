package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	accounts "sipxmppgw/gateway/account"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle"
	"sipxmppgw/jingle/component"
	"sipxmppgw/mediarelay/builtin"
	"sipxmppgw/mediarelay/rtpengine"
	"sipxmppgw/signaling"
)

// A tenant is one component, with all that is its own: its stream, its calls with their
// quotas, its messages, presence and accounts, and who may do what. What tenants share is the
// daemon's, and nothing of it can be used up by one of them.
type tenant struct {
	d   *daemon
	c   config.Config // as it sees it; what holds now, of what may change, is in now
	now atomic.Pointer[config.Config]
	log *slog.Logger          // with its domain, if there are several
	reg prometheus.Registerer // the same

	routes   gateway.CurrentRoutes
	owners   atomic.Pointer[map[string]string] // of phones, by their trunks
	g        *gateway.Gateway
	mail     *gateway.Mail
	xmpp     *jingle.Edge
	pres     *gateway.Presences
	lamps    *gateway.Lamps
	lists    atomic.Pointer[map[string]signaling.List] // that phones may watch
	rooms    *gateway.Rooms                            // nil without message sessions
	stream   *component.Stream
	sip      *signaling.Tenant // its part of the SIP side
	remote   *rtpengine.Engine // nil if the relay carries its media
	mediaAt  netip.Addr        // where its media is
	texts    *texts            // seen while they are typed
	store    store.Store       // its part; nil if nothing is kept
	persons  *gateway.Persons  // nil if nobody is learned
	accounts *accounts.Book    // nil if users have none
	testing  testCalls
	exchange *builtin.Exchange // of services
	trials   trials

	up     chan struct{} // closed when the stream was up for the first time
	ended  chan struct{} // closed when the stream has ended
	booked chan struct{} // closed when accounts is at rest

	mu    sync.Mutex
	hooks []func(gateway.Record) // told of ended calls
}

// newTenant returns a tenant of which nothing is open. alone says that there is no other.
func (d *daemon) newTenant(c config.Config, alone bool) *tenant {
	t := &tenant{
		d: d, c: c, log: d.log, reg: d.reg,
		up: make(chan struct{}), ended: make(chan struct{}), booked: make(chan struct{}),
	}
	t.now.Store(&c)
	if !alone {
		t.log = d.log.With("domain", c.XMPP.Domain)
		t.reg = prometheus.WrapRegistererWith(prometheus.Labels{"domain": c.XMPP.Domain}, d.reg)
	}
	return t
}

// open makes all but the SIP side. An error names the setting that is at fault. What is open
// is given back by shut, in any case.
func (t *tenant) open(local netip.Addr) error {
	c := t.c
	routes, err := t.routesFor(c)
	if err != nil {
		return err
	}
	if routes.Names != nil {
		t.log.Info("contacts", "files", len(c.Contacts))
	}
	t.routes.Store(routes)
	lists, err := listsOf(c, routes.Mapping)
	if err != nil {
		return err
	}
	t.lists.Store(&lists)
	owners := ownersOf(c)
	t.owners.Store(&owners)
	zone, err := zoneOf(c)
	if err != nil {
		return err
	}
	carrier, err := t.openMedia(local)
	if err != nil {
		return err
	}
	t.store = t.d.part(t)
	if c.Persons.Learn {
		t.persons = gateway.NewPersons(gateway.PersonsOptions{
			Mapping: routes.Mapping, Names: t.nameOf, Store: t.store, Registry: t.reg, Log: areaOf(t.log, "presence"),
		})
		t.furnish(routes, c)
	}
	t.pres = presenceOf(c, &t.routes, t.store, areaOf(t.log, "presence"), t.d.feed.Feed, t.mayLocate(), func(user string) { t.lamps.Touch(user) }, func(user string) {
		if e := t.d.probing.Load(); e != nil {
			e.Mailed(t.sip, user)
		}
	})
	t.lamps = gateway.NewLamps(gateway.LampOptions{
		Router: &t.routes, Allows: t.pres.Allows, Owner: func(trunk string) string { return (*t.owners.Load())[trunk] },
	})
	t.texts = newTexts(t.reg)
	t.g = gateway.New(gateway.Options{
		Texts:     &t.texts.Texts,
		Router:    &t.routes,
		Presence:  t.pres,
		Lamps:     t.lamps,
		Media:     carrier,
		Bounds:    boundsOf(c),
		Zone:      zone,
		Busy:      t.d.load.busy,
		Log:       areaOf(t.log, "call"),
		Registry:  t.reg,
		Trace:     t.d.trace,
		KeepEnded: c.Trace.Calls,
		Ended: func(r gateway.Record) {
			if user, ok := r.Missed(); ok && t.now.Load().Calls.MissedMessage {
				t.xmpp.Missed(user, r)
			}
			if t.d.cdr != nil {
				t.d.cdr.Add(r.Line(r.Ended))
			}
			if t.d.otlp != nil {
				t.d.otlp.Add(c.XMPP.Domain, r)
			}
			t.served(r)
			t.d.feed.Call(r)
			t.tell(r)
		},
		Changed: t.d.feed.Call,
	})
	t.exchange = builtin.NewExchange(t.mediaAt, func() time.Duration { return t.now.Load().Builtin.MaxDuration })
	t.g.SetServices(t.exchange)
	t.mail = gateway.NewMail(gateway.MailOptions{
		Router: &t.routes,
		Trunks: trunksWithMessages(c),
		Phones: phonesOf(c),
		Limits: message.Limits{
			Keep: c.Messages.Keep, Rate: float64(c.Messages.PerUser), Burst: 4 * c.Messages.PerUser,
		},
		Persons:  t.persons,
		Store:    t.store,
		Log:      areaOf(t.log, "message"),
		Registry: t.reg,
	})
	if len(c.MSRP.Listen) > 0 {
		t.rooms = gateway.NewRooms(gateway.RoomOptions{Router: &t.routes, Room: t.routes.Room, Log: areaOf(t.log, "message"), Registry: t.reg})
	}
	t.sip = &signaling.Tenant{
		Rooms: t.rooms,
		Calls: t.g, Presence: t.pres, Messages: t.mail, Persons: t.persons, Lamps: t.lamps, List: t.list, Host: routes.Mapping.SIPHost, Refusals: refusalsOf(c),
		Text: t.openText,
	}
	if !c.Beside() { // our own addresses, where nothing else is said, mean the first
		t.sip.Realm, t.sip.Hosts = c.SIP.Realm, routes.Hosts
	}
	if err := t.openAccounts(); err != nil {
		return err
	}
	if err := t.openXMPP(); err != nil {
		return err
	}
	t.reg.MustRegister(t.counters(), t.pres)
	return nil
}

// routesFor makes the router that a configuration of the tenant's wants. An error names the
// setting that is at fault.
func (t *tenant) routesFor(c config.Config) (*gateway.Routes, error) {
	routes, err := routesOf(c, t.d.local, t.d.listeners)
	if err != nil {
		return nil, err
	}
	names, err := contactsOf(c, routes.Mapping.DialPlan)
	if err != nil {
		return nil, err
	}
	if names != nil {
		routes.Names = names.Name
	}
	routes.Services.Trials = t.trials.of
	routes.Down = func(trunk string) bool { // calls may come before the SIP side is complete
		e := t.d.probing.Load()
		return e != nil && e.Down(trunk)
	}
	t.furnish(routes, c)
	return routes, nil
}

// furnish tells a router who users are, as far as that is known.
func (t *tenant) furnish(routes *gateway.Routes, c config.Config) {
	if t.persons != nil {
		routes.Persons, routes.RingPersons, routes.RingLead = t.persons, c.Persons.Ring, c.Persons.Lead
	}
	if t.accounts != nil {
		routes.Accounts = t.accounts
		routes.Account = func(a accounts.Account) gateway.TrunkRoute {
			return gateway.TrunkRoute{Policy: accountPolicy(c, a), Numbers: translate.NumberForm(c.Accounts.NumberFormat)}
		}
	}
}

// nameOf is what the contacts call somebody.
func (t *tenant) nameOf(u translate.URI) string {
	if names := t.routes.Load().Names; names != nil {
		return names(u)
	}
	return ""
}

// openXMPP makes the component.
func (t *tenant) openXMPP() error {
	c, routes := t.c, t.routes.Load()
	t.xmpp = jingle.New(jingle.Options{
		Staff:  t.newStaff(),
		Domain: c.XMPP.Domain, Calls: t.g, Messages: t.mail, Mapping: routes.Mapping, Name: c.XMPP.Name, Version: versionOf(),
		Admins: c.XMPP.Admins, Policy: routes.XMPP, AllowClear: c.XMPP.DTLS != "required", Second: secondCall[c.Calls.SecondCall], Log: areaOf(t.log, "xmpp"),
		MaxCalls: c.Calls.PerUser, Proposals: c.Calls.AttemptsPerUser,
		Accounts: t.accounts, Lang: translate.LangOf(c.Accounts.Language, translate.EN), Names: t.nameOf,
		Rooms:    t.rooms,
		Announce: c.XMPP.AnnounceDiversion, NoTones: !c.XMPP.SignalledTones, Presence: t.pres, Persons: t.persons, Language: c.XMPP.Language,
		MayLocate: t.mayLocate(), Texts: t.withTexts(),
	})
	var once sync.Once
	var err error
	t.stream, err = component.New(component.Options{
		Domain: c.XMPP.Domain,
		Secret: string(c.XMPP.Secret),
		Addrs:  []string{c.XMPP.Server},
		Routes: t.xmpp.Routes(),
		State: func(s component.State) {
			if s.Up {
				once.Do(func() { close(t.up) })
				t.xmpp.Greet()
				t.mail.Up()
				t.pres.Up()
			} else {
				t.pres.Down()
			}
		},
		Log: areaOf(t.d.log, "xmpp"), // it says its domain itself
	})
	if err != nil {
		return fmt.Errorf("xmpp: %w", err)
	}
	t.xmpp.Attach(t.stream)
	t.g.SetDialer(gateway.XMPP, t.xmpp)
	t.mail.SetCarrier(gateway.XMPP, t.xmpp)
	return nil
}

// locates reports whether where a user is could be told to anybody.
func (t *tenant) locates(user string) bool {
	_, domain, _ := strings.Cut(user, "@")
	return slices.Contains(t.c.XMPP.LocationDomains, domain)
}

// mayLocate returns what says whether contacts may know where a user is: the domain lets its
// users say so, and the user has. It is nil if none does.
func (t *tenant) mayLocate() func(user string) bool {
	if len(t.c.XMPP.LocationDomains) == 0 {
		return nil
	}
	return func(user string) bool {
		return t.locates(user) && t.accounts != nil && t.accounts.Wishes(user).Located
	}
}

// trunks are its SIP peers.
func (t *tenant) trunks(c config.Config) ([]signaling.Trunk, error) {
	var all []signaling.Trunk
	for i, own := range c.Trunks {
		next, err := nextHop(own)
		if err != nil {
			return nil, fmt.Errorf("trunks[%d].address: %w", i, err)
		}
		trunk := signaling.Trunk{
			Name: own.Name, Next: next, Trusted: own.Trusted, Policy: trunkPolicy(c, own), Username: own.Username, Password: string(own.Password),
			Identity: own.TLSIdentity, Keepalive: own.Keepalive, Probe: c.ProbeOf(own),
			Messages: messageModes[own.Messages], InCall: own.MessagesInCall, IMPP: own.EmitIMPP, Sessions: sessionModes[own.Sessions], Tenant: t.sip,
			Inbound: signaling.Credentials{User: own.Inbound.Username, Secret: secretOf(own.Inbound.Password, own.Inbound.HA1)},
			Proxy:   proxyOf(own), Location: own.Location, Text: textModes[own.Text],
		}
		for j, s := range own.Sources {
			p, err := config.ParsePrefix(s)
			if err != nil {
				return nil, fmt.Errorf("trunks[%d].sources[%d]: %w", i, j, err)
			}
			trunk.Sources = append(trunk.Sources, p)
		}
		all = append(all, trunk)
	}
	return all, nil
}

// meet gives it the SIP side, and begins what needs both sides.
func (t *tenant) meet() error {
	t.g.SetDialer(gateway.SIP, t.d.sip)
	t.mail.SetCarrier(gateway.SIP, t.d.sip)
	t.pres.SetEdges(t.d.sip, t.xmpp)
	t.lamps.SetEdge(func(line string) { t.d.sip.Lit(t.sip, line) })
	if t.rooms != nil {
		t.rooms.SetEdges(t.d.sip, t.xmpp)
	}
	if err := t.mail.Start(context.Background()); err != nil {
		t.log.Error("messages", "error", err)
	}
	if t.persons != nil {
		if err := t.persons.Start(context.Background()); err != nil {
			t.log.Error("who is one person is not known any more", "error", err)
		}
		t.persons.SetEdge(t.xmpp)
	}
	return t.register()
}

// run begins what runs until stop.
func (t *tenant) run(stop context.Context) {
	go t.resume(stop) // ends with stop
	go func() {       // ends with stop
		defer close(t.booked)
		if t.accounts != nil {
			t.accounts.Run(stop)
		}
	}()
	go func() { // ends with stop
		defer close(t.ended)
		_ = t.stream.Run(stop)
	}()
}

// rest waits for what run has begun.
func (t *tenant) rest() {
	<-t.ended
	<-t.booked
}

// shut gives back what no other tenant has.
func (t *tenant) shut() {
	if t.pres != nil {
		t.pres.Close()
	}
	if t.remote != nil {
		t.remote.Close()
	}
}

// unready says why it cannot take calls; nothing if it can.
func (t *tenant) unready() []string {
	var causes []string
	if s := t.stream.State(); !s.Up {
		causes = append(causes, downText(s))
	}
	if text := t.mediaDown(); text != "" {
		causes = append(causes, text)
	}
	if len(t.d.tenants) > 1 {
		for i := range causes {
			causes[i] = t.c.XMPP.Domain + ": " + causes[i]
		}
	}
	return causes
}

// tell passes a record to those who asked.
func (t *tenant) tell(r gateway.Record) {
	t.mu.Lock()
	hooks := slices.Clone(t.hooks)
	t.mu.Unlock()
	for _, h := range hooks {
		h(r)
	}
}

// onEnded has f told of every call that ends, on the call's goroutine.
func (t *tenant) onEnded(f func(gateway.Record)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hooks = append(t.hooks, f)
}
