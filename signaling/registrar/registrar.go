// Package registrar knows where phones are: the bindings of each user, and what a REGISTER
// makes of them (RFC 3261 section 10.3, RFC 5626 for flows, RFC 3327 for paths, RFC 5627 for
// GRUUs).
//
// The package is pure: no I/O, no clock.
package registrar

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Flow is the way back to where a REGISTER came from: nothing is ever sent elsewhere.
type Flow struct {
	Transport string // as in a Via
	Local     netip.AddrPort
	Remote    netip.AddrPort
}

// A Binding is one contact of a user.
type Binding struct {
	User     string
	URI      string // of the Contact
	Instance string // +sip.instance, such as <urn:uuid:…>; empty if it has none
	RegID    int    // of a flow (RFC 5626 section 4.2); 0 for none
	Q        int    // thousandths
	Path     []string
	Flow     Flow
	CallID   string
	CSeq     uint32
	Expires  time.Time
	// Seed is what the temporary GRUUs of the instance are made of: they hold as long as it
	// does. Empty without an instance.
	Seed string
}

// Key tells a binding from the others of its user.
func (b Binding) Key() string {
	if b.RegID != 0 {
		return b.Instance + ";" + strconv.Itoa(b.RegID)
	}
	return sameContact(b.URI)
}

// Names reports whether a GRUU with that gr parameter means the binding (RFC 5627 section 5.3).
func (b Binding) Names(gr string) bool {
	return b.Instance != "" && strings.EqualFold(strings.Trim(b.Instance, "<>"), gr)
}

// A Contact is one of a REGISTER.
type Contact struct {
	URI      string
	Expires  int // seconds; -1 if it does not say
	Q        int // thousandths
	Instance string
	RegID    int
}

// A Request is a REGISTER of a user who has proved to be one.
type Request struct {
	User     string
	All      bool // the Contact is *
	Contacts []Contact
	Expires  int // of the header, in seconds; -1 without one
	CallID   string
	CSeq     uint32
	Path     []string
	Flow     Flow
	Outbound bool // it supports outbound (RFC 5626)
	Direct   bool // nobody is between us
	// Seed is a secret that was never given before, for temporary GRUUs.
	Seed string
}

// A Result is what becomes of a REGISTER.
type Result struct {
	Status   int
	Problem  string        // of a refusal
	Least    time.Duration // of a 423
	Bindings []Binding     // of a 200: all of the user, the preferred first
	Flowed   bool          // a flow was bound, which the answer says (RFC 5626 section 6)
	Kept     []Binding     // that were added or changed
	Gone     []Binding
}

// Options are the bounds. The zero value of a field stands for its default.
type Options struct {
	Least    time.Duration // of a binding; default 1m
	Most     time.Duration // default 1h
	Usual    time.Duration // of one that asks for nothing; default Most
	Contacts int           // of a user; default 10
}

// What is kept of a contact, in octets, and of a path.
const (
	maxURI      = 512
	maxInstance = 128
	maxPath     = 8
	maxRegID    = 1 << 20
)

// A Registrar holds the bindings. It is not safe for several goroutines.
type Registrar struct {
	o     Options
	users map[string][]Binding
}

// New returns a registrar without bindings.
func New(o Options) *Registrar {
	if o.Least == 0 {
		o.Least = time.Minute
	}
	if o.Most == 0 {
		o.Most = time.Hour
	}
	if o.Usual == 0 {
		o.Usual = o.Most
	}
	if o.Contacts == 0 {
		o.Contacts = 10
	}
	return &Registrar{o: o, users: map[string][]Binding{}}
}

// Restore takes a binding that was kept. False says that it is over, or that there is no
// place for it.
func (r *Registrar) Restore(b Binding, now time.Time) bool {
	if !now.Before(b.Expires) || len(r.users[b.User]) >= r.o.Contacts {
		return false
	}
	r.users[b.User] = append(r.users[b.User], b)
	return true
}

// Bindings returns those of a user that hold, the preferred first: by q, and the newest of
// those that are equal.
func (r *Registrar) Bindings(user string, now time.Time) []Binding {
	all := slices.DeleteFunc(slices.Clone(r.users[user]), func(b Binding) bool { return !now.Before(b.Expires) })
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b Binding) int { return cmp.Compare(b.Q, a.Q) })
	return all
}

// Lapse takes out what is over, of all users.
func (r *Registrar) Lapse(now time.Time) (gone []Binding) {
	for user, all := range r.users {
		rest := slices.DeleteFunc(all, func(b Binding) bool {
			over := !now.Before(b.Expires)
			if over {
				gone = append(gone, b)
			}
			return over
		})
		r.set(user, rest)
	}
	return gone
}

// Fail takes out a binding whose flow has turned out to be broken, if it is still the one.
func (r *Registrar) Fail(b Binding) bool {
	all := r.users[b.User]
	i := slices.IndexFunc(all, func(o Binding) bool { return o.Key() == b.Key() && o.Flow == b.Flow && o.CSeq == b.CSeq })
	if i < 0 {
		return false
	}
	r.set(b.User, slices.Delete(slices.Clone(all), i, i+1))
	return true
}

// Forget takes out all bindings of a user.
func (r *Registrar) Forget(user string) (gone []Binding) {
	gone = r.users[user]
	delete(r.users, user)
	return gone
}

func (r *Registrar) set(user string, all []Binding) {
	if len(all) == 0 {
		delete(r.users, user)
		return
	}
	r.users[user] = all
}

// Len returns how many bindings there are.
func (r *Registrar) Len() int {
	n := 0
	for _, all := range r.users {
		n += len(all)
	}
	return n
}

func refused(status int, problem string) Result { return Result{Status: status, Problem: problem} }

// Register takes a REGISTER: all of it, or nothing.
func (r *Registrar) Register(req Request, now time.Time) Result {
	held := slices.DeleteFunc(slices.Clone(r.users[req.User]), func(b Binding) bool { return !now.Before(b.Expires) })
	if req.All {
		return r.clear(req, held, now)
	}
	flows := 0
	for _, c := range req.Contacts {
		if c.RegID != 0 {
			flows++
		}
	}
	switch {
	case len(req.Contacts) > r.o.Contacts:
		return refused(403, "too many contacts")
	case flows > 0 && len(req.Contacts) > 1 && liveFlows(req) > 1:
		return refused(400, "several flows at once") // RFC 5626 section 6
	case len(req.Path) > maxPath || slices.ContainsFunc(req.Path, func(p string) bool { return len(p) > maxURI }):
		return refused(400, "path too long")
	}
	var out Result
	for _, c := range req.Contacts {
		b, status, problem := r.bind(req, c, now)
		switch {
		case status == 423:
			return Result{Status: 423, Problem: problem, Least: r.o.Least}
		case status != 0:
			return refused(status, problem)
		}
		b.Seed = seedOf(b, req, held)
		i := slices.IndexFunc(held, func(o Binding) bool { return o.Key() == b.Key() })
		if i >= 0 && held[i].CallID == req.CallID && req.CSeq <= held[i].CSeq {
			return refused(500, "out of order") // RFC 3261 section 10.3 step 7
		}
		over := !now.Before(b.Expires)
		switch {
		case i >= 0 && over:
			out.Gone = append(out.Gone, held[i])
			held = slices.Delete(held, i, i+1)
		case i >= 0:
			held = append(slices.Delete(held, i, i+1), b) // the newest is the last
			out.Kept = append(out.Kept, b)
		case !over:
			held = append(held, b)
			out.Kept = append(out.Kept, b)
		}
		if !over {
			out.Kept = append(out.Kept, reseed(held, b)...)
		}
		out.Flowed = out.Flowed || b.RegID != 0 && !over
	}
	for len(held) > r.o.Contacts {
		// A phone that starts anew again and again, under another name each time, must not shut
		// itself out: what was heard of longest ago makes room.
		out.Gone = append(out.Gone, held[0])
		held = held[1:]
	}
	r.set(req.User, held)
	out.Status, out.Bindings = 200, r.Bindings(req.User, now)
	return out
}

func liveFlows(req Request) int {
	n := 0
	for _, c := range req.Contacts {
		if c.RegID != 0 && c.Expires != 0 {
			n++
		}
	}
	return n
}

// clear takes out all bindings, for a Contact of *.
func (r *Registrar) clear(req Request, held []Binding, now time.Time) Result {
	if len(req.Contacts) > 0 || req.Expires != 0 {
		return refused(400, "* goes with Expires: 0 alone")
	}
	if slices.ContainsFunc(held, func(b Binding) bool { return b.CallID == req.CallID && req.CSeq <= b.CSeq }) {
		return refused(500, "out of order")
	}
	r.set(req.User, nil)
	return Result{Status: 200, Gone: held, Bindings: r.Bindings(req.User, now)}
}

// bind is the binding that a contact asks for. Another status than 0 refuses it.
func (r *Registrar) bind(req Request, c Contact, now time.Time) (b Binding, status int, problem string) {
	if sameContact(c.URI) == "" || strings.Contains(c.URI, "?") || len(c.URI) > maxURI || len(c.Instance) > maxInstance {
		return b, 400, "contact is not an address, or too long"
	}
	b = Binding{
		User: req.User, URI: c.URI, Instance: c.Instance, Q: min(max(c.Q, 0), 1000), Path: req.Path, Flow: req.Flow,
		CallID: req.CallID, CSeq: req.CSeq,
	}
	if c.RegID > 0 && c.RegID < maxRegID && c.Instance != "" && req.Outbound {
		if !req.Direct && (len(req.Path) == 0 || !strings.Contains(req.Path[len(req.Path)-1], ";ob")) {
			return b, 439, "who is between us does not support outbound" // RFC 5626 section 6
		}
		b.RegID = c.RegID
	}
	span := r.o.Usual
	if asked := cmp.Or(c.Expires+1, req.Expires+1) - 1; asked >= 0 {
		span = time.Duration(asked) * time.Second
	}
	if span > 0 && span < r.o.Least {
		return b, 423, "too brief"
	}
	b.Expires = now.Add(min(span, r.o.Most))
	return b, 0, ""
}

// sameContact is what URIs have in common that mean the same contact: all but parameters
// other than the transport, and headers (RFC 3261 section 19.1.4). It is empty for what is
// no SIP URI.
func sameContact(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	if scheme = strings.ToLower(scheme); !ok || scheme != "sip" && scheme != "sips" {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "?")
	user, host := "", rest
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, host = rest[:i+1], rest[i+1:]
	}
	host, params, _ := strings.Cut(host, ";")
	if host == "" {
		return ""
	}
	transport := ""
	for p := range strings.SplitSeq(params, ";") {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(k), "transport") {
			transport = ";" + strings.ToLower(strings.TrimSpace(v))
		}
	}
	return scheme + ":" + user + strings.ToLower(host) + transport
}
