package signaling

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/notice"
	"sipxmppgw/signaling/pidf"
	"sipxmppgw/signaling/stack"
)

// packageReg is the event package of registrations (RFC 3680).
const packageReg = "reg"

// A service is an event package that the gateway serves its own phones of itself.
type service struct {
	kind string        // media type of its documents
	pace time.Duration // between two notifications
}

// services are the packages that phones of ours may subscribe to, beside presence (RFC 4235
// section 3.10, RFC 3680 section 4.10, RFC 3842 section 3.8).
var services = map[string]service{
	gateway.PackageDialog:  {pidf.DialogMediaType, time.Second},
	gateway.PackageMailbox: {pidf.SummaryMediaType, time.Second},
	packageReg:             {pidf.RegMediaType, 5 * time.Second},
}

// The bounds of subscriptions of phones of ours.
const (
	maxServed   = 64   // of one phone
	maxServedIn = 8192 // of all
)

// A subject is what a subscription is about: a line, an owner's mailbox, a phone's bindings.
type subject struct {
	tenant *Tenant
	pkg    string
	name   string
}

// A serving is one such subscription. Its fields are guarded by the lock of its usage.
type serving struct {
	u       *usage
	about   subject
	contact string // whom the user of the line has to allow it
	panel   *panel // what it is about, if that is a list
	machine *notice.Subscription
	timers  [2]*time.Timer
	version uint32
}

// subjects are what a subscription is to be told of.
func (s *serving) subjects() []subject {
	if s.panel == nil {
		return []subject{s.about}
	}
	return s.panel.subjects(s.about)
}

// house are all of them.
type house struct {
	mu    sync.Mutex
	all   map[subject]map[*serving]bool
	of    map[*Trunk]int
	each  map[*serving]bool
	seats map[string]seatAt // by the name of the subscription to whom is there
}

func newHouse() *house {
	return &house{all: map[subject]map[*serving]bool{}, of: map[*Trunk]int{}, each: map[*serving]bool{}, seats: map[string]seatAt{}}
}

func (h *house) add(s *serving) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.each) >= maxServedIn || h.of[s.u.trunk] >= maxServed {
		return false
	}
	for _, about := range s.subjects() {
		if h.all[about] == nil {
			h.all[about] = map[*serving]bool{}
		}
		h.all[about][s] = true
	}
	h.of[s.u.trunk]++
	h.each[s] = true
	return true
}

func (h *house) remove(s *serving) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.each[s] {
		return
	}
	for _, about := range s.subjects() {
		delete(h.all[about], s)
		if len(h.all[about]) == 0 {
			delete(h.all, about)
		}
	}
	if h.of[s.u.trunk]--; h.of[s.u.trunk] == 0 {
		delete(h.of, s.u.trunk)
	}
	delete(h.each, s)
}

func (h *house) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.each)
}

func (h *house) about(a subject) []*serving {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*serving
	for s := range h.all[a] {
		all = append(all, s)
	}
	return all
}

func (h *house) everyone() []*serving {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.each))
}

// changed tells those who watch something that it has changed.
func (e *Edge) changed(t *Tenant, pkg, name string) {
	for _, s := range e.house.about(subject{t, pkg, name}) {
		s.u.mu.Lock()
		if s.panel != nil {
			s.panel.lit(name)
			e.serve(s, notice.Changed{})
		} else if pkg == gateway.PackageDialog && !t.Lamps.May(s.u.trunk.Name, s.contact, name) {
			e.serve(s, notice.Barred{})
		} else {
			e.serve(s, notice.Changed{})
		}
		s.u.mu.Unlock()
	}
}

// Lit says that the calls of a line of a tenant have changed, or who may see them.
func (e *Edge) Lit(t *Tenant, line string) {
	e.changed(t, gateway.PackageDialog, line)
	if e.phones.named(line) != nil && t.Presence != nil {
		t.Presence.Moved(line)
	}
}

// stirred says that a phone is bound to other places than before, or shows something else. It is
// called with the lock of the phones held, which those who hear of it want too.
func (e *Edge) stirred(t *Trunk) {
	if tenant := e.of(t); tenant.Presence != nil {
		tenant.Presence.Moved(t.Name)
	}
	e.begun()
	go func() { // ends at once
		defer e.finished()
		e.changed(e.of(t), packageReg, t.station.bound())
	}()
}

// Mailed says that a mailbox of a user of a tenant has changed.
func (e *Edge) Mailed(t *Tenant, user string) { e.changed(t, gateway.PackageMailbox, user) }

// servedTo takes a SUBSCRIBE of a phone of ours that begins a subscription to something that the
// gateway itself knows.
func (e *Edge) servedTo(tx *stack.ServerTx, trunk *Trunk, pkg string) {
	req := tx.Request()
	t := e.of(trunk)
	about, contact, r := e.subjectOf(req, trunk, pkg)
	switch {
	case unsupported(req) != "":
		e.reply(tx, 420, header("Unsupported", unsupported(req)))
		return
	case !takes(req, services[pkg].kind):
		_ = tx.Reply(406, "", header("Accept", services[pkg].kind))
		return
	case contactOf(req) == "":
		e.reply(tx, 400, header("Warning", translate.Warning(t.Host, "no Contact")))
		return
	case !e.phones.registered(trunk):
		r = &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: "only a phone that is registered may watch"}}
	}
	if r != nil {
		status, phrase, hs := e.refusal(trunk, r.Cause, r.Detail)
		_ = tx.Reply(status, phrase, hs...)
		return
	}
	u := e.watcherOf(tx, trunk, pkg)
	s := &serving{u: u, about: about, contact: contact, machine: notice.New(services[pkg].pace)}
	u.served = s
	if !e.house.add(s) {
		e.reply(tx, 480, header("Retry-After", digits(60+e.o.Rand(60))))
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	e.usages.add(u)
	e.serve(s, notice.Asked{Expires: asksFor(req)})
}

// subjectOf says what a phone wants to watch.
func (e *Edge) subjectOf(req *sip.Request, trunk *Trunk, pkg string) (about subject, contact string, r *call.Refusal) {
	t := e.of(trunk)
	about = subject{tenant: t, pkg: pkg}
	own := req.Recipient.User == trunk.station.User && t.means(req.Recipient.Host)
	notFound := &call.Refusal{Cause: call.NotFound}
	switch {
	case pkg == gateway.PackageDialog && t.Lamps != nil:
		var err error
		about.name, contact, err = t.Lamps.Line(gateway.Query{
			Edge: gateway.SIP, Trunk: trunk.Name, To: req.Recipient.String(), Hops: hopsLeft(req), Claim: claim(req, trunk.Trusted),
		})
		if err != nil && !errors.As(err, &r) {
			r = notFound
		}
	case !own:
		r = &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: "that is somebody else's"}}
	case pkg == gateway.PackageMailbox:
		about.name = trunk.station.Owner
		if _, _, has := t.Presence.Mailbox(about.name); !has {
			r = &call.Refusal{Cause: call.NotFound, Detail: call.Detail{Text: "no mailbox is known"}}
		}
	case pkg == packageReg:
		about.name = trunk.station.bound()
	default:
		r = notFound
	}
	return about, contact, r
}

// serve gives a subscription an input and does what it wants. It is for the holder of the usage's
// lock.
func (e *Edge) serve(s *serving, in notice.Input) {
	u := s.u
	for _, o := range s.machine.Step(in) {
		switch o := o.(type) {
		case notice.Answer:
			e.answerServed(u, o)
		case notice.Notify:
			e.notifyServed(s, o)
		case notice.Start:
			e.startServed(s, o)
		case notice.Halt:
			if s.timers[o.Timer] != nil {
				s.timers[o.Timer].Stop()
			}
		case notice.Ended:
			u.ended = true
			e.vacate(s)
			e.house.remove(s)
			e.usages.remove(u)
		}
	}
}

func (e *Edge) startServed(s *serving, o notice.Start) {
	if s.timers[o.Timer] != nil {
		s.timers[o.Timer].Stop()
	}
	s.timers[o.Timer] = time.AfterFunc(o.After, func() {
		s.u.mu.Lock()
		defer s.u.mu.Unlock()
		e.serve(s, notice.Fired{Timer: o.Timer})
	})
}

func (e *Edge) answerServed(u *usage, a notice.Answer) {
	tx := u.waiting
	u.waiting = nil
	if tx == nil {
		return
	}
	if a.Status == 423 {
		_ = tx.Reply(423, "", header("Min-Expires", digits(int(a.Expires/time.Second))))
		return
	}
	u.until = time.Now().Add(a.Expires)
	hs := []sip.Header{header("Contact", u.contact), header("Expires", digits(int(a.Expires/time.Second)))}
	if u.served.panel != nil {
		hs = append(hs, header("Require", eventList))
	}
	_ = tx.Reply(a.Status, "", hs...)
}

// notifyServed sends a NOTIFY with the whole state.
func (e *Edge) notifyServed(s *serving, n notice.Notify) {
	u := s.u
	if s.panel != nil && !n.Terminated && !s.panel.due() {
		return // it was told meanwhile
	}
	state := "active;expires=" + digits(int(max(time.Until(u.until).Round(time.Second), 0)/time.Second))
	if n.Terminated {
		state = "terminated;reason=" + n.Reason
	}
	hs := []sip.Header{header("Event", u.event), header("Subscription-State", state)}
	kind := services[u.pkg].kind
	var body []byte
	switch {
	case s.panel != nil:
		hs = append(hs, header("Require", eventList))
		kind, body = e.panelState(s, n.Terminated)
	case !n.Bare:
		body = e.stateOf(s)
	}
	if body != nil {
		hs = append(hs, header("Content-Type", kind))
	}
	req, g, ok := e.inUsage(u, "NOTIFY", hs...)
	if !ok {
		return
	}
	req.SetBody(body)
	e.ask(req, g.to, func(ev stack.Event) {
		if ev.Err == nil && (ev.Response.StatusCode/100 == 2 || value(ev.Response, "Retry-After") != "") {
			return
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		e.serve(s, notice.Gone{})
	})
}

// stateOf is the document of a subscription; nil if nothing is known.
func (e *Edge) stateOf(s *serving) []byte {
	t, version := s.about.tenant, s.version
	s.version++
	switch s.about.pkg {
	case gateway.PackageDialog:
		return dialogsOn(t, s.about.name, s.u.watched, version)
	case gateway.PackageMailbox:
		m, known, _ := t.Presence.Mailbox(s.about.name)
		if !known {
			return nil
		}
		return pidf.FormatSummary(pidf.Summary(m))
	}
	_, aor := presentityOf(s.u.watched)
	return pidf.FormatRegistered(aor, s.about.name, version, e.phones.contacts(e, s.u.trunk))
}

// dialogsOn is the document of a line.
func dialogsOn(t *Tenant, line, watched string, version uint32) []byte {
	var all []pidf.Dialog
	for _, l := range t.Lamps.On(line) {
		all = append(all, pidf.Dialog{ID: l.ID, Out: l.Out, State: [...]string{"trying", "early", "confirmed"}[l.State%3]})
	}
	_, entity := presentityOf(watched)
	return pidf.FormatDialogs(entity, version, all)
}

// shutHouse ends all such subscriptions, whose phones come again.
func (e *Edge) shutHouse() {
	for _, s := range e.house.everyone() {
		s.u.mu.Lock()
		e.serve(s, notice.Shut{})
		s.u.mu.Unlock()
	}
}
