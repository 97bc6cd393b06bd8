package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/gateway/presence"
)

var (
	presenceSubscriptions = prometheus.NewDesc("sipxmppgw_presence_subscriptions",
		"Subscriptions to presence, by direction (out: of XMPP users to SIP contacts, in: the reverse) and state: pending, granted, synthetic (the contact has no presence of its own), denied; active.", []string{"direction", "state"}, nil)
	presenceNotifications = prometheus.NewDesc("sipxmppgw_presence_notifications_total",
		"NOTIFY requests, by whether the gateway received or sent them.", []string{"direction"}, nil)
	presenceSubscribes = prometheus.NewDesc("sipxmppgw_presence_subscribes_total",
		"SUBSCRIBE requests that the gateway sent; five a second for each trunk at the most, beside refreshes.", nil, nil)
	presenceTold = prometheus.NewDesc("sipxmppgw_presence_stanzas_total",
		"Presence stanzas of contacts that the gateway sent to users who watch them.", nil, nil)
	presenceLists = prometheus.NewDesc("sipxmppgw_presence_lists",
		"Subscriptions to lists of contacts that trunks keep.", nil, nil)
	presenceListed = prometheus.NewDesc("sipxmppgw_presence_lists_serving",
		"Subscriptions to contacts that a subscription to a list stands for.", nil, nil)
	presenceRefused = prometheus.NewDesc("sipxmppgw_presence_refused_total",
		"Subscriptions that were refused, and changes that were dropped, because there were too many.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (p *Presences) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{presenceSubscriptions, presenceNotifications, presenceSubscribes, presenceTold, presenceRefused, presenceLists, presenceListed} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (p *Presences) Collect(ch chan<- prometheus.Metric) {
	for s := presence.Pending; s <= presence.Denied; s++ {
		ch <- prometheus.MustNewConstMetric(presenceSubscriptions, prometheus.GaugeValue, float64(p.count.standing[s].Load()), "out", s.String())
	}
	ch <- prometheus.MustNewConstMetric(presenceSubscriptions, prometheus.GaugeValue, float64(p.count.watchers.Load()), "in", "active")
	for i, direction := range []string{"received", "sent"} {
		ch <- prometheus.MustNewConstMetric(presenceNotifications, prometheus.CounterValue, float64(p.count.notifications[i].Load()), direction)
	}
	ch <- prometheus.MustNewConstMetric(presenceLists, prometheus.GaugeValue, float64(p.count.lists.Load()))
	ch <- prometheus.MustNewConstMetric(presenceListed, prometheus.GaugeValue, float64(p.count.listed.Load()))
	count := func(d *prometheus.Desc, n int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	count(presenceSubscribes, p.count.subscribes.Load())
	count(presenceTold, p.count.tells.Load())
	count(presenceRefused, p.count.refused.Load()+p.shards.dropped.Load())
}
