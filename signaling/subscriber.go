package signaling

import (
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/pidf"
	"sipxmppgw/signaling/stack"
)

var _ gateway.PresenceSIP = (*Edge)(nil)

// documents are the media types of the event packages.
var documents = map[string]string{
	gateway.PackagePresence: pidf.MediaType,
	gateway.PackageDialog:   pidf.DialogMediaType,
	gateway.PackageMailbox:  pidf.SummaryMediaType,
}

// Subscribe implements [gateway.PresenceSIP]: it subscribes to someone at a trunk, refreshes
// that, or ends it (RFC 6665 section 4.1.2).
func (e *Edge) Subscribe(s gateway.Subscription) {
	u := e.usages.own(s.Pair, s.Package)
	if u != nil {
		u.mu.Lock()
		if u.asked && s.Expires == 0 {
			u.leave = true // when it has its answer
			u.mu.Unlock()
			return
		}
		known := u.peerTag != ""
		if known && (!s.New || s.Expires == 0) {
			e.resubscribe(u, s.Expires)
			u.mu.Unlock()
			return
		}
		u.mu.Unlock()
		e.usages.remove(u)
	}
	if s.Expires == 0 {
		e.of(e.trunk(s.Trunk)).Presence.Watched(s.Pair, presence.Accepted{}) // there is nothing to end
		return
	}
	u = e.subscription(s)
	if u == nil {
		e.of(e.trunk(s.Trunk)).Presence.Watched(s.Pair, presence.Refused{})
		return
	}
	e.usages.add(u)
	u.mu.Lock()
	defer u.mu.Unlock()
	e.resubscribe(u, s.Expires)
}

// subscription makes a dialog of ours, or nil if the trunk cannot be reached.
func (e *Edge) subscription(s gateway.Subscription) *usage {
	trunk := e.trunk(s.Trunk)
	if trunk == nil || e.isClosing() {
		return nil
	}
	local, ok := e.stack.Local(trunk.transport(), trunk.at())
	if !ok {
		return nil
	}
	who := sender(s.From, trunk.Trusted)
	return &usage{
		trunk: trunk, pair: s.Pair, pkg: s.Package, ours: true, list: newListLine(s.List),
		callID: e.callID(trunk, ""), tag: e.o.NewID(), next: trunk.Next,
		local: nameAddr(who.Name, who.From.String()), peer: "<" + s.To + ">",
		contact: e.contact(e.o.NewID(), trunk.transport(), local), target: s.To, watched: s.To,
	}
}

// resubscribe sends a SUBSCRIBE. It is for the holder of the dialog's lock.
func (e *Edge) resubscribe(u *usage, expires time.Duration) {
	u.expires = expires
	hs := []sip.Header{
		header("Event", u.pkg), header("Expires", digits(int(expires/time.Second))), header("Accept", u.accepts()),
	}
	if u.list != nil {
		hs = append(hs, header("Supported", eventList))
	}
	req, g, ok := e.inUsage(u, "SUBSCRIBE", hs...)
	if !ok {
		u.asked = false
		e.of(u.trunk).Presence.Watched(u.pair, presence.Refused{})
		return
	}
	u.asked = true
	e.ask(req, g.to, func(ev stack.Event) { e.subscribed(u, g, ev) })
}

// subscribed takes the final response to a SUBSCRIBE of ours.
func (e *Edge) subscribed(u *usage, g given, ev stack.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = false
	if other := e.usages.own(u.pair, u.pkg); other != nil && other != u {
		return // nobody waits for this one any more
	}
	if ev.Err != nil {
		e.usages.remove(u)
		e.of(u.trunk).Presence.Watched(u.pair, presence.Refused{})
		return
	}
	res := ev.Response
	status := res.StatusCode
	switch {
	case status/100 == 2:
		u.learn(res, tag(res.To().Params), true)
		if u.leave && u.expires > 0 && !u.ended {
			u.leave = false
			e.resubscribe(u, 0)
			return
		}
		granted := u.expires
		if v := value(res, "Expires"); v != "" && u.expires > 0 {
			granted = min(span(v), granted) // no longer than was asked for (RFC 6665 section 4.2.1.1)
		}
		if u.expires == 0 {
			// What is still on its way, such as the last NOTIFY, is answered for a while.
			time.AfterFunc(presence.Grace, func() { e.usages.remove(u) })
		}
		e.of(u.trunk).Presence.Watched(u.pair, presence.Accepted{Expires: granted})
	case u.proof.challenged(u.trunk, g, res):
		e.resubscribe(u, u.expires)
	default:
		if status != 423 || u.peerTag == "" {
			e.usages.remove(u)
		}
		if u.pkg == gateway.PackageDialog && u.list == nil && (status == 403 || status == 404 || status == 489) {
			status = 501 // it does not tell of its calls, and can be called all the same
		}
		e.of(u.trunk).Presence.Watched(u.pair, presence.Refused{
			Status: status, Least: span(value(res, "Min-Expires")), Later: span(value(res, "Retry-After")),
		})
	}
}

// notified takes a NOTIFY in a subscription of ours (RFC 6665 section 4.1.3).
func (e *Edge) notified(tx *stack.ServerTx, u *usage) {
	req := tx.Request()
	u.mu.Lock()
	defer u.mu.Unlock()
	from := tag(req.From().Params)
	if u.peerTag != "" && u.peerTag != from {
		e.reply(tx, 481) // another fork, which is not wanted
		return
	}
	if !u.order(req) {
		e.reply(tx, 500)
		return
	}
	if pkg, id := eventOf(req); pkg != u.pkg || id != "" {
		e.reply(tx, 489, header("Allow-Events", u.pkg))
		return
	}
	n := stateOf(req)
	if n.State == "" {
		e.reply(tx, 400, header("Warning", translate.Warning(e.of(u.trunk).Host, "no Subscription-State")))
		return
	}
	u.learn(req, from, false)
	if u.list != nil {
		e.listed(tx, u, n)
		return
	}
	gap, status := e.document(u, req, &n)
	if status == 415 {
		e.reply(tx, 415, header("Accept", documents[u.pkg]))
		return
	}
	if status != 0 {
		e.reply(tx, status, header("Warning", translate.Warning(e.of(u.trunk).Host, "the document cannot be read")))
		return
	}
	e.reply(tx, 200)
	e.named(u.trunk, req, u.pair.Contact, u.pair.User)
	if n.State == "terminated" {
		u.ended = true
		e.usages.remove(u)
	} else if gap && !u.asked {
		e.resubscribe(u, u.expires)
	}
	e.of(u.trunk).Presence.Watched(u.pair, n)
}

// document reads the body of a NOTIFY. gap says that documents before it are missing; a
// status, that it cannot be read.
func (e *Edge) document(u *usage, req *sip.Request, n *presence.Notified) (gap bool, status int) {
	body := req.Body()
	if len(body) == 0 {
		// COMPAT(Kamailio 5.6): of a phone that has published no dialog there is no document.
		if u.pkg == gateway.PackageDialog && n.State == "active" {
			n.Holds, n.Now = true, lineState(&u.line)
		}
		return false, 0
	}
	kind, _, _ := strings.Cut(value(req, "Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), documents[u.pkg]) {
		return false, 415
	}
	switch u.pkg {
	case gateway.PackagePresence:
		entity, doc, err := pidf.Parse(body)
		if err != nil {
			return false, 400
		}
		if u.about(entity) {
			n.Holds, n.Now = true, doc
			if u.trunk.Location {
				n.Place, _ = pidf.Whereabouts(body, time.Now()) // it was read before
			}
		}
	case gateway.PackageDialog:
		d, err := pidf.ParseDialogInfo(body)
		if err != nil {
			return false, 400
		}
		if gap = u.line.Take(d); !gap {
			n.Holds, n.Now = true, lineState(&u.line)
		}
	case gateway.PackageMailbox:
		m, err := pidf.ParseSummary(body)
		if err != nil {
			return false, 400
		}
		e.of(u.trunk).Presence.Mailed(u.pair, gateway.Mailbox(m))
	}
	return gap, 0
}

// lineState is what a phone shows whose dialogs are known: it is there, and perhaps in a call.
func lineState(l *pidf.Line) presence.Document {
	s := presence.State{Open: true}
	if l.Busy() {
		s.Show, s.Activity = presence.DoNotDisturb, presence.OnThePhone
	}
	return presence.Document{s}
}

// about reports whether a document is about who is watched: the same user, at the domain
// that was asked or at the trunk itself, whose documents may have its own address.
func (u *usage) about(entity string) bool {
	_, rest, ok := strings.Cut(entity, ":")
	if !ok {
		return false
	}
	is, err := translate.ParseURI("sip:" + rest)
	of, wrong := translate.ParseURI(u.watched)
	if err != nil || wrong != nil || is.User != of.User {
		return false
	}
	if is.Host == of.Host || strings.EqualFold(is.Host, u.trunk.Next.Host) {
		return true
	}
	a, ok := literal(is.Host)
	return ok && u.trunk.holds(a)
}
