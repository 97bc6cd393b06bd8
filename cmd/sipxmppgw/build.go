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
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	accounts "sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/cdr"
	"sipxmppgw/gateway/console"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/otlp"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle"
	"sipxmppgw/jingle/component"
	"sipxmppgw/mediarelay/embedded"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/msrp"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
)

// A daemon is the gateway with its edges, its media and its listeners: everything that one
// configuration makes. What is one component's own is in its tenant.
type daemon struct {
	log       *slog.Logger
	tenants   []*tenant // in the order of the configuration; at least one
	sip       *signaling.Edge
	msrp      *msrp.Endpoint  // nil without message sessions
	relay     *embedded.Relay // nil if others carry all media
	dns       *resolve.Resolver
	trace     *trace.Recorder
	reg       *prometheus.Registry
	admin     *http.Server
	web       net.Listener  // of admin; nil if it is turned off
	desk      *control.Desk // of operators, by whichever way they come
	ask       *http.Server
	asked     net.Listener // of ask; nil if there is none
	page      *console.Console
	pages     *http.Server
	pageAt    net.Listener    // of pages; nil if there are none
	hep       *trace.Exporter // nil if nobody is told
	otlp      *otlp.Exporter  // nil if nobody is
	cdr       *cdr.Writer     // nil if nothing is written
	file      string          // the configuration
	manager   *notifier       // of services; nil for none
	reached   reach           // what others are told
	local     netip.Addr      // that leads to the first trunk, or what is advertised instead
	listeners []stack.Listener
	told      chan struct{} // closed when a command wants the gateway to stop
	sipUp     []string      // the sockets, as they are bound
	secure    *stack.Secure
	relayAt   netip.Addr // where the relay is

	feed  feeding
	since time.Time // it was opened

	reloading sync.Mutex    // one at a time
	conf      config.Config // that holds now; of reloading
	reloads   struct {
		failed atomic.Bool  // the last one
		last   atomic.Int64 // that did not, in seconds since 1970
	}
	outcomes outcomes

	store  store.Store   // of all tenants; nil if nothing is kept
	sealer *store.Sealer // of what is secret in it; nil without a key
	load   *load

	probing atomic.Pointer[signaling.Edge] // sip, once it is there

	mu       sync.Mutex
	stop     context.CancelFunc // ends the streams
	going    bool               // down
	farewell string             // that users are told then, in the words of who ordered it
}

// open makes a daemon. An error names the setting that is at fault.
func open(c config.Config, log *slog.Logger) (_ *daemon, err error) {
	d := &daemon{conf: c, since: time.Now(), log: log, reg: prometheus.NewRegistry(), stop: func() {}, told: make(chan struct{}), load: newLoad(c.Calls.MaxCPU, log)}
	d.reloads.last.Store(d.since.Unix())
	var opened []interface{ Close() error }
	defer func() {
		if err != nil {
			for _, o := range slices.Backward(opened) {
				_ = o.Close()
			}
		}
	}()
	if err := d.openTrace(c); err != nil {
		return nil, err
	}
	if d.hep != nil {
		opened = append(opened, d.hep)
	}
	if d.otlp != nil {
		opened = append(opened, d.otlp)
	}
	if err := d.openRecords(c); err != nil {
		return nil, err
	}
	if d.cdr != nil {
		opened = append(opened, d.cdr)
	}
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
	d.reached, d.local, d.listeners = at, local, listeners
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
	if c.Control.Socket != "" {
		if d.asked, err = control.Listen(c.Control.Socket); err != nil {
			return nil, fmt.Errorf("control.socket: %w", err)
		}
		opened = append(opened, d.asked)
	}
	if err := d.openMSRP(c); err != nil {
		return nil, err
	}
	opened = append(opened, closer(d.closeMSRP))
	if err := d.openConsole(c); err != nil {
		return nil, err
	}
	if d.pageAt != nil {
		opened = append(opened, d.pageAt)
	}
	if err := d.openFeed(c); err != nil {
		return nil, err
	}
	opened = append(opened, closer(d.feed.release))
	parts := partsOf(c)
	if err := d.openRelay(parts, local); err != nil {
		return nil, err
	}
	opened = append(opened, closer(d.closeRelay))
	if err := d.openStore(c); err != nil {
		return nil, err
	}
	opened = append(opened, closer(d.closeStore))
	var hosts []string
	for i, own := range parts {
		t := d.newTenant(own, len(parts) == 1)
		d.tenants = append(d.tenants, t)
		opened = append(opened, closer(t.shut))
		if err := t.open(local); err != nil {
			return nil, inTenant(i, err)
		}
		hosts = append(hosts, t.routes.Load().Mapping.SIPHost)
	}
	if err := d.openSIP(c, listeners); err != nil {
		return nil, err
	}
	for i, t := range d.tenants {
		if err := t.meet(); err != nil {
			return nil, inTenant(i, err)
		}
	}
	d.admin = newAdmin(d.reg, d.unready, d.degraded, d.log)
	d.desk = d.newDesk()
	d.ask = control.New(d.desk)
	d.newConsole(c)
	d.reg.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), d.counters(), d.trunksUp(),
	)
	log.Info("sip side", "sockets", strings.Join(d.sipUp, " "), "advertised", at.String(), "because", at.why, "host", strings.Join(slices.Compact(hosts), " "))
	if d.web != nil {
		log.Info("operator's pages", "address", d.web.Addr().String())
	}
	return d, nil
}

// partsOf returns the configuration as each component sees it. Places for transcoding that are
// not given to any are shared in equal parts.
func partsOf(c config.Config) []config.Config {
	parts := c.Each()
	for i := range parts {
		if t := &parts[i].Media.Transcoding; t.Max == 0 {
			t.Max = max(1, transcodesPerCore*runtime.NumCPU()/len(parts))
		}
	}
	return parts
}

// inTenant says whose setting is at fault: the first component is that of the file itself.
func inTenant(i int, err error) error {
	if i == 0 {
		return err
	}
	return fmt.Errorf("tenants[%d]: %w", i-1, err)
}

// quotasOf are what calls may use, all together and by trunk.
func quotasOf(c config.Config) map[string]gateway.Quota {
	all := map[string]gateway.Quota{"": {Rate: float64(c.Calls.PerSecond), Burst: 10 * c.Calls.PerSecond, Reason: "too many calls begin at once"}}
	all[accounts.Prefix] = gateway.Quota{Calls: c.Accounts.MaxCalls, Rate: 1, Burst: 10, Reason: "all lines of the account are taken"}
	all[gateway.UserPrefix] = gateway.Quota{Day: time.Duration(c.Calls.UserMinutes) * time.Minute}
	all[gateway.ServicePlace] = gateway.Quota{Calls: c.Builtin.MaxCalls, Reason: "all lines of the gateway's own services are taken"}
	for _, t := range c.Trunks {
		all[t.Name] = gateway.Quota{
			Calls: t.MaxCalls, Reason: "all lines of " + t.Name + " are taken", Day: time.Duration(t.MinutesPerDay) * time.Minute,
		}
	}
	all[signaling.PhonePrefix] = gateway.Quota{
		Calls: c.Calls.PerUser, Rate: float64(c.Calls.AttemptsPerUser) / 60, Burst: c.Calls.AttemptsPerUser, Reason: "all lines of the phone are taken",
	}
	return all
}

// boundsOf are what calls may be and use.
func boundsOf(c config.Config) gateway.Bounds {
	l := call.DefaultLimits()
	l.NoAnswer = c.Calls.NoAnswer
	return gateway.Bounds{
		Limits: l, MaxCalls: c.Calls.Max, MaxEarly: c.Calls.MaxUnanswered, Quotas: quotasOf(c), Trunks: namesOfTrunks(c), MaxDuration: c.Calls.MaxDuration,
	}
}

// secondCall is what calls.second_call may say.
var secondCall = map[string]jingle.Second{"parallel": jingle.Parallel, "migrate": jingle.Migrate, "busy": jingle.Busy}

// refusalsOf are the statuses for what people refuse.
func refusalsOf(c config.Config) translate.Refusals {
	return translate.Refusals{PlainReject: c.Calls.PlainReject, Decline: c.Calls.Decline}
}

// openSIP opens the one SIP side of all tenants.
func (d *daemon) openSIP(c config.Config, listeners []stack.Listener) error {
	first := d.tenants[0].sip
	o := signaling.Options{
		Calls: first.Calls, Presence: first.Presence, Messages: first.Messages, Rooms: first.Rooms, Sessions: d.msrp, Lamps: first.Lamps, Host: first.Host, Hosts: first.Hosts, Realm: first.Realm, Refusals: first.Refusals, Text: first.Text,
		PublicOnly: slices.ContainsFunc(d.tenants, func(t *tenant) bool { return len(t.c.Accounts.Allow) > 0 && !t.c.Accounts.PrivateServers }),
		Stack: stack.Options{
			Listeners: listeners, Locate: d.dns, Secure: d.secure, Origins: c.SIP.WebSocketOrigins, Log: areaOf(d.log, "sip"),
			Busy: func(method string) bool {
				return method == "INVITE" && d.hurried() || method != "OPTIONS" && d.load.busy()
			},
		},
		UserAgent: "sipxmppgw/" + strings.Fields(versionOf())[0],
		Log:       areaOf(d.log, "sip"),
	}
	if !c.SIP.Unmarked {
		o.Stack.Control = mark
	}
	for i, t := range d.tenants {
		trunks, err := t.trunks(t.c)
		if err != nil {
			return inTenant(i, err)
		}
		o.Trunks = append(o.Trunks, trunks...)
		if err := t.phones(&o); err != nil {
			return inTenant(i, err)
		}
	}
	d.registrar(c, &o)
	var err error
	if d.sip, err = signaling.New(o); err != nil {
		return fmt.Errorf("sip: %w", err)
	}
	d.probing.Store(d.sip)
	return nil
}

// hurried reports whether more calls begin than anyone here wants: whose a call is, is not known
// before it is read.
func (d *daemon) hurried() bool {
	return !slices.ContainsFunc(d.tenants, func(t *tenant) bool { return !t.g.Hurried() })
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
	for trunk := range phonesOf(c) {
		all[trunk] = true
	}
	return all
}

func namesOfTrunks(c config.Config) []string {
	names := make([]string, len(c.Trunks))
	for i, t := range c.Trunks {
		names[i] = t.Name
	}
	return names
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
	failed := make(chan error, 3)
	go d.load.run(streaming) // ends with stop
	for _, t := range d.tenants {
		t.run(streaming)
	}
	if d.web != nil {
		go func() { // ends when close shuts the server down
			if err := d.admin.Serve(d.web); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("http.listen: %w", err)
			}
		}()
	}
	if d.asked != nil {
		go func() { // ends when close shuts the server down
			if err := d.ask.Serve(d.asked); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("control.socket: %w", err)
			}
		}()
	}
	if d.pageAt != nil {
		go d.page.Run(streaming) // ends with stop
		go func() {              // ends when close shuts the server down
			if err := d.pages.Serve(d.pageAt); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("console.listen: %w", err)
			}
		}()
	}
	go d.feed.serve(failed) // ends when close shuts it
	select {
	case <-ctx.Done():
		return nil
	case <-d.told:
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
	stop, said := d.stop, d.farewell
	d.mu.Unlock()
	if n := d.active(); n > 0 {
		d.log.Info("waiting for calls to end", "calls", n)
		if until, ok := ctx.Deadline(); ok {
			d.leave(until, said)
		}
	}
	d.sip.Retire()
	var drained sync.WaitGroup
	for _, t := range d.tenants {
		drained.Go(func() { t.g.Drain(ctx) }) // ends soon after ctx
	}
	drained.Wait()
	for _, t := range d.tenants {
		t.mail.Close()
		t.pres.Close()
		if t.rooms != nil {
			t.rooms.Close()
		}
	}
	if err := d.sip.Close(); err != nil {
		d.log.Warn("closing the sip side", "error", err)
	}
	d.closeMSRP()
	d.dns.Close()
	d.leave(time.Time{}, said)
	stop()
	for _, t := range d.tenants {
		t.rest()
		t.shut()
	}
	d.closeStore()
	d.closeRelay()
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = d.admin.Shutdown(last)
	_ = d.ask.Shutdown(last)
	_ = d.pages.Shutdown(last)
	d.feed.shut(last)
	if d.hep != nil {
		_ = d.hep.Close()
	}
	if d.otlp != nil { // all calls have ended
		_ = d.otlp.Close()
	}
	if d.cdr != nil { // the same
		_ = d.cdr.Close()
	}
}

// leave has users see that the gateway goes down: until when at the latest or, at the zero time,
// now.
func (d *daemon) leave(until time.Time, said string) {
	for _, t := range d.tenants {
		t.xmpp.Leave(until, said)
	}
}

// active is how many calls there are.
func (d *daemon) active() int {
	n := 0
	for _, t := range d.tenants {
		n += t.g.Active()
	}
	return n
}

// unready says why the gateway cannot take calls; nothing if it can, be it for one component
// alone: who asks would else keep calls from those that have no trouble.
func (d *daemon) unready() []string {
	var causes []string
	able := false
	for _, t := range d.tenants {
		own := t.unready()
		able = able || len(own) == 0
		causes = append(causes, own...)
	}
	if able {
		causes = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.going {
		causes = append([]string{"going down"}, causes...)
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

// onEnded has f told of every call that ends, on the call's goroutine.
func (d *daemon) onEnded(f func(gateway.Record)) {
	for _, t := range d.tenants {
		t.onEnded(f)
	}
}
