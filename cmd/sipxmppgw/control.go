package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/cdr"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/signaling"
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

// newControl returns the server of the operator's commands.
func (d *daemon) newControl() *http.Server {
	var all []*gateway.Gateway
	for _, t := range d.tenants {
		all = append(all, t.g)
	}
	return control.New(control.Options{
		Calls: all, Trace: d.trace, Version: versionOf(),
		Trunks: func() []control.Trunk { return d.trunks() },
		Drain:  sync.OnceFunc(func() { close(d.told) }),
		Reload: func() {
			select {
			case d.hup <- syscall.SIGHUP:
			default: // it is about to, or nobody is there to do it
			}
		},
	})
}

// trunks says how the SIP peers of the configuration fare.
func (d *daemon) trunks() []control.Trunk {
	standings := d.sip.Standings()
	all := []control.Trunk{}
	for _, own := range d.tenants {
		all = append(all, d.trunksOf(own, standings)...)
	}
	return all
}

func (d *daemon) trunksOf(own *tenant, standings map[string]signaling.Standing) []control.Trunk {
	var all []control.Trunk
	using := own.g.Using()
	for _, t := range own.c.Trunks {
		trunk := control.Trunk{Name: t.Name, Address: t.Address, Transport: t.Transport, Calls: using[t.Name], MaxCalls: t.MaxCalls}
		if slices.Contains(d.bound, t.Name) {
			s := standings[t.Name]
			trunk.Registration = s.State.String()
			if text := registrationText(t.Name, s); strings.Contains(text, trunk.Registration+":") {
				_, trunk.Problem, _ = strings.Cut(text, trunk.Registration+": ")
			}
		}
		all = append(all, trunk)
	}
	return all
}

// recordCounters are the figures of what a collector is told, and of call records.
func (d *daemon) recordCounters(cs *counters) {
	of := func() (sent, dropped, failed uint64) {
		if d.hep == nil {
			return 0, 0, 0
		}
		return d.hep.Counts()
	}
	told := desc("hep_messages_total", "Messages of calls for the collector of HEP, by what became of them.", "result")
	cs.count(told, func() uint64 { n, _, _ := of(); return n }, "sent")
	cs.count(told, func() uint64 { _, n, _ := of(); return n }, "dropped")
	cs.count(told, func() uint64 { _, _, n := of(); return n }, "failed")
	lines := func() (written, dropped, failed uint64) {
		if d.cdr == nil {
			return 0, 0, 0
		}
		return d.cdr.Counts()
	}
	records := desc("records_total", "Lines of call records, by what became of them.", "result")
	cs.count(records, func() uint64 { n, _, _ := lines(); return n }, "written")
	cs.count(records, func() uint64 { _, n, _ := lines(); return n }, "dropped")
	cs.count(records, func() uint64 { _, _, n := lines(); return n }, "failed")
}
