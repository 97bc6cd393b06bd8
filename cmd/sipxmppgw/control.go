package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/cdr"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/otlp"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/registration"
)

// openTrace makes the recorder, and whoever is told of what it keeps.
func (d *daemon) openTrace(c config.Config) error {
	var sink func(string, trace.Message)
	if c.HEP.Server != "" {
		var err error
		d.hep, err = trace.NewExporter(trace.HEP{Server: c.HEP.Server, Capture: uint32(c.HEP.CaptureID), Key: string(c.HEP.Key)})
		if err != nil {
			return fmt.Errorf("hep.server: %w", err)
		}
		sink = d.hep.Add
	}
	d.trace = trace.NewRecorder(trace.Limits{Calls: c.Trace.Calls, Octets: c.Trace.Memory << 20}, sink)
	if c.OTLP.URL != "" {
		d.otlp = otlp.New(otlp.Options{
			URL: c.OTLP.URL, Header: string(c.OTLP.Header), Service: c.OTLP.Service, Version: strings.Fields(versionOf())[0], Kept: d.trace.Call, Log: d.log,
		})
	}
	return nil
}

// openRecords opens the file of call records, if there is to be one.
func (d *daemon) openRecords(c config.Config) error {
	if c.Records.File == "" {
		return nil
	}
	var err error
	d.cdr, err = cdr.Open(cdr.Options{
		File: c.Records.File, CSV: c.Records.Format == "csv", MaxSize: int64(c.Records.MaxSize) << 20, Keep: c.Records.Keep, Log: d.log,
	})
	if err != nil {
		return fmt.Errorf("records.file: %w", err)
	}
	return nil
}

// newDesk returns what operators ask and order.
func (d *daemon) newDesk() *control.Desk {
	var all []*gateway.Gateway
	for _, t := range d.tenants {
		all = append(all, t.g)
	}
	return control.NewDesk(control.Options{
		Calls: all, Trace: d.trace, Version: versionOf(), Status: d.status, Route: d.dryRun,
		Levels: func() []control.Level { return levelsOf(d.log).list() },
		SetLevel: func(area, level string, during time.Duration) error {
			err := levelsOf(d.log).set(area, level, during)
			if err == nil {
				d.log.Info("level of the log", "area", area, "level", level, "for", during.String())
			}
			return err
		},
		Drain:  sync.OnceFunc(func() { close(d.told) }),
		Reload: func() (control.Reloaded, error) { return d.reload(d.file) },
		Doctor: d.checkUp, Try: d.try,
	})
}

// newDesk returns what those ask and order who see one component alone. What is the business of
// the whole is not there.
func (t *tenant) newDesk() *control.Desk {
	return control.NewDesk(control.Options{
		Calls: []*gateway.Gateway{t.g}, Trace: t.d.trace, Version: versionOf(),
		Status: func() control.Status {
			s := control.Status{Since: t.d.since, State: control.Up, Causes: []string{}, Components: []control.Component{t.component()}}
			s.Trunks = t.d.trunksOf(t, t.d.sip.Standings())
			if s.Components[0].State == control.Down {
				s.State = control.Down
			} else if t.d.isGoing() {
				s.State = control.Draining
			}
			return s
		},
		Route: func(q control.Question) (control.Routing, error) {
			q.Domain = t.c.XMPP.Domain
			return t.d.dryRun(q)
		},
	})
}

// announce says what to tell those who see the gateway when it goes down.
func (d *daemon) announce(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.farewell = text
}

// status says how the gateway fares.
func (d *daemon) status() control.Status {
	s := control.Status{Since: d.since, State: control.Up, Causes: []string{}, Components: []control.Component{}, Trunks: []control.Trunk{}, Sockets: d.sipUp}
	standings := d.sip.Standings()
	for _, own := range d.tenants {
		s.Components = append(s.Components, own.component())
		s.Trunks = append(s.Trunks, d.trunksOf(own, standings)...)
	}
	if worse := d.degraded(); len(worse) > 0 {
		s.State, s.Causes = control.Degraded, worse
	}
	if causes := d.unready(); len(causes) > 0 {
		s.State, s.Causes = control.Down, causes
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.going {
		s.State = control.Draining
	}
	return s
}

// component says how its connection fares.
func (t *tenant) component() control.Component {
	limits := t.now.Load().Calls
	c := control.Component{Domain: t.c.XMPP.Domain, Server: t.c.XMPP.Server, State: control.Up, Calls: t.g.Active(), MaxCalls: limits.Max}
	if s := t.stream.State(); !s.Up {
		c.State, c.Problem = control.Down, strings.TrimPrefix(downText(s), "xmpp: ")
	} else if text := t.mediaDown(); text != "" {
		c.State, c.Problem = control.Down, text
	}
	return c
}

func (d *daemon) trunksOf(own *tenant, standings map[string]signaling.Standing) []control.Trunk {
	var all []control.Trunk
	using, probed := own.g.Using(), d.sip.Probed()
	for _, t := range own.now.Load().Trunks {
		trunk := control.Trunk{
			Name: t.Name, Domain: own.c.XMPP.Domain, Address: t.Address, Transport: t.Transport, State: control.Unknown, Calls: using[t.Name], MaxCalls: t.MaxCalls,
		}
		if t.Register.User != "" {
			s := standings[t.Name]
			trunk.State, trunk.Registration = control.Up, s.State.String()
			if s.State != registration.Up {
				trunk.State = control.Down
			}
			if text := registrationText(t.Name, s); strings.Contains(text, trunk.Registration+":") {
				_, trunk.Problem, _ = strings.Cut(text, trunk.Registration+": ")
			}
		}
		switch {
		case !slices.Contains(probed, t.Name):
		case d.sip.Down(t.Name):
			trunk.State, trunk.Problem = control.Down, "it does not answer OPTIONS"
		case trunk.State == control.Unknown:
			trunk.State = control.Up
		}
		all = append(all, trunk)
	}
	return all
}

// dryRun says where a call would go now.
func (d *daemon) dryRun(q control.Question) (control.Routing, error) {
	for _, t := range d.tenants {
		if (q.Domain == "" || t.c.XMPP.Domain == q.Domain) && (q.Trunk == "" || t.has(q.Trunk)) {
			return control.DryRun(t.routes.Load(), q)
		}
	}
	if q.Domain != "" {
		return control.Routing{}, fmt.Errorf("%s is no component with that trunk", q.Domain)
	}
	return control.Routing{}, fmt.Errorf("there is no trunk %s", q.Trunk)
}

// recordCounters are the figures of what a collector is told, and of call records.
func (d *daemon) recordCounters(cs *counters) {
	of := func() (sent, dropped, failed uint64) {
		if d.hep == nil {
			return 0, 0, 0
		}
		return d.hep.Counts()
	}
	told := desc("hep_messages_total", "Messages of calls for the collector of hep, by result: sent, dropped for want of room, failed.", "result")
	cs.count(told, func() uint64 { n, _, _ := of(); return n }, "sent")
	cs.count(told, func() uint64 { _, n, _ := of(); return n }, "dropped")
	cs.count(told, func() uint64 { _, _, n := of(); return n }, "failed")
	traces := func() (sent, dropped, failed uint64) {
		if d.otlp == nil {
			return 0, 0, 0
		}
		return d.otlp.Counts()
	}
	traced := desc("otlp_calls_total", "Calls for the collector of otlp, by result: sent, dropped for want of room, failed.", "result")
	cs.count(traced, func() uint64 { n, _, _ := traces(); return n }, "sent")
	cs.count(traced, func() uint64 { _, n, _ := traces(); return n }, "dropped")
	cs.count(traced, func() uint64 { _, _, n := traces(); return n }, "failed")
	lines := func() (written, dropped, failed uint64) {
		if d.cdr == nil {
			return 0, 0, 0
		}
		return d.cdr.Counts()
	}
	records := desc("records_total", "Lines for records.file, by result: written, dropped for want of room, failed.", "result")
	cs.count(records, func() uint64 { n, _, _ := lines(); return n }, "written")
	cs.count(records, func() uint64 { _, n, _ := lines(); return n }, "dropped")
	cs.count(records, func() uint64 { _, _, n := lines(); return n }, "failed")
}
