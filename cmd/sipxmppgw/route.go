package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
)

// nobody is an address that is not here (TEST-NET), where the real one does not matter.
var nobody = netip.MustParseAddr("192.0.2.1")

// A routing is what the command says of a call.
type routing struct {
	Caller  string   `json:"caller"`
	Callee  string   `json:"callee"`
	Allowed bool     `json:"allowed"`
	Why     []string `json:"why"`
	Trunk   string   `json:"trunk,omitempty"`
	Target  string   `json:"target,omitempty"` // Request-URI, or the JID that rings
	From    string   `json:"from,omitempty"`
	Early   bool     `json:"early_media,omitempty"`
	Others  []other  `json:"others,omitempty"`
	// Unanswered are the places that it goes to when nobody has answered for Patience.
	Unanswered []other `json:"unanswered,omitempty"`
	Patience   string  `json:"patience,omitempty"`
}

// other is a further place that the call may go to.
type other struct {
	Trunk  string `json:"trunk,omitempty"`
	Target string `json:"target"`
	Round  int    `json:"round"`               // places of one round are called together
	After  string `json:"after,omitempty"`     // the round before has rung so long; or else when it has failed
	Person bool   `json:"telephone,omitempty"` // it is one of several telephones, and not another way
}

// routeCall says where a call would go. It asks the configuration alone and calls nobody.
func routeCall(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("route", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", "/etc/sipxmppgw/config.yaml", "the configuration `FILE`")
	as := flags.String("as", "", "who calls: a `JID`, or with --from-sip a number or SIP address")
	trunk := flags.String("from-sip", "", "the call comes from this `TRUNK`")
	domain := flags.String("domain", "", "of several components the one with this `DOMAIN` is called; default the first")
	asJSON := flags.Bool("json", false, "print JSON")
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
	c, err := config.Load(*file)
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
	r, err := routed(routes, strings.Join(words, ""), *as, *trunk)
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUsage
	}
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		_ = e.Encode(r) // plain strings; and whoever closed the output does not read errors
	} else {
		r.print(out)
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

// routed asks the router as the edges do.
func routed(routes *gateway.Routes, number, as, trunk string) (routing, error) {
	q := gateway.Query{Edge: gateway.XMPP, From: gateway.Party{JID: as}}
	if trunk != "" {
		q = gateway.Query{Edge: gateway.SIP, Trunk: trunk}
		from, err := sipAddress(routes, as)
		if err != nil {
			return routing{}, err
		}
		q.Claim.From.URI = from.String()
		to, err := sipAddress(routes, number)
		if err != nil {
			return routing{}, err
		}
		q.To = to.String()
	} else {
		from, err := translate.ParseJID(as)
		if err != nil {
			return routing{}, err
		}
		to, err := routes.Mapping.Typed(number, from.Domain)
		if err != nil {
			return routing{}, err
		}
		q.To = to.String()
	}
	q.Calls = true
	routes.Pick = func(int) int { return 0 } // of equals the first, so that the answer is always the same
	r := routing{Caller: q.From.JID + q.Claim.From.URI, Callee: q.To}
	t, err := routes.Route(q)
	var refused *call.Refusal
	switch {
	case errors.As(err, &refused):
		if refused.Log != "" {
			r.Why = strings.Split(refused.Log, "; ")
		} else {
			r.Why = []string{refused.Detail.Text}
		}
		return r, nil
	case err != nil:
		return r, err
	}
	r.Allowed, r.Why, r.Trunk, r.Early = true, t.Why, t.Trunk, t.Early
	r.Target, r.From = t.To.URI, t.From.URI
	if t.From.Anonymous {
		r.From = "anonymous"
	}
	if t.Edge == gateway.XMPP {
		r.Target, r.From = t.To.JID, t.From.JID
	}
	if trunk != "" {
		r.Why = append(r.Why, t.Rule)
	}
	for _, o := range t.Others {
		place := otherOf(o)
		if o.Round > 0 && t.Lead > 0 {
			place.After = (time.Duration(o.Round) * t.Lead).String()
		}
		r.Others = append(r.Others, place)
	}
	if to, after, ok := t.Unanswered(); ok {
		r.Unanswered = append(r.Unanswered, otherOf(to))
		for _, o := range to.Others {
			r.Unanswered = append(r.Unanswered, otherOf(o))
		}
		r.Patience = after.String()
	}
	return r, nil
}

func otherOf(t gateway.Target) other {
	o := other{Trunk: t.Trunk, Target: t.To.URI, Round: t.Round, Person: t.Person != ""}
	if t.Edge == gateway.XMPP {
		o.Target = t.To.JID
	}
	return o
}

// sipAddress reads a number or address as a PBX would send it to us.
func sipAddress(routes *gateway.Routes, s string) (translate.URI, error) {
	if !strings.Contains(s, ":") {
		if !strings.Contains(s, "@") {
			s += "@" + routes.Mapping.SIPHost
		}
		s = "sip:" + s
	}
	return translate.ParseURI(s)
}

func (r routing) print(out io.Writer) {
	fmt.Fprintf(out, "%s calls %s\n", r.Caller, r.Callee)
	for _, why := range r.Why {
		fmt.Fprintf(out, "  %s\n", why)
	}
	switch {
	case !r.Allowed:
		fmt.Fprintln(out, "The call is refused.")
	case r.Trunk != "":
		fmt.Fprintf(out, "The call goes to trunk %s:\n  INVITE %s\n  From: <%s>\n", r.Trunk, r.Target, r.From)
		if r.Early {
			fmt.Fprintln(out, "  The caller is answered first, so that announcements are heard (early_media).")
		}
	default:
		fmt.Fprintf(out, "The call rings at %s, from %s.\n", r.Target, r.From)
	}
	for _, o := range r.Others {
		fmt.Fprintln(out, o)
	}
	for _, o := range r.Unanswered {
		fmt.Fprintf(out, "If nobody has answered after %s, the call goes to %s.\n", r.Patience, o.where())
	}
}

func (o other) where() string {
	if o.Trunk != "" {
		return "trunk " + o.Trunk + ", " + o.Target
	}
	return o.Target
}

// String says when the place is called.
func (o other) String() string {
	where := o.where()
	switch {
	case !o.Person:
		return "If that fails before it rings, the call goes to " + where + "."
	case o.Round == 0:
		return "It rings at " + where + " too."
	case o.After == "":
		return "When those cannot take it, it rings at " + where + "."
	}
	return "After " + o.After + " it rings at " + where + " too."
}
