package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"sipxmppgw/config"
	"sipxmppgw/gateway/control"
)

// nobody is an address that is not here (TEST-NET), where the real one does not matter.
var nobody = netip.MustParseAddr("192.0.2.1")

// routeCall says where a call would go. It asks the gateway that runs, which knows what is down,
// or, when there is none or a file is named, the configuration alone; and calls nobody.
func routeCall(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "route", out, errs)
	flags := a.flags
	file := flags.String("config", "", "the configuration `FILE`, which is asked instead of the gateway that runs; default "+configDefault+" if none does")
	as := flags.String("as", "", "who calls: a `JID`, or with --from-sip a number or SIP address")
	trunk := flags.String("from-sip", "", "the call comes from this `TRUNK`")
	domain := flags.String("domain", "", "of several components the one with this `DOMAIN` is called; default the first")
	var words []string
	for len(args) > 0 { // flags may stand behind the number
		if err := flags.Parse(args); err != nil {
			return exitUsage
		}
		if args = flags.Args(); len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	if len(words) == 0 || *as == "" {
		fmt.Fprintln(errs, "usage: sipxmppgw route NUMBER --as JID [--from-sip TRUNK] [--domain DOMAIN] [--config FILE] [--json]")
		return exitUsage
	}
	number := strings.Join(words, "")
	if *file == "" && a.reaches() {
		body, code := a.ask(http.MethodGet, "/route?"+url.Values{"number": {number}, "as": {*as}, "trunk": {*trunk}, "domain": {*domain}}.Encode())
		var r control.Routing
		if code != exitOK {
			return code
		}
		if err := json.Unmarshal(body, &r); err != nil {
			fmt.Fprintln(errs, "sipxmppgw: the gateway's answer:", err)
			return exitProblem
		}
		return sayRouting(r, *a.json, out)
	}
	c, err := config.Load(cmp.Or(*file, configDefault))
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	local, err := leadsTo(outsideOf(true))
	if err != nil {
		local = nobody
	}
	if given, _, err := config.ParseExternal(c.SIP.ExternalAddress...); err == nil && len(given) > 0 {
		local = given[0]
	}
	own, err := componentOf(c, *domain, *trunk)
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUsage
	}
	routes, err := routesOf(own, local, nil)
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUsage
	}
	r, err := control.DryRun(routes, control.Question{Number: number, As: *as, Trunk: *trunk})
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUsage
	}
	return sayRouting(r, *a.json, out)
}

// sayRouting prints where a call would go; the exit code is that of the command.
func sayRouting(r control.Routing, asJSON bool, out io.Writer) int {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		_ = e.Encode(r) // plain strings; and whoever closed the output does not read errors
	} else {
		r.Print(out)
	}
	if !r.Allowed {
		return exitProblem
	}
	return exitOK
}

// componentOf returns the configuration as the component sees it that a call belongs to: the one
// of a trunk, or of a domain.
func componentOf(c config.Config, domain, trunk string) (config.Config, error) {
	all := c.Each()
	for _, own := range all {
		has := slices.ContainsFunc(own.Trunks, func(t config.Trunk) bool { return t.Name == trunk })
		if (domain == "" || own.XMPP.Domain == domain) && (trunk == "" || has) {
			return own, nil
		}
	}
	if domain == "" {
		return all[0], nil // which says that there is no such trunk
	}
	return config.Config{}, fmt.Errorf("%s is no component with that trunk", domain)
}
