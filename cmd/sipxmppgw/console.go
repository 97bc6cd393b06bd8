package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"

	dto "github.com/prometheus/client_model/go"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/console"
	"sipxmppgw/gateway/control"
)

// openConsole binds the operator's web page, if there is to be one.
func (d *daemon) openConsole(c config.Config) error {
	if c.Console.Listen == "" {
		return nil
	}
	var err error
	d.pageAt, err = d.pagesAt("console", c.Console.Listen, c.Console.TLS)
	return err
}

// pagesAt binds pages that a group of settings is about; over TLS they speak https with the
// certificate of the SIP side.
func (d *daemon) pagesAt(group, address string, secure bool) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s.listen: %w", group, err)
	}
	if secure {
		l = tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			GetCertificate: d.secure.Keys.Shown,
		})
	}
	return l, nil
}

// newConsole makes the page.
func (d *daemon) newConsole(c config.Config) {
	d.page = console.New(console.Options{
		Desk: d.desk, Figures: d.figures, Token: string(c.Console.Token), Hosts: c.Console.Hosts, Secure: c.Console.TLS, Log: d.log,
	})
	d.pages = d.page.Server()
	d.onEnded(d.outcomes.add)
	if d.pageAt == nil {
		return
	}
	d.log.Info("console", "address", d.pageAt.Addr().String(), "token", c.Console.Token != "", "tls", c.Console.TLS)
	d.warnOfPlain("console", d.pageAt, c.Console.TLS)
}

// warnOfPlain says that pages can be read on their way.
func (d *daemon) warnOfPlain(what string, l net.Listener, secure bool) {
	if host, _, err := net.SplitHostPort(l.Addr().String()); err == nil && !secure {
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			d.log.Warn("the " + what + " is reached without TLS: keep the way to it safe, or set " + what + ".tls")
		}
	}
}

// outcomes are how many calls have ended how.
type outcomes struct {
	mu                           sync.Mutex
	answered, unanswered, failed float64
}

func (o *outcomes) add(r gateway.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !r.Answered.IsZero():
		o.answered++
	case r.Cause.People():
		o.unanswered++
	default:
		o.failed++
	}
}

func (o *outcomes) figures() console.Figures {
	o.mu.Lock()
	defer o.mu.Unlock()
	return console.Figures{Answered: o.answered, Unanswered: o.unanswered, Failed: o.failed}
}

// figures are the main ones, most of them from the metrics, so that they are the same everywhere.
func (d *daemon) figures() console.Figures {
	f := d.outcomes.figures()
	for _, t := range d.status().Trunks {
		if t.State == control.Down {
			f.Bad++
		}
	}
	f.Calls, f.Up = d.active(), len(d.unready()) == 0
	families, err := d.reg.Gather()
	if err != nil {
		d.log.Debug("figures of the console", "error", err) // those that could be had are there
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			count(&f, family.GetName(), m)
		}
	}
	return f
}

// count adds what a metric says.
func count(f *console.Figures, name string, m *dto.Metric) {
	label := func(name string) string {
		for _, l := range m.GetLabel() {
			if l.GetName() == name {
				return l.GetValue()
			}
		}
		return ""
	}
	mean := func() console.Mean {
		return console.Mean{Sum: m.GetHistogram().GetSampleSum(), Count: float64(m.GetHistogram().GetSampleCount())}
	}
	v := m.GetCounter().GetValue()
	switch name {
	case "sipxmppgw_calls_refused_total":
		f.Refused += v
	case "sipxmppgw_call_setup_seconds":
		if label("stage") == "ringing" {
			f.Setup = f.Setup.Plus(mean())
		}
	case "sipxmppgw_media_mos":
		switch {
		case label("direction") != "received":
		case label("leg") == "sip":
			f.SIP = f.SIP.Plus(mean())
		default:
			f.XMPP = f.XMPP.Plus(mean())
		}
	case "sipxmppgw_media_packets_total":
		if label("direction") == "received" {
			f.Received += v
		}
	case "sipxmppgw_media_lost_packets_total":
		f.NotCome += v
	}
}
