package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/trace"
)

// Options are what a gateway is made of.
type Options struct {
	// Router says where calls may go.
	Router Router
	// Media bridges the media of calls.
	Media MediaPlane
	Bounds
	// Busy says that there is too much to do for another call. Default: there never is.
	Busy func() bool
	// Zone is where the days of quotas begin. Default: [time.Local].
	Zone *time.Location
	// Log gets a call's states at info. Default: [slog.Default].
	Log *slog.Logger
	// Registry gets the metrics. Default: none.
	Registry prometheus.Registerer
	// Texts say what calls have of text that is seen while it is typed. Default: nothing.
	Texts *Texts
	// Trace keeps the last calls' messages. Default: none.
	Trace *trace.Recorder
	// KeepEnded is how many records of ended calls are kept for those who ask. Default 500.
	KeepEnded int
	// Ended is told of every call that has ended, on the call's goroutine; it must not
	// wait. Default: none.
	Ended func(Record)
	// Changed is told of every call that has come to another state but the end, likewise.
	// Default: none.
	Changed func(Record)
	// Presence is told who is in a call. Default: nobody is.
	Presence *Presences
	// Lamps show who is on which line. Default: nobody sees it.
	Lamps *Lamps
	// NewID makes the id of a call. Default: 80 random bits.
	NewID func() call.ID
}

// A Router says where a call may go. An error is a [*call.Refusal].
type Router interface {
	Route(Query) (Target, error)
	// Transfer says where a call may go that one of its parties hands over.
	Transfer(Handover) (Target, error)
}

// A Gateway is the shell around all calls: it admits them, gives each its goroutine, and
// knows them while they live. Its methods may be called from any goroutine.
type Gateway struct {
	opt     Options // but for its bounds
	log     *slog.Logger
	metrics *metrics
	bounds  atomic.Pointer[Bounds]

	mu       sync.Mutex
	dialers  [2]Dialer
	services Dialer // nil for none
	calls    map[call.ID]*actor
	past     past
	early    int
	quotas   *quotas
	draining bool
	idle     chan struct{} // closed when draining and the last call has gone
}

// New returns a gateway without edges; SetDialer gives it each.
func New(opt Options) *Gateway {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.KeepEnded == 0 {
		opt.KeepEnded = 500
	}
	if opt.NewID == nil {
		opt.NewID = newID
	}
	g := &Gateway{opt: opt, past: past{keep: opt.KeepEnded}, log: opt.Log, calls: map[call.ID]*actor{}, idle: make(chan struct{}), quotas: newQuotas(opt.Quotas, opt.Zone)}
	g.bounds.Store(opt.Bounds.withDefaults())
	g.metrics = newMetrics(opt.Registry, g)
	return g
}

// newID returns 80 random bits in lower-case letters and digits, so that it fits a log, a
// file name and a SIP token.
func newID() call.ID {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return call.ID(strings.ToLower(base32.StdEncoding.EncodeToString(b[:])))
}

// SetDialer gives the gateway an edge. It is called once for each, before calls come.
func (g *Gateway) SetDialer(e Edge, d Dialer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dialers[e&1] = d
}

// SetServices gives the gateway what takes calls to its own services. It is called once, before
// calls come.
func (g *Gateway) SetServices(d Dialer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.services = d
}

// dialer returns who dials a target; nil if nobody does. It is for the holder of the lock.
func (g *Gateway) dialer(t Target) Dialer {
	if t.Service != "" {
		return g.services
	}
	return g.dialers[t.Edge&1]
}

// Route implements [Calls]. What is refused is counted and logged, so that an operator sees
// why a call went nowhere.
func (g *Gateway) Route(q Query) (Target, error) {
	q.Calls = true
	t, err := g.opt.Router.Route(q)
	if err == nil {
		return t, nil
	}
	g.metrics.refused(q.Edge, err)
	err = g.refusedOf(q.Edge, q.Trunk, q.From, q.To, err)
	var r *call.Refusal
	if errors.As(err, &r) {
		g.log.Info("call not routed", "from", q.Edge.String(), "trunk", q.Trunk, "cause", r.Cause.String(), "why", r.Detail.Text, "rules", r.Log)
		g.log.Debug("call not routed", "caller", q.From.URI+q.From.JID, "callee", q.To)
	}
	return t, err
}

// Accept implements [Calls].
func (g *Gateway) Accept(in Incoming) (Inbox, error) {
	var a *actor
	var err error
	id := g.opt.NewID()
	for i, t := range in.Target.chain() { // another is the first where that cannot be called
		in.Target = t
		b, problem := g.begin(in, id)
		if problem == nil {
			a, err = b, nil
			break
		}
		if i == 0 {
			err = problem
		}
	}
	if err != nil {
		g.metrics.refused(in.Edge, err)
		return nil, g.refusedOf(in.Edge, strings.Join(placesOf(in)[1:], " "), in.Target.From, cmp.Or(in.Target.To.URI, in.Target.To.JID), err)
	}
	a.first = a.begin(a.in)
	a.hunting = newHunting(a)
	box := inbox{a, a.legs[call.A]}
	box.s.leg = in.Leg(box)
	go a.run() // ends with the call
	return box, nil
}

// begin makes a call to one target, with its second leg.
func (g *Gateway) begin(in Incoming, id call.ID) (*actor, error) {
	if len(in.Target.Others) > 0 {
		in.Target = hasty(in.Target, true, 0)
	}
	a := &actor{g: g, id: id, owner: owner(in), box: newMailbox[letter](), bridge: noBridge{}, in: in}
	a.log = g.log.With("call", string(a.id))
	a.diary = diary{g.opt.Trace, string(a.id)}
	a.rec = Record{
		Call: a.id, From: in.Edge, Caller: in.Target.From, Callee: in.Target.To,
		Trunk: strings.Join(placesOf(in)[1:], " "), Rule: in.Target.Rule, Diverted: in.Target.Diverted, Attempt: time.Now(),
		edges: [2]Edge{in.Edge, in.Target.Edge}, trunks: [2]string{in.Trunk, in.Target.Trunk},
		Service: in.Target.Service, Trial: in.Target.Trial,
		codecs: [2]codecs{{offers: speech(in.Offer), allowed: names(in.Policy.Codecs)}, {allowed: names(in.Target.Policy.Codecs)}},
	}
	a.newSeat(call.A, member{in.Edge, in.Trunk, callerOf(in), in.Policy})
	a.newSeat(call.B, member{in.Target.Edge, in.Target.Trunk, in.Target.To, in.Target.Policy})
	a.diary.open(a.rec.Attempt)
	if err := g.admit(a, in); err != nil {
		a.diary.drop()
		a.log.Info("call refused", "from", in.Edge.String(), "trunk", a.rec.Trunk, "why", err.Error())
		return nil, err
	}
	g.log.Info("call begins", "call", string(a.id), "from", in.Edge.String(), "trunk", a.rec.Trunk, "rule", a.rec.Rule,
		"diverted", len(a.rec.Diverted), "number", a.rec.Caller.Verdict.String())
	g.log.Debug("call parties", "call", string(a.id), "caller_uri", in.Target.From.URI, "caller_jid", in.Target.From.JID,
		"callee_uri", in.Target.To.URI, "callee_jid", in.Target.To.JID)
	return a, nil
}

// callerOf is who calls, as its own world knows it.
func callerOf(in Incoming) Party {
	p := in.Target.From
	if in.Target.Caller != "" {
		p.JID = in.Target.Caller
	}
	return p
}

// limits are the times of a call.
func (g *Gateway) limits(t Target) call.Limits {
	limits := g.bounds.Load().Limits
	if t.NoAnswer > 0 {
		limits.NoAnswer = t.NoAnswer
	}
	if t.patience > 0 {
		limits.NoAnswer = min(limits.NoAnswer, t.patience)
	}
	limits.Renew = t.Edge == SIP // Timer C; a person's client sends no such signs
	return limits
}

// modeOf says how the caller's media comes to be described: one without an offer describes
// it later on XMPP, and wants our offer on SIP.
func modeOf(in Incoming) call.Mode {
	switch {
	case in.Offer.Empty() && in.Edge == SIP:
		return call.Offerless
	case in.Offer.Empty():
		return call.Announced
	case in.Target.Early:
		return call.Early
	}
	return call.Offered
}

// admit gives the call its place, its bridge and its second leg, or says why not.
func (g *Gateway) admit(a *actor, in Incoming) error {
	g.mu.Lock()
	dialer := g.dialer(in.Target)
	switch {
	case g.draining:
		g.mu.Unlock()
		return &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: "the gateway is going down"}}
	case g.full():
		g.mu.Unlock()
		return &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: "too many calls"}}
	case g.opt.Busy != nil && g.opt.Busy():
		g.mu.Unlock()
		return &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: "too much to do"}}
	case dialer == nil:
		g.mu.Unlock()
		return &call.Refusal{Cause: call.Unreachable}
	}
	a.places = placesOf(in)
	if in.Target.Service != "" {
		a.places = append(a.places, ServicePlace)
	}
	if user := g.quotas.payer(in); user != "" {
		a.places = append(a.places, user)
	}
	if r := g.quotas.take(time.Now(), a.places...); r != nil {
		g.mu.Unlock()
		return r
	}
	g.calls[a.id] = a // without a bridge yet: noBridge
	g.early++
	g.mu.Unlock()

	in.Target = dialer.Aim(in.Target)
	bridge, err := g.opt.Media.Open(a.id, [2]media.Policy{in.Policy, in.Target.Policy}, a.poster(0))
	if err == nil {
		g.mu.Lock()
		a.bridge = bridge
		g.mu.Unlock()
		b := a.legs[call.B]
		b.leg, err = dialer.Dial(in.Target, inbox{a, b})
	}
	if err != nil {
		a.bridge.Release()
		g.forget(a)
		return refusal(err)
	}
	return nil
}

// Hurried reports whether more calls begin than may, whoever's they are: so that an edge need
// not even read the next one.
func (g *Gateway) Hurried() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.quotas.room(time.Now(), "")
}

// placesOf are the quotas that a call counts in: that of all, and those of its trunks.
func placesOf(in Incoming) []string {
	places := []string{""}
	for _, trunk := range []string{in.Trunk, in.Target.Trunk} {
		if trunk != "" && !slices.Contains(places, trunk) {
			places = append(places, trunk)
		}
	}
	return places
}

// refusal gives an error of an edge or of the media plane its cause.
func refusal(err error) error {
	var r *call.Refusal
	if errors.As(err, &r) {
		return r
	}
	return &call.Refusal{Cause: call.Failed, Detail: call.Detail{Text: err.Error()}}
}

// Trace implements [Calls].
func (g *Gateway) Trace(id call.ID, m Message) {
	if g.opt.Trace == nil || id == "" {
		return
	}
	g.opt.Trace.Add(string(id), trace.Message{
		Lane: m.Edge.String(), Sent: m.Sent, Peer: m.Peer, Local: m.Local, Transport: m.Transport, Title: m.Title, Raw: string(m.Raw), Time: m.Occurred,
	})
}

// Active returns how many calls there are.
func (g *Gateway) Active() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

// End ends one call; false says that there is none of that id.
func (g *Gateway) End(id call.ID, cause call.Cause, text string) bool {
	g.mu.Lock()
	a := g.calls[id]
	g.mu.Unlock()
	if a == nil {
		return false
	}
	a.post(call.Aborted{Cause: cause, Detail: call.Detail{Text: text}})
	return true
}

// farewell is how long Drain waits for the peers of calls it ended to let go.
const farewell = 2 * time.Second

// Drain refuses new calls and waits for those that are up to end. When ctx is done first,
// it ends them, and gives their peers two seconds to let go.
func (g *Gateway) Drain(ctx context.Context) {
	g.mu.Lock()
	if !g.draining {
		g.draining = true
		if len(g.calls) == 0 {
			close(g.idle)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.idle:
		return
	case <-ctx.Done():
	}
	for _, a := range g.actors() {
		a.post(call.Aborted{Cause: call.Normal, Detail: call.Detail{Text: "the gateway is going down"}})
	}
	over := time.NewTimer(farewell)
	defer over.Stop()
	select {
	case <-g.idle:
		return
	case <-over.C:
	}
	for _, a := range g.actors() {
		a.box.put(letter{last: true})
	}
	<-g.idle
}

func (g *Gateway) actors() []*actor {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*actor, 0, len(g.calls))
	for _, a := range g.calls {
		all = append(all, a)
	}
	return all
}

// calling says who is in a call, or is no more.
func (g *Gateway) calling(a *actor, up bool) {
	if g.opt.Presence == nil {
		return
	}
	if of, ok := a.rec.pair(); ok {
		g.opt.Presence.Calling(of, up)
	}
}

// ended counts and reports a call. It is called on the call's goroutine.
func (g *Gateway) ended(a *actor) {
	if !a.rec.Active.IsZero() {
		g.calling(a, false)
	}
	for side := range a.rec.ids {
		if s := a.legs[side]; s != nil {
			if leg, ok := s.leg.(Identified); ok {
				a.rec.ids[side].id, a.rec.ids[side].session = leg.IDs()
			}
		}
	}
	g.metrics.ended(a)
	a.diary.close(&a.rec)
	g.past.end(a.rec)
	a.log.Info("call ended", "cause", a.rec.Cause.String(), "status", a.rec.Detail.Status, "by", a.rec.EndedBy,
		"duration_ms", a.rec.Ended.Sub(a.rec.Attempt).Milliseconds(), "unheard", strings.Join(a.rec.Unheard(), "; "))
	if g.opt.Ended != nil {
		g.opt.Ended(a.rec)
	}
}

// forget is the last of a call.
func (g *Gateway) forget(a *actor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, a.id)
	g.hushes(a)
	g.quotas.leave(a.places...)
	g.leave(a)
	if g.draining && len(g.calls) == 0 {
		close(g.idle)
	}
}

// answered takes a call out of the number of those that are not answered yet.
func (g *Gateway) answered(a *actor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leave(a)
}

// leave is for the holder of the lock.
func (g *Gateway) leave(a *actor) {
	if !a.late {
		a.late = true
		g.early--
	}
}
