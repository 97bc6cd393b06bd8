package signaling

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/registration"
	"sipxmppgw/signaling/stack"
)

// What is kept of what a registrar says.
const (
	maxServiceRoutes = 8
	maxAssociated    = 16
	maxContacts      = 64 // that are looked through for ours
)

// Outbound is what we ask of a registrar (RFC 3327, RFC 5626, RFC 5627).
const outbound = "path, outbound, gruu"

// A Binding is an address of ours at a registrar (RFC 3261 section 10).
type Binding struct {
	// AOR is the address that is called, such as sip:mira@voip.example.
	AOR string
	// Expires is how long a binding we ask for; the registrar decides. Default 1h.
	Expires time.Duration
}

// A Standing is how a registration fares.
type Standing struct {
	State  registration.State
	Status int                 // of the response that changed it; 0 for none
	Reason registration.Reason // why it is Failing
	// Associated are further addresses that the registrar says are ours (RFC 7315
	// section 4.1).
	Associated []string
}

var (
	errNoTrunk = errors.New("no such trunk")
	errTaken   = errors.New("there is a trunk of that name")
	errClosing = errors.New("closing")
)

// A binding is one registration that is carried out. The machine decides; the lock is held
// while it does and while what it wants is begun, none of which waits.
type binding struct {
	e       *Edge
	trunk   *Trunk
	of      Binding
	account bool // of a trunk that was added for it
	token   string
	told    func(Standing)

	mu         sync.Mutex
	machine    *registration.Registration
	timers     [2]*time.Timer
	callID     string
	tag        string
	cseq       uint32
	sent       int // requests; only what comes of the last counts
	proof      proof
	early      bool     // the request under way answers what was asked before
	good       bool     // that is worth a try
	vain       int      // times in a row that it was for nothing
	plain      bool     // the registrar does not want our extensions
	routes     []string // Service-Route (RFC 3608)
	associated []string
	standing   Standing
	behind     netip.AddrPort // the registrar, if an address is translated on the way to it
	keeping    *time.Timer    // the way open
	over       stack.Peer     // the connection that calls come over; the zero value if they need none
	since      time.Time      // it was last registered over that
	used       bool           // it was up once
	then       func()         // called when it has been given back; nil for nothing
	closed     bool
}

// nudged is how often a way is kept open: most devices that translate addresses forget one
// over UDP after half a minute (RFC 5626 section 4.4.2).
const nudged = 25 * time.Second

// Register holds a binding for a trunk of the options from now on: it never gives up. told,
// if it is not nil, hears of each change; it must neither wait nor call the edge.
func (e *Edge) Register(trunk string, of Binding, told func(Standing)) error {
	t := e.trunks().named(trunk)
	if t == nil {
		return errNoTrunk
	}
	return e.bind(t, of, false, told)
}

// Join adds a trunk for one account, at a server that it is registered with: calls come in
// from there alone, and only for the account.
func (e *Edge) Join(t Trunk, of Binding, told func(Standing)) error {
	if e.trunks().named(t.Name) != nil {
		return errTaken
	}
	t.Sources, t.purse, t.health = nil, &purse{}, &health{}
	if a, ok := literal(t.Next.Host); ok {
		t.Sources = single(a)
	} else {
		t.places = e.servers.take(t.Next)
	}
	err := e.bind(&t, of, true, told)
	if err != nil && t.places != nil {
		e.servers.leave(t.Next)
	}
	return err
}

func (e *Edge) bind(t *Trunk, of Binding, account bool, told func(Standing)) error {
	if of.Expires == 0 {
		of.Expires = time.Hour
	}
	if told == nil {
		told = func(Standing) {}
	}
	b := &binding{
		e: e, trunk: t, of: of, account: account, told: told,
		token: idOf(e.of(t).Host, t.Name, of.AOR), callID: e.callID(t, e.o.NewID()), tag: e.o.NewID(),
		machine: registration.New(of.Expires),
	}
	if err := e.bindings.add(b); err != nil {
		return err
	}
	if e.isClosing() {
		e.bindings.remove(b)
		if account && t.places == nil {
			e.bindings.forget(t.Sources[0].Addr())
		}
		return errClosing
	}
	b.step(registration.Start{})
	return nil
}

// Leave gives the binding of a trunk back, and takes the trunk away if it was added for it.
// Calls that are up go on.
func (e *Edge) Leave(trunk string) {
	if b := e.bindings.named(trunk); b != nil {
		b.step(registration.Stop{})
	}
}

// Retire gives all bindings back, so that no new call comes in, and has who asks by OPTIONS know
// that none is wanted: what spreads calls over several gateways then goes elsewhere.
func (e *Edge) Retire() {
	e.retired.Store(true)
	for _, b := range e.bindings.all() {
		b.step(registration.Stop{})
	}
}

// Standings returns how the registrations fare, by trunk.
func (e *Edge) Standings() map[string]Standing {
	all := map[string]Standing{}
	for _, b := range e.bindings.all() {
		b.mu.Lock()
		all[b.trunk.Name] = b.standing
		b.mu.Unlock()
	}
	return all
}

// idOf is an id of an account that is the same after a restart (RFC 5626 section 4.1), so
// that a registrar replaces the binding it has. Whoever can guess it gains nothing: calls
// are taken from the registrar's address alone.
func idOf(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// step gives the machine an input and carries out what it wants.
func (b *binding) step(in registration.Input) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	for _, o := range b.machine.Step(in) {
		switch o := o.(type) {
		case registration.Send:
			b.send(o)
		case registration.Wait:
			after := o.After
			if o.Spread > 0 {
				after -= time.Duration(b.e.o.Rand(int(o.Spread/time.Millisecond)+1)) * time.Millisecond
			}
			b.stop(o.Timer)
			b.timers[o.Timer] = time.AfterFunc(after, func() { b.step(registration.Fired{Timer: o.Timer}) })
		case registration.Cancel:
			b.stop(o.Timer)
		case registration.Report:
			b.report(o)
		case registration.Closed:
			b.closed = true
			b.stop(registration.Next)
			b.stop(registration.Lapse)
			b.e.bindings.remove(b)
			if b.used { // by calls, which go on
				time.AfterFunc(remembered, b.forget)
			} else {
				b.forget()
			}
			if b.then != nil {
				go b.then() // it registers, and ends
			}
		}
	}
}

// forget is the last of an account: its server may not send us anything any more.
func (b *binding) forget() {
	switch {
	case !b.account:
	case b.trunk.places != nil:
		b.e.servers.leave(b.trunk.Next)
	default:
		b.e.bindings.forget(b.trunk.Sources[0].Addr())
	}
}

func (b *binding) stop(t registration.Timer) {
	if b.timers[t] != nil {
		b.timers[t].Stop()
	}
}

func (b *binding) report(r registration.Report) {
	b.used = b.used || r.State == registration.Up
	b.standing = Standing{State: r.State, Status: r.Status, Reason: r.Reason, Associated: b.associated}
	if r.State != registration.Up {
		b.routes = nil
		b.behind, b.over = netip.AddrPort{}, stack.Peer{}
	}
	log := b.e.o.Log.Info
	if r.State == registration.Failing {
		log = b.e.o.Log.Warn
	}
	log("registration", "trunk", b.trunk.Name, "state", r.State.String(), "status", r.Status, "reason", r.Reason.String())
	b.told(b.standing)
}

// send sends a REGISTER.
func (b *binding) send(s registration.Send) {
	e, t := b.e, b.trunk
	registrar := sip.Uri{Scheme: "sip"}
	if aor, ok := requestURI(b.of.AOR); ok {
		registrar.Host, registrar.Port = aor.Host, aor.Port
	}
	b.sent++
	gen := b.sent
	local, ok := e.reached(t)
	if !ok {
		go b.arrive(gen, stack.Event{Err: stack.ErrTransport}) // ends at once; the lock is held here
		return
	}
	req := sip.NewRequest(sip.REGISTER, registrar)
	b.cseq++
	contact := e.contact(b.token, t.transport(), local)
	if !b.plain {
		contact += `;+sip.instance="<urn:uuid:` + uuid(idOf("instance", e.of(t).Host, b.of.AOR)) + `>";reg-id=1`
	}
	expires := digits(int(s.Expires / time.Second))
	if t.Proxy != "" {
		req.AppendHeader(header("Route", "<"+t.Proxy+">"))
	}
	begin(req, maxForwards, "<"+b.of.AOR+">;tag="+b.tag, "<"+b.of.AOR+">", b.callID, b.cseq)
	req.AppendHeader(header("Contact", contact+";expires="+expires))
	req.AppendHeader(header("Expires", expires))
	if !b.plain {
		req.AppendHeader(header("Supported", outbound))
	}
	req.AppendHeader(header("Allow", allowed))
	if b.early = !s.Proof && b.good && b.vain < maxVain; s.Proof || b.early {
		b.proof.prove(t, t.Next, req)
	}
	req.AppendHeader(header("User-Agent", e.o.UserAgent))
	req.SetBody(nil)
	e.ask(req, t.Next, func(ev stack.Event) { b.arrive(gen, ev) })
}

// reached is what we write into a Contact for a registrar: an address where we listen. Over a
// connection that we open calls come back over that (RFC 5626), also where we listen for no such
// connections, for want of a certificate.
func (e *Edge) reached(t *Trunk) (netip.AddrPort, bool) {
	over, at := t.transport(), t.at()
	local, ok := e.stack.Local(over, at)
	if !ok && over != stack.UDP {
		if local, ok = e.stack.Local(stack.TCP, at); !ok {
			local, ok = e.stack.Local(stack.UDP, at)
		}
	}
	return local, ok
}

// uuid writes 32 hexadecimal digits as a UUID of a hash (RFC 9562 version 8).
func uuid(hex string) string {
	h := []byte(hex)
	h[12], h[16] = '8', "89ab"[h[16]&3]
	s := string(h)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// arrive takes what came of a request.
func (b *binding) arrive(gen int, ev stack.Event) {
	b.mu.Lock()
	if gen != b.sent {
		b.mu.Unlock()
		return // another was sent in its place
	}
	b.sent++ // once
	in := registration.Input(registration.Lost{})
	if ev.Err == nil {
		b.good = false // unless it is said again
		in = b.read(ev.Response)
		if ev.Response.IsSuccess() {
			b.keepOpen(ev)
		}
	}
	b.mu.Unlock()
	b.step(in)
}

// keepOpen keeps the way back from the registrar open: a connection as often as it says (RFC 5626
// section 5.4), and one of datagrams if it sees us elsewhere than we are.
func (b *binding) keepOpen(ev stack.Event) {
	b.behind, b.over = netip.AddrPort{}, stack.Peer{}
	if a, ok := literal(ev.Target.Host); ok && ev.Target.Transport != stack.UDP {
		b.over, b.since = stack.Peer{Addr: netip.AddrPortFrom(a, ev.Target.Port), Transport: ev.Target.Transport}, time.Now()
		if every := span(value(ev.Response, "Flow-Timer")); every >= leastFlow {
			b.e.stack.Hasten(ev.Target, every*9/10) // 80 to 100 percent of it
		}
	}
	if a, ok := literal(ev.Target.Host); ok && ev.Target.Transport == stack.UDP && translated(ev.Response) {
		b.behind = netip.AddrPortFrom(a, ev.Target.Port)
		if b.keeping == nil {
			b.keeping = time.AfterFunc(nudged, b.nudge)
		} else {
			b.keeping.Reset(nudged)
		}
	}
}

// leastFlow is the least Flow-Timer that is followed.
const leastFlow = 10 * time.Second

// gone takes that a connection of ours is closed: what was registered over it is not reached any
// more.
func (e *Edge) gone(p stack.Peer) {
	for _, b := range e.bindings.all() {
		b.mu.Lock()
		lost, lasted := b.over.Transport == p.Transport && b.over.Addr == p.Addr && p.Addr.IsValid(), time.Since(b.since)
		if lost {
			b.over = stack.Peer{}
		}
		b.mu.Unlock()
		if lost {
			b.e.o.Log.Info("connection to a registrar is lost", "trunk", b.trunk.Name)
			b.step(registration.Broken{Lasted: lasted})
		}
	}
}

func (b *binding) nudge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.behind.IsValid() {
		b.e.stack.Nudge(b.behind)
		b.keeping.Reset(nudged)
	}
}

// translated reports whether a request came from another address than its Via says (RFC 3581).
func translated(res *sip.Response) bool {
	via := res.Via()
	if via == nil {
		return false
	}
	received, _ := via.Params.Get("received")
	port, _ := via.Params.Get("rport")
	return received != "" && received != strings.Trim(via.Host, "[]") || port != "" && port != strconv.Itoa(via.Port)
}

// read says what a response means.
func (b *binding) read(res *sip.Response) registration.Answered {
	a := registration.Answered{
		Status: res.StatusCode,
		Least:  span(value(res, "Min-Expires")),
		Later:  span(value(res, "Retry-After")),
	}
	switch {
	case a.Status/100 == 2:
		if b.early {
			b.vain = 0
		}
		b.good = b.proof[0].Nonce != "" || b.proof[1].Nonce != ""
		b.proof.hear(nil, res)
		a.Granted = b.granted(res)
		b.routes = bounded(values(res, "Service-Route"), maxServiceRoutes)
		b.associated = nil
		for _, v := range bounded(values(res, "P-Associated-URI"), maxAssociated) {
			b.associated = append(b.associated, address(v).URI)
		}
		b.standing.Associated = b.associated
	case a.Status == 401 || a.Status == 407:
		if way, c := topmost(b.trunk, b.trunk.Next, res); c != nil {
			b.proof.keep(way, c) // whether it is answered is the machine's to say
			a.Nonce, a.Stale = c.Nonce, c.Stale
			if b.early && !c.Stale {
				b.vain++
			}
		}
	case (a.Status == 439 || a.Status == 420) && !b.plain:
		b.plain = true
		a.Status = 430 // once more, without what it does not bear (RFC 5626 section 6)
	}
	return a
}

func bounded(list []string, limit int) []string { return list[:min(len(list), limit)] }

// granted is for how long our Contact is bound; 0 if it is not among those of the response.
func (b *binding) granted(res *sip.Response) time.Duration {
	for _, v := range bounded(values(res, "Contact"), maxContacts) {
		u, ok := requestURI(address(v).URI)
		if !ok || u.User != "x-"+b.token {
			continue
		}
		text := value(res, "Expires")
		if own, ok := parameter(v, "expires"); ok {
			text = own
		}
		n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(text), `"`), 10, 31)
		if err != nil {
			n = 3600 // as RFC 3261 section 10.2.1.1 has it where nothing is said
		}
		return time.Duration(n) * time.Second
	}
	return 0
}

// callees are whom a call to our Contact may mean, the most certain first: the registrar
// says it (RFC 7315 section 4.2), or the caller, or else it is who is registered.
func (b *binding) callees(req *sip.Request, host string) []string {
	var uris []string
	add := func(uri string) {
		u, ok := requestURI(uri)
		if ok && u.User != "" {
			uri = "sip:" + u.User + "@" + host
			if !slices.Contains(uris, uri) {
				uris = append(uris, uri)
			}
		}
	}
	add(address(value(req, "P-Called-Party-ID")).URI)
	add(address(value(req, "To")).URI)
	add(b.of.AOR)
	return uris
}

// names reports whether the Request-URI is our Contact.
func (b *binding) names(req *sip.Request) bool { return req.Recipient.User == "x-"+b.token }

// means reports whether a request that does not name our Contact is for this account.
func (b *binding) means(req *sip.Request) bool {
	aor, ok := requestURI(b.of.AOR)
	if !ok {
		return false
	}
	for _, uri := range []string{req.Recipient.String(), address(value(req, "P-Called-Party-ID")).URI, address(value(req, "To")).URI} {
		if u, ok := requestURI(uri); ok && u.User == aor.User {
			return true
		}
	}
	return false
}

// route is the way of requests outside of dialogs: through the trunk's proxy (RFC 3261 section
// 8.1.2), and on along its Service-Route (RFC 3608 section 5), which may begin there; nil if
// it has neither.
func (e *Edge) route(t *Trunk) []string {
	var routes []string
	if b := e.bindings.named(t.Name); b != nil {
		b.mu.Lock()
		routes = slices.Clone(b.routes)
		b.mu.Unlock()
	}
	if t.Proxy == "" || len(routes) > 0 && sameHop(address(routes[0]).URI, t.Proxy) {
		return routes
	}
	return append([]string{"<" + t.Proxy + ">"}, routes...)
}

// sameHop reports whether two URIs of proxies are the same place.
func sameHop(a, b string) bool {
	ua, oka := requestURI(a)
	ub, okb := requestURI(b)
	return oka && okb && strings.EqualFold(ua.Host, ub.Host) && cmp.Or(ua.Port, 5060) == cmp.Or(ub.Port, 5060)
}
