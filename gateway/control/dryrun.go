package control

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
)

// A Question is about where a call would go.
type Question struct {
	Number string // or SIP address
	As     string // who calls: a JID, or with a Trunk a number or SIP address
	Trunk  string // that it comes from; empty for one from the XMPP side
	Domain string // of the component that is called, of several; empty for that of Trunk, or the first
}

// A Routing is what is known of a call before it is made.
type Routing struct {
	Caller  string   `json:"caller"`
	Callee  string   `json:"callee"`
	Allowed bool     `json:"allowed"`
	Why     []string `json:"why"`
	Trunk   string   `json:"trunk,omitempty"`
	Target  string   `json:"target,omitempty"` // Request-URI, or the JID that rings
	From    string   `json:"from,omitempty"`
	Early   bool     `json:"early_media,omitempty"`
	Others  []Other  `json:"others,omitempty"`
	// Unanswered are the places that it goes to when nobody has answered for Patience.
	Unanswered []Other `json:"unanswered,omitempty"`
	Patience   string  `json:"patience,omitempty"`
}

// Other is a further place that the call may go to.
type Other struct {
	Trunk  string `json:"trunk,omitempty"`
	Target string `json:"target"`
	Round  int    `json:"round"`               // places of one round are called together
	After  string `json:"after,omitempty"`     // the round before has rung so long; or else when it has failed
	Person bool   `json:"telephone,omitempty"` // it is one of several telephones, and not another way
}

// DryRun asks a router as the edges do. An error is that of a question about no address.
func DryRun(routes *gateway.Routes, ask Question) (Routing, error) {
	q := gateway.Query{Edge: gateway.XMPP, From: gateway.Party{JID: ask.As}}
	if ask.Trunk != "" {
		q = gateway.Query{Edge: gateway.SIP, Trunk: ask.Trunk}
		from, err := sipAddress(routes, ask.As)
		if err != nil {
			return Routing{}, err
		}
		q.Claim.From.URI = from.String()
		to, err := sipAddress(routes, ask.Number)
		if err != nil {
			return Routing{}, err
		}
		q.To = to.String()
	} else {
		from, err := translate.ParseJID(ask.As)
		if err != nil {
			return Routing{}, err
		}
		to, err := routes.Mapping.Typed(ask.Number, from.Domain)
		if err != nil {
			return Routing{}, err
		}
		q.To = to.String()
	}
	q.Calls = true
	r := Routing{Caller: q.From.JID + q.Claim.From.URI, Callee: q.To}
	t, err := routes.DryRun(q)
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
	if ask.Trunk != "" {
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

func otherOf(t gateway.Target) Other {
	o := Other{Trunk: t.Trunk, Target: t.To.URI, Round: t.Round, Person: t.Person != ""}
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

// Print writes it as a person reads it.
func (r Routing) Print(out io.Writer) {
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

func (o Other) where() string {
	if o.Trunk != "" {
		return "trunk " + o.Trunk + ", " + o.Target
	}
	return o.Target
}

// String says when the place is called.
func (o Other) String() string {
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
