package signaling

import (
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/room"
	"sipxmppgw/signaling/pidf"
	"sipxmppgw/signaling/stack"
)

// packageConference is the event package of who is in a conference (RFC 4575).
const packageConference = "conference"

// conferenceTime is for how long we want to know it.
const conferenceTime = 10 * time.Minute

// watch subscribes to who is in the conference.
func (r *roomLine) watch() {
	e := r.e
	u := e.subscription(gateway.Subscription{
		Pair: gateway.Pair{User: "/room/" + e.o.NewID(), Contact: r.uri}, Package: packageConference, Trunk: r.trunk.Name, From: r.from, To: r.uri,
	})
	if u == nil {
		r.post(room.Unwatched{})
		return
	}
	if g, ok := r.line.leg.(*leg); ok { // to the same one of several places
		u.next = g.next
	}
	u.room = r
	r.sub = u
	e.usages.add(u)
	r.resubscribe()
}

// resubscribe sends a SUBSCRIBE.
func (r *roomLine) resubscribe() {
	if r.sub == nil {
		return
	}
	u := r.sub
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.ended {
		r.e.subscribeRoom(u, conferenceTime)
	}
}

// subscribeRoom sends a SUBSCRIBE for who is in a conference. It is for the holder of the
// dialog's lock.
func (e *Edge) subscribeRoom(u *usage, expires time.Duration) {
	req, g, ok := e.inUsage(u, "SUBSCRIBE",
		header("Event", packageConference), header("Expires", digits(int(expires/time.Second))), header("Accept", pidf.ConferenceMediaType))
	if !ok {
		go u.room.post(room.Unwatched{}) // ends at once; the lock is held here
		return
	}
	e.ask(req, g.to, func(ev stack.Event) {
		u.mu.Lock()
		defer u.mu.Unlock()
		switch {
		case u.ended || ev.Err == nil && ev.Response.StatusCode/100 == 2 && expires == 0:
			e.usages.remove(u)
		case ev.Err == nil && ev.Response.StatusCode/100 == 2:
			u.learn(ev.Response, tag(ev.Response.To().Params), true)
			granted := conferenceTime
			if v := value(ev.Response, "Expires"); v != "" {
				granted = min(span(v), granted)
			}
			l := u.room.line
			time.AfterFunc(max(granted*4/5, 30*time.Second), func() { l.tell(renew{}) })
		case ev.Err == nil && u.proof.challenged(u.trunk, g, ev.Response):
			e.subscribeRoom(u, expires)
		default:
			u.ended = true
			e.usages.remove(u)
			u.room.post(room.Unwatched{})
		}
	})
}

// unwatch ends the subscription, of either side.
func (r *roomLine) unwatch() {
	u := r.sub
	r.sub = nil
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return
	}
	if u.ours {
		if u.peerTag != "" {
			r.e.subscribeRoom(u, 0)
		}
		u.ended = true
		time.AfterFunc(32*time.Second, func() { r.e.usages.remove(u) }) // the last NOTIFY is answered
		return
	}
	u.ended = true
	r.e.notifyRoom(u, "terminated;reason=noresource", nil)
	r.e.usages.remove(u)
}

// inConference takes a request in such a subscription.
func (e *Edge) inConference(tx *stack.ServerTx, u *usage) {
	req := tx.Request()
	u.mu.Lock()
	defer u.mu.Unlock()
	if from := tag(req.From().Params); u.peerTag != "" && u.peerTag != from {
		e.reply(tx, 481)
		return
	}
	switch {
	case !u.order(req):
		e.reply(tx, 500)
	case u.ours && req.Method == sip.NOTIFY:
		e.conferenceNotified(tx, u)
	case !u.ours && req.Method == sip.SUBSCRIBE && !u.ended:
		e.watchedRoom(tx, u)
	default:
		e.reply(tx, 481)
	}
}

// conferenceNotified takes who is in a conference. It is for the holder of the dialog's lock.
func (e *Edge) conferenceNotified(tx *stack.ServerTx, u *usage) {
	req := tx.Request()
	if pkg, _ := eventOf(req); pkg != packageConference {
		e.reply(tx, 489, header("Allow-Events", packageConference))
		return
	}
	u.learn(req, tag(req.From().Params), false)
	n := stateOf(req)
	if len(req.Body()) > 0 {
		c, err := pidf.ParseConference(req.Body())
		switch {
		case mediaType(value(req, "Content-Type")) != pidf.ConferenceMediaType:
			e.reply(tx, 415, header("Accept", pidf.ConferenceMediaType))
			return
		case err != nil:
			e.reply(tx, 400)
			return
		}
		e.reply(tx, 200)
		gap := !c.Full && c.Version != u.version+1
		if gap { // what is between is missing; the answer to another SUBSCRIBE has it all
			if !u.ended {
				e.subscribeRoom(u, conferenceTime)
			}
			return
		}
		u.version = c.Version
		u.room.post(peopleOf(c))
	} else {
		e.reply(tx, 200)
	}
	if n.State == "terminated" && !u.ended {
		u.ended = true
		e.usages.remove(u)
	}
}

// peopleOf is who is in a conference, as rooms have them.
func peopleOf(c pidf.Conference) room.People {
	p := room.People{Full: c.Full, Subject: c.Subject}
	for _, u := range c.Users {
		uri := person(u.Entity)
		if u.Gone {
			p.Gone = append(p.Gone, uri)
			if u.Booted {
				p.Kicked = append(p.Kicked, uri)
			}
			continue
		}
		nick := u.Nick
		if nick == "" {
			nick = uri
		}
		p.Users = append(p.Users, room.Person{URI: uri, Nick: nick, Moderator: u.Moderator})
	}
	return p
}

// watchesRoom takes a SUBSCRIBE for who is in a room of XMPP, from a guest there.
func (e *Edge) watchesRoom(tx *stack.ServerTx, trunk *Trunk) {
	req := tx.Request()
	e.guests.mu.Lock()
	r := e.guests.all[guestKey{aor(req.Recipient.String()), aor(address(value(req, "From")).URI)}]
	e.guests.mu.Unlock()
	switch {
	case r == nil || r.trunk != trunk:
		e.reply(tx, 403) // only those inside are told
		return
	case !takes(req, pidf.ConferenceMediaType):
		_ = tx.Reply(406, "", header("Accept", pidf.ConferenceMediaType))
		return
	case contactOf(req) == "":
		e.reply(tx, 400)
		return
	}
	u := &usage{
		trunk: trunk, pkg: packageConference, callID: req.CallID().Value(), tag: tx.Tag(),
		local: value(req, "To"), peer: value(req, "From"), watched: r.uri,
		contact: e.contact(e.o.NewID(), tx.Transport(), tx.Local()),
		next: stack.Target{
			Transport: tx.Transport(), Host: tx.Source().Addr().String(), Port: tx.Source().Port(), Stream: trunk.Next.Stream,
		},
		theirs: req.CSeq().SeqNo, room: r,
	}
	u.learn(req, tag(req.From().Params), false)
	u.mu.Lock()
	defer u.mu.Unlock()
	e.usages.add(u)
	e.watchedRoom(tx, u)
}

// watchedRoom answers a SUBSCRIBE of a guest. It is for the holder of the dialog's lock.
func (e *Edge) watchedRoom(tx *stack.ServerTx, u *usage) {
	expires := min(asksFor(tx.Request()), time.Hour)
	u.until = time.Now().Add(expires)
	_ = tx.Reply(200, "", header("Contact", u.contact), header("Expires", digits(int(expires/time.Second))))
	if expires == 0 {
		u.ended = true
		e.notifyRoom(u, "terminated;reason=timeout", nil)
		e.usages.remove(u)
		return
	}
	r := u.room
	r.line.tell(attending{u})
}

// attending says that the guest has a subscription.
type attending struct{ u *usage }

// tell tells the guest who is in the room.
func (r *roomLine) tell() {
	r.timer = nil
	u := r.sub
	if r.news == nil || u == nil || u.ours {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended || time.Now().After(u.until) {
		r.e.usages.remove(u)
		u.ended = true
		return
	}
	r.version++
	r.news.Version = r.version
	body := pidf.FormatConference(*r.news)
	r.news, r.told = nil, time.Now()
	r.e.notifyRoom(u, "active;expires="+digits(int(time.Until(u.until).Round(time.Second)/time.Second)), body)
}

// notifyRoom sends a NOTIFY. It is for the holder of the dialog's lock.
func (e *Edge) notifyRoom(u *usage, state string, body []byte) {
	hs := []sip.Header{header("Event", packageConference), header("Subscription-State", state)}
	if body != nil {
		hs = append(hs, header("Content-Type", pidf.ConferenceMediaType))
	}
	req, g, ok := e.inUsage(u, "NOTIFY", hs...)
	if !ok {
		return
	}
	if body != nil {
		req.SetBody(body)
	}
	e.ask(req, g.to, func(ev stack.Event) {
		if ev.Err != nil || ev.Response.StatusCode == 481 {
			u.mu.Lock()
			u.ended = true
			u.mu.Unlock()
			e.usages.remove(u)
		}
	})
}
