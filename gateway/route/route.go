// Package route says which trunk a call leads to, and whether its caller may make it: data
// in, choice out. What no rule allows is refused.
//
// The package is pure: no I/O, no clock.
package route

import (
	"fmt"
	"slices"
	"strings"

	"sipxmppgw/gateway/translate"
)

// A Rule lets someone on the XMPP side call somewhere on the SIP side, or keeps them from
// it.
type Rule struct {
	From  string // a bare JID, a domain, or "*" for everyone
	To    string // the beginning of a number, such as "+49"; a SIP domain, for its users but no +number; or "*"
	Trunk string // where the call goes; empty if Deny
	Deny  bool
}

// A Table is the rules in their order; the first that fits decides.
type Table struct {
	rules []rule
	plan  Plan
}

// A Plan says how numbers are meant and where they belong.
type Plan struct {
	// Dial completes numbers without a plus, so that a prefix for foreign calls does not
	// slip past a rule.
	Dial translate.DialPlan
	// Domains are the SIP domains whose numbers a rule may allow. A number at any other
	// domain is for that domain to dial; a rule that denies it denies it there too.
	Domains []string
}

// rule is a Rule in the form that addresses are compared by.
type rule struct {
	Rule
	number string // what a number begins with, if the rule is about numbers
	domain string // what the SIP domain is, if the rule is about one
	user   string // the bare JID, if the rule is about one user
	host   string // the domain, if it is about the users of one
}

// New returns a table. An error names the rule and what is wrong with it.
func New(rules []Rule, plan Plan) (Table, error) {
	t := Table{plan: plan}
	for i, r := range rules {
		k := rule{Rule: r}
		if r.From != "*" {
			j, err := translate.ParseJID(r.From)
			if err != nil || j.Resource != "" {
				return Table{}, fmt.Errorf("rule %d: from %q is neither a user nor a domain", i+1, r.From)
			}
			if j.Local == "" {
				k.host = j.Domain
			} else {
				k.user = j.String()
			}
		}
		switch {
		case r.To == "*" || r.To == "":
			k.To = "*"
		case strings.Trim(strings.TrimPrefix(r.To, "+"), "0123456789*#") == "":
			k.number = r.To
		default:
			u, err := translate.ParseURI("sip:" + r.To)
			if err != nil || u.User != "" {
				return Table{}, fmt.Errorf("rule %d: to %q is neither the beginning of a number nor a domain", i+1, r.To)
			}
			k.domain = u.Host
		}
		t.rules = append(t.rules, k)
	}
	return t, nil
}

// A Choice is what the table says of a call.
type Choice struct {
	Allowed bool
	Trunk   string
	Rule    string   // the rule that decided, or that none did
	Why     []string // rule by rule, up to the one that decided
}

// Lookup says where a call of an XMPP user to a SIP address goes. It compares numbers as
// they are dialled in full, so that no spelling slips past a rule.
func (t Table) Lookup(from translate.JID, to translate.URI) Choice {
	var c Choice
	number := to.Number()
	if dialled(to, number) {
		c.Rule = "no rule"
		c.Why = []string{"it begins as a number and goes on as none, so it is never sent"}
		return c
	}
	own := to.Scheme == "tel" || slices.Contains(t.plan.Domains, to.Host)
	if full, ok := t.plan.Dial.E164(number); ok {
		number = full
	}
	for i, r := range t.rules {
		name := fmt.Sprintf("rule %d (%s to %s)", i+1, r.From, r.To)
		why := r.misses(from, to, number)
		if why == "" && r.number != "" && !r.Deny && !own {
			why = "it is about numbers of our own domains"
		}
		if why != "" {
			c.Why = append(c.Why, name+": "+why)
			continue
		}
		c.Allowed, c.Trunk, c.Rule = !r.Deny, r.Trunk, name
		if r.Deny {
			c.Why = append(c.Why, name+": denies it")
		} else {
			c.Why = append(c.Why, name+": goes to trunk "+r.Trunk)
		}
		return c
	}
	c.Rule = "no rule"
	c.Why = append(c.Why, "no rule allows it")
	return c
}

// dialled reports whether a PBX might dial what is no number, or no more than one, as one:
// it begins with a plus, or as a number that something other than a name goes on from, such
// as "0049,1" or "500&600", or has parameters though it is not said to be a number.
func dialled(to translate.URI, number string) bool {
	if number != "" {
		return !to.Phone && to.Scheme != "tel" && strings.Contains(to.User, ";")
	}
	user := strings.TrimLeft(to.User, "-.()")
	rest := strings.TrimLeft(user, "+0123456789*#")
	switch {
	case strings.HasPrefix(user, "+"):
		return true
	case rest == user || rest == "":
		return false
	}
	c := rest[0]
	return (c|0x20 < 'a' || c|0x20 > 'z') && c != '_' && c != '-' && c != '.' && c < 0x80
}

// misses says why a rule is not about a call; empty if it is.
func (r *rule) misses(from translate.JID, to translate.URI, number string) string {
	if why := r.missesUser(from); why != "" {
		return why
	}
	switch {
	case r.number != "" && number == "":
		return "it is about numbers"
	case r.number != "" && !strings.HasPrefix(number, r.number):
		return "the number does not begin so"
	case r.domain != "" && r.domain != to.Host:
		return "it is about another domain"
	case r.domain != "" && strings.HasPrefix(number, "+"):
		return "it is about a domain's users, and this is a telephone number"
	}
	return ""
}

func (r *rule) missesUser(user translate.JID) string {
	switch {
	case r.user != "" && r.user != user.Bare().String():
		return "it is about another user"
	case r.host != "" && r.host != user.Domain:
		return "it is about users of another domain"
	}
	return ""
}

// Serves reports whether some rule is about this user's own calls and lets them through:
// whoever may call from here may be called here.
func (t Table) Serves(user translate.JID) bool {
	for i := range t.rules {
		if r := &t.rules[i]; r.missesUser(user) == "" {
			if !r.Deny {
				return true
			}
			if r.To == "*" {
				return false
			}
		}
	}
	return false
}
