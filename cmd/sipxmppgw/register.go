package main

import (
	"fmt"
	"slices"
	"time"

	"sipxmppgw/signaling"
	"sipxmppgw/signaling/registration"
)

// register holds the registrations of its trunks.
func (t *tenant) register() error {
	for i, own := range t.c.Trunks {
		if own.Register.User == "" {
			continue
		}
		b := signaling.Binding{AOR: "sip:" + own.Register.User + "@" + own.Register.Domain, Expires: own.Register.Expires}
		if err := t.d.sip.Register(own.Name, b, nil); err != nil {
			return fmt.Errorf("trunks[%d].register: %w", i, err)
		}
		t.d.bound = append(t.d.bound, own.Name)
	}
	return nil
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
		if s.State != registration.Up && slices.Contains(d.bound, name) {
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
