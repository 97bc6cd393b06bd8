package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway/control"
	"sipxmppgw/jingle/component"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/resolve"
)

// How grave a finding is.
const (
	fine    = "ok"
	strange = "warn" // it may be meant
	wrong   = "fail"
)

// A finding is what one check has found.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // ok, warn or fail
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
}

// A doctor looks at a configuration, at what it needs of this machine and of others, and at the
// gateway, if it runs. It changes nothing.
type doctor struct {
	ctx     context.Context
	c       config.Config
	running *control.Status // what the gateway says of itself; nil if it does not run
	lives   bool            // it runs, and perhaps says nothing
	found   []finding
}

// soon is when a certificate that ends is worth a word.
const soon = 14 * 24 * time.Hour

// examine is the command doctor: one line for every finding. Its exit code is that of the worst.
func examine(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", configDefault, "the configuration `FILE`")
	timeout := flags.Duration("timeout", 30*time.Second, "how long all of it may take")
	inJSON := flags.Bool("json", false, "answer in JSON")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if flags.NArg() > 0 {
			fmt.Fprintf(errs, "doctor: %q is not a flag\n", flags.Arg(0))
		}
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	d := &doctor{ctx: ctx}
	d.examine(*file)
	code := exitOK
	for _, f := range d.found {
		if f.State == wrong {
			code = exitProblem
		}
	}
	if *inJSON {
		b, _ := json.MarshalIndent(d.found, "", "  ") // plain values
		fmt.Fprintln(out, string(b))
		return code
	}
	for _, f := range d.found {
		fmt.Fprintf(out, "%-5s %-12s %s\n", f.State, f.Check, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(out, "%-18s %s\n", "", f.Advice)
		}
	}
	return code
}

func (d *doctor) say(state, check, advice, format string, words ...any) {
	d.found = append(d.found, finding{check, state, fmt.Sprintf(format, words...), advice})
}

// examine does all checks that make sense, in the order in which one stands on another.
func (d *doctor) examine(file string) {
	if !d.configuration(file) {
		return
	}
	d.gateway()
	d.certificates()
	dns := resolverOf(d.c)
	defer dns.Close()
	d.address(dns)
	d.ports()
	d.files()
	for _, own := range d.c.Each() {
		d.server(own)
		for _, t := range own.Trunks {
			d.trunk(t, dns)
		}
	}
}

func (d *doctor) configuration(file string) bool {
	c, err := config.Load(file)
	for i, own := range c.Each() {
		if err == nil {
			if _, err = routesOf(own, nobody, nil); err != nil {
				err = inTenant(i, err)
			}
		}
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			d.say(wrong, "config", "", "%s", strings.TrimSpace(line))
		}
		return false
	}
	d.c = c
	d.say(fine, "config", "", "%s is good", file)
	return true
}

// gateway finds out whether it runs, and what it says of itself.
func (d *doctor) gateway() {
	if d.c.HTTP.Listen != "" {
		if res, err := d.get(nil, "http://"+reachable(d.c.HTTP.Listen)+"/livez"); err == nil {
			res.Body.Close()
			d.lives = true
		}
	}
	if d.c.Control.Socket != "" {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.c.Control.Socket)
		}
		res, err := d.get(dial, "http://gateway/status")
		if err == nil {
			var s control.Status
			if json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&s) == nil {
				d.running, d.lives = &s, true
			}
			res.Body.Close()
		}
		if errors.Is(err, os.ErrPermission) {
			d.lives = true
			d.say(strange, "gateway", "Run this as root, or as a user of the socket's group.", "%s may not be opened", d.c.Control.Socket)
		}
	}
	switch {
	case d.running != nil && d.running.State != control.Up:
		d.say(wrong, "gateway", "", "it runs, version %s, and is %s: %s", d.running.Version, d.running.State, strings.Join(d.running.Causes, "; "))
	case d.running != nil:
		d.say(fine, "gateway", "", "it runs, version %s, since %s, with %d calls", d.running.Version, d.running.Since.Format(time.DateTime), d.running.Calls)
	case d.lives:
		d.say(strange, "gateway", "Set control.socket, so that it can be asked how it fares.", "it runs, and is not to be asked")
	default:
		d.say(strange, "gateway", "What follows is what it would find when it is started.", "it does not run")
	}
}

func (d *doctor) get(dial func(context.Context, string, string) (net.Conn, error), url string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(d.ctx, 5*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}} // no proxy
	res, err := client.Do(req)
	context.AfterFunc(d.ctx, cancel)
	if err != nil {
		cancel()
	}
	return res, err
}

// certificates looks at those of the SIP side.
func (d *doctor) certificates() {
	t := d.c.SIP.TLS
	if t.Certificate == "" {
		return
	}
	s, err := secureOf(d.c, slog.New(slog.DiscardHandler))
	if err != nil {
		d.say(wrong, "certificate", "", "%v", err)
		return
	}
	until := s.Keys.Until()
	left := time.Until(until)
	switch {
	case left <= 0:
		d.say(wrong, "certificate", "Renew it; the gateway reads it again by itself.", "the first of them ended on %s", until.Format(time.DateOnly))
	case left < soon:
		d.say(strange, "certificate", "Renew it; the gateway reads it again by itself.", "the first of them ends on %s", until.Format(time.DateOnly))
	default:
		d.say(fine, "certificate", "", "good until %s", until.Format(time.DateOnly))
	}
	if host := d.c.SIP.Domain; host != "" {
		cert, _ := s.Keys.Current()
		if !slices.Contains(cert.Leaf.DNSNames, host) && cert.Leaf.VerifyHostname(host) != nil && !slices.ContainsFunc(cert.Leaf.URIs, func(u *url.URL) bool { return u.String() == "sip:"+host }) {
			d.say(strange, "certificate", "SIP peers that check it (RFC 5922) do not believe it.", "it is not for sip.domain, %s", host)
		}
	}
}

// address says which one others are told.
func (d *doctor) address(dns *resolve.Resolver) {
	r, err := advertised(d.c, dns, slog.New(slog.DiscardHandler))
	if err != nil {
		d.say(wrong, "address", "Set sip.external_address.", "%v", err)
		return
	}
	state, advice := fine, ""
	outside := slices.ContainsFunc(d.c.Trunks, func(t config.Trunk) bool {
		a, err := netip.ParseAddr(strings.Trim(t.Address, "[]"))
		return t.Address != "" && (err != nil && strings.Contains(t.Address, ".") && !t.NAT && t.Domain == "" || err == nil && signaling.Public(a))
	})
	if outside && !signaling.Public(r.main()) && len(d.c.SIP.ExternalAddress) == 0 {
		state, advice = strange, "If it is behind a NAT, set sip.external_address, or auto."
	}
	d.say(state, "address", advice, "SIP peers are told %s, because %s", r.String(), r.why)
	if m := d.c.Media.ExternalAddress; m != "" {
		d.say(fine, "address", "", "media is offered at %s", m)
	}
}

// ports tries to bind what the gateway would, unless it has bound it.
func (d *doctor) ports() {
	if d.lives {
		d.say(fine, "ports", "", "the gateway has them")
		return
	}
	tries := map[string][]string{}
	for _, l := range d.c.SIP.Listen {
		if transport, at, err := config.ParseListen(l); err == nil {
			network := "tcp"
			if transport == "udp" {
				network = "udp"
			}
			if transport != "sctp" {
				tries["sip.listen "+l] = []string{network, at.String()}
			}
		}
	}
	for name, listen := range map[string]string{"http.listen": d.c.HTTP.Listen, "console.listen": d.c.Console.Listen, "feed.listen": d.c.Feed.Listen} {
		if listen != "" {
			tries[name+" "+listen] = []string{"tcp", listen}
		}
	}
	for _, port := range []int{d.c.Media.PortMin, d.c.Media.PortMax} {
		host := ""
		if len(d.c.Media.Addresses) > 0 {
			host = d.c.Media.Addresses[0].String()
		}
		tries[fmt.Sprintf("media port %d", port)] = []string{"udp", net.JoinHostPort(host, fmt.Sprint(port))}
	}
	bad := 0
	for _, name := range slices.Sorted(maps.Keys(tries)) {
		at := tries[name]
		var lc net.ListenConfig
		var l io.Closer
		var err error
		if at[0] == "udp" {
			l, err = lc.ListenPacket(d.ctx, at[0], at[1])
		} else {
			l, err = lc.Listen(d.ctx, at[0], at[1])
		}
		if err != nil {
			bad++
			d.say(wrong, "ports", "Another program has it, or the machine has not that address: ss -lnp says which.", "%s: %v", name, err)
			continue
		}
		l.Close()
	}
	if bad == 0 {
		d.say(fine, "ports", "", "all %d that were tried are free", len(tries))
	}
	if limit := openFilesLimit(); limit > 0 {
		// A call with its own ports has four sockets; the rest is connections and files.
		if need := uint64(4*d.c.Calls.Max + 500); limit < need {
			d.say(strange, "ports", "Raise LimitNOFILE in the unit, or ulimit -n.", "%d open files are allowed here; calls.max may need %d", limit, need)
		}
	}
}

// files looks at what is to be kept secret, and at folders that are to be written to.
func (d *doctor) files() {
	secret := func(setting, name string) {
		info, err := os.Stat(name)
		if name == "" || err != nil {
			return // it is reported where it is read
		}
		if info.Mode().Perm()&0o004 != 0 {
			d.say(strange, "files", "chmod o= "+name, "everyone on this machine can read %s, %s", setting, name)
		}
	}
	secret("store.key_file", d.c.Store.KeyFile)
	secret("sip.tls.key", d.c.SIP.TLS.Key)
	for _, of := range [][2]string{{"store.file", d.c.Store.File}, {"records.file", d.c.Records.File}, {"control.socket", d.c.Control.Socket}} {
		setting, name := of[0], of[1]
		if name == "" {
			continue
		}
		dir := filepath.Dir(name)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			if setting == "control.socket" && !d.lives && errors.Is(err, os.ErrNotExist) {
				continue // its unit makes it
			}
			d.say(wrong, "files", "mkdir "+dir+", for the gateway's user", "%s is in %s, which is not there", setting, dir)
		}
	}
	if d.c.Store.File == "" && len(d.c.Accounts.Allow) > 0 {
		d.say(wrong, "files", "Set store.file.", "users may add accounts, and there is nowhere to keep them")
	}
}

// advices are what to do when a server does not take the component.
var advices = map[component.Cause]string{
	component.Unreachable:   "Is the server running, and does it listen for components there? (Prosody: component_ports; ejabberd: listen)",
	component.NotAuthorized: "The secret is not the server's. sipxmppgw snippet prosody --secret writes what belongs there; then restart it.",
	component.HostUnknown:   "The server has no component of that name. sipxmppgw snippet prosody --secret writes what belongs there; then restart it.",
	component.Conflict:      "Another component has connected by that name: is a second gateway running somewhere?",
	component.Replaced:      "Another component has connected by that name: is a second gateway running somewhere?",
}

// server asks the gateway how its component fares or, if it does not run, connects as it would.
func (d *doctor) server(c config.Config) {
	name := c.XMPP.Domain
	if d.running != nil {
		for _, own := range d.running.Components {
			switch {
			case own.Domain != name:
			case own.State == control.Up:
				d.say(fine, "xmpp", "", "%s is connected to %s", name, own.Server)
			default:
				d.say(wrong, "xmpp", advices[component.Cause(own.Problem)], "%s is not connected to %s: %s", name, own.Server, own.Problem)
			}
		}
		return
	}
	if d.lives {
		d.say(strange, "xmpp", "", "%s was not tried: the gateway has it, and two would take it from each other", name)
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	last := component.State{Cause: component.Starting}
	s, err := component.New(component.Options{
		Domain: name, Secret: string(c.XMPP.Secret), Addrs: []string{c.XMPP.Server},
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
		d.say(fine, "xmpp", "", "%s takes %s with this secret", c.XMPP.Server, name)
	case last.Cause == component.Starting:
		d.say(wrong, "xmpp", advices[component.Unreachable], "%s does not answer: %v", c.XMPP.Server, err)
	default:
		d.say(wrong, "xmpp", advices[last.Cause], "%s does not take %s: %s (%v)", c.XMPP.Server, name, last.Cause, last.Err)
	}
}

// trunk asks the gateway how a trunk fares or, if it does not run, looks for its place.
func (d *doctor) trunk(t config.Trunk, dns *resolve.Resolver) {
	check := "trunk " + t.Name
	if d.running != nil {
		for _, own := range d.running.Trunks {
			switch {
			case own.Name != t.Name:
			case own.State == control.Down:
				d.say(wrong, check, "", "%s does not answer, or does not take calls: %s", own.Address, own.Problem)
			case own.Registration != "" && own.Registration != "up":
				d.say(wrong, check, "", "it is not registered: %s %s", own.Registration, own.Problem)
			case own.State == control.Unknown:
				d.say(strange, check, "Set probe, to know it before a call does.", "nothing says whether %s is there", own.Address)
			default:
				d.say(fine, check, "", "%s is there", own.Address)
			}
		}
		return
	}
	next, err := nextHop(t)
	if err != nil || next.Host == "" {
		d.say(fine, check, "", "it connects by itself")
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	a, err := dns.Lookup(ctx, next.Query())
	if err != nil {
		d.say(wrong, check, "Its name is to be had from DNS, as an address or by SRV records.", "%s: %v", t.Address, err)
		return
	}
	at := a.Targets[0]
	rtt, answer, err := options(ctx, string(at.Transport), at.Addr)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		d.say(fine, check, "", "it is at %s, %s, and was not asked", at.Addr, at.Transport)
	case err != nil:
		d.say(wrong, check, "Is it running, does it know this machine's address, and is the way open?", "%s does not answer OPTIONS over %s: %v", at.Addr, at.Transport, err)
	default:
		d.say(fine, check, "", "%s answers OPTIONS over %s with %s after %v", at.Addr, at.Transport, answer, rtt.Round(100*time.Microsecond))
	}
}

// options asks a SIP peer whether it is there, from a port that nobody else has, and returns the
// first line of its answer. Whatever it answers, it is there. Over TLS and the like nothing is
// asked: an error is then [errors.ErrUnsupported].
func options(ctx context.Context, transport string, to netip.AddrPort) (rtt time.Duration, status string, err error) {
	network := strings.ToLower(transport)
	if network != "udp" && network != "tcp" {
		return 0, "", errors.ErrUnsupported
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, to.String())
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	text := fmt.Sprintf("OPTIONS sip:%[1]s SIP/2.0\r\nVia: SIP/2.0/%[2]s %[3]s;branch=z9hG4bK%[4]d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:doctor@%[5]s>;tag=%[4]d\r\n"+
		"To: <sip:%[1]s>\r\nCall-ID: %[4]d@%[5]s\r\nCSeq: 1 OPTIONS\r\nContact: <sip:doctor@%[3]s>\r\nAccept: application/sdp\r\nUser-Agent: sipxmppgw doctor\r\nContent-Length: 0\r\n\r\n",
		to, transport, conn.LocalAddr(), time.Now().UnixNano(), uriHost(netip.MustParseAddrPort(conn.LocalAddr().String()).Addr()))
	began := time.Now()
	answer := make([]byte, 64<<10)
	for wait := 500 * time.Millisecond; ; wait *= 2 {
		if _, err = conn.Write([]byte(text)); err != nil {
			return 0, "", err
		}
		if err = conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return 0, "", err
		}
		n, err := conn.Read(answer)
		if line, _, _ := strings.Cut(string(answer[:n]), "\r\n"); err == nil && strings.HasPrefix(line, "SIP/2.0 ") {
			return time.Since(began), strings.TrimPrefix(line, "SIP/2.0 "), nil
		}
		if timeout := net.Error(nil); err != nil && (!errors.As(err, &timeout) || !timeout.Timeout()) || wait > 2*time.Second || ctx.Err() != nil {
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				err = errors.New("no answer")
			}
			return 0, "", err
		}
	}
}
