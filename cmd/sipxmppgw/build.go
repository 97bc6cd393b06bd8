package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
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
	"sipxmppgw/gateway/message"
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
	load     *load
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
		load: newLoad(c.Calls.MaxCPU, log), up: make(chan struct{}), ended: make(chan struct{}), booked: make(chan struct{}),
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
		Busy:        d.load.busy,
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
	all[signaling.PhonePrefix] = gateway.Quota{
		Calls: c.Calls.PerUser, Rate: float64(c.Calls.AttemptsPerUser) / 60, Burst: c.Calls.AttemptsPerUser, Reason: "all lines of the phone are taken",
	}
	return all
}

func limitsOf(c config.Config) call.Limits {
	l := call.DefaultLimits()
	l.NoAnswer = c.Calls.NoAnswer
	return l
}

// secondCall is what calls.second_call may say.
var secondCall = map[string]jingle.Second{"parallel": jingle.Parallel, "migrate": jingle.Migrate, "busy": jingle.Busy}

func (d *daemon) openXMPP(c config.Config, routes *gateway.Routes) error {
	d.xmpp = jingle.New(jingle.Options{
		Domain: c.XMPP.Domain, Calls: d.g, Messages: d.mail, Mapping: routes.Mapping, Name: c.XMPP.Name, Version: versionOf(),
		Admins: c.XMPP.Admins, Policy: routes.XMPP, AllowClear: c.XMPP.DTLS != "required" && c.Media.Engine != "rtpengine", Second: secondCall[c.Calls.SecondCall], Log: d.log,
		MaxCalls: c.Calls.PerUser, Proposals: c.Calls.AttemptsPerUser,
		Accounts: d.accounts, Lang: accounts.LangOf(c.Accounts.Language, accounts.EN), Names: routes.Names,
		Announce: c.XMPP.AnnounceDiversion, NoTones: !c.XMPP.SignalledTones, Presence: d.pres, Language: c.XMPP.Language,
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
		Stack: stack.Options{
			Listeners: listeners, Locate: d.dns, Secure: d.secure, Origins: c.SIP.WebSocketOrigins, Log: d.log,
			Busy: func(method string) bool {
				return method == "INVITE" && d.g.Hurried() || method != "OPTIONS" && d.load.busy()
			},
		},
		Host:      routes.Mapping.SIPHost,
		Refusals:  translate.Refusals{PlainReject: c.Calls.PlainReject, Decline: c.Calls.Decline},
		UserAgent: "sipxmppgw/" + strings.Fields(versionOf())[0],
		Log:       d.log,
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
			Inbound:  signaling.Credentials{User: t.Inbound.Username, Secret: secretOf(t.Inbound.Password, t.Inbound.HA1)},
			Proxy:    proxyOf(t),
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
	if err := d.phones(c, routes, &o); err != nil {
		return err
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

// trunksWithMessages are the trunks and phones that take messages.
func trunksWithMessages(c config.Config) map[string]bool {
	all := map[string]bool{}
	for _, t := range c.Trunks {
		all[t.Name] = messageModes[t.Messages] != signaling.NoMessages
	}
	for _, p := range c.Phones {
		all[signaling.PhonePrefix+p.User] = true
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
	at := t.Address
	if t.OutboundProxy != "" {
		at = t.OutboundProxy
	}
	host, port, err := config.SplitAddress(at)
	if err != nil {
		return stack.Target{}, err
	}
	next.Host, next.Port = strings.Trim(host, "[]"), port
	if _, err := netip.ParseAddr(next.Host); err == nil && next.Identity == "" && t.OutboundProxy == "" {
		next.Identity = strings.Trim(t.Domain, "[]")
	}
	return next, nil
}

// proxyOf is the URI of a trunk's outbound proxy; empty if it has none.
func proxyOf(t config.Trunk) string {
	if t.OutboundProxy == "" {
		return ""
	}
	uri := "sip:" + t.OutboundProxy
	if t.Transport != "" && t.Transport != "udp" {
		over := t.Transport
		if over == "wss" {
			over = "ws"
		}
		uri += ";transport=" + over
	}
	return uri + ";lr"
}

// run serves until ctx is done. An error is a listener that failed.
func (d *daemon) run(ctx context.Context) error {
	streaming, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.mu.Lock()
	d.stop = stop
	d.mu.Unlock()
	failed := make(chan error, 1)
	go d.resume(streaming)   // ends with stop
	go d.load.run(streaming) // ends with stop
	go func() {              // ends with stop
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
