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

// posted takes a PUBLISH (RFC 3903 section 6): of a phone of ours, about itself.
func (e *Edge) posted(tx *stack.ServerTx, trunk *Trunk) {
	req := tx.Request()
	pkg, _ := eventOf(req)
	kind, _, _ := strings.Cut(value(req, "Content-Type"), ";")
	switch {
	case trunk == nil || trunk.station == nil || !trunk.station.Publishes || pkg != gateway.PackagePresence || !e.serves(trunk):
		_ = tx.Reply(489, "", e.events(trunk)) // nobody's presence is composed here
		return
	case unsupported(req) != "":
		e.reply(tx, 420, header("Unsupported", unsupported(req)))
		return
	case !e.of(trunk).means(req.Recipient.Host):
		e.reply(tx, 404)
		return
	case req.Recipient.User != trunk.station.User || !e.phones.registered(trunk):
		e.reply(tx, 403)
		return
	case len(req.Body()) > 0 && !strings.EqualFold(strings.TrimSpace(kind), pidf.MediaType):
		_ = tx.Reply(415, "", header("Accept", pidf.MediaType))
		return
	}
	p := presence.Posting{Match: strings.TrimSpace(value(req, "SIP-If-Match")), Expires: asksFor(req), Tag: e.o.NewID()}
	if body := req.Body(); len(body) > 0 {
		_, doc, err := pidf.Parse(body)
		if err != nil {
			e.reply(tx, 400, header("Warning", translate.Warning(e.of(trunk).Host, "the document cannot be read")))
			return
		}
		p.Holds, p.Now = true, doc
	}
	out := e.phones.post(trunk, p)
	seconds := digits(int(out.Expires / time.Second))
	switch out.Status {
	case 200:
		_ = tx.Reply(200, "", header("SIP-ETag", out.Tag), header("Expires", seconds))
		e.of(trunk).Presence.Moved(trunk.Name)
	case 423:
		_ = tx.Reply(423, "", header("Min-Expires", seconds))
	default:
		e.reply(tx, out.Status)
	}
}

// post gives the compositor of a phone a publication.
func (p *phones) post(t *Trunk, in presence.Posting) presence.Posted {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.composed[t]
	if c == nil {
		c = &presence.Compositor{}
	}
	out := c.Post(in, time.Now())
	if _, some := c.Now(); some {
		p.composed[t] = c
	} else {
		delete(p.composed, t)
	}
	return out
}

// registered reports whether a phone is bound anywhere.
func (p *phones) registered(t *Trunk) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.r.Bindings(t.station.bound(), time.Now())) > 0
}

// Phone implements [gateway.PresenceSIP]: a phone that is registered shows what it publishes or,
// if it publishes nothing, that it is there.
func (e *Edge) Phone(trunk string) (now presence.Document, busy bool) {
	t := e.phones.named(trunk)
	if t == nil || !e.phones.registered(t) {
		return nil, false
	}
	e.phones.mu.Lock()
	now = presence.Document{{Open: true}}
	if c := e.phones.composed[t]; c != nil {
		c.Lapse(time.Now())
		if doc, some := c.Now(); some {
			now = doc
		}
	}
	e.phones.mu.Unlock()
	if lamps := e.of(t).Lamps; lamps != nil {
		for _, l := range lamps.On(trunk) {
			busy = busy || l.State == gateway.Talking
		}
	}
	return now, busy
}

// contacts are the bindings of a phone as it is told of them.
func (p *phones) contacts(e *Edge, t *Trunk) []pidf.Registered {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []pidf.Registered
	for _, b := range p.r.Bindings(t.station.bound(), time.Now()) {
		r := pidf.Registered{
			ID: idOf(t.Name, b.Key(), b.CallID), URI: b.URI, Expires: int(time.Until(b.Expires).Round(time.Second) / time.Second), Q: b.Q, CallID: b.CallID, CSeq: b.CSeq,
		}
		if gr := strings.Trim(b.Instance, "<>"); gr != "" {
			r.GRUU = (&sip.Uri{Scheme: "sip", User: t.station.User, Host: e.of(t).Host, UriParams: sip.HeaderParams{{K: "gr", V: gr}}}).String()
		}
		all = append(all, r)
	}
	return all
}
