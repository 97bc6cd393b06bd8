package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	accounts "sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle"
	"sipxmppgw/jingle/component"
	"sipxmppgw/mediarelay/embedded"
	"sipxmppgw/mediarelay/rtpengine"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
)

// tracedCalls is how many of the last calls are kept as ladders.
const tracedCalls = 64

// A daemon is the gateway with its edges, its media and its listeners: everything that one
// configuration makes.
type daemon struct {
	log    *slog.Logger
	g      *gateway.Gateway
	mail   *gateway.Mail
	sip    *signaling.Edge
	xmpp   *jingle.Edge
	pres   *gateway.Presences
	stream *component.Stream
	relay  *embedded.Relay   // nil if others carry the media
	remote *rtpengine.Engine // nil if the relay does
	dns    *resolve.Resolver
	trace  *trace.Recorder
	reg    *prometheus.Registry
	admin  *http.Server
	web    net.Listener // of admin; nil if it is turned off
	sipUp  []string     // the sockets, as they are bound
	secure *stack.Secure
	bound  []string // trunks that we register with

	store    store.Store    // nil if nothing is kept
	accounts *accounts.Book // nil if users have none
	testing  testCalls
	mediaAt  netip.Addr // where the relay is

	up     chan struct{} // closed when the stream was up for the first time
	ended  chan struct{} // closed when the stream has ended
	booked chan struct{} // closed when accounts is at rest

	mu    sync.Mutex
	hooks []func(gateway.Record) // told of ended calls
	stop  context.CancelFunc     // ends the stream
	going bool                   // down
}

// open makes a daemon. An error names the setting that is at fault.
func open(c config.Config, log *slog.Logger) (_ *daemon, err error) {
	d := &daemon{
		log: log, trace: trace.NewRecorder(tracedCalls), reg: prometheus.NewRegistry(), stop: func() {},
		up: make(chan struct{}), ended: make(chan struct{}), booked: make(chan struct{}),
	}
	var opened []interface{ Close() error }
	defer func() {
		if err != nil {
			for _, o := range slices.Backward(opened) {
				_ = o.Close()
			}
		}
	}()
	d.dns = resolverOf(c)
	opened = append(opened, closer(d.dns.Close))
	if d.secure, err = secureOf(c, log); err != nil {
		return nil, err
	}
	at, err := advertised(c, d.dns, log)
	if err != nil {
		return nil, err
	}
	local := at.main()
	listeners, err := listen(c, at)
	if err != nil {
		return nil, err
	}
	for _, l := range listeners {
		opened = append(opened, socket(l))
		if bound, err := boundTo(l); err == nil {
			d.sipUp = append(d.sipUp, strings.ToLower(string(l.Transport))+":"+bound.String())
		}
	}
	if c.HTTP.Listen != "" {
		if d.web, err = net.Listen("tcp", c.HTTP.Listen); err != nil {
			return nil, fmt.Errorf("http.listen: %w", err)
		}
		opened = append(opened, d.web)
	}
	routes, err := routesOf(c, local, listeners)
	if err != nil {
		return nil, err
	}
	carrier, err := d.openMedia(c, local)
	if err != nil {
		return nil, err
	}
	opened = append(opened, closer(d.closeMedia))
	if err := d.openStore(c); err != nil {
		return nil, err
	}
	opened = append(opened, closer(d.closeStore))
	d.pres = presenceOf(c, routes, d.store, log)
	opened = append(opened, closer(d.pres.Close))
	d.g = gateway.New(gateway.Options{
		Router:      routes,
		Presence:    d.pres,
		Media:       carrier,
		Limits:      limitsOf(c),
		MaxCalls:    c.Calls.Max,
		MaxEarly:    c.Calls.MaxUnanswered,
		Quotas:      quotasOf(c),
		MaxDuration: c.Calls.MaxDuration,
		Log:         log,
		Registry:    d.reg,
		Trace:       d.trace,
		Ended: func(r gateway.Record) {
			if user, ok := r.Missed(); ok && c.Calls.MissedMessage {
				d.xmpp.Missed(user, r)
			}
			d.tell(r)
		},
	})
	d.mail = gateway.NewMail(gateway.MailOptions{
		Router: routes,
		Trunks: trunksWithMessages(c),
		Limits: message.Limits{
			Keep: c.Messages.Keep, Rate: float64(c.Messages.PerUser), Burst: 4 * c.Messages.PerUser,
		},
		Store:    d.store,
		Log:      log,
		Registry: d.reg,
	})
	if err := d.openAccounts(c, routes); err != nil {
		return nil, err
	}
	if err := d.openXMPP(c, routes); err != nil {
		return nil, err
	}
	if err := d.openSIP(c, listeners, routes); err != nil {
		return nil, err
	}
	d.pres.SetEdges(d.sip, d.xmpp)
	if err := d.mail.Start(context.Background()); err != nil {
		log.Error("messages", "error", err)
	}
	d.admin = newAdmin(d.reg, d.unready, d.degraded)
	d.reg.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		d.counters(), d.pres,
	)
	log.Info("sip side", "sockets", strings.Join(d.sipUp, " "), "advertised", at.String(), "because", at.why, "host", routes.Mapping.SIPHost)
	if d.web != nil {
		log.Info("operator's pages", "address", d.web.Addr().String())
	}
	return d, nil
}

// quotasOf are what calls may use, all together and by trunk.
func quotasOf(c config.Config) map[string]gateway.Quota {
	all := map[string]gateway.Quota{"": {Rate: float64(c.Calls.PerSecond), Burst: 10 * c.Calls.PerSecond, Reason: "too many calls begin at once"}}
	all[accounts.Prefix] = gateway.Quota{Calls: c.Accounts.MaxCalls, Rate: 1, Burst: 10, Reason: "all lines of the account are taken"}
	for _, t := range c.Trunks {
		all[t.Name] = gateway.Quota{Calls: t.MaxCalls, Reason: "all lines of " + t.Name + " are taken"}
	}
	return all
}

// routesOf makes the router: addresses, permissions, trunks.
func routesOf(c config.Config, local netip.Addr, listeners []stack.Listener) (*gateway.Routes, error) {
	host := c.SIP.Domain
	if host == "" {
		host = uriHost(local)
	}
	m := translate.Mapping{
		Gateway:        c.XMPP.Domain,
		SIPHost:        host,
		DefaultDomain:  c.SIP.DefaultDomain,
		TelDomains:     []string{c.SIP.DefaultDomain},
		DirectDomains:  c.SIP.DirectDomains,
		DefaultContext: c.SIP.DefaultContext,
	}
	var err error
	if m.DialPlan, err = planOf(c); err != nil {
		return nil, err
	}
	if c.SIP.AllowSIPS {
		m.SIPSInbound = translate.AllowSIPS
	}
	if m, err = m.Prepare(); err != nil {
		return nil, err
	}
	for address, user := range c.Users {
		if err := provision(&m, address, user); err != nil {
			return nil, fmt.Errorf("numbers.%s: %w", address, err)
		}
	}
	rules, err := rulesOf(c)
	if err != nil {
		return nil, err
	}
	table, err := route.New(rules, route.Plan{Dial: m.DialPlan, Domains: m.TelDomains})
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	r := &gateway.Routes{
		Mapping: &m, Table: table, Hosts: hostsOf(local, listeners), XMPP: xmppPolicy(c), NoAnswer: c.Calls.NoAnswer,
	}
	for _, l := range listeners {
		if at, err := boundTo(l); err == nil {
			r.Ports = append(r.Ports, int(at.Port()))
		}
	}
	for _, t := range c.Trunks {
		r.Trunks = append(r.Trunks, gateway.TrunkRoute{
			Name: t.Name, Domain: trunkDomain(t), Trusted: t.Trusted, Early: t.EarlyMedia, Policy: trunkPolicy(c, t),
			Numbers: translate.NumberForm(t.NumberFormat), Refer: t.ReferTowardSIP,
		})
	}
	return r, nil
}

// planOf returns how numbers are meant that are dialled without a plus.
func planOf(c config.Config) (translate.DialPlan, error) {
	var plan translate.DialPlan
	if c.SIP.Region != "" {
		var ok bool
		if plan, ok = translate.PlanOf(c.SIP.Region); !ok {
			return plan, fmt.Errorf("sip.region: %q is not a country such as DE", c.SIP.Region)
		}
	}
	if c.SIP.Country != "" {
		plan.Country = c.SIP.Country
	}
	if c.SIP.NationalPrefix != "" {
		plan.National = c.SIP.NationalPrefix
	}
	if len(c.SIP.InternationalPrefixes) > 0 {
		plan.International = c.SIP.InternationalPrefixes
	}
	plan.Domains = map[string]translate.DialPlan{}
	for domain, region := range c.SIP.Regions {
		of, ok := translate.PlanOf(region)
		if !ok {
			return plan, fmt.Errorf("sip.regions.%s: %q is not a country such as DE", domain, region)
		}
		j, err := translate.NewJID("", domain, "")
		if err != nil {
			return plan, fmt.Errorf("sip.regions.%s: %w", domain, err)
		}
		plan.Domains[j.Domain] = of
	}
	return plan, nil
}

// rulesOf returns the routes as the table wants them.
func rulesOf(c config.Config) ([]route.Rule, error) {
	zone := time.Local
	if c.SIP.TimeZone != "" {
		var err error
		if zone, err = time.LoadLocation(c.SIP.TimeZone); err != nil {
			return nil, fmt.Errorf("sip.time_zone: %w", err)
		}
	}
	rules := make([]route.Rule, len(c.Routes))
	for i, r := range c.Routes {
		hours, err := route.ParseHours(r.Hours, zone)
		if err != nil {
			return nil, fmt.Errorf("routes[%d].hours: %w", i, err)
		}
		rules[i] = route.Rule{From: r.From, To: r.To, Hours: hours, Trunk: r.Trunk, Deny: r.Deny, Dial: r.Dial, Premium: r.Premium, Hide: r.Hide}
	}
	return rules, nil
}

// trunkDomain is the host of Request-URIs to a trunk, in the form of a URI.
func trunkDomain(t config.Trunk) string {
	if u, err := translate.ParseURI("sip:" + t.Domain); err == nil {
		return u.Host
	}
	return t.Domain
}

// provision gives a user its number, or its address at the default domain.
func provision(m *translate.Mapping, address, user string) error {
	if prefix, ranged := strings.CutSuffix(address, "*"); ranged && strings.HasPrefix(prefix, "+") {
		local, domain, _ := strings.Cut(user, "@") // checked with the configuration
		if _, err := translate.NewJID(strings.ReplaceAll(local, "*", "0"), domain, ""); err != nil {
			return err
		}
		m.Ranges = append(m.Ranges, translate.Range{Prefix: prefix, Local: local, Domain: domain})
		return nil
	}
	j, err := translate.ParseJID(user)
	if err != nil {
		return err
	}
	spelled := address
	switch {
	case strings.HasPrefix(address, "+"):
		spelled = "tel:" + address
	case !strings.Contains(address, ":") && strings.Contains(address, "@"):
		spelled = "sip:" + address
	case !strings.Contains(address, ":"):
		spelled = "sip:" + address + "@" + m.DefaultDomain
	}
	u, err := translate.ParseURI(spelled)
	if err != nil {
		return err
	}
	m.Provision(j, u)
	if u.Scheme == "tel" { // what others see is dialled back through the default domain
		m.AccountURI[j.Bare()] = translate.URI{Scheme: "sip", User: u.User, Host: m.DefaultDomain, Phone: true}
	}
	return nil
}

// hostsOf returns the names that mean us in a Request-URI, beside the domain: a PBX dials
// its trunk by whatever address it was given.
func hostsOf(local netip.Addr, listeners []stack.Listener) []string {
	hosts := []string{uriHost(local)}
	add := func(a netip.Addr) {
		if h := uriHost(a.Unmap()); a.IsValid() && !a.IsUnspecified() && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	every := false
	for _, l := range listeners {
		add(l.External.Addr())
		add(l.Other.Addr())
		if at, err := boundTo(l); err == nil {
			every = every || at.Addr().IsUnspecified()
			add(at.Addr())
		}
	}
	if every {
		for _, a := range machineAddrs() {
			add(a)
		}
	}
	return hosts
}

// boundTo returns the address and port of a listener.
func boundTo(l stack.Listener) (netip.AddrPort, error) {
	if l.Packet != nil {
		return netip.ParseAddrPort(l.Packet.LocalAddr().String())
	}
	return netip.ParseAddrPort(l.Stream.Addr().String())
}

func machineAddrs() []netip.Addr {
	var all []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr())
		}
	}
	return all
}

// uriHost writes an address as the host of a URI.
func uriHost(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// relayOf says how the relay works. Without configured addresses it binds to the one that
// leads to the trunk, or, if that is loopback, to the one that leads out: XMPP clients are
// elsewhere even when the PBX is on this machine.
func relayOf(c config.Config, local netip.Addr, log *slog.Logger) (embedded.Options, error) {
	addrs := c.Media.Addresses
	if len(addrs) == 0 {
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
		InbandDTMF:    c.Media.InbandDTMF,
		OwnPorts:      c.Media.OwnPorts,
		Unmarked:      c.Media.Unmarked,
		Workers:       c.Media.Workers,
		Hold:          onHold[c.Media.OnHold],
		Transcodes:    transcodesOf(c),
		Log:           log,
	}
	if c.Media.Portable {
		o.Engine = embedded.EnginePortable
	}
	o.Ringback, _ = embedded.RingbackOf(c.Media.Ringback)
	if c.Media.MusicFile != "" {
		var err error
		if o.Music, err = readMusic(c.Media.MusicFile); err != nil {
			return o, fmt.Errorf("media.music_file: %w", err)
		}
	}
	var err error
	if o.External, err = mediaExternal(c, addrs[0], log); err != nil {
		return o, err
	}
	return o, nil
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
var onHold = map[string]embedded.Hold{
	"noise": embedded.HoldComfort, "music": embedded.HoldMusic, "nothing": embedded.HoldSilence,
}

func limitsOf(c config.Config) call.Limits {
	l := call.DefaultLimits()
	l.NoAnswer = c.Calls.NoAnswer
	return l
}

// xmppPolicy is what every client of today speaks. What a client lacks is the edge's to know.
func xmppPolicy(c config.Config) media.Policy {
	return media.Policy{
		ICE: true, DTLS: c.XMPP.DTLS != "off", Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs(),
		Video:     slices.ContainsFunc(c.Trunks, func(t config.Trunk) bool { return t.Video }),
		Transcode: transcodesOf(c) > 0,
	}
}

// trunkPolicy is RTP as the trunk wants it, with the trunk's codecs, in its order.
func trunkPolicy(c config.Config, t config.Trunk) media.Policy {
	p := media.Policy{PTime: 20 * time.Millisecond, Behind: t.NAT, Video: t.Video, Transcode: transcodesOf(c) > 0}
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
		p.ICE, p.Bundle, p.RTCPMux = true, true, true
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
		if !k.Speech() {
			p.Codecs = append(p.Codecs, k)
		}
	}
	return p
}

// secondCall is what calls.second_call may say.
var secondCall = map[string]jingle.Second{"parallel": jingle.Parallel, "migrate": jingle.Migrate, "busy": jingle.Busy}

func (d *daemon) openXMPP(c config.Config, routes *gateway.Routes) error {
	d.xmpp = jingle.New(jingle.Options{
		Domain: c.XMPP.Domain, Calls: d.g, Messages: d.mail, Mapping: routes.Mapping, Name: c.XMPP.Name, Version: versionOf(),
		Admins: c.XMPP.Admins, Policy: routes.XMPP, AllowClear: c.XMPP.DTLS != "required" && c.Media.Engine != "rtpengine", Second: secondCall[c.Calls.SecondCall], Log: d.log,
		MaxCalls: c.Calls.PerUser, Proposals: c.Calls.AttemptsPerUser,
		Accounts: d.accounts, Lang: accounts.LangOf(c.Accounts.Language, accounts.EN), Names: routes.Names,
		Announce: c.XMPP.AnnounceDiversion, Presence: d.pres, Language: c.XMPP.Language,
	})
	var once sync.Once
	var err error
	d.stream, err = component.New(component.Options{
		Domain: c.XMPP.Domain,
		Secret: string(c.XMPP.Secret),
		Addrs:  []string{c.XMPP.Server},
		Routes: d.xmpp.Routes(),
		State: func(s component.State) {
			if s.Up {
				once.Do(func() { close(d.up) })
				d.xmpp.Greet()
				d.mail.Up()
			}
		},
		Log: d.log,
	})
	if err != nil {
		return fmt.Errorf("xmpp: %w", err)
	}
	d.xmpp.Attach(d.stream)
	d.g.SetDialer(gateway.XMPP, d.xmpp)
	d.mail.SetCarrier(gateway.XMPP, d.xmpp)
	return nil
}

func (d *daemon) openSIP(c config.Config, listeners []stack.Listener, routes *gateway.Routes) error {
	o := signaling.Options{
		Calls:      d.g,
		Presence:   d.pres,
		Messages:   d.mail,
		PublicOnly: !c.Accounts.PrivateServers,
		Stack:      stack.Options{Listeners: listeners, Locate: d.dns, Secure: d.secure, Origins: c.SIP.WebSocketOrigins, Log: d.log},
		Host:       routes.Mapping.SIPHost,
		Refusals:   translate.Refusals{PlainReject: c.Calls.PlainReject, Decline: c.Calls.Decline},
		UserAgent:  "sipxmppgw/" + strings.Fields(versionOf())[0],
		Log:        d.log,
	}
	if !c.SIP.Unmarked {
		o.Stack.Control = mark
	}
	for i, t := range c.Trunks {
		next, err := nextHop(t)
		if err != nil {
			return fmt.Errorf("trunks[%d].address: %w", i, err)
		}
		trunk := signaling.Trunk{
			Name: t.Name, Next: next, Trusted: t.Trusted, Policy: trunkPolicy(c, t), Username: t.Username, Password: string(t.Password),
			Identity: t.TLSIdentity, Keepalive: t.Keepalive,
			Messages: messageModes[t.Messages],
		}
		for j, s := range t.Sources {
			p, err := config.ParsePrefix(s)
			if err != nil {
				return fmt.Errorf("trunks[%d].sources[%d]: %w", i, j, err)
			}
			trunk.Sources = append(trunk.Sources, p)
		}
		o.Trunks = append(o.Trunks, trunk)
	}
	var err error
	if d.sip, err = signaling.New(o); err != nil {
		return fmt.Errorf("sip: %w", err)
	}
	d.g.SetDialer(gateway.SIP, d.sip)
	d.mail.SetCarrier(gateway.SIP, d.sip)
	return d.register(c)
}

// messageModes are what trunks[].messages may say.
var messageModes = map[string]signaling.MessageMode{
	"on": signaling.PlainMessages, "cpim": signaling.CPIMMessages, "off": signaling.NoMessages,
}

// trunksWithMessages are the trunks that take messages.
func trunksWithMessages(c config.Config) map[string]bool {
	all := map[string]bool{}
	for _, t := range c.Trunks {
		all[t.Name] = messageModes[t.Messages] != signaling.NoMessages
	}
	return all
}

// nextHop is where requests to a trunk go; nowhere, if it connects by itself. Its certificate is
// for the name that is looked up, not for what DNS says of it (RFC 5922 section 4).
func nextHop(t config.Trunk) (stack.Target, error) {
	next := stack.Target{Transport: stack.Transport(strings.ToUpper(t.Transport)), Identity: t.TLSIdentity, Stream: true}
	if t.Address == "" {
		return next, nil
	}
	host, port, err := config.SplitAddress(t.Address)
	if err != nil {
		return stack.Target{}, err
	}
	next.Host, next.Port = strings.Trim(host, "[]"), port
	if _, err := netip.ParseAddr(next.Host); err == nil && next.Identity == "" {
		next.Identity = strings.Trim(t.Domain, "[]")
	}
	return next, nil
}

// run serves until ctx is done. An error is a listener that failed.
func (d *daemon) run(ctx context.Context) error {
	streaming, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.mu.Lock()
	d.stop = stop
	d.mu.Unlock()
	failed := make(chan error, 1)
	go d.resume(streaming) // ends with stop
	go func() {            // ends with stop
		defer close(d.booked)
		if d.accounts != nil {
			d.accounts.Run(streaming)
		}
	}()
	go func() { // ends with stop
		defer close(d.ended)
		_ = d.stream.Run(streaming)
	}()
	if d.web != nil {
		go func() { // ends when close shuts the server down
			if err := d.admin.Serve(d.web); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("http.listen: %w", err)
			}
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// close refuses new calls, lets those that are up end until ctx is done, and gives back
// everything.
func (d *daemon) close(ctx context.Context) {
	d.mu.Lock()
	d.going = true
	stop := d.stop
	d.mu.Unlock()
	if n := d.g.Active(); n > 0 {
		d.log.Info("waiting for calls to end", "calls", n)
	}
	d.sip.Retire()
	d.g.Drain(ctx)
	d.mail.Close()
	d.pres.Close()
	if err := d.sip.Close(); err != nil {
		d.log.Warn("closing the sip side", "error", err)
	}
	d.dns.Close()
	stop()
	<-d.ended
	<-d.booked
	d.closeStore()
	d.closeMedia()
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = d.admin.Shutdown(last)
}

// unready says why the gateway cannot take calls; nothing if it can.
func (d *daemon) unready() []string {
	var causes []string
	d.mu.Lock()
	if d.going {
		causes = append(causes, "going down")
	}
	d.mu.Unlock()
	if s := d.stream.State(); !s.Up {
		causes = append(causes, downText(s))
	}
	if text := d.mediaDown(); text != "" {
		causes = append(causes, text)
	}
	return causes
}

// downText says why the component is down, with the setting to look at.
func downText(s component.State) string {
	text := "xmpp: " + string(s.Cause)
	switch s.Cause {
	case component.NotAuthorized:
		text += " (is xmpp.secret the one of the server?)"
	case component.HostUnknown:
		text += " (is xmpp.domain a component of the server?)"
	case component.Unreachable:
		text += " (is xmpp.server right, and the server up?)"
	case component.Conflict, component.Replaced:
		text += " (is another gateway connected as xmpp.domain?)"
	}
	return text
}

// tell passes a record to those who asked.
func (d *daemon) tell(r gateway.Record) {
	d.mu.Lock()
	hooks := slices.Clone(d.hooks)
	d.mu.Unlock()
	for _, h := range hooks {
		h(r)
	}
}

// onEnded has f told of every call that ends, on the call's goroutine.
func (d *daemon) onEnded(f func(gateway.Record)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hooks = append(d.hooks, f)
}

// closeStore writes what waits and closes the store, if there is one.
func (d *daemon) closeStore() {
	if d.store == nil {
		return
	}
	if err := d.store.Close(); err != nil {
		d.log.Warn("closing the store", "error", err)
	}
}
