package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// metrics are the metrics of calls. Every series exists from the start, at zero.
type metrics struct {
	ends    *prometheus.CounterVec
	refuses *prometheus.CounterVec
	trunks  *prometheus.CounterVec
	stages  *prometheus.HistogramVec
	lasts   prometheus.Histogram
	panics  prometheus.Counter
	floods  prometheus.Counter
	moves   *prometheus.CounterVec
	places  *prometheus.CounterVec
	quality *qualities
	flows   *flows
	named   sync.Map // trunks that are counted by name, those too that are no more
}

// stageBuckets reach from a machine that answers at once to a person who takes a minute.
var stageBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}

func newMetrics(reg prometheus.Registerer, g *Gateway) *metrics {
	m := &metrics{
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_calls_ended_total",
			Help: "Calls that have ended, by where they came from and cause. Of those with sessions set up, cause normal, follows the session establishment ratio (RFC 6076); with busy, declined, rejected, no_answer, elsewhere and cancelled, its effectiveness (SEER; ITU-T E.425 calls it NER).",
		}, []string{"from", "cause"}),
		refuses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_calls_refused_total",
			Help: "Calls that were not begun, by where they came from and cause.",
		}, []string{"from", "cause"}),
		trunks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_trunk_calls_ended_total",
			Help: "Calls that have ended, by SIP peer, direction (incoming, outgoing) and outcome: answered, unanswered by the doing of people (busy, declined, nobody there, cancelled), or failed (the ineffective attempts of RFC 6076).",
		}, []string{"trunk", "direction", "outcome"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sipxmppgw_call_setup_seconds",
			Help:    "Time from the attempt to a stage of the call: ringing (the session request delay of RFC 6076, or post-dial delay), answered, active, and connected (packets can flow on the XMPP leg).",
			Buckets: stageBuckets,
		}, []string{"from", "stage"}),
		lasts: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sipxmppgw_call_duration_seconds",
			Help:    "Time from the answer to the end of answered calls (session duration time of RFC 6076).",
			Buckets: []float64{1, 5, 15, 30, 60, 180, 600, 1800, 3600, 14400},
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sipxmppgw_call_panics_total",
			Help: "Calls that were lost by a fault of the gateway itself.",
		}),
		floods: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sipxmppgw_call_floods_total",
			Help: "Legs that were ended because their peer sent more than a call ever needs.",
		}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_call_transfers_total",
			Help: "Legs that were to be replaced by another (transfer, replacement, pickup), by where that was asked for and outcome.",
		}, []string{"by", "outcome"}),
		places: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_call_places_total",
			Help: "Places that calls to several (a list of trunks, a group) were tried at, by where they are and outcome: answered, failed, or left because another had the call or the caller gave up.",
		}, []string{"edge", "outcome"}),
		quality: newQualities(),
		flows:   newFlows(g),
	}
	for _, e := range []Edge{SIP, XMPP} {
		for _, c := range call.Causes() {
			m.ends.WithLabelValues(e.String(), c.String())
			m.refuses.WithLabelValues(e.String(), c.String())
		}
		for _, o := range []string{"done", "failed"} {
			m.moves.WithLabelValues(e.String(), o)
		}
		for _, o := range []string{"answered", "failed", "left"} {
			m.places.WithLabelValues(e.String(), o)
		}
		for _, s := range []string{"ringing", "answered", "active", "connected"} {
			m.stages.WithLabelValues(e.String(), s)
		}
	}
	m.count(g.opt.Trunks)
	if reg != nil {
		active := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sipxmppgw_calls_active",
			Help: "Calls there are now, answered or not.",
		}, func() float64 { return float64(g.Active()) })
		reg.MustRegister(m.ends, m.refuses, m.trunks, m.stages, m.lasts, m.panics, m.floods, m.moves, m.places, active, m.flows)
		reg.MustRegister(m.quality.collectors()...)
	}
	return m
}

// count has the calls of trunks counted by name from now on.
func (m *metrics) count(trunks []string) {
	for _, t := range trunks {
		for _, d := range trunkDirections {
			for _, o := range []string{"answered", "unanswered", "failed"} {
				m.trunks.WithLabelValues(t, d, o)
			}
		}
		m.named.Store(t, true)
	}
}

func (m *metrics) counts(trunk string) bool {
	_, ok := m.named.Load(trunk)
	return ok
}

// trunkDirections of a call whose side A or B is at a trunk.
var trunkDirections = [2]string{call.A: "incoming", call.B: "outgoing"}

// effect says what came of a call in the words of ITU-T E.425: whether it was answered, and if
// not whether people were the cause or the network.
func effect(r *Record) string {
	switch {
	case !r.Answered.IsZero():
		return "answered"
	case r.Cause.People():
		return "unanswered"
	}
	return "failed"
}

func (m *metrics) refused(from Edge, err error) {
	cause := call.Failed
	var r *call.Refusal
	if errors.As(err, &r) {
		cause = r.Cause
	}
	m.refuses.WithLabelValues(from.String(), cause.String()).Inc()
}

func (m *metrics) ended(a *actor) {
	r := &a.rec
	from := r.From.String()
	m.ends.WithLabelValues(from, r.Cause.String()).Inc()
	for side, t := range r.trunks {
		// A user's account is no trunk: its name would be one more series for each user.
		if r.edges[side] == SIP && m.counts(t) {
			m.trunks.WithLabelValues(t, trunkDirections[side], effect(r)).Inc()
		}
	}
	for stage, at := range map[string]time.Time{
		"ringing": r.Rang, "answered": r.Answered, "active": r.Active, "connected": r.Connected,
	} {
		if !at.IsZero() {
			m.stages.WithLabelValues(from, stage).Observe(at.Sub(r.Attempt).Seconds())
		}
	}
	if !r.Answered.IsZero() {
		m.lasts.Observe(r.Ended.Sub(r.Answered).Seconds())
	}
	m.quality.ended(r)
	m.flows.add(a)
}

// flows are the packets of all legs, those of living calls included, so that the counters
// move during a call.
type flows struct {
	g       *Gateway
	packets *prometheus.Desc
	lost    *prometheus.Desc
	drops   *prometheus.Desc

	// Of calls that have ended, by edge; guarded by the gateway's lock, as is which call
	// counts here and which is still looked at.
	done [2]media.Stats
}

func newFlows(g *Gateway) *flows {
	return &flows{
		g: g,
		packets: prometheus.NewDesc("sipxmppgw_media_packets_total",
			"RTP packets, by leg and whether the gateway received or sent them.", []string{"leg", "direction"}, nil),
		lost: prometheus.NewDesc("sipxmppgw_media_lost_packets_total",
			"RTP packets of the peers that never came, by leg (RFC 3550 A.3).", []string{"leg"}, nil),
		drops: prometheus.NewDesc("sipxmppgw_media_dropped_packets_total",
			"Packets that were not passed on, by leg and reason.", []string{"leg", "reason"}, nil),
	}
}

// Describe implements [prometheus.Collector].
func (f *flows) Describe(ch chan<- *prometheus.Desc) {
	ch <- f.packets
	ch <- f.lost
	ch <- f.drops
}

// Collect implements [prometheus.Collector].
func (f *flows) Collect(ch chan<- prometheus.Metric) {
	for e, s := range f.sum() {
		leg := Edge(e).String()
		count := func(d *prometheus.Desc, n int64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{leg}, labels...)...)
		}
		count(f.packets, s.Received.Packets, "received")
		count(f.packets, s.Sent.Packets, "sent")
		count(f.lost, s.Lost)
		count(f.drops, s.Dropped.WrongSource, "wrong_source")
		count(f.drops, s.Dropped.BadAuth, "bad_auth")
		count(f.drops, s.Dropped.Replayed, "replayed")
		count(f.drops, s.Dropped.NoRoute, "no_route")
		count(f.drops, s.Dropped.Malformed, "malformed")
	}
}

// sum adds up what was and what is.
func (f *flows) sum() [2]media.Stats {
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	sum := f.done
	for _, a := range f.g.calls {
		if a.recorded {
			continue
		}
		for e, s := range a.rec.byEdge(a.bridge.Stats()) {
			sum[e] = plus(sum[e], s)
		}
	}
	return sum
}

// add takes a call that has ended from those that are looked at.
func (f *flows) add(a *actor) {
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	a.recorded = true
	for e, s := range a.rec.byEdge(a.rec.Media) {
		f.done[e] = plus(f.done[e], s)
	}
}

func plus(a, b media.Stats) media.Stats {
	a.Received.Packets += b.Received.Packets
	a.Sent.Packets += b.Sent.Packets
	a.Lost += b.Lost
	a.Dropped.WrongSource += b.Dropped.WrongSource
	a.Dropped.BadAuth += b.Dropped.BadAuth
	a.Dropped.Replayed += b.Dropped.Replayed
	a.Dropped.NoRoute += b.Dropped.NoRoute
	a.Dropped.Malformed += b.Dropped.Malformed
	return a
}

func minus(a, b media.Stats) media.Stats {
	b.Received.Packets, b.Sent.Packets, b.Lost = -b.Received.Packets, -b.Sent.Packets, -b.Lost
	b.Dropped = media.Drops{
		WrongSource: -b.Dropped.WrongSource, BadAuth: -b.Dropped.BadAuth, Replayed: -b.Dropped.Replayed,
		NoRoute: -b.Dropped.NoRoute, Malformed: -b.Dropped.Malformed,
	}
	return plus(a, b)
}
