package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/store/sqlite"
	"sipxmppgw/jingle/component"
	"sipxmppgw/signaling/resolve"
)

// Surroundings are what a doctor asks of the machine that it runs on.
type surroundings struct {
	synced  func() (synced, known bool) // its clock follows a reference
	buffer  func() (octets int, ok bool)
	address func(ctx context.Context, host string) ([]string, error)
	service func(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// theSurroundings are those of the machine that this process runs on.
func theSurroundings() surroundings {
	return surroundings{
		synced: clockSynced, buffer: receiveBuffer,
		address: net.DefaultResolver.LookupHost, service: net.DefaultResolver.LookupSRV,
	}
}

// checkUp has the gateway look at what it needs.
func (d *daemon) checkUp(ctx context.Context) []control.Finding {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	d.reloading.Lock()
	c := d.conf
	d.reloading.Unlock()
	s := d.desk.Status()
	own := &doctor{ctx: ctx, c: c, d: d, running: &s, lives: true, around: theSurroundings()}
	own.needs()
	return own.all
}

// permissions looks whether anybody may call.
func (d *doctor) permissions() {
	for _, own := range d.c.Each() {
		if !slices.ContainsFunc(own.Routes, func(r config.Route) bool { return !r.Deny }) && len(own.Accounts.Allow) == 0 {
			d.say(control.Strange, "routes", "Have routes, such as {from: "+parentOf(own.XMPP.Domain)+", trunk: NAME}.", "nobody may call anybody by way of %s", own.XMPP.Domain)
			continue
		}
		d.say(control.Fine, "routes", "", "%d say who may call by way of %s", len(own.Routes), own.XMPP.Domain)
	}
}

// parentOf is the domain of a component's server, as far as one can tell.
func parentOf(domain string) string {
	_, parent, _ := strings.Cut(domain, ".")
	return parent
}

// certificates looks at those of the SIP side.
func (d *doctor) certificates() {
	if d.c.SIP.TLS.Certificate == "" {
		return
	}
	s, err := secureOf(d.c, slog.New(slog.DiscardHandler))
	if err != nil {
		d.say(control.Wrong, "certificate", "", "%v", err)
		return
	}
	until := s.Keys.Until()
	left := time.Until(until)
	switch {
	case left <= 0:
		d.say(control.Wrong, "certificate", "Renew it; the gateway reads it again by itself.", "the first of them ended on %s", until.Format(time.DateOnly))
	case left < soon:
		d.say(control.Strange, "certificate", "Renew it; the gateway reads it again by itself.", "the first of them ends on %s", until.Format(time.DateOnly))
	default:
		d.say(control.Fine, "certificate", "", "good until %s", until.Format(time.DateOnly))
	}
	_, roots := s.Keys.Current()
	for _, own := range d.c.Each() {
		host := own.SIP.Domain
		if host == "" {
			continue
		}
		cert, err := s.Keys.Shown(&tls.ClientHelloInfo{ServerName: host})
		if err != nil {
			d.say(control.Strange, "certificate", "", "none is shown to who asks for %s: %v", host, err)
			continue
		}
		if !isFor(cert.Leaf, host) {
			d.say(control.Strange, "certificate", "SIP peers that check it (RFC 5922) do not believe it.", "it is not for sip.domain, %s", host)
		}
		if err := chain(cert, roots); err != nil && left > 0 {
			d.say(control.Strange, "certificate", "Peers have to be told to trust it; is the file without the certificates between it and its authority?",
				"what this machine trusts does not vouch for that of %s: %v", host, err)
		}
	}
}

// isFor reports whether a certificate is for a SIP domain (RFC 5922 section 7.1).
func isFor(leaf *x509.Certificate, host string) bool {
	return slices.Contains(leaf.DNSNames, host) || leaf.VerifyHostname(host) == nil ||
		slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return u.String() == "sip:"+host })
}

// chain looks whether roots vouch for a certificate; nil roots are those of the machine.
func chain(cert *tls.Certificate, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, der := range cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// ports tries to bind what the gateway would, unless it has bound it.
func (d *doctor) ports() {
	if d.lives {
		d.say(control.Fine, "ports", "", "the gateway has them")
		return
	}
	tries := map[string][2]string{}
	for _, l := range d.c.SIP.Listen {
		if transport, at, err := config.ParseListen(l); err == nil {
			network := "tcp"
			if transport == "udp" {
				network = "udp"
			}
			if transport != "sctp" {
				tries["sip.listen "+l] = [2]string{network, at.String()}
			}
		}
	}
	for name, listen := range map[string]string{"http.listen": d.c.HTTP.Listen, "console.listen": d.c.Console.Listen, "feed.listen": d.c.Feed.Listen} {
		if listen != "" {
			tries[name+" "+listen] = [2]string{"tcp", listen}
		}
	}
	bad := 0
	for _, name := range slices.Sorted(maps.Keys(tries)) {
		if err := d.binds(tries[name][0], tries[name][1]); err != nil {
			bad++
			d.say(control.Wrong, "ports", "Another program has it, or the machine has not that address: ss -lnp says which.", "%s: %v", name, err)
		}
	}
	if bad == 0 {
		d.say(control.Fine, "ports", "", "all %d that were tried are free", len(tries))
	}
	d.mediaPorts()
}

func (d *doctor) binds(network, at string) error {
	var lc net.ListenConfig
	var l io.Closer
	var err error
	if network == "udp" {
		l, err = lc.ListenPacket(d.ctx, network, at)
	} else {
		l, err = lc.Listen(d.ctx, network, at)
	}
	if err == nil {
		l.Close()
	}
	return err
}

// mediaPorts tries those of media, of which some may be somebody else's.
func (d *doctor) mediaPorts() {
	if !slices.ContainsFunc(d.c.Each(), func(own config.Config) bool { return own.Media.Engine != "rtpengine" }) {
		return
	}
	for _, n := range d.c.Media.Networks {
		for _, a := range n.Addresses {
			d.portsAt(a.String(), n.PortMin, n.PortMax)
		}
	}
	if len(d.c.Media.Networks) > 0 {
		return
	}
	host := ""
	if len(d.c.Media.Addresses) > 0 {
		host = d.c.Media.Addresses[0].String()
	}
	d.portsAt(host, d.c.Media.PortMin, d.c.Media.PortMax)
}

// portsAt tries those of an address, or of any if it is empty.
func (d *doctor) portsAt(host string, first, last int) {
	taken, all := 0, last-first+1
	var fault error
	for port := first; port <= last; port++ {
		if err := d.binds("udp", net.JoinHostPort(host, fmt.Sprint(port))); err != nil {
			taken, fault = taken+1, err
		}
	}
	which := fmt.Sprintf("media ports %d to %d", first, last)
	if len(d.c.Media.Networks) > 0 {
		which += " of " + host
	}
	switch {
	case taken == all:
		d.say(control.Wrong, "ports", "Set media.addresses, or media.networks, or other ports.", "%s: none can be had: %v", which, fault)
	case 10*taken > all:
		d.say(control.Strange, "ports", "Give the gateway a range of its own.", "%s: other programs have %d of %d", which, taken, all)
	default:
		d.say(control.Fine, "ports", "", "%s: %d of %d are free; a firewall has to let UDP through to them", which, all-taken, all)
	}
}

// goodBuffer is what the shared media ports want to hold, in octets.
const goodBuffer = 4 << 20

// limits looks at what the machine lets this process have.
func (d *doctor) limits() {
	if limit := openFilesLimit(); limit > 0 {
		// A call with its own ports has four sockets; the rest is connections and files.
		need := uint64(500)
		for _, own := range d.c.Each() {
			need += uint64(4 * own.Calls.Max)
		}
		if limit < need {
			d.say(control.Strange, "limits", "Raise LimitNOFILE in the unit, or ulimit -n.", "%d open files are allowed here; calls.max may need %d", limit, need)
		} else {
			d.say(control.Fine, "limits", "", "%d open files are allowed; calls.max may need %d", limit, need)
		}
	}
	switch octets, ok := d.around.buffer(); {
	case !ok:
	case octets < goodBuffer:
		d.say(control.Strange, "limits", fmt.Sprintf("sysctl net.core.rmem_max=%d, or packets are lost when the machine is busy.", goodBuffer), "sockets may hold %d octets (net.core.rmem_max)", octets)
	default:
		d.say(control.Fine, "limits", "", "sockets may hold %d octets", octets)
	}
}

// socket looks at who may command the gateway.
func (d *doctor) socket() {
	name := d.c.Control.Socket
	if name == "" {
		return
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !d.lives:
		return
	case err != nil:
		d.say(control.Strange, "socket", "", "%v", err)
		return
	case info.Mode().Perm()&0o002 != 0:
		d.say(control.Wrong, "socket", "chmod o= "+name, "everyone on this machine can command the gateway by %s", name)
		return
	}
	if dir, err := os.Stat(filepath.Dir(name)); err == nil && dir.Mode().Perm()&0o002 != 0 && dir.Mode()&fs.ModeSticky == 0 {
		d.say(control.Strange, "socket", "chmod o-w "+filepath.Dir(name), "everyone on this machine can put something in the place of %s", name)
		return
	}
	d.say(control.Fine, "socket", "", "%s is open to its user and group: %v", name, info.Mode().Perm())
}

// keeps looks whether the store can be written to, and is of a version that is known.
func (d *doctor) keeps() {
	name := d.c.Store.File
	switch {
	case name == "":
		return
	case d.d != nil:
		d.writes(d.d.store)
		return
	}
	version, err := sqlite.Version(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := writable(filepath.Dir(name)); err != nil {
			d.say(control.Wrong, "store", "Whose folder is it? The gateway's user has to write there.", "store.file %s cannot be made: %v", name, err)
			return
		}
		d.say(control.Fine, "store", "", "store.file %s will be made", name)
	case err != nil:
		d.say(control.Wrong, "store", "", "store.file %s: %v", name, err)
	case version > sqlite.Newest():
		d.say(control.Wrong, "store", "Run the newer program, or begin with another file.", "store.file %s is of version %d, and this program knows %d", name, version, sqlite.Newest())
	case writable(name) != nil:
		d.say(control.Wrong, "store", "Whose file is it? The gateway's user has to write to it.", "store.file %s: %v", name, writable(name))
	case version < sqlite.Newest():
		d.say(control.Fine, "store", "", "store.file %s is of version %d, and becomes one of %d; a copy is kept beside it", name, version, sqlite.Newest())
	default:
		d.say(control.Fine, "store", "", "store.file %s can be written to, version %d", name, version)
	}
}

// checked is a row that is written and taken away again.
const checked store.Kind = "check"

// writes has the gateway's own store write something.
func (d *doctor) writes(to store.Store) {
	done := make(chan error, 2)
	began := time.Now()
	to.Put(store.Row{Kind: checked, Key: "doctor"}, func(err error) { done <- err })
	to.Delete(checked, "doctor", func(err error) { done <- err })
	for range 2 {
		select {
		case err := <-done:
			if err != nil {
				d.say(control.Wrong, "store", "Is the disk full, or may the file not be written to?", "it does not write: %v", err)
				return
			}
		case <-d.ctx.Done():
			d.say(control.Wrong, "store", "Is the disk slow, or the file locked by another program?", "it has not written within %v", time.Since(began).Round(time.Second))
			return
		}
	}
	s := to.State()
	state, advice := control.Fine, ""
	if s.Lost > 0 {
		state, advice = control.Strange, "See the log for when, and why."
	}
	d.say(state, "store", advice, "it writes within %v; %d rows so far, %d lost", time.Since(began).Round(time.Millisecond), s.Written, s.Lost)
}

// clock looks whether this machine's follows a reference.
func (d *doctor) clock() {
	switch synced, known := d.around.synced(); {
	case !known:
	case synced:
		d.say(control.Fine, "clock", "", "it follows a reference, as the kernel says")
	default:
		d.say(control.Strange, "clock", "Run chrony, systemd-timesyncd or the like.", "nothing sets it, as the kernel says; it is %s", time.Now().UTC().Format(time.RFC3339))
	}
}

const (
	wrongClock = 5 * time.Second // by which two may differ before one of them is wrong
	nameWait   = 3 * time.Second // for what is only of use to others
)

// names looks for those of the XMPP side.
func (d *doctor) names(c config.Config) {
	ctx, cancel := context.WithTimeout(d.ctx, nameWait)
	defer cancel()
	if host, _, err := net.SplitHostPort(c.XMPP.Server); err == nil && net.ParseIP(host) == nil {
		if _, err := d.around.address(ctx, host); err != nil {
			d.say(control.Wrong, "dns", "Is xmpp.server right?", "%s: %v", host, err)
		} else {
			d.say(control.Fine, "dns", "", "%s has an address", host)
		}
	}
	domain := c.XMPP.Domain
	// Users of other servers reach the component by DNS alone (RFC 6120 section 3.2).
	if !slices.ContainsFunc(c.Routes, func(r config.Route) bool {
		from := r.From
		if _, at, user := strings.Cut(from, "@"); user {
			from = at
		}
		return !r.Deny && from != parentOf(domain)
	}) {
		return
	}
	if _, all, err := d.around.service(ctx, "xmpp-server", "tcp", domain); err == nil && len(all) > 0 {
		d.say(control.Fine, "dns", "", "other servers find %s at %s:%d", domain, strings.TrimSuffix(all[0].Target, "."), all[0].Port)
		return
	}
	if _, err := d.around.address(ctx, domain); err == nil {
		d.say(control.Fine, "dns", "", "other servers find %s by its address", domain)
		return
	}
	d.say(control.Strange, "dns", "Have DNS say _xmpp-server._tcp."+domain+", if users of other servers are to call.", "other servers do not find %s, and routes let users of others call", domain)
}

// advices are what to do when a server does not take the component.
var advices = map[component.Cause]string{
	component.Unreachable:   "Is the server running, and does it listen for components there? (Prosody: component_ports; ejabberd: listen)",
	component.NotAuthorized: "The secret is not the server's. sipxmppgw snippet prosody --secret writes what belongs there; then restart it.",
	component.HostUnknown:   "The server has no component of that name. sipxmppgw snippet prosody --secret writes what belongs there; then restart it.",
	component.Conflict: "Another component has connected by that name: is a second gateway running somewhere? " +
		`If its machine is gone, Prosody lets the next in with component_conflict_resolve = "kick_old".`,
	component.Replaced: "Another component has connected by that name: is a second gateway running somewhere?",
}

// server asks the gateway how its component fares or, if it does not run, connects as it would.
func (d *doctor) server(c config.Config) {
	name := c.XMPP.Domain
	if d.running != nil {
		for _, own := range d.running.Components {
			switch {
			case own.Domain != name:
			case own.State == control.Up:
				d.say(control.Fine, "xmpp", "", "%s is connected to %s", name, own.Server)
				d.through(name)
			default:
				cause, _, _ := strings.Cut(own.Problem, " ")
				d.say(control.Wrong, "xmpp", advices[component.Cause(cause)], "%s is not connected to %s: %s", name, own.Server, own.Problem)
			}
		}
		return
	}
	if d.lives {
		d.say(control.Strange, "xmpp", "", "%s was not tried: the gateway has it, and two would take it from each other", name)
		return
	}
	secret := string(c.XMPP.Secret)
	if d.gentle {
		secret = rand.Text() // with which nobody is let in
	}
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	last := component.State{Cause: component.Starting}
	s, err := component.New(component.Options{
		Domain: name, Secret: secret, Addrs: []string{c.XMPP.Server}, Log: slog.New(slog.DiscardHandler),
		State: func(st component.State) {
			if ctx.Err() == nil && st.Cause != component.Starting {
				last = st
				cancel()
			}
		},
	})
	if err == nil {
		err = s.Run(ctx)
	}
	switch {
	case last.Up:
		d.say(control.Fine, "xmpp", "", "%s takes %s with this secret", c.XMPP.Server, name)
	case d.gentle && last.Cause == component.NotAuthorized:
		d.say(control.Fine, "xmpp", "", "%s answers for %s; the secret was not tried", c.XMPP.Server, name)
	case last.Cause == component.Starting:
		d.say(control.Wrong, "xmpp", advices[component.Unreachable], "%s does not answer: %v", c.XMPP.Server, err)
	default:
		d.say(control.Wrong, "xmpp", advices[last.Cause], "%s does not take %s: %s (%v)", c.XMPP.Server, name, last.Cause, last.Err)
	}
}

// ownPings are enough that a second gateway does not miss all of them by chance.
const ownPings = 20

// matters are the settings of a server that matter to a component, by what it calls itself.
var matters = map[string]string{
	"prosody":  `Two settings of it matter: component_conflict_resolve ("kick_old" lets a gateway in whose machine died without a word), and the size that stanzas may have.`,
	"ejabberd": "Two settings of it matter: it lets several components connect for one domain and shares the stanzas among them, so run one gateway; and max_stanza_size of the listener.",
}

// through looks at the server of a component that is up: whether all comes that is sent, which
// program it is, and what time it has.
func (d *doctor) through(name string) {
	if d.d == nil {
		return
	}
	i := slices.IndexFunc(d.d.tenants, func(t *tenant) bool { return t.c.XMPP.Domain == name })
	if i < 0 {
		return
	}
	t := d.d.tenants[i]
	ctx, cancel := context.WithTimeout(d.ctx, 5*time.Second)
	defer cancel()
	came, trip, err := t.stream.Own(ctx, ownPings)
	switch n := t.stream.Stats().Duplicate; {
	case err != nil:
		d.say(control.Wrong, "xmpp", "", "nothing can be sent: %v", err)
	case came < ownPings || n > 0:
		d.say(control.Wrong, "xmpp", advices[component.Replaced], "of %d pings to ourselves %d came back, and %d of another gateway have come: it has %s too", ownPings, came, n, name)
	default:
		d.say(control.Fine, "xmpp", "", "all that is sent to %s comes here, the first after %v", name, trip.Round(100*time.Microsecond))
	}
	server := parentOf(name)
	if server == "" {
		return
	}
	ctx, cancel = context.WithTimeout(d.ctx, nameWait)
	defer cancel()
	if program, version, err := t.xmpp.Software(ctx, server); err == nil {
		d.say(control.Fine, "server", matters[strings.ToLower(program)], "%s is %s", server, strings.TrimSpace(program+" "+version))
	}
	began := time.Now()
	at, err := t.xmpp.Time(ctx, server)
	if err != nil {
		return
	}
	switch off := began.Add(time.Since(began) / 2).Sub(at).Round(time.Second); {
	case off.Abs() > wrongClock:
		d.say(control.Strange, "clock", "One of the two is wrong; both should follow a reference.", "it is %v from that of %s", off, server)
	default:
		d.say(control.Fine, "clock", "", "it agrees with that of %s", server)
	}
}

// trunk asks the gateway how a trunk fares or, if it does not run, looks for its place.
func (d *doctor) trunk(t config.Trunk, dns *resolve.Resolver) {
	check := "trunk " + t.Name
	if d.running != nil {
		for _, own := range d.running.Trunks {
			if own.Name == t.Name {
				d.peer(check, own)
			}
		}
		return
	}
	next, err := nextHop(t)
	if err != nil || next.Host == "" {
		d.say(control.Fine, check, "", "it connects by itself")
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	a, err := dns.Lookup(ctx, next.Query())
	if err != nil {
		d.say(control.Wrong, check, "Its name is to be had from DNS, as an address or by SRV records.", "%s: %v", t.Address, err)
		return
	}
	at := a.Targets[0]
	rtt, answer, err := options(ctx, string(at.Transport), at.Addr)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		d.say(control.Fine, check, "", "it is at %s, %s, and was not asked", at.Addr, at.Transport)
	case err != nil:
		d.say(control.Wrong, check, noAnswer, "%s does not answer OPTIONS over %s: %v", at.Addr, at.Transport, err)
	default:
		d.say(control.Fine, check, "", "%s answers OPTIONS over %s with %s after %v", at.Addr, at.Transport, answer, rtt.Round(100*time.Microsecond))
	}
}

const noAnswer = "Is it running, does it know this machine's address, and is the way open?"

// peer says how a trunk of a gateway that runs fares. The gateway itself asks it.
func (d *doctor) peer(check string, own control.Trunk) {
	if own.Registration != "" && own.Registration != "up" {
		d.say(control.Wrong, check, "Are user, password and domain those that the other side knows?", "it is not registered: %s %s", own.Registration, own.Problem)
		return
	}
	if d.d != nil && own.Address != "" {
		ctx, cancel := context.WithTimeout(d.ctx, 5*time.Second)
		defer cancel()
		status, trip, err := d.d.sip.Ask(ctx, own.Name)
		switch {
		case err != nil:
			d.say(control.Wrong, check, noAnswer, "%s does not answer OPTIONS: %v", own.Address, err)
		case status == 503 || own.State == control.Down:
			d.say(control.Wrong, check, "", "%s answers OPTIONS with %d, and takes no calls: %s", own.Address, status, own.Problem)
		default:
			d.say(control.Fine, check, "", "%s answers OPTIONS with %d after %v", own.Address, status, trip.Round(100*time.Microsecond))
		}
		return
	}
	switch own.State {
	case control.Down:
		d.say(control.Wrong, check, "", "%s does not answer, or does not take calls: %s", own.Address, own.Problem)
	case control.Unknown:
		d.say(control.Strange, check, "Set probe, to know it before a call does.", "nothing says whether it is there")
	default:
		d.say(control.Fine, check, "", "%s is there", own.Address)
	}
}
