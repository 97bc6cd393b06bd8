// Package route says which trunk a call leads to, and whether its caller may make it: data
// in, choice out. What no rule allows is refused.
//
// The package is pure: no I/O, no clock.
package route

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sipxmppgw/gateway/translate"
)

// A Rule lets someone on the XMPP side call somewhere on the SIP side, or keeps them from
// it.
type Rule struct {
	From string // a bare JID, a domain, or "*" for everyone
	// To is the beginning of a number, such as "+49" or, for all in full, "+"; a SIP domain, for its users but no
	// +number; a regular expression between slashes, which must fit the whole of a number,
	// in full if it can be completed; or "*".
	To     string
	Hours  Hours   // when it holds
	Trunks []Trunk // where the call goes; empty if Deny
	Deny   bool
	// Dial is what is dialled instead of the number: $0 stands for it as it was compared,
	// $1 to $9 for the groups of a regular expression. Empty leaves it as it is.
	Dial string
	// Premium says that the rule is about numbers that cost more too (translate.Premium).
	Premium bool
	Hide    bool // the caller is not shown to whom they call
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
	// Premium says whether a number costs more. Default: [translate.Premium].
	Premium func(number string) bool
}

// rule is a Rule in the form that addresses are compared by.
type rule struct {
	Rule
	number string // what a number begins with, if the rule is about numbers
	domain string // what the SIP domain is, if the rule is about one
	match  *regexp.Regexp
	user   string // the bare JID, if the rule is about one user
	host   string // the domain, if it is about the users of one
}

// numbers reports whether the rule is about numbers.
func (r *rule) numbers() bool { return r.number != "" || r.match != nil }

// New returns a table. An error names the rule and what is wrong with it.
func New(rules []Rule, plan Plan) (Table, error) {
	if plan.Premium == nil {
		plan.Premium = translate.Premium
	}
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
		case len(r.To) > 2 && r.To[0] == '/' && r.To[len(r.To)-1] == '/':
			m, err := regexp.Compile("^(?:" + r.To[1:len(r.To)-1] + ")$")
			if err != nil {
				return Table{}, fmt.Errorf("rule %d: to %q: %w", i+1, r.To, err)
			}
			k.match = m
		default:
			u, err := translate.ParseURI("sip:" + r.To)
			if err != nil || u.User != "" {
				return Table{}, fmt.Errorf("rule %d: to %q is neither the beginning of a number nor a domain", i+1, r.To)
			}
			k.domain = u.Host
		}
		if r.Dial != "" && (!k.numbers() || strings.Trim(r.Dial, "+0123456789*#$") != "") {
			return Table{}, fmt.Errorf("rule %d: dial %q is not digits and $0 to $9, or the rule is not about numbers", i+1, r.Dial)
		}
		t.rules = append(t.rules, k)
	}
	return t, nil
}

// A Choice is what the table says of a call.
type Choice struct {
	Allowed bool
	Trunks  []Trunk
	Number  string   // in full if it could be completed; empty if no number was called
	Dial    string   // what is dialled instead of it; empty if the rule has no such word
	Hide    bool     // the caller is not to be shown
	Denied  bool     // a rule denies it, or it is never sent; else none allows it
	Rule    string   // the rule that decided, or that none did
	Why     []string // rule by rule, up to the one that decided
}

// Lookup says where a call of an XMPP user to a SIP address goes at a time. It compares
// numbers as they are dialled in full, so that no spelling slips past a rule.
func (t Table) Lookup(from translate.JID, to translate.URI, at time.Time) Choice {
	var c Choice
	number := to.Number()
	if dialled(to, number) {
		c.Rule, c.Denied = "no rule", true
		c.Why = []string{"it begins as a number and goes on as none, so it is never sent"}
		return c
	}
	own := to.Scheme == "tel" || slices.Contains(t.plan.Domains, to.Host)
	plan := t.plan.Dial.For(from.Domain)
	if full, ok := plan.E164(number); ok {
		number = full
	}
	c.Number = number
	premium, foreign := t.plan.Premium != nil && t.plan.Premium(number), plan.Foreign(number)
	for i, r := range t.rules {
		name := fmt.Sprintf("rule %d (%s to %s)", i+1, r.From, r.To)
		why := r.misses(from, to, number)
		switch {
		case why != "":
		case r.numbers() && !r.Deny && !own:
			why = "it is about numbers of our own domains"
		case r.Deny:
		case premium && !r.Premium:
			why = "the number costs more, and the rule is not about premium numbers"
		case foreign && !r.numbers():
			why = "the number is of another country, and the rule names none"
		}
		if why == "" && !r.Hours.Include(at) {
			why = "it does not hold at this time"
		}
		if why != "" {
			c.Why = append(c.Why, name+": "+why)
			continue
		}
		c.Allowed, c.Trunks, c.Rule, c.Dial, c.Hide = !r.Deny, r.Trunks, name, r.dial(number), r.Hide
		if r.Deny {
			c.Denied = true
			c.Why = append(c.Why, name+": denies it")
		} else {
			c.Why = append(c.Why, name+": goes to trunk "+Names(r.Trunks))
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
	case r.numbers() && number == "":
		return "it is about numbers"
	case r.match != nil && !r.match.MatchString(number):
		return "the number does not fit"
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

// dial returns what is dialled for a number that the rule is about.
func (r *rule) dial(number string) string {
	if r.Dial == "" {
		return ""
	}
	groups := []string{number}
	if r.match != nil {
		groups = r.match.FindStringSubmatch(number)
	}
	var out strings.Builder
	for i := 0; i < len(r.Dial); i++ {
		if r.Dial[i] == '$' && i+1 < len(r.Dial) && '0' <= r.Dial[i+1] && r.Dial[i+1] <= '9' {
			i++
			if n := int(r.Dial[i] - '0'); n < len(groups) {
				out.WriteString(groups[n])
			}
			continue
		}
		out.WriteByte(r.Dial[i])
	}
	return out.String()
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
