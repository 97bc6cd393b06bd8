package signaling

import (
	"cmp"
	"crypto/rand"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/challenge"
	"sipxmppgw/signaling/guard"
	"sipxmppgw/signaling/stack"
)

// scanners are words in the User-Agent of programs that look for open PBXs, in lower case.
// They are not answered, so that they find nobody.
var scanners = []string{
	"friendly-scanner", "friendly-request", "sipvicious", "sip-scan", "sipsak", "sundayddr", "iwar", "sipcli", "vaxsipuseragent",
	"vaxasip", "siparmyknife", "pplsip", "eyebeam release 1105a", "smap", "voip scanner", "sipptk", "nmap", "masscan", "zgrab", "censys",
}

// asked are the methods of which strangers are asked who they are.
var askable = map[sip.RequestMethod]bool{
	sip.INVITE: true, sip.REGISTER: true, sip.MESSAGE: true, sip.SUBSCRIBE: true, sip.PUBLISH: true,
}

// A warden asks who nobody knows by an address or a certificate, and remembers who could not
// say. It is not wanted where everybody is known so.
type warden struct {
	roll  atomic.Pointer[roll]
	hired atomic.Bool // somebody has to prove who they are, or had to: calls that are up stay so
	known func(req *sip.Request) bool
	own   string // realm of the options
	md5   bool
	log   *slog.Logger
	count *counters

	mu     sync.Mutex // of realms, too
	guard  *guard.Guard
	second int64 // of the lines logged
	lines  int   // and how many these are
}

// A roll is who there is to be proved, and where. It is replaced whole.
type roll struct {
	users  map[proving]member // by the name that they prove
	hosts  []realmOf          // of tenants beside that of the options
	realms map[string]*challenge.Realm
}

// A proving is a name, and the realm that it is good in.
type proving struct{ realm, user string }

// A realmOf is the realm of those who are at a tenant.
type realmOf struct {
	tenant *Tenant
	name   string
}

// A member is who can prove to be one.
type member struct {
	trunk  *Trunk
	secret challenge.Secret
}

// maxLines is how many failures are logged in a second, and moreLines how many further bans.
const (
	maxLines  = 10
	moreLines = 10
)

func newWarden(o Options, count *counters) *warden {
	w := &warden{
		log: o.Log, count: count, own: cmp.Or(o.Realm, o.Host), md5: o.MD5,
		guard: guard.New(guard.Options{Failures: o.MaxFailures}),
	}
	w.roll.Store(w.blank())
	return w
}

// wanted says whether there is anyone who has to prove who they are.
func (w *warden) wanted() bool { return w.hired.Load() }

// blank is a roll of nobody, with the realms that there are.
func (w *warden) blank() *roll {
	r := &roll{users: map[proving]member{}, realms: map[string]*challenge.Realm{}}
	if now := w.roll.Load(); now != nil {
		maps.Copy(r.realms, now.realms)
	}
	w.open(r, w.own)
	return r
}

// open makes a realm, if there is none of that name.
func (w *warden) open(r *roll, name string) {
	if r.realms[name] != nil {
		return
	}
	ro := challenge.Options{Name: name, MD5: w.md5}
	rand.Read(ro.Key[:]) // it never fails
	r.realms[name] = challenge.New(ro)
}

// add puts on a roll who can prove to be at a tenant.
func (w *warden) add(r *roll, t *Tenant, user string, m member) {
	realm := t.realm()
	w.open(r, realm)
	r.users[proving{realm, user}] = m
	if realm != w.own && !slices.Contains(r.hosts, realmOf{t, realm}) {
		r.hosts = append(r.hosts, realmOf{t, realm})
	}
}

// realmOf is the one that a request is asked for: that of the tenant that it says it is from, or
// of the options.
func (w *warden) realmOf(req *sip.Request) string {
	if a, ok := w.answer(req); ok {
		return a.Realm
	}
	from, _ := requestURI(address(value(req, "From")).URI)
	for _, h := range w.roll.Load().hosts {
		if h.tenant.means(from.Host) {
			return h.name
		}
	}
	return w.own
}

// admits says whether an address may send anything.
func (w *warden) admits(a netip.Addr) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.guard.Banned(a, time.Now()) {
		return true
	}
	w.count.barred.Add(1)
	return false
}

// screen judges a request of someone who is not known by an address. What it lets in has
// answered a challenge; whether for the first time is seen when there is a transaction.
func (w *warden) screen(req *sip.Request, p stack.Peer) stack.Judgement {
	inside := tag(req.To().Params) != ""
	switch {
	case scanner(value(req, "User-Agent")):
		w.count.scanned.Add(1)
		return stack.Judgement{}
	case inside && !w.known(req), !inside && !askable[req.Method], req.Method == sip.CANCEL:
		return stack.Judgement{}
	}
	if _, v := w.judge(req, p); v != challenge.Proved {
		return w.refusal(req, p, v)
	}
	return stack.Judgement{Take: true}
}

func scanner(agent string) bool {
	agent = strings.ToLower(agent)
	for _, s := range scanners {
		if strings.Contains(agent, s) {
			return true
		}
	}
	return false
}

// answers reports whether a request answers a challenge of ours, well or not.
func (w *warden) answers(req *sip.Request) bool {
	_, ok := w.answer(req)
	return ok
}

func (w *warden) answer(req *sip.Request) (challenge.Answer, bool) {
	for i, v := range values(req, "Authorization") {
		if a, err := challenge.ParseAnswer(v); i < 4 && err == nil && w.roll.Load().realms[a.Realm] != nil {
			return a, true
		}
	}
	return challenge.Answer{}, false
}

// judge says who a request is from, and what its proof is worth.
func (w *warden) judge(req *sip.Request, p stack.Peer) (member, challenge.Verdict) {
	a, ok := w.answer(req)
	if !ok {
		return member{}, challenge.Unasked
	}
	m := w.roll.Load().users[proving{a.Realm, a.User}]
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.roll.Load().realms[a.Realm].Judge(a, challenge.Request{
		Method: string(req.Method), URI: req.Recipient.String(), Source: p.Addr.Addr().Unmap(),
	}, m.secret, time.Now())
	if v == challenge.Proved && (m.trunk == nil || !m.trunk.fits(p)) {
		v = challenge.Wrong
	}
	return m, v
}

// admit is judge for a request that has a transaction: a proof is good once.
func (w *warden) admit(req *sip.Request, p stack.Peer) (member, challenge.Verdict) {
	m, v := w.judge(req, p)
	if v != challenge.Proved {
		return m, v
	}
	a, _ := w.answer(req)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.roll.Load().realms[a.Realm].Spend(a, p.Addr.Addr().Unmap(), time.Now()) {
		return m, challenge.Stale
	}
	w.guard.Proved(p.Addr.Addr())
	return m, challenge.Proved
}

// refusal is what a request gets that is not Proved, and takes note of who guesses.
func (w *warden) refusal(req *sip.Request, p stack.Peer, v challenge.Verdict) stack.Judgement {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	switch v {
	case challenge.Malformed:
		return stack.Judgement{Status: 400}
	case challenge.Wrong:
		w.count.unproved.Add(1)
		ban := w.guard.Failed(p.Addr.Addr(), now)
		w.reject(now, maxLines, "src", p.Addr.Addr().Unmap().String(), "reason", "credentials", "method", string(req.Method), "transport", string(p.Transport))
		if ban > 0 {
			w.count.bans.Add(1)
			w.reject(now, maxLines+moreLines, "src", p.Addr.Addr().Unmap().String(), "reason", "banned", "for", ban.String())
		}
	case challenge.Unasked, challenge.Stale, challenge.Proved:
		w.count.challenged.Add(1)
	}
	var hs []sip.Header
	realm := w.realmOf(req) // a later roll has it too
	for _, c := range w.roll.Load().realms[realm].Ask(p.Addr.Addr().Unmap(), w.knows(req), v == challenge.Stale, now) {
		hs = append(hs, header("WWW-Authenticate", c))
	}
	return stack.Judgement{Status: 401, Headers: hs}
}

// knows are the algorithms that who a request says it is from can answer.
func (w *warden) knows(req *sip.Request) []challenge.Algorithm {
	// COMPAT(baresip 1.0.0): gives up at an algorithm that it does not know, also beside one that it does; drop when Debian 12 is gone.
	if agent := value(req, "User-Agent"); strings.HasPrefix(agent, "baresip v1.0.") || strings.HasPrefix(agent, "baresip v0.") {
		return []challenge.Algorithm{challenge.MD5}
	}
	name := ""
	if from, ok := requestURI(address(value(req, "From")).URI); ok {
		name = from.User
	}
	if a, ok := w.answer(req); ok {
		name = a.User
	}
	return w.roll.Load().users[proving{w.realmOf(req), name}].secret.Knows()
}

// reject logs a line for who watches the log for addresses to shut out. It is for the holder
// of the lock.
func (w *warden) reject(now time.Time, limit int, words ...any) {
	if w.second != now.Unix() {
		w.second, w.lines = now.Unix(), 0
	}
	if w.lines < limit {
		w.lines++
		w.log.Warn("sip_reject", words...)
	}
}

// bans is how many addresses are shut out now.
func (w *warden) bans() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.guard.Bans(time.Now())
}

// guesses reports whether a request must not even be judged: its address is shut out, and it is
// not from who is known at its very flow. For who is known, being shut out means no more.
func (e *Edge) guesses(tx *stack.ServerTx) bool {
	a, ok := e.warden.answer(tx.Request())
	if !ok || e.warden.admits(tx.Source().Addr().Unmap()) {
		return false
	}
	m, known := e.warden.roll.Load().users[proving{a.Realm, a.User}]
	return !known || !e.flows.holds(m.trunk, tx.Transport(), tx.Source())
}

// prove asks who a request is from, if it does not say so well. Then it has its answer, and
// ok is false.
func (e *Edge) prove(tx *stack.ServerTx) (m member, ok bool) {
	if e.guesses(tx) {
		e.reply(tx, 503, header("Retry-After", "60"))
		return member{}, false
	}
	m, v := e.warden.admit(tx.Request(), tx.Peer())
	if v == challenge.Proved {
		return m, true
	}
	j := e.warden.refusal(tx.Request(), tx.Peer(), v)
	e.reply(tx, j.Status, j.Headers...)
	return member{}, false
}

// asks reports whether a new request has to prove who it is from: if it tries to, or comes
// from where a phone is, or if nothing else says who it is; served is whether it comes from a
// server of accounts. What a trunk's own address and port sends is the trunk's, whoever
// registers through it.
func (e *Edge) asks(req *sip.Request, p stack.Peer, known *Trunk, served bool) bool {
	switch {
	case !e.warden.wanted() || !askable[req.Method]:
		return false
	case e.warden.answers(req):
		return true
	case known == nil:
		return !served
	}
	return e.flows.known(p.Transport, p.Addr) && !known.listens(p.Addr)
}
