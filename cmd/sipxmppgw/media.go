package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/embedded"
	"sipxmppgw/mediarelay/rtpengine"
)

// A plane fits an engine to the shell, which wants its bridges as an interface.
type plane[B gateway.Bridge] func(call.ID, [2]media.Policy, func(call.Event)) (B, error)

// Open implements [gateway.MediaPlane].
func (open plane[B]) Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (gateway.Bridge, error) {
	b, err := open(id, policies, post)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// openMedia makes what carries the media. An error names the setting that is at fault.
func (d *daemon) openMedia(c config.Config, local netip.Addr) (gateway.MediaPlane, error) {
	d.mediaAt = local
	if c.Media.Engine == "rtpengine" {
		var err error
		if d.remote, err = rtpengine.New(remoteOf(c, d.log)); err != nil {
			return nil, fmt.Errorf("media.rtpengine: %w", err)
		}
		return plane[*rtpengine.Bridge](d.remote.Open), nil
	}
	o, err := relayOf(c, local, d.log)
	if err != nil {
		return nil, err
	}
	d.mediaAt = o.Addresses[0]
	if d.relay, err = embedded.New(o); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	return plane[*embedded.Bridge](d.relay.Open), nil
}

// closeMedia gives back what carries the media, with all calls that are left.
func (d *daemon) closeMedia() {
	if d.relay != nil {
		d.relay.Close()
	}
	if d.remote != nil {
		d.remote.Close()
	}
}

// A closer is something that is closed without an error.
type closer func()

// Close implements [io.Closer].
func (c closer) Close() error {
	c()
	return nil
}

// remoteOf says which rtpengines there are and how they work.
func remoteOf(c config.Config, log *slog.Logger) rtpengine.Options {
	o := rtpengine.Options{
		Timeout:    c.Media.RTPEngineTimeout,
		Times:      rtpengine.Times{Silence: c.Media.Silence},
		Transcode:  c.Media.RTPEngineTranscode,
		Record:     c.Media.RTPEngineRecord,
		InbandDTMF: c.Media.InbandDTMF,
		Log:        log,
	}
	for _, e := range c.Media.RTPEngine {
		o.Instances = append(o.Instances, rtpengine.Instance(e))
	}
	return o
}

// remoteCounters adds the figures of the rtpengines.
func (d *daemon) remoteCounters(
	desc func(name, help string, labels ...string) *prometheus.Desc,
	add func(prometheus.ValueType, *prometheus.Desc, func() float64, ...string),
) {
	up := desc("rtpengine_up", "Whether an rtpengine answers (1) or not (0).", "instance")
	requests := desc("rtpengine_requests_total", "Requests to an rtpengine, by what became of them.", "instance", "result")
	for i, in := range d.remote.Counters().Instances {
		add(prometheus.GaugeValue, up, func() float64 {
			if d.remote.Counters().Instances[i].Up {
				return 1
			}
			return 0
		}, in.Address)
		for k, result := range rtpengine.Results {
			add(prometheus.CounterValue, requests, func() float64 {
				return float64(d.remote.Counters().Instances[i].Requests[k])
			}, in.Address, result)
		}
	}
	refused := desc("rtpengine_calls_refused_total", "Calls refused because no rtpengine answered.")
	add(prometheus.CounterValue, refused, func() float64 { return float64(d.remote.Counters().Refused) })
}

// mediaDown says why no call could have media; empty if it could.
func (d *daemon) mediaDown() string {
	if d.remote == nil || slices.ContainsFunc(d.remote.Counters().Instances, func(i rtpengine.InstanceCounters) bool { return i.Up }) {
		return ""
	}
	return "media: no rtpengine answers (is media.rtpengine right?)"
}
