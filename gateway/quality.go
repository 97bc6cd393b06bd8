package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// shortTalk is how long a call must have lasted after its answer for a stream that never
// came to be a fault: before, none need come.
const shortTalk = 5 * time.Second

// OneWay reports whether no packet ever came from the peer of a side, though the call was
// answered and it was time for some.
func (r *Record) OneWay(side call.Side) bool {
	return r.Media[side].Silence.Never && !r.Answered.IsZero() && r.Ended.Sub(r.Answered) >= shortTalk
}

// Unheard says in words what was not heard in the call, one sentence each; none if all was
// well.
func (r *Record) Unheard() []string {
	var said []string
	for side, s := range r.Media {
		from := "the " + strings.ToUpper(r.edges[side].String()) + " side"
		if r.edges[call.A] == r.edges[call.B] {
			from = [2]string{"the caller", "the callee"}[side]
		}
		switch {
		case r.OneWay(call.Side(side)):
			said = append(said, "no packet ever came from "+from)
		case r.Answered.IsZero() || s.Silence.Gaps == 0:
		default:
			said = append(said, fmt.Sprintf("%s fell silent %d times, for %v at most", from, s.Silence.Gaps, s.Silence.Longest.Round(time.Second)))
		}
	}
	return said
}

// qualities are the metrics of how the legs of answered calls were. They move when a call
// ends.
type qualities struct {
	scores   *prometheus.HistogramVec
	losses   *prometheus.HistogramVec
	jitters  *prometheus.HistogramVec
	trips    *prometheus.HistogramVec
	oneWay   *prometheus.CounterVec
	silences *prometheus.CounterVec
}

func newQualities() *qualities {
	both := []string{"leg", "direction"}
	q := &qualities{
		scores: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sipxmppgw_media_mos",
			Help:    "Mean opinion score, from 1 to 4.5, of the speech of answered calls by the E-model (ITU-T G.107), by leg and whether the gateway received or sent it: 4.3 is as good as the telephone, below 3.6 many complain.",
			Buckets: []float64{1.5, 2, 2.58, 3.1, 3.6, 4.03, 4.34}, // the classes of G.107 Annex B
		}, both),
		losses: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sipxmppgw_media_loss_ratio",
			Help:    "Share of the packets of speech that was lost in answered calls, by leg and direction; what was sent as the peer reports it.",
			Buckets: []float64{0, .001, .005, .01, .02, .05, .1, .2, .5},
		}, both),
		jitters: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sipxmppgw_media_jitter_seconds",
			Help:    "Jitter of speech at the end of answered calls (RFC 3550), by leg and direction; of what was sent as the peer reports it.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5},
		}, both),
		trips: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sipxmppgw_media_round_trip_seconds",
			Help:    "Last round trip between the gateway and the peer of a leg in answered calls, by RTCP.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .15, .2, .3, .4, .6, 1, 2},
		}, []string{"leg"}),
		oneWay: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_media_one_way_total",
			Help: "Answered calls in which no packet ever came from the peer of a leg.",
		}, []string{"leg"}),
		silences: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_media_silences_total",
			Help: "Times that nothing came from the peer of a leg for 10 seconds in answered calls, though nobody held.",
		}, []string{"leg"}),
	}
	for _, e := range []Edge{SIP, XMPP} {
		leg := e.String()
		q.trips.WithLabelValues(leg)
		q.oneWay.WithLabelValues(leg)
		q.silences.WithLabelValues(leg)
		for _, direction := range []string{"received", "sent"} {
			for _, v := range []*prometheus.HistogramVec{q.scores, q.losses, q.jitters} {
				v.WithLabelValues(leg, direction)
			}
		}
	}
	return q
}

// collectors are all of them.
func (q *qualities) collectors() []prometheus.Collector {
	return []prometheus.Collector{q.scores, q.losses, q.jitters, q.trips, q.oneWay, q.silences}
}

// ended takes in a call.
func (q *qualities) ended(r *Record) {
	if r.Answered.IsZero() {
		return
	}
	for side, s := range r.Media {
		leg := r.edges[side].String()
		q.observe(s.In, leg, "received")
		q.observe(s.Out, leg, "sent")
		if s.RoundTrip > 0 {
			q.trips.WithLabelValues(leg).Observe(s.RoundTrip.Seconds())
		}
		if r.OneWay(call.Side(side)) {
			q.oneWay.WithLabelValues(leg).Inc()
		}
		q.silences.WithLabelValues(leg).Add(float64(s.Silence.Gaps))
	}
}

// observe takes in one direction of a leg, if anything is known of it.
func (q *qualities) observe(is media.Quality, leg, direction string) {
	if is.Expected == 0 {
		return
	}
	q.losses.WithLabelValues(leg, direction).Observe(is.Loss())
	q.jitters.WithLabelValues(leg, direction).Observe(is.Jitter.Seconds())
	if is.MOS > 0 {
		q.scores.WithLabelValues(leg, direction).Observe(is.MOS)
	}
}
