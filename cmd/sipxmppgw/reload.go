package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/control"
	"sipxmppgw/signaling"
)

// reload reads the configuration again, the certificates with it, and has hold what may change in
// a running process: all of it or, with an error that says where the file is wrong, nothing. No
// call that is up is touched.
func (d *daemon) reload(file string) (control.Reloaded, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.manager.reloading()
	defer d.manager.say("READY=1")
	r, err := d.reread(file)
	if err != nil {
		d.reloads.failed.Store(true)
		d.log.Error("configuration not read again; the one before holds", "error", err)
		return r, err
	}
	d.secure.Keys.Reload()
	d.reloads.failed.Store(false)
	d.reloads.last.Store(time.Now().Unix())
	for _, c := range r.Changes {
		if c.Restart {
			d.log.Warn("setting needs a restart: not applied", "setting", c.Path)
		} else {
			d.log.Info("setting", "setting", c.Path, "old", c.Old, "new", c.New)
		}
	}
	d.log.Info("configuration read again", "changed", r.Applied(), "need_restart", len(r.Changes)-r.Applied(), "calls", r.Calls)
	return r, nil
}

// A next is what a tenant has after a reload, made before anything is changed.
type next struct {
	c      config.Config
	routes *gateway.Routes
	lists  map[string]signaling.List
	trunks []signaling.Trunk
	phones []signaling.Phone
}

func (d *daemon) reread(file string) (control.Reloaded, error) {
	r := control.Reloaded{Changes: []control.Change{}, Calls: d.active()}
	if file == "" {
		return r, errors.New("there is no file to read again: the demo has none")
	}
	told, err := config.Load(file)
	if err != nil {
		return r, err
	}
	c, changes := d.conf.Next(told)
	parts := partsOf(c)
	all := make([]next, len(parts))
	for i, t := range d.tenants {
		if all[i], err = t.next(parts[i]); err != nil {
			return r, fmt.Errorf("%s: %w", file, inTenant(i, err))
		}
	}
	for _, c := range changes {
		r.Changes = append(r.Changes, control.Change(c))
	}
	d.apply(all)
	d.page.SetToken(string(c.Console.Token))
	d.conf = c
	return r, nil
}

// next makes what a tenant has with another configuration. An error names the setting that is at
// fault.
func (t *tenant) next(c config.Config) (n next, err error) {
	n.c = c
	if n.routes, err = t.routesFor(c); err != nil {
		return n, err
	}
	if n.lists, err = listsOf(c, n.routes.Mapping); err != nil {
		return n, err
	}
	n.trunks, err = t.trunks(c)
	n.phones = t.phonesFor(c)
	return n, err
}

// apply has everything new hold, trunks before the routes that lead to them.
func (d *daemon) apply(all []next) {
	var trunks []signaling.Trunk
	var phones []signaling.Phone
	bind := map[string]signaling.Binding{}
	for i, n := range all {
		trunks, phones = append(trunks, n.trunks...), append(phones, n.phones...)
		for name, b := range bindingsOf(n.c) {
			bind[name] = b
		}
		d.tenants[i].now.Store(&n.c)
	}
	if l := levelsOf(d.log); l != nil && len(all) > 0 {
		l.configure(all[0].c.Log)
	}
	d.sip.ChangeTrunks(trunks, bind)
	d.sip.ChangePhones(phones)
	for i, n := range all {
		d.tenants[i].apply(n)
	}
}

func (t *tenant) apply(n next) {
	c, owners := n.c, ownersOf(n.c)
	t.owners.Store(&owners)
	t.g.Bind(boundsOf(c))
	t.mail.Serve(trunksWithMessages(c), phonesOf(c))
	t.pres.Serve(presencesOf(c))
	t.lists.Store(&n.lists)
	if t.persons != nil {
		t.persons.Map(n.routes.Mapping)
	}
	t.xmpp.Change(n.routes.Mapping, c.Calls.PerUser, c.Calls.AttemptsPerUser)
	t.routes.Replace(n.routes)
	t.pres.Mailboxes(mailboxesOf(c, &t.routes))
	t.stream.SetSecret(string(c.XMPP.Secret))
}

// drain is how long calls may go on after the order to stop.
func (d *daemon) drain() time.Duration {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	return d.conf.Calls.Drain
}

// has says whether a trunk is the tenant's own.
func (t *tenant) has(trunk string) bool {
	return slices.ContainsFunc(t.now.Load().Trunks, func(own config.Trunk) bool { return own.Name == trunk })
}

// reloadCounters are what came of the last reload. The start counts as one.
func (d *daemon) reloadCounters(cs *counters) {
	cs.gauge(desc("config_last_reload_successful", "Whether the configuration could be read when it was to be last (1) or not, so that the one before holds (0)."), func() int {
		if d.reloads.failed.Load() {
			return 0
		}
		return 1
	})
	cs.gauge(desc("config_last_reload_success_timestamp_seconds", "When the configuration was read last, in seconds since 1970."), func() int { return int(d.reloads.last.Load()) })
}

// sayReloaded tells a person what came of a reload.
func sayReloaded(r control.Reloaded) string {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintln(&b, config.Change(c))
	}
	switch applied := r.Applied(); {
	case len(r.Changes) == 0:
		b.WriteString("nothing has changed")
	case applied == len(r.Changes):
		fmt.Fprintf(&b, "%s applied", settings(applied))
	default:
		fmt.Fprintf(&b, "%s applied, %s not", settings(applied), settings(len(r.Changes)-applied))
	}
	if r.Calls > 0 {
		fmt.Fprintf(&b, "; calls that go on: %d", r.Calls)
	}
	return b.String()
}

func settings(n int) string {
	if n == 1 {
		return "1 setting"
	}
	return fmt.Sprintf("%d settings", n)
}
