package main

import (
	"fmt"
	"slices"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/registration"
)

// register holds the registrations of its trunks.
func (t *tenant) register() error {
	for name, b := range bindingsOf(t.c) {
		if err := t.d.sip.Register(name, b, nil); err != nil {
			return fmt.Errorf("trunks[%s].register: %w", name, err)
		}
	}
	return nil
}

// bindingsOf are the registrations to hold, by trunk.
func bindingsOf(c config.Config) map[string]signaling.Binding {
	all := map[string]signaling.Binding{}
	for _, t := range c.Trunks {
		if r := t.Register; r.User != "" {
			all[t.Name] = signaling.Binding{AOR: "sip:" + r.User + "@" + r.Domain, Expires: r.Expires}
		}
	}
	return all
}

// binds reports whether a trunk is one that we register with.
func (d *daemon) binds(trunk string) bool {
	return slices.ContainsFunc(d.tenants, func(t *tenant) bool {
		_, ok := bindingsOf(*t.now.Load())[trunk]
		return ok
	})
}

// registrations counts those in a state.
func (d *daemon) registrations(s registration.State) int {
	n := 0
	for _, standing := range d.sip.Standings() {
		if standing.State == s {
			n++
		}
	}
	return n
}

// degraded says what does not work while calls can come.
func (d *daemon) degraded() []string {
	var causes []string
	for name, s := range d.sip.Standings() {
		if s.State != registration.Up && d.binds(name) {
			causes = append(causes, registrationText(name, s))
		}
	}
	for _, name := range d.sip.Probed() {
		if d.sip.Down(name) && d.sip.Resting(name) == 0 {
			causes = append(causes, "trunk "+name+": it does not answer OPTIONS")
		}
	}
	for _, t := range d.tenants {
		for _, own := range t.now.Load().Trunks {
			if rest := d.sip.Resting(own.Name); rest > 0 {
				causes = append(causes, fmt.Sprintf("trunk %s: it takes no calls for another %v (503)", own.Name, rest.Round(time.Second)))
			}
		}
	}
	slices.Sort(causes)
	for _, t := range d.tenants {
		causes = append(causes, t.unready()...)
	}
	return causes
}

// registrationText says how a trunk's registration fares that is not up.
func registrationText(name string, s signaling.Standing) string {
	text := "trunk " + name + ": registration " + s.State.String()
	if s.Reason != registration.NoReason {
		text += ": " + s.Reason.String()
	}
	if s.Status != 0 {
		text += fmt.Sprintf(" (%d)", s.Status)
	}
	return text
}
