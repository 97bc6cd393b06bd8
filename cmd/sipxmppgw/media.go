package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/embedded"
	"sipxmppgw/mediarelay/rtpengine"
	"sipxmppgw/mediarelay/sound"
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

// openRelay makes the relay, if it carries anyone's media. An error names the setting that is at
// fault.
func (d *daemon) openRelay(parts []config.Config, local netip.Addr) error {
	transcodes, wanted := 0, false
	for _, c := range parts {
		transcodes += transcodesOf(c)
		wanted = wanted || c.Media.Engine != "rtpengine"
	}
	if !wanted {
		return nil
	}
	o, err := relayOf(parts[0], local, areaOf(d.log, "media"))
	if err != nil {
		return err
	}
	o.Transcodes = transcodes
	at := o.Addresses
	if len(o.Networks) > 0 {
		at = o.Networks[0].Addresses
	}
	d.relayAt = at[0]
	embedded.TuneProcess()
	if d.relay, err = embedded.New(o); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	return nil
}

// closeRelay gives the relay back, with all calls that are left.
func (d *daemon) closeRelay() {
	if d.relay != nil {
		d.relay.Close()
	}
}

// openMedia makes what carries a tenant's media. An error names the setting that is at fault.
func (t *tenant) openMedia(local netip.Addr) (gateway.MediaPlane, error) {
	if t.c.Media.Engine != "rtpengine" {
		t.mediaAt = t.d.relayAt
		return plane[*embedded.Bridge](t.d.relay.Share(transcodesOf(t.c)).Open), nil
	}
	t.mediaAt = local
	var err error
	if t.remote, err = rtpengine.New(remoteOf(t.c, areaOf(t.log, "media"))); err != nil {
		return nil, fmt.Errorf("media.rtpengine: %w", err)
	}
	return plane[*rtpengine.Bridge](t.remote.Open), nil
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
		Timeout:   c.Media.RTPEngineTimeout,
		Times:     rtpengine.Times{Silence: c.Media.Silence},
		Transcode: c.Media.RTPEngineTranscode,
		Record:    c.Media.RTPEngineRecord,
		Unmarked:  c.Media.Unmarked,
		Hold:      onHold[c.Media.OnHold],
		Music:     c.Media.MusicFile,
		Log:       log,
	}
	o.Ringback, _ = sound.RingbackOf(c.Media.Ringback)
	for _, e := range c.Media.RTPEngine {
		o.Instances = append(o.Instances, rtpengine.Instance(e))
	}
	return o
}

// remoteCounters adds the figures of the rtpengines.
func (t *tenant) remoteCounters(cs *counters) {
	up := desc("rtpengine_up", "Whether an rtpengine answers pings (1) or not (0).", "rtpengine")
	requests := desc("rtpengine_requests_total", "Requests to an rtpengine, by result: ok, error (it said no), timeout, refused (nobody listens there), malformed.", "rtpengine", "result")
	for i, in := range t.remote.Counters().Instances {
		cs.add(prometheus.GaugeValue, up, func() float64 {
			if t.remote.Counters().Instances[i].Up {
				return 1
			}
			return 0
		}, in.Address)
		for k, result := range rtpengine.Results {
			cs.add(prometheus.CounterValue, requests, func() float64 {
				return float64(t.remote.Counters().Instances[i].Requests[k])
			}, in.Address, result)
		}
	}
	refused := desc("rtpengine_calls_refused_total", "Calls refused because no rtpengine answered.")
	cs.add(prometheus.CounterValue, refused, func() float64 { return float64(t.remote.Counters().Refused) })
}

// mediaDown says why no call could have media; empty if it could.
func (t *tenant) mediaDown() string {
	if t.remote == nil || slices.ContainsFunc(t.remote.Counters().Instances, func(i rtpengine.InstanceCounters) bool { return i.Up }) {
		return ""
	}
	return "media: no rtpengine answers (is media.rtpengine right?)"
}

// relayOf says how the relay works. Without configured addresses it binds to the one that
// leads to the trunk, or, if that is loopback, to the one that leads out: XMPP clients are
// elsewhere even when the PBX is on this machine.
func relayOf(c config.Config, local netip.Addr, log *slog.Logger) (embedded.Options, error) {
	addrs := c.Media.Addresses
	if len(addrs) == 0 && len(c.Media.Networks) == 0 {
		at := local
		if len(c.SIP.ExternalAddress) > 0 && !slices.Contains(machineAddrs(), local) {
			at = netip.Addr{}
		}
		if !at.IsValid() || (at.IsLoopback() && !c.Media.AllowLoopback) {
			if out, err := leadsTo(outsideOf(true)); err == nil {
				at = out
			} else if !at.IsValid() {
				at = local
			}
		}
		addrs = []netip.Addr{at}
	}
	o := embedded.Options{
		Addresses:     addrs,
		PortMin:       uint16(c.Media.PortMin),
		PortMax:       uint16(c.Media.PortMax),
		AllowLoopback: c.Media.AllowLoopback,
		Times:         embedded.Times{Silence: c.Media.Silence},
		InbandDTMF:    playsTones(c),
		OwnPorts:      c.Media.OwnPorts,
		Unmarked:      c.Media.Unmarked,
		Workers:       c.Media.Workers,
		Hold:          onHold[c.Media.OnHold],
		Log:           log,
	}
	if t := c.Media.TURN; t.Server != "" {
		host, port, err := config.SplitAddress(t.Server)
		if err != nil {
			return o, fmt.Errorf("media.turn.server: %w", err)
		}
		o.TURN = embedded.TURN{Server: net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(int(cmp.Or(port, 3478)))), User: t.User, Password: string(t.Password)}
		if t.SharedSecret {
			o.TURN.Password, o.TURN.Secret = "", string(t.Password)
		}
	}
	if c.Media.Portable {
		o.Engine = embedded.EnginePortable
	}
	o.Ringback, _ = sound.RingbackOf(c.Media.Ringback)
	if c.Media.MusicFile != "" {
		var err error
		if o.Music, err = readMusic(c.Media.MusicFile); err != nil {
			return o, fmt.Errorf("media.music_file: %w", err)
		}
	}
	for _, n := range c.Media.Networks {
		own := embedded.Network{
			Name: n.Name, Addresses: n.Addresses, PortMin: uint16(n.PortMin), PortMax: uint16(n.PortMax), Unmarked: n.Unmarked || c.Media.Unmarked,
			External: externalOf(n.ExternalAddress),
		}
		o.Networks = append(o.Networks, own)
		log.Info("media", "network", n.Name, "bound", fmt.Sprint(n.Addresses), "advertised", fmt.Sprint(own.External))
	}
	if len(o.Networks) > 0 {
		return o, nil
	}
	var err error
	if o.External, err = mediaExternal(c, addrs[0], log); err != nil {
		return o, err
	}
	return o, nil
}

// externalOf are the addresses that are offered in place of ours; none for no setting.
func externalOf(setting string) []netip.Addr {
	if setting == "" {
		return nil
	}
	given, _, _ := config.ParseExternal(setting) // checked with the configuration
	return given
}

// networksOf says in which networks the media of a trunk may be.
func networksOf(c config.Config, t config.Trunk) []string {
	switch {
	case t.MediaNetwork != "":
		return []string{t.MediaNetwork}
	case c.Media.Engine == "rtpengine":
		return interfaceOf(c.Media.RTPEngineInterfaces.SIP)
	case t.ICE:
		return c.Media.XMPPNetworks
	}
	next, err := nextHop(t)
	if err != nil || len(c.Media.Networks) == 0 {
		return nil
	}
	to, err := netip.ParseAddr(next.Host)
	if err != nil {
		return nil
	}
	from, err := leadsTo(netip.AddrPortFrom(to, 9))
	if err != nil {
		return nil
	}
	for _, n := range c.Media.Networks {
		if slices.Contains(n.Addresses, from) {
			return []string{n.Name}
		}
	}
	return nil
}

// interfaceOf is an interface of an rtpengine; none for its first.
func interfaceOf(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// transcodesPerCore is how many transcoded calls a core carries with room to spare.
const transcodesPerCore = 30

// transcodesOf returns how many calls the relay may transcode at a time. An rtpengine has a
// setting of its own.
func transcodesOf(c config.Config) int {
	switch t := c.Media.Transcoding; {
	case t.Off || c.Media.Engine == "rtpengine":
		return 0
	case t.Max > 0:
		return t.Max
	}
	return transcodesPerCore * runtime.NumCPU()
}

// mediaExternal is what is offered instead of the first address, if anything is.
func mediaExternal(c config.Config, first netip.Addr, log *slog.Logger) ([]netip.Addr, error) {
	if c.Media.ExternalAddress == "" {
		return nil, nil
	}
	given, auto, err := config.ParseExternal(c.Media.ExternalAddress)
	if err != nil {
		return nil, fmt.Errorf("media.external_address: %w", err)
	}
	if !auto {
		log.Info("media", "bound", first.String(), "advertised", given[0].String(), "because", "media.external_address says so")
		return given, nil
	}
	seen, server, err := mapped(c)
	switch {
	case err != nil:
		log.Warn("media.external_address is not known; what is bound is offered", "stun_server", server, "bound", first.String(), "error", err)
		return nil, nil
	case seen.Is4() != first.Is4():
		log.Warn("media.external_address is not known: the STUN server sees us over the other family", "seen", seen.String(), "bound", first.String())
		return nil, nil
	}
	log.Info("media", "bound", first.String(), "advertised", seen.String(), "because", "STUN server "+server+" sees us there")
	return []netip.Addr{seen}, nil
}

// onHold is what media.on_hold may say.
var onHold = map[string]sound.Hold{
	"noise": sound.HoldComfort, "music": sound.HoldMusic, "nothing": sound.HoldSilence,
}

// xmppPolicy is what every client of today speaks. What a client lacks is the edge's to know.
func xmppPolicy(c config.Config) media.Policy {
	networks := c.Media.XMPPNetworks
	if c.Media.Engine == "rtpengine" {
		networks = interfaceOf(c.Media.RTPEngineInterfaces.XMPP)
	}
	return media.Policy{
		ICE: true, DTLS: c.XMPP.DTLS != "off", Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs(),
		Video:     c.HasVideo(),
		Transcode: transcodesOf(c) > 0, Tones: c.Media.InbandDTMF,
		Networks: networks,
	}
}

// playsTones says whether digits are tones to somebody.
func playsTones(c config.Config) bool {
	return slices.ContainsFunc(c.Each(), func(own config.Config) bool {
		return own.Media.InbandDTMF || slices.ContainsFunc(own.Trunks, func(t config.Trunk) bool { return t.DTMF == "inband" })
	})
}

// trunkPolicy is RTP as the trunk wants it, with the trunk's codecs, in its order.
func trunkPolicy(c config.Config, t config.Trunk) media.Policy {
	p := media.Policy{PTime: cmp.Or(t.PTime, 20*time.Millisecond), Behind: t.NAT, Video: t.Video, Transcode: transcodesOf(c) > 0}
	p.Networks, p.External = networksOf(c, t), externalOf(t.MediaExternalAddress)
	p.Tones = t.DTMF == "inband" || (t.DTMF == "" || t.DTMF == "auto") && c.Media.InbandDTMF
	events := t.DTMF != "info" && t.DTMF != "inband"
	host, _, _ := config.SplitAddress(t.Address) // checked with the configuration
	p.IPv6 = strings.HasPrefix(host, "[")
	switch t.SRTP {
	case "preferred":
		p.SDES, p.Clear = true, true
	case "required":
		p.SDES = true
	case "dtls":
		p.DTLS = true
	}
	if t.ICE {
		p.ICE, p.Bundle, p.RTCPMux, p.Apart = true, true, true, true
	}
	known := media.DefaultCodecs()
	for _, name := range t.Codecs {
		for _, k := range known {
			if strings.EqualFold(k.Name, name) {
				p.Codecs = append(p.Codecs, k)
			}
		}
	}
	for _, k := range known {
		if !k.Speech() && (events || !k.Event()) {
			p.Codecs = append(p.Codecs, k)
		}
	}
	return p
}
