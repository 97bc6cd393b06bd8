package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sipxmppgw/gateway/web"
	"sipxmppgw/signaling/registration"
	"sipxmppgw/signaling/stack"
)

// newAdmin returns the operator's pages: /metrics, /livez, and /readyz with the causes of
// not being ready, one a line, or with what is degraded.
func newAdmin(reg *prometheus.Registry, unready, degraded func() []string, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		causes := unready()
		if len(causes) == 0 {
			fmt.Fprintln(w, "ok")
			for _, c := range degraded() {
				fmt.Fprintln(w, "degraded:", c)
			}
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		for _, c := range causes {
			fmt.Fprintln(w, c)
		}
	})
	return web.Server(mux, log)
}

// A counter is one figure of an edge, which counts by itself and knows no Prometheus.
type counter struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	label []string
	value func() float64
}

// counters exports the figures of the edges.
type counters []counter

// Describe implements [prometheus.Collector].
func (cs counters) Describe(ch chan<- *prometheus.Desc) {
	seen := map[*prometheus.Desc]bool{}
	for _, c := range cs {
		if !seen[c.desc] {
			seen[c.desc] = true
			ch <- c.desc
		}
	}
}

// Collect implements [prometheus.Collector].
func (cs counters) Collect(ch chan<- prometheus.Metric) {
	for _, c := range cs {
		ch <- prometheus.MustNewConstMetric(c.desc, c.kind, c.value(), c.label...)
	}
}

func (cs *counters) add(kind prometheus.ValueType, at *prometheus.Desc, value func() float64, labels ...string) {
	*cs = append(*cs, counter{at, kind, labels, value})
}

func (cs *counters) count(at *prometheus.Desc, value func() uint64, labels ...string) {
	cs.add(prometheus.CounterValue, at, func() float64 { return float64(value()) }, labels...)
}

func (cs *counters) gauge(at *prometheus.Desc, value func() int, labels ...string) {
	cs.add(prometheus.GaugeValue, at, func() float64 { return float64(value()) }, labels...)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sipxmppgw_"+name, help, labels, nil)
}

// trunksUp are the SIP peers that are probed now.
type trunksUp struct {
	d    *daemon
	desc *prometheus.Desc
}

func (d *daemon) trunksUp() trunksUp {
	return trunksUp{d, desc("trunk_up", "Whether a SIP peer that is probed takes calls (1), or does not answer or wants to be left alone (0).", "trunk")}
}

// Describe implements [prometheus.Collector].
func (t trunksUp) Describe(ch chan<- *prometheus.Desc) { ch <- t.desc }

// Collect implements [prometheus.Collector].
func (t trunksUp) Collect(ch chan<- prometheus.Metric) {
	for _, trunk := range t.d.sip.Probed() {
		up := 1.0
		if t.d.sip.Down(trunk) {
			up = 0
		}
		ch <- prometheus.MustNewConstMetric(t.desc, prometheus.GaugeValue, up, trunk)
	}
}

// counters returns the figures that a tenant's stream and its rtpengines keep by themselves.
func (t *tenant) counters() counters {
	var cs counters
	cs.gauge(desc("xmpp_up", "Whether the component is connected to its server (1) or not (0)."), func() int {
		if t.stream.State().Up {
			return 1
		}
		return 0
	})
	cs.count(desc("xmpp_connects_total", "Connections to the XMPP server that were made."), func() uint64 { return t.stream.Stats().Connects })
	stanzas := desc("xmpp_stanzas_total", "Stanzas, by whether the gateway received or sent them.", "direction")
	cs.count(stanzas, func() uint64 { return t.stream.Stats().Received }, "received")
	cs.count(stanzas, func() uint64 { return t.stream.Stats().Sent }, "sent")
	bad := desc("xmpp_stanzas_bad_total", "Stanzas that were not taken, or not sent, by reason.", "reason")
	cs.count(bad, func() uint64 { return t.stream.Stats().Over }, "too_large")
	cs.count(bad, func() uint64 { return t.stream.Stats().Unreadable }, "unreadable")
	cs.count(bad, func() uint64 { return t.stream.Stats().Malformed }, "malformed_address")
	cs.count(bad, func() uint64 { return t.stream.Stats().Foreign }, "foreign_domain")
	cs.count(bad, func() uint64 { return t.stream.Stats().Spoofed }, "spoofed_answer")
	cs.count(bad, func() uint64 { return t.stream.Stats().Refused }, "unfit_to_send")
	cs.count(bad, func() uint64 { return t.stream.Stats().Lost }, "no_connection")
	cs.count(desc("xmpp_panics_total", "Stanzas that were lost by a fault of the gateway itself."), func() uint64 { return t.stream.Stats().Panics })
	if t.remote != nil {
		t.remoteCounters(&cs)
	}
	return cs
}

// counters returns the figures that the SIP side and the relay keep by themselves.
func (d *daemon) counters() counters {
	var cs counters
	messages := desc("sip_messages_total", "SIP messages, by whether the gateway received or sent them.", "direction")
	cs.count(messages, func() uint64 { return d.sip.Stats().Stack.Received }, "received")
	cs.count(messages, func() uint64 { return d.sip.Stats().Stack.Sent }, "sent")
	dropped := desc("sip_messages_bad_total", "SIP messages that were dropped or refused before a call saw them, by reason.", "reason")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Stack.Strangers }, "unknown_source")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Stack.Throttled }, "too_fast")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Stack.Dropped }, "malformed_dropped")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Stack.Rejected }, "malformed_answered")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Stack.Unparsed }, "unparsed")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Stack.Shed }, "overload")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Stack.Merged }, "merged")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Stack.Refused }, "unfit_to_send")
	if d.msrp != nil {
		d.messageCounters(&cs)
	}
	cs.count(desc("sip_panics_total", "SIP messages that were lost by a fault of the gateway itself."), func() uint64 { return d.sip.Stats().Stack.Panics })
	cs.count(desc("sip_failovers_total", "SIP requests sent to another place of a trunk after one had failed."), func() uint64 { return d.sip.Stats().Stack.Failovers })
	cs.count(dropped, func() uint64 { return d.sip.Stats().Barred }, "shut_out")
	cs.count(dropped, func() uint64 { return d.sip.Stats().Scanned }, "scanner")
	proofs := desc("sip_proofs_total", "Requests of phones, and of trunks with inbound, whose sender had to prove who it is, by result: asked, or wrong (nobody of that name, or another password).", "result")
	cs.count(proofs, func() uint64 { return d.sip.Stats().Challenged }, "asked")
	cs.count(proofs, func() uint64 { return d.sip.Stats().Unproved }, "wrong")
	cs.count(desc("sip_bans_total", "Times that an address was shut out for wrong answers (sip.max_failures)."), func() uint64 { return d.sip.Stats().Bans })
	cs.gauge(desc("sip_addresses_banned", "Addresses that are shut out now."), func() int { return d.sip.Stats().Banned })
	cs.gauge(desc("sip_phone_contacts", "Places where phones of ours are registered now."), func() int { return d.sip.Stats().Registered })
	cs.gauge(desc("sip_phone_subscriptions", "Subscriptions of phones to lines, mailboxes and registrations now; at most 64 of one phone."), func() int { return d.sip.Stats().Served })
	cs.gauge(desc("overloaded", "Whether new calls are refused because the processors are busy (1) or not (0); see calls.max_cpu."), func() int {
		if d.load.busy() {
			return 1
		}
		return 0
	})
	registrations := desc("sip_registrations", "Registrations at trunks, and of users' accounts, there are now, by state: up, trying, failing, down.", "state")
	for s := registration.Down; s <= registration.Failing; s++ {
		cs.gauge(registrations, func() int { return d.registrations(s) }, s.String())
	}
	lookups := desc("dns_lookups_total", "Times that a SIP peer's places were looked up, by result; when stale rises, DNS does not answer and what it said last is used, for a day.", "result")
	cs.count(lookups, func() uint64 {
		s := d.dns.Stats()
		return s.Lookups - min(s.Lookups, s.Stale+s.Unknown+s.Unanswered)
	}, "found")
	cs.count(lookups, func() uint64 { return d.dns.Stats().Stale }, "stale")
	cs.count(lookups, func() uint64 { return d.dns.Stats().Unknown }, "unknown")
	cs.count(lookups, func() uint64 { return d.dns.Stats().Unanswered }, "unanswered")
	cs.count(desc("dns_queries_total", "Questions sent to a DNS server."), func() uint64 { return d.dns.Stats().Queries })
	cs.count(desc("dns_query_failures_total", "Questions that a DNS server did not answer, or not usefully."), func() uint64 { return d.dns.Stats().Failures })
	cs.gauge(desc("sip_places_failed", "Places of SIP peers that have failed lately and are tried last."), func() int { return d.dns.Stats().Penalties })
	conns := desc("sip_connections", "Connections of SIP peers there are now, by transport: tcp, tls, ws, wss, sctp.", "transport")
	for _, t := range []stack.Transport{stack.TCP, stack.TLS, stack.WS, stack.WSS, stack.SCTP} {
		cs.gauge(conns, func() int { return d.sip.Stats().Stack.ConnsBy[t] }, strings.ToLower(string(t)))
	}
	closed := desc("sip_connections_refused_total", "Connections of SIP peers that were not taken, or closed by us, by reason: too_many, too_slow, handshake (TLS or WebSocket: a certificate, most often).", "reason")
	cs.count(closed, func() uint64 { return d.sip.Stats().Stack.ConnsOver }, "too_many")
	cs.count(closed, func() uint64 { return d.sip.Stats().Stack.ConnsSlow }, "too_slow")
	cs.count(closed, func() uint64 { return d.sip.Stats().Stack.Handshakes }, "handshake")
	keepalives := desc("sip_keepalives_total", "STUN requests that keep ways to SIP peers open (keepalive), by result: sent, answered.", "result")
	cs.count(keepalives, func() uint64 { return d.sip.Stats().Stack.Pings }, "sent")
	cs.count(keepalives, func() uint64 { return d.sip.Stats().Stack.Pongs }, "answered")
	cs.add(prometheus.GaugeValue, desc("sip_certificate_expiry_timestamp_seconds", "When the first certificate of the SIP side ends, in seconds since 1970; 0 without one."), func() float64 {
		if until := d.secure.Keys.Until(); !until.IsZero() {
			return float64(until.Unix())
		}
		return 0
	})

	d.recordCounters(&cs)
	d.reloadCounters(&cs)
	if d.relay == nil {
		return cs
	}
	ports := desc("media_ports", "Media ports, by state: used by a call, shared by XMPP legs, resting before they are used again, free.", "state")
	cs.gauge(ports, func() int {
		c := d.relay.Counters()
		return c.PortsUsed - c.PortsKept
	}, "used")
	cs.gauge(ports, func() int { return d.relay.Counters().PortsKept }, "shared")
	cs.gauge(ports, func() int { return d.relay.Counters().PortsRest }, "resting")
	cs.gauge(ports, func() int {
		c := d.relay.Counters()
		return c.PortsAll - c.PortsUsed - c.PortsRest
	}, "free")
	cs.gauge(desc("media_transcoded_calls", "Calls whose speech is transcoded now."), func() int { return d.relay.Counters().Transcoded })
	cs.count(desc("media_transcodes_refused_total", "Calls that were to be transcoded when as many were as may be (media.transcoding.max)."), func() uint64 {
		return uint64(d.relay.Counters().TranscodesRefused)
	})
	return cs
}
