package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
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
	"sipxmppgw/gateway/trace"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/resolve"
)

// A doctor looks at a configuration, at what it needs of this machine and of others, and at the
// gateway, if it runs. It changes nothing.
type doctor struct {
	findings
	ctx     context.Context
	c       config.Config
	d       *daemon         // that looks at itself; nil from outside
	running *control.Status // what the gateway says of itself; nil if it does not run
	lives   bool            // it runs, and perhaps says nothing
	gentle  bool            // it does not log in at the XMPP server
	around  surroundings
}

// soon is when a certificate that ends is worth a word.
const soon = 14 * 24 * time.Hour

// longestTrial is how long a call of --call may take, with all that it waits for.
const longestTrial = 2 * time.Minute

// examine is the command doctor: one line for every finding. Its exit code is that of the worst.
func examine(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "doctor", out, errs)
	file := a.flags.String("config", configDefault, "the configuration `FILE`")
	gentle := a.flags.Bool("gentle", false, "do not log in at the XMPP server, which could take the place of a gateway on another machine")
	number := a.flags.String("call", "", "have the gateway that runs place a call to a `NUMBER`, a JID, or echo, and say how it was")
	as := a.flags.String("as", "", "of --call: the `JID` of the user whose permission counts")
	domain := a.flags.String("domain", "", "of --call: of several components the one with this `DOMAIN`; default the first")
	a.flags.Lookup("timeout").DefValue, *a.timeout = "30s", 30*time.Second
	if err := a.flags.Parse(args); err != nil || a.flags.NArg() > 0 {
		if a.flags.NArg() > 0 {
			fmt.Fprintf(errs, "doctor: %q is not a flag\n", a.flags.Arg(0))
		}
		return exitUsage
	}
	if *number != "" {
		return a.try(control.Trial{To: *number, As: *as, Domain: *domain}, *file)
	}
	ctx, cancel := context.WithTimeout(ctx, *a.timeout)
	defer cancel()
	d := &doctor{ctx: ctx, gentle: *gentle, around: theSurroundings()}
	d.examine(*file)
	return a.report(d.all)
}

// try has the gateway that runs place a call. Its socket is that of the configuration, if that can
// be read and no flag names another.
func (a *asking) try(t control.Trial, file string) int {
	given := map[string]bool{}
	a.flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if c, err := config.Load(file); err == nil && c.Control.Socket != "" && !given["socket"] {
		*a.socket = c.Control.Socket
	}
	if !given["timeout"] {
		*a.timeout = longestTrial
	}
	body, code := a.ask(http.MethodPost, "/doctor/call?"+url.Values{"to": {t.To}, "as": {t.As}, "domain": {t.Domain}}.Encode())
	if code != exitOK {
		return code
	}
	var found []control.Finding
	if err := json.Unmarshal(body, &found); err != nil {
		fmt.Fprintln(a.errs, "sipxmppgw: the gateway's answer:", err)
		return exitProblem
	}
	return a.report(found)
}

// report prints findings. The exit code is that of the worst.
func (a *asking) report(found []control.Finding) int {
	code := exitOK
	if slices.ContainsFunc(found, func(f control.Finding) bool { return f.State == control.Wrong }) {
		code = exitProblem
	}
	if *a.json {
		b, _ := json.MarshalIndent(found, "", "  ") // plain values
		fmt.Fprintln(a.out, string(b))
		return code
	}
	for _, f := range found {
		fmt.Fprintf(a.out, "%-5s %-12s %s\n", f.State, f.Check, trace.Printable(f.Text))
		if f.Advice != "" {
			fmt.Fprintf(a.out, "%-18s %s\n", "", trace.Printable(f.Advice))
		}
	}
	return code
}

// examine does all checks that make sense, in the order in which one stands on another. A gateway
// that runs looks at itself: it has its own rights, and what it has it need not try to get.
func (d *doctor) examine(file string) {
	if !d.configuration(file) {
		return
	}
	d.gateway()
	d.socket()
	if d.running != nil && d.looksAtItself() {
		return
	}
	d.needs()
}

// needs looks at what the gateway needs.
func (d *doctor) needs() {
	d.permissions()
	d.certificates()
	dns := resolverOf(d.c)
	defer dns.Close()
	d.address(dns)
	d.ports()
	d.limits()
	d.files()
	d.keeps()
	d.clock()
	for _, own := range d.c.Each() {
		d.names(own)
		d.server(own)
		for _, t := range own.Trunks {
			d.trunk(t, dns)
		}
	}
}

// looksAtItself has the gateway that runs do the rest; false if it cannot.
func (d *doctor) looksAtItself() bool {
	body, err := d.get(d.dialSocket, "http://gateway/doctor")
	var found []control.Finding
	if err != nil || json.Unmarshal(body, &found) != nil {
		return false // it may be of an older version
	}
	d.all = append(d.all, found...)
	return true
}

func (d *doctor) dialSocket(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", d.c.Control.Socket)
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
			d.say(control.Wrong, "config", "", "%s", strings.TrimSpace(line))
		}
		return false
	}
	d.c = c
	d.say(control.Fine, "config", "", "%s is good", file)
	return true
}

// gateway finds out whether it runs, and what it says of itself.
func (d *doctor) gateway() {
	if d.c.HTTP.Listen != "" {
		_, err := d.get(nil, "http://"+reachable(d.c.HTTP.Listen)+"/livez")
		d.lives = err == nil
	}
	if d.c.Control.Socket != "" {
		body, err := d.get(d.dialSocket, "http://gateway/status")
		var s control.Status
		if err == nil && json.Unmarshal(body, &s) == nil {
			d.running, d.lives = &s, true
		}
		if errors.Is(err, os.ErrPermission) {
			d.lives = true
			d.say(control.Strange, "gateway", "Run this as root, or as a user of the socket's group.", "%s may not be opened", d.c.Control.Socket)
		}
	}
	switch {
	case d.running != nil && d.running.State != control.Up:
		d.say(control.Wrong, "gateway", "", "it runs, version %s, and is %s: %s", d.running.Version, d.running.State, strings.Join(d.running.Causes, "; "))
	case d.running != nil:
		d.say(control.Fine, "gateway", "", "it runs, version %s, since %s, with %d calls", d.running.Version, d.running.Since.Format(time.DateTime), d.running.Calls)
	case d.lives:
		d.say(control.Strange, "gateway", "Set control.socket, so that it can be asked how it fares.", "it runs, and is not to be asked")
	default:
		d.say(control.Strange, "gateway", "What follows is what it would find when it is started.", "it does not run")
	}
}

// get returns what is answered to a GET, whatever its status.
func (d *doctor) get(dial func(context.Context, string, string) (net.Conn, error), url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}} // no proxy
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, maxAnswer))
}

// address says which one others are told.
func (d *doctor) address(dns *resolve.Resolver) {
	var r reach
	var err error
	switch _, auto, _ := config.ParseExternal(d.c.SIP.ExternalAddress...); {
	case d.d != nil:
		r = d.d.reached
	case auto && d.c.SIP.STUNServer == "" && (d.lives || d.gentle): // the component would ask the XMPP server
		d.say(control.Strange, "address", "", "it was not looked for: only the component may ask the XMPP server for the STUN server")
		return
	default:
		r, err = advertised(d.c, dns, slog.New(slog.DiscardHandler))
	}
	if err != nil {
		d.say(control.Wrong, "address", "Set sip.external_address.", "%v", err)
		return
	}
	state, advice := control.Fine, ""
	outside := slices.ContainsFunc(d.c.Trunks, func(t config.Trunk) bool {
		a, err := netip.ParseAddr(strings.Trim(t.Address, "[]"))
		return t.Address != "" && (err != nil && strings.Contains(t.Address, ".") && !t.NAT && t.Domain == "" || err == nil && signaling.Public(a))
	})
	if outside && !signaling.Public(r.main()) && len(d.c.SIP.ExternalAddress) == 0 {
		state, advice = control.Strange, "If it is behind a NAT, set sip.external_address, or auto."
	}
	d.say(state, "address", advice, "SIP peers are told %s, because %s", r.String(), r.why)
	if m := d.c.Media.ExternalAddress; m != "" {
		d.say(control.Fine, "address", "", "media is offered at %s", m)
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
			d.say(control.Strange, "files", "chmod o= "+name, "everyone on this machine can read %s, %s", setting, name)
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
			d.say(control.Wrong, "files", "mkdir "+dir+", for the gateway's user", "%s is in %s, which is not there", setting, dir)
		}
	}
	if d.c.Store.File == "" && len(d.c.Accounts.Allow) > 0 {
		d.say(control.Wrong, "files", "Set store.file.", "users may add accounts, and there is nowhere to keep them")
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
