package signaling

import (
	"errors"
	"strings"
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

// serves reports whether a trunk may ask for presence.
func (e *Edge) serves(trunk *Trunk) bool {
	p := e.of(trunk).Presence
	if p == nil || trunk == nil {
		return false
	}
	mode := p.Mode(trunk.Name)
	return mode == gateway.PresenceOn || mode == gateway.PresencePhone
}

// events are the packages that a trunk may subscribe to.
func (e *Edge) events(trunk *Trunk) sip.Header {
	switch {
	case e.serves(trunk) && trunk.station != nil:
		return header("Allow-Events", gateway.PackagePresence+", "+gateway.PackageDialog+", "+gateway.PackageMailbox+", "+packageReg+", refer")
	case e.serves(trunk):
		return header("Allow-Events", gateway.PackagePresence+", refer")
	}
	return header("Allow-Events", "refer")
}

// watchedBy takes a SUBSCRIBE that begins a subscription, or is a poll (RFC 6665 section
// 4.2.1).
func (e *Edge) watchedBy(tx *stack.ServerTx, trunk *Trunk) {
	req := tx.Request()
	pkg, _ := eventOf(req)
	if l, ok := e.listOf(req, trunk, pkg); ok {
		e.panelFor(tx, trunk, pkg, l)
		return
	}
	if _, ours := services[pkg]; ours && e.serves(trunk) && trunk.station != nil {
		e.servedTo(tx, trunk, pkg)
		return
	}
	if pkg == packageConference && e.o.Sessions != nil && trunk != nil {
		e.watchesRoom(tx, trunk)
		return
	}
	switch {
	case !e.serves(trunk) || pkg != gateway.PackagePresence:
		_ = tx.Reply(489, "", e.events(trunk))
		return
	case unsupported(req) != "":
		e.reply(tx, 420, header("Unsupported", unsupported(req)))
		return
	case !takes(req, pidf.MediaType):
		_ = tx.Reply(406, "", header("Accept", pidf.MediaType))
		return
	case contactOf(req) == "":
		e.reply(tx, 400, header("Warning", translate.Warning(e.of(trunk).Host, "no Contact")))
		return
	}
	u := e.watcherOf(tx, trunk, pkg)
	// The pair is known only when the shell has said so, which is before it answers.
	u.mu.Lock()
	e.usages.add(u)
	pair, err := e.of(trunk).Presence.Begin(gateway.Watching{
		ID: u.id(), Expires: asksFor(req),
		Query: gateway.Query{Edge: gateway.SIP, Trunk: trunk.Name, To: req.Recipient.String(), Hops: hopsLeft(req), Claim: claim(req, trunk.Trusted)},
	})
	u.pair = pair
	u.mu.Unlock()
	if err == nil {
		return
	}
	e.usages.remove(u)
	var r *call.Refusal
	if !errors.As(err, &r) {
		r = &call.Refusal{Cause: call.Failed}
	}
	if r.Cause == call.Overloaded { // the peer is to leave this alone, and not the gateway
		e.reply(tx, 480, header("Retry-After", digits(60+e.o.Rand(60))))
		return
	}
	status, phrase, hs := e.refusal(trunk, r.Cause, r.Detail)
	_ = tx.Reply(status, phrase, hs...)
}

// watcherOf makes the dialog that a SUBSCRIBE begins.
func (e *Edge) watcherOf(tx *stack.ServerTx, trunk *Trunk, pkg string) *usage {
	req := tx.Request()
	u := &usage{
		trunk: trunk, pkg: pkg, event: pkg, callID: req.CallID().Value(), tag: tx.Tag(),
		local: value(req, "To"), peer: value(req, "From"), watched: req.Recipient.String(),
		contact: e.contact(e.o.NewID(), tx.Transport(), tx.Local()),
		next: stack.Target{
			Transport: tx.Transport(), Host: tx.Source().Addr().String(), Port: tx.Source().Port(), Stream: trunk.Next.Stream,
		},
		theirs: req.CSeq().SeqNo, waiting: tx,
	}
	if _, id := eventOf(req); id != "" && len(id) <= 64 && token(id) {
		u.event += ";id=" + id // which tells it from others in the dialog (RFC 6665 section 8.2.1)
	}
	if trunk.station != nil {
		u.next = tx.Back() // wherever its Contact says it is
	}
	u.learn(req, tag(req.From().Params), false)
	return u
}

// asksFor is how long a subscription is asked for.
func asksFor(req *sip.Request) time.Duration {
	if v := value(req, "Expires"); v != "" {
		return span(v)
	}
	return presence.Hour // RFC 3856 section 6.4
}

// takes reports whether a peer takes documents of a kind; one that does not say takes those
// of the package.
func takes(m sip.Message, kind string) bool {
	all := values(m, "Accept")
	for _, v := range all {
		for t := range strings.SplitSeq(v, ",") {
			t, _, _ = strings.Cut(t, ";")
			switch strings.ToLower(strings.TrimSpace(t)) {
			case kind, "application/*", "*/*":
				return true
			}
		}
	}
	return len(all) == 0
}

// refreshed takes a SUBSCRIBE within a subscription.
func (e *Edge) refreshed(tx *stack.ServerTx, u *usage) {
	req := tx.Request()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch pkg, _ := eventOf(req); {
	case tag(req.From().Params) != u.peerTag || u.ended:
		e.reply(tx, 481)
	case pkg != u.pkg:
		_ = tx.Reply(489, "", e.events(u.trunk))
	case !u.order(req):
		e.reply(tx, 500)
	case u.waiting != nil:
		e.reply(tx, 500, header("Retry-After", digits(e.o.Rand(11))))
	default:
		if c := contactOf(req); c != "" {
			u.target = c
		}
		if u.served != nil && e.outdated(u.served) { // it comes again, and for what there is now
			e.reply(tx, 481)
			e.serve(u.served, notice.Gone{})
			return
		}
		u.waiting = tx
		if u.served != nil {
			e.seatAll(u.served, asksFor(req))
			e.serve(u.served, notice.Asked{Expires: asksFor(req)})
			return
		}
		e.of(u.trunk).Presence.Refresh(u.pair, u.id(), asksFor(req))
	}
}

// Answer implements [gateway.PresenceSIP].
func (e *Edge) Answer(id string, a presence.Answer) {
	u := e.usages.named(id)
	if u == nil {
		e.panelAnswer(id, a)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	tx := u.waiting
	if tx == nil {
		return
	}
	u.waiting = nil
	seconds := header("Expires", digits(int(a.Expires/time.Second)))
	switch {
	case a.Status == 200:
		u.until = time.Now().Add(a.Expires)
		_ = tx.Reply(200, "", header("Contact", u.contact), seconds)
	case a.Status == 423:
		_ = tx.Reply(423, "", header("Min-Expires", digits(int(a.Expires/time.Second))))
	default:
		_ = tx.Reply(a.Status, "", explain(a.Status)...)
	}
	if a.Status != 200 && u.until.IsZero() || a.Status == 481 {
		e.usages.remove(u) // nothing has come of it
	}
}

// Notify implements [gateway.PresenceSIP].
func (e *Edge) Notify(id string, n presence.Notify) {
	u := e.usages.named(id)
	if u == nil {
		e.panelNotify(id, n)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	e.notify(u, n)
	if n.State == "terminated" {
		u.ended = true
		e.usages.remove(u)
	}
}

// notify sends a NOTIFY. It is for the holder of the dialog's lock.
func (e *Edge) notify(u *usage, n presence.Notify) {
	state := n.State
	if state == "terminated" {
		state += ";reason=" + n.Reason
	} else {
		state += ";expires=" + digits(int(max(time.Until(u.until).Round(time.Second), 0)/time.Second))
	}
	hs := []sip.Header{header("Event", u.event), header("Subscription-State", state)}
	var body []byte
	if n.Holds {
		entity, contact := presentityOf(u.watched)
		body = pidf.Format(entity, n.Now, n.Place, func(string) string { return contact })
		hs = append(hs, header("Content-Type", pidf.MediaType))
	}
	req, g, ok := e.inUsage(u, "NOTIFY", hs...)
	if !ok {
		e.lost(u)
		return
	}
	if body != nil {
		req.SetBody(body)
	}
	e.ask(req, g.to, func(ev stack.Event) {
		switch {
		case ev.Err != nil:
			e.lost(u)
		case ev.Response.StatusCode/100 == 2:
		case ev.Response.StatusCode == 401 || ev.Response.StatusCode == 407:
			u.mu.Lock()
			again := u.proof.challenged(u.trunk, g, ev.Response)
			if again {
				e.notify(u, n)
			}
			u.mu.Unlock()
			if !again {
				e.lost(u)
			}
		case value(ev.Response, "Retry-After") == "": // RFC 6665 section 4.2.2
			e.lost(u)
		}
	})
}

// lost says that the peer does not know its subscription any more.
func (e *Edge) lost(u *usage) {
	e.usages.remove(u)
	e.of(u.trunk).Presence.Lost(u.pair, u.id())
}

// presentityOf is the presentity that a URI means, and where it can be called.
func presentityOf(watched string) (entity, contact string) {
	uri, err := translate.ParseURI(watched)
	if err != nil {
		return watched, ""
	}
	plain := translate.URI{Scheme: "sip", User: uri.User, Host: uri.Host}
	contact = plain.String()
	return "pres:" + strings.TrimPrefix(contact, "sip:"), contact
}
