package signaling

import (
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/signaling/pidf"
	"sipxmppgw/signaling/stack"
)

// publications are the users whose presence is published, by the pair that stands for it. Each
// PUBLISH stands for itself, but those of one user at one trunk share a Call-ID, so that they
// are known to be in order (RFC 3903 section 4.1).
type publications struct {
	mu  sync.Mutex
	all map[gateway.Pair]*usage
}

// Publish implements [gateway.PresenceSIP].
func (e *Edge) Publish(p gateway.Publication) {
	trunk := e.trunk(p.Trunk)
	if trunk == nil || e.isClosing() {
		e.of(trunk).Presence.Published(p.Pair, presence.Unpublished{})
		return
	}
	e.published.mu.Lock()
	u := e.published.all[p.Pair]
	if u == nil {
		local, _ := e.stack.Local(trunk.transport(), trunk.at())
		u = &usage{
			trunk: trunk, pair: p.Pair, pkg: gateway.PackagePresence, callID: e.callID(trunk, ""), tag: e.o.NewID(), next: trunk.Next,
			local: "<" + p.User.URI + ">", peer: "<" + p.User.URI + ">", target: p.User.URI, watched: p.User.URI,
			contact: e.contact(e.o.NewID(), trunk.transport(), local),
		}
		e.published.all[p.Pair] = u
	}
	e.published.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	e.publish(u, p)
}

func (e *Edge) publish(u *usage, p gateway.Publication) {
	hs := []sip.Header{header("Event", u.pkg), header("Expires", digits(int(p.Expires/time.Second)))}
	if p.Match != "" {
		hs = append(hs, header("SIP-If-Match", p.Match))
	}
	if p.Holds {
		hs = append(hs, header("Content-Type", pidf.MediaType))
	}
	req, g, ok := e.inUsage(u, "PUBLISH", hs...)
	if !ok {
		e.of(u.trunk).Presence.Published(p.Pair, presence.Unpublished{})
		return
	}
	if p.Holds {
		entity, contact := presentityOf(u.watched)
		req.SetBody(pidf.Format(entity, p.Now, nil, func(string) string { return contact }))
	}
	e.ask(req, g.to, func(ev stack.Event) {
		u.mu.Lock()
		defer u.mu.Unlock()
		switch {
		case ev.Err != nil:
			e.of(u.trunk).Presence.Published(p.Pair, presence.Unpublished{})
		case ev.Response.StatusCode/100 == 2:
			granted := p.Expires
			if v := value(ev.Response, "Expires"); v != "" {
				granted = span(v)
			}
			if p.Expires == 0 {
				e.published.mu.Lock()
				delete(e.published.all, p.Pair)
				e.published.mu.Unlock()
			}
			e.of(u.trunk).Presence.Published(p.Pair, presence.Published{Tag: value(ev.Response, "SIP-ETag"), Expires: granted})
		case u.proof.challenged(u.trunk, g, ev.Response):
			e.publish(u, p)
		default:
			e.of(u.trunk).Presence.Published(p.Pair, presence.Unpublished{
				Status: ev.Response.StatusCode, Least: span(value(ev.Response, "Min-Expires")), Later: span(value(ev.Response, "Retry-After")),
			})
		}
	})
}
