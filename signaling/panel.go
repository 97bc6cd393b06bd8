package signaling

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/notice"
	"sipxmppgw/signaling/pidf"
	"sipxmppgw/signaling/stack"
)

// A List is what phones of ours may watch as one (RFC 4662).
type List struct {
	Name    string   // what stands before the @
	Members []string // URIs, as phones call them
}

// A panel is what a phone that watches a list is told: of each in it, what it would be told by a
// subscription to that one.
type panel struct {
	list    List
	seats   []*seatOf
	whole   bool // all of it is due, and not what has changed
	version uint32
}

// A seatOf is one of a list.
type seatOf struct {
	uri     string
	line    string // whose calls are watched; empty if that is nobody
	contact string // that the line's user has to allow it
	version uint32 // of its last document
	fresh   bool   // it is to be told

	// Of presence.
	pair          gateway.Pair
	id            string // of the subscription; empty for none
	state, reason string // empty if nothing is known
	body          []byte
}

// A seatAt is where a subscription on behalf of a panel belongs.
type seatAt struct {
	s *serving
	n int
}

// panelBudget is how much of a body documents may take, in octets: what is left waits for the next
// notification, as a datagram holds no more than 64 KiB.
const panelBudget = 32 << 10

// panelPace is the time between two notifications; each in a list has besides the pace of its own.
const panelPace = time.Second

// listOf returns the list that a phone of ours wants to watch; ok is false if it wants anything
// else.
func (e *Edge) listOf(req *sip.Request, trunk *Trunk, pkg string) (l List, ok bool) {
	t := e.of(trunk)
	served := pkg == gateway.PackagePresence || pkg == gateway.PackageDialog && t.Lamps != nil
	if !served || !e.serves(trunk) || trunk.station == nil || t.List == nil || !t.means(req.Recipient.Host) {
		return List{}, false
	}
	return t.List(req.Recipient.User)
}

// panelFor takes a SUBSCRIBE of a phone of ours to a list.
func (e *Edge) panelFor(tx *stack.ServerTx, trunk *Trunk, pkg string, l List) {
	req := tx.Request()
	t := e.of(trunk)
	switch {
	case unsupported(req) != "" && unsupported(req) != eventList:
		e.reply(tx, 420, header("Unsupported", unsupported(req)))
		return
	case !tagged(req, eventList, "Supported", "Require"): // RFC 4662 section 4.4
		e.reply(tx, 421, header("Require", eventList))
		return
	case !takes(req, documents[pkg]):
		_ = tx.Reply(406, "", header("Accept", documents[pkg]))
		return
	case contactOf(req) == "":
		e.reply(tx, 400, header("Warning", translate.Warning(t.Host, "no Contact")))
		return
	case !e.phones.registered(trunk):
		status, phrase, hs := e.refusal(trunk, call.Forbidden, call.Detail{Text: "only a phone that is registered may watch"})
		_ = tx.Reply(status, phrase, hs...)
		return
	}
	u := e.watcherOf(tx, trunk, pkg)
	s := &serving{u: u, about: subject{tenant: t, pkg: pkg, name: l.Name}, panel: &panel{list: l}, machine: notice.New(panelPace)}
	u.served = s
	for _, uri := range l.Members {
		seat := &seatOf{uri: uri}
		if pkg == gateway.PackageDialog {
			seat.line, seat.contact, _ = t.Lamps.Find(queryOf(req, trunk, uri))
		}
		s.panel.seats = append(s.panel.seats, seat)
	}
	if !e.house.add(s) {
		e.reply(tx, 480, header("Retry-After", digits(60+e.o.Rand(60))))
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	e.usages.add(u)
	e.seatAll(s, asksFor(req))
	e.serve(s, notice.Asked{Expires: asksFor(req)})
}

// outdated reports whether a subscription is to a list that has changed since.
func (e *Edge) outdated(s *serving) bool {
	if s.panel == nil {
		return false
	}
	l, ok := s.about.tenant.List(s.panel.list.Name)
	return !ok || !slices.Equal(l.Members, s.panel.list.Members)
}

// queryOf asks where a URI leads to for the phone that has sent a request.
func queryOf(req *sip.Request, trunk *Trunk, uri string) gateway.Query {
	return gateway.Query{Edge: gateway.SIP, Trunk: trunk.Name, To: uri, Hops: hopsLeft(req), Claim: claim(req, trunk.Trusted)}
}

// subjects are the lines that a panel is to be told of.
func (p *panel) subjects(about subject) []subject {
	if about.pkg != gateway.PackageDialog {
		return nil
	}
	var all []subject
	for _, seat := range p.seats {
		if seat.line != "" {
			all = append(all, subject{about.tenant, about.pkg, seat.line})
		}
	}
	return all
}

// lit notes that the calls of a line have changed, or who may see them.
func (p *panel) lit(line string) {
	for _, seat := range p.seats {
		seat.fresh = seat.fresh || seat.line == line
	}
}

// due reports whether there is anything to tell.
func (p *panel) due() bool {
	return p.whole || slices.ContainsFunc(p.seats, func(s *seatOf) bool { return s.fresh })
}

// seatAll subscribes on behalf of a panel, which is asked for so long, to each in it whose presence
// it is about, or refreshes that. It is for the holder of the usage's lock.
func (e *Edge) seatAll(s *serving, expires time.Duration) {
	if s.panel == nil {
		return
	}
	s.panel.whole = true
	if s.u.pkg != gateway.PackagePresence || expires < notice.Min {
		return // it is a poll, too brief, or over
	}
	t, req := s.about.tenant, s.u.waiting.Request()
	for i, seat := range s.panel.seats {
		if seat.id != "" {
			t.Presence.Refresh(seat.pair, seat.id, expires)
			continue
		}
		id := s.u.id() + "/" + strconv.Itoa(i)
		e.house.sit(id, seatAt{s, i})
		pair, err := t.Presence.Begin(gateway.Watching{ID: id, Query: queryOf(req, s.u.trunk, seat.uri), Expires: expires})
		if err == nil {
			seat.pair, seat.id = pair, id
			continue
		}
		e.house.rise(id)
		seat.state, seat.reason, seat.body = "terminated", "noresource", nil
		if r := (*call.Refusal)(nil); errors.As(err, &r) && r.Cause == call.Forbidden {
			seat.reason = "rejected"
		} else if r != nil && r.Cause == call.Overloaded {
			seat.state, seat.reason = "", "" // perhaps at the next refresh
		}
	}
}

// sit notes whose a subscription is, rise that it is over.
func (h *house) sit(id string, at seatAt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seats[id] = at
}

func (h *house) rise(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seats, id)
}

func (h *house) seat(id string) (at seatAt, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok = h.seats[id]
	return at, ok
}

// vacate ends what a panel has subscribed to. It is for the holder of the usage's lock.
func (e *Edge) vacate(s *serving) {
	if s.panel == nil {
		return
	}
	for _, seat := range s.panel.seats {
		if seat.id != "" {
			e.house.rise(seat.id)
			s.about.tenant.Presence.Refresh(seat.pair, seat.id, 0)
			seat.id = ""
		}
	}
}

// panelAnswer takes the answer to a subscription on behalf of a panel.
func (e *Edge) panelAnswer(id string, a presence.Answer) {
	at, ok := e.house.seat(id)
	if !ok || a.Status == 200 {
		return
	}
	e.seated(at, id, func(seat *seatOf) {
		e.house.rise(id)
		seat.id = ""
		if a.Status == 403 {
			seat.state, seat.reason, seat.body = "terminated", "rejected", nil
		}
	})
}

// panelNotify takes what is notified of one in a panel.
func (e *Edge) panelNotify(id string, n presence.Notify) {
	at, ok := e.house.seat(id)
	if !ok {
		return
	}
	e.seated(at, id, func(seat *seatOf) {
		if n.State == "terminated" && n.Reason == "timeout" { // it was not refreshed, as the panel is over, too
			e.house.rise(id)
			seat.id = ""
			return
		}
		seat.state, seat.reason = n.State, n.Reason
		if n.Holds {
			entity, contact := presentityOf(seat.uri)
			seat.body = pidf.Format(entity, n.Now, n.Place, func(string) string { return contact })
		}
		if n.State == "terminated" {
			e.house.rise(id)
			seat.id, seat.body = "", nil
		}
	})
}

// seated changes a seat, and has the phone told if it shows anything else then.
func (e *Edge) seated(at seatAt, id string, change func(*seatOf)) {
	at.s.u.mu.Lock()
	defer at.s.u.mu.Unlock()
	// The first answer may come before Begin has returned, whose caller has the lock.
	seat := at.s.panel.seats[at.n]
	if seat.id != id {
		return
	}
	before := *seat
	change(seat)
	if seat.state != before.state || seat.reason != before.reason || !bytes.Equal(seat.body, before.body) {
		seat.fresh = true
		e.serve(at.s, notice.Changed{})
	}
}

// panelState is the state of a panel: all of it, or who is fresh in it. A panel that is over has
// none, unless it was never told anything, as that of a poll.
func (e *Edge) panelState(s *serving, over bool) (kind string, body []byte) {
	p := s.panel
	if over && p.version > 0 {
		return "", nil
	}
	l := pidf.List{URI: plainURI(s.u.watched), Version: p.version, Full: p.whole}
	p.version++
	used, owed := 0, false
	for i, seat := range p.seats {
		if !p.whole && !seat.fresh {
			continue
		}
		r := pidf.Resource{URI: seat.uri}
		switch {
		case used > panelBudget && !p.whole:
			owed = true
			continue
		case used > panelBudget:
			owed, seat.fresh = true, true // it is told who is in the list, and the rest later
		default:
			seat.fresh = false
			if in, ok := e.instance(s, i); ok {
				r.Instances = []pidf.Instance{in}
				used += len(in.Body)
			}
		}
		l.Resources = append(l.Resources, r)
	}
	p.whole = false
	if owed && !over {
		e.serve(s, notice.Changed{})
	}
	return pidf.FormatList(l, e.o.NewID(), s.about.tenant.Host)
}

// instance is what is known of one in a panel; ok is false if nothing is.
func (e *Edge) instance(s *serving, n int) (in pidf.Instance, ok bool) {
	seat := s.panel.seats[n]
	in = pidf.Instance{ID: strconv.Itoa(n), State: seat.state, Reason: seat.reason}
	t := s.about.tenant
	switch {
	case s.u.pkg == gateway.PackagePresence:
		if len(seat.body) > 0 && seat.state == "active" {
			in.Kind, in.Body = pidf.MediaType, seat.body
		}
	case seat.line == "":
		in.State, in.Reason = "terminated", "noresource"
	case !t.Lamps.May(s.u.trunk.Name, seat.contact, seat.line):
		in.State = "pending" // until the user allows it
	default:
		in.State, in.Kind, in.Body = "active", pidf.DialogMediaType, dialogsOn(t, seat.line, seat.uri, seat.version)
		seat.version++
	}
	return in, in.State != ""
}

// plainURI is a URI without port and parameters.
func plainURI(uri string) string {
	_, plain := presentityOf(uri)
	if plain == "" {
		return uri
	}
	return plain
}
